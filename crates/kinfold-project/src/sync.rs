//! Connections and syncs as the user writes them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Span};
use crate::located::{Located, Value, ValueKind};
use crate::mapping::{Mapping, MappingTest};
use crate::node::NodeId;
use crate::secret::SecretSource;
use crate::template::{Call, Scope};

/// A configured account at a destination. Options may be credentials, so `Debug` shows their keys only.
#[derive(Clone)]
pub struct Connection {
    /// Its name.
    pub name: Located<String>,
    /// What kind of destination.
    pub kind: Located<ConnectionKind>,
    /// The other keys (`url`, `headers`, `dsn`, `location`, `storage`, …), checked against the kind, Jinja not
    /// yet rendered: `env_var` is read only when a sync runs, so that `check` needs no secret.
    pub options: Vec<(Located<String>, Value)>,
    /// Of [`ConnectionKind::Manifest`]: where its manifest is.
    pub manifest: Option<ManifestSource>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<&str> = self.options.iter().map(|(key, _)| &*key.value).collect();
        f.debug_struct("Connection")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("options", &options)
            .field("manifest", &self.manifest)
            .finish()
    }
}

impl Connection {
    /// Whether an option may be given as a [`SecretSource`]. Entries of `headers` and `storage` may be too.
    pub(crate) fn may_be_secret(kind: ConnectionKind, option: &str) -> bool {
        match kind {
            ConnectionKind::Manifest => !COMMON_OPTIONS.contains(&option),
            _ => matches!(
                option,
                "url" | "dsn" | "user" | "password" | "token" | "ssh"
            ),
        }
    }

    /// The options that come from files and commands, by the place of the mapping that says so, with their templates
    /// filled in. Nothing is opened.
    ///
    /// # Errors
    /// A diagnostic at the first that cannot be filled in.
    pub fn secret_sources(
        &self,
        scope: &Scope<'_>,
    ) -> Result<Vec<(Span, SecretSource)>, Box<Diagnostic>> {
        let mut sources: Vec<(Span, SecretSource)> = vec![];
        let mut add = |value: &Value| -> Result<(), Box<Diagnostic>> {
            if let Some(source) = SecretSource::of(value) {
                // An alias stands at the same place and is the same secret.
                if !sources.iter().any(|(span, _)| *span == value.span) {
                    sources.push((value.span, source?.render(scope)?));
                }
            }
            Ok(())
        };
        for (option, value) in &self.options {
            match (&*option.value, &value.kind) {
                ("headers" | "storage", ValueKind::Map(entries))
                    if self.kind.value != ConnectionKind::Manifest =>
                {
                    entries.iter().try_for_each(|(_, value)| add(value))?;
                }
                (name, _) if Self::may_be_secret(self.kind.value, name) => add(value)?,
                _ => {}
            }
        }
        Ok(sources)
    }

    /// The word of its kind as the project has it.
    #[must_use]
    pub fn kind_name(&self) -> &str {
        match &self.manifest {
            Some(ManifestSource::Shipped(name) | ManifestSource::Folder { name, .. }) => name,
            None => self.kind.value.as_str(),
        }
    }
}

/// Options of every connection to a destination that a manifest describes; the others are its parameters.
pub const COMMON_OPTIONS: [&str; 5] = [
    "timeout_seconds",
    "batch_size",
    "max_concurrency",
    "requests_per_second",
    "rows_per_second",
];

/// Where the manifest of a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestSource {
    /// In the program, under this name.
    Shipped(String),
    /// In a folder of the project, which is stronger than one of the program.
    Folder {
        /// The name of the folder.
        name: String,
        /// Where it is.
        path: PathBuf,
    },
}

/// The built-in destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// Batches of JSON, sent by POST.
    Http,
    /// A PostgreSQL database.
    Postgres,
    /// A MySQL or MariaDB database.
    MySql,
    /// Mails.
    Smtp,
    /// Messages in a stream of NATS JetStream.
    Nats,
    /// Files in a folder or an object store.
    Files,
    /// Whatever a manifest describes.
    Manifest,
}

/// How a sync changes its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncMode {
    /// Adds rows, never changes one.
    Insert,
    /// Changes rows that exist.
    Update,
    /// Adds or changes.
    Upsert,
    /// Adds, changes and removes what it once delivered.
    Mirror,
    /// Sends every new row once, as an event.
    Append,
}

impl ConnectionKind {
    /// Every kind that is a word of its own.
    pub const ALL: [Self; 6] = [
        Self::Http,
        Self::Postgres,
        Self::MySql,
        Self::Smtp,
        Self::Nats,
        Self::Files,
    ];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::Smtp => "smtp",
            Self::Nats => "nats",
            Self::Files => "files",
            Self::Manifest => "manifest",
        }
    }
}

impl ConnectionKind {
    /// Whether a row there has every column, so that a field cannot be left out.
    #[must_use]
    pub fn has_columns(self) -> bool {
        matches!(self, Self::Postgres | Self::MySql)
    }
}

impl SyncMode {
    /// Every mode.
    pub const ALL: [Self; 5] = [
        Self::Insert,
        Self::Update,
        Self::Upsert,
        Self::Mirror,
        Self::Append,
    ];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Mirror => "mirror",
            Self::Append => "append",
        }
    }
}

impl OnLeave {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::Keep, Self::Clear, Self::Delete, Self::LeaveAudience];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Clear => "clear",
            Self::Delete => "delete",
            Self::LeaveAudience => "leave_audience",
        }
    }
}

/// What happens at the destination when a row leaves the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnLeave {
    /// Nothing.
    Keep,
    /// The mapped fields are set to null.
    Clear,
    /// The row is deleted.
    Delete,
    /// The person is removed from the audience.
    LeaveAudience,
}

/// What the first run of a sync does with a destination that may have rows already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FirstRun {
    /// Sends every row.
    #[default]
    Backfill,
    /// Takes every row for delivered and sends nothing.
    Baseline,
    /// Reads the rows from the destination and sends those that differ.
    MatchFirst,
}

impl FirstRun {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Backfill, Self::Baseline, Self::MatchFirst];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backfill => "backfill",
            Self::Baseline => "baseline",
            Self::MatchFirst => "match_first",
        }
    }
}

/// What happens to delivered rows when the mapping changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Resend {
    /// They are sent again.
    All,
    /// They are sent if their mapped values differ.
    #[default]
    Changed,
    /// They are not sent: the new values count as delivered.
    None,
}

impl Resend {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::All, Self::Changed, Self::None];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Changed => "changed",
            Self::None => "none",
        }
    }
}

/// When a refused row is sent again though nothing about it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryWaits {
    /// After the first refusal; each further wait is twice as long.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// After so many refusals it waits for a change or a person.
    pub attempts: u32,
}

impl Default for RetryWaits {
    /// 1 hour, up to a day, ten times.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(3_600),
            longest: Duration::from_secs(86_400),
            attempts: 10,
        }
    }
}

/// Which values the log of a sync keeps. Keys, hashes and outcomes are always kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogPayload {
    /// None.
    #[default]
    Nothing,
    /// All of them.
    Everything,
    /// Those of these fields.
    Fields(Vec<Located<String>>),
}

/// A delivery of a model to an object of a destination.
#[derive(Clone, Debug)]
pub struct Sync {
    /// `sync.<package>.<name>`.
    pub id: NodeId,
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: Located<String>,
    /// The text of `from:`, e.g. `ref('winback')`.
    pub from: Located<String>,
    /// What `from:` names.
    pub input: Reference,
    /// What it is for.
    pub description: Option<Located<String>>,
    /// Name of the connection.
    pub connection: Located<String>,
    /// The object at the destination: a path of the URL, a table, a prefix of files.
    pub object: Located<String>,
    /// The mode.
    pub mode: Located<SyncMode>,
    /// Destination field → SQL expression over the model's columns. At least one.
    pub key: Vec<(Located<String>, Located<String>)>,
    /// What the other fields of the destination get.
    pub mapping: Mapping,
    /// Examples of rows and what is sent for them.
    pub unit_tests: Vec<MappingTest>,
    /// What the data is used for.
    pub purposes: Vec<Located<String>>,
    /// What happens to rows that leave; `Keep` unless the mode is `Mirror`, where it is `Delete`.
    pub on_leave: Located<OnLeave>,
    /// What the first run does.
    pub first_run: FirstRun,
    /// What a change of the mapping does.
    pub resend: Resend,
    /// Limits above which a run is held: `max_removals` (rows or `10%`), `max_changes`; and the share of
    /// refused rows above which it stops: `max_rejected`.
    pub guards: BTreeMap<String, Located<Guard>>,
    /// When a refused row is sent again though nothing about it has changed.
    pub retry: RetryWaits,
    /// Fields of the key: a row that left is removed only if the model still has rows with the same values in
    /// these. All rows that left, if there are none.
    pub mirror_scope: Vec<Located<String>>,
    /// Which of the values that are sent the log keeps.
    pub log_payload: LogPayload,
    /// Rows of one request, if the user sets it.
    pub batch_size: Option<Located<u64>>,
    /// Tags, for selectors.
    pub tags: Vec<Located<String>>,
    /// Whether it takes part in runs.
    pub enabled: bool,
    /// The whole entry.
    pub span: Span,
}

/// What a `ref(…)` or `source(…)` of a YAML value names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// `ref('name')` or `ref('package', 'name')`.
    Model {
        /// The package, if it is named.
        package: Option<String>,
        /// The model, seed or companion relation.
        name: String,
    },
    /// `source('source', 'table')`.
    Source {
        /// The source.
        source: String,
        /// Its table.
        table: String,
    },
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Model {
                package: None,
                name,
            } => write!(f, "ref('{name}')"),
            Self::Model {
                package: Some(package),
                name,
            } => write!(f, "ref('{package}', '{name}')"),
            Self::Source { source, table } => write!(f, "source('{source}', '{table}')"),
        }
    }
}

impl Reference {
    /// Parses `ref('x')`, `ref('p', 'x')` or `source('s', 't')`, with or without `{{ }}` around it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text
            .strip_prefix("{{")
            .and_then(|t| t.strip_suffix("}}"))
            .unwrap_or(text);
        let call = Call::parse(text.trim())?;
        let arguments = call.strings()?;
        match (call.function, arguments.as_slice()) {
            ("ref", [name]) => Some(Self::Model {
                package: None,
                name: name.clone(),
            }),
            ("ref", [package, name]) => Some(Self::Model {
                package: Some(package.clone()),
                name: name.clone(),
            }),
            ("source", [source, table]) => Some(Self::Source {
                source: source.clone(),
                table: table.clone(),
            }),
            _ => None,
        }
    }
}

/// A limit in rows or as a share of the acknowledged rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guard {
    /// At most so many rows.
    Rows(u64),
    /// At most this share, 0 to 1.
    Share(f64),
}
