//! Whether a document is what a JSON schema describes: the keywords that the schemas of this folder use, and no others.

use serde_json::{Map, Value};

/// Words that constrain nothing.
const REMARKS: [&str; 6] = [
    "$id",
    "$schema",
    "title",
    "description",
    "default",
    "format",
];

/// The one pattern of the schemas.
const WARN_OR_ERROR: &str = "^([Ww][Aa][Rr][Nn]|[Ee][Rr][Rr][Oo][Rr])$";

/// Everything in `value` that `schema` does not allow, with its place.
///
/// # Panics
/// When the schema has a keyword that is not known here: it would be taken for fulfilled.
pub fn violations(schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let schema = match schema {
        Value::Bool(true) => return vec![],
        Value::Bool(false) => return vec![format!("{place}: nothing is allowed here")],
        Value::Object(schema) => schema,
        other => panic!("{place}: {other} is no schema"),
    };
    let mut found = vec![];
    for (keyword, wanted) in schema {
        match keyword.as_str() {
            "type" => {
                if !is_of_type(value, wanted) {
                    found.push(format!("{place}: {} is not {wanted}", shown(value)));
                }
            }
            "enum" => {
                if !wanted.as_array().unwrap().contains(value) {
                    found.push(format!("{place}: {} is none of {wanted}", shown(value)));
                }
            }
            "const" => {
                if value != wanted {
                    found.push(format!("{place}: {} is not {wanted}", shown(value)));
                }
            }
            "anyOf" => found.extend(any_of(wanted, value, place)),
            "required" => {
                let keys = wanted.as_array().unwrap().iter().map(|key| key.as_str());
                let has = |key: &str| value.as_object().is_none_or(|all| all.contains_key(key));
                found.extend(
                    keys.map(Option::unwrap)
                        .filter(|key| !has(key))
                        .map(|key| format!("{place}: there is no `{key}`")),
                );
            }
            "properties" => {
                for (key, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        found.extend(violations(schema, value, &format!("{place}/{key}")));
                    }
                }
            }
            "additionalProperties" => found.extend(others(schema, wanted, value, place)),
            "propertyNames" => {
                for key in value.as_object().into_iter().flat_map(Map::keys) {
                    let name = Value::from(key.as_str());
                    found.extend(violations(wanted, &name, &format!("{place}/{key}")));
                }
            }
            "items" => {
                let first = schema.get("prefixItems").and_then(Value::as_array);
                let rest = value.as_array().into_iter().flatten().enumerate();
                for (index, item) in rest.skip(first.map_or(0, Vec::len)) {
                    found.extend(violations(wanted, item, &format!("{place}/{index}")));
                }
            }
            "prefixItems" => {
                let items = value.as_array().into_iter().flatten();
                for (index, (item, schema)) in items.zip(wanted.as_array().unwrap()).enumerate() {
                    found.extend(violations(schema, item, &format!("{place}/{index}")));
                }
            }
            "minItems" | "maxItems" => {
                let (count, limit) = (value.as_array().map(Vec::len), wanted.as_u64().unwrap());
                let holds = count.is_none_or(|count| match keyword.as_str() {
                    "minItems" => count as u64 >= limit,
                    _ => count as u64 <= limit,
                });
                if !holds {
                    found.push(format!("{place}: {keyword} is {limit}"));
                }
            }
            "pattern" => {
                assert_eq!(wanted, WARN_OR_ERROR, "a pattern that is not known");
                let word = value.as_str().unwrap_or("warn");
                if !["warn", "error"].contains(&word.to_lowercase().as_str()) {
                    found.push(format!("{place}: {} does not match", shown(value)));
                }
            }
            remark if REMARKS.contains(&remark) => {}
            other => panic!("the keyword `{other}` is not known"),
        }
    }
    found
}

/// Of several schemas one must hold; what is said is what keeps the nearest from it.
fn any_of(schemas: &Value, value: &Value, place: &str) -> Vec<String> {
    let schemas = schemas.as_array().unwrap().iter();
    let each = schemas.map(|schema| violations(schema, value, place));
    each.min_by_key(|found| (mistaken_kind(found), found.len()))
        .unwrap()
}

/// Whether a schema is about another kind of thing altogether.
fn mistaken_kind(found: &[String]) -> bool {
    found
        .iter()
        .any(|problem| problem.contains("/resource_type:"))
}

/// The keys that `properties` does not name.
fn others(schema: &Map<String, Value>, wanted: &Value, value: &Value, place: &str) -> Vec<String> {
    let named = schema.get("properties").and_then(Value::as_object);
    let others = value.as_object().into_iter().flatten();
    let others = others.filter(|(key, _)| named.is_none_or(|named| !named.contains_key(*key)));
    others
        .flat_map(|(key, value)| violations(wanted, value, &format!("{place}/{key}")))
        .collect()
}

fn is_of_type(value: &Value, wanted: &Value) -> bool {
    let one = |word: &str| match word {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type `{other}`"),
    };
    match wanted {
        Value::String(word) => one(word),
        Value::Array(words) => words.iter().any(|word| one(word.as_str().unwrap())),
        other => panic!("{other} is no type"),
    }
}

/// The start of a value.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
