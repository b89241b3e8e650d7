//! Answers of a document, and such as they could be.

use serde_json::{Value, json};

use super::api::{Api, Operation};
use super::judgement::By;
use super::schema::{Kind, Schema};

/// The successful answer of an operation.
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) schema: Option<Schema>,
    /// Whether it is JSON, or nothing.
    pub(super) json: bool,
}

/// The successful answers of an operation, the first that says most.
pub(super) fn success(api: &Api, operation: &Operation) -> Option<Success> {
    let responses = operation.value.get("responses")?.as_object()?;
    let mut found: Vec<Success> = Vec::new();
    for (status, response) in responses {
        let status = match status.as_str() {
            "default" | "2XX" | "2xx" => 200,
            status => match status.parse::<u16>() {
                Ok(status) if (200..300).contains(&status) => status,
                _ => continue,
            },
        };
        let response = api.resolve(response);
        let (schema, json) = if api.swagger {
            let produces = operation.value.get("produces").or(api.root.get("produces"));
            let text = produces.and_then(Value::as_array).is_some_and(|types| {
                !types.is_empty()
                    && !types
                        .iter()
                        .filter_map(Value::as_str)
                        .any(|name| name.contains("json"))
            });
            let schema = response.get("schema").map(|schema| api.schema(schema));
            let plain = schema
                .as_ref()
                .is_some_and(|schema| schema.kind == Kind::Text);
            (schema, !text && !plain)
        } else {
            let content = response.get("content").and_then(Value::as_object);
            let json = content.and_then(|content| {
                content
                    .iter()
                    .find(|(name, _)| name.contains("json") || *name == "*/*")
            });
            let schema = json
                .and_then(|(_, media)| media.get("schema"))
                .map(|schema| api.schema(schema));
            (
                schema,
                json.is_some() || content.is_none_or(serde_json::Map::is_empty),
            )
        };
        found.push(Success {
            status,
            schema,
            json,
        });
    }
    // 207 has more to say than 200, and any schema more than none.
    found.into_iter().max_by_key(|success| {
        let schema = success
            .schema
            .as_ref()
            .map_or(0, |schema| usize::from(schema.kind != Kind::Any) + 1);
        (
            success.status == 207,
            schema,
            std::cmp::Reverse(success.status),
        )
    })
}

/// The first list of objects in an answer, and the shape of its items.
pub(super) fn first_list(schema: &Schema) -> Option<(Vec<String>, &Schema)> {
    let mut lists = Vec::new();
    lists_of(schema, &[], 0, &mut lists);
    lists.into_iter().find(|(_, items)| !items.is_scalar())
}

pub(super) fn lists_of<'a>(
    schema: &'a Schema,
    way: &[String],
    depth: usize,
    found: &mut Vec<(Vec<String>, &'a Schema)>,
) {
    if schema.kind == Kind::List
        && let Some(items) = schema.items.as_deref()
    {
        found.push((way.to_vec(), items));
    }
    if depth < 3 && schema.kind == Kind::Object {
        for property in &schema.properties {
            let mut way = way.to_vec();
            way.push(property.name.clone());
            lists_of(&property.schema, &way, depth + 1, found);
        }
    }
}

/// How the answer that refuses the second row is made.
pub(super) enum Mixed {
    /// An item by itself, in a list below this way: with the position, or the value of the key.
    Error { way: Vec<String>, by: By },
    /// One item for each row.
    Results {
        way: Vec<String>,
        by: By,
        good: Value,
        bad: Value,
    },
}

impl Mixed {
    /// The answer for rows with these values of the key; all are taken but the last of several.
    pub(super) fn body(&self, keys: &[Value], all_good: bool) -> Value {
        let name = |mut item: Value, by: &By, at: usize, key: &Value| {
            match by {
                By::Position => {}
                By::Index(way) => put(&mut item, way, json!(at)),
                By::Field(field) => put(&mut item, std::slice::from_ref(field), key.clone()),
                By::Itself => return key.clone(),
            }
            item
        };
        let last = keys.len().saturating_sub(1);
        let refused = |at: usize| at == last && !all_good;
        let mut body = Value::Null;
        match self {
            Self::Error { way, by } => {
                let items: Vec<Value> = keys
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| refused(*at))
                    .map(|(at, key)| name(json!({"message": "refused"}), by, at, key))
                    .collect();
                put(&mut body, way, Value::Array(items));
            }
            Self::Results { way, by, good, bad } => {
                let items: Vec<Value> = keys
                    .iter()
                    .enumerate()
                    .map(|(at, key)| {
                        let item = if refused(at) { bad } else { good };
                        name(item.clone(), by, at, key)
                    })
                    .collect();
                put(&mut body, way, Value::Array(items));
            }
        }
        body
    }
}

/// Puts a value at a place, with objects on the way to it.
pub(super) fn put(body: &mut Value, way: &[String], value: Value) {
    let Some((first, rest)) = way.split_first() else {
        *body = value;
        return;
    };
    if !body.is_object() {
        *body = json!({});
    }
    if let Value::Object(members) = body {
        put(
            members.entry(first.clone()).or_insert(Value::Null),
            rest,
            value,
        );
    }
}
