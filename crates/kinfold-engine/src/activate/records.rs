//! What syncs have done, as tables that models may read: every run, every row that was sent, and what is
//! known of every row now.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use kinfold_lake::{CommitNote, TablePath};
use kinfold_project::{Records, Sync};

use super::compact::newest;
use super::ledger::ledger_schema;
use super::lines::hex;
use super::state::{Place, State};
use super::{SyncReport, SyncRequest};
use crate::{Engine, EngineError};

const FORMAT: u64 = 1;

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns of a kind of records.
#[must_use]
pub fn columns(kind: Records) -> SchemaRef {
    match kind {
        Records::SyncRuns => runs_schema(),
        Records::SyncLog => ledger_schema(),
        Records::SyncSnapshot => snapshot_schema(),
    }
}

/// The table of a kind of records of this environment; made, without rows, if there is none.
pub(crate) async fn table(engine: &Engine, kind: Records) -> Result<TablePath, EngineError> {
    let table = match kind {
        Records::SyncRuns => Place::runs_table(engine)?,
        Records::SyncLog | Records::SyncSnapshot => Place::ledger_table(engine)?,
    };
    if engine.lake.snapshot(&table, None).await?.is_none() {
        let note = CommitNote::new(format!("kinfold:records:{}", kind.as_str()), 0);
        let schema = columns(kind);
        engine.lake.append(&table, schema, vec![], note).await?;
    }
    Ok(table)
}

/// A run of a sync.
fn runs_schema() -> SchemaRef {
    let mut fields: Vec<Field> = TEXTS
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, true))
        .collect();
    fields.extend(TIMES.iter().map(|name| Field::new(*name, instant(), true)));
    fields.extend(
        FLAGS
            .iter()
            .map(|name| Field::new(*name, DataType::Boolean, true)),
    );
    fields.extend(
        NUMBERS
            .iter()
            .map(|name| Field::new(*name, DataType::Int64, true)),
    );
    Arc::new(Schema::new(fields))
}

const TEXTS: [&str; 8] = [
    "sync",
    "environment",
    "run_id",
    "connection",
    "object",
    "stopped",
    "held_because",
    "error",
];
const TIMES: [&str; 3] = ["started_at", "ended_at", "as_of"];
const FLAGS: [&str; 3] = ["success", "resumed", "exact"];
const NUMBERS: [&str; 16] = [
    "planned",
    "delivered",
    "rejected",
    "retryable",
    "unknown",
    "held",
    "suppressed",
    "invalid",
    "unchanged",
    "waiting",
    "adopted",
    "adds",
    "updates",
    "removals",
    "requests",
    "elapsed_ms",
];

/// Appends a run that has ended, however it did.
pub(super) async fn append_run(
    engine: &Engine,
    place: &Place,
    request: &SyncRequest<'_>,
    started: DateTime<Utc>,
    ended: &Result<SyncReport, EngineError>,
) -> Result<(), EngineError> {
    let nothing = SyncReport::default();
    let (report, error) = match ended {
        Ok(report) => (report, None),
        Err(error) => (&nothing, Some(error.to_string())),
    };
    let texts = [
        Some(request.compiled.name.as_str()),
        Some(engine.environment.name.as_str()),
        Some(engine.clock.run_id.as_str()),
        Some(request.connection.name.value.as_str()),
        Some(request.sync.object.value.as_str()),
        report.stopped.as_deref(),
        report.held_because.as_deref(),
        error.as_deref(),
    ];
    let times = [started, Utc::now(), engine.clock.as_of];
    let flags = [report.success, report.resumed, report.exact];
    let numbers = [
        report.planned,
        report.delivered,
        report.rejected,
        report.retryable,
        report.unknown,
        report.held,
        report.suppressed,
        report.invalid,
        report.unchanged,
        report.waiting,
        report.adopted,
        report.adds,
        report.updates,
        report.removals,
        report.requests,
        report.elapsed_ms,
    ];
    let mut columns: Vec<ArrayRef> = vec![];
    for text in texts {
        columns.push(Arc::new(StringArray::from(vec![text])));
    }
    for time in times {
        let time = TimestampMicrosecondArray::from(vec![time.timestamp_micros()]);
        columns.push(Arc::new(time.with_timezone("UTC")));
    }
    for flag in flags {
        columns.push(Arc::new(BooleanArray::from(vec![flag])));
    }
    for number in numbers {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        columns.push(Arc::new(Int64Array::from(vec![number])));
    }
    let schema = runs_schema();
    let row = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(DataFusionError::from)?;
    let rows = MemoryStream::try_new(vec![row], Arc::clone(&schema), None)?;
    // One sync runs at a time, so its runs begin one after the other.
    let note = CommitNote::new(format!("{}:runs", place.app_id), started.timestamp_micros())
        .with("format", FORMAT)
        .with("run_id", engine.clock.run_id.as_str());
    let table = Place::runs_table(engine)?;
    engine
        .lake
        .append(&table, schema, vec![Box::pin(rows)], note)
        .await?;
    Ok(())
}

fn snapshot_schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("sync"),
        text("key_text"),
        text("status"),
        text("payload_hash"),
        Field::new("ours", DataType::Boolean, true),
        text("last_ack_run"),
        text("pending_operation"),
        Field::new("attempts", DataType::Int64, true),
        Field::new("next_try", instant(), true),
        text("error_class"),
        text("error_message"),
        text("first_error_run"),
    ]))
}

/// The versions of the states of syncs, by the name of the sync.
pub(crate) async fn state_versions(
    engine: &Engine,
    syncs: &[Sync],
) -> Result<BTreeMap<String, String>, EngineError> {
    let mut versions = BTreeMap::new();
    for sync in syncs {
        let place = Place::of(engine, sync)?;
        if let Some(state) = engine.lake.snapshot(&place.state, None).await? {
            versions.insert(sync.id.to_string(), state.version().to_string());
        }
    }
    Ok(versions)
}

/// What is known of every row of every sync.
pub(crate) async fn snapshot_rows(
    engine: &Engine,
    syncs: &[Sync],
) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
    let mut streams: Vec<SendableRecordBatchStream> = vec![];
    for sync in syncs {
        let place = Place::of(engine, sync)?;
        let state = Arc::new(State::open(engine, &place).await?);
        let name = sync.name.value.clone();
        let rows = newest(engine, &state).await?;
        let rows = rows.and_then(move |batch| {
            let shown = shown(&name, &batch);
            async move { shown }
        });
        let rows = RecordBatchStreamAdapter::new(snapshot_schema(), rows);
        streams.push(Box::pin(rows));
    }
    Ok(streams)
}

fn shown(sync: &str, state: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    let column = |name: &str| -> Result<ArrayRef, DataFusionError> {
        let found = state.column_by_name(name).cloned();
        found.ok_or_else(|| DataFusionError::Internal(format!("a state without {name}")))
    };
    let hashes = column("payload_hash")?;
    let hashes = hashes.as_binary::<i32>();
    let hashes: StringArray = (0..state.num_rows())
        .map(|row| hashes.is_valid(row).then(|| hex(hashes.value(row))))
        .collect();
    let name = StringArray::from_iter_values(std::iter::repeat_n(sync, state.num_rows()));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(name),
        column("key_text")?,
        column("status")?,
        Arc::new(hashes),
        column("ours")?,
        column("last_ack_run")?,
        column("pending_operation")?,
        datafusion::arrow::compute::cast(&column("attempts")?, &DataType::Int64)?,
        column("next_try")?,
        column("error_class")?,
        column("error_message")?,
        column("first_error_run")?,
    ];
    Ok(RecordBatch::try_new(snapshot_schema(), columns)?)
}
