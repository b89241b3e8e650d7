//! The rows of the model once more, as edges and records.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Builder, RecordBatch, StringBuilder, new_null_array,
};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use kinfold_identity::{
    CanonicalId, CanonicalIdText, FirstRow, LinkKind, Preparer, RecordsMet, Resolution, Verdict,
};
use tokio::sync::mpsc;

use super::rows::Rows;
use super::rules::{Forms, NotOfType};

/// Bytes of a canonical id as text.
const ID_BYTES: usize = 36;
/// Batches of records that may wait to be written.
const WAITING: usize = 4;

/// What a reading of the rows is held against.
#[derive(Clone)]
pub(super) struct Judge {
    resolution: Arc<Resolution>,
    preparer: Arc<Preparer>,
    forms: Arc<Forms>,
    met: Arc<RecordsMet>,
    edges: SchemaRef,
    records: SchemaRef,
}

impl Judge {
    /// A judge of one reading, in which `met` are the records; the schemas are the columns of edges and
    /// records.
    pub(super) fn new(
        resolution: &Arc<Resolution>,
        met: RecordsMet,
        forms: &Arc<Forms>,
        (edges, records): (&SchemaRef, &SchemaRef),
    ) -> Self {
        Self {
            preparer: Arc::new(resolution.preparer()),
            met: Arc::new(met),
            resolution: Arc::clone(resolution),
            forms: Arc::clone(forms),
            edges: Arc::clone(edges),
            records: Arc::clone(records),
        }
    }

    /// Leaves out a record that is written already.
    pub(super) fn has_met(&self, source: &str, record_id: &str) {
        self.resolution.has_met(&self.met, source, record_id);
    }

    /// The rows of a stream as edges, and their records. Ignored rows are left out, and each record
    /// comes once in all streams of this judge. Both streams must be read at the same time.
    pub(super) fn judged(
        &self,
        rows: SendableRecordBatchStream,
    ) -> (SendableRecordBatchStream, SendableRecordBatchStream) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let judge = self.clone();
        let edges = futures::stream::try_unfold((rows, sender), move |(mut rows, sender)| {
            let judge = judge.clone();
            async move {
                let judged = match rows.next().await {
                    None => {
                        // Without this the records would not be known to be complete.
                        let _ = sender.send(None).await;
                        return Ok(None);
                    }
                    Some(batch) => batch.and_then(|batch| judge.judge(&batch))?,
                };
                let (edges, records) = judged;
                if records.num_rows() > 0 && sender.send(Some(records)).await.is_err() {
                    return Err(incomplete());
                }
                Ok(Some((edges, (rows, sender))))
            }
        });
        let records = futures::stream::unfold(Some(receiver), |receiver| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Some(batch)) => Some((Ok(batch), Some(receiver))),
                Some(None) => None,
                None => Some((Err(incomplete()), None)),
            }
        });
        (
            Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.edges),
                edges,
            )),
            Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.records),
                records,
            )),
        )
    }

    /// The rows of a stream as edges alone.
    pub(super) fn edges(self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.edges);
        let edges = rows.map(move |batch| self.judge(&batch?).map(|(edges, _)| edges));
        Box::pin(RecordBatchStreamAdapter::new(schema, edges))
    }

    fn judge(&self, batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch), DataFusionError> {
        let outside =
            |error: Box<dyn std::error::Error + Send + Sync>| DataFusionError::External(error);
        let rows = Rows::of(batch, &self.forms).map_err(|error| outside(Box::new(error)))?;
        let prepared = self
            .preparer
            .prepare(rows.observations())
            .map_err(|error| outside(Box::new(error)))?;
        let verdicts = self.resolution.verdicts(&prepared);
        let firsts = self
            .resolution
            .first_of_records(&prepared, &verdicts, &self.met);
        Ok((
            self.edges_of(batch, &rows, &verdicts)?,
            self.records_of(&rows, &verdicts, &firsts)?,
        ))
    }

    fn edges_of(
        &self,
        batch: &RecordBatch,
        rows: &Rows<'_>,
        verdicts: &[Verdict],
    ) -> Result<RecordBatch, DataFusionError> {
        let mut ids = StringBuilder::with_capacity(rows.len(), rows.len() * ID_BYTES);
        let mut rules = StringBuilder::new();
        let mut accepted = Vec::with_capacity(rows.len());
        let mut kept = Vec::with_capacity(rows.len());
        for (row, verdict) in verdicts.iter().enumerate() {
            let (id, rule) = match verdict {
                Verdict::Accepted(id) => (Some(*id), None),
                Verdict::Rejected(rule) => (None, Some(rule.as_str())),
                // None of its type: refused before the graph.
                Verdict::Ignored if rows.is_malformed(row) => (None, Some(NotOfType::RULE)),
                Verdict::Ignored => (None, None),
            };
            match id {
                Some(id) => ids.append_value(id.text().as_str()),
                None => ids.append_null(),
            }
            rules.append_option(rule);
            accepted.push(id.is_some());
            kept.push(id.is_some() || rule.is_some());
        }
        let [source, record_id, id_type, id_value] = [0, 1, 2, 3].map(|column| {
            // `Rows::of` has found these columns.
            Arc::clone(batch.column(column))
        });
        let id_value = match rows.shown() {
            Some(shown) => Arc::new(shown) as ArrayRef,
            None => id_value,
        };
        let (links, weights) = links(rows);
        let arrays: Vec<ArrayRef> = vec![
            source,
            record_id,
            id_type,
            id_value,
            Arc::new(rows.observed_at().clone().with_timezone("UTC")),
            Arc::new(ids.finish()),
            Arc::new(BooleanArray::from(accepted)),
            Arc::new(rules.finish()),
            links,
            weights,
        ];
        let edges = RecordBatch::try_new(Arc::clone(&self.edges), arrays)?;
        if kept.contains(&false) {
            return Ok(filter_record_batch(&edges, &BooleanArray::from(kept))?);
        }
        Ok(edges)
    }

    fn records_of(
        &self,
        rows: &Rows<'_>,
        verdicts: &[Verdict],
        firsts: &[FirstRow],
    ) -> Result<RecordBatch, DataFusionError> {
        let mut texts: [StringBuilder; 4] = Default::default();
        let [sources, records, ids, first_ids] = &mut texts;
        for FirstRow { row, first_id } in firsts {
            let (source, record_id) = rows.record(*row);
            sources.append_option(source);
            records.append_option(record_id);
            let id = match verdicts.get(*row) {
                Some(Verdict::Accepted(id)) => Some(*id),
                _ => None,
            };
            ids.append_option(
                id.map(CanonicalId::text)
                    .as_ref()
                    .map(CanonicalIdText::as_str),
            );
            let first_id = first_id.or(id).map(CanonicalId::text);
            first_ids.append_option(first_id.as_ref().map(CanonicalIdText::as_str));
        }
        let arrays = texts
            .iter_mut()
            .map(|builder| Arc::new(builder.finish()) as ArrayRef);
        Ok(RecordBatch::try_new(
            Arc::clone(&self.records),
            arrays.collect(),
        )?)
    }
}

/// What the rows are evidence of, and the weights of links.
fn links(rows: &Rows<'_>) -> (ArrayRef, ArrayRef) {
    if !rows.has_links() {
        return (
            new_null_array(&DataType::Utf8, rows.len()),
            new_null_array(&DataType::Float64, rows.len()),
        );
    }
    let (mut links, mut weights) = (StringBuilder::new(), Float64Builder::new());
    for row in 0..rows.len() {
        let (link, weight) = match rows.link(row) {
            _ if rows.is_malformed(row) => (None, None),
            LinkKind::None => (None, None),
            LinkKind::Link(weight) => (Some("link"), Some(weight)),
            LinkKind::Include => (Some("include"), None),
            LinkKind::Exclude => (Some("exclude"), None),
        };
        links.append_option(link);
        weights.append_option(weight);
    }
    (Arc::new(links.finish()), Arc::new(weights.finish()))
}

fn incomplete() -> DataFusionError {
    DataFusionError::Execution("the rows of an identity were given up half-way".to_owned())
}
