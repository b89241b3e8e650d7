//! Exchanges and faults: what a manifest does is recorded by doing it, against a server on this machine.

use std::sync::Arc;
use std::time::Duration;

use kinfold_project::{FileId, Span, SyncMode};
use serde_json::{Map, Value, json};

use super::call::Answer;
use super::connection::Connection;
use super::objects::{Object, Planned};
use super::yaml::Yaml;
use crate::kit::{
    self, Exchange, Expected, ExpectedResult, Recorded, RecordedAnswer, RecordedRequest,
    RecordedRow,
};
use crate::manifest::{Manifest, OperationName};

/// A batch that shows an operation.
pub(super) struct Batch {
    /// The file's name, without its ending.
    pub(super) name: String,
    about: String,
    exchange: Exchange,
    writes: usize,
}

/// The batch of an operation.
pub(super) fn batch(
    name: String,
    object: &Object,
    planned: &Planned,
    connection: &Connection,
) -> Batch {
    let (mode, operation) = match planned.name {
        OperationName::Append => (SyncMode::Append, kinfold_sync::Operation::Add),
        OperationName::Insert => (SyncMode::Insert, kinfold_sync::Operation::Add),
        OperationName::Update => (SyncMode::Update, kinfold_sync::Operation::Update),
        OperationName::Upsert => (SyncMode::Upsert, kinfold_sync::Operation::Add),
        OperationName::Delete => {
            // A mode that the object has: what is deleted has been written by it.
            let has = |name| object.operations.iter().any(|planned| planned.name == name);
            let mode = if has(OperationName::Upsert) {
                SyncMode::Mirror
            } else if has(OperationName::Update) {
                SyncMode::Update
            } else if has(OperationName::Insert) {
                SyncMode::Insert
            } else {
                SyncMode::Append
            };
            (mode, kinfold_sync::Operation::Remove)
        }
    };
    let key = object.keys.first().cloned().unwrap_or_default();
    let rows = planned.rows.iter().map(|row| {
        let mut fields = row.clone();
        let mut of_key = Map::new();
        if let Some(value) = fields.shift_remove(&key) {
            of_key.insert(key.clone(), value);
        }
        RecordedRow {
            operation,
            key: of_key,
            fields,
        }
    });
    let arguments: String = object
        .arguments
        .iter()
        .map(|argument| format!("/{}", argument.example))
        .collect();
    let mut answers: Vec<RecordedAnswer> = planned.answers.iter().map(recorded).collect();
    if connection.token.is_some() {
        let body =
            json!({"access_token": "made-up-token", "token_type": "bearer", "expires_in": 3600});
        answers.insert(0, recorded(&Answer { status: 200, body }));
    }
    let exchange = Exchange {
        name: name.clone(),
        about: String::new(),
        object: format!("{}{arguments}", object.name),
        mode,
        connection: connection
            .parameters
            .iter()
            .map(|given| (given.name.clone(), given.value.clone()))
            .collect(),
        now: kit::usual_now(),
        stored: Vec::new(),
        rows: rows.collect(),
        calls: answers
            .into_iter()
            .map(|answer| Recorded {
                request: RecordedRequest {
                    method: String::new(),
                    url: String::new(),
                    headers: Vec::new(),
                    body: Vec::new(),
                },
                answer,
            })
            .collect(),
        finish: false,
        result: ExpectedResult::Rows(Vec::new()),
        stored_after: Vec::new(),
        span: Span::new(FileId(0), 0, 0),
    };
    Batch {
        name,
        about: format!(
            "Two rows by `{}` of `{}`.",
            planned.name.as_str(),
            object.name
        ),
        exchange,
        writes: planned.writes + usize::from(connection.token.is_some()),
    }
}

fn recorded(answer: &Answer) -> RecordedAnswer {
    let empty = answer.body.is_null() || answer.status == 204;
    RecordedAnswer {
        status: answer.status,
        headers: match empty {
            true => Vec::new(),
            false => vec![("content-type".to_owned(), "application/json".to_owned())],
        },
        body: match empty {
            true => Vec::new(),
            false => answer.body.to_string().into_bytes(),
        },
    }
}

/// The file of a batch: what it becomes, and what comes of it.
pub(super) async fn exchange(
    manifest: &Arc<Manifest>,
    batch: &Batch,
    headers: &[String],
) -> Result<String, kit::Mismatch> {
    let recording = kit::record(manifest, &batch.exchange).await?;
    let exchange = &batch.exchange;
    let mut file = Yaml::map([
        ("about", Yaml::text(&batch.about)),
        ("object", Yaml::text(&exchange.object)),
    ]);
    if exchange.mode != SyncMode::Upsert {
        file.add("mode", Yaml::text(exchange.mode.as_str()));
    }
    if !exchange.connection.is_empty() {
        let given = exchange.connection.iter();
        file.add(
            "connection",
            Yaml::map(given.map(|(name, value)| (name.clone(), Yaml::text(value)))),
        );
    }
    let rows = exchange.rows.iter().map(|row| {
        let mut yaml = Yaml::map::<&str>([]);
        match row.operation {
            kinfold_sync::Operation::Update => yaml.add("operation", Yaml::text("update")),
            kinfold_sync::Operation::Remove => yaml.add("operation", Yaml::text("remove")),
            _ => {}
        }
        yaml.add("key", Yaml::json(&Value::Object(row.key.clone())));
        if !row.fields.is_empty() {
            yaml.add("fields", Yaml::json(&Value::Object(row.fields.clone())));
        }
        yaml
    });
    file.add("rows", Yaml::list(rows));
    let calls = recording
        .requests
        .iter()
        .zip(&exchange.calls)
        .map(|(request, call)| {
            let mut of_request = Yaml::map([
                ("method", Yaml::text(&request.method)),
                ("url", Yaml::text(&request.url)),
            ]);
            let shown = request.headers.iter().filter(|(name, value)| {
                let typed = name == "content-type" && !value.starts_with("multipart");
                typed || headers.contains(name)
            });
            let shown: Vec<(String, Yaml)> = shown
                .map(|(name, value)| (name.clone(), Yaml::text(value)))
                .collect();
            if !shown.is_empty() {
                of_request.add("headers", Yaml::map(shown));
            }
            body(&request.body, &mut of_request);
            Yaml::map([("request", of_request), ("answer", answer(&call.answer))])
        });
    file.add("calls", Yaml::list(calls));
    match &recording.result {
        ExpectedResult::Rows(rows) => file.add("outcomes", Yaml::list(rows.iter().map(outcome))),
        whole => result(whole, &mut file),
    }
    Ok(file.write())
}

/// A body: as JSON, if reading it as JSON loses nothing.
fn body(bytes: &[u8], yaml: &mut Yaml) {
    if bytes.is_empty() {
        return;
    }
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    match value.filter(|value| value.to_string().as_bytes() == bytes) {
        Some(value) => yaml.add("json", Yaml::json(&value)),
        None => yaml.add("text", Yaml::text(&String::from_utf8_lossy(bytes))),
    }
}

fn answer(answer: &RecordedAnswer) -> Yaml {
    let mut yaml = Yaml::map([("status", Yaml::Scalar(answer.status.into()))]);
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| name != "content-type");
    let headers: Vec<(String, Yaml)> = headers
        .map(|(name, value)| (name.clone(), Yaml::text(value)))
        .collect();
    if !headers.is_empty() {
        yaml.add("headers", Yaml::map(headers));
    }
    body(&answer.body, &mut yaml);
    yaml
}

fn outcome(expected: &Expected) -> Yaml {
    let Some(class) = &expected.class else {
        return Yaml::text(&expected.outcome);
    };
    let mut yaml = Yaml::map([(expected.outcome.clone(), Yaml::text(class))]);
    if let Some(message) = &expected.message {
        yaml.add("message", Yaml::text(message));
    }
    yaml
}

fn result(whole: &ExpectedResult, yaml: &mut Yaml) {
    if let ExpectedResult::Whole {
        word,
        class,
        message,
        wait,
    } = whole
    {
        yaml.add("result", Yaml::text(word));
        if let Some(class) = class {
            yaml.add("class", Yaml::text(class));
        }
        if let Some(message) = message {
            yaml.add("message", Yaml::text(message));
        }
        if let Some(wait) = wait.filter(|wait| *wait >= Duration::from_millis(1)) {
            let text = match wait.subsec_millis() {
                0 => format!("{}s", wait.as_secs()),
                _ => format!("{}ms", wait.as_millis()),
            };
            yaml.add("wait", Yaml::text(&text));
        }
    }
}

/// The file of faults: what every HTTP API can answer, as this manifest takes it.
pub(super) async fn faults(
    manifest: &Arc<Manifest>,
    batch: &Batch,
    wait: Option<&(String, &'static str)>,
    json: bool,
) -> Result<String, kit::Mismatch> {
    let (header, value) = wait.map_or(("retry-after", "3"), |(name, value)| {
        (name.as_str(), *value)
    });
    let mut all = vec![
        (
            "too_fast",
            "Too many calls.",
            429,
            vec![(header.to_owned(), value.to_owned())],
            "",
        ),
        ("broken", "The vendor's server fails.", 500, Vec::new(), ""),
        (
            "away",
            "A gateway finds no server.",
            502,
            Vec::new(),
            "Bad Gateway",
        ),
        (
            "refused_key",
            "The credentials are wrong.",
            401,
            Vec::new(),
            "",
        ),
    ];
    if json {
        all.push((
            "torn",
            "An answer that ends in the middle: nobody knows what was done.",
            200,
            Vec::new(),
            "{\"",
        ));
    }
    let mut file = Yaml::map::<&str>([]);
    for (name, about, status, headers, text) in all {
        let fault = RecordedAnswer {
            status,
            headers,
            body: text.as_bytes().to_vec(),
        };
        let mut exchange = batch.exchange.clone();
        exchange.calls.truncate(batch.writes);
        let again = Recorded {
            request: RecordedRequest {
                method: String::new(),
                url: String::new(),
                headers: Vec::new(),
                body: Vec::new(),
            },
            answer: fault.clone(),
        };
        // What is repeated meets the same fault.
        exchange
            .calls
            .extend(std::iter::repeat_n(again, batch.exchange.calls.len() + 4));
        let recording = kit::record(manifest, &exchange).await?;
        if matches!(recording.result, ExpectedResult::Rows(_)) {
            continue;
        }
        let mut yaml = Yaml::map([
            ("about", Yaml::text(about)),
            ("exchange", Yaml::text(&batch.name)),
        ]);
        if batch.writes > 0 {
            yaml.add("call", Yaml::Scalar((batch.writes + 1).into()));
        }
        yaml.add("answer", answer(&fault));
        result(&recording.result, &mut yaml);
        file.add(name, yaml);
    }
    Ok(Yaml::map([("faults", file)]).write())
}
