//! All pairs that the rules bring, looked at without keeping them.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::blocking::Blocking;
use super::records::mix;
use super::scoring::{ScoredPair, Scorer};

/// Pairs of a range of weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Stratum {
    /// Least weight of its pairs, in bits; that of the first is minus infinity.
    pub from: f64,
    /// How many pairs it has.
    pub pairs: u64,
    /// Those that were drawn, in an order that says nothing of their weights.
    pub sample: Vec<ScoredPair>,
}

/// A pair that was drawn: the first by `hash` are kept, so the one to give up is on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Drawn {
    hash: u64,
    left: u32,
    right: u32,
    weight: u64,
}

/// What one stratum keeps while pairs come by.
struct Urn {
    /// A hash above this cannot be among those kept any more.
    bar: AtomicU64,
    drawn: Mutex<BinaryHeap<Drawn>>,
}

impl Scorer<'_> {
    /// How many pairs have a weight from each of `bounds`, ascending, to the next: one number more than
    /// bounds, the first for the pairs below all of them.
    #[must_use]
    pub fn histogram(&self, blocking: &Blocking<'_>, bounds: &[f64]) -> Vec<u64> {
        let parts = blocking.visit(
            self.linkage().threads,
            || self.state(),
            || vec![0_u64; bounds.len() + 1],
            |state, counts, left, right| {
                let weight = self.weight(state, left, right);
                if let Some(count) = counts.get_mut(bin(bounds, weight)) {
                    *count += 1;
                }
            },
        );
        total(parts, bounds.len() + 1)
    }

    /// Draws at most `most` pairs from each range of weights that `bounds`, ascending, divide. Which pairs are
    /// drawn depends on the records, their weights and `seed` alone, never on the order of anything.
    #[must_use]
    pub fn sample(
        &self,
        blocking: &Blocking<'_>,
        bounds: &[f64],
        most: usize,
        seed: u64,
    ) -> Vec<Stratum> {
        let urn = || Urn {
            bar: AtomicU64::new(u64::MAX),
            drawn: Mutex::new(BinaryHeap::new()),
        };
        let urns: Vec<Urn> = (0..=bounds.len()).map(|_| urn()).collect();
        let records = self.linkage().records;
        let seed = mix(seed);
        let parts = blocking.visit(
            self.linkage().threads,
            || self.state(),
            || vec![0_u64; bounds.len() + 1],
            |state, counts, left, right| {
                let weight = self.weight(state, left, right);
                let at = bin(bounds, weight);
                let (Some(count), Some(urn)) = (counts.get_mut(at), urns.get(at)) else {
                    return;
                };
                *count += 1;
                let hash = mix(records.key(left) ^ mix(records.key(right) ^ seed));
                let drawn = Drawn {
                    hash,
                    left,
                    right,
                    weight: weight.to_bits(),
                };
                urn.offer(drawn, most);
            },
        );
        let counts = total(parts, bounds.len() + 1);
        let from = [f64::NEG_INFINITY].iter().chain(bounds);
        urns.into_iter()
            .zip(counts)
            .zip(from)
            .map(|((urn, pairs), from)| {
                let drawn = urn.drawn.into_inner();
                let drawn = drawn
                    .unwrap_or_else(PoisonError::into_inner)
                    .into_sorted_vec();
                let pair = |drawn: Drawn| ScoredPair {
                    left: drawn.left,
                    right: drawn.right,
                    weight: f64::from_bits(drawn.weight),
                };
                Stratum {
                    from: *from,
                    pairs,
                    sample: drawn.into_iter().map(pair).collect(),
                }
            })
            .collect()
    }
}

impl Urn {
    fn offer(&self, drawn: Drawn, most: usize) {
        // The bar only sinks, so what is above it now will never be kept.
        if most == 0 || drawn.hash > self.bar.load(Ordering::Relaxed) {
            return;
        }
        let mut kept = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(drawn);
        if kept.len() > most {
            kept.pop();
        }
        if kept.len() == most
            && let Some(last) = kept.peek()
        {
            self.bar.store(last.hash, Ordering::Relaxed);
        }
    }
}

/// The range that a weight is in.
fn bin(bounds: &[f64], weight: f64) -> usize {
    bounds.partition_point(|bound| *bound <= weight)
}

fn total(parts: Vec<Vec<u64>>, length: usize) -> Vec<u64> {
    let mut sums = vec![0; length];
    for part in parts {
        for (sum, count) in sums.iter_mut().zip(part) {
            *sum += count;
        }
    }
    sums
}

/// How many of `want` pairs each stratum gives: its share, or all that it has; what one cannot give is
/// shared among the others by the same shares.
#[must_use]
pub fn allocate(want: u64, shares: &[u64], pairs: &[u64]) -> Vec<u64> {
    let mut given = vec![0_u64; pairs.len()];
    let mut left = want;
    while left > 0 {
        let open: Vec<usize> = (0..pairs.len())
            .filter(|at| given.get(*at) < pairs.get(*at) && shares.get(*at).is_some_and(|s| *s > 0))
            .collect();
        let all: u64 = open.iter().filter_map(|at| shares.get(*at)).sum();
        if all == 0 {
            break;
        }
        let before = left;
        for at in &open {
            let (Some(own), Some(share), Some(most)) =
                (given.get_mut(*at), shares.get(*at), pairs.get(*at))
            else {
                continue;
            };
            let more = (before * share / all).min(*most - *own).min(left);
            *own += more;
            left -= more;
        }
        // Shares below one pair: one each, in their order.
        if left == before {
            for at in &open {
                if left > 0
                    && let Some(own) = given.get_mut(*at)
                {
                    *own += 1;
                    left -= 1;
                }
            }
        }
    }
    given
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::linkage::{
        Comparison, Condition, Level, Linkage, Parameters, Records, Scope, hash_key,
    };

    fn survey(threads: usize, turned: bool, seed: u64) -> (Vec<u64>, Vec<Stratum>) {
        let mut rows: Vec<u32> = (0..300).collect();
        if turned {
            rows.reverse();
        }
        let keys: Vec<u64> = rows
            .iter()
            .map(|row| hash_key(&[Some(&row.to_string())]))
            .collect();
        let mut records = Records::new(&keys, &vec![0; rows.len()]).unwrap();
        let column = records
            .add_text(rows.iter().map(|row| Some((row % 7).to_string())))
            .unwrap();
        let comparisons = [Comparison::new(
            "c",
            vec![Level::new("equal", Condition::Exact(column))],
        )];
        let linkage = Linkage::new(&records, &comparisons, Scope::Dedupe, threads).unwrap();
        let rules = [vec![1; rows.len()]];
        let blocking = Blocking::new(&records, Scope::Dedupe, &rules, u64::MAX, threads).unwrap();
        let scorer = linkage
            .scorer(&Parameters::untrained(&comparisons), None)
            .unwrap();
        let bounds = [-15.0];
        // Records are the same whatever the order of the rows, so the pairs can be compared.
        let strata = scorer.sample(&blocking, &bounds, 20, seed);
        (scorer.histogram(&blocking, &bounds), strata)
    }

    #[test]
    fn a_sample_depends_on_the_records_and_the_seed_alone() {
        let (counts, strata) = survey(1, false, 1);
        assert_eq!(counts.iter().sum::<u64>(), 300 * 299 / 2);
        assert_eq!(counts, strata.iter().map(|s| s.pairs).collect::<Vec<_>>());
        assert!(strata.iter().all(|stratum| stratum.sample.len() == 20));
        for (threads, turned) in [(2, false), (8, true), (3, true)] {
            assert_eq!(survey(threads, turned, 1), (counts.clone(), strata.clone()));
        }
        assert_ne!(survey(1, false, 2).1, strata);
    }

    #[test]
    fn the_rule_of_a_pair_is_the_first_that_brings_it() {
        let keys: Vec<u64> = (1..=6).collect();
        let records = Records::new(&keys, &[0, 1, 0, 1, 0, 1]).unwrap();
        // The first rule has a block of four, which is too large, and one of two.
        let rules = [vec![7, 7, 7, 7, 8, 8], vec![0, 3, 3, 0, 0, 3]];
        let brought = |scope, max_block| {
            let blocking = Blocking::new(&records, scope, &rules, max_block, 1).unwrap();
            let mut found: Vec<_> = (0..6)
                .flat_map(|left| (0..6).map(move |right| (left, right)))
                .filter(|(left, right)| left < right)
                .filter_map(|(left, right)| Some((left, right, blocking.rule_of(left, right)?)))
                .collect();
            assert_eq!(blocking.rule_of(1, 1), None);
            let mut pairs: Vec<_> = found
                .iter()
                .map(|(left, right, _)| (*left, *right))
                .collect();
            let mut visited = blocking.pairs();
            pairs.sort_unstable();
            visited.sort_unstable();
            assert_eq!(pairs, visited);
            found.retain(|(left, _, _)| *left > 0);
            found
        };
        assert_eq!(
            brought(Scope::Dedupe, 3),
            [(1, 2, 1), (1, 5, 1), (2, 5, 1), (4, 5, 0)]
        );
        assert_eq!(brought(Scope::Link, 3), [(1, 2, 1), (2, 5, 1), (4, 5, 0)]);
        assert_eq!(
            brought(Scope::Dedupe, 9),
            [
                (1, 2, 0),
                (1, 3, 0),
                (1, 5, 1),
                (2, 3, 0),
                (2, 5, 1),
                (4, 5, 0)
            ]
        );
    }

    #[test]
    fn what_a_stratum_lacks_others_give() {
        assert_eq!(
            allocate(100, &[1, 2, 1], &[1_000, 1_000, 1_000]),
            [25, 50, 25]
        );
        assert_eq!(allocate(100, &[1, 2, 1], &[1_000, 10, 1_000]), [45, 10, 45]);
        assert_eq!(allocate(100, &[1, 1], &[3, 4]), [3, 4]);
        assert_eq!(allocate(3, &[1, 1], &[0, 9]), [0, 3]);
        assert_eq!(allocate(1, &[5, 5], &[9, 9]), [1, 0]);
        assert_eq!(allocate(0, &[1], &[9]), [0]);
        assert_eq!(allocate(9, &[0], &[9]), [0]);
    }
}
