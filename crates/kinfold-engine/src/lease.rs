//! Leases of runs: how long they last, and how they are kept alive.

use std::time::Duration;

use kinfold_lake::{LakeError, Lease};
use kinfold_sync::CancelToken;

use crate::Engine;

/// How long a run that has died keeps out those who cannot see that it has. On one machine a short
/// time will do.
pub(crate) fn lease_time(engine: &Engine) -> Duration {
    Duration::from_secs(if engine.lake.url().is_local() { 8 } else { 60 })
}

/// Renews a lease until it is stopped or dropped.
pub(crate) struct Heartbeat {
    task: tokio::task::JoinHandle<()>,
    stop: CancelToken,
}

impl Heartbeat {
    /// If the lease is lost, `lost` is cancelled.
    pub(crate) fn start(lease: Lease, time: Duration, lost: CancelToken) -> Self {
        let stop = CancelToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = tokio::time::sleep(time / 4) => {}
                }
                match lease.renew().await {
                    Ok(()) => {}
                    Err(error @ LakeError::LeaseLost { .. }) => {
                        tracing::warn!(%error, "ending the run");
                        return lost.cancel();
                    }
                    Err(error) => tracing::warn!(%error, "the lease was not renewed"),
                }
            }
        });
        Self { task, stop }
    }

    /// Waits for a renewal in progress, so that the lease can then be released.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
