//! Unit tests: a model's template, rendered once more over relations that stand for those that it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinfold_project::{Diagnostic, Located, NodeId, UnitTest, codes as project_codes};
use minijinja::value::Value;

use super::config::NodeConfig;
use super::draft::Draft;
use super::functions::function;
use super::reference::find_ref;
use super::relation::{Relation, RelationValue};
use super::stage::{Extras, Outcome, Sql, Stage};
use super::value::from_yaml;
use super::{Dependency, RenderedNode, codes};

/// Schema of the relations that stand for others. No environment has one of this name.
pub const SCHEMA: &str = "__unit_tests";

/// A unit test after rendering.
#[derive(Clone, Debug)]
pub struct RenderedUnitTest {
    /// As declared.
    pub declared: UnitTest,
    /// The model that it tests.
    pub model: NodeId,
    /// For each of the declared inputs the relation that it stands for, and the one that is read instead.
    pub inputs: Vec<(Relation, Relation)>,
}

/// What a unit test puts in the place of what the project has.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// What stands for a relation.
    relations: BTreeMap<Relation, Relation>,
    /// Values of `var`.
    pub vars: BTreeMap<String, Value>,
    /// Values of `env_var`.
    pub env_vars: BTreeMap<String, Value>,
    /// Results of macros and functions.
    macros: BTreeMap<String, Value>,
}

impl Given {
    /// The relation to read: that of the test, if it has one, or the relation itself.
    pub fn in_place_of(&self, relation: Relation) -> Relation {
        self.relations.get(&relation).cloned().unwrap_or(relation)
    }

    /// The relation that this one stands for, or itself.
    pub fn original<'r>(&'r self, relation: &'r Relation) -> &'r Relation {
        let mut pairs = self.relations.iter();
        pairs
            .find(|(_, stands)| *stands == relation)
            .map_or(relation, |(original, _)| original)
    }

    /// What the call of a macro or function gives instead of running it.
    pub fn result(&self, name: &str) -> Option<Value> {
        self.macros.get(name).cloned()
    }
}

impl<'p> Stage<'p> {
    pub(super) fn unit_test(
        &mut self,
        draft: &Draft<'p>,
        test: &'p UnitTest,
        config: NodeConfig,
    ) -> Outcome {
        let (name, span) = (test.model.value.as_str(), test.model.span);
        let found = match find_ref(
            &self.registry,
            &test.package,
            Some(&test.package),
            name,
            span,
        ) {
            Ok(found) => found,
            // A test of what is switched off is off as well.
            Err(problem) if problem.code == codes::DISABLED_REF => return Outcome::Disabled,
            Err(problem) => {
                self.diagnostics.push(*problem);
                return Outcome::Failed;
            }
        };
        let project = self.project;
        let id = super::reference::id(&self.registry, found.index);
        let model = project
            .models
            .iter()
            .find(|model| Some(&model.id) == id.as_ref());
        let resolved = self.registry.resolved.get();
        let resolved = resolved.and_then(|all| all.get(found.index)).cloned();
        let (Some(model), Some(resolved)) = (model, resolved) else {
            let message = format!("`{name}` is no model, and only models have unit tests");
            let problem = Diagnostic::error(project_codes::INVALID_UNIT_TEST, message, span);
            self.diagnostics.push(problem);
            return Outcome::Failed;
        };
        let Some(inputs) = self.inputs(draft, test, &resolved.relation) else {
            return Outcome::Failed;
        };
        let Some(given) = self.given(draft, test, &inputs) else {
            return Outcome::Failed;
        };
        // The template finds what it finds when the model itself is rendered, but for what is given.
        let template = Draft {
            package: &model.package,
            place: kinfold_project::Span::new(model.file, 0, 0),
            ..draft.clone()
        };
        let mut run = self.run(&template, template.place);
        run.resource = kinfold_project::ResourceType::Model;
        run.name.clone_from(&model.name);
        run.fqn.clone_from(&model.fqn);
        run.config = resolved.config;
        run.incremental = given
            .result("is_incremental")
            .is_some_and(|set| set.is_true());
        let this = given.in_place_of(resolved.relation.clone());
        run.vars
            .insert("this".to_owned(), RelationValue::value(this));
        for (name, value) in &given.macros {
            // `invocation_id` and the like are no macros, but dbt has them overridden as such.
            let registry = &self.registry;
            let is_macro = function(name).is_some()
                || registry
                    .find_macro(&model.package, name, kinfold_project::MacroKind::Macro)
                    .is_some();
            if !is_macro && !name.contains('.') {
                run.vars.insert(name.clone(), value.clone());
            }
        }
        run.relation = Some(resolved.relation);
        run.given = Some(Arc::new(given));
        match self.sql(&template, run, &config) {
            Sql::Rendered(sql, records) => Outcome::Rendered(
                Box::new(RenderedNode {
                    id: draft.id.clone(),
                    resource: draft.resource,
                    package: draft.package.to_owned(),
                    name: draft.name.to_owned(),
                    config,
                    relation: None,
                    companions: vec![],
                    sql: Some(*sql),
                    increment: None,
                    depends_on: vec![Dependency {
                        id: model.id.clone(),
                        span: test.model.span,
                    }],
                    place: Some(draft.place),
                    tested: None,
                    macros: self.registry.macro_ids(&records.macros),
                    unit_test: Some(RenderedUnitTest {
                        declared: test.clone(),
                        model: model.id.clone(),
                        inputs,
                    }),
                }),
                Extras {
                    messages: records.messages,
                    waiting: None,
                },
            ),
            Sql::Waiting(waiting) => Outcome::Waiting(waiting),
            Sql::Failed => Outcome::Failed,
        }
    }

    /// What each input stands for, and the name of what is read instead. `None` after a problem.
    fn inputs(
        &mut self,
        draft: &Draft<'p>,
        test: &'p UnitTest,
        this: &Relation,
    ) -> Option<Vec<(Relation, Relation)>> {
        let mut inputs: Vec<(Relation, Relation)> = vec![];
        let mut sound = true;
        for (at, given) in test.given.iter().enumerate() {
            let span = given.input.span;
            let relation = match given.input.as_str().map(str::trim) {
                Some("this") => Some(this.clone()),
                _ => {
                    let mut run = self.run(draft, span);
                    run.yaml = true;
                    match self.evaluate(Arc::new(run), &given.input, true) {
                        Ok(value) => value
                            .downcast_object_ref::<RelationValue>()
                            .map(|value| value.relation().clone()),
                        Err(problem) => {
                            self.diagnostics.push(*problem);
                            sound = false;
                            continue;
                        }
                    }
                }
            };
            let message = match relation {
                None => "an input is `ref('…')`, `source('…', '…')` or `this`".to_owned(),
                Some(relation) if inputs.iter().any(|(other, _)| *other == relation) => {
                    "the same input is given twice".to_owned()
                }
                Some(relation) => {
                    let stands = Relation {
                        schema: SCHEMA.to_owned(),
                        name: format!("{}.{at}", draft.id),
                    };
                    inputs.push((relation, stands));
                    continue;
                }
            };
            sound = false;
            let problem = Diagnostic::error(project_codes::INVALID_UNIT_TEST, message, span);
            self.diagnostics.push(problem);
        }
        sound.then_some(inputs)
    }

    fn given(
        &mut self,
        draft: &Draft<'p>,
        test: &UnitTest,
        inputs: &[(Relation, Relation)],
    ) -> Option<Given> {
        let mut values = |entries: &[(Located<String>, kinfold_project::Value)]| {
            let mut found = BTreeMap::new();
            for (name, value) in entries {
                // Texts are what they are: a template in them is not rendered, as in dbt.
                match from_yaml(value, &mut |text| Ok(Value::from(text))) {
                    Ok(plain) => {
                        found.insert(name.value.clone(), plain);
                    }
                    Err(error) => {
                        let run = self.run(draft, value.span);
                        let problem = super::failure::diagnostic(&run, &error);
                        self.diagnostics.push(problem);
                        return None;
                    }
                }
            }
            Some(found)
        };
        Some(Given {
            relations: inputs.iter().cloned().collect(),
            vars: values(&test.overrides.vars)?,
            env_vars: values(&test.overrides.env_vars)?,
            macros: values(&test.overrides.macros)?,
        })
    }
}
