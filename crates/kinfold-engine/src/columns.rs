//! Columns of sources and seeds: what binding starts from.

mod recorded;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::execution::SessionState;
use kinfold_compile::render::{RenderedNode, RenderedProject};
use kinfold_lake::{Lake, TablePath, open_external_delta, storable_schema};
use kinfold_project::model::ResolvedEnvironment;
use kinfold_project::{
    Code, Diagnostic, NodeId, Project, RecordedSource, ResourceType, Source, SourceFormat,
    SourceLocation, Span,
};

use crate::activate::records_columns;
use crate::context::absolute_location;
use crate::input::{self, SeedConfig};
use crate::stream::nullable;
use crate::{Engine, EngineError};

pub use recorded::{SOURCE_DRIFT, recorded_type};

/// A source or seed whose columns cannot be found.
pub const SOURCE_UNREADABLE: Code = Code {
    id: "KF0501",
    name: "source-not-readable",
};
/// A source whose columns are known only to a server.
pub const COLUMNS_UNKNOWN: Code = Code {
    id: "KF0502",
    name: "columns-not-known-offline",
};

/// All codes of this crate, in order.
pub const CODES: &[Code] = &[SOURCE_UNREADABLE, COLUMNS_UNKNOWN, SOURCE_DRIFT];

/// Where columns may be looked up.
pub enum Reach<'a> {
    /// Files of this machine only; `kinfold check` opens no socket.
    Offline(&'a ResolvedEnvironment),
    /// Everything that the engine reaches.
    Online(&'a Engine),
}

/// Columns of every source and seed of the rendered project, as a scan will return them.
///
/// What cannot be found is a diagnostic; what cannot be found without a socket is a warning, and
/// the nodes that read it are not checked.
pub async fn input_columns(
    root: &Path,
    project: &Project,
    rendered: &RenderedProject,
    session: &SessionState,
    reach: Reach<'_>,
) -> (BTreeMap<NodeId, SchemaRef>, Vec<Diagnostic>) {
    let mut columns = BTreeMap::new();
    let mut found = vec![];
    let finder = Finder {
        root,
        session,
        reach,
    };
    for node in rendered.nodes.values() {
        let result = match node.resource {
            // The table of a seed, which may not be written yet.
            ResourceType::Source if !node.depends_on.is_empty() => {
                let seed = node.depends_on.iter();
                match seed.filter_map(|d| rendered.nodes.get(&d.id)).next() {
                    Some(seed) => finder.seed(project, seed).map_err(|e| (e, node.place)),
                    None => continue,
                }
            }
            ResourceType::Source => match project.sources.iter().find(|s| s.id == node.id) {
                Some(source) => {
                    let recorded = project.recorded.get(&source.id);
                    finder
                        .source_or(source, recorded, &mut found)
                        .await
                        .map_err(|e| (e, source_place(source)))
                }
                None => continue,
            },
            ResourceType::Seed => finder.seed(project, node).map_err(|e| (e, node.place)),
            _ => continue,
        };
        match result {
            Ok(Some(schema)) => {
                columns.insert(node.id.clone(), nullable(&schema));
            }
            Ok(None) => found.push(unknown(node, project)),
            Err((error, place)) => found.push(unreadable(&error, place)),
        }
    }
    (columns, found)
}

fn source_place(source: &Source) -> Option<Span> {
    match &source.location {
        SourceLocation::Lake | SourceLocation::Records(_) => Some(source.table.span),
        SourceLocation::External { location, .. } => Some(location.span),
    }
}

fn unreadable(error: &EngineError, place: Option<Span>) -> Diagnostic {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    match place {
        Some(span) => Diagnostic::error(SOURCE_UNREADABLE, text, span),
        None => Diagnostic::error_nowhere(SOURCE_UNREADABLE, text),
    }
}

fn unknown(node: &RenderedNode, project: &Project) -> Diagnostic {
    let text = format!(
        "the columns of `{}` are not known without asking its storage",
        node.name
    );
    let place = project
        .sources
        .iter()
        .find(|s| s.id == node.id)
        .and_then(source_place)
        .or(node.place);
    let diagnostic = match place {
        Some(span) => Diagnostic::warning(COLUMNS_UNKNOWN, text, span),
        None => Diagnostic::error_nowhere(COLUMNS_UNKNOWN, text),
    };
    diagnostic
        .with_note("models that read it were not checked")
        .with_help("record them with `kinfold source snapshot`, or declare its `columns` with a `data_type` each")
}

struct Finder<'a> {
    root: &'a Path,
    session: &'a SessionState,
    reach: Reach<'a>,
}

impl Finder<'_> {
    fn environment(&self) -> &ResolvedEnvironment {
        match &self.reach {
            Reach::Offline(environment) => environment,
            Reach::Online(engine) => &engine.environment,
        }
    }

    fn is_reachable(&self, location: &str) -> bool {
        matches!(self.reach, Reach::Online(_)) || !location.contains("://")
    }

    /// The columns of a source; as they are recorded where it cannot be asked. What differs from the record is
    /// told.
    async fn source_or(
        &self,
        source: &Source,
        recorded: Option<&RecordedSource>,
        found: &mut Vec<Diagnostic>,
    ) -> Result<Option<Schema>, EngineError> {
        let Some(recorded) = recorded else {
            return self.source(source).await;
        };
        found.extend(recorded::undeclared(source, recorded, self.session));
        let offline = matches!(self.reach, Reach::Offline(_));
        if offline && !self.asks_nobody(source) {
            return Ok(Some(recorded::schema(recorded, self.session)?));
        }
        match self.source(source).await {
            Ok(Some(now)) => {
                let stored = storable_schema(&now).unwrap_or_else(|_| now.clone());
                found.extend(recorded::drift(source, recorded, &stored, self.session));
                Ok(Some(now))
            }
            // Whoever only checks may have none of the data.
            Ok(None) | Err(_) if offline => Ok(Some(recorded::schema(recorded, self.session)?)),
            other => other,
        }
    }

    /// Whether a source is a matter of this machine.
    fn asks_nobody(&self, source: &Source) -> bool {
        match &source.location {
            SourceLocation::Records(_) => true,
            SourceLocation::Lake => {
                let lake = absolute_location(self.root, &self.environment().lake);
                self.is_reachable(&lake)
            }
            SourceLocation::External { location, .. } => self.is_reachable(&location.value),
        }
    }

    async fn source(&self, source: &Source) -> Result<Option<Schema>, EngineError> {
        let storage = &self.environment().storage;
        match &source.location {
            SourceLocation::Lake => self.lake_table(source).await,
            SourceLocation::Records(kind) => Ok(Some(records_columns(*kind).as_ref().clone())),
            SourceLocation::External {
                location,
                format: SourceFormat::Delta,
                storage: own,
            } => {
                let address = absolute_location(self.root, &location.value);
                if !self.is_reachable(&address) {
                    return self.declared(source);
                }
                let options = if own.0.is_empty() { &storage.0 } else { &own.0 };
                let opened = open_external_delta(&address, options, None).await?;
                Ok(Some(opened.schema().as_ref().clone()))
            }
            SourceLocation::External { .. } => match &self.reach {
                Reach::Online(_) => {
                    let files = input::list(self.root, source, storage).await?;
                    let schema =
                        input::columns(self.root, source, &files, storage, self.session).await?;
                    Ok(Some(schema.as_ref().clone()))
                }
                Reach::Offline(_) => {
                    let schema = input::offline_columns(self.root, source, self.session).await?;
                    Ok(schema.map(|s| s.as_ref().clone()))
                }
            },
        }
    }

    async fn lake_table(&self, source: &Source) -> Result<Option<Schema>, EngineError> {
        let path = TablePath::new(&format!("{}/{}", source.schema, source.identifier))?;
        let lake = match &self.reach {
            Reach::Online(engine) => engine.lake.clone(),
            Reach::Offline(environment) => {
                let location = absolute_location(self.root, &environment.lake);
                if !self.is_reachable(&location) {
                    return self.declared(source);
                }
                Lake::open(&location, &environment.storage.0).await?
            }
        };
        match lake.snapshot(&path, None).await? {
            Some(snapshot) => Ok(Some(snapshot.schema().as_ref().clone())),
            None => Err(EngineError::TableMissing(path.as_str().to_owned())),
        }
    }

    /// Columns as declared, if all of them have a type.
    fn declared(&self, source: &Source) -> Result<Option<Schema>, EngineError> {
        let mut fields = Vec::with_capacity(source.columns.len());
        for column in &source.columns {
            let Some(data_type) = &column.data_type else {
                return Ok(None);
            };
            let data_type = input::sql_type(&column.name.value, &data_type.value, self.session)?;
            fields.push(Field::new(&column.name.value, data_type, true));
        }
        if fields.is_empty() {
            return Ok(None);
        }
        Ok(Some(storable_schema(&Schema::new(fields))?))
    }

    fn seed(&self, project: &Project, node: &RenderedNode) -> Result<Option<Schema>, EngineError> {
        let Some(seed) = project.seeds.iter().find(|s| s.id == node.id) else {
            return Ok(None);
        };
        let schema = input::seed_columns(seed, &SeedConfig::of(&node.config), self.session)?;
        Ok(Some(Arc::unwrap_or_clone(schema)))
    }
}

/// What a stored relation with these columns looks like when it is read back.
///
/// # Errors
/// When a name or a type cannot be stored.
pub fn storable(schema: &Schema) -> Result<Schema, kinfold_compile::compile::NotStorable> {
    Ok(storable_schema(schema)?)
}
