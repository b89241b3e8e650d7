//! `kinfold plan`.

use chrono::{DateTime, Utc};
use clap::Args;
use kinfold_compile::select::{SelectGraph, select};
use kinfold_engine::EngineOptions;
use kinfold_engine::build::{Flow, IdentityEffect, PlanRequest, PlannedAction, PlannedNode, plan};

use super::build::select_error;
use super::{CommandError, Done};
use crate::cli::{Global, Selection};
use crate::report::{Output, grouped};
use crate::workspace::Workspace;

/// What is planned.
#[derive(Clone, Debug, Args)]
pub struct PlanArguments {
    /// Which nodes.
    #[command(flatten)]
    pub selection: Selection,
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
    let graph = SelectGraph::of(&workspace.project, &bound.rendered);
    let chosen = &arguments.selection;
    let selected = select(&graph, &chosen.select, &chosen.exclude, None).map_err(select_error)?;
    let request = PlanRequest {
        project: &workspace.project,
        compiled: &bound.compiled,
        selected: &selected.into_iter().collect(),
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
    if report.nodes.is_empty() {
        output.say("no identity is selected");
    } else {
        output.say("nothing was written");
    }
    Ok(Done { success: true })
}

fn text(node: &PlannedNode, output: &Output) {
    let name = node.id.as_str().rsplit('.').next().unwrap_or_default();
    let name = output.paint(name, "1");
    match node.action {
        PlannedAction::Skip if node.stale_inputs.is_empty() => {
            output.line(&format!("{name}: up to date"));
        }
        PlannedAction::Skip => {
            output.line(&format!("{name}: the same on the rows that are loaded"))
        }
        PlannedAction::Build => output.line(&format!("{name}: {}", node.reason)),
    }
    if let Some(effect) = &node.identity {
        for line in lines(effect) {
            output.line(&format!("  {line}"));
        }
    }
    if !node.stale_inputs.is_empty() {
        let inputs: Vec<&str> = node.stale_inputs.iter().map(|id| id.as_str()).collect();
        output.line(&format!(
            "  without what would be built before it: {}",
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
