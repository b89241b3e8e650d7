//! Where a credential comes from, if it does not stand in the project: a file or a command.

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::located::{Located, Value, ValueKind};
use crate::suggest;
use crate::template::{self, Scope};

/// A place outside the project and its environment that a credential is read from. Reading it is not the business
/// of this crate: a project is checked where its secrets are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `{file: path}`: the content of a file, relative to the project's root, without one line break at its end.
    File(Located<String>),
    /// `{command: [program, argument, …]}`: what a program prints, without one line break at its end. No shell is
    /// involved.
    Command {
        /// The program: a name to be looked up, or a path relative to the project's root.
        program: Located<String>,
        /// What it is given.
        arguments: Vec<Located<String>>,
    },
}

const FORMS: &str = "write `{file: path}` or `{command: [program, argument]}`";

impl SecretSource {
    /// Reads the mapping that stands in the place of a text; none if the value is no mapping.
    #[must_use]
    pub fn of(value: &Value) -> Option<Result<Self, Box<Diagnostic>>> {
        match &value.kind {
            ValueKind::Map(entries) => Some(Self::read(entries, value.span)),
            _ => None,
        }
    }

    fn read(entries: &[(Located<String>, Value)], span: Span) -> Result<Self, Box<Diagnostic>> {
        let known = ["file", "command"];
        for (key, _) in entries {
            if !known.contains(&key.value.as_str()) {
                let message = format!("a secret is not read from `{}`", key.value);
                let found = Diagnostic::error(codes::UNKNOWN_KEY, message, key.span);
                let help = suggest::did_you_mean(&key.value, known);
                return Err(Box::new(
                    found.with_help(help.unwrap_or_else(|| FORMS.to_owned())),
                ));
            }
        }
        match entries {
            [(key, value)] if key.value == "file" => Ok(Self::File(text(value, "`file`")?)),
            [(_, value)] => {
                let ValueKind::List(items) = &value.kind else {
                    let found = Diagnostic::error(
                        codes::WRONG_TYPE,
                        "`command` must be a list: the program, then its arguments",
                        value.span,
                    );
                    return Err(Box::new(found.with_help(
                        "no shell is involved; for one, write `[sh, -c, \"…\"]`",
                    )));
                };
                let mut words = vec![];
                for item in items {
                    let first = words.is_empty();
                    words.push(word(item, first)?);
                }
                let mut words = words.into_iter();
                let Some(program) = words.next() else {
                    let message = "`command` names no program";
                    let found = Diagnostic::error(codes::INVALID_VALUE, message, value.span);
                    return Err(Box::new(found));
                };
                Ok(Self::Command {
                    program,
                    arguments: words.collect(),
                })
            }
            _ => {
                let message = "a secret is read from a file or from a command";
                let found = Diagnostic::error(codes::INVALID_VALUE, message, span);
                Err(Box::new(found.with_help(FORMS)))
            }
        }
    }

    /// The same with its templates filled in.
    ///
    /// # Errors
    /// As of [`template::render`].
    pub fn render(&self, scope: &Scope<'_>) -> Result<Self, Box<Diagnostic>> {
        let render = |text: &Located<String>| {
            template::render(text, scope).map(|value| Located::new(value, text.span))
        };
        Ok(match self {
            Self::File(path) => Self::File(render(path)?),
            Self::Command { program, arguments } => Self::Command {
                program: render(program)?,
                arguments: arguments.iter().map(render).collect::<Result<_, _>>()?,
            },
        })
    }
}

/// The program, which must not be empty, or an argument, which may be.
fn word(item: &Value, program: bool) -> Result<Located<String>, Box<Diagnostic>> {
    match &item.kind {
        ValueKind::Int(number) => Ok(Located::new(number.to_string(), item.span)),
        ValueKind::String(text) if !program => Ok(Located::new(text.clone(), item.span)),
        _ => text(item, "a word of `command`"),
    }
}

fn text(value: &Value, what: &str) -> Result<Located<String>, Box<Diagnostic>> {
    match &value.kind {
        ValueKind::String(text) if text.trim().is_empty() => {
            let message = format!("{what} is empty");
            let found = Diagnostic::error(codes::INVALID_VALUE, message, value.span);
            Err(Box::new(found))
        }
        ValueKind::String(text) => Ok(Located::new(text.clone(), value.span)),
        _ => {
            let message = format!("{what} must be text");
            let found = Diagnostic::error(codes::WRONG_TYPE, message, value.span);
            Err(Box::new(found.with_help("put quotes around it")))
        }
    }
}
