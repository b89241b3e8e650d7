//! `kinfold.yml` and `dbt_project.yml`.

use crate::codes;
use crate::diagnostic::{Diagnostic, FileId, Severity, Span};
use crate::located::{Located, Value, ValueKind};
use crate::model::{Dispatch, Environment};
use crate::schedule::{Alert, BuildSchedule};
use crate::yaml;

use super::config_tree::{ConfigTree, PackageTrees};
use super::environments;
use super::fields::{Fields, wrong_type};
use super::files::{Reading, Store};
use super::schedules;

pub(super) const KINFOLD_FILE: &str = "kinfold.yml";
pub(super) const DBT_FILE: &str = "dbt_project.yml";

/// Keys of dbt's project file.
const DBT_KEYS: &[&str] = &[
    "analyses",
    "analysis-paths",
    "asset-paths",
    "clean-targets",
    "config-version",
    "data_tests",
    "dbt-cloud",
    "dispatch",
    "docs-paths",
    "exposures",
    "flags",
    "function-paths",
    "functions",
    "log-path",
    "macro-paths",
    "metrics",
    "model-paths",
    "models",
    "name",
    "on-run-end",
    "on-run-start",
    "packages-install-path",
    "profile",
    "query-comment",
    "quoting",
    "require-dbt-version",
    "restrict-access",
    "saved-queries",
    "seed-paths",
    "seeds",
    "semantic-models",
    "snapshot-paths",
    "snapshots",
    "sources",
    "target-path",
    "test-paths",
    "tests",
    "unit_tests",
    "vars",
    "version",
    // The names that dbt gave these keys before 1.0.
    "source-paths",
    "data-paths",
];

/// Keys of `kinfold.yml` besides.
const KINFOLD_KEYS: &[&str] = &[
    "alerts",
    "connection-paths",
    "description",
    "environments",
    "packages",
    "purposes",
    "schedules",
    "sync-paths",
];

/// A package that a project asks for.
#[derive(Debug)]
pub(super) enum PackageSpec {
    Embedded(Located<String>),
    Local(Located<String>),
}

/// What the project files of one package say.
#[derive(Debug)]
pub(super) struct ProjectFile {
    pub(super) name: Located<String>,
    pub(super) file: FileId,
    pub(super) paths: Paths,
    pub(super) trees: PackageTrees,
    pub(super) vars: Vec<(Located<String>, Value)>,
    pub(super) environments: Vec<Environment>,
    pub(super) purposes: Vec<Located<String>>,
    pub(super) schedules: Vec<BuildSchedule>,
    pub(super) alerts: Vec<Alert>,
    pub(super) packages: Vec<PackageSpec>,
    pub(super) dispatch: Vec<Dispatch>,
}

/// Folders by what is in them, relative to the package's root.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) models: Vec<String>,
    pub(super) seeds: Vec<String>,
    pub(super) tests: Vec<String>,
    pub(super) macros: Vec<String>,
    pub(super) docs: Vec<String>,
    pub(super) syncs: Vec<String>,
    pub(super) connections: Vec<String>,
    pub(super) snapshots: Vec<String>,
    /// Where `dbt deps` installs packages.
    pub(super) install: Vec<String>,
    /// Folders that nothing is read from, wherever they are.
    pub(super) skipped: Vec<String>,
}

/// Reads the project files of the package in `store`. `None`, with a diagnostic, if there is none
/// that can be read.
pub(super) fn read(
    store: &Store,
    prefix: &str,
    fallback_name: &str,
    reading: &mut Reading,
) -> Option<ProjectFile> {
    let mut parts = vec![];
    let mut present = false;
    // The weaker file first.
    for (name, is_kinfold) in [(DBT_FILE, false), (KINFOLD_FILE, true)] {
        if !store.has(name, reading) {
            continue;
        }
        present = true;
        let display = format!("{prefix}{name}");
        let Some(file) = store.read(name, &display, reading) else {
            continue;
        };
        let text = reading.text(file);
        let Some(value) = yaml::read(&text, file, &mut reading.problems) else {
            continue;
        };
        parts.push(Part {
            file,
            value,
            name,
            is_kinfold,
        });
    }
    if !present {
        reading.problems.push(missing(store, prefix));
    }
    let (parts, file) = match parts.last() {
        Some(last) => {
            let file = last.file;
            (parts, file)
        }
        None => return None,
    };
    Some(assemble(&parts, file, fallback_name, &mut reading.problems))
}

struct Part {
    file: FileId,
    value: Value,
    name: &'static str,
    is_kinfold: bool,
}

fn missing(store: &Store, prefix: &str) -> Diagnostic {
    let place = match store {
        Store::Folder(root) => root.display().to_string(),
        Store::Embedded(_) => prefix.to_owned(),
    };
    let diagnostic = Diagnostic::error_nowhere(
        codes::NO_PROJECT_FILE,
        format!("there is no `{KINFOLD_FILE}` and no `{DBT_FILE}` in `{place}`"),
    );
    match store {
        Store::Folder(root) if root.join("kinfold.yaml").is_file() => {
            diagnostic.with_help("rename `kinfold.yaml` to `kinfold.yml`")
        }
        _ => diagnostic
            .with_help("go to the project's folder, or start a new project with `kinfold init`"),
    }
}

fn assemble(
    parts: &[Part],
    file: FileId,
    fallback_name: &str,
    problems: &mut Vec<Diagnostic>,
) -> ProjectFile {
    let fields: Vec<(Fields<'_>, bool)> = parts
        .iter()
        .filter_map(|part| {
            Some((
                Fields::of(&part.value, part.name, problems)?,
                part.is_kinfold,
            ))
        })
        .collect();
    for (fields, is_kinfold) in &fields {
        if *is_kinfold {
            let known = [KINFOLD_KEYS, DBT_KEYS].concat();
            fields.check_keys(&known, Severity::Error, problems);
        } else {
            fields.check_keys(DBT_KEYS, Severity::Warning, problems);
        }
        for hook in ["on-run-start", "on-run-end"] {
            let empty = fields
                .get(hook)
                .is_none_or(|value| matches!(&value.kind, ValueKind::List(l) if l.is_empty()));
            if !empty {
                problems.push(Diagnostic::warning(
                    codes::UNSUPPORTED,
                    format!("`{hook}` is not supported and does not run"),
                    fields.key_span(hook),
                ));
            }
        }
    }
    // The stronger file first.
    let strongest = |key: &str| {
        fields
            .iter()
            .rev()
            .map(|(fields, _)| fields)
            .find(|fields| fields.get(key).is_some())
            .copied()
    };
    let name = project_name(
        strongest("name").and_then(|f| f.text("name", problems)),
        fields.last().map(|(fields, _)| fields),
        file,
        fallback_name,
        problems,
    );
    let paths = paths(&strongest, problems);
    let tree = |keys: &[&str]| {
        let roots = fields
            .iter()
            .flat_map(|(fields, _)| keys.iter().filter_map(|key| fields.get(key)))
            .cloned()
            .collect();
        ConfigTree::new(roots)
    };
    let trees = PackageTrees {
        models: tree(&["models"]),
        seeds: tree(&["seeds"]),
        sources: tree(&["sources"]),
        tests: tree(&["tests", "data_tests"]),
    };
    let mut vars: Vec<(Located<String>, Value)> = vec![];
    for (fields, _) in &fields {
        vars.extend(fields.map("vars", problems).iter().cloned());
        for key in ["models", "seeds", "sources", "tests", "data_tests"] {
            let _ = fields.map(key, problems);
        }
    }
    let kinfold = fields
        .iter()
        .find(|(_, is_kinfold)| *is_kinfold)
        .map(|(fields, _)| fields);
    ProjectFile {
        environments: environments::read(kinfold, file, problems),
        purposes: kinfold.map_or_else(Vec::new, |fields| purposes(fields, problems)),
        schedules: kinfold.map_or_else(Vec::new, |fields| schedules::builds(fields, problems)),
        alerts: kinfold.map_or_else(Vec::new, |fields| schedules::alerts(fields, problems)),
        packages: kinfold.map_or_else(Vec::new, |fields| packages(fields, problems)),
        dispatch: strongest("dispatch").map_or_else(Vec::new, |f| dispatch(&f, problems)),
        name,
        file,
        paths,
        trees,
        vars,
    }
}

fn project_name(
    name: Option<Located<String>>,
    fields: Option<&Fields<'_>>,
    file: FileId,
    fallback: &str,
    problems: &mut Vec<Diagnostic>,
) -> Located<String> {
    if let Some(name) = name {
        let mut characters = name.value.chars();
        let starts_well = characters
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_');
        if !starts_well || !characters.all(|c| c.is_alphanumeric() || c == '_') {
            problems.push(
                Diagnostic::error(
                    codes::INVALID_NAME,
                    format!("`{}` cannot be the name of a project", name.value),
                    name.span,
                )
                .with_help("use letters, digits and `_`, not a digit first"),
            );
        }
        return name;
    }
    let span = fields.map_or(Span::new(file, 0, 0), Fields::head);
    if fields.is_none_or(|fields| fields.get("name").is_none()) {
        problems.push(
            Diagnostic::error(codes::MISSING_KEY, "the project has no `name`", span)
                .with_help(format!("add `name: {fallback}`")),
        );
    }
    Located::new(fallback.to_owned(), span)
}

fn paths<'v>(
    strongest: &impl Fn(&str) -> Option<Fields<'v>>,
    problems: &mut Vec<Diagnostic>,
) -> Paths {
    let mut folders = |keys: &[&str], default: &[&str]| -> Vec<String> {
        for key in keys {
            if let Some(fields) = strongest(key) {
                return fields
                    .texts(key, problems)
                    .into_iter()
                    .filter_map(|path| inside(path, problems))
                    .collect();
            }
        }
        default.iter().map(|path| (*path).to_owned()).collect()
    };
    let models = folders(&["model-paths", "source-paths"], &["models"]);
    let seeds = folders(&["seed-paths", "data-paths"], &["seeds"]);
    let tests = folders(&["test-paths"], &["tests"]);
    let macros = folders(&["macro-paths"], &["macros"]);
    let snapshots = folders(&["snapshot-paths"], &["snapshots"]);
    let analyses = folders(&["analysis-paths"], &["analyses"]);
    let syncs = folders(&["sync-paths"], &["syncs"]);
    let connections = folders(&["connection-paths"], &["connections"]);
    let everywhere: Vec<&str> = [&models, &seeds, &tests, &macros, &snapshots, &analyses]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let docs = folders(&["docs-paths"], &everywhere);
    let mut skipped = folders(&["target-path"], &["target"]);
    let install = folders(&["packages-install-path"], &["dbt_packages"]);
    skipped.extend(install.iter().cloned());
    skipped.extend(folders(&["log-path"], &["logs"]));
    Paths {
        models,
        seeds,
        tests,
        macros,
        docs,
        syncs,
        connections,
        snapshots,
        install,
        skipped,
    }
}

/// The folder in the form `a/b`, if it lies in the package.
fn inside(path: Located<String>, problems: &mut Vec<Diagnostic>) -> Option<String> {
    let parts: Vec<&str> = path
        .value
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if path.value.starts_with('/') || parts.contains(&"..") {
        problems.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                format!("the folder `{}` is not in the project", path.value),
                path.span,
            )
            .with_help("give a path below the project's folder"),
        );
        return None;
    }
    Some(if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    })
}

fn purposes(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> Vec<Located<String>> {
    let mut purposes: Vec<Located<String>> = vec![];
    for purpose in fields.texts("purposes", problems) {
        match purposes.iter().find(|known| known.value == purpose.value) {
            Some(first) => problems.push(
                Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!("the purpose `{}` is here twice", purpose.value),
                    purpose.span,
                )
                .with_related(first.span, "first here"),
            ),
            None => purposes.push(purpose),
        }
    }
    purposes
}

fn packages(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> Vec<PackageSpec> {
    let mut packages = vec![];
    for item in fields.list("packages", problems) {
        match &item.kind {
            ValueKind::String(name) => {
                packages.push(PackageSpec::Embedded(Located::new(name.clone(), item.span)));
            }
            ValueKind::Map(_) => {
                let Some(fields) = Fields::of(item, "a package", problems) else {
                    continue;
                };
                fields.check_keys(&["local"], Severity::Error, problems);
                if let Some(path) = fields.required_text("local", problems) {
                    packages.push(PackageSpec::Local(path));
                }
            }
            _ => problems.push(wrong_type(
                "a package",
                "a name or a mapping with `local`",
                item,
            )),
        }
    }
    packages
}

fn dispatch(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> Vec<Dispatch> {
    let mut all = vec![];
    for item in fields.list("dispatch", problems) {
        let Some(fields) = Fields::of(item, "an entry of `dispatch`", problems) else {
            continue;
        };
        let namespace = fields.required_text("macro_namespace", problems);
        let search_order = fields.texts("search_order", problems);
        if let Some(namespace) = namespace {
            all.push(Dispatch {
                namespace: namespace.value,
                search_order: search_order.into_iter().map(|name| name.value).collect(),
            });
        }
    }
    all
}
