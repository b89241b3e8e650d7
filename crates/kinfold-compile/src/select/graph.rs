//! What selection knows of a project.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_project::{
    FileId, Located, NodeId, Project, Reference, ResourceType, Selector, Span, Sync,
};
use serde_json::Value as Json;

use super::state::{Before, Change};
use crate::render::{RenderedNode, RenderedProject};

/// The nodes of a project with what selectors compare, and their edges. Disabled nodes are not in it;
/// nodes whose rendering failed are, by what is known of them.
#[derive(Clone, Debug, Default)]
pub struct SelectGraph {
    /// Name of the root package (`package:this`).
    pub(super) root: String,
    /// Names of disabled nodes.
    pub(super) disabled: BTreeSet<String>,
    /// Selections with a name.
    pub(super) selectors: Vec<Selector>,
    /// What is known of an earlier state.
    before: Option<Before>,
    nodes: Vec<SelectNode>,
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
}

/// What selectors compare.
#[derive(Clone, Debug)]
pub(super) struct SelectNode {
    pub(super) id: NodeId,
    pub(super) resource: ResourceType,
    pub(super) package: String,
    pub(super) name: String,
    /// The package, folders, and the name.
    pub(super) fqn: Vec<String>,
    /// Paths relative to the project's root: of its own file first, then of the properties file that
    /// describes it.
    pub(super) paths: Vec<String>,
    pub(super) tags: Vec<String>,
    /// Name of the source, for its tables.
    pub(super) source: Option<String>,
    /// The test's own name, for generic data tests.
    pub(super) test: Option<String>,
    /// Configuration, with dbt's keys.
    pub(super) config: serde_json::Map<String, Json>,
}

impl SelectGraph {
    /// The graph of a rendered project, with its enabled syncs as the last nodes.
    #[must_use]
    pub fn of(project: &Project, rendered: &RenderedProject) -> Self {
        let mut places = places(project);
        let mut nodes = Vec::with_capacity(places.len());
        for node in rendered.nodes.values() {
            let declared = places.remove(&node.id).unwrap_or_default();
            let inputs = node.depends_on.iter().map(|d| d.id.clone()).collect();
            nodes.push((of_node(node, declared), inputs));
        }
        let mut disabled = BTreeSet::new();
        for id in &rendered.disabled {
            if let Some(declared) = places.remove(id) {
                disabled.extend(declared.fqn.last().cloned());
            }
        }
        nodes.extend(
            places
                .into_iter()
                .map(|(id, declared)| (unrendered(id, declared), vec![])),
        );
        for sync in &project.syncs {
            if sync.enabled {
                let input = delivered(sync, rendered).into_iter().collect();
                nodes.push((of_sync(sync, project), input));
            } else {
                disabled.insert(sync.name.value.clone());
            }
        }
        Self {
            disabled,
            selectors: project.selectors.clone(),
            ..Self::new(&project.name, nodes)
        }
    }

    /// The graph, with what `state:` and `result:` compare with.
    #[must_use]
    pub fn with_before(self, before: Before) -> Self {
        Self {
            before: Some(before),
            ..self
        }
    }

    /// Whether there is an earlier state to compare with.
    pub(super) fn has_before(&self) -> bool {
        self.before.is_some()
    }

    /// How a node differs from the earlier state; none if it does not.
    pub(super) fn change(&self, node: &SelectNode) -> Option<&Change> {
        self.before.as_ref()?.changes.get(&node.id)
    }

    /// What became of a node in the run of the earlier state.
    pub(super) fn result(&self, node: &SelectNode) -> Option<&str> {
        let results = &self.before.as_ref()?.results;
        results.get(&node.id).map(String::as_str)
    }

    /// A graph of nodes, each with the nodes that it reads. Reads of unknown nodes are left out.
    pub(super) fn new(
        root: &str,
        nodes: impl IntoIterator<Item = (SelectNode, Vec<NodeId>)>,
    ) -> Self {
        let (nodes, inputs): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        let indices: BTreeMap<NodeId, usize> = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (node.id.clone(), index))
            .collect();
        let mut children = vec![Vec::new(); nodes.len()];
        let mut parents = Vec::with_capacity(nodes.len());
        for (child, inputs) in inputs.into_iter().enumerate() {
            let known: Vec<usize> = inputs
                .iter()
                .filter_map(|id| indices.get(id).copied())
                .collect();
            for parent in &known {
                if let Some(of_parent) = children.get_mut(*parent) {
                    of_parent.push(child);
                }
            }
            parents.push(known);
        }
        Self {
            root: root.to_owned(),
            disabled: BTreeSet::new(),
            selectors: vec![],
            before: None,
            nodes,
            parents,
            children,
        }
    }

    /// Whether a node of that name is switched off.
    pub(super) fn is_disabled(&self, name: &str) -> bool {
        self.disabled.contains(name)
    }

    pub(super) fn node(&self, index: usize) -> Option<&SelectNode> {
        self.nodes.get(index)
    }

    pub(super) fn nodes(&self) -> &[SelectNode] {
        &self.nodes
    }

    pub(super) fn all(&self) -> BTreeSet<usize> {
        (0..self.nodes.len()).collect()
    }

    /// The nodes themselves and what they read, up to `depth` steps away.
    pub(super) fn ancestors(&self, start: &BTreeSet<usize>, depth: usize) -> BTreeSet<usize> {
        reached(start, depth, &self.parents)
    }

    /// The nodes themselves and what reads them, up to `depth` steps away.
    pub(super) fn descendants(&self, start: &BTreeSet<usize>, depth: usize) -> BTreeSet<usize> {
        reached(start, depth, &self.children)
    }

    /// The nodes, every data test that reads one of them, and their unit tests.
    pub(super) fn with_tests(&self, mut nodes: BTreeSet<usize>) -> BTreeSet<usize> {
        let tests: Vec<usize> = nodes
            .iter()
            .filter_map(|index| self.children.get(*index))
            .flatten()
            .copied()
            .filter(|child| self.node(*child).is_some_and(|n| n.resource.is_test()))
            .collect();
        nodes.extend(tests);
        nodes
    }
}

/// Breadth first, so that every node is met at its smallest distance.
fn reached(start: &BTreeSet<usize>, depth: usize, next: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut found = start.clone();
    let mut front: Vec<usize> = start.iter().copied().collect();
    let mut steps = 0;
    while steps < depth && !front.is_empty() {
        front = front
            .iter()
            .filter_map(|index| next.get(*index))
            .flatten()
            .copied()
            .filter(|index| found.insert(*index))
            .collect();
        steps += 1;
    }
    found
}

/// Where a node is declared.
#[derive(Clone, Default)]
struct Declared {
    fqn: Vec<String>,
    paths: Vec<String>,
    source: Option<String>,
}

fn places(project: &Project) -> BTreeMap<NodeId, Declared> {
    let path = |file: FileId| path_of(project, file);
    let mut places = BTreeMap::new();
    for model in &project.models {
        let described = model.properties.map(|span| path(span.file));
        let paths = std::iter::once(path(model.file)).chain(described).collect();
        let declared = Declared {
            fqn: model.fqn.clone(),
            paths,
            source: None,
        };
        places.insert(model.id.clone(), declared);
    }
    for seed in &project.seeds {
        let own = seed.path.strip_prefix(&project.root).unwrap_or(&seed.path);
        let described =
            described_at(seed.description.as_ref(), &seed.columns).map(|span| path(span.file));
        let paths = std::iter::once(own.to_string_lossy().into_owned())
            .chain(described)
            .collect();
        let declared = Declared {
            fqn: seed.fqn.clone(),
            paths,
            source: None,
        };
        places.insert(seed.id.clone(), declared);
    }
    for source in &project.sources {
        let declared = Declared {
            fqn: source.fqn.clone(),
            paths: vec![path(source.table.span.file)],
            source: Some(source.source.value.clone()),
        };
        places.insert(source.id.clone(), declared);
    }
    for test in &project.generic_tests {
        let declared = Declared {
            fqn: test.fqn.clone(),
            paths: vec![path(test.test.span.file)],
            source: None,
        };
        places.insert(test.id.clone(), declared);
    }
    for test in &project.singular_tests {
        let declared = Declared {
            fqn: test.fqn.clone(),
            paths: vec![path(test.file)],
            source: None,
        };
        places.insert(test.id.clone(), declared);
    }
    for test in &project.unit_tests {
        let declared = Declared {
            fqn: test.fqn.clone(),
            paths: vec![path(test.name.span.file)],
            source: None,
        };
        places.insert(test.id.clone(), declared);
    }
    places
}

/// Path of a file relative to the project's root. Files of an embedded package have none there: they
/// keep the path that they are shown with.
fn path_of(project: &Project, file: FileId) -> String {
    let shown = project.files.path(file).to_string_lossy();
    let in_package = project.packages.iter().find_map(|package| {
        let below = shown.strip_prefix(&format!("<{}>/", package.name))?;
        let folder = package.root.as_ref()?.strip_prefix(&project.root).ok()?;
        Some(folder.join(below).to_string_lossy().into_owned())
    });
    in_package.unwrap_or_else(|| shown.into_owned())
}

fn described_at(
    description: Option<&Located<String>>,
    columns: &[kinfold_project::Column],
) -> Option<Span> {
    let column = columns.first().map(|column| column.name.span);
    description.map(|text| text.span).or(column)
}

fn of_node(node: &RenderedNode, declared: Declared) -> SelectNode {
    let fqn = std::iter::once(node.package.clone())
        .chain(declared.fqn)
        .collect();
    SelectNode {
        id: node.id.clone(),
        resource: node.resource,
        package: node.package.clone(),
        name: node.name.clone(),
        fqn,
        paths: declared.paths,
        tags: node.config.tags.clone(),
        source: declared.source,
        test: node.tested.as_ref().map(|tested| tested.test.value.clone()),
        config: config(node),
    }
}

/// A node without a rendering: its configuration and what it reads are not known.
fn unrendered(id: NodeId, declared: Declared) -> SelectNode {
    let mut parts = id.as_str().splitn(3, '.');
    let resource = match parts.next() {
        Some("source") => ResourceType::Source,
        Some("seed") => ResourceType::Seed,
        Some("test") => ResourceType::Test,
        Some("unit_test") => ResourceType::UnitTest,
        _ => ResourceType::Model,
    };
    let package = parts.next().unwrap_or_default().to_owned();
    let name = declared.fqn.last().cloned().unwrap_or_default();
    SelectNode {
        resource,
        name,
        fqn: std::iter::once(package.clone())
            .chain(declared.fqn)
            .collect(),
        package,
        paths: declared.paths,
        tags: vec![],
        source: declared.source,
        test: None,
        config: serde_json::Map::new(),
        id,
    }
}

/// The configuration with dbt's keys. Keys that are not configured and have no default are left out.
fn config(node: &RenderedNode) -> serde_json::Map<String, Json> {
    let config = &node.config;
    let mut all: serde_json::Map<String, Json> = config
        .extra
        .iter()
        .map(|(key, value)| (key.clone(), value.value.clone()))
        .collect();
    let mut put = |key: &str, value: Json| {
        all.insert(key.to_owned(), value);
    };
    let materialized = match node.resource {
        ResourceType::Model | ResourceType::Seed => Some(config.materialized.value.as_str()),
        ResourceType::Test => Some("test"),
        ResourceType::UnitTest => Some("unit"),
        ResourceType::Source | ResourceType::Sync => None,
    };
    if let Some(word) = materialized {
        put("materialized", word.into());
    }
    let texts = [
        ("schema", &config.schema),
        ("alias", &config.alias),
        ("entity", &config.entity),
        ("where", &config.filter),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            put(key, text.value.clone().into());
        }
    }
    if node.resource == ResourceType::Test {
        let severity = match config.severity {
            crate::render::TestSeverity::Error => "error",
            crate::render::TestSeverity::Warn => "warn",
        };
        put("severity", severity.into());
        put("error_if", config.error_if.value.clone().into());
        put("warn_if", config.warn_if.value.clone().into());
        put("fail_calc", config.fail_calc.value.clone().into());
        put("store_failures", config.store_failures.into());
        if let Some(limit) = &config.limit {
            put("limit", limit.value.into());
        }
    }
    put("enabled", config.enabled.into());
    put("tags", config.tags.clone().into());
    put("meta", Json::Object(config.meta.clone()));
    all
}

fn of_sync(sync: &Sync, project: &Project) -> SelectNode {
    let path = path_of(project, sync.span.file);
    let tags: Vec<String> = sync.tags.iter().map(|tag| tag.value.clone()).collect();
    let purposes: Vec<String> = sync
        .purposes
        .iter()
        .map(|purpose| purpose.value.clone())
        .collect();
    let config = [
        ("connection", Json::from(sync.connection.value.as_str())),
        ("object", Json::from(sync.object.value.as_str())),
        ("mode", Json::from(sync.mode.value.as_str())),
        ("on_leave", Json::from(sync.on_leave.value.as_str())),
        ("purposes", Json::from(purposes)),
        ("tags", Json::from(tags.clone())),
        ("enabled", Json::from(sync.enabled)),
    ];
    SelectNode {
        id: sync.id.clone(),
        resource: ResourceType::Sync,
        package: sync.package.clone(),
        name: sync.name.value.clone(),
        fqn: vec![sync.package.clone(), sync.name.value.clone()],
        paths: vec![path],
        tags,
        source: None,
        test: None,
        config: config
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    }
}

/// The node that a sync reads: the one of the sync's own package, if several have the name. `None` if
/// it is disabled, failed to render, or does not exist.
#[must_use]
pub fn delivered(sync: &Sync, rendered: &RenderedProject) -> Option<NodeId> {
    referenced(&sync.input, &sync.package, rendered)
}

/// The node that a reference in a properties file of a package names, of the package itself if there are several.
#[must_use]
pub fn referenced(
    reference: &Reference,
    package_of: &str,
    rendered: &RenderedProject,
) -> Option<NodeId> {
    let found: Vec<&RenderedNode> = match reference {
        Reference::Model { package, name } => {
            let nodes = || {
                rendered
                    .nodes
                    .values()
                    .filter(|n| matches!(n.resource, ResourceType::Model | ResourceType::Seed))
                    .filter(|n| package.as_ref().is_none_or(|package| n.package == *package))
            };
            let own: Vec<_> = nodes().filter(|n| n.name == *name).collect();
            if own.is_empty() {
                nodes()
                    .filter(|n| n.companions.iter().any(|c| c.ref_name == *name))
                    .collect()
            } else {
                own
            }
        }
        Reference::Source { source, table } => {
            let ending = format!(".{source}.{table}");
            rendered
                .nodes
                .values()
                .filter(|n| n.resource == ResourceType::Source && n.id.as_str().ends_with(&ending))
                .collect()
        }
    };
    let own = found.iter().find(|n| n.package == package_of);
    own.or(found.first()).map(|n| n.id.clone())
}
