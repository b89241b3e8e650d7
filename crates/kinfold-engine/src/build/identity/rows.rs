//! Rows of an identity model, as the graph takes them.

use std::str::FromStr;

use datafusion::arrow::array::{
    Array, AsArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Float64Type, Schema, TimestampMicrosecondType};
use datafusion::common::DataFusionError;
use kinfold_identity::{
    CanonicalId, GraphError, LinkKind, Observation, PreparedPrevious, Preparer, Replay,
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
    /// Somebody ended the run.
    #[error("cancelled")]
    Cancelled,
}

/// The columns of a batch of [`statement`], with values in the form in which they are compared.
pub(super) struct Rows<'b> {
    texts: [&'b StringArray; 4],
    observed_at: &'b TimestampMicrosecondArray,
    /// None if no row has any.
    links: Option<Vec<LinkKind>>,
    /// The form of each value; none if all values are compared as they are.
    forms: Option<Vec<Result<Option<String>, NotOfType>>>,
    len: usize,
}

impl<'b> Rows<'b> {
    pub(super) fn of(batch: &'b RecordBatch, forms: &Forms) -> Result<Self, RowsError> {
        let texts = [
            text(batch, 0)?,
            text(batch, 1)?,
            text(batch, 2)?,
            text(batch, 3)?,
        ];
        let len = batch.num_rows();
        let [_, _, types, values] = texts;
        let forms = (!forms.is_empty()).then(|| {
            let form = |row| match (cell(types, row), cell(values, row)) {
                (Some(id_type), Some(value)) => forms.form(id_type, value),
                _ => Ok(None),
            };
            (0..len).map(form).collect()
        });
        let weights = batch
            .columns()
            .get(6)
            .and_then(|c| c.as_primitive_opt::<Float64Type>())
            .ok_or_else(|| wrong(6))?;
        Ok(Self {
            texts,
            observed_at: times(batch, 4)?,
            links: links(text(batch, 5)?, weights)?,
            forms,
            len,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Every row in order. A value that is none of its type is missing, so that the row names nobody.
    pub(super) fn observations(&self) -> impl ExactSizeIterator<Item = Observation<'_>> {
        (0..self.len).map(|row| {
            let [source, record_id, id_type, _] = self.texts.map(|column| cell(column, row));
            Observation {
                source,
                record_id,
                id_type,
                id_value: self.value(row),
                observed_at: self
                    .observed_at
                    .is_valid(row)
                    .then(|| self.observed_at.value(row)),
                link: self.link(row),
            }
        })
    }

    /// The value as it is compared.
    fn value(&self, row: usize) -> Option<&str> {
        let [.., values] = self.texts;
        match self.forms.as_ref().and_then(|forms| forms.get(row)) {
            Some(Ok(Some(form))) => Some(form),
            Some(Err(NotOfType)) => None,
            Some(Ok(None)) | None => cell(values, row),
        }
    }

    /// Whether the row has all that a row needs, but its value is none of its type.
    pub(super) fn is_malformed(&self, row: usize) -> bool {
        let [source, record_id, ..] = self.texts;
        let form = self.forms.as_ref().and_then(|forms| forms.get(row));
        matches!(form, Some(Err(NotOfType))) && source.is_valid(row) && record_id.is_valid(row)
    }

    /// The values as they are shown: in the form in which they are compared, or as they came if they
    /// have none. None if all are as they came.
    pub(super) fn shown(&self) -> Option<StringArray> {
        let forms = self.forms.as_ref()?;
        let [.., values] = self.texts;
        let formed = forms.iter().any(|form| matches!(form, Ok(Some(_))));
        formed.then(|| {
            let rows = forms.iter().enumerate();
            rows.map(|(row, form)| match form {
                Ok(Some(form)) => Some(form.as_str()),
                _ => cell(values, row),
            })
            .collect()
        })
    }

    /// Source and id of a row's record.
    pub(super) fn record(&self, row: usize) -> (Option<&str>, Option<&str>) {
        let [source, record_id, ..] = self.texts;
        (cell(source, row), cell(record_id, row))
    }

    pub(super) fn link(&self, row: usize) -> LinkKind {
        let links = self.links.as_ref();
        links
            .and_then(|links| links.get(row))
            .copied()
            .unwrap_or_default()
    }

    /// Whether any row is more than a row that carries an identifier.
    pub(super) fn has_links(&self) -> bool {
        self.links.is_some()
    }

    pub(super) fn observed_at(&self) -> &TimestampMicrosecondArray {
        self.observed_at
    }

    /// Gives the rows to the graph once more.
    pub(super) fn replay(&self, replay: &mut Replay) -> Result<(), RowsError> {
        for row in self.observations() {
            replay.observe(&row)?;
        }
        Ok(())
    }
}

fn links(links: &StringArray, weights: &Float64Array) -> Result<Option<Vec<LinkKind>>, RowsError> {
    if links.null_count() == links.len() {
        return Ok(None);
    }
    let link = |row| match cell(links, row) {
        None | Some("") => Ok(LinkKind::None),
        Some("link") => {
            let weight = weights.is_valid(row).then(|| weights.value(row));
            Ok(LinkKind::Link(weight.unwrap_or(0.0)))
        }
        Some("include") => Ok(LinkKind::Include),
        Some("exclude") => Ok(LinkKind::Exclude),
        Some(other) => Err(RowsError::Link(other.to_owned())),
    };
    (0..links.len())
        .map(link)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Makes an assignment that was published ready for the graph.
pub(super) fn previous_ids(
    batch: &RecordBatch,
    preparer: &Preparer,
) -> Result<PreparedPrevious, RowsError> {
    let (types, values, ids, minted) = (
        text(batch, 0)?,
        text(batch, 1)?,
        text(batch, 2)?,
        times(batch, 3)?,
    );
    let rows = (0..batch.num_rows()).filter_map(|row| {
        let id = CanonicalId::from_str(cell(ids, row)?).ok()?;
        let minted = minted.is_valid(row).then(|| minted.value(row));
        Some((
            cell(types, row)?,
            cell(values, row)?,
            id,
            minted.unwrap_or(0),
        ))
    });
    Ok(preparer.previous(rows)?)
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
