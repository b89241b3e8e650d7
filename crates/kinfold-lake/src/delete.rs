//! Deleting rows, by writing the files that hold them anew.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use deltalake_core::kernel::Action;
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;

use crate::commit::{Committer, Proposal, pause};
use crate::data_file::{DataFiles, Layout, discard, write_files};
use crate::files::LiveFile;
use crate::provider::KinfoldTable;
use crate::snapshot::{live_key, removals};
use crate::write::{finish, live_rows};
use crate::{CommitNote, Lake, LakeError, Snapshot, TablePath, Written};

/// How often a deletion is computed again because its files were rewritten meanwhile.
const REWRITES: u32 = 100;

impl Lake {
    /// Removes every row; the columns stay. Without a table, or without rows, nothing is committed.
    ///
    /// # Errors
    /// [`LakeError::NoTable`], else as the commit of [`Lake::overwrite`].
    pub async fn delete_all(
        &self,
        table: &TablePath,
        commit: CommitNote,
    ) -> Result<Written, LakeError> {
        let committer = Committer::new(self, table, &commit)?;
        let state = committer.load().await?.ok_or_else(|| no_table(table))?;
        if let Some(written) = committer.landed(&state).await? {
            return Ok(written);
        }
        let mut removed_rows = 0;
        let outcome = committer
            .commit(Some(state), |state| {
                let state = state.ok_or_else(|| no_table(table))?;
                removed_rows = live_rows(state);
                let actions = removals(state, true, |_| true);
                Ok((!actions.is_empty()).then(|| Proposal {
                    actions,
                    operation: DeltaOperation::Delete { predicate: None },
                }))
            })
            .await;
        finish(&committer, DataFiles::default(), outcome, removed_rows).await
    }

    /// Removes the rows for which `predicate` is true. Rows that are appended while it runs are
    /// not looked at: the deletion counts as the earlier of the two.
    ///
    /// The log records that a predicate was used, not which one: it may contain a person's key.
    ///
    /// # Errors
    /// [`LakeError::NoTable`], [`LakeError::Scan`] if the predicate does not fit the table, else as
    /// [`Lake::overwrite`].
    pub async fn delete_where(
        &self,
        table: &TablePath,
        predicate: Expr,
        commit: CommitNote,
    ) -> Result<Written, LakeError> {
        let committer = Committer::new(self, table, &commit)?;
        for attempt in 0..REWRITES {
            if attempt > 0 {
                pause(attempt).await;
            }
            let Some(snapshot) = self.snapshot(table, None).await? else {
                return Err(no_table(table));
            };
            if let Some(written) = committer.landed(snapshot.state()).await? {
                return Ok(written);
            }
            let rewrite = self.rewrite(table, &snapshot, &predicate).await?;
            let mut overtaken = false;
            let removed_rows = rewrite.removed_rows;
            let outcome = committer
                .commit(Some(snapshot.state().clone()), |state| {
                    let state = state.ok_or_else(|| no_table(table))?;
                    if rewrite.sources.is_empty() {
                        return Ok(None);
                    }
                    overtaken = !still_live(state, &rewrite.sources);
                    if overtaken {
                        return Ok(None);
                    }
                    Ok(Some(rewrite.proposal(
                        state,
                        true,
                        DeltaOperation::Delete {
                            predicate: Some("true".to_owned()),
                        },
                    )))
                })
                .await;
            if overtaken {
                discard(self, table, &rewrite.files.adds).await;
                continue;
            }
            return finish(&committer, rewrite.files, outcome, removed_rows).await;
        }
        Err(LakeError::Contended {
            table: table.to_string(),
            attempts: REWRITES,
        })
    }

    async fn rewrite(
        &self,
        table: &TablePath,
        snapshot: &Snapshot,
        predicate: &Expr,
    ) -> Result<Rewrite, LakeError> {
        let failed = |source| scan_error(table, source);
        let native = snapshot.native()?;
        let context = self.reading_context();
        let state = context.state();
        let candidates = native
            .candidates(&state, std::slice::from_ref(predicate))
            .map_err(failed)?;
        let live = snapshot.live_files()?;
        let mut hit = Vec::new();
        let mut removed_rows = 0;
        for file in candidates {
            let matching = async |table: KinfoldTable| {
                let frame = read(&context, table.choose(vec![file]))?;
                frame.filter(predicate.clone())?.count().await
            };
            let found = matching(native.clone()).await.map_err(failed)?;
            removed_rows += found as u64;
            let has_deleted = live.files.get(file).is_some_and(|f| f.deleted.is_some());
            // What was deleted before is still in the file, and shall not stay there.
            if found > 0
                || has_deleted && matching(native.with_deleted()).await.map_err(failed)? > 0
            {
                hit.push(file);
            }
        }
        let sources = hit
            .iter()
            .filter_map(|file| live.files.get(*file))
            .map(LiveFile::key)
            .collect();
        let files = if hit.is_empty() {
            DataFiles::default()
        } else {
            let keep = predicate.clone().is_not_true();
            let frame = read(&context, native.choose(hit)).map_err(failed)?;
            let frame = frame.filter(keep).map_err(failed)?;
            let stream = frame.execute_stream().await.map_err(failed)?;
            let schema = snapshot.schema();
            write_files(self, table, schema, vec![stream], Layout::default()).await?
        };
        Ok(Rewrite {
            sources,
            files,
            removed_rows,
        })
    }

    /// A session of this crate's own, which reads the lake and nothing else.
    pub(crate) fn reading_context(&self) -> SessionContext {
        let mut config = SessionConfig::new().with_target_partitions(1);
        // Sizes of batches do not matter here; a type that is not the stored one would.
        config
            .options_mut()
            .execution
            .parquet
            .schema_force_view_types = false;
        let context = SessionContext::new_with_config(config);
        self.register(&context.runtime_env());
        context
    }
}

pub(crate) fn read(
    context: &SessionContext,
    table: KinfoldTable,
) -> datafusion::error::Result<DataFrame> {
    let provider: Arc<dyn TableProvider> = Arc::new(table);
    context.read_table(provider)
}

/// Files written anew.
pub(crate) struct Rewrite {
    /// Keys of the files that the new ones replace.
    pub(crate) sources: HashSet<String>,
    pub(crate) files: DataFiles,
    pub(crate) removed_rows: u64,
}

impl Rewrite {
    pub(crate) fn proposal(
        &self,
        state: &DeltaTableState,
        data_change: bool,
        operation: DeltaOperation,
    ) -> Proposal {
        let mut actions = removals(state, data_change, |path| self.sources.contains(path));
        actions.extend(self.files.adds.iter().cloned().map(|mut add| {
            add.data_change = data_change;
            Action::Add(add)
        }));
        Proposal { actions, operation }
    }
}

/// Whether all of `sources` are still files of the table.
pub(crate) fn still_live(state: &DeltaTableState, sources: &HashSet<String>) -> bool {
    let live = state
        .log_data()
        .iter()
        .filter(|file| sources.contains(&live_key(file)))
        .count();
    live == sources.len()
}

pub(crate) fn no_table(table: &TablePath) -> LakeError {
    LakeError::NoTable {
        table: table.to_string(),
    }
}

pub(crate) fn scan_error(
    table: &TablePath,
    source: datafusion::error::DataFusionError,
) -> LakeError {
    LakeError::Scan {
        table: table.to_string(),
        source,
    }
}
