//! Leases: at most one process does a thing, and a token tells a late one apart.
//!
//! A lease is one small object that names its holder and a deadline, swapped conditionally.
//!
//! **Clocks.** Deadlines are absolute times by the holder's clock. A holder stops relying on its
//! lease one margin before the deadline, a contender takes over one margin after it; the margin is
//! a quarter of the time to live, at most 10 s. So two clocks may differ by twice the margin before
//! two processes believe to hold one lease. If they differ by more, the token still protects:
//! it grows with every holder, and [`Lease::check`], which every commit through
//! [`Lake::guarded`] makes, reads the object and refuses all but the newest.
//!
//! **Dead holders.** Where the holder was a process of this machine that has ended, nobody waits for
//! its deadline.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::environment::parse_format;
use crate::holder::has_ended;
use crate::objects::{Tag, object_path};
use crate::{Holder, Lake, LakeError};

const FORMAT: u64 = 1;
const SHORTEST: Duration = Duration::from_millis(20);

#[derive(Serialize, Deserialize, Clone)]
struct Stored {
    format: u64,
    holder: String,
    #[serde(default)]
    mark: String,
    token: u64,
    since: DateTime<Utc>,
    expires: DateTime<Utc>,
    ttl_ms: u64,
    released: bool,
    swap: uuid::Uuid,
}

/// A lease that was acquired. Cheap to clone; clones are the same lease.
#[derive(Clone)]
pub struct Lease {
    inner: Arc<Held>,
}

struct Held {
    lake: Lake,
    path: Path,
    name: String,
    token: u64,
    ttl: Duration,
    state: Mutex<State>,
    /// Held while the object is replaced, so that clones do not overtake each other.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct State {
    stored: Stored,
    tag: Tag,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.inner.name)
            .field("token", &self.inner.token)
            .finish_non_exhaustive()
    }
}

impl Lake {
    /// Acquires the lease `name` (a path such as `sync/crm`) for `ttl`, to be kept by
    /// [`Lease::renew`] at a third of that.
    ///
    /// The holder's name is shown to those who come in vain. A lease of a process of this machine
    /// that has ended is taken over at once.
    ///
    /// # Errors
    /// [`LakeError::LeaseHeld`] if somebody holds it, [`LakeError::LeaseTooShort`] below 20 ms,
    /// [`LakeError::Name`], [`LakeError::Storage`], [`LakeError::NewerFormat`].
    pub async fn lease(
        &self,
        name: &str,
        holder: impl Into<Holder>,
        ttl: Duration,
    ) -> Result<Lease, LakeError> {
        let holder = holder.into();
        if ttl < SHORTEST {
            return Err(LakeError::LeaseTooShort { ttl });
        }
        let path = object_path(&format!("lease/{name}.json"))?;
        let found = self.read_tagged(&path).await?;
        let now = Utc::now();
        let (token, expected) = match found {
            None => (1, None),
            Some((bytes, tag)) => {
                let stored: Stored = parse_format(&path, &bytes, FORMAT)?;
                let margin = margin(stored.ttl_ms);
                if !stored.released && now <= later(stored.expires, margin) {
                    if !has_ended(&stored.mark) {
                        return Err(held(name, stored));
                    }
                    tracing::info!(lease = name, holder = stored.holder, "its holder has ended");
                }
                (stored.token.saturating_add(1), Some(tag))
            }
        };
        let stored = Stored {
            format: FORMAT,
            holder: holder.name,
            mark: holder.mark,
            token,
            since: now,
            expires: later(now, ttl),
            ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            released: false,
            swap: uuid::Uuid::new_v4(),
        };
        let tag = match self
            .swap_tagged(&path, expected.as_ref(), encode(&path, &stored)?)
            .await
        {
            Ok(tag) => tag,
            Err(LakeError::Conflict { name: conflict }) => {
                // Somebody else was faster; say who.
                let winner = match self.read_tagged(&path).await? {
                    Some((bytes, _)) => parse_format(&path, &bytes, FORMAT)?,
                    None => return Err(LakeError::Conflict { name: conflict }),
                };
                return Err(held(name, winner));
            }
            Err(error) => return Err(error),
        };
        Ok(Lease {
            inner: Arc::new(Held {
                lake: self.clone(),
                path,
                name: name.to_owned(),
                token,
                ttl,
                state: Mutex::new(State { stored, tag }),
                turn: tokio::sync::Mutex::new(()),
            }),
        })
    }
}

impl Lease {
    /// The fencing token: greater than the token of every earlier holder of the lease.
    pub fn token(&self) -> u64 {
        self.inner.token
    }

    /// When the lease runs out unless it is renewed, by this machine's clock.
    pub fn expires(&self) -> DateTime<Utc> {
        self.state().stored.expires
    }

    /// Moves the deadline to now plus the time to live.
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`] if somebody took over; then stop at once. After
    /// [`LakeError::Storage`] it may be tried again before the deadline.
    pub async fn renew(&self) -> Result<(), LakeError> {
        let _turn = self.inner.turn.lock().await;
        let state = self.state();
        if state.stored.released {
            return Err(self.lost());
        }
        let mut stored = state.stored;
        stored.expires = later(Utc::now(), self.inner.ttl);
        self.replace(&state.tag, stored).await
    }

    /// Gives the lease up, so that the next holder need not wait for the deadline.
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`] if somebody took over before.
    pub async fn release(&self) -> Result<(), LakeError> {
        let _turn = self.inner.turn.lock().await;
        let state = self.state();
        if state.stored.released {
            return Ok(());
        }
        let mut stored = state.stored;
        stored.released = true;
        self.replace(&state.tag, stored).await
    }

    /// Whether the lease is still ours, by the stored object and the clock.
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`] if not, [`LakeError::Storage`] if that cannot be told.
    pub async fn check(&self) -> Result<(), LakeError> {
        let found = self.inner.lake.read_tagged(&self.inner.path).await?;
        let Some((bytes, _)) = found else {
            return Err(self.lost());
        };
        let stored: Stored = parse_format(&self.inner.path, &bytes, FORMAT)?;
        let margin = margin(stored.ttl_ms);
        let relied_on = later(Utc::now(), margin) < stored.expires;
        if stored.token != self.inner.token || stored.released || !relied_on {
            return Err(self.lost());
        }
        Ok(())
    }

    async fn replace(&self, expected: &Tag, stored: Stored) -> Result<(), LakeError> {
        let held = &self.inner;
        let mut stored = stored;
        stored.swap = uuid::Uuid::new_v4();
        let bytes = encode(&held.path, &stored)?;
        match held
            .lake
            .swap_tagged(&held.path, Some(expected), bytes)
            .await
        {
            Ok(tag) => {
                *self.locked() = State { stored, tag };
                Ok(())
            }
            Err(LakeError::Conflict { .. }) => Err(self.lost()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn lost(&self) -> LakeError {
        LakeError::LeaseLost {
            name: self.inner.name.clone(),
            token: self.inner.token,
        }
    }

    fn state(&self) -> State {
        self.locked().clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn held(name: &str, stored: Stored) -> LakeError {
    LakeError::LeaseHeld {
        name: name.to_owned(),
        holder: stored.holder,
        since: stored.since,
        expires: stored.expires,
    }
}

fn margin(ttl_ms: u64) -> Duration {
    (Duration::from_millis(ttl_ms) / 4).min(Duration::from_secs(10))
}

fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by)
        .ok()
        .and_then(|by| time.checked_add_signed(by))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn encode(path: &Path, stored: &Stored) -> Result<Bytes, LakeError> {
    serde_json::to_vec_pretty(stored)
        .map(Bytes::from)
        .map_err(|_| LakeError::Corrupt {
            path: path.to_string(),
            reason: "it cannot be written as JSON",
        })
}
