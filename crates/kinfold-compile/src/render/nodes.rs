//! `graph` of dbt: the nodes of the project as values of a template.

use kinfold_project::{NodeId, ResourceType};
use minijinja::value::Value;

use super::registry::{Entry, Registry, Resolved};
use super::relation::CATALOG;
use super::value::from_json;

/// Every model, seed and source that takes part, by its id. Empty while configurations are collected.
pub(super) fn graph(registry: &Registry) -> Value {
    let resolved = registry.resolved.get().map_or(&[][..], Vec::as_slice);
    let all = || {
        registry
            .entries
            .iter()
            .zip(resolved)
            .filter(|(_, found)| found.enabled)
    };
    let pairs = |sources: bool| {
        let some = all().filter(|(entry, _)| is_source(&entry.id) == sources);
        Value::from_pairs(
            some.map(|(entry, found)| (entry.id.as_str().to_owned(), node(entry, found))),
        )
    };
    let empty = || Value::from_pairs::<_, &str, Value>([]);
    Value::from_pairs([
        ("nodes", pairs(false)),
        ("sources", pairs(true)),
        ("exposures", empty()),
        ("metrics", empty()),
        ("groups", empty()),
    ])
}

fn is_source(id: &NodeId) -> bool {
    kind(id) == ResourceType::Source.as_str()
}

/// The first part of an id.
fn kind(id: &NodeId) -> &str {
    id.as_str().split('.').next().unwrap_or("")
}

fn node(entry: &Entry, found: &Resolved) -> Value {
    let text = |text: &str| Value::from(text);
    let config = |key: &str| found.config.get(key).map(from_json).unwrap_or_default();
    let mut parts = vec![
        ("unique_id", text(entry.id.as_str())),
        ("resource_type", text(kind(&entry.id))),
        ("name", text(&entry.name)),
        ("package_name", text(&entry.package)),
        ("database", text(CATALOG)),
        ("schema", text(&found.relation.schema)),
        ("alias", text(&found.relation.name)),
        ("identifier", text(&found.relation.name)),
        ("relation_name", Value::from(found.relation.to_string())),
        ("tags", config("tags")),
        ("meta", config("meta")),
        (
            "config",
            Value::from_pairs(found.config.iter().map(|(k, v)| (k.clone(), from_json(v)))),
        ),
    ];
    if is_source(&entry.id) {
        let source = entry.id.as_str().split('.').nth(2).unwrap_or("");
        parts.push(("source_name", text(source)));
    }
    Value::from_pairs(parts)
}
