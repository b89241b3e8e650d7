//! Data tests that plans prove.

use std::collections::BTreeMap;

use kinfold_compile::compile::CompiledNode;
use kinfold_project::{NodeId, ResourceType};

use crate::EngineError;
use crate::build::Run;

impl Run<'_> {
    /// Whether a test finds nothing whatever the rows are: its plan says so, and what it reads is what the
    /// plans of the project make of their input.
    pub(super) async fn is_proven(&self, test: &CompiledNode) -> Result<bool, EngineError> {
        if !self.request.compiled.proven.contains(&test.id) {
            return Ok(false);
        }
        let mut known = BTreeMap::new();
        self.reads_are_current(test, &mut known).await
    }

    async fn reads_are_current(
        &self,
        node: &CompiledNode,
        known: &mut BTreeMap<NodeId, bool>,
    ) -> Result<bool, EngineError> {
        for read in &node.reads {
            let current = match known.get(&read.node) {
                Some(current) => *current,
                None => {
                    let current = Box::pin(self.is_current(&read.node, known)).await?;
                    known.insert(read.node.clone(), current);
                    current
                }
            };
            if !current {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the rows of a node are those that its plan gives over what is there now. Of sources and seeds
    /// nothing is claimed, so they always are.
    async fn is_current(
        &self,
        id: &NodeId,
        known: &mut BTreeMap<NodeId, bool>,
    ) -> Result<bool, EngineError> {
        let Some(node) = self.request.compiled.nodes.get(id) else {
            return Ok(false);
        };
        if node.resource != ResourceType::Model {
            return Ok(true);
        }
        let Some(there) = self.next.nodes.get(id) else {
            return Ok(false);
        };
        let Ok(reads) = self.reads_of(node) else {
            return Ok(false);
        };
        Ok(self.key_of(node, &reads).await? == there.key
            && self.reads_are_current(node, known).await?)
    }
}
