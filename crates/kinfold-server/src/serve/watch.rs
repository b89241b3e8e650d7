//! What is looked at again and again while a server runs the schedule.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::job::Job;
use crate::ports::{Clock, Held, Inputs, Lease, PortError};
use crate::schedule::Event;

use super::{ServeOptions, after};

/// Reports the version of what `job` reads, again and again.
pub(super) async fn watch_inputs(
    job: Arc<Job>,
    inputs: Arc<dyn Inputs>,
    clock: Arc<dyn Clock>,
    every: Duration,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut last = None;
    loop {
        match inputs.version(&job).await {
            Ok(version) => {
                let event = Event::Inputs {
                    job: job.name.clone(),
                    version: version.clone(),
                };
                last = Some(version);
                if events.send(event).is_err() {
                    return;
                }
            }
            Err(error) => tracing::warn!(
                job = %job.name,
                error = %error,
                known = last.is_some(),
                "the inputs of a job cannot be looked at"
            ),
        }
        clock.sleep_until(after(clock.now(), every)).await;
    }
}

/// Prolongs the lease, again and again; more often while it does not answer.
pub(super) async fn keep_lease(
    lease: Arc<dyn Lease>,
    clock: Arc<dyn Clock>,
    options: ServeOptions,
    told: mpsc::UnboundedSender<Result<Held, PortError>>,
) {
    loop {
        clock
            .sleep_until(after(clock.now(), options.renew_lease))
            .await;
        loop {
            let held = lease.hold().await;
            let failed = held.is_err();
            if told.send(held).is_err() {
                return;
            }
            if !failed {
                break;
            }
            clock.sleep_until(after(clock.now(), options.retry)).await;
        }
    }
}
