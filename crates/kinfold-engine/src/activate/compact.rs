//! Rewriting a state: the newest row of each key, without those that say that there is nothing any more.

use std::sync::Arc;

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};

use super::compare::{Part, StateScan, hash_of};
use super::keys::KeyTable;
use super::plan::Plan;
use super::state::{self, Place, State};
use crate::stream::under_schema;
use crate::{Engine, EngineError};

const ALL: &str = include_str!("../../../../sql/state/all.sql");

/// Rewrites the state if enough was appended to it. The rows that count stay the same.
pub(super) async fn if_due(engine: &Engine, place: &Place, plan: &Plan) -> Result<(), EngineError> {
    let state = Arc::new(State::open(engine, place).await?);
    if !state.is_compaction_due() {
        return Ok(());
    }
    let rewritten = newest(engine, &state).await?;
    let app_id = format!("{}:compact", place.app_id);
    let note = state::note(&plan.setup, &app_id, plan.ordinal, state.rows());
    engine
        .lake
        .overwrite(&place.state, state::schema(), vec![rewritten], note)
        .await?;
    Ok(())
}

/// The rows that count, part by part.
pub(super) async fn newest(
    engine: &Engine,
    state: &Arc<State>,
) -> Result<SendableRecordBatchStream, EngineError> {
    let (engine, state) = (engine.clone(), Arc::clone(state));
    let of = StateScan::parts(&engine, state.rows());
    let parts = stream::iter(0..of).then(move |index| {
        let (engine, state) = (engine.clone(), Arc::clone(&state));
        async move {
            let found = part(&engine, &state, Part { index, of }).await;
            found.map_err(|error| DataFusionError::External(Box::new(error)))
        }
    });
    let rows = parts.try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        state::schema(),
        rows,
    )))
}

async fn part(
    engine: &Engine,
    state: &State,
    part: Part,
) -> Result<SendableRecordBatchStream, EngineError> {
    let scan = StateScan { engine, state };
    let keys = state.rows() / u64::from(part.of);
    let table = Arc::new(KeyTable::new(&engine.runtime.memory_pool, keys)?);
    scan.load(part, &table, "", None).await?;
    let streams = scan.rows(ALL, None).await?;
    let schema = state::schema();
    let rows = stream::iter(streams)
        .flat_map(move |stream| under_schema(stream, &schema))
        .and_then(move |batch| {
            let kept = (|| {
                let hashes = batch.column(0).as_binary::<i32>();
                let ordinals = batch.column(2).as_primitive::<Int64Type>();
                let kept: BooleanArray = (0..batch.num_rows())
                    .map(|row| {
                        let key = hash_of(hashes.value(row));
                        let ordinal = u32::try_from(ordinals.value(row)).unwrap_or(u32::MAX);
                        let newest = part.has(key).then(|| table.newest(key, ordinal)).flatten();
                        Some(newest.is_some_and(|(known, _)| known.in_state()))
                    })
                    .collect();
                Ok(filter_record_batch(&batch, &kept)?)
            })();
            async move { kept }
        });
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        state::schema(),
        rows,
    )))
}
