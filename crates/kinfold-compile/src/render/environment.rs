//! The template engine, set up as dbt's.

use std::borrow::Cow;
use std::sync::Arc;

use kinfold_project::MacroKind;
use minijinja::formatting::FormatStyle;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, escape_formatter};

use super::functions::{Namespace, functions};
use super::instrument::Marking;
use super::macros::{MacroValue, PackageValue};
use super::python::{Moment, modules};
use super::registry::{Registry, TemplateName};
use super::relation::CATALOG;
use super::{codes, mark, value};

/// Steps that one rendering may take.
const FUEL: u64 = 5_000_000;

/// How deep tags, includes and calls may nest, in the engine's own unit.
const RECURSION: usize = 400;

/// The widest padding that a template may ask for. The engine has no bound of its own: it would
/// ask for the memory.
const WIDTH: usize = 10_000;

/// Sets the template engine up for a project.
pub(super) fn environment(registry: &Arc<Registry>) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_debug(true);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        env.set_syntax(syntax);
    }
    env.set_unknown_method_callback(unknown_method);
    templates(&mut env, registry);
    let shared = Arc::clone(registry);
    env.set_formatter(move |out, state, value| {
        if TemplateName::inner_marking(state.name()) != Marking::All
            && value.as_str().is_some_and(mark::has_mark)
        {
            return Err(reserved(&shared));
        }
        escape_formatter(out, state, value)
    });
    filters(&mut env);
    globals(&mut env, registry);
    env
}

fn reserved(registry: &Registry) -> Error {
    let detail = registry.put_problem(super::registry::Problem {
        code: codes::RESERVED_CHARACTER,
        message: "the expression gives text with the characters U+FDD0 to U+FDEF".to_owned(),
        help: vec!["they are not meant for text; remove them from the value".to_owned()],
        place: None,
    });
    Error::new(ErrorKind::InvalidOperation, detail)
}

fn templates(env: &mut Environment<'static>, registry: &Arc<Registry>) {
    let shared = Arc::clone(registry);
    env.set_loader(move |name| {
        shared
            .template(name)
            .map_err(|problem| Error::new(ErrorKind::InvalidOperation, shared.put_problem(problem)))
    });
    let shared = Arc::clone(registry);
    env.set_path_join_callback(move |name, parent| {
        if name.starts_with(mark::CALL) {
            return Cow::Borrowed(name);
        }
        let name = mark::strip(name);
        match shared.included(&name, shared.file_of(parent)) {
            Some(file) => Cow::Owned(TemplateName::file(
                file,
                TemplateName::inner_marking(parent),
            )),
            None => Cow::Owned(name),
        }
    });
}

fn filters(env: &mut Environment<'static>) {
    env.add_filter("__kf_mutable", |v: Value| value::mutable(&v));
    env.add_filter("list", |v: Value| -> Result<Value, Error> {
        Ok(value::mutable(&Value::from(
            v.try_iter()?.collect::<Vec<_>>(),
        )))
    });
    env.add_filter("indent", indent);
    env.add_filter("format", |text: String, args: Rest<Value>| {
        narrow(&text, &args)?;
        minijinja::formatting::format(FormatStyle::Printf, &text, &args)
    });
    env.add_filter("trim", |text: String, chars: Option<String>| match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)).to_owned(),
        None => trimmed(&text, true, true),
    });
    env.add_filter("as_bool", |v: Value| match v.as_str() {
        Some("true" | "True") => Value::from(true),
        Some("false" | "False") => Value::from(false),
        _ => v,
    });
    env.add_filter("as_number", |v: Value| number(&v));
    env.add_filter("as_native", |v: Value| native(&v));
    env.add_filter("as_text", |v: Value| v.to_string());
}

/// Indents every line but the first (Jinja's `indent`), `first` and `blank` by keyword or position.
fn indent(
    text: String,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let width = width.or(kwargs.get("width")?).unwrap_or(4);
    let first = first.or(kwargs.get("first")?).unwrap_or(false);
    let blank = blank.or(kwargs.get("blank")?).unwrap_or(false);
    kwargs.assert_all_used()?;
    if width > WIDTH {
        return Err(too_wide());
    }
    let padding = " ".repeat(width);
    let lines = text.split('\n').enumerate().map(|(at, line)| {
        if (at == 0 && !first) || (line.is_empty() && !blank) {
            line.to_owned()
        } else {
            format!("{padding}{line}")
        }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Refuses a format that could pad beyond [`WIDTH`].
fn narrow(format: &str, args: &[Value]) -> Result<(), Error> {
    let mut digits = format.split(|c: char| !c.is_ascii_digit());
    let wide = digits.any(|run| run.parse::<usize>().map_or(!run.is_empty(), |n| n > WIDTH));
    let by_argument = format.contains('*')
        && args
            .iter()
            .any(|v| v.as_i64().is_some_and(|n| n.unsigned_abs() > WIDTH as u64));
    if wide || by_argument {
        return Err(too_wide());
    }
    Ok(())
}

fn too_wide() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("text cannot be padded to more than {WIDTH} characters"),
    )
}

fn number(v: &Value) -> Value {
    let Some(text) = v.as_str().map(str::trim) else {
        return v.clone();
    };
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(i), _) => Value::from(i),
        (Err(_), Ok(f)) => Value::from(f),
        _ => v.clone(),
    }
}

fn native(v: &Value) -> Value {
    match v.as_str() {
        Some("true" | "True") => Value::from(true),
        Some("false" | "False") => Value::from(false),
        Some("none" | "None") => Value::from(()),
        _ => number(v),
    }
}

/// Text without white space at its ends; marks at the ends stay.
fn trimmed(text: &str, start: bool, end: bool) -> String {
    if !mark::has_mark(text) {
        return match (start, end) {
            (true, true) => text.trim(),
            (true, false) => text.trim_start(),
            _ => text.trim_end(),
        }
        .to_owned();
    }
    let solid = |c: char| !mark::is_mark(c) && !c.is_whitespace();
    let from = if start {
        text.find(solid).unwrap_or(text.len())
    } else {
        0
    };
    let to = if end {
        text.char_indices()
            .rev()
            .find(|(_, c)| solid(*c))
            .map_or(0, |(at, c)| at + c.len_utf8())
    } else {
        text.len()
    };
    text.char_indices()
        .filter(|(at, c)| (*at >= from && *at < to) || mark::is_mark(*c))
        .map(|(_, c)| c)
        .collect()
}

fn unknown_method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let (Some(text), []) = (value.as_str(), args) {
        match method {
            "strip" => return Ok(Value::from(trimmed(text, true, true))),
            "lstrip" => return Ok(Value::from(trimmed(text, true, false))),
            "rstrip" => return Ok(Value::from(trimmed(text, false, true))),
            _ => {}
        }
    }
    if let (Some(text), "format") = (value.as_str(), method) {
        narrow(text, args)?;
    }
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Map)
        && matches!(
            method,
            "append" | "extend" | "insert" | "remove" | "update" | "clear"
        )
    {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("this value cannot be changed by `{method}`; make a copy with `| list`"),
        ));
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn globals(env: &mut Environment<'static>, registry: &Arc<Registry>) {
    for (name, function) in functions() {
        env.add_global(name, function);
    }
    env.add_function("__kf_local", |function: Value| MacroValue::local(function));
    env.add_global("exceptions", Value::from_object(Namespace::Exceptions));
    env.add_global("adapter", Value::from_object(Namespace::Adapter));
    env.add_global(
        "api",
        Value::from_pairs([
            ("Relation", Value::from_object(Namespace::ApiRelation)),
            ("Column", Value::from_object(Namespace::ApiColumn)),
        ]),
    );
    env.add_global("builtins", Value::from_object(Namespace::Builtins));
    env.add_global("modules", modules());
    env.add_global("database", Value::from(CATALOG));
    env.add_global("project_name", Value::from(registry.project.as_str()));
    env.add_global(
        "invocation_id",
        Value::from(registry.invocation_id.as_str()),
    );
    env.add_global(
        "run_started_at",
        Value::from_object(Moment::utc(registry.as_of)),
    );
    // A version of dbt that packages ask for by `require-dbt-version`.
    env.add_global("dbt_version", Value::from("1.10.5"));
    env.add_global("thread_id", Value::from("main"));
    env.add_global("selected_resources", Value::from(Vec::<Value>::new()));
    env.add_global(
        "target",
        Value::from_pairs([
            ("name", Value::from(registry.environment.as_str())),
            ("target_name", Value::from(registry.environment.as_str())),
            ("profile_name", Value::from(registry.project.as_str())),
            ("schema", Value::from(registry.schema.as_str())),
            ("database", Value::from(CATALOG)),
            ("type", Value::from("datafusion")),
            ("threads", Value::from(1)),
        ]),
    );
    env.add_global(
        "flags",
        Value::from_pairs([
            ("FULL_REFRESH", Value::from(registry.full_refresh)),
            ("WHICH", Value::from("build")),
            ("STORE_FAILURES", Value::from(false)),
        ]),
    );
    for package in &registry.known.packages {
        env.add_global(
            package.clone(),
            Value::from_object(PackageValue {
                name: package.clone(),
                registry: Arc::clone(registry),
            }),
        );
    }
    for found in registry
        .macros
        .iter()
        .filter(|m| m.kind == MacroKind::Macro)
    {
        // Only the root project can replace a function.
        let taken = env.globals().any(|(name, _)| name == found.name);
        if !taken || found.package == registry.project {
            env.add_global(found.name.clone(), MacroValue::named(&found.name));
        }
    }
}
