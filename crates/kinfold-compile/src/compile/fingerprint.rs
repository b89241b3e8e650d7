//! Identity of what a node means.

use std::collections::BTreeMap;
use std::fmt;

use crate::bind::statements;
use crate::meaning::Meaning;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use kinfold_project::{LinkageParameters, NodeId, Nulls, UnitRows, UnitTest};

use super::CompiledNode;
use crate::render::{RenderedNode, RenderedSql};

/// 256 bits of BLAKE3 over a node's meaning: equal fingerprints and equal input give equal rows.
///
/// What does not change the result does not count: layout, comments, names inside, columns of subqueries that
/// nobody reads. Where the meaning of a plan is not known for certain, it counts to the letter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// One that was computed or stored elsewhere.
impl From<[u8; 32]> for Fingerprint {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Fingerprint> for [u8; 32] {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

pub(super) struct Parts(blake3::Hasher);

impl Parts {
    fn new(kind: &str) -> Self {
        Self(blake3::Hasher::new()).with(kind)
    }

    /// Adds a part with its length, so that no two lists of parts have the same bytes.
    pub(super) fn with(mut self, part: &str) -> Self {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part.as_bytes());
        self
    }

    pub(super) fn finish(self) -> Fingerprint {
        Fingerprint(*self.0.finalize().as_bytes())
    }
}

pub(super) fn of_input(node: &RenderedNode, schema: &SchemaRef) -> Fingerprint {
    let mut parts = Parts::new("input").with(node.id.as_str());
    for field in schema.fields() {
        parts = parts
            .with(field.name())
            .with(&field.data_type().to_string());
    }
    parts.finish()
}

/// The fingerprint of a plan whose meaning is known part by part. The columns count with their order, as they are
/// stored so.
pub(super) fn of_meaning(node: &RenderedNode, meaning: &Meaning) -> Fingerprint {
    let mut parts = of_configuration("meaning", node).with(&meaning.columns.len().to_string());
    for (name, print) in &meaning.columns {
        parts = parts.with(name).with(&print.fingerprint.to_string());
    }
    parts = parts.with(&meaning.rows.fingerprint.to_string());
    for key in &meaning.order {
        parts = parts.with(&key.fingerprint.to_string());
    }
    parts.finish()
}

/// The fingerprint of a plan of which not every part is understood: what it is to the letter, but for layout and
/// comments. `plan` is that before views are put in.
pub(super) fn of_query(
    node: &RenderedNode,
    sql: &RenderedSql,
    plan: &LogicalPlan,
    parents: &BTreeMap<NodeId, CompiledNode>,
) -> Fingerprint {
    let mut parts = of_configuration("query", node)
        .with(&canonical_sql(&sql.text))
        .with(&plan.display_indent_schema().to_string());
    // A view is part of what its readers mean; stored parents count by their versions instead.
    for parent in node.depends_on.iter().filter_map(|d| parents.get(&d.id)) {
        if parent.plan.is_some() && parent.companions.is_empty() && is_view(parent) {
            parts = parts.with(&parent.fingerprint.to_string());
        }
    }
    parts.finish()
}

/// What of a configuration counts.
pub(super) fn of_configuration(kind: &str, node: &RenderedNode) -> Parts {
    let config = &node.config;
    let mut parts = Parts::new(kind)
        .with(&format!("{:?}", config.materialized.value))
        .with(config.entity.as_ref().map_or("", |e| &e.value));
    if node.tested.is_some() || node.relation.is_none() {
        let limit = config
            .limit
            .as_ref()
            .map(|l| l.value.to_string())
            .unwrap_or_default();
        parts = parts
            .with(&format!("{:?}", config.severity))
            .with(&config.error_if.value)
            .with(&config.warn_if.value)
            .with(&limit)
            .with(&config.fail_calc.value);
    }
    for (key, value) in &config.extra {
        parts = parts.with(key).with(&value.value.to_string());
    }
    parts
}

/// A model of two forms means both.
pub(super) fn with_increment(first: Fingerprint, second: Fingerprint) -> Fingerprint {
    Parts::new("increment")
        .with(&first.to_string())
        .with(&second.to_string())
        .finish()
}

/// Other parameters give other weights.
pub(super) fn with_parameters(
    fingerprint: Fingerprint,
    parameters: Option<&LinkageParameters>,
) -> Fingerprint {
    let Some(parameters) = parameters else {
        return fingerprint;
    };
    Parts::new("linkage")
        .with(&fingerprint.to_string())
        .with(&parameters.to_yaml())
        .finish()
}

fn is_view(node: &CompiledNode) -> bool {
    use crate::render::Materialization::{Ephemeral, View};
    matches!(node.config.materialized.value, View | Ephemeral)
}

/// The statement printed from its syntax tree. Text that does not parse stands for itself.
fn canonical_sql(sql: &str) -> String {
    statements(sql).map_or_else(
        |_| sql.to_owned(),
        |statements| {
            statements
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(";")
        },
    )
}

/// The fingerprint of a unit test: its query and all its rows, to the letter.
pub(super) fn of_unit_test(
    node: &RenderedNode,
    sql: &RenderedSql,
    plan: &LogicalPlan,
    test: &UnitTest,
) -> Fingerprint {
    let mut parts = of_configuration("unit test", node)
        .with(&canonical_sql(&sql.text))
        .with(&plan.display_indent_schema().to_string())
        .with(test.cte.as_ref().map_or("", |cte| &cte.value));
    let given = test.given.iter().map(|given| &given.rows);
    for rows in given.chain([&test.expect]) {
        parts = match rows {
            UnitRows::Sql { text, .. } => parts.with("sql").with(&canonical_sql(text)),
            UnitRows::Values { rows, .. } => {
                let rows = rows.iter().map(|row| row.to_json().to_string());
                parts
                    .with("values")
                    .with(&rows.collect::<Vec<_>>().join("\n"))
            }
        };
    }
    parts.finish()
}

pub(super) fn of_mapping(sql: &str, nulls: &[Nulls], plan: &LogicalPlan) -> Fingerprint {
    let nulls: Vec<&str> = nulls.iter().map(|nulls| nulls.as_str()).collect();
    Parts::new("mapping")
        .with(&canonical_sql(sql))
        .with(&nulls.join(" "))
        .with(&plan.display_indent_schema().to_string())
        .finish()
}
