//! Which keys of an object its schemas declare.

use std::collections::BTreeMap;

use serde_json::Value;

use super::finding::Finding;

/// What the schemas of an object say of its keys.
#[derive(Default)]
pub struct Keys {
    pub declared: Vec<String>,
    /// Some schema names properties: those that none names are findings.
    pub some: bool,
    /// Some schema says outright that more properties may come.
    pub open: bool,
}

/// What was said of the objects of a value, by their places: the branches of `allOf` add to each other.
#[derive(Default)]
pub struct Seen(BTreeMap<String, Keys>);

impl Seen {
    pub fn at(&mut self, at: &str) -> &mut Keys {
        self.0.entry(at.to_owned()).or_default()
    }

    pub fn add(&mut self, other: Seen) {
        for (at, keys) in other.0 {
            let known = self.at(&at);
            known.declared.extend(keys.declared);
            known.some |= keys.some;
            known.open |= keys.open;
        }
    }
}

/// The keys that no schema of their object declares.
pub fn undeclared(seen: &Seen, value: &Value, at: &str, found: &mut Vec<Finding>) {
    match value {
        Value::Object(map) => {
            let keys = seen.0.get(at).filter(|keys| keys.some && !keys.open);
            for (name, below) in map {
                let place = format!("{at}/{name}");
                undeclared(seen, below, &place, found);
                let unknown = keys.is_some_and(|keys| !keys.declared.contains(name));
                // What is refused outright is not found twice.
                if unknown && !found.iter().any(|known| known.at == place) {
                    let message = "no schema declares this key";
                    found.push(Finding::new(place, "undeclared", message));
                }
            }
        }
        Value::Array(items) => {
            for (n, below) in items.iter().enumerate() {
                undeclared(seen, below, &format!("{at}/{n}"), found);
            }
        }
        _ => {}
    }
}
