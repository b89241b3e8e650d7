//! A log store that refuses commits which would duplicate or resurrect rows.
//!
//! The Delta library decides by `dataChange` flags whether two commits conflict, and so misses
//! every conflict with a compaction: two compactions duplicate all rows, and an overwrite or a
//! deletion that races one leaves the old rows in place. This wrapper compares file paths instead.
//! See `docs/decisions/0002-fenced-commits.md`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use deltalake_core::DeltaResult;
use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::logstore::{CommitOrBytes, LogStore, LogStoreConfig, LogStoreRef};
use object_store::ObjectStore;
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use crate::lease::Lease;

/// Why a commit was refused before anything was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fenced {
    /// A commit since the base version removed a file that this commit removes too.
    #[error("version {winner} already removed a file that this commit removes")]
    Removed {
        /// The version that was faster.
        winner: u64,
    },
    /// A commit since the base version carries a transaction of the same writer.
    #[error("version {winner} already has a transaction of this writer")]
    Transaction {
        /// The version that was faster.
        winner: u64,
    },
    /// A version between base and commit cannot be read, so nothing can be said about it.
    #[error("version {version} cannot be read to compare with it")]
    Unreadable {
        /// The version.
        version: u64,
    },
    /// A version between base and commit, or the commit itself, is not a Delta commit.
    #[error("version {version} is not a readable commit")]
    Corrupt {
        /// The version.
        version: u64,
    },
    /// The lease that the writer relies on is not held any more.
    #[error("the lease is lost")]
    LeaseLost,
    /// The library tried a way to commit that the fence cannot look into.
    #[error("the commit came as a file instead of bytes")]
    Opaque,
}

const NOT_LANDED: u64 = u64::MAX;

/// Wraps the default log store for **one** operation that started from one version.
pub struct FencedLogStore {
    inner: LogStoreRef,
    /// First version that the operation has not seen.
    unseen: u64,
    lease: Option<Lease>,
    landed: AtomicU64,
}

impl FencedLogStore {
    /// `base` is the version of the snapshot that the operation works on, `None` if the table did
    /// not exist.
    pub fn new(inner: LogStoreRef, base: Option<u64>, lease: Option<Lease>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            unseen: base.map_or(0, |base| base.saturating_add(1)),
            lease,
            landed: AtomicU64::new(NOT_LANDED),
        })
    }

    /// The version that this operation wrote, known even if a later step failed.
    pub fn landed(&self) -> Option<u64> {
        Some(self.landed.load(Ordering::Acquire)).filter(|version| *version != NOT_LANDED)
    }

    async fn check(&self, version: u64, commit: &[u8]) -> Result<(), Fenced> {
        let ours = Touched::parse(commit).ok_or(Fenced::Corrupt { version })?;
        for winner in self.unseen..version {
            let bytes = self
                .inner
                .read_commit_entry(winner)
                .await
                .ok()
                .flatten()
                .ok_or(Fenced::Unreadable { version: winner })?;
            let theirs = Touched::parse(&bytes).ok_or(Fenced::Corrupt { version: winner })?;
            if !ours.removed.is_disjoint(&theirs.removed) {
                return Err(Fenced::Removed { winner });
            }
            if !ours.writers.is_disjoint(&theirs.writers) {
                return Err(Fenced::Transaction { winner });
            }
        }
        match &self.lease {
            Some(lease) => lease.check().await.map_err(|_| Fenced::LeaseLost),
            None => Ok(()),
        }
    }

    /// Whether the object of `version` holds exactly our bytes.
    async fn is_ours(&self, version: u64, commit: &Bytes) -> bool {
        matches!(self.inner.read_commit_entry(version).await, Ok(Some(found)) if found == *commit)
    }
}

impl std::fmt::Debug for FencedLogStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FencedLogStore")
            .field("root", self.inner.root_url())
            .field("unseen", &self.unseen)
            .finish_non_exhaustive()
    }
}

fn refusal(source: Fenced) -> TransactionError {
    // Not `VersionAlreadyExists`: the library would retry, and check again by its own rules only.
    TransactionError::LogStoreError {
        msg: source.to_string(),
        source: Box::new(source),
    }
}

#[async_trait::async_trait]
impl LogStore for FencedLogStore {
    fn name(&self) -> String {
        // Only to this name does the library hand over the bytes of a commit.
        "DefaultLogStore".to_owned()
    }

    async fn refresh(&self) -> DeltaResult<()> {
        self.inner.refresh().await
    }

    async fn read_commit_entry(&self, version: u64) -> DeltaResult<Option<Bytes>> {
        self.inner.read_commit_entry(version).await
    }

    async fn write_commit_entry(
        &self,
        version: u64,
        commit: CommitOrBytes,
        operation: Uuid,
    ) -> Result<(), TransactionError> {
        let CommitOrBytes::LogBytes(bytes) = &commit else {
            return Err(refusal(Fenced::Opaque));
        };
        let bytes = bytes.clone();
        self.check(version, &bytes).await.map_err(refusal)?;
        let written = self
            .inner
            .write_commit_entry(version, commit, operation)
            .await;
        match written {
            Ok(()) => {}
            // A lost answer makes the store's client repeat the request, which then finds our own
            // object. Commits carry a unique id, so equal bytes are ours.
            Err(error) => {
                if !self.is_ours(version, &bytes).await {
                    return Err(error);
                }
                tracing::warn!(version, "a commit landed although its answer was an error");
            }
        }
        self.landed.store(version, Ordering::Release);
        Ok(())
    }

    async fn abort_commit_entry(
        &self,
        version: u64,
        commit: CommitOrBytes,
        operation: Uuid,
    ) -> Result<(), TransactionError> {
        self.inner
            .abort_commit_entry(version, commit, operation)
            .await
    }

    async fn get_latest_version(&self, start: u64) -> DeltaResult<u64> {
        self.inner.get_latest_version(start).await
    }

    fn object_store(&self, operation: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.object_store(operation)
    }

    fn root_object_store(&self, operation: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.root_object_store(operation)
    }

    fn to_uri(&self, location: &Path) -> String {
        self.inner.to_uri(location)
    }

    fn root_url(&self) -> &Url {
        self.inner.root_url()
    }

    fn config(&self) -> &LogStoreConfig {
        self.inner.config()
    }
}

/// What one commit removes, and the writers whose transactions it carries.
struct Touched {
    removed: HashSet<String>,
    writers: HashSet<String>,
}

#[derive(Deserialize)]
struct Line {
    remove: Option<RemoveLine>,
    txn: Option<TxnLine>,
}

#[derive(Deserialize)]
struct RemoveLine {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TxnLine {
    app_id: String,
}

impl Touched {
    fn parse(commit: &[u8]) -> Option<Self> {
        let mut touched = Self {
            removed: HashSet::new(),
            writers: HashSet::new(),
        };
        for line in serde_json::Deserializer::from_slice(commit).into_iter::<Line>() {
            let line = line.ok()?;
            if let Some(remove) = line.remove {
                // Two writers may encode one path differently.
                let path = percent_decode_str(&remove.path).decode_utf8().ok()?;
                touched.removed.insert(path.into_owned());
            }
            if let Some(txn) = line.txn {
                touched.writers.insert(txn.app_id);
            }
        }
        Some(touched)
    }
}
