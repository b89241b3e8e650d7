//! What columns come from, one step back, as it is written below `meta.kinfold`.

use kinfold_compile::lineage::{ColumnGraph, EdgeKind, Point};
use kinfold_compile::relation::RelationKey;
use kinfold_project::NodeId;
use serde_json::{Map, Value as Json, json};

/// A column, or the rows of a relation, in JSON.
pub fn point(point: &Point) -> Json {
    json!({
        "node": point.relation.node.as_str(),
        "companion": point.relation.companion,
        "column": point.column,
    })
}

/// The lineage of the relation of a model, or of the fields of a sync; `None` of what was not bound and of
/// what comes from nothing in the project.
pub(super) fn lineage(graph: &ColumnGraph, node: &NodeId) -> Option<Json> {
    let relation = RelationKey::own(node.clone());
    let origins = |of: &Point, kind: EdgeKind| -> Vec<Json> {
        graph
            .origins(of)
            .filter(|(from, how)| *how == kind && from.relation != relation)
            .map(|(from, _)| point(from))
            .collect()
    };
    if !graph.is_made(&relation) {
        return None;
    }
    let columns = graph.columns(&relation).iter().map(|name| {
        let column = Point::column(&relation, name);
        let entry = json!({
            "value": origins(&column, EdgeKind::Value),
            "control": origins(&column, EdgeKind::Control),
        });
        (name.clone(), entry)
    });
    Some(json!({
        "complete": graph.is_complete(&relation),
        "rows": origins(&Point::rows(&relation), EdgeKind::Control),
        "columns": columns.collect::<Map<_, _>>(),
    }))
}
