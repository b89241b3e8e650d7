//! Syncs in `manifest.json`: dbt's word for what uses a model outside is *exposure*.

use kinfold_project::{MappedValue, Project, Sync};
use serde_json::{Map, Value as Json, json};

use super::column::description;
use super::layout::original_path;
use super::node::{refs, sources};

/// A sync's id as an exposure and its entry in `exposures`. `input` is the node that it delivers.
pub(super) fn exposure(
    project: &Project,
    sync: &Sync,
    input: Option<&str>,
    lineage: Option<Json>,
    created_at: i64,
) -> (String, Json) {
    let id = format!("exposure.{}.{}", sync.package, sync.name.value);
    let original = original_path(project, &sync.package, sync.span.file);
    let path = original
        .split_once('/')
        .map_or(original.as_str(), |(_, below)| below);
    let tags: Vec<&str> = sync.tags.iter().map(|tag| tag.value.as_str()).collect();
    let purposes: Vec<&str> = sync.purposes.iter().map(|p| p.value.as_str()).collect();
    let key: Vec<&str> = sync.key.iter().map(|(f, _)| f.value.as_str()).collect();
    let all = sync.mapping.all.iter().map(|_| "*");
    let fields = sync.mapping.fields.iter();
    let fields: Vec<&str> = fields.map(|f| f.field.value.as_str()).chain(all).collect();
    let meta = json!({
        "kinfold": {
            "unique_id": sync.id,
            "connection": sync.connection.value,
            "object": sync.object.value,
            "mode": sync.mode.value.as_str(),
            "on_leave": sync.on_leave.value.as_str(),
            "purposes": purposes,
            "key": key,
            "fields": fields,
            "expressions": expressions(sync),
            "lineage": lineage,
        },
    });
    let nodes: Vec<&str> = input.into_iter().collect();
    let entry = json!({
        "name": sync.name.value,
        "resource_type": "exposure",
        "package_name": sync.package,
        "path": path,
        "original_file_path": original,
        "unique_id": id,
        "fqn": [sync.package, sync.name.value],
        "type": "application",
        "owner": { "email": null, "name": null },
        "description": description(project, &sync.package, sync.description.as_ref()),
        "label": null,
        "maturity": null,
        "meta": meta,
        "tags": tags,
        "config": { "enabled": sync.enabled, "tags": tags, "meta": meta },
        "unrendered_config": {},
        "url": null,
        "depends_on": { "macros": [], "nodes": nodes },
        "refs": refs(&sync.package, &nodes),
        "sources": sources(project, &nodes),
        "metrics": [],
        "created_at": created_at,
    });
    (id, entry)
}

/// What every field of the key and of the mapping gets, as it is written.
fn expressions(sync: &Sync) -> Map<String, Json> {
    let key = sync
        .key
        .iter()
        .map(|(field, sql)| (field.value.clone(), Json::from(sql.value.as_str())));
    let fields = sync.mapping.fields.iter();
    let fields = fields.map(|f| (f.field.value.clone(), written(&f.value)));
    key.chain(fields).collect()
}

fn written(value: &MappedValue) -> Json {
    match value {
        MappedValue::Expression(sql) => sql.value.as_str().into(),
        MappedValue::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| (name.value.clone(), written(value)));
            Json::Object(members.collect())
        }
        MappedValue::Array(items) => items.iter().map(written).collect(),
    }
}
