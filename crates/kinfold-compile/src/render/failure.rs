//! An error of the template engine, told as a problem in the user's file.

use kinfold_project::{Diagnostic, Span};
use minijinja::{Error, ErrorKind};

use super::codes;
use super::functions::near_function;
use super::instrument::CONTEXT;
use super::mark;
use super::open_block::open_block;
use super::reference::{closest, suggest};
use super::registry::{Registry, lock};
use super::run::{Run, with_calls};
use super::template::{Piece, pieces};

/// The problem that ended a rendering.
pub(super) fn diagnostic(run: &Run, error: &Error) -> Diagnostic {
    let chain = chain(error);
    let innermost = chain.last().copied().unwrap_or(error);
    let place = |error: &Error| {
        let span = run.registry.span_in(error.name()?, error.range()?)?;
        Some(from_its_start(run, span))
    };
    let span = chain.iter().rev().find_map(|error| place(error));
    let problem = innermost
        .detail()
        .and_then(|detail| run.registry.problem(detail));
    let calls = lock(&run.records).failed_in.clone().unwrap_or_default();
    let called = calls.iter().rev().find_map(|(_, span)| *span);
    let diagnostic = match problem {
        Some(problem) => {
            let span = problem.place.or(span).or(called).unwrap_or(run.place);
            let start = Diagnostic::error(problem.code, problem.message, span);
            problem.help.into_iter().fold(start, Diagnostic::with_help)
        }
        None => told(run, innermost, span.or(called).unwrap_or(run.place)),
    };
    let primary = diagnostic.primary.as_ref().map(|label| label.span);
    let mut diagnostic = with_calls(diagnostic, &calls);
    for outer in chain.iter().rev().skip(1) {
        if let Some(span) = place(outer).filter(|span| Some(*span) != primary)
            && outer.kind() == ErrorKind::BadInclude
            && !diagnostic.related.iter().any(|label| label.span == span)
        {
            diagnostic = diagnostic.with_related(span, "included here");
        }
    }
    diagnostic
}

/// The error and its causes, the outermost first.
fn chain(error: &Error) -> Vec<&Error> {
    let mut chain = vec![error];
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref::<Error>() {
            chain.push(cause);
        }
        next = cause.source();
    }
    chain
}

/// The engine's place of `a.b` or `f(x)` starts at the `.` or the bracket; this starts at the name.
fn from_its_start(run: &Run, span: Span) -> Span {
    let text = run.registry.files.text(span);
    let Some(file) = run.registry.files.get(span.file) else {
        return span;
    };
    let before = file.text.get(..span.start as usize).unwrap_or("");
    if !text.starts_with(['.', '(', '[']) {
        return span;
    }
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let start = before.trim_end_matches(name).len();
    Span::new(span.file, start, span.end as usize)
}

fn told(run: &Run, error: &Error, span: Span) -> Diagnostic {
    let detail = mark::strip(error.detail().unwrap_or(""));
    let written = run.registry.files.text(span).trim();
    match error.kind() {
        ErrorKind::SyntaxError if detail.starts_with("unexpected end of input") => {
            let text = run.registry.files.get(span.file).map(|file| &*file.text);
            match text.and_then(open_block) {
                Some((range, word)) => Diagnostic::error(
                    codes::JINJA_SYNTAX,
                    format!("this `{word}` is never closed"),
                    Span::new(span.file, range.start, range.end),
                )
                .with_help(format!("close it with `{{% end{word} %}}`")),
                None => Diagnostic::error(
                    codes::JINJA_SYNTAX,
                    format!("the template cannot be read: {detail}"),
                    span,
                ),
            }
        }
        ErrorKind::SyntaxError => Diagnostic::error(
            codes::JINJA_SYNTAX,
            format!("the template cannot be read: {detail}"),
            span,
        ),
        ErrorKind::UndefinedError => undefined(run, &detail, written, span),
        ErrorKind::UnknownFunction => {
            let name = detail.strip_suffix(" is unknown").unwrap_or(written);
            let error = Diagnostic::error(
                codes::UNKNOWN_MACRO,
                format!("there is no function or macro `{name}`"),
                span,
            );
            let macros = run.registry.macros.iter().map(|m| m.name.as_str());
            let elsewhere = run.registry.macros.iter().find(|m| m.name == name);
            match (
                elsewhere,
                near_function(name).or_else(|| closest(name, macros)),
            ) {
                (Some(found), _) => {
                    error.with_help(format!("call it as `{}.{name}`", found.package))
                }
                (None, Some(near)) => error.with_help(format!("did you mean `{near}`?")),
                (None, None) => error,
            }
        }
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest => {
            let word = detail
                .strip_prefix("filter ")
                .or_else(|| detail.strip_prefix("test "))
                .and_then(|rest| rest.strip_suffix(" is unknown"))
                .unwrap_or(written);
            let (what, names): (_, &[&str]) = if error.kind() == ErrorKind::UnknownFilter {
                ("filter", &FILTERS)
            } else {
                ("test", &TESTS)
            };
            let error = Diagnostic::error(
                codes::UNKNOWN_FILTER,
                format!("there is no {what} `{word}`"),
                span,
            );
            suggest(error, word, names.iter().copied())
        }
        ErrorKind::UnknownMethod if detail.starts_with("undefined has no method") => {
            undefined(run, &detail, written, span)
        }
        ErrorKind::UnknownMethod => Diagnostic::error(
            codes::UNKNOWN_METHOD,
            if detail.is_empty() {
                format!("`{written}`: there is no such method")
            } else {
                no_method(&detail)
            },
            span,
        ),
        ErrorKind::TooManyArguments | ErrorKind::MissingArgument => Diagnostic::error(
            codes::WRONG_ARGUMENTS,
            match (error.kind(), detail.is_empty()) {
                (_, false) => detail,
                (ErrorKind::TooManyArguments, true) => match written.split_once('(') {
                    Some((name, _)) => format!("`{}` is given too many arguments", name.trim()),
                    None => "too many arguments".to_owned(),
                },
                _ => "an argument is missing".to_owned(),
            },
            span,
        ),
        ErrorKind::OutOfFuel => Diagnostic::error(
            codes::TOO_MUCH_WORK,
            "the template takes too many steps",
            span,
        )
        .with_help("a loop in it is probably longer than meant"),
        ErrorKind::InvalidOperation if detail == "recursion limit exceeded" => {
            Diagnostic::error(codes::TOO_MUCH_WORK, "the template nests too deep", span)
                .with_help("a file or macro probably includes or calls itself without end")
        }
        ErrorKind::TemplateNotFound => {
            let error = Diagnostic::error(
                codes::UNKNOWN_FILE,
                "the included file is not a file of the project".to_owned(),
                span,
            );
            let name = detail.split(['"', '\'']).nth(1).unwrap_or("").to_owned();
            suggest(error, &name, run.registry.file_names())
                .with_help("paths are relative to the project or to the file itself")
        }
        kind => Diagnostic::error(
            codes::JINJA,
            if detail.is_empty() {
                kind.to_string()
            } else {
                detail
            },
            span,
        ),
    }
}

/// What the engine says of a method, in our words: `sequence has no method named push`.
fn no_method(detail: &str) -> String {
    let Some((kind, method)) = detail.split_once(" has no method named ") else {
        return detail.to_owned();
    };
    let kind = match kind {
        "sequence" => "a list",
        "map" => "a mapping",
        "string" => "text",
        "number" => "a number",
        "bool" => "true or false",
        kind => kind,
    };
    format!("{kind} has no method `{method}`")
}

fn undefined(run: &Run, detail: &str, written: &str, span: Span) -> Diagnostic {
    let name = detail
        .split('`')
        .nth(1)
        .filter(|name| !name.is_empty())
        .unwrap_or(written);
    let text = run.registry.files.get(span.file).map(|file| &*file.text);
    let set = set_in(text.unwrap_or(""));
    let set = set.iter().map(String::as_str).filter(|set| *set != name);
    let known = run.vars.keys().map(String::as_str).chain(set);
    undefined_name(&run.registry, &run.package, name, span, known)
}

/// Names that a file sets.
fn set_in(text: &str) -> Vec<String> {
    let pieces = pieces(text).unwrap_or_default().into_iter();
    pieces
        .filter_map(|piece| match piece {
            Piece::Statement(tag) if tag.keyword(text) == "set" => {
                let name = tag.tokens.get(1)?;
                Some(name.text(text).to_owned())
            }
            _ => None,
        })
        .collect()
}

/// The problem of a name that has no value in a package.
pub(super) fn undefined_name<'a>(
    registry: &Registry,
    package: &str,
    name: &str,
    span: Span,
    known: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    let error = Diagnostic::error(codes::UNDEFINED, format!("`{name}` is undefined"), span);
    if name.contains(['.', '[', '(', ' ']) {
        return error;
    }
    if registry.var(package, name).is_some() {
        return error.with_help(format!("variables are read with `var('{name}')`"));
    }
    suggest(error, name, known.chain(CONTEXT))
}

const FILTERS: [&str; 46] = [
    "abs",
    "as_bool",
    "as_native",
    "as_number",
    "as_text",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "count",
    "default",
    "dictsort",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
];

const TESTS: [&str; 16] = [
    "boolean",
    "defined",
    "divisibleby",
    "even",
    "false",
    "in",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
];
