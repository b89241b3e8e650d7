//! Stored states of every format that was ever written are still read.

use chrono::TimeDelta;
use kinfold_server::Outcome;
use kinfold_server::schedule::{Document, Event, Limits, Receiver, Scheduler};
use serde_json::Value;

use crate::support::{cron, end, every, on_inputs, records, sync, time};

const START: &str = "2026-06-01T00:00:00Z";

fn limits() -> Limits {
    Limits {
        receivers: vec![Receiver {
            key: "duty".to_owned(),
            after_failures: 1,
        }],
        ..Limits::default()
    }
}

/// A state with something of everything.
fn scheduler() -> Scheduler {
    let jobs = vec![
        sync("a", every(10)),
        sync("b", cron("*/20 * * * *", "Europe/Berlin")),
        sync("c", on_inputs(Some(5), Some(60))),
    ];
    let (mut scheduler, _) = Scheduler::restore(Document::default(), jobs, limits(), time(START));
    let inputs = |version: &str| Event::Inputs {
        job: "c".to_owned(),
        version: version.to_owned(),
    };
    let pause = Event::Pause {
        job: "b".to_owned(),
    };
    for (minute, event) in [
        (1, inputs("v1")),
        (2, end("c", 1, Outcome::Succeeded)),
        (3, inputs("v2")),
        (10, Event::Tick),
        (11, end("a", 3, Outcome::Failed)),
        (12, pause),
        (20, Event::Tick),
        (35, Event::Tick),
    ] {
        scheduler.step(time(START) + TimeDelta::minutes(minute), event);
    }
    scheduler
}

fn stored(scheduler: &Scheduler) -> Value {
    serde_json::from_slice(&scheduler.document().encode().unwrap()).unwrap()
}

#[test]
fn version_1() {
    let fixture = include_str!("state_v1.json");
    let written: Value = serde_json::from_str(fixture).unwrap();
    let now = scheduler();
    assert_eq!(
        stored(&now),
        written,
        "what is written has changed: give it a new format number, and keep reading this one"
    );
    let document = Document::decode(fixture.as_bytes()).unwrap();
    let jobs = now.jobs().cloned().collect();
    let at = time(START) + TimeDelta::minutes(40);
    let (again, actions) = Scheduler::restore(document, jobs, limits(), at);
    assert_eq!(
        actions.len(),
        3,
        "one message, and two jobs to make up for: {actions:?}"
    );
    assert_eq!(
        records(&again, "a", time(START)),
        [
            "10 Schedule ran 3 failed",
            "20 Schedule ran 4 interrupted",
            "30 Schedule missed 6",
            "40 Schedule coalesced 6"
        ]
    );
    assert_eq!(
        records(&again, "b", time(START)),
        ["20 Schedule paused", "40 Schedule paused"]
    );
}
