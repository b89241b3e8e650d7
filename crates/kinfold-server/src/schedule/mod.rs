//! The schedule as a state machine: no clock, no task, no socket.
//!
//! Every due time of every job ends in exactly one [`Record`]: it **ran**; it was **coalesced** into the run of an
//! earlier one; it was **skipped** because a run was under way; the job was **paused**; or it was **missed** because
//! no server ran. [`Totals`] counts them, and `due = settled + in flight` holds after every step.
//!
//! What happens at one instant happens in this order: earlier due times, the event, due times of that instant,
//! runs that begin. So a run that ends at noon leaves room for the one that is due at noon.

mod incident;
mod record;
mod restore;
mod slot;
mod state;
mod status;

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};

use crate::job::{Job, JobKind};

pub use incident::{Incident, IncidentEvent, Message, Receiver};
pub use record::{Cause, Fate, Nodes, Outcome, Ran, Record, Rows, RunEnded, Totals};
pub use state::{Document, DocumentError};
pub use status::{IncidentStatus, JobStatus, RunningStatus, WaitingStatus};

use slot::{Slot, shares};
use state::{Due, Running};

/// Of more undelivered messages, the oldest are dropped.
const MOST_MESSAGES: usize = 1000;

/// How a schedule is run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// So many jobs run at once.
    pub max_running: usize,
    /// So many records of a job are kept, the newest.
    pub records_per_job: usize,
    /// Who is told about incidents.
    pub receivers: Vec<Receiver>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_running: 4,
            records_per_job: 200,
            receivers: vec![],
        }
    }
}

/// What happens to a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed.
    Tick,
    /// What a job reads has this version.
    Inputs {
        /// The job.
        job: String,
        /// The version, whatever it looks like.
        version: String,
    },
    /// A run ended.
    Ended {
        /// The job.
        job: String,
        /// The run's number.
        run: u64,
        /// How.
        ended: RunEnded,
    },
    /// A person asks for a run, whether the job is paused or not.
    RunNow {
        /// The job.
        job: String,
    },
    /// A person stops the job from being started.
    Pause {
        /// The job.
        job: String,
    },
    /// A person lets it go on.
    Resume {
        /// The job.
        job: String,
    },
    /// A message arrived.
    Delivered {
        /// [`Message::id`].
        id: String,
        /// [`Message::receiver`].
        receiver: String,
    },
    /// From now on nothing is started.
    Stop,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run a job, and say so when it has ended.
    Start {
        /// The job.
        job: String,
        /// The run's number.
        run: u64,
    },
    /// Send a message, and say so when it has arrived.
    Send(Box<Message>),
}

/// The state machine.
pub struct Scheduler {
    slots: BTreeMap<String, Slot>,
    now: DateTime<Utc>,
    next_run: u64,
    outbox: VecDeque<Message>,
    limits: Limits,
    stopped: bool,
    revision: u64,
}

impl Scheduler {
    /// Takes the schedule of `jobs` up where `document` left it, at `now`. Jobs that it does not know begin now;
    /// those that are gone are forgotten. The actions begin what is due and send what was never delivered.
    #[must_use]
    pub fn restore(
        document: Document,
        jobs: Vec<Job>,
        limits: Limits,
        now: DateTime<Utc>,
    ) -> (Self, Vec<Action>) {
        let mut stored = document.jobs;
        let mut next_run = document.next_run;
        let slots = jobs
            .into_iter()
            .map(|job| {
                let state = stored.remove(&job.name);
                let name = job.name.clone();
                let keep = limits.records_per_job;
                (name, restore::slot(job, state, now, &mut next_run, keep))
            })
            .collect();
        let mut scheduler = Self {
            slots,
            now,
            next_run,
            outbox: document.outbox,
            limits,
            stopped: false,
            revision: 1,
        };
        let mut actions: Vec<Action> = scheduler
            .outbox
            .iter()
            .map(|message| Action::Send(Box::new(message.clone())))
            .collect();
        actions.extend(scheduler.step(now, Event::Tick));
        (scheduler, actions)
    }

    /// What `event` at `now` leads to. A time that lies before that of the last step counts as that.
    pub fn step(&mut self, now: DateTime<Utc>, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        let mut actions = vec![];
        self.fall_due(false);
        self.apply(event, &mut actions);
        self.fall_due(true);
        self.start(&mut actions);
        actions
    }

    /// When the next step must be, if nothing happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<DateTime<Utc>> {
        let due = |slot: &Slot| slot.next_due().map(|(at, _)| at);
        self.slots.values().filter_map(due).min()
    }

    /// Grows with every change of what [`document`](Self::document) returns.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What has to be stored.
    #[must_use]
    pub fn document(&self) -> Document {
        Document {
            next_run: self.next_run,
            jobs: self
                .slots
                .iter()
                .map(|(name, slot)| (name.clone(), slot.state.clone()))
                .collect(),
            outbox: self.outbox.clone(),
            ..Document::default()
        }
    }

    /// Messages that have not arrived.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.outbox.len()
    }

    /// The jobs.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.slots.values().map(|slot| &slot.job)
    }

    /// The records of a job that are kept, the oldest first; `None` if there is no such job.
    #[must_use]
    pub fn records(&self, job: &str) -> Option<&VecDeque<Record>> {
        self.slots.get(job).map(|slot| &slot.state.records)
    }

    /// Runs under way.
    #[must_use]
    pub fn running(&self) -> usize {
        let running = |slot: &&Slot| slot.state.running.is_some();
        self.slots.values().filter(running).count()
    }

    /// Every due time up to now, in order of time and then of name.
    fn fall_due(&mut self, inclusive: bool) {
        loop {
            let next = self
                .slots
                .iter()
                .filter_map(|(name, slot)| slot.next_due().map(|(at, _)| (at, name)))
                .min()
                .map(|(_, name)| name.clone());
            let Some(slot) = next.and_then(|name| self.slots.get_mut(&name)) else {
                return;
            };
            let Some((at, cause)) = slot.take_due(self.now, inclusive) else {
                return;
            };
            let due = Due {
                at,
                cause,
                missed: false,
            };
            slot.fall_due(due, &mut self.next_run, self.limits.records_per_job);
            self.revision += 1;
        }
    }

    fn apply(&mut self, event: Event, actions: &mut Vec<Action>) {
        let now = self.now;
        let keep = self.limits.records_per_job;
        let changed = match event {
            Event::Tick => false,
            Event::Inputs { job, version } => self
                .slots
                .get_mut(&job)
                .is_some_and(|slot| slot.inputs(now, &version)),
            Event::RunNow { job } => self.due_now(&job, Cause::ByHand),
            Event::Pause { job } => self
                .slots
                .get_mut(&job)
                .is_some_and(|slot| slot.pause(now, keep)),
            Event::Resume { job } => self
                .slots
                .get_mut(&job)
                .is_some_and(|slot| slot.state.paused.take().is_some()),
            Event::Delivered { id, receiver } => {
                let before = self.outbox.len();
                self.outbox
                    .retain(|message| message.id != id || message.receiver != receiver);
                self.outbox.len() != before
            }
            Event::Stop => {
                self.stopped = true;
                false
            }
            Event::Ended { job, run, ended } => self.ended(&job, run, ended, actions),
        };
        self.revision += u64::from(changed);
    }

    fn due_now(&mut self, job: &str, cause: Cause) -> bool {
        let Some(slot) = self.slots.get_mut(job) else {
            return false;
        };
        let due = Due {
            at: self.now,
            cause,
            missed: false,
        };
        slot.fall_due(due, &mut self.next_run, self.limits.records_per_job);
        true
    }

    fn ended(&mut self, name: &str, run: u64, result: RunEnded, actions: &mut Vec<Action>) -> bool {
        let keep = self.limits.records_per_job;
        let Some(slot) = self.slots.get_mut(name) else {
            return false;
        };
        let state = &mut slot.state;
        let Some(running) = state.running.take_if(|running| running.run == run) else {
            return false;
        };
        let outcome = result.outcome;
        let ran = Ran {
            run,
            started: running.started,
            ended: self.now,
            result,
        };
        if let Some(rows) = &ran.result.rows {
            state.rows.add(rows);
        }
        state.interrupted = outcome == Outcome::Interrupted;
        state.last_run = Some(ran.clone());
        state.settle(&running.due, Fate::Ran(ran.clone()), keep);
        let messages = incident::after_run(&slot.job, state, &ran, &self.limits.receivers);
        for message in messages {
            self.outbox.push_back(message.clone());
            if self.outbox.len() > MOST_MESSAGES {
                self.outbox.pop_front();
            }
            actions.push(Action::Send(Box::new(message)));
        }
        let then = match (&slot.job.kind, outcome) {
            (JobKind::Build { .. }, Outcome::Succeeded) => slot.job.then.clone(),
            _ => vec![],
        };
        for job in then {
            self.due_now(&job, Cause::AfterBuild);
        }
        true
    }

    /// Begins what waits, the longest waiting first. One that has to wait for a resource keeps none behind it.
    fn start(&mut self, actions: &mut Vec<Action>) {
        if self.stopped {
            return;
        }
        let mut order: Vec<(DateTime<Utc>, u64, String)> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.state.running.is_none())
            .filter_map(|(name, slot)| {
                let waiting = slot.state.waiting.as_ref()?;
                Some((waiting.since, waiting.run, name.clone()))
            })
            .collect();
        order.sort();
        for (_, _, name) in order {
            if self.running() >= self.limits.max_running.max(1) {
                return;
            }
            if self.begin(&name, actions).is_some() {
                self.revision += 1;
            }
        }
    }

    fn begin(&mut self, name: &str, actions: &mut Vec<Action>) -> Option<()> {
        let wanted = &self.slots.get(name)?.job.resources;
        let taken = self
            .slots
            .values()
            .any(|other| other.state.running.is_some() && !other.job.resources.is_disjoint(wanted));
        if taken {
            return None;
        }
        let keep = self.limits.records_per_job;
        let state = &mut self.slots.get_mut(name)?.state;
        let waiting = state.waiting.take()?;
        let run = waiting.run;
        let mut dues = waiting.dues.into_iter();
        let due = dues.next()?;
        for other in dues {
            state.settle(&other, shares(&other, run), keep);
        }
        state.interrupted = false;
        state.running = Some(Running {
            run,
            started: self.now,
            due,
        });
        actions.push(Action::Start {
            job: name.to_owned(),
            run,
        });
        Some(())
    }
}
