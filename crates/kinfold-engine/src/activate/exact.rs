//! Comparing only what has changed, where that is known exactly.
//!
//! After a run that left nothing open, every row of the model is confirmed or waits. If the model is read
//! row by row from one table, the next run need not read what both versions of that table have in common: a
//! key can have changed only if one of its rows is in a file that only one of them has. Whatever casts doubt
//! on that leads to the full comparison, whose result is the same:
//!
//! - a key of an added file that the state knows and no removed file had: it may be in the model twice now;
//! - a row that cannot be sent: all of them are listed again;
//! - a refused row that is due: it may be anywhere in the model.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::Column;
use futures::TryStreamExt;
use kinfold_compile::compile::{CompiledSync, Determinism};
use kinfold_compile::relation::RelationKey;
use kinfold_lake::{Difference, Lake};
use kinfold_project::Sync;
use serde::{Deserialize, Serialize};

use super::SyncRequest;
use super::canonical::{self, Cell, NullForm, ObjectEncoder, text_hash};
use super::changeset::{Changeset, Extents, SinkMaker, Tally};
use super::compare::{Comparison, Part, key_hash};
use super::keys::Hash;
use super::lines::hex;
use super::state::{Place, State};
use crate::published::{PublishedState, StoredTable};
use crate::stream::Providers;
use crate::{Engine, EngineError};

const FORMAT: u64 = 1;
/// If more of the model than one part in so many is in other files, all of it is compared.
const WORTH_IT: u64 = 3;

/// What a comparison saw after which nothing was open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Compared {
    format: u64,
    /// Ordinal of the state that it led to.
    ordinal: i64,
    /// Hash of everything else that decides what is to be sent.
    meaning: String,
    /// What was read, by relation.
    inputs: BTreeMap<String, StoredTable>,
    extents: Extents,
}

impl Compared {
    /// What the last comparison saw; none if it left something open, or something else has changed since.
    pub(super) async fn read(
        engine: &Engine,
        place: &Place,
        request: &SyncRequest<'_>,
        state: &State,
        nulls: &[NullForm],
    ) -> Result<Option<Self>, EngineError> {
        if !is_whole(request) || request.compiled.determinism != Determinism::Fixed {
            return Ok(None);
        }
        let Some(bytes) = engine.lake.get(&place.compared()).await? else {
            return Ok(None);
        };
        // Whatever cannot be read is made anew by a full comparison.
        let compared: Option<Self> = serde_json::from_slice(&bytes).ok();
        Ok(compared.filter(|compared| {
            compared.format == FORMAT
                && compared.ordinal == state.ordinal
                && compared.meaning == meaning(request, nulls)
                && compared.extents.next_due > engine.clock.as_of.timestamp_micros()
        }))
    }

    /// Remembers what was seen.
    pub(super) async fn write(
        lake: &Lake,
        place: &Place,
        request: &SyncRequest<'_>,
        published: &PublishedState,
        (ordinal, extents): (i64, Extents),
        nulls: &[NullForm],
    ) -> Result<(), EngineError> {
        let inputs = inputs(published, request.compiled);
        let compared = Self {
            format: FORMAT,
            ordinal,
            meaning: meaning(request, nulls),
            inputs,
            extents,
        };
        let name = place.compared();
        let json =
            serde_json::to_vec_pretty(&compared).map_err(|source| EngineError::Document {
                name: name.clone(),
                source,
            })?;
        Ok(lake.put(&name, Bytes::from(json)).await?)
    }

    /// The changeset, if it can be had from what has changed alone.
    pub(super) async fn changeset(
        &self,
        comparison: &Comparison<'_>,
        published: &PublishedState,
        sinks: &SinkMaker<'_>,
    ) -> Result<Option<Changeset>, EngineError> {
        let now = inputs(published, comparison.compiled);
        if now.len() == self.inputs.len() && now == self.inputs {
            let tally = Tally::untouched(&self.extents, 0, 0);
            return Ok(Some(Changeset::nothing(tally)));
        }
        // Whether a scope is still there is for all rows to say.
        if !comparison.rules.scope.is_empty() {
            return Ok(None);
        }
        let Some((relation, difference)) = self.difference(comparison, &now).await? else {
            return Ok(None);
        };
        let gone = keys(comparison, &relation, &difference.removed).await?;
        let came = keys(comparison, &relation, &difference.added).await?;
        let (Some(gone), Some(came)) = (gone, came) else {
            return Ok(None);
        };
        let only: HashSet<Hash> = gone.union(&came).copied().collect();
        let providers: Providers = BTreeMap::from([(relation, Arc::clone(&difference.added))]);
        let mut rules = comparison.rules.clone();
        rules.only = Some(Arc::new(only));
        let changed = Comparison {
            providers: &providers,
            rules,
            ..*comparison
        };
        let whole = Part { index: 0, of: 1 };
        let (table, mappings) = changed.load(whole).await?;
        if came.difference(&gone).any(|key| table.has(*key)) {
            return Ok(None);
        }
        let untouched = Tally::untouched(&self.extents, gone.len() as u64, table.troubled());
        let sinks = sinks.attempt(u32::MAX);
        let mut found = Box::pin(changed.past(whole, &table, &mappings, false, &sinks)).await?;
        if found.tally.invalid > 0 {
            return Ok(None);
        }
        found.tally.beside(&untouched);
        found.exact = true;
        Ok(Some(found))
    }

    /// What has changed in the only table that the mapping reads, row by row.
    async fn difference(
        &self,
        comparison: &Comparison<'_>,
        now: &BTreeMap<String, StoredTable>,
    ) -> Result<Option<(RelationKey, Difference)>, EngineError> {
        let [relation] = comparison.compiled.reads.as_slice() else {
            return Ok(None);
        };
        let name = relation.to_string();
        let (Some(newer), Some(older)) = (now.get(&name), self.inputs.get(&name)) else {
            return Ok(None);
        };
        if !is_row_by_row(&comparison.compiled.plan) {
            return Ok(None);
        }
        let difference = comparison.engine.difference(newer, older).await?;
        Ok(difference.and_then(|difference| {
            let rows = difference.added_rows?.max(difference.removed_rows?);
            let worth_it = rows.saturating_mul(WORTH_IT) <= self.extents.present;
            worth_it.then(|| (relation.clone(), difference))
        }))
    }
}

/// Lets the next runs of these syncs look at every row: files of the versions that they saw are gone.
pub(crate) async fn forget_comparisons(engine: &Engine, syncs: &[Sync]) -> Result<(), EngineError> {
    for sync in syncs {
        let place = Place::of(engine, sync)?;
        engine.lake.delete(&place.compared()).await?;
    }
    Ok(())
}

/// Whether a run looks at every row.
pub(super) fn is_whole(request: &SyncRequest<'_>) -> bool {
    request.scope.limit.is_none() && request.scope.keys.is_empty() && request.approve.is_none()
}

fn inputs(published: &PublishedState, compiled: &CompiledSync) -> BTreeMap<String, StoredTable> {
    let tables = compiled.reads.iter().filter_map(|relation| {
        let table = published.document.table(relation)?;
        Some((relation.to_string(), table.clone()))
    });
    tables.collect()
}

fn meaning(request: &SyncRequest<'_>, nulls: &[NullForm]) -> String {
    let (sync, compiled) = (request.sync, request.compiled);
    let text = format!(
        "{} {} {:?} {} {}",
        compiled.fingerprint,
        sync.mode.value.as_str(),
        sync.mirror_scope
            .iter()
            .map(|field| &field.value)
            .collect::<Vec<_>>(),
        sync.on_leave.value.as_str(),
        canonical::cleared(&compiled.fields, nulls),
    );
    hex(&text_hash(&text))
}

/// Whether each row of a plan comes from one row of its only table, and from nothing else.
fn is_row_by_row(plan: &LogicalPlan) -> bool {
    let mut tables = 0;
    let mut only_known = true;
    let walked = plan.apply(|node| {
        only_known &= match node {
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
                true
            }
            LogicalPlan::TableScan(scan) => {
                tables += 1;
                scan.fetch.is_none()
            }
            _ => false,
        };
        only_known &= node.expressions().iter().all(looks_at_one_row);
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && only_known && tables == 1
}

fn looks_at_one_row(expression: &Expr) -> bool {
    let beyond = expression.exists(|part| {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::Unnest(_)
        ))
    });
    matches!(beyond, Ok(false))
}

/// The keys that a mapping gives for the rows of a table; none if one of them is not usable or comes twice.
async fn keys(
    comparison: &Comparison<'_>,
    relation: &RelationKey,
    table: &Arc<dyn TableProvider>,
) -> Result<Option<HashSet<Hash>>, EngineError> {
    let compiled = comparison.compiled;
    let columns = compiled.plan.schema().columns();
    let columns: Vec<Column> = columns
        .into_iter()
        .take(compiled.key_fields.len())
        .collect();
    let plan = LogicalPlanBuilder::from(compiled.plan.clone())
        .project(columns.into_iter().map(Expr::Column))?
        .build()?;
    let providers = BTreeMap::from([(relation.clone(), Arc::clone(table))]);
    let mut found = HashSet::new();
    let mut key = String::new();
    for mut stream in comparison.engine.streams(&plan, &providers, false).await? {
        while let Some(batch) = stream.try_next().await? {
            if comparison.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let keys = ObjectEncoder::new(&compiled.key_fields, batch.columns());
            let keys = keys.map_err(DataFusionError::from)?;
            for row in 0..batch.num_rows() {
                key.clear();
                let mut usable = true;
                keys.write(row, &mut key, |cell| usable &= cell == Cell::Value);
                if !usable || !found.insert(key_hash(&key)) {
                    return Ok(None);
                }
            }
        }
    }
    Ok(Some(found))
}
