//! What a resolution holds, as rows of the relations.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use kinfold_identity::{CanonicalId, ChangeKind, Identifier, Resolution};

use crate::RunClock;

/// Rows of one record batch.
const BATCH: usize = 8192;

/// A stream of batches that a blocking task makes, a few ahead of the reader.
pub(in crate::build) fn produce(
    schema: &SchemaRef,
    make: impl FnOnce(&mut dyn FnMut(Result<RecordBatch, ArrowError>) -> bool) + Send + 'static,
) -> SendableRecordBatchStream {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        make(&mut |batch| {
            sender
                .blocking_send(batch.map_err(DataFusionError::from))
                .is_ok()
        });
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|batch| (batch, receiver))
    });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), stream))
}

pub(super) fn alarm_rows(
    resolution: &Arc<Resolution>,
    schema: &SchemaRef,
) -> SendableRecordBatchStream {
    let (resolution, columns) = (Arc::clone(resolution), Arc::clone(schema));
    produce(schema, move |emit| {
        for part in resolution.alarms().chunks(BATCH) {
            let mut texts: [StringBuilder; 4] = Default::default();
            let [reasons, types, values, ids] = &mut texts;
            for alarm in part {
                reasons.append_value(alarm.reason.as_str());
                types.append_value(alarm.id_type);
                values.append_value(alarm.id_value);
                ids.append_option(alarm.canonical_id.map(|id| id.to_string()));
            }
            let sizes = part.iter().map(|alarm| i64::try_from(alarm.size).ok());
            let mut arrays: Vec<ArrayRef> = texts
                .iter_mut()
                .map(|builder| Arc::new(builder.finish()) as ArrayRef)
                .collect();
            arrays.push(Arc::new(sizes.collect::<Int64Array>()));
            if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                return;
            }
        }
    })
}

/// The identifiers in `parts` streams, one after the other in order.
pub(super) fn identifiers(
    resolution: &Arc<Resolution>,
    schema: &SchemaRef,
    parts: usize,
) -> Vec<SendableRecordBatchStream> {
    let all = resolution.identifiers().len();
    let share = all.div_ceil(parts.max(1)).max(1);
    let part = |from: usize| {
        let (resolution, columns) = (Arc::clone(resolution), Arc::clone(schema));
        let until = all.min(from + share);
        produce(schema, move |emit| {
            for from in (from..until).step_by(BATCH) {
                let rows = resolution.identifiers_in(from..until.min(from + BATCH));
                if !emit(identifier_rows(rows, &columns)) {
                    return;
                }
            }
        })
    };
    (0..all).step_by(share).map(part).collect()
}

/// Identifiers as one batch of the relation.
pub(super) fn identifier_rows<'r>(
    identifiers: impl ExactSizeIterator<Item = Identifier<'r>>,
    columns: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let rows = identifiers.len();
    let mut types = StringBuilder::with_capacity(rows, rows * 16);
    let mut values = StringBuilder::with_capacity(rows, rows * 32);
    let mut ids = StringBuilder::with_capacity(rows, rows * 36);
    let time = || TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC");
    let (mut minted, mut first, mut last) = (time(), time(), time());
    for row in identifiers {
        types.append_value(row.id_type);
        values.append_value(row.id_value);
        ids.append_value(row.canonical_id.text().as_str());
        minted.append_value(row.minted_at);
        first.append_option(row.first_seen);
        last.append_option(row.last_seen);
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(types.finish()),
        Arc::new(values.finish()),
        Arc::new(ids.finish()),
        Arc::new(minted.finish()),
        Arc::new(first.finish()),
        Arc::new(last.finish()),
    ];
    RecordBatch::try_new(Arc::clone(columns), arrays)
}

/// The changes of this run, as rows of the changes relation.
pub(super) fn change_rows(
    resolution: &Arc<Resolution>,
    clock: &RunClock,
    schema: &SchemaRef,
) -> SendableRecordBatchStream {
    let run_id = clock.run_id.clone();
    let as_of = clock.as_of.timestamp_micros();
    let (resolution, columns) = (Arc::clone(resolution), Arc::clone(schema));
    produce(schema, move |emit| {
        for part in resolution.changes().chunks(BATCH) {
            let ids = |pick: fn(&kinfold_identity::Change) -> Option<CanonicalId>| -> ArrayRef {
                Arc::new(
                    part.iter()
                        .map(|c| pick(c).map(|id| id.to_string()))
                        .collect::<StringArray>(),
                )
            };
            let arrays: Vec<ArrayRef> = vec![
                Arc::new(
                    part.iter()
                        .map(|_| Some(run_id.as_str()))
                        .collect::<StringArray>(),
                ),
                Arc::new(
                    TimestampMicrosecondArray::from(vec![as_of; part.len()]).with_timezone("UTC"),
                ),
                Arc::new(
                    part.iter()
                        .map(|c| Some(ChangeKind::as_str(c.kind)))
                        .collect::<StringArray>(),
                ),
                ids(|c| c.from),
                ids(|c| c.into),
                Arc::new(
                    part.iter()
                        .map(|c| i64::try_from(c.identifiers).ok())
                        .collect::<Int64Array>(),
                ),
            ];
            if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                return;
            }
        }
    })
}
