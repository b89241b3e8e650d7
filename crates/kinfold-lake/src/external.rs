//! Delta tables that other programs own, as sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::execution::runtime_env::RuntimeEnv;
use deltalake_core::delta_datafusion::{DeltaScanConfig, DeltaScanNext};
use object_store::ObjectStore;

use crate::lake::{load, log_store};
use crate::location::store_for;
use crate::{LakeError, LakeUrl, Snapshot};

/// A Delta table outside the lake, pinned at one version. kinfold never writes to it.
#[derive(Debug, Clone)]
pub struct ExternalTable {
    url: LakeUrl,
    store: Arc<dyn ObjectStore>,
    snapshot: Snapshot,
    provider: Arc<dyn TableProvider>,
}

impl ExternalTable {
    /// The version that was pinned.
    pub fn version(&self) -> u64 {
        self.snapshot.version()
    }

    /// The columns that a scan returns.
    pub fn schema(&self) -> SchemaRef {
        self.provider.schema()
    }

    /// The state of the table, for row and file counts.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The version as a table of DataFusion: a plain Parquet scan, or, for a table with deletion
    /// vectors or column mapping, the Delta library's own scan, which reads one file after the
    /// other and cannot be sent to another process.
    pub fn provider(&self) -> Arc<dyn TableProvider> {
        self.provider.clone()
    }

    /// Makes the table's object store known to DataFusion.
    pub fn register(&self, runtime: &RuntimeEnv) {
        if let Ok(url) = self.url.store_url() {
            runtime.register_object_store(&url, self.store.clone());
        }
    }
}

/// Opens a Delta table at an absolute folder or `s3://bucket/path`, at a version or its newest.
///
/// For `storage` see [`crate::object_store_for`].
///
/// # Errors
/// [`LakeError::NoTable`], [`LakeError::NoVersion`], [`LakeError::UnsupportedFeatures`] naming what
/// kinfold cannot read, and those of [`crate::object_store_for`].
pub async fn open_external_delta(
    location: &str,
    storage: &BTreeMap<String, String>,
    version: Option<u64>,
) -> Result<ExternalTable, LakeError> {
    let url = LakeUrl::parse(location)?;
    let store = store_for(&url, storage)?;
    let root = url.prefix().clone();
    let logs = log_store(&url, &store, &root)?;
    let table = url.to_string();
    let state = load(&logs, &table, version).await?;
    let state = state.ok_or_else(|| LakeError::NoTable {
        table: table.clone(),
    })?;
    let snapshot = Snapshot::new(&table, root, url.clone(), logs, state)?;
    let provider = if snapshot.whole_files()? {
        snapshot.provider()?
    } else {
        // Strings of partition columns as strings: what is bound must be what is scanned.
        let config = DeltaScanConfig::new().with_wrap_partition_values(false);
        let state = snapshot.state().snapshot().clone();
        let scan = DeltaScanNext::new(Arc::new(state), config)
            .map_err(|source| LakeError::Scan { table, source })?;
        Arc::new(scan)
    };
    Ok(ExternalTable {
        url,
        store,
        snapshot,
        provider,
    })
}
