//! `kinfold build`, `run`, `seed` and `test`.

use std::collections::BTreeSet;

use kinfold_compile::render::codes::NOT_ANSWERED;
use kinfold_engine::answers::with_ancestors;
use kinfold_engine::build::{BuildReport, BuildRequest, NodeResult, NodeStatus, build};
use kinfold_engine::{Engine, EngineOptions};
use kinfold_project::{NodeId, ResourceType, Severity};
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
    /// Data tests and unit tests.
    Test,
}

impl Verb {
    fn takes(self, resource: ResourceType) -> bool {
        match self {
            Self::Build => resource != ResourceType::Sync,
            Self::Run => matches!(resource, ResourceType::Source | ResourceType::Model),
            Self::Seed => resource == ResourceType::Seed,
            Self::Test => resource.is_test(),
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
    let (engine, bound) = match unit_tests_only(&mut workspace, options, verb).await? {
        Some(bound) => (open(&workspace, options).await?, bound),
        None => prepare(&mut workspace, options).await?,
    };
    if matches!(verb, Verb::Build | Verb::Test) {
        workspace.test_mappings(&bound).await;
        workspace.require_sound()?;
    }
    if !output.is_json() {
        // What templates ask may be answered by what is built first.
        let mut found = workspace.found.clone();
        found.retain(|problem| problem.code != NOT_ANSWERED);
        output.diagnostics(workspace.files(), &found);
    }
    let cancel = super::cancelled_by_user();
    let what = (options, verb);
    let report = run_asking(&mut workspace, &engine, bound, what, cancel, output).await?;
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
    let engine = open(workspace, options).await?;
    let bound = workspace.bind(Some(&engine), options.full_refresh).await?;
    super::check::write(workspace, &bound)?;
    workspace.require_sound()?;
    Ok((engine, bound))
}

async fn open(workspace: &Workspace, options: &RunOptions) -> Result<Engine, CommandError> {
    let mut engine_options = EngineOptions::default();
    if let Some(limit) = options.memory_limit {
        engine_options.memory_limit = limit;
    }
    workspace.engine(engine_options).await
}

/// The project bound without its data, if nothing but unit tests is to be run: they need none.
async fn unit_tests_only(
    workspace: &mut Workspace,
    options: &RunOptions,
    verb: Verb,
) -> Result<Option<Bound>, CommandError> {
    if verb != Verb::Test || workspace.project.unit_tests.is_empty() {
        return Ok(None);
    }
    let bound = workspace.bind(None, options.full_refresh).await?;
    let tests = [ResourceType::Test, ResourceType::UnitTest];
    let Ok(chosen) = selected(workspace, &bound, &options.selection, Some(&tests)) else {
        return Ok(None);
    };
    let is_ready = |id: &NodeId| {
        let node = bound.compiled.nodes.get(id);
        node.is_some_and(|node| node.resource == ResourceType::UnitTest)
    };
    if chosen.is_empty() || !chosen.iter().all(is_ready) {
        return Ok(None);
    }
    super::check::write(workspace, &bound)?;
    workspace.require_sound()?;
    Ok(Some(bound))
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
    what: (&RunOptions, Verb),
    cancel: CancelToken,
    output: &Output,
) -> Result<BuildReport, CommandError> {
    let selected = chosen(workspace, bound, &what.0.selection, what.1)?;
    let report = nodes(workspace, engine, bound, what, &selected, cancel, output).await?;
    write_results(workspace, bound, &report, what.1)?;
    Ok(report)
}

/// The same, and first the selected nodes whose rows templates ask for, until they ask no more: after
/// each part the project is bound again.
pub async fn run_asking(
    workspace: &mut Workspace,
    engine: &Engine,
    mut bound: Bound,
    what: (&RunOptions, Verb),
    cancel: CancelToken,
    output: &Output,
) -> Result<BuildReport, CommandError> {
    let (options, verb) = what;
    let mut results: Vec<NodeResult> = vec![];
    let mut published = false;
    loop {
        let done: BTreeSet<NodeId> = results.iter().map(|result| result.id.clone()).collect();
        let chosen = chosen(workspace, &bound, &options.selection, verb)?;
        let models = matches!(verb, Verb::Build | Verb::Run);
        let part = if models {
            asked_for(&bound, &chosen, &done)
        } else {
            BTreeSet::new()
        };
        let last = part.is_empty();
        if last {
            let whole = models && options.selection.select.is_empty();
            told(workspace, whole, output)?;
        }
        let selected = if last {
            chosen.difference(&done).cloned().collect()
        } else {
            part
        };
        let cancel = cancel.clone();
        let mut report = nodes(workspace, engine, &bound, what, &selected, cancel, output).await?;
        results.append(&mut report.nodes);
        published |= report.published;
        if last || !report.success {
            report.nodes = results;
            report.published = published;
            write_results(workspace, &bound, &report, verb)?;
            return Ok(report);
        }
        bound = workspace.bind(Some(engine), options.full_refresh).await?;
        super::check::write(workspace, &bound)?;
        workspace.require_sound()?;
    }
}

/// What must be built before templates can be told the rows that they ask for: those nodes, what they
/// are made of, and their tests, as far as they are chosen and not done. Empty if there is nothing.
fn asked_for(
    bound: &Bound,
    chosen: &BTreeSet<NodeId>,
    done: &BTreeSet<NodeId>,
) -> BTreeSet<NodeId> {
    let compiled = &bound.compiled;
    let mut asked = with_ancestors(&bound.asked, compiled);
    asked.retain(|id| chosen.contains(id));
    if asked.is_subset(done) {
        return BTreeSet::new();
    }
    let tests = chosen.iter().filter(|id| {
        compiled.nodes.get(*id).is_some_and(|node| {
            node.resource.is_test() && node.depends_on.iter().all(|parent| asked.contains(parent))
        })
    });
    let tests: Vec<NodeId> = tests.cloned().collect();
    asked.extend(tests);
    asked.difference(done).cloned().collect()
}

/// Tells the questions that stay open. They end a run that is about the `whole` project.
fn told(workspace: &mut Workspace, whole: bool, output: &Output) -> Result<(), CommandError> {
    let mut open = vec![];
    for problem in &mut workspace.found {
        if problem.code == NOT_ANSWERED {
            if whole {
                problem.severity = Severity::Error;
            }
            open.push(problem.clone());
        }
    }
    workspace.require_sound()?;
    if !output.is_json() && !open.is_empty() {
        output.diagnostics(workspace.files(), &open);
    }
    Ok(())
}

async fn nodes(
    workspace: &Workspace,
    engine: &Engine,
    bound: &Bound,
    (options, _): (&RunOptions, Verb),
    selected: &BTreeSet<NodeId>,
    cancel: CancelToken,
    output: &Output,
) -> Result<BuildReport, CommandError> {
    let deferral = deferral(workspace, engine, &options.selection, &options.defer).await?;
    let progress = output.progress();
    let request = BuildRequest {
        project: &workspace.project,
        compiled: &bound.compiled,
        selected,
        full_refresh: options.full_refresh,
        defer: deferral.as_ref(),
        progress: progress.as_ref(),
        cancel,
    };
    Ok(build(engine, request).await?)
}

fn write_results(
    workspace: &Workspace,
    bound: &Bound,
    report: &BuildReport,
    verb: Verb,
) -> Result<(), CommandError> {
    let nodes = report.nodes.iter();
    let results: Vec<RunResult> = nodes.map(|n| RunResult::of(n, &bound.compiled)).collect();
    let target = workspace.root.join("target");
    let facts = super::check::facts(workspace);
    write_run_results(&target, &results, &facts, verb.word())?;
    Ok(())
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
    // What could not be bound is chosen too: the build says that it is left out.
    let takes = |id: &NodeId| {
        let node = bound.rendered.nodes.get(id);
        node.is_some_and(|node| verb.takes(node.resource))
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
