//! `kinfold sync rejected`.

use kinfold_engine::EngineOptions;
use kinfold_engine::activate::{Decision, FailedRow, decide, failed_rows};
use serde_json::{Value, json};

use super::{CommandError, Done, sync};
use crate::cli::Global;
use crate::report::{Output, grouped};
use crate::workspace::Workspace;

/// Options of the command.
pub struct Options {
    /// The sync.
    pub name: String,
    /// What becomes of the rows; they are listed if nothing does.
    pub decision: Option<Decision>,
    /// Only these keys.
    pub keys: Vec<Vec<(String, String)>>,
    /// How many rows to list.
    pub limit: usize,
    /// Whether keys are printed as they are.
    pub show_keys: bool,
}

pub async fn run(
    global: &Global,
    options: &Options,
    output: &Output,
) -> Result<Done, CommandError> {
    let workspace = Workspace::load(global, None)?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    for sync in sync::chosen(&workspace, std::slice::from_ref(&options.name))? {
        let name = &sync.name.value;
        if let Some(decision) = options.decision {
            let rows = decide(&engine, sync, decision, &options.keys).await?;
            if output.is_json() {
                output.json(&json!({ "success": true, "sync": name, "rows": rows }));
            } else {
                let what = match decision {
                    Decision::Retry => "are part of the next run",
                    Decision::Forget => "are left alone until their values change",
                };
                output.say(&format!("sync {name}: {} rows {what}", grouped(rows)));
            }
            continue;
        }
        let (count, rows) = failed_rows(&engine, sync, options.limit, options.show_keys).await?;
        if output.is_json() {
            output.json(&json!({ "success": true, "sync": name, "count": count, "rows": rows }));
            continue;
        }
        output.say(&format!(
            "sync {name}: {} rows were not taken",
            grouped(count)
        ));
        let lines: String = rows.iter().map(line).collect();
        output.data(lines.as_bytes());
    }
    Ok(Done { success: true })
}

fn line(row: &FailedRow) -> String {
    let key = Value::Object(row.key.clone());
    let message = row.error_message.as_deref().unwrap_or_default();
    let next = match row.next_try {
        None => "with the next run".to_owned(),
        Some(at) if at.timestamp() > 253_000_000_000 => "when its values change".to_owned(),
        Some(at) => format!("after {}", at.format("%Y-%m-%d %H:%M UTC")),
    };
    format!(
        "{} {key} {} ({} attempts, next {next}): {} {message}\n",
        row.status, row.operation, row.attempts, row.error_class
    )
}
