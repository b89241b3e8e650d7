//! Chunks: the rows of a plan in immutable objects, as compressed Arrow streams.
//!
//! A chunk is found by its name and believed by its hash, so that a damaged plan is noticed before
//! anything of it is sent.

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, StringArray,
    StringBuilder, UInt32Array, UInt32Builder,
};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::CompressionType;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use kinfold_lake::{Lake, LakeError};
use serde::{Deserialize, Serialize};

use super::ActivateError;
use super::compare::{Before, Class, Row, hash_of};
use super::keys::Hash;
use crate::EngineError;

/// A chunk has at most so many rows.
const MAX_ROWS: usize = 20_000;
/// A chunk is closed once its texts have so many bytes.
const MAX_BYTES: usize = 8 << 20;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let column = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        column("operation", DataType::Utf8),
        column("key_hash", DataType::Binary),
        column("key", DataType::Utf8),
        column("payload", DataType::Utf8),
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

/// An object with rows of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Name below `_kinfold/`.
    pub(super) name: String,
    /// How many of its rows belong to the plan; the first ones.
    pub(super) rows: u64,
    /// BLAKE3 of its bytes, in hexadecimal digits.
    pub(super) hash: String,
}

/// Cuts rows into chunks.
pub(super) struct ChunkWriter {
    lake: Lake,
    /// Names of chunks are this and a number.
    prefix: String,
    rows: Rows,
    chunks: Vec<Chunk>,
}

impl ChunkWriter {
    pub(super) fn new(lake: &Lake, prefix: String) -> Self {
        Self {
            lake: lake.clone(),
            prefix,
            rows: Rows::default(),
            chunks: vec![],
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
        Ok(self.chunks)
    }

    async fn flush(&mut self) -> Result<(), EngineError> {
        if self.rows.count == 0 {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.rows).finish()?;
        let name = format!("{}{:06}.arrow", self.prefix, self.chunks.len());
        self.chunks.push(write(&self.lake, name, &batch).await?);
        Ok(())
    }
}

async fn write(lake: &Lake, name: String, batch: &RecordBatch) -> Result<Chunk, EngineError> {
    let bytes = encode(batch).map_err(DataFusionError::from)?;
    let chunk = Chunk {
        name,
        rows: batch.num_rows() as u64,
        hash: blake3::hash(&bytes).to_hex().to_string(),
    };
    lake.put_new(&chunk.name, Bytes::from(bytes)).await?;
    Ok(chunk)
}

fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(vec![], &SCHEMA, options)?;
    writer.write(batch)?;
    writer.into_inner()
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
    fn push(&mut self, row: &Row<'_>) {
        let key = row.key.unwrap_or_default();
        self.count += 1;
        self.bytes += 64 + key.len() + row.payload.map_or(0, |(text, _)| text.len());
        self.operation.append_value(row.class.word());
        self.key_hash.append_value(row.key_hash.to_be_bytes());
        self.key.append_value(key);
        self.payload
            .append_option(row.payload.map(|(text, _)| text));
        self.payload_hash
            .append_option(row.payload.map(|(_, hash)| hash));
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

    fn finish(mut self) -> Result<RecordBatch, EngineError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.operation.finish()),
            Arc::new(self.key_hash.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.payload.finish()),
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
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns);
        Ok(batch.map_err(DataFusionError::from)?)
    }
}

/// A digest as it is stored; 0 means that there is none.
fn stored(digest: Hash) -> Option<[u8; 16]> {
    (digest != 0).then(|| digest.to_be_bytes())
}

/// The rows of a chunk.
pub(super) struct ChunkRows {
    batch: RecordBatch,
    pub(super) operation: StringArray,
    pub(super) key_hash: BinaryArray,
    pub(super) key: StringArray,
    pub(super) payload: StringArray,
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
    /// Reads the rows of the plan.
    pub(super) async fn read(&self, lake: &Lake) -> Result<ChunkRows, EngineError> {
        let stored = |reason| ActivateError::Stored {
            object: self.name.clone(),
            reason,
        };
        let bytes = match lake.get(&self.name).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(stored("it is missing").into()),
            Err(LakeError::Corrupt { .. }) => return Err(stored("it is too large").into()),
            Err(error) => return Err(error.into()),
        };
        if blake3::hash(&bytes).to_hex().as_str() != self.hash {
            return Err(stored("it is not what the plan names").into());
        }
        let unreadable = |_| stored("it does not hold rows of a plan");
        let mut reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(unreadable)?;
        let batch = reader.next().transpose().map_err(unreadable)?;
        let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
        let batch = batch
            .filter(|batch| batch.schema().fields() == SCHEMA.fields() && batch.num_rows() >= rows);
        let batch = batch.ok_or_else(|| stored("it does not have the rows that the plan says"))?;
        Ok(ChunkRows::of(batch.slice(0, rows)))
    }

    /// Writes the same rows under another name.
    pub(super) async fn copy(&self, lake: &Lake, name: String) -> Result<Self, EngineError> {
        let rows = self.read(lake).await?;
        write(lake, name, &rows.batch).await
    }

    /// Writes some of its rows, already read, as a chunk of their own; `class` replaces what is to happen
    /// to them. None if there are none.
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
        let mut batch = filter_record_batch(&rows.batch, mask).map_err(DataFusionError::from)?;
        if let Some(class) = class {
            let words = std::iter::repeat_n(class.word(), batch.num_rows());
            let mut columns = batch.columns().to_vec();
            if let Some(operation) = columns.first_mut() {
                *operation = Arc::new(StringArray::from_iter_values(words));
            }
            batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns)
                .map_err(DataFusionError::from)?;
        }
        let base = self.name.trim_end_matches(".arrow");
        Ok(Some(
            write(lake, format!("{base}-{suffix}.arrow"), &batch).await?,
        ))
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
        let rows = self.read(lake).await?;
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

impl ChunkRows {
    fn of(batch: RecordBatch) -> Self {
        // The schema was compared, so the columns are there and have their types.
        let text = |at: usize| batch.column(at).as_string::<i32>().clone();
        let binary = |at: usize| batch.column(at).as_binary::<i32>().clone();
        Self {
            operation: text(0),
            key_hash: binary(1),
            key: text(2),
            payload: text(3),
            payload_hash: binary(4),
            digest: binary(5),
            confirmed: binary(6),
            confirmed_digest: binary(7),
            ours: batch.column(8).as_boolean().clone(),
            uncertain: batch.column(9).as_boolean().clone(),
            attempts: batch.column(10).as_primitive::<UInt32Type>().clone(),
            first_error: text(11),
            mapping: text(12),
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
