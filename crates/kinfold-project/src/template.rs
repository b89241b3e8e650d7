//! The little Jinja that YAML values may contain before anything is compiled: `env_var` and `var`.

use std::ops::Range;

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::located::{Located, Value, ValueKind};
use crate::suggest;

/// What a template can read.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Reads an environment variable.
    pub environment_variable: &'a dyn Fn(&str) -> Option<String>,
    /// The variables of the package.
    pub vars: &'a [(Located<String>, Value)],
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// Replaces every `{{ env_var('NAME'[, 'default']) }}` and `{{ var('name'[, default]) }}`.
///
/// # Errors
/// A diagnostic at the text if it holds any other Jinja, or a variable is not set. It names the
/// variable and never shows a value.
pub fn render(text: &Located<String>, scope: &Scope<'_>) -> Result<String, Box<Diagnostic>> {
    let mut rest = text.value.as_str();
    let mut out = String::with_capacity(rest.len());
    let fail = |message: &str| {
        let diagnostic = Diagnostic::error(codes::TEMPLATE, message, text.span);
        Box::new(
            diagnostic
                .with_help("only `{{ env_var('NAME') }}` and `{{ var('name') }}` can be used here"),
        )
    };
    while let Some(at) = rest.find('{') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        if let Some(body) = tag.strip_prefix("{{") {
            let end = end_of_expression(body)
                .ok_or_else(|| fail("`{{` has no `}}` that belongs to it"))?;
            let (expression, after) = body.split_at(end);
            let expression = expression.trim_matches('-').trim();
            let start = text.value.len() - tag.len();
            let place = start..start + end + 4;
            let value = evaluate(expression, text, scope);
            out.push_str(&value.map_err(|problem| at_expression(problem, text, place))?);
            rest = after.strip_prefix("}}").unwrap_or(after);
        } else if let Some(body) = tag.strip_prefix("{#") {
            let (_, after) = body
                .split_once("#}")
                .ok_or_else(|| fail("`{#` has no `#}` that belongs to it"))?;
            rest = after;
        } else if tag.starts_with("{%") {
            return Err(fail("Jinja statements are not possible in this value"));
        } else {
            out.push('{');
            rest = tag.get(1..).unwrap_or("");
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The problem at the expression instead of the whole value, where the value stands in the file as it is, with quotes
/// round it or without.
fn at_expression(
    mut problem: Box<Diagnostic>,
    text: &Located<String>,
    expression: Range<usize>,
) -> Box<Diagnostic> {
    let quotes = match text.span.range().len().checked_sub(text.value.len()) {
        Some(0) => 0,
        Some(2) => 1,
        _ => return problem,
    };
    if let Some(primary) = &mut problem.primary
        && primary.span == text.span
    {
        let start = text.span.range().start + quotes;
        primary.span = Span::new(
            text.span.file,
            start + expression.start,
            start + expression.end,
        );
    }
    problem
}

/// The first `{{ … }}` of a text that names a variable and says nothing else: it holds no value that could be secret.
pub(crate) fn plain_expression(text: &str) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find("{{") {
        let start = from + at;
        let body = text.get(start + 2..)?;
        let end = end_of_expression(body)?;
        let call = Call::parse(body.get(..end)?.trim_matches('-').trim());
        if call.is_some_and(|call| {
            matches!(call.function, "env_var" | "var") && call.arguments.len() == 1
        }) {
            return Some(start..start + end + 4);
        }
        from = start + end + 4;
    }
    None
}

/// Where the `}}` of an expression is, past strings.
fn end_of_expression(body: &str) -> Option<usize> {
    let mut quote: Option<u8> = None;
    let bytes = body.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(_), b'\\') => at += 1,
            (Some(open), _) if open == byte => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn evaluate(
    expression: &str,
    text: &Located<String>,
    scope: &Scope<'_>,
) -> Result<String, Box<Diagnostic>> {
    let unknown = |near: Option<String>| {
        let mut diagnostic = Diagnostic::error(
            codes::TEMPLATE,
            format!("`{}` cannot be used here", without_arguments(expression)),
            text.span,
        )
        .with_help("only `env_var('NAME')` and `var('name')`, each with an optional default, can");
        diagnostic.help.extend(near);
        Box::new(diagnostic)
    };
    let call = Call::parse(expression).ok_or_else(|| unknown(None))?;
    let (name, default) = match call.arguments.as_slice() {
        [Argument::String(name)] => (name, None),
        [Argument::String(name), default] => (name, Some(default)),
        _ => return Err(unknown(None)),
    };
    let value = match call.function {
        "env_var" => (scope.environment_variable)(name),
        "var" => match scope.vars.iter().rev().find(|(key, _)| key.value == *name) {
            Some((_, value)) => Some(scalar_text(value).ok_or_else(|| {
                let diagnostic = Diagnostic::error(
                    codes::TEMPLATE,
                    format!("the variable `{name}` is not text or a number"),
                    text.span,
                );
                Box::new(diagnostic.with_related(value.span, "its value"))
            })?),
            None => None,
        },
        other => {
            return Err(unknown(suggest::did_you_mean(other, ["env_var", "var"])));
        }
    };
    if let Some(value) = value {
        return Ok(value);
    }
    if let Some(Argument::String(text) | Argument::Other(text)) = default {
        return Ok(text.clone());
    }
    let (code, message, help) = if call.function == "env_var" {
        (
            codes::UNDEFINED_ENV_VAR,
            format!("the environment variable `{name}` is not set"),
            format!("set it, or give a default: `env_var('{name}', 'default')`"),
        )
    } else {
        (
            codes::UNDEFINED_VAR,
            format!("the variable `{name}` is not set"),
            format!(
                "set it below `vars:` or with `--vars`, or give a default: `var('{name}', 'default')`"
            ),
        )
    };
    let diagnostic = Diagnostic::error(code, message, text.span);
    Err(Box::new(diagnostic.with_help(help)))
}

/// An expression for a message. A default may be a credential.
fn without_arguments(expression: &str) -> String {
    match expression.split_once(['(', '\'', '"']) {
        Some((before, _)) => format!("{}…", before.trim_end()),
        None => expression.to_owned(),
    }
}

/// Text of a scalar that a template can put in.
fn scalar_text(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::Int(number) => Some(number.to_string()),
        ValueKind::Float(number) => Some(number.to_string()),
        ValueKind::Bool(flag) => Some(flag.to_string()),
        ValueKind::Null | ValueKind::List(_) | ValueKind::Map(_) => None,
    }
}

/// `function(argument, …)` with literal arguments.
pub(crate) struct Call<'a> {
    pub(crate) function: &'a str,
    pub(crate) arguments: Vec<Argument>,
}

/// A literal argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// A quoted string, unescaped.
    String(String),
    /// A bare word or number, as written.
    Other(String),
}

impl<'a> Call<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (function, rest) = text.split_once('(')?;
        let function = function.trim();
        let valid = !function.is_empty()
            && function
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            return None;
        }
        let mut rest = rest.trim_end().strip_suffix(')')?.trim_start();
        let mut arguments = vec![];
        while !rest.is_empty() {
            let (argument, after) = Argument::parse(rest)?;
            arguments.push(argument);
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None if rest.is_empty() => {}
                None => return None,
            }
        }
        Some(Self {
            function,
            arguments,
        })
    }

    /// The arguments, if all are strings.
    pub(crate) fn strings(&self) -> Option<Vec<String>> {
        self.arguments
            .iter()
            .map(|argument| match argument {
                Argument::String(text) => Some(text.clone()),
                Argument::Other(_) => None,
            })
            .collect()
    }
}

impl Argument {
    fn parse(text: &str) -> Option<(Self, &str)> {
        let first = text.chars().next()?;
        if first == '\'' || first == '"' {
            let mut value = String::new();
            let mut characters = text.char_indices().skip(1);
            while let Some((at, c)) = characters.next() {
                if c == '\\' {
                    value.push(match characters.next()?.1 {
                        'n' => '\n',
                        't' => '\t',
                        other => other,
                    });
                } else if c == first {
                    return Some((Self::String(value), text.get(at + 1..)?));
                } else {
                    value.push(c);
                }
            }
            return None;
        }
        let end = text.find(',').unwrap_or(text.len());
        let (word, after) = text.split_at(end);
        let word = word.trim();
        let literal = !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        literal.then(|| (Self::Other(word.to_owned()), after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::FileId;
    use proptest::prelude::*;

    fn run(text: &str) -> Result<String, Box<Diagnostic>> {
        let span = Span::new(FileId(0), 0, text.len());
        let vars = [(
            Located::new("n".to_owned(), span),
            Value {
                kind: ValueKind::Int(7),
                span,
            },
        )];
        let environment_variable = |name: &str| (name == "HOME").then(|| "/h".to_owned());
        render(
            &Located::new(text.to_owned(), span),
            &Scope {
                environment_variable: &environment_variable,
                vars: &vars,
            },
        )
    }

    #[test]
    fn functions_are_replaced() {
        let run = |text| run(text).map_err(|d| d.code);
        assert_eq!(run("a{b}"), Ok("a{b}".to_owned()));
        assert_eq!(run("{{ env_var('HOME') }}/x"), Ok("/h/x".to_owned()));
        assert_eq!(run("{{env_var(\"NO\", 'd}}')}}!"), Ok("d}}!".to_owned()));
        assert_eq!(
            run("{{- var('n') -}}{# c #}{{ var('m', 3) }}"),
            Ok("73".to_owned())
        );
    }

    #[test]
    fn a_problem_is_at_its_expression() {
        let value = "s3://{{ var('n') }}/{{ var('m') }}";
        // Plain, in quotes, and in a way that does not tell where its parts are in the file.
        for (from, length, wanted) in [
            (10, value.len(), 30..44),
            (10, value.len() + 2, 31..45),
            (10, value.len() + 5, 10..10 + value.len() + 5),
        ] {
            let span = Span::new(FileId(0), from, from + length);
            let vars = [(
                Located::new("n".to_owned(), span),
                Value {
                    kind: ValueKind::Int(7),
                    span,
                },
            )];
            let scope = Scope {
                environment_variable: &|_| None,
                vars: &vars,
            };
            let problem = render(&Located::new(value.to_owned(), span), &scope);
            let place = problem.map_err(|problem| problem.primary.map(|label| label.span.range()));
            assert_eq!(place, Err(Some(wanted)));
        }
    }

    #[test]
    fn other_jinja_is_refused() {
        for (text, code) in [
            ("{{ env_var('NO') }}", codes::UNDEFINED_ENV_VAR),
            ("{{ var('m') }}", codes::UNDEFINED_VAR),
            ("{{ target.name }}", codes::TEMPLATE),
            ("{{ env_vars('A') }}", codes::TEMPLATE),
            ("{% if x %}", codes::TEMPLATE),
            ("{{ env_var('A'", codes::TEMPLATE),
            ("{# never", codes::TEMPLATE),
        ] {
            assert_eq!(run(text).map_err(|d| d.code), Err(code), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_rendered_without_panic(text in "[{}%#'\"\\\\a-z() ,é-]{0,30}") {
            let _ = run(&text);
        }
    }
}
