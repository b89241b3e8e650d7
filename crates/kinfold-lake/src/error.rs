//! What can go wrong in a lake.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// An error of the lake. Messages name tables, columns and types, never row values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The location is neither an absolute folder nor an S3 address.
    #[error(
        "`{location}` is neither an absolute folder nor an `s3://bucket/prefix` address, or contains `%`"
    )]
    Location {
        /// The location as given.
        location: String,
    },
    /// A storage option that the object store does not know.
    #[error("unknown storage option `{option}`")]
    StorageOption {
        /// The option's name.
        option: String,
    },
    /// The object store refused its options.
    #[error("cannot set up the storage of `{location}`")]
    StorageSetup {
        /// The location as given.
        location: String,
        /// Why.
        source: object_store::Error,
    },
    /// A name that cannot be part of a path in the lake.
    #[error("`{name}` cannot name an object of a lake")]
    Name {
        /// The name as given.
        name: String,
    },
    /// Reading or writing an object failed.
    #[error("cannot {action} `{path}`")]
    Storage {
        /// `read`, `write`, `list` or `delete`.
        action: &'static str,
        /// The object's path.
        path: String,
        /// Why.
        source: object_store::Error,
    },
    /// A file-system call of the embedded lake failed.
    #[error("cannot {action} `{path}`")]
    File {
        /// `write`, `lock`, `read`.
        action: &'static str,
        /// The file's path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The lake was written by a newer kinfold.
    #[error("`{path}` has format {found}; this kinfold reads formats up to {supported}")]
    NewerFormat {
        /// The object that carries the format.
        path: String,
        /// Format found.
        found: u64,
        /// Newest format that this program reads.
        supported: u64,
    },
    /// A stored object is not what kinfold writes.
    #[error("`{path}` is not readable: {reason}")]
    Corrupt {
        /// The object's path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The table needs Delta features that kinfold does not have.
    #[error("table `{table}` needs the Delta features {features}, which kinfold cannot use")]
    UnsupportedFeatures {
        /// The table.
        table: String,
        /// The features, each in backticks, comma separated.
        features: String,
    },
    /// The table does not exist.
    #[error("there is no table `{table}`")]
    NoTable {
        /// The table.
        table: String,
    },
    /// The table exists but not at this version.
    #[error("table `{table}` has no version {version}")]
    NoVersion {
        /// The table.
        table: String,
        /// The version asked for.
        version: u64,
    },
    /// A column has a type that a Delta table cannot hold.
    #[error("column `{column}` has type {found}, which a table cannot store; {help}")]
    ColumnType {
        /// The column, with dots for fields of structs.
        column: String,
        /// The Arrow type.
        found: String,
        /// What to do.
        help: &'static str,
    },
    /// A column has a name that a Delta table cannot hold.
    #[error(
        "column `{column}` cannot be stored: a name must not be empty or contain a space, a tab, a line break or one of `,;{{}}()=`"
    )]
    ColumnName {
        /// The column.
        column: String,
    },
    /// Two columns differ in case only.
    #[error("columns `{first}` and `{second}` differ in case only")]
    ColumnCase {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// There is not a single column.
    #[error("a table needs at least one column")]
    NoColumns,
    /// The rows do not have the columns of the table.
    #[error(
        "rows for table `{table}` do not fit: column `{column}` is {found}, the table has {expected}"
    )]
    SchemaMismatch {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type in the rows, or `missing`.
        found: String,
        /// Its type in the table, or `no such column`.
        expected: String,
    },
    /// The table is partitioned; kinfold writes unpartitioned tables only.
    #[error("table `{table}` is partitioned and can only be read")]
    Partitioned {
        /// The table.
        table: String,
    },
    /// The rows to write could not be computed.
    #[error("the rows to write could not be computed")]
    Input(#[source] datafusion::error::DataFusionError),
    /// A scan of the table failed.
    #[error("cannot read table `{table}`")]
    Scan {
        /// The table.
        table: String,
        /// Why.
        source: datafusion::error::DataFusionError,
    },
    /// A value does not fit into its column, for example a timestamp out of range.
    #[error("a value of column `{column}` does not fit into {expected}")]
    Value {
        /// The column.
        column: String,
        /// The stored type.
        expected: String,
    },
    /// Encoding a data file failed.
    #[error("cannot write a data file of table `{table}`")]
    Parquet {
        /// The table.
        table: String,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A task that wrote a data file ended unexpectedly.
    #[error("a writer of table `{table}` stopped unexpectedly")]
    WriterStopped {
        /// The table.
        table: String,
    },
    /// The Delta library reports an error; its text is free of row values.
    #[error("table `{table}`: {failure}")]
    Delta {
        /// The table.
        table: String,
        /// The library's text after redaction.
        failure: DeltaFailure,
    },
    /// Too many writers were faster.
    #[error(
        "table `{table}` was changed by others {attempts} times in a row; nothing was committed"
    )]
    Contended {
        /// The table.
        table: String,
        /// How often the commit was tried.
        attempts: u32,
    },
    /// The answer to the commit was lost, and the log could not be read to see whether it landed.
    #[error(
        "it is unknown whether the commit to table `{table}` landed; repeat it with the same transaction"
    )]
    CommitUnknown {
        /// The table.
        table: String,
    },
    /// A later transaction of the same writer is in the table already.
    #[error("transaction {app_version} of `{app_id}` comes too late: table `{table}` has {landed}")]
    Superseded {
        /// The table.
        table: String,
        /// The writer.
        app_id: String,
        /// The transaction that was refused.
        app_version: i64,
        /// The newest transaction in the table.
        landed: i64,
    },
    /// Somebody else swapped the object first.
    #[error("`{name}` was changed by somebody else")]
    Conflict {
        /// The object.
        name: String,
    },
    /// The object exists already.
    #[error("`{name}` exists already")]
    Exists {
        /// The object.
        name: String,
    },
    /// Somebody else holds the lease.
    #[error("`{name}` is in use by `{holder}` since {since} (until {expires} unless renewed)")]
    LeaseHeld {
        /// The lease.
        name: String,
        /// Who holds it.
        holder: String,
        /// Since when, by the holder's clock.
        since: DateTime<Utc>,
        /// Until when, by the holder's clock.
        expires: DateTime<Utc>,
    },
    /// The lease was taken over or ran out.
    #[error("the lease `{name}` (token {token}) is lost")]
    LeaseLost {
        /// The lease.
        name: String,
        /// The token that is void.
        token: u64,
    },
    /// A lease shorter than a heartbeat can keep.
    #[error("a lease of {ttl:?} is too short")]
    LeaseTooShort {
        /// The time to live asked for.
        ttl: Duration,
    },
}

/// Text of an error of the Delta library, without row values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaFailure(String);

impl std::fmt::Display for DeltaFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl DeltaFailure {
    /// Keeps the part of `text` that cannot contain rows.
    ///
    /// The library prints rejected rows after "Preview of invalid data", values that fail a cast
    /// in quotes after "cast", and whole log lines after "line=".
    pub(crate) fn redacted(text: &str) -> Self {
        let lower = text.to_lowercase();
        let cut = ["preview of invalid data", "invalid data", "line=", "cast"]
            .iter()
            .filter_map(|mark| lower.find(mark))
            .min();
        match cut.and_then(|end| text.get(..end)) {
            Some(head) => Self(format!("{}(values withheld)", head)),
            None => Self(text.to_owned()),
        }
    }
}

impl LakeError {
    pub(crate) fn delta(table: &str, error: &deltalake_core::DeltaTableError) -> Self {
        Self::Delta {
            table: table.to_owned(),
            failure: DeltaFailure::redacted(&error.to_string()),
        }
    }

    pub(crate) fn storage(
        action: &'static str,
        path: impl ToString,
        source: object_store::Error,
    ) -> Self {
        Self::Storage {
            action,
            path: path.to_string(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_do_not_survive() {
        let text = "Data validation failed. Preview of invalid data: | ann@example.com |";
        let failure = DeltaFailure::redacted(text).to_string();
        assert_eq!(failure, "Data validation failed. (values withheld)");
    }
}
