//! Decisions about pairs against the truth.

use std::collections::HashMap;

use super::evaluation::Quality;
use super::training::as_float;

/// How many pairs of each kind a decision makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Of one person, and found.
    pub true_positives: u64,
    /// Of two people, and found.
    pub false_positives: u64,
    /// Of one person, and not found.
    pub false_negatives: u64,
    /// Of two people, and not found.
    pub true_negatives: u64,
}

impl Confusion {
    /// Precision and recall; where there is nothing to find or nothing found, 1.
    #[must_use]
    pub fn quality(self) -> Quality {
        let share = |part: u64, rest: u64| match part + rest {
            0 => 1.0,
            whole => as_float(part) / as_float(whole),
        };
        Quality {
            precision: share(self.true_positives, self.false_positives),
            recall: share(self.true_positives, self.false_negatives),
        }
    }

    /// The share of the pairs of two people that are found.
    #[must_use]
    pub fn false_positive_rate(self) -> f64 {
        match self.false_positives + self.true_negatives {
            0 => 0.0,
            whole => as_float(self.false_positives) / as_float(whole),
        }
    }
}

/// Pairs whose truth is known, and how many there are beside those with a weight.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Weight in bits and whether it is one person, the heaviest first.
    pairs: Vec<(f64, bool)>,
    /// Of the first so many pairs, those of one person.
    matches: Vec<u64>,
    truth: u64,
    total: u64,
}

impl Judged {
    /// Of these pairs the weight and the truth are known. `truth` pairs are of one person and `total` in all,
    /// those included that were never compared.
    #[must_use]
    pub fn new(mut pairs: Vec<(f64, bool)>, truth: u64, total: u64) -> Self {
        pairs.sort_unstable_by(|one, two| two.0.total_cmp(&one.0).then(two.1.cmp(&one.1)));
        let mut matches = vec![0_u64];
        let mut sum = 0;
        for (_, is_match) in &pairs {
            sum += u64::from(*is_match);
            matches.push(sum);
        }
        Self {
            pairs,
            matches,
            truth,
            total,
        }
    }

    /// What deciding by this least weight makes of them.
    #[must_use]
    pub fn at(&self, weight: f64) -> Confusion {
        self.first(self.pairs.partition_point(|pair| pair.0 >= weight))
    }

    fn first(&self, found: usize) -> Confusion {
        let true_positives = self.matches.get(found).copied().unwrap_or_default();
        let false_positives = found as u64 - true_positives;
        let negatives = self.total.saturating_sub(self.truth);
        Confusion {
            true_positives,
            false_positives,
            false_negatives: self.truth.saturating_sub(true_positives),
            true_negatives: negatives.saturating_sub(false_positives),
        }
    }

    /// What each weight that occurs makes of them as a threshold, the highest first: at most `points` of
    /// them, the first and the last included.
    #[must_use]
    pub fn curve(&self, points: usize) -> Vec<(f64, Confusion)> {
        let mut ends: Vec<usize> = Vec::new();
        for at in 1..=self.pairs.len() {
            let weight = |at: usize| self.pairs.get(at).map(|pair| pair.0.to_bits());
            if weight(at) != weight(at - 1) {
                ends.push(at);
            }
        }
        let last = ends.len().saturating_sub(1);
        let steps = points.max(2) - 1;
        let mut kept: Vec<usize> = (0..=steps.min(last))
            .map(|step| {
                if last <= steps {
                    step
                } else {
                    step * last / steps
                }
            })
            .collect();
        kept.dedup();
        let of = |at: usize| {
            let end = *ends.get(at)?;
            Some((self.pairs.get(end - 1)?.0, self.first(end)))
        };
        kept.into_iter().filter_map(of).collect()
    }
}

/// Clusters that are exactly one entity: their share of the clusters, and of the entities. Both are given
/// for each record, in the same order.
#[must_use]
pub fn exact_clusters(clusters: &[u32], entities: &[u32]) -> Quality {
    let mut sizes: [HashMap<u32, u64>; 2] = Default::default();
    let mut both: HashMap<(u32, u32), u64> = HashMap::new();
    for (cluster, entity) in clusters.iter().zip(entities) {
        let [of_clusters, of_entities] = &mut sizes;
        *of_clusters.entry(*cluster).or_default() += 1;
        *of_entities.entry(*entity).or_default() += 1;
        *both.entry((*cluster, *entity)).or_default() += 1;
    }
    let [of_clusters, of_entities] = &sizes;
    let exact = both.iter().filter(|((cluster, entity), count)| {
        of_clusters.get(cluster) == Some(count) && of_entities.get(entity) == Some(count)
    });
    let exact = exact.count() as u64;
    Confusion {
        true_positives: exact,
        false_positives: of_clusters.len() as u64 - exact,
        false_negatives: of_entities.len() as u64 - exact,
        true_negatives: 0,
    }
    .quality()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged() -> Judged {
        // Six records make 15 pairs; four of them are of one person, one of which was never compared.
        let pairs = vec![
            (1.0, false),
            (9.0, true),
            (3.0, false),
            (3.0, true),
            (5.0, true),
        ];
        Judged::new(pairs, 4, 15)
    }

    #[test]
    fn a_threshold_makes_four_kinds_of_pairs() {
        let counts = |weight| {
            let c = judged().at(weight);
            [
                c.true_positives,
                c.false_positives,
                c.false_negatives,
                c.true_negatives,
            ]
        };
        assert_eq!(counts(10.0), [0, 0, 4, 11]);
        assert_eq!(counts(5.0), [2, 0, 2, 11]);
        assert_eq!(counts(3.0), [3, 1, 1, 10]);
        assert_eq!(counts(f64::NEG_INFINITY), [3, 2, 1, 9]);
        let quality = judged().at(3.0).quality();
        assert!((quality.precision - 0.75).abs() < 1e-12);
        assert!((quality.recall - 0.75).abs() < 1e-12);
        assert!((judged().at(3.0).false_positive_rate() - 1.0 / 11.0).abs() < 1e-12);
        assert!((judged().at(10.0).quality().precision - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_curve_has_a_point_for_each_weight() {
        let weights = |points| -> Vec<f64> {
            let curve = judged().curve(points);
            curve.iter().map(|point| point.0).collect()
        };
        assert_eq!(weights(10), [9.0, 5.0, 3.0, 1.0]);
        assert_eq!(weights(2), [9.0, 1.0]);
        for (weight, confusion) in judged().curve(10) {
            assert_eq!(confusion, judged().at(weight));
        }
        assert!(Judged::new(Vec::new(), 0, 0).curve(5).is_empty());
    }

    #[test]
    fn exact_clusters_are_one_entity_and_all_of_it() {
        // {0, 1} is exact; entity 1 is in two clusters; the last cluster mixes entities 1 and 2.
        let quality = exact_clusters(&[4, 4, 5, 6, 6], &[0, 0, 1, 1, 2]);
        assert!((quality.precision - 1.0 / 3.0).abs() < 1e-12);
        assert!((quality.recall - 1.0 / 3.0).abs() < 1e-12);
    }
}
