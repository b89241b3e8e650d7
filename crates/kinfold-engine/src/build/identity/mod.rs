//! Materialization `identity`: rows of observed identifiers → canonical ids that survive.
//!
//! The rows are read twice: once to learn which identifiers belong together, once to write what
//! that means for each row. If somebody breaks a rule they are read once more in between, and the rows
//! of these people are kept until the weakest evidence is found. Of everybody else only identifiers
//! are kept in memory.

mod rows;
mod rules;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use kinfold_compile::compile::{CompiledNode, Determinism};
use kinfold_identity::{
    BlockedValues, CanonicalId, ChangeKind, Checked, GraphBuilder, Resolution, ResolveOptions,
};

use rows::{Rows, judged, previous_ids, text};
use rules::Forms;

use super::table::{Made, Mark};
use super::{Pinned, Run};
use crate::EngineError;
use crate::published::StoredTable;
use crate::stream::under_schema;

const RECORDS: &str = include_str!("../../../../../sql/materialize/identity_records.sql");

/// Identifiers of one record batch of the result.
const BATCH: usize = 8192;

impl Run<'_> {
    pub(super) async fn identity(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<Made, EngineError> {
        let (Some(plan), Some(relation), Some(schema)) = (&node.plan, &node.relation, &node.schema)
        else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        if node.determinism == Determinism::Volatile {
            // The second reading would not give the rows of the first.
            return Err(EngineError::NotSupported {
                node: node.id.clone(),
                materialization: "identity with a volatile function".to_owned(),
            });
        }
        let rules = &node.config.identity;
        let sql = rows::statement(plan.schema().as_arrow());
        let forms = Arc::new(Forms::of(rules));
        let mut builder = GraphBuilder::new(BlockedValues::default())
            .with_rules(rules::rules_of(rules)?)
            .map_err(|source| self.identity_error(node, source))?;
        let statement = self
            .engine
            .statement(false)
            .over_plan("query", plan, providers)?;
        for mut stream in statement.streams(&sql).await? {
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                Rows::of(&batch)?
                    .observe(&mut builder, &forms)
                    .map_err(|source| self.identity_error(node, source))?;
                if self.request.cancel.is_cancelled() {
                    return Err(EngineError::Cancelled);
                }
            }
        }
        self.recall(node, &mut builder).await?;
        let builder = match tokio::task::spawn_blocking(move || builder.check()).await? {
            Checked::Sound(builder) => builder,
            Checked::Failing(mut replay) => {
                for mut stream in statement.streams(&sql).await? {
                    while let Some(batch) = stream.next().await {
                        let batch = batch?;
                        Rows::of(&batch)?
                            .replay(&mut replay, &forms)
                            .map_err(|source| self.identity_error(node, source))?;
                        if self.request.cancel.is_cancelled() {
                            return Err(EngineError::Cancelled);
                        }
                    }
                }
                tokio::task::spawn_blocking(move || replay.finish()).await?
            }
        };
        let entity = node
            .config
            .entity
            .as_ref()
            .map_or("person", |e| e.value.as_str());
        let salt = rules
            .salt
            .as_ref()
            .map(|salt| salt.value.clone())
            .unwrap_or_default();
        let as_of = self.engine.clock.as_of.timestamp_micros();
        let entity = entity.to_owned();
        let resolution = tokio::task::spawn_blocking(move || {
            builder.resolve(&ResolveOptions {
                entity: &entity,
                salt: &salt,
                as_of,
            })
        })
        .await?;
        let resolution = Arc::new(resolution);
        let at = (relation.schema.as_str(), relation.name.as_str());
        let identifiers = identifiers(Arc::clone(&resolution), schema);
        let own = self
            .engine
            .replace(at, Arc::clone(schema), vec![identifiers], None)
            .await?;
        let companions = self
            .identity_companions(node, (&sql, &forms), providers, &resolution)
            .await?;
        self.engine
            .mark(
                at,
                schema,
                &own,
                Mark {
                    key,
                    companions: &companions,
                },
            )
            .await
            .map(|table| Made { table, companions })
    }

    fn identity_error(
        &self,
        node: &CompiledNode,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> EngineError {
        EngineError::Identity {
            node: node.id.clone(),
            source: source.into(),
        }
    }

    /// Gives the builder what was published before: who had which id, and which ids are retired.
    async fn recall(
        &self,
        node: &CompiledNode,
        builder: &mut GraphBuilder,
    ) -> Result<(), EngineError> {
        if let Some(previous) = self.previous_provider(node, None).await? {
            let columns = previous.schema();
            let statement =
                self.engine
                    .statement(false)
                    .over_table("previous", Some(previous), &columns)?;
            let sql =
                "SELECT id_type, id_value, canonical_id, minted_at FROM kinfold._run.previous";
            for mut stream in statement.streams(sql).await? {
                while let Some(batch) = stream.next().await {
                    previous_ids(builder, &batch?)
                        .map_err(|source| self.identity_error(node, source))?;
                }
            }
        }
        if let Some(changes) = self.previous_provider(node, Some("changes")).await? {
            let columns = changes.schema();
            let statement =
                self.engine
                    .statement(false)
                    .over_table("changes", Some(changes), &columns)?;
            let sql = "SELECT from_canonical_id FROM kinfold._run.changes WHERE kind IN ('merged', 'deleted')";
            for mut stream in statement.streams(sql).await? {
                while let Some(batch) = stream.next().await {
                    let batch = batch?;
                    let ids = text(&batch, 0)?;
                    ids.iter()
                        .flatten()
                        .filter_map(|id| CanonicalId::from_str(id).ok())
                        .for_each(|id| builder.retire(id));
                }
            }
        }
        Ok(())
    }

    async fn identity_companions(
        &self,
        node: &CompiledNode,
        (sql, forms): (&str, &Arc<Forms>),
        providers: Pinned<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<BTreeMap<String, StoredTable>, EngineError> {
        let mut made = BTreeMap::new();
        let companion = |suffix: &str| node.companions.iter().find(|c| c.suffix == suffix);
        if let (Some(edges), Some(plan)) = (companion("edges"), &node.plan) {
            let statement = self
                .engine
                .statement(false)
                .over_plan("query", plan, providers)?;
            let streams = statement.streams(sql).await?;
            let judged = streams
                .into_iter()
                .map(|s| judged(s, Arc::clone(resolution), Arc::clone(forms), &edges.schema))
                .collect();
            let at = (edges.relation.schema.as_str(), edges.relation.name.as_str());
            let table = self
                .engine
                .replace(at, Arc::clone(&edges.schema), judged, None)
                .await?;
            if let Some(records) = companion("records") {
                let provider = self.engine.provider(&table).await?;
                let statement = self.engine.statement(false).over_table(
                    "edges",
                    Some(provider),
                    &edges.schema,
                )?;
                let streams = statement.streams(RECORDS).await?;
                let streams = streams
                    .into_iter()
                    .map(|s| under_schema(s, &records.schema))
                    .collect();
                let at = (
                    records.relation.schema.as_str(),
                    records.relation.name.as_str(),
                );
                let table = self
                    .engine
                    .replace(at, Arc::clone(&records.schema), streams, None)
                    .await?;
                made.insert("records".to_owned(), table);
            }
            made.insert("edges".to_owned(), table);
        }
        if let Some(alarms) = companion("alarms") {
            let at = (
                alarms.relation.schema.as_str(),
                alarms.relation.name.as_str(),
            );
            let rows = alarm_rows(resolution, &alarms.schema);
            let table = self
                .engine
                .replace(at, Arc::clone(&alarms.schema), vec![rows], None)
                .await?;
            made.insert("alarms".to_owned(), table);
        }
        if let Some(changes) = companion("changes") {
            let schema = &changes.schema;
            let previous = self.previous_provider(node, Some("changes")).await?;
            let statement = self
                .engine
                .statement(false)
                .over_table("changes", previous, schema)?;
            let mut streams = statement
                .streams("SELECT * FROM kinfold._run.changes")
                .await?;
            streams = streams
                .into_iter()
                .map(|s| under_schema(s, schema))
                .collect();
            streams.push(self.changes(resolution, schema));
            let at = (
                changes.relation.schema.as_str(),
                changes.relation.name.as_str(),
            );
            let table = self
                .engine
                .replace(at, Arc::clone(schema), streams, None)
                .await?;
            made.insert("changes".to_owned(), table);
        }
        Ok(made)
    }

    /// The changes of this run, as rows of the changes relation.
    fn changes(
        &self,
        resolution: &Arc<Resolution>,
        schema: &SchemaRef,
    ) -> SendableRecordBatchStream {
        let run_id = self.engine.clock.run_id.clone();
        let as_of = self.engine.clock.as_of.timestamp_micros();
        let (resolution, columns) = (Arc::clone(resolution), Arc::clone(schema));
        produce(schema, move |emit| {
            for part in resolution.changes().chunks(BATCH) {
                let ids = |pick: fn(&kinfold_identity::Change) -> Option<CanonicalId>| -> ArrayRef {
                    Arc::new(
                        part.iter()
                            .map(|c| pick(c).map(|id| id.to_string()))
                            .collect::<StringArray>(),
                    )
                };
                let arrays: Vec<ArrayRef> = vec![
                    Arc::new(
                        part.iter()
                            .map(|_| Some(run_id.as_str()))
                            .collect::<StringArray>(),
                    ),
                    Arc::new(
                        TimestampMicrosecondArray::from(vec![as_of; part.len()])
                            .with_timezone("UTC"),
                    ),
                    Arc::new(
                        part.iter()
                            .map(|c| Some(ChangeKind::as_str(c.kind)))
                            .collect::<StringArray>(),
                    ),
                    ids(|c| c.from),
                    ids(|c| c.into),
                    Arc::new(
                        part.iter()
                            .map(|c| i64::try_from(c.identifiers).ok())
                            .collect::<Int64Array>(),
                    ),
                ];
                if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                    return;
                }
            }
        })
    }
}

/// A stream of batches that a blocking task makes, a few ahead of the reader.
pub(super) fn produce(
    schema: &SchemaRef,
    make: impl FnOnce(&mut dyn FnMut(Result<RecordBatch, datafusion::arrow::error::ArrowError>) -> bool)
    + Send
    + 'static,
) -> SendableRecordBatchStream {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        make(&mut |batch| {
            sender
                .blocking_send(batch.map_err(DataFusionError::from))
                .is_ok()
        });
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|batch| (batch, receiver))
    });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), stream))
}

fn alarm_rows(resolution: &Arc<Resolution>, schema: &SchemaRef) -> SendableRecordBatchStream {
    let (resolution, columns) = (Arc::clone(resolution), Arc::clone(schema));
    produce(schema, move |emit| {
        for part in resolution.alarms().chunks(BATCH) {
            let mut texts: [StringBuilder; 4] = Default::default();
            let [reasons, types, values, ids] = &mut texts;
            for alarm in part {
                reasons.append_value(alarm.reason.as_str());
                types.append_value(alarm.id_type);
                values.append_value(alarm.id_value);
                ids.append_option(alarm.canonical_id.map(|id| id.to_string()));
            }
            let sizes = part.iter().map(|alarm| i64::try_from(alarm.size).ok());
            let mut arrays: Vec<ArrayRef> = texts
                .iter_mut()
                .map(|builder| Arc::new(builder.finish()) as ArrayRef)
                .collect();
            arrays.push(Arc::new(sizes.collect::<Int64Array>()));
            if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                return;
            }
        }
    })
}

fn identifiers(resolution: Arc<Resolution>, schema: &SchemaRef) -> SendableRecordBatchStream {
    let columns = Arc::clone(schema);
    produce(schema, move |emit| {
        let mut rows = resolution.identifiers().peekable();
        while rows.peek().is_some() {
            let (mut types, mut values, mut ids) = (
                StringBuilder::new(),
                StringBuilder::new(),
                StringBuilder::new(),
            );
            let mut minted = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            let mut first = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            let mut last = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            for row in rows.by_ref().take(BATCH) {
                types.append_value(row.id_type);
                values.append_value(row.id_value);
                ids.append_value(row.canonical_id.to_string());
                minted.append_value(row.minted_at);
                first.append_option(row.first_seen);
                last.append_option(row.last_seen);
            }
            let arrays: Vec<ArrayRef> = vec![
                Arc::new(types.finish()),
                Arc::new(values.finish()),
                Arc::new(ids.finish()),
                Arc::new(minted.finish()),
                Arc::new(first.finish()),
                Arc::new(last.finish()),
            ];
            if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                return;
            }
        }
    })
}
