//! Sources and seeds: what enters the lake.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::memory::MemoryStream;
use kinfold_compile::compile::CompiledNode;
use kinfold_project::{NodeId, Records, Seed, Source, SourceFormat, SourceLocation};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::plan::{Known, PlannedAction};
use super::table::{Keys, Mark};
use super::{Inputs, NodeStatus, Outcome, Run, key, node_key};
use crate::EngineError;
use crate::activate::records;
use crate::context::absolute_location;
use crate::input::{self, InputFile, InputFiles};
use crate::published::{PublishedNode, StoredTable};
use crate::stream::nullable;

/// Suffix of the companion that keeps what could not be read.
pub(crate) const QUARANTINE: &str = "quarantine";

/// What a landed source remembers.
#[derive(Serialize, Deserialize, Default)]
struct Landed {
    files: Vec<InputFile>,
    quarantined: u64,
}

impl Run<'_> {
    pub(super) async fn source(&self, node: &CompiledNode) -> Result<Outcome, EngineError> {
        let source = self.declared(&node.id)?;
        match &source.location {
            SourceLocation::Lake if !node.depends_on.is_empty() => self.of_seed(node),
            SourceLocation::Lake => {
                let path = format!("{}/{}", source.schema, source.identifier);
                let table = kinfold_lake::TablePath::new(&path)?;
                let snapshot = self.engine.lake.snapshot(&table, None).await?;
                let snapshot = snapshot.ok_or(EngineError::TableMissing(path.clone()))?;
                Ok(self.pinned(node, path, false, snapshot.version(), snapshot.num_rows()))
            }
            SourceLocation::External {
                location,
                format: SourceFormat::Delta,
                storage,
            } => {
                let address = absolute_location(&self.engine.root, &location.value);
                let options = if storage.0.is_empty() {
                    &self.engine.environment.storage.0
                } else {
                    &storage.0
                };
                let opened = kinfold_lake::open_external_delta(&address, options, None).await?;
                Ok(self.pinned(
                    node,
                    address,
                    true,
                    opened.version(),
                    opened.snapshot().num_rows(),
                ))
            }
            SourceLocation::External { .. } => self.land(node, source).await,
            SourceLocation::Records(Records::SyncSnapshot) => self.sync_snapshot(node).await,
            SourceLocation::Records(kind) => {
                let table = records::table(self.engine, *kind).await?;
                let snapshot = self.engine.lake.snapshot(&table, None).await?;
                let path = table.as_str().to_owned();
                let snapshot = snapshot.ok_or_else(|| EngineError::TableMissing(path.clone()))?;
                Ok(self.pinned(node, path, false, snapshot.version(), snapshot.num_rows()))
            }
        }
    }

    /// A source whose table is that of a seed, at the version that the seed has now.
    fn of_seed(&self, node: &CompiledNode) -> Result<Outcome, EngineError> {
        let seed = node.depends_on.first();
        let table = seed
            .and_then(|seed| self.next.nodes.get(seed)?.table.as_ref())
            .ok_or_else(|| EngineError::NotBuilt(node.id.clone()))?;
        Ok(self.pinned(
            node,
            table.path.clone(),
            table.external,
            table.version,
            table.rows,
        ))
    }

    /// What the states of all syncs say now, copied into a table: a state is a log, and goes on while models
    /// are built.
    async fn sync_snapshot(&self, node: &CompiledNode) -> Result<Outcome, EngineError> {
        let (Some(relation), Some(schema)) = (&node.relation, &node.schema) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let syncs = &self.request.project.syncs;
        let versions = records::state_versions(self.engine, syncs).await?;
        let inputs = Inputs(versions);
        let key = node_key(node.fingerprint, &inputs, "");
        if let Some(skipped) = self.skip(node, &key) {
            return Ok(Outcome {
                reason: "no new version".to_owned(),
                ..skipped
            });
        }
        let previous = self.published.nodes.get(&node.id);
        let why = key::why(previous, node, &inputs, self.request.full_refresh);
        let rows = records::snapshot_rows(self.engine, syncs).await?;
        let at = (relation.schema.as_str(), relation.name.as_str());
        let companions = BTreeMap::new();
        let mark = Mark {
            key: &key,
            companions: &companions,
        };
        let columns = nullable(schema);
        let table = self.engine.replace(at, columns, rows, Some(mark)).await?;
        let rows = table.rows;
        Ok(Outcome {
            status: NodeStatus::Built,
            reason: why,
            node: Some(PublishedNode {
                table: Some(table),
                key,
                inputs: inputs.0,
                ..self.blank(node)
            }),
            rows,
            quarantined: None,
        })
    }

    fn declared(&self, id: &NodeId) -> Result<&Source, EngineError> {
        self.request
            .project
            .sources
            .iter()
            .find(|s| s.id == *id)
            .ok_or_else(|| EngineError::NotBuilt(id.clone()))
    }

    /// A Delta table that is read where it lies, at the version that it has now.
    fn pinned(
        &self,
        node: &CompiledNode,
        path: String,
        external: bool,
        version: u64,
        rows: Option<u64>,
    ) -> Outcome {
        let relation = node
            .relation
            .as_ref()
            .map(|r| (r.schema.clone(), r.name.clone()))
            .unwrap_or_default();
        let table = StoredTable {
            relation,
            path,
            external,
            version,
            rows,
        };
        let inputs = Inputs(BTreeMap::from([(node.id.to_string(), table.identity())]));
        let key = node_key(node.fingerprint, &inputs, "");
        let same = self
            .published
            .nodes
            .get(&node.id)
            .is_some_and(|p| p.key == key);
        let (status, reason) = if same {
            (NodeStatus::Skipped, "no new version".to_owned())
        } else {
            (NodeStatus::Built, format!("pinned at version {version}"))
        };
        let published = PublishedNode {
            table: Some(table),
            key,
            inputs: inputs.0,
            ..self.blank(node)
        };
        let published = match self.published.nodes.get(&node.id) {
            Some(previous) if same => previous.clone(),
            _ => published,
        };
        Outcome {
            status,
            reason,
            node: Some(published),
            rows,
            quarantined: None,
        }
    }

    /// Files, copied into a table of the lake: all of them, or only those that are new.
    async fn land(&self, node: &CompiledNode, source: &Source) -> Result<Outcome, EngineError> {
        let (Some(relation), Some(schema)) = (&node.relation, &node.schema) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let storage = &self.engine.environment.storage;
        let files = input::list(&self.engine.root, source, storage).await?;
        let inputs = Inputs(BTreeMap::from([(node.id.to_string(), files.identity())]));
        let key = node_key(node.fingerprint, &inputs, "");
        if let Some(skipped) = self.skip(node, &key) {
            let quarantined = landed(skipped.node.as_ref()).quarantined;
            return Ok(Outcome {
                reason: "same files".to_owned(),
                quarantined: Some(quarantined),
                ..skipped
            });
        }
        let previous = self.published.nodes.get(&node.id);
        let before = landed(previous);
        let at = (relation.schema.as_str(), relation.name.as_str());
        let quarantine_name = format!("{}__{QUARANTINE}", relation.name);
        let quarantine_at = (relation.schema.as_str(), quarantine_name.as_str());
        let new = self.only_new(node, previous, &before, &files).await?;
        let read = new.as_ref().unwrap_or(&files);
        let mut why = key::why(previous, node, &inputs, self.request.full_refresh);
        if new.is_some() {
            why = format!("{} new files", read.files.len());
        }
        let landing = input::read(
            &self.engine.root,
            source,
            read,
            Arc::clone(schema),
            storage,
            &self.engine.runtime,
        )
        .await?;
        let quarantine_schema = input::quarantine_schema();
        let (counts, rows, quarantined) = (
            Arc::clone(&landing.counts),
            vec![landing.rows],
            vec![landing.quarantined],
        );
        // Both are fed by one pass over the files, so both are drained at once.
        let (table, quarantine) = if new.is_some() {
            tokio::try_join!(
                self.engine.add(at, Arc::clone(schema), rows, None),
                self.engine
                    .add(quarantine_at, quarantine_schema, quarantined, None)
            )?
        } else {
            tokio::try_join!(
                self.engine.replace(at, Arc::clone(schema), rows, None),
                self.engine
                    .replace(quarantine_at, quarantine_schema, quarantined, None)
            )?
        };
        let more = counts.quarantined();
        let total = if new.is_some() {
            before.quarantined + more
        } else {
            more
        };
        let companions = BTreeMap::from([(QUARANTINE.to_owned(), quarantine)]);
        let table = self
            .engine
            .mark(
                at,
                schema,
                &table,
                Mark {
                    key: &key,
                    companions: &companions,
                },
            )
            .await?;
        let rows = table.rows;
        let detail = Landed {
            files: files.files,
            quarantined: total,
        };
        let published = PublishedNode {
            table: Some(table),
            companions,
            key,
            inputs: inputs.0,
            detail: serde_json::to_value(detail).unwrap_or_default(),
            ..self.blank(node)
        };
        Ok(Outcome {
            status: NodeStatus::Built,
            reason: why,
            node: Some(published),
            rows,
            quarantined: Some(total),
        })
    }

    /// The files that were not there before, if all that were still are, unchanged, and the table
    /// still is what was published.
    async fn only_new(
        &self,
        node: &CompiledNode,
        previous: Option<&PublishedNode>,
        before: &Landed,
        files: &InputFiles,
    ) -> Result<Option<InputFiles>, EngineError> {
        let Some(previous) = previous else {
            return Ok(None);
        };
        let (Some(table), false) = (&previous.table, self.request.full_refresh) else {
            return Ok(None);
        };
        let unchanged = before.files.iter().all(|f| files.files.contains(f));
        if !unchanged
            || before.files.is_empty()
            || previous.fingerprint != node.fingerprint.to_string()
        {
            return Ok(None);
        }
        // An interrupted run may have added rows already; then all is written anew.
        for stored in previous.companions.values().chain([table]) {
            let path = kinfold_lake::TablePath::new(&stored.path)?;
            let newest = self.engine.lake.snapshot(&path, None).await?;
            if newest.is_none_or(|s| s.version() != stored.version) {
                return Ok(None);
            }
        }
        let new = files
            .files
            .iter()
            .filter(|f| !before.files.contains(f))
            .cloned()
            .collect();
        Ok(Some(InputFiles { files: new }))
    }

    pub(super) async fn seed(&self, node: &CompiledNode) -> Result<Outcome, EngineError> {
        let (Some(relation), Some(schema)) = (&node.relation, &node.schema) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let seed = self.declared_seed(&node.id)?;
        let content = seed_content(seed)?;
        let inputs = seed_inputs(node, &content);
        let key = node_key(node.fingerprint, &inputs, "");
        if let Some(skipped) = self.skip(node, &key) {
            return Ok(Outcome {
                reason: "same file".to_owned(),
                ..skipped
            });
        }
        if let Some(reused) = self.reuse(node, Keys::of(&key), &inputs, None).await? {
            return Ok(reused);
        }
        let why = key::why(
            self.published.nodes.get(&node.id),
            node,
            &inputs,
            self.request.full_refresh,
        );
        let batches = input::read_seed(seed, &input::SeedConfig::of(&node.config), schema)?;
        let columns = nullable(schema);
        let stream: SendableRecordBatchStream =
            Box::pin(MemoryStream::try_new(batches, Arc::clone(&columns), None)?);
        let companions = BTreeMap::new();
        let at = (relation.schema.as_str(), relation.name.as_str());
        let mark = Mark {
            key: &key,
            companions: &companions,
        };
        let table = self
            .engine
            .replace(at, columns, vec![stream], Some(mark))
            .await?;
        let rows = table.rows;
        let published = PublishedNode {
            table: Some(table),
            key,
            inputs: inputs.0,
            detail: json!({ "bytes": content.len() }),
            ..self.blank(node)
        };
        Ok(Outcome {
            status: NodeStatus::Built,
            reason: why,
            node: Some(published),
            rows,
            quarantined: None,
        })
    }

    /// What a seed would be made of.
    pub(super) fn seed_inputs(&self, node: &CompiledNode) -> Result<Inputs, EngineError> {
        let content = seed_content(self.declared_seed(&node.id)?)?;
        Ok(seed_inputs(node, &content))
    }

    /// What a source would be made of. Tables that are read where they lie are pinned at the version that
    /// they have now.
    pub(super) async fn known_source(&mut self, node: &CompiledNode) -> Result<Known, EngineError> {
        let source = self.declared(&node.id)?;
        let inputs = match &source.location {
            SourceLocation::Records(Records::SyncSnapshot) => {
                let syncs = &self.request.project.syncs;
                Inputs(records::state_versions(self.engine, syncs).await?)
            }
            SourceLocation::External { format, .. } if *format != SourceFormat::Delta => {
                let storage = &self.engine.environment.storage;
                let files = input::list(&self.engine.root, source, storage).await?;
                Inputs(BTreeMap::from([(node.id.to_string(), files.identity())]))
            }
            _ => {
                let pinned = match (self.source(node).await, node.depends_on.first()) {
                    (Err(EngineError::NotBuilt(_)), Some(seed)) => {
                        return Ok(Known::Missing(seed.clone()));
                    }
                    (pinned, _) => pinned?,
                };
                if let Some(published) = pinned.node {
                    self.next.nodes.insert(node.id.clone(), published);
                }
                let is_new = pinned.status == NodeStatus::Built;
                return Ok(Known::Pinned(is_new.then_some(pinned.reason)));
            }
        };
        let key = node_key(node.fingerprint, &inputs, "");
        Ok(Known::Inputs(inputs, key))
    }

    /// How files, or what syncs have done, would be copied into the lake, and why.
    pub(super) async fn landing(
        &self,
        node: &CompiledNode,
    ) -> Result<(PlannedAction, String), EngineError> {
        let source = self.declared(&node.id)?;
        let Some(previous) = self.published.nodes.get(&node.id) else {
            return Ok((PlannedAction::Build, "first build".to_owned()));
        };
        if previous.fingerprint != node.fingerprint.to_string() {
            let reason = "its meaning changed".to_owned();
            return Ok((PlannedAction::Backfill, reason));
        }
        if matches!(source.location, SourceLocation::Records(_)) {
            let reason = "syncs have run since".to_owned();
            return Ok((PlannedAction::Build, reason));
        }
        let storage = &self.engine.environment.storage;
        let files = input::list(&self.engine.root, source, storage).await?;
        let before = landed(Some(previous));
        let new = files.files.iter().filter(|f| !before.files.contains(f));
        let new = new.count();
        let same = before.files.iter().filter(|f| files.files.contains(f));
        Ok(if same.count() == before.files.len() && new > 0 {
            (PlannedAction::Build, format!("{new} new files"))
        } else {
            let reason = "files changed or are gone, so all are read again".to_owned();
            (PlannedAction::Backfill, reason)
        })
    }

    fn declared_seed(&self, id: &NodeId) -> Result<&Seed, EngineError> {
        self.request
            .project
            .seeds
            .iter()
            .find(|s| s.id == *id)
            .ok_or_else(|| EngineError::NotBuilt(id.clone()))
    }
}

fn landed(node: Option<&PublishedNode>) -> Landed {
    node.and_then(|n| serde_json::from_value(n.detail.clone()).ok())
        .unwrap_or_default()
}

fn seed_inputs(node: &CompiledNode, content: &[u8]) -> Inputs {
    let identity = blake3::hash(content).to_hex().to_string();
    Inputs(BTreeMap::from([(node.id.to_string(), identity)]))
}

fn seed_content(seed: &Seed) -> Result<Vec<u8>, EngineError> {
    if let Some(text) = &seed.embedded {
        return Ok(text.as_bytes().to_vec());
    }
    std::fs::read(&seed.path).map_err(|source| EngineError::File {
        action: "read",
        path: seed.path.display().to_string(),
        source,
    })
}
