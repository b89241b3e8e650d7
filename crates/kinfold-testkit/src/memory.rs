//! A destination in memory that fails on command and watches what is done to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchId, BatchOperation, Capabilities, Destination, DestinationError, FailureClass,
    ObjectText, Outcome, SendResult,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

/// How a request to a [`MemoryDestination`] goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFault {
    /// Asked to wait; not applied.
    RateLimited,
    /// Failed; not applied.
    Transient,
    /// No connection; not applied.
    Unreachable,
    /// Applied, and no answer.
    LostAfter,
    /// Not applied, and no answer.
    LostBefore,
    /// Every second row is applied, the others are to be sent again.
    HalfRetryable,
    /// Refused for good; not applied.
    Fatal,
}

/// What a [`MemoryDestination`] does.
#[derive(Clone, Debug)]
pub struct MemoryBehaviour {
    /// Seed of faults and answering times.
    pub seed: u64,
    /// Faults with their probabilities, tried in order at every request.
    pub faults: Vec<(MemoryFault, f64)>,
    /// Keys, as text, that are refused.
    pub bad_keys: BTreeSet<String>,
    /// Whether refusals name their rows, or refuse the batch as a whole.
    pub attributes: bool,
    /// Operations that may be repeated.
    pub idempotent: Vec<BatchOperation>,
    /// Modes that are supported.
    pub modes: Vec<SyncMode>,
    /// Operations that are supported.
    pub operations: Vec<BatchOperation>,
    /// Whether its rows can be read back.
    pub reads: bool,
    /// A request takes up to so many turns of the scheduler.
    pub slowness: u32,
}

impl Default for MemoryBehaviour {
    fn default() -> Self {
        let all = vec![
            BatchOperation::Insert,
            BatchOperation::Update,
            BatchOperation::Upsert,
            BatchOperation::Delete,
        ];
        Self {
            seed: 0,
            faults: Vec::new(),
            bad_keys: BTreeSet::new(),
            attributes: false,
            idempotent: all.clone(),
            modes: vec![
                SyncMode::Insert,
                SyncMode::Update,
                SyncMode::Upsert,
                SyncMode::Mirror,
                SyncMode::Append,
            ],
            operations: all,
            reads: true,
            slowness: 8,
        }
    }
}

/// What a [`MemoryDestination`] has seen.
#[derive(Clone, Debug, Default)]
pub struct MemoryState {
    /// Its rows: key as text → fields.
    pub rows: BTreeMap<String, Map<String, Value>>,
    /// [`Change::seq`](kinfold_sync::Change::seq) of every row of every request, in order of arrival.
    pub sent: Vec<u64>,
    /// Batch of every request and its rows, in order of arrival.
    pub batches: Vec<(BatchId, Vec<u64>)>,
    /// How often each row was applied.
    pub applied: BTreeMap<u64, u32>,
    /// Most requests at a time.
    pub most_in_flight: usize,
    /// Broken promises of the sender, in words. Always empty if it keeps them.
    pub violations: Vec<String>,
    /// Whether `finish` was called.
    pub finished: bool,
    in_flight: usize,
    keys_in_flight: BTreeSet<String>,
    operations_in_flight: HashMap<BatchOperation, usize>,
    last_seq: HashMap<String, u64>,
}

/// A destination in memory.
pub struct MemoryDestination {
    behaviour: MemoryBehaviour,
    rng: Mutex<ChaCha8Rng>,
    state: Mutex<MemoryState>,
}

impl MemoryDestination {
    /// A destination with this behaviour, and no rows.
    #[must_use]
    pub fn new(behaviour: MemoryBehaviour) -> Self {
        Self {
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(behaviour.seed)),
            behaviour,
            state: Mutex::default(),
        }
    }

    /// What it has seen so far.
    #[must_use]
    pub fn state(&self) -> MemoryState {
        self.lock().clone()
    }

    /// Changes the behaviour, keeps the rows, and forgets requests in flight: their sender has crashed.
    #[must_use]
    pub fn restarted(self, behaviour: MemoryBehaviour) -> Self {
        let mut state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        state.in_flight = 0;
        state.keys_in_flight.clear();
        state.operations_in_flight.clear();
        state.last_seq.clear();
        Self {
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(behaviour.seed)),
            behaviour,
            state: Mutex::new(state),
        }
    }

    /// Gives a row other fields, or none, as if somebody else had changed it.
    pub fn alter(&self, key: &ObjectText, fields: Option<Map<String, Value>>) {
        let key = key.as_str().to_owned();
        let mut state = self.lock();
        match fields {
            Some(fields) => state.rows.insert(key, fields),
            None => state.rows.remove(&key),
        };
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) -> (Option<MemoryFault>, u32, u32) {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = self
            .behaviour
            .faults
            .iter()
            .find(|(_, probability)| rng.random_bool(probability.clamp(0.0, 1.0)))
            .map(|(fault, _)| *fault);
        let mut turns = || rng.random_range(0..=self.behaviour.slowness);
        (fault, turns(), turns())
    }

    pub(crate) fn arrive(&self, batch: &Batch) {
        let mut state = self.lock();
        let rows = batch.changes.iter().map(|change| change.seq).collect();
        state.batches.push((batch.id, rows));
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        *state
            .operations_in_flight
            .entry(batch.operation)
            .or_default() += 1;
        if state
            .operations_in_flight
            .values()
            .filter(|n| **n > 0)
            .count()
            > 1
        {
            state
                .violations
                .push("two operations are in flight together".to_owned());
        }
        for change in &batch.changes {
            state.sent.push(change.seq);
            if !state.keys_in_flight.insert(change.key.as_str().to_owned()) {
                let text = format!("key of row {} is in flight twice", change.seq);
                state.violations.push(text);
            }
            let last = state
                .last_seq
                .insert(change.key.as_str().to_owned(), change.seq);
            if last.is_some_and(|last| last > change.seq) {
                let text = format!("row {} comes after a later one of its key", change.seq);
                state.violations.push(text);
            }
        }
    }

    fn leave(&self, batch: &Batch) {
        self.answer();
        self.release(batch);
    }

    /// Something is being done to the rows of a batch, which came before a restart.
    pub(crate) fn hold(&self, batch: &Batch) {
        let mut state = self.lock();
        *state
            .operations_in_flight
            .entry(batch.operation)
            .or_default() += 1;
        for change in &batch.changes {
            state.keys_in_flight.insert(change.key.as_str().to_owned());
        }
    }

    /// A request begins that brings no rows.
    pub(crate) fn ask(&self) {
        let mut state = self.lock();
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
    }

    /// A request ends.
    pub(crate) fn answer(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
    }

    /// Nothing is done to the rows of a batch any more.
    pub(crate) fn release(&self, batch: &Batch) {
        let mut state = self.lock();
        if let Some(count) = state.operations_in_flight.get_mut(&batch.operation) {
            *count = count.saturating_sub(1);
        }
        for change in &batch.changes {
            state.keys_in_flight.remove(change.key.as_str());
        }
    }

    /// Applies the rows that `wanted` selects and says how each went.
    pub(crate) fn apply(&self, batch: &Batch, wanted: impl Fn(usize) -> bool) -> Vec<Outcome> {
        let mut state = self.lock();
        let mut outcomes = Vec::with_capacity(batch.changes.len());
        for (index, change) in batch.changes.iter().enumerate() {
            if !wanted(index) {
                outcomes.push(Outcome::Retryable {
                    class: FailureClass::Unavailable,
                    message: "later".to_owned(),
                });
                continue;
            }
            if self.behaviour.bad_keys.contains(change.key.as_str()) {
                outcomes.push(bad_row());
                continue;
            }
            let Some(fields) = change.fields.parse() else {
                outcomes.push(Outcome::Rejected {
                    class: FailureClass::InvalidRow,
                    message: "the fields cannot be read".to_owned(),
                });
                continue;
            };
            *state.applied.entry(change.seq).or_default() += 1;
            let key = change.key.as_str().to_owned();
            if batch.operation == BatchOperation::Delete {
                state.rows.remove(&key);
            } else {
                state.rows.entry(key).or_default().extend(fields);
            }
            outcomes.push(Outcome::Delivered);
        }
        outcomes
    }
}

fn bad_row() -> Outcome {
    Outcome::Rejected {
        class: FailureClass::InvalidRow,
        message: "this key is refused".to_owned(),
    }
}

pub(crate) async fn pass(turns: u32) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Destination for MemoryDestination {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            modes: self.behaviour.modes.clone(),
            operations: self.behaviour.operations.clone(),
            idempotent: self.behaviour.idempotent.clone(),
            max_rows: 1_000,
            max_bytes: 1 << 20,
            max_in_flight: 64,
            reads: self.behaviour.reads,
        }
    }

    async fn check(&self) -> Result<(), DestinationError> {
        Ok(())
    }

    async fn read(
        &self,
        keys: &[ObjectText],
    ) -> Result<Vec<Option<Map<String, Value>>>, DestinationError> {
        if !self.behaviour.reads {
            return Err(DestinationError::Unreadable);
        }
        let state = self.lock();
        Ok(keys
            .iter()
            .map(|key| state.rows.get(key.as_str()).cloned())
            .collect())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        self.arrive(batch);
        let (fault, before, after) = self.draw();
        pass(before).await;
        let lost = || SendResult::Unknown {
            class: FailureClass::ConnectionLost,
            message: "no answer".to_owned(),
        };
        let refuses = !self.behaviour.attributes
            && batch
                .changes
                .iter()
                .any(|change| self.behaviour.bad_keys.contains(change.key.as_str()));
        let result = match fault {
            Some(MemoryFault::RateLimited) => SendResult::RateLimited { retry_after: None },
            Some(MemoryFault::Transient) => SendResult::Transient {
                class: FailureClass::Unavailable,
                message: "not now".to_owned(),
            },
            Some(MemoryFault::Unreachable) => SendResult::Transient {
                class: FailureClass::Unreachable,
                message: "nobody there".to_owned(),
            },
            Some(MemoryFault::Fatal) => SendResult::Fatal {
                class: FailureClass::Unauthorized,
                message: "go away".to_owned(),
            },
            Some(MemoryFault::LostBefore) => lost(),
            _ if refuses => SendResult::Rejected {
                class: FailureClass::InvalidRow,
                message: "some row is refused".to_owned(),
            },
            Some(MemoryFault::LostAfter) => {
                self.apply(batch, |_| true);
                lost()
            }
            Some(MemoryFault::HalfRetryable) => {
                SendResult::Rows(self.apply(batch, |index| index % 2 == 0))
            }
            None => SendResult::Rows(self.apply(batch, |_| true)),
        };
        pass(after).await;
        self.leave(batch);
        result
    }

    async fn finish(&self) -> Result<(), DestinationError> {
        self.lock().finished = true;
        Ok(())
    }
}
