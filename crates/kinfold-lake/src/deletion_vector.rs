//! Deletion vectors: which rows of a data file are no rows of the table any more.
//!
//! The form is that of the Delta protocol ("Deletion Vector Format"): places of rows as a 64-bit
//! Roaring bitmap in its portable serialization, several of them one behind the other in a file
//! `deletion_vector_<uuid>.bin` beside the data.

use std::sync::Arc;

use deltalake_core::kernel::{DeletionVectorDescriptor, StorageType};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::LakeError;
use crate::location::join;

/// First byte of a file of vectors.
const FILE_FORMAT: u8 = 1;
/// First word of a vector.
const MAGIC: u32 = 1_681_511_377;
/// First word of a bitmap of 32 bits without runs, and the low half of it with runs.
const NO_RUNS: u32 = 12_346;
const RUNS: u32 = 12_347;
/// A container with more values is stored as bits.
const ARRAY_MOST: usize = 4096;
const BITS_BYTES: usize = 8192;

/// The deletion vector of a live file, read when it is needed.
#[derive(Debug, Clone)]
pub(crate) struct DeletedRows {
    /// Tells it from other vectors of the same file.
    pub(crate) id: String,
    /// How many rows it names.
    pub(crate) count: u64,
    pub(crate) path: Path,
    offset: u64,
    bytes: u64,
    rows: Arc<OnceCell<Arc<[u64]>>>,
}

impl DeletedRows {
    /// The vector that an entry of the log names; `None` for a form that kinfold does not write.
    pub(crate) fn of(root: &Path, entry: &DeletionVectorDescriptor) -> Option<Self> {
        let name = file_name(entry)?;
        Some(Self {
            id: vector_id(entry),
            count: u64::try_from(entry.cardinality).ok()?,
            path: join(root, &Path::from(name)),
            offset: u64::try_from(entry.offset?).ok()?,
            bytes: u64::try_from(entry.size_in_bytes).ok()?,
            rows: Arc::default(),
        })
    }

    /// The places of the rows, ascending.
    pub(crate) async fn load(&self, store: &dyn ObjectStore) -> Result<Arc<[u64]>, LakeError> {
        let rows = self.rows.get_or_try_init(|| async {
            // The size before it and the checksum behind it are four bytes each.
            let range = self.offset..self.offset + self.bytes + 8;
            let stored = store
                .get_range(&self.path, range)
                .await
                .map_err(|source| LakeError::storage("read", &self.path, source))?;
            let rows = checked(&stored).and_then(decode);
            match rows {
                Some(rows) if rows.len() as u64 == self.count => Ok(rows.into()),
                _ => Err(LakeError::Corrupt {
                    path: self.path.to_string(),
                    reason: "it holds no deletion vector where the log says",
                }),
            }
        });
        rows.await.cloned()
    }
}

/// What tells two vectors of a file apart, as in the key of a live file.
pub(crate) fn vector_id(entry: &DeletionVectorDescriptor) -> String {
    format!(
        "{}@{}",
        entry.path_or_inline_dv,
        entry.offset.unwrap_or_default()
    )
}

/// Name of the file that holds a vector, if it lies beside the data.
pub(crate) fn file_name(entry: &DeletionVectorDescriptor) -> Option<String> {
    if entry.storage_type != StorageType::UuidRelativePath {
        return None;
    }
    let encoded = &entry.path_or_inline_dv;
    let (prefix, uuid) = encoded.split_at_checked(encoded.len().checked_sub(20)?)?;
    let name = format!("deletion_vector_{}.bin", uuid_of(uuid)?);
    Some(if prefix.is_empty() {
        name
    } else {
        format!("{prefix}/{name}")
    })
}

/// Whether a file beside the data holds vectors.
pub(crate) fn is_vector_file(name: &str) -> bool {
    name.starts_with("deletion_vector_") && name.ends_with(".bin")
}

/// Several vectors on their way to one file.
pub(crate) struct VectorFile {
    uuid: Uuid,
    pub(crate) bytes: Vec<u8>,
}

impl VectorFile {
    pub(crate) fn new() -> Self {
        Self {
            uuid: Uuid::new_v4(),
            bytes: vec![FILE_FORMAT],
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("deletion_vector_{}.bin", self.uuid)
    }

    /// Adds the vector of these rows, which are ascending and distinct; `None` if there are more than
    /// a file can hold.
    pub(crate) fn push(&mut self, rows: &[u64]) -> Option<DeletionVectorDescriptor> {
        let vector = encode(rows)?;
        let offset = i32::try_from(self.bytes.len()).ok()?;
        let size = i32::try_from(vector.len()).ok()?;
        self.bytes.extend(size.to_be_bytes());
        self.bytes.extend(&vector);
        self.bytes.extend(crc32(&vector).to_be_bytes());
        Some(DeletionVectorDescriptor {
            storage_type: StorageType::UuidRelativePath,
            path_or_inline_dv: text_of(self.uuid),
            offset: Some(offset),
            size_in_bytes: size,
            cardinality: i64::try_from(rows.len()).ok()?,
        })
    }
}

/// The vector in `stored`, which has its size before it and its checksum behind it.
fn checked(stored: &[u8]) -> Option<&[u8]> {
    let (size, rest) = stored.split_first_chunk()?;
    let (vector, checksum) = rest.split_last_chunk()?;
    let intact = usize::try_from(u32::from_be_bytes(*size)) == Ok(vector.len())
        && u32::from_be_bytes(*checksum) == crc32(vector);
    intact.then_some(vector)
}

fn encode(rows: &[u64]) -> Option<Vec<u8>> {
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    let bitmaps: Vec<&[u64]> = rows.chunk_by(|a, b| a >> 32 == b >> 32).collect();
    bytes.extend((bitmaps.len() as u64).to_le_bytes());
    for bitmap in bitmaps {
        bytes.extend(u32::try_from(bitmap.first()? >> 32).ok()?.to_le_bytes());
        let containers: Vec<&[u64]> = bitmap.chunk_by(|a, b| a >> 16 == b >> 16).collect();
        bytes.extend(NO_RUNS.to_le_bytes());
        bytes.extend(u32::try_from(containers.len()).ok()?.to_le_bytes());
        for container in &containers {
            bytes.extend(high(*container.first()?).to_le_bytes());
            bytes.extend(u16::try_from(container.len() - 1).ok()?.to_le_bytes());
        }
        let mut offset = 8 + containers.len() * 8;
        for container in &containers {
            bytes.extend(u32::try_from(offset).ok()?.to_le_bytes());
            offset += match container.len() {
                few if few <= ARRAY_MOST => few * 2,
                _ => BITS_BYTES,
            };
        }
        for container in containers {
            if container.len() <= ARRAY_MOST {
                bytes.extend(container.iter().flat_map(|row| low(*row).to_le_bytes()));
            } else {
                let mut bits = [0_u8; BITS_BYTES];
                for row in container {
                    let at = usize::from(low(*row));
                    bits[at / 8] |= 1 << (at % 8);
                }
                bytes.extend(bits);
            }
        }
    }
    Some(bytes)
}

/// Bits 16 to 31.
fn high(row: u64) -> u16 {
    u16::try_from((row >> 16) & 0xFFFF).unwrap_or_default()
}

/// Bits 0 to 15.
fn low(row: u64) -> u16 {
    u16::try_from(row & 0xFFFF).unwrap_or_default()
}

/// Reads what [`encode`] or another writer made.
fn decode(vector: &[u8]) -> Option<Vec<u64>> {
    let mut input = Input(vector);
    if u32::from_le_bytes(input.take()?) != MAGIC {
        return None;
    }
    let mut rows = Vec::new();
    for _ in 0..u64::from_le_bytes(input.take()?) {
        let key = u64::from(u32::from_le_bytes(input.take()?)) << 32;
        let cookie = u32::from_le_bytes(input.take()?);
        let (containers, runs) = match cookie {
            NO_RUNS => (u32::from_le_bytes(input.take()?), Vec::new()),
            _ if cookie & 0xFFFF == RUNS => {
                let containers = (cookie >> 16) + 1;
                let flags = input.slice(usize::try_from(containers.div_ceil(8)).ok()?)?;
                (containers, flags.to_vec())
            }
            _ => return None,
        };
        let mut heads = Vec::new();
        for _ in 0..containers {
            let high = u16::from_le_bytes(input.take()?);
            let last = u16::from_le_bytes(input.take()?);
            heads.push((key | u64::from(high) << 16, usize::from(last) + 1));
        }
        if cookie == NO_RUNS || containers >= 4 {
            // Offsets, for those who do not read from the beginning.
            input.slice(heads.len().checked_mul(4)?)?;
        }
        for (at, (base, count)) in heads.into_iter().enumerate() {
            let run = runs
                .get(at / 8)
                .is_some_and(|flags| flags >> (at % 8) & 1 == 1);
            if run {
                for _ in 0..u16::from_le_bytes(input.take()?) {
                    let start = u64::from(u16::from_le_bytes(input.take()?));
                    let more = u64::from(u16::from_le_bytes(input.take()?));
                    rows.extend((start..=start + more).map(|low| base | low));
                }
            } else if count <= ARRAY_MOST {
                for _ in 0..count {
                    rows.push(base | u64::from(u16::from_le_bytes(input.take()?)));
                }
            } else {
                let bits = (0_u64..).zip(input.slice(BITS_BYTES)?);
                rows.extend(bits.flat_map(|(byte, bits)| {
                    let set = (0..8).filter(move |bit| bits >> bit & 1 == 1);
                    set.map(move |bit| base | byte << 3 | bit)
                }));
            }
        }
    }
    (input.0.is_empty() && rows.is_sorted_by(|a, b| a < b)).then_some(rows)
}

/// Bytes that are read from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Digits of base 85 as ZeroMQ's RFC 32 has them.
const DIGITS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

fn text_of(uuid: Uuid) -> String {
    let words = uuid.as_bytes().as_chunks::<4>().0;
    let digits = words.iter().flat_map(|word| {
        let word = u32::from_be_bytes(*word);
        [52_200_625, 614_125, 7225, 85, 1].map(|unit| usize::try_from(word / unit % 85))
    });
    digits
        .map(|digit| char::from(DIGITS[digit.unwrap_or_default()]))
        .collect()
}

fn uuid_of(text: &str) -> Option<Uuid> {
    let mut bytes = Vec::with_capacity(16);
    for digits in text.as_bytes().as_chunks::<5>().0 {
        let word = digits.iter().try_fold(0_u64, |word, digit| {
            let value = DIGITS.iter().position(|known| known == digit)?;
            Some(word * 85 + value as u64)
        })?;
        bytes.extend(u32::try_from(word).ok()?.to_be_bytes());
    }
    Uuid::from_slice(&bytes).ok()
}

/// CRC-32 of ISO/IEC 13239, that of gzip, bit by bit: vectors are short.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn rows_come_back() {
        let sparse: Vec<u64> = (0..3000).map(|n| n * 977).collect();
        let dense: Vec<u64> = (70_000..140_000).filter(|n| n % 3 > 0).collect();
        let wide = vec![0, 1, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (3 << 32) + 7];
        for rows in [vec![], vec![5], sparse, dense, wide] {
            let vector = encode(&rows).unwrap();
            assert_eq!(decode(&vector).unwrap(), rows);
            if !rows.is_empty() {
                assert!(decode(&vector[..vector.len() - 1]).is_none());
            }
        }
    }

    /// Runs, which other writers make of neighbours.
    #[test]
    fn runs_are_read() {
        let mut vector = MAGIC.to_le_bytes().to_vec();
        vector.extend(1_u64.to_le_bytes());
        vector.extend(0_u32.to_le_bytes());
        vector.extend(RUNS.to_le_bytes());
        vector.push(1);
        // Container 2 of seven values: 10..=14 and 20..=21.
        for half in [2_u16, 6, 2, 10, 4, 20, 1] {
            vector.extend(half.to_le_bytes());
        }
        let base = 2 << 16;
        let expected: Vec<u64> = [10, 11, 12, 13, 14, 20, 21].map(|low| base + low).to_vec();
        assert_eq!(decode(&vector).unwrap(), expected);
    }

    #[test]
    fn names_are_those_of_the_protocol() {
        // The example of the protocol's section on deletion vectors.
        let entry = DeletionVectorDescriptor {
            storage_type: StorageType::UuidRelativePath,
            path_or_inline_dv: "ab^-aqEH.-t@S}K{vb[*k^".to_owned(),
            offset: Some(4),
            size_in_bytes: 40,
            cardinality: 6,
        };
        assert_eq!(
            file_name(&entry).unwrap(),
            "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"
        );
        let uuid = Uuid::parse_str("d2c639aa-8816-431a-aaf6-d3fe2512ff61").unwrap();
        assert_eq!(text_of(uuid), "^-aqEH.-t@S}K{vb[*k^");
    }

    #[test]
    fn a_damaged_vector_is_noticed() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let mut file = VectorFile::new();
        file.push(&[1, 2]).unwrap();
        let second = file.push(&[7, 1 << 20]).unwrap();
        let start = usize::try_from(second.offset.unwrap()).unwrap();
        let mut stored = file.bytes[start..].to_vec();
        assert_eq!(checked(&stored).and_then(decode).unwrap(), [7, 1 << 20]);
        let middle = stored.len() / 2;
        stored[middle] ^= 1;
        assert!(checked(&stored).is_none());
    }
}
