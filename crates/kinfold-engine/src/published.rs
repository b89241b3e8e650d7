//! The environment's document: which version of which table is the audited one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use kinfold_compile::relation::RelationKey;
use kinfold_lake::{Difference, Generation, Lake, LakeError, Snapshot, TablePath};
use kinfold_project::NodeId;
use serde::{Deserialize, Serialize};

use crate::{Engine, EngineError};

/// Newest format that this program reads.
const FORMAT: u64 = 2;

/// The format of a document without nodes of another environment, which older programs can read.
const FORMAT_OF_OWN: u64 = 1;

/// The published state of an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Format of this document.
    pub format: u64,
    /// The project that published it.
    pub project: String,
    /// The run that published it.
    pub run_id: String,
    /// That run's clock.
    pub as_of: DateTime<Utc>,
    /// Every node, by id.
    pub nodes: BTreeMap<NodeId, PublishedNode>,
}

/// What the environment has of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedNode {
    /// `source`, `seed`, `view`, `table`, `identity`, `profile`, `segment` or `test`.
    pub kind: String,
    /// Schema and name under which SQL knows it; tests have none.
    pub relation: Option<(String, String)>,
    /// The stored rows; views and tests have none.
    pub table: Option<StoredTable>,
    /// Companions by suffix.
    #[serde(default)]
    pub companions: BTreeMap<String, StoredTable>,
    /// Identity of the result: the node's meaning over its input versions.
    pub key: String,
    /// Identity of the node's meaning.
    pub fingerprint: String,
    /// What it read: relation → version.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The rendered SQL of a view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// Anything that the node itself wants to know the next time, such as the files of a source.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
    /// The environment that has made it and owns its tables, if that is another one: it is read there and
    /// never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<String>,
    /// The run that made it.
    pub run_id: String,
    /// That run's clock.
    pub as_of: DateTime<Utc>,
}

/// A Delta table at a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTable {
    /// Schema and name under which SQL knows it.
    pub relation: (String, String),
    /// Path below the lake's root, or the address of a table outside the lake.
    pub path: String,
    /// Whether `path` is outside the lake.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// The Delta version.
    pub version: u64,
    /// Rows, if the log knows.
    pub rows: Option<u64>,
}

impl StoredTable {
    /// The version as input identity.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}@{}", self.path, self.version)
    }
}

/// The document with the proof that a swap needs.
#[derive(Clone, Debug)]
pub struct PublishedState {
    /// The document; empty for an environment that was never published.
    pub document: Published,
    /// What was read; `None` if nothing was published yet.
    pub generation: Option<Generation>,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

impl Published {
    /// The document with only what this environment has made itself.
    #[must_use]
    pub fn own(&self) -> Self {
        let mut own = self.clone();
        own.nodes.retain(|_, node| node.deferred.is_none());
        own
    }

    /// The document that readers shall find, with the oldest format that can say it.
    fn in_its_format(&self) -> Self {
        let foreign = self.nodes.values().any(|node| node.deferred.is_some());
        Self {
            format: if foreign { FORMAT } else { FORMAT_OF_OWN },
            ..self.clone()
        }
    }

    /// The stored table behind a relation.
    #[must_use]
    pub fn table(&self, key: &RelationKey) -> Option<&StoredTable> {
        let node = self.nodes.get(&key.node)?;
        match &key.companion {
            None => node.table.as_ref(),
            Some(suffix) => node.companions.get(suffix),
        }
    }
}

impl Engine {
    /// Reads what is published in this environment.
    ///
    /// # Errors
    /// When the document cannot be read, or was written by a newer kinfold.
    pub async fn published(&self) -> Result<PublishedState, EngineError> {
        self.published_in(&self.lake, &self.environment.name).await
    }

    /// Reads what is published in an environment of a lake.
    pub(crate) async fn published_in(
        &self,
        lake: &Lake,
        name: &str,
    ) -> Result<PublishedState, EngineError> {
        let Some((bytes, generation)) = lake.read_environment(name).await? else {
            let document = Published {
                format: FORMAT_OF_OWN,
                project: self.project.to_string(),
                run_id: String::new(),
                as_of: self.clock.as_of,
                nodes: BTreeMap::new(),
            };
            return Ok(PublishedState {
                document,
                generation: None,
            });
        };
        Ok(PublishedState {
            document: self.document(name, &bytes)?,
            generation: Some(generation),
        })
    }

    /// A stored document of an environment.
    pub(crate) fn document(&self, name: &str, bytes: &[u8]) -> Result<Published, EngineError> {
        let unreadable = |source| EngineError::Document {
            name: format!("environment {name}"),
            source,
        };
        let stored: FormatOnly = serde_json::from_slice(bytes).map_err(unreadable)?;
        if stored.format > FORMAT {
            return Err(EngineError::NewerFormat {
                name: format!("environment {name}"),
                found: stored.format,
                supported: FORMAT,
            });
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    /// Publishes a document if nobody else has since `state` was read.
    ///
    /// # Errors
    /// [`kinfold_lake::LakeError::Conflict`] if somebody has.
    pub async fn publish(
        &self,
        state: &PublishedState,
        document: &Published,
    ) -> Result<Generation, EngineError> {
        let name = &self.environment.name;
        let json_of = |document: &Published| {
            let unwritable = |source| EngineError::Document {
                name: format!("environment {name}"),
                source,
            };
            serde_json::to_vec(&document.in_its_format()).map_err(unwritable)
        };
        let json = json_of(document)?;
        if let Some(generation) = &state.generation {
            let replaced = json_of(&state.document)?;
            self.lake
                .keep_environment(name, generation, &replaced)
                .await?;
        }
        Ok(self
            .lake
            .swap_environment(name, state.generation.as_ref(), json)
            .await?)
    }

    /// The rows of a stored table at its version.
    ///
    /// # Errors
    /// When the table or the version is gone.
    pub async fn provider(
        &self,
        table: &StoredTable,
    ) -> Result<Arc<dyn TableProvider>, EngineError> {
        if table.external {
            let opened = kinfold_lake::open_external_delta(
                &table.path,
                &self.environment.storage.0,
                Some(table.version),
            )
            .await?;
            opened.register(&self.runtime);
            return Ok(opened.provider());
        }
        let path = TablePath::new(&table.path)?;
        let snapshot = self.lake.snapshot(&path, Some(table.version)).await?;
        let snapshot = snapshot.ok_or_else(|| EngineError::TableMissing(table.path.clone()))?;
        Ok(snapshot.provider()?)
    }

    /// What changed between two versions of a stored table; none where files alone do not say, or the older
    /// version is not there any more.
    pub(crate) async fn difference(
        &self,
        newer: &StoredTable,
        older: &StoredTable,
    ) -> Result<Option<Difference>, EngineError> {
        if newer.path != older.path || newer.external != older.external {
            return Ok(None);
        }
        let (Some(newer), Some(older)) = (self.pinned(newer).await?, self.pinned(older).await?)
        else {
            return Ok(None);
        };
        Ok(newer.difference(&older)?)
    }

    /// A stored table at its version, if that is still there.
    async fn pinned(&self, table: &StoredTable) -> Result<Option<Snapshot>, EngineError> {
        let version = Some(table.version);
        let found = if table.external {
            let storage = &self.environment.storage.0;
            let opened = kinfold_lake::open_external_delta(&table.path, storage, version).await;
            opened.map(|opened| {
                opened.register(&self.runtime);
                Some(opened.snapshot().clone())
            })
        } else {
            let path = TablePath::new(&table.path)?;
            self.lake.snapshot(&path, version).await
        };
        match found {
            Err(LakeError::NoVersion { .. } | LakeError::NoTable { .. }) => Ok(None),
            found => Ok(found?),
        }
    }

    /// Providers of the relations that a plan reads, as `document` has them.
    ///
    /// # Errors
    /// [`EngineError::NotBuilt`] for a relation that it does not have.
    pub async fn providers(
        &self,
        document: &Published,
        reads: impl IntoIterator<Item = &RelationKey>,
    ) -> Result<BTreeMap<RelationKey, Arc<dyn TableProvider>>, EngineError> {
        let mut providers = BTreeMap::new();
        for key in reads.into_iter().collect::<BTreeSet<_>>() {
            let table = document
                .table(key)
                .ok_or_else(|| EngineError::NotBuilt(key.node.clone()))?;
            providers.insert(key.clone(), self.provider(table).await?);
        }
        Ok(providers)
    }
}
