//! The loop that keeps the slots full and the log ahead of them.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use kinfold_project::SyncMode;

use crate::attempt::Sender;
use crate::batch::Batcher;
use crate::health::Health;
use crate::{
    AckLog, Acknowledgement, Batch, BatchOperation, Budget, CancelToken, Capabilities,
    ChangeSource, Clock, DeliveryPolicy, DeliveryReport, Destination, Run, StoppedEarly,
};

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
            policy
                .max_rows
                .min(capabilities.max_rows)
                .min(budget.max_rows()),
            policy.max_bytes.min(capabilities.max_bytes),
        ),
        capabilities,
        waiting: None,
        keys_in_flight: HashSet::new(),
        operation_in_flight: None,
        ended: false,
        report: DeliveryReport::default(),
    };
    let sender = Sender {
        destination,
        policy,
        clock,
        health: &health,
    };
    if delivery.capabilities.modes.contains(&run.mode) {
        delivery.run(source, log, &sender).await;
        if let Err(error) = destination.finish().await {
            health.stop(StoppedEarly::Finish(error));
        }
    } else {
        health.stop(StoppedEarly::Unsupported {
            what: mode_word(run.mode),
        });
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
    /// The next batch, when it has to wait for those in flight.
    waiting: Option<Batch>,
    keys_in_flight: HashSet<u64>,
    operation_in_flight: Option<BatchOperation>,
    ended: bool,
    report: DeliveryReport,
}

impl Delivery {
    async fn run(
        &mut self,
        source: &mut dyn ChangeSource,
        log: &mut dyn AckLog,
        sender: &Sender<'_>,
    ) {
        let mut in_flight = FuturesUnordered::new();
        let mut finished: Vec<Acknowledgement> = Vec::new();
        let mut log_failed = false;
        loop {
            while in_flight.len() + finished.len() < sender.health.limit() {
                let read = while_sending(
                    self.next_batch(source, sender.health),
                    &mut in_flight,
                    &mut finished,
                )
                .await;
                let Some(batch) = read else { break };
                self.operation_in_flight = Some(batch.operation);
                self.keys_in_flight.extend(batch.key_hashes());
                self.report.batches += 1;
                in_flight.push(sender.send(batch));
            }
            if finished.is_empty() {
                match in_flight.next().await {
                    Some(acknowledgement) => finished.push(acknowledgement),
                    None => break,
                }
            }
            while let Some(Some(acknowledgement)) = in_flight.next().now_or_never() {
                finished.push(acknowledgement);
            }
            let group = std::mem::take(&mut finished);
            if !log_failed {
                let recorded =
                    while_sending(log.record(&group), &mut in_flight, &mut finished).await;
                if let Err(error) = recorded {
                    log_failed = true;
                    sender.health.stop(StoppedEarly::Log(error));
                }
            }
            self.release(&group, log_failed);
            if in_flight.is_empty() && finished.is_empty() {
                self.operation_in_flight = None;
            }
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

    /// Counts recorded batches and frees their slots.
    fn release(&mut self, group: &[Acknowledgement], log_failed: bool) {
        for acknowledgement in group {
            for (_, outcome) in &acknowledgement.outcomes {
                if log_failed {
                    self.report.counters.count_unrecorded(outcome);
                } else {
                    self.report.counters.count(outcome);
                }
            }
            for key in acknowledgement.batch.key_hashes() {
                self.keys_in_flight.remove(&key);
            }
        }
    }

    /// Counts what was not sent, and says why.
    async fn close(
        mut self,
        source: &mut dyn ChangeSource,
        health: &Health<'_>,
        cancel: &CancelToken,
    ) -> DeliveryReport {
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
        counters.planned = self.batcher.read() + unread;
        counters.not_sent = not_sent;
        counters.retryable += not_sent;
        self.report.requests = health.requests.load(Ordering::Relaxed);
        self.report.rate_limited = health.rate_limited.load(Ordering::Relaxed);
        self.report.max_in_flight = health.most_in_flight();
        self.report.limit = health.limit();
        // A cancel that came when all was done changed nothing.
        let cut_short = cancel.is_cancelled() && counters.retryable > 0;
        self.report.stopped_early = health
            .take_reason()
            .or_else(|| cut_short.then_some(StoppedEarly::Cancelled));
        self.report
    }
}

/// Awaits `work` while the batches in flight go on; those that end meanwhile are added to `finished`.
async fn while_sending<T, S>(
    work: impl Future<Output = T>,
    in_flight: &mut FuturesUnordered<S>,
    finished: &mut Vec<Acknowledgement>,
) -> T
where
    S: Future<Output = Acknowledgement>,
{
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            output = &mut work => return output,
            Some(acknowledgement) = in_flight.next(), if !in_flight.is_empty() => finished.push(acknowledgement),
        }
    }
}
