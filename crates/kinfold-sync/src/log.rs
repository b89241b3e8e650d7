//! The port that makes outcomes durable.

use async_trait::async_trait;

use crate::{Batch, Outcome};

/// The outcomes of one batch.
#[derive(Clone, Debug)]
pub struct Acknowledgement {
    /// What was sent.
    pub batch: Batch,
    /// One outcome per change of the batch, by [`Change::seq`](crate::Change::seq), in the batch's order.
    pub outcomes: Vec<(u64, Outcome)>,
}

/// A failure to make outcomes durable. The message must hold no row values.
#[derive(Debug, thiserror::Error)]
#[error("outcomes cannot be recorded")]
pub struct AckError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl AckError {
    /// Wraps the reason.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

/// Where outcomes become durable. The state of a sync is folded from it and from nothing else.
#[async_trait]
pub trait AckLog: Send {
    /// Records the outcomes of one or more batches. They are durable when this returns; the slots of
    /// these batches are freed only then. Batches that finish while a call runs come together in the next.
    ///
    /// # Errors
    /// Nothing of this call may be relied upon. Delivery stops and the log is not called again.
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError>;
}
