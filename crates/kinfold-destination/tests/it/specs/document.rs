//! A vendor's specification: OpenAPI 3, or Swagger 2.

use regex::Regex;
use serde_json::{Map, Value};

/// A specification.
pub struct Document {
    root: Value,
    /// Beginnings of addresses, as patterns that match them from the start.
    servers: Vec<Regex>,
    paths: Vec<Path>,
}

struct Path {
    template: String,
    names: Vec<String>,
    pattern: Regex,
    /// How many characters are not parameters: the path that says most is meant.
    plain: usize,
}

/// An operation that an address and a method name.
pub struct Operation<'a> {
    pub document: &'a Document,
    pub template: &'a str,
    pub operation: &'a Map<String, Value>,
    item: &'a Map<String, Value>,
    /// Parameters in the path, decoded.
    pub path: Vec<(String, String)>,
}

/// What an address and a method name in a document.
pub enum Lookup<'a> {
    Operation(Operation<'a>),
    NoMethod,
    NoPath,
    NoServer,
}

impl Document {
    /// A document; `instead` is used in the place of the servers that it names.
    pub fn new(root: Value, instead: &[String]) -> Self {
        let named = if instead.is_empty() {
            servers(&root)
        } else {
            instead.to_vec()
        };
        let servers = named
            .iter()
            .map(|server| pattern(server.trim_end_matches('/'), true).0)
            .collect();
        let paths = root.get("paths").and_then(Value::as_object);
        let paths = paths
            .into_iter()
            .flat_map(|paths| paths.keys())
            .map(|template| {
                let (pattern, names) = pattern(template, false);
                let in_names: usize = names.iter().map(String::len).sum();
                Path {
                    plain: template.len() - in_names,
                    template: template.clone(),
                    names,
                    pattern,
                }
            })
            .collect();
        Self {
            root,
            servers,
            paths,
        }
    }

    pub fn is_swagger_2(&self) -> bool {
        self.root.get("swagger").is_some()
    }

    pub fn root(&self) -> &Value {
        &self.root
    }

    /// What a reference leads to.
    pub fn resolve(&self, reference: &str) -> Option<&Value> {
        let pointer = percent_encoding::percent_decode_str(reference.strip_prefix('#')?);
        self.root.pointer(&pointer.decode_utf8_lossy())
    }

    /// A part that may be a reference to one.
    pub fn part<'a>(&'a self, part: &'a Value) -> &'a Value {
        let mut part = part;
        for _ in 0..16 {
            match part.get("$ref").and_then(Value::as_str) {
                Some(reference) => part = self.resolve(reference).unwrap_or(&Value::Null),
                None => break,
            }
        }
        part
    }

    /// The operation of a method and an address without query.
    pub fn find(&self, method: &str, url: &str) -> Lookup<'_> {
        let rest: Vec<&str> = self
            .servers
            .iter()
            .filter_map(|server| server.find(url).map(|found| &url[found.end()..]))
            .collect();
        if rest.is_empty() {
            return Lookup::NoServer;
        }
        let method = method.to_ascii_lowercase();
        let mut best: Option<(usize, Operation<'_>)> = None;
        let mut no_method = false;
        for path in &self.paths {
            let Some(captures) = rest.iter().find_map(|rest| path.pattern.captures(rest)) else {
                continue;
            };
            let item = self.root["paths"][&path.template].as_object();
            let operation = item.and_then(|item| item.get(&method)?.as_object());
            let (Some(item), Some(operation)) = (item, operation) else {
                no_method = true;
                continue;
            };
            let values = captures.iter().skip(1).flatten().map(|value| {
                let decoded = percent_encoding::percent_decode_str(value.as_str());
                decoded.decode_utf8_lossy().into_owned()
            });
            let found = Operation {
                document: self,
                template: &path.template,
                operation,
                item,
                path: path.names.iter().cloned().zip(values).collect(),
            };
            if best.as_ref().is_none_or(|(plain, _)| path.plain > *plain) {
                best = Some((path.plain, found));
            }
        }
        match best {
            Some((_, operation)) => Lookup::Operation(operation),
            None if no_method => Lookup::NoMethod,
            None => Lookup::NoPath,
        }
    }
}

impl Operation<'_> {
    /// Its parameters; those of the operation come before those of the path.
    pub fn parameters(&self) -> Vec<&Value> {
        let mut found: Vec<&Value> = Vec::new();
        for owner in [self.operation, self.item] {
            let parameters = owner.get("parameters").and_then(Value::as_array);
            for parameter in parameters.into_iter().flatten() {
                let parameter = self.document.part(parameter);
                let same = |known: &&Value| {
                    known["name"] == parameter["name"] && known["in"] == parameter["in"]
                };
                if !found.iter().any(same) {
                    found.push(parameter);
                }
            }
        }
        found
    }
}

fn servers(root: &Value) -> Vec<String> {
    if root.get("swagger").is_some() {
        let text = |key: &str| root.get(key).and_then(Value::as_str).unwrap_or_default();
        return vec![format!("https://{}{}", text("host"), text("basePath"))];
    }
    let servers = root.get("servers").and_then(Value::as_array);
    let mut found = Vec::new();
    for server in servers.into_iter().flatten() {
        let url = server["url"].as_str().unwrap_or_default().to_owned();
        let url = if url.contains("://") {
            url
        } else {
            format!("https://{url}")
        };
        let mut all = vec![url];
        // A variable with choices has no other values.
        for (name, variable) in server["variables"].as_object().into_iter().flatten() {
            let Some(choices) = variable.get("enum").and_then(Value::as_array) else {
                continue;
            };
            let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
            let place = format!("{{{name}}}");
            all = all
                .iter()
                .flat_map(|url| choices.iter().map(|choice| url.replace(&place, choice)))
                .collect();
        }
        found.extend(all);
    }
    found
}

/// A template as a pattern with its parameters' names. A server's matches the beginning of an address.
fn pattern(template: &str, server: bool) -> (Regex, Vec<String>) {
    let mut text = "^".to_owned();
    let mut names = Vec::new();
    let mut rest = template;
    while let Some((plain, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(&regex::escape(plain));
        text.push_str(if server { "[^/.]+" } else { "([^/]+)" });
        names.push(name.to_owned());
        rest = after;
    }
    text.push_str(&regex::escape(rest));
    if !server {
        text.push('$');
    }
    (Regex::new(&text).unwrap(), names)
}
