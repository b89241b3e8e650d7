//! What becomes of the rows of an incremental model when new rows come, as plans.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Column, NullEquality, Result};
use datafusion::logical_expr::{
    Expr, JoinType, LogicalPlan, LogicalPlanBuilder, cast, ident, lit, when,
};
use kinfold_project::Located;

use crate::render::{IncrementalRules, IncrementalStrategy};

/// Name of the column that says whether there is a row.
const THERE: &str = "kinfold there";
/// Names of the two sides of a join.
const NEW: &str = "new";
const OLD: &str = "old";

/// The rows of a plan in the columns of a table: found by their names, cast to their types.
///
/// # Errors
/// When the plan lacks one of them.
pub fn in_columns_of(plan: LogicalPlan, table: &SchemaRef) -> Result<LogicalPlan> {
    let schema = plan.schema().clone();
    let mut columns = Vec::new();
    for field in table.fields() {
        let (qualifier, of_plan) = schema.qualified_field_with_unqualified_name(field.name())?;
        let column = Expr::Column(Column::new(qualifier.cloned(), of_plan.name()));
        columns.push(cast(column, field.data_type().clone()).alias(field.name()));
    }
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// Columns that a row which is there keeps when a new row with its key comes.
#[must_use]
pub fn kept_columns(rules: &IncrementalRules, table: &SchemaRef) -> Vec<String> {
    if rules.strategy != IncrementalStrategy::Merge {
        return vec![];
    }
    let among =
        |name: &str, columns: &[Located<String>]| columns.iter().any(|column| column.value == name);
    let names = table.fields().iter().map(|field| field.name());
    let names = names.filter(|name| !among(name, &rules.key));
    let kept = names.filter(|name| match &rules.update_columns {
        Some(updated) => !among(name, updated),
        None => among(name, &rules.exclude_columns),
    });
    kept.cloned().collect()
}

/// New rows, in the columns of the table, with what the rows `there` that have their keys keep.
///
/// # Errors
/// When a column is missing.
pub fn with_kept(
    new: LogicalPlan,
    there: LogicalPlan,
    rules: &IncrementalRules,
    table: &SchemaRef,
) -> Result<LogicalPlan> {
    let kept = kept_columns(rules, table);
    if kept.is_empty() {
        return Ok(new);
    }
    let keys = names(rules);
    let old = keys.iter().copied().chain(kept.iter().map(String::as_str));
    let there = LogicalPlanBuilder::from(there)
        .project(old.map(ident).chain([lit(true).alias(THERE)]))?
        .alias(OLD)?
        .build()?;
    let joined = LogicalPlanBuilder::from(new).alias(NEW)?.join_detailed(
        there,
        JoinType::Left,
        (sided(NEW, &keys), sided(OLD, &keys)),
        None,
        NullEquality::NullEqualsNull,
    )?;
    let is_there = Expr::Column(Column::new(Some(OLD), THERE)).is_not_null();
    let mut columns = Vec::new();
    for field in table.fields() {
        let of = |side: &str| Expr::Column(Column::new(Some(side), field.name()));
        let column = if kept.contains(field.name()) {
            when(is_there.clone(), of(OLD)).otherwise(of(NEW))?
        } else {
            of(NEW)
        };
        columns.push(column.alias(field.name()));
    }
    joined.project(columns)?.build()
}

/// The rows of a table after new rows have come. Both are in its columns.
///
/// # Errors
/// When a column is missing.
pub fn grown(
    there: LogicalPlan,
    new: LogicalPlan,
    rules: &IncrementalRules,
    table: &SchemaRef,
) -> Result<LogicalPlan> {
    let new = with_kept(new, there.clone(), rules, table)?;
    let keys = names(rules);
    let stays = if keys.is_empty() {
        there
    } else {
        let replacing = LogicalPlanBuilder::from(new.clone()).alias(NEW)?.build()?;
        LogicalPlanBuilder::from(there)
            .alias(OLD)?
            .join_detailed(
                replacing,
                JoinType::LeftAnti,
                (sided(OLD, &keys), sided(NEW, &keys)),
                None,
                NullEquality::NullEqualsNull,
            )?
            .build()?
    };
    LogicalPlanBuilder::from(stays).union(new)?.build()
}

fn names(rules: &IncrementalRules) -> Vec<&str> {
    let keys = rules.key.iter();
    keys.map(|column| column.value.as_str()).collect()
}

fn sided(side: &str, names: &[&str]) -> Vec<Column> {
    let columns = names.iter().map(|name| Column::new(Some(side), *name));
    columns.collect()
}
