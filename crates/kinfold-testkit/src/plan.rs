//! Plans and acknowledgement logs in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kinfold_sync::{
    AckError, AckLog, Acknowledgement, Change, ChangeSource, ObjectText, Operation, Outcome,
    Previous, SourceError,
};
use serde_json::{Map, Value};

/// A change of the row whose key is `{"id": id}`. `fields` is an object; anything else means no fields.
#[must_use]
pub fn change(seq: u64, operation: Operation, id: &str, fields: Value) -> Change {
    let mut key = Map::new();
    key.insert("id".to_owned(), Value::from(id));
    let fields = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    Change {
        seq,
        operation,
        payload_hash: hash_of(&fields),
        key: ObjectText::from(&key),
        fields: ObjectText::from(&fields),
        previous: Previous::default(),
    }
}

/// Any hash does, as long as equal fields have equal ones.
fn hash_of(fields: &Map<String, Value>) -> [u8; 16] {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let text = Value::Object(fields.clone()).to_string();
    let mut hash = [0; 16];
    for (salt, half) in hash.chunks_exact_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        text.hash(&mut hasher);
        half.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    hash
}

/// A plan in memory.
pub struct MemorySource {
    changes: VecDeque<Change>,
    /// Fails when so many changes have been returned.
    fails_after: Option<usize>,
    returned: usize,
}

impl MemorySource {
    /// A source of these changes, in this order.
    #[must_use]
    pub fn new(changes: impl IntoIterator<Item = Change>) -> Self {
        Self {
            changes: changes.into_iter().collect(),
            fails_after: None,
            returned: 0,
        }
    }

    /// Lets the source fail once it has returned `count` changes.
    #[must_use]
    pub fn failing_after(mut self, count: usize) -> Self {
        self.fails_after = Some(count);
        self
    }
}

#[async_trait]
impl ChangeSource for MemorySource {
    async fn next(&mut self, max: usize) -> Result<Vec<Change>, SourceError> {
        tokio::task::yield_now().await;
        let mut count = max.min(self.changes.len());
        if let Some(limit) = self.fails_after {
            count = count.min(limit.saturating_sub(self.returned));
            if count == 0 {
                return Err(SourceError::new("the source was told to fail"));
            }
        }
        self.returned += count;
        Ok(self.changes.drain(..count).collect())
    }
}

#[derive(Default)]
struct LogState {
    outcomes: BTreeMap<u64, Outcome>,
    records: usize,
    fails_at: Option<usize>,
    /// Sequence numbers that were recorded as delivered or rejected, more than once.
    settled_again: Vec<u64>,
}

/// An acknowledgement log in memory. Copies share their contents, so it outlives a crashed delivery.
#[derive(Clone, Default)]
pub struct MemoryLog {
    state: Arc<Mutex<LogState>>,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the call of `record` with this number fail, from 0 on, without recording.
    pub fn fail_at(&self, call: Option<usize>) {
        self.state().fails_at = call;
    }

    /// The recorded outcomes by [`Change::seq`].
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<u64, Outcome> {
        self.state().outcomes.clone()
    }

    /// Rows whose final outcome was recorded twice: always empty if deliveries keep their promise.
    #[must_use]
    pub fn settled_again(&self) -> Vec<u64> {
        self.state().settled_again.clone()
    }

    /// The changes of a plan without a final outcome: what a resumed run delivers.
    #[must_use]
    pub fn rest_of(&self, plan: &[Change]) -> Vec<Change> {
        let state = self.state();
        plan.iter()
            .filter(|change| !state.outcomes.get(&change.seq).is_some_and(is_final))
            .cloned()
            .collect()
    }
}

fn is_final(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered | Outcome::Rejected { .. })
}

#[async_trait]
impl AckLog for MemoryLog {
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError> {
        // As with a disk, time passes before and after the outcomes become durable.
        tokio::task::yield_now().await;
        {
            let mut state = self.state();
            let call = state.records;
            state.records += 1;
            if state.fails_at == Some(call) {
                return Err(AckError::new("the log was told to fail"));
            }
            for (seq, outcome) in acknowledgements
                .iter()
                .flat_map(|acknowledgement| &acknowledgement.outcomes)
            {
                if let Some(earlier) = state.outcomes.insert(*seq, outcome.clone())
                    && is_final(&earlier)
                {
                    state.settled_again.push(*seq);
                }
            }
        }
        tokio::task::yield_now().await;
        Ok(())
    }
}
