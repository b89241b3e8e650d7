//! What can be seen of a linkage without labels.

use std::collections::BTreeMap;

use kinfold_identity::linkage::LinkageError;
use serde::Serialize;

use super::linkage::{JudgedLinkage, PairReport};

/// Where the bins of the histogram begin and end, in bits, each one bit wide.
const LIGHTEST: i32 = -40;
const HEAVIEST: i32 = 50;

/// One level of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelBar {
    /// Its label.
    pub level: String,
    /// Share of the pairs of one person on it.
    pub m: f64,
    /// Share of the pairs of two people on it.
    pub u: f64,
    /// What it is worth, in bits.
    pub weight: f64,
}

/// The levels of one comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonBars {
    /// Its name.
    pub comparison: String,
    /// Its levels, from the most alike.
    pub levels: Vec<LevelBar>,
}

/// What can be seen of a linkage without labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survey {
    /// How many records there are.
    pub records: u64,
    /// The threshold of the model.
    pub threshold: f64,
    /// The same in bits.
    pub threshold_weight: f64,
    /// What the comparisons are worth.
    pub comparisons: Vec<ComparisonBars>,
    /// Compared pairs by weight: from that many bits to one more. Ends hold all that is beyond them.
    pub weights: Vec<(i32, u64)>,
    /// How many clusters have so many records.
    pub cluster_sizes: BTreeMap<u64, u64>,
    /// Share of the records that do not reach so many bits even with an exact copy of themselves.
    pub unlinkable: Vec<(f64, f64)>,
    /// The same at the threshold.
    pub unlinkable_at_threshold: f64,
    /// The compared pair nearest to the threshold, if there is one.
    pub nearest: Option<PairReport>,
}

impl JudgedLinkage {
    /// Looks at all that needs no labels.
    ///
    /// # Errors
    /// Those of [`LinkageError`], which a linkage that was scored does not have.
    pub fn survey(&self) -> Result<Survey, LinkageError> {
        self.with(|scorer, blocking| {
            let bounds: Vec<f64> = (LIGHTEST + 1..HEAVIEST).map(f64::from).collect();
            let counts = scorer.histogram(blocking, &bounds);
            let weights: Vec<(i32, u64)> = (LIGHTEST..).zip(counts).collect();
            let mut own = scorer.self_weights();
            own.sort_unstable_by(f64::total_cmp);
            let below = |weight: f64| {
                let count = own.partition_point(|known| *known < weight) as u64;
                share(count, own.len() as u64)
            };
            let threshold = self.linked.link;
            let distance = |weight: f64| (weight - threshold).abs();
            let nearest = self.linked.pairs.iter().min_by(|one, two| {
                let records = (one.left, one.right).cmp(&(two.left, two.right));
                distance(one.weight)
                    .total_cmp(&distance(two.weight))
                    .then(records)
            });
            let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
            for cluster in &self.linked.clusters {
                *sizes.entry(*cluster).or_default() += 1;
            }
            let mut cluster_sizes: BTreeMap<u64, u64> = BTreeMap::new();
            for size in sizes.into_values() {
                *cluster_sizes.entry(size).or_default() += 1;
            }
            Survey {
                records: self.records(),
                threshold: self.threshold(),
                threshold_weight: threshold,
                comparisons: self.bars(),
                weights,
                cluster_sizes,
                unlinkable: (-10..=40)
                    .map(|weight| (f64::from(weight), below(f64::from(weight))))
                    .collect(),
                unlinkable_at_threshold: below(threshold),
                nearest: nearest
                    .map(|pair| self.report(scorer, blocking, (pair.left, pair.right), false)),
            }
        })
    }

    fn bars(&self) -> Vec<ComparisonBars> {
        let comparisons = self.linked.parameters.comparisons.iter();
        comparisons
            .map(|comparison| ComparisonBars {
                comparison: comparison.name.clone(),
                levels: comparison
                    .levels
                    .iter()
                    .map(|level| LevelBar {
                        level: level.label.clone(),
                        m: level.m,
                        u: level.u,
                        weight: level.weight(),
                    })
                    .collect(),
            })
            .collect()
    }
}

/// A part of a whole, from 0 to 1.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    let confusion = kinfold_identity::linkage::Confusion {
        true_positives: part,
        false_negatives: whole.saturating_sub(part),
        ..Default::default()
    };
    if whole == 0 {
        0.0
    } else {
        confusion.quality().recall
    }
}
