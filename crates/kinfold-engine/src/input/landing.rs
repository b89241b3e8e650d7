//! One pass over the files of a source: rows and bad records.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use kinfold_project::model::StorageOptions;
use kinfold_project::{Source, SourceFormat};
use tokio::sync::mpsc;

use super::block::{BLOCK_RECORDS, Block, Framing, Splitter};
use super::csv::CsvPlan;
use super::listing::FileSource;
use super::ndjson::LineFraming;
use super::open::Opener;
use super::outlet::Outlet;
use super::quarantine::{Bad, batch, quarantine_schema};
use super::schema::{Declared, check_format};
use super::{InputError, InputFile, InputFiles, csv, ndjson, parquet};

/// Blocks that wait to be decoded.
const BLOCKS_AHEAD: usize = 2;
/// Blocks that are decoded at a time, at most.
const DECODERS: usize = 4;

/// The rows of a source's files and the records that are none.
pub struct Landing {
    /// The rows, in the order of the files and of the records in them.
    pub rows: SendableRecordBatchStream,
    /// The records that are not rows, with the columns of [`quarantine_schema`], in the same order.
    pub quarantined: SendableRecordBatchStream,
    /// How many there are; complete when both streams have ended without an error.
    pub counts: Arc<LandingCounts>,
}

impl std::fmt::Debug for Landing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Landing")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// Counts of a [`Landing`]. At its end `records = landed + quarantined`: a landing of which this does
/// not hold ends with [`InputError::Miscounted`].
#[derive(Debug, Default)]
pub struct LandingCounts {
    files: AtomicU64,
    records: AtomicU64,
    landed: AtomicU64,
    quarantined: AtomicU64,
}

impl LandingCounts {
    /// Files that were read to their end.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Records that were found.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Rows that were handed over.
    #[must_use]
    pub fn landed(&self) -> u64 {
        self.landed.load(Ordering::Relaxed)
    }

    /// Records that were quarantined.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed)
    }

    fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts a file that was read to its end.
    pub(super) fn end_file(&self) {
        Self::add(&self.files, 1);
    }

    /// Counts records that were found.
    pub(super) fn found(&self, records: usize) {
        Self::add(&self.records, records);
    }

    fn check(&self) -> Result<(), InputError> {
        let (records, landed, quarantined) = (self.records(), self.landed(), self.quarantined());
        if records == landed + quarantined {
            return Ok(());
        }
        Err(InputError::Miscounted {
            records,
            landed,
            quarantined,
        })
    }
}

/// Rows and bad records of one block.
#[derive(Debug)]
pub(super) struct Decoded {
    pub path: Arc<str>,
    pub rows: RecordBatch,
    pub bad: Vec<Bad>,
}

/// Reads files of a source once, into rows of `schema` ([`super::columns`]) and bad records.
///
/// `files` may be some of those that [`super::list`] found. The streams may be drained one after the
/// other, in any order, or together; rows that wait for their reader beyond some memory make the
/// reading wait, bad records go to a temporary file of `runtime`. Dropping one stream leaves the other
/// whole, dropping both ends the reading. An error ends both streams: take it out of what a writer
/// made of it with [`InputError::in_chain`].
///
/// # Errors
/// What is known before reading: [`InputError::NotFiles`], [`InputError::NotInFormat`], and a storage
/// that cannot be set up. Everything about the files is in the streams.
pub async fn read(
    root: &Path,
    source: &Source,
    files: &InputFiles,
    schema: SchemaRef,
    default_storage: &StorageOptions,
    runtime: &Arc<RuntimeEnv>,
) -> Result<Landing, InputError> {
    let file_source = FileSource::of(root, source, default_storage)?;
    check_format(file_source.format, &schema)?;
    let counts = Arc::new(LandingCounts::default());
    let files = files.files.clone();
    let decoded = match file_source.format {
        SourceFormat::Parquet => {
            let whole = Declared::is_whole_schema(source);
            parquet::read(&file_source, files, schema.clone(), whole, counts.clone())?
        }
        format => {
            let cutter = Cutter {
                opener: Opener::new(&file_source)?,
                format: format.clone(),
                schema: schema.clone(),
                counts: counts.clone(),
            };
            text(cutter, files)
        }
    };
    let outlet = Outlet::new(runtime.clone());
    let rows = outlet.row_stream(schema);
    let quarantined = outlet.bad_stream(quarantine_schema());
    let pass = tokio::spawn(pass(decoded, Ending(outlet.clone()), counts.clone()));
    outlet.fed_by(pass.abort_handle());
    Ok(Landing {
        rows,
        quarantined,
        counts,
    })
}

/// Ends the streams whatever happens to the pass.
struct Ending(Arc<Outlet>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(Err(InputError::CutOff));
    }
}

async fn pass(
    decoded: BoxStream<'static, Result<Decoded, InputError>>,
    outlet: Ending,
    counts: Arc<LandingCounts>,
) {
    let result = feed(decoded, &outlet.0, &counts).await;
    outlet.0.end(result);
}

async fn feed(
    mut decoded: BoxStream<'static, Result<Decoded, InputError>>,
    outlet: &Outlet,
    counts: &LandingCounts,
) -> Result<(), InputError> {
    while let Some(block) = decoded.try_next().await? {
        LandingCounts::add(&counts.landed, block.rows.num_rows());
        LandingCounts::add(&counts.quarantined, block.bad.len());
        if !block.bad.is_empty() {
            outlet.bad(batch(&block.path, &block.bad)?)?;
        }
        if block.rows.num_rows() > 0 {
            outlet.rows(block.rows).await?;
        }
    }
    counts.check()
}

/// Reads text files and cuts them into blocks, on a thread of its own.
struct Cutter {
    opener: Opener,
    format: SourceFormat,
    schema: SchemaRef,
    counts: Arc<LandingCounts>,
}

/// A block that waits to be decoded.
struct Work {
    path: Arc<str>,
    block: Block,
    decoder: Arc<Decoder>,
}

enum Decoder {
    Csv(CsvPlan),
    Ndjson(SchemaRef),
}

type Blocks = mpsc::Sender<Result<Work, InputError>>;

/// The reader is gone: no error of its own, and nothing more to do.
struct Gone;

fn text(cutter: Cutter, files: Vec<InputFile>) -> BoxStream<'static, Result<Decoded, InputError>> {
    let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
    // Ends by itself when the receiver is dropped.
    tokio::task::spawn_blocking(move || {
        for file in files {
            match cutter.file(&file, &sender) {
                Ok(Ok(())) => {}
                Ok(Err(Gone)) => return,
                Err(error) => {
                    // If the receiver is gone, nobody wants to know.
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
    let blocks = futures::stream::unfold(receiver, |mut receiver| async move {
        let work = receiver.recv().await;
        work.map(|work| (work, receiver))
    });
    let decoders = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(DECODERS);
    let decoded = blocks.map(|work| async move {
        let work = work?;
        tokio::task::spawn_blocking(move || work.decode()).await?
    });
    decoded.buffered(decoders).boxed()
}

impl Work {
    fn decode(self) -> Result<Decoded, InputError> {
        match self.decoder.as_ref() {
            Decoder::Csv(plan) => plan.decode(&self.path, self.block),
            Decoder::Ndjson(schema) => ndjson::decode(schema, &self.path, self.block),
        }
    }
}

impl Cutter {
    fn file(&self, file: &InputFile, blocks: &Blocks) -> Result<Result<(), Gone>, InputError> {
        let content = self.opener.open(file, true)?;
        let sent = match self.format {
            SourceFormat::Csv { delimiter, header } => {
                let (splitter, plan) = csv::begin(content, delimiter, header, &self.schema)?;
                self.blocks(splitter, Decoder::Csv(plan), blocks)?
            }
            _ => {
                let splitter = Splitter::new(content, LineFraming);
                self.blocks(splitter, Decoder::Ndjson(self.schema.clone()), blocks)?
            }
        };
        self.counts.end_file();
        Ok(sent)
    }

    fn blocks<F: Framing>(
        &self,
        mut splitter: Splitter<F>,
        decoder: Decoder,
        blocks: &Blocks,
    ) -> Result<Result<(), Gone>, InputError> {
        let decoder = Arc::new(decoder);
        while let Some(block) = splitter.block(BLOCK_RECORDS)? {
            self.counts.found(block.count());
            let work = Work {
                path: splitter.path().clone(),
                block,
                decoder: decoder.clone(),
            };
            if blocks.blocking_send(Ok(work)).is_err() {
                return Ok(Err(Gone));
            }
        }
        Ok(Ok(()))
    }
}
