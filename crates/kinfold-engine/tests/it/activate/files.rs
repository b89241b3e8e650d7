//! The destination *files*.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, Date32Array, Decimal128Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use kinfold_engine::activate::FileFormat;
use kinfold_project::{ConnectionKind, SyncMode};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::setting::{Setting, connection, mirror, plain, rows, sync, text};

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A sync into the folder `out` of the project.
async fn into_folder(mut setting: Setting, format: FileFormat) -> (Setting, PathBuf) {
    let out = setting.engine.root.join("out");
    setting.connection = connection(
        ConnectionKind::Files,
        &[("location", text("out")), ("format", text(format.as_str()))],
    );
    (setting, out)
}

#[tokio::test]
async fn lines_of_json_hold_the_changes() {
    let (mut setting, out) = into_folder(Setting::new(mirror()).await, FileFormat::Ndjson).await;
    setting.publish(plain(&[("a", 1.5), ("b", 2.0)])).await;
    assert_eq!(setting.run().await.unwrap().delivered, 2);
    let files = files_below(&out);
    assert_eq!(files.len(), 1, "{files:?}");
    let name = files[0]
        .strip_prefix(&out)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let parts: Vec<&str> = name.split('/').collect();
    assert_eq!(parts[0], "contacts");
    assert!(
        parts[2].starts_with("000000000000-") && parts[2].ends_with(".ndjson"),
        "{name}"
    );
    let mut lines: Vec<Value> = std::fs::read_to_string(&files[0])
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    lines.sort_by_key(ToString::to_string);
    assert_eq!(
        lines,
        [
            json!({"_operation": "upsert", "id": "a", "value": 1.5}),
            json!({"_operation": "upsert", "id": "b", "value": 2})
        ]
    );

    setting.publish(plain(&[("b", 2.0)])).await;
    setting.later(1);
    assert_eq!(setting.run().await.unwrap().delivered, 1);
    let files = files_below(&out);
    assert_eq!(files.len(), 2);
    let last = files
        .iter()
        .map(|f| std::fs::read_to_string(f).unwrap())
        .find(|t| t.contains("delete"))
        .unwrap();
    assert_eq!(last, "{\"_operation\":\"delete\",\"id\":\"a\"}\n");
    // Nothing is sent twice.
    assert_eq!(setting.run().await.unwrap().planned, 0);
    assert_eq!(files_below(&out).len(), 2);
}

#[tokio::test]
async fn null_and_empty_text_differ_in_csv() {
    let mapping = [
        ("name", "nullif(id, 'c')"),
        ("note", "CASE WHEN id = 'a' THEN '' ELSE 'x, \"y\"' END"),
    ];
    let setting = Setting::new(sync(SyncMode::Upsert, &[("id", "id")], &mapping)).await;
    let (mut setting, out) = into_folder(setting, FileFormat::Csv).await;
    setting
        .publish(rows(&[(Some("a"), None), (Some("c"), None)]))
        .await;
    setting.run().await.unwrap();
    let written = std::fs::read_to_string(&files_below(&out)[0]).unwrap();
    let (header, lines) = written.split_once("\r\n").unwrap();
    assert_eq!(header, "_operation,id,name,note");
    let mut lines: Vec<&str> = lines.split_terminator("\r\n").collect();
    lines.sort_unstable();
    assert_eq!(lines, ["upsert,a,a,\"\"", "upsert,c,,\"x, \"\"y\"\"\""]);
}

#[tokio::test]
async fn parquet_has_the_types_of_the_mapping() {
    let mapping = [("day", "day"), ("at", "at"), ("price", "price"), ("n", "n")];
    let setting = Setting::new(sync(SyncMode::Mirror, &[("id", "id")], &mapping)).await;
    let (mut setting, out) = into_folder(setting, FileFormat::Parquet).await;
    let columns = |ids: Vec<&str>| -> Vec<(&'static str, ArrayRef)> {
        let n = ids.len();
        vec![
            ("id", Arc::new(StringArray::from(ids)) as ArrayRef),
            ("day", Arc::new(Date32Array::from(vec![19_675; n]))),
            (
                "at",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![1_700_000_000_123_456; n])
                        .with_timezone("UTC"),
                ),
            ),
            (
                "price",
                Arc::new(
                    Decimal128Array::from(vec![12_345_678_901_234_567_890; n])
                        .with_precision_and_scale(38, 2)
                        .unwrap(),
                ),
            ),
            ("n", Arc::new(Int64Array::from(vec![i64::MAX; n]))),
        ]
    };
    setting.publish(columns(vec!["a"])).await;
    assert_eq!(setting.run().await.unwrap().delivered, 1);
    let file = std::fs::File::open(&files_below(&out)[0]).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    let batch = reader.next().unwrap().unwrap();
    let types: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| (f.name().clone(), f.data_type().clone()))
        .collect();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(
        types,
        [
            ("_operation".to_owned(), DataType::Utf8),
            ("id".to_owned(), DataType::Utf8),
            ("day".to_owned(), DataType::Date32),
            ("at".to_owned(), utc),
            ("price".to_owned(), DataType::Decimal128(38, 2)),
            ("n".to_owned(), DataType::Int64),
        ]
    );
    assert_eq!(
        batch
            .column_by_name("n")
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0),
        i64::MAX
    );
    let column = batch.column_by_name("price").unwrap();
    assert_eq!(
        column
            .as_primitive::<datafusion::arrow::datatypes::Decimal128Type>()
            .value(0),
        12_345_678_901_234_567_890
    );
    let column = batch.column_by_name("at").unwrap();
    assert_eq!(
        column
            .as_primitive::<datafusion::arrow::datatypes::TimestampMicrosecondType>()
            .value(0),
        1_700_000_000_123_456
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_said() {
    let mut setting = Setting::new(mirror()).await;
    setting.publish(plain(&[("a", 1.0)])).await;
    std::fs::write(setting.engine.root.join("out"), "a file").unwrap();
    setting.connection = connection(ConnectionKind::Files, &[("location", text("out"))]);
    let result = setting.run().await;
    let failed = match &result {
        Ok(report) => !report.success && report.delivered == 0,
        Err(_) => true,
    };
    assert!(failed, "{result:?}");
    std::fs::remove_file(setting.engine.root.join("out")).unwrap();
    assert!(setting.run().await.unwrap().success);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_put_on_an_sftp_server() {
    use std::os::unix::fs::PermissionsExt;

    let server = kinfold_testkit::SshServer::start().unwrap();
    let mut setting = Setting::new(mirror()).await;
    // The user's own client, with what their configuration would say.
    let arguments = server.client().unwrap();
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| format!("'{}'", argument.to_str().unwrap()))
        .collect();
    let client = setting.engine.root.join("client");
    let script = format!("#!/bin/sh\nexec ssh {} \"$@\"\n", arguments.join(" "));
    std::fs::write(&client, script).unwrap();
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).unwrap();
    let location = format!(
        "sftp://127.0.0.1:{}{}/crm",
        server.port(),
        server.files().display()
    );
    setting.connection = connection(
        ConnectionKind::Files,
        &[
            ("location", text(&location)),
            ("ssh", text(client.to_str().unwrap())),
        ],
    );
    setting.publish(plain(&[("a", 1.0), ("b", 2.0)])).await;
    let report = setting.run().await.unwrap();
    assert_eq!((report.delivered, report.success), (2, true), "{report:?}");
    let object = server.files().join("crm/contacts");
    let runs = std::fs::read_dir(&object).unwrap();
    let files: Vec<_> = runs
        .flat_map(|run| std::fs::read_dir(run.unwrap().path()).unwrap())
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert_eq!(files.len(), 1);
    assert!(
        files[0].contains("\"a\"") && files[0].lines().count() == 2,
        "{files:?}"
    );
}
