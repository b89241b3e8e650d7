//! Materialization `identity`: rows of observed identifiers → canonical ids that survive.
//!
//! The rows are read twice: once to learn which identifiers belong together, once to write what
//! that means for each row. If somebody breaks a rule they are read once more in between, and the rows
//! of these people are kept until the weakest evidence is found. Of everybody else only identifiers
//! are kept in memory.
//!
//! If the rows only grew since the last run, and what is published of them says all that matters, it is
//! amended instead: `addition` says whether that is so, `touched` resolves the new rows with whom they
//! touch, `amend` writes what is other than before. The result is that of all rows.
//!
//! - `resolve`: rows and what was published before → a resolution; writes nothing.
//! - `write`: a resolution → the relation and its companions.
//! - `lookup`: rows of published tables by what they hold, from row indices.
//! - `past`: what identifiers and ids were before; `suppression`: who was erased; `plan`: what a
//!   resolution would change.

mod addition;
mod amend;
mod columns;
mod edges;
mod feed;
mod lookup;
mod past;
mod plan;
mod resolve;
mod rows;
mod rules;
mod suppression;
mod touched;
mod write;

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use kinfold_compile::compile::{CompiledCompanion, CompiledNode, Determinism};
use kinfold_project::IdentityRules;

use addition::{Left, Why};
pub(super) use columns::produce;
pub use plan::{Flow, IdentityEffect, IdentityExample};
use rules::Forms;
pub(super) use suppression::Suppression;

use super::statement::Statement;
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
    suppression: Arc<Suppression>,
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
            suppression: Arc::default(),
        })
    }

    /// The rows of the statement, without those of people who were erased.
    async fn streams(
        &self,
        statement: &Statement<'_>,
    ) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
        let streams = statement.streams(&self.sql).await?;
        Ok(self.suppression.keep(streams, &self.forms))
    }

    fn entity(&self) -> &str {
        let entity = self.node.config.entity.as_ref();
        entity.map_or("person", |entity| entity.value.as_str())
    }

    fn companion(&self, suffix: &str) -> Result<&'n CompiledCompanion, EngineError> {
        let mut companions = self.node.companions.iter();
        companions
            .find(|companion| companion.suffix == suffix)
            .ok_or_else(|| EngineError::NotBuilt(self.node.id.clone()))
    }
}

/// What a run made of an identity.
pub(super) struct Stitched {
    pub(super) made: Made,
    /// For the next run.
    pub(super) left: serde_json::Value,
    /// How it was made, as the end of a sentence.
    pub(super) how: String,
}

impl Run<'_> {
    async fn identity_reading<'n>(
        &self,
        node: &'n CompiledNode,
    ) -> Result<Reading<'n>, EngineError> {
        let suppression = Suppression::load(self.engine, &node.id).await?;
        Ok(Reading {
            suppression: Arc::new(suppression),
            ..Reading::of(node)?
        })
    }

    /// Resolves the rows of the model, or only those that came since, and writes what they mean.
    pub(super) async fn identity(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<Stitched, EngineError> {
        let reading = self.identity_reading(node).await?;
        let why = match self.amended(&reading, key).await? {
            Ok(stitched) => return Ok(stitched),
            Err(why) => why,
        };
        let resolution = self.resolve_identity(&reading, providers).await?;
        let made = self
            .write_identity(&reading, providers, &resolution, key)
            .await?;
        Ok(Stitched {
            made,
            left: Left::of(&reading, resolution.hinges_on_rows()),
            how: match why {
                "" => String::new(),
                why => format!("; all rows were read: {why}"),
            },
        })
    }

    /// Amends what is published with the rows that came since, if that gives what all rows would.
    async fn amended(
        &self,
        reading: &Reading<'_>,
        key: &str,
    ) -> Result<Result<Stitched, Why>, EngineError> {
        let addition = match self.addition(reading).await? {
            Ok(addition) => addition,
            Err(why) => return Ok(Err(why)),
        };
        let amendment = match self.resolve_addition(reading, &addition).await? {
            Ok(amendment) => amendment,
            Err(why) => return Ok(Err(why)),
        };
        let (entity, people) = (reading.entity(), amendment.people);
        let made = self
            .write_amendment(reading, &addition, &Arc::new(amendment), key)
            .await?;
        Ok(Ok(Stitched {
            made,
            left: Left::of(reading, false),
            how: format!(
                "; {} rows came, {people} of `{entity}` touched",
                addition.rows
            ),
        }))
    }
}
