//! A linkage against labels.

use std::collections::BTreeMap;

use kinfold_identity::linkage::{
    Blocking, Confusion, Estimate, Judged, LinkageError, SampledLabel, ScoredPair, Scorer, b_cubed,
    cluster_pairs, estimate, exact_clusters,
};
use serde::Serialize;

use super::linkage::{JudgedLinkage, PairReport, probability, rule_text};
use super::{LabelCounts, Labels, PairLabel, RecordName, Truth};
use crate::build::linkage::bits;

/// Thresholds of the table, as probabilities; that of the model is added.
const THRESHOLDS: [f64; 12] = [
    0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999,
];

/// Points of a curve at most.
const POINTS: usize = 400;

/// Precision, recall and their harmonic mean, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Share of what was found that is true.
    pub precision: f64,
    /// Share of what is true that was found.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// A line of the threshold table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ThresholdRow {
    /// Least probability.
    pub threshold: f64,
    /// The same in bits.
    pub match_weight: f64,
    /// Pairs of one person that are found.
    pub true_positives: u64,
    /// Pairs of two people that are found.
    pub false_positives: u64,
    /// Pairs of one person that are not.
    pub false_negatives: u64,
    /// Pairs of two people that are not.
    pub true_negatives: u64,
    /// Their precision, recall and F1.
    #[serde(flatten)]
    pub score: Score,
}

/// A share that was estimated from a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The share, from 0 to 1.
    pub value: f64,
    /// From where to where it lies in 95 of 100 samples, if that can be said.
    pub interval: Option<(f64, f64)>,
}

impl From<Estimate> for Share {
    fn from(estimate: Estimate) -> Self {
        Self {
            value: estimate.value,
            interval: estimate.interval(),
        }
    }
}

/// Estimates at one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EstimateRow {
    /// Least probability.
    pub threshold: f64,
    /// The same in bits.
    pub match_weight: f64,
    /// Share of the pairs found that are of one person.
    pub precision: Option<Share>,
    /// Share of the compared pairs of one person that are found.
    pub recall: Option<Share>,
}

/// What one blocking rule brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRecall {
    /// The rule.
    pub rule: String,
    /// Pairs that it brings, also those that others bring.
    pub pairs: u64,
    /// Of the true pairs, those that this is the first rule to bring.
    pub first: u64,
}

/// How many of the true pairs are compared at all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlockingRecall {
    /// True pairs among the labels.
    pub matches: u64,
    /// Those that a rule brings.
    pub compared: u64,
    /// Their share: no threshold finds more.
    pub recall: f64,
    /// The rules, in their order.
    pub rules: Vec<RuleRecall>,
}

/// The pairs that are most wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Worst {
    /// Two people, found; the heaviest first.
    pub false_positives: Vec<PairReport>,
    /// One person, not found; the lightest first.
    pub false_negatives: Vec<PairReport>,
}

/// A linkage against labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkageEvaluation {
    /// The labels.
    pub labels: LabelCounts,
    /// The threshold of the model.
    pub threshold: f64,
    /// Pairs of at least that probability.
    pub pairs: ThresholdRow,
    /// Pairs of records in one cluster.
    pub clusters: Score,
    /// B-cubed of the clusters; none if the labels are pairs, which say nothing of whole clusters.
    pub b_cubed: Option<Score>,
    /// Clusters that are exactly one entity; none if the labels are pairs.
    pub exact_clusters: Option<Score>,
    /// The share of the true pairs that is compared.
    pub blocking: BlockingRecall,
    /// Each threshold.
    pub thresholds: Vec<ThresholdRow>,
    /// Estimates for all compared pairs, if the labels are a sample of `kinfold identity label`.
    pub estimates: Option<Vec<EstimateRow>>,
    /// The pairs that are most wrong.
    pub worst: Worst,
    /// Thresholds as weights with what they make of the labels, for curves.
    #[serde(skip)]
    pub curve: Vec<(f64, Confusion)>,
}

/// Labels in the terms of the records.
struct Known {
    counts: LabelCounts,
    judged: Judged,
    clusters: Score,
    b_cubed: Option<Score>,
    exact: Option<Score>,
    blocking: BlockingRecall,
    wrong: Vec<(u32, u32)>,
    missed: Vec<(u32, u32)>,
    estimates: Option<Vec<EstimateRow>>,
}

impl JudgedLinkage {
    /// Judges the linkage by labels. `worst` pairs of each kind are shown, with the values of the records only
    /// if `values` says so.
    ///
    /// # Errors
    /// Those of [`LinkageError`], which a linkage that was scored does not have.
    pub fn evaluate(
        &self,
        labels: &Labels,
        worst: usize,
        values: bool,
    ) -> Result<LinkageEvaluation, LinkageError> {
        self.with(|scorer, blocking| {
            let known = match &labels.truth {
                Truth::Clusters(clusters) => self.by_clusters(scorer, blocking, clusters, worst),
                Truth::Pairs(pairs) => self.by_pairs(scorer, blocking, pairs, worst),
            };
            let report = |pairs: &[(u32, u32)]| -> Vec<PairReport> {
                let pairs = pairs.iter();
                pairs
                    .map(|pair| self.report(scorer, blocking, *pair, values))
                    .collect()
            };
            let row = |threshold: f64| threshold_row(&known.judged, threshold);
            LinkageEvaluation {
                labels: LabelCounts {
                    labelled: labels.labelled,
                    unlabelled: labels.unlabelled,
                    ..known.counts.clone()
                },
                threshold: self.threshold(),
                pairs: row(self.threshold()),
                clusters: known.clusters,
                b_cubed: known.b_cubed,
                exact_clusters: known.exact,
                thresholds: self.thresholds().into_iter().map(row).collect(),
                worst: Worst {
                    false_positives: report(&known.wrong),
                    false_negatives: report(&known.missed),
                },
                curve: known.judged.curve(POINTS),
                blocking: known.blocking,
                estimates: known.estimates,
            }
        })
    }

    /// The thresholds of the table, ascending, that of the model among them.
    fn thresholds(&self) -> Vec<f64> {
        let mut all = THRESHOLDS.to_vec();
        all.push(self.threshold());
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }

    /// Clusters are known of some records; the others say nothing.
    fn by_clusters(
        &self,
        scorer: &Scorer<'_>,
        blocking: &Blocking<'_>,
        clusters: &BTreeMap<RecordName, String>,
        worst: usize,
    ) -> Known {
        let mut codes: BTreeMap<&str, u32> = BTreeMap::new();
        for name in clusters.values() {
            let next = u32::try_from(codes.len()).unwrap_or(u32::MAX);
            codes.entry(name).or_insert(next);
        }
        let mut entity: Vec<Option<u32>> = vec![None; self.linked.prepared.records.len()];
        let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut used = Vec::new();
        for (name, cluster) in clusters {
            let (Some(record), Some(code)) = (self.find(name), codes.get(cluster.as_str())) else {
                continue;
            };
            if let Some(own) = entity.get_mut(record as usize) {
                *own = Some(*code);
            }
            members.entry(*code).or_default().push(record);
            used.push(record);
        }
        used.sort_unstable();
        for records in members.values_mut() {
            records.sort_unstable();
        }
        // All that the labels say of pairs: which are of one person, and which of those are found.
        let mut blocked = self.empty_recall(blocking);
        let mut missed = Lightest::new(worst);
        let mut state = scorer.state();
        let threshold = self.linked.link;
        for records in members.values() {
            for (at, left) in records.iter().enumerate() {
                for right in records.iter().skip(at + 1) {
                    if !self.admits(*left, *right) {
                        continue;
                    }
                    let rule = blocking.rule_of(*left, *right);
                    blocked.count(rule);
                    let weight = scorer.weight(&mut state, *left, *right);
                    if rule.is_none() || weight < threshold {
                        missed.offer(ScoredPair {
                            left: *left,
                            right: *right,
                            weight,
                        });
                    }
                }
            }
        }
        let of = |record: u32| entity.get(record as usize).copied().flatten();
        let least = bits(THRESHOLDS.first().copied().unwrap_or(0.5)).min(threshold);
        let mut pairs = Vec::new();
        let mut wrong: Vec<ScoredPair> = Vec::new();
        for pair in scorer.score(blocking, least) {
            let (Some(left), Some(right)) = (of(pair.left), of(pair.right)) else {
                continue;
            };
            pairs.push((pair.weight, left == right));
            if left != right && pair.weight >= threshold {
                wrong.push(pair);
            }
        }
        wrong.sort_unstable_by(|one, two| {
            let records = (one.left, one.right).cmp(&(two.left, two.right));
            two.weight.total_cmp(&one.weight).then(records)
        });
        wrong.truncate(worst);
        let found: Vec<u32> = used.iter().map(|record| self.cluster(*record)).collect();
        let truth: Vec<u32> = used.iter().filter_map(|record| of(*record)).collect();
        let all = self.pairs_among(&used);
        Known {
            counts: LabelCounts {
                form: "clusters",
                unknown: (clusters.len() - used.len()) as u64,
                used: used.len() as u64,
                ..LabelCounts::default()
            },
            judged: Judged::new(pairs, blocked.matches, all),
            clusters: cluster_pairs(&found, &truth).into(),
            b_cubed: Some(b_cubed(&found, &truth).into()),
            exact: Some(exact_clusters(&found, &truth).into()),
            blocking: blocked.finish(),
            wrong: wrong.iter().map(|pair| (pair.left, pair.right)).collect(),
            missed: missed.finish(),
            estimates: None,
        }
    }

    /// Of some pairs it is known whether they are one person.
    fn by_pairs(
        &self,
        scorer: &Scorer<'_>,
        blocking: &Blocking<'_>,
        labels: &[PairLabel],
        worst: usize,
    ) -> Known {
        let mut blocked = self.empty_recall(blocking);
        let (mut wrong, mut missed) = (Lightest::new(worst), Lightest::new(worst));
        let mut state = scorer.state();
        let threshold = self.linked.link;
        let mut pairs = Vec::new();
        let mut in_clusters = Confusion::default();
        let (mut used, mut truth) = (0_u64, 0_u64);
        let mut sample = Strata::default();
        for label in labels {
            let (Some(left), Some(right)) = (self.find(&label.left), self.find(&label.right))
            else {
                continue;
            };
            let (left, right) = (left.min(right), left.max(right));
            used += 1;
            let rule = blocking.rule_of(left, right);
            let weight = scorer.weight(&mut state, left, right);
            let compared = rule.map(|_| weight);
            let pair = |weight| ScoredPair {
                left,
                right,
                weight,
            };
            pairs.extend(compared.map(|weight| (weight, label.is_match)));
            let found = compared.is_some_and(|weight| weight >= threshold);
            if label.is_match {
                truth += 1;
                blocked.count(rule);
            }
            match (label.is_match, found) {
                (true, false) => missed.offer(pair(weight)),
                // The heaviest first: the lightest of the negatives.
                (false, true) => wrong.offer(pair(-weight)),
                _ => {}
            }
            let together = self.cluster(left) == self.cluster(right);
            let count = match (label.is_match, together) {
                (true, true) => &mut in_clusters.true_positives,
                (false, true) => &mut in_clusters.false_positives,
                (true, false) => &mut in_clusters.false_negatives,
                (false, false) => &mut in_clusters.true_negatives,
            };
            *count += 1;
            sample.add(label, compared);
        }
        Known {
            counts: LabelCounts {
                form: "pairs",
                unknown: labels.len() as u64 - used,
                used,
                ..LabelCounts::default()
            },
            judged: Judged::new(pairs, truth, used),
            clusters: in_clusters.quality().into(),
            b_cubed: None,
            exact: None,
            blocking: blocked.finish(),
            wrong: wrong.finish(),
            missed: missed.finish(),
            estimates: sample.estimates(&self.thresholds()),
        }
    }

    /// Whether the linkage may put two records together.
    fn admits(&self, left: u32, right: u32) -> bool {
        let prepared = &self.linked.prepared;
        prepared.scope == kinfold_identity::linkage::Scope::Dedupe
            || prepared.records.source(left) != prepared.records.source(right)
    }

    /// How many pairs the linkage may put together among some records.
    fn pairs_among(&self, records: &[u32]) -> u64 {
        let pairs = |count: u64| count * count.saturating_sub(1) / 2;
        let all = pairs(records.len() as u64);
        let prepared = &self.linked.prepared;
        if prepared.scope == kinfold_identity::linkage::Scope::Dedupe {
            return all;
        }
        let mut sources: BTreeMap<u16, u64> = BTreeMap::new();
        for record in records {
            *sources.entry(prepared.records.source(*record)).or_default() += 1;
        }
        all - sources.into_values().map(pairs).sum::<u64>()
    }

    fn empty_recall(&self, blocking: &Blocking<'_>) -> BlockingRecall {
        let rules = self.linked.prepared.rules.blocking.iter();
        BlockingRecall {
            matches: 0,
            compared: 0,
            recall: 1.0,
            rules: rules
                .zip(blocking.counts())
                .map(|(rule, count)| RuleRecall {
                    rule: rule_text(rule),
                    pairs: count.pairs,
                    first: 0,
                })
                .collect(),
        }
    }
}

impl BlockingRecall {
    fn count(&mut self, rule: Option<usize>) {
        self.matches += 1;
        if let Some(rule) = rule.and_then(|at| self.rules.get_mut(at)) {
            self.compared += 1;
            rule.first += 1;
        }
    }

    fn finish(mut self) -> Self {
        let confusion = Confusion {
            true_positives: self.compared,
            false_negatives: self.matches - self.compared,
            ..Confusion::default()
        };
        self.recall = confusion.quality().recall;
        self
    }
}

/// Pairs of the least weight, so many of them.
struct Lightest {
    most: usize,
    pairs: Vec<ScoredPair>,
}

impl Lightest {
    fn new(most: usize) -> Self {
        Self {
            most,
            pairs: Vec::new(),
        }
    }

    fn offer(&mut self, pair: ScoredPair) {
        let after = self.pairs.partition_point(|known| {
            let records = (known.left, known.right).cmp(&(pair.left, pair.right));
            known.weight.total_cmp(&pair.weight).then(records).is_lt()
        });
        if after < self.most {
            self.pairs.insert(after, pair);
            self.pairs.truncate(self.most);
        }
    }

    fn finish(self) -> Vec<(u32, u32)> {
        let pairs = self.pairs.iter();
        pairs.map(|pair| (pair.left, pair.right)).collect()
    }
}

/// Labels by the strata that they were drawn from.
#[derive(Default)]
struct Strata {
    names: BTreeMap<String, usize>,
    pairs: Vec<u64>,
    labels: Vec<SampledLabel>,
    /// A label without a stratum: then nothing can be said of the others' shares.
    broken: bool,
}

impl Strata {
    fn add(&mut self, label: &PairLabel, weight: Option<f64>) {
        let Some((name, pairs)) = &label.stratum else {
            self.broken = true;
            return;
        };
        let next = self.names.len();
        let stratum = *self.names.entry(name.clone()).or_insert(next);
        if stratum == next {
            self.pairs.push(*pairs);
        }
        // Two files in one: the larger number is of the wider sample.
        if let Some(known) = self.pairs.get_mut(stratum) {
            *known = (*known).max(*pairs);
        }
        self.labels.push(SampledLabel {
            stratum,
            weight,
            is_match: label.is_match,
        });
    }

    fn estimates(&self, thresholds: &[f64]) -> Option<Vec<EstimateRow>> {
        if self.broken || self.labels.is_empty() {
            return None;
        }
        let weights: Vec<f64> = thresholds.iter().map(|t| bits(*t)).collect();
        let found = estimate(&self.labels, &self.pairs, &weights);
        Some(
            found
                .into_iter()
                .map(|row| EstimateRow {
                    threshold: probability(row.weight),
                    match_weight: row.weight,
                    precision: row.precision.map(Share::from),
                    recall: row.recall.map(Share::from),
                })
                .collect(),
        )
    }
}

fn threshold_row(judged: &Judged, threshold: f64) -> ThresholdRow {
    let weight = bits(threshold);
    let confusion = judged.at(weight);
    ThresholdRow {
        threshold,
        match_weight: weight,
        true_positives: confusion.true_positives,
        false_positives: confusion.false_positives,
        false_negatives: confusion.false_negatives,
        true_negatives: confusion.true_negatives,
        score: confusion.quality().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lightest_pairs_are_kept_in_their_order() {
        let mut lightest = Lightest::new(3);
        for (left, weight) in [(1, 5.0), (2, -1.0), (3, 9.0), (4, 2.0), (0, 2.0)] {
            lightest.offer(ScoredPair {
                left,
                right: 9,
                weight,
            });
        }
        assert_eq!(lightest.finish(), [(2, 9), (0, 9), (4, 9)]);
        let mut none = Lightest::new(0);
        none.offer(ScoredPair {
            left: 0,
            right: 1,
            weight: 0.0,
        });
        assert_eq!(none.finish(), []);
    }
}
