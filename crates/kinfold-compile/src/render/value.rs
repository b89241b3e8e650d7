//! Values on their way between YAML, JSON and the template engine, and lists and dictionaries that
//! a template can change in place, as Python's can be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use kinfold_project::ValueKind as YamlKind;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use serde_json::Value as Json;

use super::registry::lock;

/// How deep values may nest.
const DEPTH: usize = 64;

/// A JSON value for the engine.
pub(super) fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::from(i),
            (None, Some(f)) => Value::from(f),
            (None, None) => Value::from(n.to_string()),
        },
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => items.iter().map(from_json).collect(),
        Json::Object(entries) => {
            Value::from_pairs(entries.iter().map(|(k, v)| (k.clone(), from_json(v))))
        }
    }
}

/// A YAML value for the engine; `text` says what a string becomes.
pub(super) fn from_yaml(
    value: &kinfold_project::Value,
    text: &mut dyn FnMut(&str) -> Result<Value, Error>,
) -> Result<Value, Error> {
    Ok(match &value.kind {
        YamlKind::Null => Value::from(()),
        YamlKind::Bool(b) => Value::from(*b),
        YamlKind::Int(i) => Value::from(*i),
        YamlKind::Float(f) => Value::from(*f),
        YamlKind::String(s) => text(s)?,
        YamlKind::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                list.push(from_yaml(item, text)?);
            }
            Value::from(list)
        }
        YamlKind::Map(entries) => {
            let mut pairs = Vec::with_capacity(entries.len());
            for (key, item) in entries {
                pairs.push((key.value.clone(), from_yaml(item, text)?));
            }
            Value::from_pairs(pairs)
        }
    })
}

/// A value of the engine as JSON. What JSON cannot hold becomes text; what nests too deep, null.
pub(super) fn to_json(value: &Value) -> Json {
    json_at(value, 0)
}

fn json_at(value: &Value, depth: usize) -> Json {
    if depth > DEPTH {
        return Json::Null;
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => match value.as_i64().filter(|_| value.is_integer()) {
            Some(i) => Json::from(i),
            None => f64::try_from(value.clone()).map_or(Json::Null, Json::from),
        },
        ValueKind::Seq | ValueKind::Iterable => Json::Array(
            value
                .try_iter()
                .map(|items| items.map(|item| json_at(&item, depth + 1)).collect())
                .unwrap_or_default(),
        ),
        ValueKind::Map => {
            let keys: Vec<Value> = value.try_iter().map(Iterator::collect).unwrap_or_default();
            Json::Object(
                keys.iter()
                    .filter_map(|key| {
                        let item = value.get_item(key).ok()?;
                        Some((key.to_string(), json_at(&item, depth + 1)))
                    })
                    .collect(),
            )
        }
        _ => Json::String(value.to_string()),
    }
}

/// JSON text as Python writes it: a space after `,` and `:`.
pub(super) fn json_text(value: &Json) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Json::Array(items) => format!("[{}]", joined(items.iter().map(json_text).collect())),
        Json::Object(entries) => {
            let parts = entries
                .iter()
                .map(|(k, v)| format!("{}: {}", Json::String(k.clone()), json_text(v)))
                .collect();
            format!("{{{}}}", joined(parts))
        }
        scalar => scalar.to_string(),
    }
}

/// A list that a template can change.
#[derive(Debug, Default)]
pub(super) struct MutableList(Mutex<Vec<Value>>);

/// A dictionary that a template can change, in the order of insertion.
#[derive(Debug, Default)]
pub(super) struct MutableMap(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    keys: Vec<Value>,
    values: HashMap<Value, Value>,
}

impl Entries {
    fn insert(&mut self, key: Value, value: Value) {
        if self.values.insert(key.clone(), value).is_none() {
            self.keys.push(key);
        }
    }
}

/// The same list or dictionary, mutable. Anything else stays as it is.
pub(super) fn mutable(value: &Value) -> Value {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => match value.try_iter() {
            Ok(items) => Value::from_object(MutableList(Mutex::new(items.collect()))),
            Err(_) => value.clone(),
        },
        ValueKind::Map => {
            let mut entries = Entries::default();
            for key in value.try_iter().into_iter().flatten() {
                if let Ok(item) = value.get_item(&key) {
                    entries.insert(key, item);
                }
            }
            Value::from_object(MutableMap(Mutex::new(entries)))
        }
        _ => value.clone(),
    }
}

/// Refuses a value that holds its own container: printing it would never end.
fn accept<T: 'static>(container: &Arc<T>, value: &Value) -> Result<(), Error> {
    fn holds<T: 'static>(container: &Arc<T>, value: &Value, depth: usize) -> bool {
        if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
            return false;
        }
        if value
            .downcast_object::<T>()
            .is_some_and(|other| Arc::ptr_eq(&other, container))
        {
            return true;
        }
        if depth > DEPTH {
            return true;
        }
        let map = value.kind() == ValueKind::Map;
        value.try_iter().into_iter().flatten().any(|item| {
            let item = if map {
                value.get_item(&item).unwrap_or_default()
            } else {
                item
            };
            holds(container, &item, depth + 1)
        })
    }
    if holds(container, value, 0) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a list or dictionary cannot be put into itself",
        ));
    }
    Ok(())
}

fn wrong(method: &str, wanted: &str) -> Error {
    Error::new(
        ErrorKind::MissingArgument,
        format!("`{method}` takes {wanted}"),
    )
}

impl Object for MutableList {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        lock(&self.0).get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(lock(&self.0).len())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let index = |value: &Value, len: usize| -> Option<usize> {
            let at = value.as_i64()?;
            let len = i64::try_from(len).ok()?;
            usize::try_from(if at < 0 {
                at.saturating_add(len).max(0)
            } else {
                at
            })
            .ok()
        };
        match (method, args) {
            ("append", [item]) => {
                accept(self, item)?;
                lock(&self.0).push(item.clone());
            }
            ("extend", [items]) => {
                accept(self, items)?;
                let items: Vec<Value> = items.try_iter()?.collect();
                lock(&self.0).extend(items);
            }
            ("insert", [at, item]) => {
                accept(self, item)?;
                let mut list = lock(&self.0);
                let at = index(at, list.len()).ok_or_else(|| wrong(method, "an index"))?;
                let at = at.min(list.len());
                list.insert(at, item.clone());
            }
            ("pop", []) => {
                return lock(&self.0).pop().ok_or_else(|| empty(method));
            }
            ("pop", [at]) => {
                let mut list = lock(&self.0);
                let at = index(at, list.len()).ok_or_else(|| wrong(method, "an index"))?;
                if at >= list.len() {
                    return Err(empty(method));
                }
                return Ok(list.remove(at));
            }
            ("remove", [item]) => {
                let items = lock(&self.0).clone();
                let at = items
                    .iter()
                    .position(|other| other == item)
                    .ok_or_else(|| empty(method))?;
                let mut list = lock(&self.0);
                if at < list.len() {
                    list.remove(at);
                }
            }
            ("index", [item]) => {
                let items = lock(&self.0).clone();
                let at = items.iter().position(|other| other == item);
                return at.map(Value::from).ok_or_else(|| empty(method));
            }
            ("clear", []) => lock(&self.0).clear(),
            ("reverse", []) => lock(&self.0).reverse(),
            ("sort", []) => {
                let mut items = lock(&self.0).clone();
                items.sort();
                *lock(&self.0) = items;
            }
            ("copy", []) => {
                let items = lock(&self.0).clone();
                return Ok(Value::from_object(Self(Mutex::new(items))));
            }
            ("append" | "extend" | "remove" | "index", _) => {
                return Err(wrong(method, "one argument"));
            }
            ("insert", _) => return Err(wrong(method, "an index and a value")),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}

fn empty(method: &str) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("`{method}` finds nothing in the list or dictionary"),
    )
}

impl Object for MutableMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        lock(&self.0).values.get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(lock(&self.0).keys.clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match (method, args) {
            ("update", [other]) => {
                accept(self, other)?;
                let mut pairs = Vec::new();
                for key in other.try_iter()? {
                    let item = other.get_item(&key)?;
                    pairs.push((key, item));
                }
                let mut entries = lock(&self.0);
                for (key, item) in pairs {
                    entries.insert(key, item);
                }
                Ok(Value::from(()))
            }
            ("setdefault", [key, rest @ ..]) => {
                let default = rest.first().cloned().unwrap_or_else(|| Value::from(()));
                accept(self, &default)?;
                let mut entries = lock(&self.0);
                if let Some(found) = entries.values.get(key) {
                    return Ok(found.clone());
                }
                entries.insert(key.clone(), default.clone());
                Ok(default)
            }
            ("pop", [key, rest @ ..]) => {
                let mut entries = lock(&self.0);
                let found = entries.values.remove(key);
                entries.keys.retain(|other| other != key);
                found
                    .or_else(|| rest.first().cloned())
                    .ok_or_else(|| empty(method))
            }
            ("clear", []) => {
                *lock(&self.0) = Entries::default();
                Ok(Value::from(()))
            }
            ("copy", []) => Ok(mutable(&Value::from_dyn_object(Arc::clone(self)))),
            ("update", _) => Err(wrong(method, "one dictionary")),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
