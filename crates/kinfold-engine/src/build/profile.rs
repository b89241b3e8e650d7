//! Materialization `profile`: one row of traits per canonical id, and what they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use kinfold_compile::compile::{CompiledCompanion, CompiledNode};

use super::statement::quoted;
use super::table::{Made, Mark};
use super::{Pinned, Run};
use crate::EngineError;
use crate::published::StoredTable;
use crate::stream::under_schema;

const HISTORY: &str = include_str!("../../../../sql/materialize/profile_history.sql");

impl Run<'_> {
    pub(super) async fn profile(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<Made, EngineError> {
        let (Some(plan), Some(relation), Some(schema)) = (&node.plan, &node.relation, &node.schema)
        else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .map(|f| match f.name().as_str() {
                "canonical_id" => "CAST(canonical_id AS VARCHAR) AS canonical_id".to_owned(),
                other => quoted(other),
            })
            .collect();
        let sql = format!("SELECT {} FROM kinfold._run.query", columns.join(", "));
        let statement = self
            .engine
            .statement(false)
            .over_plan("query", plan, providers)?;
        let planned = crate::stream::nullable(plan.schema().as_arrow());
        let streams = statement.streams(&sql).await?;
        let streams = streams
            .into_iter()
            .map(|s| {
                let announced = crate::stream::nullable(&s.schema());
                under_schema(s, &announced)
            })
            .collect::<Vec<_>>();
        let announced = streams.first().map_or(planned, |s| s.schema());
        let at = (relation.schema.as_str(), relation.name.as_str());
        let current = self.engine.replace(at, announced, streams, None).await?;
        self.engine.one_row_per_id(node, &current, schema).await?;
        let mut companions = BTreeMap::new();
        for companion in node.companions.iter().filter(|c| c.suffix == "history") {
            let history = self
                .profile_history(node, companion, &current, schema)
                .await?;
            companions.insert(companion.suffix.to_owned(), history);
        }
        self.engine
            .mark(
                at,
                schema,
                &current,
                Mark {
                    key,
                    companions: &companions,
                },
            )
            .await
            .map(|table| Made { table, companions })
    }

    async fn profile_history(
        &self,
        node: &CompiledNode,
        companion: &CompiledCompanion,
        current: &StoredTable,
        columns: &SchemaRef,
    ) -> Result<StoredTable, EngineError> {
        let schema = &companion.schema;
        let names: Vec<String> = columns.fields().iter().map(|f| quoted(f.name())).collect();
        let same: Vec<String> = columns
            .fields()
            .iter()
            .map(|f| {
                let name = quoted(f.name());
                // The id is an equality, so that the join is one over hashed keys.
                if f.name() == "canonical_id" {
                    format!("(c.{name} = h.{name})")
                } else {
                    format!("(c.{name} IS NOT DISTINCT FROM h.{name})")
                }
            })
            .collect();
        let with_alias = |alias: &str| {
            names
                .iter()
                .map(|n| format!("{alias}.{n}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let sql = HISTORY
            .replace("{carried}", &with_alias("h"))
            .replace("{columns}", &with_alias("c"))
            .replace("{same}", &all_of(&same));
        let previous = self.previous_provider(node, Some(companion.suffix)).await?;
        let provider = self.engine.provider(current).await?;
        let statement = self
            .engine
            .statement(false)
            .over_table("current", Some(provider), columns)?
            .over_table("history", previous, schema)?;
        let streams = statement.streams(&sql).await?;
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

/// A conjunction as a balanced tree: a chain would be as deep as a profile is wide, and the parser
/// bounds depth.
fn all_of(conditions: &[String]) -> String {
    match conditions {
        [] => "true".to_owned(),
        [one] => one.clone(),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            format!("({} AND {})", all_of(left), all_of(right))
        }
    }
}
