//! From the rows of a batch to its statements.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::catalogue::Table;
use super::copy;
use super::statement::{self, Rows, Statement};
use crate::{Batch, BatchOperation, DestinationError, json_form};

/// What a batch becomes.
pub(super) struct Prepared {
    pub(super) statements: Vec<Statement>,
    /// Rows that are in no statement, by their index, and why.
    pub(super) refused: BTreeMap<usize, &'static str>,
}

/// Rows with the same fields.
#[derive(Default)]
struct Shape {
    rows: Vec<Map<String, Value>>,
    indexes: Vec<usize>,
}

/// One statement for every set of fields that occurs in the batch: a missing field is left alone, and a
/// null is written. From `copied` rows on they are copied into a temporary table, if they can be.
pub(super) fn prepare(
    batch: &Batch,
    table: &Table,
    key_fields: &[String],
    copied: usize,
) -> Result<Prepared, DestinationError> {
    let mut shapes: BTreeMap<BTreeSet<String>, Shape> = BTreeMap::new();
    let mut refused = BTreeMap::new();
    for (index, change) in batch.changes.iter().enumerate() {
        let (Some(mut row), Some(values)) = (change.key.parse(), change.fields.parse()) else {
            refused.insert(index, "the row's key or fields cannot be read");
            continue;
        };
        let mut fields = BTreeSet::new();
        if batch.operation != BatchOperation::Delete {
            fields.extend(values.keys().cloned());
            row.extend(values);
        }
        if let Err(reason) = with_bytes(table, &mut row) {
            refused.insert(index, reason);
            continue;
        }
        let shape = shapes.entry(fields).or_default();
        shape.rows.push(row);
        shape.indexes.push(index);
    }
    let numbered = batch.operation == BatchOperation::Update;
    let mut statements = Vec::with_capacity(shapes.len());
    for (position, (fields, shape)) in shapes.into_iter().enumerate() {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let keys = key_fields.iter().map(String::as_str);
        let columns: Vec<&str> = keys.chain(fields.iter().copied()).collect();
        let data = if table.may_stage && shape.rows.len() >= copied {
            let indexes = numbered.then_some(shape.indexes.as_slice());
            copy::data(table, &columns, &shape.rows, indexes)?
        } else {
            None
        };
        let (source, rows) = match data {
            Some(data) => {
                let stage = format!("kinfold_rows_{position}");
                let (source, create, copy) =
                    statement::from_stage(table, &columns, numbered, &stage)?;
                let joined = matches!(
                    batch.operation,
                    BatchOperation::Update | BatchOperation::Delete
                );
                let analyse = joined.then(|| statement::analyse(&stage));
                let rows = Rows::Staged {
                    create,
                    copy,
                    analyse,
                    data,
                };
                (source, rows)
            }
            None => {
                let ordinal = numbered.then_some(table.ordinal.as_str());
                (
                    statement::from_json(table, &columns, numbered)?,
                    Rows::Json(json(shape, ordinal)),
                )
            }
        };
        statements.push(Statement {
            sql: statement::sql(batch.operation, table, key_fields, &fields, &source),
            rows,
        });
    }
    Ok(Prepared {
        statements,
        refused,
    })
}

/// The rows as JSON, each with its index if `ordinal` is its name.
fn json(shape: Shape, ordinal: Option<&str>) -> String {
    let rows = shape
        .rows
        .into_iter()
        .zip(shape.indexes)
        .map(|(mut row, index)| {
            if let Some(ordinal) = ordinal {
                row.insert(ordinal.to_owned(), Value::from(index));
            }
            Value::Object(row)
        })
        .collect();
    Value::Array(rows).to_string()
}

/// Writes the values of binary columns as the server takes bytes.
///
/// # Errors
/// A value is not the digits of bytes: the server would take its letters for the bytes.
pub(super) fn with_bytes(table: &Table, row: &mut Map<String, Value>) -> Result<(), &'static str> {
    for (name, value) in row {
        let is_binary = table
            .columns
            .get(name)
            .is_some_and(|column| column.is_binary());
        if is_binary {
            bytes(value)?;
        }
    }
    Ok(())
}

fn bytes(value: &mut Value) -> Result<(), &'static str> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter_mut().try_for_each(bytes),
        Value::String(text) => {
            let digits = json_form::hex_digits(text);
            let digits = digits.ok_or("a binary column takes hexadecimal digits")?;
            *text = format!("\\x{digits}");
            Ok(())
        }
        _ => Err("a binary column takes hexadecimal digits"),
    }
}
