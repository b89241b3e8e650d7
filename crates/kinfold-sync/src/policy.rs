//! Limits of a delivery.

use std::time::Duration;

/// How a delivery batches, waits and gives up.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryPolicy {
    /// Most rows of a batch; the destination's own limit also holds. At least 1.
    pub max_rows: usize,
    /// Most bytes of a batch's rows as JSON; a larger row is sent alone.
    pub max_bytes: usize,
    /// Most batches in flight, or waiting to be recorded; the destination's own limit also holds. How many
    /// of them are used is found out while sending. At least 1.
    pub concurrency: usize,
    /// Most batches in flight at the beginning. At least 1.
    pub concurrency_start: usize,
    /// When a failed request is repeated.
    pub retry: RetryPolicy,
    /// How long one batch may be kept waiting by rate limits before the delivery stops.
    pub max_throttle: Duration,
    /// So many failures that pass, one after the other over all batches, and the destination counts as down.
    pub max_consecutive_failures: u32,
    /// How many rejected rows end the delivery; without it none do.
    pub max_error_rate: Option<ErrorRate>,
    /// How the destination is asked about jobs.
    pub jobs: JobPolicy,
}

/// When a destination is asked again about a job that it accepted. Without its own word the waits double from
/// `min_wait` to `max_wait`, each shortened by up to a half at random.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPolicy {
    /// Shortest wait, also where the destination asks for a shorter one.
    pub min_wait: Duration,
    /// Longest wait that is our own choice; a destination may ask for a longer one.
    pub max_wait: Duration,
    /// How long a delivery waits for one job. Then the job stays outstanding, and the next delivery of the
    /// plan goes on asking.
    pub patience: Duration,
}

impl Default for JobPolicy {
    fn default() -> Self {
        Self {
            min_wait: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
            patience: Duration::from_secs(60 * 60),
        }
    }
}

/// When so many rows are rejected that something else is wrong than the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorRate {
    /// The delivery stops when more than this share, from 0 to 1, of the last rows with an outcome is
    /// rejected.
    pub share: f64,
    /// No judgement before so many rows have an outcome; it is over the last ten times as many. At least 1.
    pub min_rows: u64,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            max_rows: 500,
            max_bytes: 1 << 20,
            concurrency: 32,
            concurrency_start: 4,
            retry: RetryPolicy::default(),
            max_throttle: Duration::from_secs(15 * 60),
            max_consecutive_failures: 12,
            max_error_rate: None,
            jobs: JobPolicy::default(),
        }
    }
}

/// Exponential back-off with full jitter: before attempt n+1 a wait between 0 and
/// `min(max_wait, base · 2^(n-1))`, uniformly (M. Brooker, "Exponential Backoff and Jitter", AWS, 2015).
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Most requests for the same rows, the first included. At least 1.
    pub max_attempts: u32,
    /// No new attempt once so long has passed since the first failure, waits for rate limits not counted.
    pub max_elapsed: Duration,
    /// Upper bound of the first wait.
    pub base: Duration,
    /// Upper bound of every wait.
    pub max_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            max_elapsed: Duration::from_secs(5 * 60),
            base: Duration::from_millis(500),
            max_wait: Duration::from_secs(30),
        }
    }
}
