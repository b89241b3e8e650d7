//! The rendering of one node: its context for the template engine, and what it collects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use kinfold_project::{Code, Diagnostic, NodeId, ResourceType, Span};
use minijinja::value::{Kwargs, Object, Value};
use minijinja::{Error, ErrorKind, State};
use serde_json::Value as Json;

use super::answers::Asked;
use super::mark;
use super::registry::{Problem, Registry, lock};
use super::relation::{Relation, RelationValue};
use super::unit_test::Given;
use super::value::from_json;

/// The name under which templates find the rendering that they belong to.
pub(super) const RUN: &str = "__kf";

/// What a rendering collects.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Nodes that were read, with the place of the call.
    pub depends_on: Vec<(NodeId, Span)>,
    /// `config(…)`: key, value, place.
    pub config: Vec<(String, Value, Span)>,
    /// Problems that did not end the rendering.
    pub diagnostics: Vec<Diagnostic>,
    /// What `log` and `print` wrote.
    pub messages: Vec<String>,
    /// Calls of macros that are under way, the outermost first: name and place of the call.
    pub calls: Vec<(String, Option<Span>)>,
    /// The calls that were under way when an error arose.
    pub failed_in: Option<Vec<(String, Option<Span>)>>,
    /// What it asked and nobody has answered yet.
    pub asked: Option<Asked>,
    /// Results of statements, by their names.
    pub results: BTreeMap<String, Value>,
    /// The value of `return(…)` on its way to the end of its macro.
    pub returning: Option<Value>,
    /// The macros that the template itself has called, by their index in the registry.
    pub macros: BTreeSet<usize>,
    /// Whether anything was captured or called, so that a full marking tells more.
    pub called_macro: bool,
}

/// The rendering of one node. It is the context of its templates.
#[derive(Debug)]
pub(super) struct Run {
    /// What all renderings share.
    pub registry: Arc<Registry>,
    /// The node.
    pub id: NodeId,
    /// What it is.
    pub resource: ResourceType,
    /// Its name.
    pub name: String,
    /// Its package.
    pub package: String,
    /// Its path below its folder.
    pub fqn: Vec<String>,
    /// Its index in the registry; tests have none.
    pub index: Option<usize>,
    /// Its relation, as far as it is known.
    pub relation: Option<Relation>,
    /// Its configuration, as far as it is known.
    pub config: BTreeMap<String, Json>,
    /// Whether rows are added to what there is of it.
    pub incremental: bool,
    /// `execute` of dbt: false while configurations are collected.
    pub execute: bool,
    /// Whether a value of a properties file is rendered, not SQL.
    pub yaml: bool,
    /// Further variables.
    pub vars: BTreeMap<String, Value>,
    /// Where to point when nothing better is known.
    pub place: Span,
    /// What a unit test puts in the place of what the project has.
    pub given: Option<Arc<Given>>,
    /// What it collects.
    pub records: Mutex<Records>,
}

impl Object for Run {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if let Some(value) = self.vars.get(key) {
            return Some(value.clone());
        }
        match key {
            RUN => Some(Value::from_dyn_object(Arc::clone(self))),
            "execute" => Some(Value::from(self.execute)),
            "context" => Some(Value::from_object(super::macros::ContextValue(Arc::clone(
                self,
            )))),
            "graph" => Some(super::nodes::graph(&self.registry)),
            "this" if !self.yaml => Some(RelationValue::value(self.relation.clone()?)),
            "model" | "node" if !self.yaml => Some(self.model()),
            "schema" => Some(Value::from(
                self.relation
                    .as_ref()
                    .map_or(self.registry.schema.as_str(), |r| r.schema.as_str()),
            )),
            _ => None,
        }
    }
}

impl Run {
    /// The same rendering from its start.
    pub fn again(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
            id: self.id.clone(),
            resource: self.resource,
            name: self.name.clone(),
            package: self.package.clone(),
            fqn: self.fqn.clone(),
            index: self.index,
            relation: self.relation.clone(),
            config: self.config.clone(),
            incremental: self.incremental,
            execute: self.execute,
            yaml: self.yaml,
            vars: self.vars.clone(),
            place: self.place,
            given: self.given.clone(),
            records: Mutex::default(),
        }
    }

    /// `model` of dbt, with what is known of the node.
    pub fn model(&self) -> Value {
        let relation = self.relation.as_ref();
        let text =
            |s: Option<&String>| s.map_or_else(|| Value::from(()), |s| Value::from(s.as_str()));
        let config = Value::from_pairs(self.config.iter().map(|(k, v)| (k.clone(), from_json(v))));
        let file = self
            .registry
            .files
            .path(self.place.file)
            .to_string_lossy()
            .into_owned();
        Value::from_pairs([
            ("unique_id", Value::from(self.id.as_str())),
            ("resource_type", Value::from(self.resource.as_str())),
            ("name", Value::from(self.name.as_str())),
            ("package_name", Value::from(self.package.as_str())),
            (
                "fqn",
                self.fqn.iter().map(|s| Value::from(s.as_str())).collect(),
            ),
            ("schema", text(relation.map(|r| &r.schema))),
            ("alias", text(relation.map(|r| &r.name))),
            ("database", Value::from(super::relation::CATALOG)),
            ("original_file_path", Value::from(file.as_str())),
            ("path", Value::from(file)),
            (
                "tags",
                self.config
                    .get("tags")
                    .map_or_else(|| Value::from(Vec::<Value>::new()), from_json),
            ),
            (
                "meta",
                self.config
                    .get("meta")
                    .map_or_else(|| Value::from_pairs::<_, &str, Value>([]), from_json),
            ),
            ("config", config),
        ])
    }

    /// The rendering that a template belongs to.
    pub fn of(state: &State<'_, '_>) -> Result<Arc<Self>, Error> {
        state
            .lookup(RUN)
            .and_then(|value| value.downcast_object::<Self>())
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no node is rendered here"))
    }

    /// The place of a traced call, or of the innermost macro call around it.
    pub fn call_span(&self, call: Option<usize>) -> Span {
        let own = call.and_then(|id| {
            self.registry
                .with_sites(|sites| sites.calls.get(id).and_then(|call| call.span))
        });
        own.or_else(|| {
            lock(&self.records)
                .calls
                .iter()
                .rev()
                .find_map(|(_, span)| *span)
        })
        .unwrap_or(self.place)
    }

    /// The place of a keyword argument of a traced call.
    pub fn keyword_span(&self, call: Option<usize>, name: &str) -> Option<Span> {
        self.registry.with_sites(|sites| {
            let call = sites.calls.get(call?)?;
            call.keywords
                .iter()
                .find(|(keyword, _)| keyword == name)
                .map(|(_, span)| *span)
        })
    }

    /// Notes a problem at a call and goes on.
    pub fn report(&self, diagnostic: Diagnostic) {
        let calls = lock(&self.records).calls.clone();
        let diagnostic = with_calls(diagnostic, &calls);
        let mut records = lock(&self.records);
        if !records.diagnostics.contains(&diagnostic) {
            records.diagnostics.push(diagnostic);
        }
    }

    /// An error for the template engine that keeps its code.
    pub fn raise(
        &self,
        code: Code,
        message: impl Into<String>,
        place: Option<Span>,
        help: impl Into<Option<String>>,
    ) -> Error {
        let detail = self.registry.put_problem(Problem {
            code,
            message: message.into(),
            help: help.into().into_iter().collect(),
            place,
        });
        Error::new(ErrorKind::InvalidOperation, detail)
    }
}

/// Adds the calls of macros that led to a problem, from the inside out.
pub(super) fn with_calls(
    mut diagnostic: Diagnostic,
    calls: &[(String, Option<Span>)],
) -> Diagnostic {
    let primary = diagnostic.primary.as_ref().map(|label| label.span);
    for (name, span) in calls.iter().rev().take(8) {
        if let Some(span) = span.filter(|span| Some(*span) != primary) {
            diagnostic = diagnostic.with_related(span, format!("in {name}, called here"));
        }
    }
    diagnostic
}

/// Arguments of a function.
#[derive(Debug, Default)]
pub(super) struct Args {
    /// The traced call, if it is one.
    pub call: Option<usize>,
    /// Positional arguments that were not taken yet.
    pub positional: std::collections::VecDeque<Value>,
    /// Keyword arguments that were not taken yet.
    pub named: Vec<(String, Value)>,
}

impl Args {
    /// Splits the arguments of a call, and drops marks from strings.
    pub fn new(values: &[Value]) -> Self {
        let mut args = Self::raw(values);
        args.positional.iter_mut().for_each(clean);
        args.named.iter_mut().for_each(|(_, value)| clean(value));
        args
    }

    /// Splits the arguments of a call.
    pub fn raw(values: &[Value]) -> Self {
        let (call, values) = split_call(values);
        let mut args = Self {
            call,
            ..Self::default()
        };
        for value in values {
            if value.is_kwargs()
                && let Ok(kwargs) = Kwargs::try_from(value.clone())
            {
                for name in kwargs.args() {
                    if let Ok(item) = kwargs.peek::<Value>(name) {
                        args.named.push((name.to_owned(), item));
                    }
                }
            } else {
                args.positional.push_back(value.clone());
            }
        }
        args
    }

    /// The next positional argument, or the keyword argument of that name.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        if let Some(value) = self.positional.pop_front() {
            return Some(value);
        }
        self.keyword(name)
    }

    /// The keyword argument of that name.
    pub fn keyword(&mut self, name: &str) -> Option<Value> {
        let at = self.named.iter().position(|(key, _)| key == name)?;
        Some(self.named.remove(at).1)
    }

    /// The next argument, which must be text.
    pub fn text(&mut self, function: &str, name: &str) -> Result<String, Error> {
        let value = self.take(name).ok_or_else(|| {
            Error::new(
                ErrorKind::MissingArgument,
                format!("`{function}` needs the argument `{name}`"),
            )
        })?;
        match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Error::new(
                ErrorKind::InvalidOperation,
                format!(
                    "the argument `{name}` of `{function}` must be text, not {}",
                    kind_name(&value)
                ),
            )),
        }
    }

    /// Refuses arguments that nobody took.
    pub fn finish(self, function: &str) -> Result<(), Error> {
        if let Some((name, _)) = self.named.first() {
            return Err(Error::new(
                ErrorKind::TooManyArguments,
                format!("`{function}` has no argument `{name}`"),
            ));
        }
        if !self.positional.is_empty() {
            return Err(Error::new(
                ErrorKind::TooManyArguments,
                format!("`{function}` has too many arguments"),
            ));
        }
        Ok(())
    }
}

/// The hidden first argument of a traced call, and the others.
pub(super) fn split_call(values: &[Value]) -> (Option<usize>, &[Value]) {
    if let Some((first, rest)) = values.split_first()
        && let Some(number) = first.as_str().and_then(|s| s.strip_prefix(mark::CALL))
    {
        return (Some(mark::number(number).0), rest);
    }
    (None, values)
}

/// Drops marks from a string; other values stay as they are.
fn clean(value: &mut Value) {
    if let Some(text) = value.as_str().filter(|text| mark::has_mark(text)) {
        *value = Value::from(mark::strip(text));
    }
}

/// What a value is, in words for a message.
pub(super) fn kind_name(value: &Value) -> &'static str {
    use minijinja::value::ValueKind;
    match value.kind() {
        ValueKind::Undefined => "an undefined value",
        ValueKind::None => "none",
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        ValueKind::String => "text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a dictionary",
        _ => "an object",
    }
}
