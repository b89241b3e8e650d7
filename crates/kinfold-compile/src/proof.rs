//! What holds of the rows of a plan whatever its input is: keys, columns without nulls, closed sets of values.
//!
//! Data tests that a plan proves need not run: `unique` after `GROUP BY`, `not_null` of a `count`. Only what
//! follows from the operators is claimed, by the usual rules for keys and functional dependencies (Klug,
//! "Calculating constraints on relational expressions", 1980; Paulley, "Exploiting functional dependence in
//! query optimization", 2000). What is not known claims nothing.

mod expression;
mod facts;
mod joined;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use kinfold_project::{NodeId, ResourceType};

use crate::compile::{CompiledNode, CompiledProject};
use crate::relation::RelationKey;
use crate::render::Materialization;

pub use facts::Facts;

/// The data tests of a project that find nothing as long as every model is what its plan makes of its input.
#[must_use]
pub fn proven_tests(project: &CompiledProject) -> BTreeSet<NodeId> {
    let mut known: BTreeMap<RelationKey, Facts> = BTreeMap::new();
    let mut proven = BTreeSet::new();
    for node in project.order.iter().filter_map(|id| project.nodes.get(id)) {
        let Some(plan) = &node.plan else {
            continue;
        };
        match node.resource {
            ResourceType::Test => {
                if Facts::of(plan, &|key| known.get(key).cloned()).empty {
                    proven.insert(node.id.clone());
                }
            }
            ResourceType::Model => {
                if let Some(facts) = stored(node, plan, &known) {
                    known.insert(RelationKey::own(node.id.clone()), facts);
                }
            }
            ResourceType::Source
            | ResourceType::Seed
            | ResourceType::UnitTest
            | ResourceType::Sync => {}
        }
    }
    proven
}

/// What holds of the rows that are stored of a model.
fn stored(
    node: &CompiledNode,
    plan: &LogicalPlan,
    known: &BTreeMap<RelationKey, Facts>,
) -> Option<Facts> {
    let schema = node.schema.as_ref()?;
    match node.config.materialized.value {
        Materialization::Table => {
            let facts = Facts::of(plan, &|key| known.get(key).cloned());
            Some(facts.stored_as(plan, schema))
        }
        // A segment whose people are missing or repeated is not built.
        Materialization::Segment => Some(one_row_each(schema, "canonical_id")),
        _ => None,
    }
}

/// Rows that a column without nulls tells apart.
fn one_row_each(schema: &SchemaRef, column: &str) -> Facts {
    let mut facts = Facts::nothing(schema.fields().len());
    if let Ok(at) = schema.index_of(column) {
        facts.unique.push(BTreeSet::from([at]));
        if let Some(column) = facts.columns.get_mut(at) {
            column.not_null = true;
        }
    }
    facts
}
