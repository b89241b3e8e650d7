//! Typed access to the keys of a block, with a diagnostic for each one that is wrong.

use std::time::Duration;

use kinfold_project::{Diagnostic, Located, Span, Value, ValueKind, suggest};

use super::describe::{Block, Shape};
use super::units;
use super::verdict::Verdict;
use crate::codes;
use crate::expression::{Expression, Kind, Names, Type};
use crate::template::{Reading, Template, Text};

/// A mapping that is a [`Block`]. Unknown and missing keys were reported when it was made.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'v> {
    block: &'static Block,
    pub(crate) span: Span,
    entries: &'v [(Located<String>, Value)],
}

impl<'v> Fields<'v> {
    pub(crate) fn of(
        value: &'v Value,
        block: &'static Block,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let entries: &[_] = match &value.kind {
            ValueKind::Map(entries) => entries,
            ValueKind::Null => &[],
            _ => {
                wrong_type(reading, block.what, "a mapping", value);
                return None;
            }
        };
        let span = entries.first().map_or(value.span, |(key, _)| key.span);
        let fields = Self {
            block,
            span,
            entries,
        };
        fields.check_keys(reading);
        Some(fields)
    }

    fn check_keys(&self, reading: &mut Reading<'_>) {
        let what = self.block.what;
        for (key, _) in self.entries {
            if self.block.key(&key.value).is_some() {
                continue;
            }
            let known = self.block.keys.iter().map(|key| key.name);
            let problem = Diagnostic::error(
                codes::UNKNOWN_KEY,
                format!("{what} has no key `{}`", key.value),
                key.span,
            );
            let help = suggest::did_you_mean(&key.value, known.clone())
                .unwrap_or_else(|| format!("it can have {}", suggest::one_of(known)));
            reading.problems.push(problem.with_help(help));
        }
        for key in self.block.keys.iter().filter(|key| key.required) {
            if self.get(key.name).is_none() {
                let message = format!("{what} needs `{}`", key.name);
                reading.error(codes::MISSING_KEY, message, self.span);
            }
        }
        for group in self.block.exactly_one {
            let there = self.among(group);
            if there.len() != 1 {
                let names = suggest::one_of(group.iter().copied());
                let message = format!("{what} needs exactly one of {names}");
                let place = there.get(1).map_or(self.span, |(key, _)| key.span);
                reading.error(codes::EXCLUSIVE, message, place);
            }
        }
        for group in self.block.at_most_one {
            if let [first, second, ..] = self.among(group).as_slice() {
                let message = format!(
                    "{what} cannot have both `{}` and `{}`",
                    first.0.value, second.0.value
                );
                reading.error(codes::EXCLUSIVE, message, second.0.span);
            }
        }
    }

    fn among(&self, group: &[&str]) -> Vec<&'v (Located<String>, Value)> {
        let entries = self.entries.iter();
        entries
            .filter(|(key, _)| group.contains(&key.value.as_str()))
            .collect()
    }

    /// The value of a key, unless it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'v Value> {
        self.written(key)
            .filter(|value| !matches!(value.kind, ValueKind::Null))
    }

    /// The value of a key, null included.
    pub(crate) fn written(&self, key: &str) -> Option<&'v Value> {
        let found = self.entries.iter().find(|(found, _)| found.value == key);
        found.map(|(_, value)| value)
    }

    pub(crate) fn span_of(&self, key: &str) -> Span {
        let found = self.entries.iter().find(|(found, _)| found.value == key);
        found.map_or(self.span, |(key, _)| key.span)
    }

    pub(crate) fn text(&self, key: &str, reading: &mut Reading<'_>) -> Option<String> {
        text(self.get(key)?, key, reading)
    }

    pub(crate) fn texts(&self, key: &str, reading: &mut Reading<'_>) -> Vec<String> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        match &value.kind {
            ValueKind::List(items) => items
                .iter()
                .filter_map(|item| text(item, key, reading))
                .collect(),
            _ => text(value, key, reading).into_iter().collect(),
        }
    }

    pub(crate) fn flag(&self, key: &str, reading: &mut Reading<'_>) -> Option<bool> {
        let value = self.get(key)?;
        if let ValueKind::Bool(flag) = value.kind {
            return Some(flag);
        }
        wrong_type(reading, &format!("`{key}`"), "`true` or `false`", value);
        None
    }

    pub(crate) fn count(&self, key: &str, reading: &mut Reading<'_>) -> Option<u32> {
        let value = self.get(key)?;
        if let ValueKind::Int(number) = value.kind
            && let Ok(number) = u32::try_from(number)
            && number > 0
        {
            return Some(number);
        }
        wrong_type(
            reading,
            &format!("`{key}`"),
            "a whole number above 0",
            value,
        );
        None
    }

    pub(crate) fn duration(&self, key: &str, reading: &mut Reading<'_>) -> Option<Duration> {
        let value = self.get(key)?;
        let found = value.as_str().and_then(units::duration);
        if found.is_none() {
            let problem = Diagnostic::error(
                codes::INVALID_VALUE,
                format!("`{key}` must be a time"),
                value.span,
            );
            reading
                .problems
                .push(problem.with_help("write `250ms`, `10s`, `5m`, `1h` or `1d`"));
        }
        found
    }

    pub(crate) fn bytes(&self, key: &str, reading: &mut Reading<'_>) -> Option<usize> {
        let value = self.get(key)?;
        let found = value.as_str().and_then(units::bytes);
        if found.is_none() {
            let problem = Diagnostic::error(
                codes::INVALID_VALUE,
                format!("`{key}` must be a size"),
                value.span,
            );
            reading.problems.push(
                problem.with_help("write `32 KB` (thousands) or `4 MiB` (multiples of 1,024)"),
            );
        }
        found
    }

    /// One of the words of a key.
    pub(crate) fn word(&self, key: &str, reading: &mut Reading<'_>) -> Option<&'static str> {
        let value = self.get(key)?;
        let written = text(value, key, reading)?;
        let Some(Shape::Word(words)) = self.block.key(key).map(|key| &key.kind) else {
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == written);
        if found.is_none() {
            let known = words.iter().map(|(word, _)| *word);
            let problem = Diagnostic::error(
                codes::INVALID_VALUE,
                format!("`{written}` is no value of `{key}`"),
                value.span,
            );
            let help = suggest::did_you_mean(&written, known.clone())
                .unwrap_or_else(|| format!("it is {}", suggest::one_of(known)));
            reading.problems.push(problem.with_help(help));
        }
        found.map(|(word, _)| *word)
    }

    pub(crate) fn verdict(&self, key: &str, reading: &mut Reading<'_>) -> Option<Verdict> {
        self.word(key, reading).and_then(Verdict::of_word)
    }

    pub(crate) fn expression(
        &self,
        key: &str,
        names: &Names<'_>,
        reading: &mut Reading<'_>,
    ) -> Option<(Expression, Type)> {
        reading.expression(self.get(key)?, names)
    }

    /// An expression whose value may be seen and stored.
    pub(crate) fn open_expression(
        &self,
        key: &str,
        names: &Names<'_>,
        reading: &mut Reading<'_>,
    ) -> Option<Expression> {
        let (expression, kind) = self.expression(key, names, reading)?;
        refuse_secret(kind, key, self.span_of(key), reading);
        Some(expression)
    }

    /// An expression that is a time, or a number of seconds.
    pub(crate) fn wait(
        &self,
        key: &str,
        names: &Names<'_>,
        reading: &mut Reading<'_>,
    ) -> Option<Expression> {
        let (expression, kind) = self.expression(key, names, reading)?;
        if matches!(
            kind.kind,
            Kind::Any | Kind::Number | Kind::Time | Kind::Text
        ) {
            return Some(expression);
        }
        let message = format!(
            "`{key}` is seconds or a time, and this is {}",
            kind.kind.as_str()
        );
        reading.error(codes::EXPRESSION, message, self.span_of(key));
        None
    }

    pub(crate) fn condition(
        &self,
        key: &str,
        names: &Names<'_>,
        reading: &mut Reading<'_>,
    ) -> Option<Expression> {
        reading.condition(self.get(key)?, names)
    }

    pub(crate) fn template_text(
        &self,
        key: &str,
        names: &Names<'_>,
        reading: &mut Reading<'_>,
    ) -> Option<Text> {
        reading.text(self.get(key)?, names).map(|(text, _)| text)
    }

    pub(crate) fn template(
        &self,
        key: &str,
        names: &Names<'_>,
        reading: &mut Reading<'_>,
    ) -> Option<Template> {
        reading.template(self.get(key)?, names)
    }

    /// The entries of a mapping below a key.
    pub(crate) fn map(
        &self,
        key: &str,
        reading: &mut Reading<'_>,
    ) -> &'v [(Located<String>, Value)] {
        let Some(value) = self.get(key) else {
            return &[];
        };
        if let ValueKind::Map(entries) = &value.kind {
            return entries;
        }
        wrong_type(reading, &format!("`{key}`"), "a mapping", value);
        &[]
    }

    pub(crate) fn text_map(
        &self,
        key: &str,
        names: &Names<'_>,
        reading: &mut Reading<'_>,
    ) -> Vec<(String, Text)> {
        let entries = self.map(key, reading).iter();
        let read = entries.filter_map(|(name, value)| {
            let (text, _) = reading.text(value, names)?;
            Some((name.value.clone(), text))
        });
        read.collect()
    }

    /// Blocks below a key: a list, or one by itself.
    pub(crate) fn blocks(&self, key: &str, reading: &mut Reading<'_>) -> &'v [Value] {
        let Some(value) = self.get(key) else {
            return &[];
        };
        match (&value.kind, self.block.key(key).map(|key| &key.kind)) {
            (ValueKind::List(items), _) => items,
            (ValueKind::Map(_), Some(Shape::OneOrMany(_))) => std::slice::from_ref(value),
            _ => {
                wrong_type(reading, &format!("`{key}`"), "a list", value);
                &[]
            }
        }
    }
}

/// Reports an expression whose value would be shown or stored and is secret.
pub(crate) fn refuse_secret(kind: Type, key: &str, span: Span, reading: &mut Reading<'_>) {
    if kind.secret {
        let message = format!("`{key}` is shown or stored, and this is secret");
        reading.error(codes::SECRET_EXPOSED, message, span);
    }
}

pub(crate) fn text(value: &Value, key: &str, reading: &mut Reading<'_>) -> Option<String> {
    match &value.kind {
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::Int(number) => Some(number.to_string()),
        _ => {
            wrong_type(reading, &format!("`{key}`"), "text", value);
            None
        }
    }
}

pub(crate) fn wrong_type(reading: &mut Reading<'_>, what: &str, expected: &str, value: &Value) {
    let found = match &value.kind {
        ValueKind::Null => "nothing",
        ValueKind::Bool(_) => "a boolean",
        ValueKind::Int(_) | ValueKind::Float(_) => "a number",
        ValueKind::String(_) => "text",
        ValueKind::List(_) => "a list",
        ValueKind::Map(_) => "a mapping",
    };
    let message = format!("{what} must be {expected}, this is {found}");
    reading.error(codes::WRONG_TYPE, message, value.span);
}
