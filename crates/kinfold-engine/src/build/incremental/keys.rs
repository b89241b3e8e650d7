//! Which rows of a table have the key of a new row. A missing value is equal to a missing value.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::UInt64Array;
use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::arrow::datatypes::{UInt32Type, UInt64Type};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Column, DataFusionError, NullEquality, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, ident, lit};
use datafusion::physical_plan::collect;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt as _;
use kinfold_lake::{FileRows, Staged};

use super::{Growth, Places};
use crate::EngineError;
use crate::build::Run;
use crate::stream::{streams_of, together};

/// Names of columns beside those of a model.
const FILE: &str = "kinfold file";
const PLACE: &str = "kinfold place";
/// Names of the two sides of a join.
const NEW: &str = "new";
const OLD: &str = "old";

fn sided(side: &str, names: &[&str]) -> Vec<Column> {
    let columns = names.iter().map(|name| Column::new(Some(side), *name));
    columns.collect()
}

/// Some columns of a relation, under the name of a side.
fn side(
    name: &str,
    provider: Arc<dyn TableProvider>,
    columns: &[&str],
) -> Result<LogicalPlanBuilder, DataFusionError> {
    LogicalPlanBuilder::scan(name, provider_as_source(provider), None)?
        .project(columns.iter().copied().map(ident))?
        .alias(name)
}

impl Run<'_> {
    /// Refuses new rows of which two have one key: which of them is meant is not known.
    pub(super) async fn one_row_per_key(
        &self,
        growth: &Growth<'_>,
        staged: &Staged,
        keys: &[&str],
    ) -> Result<(), EngineError> {
        let plan = side(NEW, staged.provider(), keys)?
            .aggregate(
                keys.iter().copied().map(ident),
                [count(lit(1)).alias(PLACE)],
            )?
            .filter(ident(PLACE).gt(lit(1)))?
            .aggregate(Vec::<Expr>::new(), [count(lit(1)).alias(PLACE)])?
            .build()?;
        let rows = self.few_rows(growth, &plan).await?;
        let repeated = rows.first().and_then(|batch| {
            let counts = batch.column(0).as_primitive_opt::<Int64Type>()?;
            (!counts.is_empty()).then(|| counts.value(0))
        });
        match repeated.map(u64::try_from) {
            Some(Ok(0)) => Ok(()),
            Some(Ok(rows)) => Err(EngineError::Contract {
                node: growth.node.id.clone(),
                rows,
                what: "are `unique_key`s that more than one new row has",
            }),
            _ => Err(EngineError::NotBuilt(growth.node.id.clone())),
        }
    }

    /// The new rows without those that are there just so; none if all are new.
    pub(super) async fn changed_rows(
        &self,
        growth: &Growth<'_>,
        staged: &Staged,
    ) -> Result<Option<Staged>, EngineError> {
        let schema = growth.base.schema();
        if schema
            .fields()
            .iter()
            .any(|field| field.data_type().is_nested())
        {
            return Ok(None);
        }
        let columns: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let mut there = side(OLD, growth.base.provider()?, &columns)?;
        for filter in self.bounds(growth, staged.provider()).await? {
            there = there.filter(filter)?;
        }
        let plan = side(NEW, staged.provider(), &columns)?
            .join_detailed(
                there.build()?,
                JoinType::LeftAnti,
                (sided(NEW, &columns), sided(OLD, &columns)),
                None,
                NullEquality::NullEqualsNull,
            )?
            .build()?;
        let state = self.engine.session(growth.spilling);
        let streams = streams_of(&state, &plan).await?;
        let changed = self.stage_streams(growth, streams).await?;
        if changed.rows() == staged.rows() {
            self.engine.lake.discard(changed).await;
            return Ok(None);
        }
        Ok(Some(changed))
    }

    /// Where the rows lie that have the key of a new row.
    pub(super) async fn places(
        &self,
        growth: &Growth<'_>,
        new: Arc<dyn TableProvider>,
        keys: &[&str],
    ) -> Result<Places, EngineError> {
        let bounds = self.bounds(growth, Arc::clone(&new)).await?;
        let (lake, base) = (&self.engine.lake, &growth.base);
        let files = lake
            .read_in_place(&growth.path, base, keys, &bounds)
            .await?;
        let mut places = Places::new();
        if files.is_empty() {
            return Ok(places);
        }
        let names: Vec<String> = files.iter().map(|file| file.file.clone()).collect();
        let old = Arc::new(placed(files, base.schema(), keys)?);
        // The new rows are held, those that are there pass by.
        let there: Vec<&str> = keys.iter().copied().chain([FILE, PLACE]).collect();
        let plan = side(NEW, new, keys)?
            .join_detailed(
                side(OLD, old, &there)?.build()?,
                JoinType::RightSemi,
                (sided(NEW, keys), sided(OLD, keys)),
                None,
                NullEquality::NullEqualsNull,
            )?
            .project([ident(FILE), ident(PLACE)])?
            .build()?;
        let state = self.engine.session(growth.spilling);
        let mut found = together(streams_of(&state, &plan).await?);
        while let Some(batch) = found.next().await {
            let batch = batch?;
            let files = batch.column(0).as_primitive::<UInt32Type>();
            let of_batch = batch.column(1).as_primitive::<UInt64Type>();
            for (file, place) in files.values().iter().zip(of_batch.values()) {
                if let Some(name) = names.get(*file as usize) {
                    places.entry(name.clone()).or_default().push(*place);
                }
            }
        }
        Ok(places)
    }

    /// Conditions that every key of a new row meets, by which files are left out.
    async fn bounds(
        &self,
        growth: &Growth<'_>,
        new: Arc<dyn TableProvider>,
    ) -> Result<Vec<Expr>, EngineError> {
        let schema = growth.base.schema();
        let keys = growth.rules.key.iter().map(|column| column.value.as_str());
        let ordered = |name: &&str| {
            let field = schema.field_with_name(name);
            field.is_ok_and(|field| is_ordered(field.data_type()))
        };
        let keys: Vec<&str> = keys.filter(ordered).collect();
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let mut asked = vec![count(lit(1))];
        for key in &keys {
            asked.extend([min(ident(*key)), max(ident(*key)), count(ident(*key))]);
        }
        let named = asked.into_iter().enumerate();
        let named = named.map(|(at, asked)| asked.alias(at.to_string()));
        let plan = side(NEW, new, &keys)?
            .aggregate(Vec::<Expr>::new(), named)?
            .build()?;
        let rows = self.few_rows(growth, &plan).await?;
        let Some(row) = rows.iter().find(|batch| batch.num_rows() == 1) else {
            return Ok(vec![]);
        };
        let value = |at: usize| ScalarValue::try_from_array(row.column(at), 0);
        let all = value(0)?;
        let mut bounds = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let first = 1 + 3 * at;
            let (least, most, present) = (value(first)?, value(first + 1)?, value(first + 2)?);
            // Where a key is missing, a file of missing keys has it.
            if present == all && !least.is_null() {
                bounds.push(
                    ident(*key)
                        .gt_eq(lit(least))
                        .and(ident(*key).lt_eq(lit(most))),
                );
            }
        }
        Ok(bounds)
    }

    async fn few_rows(
        &self,
        growth: &Growth<'_>,
        plan: &LogicalPlan,
    ) -> Result<Vec<RecordBatch>, EngineError> {
        let state = self.engine.session(growth.spilling);
        let physical = state.create_physical_plan(plan).await?;
        Ok(collect(physical, Arc::new(TaskContext::from(&state))).await?)
    }
}

fn is_ordered(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_temporal()
        || matches!(data_type, DataType::Utf8 | DataType::Decimal128(..))
}

/// The rows of files with their places, as a relation that can be read once.
fn placed(
    files: Vec<FileRows>,
    stored: SchemaRef,
    keys: &[&str],
) -> Result<StreamingTable, DataFusionError> {
    let mut fields = Vec::new();
    for key in keys {
        fields.push(stored.field_with_name(key)?.clone().with_nullable(true));
    }
    fields.push(Field::new(FILE, DataType::UInt32, false));
    fields.push(Field::new(PLACE, DataType::UInt64, false));
    let schema = Arc::new(Schema::new(fields));
    let mut partitions: Vec<Arc<dyn PartitionStream>> = Vec::new();
    for (number, file) in files.into_iter().enumerate() {
        partitions.push(Arc::new(PlacedFile {
            number: u32::try_from(number)
                .map_err(|_| DataFusionError::Execution("too many files".to_owned()))?,
            schema: Arc::clone(&schema),
            file: Mutex::new(Some(file)),
        }));
    }
    StreamingTable::try_new(schema, partitions)
}

/// The rows of one file with their places.
struct PlacedFile {
    number: u32,
    schema: SchemaRef,
    file: Mutex<Option<FileRows>>,
}

impl fmt::Debug for PlacedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlacedFile")
            .field("number", &self.number)
            .finish()
    }
}

impl PartitionStream for PlacedFile {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let taken = self
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let (schema, number) = (Arc::clone(&self.schema), self.number);
        let Some(FileRows { deleted, rows, .. }) = taken else {
            let again = DataFusionError::Internal("rows in place are read twice".to_owned());
            let again = futures::stream::iter([Err(again)]);
            return Box::pin(RecordBatchStreamAdapter::new(schema, again));
        };
        let mut first = 0;
        let of_batch = Arc::clone(&schema);
        let rows = rows.map(move |batch| {
            let batch = batch?;
            let rows = batch.num_rows() as u64;
            let placed = with_places(&batch, number, first, &deleted, &of_batch);
            first += rows;
            placed
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// A batch whose first row has the place `first`, without deleted rows.
fn with_places(
    batch: &RecordBatch,
    file: u32,
    first: u64,
    deleted: &[u64],
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let rows = batch.num_rows();
    let end = first + rows as u64;
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns.push(Arc::new(UInt32Array::from_value(file, rows)));
    columns.push(Arc::new(UInt64Array::from_iter_values(first..end)));
    let batch = RecordBatch::try_new(Arc::clone(schema), columns)?;
    let from = deleted.partition_point(|place| *place < first);
    let to = deleted.partition_point(|place| *place < end);
    let gone = deleted.get(from..to).unwrap_or_default();
    if gone.is_empty() {
        return Ok(batch);
    }
    let live: BooleanArray = (first..end)
        .map(|place| Some(gone.binary_search(&place).is_err()))
        .collect();
    Ok(filter_record_batch(&batch, &live)?)
}
