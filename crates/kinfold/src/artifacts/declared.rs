//! Exposures and groups of properties files in `manifest.json`.

use std::collections::BTreeMap;

use kinfold_compile::render::RenderedProject;
use kinfold_compile::select::referenced;
use kinfold_project::{Exposure, Group, NodeId, Owner, Project};
use serde_json::{Map, Value as Json, json};

use super::column::description;
use super::layout::original_path;
use super::node::{refs, sources};

/// The id of an exposure of a properties file, what it is made of, and its entry.
pub(super) fn exposure(
    project: &Project,
    rendered: &RenderedProject,
    exposure: &Exposure,
    created_at: i64,
) -> (String, Vec<NodeId>, Json) {
    let id = format!("exposure.{}.{}", exposure.package, exposure.name.value);
    let original = original_path(project, &exposure.package, exposure.name.span.file);
    let inputs = exposure.depends_on.iter();
    let inputs: Vec<NodeId> = inputs
        .filter_map(|reference| referenced(&reference.value, &exposure.package, rendered))
        .collect();
    let nodes: Vec<&str> = inputs.iter().map(NodeId::as_str).collect();
    let entry = json!({
        "name": exposure.name.value,
        "resource_type": "exposure",
        "package_name": exposure.package,
        "path": below(&original),
        "original_file_path": original,
        "unique_id": id,
        "fqn": fqn(&exposure.package, below(&original), &exposure.name.value),
        "type": exposure.kind,
        "owner": owner(&exposure.owner),
        "description": description(project, &exposure.package, exposure.description.as_ref()),
        "label": exposure.label,
        "maturity": exposure.maturity,
        "meta": exposure.meta,
        "tags": exposure.tags,
        "config": { "enabled": exposure.enabled, "tags": exposure.tags, "meta": exposure.meta },
        "unrendered_config": {},
        "url": exposure.url,
        "depends_on": { "macros": [], "nodes": nodes },
        "refs": refs(&exposure.package, &nodes),
        "sources": sources(project, &nodes),
        "metrics": [],
        "created_at": created_at,
    });
    (id, inputs, entry)
}

/// `groups`.
pub(super) fn groups(project: &Project) -> Map<String, Json> {
    project
        .groups
        .iter()
        .map(|group| group_entry(project, group))
        .collect()
}

fn group_entry(project: &Project, group: &Group) -> (String, Json) {
    let id = format!("group.{}.{}", group.package, group.name.value);
    let original = original_path(project, &group.package, group.name.span.file);
    let entry = json!({
        "name": group.name.value,
        "resource_type": "group",
        "package_name": group.package,
        "path": below(&original),
        "original_file_path": original,
        "unique_id": id,
        "owner": owner(&group.owner),
        "description": description(project, &group.package, group.description.as_ref()),
    });
    (id, entry)
}

/// The nodes of every group.
pub(super) fn group_map(project: &Project, nodes: &Map<String, Json>) -> Json {
    let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for group in &project.groups {
        members.entry(&group.name.value).or_default();
    }
    for (id, node) in nodes {
        let group = node.get("group").and_then(Json::as_str);
        if let Some(members) = group.and_then(|group| members.get_mut(group)) {
            members.push(id);
        }
    }
    json!(members)
}

fn owner(owner: &Owner) -> Json {
    let email = match owner.emails.as_slice() {
        [] => Json::Null,
        [one] => one.as_str().into(),
        several => json!(several),
    };
    json!({ "email": email, "name": owner.name })
}

/// The path below the folder of its resource.
fn below(original: &str) -> &str {
    original
        .split_once('/')
        .map_or(original, |(_, below)| below)
}

/// The package, the folders of the file and the name.
fn fqn(package: &str, path: &str, name: &str) -> Vec<String> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let folders = folders.split('/').filter(|folder| !folder.is_empty());
    let parts = std::iter::once(package).chain(folders).chain([name]);
    parts.map(str::to_owned).collect()
}
