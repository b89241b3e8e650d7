//! Whether something new is there to be built or delivered, without doing either.

use std::fmt::Write as _;

use kinfold_project::{Project, Reference, Source, SourceFormat, SourceLocation, Sync};

use crate::context::absolute_location;
use crate::published::PublishedNode;
use crate::{Engine, EngineError, input};

impl Engine {
    /// A text that differs when a source of the project has changed: versions of tables, sizes and times of
    /// files. A source that is not there is part of the text too. What kinfold records of its own doings is
    /// left out, or every run would be followed by another one.
    pub async fn sources_seen(&self, project: &Project) -> String {
        let mut seen = String::new();
        for source in &project.sources {
            let version = match self.source_seen(source).await {
                Ok(Some(version)) => version,
                Ok(None) => continue,
                Err(error) => format!("not readable: {error}"),
            };
            let _ = writeln!(seen, "{} {version}", source.id);
        }
        blake3::hash(seen.as_bytes()).to_hex().to_string()
    }

    async fn source_seen(&self, source: &Source) -> Result<Option<String>, EngineError> {
        let storage = &self.environment.storage;
        Ok(match &source.location {
            SourceLocation::Records(_) => None,
            SourceLocation::Lake => {
                let path = format!("{}/{}", source.schema, source.identifier);
                let table = kinfold_lake::TablePath::new(&path)?;
                let snapshot = self.lake.snapshot(&table, None).await?;
                Some(snapshot.map_or_else(String::new, |found| found.version().to_string()))
            }
            SourceLocation::External {
                location,
                format: SourceFormat::Delta,
                storage: own,
            } => {
                let address = absolute_location(&self.root, &location.value);
                let options = if own.0.is_empty() { &storage.0 } else { &own.0 };
                let opened = kinfold_lake::open_external_delta(&address, options, None).await?;
                Some(opened.version().to_string())
            }
            SourceLocation::External { .. } => {
                Some(input::glance(&self.root, source, storage).await?)
            }
        })
    }

    /// A text that differs when what a sync delivers has another version. With the traits of a segment's
    /// people, any profile counts.
    ///
    /// # Errors
    /// What is published cannot be read.
    pub async fn delivered_seen(&self, sync: &Sync) -> Result<String, EngineError> {
        let published = self.published().await?;
        let is_it = |id: &str| match &sync.input {
            Reference::Model { package, name } => {
                let mut parts = id.rsplit('.');
                let (node, of) = (parts.next().unwrap_or_default(), parts.next());
                let whole = name == node || name.starts_with(&format!("{node}__"));
                whole && package.as_deref().is_none_or(|package| of == Some(package))
            }
            Reference::Source { source, table } => id.ends_with(&format!(".{source}.{table}")),
        };
        let nodes = published.document.nodes.iter();
        let (read, others): (Vec<_>, Vec<_>) = nodes.partition(|(id, _)| is_it(id.as_str()));
        let segment = read.iter().any(|(_, node)| node.kind == "segment");
        let traits = others
            .iter()
            .filter(|(_, node)| segment && node.kind == "profile");
        let mut seen = String::new();
        for (id, node) in read.iter().chain(traits) {
            let _ = writeln!(seen, "{id} {} {}", node.key, tables(node).join(" "));
        }
        Ok(blake3::hash(seen.as_bytes()).to_hex().to_string())
    }
}

fn tables(node: &PublishedNode) -> Vec<String> {
    let tables = node.table.iter().chain(node.companions.values());
    tables.map(|table| table.identity()).collect()
}
