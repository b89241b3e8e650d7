//! What is compared: levels of agreement of two records.

use super::records::ColumnIndex;

/// How two records agree. Where a value is missing, no condition on it holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Equal values; for arrays, equal sets.
    Exact(ColumnIndex),
    /// Jaro similarity of two texts of at least this, from 0 to 1.
    Jaro(ColumnIndex, f64),
    /// Jaro-Winkler similarity of two texts of at least this, from 0 to 1.
    JaroWinkler(ColumnIndex, f64),
    /// At most so many edits between two texts.
    Levenshtein(ColumnIndex, u32),
    /// At most so many edits and swaps of neighbours between two texts; for dates, between their
    /// texts `YYYY-MM-DD`.
    DamerauLevenshtein(ColumnIndex, u32),
    /// Common characters of all characters of two texts, at least this, from 0 to 1.
    Jaccard(ColumnIndex, f64),
    /// Two dates at most so many days apart.
    DateWithin(ColumnIndex, u32),
    /// Two numbers at most this apart.
    NumberWithin(ColumnIndex, f64),
    /// Two numbers apart by at most this share of the larger.
    NumberRelative(ColumnIndex, f64),
    /// At least so many texts in both arrays.
    ArrayIntersect(ColumnIndex, u32),
    /// All texts of the smaller array in the larger.
    ArraySubset(ColumnIndex),
    /// Jaro-Winkler similarity of the most similar texts of two arrays of at least this.
    ArrayJaroWinkler(ColumnIndex, f64),
    /// One column of each record equals the other column of the other.
    Swapped(ColumnIndex, ColumnIndex),
    /// All of them hold.
    And(Vec<Condition>),
    /// One of them holds.
    Or(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// Makes agreement on a rare value weigh more than on a frequent one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TermFrequency {
    /// A column of text.
    pub column: ColumnIndex,
    /// Share of the adjustment that counts, from 0 to 1: 1 where the values are equal, less where
    /// they are only similar.
    pub weight: f64,
}

/// One level of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// What it is called in parameters and explanations.
    pub label: String,
    /// When a pair is in it, unless it is in one before.
    pub condition: Condition,
    /// Adjustment by the frequency of the value.
    pub term_frequency: Option<TermFrequency>,
}

impl Level {
    /// A level without an adjustment.
    pub fn new(label: impl Into<String>, condition: Condition) -> Self {
        Self {
            label: label.into(),
            condition,
            term_frequency: None,
        }
    }

    /// The same level, adjusted by the frequency of the values of a column.
    #[must_use]
    pub fn with_term_frequency(mut self, column: ColumnIndex, weight: f64) -> Self {
        self.term_frequency = Some(TermFrequency { column, weight });
        self
    }
}

/// One aspect in which two records are compared.
///
/// A pair is in the null level, which has no weight, if each column of the comparison is missing on
/// one side at least. Otherwise it is in the first level whose condition holds, or in the last one,
/// [`ELSE`], which is added here.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What it is called in parameters and explanations.
    pub name: String,
    /// From the most to the least similar.
    pub levels: Vec<Level>,
}

/// Label of the level of pairs that are in no other.
pub const ELSE: &str = "else";

impl Comparison {
    /// A comparison of these levels and the last one.
    pub fn new(name: impl Into<String>, levels: Vec<Level>) -> Self {
        Self {
            name: name.into(),
            levels,
        }
    }
}
