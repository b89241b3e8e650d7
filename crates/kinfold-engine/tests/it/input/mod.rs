//! Reading the files of sources and seeds.

mod compressed;
mod csv;
mod laws;
mod listing;
mod ndjson;
mod parquet;
mod s3;
mod seeds;
mod streams;

use std::path::Path;
use std::sync::Arc;

use chrono::{TimeZone, Utc};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::common::collect;
use kinfold_compile::session::{SessionOptions, session_state};
use kinfold_engine::input::{self, InputError, InputFiles, Landing, LandingCounts};
use kinfold_project::model::StorageOptions;
use kinfold_project::{
    Column, FileId, Freshness, Located, NodeId, ResourceType, Source, SourceFormat, SourceLocation,
    Span,
};
use tempfile::TempDir;

pub fn at<T>(value: T) -> Located<T> {
    Located::new(value, Span::new(FileId(0), 0, 0))
}

pub const CSV: SourceFormat = SourceFormat::Csv {
    delimiter: b',',
    header: true,
};

/// A source with declared columns; a type of `""` is none.
pub fn source(location: &str, format: SourceFormat, columns: &[(&str, &str)]) -> Source {
    let column = |(name, data_type): &(&str, &str)| Column {
        name: at((*name).to_owned()),
        description: None,
        data_type: (!data_type.is_empty()).then(|| at((*data_type).to_owned())),
        meta: None,
    };
    Source {
        id: NodeId::new(ResourceType::Source, &["shop", "crm", "contacts"]),
        package: "shop".to_owned(),
        source: at("crm".to_owned()),
        table: at("contacts".to_owned()),
        schema: "crm".to_owned(),
        identifier: "contacts".to_owned(),
        location: SourceLocation::External {
            location: at(location.to_owned()),
            format,
            storage: StorageOptions::default(),
        },
        fqn: vec![],
        config: vec![],
        description: None,
        source_description: None,
        freshness: Freshness::default(),
        columns: columns.iter().map(column).collect(),
    }
}

pub fn session() -> SessionState {
    let as_of = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
    let options = SessionOptions {
        as_of,
        target_partitions: 1,
        spilling_joins: false,
    };
    session_state(&options, Arc::new(RuntimeEnv::default()))
}

/// A folder with files.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        write(folder.path(), path, content);
    }
    folder
}

pub fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Everything that was read.
#[derive(Debug)]
pub struct Read {
    pub schema: SchemaRef,
    pub rows: RecordBatch,
    pub bad: RecordBatch,
    pub counts: Arc<LandingCounts>,
}

impl Read {
    /// Rows as text, fields separated by `|`; null is `~`.
    pub fn lines(&self) -> Vec<String> {
        lines(&self.rows)
    }

    /// The quarantine: file, line and reason.
    pub fn reasons(&self) -> Vec<(String, i64, String)> {
        let text = |name: &str| {
            self.bad
                .column_by_name(name)
                .unwrap()
                .as_string::<i32>()
                .clone()
        };
        let (files, reasons) = (text("file"), text("reason"));
        let lines = self
            .bad
            .column_by_name("line")
            .unwrap()
            .as_primitive::<Int64Type>()
            .clone();
        (0..self.bad.num_rows())
            .map(|row| {
                (
                    files.value(row).to_owned(),
                    lines.value(row),
                    reasons.value(row).to_owned(),
                )
            })
            .collect()
    }

    /// The text of the quarantined records.
    pub fn records(&self) -> Vec<String> {
        let records = self
            .bad
            .column_by_name("record")
            .unwrap()
            .as_string::<i32>()
            .clone();
        (0..self.bad.num_rows())
            .map(|row| records.value(row).to_owned())
            .collect()
    }

    pub fn types(&self) -> Vec<String> {
        self.schema
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name(), field.data_type()))
            .collect()
    }
}

pub fn lines(rows: &RecordBatch) -> Vec<String> {
    let value = |column: &ArrayRef, row: usize| {
        if column.is_null(row) {
            "~".to_owned()
        } else {
            array_value_to_string(column, row).unwrap()
        }
    };
    (0..rows.num_rows())
        .map(|row| {
            rows.columns()
                .iter()
                .map(|column| value(column, row))
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect()
}

/// Reads a source as a build does.
pub async fn try_read_with(
    root: &Path,
    source: &Source,
    storage: &StorageOptions,
) -> Result<Read, Box<dyn std::error::Error>> {
    let session = session();
    let files = input::list(root, source, storage).await?;
    let schema = input::columns(root, source, &files, storage, &session).await?;
    drain(root, source, &files, schema, storage).await
}

pub async fn drain(
    root: &Path,
    source: &Source,
    files: &InputFiles,
    schema: SchemaRef,
    storage: &StorageOptions,
) -> Result<Read, Box<dyn std::error::Error>> {
    let runtime = Arc::new(RuntimeEnv::default());
    let landing = input::read(root, source, files, schema.clone(), storage, &runtime).await?;
    let Landing {
        rows,
        quarantined,
        counts,
    } = landing;
    let (rows, bad) = futures::future::try_join(collect(rows), collect(quarantined)).await?;
    let rows = concat_batches(&schema, &rows)?;
    let bad = concat_batches(&input::quarantine_schema(), &bad)?;
    assert_eq!(counts.landed(), rows.num_rows() as u64);
    assert_eq!(counts.quarantined(), bad.num_rows() as u64);
    assert_eq!(counts.records(), counts.landed() + counts.quarantined());
    assert_eq!(counts.files(), files.files.len() as u64);
    Ok(Read {
        schema,
        rows,
        bad,
        counts,
    })
}

pub async fn read(root: &Path, source: &Source) -> Read {
    try_read_with(root, source, &StorageOptions::default())
        .await
        .unwrap()
}

/// The input error that reading ends with.
pub async fn failure(root: &Path, source: &Source) -> String {
    let error = try_read_with(root, source, &StorageOptions::default())
        .await
        .unwrap_err();
    InputError::in_chain(error.as_ref())
        .unwrap_or_else(|| panic!("{error:?}"))
        .to_string()
}
