//! `manifest.json`.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_compile::compile::CompiledProject;
use kinfold_compile::lineage::ColumnGraph;
use kinfold_compile::render::{RenderedNode, RenderedProject};
use kinfold_compile::select::delivered;
use kinfold_project::{NodeId, Project};
use serde_json::{Map, Value as Json, json};

use super::RunFacts;
use super::exposure::exposure;
use super::layout::Layout;
use super::lineage::lineage;
use super::node::{Declared, Known};
use super::source::{docs, macro_entry, source};

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
    let mut edges = Edges::default();
    let mut nodes = Map::new();
    let mut sources = Map::new();
    for node in rendered.nodes.values() {
        let Some(place) = layout.place(&node.id) else {
            continue;
        };
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
    let macros: BTreeMap<String, Json> = project
        .macros
        .iter()
        .map(|found| macro_entry(project, found, created_at))
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
        "groups": {},
        "selectors": {},
        "disabled": {},
        "parent_map": edges.parents,
        "child_map": edges.children,
        "group_map": {},
        "saved_queries": {},
        "semantic_models": {},
        "unit_tests": {},
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
