//! Reading an OpenAPI document: versions 3.0 and 3.1, and Swagger 2.0.

use std::borrow::Cow;

use kinfold_project::{Diagnostic, FileId, SourceMap, Span, yaml};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::codes;

/// A reference may lead to so many others, one after the other.
const MAX_HOPS: usize = 16;
/// So many references that lead nowhere are named.
const MAX_MISSING: usize = 20;
const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];

/// A description of an API.
#[derive(Clone, Debug)]
pub struct Api {
    /// The file that was read.
    pub file: String,
    /// Its title.
    pub title: String,
    /// Its version.
    pub version: String,
    /// The language: `OpenAPI 3.1.0`.
    pub language: String,
    /// What can be called, in the order of the document.
    pub operations: Vec<Operation>,
    pub(super) root: Value,
    pub(super) swagger: bool,
}

/// A method of a path.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The `operationId`; or the method and the path, where there is none or another has it too.
    pub id: String,
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The path, with `{names}` of its parameters.
    pub path: String,
    /// What it does, in the words of the document.
    pub summary: String,
    /// Whether the document advises against it.
    pub deprecated: bool,
    pub(super) description: String,
    pub(super) parameters: Vec<Parameter>,
    /// Its JSON in the document.
    pub(super) value: Value,
}

/// A parameter in the path, the query, a header or a form.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    /// `path`, `query`, `header`, `formData` or `body`.
    pub(super) place: String,
    pub(super) about: String,
    pub(super) required: bool,
    /// Its schema; in Swagger the parameter itself.
    pub(super) schema: Value,
    pub(super) example: Option<Value>,
}

impl Api {
    /// Reads a document that is file `file` of `files`. Problems are added; `None` if there is an error among
    /// them.
    #[must_use]
    pub fn read(files: &SourceMap, file: FileId, problems: &mut Vec<Diagnostic>) -> Option<Self> {
        let source = files.get(file)?;
        let root = parse(&source.text, file, problems)?;
        let start = Span::new(file, 0, 1.min(source.text.len()));
        let text = |key: &str| root.get(key).map(scalar).unwrap_or_default();
        let (openapi, swagger) = (text("openapi"), text("swagger"));
        let known = openapi.starts_with("3.") || swagger.starts_with("2");
        if !known {
            let message = "this is no OpenAPI document of version 3.0 or 3.1, and no Swagger 2.0";
            let help = "the file begins with `openapi: 3.…` or `swagger: \"2.0\"`";
            let problem = Diagnostic::error(codes::SPECIFICATION, message, start);
            problems.push(problem.with_help(help));
            return None;
        }
        if !root.get("paths").is_some_and(Value::is_object) {
            let message = "the document has no `paths`, so there is nothing that could be called";
            problems.push(Diagnostic::error(codes::SPECIFICATION, message, start));
            return None;
        }
        let info = |key: &str| {
            root.get("info")
                .and_then(|info| info.get(key))
                .map(scalar)
                .unwrap_or_default()
        };
        let name = source.path.file_name().map_or_else(
            || source.path.to_string_lossy().into_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        let mut api = Self {
            file: name,
            title: info("title"),
            version: info("version"),
            language: match swagger.is_empty() {
                true => format!("OpenAPI {openapi}"),
                false => format!("Swagger {swagger}"),
            },
            operations: Vec::new(),
            swagger: openapi.is_empty(),
            root,
        };
        api.operations = api.all_operations();
        api.missing(&source.text, file, problems);
        Some(api)
    }

    /// What a value stands for: that to which its `$ref` leads, and null if that is nowhere.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let mut at = value;
        for _ in 0..MAX_HOPS {
            match at.get("$ref").and_then(Value::as_str) {
                None => return at,
                Some(to) => match self.at(to) {
                    Some(next) => at = next,
                    None => return &Value::Null,
                },
            }
        }
        &Value::Null
    }

    /// The value at a reference inside the document: `#/components/schemas/Contact`.
    fn at(&self, reference: &str) -> Option<&Value> {
        let pointer = reference.strip_prefix('#')?;
        let decoded: Cow<'_, str> = percent_decode_str(pointer).decode_utf8().ok()?;
        self.root.pointer(&decoded)
    }

    /// The value below a name of the document's root, through its references.
    pub(super) fn part(&self, pointer: &str) -> Option<&Value> {
        self.root.pointer(pointer).map(|value| self.resolve(value))
    }

    fn all_operations(&self) -> Vec<Operation> {
        let mut found = Vec::new();
        let paths = self.root.get("paths").and_then(Value::as_object);
        for (path, item) in paths.into_iter().flatten() {
            let item = self.resolve(item);
            if !path.starts_with('/') {
                continue;
            }
            for method in METHODS {
                let Some(value) = item.get(*method).filter(|value| value.is_object()) else {
                    continue;
                };
                found.push(self.operation(path, method, item, value));
            }
        }
        let ids: Vec<String> = found.iter().map(|operation| operation.id.clone()).collect();
        for operation in &mut found {
            let same = ids.iter().filter(|id| **id == operation.id);
            if operation.id.is_empty() || same.count() > 1 {
                operation.id = format!("{} {}", operation.method, operation.path);
            }
        }
        found
    }

    fn operation(&self, path: &str, method: &str, item: &Value, value: &Value) -> Operation {
        let text = |key: &str| value.get(key).map(scalar).unwrap_or_default();
        let mut parameters: Vec<Parameter> = Vec::new();
        for list in [item.get("parameters"), value.get("parameters")] {
            for value in list.and_then(Value::as_array).into_iter().flatten() {
                let Some(parameter) = self.parameter(value) else {
                    continue;
                };
                parameters.retain(|known| {
                    (&known.name, &known.place) != (&parameter.name, &parameter.place)
                });
                parameters.push(parameter);
            }
        }
        Operation {
            id: text("operationId").trim().to_owned(),
            method: match method {
                "get" => "GET",
                "post" => "POST",
                "put" => "PUT",
                "patch" => "PATCH",
                _ => "DELETE",
            },
            path: path.to_owned(),
            summary: text("summary"),
            deprecated: value.get("deprecated") == Some(&Value::Bool(true)),
            description: text("description"),
            parameters,
            value: value.clone(),
        }
    }

    fn parameter(&self, value: &Value) -> Option<Parameter> {
        let value = self.resolve(value);
        let text = |key: &str| value.get(key).map(scalar).unwrap_or_default();
        let name = value.get("name")?.as_str()?.to_owned();
        let schema = value.get("schema").unwrap_or(value);
        let resolved = self.resolve(schema);
        let first = |of: &Value| of.get("example").or_else(|| of.get("default")).cloned();
        Some(Parameter {
            name,
            place: text("in"),
            about: text("description"),
            required: value.get("required") == Some(&Value::Bool(true)),
            example: first(value).or_else(|| first(resolved)),
            schema: schema.clone(),
        })
    }

    /// References that lead nowhere. What they stand for is taken for anything.
    fn missing(&self, text: &str, file: FileId, problems: &mut Vec<Diagnostic>) {
        let mut found: Vec<&str> = Vec::new();
        let mut open = vec![&self.root];
        while let Some(value) = open.pop() {
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(members) => {
                    open.extend(members.values());
                    let to = members.get("$ref").and_then(Value::as_str);
                    if let Some(to) = to
                        && self.at(to).is_none()
                        && !found.contains(&to)
                        && found.len() < MAX_MISSING
                    {
                        found.push(to);
                    }
                }
                _ => {}
            }
        }
        found.sort_unstable();
        for to in found {
            let at = text.find(to).unwrap_or_default();
            let message = format!("there is nothing at `{to}`, so it is taken for anything");
            let span = Span::new(file, at, at + to.len());
            let problem = Diagnostic::warning(codes::SPECIFICATION, message, span);
            problems.push(match to.starts_with('#') {
                true => problem,
                false => problem.with_help(
                    "references to other files are not followed: bundle them into one file first",
                ),
            });
        }
    }
}

impl Operation {
    /// The parameters of a place.
    pub(super) fn parameters_in(&self, place: &str) -> impl Iterator<Item = &Parameter> {
        let place = place.to_owned();
        self.parameters
            .iter()
            .filter(move |parameter| parameter.place == place)
    }

    /// The parts of the path, without a fragment or a query.
    pub(super) fn segments(&self) -> Vec<&str> {
        let path = self.path.split(['#', '?']).next().unwrap_or_default();
        path.split('/').filter(|part| !part.is_empty()).collect()
    }
}

/// A document as JSON: read as JSON if it looks like it, and else as YAML.
fn parse(text: &str, file: FileId, problems: &mut Vec<Diagnostic>) -> Option<Value> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    if body.trim_start().starts_with('{') {
        match serde_json::from_str::<Map<String, Value>>(body) {
            Ok(members) => return Some(Value::Object(members)),
            Err(error) => {
                let at = place(body, error.line(), error.column()) + text.len() - body.len();
                let message = format!("this is not valid JSON: {error}");
                let span = Span::new(file, at, (at + 1).min(text.len()));
                problems.push(Diagnostic::error(codes::SPECIFICATION, message, span));
                return None;
            }
        }
    }
    // A key that is there twice is no reason to refuse a document that somebody else has written.
    let mut found = Vec::new();
    let value = yaml::read(text, file, &mut found);
    match value {
        Some(value) => {
            for mut problem in found {
                problem.severity = kinfold_project::Severity::Warning;
                problems.push(problem);
            }
            Some(value.to_json())
        }
        None => {
            problems.append(&mut found);
            None
        }
    }
}

/// The byte at a line and column, both from 1.
fn place(text: &str, line: usize, column: usize) -> usize {
    let before = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A scalar as text; nothing for anything else.
pub(super) fn scalar(value: &Value) -> String {
    crate::template::scalar_text(value).unwrap_or_default()
}
