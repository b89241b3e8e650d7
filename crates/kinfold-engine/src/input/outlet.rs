//! Two streams that one pass over the files feeds, and that may be drained in any order.
//!
//! Rows wait in memory for their reader, and when enough of them wait, the pass waits too. Bad
//! records never make the pass wait: beyond some memory they go to a temporary file. So a reader may
//! drain the rows first. A reader that drains the bad records first and does not touch the rows
//! meanwhile sends the rows to a temporary file too, where they wait for it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::spill_file::{SpillFile, SpillWriter};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt as _};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::InputError;

/// Bytes of rows that wait in memory.
const ROWS_AHEAD: usize = 16 << 20;
/// Bytes of bad records that wait in memory.
const BAD_AHEAD: usize = 8 << 20;

type Failure = Arc<DataFusionError>;

/// What passes between the pass over the files and the two streams.
pub(super) struct Outlet {
    state: Mutex<State>,
    changed: Notify,
    runtime: Arc<RuntimeEnv>,
}

struct State {
    rows: Side,
    bad: Side,
    end: Option<Result<(), Failure>>,
    pass: Option<AbortHandle>,
}

/// Which of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Rows,
    Bad,
}

#[derive(Default)]
struct Side {
    waiting: VecDeque<Waiting>,
    /// Bytes of [`Waiting::Memory`].
    memory: usize,
    /// Whether its reader has ever asked.
    asked: bool,
    /// Whether its reader is gone.
    dropped: bool,
}

enum Waiting {
    Memory(RecordBatch),
    Disk(Box<Segment>),
}

/// Batches in a temporary file.
struct Segment {
    file: Arc<dyn SpillFile>,
    writer: Option<StreamWriter<Box<dyn SpillWriter>>>,
}

impl Side {
    fn push(
        &mut self,
        batch: RecordBatch,
        limit: usize,
        runtime: &RuntimeEnv,
    ) -> Result<(), DataFusionError> {
        if self.dropped {
            return Ok(());
        }
        let spilling = matches!(self.waiting.back(), Some(Waiting::Disk(_)));
        if self.memory < limit && !spilling {
            self.memory += batch.get_array_memory_size();
            self.waiting.push_back(Waiting::Memory(batch));
            return Ok(());
        }
        if !spilling {
            let file = runtime
                .disk_manager
                .create_tmp_file("rows of a source that wait to be written")?;
            let writer = StreamWriter::try_new(file.open_writer()?, &batch.schema())?;
            self.waiting.push_back(Waiting::Disk(Box::new(Segment {
                file,
                writer: Some(writer),
            })));
        }
        if let Some(Waiting::Disk(segment)) = self.waiting.back_mut()
            && let Some(writer) = &mut segment.writer
        {
            writer.write(&batch)?;
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Option<Waiting>, DataFusionError> {
        let mut next = self.waiting.pop_front();
        match &mut next {
            Some(Waiting::Memory(batch)) => {
                self.memory = self.memory.saturating_sub(batch.get_array_memory_size());
            }
            Some(Waiting::Disk(segment)) => {
                if let Some(mut writer) = segment.writer.take() {
                    writer.finish()?;
                    writer.into_inner()?.finish()?;
                }
            }
            None => {}
        }
        Ok(next)
    }
}

impl State {
    fn side(&mut self, which: Which) -> &mut Side {
        match which {
            Which::Rows => &mut self.rows,
            Which::Bad => &mut self.bad,
        }
    }
}

impl Outlet {
    pub fn new(runtime: Arc<RuntimeEnv>) -> Arc<Self> {
        let state = State {
            rows: Side::default(),
            bad: Side::default(),
            end: None,
            pass: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            runtime,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pass that is ended when nobody reads any more.
    pub fn fed_by(&self, pass: AbortHandle) {
        let mut state = self.lock();
        if state.rows.dropped && state.bad.dropped {
            pass.abort();
        }
        state.pass = Some(pass);
    }

    /// Hands over rows, when there is room for them.
    pub async fn rows(&self, batch: RecordBatch) -> Result<(), InputError> {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                let first_bad = state.bad.asked && !state.bad.dropped && !state.rows.asked;
                if state.rows.memory < ROWS_AHEAD || state.rows.dropped || first_bad {
                    let pushed = state.rows.push(batch, ROWS_AHEAD, &self.runtime);
                    self.changed.notify_waiters();
                    return pushed.map_err(|e| InputError::Spill(Box::new(e)));
                }
            }
            changed.await;
        }
    }

    /// Hands over bad records, at once.
    pub fn bad(&self, batch: RecordBatch) -> Result<(), InputError> {
        let pushed = self.lock().bad.push(batch, BAD_AHEAD, &self.runtime);
        self.changed.notify_waiters();
        pushed.map_err(|e| InputError::Spill(Box::new(e)))
    }

    /// Ends both streams. Only the first call counts.
    pub fn end(&self, result: Result<(), InputError>) {
        let result = result.map_err(|error| Arc::new(DataFusionError::from(error)));
        self.lock().end.get_or_insert(result);
        self.changed.notify_waiters();
    }

    /// The stream of rows. To be called once.
    pub fn row_stream(self: &Arc<Self>, schema: SchemaRef) -> SendableRecordBatchStream {
        self.stream(Which::Rows, schema)
    }

    /// The stream of bad records. To be called once.
    pub fn bad_stream(self: &Arc<Self>, schema: SchemaRef) -> SendableRecordBatchStream {
        self.stream(Which::Bad, schema)
    }

    fn stream(self: &Arc<Self>, which: Which, schema: SchemaRef) -> SendableRecordBatchStream {
        let reader = Reader {
            outlet: Arc::clone(self),
            which,
            segment: None,
            failed: false,
        };
        let batches = futures::stream::unfold(reader, |mut reader| async move {
            let next = reader.next().await;
            next.map(|batch| (batch, reader))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

/// One end of an [`Outlet`].
struct Reader {
    outlet: Arc<Outlet>,
    which: Which,
    segment: Option<Batches>,
    failed: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.outlet.lock();
        let side = state.side(self.which);
        side.dropped = true;
        side.waiting.clear();
        side.memory = 0;
        if state.rows.dropped
            && state.bad.dropped
            && let Some(pass) = state.pass.take()
        {
            pass.abort();
        }
        drop(state);
        self.outlet.changed.notify_waiters();
    }
}

impl Reader {
    async fn next(&mut self) -> Option<Result<RecordBatch, DataFusionError>> {
        if self.failed {
            return None;
        }
        let next = self.try_next().await.transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }

    async fn try_next(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        loop {
            if let Some(segment) = &mut self.segment {
                match segment.next().await {
                    Some(batch) => return batch.map(Some),
                    None => self.segment = None,
                }
            }
            let changed = self.outlet.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.outlet.lock();
                if let Some(Err(failure)) = &state.end {
                    return Err(DataFusionError::Shared(Arc::clone(failure)));
                }
                let ended = state.end.is_some();
                let side = state.side(self.which);
                let first = !std::mem::replace(&mut side.asked, true);
                match side.pop()? {
                    Some(Waiting::Memory(batch)) => {
                        self.outlet.changed.notify_waiters();
                        return Ok(Some(batch));
                    }
                    Some(Waiting::Disk(segment)) => {
                        self.segment = Some(batches(*segment)?);
                        continue;
                    }
                    None if ended => return Ok(None),
                    None => {}
                }
                drop(state);
                if first {
                    self.outlet.changed.notify_waiters();
                    continue;
                }
            }
            changed.await;
        }
    }
}

type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, DataFusionError>> + Send>>;

/// Reads a segment back.
fn batches(segment: Segment) -> Result<Batches, DataFusionError> {
    let chunks = segment.file.read_stream()?;
    let state = (
        chunks,
        StreamDecoder::new(),
        Buffer::from(Bytes::new()),
        segment.file,
    );
    let batches = futures::stream::try_unfold(
        state,
        |(mut chunks, mut decoder, mut buffer, file)| async move {
            loop {
                if !buffer.is_empty()
                    && let Some(batch) = decoder.decode(&mut buffer)?
                {
                    return Ok(Some((batch, (chunks, decoder, buffer, file))));
                }
                if buffer.is_empty() {
                    match chunks.next().await {
                        Some(chunk) => buffer = Buffer::from(chunk?),
                        None => {
                            decoder.finish()?;
                            return Ok(None);
                        }
                    }
                }
            }
        },
    );
    Ok(Box::pin(batches))
}
