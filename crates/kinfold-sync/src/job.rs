//! Batches that a destination accepts now and works on later.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::{Batch, BatchId, BatchOperation, Change, FailureClass, Outcome, RetryAfter};

/// The name of a job at its destination: what has to be known to ask for the job again after a crash.
/// It is stored as it is, so it must not hold credentials.
///
/// Its `Debug` shows only the length: nobody promises that it is without people's data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JobHandle(Box<str>);

impl JobHandle {
    /// The longest handle, in bytes.
    pub const MAX_BYTES: usize = 4 << 10;

    /// Wraps the destination's name of a job; `None` if it is empty, longer than [`Self::MAX_BYTES`] or
    /// holds control characters.
    pub fn new(text: impl Into<Box<str>>) -> Option<Self> {
        let text = text.into();
        let fits = !text.is_empty() && text.len() <= Self::MAX_BYTES;
        (fits && !text.chars().any(char::is_control)).then_some(Self(text))
    }

    /// The name, as the destination gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobHandle({} bytes)", self.0.len())
    }
}

/// What must be durable before the destination is asked about a job for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// The job's name at the destination.
    pub handle: JobHandle,
    /// The batch that was accepted.
    pub batch: BatchId,
    /// What the batch asks of the destination.
    pub operation: BatchOperation,
    /// [`Change::seq`] of its rows, in the batch's order.
    pub seqs: Vec<u64>,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
}

impl JobRecord {
    pub(crate) fn new(handle: JobHandle, batch: &Batch, accepted_at: DateTime<Utc>) -> Self {
        Self {
            handle,
            batch: batch.id,
            operation: batch.operation,
            seqs: batch.changes.iter().map(|change| change.seq).collect(),
            accepted_at,
        }
    }
}

/// A job of an earlier delivery of the same plan that has no end yet, with the rows that it holds.
#[derive(Clone, Debug)]
pub struct OutstandingJob {
    /// [`JobRecord::handle`].
    pub handle: JobHandle,
    /// [`JobRecord::batch`]; the changes below must make the same batch again.
    pub batch: BatchId,
    /// [`JobRecord::operation`].
    pub operation: BatchOperation,
    /// The changes of the rows in [`JobRecord::seqs`], in the same order.
    pub changes: Vec<Change>,
}

/// What a destination says of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// It is not over.
    Pending {
        /// When to ask again, if it said so.
        after: Option<RetryAfter>,
    },
    /// It is over.
    Ended(JobEnd),
    /// The destination does not know the job, and will not know it later: its rows may be applied or not.
    Lost,
    /// Asked to wait; nothing was said of the job.
    RateLimited {
        /// For how long, if it said so.
        retry_after: Option<RetryAfter>,
    },
    /// No usable answer: nothing is known of the job, and asking again may help.
    NoAnswer {
        /// Why.
        class: FailureClass,
        /// For a person, without credentials and row values.
        message: String,
    },
    /// No question of this delivery can succeed: credentials, a redirect.
    Refused {
        /// Why.
        class: FailureClass,
        /// For a person, without credentials and row values.
        message: String,
    },
}

/// How a job ended. Messages may quote the destination's words: the delivery removes payload values from
/// them. They must not hold credentials.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEnd {
    /// One outcome per change, in the batch's order. `Retryable` rows are sent again, without the others.
    Rows(Vec<Outcome>),
    /// Refused as a whole, nothing applied, and not said which row is at fault: the batch is halved.
    Rejected {
        /// Why.
        class: FailureClass,
        /// The destination's words.
        message: String,
    },
    /// Failed as a whole for a reason that passes, nothing applied: the batch is sent again.
    NotApplied {
        /// Why.
        class: FailureClass,
        /// For a person.
        message: String,
    },
    /// Over, and it is not known what was applied.
    Unknown {
        /// Why.
        class: FailureClass,
        /// For a person.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_a_short_line_of_text() {
        assert!(JobHandle::new("").is_none());
        assert!(JobHandle::new("a\nb").is_none());
        assert!(JobHandle::new("x".repeat(JobHandle::MAX_BYTES + 1)).is_none());
        let longest = JobHandle::new("x".repeat(JobHandle::MAX_BYTES));
        assert_eq!(longest.map(|handle| handle.as_str().len()), Some(4096));
        let shown = JobHandle::new("/jobs/7").map(|handle| format!("{handle:?}"));
        assert_eq!(shown.as_deref(), Some("JobHandle(7 bytes)"));
    }
}
