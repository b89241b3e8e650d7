//! Rules about the repository itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::program::repository;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials!("tidy":
        crates_depend_downwards_only,
        files_are_small_enough_to_read,
        nothing_is_left_out_or_tied_to_a_machine,
        the_top_level_is_as_prescribed,
        statements_have_a_header,
        links_in_documents_lead_somewhere,
    )
}

/// Which of our crates a crate may name, beside those of `dev-dependencies`.
const EDGES: &[(&str, &[&str])] = &[
    ("kinfold-project", &[]),
    ("kinfold-compile", &["kinfold-project"]),
    ("kinfold-lake", &["kinfold-project"]),
    ("kinfold-identity", &["kinfold-project"]),
    ("kinfold-sync", &["kinfold-project"]),
    ("kinfold-destination", &["kinfold-project", "kinfold-sync"]),
    ("kinfold-server", &["kinfold-project"]),
    (
        "kinfold-engine",
        &[
            "kinfold-project",
            "kinfold-compile",
            "kinfold-lake",
            "kinfold-identity",
            "kinfold-sync",
            "kinfold-destination",
        ],
    ),
    (
        "kinfold",
        &[
            "kinfold-project",
            "kinfold-compile",
            "kinfold-lake",
            "kinfold-identity",
            "kinfold-sync",
            "kinfold-destination",
            "kinfold-engine",
            "kinfold-server",
        ],
    ),
    ("kinfold-testkit", &["kinfold-project", "kinfold-sync"]),
];

/// Who may name a library of others: names that begin so, and the crates.
const BORDERS: &[(&str, &[&str])] = &[
    ("deltalake", &["kinfold-lake"]),
    ("delta_kernel", &["kinfold-lake"]),
    (
        "datafusion",
        &["kinfold-compile", "kinfold-lake", "kinfold-engine"],
    ),
    ("arrow", &["kinfold-lake", "kinfold-engine", "kinfold"]),
    ("parquet", &["kinfold-lake", "kinfold-engine", "kinfold"]),
    ("object_store", &["kinfold-lake", "kinfold-engine"]),
    ("reqwest", &["kinfold-sync", "kinfold-server"]),
    ("clap", &["kinfold"]),
];

/// What a manifest names: (section, name).
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = vec![];
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            // `[dependencies.x]` names x.
            if let Some((kind, name)) = section.clone().split_once("dependencies.") {
                found.push((format!("{kind}dependencies"), name.to_owned()));
            }
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once('=')
            && !name.starts_with('#')
        {
            let name = name.trim().trim_end_matches(".workspace");
            found.push((section.clone(), name.to_owned()));
        }
    }
    found
}

fn crates_depend_downwards_only() {
    let mut wrong = vec![];
    let mut seen = BTreeSet::new();
    for folder in folders(&repository().join("crates")) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let Some((_, allowed)) = EDGES.iter().find(|(of, _)| *of == name) else {
            wrong.push(format!("`{name}` has no place among the crates"));
            continue;
        };
        seen.insert(name.clone());
        let all = dependencies(&manifest);
        assert!(!all.is_empty(), "{name}");
        for (section, dependency) in all {
            if section == "dev-dependencies" {
                continue;
            }
            if dependency.starts_with("kinfold") && !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("`{name}` must not know `{dependency}`"));
            }
            for (library, owners) in BORDERS {
                if dependency.starts_with(library) && !owners.contains(&name.as_str()) {
                    wrong.push(format!("`{name}` must not name `{dependency}`"));
                }
            }
        }
    }
    assert_eq!(seen.len(), EDGES.len(), "a crate is gone: {seen:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn files_are_small_enough_to_read() {
    let mut large = BTreeMap::new();
    for file in files(&["crates", "tests"], &["rs", "py"]) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        if lines > 900 {
            large.insert(shown(&file), lines);
        }
    }
    assert!(large.is_empty(), "more than 900 lines: {large:#?}");
}

fn nothing_is_left_out_or_tied_to_a_machine() {
    // Written in pieces, so that this file does not find itself.
    let never = [
        ["#[ign", "ore"].concat(),
        ["tod", "o!("].concat(),
        ["unimple", "mented!("].concat(),
        ["#[al", "low("].concat(),
        ["#![al", "low("].concat(),
        ["/ro", "ot/"].concat(),
        ["/wo", "rk/"].concat(),
        ["/ho", "me/"].concat(),
        ["/Us", "ers/"].concat(),
    ];
    let mut wrong = vec![];
    let ends = ["rs", "py", "sql", "yml", "yaml", "toml", "md", "txt", "csv"];
    for file in files(
        &[
            "crates", "tests", "models", "sql", "examples", "docs", ".ci",
        ],
        &ends,
    ) {
        let text = fs::read_to_string(&file).unwrap();
        for (at, line) in text.lines().enumerate() {
            for word in never.iter().filter(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{}: {word}", shown(&file), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn the_top_level_is_as_prescribed() {
    let allowed: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "crates",
        "docs",
        "examples",
        "models",
        "sql",
        "tests",
        // What cargo makes.
        "target",
    ]
    .into();
    let found: Vec<String> = fs::read_dir(repository())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !allowed.contains(name.as_str()))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

/// A file of macros has its header inside a Jinja comment, one line further down.
fn statements_have_a_header() {
    let mut wrong = vec![];
    for file in files(&["sql"], &["sql"]) {
        let text = fs::read_to_string(&file).unwrap();
        let named = text
            .lines()
            .take(2)
            .any(|line| line.starts_with("-- name: "));
        if !named {
            wrong.push(shown(&file));
        }
    }
    assert!(wrong.is_empty(), "no `-- name: …` at the top: {wrong:?}");
}

fn links_in_documents_lead_somewhere() {
    let mut documents = files(&["docs", "models", "examples"], &["md"]);
    documents.push(repository().join("README.md"));
    let mut broken = vec![];
    let mut count = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            count += 1;
            let path = link.split('#').next().unwrap();
            if !document.parent().unwrap().join(path).exists() {
                broken.push(format!("{}: {link}", shown(&document)));
            }
        }
    }
    assert!(count >= 5, "{count} links are too few to be all of them");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Targets of `[text](target)`, outside of code blocks.
fn links(text: &str) -> Vec<&str> {
    let mut code = false;
    let mut found = vec![];
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if !code {
            let parts = line.split("](").skip(1);
            found.extend(parts.filter_map(|rest| rest.split(')').next()));
        }
    }
    found
}

/// Files of the repository below some folders, with one of some endings, what programs make left out.
fn files(below: &[&str], ends: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        const MADE: [&str; 6] = ["target", "data", "truth", "out", ".kinfold", "__pycache__"];
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !path.is_dir() {
                found.push(path);
            } else if !MADE.contains(&name.as_str()) {
                walk(&path, found);
            }
        }
    }
    let mut found = vec![];
    for folder in below {
        walk(&repository().join(folder), &mut found);
    }
    found.retain(|file| {
        let end = file
            .extension()
            .map(|end| end.to_string_lossy().into_owned());
        end.is_some_and(|end| ends.contains(&end.as_str()))
    });
    found.sort();
    assert!(!found.is_empty(), "nothing below {below:?}");
    found
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(parent)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .collect();
    found.sort();
    found
}

fn shown(file: &Path) -> String {
    let root = repository();
    file.strip_prefix(&root)
        .unwrap_or(file)
        .to_string_lossy()
        .into_owned()
}
