//! `kinfold docs`.

use serde_json::json;

use super::build::prepare;
use super::check::facts;
use super::{CommandError, Done};
use crate::artifacts::write_catalog;
use crate::cli::{Global, RunOptions};
use crate::report::Output;
use crate::workspace::Workspace;

/// Writes `manifest.json` and `catalog.json`.
pub async fn generate(global: &Global, output: &Output) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, None)?;
    workspace.require_sound()?;
    let (engine, _) = prepare(&mut workspace, &RunOptions::default()).await?;
    if !output.is_json() {
        output.diagnostics(workspace.files(), &workspace.found);
    }
    let catalog = engine.catalog().await?;
    let target = workspace.root.join("target");
    write_catalog(&target, &catalog, &facts(&workspace))?;
    let success = catalog.unreadable.is_empty();
    let (relations, unreadable) = (catalog.relations.len(), catalog.unreadable.len());
    if output.is_json() {
        let catalog = target.join("catalog.json");
        output.json(&json!({
            "success": success,
            "relations": relations,
            "unreadable": unreadable,
            "catalog": catalog.display().to_string(),
        }));
        return Ok(Done { success });
    }
    for (node, error) in &catalog.unreadable {
        output.error(&format!("{node}: {error}"));
    }
    let rest = match unreadable {
        0 => String::new(),
        count => format!(", {count} could not be opened"),
    };
    output.say(&format!(
        "{relations} published relations in `target/catalog.json`{rest}"
    ));
    Ok(Done { success })
}
