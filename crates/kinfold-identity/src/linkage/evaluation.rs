//! How good a result is, where the truth is known.

use std::collections::HashMap;

use super::scoring::ScoredPair;
use super::training::as_float;

/// Precision and recall of pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Share of what was found that is true, from 0 to 1.
    pub precision: f64,
    /// Share of what is true that was found, from 0 to 1.
    pub recall: f64,
}

impl Quality {
    /// Harmonic mean of both.
    #[must_use]
    pub fn f1(self) -> f64 {
        let sum = self.precision + self.recall;
        if sum > 0.0 {
            2.0 * self.precision * self.recall / sum
        } else {
            0.0
        }
    }

    fn new(both: f64, found: f64, truth: f64) -> Self {
        let share = |whole: f64| if whole > 0.0 { both / whole } else { 1.0 };
        Self {
            precision: share(found),
            recall: share(truth),
        }
    }
}

/// How many records each cluster, each entity and each combination of both has.
struct Sizes {
    clusters: HashMap<u32, u64>,
    entities: HashMap<u32, u64>,
    both: HashMap<(u32, u32), u64>,
}

fn sizes(clusters: &[u32], entities: &[u32]) -> Sizes {
    let mut sizes = Sizes {
        clusters: HashMap::new(),
        entities: HashMap::new(),
        both: HashMap::new(),
    };
    for (cluster, entity) in clusters.iter().zip(entities) {
        *sizes.clusters.entry(*cluster).or_default() += 1;
        *sizes.entities.entry(*entity).or_default() += 1;
        *sizes.both.entry((*cluster, *entity)).or_default() += 1;
    }
    sizes
}

/// Pairs of records within groups of these sizes.
fn pairs<'a>(sizes: impl Iterator<Item = &'a u64>) -> f64 {
    as_float(sizes.map(|size| size * (size - 1) / 2).sum())
}

/// Pairs in the same cluster against pairs of the same entity. All true pairs count, also those that
/// no blocking rule brings. Both are given for each record, in the same order.
#[must_use]
pub fn cluster_pairs(clusters: &[u32], entities: &[u32]) -> Quality {
    let sizes = sizes(clusters, entities);
    Quality::new(
        pairs(sizes.both.values()),
        pairs(sizes.clusters.values()),
        pairs(sizes.entities.values()),
    )
}

/// B-cubed (Bagga, Baldwin 1998): the mean over records of the share of a record's cluster that is
/// of its entity, and of its entity that is in its cluster.
#[must_use]
pub fn b_cubed(clusters: &[u32], entities: &[u32]) -> Quality {
    let sizes = sizes(clusters, entities);
    let total = as_float(clusters.len() as u64).max(1.0);
    let mut both: Vec<_> = sizes.both.iter().collect();
    // Sums of floats depend on their order.
    both.sort_unstable();
    let mean = |of: &dyn Fn(u32, u32) -> u64| {
        let sum: f64 = both
            .iter()
            .map(|((cluster, entity), count)| {
                as_float(**count * **count) / as_float(of(*cluster, *entity).max(1))
            })
            .sum();
        sum / total
    };
    Quality {
        precision: mean(&|cluster, _| sizes.clusters.get(&cluster).copied().unwrap_or(1)),
        recall: mean(&|_, entity| sizes.entities.get(&entity).copied().unwrap_or(1)),
    }
}

/// One line of a threshold table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThresholdQuality {
    /// Least weight of the pairs, in bits.
    pub weight: f64,
    /// Pairs found.
    pub pairs: u64,
    /// Their quality.
    pub quality: Quality,
}

/// Quality of the pairs of at least each weight, against `truth`, the number of all true pairs.
///
/// # Panics
/// `entities` does not have all records of the pairs.
#[must_use]
pub fn pairs_by_threshold(
    pairs: &[ScoredPair],
    entities: &[u32],
    truth: u64,
    weights: &[f64],
) -> Vec<ThresholdQuality> {
    let mut sorted: Vec<(f64, bool)> = pairs
        .iter()
        .map(|pair| {
            let same = entities[pair.left as usize] == entities[pair.right as usize];
            (pair.weight, same)
        })
        .collect();
    sorted.sort_unstable_by(|one, two| two.0.total_cmp(&one.0));
    let mut true_before = vec![0_u64];
    for (at, (_, same)) in sorted.iter().enumerate() {
        true_before.push(true_before[at] + u64::from(*same));
    }
    weights
        .iter()
        .map(|&weight| {
            let found = sorted.partition_point(|pair| pair.0 >= weight);
            ThresholdQuality {
                weight,
                pairs: found as u64,
                quality: Quality::new(
                    as_float(true_before[found]),
                    as_float(found as u64),
                    as_float(truth),
                ),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_of_a_small_clustering() {
        // Entity 0 is split in 2 + 1, and the single record is with entity 1.
        let (entities, clusters) = ([0, 0, 0, 1, 1], [7, 7, 8, 8, 8]);
        let quality = cluster_pairs(&clusters, &entities);
        assert!((quality.precision - 0.5).abs() < 1e-12);
        assert!((quality.recall - 0.5).abs() < 1e-12);
        let quality = b_cubed(&clusters, &entities);
        // 1, 1, 1/3, 2/3, 2/3 and 2/3, 2/3, 1/3, 1, 1.
        assert!((quality.precision - 11.0 / 15.0).abs() < 1e-12);
        assert!((quality.recall - 11.0 / 15.0).abs() < 1e-12);
    }

    #[test]
    fn a_threshold_table_counts_all_true_pairs() {
        let pair = |left, right, weight| ScoredPair {
            left,
            right,
            weight,
        };
        let pairs = [pair(0, 1, 5.0), pair(1, 2, 3.0), pair(2, 3, -1.0)];
        let table = pairs_by_threshold(&pairs, &[0, 0, 0, 1], 3, &[4.0, 0.0, -2.0]);
        let shares: Vec<_> = table
            .iter()
            .map(|line| (line.pairs, line.quality.precision, line.quality.recall))
            .collect();
        assert_eq!(
            shares,
            [
                (1, 1.0, 1.0 / 3.0),
                (2, 1.0, 2.0 / 3.0),
                (3, 2.0 / 3.0, 2.0 / 3.0)
            ]
        );
    }
}
