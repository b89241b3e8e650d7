//! Rows in the text format of COPY.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::catalogue::Table;
use crate::DestinationError;

/// The rows, with their indexes at the end if they are wanted; `None` if a value can only be told to the
/// server as JSON: then all of them are, so that what arrives does not depend on how many rows there are.
pub(super) fn data(
    table: &Table,
    columns: &[&str],
    rows: &[Map<String, Value>],
    indexes: Option<&[usize]>,
) -> Result<Option<Bytes>, DestinationError> {
    let documents = columns
        .iter()
        .map(|name| Ok((*name, table.column(name)?.is_json())))
        .collect::<Result<Vec<_>, DestinationError>>()?;
    let mut out = String::new();
    for (position, row) in rows.iter().enumerate() {
        for (column, (name, is_json)) in documents.iter().enumerate() {
            if column > 0 {
                out.push('\t');
            }
            let value = row.get(*name).unwrap_or(&Value::Null);
            if push(&mut out, value, *is_json).is_none() {
                return Ok(None);
            }
        }
        if let Some(index) = indexes.and_then(|indexes| indexes.get(position)) {
            // Writing into text does not fail.
            let _ = write!(out, "\t{index}");
        }
        out.push('\n');
    }
    Ok(Some(Bytes::from(out)))
}

fn push(out: &mut String, value: &Value, is_json: bool) -> Option<()> {
    match value {
        Value::Null => out.push_str("\\N"),
        value if is_json => escape(out, &value.to_string()),
        Value::String(text) => escape(out, text),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            // Out of JSON it comes without an exponent, which columns of text and of whole numbers see.
            let digits = number.to_string();
            if digits.contains('e') {
                return None;
            }
            out.push_str(&digits);
        }
        // Arrays and rows of the server have a language of their own.
        Value::Array(_) | Value::Object(_) => return None,
    }
    Some(())
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pushed(value: &Value, is_json: bool) -> Option<String> {
        let mut out = String::new();
        push(&mut out, value, is_json).map(|()| out)
    }

    #[test]
    fn values_are_told_apart_from_the_marks_of_the_format() {
        for (value, is_json, expected) in [
            (json!(null), false, Some("\\N")),
            (json!(null), true, Some("\\N")),
            (json!("\\N"), false, Some("\\\\N")),
            (json!(""), false, Some("")),
            (json!("a\tb\nc\rd"), false, Some("a\\tb\\nc\\rd")),
            (json!("\\."), false, Some("\\\\.")),
            (json!(true), false, Some("true")),
            (json!(1.5), false, Some("1.5")),
            (json!(1e21), false, None),
            (json!([1]), false, None),
            (json!(["a\"b"]), true, Some("[\"a\\\\\"b\"]")),
            (json!("x"), true, Some("\"x\"")),
        ] {
            assert_eq!(pushed(&value, is_json).as_deref(), expected, "{value}");
        }
    }
}
