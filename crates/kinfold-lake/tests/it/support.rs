//! What the tests share: rows, folders, a store that fails on command.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::catalog::TableProvider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::stream::BoxStream;
use kinfold_lake::{CommitNote, Lake, TablePath, Written};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

pub fn table(name: &str) -> TablePath {
    TablePath::new(name).unwrap()
}

pub async fn local_lake(folder: &std::path::Path) -> Lake {
    Lake::open(folder.to_str().unwrap(), &BTreeMap::new())
        .await
        .unwrap()
}

pub fn id_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]))
}

pub fn ids(range: Range<i64>) -> RecordBatch {
    let names: Vec<String> = range.clone().map(|id| format!("n{id}")).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(range)),
        Arc::new(StringArray::from(names)),
    ];
    RecordBatch::try_new(id_schema(), columns).unwrap()
}

pub fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = batches.first().unwrap().schema();
    let batches = futures::stream::iter(batches.into_iter().map(Ok));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

pub fn note(app: &str, version: i64) -> CommitNote {
    CommitNote::new(app, version)
}

pub async fn append(lake: &Lake, name: &str, range: Range<i64>, commit: CommitNote) -> Written {
    lake.append(
        &table(name),
        id_schema(),
        vec![stream(vec![ids(range)])],
        commit,
    )
    .await
    .unwrap()
}

pub async fn overwrite(lake: &Lake, name: &str, range: Range<i64>, commit: CommitNote) -> Written {
    lake.overwrite(
        &table(name),
        id_schema(),
        vec![stream(vec![ids(range)])],
        commit,
    )
    .await
    .unwrap()
}

pub fn context(lake: &Lake) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    lake.register(&context.runtime_env());
    context
}

pub async fn query(context: &SessionContext, sql: &str) -> String {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches)
        .unwrap()
        .to_string()
}

pub async fn rows_of(context: &SessionContext, provider: Arc<dyn TableProvider>) -> Vec<String> {
    let batches = context
        .read_table(provider)
        .unwrap()
        .collect()
        .await
        .unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&batches)
        .unwrap()
        .to_string();
    let mut rows: Vec<String> = text.lines().skip(3).map(str::to_owned).collect();
    rows.sort();
    rows
}

/// All ids of a table, sorted, with repetitions.
pub async fn read_ids(lake: &Lake, name: &str, version: Option<u64>) -> Vec<i64> {
    let snapshot = lake.snapshot(&table(name), version).await.unwrap().unwrap();
    let context = context(lake);
    let frame = context.read_table(snapshot.provider().unwrap()).unwrap();
    let mut found = Vec::new();
    for batch in frame.collect().await.unwrap() {
        let column = batch.column_by_name("id").unwrap();
        found.extend(column.as_primitive::<Int64Type>().values().iter().copied());
    }
    found.sort_unstable();
    if let Some(rows) = snapshot.num_rows() {
        assert_eq!(rows, found.len() as u64, "the log knows the row count");
    }
    found
}

/// What happens to the next matching writes of a [`FaultyStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFault {
    /// The object is written, the answer is an error.
    AnswerLost,
    /// Nothing is written, the answer is an error.
    NotWritten,
    /// As `AnswerLost`, and from then on the log cannot be read.
    AnswerLostAndBlind,
    /// As `AnswerLost`, and a client repeats the request, which then finds the object.
    RepeatedAfterLoss,
}

/// A store whose writes fail on command.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    plan: Mutex<Vec<(String, WriteFault)>>,
    pub hits: AtomicU32,
    pub unreadable_log: AtomicBool,
}

impl FaultyStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            plan: Mutex::new(Vec::new()),
            hits: AtomicU32::new(0),
            unreadable_log: AtomicBool::new(false),
        })
    }

    /// The next write to a path that contains `part` fails so.
    pub fn fail(&self, part: &str, fault: WriteFault) {
        self.plan.lock().unwrap().push((part.to_owned(), fault));
    }

    fn fault(&self, path: &Path) -> Option<WriteFault> {
        let mut plan = self.plan.lock().unwrap();
        let at = plan
            .iter()
            .position(|(part, _)| path.as_ref().contains(part.as_str()))?;
        self.hits.fetch_add(1, Ordering::SeqCst);
        Some(plan.remove(at).1)
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

fn lost() -> Error {
    Error::Generic {
        store: "FaultyStore",
        source: "500 Internal Server Error".into(),
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        match self.fault(location) {
            None => self.inner.put_opts(location, payload, opts).await,
            Some(WriteFault::NotWritten) => Err(lost()),
            Some(WriteFault::AnswerLost) => {
                self.inner.put_opts(location, payload, opts).await?;
                Err(lost())
            }
            Some(WriteFault::AnswerLostAndBlind) => {
                self.inner.put_opts(location, payload, opts).await?;
                self.unreadable_log.store(true, Ordering::SeqCst);
                Err(lost())
            }
            Some(WriteFault::RepeatedAfterLoss) => {
                self.inner
                    .put_opts(location, payload.clone(), opts.clone())
                    .await?;
                self.inner.put_opts(location, payload, opts).await
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let log = location.as_ref().contains("_delta_log");
        if log && self.unreadable_log.load(Ordering::SeqCst) {
            return Err(lost());
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
