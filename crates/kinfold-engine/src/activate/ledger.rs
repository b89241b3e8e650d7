//! Records for people: every send, and the keys that could not be sent.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, stream};
use kinfold_compile::relation::register;
use kinfold_lake::{CommitNote, Lake};

use super::canonical::Layout;
use super::changeset::InvalidLine;
use super::chunk::{Chunk, ChunkRows, Payloads};
use super::heads::Heads;
use super::lines::{self, Lines, hex};
use super::plan::{Logged, Plan, shares};
use super::progress::{Fate, Progress};
use super::state::Place;
use super::streamed::relation;
use crate::stream::{streams_of, under_schema};
use crate::{Engine, EngineError};

const INVALID: &str = include_str!("../../../../sql/state/invalid.sql");
const FORMAT: u64 = 2;

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

/// Columns of the ledger: one row for each row that was sent.
pub(super) fn ledger_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("sync"),
        text("environment"),
        text("run_id"),
        text("delivery"),
        Field::new("seq", DataType::Int64, true),
        text("key_text"),
        text("operation"),
        text("payload_hash"),
        text("outcome"),
        text("error_class"),
        text("error_message"),
        text("payload"),
        text("connection"),
        text("object"),
        text("mapping_version"),
        text("source_versions"),
        text("purposes"),
        Field::new(
            "sent_at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
    ]))
}

/// Appends the outcomes of a plan to the ledger, once they are all known; a second time it does nothing.
pub(super) async fn append(
    engine: &Engine,
    place: &Place,
    plan: &Plan,
    (progress, heads): (&Arc<Progress>, &Arc<Heads>),
) -> Result<(), EngineError> {
    let plan = Arc::new(plan.clone());
    let chunks: Vec<(Chunk, u64)> = plan.changes_from().collect();
    let shares = shares(chunks, engine.options.target_partitions).into_iter();
    let rows = shares.map(|chunks| {
        let start = (
            engine.lake.clone(),
            Arc::clone(&plan),
            (Arc::clone(progress), Arc::clone(heads)),
            chunks,
        );
        let batches = stream::try_unfold(start, |(lake, plan, known, mut chunks)| async move {
            let (progress, heads) = &known;
            let Some((chunk, first)) = chunks.pop_front() else {
                // Nothing is committed before.
                progress.ended().await.map_err(external)?;
                return Ok(None);
            };
            let fate = progress.fate(first).await.map_err(external)?;
            let rows = heads.rows(&lake, &chunk).await.map_err(external)?;
            let payloads = match plan.log_payload {
                Logged::Nothing => None,
                _ => {
                    let layout = Layout::of(&plan.fields);
                    Some(chunk.payloads(&lake, &layout).await.map_err(external)?)
                }
            };
            let batch = ledger_rows(&plan, (&rows, payloads.as_ref()), &fate, first)?;
            Ok(Some((batch, (lake, plan, known, chunks))))
        });
        adapted(ledger_schema(), batches)
    });
    let note = CommitNote::new(format!("{}:ledger", place.app_id), plan.ordinal)
        .with("format", FORMAT)
        .with("run_id", plan.run_id.as_str());
    engine
        .lake
        .append(&place.ledger, ledger_schema(), rows.collect(), note)
        .await?;
    Ok(())
}

/// The rows of a chunk that have an outcome; `first` is the position of the first of them.
fn ledger_rows(
    plan: &Plan,
    (rows, payloads): (&ChunkRows, Option<&Payloads>),
    fate: &Fate,
    first: u64,
) -> Result<RecordBatch, DataFusionError> {
    let sent: Vec<(usize, u64)> = (0..rows.len())
        .zip(first..)
        .filter(|(_, seq)| fate.is_recorded(*seq))
        .collect();
    let same = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(sent.iter().map(|_| value)))
    };
    let seq: Int64Array = sent
        .iter()
        .map(|(_, seq)| i64::try_from(*seq).ok())
        .collect();
    let outcome = |seq| {
        fate.failure(seq)
            .map_or("delivered", |failure| failure.outcome)
    };
    let json = |value: serde_json::Value| value.to_string();
    let at = TimestampMicrosecondArray::from_value(plan.as_of.timestamp_micros(), sent.len())
        .with_timezone("UTC");
    let columns = vec![
        same(&plan.sync),
        same(&plan.environment),
        same(&plan.run_id),
        same(&plan.delivery),
        Arc::new(seq),
        texts(&sent, |row, _| Some(rows.key.value(row))),
        texts(&sent, |row, _| Some(rows.operation.value(row))),
        texts(&sent, |row, _| rows.hash(row).map(|hash| hex(&hash))),
        texts(&sent, |_, seq| Some(outcome(seq))),
        texts(&sent, |_, seq| Some(&*fate.failure(seq)?.class)),
        texts(&sent, |_, seq| fate.failure(seq)?.message.as_deref()),
        texts(&sent, |row, _| plan.log_payload.shown(payloads?.text(row)?)),
        same(&plan.setup.connection),
        same(&plan.setup.object),
        same(&plan.mapping),
        same(&json(serde_json::json!(plan.versions))),
        same(&json(serde_json::json!(plan.purposes))),
        Arc::new(at),
    ];
    Ok(RecordBatch::try_new(ledger_schema(), columns)?)
}

/// A column with a text for each row and position.
fn texts<T: AsRef<str>>(
    sent: &[(usize, u64)],
    value: impl Fn(usize, u64) -> Option<T>,
) -> ArrayRef {
    let mut texts = StringBuilder::new();
    for (row, seq) in sent {
        texts.append_option(value(*row, *seq));
    }
    Arc::new(texts.finish())
}

/// Replaces the table of keys that could not be sent by those of this run.
pub(super) async fn replace_invalid(
    engine: &Engine,
    place: &Place,
    run_id: &str,
    lines: Vec<Lines>,
) -> Result<(), EngineError> {
    let app_id = format!("{}:invalid", place.app_id);
    let before = engine.lake.snapshot(&place.invalid, None).await?;
    let ordinal = match &before {
        None if lines.is_empty() => return Ok(()),
        Some(before) if lines.is_empty() && before.num_rows() == Some(0) => return Ok(()),
        None => 1,
        Some(before) => before.transaction(&app_id).await?.unwrap_or(0) + 1,
    };
    let schema = invalid_schema();
    let lake = engine.lake.clone();
    let noted = move || noted(lake.clone(), lines.clone());
    let session = engine.session(false);
    register(&session, "main", "lines", relation(noted_schema(), noted)?)?;
    let plan = session.create_logical_plan(INVALID).await?;
    let plan = plan.with_param_values(vec![("run_id", ScalarValue::from(run_id))])?;
    let rows = streams_of(&session, &plan).await?;
    let rows = rows.into_iter().map(|rows| under_schema(rows, &schema));
    let note = CommitNote::new(app_id, ordinal)
        .with("format", FORMAT)
        .with("run_id", run_id);
    engine
        .lake
        .overwrite(&place.invalid, Arc::clone(&schema), rows.collect(), note)
        .await?;
    Ok(())
}

fn invalid_schema() -> SchemaRef {
    let mut fields = noted_schema().fields().to_vec();
    fields.push(Arc::new(text("run_id")));
    Arc::new(Schema::new(fields))
}

fn noted_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("key_text"),
        text("reason"),
        Field::new("rows", DataType::Int64, true),
    ]))
}

/// What a comparison noted, object by object.
fn noted(lake: Lake, lines: Vec<Lines>) -> SendableRecordBatchStream {
    let start = (lake, lines.into_iter());
    let batches = stream::try_unfold(start, |(lake, mut lines)| async move {
        let Some(object) = lines.next() else {
            return Ok(None);
        };
        let lines_of: Vec<InvalidLine> =
            lines::read(&lake, &object.name).await.map_err(external)?;
        Ok(Some((noted_rows(&lines_of)?, (lake, lines))))
    });
    adapted(noted_schema(), batches)
}

fn noted_rows(lines: &[InvalidLine]) -> Result<RecordBatch, DataFusionError> {
    let keys: StringArray = lines.iter().map(|line| line.key.as_deref()).collect();
    let reasons = StringArray::from_iter_values(lines.iter().map(|line| &line.reason));
    let rows: Int64Array = lines
        .iter()
        .map(|line| i64::try_from(line.rows).ok())
        .collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(reasons), Arc::new(rows)];
    Ok(RecordBatch::try_new(noted_schema(), columns)?)
}

fn external(error: EngineError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn adapted(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, DataFusionError>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}
