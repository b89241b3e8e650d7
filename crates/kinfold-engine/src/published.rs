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

/// The format of [`Basis`].
const BASIS_FORMAT: u64 = 1;

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
    /// What its data is made of and is, column by column; none of sources and seeds, and of what an older kinfold
    /// has built.
    #[serde(
        default,
        deserialize_with = "known_basis",
        skip_serializing_if = "Option::is_none"
    )]
    pub basis: Option<Basis>,
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

/// What the data of a node is made of and is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    format: u64,
    /// What it was made of, by relation.
    pub reads: BTreeMap<String, DataRead>,
    /// What it is; none of what remembers more than its inputs, which is known by the version of its table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataIdentities>,
}

/// What was read of a relation: either its version, or identities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRead {
    /// The version, where that is all that is known of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Identity of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    /// Identities of the columns that were read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
}

/// Identities of the data of a table: equal ones are equal data, in whichever version of whichever table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentities {
    /// Of the rows; none if they may come out otherwise the next time.
    pub rows: Option<String>,
    /// Of every column; none where the same holds for it.
    pub columns: BTreeMap<String, Option<String>>,
}

impl Basis {
    /// What a node is made of and is, in the format that this program writes.
    #[must_use]
    pub fn new(reads: BTreeMap<String, DataRead>, data: Option<DataIdentities>) -> Self {
        let format = BASIS_FORMAT;
        Self {
            format,
            reads,
            data,
        }
    }
}

/// The basis of a node, if it has the format that this program knows. Without one the node is built again once.
fn known_basis<'de, D: serde::Deserializer<'de>>(stored: D) -> Result<Option<Basis>, D::Error> {
    let stored = serde_json::Value::deserialize(stored)?;
    let format = stored.get("format").and_then(serde_json::Value::as_u64);
    Ok(format
        .filter(|format| *format == BASIS_FORMAT)
        .and_then(|_| serde_json::from_value(stored).ok()))
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::{Basis, DataIdentities, Published, PublishedNode};

    /// A document as the program wrote it before data had identities.
    const OLDER: &str = include_str!("published/format_1.json");

    #[test]
    fn a_document_of_an_older_program_is_read_and_has_no_basis() {
        let document: Published = serde_json::from_str(OLDER).unwrap();
        assert_eq!(document.nodes.len(), 3);
        assert!(document.nodes.values().all(|node| node.basis.is_none()));
        // What is not known is not written either.
        let again: Value = serde_json::to_value(&document).unwrap();
        let older: Value = serde_json::from_str(OLDER).unwrap();
        assert_eq!(again, older);
    }

    #[test]
    fn a_basis_of_another_format_counts_for_nothing() {
        let document: Published = serde_json::from_str(OLDER).unwrap();
        let node = document.nodes.into_values().next().unwrap();
        let data = DataIdentities {
            rows: Some("r".to_owned()),
            columns: [("id".to_owned(), None)].into(),
        };
        let basis = Some(Basis::new([].into(), Some(data)));
        let node = PublishedNode { basis, ..node };
        let mut stored = serde_json::to_value(&node).unwrap();
        let read: PublishedNode = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(read, node);
        stored["basis"] = json!({"format": 2, "reads": "somewhere else"});
        let read: PublishedNode = serde_json::from_value(stored).unwrap();
        assert_eq!(read.basis, None);
    }
}
