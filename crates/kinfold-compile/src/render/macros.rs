//! Macros: found by name and package as dbt does, called with their place on record.

use std::fmt;
use std::sync::Arc;

use kinfold_project::{MacroKind, Span};
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};

use super::codes;
use super::functions::function;
use super::instrument::{BLOCK_MACRO, IMPLICIT};
use super::reference::closest;
use super::registry::{BUILT_IN, Registry, TemplateName, lock};
use super::run::{Args, Run, split_call};

/// Prefixes of the implementations of a dispatched macro, the first one first. DuckDB's and
/// PostgreSQL's SQL is nearer to ours than what packages write for warehouses.
pub(super) const ADAPTERS: [&str; 5] = ["kinfold", "datafusion", "duckdb", "postgres", "default"];

/// Macro calls that may be under way at the same time. Each costs native stack.
const DEPTH: usize = 40;

/// Which macro a value means.
#[derive(Clone, Debug)]
enum Meaning {
    /// The one that a bare name means where it is called.
    Name(Arc<str>),
    /// A known one, and the place that stands for its call.
    Index(usize, Option<Span>),
    /// A function that a template defined for itself.
    Local(Value),
}

/// A macro as a value of a template.
#[derive(Clone, Debug)]
pub(super) struct MacroValue(Meaning);

impl MacroValue {
    /// The macro that a bare name means.
    pub fn named(name: &str) -> Value {
        Value::from_object(Self(Meaning::Name(name.into())))
    }

    /// A macro by its index in the registry.
    pub fn of(index: usize, called: Option<Span>) -> Value {
        Value::from_object(Self(Meaning::Index(index, called)))
    }

    /// A macro that a template defines for itself.
    pub fn local(value: Value) -> Value {
        Value::from_object(Self(Meaning::Local(value)))
    }
}

impl Object for MacroValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let run = Run::of(state)?;
        let (call, args) = split_call(args);
        match &self.0 {
            Meaning::Local(function) => {
                let name = function.get_attr("name").unwrap_or_default().to_string();
                let span = call.map(|call| run.call_span(Some(call)));
                invoke(state, &run, function, &name, "macro", span, args)
            }
            Meaning::Name(name) => {
                if let Some(value) = run.given.as_ref().and_then(|given| given.result(name)) {
                    return Ok(value);
                }
                let package = run
                    .registry
                    .package_of(state.name())
                    .unwrap_or(&run.package)
                    .to_owned();
                let Some(index) = run.registry.find_macro(&package, name, MacroKind::Macro) else {
                    return Err(unknown(&run, &package, name, call));
                };
                let span = call.map(|call| run.call_span(Some(call)));
                call_macro(state, &run, index, span, args)
            }
            Meaning::Index(index, called) => {
                let span = call.map(|call| run.call_span(Some(call))).or(*called);
                call_macro(state, &run, *index, span, args)
            }
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<macro>")
    }
}

fn unknown(run: &Run, package: &str, name: &str, call: Option<usize>) -> Error {
    let registry = &run.registry;
    let candidates = registry
        .macros
        .iter()
        .filter(|m| m.package == package)
        .map(|m| m.name.as_str());
    let help = closest(name, candidates)
        .map(|near| format!("did you mean `{near}`?"))
        .or_else(|| {
            let elsewhere = registry.macros.iter().find(|m| m.name == name)?;
            Some(format!("call it as `{}.{name}`", elsewhere.package))
        });
    run.raise(
        codes::UNKNOWN_MACRO,
        format!("there is no macro `{name}` in package `{package}`"),
        call.map(|call| run.call_span(Some(call))),
        help,
    )
}

/// Calls a macro of the project: loads its template into the state if this is its first call.
pub(super) fn call_macro(
    state: &mut State<'_, '_>,
    run: &Run,
    index: usize,
    span: Option<Span>,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(found) = run.registry.macros.get(index) else {
        return Err(Error::from(ErrorKind::UnknownFunction));
    };
    let word = match found.kind {
        MacroKind::Macro => "macro",
        MacroKind::Test => "data test",
    };
    {
        let mut records = lock(&run.records);
        if records.calls.is_empty() {
            records.macros.insert(index);
        }
    }
    let template = TemplateName::of_macro(index, TemplateName::inner_marking(state.name()));
    let function = match state.get_temp(&template) {
        Some(function) => function,
        None => {
            let Some(load) = state.get_temp("__kf_load") else {
                return Err(run.raise(
                    codes::NOT_SUPPORTED,
                    format!("the macro `{}` cannot be called here", found.name),
                    span,
                    None,
                ));
            };
            let entered = enter(run, &found.name, word, span)?;
            let result = load.call(state, &[Value::from(template.as_str())]);
            leave(run, entered, result)?;
            let module = state.get_temp("__kf_module").unwrap_or_default();
            let function = module.get_attr(BLOCK_MACRO)?;
            if function.is_undefined() {
                return Err(run.raise(
                    codes::JINJA_SYNTAX,
                    format!(
                        "the block of `{}` defines no macro of that name",
                        found.name
                    ),
                    span,
                    None,
                ));
            }
            state.set_temp(&template, function.clone());
            function
        }
    };
    if found.implicit {
        let args = with_implicit(&function, args);
        return invoke(state, run, &function, &found.name, word, span, &args);
    }
    invoke(state, run, &function, &found.name, word, span, args)
}

/// Puts the arguments that a macro does not declare into its `varargs` and `kwargs`.
fn with_implicit(function: &Value, args: &[Value]) -> Vec<Value> {
    let declared: Vec<String> = function
        .get_attr("arguments")
        .and_then(|names| names.try_iter())
        .into_iter()
        .flatten()
        .map(|name| name.to_string())
        .collect();
    let has = |word: &str| declared.iter().any(|name| name == word);
    let own = declared
        .iter()
        .filter(|name| !IMPLICIT.contains(&name.as_str()));
    let count = own.count();
    let args = Args::raw(args);
    let mut positional: Vec<Value> = args.positional.into();
    let mut named: Vec<(String, Value)> = Vec::new();
    let mut others: Vec<(String, Value)> = Vec::new();
    for (name, value) in args.named {
        if has(&name) || name == "caller" || !has("kwargs") {
            named.push((name, value));
        } else {
            others.push((name, value));
        }
    }
    if has("varargs") && positional.len() > count {
        let rest = positional.split_off(count);
        named.push(("varargs".to_owned(), Value::from(rest)));
    }
    if has("kwargs") && !named.iter().any(|(name, _)| name == "kwargs") {
        named.push(("kwargs".to_owned(), Value::from_pairs(others)));
    }
    positional.push(Value::from(named.into_iter().collect::<Kwargs>()));
    positional
}

/// Calls a function with the call on record; `return(…)` inside ends it.
fn invoke(
    state: &mut State<'_, '_>,
    run: &Run,
    function: &Value,
    name: &str,
    word: &str,
    span: Option<Span>,
    args: &[Value],
) -> Result<Value, Error> {
    let depth = enter(run, name, word, span)?;
    let result = function.call(state, args);
    leave(run, depth, result)
}

/// Puts a call on record.
fn enter(run: &Run, name: &str, word: &str, span: Option<Span>) -> Result<usize, Error> {
    let depth = {
        let mut records = lock(&run.records);
        records.called_macro = true;
        let depth = records.calls.len();
        if depth < DEPTH {
            records.calls.push((format!("{word} `{name}`"), span));
        }
        depth
    };
    if depth >= DEPTH {
        return Err(run.raise(
            codes::TOO_MUCH_WORK,
            format!("more than {DEPTH} macros call each other"),
            span,
            Some("a macro probably calls itself without end".to_owned()),
        ));
    }
    Ok(depth)
}

/// Takes a call off the record, and turns `return(…)` into the result.
fn leave(run: &Run, depth: usize, result: Result<Value, Error>) -> Result<Value, Error> {
    let mut records = lock(&run.records);
    let result = match result {
        Err(error) => match records.returning.take() {
            Some(value) => Ok(value),
            None => {
                if records.failed_in.is_none() {
                    records.failed_in = Some(records.calls.clone());
                }
                Err(settled(error))
            }
        },
        ok => ok,
    };
    records.calls.truncate(depth);
    result
}

/// The engine takes an unknown method inside a method for one of its own; so it gets another kind.
fn settled(error: Error) -> Error {
    if error.kind() == ErrorKind::UnknownMethod {
        return Error::new(ErrorKind::InvalidOperation, "a method is unknown").with_source(error);
    }
    error
}

/// A package as a value of a template: its macros are its methods and its attributes.
#[derive(Debug)]
pub(super) struct PackageValue {
    /// Its name.
    pub name: String,
    /// Where its macros are.
    pub registry: Arc<Registry>,
}

impl PackageValue {
    fn find(&self, name: &str) -> Option<usize> {
        let own = || self.registry.macro_in(&self.name, name, MacroKind::Macro);
        if self.name != BUILT_IN {
            return own();
        }
        let project = &self.registry.project;
        self.registry
            .replaced_built_in(name)
            .or_else(own)
            .or_else(|| self.registry.macro_in(project, name, MacroKind::Macro))
    }

    /// Functions are in the package `dbt`, as its macros are.
    fn function(&self, name: &str) -> Option<Value> {
        let ours = self.name == BUILT_IN && !name.starts_with("__");
        ours.then(|| function(name)).flatten()
    }
}

impl Object for PackageValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        self.find(name)
            .map(|index| MacroValue::of(index, None))
            .or_else(|| self.function(name))
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let run = Run::of(state)?;
        if let Some(given) = &run.given {
            let whole = format!("{}.{method}", self.name);
            let own = self.name == run.registry.project;
            let result = given
                .result(&whole)
                .or_else(|| given.result(method).filter(|_| own));
            if let Some(value) = result {
                return Ok(value);
            }
        }
        let Some(index) = self.find(method) else {
            if let Some(function) = self.function(method) {
                return function.call(state, args);
            }
            return Err(unknown(&run, &self.name, method, split_call(args).0));
        };
        let (call, args) = split_call(args);
        let span = call.map(|call| run.call_span(Some(call)));
        call_macro(state, &run, index, span, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<package {}>", self.name)
    }
}

/// `context` of dbt: everything that a template knows by name, by its name.
#[derive(Debug)]
pub(super) struct ContextValue(pub Arc<Run>);

impl Object for ContextValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let registry = &self.0.registry;
        let known = |name: &str| {
            let package = &self.0.package;
            registry
                .find_macro(package, name, MacroKind::Macro)
                .is_some()
        };
        match name {
            "project_name" => Some(Value::from(registry.project.as_str())),
            "invocation_id" => Some(Value::from(registry.invocation_id.as_str())),
            "context" => None,
            _ if name.starts_with("__") => None,
            _ => self.0.get_value_by_str(name).or_else(|| {
                if known(name) {
                    Some(MacroValue::named(name))
                } else if registry.known.packages.contains(name) {
                    Some(Value::from_object(PackageValue {
                        name: name.to_owned(),
                        registry: Arc::clone(registry),
                    }))
                } else {
                    function(name)
                }
            }),
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<context>")
    }
}

/// `adapter.dispatch('name', 'namespace')`: the first implementation that exists.
pub(super) fn dispatch(state: &State<'_, '_>, mut args: Args) -> Result<Value, Error> {
    let run = Run::of(state)?;
    let call = args.call;
    let name = args.text("adapter.dispatch", "macro_name")?;
    let namespace = args.take("macro_namespace").filter(|v| !v.is_none());
    args.finish("adapter.dispatch")?;
    let from = run
        .registry
        .package_of(state.name())
        .unwrap_or(&run.package)
        .to_owned();
    let order = run
        .registry
        .search_order(&from, namespace.as_ref().and_then(Value::as_str));
    let span = run.call_span(call);
    let mut found = run.registry.implementation(&order, &name);
    if found.is_none() && order.iter().any(|package| package == BUILT_IN) {
        // Ours have one implementation each, without a prefix.
        found = run.registry.macro_in(BUILT_IN, &name, MacroKind::Macro);
    }
    if let Some(index) = found {
        return Ok(MacroValue::of(index, Some(span)));
    }
    let tried = ADAPTERS.map(|adapter| format!("`{adapter}__{name}`"));
    Err(run.raise(
        codes::UNKNOWN_MACRO,
        format!("no implementation of the macro `{name}` fits"),
        Some(span),
        Some(format!(
            "define one of {} in package {}",
            tried.join(", "),
            order
                .iter()
                .map(|package| format!("`{package}`"))
                .collect::<Vec<_>>()
                .join(" or ")
        )),
    ))
}
