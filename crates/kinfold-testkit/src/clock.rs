//! A clock that does not wait.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use kinfold_sync::Clock;

/// So many times the earliest sleeper lets everything else run before it moves the time forward.
const PATIENCE: u32 = 32;

#[derive(Default)]
struct Inner {
    now: Duration,
    next_sleeper: u64,
    sleepers: BTreeSet<(Duration, u64)>,
    slept: Vec<Duration>,
}

/// A clock whose time goes on when everything waits: the earliest sleeper wakes first, at once. Copies
/// share their time. For tasks of one thread.
#[derive(Clone, Default)]
pub struct FakeClock {
    inner: Arc<Mutex<Inner>>,
}

impl FakeClock {
    /// A clock at 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every duration that was slept, whole or in part, in the order of falling asleep.
    #[must_use]
    pub fn slept(&self) -> Vec<Duration> {
        self.inner().slept.clone()
    }
}

/// Takes a sleeper off the list also when its future is dropped.
struct Sleeper {
    clock: FakeClock,
    entry: (Duration, u64),
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.clock.inner().sleepers.remove(&self.entry);
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn elapsed(&self) -> Duration {
        self.inner().now
    }

    fn wall(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.inner().now).unwrap_or(TimeDelta::MAX);
        DateTime::UNIX_EPOCH
            .checked_add_signed(elapsed)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    async fn sleep(&self, duration: Duration) {
        let sleeper = {
            let mut inner = self.inner();
            let entry = (inner.now.saturating_add(duration), inner.next_sleeper);
            inner.next_sleeper += 1;
            inner.sleepers.insert(entry);
            inner.slept.push(duration);
            Sleeper {
                clock: self.clone(),
                entry,
            }
        };
        let mut idle = 0;
        loop {
            {
                let mut inner = self.inner();
                if inner.now >= sleeper.entry.0 {
                    return;
                }
                if inner.sleepers.first() == Some(&sleeper.entry) {
                    idle += 1;
                    if idle > PATIENCE {
                        inner.now = sleeper.entry.0;
                        return;
                    }
                } else {
                    idle = 0;
                }
            }
            tokio::task::yield_now().await;
        }
    }
}
