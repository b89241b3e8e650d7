//! Several data tests of a relation in one scan of it.
//!
//! Most tests look at one row at a time, or at the distinct values of a column: their failures can be counted
//! side by side. What cannot be is run alone.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableScan, Volatility, lit, when,
};
use kinfold_compile::compile::CompiledNode;
use kinfold_compile::relation::RelationKey;
use kinfold_project::NodeId;

use crate::EngineError;
use crate::build::Run;

/// Tests that are counted in one scan; more make a plan that takes longer to plan than to run.
const MOST: usize = 100;

/// What a test counts in one pass over a relation.
struct Counted<'p> {
    scan: &'p TableScan,
    /// Conditions of a row that fails, the first one first: later ones are only asked of rows that meet those
    /// before.
    conditions: Vec<Expr>,
    /// Whose distinct values are counted, a null among them; rows if not given.
    distinct: Option<Expr>,
}

impl Run<'_> {
    /// Counts the failures of those tests that read the same single relation, as far as that can be done in
    /// one scan. A test that is missing in the answer is run alone.
    pub(in crate::build) async fn counted_together(
        &self,
        tests: &[&CompiledNode],
    ) -> BTreeMap<NodeId, i64> {
        let mut of_relation: BTreeMap<&RelationKey, Vec<(&CompiledNode, Counted<'_>)>> =
            BTreeMap::new();
        for test in tests {
            let ([read], Some(plan)) = (test.reads.as_slice(), &test.plan) else {
                continue;
            };
            if test.config.fail_calc.value.trim() != "count(*)" {
                continue;
            }
            if let Some(counted) = counted(plan) {
                of_relation.entry(read).or_default().push((test, counted));
            }
        }
        let mut failures = BTreeMap::new();
        for together in of_relation.values() {
            for together in together.chunks(MOST).filter(|tests| tests.len() > 1) {
                // Why it failed is said by the test that it is about, when that is run alone.
                if let Ok(found) = self.count(together).await {
                    failures.extend(found);
                }
            }
        }
        failures
    }

    async fn count(
        &self,
        tests: &[(&CompiledNode, Counted<'_>)],
    ) -> Result<BTreeMap<NodeId, i64>, EngineError> {
        let Some((first, counted)) = tests.first() else {
            return Ok(BTreeMap::new());
        };
        let whole = TableScan {
            projection: None,
            projected_schema: std::sync::Arc::new(DFSchema::try_from_qualified_schema(
                counted.scan.table_name.clone(),
                &counted.scan.source.schema(),
            )?),
            ..counted.scan.clone()
        };
        let mut aggregates = vec![];
        for (at, (_, counted)) in tests.iter().enumerate() {
            let fails = counted.fails()?;
            match &counted.distinct {
                None => {
                    let failing = when(fails, lit(1_i64)).end()?;
                    aggregates.push(count(failing).alias(format!("n{at}")));
                }
                Some(value) => {
                    let values = when(fails.clone(), value.clone()).end()?;
                    aggregates.push(count_distinct(values).alias(format!("n{at}")));
                    let null = when(fails, value.clone().is_null()).otherwise(lit(false))?;
                    let null = when(null, lit(1_i64)).otherwise(lit(0_i64))?;
                    aggregates.push(max(null).alias(format!("null{at}")));
                }
            }
        }
        let plan = LogicalPlanBuilder::from(LogicalPlan::TableScan(whole))
            .aggregate(Vec::<Expr>::new(), aggregates)?
            .build()?;
        let providers = self.engine.providers(&self.next, &first.reads).await?;
        let batches = self.engine.rows(&plan, &providers).await?;
        let number = |name: &str| {
            let batch = batches.iter().find(|batch| batch.num_rows() == 1)?;
            let column = batch
                .column_by_name(name)?
                .as_primitive_opt::<Int64Type>()?;
            Some(if column.null_count() > 0 {
                0
            } else {
                column.value(0)
            })
        };
        let mut failures = BTreeMap::new();
        for (at, (test, counted)) in tests.iter().enumerate() {
            let Some(found) = number(&format!("n{at}")) else {
                continue;
            };
            let null = match counted.distinct {
                Some(_) => number(&format!("null{at}")).unwrap_or(0),
                None => 0,
            };
            let limit = test.config.limit.as_ref();
            let limit = limit.and_then(|limit| i64::try_from(limit.value).ok());
            let found = (found + null).min(limit.unwrap_or(i64::MAX));
            failures.insert(test.id.clone(), found);
        }
        Ok(failures)
    }
}

impl Counted<'_> {
    /// Whether a row fails. What a condition lets through only is asked further, so that a division which a
    /// `where` guards is not made.
    fn fails(&self) -> Result<Expr, EngineError> {
        let mut fails = lit(true);
        for condition in self.conditions.iter().rev() {
            fails = when(condition.clone(), fails).otherwise(lit(false))?;
        }
        Ok(fails)
    }
}

/// A plan as a condition on single rows of one relation, if it is one.
fn counted(plan: &LogicalPlan) -> Option<Counted<'_>> {
    match plan {
        LogicalPlan::Projection(projection) if has_aggregate(&projection.input) => {
            counted(&projection.input)
        }
        LogicalPlan::SubqueryAlias(alias) if has_aggregate(&alias.input) => counted(&alias.input),
        LogicalPlan::Aggregate(aggregate) => {
            let [group] = aggregate.group_expr.as_slice() else {
                return None;
            };
            let rows = Rows::of(&aggregate.input)?;
            let distinct = rows.over(group, aggregate.input.schema())?;
            Some(Counted {
                scan: rows.scan,
                conditions: rows.conditions,
                distinct: Some(distinct),
            })
        }
        _ => {
            let rows = Rows::of(plan)?;
            Some(Counted {
                scan: rows.scan,
                conditions: rows.conditions,
                distinct: None,
            })
        }
    }
}

/// Whether the rows of a plan are groups, under names at most.
fn has_aggregate(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_aggregate(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_aggregate(&alias.input),
        LogicalPlan::Aggregate(_) => true,
        _ => false,
    }
}

/// Rows of a relation under conditions, with columns computed of single rows.
struct Rows<'p> {
    scan: &'p TableScan,
    conditions: Vec<Expr>,
    /// Each column over those of the relation.
    columns: Vec<Expr>,
}

impl<'p> Rows<'p> {
    fn of(plan: &'p LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
                let fields = scan.projected_schema.fields().iter();
                let column = |name: &String| Expr::Column(Column::new_unqualified(name));
                Some(Self {
                    scan,
                    conditions: vec![],
                    columns: fields.map(|field| column(field.name())).collect(),
                })
            }
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => Self::of(&sort.input),
            LogicalPlan::Projection(projection) => {
                let rows = Self::of(&projection.input)?;
                let schema = projection.input.schema();
                let columns = projection.expr.iter().map(|expr| rows.over(expr, schema));
                let columns = columns.collect::<Option<_>>()?;
                Some(Self { columns, ..rows })
            }
            LogicalPlan::Filter(filter) => {
                let mut rows = Self::of(&filter.input)?;
                let condition = rows.over(&filter.predicate, filter.input.schema())?;
                rows.conditions.push(condition);
                Some(rows)
            }
            _ => None,
        }
    }

    /// An expression over the columns of the relation, if it is one of single rows.
    fn over(&self, expr: &Expr, schema: &DFSchema) -> Option<Expr> {
        if !is_of_one_row(expr) {
            return None;
        }
        let mut known = true;
        let replaced = expr.clone().transform_up(|part| {
            let Expr::Column(column) = &part else {
                return Ok(Transformed::no(part));
            };
            let at = schema.index_of_column(column).ok();
            let Some(under) = at.and_then(|at| self.columns.get(at)) else {
                known = false;
                return Ok(Transformed::no(part));
            };
            // What replaces a column is not looked into again.
            Ok(Transformed::new(
                under.clone().unalias(),
                true,
                TreeNodeRecursion::Jump,
            ))
        });
        replaced.ok().map(|done| done.data).filter(|_| known)
    }
}

/// Whether an expression says the same of a row whatever other rows there are, and however often it is asked.
fn is_of_one_row(expr: &Expr) -> bool {
    let mut alone = true;
    let walked = expr.apply(|part| {
        alone &= match part {
            Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::ScalarSubquery(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Unnest(_)
            | Expr::GroupingSet(_) => false,
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Volatile,
            _ => true,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && alone
}
