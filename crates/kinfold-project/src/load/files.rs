//! Finding and reading the files of a package, on disk or embedded.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::overlay::Overlay;
use crate::codes;
use crate::diagnostic::{Diagnostic, FileId, SourceMap, Span};

/// Larger files are not read: every offset must fit a [`Span`], and no text file of a project is
/// near this.
const MAX_TEXT_BYTES: u64 = 64 * 1024 * 1024;

/// Folders inside folders.
const MAX_FOLDERS: usize = 64;

/// Where the files of a package are.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Folder(PathBuf),
    Embedded(&'static [(&'static str, &'static str)]),
}

/// Everything that was read and found wrong so far.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) files: SourceMap,
    pub(super) problems: Vec<Diagnostic>,
    /// What stands for files on disk.
    pub(super) overlay: Overlay,
}

impl Store {
    /// Path on disk of a file of the package.
    pub(super) fn path(&self, relative: &str) -> Option<PathBuf> {
        match self {
            Self::Folder(root) => Some(root.join(relative)),
            Self::Embedded(_) => None,
        }
    }

    pub(super) fn has(&self, relative: &str, reading: &Reading) -> bool {
        match self {
            Self::Folder(root) => {
                let path = root.join(relative);
                reading.overlay.get(&path).is_some() || path.is_file()
            }
            Self::Embedded(files) => files.iter().any(|(path, _)| *path == relative),
        }
    }

    /// Paths of the files below `folder`, relative to the package's root, in order of their names.
    /// Hidden files and the folders `skipped` are left out.
    pub(super) fn list(
        &self,
        folder: &str,
        skipped: &[String],
        reading: &mut Reading,
    ) -> BTreeSet<String> {
        let folder = folder.trim_matches('/');
        let mut found = BTreeSet::new();
        match self {
            Self::Folder(root) => {
                let top = root.join(folder);
                if top.is_dir() {
                    let mut walk = Walk {
                        skipped,
                        reading,
                        found: &mut found,
                        above: vec![],
                    };
                    walk.folder(&top, if folder == "." { "" } else { folder });
                }
                found.extend(reading.overlay.below(root, folder, skipped));
            }
            Self::Embedded(files) => {
                let prefix = format!("{folder}/");
                let below = files
                    .iter()
                    .map(|(path, _)| *path)
                    .filter(|path| folder == "." || path.starts_with(&prefix));
                found.extend(below.map(str::to_owned));
            }
        }
        found
    }

    /// Reads a text file. `display` is its path in messages.
    pub(super) fn read(
        &self,
        relative: &str,
        display: &str,
        reading: &mut Reading,
    ) -> Option<FileId> {
        match self {
            Self::Folder(root) => reading.file(&root.join(relative), display),
            Self::Embedded(files) => {
                let (_, text) = files.iter().find(|(path, _)| *path == relative)?;
                Some(reading.files.add(display, *text))
            }
        }
    }
}

impl Reading {
    /// Text of a file that was read.
    pub(super) fn text(&self, file: FileId) -> std::sync::Arc<str> {
        self.files
            .get(file)
            .map_or_else(|| "".into(), |f| f.text.clone())
    }

    fn too_large(&mut self, display: &str, bytes: u64) {
        self.problems.push(Diagnostic::error_nowhere(
            codes::FILE_TOO_LARGE,
            format!("`{display}` has {bytes} bytes, at most {MAX_TEXT_BYTES} are read"),
        ));
    }

    fn file(&mut self, path: &Path, display: &str) -> Option<FileId> {
        let unreadable = |error: &std::io::Error| {
            let diagnostic = Diagnostic::error_nowhere(
                codes::FILE_NOT_READABLE,
                format!("`{display}` cannot be read: {error}"),
            );
            match fs::read_link(path) {
                Ok(to) => diagnostic.with_note(format!("it is a link to `{}`", to.display())),
                Err(_) => diagnostic,
            }
        };
        if let Some(text) = self.overlay.get(path).cloned() {
            if text.len() as u64 > MAX_TEXT_BYTES {
                self.too_large(display, text.len() as u64);
                return None;
            }
            return Some(self.files.add(display, text));
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() > MAX_TEXT_BYTES => {
                self.too_large(display, metadata.len());
                return None;
            }
            // Opening a pipe or a device could wait for ever.
            Ok(metadata) if !metadata.is_file() => {
                self.problems.push(Diagnostic::error_nowhere(
                    codes::FILE_NOT_READABLE,
                    format!("`{display}` is not a regular file"),
                ));
                return None;
            }
            Ok(_) => {}
            Err(error) => {
                self.problems.push(unreadable(&error));
                return None;
            }
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problems.push(unreadable(&error));
                return None;
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => Some(self.files.add(display, text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let end = at + char::REPLACEMENT_CHARACTER.len_utf8();
                let file = self.files.add(display, lossy);
                self.problems.push(
                    Diagnostic::error(
                        codes::FILE_NOT_UTF8,
                        format!("`{display}` is not UTF-8"),
                        Span::new(file, at, end),
                    )
                    .with_label("the first byte that is not")
                    .with_help("save the file as UTF-8"),
                );
                None
            }
        }
    }
}

struct Walk<'a> {
    skipped: &'a [String],
    reading: &'a mut Reading,
    found: &'a mut BTreeSet<String>,
    /// The folders that this one is in, without symbolic links.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path, relative: &str) {
        let shown = if relative.is_empty() { "." } else { relative };
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => return self.unreadable(shown, &error),
        };
        if self.above.contains(&real) {
            self.reading.problems.push(
                Diagnostic::error_nowhere(
                    codes::SYMLINK_LOOP,
                    format!("the link `{shown}` leads back to a folder that it is in"),
                )
                .with_help("remove the link"),
            );
            return;
        }
        if self.above.len() >= MAX_FOLDERS {
            self.reading.problems.push(Diagnostic::error_nowhere(
                codes::FILE_NOT_READABLE,
                format!("`{shown}` is more than {MAX_FOLDERS} folders deep"),
            ));
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(shown, &error),
        };
        let mut names: Vec<String> = vec![];
        for entry in entries {
            match entry {
                Ok(entry) => match entry.file_name().into_string() {
                    Ok(name) => names.push(name),
                    Err(name) => self.reading.problems.push(Diagnostic::error_nowhere(
                        codes::INVALID_NAME,
                        format!(
                            "the name of the file `{}` in `{shown}` is not UTF-8",
                            name.to_string_lossy()
                        ),
                    )),
                },
                Err(error) => self.unreadable(shown, &error),
            }
        }
        names.sort_unstable();
        self.above.push(real);
        for name in names {
            if name.starts_with('.') {
                continue;
            }
            let below = if relative.is_empty() {
                name.clone()
            } else {
                format!("{relative}/{name}")
            };
            let path = path.join(&name);
            if path.is_dir() {
                if !self.skipped.contains(&below) {
                    self.folder(&path, &below);
                }
            } else {
                self.found.insert(below);
            }
        }
        self.above.pop();
    }

    fn unreadable(&mut self, shown: &str, error: &std::io::Error) {
        self.reading.problems.push(Diagnostic::error_nowhere(
            codes::FILE_NOT_READABLE,
            format!("the folder `{shown}` cannot be read: {error}"),
        ));
    }
}

/// The ending of a path's last part in lower case, without the dot.
pub(super) fn extension(path: &str) -> String {
    Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("")
        .to_lowercase()
}

/// The last part of a path without its ending.
pub(super) fn stem(path: &str) -> &str {
    Path::new(path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or(path)
}

/// The folders between `base` and the file's own name.
pub(super) fn folders_below(path: &str, base: &str) -> Vec<String> {
    let base = base.trim_matches('/');
    let below = if base == "." {
        path
    } else {
        path.strip_prefix(base).unwrap_or(path)
    };
    let mut parts: Vec<String> = below
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    parts.pop();
    parts
}
