//! Types from a sample of values.
//!
//! The same files give the same types: the sample is the first records of the first files. A guess
//! that later records do not keep sends them to the quarantine, so the guesses are careful: digits
//! with a leading zero or a plus sign are text, because post codes and telephone numbers are no
//! numbers, and so are numbers that a type would round.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, TimeUnit};
use serde_json::Value;

use super::cast::timestamp_micros;

/// Keys beyond which an object is a map that happens to be written as an object.
const OBJECT_KEYS: usize = 256;
/// Whole numbers up to here are exact as `DOUBLE`.
const EXACT: i64 = 1 << 53;

/// What the values of a CSV column could be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guess {
    seen: bool,
    refuted: u8,
}

const BOOLEAN: u8 = 1;
const INTEGER: u8 = 1 << 1;
const FLOAT: u8 = 1 << 2;
const DATE: u8 = 1 << 3;
const TIMESTAMP: u8 = 1 << 4;
const TIMESTAMP_UTC: u8 = 1 << 5;

impl Guess {
    /// Takes a value into account.
    pub fn see(&mut self, value: &str) {
        let value = value.trim_ascii();
        if !value.is_empty() {
            self.seen = true;
            self.refuted |= !kinds(value);
        }
    }

    /// The first of boolean, integer, float, date, timestamp that no value refuted, else text.
    pub fn data_type(self) -> DataType {
        let order = [
            (BOOLEAN, DataType::Boolean),
            (INTEGER, DataType::Int64),
            (FLOAT, DataType::Float64),
            (DATE, DataType::Date32),
            (TIMESTAMP, DataType::Timestamp(TimeUnit::Microsecond, None)),
            (TIMESTAMP_UTC, utc()),
        ];
        let possible = order
            .into_iter()
            .find(|(kind, _)| self.seen && self.refuted & kind == 0);
        possible.map_or(DataType::Utf8, |(_, data_type)| data_type)
    }
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn kinds(value: &str) -> u8 {
    match value.as_bytes() {
        [b'0'..=b'9' | b'-', ..] => number(value) | time(value),
        [b't' | b'T' | b'f' | b'F', ..] if is_boolean(value) => BOOLEAN,
        _ => 0,
    }
}

fn is_boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

fn number(value: &str) -> u8 {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let (whole, rest) = digits
        .split_once('.')
        .map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let canonical = whole == "0" || !whole.starts_with('0');
    if whole.is_empty() || !canonical || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    match rest {
        None => match value.parse::<i64>() {
            Ok(number) if (-EXACT..=EXACT).contains(&number) => INTEGER | FLOAT,
            Ok(_) => INTEGER,
            Err(_) => 0,
        },
        // Without a decimal point, `12e45` is more often a code than a number.
        Some(rest) => {
            let (fraction, exponent) = rest
                .split_once(['e', 'E'])
                .map_or((rest, "0"), |(f, e)| (f, e));
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let finite = || value.parse::<f64>().is_ok_and(f64::is_finite);
            if digits(fraction) && digits(exponent) && finite() {
                FLOAT
            } else {
                0
            }
        }
    }
}

fn time(value: &str) -> u8 {
    let shape = value
        .bytes()
        .take(10)
        .enumerate()
        .all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let Some(day) = value.get(..10).filter(|_| shape) else {
        return 0;
    };
    if Date32Type::parse(day).is_none() {
        return 0;
    }
    let clock = value.get(10..).unwrap_or_default();
    if clock.is_empty() {
        return DATE | TIMESTAMP;
    }
    let clock_bytes = clock
        .bytes()
        .skip(1)
        .all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'+' | b'-' | b'Z'));
    if !clock_bytes || timestamp_micros(value).is_none() {
        return 0;
    }
    if clock.contains(['+', '-', 'Z']) {
        TIMESTAMP_UTC
    } else {
        TIMESTAMP
    }
}

/// What the values of a key are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Shape {
    /// Nothing but null, so far.
    #[default]
    Null,
    Boolean,
    Integer,
    Float,
    /// Strings, or values of different kinds.
    Text,
    List(Box<Shape>),
    Object(Object),
}

/// Keys in the order in which they appeared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object {
    positions: HashMap<String, usize>,
    keys: Vec<(String, Shape)>,
}

impl Object {
    /// Takes a record into account.
    pub fn see(&mut self, record: serde_json::Map<String, Value>) {
        for (key, value) in record {
            let found = Shape::of(value);
            match self
                .positions
                .get(&key)
                .and_then(|at| self.keys.get_mut(*at))
            {
                Some((_, shape)) => *shape = std::mem::take(shape).and(found),
                None => {
                    self.positions.insert(key.clone(), self.keys.len());
                    self.keys.push((key, found));
                }
            }
        }
    }

    /// A column for every key.
    pub fn columns(&self) -> Vec<(String, DataType)> {
        self.keys
            .iter()
            .map(|(key, shape)| (key.clone(), shape.data_type()))
            .collect()
    }

    fn and(mut self, other: Self) -> Self {
        for (key, found) in other.keys {
            match self
                .positions
                .get(&key)
                .and_then(|at| self.keys.get_mut(*at))
            {
                Some((_, shape)) => *shape = std::mem::take(shape).and(found),
                None => {
                    self.positions.insert(key.clone(), self.keys.len());
                    self.keys.push((key, found));
                }
            }
        }
        self
    }
}

impl Shape {
    fn of(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::String(_) => Self::Text,
            Value::Number(number) if number.is_i64() => Self::Integer,
            Value::Number(number) => match number.as_f64() {
                // A whole number too large for an integer keeps its digits only as text.
                Some(float) if float.fract() != 0.0 || float.abs() < 9e15 => Self::Float,
                _ => Self::Text,
            },
            Value::Array(items) => Self::List(Box::new(
                items.into_iter().map(Self::of).fold(Self::Null, Self::and),
            )),
            Value::Object(members) => {
                let mut object = Object::default();
                object.see(members);
                Self::Object(object)
            }
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, found) | (found, Self::Null) => found,
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Self::Float,
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.and(*b))),
            (Self::Object(a), Self::Object(b)) => Self::Object(a.and(b)),
            (a, b) if a == b => a,
            _ => Self::Text,
        }
    }

    /// The stored type. Objects that a struct cannot store are text: their JSON.
    fn data_type(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Null | Self::Text => DataType::Utf8,
            Self::List(item) => {
                DataType::List(Arc::new(Field::new("element", item.data_type(), true)))
            }
            Self::Object(object) => {
                let fields: Vec<_> = object
                    .columns()
                    .into_iter()
                    .map(|(key, data_type)| Field::new(key, data_type, true))
                    .collect();
                let storable = kinfold_lake::storable_schema(&Schema::new(fields.clone())).is_ok();
                if storable && fields.len() <= OBJECT_KEYS {
                    DataType::Struct(fields.into())
                } else {
                    DataType::Utf8
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(values: &[&str]) -> DataType {
        let mut guess = Guess::default();
        values.iter().for_each(|value| guess.see(value));
        guess.data_type()
    }

    #[test]
    fn csv_types() {
        let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
        let cases: [(&[&str], DataType); 17] = [
            (&["1", "-2", " 0 ", ""], DataType::Int64),
            (&["1", "2.5"], DataType::Float64),
            (&["1.5e10", "-0.1"], DataType::Float64),
            (&["01234", "55555"], DataType::Utf8),
            (&["+49170"], DataType::Utf8),
            (&["12e45"], DataType::Utf8),
            (&["9223372036854775808"], DataType::Utf8),
            (&["9007199254740993", "0.5"], DataType::Utf8),
            (&["true", "FALSE"], DataType::Boolean),
            (&["true", "1"], DataType::Utf8),
            (&["2024-02-29"], DataType::Date32),
            (&["2023-02-29"], DataType::Utf8),
            (&["2024-02-29", "2024-03-01 10:00:00"], naive.clone()),
            (&["2024-03-01T10:00:00.123456"], naive),
            (
                &["2024-03-01T10:00:00Z", "2024-03-01T10:00:00+02:00"],
                utc(),
            ),
            (
                &["2024-03-01T10:00:00Z", "2024-03-01T10:00:00"],
                DataType::Utf8,
            ),
            (&["", " "], DataType::Utf8),
        ];
        for (values, expected) in cases {
            assert_eq!(guess(values), expected, "{values:?}");
        }
    }
}
