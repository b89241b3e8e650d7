//! What mutations start from: the projects of this repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::repository;

/// Files of a project by their paths.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Files that are longer say nothing more and take long.
const MAX_BYTES: u64 = 16 << 10;

/// Files of a project that are taken.
const MAX_FILES: usize = 60;

/// Projects, and their texts.
pub struct Corpus {
    /// The projects, first those that are meant to be sound.
    pub projects: Vec<Files>,
    /// How many those are.
    pub sound: usize,
    /// The texts of all of them, from which pieces are taken.
    pub texts: Vec<Vec<u8>>,
}

impl Corpus {
    /// The projects of the tests and the examples, and one with a bit of everything.
    pub fn of_the_repository() -> Self {
        let root = repository();
        let mut folders: Vec<PathBuf> = vec![root.join("models")];
        for parent in [
            "tests/projects",
            "tests/check",
            "tests/diagnostics",
            "examples",
        ] {
            let entries = fs::read_dir(root.join(parent)).unwrap();
            folders.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let wrong = |folder: &PathBuf| {
            let text = folder.to_string_lossy();
            text.contains("tests/check") || text.contains("tests/diagnostics")
        };
        folders.sort_by_cached_key(|folder| (wrong(folder), folder.clone()));
        let is_project = |folder: &PathBuf| {
            let files = ["kinfold.yml", "dbt_project.yml"];
            files.iter().any(|file| folder.join(file).is_file())
        };
        folders.retain(is_project);
        let sound = folders.iter().filter(|folder| !wrong(folder)).count();
        let projects: Vec<Files> = folders
            .iter()
            .map(|folder| {
                let mut files = Files::new();
                read(folder, folder, &mut files);
                files
            })
            .collect();
        let texts = projects.iter().flat_map(Files::values);
        let mut texts: Vec<Vec<u8>> = texts.cloned().collect();
        texts.sort();
        texts.dedup();
        Self {
            projects,
            sound,
            texts,
        }
    }
}

fn read(root: &Path, folder: &Path, files: &mut Files) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let made = ["target", "data", "truth", "out", "mended"];
            if !name.starts_with('.') && !made.contains(&name.as_str()) {
                read(root, &path, files);
            }
            continue;
        }
        let ends = ["sql", "yml", "yaml", "csv", "md"];
        let ending = path.extension().map(|ending| ending.to_string_lossy());
        let wanted = ending.is_some_and(|ending| ends.contains(&ending.as_ref()));
        let small = fs::metadata(&path).unwrap().len() <= MAX_BYTES;
        if wanted && small && files.len() < MAX_FILES {
            let below = path.strip_prefix(root).unwrap();
            files.insert(
                below.to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            );
        }
    }
}

/// Files from texts.
pub fn files(texts: &[(&str, &str)]) -> Files {
    let bytes = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
    texts.iter().map(bytes).collect()
}

/// Writes files below a folder. A path that another one makes impossible is left out.
pub fn write(folder: &Path, files: &Files) {
    fs::create_dir_all(folder).unwrap();
    for (path, bytes) in files {
        let path = folder.join(path);
        if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.is_dir() {
            let _ = fs::write(path, bytes);
        }
    }
}

/// Files as text for people.
pub fn shown(files: &Files) -> String {
    let shown = files.iter().map(|(path, bytes)| {
        let text = String::from_utf8_lossy(bytes);
        let start: String = text.chars().take(2000).collect();
        format!("--- {path}\n{start}")
    });
    shown.collect::<Vec<_>>().join("\n")
}
