//! Rows that a destination did not take: who they are, why, and what a person decides about them.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use kinfold_lake::Holder;
use kinfold_project::Sync;
use kinfold_sync::ObjectText;
use serde::Serialize;
use serde_json::{Map, Value};

use super::compact;
use super::compare::hash_of;
use super::keys::Hash;
use super::plan::Plan;
use super::scope::key_of;
use super::state::{self, NEVER, Place, State};
use super::{ActivateError, mask};
use crate::{Engine, EngineError};

/// A row whose last attempt failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailedRow {
    /// Key fields; masked unless they were asked for.
    pub key: Map<String, Value>,
    /// `rejected`, `retryable` or `unknown`.
    pub status: String,
    /// What was attempted: `add`, `update`, `remove` or `clear`.
    pub operation: String,
    /// Runs that failed since the last confirmation.
    pub attempts: u32,
    /// When it is tried again though nothing about it has changed; none if with the next run.
    pub next_try: Option<DateTime<Utc>>,
    /// Why, as a stable word.
    pub error_class: String,
    /// Why, in the destination's words without payload values.
    pub error_message: Option<String>,
    /// The run in which it failed first.
    pub first_error_run: Option<String>,
}

/// What becomes of rows whose last attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They are part of the next run. One without an answer is sent again.
    Retry,
    /// They are left alone until their values change. One without an answer counts as delivered.
    Forget,
}

/// The rows of a sync whose last attempt failed: how many there are, and the first `limit` of them.
///
/// # Errors
/// The state cannot be read.
pub async fn failed_rows(
    engine: &Engine,
    sync: &Sync,
    limit: usize,
    show_keys: bool,
) -> Result<(u64, Vec<FailedRow>), EngineError> {
    let place = Place::of(engine, sync)?;
    let state = Arc::new(State::open(engine, &place).await?);
    let mut batches = failed(engine, &state, None).await?;
    let (mut count, mut rows) = (0, vec![]);
    while let Some(batch) = batches.try_next().await? {
        count += batch.num_rows() as u64;
        for row in 0..batch.num_rows() {
            if rows.len() < limit {
                rows.extend(failed_row(&batch, row, show_keys));
            }
        }
    }
    Ok((count, rows))
}

/// Records what a person decides about the rows of a sync whose last attempt failed: all of them, or those
/// with these keys. Returns how many there are.
///
/// # Errors
/// Somebody else runs the sync, a run was interrupted and has to be finished first, a key is none of the
/// sync, or the state cannot be read or written.
pub async fn decide(
    engine: &Engine,
    sync: &Sync,
    decision: Decision,
    keys: &[Vec<(String, String)>],
) -> Result<u64, EngineError> {
    let place = Place::of(engine, sync)?;
    let time = crate::lease::lease_time(engine);
    let lease = engine
        .lake
        .lease(&place.lease, Holder::this_process(), time)
        .await?;
    let mut guarded = engine.clone();
    guarded.lake = engine.lake.guarded(&lease);
    let decided = amend(&guarded, &place, sync, decision, keys).await;
    lease.release().await?;
    decided
}

async fn amend(
    engine: &Engine,
    place: &Place,
    sync: &Sync,
    decision: Decision,
    keys: &[Vec<(String, String)>],
) -> Result<u64, EngineError> {
    let name = &sync.name.value;
    if Plan::read(&engine.lake, place).await?.is_some() {
        return Err(ActivateError::Unfinished { sync: name.clone() }.into());
    }
    let state = Arc::new(State::open(engine, place).await?);
    let Some(setup) = state.setup.clone() else {
        return Ok(0);
    };
    let only = key_of(name, keys, &setup)?;
    let ordinal = state.ordinal + 1;
    let rows = failed(engine, &state, only).await?;
    let rows = rows.and_then(move |batch| {
        let decided = decided(&batch, decision, ordinal);
        async move { decided }
    });
    let rows = Box::pin(RecordBatchStreamAdapter::new(state::schema(), rows));
    let note = state::note(&setup, &place.app_id, ordinal, state.base_rows());
    let written = engine
        .lake
        .append(&place.state, state::schema(), vec![rows], note)
        .await?;
    Ok(written.rows)
}

/// The rows that count and whose last attempt failed.
async fn failed(
    engine: &Engine,
    state: &Arc<State>,
    only: Option<HashSet<Hash>>,
) -> Result<SendableRecordBatchStream, EngineError> {
    let newest = compact::newest(engine, state).await?;
    let rows = newest.and_then(move |batch| {
        let hashes = batch.column(0).as_binary::<i32>();
        let statuses = batch.column(3).as_string::<i32>();
        let kept: BooleanArray = (0..batch.num_rows())
            .map(|row| {
                let failed = !matches!(statuses.value(row), "delivered" | "gone");
                let meant = |only: &HashSet<Hash>| only.contains(&hash_of(hashes.value(row)));
                Some(failed && only.as_ref().is_none_or(meant))
            })
            .collect();
        let batch = filter_record_batch(&batch, &kept).map_err(DataFusionError::from);
        async move { batch }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        state::schema(),
        rows,
    )))
}

fn failed_row(batch: &RecordBatch, row: usize, show_keys: bool) -> Option<FailedRow> {
    let text = |column: usize| -> Option<String> {
        let column = batch.column(column).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let key = ObjectText::new(text(1)?)?.parse()?;
    let due = batch.column(12).as_primitive::<TimestampMicrosecondType>();
    let due = due.is_valid(row).then(|| due.value(row));
    let attempts = batch.column(11).as_primitive::<Int32Type>().value(row);
    Some(FailedRow {
        key: if show_keys { key } else { mask::masked(key) },
        status: text(3)?,
        operation: text(10).unwrap_or_default(),
        attempts: u32::try_from(attempts).unwrap_or(0),
        next_try: due.and_then(DateTime::from_timestamp_micros),
        error_class: text(13).unwrap_or_default(),
        error_message: text(14),
        first_error_run: text(15),
    })
}

/// The rows as they are after the decision.
fn decided(
    batch: &RecordBatch,
    decision: Decision,
    ordinal: i64,
) -> Result<RecordBatch, DataFusionError> {
    let rows = batch.num_rows();
    let statuses = batch.column(3).as_string::<i32>();
    let payloads = batch.column(4).as_binary::<i32>();
    let uncertain = batch.column(6).as_boolean();
    let pending = batch.column(9).as_binary::<i32>();
    // Without an answer and never confirmed: whether it is there is for a person to say.
    let open: Vec<bool> = (0..rows)
        .map(|row| uncertain.value(row) && payloads.is_null(row))
        .collect();
    let settled = |row: usize| decision == Decision::Forget && open.get(row) == Some(&true);
    let status: StringArray = (0..rows)
        .map(|row| {
            Some(match open.get(row) {
                Some(true) if settled(row) => "delivered",
                Some(true) => "retryable",
                _ => statuses.value(row),
            })
        })
        .collect();
    let payload: datafusion::arrow::array::BinaryArray = (0..rows)
        .map(|row| {
            let column = if settled(row) { pending } else { payloads };
            column.is_valid(row).then(|| column.value(row))
        })
        .collect();
    let certain: BooleanArray = (0..rows)
        .map(|row| Some(uncertain.value(row) && open.get(row) != Some(&true)))
        .collect();
    let due: TimestampMicrosecondArray = (0..rows)
        .map(|_| (decision == Decision::Forget).then_some(NEVER))
        .collect();
    let mut columns = batch.columns().to_vec();
    let changed: [(usize, ArrayRef); 5] = [
        (2, Arc::new(Int64Array::from_value(ordinal, rows))),
        (3, Arc::new(status)),
        (4, Arc::new(payload)),
        (6, Arc::new(certain)),
        (12, Arc::new(due.with_timezone("UTC"))),
    ];
    for (at, column) in changed {
        if let Some(place) = columns.get_mut(at) {
            *place = column;
        }
    }
    Ok(RecordBatch::try_new(state::schema(), columns)?)
}
