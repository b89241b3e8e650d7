//! One batch from its first request to an outcome for every row: repeating, halving, giving up.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff;
use crate::concurrency::Load;
use crate::health::Health;
use crate::{
    Acknowledgement, Batch, Change, Clock, DeliveryPolicy, Destination, FailureClass, Outcome,
    SendResult, StoppedEarly, redact,
};

/// Rows that still need an outcome, and what happened to them so far.
struct Piece<'b> {
    /// The whole batch as it came, or a part of it.
    batch: Cow<'b, Batch>,
    /// Requests that used up an attempt.
    attempts: u32,
    /// When the first of them failed, by the clock, moved on by every wait for a rate limit.
    first_failure: Option<Duration>,
    /// Rate limits met in a row, and when the first was.
    refusals: u32,
    throttled_since: Option<Duration>,
    /// An earlier request had an unknown result, so these rows may be applied already.
    maybe_applied: bool,
    /// The last failure, to be reported if there is no further attempt.
    last: Option<(FailureClass, String)>,
}

impl<'b> Piece<'b> {
    fn new(batch: Cow<'b, Batch>, maybe_applied: bool) -> Self {
        Self {
            batch,
            attempts: 0,
            first_failure: None,
            refusals: 0,
            throttled_since: None,
            maybe_applied,
            last: None,
        }
    }
}

/// Sends the batches of one delivery.
pub(crate) struct Sender<'a> {
    pub(crate) destination: &'a dyn Destination,
    pub(crate) policy: &'a DeliveryPolicy,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) health: &'a Health<'a>,
}

impl Sender<'_> {
    /// Sends a batch until each of its rows has an outcome. Never fails and always ends.
    pub(crate) async fn send(&self, batch: Batch) -> Acknowledgement {
        let mut outcomes = HashMap::with_capacity(batch.changes.len());
        // A stack, second half below the first, so that halves are sent in plan order.
        let mut pieces = Vec::new();
        pieces.extend(
            self.sendable(&batch, &mut outcomes)
                .map(|batch| Piece::new(batch, false)),
        );
        while let Some(piece) = pieces.pop() {
            self.advance(piece, &mut pieces, &mut outcomes).await;
        }
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

    /// One request, and what follows from its answer: outcomes, or pieces to send next.
    async fn advance<'b>(
        &self,
        mut piece: Piece<'b>,
        pieces: &mut Vec<Piece<'b>>,
        outcomes: &mut HashMap<u64, Outcome>,
    ) {
        let Some(mut request) = self.health.may_send(piece.batch.changes.len()).await else {
            return self.give_up(piece, outcomes);
        };
        // Waiting is not failing, and waiting in line is no rate limit.
        let later = |at: Option<Duration>, by| at.map(|at| at.saturating_add(by));
        piece.first_failure = later(piece.first_failure, request.waited);
        piece.throttled_since = later(piece.throttled_since, request.waited_in_line);
        let result = self.destination.send(&piece.batch).await;
        request.load = load_of(&result);
        // It is over before anything waits for the next.
        drop(request);
        match result {
            SendResult::Rows(rows) => {
                self.health.answered();
                self.settle_rows(piece, rows, pieces, outcomes).await;
            }
            SendResult::Rejected { class, message } => {
                self.health.answered();
                if let [change] = piece.batch.changes.as_slice() {
                    let message = redact_for(&message, change);
                    self.settle(change.seq, Outcome::Rejected { class, message }, outcomes);
                } else {
                    let maybe_applied = piece.maybe_applied;
                    let (first, second) = piece.batch.into_owned().halves();
                    pieces.push(Piece::new(Cow::Owned(second), maybe_applied));
                    pieces.push(Piece::new(Cow::Owned(first), maybe_applied));
                }
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
                piece.last = Some((
                    FailureClass::RateLimited,
                    "the destination limits the rate".to_owned(),
                ));
                self.health.throttle(wait);
                if now.saturating_sub(since).saturating_add(wait) > self.policy.max_throttle {
                    self.health.stop(StoppedEarly::Throttled {
                        limit: self.policy.max_throttle,
                    });
                    return self.give_up(piece, outcomes);
                }
                pieces.push(piece);
            }
            SendResult::Transient { class, message } => {
                self.health.failed(class, &message);
                self.retry(piece, class, message, pieces, outcomes).await;
            }
            SendResult::Unknown { class, message } => {
                piece.maybe_applied = true;
                self.health.failed(class, &message);
                let operation = piece.batch.operation;
                if self.destination.capabilities().is_idempotent(operation) {
                    self.retry(piece, class, message, pieces, outcomes).await;
                } else {
                    piece.last = Some((class, message));
                    self.give_up(piece, outcomes);
                }
            }
            SendResult::Fatal { class, message } => {
                self.health.stop(StoppedEarly::Refused {
                    class,
                    message: message.clone(),
                });
                piece.last = Some((class, message));
                self.give_up(piece, outcomes);
            }
        }
    }

    /// Takes the outcomes of an answer row by row; rows that may be retried become a piece of their own.
    async fn settle_rows<'b>(
        &self,
        mut piece: Piece<'b>,
        rows: Vec<Outcome>,
        pieces: &mut Vec<Piece<'b>>,
        outcomes: &mut HashMap<u64, Outcome>,
    ) {
        if rows.len() != piece.batch.changes.len() {
            piece.maybe_applied = true;
            piece.last = Some((
                FailureClass::MalformedAnswer,
                "the answer has another number of rows than the batch".to_owned(),
            ));
            return self.give_up(piece, outcomes);
        }
        let mut again = Vec::new();
        let mut last = None;
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
                    last = Some((class, redact_for(&message, change)));
                    again.push(change.clone());
                    continue;
                }
            };
            self.settle(change.seq, outcome, outcomes);
        }
        if let Some((class, message)) = last {
            let run = Arc::clone(&piece.batch.run);
            let batch = Cow::Owned(Batch::new(run, piece.batch.operation, again));
            let rest = Piece {
                batch,
                maybe_applied: false,
                refusals: 0,
                throttled_since: None,
                attempts: piece.attempts,
                first_failure: piece.first_failure,
                last: None,
            };
            self.retry(rest, class, message, pieces, outcomes).await;
        }
    }

    /// Counts an attempt and waits before the next, or gives up.
    async fn retry<'b>(
        &self,
        mut piece: Piece<'b>,
        class: FailureClass,
        message: String,
        pieces: &mut Vec<Piece<'b>>,
        outcomes: &mut HashMap<u64, Outcome>,
    ) {
        let retry = &self.policy.retry;
        let now = self.clock.elapsed();
        piece.attempts = piece.attempts.saturating_add(1);
        piece.refusals = 0;
        piece.throttled_since = None;
        let since = *piece.first_failure.get_or_insert(now);
        let wait = backoff::wait(retry, piece.attempts, rand::random());
        let exhausted = piece.attempts >= retry.max_attempts
            || now.saturating_sub(since).saturating_add(wait) > retry.max_elapsed;
        if exhausted && class == FailureClass::Unreachable {
            self.health.stop(StoppedEarly::Down {
                class,
                message: message.clone(),
            });
        }
        piece.last = Some((class, message));
        if exhausted || !self.health.wait(wait).await {
            self.give_up(piece, outcomes);
        } else {
            pieces.push(piece);
        }
    }

    fn give_up(&self, piece: Piece<'_>, outcomes: &mut HashMap<u64, Outcome>) {
        for change in &piece.batch.changes {
            let outcome = not_sent(change, piece.last.as_ref(), piece.maybe_applied);
            self.settle(change.seq, outcome, outcomes);
        }
    }

    fn settle(&self, seq: u64, outcome: Outcome, outcomes: &mut HashMap<u64, Outcome>) {
        self.health.settled(&outcome);
        outcomes.insert(seq, outcome);
    }

    /// The batch without the rows that are no JSON: put between the others they would break the whole request.
    fn sendable<'b>(
        &self,
        batch: &'b Batch,
        outcomes: &mut HashMap<u64, Outcome>,
    ) -> Option<Cow<'b, Batch>> {
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
            return Some(Cow::Borrowed(batch));
        }
        let sound: Vec<Change> = sound.into_iter().cloned().collect();
        (!sound.is_empty())
            .then(|| Cow::Owned(Batch::new(Arc::clone(&batch.run), batch.operation, sound)))
    }
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
        SendResult::Rejected { .. }
        | SendResult::Transient { .. }
        | SendResult::Unknown { .. }
        | SendResult::Fatal { .. } => Load::Nothing,
    }
}

/// The outcome of a row for which there is no further request.
fn not_sent(
    change: &Change,
    last: Option<&(FailureClass, String)>,
    maybe_applied: bool,
) -> Outcome {
    let (class, message) = match last {
        Some((class, message)) => (*class, redact_for(message, change)),
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
