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

mod addition;
mod amend;
mod columns;
mod edges;
mod feed;
mod resolve;
mod rows;
mod rules;
mod sieve;
mod touched;
mod write;

use std::sync::Arc;

use kinfold_compile::compile::{CompiledCompanion, CompiledNode, Determinism};
use kinfold_project::IdentityRules;

use addition::{Left, Why};
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
    /// Resolves the rows of the model, or only those that came since, and writes what they mean.
    pub(super) async fn identity(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<Stitched, EngineError> {
        let reading = Reading::of(node)?;
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
            left: Left::of(reading.rules, resolution.hinges_on_rows()),
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
        let made = self
            .write_amendment(reading, &addition, &amendment, key)
            .await?;
        let (entity, people) = (reading.entity(), amendment.people);
        Ok(Ok(Stitched {
            made,
            left: Left::of(reading.rules, false),
            how: format!(
                "; {} rows came, {people} of `{entity}` touched",
                addition.rows
            ),
        }))
    }
}
