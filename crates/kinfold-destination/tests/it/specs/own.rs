//! The check itself, with a specification that is made up: what it must find, and what it must let pass.

use kinfold_destination::kit::{RecordedAnswer, RecordedRequest};
use serde_json::{Value, json};

use super::document::{Document, Lookup};
use super::finding::Finding;
use super::request::{self, Described};

fn openapi() -> Document {
    let document = json!({
        "openapi": "3.0.3",
        "servers": [{"url": "https://{region}.example.com/v1", "variables": {"region": {"enum": ["us", "eu"]}}}],
        "paths": {
            "/people/{id}": {
                "parameters": [
                    {"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}},
                    {"name": "revision", "in": "header", "required": true, "schema": {"type": "string"}},
                ],
                "put": {
                    "parameters": [
                        {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"enum": ["a", "b"]}}},
                    ],
                    "requestBody": {
                        "required": true,
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}},
                    },
                    "responses": {
                        "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}}},
                        "4XX": {"content": {"application/json": {"schema": {"required": ["message"]}}}},
                    },
                },
            },
            "/people/{id}:merge": {"post": {"responses": {}}},
        },
        "components": {"schemas": {
            "Named": {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}},
            "Person": {
                "allOf": [{"$ref": "#/components/schemas/Named"}],
                "type": "object",
                "required": ["name", "id"],
                "properties": {
                    "id": {"type": "integer", "readOnly": true},
                    "age": {"type": "integer", "minimum": 0, "nullable": true},
                    "since": {"type": "string", "format": "date-time"},
                    "traits": {"type": "object", "additionalProperties": {"type": "string"}},
                    "reach": {"oneOf": [
                        {"type": "object", "required": ["email"], "properties": {"email": {"type": "string", "format": "email"}}},
                        {"type": "object", "required": ["phone"], "properties": {"phone": {"type": "string", "pattern": "^\\+"}}},
                    ]},
                },
            },
        }},
    });
    Document::new(document, &[])
}

fn swagger() -> Document {
    let document = json!({
        "swagger": "2.0",
        "host": "example.com",
        "basePath": "/api",
        "consumes": ["application/x-www-form-urlencoded"],
        "paths": {"/send": {"post": {
            "parameters": [
                {"name": "to", "in": "formData", "type": "string", "required": true},
                {"name": "count", "in": "formData", "type": "integer"},
                {"name": "links", "in": "formData", "type": "array", "items": {"type": "string"}},
            ],
            "responses": {},
        }}},
    });
    Document::new(document, &[])
}

fn sent(url: &str, kind: &str, body: &str) -> RecordedRequest {
    RecordedRequest {
        method: "PUT".to_owned(),
        url: url.to_owned(),
        headers: vec![
            ("content-type".to_owned(), kind.to_owned()),
            ("revision".to_owned(), "1".to_owned()),
        ],
        body: body.as_bytes().to_vec(),
    }
}

/// The places and rules of what is wrong.
fn places(found: &[Finding]) -> Vec<String> {
    let mut places: Vec<String> = found
        .iter()
        .map(|finding| format!("{} {}", finding.at, finding.rule))
        .collect();
    places.sort();
    places
}

fn check(document: &Document, method: &str, request: &RecordedRequest) -> Vec<String> {
    let url = request.url.split('?').next().unwrap_or_default();
    match document.find(method, url) {
        Lookup::Operation(operation) => places(&request::request(&operation, request)),
        Lookup::NoMethod => vec!["method".to_owned()],
        Lookup::NoPath => vec!["path".to_owned()],
        Lookup::NoServer => vec!["server".to_owned()],
    }
}

fn put(body: &Value) -> Vec<String> {
    let request = sent(
        "https://eu.example.com/v1/people/7",
        "application/json",
        &body.to_string(),
    );
    check(&openapi(), "PUT", &request)
}

#[test]
fn addresses_name_operations() {
    let at = |method: &str, url: &str| {
        let request = sent(url, "application/json", r#"{"name":"Ada"}"#);
        check(&openapi(), method, &request)
    };
    let nothing: [&str; 0] = [];
    assert_eq!(at("PUT", "https://us.example.com/v1/people/7"), nothing);
    assert_eq!(
        at("PUT", "https://us.example.com/v1/people/seven"),
        ["path/id type"]
    );
    assert_eq!(at("PUT", "https://us.example.com/v1/people/7/x"), ["path"]);
    assert_eq!(at("PUT", "https://us.example.com/v1/persons/7"), ["path"]);
    assert_eq!(at("GET", "https://us.example.com/v1/people/7"), ["method"]);
    assert_eq!(at("PUT", "https://in.example.com/v1/people/7"), ["server"]);
    assert_eq!(at("PUT", "https://us.example.com/people/7"), ["server"]);
    // More plain text is nearer: `7:merge` is no id.
    assert_eq!(
        at("POST", "https://us.example.com/v1/people/7:merge"),
        ["body undeclared"]
    );
}

#[test]
fn parameters_are_checked() {
    let url = "https://us.example.com/v1/people/7";
    let at = |query: &str| {
        let request = sent(
            &format!("{url}?{query}"),
            "application/json",
            r#"{"name":"Ada"}"#,
        );
        check(&openapi(), "PUT", &request)
    };
    let nothing: [&str; 0] = [];
    assert_eq!(at("tag=a&tag=b"), nothing);
    assert_eq!(at("tag=a&tag=c"), ["query/tag/1 enum"]);
    assert_eq!(at("tags=a"), ["query/tags undeclared"]);
    let mut request = sent(url, "application/json", r#"{"name":"Ada"}"#);
    request.headers.pop();
    assert_eq!(
        check(&openapi(), "PUT", &request),
        ["header/revision required"]
    );
    let request = sent(url, "text/csv", "name\nAda\n");
    assert_eq!(
        check(&openapi(), "PUT", &request),
        ["header/content-type type"]
    );
    let request = sent(url, "application/json", "");
    assert_eq!(check(&openapi(), "PUT", &request), ["body required"]);
    let request = sent(url, "application/json", "{");
    assert_eq!(check(&openapi(), "PUT", &request), ["body syntax"]);
}

#[test]
fn bodies_are_checked() {
    let nothing: [&str; 0] = [];
    let whole = json!({
        "name": "Ada", "age": null, "since": "2026-01-02T03:04:05Z", "traits": {"tier": "gold"},
        "reach": {"email": "a@example.com"},
    });
    assert_eq!(put(&whole), nothing);
    assert_eq!(put(&json!({})), ["body/name required"]);
    assert_eq!(put(&json!({"name": null})), ["body/name type"]);
    assert_eq!(put(&json!({"name": ""})), ["body/name length"]);
    assert_eq!(put(&json!({"name": "Ada", "id": 7})), ["body/id readOnly"]);
    assert_eq!(
        put(&json!({"name": "Ada", "nmae": 7})),
        ["body/nmae undeclared"]
    );
    assert_eq!(put(&json!({"name": "Ada", "age": 1.5})), ["body/age type"]);
    assert_eq!(put(&json!({"name": "Ada", "age": "1"})), ["body/age type"]);
    assert_eq!(put(&json!({"name": "Ada", "age": -1})), ["body/age range"]);
    assert_eq!(
        put(&json!({"name": "Ada", "since": "today"})),
        ["body/since format"]
    );
    assert_eq!(
        put(&json!({"name": "Ada", "traits": {"tier": 1}})),
        ["body/traits/tier type"]
    );
    assert_eq!(
        put(&json!({"name": "Ada", "reach": {"phone": "1"}})),
        ["body/reach/phone pattern"]
    );
    let both = json!({"name": "Ada", "reach": {"phone": "+1", "email": "a@example.com"}});
    assert_eq!(put(&both), ["body/reach oneOf"]);
    assert_eq!(put(&json!([])), ["body type"]);
}

#[test]
fn keywords_that_are_not_known_are_found() {
    let mut document = openapi().root().clone();
    document["components"]["schemas"]["Person"]["dependentRequired"] = json!({"age": ["since"]});
    let document = Document::new(document, &[]);
    let url = "https://us.example.com/v1/people/7";
    let request = sent(url, "application/json", r#"{"name":"Ada"}"#);
    assert_eq!(check(&document, "PUT", &request), ["body keyword"]);
}

#[test]
fn forms_are_checked() {
    let form = |body: &str| {
        let kind = "application/x-www-form-urlencoded";
        check(
            &swagger(),
            "POST",
            &sent("https://example.com/api/send", kind, body),
        )
    };
    let nothing: [&str; 0] = [];
    assert_eq!(form("to=a&count=2&links=x&links=y"), nothing);
    assert_eq!(form("to=a&links=x"), nothing);
    assert_eq!(form("count=2"), ["body/to required"]);
    assert_eq!(form("to=a&count=two"), ["body/count type"]);
    assert_eq!(form("to=a&form=b"), ["body/form undeclared"]);
    let json = sent(
        "https://example.com/api/send",
        "application/json",
        r#"{"to":"a"}"#,
    );
    assert_eq!(
        check(&swagger(), "POST", &json),
        ["header/content-type type"]
    );
}

#[test]
fn answers_are_checked() {
    let document = openapi();
    let Lookup::Operation(operation) = document.find("PUT", "https://us.example.com/v1/people/7")
    else {
        panic!("the operation is there");
    };
    let answer = |status: u16, body: &str| {
        let answer = RecordedAnswer {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        match request::answer(&operation, &answer) {
            Described::Findings(found) => Some(places(&found)),
            Described::Nothing => None,
        }
    };
    assert_eq!(answer(200, r#"{"id":7,"name":"Ada"}"#), Some(vec![]));
    let found = |place: &str| Some(vec![place.to_owned()]);
    assert_eq!(
        answer(200, r#"{"name":"Ada"}"#),
        found("answer/id required")
    );
    assert_eq!(answer(200, ""), found("answer required"));
    assert_eq!(answer(201, "{}"), found("answer status"));
    assert_eq!(answer(404, "{}"), found("answer/message required"));
    assert_eq!(answer(500, "{}"), None);
}
