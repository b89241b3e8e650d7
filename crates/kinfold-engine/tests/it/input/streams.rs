//! The two streams of a landing, drained in every order.

use std::sync::Arc;

use super::{CSV, folder, session, source};
use datafusion::common::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::common::collect;
use futures::StreamExt as _;
use kinfold_engine::input::{self, InputError, Landing};
use kinfold_project::model::StorageOptions;
use tempfile::TempDir;

/// A file of which every third record is bad, far larger than what waits in memory.
fn large() -> TempDir {
    let filler = "x".repeat(200);
    let mut text = String::from("id,name\n");
    for id in 0..300_000 {
        let value = if id % 3 == 0 {
            "bad".to_owned()
        } else {
            id.to_string()
        };
        text.push_str(&format!("{value},{filler}\n"));
    }
    folder(&[("a.csv", text.as_bytes())])
}

async fn landing(root: &TempDir) -> Landing {
    let source = source("a.csv", CSV, &[("id", "bigint"), ("name", "varchar")]);
    let storage = StorageOptions::default();
    let files = input::list(root.path(), &source, &storage).await.unwrap();
    let schema = input::columns(root.path(), &source, &files, &storage, &session())
        .await
        .unwrap();
    input::read(
        root.path(),
        &source,
        &files,
        schema,
        &storage,
        &Arc::new(RuntimeEnv::default()),
    )
    .await
    .unwrap()
}

fn count(batches: &[datafusion::arrow::array::RecordBatch]) -> usize {
    batches
        .iter()
        .map(datafusion::arrow::array::RecordBatch::num_rows)
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_first() {
    let root = large();
    let Landing {
        rows,
        quarantined,
        counts,
    } = landing(&root).await;
    assert_eq!(count(&collect(rows).await.unwrap()), 200_000);
    let bad = collect(quarantined).await.unwrap();
    assert_eq!(count(&bad), 100_000);
    assert_eq!(
        (counts.records(), counts.landed(), counts.quarantined()),
        (300_000, 200_000, 100_000)
    );
}

#[tokio::test]
async fn quarantine_first() {
    let root = large();
    let Landing {
        rows,
        quarantined,
        counts,
    } = landing(&root).await;
    assert_eq!(count(&collect(quarantined).await.unwrap()), 100_000);
    let rows = collect(rows).await.unwrap();
    let ids: Vec<String> = rows.iter().flat_map(super::lines).collect();
    assert_eq!(ids.len(), 200_000);
    assert!(ids.last().unwrap().starts_with("299999|xx"));
    assert_eq!(counts.files(), 1);
}

#[tokio::test]
async fn one_stream_alone() {
    let root = large();
    let Landing {
        rows, quarantined, ..
    } = landing(&root).await;
    drop(rows);
    assert_eq!(count(&collect(quarantined).await.unwrap()), 100_000);
    let Landing {
        rows, quarantined, ..
    } = landing(&root).await;
    drop(quarantined);
    assert_eq!(count(&collect(rows).await.unwrap()), 200_000);
    let Landing {
        mut rows,
        quarantined,
        ..
    } = landing(&root).await;
    assert!(rows.next().await.unwrap().is_ok());
    drop((rows, quarantined));
}

#[tokio::test]
async fn an_error_ends_both_streams_with_its_type() {
    let root = folder(&[("d/a.csv", b"id,name\n1,x\n"), ("d/b.csv", b"id\n1\n")]);
    let source = source("d/*.csv", CSV, &[("id", "bigint"), ("name", "varchar")]);
    let storage = StorageOptions::default();
    let files = input::list(root.path(), &source, &storage).await.unwrap();
    let schema = input::columns(root.path(), &source, &files, &storage, &session())
        .await
        .unwrap();
    let runtime = Arc::new(RuntimeEnv::default());
    let landing = input::read(root.path(), &source, &files, schema, &storage, &runtime)
        .await
        .unwrap();
    for stream in [landing.rows, landing.quarantined] {
        let error: DataFusionError = collect(stream).await.unwrap_err();
        let found = InputError::in_chain(&error).unwrap();
        assert!(
            matches!(found, InputError::MissingColumn { column, .. } if column == "name"),
            "{found}"
        );
    }
}
