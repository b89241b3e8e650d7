//! A second schedule, minute by minute, that shares no code with the first: what is due is found by looking at
//! every minute, what becomes of it by the rules as the documentation has them.

use std::collections::BTreeSet;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

#[derive(Clone, Debug)]
pub enum When {
    ByHand,
    Every(i64),
    /// Minutes of the hour that divide by the first number; of this hour, or of all.
    Cron(u32, Option<u32>, Tz),
    Inputs(Option<i64>, Option<i64>),
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub when: When,
    pub skip: bool,
    pub catch_up: bool,
    pub build: bool,
    /// Jobs that follow, by number.
    pub then: Vec<usize>,
    pub resources: BTreeSet<u8>,
}

#[derive(Clone)]
struct Due {
    at: i64,
    cause: &'static str,
    missed: bool,
}

#[derive(Default)]
struct State {
    running: Option<(u64, Due, i64)>,
    waiting: Option<(u64, i64, Vec<Due>)>,
    paused: bool,
    seen: Option<u32>,
    change_due: Option<i64>,
    last_due: Option<i64>,
    /// The due times of this minute have fallen.
    fallen: bool,
    records: Vec<String>,
}

pub struct Oracle<'s> {
    specs: &'s [Spec],
    start: DateTime<Utc>,
    max_running: usize,
    next_run: u64,
    states: Vec<State>,
    pub ends: fn(usize, u64) -> (i64, &'static str),
}

impl<'s> Oracle<'s> {
    pub fn new(
        specs: &'s [Spec],
        start: DateTime<Utc>,
        max_running: usize,
        ends: fn(usize, u64) -> (i64, &'static str),
    ) -> Self {
        Self {
            specs,
            start,
            max_running,
            next_run: 1,
            states: specs.iter().map(|_| State::default()).collect(),
            ends,
        }
    }

    pub fn records(&self, job: usize) -> &[String] {
        &self.states[job].records
    }

    /// A new minute begins.
    pub fn minute(&mut self) {
        for state in &mut self.states {
            state.fallen = false;
        }
    }

    /// The due times of the minute, and what can begin.
    pub fn settle(&mut self, minute: i64) {
        for job in 0..self.specs.len() {
            if std::mem::replace(&mut self.states[job].fallen, true) {
                // A change that is due at once falls also later in its minute.
                if self.states[job].change_due.is_none_or(|at| at > minute) {
                    continue;
                }
            }
            if let Some(cause) = self.due(job, minute) {
                self.fall(job, minute, cause);
            }
        }
        self.begin(minute);
    }

    pub fn inputs(&mut self, job: usize, version: u32, minute: i64) {
        let When::Inputs(at_most, _) = self.specs[job].when else {
            return;
        };
        let state = &mut self.states[job];
        if !state.paused && state.seen != Some(version) {
            state.seen = Some(version);
            let earliest = match (at_most, state.last_due) {
                (Some(pause), Some(last)) => minute.max(last + pause),
                _ => minute,
            };
            state.change_due.get_or_insert(earliest);
        }
    }

    pub fn run_now(&mut self, job: usize, minute: i64) {
        self.fall(job, minute, "ByHand");
    }

    pub fn pause(&mut self, job: usize) {
        let state = &mut self.states[job];
        if std::mem::replace(&mut state.paused, true) {
            return;
        }
        if state.change_due.take().is_some() {
            state.seen = None;
        }
        let Some((run, since, dues)) = state.waiting.take() else {
            return;
        };
        let mut stay = vec![];
        for due in dues {
            if due.missed {
                state.records.push(line(&due, "missed"));
            } else if due.cause == "ByHand" {
                stay.push(due);
                continue;
            } else {
                state.records.push(line(&due, "paused"));
            }
            if due.cause == "Inputs" {
                state.seen = None;
            }
        }
        if !stay.is_empty() {
            state.waiting = Some((run, since, stay));
        }
    }

    pub fn resume(&mut self, job: usize) {
        self.states[job].paused = false;
    }

    pub fn ended(&mut self, job: usize, run: u64, outcome: &str, minute: i64) {
        let state = &mut self.states[job];
        let Some((_, due, _)) = state.running.take_if(|running| running.0 == run) else {
            panic!("run {run} of job {job} is not under way");
        };
        let fate = format!("ran {run} {outcome}");
        state.records.push(line(&due, &fate));
        if outcome == "succeeded" && self.specs[job].build {
            for next in self.specs[job].then.clone() {
                self.fall(next, minute, "AfterBuild");
            }
        }
    }

    /// Runs that end in this minute.
    pub fn ending(&self, minute: i64) -> Vec<(usize, u64)> {
        let running = self.states.iter().enumerate().filter_map(|(job, state)| {
            let (run, _, end) = state.running.as_ref()?;
            (*end == minute).then_some((job, *run))
        });
        running.collect()
    }

    /// The server was away from `from` (that minute included) to `to`.
    pub fn restarted(&mut self, from: i64, to: i64) {
        for job in 0..self.specs.len() {
            let mut unfinished = false;
            if let Some((run, due, _)) = self.states[job].running.take() {
                unfinished = true;
                let fate = format!("ran {run} interrupted");
                self.states[job].records.push(line(&due, &fate));
            }
            let mut missed = vec![];
            if let Some((_, _, dues)) = self.states[job].waiting.take() {
                missed = dues;
            }
            for minute in from..to {
                while let Some(cause) = self.due(job, minute) {
                    missed.push(Due {
                        at: minute,
                        cause,
                        missed: true,
                    });
                    if !matches!(self.specs[job].when, When::Inputs(..)) {
                        break;
                    }
                }
            }
            unfinished |= !missed.is_empty();
            for due in &mut missed {
                due.missed = true;
            }
            let catch_up = self.specs[job].catch_up;
            let state = &mut self.states[job];
            if !unfinished {
                continue;
            }
            if state.paused || !catch_up {
                state.seen = None;
                for due in missed {
                    let paused = state.paused && due.cause != "ByHand";
                    let fate = if paused { "paused" } else { "missed" };
                    state.records.push(line(&due, fate));
                }
                continue;
            }
            let mut dues = vec![Due {
                at: to,
                cause: "CatchUp",
                missed: false,
            }];
            dues.append(&mut missed);
            state.waiting = Some((self.next_run, to, dues));
            self.next_run += 1;
        }
    }

    /// Whether the trigger makes the job due in this minute.
    fn due(&mut self, job: usize, minute: i64) -> Option<&'static str> {
        let now = self.start + TimeDelta::minutes(minute);
        let spec = &self.specs[job];
        let state = &mut self.states[job];
        match &spec.when {
            When::ByHand => None,
            _ if minute == 0 && !matches!(spec.when, When::Inputs(..)) => None,
            When::Every(n) => (now.timestamp() % (n * 60) == 0).then_some("Schedule"),
            When::Cron(step, hour, zone) => {
                cron_is_due(*step, *hour, *zone, now).then_some("Schedule")
            }
            When::Inputs(_, at_least) => {
                let latest = at_least.map(|n| state.last_due.unwrap_or(0) + n);
                if latest.is_some_and(|at| at <= minute && state.change_due.is_none_or(|c| at < c))
                {
                    state.last_due = latest;
                    return Some("AtLeastEvery");
                }
                let change = state.change_due.take_if(|at| *at <= minute);
                change.map(|at| {
                    state.last_due = Some(at);
                    "Inputs"
                })
            }
        }
    }

    fn fall(&mut self, job: usize, minute: i64, cause: &'static str) {
        let due = Due {
            at: minute,
            cause,
            missed: false,
        };
        let skip = self.specs[job].skip;
        let state = &mut self.states[job];
        if state.paused && cause != "ByHand" {
            state.records.push(line(&due, "paused"));
            return;
        }
        let other = state.waiting.as_ref().map(|waiting| waiting.0);
        let other = other.or(state.running.as_ref().map(|running| running.0));
        match (&mut state.waiting, other) {
            (_, Some(run)) if skip => state.records.push(line(&due, &format!("skipped {run}"))),
            (Some(waiting), _) => waiting.2.push(due),
            (None, _) => {
                state.waiting = Some((self.next_run, minute, vec![due]));
                self.next_run += 1;
            }
        }
    }

    fn begin(&mut self, minute: i64) {
        let mut order: Vec<(i64, u64, usize)> = vec![];
        for (job, state) in self.states.iter().enumerate() {
            if let (Some(waiting), None) = (&state.waiting, &state.running) {
                order.push((waiting.1, waiting.0, job));
            }
        }
        order.sort_unstable();
        for (_, _, job) in order {
            let running: Vec<usize> = (0..self.specs.len())
                .filter(|other| self.states[*other].running.is_some())
                .collect();
            let free = running.iter().all(|o| {
                self.specs[*o]
                    .resources
                    .is_disjoint(&self.specs[job].resources)
            });
            if running.len() >= self.max_running || !free {
                continue;
            }
            let state = &mut self.states[job];
            let (run, _, mut dues) = state.waiting.take().unwrap();
            let first = dues.remove(0);
            for due in dues {
                let word = if due.missed { "missed" } else { "coalesced" };
                state.records.push(line(&due, &format!("{word} {run}")));
            }
            let (length, _) = (self.ends)(job, run);
            state.running = Some((run, first, minute + length));
        }
    }
}

fn line(due: &Due, fate: &str) -> String {
    format!("{} {} {fate}", due.at, due.cause)
}

/// The rule of the documentation: an hour that is named is due once, right after the leap if the clock leaps over
/// it; without one the clock decides.
pub fn cron_is_due(step: u32, hour: Option<u32>, zone: Tz, now: DateTime<Utc>) -> bool {
    let shown = now.with_timezone(&zone).naive_local();
    let fits = |shown: NaiveDateTime| {
        shown.minute().is_multiple_of(step) && hour.is_none_or(|hour| shown.hour() == hour)
    };
    if hour.is_none() {
        return fits(shown);
    }
    let first_time = match zone.from_local_datetime(&shown) {
        LocalResult::Ambiguous(first, _) => first == now,
        _ => true,
    };
    if fits(shown) && first_time {
        return true;
    }
    // The minutes right before this one that no clock shows.
    (1..=180)
        .map(|n| shown - TimeDelta::minutes(n))
        .take_while(|leapt| zone.from_local_datetime(leapt) == LocalResult::None)
        .any(fits)
}
