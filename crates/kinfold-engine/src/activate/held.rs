//! What a guard keeps back: written down, so that a person can let through exactly that.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::Array;
use kinfold_lake::Lake;
use serde::{Deserialize, Serialize};

use super::ActivateError;
use super::chunk::Chunk;
use super::class::Row;
use super::compare::hash_of;
use super::keys::Hash;
use super::plan::sweep;
use super::state::Place;
use crate::EngineError;

const FORMAT: u64 = 1;

/// Rows that were not sent because a guard said no.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HeldBack {
    format: u64,
    /// Names it, for the one who approves.
    pub(super) id: String,
    /// Which guard, and why.
    pub(super) because: String,
    as_of: DateTime<Utc>,
    pub(super) leaving: Vec<Chunk>,
    pub(super) sending: Vec<Chunk>,
}

impl HeldBack {
    /// Writes down what is held, in place of what was held before.
    pub(super) async fn write(
        lake: &Lake,
        place: &Place,
        (id, because, as_of): (&str, &str, DateTime<Utc>),
        leaving: &[Chunk],
        sending: &[Chunk],
    ) -> Result<(), EngineError> {
        let before = Self::read(lake, place).await?;
        if before.as_ref().is_some_and(|before| before.id == id) {
            return Ok(());
        }
        let folder = place.held(id);
        // A run that died may have left chunks there.
        sweep(lake, &folder).await?;
        let mut held = Self {
            format: FORMAT,
            id: id.to_owned(),
            because: because.to_owned(),
            as_of,
            leaving: vec![],
            sending: vec![],
        };
        let both = [(leaving, &mut held.leaving), (sending, &mut held.sending)];
        for (kind, (chunks, kept)) in both.into_iter().enumerate() {
            for (number, chunk) in chunks.iter().enumerate() {
                let name = format!("{folder}/{kind}-{number:06}.arrow");
                kept.push(chunk.copy(lake, name).await?);
            }
        }
        let name = place.held_manifest();
        let json = serde_json::to_vec_pretty(&held).map_err(|source| EngineError::Document {
            name: name.clone(),
            source,
        })?;
        lake.put(&name, Bytes::from(json)).await?;
        match before {
            Some(before) => sweep(lake, &place.held(&before.id)).await,
            None => Ok(()),
        }
    }

    /// What is held, if anything is.
    pub(super) async fn read(lake: &Lake, place: &Place) -> Result<Option<Self>, EngineError> {
        let name = place.held_manifest();
        let Some(bytes) = lake.get(&name).await? else {
            return Ok(None);
        };
        let held = serde_json::from_slice::<Self>(&bytes);
        let held = held.ok().filter(|held| held.format <= FORMAT);
        held.map(Some).ok_or_else(|| {
            ActivateError::Stored {
                object: name,
                reason: "it does not say what is held",
            }
            .into()
        })
    }

    /// Nothing is held any more.
    pub(super) async fn clear(lake: &Lake, place: &Place) -> Result<(), EngineError> {
        if lake.get(&place.held_manifest()).await?.is_some() {
            lake.delete(&place.held_manifest()).await?;
            sweep(lake, &place.all_held()).await?;
        }
        Ok(())
    }
}

/// Rows that a person has let through: what was to happen to them when they were held.
#[derive(Debug, Default)]
pub(super) struct Approved {
    /// Key → payload; 0 for rows that left the model.
    rows: HashMap<Hash, Hash>,
}

impl Approved {
    /// What is held under `id`.
    pub(super) async fn read(
        lake: &Lake,
        place: &Place,
        sync: &str,
        id: &str,
    ) -> Result<Self, EngineError> {
        let held = HeldBack::read(lake, place).await?;
        let Some(held) = held.filter(|held| held.id == id) else {
            return Err(ActivateError::NotHeld {
                sync: sync.to_owned(),
                id: id.to_owned(),
            }
            .into());
        };
        let mut approved = Self::default();
        for chunk in held.leaving.iter().chain(&held.sending) {
            let rows = chunk.rows(lake).await?;
            for row in 0..rows.len() {
                let key = hash_of(rows.key_hash.value(row));
                let payload = &rows.payload_hash;
                let payload = payload.is_valid(row).then(|| hash_of(payload.value(row)));
                approved.rows.insert(key, payload.unwrap_or(0));
            }
        }
        Ok(approved)
    }

    /// Whether the same is to happen to a row as was shown when it was held.
    pub(super) fn has(&self, row: &Row<'_>) -> bool {
        let payload = row.payload.map_or(0, |payload| hash_of(&payload.hash));
        row.class.is_sent() && self.rows.get(&row.key_hash) == Some(&payload)
    }
}
