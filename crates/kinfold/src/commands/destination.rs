//! `kinfold destination`: the manifests of destinations.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinfold_destination::scaffold::{self, Api, Candidate};
use kinfold_destination::{Folder, SHIPPED, kit, load, shipped};
use kinfold_project::SourceMap;
use serde_json::{Value, json};

use super::init::write_file;
use super::{CommandError, Done};
use crate::cli::{Global, NewDestination};
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

/// Makes a folder of a description of an API, or lists what could be made.
pub async fn new(
    global: &Global,
    arguments: NewDestination,
    output: &Output,
) -> Result<Done, CommandError> {
    let file = |action| {
        let path = arguments.from.clone();
        move |source| CommandError::File {
            action,
            path,
            source,
        }
    };
    let bytes = fs::read(&arguments.from).map_err(file("read"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        file("read")(source)
    })?;
    let mut files = SourceMap::default();
    let id = files.add(&arguments.from, text);
    let mut found = vec![];
    let Some(api) = Api::read(&files, id, &mut found) else {
        return Err(CommandError::Diagnostics { files, found });
    };
    if !output.is_json() {
        output.diagnostics(&files, &found);
    }
    let Some(name) = arguments.name.as_deref().filter(|_| !arguments.list) else {
        list_candidates(&scaffold::candidates(&api), output);
        return Ok(Done { success: true });
    };
    let chosen: Vec<&str> = arguments.operations.iter().map(String::as_str).collect();
    let made = scaffold::scaffold(&api, name, &chosen).await?;
    let into = global.project_dir.join(&arguments.into);
    let folder = into.join(name);
    let failed = |source| CommandError::File {
        action: "make",
        path: folder.clone(),
        source,
    };
    fs::create_dir_all(&into).map_err(failed)?;
    // What is there is never overwritten, even if it came a moment ago.
    fs::create_dir(&folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => CommandError::Exists(folder.clone()),
        _ => failed(source),
    })?;
    for (path, text) in &made.files {
        write_file(&folder.join(path), text)?;
    }
    if output.is_json() {
        let files: Vec<&str> = made.files.iter().map(|(path, _)| path.as_str()).collect();
        output.json(&json!({"success": true, "folder": folder, "files": files, "left": made.left}));
        return Ok(Done { success: true });
    }
    let shown = folder.display();
    output.say(&format!("{shown}: {} files written", made.files.len()));
    if !made.left.is_empty() {
        output.say("left to decide (`TODO` in manifest.yml):");
        for left in &made.left {
            output.say(&format!("  - {left}"));
        }
    }
    output.say(&format!("next: kinfold destination check {shown}"));
    output.say(&format!("      kinfold destination test {shown}"));
    output.say(&format!(
        "      a connection with `kind: {name}`, then kinfold connection check"
    ));
    Ok(Done { success: true })
}

fn list_candidates(candidates: &[Candidate], output: &Output) {
    if output.is_json() {
        let all: Vec<Value> = candidates
            .iter()
            .map(|candidate| {
                json!({
                    "id": candidate.id,
                    "method": candidate.method,
                    "path": candidate.path,
                    "summary": candidate.summary,
                    "operation": candidate.operation.as_str(),
                    "object": candidate.object,
                    "batch": candidate.batch,
                    "score": candidate.score,
                    "reasons": candidate.reasons,
                })
            })
            .collect();
        output.json(&json!({"candidates": all}));
        return;
    }
    if candidates.is_empty() {
        output.say("no operation looks as if it wrote rows");
        return;
    }
    let widest = |of: &dyn Fn(&Candidate) -> usize| candidates.iter().map(of).max().unwrap_or(0);
    let id = widest(&|candidate| candidate.id.chars().count()).clamp(9, 48);
    let path = widest(&|candidate| candidate.path.chars().count()).clamp(4, 60);
    output.line(&format!(
        "{:>5}  {:<6}  {:<id$}  {:<6} {:<path$}  why",
        "score", "is", "operation", "method", "path"
    ));
    for candidate in candidates {
        output.line(&format!(
            "{:>5}  {:<6}  {:<id$}  {:<6} {:<path$}  {}",
            candidate.score,
            candidate.operation.as_str(),
            candidate.id,
            candidate.method,
            candidate.path,
            candidate.reasons.join("; ")
        ));
    }
}

/// Says everything that is wrong with folders, and with `replay` whether they do what was recorded.
pub async fn check(
    folders: &[PathBuf],
    replay: bool,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut success = true;
    let mut reports = vec![];
    if output.is_sarif() {
        let read: Result<Vec<Folder>, _> = folders.iter().map(|path| folder_of(path)).collect();
        let read = read?;
        let parts: Vec<_> = folders
            .iter()
            .zip(&read)
            .map(|(path, folder)| (path.as_path(), &folder.files, folder.diagnostics.as_slice()))
            .collect();
        output.sarif(&parts);
        let success = !read.iter().any(Folder::has_errors);
        return Ok(Done { success });
    }
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
