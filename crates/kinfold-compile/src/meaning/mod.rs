//! Fingerprints of meaning: of each column of a result, and of its rows.
//!
//! A bound plan, views put in, is read as a set of rows and functions on it. The *rows* are what scans, filters,
//! joins, groups, limits and set operations make of the rows of relations; a *column* is a function that gives each
//! of them a value. Both are hashed symbol by symbol, with the columns and rows of stored relations as the last
//! symbols. Two results with the same fingerprint of rows have, over the same input, the same rows one by one,
//! and columns of them with the same fingerprint have the same value in each. Names inside a query, the order of
//! what is joined by `AND`, and what nobody reads are in no fingerprint.
//!
//! A plan with an operator or an expression whose meaning is not certain here has none: [`Meaning::of`] returns
//! nothing rather than a guess.

mod certainty;
mod expression;
mod flow;
mod print;

use std::collections::BTreeSet;

use datafusion::logical_expr::LogicalPlan;

use crate::compile::{Determinism, Fingerprint};
use crate::lineage::Point;

/// Whether the same meaning over the same input is the same data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Yes, to the bit.
    Exact,
    /// Up to rounding: a sum of floating-point numbers depends on the order in which they are added.
    Rounded,
    /// One of several answers: a limit or a window whose order leaves ties, any value of a group.
    Chosen,
}

/// The fingerprint of a column or of rows, and what it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print {
    /// Equal fingerprints over equal data of `reads` mean the same, as far as `certainty` goes.
    pub fingerprint: Fingerprint,
    /// The columns and rows of stored relations that it is made of.
    pub reads: BTreeSet<Point>,
    /// Whether it is always the same data.
    pub certainty: Certainty,
    /// Whether it depends on more than its input.
    pub determinism: Determinism,
}

/// The meaning of a bound plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The columns by position: name and fingerprint.
    pub columns: Vec<(String, Print)>,
    /// Which rows there are, and how often.
    pub rows: Print,
    /// What the rows are sorted by at the end: it decides how they are stored, and nothing else.
    pub order: Vec<Print>,
}

impl Meaning {
    /// The meaning of a bound plan with the plans of views put in; none if not every part of it is certain.
    #[must_use]
    pub fn of(plan: &LogicalPlan) -> Option<Self> {
        let mut walker = flow::Walker::default();
        let flow = walker.plan(plan, None)?;
        let fields = plan.schema().fields().iter();
        let columns = fields.zip(&flow.columns).map(|(field, print)| {
            let typed = print::Maker::new("column")
                .text(&field.data_type().to_string())
                .part(print);
            (field.name().clone(), walker.finished(&typed.finish()))
        });
        Some(Self {
            columns: columns.collect(),
            rows: walker.finished(&flow.rows.print()),
            order: flow
                .order
                .iter()
                .map(|key| walker.finished(&key.print()))
                .collect(),
        })
    }

    /// Everything that has a fingerprint: rows, columns and order.
    pub fn prints(&self) -> impl Iterator<Item = &Print> {
        let columns = self.columns.iter().map(|(_, print)| print);
        columns.chain([&self.rows]).chain(&self.order)
    }

    /// What the whole depends on beside its input.
    #[must_use]
    pub fn determinism(&self) -> Determinism {
        let all = self.prints().map(|print| print.determinism);
        all.max().unwrap_or(Determinism::Fixed)
    }

    /// Whether it is always the same data.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        let all = self.columns.iter().map(|(_, print)| print.certainty);
        all.max()
            .unwrap_or(Certainty::Exact)
            .max(self.rows.certainty)
    }

    /// The columns and rows of stored relations that it is made of.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<Point> {
        self.prints()
            .flat_map(|print| print.reads.iter().cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests;
