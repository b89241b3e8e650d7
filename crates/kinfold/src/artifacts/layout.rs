//! Where the files of nodes are, as dbt says it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinfold_project::{FileId, NodeId, Project, Span};

/// The longest name of a compiled file, in bytes. File systems allow 255.
const MAX_NAME_BYTES: usize = 200;

/// The places of all nodes that have a file.
#[derive(Debug, Default)]
pub(super) struct Layout<'p>(BTreeMap<NodeId, Place<'p>>);

/// Where a node is declared.
#[derive(Clone, Debug)]
pub(super) struct Place<'p> {
    pub(super) package: &'p str,
    /// Path below the package's folder.
    pub(super) original: String,
    /// Path below the resource's folder.
    pub(super) path: String,
    /// Names of folders and the node, without the package.
    pub(super) fqn: &'p [String],
    /// Whether the node is one of several that its file declares.
    shared: bool,
}

impl<'p> Layout<'p> {
    /// The places of a project's nodes.
    pub(super) fn of(project: &'p Project) -> Self {
        let mut places = BTreeMap::new();
        let own = |package: &'p str, original: String, fqn: &'p [String]| Place {
            path: last_parts(&original, fqn.len()).to_owned(),
            package,
            original,
            fqn,
            shared: false,
        };
        for model in &project.models {
            let original = original_path(project, &model.package, model.file);
            places.insert(model.id.clone(), own(&model.package, original, &model.fqn));
        }
        for test in &project.singular_tests {
            let original = original_path(project, &test.package, test.file);
            places.insert(test.id.clone(), own(&test.package, original, &test.fqn));
        }
        for seed in &project.seeds {
            let root = package_root(project, &seed.package).unwrap_or(&project.root);
            let original = seed.path.strip_prefix(root).unwrap_or(&seed.path);
            let original = with_slashes(original);
            places.insert(seed.id.clone(), own(&seed.package, original, &seed.fqn));
        }
        for source in &project.sources {
            let original = original_path(project, &source.package, source.table.span.file);
            let place = Place {
                package: &source.package,
                path: original.clone(),
                original,
                fqn: &source.fqn,
                shared: true,
            };
            places.insert(source.id.clone(), place);
        }
        for test in &project.generic_tests {
            let place = Place {
                package: &test.package,
                original: original_path(project, &test.package, test.test.span.file),
                path: format!("{}.sql", file_name(&test.alias, &test.id)),
                fqn: &test.fqn,
                shared: true,
            };
            places.insert(test.id.clone(), place);
        }
        for test in &project.unit_tests {
            let place = Place {
                package: &test.package,
                original: original_path(project, &test.package, test.name.span.file),
                path: format!("{}/{}.sql", test.model.value, test.name.value),
                fqn: &test.fqn,
                shared: true,
            };
            places.insert(test.id.clone(), place);
        }
        Self(places)
    }

    pub(super) fn place(&self, id: &NodeId) -> Option<&Place<'p>> {
        self.0.get(id)
    }
}

impl Place<'_> {
    /// Path of the compiled SQL below `target/`.
    pub(super) fn compiled(&self) -> PathBuf {
        let mut path = PathBuf::from("compiled");
        push(&mut path, self.package);
        push(&mut path, &self.original);
        if self.shared {
            push(&mut path, &self.path);
        }
        path
    }

    /// The package, then the names of folders and the node.
    pub(super) fn fqn(&self) -> Vec<&str> {
        let own = self.fqn.iter().map(String::as_str);
        std::iter::once(self.package).chain(own).collect()
    }
}

/// Adds the ordinary parts of a path, so that no name leads out of the folder.
fn push(path: &mut PathBuf, below: &str) {
    let ordinary = |part: &&str| !matches!(*part, "" | "." | "..");
    path.extend(below.split('/').filter(ordinary));
}

/// Path of a file below its package's folder.
pub(super) fn original_path(project: &Project, package: &str, file: FileId) -> String {
    let shown = with_slashes(project.files.path(file));
    match shown.strip_prefix(&format!("<{package}>/")) {
        Some(below) => below.to_owned(),
        None => shown,
    }
}

/// `package://path` of the properties file that a span is in.
pub(super) fn patch_path(project: &Project, package: &str, span: Option<Span>) -> Option<String> {
    let file = span?.file;
    Some(format!(
        "{package}://{}",
        original_path(project, package, file)
    ))
}

fn package_root<'p>(project: &'p Project, package: &str) -> Option<&'p Path> {
    let package = project.packages.iter().find(|p| p.name == package)?;
    package.root.as_deref()
}

fn with_slashes(path: &Path) -> String {
    let text = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' {
        return text.into_owned();
    }
    text.replace(std::path::MAIN_SEPARATOR, "/")
}

/// The last `count` parts of a path.
fn last_parts(path: &str, count: usize) -> &str {
    let cut = path.rmatch_indices('/').nth(count.saturating_sub(1));
    cut.and_then(|(at, _)| path.get(at + 1..)).unwrap_or(path)
}

/// The name of a test as one of a file. A test may be called anything.
fn file_name(name: &str, id: &NodeId) -> String {
    let safe = |c: char| {
        if c == '/' || c == '\\' || c.is_control() {
            '_'
        } else {
            c
        }
    };
    let mut text: String = name.chars().map(safe).collect();
    if text.len() > MAX_NAME_BYTES {
        // The last part of the id is a hash of all of it.
        let hash = id.as_str().rsplit('.').next().unwrap_or_default();
        let end = text.floor_char_boundary(MAX_NAME_BYTES.saturating_sub(hash.len() + 1));
        text.truncate(end);
        text.push('_');
        text.push_str(hash);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_in_their_folder() {
        let id = NodeId::from_text("test.p.x.0123456789");
        assert_eq!(file_name("../../a\u{0}b", &id), ".._.._a_b");
        let long = file_name(&"é".repeat(300), &id);
        assert!(
            long.len() <= MAX_NAME_BYTES && long.ends_with("_0123456789"),
            "{long}"
        );
        let place = Place {
            package: "..",
            original: "models/../../x.yml".to_owned(),
            path: "a.sql".to_owned(),
            fqn: &[],
            shared: true,
        };
        assert_eq!(place.compiled(), Path::new("compiled/models/x.yml/a.sql"));
        assert_eq!(last_parts("models/staging/a.sql", 2), "staging/a.sql");
        assert_eq!(last_parts("a.sql", 2), "a.sql");
    }
}
