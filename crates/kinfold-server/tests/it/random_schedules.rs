//! Random jobs, lengths of runs, failures, pauses, wishes, changes and crashes, against the oracle.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{America::New_York, Europe::Berlin, Tz};
use kinfold_project::{CatchUp, Overlap};
use kinfold_server::schedule::{Action, Document, Event, Limits, Scheduler};
use kinfold_server::{Cause, Job, Outcome};
use proptest::prelude::*;

use crate::oracle::{Oracle, Spec, When, cron_is_due};
use crate::support::{build, cron, end, every, on_inputs, records, sync, time};

/// Eleven hours: a change of the clock lies within.
const MINUTES: i64 = 660;

#[derive(Clone, Copy, Debug)]
enum Wish {
    Pause,
    Resume,
    RunNow,
    Change,
    /// The server is away for so long.
    Crash(i64),
}

fn when() -> impl Strategy<Value = When> {
    let zone = prop_oneof![Just(Berlin), Just(New_York), Just(Tz::UTC)];
    prop_oneof![
        1 => Just(When::ByHand),
        4 => (1_i64..45).prop_map(When::Every),
        4 => (prop::sample::select(vec![5_u32, 15, 20, 30, 60]), prop::option::of(0_u32..6), zone)
            .prop_map(|(step, hour, zone)| When::Cron(step, hour, zone)),
        3 => (prop::option::of(2_i64..20), prop::option::of(20_i64..90)).prop_map(|(most, least)| When::Inputs(most, least)),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    (
        when(),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::collection::vec(0_usize..5, 0..3),
        prop::collection::btree_set(1_u8..3, 0..2),
    )
        .prop_map(|(when, skip, catch_up, build, then, resources)| Spec {
            // The two do not go together.
            skip: skip && !matches!(when, When::Inputs(..)),
            when,
            catch_up,
            build,
            then,
            resources: if build { [0].into() } else { resources },
        })
}

fn job(number: usize, spec: &Spec) -> Job {
    let trigger = match &spec.when {
        When::ByHand => None,
        When::Every(n) => every((*n).try_into().unwrap()),
        When::Cron(step, hour, zone) => {
            let hour = hour.map_or("*".to_owned(), |hour| hour.to_string());
            let step = if *step == 60 {
                "0".to_owned()
            } else {
                format!("*/{step}")
            };
            cron(&format!("{step} {hour} * * *"), zone.name())
        }
        When::Inputs(most, least) => on_inputs(
            most.map(|n| n.try_into().unwrap()),
            least.map(|n| n.try_into().unwrap()),
        ),
    };
    let name = format!("job{number}");
    let then: Vec<String> = spec.then.iter().map(|n| format!("job{n}")).collect();
    let then: Vec<&str> = then.iter().map(String::as_str).collect();
    let plain = if spec.build {
        build(&name, trigger, &then)
    } else {
        sync(&name, trigger)
    };
    Job {
        overlap: if spec.skip {
            Overlap::Skip
        } else {
            Overlap::Queue
        },
        catch_up: if spec.catch_up {
            CatchUp::One
        } else {
            CatchUp::None
        },
        resources: spec.resources.iter().map(ToString::to_string).collect(),
        ..plain
    }
}

/// How long a run takes, in minutes, and how it ends.
fn ends(job: usize, run: u64) -> (i64, &'static str) {
    let mixed = (run * 7919 + u64::try_from(job).unwrap() * 104_729 + 13) % 1009;
    let length = [1, 1, 2, 3, 5, 8, 13, 40][usize::try_from(mixed % 8).unwrap()];
    (
        length,
        if mixed.is_multiple_of(3) {
            "failed"
        } else {
            "succeeded"
        },
    )
}

/// Drives the scheduler and the oracle alike.
struct Both<'s> {
    start: DateTime<Utc>,
    specs: &'s [Spec],
    limits: Limits,
    scheduler: Scheduler,
    oracle: Oracle<'s>,
    versions: Vec<u32>,
    running: BTreeMap<usize, (u64, i64)>,
}

impl<'s> Both<'s> {
    fn jobs(specs: &[Spec]) -> Vec<Job> {
        specs
            .iter()
            .enumerate()
            .map(|(n, spec)| job(n, spec))
            .collect()
    }

    fn new(specs: &'s [Spec], start: DateTime<Utc>, max_running: usize) -> Self {
        let limits = Limits {
            max_running,
            records_per_job: usize::MAX,
            receivers: vec![],
        };
        let document = Document::default();
        let (scheduler, actions) =
            Scheduler::restore(document, Self::jobs(specs), limits.clone(), start);
        assert!(actions.is_empty(), "new jobs wait for their first due time");
        Self {
            start,
            specs,
            limits,
            scheduler,
            oracle: Oracle::new(specs, start, max_running, ends),
            versions: vec![0; specs.len()],
            running: BTreeMap::new(),
        }
    }

    fn step(&mut self, minute: i64, event: Event) {
        let now = self.start + TimeDelta::minutes(minute);
        let actions = self.scheduler.step(now, event);
        self.started(minute, actions);
        self.oracle.settle(minute);
    }

    fn started(&mut self, minute: i64, actions: Vec<Action>) {
        for action in actions {
            let Action::Start { job, run } = action else {
                panic!("nobody is to be told");
            };
            let number: usize = job.trim_start_matches("job").parse().unwrap();
            let before = self
                .running
                .insert(number, (run, minute + ends(number, run).0));
            assert_eq!(before, None, "two runs of {job} at once");
        }
        assert!(self.running.len() <= self.limits.max_running);
        let mut taken = BTreeSet::new();
        for number in self.running.keys() {
            for resource in &self.specs[*number].resources {
                assert!(taken.insert(resource), "{resource} is used twice at once");
            }
        }
        for status in self.scheduler.all_statuses() {
            let totals = status.totals;
            assert_eq!(
                totals.due,
                totals.settled() + status.in_flight,
                "{}",
                status.name
            );
        }
    }

    fn minute(&mut self, minute: i64, wishes: &[(i64, usize, Wish)]) -> Option<i64> {
        self.oracle.minute();
        for (number, run) in self.oracle.ending(minute) {
            assert_eq!(self.running.remove(&number), Some((run, minute)));
            let word = ends(number, run).1;
            let outcome = match word {
                "failed" => Outcome::Failed,
                _ => Outcome::Succeeded,
            };
            self.oracle.ended(number, run, word, minute);
            self.step(minute, end(&format!("job{number}"), run, outcome));
        }
        assert!(self.running.values().all(|(_, end)| *end > minute));
        for (_, number, wish) in wishes.iter().filter(|(at, ..)| *at == minute) {
            let number = number % self.specs.len();
            let job = format!("job{number}");
            let event = match wish {
                Wish::Pause => {
                    self.oracle.pause(number);
                    Event::Pause { job }
                }
                Wish::Resume => {
                    self.oracle.resume(number);
                    Event::Resume { job }
                }
                Wish::RunNow => {
                    self.oracle.run_now(number, minute);
                    Event::RunNow { job }
                }
                Wish::Change => {
                    self.versions[number] += 1;
                    continue;
                }
                Wish::Crash(length) => {
                    // What is due in this minute still falls.
                    self.step(minute, Event::Tick);
                    return Some(minute + length);
                }
            };
            self.step(minute, event);
        }
        for number in 0..self.specs.len() {
            let version = self.versions[number];
            self.oracle.inputs(number, version, minute);
            let event = Event::Inputs {
                job: format!("job{number}"),
                version: version.to_string(),
            };
            self.step(minute, event);
        }
        self.step(minute, Event::Tick);
        None
    }

    /// The server dies within a minute and is there again in another one.
    fn crash(&mut self, from: i64, to: i64) {
        let stored = self.scheduler.document().encode().unwrap();
        let document = Document::decode(&stored).unwrap();
        self.running.clear();
        let now = self.start + TimeDelta::minutes(to);
        let jobs = Self::jobs(self.specs);
        let (scheduler, actions) = Scheduler::restore(document, jobs, self.limits.clone(), now);
        self.scheduler = scheduler;
        self.oracle.restarted(from, to);
        self.oracle.minute();
        self.oracle.settle(to);
        self.started(to, actions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_due_time_ends_as_the_rules_say(
        specs in prop::collection::vec(spec(), 5),
        max_running in 1_usize..4,
        start in prop::sample::select(vec![
            // An ordinary day, and the changes of the clock in Berlin and in New York.
            "2026-06-01T00:00:00Z",
            "2026-03-28T20:00:00Z",
            "2026-10-24T20:00:00Z",
            "2026-03-08T03:00:00Z",
            "2026-11-01T01:00:00Z",
        ]),
        mut wishes in prop::collection::vec(
            (0..MINUTES, 0_usize..5, prop_oneof![
                4 => Just(Wish::Pause),
                4 => Just(Wish::Resume),
                3 => Just(Wish::RunNow),
                6 => Just(Wish::Change),
                2 => (1_i64..120).prop_map(Wish::Crash),
            ]),
            0..24,
        ),
    ) {
        wishes.sort_by_key(|(at, ..)| *at);
        let start = time(start);
        let mut both = Both::new(&specs, start, max_running);
        let mut minute = 0;
        while minute < MINUTES {
            match both.minute(minute, &wishes) {
                None => minute += 1,
                Some(again) => {
                    // What had happened in the minute of the crash has happened.
                    both.crash(minute + 1, again.max(minute + 1));
                    minute = again.max(minute + 1) + 1;
                }
            }
        }
        for (number, spec) in specs.iter().enumerate() {
            let name = format!("job{number}");
            prop_assert_eq!(
                records(&both.scheduler, &name, start),
                both.oracle.records(number),
                "{}", name
            );
            // Without any rule: each minute that is due by its schedule has one record, or is in flight.
            let due = (1..minute).map(|m| start + TimeDelta::minutes(m)).filter(|now| match spec.when {
                When::Every(n) => now.timestamp() % (n * 60) == 0,
                When::Cron(step, hour, zone) => cron_is_due(step, hour, zone, *now),
                When::ByHand | When::Inputs(..) => false,
            });
            let mut due: BTreeSet<DateTime<Utc>> = due.collect();
            for record in both.scheduler.records(&name).unwrap() {
                if record.cause == Cause::Schedule {
                    prop_assert!(due.remove(&record.due), "{} has two records or was not due", record.due);
                }
            }
            let in_flight = both.scheduler.status(&name).unwrap().in_flight;
            prop_assert!(u64::try_from(due.len()).unwrap() <= in_flight, "no record of {due:?}");
        }
    }
}
