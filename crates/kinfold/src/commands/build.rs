//! `kinfold build`, `run`, `seed` and `test`.

use std::collections::BTreeSet;

use kinfold_engine::build::{BuildReport, BuildRequest, NodeStatus, build};
use kinfold_engine::{Engine, EngineOptions};
use kinfold_project::{NodeId, ResourceType};
use kinfold_sync::CancelToken;

use super::selection::{deferral, selected};
use super::{CommandError, Done};
use crate::artifacts::{RunResult, write_run_results};
use crate::cli::{Global, RunOptions, Selection};
use crate::report::{Output, grouped};
use crate::workspace::{Bound, Workspace};

/// Which of dbt's verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Everything.
    Build,
    /// Sources and models.
    Run,
    /// Seeds.
    Seed,
    /// Data tests.
    Test,
}

impl Verb {
    fn takes(self, resource: ResourceType) -> bool {
        match self {
            Self::Build => resource != ResourceType::Sync,
            Self::Run => matches!(resource, ResourceType::Source | ResourceType::Model),
            Self::Seed => resource == ResourceType::Seed,
            Self::Test => resource == ResourceType::Test,
        }
    }
}

pub async fn run(
    global: &Global,
    options: &RunOptions,
    verb: Verb,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, options.as_of)?;
    workspace.require_sound()?;
    let (engine, bound) = prepare(&mut workspace, options).await?;
    if matches!(verb, Verb::Build | Verb::Test) {
        workspace.test_mappings(&bound).await;
        workspace.require_sound()?;
    }
    if !output.is_json() {
        output.diagnostics(workspace.files(), &workspace.found);
    }
    let report = run_bound(&workspace, &engine, &bound, options, verb, output).await?;
    if output.is_json() {
        output.json(&serde_json::to_value(&report).unwrap_or_default());
    } else {
        summarise(&report, output);
    }
    Ok(Done {
        success: report.success,
    })
}

/// Opens the lake and binds the project against it. Problems end the command.
pub async fn prepare(
    workspace: &mut Workspace,
    options: &RunOptions,
) -> Result<(Engine, Bound), CommandError> {
    let mut engine_options = EngineOptions::default();
    if let Some(limit) = options.memory_limit {
        engine_options.memory_limit = limit;
    }
    let engine = workspace.engine(engine_options).await?;
    let bound = workspace.bind(Some(&engine), options.full_refresh).await?;
    super::check::write(workspace, &bound)?;
    workspace.require_sound()?;
    Ok((engine, bound))
}

/// Builds the selected nodes of a bound project.
pub async fn run_bound(
    workspace: &Workspace,
    engine: &Engine,
    bound: &Bound,
    options: &RunOptions,
    verb: Verb,
    output: &Output,
) -> Result<BuildReport, CommandError> {
    let cancel = super::cancelled_by_user();
    run_until(workspace, engine, bound, (options, verb), cancel, output).await
}

/// The same, until it is cancelled.
pub async fn run_until(
    workspace: &Workspace,
    engine: &Engine,
    bound: &Bound,
    (options, verb): (&RunOptions, Verb),
    cancel: CancelToken,
    output: &Output,
) -> Result<BuildReport, CommandError> {
    let selected = chosen(workspace, bound, &options.selection, verb)?;
    let deferral = deferral(workspace, engine, &options.selection, &options.defer).await?;
    let progress = output.progress();
    let request = BuildRequest {
        project: &workspace.project,
        compiled: &bound.compiled,
        selected: &selected,
        full_refresh: options.full_refresh,
        defer: deferral.as_ref(),
        progress: progress.as_ref(),
        cancel,
    };
    let report = build(engine, request).await?;
    drop(progress);
    let results: Vec<RunResult> = report
        .nodes
        .iter()
        .map(|n| RunResult::of(n, &bound.compiled))
        .collect();
    let target = workspace.root.join("target");
    write_run_results(
        &target,
        &results,
        &super::check::facts(workspace),
        verb.word(),
    )?;
    Ok(report)
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
            Self::Seed => "seed",
            Self::Test => "test",
        }
    }
}

/// The selected nodes that the verb is about.
fn chosen(
    workspace: &Workspace,
    bound: &Bound,
    selection: &Selection,
    verb: Verb,
) -> Result<BTreeSet<NodeId>, CommandError> {
    let chosen = selected(workspace, bound, selection, None)?;
    let takes = |id: &NodeId| {
        bound
            .compiled
            .nodes
            .get(id)
            .is_some_and(|n| verb.takes(n.resource))
    };
    Ok(chosen.into_iter().filter(takes).collect())
}

/// The end of a build in a few lines.
pub fn summarise(report: &BuildReport, output: &Output) {
    let count = |statuses: &[NodeStatus]| {
        report
            .nodes
            .iter()
            .filter(|n| statuses.contains(&n.status))
            .count() as u64
    };
    let mut parts = vec![];
    for (statuses, word) in [
        (&[NodeStatus::Built, NodeStatus::Reused][..], "built"),
        (&[NodeStatus::Skipped], "up to date"),
        (&[NodeStatus::Passed], "tests passed"),
        (&[NodeStatus::Proven], "tests proven"),
        (&[NodeStatus::Warned], "tests warned"),
        (&[NodeStatus::Failed], "failed"),
        (&[NodeStatus::Blocked], "blocked"),
    ] {
        let n = count(statuses);
        if n > 0 {
            parts.push(format!("{} {word}", grouped(n)));
        }
    }
    let end = match (report.success, report.published) {
        (true, true) => output.paint("published", "32"),
        (true, false) => "nothing new to publish".to_owned(),
        (false, _) => output.paint("nothing published", "1;31"),
    };
    output.say(&format!(
        "{} nodes: {}; {end}",
        report.nodes.len(),
        parts.join(", ")
    ));
}
