//! Lost answers, failing steps, full disks: a commit lands once or not at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt as _;
use kinfold_lake::{Lake, LakeError, LakeUrl};
use object_store::ObjectStore as _;
use object_store::memory::InMemory;

use crate::support::{
    FaultyStore, WriteFault, append, id_schema, ids, note, overwrite, read_ids, stream, table,
};

const TABLE: &str = "main/t";

/// A lake in memory under an S3 address, so that nothing of a folder helps.
async fn faulty() -> (Arc<FaultyStore>, Lake) {
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let url = LakeUrl::parse("s3://acme/lake").unwrap();
    let lake = Lake::with_store(url, store.clone()).await.unwrap();
    (store, lake)
}

async fn data_files(store: &FaultyStore) -> usize {
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    all.iter()
        .filter(|object| object.location.as_ref().contains("part-"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_with_a_lost_answer_lands_exactly_once() {
    for fault in [
        WriteFault::AnswerLost,
        WriteFault::RepeatedAfterLoss,
        WriteFault::NotWritten,
    ] {
        let (store, lake) = faulty().await;
        store.fail("00000000000000000000.json", fault);
        let created = append(&lake, TABLE, 0..10, note("w", 1)).await;
        assert_eq!(created.version, 0);
        store.fail("00000000000000000001.json", fault);
        let appended = append(&lake, TABLE, 10..20, note("w", 2)).await;
        assert_eq!((appended.version, appended.rows), (1, 10));
        store.fail("00000000000000000002.json", fault);
        let overwritten = overwrite(&lake, TABLE, 20..25, note("w", 3)).await;
        assert_eq!((overwritten.version, overwritten.removed_rows), (2, 20));
        assert_eq!(store.hits.load(Ordering::SeqCst), 3, "{fault:?}");
        assert_eq!(
            read_ids(&lake, TABLE, Some(1)).await,
            (0..20).collect::<Vec<_>>()
        );
        assert_eq!(
            read_ids(&lake, TABLE, None).await,
            (20..25).collect::<Vec<_>>()
        );
        assert_eq!(data_files(&store).await, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_transaction_again_changes_nothing() {
    let (store, lake) = faulty().await;
    append(&lake, TABLE, 0..10, note("w", 1)).await;
    let first = append(&lake, TABLE, 10..20, note("w", 2)).await;
    append(&lake, TABLE, 20..30, note("other", 1)).await;
    let again = append(&lake, TABLE, 10..20, note("w", 2)).await;
    assert!(again.repeated && !first.repeated);
    assert_eq!(
        (again.version, again.rows, again.bytes),
        (first.version, first.rows, first.bytes)
    );
    assert_eq!(read_ids(&lake, TABLE, None).await.len(), 30);
    assert_eq!(data_files(&store).await, 3);

    append(&lake, TABLE, 30..40, note("w", 5)).await;
    let input = vec![stream(vec![ids(0..1)])];
    let late = lake
        .append(&table(TABLE), id_schema(), input, note("w", 4))
        .await;
    assert!(matches!(late, Err(LakeError::Superseded { landed: 5, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blind_writer_says_that_it_does_not_know() {
    let (store, lake) = faulty().await;
    append(&lake, TABLE, 0..10, note("w", 1)).await;
    store.fail("00000000000000000001.json", WriteFault::AnswerLostAndBlind);
    let input = vec![stream(vec![ids(10..20)])];
    let blind = lake
        .append(&table(TABLE), id_schema(), input, note("w", 2))
        .await;
    assert!(
        matches!(blind, Err(LakeError::CommitUnknown { .. })),
        "{blind:?}"
    );
    store.unreadable_log.store(false, Ordering::SeqCst);
    let again = append(&lake, TABLE, 10..20, note("w", 2)).await;
    assert!(again.repeated);
    assert_eq!(
        read_ids(&lake, TABLE, None).await,
        (0..20).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_checkpoint_does_not_fail_the_commit() {
    let (store, lake) = faulty().await;
    for run in 0..45 {
        store.fail("checkpoint", WriteFault::NotWritten);
        append(&lake, TABLE, run..run + 1, note("w", run)).await;
    }
    assert!(
        store.hits.load(Ordering::SeqCst) >= 2,
        "checkpoints were tried"
    );
    assert_eq!(
        read_ids(&lake, TABLE, None).await,
        (0..45).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_leaves_nothing() {
    let (store, lake) = faulty().await;
    append(&lake, TABLE, 0..10, note("w", 1)).await;
    store.fail("part-", WriteFault::NotWritten);
    let inputs = vec![stream(vec![ids(10..20)]), stream(vec![ids(20..30)])];
    let full = lake
        .append(&table(TABLE), id_schema(), inputs, note("w", 2))
        .await;
    assert!(matches!(full, Err(LakeError::Parquet { .. })), "{full:?}");

    let broken = futures::stream::iter([
        Ok(ids(10..20)),
        Err(DataFusionError::Execution("no".to_owned())),
    ]);
    let broken = Box::pin(RecordBatchStreamAdapter::new(id_schema(), broken));
    let failed = lake
        .overwrite(&table(TABLE), id_schema(), vec![broken], note("w", 3))
        .await;
    assert!(matches!(failed, Err(LakeError::Input(_))), "{failed:?}");
    assert_eq!(
        read_ids(&lake, TABLE, None).await,
        (0..10).collect::<Vec<_>>()
    );
    assert_eq!(data_files(&store).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_its_lease_is_refused() {
    let (store, lake) = faulty().await;
    append(&lake, TABLE, 0..10, note("w", 1)).await;
    let ttl = Duration::from_secs(60);
    let lease = lake.lease("table/t", "first", ttl).await.unwrap();
    let guarded = lake.guarded(&lease);
    append(&guarded, TABLE, 10..20, note("w", 2)).await;
    lease.release().await.unwrap();
    let second = lake.lease("table/t", "second", ttl).await.unwrap();
    assert!(second.token() > lease.token());
    let input = vec![stream(vec![ids(20..30)])];
    let refused = guarded
        .append(&table(TABLE), id_schema(), input, note("w", 3))
        .await;
    assert!(
        matches!(refused, Err(LakeError::LeaseLost { token: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(read_ids(&lake, TABLE, None).await.len(), 20);
    assert_eq!(data_files(&store).await, 2);
    append(&lake.guarded(&second), TABLE, 20..30, note("w", 3)).await;
}
