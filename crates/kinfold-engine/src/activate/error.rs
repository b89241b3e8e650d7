//! Why a sync could not run.

use chrono::{DateTime, Utc};
use kinfold_project::Diagnostic;
use kinfold_sync::DestinationError;

/// Why a sync could not start, or could not record what it did. No message holds row values or secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivateError {
    /// The manifest of a destination cannot be used.
    #[error(
        "the destination `{destination}` of connection `{connection}` has a mistake: {problem}; `kinfold destination check` shows where"
    )]
    Manifest {
        /// The connection.
        connection: String,
        /// The name of the destination.
        destination: String,
        /// The first mistake.
        problem: String,
    },
    /// A connection's parameters are not those of its destination.
    #[error("connection `{connection}` cannot be used")]
    Account {
        /// The connection.
        connection: String,
        /// Why.
        #[source]
        source: DestinationError,
    },
    /// Somebody else runs the sync.
    #[error(
        "sync `{sync}` is being run by {holder} since {since} (until {expires} unless renewed)"
    )]
    Busy {
        /// The sync.
        sync: String,
        /// Host and process of the other run.
        holder: String,
        /// Since when, by its clock.
        since: DateTime<Utc>,
        /// When its claim ends if it has died, by its clock.
        expires: DateTime<Utc>,
    },
    /// A key expression has a type that cannot identify rows.
    #[error(
        "key field `{field}` of sync `{sync}` has type {found}, which cannot be a key; cast it to text, a whole number or a date"
    )]
    KeyType {
        /// The sync.
        sync: String,
        /// The field.
        field: String,
        /// Its type.
        found: String,
    },
    /// A mapping expression has a type that has no JSON form.
    #[error(
        "field `{field}` of sync `{sync}` has type {found}, which cannot be sent; cast it to text or a number"
    )]
    FieldType {
        /// The sync.
        sync: String,
        /// The field.
        field: String,
        /// Its type.
        found: String,
    },
    /// The mapping does not fit its plan.
    #[error("the mapping of sync `{sync}` has {columns} columns and {fields} fields")]
    Mapping {
        /// The sync.
        sync: String,
        /// Columns of the plan.
        columns: usize,
        /// Fields of the key and the mapping.
        fields: usize,
    },
    /// The sync was set up for another place or another key.
    #[error(
        "sync `{sync}` has delivered with {what} {before} and now has {now}; give the sync another name to start anew"
    )]
    TargetChanged {
        /// The sync.
        sync: String,
        /// `connection`, `object` or `key`.
        what: &'static str,
        /// What the state was made with.
        before: String,
        /// What the project says now.
        now: String,
    },
    /// Nothing is held under the id that was approved.
    #[error(
        "sync `{sync}` holds nothing back under `{id}`; `kinfold sync --dry-run` shows what it would hold now"
    )]
    NotHeld {
        /// The sync.
        sync: String,
        /// What was approved.
        id: String,
    },
    /// The destination cannot be compared with what was sent.
    #[error("sync `{sync}` cannot be verified: {reason}")]
    NotVerifiable {
        /// The sync.
        sync: String,
        /// In a few words.
        reason: &'static str,
    },
    /// A decision about failed rows while a run is not finished.
    #[error(
        "a run of sync `{sync}` was interrupted; `kinfold sync --select {sync}` finishes it first"
    )]
    Unfinished {
        /// The sync.
        sync: String,
    },
    /// A key that was asked for is not one of the sync.
    #[error("`{given}` is not a key of sync `{sync}`, whose key is {wanted}")]
    KeyAskedFor {
        /// The sync.
        sync: String,
        /// The fields that were given, without values.
        given: String,
        /// The fields of the key with the kind of their values.
        wanted: String,
    },
    /// An option of the connection cannot be filled in.
    #[error("connection `{connection}`: {}", .problem.message)]
    Template {
        /// The connection.
        connection: String,
        /// What is wrong, with its place. It names variables, never values.
        problem: Box<Diagnostic>,
    },
    /// An option of the connection is missing or not what it should be.
    #[error("connection `{connection}`: option `{option}` {reason}")]
    Option {
        /// The connection.
        connection: String,
        /// The option.
        option: String,
        /// In a few words.
        reason: &'static str,
    },
    /// The destination cannot be used.
    #[error("sync `{sync}` cannot deliver: {source}")]
    Destination {
        /// The sync.
        sync: String,
        /// Why.
        source: DestinationError,
    },
    /// A stored object of a run is missing or not what kinfold writes.
    #[error("`{object}` of an interrupted run is not readable: {reason}")]
    Stored {
        /// The object.
        object: String,
        /// In a few words.
        reason: &'static str,
    },
    /// A stored form was written by a newer kinfold.
    #[error("`{object}` has format {found}; this kinfold reads formats up to {supported}")]
    NewerFormat {
        /// The object.
        object: String,
        /// Its format.
        found: u64,
        /// The newest format that is understood.
        supported: u64,
    },
    /// The counters of a run do not add up: a bug, reported instead of hidden.
    #[error(
        "the counters of sync `{sync}` do not add up: {planned} rows planned, {settled} settled"
    )]
    Counters {
        /// The sync.
        sync: String,
        /// Rows planned.
        planned: u64,
        /// Rows with an outcome.
        settled: u64,
    },
}
