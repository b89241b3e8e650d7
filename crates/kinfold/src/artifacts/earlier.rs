//! An earlier state of the project: the artefacts of another run, kinfold's or dbt's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kinfold_compile::select::{Aspect, Before, Change};
use kinfold_project::NodeId;
use serde_json::{Map, Value as Json};

use super::ArtifactError;

/// Configuration that says where a node is stored; compared as [`Aspect::Relation`].
const PLACES: [&str; 3] = ["alias", "schema", "database"];

/// Configuration that only names and describes, as dbt leaves it out of a comparison.
const DESCRIBING: [&str; 6] = ["alias", "schema", "database", "tags", "meta", "group"];

/// What says nothing of a source, a generic test or a sync itself.
const BESIDES: [&str; 11] = [
    "created_at",
    "description",
    "columns",
    "docs",
    "patch_path",
    "meta",
    "tags",
    "config",
    "unrendered_config",
    "compiled_code",
    "relation_name",
];

/// Compares the artefacts in a folder with `manifest.json` as it is now.
///
/// # Errors
/// When there is no `manifest.json`, or it or a `run_results.json` beside it is something else.
pub fn compare(folder: &Path, now: &Json) -> Result<Before, ArtifactError> {
    let manifest = read(folder, "manifest.json", "nodes")?;
    let results = if folder.join("run_results.json").is_file() {
        results(&read(folder, "run_results.json", "results")?)
    } else {
        BTreeMap::new()
    };
    Ok(Before {
        changes: changes(&manifest, now),
        results,
    })
}

/// The environment that a folder of artefacts tells of, if kinfold wrote them.
///
/// # Errors
/// As of [`compare`].
pub fn environment(folder: &Path) -> Result<Option<String>, ArtifactError> {
    let manifest = read(folder, "manifest.json", "nodes")?;
    let name = manifest.pointer("/metadata/env/kinfold_environment");
    Ok(name.and_then(Json::as_str).map(str::to_owned))
}

fn read(folder: &Path, file: &'static str, needs: &str) -> Result<Json, ArtifactError> {
    let path = folder.join(file);
    let text = std::fs::read(&path).map_err(|source| ArtifactError::Read {
        path: path.clone(),
        source,
    })?;
    let wrong = |why: String| ArtifactError::NotAnArtifact {
        path: path.clone(),
        file,
        why,
    };
    let document: Json = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    if document.get(needs).is_none() {
        return Err(wrong(format!("it has no `{needs}`")));
    }
    Ok(document)
}

fn results(document: &Json) -> BTreeMap<NodeId, String> {
    let all = document["results"].as_array().into_iter().flatten();
    all.filter_map(|result| {
        let id = result["unique_id"].as_str()?;
        let status = result["status"].as_str()?;
        Some((NodeId::from_text(id), status.to_owned()))
    })
    .collect()
}

/// The sections of `manifest.json` whose entries are nodes.
const SECTIONS: [&str; 3] = ["nodes", "sources", "exposures"];

fn changes(old: &Json, new: &Json) -> BTreeMap<NodeId, Change> {
    let (old_names, new_names) = (relations(old), relations(new));
    let mut changes = BTreeMap::new();
    for section in SECTIONS {
        let empty = Map::new();
        let entries = new[section].as_object().unwrap_or(&empty);
        for (id, entry) in entries {
            let change = match old[section].get(id) {
                None => Change::New,
                Some(before) => {
                    let aspects = aspects(before, entry, &old_names, &new_names);
                    if aspects.is_empty() {
                        continue;
                    }
                    Change::Modified(aspects)
                }
            };
            changes.insert(NodeId::from_text(&node_id(id)), change);
        }
    }
    changes
}

/// A sync is an exposure of `manifest.json`.
fn node_id(id: &str) -> String {
    id.strip_prefix("exposure.")
        .map_or_else(|| id.to_owned(), |rest| format!("sync.{rest}"))
}

fn aspects(
    old: &Json,
    new: &Json,
    old_names: &[(String, String)],
    new_names: &[(String, String)],
) -> BTreeSet<Aspect> {
    let mut found = BTreeSet::new();
    if body_differs(old, new) {
        found.insert(Aspect::Body);
    }
    if configs_differ(&old["config"], &new["config"]) {
        found.insert(Aspect::Configs);
    }
    let place = |entry: &Json| PLACES.map(|key| entry["config"][key].clone());
    if place(old) != place(new) || old["alias"] != new["alias"] {
        found.insert(Aspect::Relation);
    }
    // The same file that gives other SQL: a macro or a variable is another.
    if let (Some(before), Some(now)) = (text(old, "compiled_code"), text(new, "compiled_code"))
        && !found.contains(&Aspect::Body)
        && named(before, old_names) != named(now, new_names)
    {
        found.insert(Aspect::Macros);
    }
    let meaning = |entry: &Json| entry.pointer("/meta/kinfold/fingerprint").cloned();
    if let (Some(before), Some(now)) = (meaning(old), meaning(new))
        && before != now
    {
        found.insert(Aspect::Meaning);
    }
    found
}

fn text<'e>(entry: &'e Json, key: &str) -> Option<&'e str> {
    entry[key].as_str()
}

/// Files are compared by their checksum, what has none by all that it says of itself.
fn body_differs(old: &Json, new: &Json) -> bool {
    let sum = |entry: &Json| {
        let name = entry.pointer("/checksum/name")?.as_str()?.to_owned();
        let sum = entry.pointer("/checksum/checksum")?.as_str()?.to_owned();
        (name != "none").then_some(sum)
    };
    if let (Some(before), Some(now)) = (sum(old), sum(new)) {
        return before != now;
    }
    // All that a sync does is there; what its columns come from is not its own.
    let what = |entry: &Json| {
        let mut what = entry.pointer("/meta/kinfold").cloned();
        if let Some(what) = what.as_mut().and_then(Json::as_object_mut) {
            what.remove("lineage");
        }
        what
    };
    if old["resource_type"] == "exposure" && what(old) != what(new) {
        return true;
    }
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old != new;
    };
    let differs = |(key, value): (&String, &Json)| {
        !BESIDES.contains(&key.as_str()) && old.get(key).is_some_and(|before| before != value)
    };
    new.iter().any(differs)
}

/// Only what both have is compared, so that artefacts of another program can be a state too.
fn configs_differ(old: &Json, new: &Json) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return false;
    };
    new.iter().any(|(key, value)| {
        !DESCRIBING.contains(&key.as_str()) && old.get(key).is_some_and(|before| before != value)
    })
}

/// The relations of a manifest and the nodes that they stand for, the longest names first.
fn relations(manifest: &Json) -> Vec<(String, String)> {
    let sections = ["nodes", "sources"].map(|section| manifest[section].as_object());
    let mut found: Vec<(String, String)> = sections
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|(id, entry)| Some((entry["relation_name"].as_str()?.to_owned(), id.clone())))
        .collect();
    found.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    found
}

/// SQL whose relations have the names of their nodes, so that environments can be compared.
fn named(sql: &str, relations: &[(String, String)]) -> String {
    let used = relations.iter().filter(|(name, _)| sql.contains(name));
    used.fold(sql.to_owned(), |sql, (name, id)| sql.replace(name, id))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use serde_json::json;

    fn manifest(schema: &str, sum: &str, code: &str, config: &Json) -> Json {
        let relation = format!("\"{schema}\".\"orders\"");
        json!({
            "nodes": {
                "model.shop.orders": {
                    "checksum": {"name": "sha256", "checksum": sum},
                    "config": config,
                    "alias": "orders",
                    "relation_name": relation,
                    "compiled_code": format!("{code} {relation}"),
                    "created_at": 1,
                },
                "test.shop.t": {
                    "checksum": {"name": "none", "checksum": ""},
                    "test_metadata": {"name": "accepted_values", "kwargs": {"values": [sum]}},
                    "config": {},
                },
            },
            "sources": {},
            "exposures": {"exposure.shop.crm": {"label": sum}},
        })
    }

    fn of(old: &Json, new: &Json) -> Vec<(String, Option<Vec<&'static str>>)> {
        let words = |change: &Change| match change {
            Change::New => None,
            Change::Modified(aspects) => Some(aspects.iter().map(|a| a.as_str()).collect()),
        };
        let all = changes(old, new);
        all.iter()
            .map(|(id, change)| (id.to_string(), words(change)))
            .collect()
    }

    #[test]
    fn nothing_differs_in_another_schema_or_with_other_tags() {
        let old = manifest(
            "prod",
            "a",
            "select 1 from",
            &json!({"tags": ["x"], "schema": null}),
        );
        let new = manifest(
            "dev",
            "a",
            "select 1 from",
            &json!({"tags": [], "schema": null}),
        );
        assert_eq!(of(&old, &new), []);
    }

    #[test]
    fn each_part_is_told() {
        let old = manifest(
            "main",
            "a",
            "select 1 from",
            &json!({"materialized": "view"}),
        );
        let other = |sum, code, config| of(&old, &manifest("main", sum, code, &config));
        let view = json!({"materialized": "view"});
        assert_eq!(
            other("b", "select 2 from", view.clone()),
            [
                ("model.shop.orders".to_owned(), Some(vec!["body"])),
                ("sync.shop.crm".to_owned(), Some(vec!["body"])),
                ("test.shop.t".to_owned(), Some(vec!["body"])),
            ]
        );
        assert_eq!(
            other("a", "select 2 from", view),
            [("model.shop.orders".to_owned(), Some(vec!["macros"]))]
        );
        assert_eq!(
            other(
                "a",
                "select 1 from",
                json!({"materialized": "table", "schema": "x"})
            ),
            [(
                "model.shop.orders".to_owned(),
                Some(vec!["configs", "relation"])
            )]
        );
        let mut more = manifest(
            "main",
            "a",
            "select 1 from",
            &json!({"materialized": "view"}),
        );
        let entry = more["nodes"]["model.shop.orders"].clone();
        more["nodes"]
            .as_object_mut()
            .unwrap()
            .insert("model.shop.new".to_owned(), entry);
        assert_eq!(of(&old, &more), [("model.shop.new".to_owned(), None)]);
    }
}
