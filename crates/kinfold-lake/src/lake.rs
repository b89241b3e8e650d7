//! The lake itself: an object store, a root, and the tables below it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::execution::runtime_env::RuntimeEnv;
use deltalake_core::DeltaTableError;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::table::state::DeltaTableState;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::environment::parse_format;
use crate::lease::Lease;
use crate::location::{join, store_for};
use crate::{LakeError, LakeUrl, Snapshot, TablePath};

/// Newest layout of a lake that this program reads and the one that it writes.
const LAKE_FORMAT: u64 = 1;

/// A folder or bucket with tables, environments and the small objects beside them.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
    guard: Option<Lease>,
}

struct Inner {
    url: LakeUrl,
    store: Arc<dyn ObjectStore>,
    format_written: OnceCell<()>,
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake")
            .field("url", &self.inner.url.to_string())
            .field("guard", &self.guard)
            .finish()
    }
}

#[derive(Serialize, Deserialize)]
struct LakeFormat {
    format: u64,
    created_by: String,
}

impl Lake {
    /// Opens the lake at an absolute folder or `s3://bucket/prefix`. A lake that does not exist
    /// yet is empty; the first write creates it.
    ///
    /// For `storage` see [`crate::object_store_for`].
    ///
    /// # Errors
    /// [`LakeError::Location`], [`LakeError::StorageOption`], [`LakeError::StorageSetup`],
    /// [`LakeError::Storage`] if the place cannot be read, [`LakeError::NewerFormat`].
    pub async fn open(
        location: &str,
        storage: &BTreeMap<String, String>,
    ) -> Result<Self, LakeError> {
        let url = LakeUrl::parse(location)?;
        let store = store_for(&url, storage)?;
        Self::with_store(url, store).await
    }

    /// Opens a lake on a store that the caller has made, rooted as [`LakeUrl::store_url`] says.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub async fn with_store(url: LakeUrl, store: Arc<dyn ObjectStore>) -> Result<Self, LakeError> {
        let lake = Self {
            inner: Arc::new(Inner {
                url,
                store,
                format_written: OnceCell::new(),
            }),
            guard: None,
        };
        if lake.read_format().await? {
            // Nothing to write later.
            let _ = lake.inner.format_written.set(());
        }
        Ok(lake)
    }

    /// The same lake, whose commits to tables fail with [`LakeError::LeaseLost`] once `lease` is
    /// not held any more.
    pub fn guarded(&self, lease: &Lease) -> Self {
        Self {
            inner: self.inner.clone(),
            guard: Some(lease.clone()),
        }
    }

    /// Makes the lake's object store known to DataFusion, so that scans of its tables run.
    pub fn register(&self, runtime: &RuntimeEnv) {
        if let Ok(url) = self.inner.url.store_url() {
            runtime.register_object_store(&url, self.inner.store.clone());
        }
    }

    /// Where the lake is.
    pub fn url(&self) -> &LakeUrl {
        &self.inner.url
    }

    /// The state of a table at a version, or at its newest; `None` if there is no such table.
    ///
    /// # Errors
    /// [`LakeError::NoVersion`], [`LakeError::UnsupportedFeatures`], [`LakeError::Storage`],
    /// [`LakeError::Delta`].
    pub async fn snapshot(
        &self,
        table: &TablePath,
        version: Option<u64>,
    ) -> Result<Option<Snapshot>, LakeError> {
        let root = table.below(self.inner.url.prefix());
        let logs = self.log_store(&root)?;
        let state = load(&logs, table.as_str(), version).await?;
        let Some(state) = state else { return Ok(None) };
        let url = self.inner.url.clone();
        Snapshot::new(table.as_str(), root, url, logs, state).map(Some)
    }

    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.inner.store
    }

    pub(crate) fn guard(&self) -> Option<&Lease> {
        self.guard.as_ref()
    }

    pub(crate) fn absolute(&self, below: &Path) -> Path {
        join(self.inner.url.prefix(), below)
    }

    pub(crate) fn table_root(&self, table: &TablePath) -> Path {
        table.below(self.inner.url.prefix())
    }

    pub(crate) fn log_store(&self, root: &Path) -> Result<LogStoreRef, LakeError> {
        log_store(&self.inner.url, &self.inner.store, root)
    }

    /// Writes `_kinfold/lake.json` once, before anything else is written.
    pub(crate) async fn ensure_format(&self) -> Result<(), LakeError> {
        self.inner
            .format_written
            .get_or_try_init(|| async {
                if self.read_format().await? {
                    return Ok(());
                }
                let format = LakeFormat {
                    format: LAKE_FORMAT,
                    created_by: format!("kinfold {}", env!("CARGO_PKG_VERSION")),
                };
                let bytes = serde_json::to_vec_pretty(&format).unwrap_or_default();
                // Written twice by two processes it is the same object.
                self.write_object_once(&Path::from("_kinfold/lake.json"), Bytes::from(bytes))
                    .await
            })
            .await
            .copied()
    }

    /// Whether the lake says which format it has; an error if it is too new.
    async fn read_format(&self) -> Result<bool, LakeError> {
        let path = Path::from("_kinfold/lake.json");
        let Some((bytes, _)) = self.read_tagged(&path).await? else {
            return Ok(false);
        };
        parse_format::<LakeFormat>(&path, &bytes, LAKE_FORMAT)?;
        Ok(true)
    }
}

pub(crate) fn log_store(
    url: &LakeUrl,
    store: &Arc<dyn ObjectStore>,
    root: &Path,
) -> Result<LogStoreRef, LakeError> {
    let prefixed: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(store.clone(), root.clone()));
    Ok(default_logstore(
        prefixed,
        store.clone(),
        &url.folder_url(root)?,
        &StorageConfig::default(),
    ))
}

/// Loads a table's state; `None` if there is no table.
pub(crate) async fn load(
    logs: &LogStoreRef,
    table: &str,
    version: Option<u64>,
) -> Result<Option<DeltaTableState>, LakeError> {
    let mut error = match try_load(logs, table, version).await {
        Ok(state) => return state.map(Some),
        Err(error) => error,
    };
    match logs.is_delta_table_location().await {
        Ok(false) => return Ok(None),
        Ok(true) => {}
        Err(other) => return Err(LakeError::delta(table, &other)),
    }
    // The table may have been made between the two looks.
    if matches!(error, DeltaTableError::NotATable(_)) {
        error = match try_load(logs, table, version).await {
            Ok(state) => return state.map(Some),
            Err(error) => error,
        };
    }
    if let Some(version) = version {
        let newest = logs.get_latest_version(0).await;
        if newest.is_ok_and(|newest| newest < version) {
            return Err(no_version(table, version));
        }
    }
    if let Some(features) = unsupported(&error) {
        return Err(LakeError::UnsupportedFeatures {
            table: table.to_owned(),
            features,
        });
    }
    Err(LakeError::delta(table, &error))
}

async fn try_load(
    logs: &LogStoreRef,
    table: &str,
    version: Option<u64>,
) -> Result<Result<DeltaTableState, LakeError>, DeltaTableError> {
    let state = DeltaTableState::try_new(logs.as_ref(), version).await?;
    Ok(match version {
        Some(version) if version != state.version() => Err(no_version(table, version)),
        _ => Ok(state),
    })
}

fn no_version(table: &str, version: u64) -> LakeError {
    LakeError::NoVersion {
        table: table.to_owned(),
        version,
    }
}

/// The features that the library names as missing.
fn unsupported(error: &DeltaTableError) -> Option<String> {
    let text = error.to_string();
    let lower = text.to_lowercase();
    if !lower.contains("unsupported") && !lower.contains("unknown") {
        return None;
    }
    lower.find("feature").map(|_| {
        // The library has no typed list here: keep the words that its message quotes.
        let mut quoted: Vec<&str> = text
            .split(['"', '\'', '`', '[', ']'])
            .skip(1)
            .step_by(2)
            .filter(|word| !word.trim().is_empty())
            .collect();
        quoted.dedup();
        if quoted.is_empty() {
            format!("`{text}`")
        } else {
            let quoted: Vec<_> = quoted.iter().map(|word| format!("`{word}`")).collect();
            quoted.join(", ")
        }
    })
}

impl Lake {
    async fn write_object_once(&self, below: &Path, bytes: Bytes) -> Result<(), LakeError> {
        let path = self.absolute(below);
        match self.inner.url.local_path(&path) {
            Some(file) => {
                match tokio::task::spawn_blocking(move || {
                    crate::objects::write_durably(&file, &bytes, true)
                })
                .await
                {
                    Ok(Ok(()) | Err(LakeError::Exists { .. })) => Ok(()),
                    Ok(Err(error)) => Err(error),
                    Err(_) => Err(LakeError::WriterStopped {
                        table: path.to_string(),
                    }),
                }
            }
            None => self
                .inner
                .store
                .put(&path, bytes.into())
                .await
                .map(|_| ())
                .map_err(|source| LakeError::storage("write", path, source)),
        }
    }
}
