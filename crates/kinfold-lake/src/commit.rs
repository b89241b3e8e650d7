//! The one way in which this crate changes a table.
//!
//! Every commit goes to exactly the version after the one that it was computed from. If somebody
//! else was there first, the newest state is loaded and the commit is computed again; data files
//! that are written already stay. Every commit carries a transaction id, and whatever answer a
//! commit gets, the log decides whether it landed.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{
    CommitBuilder, CommitProperties, TableReference, TransactionError,
};
use deltalake_core::kernel::{Action, Transaction};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fence::{Fenced, FencedLogStore};
use crate::lake::load;
use crate::objects::{sync_file, sync_folder};
use crate::{Lake, LakeError, TablePath};

/// How often a commit is computed again before it gives up.
const ATTEMPTS: u32 = 200;
/// How often an error of the storage is taken for a passing one.
const STORAGE_ATTEMPTS: u32 = 4;

/// What is recorded with a commit.
///
/// `(app_id, app_version)` makes it idempotent: committing again with the same pair changes nothing
/// and returns what landed. For one `app_id` versions must grow.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitNote {
    /// Who writes, such as `kinfold:prod:orders`.
    pub app_id: String,
    /// Ordinal of the write, such as the run's.
    pub app_version: i64,
    /// Anything worth knowing about the commit later: run, fingerprint, input versions.
    pub metadata: BTreeMap<String, Value>,
}

impl CommitNote {
    /// A note without metadata.
    pub fn new(app_id: impl Into<String>, app_version: i64) -> Self {
        Self {
            app_id: app_id.into(),
            app_version,
            metadata: BTreeMap::new(),
        }
    }

    /// The note with one more entry.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version that the commit made, or the newest one if there was nothing to do.
    pub version: u64,
    /// Rows in the new files.
    pub rows: u64,
    /// Bytes of the new files.
    pub bytes: u64,
    /// New files.
    pub files: u64,
    /// Rows in the files that the commit removed, as far as the log knows them.
    pub removed_rows: u64,
    /// Whether the commit had landed in an earlier attempt, so that nothing was written now.
    pub repeated: bool,
}

/// What this crate puts into `commitInfo`.
#[derive(Serialize, Deserialize)]
struct StoredNote {
    format: u64,
    app_id: String,
    app_version: i64,
    /// Makes the bytes of the commit unique.
    commit: uuid::Uuid,
    metadata: BTreeMap<String, Value>,
}

const NOTE_KEY: &str = "kinfold";

pub(crate) struct Proposal {
    pub(crate) actions: Vec<Action>,
    pub(crate) operation: DeltaOperation,
}

pub(crate) enum Outcome {
    /// This call made the version.
    Committed(u64),
    /// There is nothing to change at this version.
    Nothing(u64),
}

/// One table on its way to a new version.
pub(crate) struct Committer<'a> {
    lake: &'a Lake,
    table: &'a TablePath,
    note: &'a CommitNote,
    logs: LogStoreRef,
    uncertain: AtomicBool,
}

impl<'a> Committer<'a> {
    pub(crate) fn new(
        lake: &'a Lake,
        table: &'a TablePath,
        note: &'a CommitNote,
    ) -> Result<Self, LakeError> {
        let logs = lake.log_store(&lake.table_root(table))?;
        Ok(Self {
            lake,
            table,
            note,
            logs,
            uncertain: AtomicBool::new(false),
        })
    }

    /// Whether some attempt got an answer after which the commit may still land, so that its files
    /// must stay.
    pub(crate) fn uncertain(&self) -> bool {
        self.uncertain.load(Ordering::Acquire)
    }

    pub(crate) fn lake(&self) -> &Lake {
        self.lake
    }

    pub(crate) fn table(&self) -> &TablePath {
        self.table
    }

    pub(crate) async fn load(&self) -> Result<Option<DeltaTableState>, LakeError> {
        load(&self.logs, self.table.as_str(), None).await
    }

    /// Brings `state` up to date, and looks whether the transaction is in it.
    async fn refresh(
        &self,
        state: &mut Option<DeltaTableState>,
    ) -> Result<Option<Written>, LakeError> {
        match state {
            Some(state) => state
                .update(self.logs.as_ref(), None)
                .await
                .map_err(|error| LakeError::delta(self.table.as_str(), &error))?,
            None => *state = self.load().await?,
        }
        match state {
            Some(state) => self.landed(state).await,
            None => Ok(None),
        }
    }

    /// What landed under this note's transaction, if anything.
    pub(crate) async fn landed(
        &self,
        state: &DeltaTableState,
    ) -> Result<Option<Written>, LakeError> {
        let table = self.table.as_str();
        let newest = state
            .transaction_version(self.logs.as_ref(), &self.note.app_id)
            .await
            .map_err(|error| LakeError::delta(table, &error))?;
        let Some(newest) = newest.filter(|newest| *newest >= self.note.app_version) else {
            return Ok(None);
        };
        for version in (0..=state.version()).rev() {
            let bytes = self
                .logs
                .read_commit_entry(version)
                .await
                .map_err(|error| LakeError::delta(table, &error))?;
            let Some(bytes) = bytes else { break };
            let commit = Commit::parse(table, version, &bytes)?;
            if commit.carries(self.note) {
                return Ok(Some(commit.written(version)));
            }
        }
        Err(LakeError::Superseded {
            table: table.to_owned(),
            app_id: self.note.app_id.clone(),
            app_version: self.note.app_version,
            landed: newest,
        })
    }

    /// Commits what `prepare` makes of `state`, and of the newest state again and again, until it
    /// lands. [`Committer::landed`] must have been asked about `state`.
    ///
    /// `prepare` returns `None` if there is nothing to do.
    pub(crate) async fn commit<F>(
        &self,
        mut state: Option<DeltaTableState>,
        mut prepare: F,
    ) -> Result<Outcome, LakeError>
    where
        F: FnMut(Option<&DeltaTableState>) -> Result<Option<Proposal>, LakeError>,
    {
        let table = self.table.as_str();
        let mut storage_errors = 0;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                pause(attempt).await;
                match self.refresh(&mut state).await {
                    Ok(Some(written)) => return Ok(Outcome::Committed(written.version)),
                    Ok(None) => {}
                    Err(error @ LakeError::Superseded { .. }) => return Err(error),
                    Err(_) if storage_errors < STORAGE_ATTEMPTS => {
                        storage_errors += 1;
                        self.uncertain.store(true, Ordering::Release);
                        state = None;
                        continue;
                    }
                    // The last attempt may have landed; nobody can tell now.
                    Err(_) => {
                        return Err(LakeError::CommitUnknown {
                            table: table.to_owned(),
                        });
                    }
                }
            }
            let Some(proposal) = prepare(state.as_ref())? else {
                return Ok(Outcome::Nothing(state.map_or(0, |state| state.version())));
            };
            let base = state.as_ref().map(DeltaTableState::version);
            let fence = FencedLogStore::new(self.logs.clone(), base, self.lake.guard().cloned());
            let result = CommitBuilder::from(self.properties())
                .with_actions(proposal.actions)
                .build(
                    state.as_ref().map(|state| state as &dyn TableReference),
                    fence.clone(),
                    proposal.operation,
                )
                .await;
            // Checkpoints are written after the commit, and their failure comes back as an error
            // although the commit is durable.
            if let Some(version) = fence.landed() {
                if let Err(error) = result {
                    let error = LakeError::delta(table, &error);
                    tracing::warn!(%error, version, "a step after the commit failed");
                }
                self.sync_log(version).await;
                return Ok(Outcome::Committed(version));
            }
            match result {
                Ok(commit) => return Ok(Outcome::Committed(commit.version())),
                Err(error) => match self.classify(error) {
                    Retry::Conflict => {}
                    Retry::Storage(error) => {
                        storage_errors += 1;
                        self.uncertain.store(true, Ordering::Release);
                        if storage_errors >= STORAGE_ATTEMPTS {
                            return Err(error);
                        }
                    }
                    Retry::Never(error) => {
                        if !matches!(error, LakeError::LeaseLost { .. }) {
                            self.uncertain.store(true, Ordering::Release);
                        }
                        return Err(error);
                    }
                },
            }
        }
        Err(LakeError::Contended {
            table: table.to_owned(),
            attempts: ATTEMPTS,
        })
    }

    fn properties(&self) -> CommitProperties {
        let note = StoredNote {
            format: 1,
            app_id: self.note.app_id.clone(),
            app_version: self.note.app_version,
            commit: uuid::Uuid::new_v4(),
            metadata: self.note.metadata.clone(),
        };
        let note = serde_json::to_value(note).unwrap_or(Value::Null);
        CommitProperties::default()
            // The library's own retries check for conflicts by rules that miss some.
            .with_max_retries(0)
            // Old log entries hold the notes that explain old versions.
            .with_cleanup_expired_logs(Some(false))
            .with_metadata([(NOTE_KEY.to_owned(), note)])
            .with_application_transaction(Transaction::new_with_last_update(
                &self.note.app_id,
                self.note.app_version,
                Some(chrono::Utc::now().timestamp_millis()),
            ))
    }

    fn classify(&self, error: DeltaTableError) -> Retry {
        let table = self.table.as_str();
        match &error {
            DeltaTableError::VersionAlreadyExists(_) => Retry::Conflict,
            DeltaTableError::Transaction { source } => match source {
                TransactionError::MaxCommitAttempts(_)
                | TransactionError::CommitConflict(_)
                | TransactionError::VersionAlreadyExists(_) => Retry::Conflict,
                TransactionError::LogStoreError { source, .. } => {
                    match source.downcast_ref::<Fenced>() {
                        Some(Fenced::LeaseLost) => Retry::Never(self.lease_lost()),
                        Some(Fenced::Removed { .. } | Fenced::Transaction { .. }) => {
                            Retry::Conflict
                        }
                        _ => Retry::Never(LakeError::delta(table, &error)),
                    }
                }
                TransactionError::UnsupportedTableFeatures(features) => {
                    let features: Vec<_> = features.iter().map(|f| format!("`{f}`")).collect();
                    Retry::Never(LakeError::UnsupportedFeatures {
                        table: table.to_owned(),
                        features: features.join(", "),
                    })
                }
                _ => Retry::Never(LakeError::delta(table, &error)),
            },
            DeltaTableError::ObjectStore { .. } => match error {
                DeltaTableError::ObjectStore { source } => Retry::Storage(LakeError::storage(
                    "write",
                    format!("{table}/_delta_log"),
                    source,
                )),
                other => Retry::Never(LakeError::delta(table, &other)),
            },
            _ => Retry::Never(LakeError::delta(table, &error)),
        }
    }

    fn lease_lost(&self) -> LakeError {
        self.lake.guard().map_or_else(
            || LakeError::LeaseLost {
                name: String::new(),
                token: 0,
            },
            |lease| lease.lost(),
        )
    }

    /// Makes the commit survive a power cut, in a folder.
    async fn sync_log(&self, version: u64) {
        let log = self.lake.table_root(self.table).join("_delta_log");
        let Some(folder) = self.lake.url().local_path(&log) else {
            return;
        };
        let synced = tokio::task::spawn_blocking(move || {
            sync_file(&folder.join(format!("{version:020}.json")))?;
            sync_folder(&folder)
        });
        if let Ok(Err(error)) = synced.await {
            tracing::warn!(%error, "the commit may not survive a power cut");
        }
    }
}

enum Retry {
    Conflict,
    Storage(LakeError),
    Never(LakeError),
}

/// Waits a random time that grows with the attempts, at most half a second.
pub(crate) async fn pause(attempt: u32) {
    let longest = 10u64.saturating_mul(1 << attempt.min(6)).min(500);
    let random = uuid::Uuid::new_v4().as_u64_pair().0 % longest.max(1);
    tokio::time::sleep(Duration::from_millis(random + 1)).await;
}

/// A commit as read back from the log.
pub(crate) struct Commit {
    note: Option<CommitNote>,
    written_ms: Option<i64>,
    transactions: Vec<(String, i64)>,
    rows: u64,
    bytes: u64,
    files: u64,
}

impl Commit {
    pub(crate) fn parse(table: &str, version: u64, bytes: &[u8]) -> Result<Self, LakeError> {
        let mut commit = Self {
            note: None,
            written_ms: None,
            transactions: Vec::new(),
            rows: 0,
            bytes: 0,
            files: 0,
        };
        for action in serde_json::Deserializer::from_slice(bytes).into_iter::<Action>() {
            let action = action.map_err(|_| LakeError::Corrupt {
                path: format!("{table}/_delta_log/{version:020}.json"),
                reason: "it is not a Delta commit",
            })?;
            match action {
                Action::Add(add) => {
                    commit.files += 1;
                    commit.bytes += u64::try_from(add.size).unwrap_or_default();
                    let rows = add.stats.as_deref().and_then(rows_of);
                    commit.rows += rows.unwrap_or_default();
                }
                Action::Txn(txn) => commit.transactions.push((txn.app_id, txn.version)),
                Action::CommitInfo(mut info) => {
                    commit.written_ms = info.in_commit_timestamp.or(info.timestamp);
                    let note = info.info.remove(NOTE_KEY);
                    commit.note = note
                        .and_then(|note| serde_json::from_value::<StoredNote>(note).ok())
                        .map(|note| CommitNote {
                            app_id: note.app_id,
                            app_version: note.app_version,
                            metadata: note.metadata,
                        });
                }
                _ => {}
            }
        }
        Ok(commit)
    }

    /// Milliseconds since 1970, if its writer has said so.
    pub(crate) fn written_ms(&self) -> Option<i64> {
        self.written_ms
    }

    pub(crate) fn note(self) -> Option<CommitNote> {
        self.note
    }

    fn carries(&self, note: &CommitNote) -> bool {
        self.transactions
            .iter()
            .any(|(id, version)| *id == note.app_id && *version == note.app_version)
    }

    fn written(&self, version: u64) -> Written {
        Written {
            version,
            rows: self.rows,
            bytes: self.bytes,
            files: self.files,
            removed_rows: 0,
            repeated: true,
        }
    }
}

/// `numRecords` of a file's statistics.
pub(crate) fn rows_of(stats: &str) -> Option<u64> {
    let stats: HashMap<String, Value> = serde_json::from_str(stats).ok()?;
    stats.get("numRecords")?.as_u64()
}
