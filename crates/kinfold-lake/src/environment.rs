//! Environment objects: one small JSON document an environment, swapped as a whole.

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::value::Value;

use crate::objects::{Tag, object_path};
use crate::{Lake, LakeError};

/// Newest format of the wrapper around an environment document.
const FORMAT: u64 = 1;

/// Which state of an environment was read; the proof that a swap needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    number: u64,
    tag: Tag,
}

impl Generation {
    /// Counts the swaps of the environment, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u64,
    generation: u64,
    /// Makes the bytes of every swap unique, so that a lost answer can be told from a lost race.
    swap: uuid::Uuid,
    environment: Value,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

impl Lake {
    /// The document of an environment and the generation to pass to the next swap; `None` if the
    /// environment was never published.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`], [`LakeError::NewerFormat`],
    /// [`LakeError::Corrupt`].
    pub async fn read_environment(
        &self,
        name: &str,
    ) -> Result<Option<(Vec<u8>, Generation)>, LakeError> {
        let path = environment_path(name)?;
        let Some((bytes, tag)) = self.read_tagged(&path).await? else {
            return Ok(None);
        };
        let stored: Stored = parse_format(&path, &bytes, FORMAT)?;
        let document = serde_json::to_vec(&stored.environment).map_err(|_| corrupt(&path))?;
        let generation = Generation {
            number: stored.generation,
            tag,
        };
        Ok(Some((document, generation)))
    }

    /// Publishes a new document of an environment if nobody else did since `expected` was read;
    /// `expected` is `None` for the first.
    ///
    /// A reader sees the old document or the new one, never a mixture.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] if somebody else swapped, [`LakeError::Corrupt`] if `json` is not
    /// JSON, else as [`Lake::read_environment`].
    pub async fn swap_environment(
        &self,
        name: &str,
        expected: Option<&Generation>,
        json: Vec<u8>,
    ) -> Result<Generation, LakeError> {
        let path = environment_path(name)?;
        let environment = serde_json::from_slice(&json).map_err(|_| corrupt(&path))?;
        let number = expected.map_or(0, |g| g.number).saturating_add(1);
        let stored = Stored {
            format: FORMAT,
            generation: number,
            swap: uuid::Uuid::new_v4(),
            environment,
        };
        let bytes = serde_json::to_vec_pretty(&stored).map_err(|_| corrupt(&path))?;
        let tag = self
            .swap_tagged(&path, expected.map(|g| &g.tag), Bytes::from(bytes))
            .await?;
        Ok(Generation { number, tag })
    }
}

fn environment_path(name: &str) -> Result<Path, LakeError> {
    if name.contains('/') {
        return Err(LakeError::Name {
            name: name.to_owned(),
        });
    }
    object_path(&format!("env/{name}.json"))
}

fn corrupt(path: &Path) -> LakeError {
    LakeError::Corrupt {
        path: path.to_string(),
        reason: "it is not the expected JSON",
    }
}

/// Reads a stored form after looking at its `format`, so that a newer one is named as such and not
/// as broken.
pub(crate) fn parse_format<T: serde::de::DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    supported: u64,
) -> Result<T, LakeError> {
    let format: FormatOnly = serde_json::from_slice(bytes).map_err(|_| corrupt(path))?;
    if format.format > supported {
        return Err(LakeError::NewerFormat {
            path: path.to_string(),
            found: format.format,
            supported,
        });
    }
    serde_json::from_slice(bytes).map_err(|_| corrupt(path))
}
