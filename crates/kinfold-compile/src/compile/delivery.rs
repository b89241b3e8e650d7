//! Syncs: key and mapping expressions bound to the model that is delivered.

use std::ops::Range;

use datafusion::logical_expr::LogicalPlan;
use kinfold_project::sync::Reference;
use kinfold_project::{Diagnostic, Located, NodeId, Project, ResourceType, SourceMap, Span, Sync};

use super::{
    CompiledNode, Compiler, Determinism, Fingerprint, determinism, fingerprint, with_texts,
};
use crate::bind::{Problem, expression_problem};
use crate::relation::{RelationKey, relations_read};
use crate::render::{Materialization, Relation};

/// A sync that is ready to run.
#[derive(Clone, Debug)]
pub struct CompiledSync {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// The node that it delivers.
    pub from: NodeId,
    /// Gives one row per row of the model: the key's fields, then the mapped fields, in the order of
    /// `key_fields` and `fields`.
    pub plan: LogicalPlan,
    /// Destination fields of the key.
    pub key_fields: Vec<String>,
    /// The other destination fields.
    pub fields: Vec<String>,
    /// The stored relations that the plan reads.
    pub reads: Vec<RelationKey>,
    /// Whether the payload depends on more than the model.
    pub determinism: Determinism,
    /// Identity of the mapping.
    pub fingerprint: Fingerprint,
}

/// SQL that is put together from expressions of a YAML file, with the way back.
#[derive(Default)]
struct Assembled {
    text: String,
    pieces: Vec<(Range<usize>, Span)>,
}

impl Assembled {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds an expression that the user wrote at `span`.
    fn expression(&mut self, written: &Located<String>, files: &SourceMap) {
        let start = self.text.len();
        self.text.push_str(&written.value);
        let source = files.text(written.span);
        // Quotes and folding stand between the file and the value; then the whole scalar is meant.
        let span = match source.find(written.value.as_str()) {
            Some(at) => {
                let first = written.span.start as usize + at;
                Span::new(written.span.file, first, first + written.value.len())
            }
            None => written.span,
        };
        self.pieces.push((start..self.text.len(), span));
    }

    /// What the user wrote and is not one expression.
    fn unsound(&self) -> Vec<Problem> {
        let problem = |piece: &Range<usize>| {
            let problem = expression_problem(self.text.get(piece.clone())?)?;
            // The place of a missing end is behind the text.
            let range = problem.range.as_ref().filter(|r| r.end <= piece.len());
            let range = range.filter(|r| !r.is_empty());
            let range = range.map_or(piece.clone(), |r| {
                piece.start + r.start..piece.start + r.end
            });
            Some(Problem {
                range: Some(range),
                ..problem
            })
        };
        let pieces = self.pieces.iter();
        pieces.filter_map(|(piece, _)| problem(piece)).collect()
    }

    fn origin(&self, range: &Range<usize>) -> Option<Span> {
        let (piece, span) = self
            .pieces
            .iter()
            .find(|(p, _)| p.start <= range.start && range.start < p.end)?;
        if (span.end - span.start) as usize != piece.len() {
            return Some(*span);
        }
        let at =
            |offset: usize| span.start as usize + offset.min(piece.end).saturating_sub(piece.start);
        Some(Span::new(span.file, at(range.start), at(range.end)))
    }
}

impl Compiler<'_> {
    pub(super) fn sync(&mut self, project: &Project, sync: &Sync) {
        if !sync.enabled {
            return;
        }
        let Some((node, relation)) = self.delivered(sync) else {
            return;
        };
        let profile = self.profile_of(&node).cloned();
        let mut sql = Assembled::default();
        sql.push("SELECT ");
        let fields = sync.key.iter().chain(&sync.mapping);
        for (i, (field, expression)) in fields.enumerate() {
            sql.push(if i == 0 { "" } else { ", " });
            sql.expression(expression, &project.files);
            // A comment at the end of an expression ends with its line.
            sql.push(&format!("\n AS \"{}\"", field.value.replace('"', "\"\"")));
        }
        sql.push(&format!(
            " FROM {}",
            from_clause(&node, &relation, profile.as_ref())
        ));
        let unsound = sql.unsound();
        let bound = if unsound.is_empty() {
            self.binder.bind(&sql.text)
        } else {
            Err(unsound)
        };
        let bound = bound.map(|plan| {
            let own = fingerprint::of_mapping(&sql.text, &plan);
            (own, self.binder.expand(plan))
        });
        match bound {
            Ok((fingerprint, plan)) => {
                let Ok(plan) = plan else { return };
                let Ok(reads) = relations_read(&plan) else {
                    return;
                };
                self.done.syncs.push(CompiledSync {
                    id: sync.id.clone(),
                    name: sync.name.value.clone(),
                    from: node.id.clone(),
                    key_fields: sync.key.iter().map(|(f, _)| f.value.clone()).collect(),
                    fields: sync.mapping.iter().map(|(f, _)| f.value.clone()).collect(),
                    reads,
                    determinism: determinism(&plan),
                    fingerprint,
                    plan,
                });
            }
            Err(problems) => {
                for p in problems {
                    let span = p
                        .range
                        .as_ref()
                        .and_then(|r| sql.origin(r))
                        .unwrap_or(sync.span);
                    let d = Diagnostic::error(
                        p.code,
                        format!("sync `{}`: {}", sync.name.value, p.message),
                        span,
                    );
                    self.found.push(with_texts(d, p.notes, p.help));
                }
            }
        }
    }

    /// The node that `from:` names and the relation to read; `None` if it was not bound.
    fn delivered(&self, sync: &Sync) -> Option<(CompiledNode, Relation)> {
        match &sync.input {
            Reference::Model { package, name } => {
                let in_package =
                    |n: &&CompiledNode| package.as_ref().is_none_or(|p| *p == n.package);
                let readable = |n: &&CompiledNode| {
                    matches!(n.resource, ResourceType::Model | ResourceType::Seed)
                };
                let nodes = || self.done.nodes.values().filter(readable).filter(in_package);
                if let Some(node) = nodes().find(|n| n.name == *name) {
                    return Some((node.clone(), node.relation.clone()?));
                }
                nodes().find_map(|n| {
                    let suffix = name.strip_prefix(n.name.as_str())?.strip_prefix("__")?;
                    let companion = n.companions.iter().find(|c| c.suffix == suffix)?;
                    Some((n.clone(), companion.relation.clone()))
                })
            }
            Reference::Source { source, table } => {
                let suffix = format!(".{source}.{table}");
                let node = self.done.nodes.values().find(|n| {
                    n.resource == ResourceType::Source && n.id.as_str().ends_with(&suffix)
                })?;
                Some((node.clone(), node.relation.clone()?))
            }
        }
    }

    /// The only profile of a segment's entity: its traits may be mapped too.
    fn profile_of(&self, node: &CompiledNode) -> Option<&CompiledNode> {
        if node.config.materialized.value != Materialization::Segment {
            return None;
        }
        let entity = &node.config.entity.as_ref()?.value;
        let mut profiles = self.done.nodes.values().filter(|n| {
            n.config.materialized.value == Materialization::Profile
                && n.config.entity.as_ref().is_some_and(|e| e.value == *entity)
        });
        match (profiles.next(), profiles.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        }
    }
}

/// A segment is delivered with the traits of its people; columns of the segment come first.
fn from_clause(node: &CompiledNode, relation: &Relation, profile: Option<&CompiledNode>) -> String {
    let is_own = node.relation.as_ref() == Some(relation);
    let (Some(profile), true) = (profile, is_own) else {
        return relation.to_string();
    };
    let (Some(traits), Some(own), Some(profile_relation)) =
        (&profile.schema, &node.schema, &profile.relation)
    else {
        return relation.to_string();
    };
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut columns: Vec<String> = own
        .fields()
        .iter()
        .map(|f| format!("s.{}", quoted(f.name())))
        .collect();
    columns.extend(
        traits
            .fields()
            .iter()
            .filter(|f| own.field_with_name(f.name()).is_err())
            .map(|f| format!("p.{}", quoted(f.name()))),
    );
    format!(
        "(SELECT {} FROM {relation} AS s LEFT JOIN {profile_relation} AS p ON s.canonical_id = p.canonical_id) AS \"{}\"",
        columns.join(", "),
        node.name.replace('"', "\"\"")
    )
}
