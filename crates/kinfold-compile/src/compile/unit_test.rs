//! Unit tests of models: a plan over rows that are given, and the rows that it shall give.

mod table;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use kinfold_project::{
    Diagnostic, Located, NodeId, Span, UnitRows, Value, ValueKind, codes as project_codes,
};

use super::{
    CompiledNode, Compiler, contract, determinism, diagnose, fingerprint, unplanned, with_texts,
};
use crate::bind::{UnboundCte, closest};
use crate::relation::{RelationKey, relations_read};
use crate::render::{Relation, RenderedNode, RenderedUnitTest, UNIT_TEST_SCHEMA};

/// A unit test that is ready to run.
#[derive(Clone, Debug)]
pub struct CompiledUnitTest {
    /// The model that it tests.
    pub model: NodeId,
    /// What the plan reads.
    pub inputs: Vec<(RelationKey, RecordBatch)>,
    /// What it shall give, in columns that are among those of the plan, by their names.
    pub expected: ExpectedRows,
}

/// The rows that a model shall give.
#[derive(Clone, Debug)]
pub enum ExpectedRows {
    /// These, in the types of the plan.
    Rows(RecordBatch),
    /// Those of a query that reads nothing.
    Query(Box<LogicalPlan>),
}

impl Compiler<'_> {
    pub(super) fn unit_test(&mut self, node: &RenderedNode) -> Option<CompiledNode> {
        let (test, sql) = (node.unit_test.as_ref()?, node.sql.as_ref()?);
        let inputs = self.unit_inputs(node, test)?;
        let name = &test.declared.name.value;
        let bound = match &test.declared.cte {
            None => self.binder.bind(&sql.text),
            Some(cte) => match self.binder.bind_cte(&sql.text, &cte.value) {
                Ok(plan) => Ok(plan),
                Err(UnboundCte::Problems(problems)) => Err(problems),
                Err(UnboundCte::Unknown(names)) => {
                    let message = format!(
                        "the model `{}` has no common table expression `{}`",
                        test.declared.model.value, cte.value
                    );
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    self.found.push(near(message, &cte.value, &names, cte.span));
                    return None;
                }
            },
        };
        let plan = match bound {
            Ok(plan) => plan,
            Err(problems) => {
                let note = format!("in the unit test `{name}`");
                self.found.extend(problems.into_iter().map(|problem| {
                    diagnose(problem, node, sql).with_related(test.declared.name.span, note.clone())
                }));
                return None;
            }
        };
        self.all_given(node, test, &plan)?;
        let plan = match test.declared.of_table {
            Some(asked) => self.after_the_build(test, plan, asked)?,
            None => plan,
        };
        let fingerprint = fingerprint::of_unit_test(node, sql, &plan, &test.declared);
        let Ok(plan) = self.binder.expand(plan) else {
            return None;
        };
        let expected = self.expected(test, &plan)?;
        Some(CompiledNode {
            determinism: determinism(&plan),
            fingerprint,
            unit_test: Some(CompiledUnitTest {
                model: test.model.clone(),
                inputs,
                expected,
            }),
            plan: Some(plan),
            ..unplanned(node)
        })
    }

    /// Makes what is given known, and its rows.
    fn unit_inputs(
        &mut self,
        node: &RenderedNode,
        test: &RenderedUnitTest,
    ) -> Option<Vec<(RelationKey, RecordBatch)>> {
        let mut inputs = vec![];
        let mut sound = true;
        for (at, (given, (original, stands))) in
            test.declared.given.iter().zip(&test.inputs).enumerate()
        {
            let key = RelationKey::companion(node.id.clone(), &at.to_string());
            match &given.rows {
                UnitRows::Sql { text, span } => {
                    let Some(plan) = self.unit_query(text, *span) else {
                        sound = false;
                        continue;
                    };
                    let (schema, name) = (UNIT_TEST_SCHEMA, stands.name.as_str());
                    sound &= self.binder.add_view(key, schema, name, plan).is_ok();
                }
                UnitRows::Values { rows, span, .. } => {
                    let Some(columns) = self.columns_of(original) else {
                        let message = "the columns of this input are not known";
                        let span = given.input.span;
                        self.found.push(
                            Diagnostic::error(project_codes::INVALID_UNIT_TEST, message, span)
                                .with_help(
                                    "give its rows with `format: sql`, which says their types",
                                ),
                        );
                        sound = false;
                        continue;
                    };
                    let what = given.input.as_str().unwrap_or("this input");
                    let Some(batch) = self.unit_rows(&columns, rows, what, *span) else {
                        sound = false;
                        continue;
                    };
                    let (schema, name) = (UNIT_TEST_SCHEMA, stands.name.as_str());
                    let added = self
                        .binder
                        .add_table(key.clone(), schema, name, batch.schema());
                    sound &= added.is_ok();
                    inputs.push((key, batch));
                }
            }
        }
        sound.then_some(inputs)
    }

    /// A query that gives rows and reads nothing.
    fn unit_query(&mut self, text: &str, span: Span) -> Option<LogicalPlan> {
        match self.binder.bind(text) {
            Ok(plan) => Some(plan),
            Err(problems) => {
                self.found.extend(problems.into_iter().map(|problem| {
                    // The text may be a block of YAML, in which places are others.
                    let message = format!("the rows of a unit test: {}", problem.message);
                    let found = Diagnostic::error(problem.code, message, span);
                    with_texts(found, problem.notes, problem.help)
                }));
                None
            }
        }
    }

    /// The columns of a relation of the project.
    fn columns_of(&self, relation: &Relation) -> Option<SchemaRef> {
        self.done.nodes.values().find_map(|node| {
            if node.relation.as_ref() == Some(relation) {
                return node.schema.clone();
            }
            let mut companions = node.companions.iter();
            let found = companions.find(|companion| companion.relation == *relation)?;
            Some(Arc::clone(&found.schema))
        })
    }

    /// Whether the plan reads only what is given; says so if it does not, and if it reads less.
    fn all_given(
        &mut self,
        node: &RenderedNode,
        test: &RenderedUnitTest,
        plan: &LogicalPlan,
    ) -> Option<()> {
        let reads = relations_read(plan).ok()?;
        let name = &test.declared.name;
        let mut sound = true;
        for read in reads.iter().filter(|read| read.node != node.id) {
            sound = false;
            let read_by = match &read.companion {
                None if read.node == test.model => "this".to_owned(),
                _ => input_of(read),
            };
            let message = format!(
                "the model `{}` reads `{read_by}`, of which the unit test `{}` gives no rows",
                test.declared.model.value, name.value
            );
            self.found.push(
                Diagnostic::error(project_codes::INVALID_UNIT_TEST, message, name.span)
                    .with_help(format!("add it to `given`: `input: {read_by}`, `rows: []`")),
            );
        }
        // A common table expression may well read less than the whole.
        if test.declared.cte.is_none() {
            for (at, given) in test.declared.given.iter().enumerate() {
                let key = RelationKey::companion(node.id.clone(), &at.to_string());
                let is_this = given.input.as_str() == Some("this");
                if is_this && test.declared.of_table.is_some() {
                    // New rows come to these.
                    continue;
                }
                if !reads.contains(&key) {
                    let message = format!(
                        "the model `{}` does not read this input",
                        test.declared.model.value
                    );
                    let span = given.input.span;
                    let code = project_codes::INVALID_UNIT_TEST;
                    self.found.push(Diagnostic::warning(code, message, span));
                }
            }
        }
        sound.then_some(())
    }

    /// What the plan shall give, in its types.
    fn expected(&mut self, test: &RenderedUnitTest, plan: &LogicalPlan) -> Option<ExpectedRows> {
        let found = contract::nullable(plan.schema().as_arrow());
        match &test.declared.expect {
            UnitRows::Values { rows, span, .. } => {
                // What no row names is not compared; without rows there is nothing to name.
                let named = named_columns(rows);
                let fields = found.fields().iter().filter(|field| {
                    rows.is_empty() || named.iter().any(|name| is_column(field, &name.value))
                });
                let what = format!("the model `{}`", test.declared.model.value);
                let columns = SchemaRef::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
                if let Some(unknown) = named.iter().find(|name| {
                    !found
                        .fields()
                        .iter()
                        .any(|field| is_column(field, &name.value))
                }) {
                    self.no_column(unknown, &found, &what);
                    return None;
                }
                self.unit_rows(&columns, rows, &what, *span)
                    .map(ExpectedRows::Rows)
            }
            UnitRows::Sql { text, span } => {
                let query = self.unit_query(text, *span)?;
                let columns = query.schema().as_arrow().fields();
                let what = format!("the model `{}`", test.declared.model.value);
                for column in columns {
                    if !found
                        .fields()
                        .iter()
                        .any(|field| is_column(field, column.name()))
                    {
                        let name = Located::new(column.name().clone(), *span);
                        self.no_column(&name, &found, &what);
                        return None;
                    }
                }
                if !relations_read(&query).ok()?.is_empty() {
                    let message = "expected rows read no relation";
                    let code = project_codes::INVALID_UNIT_TEST;
                    self.found.push(Diagnostic::error(code, message, *span));
                    return None;
                }
                Some(ExpectedRows::Query(Box::new(query)))
            }
        }
    }

    /// Rows in the types of their columns.
    fn unit_rows(
        &mut self,
        columns: &SchemaRef,
        rows: &[Value],
        what: &str,
        span: Span,
    ) -> Option<RecordBatch> {
        for name in named_columns(rows) {
            if !columns
                .fields()
                .iter()
                .any(|field| is_column(field, &name.value))
            {
                self.no_column(&name, columns, what);
                return None;
            }
        }
        let columns = contract::nullable(columns);
        let mut arrays = vec![];
        for field in columns.fields() {
            let cells: Vec<Option<&Value>> = rows.iter().map(|row| cell(row, field)).collect();
            match values::array(field, &cells) {
                Ok(array) => arrays.push(array),
                Err(at) => {
                    let place = cells
                        .get(at)
                        .copied()
                        .flatten()
                        .map_or(span, |cell| cell.span);
                    let message = format!(
                        "the value of `{}` is no {}",
                        field.name(),
                        field.data_type()
                    );
                    let code = project_codes::INVALID_UNIT_TEST;
                    self.found.push(Diagnostic::error(code, message, place));
                    return None;
                }
            }
        }
        let options =
            datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(columns, arrays, &options).ok()
    }

    fn no_column(&mut self, name: &Located<String>, columns: &Schema, what: &str) {
        let names: Vec<&str> = columns.fields().iter().map(|f| f.name().as_str()).collect();
        let message = format!("{what} has no column `{}`", name.value);
        self.found
            .push(near(message, &name.value, &names, name.span));
    }
}

/// A problem with "did you mean", or with what there is.
fn near(message: String, word: &str, names: &[&str], span: Span) -> Diagnostic {
    let problem = Diagnostic::error(project_codes::INVALID_UNIT_TEST, message, span);
    match closest(word, names) {
        Some(close) => problem.with_help(format!("did you mean `{close}`?")),
        None if names.is_empty() || names.len() > 20 => problem,
        None => problem.with_help(format!("it has {}", names.join(", "))),
    }
}

/// How `given` names a relation.
fn input_of(read: &RelationKey) -> String {
    let mut parts = read.node.as_str().splitn(3, '.');
    let (kind, rest) = (parts.next(), parts.nth(1).unwrap_or_default());
    match (kind, rest.rsplit_once('.'), &read.companion) {
        (Some("source"), Some((source, table)), None) => format!("source('{source}', '{table}')"),
        (_, _, Some(companion)) => format!("ref('{rest}__{companion}')"),
        _ => format!("ref('{rest}')"),
    }
}

/// The columns that rows name, each once, in their order.
fn named_columns(rows: &[Value]) -> Vec<Located<String>> {
    let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
    let mut names = vec![];
    for row in rows {
        let ValueKind::Map(cells) = &row.kind else {
            continue;
        };
        for (name, _) in cells {
            if seen.insert(&name.value, ()).is_none() {
                names.push(name.clone());
            }
        }
    }
    names
}

/// Tests that were written for warehouses have names in capitals.
fn is_column(field: &FieldRef, name: &str) -> bool {
    field.name() == name || field.name().eq_ignore_ascii_case(name)
}

fn cell<'r>(row: &'r Value, field: &FieldRef) -> Option<&'r Value> {
    let ValueKind::Map(cells) = &row.kind else {
        return None;
    };
    let exact = cells.iter().find(|(name, _)| name.value == *field.name());
    let found = exact.or_else(|| cells.iter().find(|(name, _)| is_column(field, &name.value)));
    found.map(|(_, value)| value)
}
