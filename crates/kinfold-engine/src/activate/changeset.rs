//! From classified rows to chunks, counts and examples.

use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use kinfold_lake::Lake;
use kinfold_project::Sync;
use kinfold_sync::CancelToken;
use serde::{Deserialize, Serialize};

use super::compare::{Class, Classified, Row};
use super::guard::{self, Extent, Held};
use super::lines::{Chunk, ChunkWriter, hex};
use super::mask;
use super::plan::{Counts, PlanLine};
use super::report::Example;
use crate::EngineError;

/// Examples of each operation that a dry run shows.
const EXAMPLES: usize = 5;

/// Rows by class.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    acknowledged: u64,
    unchanged: u64,
    settled: u64,
    adds: u64,
    updates: u64,
    leaving: u64,
    /// Rows of the model that cannot be sent; all copies of a key count.
    pub(super) invalid: u64,
}

impl Tally {
    fn count(&mut self, row: &Row<'_>) {
        self.acknowledged += u64::from(row.acknowledged);
        match row.class {
            Class::Add => self.adds += 1,
            Class::Update => self.updates += 1,
            Class::Remove | Class::Clear => self.leaving += 1,
            Class::Unchanged => self.unchanged += 1,
            Class::Settle => self.settled += 1,
            Class::Keep | Class::Forget => {}
            Class::NullKey | Class::DuplicateKey | Class::NoForm => self.invalid += row.copies,
        }
    }

    fn extent(&self) -> Extent {
        let sending = self.adds + self.updates;
        Extent {
            acknowledged: self.acknowledged,
            present: sending + self.unchanged + self.settled,
            sending,
            leaving: self.leaving,
        }
    }

    /// What the guards of the sync keep back of it.
    pub(super) fn held(&self, sync: &Sync) -> Held {
        guard::held(&sync.guards, self.extent())
    }

    pub(super) fn counts(&self, held: &Held) -> Counts {
        let all = self.adds + self.updates + self.leaving;
        let (kept, because) = match held {
            Held::Nothing => (0, None),
            Held::Leaving(why) => (self.leaving, Some(why.clone())),
            Held::Everything(why) => (all, Some(why.clone())),
        };
        Counts {
            sending: all - kept,
            held: kept,
            invalid: self.invalid,
            unchanged: self.unchanged + self.settled,
            adds: self.adds,
            updates: self.updates,
            removals: self.leaving,
            held_because: because,
        }
    }
}

/// A key that cannot be sent, as it stands in a chunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct InvalidLine {
    pub(super) key: Option<String>,
    pub(super) reason: String,
    pub(super) rows: u64,
}

/// The chunks of a changeset.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    pub(super) leaving: Vec<Chunk>,
    pub(super) sending: Vec<Chunk>,
    pub(super) notes: Vec<Chunk>,
    pub(super) invalid: Vec<Chunk>,
}

/// Writes the changes as chunks whose names start with `prefix`.
pub(super) async fn write(
    lake: &Lake,
    prefix: &str,
    mut classified: SendableRecordBatchStream,
    cancel: &CancelToken,
) -> Result<(Tally, Chunks), EngineError> {
    let writer = |kind: &str| ChunkWriter::new(lake, format!("{prefix}{kind}-"));
    let (mut leaving, mut sending) = (writer("leave"), writer("send"));
    let (mut notes, mut invalid) = (writer("note"), writer("invalid"));
    let mut tally = Tally::default();
    while let Some(batch) = classified.try_next().await? {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let rows = Classified::new(&batch)?;
        for row in rows.rows() {
            let row = row?;
            tally.count(&row);
            match row.class {
                Class::Unchanged | Class::Keep => {}
                Class::Add => sending.push(&line("add", &row)).await?,
                Class::Update => sending.push(&line("update", &row)).await?,
                Class::Remove => leaving.push(&line("remove", &row)).await?,
                Class::Clear => leaving.push(&line("clear", &row)).await?,
                Class::Settle => notes.push(&line("settle", &row)).await?,
                Class::Forget => notes.push(&line("forget", &row)).await?,
                Class::NullKey | Class::DuplicateKey | Class::NoForm => {
                    let line = InvalidLine {
                        key: row.key.map(ToOwned::to_owned),
                        reason: row.class.invalid_reason().unwrap_or_default().to_owned(),
                        rows: row.copies,
                    };
                    invalid.push(&line).await?;
                }
            }
        }
    }
    let chunks = Chunks {
        leaving: leaving.finish().await?,
        sending: sending.finish().await?,
        notes: notes.finish().await?,
        invalid: invalid.finish().await?,
    };
    Ok((tally, chunks))
}

fn line(operation: &str, row: &Row<'_>) -> PlanLine {
    let sent = matches!(row.class, Class::Add | Class::Update);
    PlanLine {
        operation: operation.to_owned(),
        key: row.key.unwrap_or_default().to_owned(),
        payload: row.payload.filter(|_| sent).map(ToOwned::to_owned),
        hash: row.hash.filter(|_| sent).map(hex),
    }
}

/// Counts the changes and takes the first few of each kind, masked. Writes nothing.
pub(super) async fn look(
    mut classified: SendableRecordBatchStream,
    fields: &[String],
    cancel: &CancelToken,
) -> Result<(Tally, Vec<Example>), EngineError> {
    let mut tally = Tally::default();
    let mut examples: Vec<Example> = vec![];
    while let Some(batch) = classified.try_next().await? {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let rows = Classified::new(&batch)?;
        for row in rows.rows() {
            let row = row?;
            tally.count(&row);
            let operation = match row.class {
                Class::Add => "add",
                Class::Update => "update",
                Class::Remove => "remove",
                Class::Clear => "clear",
                _ => continue,
            };
            if examples.iter().filter(|e| e.operation == operation).count() < EXAMPLES {
                examples.extend(mask::example(operation, &row, fields));
            }
        }
    }
    examples.sort_by_key(|example| example.operation);
    Ok((tally, examples))
}
