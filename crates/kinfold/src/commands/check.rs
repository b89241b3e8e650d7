//! `kinfold check` and `kinfold compile`.

use super::selection::selected;
use super::{CommandError, Done};
use crate::artifacts::{RunFacts, manifest_document, write_compiled, write_manifest};
use crate::cli::{Global, Selection};
use crate::report::Output;
use crate::workspace::{Bound, Workspace};

pub async fn run(global: &Global, output: &Output) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, None)?;
    workspace.remember();
    let bound = workspace.bind(None, false).await?;
    workspace.test_mappings(&bound).await;
    workspace.keep();
    let done = report(&workspace, &bound, output);
    // The process ends: what a large project is made of need not be taken apart before.
    std::mem::forget((workspace, bound));
    Ok(done)
}

pub async fn compile(
    global: &Global,
    selection: &Selection,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, None)?;
    let bound = workspace.bind(None, false).await?;
    write(&workspace, &bound)?;
    let told = !selection.select.is_empty() || selection.selector.is_some();
    if told && !output.is_json() {
        for id in selected(&workspace, &bound, selection, None)? {
            if let Some(sql) = bound.rendered.nodes.get(&id).and_then(|n| n.sql.as_ref()) {
                output.line(&format!("-- {id}\n{}\n", sql.text.trim()));
            }
        }
    }
    Ok(report(&workspace, &bound, output))
}

/// Writes what is known before a run to `target/`.
pub fn write(workspace: &Workspace, bound: &Bound) -> Result<(), CommandError> {
    let target = workspace.root.join("target");
    write_compiled(&target, &workspace.project, &bound.rendered)?;
    write_manifest(
        &target,
        &workspace.project,
        &bound.rendered,
        Some(&bound.compiled),
        &facts(workspace),
    )?;
    Ok(())
}

/// `manifest.json` of the project as it is now.
pub fn manifest(workspace: &Workspace, bound: &Bound) -> serde_json::Value {
    manifest_document(
        &workspace.project,
        &bound.rendered,
        Some(&bound.compiled),
        &facts(workspace),
    )
}

/// The facts of this run that artefacts carry.
pub fn facts(workspace: &Workspace) -> RunFacts {
    RunFacts {
        invocation_id: workspace.clock.run_id.clone(),
        as_of: workspace.clock.as_of,
        environment: workspace.environment.name.clone(),
    }
}

fn report(workspace: &Workspace, bound: &Bound, output: &Output) -> Done {
    let success = !workspace.has_errors();
    if output.is_sarif() {
        output.sarif(&[(&workspace.root, workspace.files(), &workspace.found)]);
        return Done { success };
    }
    if output.is_json() {
        let found = crate::report::diagnostics::json(workspace.files(), &workspace.found);
        output.json(&serde_json::json!({
            "success": success,
            "nodes": bound.rendered.nodes.len(),
            "syncs": bound.compiled.syncs.len(),
            "diagnostics": found,
        }));
        return Done { success };
    }
    output.diagnostics(workspace.files(), &workspace.found);
    for message in &bound.rendered.messages {
        output.say(message);
    }
    if success {
        let checked = bound.compiled.nodes.len();
        let unbound = bound.compiled.unbound.len();
        let rest = if unbound > 0 {
            format!(", {unbound} not checked")
        } else {
            String::new()
        };
        output.say(&format!(
            "{checked} nodes and {} syncs checked{rest}",
            bound.compiled.syncs.len()
        ));
    }
    Done { success }
}
