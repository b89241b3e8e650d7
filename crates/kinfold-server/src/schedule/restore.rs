//! Taking the schedule up again: what was missed, and what makes up for it.

use chrono::{DateTime, TimeDelta, Utc};
use kinfold_project::{CatchUp, Trigger};

use crate::job::Job;

use super::record::{Cause, Fate, Outcome, Ran, RunEnded};
use super::slot::Slot;
use super::state::{Due, JobState, Waiting};

/// So far the clocks of two servers may differ. A time further ahead was a mistake of the clock.
const SKEW: TimeDelta = TimeDelta::hours(1);

/// The job as the document has it, with every due time before `now` accounted for.
pub(super) fn slot(
    job: Job,
    stored: Option<JobState>,
    now: DateTime<Utc>,
    number: &mut u64,
    keep: usize,
) -> Slot {
    let mut state = stored.unwrap_or_else(|| JobState::new(now));
    let trigger = job
        .trigger
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    if state.trigger != trigger {
        // Another schedule has missed nothing.
        state.trigger = trigger;
        state.accounted_until = now;
        state.change_due = None;
        state.seen = None;
        state.last_due = None;
        state.since = now;
    }
    let ahead = |time: DateTime<Utc>| time.signed_duration_since(now) > SKEW;
    if ahead(state.accounted_until) {
        state.accounted_until = now;
    }
    state.last_due = state.last_due.filter(|time| !ahead(*time));
    state.change_due = state
        .change_due
        .map(|time| if ahead(time) { now } else { time });
    let mut unfinished = std::mem::take(&mut state.interrupted);
    if let Some(running) = state.running.take() {
        unfinished = true;
        let ran = Ran {
            run: running.run,
            started: running.started,
            ended: now,
            result: RunEnded::bare(
                Outcome::Interrupted,
                Some("the server ended before the run did"),
            ),
        };
        state.last_run = Some(ran.clone());
        state.settle(&running.due, Fate::Ran(ran), keep);
    }
    // What waited for a run counts as missed, and so does what the trigger says of the time since.
    let mut missed = state.waiting.take().map_or(vec![], |waiting| waiting.dues);
    let mut slot = Slot::new(job, state);
    while let Some((at, cause)) = slot.take_due(now, false) {
        slot.state.totals.due += 1;
        missed.push(Due {
            at,
            cause,
            missed: true,
        });
    }
    for due in &mut missed {
        due.missed = true;
    }
    let state = &mut slot.state;
    if state.paused.is_some() {
        if unfinished || !missed.is_empty() {
            // Noticed again when the pause ends.
            state.seen = None;
        }
        for due in missed {
            // A person's wish does not care for the pause; it was the server that was not there.
            let fate = match due.cause {
                Cause::ByHand => Fate::Missed { caught_up_by: None },
                _ => Fate::Paused,
            };
            state.settle(&due, fate, keep);
        }
        return slot;
    }
    unfinished |= !missed.is_empty();
    if !unfinished {
        return slot;
    }
    match slot.job.catch_up {
        CatchUp::None => {
            if matches!(slot.job.trigger, Some(Trigger::Inputs { .. })) {
                // The next report of the version is a change again.
                state.seen = None;
            }
            for due in missed {
                state.settle(&due, Fate::Missed { caught_up_by: None }, keep);
            }
        }
        CatchUp::One => {
            state.totals.due += 1;
            state.waiting = Some(Waiting {
                run: *number,
                since: now,
                dues: vec![Due {
                    at: now,
                    cause: Cause::CatchUp,
                    missed: false,
                }],
            });
            *number += 1;
            for due in missed {
                slot.join(due, keep);
            }
        }
    }
    slot
}
