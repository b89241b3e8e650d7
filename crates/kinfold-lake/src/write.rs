//! Overwriting and appending.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use deltalake_core::kernel::{Action, Add, Metadata, MetadataExt as _, Protocol, new_metadata};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use serde_json::{Value, json};

use crate::commit::{Committer, Outcome, Proposal, rows_of};
use crate::data_file::{DataFiles, Layout, discard, write_files};
use crate::index::IndexColumns;
use crate::schema::{AppendColumns, appended, delta_schema, has_local_timestamp, storable_schema};
use crate::snapshot::{arrow_schema, removals};
use crate::{CommitNote, Lake, LakeError, TablePath, Written};

/// Properties of every table that kinfold makes.
///
/// Log entries stay for a year, and are not cleaned up by commits: they carry the notes that
/// explain old versions. Checkpoints come often enough that opening a table reads few objects. There
/// is no change data feed: syncs compare snapshots.
const TABLE_PROPERTIES: [(&str, &str); 3] = [
    ("delta.logRetentionDuration", "interval 365 days"),
    ("delta.enableExpiredLogCleanup", "false"),
    ("delta.checkpointInterval", "20"),
];

impl Lake {
    /// Replaces the rows and the columns of a table, or makes it, in one commit.
    ///
    /// The streams are written at the same time. `schema` announces their columns
    /// ([`crate::storable_schema`] of it is what the table gets). If `commit` has landed before,
    /// the streams are dropped unread.
    ///
    /// # Errors
    /// Those of [`crate::storable_schema`]; [`LakeError::SchemaMismatch`] if a stream does not have
    /// the announced columns; [`LakeError::Input`] if one fails; [`LakeError::Parquet`],
    /// [`LakeError::Storage`], [`LakeError::Value`] while writing; [`LakeError::Superseded`],
    /// [`LakeError::Contended`], [`LakeError::CommitUnknown`], [`LakeError::LeaseLost`],
    /// [`LakeError::Delta`] while committing. Only after `CommitUnknown` may the commit be there.
    pub async fn overwrite(
        &self,
        table: &TablePath,
        schema: SchemaRef,
        input: Vec<SendableRecordBatchStream>,
        commit: CommitNote,
    ) -> Result<Written, LakeError> {
        let write = Write::begin(self, table, &schema, &commit).await?;
        write.run(input, Replace::All, &[]).await
    }

    /// [`Lake::overwrite`] with a row index of these columns beside each file, for
    /// [`Lake::indexed_files`].
    ///
    /// # Errors
    /// As [`Lake::overwrite`], and [`LakeError::Corrupt`] if an indexed column is missing or no text.
    pub async fn overwrite_indexed(
        &self,
        table: &TablePath,
        schema: SchemaRef,
        input: Vec<SendableRecordBatchStream>,
        index: IndexColumns,
        commit: CommitNote,
    ) -> Result<Written, LakeError> {
        let write = Write::begin(self, table, &schema, &commit).await?;
        write.run(input, Replace::All, index).await
    }

    /// Adds rows to a table whose columns they have, in any order; makes the table if there is none.
    ///
    /// # Errors
    /// As [`Lake::overwrite`].
    pub async fn append(
        &self,
        table: &TablePath,
        schema: SchemaRef,
        input: Vec<SendableRecordBatchStream>,
        commit: CommitNote,
    ) -> Result<Written, LakeError> {
        self.append_columns(table, schema, input, commit, AppendColumns::Same)
            .await
    }

    /// [`Lake::append`] with a choice of what happens to columns that differ.
    ///
    /// # Errors
    /// As [`Lake::overwrite`].
    pub async fn append_columns(
        &self,
        table: &TablePath,
        schema: SchemaRef,
        input: Vec<SendableRecordBatchStream>,
        commit: CommitNote,
        columns: AppendColumns,
    ) -> Result<Written, LakeError> {
        let write = Write::begin(self, table, &schema, &commit).await?;
        write.run(input, Replace::Nothing(columns), &[]).await
    }
}

#[derive(Clone, Copy)]
enum Replace {
    All,
    Nothing(AppendColumns),
}

struct Write<'a> {
    lake: &'a Lake,
    table: &'a TablePath,
    committer: Committer<'a>,
    stored: SchemaRef,
    state: Option<DeltaTableState>,
}

impl<'a> Write<'a> {
    async fn begin(
        lake: &'a Lake,
        table: &'a TablePath,
        schema: &Schema,
        note: &'a CommitNote,
    ) -> Result<Self, LakeError> {
        let stored = Arc::new(storable_schema(schema)?);
        let committer = Committer::new(lake, table, note)?;
        let state = committer.load().await?;
        Ok(Self {
            lake,
            table,
            committer,
            stored,
            state,
        })
    }

    async fn run(
        self,
        input: Vec<SendableRecordBatchStream>,
        replace: Replace,
        index: IndexColumns,
    ) -> Result<Written, LakeError> {
        if let Some(state) = &self.state {
            if let Some(written) = self.committer.landed(state).await? {
                return Ok(written);
            }
            // Before any row is computed.
            self.propose(Some(state), &[], replace)?;
        }
        let layout = Layout {
            index,
            ..Layout::default()
        };
        let files = write_files(self.lake, self.table, self.stored.clone(), input, layout).await?;
        let mut removed_rows = 0;
        let outcome = self
            .committer
            .commit(self.state.clone(), |state| {
                let (proposal, removed) = self.propose(state, &files.adds, replace)?;
                removed_rows = removed;
                Ok(Some(proposal))
            })
            .await;
        finish(&self.committer, files, outcome, removed_rows).await
    }

    /// The actions that add `adds` to `state`, and the rows that they remove.
    fn propose(
        &self,
        state: Option<&DeltaTableState>,
        adds: &[Add],
        replace: Replace,
    ) -> Result<(Proposal, u64), LakeError> {
        let table = self.table.as_str();
        let mut actions = Vec::new();
        let mut removed_rows = 0;
        match state {
            None => actions.extend(creation(table, &self.stored)?),
            Some(state) => {
                if !state.metadata().partition_columns().is_empty() {
                    return Err(LakeError::Partitioned {
                        table: table.to_owned(),
                    });
                }
                let current = arrow_schema(table, state)?;
                let next = match replace {
                    Replace::All => {
                        (*current != *self.stored).then(|| self.stored.as_ref().clone())
                    }
                    Replace::Nothing(columns) => appended(table, &current, &self.stored, columns)?,
                };
                if let Some(next) = next {
                    actions.extend(new_columns(table, state, &next)?);
                }
                if matches!(replace, Replace::All) {
                    removed_rows = live_rows(state);
                    actions.extend(removals(state, true, |_| true));
                }
            }
        }
        actions.extend(adds.iter().cloned().map(Action::Add));
        let mode = match replace {
            Replace::All => SaveMode::Overwrite,
            Replace::Nothing(_) => SaveMode::Append,
        };
        let proposal = Proposal {
            actions,
            operation: DeltaOperation::Write {
                mode,
                partition_by: None,
                predicate: None,
            },
        };
        Ok((proposal, removed_rows))
    }
}

/// Turns the outcome of a commit into an answer, and removes files that no version names.
pub(crate) async fn finish(
    committer: &Committer<'_>,
    files: DataFiles,
    outcome: Result<Outcome, LakeError>,
    removed_rows: u64,
) -> Result<Written, LakeError> {
    let (lake, table) = (committer.lake(), committer.table());
    match outcome {
        Ok(Outcome::Committed(version)) => Ok(Written {
            version,
            rows: files.rows,
            bytes: files.bytes,
            files: files.adds.len() as u64,
            removed_rows,
            repeated: false,
        }),
        Ok(Outcome::Nothing(version)) => {
            discard(lake, table, &files.adds).await;
            Ok(Written {
                version,
                rows: 0,
                bytes: 0,
                files: 0,
                removed_rows: 0,
                repeated: false,
            })
        }
        Err(error) => {
            if !committer.uncertain() {
                discard(lake, table, &files.adds).await;
            }
            Err(error)
        }
    }
}

/// Rows of all live files, as far as their statistics say.
pub(crate) fn live_rows(state: &DeltaTableState) -> u64 {
    let rows = state.log_data().into_iter().map(|file| {
        file.num_records()
            .map(|rows| rows as u64)
            .or_else(|| rows_of(&file.stats()?))
    });
    rows.flatten().sum()
}

/// `protocol` and `metaData` of a new table.
fn creation(table: &str, stored: &Schema) -> Result<[Action; 2], LakeError> {
    let schema = delta_schema(table, stored)?;
    let metadata = new_metadata(&schema, Vec::<String>::new(), TABLE_PROPERTIES)
        .map_err(|error| LakeError::delta(table, &error.into()))?;
    let protocol = protocol(table, needs_local_timestamps(stored), false)?;
    Ok([Action::Protocol(protocol), Action::Metadata(metadata)])
}

/// `metaData` with other columns, and a `protocol` if they need one.
fn new_columns(
    table: &str,
    state: &DeltaTableState,
    stored: &Schema,
) -> Result<Vec<Action>, LakeError> {
    let schema = delta_schema(table, stored)?;
    let metadata: Metadata = state
        .metadata()
        .clone()
        .with_schema(&schema)
        .map_err(|error| LakeError::delta(table, &error.into()))?;
    let mut actions = Vec::new();
    let features = serde_json::to_value(state.protocol()).unwrap_or_default();
    let has = has_feature(&features, LOCAL_TIMESTAMPS);
    if needs_local_timestamps(stored) && !has {
        let plain = features.get("minWriterVersion").and_then(|v| v.as_u64()) <= Some(2);
        if !plain && !own_features(&features) {
            // A table of another program with features of its own.
            return Err(LakeError::UnsupportedFeatures {
                table: table.to_owned(),
                features: "`timestampNtz`".to_owned(),
            });
        }
        let vectors = has_feature(&features, DELETION_VECTORS);
        actions.push(Action::Protocol(protocol(table, true, vectors)?));
    }
    actions.push(Action::Metadata(metadata));
    Ok(actions)
}

fn needs_local_timestamps(schema: &Schema) -> bool {
    schema
        .fields()
        .iter()
        .any(|field| has_local_timestamp(field.data_type()))
}

const LOCAL_TIMESTAMPS: &str = "timestampNtz";
const DELETION_VECTORS: &str = "deletionVectors";
/// What writers of version 2 support, and later ones only if they say so.
const IMPLIED: [&str; 2] = ["appendOnly", "invariants"];

fn features_of(protocol: &Value) -> Option<&Vec<Value>> {
    protocol.get("writerFeatures")?.as_array()
}

fn has_feature(protocol: &Value, name: &str) -> bool {
    features_of(protocol).is_some_and(|features| features.iter().any(|f| f == name))
}

/// Whether all features of a table are such as kinfold gives to tables.
fn own_features(protocol: &Value) -> bool {
    let known = |feature: &Value| {
        feature == LOCAL_TIMESTAMPS
            || feature == DELETION_VECTORS
            || IMPLIED.iter().any(|implied| feature == implied)
    };
    features_of(protocol).is_some_and(|features| features.iter().all(known))
}

/// The protocol that a table needs before its first deletion vector; none if it has it.
pub(crate) fn deletion_vector_protocol(
    table: &str,
    state: &DeltaTableState,
) -> Result<Option<Protocol>, LakeError> {
    let features = serde_json::to_value(state.protocol()).unwrap_or_default();
    if has_feature(&features, DELETION_VECTORS) {
        return Ok(None);
    }
    let plain = features.get("minWriterVersion").and_then(Value::as_u64) <= Some(2);
    if !plain && !own_features(&features) {
        return Err(LakeError::UnsupportedFeatures {
            table: table.to_owned(),
            features: "`deletionVectors`".to_owned(),
        });
    }
    let local_timestamps = has_feature(&features, LOCAL_TIMESTAMPS);
    protocol(table, local_timestamps, true).map(Some)
}

/// The oldest protocol that fits, so that every Delta reader can read the table.
fn protocol(table: &str, local_timestamps: bool, vectors: bool) -> Result<Protocol, LakeError> {
    let mut features = Vec::new();
    features.extend(local_timestamps.then_some(LOCAL_TIMESTAMPS));
    features.extend(vectors.then_some(DELETION_VECTORS));
    let protocol = if features.is_empty() {
        json!({"minReaderVersion": 1, "minWriterVersion": 2})
    } else {
        let of_writers: Vec<&str> = features.iter().copied().chain(IMPLIED).collect();
        json!({
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": features,
            "writerFeatures": of_writers,
        })
    };
    serde_json::from_value(protocol).map_err(|_| LakeError::Corrupt {
        path: table.to_owned(),
        reason: "its protocol cannot be written",
    })
}
