//! The plain Parquet scan returns what the Delta library's own scan returns.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion::prelude::SessionContext;
use datafusion_proto::bytes::{physical_plan_from_bytes, physical_plan_to_bytes};
use deltalake_core::DeltaTable;
use deltalake_core::kernel::{DataType as DeltaType, PrimitiveType, StructField};
use deltalake_core::operations::write::SchemaMode;
use deltalake_core::protocol::SaveMode;
use kinfold_lake::{LakeError, open_external_delta};
use url::Url;

use crate::support::{append, context, ids, local_lake, note, query, rows_of, stream, table};

async fn library_table(folder: &Path) -> DeltaTable {
    let url = Url::from_directory_path(folder).unwrap();
    deltalake_core::DeltaTableBuilder::from_url(url)
        .unwrap()
        .load()
        .await
        .unwrap()
}

async fn external(folder: &Path) -> Arc<dyn TableProvider> {
    open_external_delta(folder.to_str().unwrap(), &BTreeMap::new(), None)
        .await
        .unwrap()
        .provider()
}

/// Columns in the order of the table, which has its partition columns in front.
fn partitioned_rows(names: &[Option<&str>], days: &[Option<i32>], first: i64) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("region", DataType::Utf8, true),
        Field::new("id", DataType::Int64, true),
        Field::new("day", DataType::Date32, true),
        Field::new("note", DataType::Utf8, true),
    ]);
    let count = names.len() as i64;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(names.to_vec())),
        Arc::new(Int64Array::from_iter_values(first..first + count)),
        Arc::new(Date32Array::from(days.to_vec())),
        Arc::new(StringArray::from_iter(
            (0..count).map(|n| (n % 2 == 0).then(|| format!("note {n}"))),
        )),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

const ODD: [Option<&str>; 7] = [
    Some("north"),
    Some("a b"),
    Some("ä/ö"),
    Some("50%25"),
    Some("x=y&z"),
    Some("#1?"),
    None,
];

/// A partitioned table with odd values, made by the Delta library, then extended by a column.
async fn odd_table(folder: &Path) {
    let text = DeltaType::Primitive(PrimitiveType::String);
    let url = Url::from_directory_path(folder).unwrap();
    let table = deltalake_core::DeltaTableBuilder::from_url(url)
        .unwrap()
        .build()
        .unwrap()
        .create()
        .with_columns([
            StructField::nullable("region", text.clone()),
            StructField::nullable("id", DeltaType::Primitive(PrimitiveType::Long)),
            StructField::nullable("day", DeltaType::Primitive(PrimitiveType::Date)),
            StructField::nullable("note", text),
        ])
        .with_partition_columns(["region", "day"])
        .await
        .unwrap();
    let days = [Some(0), Some(20_000), None, Some(1), Some(1), None, None];
    let table = table
        .write(vec![partitioned_rows(&ODD, &days, 0)])
        .with_save_mode(SaveMode::Append)
        .await
        .unwrap();
    let rows = partitioned_rows(&ODD, &days, 100);
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("score", DataType::Int32, true)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Int32Array::from_iter_values(0..7)));
    let extended = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    table
        .write(vec![extended])
        .with_save_mode(SaveMode::Append)
        .with_schema_mode(SchemaMode::Merge)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn equals_the_librarys_scan_on_an_odd_table() {
    let folder = tempfile::tempdir().unwrap();
    odd_table(folder.path()).await;
    let native = external(folder.path()).await;
    let context = SessionContext::new();
    let theirs = library_table(folder.path()).await;
    let state = Arc::new(context.state());
    let theirs = theirs.table_provider().with_session(state).await.unwrap();

    let ours = rows_of(&context, native.clone()).await;
    assert_eq!(ours.len(), 15, "{ours:#?}");
    assert_eq!(ours, rows_of(&context, theirs.clone()).await);

    let other = SessionContext::new();
    context.register_table("t", native).unwrap();
    other.register_table("t", theirs).unwrap();
    for sql in [
        "select count(*), count(region), count(day), count(score), min(id), max(id) from t",
        "select id, region from t where region is null order by id",
        "select id from t where region is not null and day is null order by id",
        "select id, score from t where score >= 3 order by id",
        "select id from t where score is null order by id",
        "select region, day, count(*) from t group by region, day order by 1, 2",
        "select id from t where day = date '1970-01-02' order by id",
        "select id from t where region in ('a b', 'x=y&z') and id > 50 order by id",
        "select note, region from t where region = '50%25' order by id",
        "select score + 1, day from t where id = 103",
        "select count(*) from t where region < 'b'",
        "select id from t where region <> 'north' order by id limit 3",
        "select distinct region from t order by region nulls first",
    ] {
        assert_eq!(
            query(&context, sql).await,
            query(&other, sql).await,
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_survives_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    odd_table(folder.path()).await;
    let context = SessionContext::new();
    context
        .register_table("t", external(folder.path()).await)
        .unwrap();
    let sql =
        "select region, day, sum(id), max(score) from t where id > 2 group by 1, 2 order by 1, 2";
    let plan = context
        .sql(sql)
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    let bytes = physical_plan_to_bytes(plan.clone()).unwrap();
    let receiver = SessionContext::new();
    let received = physical_plan_from_bytes(&bytes, &receiver.task_ctx()).unwrap();
    let show = |plan: &dyn ExecutionPlan| displayable(plan).indent(true).to_string();
    assert_eq!(show(received.as_ref()), show(plan.as_ref()));
    let here = datafusion::physical_plan::collect(plan, context.task_ctx())
        .await
        .unwrap();
    let there = datafusion::physical_plan::collect(received, receiver.task_ctx())
        .await
        .unwrap();
    assert_eq!(here, there);
    assert!(here.iter().map(RecordBatch::num_rows).sum::<usize>() > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_match_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    for part in 0..4 {
        append(&lake, "main/t", part * 10..part * 10 + 10, note("w", part)).await;
    }
    let snapshot = lake
        .snapshot(&table("main/t"), None)
        .await
        .unwrap()
        .unwrap();
    let context = context(&lake);
    context
        .register_table("t", snapshot.provider().unwrap())
        .unwrap();
    let files = async |filter: &str| {
        let plan = query(&context, &format!("explain select * from t where {filter}")).await;
        plan.matches(".parquet").count()
    };
    assert_eq!(files("true").await, 4);
    assert_eq!(files("id >= 30").await, 1);
    assert_eq!(files("id between 9 and 10").await, 2);
    assert_eq!(files("id = 5 or id = 35").await, 2);
    assert_eq!(files("id > 100").await, 0);
    assert_eq!(files("name is null").await, 0);
    // Counting needs no file at all.
    let plan = query(&context, "explain select count(*) from t").await;
    assert_eq!(plan.matches(".parquet").count(), 0, "{plan}");
    let statistics = snapshot.provider().unwrap().statistics().unwrap();
    assert_eq!(statistics.num_rows.get_value(), Some(&40));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_at_the_edge_of_statistics_are_found() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("x", DataType::Float64, true),
        Field::new("d", DataType::Decimal128(38, 18), true),
        Field::new(
            "t",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
        Field::new("l", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("n", DataType::Int64, true),
        Field::new("a", DataType::Date32, true),
    ]));
    let large = 12_345_678_901_234_567_890_123_456_789_012_345_678_i128;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![
            Some(1.0),
            Some(f64::NAN),
            Some(-0.0),
        ])),
        Arc::new(
            Decimal128Array::from(vec![Some(large), None, Some(-large)])
                .with_precision_and_scale(38, 18)
                .unwrap(),
        ),
        Arc::new(
            TimestampMicrosecondArray::from(vec![
                Some(1_700_000_000_123_999),
                Some(-62_135_596_800_000_000),
                // Year 10000 and more has no portable text.
                Some(253_402_300_800_000_001),
            ])
            .with_timezone("UTC"),
        ),
        Arc::new(TimestampMicrosecondArray::from(vec![
            Some(1),
            None,
            Some(1_999),
        ])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None])),
        Arc::new(Date32Array::from(vec![
            Some(-719_162),
            Some(0),
            Some(2_932_896),
        ])),
    ];
    let rows = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    lake.overwrite(&table("t"), schema, vec![stream(vec![rows])], note("w", 1))
        .await
        .unwrap();
    let snapshot = lake.snapshot(&table("t"), None).await.unwrap().unwrap();
    let context = context(&lake);
    context
        .register_table("t", snapshot.provider().unwrap())
        .unwrap();
    for (filter, expected) in [
        // DataFusion orders NaN above every number.
        ("x > 5", 1),
        ("x <> 1", 2),
        (
            "d = cast('12345678901234567890.123456789012345678' as decimal(38, 18))",
            1,
        ),
        (
            "d < cast('-12345678901234567890.123456789012345677' as decimal(38, 18))",
            1,
        ),
        ("d is null", 1),
        ("t = timestamp '2023-11-14T22:13:20.123999Z'", 1),
        ("t > timestamp '2023-11-14T22:13:20.123998Z'", 2),
        ("t < timestamp '1900-01-01T00:00:00Z'", 1),
        ("l >= timestamp '1970-01-01T00:00:00.001999'", 1),
        ("n = 9223372036854775807", 1),
        ("n = -9223372036854775808", 1),
        ("n is null", 1),
        ("a = date '0001-01-01'", 1),
        ("a = date '9999-12-31'", 1),
    ] {
        let sql = format!("select n from t where {filter}");
        let found = context.sql(&sql).await.unwrap().count().await.unwrap();
        assert_eq!(found, expected, "{filter}");
    }
    // The same table, read by the library: the statistics are readable to others, too.
    let theirs = library_table(&folder.path().join("t")).await;
    let state = Arc::new(context.state());
    let theirs = theirs.table_provider().with_session(state).await.unwrap();
    context.register_table("theirs", theirs).unwrap();
    for filter in [
        "d is null",
        "n = 9223372036854775807",
        "a = date '9999-12-31'",
        "true",
    ] {
        let ours = query(&context, &format!("select * from t where {filter}")).await;
        let theirs = query(&context, &format!("select * from theirs where {filter}")).await;
        assert_eq!(ours, theirs, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_of_people_do_not_enter_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    append(&lake, "main/t", 0..10, note("w", 1)).await;
    let log = folder
        .path()
        .join("main/t/_delta_log/00000000000000000000.json");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("numRecords") && log.contains("nullCount"));
    assert!(!log.contains("n0") && !log.contains("n9"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_tables_are_pinned_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    odd_table(folder.path()).await;
    let location = folder.path().to_str().unwrap();
    let none = BTreeMap::new();
    let first = open_external_delta(location, &none, Some(1)).await.unwrap();
    assert_eq!((first.version(), first.snapshot().num_rows()), (1, Some(7)));
    assert!(first.schema().field_with_name("score").is_err());
    let missing = open_external_delta(location, &none, Some(9)).await;
    assert!(
        matches!(missing, Err(LakeError::NoVersion { version: 9, .. })),
        "{missing:?}"
    );
    let nothing = open_external_delta("/nowhere/at/all", &none, None).await;
    assert!(
        matches!(nothing, Err(LakeError::NoTable { .. })),
        "{nothing:?}"
    );

    let log = folder.path().join("_delta_log/00000000000000000003.json");
    let protocol = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["holograms"],"writerFeatures":["holograms"]}}"#;
    std::fs::write(log, protocol).unwrap();
    let error = open_external_delta(location, &none, None)
        .await
        .unwrap_err();
    assert!(
        matches!(error, LakeError::UnsupportedFeatures { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("`holograms`"), "{error}");
}

/// Column mapping is read through the library's scan.
#[tokio::test(flavor = "multi_thread")]
async fn column_mapping_falls_back() {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(folder.path()).unwrap();
    let created = deltalake_core::DeltaTableBuilder::from_url(url)
        .unwrap()
        .build()
        .unwrap()
        .create()
        .with_columns([
            StructField::nullable("id", DeltaType::Primitive(PrimitiveType::Long)),
            StructField::nullable("name", DeltaType::Primitive(PrimitiveType::String)),
        ])
        .with_configuration_property(
            deltalake_core::TableProperty::ColumnMappingMode,
            Some("name"),
        )
        .await
        .unwrap();
    created.write(vec![ids(0..5)]).await.unwrap();
    let provider = external(folder.path()).await;
    let context = SessionContext::new();
    assert_eq!(rows_of(&context, provider).await.len(), 6);
}
