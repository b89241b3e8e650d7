//! Templates that come with kinfold: dbt's cross-database macros and data tests.

mod audits;

use super::template::{Piece, pieces};

pub(super) use audits::{Audit, OfColumn, audit};

const DBT: &str = include_str!("../../../../sql/macros/dbt.sql");

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_templates_are_found() {
        let names: Vec<_> = macros().into_iter().map(|(name, _)| name).collect();
        assert!(names.len() >= 30, "{names:?}");
        assert!(names.contains(&"dateadd") && names.contains(&"type_string"));
        for name in ["unique", "not_null", "accepted_values", "relationships"] {
            assert!(audit(None, name).is_some_and(|a| a.text.starts_with("select")));
        }
    }
}
