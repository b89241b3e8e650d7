//! From recorded outcomes to the next state. Repeating any step changes nothing.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use kinfold_compile::relation::register;
use kinfold_lake::{Lake, Written};

use super::acknowledge::AckReader;
use super::compare::{statement, stream as run};
use super::lines::{self, unhex};
use super::plan::{Plan, PlanLine};
use super::state::{self, Place, State};
use crate::{Engine, EngineError};

const FOLD: &str = include_str!("../../../../sql/state/fold.sql");

/// Commits the state that the outcomes of a plan lead to.
pub(super) async fn fold(
    engine: &Engine,
    place: &Place,
    plan: &Plan,
    spilling: bool,
) -> Result<Written, EngineError> {
    let before = State::open(engine, place).await?;
    let session = engine.session(spilling);
    let outcomes = Outcomes::new(&engine.lake, place, plan);
    let outcomes = StreamingTable::try_new(outcomes.schema.clone(), vec![Arc::new(outcomes)])?;
    register(&session, "main", "state", before.provider()?)?;
    register(&session, "main", "outcomes", Arc::new(outcomes))?;
    let parameters = vec![
        ("run_id", ScalarValue::from(plan.run_id.as_str())),
        ("mapping", ScalarValue::from(plan.mapping.as_str())),
    ];
    let logical = statement(&session, FOLD, parameters).await?;
    let rows = run(&session, &logical).await?;
    let note = plan.setup.note(&place.app_id, plan.ordinal);
    Ok(engine
        .lake
        .overwrite(&place.state, state::schema(), vec![rows], note)
        .await?)
}

/// What the state has to learn, as a relation: acknowledgements, then notes.
struct Outcomes {
    lake: Lake,
    place: Place,
    plan: Plan,
    schema: SchemaRef,
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes")
            .field("delivery", &self.plan.delivery)
            .finish_non_exhaustive()
    }
}

impl Outcomes {
    fn new(lake: &Lake, place: &Place, plan: &Plan) -> Self {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![
            text("key_text"),
            text("operation"),
            Field::new("payload_hash", DataType::Binary, true),
            text("outcome"),
            text("error_class"),
            text("error_message"),
        ]));
        Self {
            lake: lake.clone(),
            place: place.clone(),
            plan: plan.clone(),
            schema,
        }
    }
}

impl PartitionStream for Outcomes {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let start = Position::Start {
            lake: self.lake.clone(),
            place: self.place.clone(),
            plan: self.plan.clone(),
        };
        let schema = Arc::clone(&self.schema);
        let batches = stream::try_unfold(start, move |position| {
            let schema = Arc::clone(&schema);
            async move {
                position
                    .next(&schema)
                    .await
                    .map_err(|error| DataFusionError::External(Box::new(error)))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}

/// Where a scan of [`Outcomes`] is.
enum Position {
    Start {
        lake: Lake,
        place: Place,
        plan: Plan,
    },
    Acknowledgements {
        reader: AckReader,
        lake: Lake,
        plan: Plan,
    },
    Notes {
        lake: Lake,
        plan: Plan,
        next: usize,
    },
}

impl Position {
    async fn next(self, schema: &SchemaRef) -> Result<Option<(RecordBatch, Self)>, EngineError> {
        let mut position = self;
        loop {
            position = match position {
                Self::Start { lake, place, plan } => {
                    let reader = AckReader::open(&lake, &place, &plan).await?;
                    Self::Acknowledgements { reader, lake, plan }
                }
                Self::Acknowledgements {
                    mut reader,
                    lake,
                    plan,
                } => {
                    let Some(lines) = reader.next().await? else {
                        position = Self::Notes {
                            lake,
                            plan,
                            next: 0,
                        };
                        continue;
                    };
                    let mut rows = Rows::default();
                    for line in &lines {
                        rows.key.append_value(&line.key);
                        rows.operation.append_value(&line.operation);
                        rows.hash
                            .append_option(line.hash.as_deref().and_then(unhex));
                        rows.outcome.append_value(&line.outcome);
                        rows.class.append_option(line.class.as_deref());
                        rows.message.append_option(line.message.as_deref());
                    }
                    return Ok(Some((
                        rows.finish(schema)?,
                        Self::Acknowledgements { reader, lake, plan },
                    )));
                }
                Self::Notes { lake, plan, next } => {
                    let Some(chunk) = plan.notes.get(next) else {
                        return Ok(None);
                    };
                    let lines: Vec<PlanLine> = lines::read(&lake, &chunk.name).await?;
                    let mut rows = Rows::default();
                    for line in &lines {
                        rows.key.append_value(&line.key);
                        rows.operation.append_value(&line.operation);
                        rows.hash.append_null();
                        rows.outcome.append_value(if line.operation == "forget" {
                            "forgotten"
                        } else {
                            "settled"
                        });
                        rows.class.append_null();
                        rows.message.append_null();
                    }
                    return Ok(Some((
                        rows.finish(schema)?,
                        Self::Notes {
                            lake,
                            plan,
                            next: next + 1,
                        },
                    )));
                }
            };
        }
    }
}

#[derive(Default)]
struct Rows {
    key: StringBuilder,
    operation: StringBuilder,
    hash: BinaryBuilder,
    outcome: StringBuilder,
    class: StringBuilder,
    message: StringBuilder,
}

impl Rows {
    fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch, EngineError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.key.finish()),
            Arc::new(self.operation.finish()),
            Arc::new(self.hash.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.class.finish()),
            Arc::new(self.message.finish()),
        ];
        RecordBatch::try_new(Arc::clone(schema), columns)
            .map_err(|error| EngineError::from(DataFusionError::from(error)))
    }
}
