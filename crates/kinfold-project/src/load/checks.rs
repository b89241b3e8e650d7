//! Checks across files: names that are taken, and names that nothing has.

use std::collections::{HashMap, HashSet};

use crate::codes;
use crate::diagnostic::{Diagnostic, FileId, Span};
use crate::exposure::Exposure;
use crate::located::{Located, ValueKind};
use crate::mapping::Nulls;
use crate::model::{GenericTest, MacroKind, Project};
use crate::suggest;
use crate::sync::{ConnectionKind, OnLeave, Reference, SyncMode};

use super::schedules;
use super::syncs::Declared;

/// The generic tests that need no package.
const BUILT_IN_TESTS: &[&str] = &["unique", "not_null", "accepted_values", "relationships"];

/// Tests of packages that work also without these.
const TESTS_OF_PACKAGES: &[&str] = &[
    "dbt_utils.accepted_range",
    "dbt_utils.at_least_one",
    "dbt_utils.cardinality_equality",
    "dbt_utils.equal_rowcount",
    "dbt_utils.equality",
    "dbt_utils.expression_is_true",
    "dbt_utils.fewer_rows_than",
    "dbt_utils.mutually_exclusive_ranges",
    "dbt_utils.not_accepted_values",
    "dbt_utils.not_constant",
    "dbt_utils.not_empty_string",
    "dbt_utils.not_null_proportion",
    "dbt_utils.recency",
    "dbt_utils.relationships_where",
    "dbt_utils.sequential_values",
    "dbt_utils.unique_combination_of_columns",
    "dbt_expectations.expect_column_distinct_count_to_equal",
    "dbt_expectations.expect_column_max_to_be_between",
    "dbt_expectations.expect_column_mean_to_be_between",
    "dbt_expectations.expect_column_min_to_be_between",
    "dbt_expectations.expect_column_pair_values_A_to_be_greater_than_B",
    "dbt_expectations.expect_column_sum_to_be_between",
    "dbt_expectations.expect_column_to_exist",
    "dbt_expectations.expect_column_unique_value_count_to_be_between",
    "dbt_expectations.expect_column_value_lengths_to_be_between",
    "dbt_expectations.expect_column_value_lengths_to_equal",
    "dbt_expectations.expect_column_values_to_be_between",
    "dbt_expectations.expect_column_values_to_be_in_set",
    "dbt_expectations.expect_column_values_to_be_null",
    "dbt_expectations.expect_column_values_to_be_unique",
    "dbt_expectations.expect_column_values_to_match_like_pattern",
    "dbt_expectations.expect_column_values_to_match_regex",
    "dbt_expectations.expect_column_values_to_not_be_in_set",
    "dbt_expectations.expect_column_values_to_not_be_null",
    "dbt_expectations.expect_column_values_to_not_match_like_pattern",
    "dbt_expectations.expect_column_values_to_not_match_regex",
    "dbt_expectations.expect_compound_columns_to_be_unique",
    "dbt_expectations.expect_row_values_to_have_recent_data",
    "dbt_expectations.expect_table_row_count_to_be_between",
    "dbt_expectations.expect_table_row_count_to_equal",
    "dbt_expectations.expect_table_row_count_to_equal_other_table",
    "dbt_expectations.expression_is_true",
];

/// The data tests that come with kinfold: dbt's by their names, others as `package.name`.
#[must_use]
pub fn built_in_tests() -> Vec<&'static str> {
    [BUILT_IN_TESTS, TESTS_OF_PACKAGES].concat()
}

/// What the names of companion relations of kinfold's materializations end with.
const COMPANIONS: &[&str] = &[
    "records",
    "edges",
    "changes",
    "alarms",
    "aliases",
    "links",
    "history",
    "provenance",
];

/// What files declare, with the mistakes that keep it out of the project.
#[derive(Default)]
pub(super) struct Declarations {
    pub(super) syncs: Vec<Declared>,
    /// Names of connections.
    pub(super) connections: Vec<String>,
}

/// Runs all checks.
pub(super) fn run(project: &Project, declared: &Declarations, problems: &mut Vec<Diagnostic>) {
    let names = Names::of(project);
    empty(project, problems);
    duplicate_nodes(project, problems);
    duplicate_sources(project, problems);
    duplicate_tests(project, problems);
    left_out(project, problems);
    for test in &project.generic_tests {
        known_test(test, project, problems);
        for (_, value) in &test.arguments {
            if let ValueKind::String(text) = &value.kind
                && let Some(reference) = Reference::parse(text)
            {
                names.check(&reference, value.span, problems);
            }
        }
    }
    for exposure in &project.exposures {
        for input in &exposure.depends_on {
            names.check(&input.value, input.span, problems);
        }
        same_id(exposure, project, problems);
    }
    for sync in &declared.syncs {
        if let (Some(input), Some(from)) = (&sync.input, &sync.from) {
            names.check(input, from.span, problems);
        }
        if let Some(name) = &sync.connection {
            connection(name, sync, project, declared, problems);
        }
        purposes(sync, project, problems);
    }
    let syncs: Vec<_> = declared
        .syncs
        .iter()
        .filter_map(|sync| sync.name.as_ref())
        .collect();
    schedules::check(&project.schedules, &syncs, problems);
}

/// Everything that `ref` and `source` can name.
struct Names<'p> {
    models: HashSet<&'p str>,
    by_package: HashSet<(&'p str, &'p str)>,
    packages: Vec<&'p str>,
    sources: HashMap<&'p str, HashSet<&'p str>>,
}

impl<'p> Names<'p> {
    fn of(project: &'p Project) -> Self {
        let nodes = || {
            let models = project.models.iter().map(|n| (&n.package, &n.name));
            let seeds = project.seeds.iter().map(|n| (&n.package, &n.name));
            models.chain(seeds)
        };
        let mut sources: HashMap<&str, HashSet<&str>> = HashMap::new();
        for source in &project.sources {
            sources
                .entry(&source.source.value)
                .or_default()
                .insert(&source.table.value);
        }
        Self {
            models: nodes().map(|(_, name)| name.as_str()).collect(),
            by_package: nodes().map(|(p, n)| (p.as_str(), n.as_str())).collect(),
            packages: project.packages.iter().map(|p| p.name.as_str()).collect(),
            sources,
        }
    }

    fn has_model(&self, package: Option<&str>, name: &str) -> bool {
        let has = |name: &str| match package {
            Some(package) => self.by_package.contains(&(package, name)),
            None => self.models.contains(name),
        };
        has(name)
            || name
                .rsplit_once("__")
                .is_some_and(|(model, companion)| COMPANIONS.contains(&companion) && has(model))
    }

    fn check(&self, reference: &Reference, span: Span, problems: &mut Vec<Diagnostic>) {
        let (message, help) = match reference {
            Reference::Model { package, name } => {
                if self.has_model(package.as_deref(), name) {
                    return;
                }
                match package {
                    Some(package) if !self.packages.contains(&package.as_str()) => (
                        format!("there is no package `{package}`"),
                        suggest::did_you_mean(package, self.packages.iter().copied()),
                    ),
                    Some(package) => (
                        format!("there is no model or seed `{name}` in the package `{package}`"),
                        self.nearest_model(name),
                    ),
                    None => (
                        format!("there is no model or seed `{name}`"),
                        self.nearest_model(name),
                    ),
                }
            }
            Reference::Source { source, table } => match self.sources.get(source.as_str()) {
                Some(tables) if tables.contains(table.as_str()) => return,
                Some(tables) => (
                    format!("the source `{source}` has no table `{table}`"),
                    suggest::did_you_mean(table, sorted(tables.iter().copied())),
                ),
                None => (
                    format!("there is no source `{source}`"),
                    suggest::did_you_mean(source, sorted(self.sources.keys().copied())),
                ),
            },
        };
        let diagnostic = Diagnostic::error(codes::UNKNOWN_REFERENCE, message, span);
        problems.push(match help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        });
    }

    fn nearest_model(&self, name: &str) -> Option<String> {
        suggest::did_you_mean(name, sorted(self.models.iter().copied()))
    }
}

/// In an order that does not change from run to run.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

/// Tells an exposure of the name of another one, or of a sync, which is an exposure in `manifest.json`.
fn same_id(exposure: &Exposure, project: &Project, problems: &mut Vec<Diagnostic>) {
    let name = &exposure.name;
    let same = |package: &str, other: &str| package == exposure.package && other == name.value;
    let mut before = project.exposures.iter();
    let before = before
        .find(|other| same(&other.package, &other.name.value) && other.name.span < name.span)
        .map(|other| other.name.span);
    let mut syncs = project.syncs.iter();
    let sync = syncs
        .find(|sync| same(&sync.package, &sync.name.value))
        .map(|sync| sync.name.span);
    if let Some(first) = before.or(sync) {
        let message = format!("`{}` is described twice", exposure.name.value);
        problems.push(
            Diagnostic::error(codes::DUPLICATE_NAME, message, exposure.name.span)
                .with_related(first, "the other one")
                .with_help("exposures and syncs have different names"),
        );
    }
}

fn empty(project: &Project, problems: &mut Vec<Diagnostic>) {
    if project.models.is_empty() && project.seeds.is_empty() && project.sources.is_empty() {
        let file = project.packages.first().map_or(FileId(0), |p| p.file);
        problems.push(
            Diagnostic::warning(
                codes::EMPTY_PROJECT,
                "the project has no model, seed or source",
                Span::new(file, 0, 0),
            )
            .with_help("put SQL files below `models/`, or see `model-paths`"),
        );
    }
}

/// Models and seeds share one set of names in a package.
fn duplicate_nodes(project: &Project, problems: &mut Vec<Diagnostic>) {
    let models = project
        .models
        .iter()
        .map(|n| (&n.package, &n.name, Some(n.file)));
    let seeds = project.seeds.iter().map(|n| (&n.package, &n.name, None));
    let mut seen: HashMap<(&str, &str), (Option<FileId>, String)> = HashMap::new();
    let place = |file: Option<FileId>, name: &str| match file {
        Some(file) => project.files.path(file).display().to_string(),
        None => format!("{name}.csv"),
    };
    for (package, name, file) in models.chain(seeds) {
        let here = place(file, name);
        match seen.get(&(package.as_str(), name.as_str())) {
            None => {
                seen.insert((package, name), (file, here));
            }
            Some((first, there)) => {
                let message = format!("`{name}` is the name of both `{there}` and `{here}`");
                let mut diagnostic = match file.or(*first) {
                    Some(file) => {
                        Diagnostic::error(codes::DUPLICATE_NAME, message, Span::new(file, 0, 0))
                    }
                    None => Diagnostic::error_nowhere(codes::DUPLICATE_NAME, message),
                };
                if let (Some(first), Some(_)) = (first, file) {
                    diagnostic = diagnostic.with_related(Span::new(*first, 0, 0), "the other one");
                }
                problems.push(
                    diagnostic.with_help("rename one: models and seeds share one set of names"),
                );
            }
        }
    }
}

fn duplicate_sources(project: &Project, problems: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, &Located<String>> = HashMap::new();
    for source in &project.sources {
        if let Some(first) = seen.insert(source.id.as_str(), &source.table) {
            problems.push(
                Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!(
                        "there are two tables `{}` in the source `{}`",
                        source.table.value, source.source.value
                    ),
                    source.table.span,
                )
                .with_related(first.span, "the other one"),
            );
        }
    }
}

fn duplicate_tests(project: &Project, problems: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for test in &project.generic_tests {
        let Some(first) = seen.insert(test.id.as_str(), test.test.span) else {
            continue;
        };
        problems.push(
            Diagnostic::error(
                codes::DUPLICATE_NAME,
                format!("there are two tests `{}`", test.name),
                test.test.span,
            )
            .with_related(first, "the other one")
            .with_help("remove one, or give one of them a `name:`"),
        );
    }
    let mut files: HashMap<&str, FileId> = HashMap::new();
    for test in &project.singular_tests {
        if let Some(first) = files.insert(test.id.as_str(), test.file) {
            problems.push(
                Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!("there are two test files `{}`", test.name),
                    Span::new(test.file, 0, 0),
                )
                .with_related(Span::new(first, 0, 0), "the other one"),
            );
        }
    }
}

fn known_test(test: &GenericTest, project: &Project, problems: &mut Vec<Diagnostic>) {
    let (namespace, name) = match test.test.value.split_once('.') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, test.test.value.as_str()),
    };
    if TESTS_OF_PACKAGES.contains(&test.test.value.as_str()) {
        return;
    }
    if let Some(namespace) = namespace
        && namespace != "dbt"
        && !project.packages.iter().any(|p| p.name == namespace)
    {
        let packages = project.packages.iter().map(|p| p.name.as_str());
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_TEST,
            format!("there is no package `{namespace}` to take the test `{name}` from"),
            test.test.span,
        );
        let ours = TESTS_OF_PACKAGES.iter().copied();
        let close = suggest::did_you_mean(&test.test.value, ours)
            .or_else(|| suggest::did_you_mean(namespace, packages));
        problems.push(match close {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic.with_help("add it to `packages:` of `kinfold.yml`"),
        });
        return;
    }
    if BUILT_IN_TESTS.contains(&name) && namespace.is_none_or(|namespace| namespace == "dbt") {
        return;
    }
    // A macro `test_x` is the older way to write a test `x`.
    let defined = project.macros.iter().filter_map(|m| {
        let name = match m.kind {
            MacroKind::Test => Some(m.name.value.as_str()),
            MacroKind::Macro => m.name.value.strip_prefix("test_"),
        };
        let visible = match namespace {
            Some(namespace) => m.package == namespace,
            None => true,
        };
        name.filter(|_| visible)
    });
    let defined: Vec<&str> = defined.collect();
    if defined.contains(&name) {
        return;
    }
    let known = defined.iter().chain(BUILT_IN_TESTS).copied();
    let diagnostic = Diagnostic::error(
        codes::UNKNOWN_TEST,
        format!("there is no test `{}`", test.test.value),
        test.test.span,
    );
    problems.push(match suggest::did_you_mean(name, known) {
        Some(help) => diagnostic.with_help(help),
        None => diagnostic.with_help(format!(
            "built in are {}; define others with `{{% test {name}(model) %}}`",
            suggest::one_of(BUILT_IN_TESTS.iter().copied())
        )),
    });
}

fn connection(
    name: &Located<String>,
    sync: &Declared,
    project: &Project,
    declared: &Declarations,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(connection) = project
        .connections
        .iter()
        .find(|connection| connection.name.value == name.value)
    else {
        if declared.connections.contains(&name.value) {
            return;
        }
        let names = declared.connections.iter().map(String::as_str);
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_CONNECTION,
            format!("there is no connection `{}`", name.value),
            name.span,
        );
        problems.push(match suggest::did_you_mean(&name.value, names) {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic.with_help("declare it in a file below `connections/`"),
        });
        return;
    };
    let kind = connection.kind.value;
    if let Some(mode) = &sync.mode
        && !supports_mode(kind, mode.value)
    {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SYNC,
                format!(
                    "a destination of the kind `{}` cannot do `mode: {}`",
                    kind.as_str(),
                    mode.value.as_str()
                ),
                mode.span,
            )
            .with_related(connection.kind.span, "the kind")
            .with_help(format!(
                "it can do {}",
                suggest::one_of(
                    SyncMode::ALL
                        .into_iter()
                        .filter(|mode| supports_mode(kind, *mode))
                        .map(SyncMode::as_str)
                )
            )),
        );
    } else if let Some(rule) = &sync.on_leave
        && !supports_on_leave(kind, rule.value)
    {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SYNC,
                format!(
                    "a destination of the kind `{}` cannot do `on_leave: {}`",
                    kind.as_str(),
                    rule.value.as_str()
                ),
                rule.span,
            )
            .with_related(connection.kind.span, "the kind"),
        );
    }
}

/// What each kind of destination can carry out. An event that is sent twice would be two rows of a
/// table, a file cannot be changed once it is written, and neither can a mail. A message says what is so
/// now, or what happened; that something must not or must exist cannot be said to a stream.
fn supports_mode(kind: ConnectionKind, mode: SyncMode) -> bool {
    match kind {
        // What a manifest can do, only the manifest knows.
        ConnectionKind::Http | ConnectionKind::MySql | ConnectionKind::Manifest => true,
        ConnectionKind::Smtp => mode == SyncMode::Append,
        ConnectionKind::Nats => {
            matches!(mode, SyncMode::Append | SyncMode::Upsert | SyncMode::Mirror)
        }
        ConnectionKind::Postgres => mode != SyncMode::Append,
        ConnectionKind::Files => mode != SyncMode::Update,
    }
}

fn supports_on_leave(kind: ConnectionKind, rule: OnLeave) -> bool {
    match (kind, rule) {
        (_, OnLeave::Keep | OnLeave::Delete)
        | (ConnectionKind::Http | ConnectionKind::Manifest, _) => true,
        (ConnectionKind::Postgres | ConnectionKind::MySql, rule) => rule == OnLeave::Clear,
        (ConnectionKind::Files | ConnectionKind::Smtp | ConnectionKind::Nats, _) => false,
    }
}

/// A row of a table has every column: leaving a field out would set it to null all the same.
fn left_out(project: &Project, problems: &mut Vec<Diagnostic>) {
    for sync in &project.syncs {
        let mut connections = project.connections.iter();
        let connection = connections.find(|c| c.name.value == sync.connection.value);
        let Some(connection) = connection.filter(|c| c.kind.value.has_columns()) else {
            continue;
        };
        let fields = sync.mapping.fields.iter();
        let fields = fields.filter(|mapped| mapped.nulls == Nulls::Omit);
        let all = sync.mapping.all.iter();
        let all = all.filter(|all| all.nulls == Some(Nulls::Omit));
        let spans = fields
            .map(|mapped| mapped.field.span)
            .chain(all.map(|all| all.span));
        for span in spans {
            problems.push(
                Diagnostic::error(
                    codes::INVALID_SYNC,
                    format!(
                        "a `{}` destination cannot leave a field out of a row: a row has every column",
                        connection.kind.value.as_str()
                    ),
                    span,
                )
                .with_related(connection.kind.span, "the connection")
                .with_help("use `coalesce` in the expression, or `nulls: null`"),
            );
        }
    }
}

fn purposes(sync: &Declared, project: &Project, problems: &mut Vec<Diagnostic>) {
    let declared = || {
        project
            .purposes
            .iter()
            .map(|purpose| purpose.value.as_str())
    };
    for purpose in &sync.purposes {
        if declared().any(|known| known == purpose.value) {
            continue;
        }
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_PURPOSE,
            format!("the project has no purpose `{}`", purpose.value),
            purpose.span,
        );
        problems.push(match suggest::did_you_mean(&purpose.value, declared()) {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic.with_help("declare it in `purposes:` of `kinfold.yml`"),
        });
    }
    if let Some(name) = &sync.name
        && sync.purposes.is_empty()
        && !project.purposes.is_empty()
    {
        problems.push(
            Diagnostic::error(
                codes::MISSING_PURPOSE,
                format!("the sync `{}` names no purpose", name.value),
                name.span,
            )
            .with_help(format!(
                "add `purposes:` with {}",
                suggest::one_of(declared())
            )),
        );
    }
}
