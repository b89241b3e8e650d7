//! Contracts of models: `contract: {enforced: true}` promises names and types of columns.

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use kinfold_project::{Column, Diagnostic, Model, ResourceType, Span, Value, ValueKind};

use super::{Compiler, RenderedNode, diagnose};
use crate::bind::{Problem, closest, column_place};
use crate::codes;
use crate::render::NodeConfig;

/// Where a model's configuration asks for its contract.
fn enforced(config: &NodeConfig) -> Option<Span> {
    let contract = config.extra.get("contract")?;
    let asked = contract.value.get("enforced") == Some(&true.into());
    asked.then_some(contract.span)
}

impl Compiler<'_> {
    /// Whether a model has the columns that its contract promises. What it has not is told.
    pub(super) fn keeps_contract(&mut self, node: &RenderedNode, columns: &Schema) -> bool {
        let Some(asked) = enforced(&node.config) else {
            return true;
        };
        let Some(model) = self.project.models.iter().find(|model| model.id == node.id) else {
            return true;
        };
        let before = self.found.len();
        if model.columns.is_empty() {
            self.found.push(
                Diagnostic::error(
                    codes::BROKEN_CONTRACT,
                    format!("the contract of `{}` has no columns", node.name),
                    asked,
                )
                .with_help("list them below `columns:` with a `data_type` each"),
            );
            return false;
        }
        for column in &model.columns {
            self.promised(node, column, columns);
        }
        self.not_promised(node, model, columns);
        self.constraints(node, model);
        !self.found.iter().skip(before).any(Diagnostic::is_error)
    }

    /// A column that is promised: it must be there and of its type.
    fn promised(&mut self, node: &RenderedNode, column: &Column, columns: &Schema) {
        let name = &column.name.value;
        let Some(declared) = &column.data_type else {
            let message = format!("column `{name}` of a model with a contract has no `data_type`");
            let problem = Diagnostic::error(codes::BROKEN_CONTRACT, message, column.name.span);
            self.found.push(problem);
            return;
        };
        let Ok(field) = columns.field_with_name(name) else {
            let message = format!(
                "`{}` has no column `{name}`, which its contract promises",
                node.name
            );
            let problem = Diagnostic::error(codes::BROKEN_CONTRACT, message, column.name.span);
            let names: Vec<&str> = columns.fields().iter().map(|f| f.name().as_str()).collect();
            self.found.push(match closest(name, &names) {
                Some(near) => problem.with_help(format!("its query has a column `{near}`")),
                None => problem,
            });
            return;
        };
        let Some(wanted) = self.type_of(&declared.value) else {
            let message = format!("`{}` is no type of SQL", declared.value);
            let problem = Diagnostic::error(codes::BROKEN_CONTRACT, message, declared.span);
            self.found.push(problem);
            return;
        };
        let (wanted, found) = (self.as_stored(&wanted), self.as_stored(field.data_type()));
        if wanted == found || decimals(&declared.value, &wanted, &found) {
            return;
        }
        let message = format!(
            "column `{name}` of `{}` is of another type than its contract promises",
            node.name
        );
        let note = format!("the query gives {found}, the contract promises {wanted}");
        let help = format!("`CAST(… AS {})` in the query", declared.value);
        let place = node.sql.as_ref().and_then(|sql| {
            let range = column_place(&sql.text, name)?;
            Some((sql, range))
        });
        let problem = match place {
            Some((sql, range)) => {
                let problem = Problem::new(codes::BROKEN_CONTRACT, message);
                diagnose(problem.or_at(Some(range)), node, sql)
                    .with_related(declared.span, "promised here")
            }
            None => Diagnostic::error(codes::BROKEN_CONTRACT, message, declared.span),
        };
        self.found.push(problem.with_note(note).with_help(help));
    }

    /// Columns of the query that nobody promised.
    fn not_promised(&mut self, node: &RenderedNode, model: &Model, columns: &Schema) {
        for field in columns.fields() {
            let name = field.name();
            if model
                .columns
                .iter()
                .any(|column| column.name.value == *name)
            {
                continue;
            }
            let message = format!("`{name}` is not in the contract of `{}`", node.name);
            let place = node.sql.as_ref().and_then(|sql| {
                let range = column_place(&sql.text, name)?;
                Some((sql, range))
            });
            let problem = match place {
                Some((sql, range)) => {
                    let problem = Problem::new(codes::BROKEN_CONTRACT, message);
                    diagnose(problem.or_at(Some(range)), node, sql)
                }
                None => match model.properties.or(node.place) {
                    Some(span) => Diagnostic::error(codes::BROKEN_CONTRACT, message, span),
                    None => Diagnostic::error_nowhere(codes::BROKEN_CONTRACT, message),
                },
            };
            self.found
                .push(problem.with_help("add it below `columns:` with its `data_type`"));
        }
    }

    /// Constraints: a data test of the same meaning is what enforces one.
    fn constraints(&mut self, node: &RenderedNode, model: &Model) {
        for column in &model.columns {
            let Some(constraints) = column
                .meta
                .as_ref()
                .and_then(|more| more.get("constraints"))
            else {
                continue;
            };
            let ValueKind::List(constraints) = &constraints.kind else {
                continue;
            };
            for constraint in constraints {
                self.constraint(node, column, constraint);
            }
        }
    }

    fn constraint(&mut self, node: &RenderedNode, column: &Column, constraint: &Value) {
        let Some(kind) = constraint.get("type") else {
            return;
        };
        let ValueKind::String(word) = &kind.kind else {
            return;
        };
        let tests: &[&str] = match word.as_str() {
            "not_null" => &["not_null"],
            "unique" => &["unique"],
            "primary_key" => &["unique", "not_null"],
            _ => &[],
        };
        let is_tested = |test: &str| {
            self.project.generic_tests.iter().any(|found| {
                let of_column = found.column.as_ref();
                found.test.value == test
                    && found.target == kinfold_project::TestTarget::Ref(node.name.clone())
                    && of_column.is_some_and(|of| of.value == column.name.value)
            })
        };
        if !tests.is_empty() && tests.iter().all(|test| is_tested(test)) {
            return;
        }
        let problem = Diagnostic::warning(
            codes::CONSTRAINT_NOT_ENFORCED,
            format!(
                "nothing enforces the constraint `{word}` of `{}`",
                column.name.value
            ),
            kind.span,
        );
        self.found.push(if tests.is_empty() {
            problem
        } else {
            let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            problem.with_help(format!(
                "add the data test {}: nothing is published before it has passed",
                tests.join(" and ")
            ))
        });
    }

    /// The type that a text of SQL names.
    fn type_of(&self, written: &str) -> Option<DataType> {
        let plan = self
            .binder
            .bind(&format!("SELECT CAST(NULL AS {written}) AS a"));
        let plan = plan.ok()?;
        match plan.schema().fields().as_ref() {
            [field] => Some(field.data_type().clone()),
            _ => None,
        }
    }

    /// The type under which values are read back.
    fn as_stored(&self, data_type: &DataType) -> DataType {
        let alone = Schema::new(vec![Field::new("a", data_type.clone(), true)]);
        let stored = (self.storable)(&alone).ok();
        let field = stored.as_ref().and_then(|schema| schema.fields().first());
        field.map_or_else(|| data_type.clone(), |field| field.data_type().clone())
    }
}

/// Whether a decimal is promised without its digits, which any decimal keeps.
fn decimals(written: &str, wanted: &DataType, found: &DataType) -> bool {
    let decimal = |t: &DataType| matches!(t, DataType::Decimal128(..) | DataType::Decimal256(..));
    !written.contains('(') && decimal(wanted) && decimal(found)
}

/// Whether a node's contract is kept when it is built.
#[must_use]
pub fn has_contract(resource: ResourceType, config: &NodeConfig) -> bool {
    resource == ResourceType::Model && enforced(config).is_some()
}
