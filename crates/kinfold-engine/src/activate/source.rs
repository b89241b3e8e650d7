//! The plan as the delivery reads it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, StringArray};
use kinfold_lake::Lake;
use kinfold_sync::{Change, ChangeSource, ObjectText, Operation, OutstandingJob, SourceError};
use tokio::task::JoinHandle;

use super::ActivateError;
use super::acknowledge::{Job, Outcomes, Positions};
use super::canonical::Layout;
use super::chunk::{Chunk, ChunkRows, Payloads};
use super::heads::Heads;
use super::plan::{Plan, operation_of};

/// The changes of a plan that have no outcome yet. One chunk of them is in memory, and the next one is being read.
pub(super) struct PlanSource {
    plan: Arc<Rest>,
    /// Chunks that nobody has begun to read.
    chunks: VecDeque<Chunk>,
    /// Position of the first row of the first of them.
    seq: u64,
    ahead: Option<Reading>,
    ready: VecDeque<Change>,
    /// Changes that were not returned yet, those of later chunks included.
    left: u64,
    /// Batches that the destination works on.
    jobs: Vec<Job>,
}

/// What is left of a plan.
struct Rest {
    lake: Lake,
    /// What a `clear` sends.
    cleared: ObjectText,
    recorded: Positions,
    in_jobs: Positions,
    layout: Layout,
    heads: Arc<Heads>,
}

/// A chunk that is being read; it ends with its reader.
struct Reading(JoinHandle<Result<VecDeque<Change>, SourceError>>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PlanSource {
    pub(super) fn new(lake: &Lake, plan: &Plan, outcomes: &Outcomes, heads: &Arc<Heads>) -> Self {
        let known = outcomes.recorded.count() + outcomes.in_jobs.count();
        Self {
            plan: Arc::new(Rest {
                lake: lake.clone(),
                cleared: ObjectText::new(plan.cleared.as_str()).unwrap_or_else(ObjectText::empty),
                recorded: outcomes.recorded.clone(),
                in_jobs: outcomes.in_jobs.clone(),
                layout: Layout::of(&plan.fields),
                heads: Arc::clone(heads),
            }),
            chunks: plan.changes.iter().cloned().collect(),
            seq: 0,
            ahead: None,
            ready: VecDeque::new(),
            left: plan.rows().saturating_sub(known),
            jobs: outcomes.jobs.clone(),
        }
    }

    /// Begins to read the next chunk that has rows without an outcome, if there is one.
    fn read_ahead(&mut self) {
        while let Some(chunk) = self.chunks.pop_front() {
            let first = self.seq;
            self.seq += chunk.rows;
            if (first..self.seq).any(|seq| !self.plan.is_known(seq)) {
                let plan = Arc::clone(&self.plan);
                let wanted = move |plan: &Rest, seq| !plan.is_known(seq);
                self.ahead = Some(Reading(tokio::spawn(async move {
                    plan.changes(&chunk, first, wanted).await
                })));
                return;
            }
        }
    }
}

impl Rest {
    /// Whether a row has an outcome, or is part of a job that will give it one.
    fn is_known(&self, seq: u64) -> bool {
        self.recorded.contains(seq) || self.in_jobs.contains(seq)
    }

    /// The changes of a chunk whose first row has the position `first`.
    async fn changes(
        &self,
        chunk: &Chunk,
        first: u64,
        wanted: impl Fn(&Self, u64) -> bool,
    ) -> Result<VecDeque<Change>, SourceError> {
        let rows = self.heads.rows(&self.lake, chunk).await;
        let rows = rows.map_err(SourceError::new)?;
        let payloads = chunk.payloads(&self.lake, &self.layout).await;
        let payloads = payloads.map_err(SourceError::new)?;
        let keys = Texts::of(&rows.key).ok_or_else(not_a_change)?;
        (first..)
            .zip(0..rows.len())
            .filter(|(seq, _)| wanted(self, *seq))
            .map(|(seq, row)| {
                let change = self.change(&rows, (&keys, &payloads), (row, seq));
                change.ok_or_else(not_a_change)
            })
            .collect()
    }

    fn change(
        &self,
        rows: &ChunkRows,
        (keys, payloads): (&Texts<'_>, &Payloads),
        (row, seq): (usize, u64),
    ) -> Option<Change> {
        let operation = operation_of(rows.operation.value(row))?;
        let (fields, payload_hash) = match operation {
            Operation::Add | Operation::Update => (payloads.object(row)?, rows.hash(row)?),
            Operation::Remove => (ObjectText::empty(), [0; 16]),
            Operation::Clear => (self.cleared.clone(), [0; 16]),
        };
        Some(Change {
            seq,
            operation,
            key: keys.object(row)?,
            fields,
            payload_hash,
            previous: kinfold_sync::Previous::default(),
        })
    }
}

/// The texts of a column as one text, of which rows take their part.
struct Texts<'a> {
    column: &'a StringArray,
    all: Arc<String>,
}

impl<'a> Texts<'a> {
    fn of(column: &'a StringArray) -> Option<Self> {
        let all = std::str::from_utf8(column.value_data()).ok()?;
        Some(Self {
            column,
            all: Arc::new(all.to_owned()),
        })
    }

    fn object(&self, row: usize) -> Option<ObjectText> {
        let offset = |at| usize::try_from(*self.column.value_offsets().get(at)?).ok();
        let part = offset(row)?..offset(row + 1)?;
        let known = self.column.is_valid(row);
        known
            .then(|| ObjectText::guarded(&self.all, part))
            .flatten()
    }
}

fn not_a_change() -> SourceError {
    SourceError::new(ActivateError::Stored {
        object: "a chunk of the plan".to_owned(),
        reason: "a row is not a change",
    })
}

#[async_trait]
impl ChangeSource for PlanSource {
    async fn next(&mut self, max: usize) -> Result<Vec<Change>, SourceError> {
        let mut page = vec![];
        while page.len() < max {
            if self.ready.is_empty() {
                if self.ahead.is_none() {
                    self.read_ahead();
                }
                let Some(reading) = &mut self.ahead else {
                    break;
                };
                let read = (&mut reading.0).await;
                self.ahead = None;
                self.ready = read.map_err(SourceError::new)??;
                self.read_ahead();
            }
            let count = self.ready.len().min(max - page.len());
            page.extend(self.ready.drain(..count));
        }
        self.left = self.left.saturating_sub(page.len() as u64);
        Ok(page)
    }

    async fn outstanding(&mut self) -> Result<Vec<OutstandingJob>, SourceError> {
        let mut changes: HashMap<u64, Change> = HashMap::new();
        let mut first = 0;
        for chunk in &self.chunks {
            let end = first + chunk.rows;
            let in_job = |plan: &Rest, seq| plan.in_jobs.contains(seq);
            if (first..end).any(|seq| in_job(&self.plan, seq)) {
                let of_jobs = self.plan.changes(chunk, first, in_job).await?;
                changes.extend(of_jobs.into_iter().map(|change| (change.seq, change)));
            }
            first = end;
        }
        let mut jobs = std::mem::take(&mut self.jobs);
        jobs.sort_by_key(|job| job.seqs().next());
        let jobs = jobs.iter().map(|job| {
            let rows: Option<Vec<Change>> = job.seqs().map(|seq| changes.remove(&seq)).collect();
            rows.and_then(|rows| job.outstanding(rows)).ok_or_else(|| {
                SourceError::new(ActivateError::Stored {
                    object: "a job of the plan".to_owned(),
                    reason: "it is not one of its batches",
                })
            })
        });
        jobs.collect()
    }

    async fn remaining(&mut self) -> Result<u64, SourceError> {
        Ok(self.left)
    }
}
