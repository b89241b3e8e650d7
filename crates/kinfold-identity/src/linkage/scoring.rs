//! The weight of the evidence that two records are the same person.

use std::sync::Arc;

use super::blocking::Blocking;
use super::comparison::Condition;
use super::parameters::{FLOOR, Parameters, probability_of, weight_of};
use super::pattern::{NULL, Scratch};
use super::records::{Column, NO_TEXT};
use super::similarity::ratio;
use super::training::Linkage;
use super::{LinkageError, Records, parallel};

/// A pair and the weight of its evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredPair {
    /// The lesser record.
    pub left: u32,
    /// The other.
    pub right: u32,
    /// Log odds in bits that they are the same person.
    pub weight: f64,
}

impl ScoredPair {
    /// Probability that they are the same person.
    #[must_use]
    pub fn probability(&self) -> f64 {
        probability_of(self.weight)
    }
}

/// What one comparison adds to the weight of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Name of the comparison.
    pub comparison: String,
    /// Label of the level; none for the null level.
    pub level: Option<String>,
    /// Of the level, in bits.
    pub weight: f64,
    /// For the frequency of the value, in bits.
    pub term_frequency: f64,
}

/// The weight of a pair, explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Of two records taken at random, in bits.
    pub prior: f64,
    /// Of each comparison, in its order.
    pub parts: Vec<Part>,
}

impl Explanation {
    /// The weight of the pair: the sum of all.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.parts.iter().fold(self.prior, |sum, part| {
            sum + (part.weight + part.term_frequency)
        })
    }
}

/// Adds the frequency of a value to the weight of a level.
#[derive(Debug)]
struct Adjustment {
    /// A column of text.
    column: usize,
    /// For each code `weight × (log₂ u − log₂ share)`.
    bits: Vec<f64>,
}

impl Adjustment {
    /// Of the more frequent of two values; of one if the other is missing.
    fn bits(&self, records: &Records, left: u32, right: u32) -> f64 {
        let Some(Column::Text { codes, .. }) = records.column(self.column) else {
            return 0.0;
        };
        let of = |record: u32| {
            let code = codes[record as usize];
            (code != NO_TEXT).then(|| self.bits[code as usize])
        };
        match (of(left), of(right)) {
            (Some(left), Some(right)) => left.min(right),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0.0,
        }
    }
}

/// What every level is worth under given parameters, and every value. It belongs to the linkage that made it.
#[derive(Debug)]
pub struct Weights {
    prior: f64,
    /// For each comparison and level, the null level first.
    levels: Vec<Vec<f64>>,
    adjustments: Vec<Vec<Option<Adjustment>>>,
}

impl Weights {
    /// The most bits that a pair can gain over other weights of the same parameters.
    #[must_use]
    pub fn gain(&self, other: &Self) -> f64 {
        let of_level = |(new, old): (&Option<Adjustment>, &Option<Adjustment>)| {
            let (Some(new), Some(old)) = (new, old) else {
                return 0.0;
            };
            let gains = new.bits.iter().zip(&old.bits).map(|(new, old)| new - old);
            gains.fold(0.0_f64, f64::max)
        };
        let of_comparison = |(new, old): (&Vec<_>, &Vec<_>)| {
            let gains = new.iter().zip(old).map(of_level);
            gains.fold(0.0_f64, f64::max)
        };
        let comparisons = self.adjustments.iter().zip(&other.adjustments);
        comparisons.map(of_comparison).sum()
    }
}

/// Weights of pairs under given parameters.
#[derive(Debug)]
pub struct Scorer<'a> {
    linkage: &'a Linkage<'a>,
    weights: Arc<Weights>,
}

impl<'a> Linkage<'a> {
    /// Prepares weights.
    ///
    /// Frequencies of values are counted over records, or, if `entities` gives an entity for each
    /// record, over entities: with many records to a person a rare value would seem frequent.
    ///
    /// # Errors
    /// Parameters of another model, or entities of another length.
    pub fn scorer(
        &'a self,
        parameters: &Parameters,
        entities: Option<&[u32]>,
    ) -> Result<Scorer<'a>, LinkageError> {
        let weights = Arc::new(self.weights(parameters, entities)?);
        Ok(self.scorer_of(weights))
    }

    /// A scorer of weights that were made by [`Self::weights`] of the same records and comparisons.
    #[must_use]
    pub const fn scorer_of(&'a self, weights: Arc<Weights>) -> Scorer<'a> {
        Scorer {
            linkage: self,
            weights,
        }
    }

    /// What [`Self::scorer`] prepares.
    ///
    /// # Errors
    /// Those of [`Self::scorer`].
    pub fn weights(
        &self,
        parameters: &Parameters,
        entities: Option<&[u32]>,
    ) -> Result<Weights, LinkageError> {
        parameters.check(self.comparisons)?;
        if let Some(entities) = entities.filter(|found| found.len() != self.records.len()) {
            return Err(LinkageError::Length {
                found: entities.len(),
                expected: self.records.len(),
            });
        }
        let mut levels = Vec::new();
        let mut adjustments = Vec::new();
        for (comparison, own) in self.comparisons.iter().zip(&parameters.comparisons) {
            let of_levels = own
                .levels
                .iter()
                .map(|level| (level.m.max(FLOOR) / level.u.max(FLOOR)).log2());
            levels.push([0.0].into_iter().chain(of_levels).collect());
            let mut of_levels: Vec<Option<Adjustment>> = vec![None];
            for (level, own_level) in comparison.levels.iter().zip(&own.levels) {
                let Some(frequency) = level.term_frequency else {
                    of_levels.push(None);
                    continue;
                };
                // Of equal values of the column, if there is a level for them.
                let equal = comparison
                    .levels
                    .iter()
                    .position(|level| level.condition == Condition::Exact(frequency.column))
                    .map_or(own_level.u, |at| own.levels[at].u);
                of_levels.push(adjustment(
                    self.records,
                    frequency.column,
                    frequency.weight,
                    equal.max(FLOOR),
                    entities,
                ));
            }
            of_levels.push(None);
            adjustments.push(of_levels);
        }
        Ok(Weights {
            prior: weight_of(parameters.prior),
            levels,
            adjustments,
        })
    }
}

fn adjustment(
    records: &Records,
    column: usize,
    weight: f64,
    equal: f64,
    entities: Option<&[u32]>,
) -> Option<Adjustment> {
    let Some(Column::Text { codes, texts }) = records.column(column) else {
        return None;
    };
    let mut counts = vec![0_usize; texts.len()];
    let mut total = 0;
    let mut count = |code: u32| {
        counts[code as usize] += 1;
        total += 1;
    };
    match entities {
        None => codes
            .iter()
            .filter(|code| **code != NO_TEXT)
            .for_each(|code| count(*code)),
        Some(entities) => {
            let named = entities.iter().zip(codes);
            let mut values: Vec<(u32, u32)> = named
                .filter(|(_, code)| **code != NO_TEXT)
                .map(|(entity, code)| (*entity, *code))
                .collect();
            values.sort_unstable();
            values.dedup();
            values.into_iter().for_each(|(_, code)| count(code));
        }
    }
    let bits = counts
        .iter()
        .map(|count| weight * (equal.log2() - ratio((*count).max(1), total.max(1)).log2()))
        .collect();
    Some(Adjustment { column, bits })
}

/// What one thread keeps between pairs.
#[derive(Debug)]
pub struct ScoreState {
    scratch: Scratch,
    levels: Vec<u8>,
}

impl Scorer<'_> {
    /// The state of one thread.
    #[must_use]
    pub fn state(&self) -> ScoreState {
        ScoreState {
            scratch: self.linkage.comparator.scratch(),
            levels: vec![NULL; self.weights.levels.len()],
        }
    }

    /// The weight of a pair, in bits.
    pub fn weight(&self, state: &mut ScoreState, left: u32, right: u32) -> f64 {
        let ScoreState { scratch, levels } = state;
        self.linkage
            .comparator
            .pattern(scratch, left, right, levels);
        let levels = levels.iter().enumerate();
        levels.fold(self.weights.prior, |sum, (at, level)| {
            let (weight, adjustment) = self.part(at, *level, left, right);
            sum + (weight + adjustment)
        })
    }

    /// What each comparison adds to the weight of a pair, in bits: numbers alone, for many pairs.
    pub fn parts(&self, state: &mut ScoreState, left: u32, right: u32, parts: &mut Vec<f64>) {
        let ScoreState { scratch, levels } = state;
        self.linkage
            .comparator
            .pattern(scratch, left, right, levels);
        parts.clear();
        parts.extend(levels.iter().enumerate().map(|(at, level)| {
            let (weight, adjustment) = self.part(at, *level, left, right);
            weight + adjustment
        }));
    }

    /// Of a comparison and its level: the weight of the level, and for the frequency of the value.
    fn part(&self, comparison: usize, level: u8, left: u32, right: u32) -> (f64, f64) {
        let level = usize::from(level);
        let adjustment = self.weights.adjustments[comparison][level].as_ref();
        let records = self.linkage.records;
        (
            self.weights.levels[comparison][level],
            adjustment.map_or(0.0, |adjustment| adjustment.bits(records, left, right)),
        )
    }

    /// The weight of two records taken at random, in bits.
    #[must_use]
    pub fn prior(&self) -> f64 {
        self.weights.prior
    }

    /// The weight of a pair by comparison.
    #[must_use]
    pub fn explain(&self, left: u32, right: u32) -> Explanation {
        let comparator = &self.linkage.comparator;
        let mut levels = vec![NULL; self.weights.levels.len()];
        comparator.pattern(&mut comparator.small_scratch(), left, right, &mut levels);
        let parts = self
            .linkage
            .comparisons
            .iter()
            .zip(&levels)
            .enumerate()
            .map(|(at, (comparison, level))| {
                let (weight, term_frequency) = self.part(at, *level, left, right);
                let level = usize::from(*level);
                let label = level.checked_sub(1).map(|level| {
                    let label = comparison
                        .levels
                        .get(level)
                        .map(|level| level.label.as_str());
                    label.unwrap_or(super::ELSE).to_owned()
                });
                Part {
                    comparison: comparison.name.clone(),
                    level: label,
                    weight,
                    term_frequency,
                }
            })
            .collect();
        Explanation {
            prior: self.weights.prior,
            parts,
        }
    }

    /// Pairs of the rules whose weight is at least `least`, in an order that depends on the records
    /// and the rules alone.
    #[must_use]
    pub fn score(&self, blocking: &Blocking<'_>, least: f64) -> Vec<ScoredPair> {
        let parts = blocking.visit(
            self.linkage.threads,
            || self.state(),
            Vec::new,
            |state, pairs, left, right| {
                let weight = self.weight(state, left, right);
                if weight >= least {
                    pairs.push(ScoredPair {
                        left,
                        right,
                        weight,
                    });
                }
            },
        );
        parts.into_iter().flatten().collect()
    }

    /// The same pairs with these weights, without those below `least`, in their order.
    #[must_use]
    pub fn rescore(&self, pairs: &[ScoredPair], least: f64) -> Vec<ScoredPair> {
        const PART: usize = 1 << 15;
        let parts: Vec<&[ScoredPair]> = pairs.chunks(PART).collect();
        let scored = parallel::map(
            self.linkage.threads,
            &parts,
            || self.state(),
            |state, part| {
                let scored = part.iter().map(|pair| ScoredPair {
                    weight: self.weight(state, pair.left, pair.right),
                    ..*pair
                });
                let kept = scored.filter(|pair| pair.weight >= least);
                kept.collect::<Vec<_>>()
            },
        );
        scored.into_iter().flatten().collect()
    }

    pub(crate) const fn linkage(&self) -> &Linkage<'_> {
        self.linkage
    }
}
