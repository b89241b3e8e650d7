//! Values of YAML in the type of a column.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options, concat};
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::ReaderBuilder;
use kinfold_project::{Value, ValueKind};
use serde_json::{Map, Value as Json};

/// The values as a column.
///
/// # Errors
/// The position of the first value that is none of the type.
pub(super) fn array(field: &FieldRef, cells: &[Option<&Value>]) -> Result<ArrayRef, usize> {
    if let Ok(array) = all(field, cells) {
        return Ok(array);
    }
    // One after the other, so that it is known which one does not fit.
    let mut parts = vec![];
    for (at, cell) in cells.iter().enumerate() {
        parts.push(all(field, std::slice::from_ref(cell)).map_err(|_| at)?);
    }
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    concat(&parts).map_err(|_| 0)
}

fn all(field: &FieldRef, cells: &[Option<&Value>]) -> Result<ArrayRef, ArrowError> {
    if cells.is_empty() {
        return Ok(new_null_array(field.data_type(), 0));
    }
    if field.data_type().is_nested() {
        return nested(field, cells);
    }
    let texts: StringArray = cells.iter().map(|cell| cell.and_then(text)).collect();
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(&texts, field.data_type(), &options)
}

/// A value as it would be written in a literal.
fn text(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Null => None,
        ValueKind::Bool(flag) => Some(flag.to_string()),
        ValueKind::Int(number) => Some(number.to_string()),
        // A whole number has no point, so that it may be one of an integer column.
        ValueKind::Float(number) => Some(number.to_string()),
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::List(_) | ValueKind::Map(_) => Some(value.to_json().to_string()),
    }
}

/// Lists, structs and maps, from YAML or from the text of JSON.
fn nested(field: &FieldRef, cells: &[Option<&Value>]) -> Result<ArrayRef, ArrowError> {
    let mut rows = vec![];
    for cell in cells {
        let json = match cell.map(|cell| &cell.kind) {
            None => Json::Null,
            Some(ValueKind::String(text)) => serde_json::from_str(text)
                .map_err(|error| ArrowError::JsonError(error.to_string()))?,
            Some(_) => cell.map_or(Json::Null, Value::to_json),
        };
        rows.push(Json::Object(Map::from_iter([(field.name().clone(), json)])));
    }
    let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
    let mut decoder = ReaderBuilder::new(schema)
        .with_batch_size(rows.len())
        .build_decoder()?;
    decoder.serialize(&rows)?;
    let batch = decoder.flush()?;
    batch
        .and_then(|batch| batch.columns().first().cloned())
        .ok_or_else(|| ArrowError::JsonError("there is no row".to_owned()))
}
