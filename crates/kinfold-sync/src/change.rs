//! One row of a changeset, and the port that yields them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{ObjectText, OutstandingJob};

/// What happened to a row since it was last acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The row is new.
    Add,
    /// Its mapped fields changed.
    Update,
    /// It left the model and shall be deleted, or leave the audience.
    Remove,
    /// It left the model and its mapped fields shall become null; [`Change::fields`] holds those nulls.
    Clear,
}

impl Operation {
    /// Whether the row leaves the model. Such changes come before all others in a plan.
    #[must_use]
    pub fn is_leaving(self) -> bool {
        matches!(self, Self::Remove | Self::Clear)
    }
}

/// One planned change of one row at the destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Position in the run's plan: unique, strictly increasing in the order of the plan.
    pub seq: u64,
    /// What shall happen.
    pub operation: Operation,
    /// Destination field → value; at least one field, no nulls. Equal texts mean the same row at the
    /// destination.
    pub key: ObjectText,
    /// Mapped fields without the key. A null is sent as null, a missing field is left alone.
    /// Empty for [`Operation::Remove`].
    pub fields: ObjectText,
    /// 128-bit hash of the mapped payload, as the state stores it.
    pub payload_hash: [u8; 16],
    /// What earlier runs have learnt about the row.
    pub previous: Previous,
}

/// What is known of a row from earlier runs. It goes with the row unchanged, so that whoever records its
/// outcome need not look it up again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Previous {
    /// Hash of the payload that the destination confirmed last.
    pub confirmed: Option<[u8; 16]>,
    /// Runs since in which the row failed.
    pub attempts: u32,
    /// Whether an attempt without an answer may have changed the row at the destination.
    pub uncertain: bool,
    /// The run in which the row failed first.
    pub first_error: Option<Arc<str>>,
}

/// A failure to read the plan. The message must hold no row values.
#[derive(Debug, thiserror::Error)]
#[error("the plan cannot be read")]
pub struct SourceError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl SourceError {
    /// Wraps the reason.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

/// The changes of one run that have no final outcome yet, in plan order: leaving rows (removals, clears) first.
///
/// A key belongs into a plan once. If it comes again, its changes are sent in order, and a later one is
/// sent also when an earlier one has failed.
#[async_trait]
pub trait ChangeSource: Send {
    /// The jobs of earlier deliveries of this plan that have no end yet, in the order of their first rows.
    /// `next` and `remaining` leave the rows of these jobs out. It is called once, before `next`.
    ///
    /// # Errors
    /// The log or the plan cannot be read. Delivery then stops before anything is sent.
    async fn outstanding(&mut self) -> Result<Vec<OutstandingJob>, SourceError> {
        Ok(Vec::new())
    }

    /// The next changes, at most `max`; an empty vector means that there are no more.
    ///
    /// # Errors
    /// The plan cannot be read. Delivery then stops; what is in flight is still recorded.
    async fn next(&mut self, max: usize) -> Result<Vec<Change>, SourceError>;

    /// How many changes `next` has not returned yet. It is called at most once, after a delivery that
    /// stopped early, and may use the source up. Override it when the plan knows its length.
    ///
    /// # Errors
    /// The plan cannot be read.
    async fn remaining(&mut self) -> Result<u64, SourceError> {
        let mut count = 0;
        loop {
            let page = self.next(1_000).await?;
            if page.is_empty() {
                return Ok(count);
            }
            count += page.len() as u64;
        }
    }
}
