//! Replaying exchanges through the interpreter, over a socket.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kinfold_sync::{
    Batch, BatchOperation, Change, Destination, JobEnd, JobState, ObjectText, Outcome, Previous,
    RetryAfter, Run, Secret, SendResult, Target,
};
use serde_json::{Map, Value};
use url::Url;

use super::clock::StandingClock;
use super::exchange::{
    Exchange, Expected, Fault, Recorded, RecordedRequest, RecordedRow, Result as ExpectedResult,
};
use super::mismatch::Mismatch;
use super::server::{Came, Server};
use crate::interpret::{
    Account, AccountOptions, ManifestDestination, MemoryTokenStore, TokenStore,
};
use crate::manifest::Manifest;

/// A job is asked about so many times at most.
const MOST_POLLS: usize = 1_000;

/// Replays an exchange. Nothing is as it should be if this is not empty.
pub async fn replay(manifest: &Arc<Manifest>, exchange: &Exchange) -> Vec<Mismatch> {
    let answers = exchange
        .calls
        .iter()
        .map(|call| call.answer.clone())
        .collect();
    let mut found = Vec::new();
    match run(manifest, exchange, answers, &mut found).await {
        Err(mismatch) => found.push(mismatch),
        Ok((came, end)) => {
            compare_requests(&exchange.calls, &came, &mut found);
            compare_end(&exchange.result, &end, exchange.now, &mut found);
        }
    }
    found
}

/// Replays an exchange up to the call of a fault, and gives the fault's answer there.
pub async fn fault(manifest: &Arc<Manifest>, exchange: &Exchange, fault: &Fault) -> Vec<Mismatch> {
    let mut answers: Vec<_> = exchange
        .calls
        .iter()
        .map(|call| call.answer.clone())
        .collect();
    answers.truncate(fault.call);
    // Again and again: what is repeated meets the same fault.
    answers.extend(std::iter::repeat_n(
        fault.answer.clone(),
        exchange.calls.len() + 4,
    ));
    let mut found = Vec::new();
    let without_store = Exchange {
        stored_after: Vec::new(),
        finish: false,
        ..exchange.clone()
    };
    match run(manifest, &without_store, answers, &mut found).await {
        Err(mismatch) => found.push(mismatch),
        Ok((_, end)) => compare_end(&fault.result, &end, exchange.now, &mut found),
    }
    found
}

/// What an exchange becomes: its requests, and what comes of it. The requests and the result that it has are not
/// looked at; its answers are given in their order.
pub(crate) struct Recording {
    pub(crate) requests: Vec<RecordedRequest>,
    pub(crate) result: ExpectedResult,
}

/// Records an exchange.
///
/// # Errors
/// It cannot be carried out at all.
pub(crate) async fn record(
    manifest: &Arc<Manifest>,
    exchange: &Exchange,
) -> Result<Recording, Mismatch> {
    let answers = exchange.calls.iter().map(|call| call.answer.clone());
    let (came, end) = run(manifest, exchange, answers.collect(), &mut Vec::new()).await?;
    let requests = came.into_iter().map(|came| RecordedRequest {
        method: came.method,
        url: format!("https://{}", came.target.trim_start_matches('/')),
        headers: came.headers,
        body: came.body,
    });
    let result = match &end {
        End::Sent(SendResult::Rows(rows)) | End::Asked(JobState::Ended(JobEnd::Rows(rows))) => {
            ExpectedResult::Rows(rows.iter().map(expected).collect())
        }
        _ => {
            let (word, class, message, wait) = summary(&end, exchange.now);
            ExpectedResult::Whole {
                word,
                class: class.map(str::to_owned),
                message: Some(message.to_owned()).filter(|message| !message.is_empty()),
                wait,
            }
        }
    };
    Ok(Recording {
        requests: requests.collect(),
        result,
    })
}

fn expected(outcome: &Outcome) -> Expected {
    let failure = outcome.failure();
    Expected {
        outcome: outcome.as_str().to_owned(),
        class: failure.map(|(class, _)| class.as_str().to_owned()),
        message: failure.map(|(_, message)| message.to_owned()),
    }
}

/// What came of a batch.
enum End {
    Sent(SendResult),
    Asked(JobState),
}

async fn run(
    manifest: &Arc<Manifest>,
    exchange: &Exchange,
    answers: Vec<super::exchange::RecordedAnswer>,
    found: &mut Vec<Mismatch>,
) -> Result<(Vec<Came>, End), Mismatch> {
    let impossible = |reason: String| Mismatch::Impossible { reason };
    let server = Server::start(answers)
        .await
        .map_err(|error| impossible(error.to_string()))?;
    let store = Arc::new(MemoryTokenStore::new());
    for (name, value) in &exchange.stored {
        let saved = store.save(name, &Secret::new(value.as_str())).await;
        saved.map_err(|error| impossible(error.to_string()))?;
    }
    let parameters = exchange.connection.iter();
    let options = AccountOptions {
        parameters: parameters
            .map(|(name, value)| (name.clone(), Secret::new(value.as_str())))
            .collect(),
        reroute: Some(Url::parse(&server.url).map_err(|error| impossible(error.to_string()))?),
        ..AccountOptions::default()
    };
    let clock = Arc::new(StandingClock::at(exchange.now));
    let account = Account::new(Arc::clone(manifest), options, store.clone(), clock)
        .map_err(|error| impossible(error.to_string()))?;
    let destination = ManifestDestination::new(account, &target(exchange))
        .map_err(|error| impossible(error.to_string()))?;
    let batch =
        batch(exchange).ok_or_else(|| impossible("a row cannot be written as JSON".to_owned()))?;
    let mut end = End::Sent(destination.send(&batch).await);
    if let End::Sent(SendResult::Accepted { job, .. }) = &end {
        leaks(
            manifest,
            exchange,
            job.as_str(),
            "the name of the job",
            found,
        );
        let job = job.clone();
        for _ in 0..MOST_POLLS {
            let state = destination.poll(&job, &batch).await;
            let pending = matches!(state, JobState::Pending { .. });
            end = End::Asked(state);
            // What was recorded last may be that the job goes on.
            if !pending || server.came().len() >= exchange.calls.len() {
                break;
            }
        }
    }
    if exchange.finish
        && let Err(error) = destination.finish().await
    {
        leaks(manifest, exchange, &error.to_string(), "a message", found);
        return Err(impossible(error.to_string()));
    }
    for message in messages(&end, exchange.now) {
        leaks(manifest, exchange, &message, "a message", found);
    }
    for (name, expected) in &exchange.stored_after {
        let stored = store
            .load(name)
            .await
            .map_err(|error| impossible(error.to_string()))?;
        let stored = stored
            .map(|secret| secret.expose().to_owned())
            .unwrap_or_default();
        if stored != *expected {
            found.push(Mismatch::Stored {
                name: name.clone(),
                found: stored,
                expected: expected.clone(),
            });
        }
    }
    Ok((server.came(), end))
}

fn target(exchange: &Exchange) -> Target {
    let mut keys: Vec<String> = Vec::new();
    let mut fields: Vec<String> = Vec::new();
    for row in &exchange.rows {
        for (names, map) in [(&mut keys, &row.key), (&mut fields, &row.fields)] {
            for name in map
                .keys()
                .filter(|name| !names.contains(name))
                .cloned()
                .collect::<Vec<_>>()
            {
                names.push(name);
            }
        }
    }
    Target {
        object: exchange.object.clone(),
        mode: exchange.mode,
        deletes: exchange
            .rows
            .iter()
            .any(|row| row.operation == kinfold_sync::Operation::Remove),
        key_fields: keys,
        fields,
    }
}

fn batch(exchange: &Exchange) -> Option<Batch> {
    let run = Arc::new(Run {
        sync: "exchange".to_owned(),
        run_id: "run-1".to_owned(),
        mode: exchange.mode,
    });
    let first = exchange.rows.first()?;
    let operation = BatchOperation::of(exchange.mode, first.operation);
    let changes: Option<Vec<Change>> = exchange
        .rows
        .iter()
        .zip(0_u64..)
        .map(|(row, seq)| change(row, seq))
        .collect();
    Some(Batch::new(run, operation, changes?))
}

fn change(row: &RecordedRow, seq: u64) -> Option<Change> {
    let text = |map: &Map<String, Value>| ObjectText::new(serde_json::to_string(map).ok()?);
    Some(Change {
        seq,
        operation: row.operation,
        key: text(&row.key)?,
        fields: text(&row.fields)?,
        payload_hash: [0; 16],
        previous: Previous::default(),
    })
}

fn compare_requests(recorded: &[Recorded], came: &[Came], found: &mut Vec<Mismatch>) {
    for (at, came) in came.iter().enumerate() {
        let call = at + 1;
        let Some(recorded) = recorded.get(at).map(|recorded| &recorded.request) else {
            found.push(Mismatch::Unexpected {
                call,
                found: format!("{} {}", came.method, came.target),
            });
            continue;
        };
        let mut differs = |what: String, new: &str, old: &str| {
            if new != old {
                found.push(Mismatch::Request {
                    call,
                    what,
                    found: new.to_owned(),
                    recorded: old.to_owned(),
                });
            }
        };
        differs("the method".to_owned(), &came.method, &recorded.method);
        // A rerouted address begins with the host.
        let url = recorded
            .url
            .split_once("://")
            .map_or(recorded.url.as_str(), |(_, rest)| rest);
        let target = came.target.trim_start_matches('/');
        differs("the address".to_owned(), target, url);
        for (name, value) in &recorded.headers {
            let new = came.headers.iter().find(|(known, _)| known == name);
            let new = new.map_or("(none)", |(_, value)| value.as_str());
            differs(format!("the header `{name}`"), new, value);
        }
        let body = String::from_utf8_lossy(&came.body);
        differs(
            "the body".to_owned(),
            &body,
            &String::from_utf8_lossy(&recorded.body),
        );
    }
    if came.len() < recorded.len() {
        found.push(Mismatch::Missing {
            came: came.len(),
            recorded: recorded.len(),
        });
    }
}

fn compare_end(
    expected: &ExpectedResult,
    end: &End,
    now: DateTime<Utc>,
    found: &mut Vec<Mismatch>,
) {
    let rows = match end {
        End::Sent(SendResult::Rows(rows)) | End::Asked(JobState::Ended(JobEnd::Rows(rows))) => {
            Some(rows)
        }
        _ => None,
    };
    match (expected, rows) {
        (ExpectedResult::Rows(expected), Some(rows)) => {
            for (row, (outcome, expected)) in rows.iter().zip(expected).enumerate() {
                if !fits(outcome, expected) {
                    found.push(Mismatch::Outcome {
                        row,
                        found: shown(outcome),
                        expected: shown_expected(expected),
                    });
                }
            }
        }
        (ExpectedResult::Rows(expected), None) => found.push(Mismatch::Result {
            found: described(end, now),
            expected: format!("{} outcomes", expected.len()),
        }),
        (
            ExpectedResult::Whole {
                word,
                class,
                message,
                wait,
            },
            _,
        ) => {
            let (is, of_class, said, waits) = summary(end, now);
            let waits_right = wait.is_none() || wait == &waits;
            let class_right = class.is_none() || class.as_deref() == of_class;
            let message_right = message.as_ref().is_none_or(|part| said.contains(part));
            // One row that is refused is settled by itself.
            let refused = Expected {
                outcome: "rejected".to_owned(),
                class: class.clone(),
                message: message.clone(),
            };
            let single = *word == "rejected"
                && matches!(rows.map(Vec::as_slice), Some([only]) if fits(only, &refused));
            let as_whole = is == *word && class_right && message_right && waits_right;
            if !single && !as_whole {
                found.push(Mismatch::Result {
                    found: described(end, now),
                    expected: format!(
                        "{word} {} {wait:?} {}",
                        class.as_deref().unwrap_or("*"),
                        message.as_deref().unwrap_or("*")
                    ),
                });
            }
        }
    }
}

fn fits(outcome: &Outcome, expected: &Expected) -> bool {
    let (class, message) = outcome.failure().unzip();
    outcome.as_str() == expected.outcome
        && (expected.class.is_none()
            || expected.class.as_deref() == class.map(kinfold_sync::FailureClass::as_str))
        && expected
            .message
            .as_ref()
            .is_none_or(|part| message.is_some_and(|message| message.contains(part)))
}

fn shown(outcome: &Outcome) -> String {
    match outcome.failure() {
        None => outcome.as_str().to_owned(),
        Some((class, message)) => format!("{} {class} ({message})", outcome.as_str()),
    }
}

fn shown_expected(expected: &Expected) -> String {
    let class = expected.class.as_deref().unwrap_or_default();
    match &expected.message {
        None => format!("{} {class}", expected.outcome),
        Some(message) => format!("{} {class} (… {message} …)", expected.outcome),
    }
}

/// The word, the class, the message and the wait of what is not by rows.
fn summary(
    end: &End,
    now: DateTime<Utc>,
) -> (
    &'static str,
    Option<&'static str>,
    &str,
    Option<std::time::Duration>,
) {
    let delay = |wait: &Option<RetryAfter>| match wait {
        Some(RetryAfter::Delay(delay)) => Some(*delay),
        Some(RetryAfter::At(time)) => (*time - now).to_std().ok(),
        None => None,
    };
    match end {
        End::Sent(result) => match result {
            SendResult::Rows(_) => ("rows", None, "", None),
            SendResult::Accepted { .. } => ("accepted", None, "", None),
            SendResult::Rejected { class, message } => {
                ("rejected", Some(class.as_str()), message, None)
            }
            SendResult::RateLimited { retry_after } => ("throttled", None, "", delay(retry_after)),
            SendResult::Transient { class, message } => {
                ("temporary", Some(class.as_str()), message, None)
            }
            SendResult::Unknown { class, message } => {
                ("unknown", Some(class.as_str()), message, None)
            }
            SendResult::Fatal { class, message } => ("fatal", Some(class.as_str()), message, None),
        },
        End::Asked(state) => match state {
            JobState::Pending { after } => ("pending", None, "", delay(after)),
            JobState::Ended(JobEnd::Rows(_)) => ("rows", None, "", None),
            JobState::Ended(JobEnd::Rejected { class, message }) => {
                ("rejected", Some(class.as_str()), message, None)
            }
            JobState::Ended(JobEnd::NotApplied { class, message }) => {
                ("temporary", Some(class.as_str()), message, None)
            }
            JobState::Ended(JobEnd::Unknown { class, message }) => {
                ("unknown", Some(class.as_str()), message, None)
            }
            JobState::Lost => ("lost", None, "", None),
            JobState::RateLimited { retry_after } => ("throttled", None, "", delay(retry_after)),
            JobState::NoAnswer { class, message } => {
                ("no_answer", Some(class.as_str()), message, None)
            }
            JobState::Refused { class, message } => ("fatal", Some(class.as_str()), message, None),
        },
    }
}

fn described(end: &End, now: DateTime<Utc>) -> String {
    let (word, class, message, wait) = summary(end, now);
    let rows = match end {
        End::Sent(SendResult::Rows(rows)) | End::Asked(JobState::Ended(JobEnd::Rows(rows))) => {
            rows.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    };
    format!("{word} {} {wait:?} {message}{rows}", class.unwrap_or("-"))
}

fn messages(end: &End, now: DateTime<Utc>) -> Vec<String> {
    match end {
        End::Sent(SendResult::Rows(rows)) | End::Asked(JobState::Ended(JobEnd::Rows(rows))) => rows
            .iter()
            .filter_map(|outcome| outcome.failure().map(|(_, message)| message.to_owned()))
            .collect(),
        other => vec![summary(other, now).2.to_owned()],
    }
}

/// Whether a secret parameter of the exchange stands in a text.
fn leaks(
    manifest: &Manifest,
    exchange: &Exchange,
    text: &str,
    place: &'static str,
    found: &mut Vec<Mismatch>,
) {
    for (name, value) in &exchange.connection {
        let secret = manifest
            .parameters
            .iter()
            .any(|parameter| parameter.name == *name && parameter.secret);
        if secret && value.len() > 3 && text.contains(value.as_str()) {
            found.push(Mismatch::Leaked {
                parameter: name.clone(),
                place,
            });
        }
    }
}
