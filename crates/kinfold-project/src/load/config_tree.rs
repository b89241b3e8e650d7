//! `models:`, `seeds:`, `sources:` and `data_tests:` of a project file: configuration by folder.

use std::collections::{BTreeSet, HashSet};

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::located::{Located, Value, ValueKind};
use crate::model::ConfigLayer;
use crate::suggest;

/// The configuration keys that are known. Others are allowed, as in dbt; the list only finds
/// misspellings.
pub(super) const KNOWN: &[&str] = &[
    "access",
    "alias",
    "batch_size",
    "begin",
    "bind",
    "blocking",
    "check_cols",
    "cluster_by",
    "clustering",
    "column_types",
    "comparisons",
    "concurrent_batches",
    "contract",
    "database",
    "delimiter",
    "description",
    "dist",
    "docs",
    "enabled",
    "entity",
    "error_if",
    "event_time",
    "fail_calc",
    "file_format",
    "freshness",
    "full_refresh",
    "grants",
    "group",
    "hard_deletes",
    "identifiers",
    "incremental_predicates",
    "incremental_strategy",
    "indexes",
    "invalidate_hard_deletes",
    "limit",
    "link",
    "loaded_at_field",
    "lookback",
    "materialized",
    "max_block",
    "max_identifiers",
    "merge_exclude_columns",
    "merge_update_columns",
    "meta",
    "on_configuration_change",
    "on_error",
    "on_schema_change",
    "packages",
    "partition_by",
    "persist_docs",
    "post-hook",
    "post_hook",
    "pre-hook",
    "pre_hook",
    "prior",
    "quote_columns",
    "quoting",
    "salt",
    "schema",
    "severity",
    "snapshot_meta_column_names",
    "sort",
    "sql_header",
    "analysis",
    "static_analysis",
    "store_failures",
    "store_failures_as",
    "strategy",
    "tags",
    "target_database",
    "target_schema",
    "tblproperties",
    "threshold",
    "training",
    "transient",
    "unique_key",
    "unlogged",
    "updated_at",
    "warn_if",
    "where",
];

/// What a tree configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TreeKind {
    Models,
    Seeds,
    Sources,
    Tests,
}

/// The trees of one package.
#[derive(Debug)]
pub(super) struct PackageTrees {
    pub(super) models: ConfigTree,
    pub(super) seeds: ConfigTree,
    pub(super) sources: ConfigTree,
    pub(super) tests: ConfigTree,
}

/// The trees of all packages, the root's first.
#[derive(Debug, Default)]
pub(super) struct Configs(pub(super) Vec<PackageTrees>);

impl Configs {
    /// The layers for a node of a package by the package's own tree, and those by the root's tree
    /// if the package is another one.
    pub(super) fn layers(
        &mut self,
        package: usize,
        kind: TreeKind,
        path: &[&str],
    ) -> (Vec<ConfigLayer>, Vec<ConfigLayer>) {
        let mut of = |index: usize| {
            self.0
                .get_mut(index)
                .map(|trees| match kind {
                    TreeKind::Models => trees.models.layers(path),
                    TreeKind::Seeds => trees.seeds.layers(path),
                    TreeKind::Sources => trees.sources.layers(path),
                    TreeKind::Tests => trees.tests.layers(path),
                })
                .unwrap_or_default()
        };
        let own = of(package);
        let overrides = if package == 0 { vec![] } else { of(0) };
        (own, overrides)
    }

    /// Warnings about all trees.
    pub(super) fn warnings(&self, problems: &mut Vec<Diagnostic>) {
        for trees in &self.0 {
            for tree in [&trees.models, &trees.seeds, &trees.sources, &trees.tests] {
                tree.warnings(problems);
            }
        }
    }
}

/// A tree, and which of its folders were used.
#[derive(Debug)]
pub(super) struct ConfigTree {
    /// Weakest first.
    roots: Vec<Value>,
    used: HashSet<Span>,
    /// Packages and folders that have something in them.
    folders: BTreeSet<String>,
}

impl ConfigTree {
    pub(super) fn new(roots: Vec<Value>) -> Self {
        Self {
            roots,
            used: HashSet::new(),
            folders: BTreeSet::new(),
        }
    }

    /// The layers for a node, from the top of the tree to the node's own folder. `path` starts with
    /// the package and ends with the node's name.
    fn layers(&mut self, path: &[&str]) -> Vec<ConfigLayer> {
        let mut layers = vec![];
        if !self.roots.is_empty() {
            for name in path {
                if !self.folders.contains(*name) {
                    self.folders.insert((*name).to_owned());
                }
            }
        }
        for root in &self.roots {
            let mut level = Some(root);
            let mut names = path.iter();
            while let Some(value) = level {
                let ValueKind::Map(entries) = &value.kind else {
                    break;
                };
                let layer = ConfigLayer {
                    entries: entries.iter().filter_map(config_entry).collect(),
                };
                if !layer.entries.is_empty() {
                    layers.push(layer);
                }
                let Some(name) = names.next() else { break };
                level = None;
                for (key, value) in entries {
                    if key.value == *name && matches!(value.kind, ValueKind::Map(_)) {
                        self.used.insert(key.span);
                        level = Some(value);
                    }
                }
            }
        }
        layers
    }

    /// Warnings about folders that match nothing and keys that look misspelled.
    fn warnings(&self, problems: &mut Vec<Diagnostic>) {
        for root in &self.roots {
            self.warnings_below(root, problems);
        }
    }

    fn warnings_below(&self, value: &Value, problems: &mut Vec<Diagnostic>) {
        let ValueKind::Map(entries) = &value.kind else {
            return;
        };
        for (key, value) in entries {
            if let Some((name, _)) = config_entry(&(key.clone(), value.clone())) {
                problems.extend(misspelled(&name));
            } else if matches!(value.kind, ValueKind::Null) {
                // A folder with nothing said about it.
            } else if self.used.contains(&key.span) {
                self.warnings_below(value, problems);
            } else {
                let warning = Diagnostic::warning(
                    codes::UNUSED_CONFIG_PATH,
                    format!(
                        "`{}` is no package or folder with anything in it",
                        key.value
                    ),
                    key.span,
                );
                let folders = self.folders.iter().map(String::as_str);
                problems.push(if KNOWN.contains(&key.value.as_str()) {
                    warning.with_help(format!("to set the configuration, write `+{}`", key.value))
                } else if let Some(help) = suggest::did_you_mean(&key.value, folders) {
                    warning.with_help(help)
                } else {
                    warning
                });
            }
        }
    }
}

/// The entry as configuration, unless it is a folder: a key with `+`, or a bare one whose value is
/// no mapping. This is dbt's rule.
fn config_entry((key, value): &(Located<String>, Value)) -> Option<(Located<String>, Value)> {
    if let Some(name) = key.value.strip_prefix('+') {
        let name = Located::new(name.trim().to_owned(), key.span);
        return Some((name, value.clone()));
    }
    let folder = matches!(value.kind, ValueKind::Map(_) | ValueKind::Null);
    (!folder).then(|| (key.clone(), value.clone()))
}

/// A warning if a configuration key is nearly a known one.
pub(super) fn misspelled(key: &Located<String>) -> Option<Diagnostic> {
    if KNOWN.contains(&key.value.as_str()) {
        return None;
    }
    let near = suggest::did_you_mean(&key.value, KNOWN.iter().copied())?;
    Some(
        Diagnostic::warning(
            codes::UNKNOWN_CONFIG_KEY,
            format!("the configuration key `{}` is not known", key.value),
            key.span,
        )
        .with_help(near),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceMap;

    #[test]
    fn bare_and_plus_keys_and_folders() {
        let text = "+docs: {node_color: red}\nshop:\n  materialized: table\n  staging:\n    materialized: view\n    +tags: [a]\n  gone:\n    x: 1\n  meta: {a: 1}\nmaterialised: view\n";
        let mut files = SourceMap::default();
        let file = files.add("dbt_project.yml", text);
        let mut problems = vec![];
        let value = crate::yaml::read(text, file, &mut problems);
        let mut tree = ConfigTree::new(value.into_iter().collect());
        let keys = |layers: Vec<ConfigLayer>| -> Vec<Vec<String>> {
            layers
                .into_iter()
                .map(|layer| layer.entries.into_iter().map(|(k, _)| k.value).collect())
                .collect()
        };
        assert_eq!(
            keys(tree.layers(&["shop", "staging", "stg_orders"])),
            [
                vec!["docs", "materialised"],
                vec!["materialized"],
                vec!["materialized", "tags"]
            ]
        );
        assert_eq!(keys(tree.layers(&["shop", "orders"])).len(), 2);
        assert_eq!(keys(tree.layers(&["other", "orders"])).len(), 1);
        tree.warnings(&mut problems);
        let found: Vec<&str> = problems
            .iter()
            .map(|p| files.text(p.primary.as_ref().map_or(Span::new(file, 0, 0), |l| l.span)))
            .collect();
        assert_eq!(found, ["gone", "meta", "materialised"]);
    }
}
