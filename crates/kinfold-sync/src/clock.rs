//! Time as a port, so that tests of waiting do not wait.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Where waiting and the time come from.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Time since an origin of the clock's choice; never goes back. Clocks of deliveries that share a
    /// [`Budget`](crate::Budget) must have one origin.
    fn elapsed(&self) -> Duration;

    /// The time of day, to read `Retry-After` dates.
    fn wall(&self) -> DateTime<Utc>;

    /// Returns when `duration` has passed.
    async fn sleep(&self, duration: Duration);
}

/// The origin of every [`SystemClock`] of this process: when the first of them was made.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The machine's clock, by tokio's timer. All of them agree.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// The machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: *ORIGIN }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
