//! The acknowledgement log: one immutable object for each call of `record`.
//!
//! Objects are named by fencing token and number, so a process that has lost its lease cannot overwrite
//! what its successor records, and the newest record of a row is the one that counts. A row is known by
//! its position in the plan; confirmed rows are ranges of positions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use kinfold_lake::Lake;
use kinfold_sync::{
    AckError, AckLog, Acknowledgement, BatchId, BatchOperation, Change, JobHandle, JobRecord,
    Outcome, OutstandingJob,
};
use serde::{Deserialize, Serialize};

use super::ActivateError;
use super::plan::Plan;
use super::progress::Progress;
use super::state::Place;
use crate::EngineError;

/// How long outcomes wait for others where that does no harm: a record is a file that has to reach the disk.
const PATIENCE: Duration = Duration::from_millis(40);

/// Different messages that are kept of one delivery; later ones are left out.
const MOST_MESSAGES: usize = 10_000;

/// What one call of `record` wrote.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// First and last position of rows that the destination confirmed.
    delivered: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
    /// Batches that the destination works on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    jobs: Vec<Job>,
}

/// A batch that the destination has accepted and said nothing more about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    /// Its name at the destination.
    handle: String,
    batch: String,
    operation: String,
    /// First and last position of its rows, in the order of the batch.
    rows: Vec<(u64, u64)>,
    accepted_at: DateTime<Utc>,
}

impl Job {
    fn of(job: &JobRecord) -> Self {
        let mut rows: Vec<(u64, u64)> = vec![];
        for seq in &job.seqs {
            match rows.last_mut() {
                Some((_, last)) if *last + 1 == *seq => *last = *seq,
                _ => rows.push((*seq, *seq)),
            }
        }
        Self {
            handle: job.handle.as_str().to_owned(),
            batch: job.batch.to_string(),
            operation: job.operation.as_str().to_owned(),
            rows,
            accepted_at: job.accepted_at,
        }
    }

    /// Positions of its rows, in the order of the batch.
    pub(super) fn seqs(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// The job with the changes of its rows; none if what is stored is no job.
    pub(super) fn outstanding(&self, changes: Vec<Change>) -> Option<OutstandingJob> {
        Some(OutstandingJob {
            handle: JobHandle::new(self.handle.as_str())?,
            batch: BatchId::parse(&self.batch)?,
            operation: BatchOperation::of_word(&self.operation)?,
            changes,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Failed {
    seq: u64,
    /// `rejected`, `retryable` or `unknown`.
    outcome: String,
    class: String,
    message: String,
}

impl Record {
    fn add(&mut self, seq: u64, outcome: &Outcome) {
        match outcome.failure() {
            None => match self.delivered.last_mut() {
                Some((_, last)) if *last + 1 == seq => *last = seq,
                _ => self.delivered.push((seq, seq)),
            },
            Some((class, message)) => self.failed.push(Failed {
                seq,
                outcome: outcome.as_str().to_owned(),
                class: class.as_str().to_owned(),
                message: message.to_owned(),
            }),
        }
    }
}

/// Writes the log of one delivery.
pub(super) struct LakeAckLog {
    lake: Lake,
    /// Names of objects are this and a number.
    prefix: String,
    next: u64,
    /// Who wants to know what is confirmed.
    progress: Option<Arc<Progress>>,
}

impl LakeAckLog {
    /// A log that goes on after the objects that were recorded before; `token` is that of the lease.
    pub(super) fn new(
        lake: &Lake,
        place: &Place,
        plan: &Plan,
        token: u64,
        recorded: &Outcomes,
    ) -> Self {
        let prefix = format!("{}/ack-{token:020}-", place.run(&plan.delivery));
        Self {
            lake: lake.clone(),
            prefix,
            next: recorded.objects,
            progress: None,
        }
    }

    /// The same log, which says to `progress` what is confirmed as soon as that is durable.
    pub(super) fn telling(self, progress: &Arc<Progress>) -> Self {
        Self {
            progress: Some(Arc::clone(progress)),
            ..self
        }
    }
}

#[async_trait]
impl AckLog for LakeAckLog {
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError> {
        let mut record = Record::default();
        for (seq, outcome) in acknowledgements.iter().flat_map(|a| &a.outcomes) {
            record.add(*seq, outcome);
        }
        self.write(&record).await?;
        if let Some(progress) = &self.progress {
            progress.confirm(&record.delivered);
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn keeps_jobs(&self) -> bool {
        true
    }

    async fn record_jobs(&mut self, jobs: &[JobRecord]) -> Result<(), AckError> {
        let record = Record {
            jobs: jobs.iter().map(Job::of).collect(),
            ..Record::default()
        };
        self.write(&record).await
    }
}

impl LakeAckLog {
    async fn write(&mut self, record: &Record) -> Result<(), AckError> {
        let name = format!("{}{:012}.json", self.prefix, self.next);
        let json = serde_json::to_vec(record).map_err(AckError::new)?;
        self.lake
            .put_new(&name, Bytes::from(json))
            .await
            .map_err(AckError::new)?;
        self.next += 1;
        Ok(())
    }
}

/// A set of positions of a plan: one bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions {
    words: Vec<u64>,
    count: u64,
}

impl Positions {
    /// Adds a position; whether it was new.
    pub(super) fn insert(&mut self, seq: u64) -> bool {
        let word = usize::try_from(seq / 64).unwrap_or(usize::MAX);
        if self.words.len() <= word {
            self.words.resize(word.saturating_add(1), 0);
        }
        let bit = 1 << (seq % 64);
        match self.words.get_mut(word) {
            Some(bits) => {
                let new = *bits & bit == 0;
                *bits |= bit;
                self.count += u64::from(new);
                new
            }
            None => false,
        }
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        usize::try_from(seq / 64)
            .ok()
            .and_then(|word| self.words.get(word))
            .is_some_and(|bits| bits & (1 << (seq % 64)) != 0)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

/// Why a row was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `rejected`, `retryable` or `unknown`.
    pub(super) outcome: &'static str,
    pub(super) class: Arc<str>,
    pub(super) message: Option<Arc<str>>,
}

/// What a log holds.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Objects of the log.
    pub(super) objects: u64,
    /// Rows with an outcome.
    pub(super) recorded: Positions,
    failed: HashMap<u64, Failure>,
    /// Batches that the destination works on, and their rows: they have no outcome yet.
    pub(super) jobs: Vec<Job>,
    pub(super) in_jobs: Positions,
    pub(super) rejected: u64,
    pub(super) retryable: u64,
    pub(super) unknown: u64,
}

impl Outcomes {
    /// Reads the log of a delivery, the newest record of each row only.
    pub(super) async fn read(lake: &Lake, place: &Place, plan: &Plan) -> Result<Self, EngineError> {
        let folder = place.run(&plan.delivery);
        let prefix = format!("{folder}/ack-");
        let mut names: Vec<String> = lake
            .list(&folder)
            .await?
            .into_iter()
            .map(|o| o.name)
            .collect();
        names.retain(|name| name.starts_with(&prefix));
        names.sort();
        let mut outcomes = Self {
            objects: names.len() as u64,
            ..Self::default()
        };
        let rows = plan.rows();
        let (mut classes, mut messages) = (Texts::default(), Texts::default());
        for name in names.into_iter().rev() {
            let stored = |reason| ActivateError::Stored {
                object: name.clone(),
                reason,
            };
            let bytes = lake
                .get(&name)
                .await?
                .ok_or_else(|| stored("it is missing"))?;
            let record: Record = serde_json::from_slice(&bytes)
                .map_err(|_| stored("it does not hold acknowledgements"))?;
            let in_plan = record
                .delivered
                .iter()
                .all(|(first, last)| first <= last && *last < rows)
                && record.failed.iter().all(|failed| failed.seq < rows)
                && record.jobs.iter().all(|job| {
                    let ranges = job.rows.iter();
                    !job.rows.is_empty()
                        && ranges
                            .clone()
                            .all(|(first, last)| first <= last && *last < rows)
                });
            if !in_plan {
                return Err(stored("it is not of this plan").into());
            }
            for seq in record
                .delivered
                .iter()
                .flat_map(|(first, last)| *first..=*last)
            {
                // A job that is newer than an outcome takes its place.
                if !outcomes.in_jobs.contains(seq) {
                    outcomes.recorded.insert(seq);
                }
            }
            for job in record.jobs {
                outcomes.job(job);
            }
            for failed in record.failed {
                if outcomes.in_jobs.contains(failed.seq) {
                    continue;
                }
                let known = outcomes.fail(failed, &mut classes, &mut messages);
                known.ok_or_else(|| stored("an outcome is not known"))?;
            }
        }
        Ok(outcomes)
    }

    /// A job, unless something newer is known of its rows. They are all together in what is newer.
    fn job(&mut self, job: Job) {
        let newer = job
            .seqs()
            .any(|seq| self.recorded.contains(seq) || self.in_jobs.contains(seq));
        if !newer {
            for seq in job.seqs() {
                self.in_jobs.insert(seq);
            }
            self.jobs.push(job);
        }
    }

    fn fail(&mut self, failed: Failed, classes: &mut Texts, messages: &mut Texts) -> Option<()> {
        let (count, outcome) = match failed.outcome.as_str() {
            "rejected" => (&mut self.rejected, "rejected"),
            "retryable" => (&mut self.retryable, "retryable"),
            "unknown" => (&mut self.unknown, "unknown"),
            _ => return None,
        };
        if self.recorded.insert(failed.seq) {
            *count += 1;
            let failure = Failure {
                outcome,
                class: classes.keep(failed.class)?,
                message: messages.keep(failed.message),
            };
            self.failed.insert(failed.seq, failure);
        }
        Some(())
    }

    /// Rows that were confirmed.
    pub(super) fn delivered(&self) -> u64 {
        self.recorded.count() - self.failed.len() as u64
    }

    /// Positions of rows that have an outcome and were not confirmed.
    pub(super) fn failures(&self) -> impl Iterator<Item = u64> + '_ {
        self.failed.keys().copied()
    }

    /// Why a row was not confirmed; none if it was, or has no outcome.
    pub(super) fn failure(&self, seq: u64) -> Option<&Failure> {
        self.failed.get(&seq)
    }
}

/// Texts that are kept once each.
#[derive(Default)]
struct Texts(std::collections::HashSet<Arc<str>>);

impl Texts {
    fn keep(&mut self, text: String) -> Option<Arc<str>> {
        if let Some(kept) = self.0.get(text.as_str()) {
            return Some(Arc::clone(kept));
        }
        let kept: Arc<str> = text.into();
        (self.0.len() < MOST_MESSAGES).then(|| {
            self.0.insert(Arc::clone(&kept));
            kept
        })
    }
}

#[cfg(test)]
impl Outcomes {
    /// So many rows with outcomes, one of which failed.
    pub(super) fn of_rows(rows: u64, failed: u64) -> Self {
        let mut outcomes = Self::default();
        for seq in (0..rows).filter(|seq| *seq != failed) {
            outcomes.recorded.insert(seq);
        }
        let failed = Failed {
            seq: failed,
            outcome: "rejected".to_owned(),
            class: "invalid_row".to_owned(),
            message: String::new(),
        };
        let _ = outcomes.fail(failed, &mut Texts::default(), &mut Texts::default());
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_a_set() {
        let mut set = Positions::default();
        for seq in [0, 63, 64, 1_000] {
            assert!(!set.contains(seq));
            assert!(set.insert(seq));
            assert!(!set.insert(seq));
            assert!(set.contains(seq));
        }
        assert!(!set.contains(65));
        assert_eq!(set.count(), 4);
    }

    #[test]
    fn confirmed_rows_are_ranges() {
        let mut record = Record::default();
        for seq in [1, 2, 3, 7, 8, 5] {
            record.add(seq, &Outcome::Delivered);
        }
        assert_eq!(record.delivered, [(1, 3), (7, 8), (5, 5)]);
    }
}
