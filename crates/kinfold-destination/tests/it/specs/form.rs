//! Bodies and queries as values.

use serde_json::{Map, Value};

/// The pairs of a query or of a form, decoded.
pub fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// Pairs with names such as `a[b][0]` as a tree; objects whose keys are positions are lists.
pub fn tree(pairs: Vec<(String, String)>) -> Value {
    let mut root = Value::Object(Map::new());
    for (name, value) in pairs {
        let mut keys = name.split('[').map(|key| key.trim_end_matches(']'));
        let mut at = &mut root;
        let first = keys.next().unwrap_or_default();
        for key in std::iter::once(first).chain(keys) {
            let Value::Object(map) = at else { break };
            let key = if key.is_empty() {
                map.len().to_string()
            } else {
                key.to_owned()
            };
            at = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
        }
        // A name that comes again makes a list.
        match at {
            Value::String(first) => *at = Value::from(vec![std::mem::take(first), value]),
            Value::Array(items) => items.push(Value::from(value)),
            _ => *at = Value::from(value),
        }
    }
    lists(root)
}

fn lists(value: Value) -> Value {
    let Value::Object(map) = value else {
        return value;
    };
    let positions = !map.is_empty() && map.keys().enumerate().all(|(n, key)| *key == n.to_string());
    let below = map.into_iter().map(|(key, value)| (key, lists(value)));
    if positions {
        return below.map(|(_, value)| value).collect();
    }
    Value::Object(below.collect())
}

/// A body, and whether its scalars are texts.
pub fn read(essence: &str, header: &str, body: &[u8]) -> Result<(Value, bool), String> {
    let text = || String::from_utf8_lossy(body).into_owned();
    match essence {
        "application/x-www-form-urlencoded" => Ok((tree(pairs(body)), true)),
        "multipart/form-data" => Ok((parts(header, &text())?, true)),
        "application/x-ndjson" => {
            let text = text();
            let lines = text.lines().map(serde_json::from_str);
            let items: Result<Vec<Value>, _> = lines.collect();
            Ok((items.map_err(|error| error.to_string())?.into(), false))
        }
        json if json == "application/json" || json.ends_with("+json") => {
            let value = serde_json::from_slice(body);
            Ok((value.map_err(|error| error.to_string())?, false))
        }
        _ => Ok((Value::from(text()), false)),
    }
}

fn parts(header: &str, body: &str) -> Result<Value, String> {
    let boundary = header
        .split_once("boundary=")
        .ok_or("there is no boundary")?
        .1;
    let separator = format!("--{}", boundary.trim_matches('"'));
    let mut found: Vec<(String, String)> = Vec::new();
    for part in body.split(&separator).skip(1) {
        let Some((head, content)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let name = head
            .split_once("name=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let name = name.ok_or("a part has no name")?.0;
        let content = content.strip_suffix("\r\n").unwrap_or(content);
        found.push((name.to_owned(), content.to_owned()));
    }
    Ok(tree(found))
}
