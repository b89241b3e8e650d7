//! What is particular to the members of a row.

use serde_json::Value;

use super::expression::{literal, member};
use super::schema::{Kind, Property, Schema};
use super::words::words;
use super::yaml::Yaml;

/// Objects that take fields of any name, by the names that they usually have.
const MAPS: &[&str] = &[
    "attributes",
    "properties",
    "custom_fields",
    "fields",
    "traits",
    "data_fields",
    "merge_fields",
    "metadata",
    "custom_attributes",
    "user_attributes",
    "custom",
    "custom_properties",
    "params",
    "user_properties",
    "data",
];

/// An object of more fields is not taken apart.
const MOST_NAMES: usize = 24;

/// A member that is the same for every row.
pub(super) fn fixed(property: &Property) -> bool {
    let schema = &property.schema;
    schema.constant().is_some()
        && !schema.read_only
        && (property.required || property.name == "type")
}

/// The object of a row that takes fields of any name.
pub(super) fn open_map(row: &Schema) -> Option<&Property> {
    let mut maps = row.properties.iter().filter(|property| {
        let schema = &property.schema;
        let name = words(&property.name).join("_");
        schema.kind == Kind::Object
            && schema.open
            && !schema.read_only
            && MAPS.contains(&name.as_str())
    });
    let first = maps.next()?;
    let few = row.properties.len() <= MOST_NAMES;
    (few && maps.next().is_none()).then_some(first)
}

/// The fields of a row that stand beside its open map.
pub(super) fn named(row: &Schema) -> Vec<String> {
    let map = open_map(row).map(|map| map.name.clone());
    row.properties
        .iter()
        .filter(|property| {
            !fixed(property) && !property.schema.read_only && Some(&property.name) != map.as_ref()
        })
        .map(|property| property.name.clone())
        .collect()
}

/// A JSON value in a template that stands for itself.
pub(super) fn constant(value: &Value) -> Yaml {
    match value {
        Value::String(text) => Yaml::text(&literal(text)),
        Value::Array(items) => Yaml::list(items.iter().map(constant)),
        Value::Object(members) => Yaml::map(
            members
                .iter()
                .map(|(name, value)| (member(name), constant(value))),
        ),
        other => Yaml::Scalar(other.clone()),
    }
}
