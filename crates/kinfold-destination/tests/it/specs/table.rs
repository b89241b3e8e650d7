//! Which specification says what of which destination: `table.yml`.

use kinfold_project::{SourceMap, yaml};
use regex::Regex;
use serde_json::{Map, Value};

use super::finding::Finding;

/// The specifications of a destination.
pub struct Entry {
    pub destination: String,
    /// What they are, in a few words; nothing if there are none.
    pub title: Option<String>,
    /// Why there are none.
    pub none: Option<String>,
    pub files: Vec<File>,
    pub uncovered: Vec<Uncovered>,
    pub exceptions: Vec<Exception>,
}

/// A file of a specification.
pub struct File {
    pub path: String,
    /// In the place of the servers that the file names.
    pub servers: Vec<String>,
    /// The file describes a node of Meta's graph, at this address.
    pub node: Option<String>,
}

/// Requests that no specification describes.
pub struct Uncovered {
    pub text: String,
    pattern: Regex,
}

/// A finding where the specification, and not the request, is wrong.
pub struct Exception {
    pub text: String,
    /// The exchange that it is for, where others shall not have it.
    exchange: Option<String>,
    operation: Regex,
    at: Regex,
    rule: String,
}

impl Uncovered {
    pub fn covers(&self, method: &str, url: &str) -> bool {
        self.pattern.is_match(&format!("{method} {url}"))
    }
}

impl Exception {
    pub fn covers(&self, exchange: &str, operation: &str, finding: &Finding) -> bool {
        self.exchange.as_deref().is_none_or(|only| only == exchange)
            && self.rule == finding.rule
            && self.operation.is_match(operation)
            && self.at.is_match(&finding.at)
    }
}

/// The table.
pub fn read() -> Vec<Entry> {
    let text = include_str!("table.yml");
    let mut files = SourceMap::default();
    let file = files.add("table.yml", text);
    let mut problems = Vec::new();
    let value = yaml::read(text, file, &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let entries = value.to_json();
    let entries = entries.as_object().unwrap();
    entries
        .iter()
        .map(|(name, value)| entry(name, value))
        .collect()
}

fn entry(name: &str, value: &Value) -> Entry {
    let known = ["title", "none", "files", "uncovered", "exceptions"];
    let map = block(value, &known);
    let entry = Entry {
        destination: name.to_owned(),
        title: text(map, "title"),
        none: text(map, "none"),
        files: list(map, "files", |value| {
            let map = block(value, &["file", "servers", "node", "because"]);
            let servers = list(map, "servers", |server| server.as_str().unwrap().to_owned());
            let because = text(map, "because").is_some();
            assert_eq!(
                because,
                !servers.is_empty(),
                "{name}: servers need a reason"
            );
            File {
                path: text(map, "file").unwrap(),
                servers,
                node: text(map, "node"),
            }
        }),
        uncovered: list(map, "uncovered", |value| {
            let map = block(value, &["request", "because"]);
            let request = text(map, "request").unwrap();
            text(map, "because").unwrap();
            Uncovered {
                pattern: wildcard(&request),
                text: request,
            }
        }),
        exceptions: list(map, "exceptions", |value| {
            let map = block(value, &["exchange", "operation", "at", "rule", "because"]);
            let [operation, at, rule] =
                ["operation", "at", "rule"].map(|key| text(map, key).unwrap());
            text(map, "because").unwrap();
            Exception {
                text: format!("{operation} {at} {rule}"),
                exchange: text(map, "exchange"),
                operation: wildcard(&operation),
                at: wildcard(&at),
                rule,
            }
        }),
    };
    assert!(entry.none.is_some() == entry.files.is_empty(), "{name}");
    assert!(entry.title.is_some() != entry.files.is_empty(), "{name}");
    entry
}

fn block<'a>(value: &'a Value, known: &[&str]) -> &'a Map<String, Value> {
    let map = value.as_object().unwrap();
    for key in map.keys() {
        assert!(
            known.contains(&key.as_str()),
            "`{key}` is none of {known:?}"
        );
    }
    map
}

fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key)
        .map(|value| value.as_str().unwrap().to_owned())
        .filter(|text| !text.trim().is_empty())
}

fn list<T>(map: &Map<String, Value>, key: &str, one: impl Fn(&Value) -> T) -> Vec<T> {
    let items = map.get(key).map(|value| value.as_array().unwrap());
    items.into_iter().flatten().map(one).collect()
}

/// `*` stands for one part of a path.
fn wildcard(text: &str) -> Regex {
    let parts: Vec<String> = text.split('*').map(regex::escape).collect();
    Regex::new(&format!("^{}$", parts.join("[^/]+"))).unwrap()
}
