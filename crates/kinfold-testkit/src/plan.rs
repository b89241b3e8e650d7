//! Plans and acknowledgement logs in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kinfold_sync::{
    AckError, AckLog, Acknowledgement, Change, ChangeSource, JobRecord, ObjectText, Operation,
    Outcome, OutstandingJob, Previous, SourceError,
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
    jobs: Vec<OutstandingJob>,
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
            jobs: Vec::new(),
            fails_after: None,
            returned: 0,
        }
    }

    /// A source of what `log` leaves of a plan: jobs without an end, and rows without a final outcome.
    #[must_use]
    pub fn resumed(plan: &[Change], log: &MemoryLog) -> Self {
        Self {
            jobs: log.jobs_of(plan),
            ..Self::new(log.rest_of(plan))
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
    async fn outstanding(&mut self) -> Result<Vec<OutstandingJob>, SourceError> {
        Ok(std::mem::take(&mut self.jobs))
    }

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
    /// Jobs without an end, in the order of their recording.
    jobs: Vec<JobRecord>,
    records: usize,
    fails_at: Option<usize>,
    /// Sequence numbers that were recorded as delivered or rejected, more than once.
    settled_again: Vec<u64>,
    violations: Vec<String>,
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

    /// Lets the call of `record` or `record_jobs` with this number fail, from 0 on, without recording.
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

    /// Broken promises of the delivery about jobs, in words. Always empty if it keeps them.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// The jobs without an end.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobRecord> {
        self.state().jobs.clone()
    }

    /// The jobs without an end, as a resumed run gets them back.
    #[must_use]
    pub fn jobs_of(&self, plan: &[Change]) -> Vec<OutstandingJob> {
        let outstanding = |job: JobRecord| OutstandingJob {
            changes: job
                .seqs
                .iter()
                .filter_map(|seq| plan.iter().find(|change| change.seq == *seq).cloned())
                .collect(),
            handle: job.handle,
            batch: job.batch,
            operation: job.operation,
        };
        self.jobs().into_iter().map(outstanding).collect()
    }

    /// The changes of a plan without a final outcome that are in no job: what a resumed run delivers.
    #[must_use]
    pub fn rest_of(&self, plan: &[Change]) -> Vec<Change> {
        let state = self.state();
        plan.iter()
            .filter(|change| {
                let settled = state.outcomes.get(&change.seq).is_some_and(is_final);
                !settled && !state.jobs.iter().any(|job| job.seqs.contains(&change.seq))
            })
            .cloned()
            .collect()
    }
}

impl LogState {
    /// Whether this call is to fail.
    fn fails(&mut self) -> bool {
        let call = self.records;
        self.records += 1;
        self.fails_at == Some(call)
    }

    /// Takes out the jobs that these rows end.
    fn end_jobs(&mut self, rows: &[(u64, Outcome)]) {
        let held = |job: &JobRecord, seq: &u64| job.seqs.contains(seq);
        let has_outcome = |seq: &u64| rows.iter().any(|(row, _)| row == seq);
        let ended = self
            .jobs
            .extract_if(.., |job| rows.iter().any(|(seq, _)| held(job, seq)));
        for job in ended {
            if !job.seqs.iter().all(has_outcome) {
                let text = format!("job {} is ended for a part of its rows", job.batch);
                self.violations.push(text);
            }
        }
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
            if state.fails() {
                return Err(AckError::new("the log was told to fail"));
            }
            for acknowledgement in acknowledgements {
                state.end_jobs(&acknowledgement.outcomes);
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

    fn keeps_jobs(&self) -> bool {
        true
    }

    async fn record_jobs(&mut self, jobs: &[JobRecord]) -> Result<(), AckError> {
        tokio::task::yield_now().await;
        {
            let mut state = self.state();
            if state.fails() {
                return Err(AckError::new("the log was told to fail"));
            }
            for job in jobs {
                for seq in &job.seqs {
                    let settled = state.outcomes.remove(seq).is_some_and(|o| is_final(&o));
                    if settled || state.jobs.iter().any(|job| job.seqs.contains(seq)) {
                        let text = format!("row {seq} is sent again in job {}", job.batch);
                        state.violations.push(text);
                    }
                }
                state.jobs.push(job.clone());
            }
        }
        tokio::task::yield_now().await;
        Ok(())
    }
}
