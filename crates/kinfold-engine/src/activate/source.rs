//! The plan as the delivery reads it.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use datafusion::arrow::array::Array;
use kinfold_lake::Lake;
use kinfold_sync::{Change, ChangeSource, ObjectText, Operation, OutstandingJob, SourceError};

use super::ActivateError;
use super::acknowledge::{Job, Outcomes, Positions};
use super::chunk::{Chunk, ChunkRows};
use super::plan::{Plan, operation_of};

/// The changes of a plan that have no outcome yet, one chunk in memory at a time.
pub(super) struct PlanSource {
    lake: Lake,
    chunks: VecDeque<Chunk>,
    /// What a `clear` sends.
    cleared: ObjectText,
    recorded: Positions,
    /// Batches that the destination works on.
    jobs: Vec<Job>,
    in_jobs: Positions,
    /// Position of the next row that is read.
    seq: u64,
    /// Changes that were not returned yet, those of later chunks included.
    left: u64,
    /// The chunk in memory, and its next row.
    open: Option<(ChunkRows, usize)>,
}

impl PlanSource {
    pub(super) fn new(lake: &Lake, plan: &Plan, outcomes: &Outcomes) -> Self {
        let known = outcomes.recorded.count() + outcomes.in_jobs.count();
        Self {
            lake: lake.clone(),
            chunks: plan.changes.iter().cloned().collect(),
            cleared: ObjectText::new(plan.cleared.as_str()).unwrap_or_else(ObjectText::empty),
            left: plan.rows().saturating_sub(known),
            recorded: outcomes.recorded.clone(),
            jobs: outcomes.jobs.clone(),
            in_jobs: outcomes.in_jobs.clone(),
            seq: 0,
            open: None,
        }
    }

    /// Opens the next chunk that has rows without an outcome; false if there is none.
    async fn open_next(&mut self) -> Result<bool, SourceError> {
        while let Some(chunk) = self.chunks.pop_front() {
            let end = self.seq + chunk.rows;
            if (self.seq..end).all(|seq| self.is_known(seq)) {
                self.seq = end;
                continue;
            }
            let rows = chunk.read(&self.lake).await.map_err(SourceError::new)?;
            self.open = Some((rows, 0));
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a row has an outcome, or is part of a job that will give it one.
    fn is_known(&self, seq: u64) -> bool {
        self.recorded.contains(seq) || self.in_jobs.contains(seq)
    }

    fn change(&self, rows: &ChunkRows, row: usize, seq: u64) -> Option<Change> {
        let operation = operation_of(rows.operation.value(row))?;
        let (fields, payload_hash) = match operation {
            Operation::Add | Operation::Update => {
                let text = rows
                    .payload
                    .is_valid(row)
                    .then(|| rows.payload.value(row))?;
                (ObjectText::new(text)?, rows.hash(row)?)
            }
            Operation::Remove => (ObjectText::empty(), [0; 16]),
            Operation::Clear => (self.cleared.clone(), [0; 16]),
        };
        Some(Change {
            seq,
            operation,
            key: ObjectText::new(rows.key.value(row))?,
            fields,
            payload_hash,
            previous: kinfold_sync::Previous::default(),
        })
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
            let Some((rows, mut row)) = self.open.take() else {
                if self.open_next().await? {
                    continue;
                }
                break;
            };
            while row < rows.len() && page.len() < max {
                if !self.is_known(self.seq) {
                    let change = self.change(&rows, row, self.seq);
                    page.push(change.ok_or_else(not_a_change)?);
                }
                self.seq += 1;
                row += 1;
            }
            if row < rows.len() {
                self.open = Some((rows, row));
            }
        }
        self.left = self.left.saturating_sub(page.len() as u64);
        Ok(page)
    }

    async fn outstanding(&mut self) -> Result<Vec<OutstandingJob>, SourceError> {
        let mut changes: HashMap<u64, Change> = HashMap::new();
        let mut first = 0;
        for chunk in self.chunks.clone() {
            let end = first + chunk.rows;
            if (first..end).any(|seq| self.in_jobs.contains(seq)) {
                let rows = chunk.read(&self.lake).await.map_err(SourceError::new)?;
                for (row, seq) in (first..end).enumerate() {
                    if self.in_jobs.contains(seq) {
                        let change = self.change(&rows, row, seq).ok_or_else(not_a_change)?;
                        changes.insert(seq, change);
                    }
                }
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
