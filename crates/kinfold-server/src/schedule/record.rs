//! What became of every due time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What became of one due time. Each has exactly one record once it is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The time.
    pub due: DateTime<Utc>,
    /// What made it due.
    pub cause: Cause,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What made a job due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its cron expression or interval.
    Schedule,
    /// A new version of its inputs.
    Inputs,
    /// `at_least_every` has passed since it was due last.
    AtLeastEvery,
    /// A build that it follows has succeeded.
    AfterBuild,
    /// A person.
    ByHand,
    /// Due times that were missed, or a run that was interrupted.
    CatchUp,
}

/// How a due time ended. A run is named by its number, which no other run of the same state has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It got a run.
    Ran(Ran),
    /// It shares a run with an earlier due time.
    Coalesced {
        /// The run.
        run: u64,
    },
    /// It was left out (`overlap: skip`).
    Skipped {
        /// The run that was under way or waited for its turn.
        run: u64,
    },
    /// The job was paused.
    Paused,
    /// No server ran.
    Missed {
        /// The run that made up for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caught_up_by: Option<u64>,
    },
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Its number.
    pub run: u64,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// How, and what it did.
    #[serde(flatten)]
    pub result: RunEnded,
}

/// How a run ended and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnded {
    /// The engine's id of the run; `None` if it did not come so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What a sync did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// What a build did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
    /// Why it did not succeed, on one line. Never holds a value of a row or a secret: it is shown, logged and
    /// sent to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl RunEnded {
    /// A run that ended so, with nothing else known of it.
    #[must_use]
    pub fn bare(outcome: Outcome, message: Option<&str>) -> Self {
        Self {
            run_id: None,
            outcome,
            rows: None,
            nodes: None,
            message: message.map(str::to_owned),
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of it was done.
    Succeeded,
    /// Not all of it was done.
    Failed,
    /// A guard keeps rows back until a person looks at them.
    Held,
    /// The server ended, or lost its lease, before the run did. Says nothing about the job.
    Interrupted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Held, Self::Interrupted];

    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Rows of a sync. `planned = delivered + rejected + retryable + unknown + held + suppressed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Rows that differ from what the destination is known to have.
    pub planned: u64,
    /// Confirmed by the destination.
    pub delivered: u64,
    /// Refused by the destination.
    pub rejected: u64,
    /// Not applied for a reason that passes.
    pub retryable: u64,
    /// Sent without a usable answer.
    pub unknown: u64,
    /// Kept back by a guard.
    pub held: u64,
    /// Kept back because a consent is missing.
    pub suppressed: u64,
    /// Without a usable key or value; not part of `planned`.
    pub invalid: u64,
}

impl Rows {
    /// Every count but `planned`, by its word.
    #[must_use]
    pub fn by_outcome(&self) -> [(&'static str, u64); 7] {
        [
            ("delivered", self.delivered),
            ("rejected", self.rejected),
            ("retryable", self.retryable),
            ("unknown", self.unknown),
            ("held", self.held),
            ("suppressed", self.suppressed),
            ("invalid", self.invalid),
        ]
    }

    pub(super) fn add(&mut self, more: &Self) {
        for (sum, part) in [
            (&mut self.planned, more.planned),
            (&mut self.delivered, more.delivered),
            (&mut self.rejected, more.rejected),
            (&mut self.retryable, more.retryable),
            (&mut self.unknown, more.unknown),
            (&mut self.held, more.held),
            (&mut self.suppressed, more.suppressed),
            (&mut self.invalid, more.invalid),
        ] {
            *sum = sum.saturating_add(part);
        }
    }
}

/// Nodes of a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    /// Built anew.
    pub built: u64,
    /// Up to date already.
    pub reused: u64,
    /// Failed, or a data test of theirs did.
    pub failed: u64,
    /// Not begun because something before them failed.
    pub blocked: u64,
}

/// How many due times a job has had, and what became of them, since it was first seen.
///
/// `due` is the sum of the others and of those that are in flight: waiting for a run, or running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Due times.
    pub due: u64,
    /// Of these, with a run that succeeded.
    pub succeeded: u64,
    /// With a run that failed.
    pub failed: u64,
    /// With a run that a guard held.
    pub held: u64,
    /// With a run that was interrupted.
    pub interrupted: u64,
    /// That share a run with an earlier one.
    pub coalesced: u64,
    /// Left out.
    pub skipped: u64,
    /// While the job was paused.
    pub paused: u64,
    /// While no server ran.
    pub missed: u64,
}

impl Totals {
    /// Runs that ended so.
    #[must_use]
    pub fn runs(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Succeeded => self.succeeded,
            Outcome::Failed => self.failed,
            Outcome::Held => self.held,
            Outcome::Interrupted => self.interrupted,
        }
    }

    /// Due times by what became of them.
    #[must_use]
    pub fn by_fate(&self) -> [(&'static str, u64); 5] {
        let ran = Outcome::ALL.map(|outcome| self.runs(outcome)).iter().sum();
        [
            ("ran", ran),
            ("coalesced", self.coalesced),
            ("skipped", self.skipped),
            ("paused", self.paused),
            ("missed", self.missed),
        ]
    }

    /// Due times that are settled.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.by_fate().iter().map(|(_, count)| count).sum()
    }

    pub(super) fn count(&mut self, fate: &Fate) {
        let counter = match fate {
            Fate::Ran(ran) => match ran.result.outcome {
                Outcome::Succeeded => &mut self.succeeded,
                Outcome::Failed => &mut self.failed,
                Outcome::Held => &mut self.held,
                Outcome::Interrupted => &mut self.interrupted,
            },
            Fate::Coalesced { .. } => &mut self.coalesced,
            Fate::Skipped { .. } => &mut self.skipped,
            Fate::Paused => &mut self.paused,
            Fate::Missed { .. } => &mut self.missed,
        };
        *counter += 1;
    }
}
