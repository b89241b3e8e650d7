//! Who is who → the relation and its companions.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use futures::future::try_join4;
use kinfold_compile::compile::CompiledCompanion;
use kinfold_identity::Resolution;

use super::Reading;
use super::columns::{alarm_rows, change_rows, identifiers};
use super::edges::Judge;
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
        let own = self.engine.replace(
            at,
            Arc::clone(schema),
            identifiers(resolution, schema, parts),
            None,
        );
        let (own, (edges, records), alarms, changes) = try_join4(
            own,
            self.write_edges(reading, providers, resolution),
            self.write_alarms(reading, resolution),
            self.write_changes(reading, resolution),
        )
        .await?;
        let companions = BTreeMap::from([
            ("edges".to_owned(), edges),
            ("records".to_owned(), records),
            ("alarms".to_owned(), alarms),
            ("changes".to_owned(), changes),
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
        let judge = Judge::new(resolution, &reading.forms, &edges.schema, &records.schema);
        let rows = statement.streams(&reading.sql).await?;
        let (of_edges, of_records) = rows.into_iter().map(|rows| judge.judged(rows)).unzip();
        // Neither goes on without the other: see `Judge::judged`.
        futures::try_join!(
            self.replace_companion(edges, of_edges),
            self.replace_companion(records, of_records),
        )
    }

    async fn write_alarms(
        &self,
        reading: &Reading<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<StoredTable, EngineError> {
        let alarms = reading.companion("alarms")?;
        let rows = alarm_rows(resolution, &alarms.schema);
        self.replace_companion(alarms, vec![rows]).await
    }

    async fn write_changes(
        &self,
        reading: &Reading<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<StoredTable, EngineError> {
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
        self.replace_companion(changes, streams).await
    }

    async fn replace_companion(
        &self,
        companion: &CompiledCompanion,
        streams: Vec<SendableRecordBatchStream>,
    ) -> Result<StoredTable, EngineError> {
        let relation = &companion.relation;
        let at = (relation.schema.as_str(), relation.name.as_str());
        self.engine
            .replace(at, Arc::clone(&companion.schema), streams, None)
            .await
    }
}
