//! Stage *plan*: what a build would do to each node, and whom it would concern. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_compile::compile::{CompiledNode, CompiledProject};
use kinfold_compile::render::Materialization;
use kinfold_project::{NodeId, Project, ResourceType};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::identities::Reads;
use super::identity::IdentityEffect;
use super::table::Keys;
use super::{
    BuildRequest, Deferral, Inputs, NodeResult, NodeStatus, Progress, Run, incremental, key,
    kind_of, node_key,
};
use crate::{Engine, EngineError};

/// What shall be planned.
pub struct PlanRequest<'a> {
    /// The project.
    pub project: &'a Project,
    /// The project, bound.
    pub compiled: &'a CompiledProject,
    /// The nodes that a build would look at.
    pub selected: &'a BTreeSet<NodeId>,
    /// Where what is neither selected nor built here is read.
    pub defer: Option<&'a Deferral>,
    /// Ends the command.
    pub cancel: CancellationToken,
}

/// What a build would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// Always true: a plan that cannot be made is an error.
    pub success: bool,
    /// The sources, seeds and models that were asked for, parents before children.
    pub nodes: Vec<PlannedNode>,
    /// What is published and not in the project any more: a build unpublishes it.
    pub removed: Vec<NodeId>,
}

/// What a build would do to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedNode {
    /// Its id.
    pub id: NodeId,
    /// Its materialization, `source` or `seed`.
    pub kind: &'static str,
    /// What would be done.
    pub action: PlannedAction,
    /// Why: the first thing that differs.
    pub reason: String,
    /// What it is made of and is not up to date. The effect is that on what is published of these.
    pub stale_inputs: Vec<NodeId>,
    /// What would change in an identity; none if nothing is done, or if it cannot be known before its
    /// inputs are built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityEffect>,
}

/// What would be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedAction {
    /// It would be built.
    Build,
    /// It would be built of all its rows, although usually only what is new is added to it.
    Backfill,
    /// An earlier run that was not published, or the environment that is deferred to, has just what would
    /// be built.
    Reuse,
    /// What is published is up to date.
    Skip,
}

impl PlannedAction {
    /// The word for it in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Backfill => "backfill",
            Self::Reuse => "reuse",
            Self::Skip => "skip",
        }
    }
}

/// Says of every selected node what a build would do and why. Of an identity whose rules or rows differ it
/// says whom that concerns, by resolving it on the rows that are loaded. Writes nothing.
///
/// # Errors
/// Those of reading the rows.
pub async fn plan(engine: &Engine, request: PlanRequest<'_>) -> Result<PlanReport, EngineError> {
    let current = engine.published().await?.document;
    let own = current.own();
    let mut next = current.clone();
    if let Some(deferral) = request.defer {
        deferral.fill(&mut next, request.compiled, request.selected);
    }
    let nothing = BTreeSet::new();
    let build = BuildRequest {
        project: request.project,
        compiled: request.compiled,
        selected: &nothing,
        full_refresh: false,
        defer: request.defer,
        progress: &Silent,
        cancel: request.cancel.clone(),
    };
    let mut run = Run {
        engine,
        request: &build,
        published: &own,
        current: &current,
        next,
        results: vec![],
        broken: BTreeSet::new(),
        unsound: BTreeSet::new(),
        disproved: BTreeSet::new(),
        counted: BTreeMap::new(),
        ahead: BTreeMap::new(),
    };
    let compiled = request.compiled;
    let is_planned = |node: &&CompiledNode| {
        !node.resource.is_test()
            && node.resource != ResourceType::Sync
            && request.selected.contains(&node.id)
    };
    let order = || {
        compiled
            .order
            .iter()
            .filter_map(|id| compiled.nodes.get(id))
    };
    let chosen: Vec<&CompiledNode> = order().filter(is_planned).collect();
    let mut needed = ancestors(compiled, &chosen);
    needed.extend(chosen.iter().map(|node| &node.id));
    // Nodes that would be built, and these with the views of them.
    let mut stale: BTreeSet<&NodeId> = BTreeSet::new();
    let mut reached: BTreeSet<&NodeId> = BTreeSet::new();
    let mut nodes = vec![];
    for node in order().filter(|node| needed.contains(&node.id)) {
        if request.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let mut stale_inputs = vec![];
        let mut parents = node.depends_on.iter();
        let is_below = parents.any(|parent| reached.contains(parent));
        if is_below {
            let above = ancestors(compiled, &[node]);
            let order = compiled.order.iter();
            stale_inputs.extend(
                order
                    .filter(|id| above.contains(id) && stale.contains(id))
                    .cloned(),
            );
        }
        let is_chosen = request.selected.contains(&node.id);
        let read_anew = stale_inputs
            .iter()
            .rfind(|id| request.selected.contains(id));
        let planned = run.planned(node, read_anew, is_chosen).await?;
        if matches!(
            planned.action,
            PlannedAction::Build | PlannedAction::Backfill
        ) {
            stale.insert(&node.id);
            reached.insert(&node.id);
        } else if is_below && !is_stored(node) {
            // What is new above it is new in what reads it.
            reached.insert(&node.id);
        } else {
            stale_inputs.clear();
        }
        if is_chosen {
            nodes.push(PlannedNode {
                stale_inputs,
                ..planned
            });
        }
    }
    let gone = |id: &&NodeId| {
        let known = compiled.nodes.contains_key(*id) || compiled.unbound.contains(*id);
        !known && !id.as_str().starts_with("test.")
    };
    Ok(PlanReport {
        success: true,
        nodes,
        removed: current.nodes.keys().filter(gone).cloned().collect(),
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
    /// What would be done to a node. `read_anew` is something that it is made of and that would be built
    /// before it; whom it concerns is found out only `with_effect`.
    async fn planned(
        &mut self,
        node: &CompiledNode,
        read_anew: Option<&NodeId>,
        with_effect: bool,
    ) -> Result<PlannedNode, EngineError> {
        let of = |action, reason: String, identity| PlannedNode {
            id: node.id.clone(),
            kind: kind_of(node),
            action,
            reason,
            stale_inputs: vec![],
            identity,
        };
        let anew = read_anew.map(|id| format!("`{}` is built before it", name_of(id)));
        let (inputs, reads, key) = match self.known(node).await? {
            Known::Inputs(inputs, key) => (inputs, None, key),
            Known::Reads(reads, key) => {
                // What is not there yet has no version, and then the key is none that is known.
                let inputs = self.inputs_of(node).unwrap_or_default();
                (inputs, Some(reads), key)
            }
            Known::Pinned(None) => {
                return Ok(match anew {
                    Some(anew) => {
                        self.is_ahead(node, with_effect);
                        of(PlannedAction::Build, anew, None)
                    }
                    None => of(PlannedAction::Skip, "up to date".into(), None),
                });
            }
            Known::Pinned(Some(reason)) => return Ok(of(PlannedAction::Build, reason, None)),
            Known::Missing(missing) => {
                self.is_ahead(node, with_effect);
                let reason = anew.unwrap_or_else(|| {
                    format!("`{missing}` was never built, so its rows are not known")
                });
                return Ok(of(PlannedAction::Build, reason, None));
            }
        };
        if let Some(found) = self.skip(node, &key) {
            // What is made of it is looked up there.
            self.next
                .nodes
                .extend(found.node.map(|there| (node.id.clone(), there)));
            return Ok(match found.status {
                NodeStatus::Reused => of(PlannedAction::Reuse, found.reason, None),
                _ => of(PlannedAction::Skip, found.reason, None),
            });
        }
        let is_model = node.resource == ResourceType::Model;
        if is_stored(node) && (is_model || node.resource == ResourceType::Seed) {
            let basis = match &reads {
                Some(reads) => Some(self.basis(node, reads)?),
                None => None,
            };
            let past = self.past(node)?;
            let mark = incremental::marked(&key, past.as_ref());
            let keys = Keys {
                key: &key,
                mark: &mark,
            };
            let found = self.reuse(node, keys, &inputs, basis.as_ref()).await?;
            if let Some(found) = found {
                self.next
                    .nodes
                    .extend(found.node.map(|there| (node.id.clone(), there)));
                return Ok(of(PlannedAction::Reuse, found.reason, None));
            }
        }
        let previous = self.published.nodes.get(&node.id);
        let (action, reason) = match node.resource {
            ResourceType::Source => self.landing(node).await?,
            _ => {
                let reason = match &reads {
                    Some(reads) => self.why_model(previous, node, reads),
                    None => key::why(previous, node, &inputs, false),
                };
                let meaning = node.fingerprint.to_string();
                let changed = previous.is_some_and(|p| p.fingerprint != meaning);
                let amended = match node.config.materialized.value {
                    Materialization::Identity => true,
                    Materialization::Incremental => self.past(node)?.is_none(),
                    _ => false,
                };
                if is_model && amended && changed {
                    (PlannedAction::Backfill, reason)
                } else {
                    (PlannedAction::Build, reason)
                }
            }
        };
        let identity = is_model && node.config.materialized.value == Materialization::Identity;
        let effect = if identity && with_effect {
            match self.engine.providers(&self.next, &node.reads).await {
                Ok(providers) => Some(self.plan_identity(node, &providers).await?),
                // Something would be built first that never was.
                Err(EngineError::NotBuilt(_)) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        self.is_ahead(node, with_effect);
        Ok(of(action, reason, effect))
    }

    /// A node will be built before what is looked at from here on, if it was `chosen`.
    fn is_ahead(&mut self, node: &CompiledNode, chosen: bool) {
        if chosen && is_stored(node) {
            // What is not known of its inputs is not known of it.
            let data = self.data_made(node).ok().flatten();
            self.ahead.insert(node.id.clone(), data);
        }
    }

    /// What a node would be made of, as far as that is known before anything is built.
    async fn known(&mut self, node: &CompiledNode) -> Result<Known, EngineError> {
        let reads = match node.resource {
            ResourceType::Source => return self.known_source(node).await,
            ResourceType::Seed => {
                let inputs = self.seed_inputs(node)?;
                let key = node_key(node.fingerprint, &inputs, "");
                return Ok(Known::Inputs(inputs, key));
            }
            _ => match node.config.materialized.value {
                // Their SQL is part of what reads them.
                Materialization::View | Materialization::Ephemeral => {
                    let key = node.fingerprint.to_string();
                    return Ok(Known::Inputs(Inputs::default(), key));
                }
                _ => self.reads_of(node),
            },
        };
        match reads {
            Ok(reads) => {
                let key = self.key_of(node, &reads).await?;
                Ok(Known::Reads(reads, key))
            }
            Err(EngineError::NotBuilt(missing)) => Ok(Known::Missing(missing)),
            Err(error) => Err(error),
        }
    }

    /// The key of a node that reads this.
    pub(super) async fn key_of(
        &self,
        node: &CompiledNode,
        reads: &Reads,
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
        Ok(reads.key(node.fingerprint, &moment))
    }
}

/// What a node would be made of.
pub(super) enum Known {
    /// These versions, which give this key.
    Inputs(Inputs, String),
    /// This data, which gives this key.
    Reads(Reads, String),
    /// The table that it is; why it is another one than before.
    Pinned(Option<String>),
    /// Something that is not there yet.
    Missing(NodeId),
}

/// Whether a node has a table. The SQL of a view is part of what reads it.
fn is_stored(node: &CompiledNode) -> bool {
    let inlined = matches!(
        node.config.materialized.value,
        Materialization::View | Materialization::Ephemeral
    );
    node.resource != ResourceType::Model || !inlined
}

fn name_of(id: &NodeId) -> &str {
    id.as_str().rsplit('.').next().unwrap_or_default()
}

/// Tells nobody.
struct Silent;

impl Progress for Silent {
    fn started(&self, _: &NodeId, _: usize, _: usize) {}
    fn finished(&self, _: &NodeResult) {}
}
