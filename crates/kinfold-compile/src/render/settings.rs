//! The layers of a node's configuration, merged, with the places where they were written.

use std::collections::BTreeMap;

use kinfold_project::{IDENTITY_KEYS, LINKAGE_KEYS, Located, Span, Value, ValueKind};
use serde_json::Value as Json;

/// The value of a key and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    /// The value.
    pub value: Json,
    /// Where it was set.
    pub span: Span,
    /// The same value with a place for each of its parts, of those keys that are read part by part.
    pub placed: Option<Value>,
}

/// Merged layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings(pub BTreeMap<String, Setting>);

impl Settings {
    /// Puts a key over the layers so far. Tags are added, `meta` is merged, the rest is replaced.
    pub fn put(&mut self, key: &str, value: Json, span: Span) {
        self.put_written(key, value, span, None);
    }

    /// Puts a key that was `written` in a YAML file.
    pub fn put_written(&mut self, key: &str, value: Json, span: Span, written: Option<&Value>) {
        let in_parts = IDENTITY_KEYS.contains(&key) || LINKAGE_KEYS.contains(&key);
        let placed =
            in_parts.then(|| placed(&value, written, written.map_or(span, |value| value.span)));
        let merged = match (key, self.0.remove(key)) {
            ("tags", Some(old)) => {
                let mut tags = list(old.value);
                tags.extend(list(value));
                Json::Array(tags)
            }
            ("meta", Some(old)) => match (old.value, value) {
                (Json::Object(mut all), Json::Object(new)) => {
                    all.extend(new);
                    Json::Object(all)
                }
                (_, new) => new,
            },
            (_, _) => value,
        };
        self.0.insert(
            key.to_owned(),
            Setting {
                value: merged,
                span,
                placed,
            },
        );
    }

    /// The values without places.
    pub fn json(&self) -> BTreeMap<String, Json> {
        self.0
            .iter()
            .map(|(key, setting)| (key.clone(), setting.value.clone()))
            .collect()
    }
}

pub(super) fn list(value: Json) -> Vec<Json> {
    match value {
        Json::Array(items) => items,
        Json::Null => vec![],
        other => vec![other],
    }
}

/// A rendered value with the places where its parts were written; `span` where they are not known.
fn placed(value: &Json, written: Option<&Value>, span: Span) -> Value {
    let part = |value: &Json, written: Option<&Value>| {
        placed(value, written, written.map_or(span, |part| part.span))
    };
    let kind = match value {
        Json::Null => ValueKind::Null,
        Json::Bool(flag) => ValueKind::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => ValueKind::Int(number),
            None => ValueKind::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => {
            let written = written.map(|value| match &value.kind {
                ValueKind::List(items) => items.as_slice(),
                _ => &[],
            });
            let written = written.unwrap_or_default();
            let items = items.iter().enumerate();
            ValueKind::List(
                items
                    .map(|(at, item)| part(item, written.get(at)))
                    .collect(),
            )
        }
        Json::Object(entries) => {
            let written = written.map(|value| match &value.kind {
                ValueKind::Map(entries) => entries.as_slice(),
                _ => &[],
            });
            let written = written.unwrap_or_default();
            let entries = entries.iter().map(|(key, value)| {
                let own = written.iter().find(|(name, _)| name.value == *key);
                let key = Located::new(key.clone(), own.map_or(span, |(name, _)| name.span));
                (key, part(value, own.map(|(_, value)| value)))
            });
            ValueKind::Map(entries.collect())
        }
    };
    Value { kind, span }
}
