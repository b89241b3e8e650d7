//! The configuration of a node, from all its layers.

use std::collections::BTreeMap;

use kinfold_project::{
    Diagnostic, IDENTITY_KEYS, IdentityRules, LINKAGE_KEYS, LinkageRules, Located, ResourceType,
    Span, Value, identity_rules, linkage_rules,
};
use serde_json::Value as Json;

use super::codes;
use super::incremental::IncrementalRules;
use super::reference::{closest, suggest};
use super::settings::{Setting, Settings, list};

/// How a node becomes a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Materialization {
    /// A query that is run whenever it is read.
    View,
    /// A table that is rebuilt.
    Table,
    /// A table made of a CSV file.
    Seed,
    /// A table to which new rows are added.
    Incremental,
    /// A query that is put into its readers.
    Ephemeral,
    /// A table that keeps the history of its rows.
    Snapshot,
    /// Pairs of records that may be of one person, with the weight of the evidence.
    Linkage,
    /// Identifiers, resolved to canonical ids.
    Identity,
    /// One row per person or account.
    Profile,
    /// The people who meet a condition.
    Segment,
}

impl Materialization {
    /// Every materialization that a model may have.
    pub const OF_MODELS: [Self; 9] = [
        Self::View,
        Self::Table,
        Self::Incremental,
        Self::Ephemeral,
        Self::Snapshot,
        Self::Linkage,
        Self::Identity,
        Self::Profile,
        Self::Segment,
    ];

    /// The word in `config(materialized=…)`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Table => "table",
            Self::Seed => "seed",
            Self::Incremental => "incremental",
            Self::Ephemeral => "ephemeral",
            Self::Snapshot => "snapshot",
            Self::Linkage => "linkage",
            Self::Identity => "identity",
            Self::Profile => "profile",
            Self::Segment => "segment",
        }
    }

    /// What it publishes beside the relation itself: the part of the name after `__`.
    #[must_use]
    pub fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Linkage => &["links"],
            Self::Identity => &[
                "records", "edges", "changes", "alarms", "history", "aliases",
            ],
            Self::Profile => &["history", "provenance"],
            Self::Segment => &["history"],
            _ => &[],
        }
    }
}

/// What a failing data test does to the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TestSeverity {
    /// It fails.
    #[default]
    Error,
    /// It goes on.
    Warn,
}

/// How strictly a node is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Analysis {
    /// A problem of its SQL is an error.
    #[default]
    Strict,
    /// A problem of its SQL is a warning; the node is left out, and what reads it.
    Warn,
    /// Its SQL is not looked at; the node is left out, and what reads it.
    Off,
}

/// The configuration of a node: in-file `config(…)` over properties file over project tree.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// How it becomes a relation. `View` for tests and sources.
    pub materialized: Located<Materialization>,
    /// The schema as configured, before it became part of the relation.
    pub schema: Option<Located<String>>,
    /// The name of the relation, if not the node's.
    pub alias: Option<Located<String>>,
    /// Tags of all layers, sorted, each once.
    pub tags: Vec<String>,
    /// Whether the node takes part.
    pub enabled: bool,
    /// The entity of identities, profiles and segments (`person`).
    pub entity: Option<Located<String>>,
    /// How strictly its SQL is checked.
    pub analysis: Analysis,
    /// Tests: what a failure means.
    pub severity: TestSeverity,
    /// Tests: the condition on the number of failures that makes an error, `!= 0` unless set.
    pub error_if: Located<String>,
    /// Tests: the condition on the number of failures that makes a warning, `!= 0` unless set.
    pub warn_if: Located<String>,
    /// Tests: how many failing rows are read at most.
    pub limit: Option<Located<u64>>,
    /// Tests: a condition that rows of the tested relation must meet (`where:`).
    pub filter: Option<Located<String>>,
    /// Tests: the expression over the failing rows that counts failures, `count(*)` unless set.
    pub fail_calc: Located<String>,
    /// Tests: whether failing rows are kept.
    pub store_failures: bool,
    /// Seeds: SQL types of columns.
    pub column_types: BTreeMap<String, Located<String>>,
    /// Seeds: the separator, one byte.
    pub delimiter: Option<Located<u8>>,
    /// Seeds: whether the names of columns keep their case.
    pub quote_columns: bool,
    /// Identities: the rules of their identifiers.
    pub identity: IdentityRules,
    /// Linkages: which records are compared, and how. `None` for other models, and if it cannot be read.
    pub linkage: Option<LinkageRules>,
    /// How an incremental model grows. `None` for other models.
    pub incremental: Option<Box<IncrementalRules>>,
    /// `meta` of all layers, merged.
    pub meta: serde_json::Map<String, Json>,
    /// Every other key.
    pub extra: BTreeMap<String, Located<Json>>,
    /// Where each key was set, for diagnostics.
    pub places: BTreeMap<String, Span>,
}

/// Reads the merged layers of a node. `place` stands for what is nowhere set.
pub(super) fn read(
    settings: Settings,
    resource: ResourceType,
    place: Span,
) -> (NodeConfig, Vec<Diagnostic>) {
    let mut reader = Reader {
        places: settings
            .0
            .iter()
            .map(|(k, s)| (k.clone(), s.span))
            .collect(),
        settings: settings.0,
        place,
        diagnostics: vec![],
    };
    let config = reader.config(resource);
    (config, reader.diagnostics)
}

pub(super) struct Reader {
    settings: BTreeMap<String, Setting>,
    places: BTreeMap<String, Span>,
    place: Span,
    diagnostics: Vec<Diagnostic>,
}

/// Statements that are not rendered: those around a model do not run, and one about the age of a source is read
/// by the loader.
pub(super) const NOT_RENDERED: [&str; 5] = [
    "pre-hook",
    "pre_hook",
    "post-hook",
    "post_hook",
    "loaded_at_query",
];

/// Configurations of dbt that change what a node does or who may read it, and that have no effect here.
const WITHOUT_EFFECT: [(&str, &str); 9] = [
    ("pre-hook", "hooks do not run"),
    ("pre_hook", "hooks do not run"),
    ("post-hook", "hooks do not run"),
    ("post_hook", "hooks do not run"),
    ("sql_header", "no statement runs before a model"),
    ("grants", "access is what the storage allows"),
    ("contract", "only models have contracts"),
    ("store_failures", "failing rows are not stored yet"),
    ("store_failures_as", "failing rows are not stored yet"),
];

impl Reader {
    /// Says so where a configuration has no effect.
    fn without_effect(&mut self, resource: ResourceType) {
        for (key, why) in WITHOUT_EFFECT {
            if key == "contract" && resource == ResourceType::Model {
                continue;
            }
            let Some(setting) = self.settings.get(key) else {
                continue;
            };
            let asked = match &setting.value {
                Json::Null | Json::Bool(false) => false,
                Json::Array(items) => !items.is_empty(),
                Json::Object(contract) if key == "contract" => {
                    contract.get("enforced") == Some(&Json::Bool(true))
                }
                Json::Object(entries) => !entries.is_empty(),
                Json::String(text) => !text.trim().is_empty(),
                _ => true,
            };
            if asked {
                self.diagnostics.push(Diagnostic::warning(
                    codes::CONFIG_WITHOUT_EFFECT,
                    format!("`{key}` has no effect: {why}"),
                    setting.span,
                ));
            }
        }
    }

    fn config(&mut self, resource: ResourceType) -> NodeConfig {
        self.without_effect(resource);
        let test = resource == ResourceType::Test;
        let materialized = match resource {
            ResourceType::Model => self.materialized(),
            ResourceType::Seed => Located::new(Materialization::Seed, self.place),
            _ => Located::new(Materialization::View, self.place),
        };
        let conditions = |reader: &mut Self, key: &str, default: &str| {
            reader
                .text(key)
                .unwrap_or_else(|| Located::new(default.to_owned(), reader.place))
        };
        let identity = self.identity(materialized.value);
        let linkage = self.linkage(&materialized);
        let incremental = self.incremental(&materialized).map(Box::new);
        NodeConfig {
            identity,
            linkage,
            incremental,
            materialized,
            schema: self.text("schema"),
            alias: self.text("alias"),
            tags: self.tags(),
            enabled: self.flag("enabled", true),
            entity: self.text("entity"),
            analysis: self.analysis(),
            severity: if test {
                self.severity()
            } else {
                TestSeverity::Error
            },
            error_if: conditions(self, "error_if", "!= 0"),
            warn_if: conditions(self, "warn_if", "!= 0"),
            limit: if test { self.limit() } else { None },
            filter: self.text("where"),
            fail_calc: conditions(self, "fail_calc", "count(*)"),
            store_failures: self.flag("store_failures", false),
            column_types: self.column_types(),
            delimiter: self.delimiter(),
            quote_columns: self.flag("quote_columns", false),
            meta: self.meta(),
            extra: std::mem::take(&mut self.settings)
                .into_iter()
                .map(|(key, setting)| (key, Located::new(setting.value, setting.span)))
                .collect(),
            places: std::mem::take(&mut self.places),
        }
    }

    fn identity(&mut self, materialized: Materialization) -> IdentityRules {
        if materialized != Materialization::Identity {
            return IdentityRules::default();
        }
        let (rules, problems) = identity_rules(&self.placed(&IDENTITY_KEYS));
        self.diagnostics.extend(problems);
        rules
    }

    fn linkage(&mut self, materialized: &Located<Materialization>) -> Option<LinkageRules> {
        if materialized.value != Materialization::Linkage {
            return None;
        }
        let (rules, problems) = linkage_rules(&self.placed(&LINKAGE_KEYS), materialized.span);
        self.diagnostics.extend(problems);
        rules
    }

    /// Keys that are read part by part. They stay among the others too, since they are part of what the node means.
    fn placed(&self, keys: &[&str]) -> Vec<(Located<String>, Value)> {
        let found = keys.iter().filter_map(|key| {
            let setting = self.settings.get(*key)?;
            let name = Located::new((*key).to_owned(), setting.span);
            Some((name, setting.placed.clone()?))
        });
        found.collect()
    }

    /// A key that stays among the others.
    pub(super) fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key).filter(|s| !s.value.is_null())
    }

    pub(super) fn report(&mut self, problem: Diagnostic) {
        self.diagnostics.push(problem);
    }

    pub(super) fn refuse(&mut self, message: &str, span: Span) {
        self.report(Diagnostic::error(codes::INVALID_CONFIG, message, span));
    }

    pub(super) fn warn(&mut self, message: &str, span: Span) {
        let code = codes::CONFIG_WITHOUT_EFFECT;
        self.report(Diagnostic::warning(code, message, span));
    }

    fn take(&mut self, key: &str) -> Option<Setting> {
        self.settings.remove(key).filter(|s| !s.value.is_null())
    }

    fn wrong(&mut self, key: &str, wanted: &str, span: Span) {
        self.diagnostics.push(Diagnostic::error(
            codes::INVALID_CONFIG,
            format!("`{key}` must be {wanted}"),
            span,
        ));
    }

    fn text(&mut self, key: &str) -> Option<Located<String>> {
        let setting = self.take(key)?;
        match setting.value {
            Json::String(text) => Some(Located::new(text, setting.span)),
            Json::Number(number) => Some(Located::new(number.to_string(), setting.span)),
            _ => {
                self.wrong(key, "text", setting.span);
                None
            }
        }
    }

    fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(setting) = self.take(key) else {
            return default;
        };
        match &setting.value {
            Json::Bool(flag) => *flag,
            Json::String(text) if text.eq_ignore_ascii_case("true") => true,
            Json::String(text) if text.eq_ignore_ascii_case("false") => false,
            _ => {
                self.wrong(key, "`true` or `false`", setting.span);
                default
            }
        }
    }

    fn materialized(&mut self) -> Located<Materialization> {
        let Some(word) = self.text("materialized") else {
            return Located::new(Materialization::View, self.place);
        };
        let known = Materialization::OF_MODELS;
        if let Some(found) = known.iter().find(|m| m.as_str() == word.value) {
            return Located::new(*found, word.span);
        }
        let error = Diagnostic::error(
            codes::UNKNOWN_MATERIALIZATION,
            format!("there is no materialization `{}`", word.value),
            word.span,
        );
        let names = known.iter().map(|m| m.as_str());
        self.diagnostics
            .push(if closest(&word.value, names.clone()).is_some() {
                suggest(error, &word.value, names)
            } else {
                let all: Vec<String> = names.map(|name| format!("`{name}`")).collect();
                error.with_help(format!("there are {}", all.join(", ")))
            });
        Located::new(Materialization::View, word.span)
    }

    /// `analysis`, or dbt's word for it.
    fn analysis(&mut self) -> Analysis {
        let (own, of_dbt) = (self.take("analysis"), self.take("static_analysis"));
        let Some(Setting { value, span, .. }) = own.or(of_dbt) else {
            return Analysis::Strict;
        };
        match &value {
            // For some readers of YAML `on` and `off` are these.
            Json::Bool(true) => return Analysis::Strict,
            Json::Bool(false) => return Analysis::Off,
            Json::String(word) => match word.as_str() {
                "strict" | "on" => return Analysis::Strict,
                "warn" | "baseline" | "unsafe" => return Analysis::Warn,
                "off" => return Analysis::Off,
                _ => {}
            },
            _ => {}
        }
        self.wrong("analysis", "`strict`, `warn` or `off`", span);
        Analysis::Strict
    }

    fn tags(&mut self) -> Vec<String> {
        let Some(setting) = self.take("tags") else {
            return vec![];
        };
        let mut tags = Vec::new();
        for tag in list(setting.value) {
            match tag {
                Json::String(tag) => tags.push(tag),
                _ => self.wrong("tags", "a list of text", setting.span),
            }
        }
        tags.sort();
        tags.dedup();
        tags
    }

    fn severity(&mut self) -> TestSeverity {
        let Some(word) = self.text("severity") else {
            return TestSeverity::Error;
        };
        match word.value.to_lowercase().as_str() {
            "error" => TestSeverity::Error,
            "warn" => TestSeverity::Warn,
            _ => {
                self.wrong("severity", "`error` or `warn`", word.span);
                TestSeverity::Error
            }
        }
    }

    fn limit(&mut self) -> Option<Located<u64>> {
        let setting = self.take("limit")?;
        let number = match &setting.value {
            Json::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        };
        if number.is_none() {
            self.wrong("limit", "a whole number", setting.span);
        }
        Some(Located::new(number?, setting.span))
    }

    fn column_types(&mut self) -> BTreeMap<String, Located<String>> {
        let Some(setting) = self.take("column_types") else {
            return BTreeMap::new();
        };
        let Json::Object(entries) = setting.value else {
            self.wrong(
                "column_types",
                "a mapping from columns to types",
                setting.span,
            );
            return BTreeMap::new();
        };
        let mut types = BTreeMap::new();
        for (column, value) in entries {
            match value {
                Json::String(text) => {
                    types.insert(column, Located::new(text, setting.span));
                }
                _ => self.wrong(
                    "column_types",
                    "a mapping from columns to types",
                    setting.span,
                ),
            }
        }
        types
    }

    fn delimiter(&mut self) -> Option<Located<u8>> {
        let text = self.text("delimiter")?;
        match text.value.as_bytes() {
            [byte] if byte.is_ascii() => Some(Located::new(*byte, text.span)),
            _ if text.value == "\\t" => Some(Located::new(b'\t', text.span)),
            _ => {
                self.wrong("delimiter", "one ASCII character", text.span);
                None
            }
        }
    }

    fn meta(&mut self) -> serde_json::Map<String, Json> {
        match self.take("meta") {
            Some(Setting {
                value: Json::Object(meta),
                ..
            }) => meta,
            Some(setting) => {
                self.wrong("meta", "a mapping", setting.span);
                serde_json::Map::new()
            }
            None => serde_json::Map::new(),
        }
    }
}
