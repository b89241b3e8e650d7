//! The loop that keeps the slots full and the log ahead of them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use kinfold_project::SyncMode;

use crate::attempt::Sender;
use crate::batch::{Batcher, KeySet, key_hash};
use crate::flight::{Event, Flight};
use crate::gather::Gathering;
use crate::health::Health;
use crate::watch::Watched;
use crate::work::{Job, Sent, Work};
use crate::{
    AckError, AckLog, Acknowledgement, Batch, BatchId, BatchOperation, Budget, CancelToken,
    Capabilities, ChangeSource, Clock, DeliveryPolicy, DeliveryReport, Destination, JobRecord, Run,
    StoppedEarly,
};

/// Batches that may wait for the log while others are sent, if the destination takes them twice.
const MOST_UNRECORDED: usize = 16;

/// Delivers the changes of `source` to `destination` and records every outcome in `log`.
///
/// It never fails: whatever happens is in the report, and the counters add up. It sends nothing if the
/// destination does not support the run's mode. Batches of different operations are never in flight
/// together, so removals are over before anything is added. Dropping the future at any point is a crash:
/// rows whose batch was not recorded are sent again when the caller resumes with the rest of the plan
/// under the same [`Run::run_id`].
///
/// How many requests are in flight is found out while sending, within the limits of policy and destination.
/// `budget` is that of the account, shared by all deliveries to it; waiting for it uses up no attempts.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another port or limit, and all are needed"
)]
pub async fn deliver(
    run: &Arc<Run>,
    source: &mut dyn ChangeSource,
    destination: &dyn Destination,
    log: &mut dyn AckLog,
    policy: &DeliveryPolicy,
    clock: &dyn Clock,
    budget: &Budget,
    cancel: &CancelToken,
) -> DeliveryReport {
    let capabilities = destination.capabilities();
    let health = Health::new(clock, budget, policy, capabilities.max_in_flight, cancel);
    let mut delivery = Delivery {
        batcher: Batcher::new(
            Arc::clone(run),
            |operation| {
                let own = capabilities.max_rows.min(destination.max_rows(operation));
                policy.max_rows.min(own).min(budget.max_rows())
            },
            policy.max_bytes.min(capabilities.max_bytes),
        ),
        capabilities,
        max_jobs: destination.max_jobs(),
        resumed: Vec::new(),
        waiting: None,
        again: VecDeque::new(),
        keys_in_flight: KeySet::default(),
        operation_in_flight: None,
        left_jobs: 0,
        unrecorded: 0,
        ended: false,
        report: DeliveryReport::default(),
    };
    let sender = Sender {
        destination,
        policy,
        clock,
        health: &health,
    };
    delivery.resume(run, source, &health).await;
    if !delivery.capabilities.modes.contains(&run.mode) {
        health.stop(StoppedEarly::Unsupported {
            what: mode_word(run.mode),
        });
    } else if delivery.max_jobs > 0 && !log.keeps_jobs() {
        health.stop(StoppedEarly::Unsupported { what: "jobs" });
    } else {
        delivery.run(source, log, &sender).await;
        if let Err(error) = destination.finish().await {
            health.stop(StoppedEarly::Finish(error));
        }
    }
    delivery.close(source, &health, cancel).await
}

pub(crate) fn mode_word(mode: SyncMode) -> &'static str {
    match mode {
        SyncMode::Insert => "insert",
        SyncMode::Update => "update",
        SyncMode::Upsert => "upsert",
        SyncMode::Mirror => "mirror",
        SyncMode::Append => "append",
    }
}

struct Delivery {
    batcher: Batcher,
    capabilities: Capabilities,
    /// Most jobs without an end, batches in flight included; 0 if there are none.
    max_jobs: usize,
    /// Jobs of earlier deliveries that nobody has asked about yet.
    resumed: Vec<Job>,
    /// The next batch, when it has to wait for those in flight.
    waiting: Option<Batch>,
    /// Rows to be sent, whose batch was sent before: what a job has left over.
    again: VecDeque<Work>,
    /// Keys of rows that are in flight, or in a job, or to be sent again.
    keys_in_flight: KeySet,
    operation_in_flight: Option<BatchOperation>,
    /// Jobs that this delivery does not wait for any more.
    left_jobs: usize,
    /// Batches that are being recorded.
    unrecorded: usize,
    ended: bool,
    report: DeliveryReport,
}

impl Delivery {
    /// Takes over the jobs of earlier deliveries.
    async fn resume(&mut self, run: &Arc<Run>, source: &mut dyn ChangeSource, health: &Health<'_>) {
        let jobs = source.outstanding().await.unwrap_or_else(|error| {
            health.stop(StoppedEarly::Source(error));
            Vec::new()
        });
        for job in jobs {
            let rows = job.changes.len() as u64;
            self.report.counters.planned += rows;
            match Job::resumed(run, job) {
                Ok(job) => {
                    self.keys_in_flight.extend(job.batch.key_hashes());
                    self.operation_in_flight = Some(job.batch.operation);
                    self.resumed.push(job);
                }
                Err(reason) => {
                    health.stop(reason);
                    self.report.counters.outstanding += rows;
                }
            }
        }
    }

    async fn run(
        &mut self,
        source: &mut dyn ChangeSource,
        log: &mut dyn AckLog,
        sender: &Sender<'_>,
    ) {
        let mut flight = Flight::new();
        let mut log_failed = false;
        let mut gathering = Gathering::new(log.patience());
        // None while something is being recorded.
        let mut free_log = Some(log);
        let mut recording: Option<BoxFuture<'_, Recorded<'_>>> = None;
        for job in self.resumed.drain(..) {
            flight.watching.push(sender.watch(job));
        }
        loop {
            loop {
                let room = sender.health.halted() || self.has_room(&flight, sender.health);
                let mut next = room.then(|| self.again.pop_front()).flatten();
                if next.is_none() && room {
                    let read = flight.during(self.next_batch(source, sender.health)).await;
                    next = read.map(|batch| {
                        self.operation_in_flight = Some(batch.operation);
                        self.keys_in_flight.extend(batch.key_hashes());
                        self.report.batches += 1;
                        sender.begin(batch)
                    });
                }
                let Some(work) = next else { break };
                flight.sending.push(sender.send(work));
            }
            let before = flight.arrived.len();
            while let Some(Some(event)) = flight.next().now_or_never() {
                flight.arrived.push(event);
            }
            let arrived = flight.arrived.len();
            let mut wait = None;
            if arrived > 0 && free_log.is_some() && self.may_gather() {
                // Slots that have just become free are filled first.
                let more = flight.sending.len() + (arrived - before);
                wait = gathering.wait(arrived, more, sender.clock.elapsed());
                if wait.is_some() && arrived > before {
                    continue;
                }
            }
            if wait.is_none()
                && !flight.arrived.is_empty()
                && let Some(log) = free_log.take()
            {
                gathering.recorded();
                let news = self.sort(std::mem::take(&mut flight.arrived), log_failed);
                self.unrecorded = news.acknowledgements.len() + news.jobs.len();
                let now = sender.clock.wall();
                recording = Some(record(log, news, log_failed, now).boxed());
            }
            let on_its_way = !(flight.sending.is_empty() && flight.watching.is_empty());
            let recorded = match &mut recording {
                Some(under_way) => tokio::select! {
                    biased;
                    recorded = under_way => Some(recorded),
                    Some(event) = flight.next(), if on_its_way => {
                        flight.arrived.push(event);
                        None
                    }
                },
                None => match flight.next_within(wait, sender.clock).await {
                    Some(None) => continue,
                    Some(Some(event)) => {
                        flight.arrived.push(event);
                        None
                    }
                    None if self.again.is_empty() => break,
                    // They wait for jobs that this delivery does not wait for.
                    None => {
                        sender.health.stop(self.jobs_outstanding());
                        None
                    }
                },
            };
            let Some(Recorded { log, news, failed }) = recorded else {
                continue;
            };
            recording = None;
            free_log = Some(log);
            self.unrecorded = 0;
            log_failed |= failed.is_some();
            if let Some(error) = failed {
                sender.health.stop(StoppedEarly::Log(error));
            }
            for job in self.recorded(news, log_failed) {
                flight.watching.push(sender.watch(job));
            }
            if flight.is_empty() && self.again.is_empty() && self.left_jobs == 0 {
                self.operation_in_flight = None;
            }
        }
    }

    /// Whether one more batch may be in flight.
    fn has_room<S, W>(&self, flight: &Flight<S, W>, health: &Health<'_>) -> bool {
        let sending = flight.sending.len();
        let unrecorded = flight.arrived.len() + self.unrecorded;
        let jobs = sending + unrecorded + flight.watching.len() + self.left_jobs;
        if self.max_jobs > 0 && jobs >= self.max_jobs {
            return false;
        }
        if self.is_repeatable() {
            sending < health.limit() && unrecorded < MOST_UNRECORDED.max(health.limit())
        } else {
            sending + unrecorded < health.limit()
        }
    }

    /// Whether what is in flight may be sent again. What is not recorded is, after a crash; where that is harmless,
    /// the destination need not wait for the log.
    fn is_repeatable(&self) -> bool {
        self.operation_in_flight
            .is_none_or(|operation| self.capabilities.is_idempotent(operation))
    }

    /// Whether outcomes may wait to be recorded.
    fn may_gather(&self) -> bool {
        self.max_jobs == 0 && self.is_repeatable()
    }

    /// What is to be recorded of these events. Jobs that are given up need no record.
    fn sort(&mut self, events: Vec<Event>, log_failed: bool) -> News {
        let mut news = News::default();
        for event in events {
            match event {
                Event::Sent(Sent::Settled(acknowledgement)) => {
                    news.acknowledgements.push(acknowledgement);
                }
                Event::Sent(Sent::Accepted { job, settled, rest }) => {
                    news.jobs.push(job);
                    news.acknowledgements.extend(settled);
                    self.again.extend(rest);
                }
                // Its handle is durable and its end cannot be.
                Event::Watched(Watched::Ended(ended)) if log_failed => {
                    self.leave(ended.acknowledgement.outcomes.len() as u64);
                }
                Event::Watched(Watched::Ended(ended)) => {
                    news.ended.push(ended.acknowledgement.batch.id);
                    news.acknowledgements.push(ended.acknowledgement);
                    news.again.extend(ended.again);
                }
                Event::Watched(Watched::Outstanding(job)) => self.leave(job.rows()),
            }
        }
        news
    }

    /// A job is not waited for any more. Its keys stay taken.
    fn leave(&mut self, rows: u64) {
        self.left_jobs += 1;
        self.report.counters.outstanding += rows;
    }

    fn jobs_outstanding(&self) -> StoppedEarly {
        StoppedEarly::JobsOutstanding {
            jobs: self.left_jobs as u64,
            rows: self.report.counters.outstanding,
        }
    }

    /// The next batch that may be sent now, or `None` if there is none, or none yet.
    async fn next_batch(
        &mut self,
        source: &mut dyn ChangeSource,
        health: &Health<'_>,
    ) -> Option<Batch> {
        if self.ended || health.halted() {
            return None;
        }
        if self.waiting.is_none() {
            match self.batcher.next(source).await {
                Ok(Some(batch)) => self.waiting = Some(batch),
                Ok(None) => self.ended = true,
                Err(reason) => health.stop(reason),
            }
        }
        let batch = self.waiting.take_if(|batch| {
            self.operation_in_flight
                .is_none_or(|operation| operation == batch.operation)
                && !batch
                    .key_hashes()
                    .any(|key| self.keys_in_flight.contains(&key))
        })?;
        if self.capabilities.operations.contains(&batch.operation) && !health.halted() {
            return Some(batch);
        }
        if !health.halted() {
            health.stop(StoppedEarly::Unsupported {
                what: batch.operation.as_str(),
            });
        }
        self.waiting = Some(batch);
        None
    }

    /// What follows from what was recorded, or could not be: jobs to be asked about.
    fn recorded(&mut self, mut news: News, log_failed: bool) -> Vec<Job> {
        let mut watched = vec![];
        for job in news.jobs.drain(..) {
            self.report.jobs += 1;
            if log_failed && !news.jobs_recorded {
                // Nobody will ask about it.
                self.report.counters.unknown += job.rows();
            } else {
                watched.push(job);
            }
        }
        self.release(news, log_failed);
        watched
    }

    /// Counts recorded batches and frees their slots. Rows that are sent again are counted later.
    fn release(&mut self, news: News, log_failed: bool) {
        let again = news.again.iter().flat_map(Work::rows);
        let again: HashSet<u64> = again.map(|change| change.seq).collect();
        for acknowledgement in &news.acknowledgements {
            if log_failed && news.ended.contains(&acknowledgement.batch.id) {
                self.leave(acknowledgement.outcomes.len() as u64);
                continue;
            }
            for (change, (seq, outcome)) in acknowledgement
                .batch
                .changes
                .iter()
                .zip(&acknowledgement.outcomes)
            {
                if again.contains(seq) {
                    continue;
                }
                if log_failed {
                    self.report.counters.count_unrecorded(outcome);
                } else {
                    self.report.counters.count(outcome);
                }
                self.keys_in_flight.remove(&key_hash(change));
            }
        }
        if !log_failed {
            self.again.extend(news.again);
        }
    }

    /// Counts what was not sent, and says why.
    async fn close(
        mut self,
        source: &mut dyn ChangeSource,
        health: &Health<'_>,
        cancel: &CancelToken,
    ) -> DeliveryReport {
        for job in std::mem::take(&mut self.resumed) {
            self.leave(job.rows());
        }
        let waiting = self
            .waiting
            .as_ref()
            .map_or(0, |batch| batch.changes.len() as u64);
        let mut unread = 0;
        if !self.batcher.ended() {
            match source.remaining().await {
                Ok(count) => unread = count,
                Err(error) => health.stop(StoppedEarly::Source(error)),
            }
        }
        let counters = &mut self.report.counters;
        let not_sent = waiting + self.batcher.buffered() + unread;
        // Those of earlier jobs are in it already.
        counters.planned += self.batcher.read() + unread;
        counters.not_sent = not_sent;
        counters.retryable += not_sent;
        self.report.requests = health.requests.load(Ordering::Relaxed);
        self.report.polls = health.polls.load(Ordering::Relaxed);
        self.report.rate_limited = health.rate_limited.load(Ordering::Relaxed);
        self.report.max_in_flight = health.most_in_flight();
        self.report.limit = health.limit();
        // A cancel that came when all was done changed nothing.
        let open = counters.retryable + counters.outstanding;
        let cut_short = cancel.is_cancelled() && open > 0;
        let outstanding = counters.outstanding > 0;
        self.report.stopped_early = health
            .take_reason()
            .or_else(|| cut_short.then_some(StoppedEarly::Cancelled))
            .or_else(|| outstanding.then(|| self.jobs_outstanding()));
        self.report
    }
}

/// What is to be recorded, and what follows from it.
#[derive(Default)]
struct News {
    jobs: Vec<Job>,
    /// Whether the handles of these are durable.
    jobs_recorded: bool,
    acknowledgements: Vec<Acknowledgement>,
    /// Batches of the acknowledgements that end jobs.
    ended: Vec<BatchId>,
    /// Rows of ended jobs that are sent again.
    again: Vec<Work>,
}

/// What became of a record.
struct Recorded<'l> {
    log: &'l mut dyn AckLog,
    news: News,
    failed: Option<AckError>,
}

/// Records news, handles of jobs first. Once the log has failed, nothing more is recorded.
async fn record<'l>(
    log: &'l mut dyn AckLog,
    mut news: News,
    log_failed: bool,
    now: DateTime<Utc>,
) -> Recorded<'l> {
    let mut failed = None;
    if !log_failed && !news.jobs.is_empty() {
        let record = |job: &Job| JobRecord::new(job.handle.clone(), &job.batch, now);
        let records: Vec<JobRecord> = news.jobs.iter().map(record).collect();
        failed = log.record_jobs(&records).await.err();
        news.jobs_recorded = failed.is_none();
    }
    if !log_failed && failed.is_none() && !news.acknowledgements.is_empty() {
        failed = log.record(&news.acknowledgements).await.err();
    }
    Recorded { log, news, failed }
}
