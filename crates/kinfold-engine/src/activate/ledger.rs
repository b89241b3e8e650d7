//! Records for people: every send, and the keys that could not be sent.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, Int64Builder, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, stream};
use kinfold_lake::CommitNote;

use super::acknowledge::{AckLine, AckReader};
use super::changeset::InvalidLine;
use super::lines::{self, Chunk};
use super::plan::Plan;
use super::state::Place;
use crate::{Engine, EngineError};

const FORMAT: u64 = 1;

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

/// Columns of the ledger: one row for each row that was sent.
fn ledger_schema() -> SchemaRef {
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

/// Appends the outcomes of a plan to the ledger; a second time it does nothing.
pub(super) async fn append(engine: &Engine, place: &Place, plan: &Plan) -> Result<(), EngineError> {
    let schema = ledger_schema();
    let reader = AckReader::open(&engine.lake, place, plan).await?;
    let state = (reader, plan.clone(), Arc::clone(&schema));
    let batches = stream::try_unfold(state, |(mut reader, plan, schema)| async move {
        let Some(lines) = reader.next().await.map_err(external)? else {
            return Ok(None);
        };
        let batch = ledger_rows(&plan, &lines, &schema)?;
        Ok(Some((batch, (reader, plan, schema))))
    });
    let note = CommitNote::new(format!("{}:ledger", place.app_id), plan.ordinal)
        .with("format", FORMAT)
        .with("run_id", plan.run_id.as_str());
    engine
        .lake
        .append(
            &place.ledger,
            Arc::clone(&schema),
            vec![adapted(schema, batches)],
            note,
        )
        .await?;
    Ok(())
}

fn ledger_rows(
    plan: &Plan,
    lines: &[AckLine],
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let same = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(lines.iter().map(|_| value)))
    };
    let each = |value: fn(&AckLine) -> Option<&str>| -> ArrayRef {
        Arc::new(lines.iter().map(value).collect::<StringArray>())
    };
    let seq: Int64Array = lines
        .iter()
        .map(|line| i64::try_from(line.seq).ok())
        .collect();
    let json = |value: serde_json::Value| value.to_string();
    let at = TimestampMicrosecondArray::from_value(plan.as_of.timestamp_micros(), lines.len())
        .with_timezone("UTC");
    let columns = vec![
        same(&plan.sync),
        same(&plan.environment),
        same(&plan.run_id),
        same(&plan.delivery),
        Arc::new(seq),
        each(|line| Some(&line.key)),
        each(|line| Some(&line.operation)),
        each(|line| line.hash.as_deref()),
        each(|line| Some(&line.outcome)),
        each(|line| line.class.as_deref()),
        same(&plan.setup.connection),
        same(&plan.setup.object),
        same(&plan.mapping),
        same(&json(serde_json::json!(plan.versions))),
        same(&json(serde_json::json!(plan.purposes))),
        Arc::new(at),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Replaces the table of keys that could not be sent by those of this run.
pub(super) async fn replace_invalid(
    engine: &Engine,
    place: &Place,
    run_id: &str,
    chunks: Vec<Chunk>,
) -> Result<(), EngineError> {
    let app_id = format!("{}:invalid", place.app_id);
    let before = engine.lake.snapshot(&place.invalid, None).await?;
    let ordinal = match &before {
        None if chunks.is_empty() => return Ok(()),
        Some(before) if chunks.is_empty() && before.num_rows() == Some(0) => return Ok(()),
        None => 1,
        Some(before) => before.transaction(&app_id).await?.unwrap_or(0) + 1,
    };
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        text("key_text"),
        text("reason"),
        Field::new("rows", DataType::Int64, true),
        text("run_id"),
    ]));
    let state = (
        engine.lake.clone(),
        chunks.into_iter(),
        run_id.to_owned(),
        Arc::clone(&schema),
    );
    let batches = stream::try_unfold(state, |(lake, mut chunks, run_id, schema)| async move {
        let Some(chunk) = chunks.next() else {
            return Ok(None);
        };
        let lines: Vec<InvalidLine> = lines::read(&lake, &chunk.name).await.map_err(external)?;
        let batch = invalid_rows(&lines, &run_id, &schema)?;
        Ok(Some((batch, (lake, chunks, run_id, schema))))
    });
    let note = CommitNote::new(app_id, ordinal)
        .with("format", FORMAT)
        .with("run_id", run_id);
    engine
        .lake
        .overwrite(
            &place.invalid,
            Arc::clone(&schema),
            vec![adapted(schema, batches)],
            note,
        )
        .await?;
    Ok(())
}

fn invalid_rows(
    lines: &[InvalidLine],
    run_id: &str,
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let (mut keys, mut reasons) = (StringBuilder::new(), StringBuilder::new());
    let (mut rows, mut runs) = (Int64Builder::new(), StringBuilder::new());
    for line in lines {
        keys.append_option(line.key.as_deref());
        reasons.append_value(&line.reason);
        rows.append_value(i64::try_from(line.rows).unwrap_or(i64::MAX));
        runs.append_value(run_id);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys.finish()),
        Arc::new(reasons.finish()),
        Arc::new(rows.finish()),
        Arc::new(runs.finish()),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
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
