//! `kinfold destination`: the manifests of destinations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinfold_destination::{Folder, SHIPPED, kit, load, shipped};
use serde_json::{Value, json};

use super::{CommandError, Done};
use crate::report::Output;
use crate::report::diagnostics;

/// Lists the destinations that are part of the program.
pub fn list(output: &Output) -> Done {
    let all: Vec<Value> = SHIPPED
        .iter()
        .filter_map(|known| shipped(known.name)?.manifest)
        .map(|manifest| {
            let objects = manifest.objects.iter().map(|object| object.name.as_str());
            json!({
                "name": manifest.name,
                "title": manifest.title,
                "about": manifest.about,
                "objects": objects.collect::<Vec<_>>(),
            })
        })
        .collect();
    if output.is_json() {
        output.json(&json!({"destinations": all}));
        return Done { success: true };
    }
    for destination in &all {
        let text = |key: &str| {
            destination
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        output.line(&format!(
            "{:<22} {}: {}",
            text("name"),
            text("title"),
            text("about")
        ));
    }
    Done { success: true }
}

/// Says everything that is wrong with folders, and with `replay` whether they do what was recorded.
pub async fn check(
    folders: &[PathBuf],
    replay: bool,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut success = true;
    let mut reports = vec![];
    for path in folders {
        let folder = folder_of(path)?;
        let mismatches = if replay {
            replayed(&folder).await
        } else {
            vec![]
        };
        let sound = !folder.has_errors() && mismatches.is_empty();
        success &= sound;
        let name = path.display();
        if output.is_json() {
            reports.push(json!({
                "folder": path,
                "success": sound,
                "exchanges": folder.exchanges.len(),
                "faults": folder.faults.len(),
                "diagnostics": diagnostics::json(&folder.files, &folder.diagnostics),
                "mismatches": mismatches,
            }));
            continue;
        }
        output.diagnostics(&folder.files, &folder.diagnostics);
        for mismatch in &mismatches {
            output.line(&format!("{name}: {mismatch}"));
        }
        if sound {
            let done = if replay { "replayed" } else { "read" };
            output.say(&format!(
                "{name}: {} exchanges and {} faults {done}",
                folder.exchanges.len(),
                folder.faults.len()
            ));
        }
    }
    if output.is_json() {
        output.json(&json!({"success": success, "folders": reports}));
    }
    Ok(Done { success })
}

/// A folder, or a shipped destination by its name.
fn folder_of(path: &Path) -> Result<Folder, CommandError> {
    if path.is_dir() {
        return Ok(load(path));
    }
    let name = path.to_string_lossy();
    shipped(&name).ok_or_else(|| CommandError::Unknown {
        kind: "folder or destination",
        close: kinfold_project::suggest::closest(&name, SHIPPED.iter().map(|known| known.name))
            .map(str::to_owned),
        name: name.into_owned(),
    })
}

async fn replayed(folder: &Folder) -> Vec<String> {
    let Some(manifest) = folder.manifest.clone().map(Arc::new) else {
        return vec![];
    };
    let mut found = vec![];
    for exchange in &folder.exchanges {
        for mismatch in kit::replay(&manifest, exchange).await {
            found.push(format!("{}: {mismatch}", exchange.name));
        }
        for mismatch in kit::delivery(&manifest, exchange, None).await {
            found.push(format!("{}, delivered: {mismatch}", exchange.name));
        }
    }
    for fault in &folder.faults {
        let mut exchanges = folder.exchanges.iter();
        match exchanges.find(|exchange| exchange.name == fault.exchange) {
            Some(exchange) => {
                for mismatch in kit::fault(&manifest, exchange, fault).await {
                    found.push(format!("fault {}: {mismatch}", fault.name));
                }
                for mismatch in kit::delivery(&manifest, exchange, Some(fault)).await {
                    found.push(format!("fault {}, delivered: {mismatch}", fault.name));
                }
            }
            None => found.push(format!(
                "fault {}: there is no exchange `{}`",
                fault.name, fault.exchange
            )),
        }
    }
    found
}
