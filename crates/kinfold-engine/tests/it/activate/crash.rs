//! A run that dies at any operation of its storage, and the run after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::ipc::reader::StreamReader;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kinfold_sync::{CancelToken, Operation};
use kinfold_testkit::FakeClock;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::receiver::{Fate, Receiver, Sent};
use super::setting::{Setting, mirror, plain};

/// A store whose process dies at one of its operations: before it takes effect, or after.
#[derive(Debug)]
pub(super) struct MortalStore {
    inner: Arc<InMemory>,
    done: AtomicU64,
    /// The operation that is the last, from 0, and whether it takes effect.
    last: Option<(u64, bool)>,
    /// Whether operations count: opening the lake is no part of a run.
    armed: AtomicBool,
    pub(super) died: Arc<Notify>,
    /// The run is gone, so that what waits may end.
    pub(super) buried: CancelToken,
}

impl MortalStore {
    pub(super) fn new(inner: &Arc<InMemory>, last: Option<(u64, bool)>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            done: AtomicU64::new(0),
            last,
            armed: AtomicBool::new(false),
            died: Arc::default(),
            buried: CancelToken::new(),
        })
    }

    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    async fn live<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.armed.load(Ordering::SeqCst) {
            return operation.await;
        }
        let number = self.done.fetch_add(1, Ordering::SeqCst);
        match self.last {
            Some((last, _)) if number > last => {}
            Some((last, takes_effect)) if number == last => {
                if takes_effect {
                    let _ = operation.await;
                }
                self.died.notify_one();
            }
            _ => return operation.await,
        }
        // Nobody hears the answer; but threads that wait for one must end before the test can.
        self.buried.cancelled().await;
        Err(gone())
    }
}

fn gone() -> Error {
    Error::Generic {
        store: "MortalStore",
        source: "the process is dead".into(),
    }
}

impl fmt::Display for MortalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MortalStore")
    }
}

#[async_trait]
impl ObjectStore for MortalStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.live(self.inner.put_opts(location, payload, opts))
            .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.live(self.inner.put_multipart_opts(location, opts))
            .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.live(self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.live(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        // One object at a time, as this store's users delete.
        if !self.armed.load(Ordering::SeqCst) {
            return self.inner.delete_stream(locations);
        }
        let number = self.done.fetch_add(1, Ordering::SeqCst);
        let Some((last, takes_effect)) = self.last.filter(|(last, _)| number >= *last) else {
            return self.inner.delete_stream(locations);
        };
        let dies = number == last;
        let deleted = (dies && takes_effect).then(|| self.inner.delete_stream(locations));
        let (died, buried) = (Arc::clone(&self.died), self.buried.clone());
        Box::pin(futures::stream::once(async move {
            if let Some(deleted) = deleted {
                let _: Vec<_> = deleted.collect().await;
            }
            if dies {
                died.notify_one();
            }
            buried.cancelled().await;
            Err(gone())
        }))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.live(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.live(self.inner.copy_opts(from, to, options)).await
    }
}

async fn objects(store: &InMemory) -> Vec<ObjectMeta> {
    store.list(None).try_collect().await.unwrap()
}

/// Another store with the same objects.
async fn copy(store: &InMemory) -> Arc<InMemory> {
    let copy = InMemory::new();
    for object in objects(store).await {
        let bytes = store
            .get(&object.location)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        copy.put(&object.location, bytes.into()).await.unwrap();
    }
    Arc::new(copy)
}

/// What acknowledgement objects say: (key, operation) that were delivered.
pub(super) async fn acknowledged(store: &InMemory) -> BTreeSet<(String, String)> {
    let mut files = BTreeMap::new();
    for object in objects(store).await {
        let file = store.get(&object.location).await.unwrap();
        files.insert(object.location.to_string(), file.bytes().await.unwrap());
    }
    let file = |ending: &str| files.iter().find(|(name, _)| name.ends_with(ending));
    let Some((_, plan)) = file("sync/crm/run/plan.json") else {
        return BTreeSet::new();
    };
    let plan: Value = serde_json::from_slice(plan).unwrap();
    let mut planned = vec![];
    for chunk in plan["changes"].as_array().unwrap() {
        let (_, bytes) = file(chunk["name"].as_str().unwrap()).unwrap();
        let reader = StreamReader::try_new(std::io::Cursor::new(bytes.clone()), None).unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let text = |name: &str| {
                batch
                    .column_by_name(name)
                    .unwrap()
                    .as_string::<i32>()
                    .clone()
            };
            let (keys, operations) = (text("key"), text("operation"));
            let rows = keys.iter().zip(&operations);
            planned.extend(rows.map(|(k, o)| (k.unwrap().to_owned(), o.unwrap().to_owned())));
        }
    }
    let acknowledgements = files.iter().filter(|(name, _)| name.contains("/ack-"));
    let mut found = BTreeSet::new();
    for (_, bytes) in acknowledgements {
        let record: Value = serde_json::from_slice(bytes).unwrap();
        for range in record["delivered"].as_array().unwrap() {
            let at = |end: usize| usize::try_from(range[end].as_u64().unwrap()).unwrap();
            found.extend(planned[at(0)..=at(1)].iter().cloned());
        }
    }
    found
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Add => "add",
        Operation::Update => "update",
        Operation::Remove => "remove",
        Operation::Clear => "clear",
    }
}

/// What must not depend on a crash: state and ledger, without names of runs.
async fn outcome(setting: &Setting) -> (Vec<Value>, Vec<Value>) {
    let without = |rows: Vec<Value>, columns: &[&str]| {
        let mut rows: Vec<Value> = rows
            .into_iter()
            .map(|row| match row {
                Value::Object(mut map) => {
                    columns
                        .iter()
                        .for_each(|column| drop(map.shift_remove(*column)));
                    Value::Object(map)
                }
                other => other,
            })
            .collect();
        rows.sort_by_key(ToString::to_string);
        rows
    };
    (
        without(setting.state().await, &["first_error_run", "last_ack_run"]),
        without(
            setting.ledger().await,
            &["run_id", "delivery", "seq", "sent_at"],
        ),
    )
}

const BEFORE: [(&str, f64); 4] = [("a", 1.0), ("b", 1.0), ("c", 1.0), ("r", 1.0)];
const AFTER: [(&str, f64); 5] = [("b", 2.0), ("c", 1.0), ("d", 1.0), ("e", 1.0), ("r", 1.0)];

fn key(id: &str) -> String {
    json!({"id": id}).to_string()
}

fn fates() -> [(String, Fate); 1] {
    [(key("e"), Fate::Reject)]
}

/// A lake after a first run, with other rows published.
async fn prepared() -> (Setting, Arc<InMemory>) {
    let store = Arc::new(InMemory::new());
    let mut setting = Setting::on(Arc::clone(&store) as Arc<dyn ObjectStore>, mirror()).await;
    let receiver = Receiver::default();
    setting.publish(plain(&BEFORE)).await;
    setting
        .run_through(&receiver, &FakeClock::new())
        .await
        .unwrap();
    setting.publish(plain(&AFTER)).await;
    setting.later(1);
    (setting, store)
}

/// A receiver that has what the first run delivered.
fn warmed() -> Receiver {
    let receiver = Receiver::default();
    receiver.restore(
        BEFORE
            .iter()
            .map(|(id, value)| (key(id), json!({"value": *value}))),
    );
    receiver.fates(fates());
    receiver
}

#[tokio::test]
async fn every_crash_point_leads_to_the_same_end() {
    crash_everywhere(None).await;
}

#[tokio::test]
async fn every_crash_point_of_a_run_that_ends_early_does_too() {
    crash_everywhere(Some(1)).await;
}

/// Lets runs die at every operation, before and after its effect; those that die find a destination that
/// refuses every batch after the first few.
async fn crash_everywhere(batches: Option<u32>) {
    let (mut setting, store) = prepared().await;
    // Without a crash.
    let whole = copy(&store).await;
    let counted = MortalStore::new(&whole, None);
    setting
        .attach(Arc::clone(&counted) as Arc<dyn ObjectStore>)
        .await;
    counted.arm();
    let receiver = warmed();
    let report = setting
        .run_through(&receiver, &FakeClock::new())
        .await
        .unwrap();
    assert_eq!(
        (report.delivered, report.rejected, report.removals),
        (3, 1, 1)
    );
    let mut operations = counted.done.load(Ordering::SeqCst);
    let expected = outcome(&setting).await;
    let expected_rows = receiver.rows();
    assert!(operations > 20, "{operations}");
    if batches.is_some() {
        // One batch at a time, so that some are never sent.
        setting.policy.concurrency = 1;
        let disk = copy(&store).await;
        let counted = MortalStore::new(&disk, None);
        setting
            .attach(Arc::clone(&counted) as Arc<dyn ObjectStore>)
            .await;
        counted.arm();
        let receiver = warmed();
        receiver.break_after(batches);
        let report = setting
            .run_through(&receiver, &FakeClock::new())
            .await
            .unwrap();
        assert_eq!(
            (report.planned, report.delivered, report.retryable),
            (4, 1, 3)
        );
        assert!(report.stopped.is_some());
        operations = counted.done.load(Ordering::SeqCst);
    }

    let mut resumed = 0;
    for last in 0..operations {
        for takes_effect in [false, true] {
            let disk = copy(&store).await;
            let dying = MortalStore::new(&disk, Some((last, takes_effect)));
            setting
                .attach(Arc::clone(&dying) as Arc<dyn ObjectStore>)
                .await;
            dying.arm();
            let receiver = warmed();
            receiver.break_after(batches);
            let clock = FakeClock::new();
            tokio::select! {
                biased;
                ended = setting.run_through(&receiver, &clock) => drop(ended.unwrap()),
                () = dying.died.notified() => {}
            }
            dying.buried.cancel();
            receiver.break_after(None);
            let before: Vec<Sent> = receiver.take();
            let durable = acknowledged(&disk).await;

            // Another process, after the lease of the dead one has run out.
            setting
                .attach(Arc::clone(&disk) as Arc<dyn ObjectStore>)
                .await;
            setting
                .engine
                .lake
                .delete("lease/sync/crm.json")
                .await
                .unwrap();
            let report = setting
                .run_through(&receiver, &FakeClock::new())
                .await
                .unwrap();
            resumed += u32::from(report.resumed);
            let after = receiver.take();
            let place = format!("operation {last}, effect {takes_effect}");

            let mut delivered = BTreeSet::new();
            for sent in &after {
                let first = sent.fate != Fate::Deliver || delivered.insert(&sent.key);
                assert!(
                    first,
                    "{place}: {} was delivered twice by one run",
                    sent.key
                );
                let again = (sent.key.clone(), word(sent.operation).to_owned());
                assert!(
                    !durable.contains(&again),
                    "{place}: {again:?} was acknowledged and sent again"
                );
                // What may have arrived before comes in the same batch, so that the receiver can tell.
                if report.resumed
                    && let Some(earlier) = before
                        .iter()
                        .find(|s| s.key == sent.key && s.fate == Fate::Deliver)
                {
                    assert_eq!(earlier.batch, sent.batch, "{place}");
                }
            }
            // The row that is refused is not due yet.
            let settle = setting
                .run_through(&receiver, &FakeClock::new())
                .await
                .unwrap();
            assert_eq!((settle.planned, settle.waiting), (0, 1), "{place}");
            assert_eq!(receiver.rows(), expected_rows, "{place}");
            let (state, ledger) = outcome(&setting).await;
            compare(&expected, &state, &ledger, &place);
            assert!(setting.leftovers().await.is_empty(), "{place}");
        }
    }
    assert!(resumed > 10, "plans were resumed {resumed} times");
}

/// Equal but for the attempts of the refused row, which is tried once a run.
fn compare(expected: &(Vec<Value>, Vec<Value>), state: &[Value], ledger: &[Value], place: &str) {
    let settled = |rows: &[Value]| -> BTreeMap<String, Value> {
        rows.iter()
            .map(|row| {
                let mut row = row.clone();
                if let Some(map) = row.as_object_mut() {
                    map.shift_remove("attempts");
                }
                (row["key_text"].as_str().unwrap().to_owned(), row)
            })
            .collect()
    };
    assert_eq!(settled(state), settled(&expected.0), "{place}");
    let sends = |rows: &[Value]| -> Vec<Value> {
        rows.iter()
            .filter(|row| row["outcome"] == "delivered")
            .cloned()
            .collect()
    };
    assert_eq!(sends(ledger), sends(&expected.1), "{place}");
}

#[tokio::test]
async fn a_delivery_that_is_cut_is_resumed_without_what_was_acknowledged() {
    let (mut setting, store) = prepared().await;
    let receiver = warmed();
    // Count the operations up to the first acknowledgement by letting a run die after each.
    let mut last = 0;
    loop {
        let disk = copy(&store).await;
        let dying = MortalStore::new(&disk, Some((last, true)));
        setting
            .attach(Arc::clone(&dying) as Arc<dyn ObjectStore>)
            .await;
        dying.arm();
        let clock = FakeClock::new();
        tokio::select! {
            biased;
            ended = setting.run_through(&receiver, &clock) => panic!("ended without acknowledgement: {ended:?}"),
            () = dying.died.notified() => {}
        }
        dying.buried.cancel();
        let durable = acknowledged(&disk).await;
        if durable.is_empty() {
            last += 1;
            continue;
        }
        setting
            .attach(Arc::clone(&disk) as Arc<dyn ObjectStore>)
            .await;
        setting
            .engine
            .lake
            .delete("lease/sync/crm.json")
            .await
            .unwrap();
        let dry = setting.dry_run().await.unwrap();
        assert!(dry.resumed, "a dry run tells of the interrupted run");
        receiver.take();
        let report = setting
            .run_through(&receiver, &FakeClock::new())
            .await
            .unwrap();
        assert!(report.resumed);
        // The finished plan; the row that it was refused is not due yet.
        assert_eq!(
            (report.planned, report.delivered, report.rejected),
            (4, 3, 1)
        );
        assert_eq!(report.waiting, 1);
        return;
    }
}
