//! `m` by expectation maximisation (Dempster, Laird, Rubin 1977) on counted patterns.
//!
//! The pairs of a training rule agree on its columns, so a session learns the other comparisons from
//! them. Pairs with the same pattern have the same probability, so they are counted once and the
//! iterations take no time.

use std::collections::HashMap;

use super::LinkageError;
use super::blocking::Blocking;
use super::parameters::{FLOOR, Parameters, probability_of, weight_of};
use super::pattern::NULL;
use super::records::{WordHash, mix};
use super::training::{Linkage, TrainingProblem, as_float, median};

/// A rule whose pairs serve to learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingRule {
    /// The key of each record, as for [`Blocking::new`].
    pub keys: Vec<u64>,
    /// Comparisons that use a column of the rule: equal by the rule, they teach nothing.
    pub fixed: Vec<usize>,
}

/// How [`Linkage::estimate_m`] iterates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmOptions {
    /// Pairs of a session, at most, about; records are sampled by hash of their keys.
    pub max_pairs: u64,
    /// Iterations, at most.
    pub max_iterations: u32,
    /// Ends when no probability changes by more.
    pub tolerance: f64,
}

impl Default for EmOptions {
    fn default() -> Self {
        Self {
            max_pairs: 2_000_000,
            max_iterations: 100,
            tolerance: 1e-5,
        }
    }
}

/// What a session found.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Pairs learned from.
    pub pairs: u64,
    /// Distinct patterns among them.
    pub patterns: usize,
    /// Iterations done.
    pub iterations: u32,
    /// Share of pairs of the same person.
    pub share: f64,
    /// For each comparison that was not fixed, the `m` of each level; none if no pair was in it.
    pub m: Vec<Option<Vec<Option<f64>>>>,
}

/// Pairs with the same levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Level of each comparison; 0 is the null level.
    pub levels: Vec<u8>,
    /// Pairs.
    pub count: u64,
}

impl Linkage<'_> {
    /// Sets each `m` to the median of what the sessions found, one for each rule. `u` and the prior
    /// are not changed.
    ///
    /// # Errors
    /// Parameters of another model, rules of another length, or too many combinations of levels.
    pub fn estimate_m(
        &self,
        parameters: &mut Parameters,
        rules: &[TrainingRule],
        options: EmOptions,
    ) -> Result<(Vec<Session>, Vec<TrainingProblem>), LinkageError> {
        parameters.check(self.comparisons)?;
        let mut sessions = Vec::new();
        let mut problems = Vec::new();
        for (rule, training) in rules.iter().enumerate() {
            let patterns = self.training_patterns(&training.keys, options.max_pairs)?;
            if patterns.is_empty() {
                problems.push(TrainingProblem::EmptySession { rule });
                continue;
            }
            sessions.push(expectation_maximisation(
                &patterns,
                parameters,
                &training.fixed,
                options,
            ));
        }
        for (at, comparison) in parameters.comparisons.iter_mut().enumerate() {
            if sessions.iter().all(|session| session.m[at].is_none()) {
                problems.push(TrainingProblem::ComparisonWithoutSession {
                    comparison: comparison.name.clone(),
                });
                continue;
            }
            for (position, level) in comparison.levels.iter_mut().enumerate() {
                let mut found: Vec<f64> = sessions
                    .iter()
                    .filter_map(|session| session.m[at].as_ref()?[position])
                    .collect();
                match median(&mut found) {
                    Some(m) => level.m = m.max(FLOOR),
                    None => problems.push(TrainingProblem::LevelWithoutM {
                        comparison: comparison.name.clone(),
                        level: level.label.clone(),
                    }),
                }
            }
        }
        Ok((sessions, problems))
    }

    /// Patterns of the pairs that agree on a key, ascending by their levels.
    fn training_patterns(
        &self,
        keys: &[u64],
        max_pairs: u64,
    ) -> Result<Vec<Pattern>, LinkageError> {
        let rules = [keys.to_vec()];
        let blocking = Blocking::new(self.records, self.scope, &rules, u64::MAX, self.threads)?;
        let pairs: u64 = blocking.counts().iter().map(|count| count.pairs).sum();
        if pairs <= max_pairs {
            return self.patterns(&blocking);
        }
        // Of a share of the records, that share squared of the pairs.
        let kept = (as_float(max_pairs) / as_float(pairs)).sqrt();
        let sampled = keys
            .iter()
            .zip(0..self.records.count())
            .map(|(key, record)| {
                let hash = as_float(mix(mix(self.records.key(record)))) / as_float(u64::MAX);
                if hash < kept { *key } else { 0 }
            })
            .collect();
        let rules = [sampled];
        let blocking = Blocking::new(self.records, self.scope, &rules, u64::MAX, self.threads)?;
        self.patterns(&blocking)
    }

    /// Patterns of the pairs of rules, ascending by their levels.
    ///
    /// # Errors
    /// The levels have more combinations than a word.
    pub fn patterns(&self, blocking: &Blocking<'_>) -> Result<Vec<Pattern>, LinkageError> {
        let radices: Vec<u64> = self
            .comparisons
            .iter()
            .map(|comparison| comparison.levels.len() as u64 + 2)
            .collect();
        radices
            .iter()
            .try_fold(1_u64, |product, radix| product.checked_mul(*radix))
            .ok_or(LinkageError::TooManyPatterns)?;
        let parts = blocking.visit(
            self.threads,
            || (self.comparator.scratch(), vec![NULL; radices.len()]),
            HashMap::<u64, u64, WordHash>::default,
            |(scratch, levels), counts, left, right| {
                self.comparator.pattern(scratch, left, right, levels);
                let code = levels
                    .iter()
                    .zip(&radices)
                    .fold(0, |code, (level, radix)| code * radix + u64::from(*level));
                *counts.entry(code).or_default() += 1;
            },
        );
        let mut total = HashMap::<u64, u64, WordHash>::default();
        for (code, count) in parts.into_iter().flatten() {
            *total.entry(code).or_default() += count;
        }
        let mut patterns: Vec<Pattern> = total
            .into_iter()
            .map(|(mut code, count)| {
                let mut levels: Vec<u8> = radices
                    .iter()
                    .rev()
                    .map(|radix| {
                        let level = code % radix;
                        code /= radix;
                        u8::try_from(level).unwrap_or(u8::MAX)
                    })
                    .collect();
                levels.reverse();
                Pattern { levels, count }
            })
            .collect();
        patterns.sort_unstable_by(|one, two| one.levels.cmp(&two.levels));
        Ok(patterns)
    }
}

/// Pairs that each level is taken to have beside those met, so that a level that matches of a small
/// table do not have is rare among them, not impossible.
const PSEUDO_COUNT: f64 = 0.5;

/// One session: `u` stays, `m` and the share of matches are learned, comparisons that are fixed are
/// left out.
pub fn expectation_maximisation(
    patterns: &[Pattern],
    parameters: &Parameters,
    fixed: &[usize],
    options: EmOptions,
) -> Session {
    let free = |comparison: usize| !fixed.contains(&comparison);
    let mut m: Vec<Vec<f64>> = parameters
        .comparisons
        .iter()
        .map(|comparison| comparison.levels.iter().map(|level| level.m).collect())
        .collect();
    let u: Vec<Vec<f64>> = parameters
        .comparisons
        .iter()
        .map(|comparison| comparison.levels.iter().map(|level| level.u).collect())
        .collect();
    // Agreement on the fixed comparisons raises the odds as their first level says.
    let agreed: f64 = parameters
        .comparisons
        .iter()
        .enumerate()
        .filter(|(at, _)| !free(*at))
        .filter_map(|(_, comparison)| comparison.levels.first())
        .map(|level| level.weight())
        .sum();
    let mut share = probability_of(weight_of(parameters.prior) + agreed).clamp(1e-4, 0.95);
    let pairs: u64 = patterns.iter().map(|pattern| pattern.count).sum();
    let mut seen: Vec<Vec<bool>> = m.iter().map(|levels| vec![false; levels.len()]).collect();
    let mut iterations = 0;
    while iterations < options.max_iterations {
        iterations += 1;
        let weights: Vec<Vec<f64>> = m
            .iter()
            .zip(&u)
            .map(|(m, u)| m.iter().zip(u).map(|(m, u)| (m / u).log2()).collect())
            .collect();
        let start = weight_of(share);
        let mut sums: Vec<Vec<f64>> = m.iter().map(|levels| vec![0.0; levels.len()]).collect();
        let mut matches = 0.0;
        for pattern in patterns {
            let levels = pattern.levels.iter().enumerate();
            let levels = levels.filter(|(at, level)| free(*at) && **level != NULL);
            let weight: f64 = levels
                .clone()
                .map(|(at, level)| weights[at][usize::from(*level) - 1])
                .sum();
            let expected = probability_of(start + weight) * as_float(pattern.count);
            matches += expected;
            for (at, level) in levels {
                sums[at][usize::from(*level) - 1] += expected;
                seen[at][usize::from(*level) - 1] = true;
            }
        }
        let mut change = 0.0_f64;
        for (m, sums) in m.iter_mut().zip(&sums) {
            let total: f64 = sums.iter().sum();
            if total <= 0.0 {
                continue;
            }
            let smoothed = total + PSEUDO_COUNT * as_float(sums.len() as u64);
            for (m, sum) in m.iter_mut().zip(sums) {
                let next = (sum + PSEUDO_COUNT) / smoothed;
                change = change.max((next - *m).abs());
                *m = next;
            }
        }
        let next = (matches / as_float(pairs.max(1))).clamp(FLOOR, 1.0 - FLOOR);
        change = change.max((next - share).abs());
        share = next;
        if change < options.tolerance {
            break;
        }
    }
    let m = m
        .into_iter()
        .zip(seen)
        .enumerate()
        .map(|(at, (m, seen))| {
            free(at).then(|| {
                m.into_iter()
                    .zip(seen)
                    .map(|(m, seen)| seen.then_some(m))
                    .collect()
            })
        })
        .collect();
    Session {
        pairs,
        patterns: patterns.len(),
        iterations,
        share,
        m,
    }
}
