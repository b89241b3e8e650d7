//! `kinfold identity erase`.

use std::collections::BTreeSet;

use clap::Args;
use kinfold_engine::EngineOptions;
use kinfold_engine::build::{EraseReport, EraseRequest, erase};
use kinfold_project::NodeId;

use super::super::person::find;
use super::super::{CommandError, Done};
use crate::cli::Global;
use crate::report::{Output, grouped};
use crate::workspace::Workspace;

/// Who is erased.
#[derive(Clone, Debug, Args)]
pub struct EraseArguments {
    /// The model with materialization `identity`.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Canonical ids, also merged ones, or identifiers such as `email:ann@example.com`.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Say what would be erased, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn run(
    global: &Global,
    arguments: &EraseArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, None)?;
    workspace.require_sound()?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    let bound = workspace.bind(Some(&engine), false).await?;
    workspace.require_sound()?;
    let published = engine.published().await?.document;
    let model = &arguments.model;
    let of_model = published
        .nodes
        .iter()
        .find(|(id, node)| node.kind == "identity" && is_called(id, model));
    let Some((identity, _)) = of_model else {
        let names = published
            .nodes
            .iter()
            .filter(|(_, node)| node.kind == "identity");
        let names: Vec<&str> = names
            .filter_map(|(id, _)| id.as_str().rsplit('.').next())
            .collect();
        return Err(CommandError::Unknown {
            kind: "published identity",
            name: model.clone(),
            close: kinfold_compile::bind::closest(model, &names).map(str::to_owned),
        });
    };
    let mut people = BTreeSet::new();
    for asked in &arguments.ids {
        match find(&engine, &published, asked, Some(model)).await {
            Ok(found) => {
                people.insert(found.canonical_id);
            }
            // Erased before, maybe by a command that was interrupted: the rest is done again.
            Err(CommandError::Unknown { .. }) if engine.was_erased(identity, asked).await? => {
                output.say("one of them was erased before");
            }
            Err(error) => return Err(error),
        }
    }
    let request = EraseRequest {
        project: &workspace.project,
        compiled: &bound.compiled,
        identity,
        people: &people,
        dry_run: arguments.dry_run,
        cancel: super::super::cancelled_by_user(),
    };
    let report = erase(&engine, request).await?;
    if output.is_json() {
        output.json(&serde_json::to_value(&report).unwrap_or_default());
    } else {
        text(&report, output);
    }
    Ok(Done { success: true })
}

fn is_called(id: &NodeId, model: &str) -> bool {
    id.as_str().rsplit('.').next() == Some(model)
}

fn text(report: &EraseReport, output: &Output) {
    let count = |number: u64, one: &str, more: &str| {
        format!(
            "{} {}",
            grouped(number),
            if number == 1 { one } else { more }
        )
    };
    let verb = if report.dry_run {
        "would erase"
    } else {
        "erased"
    };
    output.line(&format!(
        "{verb} {} from {}: {}, {}",
        count(report.people, "person", "people"),
        report.identity,
        count(report.identifiers, "identifier", "identifiers"),
        count(report.records, "record", "records")
    ));
    for table in &report.tables {
        output.line(&format!(
            "  {} {}",
            table.relation,
            count(table.rows, "row", "rows")
        ));
    }
    if !report.dry_run {
        output.line(&format!(
            "removed {} of earlier versions",
            count(report.files_removed, "file", "files")
        ));
    }
    for kept in &report.kept {
        output.line(&format!(
            "still there: version {} of {}, which environment {} reads",
            kept.version, kept.relation, kept.environment
        ));
    }
    let list = |what: &str, names: Vec<&str>| {
        if !names.is_empty() {
            output.line(&format!("{what}: {}", names.join(", ")));
        }
    };
    list(
        "not searched, since they have no canonical_id",
        report.not_searched.iter().map(NodeId::as_str).collect(),
    );
    list(
        "other environments have tables of their own",
        report
            .other_environments
            .iter()
            .map(String::as_str)
            .collect(),
    );
    list(
        "syncs remember what they delivered by its key",
        report.syncs.iter().map(String::as_str).collect(),
    );
}
