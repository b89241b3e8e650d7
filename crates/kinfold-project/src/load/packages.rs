//! The root project and the packages that it names.

use std::path::Path;

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::located::{Located, Value, ValueKind};
use crate::model::Package;
use crate::suggest;
use crate::yaml;

use super::LoadOptions;
use super::files::{Reading, Store};
use super::project_file::{self, PackageSpec, ProjectFile};

/// A package whose project file was read.
pub(super) struct ReadPackage {
    pub(super) store: Store,
    pub(super) file: ProjectFile,
    /// What the paths of its files start with in messages; empty for the root.
    pub(super) prefix: String,
}

/// Reads the project file of the root and those of its packages. `None` without the root's.
pub(super) fn read(
    root: &Path,
    options: &LoadOptions<'_>,
    reading: &mut Reading,
) -> Option<Vec<ReadPackage>> {
    let store = Store::Folder(root.to_path_buf());
    let folder = root.file_name().and_then(|name| name.to_str());
    let file = project_file::read(&store, "", &as_name(folder.unwrap_or("")), reading)?;
    for name in ["packages.yml", "dependencies.yml"] {
        dbt_packages(&store, name, reading);
    }
    let mut packages = vec![ReadPackage {
        store,
        file,
        prefix: String::new(),
    }];
    let specs = packages
        .first_mut()
        .map(|root| std::mem::take(&mut root.file.packages))
        .unwrap_or_default();
    for spec in specs {
        let Some((package, span)) = package(root, &spec, options, reading) else {
            continue;
        };
        let name = &package.file.name.value;
        if packages.iter().any(|other| other.file.name.value == *name) {
            reading.problems.push(Diagnostic::error(
                codes::DUPLICATE_NAME,
                format!("there are two packages `{name}`"),
                span,
            ));
            continue;
        }
        if !package.file.packages.is_empty() {
            reading.problems.push(
                Diagnostic::warning(
                    codes::UNSUPPORTED,
                    format!("the packages that `{name}` names are not read"),
                    span,
                )
                .with_help("name them in `packages:` of the project"),
            );
        }
        packages.push(package);
    }
    Some(packages)
}

/// Warns about packages that dbt would install.
fn dbt_packages(store: &Store, name: &str, reading: &mut Reading) {
    if !store.has(name) {
        return;
    }
    let Some(file) = store.read(name, name, reading) else {
        return;
    };
    let text = reading.text(file);
    let value = yaml::read(&text, file, &mut reading.problems);
    let Some(ValueKind::Map(entries)) = value.map(|value| value.kind) else {
        return;
    };
    for (key, value) in entries {
        if key.value == "packages" && matches!(&value.kind, ValueKind::List(l) if !l.is_empty()) {
            reading.problems.push(
                Diagnostic::warning(
                    codes::UNSUPPORTED,
                    format!("the packages of `{name}` are not installed"),
                    key.span,
                )
                .with_help(
                    "name their folders in `kinfold.yml`: `packages: [{local: dbt_packages/…}]`",
                ),
            );
        }
    }
}

fn package(
    root: &Path,
    spec: &PackageSpec,
    options: &LoadOptions<'_>,
    reading: &mut Reading,
) -> Option<(ReadPackage, Span)> {
    let (store, name, span) = match spec {
        PackageSpec::Embedded(name) => {
            let found = options
                .embedded_packages
                .iter()
                .find(|package| package.name == name.value);
            let Some(found) = found else {
                let names = options.embedded_packages.iter().map(|p| p.name);
                let diagnostic = Diagnostic::error(
                    codes::UNKNOWN_PACKAGE,
                    format!("there is no package `{}`", name.value),
                    name.span,
                );
                reading
                    .problems
                    .push(match suggest::did_you_mean(&name.value, names) {
                        Some(help) => diagnostic.with_help(help),
                        None => diagnostic.with_help("name a folder with `{local: path}`"),
                    });
                return None;
            };
            (Store::Embedded(found.files), name.value.clone(), name.span)
        }
        PackageSpec::Local(path) => {
            let folder = root.join(&path.value);
            if !folder.is_dir() {
                reading.problems.push(Diagnostic::error(
                    codes::UNKNOWN_PACKAGE,
                    format!("there is no folder `{}`", path.value),
                    path.span,
                ));
                return None;
            }
            let name = folder.file_name().and_then(|name| name.to_str());
            let name = as_name(name.unwrap_or(""));
            (Store::Folder(folder), name, path.span)
        }
    };
    let prefix = format!("<{name}>/");
    let file = project_file::read(&store, &prefix, &name, reading)?;
    // The rest of its files are shown with the name that it has.
    let prefix = format!("<{}>/", file.name.value);
    let package = ReadPackage {
        store,
        file,
        prefix,
    };
    Some((package, span))
}

/// A name for a project without one, from its folder's.
fn as_name(folder: &str) -> String {
    let name: String = folder
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    match name.chars().next() {
        None => "project".to_owned(),
        Some(first) if first.is_numeric() => format!("_{name}"),
        Some(_) => name,
    }
}

type Vars = Vec<(Located<String>, Value)>;

/// The packages with their variables: the package's own, then the root's, then the root's for this
/// package, then the command line's; the later wins.
pub(super) fn with_vars(
    packages: &[ReadPackage],
    command_line: Option<&str>,
    reading: &mut Reading,
) -> Vec<Package> {
    let names: Vec<&str> = packages
        .iter()
        .map(|package| package.file.name.value.as_str())
        .collect();
    let command_line = command_line_vars(command_line, reading);
    let root = packages.first().map(|package| &package.file.vars);
    packages
        .iter()
        .enumerate()
        .map(|(index, package)| {
            let name = package.file.name.value.as_str();
            let mut vars = vec![];
            let root = root.filter(|_| index > 0);
            for source in [Some(&package.file.vars), root].into_iter().flatten() {
                for (key, value) in source {
                    if !is_scope(key, value, &names) {
                        set(&mut vars, key, value);
                    }
                }
                for (key, value) in source {
                    if let ValueKind::Map(entries) = &value.kind
                        && key.value == name
                    {
                        for (key, value) in entries {
                            set(&mut vars, key, value);
                        }
                    }
                }
            }
            for (key, value) in &command_line {
                set(&mut vars, key, value);
            }
            Package {
                name: name.to_owned(),
                vars,
                file: package.file.file,
                root: package
                    .store
                    .path("")
                    .map(|path| path.components().collect()),
                dispatch: package.file.dispatch.clone(),
            }
        })
        .collect()
}

/// Whether the entry holds the variables of one package.
fn is_scope(key: &Located<String>, value: &Value, packages: &[&str]) -> bool {
    matches!(value.kind, ValueKind::Map(_)) && packages.contains(&key.value.as_str())
}

fn set(vars: &mut Vars, key: &Located<String>, value: &Value) {
    vars.retain(|(k, _)| k.value != key.value);
    vars.push((key.clone(), value.clone()));
}

fn command_line_vars(text: Option<&str>, reading: &mut Reading) -> Vars {
    let Some(text) = text else {
        return vec![];
    };
    let file = reading.files.add("--vars", text);
    match yaml::read(text, file, &mut reading.problems) {
        Some(Value {
            kind: ValueKind::Map(entries),
            ..
        }) => entries,
        Some(Value {
            kind: ValueKind::Null,
            ..
        })
        | None => vec![],
        Some(value) => {
            reading.problems.push(
                Diagnostic::error(
                    codes::WRONG_TYPE,
                    "`--vars` must be a YAML mapping",
                    value.span,
                )
                .with_help("write it like `--vars '{name: value}'`"),
            );
            vec![]
        }
    }
}
