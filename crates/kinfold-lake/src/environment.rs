//! Environment objects: one small JSON document an environment, swapped as a whole.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};
use serde_json::value::Value;

use crate::location::given_name;
use crate::objects::{Tag, object_path};
use crate::{Lake, LakeError, Vacuumed};

/// Documents of an environment that are kept when they are replaced.
const KEPT: u64 = 200;
/// Objects that are removed at a time.
const REMOVALS: usize = 16;

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

    /// Names of the environments that were published in this lake, in order.
    ///
    /// # Errors
    /// [`LakeError::Storage`].
    pub async fn environments(&self) -> Result<Vec<String>, LakeError> {
        let folder = self.absolute(&object_path("env")?);
        let listed = self.store().list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|source| LakeError::storage("list", &folder, source))?;
        let names = listed.objects.iter().filter_map(|object| {
            let name = object.location.filename()?.strip_suffix(".json")?;
            Some(given_name(name))
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Keeps a document that is about to be replaced, and forgets the one that was replaced
    /// so and so many swaps before.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`], [`LakeError::Corrupt`] if `json` is not JSON.
    pub async fn keep_environment(
        &self,
        name: &str,
        generation: &Generation,
        json: &[u8],
    ) -> Result<(), LakeError> {
        let kept = kept_name(name, generation.number);
        let path = object_path(&kept)?;
        let stored = Stored {
            format: FORMAT,
            generation: generation.number,
            swap: uuid::Uuid::nil(),
            environment: serde_json::from_slice(json).map_err(|_| corrupt(&path))?,
        };
        let bytes = serde_json::to_vec(&stored).map_err(|_| corrupt(&path))?;
        self.put(&kept, Bytes::from(bytes)).await?;
        match generation.number.checked_sub(KEPT) {
            Some(old) => self.delete(&kept_name(name, old)).await,
            None => Ok(()),
        }
    }

    /// Generations of the documents of an environment that were replaced and are kept, oldest first.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`].
    pub async fn kept_environments(&self, name: &str) -> Result<Vec<u64>, LakeError> {
        let entries = self.list(&format!("history/{name}")).await?;
        let number = |name: &str| name.rsplit('/').next()?.strip_suffix(".json")?.parse().ok();
        Ok(entries
            .iter()
            .filter_map(|entry| number(&entry.name))
            .collect())
    }

    /// A document that was replaced, if it is kept.
    ///
    /// # Errors
    /// As [`Lake::read_environment`].
    pub async fn kept_environment(
        &self,
        name: &str,
        generation: u64,
    ) -> Result<Option<Vec<u8>>, LakeError> {
        let kept = kept_name(name, generation);
        let path = object_path(&kept)?;
        let Some(bytes) = self.get(&kept).await? else {
            return Ok(None);
        };
        let stored: Stored = parse_format(&path, &bytes, FORMAT)?;
        let document = serde_json::to_vec(&stored.environment);
        document.map(Some).map_err(|_| corrupt(&path))
    }

    /// Removes everything that is an environment's own and not in the folders of the one that owns the
    /// lake: its document first, then those that were replaced, its tables, the states of its syncs.
    ///
    /// Interrupted, it can be done again. Whoever owns the lake must not be removed, nor
    /// one whose tables others read.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`].
    pub async fn remove_environment(&self, name: &str) -> Result<Vacuumed, LakeError> {
        environment_path(name)?;
        let mut removed = Vacuumed::default();
        self.delete(&format!("env/{name}.json")).await?;
        for folder in ["history", "env", "env-sync", "suppressed"] {
            let path = self.absolute(&object_path(&format!("{folder}/{name}"))?);
            let failed = |source| LakeError::storage("remove", &path, source);
            let objects = self.store().list(Some(&path));
            let sizes = objects.map(|object| async {
                let object = object?;
                match self.store().delete(&object.location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(object.size),
                    Err(error) => Err(error),
                }
            });
            let mut sizes = sizes.buffer_unordered(REMOVALS);
            while let Some(bytes) = sizes.try_next().await.map_err(failed)? {
                removed.files += 1;
                removed.bytes += bytes;
            }
        }
        self.delete(&format!("schedule/{name}.json")).await?;
        Ok(removed)
    }
}

fn kept_name(name: &str, generation: u64) -> String {
    // With all digits, so that names are in the order of time.
    format!("history/{name}/{generation:020}.json")
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
