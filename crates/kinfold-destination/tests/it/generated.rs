//! Generated files are fresh. `KINFOLD_WRITE_GENERATED=1` writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinfold_destination::expression::FUNCTIONS;
use kinfold_destination::reference::{Checked, Listed};
use kinfold_destination::{SHIPPED, reference, shipped};
use kinfold_project::{ConnectionKind, FileId, yaml};

fn is_fresh(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if std::env::var_os("KINFOLD_WRITE_GENERATED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{} is not fresh: run this test with KINFOLD_WRITE_GENERATED=1",
        path.display()
    );
}

#[test]
fn the_reference_is_fresh() {
    is_fresh("docs/reference/manifest.md", &reference::page());
}

#[test]
fn the_schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&reference::schema()).unwrap();
    is_fresh(
        "docs/reference/manifest.schema.json",
        &format!("{schema}\n"),
    );
}

#[test]
fn the_pages_of_destinations_are_fresh() {
    for destination in SHIPPED {
        let manifest = shipped(destination.name)
            .and_then(|folder| folder.manifest)
            .unwrap();
        let path = format!("docs/destinations/{}.md", destination.name);
        is_fresh(&path, &reference::destination_page(&manifest));
    }
}

#[test]
fn the_table_of_destinations_is_fresh() {
    let folders: Vec<_> = SHIPPED
        .iter()
        .map(|destination| shipped(destination.name).unwrap())
        .collect();
    let checks = specification_checks();
    let listed: Vec<Listed<'_>> = folders
        .iter()
        .zip(SHIPPED)
        .map(|(folder, destination)| Listed {
            folder,
            checked: checks.get(destination.name).cloned(),
        })
        .collect();
    let native = ConnectionKind::ALL.map(ConnectionKind::as_str);
    let adaptors = named_in_rust().len();
    assert_eq!(adaptors, 0, "{:?}", named_in_rust());
    let page = reference::destinations_page(&listed, &native, adaptors);
    is_fresh("docs/destinations/README.md", &page);
}

/// What is recorded about checks against specifications, if anything is.
fn specification_checks() -> BTreeMap<String, Checked> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs.yml");
    let Ok(text) = std::fs::read_to_string(path) else {
        return BTreeMap::new();
    };
    let mut problems = Vec::new();
    let value = yaml::read(&text, FileId(0), &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let all = value.to_json();
    let checks = all.as_object().unwrap().iter().filter_map(|(name, found)| {
        let number = |key: &str| found["counts"][key].as_u64().unwrap();
        let checked = Checked {
            specification: found["specification"].as_str()?.to_owned(),
            requests: number("requests"),
            invalid: number("invalid"),
        };
        // What others have written is no evidence.
        (checked.requests > 0).then(|| (name.clone(), checked))
    });
    checks.collect()
}

/// The shipped destinations whose names are literals in Rust, where an adaptor would have to ask for them.
fn named_in_rust() -> Vec<String> {
    let mut sources = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // The crates that know destinations.
    for of in [
        "kinfold-destination",
        "kinfold-sync",
        "kinfold-engine",
        "kinfold",
    ] {
        rust_files(&crates.join(of).join("src"), &mut sources);
    }
    assert!(sources.len() > 100, "{}", sources.len());
    let mut found = Vec::new();
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        // Tests may use one as an example, and the list has to name them.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let listed = path.ends_with("kinfold-destination/src/shipped.rs");
        let tested = path.components().any(|part| part.as_os_str() == "tests");
        if listed || tested {
            continue;
        }
        for destination in SHIPPED {
            let word = FUNCTIONS
                .iter()
                .any(|function| function.name == destination.name);
            if !word && code.contains(&format!("\"{}\"", destination.name)) {
                found.push(format!("{} in {}", destination.name, path.display()));
            }
        }
    }
    found
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}
