//! Overwriting, appending, deleting; what a table is afterwards.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringViewArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::prelude::{col, lit};
use kinfold_lake::{AppendColumns, CommitNote, LakeError, storable_schema};

use crate::support::{
    append, context, id_schema, ids, local_lake, note, overwrite, query, read_ids, stream, table,
};

const TABLE: &str = "main/t";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_is_never_seen_empty() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    assert!(lake.snapshot(&table(TABLE), None).await.unwrap().is_none());
    let commit = note("kinfold:prod:t", 1).with("run", "r1");
    let written = overwrite(&lake, TABLE, 0..10, commit.clone()).await;
    assert_eq!((written.version, written.rows, written.files), (0, 10, 1));
    let snapshot = lake
        .snapshot(&table(TABLE), Some(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(snapshot.num_rows(), Some(10));
    assert_eq!(snapshot.note(0).await.unwrap(), Some(commit));
    assert_eq!(snapshot.note(7).await.unwrap(), None);
    assert_eq!(
        snapshot.transaction("kinfold:prod:t").await.unwrap(),
        Some(1)
    );
    assert_eq!(snapshot.bytes(), written.bytes);
    let later = lake.snapshot(&table(TABLE), Some(1)).await;
    assert!(matches!(
        later,
        Err(LakeError::NoVersion { version: 1, .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rows_make_a_table_with_columns() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    let written = lake
        .overwrite(&table(TABLE), id_schema(), Vec::new(), note("w", 1))
        .await
        .unwrap();
    assert_eq!((written.version, written.rows, written.files), (0, 0, 0));
    let snapshot = lake.snapshot(&table(TABLE), None).await.unwrap().unwrap();
    assert_eq!(snapshot.schema().fields().len(), 2);
    assert_eq!(read_ids(&lake, TABLE, None).await, Vec::<i64>::new());
    let context = context(&lake);
    context
        .register_table("t", snapshot.provider().unwrap())
        .unwrap();
    let count = query(&context, "select count(*) as n from t where id > 3").await;
    assert!(count.contains("| 0 |"), "{count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_may_change_everything() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    overwrite(&lake, TABLE, 0..10, note("w", 1)).await;
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8View, false),
        Field::new("at", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        Field::new("count", DataType::UInt32, false),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringViewArray::from(vec!["a", "b"])),
        Arc::new(arrow::array::TimestampNanosecondArray::from(vec![
            Some(1_000),
            None,
        ])),
        Arc::new(UInt32Array::from(vec![u32::MAX, 0])),
    ];
    let rows = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let written = lake
        .overwrite(
            &table(TABLE),
            schema.clone(),
            vec![stream(vec![rows])],
            note("w", 2),
        )
        .await
        .unwrap();
    assert_eq!((written.version, written.removed_rows), (1, 10));
    let snapshot = lake.snapshot(&table(TABLE), None).await.unwrap().unwrap();
    assert_eq!(*snapshot.schema(), storable_schema(&schema).unwrap());
    let provider = snapshot.provider().unwrap();
    assert_eq!(provider.schema(), snapshot.schema());
    let context = context(&lake);
    context.register_table("t", provider).unwrap();
    let found = query(&context, "select * from t order by id").await;
    let expected = "\
+----+----------------------------+------------+
| id | at                         | count      |
+----+----------------------------+------------+
| a  | 1970-01-01T00:00:00.000001 | 4294967295 |
| b  |                            | 0          |
+----+----------------------------+------------+";
    assert_eq!(found, expected);
    // The version before is untouched.
    assert_eq!(read_ids(&lake, TABLE, Some(0)).await.len(), 10);
    // And back, to columns that need less of a reader.
    overwrite(&lake, TABLE, 5..6, note("w", 3)).await;
    assert_eq!(read_ids(&lake, TABLE, None).await, [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_are_strict_about_columns() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    append(&lake, TABLE, 0..3, note("w", 1)).await;
    let schema = Arc::new(Schema::new(vec![
        Field::new("score", DataType::Int32, true),
        Field::new("id", DataType::Int64, true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![7])),
        Arc::new(arrow::array::Int64Array::from(vec![3])),
    ];
    let rows = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let input = || vec![stream(vec![rows.clone()])];
    let strict = lake
        .append(&table(TABLE), schema.clone(), input(), note("w", 2))
        .await;
    assert!(
        matches!(strict, Err(LakeError::SchemaMismatch { .. })),
        "{strict:?}"
    );
    let extended = lake
        .append_columns(
            &table(TABLE),
            schema,
            input(),
            note("w", 2),
            AppendColumns::Extend,
        )
        .await
        .unwrap();
    assert_eq!(extended.version, 1);
    assert_eq!(read_ids(&lake, TABLE, None).await, [0, 1, 2, 3]);
    let snapshot = lake.snapshot(&table(TABLE), None).await.unwrap().unwrap();
    let context = context(&lake);
    context
        .register_table("t", snapshot.provider().unwrap())
        .unwrap();
    let found = query(
        &context,
        "select id, name, score from t where score is not null",
    )
    .await;
    assert!(found.contains("| 3  |      | 7     |"), "{found}");
    let older = query(&context, "select count(*) as n from t where score is null").await;
    assert!(older.contains("| 3 |"), "{older}");

    let narrow = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, true),
        Field::new("name", DataType::Utf8, true),
    ]));
    let refused = lake
        .append_columns(
            &table(TABLE),
            narrow,
            Vec::new(),
            note("w", 3),
            AppendColumns::Extend,
        )
        .await;
    assert!(matches!(refused, Err(LakeError::SchemaMismatch { .. })));
    // A stream that is not what was announced.
    let lied = lake
        .overwrite(&table(TABLE), id_schema(), input(), note("w", 3))
        .await;
    assert!(matches!(lied, Err(LakeError::SchemaMismatch { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_deleted_by_predicate() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    for part in 0..3 {
        append(&lake, TABLE, part * 10..part * 10 + 10, note("w", part)).await;
    }
    let predicate = col("id").eq(lit(5_i64)).or(col("id").gt_eq(lit(20_i64)));
    let deleted = lake
        .delete_where(&table(TABLE), predicate.clone(), note("eraser", 1))
        .await
        .unwrap();
    assert_eq!(
        (deleted.version, deleted.removed_rows, deleted.rows),
        (3, 11, 9)
    );
    let expected: Vec<i64> = (0..20).filter(|id| *id != 5).collect();
    assert_eq!(read_ids(&lake, TABLE, None).await, expected);
    let nothing = lake
        .delete_where(&table(TABLE), predicate, note("eraser", 2))
        .await
        .unwrap();
    assert_eq!((nothing.version, nothing.removed_rows), (3, 0));
    let wrong = lake
        .delete_where(&table(TABLE), col("nope").eq(lit(1)), note("eraser", 3))
        .await;
    assert!(matches!(wrong, Err(LakeError::Scan { .. })), "{wrong:?}");
    // A row whose predicate is null stays.
    let unknown = col("name").eq(lit(datafusion::common::ScalarValue::Utf8(None)));
    lake.delete_where(&table(TABLE), unknown, note("eraser", 4))
        .await
        .unwrap();
    assert_eq!(read_ids(&lake, TABLE, None).await, expected);
    let all = lake
        .delete_all(&table(TABLE), note("eraser", 5))
        .await
        .unwrap();
    assert_eq!(all.removed_rows, 19);
    assert_eq!(read_ids(&lake, TABLE, None).await, Vec::<i64>::new());
    let missing = lake
        .delete_all(&table("main/none"), CommitNote::new("e", 1))
        .await;
    assert!(matches!(missing, Err(LakeError::NoTable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_table_names_are_folders_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(&folder.path().join("my lake (ä)")).await;
    let names = [
        "main/Kunden & Söhne",
        "main/a b",
        "main/a%20b",
        "_kinfold/env/pr-1/main/x",
        "ünï",
    ];
    for (at, name) in (0..).zip(names) {
        append(&lake, name, at..at + 1, note("w", 1)).await;
        append(&lake, name, at + 10..at + 11, note("w", 2)).await;
    }
    for (at, name) in (0..).zip(names) {
        assert_eq!(read_ids(&lake, name, None).await, [at, at + 10], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_streams_are_written_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    let inputs = (0..4_i64)
        .map(|part| {
            let batches =
                (0..50).map(|b| ids(part * 50_000 + b * 1000..part * 50_000 + (b + 1) * 1000));
            stream(batches.collect())
        })
        .collect();
    let written = lake
        .overwrite(&table(TABLE), id_schema(), inputs, note("w", 1))
        .await
        .unwrap();
    assert_eq!((written.rows, written.files), (200_000, 4));
    assert_eq!(
        read_ids(&lake, TABLE, None).await,
        (0..200_000).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_overwrites_leave_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    append(&lake, TABLE, 0..10, note("w", 1)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..6_i64 {
        let lake = lake.clone();
        tasks.spawn(async move {
            let rows = writer * 100..writer * 100 + 10;
            overwrite(&lake, TABLE, rows, note(&format!("w{writer}"), 1))
                .await
                .version
        });
    }
    let mut versions = Vec::new();
    while let Some(version) = tasks.join_next().await {
        versions.push(version.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
    let found = read_ids(&lake, TABLE, None).await;
    let first = found[0];
    assert_eq!(found, (first..first + 10).collect::<Vec<_>>());
}
