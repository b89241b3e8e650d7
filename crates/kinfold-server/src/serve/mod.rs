//! The service: one task that drives the [`Scheduler`] with the ports.
//!
//! Of several servers on one lake, the one with the lease leads; the others stand by and ask for it again and
//! again. A leader that loses it, or that finds that somebody else has written the state, starts nothing more,
//! cancels its runs and stands by.

mod handle;
mod lead;
mod messages;
mod store;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::ports::{Alerts, Clock, Held, Inputs, Lease, Runner, StateStore};
use crate::schedule::{DocumentError, Limits};

pub use handle::{CommandError, Handle, Phase, Records};

use handle::{Command, Shared};
use lead::Lead;

/// Everything that a server needs from the outside.
#[derive(Clone)]
pub struct Ports {
    /// Runs jobs.
    pub runner: Arc<dyn Runner>,
    /// Knows what jobs read.
    pub inputs: Arc<dyn Inputs>,
    /// Keeps the state.
    pub store: Arc<dyn StateStore>,
    /// The right to run the schedule.
    pub lease: Arc<dyn Lease>,
    /// Tells people.
    pub alerts: Arc<dyn Alerts>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// How a server works.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// A text that no other server has, nor this one after a restart: a random id.
    pub server_id: String,
    /// Jobs at once, records kept, receivers of alerts.
    pub limits: Limits,
    /// How often the inputs of jobs with `on: inputs` are looked at.
    pub poll_inputs: Duration,
    /// How often the lease is prolonged, or asked for; well below its length.
    pub renew_lease: Duration,
    /// How long to wait after the lease or the store did not answer.
    pub retry: Duration,
    /// At the end, running jobs have so long before they are cancelled.
    pub drain: Duration,
    /// And so long after that before they are left alone.
    pub after_cancel: Duration,
}

impl ServeOptions {
    /// What suits most: inputs every 30 s, the lease every 20 s, two minutes to drain.
    #[must_use]
    pub fn new(server_id: impl Into<String>) -> Self {
        Self {
            server_id: server_id.into(),
            limits: Limits::default(),
            poll_inputs: Duration::from_secs(30),
            renew_lease: Duration::from_secs(20),
            retry: Duration::from_secs(2),
            drain: Duration::from_secs(120),
            after_cancel: Duration::from_secs(15),
        }
    }
}

/// Why a server cannot go on. A lease or store that does not answer is no reason: it is asked again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The stored state cannot be read.
    #[error(transparent)]
    State(#[from] DocumentError),
}

/// A server that is not running yet.
pub struct Server {
    jobs: Vec<Job>,
    ports: Ports,
    options: ServeOptions,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    sender: mpsc::Sender<Command>,
}

/// So many requests may wait for the loop; further ones wait for their turn to wait.
const COMMANDS: usize = 64;

impl Server {
    /// A server of these jobs.
    #[must_use]
    pub fn new(jobs: Vec<Job>, ports: Ports, options: ServeOptions) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS);
        Self {
            jobs,
            ports,
            options,
            shared: Arc::default(),
            commands,
            sender,
        }
    }

    /// Shows and steers the server, as long as it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared), self.sender.clone())
    }

    /// Runs the schedule until `stop`; then starts nothing more, lets running jobs end within
    /// [`ServeOptions::drain`], stores the state and gives the lease back.
    ///
    /// # Errors
    /// The stored state cannot be read.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ServeError> {
        let ended = self.stand_by_and_lead(&stop).await;
        self.shared.set_phase(Phase::Stopping);
        self.ports.lease.release().await;
        ended
    }

    async fn stand_by_and_lead(&mut self, stop: &CancellationToken) -> Result<(), ServeError> {
        while let Some(until) = self.wait_for_lease(stop).await {
            let lead =
                Lead::begin(&self.jobs, &self.ports, &self.options, &self.shared, until).await?;
            let stopped = match lead {
                Some(lead) => lead.run(&mut self.commands, stop).await,
                None => self.pause(self.options.retry, stop).await,
            };
            self.shared.set_scheduler(None);
            if stopped {
                break;
            }
            self.shared.set_phase(Phase::Standby);
        }
        Ok(())
    }

    /// Until when the lease is ours; `None` if the server was stopped meanwhile.
    async fn wait_for_lease(&mut self, stop: &CancellationToken) -> Option<DateTime<Utc>> {
        loop {
            if stop.is_cancelled() {
                return None;
            }
            let wait = match self.ports.lease.hold().await {
                Ok(Held::Mine { until }) => return Some(until),
                Ok(Held::Other) => {
                    if self.shared.set_phase(Phase::Standby) {
                        tracing::info!("another server runs the schedule; standing by");
                    }
                    self.options.renew_lease
                }
                Err(error) => {
                    tracing::warn!(error = %error, "the lease of the schedule cannot be asked for");
                    self.options.retry
                }
            };
            if self.pause(wait, stop).await {
                return None;
            }
        }
    }

    /// Waits, answering that this server does not lead. True if it was stopped.
    async fn pause(&mut self, length: Duration, stop: &CancellationToken) -> bool {
        let until = after(self.ports.clock.now(), length);
        let sleep = self.ports.clock.sleep_until(until);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = stop.cancelled() => return true,
                () = &mut sleep => return false,
                Some(command) = self.commands.recv() => command.refuse(),
            }
        }
    }
}

pub(crate) fn after(time: DateTime<Utc>, length: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(length)
        .ok()
        .and_then(|length| time.checked_add_signed(length))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
