//! Texts that stand for files on disk.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Texts in the place of files: what an editor holds and has not saved. A text without a file on disk is a
/// file that will be there once it is saved.
///
/// Clones share what they hold until one of them is changed.
#[derive(Clone, Debug, Default)]
pub struct Overlay(Arc<BTreeMap<PathBuf, Arc<str>>>);

impl Overlay {
    /// Puts a text in the place of a file. The path is absolute.
    pub fn insert(&mut self, path: &Path, text: Arc<str>) {
        Arc::make_mut(&mut self.0).insert(plain(path), text);
    }

    /// Lets the file on disk count again.
    pub fn remove(&mut self, path: &Path) {
        Arc::make_mut(&mut self.0).remove(&plain(path));
    }

    /// The text in the place of a file.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Arc<str>> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&plain(path))
    }

    /// The files below a folder of `root` that there is a text for, relative to `root`, as a walk of the disk
    /// would find them: without hidden ones and those below the folders `skipped`.
    pub(super) fn below(&self, root: &Path, folder: &str, skipped: &[String]) -> Vec<String> {
        if self.0.is_empty() {
            return vec![];
        }
        let root = plain(root);
        let top = plain(&root.join(folder));
        let inside = self.0.keys().filter(|path| path.starts_with(&top));
        inside
            .filter_map(|path| {
                let parts: Option<Vec<&str>> = path
                    .strip_prefix(&root)
                    .ok()?
                    .components()
                    .map(|part| part.as_os_str().to_str())
                    .collect();
                let parts = parts?;
                let from = folder.split('/').filter(|part| *part != ".").count();
                let hidden = parts.iter().skip(from).any(|part| part.starts_with('.'));
                let in_skipped = (from + 1..parts.len()).any(|count| {
                    let folder = parts.get(..count).map(|parts| parts.join("/"));
                    folder.is_some_and(|folder| skipped.contains(&folder))
                });
                (!hidden && !in_skipped && !parts.is_empty()).then(|| parts.join("/"))
            })
            .collect()
    }
}

/// The path without `.` and `..`; links are not followed.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(paths: &[&str]) -> Overlay {
        let mut overlay = Overlay::default();
        for path in paths {
            overlay.insert(Path::new(path), "".into());
        }
        overlay
    }

    #[test]
    fn only_what_a_walk_would_find_is_below_a_folder() {
        let overlay = overlay(&[
            "/p/models/a.sql",
            "/p/models/x/b.sql",
            "/p/models/.c.sql",
            "/p/models/target/d.sql",
            "/p/modelsbeside/e.sql",
            "/q/models/f.sql",
        ]);
        let skipped = ["models/target".to_owned()];
        let below = |folder| overlay.below(Path::new("/p"), folder, &skipped);
        assert_eq!(below("models"), ["models/a.sql", "models/x/b.sql"]);
        assert_eq!(
            below("."),
            ["models/a.sql", "models/x/b.sql", "modelsbeside/e.sql"]
        );
        // The folder itself was asked for.
        assert_eq!(below("models/target"), ["models/target/d.sql"]);
    }

    #[test]
    fn a_path_may_go_up_on_its_way() {
        let overlay = overlay(&["/packages/../money/models/a.sql"]);
        assert!(
            overlay
                .get(Path::new("/shop/../money/./models/a.sql"))
                .is_some()
        );
        assert!(overlay.get(Path::new("/money/models/b.sql")).is_none());
    }
}
