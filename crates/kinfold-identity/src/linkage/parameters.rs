//! What training finds and scoring uses.

use super::LinkageError;
use super::comparison::{Comparison, ELSE};

/// A trained model. Plain numbers, to be stored as the caller likes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Probability that two records, taken at random, are the same person.
    pub prior: f64,
    /// For each comparison, in its order.
    pub comparisons: Vec<ComparisonParameters>,
}

/// The parameters of one comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonParameters {
    /// Name of the comparison.
    pub name: String,
    /// Each level in its order, the last one included and the null level, which has none, not.
    pub levels: Vec<LevelParameters>,
}

/// The parameters of one level.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelParameters {
    /// Label of the level.
    pub label: String,
    /// Probability of the level among pairs of the same person, where the comparison is not null.
    pub m: f64,
    /// Probability of the level among pairs of different people, where the comparison is not null.
    pub u: f64,
}

impl LevelParameters {
    /// What a pair in this level gains or loses, in bits.
    #[must_use]
    pub fn weight(&self) -> f64 {
        (self.m / self.u).log2()
    }
}

/// Probabilities are kept above this, so that no weight is infinite.
pub(crate) const FLOOR: f64 = 1e-9;

/// Share of the first level among pairs of the same person, before training.
const FIRST_M: f64 = 0.9;

impl Parameters {
    /// What is assumed before training: most pairs of the same person are in the first level, and
    /// most pairs of different people in the last.
    #[must_use]
    pub fn untrained(comparisons: &[Comparison]) -> Self {
        let comparisons = comparisons
            .iter()
            .map(|comparison| {
                let count = u32::try_from(comparison.levels.len()).unwrap_or(u32::MAX);
                let rest = (1.0 - FIRST_M) / f64::from(count);
                let labels = comparison.levels.iter().map(|level| level.label.as_str());
                let levels = labels
                    .chain([ELSE])
                    .zip(0..=count)
                    .map(|(label, at)| LevelParameters {
                        label: label.to_owned(),
                        m: if at == 0 { FIRST_M } else { rest },
                        u: if at == count { FIRST_M } else { rest },
                    })
                    .collect();
                ComparisonParameters {
                    name: comparison.name.clone(),
                    levels,
                }
            })
            .collect();
        Self {
            prior: 1e-4,
            comparisons,
        }
    }

    /// Refuses parameters of another model.
    pub(crate) fn check(&self, comparisons: &[Comparison]) -> Result<(), LinkageError> {
        for (at, comparison) in comparisons.iter().enumerate() {
            let fits = self.comparisons.get(at).is_some_and(|own| {
                own.name == comparison.name && own.levels.len() == comparison.levels.len() + 1
            });
            if !fits {
                return Err(LinkageError::Parameters {
                    comparison: comparison.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Log odds in bits of a probability.
pub(crate) fn weight_of(probability: f64) -> f64 {
    let probability = probability.clamp(FLOOR, 1.0 - FLOOR);
    (probability / (1.0 - probability)).log2()
}

/// Probability of log odds in bits; no overflow on either side.
pub(crate) fn probability_of(weight: f64) -> f64 {
    if weight >= 0.0 {
        1.0 / (1.0 + (-weight).exp2())
    } else {
        let odds = weight.exp2();
        odds / (1.0 + odds)
    }
}
