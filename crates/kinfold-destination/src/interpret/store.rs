//! What has to outlive a run: refresh tokens, and the ids of what was created once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kinfold_sync::Secret;

/// A value cannot be read or stored. The message must hold no value.
#[derive(Debug, thiserror::Error)]
#[error("what is remembered of the connection cannot be read or stored")]
pub struct StoreError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// Wraps the reason.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

/// Where a connection's values are kept between runs. Names are short paths of printable characters:
/// `token/refresh_token`, `object/list/42`. Values are to be stored encrypted: some of them are credentials.
///
/// A value that was saved must be durable when `save` returns: a vendor has then forgotten the one before.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// The value of a name.
    ///
    /// # Errors
    /// It cannot be read.
    async fn load(&self, name: &str) -> Result<Option<Secret>, StoreError>;

    /// Stores a value in the place of the one before.
    ///
    /// # Errors
    /// It is not certain that the value is durable.
    async fn save(&self, name: &str, value: &Secret) -> Result<(), StoreError>;

    /// Forgets a value, if there is one.
    ///
    /// # Errors
    /// It is not certain that it is forgotten.
    async fn forget(&self, name: &str) -> Result<(), StoreError>;

    /// Waits until nobody else, in this process or another, holds the lock of this name. It is held while a token
    /// is renewed that is good for one use: two who renewed it at once would lock the connection out.
    ///
    /// # Errors
    /// It cannot be told who holds it, or it is held for too long.
    async fn lock(&self, name: &str) -> Result<Box<dyn StoreLock>, StoreError>;
}

/// A lock that is held.
#[async_trait]
pub trait StoreLock: Send + Sync {
    /// Gives it up. One that is dropped instead may be held for some time after.
    async fn release(self: Box<Self>);
}

/// A store that forgets everything with the process: for tests, and for connections that keep nothing.
#[derive(Debug, Default)]
pub struct MemoryTokenStore {
    values: Mutex<BTreeMap<String, Secret>>,
    locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl MemoryTokenStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn values(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Secret>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for MemoryTokenStore {
    async fn load(&self, name: &str) -> Result<Option<Secret>, StoreError> {
        Ok(self.values().get(name).cloned())
    }

    async fn save(&self, name: &str, value: &Secret) -> Result<(), StoreError> {
        self.values().insert(name.to_owned(), value.clone());
        Ok(())
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        self.values().remove(name);
        Ok(())
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn StoreLock>, StoreError> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(name.to_owned()).or_default())
        };
        Ok(Box::new(MemoryLock(lock.lock_owned().await)))
    }
}

struct MemoryLock(tokio::sync::OwnedMutexGuard<()>);

#[async_trait]
impl StoreLock for MemoryLock {
    async fn release(self: Box<Self>) {
        drop(self.0);
    }
}
