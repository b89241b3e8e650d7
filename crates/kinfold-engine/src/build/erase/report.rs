//! What an erasure did, without naming anybody.

use std::collections::BTreeSet;

use kinfold_project::NodeId;
use serde::Serialize;

use super::EraseRequest;
use crate::published::Published;

/// What an erasure did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EraseReport {
    /// Always true: an erasure that is not complete is an error.
    pub success: bool,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The identity.
    pub identity: String,
    /// Canonical ids in use that were asked for.
    pub people: u64,
    /// Their identifiers, and those that only their records carry.
    pub identifiers: u64,
    /// Their records.
    pub records: u64,
    /// The relations that lost rows.
    pub tables: Vec<ErasedTable>,
    /// Files of earlier versions that were removed.
    pub files_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Earlier versions that stay because another environment reads them.
    pub kept: Vec<KeptVersion>,
    /// Published tables without canonical ids: nobody was looked for in them.
    pub not_searched: Vec<NodeId>,
    /// Other environments of the lake, which have tables of their own.
    pub other_environments: Vec<String>,
    /// Syncs of the project: what they delivered, they know by its key.
    pub syncs: Vec<String>,
}

/// A relation that lost rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErasedTable {
    /// Its name.
    pub relation: String,
    /// How many rows.
    pub rows: u64,
}

/// An earlier version of a table whose files stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptVersion {
    /// Name of the relation.
    pub relation: String,
    /// Its Delta version.
    pub version: u64,
    /// The environment that reads it.
    pub environment: String,
}

impl EraseReport {
    pub(super) fn of(
        request: &EraseRequest<'_>,
        document: &Published,
        people: &BTreeSet<String>,
    ) -> Self {
        let asked = request.people.intersection(people).count();
        let syncs = request.project.syncs.iter();
        let identity = request.identity.as_str();
        Self {
            success: true,
            dry_run: request.dry_run,
            identity: identity.rsplit('.').next().unwrap_or(identity).to_owned(),
            people: asked as u64,
            not_searched: not_searched(request, document),
            syncs: syncs.map(|sync| sync.name.value.clone()).collect(),
            ..Self::default()
        }
    }
}

/// Stored nodes whose rows have no canonical id.
fn not_searched(request: &EraseRequest<'_>, document: &Published) -> Vec<NodeId> {
    let nodes = document
        .nodes
        .iter()
        .filter(|(_, node)| node.table.is_some());
    nodes
        .filter(|(id, _)| {
            let schema = request
                .compiled
                .nodes
                .get(*id)
                .and_then(|node| node.schema.as_ref());
            schema.is_none_or(|schema| schema.field_with_name("canonical_id").is_err())
        })
        .map(|(id, _)| id.clone())
        .collect()
}
