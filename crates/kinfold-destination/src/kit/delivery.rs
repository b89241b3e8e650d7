//! Exchanges and faults through the delivery engine: what is sent again, what never is, and what every row ends as.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kinfold_sync::{
    AckError, AckLog, Acknowledgement, Batch, Budget, CancelToken, Capabilities, Change,
    ChangeSource, DeliveryPolicy, DeliveryReport, Destination, DestinationError, JobHandle,
    JobRecord, JobState, Outcome, RetryPolicy, SendResult, SourceError, StoppedEarly, deliver,
    redact,
};

use super::clock::StandingClock;
use super::end::{fits, shown, shown_expected};
use super::exchange::{Exchange, Expected, Fault, RecordedAnswer, Result as ExpectedResult};
use super::mismatch::Mismatch;
use super::replay::{self, differences, leaks};
use super::server::{Came, Server};
use crate::interpret::ManifestDestination;
use crate::manifest::Manifest;

/// Delivers the rows of an exchange by the engine that syncs use. Every request must be a recorded one, byte for
/// byte, also one that is repeated; and the outcomes must be the recorded ones.
///
/// With a `fault`, its answer is given once where it belongs (for good, if it says that no request can succeed),
/// and then the engine must do what the fault's result asks for: send again what was not applied or does no harm
/// twice, and nothing else.
///
/// It has nothing to say of exchanges and faults without an outcome for each row: there the engine takes the batch
/// apart, and sends requests that nobody has recorded.
pub async fn delivery(
    manifest: &Arc<Manifest>,
    exchange: &Exchange,
    fault: Option<&Fault>,
) -> Vec<Mismatch> {
    let ExpectedResult::Rows(expected) = &exchange.result else {
        return Vec::new();
    };
    let reaction = match fault {
        None => Reaction::None,
        Some(fault) => match reaction(fault, expected) {
            Some(reaction) => reaction,
            None => return Vec::new(),
        },
    };
    let mut found = Vec::new();
    if let Err(mismatch) = play(manifest, exchange, expected, fault, reaction, &mut found).await {
        found.push(mismatch);
    }
    found
}

/// What the engine must do when a fault comes.
#[derive(Clone, Copy, PartialEq)]
enum Reaction {
    /// There is none.
    None,
    /// The same requests come again, and the end is the recorded one.
    Again,
    /// The same if a repetition does no harm; else nothing comes and all rows are unknown.
    AgainIfHarmless,
    /// Nothing more is sent.
    Stop,
}

fn reaction(fault: &Fault, expected: &[Expected]) -> Option<Reaction> {
    let ExpectedResult::Whole { word, .. } = &fault.result else {
        return None;
    };
    // A row that an earlier call has settled is not in the requests that come again.
    let all_delivered = expected.iter().all(|row| row.outcome == "delivered");
    match *word {
        "fatal" => Some(Reaction::Stop),
        _ if !all_delivered => None,
        "throttled" | "temporary" | "pending" | "no_answer" => Some(Reaction::Again),
        "unknown" | "lost" => Some(Reaction::AgainIfHarmless),
        _ => None,
    }
}

/// Plays the recorded answers, wherever in the exchange a request belongs.
struct Script {
    exchange: Exchange,
    /// The call that is next, if nothing is repeated.
    next: usize,
    fault: Option<(usize, RecordedAnswer)>,
    for_good: bool,
    /// Requests that came after the fault.
    after_fault: Option<usize>,
    found: Vec<Mismatch>,
    calls: usize,
}

impl Script {
    fn answer(&mut self, came: &Came) -> Option<RecordedAnswer> {
        self.calls += 1;
        if let (Some(_), true, Some((_, answer))) = (self.after_fault, self.for_good, &self.fault) {
            return Some(answer.clone());
        }
        if let Some(after) = &mut self.after_fault {
            *after += 1;
        }
        let recorded = &self.exchange.calls;
        let fits = |at: usize| {
            let recorded = recorded.get(at);
            recorded.is_some_and(|recorded| differences(&recorded.request, came).is_empty())
        };
        let at = Some(self.next)
            .filter(|&at| fits(at))
            .or_else(|| (0..recorded.len()).find(|&at| fits(at)));
        let Some(at) = at else {
            self.found.push(self.unexpected(came));
            return None;
        };
        if let Some((_, answer)) = self.fault.as_ref().filter(|(call, _)| *call == at) {
            let answer = answer.clone();
            if !self.for_good {
                self.fault = None;
            }
            self.after_fault.get_or_insert(0);
            return Some(answer);
        }
        self.next = at + 1;
        recorded.get(at).map(|recorded| recorded.answer.clone())
    }

    /// Says how a request differs from the recorded one that is most like it.
    fn unexpected(&self, came: &Came) -> Mismatch {
        let recorded = self.exchange.calls.get(self.next);
        let first = recorded.and_then(|recorded| {
            differences(&recorded.request, came)
                .into_iter()
                .find(|(what, ..)| what == "the body" || what.starts_with("the header"))
        });
        match first {
            Some((what, found, recorded)) => Mismatch::Request {
                call: self.calls,
                what,
                found,
                recorded,
            },
            None => Mismatch::Unexpected {
                call: self.calls,
                found: format!("{} {}", came.method, came.target),
            },
        }
    }
}

async fn play(
    manifest: &Arc<Manifest>,
    exchange: &Exchange,
    expected: &[Expected],
    fault: Option<&Fault>,
    reaction: Reaction,
    found: &mut Vec<Mismatch>,
) -> Result<(), Mismatch> {
    let impossible = |reason: &str| Mismatch::Impossible {
        reason: reason.to_owned(),
    };
    let script = Arc::new(Mutex::new(Script {
        exchange: exchange.clone(),
        next: 0,
        fault: fault.map(|fault| (fault.call, fault.answer.clone())),
        for_good: reaction == Reaction::Stop,
        after_fault: None,
        found: Vec::new(),
        calls: 0,
    }));
    let answering = Arc::clone(&script);
    let server = Server::answering(move |came| locked(&answering).answer(came)).await;
    let server = server.map_err(|error| impossible(&error.to_string()))?;
    let store = replay::stored(exchange).await?;
    let clock = Arc::new(StandingClock::at(exchange.now));
    let opened = replay::open(manifest, exchange, &server.url, store, clock.clone())?;
    let destination = Stage {
        inner: opened.map_err(|error| impossible(&error.to_string()))?,
        finish: exchange.finish && reaction != Reaction::Stop,
    };
    let batch = replay::batch(exchange).ok_or_else(|| impossible("a row cannot be written"))?;
    let harmless = destination.capabilities().is_idempotent(batch.operation);
    let mut log = Log::default();
    let report = deliver(
        &batch.run,
        &mut Plan(batch.changes.clone()),
        &destination,
        &mut log,
        &policy(reaction),
        clock.as_ref(),
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    let mut script = locked(&script);
    found.append(&mut script.found);
    for outcome in log.0.values() {
        if let Some((_, message)) = outcome.failure() {
            leaks(manifest, exchange, message, "a message", found);
        }
    }
    leaks(
        manifest,
        exchange,
        &format!("{:?}", report.stopped_early),
        "the report of a delivery",
        found,
    );
    let repeated = script.after_fault.is_some_and(|after| after > 0);
    let rows = |expected: &dyn Fn(usize) -> Expected, found: &mut Vec<Mismatch>| {
        compare(&batch, &log, expected, found);
    };
    match reaction {
        Reaction::Stop => {
            if !matches!(report.stopped_early, Some(StoppedEarly::Refused { .. })) {
                found.push(Mismatch::Result {
                    found: "a delivery that goes on".to_owned(),
                    expected: "one that stops, since no request can succeed".to_owned(),
                });
            }
        }
        Reaction::AgainIfHarmless if !harmless => {
            if repeated {
                found.push(Mismatch::Result {
                    found: "a batch that was sent again".to_owned(),
                    expected: "no repetition: it may have been applied".to_owned(),
                });
            }
            let unknown = Expected {
                outcome: "unknown".to_owned(),
                class: None,
                message: None,
            };
            rows(&|_| unknown.clone(), found);
        }
        Reaction::None | Reaction::Again | Reaction::AgainIfHarmless => {
            if reaction != Reaction::None && !repeated {
                found.push(Mismatch::Result {
                    found: "a delivery that did not try again".to_owned(),
                    expected: "a repetition".to_owned(),
                });
            }
            rows(
                &|row| expected.get(row).cloned().unwrap_or_else(unexpected),
                found,
            );
        }
    }
    check_counters(&report, found);
    Ok(())
}

/// Never reached for a read exchange: its outcomes are as many as its rows.
fn unexpected() -> Expected {
    Expected {
        outcome: "delivered".to_owned(),
        class: None,
        message: None,
    }
}

fn compare(
    batch: &Batch,
    log: &Log,
    expected: &dyn Fn(usize) -> Expected,
    found: &mut Vec<Mismatch>,
) {
    for (row, change) in batch.changes.iter().enumerate() {
        let mut expected = expected(row);
        // The engine takes values of the row out of messages.
        if let (Some(key), Some(fields)) = (change.key.parse(), change.fields.parse()) {
            let redacted = |text: String| redact(&text, [&key, &fields]);
            expected.message = expected.message.map(redacted);
        }
        let outcome = log.0.get(&change.seq);
        if outcome.is_none_or(|outcome| !fits(outcome, &expected)) {
            found.push(Mismatch::Outcome {
                row,
                found: outcome.map_or_else(|| "without an outcome".to_owned(), shown),
                expected: shown_expected(&expected),
            });
        }
    }
}

fn check_counters(report: &DeliveryReport, found: &mut Vec<Mismatch>) {
    if !report.counters.add_up() {
        found.push(Mismatch::Result {
            found: format!("{:?}", report.counters),
            expected: "one outcome for each row".to_owned(),
        });
    }
}

fn locked(script: &Mutex<Script>) -> std::sync::MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Without a fault nothing is tried again, as nothing was when the exchange was recorded. A rate limit that is there
/// for good is not waited for.
fn policy(reaction: Reaction) -> DeliveryPolicy {
    let long = Duration::from_secs(7 * 24 * 60 * 60);
    DeliveryPolicy {
        max_rows: usize::MAX,
        max_bytes: usize::MAX,
        concurrency: 1,
        concurrency_start: 1,
        retry: RetryPolicy {
            max_attempts: if reaction == Reaction::None { 1 } else { 4 },
            max_elapsed: long,
            ..RetryPolicy::default()
        },
        max_throttle: match reaction {
            Reaction::None | Reaction::Stop => Duration::ZERO,
            Reaction::Again | Reaction::AgainIfHarmless => long,
        },
        ..DeliveryPolicy::default()
    }
}

/// The destination, whose run ends with the batch only if the exchange says so.
struct Stage {
    inner: ManifestDestination,
    finish: bool,
}

#[async_trait]
impl Destination for Stage {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn max_jobs(&self) -> usize {
        self.inner.max_jobs()
    }

    async fn check(&self) -> Result<(), DestinationError> {
        self.inner.check().await
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        self.inner.send(batch).await
    }

    async fn poll(&self, job: &JobHandle, batch: &Batch) -> JobState {
        self.inner.poll(job, batch).await
    }

    async fn finish(&self) -> Result<(), DestinationError> {
        if self.finish {
            return self.inner.finish().await;
        }
        Ok(())
    }
}

struct Plan(Vec<Change>);

#[async_trait]
impl ChangeSource for Plan {
    async fn next(&mut self, max: usize) -> Result<Vec<Change>, SourceError> {
        let taken = max.min(self.0.len());
        Ok(self.0.drain(..taken).collect())
    }
}

#[derive(Default)]
struct Log(HashMap<u64, Outcome>);

#[async_trait]
impl AckLog for Log {
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError> {
        for acknowledgement in acknowledgements {
            self.0.extend(acknowledgement.outcomes.iter().cloned());
        }
        Ok(())
    }

    fn keeps_jobs(&self) -> bool {
        true
    }

    async fn record_jobs(&mut self, _jobs: &[JobRecord]) -> Result<(), AckError> {
        Ok(())
    }
}
