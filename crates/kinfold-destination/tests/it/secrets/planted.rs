//! Every credential of every shipped destination gets a value that is nowhere else. Whatever a destination throws back,
//! none of them may be in anything that is said, traced or stored in the open.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use kinfold_destination::kit::{Exchange, RecordedAnswer};
use kinfold_destination::{
    Account, AccountOptions, Folder, Manifest, ManifestDestination, MemoryTokenStore, SHIPPED,
    TokenStore, shipped,
};
use kinfold_sync::{
    Batch, BatchOperation, Change, Clock, Destination, HttpClientOptions, JobState, ObjectText,
    Operation, Previous, Run, Secret, SendResult, Target,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use super::capture::Capture;
use super::mirror::{Back, Mirror};

/// What makes a planted value hard to find: every encoding changes it.
const HARD: &str = "/+\"&=%41\\z";
const POLLS: usize = 3;
const MANY_ROWS: usize = 1_000;

/// The time of an exchange, which goes on only by waiting. That takes none.
struct At(DateTime<Utc>, Mutex<Duration>);

#[async_trait]
impl Clock for At {
    fn elapsed(&self) -> Duration {
        *self.1.lock().unwrap()
    }

    fn wall(&self) -> DateTime<Utc> {
        self.0 + self.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        *self.1.lock().unwrap() += duration;
    }
}

/// The parameters of an exchange with planted values, and those values.
fn planted(manifest: &Manifest, exchange: &Exchange) -> (Vec<(String, Secret)>, Vec<String>) {
    let mut values = Vec::new();
    let parameters = exchange.connection.iter().map(|(name, recorded)| {
        let parameter = manifest.parameters.iter().find(|p| p.name == *name);
        let secret = parameter.is_some_and(|parameter| parameter.secret);
        let value = match secret {
            false => recorded.clone(),
            // A key must be one, and its end may say where the account is.
            true if recorded.contains("-----BEGIN") => recorded.clone(),
            true => format!("pLnT{}{HARD}{recorded}", name.replace('_', "")),
        };
        if secret {
            values.push(value.clone());
        }
        (name.clone(), Secret::new(value))
    });
    (parameters.collect(), values)
}

/// An answer whose tokens are planted.
fn with_tokens(answer: &RecordedAnswer, values: &mut Vec<String>) -> RecordedAnswer {
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&answer.body) else {
        return answer.clone();
    };
    for name in ["access_token", "refresh_token"] {
        if let Some(token) = body.get_mut(name).filter(|token| token.is_string()) {
            let value = format!("pLnTfetched{}{HARD}", name.replace('_', ""));
            *token = Value::from(value.as_str());
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
    RecordedAnswer {
        body: Value::Object(body).to_string().into_bytes(),
        ..answer.clone()
    }
}

/// Every form of a value that counts as the value.
fn forms(value: &str) -> Vec<String> {
    let json = Value::from(value).to_string();
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![
        value.to_owned(),
        json.trim_matches('"').to_owned(),
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        STANDARD.encode(value).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(value),
        hex,
    ]
}

/// What the destination throws back: all forms of all values.
fn words(values: &[String]) -> String {
    let all = values.iter().flat_map(|value| forms(value));
    all.collect::<Vec<_>>().join(" ")
}

/// Credentials that requests were seen to carry beside the planted values: user and password in one, signed tokens.
fn derived(seen: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for request in seen {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let value = head
            .lines()
            .find_map(|line| line.strip_prefix("authorization: "));
        found.extend(
            value
                .and_then(|value| value.split(' ').nth(1))
                .map(str::to_owned),
        );
        let words = body.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        found.extend(
            words
                .filter(|word| word.starts_with("eyJ"))
                .map(str::to_owned),
        );
    }
    found.retain(|word| word.len() >= 16);
    found
}

/// A request with the user and password that stand in it as one.
fn opened(request: &str) -> String {
    let value = request
        .lines()
        .find_map(|line| line.strip_prefix("authorization: Basic "));
    let basic = value.and_then(|value| STANDARD.decode(value.trim()).ok());
    format!(
        "{request} {}",
        String::from_utf8_lossy(&basic.unwrap_or_default())
    )
}

/// The batch of an exchange; none if it only asks for the reach of an object.
fn batch(manifest: &Manifest, exchange: &Exchange) -> (Target, Option<Batch>) {
    let mut names = [Vec::new(), Vec::new()];
    if exchange.rows.is_empty() {
        let name = exchange.object.split('/').next().unwrap();
        let object = manifest.object(name).unwrap();
        names[0] = object
            .keys
            .first()
            .cloned()
            .unwrap_or_else(|| vec!["key".to_owned()]);
        let known = object.fields.iter().flat_map(|fields| &fields.known);
        let needed = known.filter(|field| field.required && !names[0].contains(&field.name));
        names[1] = needed.map(|field| field.name.clone()).collect();
    }
    for row in &exchange.rows {
        for (names, map) in names.iter_mut().zip([&row.key, &row.fields]) {
            names.extend(map.keys().cloned());
            names.sort();
            names.dedup();
        }
    }
    let [key_fields, fields] = names;
    let target = Target {
        object: exchange.object.clone(),
        mode: exchange.mode,
        deletes: exchange
            .rows
            .iter()
            .any(|row| row.operation == Operation::Remove),
        key_fields,
        fields,
    };
    let text = |map| ObjectText::new(serde_json::to_string(map).unwrap()).unwrap();
    let changes = exchange.rows.iter().zip(0..).map(|(row, seq)| Change {
        seq,
        operation: row.operation,
        key: text(&row.key),
        fields: text(&row.fields),
        payload_hash: [0; 16],
        previous: Previous::default(),
    });
    let run = Run {
        sync: "planted".to_owned(),
        run_id: "run-1".to_owned(),
        mode: exchange.mode,
    };
    let batch = exchange.rows.first().map(|first| {
        let operation = BatchOperation::of(exchange.mode, first.operation);
        Batch::new(Arc::new(run), operation, changes.collect())
    });
    (target, batch)
}

/// One delivery: everything that anybody could read of it, and the requests.
async fn deliver(
    manifest: &Arc<Manifest>,
    exchange: &Exchange,
    parameters: &[(String, Secret)],
    reroute: &str,
) -> String {
    let store = Arc::new(MemoryTokenStore::new());
    for (name, value) in &exchange.stored {
        store
            .save(name, &Secret::new(value.as_str()))
            .await
            .unwrap();
    }
    let options = AccountOptions {
        parameters: parameters.to_vec(),
        reroute: Some(Url::parse(reroute).unwrap()),
        http: HttpClientOptions {
            timeout: Duration::from_secs(5),
            // Reading those of the machine takes longer than everything else.
            ca_file: Some(
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/secrets/nobody.pem"),
            ),
            ..HttpClientOptions::default()
        },
        now: None,
    };
    let clock = Arc::new(At(exchange.now, Mutex::default()));
    let (target, batch) = batch(manifest, exchange);
    let mut said = format!("{options:?} {parameters:?}");
    let account = Account::new(Arc::clone(manifest), options, store.clone(), clock).unwrap();
    let destination = match ManifestDestination::new(Arc::clone(&account), &target) {
        Ok(destination) => destination,
        // The sync is refused, and nothing is sent.
        Err(error) => return format!("{said}\nrefused {error:?} {error}"),
    };
    let mut sent = None;
    if let Some(batch) = &batch {
        sent = Some(destination.send(batch).await);
        said.push_str(&format!("\nsent {sent:?}"));
    } else {
        let reach = destination.reach().await;
        said.push_str(&format!("\nreach {reach:?}"));
        if let Err(error) = reach {
            said.push_str(&error.to_string());
        }
    }
    if let (Some(batch), Some(SendResult::Accepted { job, .. })) = (&batch, &sent) {
        for _ in 0..POLLS {
            let state = destination.poll(job, batch).await;
            said.push_str(&format!("\npoll {state:?}"));
            if !matches!(state, JobState::Pending { .. }) {
                break;
            }
        }
    }
    for end in [destination.finish().await, destination.check().await] {
        said.push_str(&format!("\nend {end:?}"));
        if let Err(error) = end {
            said.push_str(&error.to_string());
        }
    }
    said.push_str(&format!(
        "\n{account:?} {destination:?} {store:?} {batch:?}"
    ));
    said
}

/// Every exchange and fault of a folder, thrown back at every request. Gives what leaked, the runs, and the secret
/// parameters whose values were sent.
async fn folder(folder: &Folder, capture: &Capture) -> (Vec<String>, usize, BTreeSet<String>) {
    let manifest = Arc::new(folder.manifest.clone().unwrap());
    let mut leaks = Vec::new();
    let mut runs = 0;
    let mut sent = BTreeSet::new();
    for exchange in &folder.exchanges {
        let (parameters, given) = planted(&manifest, exchange);
        // What is known when the answer of a call comes: a token counts from the answer on that brings it.
        let mut known = vec![given.clone()];
        let mut answers = Vec::new();
        for call in &exchange.calls {
            let mut values = known.last().unwrap().clone();
            answers.push(with_tokens(&call.answer, &mut values));
            known.push(values);
        }
        let everything = known.last().unwrap().clone();
        let mut cases: Vec<(usize, RecordedAnswer, Back)> = Vec::new();
        for (at, answer) in answers.iter().enumerate() {
            let mut backs = vec![
                Back::Flat(400),
                Back::Request(400),
                Back::Answer { all: true },
                Back::Answer { all: false },
            ];
            // Thousands of rows take their time, and show nothing more.
            if exchange.rows.len() < MANY_ROWS {
                backs.extend([Back::Request(401), Back::Broken, Back::NoJson, Back::Gone]);
                backs.extend([400, 401, 403, 429, 500].map(Back::Places));
            }
            cases.extend(backs.into_iter().map(|back| (at, answer.clone(), back)));
        }
        let faults = folder
            .faults
            .iter()
            .filter(|fault| fault.exchange == exchange.name);
        cases.extend(faults.map(|fault| {
            (
                fault.call,
                fault.answer.clone(),
                Back::Answer { all: false },
            )
        }));
        for (at, answer, back) in cases {
            let values = &known[at];
            let good = answers.iter().take(at).cloned().collect();
            let mirror = Mirror::start(good, answer, back, words(values)).await;
            capture.take();
            let mut said = deliver(&manifest, exchange, &parameters, &mirror.url).await;
            said.push_str(&capture.take());
            runs += 1;
            let seen = mirror.seen();
            let mut hidden: BTreeSet<String> = values.iter().flat_map(|v| forms(v)).collect();
            hidden.extend(derived(&seen));
            // Later requests may hold what was thrown back.
            for (name, value) in &parameters {
                let forms = forms(value.expose());
                let came = |request: &String| {
                    let shown = opened(request);
                    forms.iter().any(|form| shown.contains(form))
                };
                if given.iter().any(|v| v == value.expose()) && seen.iter().take(at + 1).any(came) {
                    sent.insert(name.clone());
                }
            }
            let lower = said.to_lowercase();
            for form in &hidden {
                if lower.contains(&form.to_lowercase()) {
                    let at = lower.find(&form.to_lowercase()).unwrap();
                    let around: String = lower
                        .chars()
                        .skip(at.saturating_sub(80))
                        .take(200)
                        .collect();
                    leaks.push(format!(
                        "{} {back:?} at request {at}: {form}\n    … {around}",
                        exchange.name
                    ));
                    break;
                }
            }
        }
        // Nobody answers at all.
        let said =
            deliver(&manifest, exchange, &parameters, "http://127.0.0.1:1").await + &capture.take();
        runs += 1;
        let hidden = everything.iter().flat_map(|value| forms(value));
        leaks.extend(
            hidden
                .filter(|form| said.contains(form))
                .map(|form| format!("{} unreachable: {form}", exchange.name)),
        );
    }
    (leaks, runs, sent)
}

/// Folders are shared out between two threads, each with a capture of its own.
fn part(number: usize) -> (Vec<String>, usize, Vec<String>) {
    let capture = Capture::default();
    let _guard = tracing::subscriber::set_default(capture.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut leaks, mut runs, mut unsent) = (Vec::new(), 0, Vec::new());
    for shipped_folder in SHIPPED.iter().skip(number).step_by(2) {
        let read = shipped(shipped_folder.name).unwrap();
        let (found, of_folder, sent) = runtime.block_on(folder(&read, &capture));
        leaks.extend(
            found
                .into_iter()
                .map(|leak| format!("{}: {leak}", shipped_folder.name)),
        );
        runs += of_folder;
        let parameters = &read.manifest.as_ref().unwrap().parameters;
        let secret = parameters.iter().filter(|parameter| parameter.secret);
        let missing = secret.filter(|parameter| !sent.contains(&parameter.name));
        unsent
            .extend(missing.map(|parameter| format!("{}.{}", shipped_folder.name, parameter.name)));
    }
    (leaks, runs, unsent)
}

#[test]
fn no_planted_credential_comes_out_anywhere() {
    let threads = [0, 1].map(|number| std::thread::spawn(move || part(number)));
    let (mut leaks, mut runs, mut unsent) = (Vec::new(), 0, Vec::new());
    for thread in threads {
        let (found, of_part, missing) = thread.join().unwrap();
        leaks.extend(found);
        runs += of_part;
        unsent.extend(missing);
    }
    unsent.sort();
    assert!(
        leaks.is_empty(),
        "{} leaks\n{}",
        leaks.len(),
        leaks.join("\n")
    );
    assert!(runs > 4_000, "{runs}");
    // Keys that sign are never sent. Every other credential has to be seen on the wire, or nothing was proved.
    assert_eq!(unsent, SIGNING, "these were not sent in any exchange");
}

/// Credentials that sign, and so are not sent themselves.
const SIGNING: [&str; 5] = [
    "google_data_manager.private_key",
    "google_sheets.private_key",
    "meta_audiences.app_secret",
    "meta_conversions.app_secret",
    "salesforce.private_key",
];

/// A capture that sees nothing would find nothing.
#[test]
fn what_is_traced_is_captured() {
    let capture = Capture::default();
    tracing::subscriber::with_default(capture.clone(), || {
        let span = tracing::trace_span!("outer", secret = "in-a-span");
        let _inside = span.enter();
        tracing::trace!(secret = ?"in-an-event", "in {}", "words");
    });
    let text = capture.take();
    for part in ["in-a-span", "in-an-event", "in words"] {
        assert!(text.contains(part), "{text}");
    }
}
