//! Reading indices, and making anew those that cannot be used.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload};
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
/// Blocks that are fetched at a time from a store that is no folder.
const BLOCKS: usize = 16;

/// Where a column of a block lies in an index, and its checksum.
struct Place {
    bytes: Range<u64>,
    check: u64,
}

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

/// Goes over places of a file; none if they are not what was written.
fn over_file<T>(
    mut file: File,
    blocks: &[usize],
    places: &[Place],
    visit: &impl Fn(usize, &[u8], &mut Vec<T>) -> ControlFlow<()>,
) -> std::io::Result<Option<Vec<T>>> {
    let (mut buffer, mut made) = (Vec::new(), Vec::new());
    for (block, place) in blocks.iter().zip(places) {
        let length = place.bytes.end.saturating_sub(place.bytes.start);
        let length = usize::try_from(length).map_err(std::io::Error::other)?;
        buffer.resize(length, 0);
        file.seek(SeekFrom::Start(place.bytes.start))?;
        file.read_exact(&mut buffer)?;
        if check(&buffer) != place.check || visit(*block, &buffer, &mut made).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(made))
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
    pub async fn find(
        &self,
        column: usize,
        needles: &Arc<Needles>,
    ) -> Result<Vec<Found>, LakeError> {
        let of_width = |c: &super::IndexColumn| c.width() == needles.width();
        if !self.columns.get(column).is_some_and(of_width) {
            return Err(self.corrupt("it is searched for values of another width"));
        }
        if needles.is_empty() {
            return Ok(Vec::new());
        }
        let needles = Arc::clone(needles);
        let search = move |block: usize, bytes: &[u8], found: &mut Vec<Found>| {
            let begin = (block as u64) * (BLOCK_ROWS as u64);
            needles.search(bytes, begin, found);
            ControlFlow::Continue(())
        };
        let all = (0..self.footer.blocks()).collect();
        let mut found = self.over_blocks(column, all, search).await?;
        found.retain(|found| self.deleted.binary_search(&found.place).is_err());
        Ok(found)
    }

    /// What the index keeps of these rows, which are ascending: the bytes of its width, then zeros.
    ///
    /// # Errors
    /// As [`Lake::indexed_files`].
    pub async fn kept(&self, column: usize, places: &[u64]) -> Result<Vec<[u8; 16]>, LakeError> {
        let width = self.columns.get(column).map_or(0, |c| c.width().bytes());
        let block_of =
            |place: &u64| usize::try_from(place / BLOCK_ROWS as u64).unwrap_or(usize::MAX);
        let mut blocks: Vec<usize> = places.iter().map(block_of).collect();
        blocks.dedup();
        let places: Arc<[u64]> = places.into();
        let wanted = places.len();
        let keep = move |block: usize, bytes: &[u8], kept: &mut Vec<[u8; 16]>| {
            let from = places.partition_point(|place| block_of(place) < block);
            let of_block = places.iter().skip(from);
            for place in of_block.take_while(|place| block_of(place) == block) {
                let row = usize::try_from(place % BLOCK_ROWS as u64).unwrap_or(usize::MAX);
                let from = row.saturating_mul(width);
                let Some(value) = bytes.get(from..from.saturating_add(width)) else {
                    return ControlFlow::Break(());
                };
                let mut bytes = [0; 16];
                for (to, from) in bytes.iter_mut().zip(value) {
                    *to = *from;
                }
                kept.push(bytes);
            }
            ControlFlow::Continue(())
        };
        let kept = self.over_blocks(column, blocks, keep).await?;
        if kept.len() != wanted {
            return Err(self.corrupt("it does not have a row"));
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

    /// Goes over a column of some blocks, once more after the index was made anew if it is damaged.
    async fn over_blocks<T: Send + 'static>(
        &self,
        column: usize,
        blocks: Vec<usize>,
        visit: impl Fn(usize, &[u8], &mut Vec<T>) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Result<Vec<T>, LakeError> {
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let visit = Arc::new(visit);
        let blocks: Arc<[usize]> = blocks.into();
        let first = self.over_stored(column, Arc::clone(&blocks), Arc::clone(&visit));
        if let Some(made) = first.await {
            return Ok(made);
        }
        let made = self.make(self.footer.key).await?;
        if made != self.footer {
            return Err(self.corrupt("the row index of a file is of other rows"));
        }
        let made = self.over_stored(column, blocks, visit).await;
        made.ok_or_else(|| self.corrupt("the row index of a file cannot be read back"))
    }

    /// Goes over a column of some blocks; none if they are not what was written.
    async fn over_stored<T: Send + 'static>(
        &self,
        column: usize,
        blocks: Arc<[usize]>,
        visit: Arc<impl Fn(usize, &[u8], &mut Vec<T>) -> ControlFlow<()> + Send + Sync + 'static>,
    ) -> Option<Vec<T>> {
        let places = blocks.iter().map(|block| self.place(column, *block));
        let places: Vec<Place> = places.collect::<Option<_>>()?;
        match self.local().await {
            // One buffer for all blocks, which stays in the processor's caches.
            Some(file) => {
                let walk = move || over_file(file, &blocks, &places, visit.as_ref());
                match tokio::task::spawn_blocking(walk).await {
                    Ok(Ok(made)) => made,
                    Ok(Err(error)) => {
                        tracing::debug!(path = %self.path, %error, "a row index cannot be read");
                        None
                    }
                    Err(_) => None,
                }
            }
            None => {
                let mut made = Vec::new();
                for (blocks, places) in blocks.chunks(BLOCKS).zip(places.chunks(BLOCKS)) {
                    let ranges: Vec<Range<u64>> =
                        places.iter().map(|place| place.bytes.clone()).collect();
                    let read = self.lake.store().get_ranges(&self.path, &ranges).await;
                    let bytes = match read {
                        Ok(bytes) => bytes,
                        Err(error) => {
                            tracing::debug!(path = %self.path, %error, "a row index cannot be read");
                            return None;
                        }
                    };
                    for ((block, place), bytes) in blocks.iter().zip(places).zip(&bytes) {
                        if check(bytes) != place.check || visit(*block, bytes, &mut made).is_break()
                        {
                            return None;
                        }
                    }
                }
                Some(made)
            }
        }
    }

    /// The index as a file, if the lake is a folder.
    async fn local(&self) -> Option<File> {
        let got = self
            .lake
            .store()
            .get_opts(&self.path, GetOptions::default());
        match got.await.ok()?.payload {
            GetResultPayload::File(file, _) => Some(file),
            GetResultPayload::Stream(_) => None,
        }
    }

    fn place(&self, column: usize, block: usize) -> Option<Place> {
        let widths = || {
            self.columns
                .iter()
                .map(|column| column.width().bytes() as u64)
        };
        let (all, before): (u64, u64) = (widths().sum(), widths().take(column).sum());
        let rows = self.footer.rows_of(block);
        let from = (block as u64) * (BLOCK_ROWS as u64) * all + rows * before;
        Some(Place {
            bytes: from..from + rows * widths().nth(column)?,
            check: *self
                .footer
                .checks
                .get(block * self.columns.len() + column)?,
        })
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
