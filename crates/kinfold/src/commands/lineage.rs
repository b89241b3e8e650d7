//! `kinfold lineage`.

use clap::Args;
use kinfold_compile::lineage::{ColumnGraph, Direction, NameProblem, Walk};
use serde_json::{Value, json};

use super::{CommandError, Done};
use crate::artifacts::lineage::point;
use crate::cli::Global;
use crate::report::Output;
use crate::workspace::Workspace;

/// Which column, and where to go from it.
#[derive(Debug, Args)]
pub struct LineageArguments {
    /// The column: `model.column`, `source.table.column`, or `sync.field`; `model.*` means its rows.
    #[arg(value_name = "COLUMN")]
    pub column: String,
    /// What it comes from; the default.
    #[arg(long)]
    pub up: bool,
    /// What comes of it.
    #[arg(long)]
    pub down: bool,
}

pub async fn run(
    global: &Global,
    arguments: &LineageArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, None)?;
    let bound = workspace.bind(None, false).await?;
    workspace.require_sound()?;
    let graph = ColumnGraph::of(&bound.compiled);
    let start = graph.find(&arguments.column)?;
    let mut directions = vec![];
    if arguments.up || !arguments.down {
        directions.push(("up", Direction::Up));
    }
    if arguments.down {
        directions.push(("down", Direction::Down));
    }
    let mut told = json!({"success": true, "column": start.to_string()});
    for (name, direction) in directions {
        let walk = graph.walk(&start, direction);
        if output.is_json() {
            told[name] = as_json(&walk);
            continue;
        }
        output.line(&format!("{name} from {start}"));
        for reached in &walk.reached {
            let kind = reached.kind.as_str();
            output.line(&format!(
                "{kind:<7}  {:>2}  {}",
                reached.distance, reached.point
            ));
        }
        for relation in &walk.incomplete {
            output.say(&format!(
                "not all of `{relation}` is understood: what is not counts as coming from everything that it reads"
            ));
        }
    }
    if output.is_json() {
        output.json(&told);
    }
    Ok(Done { success: true })
}

fn as_json(walk: &Walk) -> Value {
    let reached = walk.reached.iter().map(|reached| {
        let mut told = point(&reached.point);
        told["kind"] = json!(reached.kind.as_str());
        told["distance"] = json!(reached.distance);
        told
    });
    let edges = walk.edges.iter().map(|edge| {
        json!({
            "from": point(&edge.from),
            "to": point(&edge.to),
            "kind": edge.kind.as_str(),
        })
    });
    let incomplete = walk.incomplete.iter().map(ToString::to_string);
    json!({
        "columns": reached.collect::<Vec<_>>(),
        "edges": edges.collect::<Vec<_>>(),
        "incomplete": incomplete.collect::<Vec<_>>(),
    })
}

impl From<NameProblem> for CommandError {
    fn from(problem: NameProblem) -> Self {
        match problem {
            NameProblem::Unknown { kind, name, close } => Self::Unknown { kind, name, close },
            NameProblem::Ambiguous { name, found } => Self::Ambiguous { name, found },
        }
    }
}
