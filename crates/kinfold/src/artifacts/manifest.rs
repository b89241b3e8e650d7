//! `manifest.json`.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_compile::compile::CompiledProject;
use kinfold_compile::lineage::ColumnGraph;
use kinfold_compile::render::{RenderedNode, RenderedProject, macro_calls, macro_id};
use kinfold_compile::select::delivered;
use kinfold_project::{GenericTest, NodeId, Project};
use serde_json::{Map, Value as Json, json};

use super::RunFacts;
use super::declared;
use super::exposure::exposure;
use super::layout::Layout;
use super::lineage::lineage;
use super::node::{Declared, Known};
use super::source::{docs, macro_entry, source};
use super::unit_test;

/// The whole document. Nodes that could not be rendered are not in it.
pub(super) fn document(
    project: &Project,
    rendered: &RenderedProject,
    compiled: Option<&CompiledProject>,
    run: &RunFacts,
) -> Json {
    let layout = Layout::of(project);
    let created_at = run.as_of.timestamp();
    let declared = declared(project);
    let graph = compiled.map(ColumnGraph::of).unwrap_or_default();
    let mut keys = primary_keys(project, rendered);
    let mut edges = Edges::default();
    let mut nodes = Map::new();
    let mut sources = Map::new();
    for node in rendered.nodes.values() {
        let Some(place) = layout.place(&node.id) else {
            continue;
        };
        if node.unit_test.is_some() {
            continue;
        }
        edges.node(node);
        let table = project.sources.iter().find(|source| source.id == node.id);
        if let Some(table) = table {
            let entry = source(project, table, node, place, created_at);
            sources.insert(node.id.to_string(), entry);
        }
        if let Some(declared) = declared.get(&node.id) {
            let known = Known {
                project,
                node,
                declared: *declared,
                place,
                compiled: compiled.and_then(|compiled| compiled.nodes.get(&node.id)),
                lineage: lineage(&graph, &node.id),
                primary_key: keys.remove(&node.id).unwrap_or_default(),
                created_at,
                schema: default_schema(project, run),
            };
            nodes.insert(node.id.to_string(), known.entry());
        }
    }
    let mut exposures = BTreeMap::new();
    for sync in project.syncs.iter().filter(|sync| sync.enabled) {
        let input = delivered(sync, rendered);
        let input = input.as_ref().map(NodeId::as_str);
        let (id, entry) = exposure(project, sync, input, lineage(&graph, &sync.id), created_at);
        edges.add(&id, input);
        exposures.insert(id, entry);
    }
    for declared in project.exposures.iter().filter(|found| found.enabled) {
        let (id, inputs, entry) = declared::exposure(project, rendered, declared, created_at);
        edges.add(&id, inputs.iter().map(NodeId::as_str));
        exposures.insert(id, entry);
    }
    let unit_tests = unit_tests(project, rendered, &mut edges, created_at);
    let groups = declared::groups(project);
    let group_map = declared::group_map(project, &nodes);
    let calls = macro_calls(project);
    let macros: BTreeMap<String, Json> = project
        .macros
        .iter()
        .map(|found| {
            let id = macro_id(&found.package, &found.name.value, found.kind);
            let called = calls.get(&id).cloned().unwrap_or_default();
            let entry = macro_entry(project, found, &id, &called, created_at);
            (id, entry)
        })
        .collect();
    let mut metadata = run.metadata("manifest/v12");
    metadata.insert("project_name".to_owned(), project.name.clone().into());
    metadata.insert("project_id".to_owned(), Json::Null);
    metadata.insert("user_id".to_owned(), Json::Null);
    metadata.insert("send_anonymous_usage_stats".to_owned(), false.into());
    metadata.insert("adapter_type".to_owned(), "kinfold".into());
    json!({
        "metadata": metadata,
        "nodes": nodes,
        "sources": sources,
        "macros": macros,
        "docs": docs(project),
        "exposures": exposures,
        "metrics": {},
        "groups": groups,
        "selectors": {},
        "disabled": {},
        "parent_map": edges.parents,
        "child_map": edges.children,
        "group_map": group_map,
        "saved_queries": {},
        "semantic_models": {},
        "unit_tests": unit_tests,
    })
}

fn declared(project: &Project) -> BTreeMap<&NodeId, Declared<'_>> {
    let models = project.models.iter().map(|m| (&m.id, Declared::Model(m)));
    let seeds = project.seeds.iter().map(|s| (&s.id, Declared::Seed(s)));
    let singular = project
        .singular_tests
        .iter()
        .map(|t| (&t.id, Declared::Singular(t)));
    let generic = project
        .generic_tests
        .iter()
        .map(|t| (&t.id, Declared::Generic(t)));
    models.chain(seeds).chain(singular).chain(generic).collect()
}

/// The columns that data tests prove to be a key, as dbt finds them: what is tested to be unique and not to be
/// null, else what is tested to be unique. Sorted.
fn primary_keys(project: &Project, rendered: &RenderedProject) -> BTreeMap<NodeId, Vec<String>> {
    let mut unique: BTreeMap<&NodeId, BTreeSet<String>> = BTreeMap::new();
    let mut present: BTreeMap<&NodeId, BTreeSet<String>> = BTreeMap::new();
    for test in &project.generic_tests {
        let rendered = rendered.nodes.get(&test.id);
        let Some(tested) = rendered.and_then(|node| node.tested.as_ref()) else {
            continue;
        };
        let columns = || test.column_name().into_iter().chain(combined(test));
        match test.test.value.rsplit('.').next() {
            Some("unique" | "unique_combination_of_columns") => {
                unique.entry(&tested.node).or_default().extend(columns());
            }
            Some("not_null") => present.entry(&tested.node).or_default().extend(columns()),
            _ => {}
        }
    }
    let keys = unique.into_iter().map(|(node, unique)| {
        let present = present.get(node);
        let both = unique
            .iter()
            .filter(|column| present.is_some_and(|present| present.contains(*column)));
        let both: Vec<String> = both.cloned().collect();
        let key = if both.is_empty() {
            unique.into_iter().collect()
        } else {
            both
        };
        (node.clone(), key)
    });
    keys.collect()
}

/// The columns that a test names together.
fn combined(test: &GenericTest) -> Vec<String> {
    let mut arguments = test.arguments.iter();
    let named = arguments.find(|(name, _)| name.value == "combination_of_columns");
    match named.map(|(_, value)| value.to_json()) {
        Some(Json::Array(columns)) => columns
            .iter()
            .filter_map(|column| Some(column.as_str()?.to_owned()))
            .collect(),
        _ => vec![],
    }
}

/// Unit tests have a section of their own.
fn unit_tests(
    project: &Project,
    rendered: &RenderedProject,
    edges: &mut Edges,
    created_at: i64,
) -> BTreeMap<String, Json> {
    let mut entries = BTreeMap::new();
    for node in rendered.nodes.values() {
        let Some(test) = &node.unit_test else {
            continue;
        };
        edges.node(node);
        let entry = unit_test::entry(project, node, &test.declared, created_at);
        entries.insert(node.id.to_string(), entry);
    }
    entries
}

fn default_schema<'p>(project: &'p Project, run: &RunFacts) -> &'p str {
    let environment = project
        .environments
        .iter()
        .find(|e| e.name.value == run.environment);
    environment.map_or("main", |environment| environment.schema.as_str())
}

/// `parent_map` and `child_map`: every node has an entry, which may be empty.
#[derive(Default)]
struct Edges {
    parents: BTreeMap<String, BTreeSet<String>>,
    children: BTreeMap<String, BTreeSet<String>>,
}

impl Edges {
    fn node(&mut self, node: &RenderedNode) {
        let inputs = node.depends_on.iter().map(|d| d.id.as_str());
        self.add(node.id.as_str(), inputs);
    }

    fn add<'i>(&mut self, id: &str, inputs: impl IntoIterator<Item = &'i str>) {
        self.children.entry(id.to_owned()).or_default();
        let parents = self.parents.entry(id.to_owned()).or_default();
        for input in inputs {
            parents.insert(input.to_owned());
            let children = self.children.entry(input.to_owned()).or_default();
            children.insert(id.to_owned());
        }
    }
}
