//! The schedule's state and the right to run it, in the lake.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kinfold_engine::Engine;
use kinfold_lake::{Holder, Lake, LakeError, Lease, ObjectTag};
use kinfold_server::ports::{self, Held, PortError, Saved, StateStore, Stored};

/// How long a server that has died keeps others from taking the schedule up.
const LEASE: Duration = Duration::from_secs(60);

/// Name of an environment's things below `_kinfold/`.
fn place(engine: &Engine, what: &str) -> String {
    format!("schedule/{}{what}", engine.environment.name)
}

/// The state as one object.
pub struct LakeStore {
    lake: Lake,
    name: String,
    /// What was last seen of the object, and the text by which the server knows it.
    seen: Mutex<Option<(String, ObjectTag)>>,
}

impl LakeStore {
    pub fn new(engine: &Engine) -> Self {
        Self {
            lake: engine.lake.clone(),
            name: place(engine, ".json"),
            seen: Mutex::new(None),
        }
    }

    fn remember(&self, bytes: &[u8], tag: ObjectTag) -> String {
        let text = blake3::hash(bytes).to_hex().to_string();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some((text.clone(), tag));
        text
    }
}

#[async_trait]
impl StateStore for LakeStore {
    async fn load(&self) -> Result<Option<Stored>, PortError> {
        let found = self.lake.read_for_swap(&self.name).await;
        let found = found
            .map_err(|error| PortError::caused("the schedule's state is not readable", error))?;
        Ok(found.map(|(bytes, tag)| Stored {
            tag: self.remember(&bytes, tag),
            bytes: bytes.to_vec(),
        }))
    }

    async fn save(&self, bytes: &[u8], replaces: Option<&str>) -> Result<Saved, PortError> {
        let expected = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match (replaces, seen.as_ref()) {
                (None, _) => None,
                (Some(wanted), Some((text, tag))) if text == wanted => Some(tag.clone()),
                (Some(_), _) => return Ok(Saved::Conflict),
            }
        };
        let swapped = self
            .lake
            .swap(&self.name, expected.as_ref(), Bytes::copy_from_slice(bytes))
            .await;
        match swapped {
            Ok(tag) => Ok(Saved::Stored {
                tag: self.remember(bytes, tag),
            }),
            Err(LakeError::Conflict { .. }) => Ok(Saved::Conflict),
            Err(error) => Err(PortError::caused(
                "the schedule's state is not writable",
                error,
            )),
        }
    }
}

/// A lease of the lake.
pub struct LakeLease {
    lake: Lake,
    name: String,
    held: tokio::sync::Mutex<Option<Lease>>,
}

impl LakeLease {
    pub fn new(engine: &Engine) -> Self {
        Self {
            lake: engine.lake.clone(),
            name: place(engine, ""),
            held: tokio::sync::Mutex::new(None),
        }
    }
}

#[async_trait]
impl ports::Lease for LakeLease {
    async fn hold(&self) -> Result<Held, PortError> {
        let unknown =
            |error| PortError::caused("the lease of the schedule cannot be asked for", error);
        let mut held = self.held.lock().await;
        if let Some(lease) = held.as_ref() {
            match lease.renew().await {
                Ok(()) => {
                    let until = lease.expires();
                    return Ok(Held::Mine { until });
                }
                Err(LakeError::LeaseLost { .. }) => *held = None,
                Err(error) => return Err(unknown(error)),
            }
        }
        match self
            .lake
            .lease(&self.name, Holder::this_process(), LEASE)
            .await
        {
            Ok(lease) => {
                let until = lease.expires();
                *held = Some(lease);
                Ok(Held::Mine { until })
            }
            Err(LakeError::LeaseHeld { .. }) => Ok(Held::Other),
            Err(error) => Err(unknown(error)),
        }
    }

    async fn release(&self) {
        if let Some(lease) = self.held.lock().await.take()
            && let Err(error) = lease.release().await
        {
            tracing::warn!(%error, "the lease of the schedule was not given back");
        }
    }
}
