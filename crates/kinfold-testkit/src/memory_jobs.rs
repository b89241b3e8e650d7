//! A destination in memory that accepts batches as jobs and ends them late, in any order, or never.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kinfold_sync::{
    Batch, Capabilities, Destination, DestinationError, FailureClass, JobEnd, JobHandle, JobState,
    RetryAfter, SendResult,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::memory::pass;
use crate::{MemoryBehaviour, MemoryDestination, MemoryLog, MemoryState};

/// How a [`MemoryJobDestination`] treats jobs. Shares are from 0 to 1.
#[derive(Clone, Debug)]
pub struct JobBehaviour {
    /// Seed of everything that is drawn here.
    pub seed: u64,
    /// Share of the batches that become jobs; the others are answered at once.
    pub share: f64,
    /// Most jobs without an end.
    pub max_jobs: usize,
    /// A job is pending for up to so many questions.
    pub most_questions: u32,
    /// Share of the jobs that are forgotten, half of them after they were applied.
    pub lost: f64,
    /// Share of the jobs that apply every second row and leave the others for later.
    pub half: f64,
    /// Share of the jobs with several rows that are refused as a whole.
    pub refused: f64,
    /// Share of the questions that get no usable answer.
    pub no_answer: f64,
    /// Share of the questions that are answered by a rate limit.
    pub rate_limited: f64,
}

impl Default for JobBehaviour {
    fn default() -> Self {
        Self {
            seed: 0,
            share: 1.0,
            max_jobs: 4,
            most_questions: 4,
            lost: 0.0,
            half: 0.0,
            refused: 0.0,
            no_answer: 0.0,
            rate_limited: 0.0,
        }
    }
}

#[derive(Clone, Copy)]
enum Fate {
    Applied,
    Half,
    Refused,
    LostAfter,
    LostBefore,
}

struct Job {
    batch: Batch,
    questions_left: u32,
    fate: Fate,
    end: Option<JobEnd>,
}

struct Jobs {
    rng: ChaCha8Rng,
    next: u64,
    known: BTreeMap<String, Job>,
    most: usize,
}

/// A [`MemoryDestination`] with jobs. It knows the log of its sender, and writes down when a row of a recorded
/// job comes again or when a job is asked about that is not recorded.
pub struct MemoryJobDestination {
    rows: MemoryDestination,
    behaviour: JobBehaviour,
    log: MemoryLog,
    jobs: Mutex<Jobs>,
}

impl MemoryJobDestination {
    /// A destination without rows and jobs, whose sender records in `log`.
    #[must_use]
    pub fn new(rows: MemoryBehaviour, behaviour: JobBehaviour, log: &MemoryLog) -> Self {
        Self {
            rows: MemoryDestination::new(rows),
            jobs: Mutex::new(Jobs {
                rng: ChaCha8Rng::seed_from_u64(behaviour.seed),
                next: 0,
                known: BTreeMap::new(),
                most: 0,
            }),
            behaviour,
            log: log.clone(),
        }
    }

    /// What it has seen so far.
    #[must_use]
    pub fn state(&self) -> MemoryState {
        self.rows.state()
    }

    /// Most jobs without an end at a time.
    #[must_use]
    pub fn most_jobs(&self) -> usize {
        self.jobs().most
    }

    /// Forgets requests in flight: their sender has crashed. Jobs that it has not recorded end by themselves.
    #[must_use]
    pub fn restarted(mut self, rows: MemoryBehaviour) -> Self {
        let recorded: Vec<JobHandle> = self.log.jobs().into_iter().map(|job| job.handle).collect();
        let mut jobs = std::mem::take(&mut self.jobs().known);
        self.rows = self.rows.restarted(rows);
        jobs.retain(|name, job| {
            let is_known = recorded.iter().any(|handle| handle.as_str() == name);
            if job.end.is_none() && is_known {
                self.rows.hold(&job.batch);
            } else if job.end.is_none() && self.jobs().rng.random_bool(0.5) {
                self.rows.apply(&job.batch, |_| true);
            }
            is_known
        });
        self.jobs().known = jobs;
        self
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn violation(&self, text: String) {
        self.rows.lock().violations.push(text);
    }

    fn accept(&self, batch: &Batch) -> SendResult {
        let mut jobs = self.jobs();
        let fate = if jobs.rng.random_bool(self.behaviour.lost) {
            if jobs.rng.random_bool(0.5) {
                Fate::LostAfter
            } else {
                Fate::LostBefore
            }
        } else if batch.changes.len() > 1 && jobs.rng.random_bool(self.behaviour.refused) {
            Fate::Refused
        } else if jobs.rng.random_bool(self.behaviour.half) {
            Fate::Half
        } else {
            Fate::Applied
        };
        let name = format!("job-{}", jobs.next);
        jobs.next += 1;
        let job = Job {
            batch: batch.clone(),
            questions_left: jobs.rng.random_range(0..=self.behaviour.most_questions),
            fate,
            end: None,
        };
        jobs.known.insert(name.clone(), job);
        let open = jobs.known.values().filter(|job| job.end.is_none()).count();
        jobs.most = jobs.most.max(open);
        let after = jobs.rng.random_bool(0.5);
        drop(jobs);
        match JobHandle::new(name) {
            Some(job) => SendResult::Accepted {
                job,
                after: after.then_some(RetryAfter::Delay(Duration::from_secs(3))),
            },
            None => SendResult::Fatal {
                class: FailureClass::Misconfigured,
                message: "no handle".to_owned(),
            },
        }
    }

    fn tell(&self, name: &str) -> JobState {
        let mut jobs = self.jobs();
        if jobs.rng.random_bool(self.behaviour.rate_limited) {
            return JobState::RateLimited { retry_after: None };
        }
        if jobs.rng.random_bool(self.behaviour.no_answer) {
            return JobState::NoAnswer {
                class: FailureClass::ConnectionLost,
                message: "no answer".to_owned(),
            };
        }
        let after = jobs.rng.random_bool(0.3);
        let Some(job) = jobs.known.get_mut(name) else {
            return JobState::Lost;
        };
        if let Some(end) = &job.end {
            return JobState::Ended(end.clone());
        }
        if let Some(left) = job.questions_left.checked_sub(1) {
            job.questions_left = left;
            return JobState::Pending {
                after: after.then_some(RetryAfter::Delay(Duration::from_secs(7))),
            };
        }
        let outcomes = match job.fate {
            Fate::Applied | Fate::LostAfter => self.rows.apply(&job.batch, |_| true),
            Fate::Half => self.rows.apply(&job.batch, |index| index % 2 == 0),
            Fate::Refused | Fate::LostBefore => Vec::new(),
        };
        self.rows.release(&job.batch);
        match job.fate {
            Fate::LostAfter | Fate::LostBefore => {
                jobs.known.remove(name);
                JobState::Lost
            }
            Fate::Refused => {
                let end = JobEnd::Rejected {
                    class: FailureClass::InvalidRow,
                    message: "some row is refused".to_owned(),
                };
                JobState::Ended(job.end.insert(end).clone())
            }
            Fate::Applied | Fate::Half => {
                JobState::Ended(job.end.insert(JobEnd::Rows(outcomes)).clone())
            }
        }
    }
}

#[async_trait]
impl Destination for MemoryJobDestination {
    fn capabilities(&self) -> Capabilities {
        self.rows.capabilities()
    }

    fn max_jobs(&self) -> usize {
        self.behaviour.max_jobs
    }

    async fn check(&self) -> Result<(), DestinationError> {
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let in_job = |seq: &u64| self.log.jobs().iter().any(|job| job.seqs.contains(seq));
        if let Some(change) = batch.changes.iter().find(|change| in_job(&change.seq)) {
            self.violation(format!("row {} of a job is sent again", change.seq));
        }
        if !self.jobs().rng.random_bool(self.behaviour.share) {
            return self.rows.send(batch).await;
        }
        self.rows.arrive(batch);
        let turns = self.jobs().rng.random_range(0..8);
        pass(turns).await;
        let result = self.accept(batch);
        pass(turns).await;
        self.rows.answer();
        result
    }

    async fn poll(&self, job: &JobHandle, _batch: &Batch) -> JobState {
        if !self.log.jobs().iter().any(|known| known.handle == *job) {
            self.violation(format!("{} is asked about and not recorded", job.as_str()));
        }
        self.rows.ask();
        let turns = self.jobs().rng.random_range(0..8);
        pass(turns).await;
        let state = self.tell(job.as_str());
        pass(turns).await;
        self.rows.answer();
        state
    }

    async fn finish(&self) -> Result<(), DestinationError> {
        self.rows.finish().await
    }
}
