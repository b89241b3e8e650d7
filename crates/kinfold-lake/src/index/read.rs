//! Reading indices, and making anew those that cannot be used.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, GetRange};
use uuid::Uuid;

use super::footer::Footer;
use super::{
    BLOCK_ROWS, Found, IndexColumns, IndexKey, IndexWriter, Needles, check, index_name, names,
};
use crate::delete::{read, scan_error};
use crate::provider::KinfoldTable;
use crate::{Lake, LakeError, Snapshot, TablePath};

/// Bytes at the end of an index that are read first.
const END_BYTES: u64 = 64 << 10;
/// Blocks that are in memory at a time.
const BLOCKS: usize = 16;

/// A data file of a version with its row index.
pub struct IndexedFile {
    lake: Lake,
    table: TablePath,
    context: SessionContext,
    rows: KinfoldTable,
    /// Place among the files of the version.
    at: usize,
    file: String,
    file_bytes: u64,
    /// Rows, deleted ones too, if the log knows.
    physical: Option<u64>,
    deleted: Arc<[u64]>,
    columns: IndexColumns,
    path: Path,
    footer: Footer,
}

impl Lake {
    /// The files of a version with their row indices. An index that is missing or of no use is made.
    ///
    /// # Errors
    /// [`LakeError::UnsupportedFeatures`], [`LakeError::Corrupt`], and [`LakeError::Scan`] or
    /// [`LakeError::Storage`] if the data cannot be read, or an index not written.
    pub async fn indexed_files(
        &self,
        table: &TablePath,
        snapshot: &Snapshot,
        columns: IndexColumns,
    ) -> Result<Vec<Arc<IndexedFile>>, LakeError> {
        let native = snapshot.native()?;
        let context = self.reading_context();
        let live = snapshot.live_files()?;
        let key = new_key();
        let mut files = Vec::new();
        for (at, file) in live.files.iter().enumerate() {
            let deleted = match &file.deleted {
                Some(deleted) => deleted.load(self.store().as_ref()).await?,
                None => Arc::default(),
            };
            let mut indexed = IndexedFile {
                lake: self.clone(),
                table: table.clone(),
                context: context.clone(),
                rows: native.clone(),
                at,
                file: file.relative.clone(),
                file_bytes: file.bytes,
                physical: live.physical_rows_of(at),
                deleted,
                columns,
                path: index_path(&file.path),
                footer: Footer::new(("", 0), 0, key, columns, Vec::new()),
            };
            indexed.footer = match indexed.stored_footer().await? {
                Some(footer) => footer,
                None => indexed.make(key).await?,
            };
            files.push(Arc::new(indexed));
        }
        Ok(files)
    }
}

fn index_path(data_file: &Path) -> Path {
    let name = index_name(data_file.as_ref());
    Path::parse(&name).unwrap_or_else(|_| Path::from(name))
}

/// A key for the hashes of the files of one write.
pub(crate) fn new_key() -> IndexKey {
    // Random numbers of version 4, which are those of the operating system; 122 bits of them.
    Uuid::new_v4().into_bytes()
}

impl IndexedFile {
    /// The file, as [`Lake::patch`] wants it named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Key of its hashes. Files that were written together have the same.
    #[must_use]
    pub fn key(&self) -> &IndexKey {
        &self.footer.key
    }

    /// The rows that may hold one of these values, in order, without those that are deleted. `column` is
    /// the place of the index's column; the needles must have its width.
    ///
    /// # Errors
    /// As [`Lake::indexed_files`].
    pub async fn find(&self, column: usize, needles: &Needles) -> Result<Vec<Found>, LakeError> {
        let mut found = Vec::new();
        let of_width = |c: &super::IndexColumn| c.width() == needles.width();
        if !self.columns.get(column).is_some_and(of_width) {
            return Err(self.corrupt("it is searched for values of another width"));
        }
        if needles.is_empty() {
            return Ok(found);
        }
        let blocks = self.footer.blocks();
        for from in (0..blocks).step_by(BLOCKS) {
            let some = from..blocks.min(from + BLOCKS);
            let bytes = self.blocks(column, some.clone()).await?;
            for (block, bytes) in some.zip(bytes) {
                let begin = (block as u64) * (BLOCK_ROWS as u64);
                needles.search(&bytes, begin, &mut found);
            }
        }
        found.retain(|found| self.deleted.binary_search(&found.place).is_err());
        Ok(found)
    }

    /// What the index keeps of these rows, which are ascending: the bytes of its width, then zeros.
    ///
    /// # Errors
    /// As [`Lake::indexed_files`].
    pub async fn kept(&self, column: usize, places: &[u64]) -> Result<Vec<[u8; 16]>, LakeError> {
        let width = self.columns.get(column).map_or(0, |c| c.width().bytes());
        let mut kept = Vec::with_capacity(places.len());
        let block_of =
            |place: &u64| usize::try_from(place / BLOCK_ROWS as u64).unwrap_or(usize::MAX);
        for of_block in places.chunk_by(|a, b| block_of(a) == block_of(b)) {
            let Some(block) = of_block.first().map(block_of) else {
                continue;
            };
            let bytes = self.blocks(column, block..block + 1).await?;
            for place in of_block {
                let row = usize::try_from(place % BLOCK_ROWS as u64).unwrap_or(usize::MAX);
                let from = row.saturating_mul(width);
                let value = bytes
                    .first()
                    .and_then(|bytes| bytes.get(from..from + width));
                let value = value.ok_or_else(|| self.corrupt("it does not have a row"))?;
                let mut bytes = [0; 16];
                for (to, from) in bytes.iter_mut().zip(value) {
                    *to = *from;
                }
                kept.push(bytes);
            }
        }
        Ok(kept)
    }

    /// Some columns of the rows at these places, which are ascending and distinct, in order.
    ///
    /// # Errors
    /// [`LakeError::Scan`].
    pub async fn rows_at(
        &self,
        places: Vec<u64>,
        columns: &[&str],
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let failed = |source| scan_error(&self.table, source);
        let chosen = self.rows.rows_of_file(self.at, places.into());
        let frame = read(&self.context, chosen).map_err(failed)?;
        let frame = frame.select_columns(columns).map_err(failed)?;
        frame.execute_stream().await.map_err(failed)
    }

    /// A column of some blocks, once more from the data if the index is damaged.
    async fn blocks(&self, column: usize, blocks: Range<usize>) -> Result<Vec<Bytes>, LakeError> {
        if let Some(bytes) = self.stored_blocks(column, blocks.clone()).await {
            return Ok(bytes);
        }
        let made = self.make(self.footer.key).await?;
        if made != self.footer {
            return Err(self.corrupt("the row index of a file is of other rows"));
        }
        let bytes = self.stored_blocks(column, blocks).await;
        bytes.ok_or_else(|| self.corrupt("the row index of a file cannot be read back"))
    }

    /// A column of some blocks; none if they are not what was written.
    async fn stored_blocks(&self, column: usize, blocks: Range<usize>) -> Option<Vec<Bytes>> {
        let widths = || {
            self.columns
                .iter()
                .map(|column| column.width().bytes() as u64)
        };
        let (all, before): (u64, u64) = (widths().sum(), widths().take(column).sum());
        let width = widths().nth(column)?;
        let ranges: Vec<Range<u64>> = blocks
            .clone()
            .map(|block| {
                let rows = self.footer.rows_of(block);
                let from = (block as u64) * (BLOCK_ROWS as u64) * all + rows * before;
                from..from + rows * width
            })
            .collect();
        let read = self.lake.store().get_ranges(&self.path, &ranges).await;
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::debug!(path = %self.path, %error, "a row index cannot be read");
                return None;
            }
        };
        let whole = blocks.zip(&bytes).all(|(block, bytes)| {
            let sum = self.footer.checks.get(block * self.columns.len() + column);
            sum == Some(&check(bytes))
        });
        whole.then_some(bytes)
    }

    /// The footer of the stored index, if it is one of this file.
    async fn stored_footer(&self) -> Result<Option<Footer>, LakeError> {
        let end_of = async |bytes: u64| {
            let options = GetOptions {
                range: Some(GetRange::Suffix(bytes)),
                ..GetOptions::default()
            };
            let got = self.lake.store().get_opts(&self.path, options).await?;
            let size = got.meta.size;
            got.bytes().await.map(|bytes| (bytes, size))
        };
        let (mut end, size) = match end_of(END_BYTES).await {
            Ok(end) => end,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => {
                // An empty object has no last bytes. If it is the store, the data will say so.
                tracing::debug!(path = %self.path, %error, "a row index cannot be read");
                return Ok(None);
            }
        };
        if let Some(length) = Footer::length(&end).map(|length| length as u64)
            && length > end.len() as u64
            && length <= size
        {
            let read = end_of(length).await;
            end = read
                .map_err(|source| LakeError::storage("read", &self.path, source))?
                .0;
        }
        let file = (self.file.as_str(), self.file_bytes);
        let footer = Footer::decode(&end);
        Ok(footer.filter(|footer| footer.is_of(file, self.physical, self.columns, size)))
    }

    /// Makes the index from the data file.
    async fn make(&self, key: IndexKey) -> Result<Footer, LakeError> {
        tracing::debug!(path = %self.path, "a row index is made");
        let failed = |source| scan_error(&self.table, source);
        let all = self.rows.with_deleted().choose(vec![self.at]);
        let frame = read(&self.context, all).map_err(failed)?;
        let frame = frame.select_columns(&names(self.columns)).map_err(failed)?;
        let mut rows = frame.execute_stream().await.map_err(failed)?;
        let mut index = IndexWriter::create(&self.lake, self.path.clone(), self.columns, key);
        while let Some(batch) = rows.next().await {
            let added = match batch {
                Ok(batch) => index.add(&batch).await,
                Err(error) => Err(failed(error)),
            };
            if let Err(error) = added {
                index.abort().await;
                return Err(error);
            }
        }
        index.close(&self.file, self.file_bytes).await
    }

    fn corrupt(&self, reason: &'static str) -> LakeError {
        LakeError::Corrupt {
            path: self.path.to_string(),
            reason,
        }
    }
}
