//! Writing data files: several streams at once, bounded memory, files of a target size.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use deltalake_core::kernel::Add;
use futures::StreamExt as _;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::arrow::AsyncArrowWriter;
use parquet::file::metadata::ParquetMetaData;
use tokio::task::JoinSet;

use crate::encoding::properties;
use crate::index::{IndexColumns, IndexKey, IndexWriter, index_name, new_key};
use crate::location::join;
use crate::objects::sync_file;
use crate::schema::Storing;
use crate::stats::delta_stats;
use crate::{Lake, LakeError, TablePath};

/// Size at which a data file is closed and the next one is begun, 100 MiB.
pub(crate) const TARGET_FILE_BYTES: u64 = 100 << 20;
/// Most bytes of a row group that wait in memory for their end, 32 MiB a stream.
pub(crate) const ROW_GROUP_BYTES: usize = 32 << 20;
/// Readers share a file among them by row groups.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 17;
/// Size of a part of an upload, 8 MiB; four of them are under way at most.
const UPLOAD_PART_BYTES: usize = 8 << 20;
const UPLOAD_PARTS: usize = 4;

/// Files written but not committed.
#[derive(Debug, Default)]
pub(crate) struct DataFiles {
    pub(crate) adds: Vec<Add>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// How rows are laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Size at which a data file is closed and the next one is begun.
    pub(crate) target_bytes: u64,
    /// What the row index beside each file keeps.
    pub(crate) index: IndexColumns,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            target_bytes: TARGET_FILE_BYTES,
            index: &[],
        }
    }
}

#[derive(Clone)]
struct Target {
    lake: Lake,
    table: String,
    root: Path,
    schema: SchemaRef,
    layout: Layout,
    key: IndexKey,
}

/// Writes every stream into files of its own, all streams at once.
///
/// After an error none of the files is left, as far as the store can still be reached; what is
/// left is removed by [`Lake::vacuum`].
pub(crate) async fn write_files(
    lake: &Lake,
    table: &TablePath,
    stored: SchemaRef,
    inputs: Vec<SendableRecordBatchStream>,
    layout: Layout,
) -> Result<DataFiles, LakeError> {
    lake.ensure_format().await?;
    let target = Target {
        lake: lake.clone(),
        table: table.to_string(),
        root: lake.table_root(table),
        schema: stored,
        layout,
        key: new_key(),
    };
    let mut tasks = JoinSet::new();
    for (position, input) in inputs.into_iter().enumerate() {
        let storing = Storing::new(table.as_str(), &input.schema(), target.schema.clone())?;
        let target = target.clone();
        tasks.spawn(async move { (position, write_stream(target, storing, input).await) });
    }
    let mut parts = Vec::new();
    let mut failed = None;
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok((position, Ok(files))) => parts.push((position, files)),
            Ok((_, Err(error))) => {
                failed.get_or_insert(error);
                // The others clean up when their next batch meets the closed set.
                tasks.abort_all();
            }
            Err(error) if error.is_cancelled() => {}
            Err(_) => {
                failed.get_or_insert(LakeError::WriterStopped {
                    table: table.to_string(),
                });
                tasks.abort_all();
            }
        }
    }
    // The order of the files follows the streams, whichever was faster.
    parts.sort_by_key(|(position, _)| *position);
    let mut all = DataFiles::default();
    for (_, files) in parts {
        all.adds.extend(files.adds);
        all.rows += files.rows;
        all.bytes += files.bytes;
    }
    match failed {
        None => Ok(all),
        Some(error) => {
            discard(lake, table, &all.adds).await;
            Err(error)
        }
    }
}

/// Deletes files that will not be committed.
pub(crate) async fn discard(lake: &Lake, table: &TablePath, adds: &[Add]) {
    let root = lake.table_root(table);
    for add in adds {
        let path = join(&root, &Path::from(add.path.as_str()));
        if let Err(error) = lake.store().delete(&path).await {
            tracing::debug!(%path, %error, "an uncommitted data file is left to vacuum");
        }
        let index = join(&root, &Path::from(index_name(&add.path)));
        match lake.store().delete(&index).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::debug!(%index, %error, "a row index is left to vacuum"),
        }
    }
}

async fn write_stream(
    target: Target,
    storing: Storing,
    mut input: SendableRecordBatchStream,
) -> Result<DataFiles, LakeError> {
    let mut files = DataFiles::default();
    let mut open: Option<OpenFile> = None;
    let result = async {
        while let Some(batch) = input.next().await {
            let batch = storing.convert(&batch.map_err(LakeError::Input)?)?;
            if batch.num_rows() == 0 {
                continue;
            }
            let mut file = match open.take() {
                Some(file) => file,
                None => OpenFile::create(&target, &batch)?,
            };
            let written = file.write(&target, &batch).await;
            let full = file.bytes() >= target.layout.target_bytes;
            open = Some(file);
            written?;
            if full && let Some(file) = open.take() {
                file.finish(&target, &mut files).await?;
            }
        }
        match open.take() {
            Some(file) => file.finish(&target, &mut files).await,
            None => Ok(()),
        }
    }
    .await;
    if let Err(error) = result {
        if let Some(file) = open {
            file.abort().await;
        }
        let table = TablePath::new(&target.table);
        if let Ok(table) = table {
            discard(&target.lake, &table, &files.adds).await;
        }
        return Err(error);
    }
    Ok(files)
}

struct OpenFile {
    name: String,
    path: Path,
    writer: AsyncArrowWriter<BufWriter>,
    index: Option<IndexWriter>,
}

impl OpenFile {
    /// A file that will begin with these rows.
    fn create(target: &Target, first: &RecordBatch) -> Result<Self, LakeError> {
        let properties = properties(
            &target.table,
            &target.schema,
            first,
            !target.layout.index.is_empty(),
        )
        .map_err(|source| parquet_error(&target.table, source))?;
        let name = format!("part-{}.zstd.parquet", uuid::Uuid::now_v7());
        let path = join(&target.root, &Path::from(name.as_str()));
        let store: Arc<dyn ObjectStore> = target.lake.store().clone();
        let out = BufWriter::with_capacity(store, path.clone(), UPLOAD_PART_BYTES)
            .with_max_concurrency(UPLOAD_PARTS);
        let writer = AsyncArrowWriter::try_new(out, target.schema.clone(), Some(properties))
            .map_err(|source| parquet_error(&target.table, source))?;
        let index = (!target.layout.index.is_empty()).then(|| {
            let path = join(&target.root, &Path::from(index_name(&name)));
            IndexWriter::create(&target.lake, path, target.layout.index, target.key)
        });
        Ok(Self {
            name,
            path,
            writer,
            index,
        })
    }

    async fn write(&mut self, target: &Target, batch: &RecordBatch) -> Result<(), LakeError> {
        self.writer
            .write(batch)
            .await
            .map_err(|source| parquet_error(&target.table, source))?;
        match &mut self.index {
            Some(index) => index.add(batch).await,
            None => Ok(()),
        }
    }

    fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    async fn finish(self, target: &Target, files: &mut DataFiles) -> Result<(), LakeError> {
        let mut writer = self.writer;
        let metadata: ParquetMetaData = writer
            .finish()
            .await
            .map_err(|source| parquet_error(&target.table, source))?;
        let size = writer.bytes_written() as u64;
        if let Some(index) = self.index {
            index.finish(&self.name, size).await;
        }
        if let Some(file) = target.lake.url().local_path(&self.path) {
            // A commit must not outlive, in a power cut, the data that it names.
            let synced = tokio::task::spawn_blocking(move || sync_file(&file)).await;
            match synced {
                Ok(result) => result?,
                Err(_) => {
                    return Err(LakeError::WriterStopped {
                        table: target.table.clone(),
                    });
                }
            }
        }
        files.rows += u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default();
        files.bytes += size;
        files.adds.push(Add {
            path: self.name,
            size: i64::try_from(size).unwrap_or(i64::MAX),
            modification_time: chrono::Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(delta_stats(&target.schema, &metadata)),
            ..Add::default()
        });
        Ok(())
    }

    /// Gives up the file and the parts that were uploaded.
    async fn abort(self) {
        let path = self.path;
        if let Some(index) = self.index {
            index.abort().await;
        }
        let mut out = self.writer.into_inner();
        if let Err(error) = out.abort().await {
            tracing::debug!(%path, %error, "an upload was not given up cleanly");
        }
    }
}

fn parquet_error(table: &str, source: parquet::errors::ParquetError) -> LakeError {
    LakeError::Parquet {
        table: table.to_owned(),
        source,
    }
}
