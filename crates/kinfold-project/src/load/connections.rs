//! `connections/*.yml`: the accounts at destinations.

use std::path::PathBuf;

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::located::{Located, Value, ValueKind};
use crate::secret::SecretSource;
use crate::suggest;
use crate::sync::{COMMON_OPTIONS, Connection, ConnectionKind, ManifestSource};

use super::fields::{self, Fields, wrong_type};
use super::generic_tests::invalid_word;

/// The destinations that a connection may name, besides the built-in ones.
pub(super) struct Kinds<'a> {
    /// Those of the program.
    pub(super) shipped: &'a [&'a str],
    /// Those of the project: names and folders.
    pub(super) own: Vec<(String, PathBuf)>,
}

impl Kinds<'_> {
    fn of(&self, word: &str) -> Option<(ConnectionKind, Option<ManifestSource>)> {
        let mut built_in = ConnectionKind::ALL.into_iter();
        if let Some(kind) = built_in.find(|kind| kind.as_str() == word) {
            return Some((kind, None));
        }
        let own = self.own.iter().find(|(name, _)| name == word);
        let source = match own {
            Some((name, path)) => ManifestSource::Folder {
                name: name.clone(),
                path: path.clone(),
            },
            None => ManifestSource::Shipped(
                (*self.shipped.iter().find(|name| **name == word)?).to_owned(),
            ),
        };
        Some((ConnectionKind::Manifest, Some(source)))
    }

    /// Every word, built-in ones first.
    fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = ConnectionKind::ALL.map(ConnectionKind::as_str).to_vec();
        words.extend(self.own.iter().map(|(name, _)| name.as_str()));
        words.extend(self.shipped);
        words
    }
}

/// Reads one file. `names` gets the names of all connections, those with mistakes too.
pub(super) fn read(
    value: &Value,
    kinds: &Kinds<'_>,
    connections: &mut Vec<Connection>,
    names: &mut Vec<String>,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(fields) = Fields::of(value, "a connections file", problems) else {
        return;
    };
    fields.check_keys(&["version", "connections"], Severity::Error, problems);
    for item in fields.list("connections", problems) {
        let Some(connection) = connection(item, kinds, names, problems) else {
            continue;
        };
        match connections
            .iter()
            .find(|other| other.name.value == connection.name.value)
        {
            Some(first) => problems.push(
                Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!("there are two connections `{}`", connection.name.value),
                    connection.name.span,
                )
                .with_related(first.name.span, "the other one"),
            ),
            None => connections.push(connection),
        }
    }
}

fn connection(
    item: &Value,
    kinds: &Kinds<'_>,
    names: &mut Vec<String>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Connection> {
    let fields = Fields::of(item, "a connection", problems)?;
    let name = fields.required_text("name", problems);
    let word = match fields.get("kind") {
        Some(value) => fields::text(value, "`kind`", problems),
        None => {
            let missing = Diagnostic::error(
                codes::MISSING_KEY,
                "a connection needs `kind`",
                fields.key_span("type"),
            );
            let words = kinds.words();
            problems.push(missing.with_help(format!("`kind` is {}", suggest::one_of(words))));
            None
        }
    };
    if let Some(name) = &name {
        names.push(name.value.clone());
        super::syncs::check_name("connection", name, problems);
    }
    let word = word?;
    let Some((kind, manifest)) = kinds.of(&word.value) else {
        problems.push(invalid_word("kind", &word.value, word.span, &kinds.words()));
        return None;
    };
    let own: &[&str] = &["name", "kind", "description"];
    let (required, optional) = options_of(kind);
    let mut options = fields.entries().to_vec();
    if kind == ConnectionKind::Manifest {
        // The rest are parameters, which only the manifest knows.
        options.retain(|(key, _)| !own.contains(&key.value.as_str()));
    } else {
        fields.check_keys(
            &[own, required, optional].concat(),
            Severity::Error,
            problems,
        );
        for key in required {
            fields.required(key, problems);
        }
        options.retain(|(key, _)| {
            required.contains(&key.value.as_str()) || optional.contains(&key.value.as_str())
        });
    }
    for (key, value) in &options {
        check_option(kind, key, value, problems);
    }
    Some(Connection {
        name: name?,
        kind: Located::new(kind, word.span),
        options,
        manifest,
    })
}

/// The keys that a kind needs and those that it can have.
fn options_of(kind: ConnectionKind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        ConnectionKind::Http => (
            &["url"],
            &[
                "headers",
                "timeout_seconds",
                "batch_size",
                "max_concurrency",
                "receiver_deduplicates",
                "requests_per_second",
                "rows_per_second",
                "clear_with",
                "max_jobs",
            ],
        ),
        ConnectionKind::Postgres => (
            &["dsn"],
            &[
                "schema",
                "batch_size",
                "requests_per_second",
                "rows_per_second",
            ],
        ),
        ConnectionKind::MySql => (
            &["dsn"],
            &["batch_size", "requests_per_second", "rows_per_second"],
        ),
        ConnectionKind::Smtp => (
            &["dsn", "from"],
            &[
                "ca_file",
                "timeout_seconds",
                "batch_size",
                "max_concurrency",
                "requests_per_second",
                "rows_per_second",
            ],
        ),
        ConnectionKind::Nats => (
            &["url"],
            &[
                "user",
                "password",
                "token",
                "ca_file",
                "timeout_seconds",
                "batch_size",
                "max_concurrency",
                "requests_per_second",
                "rows_per_second",
            ],
        ),
        ConnectionKind::Files => (&["location"], &["format", "storage", "ssh"]),
        ConnectionKind::Manifest => (&[], &COMMON_OPTIONS),
    }
}

fn check_option(
    kind: ConnectionKind,
    key: &Located<String>,
    value: &Value,
    problems: &mut Vec<Diagnostic>,
) {
    let what = format!("`{}`", key.value);
    if Connection::may_be_secret(kind, &key.value)
        && let Some(source) = SecretSource::of(value)
    {
        problems.extend(source.err().map(|problem| *problem));
        return;
    }
    match key.value.as_str() {
        "timeout_seconds"
        | "batch_size"
        | "max_concurrency"
        | "max_jobs"
        | "requests_per_second"
        | "rows_per_second" => {
            let allowed = match &value.kind {
                // Jinja is filled in when a sync runs.
                ValueKind::String(text) => text.contains("{{"),
                ValueKind::Int(number) => *number > 0,
                ValueKind::Float(number) => key.value == "timeout_seconds" && *number > 0.0,
                _ => false,
            };
            if !allowed {
                problems.push(Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("{what} must be a number above 0"),
                    value.span,
                ));
            }
        }
        "receiver_deduplicates" => {
            if !matches!(value.kind, ValueKind::Bool(_)) {
                problems.push(wrong_type(&what, "`true` or `false`", value));
            }
        }
        "headers" | "storage" => match &value.kind {
            ValueKind::Map(entries) => {
                for (key, value) in entries {
                    if let Some(source) = SecretSource::of(value) {
                        problems.extend(source.err().map(|problem| *problem));
                    } else if !matches!(value.kind, ValueKind::Bool(_)) {
                        fields::text(value, &format!("`{}`", key.value), problems);
                    }
                }
            }
            _ => problems.push(wrong_type(&what, "a mapping", value)),
        },
        // Any JSON value, the empty text above all.
        "clear_with" => {}
        "format" => {
            let formats = ["ndjson", "csv", "parquet"];
            if let Some(word) = fields::text(value, &what, problems)
                && !formats.contains(&word.value.as_str())
            {
                problems.push(invalid_word("format", &word.value, word.span, &formats));
            }
        }
        _ => {
            if let Some(text) = fields::text(value, &what, problems)
                && text.value.trim().is_empty()
            {
                problems.push(Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("{what} is empty"),
                    text.span,
                ));
            }
        }
    }
}
