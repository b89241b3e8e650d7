//! `kinfold ls`.

use kinfold_project::ResourceType;

use super::selection::selected;
use super::{CommandError, Done};
use crate::cli::{Global, Selection};
use crate::report::Output;
use crate::workspace::Workspace;

pub async fn run(
    global: &Global,
    selection: &Selection,
    resource_types: &[String],
    output: &Output,
) -> Result<Done, CommandError> {
    let mut types = vec![];
    for word in resource_types {
        let all = [
            ResourceType::Source,
            ResourceType::Seed,
            ResourceType::Model,
            ResourceType::Test,
            ResourceType::UnitTest,
            ResourceType::Sync,
        ];
        match all
            .into_iter()
            .find(|t| t.as_str() == word.trim_end_matches('s'))
        {
            Some(found) => types.push(found),
            None => {
                return Err(CommandError::Unknown {
                    kind: "resource type",
                    name: word.clone(),
                    close: None,
                });
            }
        }
    }
    let mut workspace = Workspace::load(global, None)?;
    let bound = workspace.bind(None, false).await?;
    let types = (!types.is_empty()).then_some(types);
    let chosen = selected(&workspace, &bound, selection, types.as_deref())?;
    if output.is_json() {
        output.json(&serde_json::json!({ "success": true, "nodes": chosen }));
    } else {
        for id in &chosen {
            output.line(id.as_str());
        }
    }
    Ok(Done { success: true })
}
