//! What a document says of limits and of the words of errors.

use serde_json::{Value, json};

use super::api::{Api, Operation, scalar};
use super::expression::path;
use super::prose;
use super::schema::{Kind, Schema};
use super::words::{has, words};
use super::yaml::Yaml;

/// What a document says of calls that are too many.
#[derive(Default)]
pub(super) struct Limits {
    pub(super) limits: Vec<Yaml>,
    pub(super) rules: Vec<Yaml>,
    pub(super) notes: Vec<String>,
    /// The header of 429 that says how long to wait, and a value of it, for the recorded fault.
    pub(super) header: Option<(String, &'static str)>,
}

/// Limits and the rule for 429, from the descriptions of these operations and of the document.
pub(super) fn limits(api: &Api, operations: &[&Operation]) -> Limits {
    let mut found = Limits::default();
    let info = api
        .root
        .get("info")
        .and_then(|info| info.get("description"))
        .map(scalar)
        .unwrap_or_default();
    let mut texts: Vec<String> = Vec::new();
    for operation in operations {
        texts.push(operation.description.clone());
        texts.push(
            answer(api, operation, "429")
                .and_then(|answer| answer.get("description"))
                .map(scalar)
                .unwrap_or_default(),
        );
    }
    texts.push(info);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    if let Some((calls, per)) = prose::pace(&texts) {
        found.limits.push(Yaml::map([
            ("calls", Yaml::Scalar(json!(calls))),
            ("per", Yaml::text(per)),
        ]));
        found.notes.push(
            "This was read in a sentence of the document. Is it the limit of these calls?"
                .to_owned(),
        );
    }
    let header = operations.iter().find_map(|operation| {
        let headers = answer(api, operation, "429")?.get("headers")?.as_object()?;
        if headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case("retry-after"))
        {
            return None;
        }
        headers
            .iter()
            .find(|(name, _)| has(&words(name), &["reset", "after"]))
            .map(|(name, value)| {
                (
                    name.to_lowercase(),
                    api.resolve(value)
                        .get("description")
                        .map(scalar)
                        .unwrap_or_default(),
                )
            })
    });
    if let Some((name, about)) = header {
        let path = super::expression::field("header", &name);
        let about = words(&about);
        let is_time = has(&about, &["epoch", "unix", "timestamp", "utc", "date"]);
        let wait = match is_time {
            true => format!("{path} | number | time"),
            false => format!("{path} | number"),
        };
        if !is_time && !has(&about, &["seconds", "second"]) {
            found.notes.push(format!(
                "Is `{name}` a number of seconds, or a time (then `{path} | number | time`)?"
            ));
        }
        found.rules.push(Yaml::map([
            ("status", Yaml::Scalar(json!(429))),
            ("is", Yaml::text("throttled")),
            ("wait", Yaml::text(&wait)),
        ]));
        // Three seconds after the time of exchanges.
        found.header = Some((name, if is_time { "1767323048" } else { "3" }));
    }
    found
}

fn answer<'a>(api: &'a Api, operation: &'a Operation, status: &str) -> Option<&'a Value> {
    operation
        .value
        .get("responses")?
        .get(status)
        .map(|answer| api.resolve(answer))
}

/// Where the words of a refusal are, if not in a place where they are looked for anyway.
pub(super) fn error_message(api: &Api, operation: &Operation) -> Option<String> {
    let schema = ["400", "422", "4XX", "default"]
        .into_iter()
        .find_map(|status| {
            let answer = answer(api, operation, status)?;
            let content = answer.get("content").and_then(Value::as_object);
            let json =
                content.and_then(|content| content.iter().find(|(name, _)| name.contains("json")));
            let schema = json
                .and_then(|(_, media)| media.get("schema"))
                .or_else(|| answer.get("schema"))?;
            Some(api.schema(schema))
        })?;
    if usual(&schema) {
        return None;
    }
    place(&schema, &[], 0).map(|way| path("$", &way))
}

/// Whether the words are where the interpreter looks for them.
fn usual(schema: &Schema) -> bool {
    let names = [
        "message",
        "detail",
        "reason",
        "msg",
        "title",
        "error_description",
    ];
    if names.iter().any(|name| {
        schema
            .property(name)
            .is_some_and(|property| property.schema.is_scalar())
    }) {
        return true;
    }
    let error = schema.property("error").map(|property| &property.schema);
    let of_error = error.is_some_and(|error| {
        (error.kind == Kind::Text)
            || error
                .property("message")
                .or_else(|| error.property("detail"))
                .is_some()
    });
    let items = schema
        .property("errors")
        .and_then(|property| property.schema.items.as_deref());
    let of_items = items.is_some_and(|items| {
        items.kind == Kind::Text
            || ["message", "detail", "title"]
                .iter()
                .any(|name| items.property(name).is_some())
    });
    of_error || of_items
}

fn place(schema: &Schema, way: &[String], depth: usize) -> Option<Vec<String>> {
    let known = [
        "message",
        "description",
        "text",
        "reason",
        "detail",
        "details",
        "explanation",
    ];
    let below = |name: &str| [way, &[name.to_owned()]].concat();
    let own = schema
        .properties
        .iter()
        .find(|property| property.schema.kind == Kind::Text && has(&words(&property.name), &known));
    if let Some(own) = own {
        return Some(below(&own.name));
    }
    let inner = schema
        .properties
        .iter()
        .filter(|property| property.schema.kind == Kind::Object && depth < 2);
    inner
        .into_iter()
        .find_map(|property| place(&property.schema, &below(&property.name), depth + 1))
}
