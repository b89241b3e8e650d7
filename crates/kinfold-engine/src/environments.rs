//! The environments of a lake: what each has published, how two differ, going back, removing one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use kinfold_lake::{Holder, TablePath};
use kinfold_project::NodeId;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::lease::{Heartbeat, lease_time};
use crate::published::{Published, PublishedNode, StoredTable};
use crate::{Engine, EngineError};

/// A document that an environment has or had, as `--output json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Publication {
    /// Counts what was published in the environment, from 1.
    pub generation: u64,
    /// The run that published it.
    pub run_id: String,
    /// That run's clock.
    pub as_of: DateTime<Utc>,
    /// Nodes, data tests too.
    pub nodes: usize,
    /// Nodes that differ from what is published now; none for what is.
    pub differ: usize,
}

/// An environment of a lake.
#[derive(Clone, Debug, Serialize)]
pub struct EnvironmentSummary {
    /// Its name.
    pub name: String,
    /// What it has published.
    pub published: Publication,
    /// Tables that it has made itself.
    pub tables: usize,
    /// Nodes that it reads as another environment has made them.
    pub deferred: usize,
}

/// How a node differs between two environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeDifference {
    /// Only the first has it.
    OnlyFirst,
    /// Only the second has it.
    OnlySecond,
    /// Its SQL or configuration means something else.
    Meaning,
    /// It means the same and was made of other versions.
    Inputs,
}

/// A node that differs.
#[derive(Clone, Debug, Serialize)]
pub struct DifferentNode {
    /// The node.
    pub id: NodeId,
    /// How.
    pub difference: NodeDifference,
    /// Rows in the first environment, if known.
    pub first_rows: Option<u64>,
    /// Rows in the second one, if known.
    pub second_rows: Option<u64>,
}

/// What going back did.
#[derive(Clone, Debug, Serialize)]
pub struct RolledBack {
    /// What was published.
    pub from: Publication,
    /// What is published now: its number is a new one.
    pub to: Publication,
    /// Nodes that readers see otherwise than before.
    pub changed: Vec<NodeId>,
}

/// What removing an environment removed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RemovedEnvironment {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Publication {
    fn of(generation: u64, document: &Published, current: &Published) -> Self {
        Self {
            generation,
            run_id: document.run_id.clone(),
            as_of: document.as_of,
            nodes: document.nodes.len(),
            differ: differing(document, current).count(),
        }
    }
}

/// Nodes of which readers see something else.
fn differing<'d>(one: &'d Published, other: &'d Published) -> impl Iterator<Item = &'d NodeId> {
    let ids: BTreeSet<&NodeId> = one.nodes.keys().chain(other.nodes.keys()).collect();
    ids.into_iter().filter(move |id| {
        let seen = |document: &'d Published| document.nodes.get(*id).map(seen);
        seen(one) != seen(other)
    })
}

fn seen(
    node: &PublishedNode,
) -> (
    Option<&StoredTable>,
    Option<&String>,
    Vec<&StoredTable>,
    &str,
) {
    let companions = node.companions.values().collect();
    (
        node.table.as_ref(),
        node.sql.as_ref(),
        companions,
        &node.kind,
    )
}

impl Engine {
    /// The environments of the lake that have published something, by name.
    ///
    /// # Errors
    /// When a document cannot be read.
    pub async fn environments(&self) -> Result<Vec<EnvironmentSummary>, EngineError> {
        let mut found = Vec::new();
        for name in self.lake.environments().await? {
            let state = self.published_in(&self.lake, &name).await?;
            let Some(generation) = &state.generation else {
                continue;
            };
            let document = &state.document;
            let own = document.own();
            let tables =
                |node: &PublishedNode| usize::from(node.table.is_some()) + node.companions.len();
            found.push(EnvironmentSummary {
                name,
                published: Publication::of(generation.number(), document, document),
                tables: own.nodes.values().map(tables).sum(),
                deferred: document.nodes.len() - own.nodes.len(),
            });
        }
        Ok(found)
    }

    /// How what this environment has published differs from what another one of the lake has, by node.
    ///
    /// # Errors
    /// [`EngineError::NothingPublished`], or when a document cannot be read.
    pub async fn compared_with(&self, other: &str) -> Result<Vec<DifferentNode>, EngineError> {
        let read = async |name: &str| -> Result<Published, EngineError> {
            let state = self.published_in(&self.lake, name).await?;
            match state.generation {
                Some(_) => Ok(state.document),
                None => Err(EngineError::NothingPublished(name.to_owned())),
            }
        };
        let (first, second) = (read(&self.environment.name).await?, read(other).await?);
        let ids: BTreeSet<&NodeId> = first.nodes.keys().chain(second.nodes.keys()).collect();
        let mut found = Vec::new();
        for id in ids {
            let (one, two) = (first.nodes.get(id), second.nodes.get(id));
            let difference = match (one, two) {
                (Some(_), None) => NodeDifference::OnlyFirst,
                (None, Some(_)) => NodeDifference::OnlySecond,
                (Some(one), Some(two)) if one.fingerprint != two.fingerprint => {
                    NodeDifference::Meaning
                }
                (Some(one), Some(two)) if one.key != two.key => NodeDifference::Inputs,
                _ => continue,
            };
            let rows = |node: Option<&PublishedNode>| node?.table.as_ref()?.rows;
            found.push(DifferentNode {
                id: id.clone(),
                difference,
                first_rows: rows(one),
                second_rows: rows(two),
            });
        }
        Ok(found)
    }

    /// What the environment has published, and had before, newest first.
    ///
    /// # Errors
    /// [`EngineError::NothingPublished`], or when a document cannot be read.
    pub async fn publications(&self) -> Result<Vec<Publication>, EngineError> {
        let name = &self.environment.name;
        let state = self.published().await?;
        let Some(generation) = &state.generation else {
            return Err(EngineError::NothingPublished(name.clone()));
        };
        let current = &state.document;
        let mut found = vec![Publication::of(generation.number(), current, current)];
        let kept = self.lake.kept_environments(name).await?;
        let before = kept.into_iter().filter(|n| *n < generation.number());
        for number in before.rev() {
            if let Some(document) = self.kept(number).await? {
                found.push(Publication::of(number, &document, current));
            }
        }
        Ok(found)
    }

    async fn kept(&self, generation: u64) -> Result<Option<Published>, EngineError> {
        let name = &self.environment.name;
        let Some(bytes) = self.lake.kept_environment(name, generation).await? else {
            return Ok(None);
        };
        self.document(name, &bytes).map(Some)
    }

    /// Publishes once more what was published before: what `generation` names, or what readers saw
    /// last that is not what they see now. Nothing is written but the document.
    ///
    /// # Errors
    /// [`EngineError::NothingBefore`] if there is no such thing, [`EngineError::FilesRemoved`] if files of
    /// one of its tables are gone, and when somebody builds or the lake fails.
    pub async fn roll_back(
        &self,
        generation: Option<u64>,
        cancel: CancellationToken,
    ) -> Result<RolledBack, EngineError> {
        let time = lease_time(self);
        let name = format!("env/{}", self.environment.name);
        let lease = self.lake.lease(&name, Holder::this_process(), time).await?;
        let heartbeat = Heartbeat::start(lease.clone(), time, cancel.clone());
        let guarded = self.guarded(&lease);
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(EngineError::Cancelled),
            result = guarded.publish_again(generation) => result,
        };
        heartbeat.stop().await;
        lease.release().await?;
        result
    }

    async fn publish_again(&self, generation: Option<u64>) -> Result<RolledBack, EngineError> {
        let publications = self.publications().await?;
        let (Some(from), earlier) = (publications.first(), publications.iter().skip(1)) else {
            return Err(EngineError::NothingPublished(self.environment.name.clone()));
        };
        let mut wanted = earlier.filter(|one| match generation {
            Some(number) => one.generation == number,
            None => one.differ > 0,
        });
        let nothing = || EngineError::NothingBefore {
            environment: self.environment.name.clone(),
            generation,
        };
        let wanted = wanted.next().ok_or_else(nothing)?;
        let document = self.kept(wanted.generation).await?.ok_or_else(nothing)?;
        let tables = document.nodes.values();
        for table in tables.flat_map(|node| node.table.iter().chain(node.companions.values())) {
            self.must_be_whole(table).await?;
        }
        let state = self.published().await?;
        let changed = differing(&document, &state.document).cloned().collect();
        let published = self.publish(&state, &document).await?;
        Ok(RolledBack {
            from: from.clone(),
            to: Publication::of(published.number(), &document, &document),
            changed,
        })
    }

    async fn must_be_whole(&self, table: &StoredTable) -> Result<(), EngineError> {
        if table.external {
            // It is not ours to keep; whoever reads it learns whether it is there.
            return Ok(());
        }
        let path = TablePath::new(&table.path)?;
        let removed = || EngineError::FilesRemoved {
            table: table.relation.1.clone(),
            version: table.version,
        };
        let snapshot = self.lake.snapshot(&path, Some(table.version)).await;
        let snapshot = match snapshot {
            Err(kinfold_lake::LakeError::NoVersion { .. }) | Ok(None) => return Err(removed()),
            found => found?.ok_or_else(removed)?,
        };
        match snapshot.is_whole(&self.lake).await? {
            true => Ok(()),
            false => Err(removed()),
        }
    }

    /// Removes this environment: its document, what it had published before, its tables, and the
    /// states of its syncs. What they delivered stays where it is.
    ///
    /// # Errors
    /// [`EngineError::OwnsLake`] if its tables are those of the lake, [`EngineError::ReadElsewhere`] if another
    /// environment reads them, and when somebody builds or the lake fails.
    pub async fn remove_environment(
        &self,
        dry_run: bool,
    ) -> Result<Option<RemovedEnvironment>, EngineError> {
        let name = &self.environment.name;
        if self.environment.owns_lake {
            return Err(EngineError::OwnsLake(name.clone()));
        }
        for (other, document) in self.other_environments().await? {
            let ours = |node: &PublishedNode| node.deferred.as_ref() == Some(name);
            if document.nodes.values().any(ours) {
                return Err(EngineError::ReadElsewhere {
                    environment: name.clone(),
                    reader: other,
                });
            }
        }
        if dry_run {
            return Ok(None);
        }
        let lease = format!("env/{name}");
        let lease = self
            .lake
            .lease(&lease, Holder::this_process(), lease_time(self));
        let lease = lease.await?;
        let removed = self.lake.remove_environment(name).await;
        lease.release().await?;
        let removed = removed?;
        Ok(Some(RemovedEnvironment {
            objects: removed.files,
            bytes: removed.bytes,
        }))
    }
}
