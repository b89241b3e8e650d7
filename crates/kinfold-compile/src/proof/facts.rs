//! From operator to operator.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, LogicalPlan, Projection, TableScan, Union, Window,
    WindowFunctionDefinition,
};

use super::expression::{Compared, column_facts, compared, plain_column};
use super::joined;
use crate::relation::{RelationKey, relation_of};

/// Plans that nest deeper are not looked into further.
const DEEPEST: usize = 300;

/// What holds of the rows of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Sets of columns, by position, that no two rows have the same values in; null counts as a value. The
    /// empty set means that there is one row at most.
    pub unique: Vec<BTreeSet<usize>>,
    /// What holds of each column.
    pub columns: Vec<ColumnFacts>,
    /// Whether there is no row at all.
    pub empty: bool,
}

/// What holds of the values of a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnFacts {
    /// None is null.
    pub not_null: bool,
    /// All that are not null are among these.
    pub values: Option<Vec<ScalarValue>>,
    /// They are numbers, none larger than 1.
    pub at_most_one: bool,
    /// They number the rows from 1 within equal values of these columns.
    pub number_within: Option<BTreeSet<usize>>,
}

/// What is known of the relations that a plan reads.
pub type Known<'a> = dyn Fn(&RelationKey) -> Option<Facts> + 'a;

impl Facts {
    /// Nothing is known of so many columns.
    #[must_use]
    pub fn nothing(columns: usize) -> Self {
        Self {
            columns: vec![ColumnFacts::default(); columns],
            ..Self::default()
        }
    }

    /// What holds of the rows of a plan.
    #[must_use]
    pub fn of(plan: &LogicalPlan, known: &Known<'_>) -> Self {
        Self::at(plan, known, 0)
    }

    pub(super) fn at(plan: &LogicalPlan, known: &Known<'_>, depth: usize) -> Self {
        let width = plan.schema().fields().len();
        if depth > DEEPEST {
            return Self::nothing(width);
        }
        let input = |plan: &LogicalPlan| Self::at(plan, known, depth + 1);
        let facts = match plan {
            LogicalPlan::TableScan(scan) => scanned(scan, known),
            LogicalPlan::SubqueryAlias(alias) => input(&alias.input),
            LogicalPlan::Sort(sort) => input(&sort.input),
            LogicalPlan::Limit(limit) => input(&limit.input),
            LogicalPlan::Filter(filter) => filtered(filter, input(&filter.input)),
            LogicalPlan::Projection(projection) => projected(projection, &input(&projection.input)),
            LogicalPlan::Aggregate(aggregate) => aggregated(aggregate, &input(&aggregate.input)),
            LogicalPlan::Window(window) => numbered(window, input(&window.input)),
            LogicalPlan::Distinct(Distinct::All(of)) => {
                let mut facts = input(of);
                facts.unique.push((0..facts.columns.len()).collect());
                facts
            }
            LogicalPlan::Join(join) => joined::facts(join, &input(&join.left), &input(&join.right)),
            LogicalPlan::Union(union) => united(union, &input),
            LogicalPlan::EmptyRelation(none) => {
                let mut facts = Self::nothing(width);
                facts.unique.push(BTreeSet::new());
                facts.empty = !none.produce_one_row;
                facts
            }
            _ => Self::nothing(width),
        };
        // A claim about other columns than there are would be a wrong one.
        if facts.columns.len() == width {
            facts
        } else {
            Self::nothing(width)
        }
    }

    /// The same of the rows as a table stores them: values of another type may have become equal.
    #[must_use]
    pub fn stored_as(mut self, plan: &LogicalPlan, schema: &SchemaRef) -> Self {
        let bound = plan.schema();
        if bound.fields().len() != schema.fields().len() {
            return Self::nothing(schema.fields().len());
        }
        let changed = |at: &usize| {
            schema.fields().get(*at).map(|field| field.data_type())
                != bound.fields().get(*at).map(|field| field.data_type())
        };
        self.unique.retain(|key| !key.iter().any(changed));
        for (at, column) in self.columns.iter_mut().enumerate() {
            if changed(&at) {
                column.values = None;
                column.at_most_one = false;
            }
            column.number_within = None;
        }
        self
    }

    /// Whether no two rows have the same values in these columns.
    #[must_use]
    pub fn tells_apart(&self, columns: &BTreeSet<usize>) -> bool {
        self.unique.iter().any(|key| key.is_subset(columns))
    }

    /// The keys under new positions; those of which a column is gone are gone.
    fn moved(&self, to: &dyn Fn(usize) -> Option<usize>) -> Vec<BTreeSet<usize>> {
        let moved = |key: &BTreeSet<usize>| key.iter().map(|at| to(*at)).collect();
        self.unique.iter().filter_map(moved).collect()
    }
}

fn scanned(scan: &TableScan, known: &Known<'_>) -> Facts {
    let all = scan.source.schema().fields().len();
    let found = relation_of(scan).and_then(|key| known(&key));
    let facts = found.filter(|facts| facts.columns.len() == all);
    let facts = facts.unwrap_or_else(|| Facts::nothing(all));
    let Some(kept) = &scan.projection else {
        return facts;
    };
    let columns = kept
        .iter()
        .map(|at| facts.columns.get(*at).cloned().unwrap_or_default());
    Facts {
        unique: facts.moved(&|at| kept.iter().position(|other| *other == at)),
        columns: columns.collect(),
        empty: facts.empty,
    }
}

/// What a filter lets through, and what it says of that.
fn filtered(filter: &Filter, mut facts: Facts) -> Facts {
    let schema = filter.input.schema();
    for condition in split_conjunction(&filter.predicate) {
        facts.empty |= never(condition, &facts, schema);
        match condition {
            Expr::IsNotNull(of) => {
                let at = plain_column(of, schema);
                if let Some(column) = at.and_then(|at| facts.columns.get_mut(at)) {
                    column.not_null = true;
                }
            }
            Expr::BinaryExpr(both) if joined::is_strict(both.op) => {
                for side in [&both.left, &both.right] {
                    let at = plain_column(side, schema);
                    if let Some(column) = at.and_then(|at| facts.columns.get_mut(at)) {
                        column.not_null = true;
                    }
                }
            }
            _ => {}
        }
        // The first row of each group.
        if let Some(compared) = compared(condition, schema)
            && compared.is_at_most(1)
            && let Some(column) = facts.columns.get(compared.column)
            && let Some(within) = column.number_within.clone()
        {
            facts.unique.push(within);
        }
    }
    facts
}

/// Whether a condition is true of no row.
fn never(condition: &Expr, facts: &Facts, schema: &datafusion::common::DFSchema) -> bool {
    let of = |expr: &Expr| column_facts(expr, facts, schema);
    match condition {
        Expr::Literal(ScalarValue::Boolean(value), _) => *value != Some(true),
        Expr::IsNull(of_what) => of(of_what).not_null,
        Expr::InList(list) if list.negated => {
            let allowed: Option<Vec<&ScalarValue>> = list
                .list
                .iter()
                .map(|item| match item {
                    Expr::Literal(value, _) if !value.is_null() => Some(value),
                    _ => None,
                })
                .collect();
            match (of(&list.expr).values, allowed) {
                (Some(values), Some(allowed)) => values.iter().all(|v| allowed.contains(&v)),
                _ => false,
            }
        }
        Expr::Not(inner) => match inner.as_ref() {
            Expr::InList(list) if !list.negated => {
                let mut list = list.clone();
                list.negated = true;
                never(&Expr::InList(list), facts, schema)
            }
            Expr::IsNotNull(of_what) => of(of_what).not_null,
            _ => false,
        },
        other => compared(other, schema).is_some_and(|compared: Compared| {
            let column = facts.columns.get(compared.column);
            column.is_some_and(|column| column.at_most_one) && compared.is_more_than(1)
        }),
    }
}

fn projected(projection: &Projection, input: &Facts) -> Facts {
    let schema = projection.input.schema();
    let from: Vec<Option<usize>> = projection
        .expr
        .iter()
        .map(|expr| plain_column(expr, schema))
        .collect();
    let to = |at: usize| from.iter().position(|other| *other == Some(at));
    let columns = projection.expr.iter().map(|expr| {
        let mut column = column_facts(expr, input, schema);
        column.number_within = column
            .number_within
            .and_then(|within| within.into_iter().map(to).collect());
        column
    });
    Facts {
        columns: columns.collect(),
        unique: input.moved(&to),
        empty: input.empty,
    }
}

fn aggregated(aggregate: &Aggregate, input: &Facts) -> Facts {
    let schema = aggregate.input.schema();
    let groups = &aggregate.group_expr;
    let width = groups.len() + aggregate.aggr_expr.len();
    if groups.iter().any(|g| matches!(g, Expr::GroupingSet(_))) {
        return Facts::nothing(width);
    }
    let from: Vec<Option<usize>> = groups.iter().map(|g| plain_column(g, schema)).collect();
    let grouped: BTreeSet<usize> = from.iter().flatten().copied().collect();
    let alone = input.tells_apart(&grouped);
    let of_group = groups.iter().map(|group| ColumnFacts {
        number_within: None,
        ..column_facts(group, input, schema)
    });
    let of_aggregate = aggregate.aggr_expr.iter().map(|expr| {
        let is_count = is_count(expr);
        ColumnFacts {
            not_null: is_count,
            at_most_one: is_count && alone,
            ..ColumnFacts::default()
        }
    });
    let mut unique = input.moved(&|at| from.iter().position(|other| *other == Some(at)));
    unique.push((0..groups.len()).collect());
    Facts {
        columns: of_group.chain(of_aggregate).collect(),
        unique,
        empty: input.empty && !groups.is_empty(),
    }
}

fn is_count(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_count(&alias.expr),
        Expr::AggregateFunction(function) => function.func.name() == "count",
        _ => false,
    }
}

fn numbered(window: &Window, mut input: Facts) -> Facts {
    let schema = window.input.schema();
    for expr in &window.window_expr {
        input.columns.push(
            row_number(expr, schema).map_or_else(ColumnFacts::default, |within| ColumnFacts {
                not_null: true,
                number_within: Some(within),
                ..ColumnFacts::default()
            }),
        );
    }
    input
}

/// The columns within which a window function numbers rows.
fn row_number(expr: &Expr, schema: &datafusion::common::DFSchema) -> Option<BTreeSet<usize>> {
    let function = match expr {
        Expr::Alias(alias) => return row_number(&alias.expr, schema),
        Expr::WindowFunction(function) => function,
        _ => return None,
    };
    let WindowFunctionDefinition::WindowUDF(udf) = &function.fun else {
        return None;
    };
    if udf.name() != "row_number" || function.params.filter.is_some() {
        return None;
    }
    let within = function.params.partition_by.iter();
    within.map(|by| plain_column(by, schema)).collect()
}

fn united(union: &Union, input: &dyn Fn(&LogicalPlan) -> Facts) -> Facts {
    let mut parts = union.inputs.iter().map(|part| {
        let mut facts = input(part);
        let kinds = part.schema().fields().iter().zip(union.schema.fields());
        for (column, (own, common)) in facts.columns.iter_mut().zip(kinds) {
            if own.data_type() != common.data_type() {
                column.values = None;
            }
        }
        facts
    });
    let Some(mut all) = parts.next() else {
        return Facts::default();
    };
    let alone = union.inputs.len() == 1;
    for part in parts {
        all.empty &= part.empty;
        for (column, other) in all.columns.iter_mut().zip(part.columns) {
            column.not_null &= other.not_null;
            column.at_most_one &= other.at_most_one;
            column.values = match (column.values.take(), other.values) {
                (Some(mut values), Some(more)) => {
                    values.extend(more);
                    Some(values)
                }
                _ => None,
            };
        }
    }
    if !alone {
        all.unique.clear();
        for column in &mut all.columns {
            column.number_within = None;
        }
    }
    all
}
