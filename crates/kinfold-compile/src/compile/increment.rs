//! The second form of an incremental model: the rows that are added to what there is of it.

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use kinfold_project::{Diagnostic, Located};

use super::{CompiledNode, Compiler, diagnose, fingerprint};
use crate::bind::{Problem, closest, column_place, repeated_columns};
use crate::codes;
use crate::lineage::PlanLineage;
use crate::meaning::Meaning;
use crate::relation::RelationKey;
use crate::render::{IncrementalRules, IncrementalStrategy, RenderedNode, RenderedSql};

/// What an incremental model adds to what there is of it.
#[derive(Clone, Debug)]
pub struct Increment {
    /// The plan of the rows, bound and not yet pinned to versions. It may read the model's own relation. Its
    /// columns have the names of those of the model, in any order.
    pub plan: LogicalPlan,
    /// What its columns and rows mean; none where not all of the plan is certain.
    pub meaning: Option<Meaning>,
    /// The SQL with places.
    pub sql: RenderedSql,
}

impl Compiler<'_> {
    /// Binds the second form against the first, whose relation is known.
    pub(super) fn increment(
        &mut self,
        node: &RenderedNode,
        compiled: &mut CompiledNode,
    ) -> Option<()> {
        let rules = node.config.incremental.as_ref()?;
        let schema = compiled.schema.clone()?;
        self.named_columns(node, rules, &schema)?;
        let Some(sql) = &node.increment else {
            return Some(());
        };
        let plan = match self.binder.bind(&sql.text) {
            Ok(plan) => plan,
            Err(problems) => {
                let note = "where `is_incremental()` is true";
                self.found.extend(problems.into_iter().map(|problem| {
                    let found = diagnose(problem, node, sql);
                    found.with_note(note)
                }));
                return None;
            }
        };
        self.same_columns(node, sql, plan.schema().as_arrow(), &schema)?;
        let own = RelationKey::own(node.id.clone());
        if let Some(lineage) = self.done.lineage.get_mut(&node.id) {
            lineage.add(PlanLineage::of(&plan), &own);
        }
        let understood = self.understood(node, sql, plan)?;
        for read in understood.reads {
            if read != own && !compiled.reads.contains(&read) {
                compiled.reads.push(read);
            }
        }
        compiled.determinism = compiled.determinism.max(understood.determinism);
        compiled.fingerprint =
            fingerprint::with_increment(compiled.fingerprint, understood.fingerprint);
        compiled.increment = Some(Box::new(Increment {
            plan: understood.plan,
            meaning: understood.meaning,
            sql: sql.as_ref().clone(),
        }));
        Some(())
    }

    /// Whether every column that the configuration names is one of the model.
    fn named_columns(
        &mut self,
        node: &RenderedNode,
        rules: &IncrementalRules,
        schema: &SchemaRef,
    ) -> Option<()> {
        let of_key = match rules.strategy {
            IncrementalStrategy::InsertOverwrite => "partition_by",
            _ => "unique_key",
        };
        let update = rules.update_columns.iter().flatten();
        let named = (rules.key.iter().map(|column| (of_key, column)))
            .chain(update.map(|column| ("merge_update_columns", column)))
            .chain((rules.exclude_columns.iter()).map(|column| ("merge_exclude_columns", column)));
        let mut sound = true;
        for (key, column) in named {
            if schema.field_with_name(&column.value).is_err() {
                sound = false;
                self.found.push(unknown(node, key, column, schema));
            }
        }
        sound.then_some(())
    }

    fn same_columns(
        &mut self,
        node: &RenderedNode,
        sql: &RenderedSql,
        columns: &Schema,
        stored: &SchemaRef,
    ) -> Option<()> {
        let mut problems = repeated_columns(&sql.text, columns);
        let place = |name: &str| column_place(&sql.text, name);
        let say = |message: String, name: &str| {
            let mut problem = Problem::new(codes::CONTRACT, message);
            problem.notes.push(
                "rows are added to the table that the first build makes, so both have the same columns"
                    .to_owned(),
            );
            problem
                .or_at(place(name))
                .or_at(Some(0..sql.text.trim_end().len()))
        };
        for field in columns.fields() {
            let name = field.name();
            match stored.field_with_name(name) {
                Err(_) => {
                    let found = Diagnostic::warning(
                        codes::CONTRACT,
                        format!(
                            "`{name}` is a column only where `is_incremental()` is true, and is not stored"
                        ),
                        node.config.materialized.span,
                    );
                    let note = "the table has the columns of the first build";
                    self.found.push(found.with_note(note));
                }
                Ok(of_table) if !can_cast_types(field.data_type(), of_table.data_type()) => {
                    let (now, first) = (field.data_type(), of_table.data_type());
                    problems.push(say(
                        format!(
                            "`{name}` is {now} where `is_incremental()` is true, and {first} where it is not"
                        ),
                        name,
                    ));
                }
                Ok(_) => {}
            }
        }
        for field in stored.fields() {
            let name = field.name();
            if columns.field_with_name(name).is_err() {
                let message = format!("`{name}` is no column where `is_incremental()` is true");
                problems.push(say(message, name));
            }
        }
        if problems.is_empty() {
            return Some(());
        }
        let diagnosed = problems.into_iter().map(|p| diagnose(p, node, sql));
        self.found.extend(diagnosed);
        None
    }
}

fn unknown(
    node: &RenderedNode,
    key: &str,
    column: &Located<String>,
    schema: &SchemaRef,
) -> Diagnostic {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let problem = Diagnostic::error(
        codes::CONTRACT,
        format!(
            "`{key}` names `{}`, which is no column of `{}`",
            column.value, node.name
        ),
        column.span,
    );
    match closest(&column.value, &names) {
        Some(name) => problem.with_help(format!("did you mean `{name}`?")),
        None => problem.with_note(format!("its columns are {}", names.join(", "))),
    }
}

impl CompiledNode {
    /// What the node means, all its forms; none where one of them is not certain.
    #[must_use]
    pub fn meanings(&self) -> Option<Vec<&Meaning>> {
        let first = self.meaning.as_ref()?;
        let second = match &self.increment {
            Some(increment) => Some(increment.meaning.as_ref()?),
            None => None,
        };
        Some([first].into_iter().chain(second).collect())
    }
}
