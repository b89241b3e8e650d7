//! Leases of runs: taken, kept alive, and waited for where their holder has died.

use std::time::{Duration, Instant};

use kinfold_lake::{Lake, LakeError, Lease};
use kinfold_sync::CancelToken;

use crate::{Engine, EngineError};

/// How long a run that has died keeps others out. On one machine a short time will do.
pub(crate) fn lease_time(engine: &Engine) -> Duration {
    Duration::from_secs(if engine.lake.url().is_local() { 8 } else { 60 })
}

/// Takes the lease `name`. A run that died on this machine is waited for, since nobody renews its
/// lease; one that lives is named in the error.
pub(crate) async fn acquire(
    lake: &Lake,
    name: &str,
    time: Duration,
    cancel: &CancelToken,
) -> Result<Lease, EngineError> {
    let me = holder(std::process::id());
    let patience = Instant::now() + time * 2;
    loop {
        match lake.lease(name, &me, time).await {
            Ok(lease) => return Ok(lease),
            Err(error @ LakeError::LeaseHeld { .. }) => {
                let dead = matches!(&error, LakeError::LeaseHeld { holder, .. } if is_dead(holder));
                if !dead || Instant::now() > patience || cancel.is_cancelled() {
                    return Err(error.into());
                }
                tokio::time::sleep(Duration::from_millis(100).min(time / 4)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The name of a process of this machine, for those who find its lease.
fn holder(process: u32) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    let host = if host.trim().is_empty() {
        "this machine"
    } else {
        host.trim()
    };
    format!("process {process} on {host}")
}

/// Whether a holder is a process of this machine that has ended. Where that cannot be told it is not
/// dead.
fn is_dead(other: &str) -> bool {
    let process = other
        .strip_prefix("process ")
        .and_then(|rest| rest.split(' ').next());
    let Some(process) = process.and_then(|p| p.parse::<u32>().ok()) else {
        return false;
    };
    let processes = std::path::Path::new("/proc");
    other == holder(process)
        && processes.join("self").exists()
        && !processes.join(process.to_string()).exists()
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
