//! `kinfold plan`.

use chrono::{DateTime, Utc};
use clap::Args;
use kinfold_engine::EngineOptions;
use kinfold_engine::build::{
    Flow, IdentityEffect, PlanReport, PlanRequest, PlannedAction, PlannedNode, plan,
};

use super::selection::{deferral, selected};
use super::{CommandError, Done};
use crate::cli::{Defer, Global, Selection};
use crate::report::{Output, grouped};
use crate::workspace::Workspace;

/// What is planned.
#[derive(Clone, Debug, Args)]
pub struct PlanArguments {
    /// Which nodes.
    #[command(flatten)]
    pub selection: Selection,
    /// Where the rest is read.
    #[command(flatten)]
    pub defer: Defer,
    /// The run's clock (RFC 3339): what `now()` returns. The time of the start if not given.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<DateTime<Utc>>,
}

pub async fn run(
    global: &Global,
    arguments: &PlanArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, arguments.as_of)?;
    workspace.require_sound()?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    let bound = workspace.bind(Some(&engine), false).await?;
    workspace.require_sound()?;
    if !output.is_json() {
        output.diagnostics(workspace.files(), &workspace.found);
    }
    let selection = &arguments.selection;
    let chosen = selected(&workspace, &bound, selection, None)?;
    let deferral = deferral(&workspace, &engine, selection, &arguments.defer).await?;
    let request = PlanRequest {
        project: &workspace.project,
        compiled: &bound.compiled,
        selected: &chosen,
        defer: deferral.as_ref(),
        cancel: super::cancelled_by_user(),
    };
    let report = plan(&engine, request).await?;
    if output.is_json() {
        output.json(&serde_json::to_value(&report).unwrap_or_default());
        return Ok(Done { success: true });
    }
    for node in &report.nodes {
        text(node, output);
    }
    for id in &report.removed {
        output.line(&format!(
            "{}: {} is not in the project any more",
            output.paint("remove", "1"),
            id
        ));
    }
    output.say(&format!("{}; nothing was written", summary(&report)));
    Ok(Done { success: true })
}

/// How many nodes there are of each kind of work.
fn summary(report: &PlanReport) -> String {
    let all = [
        (PlannedAction::Build, "to build"),
        (PlannedAction::Backfill, "to backfill"),
        (PlannedAction::Reuse, "to reuse"),
        (PlannedAction::Skip, "up to date"),
    ];
    let counts = all.into_iter().filter_map(|(action, words)| {
        let count = report.nodes.iter().filter(|n| n.action == action).count();
        (count > 0).then(|| format!("{} {words}", grouped(count as u64)))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return "no node is selected".to_owned();
    }
    counts.join(", ")
}

/// A node that is up to date is only counted.
fn text(node: &PlannedNode, output: &Output) {
    if node.action == PlannedAction::Skip {
        return;
    }
    let name = node.id.as_str().rsplit('.').next().unwrap_or_default();
    let action = output.paint(node.action.as_str(), "1");
    output.line(&format!("{action} {name}: {}", node.reason));
    let Some(effect) = &node.identity else {
        return;
    };
    for line in lines(effect) {
        output.line(&format!("  {line}"));
    }
    if !node.stale_inputs.is_empty() {
        let inputs: Vec<&str> = node.stale_inputs.iter().map(|id| id.as_str()).collect();
        output.line(&format!(
            "  on what is loaded, without {}",
            inputs.join(", ")
        ));
    }
}

/// The effect in a few lines.
fn lines(effect: &IdentityEffect) -> Vec<String> {
    let count = grouped;
    let mut lines = vec![
        format!(
            "people {} → {}, identifiers {} → {}",
            count(effect.people_before),
            count(effect.people_after),
            count(effect.identifiers_before),
            count(effect.identifiers_after)
        ),
        format!(
            "{} merged, {} split, {} reassigned, {} new, {} gone; {} people affected, {} identifiers would have another id",
            count(effect.merged),
            count(effect.split),
            count(effect.reassigned),
            count(effect.created),
            count(effect.deleted),
            count(effect.people_affected),
            count(effect.identifiers_moved)
        ),
    ];
    let flows = |flows: &std::collections::BTreeMap<String, Flow>| {
        let moving = flows.iter().filter(|(_, flow)| flow.comes + flow.goes > 0);
        let words = moving
            .map(|(word, flow)| format!("{word} +{} -{}", count(flow.comes), count(flow.goes)));
        words.collect::<Vec<_>>().join(", ")
    };
    for (what, flows) in [
        ("rejected rows", flows(&effect.rejected)),
        ("alarms", flows(&effect.alarms)),
    ] {
        if !flows.is_empty() {
            lines.push(format!("{what}: {flows}"));
        }
    }
    for example in &effect.examples {
        let ids = [&example.from_canonical_id, &example.into_canonical_id];
        let ids: Vec<&str> = ids.into_iter().flatten().map(String::as_str).collect();
        let plural = if example.identifiers == 1 { "" } else { "s" };
        lines.push(format!(
            "{} {} ({} identifier{plural})",
            example.kind,
            ids.join(" → "),
            count(example.identifiers)
        ));
    }
    lines
}
