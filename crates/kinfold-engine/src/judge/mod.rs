//! Judging identities: how good links and people are, and why a pair has the weight that it has.
//!
//! A linkage is scored in memory on what is published of its inputs, with the parameters of its file, so the
//! numbers are those of the next build. People are read as they were published. Nothing is written.

mod evaluate;
mod label;
mod labels;
mod linkage;
mod people;
mod suggest;
mod survey;
mod table;

use std::fmt;

use kinfold_identity::linkage::Quality;
use serde::Serialize;

pub use evaluate::{
    BlockingRecall, EstimateRow, LinkageEvaluation, RuleRecall, Score, Share, ThresholdRow, Worst,
};
pub use label::{LabelSample, SampledStratum};
pub use labels::{
    CLUSTER_COLUMNS, LabelProblem, Labels, PAIR_COLUMNS, PairLabel, STRATUM_COLUMNS, Truth,
};
pub use linkage::{ComparedValue, JudgedLinkage, PairPart, PairReport};
pub use people::{Mixed, PeopleEvaluation, Split, cluster_sizes};
pub use suggest::{
    LeftOut, NoSuggestion, SuggestRequest, SuggestedComparison, SuggestedRule, Suggestion,
};
pub use survey::{ComparisonBars, LevelBar, Survey};
pub use table::{Cell, OpenQuote, Table, csv_line};

/// A record: ids are unique within a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RecordName {
    /// Where it comes from.
    pub source: String,
    /// Its id there.
    pub record_id: String,
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.record_id)
    }
}

impl From<(&str, &str)> for RecordName {
    fn from((source, record_id): (&str, &str)) -> Self {
        Self {
            source: source.to_owned(),
            record_id: record_id.to_owned(),
        }
    }
}

impl From<Quality> for Score {
    fn from(quality: Quality) -> Self {
        Self {
            precision: quality.precision,
            recall: quality.recall,
            f1: quality.f1(),
        }
    }
}

/// Labels against the records of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LabelCounts {
    /// `clusters` or `pairs`.
    pub form: &'static str,
    /// Rows with a label.
    pub labelled: u64,
    /// Rows without one.
    pub unlabelled: u64,
    /// Labels of records that the model does not have, which say nothing.
    pub unknown: u64,
    /// Labels that were used.
    pub used: u64,
}
