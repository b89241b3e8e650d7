//! One batch from its first request to an outcome for every row: repeating, halving, giving up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::backoff;
use crate::concurrency::Load;
use crate::health::Health;
use crate::work::{Effort, Failure, FirstPoll, Job, Outcomes, Piece, Sent, Work};
use crate::{
    Acknowledgement, Batch, Change, Clock, DeliveryPolicy, Destination, FailureClass, Outcome,
    SendResult, StoppedEarly, redact,
};

/// Sends the batches of one delivery.
pub(crate) struct Sender<'a> {
    pub(crate) destination: &'a dyn Destination,
    pub(crate) policy: &'a DeliveryPolicy,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) health: &'a Health<'a>,
}

impl Sender<'_> {
    /// The work that a batch is.
    pub(crate) fn begin(&self, batch: Batch) -> Work {
        let mut outcomes =
            Outcomes::with_capacity_and_hasher(batch.changes.len(), FixedState::default());
        let batch = Arc::new(batch);
        let sound = self.sendable(&batch, &mut outcomes);
        Work {
            pieces: sound
                .map(|batch| Piece::new(batch, Effort::default()))
                .into_iter()
                .collect(),
            batch,
            outcomes,
        }
    }

    /// Sends a batch until each of its rows has an outcome, or some of them are a job. Never fails and always
    /// ends.
    pub(crate) async fn send(&self, mut work: Work) -> Sent {
        while let Some(piece) = work.pieces.pop() {
            let accepted = self
                .advance(piece, &mut work.pieces, &mut work.outcomes)
                .await;
            if let Some(job) = accepted {
                let (settled, rest) = work.without(&job.batch);
                return Sent::Accepted { job, settled, rest };
            }
        }
        Sent::Settled(acknowledge(Arc::unwrap_or_clone(work.batch), work.outcomes))
    }

    /// One request, and what follows from its answer: outcomes, pieces to send next, or a job.
    async fn advance(
        &self,
        mut piece: Piece,
        pieces: &mut Vec<Piece>,
        outcomes: &mut Outcomes,
    ) -> Option<Job> {
        if piece.at_fault
            && piece.batch.changes.len() > 1
            && let Some(failure) = &piece.last
        {
            let (class, message) = (failure.class, failure.message.clone());
            self.settle_rejected(piece, class, message, pieces, outcomes);
            return None;
        }
        let wait = std::mem::take(&mut piece.wait);
        if !wait.is_zero() && !self.health.wait(wait).await {
            self.give_up(piece, outcomes);
            return None;
        }
        let Some(mut request) = self.health.may_send(piece.batch.changes.len()).await else {
            self.give_up(piece, outcomes);
            return None;
        };
        // Waiting is not failing, and waiting in line is no rate limit.
        let later = |at: Option<Duration>, by| at.map(|at| at.saturating_add(by));
        piece.effort.first_failure = later(piece.effort.first_failure, request.waited);
        piece.throttled_since = later(piece.throttled_since, request.waited_in_line);
        let result = self.destination.send(&piece.batch).await;
        request.load = load_of(&result);
        // It is over before anything waits for the next.
        drop(request);
        match result {
            SendResult::Rows(rows) => {
                self.health.answered();
                // A destination may speak by rows of a single one that it refuses.
                let taken = rows.iter().any(Outcome::is_delivered);
                if let Some(sibling) = pieces.last_mut().filter(|_| taken)
                    && sibling.sibling == Some(piece.batch.id)
                {
                    sibling.at_fault = true;
                }
                self.settle_rows(piece, rows, pieces, outcomes);
            }
            SendResult::Accepted { job, after } if self.destination.max_jobs() > 0 => {
                self.health.answered();
                return Some(Job {
                    handle: job,
                    batch: piece.batch,
                    effort: piece.effort,
                    first: FirstPoll::After(after),
                });
            }
            SendResult::Accepted { .. } => {
                let message = "the batch was accepted as a job, which is not expected";
                let class = FailureClass::MalformedAnswer;
                self.health.failed(class, message);
                self.settle_unknown(piece, class, message.to_owned(), pieces, outcomes);
            }
            SendResult::Rejected { class, message } => {
                self.health.answered();
                self.settle_rejected(piece, class, message, pieces, outcomes);
            }
            SendResult::RateLimited { retry_after } => {
                piece.refusals = piece.refusals.saturating_add(1);
                let now = self.clock.elapsed();
                let wait = backoff::throttle(
                    &self.policy.retry,
                    piece.refusals,
                    retry_after,
                    self.clock.wall(),
                );
                let since = *piece.throttled_since.get_or_insert(now);
                piece.last = Some(Failure::new(
                    FailureClass::RateLimited,
                    "the destination limits the rate",
                ));
                self.health.throttle(wait);
                if now.saturating_sub(since).saturating_add(wait) > self.policy.max_throttle {
                    self.health.stop(StoppedEarly::Throttled {
                        limit: self.policy.max_throttle,
                    });
                    self.give_up(piece, outcomes);
                } else {
                    pieces.push(piece);
                }
            }
            SendResult::Transient { class, message } => {
                self.health.failed(class, &message);
                self.retry(piece, Failure::new(class, message), pieces, outcomes);
            }
            SendResult::Unknown { class, message } => {
                self.health.failed(class, &message);
                self.settle_unknown(piece, class, message, pieces, outcomes);
            }
            SendResult::Fatal { class, message } => {
                self.health.stop(StoppedEarly::Refused {
                    class,
                    message: message.clone(),
                });
                piece.last = Some(Failure::new(class, message));
                self.give_up(piece, outcomes);
            }
        }
        None
    }

    /// Halves a batch that was refused as a whole; a single row is rejected. If the first half is taken, what was
    /// refused is in the second, which is then halved without being sent: a quarter of the requests fewer for a
    /// single row at fault. A row is rejected only after it was sent alone, so this is never a judgement.
    pub(crate) fn settle_rejected(
        &self,
        piece: Piece,
        class: FailureClass,
        message: String,
        pieces: &mut Vec<Piece>,
        outcomes: &mut Outcomes,
    ) {
        if let [change] = piece.batch.changes.as_slice() {
            let message = redact_for(&message, change);
            self.settle(change.seq, Outcome::Rejected { class, message }, outcomes);
            return;
        }
        let maybe_applied = piece.effort.maybe_applied;
        let (first, second) = Arc::unwrap_or_clone(piece.batch).halves();
        // Of a batch that is too large both halves may be small enough.
        let known = (class != FailureClass::TooLarge).then_some(first.id);
        for (half, sibling) in [(second, known), (first, None)] {
            let effort = Effort {
                maybe_applied,
                ..Effort::default()
            };
            let mut half = Piece::new(Arc::new(half), effort);
            half.sibling = sibling;
            half.last = Some(Failure::new(class, message.as_str()));
            pieces.push(half);
        }
    }

    /// Sends again what may be sent twice, after a result that is not known.
    pub(crate) fn settle_unknown(
        &self,
        mut piece: Piece,
        class: FailureClass,
        message: String,
        pieces: &mut Vec<Piece>,
        outcomes: &mut Outcomes,
    ) {
        piece.effort.maybe_applied = true;
        let operation = piece.batch.operation;
        if self.destination.capabilities().is_idempotent(operation) {
            self.retry(piece, Failure::new(class, message), pieces, outcomes);
        } else {
            piece.last = Some(Failure::new(class, message));
            self.give_up(piece, outcomes);
        }
    }

    /// Takes the outcomes of an answer row by row; rows that may be retried become a piece of their own.
    pub(crate) fn settle_rows(
        &self,
        mut piece: Piece,
        rows: Vec<Outcome>,
        pieces: &mut Vec<Piece>,
        outcomes: &mut Outcomes,
    ) {
        if rows.len() != piece.batch.changes.len() {
            piece.effort.maybe_applied = true;
            piece.last = Some(Failure::new(
                FailureClass::MalformedAnswer,
                "the answer has another number of rows than the batch",
            ));
            return self.give_up(piece, outcomes);
        }
        let mut again = Vec::new();
        let mut reasons = HashMap::new();
        for (change, outcome) in piece.batch.changes.iter().zip(rows) {
            let outcome = match outcome {
                Outcome::Delivered => Outcome::Delivered,
                Outcome::Rejected { class, message } => Outcome::Rejected {
                    class,
                    message: redact_for(&message, change),
                },
                Outcome::Unknown { class, message } => Outcome::Unknown {
                    class,
                    message: redact_for(&message, change),
                },
                Outcome::Retryable { class, message } => {
                    reasons.insert(change.seq, (class, redact_for(&message, change)));
                    again.push(change.clone());
                    continue;
                }
            };
            self.settle(change.seq, outcome, outcomes);
        }
        if let Some(failure) = Failure::of(reasons) {
            let run = Arc::clone(&piece.batch.run);
            let batch = Batch::new(run, piece.batch.operation, again);
            // Not applied by this request; what an earlier one without an answer did is not known by that.
            let rest = Piece::new(Arc::new(batch), piece.effort);
            self.retry(rest, failure, pieces, outcomes);
        }
    }

    /// Counts an attempt and says how long to wait before the next, or gives up.
    pub(crate) fn retry(
        &self,
        mut piece: Piece,
        failure: Failure,
        pieces: &mut Vec<Piece>,
        outcomes: &mut Outcomes,
    ) {
        let retry = &self.policy.retry;
        let now = self.clock.elapsed();
        let effort = &mut piece.effort;
        effort.attempts = effort.attempts.saturating_add(1);
        piece.refusals = 0;
        piece.throttled_since = None;
        let since = *effort.first_failure.get_or_insert(now);
        let wait = backoff::wait(retry, effort.attempts, rand::random());
        let exhausted = effort.attempts >= retry.max_attempts
            || now.saturating_sub(since).saturating_add(wait) > retry.max_elapsed;
        if exhausted && failure.class == FailureClass::Unreachable {
            self.health.stop(StoppedEarly::Down {
                class: failure.class,
                message: failure.message.clone(),
            });
        }
        piece.last = Some(failure);
        if exhausted {
            self.give_up(piece, outcomes);
        } else {
            piece.wait = wait;
            pieces.push(piece);
        }
    }

    fn give_up(&self, piece: Piece, outcomes: &mut Outcomes) {
        for change in &piece.batch.changes {
            let outcome = not_sent(change, piece.last.as_ref(), piece.effort.maybe_applied);
            self.settle(change.seq, outcome, outcomes);
        }
    }

    fn settle(&self, seq: u64, outcome: Outcome, outcomes: &mut Outcomes) {
        self.health.settled(&outcome);
        outcomes.insert(seq, outcome);
    }

    /// The batch without the rows that are no JSON: put between the others they would break the whole request.
    fn sendable(&self, batch: &Arc<Batch>, outcomes: &mut Outcomes) -> Option<Arc<Batch>> {
        let (sound, broken): (Vec<&Change>, Vec<&Change>) = batch
            .changes
            .iter()
            .partition(|change| is_well_formed(change));
        for change in &broken {
            let outcome = Outcome::Rejected {
                class: FailureClass::InvalidRow,
                message: "the row's key or fields are not a JSON object".to_owned(),
            };
            self.settle(change.seq, outcome, outcomes);
        }
        if broken.is_empty() {
            return Some(Arc::clone(batch));
        }
        let sound: Vec<Change> = sound.into_iter().cloned().collect();
        (!sound.is_empty()).then(|| {
            let run = Arc::clone(&batch.run);
            Arc::new(Batch::new(run, batch.operation, sound))
        })
    }
}

/// The rows of a batch with their outcomes.
pub(crate) fn acknowledge(batch: Batch, mut outcomes: Outcomes) -> Acknowledgement {
    let outcomes = batch
        .changes
        .iter()
        .map(|change| {
            let outcome = outcomes
                .remove(&change.seq)
                .unwrap_or_else(|| not_sent(change, None, false));
            (change.seq, outcome)
        })
        .collect();
    Acknowledgement { batch, outcomes }
}

/// What an answer says about the load of the destination.
fn load_of(result: &SendResult) -> Load {
    match result {
        SendResult::Rows(_) => Load::Worked,
        SendResult::RateLimited { .. }
        | SendResult::Transient {
            class: FailureClass::Unavailable | FailureClass::TimedOut | FailureClass::RateLimited,
            ..
        }
        | SendResult::Unknown {
            class: FailureClass::Unavailable | FailureClass::TimedOut,
            ..
        } => Load::Pressure,
        // A refusal may come before the work, and a broken connection says nothing of it.
        SendResult::Accepted { .. }
        | SendResult::Rejected { .. }
        | SendResult::Transient { .. }
        | SendResult::Unknown { .. }
        | SendResult::Fatal { .. } => Load::Nothing,
    }
}

/// The outcome of a row for which there is no further request.
pub(crate) fn not_sent(change: &Change, last: Option<&Failure>, maybe_applied: bool) -> Outcome {
    let (class, message) = match last {
        Some(failure) => {
            let (class, message) = failure.reason(change.seq);
            (class, redact_for(message, change))
        }
        None => (
            FailureClass::NotSent,
            "the delivery ended before this row was sent".to_owned(),
        ),
    };
    if maybe_applied {
        Outcome::Unknown { class, message }
    } else {
        Outcome::Retryable { class, message }
    }
}

fn redact_for(message: &str, change: &Change) -> String {
    match (change.key.parse(), change.fields.parse()) {
        (Some(key), Some(fields)) => redact(message, [&key, &fields]),
        // What cannot be read cannot be looked for in the message.
        _ => "the row cannot be read, so the reason, which may quote it, is left out".to_owned(),
    }
}

fn is_well_formed(change: &Change) -> bool {
    change.key.is_well_formed() && change.fields.is_well_formed()
}
