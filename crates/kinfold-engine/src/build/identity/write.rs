//! Who is who → the relation and its companions.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinfold_identity::Resolution;

use super::Reading;
use super::columns::{alarm_rows, change_rows, identifiers};
use super::rows::judged;
use crate::EngineError;
use crate::build::table::{Made, Mark};
use crate::build::{Pinned, Run};
use crate::published::StoredTable;
use crate::stream::under_schema;

const RECORDS: &str = include_str!("../../../../../sql/materialize/identity_records.sql");

impl Run<'_> {
    /// Writes what a resolution says of identifiers, records and rows, and what changed.
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
        let own = self
            .engine
            .replace(
                at,
                Arc::clone(schema),
                vec![identifiers(Arc::clone(resolution), schema)],
                None,
            )
            .await?;
        let companions = self
            .identity_companions(reading, providers, resolution)
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

    async fn identity_companions(
        &self,
        reading: &Reading<'_>,
        providers: Pinned<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<BTreeMap<String, StoredTable>, EngineError> {
        let Reading {
            node, sql, forms, ..
        } = reading;
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
            streams.push(change_rows(resolution, &self.engine.clock, schema));
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
}
