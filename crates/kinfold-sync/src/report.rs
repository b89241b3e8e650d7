//! What a delivery did.

use std::time::Duration;

use crate::{AckError, BatchId, DestinationError, FailureClass, Outcome, SourceError};

/// Rows by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows of the plan: those read, and those left unread when the delivery stopped early.
    pub planned: u64,
    /// Confirmed and recorded.
    pub delivered: u64,
    /// Refused for good and recorded.
    pub rejected: u64,
    /// To be sent again: failed for a reason that passes, or never sent.
    pub retryable: u64,
    /// Sent without a usable answer, or confirmed but not recorded.
    pub unknown: u64,
    /// Accepted by the destination as part of a job that has no end yet. They have no outcome: the next
    /// delivery of the plan asks about the job and does not send them again.
    pub outstanding: u64,
    /// The part of `retryable` that was never sent and so has no record in the log.
    pub not_sent: u64,
}

impl Counters {
    /// Whether every planned row has exactly one outcome.
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.planned
            == self.delivered + self.rejected + self.retryable + self.unknown + self.outstanding
            && self.not_sent <= self.retryable
    }

    pub(crate) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Delivered => self.delivered += 1,
            Outcome::Rejected { .. } => self.rejected += 1,
            Outcome::Retryable { .. } => self.retryable += 1,
            Outcome::Unknown { .. } => self.unknown += 1,
        }
    }

    /// Counts an outcome that could not be recorded: the next run sees the row as it was before.
    pub(crate) fn count_unrecorded(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Delivered | Outcome::Unknown { .. } => self.unknown += 1,
            Outcome::Rejected { .. } | Outcome::Retryable { .. } => self.retryable += 1,
        }
    }
}

/// Why a delivery ended before its plan did. No message holds credentials or row values.
#[derive(Debug, thiserror::Error)]
pub enum StoppedEarly {
    /// The caller asked for it.
    #[error("the delivery was cancelled")]
    Cancelled,
    /// No request can succeed: credentials, redirect, missing object.
    #[error("the destination refuses every request ({class}): {message}")]
    Refused {
        /// Why.
        class: FailureClass,
        /// For a person.
        message: String,
    },
    /// One request after the other failed.
    #[error("the destination is down ({class}): {message}")]
    Down {
        /// Of the last failure.
        class: FailureClass,
        /// Of the last failure.
        message: String,
    },
    /// The destination asks to wait longer than the policy allows.
    #[error("the destination limits the rate for longer than {} s", limit.as_secs())]
    Throttled {
        /// The policy's limit.
        limit: Duration,
    },
    /// Jobs had no end within the policy's patience, and perhaps the rest of the plan had to wait for them.
    #[error(
        "the destination has not finished {jobs} jobs with {rows} rows; the next run asks again"
    )]
    JobsOutstanding {
        /// How many.
        jobs: u64,
        /// Of how many rows.
        rows: u64,
    },
    /// The rows of an outstanding job are not those that were accepted.
    #[error("the plan does not hold the rows of outstanding job {batch} as they were sent")]
    JobRows {
        /// [`JobRecord::batch`](crate::JobRecord::batch).
        batch: BatchId,
    },
    /// More rows are rejected than the policy allows.
    #[error("{share_percent} % of the last {rows} rows were rejected")]
    ErrorRate {
        /// The part that was rejected, rounded down.
        share_percent: u32,
        /// How many rows were looked at.
        rows: u64,
    },
    /// The destination cannot do what the plan asks.
    #[error("the destination does not support `{what}`")]
    Unsupported {
        /// A mode or an operation.
        what: &'static str,
    },
    /// The plan breaks the order that it promises.
    #[error("the plan is out of order at position {seq}")]
    OutOfOrder {
        /// [`Change::seq`](crate::Change::seq) of the offending row.
        seq: u64,
    },
    /// The plan cannot be read.
    #[error(transparent)]
    Source(SourceError),
    /// Outcomes cannot be recorded.
    #[error(transparent)]
    Log(AckError),
    /// All was sent and the destination could not complete it.
    #[error(transparent)]
    Finish(DestinationError),
}

/// What a delivery did.
#[derive(Debug, Default)]
pub struct DeliveryReport {
    /// Rows by outcome.
    pub counters: Counters,
    /// Batches taken from the plan.
    pub batches: u64,
    /// Requests sent: batches, repetitions and halves.
    pub requests: u64,
    /// Batches that the destination accepted as jobs.
    pub jobs: u64,
    /// Questions about jobs, which `requests` does not count.
    pub polls: u64,
    /// Requests answered by a rate limit.
    pub rate_limited: u64,
    /// Most requests in flight together.
    pub max_in_flight: usize,
    /// How many requests in flight the destination was found to bear, at the end.
    pub limit: usize,
    /// Why it ended early, if it did.
    pub stopped_early: Option<StoppedEarly>,
}
