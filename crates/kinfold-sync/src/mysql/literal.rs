//! Values of payloads as literals of SQL, by the kind of their column.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::Value;

use crate::json_form;

/// What kind of values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers; `boolean` for `TINYINT(1)` and `BIT(1)`, which stand for truth values.
    Integer {
        boolean: bool,
    },
    Bits {
        boolean: bool,
    },
    Decimal,
    Float,
    Date,
    /// `DATETIME` and `TIMESTAMP`.
    Moment,
    Time,
    Json,
    Binary,
    /// Everything that is written as text.
    Text,
}

impl Kind {
    /// By the names that the server gives to the type, in lower case: `int`, and `int(11) unsigned`.
    pub(super) fn of(data_type: &str, column_type: &str) -> Self {
        match data_type {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Self::Integer {
                boolean: column_type == "tinyint(1)",
            },
            "bit" => Self::Bits {
                boolean: column_type == "bit(1)",
            },
            "decimal" => Self::Decimal,
            "float" | "double" => Self::Float,
            "date" => Self::Date,
            "datetime" | "timestamp" => Self::Moment,
            "time" => Self::Time,
            "json" => Self::Json,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                Self::Binary
            }
            _ => Self::Text,
        }
    }
}

/// An identifier in backticks.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Text in quotes, for a session in UTF-8 whose `sql_mode` leaves backslashes their meaning.
pub(super) fn push_text(out: &mut String, text: &str) {
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
    out.push('\'');
}

/// Appends the literal. What the column cannot have and the server would bend into something else is
/// refused here; the rest is left to the server.
///
/// # Errors
/// Why the column cannot have the value, in a few words and without it.
pub(super) fn push(out: &mut String, kind: Kind, value: &Value) -> Result<(), &'static str> {
    if value.is_null() {
        out.push_str("NULL");
        return Ok(());
    }
    match kind {
        Kind::Integer { .. } | Kind::Bits { .. } => out.push_str(&whole(value)?),
        Kind::Decimal | Kind::Float => out.push_str(&number(value)?),
        Kind::Date => push_text(out, &date(value)?),
        Kind::Moment => push_text(out, &moment(value)?),
        Kind::Json => push_text(out, &value.to_string()),
        Kind::Binary => {
            let digits = value.as_str().and_then(json_form::hex_digits);
            let digits = digits.ok_or("a binary column takes hexadecimal digits")?;
            out.push_str("x'");
            out.push_str(digits);
            out.push('\'');
        }
        Kind::Time | Kind::Text => match value {
            Value::String(text) => push_text(out, text),
            other => push_text(out, &other.to_string()),
        },
    }
    Ok(())
}

/// A number without a fraction: the server would round others.
fn whole(value: &Value) -> Result<String, &'static str> {
    let digits = number(value).map_err(|_| "the column takes whole numbers")?;
    match digits.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => {
            Ok(whole.to_owned())
        }
        Some(_) => Err("the column takes whole numbers"),
        None if digits.contains("e-") => Err("the column takes whole numbers"),
        None => Ok(digits),
    }
}

/// A number with all its digits.
fn number(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::Bool(flag) => Ok(u8::from(*flag).to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) if json_form::number(text).is_some() => Ok(text.clone()),
        _ => Err("the column takes numbers"),
    }
}

fn date(value: &Value) -> Result<String, &'static str> {
    const REFUSED: &str = "the column takes dates";
    let text = value.as_str().ok_or(REFUSED)?;
    if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
        return Ok(text.to_owned());
    }
    let time = utc(text).ok_or(REFUSED)?;
    if time.time() == chrono::NaiveTime::MIN {
        Ok(time.format("%Y-%m-%d").to_string())
    } else {
        Err("the column takes dates, and this has a time of day")
    }
}

fn moment(value: &Value) -> Result<String, &'static str> {
    let text = value.as_str();
    let time = text
        .and_then(utc)
        .ok_or("the column takes times such as `2026-01-31T09:30:00Z`")?;
    Ok(time.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// A time in UTC. Without a zone it is taken for that; a date stands for its first moment.
fn utc(text: &str) -> Option<NaiveDateTime> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.naive_utc());
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time);
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()?
        .and_hms_opt(0, 0, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn literal(data_type: &str, value: &Value) -> Result<String, &'static str> {
        let mut out = String::new();
        push(&mut out, Kind::of(data_type, data_type), value).map(|()| out)
    }

    #[test]
    fn values_are_written_for_their_column() {
        for (data_type, value, expected) in [
            ("int", json!(null), "NULL"),
            ("int", json!(-5), "-5"),
            ("int", json!(true), "1"),
            ("bigint", json!(u64::MAX), "18446744073709551615"),
            ("bigint", json!("12345678901234567"), "12345678901234567"),
            ("bigint", json!("7.00"), "7"),
            (
                "decimal",
                json!("12345678901234567890.123456"),
                "12345678901234567890.123456",
            ),
            ("double", json!(1e21), "1e+21"),
            ("varchar", json!(5), "'5'"),
            ("varchar", json!(true), "'true'"),
            ("text", json!({"a": "it's"}), r#"'{"a":"it''s"}'"#),
            ("json", json!("x"), r#"'"x"'"#),
            ("date", json!("2026-01-31"), "'2026-01-31'"),
            ("date", json!("2026-01-31T00:00:00Z"), "'2026-01-31'"),
            (
                "datetime",
                json!("2026-01-31T09:30:00.5Z"),
                "'2026-01-31 09:30:00.500000'",
            ),
            (
                "timestamp",
                json!("2026-01-31T01:30:00+02:00"),
                "'2026-01-30 23:30:00.000000'",
            ),
            (
                "datetime",
                json!("2026-01-31"),
                "'2026-01-31 00:00:00.000000'",
            ),
            ("blob", json!("00ff"), "x'00ff'"),
        ] {
            assert_eq!(
                literal(data_type, &value).as_deref(),
                Ok(expected),
                "{value}"
            );
        }
    }

    #[test]
    fn what_the_server_would_bend_is_refused() {
        for (data_type, value) in [
            ("int", json!(1.5)),
            ("int", json!(1e-7)),
            ("int", json!("1.5")),
            ("int", json!("many")),
            ("int", json!("1;DROP TABLE x")),
            ("decimal", json!("1,\"n\":2")),
            ("decimal", json!("1 OR 1=1")),
            ("decimal", json!("2-1")),
            ("decimal", json!("1,5")),
            ("decimal", json!([1])),
            ("date", json!("2026-01-31T09:30:00Z")),
            ("date", json!("31.1.2026")),
            ("datetime", json!("yesterday")),
            ("datetime", json!(20_260_131)),
            ("blob", json!("plain")),
            ("blob", json!(12)),
        ] {
            assert!(literal(data_type, &value).is_err(), "{data_type} {value}");
        }
    }

    proptest! {
        #[test]
        fn text_ends_where_its_literal_ends(text in "[a'\\\\\0\"`é;-]{0,12}") {
            let mut out = String::new();
            push_text(&mut out, &text);
            // As the server reads it.
            let mut read = String::new();
            let inner: Vec<char> = out.chars().collect();
            let inner = inner.get(1..inner.len() - 1).unwrap_or_default();
            let mut rest = inner.iter();
            while let Some(c) = rest.next() {
                match c {
                    '\'' => prop_assert_eq!(rest.next(), Some(&'\'')),
                    '\\' => match rest.next() {
                        Some('0') => { read.push('\0'); continue; }
                        other => prop_assert_eq!(other, Some(&'\\')),
                    },
                    _ => {}
                }
                read.push(*c);
            }
            prop_assert_eq!(read, text);
        }
    }
}
