//! A linkage with all that was found out about its records, in memory.

use std::collections::{BTreeMap, HashMap};

use kinfold_compile::compile::CompiledNode;
use kinfold_identity::linkage::{Blocking, Linkage, LinkageError, Scorer};
use kinfold_project::KeyRule;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::RecordName;
use crate::build::LinkageFailure;
use crate::build::linkage::parameters_of;
use crate::build::linkage::rows::columns_of;
use crate::build::linkage::write::Linked;
use crate::{Engine, EngineError};

/// What one comparison adds to the weight of a pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairPart {
    /// Name of the comparison.
    pub comparison: String,
    /// Label of the level; none where a value is missing.
    pub level: Option<String>,
    /// Of the level, in bits.
    pub weight: f64,
    /// For how rare the value is, in bits.
    pub term_frequency: f64,
}

/// A column of two records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparedValue {
    /// Its name.
    pub column: String,
    /// Of the first record.
    pub left: Option<String>,
    /// Of the second.
    pub right: Option<String>,
}

/// A pair with its weight in parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairReport {
    /// The record whose name is the lesser.
    pub left: RecordName,
    /// The other.
    pub right: RecordName,
    /// Log odds in bits that they are one person: the sum of the prior and all parts.
    pub match_weight: f64,
    /// The same as a probability.
    pub match_probability: f64,
    /// The first blocking rule that brings them together; none if they are never compared.
    pub rule: Option<String>,
    /// Whether the model puts them in one cluster.
    pub together: bool,
    /// Of two records taken at random, in bits.
    pub prior_weight: f64,
    /// Of each comparison.
    pub parts: Vec<PairPart>,
    /// The values that were compared; empty unless they were asked for, because they are of people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ComparedValue>,
}

/// A linkage, scored in memory.
pub struct JudgedLinkage {
    pub(super) linked: Linked,
    /// Names of the columns as the records hold them; one may be there in two kinds.
    columns: Vec<String>,
    index: HashMap<RecordName, u32>,
}

impl Engine {
    /// Scores a linkage on what is published of its inputs.
    ///
    /// # Errors
    /// An input was never built, the model was never trained, or the records do not allow it.
    pub async fn judge_linkage(&self, node: &CompiledNode) -> Result<JudgedLinkage, EngineError> {
        let (Some(file), Some(rules), Some(plan)) =
            (&node.parameters, &node.config.linkage, &node.plan)
        else {
            return Err(self.linkage_error(node, LinkageFailure::Untrained));
        };
        let published = self.published().await?.document;
        let providers = self.providers(&published, &node.reads).await?;
        let cancel = CancellationToken::new();
        let prepared = self.prepare_linkage(node, &providers, &cancel).await?;
        let columns = columns_of(rules, plan.schema().as_arrow());
        let columns = columns.into_iter().map(|(name, _)| name).collect();
        let parameters = parameters_of(file, rules);
        let linked = tokio::task::spawn_blocking(move || Linked::of(prepared, parameters)).await?;
        let linked =
            linked.map_err(|error| self.linkage_error(node, LinkageFailure::Records(error)))?;
        let count = u32::try_from(linked.prepared.records.len()).unwrap_or(u32::MAX);
        let index = (0..count).map(|record| (linked.name(record).into(), record));
        Ok(JudgedLinkage {
            index: index.collect(),
            columns,
            linked,
        })
    }
}

impl JudgedLinkage {
    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.linked.prepared.records.len() as u64
    }

    /// The probability from which on a pair is a link.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.linked.prepared.rules.threshold.value
    }

    /// The record of a name.
    pub(super) fn find(&self, name: &RecordName) -> Option<u32> {
        self.index.get(name).copied()
    }

    pub(super) fn name(&self, record: u32) -> RecordName {
        self.linked.name(record).into()
    }

    pub(super) fn cluster(&self, record: u32) -> u32 {
        let found = self.linked.clusters.get(record as usize);
        found.copied().unwrap_or(record)
    }

    /// Lets `work` look at the weights and the pairs that the rules bring.
    pub(super) fn with<R>(
        &self,
        work: impl FnOnce(&Scorer<'_>, &Blocking<'_>) -> R,
    ) -> Result<R, LinkageError> {
        let prepared = &self.linked.prepared;
        let linkage = Linkage::new(
            &prepared.records,
            &prepared.comparisons,
            prepared.scope,
            prepared.threads,
        )?;
        let scorer = linkage.scorer(&self.linked.parameters, self.linked.entities.as_deref())?;
        let keys = prepared.keys_of(&prepared.rules.blocking);
        let blocking = Blocking::new(
            &prepared.records,
            prepared.scope,
            &keys,
            prepared.rules.max_block,
            prepared.threads,
        )?;
        Ok(work(&scorer, &blocking))
    }

    /// A pair with its weight in parts.
    pub(super) fn report(
        &self,
        scorer: &Scorer<'_>,
        blocking: &Blocking<'_>,
        pair: (u32, u32),
        values: bool,
    ) -> PairReport {
        let (one, two) = (pair.0.min(pair.1), pair.0.max(pair.1));
        let explained = scorer.explain(one, two);
        let (mut left, mut right) = (one, two);
        if self.linked.name(right) < self.linked.name(left) {
            std::mem::swap(&mut left, &mut right);
        }
        let weight = explained.weight();
        let rules = &self.linked.prepared.rules.blocking;
        let rule = blocking.rule_of(one, two).and_then(|at| rules.get(at));
        PairReport {
            left: self.name(left),
            right: self.name(right),
            match_weight: weight,
            match_probability: probability(weight),
            rule: rule.map(rule_text),
            together: self.cluster(left) == self.cluster(right),
            prior_weight: explained.prior,
            parts: explained
                .parts
                .into_iter()
                .map(|part| PairPart {
                    comparison: part.comparison,
                    level: part.level,
                    weight: part.weight,
                    term_frequency: part.term_frequency,
                })
                .collect(),
            values: if values {
                self.values(left, right)
            } else {
                Vec::new()
            },
        }
    }

    /// The compared columns of two records.
    pub(super) fn values(&self, left: u32, right: u32) -> Vec<ComparedValue> {
        let records = &self.linked.prepared.records;
        let mut found: BTreeMap<&str, ComparedValue> = BTreeMap::new();
        for (at, column) in self.columns.iter().enumerate() {
            let own = found.entry(column).or_insert_with(|| ComparedValue {
                column: column.clone(),
                left: None,
                right: None,
            });
            // A column that is held as a date and as text shows whichever has a value.
            own.left = own.left.take().or_else(|| records.value(at, left));
            own.right = own.right.take().or_else(|| records.value(at, right));
        }
        found.into_values().collect()
    }

    /// The pair of the greatest weight between two groups of records, whether it is ever compared or not.
    ///
    /// # Errors
    /// Those of [`LinkageError`], which a linkage that was scored does not have.
    pub fn best_pair(
        &self,
        one: &[RecordName],
        other: &[RecordName],
        values: bool,
    ) -> Result<Option<PairReport>, LinkageError> {
        let found = |names: &[RecordName]| -> Vec<u32> {
            names.iter().filter_map(|name| self.find(name)).collect()
        };
        let (one, other) = (found(one), found(other));
        self.with(|scorer, blocking| {
            let mut state = scorer.state();
            let mut best: Option<(bool, f64, (u32, u32))> = None;
            for left in &one {
                for right in other.iter().filter(|right| *right != left) {
                    let pair = (*left.min(right), *left.max(right));
                    let weight = scorer.weight(&mut state, pair.0, pair.1);
                    let compared = blocking.rule_of(pair.0, pair.1).is_some();
                    let own = (compared, weight, pair);
                    // A pair that was compared before one that was not; then the heavier; then by record.
                    let better = best.is_none_or(|known| {
                        let order = own.0.cmp(&known.0).then(own.1.total_cmp(&known.1));
                        order.then(known.2.cmp(&own.2)).is_gt()
                    });
                    if better {
                        best = Some(own);
                    }
                }
            }
            best.map(|(_, _, pair)| self.report(scorer, blocking, pair, values))
        })
    }
}

/// A blocking rule as it was written.
pub(super) fn rule_text(rule: &KeyRule) -> String {
    let texts: Vec<&str> = rule.expressions.iter().map(|e| e.value.as_str()).collect();
    texts.join(", ")
}

/// Probability of log odds in bits.
pub(super) fn probability(weight: f64) -> f64 {
    if weight >= 0.0 {
        1.0 / (1.0 + (-weight).exp2())
    } else {
        weight.exp2() / (1.0 + weight.exp2())
    }
}
