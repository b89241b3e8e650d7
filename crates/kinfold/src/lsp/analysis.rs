//! What is known of a project at one moment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kinfold_project::{Diagnostic, Overlay, SourceMap};

use super::documents::Documents;
use super::places::Places;
use super::position::Encoding;
use crate::cli::Global;
use crate::commands::CommandError;
use crate::workspace::{Bound, Workspace};

/// The project as it was at a moment, with all that is wrong with it.
pub struct Analysis {
    /// Which texts it is of, see [`super::server::Server`].
    pub revision: u64,
    /// The texts that were open.
    pub documents: Documents,
    /// Folder of the project.
    pub root: PathBuf,
    /// The files that problems point into.
    pub files: SourceMap,
    /// The problems, those of `kinfold check`.
    pub found: Vec<Diagnostic>,
    /// The project, if it could be read so far that its nodes are known.
    pub read: Option<Read>,
    /// Why it could not, if that is no problem of a file.
    pub failure: Option<String>,
}

/// A project whose nodes are known.
pub struct Read {
    /// The project.
    pub workspace: Workspace,
    /// Its nodes.
    pub bound: Bound,
}

impl Analysis {
    /// Looks at the project with the texts of the overlay in the place of files.
    pub async fn of(
        global: &Global,
        root: &Path,
        documents: Documents,
        overlay: &Overlay,
        revision: u64,
    ) -> Self {
        let mut analysis = Self {
            revision,
            documents,
            root: root.to_path_buf(),
            files: SourceMap::default(),
            found: vec![],
            read: None,
            failure: None,
        };
        match read(global, root, overlay).await {
            Ok(read) => {
                analysis.root.clone_from(&read.workspace.root);
                analysis.files = read.workspace.files().clone();
                analysis.found.clone_from(&read.workspace.found);
                analysis.read = Some(read);
            }
            Err(CommandError::Diagnostics { files, found }) => {
                analysis.files = files;
                analysis.found = found;
            }
            Err(error) => analysis.failure = Some(error.to_string()),
        }
        analysis
    }

    /// Where its files are.
    pub fn places<'a>(&'a self, documents: &'a Documents, encoding: Encoding) -> Places<'a> {
        let read = self.read.iter();
        let packages = read.flat_map(|read| &read.workspace.project.packages);
        let packages: HashMap<&str, Option<&Path>> = packages
            .map(|package| (package.name.as_str(), package.root.as_deref()))
            .collect();
        Places {
            root: &self.root,
            packages,
            files: &self.files,
            documents,
            encoding,
        }
    }
}

/// What `kinfold check` does.
async fn read(global: &Global, root: &Path, overlay: &Overlay) -> Result<Read, CommandError> {
    let mut workspace = Workspace::load_overlaid(root, global, None, overlay)?;
    let bound = workspace.bind(None, false).await?;
    workspace.test_mappings(&bound).await;
    Ok(Read { workspace, bound })
}
