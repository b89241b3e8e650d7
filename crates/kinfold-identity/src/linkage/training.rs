//! Parameters from the records themselves, without labels.

use super::blocking::{Blocking, Scope};
use super::comparison::Comparison;
use super::parameters::{FLOOR, Parameters};
use super::pattern::{Comparator, NULL, Scratch};
use super::records::{Records, mix};
use super::{LinkageError, parallel};

/// Records, what is compared in them, and which of them may be the same.
#[derive(Debug)]
pub struct Linkage<'a> {
    pub(crate) records: &'a Records,
    pub(crate) comparisons: &'a [Comparison],
    pub(crate) scope: Scope,
    pub(crate) threads: usize,
    pub(crate) comparator: Comparator<'a>,
}

/// How [`Linkage::random_levels`] samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct USample {
    /// Pairs looked at, at most, for each comparison.
    pub max_pairs: u64,
    /// A comparison is done when each of its levels has been seen so often.
    pub min_count: u64,
    /// Another seed gives another sample.
    pub seed: u64,
}

impl Default for USample {
    fn default() -> Self {
        Self {
            max_pairs: 5_000_000,
            min_count: 200,
            seed: 1,
        }
    }
}

/// How often each level is met among random pairs; see [`Linkage::random_levels`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomLevels {
    /// For each comparison, of each level but the null one.
    counts: Vec<Vec<u64>>,
}

impl RandomLevels {
    /// For each comparison, how often each level but the null one was met, the last one included.
    #[must_use]
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }
}

/// Something that training could not settle. The parameters can be used all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainingProblem {
    /// No pair of different people was in the level; its `u` is an upper bound.
    LevelWithoutU {
        /// Name of the comparison.
        comparison: String,
        /// Label of the level.
        level: String,
    },
    /// No session had a pair in the level; its `m` is what is assumed before training.
    LevelWithoutM {
        /// Name of the comparison.
        comparison: String,
        /// Label of the level.
        level: String,
    },
    /// Every session holds the comparison fixed, so its `m` is what is assumed before training.
    ComparisonWithoutSession {
        /// Name of the comparison.
        comparison: String,
    },
    /// A training rule brings no pair.
    EmptySession {
        /// Position of the rule.
        rule: usize,
    },
}

impl<'a> Linkage<'a> {
    /// Checks that the comparisons fit the records.
    ///
    /// # Errors
    /// A comparison names a column that does not exist or is of another type, or has no level.
    pub fn new(
        records: &'a Records,
        comparisons: &'a [Comparison],
        scope: Scope,
        threads: usize,
    ) -> Result<Self, LinkageError> {
        Ok(Self {
            records,
            comparisons,
            scope,
            threads: threads.max(1),
            comparator: Comparator::new(records, comparisons)?,
        })
    }

    /// Probability that two records, taken at random, are the same person: the pairs that a few
    /// strict rules find, which hold for hardly any two people, divided by the share of all pairs
    /// they are thought to find and by the number of pairs. A wrong `recall` matters little.
    ///
    /// # Errors
    /// A recall out of range, rules of another length, no pairs, or more found than there can be.
    pub fn estimate_prior(&self, rules: &[Vec<u64>], recall: f64) -> Result<f64, LinkageError> {
        if !(recall > 0.0 && recall <= 1.0) {
            return Err(LinkageError::Recall);
        }
        let total = self.scope.pairs(self.records, 0..self.records.count());
        if total == 0 {
            return Err(LinkageError::NoPairs);
        }
        let blocking = Blocking::new(self.records, self.scope, rules, u64::MAX, self.threads)?;
        let found: u64 = blocking
            .visit(self.threads, || (), || 0, |(), count, _, _| *count += 1)
            .iter()
            .sum();
        let share = share(found, total);
        if share > recall {
            return Err(LinkageError::TooManyMatches);
        }
        // With no pair found there may be one all the same.
        Ok((share / recall)
            .max(1.0 / as_float(total))
            .clamp(FLOOR, 0.5))
    }

    /// Sets each `u` to the share of its level among random pairs, nearly all of which are different
    /// people; what the prior and the `m` of the parameters say of the others is taken off, so it
    /// pays to do it again after [`Self::estimate_m`].
    ///
    /// # Errors
    /// Parameters or a sample of another model.
    pub fn estimate_u(
        &self,
        parameters: &mut Parameters,
        random: &RandomLevels,
    ) -> Result<Vec<TrainingProblem>, LinkageError> {
        parameters.check(self.comparisons)?;
        for (at, comparison) in self.comparisons.iter().enumerate() {
            let levels = random.counts.get(at).map(Vec::len);
            if levels != Some(comparison.levels.len() + 1) {
                return Err(LinkageError::Parameters {
                    comparison: comparison.name.clone(),
                });
            }
        }
        let counts = &random.counts;
        let prior = parameters.prior;
        let mut problems = Vec::new();
        for (counts, comparison) in counts.iter().zip(&mut parameters.comparisons) {
            let total: u64 = counts.iter().sum();
            if total == 0 {
                continue;
            }
            for (count, level) in counts.iter().zip(&mut comparison.levels) {
                if *count == 0 {
                    problems.push(TrainingProblem::LevelWithoutU {
                        comparison: comparison.name.clone(),
                        level: level.label.clone(),
                    });
                }
                let seen = share(*count, total);
                let different = (seen - prior * level.m) / (1.0 - prior);
                level.u = different
                    .max(seen * LEAST_DIFFERENT)
                    .max(0.5 / as_float(total))
                    .clamp(FLOOR, 1.0);
            }
        }
        Ok(problems)
    }

    /// Counts the levels of random pairs.
    ///
    /// Records are put in an order by hash of their keys, and each is paired with the next, then
    /// with the one after it and so on, so that every record is in the sample equally often.
    ///
    /// # Errors
    /// Fewer than two records.
    pub fn random_levels(&self, sample: USample) -> Result<RandomLevels, LinkageError> {
        let mut order: Vec<u32> = (0..self.records.count()).collect();
        order.sort_by_cached_key(|record| {
            (mix(self.records.key(*record) ^ mix(sample.seed)), *record)
        });
        if order.len() < 2 {
            return Err(LinkageError::NoPairs);
        }
        let mut counts: Vec<Vec<u64>> = self
            .comparisons
            .iter()
            .map(|comparison| vec![0; comparison.levels.len() + 1])
            .collect();
        let mut seen = 0;
        let mut open: Vec<usize> = (0..counts.len()).collect();
        // Each distance once: the pairs at distance `n - d` are those at distance `d`.
        for distance in 1..=order.len() / 2 {
            let starts: Vec<usize> = (0..order.len()).step_by(CHUNK).collect();
            // Many chunks at a time, so that a large table need not be gone through in full.
            for chunks in starts.chunks(CHUNKS) {
                if open.is_empty() || seen >= sample.max_pairs {
                    return Ok(RandomLevels { counts });
                }
                let results = parallel::map(
                    self.threads,
                    chunks,
                    || self.comparator.scratch(),
                    |scratch, start| self.count_chunk(scratch, &order, *start, distance, &open),
                );
                for (pairs, found) in results {
                    seen += pairs;
                    for (own, found) in open.iter().zip(found) {
                        for (count, found) in counts[*own].iter_mut().zip(found) {
                            *count += found;
                        }
                    }
                }
                open.retain(|own| counts[*own].iter().any(|count| *count < sample.min_count));
            }
        }
        Ok(RandomLevels { counts })
    }

    fn count_chunk(
        &self,
        scratch: &mut Scratch,
        order: &[u32],
        start: usize,
        distance: usize,
        open: &[usize],
    ) -> (u64, Vec<Vec<u64>>) {
        let mut pairs = 0;
        let mut counts: Vec<Vec<u64>> = open
            .iter()
            .map(|own| vec![0; self.comparisons[*own].levels.len() + 1])
            .collect();
        let end = (start + CHUNK).min(order.len());
        for at in start..end {
            // At half the length each pair would come twice.
            if distance * 2 == order.len() && at >= distance {
                break;
            }
            let (left, right) = (order[at], order[(at + distance) % order.len()]);
            if !self.scope.admits(self.records, left, right) {
                continue;
            }
            pairs += 1;
            for (own, counts) in open.iter().zip(&mut counts) {
                let level = self.comparator.level(*own, scratch, left, right);
                if level != NULL {
                    counts[usize::from(level) - 1] += 1;
                }
            }
        }
        (pairs, counts)
    }
}

/// At least this share of the random pairs in a level counts as different people, so that a prior
/// somewhat too high cannot take all of them off.
const LEAST_DIFFERENT: f64 = 0.05;

/// Records in a chunk of random pairs, and chunks between two looks at the counts.
const CHUNK: usize = 1 << 13;
const CHUNKS: usize = 16;

/// A count as a number; counts of pairs are far below 2⁵³ or need no more than its precision.
pub(crate) fn as_float(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the loss is below 1e-15 of it")]
    let number = count as f64;
    number
}

fn share(part: u64, whole: u64) -> f64 {
    as_float(part) / as_float(whole)
}

/// The median of some numbers; of an even count the mean of the two in the middle.
pub(crate) fn median(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    if numbers.len() % 2 == 1 {
        return Some(upper);
    }
    Some(numbers[middle - 1].midpoint(upper))
}
