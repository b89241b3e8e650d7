//! The plan of a run: what will be sent, fixed before anything is.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kinfold_lake::Lake;
use kinfold_project::{LogPayload, RetryWaits, SyncMode};
use kinfold_sync::{ObjectText, Operation};
use serde::{Deserialize, Serialize};

use super::chunk::Chunk;
use super::state::{Place, Setup};
use super::{ActivateError, SyncReport};
use crate::EngineError;

/// Newest form of a plan that this program reads and the one that it writes.
pub(super) const FORMAT: u64 = 5;

/// Fewer chunks than this are not worth a task and a file of their own.
const CHUNKS_OF_A_SHARE: usize = 8;

/// The manifest of a plan: without it the chunks are garbage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) format: u64,
    pub(super) sync: String,
    pub(super) environment: String,
    /// The engine's run.
    pub(super) run_id: String,
    /// Names the plan: the engine's run and the ordinal. Part of every batch's id.
    pub(super) delivery: String,
    /// Counts the plans of a sync that were folded, from 1.
    pub(super) ordinal: i64,
    /// The run's clock.
    pub(super) as_of: DateTime<Utc>,
    pub(super) mode: String,
    pub(super) setup: Setup,
    /// Mapped fields without the key.
    pub(super) fields: Vec<String>,
    /// What a `clear` sends, as JSON.
    pub(super) cleared: String,
    /// Fingerprint of the mapping.
    pub(super) mapping: String,
    /// Generation of the environment that was read.
    pub(super) generation: u64,
    /// Relation → version that was read.
    pub(super) versions: BTreeMap<String, String>,
    pub(super) purposes: Vec<String>,
    /// Which values the ledger gets.
    #[serde(default)]
    pub(super) log_payload: Logged,
    /// When refused rows are sent again.
    #[serde(default)]
    pub(super) waits: Waits,
    /// Limits of batches, so that a resumed run cuts the same ones.
    pub(super) max_rows: usize,
    pub(super) max_bytes: usize,
    pub(super) counts: Counts,
    /// What is sent, rows that leave first. The position of a row over all of them is its `seq`.
    pub(super) changes: Vec<Chunk>,
    /// What only the state has to learn.
    pub(super) notes: Vec<Chunk>,
}

/// When a refused row is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waits {
    pub(super) first_seconds: i64,
    pub(super) longest_seconds: i64,
    pub(super) attempts: u32,
}

impl Default for Waits {
    fn default() -> Self {
        Self::of(&RetryWaits::default())
    }
}

impl Waits {
    pub(super) fn of(waits: &RetryWaits) -> Self {
        let seconds = |wait: Duration| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        Self {
            first_seconds: seconds(waits.first),
            longest_seconds: seconds(waits.longest),
            attempts: waits.attempts,
        }
    }
}

/// The part of a payload that is written into the ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Logged {
    #[default]
    Nothing,
    Everything,
    Fields(Vec<String>),
}

impl Logged {
    pub(super) fn of(payload: &LogPayload) -> Self {
        match payload {
            LogPayload::Nothing => Self::Nothing,
            LogPayload::Everything => Self::Everything,
            LogPayload::Fields(fields) => {
                Self::Fields(fields.iter().map(|field| field.value.clone()).collect())
            }
        }
    }

    /// That part of a payload.
    pub(super) fn shown(&self, payload: &str) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Everything => Some(payload.to_owned()),
            Self::Fields(fields) => {
                let mut all = ObjectText::new(payload)?.parse()?;
                all.retain(|field, _| fields.contains(field));
                Some(serde_json::Value::Object(all).to_string())
            }
        }
    }
}

/// Rows of a changeset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// To be sent.
    pub(super) sending: u64,
    pub(super) held: u64,
    pub(super) invalid: u64,
    pub(super) unchanged: u64,
    /// To be noted as confirmed without being sent.
    pub(super) adopted: u64,
    /// Failed before and not due yet.
    pub(super) waiting: u64,
    pub(super) adds: u64,
    pub(super) updates: u64,
    pub(super) removals: u64,
    pub(super) held_because: Option<String>,
    /// Names what is held, for the one who approves it.
    #[serde(default)]
    pub(super) held_id: Option<String>,
    /// Whether only what has changed since the last run was compared.
    #[serde(default)]
    pub(super) exact: bool,
}

impl Counts {
    /// The part of a report that is known before anything is sent.
    pub(super) fn report(&self) -> SyncReport {
        SyncReport {
            planned: self.sending + self.held,
            held: self.held,
            invalid: self.invalid,
            unchanged: self.unchanged,
            adopted: self.adopted,
            waiting: self.waiting,
            adds: self.adds,
            updates: self.updates,
            removals: self.removals,
            held_because: self.held_because.clone(),
            held_id: self.held_id.clone(),
            exact: self.exact,
            ..SyncReport::default()
        }
    }
}

pub(super) fn operation_word(operation: Operation) -> &'static str {
    match operation {
        Operation::Add => "add",
        Operation::Update => "update",
        Operation::Remove => "remove",
        Operation::Clear => "clear",
    }
}

pub(super) fn operation_of(word: &str) -> Option<Operation> {
    [
        Operation::Add,
        Operation::Update,
        Operation::Remove,
        Operation::Clear,
    ]
    .into_iter()
    .find(|operation| operation_word(*operation) == word)
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

impl Plan {
    /// The mode that the plan was made for.
    pub(super) fn sync_mode(&self) -> Option<SyncMode> {
        SyncMode::ALL
            .into_iter()
            .find(|mode| mode.as_str() == self.mode)
    }

    /// Rows to send.
    pub(super) fn rows(&self) -> u64 {
        self.changes.iter().map(|chunk| chunk.rows).sum()
    }

    /// Its changes with the position of the first row of each chunk.
    pub(super) fn changes_from(&self) -> impl Iterator<Item = (Chunk, u64)> {
        self.changes.iter().scan(0, |seq, chunk| {
            let first = *seq;
            *seq += chunk.rows;
            Some((chunk.clone(), first))
        })
    }

    /// Makes the plan valid.
    pub(super) async fn write(&self, lake: &Lake, place: &Place) -> Result<(), EngineError> {
        let name = place.manifest();
        let json = serde_json::to_vec_pretty(self).map_err(|source| EngineError::Document {
            name: name.clone(),
            source,
        })?;
        Ok(lake.put_new(&name, Bytes::from(json)).await?)
    }

    /// The plan that is not folded yet, if there is one.
    pub(super) async fn read(lake: &Lake, place: &Place) -> Result<Option<Self>, EngineError> {
        let name = place.manifest();
        let Some(bytes) = lake.get(&name).await? else {
            return Ok(None);
        };
        let stored = |_| ActivateError::Stored {
            object: name.clone(),
            reason: "it is not a plan",
        };
        let format: FormatOnly = serde_json::from_slice(&bytes).map_err(stored)?;
        if format.format > FORMAT {
            return Err(ActivateError::NewerFormat {
                object: name,
                found: format.format,
                supported: FORMAT,
            }
            .into());
        }
        Ok(Some(serde_json::from_slice(&bytes).map_err(stored)?))
    }

    /// Removes a plan that is folded: the manifest first, so that no half of it is ever resumed.
    pub(super) async fn delete(&self, lake: &Lake, place: &Place) -> Result<(), EngineError> {
        lake.delete(&place.manifest()).await?;
        sweep(lake, &place.run(&self.delivery)).await
    }
}

/// Chunks in up to `most` runs, to be worked on at the same time.
pub(super) fn shares<T>(chunks: Vec<T>, most: usize) -> Vec<VecDeque<T>> {
    let share = chunks.len().div_ceil(most.max(1)).max(CHUNKS_OF_A_SHARE);
    let mut shares = vec![VecDeque::new()];
    for chunk in chunks {
        if shares.last().is_some_and(|last| last.len() >= share) {
            shares.push(VecDeque::new());
        }
        if let Some(last) = shares.last_mut() {
            last.push_back(chunk);
        }
    }
    shares
}

/// Deletes every object of a folder.
pub(super) async fn sweep(lake: &Lake, folder: &str) -> Result<(), EngineError> {
    for object in lake.list(folder).await? {
        lake.delete(&object.name).await?;
    }
    Ok(())
}

/// Deletes what runs left behind that died before their plan was valid, or after it was folded.
pub(super) async fn sweep_garbage(
    lake: &Lake,
    place: &Place,
    valid: Option<&Plan>,
) -> Result<(), EngineError> {
    let kept = valid.map(|plan| format!("{}/", place.run(&plan.delivery)));
    let manifest = place.manifest();
    for object in lake.list(&place.runs()).await? {
        let keep = object.name == manifest
            || kept
                .as_ref()
                .is_some_and(|kept| object.name.starts_with(kept));
        if !keep {
            lake.delete(&object.name).await?;
        }
    }
    Ok(())
}
