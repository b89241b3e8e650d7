//! Whether what is published can be amended with the rows that came since, or all rows have to be read.
//!
//! It can if the model gives a row for each row of its inputs, which only grew, under the same rules,
//! and if what is published says everything about the rows behind it:
//! [`kinfold_identity::Resolution::hinges_on_rows`].

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::{Expr, LogicalPlan};
use kinfold_compile::compile::Determinism;
use kinfold_compile::relation::RelationKey;
use kinfold_lake::{IndexColumns, Snapshot, TablePath};
use kinfold_project::IdentityRules;
use serde::{Deserialize, Serialize};

use super::{Reading, lookup};
use crate::EngineError;
use crate::build::{Run, kind_of};
use crate::published::{PublishedNode, StoredTable};
use crate::stream::Providers;

const FORMAT: u64 = 2;
/// If more than one row in so many is new, all of them are read.
const WORTH_IT: u64 = 4;
/// If more than one row in so many is deleted in place, the tables are written anew.
const MOST_DELETED: u64 = 10;

/// What a run says to the next one, in the environment's document.
#[derive(Serialize, Deserialize)]
pub(super) struct Left {
    format: u64,
    /// Hash of the rules.
    rules: String,
    /// Which list of people who were erased was held against the rows.
    suppressed: String,
    /// Whether later rows need those of this run.
    hinges_on_rows: bool,
}

impl Left {
    pub(super) fn of(reading: &Reading<'_>, hinges_on_rows: bool) -> serde_json::Value {
        let left = Self {
            format: FORMAT,
            rules: hash_of(reading.rules),
            suppressed: reading.suppression.version().to_owned(),
            hinges_on_rows,
        };
        serde_json::to_value(left).unwrap_or_default()
    }
}

/// The salt is a secret, so the document gets a hash.
fn hash_of(rules: &IdentityRules) -> String {
    blake3::hash(format!("{rules:?}").as_bytes())
        .to_hex()
        .to_string()
}

/// A published table that is to be amended.
pub(super) struct Published {
    pub(super) stored: StoredTable,
    pub(super) path: TablePath,
    pub(super) snapshot: Snapshot,
    pub(super) index: IndexColumns,
}

/// Rows that came since, and what is published without them.
pub(super) struct Addition {
    /// The inputs of the model with new rows only.
    pub(super) providers: Providers,
    /// Rows of the inputs that are new.
    pub(super) rows: u64,
    pub(super) own: Published,
    pub(super) edges: Published,
    pub(super) records: Published,
    pub(super) changes: Published,
    pub(super) history: Published,
    pub(super) aliases: StoredTable,
    pub(super) alarms: StoredTable,
}

/// Why all rows are read.
pub(super) type Why = &'static str;

impl Run<'_> {
    /// What is to be added to what is published; else why all rows have to be read, which is empty if
    /// the reason to build says it already.
    pub(super) async fn addition(
        &self,
        reading: &Reading<'_>,
    ) -> Result<Result<Addition, Why>, EngineError> {
        let node = reading.node;
        let Some(previous) = self.published.nodes.get(&node.id) else {
            return Ok(Err(""));
        };
        if self.request.full_refresh
            || previous.kind != kind_of(node)
            || previous.fingerprint != node.fingerprint.to_string()
        {
            return Ok(Err(""));
        }
        let Ok(left) = serde_json::from_value::<Left>(previous.detail.clone()) else {
            return Ok(Err("the last run left nothing to go on"));
        };
        if left.format != FORMAT || left.rules != hash_of(reading.rules) {
            return Ok(Err("its rules changed"));
        }
        if left.suppressed != reading.suppression.version() {
            return Ok(Err("somebody was erased"));
        }
        if left.hinges_on_rows {
            return Ok(Err(
                "rules, links or decisions weigh rows against each other",
            ));
        }
        let row_wise = node.plan.as_ref().is_some_and(is_row_by_row);
        if node.determinism != Determinism::Fixed || !row_wise {
            return Ok(Err(
                "the model does not give a row for each row of its inputs",
            ));
        }
        let (providers, rows) = match self.new_rows(reading, previous).await? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        self.published_tables(reading, previous, providers, rows)
            .await
    }

    async fn new_rows(
        &self,
        reading: &Reading<'_>,
        previous: &PublishedNode,
    ) -> Result<Result<(Providers, u64), Why>, EngineError> {
        let mut providers: Providers = BTreeMap::new();
        let mut rows = 0_u64;
        for relation in &reading.node.reads {
            let Some(newer) = self.next.table(relation) else {
                return Err(EngineError::NotBuilt(relation.node.clone()));
            };
            let older = previous.inputs.get(&relation.to_string());
            let Some(older) = older.and_then(|identity| at_version(newer, identity)) else {
                return Ok(Err("an input is another table"));
            };
            if older.version == newer.version {
                let columns = self.engine.provider(newer).await?.schema();
                providers.insert(relation.clone(), Arc::new(EmptyTable::new(columns)));
                continue;
            }
            let Some(difference) = self.engine.difference(newer, &older).await? else {
                return Ok(Err("what changed in an input is not known"));
            };
            if difference.removed_rows != Some(0) {
                return Ok(Err("rows of an input were rewritten or removed"));
            }
            let Some(added) = difference.added_rows else {
                return Ok(Err("how many rows of an input are new is not known"));
            };
            rows += added;
            providers.insert(RelationKey::clone(relation), difference.added);
        }
        Ok(Ok((providers, rows)))
    }

    async fn published_tables(
        &self,
        reading: &Reading<'_>,
        previous: &PublishedNode,
        providers: Providers,
        rows: u64,
    ) -> Result<Result<Addition, Why>, EngineError> {
        let companion = |suffix| previous.companions.get(suffix);
        let tables = [
            previous.table.as_ref(),
            companion("edges"),
            companion("records"),
            companion("changes"),
            companion("history"),
            companion("aliases"),
            companion("alarms"),
        ];
        let [
            Some(own),
            Some(edges),
            Some(records),
            Some(changes),
            Some(history),
            Some(aliases),
            Some(alarms),
        ] = tables
        else {
            return Ok(Err("not all of its tables are published"));
        };
        if rows.saturating_mul(WORTH_IT) > edges.rows.unwrap_or(0) {
            return Ok(Err("much of its inputs is new"));
        }
        let mut tables = Vec::new();
        for (stored, index) in [
            (own, lookup::IDENTIFIERS),
            (edges, lookup::EDGES),
            (records, lookup::RECORDS),
            (changes, lookup::CHANGES),
            (history, lookup::HISTORY),
        ] {
            let ours = self
                .engine
                .table_path(&stored.relation.0, &stored.relation.1)?;
            if stored.external || ours.as_str() != stored.path {
                return Ok(Err("what is published is another environment's"));
            }
            // An unpublished run may have left a newer version.
            let newest = self.engine.lake.snapshot(&ours, None).await?;
            let Some(snapshot) = newest.filter(|newest| newest.version() == stored.version) else {
                return Ok(Err("the run before was not published"));
            };
            let deleted = snapshot.deleted_rows()?;
            if deleted.saturating_mul(MOST_DELETED) > stored.rows.unwrap_or(0) {
                return Ok(Err("many rows of its tables are deleted in place"));
            }
            tables.push(Published {
                stored: stored.clone(),
                path: ours,
                snapshot,
                index,
            });
        }
        let Ok([own, edges, records, changes, history]) = <[Published; 5]>::try_from(tables) else {
            return Err(EngineError::NotBuilt(reading.node.id.clone()));
        };
        Ok(Ok(Addition {
            providers,
            rows,
            own,
            edges,
            records,
            changes,
            history,
            aliases: aliases.clone(),
            alarms: alarms.clone(),
        }))
    }
}

/// The table as it was when it had this identity; none if it was another table.
fn at_version(table: &StoredTable, identity: &str) -> Option<StoredTable> {
    let (path, version) = identity.rsplit_once('@')?;
    (path == table.path).then_some(())?;
    Some(StoredTable {
        version: version.parse().ok()?,
        ..table.clone()
    })
}

/// Whether each row of a plan comes from one row of one of its tables, and from nothing else.
fn is_row_by_row(plan: &LogicalPlan) -> bool {
    let mut only_known = true;
    let walked = plan.apply(|node| {
        only_known &= match node {
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Union(_) => true,
            LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
            _ => false,
        };
        only_known &= node.expressions().iter().all(looks_at_one_row);
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && only_known
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
