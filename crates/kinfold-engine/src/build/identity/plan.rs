//! What a resolution would change of what is published. Nothing is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::DataFusionError;
use futures::StreamExt;
use kinfold_compile::compile::CompiledNode;
use kinfold_identity::{Change, ChangeKind, Resolution};
use serde::Serialize;

use super::Reading;
use super::edges::Judge;
use crate::EngineError;
use crate::build::{Pinned, Run};
use crate::stream::together;

/// Changes of each kind that are shown.
const EXAMPLES: usize = 5;

/// What building an identity would change. Counts of ids and rows, never a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IdentityEffect {
    /// Canonical ids that are published.
    pub people_before: u64,
    /// Canonical ids that there would be.
    pub people_after: u64,
    /// Identifiers that are published.
    pub identifiers_before: u64,
    /// Identifiers that there would be.
    pub identifiers_after: u64,
    /// Rows of the kind `created` in `__changes`: ids of identifiers that have none.
    pub created: u64,
    /// Rows of the kind `merged`: ids that would become part of another.
    pub merged: u64,
    /// Rows of the kind `split`: ids for a part of another.
    pub split: u64,
    /// Rows of the kind `reassigned`: pairs of ids of which one would give identifiers to the other.
    pub reassigned: u64,
    /// Rows of the kind `deleted`: ids that would have no identifiers.
    pub deleted: u64,
    /// Distinct ids, of before or after, that would give or take identifiers.
    pub people_affected: u64,
    /// Identifiers that would have another id.
    pub identifiers_moved: u64,
    /// Identifiers that would be new.
    pub identifiers_added: u64,
    /// Identifiers that would be gone.
    pub identifiers_removed: u64,
    /// Rejected rows by rule.
    pub rejected: BTreeMap<String, Flow>,
    /// Alarms by reason.
    pub alarms: BTreeMap<String, Flow>,
    /// Some of the changes.
    pub examples: Vec<IdentityExample>,
}

/// How many of something would come, go and stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// There would be so many that are not there now.
    pub comes: u64,
    /// So many would be there no more.
    pub goes: u64,
    /// So many are there and would be.
    pub stays: u64,
}

/// A change as an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityExample {
    /// `created`, `merged`, `split`, `reassigned` or `deleted`.
    pub kind: &'static str,
    /// The id of before; none if created.
    pub from_canonical_id: Option<String>,
    /// The id of after; none if deleted.
    pub into_canonical_id: Option<String>,
    /// Identifiers that go from one to the other.
    pub identifiers: u64,
}

impl Run<'_> {
    /// Resolves the rows of an identity and compares the result with what is published.
    pub(in crate::build) async fn plan_identity(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
    ) -> Result<IdentityEffect, EngineError> {
        let reading = self.identity_reading(node).await?;
        let resolution = self.resolve_identity(&reading, providers).await?;
        let diff = resolution.diff();
        let summary = resolution.summary();
        let (people_before, identifiers_before) = self.people(node).await?;
        Ok(IdentityEffect {
            people_before,
            people_after: summary.canonical_ids,
            identifiers_before,
            identifiers_after: summary.identifiers,
            created: diff.created,
            merged: diff.merged,
            split: diff.split,
            reassigned: diff.reassigned,
            deleted: diff.deleted,
            people_affected: diff.people_affected,
            identifiers_moved: diff.identifiers_moved,
            identifiers_added: diff.identifiers_added,
            identifiers_removed: diff.identifiers_removed,
            rejected: self.rejected_rows(&reading, providers, &resolution).await?,
            alarms: self.raised_alarms(node, &resolution).await?,
            examples: examples(resolution.changes()),
        })
    }

    /// How many people and identifiers are published.
    async fn people(&self, node: &CompiledNode) -> Result<(u64, u64), EngineError> {
        let Some(previous) = self.previous_provider(node, None).await? else {
            return Ok((0, 0));
        };
        let columns = previous.schema();
        let statement =
            self.engine
                .statement(false)
                .over_table("previous", Some(previous), &columns)?;
        let sql = "SELECT count(DISTINCT canonical_id), count(*) FROM kinfold._run.previous";
        let batches = statement.rows(sql).await?;
        let count = |column: usize| {
            let batch = batches.first()?;
            let counts = batch.columns().get(column)?;
            let counts = counts.as_primitive_opt::<Int64Type>()?;
            u64::try_from(counts.iter().flatten().next()?).ok()
        };
        Ok((count(0).unwrap_or(0), count(1).unwrap_or(0)))
    }

    /// Rejected rows, published and to be. In memory is a hash of each, with its count.
    async fn rejected_rows(
        &self,
        reading: &Reading<'_>,
        providers: Pinned<'_>,
        resolution: &Arc<Resolution>,
    ) -> Result<BTreeMap<String, Flow>, EngineError> {
        let node = reading.node;
        let (edges, records) = (reading.companion("edges")?, reading.companion("records")?);
        let Some(plan) = &node.plan else {
            return Ok(BTreeMap::new());
        };
        let mut tally = Tally::default();
        let previous = self.previous_provider(node, Some("edges")).await?;
        let statement =
            self.engine
                .statement(false)
                .over_table("edges", previous, &edges.schema)?;
        let sql = "SELECT * FROM kinfold._run.edges WHERE NOT accepted";
        for mut stream in statement.streams(sql).await? {
            while let Some(batch) = stream.next().await {
                tally.count(&batch?, |counts| &mut counts.before)?;
            }
        }
        let statement = self
            .engine
            .statement(false)
            .over_plan("query", plan, providers)?;
        let schemas = (&edges.schema, &records.schema);
        let judge = Judge::new(
            resolution,
            resolution.records_met(),
            &reading.forms,
            schemas,
        );
        let streams = reading.streams(&statement).await?;
        let judged = streams.into_iter().map(|rows| judge.clone().edges(rows));
        let mut batches = together(judged.collect());
        while let Some(batch) = batches.next().await {
            tally.count(&batch?, |counts| &mut counts.after)?;
            if self.request.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
        }
        Ok(tally.flows())
    }

    async fn raised_alarms(
        &self,
        node: &CompiledNode,
        resolution: &Resolution,
    ) -> Result<BTreeMap<String, Flow>, EngineError> {
        let mut before: BTreeSet<[String; 3]> = BTreeSet::new();
        if let Some(alarms) = self.previous_provider(node, Some("alarms")).await? {
            let columns = alarms.schema();
            let statement =
                self.engine
                    .statement(false)
                    .over_table("alarms", Some(alarms), &columns)?;
            let sql = "SELECT reason, id_type, id_value FROM kinfold._run.alarms";
            for batch in statement.rows(sql).await? {
                let [reasons, types, values] =
                    [text(&batch, 0)?, text(&batch, 1)?, text(&batch, 2)?];
                before.extend((0..batch.num_rows()).map(|row| {
                    [reasons, types, values].map(|column| column.value(row).to_owned())
                }));
            }
        }
        let alarms = resolution.alarms();
        let after: BTreeSet<[String; 3]> = alarms
            .iter()
            .map(|alarm| [alarm.reason.as_str(), alarm.id_type, alarm.id_value].map(str::to_owned))
            .collect();
        let mut flows: BTreeMap<String, Flow> = BTreeMap::new();
        for alarm in before.union(&after) {
            let [reason, ..] = alarm;
            let flow = flows.entry(reason.clone()).or_default();
            match (before.contains(alarm), after.contains(alarm)) {
                (true, true) => flow.stays += 1,
                (true, false) => flow.goes += 1,
                (false, _) => flow.comes += 1,
            }
        }
        Ok(flows)
    }
}

fn text(batch: &RecordBatch, column: usize) -> Result<&StringArray, DataFusionError> {
    super::rows::text(batch, column)
}

/// The first of the changes of each kind. They are in the order of kinds.
fn examples(changes: &[Change]) -> Vec<IdentityExample> {
    changes
        .chunk_by(|a, b| a.kind == b.kind)
        .flat_map(|of_kind| of_kind.iter().take(EXAMPLES))
        .map(|change| IdentityExample {
            kind: ChangeKind::as_str(change.kind),
            from_canonical_id: change.from.map(|id| id.to_string()),
            into_canonical_id: change.into.map(|id| id.to_string()),
            identifiers: change.identifiers,
        })
        .collect()
}

/// How often a row occurs.
#[derive(Clone, Copy, Default)]
struct Counts {
    before: u64,
    after: u64,
}

/// Rejected rows as a multiset.
#[derive(Default)]
struct Tally {
    rules: Vec<String>,
    rows: HashMap<[u8; 16], (usize, Counts)>,
}

impl Tally {
    /// Counts the rejected rows of a batch of edges: source, record, type and value, then the rule.
    fn count(
        &mut self,
        batch: &RecordBatch,
        which: fn(&mut Counts) -> &mut u64,
    ) -> Result<(), DataFusionError> {
        let columns = [0, 1, 2, 3].map(|column| text(batch, column));
        let rules = text(batch, 7)?;
        for row in 0..batch.num_rows() {
            // An accepted row has no rule.
            if rules.is_null(row) {
                continue;
            }
            let rule = rules.value(row);
            let mut hasher = blake3::Hasher::new();
            let mut part = |text: &str| {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            };
            part(rule);
            for column in columns.iter().flatten() {
                part(if column.is_null(row) {
                    ""
                } else {
                    column.value(row)
                });
            }
            let mut key = [0; 16];
            hasher.finalize_xof().fill(&mut key);
            let known = self.rules.iter().position(|known| known == rule);
            let rule = known.unwrap_or_else(|| {
                self.rules.push(rule.to_owned());
                self.rules.len() - 1
            });
            let (_, counts) = self.rows.entry(key).or_insert((rule, Counts::default()));
            *which(counts) += 1;
        }
        Ok(())
    }

    fn flows(&self) -> BTreeMap<String, Flow> {
        let mut flows: BTreeMap<String, Flow> = BTreeMap::new();
        // Sums do not depend on the order.
        for (rule, counts) in self.rows.values() {
            let Some(rule) = self.rules.get(*rule) else {
                continue;
            };
            let flow = flows.entry(rule.clone()).or_default();
            flow.comes += counts.after.saturating_sub(counts.before);
            flow.goes += counts.before.saturating_sub(counts.after);
            flow.stays += counts.before.min(counts.after);
        }
        flows
    }
}
