//! Templates that come with kinfold: dbt's cross-database macros and the four data tests.

use super::template::{Piece, pieces};

const DBT: &str = include_str!("../../../../sql/macros/dbt.sql");
const UNIQUE: &str = include_str!("../../../../sql/audit/unique.sql");
const NOT_NULL: &str = include_str!("../../../../sql/audit/not_null.sql");
const ACCEPTED_VALUES: &str = include_str!("../../../../sql/audit/accepted_values.sql");
const RELATIONSHIPS: &str = include_str!("../../../../sql/audit/relationships.sql");

/// The macros of package `dbt`: name and block.
pub(super) fn macros() -> Vec<(&'static str, &'static str)> {
    macro_blocks(DBT)
}

/// Macros of a text: name and block, from `{% macro` to after `{% endmacro %}`.
fn macro_blocks(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    for piece in pieces(text).unwrap_or_default() {
        let Piece::Statement(tag) = piece else {
            continue;
        };
        match (tag.keyword(text), open) {
            ("macro", None) => {
                let name = tag.tokens.get(1).map_or("", |token| token.text(text));
                open = Some((name, tag.outer.start));
            }
            ("endmacro", Some((name, start))) => {
                found.extend(text.get(start..tag.outer.end).map(|block| (name, block)));
                open = None;
            }
            _ => {}
        }
    }
    found
}

/// A data test of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audit {
    /// Its template, without the header.
    pub text: &'static str,
    /// Its arguments besides the relation and the column.
    pub arguments: &'static [&'static str],
    /// Those of them that must be there.
    pub required: &'static [&'static str],
}

/// The data test of ours of that name.
pub(super) fn audit(name: &str) -> Option<Audit> {
    let (text, arguments, required): (_, &[&str], &[&str]) = match name {
        "unique" => (UNIQUE, &[], &[]),
        "not_null" => (NOT_NULL, &[], &[]),
        "accepted_values" => (ACCEPTED_VALUES, &["values", "quote"], &["values"]),
        "relationships" => (RELATIONSHIPS, &["to", "field"], &["to", "field"]),
        _ => return None,
    };
    Some(Audit {
        text: body(text),
        arguments,
        required,
    })
}

/// A statement without its header of comment lines.
fn body(text: &str) -> &str {
    let mut rest = text;
    while rest.starts_with("--") {
        rest = rest.split_once('\n').map_or("", |(_, after)| after);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_templates_are_found() {
        let names: Vec<_> = macros().into_iter().map(|(name, _)| name).collect();
        assert!(names.len() >= 30, "{names:?}");
        assert!(names.contains(&"dateadd") && names.contains(&"type_string"));
        for name in ["unique", "not_null", "accepted_values", "relationships"] {
            assert!(audit(name).is_some_and(|a| a.text.starts_with("select")));
        }
    }
}
