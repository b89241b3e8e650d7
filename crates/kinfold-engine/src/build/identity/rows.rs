//! Rows of an identity model: into the graph, and out again with what became of them.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Array, Float64Builder, RecordBatch,
    StringArray, StringBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{Float64Type, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use kinfold_identity::{
    CanonicalId, GraphBuilder, GraphError, LinkKind, Observation, Replay, Resolution, Verdict,
};

use super::rules::{Forms, NotOfType};

const ROWS: &str = include_str!("../../../../../sql/materialize/identity_rows.sql");

/// The statement that reads the rows of a model with these columns.
pub(super) fn statement(columns: &Schema) -> String {
    let optional = |name: &str| match columns.field_with_name(name) {
        Ok(_) => name.to_owned(),
        Err(_) => "NULL".to_owned(),
    };
    ROWS.replace("{link}", &optional("link"))
        .replace("{weight}", &optional("weight"))
}

/// Why rows could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowsError {
    #[error(transparent)]
    Batch(#[from] DataFusionError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("`link` is `{0}`: it can be `link`, `include`, `exclude`, or null")]
    Link(String),
}

/// The columns of a batch of [`statement`].
pub(super) struct Rows<'b> {
    texts: [&'b StringArray; 4],
    observed_at: &'b TimestampMicrosecondArray,
    link: &'b StringArray,
    weight: &'b Float64Array,
    len: usize,
}

/// A row in the form in which it is compared.
pub(super) struct Row<'b> {
    source: Option<&'b str>,
    record_id: Option<&'b str>,
    id_type: Option<&'b str>,
    /// An error if it is none of its type: then it is shown as it was.
    id_value: Result<Option<Cow<'b, str>>, NotOfType>,
    observed_at: Option<i64>,
    link: LinkKind,
}

impl Row<'_> {
    fn observation(&self) -> Option<Observation<'_>> {
        Some(Observation {
            source: self.source,
            record_id: self.record_id,
            id_type: self.id_type,
            id_value: self.id_value.as_ref().ok()?.as_deref(),
            observed_at: self.observed_at,
            link: self.link,
        })
    }
}

impl<'b> Rows<'b> {
    pub(super) fn of(batch: &'b RecordBatch) -> Result<Self, DataFusionError> {
        Ok(Self {
            texts: [
                text(batch, 0)?,
                text(batch, 1)?,
                text(batch, 2)?,
                text(batch, 3)?,
            ],
            observed_at: times(batch, 4)?,
            link: text(batch, 5)?,
            weight: batch
                .columns()
                .get(6)
                .and_then(|c| c.as_primitive_opt::<Float64Type>())
                .ok_or_else(|| wrong(6))?,
            len: batch.num_rows(),
        })
    }

    fn row(&self, row: usize, forms: &Forms) -> Result<Row<'b>, RowsError> {
        let [source, record_id, id_type, id_value] = self.texts.map(|column| cell(column, row));
        let id_value = match (id_type, id_value) {
            (Some(id_type), Some(value)) if !forms.is_empty() => forms
                .form(id_type, value)
                .map(|form| Some(form.map_or(Cow::Borrowed(value), Cow::Owned))),
            (_, value) => Ok(value.map(Cow::Borrowed)),
        };
        let weight = self.weight.is_valid(row).then(|| self.weight.value(row));
        let link = match cell(self.link, row) {
            None | Some("") => LinkKind::None,
            Some("link") => LinkKind::Link(weight.unwrap_or(0.0)),
            Some("include") => LinkKind::Include,
            Some("exclude") => LinkKind::Exclude,
            Some(other) => return Err(RowsError::Link(other.to_owned())),
        };
        Ok(Row {
            source,
            record_id,
            id_type,
            id_value,
            observed_at: self
                .observed_at
                .is_valid(row)
                .then(|| self.observed_at.value(row)),
            link,
        })
    }

    /// Gives the rows to the graph.
    pub(super) fn observe(
        &self,
        builder: &mut GraphBuilder,
        forms: &Forms,
    ) -> Result<(), RowsError> {
        for row in 0..self.len {
            let row = self.row(row, forms)?;
            if let Some(observation) = row.observation() {
                builder.observe(&observation)?;
            }
        }
        Ok(())
    }

    /// Gives the rows to the graph once more.
    pub(super) fn replay(&self, replay: &mut Replay, forms: &Forms) -> Result<(), RowsError> {
        for row in 0..self.len {
            let row = self.row(row, forms)?;
            if let Some(observation) = row.observation() {
                replay.observe(&observation)?;
            }
        }
        Ok(())
    }
}

/// Gives the builder an assignment that was published.
pub(super) fn previous_ids(
    builder: &mut GraphBuilder,
    batch: &RecordBatch,
) -> Result<(), RowsError> {
    let (types, values, ids, minted) = (
        text(batch, 0)?,
        text(batch, 1)?,
        text(batch, 2)?,
        times(batch, 3)?,
    );
    for row in 0..batch.num_rows() {
        let id = cell(ids, row).and_then(|id| CanonicalId::from_str(id).ok());
        if let (Some(id_type), Some(id_value), Some(id)) = (cell(types, row), cell(values, row), id)
        {
            let minted = if minted.is_valid(row) {
                minted.value(row)
            } else {
                0
            };
            builder.previous(id_type, id_value, id, minted)?;
        }
    }
    Ok(())
}

/// The rows of the model with what the resolution says of each; ignored rows are left out.
pub(super) fn judged(
    rows: SendableRecordBatchStream,
    resolution: Arc<Resolution>,
    forms: Arc<Forms>,
    schema: &SchemaRef,
) -> SendableRecordBatchStream {
    let columns = Arc::clone(schema);
    let judged = rows.and_then(move |batch| {
        let result = judge(&batch, &resolution, &forms, &columns);
        async move { result }
    });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), judged))
}

fn judge(
    batch: &RecordBatch,
    resolution: &Resolution,
    forms: &Forms,
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let rows = Rows::of(batch)?;
    let mut texts: [StringBuilder; 4] = Default::default();
    let mut at = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut ids, mut accepted, mut rules) = (
        StringBuilder::new(),
        BooleanBuilder::new(),
        StringBuilder::new(),
    );
    let (mut links, mut weights) = (StringBuilder::new(), Float64Builder::new());
    for row in 0..rows.len {
        let shown = cell(rows.texts[3], row);
        let row = rows
            .row(row, forms)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let verdict = match row.observation() {
            Some(observation) => resolution.verdict_of(&observation),
            None if row.source.is_none() || row.record_id.is_none() => continue,
            None => {
                // None of its type: refused before the graph.
                for (builder, value) in
                    texts
                        .iter_mut()
                        .zip([row.source, row.record_id, row.id_type, shown])
                {
                    builder.append_option(value);
                }
                at.append_option(row.observed_at);
                ids.append_null();
                accepted.append_value(false);
                rules.append_value(NotOfType::RULE);
                links.append_null();
                weights.append_null();
                continue;
            }
        };
        let (id, ok, rule) = match verdict {
            Verdict::Ignored => continue,
            Verdict::Accepted(id) => (Some(id.to_string()), true, None),
            Verdict::Rejected(rule) => (None, false, Some(rule.as_str())),
        };
        let value = row.id_value.as_ref().ok().and_then(|v| v.as_deref());
        for (builder, value) in
            texts
                .iter_mut()
                .zip([row.source, row.record_id, row.id_type, value])
        {
            builder.append_option(value);
        }
        at.append_option(row.observed_at);
        ids.append_option(id);
        accepted.append_value(ok);
        rules.append_option(rule);
        let (link, weight) = match row.link {
            LinkKind::None => (None, None),
            LinkKind::Link(weight) => (Some("link"), Some(weight)),
            LinkKind::Include => (Some("include"), None),
            LinkKind::Exclude => (Some("exclude"), None),
        };
        links.append_option(link);
        weights.append_option(weight);
    }
    let mut arrays: Vec<ArrayRef> = texts
        .iter_mut()
        .map(|b| Arc::new(b.finish()) as ArrayRef)
        .collect();
    arrays.push(Arc::new(at.finish()));
    arrays.push(Arc::new(ids.finish()));
    arrays.push(Arc::new(accepted.finish()));
    arrays.push(Arc::new(rules.finish()));
    arrays.push(Arc::new(links.finish()));
    arrays.push(Arc::new(weights.finish()));
    Ok(RecordBatch::try_new(Arc::clone(schema), arrays)?)
}

pub(super) fn text(batch: &RecordBatch, column: usize) -> Result<&StringArray, DataFusionError> {
    batch
        .columns()
        .get(column)
        .and_then(|c| c.as_string_opt::<i32>())
        .ok_or_else(|| wrong(column))
}

fn times(
    batch: &RecordBatch,
    column: usize,
) -> Result<&TimestampMicrosecondArray, DataFusionError> {
    batch
        .columns()
        .get(column)
        .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        .ok_or_else(|| wrong(column))
}

fn wrong(column: usize) -> DataFusionError {
    DataFusionError::Internal(format!(
        "column {column} of an identity statement has another type"
    ))
}

fn cell(values: &StringArray, row: usize) -> Option<&str> {
    values.is_valid(row).then(|| values.value(row))
}
