//! The root project and the packages that it names.

use std::path::{Path, PathBuf};

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::located::{Located, Value, ValueKind};
use crate::model::Package;
use crate::suggest;
use crate::yaml;

use super::LoadOptions;
use super::dbt_packages::{self, Wanted};
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
    let mut file = project_file::read(&store, "", &as_name(folder.unwrap_or("")), reading)?;
    let install = file.paths.install.clone();
    let specs = std::mem::take(&mut file.packages);
    let mut found = Found {
        present: vec![Present::of(&store, &file.name.value, false)],
        packages: vec![ReadPackage {
            store: store.clone(),
            file,
            prefix: String::new(),
        }],
        wanted: vec![],
    };
    let installs = found.ask(&store, "", root, options, reading);
    for spec in specs {
        if let Some((package, span)) = package(root, &spec, options, reading) {
            if !package.file.packages.is_empty() {
                let name = &package.file.name.value;
                reading.problems.push(
                    Diagnostic::warning(
                        codes::UNSUPPORTED,
                        format!("the packages that `{name}` names are not read"),
                        span,
                    )
                    .with_help("name them in `packages:` of the project"),
                );
            }
            found.add(package, Some(span), options, reading);
        }
    }
    if installs {
        for folder in dbt_packages::folders(root, &install) {
            if let Some(package) = in_folder(folder, reading) {
                found.add(package, None, options, reading);
            }
        }
    }
    dbt_packages::missing(&found.wanted, &found.present, &install, reading);
    Some(found.packages)
}

/// The packages that were read so far.
struct Found {
    packages: Vec<ReadPackage>,
    present: Vec<Present>,
    /// What the files of dbt ask for.
    wanted: Vec<Wanted>,
}

/// Where a package was read from.
pub(super) struct Present {
    /// Its folder without symbolic links: a package is often reached in several ways.
    folder: Option<PathBuf>,
    /// Its name and those of its folders.
    pub(super) names: Vec<String>,
    /// Whether it is only known from the folder of installed packages.
    pub(super) installed: bool,
}

impl Present {
    fn of(store: &Store, name: &str, installed: bool) -> Self {
        let folder = store.path("");
        let last = folder.as_ref().and_then(|folder| {
            let last = folder.components().next_back()?;
            last.as_os_str().to_str().map(str::to_owned)
        });
        Self {
            folder: folder.map(|folder| std::fs::canonicalize(&folder).unwrap_or(folder)),
            names: last.into_iter().chain([name.to_owned()]).collect(),
            installed,
        }
    }
}

impl Found {
    /// Adds a package, and the folders that it asks for in the files of dbt. `span` is where it was
    /// asked for; one that is only installed gives way to one of the same name that was.
    fn add(
        &mut self,
        package: ReadPackage,
        span: Option<Span>,
        options: &LoadOptions<'_>,
        reading: &mut Reading,
    ) {
        let name = package.file.name.value.clone();
        let present = Present::of(&package.store, &name, span.is_none());
        let known = self
            .present
            .iter_mut()
            .find(|other| other.folder.is_some() && other.folder == present.folder);
        if let Some(known) = known {
            known.names.extend(present.names);
            return;
        }
        if self.packages.iter().any(|p| p.file.name.value == name) {
            if let Some(span) = span {
                reading.problems.push(Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!("there are two packages `{name}`"),
                    span,
                ));
            }
            return;
        }
        self.present.push(present);
        let folder = package.store.path("");
        let store = package.store.clone();
        let prefix = package.prefix.clone();
        self.packages.push(package);
        if let Some(folder) = folder {
            self.ask(&store, &prefix, &folder, options, reading);
        }
    }

    /// Reads what a package asks for in the files of dbt. Whether it has such a file.
    fn ask(
        &mut self,
        store: &Store,
        prefix: &str,
        folder: &Path,
        options: &LoadOptions<'_>,
        reading: &mut Reading,
    ) -> bool {
        let Some(wanted) = dbt_packages::wanted(store, prefix, reading) else {
            return false;
        };
        for one in wanted {
            if let Wanted::Local(path) = one {
                let span = path.span;
                let spec = PackageSpec::Local(path);
                if let Some((package, _)) = package(folder, &spec, options, reading) {
                    self.add(package, Some(span), options, reading);
                }
            } else {
                self.wanted.push(one);
            }
        }
        true
    }
}

/// The package in a folder that has a project file.
fn in_folder(folder: PathBuf, reading: &mut Reading) -> Option<ReadPackage> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = as_name(name.unwrap_or(""));
    of_store(Store::Folder(folder), &name, reading)
}

fn of_store(store: Store, name: &str, reading: &mut Reading) -> Option<ReadPackage> {
    let prefix = format!("<{name}>/");
    let file = project_file::read(&store, &prefix, name, reading)?;
    // The rest of its files are shown with the name that it has.
    let prefix = format!("<{}>/", file.name.value);
    Some(ReadPackage {
        store,
        file,
        prefix,
    })
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
    Some((of_store(store, &name, reading)?, span))
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
