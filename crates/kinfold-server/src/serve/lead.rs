//! The loop of a server that runs the schedule.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kinfold_project::Trigger;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::ports::{Held, PortError};
use crate::schedule::{Action, Document, Event, JobStatus, Outcome, RunEnded, Scheduler};

use super::handle::{Command, CommandError, Phase, Shared, no_such};
use super::messages::Messages;
use super::store::{self, Writing, Written};
use super::watch::{keep_lease, watch_inputs};
use super::{Ports, ServeError, ServeOptions, after};

/// An answer that is given once the state with its change is stored.
type Answer = (
    u64,
    oneshot::Sender<Result<JobStatus, CommandError>>,
    String,
);

/// A server that runs the schedule.
pub(super) struct Lead<'s> {
    ports: &'s Ports,
    options: &'s ServeOptions,
    shared: &'s Shared,
    jobs: BTreeMap<String, Arc<Job>>,
    /// The lease is ours until then.
    until: DateTime<Utc>,
    /// What is stored.
    tag: Option<String>,
    stored: u64,
    writing: Option<Writing>,
    /// The store did not answer; not before this is it asked again.
    retry_at: Option<DateTime<Utc>>,
    /// Runs that begin once the state of this revision is stored.
    starts: Vec<(u64, String, u64)>,
    answers: Vec<Answer>,
    runs: JoinSet<(String, u64, RunEnded)>,
    /// Cancels the runs, each by itself a child.
    cancel: CancellationToken,
    messages: Messages,
    events: mpsc::UnboundedReceiver<Event>,
    leases: mpsc::UnboundedReceiver<Result<Held, PortError>>,
    /// Looks at the inputs and prolongs the lease; ends with this value.
    _helpers: JoinSet<()>,
}

/// How a loop goes on.
#[derive(PartialEq)]
enum Next {
    Again,
    /// The schedule is another server's.
    Lost,
}

impl<'s> Lead<'s> {
    /// Takes the schedule up. `None` if the store does not answer.
    ///
    /// # Errors
    /// The stored state cannot be read.
    pub(super) async fn begin(
        jobs: &[Job],
        ports: &'s Ports,
        options: &'s ServeOptions,
        shared: &'s Shared,
        until: DateTime<Utc>,
    ) -> Result<Option<Lead<'s>>, ServeError> {
        let stored = match ports.store.load().await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(error = %error, "the state of the schedule cannot be read");
                return Ok(None);
            }
        };
        let (document, tag) = match stored {
            Some(stored) => (Document::decode(&stored.bytes)?, Some(stored.tag)),
            None => (Document::default(), None),
        };
        let now = ports.clock.now();
        let (scheduler, actions) =
            Scheduler::restore(document, jobs.to_vec(), options.limits.clone(), now);
        shared.set_scheduler(Some(scheduler));
        shared.set_phase(Phase::Leading);
        tracing::info!(jobs = jobs.len(), "this server runs the schedule");
        let (sender, events) = mpsc::unbounded_channel();
        let (lease_sender, leases) = mpsc::unbounded_channel();
        let mut helpers = JoinSet::new();
        let all: BTreeMap<_, _> = jobs
            .iter()
            .map(|job| (job.name.clone(), Arc::new(job.clone())))
            .collect();
        for job in all.values() {
            if matches!(job.trigger, Some(Trigger::Inputs { .. })) {
                helpers.spawn(watch_inputs(
                    Arc::clone(job),
                    Arc::clone(&ports.inputs),
                    Arc::clone(&ports.clock),
                    options.poll_inputs,
                    sender.clone(),
                ));
            }
        }
        helpers.spawn(keep_lease(
            Arc::clone(&ports.lease),
            Arc::clone(&ports.clock),
            options.clone(),
            lease_sender,
        ));
        let mut lead = Self {
            ports,
            options,
            shared,
            jobs: all,
            until,
            tag,
            stored: 0,
            writing: None,
            retry_at: None,
            starts: vec![],
            answers: vec![],
            runs: JoinSet::new(),
            cancel: CancellationToken::new(),
            messages: Messages::new(Arc::clone(&ports.alerts), sender),
            events,
            leases,
            _helpers: helpers,
        };
        lead.take(actions);
        Ok(Some(lead))
    }

    /// Runs the schedule. True if it was stopped, false if the schedule is another server's now.
    pub(super) async fn run(
        mut self,
        commands: &mut mpsc::Receiver<Command>,
        stop: &CancellationToken,
    ) -> bool {
        let mut next = Next::Again;
        while next == Next::Again && !stop.is_cancelled() {
            next = self.turn(commands, Some(stop), None).await;
        }
        if next == Next::Lost {
            tracing::warn!("the schedule is another server's now; runs are cancelled");
            self.shared.set_scheduler(None);
            self.shared.set_phase(Phase::Standby);
            self.abandon().await;
            return false;
        }
        self.drain(commands).await;
        true
    }

    /// Starts nothing more, lets what runs come to its end, and stores the state.
    async fn drain(&mut self, commands: &mut mpsc::Receiver<Command>) {
        self.shared.set_phase(Phase::Stopping);
        self.step(Event::Stop);
        for (_, job, run) in std::mem::take(&mut self.starts) {
            self.ended(job, run, interrupted());
        }
        let now = self.ports.clock.now();
        let cancel_at = after(now, self.options.drain);
        let leave_at = after(cancel_at, self.options.after_cancel);
        // The state must be stored even if the lease runs out over it: the store refuses it if it may not.
        while !self.runs.is_empty() || self.stored < self.revision() {
            let now = self.ports.clock.now();
            if now >= leave_at {
                break;
            }
            let wake = if now >= cancel_at {
                self.cancel.cancel();
                leave_at
            } else {
                cancel_at
            };
            if self.turn(commands, None, Some(wake)).await == Next::Lost {
                break;
            }
        }
        if !self.runs.is_empty() {
            tracing::warn!(runs = self.runs.len(), "runs did not end in time");
        }
        self.abandon().await;
    }

    /// Ends what runs, whatever comes of it.
    async fn abandon(&mut self) {
        self.cancel.cancel();
        for (_, answer, _) in self.answers.drain(..) {
            let _ = answer.send(Err(CommandError::NotLeading));
        }
        let limit = after(self.ports.clock.now(), self.options.after_cancel);
        let all = async { while self.runs.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = self.ports.clock.sleep_until(limit) => {}
        }
        self.runs.abort_all();
    }

    /// Waits for the next thing to happen and deals with it.
    async fn turn(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        stop: Option<&CancellationToken>,
        wake: Option<DateTime<Utc>>,
    ) -> Next {
        let now = self.ports.clock.now();
        if now >= self.until {
            return Next::Lost;
        }
        self.write_if_due(now);
        let due = self.shared.with(|s| s.next_wake()).flatten();
        let wakes = [due, wake, self.retry_at, Some(self.until)];
        let wake = wakes.into_iter().flatten().min().unwrap_or(self.until);
        let stopped = async {
            match stop {
                Some(stop) => stop.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            written = next_of(&mut self.writing) => return self.written(written),
            Some(held) = self.leases.recv() => match held {
                Ok(Held::Mine { until }) => self.until = until,
                Ok(Held::Other) => return Next::Lost,
                Err(error) => tracing::warn!(error = %error, "the lease could not be prolonged"),
            },
            Some(ended) = self.runs.join_next(), if !self.runs.is_empty() => {
                // The task of a run catches what goes wrong in it.
                if let Ok((job, run, ended)) = ended {
                    self.ended(job, run, ended);
                }
            }
            Some(event) = self.events.recv() => self.step(event),
            Some(command) = commands.recv() => self.command(command),
            () = stopped => {}
            () = self.ports.clock.sleep_until(wake) => self.step(Event::Tick),
        }
        Next::Again
    }

    fn revision(&self) -> u64 {
        self.shared.with(|s| s.revision()).unwrap_or(0)
    }

    fn step(&mut self, event: Event) {
        let now = self.ports.clock.now();
        let actions = self.shared.with(|scheduler| scheduler.step(now, event));
        self.take(actions.unwrap_or_default());
    }

    fn take(&mut self, actions: Vec<Action>) {
        let revision = self.revision();
        for action in actions {
            match action {
                Action::Start { job, run } => self.starts.push((revision, job, run)),
                Action::Send(message) => self.messages.send(*message),
            }
        }
    }

    fn command(&mut self, command: Command) {
        let Command { event, job, answer } = command;
        if self.shared.with(|s| s.status(&job)).flatten().is_none() {
            // Whoever asked may have gone.
            let _ = answer.send(Err(no_such(&job)));
            return;
        }
        self.step(event);
        self.answers.push((self.revision(), answer, job));
        self.release();
    }

    fn ended(&mut self, job: String, run: u64, ended: RunEnded) {
        if ended.outcome != Outcome::Succeeded {
            tracing::warn!(job = %job, run, outcome = ended.outcome.as_str(), "a run did not succeed");
        }
        self.step(Event::Ended { job, run, ended });
    }

    /// Stores the state if it has changed and nothing is being stored.
    fn write_if_due(&mut self, now: DateTime<Utc>) {
        let revision = self.revision();
        let waits = self.retry_at.is_some_and(|at| now < at);
        if self.writing.is_some() || waits || revision <= self.stored {
            return;
        }
        self.retry_at = None;
        let Some(mut document) = self.shared.with(|s| s.document()) else {
            return;
        };
        document.writer.clone_from(&self.options.server_id);
        let store = Arc::clone(&self.ports.store);
        match store::write(store, &document, revision, self.tag.clone()) {
            Ok(writing) => self.writing = Some(writing),
            Err(error) => {
                tracing::error!(error = %error, "the state of the schedule cannot be written");
                self.retry_at = Some(after(now, self.options.retry));
            }
        }
    }

    fn written(&mut self, written: Written) -> Next {
        self.writing = None;
        match written {
            Written::Done { revision, tag } => {
                self.stored = revision;
                self.tag = Some(tag);
                if self.shared.phase() == Phase::Stuck {
                    self.shared.set_phase(Phase::Leading);
                }
                self.release();
                Next::Again
            }
            Written::Lost => Next::Lost,
            Written::Failed(error) => {
                tracing::warn!(error = %error, "the state of the schedule could not be stored");
                if self.shared.phase() == Phase::Leading {
                    self.shared.set_phase(Phase::Stuck);
                }
                let now = self.ports.clock.now();
                self.retry_at = Some(after(now, self.options.retry));
                Next::Again
            }
        }
    }

    /// Begins the runs, and gives the answers, whose state is stored.
    fn release(&mut self) {
        let stored = self.stored;
        let ready = |revision: &u64| *revision <= stored;
        let starts: Vec<_> = self.starts.extract_if(.., |(r, _, _)| ready(r)).collect();
        for (_, job, run) in starts {
            self.begin_run(job, run);
        }
        let answers: Vec<_> = self.answers.extract_if(.., |(r, _, _)| ready(r)).collect();
        for (_, answer, job) in answers {
            let status = self.shared.with(|s| s.status(&job)).flatten();
            let _ = answer.send(status.ok_or_else(|| no_such(&job)));
        }
    }

    fn begin_run(&mut self, name: String, run: u64) {
        let Some(job) = self.jobs.get(&name).map(Arc::clone) else {
            return;
        };
        tracing::info!(job = %name, run, "a run begins");
        let runner = Arc::clone(&self.ports.runner);
        let cancel = self.cancel.child_token();
        self.runs.spawn(async move {
            let token = cancel.clone();
            // A task of its own, so that a panic of the engine ends one run and not the server.
            let task = tokio::spawn(async move { runner.run(&job, run, token).await });
            let _abort = AbortOnDrop(task.abort_handle());
            let ended = match task.await {
                Ok(ended) if ended.outcome != Outcome::Succeeded && cancel.is_cancelled() => {
                    RunEnded {
                        outcome: Outcome::Interrupted,
                        ..ended
                    }
                }
                Ok(ended) => ended,
                Err(_) => {
                    RunEnded::bare(Outcome::Failed, Some("the run broke off without a result"))
                }
            };
            (name, run, ended)
        });
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn interrupted() -> RunEnded {
    RunEnded::bare(
        Outcome::Interrupted,
        Some("the server ended before the run began"),
    )
}

/// The end of what is being stored; never, if nothing is.
async fn next_of(writing: &mut Option<Writing>) -> Written {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}
