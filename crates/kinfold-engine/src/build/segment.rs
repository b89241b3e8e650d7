//! Materialization `segment`: who is a member, since when, and who was.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Int64Type, SchemaRef};
use kinfold_compile::compile::{CompiledCompanion, CompiledNode, segment_extra_columns};

use super::statement::quoted;
use super::table::{Made, Mark};
use super::{Pinned, Run};
use crate::published::StoredTable;
use crate::stream::under_schema;
use crate::{Engine, EngineError};

const MEMBERS: &str = include_str!("../../../../sql/materialize/segment.sql");
const HISTORY: &str = include_str!("../../../../sql/materialize/segment_history.sql");
const KEY_CHECK: &str = include_str!("../../../../sql/materialize/key_check.sql");

impl Run<'_> {
    pub(super) async fn segment(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<Made, EngineError> {
        let (Some(plan), Some(relation), Some(schema)) = (&node.plan, &node.relation, &node.schema)
        else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let extra: Vec<String> = segment_extra_columns(plan.schema().as_arrow())
            .iter()
            .map(|f| quoted(f.name()))
            .collect();
        let columns: String = extra.iter().map(|c| format!(", {c}")).collect();
        let carried: String = extra.iter().map(|c| format!(", q.{c}")).collect();
        let sql = MEMBERS
            .replace("{columns}", &columns)
            .replace("{carried}", &carried);
        let previous = self.previous_provider(node, None).await?;
        let previous = previous.filter(|p| p.schema().field_with_name("entered_at").is_ok());
        let shape = previous
            .as_ref()
            .map_or_else(|| Arc::clone(schema), |p| p.schema());
        let statement = self
            .engine
            .statement(false)
            .over_plan("query", plan, providers)?
            .over_table("previous", previous, &shape)?;
        let streams = statement.streams(&sql).await?;
        let streams = streams
            .into_iter()
            .map(|s| under_schema(s, schema))
            .collect();
        // Without a mark: the table is complete only with its history, which is written next.
        let at = (relation.schema.as_str(), relation.name.as_str());
        let members = self
            .engine
            .replace(at, Arc::clone(schema), streams, None)
            .await?;
        self.engine.one_row_per_id(node, &members, schema).await?;
        let mut companions = BTreeMap::new();
        for companion in &node.companions {
            let history = self
                .segment_history(node, companion, &members, schema)
                .await?;
            companions.insert(companion.suffix.to_owned(), history);
        }
        self.engine
            .mark(
                at,
                schema,
                &members,
                Mark {
                    key,
                    companions: &companions,
                },
            )
            .await
            .map(|table| Made { table, companions })
    }

    async fn segment_history(
        &self,
        node: &CompiledNode,
        companion: &CompiledCompanion,
        members: &StoredTable,
        columns: &SchemaRef,
    ) -> Result<StoredTable, EngineError> {
        let schema = &companion.schema;
        let previous = self.previous_provider(node, Some(companion.suffix)).await?;
        let current = self.engine.provider(members).await?;
        let statement = self
            .engine
            .statement(false)
            .over_table("members", Some(current), columns)?
            .over_table("history", previous, schema)?;
        let streams = statement.streams(HISTORY).await?;
        let streams = streams
            .into_iter()
            .map(|s| under_schema(s, schema))
            .collect();
        let at = (
            companion.relation.schema.as_str(),
            companion.relation.name.as_str(),
        );
        self.engine
            .replace(at, Arc::clone(schema), streams, None)
            .await
    }
}

impl Engine {
    /// Refuses a relation in which an id is missing or stands twice.
    pub(super) async fn one_row_per_id(
        &self,
        node: &CompiledNode,
        table: &StoredTable,
        columns: &SchemaRef,
    ) -> Result<(), EngineError> {
        let current = self.provider(table).await?;
        let rows = self
            .statement(false)
            .over_table("current", Some(current), columns)?
            .rows(KEY_CHECK)
            .await?;
        let count = |name: &str| {
            let batch = rows.first()?;
            let column = batch
                .column_by_name(name)?
                .as_primitive_opt::<Int64Type>()?;
            (!column.is_empty())
                .then(|| column.value(0))
                .and_then(|n| u64::try_from(n).ok())
        };
        for (column, what) in [
            ("missing", "have no `canonical_id`"),
            ("repeated", "repeat the `canonical_id` of another row"),
        ] {
            let rows = count(column).unwrap_or(0);
            if rows > 0 {
                return Err(EngineError::Contract {
                    node: node.id.clone(),
                    rows,
                    what,
                });
            }
        }
        Ok(())
    }
}
