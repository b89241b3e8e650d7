//! Everything around a server, in memory: a clock that does not wait, a store, a lease, and a runner whose runs
//! take as long and end as a seed says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use kinfold_server::ports::{
    Alerts, Clock, Held, Inputs, Lease, PortError, Runner, Saved, StateStore, Stored,
};
use kinfold_server::schedule::{Limits, Receiver};
use kinfold_server::serve::Ports;
use kinfold_server::{Job, Message, Outcome, Rows, RunEnded, ServeOptions, Server};
use tokio_util::sync::CancellationToken;

/// So many times the earliest sleeper lets everything else run before it moves the time forward.
const PATIENCE: u32 = 16;

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Sleepers {
    now: DateTime<Utc>,
    next: u64,
    asleep: BTreeSet<(DateTime<Utc>, u64)>,
}

/// A clock whose time goes on when everything waits: the earliest sleeper wakes first, at once. Copies share
/// their time. For tasks of one thread.
#[derive(Clone)]
pub struct FakeClock(Arc<Mutex<Sleepers>>);

impl FakeClock {
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Sleepers {
            now,
            next: 0,
            asleep: BTreeSet::new(),
        })))
    }
}

struct Asleep {
    clock: FakeClock,
    entry: (DateTime<Utc>, u64),
}

impl Drop for Asleep {
    fn drop(&mut self) {
        lock(&self.clock.0).asleep.remove(&self.entry);
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> DateTime<Utc> {
        lock(&self.0).now
    }

    async fn sleep_until(&self, time: DateTime<Utc>) {
        let asleep = {
            let mut sleepers = lock(&self.0);
            let entry = (time, sleepers.next);
            sleepers.next += 1;
            sleepers.asleep.insert(entry);
            Asleep {
                clock: self.clone(),
                entry,
            }
        };
        let mut idle = 0;
        loop {
            {
                let mut sleepers = lock(&self.0);
                if sleepers.now >= time {
                    return;
                }
                if sleepers.asleep.first() == Some(&asleep.entry) {
                    idle += 1;
                    if idle > PATIENCE {
                        sleepers.now = time;
                        return;
                    }
                } else {
                    idle = 0;
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Numbers that look random and are the same for the same seed and place.
pub fn number(seed: u64, place: &[u64]) -> u64 {
    place
        .iter()
        .fold(seed ^ 0x9e37_79b9_7f4a_7c15, |sum, part| {
            let mixed = (sum ^ part.wrapping_mul(0xbf58_476d_1ce4_e5b9))
                .wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 29)
        })
}

/// A run as the runner saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub job: String,
    pub run: u64,
    pub started: DateTime<Utc>,
    pub ended: Option<(DateTime<Utc>, Outcome)>,
}

type Length = dyn Fn(&str, u64) -> (Duration, Outcome) + Send + Sync;

pub struct FakeRunner {
    clock: Arc<dyn Clock>,
    length: Box<Length>,
    pub seen: Mutex<Vec<Seen>>,
}

#[async_trait]
impl Runner for FakeRunner {
    async fn run(&self, job: &Job, run: u64, cancel: CancellationToken) -> RunEnded {
        let at = {
            let mut seen = lock(&self.seen);
            seen.push(Seen {
                job: job.name.clone(),
                run,
                started: self.clock.now(),
                ended: None,
            });
            seen.len() - 1
        };
        let (length, outcome) = (self.length)(&job.name, run);
        assert!(length > Duration::ZERO, "told to break off");
        let end = self.clock.now() + TimeDelta::from_std(length).unwrap();
        let outcome = tokio::select! {
            () = self.clock.sleep_until(end) => outcome,
            () = cancel.cancelled() => Outcome::Failed,
        };
        lock(&self.seen)[at].ended = Some((self.clock.now(), outcome));
        RunEnded {
            run_id: Some(format!("engine-{run}")),
            rows: Some(Rows {
                planned: 10,
                delivered: 9,
                rejected: 1,
                ..Rows::default()
            }),
            ..RunEnded::bare(outcome, None)
        }
    }
}

/// Versions that change at given times.
#[derive(Default)]
pub struct FakeInputs {
    pub changes: BTreeMap<String, Vec<DateTime<Utc>>>,
    pub clock: Option<FakeClock>,
    pub seed: u64,
}

#[async_trait]
impl Inputs for FakeInputs {
    async fn version(&self, job: &Job) -> Result<String, PortError> {
        let now = self.clock.as_ref().unwrap().now();
        let second = u64::try_from(now.timestamp()).unwrap();
        if number(self.seed, &[1, second]).is_multiple_of(10) {
            return Err(PortError::new("the lake does not answer"));
        }
        let changes = self.changes.get(&job.name).map_or(&[][..], Vec::as_slice);
        let past = changes.iter().filter(|at| **at <= now).count();
        Ok(format!("v{past}"))
    }
}

/// One document, with faults of every third kind: none, before storing, after storing.
#[derive(Default)]
pub struct FakeStore {
    pub stored: Mutex<Option<(Vec<u8>, u64)>>,
    pub seed: u64,
    /// Of so many calls one fails; 0 for never.
    pub one_fails_of: u64,
    pub calls: Mutex<u64>,
    pub down: Mutex<bool>,
}

impl FakeStore {
    /// Which fault the call meets: 0 for none.
    fn fault(&self) -> u64 {
        let mut calls = lock(&self.calls);
        *calls += 1;
        if *lock(&self.down) {
            return 1;
        }
        if self.one_fails_of == 0 {
            return 0;
        }
        match number(self.seed, &[2, *calls]) % (2 * self.one_fails_of) {
            fault @ (1 | 2) => fault,
            _ => 0,
        }
    }

    /// Another server writes.
    pub fn overwrite(&self, bytes: &[u8]) {
        let mut stored = lock(&self.stored);
        let tag = stored.as_ref().map_or(1, |(_, tag)| tag + 1);
        *stored = Some((bytes.to_vec(), tag));
    }
}

#[async_trait]
impl StateStore for FakeStore {
    async fn load(&self) -> Result<Option<Stored>, PortError> {
        if self.fault() != 0 {
            return Err(PortError::new("the store does not answer"));
        }
        let stored = lock(&self.stored).clone();
        Ok(stored.map(|(bytes, tag)| Stored {
            bytes,
            tag: tag.to_string(),
        }))
    }

    async fn save(&self, bytes: &[u8], replaces: Option<&str>) -> Result<Saved, PortError> {
        let fault = self.fault();
        if fault == 1 {
            return Err(PortError::new("the store does not answer"));
        }
        // A store takes a while.
        tokio::task::yield_now().await;
        let mut stored = lock(&self.stored);
        let current = stored.as_ref().map(|(_, tag)| tag.to_string());
        if current.as_deref() != replaces {
            return Ok(Saved::Conflict);
        }
        let tag = stored.as_ref().map_or(1, |(_, tag)| tag + 1);
        *stored = Some((bytes.to_vec(), tag));
        if fault == 2 {
            return Err(PortError::new(
                "the connection broke off after the document was sent",
            ));
        }
        Ok(Saved::Stored {
            tag: tag.to_string(),
        })
    }
}

/// Who has the lease, and until when.
type Holder = Option<(String, DateTime<Utc>)>;

/// The lease as all servers see it.
#[derive(Clone, Default)]
pub struct SharedLease(pub Arc<Mutex<Holder>>);

pub struct FakeLease {
    shared: SharedLease,
    name: String,
    clock: Arc<dyn Clock>,
}

impl FakeLease {
    pub fn new(shared: SharedLease, name: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared,
            name: name.to_owned(),
            clock,
        }
    }
}

#[async_trait]
impl Lease for FakeLease {
    async fn hold(&self) -> Result<Held, PortError> {
        let now = self.clock.now();
        let mut holder = lock(&self.shared.0);
        let until = now + TimeDelta::seconds(150);
        match &*holder {
            Some((name, end)) if *name != self.name && *end > now => Ok(Held::Other),
            _ => {
                *holder = Some((self.name.clone(), until));
                Ok(Held::Mine { until })
            }
        }
    }

    async fn release(&self) {
        let mut holder = lock(&self.shared.0);
        holder.take_if(|(name, _)| *name == self.name);
    }
}

/// Writes down what it is told, and loses some of it.
#[derive(Default)]
pub struct FakeAlerts {
    pub told: Mutex<Vec<Message>>,
    pub deaf: bool,
}

#[async_trait]
impl Alerts for FakeAlerts {
    async fn send(&self, message: &Message) -> Result<(), PortError> {
        lock(&self.told).push(message.clone());
        if self.deaf {
            return Err(PortError::new("nobody is there"));
        }
        Ok(())
    }
}

/// What servers share.
pub struct World {
    pub clock: FakeClock,
    pub runner: Arc<FakeRunner>,
    pub inputs: Arc<FakeInputs>,
    pub store: Arc<FakeStore>,
    pub lease: SharedLease,
    pub alerts: Arc<FakeAlerts>,
    pub jobs: Vec<Job>,
    pub max_running: usize,
    pub records_per_job: usize,
}

impl World {
    pub fn new(
        start: DateTime<Utc>,
        jobs: Vec<Job>,
        length: impl Fn(&str, u64) -> (Duration, Outcome) + Send + Sync + 'static,
    ) -> Self {
        let clock = FakeClock::at(start);
        Self {
            runner: Arc::new(FakeRunner {
                clock: Arc::new(clock.clone()),
                length: Box::new(length),
                seen: Mutex::default(),
            }),
            inputs: Arc::new(FakeInputs {
                clock: Some(clock.clone()),
                ..FakeInputs::default()
            }),
            store: Arc::default(),
            lease: SharedLease::default(),
            alerts: Arc::default(),
            clock,
            jobs,
            max_running: 4,
            records_per_job: 1000,
        }
    }

    pub fn server(&self, name: &str) -> Server {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let ports = Ports {
            runner: Arc::clone(&self.runner) as _,
            inputs: Arc::clone(&self.inputs) as _,
            store: Arc::clone(&self.store) as _,
            lease: Arc::new(FakeLease::new(self.lease.clone(), name, Arc::clone(&clock))),
            alerts: Arc::clone(&self.alerts) as _,
            clock,
        };
        let options = ServeOptions {
            limits: Limits {
                max_running: self.max_running,
                records_per_job: self.records_per_job,
                receivers: vec![Receiver {
                    key: "duty".to_owned(),
                    after_failures: 2,
                }],
            },
            poll_inputs: Duration::from_secs(60),
            renew_lease: Duration::from_secs(60),
            ..ServeOptions::new(name)
        };
        Server::new(self.jobs.clone(), ports, options)
    }

    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.runner.seen).clone()
    }
}
