//! Training: parameters from the records themselves, without labels.

use kinfold_compile::compile::CompiledNode;
use kinfold_identity::linkage::{
    EmOptions, Linkage, LinkageError, Training, TrainingProblem, TrainingRule, USample,
};
use kinfold_project::linkage::{ComparisonParameters, LevelParameters};
use kinfold_project::{FileId, KeyRule, LinkageParameters, Located, Span};
use tokio_util::sync::CancellationToken;

use super::{LinkageFailure, Prepared};
use crate::{Engine, EngineError};

/// What training has found.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The parameters.
    pub parameters: LinkageParameters,
    /// What could not be settled, in words.
    pub problems: Vec<String>,
    /// Records that were read.
    pub records: u64,
    /// Rows without source or id, which are in no pair.
    pub unnamed: u64,
}

impl Engine {
    /// Trains a linkage on what is published of its inputs.
    ///
    /// # Errors
    /// An input was never built, or the records do not allow it.
    pub async fn train_linkage(&self, node: &CompiledNode) -> Result<Trained, EngineError> {
        let published = self.published().await?.document;
        let providers = self.providers(&published, &node.reads).await?;
        let cancel = CancellationToken::new();
        let prepared = self.prepare_linkage(node, &providers, &cancel).await?;
        let name = (node.package.clone(), node.name.clone());
        let trained = tokio::task::spawn_blocking(move || train(&prepared, name)).await?;
        trained.map_err(|error| self.linkage_error(node, LinkageFailure::Records(error)))
    }
}

fn train(prepared: &Prepared, (package, model): (String, String)) -> Result<Trained, LinkageError> {
    let rules = &prepared.rules;
    let linkage = Linkage::new(
        &prepared.records,
        &prepared.comparisons,
        prepared.scope,
        prepared.threads,
    )?;
    let strict = if rules.prior.is_empty() {
        &rules.training
    } else {
        &rules.prior
    };
    let keys = prepared.keys_of(&rules.training);
    let learned: Vec<TrainingRule> = rules
        .training
        .iter()
        .zip(keys)
        .map(|(rule, keys)| TrainingRule {
            keys,
            fixed: fixed(rule, prepared),
        })
        .collect();
    let trained = linkage.train(Training {
        strict: &prepared.keys_of(strict),
        recall: rules.recall,
        rules: &learned,
        sample: USample::default(),
        em: EmOptions::default(),
    })?;
    let parameters = &trained.parameters;
    let nowhere = Span::new(FileId(0), 0, 0);
    let at = |text: &str| Located::new(text.to_owned(), nowhere);
    let comparisons = parameters.comparisons.iter().map(|c| ComparisonParameters {
        name: at(&c.name),
        levels: c
            .levels
            .iter()
            .map(|level| LevelParameters {
                label: at(&level.label),
                m: level.m,
                u: level.u,
            })
            .collect(),
    });
    Ok(Trained {
        problems: trained
            .problems
            .iter()
            .map(|p| problem(p, &rules.training))
            .collect(),
        records: prepared.rows.len() as u64,
        unnamed: prepared.unnamed,
        parameters: LinkageParameters {
            package,
            model: at(&model),
            prior: parameters.prior,
            comparisons: comparisons.collect(),
        },
    })
}

/// The comparisons that a rule decides: those with a column that it names.
fn fixed(rule: &KeyRule, prepared: &Prepared) -> Vec<usize> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let words: Vec<String> = rule
        .expressions
        .iter()
        .flat_map(|e| e.value.split(|c: char| !word(c)))
        .map(str::to_lowercase)
        .collect();
    let comparisons = prepared.rules.comparisons.iter().enumerate();
    comparisons
        .filter(|(_, comparison)| {
            let levels = comparison.levels.iter();
            let mut columns = levels.flat_map(|level| level.condition.columns());
            columns.any(|column| words.contains(&column.to_lowercase()))
        })
        .map(|(at, _)| at)
        .collect()
}

fn problem(problem: &TrainingProblem, training: &[KeyRule]) -> String {
    match problem {
        TrainingProblem::LevelWithoutU { comparison, level } => format!(
            "`{comparison}`: no random pair was on level `{level}`, so how rare it is can only be bounded"
        ),
        TrainingProblem::LevelWithoutM { comparison, level } => {
            format!("`{comparison}`: no pair to learn from was on level `{level}`")
        }
        TrainingProblem::ComparisonWithoutSession { comparison } => format!(
            "`{comparison}`: every rule of `training` names one of its columns, so nothing is learned of it; add a rule that does not"
        ),
        TrainingProblem::EmptySession { rule } => {
            let rule = training.get(*rule).map(|rule| {
                let texts: Vec<&str> = rule.expressions.iter().map(|e| e.value.as_str()).collect();
                texts.join(", ")
            });
            format!("no two records agree on `{}`", rule.unwrap_or_default())
        }
    }
}
