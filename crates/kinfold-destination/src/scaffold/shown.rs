//! The rows that show an operation, and the answers to them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::answers::put;
use super::call::{Answer, Call};
use super::look_up::LookUp;
use super::objects::{Chosen, Object, Parts, key_schema};
use super::row::{fixed, open_map};
use super::sample;
use super::schema::Schema;
use crate::manifest::OperationName;

/// Two rows of an operation: its key and the fields that it needs, and some more.
pub(super) fn example_rows(chosen: &Chosen<'_>) -> Vec<Map<String, Value>> {
    let candidate = chosen.main();
    let row = candidate.request.row();
    let properties = row.map(|row| {
        let map = open_map(row).map(|map| map.name.clone());
        let own = row
            .properties
            .iter()
            .filter(|property| !fixed(property) && Some(&property.name) != map.as_ref());
        own.cloned().collect::<Vec<_>>()
    });
    let properties = properties.unwrap_or_default();
    let shown = match chosen.name {
        OperationName::Delete => Vec::new(),
        _ => sample::shown(&properties, &chosen.key),
    };
    let key = key_schema(candidate, &chosen.key);
    (0..2)
        .map(|at| {
            let mut row = Map::new();
            row.insert(
                chosen.key.clone(),
                distinct(sample::value(&chosen.key, &key, at), at),
            );
            for property in &shown {
                row.insert(
                    property.name.clone(),
                    sample::value(&property.name, &property.schema, at),
                );
            }
            row
        })
        .collect()
}

/// A key that is not the same for both rows, as that of an enumeration would be.
fn distinct(value: Value, at: usize) -> Value {
    match (value, at) {
        (value, 0) => value,
        (Value::String(text), _)
            if !matches!(
                text.as_str(),
                "b@example.com" | "id-2" | "two" | "Bo" | "+15005550102"
            ) =>
        {
            Value::from(format!("{text}-{}", at + 1))
        }
        (Value::Bool(value), _) => Value::Bool(!value),
        (value, _) => value,
    }
}

/// The answers to the requests of a batch of two rows.
pub(super) fn answers(
    parts: &Parts<'_>,
    calls: &[(Call, bool)],
    keys: &[Value],
    rows: u64,
) -> Vec<Answer> {
    let Some((first, _)) = calls.first() else {
        return Vec::new();
    };
    let found = |found: &LookUp, key: Option<&Value>, name: &str| {
        let mut body = Value::Null;
        let mut items = Vec::new();
        if let Some(key) = key {
            let mut item = Map::new();
            item.insert(found.id.clone(), Value::from("id-1"));
            item.insert(name.to_owned(), key.clone());
            items.push(Value::Object(item));
        }
        put(&mut body, &found.list, Value::Array(items));
        Answer { status: 200, body }
    };
    match parts {
        Parts::One(_) if rows >= 2 => {
            let body = first.mixed.as_ref().map(|mixed| mixed.body(keys, false));
            vec![Answer {
                body: body.unwrap_or_else(|| first.good.body.clone()),
                ..first.good
            }]
        }
        Parts::One(_) => keys
            .iter()
            .enumerate()
            .map(|(at, key)| {
                let one = std::slice::from_ref(key);
                let body = first.mixed.as_ref().map(|mixed| mixed.body(one, at == 0));
                Answer {
                    body: body.unwrap_or_else(|| first.good.body.clone()),
                    ..first.good
                }
            })
            .collect(),
        // The first row is not there, the second is.
        Parts::Search(look_up, add, _) => {
            let change = calls.get(1).map_or(&first.good, |(call, _)| &call.good);
            vec![
                found(look_up, None, &add.key),
                first.good.clone(),
                found(look_up, keys.get(1), &add.key),
                change.clone(),
            ]
        }
        Parts::Remove(look_up, _) => {
            let name = look_up.parameter.clone();
            vec![
                found(look_up, keys.first(), &name),
                first.good.clone(),
                found(look_up, None, &name),
            ]
        }
    }
}

/// Gives the rows of every exchange what the object needs as a whole.
pub(super) fn show(object: &mut Object) {
    let needed: BTreeMap<String, Schema> = object
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| (field.name.clone(), field.schema.clone()))
        .collect();
    let read_only: Vec<String> = object
        .fields
        .iter()
        .filter(|field| field.schema.read_only)
        .map(|field| field.name.clone())
        .collect();
    for planned in &mut object.operations {
        for (at, row) in planned.rows.iter_mut().enumerate() {
            for (name, schema) in &needed {
                row.entry(name.clone())
                    .or_insert_with(|| sample::value(name, schema, at));
            }
            row.retain(|name, _| !read_only.contains(name));
        }
    }
}
