//! How old the rows of sources are: the query that says when the newest came.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::LogicalPlan;
use kinfold_project::{Diagnostic, LoadedAt, Located, Source, SourceMap, Span};

use super::assembled::Assembled;
use super::{Compiler, with_texts};
use crate::codes;
use crate::render::Relation;

/// How the time of the newest rows of a source is found.
#[derive(Clone, Debug)]
pub enum FreshnessCheck {
    /// By when its table or its files were last written.
    Written,
    /// By a query over the source. Its first column is that time.
    Query(Arc<LogicalPlan>),
}

impl Compiler<'_> {
    /// Binds what asks for the age of a source, if it has to be of some age.
    pub(super) fn freshness(&mut self, source: &Source, files: &SourceMap) {
        if !source.freshness.is_checked() {
            return;
        }
        let node = self.done.nodes.get(&source.id);
        let Some(relation) = node.and_then(|node| node.relation.clone()) else {
            return;
        };
        let Some((sql, expression, span)) = query(source, &relation, files) else {
            self.done
                .freshness
                .insert(source.id.clone(), FreshnessCheck::Written);
            return;
        };
        let unsound = if expression { sql.unsound() } else { vec![] };
        let bound = if unsound.is_empty() {
            self.binder.bind(&sql.text)
        } else {
            Err(unsound)
        };
        let plan = match bound {
            Ok(plan) => plan,
            Err(problems) => {
                for p in problems {
                    let place = p.range.as_ref().and_then(|range| sql.origin(range));
                    let message = format!("freshness of `{}`: {}", source.table.value, p.message);
                    let problem = Diagnostic::error(p.code, message, place.unwrap_or(span));
                    self.found.push(with_texts(problem, p.notes, p.help));
                }
                return;
            }
        };
        let first = plan.schema().fields().first();
        let found = first.map_or(DataType::Null, |field| field.data_type().clone());
        if !matches!(
            found,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null
        ) {
            let message = format!(
                "freshness of `{}`: the time of its newest rows is of type {found}",
                source.table.value
            );
            self.found.push(
                Diagnostic::error(codes::TYPE_MISMATCH, message, span)
                    .with_help("make it a time with `CAST(… AS TIMESTAMP)`"),
            );
            return;
        }
        if let Ok(plan) = self.binder.expand(plan) {
            let check = FreshnessCheck::Query(Arc::new(plan));
            self.done.freshness.insert(source.id.clone(), check);
        }
    }
}

/// The SQL, whether it is made of expressions, and where it is written; `None` if nothing is asked of rows.
fn query(
    source: &Source,
    relation: &Relation,
    files: &SourceMap,
) -> Option<(Assembled, bool, Span)> {
    let mut sql = Assembled::default();
    match &source.freshness.loaded_at {
        LoadedAt::Written => None,
        LoadedAt::Field(field) => {
            sql.push("SELECT max(");
            sql.expression(field, files);
            // A comment at the end of an expression ends with its line.
            sql.push(&format!("\n) AS loaded_at FROM {relation}"));
            if let Some(filter) = &source.freshness.filter {
                sql.push(" WHERE ");
                sql.expression(filter, files);
                sql.push("\n");
            }
            Some((sql, true, field.span))
        }
        LoadedAt::Query { parts, span } => {
            let text = parts.join(&relation.to_string());
            sql.expression(&Located::new(text, *span), files);
            Some((sql, false, *span))
        }
    }
}
