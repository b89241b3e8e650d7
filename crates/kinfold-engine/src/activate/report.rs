//! What a run of a sync did, for people and machines.

use serde::Serialize;
use serde_json::{Map, Value};

use super::ActivateError;

/// What a run of one sync did, or would do.
///
/// `planned = delivered + rejected + retryable + unknown + held + suppressed`. If an interrupted run was
/// finished first, its rows are part of the sums.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SyncReport {
    /// Name of the sync.
    pub name: String,
    /// Rows that differ from what the destination is known to have.
    pub planned: u64,
    /// Confirmed by the destination.
    pub delivered: u64,
    /// Refused by the destination.
    pub rejected: u64,
    /// Not applied for a reason that passes, or not sent before the run ended.
    pub retryable: u64,
    /// Sent without a usable answer.
    pub unknown: u64,
    /// Kept back by a guard.
    pub held: u64,
    /// Kept back because a consent is missing.
    pub suppressed: u64,
    /// Rows of the model without a usable key or value, not part of `planned`.
    pub invalid: u64,
    /// Rows of the model that the destination has already.
    pub unchanged: u64,
    /// Rows that failed before, have not changed and are not due yet; not part of `planned`.
    pub waiting: u64,
    /// Rows that now count as confirmed and were not sent; not part of `planned`.
    pub adopted: u64,
    /// Planned rows that the destination has never confirmed, held ones included.
    pub adds: u64,
    /// Planned rows whose mapped values changed, held ones included.
    pub updates: u64,
    /// Planned rows that left the model, held ones included.
    pub removals: u64,
    /// Requests sent to the destination, repetitions included.
    pub requests: u64,
    /// Why delivery ended before its plan did.
    pub stopped: Option<String>,
    /// Which guard keeps rows back, and why.
    pub held_because: Option<String>,
    /// What to approve to let it through.
    pub held_id: Option<String>,
    /// Whether an interrupted run was finished first; in a dry run, whether there is one to finish.
    pub resumed: bool,
    /// Whether the sync was being run already. That run goes round once more; this one did nothing.
    pub queued: bool,
    /// Whether only what has changed since the last run had to be compared; all of the model otherwise.
    pub exact: bool,
    /// The engine's run.
    pub run_id: String,
    /// Wall time of the whole run in milliseconds.
    pub elapsed_ms: u64,
    /// Whether every planned row was delivered (in a dry run: whether nothing would be held).
    pub success: bool,
    /// Rows that would be sent, values masked; in a dry run only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

/// What a look at the destination found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Name of the sync.
    pub name: String,
    /// Rows that the destination has confirmed and that the model still has with the same values.
    pub checked: u64,
    /// Those that are there.
    pub equal: u64,
    /// Those with another value in a mapped field.
    pub different: u64,
    /// Those that are not there.
    pub missing: u64,
    /// Whether the next run sends what is different or missing.
    pub healing: bool,
}

/// A row that would be sent, masked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// `add`, `update`, `remove` or `clear`.
    pub operation: &'static str,
    /// Key fields.
    pub key: Map<String, Value>,
    /// The other fields.
    pub fields: Map<String, Value>,
}

impl SyncReport {
    /// Adds the counts of a later part of the run; what is unchanged or invalid is what it saw last.
    pub(super) fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.delivered += other.delivered;
        self.rejected += other.rejected;
        self.retryable += other.retryable;
        self.unknown += other.unknown;
        self.held += other.held;
        self.suppressed += other.suppressed;
        self.invalid = other.invalid;
        self.unchanged = other.unchanged;
        self.waiting = other.waiting;
        self.adopted += other.adopted;
        self.adds += other.adds;
        self.updates += other.updates;
        self.removals += other.removals;
        self.requests += other.requests;
        self.stopped = self.stopped.take().or_else(|| other.stopped.clone());
        self.held_because = self
            .held_because
            .take()
            .or_else(|| other.held_because.clone());
        self.resumed |= other.resumed;
        self.exact = other.exact;
        self.held_id = self.held_id.take().or_else(|| other.held_id.clone());
    }

    /// Checks that every planned row has exactly one outcome, and sets `success`.
    ///
    /// # Errors
    /// The counters do not add up.
    pub(super) fn close(&mut self) -> Result<(), ActivateError> {
        let settled = self.delivered
            + self.rejected
            + self.retryable
            + self.unknown
            + self.held
            + self.suppressed;
        debug_assert_eq!(self.planned, settled, "counters of sync {}", self.name);
        if self.planned != settled || self.planned != self.adds + self.updates + self.removals {
            return Err(ActivateError::Counters {
                sync: self.name.clone(),
                planned: self.planned,
                settled,
            });
        }
        self.success = self.planned == self.delivered && self.stopped.is_none();
        Ok(())
    }
}
