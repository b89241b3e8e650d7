//! Which block of a template is not closed: the engine says only that the text has come to an end.

use std::ops::Range;

use super::template::{Piece, Tag, pieces};

/// Statements that have a body, and an end called `end` and the same word.
const WITH_END: [&str; 12] = [
    "if",
    "for",
    "macro",
    "call",
    "filter",
    "block",
    "with",
    "autoescape",
    "set",
    "test",
    "materialization",
    "snapshot",
];

/// The innermost statement without an end: its place with the delimiters, and its first word.
pub(super) fn open_block(source: &str) -> Option<(Range<usize>, &str)> {
    let mut open: Vec<(Range<usize>, &str)> = vec![];
    let mut without_end = None;
    for piece in pieces(source).ok()? {
        let Piece::Statement(tag) = piece else {
            continue;
        };
        let word = tag.keyword(source);
        if let Some(ended) = word.strip_prefix("end") {
            if let Some(at) = open.iter().rposition(|(_, word)| *word == ended) {
                without_end = open.drain(at..).skip(1).last().or(without_end);
            }
        } else if WITH_END.contains(&word) && !(word == "set" && is_assignment(&tag)) {
            open.push((tag.outer, word));
        }
    }
    open.pop().or(without_end)
}

/// Whether a `set` has its value in the same statement.
fn is_assignment(tag: &Tag) -> bool {
    tag.tokens.iter().any(|token| token.is(b'='))
}

#[cfg(test)]
mod tests {
    use super::open_block;

    fn open(source: &str) -> Option<&str> {
        open_block(source).and_then(|(range, _)| source.get(range))
    }

    #[test]
    fn the_innermost_block_without_an_end_is_found() {
        assert_eq!(open("{% if a %}x{% endif %}"), None);
        assert_eq!(open("a {%- if b == 1 %} c"), Some("{%- if b == 1 %}"));
        assert_eq!(
            open("{% macro m() %}{% for x in y %}{% endmacro %}"),
            Some("{% for x in y %}")
        );
        assert_eq!(
            open("{% set a = 1 %}{% if a %}{% else %}"),
            Some("{% if a %}")
        );
        assert_eq!(open("{% set a %}1"), Some("{% set a %}"));
        assert_eq!(open("{% endif %}{{ a }}{# {% if b %} #}"), None);
    }
}
