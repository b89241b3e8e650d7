//! Projects in temporary folders.

use std::path::Path;

use kinfold_project::{EmbeddedPackage, LoadOptions, Loaded, Project, load};
use tempfile::TempDir;

/// Writes the files to a new folder.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().expect("a temporary folder");
    for (path, text) in files {
        write(root.path(), path, text.as_bytes());
    }
    root
}

/// Writes one file with the folders above it.
pub fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}

/// What a test loads a project with.
#[derive(Default)]
pub struct With<'a> {
    pub environment: &'a [(&'a str, &'a str)],
    pub embedded: &'a [EmbeddedPackage],
    pub vars: Option<&'a str>,
    /// Folder of the project below that of the files.
    pub root: &'a str,
}

pub fn load_folder(root: &Path, with: &With<'_>) -> Loaded {
    let variable = |name: &str| {
        with.environment
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    load(
        &root.join(with.root),
        &LoadOptions {
            environment_variable: &variable,
            embedded_packages: with.embedded,
            destinations: &[],
            vars: with.vars,
        },
    )
}

/// Loads the files as a project.
pub fn load_files(files: &[(&str, &str)]) -> Loaded {
    load_folder(folder(files).path(), &With::default())
}

/// Loads files that have no problem.
pub fn good(files: &[(&str, &str)], with: &With<'_>) -> Project {
    let loaded = load_folder(folder(files).path(), with);
    assert_eq!(report(&loaded), Vec::<String>::new());
    loaded.project.expect("a project")
}

/// One line for each problem: `E KF0101 file:line:column text-at-the-place`.
pub fn report(loaded: &Loaded) -> Vec<String> {
    loaded
        .diagnostics
        .iter()
        .map(|d| {
            let severity = if d.is_error() { 'E' } else { 'W' };
            let place = d.primary.as_ref().map_or_else(
                || d.message.clone(),
                |label| {
                    let path = loaded.files.path(label.span.file).display();
                    let (line, column) = loaded.files.line_column(label.span);
                    let text = loaded.files.text(label.span);
                    format!("{path}:{line}:{column} {text}")
                },
            );
            format!("{severity} {} {place}", d.code.name)
        })
        .collect()
}

/// The advice of every problem, in the order of [`report`].
pub fn advice(loaded: &Loaded) -> Vec<String> {
    loaded
        .diagnostics
        .iter()
        .map(|d| d.help.join(" | "))
        .collect()
}
