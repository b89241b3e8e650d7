//! Stage *audit*: data tests on the versions that this run is about to publish.

mod fused;
mod proven;

use std::collections::BTreeMap;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast, lit};
use datafusion::prelude::SessionContext;
use kinfold_compile::compile::CompiledNode;
use kinfold_compile::render::TestSeverity;
use kinfold_project::NodeId;
use serde_json::json;

use super::{NodeStatus, Outcome, Run};
use crate::EngineError;
use crate::published::{Basis, PublishedNode};

impl Run<'_> {
    pub(super) async fn test(&self, node: &CompiledNode) -> Result<Outcome, EngineError> {
        let inputs = self.inputs_of(node)?;
        let reads = self.reads_of(node)?;
        let key = reads.key(node.fingerprint, &self.moment(node));
        if let Some(previous) = self.published.nodes.get(&node.id)
            && previous.key == key
            && !self.request.full_refresh
        {
            let rows = previous
                .detail
                .get("failures")
                .and_then(serde_json::Value::as_u64);
            let same = "same test, same input";
            return Ok(Outcome {
                status: NodeStatus::Skipped,
                // What was a warning is still one.
                reason: match rows {
                    None | Some(0) => same.to_owned(),
                    Some(failures) => format!("{same}, still {}", failing_rows(failures)),
                },
                node: Some(previous.clone()),
                rows,
                quarantined: None,
            });
        }
        let proven = self.is_proven(node).await?;
        let failures = match self.counted.get(&node.id) {
            _ if proven => 0,
            Some(counted) => *counted,
            None => self.failures(node).await?,
        };
        let (errors, warns) = self.verdicts(node, failures).await?;
        let status = match (node.config.severity, errors, warns) {
            (TestSeverity::Error, true, _) => NodeStatus::Failed,
            (_, _, true) => NodeStatus::Warned,
            _ if proven => NodeStatus::Proven,
            _ => NodeStatus::Passed,
        };
        let failures = failures.unsigned_abs();
        let reason = match status {
            NodeStatus::Proven => "its plan rules it out".to_owned(),
            _ => failing_rows(failures),
        };
        // A failed test is never up to date.
        let published = (status != NodeStatus::Failed).then(|| PublishedNode {
            key,
            inputs: inputs.0,
            basis: Some(Basis::new(reads.0, None)),
            detail: json!({ "failures": failures, "status": status }),
            ..self.blank(node)
        });
        Ok(Outcome {
            status,
            reason,
            node: published,
            rows: Some(failures),
            quarantined: None,
        })
    }

    /// Counts the failures of those tests that can be counted together, before they are looked at one by one.
    pub(super) async fn count_together(&self, tests: &[&NodeId]) -> BTreeMap<NodeId, i64> {
        let mut to_run = vec![];
        for id in tests {
            let Some(node) = self.request.compiled.nodes.get(*id) else {
                continue;
            };
            let previous = self.published.nodes.get(*id).map(|p| p.key.as_str());
            let key = self
                .reads_of(node)
                .map(|reads| reads.key(node.fingerprint, &self.moment(node)));
            let same =
                !self.request.full_refresh && key.is_ok_and(|key| previous == Some(key.as_str()));
            if self.blocked(node).is_none()
                && !same
                && self.is_proven(node).await.is_ok_and(|proven| !proven)
            {
                to_run.push(node);
            }
        }
        self.counted_together(&to_run).await
    }

    /// How many failures the test's query gives: `fail_calc` over its rows, which may be below zero.
    async fn failures(&self, node: &CompiledNode) -> Result<i64, EngineError> {
        let Some(plan) = node.plan.clone() else {
            return Ok(0);
        };
        let limit = node
            .config
            .limit
            .as_ref()
            .and_then(|l| usize::try_from(l.value).ok());
        let mut rows = LogicalPlanBuilder::from(plan);
        if limit.is_some() {
            rows = rows.limit(0, limit)?;
        }
        let state = self.engine.session(false);
        let context = SessionContext::new_with_state(state.clone());
        let rows = rows.build()?;
        let calculation = match node.config.fail_calc.value.trim() {
            "count(*)" => datafusion::functions_aggregate::expr_fn::count(lit(1_i64)),
            other => {
                let frame = datafusion::dataframe::DataFrame::new(context.state(), rows.clone());
                frame.parse_sql_expr(other)?
            }
        };
        let calculation = cast(calculation, DataType::Int64).alias("failures");
        let plan = aggregate_of(rows, calculation)?;
        let providers = self.engine.providers(&self.next, &node.reads).await?;
        let batches = self.engine.rows(&plan, &providers).await?;
        let count = batches
            .iter()
            .find(|b| b.num_rows() > 0)
            .and_then(|b| b.column_by_name("failures"))
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .map_or(0, |values| {
                if values.is_null_at(0) {
                    0
                } else {
                    values.value(0)
                }
            });
        Ok(count)
    }

    /// Whether the number of failures is an error, and whether it warns.
    async fn verdicts(
        &self,
        node: &CompiledNode,
        failures: i64,
    ) -> Result<(bool, bool), EngineError> {
        let config = &node.config;
        let sql = format!(
            "SELECT (({failures}) {}) AS errors, (({failures}) {}) AS warns",
            config.error_if.value, config.warn_if.value
        );
        let state = self.engine.session(false);
        let plan = state.create_logical_plan(&sql).await?;
        let batches = self
            .engine
            .rows(&plan, &crate::stream::Providers::new())
            .await?;
        let flag = |name: &str| {
            batches
                .first()
                .and_then(|b| b.column_by_name(name))
                .and_then(|c| c.as_boolean_opt())
                .is_some_and(|values| values.len() == 1 && values.value(0))
        };
        Ok((flag("errors"), flag("warns")))
    }
}

fn failing_rows(failures: u64) -> String {
    match failures {
        0 => "no failing rows".to_owned(),
        1 => "1 failing row".to_owned(),
        n => format!("{n} failing rows"),
    }
}

/// `calculation` over all rows, where it may be an aggregate or a computation over aggregates.
fn aggregate_of(
    rows: datafusion::logical_expr::LogicalPlan,
    calculation: Expr,
) -> Result<datafusion::logical_expr::LogicalPlan, EngineError> {
    let aggregates = datafusion::logical_expr::utils::find_aggregate_exprs([&calculation]);
    let grouped = LogicalPlanBuilder::from(rows)
        .aggregate(Vec::<Expr>::new(), aggregates.clone())?
        .build()?;
    let outer = calculation.transform_aggregates(&aggregates)?;
    Ok(LogicalPlanBuilder::from(grouped)
        .project([outer])?
        .build()?)
}

trait ReplaceAggregates {
    fn transform_aggregates(self, aggregates: &[Expr]) -> Result<Expr, EngineError>;
}

impl ReplaceAggregates for Expr {
    /// The expression with each aggregate replaced by the column that holds it.
    fn transform_aggregates(self, aggregates: &[Expr]) -> Result<Expr, EngineError> {
        use datafusion::common::tree_node::{Transformed, TreeNode};
        let replaced = self.transform_up(|e| {
            if aggregates.contains(&e) {
                let name = e.schema_name().to_string();
                return Ok(Transformed::yes(Expr::Column(Column::new_unqualified(
                    name,
                ))));
            }
            Ok(Transformed::no(e))
        })?;
        Ok(replaced.data)
    }
}

trait NullAt {
    fn is_null_at(&self, index: usize) -> bool;
}

impl<T: datafusion::arrow::array::Array> NullAt for T {
    fn is_null_at(&self, index: usize) -> bool {
        index >= self.len() || self.is_null(index)
    }
}
