//! What a project asks of destinations that manifests describe, checked without a connection.

use std::collections::HashMap;
use std::sync::LazyLock;

use kinfold_compile::compile::CompiledSync;
use kinfold_destination::{Folder, Manifest, SHIPPED, check_target};
use kinfold_engine::activate::{COMMON_OPTIONS, destination_folder};
use kinfold_project::{Connection, Diagnostic, OnLeave, Project, Sync, codes, suggest};
use kinfold_sync::Target;

/// The names of the destinations that are part of the program.
pub static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| SHIPPED.iter().map(|shipped| shipped.name).collect());

/// Everything that is wrong with connections to such destinations, and with what syncs ask of them.
pub fn check(project: &Project, compiled: &[CompiledSync]) -> Vec<Diagnostic> {
    let mut found = vec![];
    let mut manifests: HashMap<&str, Manifest> = HashMap::new();
    for connection in &project.connections {
        let folder = destination_folder(connection);
        if let Some(manifest) = folder.and_then(|f| manifest_of(connection, f, &mut found)) {
            parameters(connection, &manifest, &mut found);
            manifests.insert(&connection.name.value, manifest);
        }
    }
    for sync in &project.syncs {
        let manifest = manifests.get(sync.connection.value.as_str());
        let bound = compiled.iter().find(|compiled| compiled.id == sync.id);
        if let (Some(manifest), Some(bound)) = (manifest, bound)
            // A rule that nobody has written stands where the mode does.
            && sync.on_leave.span == sync.mode.span
            && let Some(removal) = manifest.final_removal(&target_of(sync, bound))
        {
            found.push(
                Diagnostic::error(
                    codes::INVALID_SYNC,
                    format!(
                        "a mirror removes rows that leave, and from `{}` of `{}` that is for good: {}",
                        sync.object.value, manifest.name, removal.about
                    ),
                    sync.mode.span,
                )
                .with_help("write `on_leave: delete` if it is meant, `on_leave: keep` if not"),
            );
        }
        if let (Some(manifest), Some(bound)) = (manifest, bound)
            && let Err(error) = check_target(manifest, &target_of(sync, bound))
        {
            found.push(
                Diagnostic::error(
                    codes::INVALID_SYNC,
                    format!("`{}` cannot carry out this sync: {error}", manifest.name),
                    sync.object.span,
                )
                .with_help(format!(
                    "it has {}",
                    suggest::one_of(manifest.objects.iter().map(|object| object.name.as_str()))
                )),
            );
        }
    }
    found
}

fn manifest_of(
    connection: &Connection,
    folder: Folder,
    found: &mut Vec<Diagnostic>,
) -> Option<Manifest> {
    let mistakes = folder.diagnostics.iter().filter(|d| d.is_error()).count();
    if mistakes > 0 || folder.manifest.is_none() {
        let name = connection.kind_name();
        found.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                format!("the manifest of `{name}` has {mistakes} mistakes"),
                connection.kind.span,
            )
            .with_help(format!(
                "`kinfold destination check destinations/{name}` shows them"
            )),
        );
        return None;
    }
    folder.manifest
}

fn parameters(connection: &Connection, manifest: &Manifest, found: &mut Vec<Diagnostic>) {
    let names = || {
        manifest
            .parameters
            .iter()
            .map(|parameter| parameter.name.as_str())
    };
    for (option, _) in &connection.options {
        let word = option.value.as_str();
        if COMMON_OPTIONS.contains(&word) || names().any(|name| name == word) {
            continue;
        }
        let help = suggest::did_you_mean(word, names().chain(COMMON_OPTIONS));
        found.push(
            Diagnostic::error(
                codes::UNKNOWN_KEY,
                format!("`{}` has no parameter `{word}`", manifest.name),
                option.span,
            )
            .with_help(help.unwrap_or_else(|| format!("it has {}", suggest::one_of(names())))),
        );
    }
    for parameter in &manifest.parameters {
        let given = connection
            .options
            .iter()
            .any(|(option, _)| option.value == parameter.name);
        if !given && !parameter.optional && parameter.default.is_none() {
            found.push(
                Diagnostic::error(
                    codes::MISSING_KEY,
                    format!(
                        "a connection to `{}` needs `{}`",
                        manifest.name, parameter.name
                    ),
                    connection.name.span,
                )
                .with_help(parameter.about.clone()),
            );
        }
    }
}

fn target_of(sync: &Sync, compiled: &CompiledSync) -> Target {
    Target {
        object: sync.object.value.clone(),
        mode: sync.mode.value,
        deletes: matches!(
            sync.on_leave.value,
            OnLeave::Delete | OnLeave::LeaveAudience
        ),
        key_fields: compiled.key_fields.clone(),
        fields: compiled.fields.clone(),
    }
}
