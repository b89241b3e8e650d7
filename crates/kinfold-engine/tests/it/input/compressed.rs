//! Compressed files are read whole or not at all.

use std::sync::Arc;

use super::{CSV, failure, folder, read, source, write};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use kinfold_engine::input::{self, InputError};
use kinfold_project::SourceFormat::Ndjson;
use kinfold_project::model::StorageOptions;
use object_store::ObjectStoreExt as _;
use object_store::buffered::BufWriter;
use object_store::memory::InMemory;
use object_store::path::Path;
use tokio::io::AsyncWriteExt as _;

pub async fn compressed(text: &[u8], by: FileCompressionType) -> Vec<u8> {
    let (store, path) = (Arc::new(InMemory::new()), Path::from("file"));
    let mut writer = by
        .convert_async_writer(BufWriter::new(store.clone(), path.clone()))
        .unwrap();
    writer.write_all(text).await.unwrap();
    writer.shutdown().await.unwrap();
    store
        .get(&path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<u8> {
    range
        .flat_map(|id| format!("{{\"id\": {id}}}\n").into_bytes())
        .collect()
}

const BOTH: [(FileCompressionType, &str, &str); 2] = [
    (FileCompressionType::GZIP, "gz", "gzip"),
    (FileCompressionType::ZSTD, "zst", "zstd"),
];

#[tokio::test]
async fn all_members_and_frames_are_read() {
    for (by, ending, _) in BOTH {
        let mut content = compressed(&numbers(0..30_000), by).await;
        content.extend(compressed(&numbers(30_000..60_000), by).await);
        let name = format!("a.ndjson.{ending}");
        let root = folder(&[(&name, &content)]);
        let read = read(root.path(), &source(&name, Ndjson, &[("id", "int")])).await;
        assert_eq!(read.rows.num_rows(), 60_000);
        let expected: Vec<String> = (0..60_000).map(|id: u32| id.to_string()).collect();
        assert_eq!(read.lines(), expected);
    }
}

#[tokio::test]
async fn truncated_and_damaged_files_are_refused_at_every_cut() {
    for (by, ending, compression) in BOTH {
        let content = compressed(&numbers(0..3_000), by).await;
        let name = format!("a.ndjson.{ending}");
        let expected = format!(
            "`{name}` is truncated or damaged: its {compression} data cannot be read to the end"
        );
        let source = source(&name, Ndjson, &[("id", "int")]);
        let root = folder(&[]);
        let cuts = (1..content.len())
            .step_by(content.len() / 40 + 1)
            .chain([content.len() - 1, content.len() - 5]);
        for cut in cuts {
            write(root.path(), &name, content.get(..cut).unwrap());
            assert_eq!(failure(root.path(), &source).await, expected, "{cut}");
        }
        let mut damaged = content.clone();
        *damaged.get_mut(content.len() / 2).unwrap() ^= 0x55;
        write(root.path(), &name, &damaged);
        // A flipped bit may leave text that is cut differently, but never a silent success.
        let result = super::try_read_with(root.path(), &source, &StorageOptions::default()).await;
        assert!(
            result.is_err_and(|e| InputError::in_chain(e.as_ref()).is_some()) || ending == "zst"
        );
        let mut garbage = content.clone();
        garbage.extend_from_slice(b"garbage");
        write(root.path(), &name, &garbage);
        assert_eq!(failure(root.path(), &source).await, expected);
    }
}

#[tokio::test]
async fn types_are_inferred_from_compressed_files_offline() {
    let content = compressed(b"id,name\n1,Ann\n", FileCompressionType::GZIP).await;
    let root = folder(&[("a.CSV.GZ", &content)]);
    let source = source("a.CSV.GZ", CSV, &[]);
    let schema = input::offline_columns(root.path(), &source, &super::session())
        .await
        .unwrap()
        .unwrap();
    let read = read(root.path(), &source).await;
    assert_eq!(read.schema, schema);
    assert_eq!(read.lines(), ["1|Ann"]);
}
