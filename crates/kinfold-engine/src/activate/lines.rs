//! Lines of JSON in immutable objects: the stored form of rows that cannot be sent.

use bytes::Bytes;
use kinfold_lake::{Lake, LakeError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ActivateError;
use crate::EngineError;

/// An object has at most so many lines.
const MAX_ROWS: u64 = 20_000;
/// An object is closed once it has so many bytes.
const MAX_BYTES: usize = 4 << 20;

/// An object with lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lines {
    /// Name below `_kinfold/`.
    pub(super) name: String,
    /// Lines.
    pub(super) rows: u64,
}

/// Cuts lines into objects.
pub(super) struct LinesWriter {
    lake: Lake,
    /// Names of objects are this and a number.
    prefix: String,
    bytes: Vec<u8>,
    rows: u64,
    objects: Vec<Lines>,
}

impl LinesWriter {
    pub(super) fn new(lake: &Lake, prefix: String) -> Self {
        Self {
            lake: lake.clone(),
            prefix,
            bytes: vec![],
            rows: 0,
            objects: vec![],
        }
    }

    pub(super) async fn push(&mut self, line: &impl Serialize) -> Result<(), EngineError> {
        append(&mut self.bytes, line, &self.prefix)?;
        self.rows += 1;
        if self.rows >= MAX_ROWS || self.bytes.len() >= MAX_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<Vec<Lines>, EngineError> {
        self.flush().await?;
        Ok(self.objects)
    }

    async fn flush(&mut self) -> Result<(), EngineError> {
        if self.rows == 0 {
            return Ok(());
        }
        let name = format!("{}{:06}.ndjson", self.prefix, self.objects.len());
        self.lake
            .put_new(&name, Bytes::from(std::mem::take(&mut self.bytes)))
            .await?;
        self.objects.push(Lines {
            name,
            rows: std::mem::take(&mut self.rows),
        });
        Ok(())
    }
}

/// Adds one line.
pub(super) fn append(
    bytes: &mut Vec<u8>,
    line: &impl Serialize,
    object: &str,
) -> Result<(), EngineError> {
    serde_json::to_writer(&mut *bytes, line).map_err(|source| EngineError::Document {
        name: object.to_owned(),
        source,
    })?;
    bytes.push(b'\n');
    Ok(())
}

/// All lines of an object.
pub(super) async fn read<T: DeserializeOwned>(
    lake: &Lake,
    name: &str,
) -> Result<Vec<T>, EngineError> {
    let stored = |reason| ActivateError::Stored {
        object: name.to_owned(),
        reason,
    };
    let bytes = match lake.get(name).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(stored("it is missing").into()),
        Err(LakeError::Corrupt { .. }) => return Err(stored("it is too large").into()),
        Err(error) => return Err(error.into()),
    };
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line)
                .map_err(|_| stored("a line is not what kinfold writes").into())
        })
        .collect()
}

/// A hash in hexadecimal digits.
pub(super) fn hex(hash: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| {
        DIGITS
            .get(usize::from(half))
            .copied()
            .map_or('0', char::from)
    };
    let mut text = String::with_capacity(hash.len() * 2);
    for byte in hash {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}
