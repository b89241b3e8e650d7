//! Compaction and vacuum.

use std::time::Duration;

use kinfold_lake::{Compaction, LakeError, Vacuum};

use crate::support::{append, local_lake, note, overwrite, read_ids, table};

const TABLE: &str = "main/t";

fn now() -> Vacuum<'static> {
    Vacuum {
        retention: Duration::ZERO,
        ..Vacuum::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    for part in 0..5 {
        append(&lake, TABLE, part * 10..part * 10 + 10, note("w", part)).await;
    }
    let compact = |run| lake.compact(&TABLE_PATH, Compaction::default(), note("maintain", run));
    let done = compact(1).await.unwrap();
    assert_eq!((done.version, done.rows, done.files), (5, 50, 1));
    let snapshot = lake.snapshot(&table(TABLE), None).await.unwrap().unwrap();
    assert_eq!((snapshot.num_files(), snapshot.num_rows()), (1, Some(50)));
    assert_eq!(
        read_ids(&lake, TABLE, None).await,
        (0..50).collect::<Vec<_>>()
    );
    assert_eq!(compact(1).await.unwrap().version, 5, "repeated");
    let nothing = compact(2).await.unwrap();
    assert_eq!((nothing.version, nothing.files), (5, 0));
    let missing = lake
        .compact(
            &table("main/none"),
            Compaction::default(),
            note("maintain", 1),
        )
        .await;
    assert!(matches!(missing, Err(LakeError::NoTable { .. })));
}

static TABLE_PATH: std::sync::LazyLock<kinfold_lake::TablePath> =
    std::sync::LazyLock::new(|| table(TABLE));

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_keeps_what_is_named_and_what_is_young() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    for version in 0..4 {
        overwrite(
            &lake,
            TABLE,
            version * 10..version * 10 + 5,
            note("w", version),
        )
        .await;
    }
    let root = folder.path().join(TABLE);
    // What killed writers leave: a whole file without a commit, and one half written.
    std::fs::write(root.join("part-orphan.zstd.parquet"), b"orphan").unwrap();
    std::fs::write(root.join("part-half.zstd.parquet#17"), b"half").unwrap();

    let young = lake.vacuum(&table(TABLE), Vacuum::default()).await.unwrap();
    assert_eq!(young.files, 0);
    let keep = [(table(TABLE), 1), (table("main/other"), 0)];
    let counted = lake
        .vacuum(
            &table(TABLE),
            Vacuum {
                keep: &keep,
                dry_run: true,
                ..now()
            },
        )
        .await
        .unwrap();
    assert_eq!(counted.files, 4);
    let removed = lake
        .vacuum(
            &table(TABLE),
            Vacuum {
                keep: &keep,
                ..now()
            },
        )
        .await
        .unwrap();
    assert_eq!(removed, counted);
    assert_eq!(
        read_ids(&lake, TABLE, Some(1)).await,
        (10..15).collect::<Vec<_>>()
    );
    assert_eq!(
        read_ids(&lake, TABLE, None).await,
        (30..35).collect::<Vec<_>>()
    );
    let left: Vec<_> = std::fs::read_dir(&root).unwrap().collect();
    assert_eq!(left.len(), 3, "two files and the log");
    // A vacuum is not a version: nothing has to be built anew because of it.
    let snapshot = lake.snapshot(&table(TABLE), None).await.unwrap().unwrap();
    assert_eq!(snapshot.version(), 3);

    let gone = [(table(TABLE), 9)];
    let missing = lake
        .vacuum(
            &table(TABLE),
            Vacuum {
                keep: &gone,
                ..now()
            },
        )
        .await;
    assert!(matches!(
        missing,
        Err(LakeError::NoVersion { version: 9, .. })
    ));
}
