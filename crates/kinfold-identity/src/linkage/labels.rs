//! Where some of the truth is known: `m` from it, and the pairs that a model gets most wrong.

use super::LinkageError;
use super::parameters::{FLOOR, Parameters};
use super::pattern::NULL;
use super::scoring::{ScoredPair, Scorer};
use super::training::{Linkage, TrainingProblem, as_float};

/// The pairs that a model gets most wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstPairs {
    /// Different people, the heaviest first.
    pub false_matches: Vec<ScoredPair>,
    /// The same person, the lightest first.
    pub missed: Vec<ScoredPair>,
}

impl Linkage<'_> {
    /// Sets each `m` to the share of its level among pairs known to be of the same person. A level
    /// without a pair keeps half a pair, and a comparison that is null in all of them its `m`.
    ///
    /// # Errors
    /// Parameters of another model, no pairs, or a record that does not exist.
    pub fn m_from_labels(
        &self,
        parameters: &mut Parameters,
        pairs: &[(u32, u32)],
    ) -> Result<Vec<TrainingProblem>, LinkageError> {
        parameters.check(self.comparisons)?;
        if pairs.is_empty() {
            return Err(LinkageError::NoPairs);
        }
        let count = self.records.count();
        let mut named = pairs.iter().flat_map(|(left, right)| [*left, *right]);
        if let Some(record) = named.find(|record| *record >= count) {
            return Err(LinkageError::NoRecord { record, count });
        }
        let mut scratch = self.comparator.scratch();
        let mut problems = Vec::new();
        for (at, comparison) in parameters.comparisons.iter_mut().enumerate() {
            let mut counts = vec![0_u64; comparison.levels.len()];
            for (left, right) in pairs {
                let level = self.comparator.level(at, &mut scratch, *left, *right);
                if level != NULL {
                    counts[usize::from(level) - 1] += 1;
                }
            }
            let total: u64 = counts.iter().sum();
            for (count, level) in counts.iter().zip(&mut comparison.levels) {
                if *count == 0 {
                    problems.push(TrainingProblem::LevelWithoutM {
                        comparison: comparison.name.clone(),
                        level: level.label.clone(),
                    });
                }
                if total > 0 {
                    level.m = (as_float(*count).max(0.5) / as_float(total)).max(FLOOR);
                }
            }
        }
        Ok(problems)
    }
}

impl Scorer<'_> {
    /// The pairs that are most wrong: of those found, different people of great weight, and of those
    /// given as `truth`, the lesser record first, people of little weight, also where no rule brings
    /// them. `entities` gives the entity of each record.
    ///
    /// # Panics
    /// A pair of the truth names a record that does not exist.
    #[must_use]
    pub fn worst_pairs(
        &self,
        found: &[ScoredPair],
        truth: &[(u32, u32)],
        entities: &[u32],
        count: usize,
    ) -> WorstPairs {
        let differ = |pair: &&ScoredPair| {
            entities.get(pair.left as usize) != entities.get(pair.right as usize)
        };
        let mut false_matches: Vec<ScoredPair> = found.iter().filter(differ).copied().collect();
        false_matches.sort_unstable_by(super::cluster::by_weight);
        false_matches.truncate(count);
        let mut state = self.state();
        let mut missed: Vec<ScoredPair> = truth
            .iter()
            .map(|&(left, right)| ScoredPair {
                left,
                right,
                weight: self.weight(&mut state, left, right),
            })
            .collect();
        missed.sort_unstable_by(|one, two| {
            let records = (one.left, one.right).cmp(&(two.left, two.right));
            one.weight.total_cmp(&two.weight).then(records)
        });
        missed.truncate(count);
        WorstPairs {
            false_matches,
            missed,
        }
    }

    /// The weight of each record against itself, the most that it can have against a copy without an
    /// error. A record below the weight that links cannot be linked to anything.
    #[must_use]
    pub fn self_weights(&self) -> Vec<f64> {
        let mut state = self.state();
        (0..self.linkage().records.count())
            .map(|record| self.weight(&mut state, record, record))
            .collect()
    }
}
