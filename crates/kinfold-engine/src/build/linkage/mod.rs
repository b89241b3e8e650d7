//! Materialization `linkage`: records → pairs that may be of one person, and links for an identity.

pub(crate) mod rows;
mod train;
pub(crate) mod write;

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use kinfold_compile::compile::{CompiledNode, Determinism};
use kinfold_identity::linkage::{
    Comparison, Condition, Level, LinkageError, Parameters, Records, Scope,
};
use kinfold_project::linkage::{LevelCondition, LinkScope};
use kinfold_project::{ComparisonRule, KeyRule, LinkageParameters, LinkageRules};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use train::Trained;

use crate::stream::Providers;
use crate::{Engine, EngineError};
use rows::{Kind, Part, Rows, columns_of, key_rules, kind_of, same, select};

/// Why a linkage cannot be trained or built.
#[derive(Debug, thiserror::Error)]
pub enum LinkageFailure {
    /// The model was never trained, or for other levels.
    #[error("it has no trained parameters for its levels; `kinfold identity train` finds them")]
    Untrained,
    /// It is no linkage.
    #[error("it is not materialized as `linkage`")]
    NoLinkage,
    /// What the records do not allow.
    #[error(transparent)]
    Records(#[from] LinkageError),
}

/// Records in memory, and what is done with them.
pub(crate) struct Prepared {
    pub(crate) rows: Rows,
    pub(crate) records: Records,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) rules: LinkageRules,
    /// The distinct rules with the key of each record, in the order of the records.
    keys: Vec<(KeyRule, Vec<u64>)>,
    pub(crate) scope: Scope,
    pub(crate) threads: usize,
    /// Rows without source or id, which are in no pair.
    pub(crate) unnamed: u64,
}

impl Engine {
    /// Reads the records of a linkage into memory: about 20 bytes a record, and for each column 4 and its
    /// distinct texts.
    pub(crate) async fn prepare_linkage(
        &self,
        node: &CompiledNode,
        providers: &Providers,
        cancel: &CancellationToken,
    ) -> Result<Prepared, EngineError> {
        let (Some(plan), Some(rules)) = (&node.plan, &node.config.linkage) else {
            return Err(self.linkage_error(node, LinkageFailure::NoLinkage));
        };
        if node.determinism == Determinism::Volatile {
            return Err(EngineError::NotSupported {
                node: node.id.clone(),
                materialization: "linkage with a volatile function".to_owned(),
            });
        }
        let schema = plan.schema().as_arrow().clone();
        let columns = columns_of(rules, &schema);
        let wanted = key_rules(rules);
        let sql = select(&columns, &wanted);
        let statement = self.statement(false).over_plan("query", plan, providers)?;
        let wanted: Arc<[KeyRule]> = wanted.into_iter().cloned().collect();
        let mut reading = JoinSet::new();
        for (at, stream) in statement.streams(&sql).await?.into_iter().enumerate() {
            let (wanted, count, cancel) = (Arc::clone(&wanted), columns.len(), cancel.clone());
            reading.spawn(async move { (at, read(stream, count, &wanted, &cancel).await) });
        }
        let mut parts = vec![];
        while let Some(done) = reading.join_next().await {
            let (at, part) = done?;
            parts.push((at, part?));
        }
        // Records of the same name keep the order in which they are read.
        parts.sort_by_key(|(at, _)| *at);
        let parts: Vec<Part> = parts.into_iter().map(|(_, part)| part).collect();
        let unnamed = parts.iter().map(|part| part.unnamed).sum();
        let (rules, threads) = (rules.clone(), self.options.target_partitions);
        let prepared = tokio::task::spawn_blocking(move || {
            prepare(parts, (columns, &schema), (rules, &wanted), threads)
        });
        Ok(Prepared {
            unnamed,
            ..prepared.await??
        })
    }

    pub(crate) fn linkage_error(&self, node: &CompiledNode, source: LinkageFailure) -> EngineError {
        EngineError::Linkage {
            node: node.id.clone(),
            source,
        }
    }
}

/// Reads a stream to its end.
async fn read(
    mut stream: SendableRecordBatchStream,
    columns: usize,
    rules: &[KeyRule],
    cancel: &CancellationToken,
) -> Result<Part, EngineError> {
    let mut part = Part::default();
    while let Some(batch) = stream.next().await {
        part.add(batch?, columns, rules)?;
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
    }
    Ok(part)
}

fn prepare(
    parts: Vec<Part>,
    (columns, schema): (Vec<(String, Kind)>, &Schema),
    (rules, wanted): (LinkageRules, &[KeyRule]),
    threads: usize,
) -> Result<Prepared, DataFusionError> {
    let rows::Read {
        rows,
        records,
        keys,
    } = rows::records(parts, &columns, wanted.len(), threads)?;
    let keys = wanted.iter().cloned().zip(keys).collect();
    let comparisons = rules
        .comparisons
        .iter()
        .map(|rule| comparison(rule, &columns, schema))
        .collect();
    Ok(Prepared {
        rows,
        records,
        comparisons,
        scope: match rules.link {
            LinkScope::All => Scope::Dedupe,
            LinkScope::Sources => Scope::Link,
        },
        rules,
        keys,
        threads,
        unnamed: 0,
    })
}

impl Prepared {
    /// The keys of some of the rules.
    pub(crate) fn keys_of(&self, rules: &[KeyRule]) -> Vec<Vec<u64>> {
        let found = rules.iter().filter_map(|rule| {
            let known = self.keys.iter().find(|(known, _)| same(known, rule));
            known.map(|(_, keys)| keys.clone())
        });
        found.collect()
    }
}

fn comparison(rule: &ComparisonRule, columns: &[(String, Kind)], schema: &Schema) -> Comparison {
    let levels = rule.levels.iter().map(|level| {
        let label = level.condition.label();
        let made = Level::new(label, condition(&level.condition, columns, schema));
        let text = level.condition.columns().into_iter().find_map(|column| {
            let kind = kind_of(&level.condition, column, schema);
            let wanted = level.frequency_of.as_deref().is_none_or(|of| of == column);
            (wanted && kind == Kind::Text).then(|| position(column, kind, columns))
        });
        match text {
            Some(column) if level.term_frequency > 0.0 => {
                made.with_term_frequency(column, level.term_frequency)
            }
            _ => made,
        }
    });
    Comparison::new(rule.name.value.clone(), levels.collect())
}

fn position(column: &str, kind: Kind, columns: &[(String, Kind)]) -> usize {
    let mut known = columns.iter();
    // Every column of every level was collected.
    known
        .position(|(name, of)| name == column && *of == kind)
        .unwrap_or_default()
}

fn condition(level: &LevelCondition, columns: &[(String, Kind)], schema: &Schema) -> Condition {
    use LevelCondition as Is;
    let at = |column: &str| position(column, kind_of(level, column, schema), columns);
    let all = |parts: &[LevelCondition]| -> Vec<Condition> {
        parts
            .iter()
            .map(|part| condition(part, columns, schema))
            .collect()
    };
    match level {
        Is::Exact(column) => Condition::Exact(at(column)),
        Is::JaroWinkler(column, least) => Condition::JaroWinkler(at(column), *least),
        Is::Jaro(column, least) => Condition::Jaro(at(column), *least),
        Is::Jaccard(column, least) => Condition::Jaccard(at(column), *least),
        Is::Levenshtein(column, most) => Condition::Levenshtein(at(column), *most),
        Is::Damerau(column, most) => Condition::DamerauLevenshtein(at(column), *most),
        Is::Days(column, most) => Condition::DateWithin(at(column), *most),
        Is::Within(column, most) => Condition::NumberWithin(at(column), *most),
        Is::Overlap(column, least) => Condition::ArrayIntersect(at(column), *least),
        Is::BestJaroWinkler(column, least) => Condition::ArrayJaroWinkler(at(column), *least),
        Is::Swapped(one, other) => Condition::Swapped(at(one), at(other)),
        Is::All(parts) => Condition::And(all(parts)),
        Is::Any(parts) => Condition::Or(all(parts)),
        Is::Not(part) => Condition::Not(Box::new(condition(part, columns, schema))),
    }
}

/// The parameters of the file as the scorer takes them.
pub(crate) fn parameters_of(file: &LinkageParameters, rules: &LinkageRules) -> Parameters {
    // In the order of the model, which may be another than that of the file.
    let comparisons = rules.comparisons.iter().filter_map(|rule| {
        let mut known = file.comparisons.iter();
        let found = known.find(|c| c.name.value == rule.name.value)?;
        Some(kinfold_identity::linkage::ComparisonParameters {
            name: found.name.value.clone(),
            levels: found
                .levels
                .iter()
                .map(|level| kinfold_identity::linkage::LevelParameters {
                    label: level.label.value.clone(),
                    m: level.m,
                    u: level.u,
                })
                .collect(),
        })
    });
    Parameters {
        prior: file.prior,
        comparisons: comparisons.collect(),
    }
}

/// Probability as log odds in bits.
pub(crate) fn bits(probability: f64) -> f64 {
    (probability / (1.0 - probability)).log2()
}

/// An [`Arc`] of what was prepared, as the writers share it.
pub(crate) type Shared = Arc<Prepared>;
