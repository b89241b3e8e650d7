//! The two passes over all nodes: configurations first, then SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use kinfold_project::{
    ConfigLayer, Diagnostic, NodeId, Project, ResourceType, Severity, SourceLocation, Span,
    TestTarget,
};
use minijinja::Environment;
use minijinja::value::Value;

use super::built_in::{Audit, OfColumn};
use super::condition::undefined;
use super::config::{NOT_RENDERED, NodeConfig, read};
use super::decode::{Places, decode};
use super::draft::{Draft, TestDraft, TestTemplate, drafts, target_name, words};
use super::environment::environment;
use super::failure::{diagnostic, undefined_name};
use super::instrument::{LOADER, Marking};
use super::macros::MacroValue;
use super::naming::json_config;
use super::reference::{closest, find_ref, find_source, id as node_id};
use super::registry::{Registry, TemplateName, lock};
use super::relation::{Relation, RelationValue};
use super::run::{Records, Run};
use super::settings::Settings;
use super::side_by_side::{part_size, side_by_side};
use super::template::{Piece, pieces};
use super::value::{from_yaml, to_json};
use super::{
    Dependency, Materialization, RenderContext, RenderedNode, RenderedProject, RenderedSql, Tested,
    Waiting, codes,
};

/// Renders every node of a project.
pub(super) fn render(context: &RenderContext<'_>) -> (RenderedProject, Vec<Diagnostic>) {
    let (drafts, bodies) = drafts(context.project);
    let registry = Arc::new(Registry::new(context, bodies));
    let env = environment(&registry);
    let mut stage = Stage {
        project: context.project,
        registry,
        globals: Arc::new(env.globals().map(|(name, _)| name.to_owned()).collect()),
        env,
        diagnostics: Vec::new(),
    };
    stage.macros();
    // Each part has a stage of its own: the engine keeps the templates of the first pass for the second.
    let size = part_size(drafts.len());
    let parts = drafts.chunks(size).map(|drafts| (stage.part(), drafts));
    let configured = side_by_side(parts.collect(), |(mut part, drafts)| {
        let configs: Vec<NodeConfig> = drafts.iter().map(|draft| part.configure(draft)).collect();
        (part, configs)
    });
    let mut configs = Vec::with_capacity(drafts.len());
    let mut parts = Vec::new();
    for (mut part, found) in configured {
        stage.diagnostics.append(&mut part.diagnostics);
        configs.extend(found);
        parts.push(part);
    }
    let resolved = stage.resolve(&drafts, &configs);
    stage.same_relations(&drafts, &configs, &resolved);
    // Only the first call can set it, and there is only this one.
    let _ = stage.registry.resolved.set(resolved);
    let mut position = 0;
    let positions = drafts.iter().map(|draft| {
        let own = (!draft.resource.is_test()).then_some(position);
        position += usize::from(own.is_some());
        own
    });
    let mut nodes: Vec<_> = drafts.iter().zip(configs).zip(positions).collect();
    let mut work = Vec::new();
    for part in parts {
        let rest = nodes.split_off(size.min(nodes.len()));
        work.push((part, std::mem::replace(&mut nodes, rest)));
    }
    let mut rendered = RenderedProject::default();
    for (mut part, found) in side_by_side(work, |(mut part, nodes)| {
        let found = part.render(nodes);
        (part, found)
    }) {
        stage.diagnostics.append(&mut part.diagnostics);
        rendered.append(found);
    }
    let mut diagnostics = stage.diagnostics;
    let mut seen = Vec::with_capacity(diagnostics.len());
    diagnostics.retain(|d| {
        let new = !seen.contains(d);
        if new {
            seen.push(d.clone());
        }
        new
    });
    (rendered, diagnostics)
}

pub(super) struct Stage<'p> {
    pub(super) project: &'p Project,
    pub(super) registry: Arc<Registry>,
    pub(super) env: Environment<'static>,
    /// Names of all functions, macros and packages.
    globals: Arc<BTreeSet<String>>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'p> Stage<'p> {
    /// A stage for some of the nodes. Templates that are compiled are compiled there too.
    fn part(&self) -> Self {
        Self {
            project: self.project,
            registry: Arc::clone(&self.registry),
            globals: Arc::clone(&self.globals),
            env: self.env.clone(),
            diagnostics: Vec::new(),
        }
    }

    pub(super) fn run(&self, draft: &Draft<'_>, place: Span) -> Run {
        Run {
            registry: Arc::clone(&self.registry),
            id: draft.id.clone(),
            resource: draft.resource,
            name: draft.name.to_owned(),
            package: draft.package.to_owned(),
            fqn: draft.fqn.clone(),
            index: None,
            relation: None,
            config: BTreeMap::new(),
            incremental: false,
            execute: true,
            yaml: false,
            vars: BTreeMap::new(),
            place,
            given: None,
            records: Mutex::default(),
        }
    }

    // --- macros ----------------------------------------------------------------------------

    /// Compiles every macro, so that one that cannot be read is told whether it is called or not: an
    /// error in the project, a warning in a package of somebody else.
    fn macros(&mut self) {
        for (index, found) in self.registry.macros.iter().enumerate() {
            let name = TemplateName::of_macro(index, Marking::None);
            let Err(error) = self.env.get_template(&name) else {
                continue;
            };
            let Some(place) = found.span() else { continue };
            let run = Run {
                registry: Arc::clone(&self.registry),
                id: NodeId::new(ResourceType::Model, &[&found.package, &found.name]),
                resource: ResourceType::Model,
                name: found.name.clone(),
                package: found.package.clone(),
                fqn: vec![],
                index: None,
                relation: None,
                config: BTreeMap::new(),
                incremental: false,
                execute: false,
                yaml: false,
                vars: BTreeMap::new(),
                place,
                given: None,
                records: Mutex::default(),
            };
            let mut problem = diagnostic(&run, &error);
            if found.package != self.registry.project {
                problem.severity = Severity::Warning;
                let note = format!("whatever calls the macro `{}` cannot be built", found.name);
                problem = problem.with_note(note);
            }
            self.diagnostics.push(problem);
        }
    }

    // --- configuration ---------------------------------------------------------------------

    fn configure(&mut self, draft: &Draft<'p>) -> NodeConfig {
        let mut settings = Settings::default();
        self.layer(draft, draft.layers, &mut settings);
        let dynamic = draft.template
            && !matches!(
                draft.test,
                Some(TestDraft {
                    template: TestTemplate::Audit(_),
                    ..
                })
            );
        if dynamic {
            for (key, value, span) in self.in_file(draft, &settings) {
                settings.put(&key, to_json(&value), span);
            }
        }
        self.layer(draft, draft.overrides, &mut settings);
        let (config, problems) = read(settings, draft.resource, draft.place);
        self.diagnostics.extend(problems);
        config
    }

    fn layer(&mut self, draft: &Draft<'_>, layers: &[ConfigLayer], settings: &mut Settings) {
        for (key, value) in layers.iter().flat_map(|layer| &layer.entries) {
            if NOT_RENDERED.contains(&key.value.as_str()) {
                settings.put(&key.value, value.to_json(), key.span);
                continue;
            }
            match self.native(draft, value) {
                Ok(rendered) => {
                    let rendered = to_json(&rendered);
                    settings.put_written(&key.value, rendered, key.span, Some(value));
                }
                Err(problem) => self.diagnostics.push(*problem),
            }
        }
    }

    /// A value of a properties file, with its Jinja rendered to values rather than text.
    fn native(
        &mut self,
        draft: &Draft<'_>,
        value: &kinfold_project::Value,
    ) -> Result<Value, Box<Diagnostic>> {
        let mut run = self.run(draft, value.span);
        run.yaml = true;
        self.evaluate(Arc::new(run), value, false)
    }

    /// Evaluates the Jinja of a value in a rendering of its own. With `calls`, text that is a call
    /// of `ref`, `source`, `var`, `env_var` or `doc` is an expression without braces, as dbt has it
    /// for arguments of data tests.
    pub(super) fn evaluate(
        &mut self,
        run: Arc<Run>,
        value: &kinfold_project::Value,
        calls: bool,
    ) -> Result<Value, Box<Diagnostic>> {
        let env = &self.env;
        let context = || Value::from_dyn_object(Arc::clone(&run));
        let result = from_yaml(value, &mut |text| {
            if calls && is_call(text) {
                return env
                    .compile_expression_owned(text.to_owned())?
                    .eval(context());
            }
            if !text.contains("{{") && !text.contains("{%") {
                return Ok(Value::from(text));
            }
            if let Ok(parts) = pieces(text)
                && let [Piece::Expression(tag)] = parts.as_slice()
            {
                let inner = text.get(tag.inner.clone()).unwrap_or("").to_owned();
                return env.compile_expression_owned(inner)?.eval(context());
            }
            let template = format!("{LOADER}{text}");
            env.render_named_str("a value", &template, context())
                .map(Value::from)
        });
        let mut records = lock(&run.records);
        let problems = std::mem::take(&mut records.diagnostics);
        drop(records);
        if let Some(first) = problems.first() {
            let first = first.clone();
            self.diagnostics.extend(problems.into_iter().skip(1));
            return Err(Box::new(first));
        }
        result.map_err(|error| Box::new(diagnostic(&run, &error)))
    }

    /// What `config(…)` in the node's own template says. Problems are found again, and told, by the
    /// second pass.
    fn in_file(&mut self, draft: &Draft<'p>, settings: &Settings) -> Vec<(String, Value, Span)> {
        let mut run = self.run(draft, draft.place);
        run.execute = false;
        run.config = settings.json();
        run.relation = Some(Relation {
            schema: self.registry.schema.clone(),
            name: draft.name.to_owned(),
        });
        if let Some(test) = &draft.test {
            let relation = RelationValue::value(Relation {
                schema: self.registry.schema.clone(),
                name: target_name(&test.declared.target),
            });
            self.test_vars(&mut run, test, relation, &mut Vec::new());
        }
        let run = Arc::new(run);
        let name = TemplateName::node(draft.id.as_str(), Marking::Output);
        if let Ok(template) = self.env.get_template(&name) {
            let _ = template.render(Value::from_dyn_object(Arc::clone(&run)));
        }
        let mut records = lock(&run.records);
        std::mem::take(&mut records.config)
    }

    // --- SQL -------------------------------------------------------------------------------

    fn render(&mut self, nodes: Vec<((&Draft<'p>, NodeConfig), Option<usize>)>) -> RenderedProject {
        let mut project = RenderedProject::default();
        for ((draft, config), own) in nodes {
            if !config.enabled {
                project.disabled.push(draft.id.clone());
                continue;
            }
            match self.node(draft, config, own) {
                Outcome::Rendered(node, extras) => {
                    project.messages.extend(extras.messages);
                    if let Some(waiting) = extras.waiting {
                        project.waiting.insert(draft.id.clone(), *waiting);
                    }
                    project.nodes.insert(draft.id.clone(), *node);
                }
                Outcome::Disabled => project.disabled.push(draft.id.clone()),
                Outcome::Waiting(waiting) => {
                    project.waiting.insert(draft.id.clone(), *waiting);
                }
                Outcome::Failed => {}
            }
        }
        project
    }

    fn node(&mut self, draft: &Draft<'p>, config: NodeConfig, index: Option<usize>) -> Outcome {
        if let Some(test) = draft.unit_test {
            return self.unit_test(draft, test, config);
        }
        let found = index.and_then(|i| self.registry.resolved.get()?.get(i).cloned());
        let mut run = self.run(draft, draft.place);
        run.index = index;
        run.config = json_config(&config);
        if let Some(found) = &found {
            run.relation = Some(found.relation.clone());
        }
        let mut depends_on = Vec::new();
        let mut tested = None;
        if let Some(test) = &draft.test {
            match self.test(&mut run, draft, test, &config, &mut depends_on) {
                Ok(node) => tested = Some(node),
                Err(outcome) => return outcome,
            }
        }
        if let Some(seed) = index.and_then(|index| self.seed_of(draft, index)) {
            depends_on.push((seed, draft.place));
        }
        let mut sql = None;
        let mut increment = None;
        let mut waiting = None;
        let mut macros = Vec::new();
        let mut messages = Vec::new();
        if draft.template {
            let grows = config.materialized.value == Materialization::Incremental;
            let later = grows.then(|| Run {
                incremental: true,
                ..run.again()
            });
            match self.sql(draft, run, &config) {
                Sql::Rendered(rendered, records) => {
                    depends_on.extend(records.depends_on);
                    macros = self.registry.macro_ids(&records.macros);
                    messages = records.messages;
                    sql = Some(*rendered);
                }
                Sql::Waiting(waiting) => return Outcome::Waiting(waiting),
                Sql::Failed => return Outcome::Failed,
            }
            match later.map(|later| self.sql(draft, later, &config)) {
                None => {}
                Some(Sql::Rendered(rendered, records)) => {
                    depends_on.extend(records.depends_on);
                    macros.extend(self.registry.macro_ids(&records.macros));
                    macros.sort();
                    macros.dedup();
                    let new = |message: &String| !messages.contains(message);
                    let new: Vec<String> = records.messages.into_iter().filter(new).collect();
                    messages.extend(new);
                    increment = Some(rendered);
                }
                // What it asks may be about the node itself, which is known without it.
                Some(Sql::Waiting(asked)) => waiting = Some(asked),
                Some(Sql::Failed) => return Outcome::Failed,
            }
        }
        let mut seen = BTreeSet::new();
        depends_on.retain(|(id, _)| seen.insert(id.clone()));
        Outcome::Rendered(
            Box::new(RenderedNode {
                id: draft.id.clone(),
                resource: draft.resource,
                package: draft.package.to_owned(),
                name: draft.name.to_owned(),
                config,
                relation: found.as_ref().map(|f| f.relation.clone()),
                companions: found.map(|f| f.companions).unwrap_or_default(),
                sql,
                increment,
                depends_on: depends_on
                    .into_iter()
                    .map(|(id, span)| Dependency { id, span })
                    .collect(),
                place: Some(draft.place),
                tested,
                unit_test: None,
                macros,
            }),
            Extras { messages, waiting },
        )
    }

    /// The seed whose table a source is: a project may load its own examples of what it reads.
    fn seed_of(&self, draft: &Draft<'_>, index: usize) -> Option<NodeId> {
        let source = draft.fixed.and_then(|_| {
            let mut sources = self.project.sources.iter();
            sources.find(|source| source.id == draft.id)
        })?;
        if !matches!(source.location, SourceLocation::Lake) {
            return None;
        }
        let resolved = self.registry.resolved.get()?;
        let own = &resolved.get(index)?.relation;
        let same = resolved.iter().zip(&self.registry.entries);
        let seed = same
            .filter(|(found, _)| found.enabled && found.relation == *own)
            .find(|(_, entry)| entry.id.as_str().starts_with("seed."));
        Some(seed?.1.id.clone())
    }

    /// Renders the template of a node, with its map.
    pub(super) fn sql(&mut self, draft: &Draft<'p>, run: Run, config: &NodeConfig) -> Sql {
        let places = draft.test.as_ref().map(|test| Places {
            default: draft.place,
            words: words(test.declared, config.filter.as_ref().map(|f| f.span)),
        });
        let declared = draft.test.as_ref().map(|test| {
            let text = format!("in data test `{}`, declared here", test.declared.test.value);
            (draft.place, text)
        });
        let again = run.again();
        let run = Arc::new(run);
        let result = self.output(&run, Marking::Output);
        let asked = lock(&run.records).asked.take();
        if let Some(asked) = asked {
            let named = std::mem::take(&mut lock(&run.records).depends_on);
            let named = named.into_iter().map(|(id, _)| id).collect();
            let resolved = run.index.and_then(|i| self.registry.resolved.get()?.get(i));
            let relations = resolved.map_or_else(Vec::new, |found| {
                let companions = found.companions.iter().map(|c| c.relation.clone());
                companions.chain([found.relation.clone()]).collect()
            });
            return Sql::Waiting(Box::new(asked.waiting(named, relations)));
        }
        let output = match result {
            Ok(output) => Some(output),
            Err(error) => {
                self.diagnostics.push(diagnostic(&run, &error));
                None
            }
        };
        let records = std::mem::take(&mut *lock(&run.records));
        let failed = records.diagnostics.iter().any(Diagnostic::is_error);
        self.diagnostics.extend(records.diagnostics.iter().cloned());
        let sound = self.conditions(draft);
        let Some(output) = output.filter(|_| sound && !failed) else {
            return Sql::Failed;
        };
        let decoded = |output: &str| {
            self.registry
                .with_sites(|sites| decode(output, sites, &self.registry.files, places.as_ref()))
        };
        let mut result = decoded(&output);
        let text = self.registry.text(draft.id.as_str());
        if records.called_macro || CAPTURES.iter().any(|word| text.contains(word)) {
            // It may fail where an expression sees a mark; then the first map has to do.
            if let Ok(full) = self.output(&Arc::new(again), Marking::All) {
                result = result.refine(decoded(&full));
            }
        }
        let text = result.text.clone();
        let map = result.into_map(draft.place, declared);
        Sql::Rendered(Box::new(RenderedSql { text, map }), Box::new(records))
    }

    /// Tells conditions on names that nothing defines. `false` if there are any.
    fn conditions(&mut self, draft: &Draft<'p>) -> bool {
        if draft.test.is_some() {
            return true;
        }
        let text = self.registry.text(draft.id.as_str());
        let found = undefined(text, |name| self.globals.contains(name));
        for range in &found {
            let name = text.get(range.clone()).unwrap_or("");
            let span = Span::new(draft.place.file, range.start, range.end);
            let problem = undefined_name(
                &self.registry,
                draft.package,
                name,
                span,
                std::iter::empty(),
            );
            // The rendering may have failed on it already.
            let start = |d: &Diagnostic| d.primary.as_ref().map(|l| (l.span.file, l.span.start));
            let told = self.diagnostics.iter().any(|d| {
                d.code == problem.code
                    && d.message == problem.message
                    && start(d) == start(&problem)
            });
            if !told {
                self.diagnostics.push(problem);
            }
        }
        found.is_empty()
    }

    fn output(&self, run: &Arc<Run>, marking: Marking) -> Result<String, minijinja::Error> {
        let name = TemplateName::node(run.id.as_str(), marking);
        self.env
            .get_template(&name)?
            .render(Value::from_dyn_object(Arc::clone(run)))
    }

    // --- data tests ------------------------------------------------------------------------

    /// What a generic test tests, with the variables of its template.
    fn test(
        &mut self,
        run: &mut Run,
        draft: &Draft<'p>,
        test: &TestDraft<'p>,
        config: &NodeConfig,
        depends_on: &mut Vec<(NodeId, Span)>,
    ) -> Result<Tested, Outcome> {
        let declared = test.declared;
        let span = draft.place;
        let target = match &declared.target {
            TestTarget::Ref(name) => find_ref(&self.registry, &declared.package, None, name, span),
            TestTarget::Source(source, table) => {
                find_source(&self.registry, &declared.package, source, table, span)
            }
        };
        let target = match target {
            Ok(target) => target,
            // A test of what is switched off is off as well.
            Err(problem) if problem.code == codes::DISABLED_REF => return Err(Outcome::Disabled),
            Err(problem) => {
                self.diagnostics.push(*problem);
                return Err(Outcome::Failed);
            }
        };
        let id = node_id(&self.registry, target.index).ok_or(Outcome::Failed)?;
        depends_on.push((id.clone(), span));
        let relation = match &config.filter {
            None => RelationValue::value(target.relation),
            Some(filter) => Value::from(format!(
                "(select * from {} where {}) as tested",
                target.relation, filter.value
            )),
        };
        let mut problems = Vec::new();
        let failed = !self.test_vars(run, test, relation, &mut problems);
        self.diagnostics.extend(problems);
        depends_on.append(&mut lock(&run.records).depends_on);
        if failed {
            return Err(Outcome::Failed);
        }
        Ok(Tested {
            node: id,
            column: declared.column.clone(),
            test: declared.test.clone(),
        })
    }

    /// Sets the variables of a generic test's template. `false` after a problem.
    fn test_vars(
        &mut self,
        run: &mut Run,
        test: &TestDraft<'p>,
        relation: Value,
        problems: &mut Vec<Diagnostic>,
    ) -> bool {
        let declared = test.declared;
        let mut vars: Vec<(String, Value)> = vec![("model".to_owned(), relation)];
        if let Some(column) = declared.column_name() {
            vars.push(("column_name".to_owned(), Value::from(column)));
        }
        let before = problems.len();
        for (name, value) in &declared.arguments {
            let mut inner = Run {
                registry: Arc::clone(&self.registry),
                id: run.id.clone(),
                name: run.name.clone(),
                package: run.package.clone(),
                fqn: run.fqn.clone(),
                relation: None,
                config: BTreeMap::new(),
                vars: BTreeMap::new(),
                given: None,
                records: Mutex::default(),
                ..*run
            };
            inner.place = value.span;
            inner.yaml = true;
            let inner = Arc::new(inner);
            match self.evaluate(Arc::clone(&inner), value, true) {
                Ok(value) => vars.push((name.value.clone(), value)),
                Err(problem) => problems.push(*problem),
            }
            let mut found = std::mem::take(&mut *lock(&inner.records));
            lock(&run.records).depends_on.append(&mut found.depends_on);
        }
        match test.template {
            TestTemplate::Macro(index) => {
                let arguments = Value::from_pairs(vars);
                run.vars
                    .insert("kf_test".to_owned(), MacroValue::of(index, Some(run.place)));
                run.vars.insert("kf_arguments".to_owned(), arguments);
            }
            TestTemplate::Audit(audit) => {
                check_arguments(test, &audit, &vars, problems);
                // What is not given is nothing, not a name that nobody knows.
                let nothing = audit.arguments.iter().map(|name| {
                    let default = if *name == "quote" {
                        Value::from(true)
                    } else {
                        Value::from(())
                    };
                    ((*name).to_owned(), default)
                });
                run.vars.extend(nothing);
                run.vars.extend(vars);
            }
        }
        problems.len() == before
    }
}

/// Words of templates whose output is captured before it is written.
const CAPTURES: [&str; 6] = [
    "endset",
    "endcall",
    "endfilter",
    "endmacro",
    "include",
    "import",
];

/// What became of the template of a node.
pub(super) enum Sql {
    Rendered(Box<RenderedSql>, Box<Records>),
    Waiting(Box<Waiting>),
    Failed,
}

/// What a node gave beside its SQL.
#[derive(Default)]
pub(super) struct Extras {
    /// What it logged.
    pub(super) messages: Vec<String>,
    /// What keeps its second form from being rendered.
    pub(super) waiting: Option<Box<Waiting>>,
}

pub(super) enum Outcome {
    Rendered(Box<RenderedNode>, Extras),
    Disabled,
    Waiting(Box<Waiting>),
    Failed,
}

fn check_arguments(
    test: &TestDraft<'_>,
    audit: &Audit,
    vars: &[(String, Value)],
    problems: &mut Vec<Diagnostic>,
) {
    let declared = test.declared;
    let name = &declared.test.value;
    let mut misspelt = BTreeSet::new();
    for (argument, value) in &declared.arguments {
        let word = argument.value.as_str();
        if word != "column_name" && !audit.arguments.contains(&word) {
            misspelt.extend(closest(word, audit.arguments.iter().copied()));
            problems.push(super::reference::suggest(
                Diagnostic::error(
                    codes::WRONG_ARGUMENTS,
                    format!("the data test `{name}` has no argument `{word}`"),
                    argument.span,
                ),
                word,
                audit.arguments.iter().copied(),
            ));
        }
        let empty = vars
            .iter()
            .any(|(var, v)| var == word && v.len().is_none_or(|len| len == 0));
        if word == "values" && empty {
            problems.push(Diagnostic::error(
                codes::INVALID_CONFIG,
                "`values` must be a list with at least one value",
                value.span,
            ));
        }
    }
    if audit.of_column == OfColumn::Never
        && let Some(column) = &declared.column
    {
        let message = format!("the data test `{name}` is one of a model, not of a column");
        let problem = Diagnostic::error(codes::WRONG_ARGUMENTS, message, declared.test.span);
        problems.push(
            problem
                .with_related(column.span, "the column")
                .with_help("put it below the `data_tests` of the model itself"),
        );
    }
    let column: &[&str] = match audit.of_column {
        OfColumn::Needs => &["column_name"],
        OfColumn::May | OfColumn::Never => &[],
    };
    for word in column.iter().chain(audit.required) {
        let given = vars.iter().any(|(var, _)| var == word)
            || misspelt.contains(word)
            || declared
                .arguments
                .iter()
                .any(|(key, _)| key.value == **word);
        if !given {
            problems.push(
                Diagnostic::error(
                    codes::WRONG_ARGUMENTS,
                    format!("the data test `{name}` needs the argument `{word}`"),
                    declared.test.span,
                )
                .with_help(if *word == "column_name" {
                    "put the test below a column, or give `column_name`".to_owned()
                } else {
                    format!("add `{word}:` below `arguments:`")
                }),
            );
        }
    }
}

/// Whether text is a call that dbt evaluates without braces.
fn is_call(text: &str) -> bool {
    let text = text.trim();
    ["ref", "source", "var", "env_var", "doc"]
        .iter()
        .any(|name| {
            text.strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with('(') && rest.ends_with(')'))
        })
}
