//! Whole projects, built twice.
//!
//! A case is a folder: a project whose own data tests say what its values are, and `expected.txt` with a line
//! for every node: its status, id, and rows, of a test those that fail. A second build has nothing to do. A
//! new case is a folder without `expected.txt`, run once with `KINFOLD_UPDATE=1`, and read.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::program::{copy, folder, kinfold, repository};

pub fn trials() -> Vec<Trial> {
    let mut cases: Vec<PathBuf> = fs::read_dir(repository().join("tests/projects"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
        .into_iter()
        .map(|case| {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            Trial::test(format!("projects::{name}"), move || {
                run_case(&case);
                Ok(())
            })
        })
        .collect()
}

fn run_case(case: &Path) {
    let project = folder();
    copy(case, project.path());
    // A plan is made of what is not there yet.
    kinfold(project.path(), ["plan"]).run().ok();
    let first = kinfold(project.path(), ["build", "--output", "json"]).run();
    let found = describe(&first.json()["nodes"]);
    let expected = case.join("expected.txt");
    if std::env::var_os("KINFOLD_UPDATE").is_some() {
        fs::write(&expected, &found).unwrap();
    }
    let wanted = fs::read_to_string(&expected)
        .expect("a case has `expected.txt`; KINFOLD_UPDATE=1 writes it");
    assert!(
        found == wanted,
        "what was built is not what {} says\n--- expected\n{wanted}\n--- found\n{found}\n{}",
        expected.display(),
        first.stderr
    );
    let first = first.ok();

    kinfold(project.path(), ["plan"]).run().ok();
    let second = kinfold(project.path(), ["build", "--output", "json"])
        .run()
        .ok();
    let before: Value = first.json();
    let after: Value = second.json();
    for node in after["nodes"].as_array().unwrap() {
        assert_eq!(node["status"], "skipped", "{node}");
    }
    assert_eq!(
        before["nodes"].as_array().unwrap().len(),
        after["nodes"].as_array().unwrap().len()
    );
}

/// Every node as a line.
fn describe(nodes: &Value) -> String {
    let mut lines: Vec<String> = nodes
        .as_array()
        .expect("a list of nodes")
        .iter()
        .map(|node| {
            let mut line = format!(
                "{} {}",
                node["status"].as_str().unwrap_or_default(),
                node["id"].as_str().unwrap_or_default()
            );
            if let Some(rows) = node["rows"].as_u64() {
                let _ = write!(line, ": {rows}");
            }
            line.push('\n');
            line
        })
        .collect();
    lines.sort();
    lines.concat()
}
