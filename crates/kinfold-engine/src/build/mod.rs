//! Stages *plan*, *execute*, *audit* and *publish*: the nodes of a project, parents first.

mod audit;
mod defer;
mod erase;
mod identities;
mod identity;
mod incremental;
mod inputs;
mod key;
pub(crate) mod linkage;
mod plan;
mod profile;
mod segment;
mod statement;
mod table;
mod unit_test;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kinfold_compile::compile::{CompiledNode, CompiledProject, Determinism};
use kinfold_compile::render::Materialization;
use kinfold_lake::{Holder, Lease};
use kinfold_project::{NodeId, Project, ResourceType};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub(crate) use key::{Inputs, node_key};

pub use defer::Deferral;
pub use erase::{EraseReport, EraseRequest, ErasedTable, KeptVersion, erase};
pub use identity::{Flow, IdentityEffect, IdentityExample};
pub use linkage::{LinkageFailure, Trained};
pub use plan::{PlanReport, PlanRequest, PlannedAction, PlannedNode, plan};
pub(crate) use statement::quoted;

use table::Keys;

use crate::lease::{Heartbeat, lease_time};
use crate::published::{DataIdentities, Published, PublishedNode};
use crate::stream::Providers;
use crate::{Engine, EngineError};

/// What a build shall do.
pub struct BuildRequest<'a> {
    /// The project.
    pub project: &'a Project,
    /// The project, bound.
    pub compiled: &'a CompiledProject,
    /// The nodes to look at; others keep what is published of them.
    pub selected: &'a BTreeSet<NodeId>,
    /// Builds also what is unchanged.
    pub full_refresh: bool,
    /// Where what is neither selected nor built here is read.
    pub defer: Option<&'a Deferral>,
    /// Hears of every node.
    pub progress: &'a dyn Progress,
    /// Ends the run: the node that is being built is given up, nothing is published.
    pub cancel: CancellationToken,
}

/// Hears of the nodes of a run.
pub trait Progress: Send + Sync {
    /// A node is about to be looked at, the `position`th of `total`, from 1.
    fn started(&self, id: &NodeId, position: usize, total: usize);
    /// A node is done.
    fn finished(&self, result: &NodeResult);
}

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// It was built.
    Built,
    /// An earlier run built exactly this and was not published; its table was taken.
    Reused,
    /// What is published is up to date.
    Skipped,
    /// A data test found nothing.
    Passed,
    /// A data test cannot find anything, by the plans of what it reads, and was not run.
    Proven,
    /// A data test found something that only warns.
    Warned,
    /// It could not be built, or a data test found something.
    Failed,
    /// Something that it needs failed, or was never built.
    Blocked,
}

/// A node of a run, as `--output json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct NodeResult {
    /// Its id.
    pub id: NodeId,
    /// Its materialization, `source`, or `test`.
    pub kind: String,
    /// What became of it.
    pub status: NodeStatus,
    /// Why.
    pub reason: String,
    /// Rows of the relation; for a test the number of failures.
    pub rows: Option<u64>,
    /// Path of the table in the lake.
    pub table: Option<String>,
    /// Its Delta version.
    pub version: Option<u64>,
    /// Records of a source that could not be read and went to its quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<u64>,
    /// Alarms of an identity, which are rows of its companion `__alarms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<u64>,
    /// Of a unit test that fails: the rows that differ, in lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

/// What a build did.
#[derive(Clone, Debug, Serialize)]
pub struct BuildReport {
    /// Whether nothing failed and the result is published.
    pub success: bool,
    /// The run.
    pub run_id: String,
    /// The run's clock.
    pub as_of: chrono::DateTime<chrono::Utc>,
    /// Whether the environment points at new versions.
    pub published: bool,
    /// The nodes in the order in which they were looked at.
    pub nodes: Vec<NodeResult>,
}

/// Builds, tests and publishes the selected nodes.
///
/// Nothing is published unless every node was built and every test passed; readers of the
/// environment then see all of it at once.
///
/// # Errors
/// What keeps the run from starting or from publishing. Failures of nodes are in the report.
pub async fn build(engine: &Engine, request: BuildRequest<'_>) -> Result<BuildReport, EngineError> {
    let time = lease_time(engine);
    let name = format!("env/{}", engine.environment.name);
    let holder = Holder::this_process();
    let lease = engine.lake.lease(&name, holder, time).await?;
    let heartbeat = Heartbeat::start(lease.clone(), time, request.cancel.clone());
    let result = run(engine.guarded(&lease), request).await;
    heartbeat.stop().await;
    lease.release().await?;
    result
}

async fn run(engine: Engine, request: BuildRequest<'_>) -> Result<BuildReport, EngineError> {
    let state = engine.published().await?;
    let mut next = state.document.clone();
    next.nodes.retain(|id, _| {
        let compiled = request.compiled;
        compiled.nodes.contains_key(id) || compiled.unbound.contains(id)
    });
    if let Some(deferral) = request.defer {
        deferral.fill(&mut next, request.compiled, request.selected);
    }
    let own = state.document.own();
    let mut run = Run {
        engine: &engine,
        request: &request,
        published: &own,
        current: &state.document,
        next,
        results: vec![],
        broken: BTreeSet::new(),
        unsound: BTreeSet::new(),
        disproved: BTreeSet::new(),
        counted: BTreeMap::new(),
        ahead: BTreeMap::new(),
    };
    run.all().await;
    let Run {
        mut next, results, ..
    } = run;
    let failed = results
        .iter()
        .any(|r| matches!(r.status, NodeStatus::Failed | NodeStatus::Blocked));
    let cancelled = request.cancel.is_cancelled();
    let mut published = false;
    if !failed && !cancelled && next.nodes != state.document.nodes {
        next.run_id.clone_from(&engine.clock.run_id);
        next.as_of = engine.clock.as_of;
        engine.publish(&state, &next).await?;
        published = true;
    }
    let report = BuildReport {
        success: !failed && !cancelled,
        run_id: engine.clock.run_id.clone(),
        as_of: engine.clock.as_of,
        published,
        nodes: results,
    };
    engine.record_build(&report).await?;
    if cancelled {
        return Err(EngineError::Cancelled);
    }
    Ok(report)
}

/// A run in progress.
struct Run<'a> {
    engine: &'a Engine,
    request: &'a BuildRequest<'a>,
    /// What readers see now and this environment has made.
    published: &'a Published,
    /// What readers see now, with what other environments have made.
    current: &'a Published,
    /// What readers shall see if all goes well.
    next: Published,
    results: Vec<NodeResult>,
    /// Nodes without a usable result.
    broken: BTreeSet<NodeId>,
    /// Nodes that were built and did not pass their tests: nothing may be built on them.
    unsound: BTreeSet<NodeId>,
    /// Models that fail a unit test: they are not built.
    disproved: BTreeSet<NodeId>,
    /// Failures of tests that were counted together and not looked at yet.
    counted: BTreeMap<NodeId, i64>,
    /// In a plan: what would be built before what is looked at, with what is known of its data.
    ahead: BTreeMap<NodeId, Option<DataIdentities>>,
}

/// What a node gave, before it is timed and named.
struct Outcome {
    status: NodeStatus,
    reason: String,
    node: Option<PublishedNode>,
    rows: Option<u64>,
    quarantined: Option<u64>,
}

impl Run<'_> {
    async fn all(&mut self) {
        let compiled = self.request.compiled;
        let selected = |id: &&NodeId| self.request.selected.contains(*id);
        let resource = |id: &NodeId| compiled.nodes.get(id).map(|node| node.resource);
        let (unit_tests, others): (Vec<&NodeId>, Vec<&NodeId>) = compiled
            .order
            .iter()
            .filter(selected)
            .partition(|id| resource(id) == Some(ResourceType::UnitTest));
        let total = unit_tests.len() + others.len();
        let (tests, builds): (Vec<&NodeId>, Vec<&NodeId>) = others
            .into_iter()
            .partition(|id| resource(id) == Some(ResourceType::Test));
        // Those of models that are built come right before them.
        self.unit_tests(&unit_tests, |model| !builds.contains(&model), total)
            .await;
        let mut waiting = tests;
        let mut undone: BTreeSet<&NodeId> = builds.iter().copied().collect();
        self.tests_that_are_ready(&mut waiting, &undone, total)
            .await;
        for id in builds {
            if self.request.cancel.is_cancelled() {
                return;
            }
            self.unit_tests(&unit_tests, |model| model == id, total)
                .await;
            self.node(id, total).await;
            undone.remove(id);
            self.tests_that_are_ready(&mut waiting, &undone, total)
                .await;
        }
    }

    /// Runs the tests all of whose nodes are done, so that nothing is built on what fails them.
    async fn tests_that_are_ready(
        &mut self,
        waiting: &mut Vec<&NodeId>,
        undone: &BTreeSet<&NodeId>,
        total: usize,
    ) {
        let compiled = self.request.compiled;
        let ready = |id: &&NodeId| {
            compiled
                .nodes
                .get(*id)
                .is_none_or(|n| n.depends_on.iter().all(|d| !undone.contains(d)))
        };
        let (now, later): (Vec<&NodeId>, Vec<&NodeId>) = waiting.drain(..).partition(ready);
        *waiting = later;
        let counted = tokio::select! {
            biased;
            () = self.request.cancel.cancelled() => return,
            counted = self.count_together(&now) => counted,
        };
        self.counted = counted;
        for id in now {
            if !self.request.cancel.is_cancelled() {
                self.node(id, total).await;
            }
        }
    }

    async fn node(&mut self, id: &NodeId, total: usize) {
        self.request
            .progress
            .started(id, self.results.len() + 1, total);
        let started = Instant::now();
        let Some(node) = self.request.compiled.nodes.get(id) else {
            self.left_out(id);
            return;
        };
        let outcome = match self.blocked(node) {
            Some(reason) => Outcome {
                status: NodeStatus::Blocked,
                reason,
                node: None,
                rows: None,
                quarantined: None,
            },
            None => self
                .outcome_unless_cancelled(node)
                .await
                .unwrap_or_else(|error| Outcome {
                    status: NodeStatus::Failed,
                    reason: sentence_of(&error),
                    node: None,
                    rows: None,
                    quarantined: None,
                }),
        };
        self.settle(node, outcome, started.elapsed());
    }

    /// A node that was not bound, which its project allows.
    fn left_out(&mut self, id: &NodeId) {
        let kind = id.as_str().split('.').next().unwrap_or_default();
        let result = NodeResult {
            id: id.clone(),
            kind: kind.to_owned(),
            status: NodeStatus::Skipped,
            reason: "it could not be checked, or what it reads could not".to_owned(),
            rows: None,
            table: None,
            version: None,
            quarantined: None,
            alarms: None,
            difference: None,
            elapsed_ms: 0,
        };
        self.request.progress.finished(&result);
        self.results.push(result);
    }

    fn settle(&mut self, node: &CompiledNode, outcome: Outcome, elapsed: Duration) {
        let failed = matches!(outcome.status, NodeStatus::Failed | NodeStatus::Blocked);
        if failed && node.resource == ResourceType::Test {
            self.unsound.extend(node.depends_on.iter().cloned());
        } else if failed {
            self.broken.insert(node.id.clone());
        }
        let table = outcome.node.as_ref().and_then(|n| n.table.clone());
        let result = NodeResult {
            id: node.id.clone(),
            kind: kind_of(node).to_owned(),
            status: outcome.status,
            reason: outcome.reason,
            rows: outcome.rows.or(table.as_ref().and_then(|t| t.rows)),
            version: table.as_ref().map(|t| t.version),
            table: table.map(|t| t.path),
            quarantined: outcome.quarantined,
            alarms: outcome
                .node
                .as_ref()
                .and_then(|node| node.companions.get("alarms")?.rows),
            difference: None,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        if let Some(published) = outcome.node {
            self.next.nodes.insert(node.id.clone(), published);
        }
        self.request.progress.finished(&result);
        self.results.push(result);
    }

    fn blocked(&self, node: &CompiledNode) -> Option<String> {
        if self.disproved.contains(&node.id) {
            return Some("it fails a unit test".to_owned());
        }
        for parent in &node.depends_on {
            if self.broken.contains(parent) {
                return Some(format!("`{parent}` failed"));
            }
            if node.resource != ResourceType::Test && self.unsound.contains(parent) {
                return Some(format!("a data test of `{parent}` failed"));
            }
            if !self.next.nodes.contains_key(parent) {
                return Some(format!(
                    "`{parent}` was never built; select it too, as in `+{}`, or read it elsewhere with `--defer`",
                    node.name
                ));
            }
        }
        None
    }

    /// What is dropped half-way has committed nothing: files without a commit are garbage.
    async fn outcome_unless_cancelled(&self, node: &CompiledNode) -> Result<Outcome, EngineError> {
        tokio::select! {
            biased;
            () = self.request.cancel.cancelled() => Err(EngineError::Cancelled),
            outcome = self.outcome(node) => outcome,
        }
    }

    async fn outcome(&self, node: &CompiledNode) -> Result<Outcome, EngineError> {
        match node.resource {
            ResourceType::Source => self.source(node).await,
            ResourceType::Seed => self.seed(node).await,
            ResourceType::Test => self.test(node).await,
            ResourceType::Model | ResourceType::UnitTest | ResourceType::Sync => {
                self.model(node).await
            }
        }
    }

    async fn model(&self, node: &CompiledNode) -> Result<Outcome, EngineError> {
        let materialized = node.config.materialized.value;
        if matches!(
            materialized,
            Materialization::View | Materialization::Ephemeral
        ) {
            return Ok(self.view(node));
        }
        let inputs = self.inputs_of(node)?;
        let reads = self.reads_of(node)?;
        let key = self.key_of(node, &reads).await?;
        let previous = self.published.nodes.get(&node.id);
        if let Some(mut skipped) = self.skip(node, &key) {
            // The same data in other versions: what is new is looked for from these on.
            let own = skipped.node.as_mut();
            if let Some(own) = own.filter(|own| own.deferred.is_none()) {
                own.inputs = inputs.0;
            }
            return Ok(skipped);
        }
        let basis = self.basis(node, &reads)?;
        let past = self.past(node)?;
        let mark = incremental::marked(&key, past.as_ref());
        let keys = Keys {
            key: &key,
            mark: &mark,
        };
        if let Some(reused) = self.reuse(node, keys, &inputs, Some(&basis)).await? {
            return Ok(reused);
        }
        let mut reason = self.why_model(previous, node, &reads);
        let mut detail = incremental::detail(node);
        let providers = self.engine.providers(&self.next, &node.reads).await?;
        let made = match materialized {
            Materialization::Incremental if let Some(past) = &past => {
                let grown = self.increment(node, past, &providers, &mark).await?;
                reason = format!("{reason}: {}", grown.how);
                grown.made
            }
            Materialization::Table | Materialization::Incremental | Materialization::Seed => {
                self.table(node, &providers, &key).await?
            }
            Materialization::Linkage => {
                let (made, how) = self.linkage(node, &providers, &key).await?;
                reason.push_str(&how);
                made
            }
            Materialization::Identity => {
                let stitched = self.identity(node, &providers, &key).await?;
                reason.push_str(&stitched.how);
                detail = stitched.left;
                stitched.made
            }
            Materialization::Profile => self.profile(node, &providers, &key).await?,
            Materialization::Segment => self.segment(node, &providers, &key).await?,
            other => {
                return Err(EngineError::NotSupported {
                    node: node.id.clone(),
                    materialization: format!("{other:?}").to_lowercase(),
                });
            }
        };
        let rows = made.table.rows;
        let published = PublishedNode {
            table: Some(made.table),
            companions: made.companions,
            key,
            inputs: inputs.0,
            basis: Some(basis),
            detail,
            ..self.blank(node)
        };
        Ok(Outcome {
            status: NodeStatus::Built,
            reason,
            node: Some(published),
            rows,
            quarantined: None,
        })
    }

    fn view(&self, node: &CompiledNode) -> Outcome {
        let key = node.fingerprint.to_string();
        if let Some(skipped) = self.skip(node, &key) {
            return skipped;
        }
        let reason = key::why(
            self.published.nodes.get(&node.id),
            node,
            &Inputs::default(),
            self.request.full_refresh,
        );
        let sql = node.sql.as_ref().map(|s| s.text.clone());
        let published = PublishedNode {
            key,
            sql,
            ..self.blank(node)
        };
        Outcome {
            status: NodeStatus::Built,
            reason,
            node: Some(published),
            rows: None,
            quarantined: None,
        }
    }

    /// The result of a node whose published one is up to date, or which the environment that is deferred to
    /// has just as it would be.
    fn skip(&self, node: &CompiledNode, key: &str) -> Option<Outcome> {
        if self.request.full_refresh {
            return None;
        }
        let previous = self.current.nodes.get(&node.id);
        if let Some(previous) = previous.filter(|previous| previous.key == *key) {
            let reason = match (&previous.table, previous.inputs.is_empty()) {
                (None, _) => "same SQL".to_owned(),
                (Some(_), true) => "same SQL, and it reads nothing".to_owned(),
                (Some(_), false) => "same SQL, same input".to_owned(),
            };
            return Some(Outcome {
                status: NodeStatus::Skipped,
                reason,
                rows: previous.table.as_ref().and_then(|t| t.rows),
                node: Some(previous.clone()),
                quarantined: None,
            });
        }
        let deferral = self.request.defer?;
        let there = deferral.of(node).filter(|there| there.key == *key)?;
        Some(Outcome {
            status: NodeStatus::Reused,
            reason: format!("`{}` has exactly this", deferral.environment),
            rows: there.table.as_ref().and_then(|t| t.rows),
            node: Some(there),
            quarantined: None,
        })
    }

    /// What must be the same beside meaning and input for a node to be the same.
    fn moment(&self, node: &CompiledNode) -> String {
        match node.determinism {
            Determinism::Fixed => String::new(),
            Determinism::Clock => self.engine.clock.as_of.to_rfc3339(),
            Determinism::Volatile => self.engine.clock.run_id.clone(),
        }
    }

    fn inputs_of(&self, node: &CompiledNode) -> Result<Inputs, EngineError> {
        let mut inputs = BTreeMap::new();
        for read in &node.reads {
            let table = self
                .next
                .table(read)
                .ok_or_else(|| EngineError::NotBuilt(read.node.clone()))?;
            inputs.insert(read.to_string(), table.identity());
        }
        Ok(Inputs(inputs))
    }

    fn blank(&self, node: &CompiledNode) -> PublishedNode {
        PublishedNode {
            kind: kind_of(node).to_owned(),
            relation: node
                .relation
                .as_ref()
                .map(|r| (r.schema.clone(), r.name.clone())),
            table: None,
            companions: BTreeMap::new(),
            key: String::new(),
            fingerprint: node.fingerprint.to_string(),
            inputs: BTreeMap::new(),
            basis: None,
            sql: None,
            detail: serde_json::Value::Null,
            deferred: None,
            run_id: self.engine.clock.run_id.clone(),
            as_of: self.engine.clock.as_of,
        }
    }

    async fn previous_provider(
        &self,
        node: &CompiledNode,
        companion: Option<&str>,
    ) -> Result<Option<Arc<dyn datafusion::catalog::TableProvider>>, EngineError> {
        let Some(previous) = self.published.nodes.get(&node.id) else {
            return Ok(None);
        };
        // What was published as something else has other columns.
        if previous.kind != kind_of(node) {
            return Ok(None);
        }
        let table = match companion {
            None => previous.table.as_ref(),
            Some(suffix) => previous.companions.get(suffix),
        };
        match table {
            Some(table) => Ok(Some(self.engine.provider(table).await?)),
            None => Ok(None),
        }
    }
}

/// The word for a node's materialization in output and in stored documents.
#[must_use]
pub fn kind_of(node: &CompiledNode) -> &'static str {
    match (node.resource, node.config.materialized.value) {
        (ResourceType::Source, _) => "source",
        (ResourceType::Seed, _) => "seed",
        (ResourceType::Test, _) => "test",
        (ResourceType::UnitTest, _) => "unit_test",
        (ResourceType::Sync, _) => "sync",
        (ResourceType::Model, m) => match m {
            Materialization::View => "view",
            Materialization::Table => "table",
            Materialization::Seed => "seed",
            Materialization::Incremental => "incremental",
            Materialization::Ephemeral => "ephemeral",
            Materialization::Snapshot => "snapshot",
            Materialization::Linkage => "linkage",
            Materialization::Identity => "identity",
            Materialization::Profile => "profile",
            Materialization::Segment => "segment",
        },
    }
}

/// An error with its causes, in one line.
fn sentence_of(error: &EngineError) -> String {
    let mut text = error.to_string();
    // The text of a query's error is already that of its innermost cause.
    if matches!(error, EngineError::Query(_)) {
        return text;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(more.lines().next().unwrap_or_default());
        }
        source = cause.source();
    }
    text
}

impl Engine {
    /// The same engine, whose commits fail once the lease is lost.
    pub(crate) fn guarded(&self, lease: &Lease) -> Self {
        Self {
            lake: self.lake.guarded(lease),
            ..self.clone()
        }
    }
}

/// Type of the map of providers that materializations get.
type Pinned<'a> = &'a Providers;
