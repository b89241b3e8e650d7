//! A destination's folder: the manifest, recorded exchanges, faults.

use std::fs;
use std::path::Path;

use kinfold_project::{Diagnostic, FileId, SourceMap, Span};

use crate::codes;
use crate::kit::{self, Exchange, Fault};
use crate::manifest::{self, Manifest};

/// The name of the manifest in its folder.
pub const MANIFEST: &str = "manifest.yml";
/// The folder of recorded exchanges.
pub const EXCHANGES: &str = "exchanges";
/// The name of the faults in their folder.
pub const FAULTS: &str = "faults.yml";
/// A file of a destination has so many bytes at most.
const LARGEST_FILE: u64 = 16 << 20;

/// A folder that was read.
#[derive(Debug)]
pub struct Folder {
    /// The manifest; `None` if there is an error in it.
    pub manifest: Option<Manifest>,
    /// The recorded exchanges, by the names of their files.
    pub exchanges: Vec<Exchange>,
    /// What can go wrong, and how it is to be taken.
    pub faults: Vec<Fault>,
    /// The files, to show diagnostics.
    pub files: SourceMap,
    /// Everything that is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

impl Folder {
    /// Whether an error is among the diagnostics.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads and checks a destination's folder. What is wrong with it is in [`Folder::diagnostics`].
#[must_use]
pub fn load(folder: &Path) -> Folder {
    let mut problems = Vec::new();
    let mut texts = Vec::new();
    let mut take =
        |name: String, problems: &mut Vec<Diagnostic>| match read_file(&folder.join(&name)) {
            Ok(text) => texts.push((name, text)),
            Err(problem) => problems.push(problem),
        };
    take(MANIFEST.to_owned(), &mut problems);
    let mut names: Vec<String> = fs::read_dir(folder.join(EXCHANGES))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_yaml(name))
        .collect();
    names.sort();
    for name in names {
        take(format!("{EXCHANGES}/{name}"), &mut problems);
    }
    if folder.join(FAULTS).exists() {
        take(FAULTS.to_owned(), &mut problems);
    }
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned);
    let mut loaded = read(
        texts
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str())),
    );
    if let (Some(manifest), Some(name)) = (&loaded.manifest, name)
        && manifest.name != name
    {
        let message = format!(
            "the folder is `{name}`, and the manifest's name is `{}`",
            manifest.name
        );
        let place = Span::new(FileId(0), 0, 1);
        loaded
            .diagnostics
            .push(Diagnostic::error(codes::INVALID_NAME, message, place));
    }
    problems.append(&mut loaded.diagnostics);
    loaded.diagnostics = problems;
    loaded
}

/// The destination of a name: the folder `destinations/<name>` of a project, or else a shipped one.
#[must_use]
pub fn find(project: &Path, name: &str) -> Option<Folder> {
    let own = project.join("destinations").join(name);
    if own.join(MANIFEST).is_file() {
        return Some(load(&own));
    }
    crate::shipped(name)
}

fn is_yaml(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("yml") || end.eq_ignore_ascii_case("yaml"))
}

fn read_file(path: &Path) -> Result<String, Diagnostic> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Diagnostic::error_nowhere(
            codes::FILE_NOT_READABLE,
            format!("`{shown}` cannot be read: {error}"),
        )
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST_FILE {
        return Err(Diagnostic::error_nowhere(
            kinfold_project::codes::FILE_TOO_LARGE,
            format!("`{shown}` is larger than {LARGEST_FILE} bytes"),
        ));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| {
        Diagnostic::error_nowhere(codes::FILE_NOT_UTF8, format!("`{shown}` is not UTF-8"))
    })
}

/// Reads and checks the files of a destination, given as (path in the folder, text).
pub fn read<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Folder {
    let mut files = SourceMap::default();
    let ids: Vec<(&str, FileId)> = texts
        .into_iter()
        .map(|(name, text)| (name, files.add(name, text)))
        .collect();
    let mut diagnostics = Vec::new();
    let file = ids.iter().find(|(name, _)| *name == MANIFEST);
    let manifest = file.and_then(|(_, file)| manifest::read(&files, *file, &mut diagnostics));
    let mut exchanges = Vec::new();
    let mut faults = Vec::new();
    for (name, file) in &ids {
        if let Some(rest) = name.strip_prefix(EXCHANGES) {
            let rest = rest.trim_start_matches('/');
            let stem = rest.rsplit_once('.').map_or(rest, |(stem, _)| stem);
            exchanges.extend(kit::read_exchange(stem, &files, *file, &mut diagnostics));
        } else if *name == FAULTS {
            faults = kit::read_faults(&files, *file, &mut diagnostics);
        }
    }
    if let Some(manifest) = &manifest {
        kit::check(manifest, &exchanges, &faults, &mut diagnostics);
    }
    Folder {
        manifest,
        exchanges,
        faults,
        files,
        diagnostics,
    }
}
