//! Requests about a text, and their answers.

use gen_lsp_types::{Hover, MarkupContent, MarkupKind, Position};
use serde_json::{Value, json};

use super::known::Known;
use super::position::Lines;
use super::transport::{INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND};

/// Why a request has no result.
pub struct Refusal {
    /// What the protocol calls it.
    pub code: i32,
    /// What a person is told.
    pub message: String,
}

impl Refusal {
    /// A refusal with its code and text.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// What can stand at a place. It is asked at every key, so what is known has to do.
pub const COMPLETION: &str = "textDocument/completion";

/// The methods that are about a text.
pub const METHODS: [&str; 6] = [
    COMPLETION,
    "textDocument/definition",
    "textDocument/hover",
    "textDocument/references",
    "textDocument/documentSymbol",
    "kinfold/compiled",
];

impl Known<'_> {
    /// Answers a request about this text.
    ///
    /// # Errors
    /// When its parameters are not those of the method.
    pub fn answer(&self, method: &str, params: &Value) -> Result<Value, Refusal> {
        let told = match method {
            "textDocument/documentSymbol" => serde_json::to_value(self.symbols()),
            "kinfold/compiled" => return Ok(self.compiled()),
            COMPLETION => {
                let items = self.completions(self.offset(params)?);
                Ok(json!({"isIncomplete": false, "items": items}))
            }
            "textDocument/definition" => {
                let thing = self.thing_at(self.offset(params)?);
                let found = thing.map(|(thing, _)| self.definition(&thing));
                serde_json::to_value(found.unwrap_or_default())
            }
            "textDocument/references" => {
                let declared = params.pointer("/context/includeDeclaration");
                let declared = declared.is_some_and(|declared| declared == true);
                let thing = self.thing_at(self.offset(params)?);
                let found = thing.map(|(thing, _)| self.references(&thing, declared));
                serde_json::to_value(found.unwrap_or_default())
            }
            "textDocument/hover" => {
                let found = self.thing_at(self.offset(params)?);
                let hover = found.and_then(|(thing, range)| {
                    let text = self.about(&thing)?;
                    let range = Lines::new(self.text, self.places.encoding).range(range);
                    let content = MarkupContent::new(MarkupKind::Markdown, text);
                    Some(Hover {
                        contents: content.into(),
                        range: Some(range),
                    })
                });
                serde_json::to_value(hover)
            }
            method => {
                let message = format!("there is no method `{method}`");
                return Err(Refusal::new(METHOD_NOT_FOUND, message));
            }
        };
        told.map_err(|error| Refusal::new(INTERNAL_ERROR, error.to_string()))
    }

    /// The place that a request is about.
    fn offset(&self, params: &Value) -> Result<usize, Refusal> {
        let position = params.get("position").cloned().unwrap_or_default();
        let position: Position = serde_json::from_value(position)
            .map_err(|error| Refusal::new(INVALID_PARAMS, format!("`position`: {error}")))?;
        Ok(Lines::new(self.text, self.places.encoding).offset(position))
    }

    /// The SQL that a file is rendered to, and where each piece of it comes from; `null` if the file is no model and
    /// no test, or could not be rendered.
    fn compiled(&self) -> Value {
        let project = self.project();
        let tests = project.singular_tests.iter();
        let test = tests
            .map(|test| (&test.id, test.file))
            .find(|(_, file)| Some(*file) == self.file);
        let id = self
            .model()
            .map(|model| &model.id)
            .or(test.map(|(id, _)| id));
        let rendered = id.and_then(|id| self.read.bound.rendered.nodes.get(id));
        let Some((node, sql)) = rendered.and_then(|node| Some((node, node.sql.as_ref()?))) else {
            return Value::Null;
        };
        let lines = Lines::new(&sql.text, self.places.encoding);
        let pieces = sql.map.pieces().map(|(range, origin)| {
            json!({
                "compiled": lines.range(range),
                "origin": self.location(origin.primary),
                "fromExpression": origin.from_expression,
            })
        });
        json!({
            "node": node.id.as_str(),
            "sql": sql.text,
            "map": pieces.collect::<Vec<_>>(),
        })
    }
}
