//! Fellegi and Sunter's model ("A theory for record linkage", JASA 1969).
//!
//! Two records are compared in some aspects, and each comparison puts the pair in a level. The level
//! is worth `log₂(m / u)` bits, where `m` is how often pairs of the same person are in it and `u` how
//! often pairs of different people. The sum with the prior is the weight of the pair.
//!
//! ```text
//! Records::new, add_*            rows by column             ┐
//! Comparison::new                what is compared           ├─ Linkage::new
//! Linkage::train                 prior, u, m               ┘  Parameters
//! Blocking::new                  which pairs                ┐
//! Linkage::scorer, Scorer::score                            ├─ pairs with weights
//! Scorer::cluster, best_links    who is who                 ┘
//! ```
//!
//! Records are kept in the order of their keys, samples are drawn by hash of the keys, and sums go in
//! the order of the records: the result depends on the set of rows alone, never on their order or on
//! threads. Nothing here does I/O.
//!
//! # Memory
//!
//! Each distinct text once, four bytes for a value of text, 16 for a record; 12 for each record and
//! blocking rule; 16 for each pair above the least weight. Pairs below it are not kept.

mod binding;
mod blocking;
mod cluster;
mod comparison;
mod confusion;
mod em;
mod estimate;
mod evaluation;
mod labels;
mod parallel;
mod parameters;
mod pattern;
mod records;
mod repair;
mod scoring;
mod similarity;
mod survey;
mod train;
mod training;
mod values;

pub use blocking::{Blocking, RuleCount, Scope};
pub use cluster::{best_links, connected_components};
pub use comparison::{Comparison, Condition, ELSE, Level, TermFrequency};
pub use confusion::{Confusion, Judged, exact_clusters};
pub use em::{EmOptions, Pattern, Session, TrainingRule, expectation_maximisation};
pub use estimate::{Estimate, SampledLabel, ThresholdEstimate, estimate};
pub use evaluation::{Quality, ThresholdQuality, b_cubed, cluster_pairs, pairs_by_threshold};
pub use labels::WorstPairs;
pub use parallel::map as map_in_order;
pub use parameters::{ComparisonParameters, LevelParameters, Parameters};
pub use records::{ColumnIndex, NewColumn, Records, hash_key};
pub use repair::ClusterOptions;
pub use scoring::{Explanation, Part, ScoreState, ScoredPair, Scorer, Weights};
pub use survey::{Stratum, allocate};
pub use train::{Trained, Training};
pub use training::{Linkage, RandomLevels, TrainingProblem, USample};

/// Why records could not be linked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkageError {
    /// Dense indices have 32 bits.
    #[error("more than 4,294,967,295 records")]
    TooManyRecords,
    /// Dense indices have 32 bits.
    #[error("a column has more than 4,294,967,294 distinct values")]
    TooManyValues,
    /// A column or a blocking rule does not fit the records.
    #[error("{found} values for {expected} records")]
    Length {
        /// Values given.
        found: usize,
        /// Records there are.
        expected: usize,
    },
    /// A comparison names a column that was not added.
    #[error("comparison `{comparison}` uses column {column}, which does not exist")]
    NoColumn {
        /// Name of the comparison.
        comparison: String,
        /// Index of the column.
        column: ColumnIndex,
    },
    /// A condition does not apply to the type of its column.
    #[error(
        "comparison `{comparison}` has a condition that does not apply to column {column}, of type {found}"
    )]
    ColumnKind {
        /// Name of the comparison.
        comparison: String,
        /// Index of the column.
        column: ColumnIndex,
        /// Type of the column.
        found: &'static str,
    },
    /// A comparison without levels says nothing.
    #[error("comparison `{comparison}` must have from 1 to 250 levels")]
    Levels {
        /// Name of the comparison.
        comparison: String,
    },
    /// Patterns are counted as one number.
    #[error("the comparisons have more than 2⁶⁴ combinations of levels")]
    TooManyPatterns,
    /// Parameters are of another model.
    #[error("the parameters do not fit comparison `{comparison}`")]
    Parameters {
        /// Name of the comparison.
        comparison: String,
    },
    /// A share of true pairs that rules find.
    #[error("a recall must be above 0 and at most 1")]
    Recall,
    /// The deterministic rules find more pairs than there can be.
    #[error("the deterministic rules find more pairs than the recall given leaves room for")]
    TooManyMatches,
    /// A label names a record that does not exist.
    #[error("a pair names record {record} of {count}")]
    NoRecord {
        /// Index of the record.
        record: u32,
        /// Records there are.
        count: u32,
    },
    /// No pair to learn from.
    #[error("no pair of records can be compared")]
    NoPairs,
}
