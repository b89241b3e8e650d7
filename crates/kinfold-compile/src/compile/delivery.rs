//! Syncs: key and mapping expressions bound to the model that is delivered.

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use kinfold_project::sync::Reference;
use kinfold_project::{
    AllColumns, Diagnostic, Located, MappedValue, NodeId, Nulls, Project, ResourceType, SourceMap,
    Span, Sync, codes,
};

use super::assembled::Assembled;
use super::{
    CompiledNode, Compiler, Determinism, Fingerprint, determinism, fingerprint, quoted, with_texts,
};
use crate::bind::Problem;
use crate::bind::closest;
use crate::lineage::PlanLineage;
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
    /// What is sent for a null in each of `fields`.
    pub nulls: Vec<Nulls>,
    /// The mapping over rows that are given instead of the model's, if the sync has unit tests.
    pub example: Option<MappingExample>,
    /// The stored relations that the plan reads.
    pub reads: Vec<RelationKey>,
    /// Whether the payload depends on more than the model.
    pub determinism: Determinism,
    /// Identity of the mapping.
    pub fingerprint: Fingerprint,
}

/// A mapping that reads one relation, which stands for the model.
#[derive(Clone, Debug)]
pub struct MappingExample {
    /// As [`CompiledSync::plan`].
    pub plan: LogicalPlan,
    /// What it reads.
    pub input: RelationKey,
    /// The columns of that.
    pub columns: SchemaRef,
}

/// A field of a destination: its name, what it gets, and what is sent for a null.
struct Field<'a> {
    name: &'a str,
    value: Value<'a>,
    nulls: Nulls,
}

enum Value<'a> {
    Mapped(&'a MappedValue),
    Key(&'a Located<String>),
    /// A column of the model, because all of them were asked for at this place.
    Column(&'a str, Span),
}

impl Assembled {
    /// Adds what a field gets.
    fn value(&mut self, value: &MappedValue, files: &SourceMap) {
        match value {
            MappedValue::Expression(written) => self.expression(written, files),
            MappedValue::Object(members) => {
                self.push("named_struct(");
                for (i, (name, value)) in members.iter().enumerate() {
                    self.push(if i == 0 { "" } else { ", " });
                    self.push(&format!("'{}', ", name.value.replace('\'', "''")));
                    self.value(value, files);
                    // A comment at the end of an expression ends with its line.
                    self.push("\n");
                }
                self.push(")");
            }
            MappedValue::Array(items) => {
                self.push("make_array(");
                for (i, value) in items.iter().enumerate() {
                    self.push(if i == 0 { "" } else { ", " });
                    self.value(value, files);
                    self.push("\n");
                }
                self.push(")");
            }
        }
    }

    fn select(fields: &[Field<'_>], from: &str, files: &SourceMap) -> Self {
        let mut sql = Self::default();
        sql.push("SELECT ");
        for (i, field) in fields.iter().enumerate() {
            sql.push(if i == 0 { "" } else { ", " });
            match field.value {
                Value::Key(written) => sql.expression(written, files),
                Value::Mapped(value) => sql.value(value, files),
                Value::Column(name, span) => sql.column(name, span),
            }
            sql.push(&format!("\n AS {}", quoted(field.name)));
        }
        sql.push(" FROM ");
        sql.push(from);
        sql
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
        let from = from_clause(&node, &relation, profile.as_ref());
        let columns = if sync.mapping.all.is_some() || !sync.unit_tests.is_empty() {
            let Ok(all) = self.binder.bind(&format!("SELECT * FROM {from}")) else {
                return;
            };
            Some(SchemaRef::clone(all.schema().inner()))
        } else {
            None
        };
        let mut connections = project.connections.iter();
        let connection = connections.find(|c| c.name.value == sync.connection.value);
        // A row of a table has every column; elsewhere a new column without values shall change nothing.
        let table = connection.is_some_and(|c| c.kind.value.has_columns());
        let nulls = if table { Nulls::Null } else { Nulls::Omit };
        let fields = self.fields(sync, columns.as_ref(), nulls);
        let sql = Assembled::select(&fields, &from, &project.files);
        let unsound = sql.unsound();
        let bound = if unsound.is_empty() {
            self.binder.bind(&sql.text)
        } else {
            Err(unsound)
        };
        let plan = match bound {
            Ok(plan) => plan,
            Err(problems) => return self.mistakes(sync, &sql, problems),
        };
        let names = |fields: &[Field<'_>]| -> Vec<String> {
            fields.iter().map(|field| field.name.to_owned()).collect()
        };
        let (key, mapped) = fields.split_at(sync.key.len());
        let nulls: Vec<Nulls> = mapped.iter().map(|field| field.nulls).collect();
        let (key_fields, mapped) = (names(key), names(mapped));
        let example = columns.clone().filter(|_| !sync.unit_tests.is_empty());
        let example = example.and_then(|columns| {
            let name = (sync, relation.name.as_str());
            self.example(name, columns, &fields, &project.files)
        });
        let fingerprint = fingerprint::of_mapping(&sql.text, &nulls, &plan);
        let lineage = PlanLineage::of(&plan);
        let Ok(plan) = self.binder.expand(plan) else {
            return;
        };
        let Ok(reads) = relations_read(&plan) else {
            return;
        };
        self.done.lineage.insert(sync.id.clone(), lineage);
        self.done.syncs.push(CompiledSync {
            id: sync.id.clone(),
            name: sync.name.value.clone(),
            from: node.id.clone(),
            key_fields,
            fields: mapped,
            nulls,
            example,
            reads,
            determinism: determinism(&plan),
            fingerprint,
            plan,
        });
    }

    /// All fields of the destination, those of the key first.
    /// `nulls` is the form of nulls of columns that are not named.
    fn fields<'a>(
        &mut self,
        sync: &'a Sync,
        columns: Option<&'a SchemaRef>,
        nulls: Nulls,
    ) -> Vec<Field<'a>> {
        let mut fields: Vec<Field<'_>> = sync
            .key
            .iter()
            .map(|(field, expression)| Field {
                name: &field.value,
                value: Value::Key(expression),
                nulls: Nulls::Null,
            })
            .collect();
        fields.extend(sync.mapping.fields.iter().map(|mapped| Field {
            name: &mapped.field.value,
            value: Value::Mapped(&mapped.value),
            nulls: mapped.nulls,
        }));
        let (Some(all), Some(columns)) = (&sync.mapping.all, columns) else {
            return fields;
        };
        self.unknown_exceptions(sync, all, columns);
        for column in columns.fields() {
            let name = column.name().as_str();
            let left_out = all.except.iter().any(|except| except.value == name);
            // Key fields are always sent, and what was written down goes before.
            if left_out || fields.iter().any(|field| field.name == name) {
                continue;
            }
            fields.push(Field {
                name,
                value: Value::Column(name, all.span),
                nulls: all.nulls.unwrap_or(nulls),
            });
        }
        fields
    }

    fn unknown_exceptions(&mut self, sync: &Sync, all: &AllColumns, columns: &SchemaRef) {
        let known: Vec<&str> = columns.fields().iter().map(|f| f.name().as_str()).collect();
        for except in &all.except {
            if known.contains(&except.value.as_str()) {
                continue;
            }
            let message = format!(
                "sync `{}`: the model has no column `{}`",
                sync.name.value, except.value
            );
            let problem = Diagnostic::error(codes::INVALID_SYNC, message, except.span);
            self.found.push(match closest(&except.value, &known) {
                Some(close) => problem.with_help(format!("did you mean `{close}`?")),
                None => problem,
            });
        }
    }

    /// The same mapping over rows that a unit test gives.
    fn example(
        &mut self,
        (sync, alias): (&Sync, &str),
        columns: SchemaRef,
        fields: &[Field<'_>],
        files: &SourceMap,
    ) -> Option<MappingExample> {
        let input = RelationKey::companion(sync.id.clone(), "given");
        // Tests leave columns out, whatever the model promises.
        let columns = columns.fields().iter();
        let columns = columns.map(|field| field.as_ref().clone().with_nullable(true));
        let columns = SchemaRef::new(Schema::new(columns.collect::<Vec<_>>()));
        let schema = "__unit_tests";
        let name = sync.id.as_str();
        self.binder
            .add_table(input.clone(), schema, name, SchemaRef::clone(&columns))
            .ok()?;
        let from = format!(
            "\"kinfold\".\"{schema}\".{} AS {}",
            quoted(name),
            quoted(alias)
        );
        let sql = Assembled::select(fields, &from, files);
        let plan = self.binder.bind(&sql.text).ok()?;
        Some(MappingExample {
            plan,
            input,
            columns,
        })
    }

    fn mistakes(&mut self, sync: &Sync, sql: &Assembled, problems: Vec<Problem>) {
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
