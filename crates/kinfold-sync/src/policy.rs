//! Limits of a delivery.

use std::time::Duration;

/// How a delivery batches, waits and gives up.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryPolicy {
    /// Most rows of a batch; the destination's own limit also holds. At least 1.
    pub max_rows: usize,
    /// Most bytes of a batch's rows as JSON; a larger row is sent alone.
    pub max_bytes: usize,
    /// Most batches in flight, or waiting to be recorded. At least 1.
    pub concurrency: usize,
    /// When a failed request is repeated.
    pub retry: RetryPolicy,
    /// How long one batch may be kept waiting by rate limits before the delivery stops.
    pub max_throttle: Duration,
    /// So many failures that pass, one after the other over all batches, and the destination counts as down.
    pub max_consecutive_failures: u32,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            max_rows: 500,
            max_bytes: 1 << 20,
            concurrency: 4,
            retry: RetryPolicy::default(),
            max_throttle: Duration::from_secs(15 * 60),
            max_consecutive_failures: 12,
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
