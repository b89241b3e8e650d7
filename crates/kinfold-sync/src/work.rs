//! Rows on their way: what is known of them, and what is to be done next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::attempt::acknowledge;
use crate::{
    Acknowledgement, Batch, BatchId, Change, FailureClass, JobHandle, Outcome, OutstandingJob,
    RetryAfter, Run, StoppedEarly,
};

/// What became of rows, by [`Change::seq`]: positions of kinfold's own making, so that any hash will do.
pub(crate) type Outcomes = HashMap<u64, Outcome, FixedState>;

/// Rows that still need an outcome, and what happened to them so far.
pub(crate) struct Piece {
    /// The whole batch as it came, or a part of it.
    pub(crate) batch: Arc<Batch>,
    pub(crate) effort: Effort,
    /// The other half of a batch that was refused as a whole: if it is taken, the fault is here.
    pub(crate) sibling: Option<BatchId>,
    /// Whether it would be refused as a whole again: it need not be sent before it is halved.
    pub(crate) at_fault: bool,
    /// To be waited before the next request.
    pub(crate) wait: Duration,
    /// Rate limits met in a row, and when the first was.
    pub(crate) refusals: u32,
    pub(crate) throttled_since: Option<Duration>,
    /// The last failure, to be reported if there is no further attempt.
    pub(crate) last: Option<Failure>,
}

/// Why rows have not been delivered yet.
pub(crate) struct Failure {
    pub(crate) class: FailureClass,
    pub(crate) message: String,
    /// Of rows that the answer gave a reason of their own, by [`Change::seq`].
    of_rows: HashMap<u64, (FailureClass, String)>,
}

impl Failure {
    pub(crate) fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            of_rows: HashMap::new(),
        }
    }

    /// The reasons of rows; `None` without rows.
    pub(crate) fn of(rows: HashMap<u64, (FailureClass, String)>) -> Option<Self> {
        let (_, (class, message)) = rows.iter().min_by_key(|(seq, _)| **seq)?;
        let (class, message) = (*class, message.clone());
        Some(Self {
            class,
            message,
            of_rows: rows,
        })
    }

    /// The reason of a row.
    pub(crate) fn reason(&self, seq: u64) -> (FailureClass, &str) {
        match self.of_rows.get(&seq) {
            Some((class, message)) => (*class, message),
            None => (self.class, &self.message),
        }
    }
}

/// What has been spent on rows.
#[derive(Clone, Copy, Default)]
pub(crate) struct Effort {
    /// Requests that used up an attempt.
    pub(crate) attempts: u32,
    /// When the first of them failed, by the clock, moved on by every wait for a rate limit or a job.
    pub(crate) first_failure: Option<Duration>,
    /// An earlier request had an unknown result, so these rows may be applied already.
    pub(crate) maybe_applied: bool,
}

impl Piece {
    pub(crate) fn new(batch: Arc<Batch>, effort: Effort) -> Self {
        Self {
            batch,
            effort,
            sibling: None,
            at_fault: false,
            wait: Duration::ZERO,
            refusals: 0,
            throttled_since: None,
            last: None,
        }
    }
}

/// A batch on its way: what is known of its rows, and what is to be sent.
pub(crate) struct Work {
    pub(crate) batch: Arc<Batch>,
    pub(crate) outcomes: Outcomes,
    /// A stack, second half below the first, so that halves are sent in plan order.
    pub(crate) pieces: Vec<Piece>,
}

impl Work {
    pub(crate) fn rows(&self) -> &[Change] {
        &self.batch.changes
    }

    /// Splits off what has no request to wait for. The rows of `accepted` belong to neither part.
    pub(crate) fn without(self, accepted: &Batch) -> (Option<Acknowledgement>, Option<Self>) {
        if accepted.changes.len() == self.batch.changes.len() {
            return (None, None);
        }
        let part = |changes: Vec<Change>| {
            let (run, operation) = (Arc::clone(&self.batch.run), self.batch.operation);
            (!changes.is_empty()).then(|| Batch::new(run, operation, changes))
        };
        let gone: HashSet<u64> = accepted.changes.iter().map(|change| change.seq).collect();
        let left = self.batch.changes.iter();
        let (known, open): (Vec<Change>, Vec<Change>) = left
            .filter(|change| !gone.contains(&change.seq))
            .cloned()
            .partition(|change| self.outcomes.contains_key(&change.seq));
        let (known, open) = (part(known), part(open));
        let known = known.map(|batch| acknowledge(batch, self.outcomes));
        let open = open.map(|batch| Self {
            batch: Arc::new(batch),
            outcomes: Outcomes::default(),
            pieces: self.pieces,
        });
        (known, open)
    }
}

/// What became of a batch that was sent.
pub(crate) enum Sent {
    /// Each row has an outcome.
    Settled(Acknowledgement),
    /// The destination has taken it, or a part of it, as a job.
    Accepted {
        job: Job,
        /// Other rows of the batch, which have outcomes.
        settled: Option<Acknowledgement>,
        /// Other rows of the batch, which are still to be sent.
        rest: Option<Work>,
    },
}

/// A batch that the destination has taken as a job.
pub(crate) struct Job {
    pub(crate) handle: JobHandle,
    pub(crate) batch: Arc<Batch>,
    pub(crate) effort: Effort,
    /// When it wants to be asked for the first time.
    pub(crate) first: FirstPoll,
}

impl Job {
    /// A job of an earlier delivery.
    pub(crate) fn resumed(run: &Arc<Run>, job: OutstandingJob) -> Result<Self, StoppedEarly> {
        let batch = Batch::new(Arc::clone(run), job.operation, job.changes);
        if batch.id != job.batch {
            return Err(StoppedEarly::JobRows { batch: job.batch });
        }
        Ok(Self {
            handle: job.handle,
            batch: Arc::new(batch),
            effort: Effort::default(),
            first: FirstPoll::Now,
        })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.batch.changes.len() as u64
    }
}

/// When a job is asked about for the first time.
pub(crate) enum FirstPoll {
    /// At once: it was accepted long ago.
    Now,
    /// When the destination says, if it did.
    After(Option<RetryAfter>),
}

/// A job is over.
pub(crate) struct Ended {
    pub(crate) acknowledgement: Acknowledgement,
    /// Rows that are sent again once these outcomes are durable.
    pub(crate) again: Option<Work>,
}
