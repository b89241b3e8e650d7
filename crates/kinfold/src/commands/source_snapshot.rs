//! `kinfold source snapshot`: the columns of sources, written down for checks without a lake.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use kinfold_engine::EngineOptions;
use kinfold_engine::columns::{SOURCE_DRIFT, SOURCE_UNREADABLE, recorded_type};
use kinfold_project::{Diagnostic, NodeId, RecordedSource, SourceLocation};
use serde_json::json;

use super::{CommandError, Done};
use crate::cli::Global;
use crate::report::Output;
use crate::workspace::Workspace;

/// The file, at the root of the project.
const FILE: &str = "sources.lock.yml";

/// What `source snapshot` does.
#[derive(Debug, Args)]
pub struct SnapshotArguments {
    /// Write nothing, and end with 1 if the sources are not as the file says.
    #[arg(long)]
    pub check: bool,
}

/// The columns of a source: names and types.
struct Entry {
    version: Option<u64>,
    columns: Vec<(String, String)>,
}

impl Entry {
    fn of(recorded: &RecordedSource) -> Self {
        let columns = recorded.columns.iter();
        let columns =
            columns.map(|(name, data_type)| (name.value.clone(), data_type.value.clone()));
        Self {
            version: recorded.version,
            columns: columns.collect(),
        }
    }
}

pub async fn snapshot(
    global: &Global,
    arguments: &SnapshotArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, None)?;
    workspace.require_sound()?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    // What models make of the columns does not matter here: they may be why it is written anew.
    let bound = workspace.bind(Some(&engine), false).await?;
    let session = engine.session(false);
    let mut entries: BTreeMap<&NodeId, Entry> = BTreeMap::new();
    let mut unreadable: Vec<Diagnostic> = workspace.found.clone();
    unreadable.retain(|problem| problem.code == SOURCE_UNREADABLE);
    let mut unwritable = vec![];
    for source in &workspace.project.sources {
        let Some(node) = bound.rendered.nodes.get(&source.id) else {
            continue;
        };
        // What kinfold makes itself needs no record.
        if !node.depends_on.is_empty() || matches!(source.location, SourceLocation::Records(_)) {
            continue;
        }
        let before = workspace.project.recorded.get(&source.id).map(Entry::of);
        let compiled = bound.compiled.nodes.get(&source.id);
        let Some(schema) = compiled.and_then(|node| node.schema.as_ref()) else {
            // What cannot be read keeps its record.
            entries.extend(before.map(|before| (&source.id, before)));
            continue;
        };
        let types = schema.fields().iter().map(|field| {
            let text = recorded_type(field.data_type(), &session);
            text.map(|text| (field.name().clone(), text))
                .ok_or_else(|| field.name().clone())
        });
        let columns = match types.collect::<Result<Vec<_>, String>>() {
            Ok(columns) => columns,
            Err(column) => {
                unwritable.push(format!("{}: the type of `{column}`", source.id));
                continue;
            }
        };
        // The version is that in which the columns were first seen, so that new rows change nothing.
        let version = match before.filter(|before| before.columns == columns) {
            Some(before) => before.version,
            None => engine.delta_version(source).await?,
        };
        entries.insert(&source.id, Entry { version, columns });
    }
    let text = written(&entries);
    let path = workspace.root.join(FILE);
    let same = std::fs::read_to_string(&path).is_ok_and(|before| before == text);
    if !arguments.check && !same {
        std::fs::write(&path, &text).map_err(|source| CommandError::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
    }
    let success = unreadable.is_empty() && unwritable.is_empty() && (same || !arguments.check);
    if output.is_json() {
        output.json(&json!({
            "success": success,
            "sources": entries.len(),
            "changed": !same,
        }));
        return Ok(Done { success });
    }
    let told: Vec<Diagnostic> = if arguments.check {
        let told = [SOURCE_DRIFT, SOURCE_UNREADABLE];
        let all = workspace
            .found
            .iter()
            .filter(|problem| told.contains(&problem.code));
        all.cloned().collect()
    } else {
        unreadable
    };
    output.diagnostics(workspace.files(), &told);
    for what in unwritable {
        output.error(&format!("{what} cannot be written down"));
    }
    output.say(&match (same, arguments.check) {
        (true, _) => format!("`{FILE}` says what {} sources have", entries.len()),
        (false, true) => format!("`{FILE}` does not say what the sources have"),
        (false, false) => format!("columns of {} sources are in `{FILE}`", entries.len()),
    });
    Ok(Done { success })
}

/// The file. Sources are sorted, columns are in their order, each on a line of its own.
fn written(entries: &BTreeMap<&NodeId, Entry>) -> String {
    let mut text = String::from(
        "# The columns of the sources, written by `kinfold source snapshot`. Keep this file in Git: checks read it\n# where the sources cannot be reached.\nformat: 1\nsources:",
    );
    if entries.is_empty() {
        text.push_str(" {}");
    }
    text.push('\n');
    for (id, entry) in entries {
        // Writing to a text does not fail.
        let _ = writeln!(text, "  {}:", scalar(id.as_str()));
        if let Some(version) = entry.version {
            let _ = writeln!(text, "    version: {version}");
        }
        let _ = writeln!(text, "    columns:");
        for (name, data_type) in &entry.columns {
            let _ = writeln!(text, "      {}: {}", scalar(name), scalar(data_type));
        }
    }
    text
}

/// A text in YAML: as it is where nobody could take it for something else.
fn scalar(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b' ');
    let word = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && text.bytes().all(plain)
        && !text.ends_with(' ');
    let meant = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !meant.contains(&text.to_lowercase().as_str()) {
        return text.to_owned();
    }
    // A JSON string is a YAML one.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::scalar;

    #[test]
    fn names_are_quoted_where_they_mean_something_else() {
        assert_eq!(scalar("order_id"), "order_id");
        assert_eq!(
            scalar("TIMESTAMP WITH TIME ZONE"),
            "TIMESTAMP WITH TIME ZONE"
        );
        for text in ["no", "NULL", "1a", "a: b", "ä", "", "a ", "DECIMAL(10, 2)"] {
            assert_eq!(scalar(text), format!("\"{text}\""));
        }
    }
}
