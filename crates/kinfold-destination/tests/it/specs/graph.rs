//! Meta's own description of a node of its graph: endpoints with parameters, and fields.

use std::collections::HashMap;

use kinfold_destination::kit::RecordedRequest;
use regex::Regex;
use serde_json::Value;

use super::finding::Finding;
use super::form;

/// A node, and where it is found.
pub struct Node {
    root: Value,
    server: Regex,
    /// The words of named types.
    words: HashMap<String, Vec<String>>,
}

/// Parameters that every endpoint takes; they are in no node's file.
const EVERYWHERE: [&str; 6] = [
    "fields",
    "limit",
    "after",
    "before",
    "access_token",
    "appsecret_proof",
];

impl Node {
    /// A node whose endpoints are below `server`, where `{…}` stands for one part of the address.
    pub fn new(root: Value, server: &str, types: &Value) -> Self {
        let escaped = regex::escape(server);
        let variable = Regex::new(r"\\\{[a-z_]+\\\}").unwrap();
        let pattern = variable.replace_all(&escaped, "[^/]+");
        let types = types.as_array().into_iter().flatten();
        let words = types
            .filter_map(|one| {
                let values = one["values"].as_array()?;
                let values = values.iter().filter_map(Value::as_str).map(str::to_owned);
                Some((one["name"].as_str()?.to_owned(), values.collect()))
            })
            .collect();
        Self {
            root,
            server: Regex::new(&format!("^{pattern}(?:/([a-z_]+)|)$")).unwrap(),
            words,
        }
    }

    /// The endpoint of a method and an address without query.
    pub fn find(&self, method: &str, url: &str) -> Option<&Value> {
        if !self.has(url) {
            return None;
        }
        // Of the node itself there is no endpoint.
        let endpoint = self.server.captures(url)?.get(1);
        let endpoint = endpoint.map_or(Value::Null, |found| Value::from(found.as_str()));
        let endpoints = self.root["apis"].as_array()?;
        endpoints
            .iter()
            .find(|one| one["method"] == method && one["endpoint"] == endpoint)
    }

    /// Whether an address is below this node.
    pub fn has(&self, url: &str) -> bool {
        let last = url.rsplit('/').next().unwrap_or_default();
        let of_node = |found: regex::Captures<'_>| {
            found.get(1).is_some() || last.chars().all(|sign| sign.is_ascii_digit())
        };
        self.server.captures(url).is_some_and(of_node)
    }

    /// Everything that is wrong with a request to an endpoint.
    pub fn request(&self, endpoint: &Value, request: &RecordedRequest) -> Vec<Finding> {
        let mut found = Vec::new();
        let query = request.url.split_once('?').map_or("", |(_, query)| query);
        let mut given: Vec<(String, Value, bool)> = form::pairs(query.as_bytes())
            .into_iter()
            .map(|(name, value)| (name, Value::from(value), true))
            .collect();
        if !request.body.is_empty() {
            match serde_json::from_slice(&request.body) {
                Ok(Value::Object(map)) => {
                    given.extend(map.into_iter().map(|(name, value)| (name, value, false)));
                }
                _ => found.push(Finding::new("body", "syntax", "is no JSON object")),
            }
        }
        let parameters = endpoint["params"].as_array().map_or(&[][..], Vec::as_slice);
        for (name, value, textual) in &given {
            let at = format!("{}/{name}", if *textual { "query" } else { "body" });
            // The fields that are asked for, of the node itself.
            if name == "fields" && endpoint.get("endpoint").is_none() {
                let asked = value.as_str().unwrap_or_default().split(',');
                let fields = self.root["fields"]
                    .as_array()
                    .map_or(&[][..], Vec::as_slice);
                for field in asked.filter(|asked| !fields.iter().any(|one| one["name"] == **asked))
                {
                    found.push(Finding::new(
                        &at,
                        "undeclared",
                        format!("no field `{field}`"),
                    ));
                }
            }
            let known = parameters.iter().find(|known| known["name"] == **name);
            match known.and_then(|known| known["type"].as_str()) {
                Some(wanted) if !self.is(wanted, value, *textual) => {
                    found.push(Finding::new(at, "type", format!("is not {wanted}")));
                }
                None if !EVERYWHERE.contains(&name.as_str()) => {
                    found.push(Finding::new(at, "undeclared", "no such parameter"));
                }
                _ => {}
            }
        }
        for wanted in parameters
            .iter()
            .filter(|wanted| wanted["required"] == true)
        {
            let name = wanted["name"].as_str().unwrap_or_default();
            if !given.iter().any(|(known, ..)| known == name) {
                found.push(Finding::new(
                    format!("body/{name}"),
                    "required",
                    "is missing",
                ));
            }
        }
        found
    }

    fn is(&self, wanted: &str, value: &Value, textual: bool) -> bool {
        if let Some(item) = wanted
            .strip_prefix("list<")
            .and_then(|rest| rest.strip_suffix('>'))
        {
            let given: Option<Vec<Value>> = match value {
                Value::Array(items) => Some(items.clone()),
                Value::String(text) if textual && text.starts_with('[') => {
                    serde_json::from_str(text).ok()
                }
                Value::String(text) if textual => Some(text.split(',').map(Value::from).collect()),
                _ => None,
            };
            return given
                .is_some_and(|items| items.iter().all(|item_| self.is(item, item_, false)));
        }
        if let Some(words) = self.words.get(wanted) {
            return value
                .as_str()
                .is_some_and(|word| words.iter().any(|known| known == word));
        }
        let number = |whole: bool| match value {
            Value::Number(number) => !whole || number.is_i64() || number.is_u64(),
            Value::String(text) if textual => text.parse::<f64>().is_ok(),
            _ => false,
        };
        match wanted {
            // Meta's files say `string` of nested objects too; a scalar is not one of them.
            "string" => value.is_string() || value.is_object(),
            "bool" => {
                value.is_boolean() || textual && matches!(value.as_str(), Some("true" | "false"))
            }
            "int" | "unsigned int" => number(true),
            "float" => number(false),
            "datetime" => value.is_string() || number(true),
            "map" | "Object" => value.is_object(),
            _ => true,
        }
    }
}
