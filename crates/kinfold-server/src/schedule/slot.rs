//! One job with its state: when it is due next, and what becomes of a due time.

use chrono::{DateTime, TimeDelta, Utc};
use kinfold_project::{Overlap, Trigger};

use crate::job::Job;

use super::record::{Cause, Fate};
use super::state::{Due, JobState, Waiting};

/// So many due times may wait for one run without being settled; further ones are settled at once.
const MOST_WAITING: usize = 1000;

pub(super) struct Slot {
    pub(super) job: Job,
    pub(super) state: JobState,
    /// The next due time of a cron expression, which takes a while to find.
    next_cron: Option<DateTime<Utc>>,
}

impl Slot {
    pub(super) fn new(job: Job, state: JobState) -> Self {
        let mut slot = Self {
            job,
            state,
            next_cron: None,
        };
        slot.find_next_cron();
        slot
    }

    fn find_next_cron(&mut self) {
        if let Some(Trigger::Cron(cron)) = &self.job.trigger {
            self.next_cron = cron.next_after(self.state.accounted_until);
        }
    }

    /// The next time at which the trigger makes it due, with the cause.
    pub(super) fn next_due(&self) -> Option<(DateTime<Utc>, Cause)> {
        let state = &self.state;
        match self.job.trigger.as_ref()? {
            Trigger::Cron(_) => self.next_cron.map(|at| (at, Cause::Schedule)),
            Trigger::Every(interval) => {
                let length = i64::try_from(interval.as_secs()).ok()?.max(1);
                let passed = state.accounted_until.timestamp().div_euclid(length);
                let next = passed.checked_add(1)?.checked_mul(length)?;
                DateTime::from_timestamp(next, 0).map(|at| (at, Cause::Schedule))
            }
            Trigger::Inputs { at_least_every, .. } => {
                let change = state.change_due.map(|at| (at, Cause::Inputs));
                let since = state.last_due.unwrap_or(state.since);
                let latest = at_least_every
                    .and_then(|interval| TimeDelta::from_std(interval).ok())
                    .and_then(|interval| since.checked_add_signed(interval))
                    .map(|at| (at, Cause::AtLeastEvery));
                // Of two at one time, the change is the reason.
                match (change, latest) {
                    (Some(change), Some(latest)) if latest.0 < change.0 => Some(latest),
                    (change, latest) => change.or(latest),
                }
            }
        }
    }

    /// The next due time that is before `limit`, or at it if `inclusive`; it counts as accounted for.
    pub(super) fn take_due(
        &mut self,
        limit: DateTime<Utc>,
        inclusive: bool,
    ) -> Option<(DateTime<Utc>, Cause)> {
        let (at, cause) = self.next_due()?;
        if at > limit || (at == limit && !inclusive) {
            return None;
        }
        let state = &mut self.state;
        state.accounted_until = state.accounted_until.max(at);
        match cause {
            Cause::Inputs => {
                state.change_due = None;
                state.last_due = Some(at);
            }
            Cause::AtLeastEvery => state.last_due = Some(at),
            _ => self.find_next_cron(),
        }
        Some((at, cause))
    }

    /// A version of the inputs was reported.
    pub(super) fn inputs(&mut self, now: DateTime<Utc>, version: &str) -> bool {
        let Some(Trigger::Inputs { at_most_every, .. }) = &self.job.trigger else {
            return false;
        };
        let state = &mut self.state;
        // What changes during a pause is noticed after it.
        if state.paused.is_some() || state.seen.as_deref() == Some(version) {
            return false;
        }
        state.seen = Some(version.to_owned());
        if state.change_due.is_none() {
            let earliest = at_most_every
                .and_then(|interval| TimeDelta::from_std(interval).ok())
                .zip(state.last_due)
                .and_then(|(interval, last)| last.checked_add_signed(interval));
            state.change_due = Some(earliest.map_or(now, |earliest| earliest.max(now)));
        }
        true
    }

    /// The job is due. `number` gives the number of a new run.
    pub(super) fn fall_due(&mut self, due: Due, number: &mut u64, keep: usize) {
        let state = &mut self.state;
        state.totals.due += 1;
        if state.paused.is_some() && due.cause != Cause::ByHand {
            return state.settle(&due, Fate::Paused, keep);
        }
        let occupied = match (&state.waiting, &state.running) {
            (Some(waiting), _) => Some(waiting.run),
            (None, Some(running)) => Some(running.run),
            (None, None) => None,
        };
        match occupied {
            Some(run) if self.job.overlap == Overlap::Skip => {
                state.settle(&due, Fate::Skipped { run }, keep);
            }
            _ => self.wait(due, number, keep),
        }
    }

    /// Joins the run that waits, or makes one.
    fn wait(&mut self, due: Due, number: &mut u64, keep: usize) {
        if self.state.waiting.is_some() {
            return self.join(due, keep);
        }
        self.state.waiting = Some(Waiting {
            run: *number,
            since: due.at,
            dues: vec![due],
        });
        *number += 1;
    }

    /// Joins the run that waits, if one does.
    pub(super) fn join(&mut self, due: Due, keep: usize) {
        let state = &mut self.state;
        let Some(waiting) = &mut state.waiting else {
            return;
        };
        if waiting.dues.len() < MOST_WAITING {
            waiting.dues.push(due);
            return;
        }
        let fate = shares(&due, waiting.run);
        state.settle(&due, fate, keep);
    }

    /// Pauses. What waits for a run does not get one, unless a person asked for it.
    pub(super) fn pause(&mut self, now: DateTime<Utc>, keep: usize) -> bool {
        let state = &mut self.state;
        if state.paused.is_some() {
            return false;
        }
        state.paused = Some(now);
        if state.change_due.take().is_some() {
            state.seen = None;
        }
        if let Some(mut waiting) = state.waiting.take() {
            let (stay, go): (Vec<Due>, Vec<Due>) = waiting
                .dues
                .into_iter()
                .partition(|due| due.cause == Cause::ByHand && !due.missed);
            for due in go {
                if due.cause == Cause::Inputs {
                    state.seen = None;
                }
                let fate = if due.missed {
                    Fate::Missed { caught_up_by: None }
                } else {
                    Fate::Paused
                };
                state.settle(&due, fate, keep);
            }
            waiting.dues = stay;
            state.waiting = (!waiting.dues.is_empty()).then_some(waiting);
        }
        true
    }
}

/// What becomes of a due time that is not the first of its run.
pub(super) fn shares(due: &Due, run: u64) -> Fate {
    if due.missed {
        Fate::Missed {
            caught_up_by: Some(run),
        }
    } else {
        Fate::Coalesced { run }
    }
}
