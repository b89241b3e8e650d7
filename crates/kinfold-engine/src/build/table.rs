//! Materialization `table`, and what all stored materializations share.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use kinfold_compile::compile::CompiledNode;
use kinfold_lake::{CommitNote, IndexColumns, Snapshot};
use serde_json::json;

use super::{Inputs, NodeStatus, Outcome, Pinned, Run};
use crate::published::{Basis, PublishedNode, StoredTable};
use crate::stream::{is_out_of_memory, nullable, under_schema};
use crate::{Engine, EngineError};

/// What a stored materialization made.
pub(super) struct Made {
    pub table: StoredTable,
    pub companions: BTreeMap<String, StoredTable>,
}

/// What is written into the commit of a node's own table, so that a run that was not published can
/// be recognised by the next.
pub(super) struct Mark<'a> {
    pub key: &'a str,
    pub companions: &'a BTreeMap<String, StoredTable>,
}

/// The key of a node, and what a commit is marked with that made it.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub key: &'a str,
    pub mark: &'a str,
}

impl<'a> Keys<'a> {
    /// Of a node that is built in full.
    pub(super) fn of(key: &'a str) -> Self {
        Self { key, mark: key }
    }
}

impl Engine {
    /// Replaces the rows of a relation of this environment.
    pub(super) async fn replace(
        &self,
        relation: (&str, &str),
        schema: SchemaRef,
        streams: Vec<SendableRecordBatchStream>,
        mark: Option<Mark<'_>>,
    ) -> Result<StoredTable, EngineError> {
        let path = self.table_path(relation.0, relation.1)?;
        let note = self.note(&path, mark).await?;
        let written = self.lake.overwrite(&path, schema, streams, note).await?;
        self.stored(relation, &path, written.version).await
    }

    /// [`Engine::replace`] with a row index of these columns.
    pub(super) async fn replace_indexed(
        &self,
        relation: (&str, &str),
        schema: SchemaRef,
        streams: Vec<SendableRecordBatchStream>,
        index: IndexColumns,
    ) -> Result<StoredTable, EngineError> {
        let path = self.table_path(relation.0, relation.1)?;
        let note = self.note(&path, None).await?;
        let written = self
            .lake
            .overwrite_indexed(&path, schema, streams, index, note)
            .await?;
        self.stored(relation, &path, written.version).await
    }

    /// Adds rows to a relation of this environment.
    pub(super) async fn add(
        &self,
        relation: (&str, &str),
        schema: SchemaRef,
        streams: Vec<SendableRecordBatchStream>,
        mark: Option<Mark<'_>>,
    ) -> Result<StoredTable, EngineError> {
        let path = self.table_path(relation.0, relation.1)?;
        let note = self.note(&path, mark).await?;
        let written = self.lake.append(&path, schema, streams, note).await?;
        self.stored(relation, &path, written.version).await
    }

    /// Deletes rows of a relation of this environment by their places, and adds others, with a row index of
    /// these columns.
    pub(super) async fn patch(
        &self,
        relation: &(String, String),
        snapshot: &Snapshot,
        deleted: &BTreeMap<String, Vec<u64>>,
        streams: Vec<SendableRecordBatchStream>,
        index: IndexColumns,
    ) -> Result<StoredTable, EngineError> {
        let path = self.table_path(&relation.0, &relation.1)?;
        let note = self.note(&path, None).await?;
        let written = self
            .lake
            .patch(&path, snapshot, deleted, streams, index, note)
            .await?;
        self.stored((&relation.0, &relation.1), &path, written.version)
            .await
    }

    /// Puts the mark on a table whose companions are written: a commit without rows.
    pub(super) async fn mark(
        &self,
        relation: (&str, &str),
        schema: &SchemaRef,
        written: &StoredTable,
        mark: Mark<'_>,
    ) -> Result<StoredTable, EngineError> {
        let marked = self
            .add(relation, std::sync::Arc::clone(schema), vec![], Some(mark))
            .await?;
        Ok(StoredTable {
            rows: written.rows,
            ..marked
        })
    }

    pub(super) async fn stored(
        &self,
        relation: (&str, &str),
        path: &kinfold_lake::TablePath,
        version: u64,
    ) -> Result<StoredTable, EngineError> {
        let snapshot = self.lake.snapshot(path, Some(version)).await?;
        Ok(StoredTable {
            relation: (relation.0.to_owned(), relation.1.to_owned()),
            path: path.as_str().to_owned(),
            external: false,
            version,
            rows: snapshot.and_then(|s| s.num_rows()),
        })
    }

    /// The note of the next commit to a table: an ordinal that no earlier commit of this environment
    /// had, the run, and the mark.
    pub(super) async fn note(
        &self,
        path: &kinfold_lake::TablePath,
        mark: Option<Mark<'_>>,
    ) -> Result<CommitNote, EngineError> {
        let app_id = format!("kinfold:{}:{}", self.environment.name, path.as_str());
        let last = match self.lake.snapshot(path, None).await? {
            Some(snapshot) => snapshot.transaction(&app_id).await?.unwrap_or(0),
            None => 0,
        };
        let mut note = CommitNote::new(app_id, last + 1).with("run_id", self.clock.run_id.as_str());
        if let Some(mark) = mark {
            let companions: BTreeMap<&str, u64> = mark
                .companions
                .iter()
                .map(|(suffix, t)| (suffix.as_str(), t.version))
                .collect();
            note = note
                .with("node_key", mark.key)
                .with("companions", json!(companions));
        }
        Ok(note)
    }
}

impl Run<'_> {
    pub(super) async fn table(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<Made, EngineError> {
        let attempt = self.table_once(node, providers, key, false).await;
        match attempt {
            // Hash joins cannot spill; sort-merge joins can.
            Err(error) if is_out_of_memory(&error) => {
                self.table_once(node, providers, key, true).await
            }
            other => other,
        }
    }

    async fn table_once(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
        spilling: bool,
    ) -> Result<Made, EngineError> {
        let (Some(plan), Some(relation)) = (&node.plan, &node.relation) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let schema = nullable(plan.schema().as_arrow());
        let streams = self.engine.streams(plan, providers, spilling).await?;
        let streams = streams
            .into_iter()
            .map(|s| under_schema(s, &schema))
            .collect();
        let companions = BTreeMap::new();
        let mark = Mark {
            key,
            companions: &companions,
        };
        let table = self
            .engine
            .replace(
                (&relation.schema, &relation.name),
                schema,
                streams,
                Some(mark),
            )
            .await?;
        Ok(Made { table, companions })
    }

    /// Takes the newest version of the node's table if an earlier run made it for the same key and
    /// was interrupted, or failed elsewhere, before it could publish.
    pub(super) async fn reuse(
        &self,
        node: &CompiledNode,
        keys: Keys<'_>,
        inputs: &Inputs,
        basis: Option<&Basis>,
    ) -> Result<Option<Outcome>, EngineError> {
        let Some(relation) = &node.relation else {
            return Ok(None);
        };
        if self.request.full_refresh {
            return Ok(None);
        }
        let path = self.engine.table_path(&relation.schema, &relation.name)?;
        let Some(newest) = self.engine.lake.snapshot(&path, None).await? else {
            return Ok(None);
        };
        let Some(note) = newest.note(newest.version()).await? else {
            return Ok(None);
        };
        if note.metadata.get("node_key").and_then(|k| k.as_str()) != Some(keys.mark) {
            return Ok(None);
        }
        let table = self
            .engine
            .stored((&relation.schema, &relation.name), &path, newest.version())
            .await?;
        let mut companions = BTreeMap::new();
        for companion in &node.companions {
            let version = note
                .metadata
                .get("companions")
                .and_then(|c| c.get(companion.suffix))
                .and_then(|v| v.as_u64());
            let Some(version) = version else {
                return Ok(None);
            };
            let at = (
                companion.relation.schema.as_str(),
                companion.relation.name.as_str(),
            );
            let path = self.engine.table_path(at.0, at.1)?;
            companions.insert(
                companion.suffix.to_owned(),
                self.engine.stored(at, &path, version).await?,
            );
        }
        let rows = table.rows;
        let published = PublishedNode {
            table: Some(table),
            companions,
            key: keys.key.to_owned(),
            inputs: inputs.0.clone(),
            basis: basis.cloned(),
            detail: super::incremental::detail(node),
            ..self.blank(node)
        };
        Ok(Some(Outcome {
            status: NodeStatus::Reused,
            reason: "built by an earlier run that was not published".to_owned(),
            node: Some(published),
            rows,
            quarantined: None,
        }))
    }
}
