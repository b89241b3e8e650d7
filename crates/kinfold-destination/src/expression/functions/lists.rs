//! Functions of lists and objects.

use serde_json::{Map, Value};

use super::texts;

pub(super) fn first(input: &Value, _: &[&Value]) -> Option<Value> {
    match input {
        Value::Array(items) => items.first().cloned(),
        other => Some(other.clone()),
    }
}

pub(super) fn last(input: &Value, _: &[&Value]) -> Option<Value> {
    match input {
        Value::Array(items) => items.last().cloned(),
        other => Some(other.clone()),
    }
}

pub(super) fn join(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let separator = texts::of(arguments.first()?)?;
    let parts: Vec<String> = match input {
        Value::Array(items) => items.iter().filter_map(texts::of).collect(),
        other => vec![texts::of(other)?],
    };
    Some(parts.join(&separator).into())
}

pub(super) fn get(input: &Value, arguments: &[&Value]) -> Option<Value> {
    input.get(arguments.first()?.as_str()?).cloned()
}

pub(super) fn count(input: &Value, _: &[&Value]) -> Option<Value> {
    let count = match input {
        Value::Null => 0,
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 1,
    };
    Some(count.into())
}

pub(super) fn concat(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let items = |value: &Value| match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let mut all = items(input);
    all.extend(items(arguments.first()?));
    Some(Value::Array(all))
}

pub(super) fn merge(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let mut all = Map::new();
    for value in [input, arguments.first()?] {
        match value {
            Value::Object(map) => all.extend(map.clone()),
            Value::Null => {}
            _ => return None,
        }
    }
    Some(Value::Object(all))
}

pub(super) fn without(input: &Value, arguments: &[&Value]) -> Option<Value> {
    Some(filtered(input.as_object()?, |name| {
        !is_named(arguments, name)
    }))
}

pub(super) fn only(input: &Value, arguments: &[&Value]) -> Option<Value> {
    Some(filtered(input.as_object()?, |name| {
        is_named(arguments, name)
    }))
}

fn is_named(arguments: &[&Value], name: &str) -> bool {
    arguments
        .iter()
        .any(|argument| argument.as_str() == Some(name))
}

fn filtered(map: &Map<String, Value>, keeps: impl Fn(&str) -> bool) -> Value {
    let kept = map.iter().filter(|(name, _)| keeps(name));
    Value::Object(
        kept.map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}
