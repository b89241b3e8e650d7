//! Runs of jobs. Each run loads the project anew, so that it runs what is there now.

use async_trait::async_trait;
use kinfold_engine::build::{BuildReport, NodeStatus};
use kinfold_engine::{Engine, EngineOptions};
use kinfold_server::ports::{Inputs, PortError, Runner};
use kinfold_server::{Job, JobKind, Nodes, Outcome, Rows, RunEnded};
use kinfold_sync::CancelToken;

use crate::cli::{Global, RunOptions, Selection};
use crate::commands::CommandError;
use crate::commands::build::{self, Verb};
use crate::commands::ended::Ended;
use crate::commands::sync::{self, Accounts};
use crate::report::Output;
use crate::workspace::Workspace;

/// Builds and syncs of the project of a command line.
pub struct ProjectRunner {
    global: Global,
    /// Shared by all runs: an account has its limits whoever uses it.
    accounts: Accounts,
}

impl ProjectRunner {
    pub fn new(global: &Global) -> Self {
        Self {
            global: Global {
                quiet: true,
                ..global.clone()
            },
            accounts: Accounts::default(),
        }
    }

    async fn sync(&self, name: &str, cancel: CancelToken) -> Result<RunEnded, CommandError> {
        let output = Output::new(&self.global);
        let mut workspace = Workspace::load(&self.global, None)?;
        workspace.require_sound()?;
        let engine = workspace.engine(EngineOptions::default()).await?;
        let bound = workspace.bind(Some(&engine), false).await?;
        workspace.require_sound()?;
        let options = sync::Options {
            select: vec![name.to_owned()],
            accounts: self.accounts.clone(),
            cancel: Some(cancel),
            ..sync::Options::default()
        };
        let ended = sync::run_bound(&workspace, &engine, &bound, &options, &|_| None, &output);
        let ended = ended.await?;
        let run_id = Some(engine.clock.run_id.clone());
        Ok(match ended.first() {
            Some(Ended::Ran(report)) => RunEnded {
                run_id,
                outcome: match (report.success, report.held) {
                    (true, _) => Outcome::Succeeded,
                    (false, held) if held > 0 => Outcome::Held,
                    _ => Outcome::Failed,
                },
                rows: Some(Rows {
                    planned: report.planned,
                    delivered: report.delivered,
                    rejected: report.rejected,
                    retryable: report.retryable,
                    unknown: report.unknown,
                    held: report.held,
                    suppressed: report.suppressed,
                    invalid: report.invalid,
                }),
                nodes: None,
                message: report
                    .stopped
                    .clone()
                    .or_else(|| report.held_because.clone()),
            },
            Some(Ended::Failed { failure, .. }) => RunEnded {
                run_id,
                ..RunEnded::bare(Outcome::Failed, Some(&failure.text))
            },
            Some(Ended::Verified(_) | Ended::Checked { .. } | Ended::Reached { .. }) | None => {
                RunEnded::bare(Outcome::Failed, Some("the sync is not there any more"))
            }
        })
    }

    async fn build(&self, select: &str, cancel: CancelToken) -> Result<RunEnded, CommandError> {
        let output = Output::new(&self.global);
        let selection = Selection {
            // Not what the project's default selector has.
            select: vec![match select {
                "*" => "resource_type:all".to_owned(),
                named => named.to_owned(),
            }],
            ..Selection::default()
        };
        let options = RunOptions {
            selection,
            ..RunOptions::default()
        };
        let mut workspace = Workspace::load(&self.global, None)?;
        workspace.require_sound()?;
        let (engine, bound) = build::prepare(&mut workspace, &options).await?;
        let what = (&options, Verb::Build);
        let report =
            build::run_asking(&mut workspace, &engine, bound, what, cancel, &output).await?;
        Ok(RunEnded {
            run_id: Some(engine.clock.run_id.clone()),
            outcome: if report.success {
                Outcome::Succeeded
            } else {
                Outcome::Failed
            },
            rows: None,
            nodes: Some(counted(&report)),
            message: failed_nodes(&report),
        })
    }
}

#[async_trait]
impl Runner for ProjectRunner {
    async fn run(&self, job: &Job, _run: u64, cancel: CancelToken) -> RunEnded {
        let ended = match &job.kind {
            JobKind::Sync => self.sync(&job.name, cancel).await,
            JobKind::Build { select } => self.build(select, cancel).await,
        };
        ended.unwrap_or_else(|error| RunEnded::bare(Outcome::Failed, Some(&on_a_line(&error))))
    }
}

/// An error and its causes; of many problems of a project the first.
fn on_a_line(error: &CommandError) -> String {
    if let CommandError::Diagnostics { found, .. } = error {
        let mut errors = found.iter().filter(|problem| problem.is_error());
        if let Some(first) = errors.next() {
            let more = errors.count();
            let rest = if more > 0 {
                format!(" (and {more} more)")
            } else {
                String::new()
            };
            return format!("{}: {}{rest}", first.code.id, first.message);
        }
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text.replace('\n', " ")
}

fn counted(report: &BuildReport) -> Nodes {
    let mut nodes = Nodes::default();
    for node in &report.nodes {
        *match node.status {
            NodeStatus::Built | NodeStatus::Passed | NodeStatus::Proven | NodeStatus::Warned => {
                &mut nodes.built
            }
            NodeStatus::Reused | NodeStatus::Skipped => &mut nodes.reused,
            NodeStatus::Failed => &mut nodes.failed,
            NodeStatus::Blocked => &mut nodes.blocked,
        } += 1;
    }
    nodes
}

fn failed_nodes(report: &BuildReport) -> Option<String> {
    let failed: Vec<String> = report
        .nodes
        .iter()
        .filter(|node| node.status == NodeStatus::Failed)
        .map(|node| node.id.to_string())
        .collect();
    match failed.as_slice() {
        [] => None,
        [one] => Some(format!("`{one}` has failed")),
        [first, rest @ ..] => Some(format!("`{first}` and {} more have failed", rest.len())),
    }
}

/// What jobs read, as the lake and the sources have it.
pub struct EngineInputs {
    global: Global,
    engine: Engine,
}

impl EngineInputs {
    pub fn new(global: &Global, engine: Engine) -> Self {
        Self {
            global: global.clone(),
            engine,
        }
    }
}

#[async_trait]
impl Inputs for EngineInputs {
    async fn version(&self, job: &Job) -> Result<String, PortError> {
        let workspace = Workspace::load(&self.global, None)
            .map_err(|error| PortError::new(on_a_line(&error)))?;
        let project = &workspace.project;
        if let JobKind::Build { .. } = job.kind {
            return Ok(self.engine.sources_seen(project).await);
        }
        let sync = project
            .syncs
            .iter()
            .find(|sync| sync.name.value == job.name);
        let sync = sync.ok_or_else(|| PortError::new("the sync is not there any more"))?;
        let seen = self.engine.delivered_seen(sync).await;
        seen.map_err(|error| PortError::caused("what is published cannot be read", error))
    }
}
