//! Reading back what the table has, in the JSON form in which it was sent.

use serde_json::{Map, Value};

use super::catalogue::Table;
use super::prepare;
use super::statement::{self, Rows, Statement, quoted};
use crate::{DestinationError, ObjectText, json_form};

/// The statement that reads these fields of these keys. Keys that cannot be read as JSON have no row.
pub(super) fn statement(
    table: &Table,
    key_fields: &[String],
    fields: &[String],
    keys: &[ObjectText],
) -> Result<Statement, DestinationError> {
    let rows = keys
        .iter()
        .enumerate()
        .filter_map(|(index, key)| {
            let mut row = key.parse()?;
            prepare::with_bytes(table, &mut row).ok()?;
            row.insert(table.ordinal.clone(), Value::from(index));
            Some(Value::Object(row))
        })
        .collect();
    let columns = fields
        .iter()
        .map(|field| {
            let name = quoted(field);
            Ok(match Form::of(&table.column(field)?.type_name) {
                Form::Decimal => format!("t.{name}::text AS {name}"),
                Form::Decimals => format!("t.{name}::text[] AS {name}"),
                _ => format!("t.{name}"),
            })
        })
        .collect::<Result<Vec<_>, DestinationError>>()?
        .join(", ");
    Ok(Statement {
        sql: statement::read_sql(table, key_fields, &columns)?,
        rows: Rows::Json(Value::Array(rows).to_string()),
    })
}

/// The fields of a row, from the text that the server writes.
pub(super) fn fields(table: &Table, text: &str) -> Option<Map<String, Value>> {
    let mut fields = ObjectText::new(json_form::without_spaces(text))?.parse()?;
    for (name, value) in &mut fields {
        let form = Form::of(&table.columns.get(name)?.type_name);
        rewrite(form, value);
    }
    Some(fields)
}

/// How the server's text of a type differs from what is sent.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Same,
    Decimal,
    Decimals,
    Timestamp,
    Binary,
}

impl Form {
    fn of(type_name: &str) -> Self {
        let is = |name: &str| {
            type_name
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['(', ' ', '[']))
        };
        if is("timestamp") {
            Self::Timestamp
        } else if is("bytea") {
            Self::Binary
        } else if is("numeric") {
            match type_name.ends_with("[]") {
                true => Self::Decimals,
                false => Self::Decimal,
            }
        } else {
            Self::Same
        }
    }
}

fn rewrite(form: Form, value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(form, item)),
        Value::String(text) => {
            let other = match form {
                Form::Same => None,
                Form::Decimal | Form::Decimals => Some(json_form::decimal(text)),
                Form::Timestamp => timestamp(text).map(Value::from),
                Form::Binary => text.strip_prefix("\\x").map(Value::from),
            };
            if let Some(other) = other {
                *value = other;
            }
        }
        _ => {}
    }
}

/// In UTC with a `Z`, also where the column has no time zone. Infinities stay what they are.
fn timestamp(text: &str) -> Option<String> {
    let time = text.strip_suffix("+00:00").unwrap_or(text);
    time.ends_with(|last: char| last.is_ascii_digit())
        .then(|| format!("{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_rewritten_as_they_are_sent() {
        let sent = |type_name: &str, value: Value| {
            let mut value = value;
            rewrite(Form::of(type_name), &mut value);
            value
        };
        for (type_name, read, expected) in [
            ("numeric(20,6)", json!("1.5"), json!(1.5)),
            ("numeric", json!("-3"), json!(-3)),
            ("numeric", json!("0.000000000000000012"), json!(1.2e-17)),
            (
                "numeric",
                json!("12345678901.23456"),
                json!("12345678901.23456"),
            ),
            (
                "numeric",
                json!("1000000000000000000"),
                json!(1_000_000_000_000_000_000_i64),
            ),
            ("numeric", json!("NaN"), json!("NaN")),
            (
                "timestamp with time zone",
                json!("2026-01-31T09:30:00.5+00:00"),
                json!("2026-01-31T09:30:00.5Z"),
            ),
            (
                "timestamp(3) without time zone",
                json!("2026-01-31T09:30:00"),
                json!("2026-01-31T09:30:00Z"),
            ),
            (
                "timestamp with time zone",
                json!("infinity"),
                json!("infinity"),
            ),
            (
                "timestamp with time zone[]",
                json!(["2026-01-31T09:30:00+00:00", null]),
                json!(["2026-01-31T09:30:00Z", null]),
            ),
            ("bytea", json!("\\x00ff"), json!("00ff")),
            ("bytea[]", json!(["\\x00ff", null]), json!(["00ff", null])),
            (
                "numeric(30,6)",
                json!("123456789012345678.500000"),
                json!("123456789012345678.5"),
            ),
            (
                "numeric(9,2)[]",
                json!(["1.50", "100.00", "12345678901234567890"]),
                json!([1.5, 100, "12345678901234567890"]),
            ),
            ("text", json!("1.50"), json!("1.50")),
        ] {
            assert_eq!(sent(type_name, read), expected, "{type_name}");
        }
    }
}
