//! `kinfold identity train`.

use std::path::PathBuf;

use kinfold_compile::compile::CompiledNode;
use kinfold_compile::render::Materialization;
use kinfold_engine::{EngineError, EngineOptions};
use kinfold_project::linkage::PARAMETERS_FILE;
use serde_json::json;

use super::super::{CommandError, Done};
use crate::cli::Global;
use crate::report::{Output, grouped};
use crate::workspace::Workspace;

/// Trains the linkage of that name and writes its parameters beside its model.
pub(super) async fn train(
    global: &Global,
    name: &str,
    dry_run: bool,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, None)?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    let bound = workspace.bind(Some(&engine), false).await?;
    workspace.require_sound()?;
    let linkages = || {
        let nodes = bound.compiled.nodes.values();
        nodes.filter(|node| node.config.materialized.value == Materialization::Linkage)
    };
    let Some(node) = linkages().find(|node| node.name == name) else {
        let names: Vec<&str> = linkages().map(|node| node.name.as_str()).collect();
        return Err(CommandError::Unknown {
            kind: "linkage",
            name: name.to_owned(),
            close: kinfold_compile::bind::closest(name, &names).map(str::to_owned),
        });
    };
    let trained = engine.train_linkage(node).await;
    let trained = trained.map_err(|error| match error {
        EngineError::NotBuilt(input) => CommandError::BuildFirst {
            input: input.to_string(),
            model: name.to_owned(),
        },
        other => CommandError::Engine(other),
    })?;
    let text = trained.parameters.to_yaml();
    let path = file_of(&workspace, node);
    if !dry_run {
        std::fs::write(&path, &text).map_err(|source| CommandError::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
    }
    for problem in &trained.problems {
        output.say(&format!("warning: {problem}"));
    }
    if output.is_json() {
        output.json(&json!({
            "success": true,
            "model": name,
            "records": trained.records,
            "rows_without_name": trained.unnamed,
            "prior": trained.parameters.prior,
            "problems": trained.problems,
            "file": (!dry_run).then(|| path.display().to_string()),
        }));
    } else if dry_run {
        output.line(text.trim_end());
    } else {
        output.say(&format!(
            "trained {name} on {} records; wrote {}",
            grouped(trained.records),
            path.display()
        ));
        if trained.unnamed > 0 {
            output.say(&format!(
                "{} rows without source or record_id were left out",
                grouped(trained.unnamed)
            ));
        }
    }
    Ok(Done { success: true })
}

/// The file of parameters beside the model's own.
fn file_of(workspace: &Workspace, node: &CompiledNode) -> PathBuf {
    let mut models = workspace.project.models.iter();
    let own = models.find(|model| model.id == node.id);
    let path = own.map(|model| workspace.files().path(model.file));
    let path = workspace
        .root
        .join(path.unwrap_or_else(|| "models".as_ref()));
    path.with_file_name(format!("{}{PARAMETERS_FILE}", node.name))
}
