//! Writing an index while its data file is written.

use arrow::array::RecordBatch;
use bytes::Bytes;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use siphasher::sip128::SipHasher13;
use tokio::io::AsyncWriteExt as _;

use super::footer::Footer;
use super::{BLOCK_ROWS, IndexColumns, IndexKey, check};
use crate::{Lake, LakeError};

/// Size of a part of an upload, 8 MiB.
const PART_BYTES: usize = 8 << 20;

/// An index that is being written. In memory is one block of rows, and a part of an upload.
pub(crate) struct IndexWriter {
    path: Path,
    out: BufWriter,
    columns: IndexColumns,
    key: IndexKey,
    hasher: SipHasher13,
    /// What is kept of the rows of the open block, column by column.
    open: Vec<Vec<u8>>,
    rows_open: usize,
    rows: u64,
    checks: Vec<u64>,
}

impl IndexWriter {
    /// An index at `path`.
    pub(crate) fn create(lake: &Lake, path: Path, columns: IndexColumns, key: IndexKey) -> Self {
        Self {
            out: BufWriter::with_capacity(lake.store().clone(), path.clone(), PART_BYTES)
                .with_max_concurrency(1),
            path,
            columns,
            key,
            hasher: SipHasher13::new_with_key(&key),
            open: vec![Vec::new(); columns.len()],
            rows_open: 0,
            rows: 0,
            checks: Vec::new(),
        }
    }

    /// Takes the next rows of the data file.
    pub(crate) async fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = (batch.num_rows() - from).min(BLOCK_ROWS - self.rows_open);
            let part = batch.slice(from, rows);
            for (column, open) in self.columns.iter().zip(&mut self.open) {
                column.keep(&part, &self.hasher, open)?;
            }
            from += rows;
            self.rows_open += rows;
            if self.rows_open == BLOCK_ROWS {
                self.close_block().await?;
            }
        }
        Ok(())
    }

    async fn close_block(&mut self) -> Result<(), LakeError> {
        for open in &mut self.open {
            let next = Vec::with_capacity(open.len());
            let block = Bytes::from(std::mem::replace(open, next));
            self.checks.push(check(&block));
            let put = self.out.put(block).await;
            put.map_err(|source| LakeError::storage("write", &self.path, source))?;
        }
        self.rows += self.rows_open as u64;
        self.rows_open = 0;
        Ok(())
    }

    /// Ends the index of this data file, which has so many bytes.
    pub(super) async fn close(mut self, file: &str, file_bytes: u64) -> Result<Footer, LakeError> {
        if self.rows_open > 0 {
            self.close_block().await?;
        }
        let checks = std::mem::take(&mut self.checks);
        let of = (file, file_bytes);
        let footer = Footer::new(of, self.rows, self.key, self.columns, checks);
        let end = footer.encode().ok_or_else(|| LakeError::Corrupt {
            path: self.path.to_string(),
            reason: "it would have too many rows",
        })?;
        let put = self.out.put(end).await;
        put.map_err(|source| LakeError::storage("write", &self.path, source))?;
        let ended = self.out.shutdown().await;
        ended.map_err(|error| {
            let source = object_store::Error::Generic {
                store: "upload",
                source: error.into(),
            };
            LakeError::storage("write", &self.path, source)
        })?;
        Ok(footer)
    }

    /// As `close`, of a data file that is whole without its index.
    pub(crate) async fn finish(self, file: &str, file_bytes: u64) {
        let path = self.path.clone();
        if let Err(error) = self.close(file, file_bytes).await {
            tracing::debug!(%path, %error, "a row index is left to be made when it is needed");
        }
    }

    /// Gives up what was uploaded.
    pub(crate) async fn abort(mut self) {
        if let Err(error) = self.out.abort().await {
            tracing::debug!(path = %self.path, %error, "an upload was not given up cleanly");
        }
    }
}
