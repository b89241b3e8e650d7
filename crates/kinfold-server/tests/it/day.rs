//! Twenty-four hours of a whole server by a clock that does not wait: every kind of trigger, runs longer than their
//! intervals, failures, a store and inputs that do not always answer, a crash, a pause, and the night on which the
//! clock is set back. Every due time is accounted for, counted by looking at every minute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::{America::New_York, Europe::Berlin};
use kinfold_project::Overlap;
use kinfold_server::ports::Clock;
use kinfold_server::schedule::IncidentEvent;
use kinfold_server::serve::Handle;
use kinfold_server::{Cause, Fate, Job, Outcome, Record};
use tokio_util::sync::CancellationToken;

use crate::oracle::cron_is_due;
use crate::support::{build, cron, every, on_inputs, sync, time};
use crate::world::{FakeInputs, FakeStore, Seen, World, lock, number};

const START: &str = "2026-10-24T12:00:00Z";
const PAUSED: (&str, &str) = ("2026-10-24T18:04:30Z", "2026-10-24T20:00:30Z");
/// The server dies in Berlin's second half past two, and is back after eighty minutes.
const DOWN: (&str, &str) = ("2026-10-25T01:29:30Z", "2026-10-25T02:49:30Z");
const END: &str = "2026-10-25T12:00:10Z";

type DueAt = fn(DateTime<Utc>) -> bool;

fn divides(now: DateTime<Utc>, minutes: i64) -> bool {
    now.timestamp() % (60 * minutes) == 0
}

/// The jobs, and for those with a schedule whether a minute is due.
fn jobs() -> Vec<(Job, Option<DueAt>)> {
    let skip = Job {
        overlap: Overlap::Skip,
        ..sync("skips", every(5))
    };
    vec![
        (
            build("nightly", cron("0 1 * * *", "UTC"), &["by_hand", "often"]),
            Some(|now| cron_is_due(60, Some(1), chrono_tz::UTC, now)),
        ),
        (
            build("hourly", cron("0 * * * *", "Europe/Berlin"), &[]),
            Some(|now| cron_is_due(60, None, Berlin, now)),
        ),
        (
            sync("half_past_two", cron("30 2 * * *", "Europe/Berlin")),
            Some(|now| {
                cron_is_due(30, Some(2), Berlin, now) && !cron_is_due(60, Some(2), Berlin, now)
            }),
        ),
        (
            sync("quarters", cron("*/15 6 * * *", "America/New_York")),
            Some(|now| cron_is_due(15, Some(6), New_York, now)),
        ),
        (sync("often", every(10)), Some(|now| divides(now, 10))),
        (skip, Some(|now| divides(now, 5))),
        (sync("paused", every(7)), Some(|now| divides(now, 7))),
        (sync("fresh", on_inputs(Some(10), Some(180))), None),
        (sync("by_hand", None), None),
    ]
}

fn lengths(seed: u64) -> impl Fn(&str, u64) -> (Duration, Outcome) + Send + Sync {
    move |job, run| {
        let place = [3, run, u64::try_from(job.len()).unwrap()];
        let drawn = number(seed, &place);
        let seconds = match drawn % 5 {
            0 => 20 * 60 + drawn % 600,
            1 | 2 => 120 + drawn % 300,
            _ => 5 + drawn % 40,
        };
        let outcome = match (drawn >> 16) % 7 {
            0 | 1 => Outcome::Failed,
            2 if job != "nightly" => Outcome::Held,
            _ => Outcome::Succeeded,
        };
        (Duration::from_secs(seconds), outcome)
    }
}

fn world(seed: u64) -> World {
    let jobs = jobs().into_iter().map(|(job, _)| job).collect();
    let mut world = World::new(time(START), jobs, lengths(seed));
    let changes: Vec<_> = (0..40)
        .map(|n| {
            let second = number(seed, &[4, n]) % (23 * 3600);
            time(START) + TimeDelta::seconds(i64::try_from(second).unwrap())
        })
        .collect();
    world.inputs = Arc::new(FakeInputs {
        changes: [("fresh".to_owned(), changes)].into(),
        clock: Some(world.clock.clone()),
        seed,
    });
    world.store = Arc::new(FakeStore {
        seed,
        one_fails_of: 30,
        ..FakeStore::default()
    });
    world.max_running = 6;
    world.records_per_job = KEPT;
    world
}

/// So many records of a job are kept, and they are read before there are more.
const KEPT: usize = 100;

/// The records of every job, read bit by bit as they are made.
#[derive(Default)]
struct Collected(BTreeMap<String, Vec<Record>>);

impl Collected {
    /// Lets time pass and reads what comes of it.
    async fn until(&mut self, end: &str, world: &World, handle: &Handle) {
        let end = time(end);
        loop {
            let next = end.min(world.clock.now() + TimeDelta::minutes(20));
            world.clock.sleep_until(next).await;
            for status in handle.jobs().unwrap() {
                let known = self.0.entry(status.name.clone()).or_default();
                let settled = usize::try_from(status.totals.settled()).unwrap();
                let new = settled.checked_sub(known.len()).unwrap();
                assert!(new <= KEPT, "{}: {new} at once", status.name);
                let newest = handle.records(&status.name, None, new).unwrap();
                assert_eq!(newest.records.len(), new);
                known.extend(newest.records);
            }
            if next == end {
                return;
            }
        }
    }
}

async fn a_day(seed: u64) -> (World, Handle, Collected) {
    let world = world(seed);
    let mut collected = Collected::default();
    let server = world.server("first");
    let handle = server.handle();
    let first = tokio::spawn(server.run(CancellationToken::new()));
    world
        .clock
        .sleep_until(time(START) + TimeDelta::minutes(1))
        .await;
    collected.until(PAUSED.0, &world, &handle).await;
    handle.pause("paused").await.unwrap();
    handle.run_now("by_hand").await.unwrap();
    collected.until(PAUSED.1, &world, &handle).await;
    handle.resume("paused").await.unwrap();
    collected
        .until("2026-10-25T01:20:30Z", &world, &handle)
        .await;
    world.clock.sleep_until(time(DOWN.0)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    world.clock.sleep_until(time(DOWN.1)).await;
    let server = world.server("second");
    let handle = server.handle();
    // Leads until the runtime of the test ends.
    drop(tokio::spawn(server.run(CancellationToken::new())));
    world
        .clock
        .sleep_until(time(DOWN.1) + TimeDelta::minutes(1))
        .await;
    collected.until(END, &world, &handle).await;
    (world, handle, collected)
}

struct Day<'d> {
    job: &'d str,
    records: Vec<Record>,
    in_flight: u64,
    runs: BTreeMap<u64, &'d Seen>,
}

impl Day<'_> {
    fn due_by_schedule(&self) -> BTreeSet<DateTime<Utc>> {
        let scheduled = self.records.iter().filter(|r| r.cause == Cause::Schedule);
        let due: Vec<_> = scheduled.map(|record| record.due).collect();
        let once: BTreeSet<_> = due.iter().copied().collect();
        assert_eq!(
            once.len(),
            due.len(),
            "{}: a due time has two records",
            self.job
        );
        once
    }

    fn all(&self, fate: impl Fn(&Fate) -> bool) -> BTreeSet<DateTime<Utc>> {
        let matching = self.records.iter().filter(|record| fate(&record.fate));
        matching.map(|record| record.due).collect()
    }

    /// Every due time of the schedule has one record, or is in flight at the end.
    fn is_complete(&self, due_at: DueAt) {
        let mut expected = BTreeSet::new();
        let mut minute = time(START) + TimeDelta::minutes(1);
        while minute <= time(END) {
            if due_at(minute) {
                expected.insert(minute);
            }
            minute += TimeDelta::minutes(1);
        }
        let found = self.due_by_schedule();
        let strange: Vec<_> = found.difference(&expected).collect();
        assert!(
            strange.is_empty(),
            "{}: was not due at {strange:?}",
            self.job
        );
        let open: Vec<_> = expected.difference(&found).collect();
        assert!(
            u64::try_from(open.len()).unwrap() <= self.in_flight,
            "{}: no record of {open:?}",
            self.job
        );
        let within = |(from, to): (&str, &str)| -> BTreeSet<DateTime<Utc>> {
            let (from, to) = (time(from), time(to));
            expected
                .iter()
                .filter(|at| (from..to).contains(*at))
                .copied()
                .collect()
        };
        let missed = self.all(|fate| matches!(fate, Fate::Missed { .. }));
        let missed: BTreeSet<_> = missed.intersection(&expected).copied().collect();
        // What waited for its turn when the server died was missed too.
        let early: Vec<_> = missed.iter().filter(|at| **at < time(DOWN.0)).collect();
        assert!(
            early
                .iter()
                .all(|at| **at > time(DOWN.0) - TimeDelta::hours(1)),
            "{}: {early:?}",
            self.job
        );
        let late: BTreeSet<_> = missed
            .iter()
            .filter(|at| **at >= time(DOWN.0))
            .copied()
            .collect();
        assert_eq!(late, within(DOWN), "{}", self.job);
        let paused = self.all(|fate| *fate == Fate::Paused);
        if self.job == "paused" {
            let waited: Vec<_> = paused.iter().filter(|at| **at < time(PAUSED.0)).collect();
            assert!(waited.len() <= 8, "{waited:?}");
            let during: BTreeSet<_> = paused
                .iter()
                .filter(|at| **at >= time(PAUSED.0))
                .copied()
                .collect();
            assert_eq!(during, within(PAUSED));
        } else {
            assert!(paused.is_empty(), "{} was never paused", self.job);
        }
    }

    /// Every run has one record that says what the runner said, and records name no other runs.
    fn agrees_with_the_runner(&self) {
        let mut runs = self.runs.clone();
        for record in &self.records {
            let named = match &record.fate {
                Fate::Ran(ran) => {
                    let seen = runs.remove(&ran.run);
                    let Some(seen) = seen else {
                        // It was to begin when the server died, or has a second record.
                        assert_eq!(ran.result.outcome, Outcome::Interrupted, "{record:?}");
                        continue;
                    };
                    match seen.ended {
                        Some((ended, outcome)) => {
                            assert_eq!((ran.ended, ran.result.outcome), (ended, outcome));
                            assert_eq!(ran.result.run_id, Some(format!("engine-{}", ran.run)));
                        }
                        None => assert_eq!(ran.result.outcome, Outcome::Interrupted),
                    }
                    assert!(ran.started <= seen.started && record.due <= ran.started);
                    continue;
                }
                Fate::Coalesced { run } => *run,
                Fate::Skipped { run } => {
                    assert_eq!(self.job, "skips");
                    *run
                }
                Fate::Missed { caught_up_by } => caught_up_by.unwrap(),
                Fate::Paused => continue,
            };
            let seen = self.runs.get(&named);
            let interrupted = |record: &Record| matches!(&record.fate, Fate::Ran(ran) if ran.run == named && ran.result.outcome == Outcome::Interrupted);
            assert!(
                seen.is_some() || self.records.iter().any(interrupted),
                "{}: {record:?} names a run that never was",
                self.job
            );
            if let (Fate::Coalesced { .. }, Some(seen)) = (&record.fate, seen) {
                assert!(record.due <= seen.started, "{}: {record:?}", self.job);
            }
            if let (Fate::Skipped { .. }, Some(seen)) = (&record.fate, seen) {
                assert!(
                    seen.ended.is_none_or(|(at, _)| record.due <= at),
                    "{record:?}"
                );
            }
        }
        let open: Vec<_> = runs.values().filter(|seen| seen.ended.is_some()).collect();
        assert!(open.is_empty(), "{}: no record of {open:?}", self.job);
        assert!(
            runs.len() <= 1,
            "{}: {runs:?} are under way at once",
            self.job
        );
    }

    /// Messages as the runs of the job want them: after two failures in a row or a guard, and after the next success.
    fn alerts(&self) -> Vec<(IncidentEvent, u64)> {
        let (mut failures, mut open, mut told) = (0, false, vec![]);
        for record in &self.records {
            let Fate::Ran(ran) = &record.fate else {
                continue;
            };
            match ran.result.outcome {
                Outcome::Interrupted => {}
                Outcome::Succeeded => {
                    if std::mem::take(&mut open) {
                        told.push((IncidentEvent::Recovered, ran.run));
                    }
                    failures = 0;
                }
                outcome @ (Outcome::Failed | Outcome::Held) => {
                    failures += 1;
                    if !open && (failures >= 2 || outcome == Outcome::Held) {
                        open = true;
                        told.push((IncidentEvent::Opened, ran.run));
                    }
                }
            }
        }
        told
    }
}

/// How often a run began while so many others were under way.
fn at_most_at_once(seen: &[Seen]) -> usize {
    let under_way = |at: DateTime<Utc>| {
        let busy = |run: &&Seen| {
            // What the crash cut off ended then.
            let cut = if run.started < time(DOWN.0) {
                time(DOWN.0)
            } else {
                time(END)
            };
            run.started <= at && run.ended.map_or(cut, |(end, _)| end) > at
        };
        seen.iter().filter(busy).count()
    };
    seen.iter()
        .map(|run| under_way(run.started))
        .max()
        .unwrap_or(0)
}

#[tokio::test]
async fn every_interval_of_a_day_is_accounted_for() {
    for seed in 1..=2 {
        println_seed(seed);
        let (world, handle, mut collected) = a_day(seed).await;
        let seen = world.seen();
        let told = lock(&world.alerts.told).clone();
        assert!(at_most_at_once(&seen) <= 6, "seed {seed}");
        let mut fates: BTreeMap<&str, u64> = BTreeMap::new();
        for (job, due_at) in jobs() {
            let status = handle.job(&job.name).unwrap();
            let records = collected.0.remove(&job.name).unwrap();
            let day = Day {
                job: &job.name,
                records,
                in_flight: status.in_flight,
                runs: seen
                    .iter()
                    .filter(|s| s.job == job.name)
                    .map(|s| (s.run, s))
                    .collect(),
            };
            assert_eq!(
                status.totals.due,
                status.totals.settled() + status.in_flight
            );
            assert_eq!(
                status.totals.settled(),
                u64::try_from(day.records.len()).unwrap(),
                "{}",
                job.name
            );
            if let Some(due_at) = due_at {
                day.is_complete(due_at);
            }
            day.agrees_with_the_runner();
            let mine: Vec<_> = told
                .iter()
                .filter(|message| message.job == job.name)
                .map(|message| (message.event, message.run))
                .collect();
            assert_eq!(mine, day.alerts(), "seed {seed}, {}", job.name);
            for (fate, count) in status.totals.by_fate() {
                *fates.entry(fate).or_default() += count;
            }
            if job.name == "half_past_two" {
                assert_eq!(
                    day.due_by_schedule().len(),
                    1,
                    "twice on the clock, due once"
                );
            }
            if job.name == "fresh" {
                let last = world.inputs.changes["fresh"].iter().max().unwrap();
                let after = day.runs.values().any(|run| run.started >= *last);
                assert!(after, "the last change was never looked at");
            }
        }
        assert!(
            fates.values().all(|count| *count > 0),
            "seed {seed} is too tame: {fates:?}"
        );
    }
}

/// Shown only if the test fails.
#[expect(clippy::print_stdout, reason = "the seed of a failure")]
fn println_seed(seed: u64) {
    println!("seed {seed}");
}
