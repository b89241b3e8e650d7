//! Which columns a column comes from.
//!
//! Lineage is read off the plan as it was bound, before any rewrite, by the position of columns. Of every
//! column of a result it tells the columns that its *value* is made of, and apart from them the columns that
//! *control* which value it is, or which rows there are: filters, keys of joins and groups, the order of windows
//! and limits, what set operations compare. What is not understood is never left out: it counts as coming from
//! everything that is read, and is marked as not complete.

mod expression;
mod flow;
mod graph;

use std::collections::BTreeSet;
use std::fmt;

use datafusion::logical_expr::LogicalPlan;

pub(crate) use flow::is_lateral;
pub use graph::{ColumnGraph, Direction, Edge, EdgeKind, NameProblem, Reached, Walk};

use crate::relation::RelationKey;

/// A column of a relation or, without a column, which rows the relation has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The relation.
    pub relation: RelationKey,
    /// The column; `None` for the rows.
    pub column: Option<String>,
}

impl Point {
    /// A column of a relation.
    #[must_use]
    pub fn column(relation: &RelationKey, column: &str) -> Self {
        Self {
            relation: relation.clone(),
            column: Some(column.to_owned()),
        }
    }

    /// Which rows a relation has.
    #[must_use]
    pub fn rows(relation: &RelationKey) -> Self {
        Self {
            relation: relation.clone(),
            column: None,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column.as_deref().unwrap_or("*");
        write!(f, "{}.{column}", self.relation)
    }
}

/// What a column comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// The columns that its value is made of.
    pub value: BTreeSet<Point>,
    /// What decides which of them, for this column alone: the order of its window, the filter of its aggregate.
    pub control: BTreeSet<Point>,
}

impl Origins {
    fn add(&mut self, other: &Self) {
        self.value.extend(other.value.iter().cloned());
        self.control.extend(other.control.iter().cloned());
    }

    fn add_as_control(&mut self, other: &Self) {
        self.control.extend(other.all().cloned());
    }

    fn all(&self) -> impl Iterator<Item = &Point> {
        self.value.iter().chain(&self.control)
    }
}

/// What the result of a plan comes from, one step back: to the relations that the plan names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanLineage {
    /// The columns by position: name and origins.
    pub columns: Vec<(String, Origins)>,
    /// What decides which rows there are, and so controls every column.
    pub rows: BTreeSet<Point>,
    /// Whether every part of the plan was understood. If not, what was not counts as coming from everything
    /// that it reads.
    pub complete: bool,
}

impl PlanLineage {
    /// Adds what another plan for the same columns comes from, but for `own`, the relation that both make.
    pub(crate) fn add(&mut self, other: Self, own: &RelationKey) {
        let others = |point: &Point| point.relation != *own;
        for (name, mut origins) in other.columns {
            origins.value.retain(others);
            origins.control.retain(others);
            let mut columns = self.columns.iter_mut();
            if let Some((_, known)) = columns.find(|(known, _)| *known == name) {
                known.add(&origins);
            }
        }
        self.rows.extend(other.rows.into_iter().filter(others));
        self.complete &= other.complete;
    }

    /// The lineage of a bound plan.
    #[must_use]
    pub fn of(plan: &LogicalPlan) -> Self {
        let mut walker = flow::Walker::default();
        let flow = walker.plan(plan, None);
        let fields = plan.schema().fields().iter();
        Self {
            columns: fields
                .map(|field| field.name().clone())
                .zip(flow.columns)
                .collect(),
            rows: flow.rows,
            complete: walker.complete(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
