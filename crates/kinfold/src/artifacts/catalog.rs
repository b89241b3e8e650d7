//! `catalog.json`: what is published, with its columns.

use kinfold_engine::catalog::{Catalog, CatalogRelation};
use serde_json::{Map, Value as Json, json};

use super::RunFacts;
use super::node::DATABASE;

/// The document. What could not be opened is in `errors`.
pub(super) fn document(catalog: &Catalog, run: &RunFacts) -> Json {
    let (mut nodes, mut sources) = (Map::new(), Map::new());
    for relation in &catalog.relations {
        let section = if relation.kind == "source" {
            &mut sources
        } else {
            &mut nodes
        };
        section.insert(relation.node.to_string(), entry(relation));
    }
    let errors: Vec<String> = catalog
        .unreadable
        .iter()
        .map(|(node, error)| format!("{node}: {error}"))
        .collect();
    json!({
        "metadata": run.metadata("catalog/v1"),
        "nodes": nodes,
        "sources": sources,
        "errors": (!errors.is_empty()).then_some(errors),
    })
}

fn entry(relation: &CatalogRelation) -> Json {
    let (schema, name) = &relation.relation;
    let columns = relation.columns.iter().enumerate();
    let columns: Map<String, Json> = columns
        .map(|(index, (column, sql_type))| {
            let entry = json!({
                "type": sql_type,
                "index": index + 1,
                "name": column,
                "comment": null,
            });
            (column.clone(), entry)
        })
        .collect();
    let kind = if relation.version.is_none() {
        "VIEW"
    } else {
        "BASE TABLE"
    };
    json!({
        "unique_id": relation.node,
        "metadata": {
            "type": kind,
            "schema": schema,
            "name": name,
            "database": DATABASE,
            "comment": null,
            "owner": null,
        },
        "columns": columns,
        "stats": stats(relation),
    })
}

/// Numbers that documentation sites show beside a relation. `has_stats` says whether there are others.
fn stats(relation: &CatalogRelation) -> Json {
    let mut stats = Map::new();
    let mut add = |id: &str, label: &str, value: Json, description: &str, include: bool| {
        let entry = json!({
            "id": id, "label": label, "value": value, "include": include, "description": description,
        });
        stats.insert(id.to_owned(), entry);
    };
    let known = relation.version.is_some();
    add(
        "has_stats",
        "Has Stats?",
        known.into(),
        "Whether there are numbers about this relation",
        false,
    );
    if let Some(rows) = relation.rows {
        let description = "Rows of the published version";
        add("num_rows", "# Rows", rows.into(), description, true);
    }
    if let Some(version) = relation.version {
        let description = "The published version of the Delta table";
        add("version", "Version", version.into(), description, true);
    }
    Json::Object(stats)
}
