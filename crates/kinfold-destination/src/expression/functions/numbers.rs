//! Functions of numbers, times and choices.

use serde_json::{Number, Value};

use super::super::time::{parse_time, time_text, whole};
use super::texts;

pub(super) fn default(input: &Value, arguments: &[&Value]) -> Option<Value> {
    if input.is_null() {
        arguments.first().map(|value| (*value).clone())
    } else {
        Some(input.clone())
    }
}

pub(super) fn then(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let at = usize::from(*input != Value::Bool(true));
    arguments.get(at).map(|value| (*value).clone())
}

pub(super) fn number(input: &Value, _: &[&Value]) -> Option<Value> {
    match input {
        Value::Number(number) => Some(Value::Number(number.clone())),
        Value::String(text) => serde_json::from_str::<Number>(text.trim())
            .ok()
            .map(Value::Number),
        _ => None,
    }
}

pub(super) fn plus(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let other = arguments.first()?;
    if let (Some(left), Some(right)) = (input.as_i64(), other.as_i64()) {
        return left.checked_add(right).map(Value::from);
    }
    let sum = input.as_f64()? + other.as_f64()?;
    Number::from_f64(sum).map(Value::Number)
}

pub(super) fn times(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let other = arguments.first()?;
    if let (Some(left), Some(right)) = (input.as_i64(), other.as_i64()) {
        return left.checked_mul(right).map(Value::from);
    }
    shortest(input.as_f64()? * other.as_f64()?)
}

pub(super) fn divided_by(input: &Value, arguments: &[&Value]) -> Option<Value> {
    shortest(input.as_f64()? / arguments.first()?.as_f64()?)
}

/// A whole number without a point: APIs that count refuse `3.0`.
fn shortest(number: f64) -> Option<Value> {
    match whole(number) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "compared with what it was made of"
        )]
        Some(whole) if whole as f64 == number => Some(whole.into()),
        _ => Number::from_f64(number).map(Value::Number),
    }
}

pub(super) fn time(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(time_text(parse_time(input)?).into())
}

pub(super) fn epoch(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(parse_time(input)?.timestamp().into())
}

pub(super) fn epoch_ms(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(parse_time(input)?.timestamp_millis().into())
}

pub(super) fn iso(input: &Value, _: &[&Value]) -> Option<Value> {
    time(input, &[])
}

pub(super) fn date(input: &Value, arguments: &[&Value]) -> Option<Value> {
    use std::fmt::Write as _;
    let format = texts::of(arguments.first()?)?;
    let mut text = String::new();
    // A format that means nothing is an error here, and would be a panic in `to_string`.
    write!(text, "{}", parse_time(input)?.format(&format)).ok()?;
    Some(text.into())
}

/// Seconds that a number stands for; none if it is below 0.
pub(crate) fn seconds(value: &Value) -> Option<std::time::Duration> {
    let milliseconds = whole(value.as_f64()? * 1_000.0)?;
    u64::try_from(milliseconds)
        .ok()
        .map(std::time::Duration::from_millis)
}
