//! From places in the files of a project to places of the protocol.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use gen_lsp_types::{Location, Range as LspRange, Uri};
use kinfold_project::{FileId, SourceMap, Span};

use super::documents::Documents;
use super::position::{Encoding, Lines};

/// The names of project files, the one that counts first.
pub const PROJECT_FILES: [&str; 2] = ["kinfold.yml", "dbt_project.yml"];

/// Knows where the files of a project are.
pub struct Places<'a> {
    /// Folder of the project.
    pub root: &'a Path,
    /// Folders of the other packages; `None` for one that is part of the program.
    pub packages: HashMap<&'a str, Option<&'a Path>>,
    /// The files.
    pub files: &'a SourceMap,
    /// What is open.
    pub documents: &'a Documents,
    /// How the client counts.
    pub encoding: Encoding,
}

impl Places<'_> {
    /// Where a file is; `None` if it is part of the program.
    pub fn path(&self, file: FileId) -> Option<PathBuf> {
        let shown = self.files.get(file)?.path.to_str()?;
        let Some((package, rest)) = shown
            .strip_prefix('<')
            .and_then(|shown| shown.split_once(">/"))
        else {
            return Some(self.root.join(shown));
        };
        Some(self.packages.get(package).copied().flatten()?.join(rest))
    }

    /// The place of a span.
    pub fn location(&self, span: Span) -> Option<Location> {
        let path = self.path(span.file)?;
        let text = &self.files.get(span.file)?.text;
        let range = Lines::new(text, self.encoding).range(span.range());
        Some(Location::new(Uri(self.documents.uri(&path)?), range))
    }

    /// The place of a span in a file that is part of the program: the file is written to `target/packages`, where an
    /// editor finds it. `None` if it cannot be written.
    pub fn written_out(&self, span: Span) -> Option<Location> {
        let file = self.files.get(span.file)?;
        let (package, rest) = file.path.to_str()?.strip_prefix('<')?.split_once(">/")?;
        let path = self.root.join("target/packages").join(package).join(rest);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&*file.text) {
            std::fs::create_dir_all(path.parent()?).ok()?;
            std::fs::write(&path, file.text.as_bytes()).ok()?;
        }
        let range = Lines::new(&file.text, self.encoding).range(span.range());
        Some(Location::new(Uri(self.documents.uri(&path)?), range))
    }

    /// Where something is said that no place is known of: the start of the project file.
    pub fn project_file(&self) -> Option<Location> {
        let mut names = PROJECT_FILES.iter();
        let there = names.find(|name| self.root.join(name).is_file());
        let path = self.root.join(there.copied().unwrap_or(PROJECT_FILES[0]));
        Some(Location::new(
            Uri(self.documents.uri(&path)?),
            LspRange::default(),
        ))
    }
}
