//! Changing some rows of a table without rewriting its files.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use deltalake_core::kernel::{Action, Add, DeletionVectorDescriptor, MetadataExt as _};
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use crate::commit::{Committer, Proposal};
use crate::data_file::{Layout, write_files};
use crate::delete::{no_table, read, scan_error};
use crate::deletion_vector::VectorFile;
use crate::index::IndexColumns;
use crate::location::join;
use crate::objects::sync_file;
use crate::snapshot::live_key;
use crate::write::{deletion_vector_protocol, finish};
use crate::{CommitNote, Lake, LakeError, Snapshot, TablePath, Written};

pub(crate) const ENABLED: &str = "delta.enableDeletionVectors";

/// The rows of one data file, each at its place, with those that are deleted.
pub struct FileRows {
    /// The file, as [`Lake::patch`] wants it named.
    pub file: String,
    /// Places of deleted rows, ascending.
    pub deleted: Arc<[u64]>,
    /// The rows in order; the first one has the place 0.
    pub rows: SendableRecordBatchStream,
}

impl Lake {
    /// Some columns of each file of a version that may hold rows for which all of `filters` are true, in the order
    /// in which the rows lie in it. The filters choose files, not rows.
    ///
    /// # Errors
    /// [`LakeError::UnsupportedFeatures`], [`LakeError::Scan`], [`LakeError::Storage`].
    pub async fn read_in_place(
        &self,
        table: &TablePath,
        snapshot: &Snapshot,
        columns: &[&str],
        filters: &[Expr],
    ) -> Result<Vec<FileRows>, LakeError> {
        let failed = |source| scan_error(table, source);
        let native = snapshot.native()?.with_deleted();
        let context = self.reading_context();
        let mut files = Vec::new();
        let chosen = native
            .candidates(&context.state(), filters)
            .map_err(failed)?;
        let live = snapshot.live_files()?;
        for at in chosen {
            let Some(file) = live.files.get(at) else {
                continue;
            };
            let deleted = match &file.deleted {
                Some(deleted) => deleted.load(self.store().as_ref()).await?,
                None => Arc::default(),
            };
            let frame = read(&context, native.choose(vec![at])).map_err(failed)?;
            let frame = frame.select_columns(columns).map_err(failed)?;
            files.push(FileRows {
                file: file.relative.clone(),
                deleted,
                rows: frame.execute_stream().await.map_err(failed)?,
            });
        }
        Ok(files)
    }

    /// Deletes rows of a version by their places, and adds others, in one commit. Nothing may have
    /// changed the files of these rows since; files that came meanwhile do no harm.
    ///
    /// New files get a row index of these columns: see [`Lake::overwrite_indexed`].
    ///
    /// The deleted rows stay in their files until these are rewritten: see [`Lake::delete_where`].
    ///
    /// # Errors
    /// [`LakeError::Contended`] if the files changed, [`LakeError::Corrupt`] for a place that is not
    /// in its file, else as [`Lake::append`].
    pub async fn patch(
        &self,
        table: &TablePath,
        snapshot: &Snapshot,
        deleted: &BTreeMap<String, Vec<u64>>,
        input: Vec<SendableRecordBatchStream>,
        index: IndexColumns,
        commit: CommitNote,
    ) -> Result<Written, LakeError> {
        let committer = Committer::new(self, table, &commit)?;
        let state = committer.load().await?.ok_or_else(|| no_table(table))?;
        if let Some(written) = committer.landed(&state).await? {
            return Ok(written);
        }
        // The columns of the rows must be those of the table: a patch changes none.
        let stored = snapshot.schema();
        let layout = Layout {
            index,
            ..Layout::default()
        };
        let patch = self.vectors(table, snapshot, deleted).await?;
        let files = write_files(self, table, stored, input, layout).await?;
        let outcome = committer
            .commit(Some(state), |state| {
                let state = state.ok_or_else(|| no_table(table))?;
                patch.proposal(table, state, &files.adds).map(Some)
            })
            .await;
        if outcome.is_err() && !committer.uncertain() {
            self.give_up(&patch).await;
        }
        finish(&committer, files, outcome, patch.rows).await
    }

    /// Deletes the vectors of a patch that was not committed.
    pub(crate) async fn give_up(&self, patch: &Patch) {
        if let Some(path) = &patch.path
            && let Err(error) = self.store().delete(path).await
        {
            tracing::debug!(%path, %error, "an uncommitted deletion vector is left to vacuum");
        }
    }

    /// Writes the vectors of all files that lose rows.
    pub(crate) async fn vectors(
        &self,
        table: &TablePath,
        snapshot: &Snapshot,
        deleted: &BTreeMap<String, Vec<u64>>,
    ) -> Result<Patch, LakeError> {
        let live = snapshot.live_files()?;
        let corrupt = |reason| LakeError::Corrupt {
            path: table.to_string(),
            reason,
        };
        let mut file = VectorFile::new();
        let mut patch = Patch::default();
        for (name, places) in deleted.iter().filter(|(_, places)| !places.is_empty()) {
            let at = live.files.iter().position(|file| file.relative == *name);
            let at = at.ok_or_else(|| corrupt("a patch names a file that it does not have"))?;
            let (Some(of), Some(all)) = (live.files.get(at), live.physical_rows_of(at)) else {
                return Err(corrupt("the log does not say how many rows a file has"));
            };
            let mut rows = places.clone();
            if let Some(before) = &of.deleted {
                rows.extend(before.load(self.store().as_ref()).await?.iter());
            }
            rows.sort_unstable();
            rows.dedup();
            if rows.last().is_some_and(|last| *last >= all) {
                return Err(corrupt("a patch names a row that a file does not have"));
            }
            let gone = rows.len() as u64;
            patch.rows += gone - of.deleted.as_ref().map_or(0, |before| before.count);
            // A file without rows is no file any more.
            let vector = if gone == all {
                None
            } else {
                let vector = file.push(&rows);
                Some(vector.ok_or_else(|| corrupt("too many rows are deleted for a vector"))?)
            };
            patch.files.insert(of.key(), vector);
        }
        if patch.files.values().any(Option::is_some) {
            let path = join(&self.table_root(table), &Path::from(file.name()));
            self.store()
                .put(&path, PutPayload::from(file.bytes))
                .await
                .map_err(|source| LakeError::storage("write", &path, source))?;
            if let Some(local) = self.url().local_path(&path) {
                // A commit must not outlive, in a power cut, the vectors that it names.
                match tokio::task::spawn_blocking(move || sync_file(&local)).await {
                    Ok(result) => result?,
                    Err(_) => {
                        return Err(LakeError::WriterStopped {
                            table: table.to_string(),
                        });
                    }
                }
            }
            patch.path = Some(path);
        }
        Ok(patch)
    }
}

/// Files that lose rows.
#[derive(Default)]
pub(crate) struct Patch {
    /// The new vector of each, by key; none if no row is left.
    files: BTreeMap<String, Option<DeletionVectorDescriptor>>,
    /// Rows that are deleted now and were not before.
    rows: u64,
    /// Where the vectors are.
    path: Option<Path>,
}

impl Patch {
    /// Rows that are deleted now and were not before.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether a file keeps some of its rows and loses others.
    pub(crate) fn has_vectors(&self) -> bool {
        self.files.values().any(Option::is_some)
    }

    /// The new vector of a file, by key, if it loses rows; none inside if no row is left.
    pub(crate) fn of(&self, key: &str) -> Option<Option<&DeletionVectorDescriptor>> {
        self.files.get(key).map(Option::as_ref)
    }

    fn proposal(
        &self,
        table: &TablePath,
        state: &DeltaTableState,
        adds: &[Add],
    ) -> Result<Proposal, LakeError> {
        let mut actions = Vec::new();
        if self.has_vectors() {
            actions.extend(enable(table, state)?);
        }
        let mut found = 0;
        for live in state.log_data() {
            let Some(vector) = self.files.get(&live_key(&live)) else {
                continue;
            };
            found += 1;
            actions.push(Action::Remove(live.remove_action(true)));
            if let Some(vector) = vector {
                #[expect(deprecated, reason = "there is no other way to repeat an entry")]
                let add = live.add_action();
                actions.push(Action::Add(Add {
                    stats: add.stats.as_deref().map(with_loose_bounds),
                    deletion_vector: Some(vector.clone()),
                    ..add
                }));
            }
        }
        if found < self.files.len() {
            return Err(LakeError::Contended {
                table: table.to_string(),
                attempts: 1,
            });
        }
        actions.extend(adds.iter().cloned().map(Action::Add));
        Ok(Proposal {
            actions,
            operation: DeltaOperation::Update { predicate: None },
        })
    }
}

/// What a table needs before its first deletion vector.
fn enable(table: &TablePath, state: &DeltaTableState) -> Result<Vec<Action>, LakeError> {
    let mut actions = Vec::new();
    if let Some(protocol) = deletion_vector_protocol(table.as_str(), state)? {
        actions.push(Action::Protocol(protocol));
    }
    let metadata = state.metadata();
    if metadata.configuration().get(ENABLED).map(String::as_str) != Some("true") {
        let metadata = metadata
            .clone()
            .add_config_key(ENABLED.to_owned(), "true".to_owned())
            .map_err(|error| LakeError::delta(table.as_str(), &error.into()))?;
        actions.push(Action::Metadata(metadata));
    }
    Ok(actions)
}

/// Statistics of a file that lost rows: its bounds hold, but no row need reach them.
pub(crate) fn with_loose_bounds(stats: &str) -> String {
    let Ok(serde_json::Value::Object(mut stats_object)) = serde_json::from_str(stats) else {
        return stats.to_owned();
    };
    stats_object.insert("tightBounds".to_owned(), false.into());
    serde_json::Value::Object(stats_object).to_string()
}
