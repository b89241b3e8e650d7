//! Sources, macros and docs blocks of `manifest.json`.

use std::collections::BTreeSet;

use kinfold_compile::render::RenderedNode;
use kinfold_project::{LoadedAt, Macro, Project, Source, SourceFormat, SourceLocation};
use serde_json::{Map, Value as Json, json};

use super::column::{columns, description};
use super::freshness::criteria;
use super::layout::{Place, original_path};
use super::node::DATABASE;

/// A table's entry in `sources`.
pub(super) fn source(
    project: &Project,
    source: &Source,
    node: &RenderedNode,
    place: &Place<'_>,
    created_at: i64,
) -> Json {
    // Where the data lies may tell what the user keeps in environment variables.
    let external = match &source.location {
        SourceLocation::Lake | SourceLocation::Records(_) => None,
        SourceLocation::External { format, .. } => Some(match format {
            SourceFormat::Delta => "delta",
            SourceFormat::Parquet => "parquet",
            SourceFormat::Csv { .. } => "csv",
            SourceFormat::Ndjson => "ndjson",
        }),
    };
    let (field, query) = match &source.freshness.loaded_at {
        LoadedAt::Written => (None, None),
        LoadedAt::Field(field) => (Some(field.value.clone()), None),
        LoadedAt::Query { parts, .. } => (None, Some(parts.join("{{ this }}"))),
    };
    json!({
        "database": DATABASE,
        "schema": source.schema,
        "name": source.table.value,
        "resource_type": "source",
        "package_name": source.package,
        "path": place.path,
        "original_file_path": place.original,
        "unique_id": source.id,
        "fqn": place.fqn(),
        "source_name": source.source.value,
        "source_description": description(project, &source.package, source.source_description.as_ref()),
        "loader": "",
        "identifier": source.identifier,
        "quoting": { "database": null, "schema": null, "identifier": null, "column": null },
        "loaded_at_field": field,
        "loaded_at_query": query,
        "freshness": source.freshness.is_checked().then(|| criteria(&source.freshness)),
        "external": external.map(|format| json!({ "file_format": format })),
        "description": description(project, &source.package, source.description.as_ref()),
        "columns": columns(project, &source.package, &source.columns),
        "meta": node.config.meta,
        "source_meta": {},
        "tags": node.config.tags,
        "config": { "enabled": node.config.enabled },
        "patch_path": null,
        "unrendered_config": {},
        "relation_name": node.relation.as_ref().map(ToString::to_string),
        "created_at": created_at,
    })
}

/// The entry of a macro in `macros`; `called` are the macros that it names.
pub(super) fn macro_entry(
    project: &Project,
    found: &Macro,
    id: &str,
    called: &BTreeSet<String>,
    created_at: i64,
) -> Json {
    // The name of a data test is `test_…`, as the last part of its id.
    let name = id.rsplit('.').next().unwrap_or_default();
    let path = original_path(project, &found.package, found.file);
    json!({
        "name": name,
        "resource_type": "macro",
        "package_name": found.package,
        "path": path,
        "original_file_path": path,
        "unique_id": id,
        "macro_sql": project.files.text(found.block),
        "depends_on": { "macros": called },
        "description": "",
        "meta": {},
        "docs": { "show": true, "node_color": null },
        "patch_path": null,
        "arguments": [],
        "created_at": created_at,
        "supported_languages": null,
    })
}

/// `docs`.
pub(super) fn docs(project: &Project) -> Map<String, Json> {
    let blocks = project.docs.iter().map(|((package, name), contents)| {
        let original = original_path(project, package, contents.span.file);
        let path = original
            .split_once('/')
            .map_or(original.as_str(), |(_, below)| below);
        let id = format!("doc.{package}.{name}");
        let entry = json!({
            "name": name,
            "resource_type": "doc",
            "package_name": package,
            "path": path,
            "original_file_path": original,
            "unique_id": id,
            "block_contents": contents.value,
        });
        (id, entry)
    });
    blocks.collect()
}
