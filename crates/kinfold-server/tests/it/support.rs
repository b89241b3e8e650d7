//! Jobs and results, briefly.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kinfold_project::{CatchUp, Cron, Overlap, Trigger};
use kinfold_server::schedule::{Event, RunEnded, Scheduler};
use kinfold_server::serve::Handle;
use kinfold_server::{Fate, Job, JobKind, Outcome, Record};

pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A sync with this trigger, that queues and catches up.
pub fn sync(name: &str, trigger: Option<Trigger>) -> Job {
    Job {
        name: name.to_owned(),
        kind: JobKind::Sync,
        trigger,
        overlap: Overlap::Queue,
        catch_up: CatchUp::One,
        resources: BTreeSet::new(),
        then: vec![],
    }
}

pub fn build(name: &str, trigger: Option<Trigger>, then: &[&str]) -> Job {
    Job {
        kind: JobKind::Build {
            select: "*".to_owned(),
        },
        resources: ["environment".to_owned()].into(),
        then: then.iter().map(|name| (*name).to_owned()).collect(),
        ..sync(name, trigger)
    }
}

pub fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

pub fn every(n: u64) -> Option<Trigger> {
    Some(Trigger::Every(minutes(n)))
}

pub fn cron(expression: &str, timezone: &str) -> Option<Trigger> {
    let cron = Cron::parse(expression, timezone.parse().unwrap()).unwrap();
    Some(Trigger::Cron(Box::new(cron)))
}

pub fn on_inputs(at_most: Option<u64>, at_least: Option<u64>) -> Option<Trigger> {
    Some(Trigger::Inputs {
        at_most_every: at_most.map(minutes),
        at_least_every: at_least.map(minutes),
    })
}

pub fn ended(outcome: Outcome) -> RunEnded {
    RunEnded::bare(outcome, None)
}

pub fn end(job: &str, run: u64, outcome: Outcome) -> Event {
    Event::Ended {
        job: job.to_owned(),
        run,
        ended: ended(outcome),
    }
}

/// Every record of a job: minutes after `from`, cause, fate.
pub fn records(scheduler: &Scheduler, job: &str, from: DateTime<Utc>) -> Vec<String> {
    lines(scheduler.records(job).unwrap().iter(), from)
}

/// The same of a server.
pub fn records_of(handle: &Handle, job: &str, from: DateTime<Utc>) -> Vec<String> {
    let all = handle.records(job, None, usize::MAX).unwrap();
    lines(all.records.iter(), from)
}

fn lines<'r>(all: impl Iterator<Item = &'r Record>, from: DateTime<Utc>) -> Vec<String> {
    all.map(|record| {
        let minute = (record.due - from).num_minutes();
        let fate = match &record.fate {
            Fate::Ran(ran) => format!("ran {} {}", ran.run, ran.result.outcome.as_str()),
            Fate::Coalesced { run } => format!("coalesced {run}"),
            Fate::Skipped { run } => format!("skipped {run}"),
            Fate::Paused => "paused".to_owned(),
            Fate::Missed {
                caught_up_by: Some(run),
            } => format!("missed {run}"),
            Fate::Missed { caught_up_by: None } => "missed".to_owned(),
        };
        format!("{minute} {:?} {fate}", record.cause)
    })
    .collect()
}
