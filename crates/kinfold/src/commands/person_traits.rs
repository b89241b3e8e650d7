//! Where the traits of a person come from.
//!
//! A profile has the provenance of a trait in two columns beside it, `<trait>_source` and
//! `<trait>_observed_at`, or a published model has it as rows: `canonical_id`, `attribute`, `position`,
//! `source`, `observed_at`, of which position 1 is the value that was chosen.

use std::collections::BTreeMap;

use kinfold_engine::{Engine, Published, PublishedNode};
use serde_json::{Map, Value, json};

use super::CommandError;
use super::person::{literal, models, sql_name};
use super::query::{columns_of, rows_of};

/// The columns of provenance as rows.
const COLUMNS: [&str; 5] = [
    "canonical_id",
    "attribute",
    "position",
    "source",
    "observed_at",
];

/// Source and time of attributes, by their name.
pub type Origins = BTreeMap<String, Value>;

/// What published models say of where the attributes of a person come from.
pub async fn origins(
    engine: &Engine,
    published: &Published,
    canonical_id: &str,
) -> Result<Origins, CommandError> {
    let mut found = Origins::new();
    for (_, node) in models(published) {
        let is_of_a_user = matches!(node.kind.as_str(), "table" | "view");
        let Some(relation) = node.relation.as_ref().filter(|_| is_of_a_user) else {
            continue;
        };
        let relation = sql_name(relation);
        let columns = columns_of(engine, &relation).await?;
        if !COLUMNS.iter().all(|name| columns.iter().any(|c| c == name)) {
            continue;
        }
        let sql = format!(
            "SELECT attribute, source, observed_at FROM {relation} \
             WHERE canonical_id = {} AND position = 1",
            literal(canonical_id)
        );
        for mut row in rows_of(engine, &sql).await? {
            if let Some(Value::String(attribute)) = row.remove("attribute") {
                found.insert(attribute, Value::Object(row));
            }
        }
    }
    Ok(found)
}

/// A profile with its traits, and where they come from if that is known.
pub fn told_of(
    name: &str,
    node: &PublishedNode,
    mut traits: Map<String, Value>,
    origins: &Origins,
) -> Value {
    let mut provenance = Map::new();
    let names: Vec<String> = traits.keys().cloned().collect();
    for of in &names {
        let beside = ["source", "observed_at"].map(|part| format!("{of}_{part}"));
        if beside.iter().all(|column| names.contains(column)) {
            let [source, time] = beside.map(|column| traits.remove(&column).unwrap_or_default());
            let origin = json!({"source": source, "observed_at": time});
            provenance.insert(of.clone(), origin);
        } else if let Some(origin) = origins.get(of) {
            provenance.insert(of.clone(), origin.clone());
        }
    }
    json!({
        "model": name,
        "as_of": node.as_of,
        "traits": traits,
        "provenance": provenance,
    })
}
