//! Calls that change nothing: to find a row, and to know that the credentials are right.

use super::answers::{first_list, success};
use super::api::{Api, Operation};
use super::candidate::object as object_at;
use super::words::{has, words};

/// A GET by which a row is found by its key: the path, the parameter of the query, and the way to the list in its
/// answer.
#[derive(Clone, Debug)]
pub(super) struct LookUp {
    pub(super) path: String,
    pub(super) parameter: String,
    /// The way to the list of what was found.
    pub(super) list: Vec<String>,
    /// The field of the id.
    pub(super) id: String,
}

/// The look-up by a field among the operations of the same collection. What it finds has an id under one of these
/// names, or a usual one.
pub(super) fn look_up(api: &Api, object: &str, field: &str, ids: &[&str]) -> Option<LookUp> {
    let wanted = words(field).join("_");
    api.operations
        .iter()
        .filter(|operation| operation.method == "GET")
        .find_map(|operation| {
            if operation.path.contains('{') || object_at(operation) != object {
                return None;
            }
            let parameter = operation
                .parameters_in("query")
                .find(|parameter| words(&parameter.name).join("_") == wanted)?;
            let others = operation
                .parameters_in("query")
                .any(|other| other.required && other.name != parameter.name);
            if others {
                return None;
            }
            let schema = success(api, operation)?.schema?;
            let (list, items) = first_list(&schema)?;
            // The answer must say which row it found, or it could be another.
            items.property(field)?;
            let id = ids
                .iter()
                .copied()
                .chain(["id", "uuid", "uid"])
                .find(|id| items.property(id).is_some())?;
            Some(LookUp {
                path: operation.path.clone(),
                parameter: parameter.name.clone(),
                list,
                id: id.to_owned(),
            })
        })
}

/// A GET that needs nothing: by its answer the credentials are known to be right.
/// Beside it, whether it takes a `limit`.
pub(super) fn check<'a>(api: &'a Api, object: &str) -> Option<(&'a Operation, bool)> {
    const OWN: &[&str] = &[
        "me", "ping", "whoami", "self", "account", "accounts", "current", "profile", "status",
        "limits", "verify", "health", "test", "info",
    ];
    let best = api
        .operations
        .iter()
        .filter(|operation| operation.method == "GET" && !operation.path.contains('{'))
        .filter(|operation| {
            !operation
                .parameters
                .iter()
                .any(|parameter| parameter.required && parameter.place == "query")
        })
        .filter(|operation| {
            operation
                .value
                .get("security")
                .and_then(serde_json::Value::as_array)
                .is_none_or(|list| !list.is_empty())
        })
        .min_by_key(|operation| {
            let last = operation
                .segments()
                .last()
                .map(|part| words(part))
                .unwrap_or_default();
            let own = has(&last, OWN);
            let same = object_at(operation) == object;
            (!own, !same, operation.deprecated, operation.path.len())
        })?;
    let limit = best
        .parameters_in("query")
        .any(|parameter| parameter.name == "limit");
    Some((best, limit))
}
