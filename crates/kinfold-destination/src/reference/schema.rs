//! A JSON Schema of manifests, for editors.

use serde_json::{Map, Value, json};

use crate::manifest::blocks;
use crate::manifest::describe::{Block, Shape};

/// The JSON Schema (draft 2020-12) of `manifest.yml`. It says what an editor can say; what needs types of
/// expressions or other parts of the file is said by the check.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for block in blocks::ALL {
        definitions.insert(id(block), of_block(block));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "manifest of a kinfold destination, version 1",
        "$ref": format!("#/$defs/{}", id(&blocks::MANIFEST)),
        "$defs": definitions,
    })
}

fn id(block: &Block) -> String {
    block.name.replace(' ', "_")
}

fn of_block(block: &Block) -> Value {
    let properties: Map<String, Value> = block
        .keys
        .iter()
        .map(|key| {
            let mut property = of_shape(&key.kind);
            if let Value::Object(members) = &mut property {
                members.insert("description".to_owned(), Value::from(key.about));
            }
            (key.name.to_owned(), property)
        })
        .collect();
    let required: Vec<&str> = block
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let mut object = json!({
        "type": "object",
        "description": block.about,
        "properties": properties,
        "additionalProperties": false,
    });
    if let Value::Object(members) = &mut object {
        if !required.is_empty() {
            members.insert("required".to_owned(), json!(required));
        }
        if let [group] = block.exactly_one {
            let choices: Vec<Value> = group
                .iter()
                .map(|name| json!({"required": [name]}))
                .collect();
            members.insert("oneOf".to_owned(), Value::Array(choices));
        }
    }
    object
}

fn of_shape(shape: &Shape) -> Value {
    let reference = |block: &Block| json!({"$ref": format!("#/$defs/{}", id(block))});
    let texts = || json!({"type": ["string", "number", "boolean"]});
    match shape {
        Shape::Text => json!({"type": ["string", "integer"]}),
        Shape::Word(words) => {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            json!({"enum": words})
        }
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Count => json!({"type": "integer", "minimum": 1}),
        Shape::Duration => json!({"type": "string", "pattern": "^\\d+ *(ms|s|m|min|h|d)$"}),
        Shape::Bytes => json!({"type": "string", "pattern": "^\\d+ *(B|KB|KiB|MB|MiB|GB|GiB)$"}),
        Shape::Expression | Shape::Template => texts(),
        Shape::Condition => json!({"type": ["string", "boolean"]}),
        Shape::Body | Shape::Any => json!({}),
        Shape::Statuses => {
            let one = json!({"anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "string", "pattern": "^[1-5]xx$"},
            ]});
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        Shape::Texts => {
            json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
        }
        Shape::TextLists => json!({"type": "array", "items": {"anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}},
        ]}}),
        Shape::TextMap | Shape::TemplateMap | Shape::ExpressionMap => {
            json!({"type": "object", "additionalProperties": texts()})
        }
        Shape::BodyMap => json!({"type": "object"}),
        Shape::Block(block) => reference(block),
        Shape::Blocks(block) => json!({"type": "array", "items": reference(block)}),
        Shape::OneOrMany(block) => json!({"anyOf": [
            reference(block),
            {"type": "array", "items": reference(block)},
        ]}),
        Shape::BlockMap(block) => {
            json!({"type": "object", "additionalProperties": reference(block)})
        }
    }
}
