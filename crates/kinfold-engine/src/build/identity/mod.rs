//! Materialization `identity`: rows of observed identifiers → canonical ids that survive.
//!
//! The rows are read twice: once to learn which identifiers belong together, once to write what
//! that means for each row. If somebody breaks a rule they are read once more in between, and the rows
//! of these people are kept until the weakest evidence is found. Of everybody else only identifiers
//! are kept in memory.
//!
//! - `resolve`: rows and what was published before → a resolution; writes nothing.
//! - `write`: a resolution → the relation and its companions.

mod columns;
mod resolve;
mod rows;
mod rules;
mod write;

use std::sync::Arc;

use kinfold_compile::compile::{CompiledNode, Determinism};
use kinfold_project::IdentityRules;

pub(super) use columns::produce;
use rules::Forms;

use super::table::Made;
use super::{Pinned, Run};
use crate::EngineError;

/// How the rows of an identity model are read.
struct Reading<'n> {
    node: &'n CompiledNode,
    /// The statement over the model's plan.
    sql: String,
    rules: &'n IdentityRules,
    forms: Arc<Forms>,
}

impl<'n> Reading<'n> {
    fn of(node: &'n CompiledNode) -> Result<Self, EngineError> {
        let Some(plan) = &node.plan else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        if node.determinism == Determinism::Volatile {
            // The second reading would not give the rows of the first.
            return Err(EngineError::NotSupported {
                node: node.id.clone(),
                materialization: "identity with a volatile function".to_owned(),
            });
        }
        let rules = &node.config.identity;
        Ok(Self {
            node,
            sql: rows::statement(plan.schema().as_arrow()),
            rules,
            forms: Arc::new(Forms::of(rules)),
        })
    }
}

impl Run<'_> {
    pub(super) async fn identity(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<Made, EngineError> {
        let reading = Reading::of(node)?;
        let resolution = self.resolve_identity(&reading, providers).await?;
        self.write_identity(&reading, providers, &resolution, key)
            .await
    }
}
