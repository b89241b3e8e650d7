//! `kinfold env` and `kinfold publish`.

use clap::{Args, Subcommand};
use kinfold_engine::EngineOptions;
use kinfold_engine::environments::{DifferentNode, NodeDifference, Publication};

use super::{CommandError, Done};
use crate::cli::Global;
use crate::report::{Output, grouped};
use crate::workspace::Workspace;

/// Commands of `env`.
#[derive(Debug, Subcommand)]
pub enum EnvironmentAction {
    /// List the environments of the lake that have published something.
    List,
    /// Say how what this environment has published differs from what another one has, node by node.
    Diff {
        /// The other environment.
        #[arg(value_name = "NAME")]
        other: String,
    },
    /// Remove an environment: what it has published, its tables, the states of its syncs.
    Drop {
        /// The environment.
        #[arg(value_name = "NAME")]
        name: String,
        /// Only say whether it could be removed.
        #[arg(long)]
        dry_run: bool,
    },
}

/// What `publish` does.
#[derive(Clone, Debug, Args)]
pub struct PublishArguments {
    /// Publish once more what readers saw before: nothing is built, and syncs deliver the difference.
    #[arg(long)]
    pub rollback: bool,
    /// Which generation is published once more; the last that differs if not given.
    #[arg(long, value_name = "GENERATION", requires = "rollback")]
    pub to: Option<u64>,
}

pub async fn run(
    global: &Global,
    action: EnvironmentAction,
    output: &Output,
) -> Result<Done, CommandError> {
    match action {
        EnvironmentAction::List => list(global, output).await,
        EnvironmentAction::Diff { other } => diff(global, &other, output).await,
        EnvironmentAction::Drop { name, dry_run } => drop(global, name, dry_run, output).await,
    }
}

async fn list(global: &Global, output: &Output) -> Result<Done, CommandError> {
    let workspace = Workspace::load(global, None)?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    let found = engine.environments().await?;
    if output.is_json() {
        output.json(&serde_json::json!({ "success": true, "environments": found }));
        return Ok(Done { success: true });
    }
    for environment in &found {
        let published = &environment.published;
        let mut line = format!(
            "{}: {} nodes, published {} by run {}",
            output.paint(&environment.name, "1"),
            grouped(published.nodes as u64),
            published.as_of.format("%Y-%m-%d %H:%M:%S UTC"),
            published.run_id,
        );
        if environment.deferred > 0 {
            line.push_str(&format!(
                "; {} of them are other environments\u{2019}",
                grouped(environment.deferred as u64)
            ));
        }
        output.line(&line);
    }
    if found.is_empty() {
        output.say("nothing is published in this lake");
    }
    Ok(Done { success: true })
}

async fn diff(global: &Global, other: &str, output: &Output) -> Result<Done, CommandError> {
    let workspace = Workspace::load(global, None)?;
    if workspace.project.environment(Some(other)).is_none() {
        return Err(no_environment(&workspace, other));
    }
    let engine = workspace.engine(EngineOptions::default()).await?;
    let found = engine.compared_with(other).await?;
    if output.is_json() {
        output.json(&serde_json::json!({
            "success": true,
            "first": workspace.environment.name,
            "second": other,
            "nodes": found,
        }));
        return Ok(Done { success: true });
    }
    let here = &workspace.environment.name;
    for node in &found {
        output.line(&different(node, here, other));
    }
    output.say(&format!("{} nodes differ", grouped(found.len() as u64)));
    Ok(Done { success: true })
}

fn different(node: &DifferentNode, here: &str, other: &str) -> String {
    let what = match node.difference {
        NodeDifference::OnlyFirst => format!("only `{here}` has it"),
        NodeDifference::OnlySecond => format!("only `{other}` has it"),
        NodeDifference::Meaning => "it means something else".to_owned(),
        NodeDifference::Inputs => "it was made of other versions".to_owned(),
    };
    let rows = match (node.first_rows, node.second_rows) {
        (Some(first), Some(second)) => {
            format!("; {} rows, there {}", grouped(first), grouped(second))
        }
        (Some(rows), None) | (None, Some(rows)) => format!("; {} rows", grouped(rows)),
        (None, None) => String::new(),
    };
    format!("{}: {what}{rows}", node.id)
}

async fn drop(
    global: &Global,
    name: String,
    dry_run: bool,
    output: &Output,
) -> Result<Done, CommandError> {
    let global = Global {
        env: Some(name.clone()),
        ..global.clone()
    };
    let workspace = Workspace::load(&global, None)?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    let removed = engine.remove_environment(dry_run).await?;
    if output.is_json() {
        output.json(&serde_json::json!({
            "success": true,
            "environment": name,
            "dry_run": dry_run,
            "removed": removed,
        }));
        return Ok(Done { success: true });
    }
    match removed {
        None => output.line(&format!("`{name}` would be removed")),
        Some(removed) => output.line(&format!(
            "removed `{name}`: {} objects, {} bytes. What its syncs delivered stays where it is",
            grouped(removed.objects),
            grouped(removed.bytes),
        )),
    }
    Ok(Done { success: true })
}

pub async fn publish(
    global: &Global,
    arguments: &PublishArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let workspace = Workspace::load(global, None)?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    if !arguments.rollback {
        let found = engine.publications().await?;
        if output.is_json() {
            output.json(&serde_json::json!({ "success": true, "publications": found }));
            return Ok(Done { success: true });
        }
        for publication in &found {
            output.line(&publication_text(publication));
        }
        return Ok(Done { success: true });
    }
    let cancel = super::cancelled_by_user();
    let rolled = engine.roll_back(arguments.to, cancel).await?;
    if output.is_json() {
        output.json(&serde_json::json!({ "success": true, "rolled_back": rolled }));
        return Ok(Done { success: true });
    }
    output.line(&format!(
        "published once more what run {} had: {} nodes are as they were at {}",
        rolled.to.run_id,
        grouped(rolled.changed.len() as u64),
        rolled.to.as_of.format("%Y-%m-%d %H:%M:%S UTC"),
    ));
    output.say(
        "the next build brings back what the project says; syncs deliver what differs until then",
    );
    Ok(Done { success: true })
}

fn publication_text(publication: &Publication) -> String {
    let differ = match publication.differ {
        0 => String::new(),
        differ => format!(
            "; {} differ from what is published now",
            grouped(differ as u64)
        ),
    };
    format!(
        "{}: {} by run {}, {} nodes{differ}",
        publication.generation,
        publication.as_of.format("%Y-%m-%d %H:%M:%S UTC"),
        publication.run_id,
        grouped(publication.nodes as u64),
    )
}

fn no_environment(workspace: &Workspace, name: &str) -> CommandError {
    let all = workspace.project.environments.iter();
    CommandError::NoEnvironment {
        name: name.to_owned(),
        names: all.map(|e| e.name.value.clone()).collect(),
    }
}
