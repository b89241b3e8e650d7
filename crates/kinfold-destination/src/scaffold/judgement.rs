//! What an item of an answer says: of which row, and whether it is good.

use serde_json::{Value, json};

use super::expression::{field, path, quoted};
use super::schema::{Kind, Schema};
use super::words::{has, words};
use super::yaml::Yaml;

const INDEXES: &[&str] = &[
    "index",
    "position",
    "batch_index",
    "item_index",
    "row_index",
    "record_index",
    "row",
    "line",
    "idx",
    "row_number",
    "offset",
];

const STATUSES: &[&str] = &[
    "status",
    "state",
    "result",
    "outcome",
    "code",
    "status_code",
];

const GOOD: &[&str] = &[
    "ok",
    "success",
    "succeeded",
    "successful",
    "created",
    "updated",
    "accepted",
    "done",
    "completed",
    "upserted",
    "unchanged",
    "queued",
    "added",
    "processed",
    "complete",
    "inserted",
];

pub(super) const FLAGS: &[&str] = &[
    "success",
    "ok",
    "succeeded",
    "successful",
    "is_success",
    "valid",
    "accepted",
];

/// How an item names its row.
#[derive(Clone)]
pub(super) enum By {
    Position,
    Index(Vec<String>),
    Field(String),
    /// The item is the value of the key.
    Itself,
}

/// How an item of a list names its row.
pub(super) fn by(items: &Schema, row: Option<&Schema>, key: &str, way: &[String]) -> Option<By> {
    if items.is_scalar() {
        let name = way
            .last()
            .map(|name| words(name).join("_"))
            .unwrap_or_default();
        let of_key = words(key).join("_");
        return (items.kind == Kind::Text && name.contains(&of_key)).then_some(By::Itself);
    }
    let whole = |schema: &Schema| matches!(schema.kind, Kind::Whole | Kind::Number);
    let index = items.properties.iter().find(|property| {
        whole(&property.schema) && INDEXES.contains(&words(&property.name).join("_").as_str())
    });
    if let Some(index) = index {
        return Some(By::Index(vec![index.name.clone()]));
    }
    let same = |schema: &Schema| {
        schema
            .properties
            .iter()
            .any(|property| property.name == key && property.schema.is_scalar())
    };
    let is_field = row.is_none_or(same);
    (is_field && same(items)).then(|| By::Field(key.to_owned()))
}

/// The conditions under which an item is good, and items for examples.
pub(super) struct Judgement {
    pub(super) good_if: String,
    pub(super) good: Value,
    pub(super) bad: Value,
}

pub(super) fn verdict(items: &Schema) -> Option<Judgement> {
    let named = |known: &[&str]| {
        let known = known.to_vec();
        items
            .properties
            .iter()
            .find(move |property| known.contains(&words(&property.name).join("_").as_str()))
    };
    if let Some(flag) = named(FLAGS).filter(|property| property.schema.kind == Kind::Bool) {
        let name = &flag.name;
        return Some(Judgement {
            good_if: format!("{} == true", field("$", name)),
            good: json!({name: true}),
            bad: json!({name: false}),
        });
    }
    if let Some(status) = named(STATUSES) {
        let name = &status.name;
        let texts: Vec<&str> = status
            .schema
            .choices
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let good: Vec<&str> = texts
            .iter()
            .copied()
            .filter(|text| has(&words(text), GOOD) && !has(&words(text), &["not", "partially"]))
            .collect();
        let bad = texts.iter().find(|text| !good.contains(text));
        if let (Some(first), Some(bad)) = (good.first(), bad) {
            let listed: Vec<String> = good.iter().map(|text| quoted(text)).collect();
            return Some(Judgement {
                good_if: format!("{} in [{}]", field("$", name), listed.join(", ")),
                good: json!({name: first}),
                bad: json!({name: bad}),
            });
        }
        if matches!(status.schema.kind, Kind::Whole) {
            let path = field("$", name);
            return Some(Judgement {
                good_if: format!("{path} >= 200 and {path} < 300"),
                good: json!({name: 200}),
                bad: json!({name: 400}),
            });
        }
    }
    let error = items.properties.iter().find(|property| {
        [
            "error",
            "errors",
            "error_message",
            "error_code",
            "failure_reason",
        ]
        .contains(&words(&property.name).join("_").as_str())
    })?;
    let path = field("$", &error.name);
    let name = &error.name;
    Some(match error.schema.kind {
        Kind::List => Judgement {
            good_if: format!("({path} | count) == 0"),
            good: json!({name: []}),
            bad: json!({name: [{"message": "refused"}]}),
        },
        Kind::Object => Judgement {
            good_if: format!("{path} == null"),
            good: json!({}),
            bad: json!({name: {"message": "refused"}}),
        },
        _ => Judgement {
            good_if: format!("{path} == null"),
            good: json!({}),
            bad: json!({name: "refused"}),
        },
    })
}

/// The entries of `rows` by which an item finds its row.
pub(super) fn found_by(by: &By, key: &str) -> Vec<(&'static str, Yaml)> {
    let of_key = "row.key_value | text".to_owned();
    match by {
        By::Position => vec![("index", Yaml::text("position"))],
        By::Index(way) => vec![("index", Yaml::text(&path("$", way)))],
        By::Itself => vec![("item", Yaml::text("$")), ("row", Yaml::text(&of_key))],
        By::Field(name) => {
            let row = match name == key {
                true => field("row.key", key),
                false => field("row.fields", name),
            };
            vec![
                ("item", Yaml::text(&field("$", name))),
                ("row", Yaml::text(&row)),
            ]
        }
    }
}

/// Where the words of an error are, if not in a usual place.
pub(super) fn message(items: &Schema) -> Option<String> {
    const USUAL: &[&str] = &[
        "message",
        "detail",
        "reason",
        "error",
        "msg",
        "title",
        "error_description",
    ];
    const OTHERS: &[&str] = &[
        "error_message",
        "description",
        "failure_reason",
        "reason_text",
        "text",
        "errors",
        "cause",
        "explanation",
    ];
    let names: Vec<(&str, String)> = items
        .properties
        .iter()
        .filter(|property| property.schema.is_scalar())
        .map(|property| (property.name.as_str(), words(&property.name).join("_")))
        .collect();
    if names.iter().any(|(name, _)| USUAL.contains(name)) {
        return None;
    }
    let found = OTHERS
        .iter()
        .find_map(|known| names.iter().find(|(_, name)| name == known));
    found.map(|(name, _)| field("$", name))
}
