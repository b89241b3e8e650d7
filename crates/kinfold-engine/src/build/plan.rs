//! Stage *plan*: which nodes a build would make, and whom it would concern. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_compile::compile::{CompiledNode, CompiledProject};
use kinfold_compile::render::Materialization;
use kinfold_project::{NodeId, Project, ResourceType};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::identity::IdentityEffect;
use super::{BuildRequest, Inputs, NodeResult, Progress, Run, key, kind_of, node_key};
use crate::{Engine, EngineError};

/// What shall be planned.
pub struct PlanRequest<'a> {
    /// The project.
    pub project: &'a Project,
    /// The project, bound.
    pub compiled: &'a CompiledProject,
    /// The nodes to look at; only identities have an effect to show.
    pub selected: &'a BTreeSet<NodeId>,
    /// Ends the command.
    pub cancel: CancellationToken,
}

/// What a build would do to the identities of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// Always true: a plan that cannot be made is an error.
    pub success: bool,
    /// The identities that were asked for, parents before children.
    pub nodes: Vec<PlannedNode>,
}

/// What a build would do to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedNode {
    /// Its id.
    pub id: NodeId,
    /// Its materialization.
    pub kind: &'static str,
    /// What would be done.
    pub action: PlannedAction,
    /// Why.
    pub reason: String,
    /// What it reads and would be built before it. The effect is that on what is published of these.
    pub stale_inputs: Vec<NodeId>,
    /// What would change; none if nothing is done, or if it cannot be known before its inputs are built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityEffect>,
}

/// What would be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedAction {
    /// It would be built.
    Build,
    /// What is published is up to date.
    Skip,
}

/// Resolves identities anew, as a build would on the rows that are loaded, and says what differs from
/// what is published.
///
/// # Errors
/// Those of reading the rows.
pub async fn plan(engine: &Engine, request: PlanRequest<'_>) -> Result<PlanReport, EngineError> {
    let published = engine.published().await?.document;
    let nothing = BTreeSet::new();
    let build = BuildRequest {
        project: request.project,
        compiled: request.compiled,
        selected: &nothing,
        full_refresh: false,
        progress: &Silent,
        cancel: request.cancel,
    };
    let mut run = Run {
        engine,
        request: &build,
        published: &published,
        next: published.clone(),
        results: vec![],
        broken: BTreeSet::new(),
        unsound: BTreeSet::new(),
    };
    let compiled = request.compiled;
    let is_identity = |node: &&CompiledNode| {
        node.resource == ResourceType::Model
            && node.config.materialized.value == Materialization::Identity
    };
    let identities: Vec<&CompiledNode> = compiled
        .order
        .iter()
        .filter(|id| request.selected.contains(*id))
        .filter_map(|id| compiled.nodes.get(id))
        .filter(is_identity)
        .collect();
    let mut changed: BTreeMap<&NodeId, bool> = BTreeMap::new();
    let needed = ancestors(compiled, &identities);
    for id in compiled.order.iter().filter(|id| needed.contains(*id)) {
        let Some(node) = compiled.nodes.get(id) else {
            continue;
        };
        let stale = run.would_be_built(node).await?;
        changed.insert(id, stale);
    }
    let mut nodes = vec![];
    for node in identities {
        let above = ancestors(compiled, &[node]);
        let stale = above.iter().filter(|id| changed.get(*id) == Some(&true));
        let stale: Vec<NodeId> = stale.map(|id| (*id).clone()).collect();
        nodes.push(run.planned(node, stale).await?);
    }
    Ok(PlanReport {
        success: true,
        nodes,
    })
}

/// Everything that these nodes are made of.
fn ancestors<'c>(
    compiled: &'c CompiledProject,
    nodes: &[&'c CompiledNode],
) -> BTreeSet<&'c NodeId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&CompiledNode> = nodes.to_vec();
    while let Some(node) = open.pop() {
        for parent in &node.depends_on {
            if found.insert(parent)
                && let Some(parent) = compiled.nodes.get(parent)
            {
                open.push(parent);
            }
        }
    }
    found
}

impl Run<'_> {
    /// Whether a build would make this node anew. What is only pinned is pinned.
    async fn would_be_built(&mut self, node: &CompiledNode) -> Result<bool, EngineError> {
        let key = match node.resource {
            ResourceType::Source => match self.planned_source(node).await? {
                Some(key) => key,
                None => return Ok(false),
            },
            ResourceType::Seed => self.seed_key(node)?,
            ResourceType::Test | ResourceType::Sync => return Ok(false),
            ResourceType::Model => match node.config.materialized.value {
                // Their SQL is part of what reads them.
                Materialization::View | Materialization::Ephemeral => return Ok(false),
                _ => match self.inputs_of(node) {
                    Ok(inputs) => self.key_of(node, &inputs).await?,
                    Err(EngineError::NotBuilt(_)) => return Ok(true),
                    Err(error) => return Err(error),
                },
            },
        };
        let previous = self.published.nodes.get(&node.id);
        Ok(previous.is_none_or(|previous| previous.key != key))
    }

    async fn planned(
        &self,
        node: &CompiledNode,
        stale_inputs: Vec<NodeId>,
    ) -> Result<PlannedNode, EngineError> {
        let of = |action, reason: String, identity| PlannedNode {
            id: node.id.clone(),
            kind: kind_of(node),
            action,
            reason,
            stale_inputs,
            identity,
        };
        let inputs = match self.inputs_of(node) {
            Ok(inputs) => inputs,
            Err(EngineError::NotBuilt(missing)) => {
                let reason = format!("`{missing}` was never built, so its rows are not known");
                return Ok(of(PlannedAction::Build, reason, None));
            }
            Err(error) => return Err(error),
        };
        let key = self.key_of(node, &inputs).await?;
        let previous = self.published.nodes.get(&node.id);
        if previous.is_some_and(|previous| previous.key == key) {
            let reason = "same SQL, same rules, same input versions".to_owned();
            return Ok(of(PlannedAction::Skip, reason, None));
        }
        let reason = key::why(previous, node, &inputs, false);
        let providers = self.engine.providers(&self.next, &node.reads).await?;
        let effect = self.plan_identity(node, &providers).await?;
        Ok(of(PlannedAction::Build, reason, Some(effect)))
    }

    /// The key of a node over these inputs.
    pub(super) async fn key_of(
        &self,
        node: &CompiledNode,
        inputs: &Inputs,
    ) -> Result<String, EngineError> {
        let mut moment = self.moment(node);
        if node.resource == ResourceType::Model
            && node.config.materialized.value == Materialization::Identity
        {
            // Counts changes of what an identity publishes; and whom it leaves out.
            let suppression = super::identity::Suppression::load(self.engine, &node.id).await?;
            moment.push_str("\nidentity 2\n");
            moment.push_str(suppression.version());
        }
        Ok(node_key(node.fingerprint, inputs, &moment))
    }
}

/// Tells nobody.
struct Silent;

impl Progress for Silent {
    fn started(&self, _: &NodeId, _: usize, _: usize) {}
    fn finished(&self, _: &NodeResult) {}
}
