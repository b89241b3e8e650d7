//! The next version of a table that is made of an earlier one: some of its rows less, others more.
//!
//! What an interrupted run has committed after that version is undone in the same commit, so that a table goes on
//! from what its readers see and not from what nobody has published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::SendableRecordBatchStream;
use deltalake_core::kernel::{Action, Add, MetadataExt as _};
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;

use crate::commit::{Committer, Proposal, rows_of};
use crate::data_file::{DataFiles, Layout, discard, write_files};
use crate::delete::no_table;
use crate::files::LiveFiles;
use crate::location::join;
use crate::patch::{ENABLED, Patch, with_loose_bounds};
use crate::provider::KinfoldTable;
use crate::snapshot::live_key;
use crate::write::{deletion_vector_protocol, finish};
use crate::{CommitNote, Lake, LakeError, Snapshot, TablePath, Written};

/// Rows in files of a table that no version of it names yet.
///
/// They are written once and can be read as often as is needed to decide what they replace. What becomes of them
/// is [`Lake::advance`] or [`Lake::discard`]; left alone, they are garbage for [`Lake::vacuum`].
#[derive(Debug)]
pub struct Staged {
    table: TablePath,
    files: DataFiles,
    native: KinfoldTable,
}

impl Staged {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.rows
    }

    /// The rows as a relation.
    #[must_use]
    pub fn provider(&self) -> Arc<dyn TableProvider> {
        Arc::new(self.native.clone())
    }
}

impl Lake {
    /// Writes rows to files of a table, in the columns of one of its versions, without committing them.
    ///
    /// # Errors
    /// As [`Lake::append`] while writing; [`LakeError::UnsupportedFeatures`].
    pub async fn stage(
        &self,
        table: &TablePath,
        base: &Snapshot,
        input: Vec<SendableRecordBatchStream>,
    ) -> Result<Staged, LakeError> {
        let native = base.native()?;
        let files = write_files(self, table, base.schema(), input, Layout::default()).await?;
        let root = self.table_root(table);
        let entries = files.adds.iter().map(|add| {
            let bytes = u64::try_from(add.size).unwrap_or_default();
            let path = object_store::path::Path::from(add.path.as_str());
            let rows = add.stats.as_deref().and_then(rows_of).unwrap_or_default();
            (add.path.clone(), join(&root, &path), bytes, rows)
        });
        let live = LiveFiles::uncommitted(native.files_schema(), entries);
        Ok(Staged {
            table: table.clone(),
            native: native.over(Arc::new(live)),
            files,
        })
    }

    /// Gives up rows that were staged.
    pub async fn discard(&self, staged: Staged) {
        discard(self, &staged.table, &staged.files.adds).await;
    }

    /// Commits the rows of `base`, without those at these places, and with those that were staged for it, whatever
    /// the newest version is. The columns are those of `base`.
    ///
    /// # Errors
    /// [`LakeError::NoTable`]; [`LakeError::Corrupt`] for a place that is not in its file; else as the commit of
    /// [`Lake::append`].
    pub async fn advance(
        &self,
        base: &Snapshot,
        deleted: &BTreeMap<String, Vec<u64>>,
        staged: Staged,
        commit: CommitNote,
    ) -> Result<Written, LakeError> {
        let Staged { table, files, .. } = staged;
        let committer = Committer::new(self, &table, &commit)?;
        let state = committer.load().await?.ok_or_else(|| no_table(&table))?;
        if let Some(written) = committer.landed(&state).await? {
            return Ok(written);
        }
        let patch = match self.vectors(&table, base, deleted).await {
            Ok(patch) => patch,
            Err(error) => {
                discard(self, &table, &files.adds).await;
                return Err(error);
            }
        };
        let outcome = committer
            .commit(Some(state), |state| {
                let state = state.ok_or_else(|| no_table(&table))?;
                onto(&table, base.state(), state, &patch, &files.adds).map(Some)
            })
            .await;
        if outcome.is_err() && !committer.uncertain() {
            self.give_up(&patch).await;
        }
        finish(&committer, files, outcome, patch.rows()).await
    }
}

/// What turns the newest version of a table into a patched earlier one.
fn onto(
    table: &TablePath,
    base: &DeltaTableState,
    newest: &DeltaTableState,
    patch: &Patch,
    adds: &[Add],
) -> Result<Proposal, LakeError> {
    let mut actions = Vec::new();
    let mut metadata = base.metadata().clone();
    if patch.has_vectors() {
        actions.extend(deletion_vector_protocol(table.as_str(), newest)?.map(Action::Protocol));
        if metadata.configuration().get(ENABLED).map(String::as_str) != Some("true") {
            metadata = metadata
                .add_config_key(ENABLED.to_owned(), "true".to_owned())
                .map_err(|error| LakeError::delta(table.as_str(), &error.into()))?;
        }
    }
    if metadata != *newest.metadata() {
        actions.push(Action::Metadata(metadata));
    }
    let now: BTreeSet<String> = newest
        .log_data()
        .iter()
        .map(|file| live_key(&file))
        .collect();
    let mut kept = BTreeSet::new();
    let mut again = Vec::new();
    for file in base.log_data() {
        let key = live_key(&file);
        #[expect(deprecated, reason = "there is no other way to repeat an entry")]
        let add = || Add {
            deletion_vector: file.deletion_vector_descriptor(),
            data_change: true,
            ..file.add_action()
        };
        match patch.of(&key) {
            Some(None) => {}
            Some(Some(vector)) => {
                let add = add();
                again.push(Add {
                    stats: add.stats.as_deref().map(with_loose_bounds),
                    deletion_vector: Some(vector.clone()),
                    ..add
                });
            }
            None if now.contains(&key) => {
                kept.insert(key);
            }
            None => again.push(add()),
        }
    }
    for file in newest.log_data() {
        if !kept.contains(&live_key(&file)) {
            actions.push(Action::Remove(file.remove_action(true)));
        }
    }
    actions.extend(again.into_iter().map(Action::Add));
    actions.extend(adds.iter().cloned().map(Action::Add));
    Ok(Proposal {
        actions,
        operation: DeltaOperation::Update { predicate: None },
    })
}
