//! Typed access to the keys of a YAML mapping, with a diagnostic for each one that is wrong.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::located::{Located, Value, ValueKind};
use crate::suggest;

type Problems = Vec<Diagnostic>;

/// A mapping whose keys have a meaning.
#[derive(Clone, Copy)]
pub(super) struct Fields<'v> {
    /// What it describes, for messages: "a model", "`kinfold.yml`".
    what: &'v str,
    span: Span,
    entries: &'v [(Located<String>, Value)],
}

impl<'v> Fields<'v> {
    /// The value as a mapping. An empty value is an empty mapping.
    pub(super) fn of(value: &'v Value, what: &'v str, problems: &mut Problems) -> Option<Self> {
        let entries: &[_] = match &value.kind {
            ValueKind::Map(entries) => entries,
            ValueKind::Null => &[],
            _ => {
                problems.push(wrong_type(what, "a mapping", value));
                return None;
            }
        };
        Some(Self {
            what,
            span: value.span,
            entries,
        })
    }

    pub(super) fn entries(&self) -> &'v [(Located<String>, Value)] {
        self.entries
    }

    /// The value of a key, unless it is missing or null.
    pub(super) fn get(&self, key: &str) -> Option<&'v Value> {
        self.entries
            .iter()
            .find(|(k, _)| k.value == key)
            .map(|(_, value)| value)
            .filter(|value| !matches!(value.kind, ValueKind::Null))
    }

    /// Place of a key, or of the mapping.
    pub(super) fn key_span(&self, key: &str) -> Span {
        self.entries
            .iter()
            .find(|(k, _)| k.value == key)
            .map_or(self.head(), |(k, _)| k.span)
    }

    /// A short place for the mapping: its first key.
    pub(super) fn head(&self) -> Span {
        self.entries.first().map_or(self.span, |(k, _)| k.span)
    }

    pub(super) fn text(&self, key: &str, problems: &mut Problems) -> Option<Located<String>> {
        text(self.get(key)?, &format!("`{key}`"), problems)
    }

    pub(super) fn required_text(
        &self,
        key: &str,
        problems: &mut Problems,
    ) -> Option<Located<String>> {
        self.required(key, problems)
            .and_then(|value| text(value, &format!("`{key}`"), problems))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str, problems: &mut Problems) -> Option<&'v Value> {
        let value = self.get(key);
        if value.is_none() {
            problems.push(Diagnostic::error(
                codes::MISSING_KEY,
                format!("{} needs `{key}`", self.what),
                self.key_span(key),
            ));
        }
        value
    }

    /// One text or a list of them.
    pub(super) fn texts(&self, key: &str, problems: &mut Problems) -> Vec<Located<String>> {
        let Some(value) = self.get(key) else {
            return vec![];
        };
        match &value.kind {
            ValueKind::List(items) => items
                .iter()
                .filter_map(|item| text(item, &format!("an entry of `{key}`"), problems))
                .collect(),
            _ => text(value, &format!("`{key}`"), problems)
                .into_iter()
                .collect(),
        }
    }

    pub(super) fn boolean(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.get(key)?;
        match &value.kind {
            ValueKind::Bool(flag) => Some(*flag),
            ValueKind::String(word) => {
                let diagnostic = wrong_type(&format!("`{key}`"), "`true` or `false`", value);
                let plain = match word.to_lowercase().as_str() {
                    "yes" | "on" | "y" => Some("true"),
                    "no" | "off" | "n" => Some("false"),
                    _ => None,
                };
                problems.push(match plain {
                    Some(plain) => diagnostic.with_help(format!("write `{plain}`")),
                    None => diagnostic,
                });
                None
            }
            _ => {
                problems.push(wrong_type(&format!("`{key}`"), "`true` or `false`", value));
                None
            }
        }
    }

    /// The items of a list; one mapping or text counts as a list of one if `single`.
    pub(super) fn list(&self, key: &str, problems: &mut Problems) -> &'v [Value] {
        let Some(value) = self.get(key) else {
            return &[];
        };
        match &value.kind {
            ValueKind::List(items) => items,
            _ => {
                problems.push(wrong_type(&format!("`{key}`"), "a list", value));
                &[]
            }
        }
    }

    /// A mapping below a key.
    pub(super) fn map(&self, key: &str, problems: &mut Problems) -> &'v [(Located<String>, Value)] {
        let Some(value) = self.get(key) else {
            return &[];
        };
        match &value.kind {
            ValueKind::Map(entries) => entries,
            _ => {
                problems.push(wrong_type(&format!("`{key}`"), "a mapping", value));
                &[]
            }
        }
    }

    /// Reports the keys that are not among `known`.
    pub(super) fn check_keys(&self, known: &[&str], severity: Severity, problems: &mut Problems) {
        for (key, _) in self.entries {
            if known.contains(&key.value.as_str()) {
                continue;
            }
            let message = format!("{} has no key `{}`", self.what, key.value);
            let diagnostic = match severity {
                Severity::Error => Diagnostic::error(codes::UNKNOWN_KEY, message, key.span),
                Severity::Warning => Diagnostic::warning(codes::UNKNOWN_KEY, message, key.span),
            };
            problems.push(
                match suggest::did_you_mean(&key.value, known.iter().copied()) {
                    Some(help) => diagnostic.with_help(help),
                    None if known.len() <= 12 => diagnostic.with_help(format!(
                        "it can have {}",
                        suggest::one_of(known.iter().copied())
                    )),
                    None => diagnostic,
                },
            );
        }
    }
}

/// Text, or a whole number that was meant as text.
pub(super) fn text(value: &Value, what: &str, problems: &mut Problems) -> Option<Located<String>> {
    let text = match &value.kind {
        ValueKind::String(text) => text.clone(),
        ValueKind::Int(number) => number.to_string(),
        ValueKind::Bool(_) | ValueKind::Float(_) => {
            problems.push(wrong_type(what, "text", value).with_help("put quotes around it"));
            return None;
        }
        ValueKind::Null | ValueKind::List(_) | ValueKind::Map(_) => {
            problems.push(wrong_type(what, "text", value));
            return None;
        }
    };
    Some(Located::new(text, value.span))
}

/// "expected …, found …".
pub(super) fn wrong_type(what: &str, expected: &str, value: &Value) -> Diagnostic {
    let found = match &value.kind {
        ValueKind::Null => "nothing",
        ValueKind::Bool(_) => "a boolean",
        ValueKind::Int(_) | ValueKind::Float(_) => "a number",
        ValueKind::String(_) => "text",
        ValueKind::List(_) => "a list",
        ValueKind::Map(_) => "a mapping",
    };
    Diagnostic::error(
        codes::WRONG_TYPE,
        format!("{what} must be {expected}, this is {found}"),
        value.span,
    )
}
