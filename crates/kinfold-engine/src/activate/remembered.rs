//! What a connection remembers between runs, encrypted in the lake: refresh tokens that were exchanged, and the ids
//! of what was created once.
//!
//! The key is made from the credentials of the connection. Who has them can have new tokens anyway, and nobody else
//! can read the old ones. With other credentials nothing is remembered, which is what they ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kinfold_destination::{Manifest, StoreError, StoreLock, TokenStore};
use kinfold_lake::{Holder, Lake, LakeError, Lease};
use kinfold_project::Connection;
use kinfold_sync::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::canonical::text_hash;
use super::lines::hex;
use crate::Engine;

const FORMAT: u64 = 1;

/// What is done under a lock is a request or two. The lock of a process that has ended on another machine is held
/// for so long.
const LOCKED: Duration = Duration::from_secs(90);
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
const MOST_TRIES: u32 = 720;

const CONTEXT: &str = "kinfold 2026-11 what a connection remembers";

/// The values of one connection in one environment.
pub(super) struct Remembered {
    lake: Lake,
    /// Names of objects start with it.
    folder: String,
    sealer: Sealer,
}

/// A value as it is stored.
#[derive(Serialize, Deserialize)]
struct Sealed {
    format: u64,
    nonce: Vec<u8>,
    sealed: Vec<u8>,
}

/// Why a value could not be read or stored.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("it is of a newer version")]
    NewerFormat,
    #[error("it could not be encrypted")]
    Cipher,
}

impl Remembered {
    /// Of a connection with these parameters.
    pub(super) fn new(
        engine: &Engine,
        connection: &Connection,
        manifest: &Manifest,
        parameters: &[(String, Secret)],
    ) -> Self {
        let given: BTreeMap<&str, &str> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for parameter in manifest.parameters.iter().filter(|p| p.secret) {
            let value = given.get(parameter.name.as_str()).copied();
            for part in [parameter.name.as_str(), value.unwrap_or_default()] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        Self {
            lake: engine.lake.clone(),
            folder: format!(
                "connection/{}/{}",
                engine.environment.name, connection.name.value
            ),
            sealer: Sealer(*hasher.finalize().as_bytes()),
        }
    }

    /// Names may have any characters and objects may not.
    fn object(&self, name: &str) -> String {
        format!("{}/{}.json", self.folder, hex(&text_hash(name)))
    }
}

/// Encrypts values with a key of its own.
struct Sealer([u8; 32]);

impl Sealer {
    fn cipher(&self) -> Result<LessSafeKey, Trouble> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.0).map_err(|_| Trouble::Cipher)?;
        Ok(LessSafeKey::new(key))
    }

    fn seal(&self, name: &str, value: &Secret) -> Result<Sealed, Trouble> {
        let mut nonce = [0; NONCE_LEN];
        let random = SystemRandom::new();
        random.fill(&mut nonce).map_err(|_| Trouble::Cipher)?;
        let mut sealed = value.expose().as_bytes().to_vec();
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| Trouble::Cipher)?;
        Ok(Sealed {
            format: FORMAT,
            nonce: nonce.to_vec(),
            sealed,
        })
    }

    /// None if it was sealed with other credentials.
    fn open(&self, name: &str, stored: Sealed) -> Result<Option<Secret>, Trouble> {
        if stored.format > FORMAT {
            return Err(Trouble::NewerFormat);
        }
        let mut sealed = stored.sealed;
        let Ok(nonce) = Nonce::try_assume_unique_for_key(&stored.nonce) else {
            return Ok(None);
        };
        let opened = self
            .cipher()?
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut sealed)
            .ok()
            .and_then(|value| std::str::from_utf8(value).ok())
            .map(Secret::new);
        Ok(opened)
    }
}

#[async_trait]
impl TokenStore for Remembered {
    async fn load(&self, name: &str) -> Result<Option<Secret>, StoreError> {
        let stored = self.lake.get(&self.object(name)).await;
        let Some(bytes) = stored.map_err(StoreError::new)? else {
            return Ok(None);
        };
        let stored: Sealed = serde_json::from_slice(&bytes).map_err(StoreError::new)?;
        self.sealer.open(name, stored).map_err(StoreError::new)
    }

    async fn save(&self, name: &str, value: &Secret) -> Result<(), StoreError> {
        let sealed = self.sealer.seal(name, value).map_err(StoreError::new)?;
        let json = serde_json::to_vec(&sealed).map_err(StoreError::new)?;
        let put = self.lake.put(&self.object(name), Bytes::from(json)).await;
        put.map_err(StoreError::new)
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        let deleted = self.lake.delete(&self.object(name)).await;
        deleted.map_err(StoreError::new)
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn StoreLock>, StoreError> {
        let lease = format!("{}/{}", self.folder, hex(&text_hash(name)));
        let mut tries = 0;
        loop {
            let held = self.lake.lease(&lease, Holder::this_process(), LOCKED);
            match held.await {
                Ok(lease) => return Ok(Box::new(Locked(lease))),
                Err(LakeError::LeaseHeld { .. }) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(StoreError::new(error)),
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }
}

struct Locked(Lease);

#[async_trait]
impl StoreLock for Locked {
    async fn release(self: Box<Self>) {
        // If it fails the lease ends by itself.
        if let Err(error) = self.0.release().await {
            tracing::warn!(%error, "the lock of a connection's token could not be given up");
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_value_opens_under_its_name_with_its_credentials_only() {
        let sealer = Sealer([7; 32]);
        let value = Secret::new("1//refresh");
        let stored = || {
            let sealed = sealer.seal("token/refresh_token", &value).unwrap();
            let json = serde_json::to_string(&sealed).unwrap();
            assert!(!json.contains("refresh"));
            serde_json::from_str::<Sealed>(&json).unwrap()
        };
        let opened = sealer.open("token/refresh_token", stored()).unwrap();
        assert_eq!(opened.unwrap().expose(), "1//refresh");
        assert!(sealer.open("token/other", stored()).unwrap().is_none());
        let others = Sealer([8; 32]);
        assert!(
            others
                .open("token/refresh_token", stored())
                .unwrap()
                .is_none()
        );
        assert_ne!(stored().sealed, stored().sealed);
        let newer = Sealed {
            format: FORMAT + 1,
            ..stored()
        };
        assert!(sealer.open("token/refresh_token", newer).is_err());
    }
}
