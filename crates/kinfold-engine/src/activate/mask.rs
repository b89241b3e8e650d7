//! Rows that a person may see without seeing people.

use kinfold_sync::ObjectText;
use serde_json::{Map, Value};

use super::class::{Class, Row};
use super::report::Example;

/// A row with its values masked.
pub(super) fn example(row: &Row<'_>, fields: &[String]) -> Option<Example> {
    let fields = match row.class {
        Class::Remove => Map::new(),
        Class::Clear => fields
            .iter()
            .map(|field| (field.clone(), Value::Null))
            .collect(),
        _ => masked(ObjectText::new(row.payload?.text)?.parse()?),
    };
    Some(Example {
        operation: row.class.word(),
        key: masked(ObjectText::new(row.key?)?.parse()?),
        fields,
    })
}

/// The same fields with their values masked.
pub(super) fn masked(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter()
        .map(|(field, value)| (field, mask(value)))
        .collect()
}

/// The first character and the length; of an e-mail address also the domain. Nulls and the shape of lists
/// and objects stay.
fn mask(value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => match text.rsplit_once('@') {
            Some((local, domain)) if !local.is_empty() && domain.contains('.') => {
                Value::String(format!("{}@{domain}", hidden(local)))
            }
            _ => Value::String(hidden(&text)),
        },
        Value::Bool(_) | Value::Number(_) => Value::String(hidden(&value.to_string())),
        Value::Array(items) => Value::Array(items.into_iter().map(mask).collect()),
        Value::Object(map) => Value::Object(masked(map)),
    }
}

fn hidden(text: &str) -> String {
    let length = text.chars().count();
    match text.chars().next() {
        None => String::new(),
        // One character of two is half of it.
        Some(first) if length > 2 => format!("{first}…({length})"),
        Some(_) => format!("…({length})"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_hidden_and_their_shape_is_not() {
        let row = json!({"email": "ann.miller@example.com", "age": 42, "vip": true, "name": "", "x": null, "tags": ["blue"]});
        assert_eq!(
            mask(row),
            json!({"email": "a…(10)@example.com", "age": "…(2)", "vip": "t…(4)", "name": "", "x": null, "tags": ["b…(4)"]})
        );
    }
}
