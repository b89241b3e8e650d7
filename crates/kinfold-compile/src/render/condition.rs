//! Names in conditions that nothing defines.
//!
//! Printing an undefined value is an error where it happens; a condition on one is simply false, as
//! in dbt, because macros ask so for arguments that were not given. In the file of a model a name
//! that is bound nowhere can only be a mistake, and a silent one.

use std::collections::BTreeSet;
use std::ops::Range;

use super::instrument::{CONTEXT, Names, Owner};
use super::template::{Piece, Token, TokenKind, pieces};

const KEYWORDS: [&str; 14] = [
    "and", "or", "not", "in", "is", "if", "elif", "else", "true", "false", "none", "True", "False",
    "None",
];

/// The places of names in conditions of a node's own template that neither it nor `global` defines.
pub(super) fn undefined(text: &str, global: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    if !text.contains("if") {
        return vec![];
    }
    let Ok(pieces) = pieces(text) else {
        return vec![];
    };
    let names = Names::of(&pieces, text, &Owner::Node);
    let mut asked = BTreeSet::new();
    let mut found = Vec::new();
    for piece in &pieces {
        let (Piece::Expression(tag) | Piece::Statement(tag)) = piece else {
            continue;
        };
        let mut condition = false;
        for (at, token) in tag.tokens.iter().enumerate() {
            if token.kind != TokenKind::Name {
                continue;
            }
            let word = token.text(text);
            match word {
                "if" | "elif" => condition = true,
                "else" => condition = false,
                _ => {}
            }
            let before = at.checked_sub(1).and_then(|i| tag.tokens.get(i));
            let after = tag.tokens.get(at + 1);
            if !is_variable(word, before, after, text) {
                continue;
            }
            if after.is_some_and(|t| t.is(b'|') || t.text(text) == "is") {
                // `x is defined`, `x | default(…)`: the template knows that it may be undefined.
                asked.insert(word);
            } else if condition && !names.defines(word) && !CONTEXT.contains(&word) && !global(word)
            {
                found.push((word, token.range.clone()));
            }
        }
    }
    found.retain(|(word, _)| !asked.contains(word));
    found.into_iter().map(|(_, range)| range).collect()
}

/// Whether a name is read as a variable here: no keyword, attribute, filter, test or argument name.
fn is_variable(word: &str, before: Option<&Token>, after: Option<&Token>, text: &str) -> bool {
    let after_operator = before.is_some_and(|t| t.is(b'.') || t.is(b'|') || t.text(text) == "is");
    let test = before.is_some_and(|t| t.text(text) == "not") && word == "defined";
    !after_operator
        && !test
        && !KEYWORDS.contains(&word)
        && !after.is_some_and(|t| t.is(b'=') || t.is(b'('))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        undefined(text, |name| name == "ref")
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn only_names_that_nothing_binds_are_found() {
        assert_eq!(
            names("{% if prod and not x.y %}{% elif z == 1 %}{% endif %}"),
            ["prod", "x", "z"]
        );
        assert_eq!(names("{{ 'a' if prod else b }}"), ["prod"]);
        assert_eq!(
            names("{% set a = 1 %}{% for b in [1] if b %}{% if a and b and loop.last %}"),
            [""; 0]
        );
        assert_eq!(
            names("{% macro f(a) %}{% if a %}{% endif %}{% endmacro %}"),
            [""; 0]
        );
        assert_eq!(
            names("{% if x is defined and x %}{% if y is not defined %}"),
            [""; 0]
        );
        assert_eq!(
            names("{% if x | default(1) %}{% if f(k=1) and ref and target.name in ['a'] %}"),
            [""; 0]
        );
    }
}
