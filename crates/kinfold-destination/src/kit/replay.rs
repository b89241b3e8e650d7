//! Replaying exchanges through the interpreter, over a socket.

use std::sync::Arc;

use kinfold_sync::{
    Batch, BatchOperation, Change, Clock, Destination, DestinationError, JobEnd, JobState,
    ObjectText, Outcome, Previous, Run, Secret, SendResult, Target,
};
use serde_json::{Map, Value};
use url::Url;

use super::clock::StandingClock;
use super::end::{End, compare_end, messages, summary};
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
    match run(manifest, exchange, answers, usize::MAX, &mut found).await {
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
        ..exchange.clone()
    };
    match run(manifest, &without_store, answers, fault.call, &mut found).await {
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
    let (came, end) = run(
        manifest,
        exchange,
        answers.collect(),
        usize::MAX,
        &mut Vec::new(),
    )
    .await?;
    let requests = came.into_iter().map(|came| came.recorded("https"));
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

/// What came of an exchange, of which the answers from the call `fault` on are not the recorded ones.
pub(super) async fn run(
    manifest: &Arc<Manifest>,
    exchange: &Exchange,
    answers: Vec<super::exchange::RecordedAnswer>,
    fault: usize,
    found: &mut Vec<Mismatch>,
) -> Result<(Vec<Came>, End), Mismatch> {
    let impossible = |reason: String| Mismatch::Impossible { reason };
    let server = Server::start(answers)
        .await
        .map_err(|error| impossible(error.to_string()))?;
    let store = stored(exchange).await?;
    let clock = Arc::new(StandingClock::at(exchange.now));
    let destination = match open(manifest, exchange, &server.url, store.clone(), clock)? {
        Ok(destination) => destination,
        Err(error) => return Ok((Vec::new(), End::failed(&error))),
    };
    let mut end = match &exchange.result {
        ExpectedResult::Reach(_) => {
            let told = destination.reach().await;
            told.map_or_else(|error| End::failed(&error), End::Told)
        }
        ExpectedResult::Check { .. } => {
            let checked = destination.check_credentials().await;
            checked.map_or_else(|error| End::failed(&error), |asks| End::Checked { asks })
        }
        _ => {
            let batch = batch(exchange)
                .ok_or_else(|| impossible("a row cannot be written as JSON".to_owned()))?;
            send(manifest, exchange, &destination, &batch, &server, found).await
        }
    };
    // A fault that came before says what became of the batch, and the end of the run says nothing more of it.
    if exchange.finish
        && server.came().len() <= fault
        && let Err(error) = destination.finish().await
    {
        end = End::failed(&error);
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

/// Sends the batch, and asks about the job that it becomes.
async fn send(
    manifest: &Manifest,
    exchange: &Exchange,
    destination: &ManifestDestination,
    batch: &Batch,
    server: &Server,
    found: &mut Vec<Mismatch>,
) -> End {
    let mut end = End::Sent(destination.send(batch).await);
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
            let state = destination.poll(&job, batch).await;
            let pending = matches!(state, JobState::Pending { .. });
            end = End::Asked(state);
            // What was recorded last may be that the job goes on.
            if !pending || server.came().len() >= exchange.calls.len() {
                break;
            }
        }
    }
    end
}

/// The destination of an exchange, at a server on this machine; or why it refuses such a sync.
pub(super) fn open(
    manifest: &Arc<Manifest>,
    exchange: &Exchange,
    server: &str,
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
) -> Result<Result<ManifestDestination, DestinationError>, Mismatch> {
    let impossible = |reason: String| Mismatch::Impossible { reason };
    let parameters = exchange.connection.iter();
    let options = AccountOptions {
        parameters: parameters
            .map(|(name, value)| (name.clone(), Secret::new(value.as_str())))
            .collect(),
        reroute: Some(Url::parse(server).map_err(|error| impossible(error.to_string()))?),
        now: Some(exchange.now),
        ..AccountOptions::default()
    };
    let account = Account::new(Arc::clone(manifest), options, store, clock)
        .map_err(|error| impossible(error.to_string()))?;
    match ManifestDestination::new(account, &target(manifest, exchange)) {
        Ok(destination) => Ok(Ok(destination)),
        Err(error @ DestinationError::SyncRefused { .. }) => Ok(Err(error)),
        Err(error) => Err(impossible(error.to_string())),
    }
}

/// What the store has before an exchange.
pub(super) async fn stored(exchange: &Exchange) -> Result<Arc<MemoryTokenStore>, Mismatch> {
    let store = Arc::new(MemoryTokenStore::new());
    for (name, value) in &exchange.stored {
        let saved = store.save(name, &Secret::new(value.as_str())).await;
        saved.map_err(|error| Mismatch::Impossible {
            reason: error.to_string(),
        })?;
    }
    Ok(store)
}

fn target(manifest: &Manifest, exchange: &Exchange) -> Target {
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
    if exchange.rows.is_empty() {
        // Whatever sync writes there would be told the same.
        let name = exchange.object.split('/').next().unwrap_or_default();
        let object = manifest.object(name);
        let key = object.and_then(|object| object.keys.first().cloned());
        keys = key.unwrap_or_else(|| vec!["key".to_owned()]);
        let known = object.and_then(|object| object.fields.as_ref());
        let known = known.into_iter().flat_map(|list| &list.known);
        let needed = known.filter(|field| field.required && !keys.contains(&field.name));
        fields = needed.map(|field| field.name.clone()).collect();
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

pub(super) fn batch(exchange: &Exchange) -> Option<Batch> {
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
        for (what, new, old) in differences(recorded, came) {
            found.push(Mismatch::Request {
                call,
                what,
                found: new,
                recorded: old,
            });
        }
    }
    if came.len() < recorded.len() {
        found.push(Mismatch::Missing {
            came: came.len(),
            recorded: recorded.len(),
        });
    }
}

/// What of a request is not as it was recorded: the part, what came and what was recorded.
pub(super) fn differences(
    recorded: &RecordedRequest,
    came: &Came,
) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut compare = |what: String, new: &str, old: &str| {
        if new != old {
            found.push((what, new.to_owned(), old.to_owned()));
        }
    };
    compare("the method".to_owned(), &came.method, &recorded.method);
    // A rerouted address begins with the host.
    let url = recorded
        .url
        .split_once("://")
        .map_or(recorded.url.as_str(), |(_, rest)| rest);
    let target = came.target.trim_start_matches('/');
    compare("the address".to_owned(), target, url);
    for (name, value) in &recorded.headers {
        let new = came.headers.iter().find(|(known, _)| known == name);
        let new = new.map_or("(none)", |(_, value)| value.as_str());
        compare(format!("the header `{name}`"), new, value);
    }
    let body = String::from_utf8_lossy(&came.body);
    compare(
        "the body".to_owned(),
        &body,
        &String::from_utf8_lossy(&recorded.body),
    );
    found
}

/// Whether a secret parameter of the exchange stands in a text.
pub(super) fn leaks(
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
