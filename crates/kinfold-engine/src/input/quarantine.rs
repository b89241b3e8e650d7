//! Records that cannot be rows.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::InputError;

/// Bytes of a record that the quarantine keeps.
pub(super) const KEPT_BYTES: usize = 64 << 10;

/// A record that cannot be a row.
#[derive(Debug)]
pub(super) struct Bad {
    /// The line on which it starts, from 1.
    pub line: u64,
    /// What is wrong with it. Names columns and types, never values.
    pub reason: Arc<str>,
    /// Its text.
    pub record: String,
}

impl Bad {
    /// Keeps the start of `record`, with replacement characters for what is not UTF-8.
    pub fn new(line: u64, reason: impl Into<Arc<str>>, record: &[u8]) -> Self {
        let kept = record.get(..KEPT_BYTES).unwrap_or(record);
        let mut text = String::from_utf8_lossy(kept).into_owned();
        if kept.len() < record.len() && text.ends_with('\u{fffd}') {
            // The cut went through a character.
            text.pop();
        }
        Self {
            line,
            reason: reason.into(),
            record: text,
        }
    }
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("file", DataType::Utf8, true),
        Field::new("line", DataType::Int64, true),
        Field::new("reason", DataType::Utf8, true),
        Field::new("record", DataType::Utf8, true),
    ]))
});

/// Columns of a source's quarantine.
///
/// - `file`: path of the file as the user would name it;
/// - `line`: the line on which the record starts, from 1; lines inside quoted CSV fields count;
/// - `reason`: what is wrong, with the column and the type where there is one, never with a value;
/// - `record`: the record's text without its line end: its first 64 KiB, with U+FFFD for what is not
///   UTF-8.
#[must_use]
pub fn quarantine_schema() -> SchemaRef {
    SCHEMA.clone()
}

/// The batch of a file's bad records.
pub(super) fn batch(path: &str, bad: &[Bad]) -> Result<RecordBatch, InputError> {
    let mut files = StringBuilder::new();
    let mut reasons = StringBuilder::new();
    let mut records = StringBuilder::new();
    for bad in bad {
        files.append_value(path);
        reasons.append_value(&bad.reason);
        records.append_value(&bad.record);
    }
    let lines: Int64Array = bad.iter().map(|bad| i64::try_from(bad.line).ok()).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(files.finish()),
        Arc::new(lines),
        Arc::new(reasons.finish()),
        Arc::new(records.finish()),
    ];
    RecordBatch::try_new(quarantine_schema(), columns).map_err(|source| InputError::Batch {
        path: path.to_owned(),
        source,
    })
}
