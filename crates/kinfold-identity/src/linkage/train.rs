//! The whole of training in its order.

use super::LinkageError;
use super::em::{EmOptions, Session, TrainingRule};
use super::parameters::Parameters;
use super::training::{Linkage, TrainingProblem, USample};

/// What training needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training<'a> {
    /// Rules that hold for hardly any two people, as for [`super::Blocking::new`].
    pub strict: &'a [Vec<u64>],
    /// Share of the true pairs that the strict rules are thought to find, above 0 and at most 1.
    pub recall: f64,
    /// Rules to learn from. Each comparison must be free in one of them at least; rules of few
    /// columns teach better, since a rule of many says that the errors are in the other columns.
    pub rules: &'a [TrainingRule],
    /// The sample for `u`.
    pub sample: USample,
    /// How `m` is found.
    pub em: EmOptions,
}

/// What training found.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The model.
    pub parameters: Parameters,
    /// What each rule taught.
    pub sessions: Vec<Session>,
    /// What could not be settled.
    pub problems: Vec<TrainingProblem>,
}

/// `u` is found without `m` first, and then again with it.
const ROUNDS: u32 = 2;

impl Linkage<'_> {
    /// Finds the prior, then `u` and `m` in two rounds.
    ///
    /// # Errors
    /// A recall out of range, rules of another length than the records, no pairs, or more pairs found
    /// by the strict rules than there can be.
    pub fn train(&self, training: Training<'_>) -> Result<Trained, LinkageError> {
        let mut parameters = Parameters::untrained(self.comparisons);
        parameters.prior = self.estimate_prior(training.strict, training.recall)?;
        let random = self.random_levels(training.sample)?;
        let mut trained = Trained {
            parameters,
            sessions: Vec::new(),
            problems: Vec::new(),
        };
        for _ in 0..ROUNDS {
            trained.problems = self.estimate_u(&mut trained.parameters, &random)?;
            let (sessions, problems) =
                self.estimate_m(&mut trained.parameters, training.rules, training.em)?;
            trained.sessions = sessions;
            trained.problems.extend(problems);
        }
        Ok(trained)
    }
}
