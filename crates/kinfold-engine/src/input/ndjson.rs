//! One JSON object per line.
//!
//! Lines with nothing but spaces are no records. Keys that the source has no column for are left
//! out; keys that a record does not have are null. A column of text takes any value: strings as they
//! are, everything else as its JSON text, so a column may keep raw payloads. Other columns take a
//! number, a boolean or a string that is a value of their type; numbers are not times.

use arrow::datatypes::SchemaRef;
use memchr::memchr;
use serde::de::IgnoredAny;

use super::InputError;
use super::block::{Block, Framing, Scan};
use super::cast::cast_columns;
use super::json::Column;
use super::landing::Decoded;
use super::quarantine::Bad;

/// Cuts text into lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineFraming;

impl Framing for LineFraming {
    fn scan(&self, window: &[u8], at_end: bool) -> Scan {
        let (line, bytes) = match memchr(b'\n', window) {
            Some(end) => (window.get(..end).unwrap_or_default(), end + 1),
            None if at_end => (window, window.len()),
            None => return Scan::More,
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return Scan::Blank { bytes };
        }
        Scan::Record {
            content: line.len(),
            bytes,
            lines: 1,
        }
    }
}

/// The JSON of a line, or why there is none.
pub(super) fn checked(line: &[u8]) -> Result<&str, String> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    match serde_json::from_str::<IgnoredAny>(line) {
        Ok(_) => Ok(line.trim()),
        Err(error) if error.is_eof() => Err("not JSON: it ends too early".to_owned()),
        Err(error) => Err(format!("not JSON at byte {}", error.column())),
    }
}

/// Makes rows of lines.
pub(super) fn decode(
    schema: &SchemaRef,
    path: &str,
    mut block: Block,
) -> Result<Decoded, InputError> {
    let failed = |source| InputError::Batch {
        path: path.to_owned(),
        source,
    };
    let mut bad = std::mem::take(&mut block.broken);
    let mut rows = Column::of_fields(schema.fields());
    let mut kept = Vec::with_capacity(block.records.len());
    for record in block.records.iter().copied() {
        let line = block.record(record);
        let appended = checked(line).and_then(|json| rows.append_row(json));
        match appended {
            Ok(()) => kept.push(record),
            Err(reason) => {
                rows.truncate(kept.len());
                bad.push(Bad::new(record.line, reason, line));
            }
        }
    }
    let columns = rows.into_columns().map_err(failed)?;
    let cast = cast_columns(schema, columns).map_err(failed)?;
    cast.split(path, &block, &kept, bad)
}

impl Column {
    fn append_row(&mut self, json: &str) -> Result<(), String> {
        if !json.starts_with('{') {
            return Err("not a JSON object".to_owned());
        }
        self.append(json).map_err(|refusal| refusal.reason())
    }
}
