//! Lines of JSON in immutable objects: the stored form of plans and acknowledgements.

use bytes::Bytes;
use kinfold_lake::{Lake, LakeError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ActivateError;
use crate::EngineError;

/// A chunk has at most so many rows.
const MAX_ROWS: u64 = 5_000;
/// A chunk is closed once it has so many bytes.
const MAX_BYTES: usize = 4 << 20;

/// An object with lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Name below `_kinfold/`.
    pub(super) name: String,
    /// Lines.
    pub(super) rows: u64,
}

/// Cuts lines into chunks.
pub(super) struct ChunkWriter {
    lake: Lake,
    /// Names of chunks are this and a number.
    prefix: String,
    bytes: Vec<u8>,
    rows: u64,
    chunks: Vec<Chunk>,
}

impl ChunkWriter {
    pub(super) fn new(lake: &Lake, prefix: String) -> Self {
        Self {
            lake: lake.clone(),
            prefix,
            bytes: vec![],
            rows: 0,
            chunks: vec![],
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

    pub(super) async fn finish(mut self) -> Result<Vec<Chunk>, EngineError> {
        self.flush().await?;
        Ok(self.chunks)
    }

    async fn flush(&mut self) -> Result<(), EngineError> {
        if self.rows == 0 {
            return Ok(());
        }
        let name = format!("{}{:06}.ndjson", self.prefix, self.chunks.len());
        self.lake
            .put_new(&name, Bytes::from(std::mem::take(&mut self.bytes)))
            .await?;
        self.chunks.push(Chunk {
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

/// A hash as it stands in lines.
pub(super) fn hex(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter()
        .fold(String::with_capacity(32), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A hash out of a line.
pub(super) fn unhex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 16];
    for (i, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(hash)
}
