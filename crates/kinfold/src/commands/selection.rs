//! Which nodes a command is about, and where it reads the others.

use std::collections::BTreeSet;

use kinfold_compile::select::{SelectError, SelectGraph, select};
use kinfold_engine::Engine;
use kinfold_engine::build::Deferral;
use kinfold_project::model::Environment;
use kinfold_project::{NodeId, ResourceType};

use super::CommandError;
use crate::artifacts::earlier;
use crate::cli::{Defer, Selection};
use crate::workspace::{Bound, Workspace};

/// The nodes that are selected, of these types if any are given. Without `--select` and the like it is what
/// the project's default selector has, and without that everything.
pub fn selected(
    workspace: &Workspace,
    bound: &Bound,
    selection: &Selection,
    types: Option<&[ResourceType]>,
) -> Result<BTreeSet<NodeId>, CommandError> {
    let mut graph = SelectGraph::of(&workspace.project, &bound.rendered);
    if let Some(folder) = &selection.state {
        let now = super::check::manifest(workspace, bound);
        graph = graph.with_before(earlier::compare(folder, &now)?);
    }
    let told = !selection.select.is_empty() || !selection.exclude.is_empty();
    let selectors = &workspace.project.selectors;
    let default = selectors.iter().find(|s| s.default && !told);
    let name = selection
        .selector
        .as_deref()
        .or(default.map(|s| s.name.value.as_str()));
    let chosen = match name {
        Some(name) => select(&graph, &[format!("selector:{name}")], &[], types),
        None => select(&graph, &selection.select, &selection.exclude, types),
    };
    chosen.map_err(select_error)
}

/// Selectors that cannot be followed, as one error of the command.
fn select_error(errors: Vec<SelectError>) -> CommandError {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    CommandError::Select(lines.join("; "))
}

/// What another environment has published, if the command shall read there what it does not build.
pub async fn deferral(
    workspace: &Workspace,
    engine: &Engine,
    selection: &Selection,
    defer: &Defer,
) -> Result<Option<Deferral>, CommandError> {
    if !defer.defer && defer.defer_to.is_none() {
        return Ok(None);
    }
    let here = &workspace.environment;
    let all = &workspace.project.environments;
    let of_state = match &selection.state {
        Some(folder) if defer.defer_to.is_none() => earlier::environment(folder)?,
        _ => None,
    };
    let named = defer.defer_to.clone().or(of_state);
    let found = match &named {
        Some(name) => workspace.project.environment(Some(name)),
        None => {
            let owners = || {
                all.iter()
                    .filter(|e| e.owns_lake && e.name.value != here.name)
            };
            let declared = workspace.project.environment(Some(&here.name));
            let declared = declared.as_ref();
            let same_lake =
                |e: &&Environment| declared.is_some_and(|d| d.lake.value == e.lake.value);
            let found = owners().find(same_lake).or_else(|| {
                // Of two, either may be meant.
                let mut owners = owners();
                owners.next().filter(|_| owners.next().is_none())
            });
            found.cloned()
        }
    };
    let Some(environment) = found else {
        let names = all.iter().map(|e| e.name.value.clone()).collect();
        return Err(match named {
            Some(name) => CommandError::NoEnvironment { name, names },
            None => CommandError::DeferToWhat(names),
        });
    };
    if environment.name.value == here.name {
        return Ok(None);
    }
    let read = |name: &str| std::env::var(name).ok();
    let to = environment
        .resolve(&read)
        .map_err(|problem| CommandError::Diagnostics {
            files: workspace.files().clone(),
            found: vec![*problem],
        })?;
    Ok(Some(engine.deferral(&to, defer.favor_state).await?))
}
