//! A clock that stands at a time and does not wait.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use kinfold_sync::Clock;

/// Time goes on only by sleeping, which takes none.
pub(super) struct StandingClock {
    start: DateTime<Utc>,
    slept: Mutex<Duration>,
}

impl StandingClock {
    pub(super) fn at(start: DateTime<Utc>) -> Self {
        Self {
            start,
            slept: Mutex::new(Duration::ZERO),
        }
    }
}

#[async_trait]
impl Clock for StandingClock {
    fn elapsed(&self) -> Duration {
        *self.slept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wall(&self) -> DateTime<Utc> {
        let slept = TimeDelta::from_std(self.elapsed()).unwrap_or(TimeDelta::MAX);
        self.start.checked_add_signed(slept).unwrap_or(self.start)
    }

    async fn sleep(&self, duration: Duration) {
        let mut slept = self.slept.lock().unwrap_or_else(PoisonError::into_inner);
        *slept = slept.saturating_add(duration);
    }
}
