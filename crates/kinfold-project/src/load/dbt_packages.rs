//! `packages.yml` and `dependencies.yml`: the packages that dbt installs, taken from where they lie.
//!
//! Nothing is fetched: a package of a hub, a repository or an archive must be in the folder of
//! installed packages already, as `dbt deps` or a checkout leaves it there.

use std::path::{Path, PathBuf};

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::located::{Located, Value, ValueKind};
use crate::yaml;

use super::fields::{self, Fields, wrong_type};
use super::files::{Reading, Store};
use super::packages::Present;
use super::project_file::{DBT_FILE, KINFOLD_FILE};

/// The files in which dbt reads the packages of a project.
const FILES: [&str; 2] = ["packages.yml", "dependencies.yml"];

/// Keys of an entry.
const KEYS: [&str; 12] = [
    "package",
    "version",
    "install-prerelease",
    "git",
    "revision",
    "warn-unpinned",
    "subdirectory",
    "local",
    "tarball",
    "name",
    "private",
    "provider",
];

/// A package that a project of dbt needs.
#[derive(Debug)]
pub(super) enum Wanted {
    /// A folder, relative to the project that asks for it.
    Local(Located<String>),
    /// A package that `dbt deps` installs.
    Installed {
        /// As it is written.
        written: Located<String>,
        /// Names that its folder or project may have, the likeliest first; empty if nothing is known.
        names: Vec<String>,
        /// Whether it has one of them for certain.
        certain: bool,
    },
}

/// The packages that the project in `store` asks for; `None` if it has no file for them.
pub(super) fn wanted(store: &Store, prefix: &str, reading: &mut Reading) -> Option<Vec<Wanted>> {
    let mut found = None;
    for name in FILES {
        if !store.has(name, reading) {
            continue;
        }
        let all: &mut Vec<Wanted> = found.get_or_insert_default();
        let Some(file) = store.read(name, &format!("{prefix}{name}"), reading) else {
            continue;
        };
        let text = reading.text(file);
        let Some(value) = yaml::read(&text, file, &mut reading.problems) else {
            continue;
        };
        if matches!(value.kind, ValueKind::Null) {
            continue;
        }
        let Some(fields) = Fields::of(&value, name, &mut reading.problems) else {
            continue;
        };
        if fields.get("projects").is_some() {
            reading.problems.push(
                Diagnostic::warning(
                    codes::UNSUPPORTED,
                    "models of other projects cannot be read",
                    fields.key_span("projects"),
                )
                .with_help("read their tables as sources"),
            );
        }
        for item in fields.list("packages", &mut reading.problems) {
            all.extend(entry(item, reading));
        }
    }
    found
}

fn entry(item: &Value, reading: &mut Reading) -> Option<Wanted> {
    let problems = &mut reading.problems;
    if !matches!(item.kind, ValueKind::Map(_)) {
        problems.push(wrong_type(
            "a package",
            "a mapping with `package`, `git`, `local` or `tarball`",
            item,
        ));
        return None;
    }
    let fields = Fields::of(item, "a package", problems)?;
    fields.check_keys(&KEYS, Severity::Warning, problems);
    if let Some(path) = fields.text("local", problems) {
        return Some(Wanted::Local(path));
    }
    let installed = |written: Located<String>, names, certain| Wanted::Installed {
        written,
        names,
        certain,
    };
    if let Some(written) = fields.text("package", problems) {
        let name = last_part(&written.value).to_owned();
        return Some(installed(written, vec![name], true));
    }
    if let Some(written) = fields.text("tarball", problems) {
        let name = fields.get("name").and_then(|name| {
            let name = fields::text(name, "`name`", problems)?;
            Some(name.value)
        });
        let certain = name.is_some();
        return Some(installed(written, name.into_iter().collect(), certain));
    }
    for key in ["git", "private"] {
        if let Some(written) = fields.text(key, problems) {
            let names = names_of_repository(&written.value);
            return Some(installed(written, names, false));
        }
    }
    problems.push(
        Diagnostic::error(
            codes::MISSING_KEY,
            "a package needs `package`, `git`, `local` or `tarball`",
            item.span,
        )
        .with_help("a package that is a folder: `- local: path`"),
    );
    None
}

fn last_part(path: &str) -> &str {
    let path = path.trim().trim_end_matches('/');
    path.rsplit(['/', ':']).next().unwrap_or(path)
}

/// What the project in a repository is probably called: dbt names its folder after the project, which
/// only the repository itself knows.
fn names_of_repository(address: &str) -> Vec<String> {
    if address.contains("{{") {
        return vec![];
    }
    let last = last_part(address);
    let last = last.strip_suffix(".git").unwrap_or(last);
    let plain = last.replace('-', "_");
    let bare = plain.strip_prefix("dbt_").map(str::to_owned);
    let mut names = vec![last.to_owned(), plain];
    names.extend(bare);
    names.dedup();
    names
}

/// The folders of installed packages, in order of their names.
pub(super) fn folders(root: &Path, install: &[String]) -> Vec<PathBuf> {
    let mut found = vec![];
    for folder in install {
        let entries = std::fs::read_dir(root.join(folder));
        let below = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(below.filter(|path| {
            [DBT_FILE, KINFOLD_FILE]
                .iter()
                .any(|f| path.join(f).is_file())
        }));
    }
    found.sort();
    found
}

/// Says which packages are not there.
pub(super) fn missing(
    wanted: &[Wanted],
    present: &[Present],
    install: &[String],
    reading: &mut Reading,
) {
    let is_present = |name: &String| present.iter().any(|of| of.names.contains(name));
    let certainly = |of: &Wanted| match of {
        Wanted::Installed { names, .. } => names.iter().any(is_present),
        Wanted::Local(_) => true,
    };
    // A repository may hold a project of any name: one that nobody else asked for is taken for it.
    let asked: Vec<&String> = wanted
        .iter()
        .flat_map(|of| match of {
            Wanted::Installed { names, .. } => names.as_slice(),
            Wanted::Local(_) => &[],
        })
        .collect();
    let mut unasked = present
        .iter()
        .filter(|of| of.installed && !of.names.iter().any(|name| asked.contains(&name)))
        .count();
    let mut told: Vec<&str> = vec![];
    for of in wanted.iter().filter(|of| !certainly(of)) {
        let Wanted::Installed {
            written,
            names,
            certain,
        } = of
        else {
            continue;
        };
        if !certain && unasked > 0 {
            unasked -= 1;
            continue;
        }
        if told.contains(&written.value.as_str()) {
            continue;
        }
        told.push(&written.value);
        let folder = install.first().map_or("dbt_packages", String::as_str);
        let name = names.last().map_or("…", String::as_str);
        reading.problems.push(
            Diagnostic::error(
                codes::UNKNOWN_PACKAGE,
                format!("the package `{}` is not installed", written.value),
                written.span,
            )
            .with_note("nothing is fetched while a project is compiled")
            .with_help(format!(
                "run `dbt deps`, or put a checkout of it into `{folder}/{name}`"
            )),
        );
    }
}
