//! The files of `target/`, in dbt's formats, so that existing orchestrators and catalogues read them:
//! `compiled/`, `manifest.json` (schema v12), `run_results.json` (schema v6),
//! `catalog.json` (schema v1) and `sources.json` (schema v3).
//!
//! The formats are described by the JSON schemas that dbt Labs publishes. Only keys that every edition
//! of them allows are written, because tools check against different editions. What only kinfold knows
//! is below `meta.kinfold` of a node, where the schemas allow anything; a sync is an exposure. Apart
//! from the times of `run_results.json` the same project, environment and run give the same bytes.

mod catalog;
mod column;
mod declared;
pub mod earlier;
mod exposure;
mod freshness;
mod layout;
pub mod lineage;
mod manifest;
mod node;
mod results;
mod source;
mod unit_test;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use kinfold_compile::compile::CompiledProject;
use kinfold_compile::render::RenderedProject;
use kinfold_engine::catalog::Catalog;
use kinfold_engine::freshness::SourceFreshness;
use kinfold_project::Project;
use serde_json::{Value as Json, json};

pub use column::description;
pub use freshness::word as freshness_word;
pub use results::RunResult;

use layout::Layout;

/// The version of dbt whose artefacts these are like. Tools choose their reader by it.
const DBT_VERSION: &str = "1.10.15";

/// Why a file of `target/` could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The operating system refused.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An earlier artefact cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An earlier artefact is not one.
    #[error("`{}` is no `{file}`: {why}", path.display())]
    NotAnArtifact {
        /// The file.
        path: PathBuf,
        /// What it should be.
        file: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A document cannot be JSON.
    #[error("`{file}` cannot be encoded")]
    Encode {
        /// The file's name.
        file: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

/// What the artefacts say about their run.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// The id of the run.
    pub invocation_id: String,
    /// The run's clock: `generated_at` of all artefacts.
    pub as_of: DateTime<Utc>,
    /// The environment.
    pub environment: String,
}

impl RunFacts {
    /// `metadata` of an artefact; `schema` is the part of its schema's address after `dbt/`.
    fn metadata(&self, schema: &str) -> serde_json::Map<String, Json> {
        let time = self.as_of.to_rfc3339_opts(SecondsFormat::Micros, true);
        let metadata = json!({
            "dbt_schema_version": format!("https://schemas.getdbt.com/dbt/{schema}.json"),
            "dbt_version": DBT_VERSION,
            "generated_at": time,
            "invocation_id": self.invocation_id,
            "env": {
                "kinfold_environment": self.environment,
                "kinfold_version": env!("CARGO_PKG_VERSION"),
            },
        });
        match metadata {
            Json::Object(metadata) => metadata,
            _ => serde_json::Map::new(),
        }
    }
}

/// Writes the SQL of every model and data test to `<target>/compiled/<package>/<path>`. A generic test
/// is below the properties file that declares it, as dbt has it.
///
/// # Errors
/// The first file or folder that cannot be written.
pub fn write_compiled(
    target: &Path,
    project: &Project,
    rendered: &RenderedProject,
) -> Result<(), ArtifactError> {
    let layout = Layout::of(project);
    for node in rendered.nodes.values() {
        if let (Some(sql), Some(place)) = (&node.sql, layout.place(&node.id)) {
            let path = target.join(place.compiled());
            write(&path, sql.text.as_bytes())?;
        }
    }
    Ok(())
}

/// `manifest.json` as a document. With `compiled` it has the fingerprints too.
#[must_use]
pub fn manifest_document(
    project: &Project,
    rendered: &RenderedProject,
    compiled: Option<&CompiledProject>,
    run: &RunFacts,
) -> Json {
    manifest::document(project, rendered, compiled, run)
}

/// Writes `<target>/manifest.json`. With `compiled` it has the fingerprints too.
///
/// # Errors
/// When it cannot be encoded or written. The old file stays as it was.
pub fn write_manifest(
    target: &Path,
    project: &Project,
    rendered: &RenderedProject,
    compiled: Option<&CompiledProject>,
    run: &RunFacts,
) -> Result<(), ArtifactError> {
    let document = manifest::document(project, rendered, compiled, run);
    write_json(target, "manifest.json", &document)
}

/// Writes `<target>/run_results.json` for a run of the command, e.g. `build`.
///
/// # Errors
/// As of [`write_manifest`].
pub fn write_run_results(
    target: &Path,
    results: &[RunResult],
    run: &RunFacts,
    command: &str,
) -> Result<(), ArtifactError> {
    let document = results::document(results, run, command);
    write_json(target, "run_results.json", &document)
}

/// Writes `<target>/catalog.json`: what an environment has published.
///
/// # Errors
/// As of [`write_manifest`].
pub fn write_catalog(
    target: &Path,
    catalog: &Catalog,
    run: &RunFacts,
) -> Result<(), ArtifactError> {
    write_json(target, "catalog.json", &catalog::document(catalog, run))
}

/// Writes `<target>/sources.json`: how old the rows of sources are.
///
/// # Errors
/// As of [`write_manifest`].
pub fn write_sources(
    target: &Path,
    project: &Project,
    found: &[SourceFreshness],
    run: &RunFacts,
) -> Result<(), ArtifactError> {
    let document = freshness::document(project, found, run);
    write_json(target, "sources.json", &document)
}

fn write_json(target: &Path, file: &'static str, document: &Json) -> Result<(), ArtifactError> {
    let text =
        serde_json::to_vec(document).map_err(|source| ArtifactError::Encode { file, source })?;
    write(&target.join(file), &text)
}

/// Puts a file in its place as a whole: a reader sees the old one or the new one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        |source| ArtifactError::Write { path, source }
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed(folder))?;
    // The name does not grow with the file's, which may be as long as names can be.
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".kinfold-{}-{number}.tmp", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(failed(path))
}
