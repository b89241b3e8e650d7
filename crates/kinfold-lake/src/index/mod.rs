//! Row indices: which rows of a data file may hold a value, without decoding it.
//!
//! Beside a data file of a table that asks for it lies `<data file>.index`: for each row a keyed hash of
//! some of its texts, or the first bytes of an id, all of one width and in the order of the rows. To look for
//! a hundred thousand values among ten million rows is then to run once over bytes that need no
//! decoding, a few at a time.
//!
//! An index is a cache. It names its data file and carries checksums; one that is missing, damaged, of
//! another file, of other columns or of another format is made anew from the data file, and nothing
//! depends on whether it was there. It is written with its data file and goes with it: see
//! [`crate::Lake::vacuum`]. Its key is drawn at random for each write, so it says nothing of a value that
//! is gone from the data, not even to who can guess it.

mod footer;
mod needles;
mod read;
mod write;

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use siphasher::sip128::SipHasher13;
use uuid::Uuid;

use crate::LakeError;
pub use needles::{Found, Needles};
pub use read::IndexedFile;
pub(crate) use read::new_key;
pub(crate) use write::IndexWriter;

/// Rows that are checked and searched together.
const BLOCK_ROWS: usize = 1 << 16;

/// Bytes that an index keeps of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Finds a few rows among many, and others by chance: what is found has to be compared.
    Four = 4,
    /// Finds others hardly ever, but what is found still has to be compared.
    Eight = 8,
    /// As good as the text: two of a billion are equal with a probability below 10⁻¹⁰.
    Twelve = 12,
    /// The whole hash, or the whole id.
    Sixteen = 16,
}

impl Width {
    fn bytes(self) -> usize {
        self as usize
    }
}

/// What an index keeps of every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexColumn {
    /// A hash of these columns, which are texts. A missing text is another one than the empty text.
    Hash {
        /// Their names.
        of: &'static [&'static str],
        /// Bytes of the hash.
        width: Width,
    },
    /// The first bytes of a UUID in its hyphenated form; zeros for any other text.
    Uuid {
        /// The column's name.
        of: &'static str,
        /// Bytes of it.
        width: Width,
    },
}

/// What an index keeps, in order. None: there is no index.
pub type IndexColumns = &'static [IndexColumn];

/// Key of the hashes of an index.
pub type IndexKey = [u8; 16];

impl IndexColumn {
    fn width(self) -> Width {
        match self {
            Self::Hash { width, .. } | Self::Uuid { width, .. } => width,
        }
    }

    fn names(&self) -> Vec<&'static str> {
        match self {
            Self::Hash { of, .. } => of.to_vec(),
            Self::Uuid { of, .. } => vec![of],
        }
    }

    /// What tells it from other columns, in a stored index.
    fn described(&self) -> String {
        match self {
            Self::Hash { of, width } => format!("hash({}):{}", of.join(","), width.bytes()),
            Self::Uuid { of, width } => format!("uuid({of}):{}", width.bytes()),
        }
    }

    /// Appends what it keeps of each row.
    fn keep(
        &self,
        batch: &RecordBatch,
        hasher: &SipHasher13,
        kept: &mut Vec<u8>,
    ) -> Result<(), LakeError> {
        let texts = |name: &str| -> Result<StringArray, LakeError> {
            let column = batch.column_by_name(name);
            let texts = column.and_then(|column| column.as_string_opt::<i32>());
            texts.cloned().ok_or_else(|| LakeError::Corrupt {
                path: name.to_owned(),
                reason: "an indexed column is missing or no text",
            })
        };
        let width = self.width().bytes();
        match self {
            Self::Hash { of, .. } => {
                let columns = of.iter().map(|name| texts(name));
                let columns = columns.collect::<Result<Vec<_>, _>>()?;
                let mut buffer = Vec::new();
                for row in 0..batch.num_rows() {
                    let parts = columns
                        .iter()
                        .map(|texts| texts.is_valid(row).then(|| texts.value(row)));
                    kept.extend(hash(hasher, parts, &mut buffer).iter().take(width));
                }
            }
            Self::Uuid { of, .. } => {
                for text in &texts(of)? {
                    kept.extend(uuid(text).iter().take(width));
                }
            }
        }
        Ok(())
    }
}

fn described(columns: IndexColumns) -> String {
    let each: Vec<String> = columns.iter().map(IndexColumn::described).collect();
    each.join(" ")
}

/// The columns of the table that an index is made of.
fn names(columns: IndexColumns) -> Vec<&'static str> {
    let all: BTreeSet<&str> = columns.iter().flat_map(IndexColumn::names).collect();
    all.into_iter().collect()
}

/// SipHash-1-3 with 128 bits (Aumasson and Bernstein 2012) over the texts, each after its length.
fn hash<'t>(
    hasher: &SipHasher13,
    parts: impl IntoIterator<Item = Option<&'t str>>,
    buffer: &mut Vec<u8>,
) -> [u8; 16] {
    buffer.clear();
    for part in parts {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        buffer.extend(length.to_le_bytes());
        buffer.extend(part.unwrap_or_default().as_bytes());
    }
    u128::from(hasher.hash(buffer)).to_le_bytes()
}

fn uuid(text: Option<&str>) -> [u8; 16] {
    let id = text.filter(|text| text.len() == 36).map(Uuid::try_parse);
    id.and_then(Result::ok).unwrap_or_default().into_bytes()
}

/// Name of the index of a data file.
pub(crate) fn index_name(data_file: &str) -> String {
    format!("{data_file}.index")
}

/// Eight bytes of BLAKE3.
fn check(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    let first = hash.as_bytes().first_chunk::<8>();
    first.map_or(0, |first| u64::from_le_bytes(*first))
}
