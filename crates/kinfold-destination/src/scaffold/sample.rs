//! Made-up values for exchanges.

use serde_json::{Map, Value, json};

use super::schema::{Kind, Property, Schema};
use super::words::words;

/// Objects inside objects of a made-up value.
const MAX_DEPTH: usize = 4;

/// A value of a schema, for the row of this number (from 0). Nobody's: addresses are of `example.com`, telephone
/// numbers of the range for fiction.
pub(super) fn value(name: &str, schema: &Schema, row: usize) -> Value {
    below(name, schema, row, 0)
}

fn below(name: &str, schema: &Schema, row: usize, depth: usize) -> Value {
    if let Some(first) = schema.choices.first() {
        return first.clone();
    }
    match schema.kind {
        Kind::Bool => json!(true),
        Kind::Whole | Kind::Number => number(schema, row),
        Kind::List => match schema.items.as_deref().filter(|_| depth < MAX_DEPTH) {
            Some(items) => json!([below(name, items, row, depth + 1)]),
            None => json!([]),
        },
        Kind::Object => {
            let properties = schema.properties.iter().filter(|_| depth < MAX_DEPTH);
            let needed =
                properties.filter(|property| property.required && !property.schema.read_only);
            let members: Map<String, Value> = needed
                .map(|property| {
                    (
                        property.name.clone(),
                        below(&property.name, &property.schema, row, depth + 1),
                    )
                })
                .collect();
            Value::Object(members)
        }
        Kind::Any | Kind::Text => text(name, &schema.format, row),
    }
}

fn number(schema: &Schema, row: usize) -> Value {
    let least = schema.minimum.unwrap_or(1.0).clamp(-1e9, 1e9).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is a whole number between two small ones"
    )]
    let least = least as i64;
    let row = i64::try_from(row).unwrap_or_default();
    json!(least.max(1) + row)
}

fn text(name: &str, format: &str, row: usize) -> Value {
    let pick = |values: [&str; 2]| json!(values.get(row % 2).copied().unwrap_or_default());
    let words = words(name);
    let has = |word: &str| words.iter().any(|known| known == word);
    match format {
        "email" => return pick(["a@example.com", "b@example.com"]),
        "date-time" => return pick(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        "date" => return pick(["2026-01-01", "2026-01-02"]),
        "time" => return pick(["00:00:00Z", "01:00:00Z"]),
        "uuid" => {
            return pick([
                "00000000-0000-4000-8000-000000000001",
                "00000000-0000-4000-8000-000000000002",
            ]);
        }
        "uri" | "url" => return pick(["https://a.example.com/", "https://b.example.com/"]),
        _ => {}
    }
    if has("email") || has("emails") {
        pick(["a@example.com", "b@example.com"])
    } else if has("phone") || has("sms") || has("mobile") {
        pick(["+15005550101", "+15005550102"])
    } else if has("first") || has("name") || has("firstname") {
        pick(["Ada", "Bo"])
    } else if has("url") || has("website") {
        pick(["https://a.example.com/", "https://b.example.com/"])
    } else if has("country") {
        pick(["CH", "DE"])
    } else if has("id") || has("key") || has("uuid") {
        pick(["id-1", "id-2"])
    } else {
        pick(["one", "two"])
    }
}

/// The fields of a row that are worth showing: all that it must have, and a few more.
pub(super) fn shown<'a>(properties: &'a [Property], key: &str) -> Vec<&'a Property> {
    const MORE: usize = 2;
    let mut more = 0;
    let others = properties
        .iter()
        .filter(|property| property.name != key && !property.schema.read_only);
    others
        .filter(|property| {
            let also = property.schema.is_scalar() && more < MORE;
            more += usize::from(also && !property.required);
            property.required || also
        })
        .collect()
}
