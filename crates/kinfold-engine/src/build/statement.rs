//! The engine's own SQL: files of `sql/materialize/`, with their relations and parameters.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::collect;
use kinfold_compile::relation::{ViewRelation, pin, register};

use crate::stream::{Providers, streams_of};
use crate::{Engine, EngineError};

/// Schema of the relations that exist only while a statement runs.
const RUN: &str = "_run";

/// A statement of the engine with what it reads.
pub(super) struct Statement<'a> {
    engine: &'a Engine,
    state: SessionState,
}

impl Engine {
    pub(super) fn statement(&self, spilling: bool) -> Statement<'_> {
        Statement {
            engine: self,
            state: self.session(spilling),
        }
    }
}

impl Statement<'_> {
    /// `kinfold._run.<name>` is a bound plan over pinned relations.
    pub(super) fn over_plan(
        self,
        name: &str,
        plan: &LogicalPlan,
        providers: &Providers,
    ) -> Result<Self, EngineError> {
        let pinned = pin(plan.clone(), providers)?;
        register(&self.state, RUN, name, Arc::new(ViewRelation::new(pinned)))?;
        Ok(self)
    }

    /// `kinfold._run.<name>` is a stored table, or an empty one with these columns.
    pub(super) fn over_table(
        self,
        name: &str,
        table: Option<Arc<dyn TableProvider>>,
        columns: &SchemaRef,
    ) -> Result<Self, EngineError> {
        let table = match table {
            Some(table) if same_columns(&table.schema(), columns) => table,
            // An earlier version with other columns has nothing to say about these.
            _ => Arc::new(EmptyTable::new(Arc::clone(columns))),
        };
        register(&self.state, RUN, name, table)?;
        Ok(self)
    }

    pub(super) fn engine(&self) -> &Engine {
        self.engine
    }

    async fn plan(&self, sql: &str) -> Result<LogicalPlan, EngineError> {
        let (sql, as_of) = (
            sql.replace(":as_of", "$as_of"),
            self.engine.clock.as_of.timestamp_micros(),
        );
        let sql = sql.replace(":run_id", "$run_id");
        let as_of = ScalarValue::TimestampMicrosecond(Some(as_of), Some("UTC".into()));
        let run_id = ScalarValue::Utf8(Some(self.engine.clock.run_id.clone()));
        let plan = self.state.create_logical_plan(&sql).await?;
        let mut values = std::collections::HashMap::new();
        if sql.contains("$as_of") {
            values.insert("as_of".to_owned(), as_of.into());
        }
        if sql.contains("$run_id") {
            values.insert("run_id".to_owned(), run_id.into());
        }
        if values.is_empty() {
            return Ok(plan);
        }
        Ok(plan.with_param_values(ParamValues::Map(values))?)
    }

    /// Streams of the result, one per partition.
    pub(super) async fn streams(
        &self,
        sql: &str,
    ) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
        let plan = self.plan(sql).await?;
        streams_of(&self.state, &plan).await
    }

    /// The whole result, which is small by nature.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>, EngineError> {
        let plan = self.plan(sql).await?;
        let physical = self.state.create_physical_plan(&plan).await?;
        Ok(collect(physical, Arc::new(TaskContext::from(&self.state))).await?)
    }
}

fn same_columns(stored: &Schema, wanted: &Schema) -> bool {
    stored.fields().len() == wanted.fields().len()
        && stored
            .fields()
            .iter()
            .zip(wanted.fields())
            .all(|(s, w)| s.name() == w.name() && s.data_type() == w.data_type())
}

/// A column's name in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
