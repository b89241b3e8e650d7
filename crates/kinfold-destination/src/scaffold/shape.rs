//! Where the rows are in a request.

use serde_json::Value;

use super::api::{Api, Operation};
use super::connection::is_credential;
use super::prose;
use super::schema::{Kind, Property, Schema};
use super::words::{BATCHES, LISTS, ROWS, has, identities, identity, words};

/// Objects inside objects, on the way to the rows.
const MAX_WRAPPERS: usize = 4;
/// Words of a path beside those of rows that name a list of rows.
const LIST_NAMES: &[&str] = &[
    "data",
    "values",
    "batch",
    "attributes",
    "elements",
    "list",
    "operations",
];

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Form,
    Multipart,
    Csv,
    /// There is no body: the fields are parameters of the query.
    Query,
    /// There is no body.
    Nothing,
}

/// Where the rows are.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// In the address: one row a request.
    Address,
    /// One row a request, in an object of the body.
    One {
        /// The way to the object.
        inside: Vec<String>,
        row: Schema,
    },
    /// A list of objects.
    Rows {
        /// The way to the list.
        list: Vec<String>,
        /// The way from an item to its row.
        inside: Vec<String>,
        row: Schema,
    },
    /// A list of values: addresses or ids.
    Values {
        /// The way to the list.
        list: Vec<String>,
        /// What the values are.
        key: String,
        item: Schema,
    },
    /// A file with one line for each row.
    Lines,
}

/// The request of an operation.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) format: Format,
    /// The type of the body, if it is not the usual one.
    pub(super) content_type: Option<String>,
    pub(super) body: Schema,
    pub(super) shape: Shape,
    /// Most rows of a request, if the document says so.
    pub(super) most: Option<u64>,
}

impl Request {
    /// Whether it has several rows.
    pub(super) fn is_batch(&self) -> bool {
        matches!(
            self.shape,
            Shape::Rows { .. } | Shape::Values { .. } | Shape::Lines
        )
    }

    /// The fields of a row.
    pub(super) fn row(&self) -> Option<&Schema> {
        match &self.shape {
            Shape::One { row, .. } | Shape::Rows { row, .. } => Some(row),
            _ => None,
        }
    }
}

/// The request of an operation, and where its rows are.
pub(super) fn request(api: &Api, operation: &Operation) -> Request {
    let (format, content_type, body) = body(api, operation);
    let mut request = Request {
        format,
        content_type,
        shape: Shape::Address,
        most: None,
        body,
    };
    match format {
        Format::Nothing => {
            let parameters = query_schema(api, operation);
            if operation.method != "DELETE" && !parameters.properties.is_empty() {
                request.format = Format::Query;
                request.shape = Shape::One {
                    inside: Vec::new(),
                    row: parameters.clone(),
                };
                request.body = parameters;
            }
        }
        Format::Csv => request.shape = Shape::Lines,
        _ => {
            let (shape, most) = find(&request.body, operation);
            request.most = most.or_else(|| {
                prose::most_rows(&[
                    &operation.description,
                    &request.body.about,
                    &operation.summary,
                ])
            });
            request.shape = shape;
        }
    }
    request
}

fn body(api: &Api, operation: &Operation) -> (Format, Option<String>, Schema) {
    if api.swagger {
        return swagger_body(api, operation);
    }
    let body = operation.value.get("requestBody");
    let content = body
        .map(|body| api.resolve(body))
        .and_then(|body| body.get("content"));
    let Some(content) = content.and_then(Value::as_object) else {
        return (Format::Nothing, None, Schema::default());
    };
    let ranked = content
        .iter()
        .filter_map(|(name, value)| Some((format_of(name)?, name, value)));
    let best = ranked.min_by_key(|(format, name, _)| {
        let plain = name.as_str() != "application/json";
        (*format as u8, plain)
    });
    let Some((format, name, value)) = best else {
        return (Format::Nothing, None, Schema::default());
    };
    let schema = value.get("schema").map(|schema| api.schema(schema));
    (format, unusual(format, name), schema.unwrap_or_default())
}

fn swagger_body(api: &Api, operation: &Operation) -> (Format, Option<String>, Schema) {
    if let Some(parameter) = operation.parameters_in("body").next() {
        let consumes = operation.value.get("consumes").or(api.root.get("consumes"));
        let named = consumes.and_then(Value::as_array).and_then(|names| {
            names
                .iter()
                .filter_map(Value::as_str)
                .find(|name| name.contains("json"))
        });
        let content_type = named.and_then(|name| unusual(Format::Json, name));
        return (Format::Json, content_type, api.schema(&parameter.schema));
    }
    let properties: Vec<Property> = operation
        .parameters_in("formData")
        .map(|parameter| Property {
            name: parameter.name.clone(),
            required: parameter.required,
            schema: Schema {
                about: parameter.about.clone(),
                ..api.schema(&parameter.schema)
            },
        })
        .collect();
    if properties.is_empty() {
        return (Format::Nothing, None, Schema::default());
    }
    let schema = Schema {
        kind: Kind::Object,
        properties,
        ..Schema::default()
    };
    (Format::Form, None, schema)
}

fn format_of(content_type: &str) -> Option<Format> {
    let name = content_type.split(';').next().unwrap_or_default().trim();
    match name {
        "application/x-www-form-urlencoded" => Some(Format::Form),
        "multipart/form-data" => Some(Format::Multipart),
        "text/csv" | "application/csv" => Some(Format::Csv),
        "*/*" => Some(Format::Json),
        name if name.ends_with("json") => Some(Format::Json),
        _ => None,
    }
}

fn unusual(format: Format, name: &str) -> Option<String> {
    let sound = name.is_ascii() && !name.contains(['*', '\r', '\n']);
    let other = match format {
        Format::Json => !name.starts_with("application/json"),
        Format::Csv => name != "text/csv",
        _ => false,
    };
    (sound && other).then(|| name.to_owned())
}

/// The parameters of the query as the fields of a row.
fn query_schema(api: &Api, operation: &Operation) -> Schema {
    // What proves who asks is no field of a row.
    let parameters = operation
        .parameters_in("query")
        .filter(|parameter| !is_credential(&parameter.name) && !is_key(api, &parameter.name));
    let properties = parameters.map(|parameter| Property {
        name: parameter.name.clone(),
        required: parameter.required,
        schema: Schema {
            about: parameter.about.clone(),
            ..api.schema(&parameter.schema)
        },
    });
    Schema {
        kind: Kind::Object,
        properties: properties.collect(),
        ..Schema::default()
    }
}

/// Whether a scheme of credentials is a parameter of this name.
fn is_key(api: &Api, name: &str) -> bool {
    let schemes = ["/components/securitySchemes", "/securityDefinitions"];
    let schemes = schemes
        .iter()
        .filter_map(|path| api.root.pointer(path)?.as_object());
    let text = |scheme: &Value, key: &str| scheme.get(key).and_then(Value::as_str) == Some(name);
    schemes
        .flat_map(|schemes| schemes.values())
        .map(|scheme| api.resolve(scheme))
        .any(|scheme| {
            scheme.get("in").and_then(Value::as_str) == Some("query") && text(scheme, "name")
        })
}

/// A list in a body that may hold the rows.
struct Found<'a> {
    way: Vec<String>,
    list: &'a Schema,
    score: i32,
}

fn find(body: &Schema, operation: &Operation) -> (Shape, Option<u64>) {
    let (way, inner) = unwrapped(body);
    if let Some(shape) = as_list(&way, inner, operation) {
        return (
            shape,
            inner
                .max_items
                .or_else(|| prose::most_rows(&[&inner.about])),
        );
    }
    let mut lists = Vec::new();
    lists_of(inner, &way, operation, 0, &mut lists);
    let best = lists.into_iter().max_by_key(|found| found.score);
    if let Some(found) = best.filter(|found| found.score >= 3)
        && let Some(shape) = as_list(&found.way, found.list, operation)
    {
        let most = found.list.max_items;
        return (
            shape,
            most.or_else(|| prose::most_rows(&[&found.list.about])),
        );
    }
    let shape = Shape::One {
        inside: way,
        row: inner.clone(),
    };
    (shape, None)
}

/// The object inside an object whose other members are always the same: `{data: {type: "x", attributes: {…}}}`.
fn unwrapped(body: &Schema) -> (Vec<String>, &Schema) {
    let mut way = Vec::new();
    let mut at = body;
    while way.len() < MAX_WRAPPERS {
        let mut inner = at.properties.iter().filter(|property| {
            !property.schema.is_scalar() && !property.schema.read_only && !is_aside(property)
        });
        let (Some(only), None) = (inner.next(), inner.next()) else {
            break;
        };
        let fixed = at
            .properties
            .iter()
            .filter(|property| property.name != only.name)
            .all(|property| {
                let schema = &property.schema;
                let same = schema.read_only || schema.constant().is_some();
                same || property.name == "id" || is_aside(property)
            });
        let has_more = match only.schema.kind {
            Kind::Object => !only.schema.properties.is_empty(),
            _ => only
                .schema
                .items
                .as_ref()
                .is_some_and(|items| !items.is_scalar()),
        };
        if !fixed || !has_more {
            break;
        }
        way.push(only.name.clone());
        at = &only.schema;
        if at.kind == Kind::List {
            break;
        }
    }
    (way, at)
}

/// Members of JSON:API and its like that say nothing of the row itself.
fn is_aside(property: &Property) -> bool {
    !property.required && ["meta", "links", "relationships"].contains(&property.name.as_str())
}

/// A list as rows or values.
fn as_list(way: &[String], list: &Schema, operation: &Operation) -> Option<Shape> {
    if list.kind != Kind::List {
        return None;
    }
    let items = list.items.as_deref()?;
    if items.kind == Kind::List {
        return None;
    }
    if items.is_scalar() && items.kind != Kind::Any {
        let name = way.last().map(String::as_str).unwrap_or_default();
        let by_path = || {
            let parts = operation.segments();
            let named = parts.iter().rev().find_map(|part| identities(part));
            named.unwrap_or_else(|| match items.format.as_str() {
                "email" => "email".to_owned(),
                _ => "id".to_owned(),
            })
        };
        let key = identities(name).unwrap_or_else(by_path);
        return Some(Shape::Values {
            list: way.to_vec(),
            key,
            item: items.clone(),
        });
    }
    let (inside, row) = match items.properties.is_empty() {
        true => (Vec::new(), items),
        false => unwrapped(items),
    };
    // A list in an item is a field of the row.
    let (inside, row) = match row.kind {
        Kind::List => (Vec::new(), items),
        _ => (inside, row),
    };
    Some(Shape::Rows {
        list: way.to_vec(),
        inside,
        row: row.clone(),
    })
}

fn lists_of<'a>(
    object: &'a Schema,
    way: &[String],
    operation: &Operation,
    depth: usize,
    found: &mut Vec<Found<'a>>,
) {
    let path = words(&format!("{} {}", operation.path, operation.id));
    // An object with an address or a name of its own is itself the row.
    let own = object.properties.iter().any(|property| {
        let name = words(&property.name).join("_");
        let known = [
            "name",
            "first_name",
            "last_name",
            "title",
            "event",
            "subject",
        ];
        property.schema.is_scalar()
            && !property.schema.read_only
            && (identity(&name).is_some_and(|rank| rank < 3 || name == "phone")
                || known.contains(&name.as_str()))
    });
    for property in &object.properties {
        let mut way = way.to_vec();
        way.push(property.name.clone());
        let schema = &property.schema;
        if schema.kind == Kind::Object && depth < 2 && property.required {
            lists_of(schema, &way, operation, depth + 1, found);
        }
        let Some(items) = schema
            .items
            .as_deref()
            .filter(|_| schema.kind == Kind::List)
        else {
            continue;
        };
        let name = words(&property.name);
        let of_path = name.last().is_some_and(|last| path.contains(last));
        let mut score = 0;
        score += if property.required { 2 } else { 0 };
        score += if object.properties.len() == 1 { 2 } else { 0 };
        score += if has(&path, BATCHES) { 2 } else { 0 };
        score += i32::from(schema.max_items.is_some());
        score -= if own { 4 } else { 0 };
        if items.is_scalar() && items.kind != Kind::Any {
            let known = identities(&property.name).is_some();
            score += if known { 3 } else { -2 };
            score += if has(&path, LISTS) { 1 } else { 0 };
            score += i32::from(of_path);
        } else {
            score += if has(&name, ROWS) || has(&name, super::words::EVENTS) || of_path {
                3
            } else if has(&name, LIST_NAMES) {
                2
            } else {
                0
            };
            score += i32::from(items.properties.len() > 1);
        }
        found.push(Found {
            way,
            list: schema,
            score,
        });
    }
}
