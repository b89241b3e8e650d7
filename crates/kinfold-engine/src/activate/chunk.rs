//! Chunks: the rows of a plan in immutable objects, as Arrow streams.
//!
//! A chunk is found by its name and believed by its hashes, so that a damaged plan is noticed before
//! anything of it is sent. The payloads, which are most of it, come last in it: what only has to learn the
//! outcomes reads the rest.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, StringArray,
    StringBuilder, UInt32Array, UInt32Builder,
};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::CompressionType;
use datafusion::arrow::ipc::reader::StreamDecoder;
use datafusion::arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use kinfold_lake::{Lake, LakeError};
use kinfold_sync::ObjectText;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use twox_hash::XxHash64;

use super::ActivateError;
use super::canonical::Layout;
use super::class::{Before, Class, Row};
use super::compare::hash_of;
use super::keys::Hash;
use crate::EngineError;

/// A chunk has at most so many rows.
const MAX_ROWS: usize = 20_000;
/// A chunk is closed once its texts have so many bytes.
const MAX_BYTES: usize = 8 << 20;
/// Bytes of a plan that are stored without compression.
const MOST_PLAIN_BYTES: u64 = 2 << 30;

fn column(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

static ROWS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        column("operation", DataType::Utf8),
        column("key_hash", DataType::Binary),
        column("key", DataType::Utf8),
        column("payload_hash", DataType::Binary),
        column("digest", DataType::Binary),
        column("confirmed", DataType::Binary),
        column("confirmed_digest", DataType::Binary),
        column("ours", DataType::Boolean),
        column("uncertain", DataType::Boolean),
        column("attempts", DataType::UInt32),
        column("first_error", DataType::Utf8),
        column("mapping", DataType::Utf8),
    ]))
});

static PAYLOADS: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(vec![column("payload", DataType::Utf8)])));

/// An object with rows of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Name below `_kinfold/`.
    pub(super) name: String,
    /// How many of its rows belong to the plan; the first ones.
    pub(super) rows: u64,
    /// Checksum of the part with the payloads.
    hash: String,
    /// Bytes of the part before it.
    head_bytes: u64,
    /// Checksum of them.
    head_hash: String,
}

/// How much of a plan is stored without compression: as long as a plan on a disk is small, time is what counts,
/// and then space. Shared by all writers of a plan.
#[derive(Clone)]
pub(super) struct Room(Arc<AtomicU64>);

impl Room {
    /// That of a new plan.
    pub(super) fn of(lake: &Lake) -> Self {
        let bytes = if lake.url().is_local() {
            MOST_PLAIN_BYTES
        } else {
            0
        };
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Takes the room of a chunk, if it is left.
    fn take(&self) -> bool {
        let taken = |left: u64| left.checked_sub(MAX_BYTES as u64);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.fetch_update(set, fetch, taken).is_ok()
    }
}

/// Cuts rows into chunks.
pub(super) struct ChunkWriter {
    lake: Lake,
    room: Room,
    /// Names of chunks are this and a number.
    prefix: String,
    rows: Rows,
    /// The chunk that is being written while the next one fills.
    pending: Option<JoinHandle<Result<Chunk, EngineError>>>,
    chunks: Vec<Chunk>,
    begun: usize,
}

impl ChunkWriter {
    pub(super) fn new(lake: &Lake, room: &Room, prefix: String) -> Self {
        Self {
            lake: lake.clone(),
            room: room.clone(),
            prefix,
            rows: Rows::default(),
            pending: None,
            chunks: vec![],
            begun: 0,
        }
    }

    pub(super) async fn push(&mut self, row: &Row<'_>) -> Result<(), EngineError> {
        self.rows.push(row);
        if self.rows.count >= MAX_ROWS || self.rows.bytes >= MAX_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<Vec<Chunk>, EngineError> {
        self.flush().await?;
        self.settle().await?;
        Ok(self.chunks)
    }

    async fn flush(&mut self) -> Result<(), EngineError> {
        if self.rows.count == 0 {
            return Ok(());
        }
        let next = self.rows.like();
        let rows = std::mem::replace(&mut self.rows, next);
        let name = format!("{}{:06}.arrow", self.prefix, self.begun);
        self.begun += 1;
        self.settle().await?;
        let lake = self.lake.clone();
        let plain = self.room.take();
        self.pending = Some(tokio::spawn(async move {
            let (rows, payloads) = rows.finish()?;
            write(&lake, name, plain, &rows, &payloads).await
        }));
        Ok(())
    }

    /// Waits for the chunk that is being written.
    async fn settle(&mut self) -> Result<(), EngineError> {
        if let Some(pending) = self.pending.take() {
            let ended = pending.await;
            let written = ended.map_err(|error| DataFusionError::External(Box::new(error)))?;
            self.chunks.push(written?);
        }
        Ok(())
    }
}

async fn write(
    lake: &Lake,
    name: String,
    plain: bool,
    rows: &RecordBatch,
    payloads: &RecordBatch,
) -> Result<Chunk, EngineError> {
    let compression = (!plain).then_some(CompressionType::LZ4_FRAME);
    let mut bytes =
        Vec::with_capacity(rows.get_array_memory_size() + payloads.get_array_memory_size());
    encode(rows, compression, &mut bytes).map_err(DataFusionError::from)?;
    let head_bytes = bytes.len();
    encode(payloads, compression, &mut bytes).map_err(DataFusionError::from)?;
    let bytes = Bytes::from(bytes);
    let chunk = Chunk {
        name,
        rows: rows.num_rows() as u64,
        hash: checksum(&bytes.slice(head_bytes..)),
        head_bytes: head_bytes as u64,
        head_hash: checksum(&bytes.slice(..head_bytes)),
    };
    lake.put_new(&chunk.name, bytes).await?;
    Ok(chunk)
}

/// XXH64 in hexadecimal digits: it has to notice what a disk or a network does to bytes, not what a person does,
/// who could as well replace the plan that names it.
fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash64::oneshot(0, bytes))
}

/// Whether bytes have a checksum; in plans up to format 4 it is their BLAKE3.
fn has_checksum(bytes: &[u8], sum: &str) -> bool {
    if sum.len() == 16 {
        return checksum(bytes) == sum;
    }
    blake3::hash(bytes).to_hex().as_str() == sum
}

/// Appends a batch as a stream of its own.
fn encode(
    batch: &RecordBatch,
    compression: Option<CompressionType>,
    out: &mut Vec<u8>,
) -> Result<(), ArrowError> {
    let options = IpcWriteOptions::default().try_with_compression(compression)?;
    let mut writer = StreamWriter::try_new_with_options(out, &batch.schema(), options)?;
    writer.write(batch)?;
    writer.finish()
}

/// Reads what [`encode`] wrote; none if it is something else.
fn decode(bytes: Bytes, schema: &SchemaRef) -> Option<RecordBatch> {
    // Columns are parts of the bytes; nothing is copied.
    let mut bytes = Buffer::from(bytes);
    let mut decoder = StreamDecoder::new();
    while !bytes.is_empty() {
        if let Some(batch) = decoder.decode(&mut bytes).ok()? {
            return (batch.schema().fields() == schema.fields()).then_some(batch);
        }
    }
    None
}

#[derive(Default)]
struct Rows {
    operation: StringBuilder,
    key_hash: BinaryBuilder,
    key: StringBuilder,
    payload: StringBuilder,
    payload_hash: BinaryBuilder,
    digest: BinaryBuilder,
    confirmed: BinaryBuilder,
    confirmed_digest: BinaryBuilder,
    ours: BooleanBuilder,
    uncertain: BooleanBuilder,
    attempts: UInt32Builder,
    first_error: StringBuilder,
    mapping: StringBuilder,
    count: usize,
    bytes: usize,
}

impl Rows {
    /// None yet, with memory for as many: the next chunk is hardly ever another one's size.
    fn like(&self) -> Self {
        let texts = |builder: &StringBuilder| {
            StringBuilder::with_capacity(self.count, builder.values_slice().len())
        };
        let bytes = |builder: &BinaryBuilder| {
            BinaryBuilder::with_capacity(self.count, builder.values_slice().len())
        };
        Self {
            operation: texts(&self.operation),
            key_hash: bytes(&self.key_hash),
            key: texts(&self.key),
            payload: texts(&self.payload),
            payload_hash: bytes(&self.payload_hash),
            digest: bytes(&self.digest),
            confirmed: bytes(&self.confirmed),
            confirmed_digest: bytes(&self.confirmed_digest),
            ..Self::default()
        }
    }

    fn push(&mut self, row: &Row<'_>) {
        let key = row.key.unwrap_or_default();
        self.count += 1;
        self.bytes += 64 + key.len() + row.payload.map_or(0, |payload| payload.values.len());
        self.operation.append_value(row.class.word());
        self.key_hash.append_value(row.key_hash.to_be_bytes());
        self.key.append_value(key);
        self.payload
            .append_option(row.payload.map(|payload| payload.values));
        self.payload_hash
            .append_option(row.payload.map(|payload| payload.hash));
        self.digest.append_option(stored(row.digest));
        let Before {
            confirmed,
            digest,
            ours,
            uncertain,
            attempts,
            first_error,
            mapping,
        } = &row.before;
        self.confirmed.append_option(confirmed.as_ref());
        self.confirmed_digest.append_option(stored(*digest));
        self.ours.append_value(*ours);
        self.uncertain.append_value(*uncertain);
        self.attempts.append_value(*attempts);
        self.first_error.append_option(first_error.as_deref());
        self.mapping.append_option(mapping.as_deref());
    }

    /// The rows and their payloads.
    fn finish(mut self) -> Result<(RecordBatch, RecordBatch), EngineError> {
        let payloads: Vec<ArrayRef> = vec![Arc::new(self.payload.finish())];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.operation.finish()),
            Arc::new(self.key_hash.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.payload_hash.finish()),
            Arc::new(self.digest.finish()),
            Arc::new(self.confirmed.finish()),
            Arc::new(self.confirmed_digest.finish()),
            Arc::new(self.ours.finish()),
            Arc::new(self.uncertain.finish()),
            Arc::new(self.attempts.finish()),
            Arc::new(self.first_error.finish()),
            Arc::new(self.mapping.finish()),
        ];
        let rows = RecordBatch::try_new(Arc::clone(&ROWS), columns);
        let payloads = RecordBatch::try_new(Arc::clone(&PAYLOADS), payloads);
        Ok((
            rows.map_err(DataFusionError::from)?,
            payloads.map_err(DataFusionError::from)?,
        ))
    }
}

/// A digest as it is stored; 0 means that there is none.
fn stored(digest: Hash) -> Option<[u8; 16]> {
    (digest != 0).then(|| digest.to_be_bytes())
}

/// The rows of a chunk, without their payloads.
pub(super) struct ChunkRows {
    batch: RecordBatch,
    pub(super) operation: StringArray,
    pub(super) key_hash: BinaryArray,
    pub(super) key: StringArray,
    pub(super) payload_hash: BinaryArray,
    pub(super) digest: BinaryArray,
    pub(super) confirmed: BinaryArray,
    pub(super) confirmed_digest: BinaryArray,
    pub(super) ours: BooleanArray,
    pub(super) uncertain: BooleanArray,
    pub(super) attempts: UInt32Array,
    pub(super) first_error: StringArray,
    pub(super) mapping: StringArray,
}

impl Chunk {
    fn stored(&self, reason: &'static str) -> ActivateError {
        ActivateError::Stored {
            object: self.name.clone(),
            reason,
        }
    }

    /// Bytes that must have this hash.
    async fn bytes(
        &self,
        lake: &Lake,
        range: Range<u64>,
        hash: &str,
    ) -> Result<Bytes, EngineError> {
        let bytes = match lake.get_range(&self.name, range).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(self.stored("it is missing").into()),
            Err(LakeError::Corrupt { .. }) => return Err(self.stored("it is too large").into()),
            Err(error) => return Err(error.into()),
        };
        if !has_checksum(&bytes, hash) {
            return Err(self.stored("it is not what the plan names").into());
        }
        Ok(bytes)
    }

    fn decode(&self, bytes: Bytes, schema: &SchemaRef) -> Result<RecordBatch, ActivateError> {
        let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
        decode(bytes, schema)
            .filter(|batch| batch.num_rows() >= rows)
            .map(|batch| batch.slice(0, rows))
            .ok_or_else(|| self.stored("it does not hold the rows that the plan says"))
    }

    /// Reads the rows of the plan.
    pub(super) async fn rows(&self, lake: &Lake) -> Result<ChunkRows, EngineError> {
        let bytes = self
            .bytes(lake, 0..self.head_bytes, &self.head_hash)
            .await?;
        Ok(ChunkRows::of(self.decode(bytes, &ROWS)?))
    }

    /// Reads their payloads, objects of this layout.
    pub(super) async fn payloads(
        &self,
        lake: &Lake,
        layout: &Layout,
    ) -> Result<Payloads, EngineError> {
        let packed = self.packed(lake).await?;
        let payloads = Payloads::of(&packed, layout);
        Ok(payloads.ok_or_else(|| self.stored("its rows have other fields"))?)
    }

    /// Their payloads without names: null where the model has the row no more.
    async fn packed(&self, lake: &Lake) -> Result<StringArray, EngineError> {
        let bytes = self
            .bytes(lake, self.head_bytes..u64::MAX, &self.hash)
            .await?;
        let batch = self.decode(bytes, &PAYLOADS)?;
        Ok(batch.column(0).as_string::<i32>().clone())
    }

    /// Writes the same rows under another name.
    pub(super) async fn copy(&self, lake: &Lake, name: String) -> Result<Self, EngineError> {
        let (rows, payloads) = (self.rows(lake).await?, self.packed(lake).await?);
        write(lake, name, false, &rows.batch, &batch_of(payloads)?).await
    }

    /// Writes some of its rows as a chunk of their own; `class` replaces what is to happen to them. None if
    /// there are none.
    pub(super) async fn part(
        &self,
        lake: &Lake,
        rows: &ChunkRows,
        (mask, class): (&BooleanArray, Option<Class>),
        suffix: &str,
    ) -> Result<Option<Self>, EngineError> {
        if mask.true_count() == 0 {
            return Ok(None);
        }
        let filtered = |batch| filter_record_batch(batch, mask).map_err(DataFusionError::from);
        let payloads = batch_of(self.packed(lake).await?)?;
        let payloads = filtered(&payloads)?;
        let mut batch = filtered(&rows.batch)?;
        if let Some(class) = class {
            let words = std::iter::repeat_n(class.word(), batch.num_rows());
            let mut columns = batch.columns().to_vec();
            if let Some(operation) = columns.first_mut() {
                *operation = Arc::new(StringArray::from_iter_values(words));
            }
            batch =
                RecordBatch::try_new(Arc::clone(&ROWS), columns).map_err(DataFusionError::from)?;
        }
        let base = self.name.trim_end_matches(".arrow");
        let name = format!("{base}-{suffix}.arrow");
        Ok(Some(write(lake, name, false, &batch, &payloads).await?))
    }

    /// The first so many rows.
    pub(super) fn first(&self, rows: u64) -> Self {
        Self {
            rows: self.rows.min(rows),
            ..self.clone()
        }
    }

    /// Writes the chunk again without the rows whose keys are not kept; none if nothing is left.
    pub(super) async fn retain(
        self,
        lake: &Lake,
        keep: &(dyn Fn(Hash) -> bool + Send + std::marker::Sync),
    ) -> Result<Option<Self>, EngineError> {
        let rows = self.rows(lake).await?;
        let kept: BooleanArray = (0..rows.len())
            .map(|row| Some(keep(hash_of(rows.key_hash.value(row)))))
            .collect();
        if kept.true_count() == rows.len() {
            return Ok(Some(self));
        }
        let left = self.part(lake, &rows, (&kept, None), "kept").await?;
        lake.delete(&self.name).await?;
        Ok(left)
    }
}

/// The payloads of a chunk as JSON: none where the model has the row no more.
pub(super) struct Payloads(Vec<Option<ObjectText>>);

/// Rows whose objects are one text. It is so short that it is still in the core's own cache when parts of it are taken.
const JOINED_ROWS: usize = 256;

impl Payloads {
    fn of(packed: &StringArray, layout: &Layout) -> Option<Self> {
        let mut objects = Vec::with_capacity(packed.len());
        let mut ends = Vec::with_capacity(JOINED_ROWS);
        for first in (0..packed.len()).step_by(JOINED_ROWS) {
            let rows = packed.slice(first, JOINED_ROWS.min(packed.len() - first));
            let bytes = rows.iter().flatten();
            let bytes = bytes.map(|values| layout.bytes_of(values.len()));
            let mut text = String::with_capacity(bytes.sum());
            ends.clear();
            for values in &rows {
                if values.is_some_and(|values| !layout.join(values, &mut text)) {
                    return None;
                }
                ends.push(values.map(|_| text.len()));
            }
            let text = Arc::new(text);
            let mut start = 0;
            for end in &ends {
                objects.push(match end {
                    Some(end) => Some(ObjectText::guarded(&text, start..*end)?),
                    None => None,
                });
                start = end.unwrap_or(start);
            }
        }
        Some(Self(objects))
    }

    /// The object of a row, if the model has it.
    pub(super) fn object(&self, row: usize) -> Option<ObjectText> {
        self.0.get(row)?.clone()
    }

    /// Its text.
    pub(super) fn text(&self, row: usize) -> Option<&str> {
        Some(self.0.get(row)?.as_ref()?.as_str())
    }
}

fn batch_of(payloads: StringArray) -> Result<RecordBatch, DataFusionError> {
    let columns: Vec<ArrayRef> = vec![Arc::new(payloads)];
    Ok(RecordBatch::try_new(Arc::clone(&PAYLOADS), columns)?)
}

impl ChunkRows {
    fn of(batch: RecordBatch) -> Self {
        // The schema was compared, so the columns are there and have their types.
        let text = |at: usize| batch.column(at).as_string::<i32>().clone();
        let binary = |at: usize| batch.column(at).as_binary::<i32>().clone();
        Self {
            operation: text(0),
            key_hash: binary(1),
            key: text(2),
            payload_hash: binary(3),
            digest: binary(4),
            confirmed: binary(5),
            confirmed_digest: binary(6),
            ours: batch.column(7).as_boolean().clone(),
            uncertain: batch.column(8).as_boolean().clone(),
            attempts: batch.column(9).as_primitive::<UInt32Type>().clone(),
            first_error: text(10),
            mapping: text(11),
            batch,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// The hash of the payload of a row, if the model has it.
    pub(super) fn hash(&self, row: usize) -> Option<[u8; 16]> {
        let hash = &self.payload_hash;
        hash.is_valid(row)
            .then(|| hash.value(row).try_into().ok())
            .flatten()
    }
}
