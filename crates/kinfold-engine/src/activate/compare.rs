//! The model against the state: one classified row for each key of either.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Int64Array, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DataFusionError, ScalarValue};
use datafusion::execution::{
    FunctionRegistry, SendableRecordBatchStream, SessionState, TaskContext,
};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, lit};
use datafusion::physical_plan::execute_stream;
use kinfold_compile::compile::CompiledSync;
use kinfold_compile::relation::{ViewRelation, pin, register};
use kinfold_project::{OnLeave, Sync, SyncMode};

use super::canonical::{JsonObject, PayloadHash};
use crate::stream::Providers;
use crate::{Engine, EngineError};

const COMPARE: &str = include_str!("../../../../sql/changeset/compare.sql");

/// What the changeset says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Add,
    Update,
    Remove,
    Clear,
    /// The destination has it already.
    Unchanged,
    /// It left the model and stays at the destination.
    Keep,
    /// An attempt failed without effect, and the model has what was confirmed before.
    Settle,
    /// It left the model and was never confirmed.
    Forget,
    NullKey,
    DuplicateKey,
    NoForm,
}

impl Class {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "add" => Self::Add,
            "update" => Self::Update,
            "remove" => Self::Remove,
            "clear" => Self::Clear,
            "unchanged" => Self::Unchanged,
            "keep" => Self::Keep,
            "settle" => Self::Settle,
            "forget" => Self::Forget,
            "invalid_null_key" => Self::NullKey,
            "invalid_duplicate_key" => Self::DuplicateKey,
            "invalid_value" => Self::NoForm,
            _ => return None,
        })
    }

    /// The stable word of the reason why rows cannot be sent.
    pub(super) fn invalid_reason(self) -> Option<&'static str> {
        match self {
            Self::NullKey => Some("invalid_null_key"),
            Self::DuplicateKey => Some("invalid_duplicate_key"),
            Self::NoForm => Some("invalid_value"),
            _ => None,
        }
    }
}

/// The classified rows. The query may be run again with joins that spill.
pub(super) async fn compare(
    engine: &Engine,
    sync: &Sync,
    compiled: &CompiledSync,
    providers: &Providers,
    state: Arc<dyn TableProvider>,
    spilling: bool,
) -> Result<SendableRecordBatchStream, EngineError> {
    let mut session = engine.session(spilling);
    session.register_udf(Arc::new(ScalarUDF::new_from_impl(PayloadHash::new())))?;
    let mapped = mapped(compiled, providers)?;
    register(
        &session,
        "main",
        "mapped",
        Arc::new(ViewRelation::new(mapped)),
    )?;
    register(&session, "main", "state", state)?;
    let once = matches!(sync.mode.value, SyncMode::Insert | SyncMode::Append);
    let leaving = match sync.on_leave.value {
        OnLeave::Keep => "keep",
        OnLeave::Clear => "clear",
        OnLeave::Delete | OnLeave::LeaveAudience => "remove",
    };
    let parameters = vec![
        ("once", ScalarValue::from(once)),
        ("leaving", ScalarValue::from(leaving)),
    ];
    let plan = statement(&session, COMPARE, parameters).await?;
    stream(&session, &plan).await
}

/// Plans a statement of `sql/` with named parameters.
pub(super) async fn statement(
    session: &SessionState,
    sql: &str,
    parameters: Vec<(&'static str, ScalarValue)>,
) -> Result<LogicalPlan, DataFusionError> {
    session
        .create_logical_plan(sql)
        .await?
        .with_param_values(parameters)
}

/// Runs a plan into one stream.
pub(super) async fn stream(
    session: &SessionState,
    plan: &LogicalPlan,
) -> Result<SendableRecordBatchStream, EngineError> {
    let physical = session.create_physical_plan(plan).await?;
    Ok(execute_stream(
        physical,
        Arc::new(TaskContext::from(session)),
    )?)
}

/// `key_text` and `payload` of every row of the model.
fn mapped(compiled: &CompiledSync, providers: &Providers) -> Result<LogicalPlan, EngineError> {
    let pinned = pin(compiled.plan.clone(), providers)?;
    let mut columns = pinned
        .schema()
        .iter()
        .map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field))));
    let key: Vec<Expr> = columns.by_ref().take(compiled.key_fields.len()).collect();
    let fields: Vec<Expr> = columns.collect();
    let key = ScalarUDF::new_from_impl(JsonObject::key(compiled.key_fields.clone())).call(key);
    let payload = match fields.is_empty() {
        true => lit("{}"),
        false => {
            ScalarUDF::new_from_impl(JsonObject::payload(compiled.fields.clone())).call(fields)
        }
    };
    let plan = LogicalPlanBuilder::new(pinned)
        .project([key.alias("key_text"), payload.alias("payload")])?;
    Ok(plan.build()?)
}

/// The columns of one batch of classified rows.
pub(super) struct Classified {
    classes: StringArray,
    keys: StringArray,
    payloads: StringArray,
    hashes: BinaryArray,
    copies: Int64Array,
    acknowledged: BooleanArray,
}

/// One classified row.
pub(super) struct Row<'a> {
    pub(super) class: Class,
    pub(super) key: Option<&'a str>,
    pub(super) payload: Option<&'a str>,
    pub(super) hash: Option<&'a [u8]>,
    /// Rows of the model with this key.
    pub(super) copies: u64,
    /// Whether the destination has confirmed a payload for this key.
    pub(super) acknowledged: bool,
}

impl Classified {
    pub(super) fn new(batch: &RecordBatch) -> Result<Self, EngineError> {
        let column = |name: &str, wanted: &DataType| -> Result<ArrayRef, DataFusionError> {
            let found = batch.column_by_name(name);
            let found =
                found.ok_or_else(|| DataFusionError::Internal(format!("no column {name}")))?;
            Ok(cast(found, wanted)?)
        };
        let text = |name: &str| column(name, &DataType::Utf8).map(|c| c.as_string::<i32>().clone());
        Ok(Self {
            classes: text("class")?,
            keys: text("key_text")?,
            payloads: text("payload")?,
            hashes: column("payload_hash", &DataType::Binary)?
                .as_binary::<i32>()
                .clone(),
            copies: column("copies", &DataType::Int64)?
                .as_primitive::<Int64Type>()
                .clone(),
            acknowledged: column("acknowledged", &DataType::Boolean)?
                .as_boolean()
                .clone(),
        })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, EngineError>> {
        let text = |column: &'_ StringArray, row| column.is_valid(row).then_some(row);
        (0..self.classes.len()).map(move |row| {
            let class = Class::of(self.classes.value(row)).ok_or_else(|| {
                DataFusionError::Internal("a class of changes is not known".to_owned())
            })?;
            Ok(Row {
                class,
                key: text(&self.keys, row).map(|row| self.keys.value(row)),
                payload: text(&self.payloads, row).map(|row| self.payloads.value(row)),
                hash: self.hashes.is_valid(row).then(|| self.hashes.value(row)),
                copies: u64::try_from(self.copies.value(row)).unwrap_or_default(),
                acknowledged: self.acknowledged.value(row),
            })
        })
    }
}
