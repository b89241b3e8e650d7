//! What tables hold, as Python's `deltalake` and DuckDB read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::program::repository;

/// One table as `lake/read.py` saw it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Table {
    /// The Delta version that was read.
    pub version: u64,
    /// How many rows it has.
    pub rows: u64,
    /// Hash of its rows, run ids aside, as `deltalake` reads them.
    pub deltalake: String,
    /// The same as DuckDB reads them, if that was asked for.
    pub duckdb: Option<String>,
    /// The same of rows that were given.
    pub given: Option<String>,
}

/// Tables by their path below the lake's root.
pub type Tables = BTreeMap<String, Table>;

/// Reads tables with `lake/read.py`.
pub fn read(lake: &str, arguments: &[&str]) -> Tables {
    let python = tools().join("venv/bin/python");
    assert!(
        python.is_file(),
        "there is no {}: run `.ci/setup` once",
        python.display()
    );
    let output = Command::new(python)
        .arg(repository().join("tests/lake/read.py"))
        .arg(lake)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "read.py {lake} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Rows and contents of everything that the environment `dev` of a project has published: what must be equal
/// between two lakes. Versions need not be.
pub fn published(project: &Path) -> BTreeMap<String, (u64, String)> {
    let lake = project.join(".kinfold/lake");
    contents(read(lake.to_str().unwrap(), &["--env", "dev"]))
}

/// Tables without what may differ between lakes of the same content.
pub fn contents(tables: Tables) -> BTreeMap<String, (u64, String)> {
    let content = |table: Table| (table.rows, table.deltalake);
    tables
        .into_iter()
        .map(|(path, table)| (path, content(table)))
        .collect()
}

/// Fails with the names of the tables that differ.
#[track_caller]
pub fn assert_equal(
    found: &BTreeMap<String, (u64, String)>,
    wanted: &BTreeMap<String, (u64, String)>,
    what: &str,
) {
    let names: std::collections::BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let different: Vec<_> = names
        .into_iter()
        .filter(|name| found.get(*name) != wanted.get(*name))
        .map(|name| (name, found.get(name), wanted.get(name)))
        .collect();
    assert!(
        different.is_empty(),
        "{what}: (table, found, wanted) {different:#?}"
    );
}

/// Where `.ci/setup` installs what the tests start.
pub fn tools() -> PathBuf {
    if let Some(tools) = std::env::var_os("KINFOLD_TOOLS") {
        return PathBuf::from(tools);
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty());
    let cache = cache.map(PathBuf::from).unwrap_or_else(|| {
        Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cache")
    });
    cache.join("kinfold/tools")
}
