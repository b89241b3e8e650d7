//! A table at one version.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow as _;
use deltalake_core::kernel::{Action, LogicalFileView};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt as _;
use object_store::ObjectStore as _;
use object_store::path::Path;

use crate::commit::Commit;
use crate::deletion_vector::vector_id;
use crate::files::{LiveFiles, scan_schema};
use crate::provider::KinfoldTable;
use crate::{CommitNote, Lake, LakeError, LakeUrl};

/// A table pinned at one version. Cheap to clone; never changes.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

/// What changed between two versions of a table.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Rows of the newer version in files that the older one lacks.
    pub added: Arc<dyn TableProvider>,
    /// Rows of the older version in files that the newer one lacks. A row that was only copied from
    /// one file to another is in both.
    pub removed: Arc<dyn TableProvider>,
    /// How many there are, if the log knows.
    pub added_rows: Option<u64>,
    /// How many there are, if the log knows.
    pub removed_rows: Option<u64>,
}

struct Inner {
    table: String,
    root: Path,
    url: LakeUrl,
    logs: LogStoreRef,
    state: DeltaTableState,
    schema: SchemaRef,
    files: OnceLock<Arc<LiveFiles>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("table", &self.inner.table)
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) fn new(
        table: &str,
        root: Path,
        url: LakeUrl,
        logs: LogStoreRef,
        state: DeltaTableState,
    ) -> Result<Self, LakeError> {
        let schema = arrow_schema(table, &state)?;
        Ok(Self {
            inner: Arc::new(Inner {
                table: table.to_owned(),
                root,
                url,
                logs,
                state,
                schema,
                files: OnceLock::new(),
            }),
        })
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.inner.state.version()
    }

    /// The columns, as every scan returns them.
    pub fn schema(&self) -> SchemaRef {
        self.inner.schema.clone()
    }

    /// Rows, from the log alone; `None` if a writer left the count out.
    pub fn num_rows(&self) -> Option<u64> {
        self.live_files().ok()?.num_rows()
    }

    /// Data files.
    pub fn num_files(&self) -> u64 {
        self.live_files()
            .map_or(0, |files| files.files.len() as u64)
    }

    /// Bytes of the data files.
    pub fn bytes(&self) -> u64 {
        self.live_files()
            .map_or(0, |files| files.files.iter().map(|file| file.bytes).sum())
    }

    /// The note of the commit that made this version or an older one; `None` if another program
    /// made it or the log does not reach back so far.
    ///
    /// # Errors
    /// [`LakeError::Delta`], [`LakeError::Corrupt`].
    pub async fn note(&self, version: u64) -> Result<Option<CommitNote>, LakeError> {
        let bytes = self
            .inner
            .logs
            .read_commit_entry(version)
            .await
            .map_err(|error| LakeError::delta(&self.inner.table, &error))?;
        match bytes {
            Some(bytes) => Ok(Commit::parse(&self.inner.table, version, &bytes)?.note()),
            None => Ok(None),
        }
    }

    /// When this version was written: the time of its commit, or that of its newest file where the commit is not
    /// in the log any more. `None` if that is a table without files.
    ///
    /// # Errors
    /// [`LakeError::Delta`], [`LakeError::Corrupt`].
    pub async fn written_at(&self) -> Result<Option<DateTime<Utc>>, LakeError> {
        let version = self.version();
        let bytes = self
            .inner
            .logs
            .read_commit_entry(version)
            .await
            .map_err(|error| LakeError::delta(&self.inner.table, &error))?;
        let committed = match bytes {
            Some(bytes) => Commit::parse(&self.inner.table, version, &bytes)?.written_ms(),
            None => None,
        };
        let newest = || {
            let files = self.live_files().ok()?;
            files.files.iter().map(|file| file.modified_ms).max()
        };
        Ok(committed
            .or_else(newest)
            .and_then(DateTime::from_timestamp_millis))
    }

    /// The newest transaction of a writer, as of this version.
    ///
    /// # Errors
    /// [`LakeError::Delta`].
    pub async fn transaction(&self, app_id: &str) -> Result<Option<i64>, LakeError> {
        self.inner
            .state
            .transaction_version(self.inner.logs.as_ref(), app_id)
            .await
            .map_err(|error| LakeError::delta(&self.inner.table, &error))
    }

    /// The version as a table of DataFusion, planned as a plain Parquet scan.
    ///
    /// The lake must be registered ([`crate::Lake::register`]) where the scan runs.
    ///
    /// # Errors
    /// [`LakeError::UnsupportedFeatures`] for a table with column mapping or deletion vectors of a kind
    /// that kinfold does not make (see [`crate::open_external_delta`]), [`LakeError::Corrupt`].
    pub fn provider(&self) -> Result<Arc<dyn TableProvider>, LakeError> {
        Ok(Arc::new(self.native()?))
    }

    /// The files of this version that an older one lacks, and the reverse: exactly what writers have changed
    /// in between, whole files at a time. `None` where files alone do not say: deletion vectors, other
    /// columns, or versions of two tables.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`], [`LakeError::Location`].
    pub fn difference(&self, older: &Self) -> Result<Option<Difference>, LakeError> {
        let comparable = self.inner.table == older.inner.table
            && self.inner.root == older.inner.root
            && self.schema() == older.schema()
            && self.partition_columns() == older.partition_columns()
            && self.whole_files()?
            && older.whole_files()?;
        if !comparable {
            return Ok(None);
        }
        let (added, added_rows) = self.without(older)?;
        let (removed, removed_rows) = older.without(self)?;
        Ok(Some(Difference {
            added,
            removed,
            added_rows,
            removed_rows,
        }))
    }

    /// Its files that another version lacks, and their rows if the log knows.
    fn without(&self, other: &Self) -> Result<(Arc<dyn TableProvider>, Option<u64>), LakeError> {
        let others = other.live_files()?;
        let others: HashSet<&str> = others.files.iter().map(|f| f.relative.as_str()).collect();
        let own = self.live_files()?;
        let files = own.files.iter().enumerate();
        let left: Vec<usize> = files
            .filter(|(_, file)| !others.contains(file.relative.as_str()))
            .map(|(at, _)| at)
            .collect();
        let rows = left.iter().map(|at| own.rows_of(*at)).sum();
        Ok((Arc::new(self.native()?.choose(left)), rows))
    }

    pub(crate) fn native(&self) -> Result<KinfoldTable, LakeError> {
        if let Some(features) = self.beyond_native()? {
            return Err(LakeError::UnsupportedFeatures {
                table: self.inner.table.clone(),
                features,
            });
        }
        let store = self.inner.url.store_url()?;
        let store = ObjectStoreUrl::parse(&store).map_err(|_| LakeError::Location {
            location: store.to_string(),
        })?;
        Ok(KinfoldTable::new(
            self.schema(),
            store,
            self.live_files()?,
            self.partition_columns().len(),
        ))
    }

    /// The features that a plain Parquet scan would get wrong.
    pub(crate) fn beyond_native(&self) -> Result<Option<String>, LakeError> {
        let mapping = self
            .inner
            .state
            .metadata()
            .configuration()
            .get("delta.columnMapping.mode")
            .is_some_and(|mode| mode != "none");
        if mapping {
            return Ok(Some("`columnMapping`".to_owned()));
        }
        let unknown = self.live_files()?.unknown_vectors;
        Ok(unknown.then(|| "`deletionVectors`".to_owned()))
    }

    /// Whether the rows of its files are its rows: nothing is beyond native, and no row is deleted.
    pub(crate) fn whole_files(&self) -> Result<bool, LakeError> {
        Ok(self.beyond_native()?.is_none() && !self.live_files()?.deletion_vectors())
    }

    /// How many rows are deleted in files that are still there.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`].
    pub fn deleted_rows(&self) -> Result<u64, LakeError> {
        let files = self.live_files()?;
        let deleted = files.files.iter().filter_map(|file| file.deleted.as_ref());
        Ok(deleted.map(|deleted| deleted.count).sum())
    }

    pub(crate) fn partition_columns(&self) -> Vec<String> {
        let metadata = self.inner.state.metadata();
        metadata
            .partition_columns()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Whether all files of the version are still there. Those of a version that has ended may have been
    /// removed.
    ///
    /// # Errors
    /// [`LakeError::Storage`], and as [`Snapshot::provider`].
    pub async fn is_whole(&self, lake: &Lake) -> Result<bool, LakeError> {
        let live = self.live_files()?;
        let root = &self.inner.root;
        let listed = lake.store().list(Some(root));
        let listed = listed.map_ok(|object| object.location);
        let there: HashSet<Path> = listed
            .try_collect()
            .await
            .map_err(|source| LakeError::storage("list", root, source))?;
        let whole = live.files.iter().all(|file| {
            let vector = file.deleted.as_ref().map(|deleted| &deleted.path);
            there.contains(&file.path) && vector.is_none_or(|vector| there.contains(vector))
        });
        Ok(whole)
    }

    pub(crate) fn live_files(&self) -> Result<Arc<LiveFiles>, LakeError> {
        if let Some(files) = self.inner.files.get() {
            return Ok(files.clone());
        }
        let partition_columns = self.partition_columns();
        let schema = self.schema();
        let files = Arc::new(LiveFiles::new(
            &self.inner.table,
            &self.inner.root,
            &self.inner.state,
            scan_schema(&schema, &partition_columns),
            &partition_columns,
        )?);
        Ok(self.inner.files.get_or_init(|| files).clone())
    }

    pub(crate) fn state(&self) -> &DeltaTableState {
        &self.inner.state
    }
}

/// The columns of a state in Arrow's types.
pub(crate) fn arrow_schema(table: &str, state: &DeltaTableState) -> Result<SchemaRef, LakeError> {
    let schema: Schema = state
        .schema()
        .as_ref()
        .try_into_arrow()
        .map_err(|error: arrow::error::ArrowError| LakeError::delta(table, &error.into()))?;
    // The table's own metadata would make every comparison with a bound plan fail.
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_metadata(Default::default()))
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// What tells a live file from others: its decoded path and, if rows of it are deleted, which. A file
/// that lost rows meanwhile is another one.
pub(crate) fn live_key(file: &LogicalFileView) -> String {
    match file.deletion_vector_descriptor() {
        Some(vector) => format!("{} {}", file.path(), vector_id(&vector)),
        None => file.path().into_owned(),
    }
}

/// `remove` actions for the live files that `chosen` picks by [`live_key`].
pub(crate) fn removals(
    state: &DeltaTableState,
    data_change: bool,
    mut chosen: impl FnMut(&str) -> bool,
) -> Vec<Action> {
    state
        .log_data()
        .iter()
        .filter(|file| chosen(&live_key(file)))
        .map(|file| Action::Remove(file.remove_action(data_change)))
        .collect()
}
