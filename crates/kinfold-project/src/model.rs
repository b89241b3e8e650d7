//! The typed project: what the loader makes of the user's files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, FileId, SourceMap, Span};
use crate::exposure::{Exposure, Group};
use crate::freshness::Freshness;
use crate::linkage::LinkageParameters;
use crate::located::{Located, Value};
use crate::node::NodeId;
use crate::schedule::{Alert, BuildSchedule, Schedule};
use crate::selector::Selector;
use crate::sync::{Connection, Sync};
use crate::template;
use crate::unit_test::UnitTest;

/// All files under one root, with the packages that it uses.
#[derive(Clone, Debug)]
pub struct Project {
    /// Folder of `kinfold.yml` or `dbt_project.yml`.
    pub root: PathBuf,
    /// Name of the root package.
    pub name: String,
    /// Every file that was read.
    pub files: SourceMap,
    /// The root package first, then the packages in the order of their declaration.
    pub packages: Vec<Package>,
    /// Where the project may run, in the order of the file. Never empty: without a declaration
    /// there is `dev` with the lake `.kinfold/lake`.
    pub environments: Vec<Environment>,
    /// The purposes that syncs may name.
    pub purposes: Vec<Located<String>>,
    /// Models of all packages.
    pub models: Vec<Model>,
    /// Seeds of all packages.
    pub seeds: Vec<Seed>,
    /// Tables of sources of all packages.
    pub sources: Vec<Source>,
    /// Their columns as they were recorded, of the root package's `sources.lock.yml`.
    pub recorded: BTreeMap<NodeId, RecordedSource>,
    /// Data tests declared in properties files.
    pub generic_tests: Vec<GenericTest>,
    /// Unit tests of models.
    pub unit_tests: Vec<UnitTest>,
    /// Data tests that are SQL files.
    pub singular_tests: Vec<SingularTest>,
    /// Files that define macros, generic tests among them.
    pub macros: Vec<Macro>,
    /// Text of docs blocks: (package, name) → text.
    pub docs: BTreeMap<(String, String), Located<String>>,
    /// What uses models outside of the project.
    pub exposures: Vec<Exposure>,
    /// Who is answerable for models.
    pub groups: Vec<Group>,
    /// Accounts at destinations.
    pub connections: Vec<Connection>,
    /// Deliveries.
    pub syncs: Vec<Sync>,
    /// When a server runs syncs, by their ids; one that is not here runs only if it is asked to.
    pub sync_schedules: BTreeMap<NodeId, Schedule>,
    /// Trained parameters of linkages.
    pub linkage_parameters: Vec<LinkageParameters>,
    /// Builds that a server runs, of the root package.
    pub schedules: Vec<BuildSchedule>,
    /// Whom a server tells about failures, of the root package.
    pub alerts: Vec<Alert>,
    /// Selections with a name, of the root package.
    pub selectors: Vec<Selector>,
}

/// A package: the root project, or one that it imports.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name, the first part of its nodes' ids.
    pub name: String,
    /// Its `vars:`, those of the root for it included, as the file has them (not yet rendered).
    pub vars: Vec<(Located<String>, Value)>,
    /// The file that declares it.
    pub file: FileId,
    /// Its folder; `None` for an embedded package.
    pub root: Option<PathBuf>,
    /// `dispatch:` of its project file: where macros of a namespace are looked for.
    pub dispatch: Vec<Dispatch>,
}

/// Where the macros of a namespace are looked for (`dispatch:` of a project file).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// The namespace that macros are dispatched in, a package's name.
    pub namespace: String,
    /// Packages to look in, the first one first.
    pub search_order: Vec<String>,
}

impl Project {
    /// The environment of this name, declared or of a pattern; without a name the first that is no pattern.
    #[must_use]
    pub fn environment(&self, name: Option<&str>) -> Option<Environment> {
        let all = &self.environments;
        let Some(name) = name else {
            let mut all = all.iter();
            return all
                .find(|e| !Environment::pattern(&e.name.value).1)
                .cloned();
        };
        let named = all.iter().find(|e| e.name.value == name);
        let matching = || {
            let beginning = |environment: &&Environment| {
                let (beginning, is_pattern) = Environment::pattern(&environment.name.value);
                let rest = name.strip_prefix(beginning);
                let matches = is_pattern && rest.is_some_and(Environment::is_name);
                matches.then_some(beginning.len())
            };
            let found = all.iter().filter(|e| beginning(e).is_some());
            found.max_by_key(beginning)
        };
        let named = named.filter(|e| !Environment::pattern(&e.name.value).1);
        let mut environment = named.or_else(matching)?.clone();
        environment.name.value = name.to_owned();
        Some(environment)
    }
}

/// Where a project runs.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name; with a `*` at its end, that of all whose names begin so.
    pub name: Located<String>,
    /// A folder (relative to the project's root) or an `s3://bucket/prefix`, as written: it may
    /// contain `{{ env_var('…') }}`. See [`Environment::resolve`].
    pub lake: Located<String>,
    /// Options of the storage, as written.
    pub storage: StorageTemplate,
    /// Default schema of relations; `main` unless declared.
    pub schema: String,
    /// Whether this environment owns `<lake>/<schema>/`; the others of the same lake write below
    /// `<lake>/_kinfold/env/<name>/`.
    pub owns_lake: bool,
}

impl Environment {
    /// A name without the `*` at its end, and whether there is one: `pr_*` is any environment whose name
    /// begins so.
    #[must_use]
    pub fn pattern(name: &str) -> (&str, bool) {
        match name.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (name, false),
        }
    }

    /// Whether a text can be the name of an environment: letters, digits, `_` and `-`.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        !text.is_empty() && text.bytes().all(good)
    }

    /// The environment with its environment variables filled in. Only the one that is used is
    /// resolved, so that `dev` needs no secret of `prod`.
    ///
    /// # Errors
    /// A diagnostic at the value that names a variable that is not set, or that is not a template.
    pub fn resolve(
        &self,
        environment_variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResolvedEnvironment, Box<Diagnostic>> {
        let scope = template::Scope {
            environment_variable,
            vars: &[],
        };
        let mut storage = BTreeMap::new();
        for (key, value) in &self.storage.0 {
            storage.insert(key.value.clone(), template::render(value, &scope)?);
        }
        Ok(ResolvedEnvironment {
            name: self.name.value.clone(),
            lake: template::render(&self.lake, &scope)?,
            storage: StorageOptions(storage),
            schema: self.schema.clone(),
            owns_lake: self.owns_lake,
        })
    }
}

/// An [`Environment`] ready for use. Holds secrets; `Debug` does not show them.
#[derive(Clone, Debug)]
pub struct ResolvedEnvironment {
    /// Its name.
    pub name: String,
    /// A folder (relative to the project's root) or an `s3://bucket/prefix`.
    pub lake: String,
    /// Options of the storage.
    pub storage: StorageOptions,
    /// Default schema of relations.
    pub schema: String,
    /// As of [`Environment`].
    pub owns_lake: bool,
}

/// Options of an object store as written, with Jinja. `Debug` shows the keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StorageTemplate(pub Vec<(Located<String>, Located<String>)>);

impl std::fmt::Debug for StorageTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(key, _)| &key.value))
            .finish()
    }
}

/// Options of an object store: `region`, `endpoint`, `allow_http`, `access_key_id`,
/// `secret_access_key`, … Values may be secrets, so `Debug` shows the keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StorageOptions(pub BTreeMap<String, String>);

impl std::fmt::Debug for StorageOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// One layer of a node's configuration, with the place of each key. Layers are kept in the order of
/// their precedence, the weakest first: project tree from shallow to deep, then properties file.
/// In-file `config(…)` is known only after rendering and is stronger than all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigLayer {
    /// Keys without their `+`.
    pub entries: Vec<(Located<String>, Value)>,
}

/// A described column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: Located<String>,
    /// What it means; may contain `{{ doc('…') }}`.
    pub description: Option<Located<String>>,
    /// Its declared SQL type.
    pub data_type: Option<Located<String>>,
    /// Everything else under the column (`meta`, `tags`, …) without its tests.
    pub meta: Option<Value>,
}

/// One SQL file that defines one relation.
#[derive(Clone, Debug)]
pub struct Model {
    /// `model.<package>.<name>`.
    pub id: NodeId,
    /// Its package.
    pub package: String,
    /// Its name: the file's name without `.sql`.
    pub name: String,
    /// The file.
    pub file: FileId,
    /// Path below the model folder, as in dbt's `fqn` and selectors: `["staging", "stg_orders"]`.
    pub fqn: Vec<String>,
    /// Configuration outside the file, weakest first.
    pub config: Vec<ConfigLayer>,
    /// The root project's tree for a model of another package, weakest first: stronger than
    /// in-file `config(…)`, as in dbt. Empty for the root's own models.
    pub overrides: Vec<ConfigLayer>,
    /// What it means.
    pub description: Option<Located<String>>,
    /// Its described columns.
    pub columns: Vec<Column>,
    /// Where the properties of this model are, if there are any.
    pub properties: Option<Span>,
}

/// A CSV file of the project.
#[derive(Clone, Debug)]
pub struct Seed {
    /// `seed.<package>.<name>`.
    pub id: NodeId,
    /// Its package.
    pub package: String,
    /// Its name: the file's name without `.csv`.
    pub name: String,
    /// Absolute path. A seed is data: it is not in the [`SourceMap`].
    pub path: PathBuf,
    /// Text of a seed that is not read from its path: it comes with an embedded package, which has none, or the
    /// loader was given it.
    pub embedded: Option<Arc<str>>,
    /// As of a model.
    pub fqn: Vec<String>,
    /// Configuration, weakest first (`column_types`, `delimiter`, `quote_columns`, `schema`, `tags`).
    pub config: Vec<ConfigLayer>,
    /// What it means.
    pub description: Option<Located<String>>,
    /// Its described columns.
    pub columns: Vec<Column>,
}

/// A table of a declared source.
#[derive(Clone, Debug)]
pub struct Source {
    /// `source.<package>.<source>.<table>`.
    pub id: NodeId,
    /// Its package.
    pub package: String,
    /// Name of the source.
    pub source: Located<String>,
    /// Name of the table.
    pub table: Located<String>,
    /// Schema in the lake; the source's name unless declared.
    pub schema: String,
    /// Name of the table in the lake; the table's name unless declared.
    pub identifier: String,
    /// Where the data lies.
    pub location: SourceLocation,
    /// As of a model.
    pub fqn: Vec<String>,
    /// Configuration, weakest first.
    pub config: Vec<ConfigLayer>,
    /// What it means.
    pub description: Option<Located<String>>,
    /// What the whole source means.
    pub source_description: Option<Located<String>>,
    /// How old its rows may be.
    pub freshness: Freshness,
    /// Its described columns, with types where they are declared.
    pub columns: Vec<Column>,
}

/// The columns of a source as they were recorded in `sources.lock.yml`.
#[derive(Clone, Debug)]
pub struct RecordedSource {
    /// Names and types, in their order.
    pub columns: Vec<(Located<String>, Located<String>)>,
    /// The version of a Delta table in which they were first seen.
    pub version: Option<u64>,
    /// Where the source is named.
    pub place: Span,
}

/// What kinfold has written down of its own doings, as rows that models may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Records {
    /// Every run of a sync.
    SyncRuns,
    /// Every row that was sent.
    SyncLog,
    /// What is known of every row of every sync: its last outcome.
    SyncSnapshot,
}

impl Records {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::SyncRuns, Self::SyncLog, Self::SyncSnapshot];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SyncRuns => "sync_runs",
            Self::SyncLog => "sync_log",
            Self::SyncSnapshot => "sync_snapshot",
        }
    }
}

/// Where the rows of a source are.
#[derive(Clone, Debug)]
pub enum SourceLocation {
    /// A Delta table of the lake, at `<lake>/<schema>/<identifier>`.
    Lake,
    /// What kinfold itself has recorded.
    Records(Records),
    /// Files or a Delta table elsewhere.
    External {
        /// A path relative to the project's root, or an `s3://` address; globs allowed for files.
        /// Jinja (`env_var`, `var`) is already rendered.
        location: Located<String>,
        /// How to read them.
        format: SourceFormat,
        /// Options of the storage, the environment's where empty.
        storage: StorageOptions,
    },
}

/// How the files of a source are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFormat {
    /// A Delta table.
    Delta,
    /// Parquet files.
    Parquet,
    /// Comma-separated values (RFC 4180), plain, gzip or zstd by the file's ending.
    Csv {
        /// The separator, one byte.
        delimiter: u8,
        /// Whether the first line names the columns.
        header: bool,
    },
    /// One JSON object per line, plain, gzip or zstd by the file's ending.
    Ndjson,
}

/// What a generic test is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TestTarget {
    /// A model or seed by name.
    Ref(String),
    /// A table of a source.
    Source(String, String),
}

/// A data test from a properties file: `unique`, `not_null`, `accepted_values`, `relationships`, or
/// one that a macro file defines.
#[derive(Clone, Debug)]
pub struct GenericTest {
    /// `test.<package>.<name>.<10 hex digits>`, as dbt computes it.
    pub id: NodeId,
    /// Its package.
    pub package: String,
    /// dbt's name of the test node, e.g. `not_null_orders_order_id`; of any length.
    pub name: String,
    /// dbt's file name of it: the name, or its start and a hash where it is 64 characters or longer.
    pub alias: String,
    /// Folders of the properties file below its resource folder, then the name.
    pub fqn: Vec<String>,
    /// The test's own name, e.g. `not_null` or `dbt_utils.expression_is_true`.
    pub test: Located<String>,
    /// What is tested.
    pub target: TestTarget,
    /// The column, if it is a column's test.
    pub column: Option<Located<String>>,
    /// Whether the column's name keeps its case in SQL (`quote: true`).
    pub quotes_column: bool,
    /// What it means.
    pub description: Option<Located<String>>,
    /// Arguments without `config`, text not yet rendered (`to: ref('customers')`).
    pub arguments: Vec<(Located<String>, Value)>,
    /// `severity`, `where`, `limit`, `tags`, …, weakest first.
    pub config: Vec<ConfigLayer>,
}

impl GenericTest {
    /// The column as the test's SQL names it: the argument `column_name`.
    #[must_use]
    pub fn column_name(&self) -> Option<String> {
        let name = &self.column.as_ref()?.value;
        Some(if self.quotes_column {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.clone()
        })
    }
}

/// A SQL file below the test folders: a query that must return no row.
#[derive(Clone, Debug)]
pub struct SingularTest {
    /// `test.<package>.<name>`.
    pub id: NodeId,
    /// Its package.
    pub package: String,
    /// The file's name without `.sql`.
    pub name: String,
    /// The file.
    pub file: FileId,
    /// As of a model.
    pub fqn: Vec<String>,
    /// Configuration outside the file, weakest first.
    pub config: Vec<ConfigLayer>,
}

/// What a block of a macro file defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacroKind {
    /// `{% macro name(…) %}`.
    Macro,
    /// `{% test name(…) %}` or `{% data_test name(…) %}`.
    Test,
}

/// One macro, test macros included.
#[derive(Clone, Debug)]
pub struct Macro {
    /// Its package.
    pub package: String,
    /// Its name (without the prefix `test_`).
    pub name: Located<String>,
    /// Macro or test.
    pub kind: MacroKind,
    /// The file.
    pub file: FileId,
    /// The whole block, from `{% macro` to after `{% endmacro %}`.
    pub block: Span,
}
