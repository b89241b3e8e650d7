//! Parquet files are whole and of the source's schema, or refused.

use std::path::Path;
use std::sync::Arc;

use super::{drain, failure, folder, read, session, source, write};
use datafusion::arrow::array::{
    ArrayRef, Date32Array, DictionaryArray, Int32Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray, TimestampNanosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::Int32Type;
use kinfold_engine::input::{self, InputError};
use kinfold_project::SourceFormat::Parquet;
use kinfold_project::model::StorageOptions;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

pub fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(parquet::basic::ZstdLevel::default()))
        .set_max_row_group_row_count(Some(10_000))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn people(ids: std::ops::Range<i64>) -> Vec<u8> {
    let names: StringArray = ids.clone().map(|id| Some(format!("person {id}"))).collect();
    parquet(vec![
        ("id", Arc::new(ids.map(Some).collect::<Int64Array>())),
        ("name", Arc::new(names)),
    ])
}

#[tokio::test]
async fn rows_of_all_files_in_order() {
    let root = folder(&[
        ("d/a.parquet", &people(0..25_000)),
        ("d/b.parquet", &people(25_000..25_003)),
    ]);
    let source = source("d/*.parquet", Parquet, &[("name", "")]);
    let read = read(root.path(), &source).await;
    assert_eq!(read.types(), ["id: Int64", "name: Utf8"]);
    assert_eq!(read.rows.num_rows(), 25_003);
    assert_eq!(read.lines().last().unwrap(), "25002|person 25002");
    assert_eq!(read.counts.quarantined(), 0);
    let offline = input::offline_columns(root.path(), &source, &session())
        .await
        .unwrap();
    assert_eq!(offline, Some(read.schema));
}

#[tokio::test]
async fn types_are_stored_ones_and_declared_ones_may_be_wider() {
    let dictionary: DictionaryArray<Int32Type> = vec!["a", "b"].into_iter().collect();
    let content = parquet(vec![
        ("u", Arc::new(UInt64Array::from(vec![1, u64::MAX]))),
        ("s", Arc::new(dictionary)),
        ("l", Arc::new(LargeStringArray::from(vec!["x", "y"]))),
        (
            "t",
            Arc::new(TimestampNanosecondArray::from(vec![1_000, 2_000]).with_timezone("+02:00")),
        ),
        ("i", Arc::new(Int32Array::from(vec![Some(7), None]))),
        ("d", Arc::new(Date32Array::from(vec![0, 1]))),
    ]);
    let root = folder(&[("a.parquet", &content)]);
    let inferred = read(root.path(), &source("a.parquet", Parquet, &[])).await;
    let expected = [
        "u: Decimal128(20, 0)",
        "s: Utf8",
        "l: Utf8",
        "t: Timestamp(µs, \"UTC\")",
        "i: Int32",
        "d: Date32",
    ];
    assert_eq!(inferred.types(), expected);
    // A declaration of all columns chooses some of them.
    let columns = [
        ("i", "bigint"),
        ("t", "timestamp"),
        ("d", "timestamp"),
        ("u", "decimal(22,1)"),
    ];
    let declared = read(root.path(), &source("a.parquet", Parquet, &columns)).await;
    let expected = [
        "7|1970-01-01T00:00:00.000001|1970-01-01T00:00:00|1.0",
        "~|1970-01-01T00:00:00.000002|1970-01-02T00:00:00|18446744073709551615.0",
    ];
    assert_eq!(declared.lines(), expected);
}

#[tokio::test]
async fn files_of_another_schema_are_refused() {
    let id = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let text = || Arc::new(StringArray::from(vec!["x"])) as ArrayRef;
    let cases = [
        (
            vec![("id", id())],
            "`d/b.parquet` is of another schema: it has no column `name`",
        ),
        (
            vec![("id", text()), ("name", text())],
            "`d/b.parquet` is of another schema: its column `id` is VARCHAR, not BIGINT",
        ),
        (
            vec![("id", id()), ("name", text()), ("more", text())],
            "`d/b.parquet` is of another schema: its column `more` is not one of the source's",
        ),
    ];
    for (columns, expected) in cases {
        let root = folder(&[
            ("d/a.parquet", &people(0..3)),
            ("d/b.parquet", &parquet(columns)),
        ]);
        assert_eq!(
            failure(root.path(), &source("d/*.parquet", Parquet, &[])).await,
            expected
        );
    }
    let root = folder(&[("a.parquet", &people(0..3))]);
    let narrower = source("a.parquet", Parquet, &[("id", "int")]);
    let expected = "`a.parquet` is of another schema: its column `id` is BIGINT, not INTEGER";
    assert_eq!(failure(root.path(), &narrower).await, expected);
    let unknown = source("a.parquet", Parquet, &[("ID", "")]);
    assert_eq!(
        failure(root.path(), &unknown).await,
        "`a.parquet` is of another schema: it has no column `ID`"
    );
}

#[tokio::test]
async fn damaged_files_are_refused() {
    let whole = people(0..20_000);
    let expected = "`a.parquet` is not a readable Parquet file";
    for cut in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        let root = folder(&[("a.parquet", whole.get(..cut).unwrap())]);
        assert_eq!(
            failure(root.path(), &source("a.parquet", Parquet, &[])).await,
            expected,
            "{cut}"
        );
    }
}

async fn read_changed(
    root: &Path,
    location: &str,
    format: kinfold_project::SourceFormat,
    content: &[u8],
) -> String {
    let source = source(location, format, &[]);
    let storage = StorageOptions::default();
    let files = input::list(root, &source, &storage).await.unwrap();
    let schema = input::columns(root, &source, &files, &storage, &session())
        .await
        .unwrap();
    write(root, location, content);
    let error = drain(root, &source, &files, schema, &storage)
        .await
        .unwrap_err();
    InputError::in_chain(error.as_ref()).unwrap().to_string()
}

#[tokio::test]
async fn a_file_that_changes_after_it_was_listed_is_refused() {
    let root = folder(&[("a.parquet", &people(0..3)), ("a.csv", b"id\n1\n")]);
    let error = read_changed(root.path(), "a.parquet", Parquet, &people(1..4)).await;
    assert_eq!(error, "`a.parquet` changed while it was read");
    let error = read_changed(root.path(), "a.csv", super::CSV, b"id\n2\n").await;
    assert_eq!(error, "`a.csv` changed while it was read");
}
