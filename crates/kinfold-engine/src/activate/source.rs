//! The plan as the delivery reads it.

use std::collections::VecDeque;

use async_trait::async_trait;
use kinfold_lake::Lake;
use kinfold_sync::{Change, ChangeSource, Operation, SourceError};
use serde_json::{Map, Value};

use super::ActivateError;
use super::acknowledge::Recorded;
use super::canonical::parse_object;
use super::lines::{self, Chunk, unhex};
use super::plan::{Plan, PlanLine, operation_of};

/// The changes of a plan that have no outcome yet, one chunk in memory at a time.
pub(super) struct PlanSource {
    lake: Lake,
    chunks: VecDeque<Chunk>,
    fields: Vec<String>,
    recorded: Recorded,
    /// Position of the next line that is read.
    seq: u64,
    /// Changes that were not returned yet, those of later chunks included.
    left: u64,
    buffer: VecDeque<Change>,
}

impl PlanSource {
    pub(super) fn new(lake: &Lake, plan: &Plan, recorded: Recorded) -> Self {
        let rows: u64 = plan.changes.iter().map(|chunk| chunk.rows).sum();
        Self {
            lake: lake.clone(),
            chunks: plan.changes.iter().cloned().collect(),
            fields: plan.fields.clone(),
            left: rows.saturating_sub(recorded.rows),
            recorded,
            seq: 0,
            buffer: VecDeque::new(),
        }
    }

    async fn fill(&mut self, chunk: &Chunk) -> Result<(), SourceError> {
        let first = self.seq;
        self.seq += chunk.rows;
        if (first..self.seq).all(|seq| self.recorded.positions.contains(seq)) {
            return Ok(());
        }
        let lines: Vec<PlanLine> = lines::read(&self.lake, &chunk.name)
            .await
            .map_err(SourceError::new)?;
        let unreadable = |reason| {
            SourceError::new(ActivateError::Stored {
                object: chunk.name.clone(),
                reason,
            })
        };
        if lines.len() as u64 != chunk.rows {
            return Err(unreadable("it does not have the rows that the plan says"));
        }
        for (seq, line) in (first..).zip(lines) {
            if !self.recorded.positions.contains(seq) {
                let change = change(seq, line, &self.fields);
                self.buffer
                    .push_back(change.ok_or_else(|| unreadable("a line is not a change"))?);
            }
        }
        Ok(())
    }
}

fn change(seq: u64, line: PlanLine, fields: &[String]) -> Option<Change> {
    let operation = operation_of(&line.operation)?;
    let (fields, payload_hash) = match operation {
        Operation::Add | Operation::Update => (parse_object(&line.payload?)?, unhex(&line.hash?)?),
        Operation::Remove => (Map::new(), [0; 16]),
        Operation::Clear => (
            fields
                .iter()
                .map(|field| (field.clone(), Value::Null))
                .collect(),
            [0; 16],
        ),
    };
    Some(Change {
        seq,
        key: parse_object(&line.key)?,
        key_text: line.key,
        operation,
        fields,
        payload_hash,
    })
}

#[async_trait]
impl ChangeSource for PlanSource {
    async fn next(&mut self, max: usize) -> Result<Vec<Change>, SourceError> {
        while self.buffer.is_empty() {
            let Some(chunk) = self.chunks.pop_front() else {
                return Ok(vec![]);
            };
            self.fill(&chunk).await?;
        }
        let end = max.min(self.buffer.len());
        let page: Vec<Change> = self.buffer.drain(..end).collect();
        self.left = self.left.saturating_sub(page.len() as u64);
        Ok(page)
    }

    async fn remaining(&mut self) -> Result<u64, SourceError> {
        Ok(self.left)
    }
}
