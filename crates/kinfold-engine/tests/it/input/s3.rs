//! Sources on a real S3 server.

use std::path::Path;
use std::sync::Arc;

use super::compressed::compressed;
use super::parquet::parquet;
use super::{CSV, drain, session, source, try_read_with};
use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use kinfold_engine::input::{self, InputError};
use kinfold_project::SourceFormat::{Ndjson, Parquet};
use kinfold_project::model::StorageOptions;
use kinfold_testkit::s3::S3Server;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _};

struct Bucket {
    server: S3Server,
    storage: StorageOptions,
    store: Arc<dyn ObjectStore>,
}

impl Bucket {
    fn start() -> Self {
        let server = S3Server::start().unwrap();
        let storage = StorageOptions(server.storage_options().into_iter().collect());
        let (store, _) = kinfold_lake::object_store_for(&server.url(""), &storage.0).unwrap();
        Self {
            server,
            storage,
            store,
        }
    }

    async fn put(&self, key: &str, content: Vec<u8>) {
        self.store
            .put(&Key::parse(key).unwrap(), content.into())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_listed_pinned_and_read() {
    let bucket = Bucket::start();
    let nowhere = Path::new("/nowhere");
    // Larger than one part.
    let mut large = String::from("id,name\n");
    for id in 0..100_000 {
        large.push_str(&format!("{id},{}\n", "x".repeat(120)));
    }
    bucket.put("raw/d/a b.csv", large.into_bytes()).await;
    bucket
        .put(
            "raw/d/b.csv.gz",
            compressed(b"id,name\nx,Ann\n1,Bob\n", FileCompressionType::GZIP).await,
        )
        .await;
    bucket.put("raw/d/_tmp/c.csv", b"wrong\n".to_vec()).await;
    bucket.put("raw/d/empty.csv", Vec::new()).await;
    let ids: ArrayRef = Arc::new((0..20_000).map(Some).collect::<Int64Array>());
    bucket
        .put("raw/p.parquet", parquet(vec![("id", ids)]))
        .await;
    bucket.put("raw/e.ndjson", b"{\"id\": 1}\n".to_vec()).await;

    let csv = source(&bucket.server.url("raw/d/**/*.csv*"), CSV, &[]);
    let files = input::list(nowhere, &csv, &bucket.storage).await.unwrap();
    let paths: Vec<&str> = files.files.iter().map(|file| file.path.as_str()).collect();
    let url = |key: &str| bucket.server.url(key);
    assert_eq!(
        paths,
        [
            url("raw/d/a b.csv"),
            url("raw/d/b.csv.gz"),
            url("raw/d/empty.csv")
        ]
    );
    assert!(files.files.iter().all(|file| !file.identity.is_empty()));
    let read = try_read_with(nowhere, &csv, &bucket.storage).await.unwrap();
    assert_eq!(read.rows.num_rows(), 100_001);
    let expected = (
        url("raw/d/b.csv.gz"),
        2,
        "column `id` is not of type BIGINT".to_owned(),
    );
    assert_eq!(read.reasons(), [expected]);

    let table = source(&url("raw/p.parquet"), Parquet, &[]);
    let read = try_read_with(nowhere, &table, &bucket.storage)
        .await
        .unwrap();
    assert_eq!(read.rows.num_rows(), 20_000);
    let events = source(&url("raw/*.ndjson"), Ndjson, &[]);
    assert_eq!(
        try_read_with(nowhere, &events, &bucket.storage)
            .await
            .unwrap()
            .lines(),
        ["1"]
    );

    let missing = input::list(
        nowhere,
        &source(&url("raw/x.csv"), CSV, &[]),
        &bucket.storage,
    )
    .await
    .unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!("there is no file `{}`", url("raw/x.csv"))
    );
    let none = input::list(
        nowhere,
        &source(&url("raw/x*.csv"), CSV, &[]),
        &bucket.storage,
    )
    .await
    .unwrap_err();
    assert_eq!(
        none.to_string(),
        format!("no file matches `{}`", url("raw/x*.csv"))
    );

    // Offline, only a whole declaration says what the columns are.
    assert_eq!(
        input::offline_columns(nowhere, &csv, &session())
            .await
            .unwrap(),
        None
    );
    let declared = source(&url("raw/p.parquet"), Parquet, &[("id", "bigint")]);
    let columns = input::offline_columns(nowhere, &declared, &session())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        columns,
        input::columns(nowhere, &declared, &files, &bucket.storage, &session())
            .await
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_after_it_was_listed_is_refused() {
    let bucket = Bucket::start();
    let nowhere = Path::new("/nowhere");
    let ids = |from: i64| {
        parquet(vec![(
            "id",
            Arc::new((from..from + 5).map(Some).collect::<Int64Array>()) as ArrayRef,
        )])
    };
    for (key, format, before, after) in [
        ("a.csv", CSV, b"id\n1\n".to_vec(), b"id\n2\n".to_vec()),
        ("a.parquet", Parquet, ids(1), ids(2)),
    ] {
        bucket.put(key, before).await;
        let source = source(&bucket.server.url(key), format, &[]);
        let files = input::list(nowhere, &source, &bucket.storage)
            .await
            .unwrap();
        let schema = input::columns(nowhere, &source, &files, &bucket.storage, &session())
            .await
            .unwrap();
        bucket.put(key, after).await;
        let error = drain(nowhere, &source, &files, schema, &bucket.storage)
            .await
            .unwrap_err();
        let error = InputError::in_chain(error.as_ref()).unwrap().to_string();
        assert_eq!(
            error,
            format!("`{}` changed while it was read", bucket.server.url(key))
        );
    }
}
