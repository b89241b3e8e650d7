//! Which optimiser rules have anything to do for a plan, by the kinds of its nodes.
//!
//! Each rule walks the whole plan, and most plans give most rules nothing to do. A rule is left out only where the plan
//! has none of the nodes that it rewrites and no rule before it makes one, so that it would have changed nothing and
//! could not have failed.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExpressionPlacement, LogicalPlan};
use datafusion::optimizer::{Optimizer, OptimizerRule};

type Rules = Vec<Arc<dyn OptimizerRule + Send + Sync>>;

const FILTER: u8 = 1;
const JOIN: u8 = 1 << 1;
const UNION: u8 = 1 << 2;
const AGGREGATE: u8 = 1 << 3;
const SORT: u8 = 1 << 4;
const LIMIT: u8 = 1 << 5;
const EMPTY: u8 = 1 << 6;
/// Expressions that are to be computed next to the table.
const LEAF: u8 = 1 << 7;

/// What each rule looks for; one that is not here always runs.
const LOOKS_FOR: &[(&str, u8)] = &[
    ("rewrite_set_comparison", 0),
    ("decorrelate_predicate_subquery", 0),
    ("scalar_subquery_to_join", 0),
    ("decorrelate_lateral_join", 0),
    ("optimize_unions", UNION),
    ("unions_to_filter", UNION),
    ("replace_distinct_aggregate", AGGREGATE),
    ("single_distinct_aggregation_to_group_by", AGGREGATE),
    ("eliminate_group_by_constant", AGGREGATE),
    ("eliminate_duplicated_expr", AGGREGATE | SORT),
    ("eliminate_join", JOIN),
    ("extract_equijoin_predicate", JOIN),
    ("eliminate_cross_join", JOIN),
    ("filter_null_join_keys", JOIN),
    ("eliminate_outer_join", JOIN),
    ("eliminate_filter", FILTER),
    ("push_down_filter", FILTER | JOIN),
    (
        "propagate_empty_relation",
        FILTER | JOIN | LIMIT | EMPTY | UNION,
    ),
    ("eliminate_limit", LIMIT),
    ("push_down_limit", LIMIT),
    ("extract_leaf_expressions", LEAF),
    ("push_down_leaf_projections", LEAF),
];

/// Those of `rules` that can change `plan`, in their order.
pub(super) fn applicable(rules: &Rules, plan: &LogicalPlan) -> Result<Optimizer> {
    let rules = match kinds(plan)? {
        None => rules.clone(),
        Some(found) => rules
            .iter()
            .filter(|rule| {
                let looks_for = LOOKS_FOR.iter().find(|(name, _)| *name == rule.name());
                looks_for.is_none_or(|(_, kinds)| kinds & found != 0)
            })
            .cloned()
            .collect(),
    };
    Ok(Optimizer::with_rules(rules))
}

/// The kinds of nodes in a plan; none if it has something that any rule may rewrite.
fn kinds(plan: &LogicalPlan) -> Result<Option<u8>> {
    let mut found = Some(0);
    plan.apply(|node| {
        let kind = match node {
            LogicalPlan::Projection(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Window(_) => Some(0),
            LogicalPlan::Filter(_) => Some(FILTER),
            LogicalPlan::Join(_) => Some(JOIN),
            LogicalPlan::Union(_) => Some(UNION),
            LogicalPlan::Aggregate(_) => Some(AGGREGATE),
            // Becomes an aggregate, or sorted and limited.
            LogicalPlan::Distinct(_) => Some(AGGREGATE | SORT | LIMIT),
            LogicalPlan::Sort(_) => Some(SORT),
            LogicalPlan::Limit(_) => Some(LIMIT),
            LogicalPlan::EmptyRelation(_) => Some(EMPTY),
            _ => None,
        };
        let kind = match kind {
            Some(kind) => of_expressions(node)?.map(|other| kind | other),
            None => None,
        };
        found = found.zip(kind).map(|(found, kind)| found | kind);
        Ok(if found.is_some() {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    })?;
    Ok(found)
}

fn of_expressions(node: &LogicalPlan) -> Result<Option<u8>> {
    let mut found = Some(0);
    node.apply_expressions(|top| {
        top.apply(|expr| {
            match expr {
                Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::ScalarSubquery(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Unnest(_) => found = None,
                Expr::ScalarFunction(_)
                    if expr.placement() == ExpressionPlacement::MoveTowardsLeafNodes =>
                {
                    found = found.map(|kinds| kinds | LEAF);
                }
                _ => {}
            }
            Ok(if found.is_some() {
                TreeNodeRecursion::Continue
            } else {
                TreeNodeRecursion::Stop
            })
        })
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use datafusion::execution::{SessionState, SessionStateBuilder};
    use datafusion::optimizer::OptimizerConfig;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::bind::ready;

    fn state() -> SessionState {
        SessionStateBuilder::new().with_default_features().build()
    }

    #[test]
    fn the_rules_are_named_as_the_optimizer_names_them() {
        let named: BTreeSet<_> = Optimizer::new()
            .rules
            .iter()
            .map(|rule| rule.name().to_owned())
            .collect();
        for (name, _) in LOOKS_FOR {
            assert!(named.contains(*name), "{name}");
        }
    }

    /// The law: what is left out would have changed nothing.
    #[test]
    fn the_rules_left_out_change_nothing() {
        let context = SessionContext::new_with_state(state());
        for table in ["t", "u"] {
            let sql = format!(
                "CREATE TABLE {table} (id INT, name TEXT, amount DOUBLE, part STRUCT<x INT, y TEXT>)"
            );
            ready(async { context.sql(&sql).await?.collect().await.map(|_| ()) }).unwrap();
        }
        let state = context.state();
        let mut left_out = 0;
        for query in [
            "SELECT 1 AS a",
            "SELECT id, amount + 25 AS amount FROM t WHERE id >= 0",
            "SELECT a.id, b.name FROM t a JOIN u b ON a.id = b.id WHERE a.id >= 0",
            "SELECT a.id FROM t a LEFT JOIN u b ON a.id = b.id AND b.amount > 3 WHERE b.id IS NOT NULL",
            "SELECT a.id FROM t a, u b WHERE a.id = b.id AND a.name = 'x'",
            "SELECT id FROM t UNION ALL SELECT id FROM u UNION ALL SELECT 3",
            "SELECT id FROM t WHERE id = 1 UNION SELECT id FROM t WHERE id = 2",
            "SELECT DISTINCT name FROM t ORDER BY name, name LIMIT 3",
            "SELECT DISTINCT ON (name) name, id FROM t ORDER BY name, id",
            "SELECT name, count(DISTINCT id), 1 AS one FROM t GROUP BY name, 3, name",
            "SELECT sum(amount) OVER (PARTITION BY name ORDER BY id) FROM t",
            "SELECT id FROM t LIMIT 0",
            "SELECT id FROM (SELECT id FROM t LIMIT 5) LIMIT 3 OFFSET 1",
            "SELECT id FROM t WHERE 1 = 2",
            "SELECT part['x'] AS x FROM t WHERE part['y'] = 'a'",
            "SELECT id FROM t WHERE id IN (SELECT id FROM u)",
            "SELECT id, (SELECT max(amount) FROM u WHERE u.id = t.id) AS m FROM t",
            "SELECT id FROM t WHERE amount > ALL (SELECT amount FROM u)",
            "SELECT t.id, w.m FROM t, LATERAL (SELECT max(amount) AS m FROM u WHERE u.id = t.id) w",
            "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v(id, name) ORDER BY id, id",
            "SELECT unnest([1, 2, 3]) AS n",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r",
        ] {
            let plan = ready(state.create_logical_plan(query)).unwrap();
            let plan = state
                .analyzer()
                .execute_and_check(plan, &state.options(), |_, _| {})
                .unwrap();
            let few = applicable(&state.optimizer().rules, &plan).unwrap();
            left_out += state.optimizer().rules.len() - few.rules.len();
            let with_all = state
                .optimizer()
                .optimize(plan.clone(), &state, |_, _| {})
                .unwrap();
            let with_few = few.optimize(plan, &state, |_, _| {}).unwrap();
            assert_eq!(shape(&with_all), shape(&with_few), "{query}");
        }
        assert!(left_out > 100, "{left_out}");
    }

    /// A plan's text without the numbers of made-up names, which count up over a session.
    fn shape(plan: &LogicalPlan) -> String {
        let text = plan.display_indent_schema().to_string();
        let mut shape = String::new();
        for piece in text.split_inclusive('_') {
            let cut = piece.trim_start_matches(|c: char| c.is_ascii_digit());
            shape.push_str(cut);
        }
        shape
    }
}
