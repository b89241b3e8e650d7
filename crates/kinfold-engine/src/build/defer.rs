//! Deferral: what this environment has not built is read where another one has.

use std::collections::BTreeSet;

use kinfold_compile::compile::{CompiledNode, CompiledProject};
use kinfold_compile::render::Relation;
use kinfold_lake::Lake;
use kinfold_project::NodeId;
use kinfold_project::model::ResolvedEnvironment;

use super::kind_of;
use crate::context::absolute_location;
use crate::published::{Published, PublishedNode, StoredTable};
use crate::{Engine, EngineError};

/// What another environment has published, as this one can read it.
#[derive(Clone, Debug)]
pub struct Deferral {
    /// The name of that environment.
    pub environment: String,
    /// Whether what it has is read also where this environment has built the node itself.
    pub favoured: bool,
    document: Published,
}

impl Engine {
    /// Reads what another environment of the project has published. Its tables are read with the storage
    /// options of this environment.
    ///
    /// # Errors
    /// When its lake cannot be opened, or nothing that can be read is published in it.
    pub async fn deferral(
        &self,
        to: &ResolvedEnvironment,
        favoured: bool,
    ) -> Result<Deferral, EngineError> {
        let here = absolute_location(&self.root, &self.environment.lake);
        let there = absolute_location(&self.root, &to.lake);
        let state = if here == there {
            self.published_in(&self.lake, &to.name).await?
        } else {
            let lake = Lake::open(&there, &to.storage.0).await?;
            self.published_in(&lake, &to.name).await?
        };
        if state.generation.is_none() {
            return Err(EngineError::NothingPublished(to.name.clone()));
        }
        let mut document = state.document;
        if here != there {
            let tables = document
                .nodes
                .values_mut()
                .flat_map(|node| node.table.iter_mut().chain(node.companions.values_mut()));
            for table in tables.filter(|table| !table.external) {
                table.path = format!("{}/{}", there.trim_end_matches('/'), table.path);
                table.external = true;
            }
            // Keys and identities are made of paths below the root of that lake, which are others here.
            for node in document.nodes.values_mut() {
                node.basis = None;
                if node.table.is_some() && !matches!(node.kind.as_str(), "source" | "seed") {
                    node.key.clear();
                }
            }
        }
        Ok(Deferral {
            environment: to.name.clone(),
            favoured,
            document,
        })
    }
}

impl Deferral {
    /// What that environment has of a node, under the names of this one.
    pub(super) fn of(&self, node: &CompiledNode) -> Option<PublishedNode> {
        let found = self.document.nodes.get(&node.id)?;
        if found.kind != kind_of(node) || node.resource.is_test() {
            return None;
        }
        let named = |relation: &Relation| (relation.schema.clone(), relation.name.clone());
        let relation = node.relation.as_ref().map(named);
        let under = |table: &StoredTable, relation: Option<(String, String)>| StoredTable {
            relation: relation.unwrap_or_else(|| table.relation.clone()),
            ..table.clone()
        };
        let companions = found.companions.iter().map(|(suffix, table)| {
            let own = node.companions.iter().find(|c| c.suffix == suffix.as_str());
            let relation = own.map(|companion| named(&companion.relation));
            (suffix.clone(), under(table, relation))
        });
        // A view is what this project says that it is, over the tables of that environment.
        let view = found.sql.is_some();
        Some(PublishedNode {
            table: found.table.as_ref().map(|t| under(t, relation.clone())),
            companions: companions.collect(),
            relation,
            sql: node.sql.as_ref().map(|s| s.text.clone()).filter(|_| view),
            deferred: Some(self.environment.clone()),
            ..found.clone()
        })
    }

    /// Puts what is not built here into the document.
    pub(super) fn fill(
        &self,
        next: &mut Published,
        compiled: &CompiledProject,
        selected: &BTreeSet<NodeId>,
    ) {
        for node in compiled.nodes.values() {
            let own = next.nodes.get(&node.id).filter(|n| n.deferred.is_none());
            if selected.contains(&node.id) || (own.is_some() && !self.favoured) {
                continue;
            }
            if let Some(found) = self.of(node) {
                next.nodes.insert(node.id.clone(), found);
            }
        }
    }
}
