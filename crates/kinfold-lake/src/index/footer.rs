//! The end of an index: what it is of, and the checksums of all before it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BLOCK_ROWS, IndexColumns, IndexKey, check, described};

/// Newest format that this program reads, and the one that it writes.
const FORMAT: u64 = 1;
/// Last bytes of an index.
const MAGIC: [u8; 8] = *b"kinfidx1";
/// Checksum, length and magic word behind the text of a footer.
const TAIL: usize = 8 + 4 + 8;

/// What an index is of, and checksums. Stored as JSON behind the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footer {
    format: u64,
    /// Name and size of the data file.
    pub(super) file: String,
    pub(super) file_bytes: u64,
    pub(super) rows: u64,
    pub(super) key: IndexKey,
    columns: String,
    /// Of each column of each block.
    pub(super) checks: Vec<u64>,
}

impl Footer {
    pub(super) fn new(
        (file, file_bytes): (&str, u64),
        rows: u64,
        key: IndexKey,
        columns: IndexColumns,
        checks: Vec<u64>,
    ) -> Self {
        Self {
            format: FORMAT,
            file: file.to_owned(),
            file_bytes,
            rows,
            key,
            columns: described(columns),
            checks,
        }
    }

    pub(super) fn encode(&self) -> Option<Bytes> {
        let mut bytes = serde_json::to_vec(self).ok()?;
        let length = u32::try_from(bytes.len()).ok()?;
        let sum = check(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(MAGIC);
        Some(bytes.into())
    }

    /// How many bytes the footer has at the end of `end`; none if that is no end of an index.
    pub(super) fn length(end: &[u8]) -> Option<usize> {
        let (rest, magic) = end.split_last_chunk::<8>()?;
        let (_, length) = rest.split_last_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        (*magic == MAGIC).then_some(length + TAIL)
    }

    /// The footer at the end of `end`, if all of it is there and whole.
    pub(super) fn decode(end: &[u8]) -> Option<Self> {
        let start = end.len().checked_sub(Self::length(end)?)?;
        let text = end.get(start..end.len() - TAIL)?;
        let (sum, _) = end.get(end.len() - TAIL..)?.split_first_chunk::<8>()?;
        if check(text) != u64::from_le_bytes(*sum) {
            return None;
        }
        let footer: Self = serde_json::from_slice(text).ok()?;
        (footer.format == FORMAT).then_some(footer)
    }

    /// Whether it is the footer of this file's index with these columns.
    pub(super) fn is_of(
        &self,
        file: (&str, u64),
        rows: Option<u64>,
        columns: IndexColumns,
        size: u64,
    ) -> bool {
        let width: usize = columns.iter().map(|column| column.width().bytes()).sum();
        let checks = self.blocks().checked_mul(columns.len());
        (self.file.as_str(), self.file_bytes) == file
            && rows.is_none_or(|rows| rows == self.rows)
            && self.columns == described(columns)
            && checks == Some(self.checks.len())
            && self
                .rows
                .checked_mul(width as u64)
                .is_some_and(|rows| rows < size)
    }

    pub(super) fn blocks(&self) -> usize {
        usize::try_from(self.rows.div_ceil(BLOCK_ROWS as u64)).unwrap_or(usize::MAX)
    }

    /// Rows of a block: all have as many, but the last one.
    pub(super) fn rows_of(&self, block: usize) -> u64 {
        let before = (block as u64).saturating_mul(BLOCK_ROWS as u64);
        self.rows.saturating_sub(before).min(BLOCK_ROWS as u64)
    }
}
