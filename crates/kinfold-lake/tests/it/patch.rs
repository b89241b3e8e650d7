//! Rows that are deleted in place: whoever reads the table, they are gone.

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use datafusion::prelude::{col, lit};
use futures::StreamExt as _;
use kinfold_lake::{Compaction, Lake, LakeError, Snapshot, Vacuum, Written, open_external_delta};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{
    append, context, ids, local_lake, note, overwrite, query, read_ids, rows_of, stream, table,
};

const TABLE: &str = "main/t";

async fn newest(lake: &Lake) -> Snapshot {
    lake.snapshot(&table(TABLE), None).await.unwrap().unwrap()
}

/// File and place of each row, deleted ones left out.
async fn places(lake: &Lake, snapshot: &Snapshot) -> BTreeMap<i64, (String, u64)> {
    let mut places = BTreeMap::new();
    let files = lake
        .read_in_place(&table(TABLE), snapshot, &["id"], &[])
        .await;
    for mut file in files.unwrap() {
        let mut place = 0;
        while let Some(batch) = file.rows.next().await {
            for id in batch
                .unwrap()
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
            {
                if file.deleted.binary_search(&place).is_err() {
                    let before = places.insert(*id, (file.file.clone(), place));
                    assert_eq!(before, None, "{id} is there twice");
                }
                place += 1;
            }
        }
    }
    places
}

async fn patch(
    lake: &Lake,
    snapshot: &Snapshot,
    gone: &[i64],
    come: std::ops::Range<i64>,
    run: i64,
) -> Result<Written, LakeError> {
    let places = places(lake, snapshot).await;
    let mut deleted: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for id in gone {
        if let Some((file, place)) = places.get(id) {
            deleted.entry(file.clone()).or_default().push(*place);
        }
    }
    let input = match come.is_empty() {
        true => vec![],
        false => vec![stream(vec![ids(come)])],
    };
    let note = note("patch", run);
    lake.patch(&table(TABLE), snapshot, &deleted, input, &[], note)
        .await
}

/// What the Delta library itself reads.
async fn read_elsewhere(folder: &std::path::Path, lake: &Lake) -> usize {
    let location = folder.join(TABLE).to_str().unwrap().to_owned();
    let table = open_external_delta(&location, &BTreeMap::new(), None)
        .await
        .unwrap();
    let context = context(lake);
    table.register(&context.runtime_env());
    rows_of(&context, table.provider()).await.len() - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_are_gone_for_every_reader_and_stay_in_older_versions() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    append(&lake, TABLE, 0..100, note("w", 0)).await;
    append(&lake, TABLE, 100..200, note("w", 1)).await;
    let before = newest(&lake).await;
    let written = patch(&lake, &before, &[0, 50, 51, 99, 150], 200..203, 1)
        .await
        .unwrap();
    assert_eq!(
        (written.version, written.rows, written.removed_rows),
        (2, 3, 5)
    );
    let again = patch(&lake, &before, &[0], 200..203, 1).await.unwrap();
    assert!(again.repeated, "the same note lands once");
    let expected: Vec<i64> = (0..203)
        .filter(|id| ![0, 50, 51, 99, 150].contains(id))
        .collect();
    assert_eq!(read_ids(&lake, TABLE, None).await, expected);
    assert_eq!(
        read_ids(&lake, TABLE, Some(1)).await,
        (0..200).collect::<Vec<_>>()
    );
    assert_eq!(read_elsewhere(folder.path(), &lake).await, expected.len());
    let after = newest(&lake).await;
    assert_eq!(after.deleted_rows().unwrap(), 5);
    assert!(
        after.difference(&before).unwrap().is_none(),
        "files alone do not say"
    );

    // Counts, bounds and filters are those of the rows that are left.
    let context = context(&lake);
    context
        .register_table("t", after.provider().unwrap())
        .unwrap();
    let sql = "SELECT count(*) AS n, count(id) AS ids, min(id) AS least, max(id) AS most FROM t";
    let counted = query(&context, sql).await;
    assert!(
        counted.contains("| 198 | 198 | 1     | 202  |"),
        "{counted}"
    );
    let found = query(
        &context,
        "SELECT count(*) AS n FROM t WHERE id BETWEEN 49 AND 52",
    )
    .await;
    assert!(found.contains("| 2 |"), "{found}");

    // All rows of a file, in two steps.
    let first: Vec<i64> = (0..100).collect();
    patch(&lake, &after, &first, 0..0, 2).await.unwrap();
    let last = newest(&lake).await;
    assert_eq!((last.num_files(), last.num_rows()), (2, Some(102)));
    assert_eq!(read_ids(&lake, TABLE, Some(2)).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_of_patches_gives_the_rows_it_should() {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let step = (prop::collection::vec(0_i64..400, 0..30), 0_i64..20, 0_u8..8);
        let history = prop::collection::vec(step, 1..7);
        let config = Config {
            cases: 24,
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new(config)
            .run(&history, |history| {
                runtime.block_on(follow(&history));
                Ok(())
            })
            .unwrap();
    })
    .await
    .unwrap();
}

/// Patches, and now and then a compaction, an erasure or a vacuum between them.
async fn follow(history: &[(Vec<i64>, i64, u8)]) {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    append(&lake, TABLE, 0..200, note("w", 0)).await;
    append(&lake, TABLE, 200..300, note("w", 1)).await;
    let mut expected: Vec<i64> = (0..300).collect();
    let mut next = 300;
    for (run, (gone, come, extra)) in (1..).zip(history) {
        let come = next..next + come;
        next = come.end;
        patch(&lake, &newest(&lake).await, gone, come.clone(), run)
            .await
            .unwrap();
        expected.retain(|id| !gone.contains(id));
        expected.extend(come);
        match extra {
            0 => {
                let compaction = Compaction {
                    target_bytes: 1 << 20,
                    min_files: 2,
                };
                let before = newest(&lake).await.num_files();
                lake.compact(&table(TABLE), compaction, note("maintain", run))
                    .await
                    .unwrap();
                let after = newest(&lake).await;
                // One file alone is written anew only if many of its rows are deleted.
                let most = if before > 1 {
                    0
                } else {
                    after.num_rows().unwrap() / 4
                };
                assert!(after.deleted_rows().unwrap() <= most);
                assert!(after.num_files() <= 1);
            }
            1 => {
                let erased = col("id").lt(lit(40_i64));
                lake.delete_where(&table(TABLE), erased, note("erase", run))
                    .await
                    .unwrap();
                expected.retain(|id| *id >= 40);
                // Not even deleted rows have it any more.
                let snapshot = newest(&lake).await;
                let files = lake
                    .read_in_place(&table(TABLE), &snapshot, &["id"], &[])
                    .await;
                for mut file in files.unwrap() {
                    while let Some(batch) = file.rows.next().await {
                        let batch = batch.unwrap();
                        let ids = batch.column(0).as_primitive::<Int64Type>().values();
                        assert!(ids.iter().all(|id| *id >= 40));
                    }
                }
            }
            2 => {
                let vacuum = Vacuum {
                    retention: std::time::Duration::ZERO,
                    ..Vacuum::default()
                };
                lake.vacuum(&table(TABLE), vacuum).await.unwrap();
            }
            _ => {}
        }
        assert_eq!(read_ids(&lake, TABLE, None).await, expected);
        assert_eq!(read_elsewhere(folder.path(), &lake).await, expected.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_of_files_that_changed_meanwhile_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    append(&lake, TABLE, 0..10, note("w", 0)).await;
    let base = newest(&lake).await;
    patch(&lake, &base, &[1], 0..0, 1).await.unwrap();
    let late = patch(&lake, &base, &[2], 10..12, 2).await;
    assert!(matches!(late, Err(LakeError::Contended { .. })));
    let base = newest(&lake).await;
    // What is only added does no harm.
    append(&lake, TABLE, 20..22, note("w", 1)).await;
    patch(&lake, &base, &[2], 0..0, 3).await.unwrap();
    assert_eq!(
        read_ids(&lake, TABLE, None).await,
        [0, 3, 4, 5, 6, 7, 8, 9, 20, 21]
    );
    let base = newest(&lake).await;
    overwrite(&lake, TABLE, 0..3, note("w", 2)).await;
    let late = patch(&lake, &base, &[3], 0..0, 4).await;
    assert!(matches!(late, Err(LakeError::Contended { .. })));
    assert_eq!(read_ids(&lake, TABLE, None).await, [0, 1, 2]);
    let nowhere = BTreeMap::from([("nowhere".to_owned(), vec![0])]);
    let base = newest(&lake).await;
    let refused = lake
        .patch(
            &table(TABLE),
            &base,
            &nowhere,
            vec![],
            &[],
            note("patch", 5),
        )
        .await;
    assert!(matches!(refused, Err(LakeError::Corrupt { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_alone_is_written_anew_once_many_of_its_rows_are_deleted() {
    let few: Vec<i64> = (0..20).collect();
    let many: Vec<i64> = (20..120).collect();
    follow(&[(vec![], 1, 0), (few, 0, 0), (many, 0, 0)]).await;
}
