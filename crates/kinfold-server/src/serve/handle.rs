//! How others look at a running server and steer it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::schedule::{Event, JobStatus, Record, Scheduler};

/// What a server is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has not asked for the lease yet, or has just got it.
    #[default]
    Starting,
    /// Another server runs the schedule.
    Standby,
    /// It runs the schedule.
    Leading,
    /// It runs the schedule and cannot store its state: nothing is started until it can.
    Stuck,
    /// It ends.
    Stopping,
}

#[derive(Default)]
struct View {
    phase: Phase,
    scheduler: Option<Scheduler>,
}

/// What the service and those who look at it share.
#[derive(Default)]
pub(crate) struct Shared(Mutex<View>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the phase was another one.
    pub(super) fn set_phase(&self, phase: Phase) -> bool {
        let mut view = self.lock();
        std::mem::replace(&mut view.phase, phase) != phase
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    pub(super) fn set_scheduler(&self, scheduler: Option<Scheduler>) {
        self.lock().scheduler = scheduler;
    }

    /// Does something with the schedule, if this server runs it. Never held across a wait.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Scheduler) -> T) -> Option<T> {
        self.lock().scheduler.as_mut().map(act)
    }
}

/// A request to the loop.
pub(crate) struct Command {
    pub(super) event: Event,
    pub(super) job: String,
    pub(super) answer: oneshot::Sender<Result<JobStatus, CommandError>>,
}

impl Command {
    pub(super) fn refuse(self) {
        // Whoever asked may have gone.
        let _ = self.answer.send(Err(CommandError::NotLeading));
    }
}

/// Why a request to a server came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No job has this name.
    #[error("there is no job `{job}`")]
    NoSuchJob {
        /// The name.
        job: String,
    },
    /// This server does not run the schedule now.
    #[error("this server does not run the schedule")]
    NotLeading,
}

/// Records of a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Records {
    /// The oldest first.
    pub records: Vec<Record>,
    /// Whether `limit` left some out.
    pub more: bool,
}

/// Shows and steers a server. Copies mean the same one.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, commands: mpsc::Sender<Command>) -> Self {
        Self { shared, commands }
    }

    /// What the server is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.shared.phase()
    }

    /// All jobs, in order of their names.
    ///
    /// # Errors
    /// Another server runs the schedule.
    pub fn jobs(&self) -> Result<Vec<JobStatus>, CommandError> {
        self.shared
            .with(|scheduler| scheduler.all_statuses())
            .ok_or(CommandError::NotLeading)
    }

    /// One job.
    ///
    /// # Errors
    /// There is none, or another server runs the schedule.
    pub fn job(&self, job: &str) -> Result<JobStatus, CommandError> {
        self.shared
            .with(|scheduler| scheduler.status(job))
            .ok_or(CommandError::NotLeading)?
            .ok_or_else(|| no_such(job))
    }

    /// At most `limit` records of a job: with `since` the first ones that were due then or later, else the newest.
    ///
    /// # Errors
    /// There is no such job, or another server runs the schedule.
    pub fn records(
        &self,
        job: &str,
        since: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Records, CommandError> {
        let found = self.shared.with(|scheduler| {
            let all = scheduler.records(job)?;
            let wanted: Vec<&Record> = all
                .iter()
                .filter(|record| since.is_none_or(|since| record.due >= since))
                .collect();
            let skip = match since {
                Some(_) => 0,
                None => wanted.len().saturating_sub(limit),
            };
            Some(Records {
                more: wanted.len() > limit,
                records: wanted.into_iter().skip(skip).take(limit).cloned().collect(),
            })
        });
        found
            .ok_or(CommandError::NotLeading)?
            .ok_or_else(|| no_such(job))
    }

    /// Messages that have not arrived; 0 if another server runs the schedule.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.shared
            .with(|scheduler| scheduler.undelivered())
            .unwrap_or(0)
    }

    /// Runs a job now, whether it is paused or not.
    ///
    /// # Errors
    /// There is no such job, or another server runs the schedule.
    pub async fn run_now(&self, job: &str) -> Result<JobStatus, CommandError> {
        let event = Event::RunNow {
            job: job.to_owned(),
        };
        self.send(job, event).await
    }

    /// Pauses a job. A run under way goes on.
    ///
    /// # Errors
    /// There is no such job, or another server runs the schedule.
    pub async fn pause(&self, job: &str) -> Result<JobStatus, CommandError> {
        let event = Event::Pause {
            job: job.to_owned(),
        };
        self.send(job, event).await
    }

    /// Ends the pause of a job.
    ///
    /// # Errors
    /// There is no such job, or another server runs the schedule.
    pub async fn resume(&self, job: &str) -> Result<JobStatus, CommandError> {
        let event = Event::Resume {
            job: job.to_owned(),
        };
        self.send(job, event).await
    }

    /// The answer comes once the change is stored.
    async fn send(&self, job: &str, event: Event) -> Result<JobStatus, CommandError> {
        let (answer, answered) = oneshot::channel();
        let command = Command {
            event,
            job: job.to_owned(),
            answer,
        };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| CommandError::NotLeading)?;
        answered.await.map_err(|_| CommandError::NotLeading)?
    }
}

pub(super) fn no_such(job: &str) -> CommandError {
    CommandError::NoSuchJob {
        job: job.to_owned(),
    }
}
