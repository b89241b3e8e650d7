//! Single rules of the schedule, one by one.

use chrono::TimeDelta;
use kinfold_server::schedule::{Action, Event, Scheduler};
use kinfold_server::schedule::{Document, DocumentError, IncidentEvent, Limits, Receiver};
use kinfold_server::{Job, Outcome};

use crate::support::{build, cron, end, every, on_inputs, records, sync, time};

const START: &str = "2026-06-01T00:00:00Z";

struct Run {
    scheduler: Scheduler,
    limits: Limits,
    jobs: Vec<Job>,
}

impl Run {
    fn new(jobs: Vec<Job>, limits: Limits) -> Self {
        let (scheduler, _) = Scheduler::restore(
            Document::default(),
            jobs.clone(),
            limits.clone(),
            time(START),
        );
        Self {
            scheduler,
            limits,
            jobs,
        }
    }

    fn at(&mut self, minute: i64, event: Event) -> Vec<String> {
        let now = time(START) + TimeDelta::minutes(minute);
        shown(&self.scheduler.step(now, event))
    }

    fn restart(&mut self, minute: i64) -> Vec<String> {
        let bytes = self.scheduler.document().encode().unwrap();
        let document = Document::decode(&bytes).unwrap();
        let now = time(START) + TimeDelta::minutes(minute);
        let (scheduler, actions) =
            Scheduler::restore(document, self.jobs.clone(), self.limits.clone(), now);
        self.scheduler = scheduler;
        shown(&actions)
    }
}

fn shown(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::Start { job, run } => format!("{job} {run}"),
            Action::Send(message) => {
                let event = match message.event {
                    IncidentEvent::Opened => "opened",
                    IncidentEvent::Recovered => "recovered",
                };
                format!(
                    "{event} {} to {} after {}",
                    message.job, message.receiver, message.failures
                )
            }
        })
        .collect()
}

fn receivers(after: &[(&str, u32)]) -> Limits {
    Limits {
        receivers: after
            .iter()
            .map(|(key, after_failures)| Receiver {
                key: (*key).to_owned(),
                after_failures: *after_failures,
            })
            .collect(),
        ..Limits::default()
    }
}

fn inputs(job: &str, version: &str) -> Event {
    Event::Inputs {
        job: job.to_owned(),
        version: version.to_owned(),
    }
}

#[test]
fn a_slow_job_delays_no_other_one() {
    let jobs = vec![sync("slow", every(1)), sync("quick", every(1))];
    let mut run = Run::new(jobs, Limits::default());
    assert_eq!(run.at(1, Event::Tick), ["quick 1", "slow 2"]);
    let mut number = 1;
    for minute in 2..60 {
        let started = run.at(minute, end("quick", number, Outcome::Succeeded));
        let [only] = started.as_slice() else {
            panic!("minute {minute}: {started:?}");
        };
        number = only.strip_prefix("quick ").unwrap().parse().unwrap();
    }
    let slow = run.scheduler.status("slow").unwrap();
    assert_eq!(
        slow.in_flight, 59,
        "one runs, the others share the next run"
    );
    assert!(slow.waiting.is_some_and(|waiting| waiting.due_times == 58));
}

#[test]
fn a_job_that_waits_for_a_resource_keeps_none_behind_it() {
    let jobs = vec![
        build("a", every(10), &[]),
        build("b", every(10), &[]),
        sync("c", every(10)),
    ];
    let limits = Limits {
        max_running: 2,
        ..Limits::default()
    };
    let mut run = Run::new(jobs, limits);
    assert_eq!(run.at(10, Event::Tick), ["a 1", "c 3"]);
    assert_eq!(run.at(11, end("a", 1, Outcome::Succeeded)), ["b 2"]);
}

#[test]
fn syncs_follow_a_build_that_succeeded() {
    let jobs = vec![build("nightly", every(60), &["crm"]), sync("crm", None)];
    let mut run = Run::new(jobs, Limits::default());
    assert_eq!(run.at(60, Event::Tick), ["nightly 1"]);
    assert_eq!(run.at(65, end("nightly", 1, Outcome::Succeeded)), ["crm 2"]);
    run.at(66, end("crm", 2, Outcome::Succeeded));
    assert_eq!(run.at(120, Event::Tick), ["nightly 3"]);
    assert!(run.at(125, end("nightly", 3, Outcome::Failed)).is_empty());
    assert_eq!(
        records(&run.scheduler, "crm", time(START)),
        ["65 AfterBuild ran 2 succeeded"]
    );
}

#[test]
fn changes_come_at_most_and_at_least_so_often() {
    let jobs = vec![sync("s", on_inputs(Some(5), Some(60)))];
    let mut run = Run::new(jobs, Limits::default());
    assert_eq!(
        run.at(1, inputs("s", "v1")),
        ["s 1"],
        "the first look is a change"
    );
    run.at(2, end("s", 1, Outcome::Succeeded));
    assert!(run.at(3, inputs("s", "v2")).is_empty(), "too early");
    assert!(run.at(4, inputs("s", "v3")).is_empty());
    assert_eq!(run.at(6, Event::Tick), ["s 2"], "both changes at once");
    assert!(
        run.at(20, inputs("s", "v4")).is_empty(),
        "a run is under way"
    );
    assert_eq!(
        run.at(30, end("s", 2, Outcome::Succeeded)),
        ["s 3"],
        "once more"
    );
    run.at(31, end("s", 3, Outcome::Succeeded));
    assert!(run.at(79, inputs("s", "v4")).is_empty());
    assert_eq!(
        run.at(80, Event::Tick),
        ["s 4"],
        "sixty minutes after the last change"
    );
    run.at(81, end("s", 4, Outcome::Failed));
    assert_eq!(
        records(&run.scheduler, "s", time(START)),
        [
            "1 Inputs ran 1 succeeded",
            "6 Inputs ran 2 succeeded",
            "20 Inputs ran 3 succeeded",
            "80 AtLeastEvery ran 4 failed"
        ]
    );
}

#[test]
fn a_change_during_a_pause_is_noticed_after_it() {
    let mut run = Run::new(vec![sync("s", on_inputs(None, None))], Limits::default());
    run.at(1, inputs("s", "v1"));
    run.at(2, end("s", 1, Outcome::Succeeded));
    let job = || "s".to_owned();
    run.at(3, Event::Pause { job: job() });
    assert!(run.at(4, inputs("s", "v2")).is_empty());
    assert_eq!(
        run.at(5, Event::RunNow { job: job() }),
        ["s 2"],
        "a person may"
    );
    run.at(6, end("s", 2, Outcome::Succeeded));
    run.at(7, Event::Resume { job: job() });
    assert_eq!(run.at(8, inputs("s", "v2")), ["s 3"]);
}

#[test]
fn a_later_time_of_an_earlier_clock_counts_as_now() {
    let mut run = Run::new(vec![sync("s", every(10))], Limits::default());
    assert_eq!(run.at(10, Event::Tick), ["s 1"]);
    assert!(run.at(5, end("s", 1, Outcome::Succeeded)).is_empty());
    assert!(run.at(9, Event::Tick).is_empty(), "ten has been");
    let ended = run.scheduler.status("s").unwrap().last_run.unwrap().ended;
    assert_eq!(ended, time(START) + TimeDelta::minutes(10));
}

#[test]
fn a_clock_that_was_far_ahead_does_not_stop_the_schedule() {
    let mut run = Run::new(vec![sync("s", every(10))], Limits::default());
    let year = 365 * 24 * 60;
    run.at(year, Event::Tick);
    run.at(year, end("s", 1, Outcome::Succeeded));
    run.at(year, end("s", 2, Outcome::Succeeded));
    run.restart(15);
    assert_eq!(run.at(20, Event::Tick).len(), 1, "due again");
    // A little ahead is another server's clock, and what was due is not due twice.
    let mut run = Run::new(vec![sync("s", every(10))], Limits::default());
    run.at(10, Event::Tick);
    run.at(11, end("s", 1, Outcome::Succeeded));
    run.restart(9);
    assert!(run.at(10, Event::Tick).is_empty());
}

#[test]
fn another_schedule_has_missed_nothing() {
    let mut run = Run::new(vec![sync("s", every(10))], Limits::default());
    run.jobs = vec![sync("s", every(1)), sync("new", cron("* * * * *", "UTC"))];
    assert!(run.restart(100).is_empty());
    assert_eq!(records(&run.scheduler, "s", time(START)), [""; 0]);
    run.jobs = vec![sync("s", every(1))];
    assert_eq!(run.restart(103).len(), 1);
    assert_eq!(
        records(&run.scheduler, "s", time(START)),
        [
            "101 Schedule missed 1",
            "102 Schedule missed 1",
            "103 Schedule coalesced 1"
        ]
    );
    assert!(run.scheduler.records("new").is_none(), "a job that is gone");
}

#[test]
fn nothing_starts_after_the_end_was_asked_for() {
    let mut run = Run::new(vec![sync("s", every(10))], Limits::default());
    run.at(1, Event::Stop);
    assert!(run.at(10, Event::Tick).is_empty());
    assert_eq!(run.scheduler.status("s").unwrap().in_flight, 1);
    assert_eq!(run.restart(11), ["s 2"], "made up for");
}

#[test]
fn very_many_due_times_wait_for_one_run() {
    let mut run = Run::new(vec![sync("s", every(1))], Limits::default());
    run.at(1, Event::Tick);
    run.at(1500, Event::Tick);
    let status = run.scheduler.status("s").unwrap();
    assert_eq!(status.totals.due, 1500);
    assert_eq!(status.in_flight, 1001);
    assert_eq!(status.totals.coalesced, 499);
    assert_eq!(run.scheduler.records("s").unwrap().len(), 200, "the newest");
}

#[test]
fn an_incident_is_announced_once_and_ends_once() {
    let limits = receivers(&[("soon", 1), ("late", 3)]);
    let mut run = Run::new(vec![sync("s", every(10))], limits);
    let mut told = vec![];
    let outcomes = [
        Outcome::Failed,
        Outcome::Failed,
        Outcome::Interrupted,
        Outcome::Failed,
        Outcome::Failed,
        Outcome::Succeeded,
        Outcome::Succeeded,
        Outcome::Failed,
    ];
    for (at, outcome) in (1..).zip(outcomes) {
        run.at(at * 10, Event::Tick);
        let number = u64::try_from(at).unwrap();
        told.extend(run.at(at * 10 + 1, end("s", number, outcome)));
    }
    assert_eq!(
        told,
        [
            "opened s to soon after 1",
            "opened s to late after 3",
            "recovered s to soon after 4",
            "recovered s to late after 4",
            "opened s to soon after 1"
        ]
    );
}

#[test]
fn a_guard_opens_an_incident_at_once() {
    let mut run = Run::new(vec![sync("s", every(10))], receivers(&[("late", 3)]));
    run.at(10, Event::Tick);
    assert_eq!(
        run.at(11, end("s", 1, Outcome::Held)),
        ["opened s to late after 1"]
    );
    assert!(run.scheduler.status("s").unwrap().incident.is_some());
}

#[test]
fn what_did_not_arrive_is_sent_again_after_a_restart_and_what_did_is_not() {
    let mut run = Run::new(vec![sync("s", every(10))], receivers(&[("a", 1), ("b", 1)]));
    run.at(10, Event::Tick);
    run.at(11, end("s", 1, Outcome::Failed));
    let delivered = |receiver: &str| Event::Delivered {
        id: "s-1-opened".to_owned(),
        receiver: receiver.to_owned(),
    };
    run.at(12, delivered("a"));
    assert_eq!(run.restart(13), ["opened s to b after 1"]);
    run.at(14, delivered("b"));
    assert!(run.restart(15).is_empty());
    run.at(20, Event::Tick);
    assert!(
        run.at(21, end("s", 2, Outcome::Failed)).is_empty(),
        "it is open"
    );
    run.at(30, Event::Tick);
    let told = run.at(31, end("s", 3, Outcome::Succeeded));
    assert_eq!(
        told,
        ["recovered s to a after 2", "recovered s to b after 2"]
    );
}

#[test]
fn a_later_format_is_refused() {
    let text = br#"{"format": 2, "something": "else"}"#;
    let error = Document::decode(text).unwrap_err();
    assert!(matches!(error, DocumentError::Newer { found: 2 }));
    let error = Document::decode(b"[]").unwrap_err();
    assert!(matches!(error, DocumentError::Malformed(_)));
}
