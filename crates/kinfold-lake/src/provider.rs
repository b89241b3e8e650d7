//! A table at one version as a plain DataFusion scan.
//!
//! The scan is a stock `DataSourceExec` over Parquet, one `PartitionedFile` a live file, so it can
//! be sent to another process without a codec of its own. Files that cannot match are left out
//! when the scan is planned.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, DataFusionError, Result, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use crate::LakeError;
use crate::files::LiveFiles;

/// One table at one version, or some of its files.
#[derive(Debug, Clone)]
pub(crate) struct KinfoldTable {
    schema: SchemaRef,
    store: ObjectStoreUrl,
    files: Arc<LiveFiles>,
    /// How many columns of the scan's schema are in the files; the rest are partition columns.
    data_columns: usize,
    /// Which files to read; all if `None`.
    chosen: Option<Vec<usize>>,
    /// Whether deleted rows are read too.
    with_deleted: bool,
    /// Which rows of the only chosen file to read, deleted or not; ascending.
    places: Option<Arc<[u64]>>,
}

impl KinfoldTable {
    pub(crate) fn new(
        schema: SchemaRef,
        store: ObjectStoreUrl,
        files: Arc<LiveFiles>,
        partition_columns: usize,
    ) -> Self {
        let data_columns = schema.fields().len().saturating_sub(partition_columns);
        Self {
            schema,
            store,
            files,
            data_columns,
            chosen: None,
            with_deleted: false,
            places: None,
        }
    }

    /// The columns of its data files, and then the partition columns.
    pub(crate) fn files_schema(&self) -> SchemaRef {
        Arc::clone(self.files.schema())
    }

    /// A table of the same columns with other files.
    pub(crate) fn over(&self, files: Arc<LiveFiles>) -> Self {
        Self {
            files,
            chosen: None,
            ..self.clone()
        }
    }

    /// The same table, reading these files only.
    pub(crate) fn choose(&self, files: Vec<usize>) -> Self {
        Self {
            chosen: Some(files),
            ..self.clone()
        }
    }

    /// The same table with the rows that are deleted but still in its files.
    pub(crate) fn with_deleted(&self) -> Self {
        Self {
            with_deleted: true,
            ..self.clone()
        }
    }

    /// Rows of one file alone, by their places, which are ascending.
    pub(crate) fn rows_of_file(&self, file: usize, places: Arc<[u64]>) -> Self {
        Self {
            places: Some(places),
            ..self.choose(vec![file]).with_deleted()
        }
    }

    fn all(&self) -> Vec<usize> {
        match &self.chosen {
            Some(chosen) => chosen.clone(),
            None => (0..self.files.files.len()).collect(),
        }
    }

    /// The files that may hold rows for which all of `filters` are true.
    pub(crate) fn candidates(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let all = self.all();
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(all);
        };
        let schema = DFSchema::try_from(self.files.schema().clone())?;
        // A filter that cannot be planned or pruned on costs time, not correctness.
        let Ok(predicate) = state.create_physical_expr(filter, &schema) else {
            return Ok(all);
        };
        let pruning = PruningPredicateBuilder::new()
            .with_file_schema(self.files.schema().clone())
            .try_build(predicate);
        let Ok(pruning) = pruning else {
            return Ok(all);
        };
        let keep = pruning.prune(self.files.as_ref())?;
        Ok(all
            .into_iter()
            .filter(|file| keep.get(*file).copied().unwrap_or(true))
            .collect())
    }

    /// Position of the table's column in the scan's schema, partition columns being last there.
    fn scan_index(&self, column: usize) -> Result<usize> {
        let name = self.schema.field(column).name();
        Ok(self.files.schema().index_of(name)?)
    }

    /// What is to be read of a file: all of it, or the rows that are not deleted.
    async fn live_rows(
        &self,
        index: usize,
        store: &dyn ObjectStore,
    ) -> Result<Option<RowSelection>> {
        let file = self.files.files.get(index);
        let outside = |error: LakeError| DataFusionError::External(Box::new(error));
        let corrupt = |reason| LakeError::Corrupt {
            path: file.map(|file| file.path.to_string()).unwrap_or_default(),
            reason,
        };
        let all = self.files.physical_rows_of(index);
        if let Some(places) = &self.places {
            let chosen = selection(places, all, RowSelector::skip, RowSelector::select);
            return chosen
                .map(Some)
                .ok_or_else(|| outside(corrupt("it does not have the rows that are asked for")));
        }
        let Some(deleted) = file.and_then(|file| file.deleted.as_ref()) else {
            return Ok(None);
        };
        if self.with_deleted {
            return Ok(None);
        }
        let places = deleted.load(store).await.map_err(outside)?;
        let kept = selection(&places, all, RowSelector::select, RowSelector::skip);
        kept.map(Some).ok_or_else(|| {
            outside(corrupt(
                "its deletion vector does not fit its number of rows",
            ))
        })
    }

    fn partitioned_file(&self, index: usize) -> Option<PartitionedFile> {
        let file = self.files.files.get(index)?;
        let modified = DateTime::from_timestamp_millis(file.modified_ms).unwrap_or_default();
        let mut partitioned = PartitionedFile::new_from_meta(ObjectMeta {
            location: file.path.clone(),
            last_modified: modified,
            size: file.bytes,
            e_tag: None,
            version: None,
        });
        partitioned.partition_values = file.partition.clone();
        // Not `with_statistics`, which claims that partition values are never null.
        if !self.with_deleted {
            partitioned.statistics = Some(Arc::new(self.files.statistics_of(index)));
        }
        Some(partitioned)
    }
}

#[async_trait]
impl TableProvider for KinfoldTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let candidates = self.candidates(state, filters)?;
        if candidates.is_empty() {
            let projected = self.schema.project(&columns)?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(projected))));
        }
        let scanned = self.files.schema();
        let (data, partition): (Vec<FieldRef>, Vec<FieldRef>) = (
            scanned
                .fields()
                .iter()
                .take(self.data_columns)
                .cloned()
                .collect(),
            scanned
                .fields()
                .iter()
                .skip(self.data_columns)
                .cloned()
                .collect(),
        );
        let file_schema = Arc::new(arrow::datatypes::Schema::new(data));
        let schema = TableSchema::builder(file_schema)
            .with_table_partition_cols(partition)
            .build();
        let mut options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        // Spark's 96-bit timestamps; nanoseconds would overflow in the year 2262.
        options.global.coerce_int96 = Some("us".to_owned());
        let source = ParquetSource::new(schema).with_table_parquet_options(options);
        let statistics = match self.with_deleted {
            true => Statistics::new_unknown(self.files.schema()),
            false => self.files.statistics(&candidates),
        };
        let objects = state.runtime_env().object_store(&self.store)?;
        let mut files: Vec<PartitionedFile> = Vec::with_capacity(candidates.len());
        for file in &candidates {
            let Some(mut partitioned) = self.partitioned_file(*file) else {
                continue;
            };
            if let Some(rows) = self.live_rows(*file, objects.as_ref()).await? {
                partitioned = partitioned.with_extension(ParquetRowSelection::new(rows));
            }
            files.push(partitioned);
        }
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let indices = columns
            .iter()
            .map(|column| self.scan_index(*column))
            .collect::<Result<Vec<_>>>()?;
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(indices))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // They choose files; a filter above the scan still looks at every row.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        if self.with_deleted {
            return None;
        }
        let by_scan = self.files.statistics(&self.all());
        let mut statistics = by_scan.clone();
        statistics.column_statistics.clear();
        for column in 0..self.schema.fields().len() {
            let index = self.scan_index(column).ok()?;
            statistics
                .column_statistics
                .push(by_scan.column_statistics.get(index)?.clone());
        }
        Some(statistics)
    }
}

/// What is to be done with `rows` rows: `one` with those at `places`, which are ascending and distinct, `most`
/// with all others.
fn selection(
    places: &[u64],
    rows: Option<u64>,
    most: fn(usize) -> RowSelector,
    one: fn(usize) -> RowSelector,
) -> Option<RowSelection> {
    let mut selectors = Vec::with_capacity(places.len() * 2 + 1);
    let mut next = 0;
    for place in places {
        let before = usize::try_from(place.checked_sub(next)?).ok()?;
        selectors.push(most(before));
        selectors.push(one(1));
        next = place + 1;
    }
    let rest = usize::try_from(rows?.checked_sub(next)?).ok()?;
    selectors.push(most(rest));
    // Empty ones vanish, and neighbours of a kind become one.
    Some(RowSelection::from(selectors))
}
