//! What is known of a project at one moment.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use chrono::DateTime;
use kinfold_compile::compile::CompiledNode;
use kinfold_compile::inspect::{FunctionPage, functions};
use kinfold_engine::{RunClock, offline_session};
use kinfold_project::{Diagnostic, NodeId, Overlay, SourceMap};

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
    /// The project as it could last be read so far that its nodes are known.
    pub read: Option<Arc<Read>>,
    /// The nodes of it, each as it was last bound.
    pub nodes: BTreeMap<NodeId, Arc<CompiledNode>>,
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
        before: Option<&Self>,
    ) -> Self {
        let mut analysis = Self {
            revision,
            documents,
            root: root.to_path_buf(),
            files: SourceMap::default(),
            found: vec![],
            read: before.and_then(|before| before.read.clone()),
            nodes: before
                .map(|before| before.nodes.clone())
                .unwrap_or_default(),
            failure: None,
        };
        match read(global, root, overlay).await {
            Ok(read) => {
                analysis.root.clone_from(&read.workspace.root);
                analysis.files = read.workspace.files().clone();
                analysis.found.clone_from(&read.workspace.found);
                analysis.learn(&read);
                analysis.read = Some(Arc::new(read));
            }
            Err(CommandError::Diagnostics { files, found }) => {
                analysis.files = files;
                analysis.found = found;
            }
            Err(error) => analysis.failure = Some(error.to_string()),
        }
        analysis
    }

    /// Takes the nodes that are bound. One that is there and is not bound stays what it was.
    fn learn(&mut self, read: &Read) {
        let rendered = &read.bound.rendered;
        let compiled = &read.bound.compiled;
        let project = &read.workspace.project;
        let models: Vec<&NodeId> = project.models.iter().map(|model| &model.id).collect();
        self.nodes
            .retain(|id, _| rendered.nodes.contains_key(id) || models.contains(&id));
        for (id, node) in &compiled.nodes {
            self.nodes.insert(id.clone(), Arc::new(node.clone()));
        }
    }

    /// Where the files are that its problems point into.
    pub fn places<'a>(&'a self, documents: &'a Documents, encoding: Encoding) -> Places<'a> {
        let packages = self.read.as_deref().map(Read::packages);
        Places {
            root: &self.root,
            packages: packages.unwrap_or_default(),
            files: &self.files,
            documents,
            encoding,
        }
    }
}

impl Read {
    fn packages(&self) -> HashMap<&str, Option<&Path>> {
        let packages = self.workspace.project.packages.iter();
        packages
            .map(|package| (package.name.as_str(), package.root.as_deref()))
            .collect()
    }

    /// Where its files are.
    pub fn places<'a>(&'a self, documents: &'a Documents, encoding: Encoding) -> Places<'a> {
        Places {
            root: &self.workspace.root,
            packages: self.packages(),
            files: self.workspace.files(),
            documents,
            encoding,
        }
    }
}

/// What is known of the functions of SQL.
pub fn pages() -> &'static [FunctionPage] {
    static PAGES: OnceLock<Vec<FunctionPage>> = OnceLock::new();
    PAGES.get_or_init(|| functions(&offline_session(&RunClock::at(DateTime::UNIX_EPOCH))))
}

/// What `kinfold check` does.
async fn read(global: &Global, root: &Path, overlay: &Overlay) -> Result<Read, CommandError> {
    let mut workspace = Workspace::load_overlaid(root, global, None, overlay)?;
    let bound = workspace.bind(None, false).await?;
    workspace.test_mappings(&bound).await;
    Ok(Read { workspace, bound })
}
