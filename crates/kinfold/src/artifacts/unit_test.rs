//! Unit tests in `manifest.json`.

use kinfold_compile::render::RenderedNode;
use kinfold_project::{Located, Project, UnitRows, UnitTest, Value};
use serde_json::{Map, Value as Json, json};

use super::column::description;
use super::layout::original_path;

/// The entry of a unit test.
pub(super) fn entry(
    project: &Project,
    node: &RenderedNode,
    test: &UnitTest,
    created_at: i64,
) -> Json {
    let original = original_path(project, &test.package, test.name.span.file);
    let file = original.rsplit('/').next().unwrap_or(&original);
    let fqn = std::iter::once(&test.package).chain(&test.fqn);
    let given: Vec<Json> = test
        .given
        .iter()
        .map(|given| {
            let mut entry = rows(&given.rows);
            entry.insert("input".to_owned(), given.input.to_json());
            Json::Object(entry)
        })
        .collect();
    let config = &node.config;
    let mut meta = config.meta.clone();
    if let Some(cte) = &test.cte {
        meta.insert("kinfold".to_owned(), json!({ "cte": cte.value }));
    }
    let nodes: Vec<&str> = node.depends_on.iter().map(|d| d.id.as_str()).collect();
    json!({
        "name": test.name.value,
        "resource_type": "unit_test",
        "package_name": test.package,
        "path": file,
        "original_file_path": original,
        "unique_id": node.id,
        "fqn": fqn.collect::<Vec<_>>(),
        "model": test.model.value,
        "description": description(project, &test.package, test.description.as_ref()),
        "given": given,
        "expect": rows(&test.expect),
        "overrides": {
            "macros": values(&test.overrides.macros),
            "vars": values(&test.overrides.vars),
            "env_vars": values(&test.overrides.env_vars),
        },
        "depends_on": { "macros": node.macros, "nodes": nodes },
        "config": { "enabled": config.enabled, "tags": config.tags, "meta": meta },
        "checksum": null,
        "schema": null,
        "created_at": created_at,
        "versions": null,
        "version": null,
    })
}

fn rows(rows: &UnitRows) -> Map<String, Json> {
    let written: Json = match rows {
        UnitRows::Sql { text, .. } => text.as_str().into(),
        UnitRows::Values { rows, .. } => rows.iter().map(Value::to_json).collect(),
    };
    let mut entry = Map::new();
    entry.insert("rows".to_owned(), written);
    entry.insert("format".to_owned(), rows.format().into());
    entry.insert("fixture".to_owned(), Json::Null);
    entry
}

fn values(entries: &[(Located<String>, Value)]) -> Map<String, Json> {
    let entries = entries.iter();
    entries
        .map(|(name, value)| (name.value.clone(), value.to_json()))
        .collect()
}
