//! From recorded outcomes to the next state: rows that are appended to it, of which the newest of each
//! key counts. Repeating any step changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::TimeDelta;
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanBuilder, Int32Builder, Int64Array,
    StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use kinfold_lake::Lake;

use super::acknowledge::Failure;
use super::chunk::{Chunk, ChunkRows};
use super::compact;
use super::heads::Heads;
use super::plan::{Plan, Waits, shares};
use super::progress::Progress;
use super::state::{self, Place, State};
use crate::{Engine, EngineError};

/// Commits the state that the outcomes of a plan lead to, once they are all known. `recorded` is how many there are.
pub(super) async fn fold(
    engine: &Engine,
    place: &Place,
    plan: &Plan,
    (progress, heads): (&Arc<Progress>, &Arc<Heads>),
    recorded: u64,
) -> Result<(), EngineError> {
    let before = State::open(engine, place).await?;
    let changes = plan.changes_from().map(|(chunk, seq)| (chunk, Some(seq)));
    let notes = plan.notes.iter().map(|chunk| (chunk.clone(), None));
    let plan = Arc::new(plan.clone());
    let rows = shares(
        changes.chain(notes).collect(),
        engine.options.target_partitions,
    )
    .into_iter()
    .map(|chunks| {
        let position = Position {
            lake: engine.lake.clone(),
            plan: Arc::clone(&plan),
            progress: Arc::clone(progress),
            heads: Arc::clone(heads),
            chunks,
        };
        let batches = stream::try_unfold(position, |position| async move {
            let next = position.next().await;
            next.map_err(|error| DataFusionError::External(Box::new(error)))
        });
        Box::pin(RecordBatchStreamAdapter::new(state::schema(), batches))
            as SendableRecordBatchStream
    });
    // What is appended to nothing needs no rewriting.
    let base_rows = match before.rows() {
        0 => recorded + plan.notes.iter().map(|chunk| chunk.rows).sum::<u64>(),
        _ => before.base_rows(),
    };
    let note = state::note(&plan.setup, &place.app_id, plan.ordinal, base_rows);
    engine
        .lake
        .append(&place.state, state::schema(), rows.collect(), note)
        .await?;
    compact::if_due(engine, place, &plan).await
}

/// Where the reading of a plan is.
struct Position {
    lake: Lake,
    plan: Arc<Plan>,
    progress: Arc<Progress>,
    heads: Arc<Heads>,
    /// Chunks that are left, with the position of their first row if they were to be sent.
    chunks: VecDeque<(Chunk, Option<u64>)>,
}

impl Position {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>, EngineError> {
        while let Some((chunk, first)) = self.chunks.pop_front() {
            let fate = match first {
                Some(first) => Some((self.progress.fate(first).await?, first)),
                None => None,
            };
            let rows = self.heads.rows(&self.lake, &chunk).await?;
            let mut next = StateRows::new(&self.plan);
            for (row, at) in (0..rows.len()).zip(0..) {
                let Some((fate, first)) = &fate else {
                    next.confirmed(&rows, row);
                    continue;
                };
                if fate.is_recorded(first + at) {
                    match fate.failure(first + at) {
                        None => next.confirmed(&rows, row),
                        Some(failure) => next.failed(&rows, row, failure),
                    }
                }
            }
            let batch = next.finish()?;
            if batch.num_rows() > 0 {
                return Ok(Some((batch, self)));
            }
        }
        // Nothing is committed before.
        self.progress.ended().await?;
        Ok(None)
    }
}

/// When a refused row is tried again, in microseconds since 1970.
fn due(as_of: chrono::DateTime<chrono::Utc>, attempts: u32, waits: &Waits) -> i64 {
    if attempts >= waits.attempts {
        return state::NEVER;
    }
    let doubled = 1_i64
        .checked_shl(attempts.saturating_sub(1))
        .filter(|factor| *factor > 0)
        .unwrap_or(i64::MAX);
    let seconds = waits.first_seconds.saturating_mul(doubled);
    let seconds = seconds.min(waits.longest_seconds);
    TimeDelta::try_seconds(seconds)
        .and_then(|wait| as_of.checked_add_signed(wait))
        .map_or(state::NEVER, |at| at.timestamp_micros())
}

/// Rows of the state in the making.
struct StateRows<'a> {
    plan: &'a Plan,
    key_hash: BinaryBuilder,
    key_text: StringBuilder,
    status: StringBuilder,
    payload_hash: BinaryBuilder,
    row_digest: BinaryBuilder,
    ours: BooleanBuilder,
    uncertain: BooleanBuilder,
    mapping_version: StringBuilder,
    last_ack_run: StringBuilder,
    pending_hash: BinaryBuilder,
    pending_operation: StringBuilder,
    attempts: Int32Builder,
    next_try: TimestampMicrosecondBuilder,
    error_class: StringBuilder,
    error_message: StringBuilder,
    first_error_run: StringBuilder,
    count: usize,
}

impl<'a> StateRows<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            key_hash: BinaryBuilder::new(),
            key_text: StringBuilder::new(),
            status: StringBuilder::new(),
            payload_hash: BinaryBuilder::new(),
            row_digest: BinaryBuilder::new(),
            ours: BooleanBuilder::new(),
            uncertain: BooleanBuilder::new(),
            mapping_version: StringBuilder::new(),
            last_ack_run: StringBuilder::new(),
            pending_hash: BinaryBuilder::new(),
            pending_operation: StringBuilder::new(),
            attempts: Int32Builder::new(),
            next_try: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            error_class: StringBuilder::new(),
            error_message: StringBuilder::new(),
            first_error_run: StringBuilder::new(),
            count: 0,
        }
    }

    fn key(&mut self, rows: &ChunkRows, row: usize) {
        self.count += 1;
        self.key_hash.append_value(rows.key_hash.value(row));
        self.key_text.append_value(rows.key.value(row));
    }

    /// A row that was delivered, or whose note says what is known without a delivery.
    fn confirmed(&mut self, rows: &ChunkRows, row: usize) {
        self.key(rows, row);
        let operation = rows.operation.value(row);
        let gone = matches!(operation, "remove" | "clear" | "forget");
        let doubted = operation == "doubt";
        self.status.append_value(match (gone, doubted) {
            (true, _) => "gone",
            (_, true) => "unknown",
            _ => "delivered",
        });
        match operation {
            "add" | "update" | "adopt" => self.payload_hash.append_option(rows.hash(row)),
            "settle" | "doubt" => self.payload_hash.append_value(rows.confirmed.value(row)),
            _ => self.payload_hash.append_null(),
        }
        let digest = |digests: &BinaryArray| {
            let known = !gone && digests.is_valid(row);
            known.then(|| digests.value(row).to_vec())
        };
        self.row_digest.append_option(match operation {
            "doubt" => digest(&rows.confirmed_digest),
            _ => digest(&rows.digest),
        });
        let delivered = matches!(operation, "add" | "update");
        let ours = !gone && (delivered || rows.ours.value(row));
        self.ours.append_value(ours);
        self.uncertain.append_value(doubted);
        let before = rows.mapping.is_valid(row).then(|| rows.mapping.value(row));
        self.mapping_version.append_option(match operation {
            "settle" | "doubt" => before,
            _ if gone => None,
            _ => Some(self.plan.mapping.as_str()),
        });
        let run = self.plan.run_id.as_str();
        self.last_ack_run.append_option(delivered.then_some(run));
        self.pending_hash.append_null();
        self.pending_operation.append_null();
        self.attempts.append_value(0);
        self.next_try.append_null();
        self.error_class.append_null();
        self.error_message.append_null();
        self.first_error_run.append_null();
    }

    fn failed(&mut self, rows: &ChunkRows, row: usize, failure: &Failure) {
        self.key(rows, row);
        self.status.append_value(failure.outcome);
        let confirmed = &rows.confirmed;
        let confirmed = confirmed.is_valid(row).then(|| confirmed.value(row));
        self.payload_hash.append_option(confirmed);
        let digest = &rows.confirmed_digest;
        let digest = digest.is_valid(row).then(|| digest.value(row));
        self.row_digest.append_option(digest);
        self.ours.append_value(rows.ours.value(row));
        let unknown = failure.outcome == "unknown";
        self.uncertain
            .append_value(rows.uncertain.value(row) || unknown);
        let mapping = rows.mapping.is_valid(row).then(|| rows.mapping.value(row));
        self.mapping_version.append_option(mapping);
        self.last_ack_run.append_null();
        self.pending_hash.append_option(rows.hash(row));
        self.pending_operation
            .append_value(rows.operation.value(row));
        let attempts = rows.attempts.value(row).saturating_add(1);
        self.attempts
            .append_value(i32::try_from(attempts).unwrap_or(i32::MAX));
        let refused = failure.outcome == "rejected";
        self.next_try
            .append_option(refused.then(|| due(self.plan.as_of, attempts, &self.plan.waits)));
        self.error_class.append_value(&failure.class);
        self.error_message.append_option(failure.message.as_deref());
        let first = rows
            .first_error
            .is_valid(row)
            .then(|| rows.first_error.value(row));
        self.first_error_run
            .append_value(first.unwrap_or(&self.plan.run_id));
    }

    fn finish(mut self) -> Result<RecordBatch, EngineError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.key_hash.finish()),
            Arc::new(self.key_text.finish()),
            Arc::new(Int64Array::from_value(self.plan.ordinal, self.count)),
            Arc::new(self.status.finish()),
            Arc::new(self.payload_hash.finish()),
            Arc::new(self.ours.finish()),
            Arc::new(self.uncertain.finish()),
            Arc::new(self.mapping_version.finish()),
            Arc::new(self.last_ack_run.finish()),
            Arc::new(self.pending_hash.finish()),
            Arc::new(self.pending_operation.finish()),
            Arc::new(self.attempts.finish()),
            Arc::new(self.next_try.finish()),
            Arc::new(self.error_class.finish()),
            Arc::new(self.error_message.finish()),
            Arc::new(self.first_error_run.finish()),
            Arc::new(self.row_digest.finish()),
        ];
        RecordBatch::try_new(state::schema(), columns)
            .map_err(|error| EngineError::from(DataFusionError::from(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_day_and_end() {
        let as_of = chrono::DateTime::UNIX_EPOCH;
        let waits = Waits::of(&kinfold_project::RetryWaits::default());
        let hours = |attempts| due(as_of, attempts, &waits) / 3_600_000_000;
        let found: Vec<i64> = (1..10).map(hours).collect();
        assert_eq!(found, [1, 2, 4, 8, 16, 24, 24, 24, 24]);
        assert_eq!(due(as_of, 10, &waits), state::NEVER);
        assert_eq!(due(as_of, u32::MAX, &waits), state::NEVER);
        let patient = Waits {
            attempts: u32::MAX,
            ..waits
        };
        assert_eq!(due(as_of, 1_000, &patient) / 3_600_000_000, 24);
    }
}
