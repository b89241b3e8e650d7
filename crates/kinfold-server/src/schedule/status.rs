//! A job as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::job::JobKind;

use super::Scheduler;
use super::record::{Cause, Ran, Record, Rows, Totals};
use super::slot::Slot;

/// Everything that is shown of a job. Times are UTC.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// What it runs.
    #[serde(flatten)]
    pub kind: JobKind,
    /// What makes it due, as in YAML; `None` if only a person or a build does.
    pub trigger: Option<String>,
    /// `queue` or `skip`.
    pub overlap: &'static str,
    /// `one` or `none`.
    pub catch_up: &'static str,
    /// When its trigger makes it due next, as far as that is known.
    pub next_due: Option<DateTime<Utc>>,
    /// The run under way.
    pub running: Option<RunningStatus>,
    /// The run that waits for its turn.
    pub waiting: Option<WaitingStatus>,
    /// Since when it is paused.
    pub paused_since: Option<DateTime<Utc>>,
    /// The last run that ended.
    pub last_run: Option<Ran>,
    /// When a run last succeeded.
    pub last_success: Option<DateTime<Utc>>,
    /// What became of the last due time.
    pub last_record: Option<Record>,
    /// What became of all due times.
    pub totals: Totals,
    /// Due times that are neither settled nor forgotten.
    pub in_flight: u64,
    /// Sum of the rows of all runs of a sync.
    pub rows: Rows,
    /// The incident that is open.
    pub incident: Option<IncidentStatus>,
}

/// A run under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunningStatus {
    /// Its number.
    pub run: u64,
    /// When it began.
    pub started: DateTime<Utc>,
    /// What it is for.
    pub cause: Cause,
}

/// A run that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitingStatus {
    /// Its number.
    pub run: u64,
    /// Since when it waits.
    pub since: DateTime<Utc>,
    /// For how many due times it is.
    pub due_times: usize,
}

/// An open incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IncidentStatus {
    /// When the first of the failures in a row ended.
    pub since: DateTime<Utc>,
    /// Failures in a row.
    pub failures: u32,
    /// The run that opened it.
    pub opened_by: u64,
    /// Receivers whose message has not arrived yet.
    pub undelivered: usize,
}

impl Scheduler {
    /// A job as it is shown; `None` if there is no such job.
    #[must_use]
    pub fn status(&self, job: &str) -> Option<JobStatus> {
        self.slots.get(job).map(|slot| self.status_of(slot))
    }

    /// All jobs as they are shown, in order of their names.
    #[must_use]
    pub fn all_statuses(&self) -> Vec<JobStatus> {
        self.slots.values().map(|s| self.status_of(s)).collect()
    }

    fn status_of(&self, slot: &Slot) -> JobStatus {
        let Slot { job, state, .. } = slot;
        let undelivered = self.outbox.iter().filter(|m| m.job == job.name).count();
        JobStatus {
            name: job.name.clone(),
            kind: job.kind.clone(),
            trigger: job.trigger.as_ref().map(ToString::to_string),
            overlap: job.overlap.as_str(),
            catch_up: job.catch_up.as_str(),
            next_due: slot.next_due().map(|(at, _)| at),
            running: state.running.as_ref().map(|running| RunningStatus {
                run: running.run,
                started: running.started,
                cause: running.due.cause,
            }),
            waiting: state.waiting.as_ref().map(|waiting| WaitingStatus {
                run: waiting.run,
                since: waiting.since,
                due_times: waiting.dues.len(),
            }),
            paused_since: state.paused,
            last_run: state.last_run.clone(),
            last_success: state.last_success,
            last_record: state.records.back().cloned(),
            totals: state.totals,
            in_flight: state.in_flight(),
            rows: state.rows,
            incident: state.incident.as_ref().map(|incident| IncidentStatus {
                since: incident.since,
                failures: state.failures,
                opened_by: incident.opened_by,
                undelivered,
            }),
        }
    }
}
