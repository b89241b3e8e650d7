//! Materialization `incremental`: rows are added to what there is, and replace what has their key.
//!
//! A run goes on from what is published, not from the newest version of the table: what an interrupted run has
//! written, or one whose tests failed, is undone by the next commit. New rows are written to files first and read
//! from there, so that a query that takes its time, or would not give the same again, runs once.

mod keys;
mod past;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast, ident, lit};
use kinfold_compile::compile::{CompiledNode, Increment};
use kinfold_compile::growth::{in_columns_of, with_kept};
use kinfold_compile::relation::{RelationKey, pin};
use kinfold_compile::render::{IncrementalRules, IncrementalStrategy, OnSchemaChange};
use kinfold_lake::{Snapshot, Staged, TablePath};

use super::table::{Made, Mark};
use super::{Pinned, Run};
use crate::EngineError;
use crate::published::StoredTable;
use crate::stream::{Providers, is_out_of_memory, nullable, streams_of, under_schema};

pub(super) use past::{Past, detail, marked};

/// What was done, in words for the reason of a build.
pub(super) struct Grown {
    pub made: Made,
    pub how: String,
}

/// A run that adds to a table.
struct Growth<'a> {
    node: &'a CompiledNode,
    increment: &'a Increment,
    rules: &'a IncrementalRules,
    /// What there is, in the columns of the model.
    table: StoredTable,
    path: TablePath,
    base: Snapshot,
    providers: Providers,
    spilling: bool,
}

impl Run<'_> {
    /// Adds the rows of a node's second form to what is published of it.
    pub(super) async fn increment(
        &self,
        node: &CompiledNode,
        past: &Past,
        providers: Pinned<'_>,
        mark: &str,
    ) -> Result<Grown, EngineError> {
        match self
            .increment_once(node, past, providers, mark, false)
            .await
        {
            // Hash joins cannot spill; sort-merge joins can.
            Err(error) if is_out_of_memory(&error) => {
                self.increment_once(node, past, providers, mark, true).await
            }
            other => other,
        }
    }

    async fn increment_once(
        &self,
        node: &CompiledNode,
        past: &Past,
        providers: Pinned<'_>,
        mark: &str,
        spilling: bool,
    ) -> Result<Grown, EngineError> {
        let (Some(increment), Some(rules)) = (&node.increment, &node.config.incremental) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let path = TablePath::new(&past.table.path)?;
        let mut base = self.base(&path, past.table.version).await?;
        let mut table = past.table.clone();
        if past.other_columns
            && let Some(other) = self.with_columns_of(node, rules, &base).await?
        {
            base = self.base(&path, other.version).await?;
            table = other;
        }
        let mut providers = providers.clone();
        providers.insert(RelationKey::own(node.id.clone()), base.provider()?);
        let growth = Growth {
            node,
            increment,
            rules,
            table,
            path,
            base,
            providers,
            spilling,
        };
        let staged = self.stage(&growth).await?;
        match self.settle_staged(&growth, &staged).await {
            Ok(Settled::Same) => {
                self.engine.lake.discard(staged).await;
                Ok(grown(growth.table, "nothing is new".to_owned()))
            }
            Ok(Settled::Rows(places)) => self.commit(&growth, staged, &places, mark).await,
            Ok(Settled::Fewer(fewer, places)) => {
                self.engine.lake.discard(staged).await;
                self.commit(&growth, *fewer, &places, mark).await
            }
            Err(error) => {
                self.engine.lake.discard(staged).await;
                Err(error)
            }
        }
    }

    async fn base(&self, path: &TablePath, version: u64) -> Result<Snapshot, EngineError> {
        let base = self.engine.lake.snapshot(path, Some(version)).await?;
        base.ok_or_else(|| EngineError::TableMissing(path.as_str().to_owned()))
    }

    /// The rows that are there in the columns that the model has now, if these are others. What was not there is
    /// null.
    async fn with_columns_of(
        &self,
        node: &CompiledNode,
        rules: &IncrementalRules,
        base: &Snapshot,
    ) -> Result<Option<StoredTable>, EngineError> {
        let (Some(schema), Some(relation)) = (&node.schema, &node.relation) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let (before, now) = (nullable(&base.schema()), nullable(schema));
        if before == now {
            return Ok(None);
        }
        let gone = before
            .fields()
            .iter()
            .any(|field| now.field_with_name(field.name()).is_err());
        match rules.on_schema_change {
            OnSchemaChange::SyncAllColumns => {}
            OnSchemaChange::AppendNewColumns if !gone => {}
            _ => return Err(EngineError::ColumnsChanged(node.id.clone())),
        }
        let columns = now.fields().iter().map(|field| {
            let (name, data_type) = (field.name(), field.data_type().clone());
            let value = match before.field_with_name(name) {
                Ok(_) => ident(name),
                Err(_) => lit(ScalarValue::Null),
            };
            cast(value, data_type).alias(name)
        });
        let source = provider_as_source(base.provider()?);
        let plan = LogicalPlanBuilder::scan("there", source, None)?
            .project(columns)?
            .build()?;
        let streams = streams_of(&self.engine.session(false), &plan).await?;
        let streams = streams.into_iter().map(|s| under_schema(s, &now)).collect();
        let at = (relation.schema.as_str(), relation.name.as_str());
        let table = self
            .engine
            .replace(at, Arc::clone(&now), streams, None)
            .await?;
        Ok(Some(table))
    }

    /// Writes the new rows to files.
    async fn stage(&self, growth: &Growth<'_>) -> Result<Staged, EngineError> {
        let plan = self.increment_plan(growth)?;
        let state = self.engine.session(growth.spilling);
        let streams = streams_of(&state, &plan).await?;
        self.stage_streams(growth, streams).await
    }

    async fn stage_streams(
        &self,
        growth: &Growth<'_>,
        streams: Vec<SendableRecordBatchStream>,
    ) -> Result<Staged, EngineError> {
        let schema = nullable(&growth.base.schema());
        let streams = streams.into_iter().map(|s| under_schema(s, &schema));
        let lake = &self.engine.lake;
        Ok(lake
            .stage(&growth.path, &growth.base, streams.collect())
            .await?)
    }

    /// The plan of the new rows, in the columns of the table.
    fn increment_plan(&self, growth: &Growth<'_>) -> Result<LogicalPlan, EngineError> {
        let table = growth.base.schema();
        let plan = pin(growth.increment.plan.clone(), &growth.providers)?;
        let plan = in_columns_of(plan, &table)?;
        let source = provider_as_source(growth.base.provider()?);
        let there = LogicalPlanBuilder::scan("there", source, None)?.build()?;
        Ok(with_kept(plan, there, growth.rules, &table)?)
    }

    /// What the new rows replace.
    async fn settle_staged(
        &self,
        growth: &Growth<'_>,
        staged: &Staged,
    ) -> Result<Settled, EngineError> {
        if staged.rows() == 0 {
            return Ok(Settled::Same);
        }
        let key = &growth.rules.key;
        if key.is_empty() {
            return Ok(Settled::Rows(BTreeMap::new()));
        }
        let names: Vec<&str> = key.iter().map(|column| column.value.as_str()).collect();
        if growth.rules.strategy != IncrementalStrategy::Merge {
            let places = self.places(growth, staged.provider(), &names).await?;
            return Ok(Settled::Rows(places));
        }
        self.one_row_per_key(growth, staged, &names).await?;
        let changed = self.changed_rows(growth, staged).await?;
        let Some(changed) = changed else {
            let places = self.places(growth, staged.provider(), &names).await?;
            return Ok(Settled::Rows(places));
        };
        if changed.rows() == 0 {
            self.engine.lake.discard(changed).await;
            return Ok(Settled::Same);
        }
        match self.places(growth, changed.provider(), &names).await {
            Ok(places) => Ok(Settled::Fewer(Box::new(changed), places)),
            Err(error) => {
                self.engine.lake.discard(changed).await;
                Err(error)
            }
        }
    }

    async fn commit(
        &self,
        growth: &Growth<'_>,
        staged: Staged,
        places: &Places,
        mark: &str,
    ) -> Result<Grown, EngineError> {
        let relation = &growth.table.relation;
        let companions = BTreeMap::new();
        let mark = Mark {
            key: mark,
            companions: &companions,
        };
        let added = staged.rows();
        let note = self.engine.note(&growth.path, Some(mark)).await?;
        let lake = &self.engine.lake;
        let written = lake.advance(&growth.base, places, staged, note).await?;
        let relation = (relation.0.as_str(), relation.1.as_str());
        let table = self
            .engine
            .stored(relation, &growth.path, written.version)
            .await?;
        let how = match written.removed_rows {
            0 => format!("{} added", rows(added)),
            removed => format!("{} written in the place of {removed}", rows(added)),
        };
        Ok(grown(table, how))
    }
}

fn rows(count: u64) -> String {
    match count {
        1 => "1 row".to_owned(),
        count => format!("{count} rows"),
    }
}

/// Places of rows by file.
type Places = BTreeMap<String, Vec<u64>>;

/// What becomes of rows that are staged.
enum Settled {
    /// All are there already.
    Same,
    /// They replace these.
    Rows(Places),
    /// Only these of them are new, and replace these.
    Fewer(Box<Staged>, Places),
}

fn grown(table: StoredTable, how: String) -> Grown {
    let made = Made {
        table,
        companions: BTreeMap::new(),
    };
    Grown { made, how }
}
