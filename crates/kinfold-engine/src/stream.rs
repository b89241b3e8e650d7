//! Running a plan: streams of its partitions, with one retry that spills.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlanProperties, collect, execute_stream_partitioned};
use futures::TryStreamExt;
use futures::stream::{SelectAll, select_all};
use kinfold_compile::relation::{RelationKey, pin};

use crate::{Engine, EngineError};

/// Providers of the relations of a plan.
pub(crate) type Providers = BTreeMap<RelationKey, Arc<dyn TableProvider>>;

impl Engine {
    /// Streams of a bound plan over pinned relations, one per partition.
    pub(crate) async fn streams(
        &self,
        plan: &LogicalPlan,
        providers: &Providers,
        spilling: bool,
    ) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
        let partitions = self.options.target_partitions;
        self.streams_in(partitions, plan, providers, spilling).await
    }

    /// The same with so many partitions.
    pub(crate) async fn streams_in(
        &self,
        partitions: usize,
        plan: &LogicalPlan,
        providers: &Providers,
        spilling: bool,
    ) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
        let state = self.session_in(partitions, spilling);
        let pinned = pin(plan.clone(), providers)?;
        streams_of(&state, &pinned).await
    }

    /// All rows of a bound plan over pinned relations. For results that are small by nature.
    pub(crate) async fn rows(
        &self,
        plan: &LogicalPlan,
        providers: &Providers,
    ) -> Result<Vec<RecordBatch>, EngineError> {
        let state = self.session(false);
        let pinned = pin(plan.clone(), providers)?;
        let physical = state.create_physical_plan(&pinned).await?;
        Ok(collect(physical, Arc::new(TaskContext::from(&state))).await?)
    }
}

/// Streams of a plan whose relations are real, one per partition.
pub(crate) async fn streams_of(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
    let physical = state.create_physical_plan(plan).await?;
    tracing::debug!(
        partitions = physical.output_partitioning().partition_count(),
        "planned"
    );
    Ok(execute_stream_partitioned(
        physical,
        Arc::new(TaskContext::from(state)),
    )?)
}

/// The batches of all partitions, in no particular order.
///
/// Partitions must not be read one after the other: those of a join wait for each other.
pub(crate) fn together(
    streams: Vec<SendableRecordBatchStream>,
) -> SelectAll<SendableRecordBatchStream> {
    select_all(streams)
}

/// The same rows under `schema`: columns by position, cast where the type differs (an engine
/// statement computes times in nanoseconds, a table stores microseconds).
pub(crate) fn under_schema(
    stream: SendableRecordBatchStream,
    schema: &SchemaRef,
) -> SendableRecordBatchStream {
    let target = Arc::clone(schema);
    let cast = stream.and_then(move |batch| {
        let result = batch_under(&batch, &target);
        async move { result }
    });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), cast))
}

fn batch_under(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast(column, field.data_type())
            }
        });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The same columns, all of which may be null.
pub(crate) fn nullable(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(
        schema
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    ))
}

/// Whether a query ran out of memory in an operator that cannot spill.
pub(crate) fn is_out_of_memory(error: &EngineError) -> bool {
    // A boxed error is not found by its type.
    if let EngineError::Query(query) = error {
        return matches!(query.find_root(), DataFusionError::ResourcesExhausted(_));
    }
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = source {
        if let Some(df) = e.downcast_ref::<DataFusionError>()
            && matches!(df.find_root(), DataFusionError::ResourcesExhausted(_))
        {
            return true;
        }
        source = e.source();
    }
    false
}
