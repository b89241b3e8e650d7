//! What identifiers and ids were: `__history`, who had which id before, and `__aliases`, which id stands
//! for one that is in use no more.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use kinfold_compile::compile::{CompiledCompanion, CompiledNode};
use kinfold_identity::{Aliases, CanonicalId, Change, ChangeKind, GraphBuilder, Resolution};

use super::columns::produce;
use super::rows::text;
use super::{Suppression, lookup};
use crate::build::Run;
use crate::published::StoredTable;
use crate::stream::under_schema;
use crate::{Engine, EngineError, RunClock};

const FORMERS: &str = include_str!("../../../../../sql/materialize/identity_formers.sql");
const ALIASES: &str = include_str!("../../../../../sql/materialize/identity_aliases.sql");

/// Rows of one record batch.
const BATCH: usize = 8192;

impl Run<'_> {
    /// Gives the builder every id that identifiers had before.
    pub(super) async fn recall_formers(
        &self,
        node: &CompiledNode,
        builder: &mut GraphBuilder,
    ) -> Result<(), EngineError> {
        let Some(history) = self.previous_provider(node, Some("history")).await? else {
            return Ok(());
        };
        let columns = history.schema();
        let statement =
            self.engine
                .statement(false)
                .over_table("history", Some(history), &columns)?;
        for mut stream in statement.streams(FORMERS).await? {
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let [types, values, ids] = [text(&batch, 0)?, text(&batch, 1)?, text(&batch, 2)?];
                let until = batch
                    .columns()
                    .get(3)
                    .and_then(|column| column.as_primitive_opt::<Int64Type>());
                for row in 0..batch.num_rows() {
                    let id = CanonicalId::from_str(ids.value(row)).ok();
                    if let (Some(id), Some(until), true) = (
                        id,
                        until.map(|until| until.value(row)),
                        types.is_valid(row) && values.is_valid(row),
                    ) {
                        builder
                            .former(types.value(row), values.value(row), id, until)
                            .map_err(|source| self.identity_error(node, source))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The history that is published, and a row for every identifier that lost its id in this run.
    pub(super) async fn write_history(
        &self,
        node: &CompiledNode,
        companion: &CompiledCompanion,
        resolution: &Arc<Resolution>,
        suppression: &Arc<Suppression>,
    ) -> Result<StoredTable, EngineError> {
        let schema = &companion.schema;
        let previous = self.previous_provider(node, Some("history")).await?;
        let statement = self
            .engine
            .statement(false)
            .over_table("history", previous, schema)?;
        let streams = statement
            .streams("SELECT * FROM kinfold._run.history")
            .await?;
        let mut streams: Vec<SendableRecordBatchStream> = streams
            .into_iter()
            .map(|stream| under_schema(stream, schema))
            .collect();
        let clock = &self.engine.clock;
        streams.push(past_rows(resolution, suppression, clock, schema));
        let at = relation(companion);
        self.engine
            .replace_indexed(at, Arc::clone(schema), streams, lookup::HISTORY)
            .await
    }
}

impl Engine {
    /// Every id that is in use no more, with the one that stands for it, by the log of changes.
    pub(in crate::build) async fn write_aliases(
        &self,
        companion: &CompiledCompanion,
        changes: &StoredTable,
    ) -> Result<StoredTable, EngineError> {
        let log = self.aliases(changes).await?;
        let schema = &companion.schema;
        let columns = Arc::clone(schema);
        let rows = produce(schema, move |emit| {
            for part in log.retired().chunks(BATCH) {
                let old: StringArray = part.iter().map(|id| Some(id.to_string())).collect();
                let now: StringArray = part
                    .iter()
                    .map(|id| log.current(*id).map(|id| id.to_string()))
                    .collect();
                let arrays: Vec<ArrayRef> = vec![Arc::new(old), Arc::new(now)];
                if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                    return;
                }
            }
        });
        self.replace(relation(companion), Arc::clone(schema), vec![rows], None)
            .await
    }

    /// The aliases that are published, and these ids, which others stand for now.
    pub(super) async fn amend_aliases(
        &self,
        companion: &CompiledCompanion,
        published: &StoredTable,
        moved: &BTreeMap<String, String>,
    ) -> Result<StoredTable, EngineError> {
        let provider = self.provider(published).await?;
        let columns = provider.schema();
        let statement = self
            .statement(false)
            .over_table("aliases", Some(provider), &columns)?;
        let mut now: BTreeMap<String, Option<String>> = BTreeMap::new();
        let sql = "SELECT old_canonical_id, canonical_id FROM kinfold._run.aliases";
        for batch in statement.rows(sql).await? {
            let (old, current) = (text(&batch, 0)?, text(&batch, 1)?);
            for (old, current) in old.iter().zip(current) {
                let current = current.map(|id| moved.get(id).map_or(id, String::as_str));
                if let Some(old) = old {
                    now.insert(old.to_owned(), current.map(str::to_owned));
                }
            }
        }
        for (old, id) in moved {
            now.insert(old.clone(), Some(id.clone()));
        }
        let old: StringArray = now.keys().map(Some).collect();
        let current: StringArray = now.into_values().collect();
        let schema = &companion.schema;
        let arrays: Vec<ArrayRef> = vec![Arc::new(old), Arc::new(current)];
        let rows = RecordBatch::try_new(Arc::clone(schema), arrays).map_err(DataFusionError::from);
        let rows = futures::stream::once(futures::future::ready(rows));
        let rows = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), rows));
        self.replace(relation(companion), Arc::clone(schema), vec![rows], None)
            .await
    }

    /// The log of changes as a map.
    pub(in crate::build) async fn aliases(
        &self,
        changes: &StoredTable,
    ) -> Result<Aliases, EngineError> {
        let provider = self.provider(changes).await?;
        let columns = provider.schema();
        let statement = self
            .statement(false)
            .over_table("changes", Some(provider), &columns)?;
        let mut log = Aliases::new();
        for mut stream in statement.streams(ALIASES).await? {
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let [kinds, from, into] = [text(&batch, 0)?, text(&batch, 1)?, text(&batch, 2)?];
                let id = |column: &StringArray, row| {
                    let id = column.is_valid(row).then(|| column.value(row))?;
                    CanonicalId::from_str(id).ok()
                };
                for row in 0..batch.num_rows() {
                    let kind = match kinds.value(row) {
                        "merged" => ChangeKind::Merged,
                        "deleted" => ChangeKind::Deleted,
                        "created" => ChangeKind::Created,
                        _ => ChangeKind::Split,
                    };
                    log.add(&Change {
                        kind,
                        from: id(from, row),
                        into: id(into, row),
                        identifiers: 0,
                    });
                }
            }
        }
        Ok(log)
    }
}

fn relation(companion: &CompiledCompanion) -> (&str, &str) {
    (&companion.relation.schema, &companion.relation.name)
}

/// A row for every identifier that had an id and has it no more.
pub(super) fn past_rows(
    resolution: &Arc<Resolution>,
    suppression: &Arc<Suppression>,
    clock: &RunClock,
    schema: &SchemaRef,
) -> SendableRecordBatchStream {
    let (run_id, as_of) = (clock.run_id.clone(), clock.as_of.timestamp_micros());
    let (resolution, columns) = (Arc::clone(resolution), Arc::clone(schema));
    let suppression = Arc::clone(suppression);
    produce(schema, move |emit| {
        let mut moves = resolution
            .moves()
            .filter_map(|step| Some((step.id_type, step.id_value, step.from?)))
            // If an erasure was interrupted, they are still there.
            .filter(|(id_type, id_value, _)| !suppression.has_identifier(id_type, id_value))
            .peekable();
        while moves.peek().is_some() {
            let mut texts: [StringBuilder; 4] = Default::default();
            let [types, values, ids, runs] = &mut texts;
            let mut rows = 0;
            for (id_type, id_value, from) in moves.by_ref().take(BATCH) {
                types.append_value(id_type);
                values.append_value(id_value);
                ids.append_value(from.to_string());
                runs.append_value(&run_id);
                rows += 1;
            }
            let mut arrays: Vec<ArrayRef> = texts
                .iter_mut()
                .map(|builder| Arc::new(builder.finish()) as ArrayRef)
                .collect();
            let times = TimestampMicrosecondArray::from(vec![as_of; rows]).with_timezone("UTC");
            arrays.insert(3, Arc::new(times));
            if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                return;
            }
        }
    })
}
