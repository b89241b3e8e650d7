//! What the table has, in the JSON form in which it was sent.

use mysql_async::Value as Stored;
use serde_json::{Map, Value};

use super::catalogue::Table;
use super::literal::Kind;
use crate::{ObjectText, json_form};

/// The fields of a row; `None` if a value is not what its column says.
pub(super) fn fields(
    table: &Table,
    fields: &[String],
    row: Vec<Stored>,
) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    for (name, stored) in fields.iter().zip(row) {
        let value = match stored {
            Stored::NULL => Value::Null,
            Stored::Bytes(bytes) => value(table.columns.get(name)?.kind, &bytes)?,
            // Only statements that were prepared answer with other values.
            _ => return None,
        };
        map.insert(name.clone(), value);
    }
    Some(map)
}

/// A value as the server writes it for a session in UTF-8 and UTC.
fn value(kind: Kind, bytes: &[u8]) -> Option<Value> {
    if kind == Kind::Binary {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        return Some(Value::from(digits));
    }
    if let Kind::Bits { boolean } = kind {
        let number = bytes.iter().try_fold(0_u64, |number, byte| {
            Some(number.checked_mul(256)? | u64::from(*byte))
        })?;
        return Some(truth(boolean, Value::from(number)));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match kind {
        Kind::Integer { boolean } => Some(truth(boolean, json_form::number(text)?)),
        Kind::Float => json_form::number(text),
        Kind::Decimal => Some(json_form::decimal(text)),
        Kind::Moment => {
            let (date, time) = text.split_once(' ')?;
            Some(Value::from(format!("{date}T{}Z", shortest_time(time))))
        }
        Kind::Time => Some(Value::from(shortest_time(text))),
        Kind::Json => {
            let text = format!("{{\"v\":{}}}", json_form::without_spaces(text));
            ObjectText::new(text)?.parse()?.remove("v")
        }
        Kind::Date | Kind::Text | Kind::Binary | Kind::Bits { .. } => Some(Value::from(text)),
    }
}

fn truth(boolean: bool, number: Value) -> Value {
    match number.as_u64() {
        Some(0) if boolean => Value::Bool(false),
        Some(1) if boolean => Value::Bool(true),
        _ => number,
    }
}

/// Without zeros at the end of a fraction of a second.
fn shortest_time(time: &str) -> &str {
    if time.contains('.') {
        time.trim_end_matches('0').trim_end_matches('.')
    } else {
        time
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_they_are_sent() {
        for (data_type, column_type, stored, expected) in [
            ("tinyint", "tinyint(1)", "1", json!(true)),
            ("tinyint", "tinyint(1)", "7", json!(7)),
            ("tinyint", "tinyint(4)", "1", json!(1)),
            ("bit", "bit(1)", "\u{1}", json!(true)),
            ("bit", "bit(16)", "\u{1}\u{2}", json!(258)),
            ("decimal", "decimal(20,6)", "1.500000", json!(1.5)),
            ("decimal", "decimal(20,0)", "100", json!(100)),
            (
                "decimal",
                "decimal(30,6)",
                "12345678901.234560",
                json!("12345678901.23456"),
            ),
            ("double", "double", "3", json!(3)),
            (
                "datetime",
                "datetime(6)",
                "2026-01-31 09:30:00.500000",
                json!("2026-01-31T09:30:00.5Z"),
            ),
            (
                "timestamp",
                "timestamp",
                "2026-01-31 09:30:00",
                json!("2026-01-31T09:30:00Z"),
            ),
            ("time", "time(3)", "09:30:00.000", json!("09:30:00")),
            ("date", "date", "2026-01-31", json!("2026-01-31")),
            ("blob", "blob", "\u{0}a", json!("0061")),
            (
                "json",
                "json",
                "{\"a\": [1, null, \"x y\"]}",
                json!({"a": [1, null, "x y"]}),
            ),
            ("json", "json", "\"text\"", json!("text")),
            ("varchar", "varchar(9)", "1.50", json!("1.50")),
        ] {
            let read = value(Kind::of(data_type, column_type), stored.as_bytes());
            assert_eq!(read, Some(expected), "{column_type}");
        }
    }
}
