//! The functions and objects that dbt gives to templates.

use std::fmt;
use std::sync::Arc;

use kinfold_project::Diagnostic;
use md5::{Digest, Md5};
use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::instrument::LOADER;
use super::reference::{closest, find_ref, find_source, id, suggest};
use super::registry::lock;
use super::relation::RelationValue;
use super::run::{Args, Run, kind_name};
use super::value::{from_json, from_yaml, json_text, to_json};
use super::{adapter, codes, mark};

type Body = fn(&mut State<'_, '_>, &Arc<Run>, Args) -> Result<Value, Error>;

/// A function of ours as a value of a template.
pub(super) struct Function {
    name: &'static str,
    body: Body,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {}>", self.name)
    }
}

impl Object for Function {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let run = Run::of(state)?;
        if let Some(value) = run.given.as_ref().and_then(|given| given.result(self.name)) {
            return Ok(value);
        }
        (self.body)(state, &run, Args::new(args))
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let run = Run::of(state)?;
        let mut args = Args::new(args);
        match (self.name, method) {
            ("config", "get" | "require" | "meta_get" | "meta_require") => {
                config_get(&run, method, args)
            }
            ("config", "persist_relation_docs" | "persist_column_docs") => Ok(Value::from(false)),
            ("config", "set") => {
                let key = args.text("config.set", "key")?;
                let value = args.take("value").unwrap_or_default();
                let span = run.call_span(args.call);
                lock(&run.records).config.push((key, value, span));
                Ok(Value::from(""))
            }
            ("var", "has_var") => {
                let name = args.text("var.has_var", "name")?;
                let found = run.registry.command_vars.contains_key(&name)
                    || run.registry.var(&run.package, &name).is_some();
                Ok(Value::from(found))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {}>", self.name)
    }
}

const FUNCTIONS: [(&str, Body); 25] = [
    ("render", render),
    ("local_md5", |_, _, args| local_md5(args)),
    ("ref", |_, run, args| reference(run, args)),
    ("source", |_, run, args| source(run, args)),
    ("config", |_, run, args| config(run, args)),
    ("var", var),
    ("env_var", |_, run, args| env_var(run, args)),
    ("doc", |_, run, args| doc(run, args)),
    ("is_incremental", |_, run, _| {
        Ok(Value::from(run.incremental))
    }),
    ("should_full_refresh", |_, run, _| {
        Ok(Value::from(run.registry.full_refresh))
    }),
    ("should_store_failures", |_, _, _| Ok(Value::from(false))),
    ("log", |_, run, args| log(run, args)),
    ("print", |_, run, args| log(run, args)),
    ("return", |_, run, mut args| {
        let value = args.take("data").unwrap_or_else(|| Value::from(()));
        lock(&run.records).returning = Some(value);
        Err(Error::new(
            ErrorKind::InvalidOperation,
            "`return` outside of a macro",
        ))
    }),
    ("tojson", |_, _, mut args| {
        let value = args.take("value").unwrap_or_default();
        Ok(Value::from(json_text(&to_json(&value))))
    }),
    ("fromjson", |_, _, mut args| {
        let text = args.text("fromjson", "string")?;
        match (serde_json::from_str(&text), args.take("default")) {
            (Ok(json), _) => Ok(from_json(&json)),
            (Err(_), Some(default)) => Ok(default),
            (Err(_), None) => Err(Error::new(
                ErrorKind::InvalidOperation,
                "the text is not JSON",
            )),
        }
    }),
    ("set", |_, _, mut args| {
        let mut items: Vec<Value> = args.take("value").unwrap_or_default().try_iter()?.collect();
        let mut seen = std::collections::HashSet::new();
        items.retain(|item| seen.insert(item.clone()));
        Ok(Value::from(items))
    }),
    ("zip", |_, _, args| {
        let lists = args
            .positional
            .iter()
            .map(|list| Ok(list.try_iter()?.collect()))
            .collect::<Result<Vec<Vec<Value>>, Error>>()?;
        let length = lists.iter().map(Vec::len).min().unwrap_or(0);
        Ok((0..length)
            .map(|i| {
                lists
                    .iter()
                    .filter_map(|list| list.get(i).cloned())
                    .collect::<Value>()
            })
            .collect())
    }),
    ("run_query", |_, run, args| adapter::run_query(run, args)),
    ("statement", adapter::statement),
    ("load_result", |_, run, args| {
        adapter::load_result(run, args)
    }),
    ("load_relation", |_, run, args| {
        adapter::load_relation(run, args)
    }),
    ("get_columns_in_relation", |_, run, args| {
        adapter::columns(run, args)
    }),
    ("__kf_keep", |state, _, mut args| {
        let module = args.take("module").unwrap_or_default();
        state.set_temp("__kf_module", module);
        Ok(Value::from(""))
    }),
    ("__kf_start", |state, _, mut args| {
        let load = args.take("load").unwrap_or_default();
        state.set_temp("__kf_load", load);
        Ok(Value::from(""))
    }),
];

/// Our functions by name.
pub(super) fn functions() -> impl Iterator<Item = (&'static str, Value)> {
    FUNCTIONS
        .into_iter()
        .map(|(name, body)| (name, Value::from_object(Function { name, body })))
}

/// One of our functions.
pub(super) fn function(name: &str) -> Option<Value> {
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    found.map(|&(name, body)| Value::from_object(Function { name, body }))
}

/// The text as a template of its own, rendered where it is called.
fn render(state: &mut State<'_, '_>, run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let text = args.text("render", "string")?;
    args.finish("render")?;
    let context = Value::from_dyn_object(Arc::clone(run));
    let template = format!("{LOADER}{text}");
    let rendered = state.env().render_named_str("a text", &template, context);
    rendered.map(Value::from).map_err(|error| {
        let detail = format!("in a text that is rendered: {}", plain(&error));
        Error::new(error.kind(), detail)
    })
}

/// The MD5 hash of a text, in hexadecimal digits.
fn local_md5(mut args: Args) -> Result<Value, Error> {
    use std::fmt::Write;
    let text = args.text("local_md5", "value")?;
    let mut digits = String::with_capacity(32);
    for byte in Md5::digest(text.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(Value::from(digits))
}

fn reference(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let span = run.call_span(args.call);
    let first = args.text("ref", "name")?;
    let second = args
        .positional
        .pop_front()
        .map(|name| name.as_str().map(str::to_owned));
    let (package, name) = match second {
        None => (None, first),
        Some(Some(name)) => (Some(first), name),
        Some(None) => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "the arguments of `ref` must be text",
            ));
        }
    };
    for key in ["version", "v"] {
        if args.keyword(key).is_some_and(|v| !v.is_none()) {
            run.report(
                Diagnostic::error(
                    codes::NOT_SUPPORTED,
                    "versions of models are not supported",
                    span,
                )
                .with_help("give each version a name of its own"),
            );
        }
    }
    args.finish("ref")?;
    let found = find_ref(&run.registry, &run.package, package.as_deref(), &name, span);
    target(run, found, &name, span)
}

fn source(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let span = run.call_span(args.call);
    let source = args.text("source", "source_name")?;
    let table = args.text("source", "table_name")?;
    args.finish("source")?;
    let found = find_source(&run.registry, &run.package, &source, &table, span);
    target(run, found, &table, span)
}

/// Notes the dependency, or the problem; the template goes on in both cases.
fn target(
    run: &Arc<Run>,
    found: Result<super::reference::Target, Box<Diagnostic>>,
    name: &str,
    span: kinfold_project::Span,
) -> Result<Value, Error> {
    match found {
        Ok(target) => {
            if let Some(id) = id(&run.registry, target.index) {
                lock(&run.records).depends_on.push((id, span));
            }
            let relation = match &run.given {
                Some(given) => given.in_place_of(target.relation),
                None => target.relation,
            };
            Ok(RelationValue::value(relation))
        }
        Err(diagnostic) => {
            run.report(*diagnostic);
            Ok(RelationValue::value(super::Relation {
                schema: run.registry.schema.clone(),
                name: name.to_owned(),
            }))
        }
    }
}

fn config(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let span = run.call_span(args.call);
    let mut entries = Vec::new();
    if let Some(map) = args.positional.pop_front() {
        if map.kind() != ValueKind::Map {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!(
                    "`config` takes keywords or a dictionary, not {}",
                    kind_name(&map)
                ),
            ));
        }
        for key in map.try_iter()? {
            let value = map.get_item(&key)?;
            entries.push((key.to_string(), value, span));
        }
    }
    for (key, value) in std::mem::take(&mut args.named) {
        let span = run.keyword_span(args.call, &key).unwrap_or(span);
        entries.push((key, value, span));
    }
    args.finish("config")?;
    lock(&run.records).config.extend(entries);
    Ok(Value::from(""))
}

fn config_get(run: &Arc<Run>, method: &str, mut args: Args) -> Result<Value, Error> {
    let key = args.text(&format!("config.{method}"), "name")?;
    let default = args.take("default");
    let lookup = |key: &str| {
        let records = lock(&run.records);
        let own = records.config.iter().rev().find(|(name, _, _)| name == key);
        own.map(|(_, value, _)| value.clone())
            .or_else(|| run.config.get(key).map(from_json))
    };
    let found = if method.starts_with("meta_") {
        lookup("meta").and_then(|meta| meta.get_attr(&key).ok())
    } else {
        lookup(&key)
    };
    match found.filter(|v| !v.is_undefined() && !v.is_none()) {
        Some(value) => Ok(value),
        None if method.ends_with("require") => Err(run.raise(
            codes::INVALID_CONFIG,
            format!("the configuration `{key}` is required here"),
            None,
            Some(format!("set it: `config({key}=…)`")),
        )),
        None => Ok(default.unwrap_or_else(|| Value::from(()))),
    }
}

fn var(state: &mut State<'_, '_>, run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let span = run.call_span(args.call);
    let name = args.text("var", "name")?;
    let default = args.take("default");
    args.finish("var")?;
    if let Some(value) = run.given.as_ref().and_then(|given| given.vars.get(&name)) {
        return Ok(value.clone());
    }
    if let Some(value) = run.registry.command_vars.get(&name) {
        return Ok(from_json(value));
    }
    let registry = Arc::clone(&run.registry);
    let Some(value) = registry.var(&run.package, &name) else {
        if let Some(default) = default {
            return Ok(default);
        }
        let error = Diagnostic::error(
            codes::UNSET_VAR,
            format!("the variable `{name}` is not set"),
            span,
        );
        let error = suggest(error, &name, registry.var_names(&run.package)).with_help(format!(
            "set it below `vars:` or with `--vars`, or give a default: `var('{name}', …)`"
        ));
        run.report(error);
        return Ok(Value::from(""));
    };
    let env = state.env();
    from_yaml(value, &mut |text| {
        if run.yaml || !(text.contains("{{") || text.contains("{%")) {
            return Ok(Value::from(text));
        }
        // As in dbt: a variable's text is itself a template, which may `ref`.
        let context = Value::from_dyn_object(Arc::clone(run));
        let rendered = env.render_named_str("a variable", &format!("{LOADER}{text}"), context);
        rendered.map(Value::from).map_err(|error| {
            Error::new(
                error.kind(),
                format!("in the variable `{name}`: {}", plain(&error)),
            )
        })
    })
}

/// The text of an error without the engine's own place.
fn plain(error: &Error) -> String {
    error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned)
}

fn env_var(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let span = run.call_span(args.call);
    let name = args.text("env_var", "name")?;
    let default = args.take("default");
    args.finish("env_var")?;
    if name.starts_with("DBT_ENV_SECRET") {
        run.report(
            Diagnostic::error(
                codes::SECRET_IN_SQL,
                format!("the secret `{name}` would become part of the model"),
                span,
            )
            .with_help("secrets can be used in environments and connections only"),
        );
        return Ok(Value::from(""));
    }
    let given = run.given.as_ref();
    if let Some(value) = given.and_then(|given| given.env_vars.get(&name)) {
        return Ok(value.clone());
    }
    match ((run.registry.env)(&name), default) {
        (Some(value), _) => Ok(Value::from(value)),
        (None, Some(default)) => Ok(default),
        (None, None) => {
            run.report(
                Diagnostic::error(
                    codes::UNSET_ENV_VAR,
                    format!("the environment variable `{name}` is not set"),
                    span,
                )
                .with_help(format!("set it, or give a default: `env_var('{name}', …)`")),
            );
            Ok(Value::from(""))
        }
    }
}

fn doc(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let span = run.call_span(args.call);
    let first = args.text("doc", "name")?;
    let second = args.take("doc_name").map(|v| v.to_string());
    args.finish("doc")?;
    let (package, name) = match second {
        Some(name) => (first, name),
        None => (run.package.clone(), first),
    };
    if let Some(text) = run.registry.doc(&package, &name) {
        return Ok(Value::from(text));
    }
    run.report(Diagnostic::error(
        codes::UNKNOWN_DOC,
        format!("there is no docs block `{name}`"),
        span,
    ));
    Ok(Value::from(""))
}

fn log(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    if let Some(message) = args.take("msg") {
        lock(&run.records)
            .messages
            .push(mark::strip(&message.to_string()));
    }
    Ok(Value::from(""))
}

/// An object of dbt whose methods are functions of ours.
#[derive(Debug)]
pub(super) enum Namespace {
    /// `exceptions`.
    Exceptions,
    /// `adapter`.
    Adapter,
    /// `api.Relation`.
    ApiRelation,
    /// `api.Column`.
    ApiColumn,
    /// `builtins`.
    Builtins,
}

impl Object for Namespace {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (self.as_ref(), key.as_str()?) {
            (Self::Builtins, name) => functions()
                .find(|(function, _)| *function == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        match self.as_ref() {
            Self::ApiColumn => adapter::api_column(Args::new(args)),
            _ => Err(Error::new(
                ErrorKind::InvalidOperation,
                "this cannot be called",
            )),
        }
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let run = Run::of(state)?;
        let mut args = Args::new(args);
        match (self.as_ref(), method) {
            (Self::Exceptions, "warn") => {
                let message = args.take("msg").unwrap_or_default();
                let span = run.call_span(args.call);
                run.report(Diagnostic::warning(
                    codes::RAISED,
                    mark::strip(&message.to_string()),
                    span,
                ));
                Ok(Value::from(""))
            }
            (Self::Exceptions, method) if method.starts_with("raise_") => {
                let message = args.take("msg").unwrap_or_default();
                let span = run.call_span(args.call);
                let message = mark::strip(&message.to_string());
                Err(run.raise(codes::RAISED, message, Some(span), None))
            }
            (Self::Adapter, method) => adapter::method(state, &run, method, args),
            (Self::ApiRelation, method) => adapter::api_relation(&run, method, args),
            (Self::ApiColumn, method) => adapter::api_column_method(method, args),
            (Self::Builtins, name) => match FUNCTIONS.iter().find(|(f, _)| *f == name) {
                Some((_, body)) => body(state, &run, args),
                None => Err(Error::from(ErrorKind::UnknownMethod)),
            },
            (Self::Exceptions, _) => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// The name of one of our functions that a word is most likely a misspelling of.
pub(super) fn near_function(word: &str) -> Option<&'static str> {
    let names = FUNCTIONS.iter().map(|(name, _)| *name);
    closest(word, names.filter(|name| !name.starts_with("__")))
}
