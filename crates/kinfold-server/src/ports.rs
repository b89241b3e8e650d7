//! What a server needs from the outside; the binary implements it on the engine.
//!
//! Every call must come to an end by itself, with an error if need be: none is given a time limit here. A run and a
//! message may take as long as they like.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::schedule::{Message, RunEnded};

/// A port that could not do what it was asked for. Shown and logged: holds no secret and no value of a row.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct PortError {
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error with nothing below it.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    /// An error with its cause.
    #[must_use]
    pub fn caused(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            what: what.into(),
            source: Some(Box::new(source)),
        }
    }
}

/// Runs jobs.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Runs `job` to its end, also if that is a failure. `run` is the server's number of the run. Ends soon after
    /// `cancel`, with everything recorded that was done; what it then returns counts as interrupted unless it
    /// succeeded.
    async fn run(&self, job: &Job, run: u64, cancel: CancellationToken) -> RunEnded;
}

/// Knows what jobs read.
#[async_trait]
pub trait Inputs: Send + Sync {
    /// A text that differs whenever what `job` reads differs: versions of tables, tags of files.
    ///
    /// # Errors
    /// The inputs cannot be looked at. It is asked again later.
    async fn version(&self, job: &Job) -> Result<String, PortError>;
}

/// A stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Tells it from what was stored before and after: an ETag or a generation.
    pub tag: String,
}

/// What came of storing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is stored and durable.
    Stored {
        /// Its tag.
        tag: String,
    },
    /// Something else is stored than what it was to replace; nothing has changed.
    Conflict,
}

/// Keeps the schedule's state: one small document, replaced as a whole.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// What is stored; `None` before the first time.
    ///
    /// # Errors
    /// The store does not answer.
    async fn load(&self) -> Result<Option<Stored>, PortError>;

    /// Replaces the document with the tag `replaces` (`None`: there must be none) by `bytes`.
    ///
    /// # Errors
    /// The store does not answer; then it may have been stored or not.
    async fn save(&self, bytes: &[u8], replaces: Option<&str>) -> Result<Saved, PortError>;
}

/// Whose the lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Ours, until then by [`Clock::now`]. An implementation reckons from before it asked.
    Mine {
        /// The end of it, unless it is prolonged.
        until: DateTime<Utc>,
    },
    /// Another server's.
    Other,
}

/// The right to run the schedule, which one server has at a time.
#[async_trait]
pub trait Lease: Send + Sync {
    /// Takes the lease if it is free, and prolongs it if it is ours.
    ///
    /// # Errors
    /// It is not known whose it is. What was held stays held until its end.
    async fn hold(&self) -> Result<Held, PortError>;

    /// Gives it back, so that another server need not wait for its end. If that fails, it ends by itself.
    async fn release(&self);
}

/// Tells people.
#[async_trait]
pub trait Alerts: Send + Sync {
    /// Sends `message` to its receiver, with as many attempts as make sense. May take minutes: it is never waited
    /// for.
    ///
    /// # Errors
    /// It did not arrive. It is sent again when a server takes the schedule up again.
    async fn send(&self, message: &Message) -> Result<(), PortError>;
}

/// Time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> DateTime<Utc>;

    /// Returns once it is `time`, at once if it is later.
    async fn sleep_until(&self, time: DateTime<Utc>);
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that is set, or a machine that slept, is noticed after so long.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep_until(&self, time: DateTime<Utc>) {
        loop {
            let left = time - Utc::now();
            if left <= TimeDelta::zero() {
                return;
            }
            let left = left.to_std().unwrap_or(LONGEST_SLEEP);
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }
}
