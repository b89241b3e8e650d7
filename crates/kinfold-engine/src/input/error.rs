//! What can be wrong with the files of a source or a seed.

use datafusion::common::DataFusionError;
use kinfold_lake::LakeError;
use parquet::errors::ParquetError;

/// An error of reading files. Messages name files, columns, types and lines, never row values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The source is a Delta table, which is read in place.
    #[error("`{location}` is not made of files")]
    NotFiles {
        /// Where the source is.
        location: String,
    },
    /// The location is not a pattern.
    #[error("`{location}` is not a valid pattern")]
    Pattern {
        /// The location as written.
        location: String,
        /// Why.
        source: globset::Error,
    },
    /// The location is neither a path nor an S3 address.
    #[error("`{location}` is neither a path nor an `s3://bucket/key` address")]
    Location {
        /// The location as written.
        location: String,
    },
    /// The file does not exist.
    #[error("there is no file `{location}`")]
    Missing {
        /// The location as written.
        location: String,
    },
    /// The pattern matches nothing.
    #[error("no file matches `{location}`")]
    NoMatch {
        /// The location as written.
        location: String,
    },
    /// The location is a folder.
    #[error("`{location}` is a folder")]
    Folder {
        /// The location as written.
        location: String,
    },
    /// The name of a file is not UTF-8.
    #[error("a file in `{folder}` has a name that is not UTF-8")]
    FileName {
        /// The folder.
        folder: String,
    },
    /// The operating system refused.
    #[error("cannot {action} `{path}`")]
    File {
        /// `list` or `read`.
        action: &'static str,
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The object store refused.
    #[error("cannot {action} `{path}`")]
    Storage {
        /// `list` or `read`.
        action: &'static str,
        /// The object.
        path: String,
        /// Why.
        source: object_store::Error,
    },
    /// The object store could not be set up.
    #[error(transparent)]
    StorageSetup(LakeError),
    /// A file is not the one that was listed.
    #[error("`{path}` changed while it was read")]
    Changed {
        /// The file.
        path: String,
    },
    /// Compressed data end too early or are damaged.
    #[error("`{path}` is truncated or damaged: its {compression} data cannot be read to the end")]
    Compressed {
        /// The file.
        path: String,
        /// `gzip` or `zstd`.
        compression: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not UTF-8 as a whole.
    #[error("`{path}` is {encoding}; only UTF-8 can be read")]
    Encoding {
        /// The file.
        path: String,
        /// What it seems to be.
        encoding: &'static str,
    },
    /// A declared type is not a type of SQL.
    #[error("column `{column}` has the unknown type `{data_type}`")]
    UnknownType {
        /// The column.
        column: String,
        /// The type as written.
        data_type: String,
    },
    /// The format cannot hold a declared type.
    #[error("column `{column}` has type {data_type}, which {format} cannot hold")]
    NotInFormat {
        /// The column.
        column: String,
        /// The type.
        data_type: String,
        /// `CSV` or `NDJSON`.
        format: &'static str,
    },
    /// A table cannot store the columns.
    #[error("the columns of `{location}` cannot be stored")]
    NotStorable {
        /// The source's location or the seed's file.
        location: String,
        /// Why.
        source: LakeError,
    },
    /// There is nothing to take columns from.
    #[error("`{location}` has no columns: every file is empty")]
    NoColumns {
        /// The source's location or the seed's file.
        location: String,
    },
    /// CSV without a header and without declared columns.
    #[error("`{location}` has no header, and the source declares no columns")]
    NoHeader {
        /// The source's location.
        location: String,
    },
    /// The header cannot be read.
    #[error("the header of `{path}` {reason}")]
    Header {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header names a column twice.
    #[error("the header of `{path}` names column `{column}` twice")]
    DuplicateColumn {
        /// The file.
        path: String,
        /// The column.
        column: String,
    },
    /// A file lacks a column.
    #[error("`{path}` is of another schema: it has no column `{column}`")]
    MissingColumn {
        /// The file.
        path: String,
        /// The column.
        column: String,
    },
    /// A file has a column too many.
    #[error("`{path}` is of another schema: its column `{column}` is not one of the source's")]
    UnknownColumn {
        /// The file.
        path: String,
        /// The column.
        column: String,
    },
    /// A column of a file has another type.
    #[error("`{path}` is of another schema: its column `{column}` is {found}, not {expected}")]
    ColumnType {
        /// The file.
        path: String,
        /// The column.
        column: String,
        /// The file's type.
        found: String,
        /// The source's type.
        expected: String,
    },
    /// A Parquet file is damaged, truncated, or no Parquet at all.
    #[error("`{path}` is not a readable Parquet file")]
    Parquet {
        /// The file.
        path: String,
        /// Why.
        source: ParquetError,
    },
    /// A seed is too large for one.
    #[error("seed `{path}` has {bytes} bytes; a seed may have {limit}")]
    SeedTooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A record of a seed is not usable.
    #[error("{path}:{line}: {reason}")]
    SeedRecord {
        /// The file.
        path: String,
        /// The line on which the record starts, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Quarantined or waiting rows could not be kept on disk.
    #[error("rows that wait to be written could not be kept on disk")]
    Spill(#[source] Box<DataFusionError>),
    /// A batch could not be made.
    #[error("rows of `{path}` do not make a batch of the source's columns")]
    Batch {
        /// The file.
        path: String,
        /// Why.
        source: arrow::error::ArrowError,
    },
    /// A background task ended abnormally.
    #[error("a background task failed")]
    Task(#[from] tokio::task::JoinError),
    /// A reader of the files ended without an answer.
    #[error("reading was cut off")]
    CutOff,
    /// Records were lost or counted twice: a defect of kinfold, found before anything is published.
    #[error("{records} records were read, {landed} landed and {quarantined} quarantined")]
    Miscounted {
        /// Records read.
        records: u64,
        /// Rows landed.
        landed: u64,
        /// Records quarantined.
        quarantined: u64,
    },
}

impl InputError {
    /// What the user can do, where that is not obvious.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => "paths are relative to the project's root",
            Self::NoMatch { .. } => {
                "paths are relative to the project's root; `*` does not cross folders, `**` does; names that start with `.` or `_` are left out"
            }
            Self::Folder { .. } => "name its files with a pattern, such as `folder/*.csv`",
            Self::Changed { .. } => "run again when its writer has finished",
            Self::UnknownType { .. } => {
                "use a type of SQL, such as `bigint`, `decimal(18, 2)`, `varchar`, `timestamp` or `boolean`"
            }
            Self::NoHeader { .. } => "list the columns in the order of the file under `columns:`",
            Self::NoColumns { .. } => "declare the columns with their `data_type`",
            Self::UnknownColumn { .. } => {
                "where every declared column has a `data_type`, the declaration is the whole schema; declare this column too"
            }
            Self::ColumnType { .. } => "give files of another schema a source of their own",
            Self::SeedTooLarge { .. } => "load large files as a source",
            Self::Encoding { .. } => "convert the file to UTF-8",
            _ => return None,
        })
    }

    /// The input error behind another error, such as one of the lake that wrote a stream of
    /// [`crate::input::Landing`].
    #[must_use]
    pub fn in_chain<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl From<InputError> for DataFusionError {
    fn from(error: InputError) -> Self {
        Self::External(Box::new(error))
    }
}
