//! A request, or an answer, against the operation that it names.

use kinfold_destination::kit::{RecordedAnswer, RecordedRequest};
use serde_json::{Map, Value, json};

use super::document::Operation;
use super::finding::Finding;
use super::form;
use super::schema::{Checker, Way};

/// Everything that is wrong with a request.
pub fn request(operation: &Operation<'_>, request: &RecordedRequest) -> Vec<Finding> {
    let mut found = Vec::new();
    parameters(operation, request, &mut found);
    if operation.document.is_swagger_2() {
        swagger_body(operation, request, &mut found);
    } else {
        body(operation, request, &mut found);
    }
    found
}

fn parameters(operation: &Operation<'_>, request: &RecordedRequest, found: &mut Vec<Finding>) {
    let query = request.url.split_once('?').map_or("", |(_, query)| query);
    let query = form::pairs(query.as_bytes());
    let mut used = vec![false; query.len()];
    for parameter in operation.parameters() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let kind = parameter["in"].as_str().unwrap_or_default();
        // A parameter with a `content` is the text of a JSON value.
        let content = &parameter["content"]["application/json"]["schema"];
        let schema = match content {
            Value::Null => parameter.get("schema").unwrap_or(parameter),
            content => content,
        };
        let schema = operation.document.part(schema);
        let json = !content.is_null();
        let value = match kind {
            "path" => text_of(&operation.path, name, false),
            "header" if ["accept", "content-type", "authorization"].contains(&lower(name)) => {
                continue;
            }
            "header" => text_of(&request.headers, name, true),
            "query" if json => {
                let at = query.iter().position(|(known, _)| known == name);
                at.map(|at| {
                    used[at] = true;
                    serde_json::from_str(&query[at].1)
                        .unwrap_or_else(|_| query[at].1.clone().into())
                })
            }
            "query" => from_query(parameter, schema, name, &query, &mut used),
            _ => continue,
        };
        let at = format!("{kind}/{name}");
        match value {
            Some(value) => {
                let checker = Checker {
                    document: operation.document,
                    way: Way::Request,
                    textual: !json,
                };
                let schema = as_schema(schema);
                found.extend(checker.check(&schema, &value, &at));
            }
            None if parameter.get("required") == Some(&Value::Bool(true)) => {
                found.push(Finding::new(at, "required", "is missing"));
            }
            None => {}
        }
    }
    for ((name, _), used) in query.iter().zip(used) {
        if !used {
            let at = format!("query/{name}");
            found.push(Finding::new(at, "undeclared", "no such parameter"));
        }
    }
}

fn lower(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "accept" => "accept",
        "content-type" => "content-type",
        "authorization" => "authorization",
        _ => "",
    }
}

/// A parameter of Swagger 2 is its own schema, with a `required` that means something else.
fn as_schema(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(map) = &mut schema
        && map.get("required").is_some_and(Value::is_boolean)
    {
        map.shift_remove("required");
    }
    schema
}

fn text_of(from: &[(String, String)], name: &str, any_case: bool) -> Option<Value> {
    let same = |known: &str| known == name || any_case && known.eq_ignore_ascii_case(name);
    let entry = from.iter().find(|(known, _)| same(known))?;
    Some(Value::from(entry.1.as_str()))
}

fn from_query(
    parameter: &Value,
    schema: &Value,
    name: &str,
    query: &[(String, String)],
    used: &mut [bool],
) -> Option<Value> {
    let list = format!("{name}[]");
    let deep = format!("{name}[");
    let mut values: Vec<Value> = Vec::new();
    let mut below: Vec<(String, String)> = Vec::new();
    for ((key, value), used) in query.iter().zip(used) {
        if *key == name || *key == list {
            values.push(Value::from(value.as_str()));
        } else if parameter["style"] == "deepObject" && key.starts_with(&deep) {
            below.push((key.clone(), value.clone()));
        } else {
            continue;
        }
        *used = true;
    }
    if !below.is_empty() {
        return form::tree(below).get(name).cloned();
    }
    if values.is_empty() {
        return None;
    }
    if schema["type"] != "array" {
        return values.into_iter().next();
    }
    let separate = parameter["explode"] != false
        && parameter["style"].as_str().unwrap_or("form") == "form"
        && parameter.get("schema").is_some();
    if separate || parameter["collectionFormat"] == "multi" {
        return Some(Value::Array(values));
    }
    let first = values.first().and_then(Value::as_str).unwrap_or_default();
    Some(first.split(',').map(Value::from).collect())
}

/// The type of a body without its parameters.
fn essence(request: &RecordedRequest) -> Option<String> {
    let header = request.headers.iter();
    let mut header = header.filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let text = header.next()?.1.split(';').next()?.trim();
    Some(text.to_ascii_lowercase())
}

/// Whether a type of a specification (`*/*`, `text/*`, `application/json; charset=utf-8`) is this one.
fn is_type(declared: &str, essence: &str) -> bool {
    let declared = declared.split(';').next().unwrap_or_default().trim();
    let declared = declared.to_ascii_lowercase();
    match declared.strip_suffix('*') {
        Some("*/") => true,
        Some(start) => essence.starts_with(start),
        None => declared == essence,
    }
}

fn body(operation: &Operation<'_>, request: &RecordedRequest, found: &mut Vec<Finding>) {
    let declared = operation.operation.get("requestBody");
    let declared = declared.map(|body| operation.document.part(body));
    if request.body.is_empty() {
        if declared.is_some_and(|body| body["required"] == true) {
            found.push(Finding::new("body", "required", "is missing"));
        }
        return;
    }
    let Some(declared) = declared else {
        found.push(Finding::new("body", "undeclared", "there is no body"));
        return;
    };
    let Some(essence) = essence(request) else {
        found.push(Finding::new(
            "header/content-type",
            "required",
            "is missing",
        ));
        return;
    };
    let content = declared["content"].as_object();
    let media = content.and_then(|content| {
        let mut entries = content.iter();
        entries.find(|(declared, _)| is_type(declared, &essence))
    });
    let Some((_, media)) = media else {
        let message = format!("{essence} is not described");
        found.push(Finding::new("header/content-type", "type", message));
        return;
    };
    let schema = media.get("schema").unwrap_or(&Value::Bool(true));
    content_fits(operation, schema, &essence, request, found);
}

fn swagger_body(operation: &Operation<'_>, request: &RecordedRequest, found: &mut Vec<Finding>) {
    let parameters = operation.parameters();
    let body = parameters
        .iter()
        .find(|parameter| parameter["in"] == "body");
    let fields: Vec<_> = parameters
        .iter()
        .filter(|parameter| parameter["in"] == "formData")
        .collect();
    if request.body.is_empty() {
        let required = fields.iter().any(|field| field["required"] == true)
            || body.is_some_and(|body| body["required"] == true);
        if required {
            found.push(Finding::new("body", "required", "is missing"));
        }
        return;
    }
    let Some(essence) = essence(request) else {
        found.push(Finding::new(
            "header/content-type",
            "required",
            "is missing",
        ));
        return;
    };
    let consumes = operation.operation.get("consumes");
    let consumes = consumes.or_else(|| operation.document.root().get("consumes"));
    let usual = json!(["application/json"]);
    let consumes = match consumes {
        Some(Value::Array(all)) if !all.is_empty() => consumes.unwrap_or(&usual),
        _ => &usual,
    };
    let types = consumes.as_array().into_iter().flatten();
    if !types
        .filter_map(Value::as_str)
        .any(|declared| is_type(declared, &essence))
    {
        let message = format!("{essence} is none of {consumes}");
        found.push(Finding::new("header/content-type", "type", message));
        return;
    }
    let schema = match body {
        Some(body) => body["schema"].clone(),
        None if fields.is_empty() => {
            found.push(Finding::new("body", "undeclared", "there is no body"));
            return;
        }
        None => {
            let name = |field: &Value| field["name"].as_str().unwrap_or_default().to_owned();
            let required = fields.iter().filter(|field| field["required"] == true);
            let required: Vec<String> = required.map(|field| name(field)).collect();
            let properties: Map<String, Value> = fields
                .iter()
                .map(|field| (name(field), as_schema(field)))
                .collect();
            json!({"type": "object", "properties": properties, "required": required})
        }
    };
    content_fits(operation, &schema, &essence, request, found);
}

fn content_fits(
    operation: &Operation<'_>,
    schema: &Value,
    essence: &str,
    request: &RecordedRequest,
    found: &mut Vec<Finding>,
) {
    let header = request.headers.iter();
    let mut header = header.filter(|(name, _)| name == "content-type");
    let header = header.next().map_or("", |(_, value)| value.as_str());
    let (value, textual) = match form::read(essence, header, &request.body) {
        Ok(read) => read,
        Err(reason) => {
            found.push(Finding::new("body", "syntax", reason));
            return;
        }
    };
    let checker = Checker {
        document: operation.document,
        way: Way::Request,
        textual,
    };
    found.extend(checker.check(schema, &value, "body"));
}

/// What a specification says of an answer.
pub enum Described {
    /// Nothing that could be checked.
    Nothing,
    /// This is wrong with it; nothing, if it is as described.
    Findings(Vec<Finding>),
}

/// Everything that is wrong with an answer.
pub fn answer(operation: &Operation<'_>, answer: &RecordedAnswer) -> Described {
    let status = answer.status.to_string();
    let responses = &operation.operation["responses"];
    let class = format!("{}XX", &status[..1]);
    let described = [status.as_str(), &class, &class.to_lowercase(), "default"]
        .iter()
        .find_map(|key| responses.get(*key));
    let Some(described) = described else {
        // Vendors seldom list all errors; a success must be one that they list.
        if answer.status >= 300 {
            return Described::Nothing;
        }
        let message = format!("{status} is not described");
        return Described::Findings(vec![Finding::new("answer", "status", message)]);
    };
    let described = operation.document.part(described);
    let media = described
        .get("content")
        .and_then(Value::as_object)
        .and_then(|content| content.iter().next());
    let schema = described
        .get("schema")
        .or_else(|| media.and_then(|(_, media)| media.get("schema")));
    // A copy of a file may have its answers cut down to this, which every answer fits.
    let anything = json!({"type": "object"});
    let Some(schema) = schema.filter(|schema| **schema != anything) else {
        return Described::Nothing;
    };
    if answer.body.is_empty() {
        let missing = Finding::new("answer", "required", "is missing");
        let missing = (answer.status < 300).then_some(missing);
        return Described::Findings(missing.into_iter().collect());
    }
    let plain = media.is_some_and(|(name, _)| name.starts_with("text/"));
    let value = if plain {
        Value::from(String::from_utf8_lossy(&answer.body))
    } else {
        match serde_json::from_slice(&answer.body) {
            Ok(value) => value,
            Err(error) => {
                let wrong = Finding::new("answer", "syntax", error.to_string());
                return Described::Findings(vec![wrong]);
            }
        }
    };
    let checker = Checker {
        document: operation.document,
        way: Way::Answer,
        textual: false,
    };
    Described::Findings(checker.check(schema, &value, "answer"))
}
