//! Who is who → the relation and its companions.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::future::try_join5;
use kinfold_compile::compile::CompiledCompanion;
use kinfold_identity::{CanonicalId, FirstId, RecordsMet, Resolution};
use kinfold_lake::IndexColumns;

use super::columns::{alarm_rows, change_rows, identifiers};
use super::edges::Judge;
use super::feed::feed;
use super::rows::{RowsError, text};
use super::{Reading, lookup};
use crate::EngineError;
use crate::build::table::{Made, Mark};
use crate::build::{Pinned, Run};
use crate::published::StoredTable;
use crate::stream::under_schema;

impl Run<'_> {
    /// Writes what a resolution says of identifiers, records and rows, and what changed.
    ///
    /// All of it at the same time: the rows are read once, and become edges and records beside the
    /// identifiers, so that no core waits for the one that writes the largest table.
    pub(super) async fn write_identity(
        &self,
        reading: &Reading<'_>,
        providers: Pinned<'_>,
        resolution: &Arc<Resolution>,
        key: &str,
    ) -> Result<Made, EngineError> {
        let node = reading.node;
        let (Some(relation), Some(schema)) = (&node.relation, &node.schema) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let at = (relation.schema.as_str(), relation.name.as_str());
        let parts = self.engine.options.target_partitions;
        let own = self.engine.replace_indexed(
            at,
            Arc::clone(schema),
            identifiers(resolution, schema, parts),
            lookup::IDENTIFIERS,
        );
        let history = self.write_history(
            node,
            reading.companion("history")?,
            resolution,
            &reading.suppression,
        );
        let (own, (edges, records), alarms, (changes, aliases), history) = try_join5(
            own,
            self.write_edges(reading, providers, resolution),
            self.write_alarms(reading, resolution),
            self.write_changes(reading, resolution),
            history,
        )
        .await?;
        let companions = BTreeMap::from([
            ("edges".to_owned(), edges),
            ("records".to_owned(), records),
            ("alarms".to_owned(), alarms),
            ("changes".to_owned(), changes),
            ("aliases".to_owned(), aliases),
            ("history".to_owned(), history),
        ]);
        let mark = Mark {
            key,
            companions: &companions,
        };
        let table = self.engine.mark(at, schema, &own, mark).await?;
        Ok(Made { table, companions })
    }

    async fn write_edges(
        &self,
        reading: &Reading<'_>,
        providers: Pinned<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<(StoredTable, StoredTable), EngineError> {
        let (edges, records) = (reading.companion("edges")?, reading.companion("records")?);
        let Some(plan) = &reading.node.plan else {
            return Err(EngineError::NotBuilt(reading.node.id.clone()));
        };
        let statement = self
            .engine
            .statement(false)
            .over_plan("query", plan, providers)?;
        let met = self.first_ids(reading, resolution).await?;
        let schemas = (&edges.schema, &records.schema);
        let judge = Judge::new(resolution, met, &reading.forms, schemas);
        let rows = reading.streams(&statement).await?;
        let (of_edges, of_records) = rows.into_iter().map(|rows| judge.judged(rows)).unzip();
        // Neither goes on without the other: see `Judge::judged`.
        futures::try_join!(
            self.replace_companion(edges, of_edges, lookup::EDGES),
            self.replace_companion(records, of_records, lookup::RECORDS),
        )
    }

    /// The ids that published records had first, for a reading that writes them anew.
    async fn first_ids(
        &self,
        reading: &Reading<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<RecordsMet, EngineError> {
        let met = resolution.records_met();
        let Some(previous) = self
            .previous_provider(reading.node, Some("records"))
            .await?
        else {
            return Ok(met);
        };
        let columns = previous.schema();
        let statement =
            self.engine
                .statement(false)
                .over_table("records", Some(previous), &columns)?;
        let sql = "SELECT source, record_id, first_canonical_id FROM kinfold._run.records";
        let resolution = Arc::clone(resolution);
        let fed = feed(
            statement.streams(sql).await?,
            &self.request.cancel,
            move |batch| first_ids_of(&batch, &resolution),
            met,
            |met, firsts| {
                firsts.into_iter().for_each(|first| met.recall(first));
                Ok(())
            },
        );
        fed.await?
            .map_err(|source| self.identity_error(reading.node, source))
    }

    async fn write_alarms(
        &self,
        reading: &Reading<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<StoredTable, EngineError> {
        let alarms = reading.companion("alarms")?;
        let rows = alarm_rows(resolution, &alarms.schema);
        self.replace_companion(alarms, vec![rows], &[]).await
    }

    async fn write_changes(
        &self,
        reading: &Reading<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<(StoredTable, StoredTable), EngineError> {
        let changes = reading.companion("changes")?;
        let schema = &changes.schema;
        let previous = self
            .previous_provider(reading.node, Some("changes"))
            .await?;
        let statement = self
            .engine
            .statement(false)
            .over_table("changes", previous, schema)?;
        let before = statement
            .streams("SELECT * FROM kinfold._run.changes")
            .await?;
        let mut streams: Vec<SendableRecordBatchStream> = before
            .into_iter()
            .map(|s| under_schema(s, schema))
            .collect();
        streams.push(change_rows(resolution, &self.engine.clock, schema));
        let changes = self
            .replace_companion(changes, streams, lookup::CHANGES)
            .await?;
        let aliases = reading.companion("aliases")?;
        let aliases = self.engine.write_aliases(aliases, &changes).await?;
        Ok((changes, aliases))
    }

    async fn replace_companion(
        &self,
        companion: &CompiledCompanion,
        streams: Vec<SendableRecordBatchStream>,
        index: IndexColumns,
    ) -> Result<StoredTable, EngineError> {
        let relation = &companion.relation;
        let at = (relation.schema.as_str(), relation.name.as_str());
        self.engine
            .replace_indexed(at, Arc::clone(&companion.schema), streams, index)
            .await
    }
}

fn first_ids_of(batch: &RecordBatch, resolution: &Resolution) -> Result<Vec<FirstId>, RowsError> {
    let (sources, records, ids) = (text(batch, 0)?, text(batch, 1)?, text(batch, 2)?);
    let rows = sources.iter().zip(records).zip(ids);
    let firsts = rows.filter_map(|((source, record), id)| {
        let first = CanonicalId::from_str(id?).ok()?;
        resolution.first_of(source?, record?, first)
    });
    Ok(firsts.collect())
}
