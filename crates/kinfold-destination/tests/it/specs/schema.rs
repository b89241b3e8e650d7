//! The part of JSON Schema, and of OpenAPI's dialects of it, that vendors' files use.
//!
//! It is stricter than JSON Schema in two ways, since most files leave every object open and a misspelt key would
//! pass: a key that no schema of an object declares is a finding, and so is a keyword that is not known here.

use regex::Regex;
use serde_json::{Map, Value};

use super::document::Document;
use super::finding::Finding;
use super::keys::{Seen, undeclared};
use super::scalars::{number_fits, shown, text_fits};

/// Which way a value goes: properties can be for one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Request,
    Answer,
}

/// Checks values against the schemas of a document.
pub struct Checker<'a> {
    pub document: &'a Document,
    pub way: Way,
    /// Whether scalars are given as texts, as in addresses and forms.
    pub textual: bool,
}

const ANNOTATIONS: [&str; 28] = [
    "title",
    "description",
    "example",
    "examples",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "externalDocs",
    "xml",
    "nullable",
    "discriminator",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "contentEncoding",
    "contentMediaType",
    // The others stand where a schema also is a parameter of Swagger 2.
    "name",
    "in",
    "collectionFormat",
    "allowEmptyValue",
    // No keywords, but harmless mistakes of vendors.
    "readme",
    "optional",
    "summary",
    "enumDescriptions",
    "style",
];

impl Checker<'_> {
    /// Everything that is wrong with a value.
    pub fn check(&self, schema: &Value, value: &Value, at: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut seen = Seen::default();
        self.walk(schema, value, at, &mut seen, &mut found);
        undeclared(&seen, value, at, &mut found);
        // Several schemas of a value may say the same of it.
        let mut once: Vec<Finding> = Vec::new();
        for finding in found {
            if !once.contains(&finding) {
                once.push(finding);
            }
        }
        once
    }

    fn walk(
        &self,
        schema: &Value,
        value: &Value,
        at: &str,
        seen: &mut Seen,
        found: &mut Vec<Finding>,
    ) {
        let schema = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => {
                found.push(Finding::new(at, "false", "nothing may be here"));
                return;
            }
            Value::Object(schema) => schema,
            _ => {
                found.push(Finding::new(at, "schema", "this is no schema"));
                return;
            }
        };
        let null_fits = ["nullable", "x-nullable"]
            .iter()
            .any(|key| schema.get(*key) == Some(&Value::Bool(true)));
        if value.is_null() && null_fits {
            return;
        }
        if self.textual && schema.get("type") == Some(&Value::from("array")) && value.is_string() {
            // A form writes a list of one item as the item.
            let list = Value::Array(vec![value.clone()]);
            for (keyword, argument) in schema {
                self.keyword(keyword, argument, schema, (&list, at), seen, found);
            }
            return;
        }
        if let Some(Value::String(reference)) = schema.get("$ref") {
            match self.document.resolve(reference) {
                Some(target) => self.walk(target, value, at, seen, found),
                None => found.push(Finding::new(at, "$ref", format!("{reference} is missing"))),
            }
        }
        for (keyword, argument) in schema {
            self.keyword(keyword, argument, schema, (value, at), seen, found);
        }
    }

    fn keyword(
        &self,
        keyword: &str,
        argument: &Value,
        schema: &Map<String, Value>,
        (value, at): (&Value, &str),
        seen: &mut Seen,
        found: &mut Vec<Finding>,
    ) {
        let mut wrong = |rule: &'static str, message: String| {
            found.push(Finding::new(at, rule, message));
        };
        match keyword {
            "type" => {
                if !self.has_type(argument, value) {
                    wrong("type", format!("is {}, not {argument}", shown(value)));
                }
            }
            "enum" => {
                let choices = argument.as_array().map_or(&[][..], Vec::as_slice);
                if !choices.iter().any(|choice| self.same(choice, value)) {
                    let message = format!("{} is none of {argument}", shown(value));
                    wrong("enum", message);
                }
            }
            "const" => {
                if !self.same(argument, value) {
                    wrong("const", format!("{} is not {argument}", shown(value)));
                }
            }
            "pattern" | "minLength" | "maxLength" | "format" => {
                if let Value::String(text) = value
                    && let Err((rule, message)) = text_fits(keyword, argument, text)
                {
                    wrong(rule, message);
                }
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                if let Some(number) = self.number(value)
                    && !number_fits(keyword, argument, schema, number)
                {
                    wrong("range", format!("{number}: {keyword} {argument}"));
                }
            }
            "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                let count = match value {
                    Value::Array(items) if keyword.ends_with("Items") => items.len(),
                    Value::Object(map) if keyword.ends_with("Properties") => map.len(),
                    _ => return,
                };
                let bound = argument.as_u64().unwrap_or_default();
                let count = count as u64;
                let fits = if keyword.starts_with("min") {
                    count >= bound
                } else {
                    count <= bound
                };
                if !fits {
                    wrong("count", format!("{count}: {keyword} {bound}"));
                }
            }
            "uniqueItems" => {
                if let Value::Array(items) = value
                    && argument == &Value::Bool(true)
                    && (1..items.len()).any(|n| items[..n].contains(&items[n]))
                {
                    wrong("uniqueItems", "an item is there twice".to_owned());
                }
            }
            "items" => {
                if let Value::Array(items) = value {
                    let first = schema.get("prefixItems").and_then(Value::as_array);
                    for (n, item) in items.iter().enumerate().skip(first.map_or(0, Vec::len)) {
                        self.walk(argument, item, &format!("{at}/{n}"), seen, found);
                    }
                }
            }
            "prefixItems" => {
                if let (Value::Array(items), Some(schemas)) = (value, argument.as_array()) {
                    for (n, (item, schema)) in items.iter().zip(schemas).enumerate() {
                        self.walk(schema, item, &format!("{at}/{n}"), seen, found);
                    }
                }
            }
            "required" => self.required(argument, schema, value, at, found),
            "properties" | "patternProperties" | "additionalProperties" => {
                if let Value::Object(map) = value {
                    self.property_keyword(keyword, argument, schema, (map, at), seen, found);
                }
            }
            "allOf" => {
                for branch in argument.as_array().into_iter().flatten() {
                    self.walk(branch, value, at, seen, found);
                }
            }
            "anyOf" | "oneOf" => {
                let only_one = keyword == "oneOf";
                self.branches(only_one, argument, schema, (value, at), seen, found);
            }
            "not" => {
                let mut below = Vec::new();
                self.walk(argument, value, at, &mut Seen::default(), &mut below);
                if below.is_empty() {
                    wrong("not", "fits what it must not".to_owned());
                }
            }
            "$ref" => {}
            known if ANNOTATIONS.contains(&known) || known.starts_with("x-") => {}
            other => wrong("keyword", format!("the keyword `{other}` is not known")),
        }
    }

    fn required(
        &self,
        argument: &Value,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
        found: &mut Vec<Finding>,
    ) {
        let Value::Object(map) = value else { return };
        let names = argument.as_array().into_iter().flatten();
        for name in names.filter_map(Value::as_str) {
            let property = schema.get("properties").and_then(|all| all.get(name));
            let other_way = property.is_some_and(|property| self.is_for_other_way(property));
            if !map.contains_key(name) && !other_way {
                let place = format!("{at}/{name}");
                found.push(Finding::new(place, "required", "is missing"));
            }
        }
    }

    fn property_keyword(
        &self,
        keyword: &str,
        argument: &Value,
        schema: &Map<String, Value>,
        (map, at): (&Map<String, Value>, &str),
        seen: &mut Seen,
        found: &mut Vec<Finding>,
    ) {
        let patterns = |of: &Value| -> Vec<(Regex, Value)> {
            let entries = of.as_object().into_iter().flatten();
            entries
                .map(|(pattern, schema)| (Regex::new(pattern).unwrap(), schema.clone()))
                .collect()
        };
        match keyword {
            "properties" => {
                let properties = argument.as_object().into_iter().flatten();
                for (name, property) in properties {
                    let keys = seen.at(at);
                    keys.some = true;
                    keys.declared.push(name.clone());
                    let Some(value) = map.get(name) else { continue };
                    let place = format!("{at}/{name}");
                    if self.is_for_other_way(property) {
                        found.push(Finding::new(&place, "readOnly", "is for the other way"));
                    }
                    self.walk(property, value, &place, seen, found);
                }
            }
            "patternProperties" => {
                for (pattern, property) in patterns(argument) {
                    seen.at(at).some = true;
                    for (name, value) in map.iter().filter(|(name, _)| pattern.is_match(name)) {
                        seen.at(at).declared.push(name.clone());
                        self.walk(&property, value, &format!("{at}/{name}"), seen, found);
                    }
                }
            }
            _ => {
                let named = schema.get("properties").and_then(Value::as_object);
                let matched = schema.get("patternProperties").map(patterns);
                let more = map.iter().filter(|(name, _)| {
                    let by_pattern = matched.iter().flatten().any(|(one, _)| one.is_match(name));
                    !by_pattern && !named.is_some_and(|named| named.contains_key(*name))
                });
                match argument {
                    Value::Bool(false) => {
                        seen.at(at).some = true;
                        for (name, _) in more {
                            let place = format!("{at}/{name}");
                            found.push(Finding::new(place, "additional", "may not be here"));
                        }
                    }
                    schema => {
                        seen.at(at).open = true;
                        for (name, value) in more {
                            self.walk(schema, value, &format!("{at}/{name}"), seen, found);
                        }
                    }
                }
            }
        }
    }

    fn is_for_other_way(&self, property: &Value) -> bool {
        let key = match self.way {
            Way::Request => "readOnly",
            Way::Answer => "writeOnly",
        };
        let property = match property.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.document.resolve(reference).unwrap_or(property),
            None => property,
        };
        property.get(key) == Some(&Value::Bool(true))
    }

    /// The branches of a choice. If none fits, what is wrong with the nearest.
    fn branches(
        &self,
        only_one: bool,
        argument: &Value,
        schema: &Map<String, Value>,
        (value, at): (&Value, &str),
        seen: &mut Seen,
        found: &mut Vec<Finding>,
    ) {
        let branches = argument.as_array().map_or(&[][..], Vec::as_slice);
        if let Some(named) = self.discriminated(schema, branches, value) {
            self.walk(&named, value, at, seen, found);
            return;
        }
        let mut fits = 0;
        let mut nearest: Option<(usize, Vec<Finding>, Seen)> = None;
        for branch in branches {
            let (mut below, mut found_keys) = (Vec::new(), Seen::default());
            self.walk(branch, value, at, &mut found_keys, &mut below);
            if below.is_empty() {
                fits += 1;
                seen.add(found_keys);
                continue;
            }
            let mut unknown = Vec::new();
            undeclared(&found_keys, value, at, &mut unknown);
            // A wrong type or word says that another branch was meant.
            let distance: usize = below
                .iter()
                .map(|finding| match finding.rule {
                    "type" | "enum" | "const" if finding.at == at => 1_000,
                    "enum" | "const" => 100,
                    _ => 1,
                })
                .sum();
            let distance = distance + unknown.len();
            if nearest.as_ref().is_none_or(|(least, ..)| distance < *least) {
                nearest = Some((distance, below, found_keys));
            }
        }
        match nearest {
            Some((_, below, keys)) if fits == 0 => {
                found.extend(below);
                seen.add(keys);
            }
            _ if only_one && fits > 1 => {
                let message = format!("{fits} of {} choices fit", branches.len());
                found.push(Finding::new(at, "oneOf", message));
            }
            _ => {}
        }
    }

    /// The branch that a discriminator names.
    fn discriminated(
        &self,
        schema: &Map<String, Value>,
        branches: &[Value],
        value: &Value,
    ) -> Option<Value> {
        let discriminator = schema.get("discriminator")?;
        let word = value.get(discriminator.get("propertyName")?.as_str()?)?;
        let word = word.as_str()?;
        let mapped = discriminator
            .get("mapping")
            .and_then(|mapping| mapping.get(word));
        let name = mapped.and_then(Value::as_str).unwrap_or(word);
        let ending = format!("/{name}");
        branches
            .iter()
            .find(|branch| {
                let reference = branch.get("$ref").and_then(Value::as_str);
                reference.is_some_and(|to| to == name || to.ends_with(&ending))
            })
            .cloned()
    }

    fn has_type(&self, argument: &Value, value: &Value) -> bool {
        let one = |name: &str| match name {
            "null" => value.is_null(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" | "file" => value.is_string(),
            "boolean" if self.textual => {
                value.is_boolean() || matches!(value.as_str(), Some("true" | "false"))
            }
            "boolean" => value.is_boolean(),
            "integer" => self
                .number(value)
                .is_some_and(|number| number.fract() == 0.0),
            "number" => self.number(value).is_some(),
            _ => false,
        };
        match argument {
            Value::String(name) => one(name),
            Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
            _ => false,
        }
    }

    fn number(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if self.textual => text.parse().ok(),
            _ => None,
        }
    }

    fn same(&self, choice: &Value, value: &Value) -> bool {
        if choice == value {
            return true;
        }
        match (self.number(choice), self.number(value)) {
            (Some(one), Some(other)) => one == other,
            _ => self.textual && value.as_str() == Some(choice.to_string().as_str()),
        }
    }
}
