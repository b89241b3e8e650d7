//! The conflict matrix: operations of the Delta library behind the fence, and this crate's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use deltalake_core::DeltaTable;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::operations::optimize::OptimizeType;
use deltalake_core::protocol::SaveMode;
use kinfold_lake::{Compaction, FencedLogStore, Lake};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use tempfile::TempDir;
use url::Url;

use crate::support::{append, ids, local_lake, note, overwrite, read_ids, table};

const TABLE: &str = "main/t";

fn logs(folder: &TempDir) -> LogStoreRef {
    let root = folder.path().join(TABLE);
    let store = Arc::new(LocalFileSystem::new());
    let prefix = Path::from_absolute_path(&root).unwrap();
    let url = Url::from_directory_path(&root).unwrap();
    default_logstore(
        Arc::new(PrefixStore::new(store.clone(), prefix)),
        store,
        &url,
        &StorageConfig::default(),
    )
}

/// A table of four files with ten rows each.
async fn forty_rows() -> (TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    for part in 0..4 {
        let rows = part * 10..part * 10 + 10;
        append(&lake, TABLE, rows, note("setup", part)).await;
    }
    (folder, lake)
}

async fn library_table(folder: &TempDir, fenced: bool) -> DeltaTable {
    let mut plain = DeltaTable::new(logs(folder));
    plain.load().await.unwrap();
    if !fenced {
        return plain;
    }
    let fence = FencedLogStore::new(logs(folder), plain.version(), None);
    let mut table = DeltaTable::new(fence);
    table.load().await.unwrap();
    table
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stale {
    Compact,
    DeleteAll,
    Overwrite,
    Append,
}

async fn run_stale(table: DeltaTable, operation: Stale) -> Result<(), String> {
    let retries = CommitProperties::default().with_max_retries(15);
    let rows = vec![ids(100..110)];
    let result = match operation {
        Stale::Compact => table
            .optimize()
            .with_type(OptimizeType::Compact)
            .await
            .map(|_| ()),
        Stale::DeleteAll => table
            .delete()
            .with_commit_properties(retries)
            .await
            .map(|_| ()),
        Stale::Overwrite => table
            .write(rows)
            .with_save_mode(SaveMode::Overwrite)
            .with_commit_properties(retries)
            .await
            .map(|_| ()),
        Stale::Append => table
            .write(rows)
            .with_save_mode(SaveMode::Append)
            .with_commit_properties(retries)
            .await
            .map(|_| ()),
    };
    result.map_err(|error| error.to_string())
}

async fn compact(lake: &Lake, run: i64) {
    let compaction = Compaction::default();
    lake.compact(&table(TABLE), compaction, note("compactor", run))
        .await
        .unwrap();
}

/// Without the fence the library's own rules corrupt the table: the reason for the fence. If this
/// test fails, the library has been mended and decision 2 should be read again.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_fence_rows_are_duplicated_or_come_back() {
    for (operation, rows_left) in [
        (Stale::Compact, 80),
        (Stale::DeleteAll, 40),
        (Stale::Overwrite, 50),
    ] {
        let (folder, lake) = forty_rows().await;
        let stale = library_table(&folder, false).await;
        compact(&lake, 1).await;
        run_stale(stale, operation).await.unwrap();
        let rows = read_ids(&lake, TABLE, None).await.len();
        assert_eq!(rows, rows_left, "{operation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_refuses_what_would_corrupt() {
    for operation in [Stale::Compact, Stale::DeleteAll, Stale::Overwrite] {
        let (folder, lake) = forty_rows().await;
        let stale = library_table(&folder, true).await;
        compact(&lake, 1).await;
        let error = run_stale(stale, operation).await.unwrap_err();
        assert!(
            error.contains("version 4 already removed a file"),
            "{operation:?}: {error}"
        );
        assert_eq!(
            read_ids(&lake, TABLE, None).await,
            (0..40).collect::<Vec<_>>()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_lets_harmless_commits_through() {
    let (folder, lake) = forty_rows().await;
    let stale = library_table(&folder, true).await;
    compact(&lake, 1).await;
    run_stale(stale, Stale::Append).await.unwrap();
    assert_eq!(read_ids(&lake, TABLE, None).await.len(), 50);

    let stale = library_table(&folder, true).await;
    append(&lake, TABLE, 50..60, note("late", 1)).await;
    run_stale(stale, Stale::Compact).await.unwrap();
    assert_eq!(read_ids(&lake, TABLE, None).await.len(), 60);
}

/// Compactors, appenders and one deleter at once: nothing lost, nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_tasks_neither_lose_nor_duplicate() {
    const APPENDS: i64 = 25;
    let (folder, _) = forty_rows().await;
    let running = Arc::new(AtomicI64::new(3));
    let mut tasks = tokio::task::JoinSet::new();
    for appender in 1..4_i64 {
        let lake = local_lake(folder.path()).await;
        let running = running.clone();
        tasks.spawn(async move {
            for run in 0..APPENDS {
                let first = appender * 1_000_000 + run * 3;
                let commit = note(&format!("a{appender}"), run);
                append(&lake, TABLE, first..first + 3, commit).await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            0
        });
    }
    for compactor in 0..2 {
        let lake = local_lake(folder.path()).await;
        let running = running.clone();
        tasks.spawn(async move {
            let mut compacted = 0;
            for run in 0.. {
                if running.load(Ordering::SeqCst) == 0 {
                    break;
                }
                let commit = note(&format!("compactor{compactor}"), run);
                let done = lake
                    .compact(&table(TABLE), Compaction::default(), commit)
                    .await
                    .unwrap();
                compacted += done.files;
                // Without a rest, two of them leave a deletion no gap.
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            compacted
        });
    }
    let lake = local_lake(folder.path()).await;
    tasks.spawn(async move {
        for victim in 30..40 {
            let predicate = datafusion::prelude::col("id").eq(datafusion::prelude::lit(victim));
            let deleted = lake
                .delete_where(&table(TABLE), predicate, note("eraser", victim))
                .await
                .unwrap();
            assert_eq!(deleted.removed_rows, 1, "{victim}");
        }
        0
    });
    let mut compacted = 0;
    while let Some(done) = tasks.join_next().await {
        compacted += done.unwrap();
    }
    assert!(compacted > 3, "the race was a race: {compacted}");
    let appended = (1..4).flat_map(|a| a * 1_000_000..a * 1_000_000 + APPENDS * 3);
    let expected: Vec<i64> = (0..30).chain(appended).collect();
    let lake = local_lake(folder.path()).await;
    assert_eq!(read_ids(&lake, TABLE, None).await, expected);
}

/// Deleting everything and overwriting while compactors run: the last word is the last word.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deletions_and_overwrites_are_complete_beside_compactions() {
    for round in 0..6 {
        let (folder, lake) = forty_rows().await;
        let other = local_lake(folder.path()).await;
        let compactor = tokio::spawn(async move { compact(&other, 1).await });
        if round % 2 == 0 {
            let deleted = lake
                .delete_all(&table(TABLE), note("eraser", 1))
                .await
                .unwrap();
            assert_eq!(deleted.removed_rows, 40);
            compactor.await.unwrap();
            assert_eq!(read_ids(&lake, TABLE, None).await, Vec::<i64>::new());
        } else {
            overwrite(&lake, TABLE, 7..9, note("model", 1)).await;
            compactor.await.unwrap();
            assert_eq!(read_ids(&lake, TABLE, None).await, [7, 8]);
        }
    }
}
