//! The files of a package that are nodes themselves: models, seeds, tests, macros and docs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::codes;
use crate::diagnostic::{Diagnostic, FileId, Span};
use crate::located::Located;
use crate::model::{Macro, MacroKind, Model, Project, Seed, SingularTest};
use crate::node::{NodeId, ResourceType};

use super::config_tree::{Configs, TreeKind};
use super::files::{Reading, Store, extension, folders_below, stem};
use super::jinja_blocks;
use super::project_file::Paths;

/// Where the files of one package come from.
pub(super) struct PackageFiles<'a> {
    pub(super) name: &'a str,
    pub(super) index: usize,
    pub(super) store: &'a Store,
    pub(super) paths: &'a Paths,
    /// What the paths of its files start with in messages; empty for the root.
    pub(super) prefix: &'a str,
}

/// A properties file that was found, not yet read.
pub(super) struct FoundProperties {
    pub(super) path: String,
    pub(super) folders: Vec<String>,
}

impl PackageFiles<'_> {
    /// Files below the folders, each once, with the folder that it was found through.
    pub(super) fn below(&self, folders: &[String], reading: &mut Reading) -> Vec<(String, String)> {
        let mut seen = BTreeSet::new();
        let mut found = vec![];
        for folder in folders {
            for path in self.store.list(folder, &self.paths.skipped, reading) {
                if seen.insert(path.clone()) {
                    found.push((path, folder.clone()));
                }
            }
        }
        found
    }

    /// The destinations of its own: folders below `destinations/` that have a manifest.
    pub(super) fn destinations(&self) -> Vec<(String, PathBuf)> {
        let Store::Folder(root) = self.store else {
            return vec![];
        };
        let below = std::fs::read_dir(root.join("destinations"));
        let folders = below.into_iter().flatten().filter_map(|entry| {
            let entry = entry.ok()?;
            let path = entry.path();
            let name = entry.file_name().into_string().ok()?;
            path.join("manifest.yml").is_file().then_some((name, path))
        });
        let mut folders: Vec<_> = folders.collect();
        folders.sort();
        folders
    }

    pub(super) fn read(&self, path: &str, reading: &mut Reading) -> Option<FileId> {
        self.store
            .read(path, &format!("{}{path}", self.prefix), reading)
    }

    /// Finds the nodes and adds them to the project; returns the properties files.
    pub(super) fn collect(
        &self,
        project: &mut Project,
        configs: &mut Configs,
        reading: &mut Reading,
    ) -> Vec<FoundProperties> {
        let mut properties: Vec<FoundProperties> = vec![];
        let mut taken = BTreeSet::new();
        let mut note = |path: &str, folder: &str| {
            if matches!(extension(path).as_str(), "yml" | "yaml") && taken.insert(path.to_owned()) {
                properties.push(FoundProperties {
                    path: path.to_owned(),
                    folders: folders_below(path, folder),
                });
            }
        };
        for (path, folder) in self.below(&self.paths.models, reading) {
            note(&path, &folder);
            match extension(&path).as_str() {
                "sql" => self.model(&path, &folder, project, configs, reading),
                "py" => {
                    if let Some(file) = self.read(&path, reading) {
                        reading.problems.push(
                            Diagnostic::error(
                                codes::UNSUPPORTED,
                                "models in Python are not supported",
                                Span::new(file, 0, 0),
                            )
                            .with_help("write it in SQL"),
                        );
                    }
                }
                _ => {}
            }
        }
        for (path, folder) in self.below(&self.paths.seeds, reading) {
            note(&path, &folder);
            if extension(&path) == "csv" {
                self.seed(&path, &folder, project, configs, reading);
            }
        }
        for (path, folder) in self.below(&self.paths.macros, reading) {
            note(&path, &folder);
            if extension(&path) == "sql" {
                self.macros(&path, project, reading);
            }
        }
        for (path, folder) in self.below(&self.paths.tests, reading) {
            note(&path, &folder);
            let folders = folders_below(&path, &folder);
            match (
                extension(&path).as_str(),
                folders.first().map(String::as_str),
            ) {
                ("sql", Some("generic")) => self.macros(&path, project, reading),
                // Data of unit tests.
                (_, Some("fixtures")) => {}
                ("sql", _) => self.singular_test(&path, &folder, project, configs, reading),
                _ => {}
            }
        }
        for (path, _) in self.below(&self.paths.docs, reading) {
            if extension(&path) == "md" {
                self.docs(&path, project, reading);
            }
        }
        let snapshots = self.below(&self.paths.snapshots, reading);
        let snapshot = snapshots
            .iter()
            .find(|(path, _)| matches!(extension(path).as_str(), "sql" | "yml" | "yaml"));
        if let Some((path, _)) = snapshot
            && let Some(file) = self.read(path, reading)
        {
            reading.problems.push(
                Diagnostic::warning(
                    codes::UNSUPPORTED,
                    "snapshots are not supported yet",
                    Span::new(file, 0, 0),
                )
                .with_note("all files below the snapshot folders are ignored"),
            );
        }
        properties
    }

    fn model(
        &self,
        path: &str,
        folder: &str,
        project: &mut Project,
        configs: &mut Configs,
        reading: &mut Reading,
    ) {
        let Some(file) = self.read(path, reading) else {
            return;
        };
        let name = stem(path).to_owned();
        self.check_name("model", &name, path, Some(file), reading);
        let fqn = fqn(path, folder, &name);
        let (config, overrides) =
            configs.layers(self.index, TreeKind::Models, &self.tree_path(&fqn));
        project.models.push(Model {
            id: NodeId::new(ResourceType::Model, &[self.name, &name]),
            package: self.name.to_owned(),
            name,
            file,
            fqn,
            config,
            overrides,
            description: None,
            columns: vec![],
            properties: None,
        });
    }

    fn seed(
        &self,
        path: &str,
        folder: &str,
        project: &mut Project,
        configs: &mut Configs,
        reading: &mut Reading,
    ) {
        let name = stem(path).to_owned();
        self.check_name("seed", &name, path, None, reading);
        let embedded = match self.store {
            // The text that stands for the file.
            Store::Folder(root) => reading.overlay.get(&root.join(path)).cloned(),
            Store::Embedded(files) => files
                .iter()
                .find(|(p, _)| *p == path)
                .map(|(_, text)| (*text).into()),
        };
        let fqn = fqn(path, folder, &name);
        let (mut config, overrides) =
            configs.layers(self.index, TreeKind::Seeds, &self.tree_path(&fqn));
        config.extend(overrides);
        project.seeds.push(Seed {
            id: NodeId::new(ResourceType::Seed, &[self.name, &name]),
            package: self.name.to_owned(),
            name,
            path: self.store.path(path).unwrap_or_else(|| path.into()),
            embedded,
            fqn,
            config,
            description: None,
            columns: vec![],
        });
    }

    fn singular_test(
        &self,
        path: &str,
        folder: &str,
        project: &mut Project,
        configs: &mut Configs,
        reading: &mut Reading,
    ) {
        let Some(file) = self.read(path, reading) else {
            return;
        };
        let name = stem(path).to_owned();
        self.check_name("test", &name, path, Some(file), reading);
        let fqn = fqn(path, folder, &name);
        let (mut config, overrides) =
            configs.layers(self.index, TreeKind::Tests, &self.tree_path(&fqn));
        config.extend(overrides);
        project.singular_tests.push(SingularTest {
            id: NodeId::new(ResourceType::Test, &[self.name, &name]),
            package: self.name.to_owned(),
            name,
            file,
            fqn,
            config,
        });
    }

    fn macros(&self, path: &str, project: &mut Project, reading: &mut Reading) {
        let Some(file) = self.read(path, reading) else {
            return;
        };
        let text = reading.text(file);
        let keywords = ["macro", "test", "data_test", "materialization", "snapshot"];
        let (blocks, broken) = jinja_blocks::find(&text, &keywords);
        for item in broken {
            reading.problems.push(Diagnostic::error(
                codes::JINJA_BLOCK,
                item.message,
                Span::new(file, item.start, item.end),
            ));
        }
        for block in blocks {
            let name_len = block
                .head
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(block.head.len());
            let (name, after) = block.head.split_at(name_len);
            let name_span = Span::new(file, block.head_start, block.head_start + name_len);
            let kind = match block.keyword {
                "macro" => MacroKind::Macro,
                "test" | "data_test" => MacroKind::Test,
                keyword => {
                    reading.problems.push(
                        Diagnostic::warning(
                            codes::UNSUPPORTED,
                            format!("a `{keyword}` block is not supported and is ignored"),
                            Span::new(file, block.start, block.head_start + block.head.len()),
                        )
                        .with_note("materializations are built in"),
                    );
                    continue;
                }
            };
            if name.is_empty() || !after.trim_start().starts_with('(') {
                reading.problems.push(
                    Diagnostic::error(
                        codes::JINJA_BLOCK,
                        format!("this `{}` has no name with `(…)`", block.keyword),
                        Span::new(file, block.start, block.head_start + block.head.len()),
                    )
                    .with_help(format!("write `{{% {} name(…) %}}`", block.keyword)),
                );
                continue;
            }
            let clash = project
                .macros
                .iter()
                .find(|m| m.package == self.name && m.name.value == name && m.kind == kind);
            if let Some(first) = clash {
                reading.problems.push(
                    Diagnostic::error(
                        codes::DUPLICATE_NAME,
                        format!("there are two macros `{name}`"),
                        name_span,
                    )
                    .with_related(first.name.span, "the other one"),
                );
                continue;
            }
            project.macros.push(Macro {
                package: self.name.to_owned(),
                name: Located::new(name.to_owned(), name_span),
                kind,
                file,
                block: Span::new(file, block.start, block.end),
            });
        }
    }

    fn docs(&self, path: &str, project: &mut Project, reading: &mut Reading) {
        let Some(file) = self.read(path, reading) else {
            return;
        };
        let text = reading.text(file);
        let (blocks, broken) = jinja_blocks::find(&text, &["docs"]);
        for item in broken {
            reading.problems.push(Diagnostic::error(
                codes::JINJA_BLOCK,
                item.message,
                Span::new(file, item.start, item.end),
            ));
        }
        for block in blocks {
            let head = Span::new(file, block.head_start, block.head_start + block.head.len());
            let valid = !block.head.is_empty()
                && block.head.chars().all(|c| c.is_alphanumeric() || c == '_');
            if !valid {
                reading.problems.push(
                    Diagnostic::error(
                        codes::JINJA_BLOCK,
                        "this `docs` block has no name",
                        Span::new(file, block.start, head.range().end),
                    )
                    .with_help("write `{% docs name %}`"),
                );
                continue;
            }
            let key = (self.name.to_owned(), block.head.to_owned());
            if let Some(first) = project.docs.get(&key) {
                reading.problems.push(
                    Diagnostic::error(
                        codes::DUPLICATE_NAME,
                        format!("there are two docs blocks `{}`", block.head),
                        head,
                    )
                    .with_related(first.span, "the other one"),
                );
                continue;
            }
            project
                .docs
                .insert(key, Located::new(block.body.trim().to_owned(), head));
        }
    }

    /// The path of a node in a configuration tree.
    fn tree_path<'p>(&'p self, fqn: &'p [String]) -> Vec<&'p str> {
        std::iter::once(self.name)
            .chain(fqn.iter().map(String::as_str))
            .collect()
    }

    /// Names become parts of ids, which dots separate, and of folders.
    fn check_name(
        &self,
        what: &str,
        name: &str,
        path: &str,
        file: Option<FileId>,
        reading: &mut Reading,
    ) {
        let valid = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if valid {
            return;
        }
        let message = format!(
            "`{name}` cannot be the name of a {what} (`{}{path}`)",
            self.prefix
        );
        let diagnostic = match file {
            Some(file) => Diagnostic::error(codes::INVALID_NAME, message, Span::new(file, 0, 0)),
            None => Diagnostic::error_nowhere(codes::INVALID_NAME, message),
        };
        reading
            .problems
            .push(diagnostic.with_help("use letters, digits, `_` and `-` in the name of the file"));
    }
}

fn fqn(path: &str, folder: &str, name: &str) -> Vec<String> {
    let mut fqn = folders_below(path, folder);
    fqn.push(name.to_owned());
    fqn
}
