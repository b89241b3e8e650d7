//! The port that makes outcomes durable.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Batch, JobRecord, Outcome};

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
///
/// Of all that is recorded for a row, outcomes and jobs, the newest entry counts: an outcome ends the job that
/// held the row, and a job takes the place of an earlier outcome. All rows of a job get their outcomes in
/// one [`Acknowledgement`].
#[async_trait]
pub trait AckLog: Send {
    /// Records the outcomes of one or more batches. They are durable when this returns; the slots of
    /// these batches are freed only then. Batches that finish while a call runs come together in the next.
    ///
    /// # Errors
    /// Nothing of this call may be relied upon. Delivery stops and the log is not called again.
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError>;

    /// How long outcomes may wait to be recorded together with those of other batches. They never wait where a
    /// repetition after a crash would do harm, nor for a destination that answers with jobs, nor when nothing else is
    /// on its way.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether jobs can be recorded. Without it, nothing is sent to a destination that answers with jobs.
    fn keeps_jobs(&self) -> bool {
        false
    }

    /// Records one or more jobs. They are durable when this returns, and only then is the destination asked
    /// about them. From then on [`ChangeSource::next`](crate::ChangeSource::next) does not yield their rows,
    /// and [`ChangeSource::outstanding`](crate::ChangeSource::outstanding) yields the jobs, until outcomes
    /// are recorded for these rows.
    ///
    /// # Errors
    /// Nothing of this call may be relied upon. Delivery stops and the log is not called again.
    async fn record_jobs(&mut self, jobs: &[JobRecord]) -> Result<(), AckError> {
        let _ = jobs;
        Err(AckError::new("this log keeps no jobs"))
    }
}
