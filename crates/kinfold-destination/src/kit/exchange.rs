//! Recorded exchanges and faults, and reading them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kinfold_project::{
    Diagnostic, FileId, SourceMap, Span, SyncMode, Value, ValueKind, suggest, yaml,
};
use kinfold_sync::{Operation, Reach};
use serde_json::Map;

use super::{blocks, example_key};
use crate::codes;
use crate::manifest::fields::{Fields, text, wrong_type};
use crate::template::Reading;

/// A batch, its requests and answers, and the outcomes.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The name of its file, without the ending.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// The object, as a sync names it.
    pub object: String,
    /// The mode of the sync.
    pub mode: SyncMode,
    /// Parameters of the connection.
    pub connection: Vec<(String, String)>,
    /// The time.
    pub now: DateTime<Utc>,
    /// What is remembered from earlier runs.
    pub stored: Vec<(String, String)>,
    /// The rows.
    pub rows: Vec<RecordedRow>,
    /// The requests in their order, and the answers.
    pub calls: Vec<Recorded>,
    /// Whether the run ends after the batch.
    pub finish: bool,
    /// What must come of it.
    pub result: Result,
    /// What must be remembered afterwards.
    pub stored_after: Vec<(String, String)>,
    /// Where it stands.
    pub span: Span,
}

/// A row of a batch.
#[derive(Clone, Debug)]
pub struct RecordedRow {
    /// What happened to it.
    pub operation: Operation,
    /// Its key.
    pub key: Map<String, serde_json::Value>,
    /// Its fields.
    pub fields: Map<String, serde_json::Value>,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request.
    pub request: RecordedRequest,
    /// The answer.
    pub answer: RecordedAnswer,
}

/// A request that must come.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Headers that are compared, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct RecordedAnswer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What must come of a batch.
#[derive(Clone, Debug)]
pub enum Result {
    /// An outcome for each row.
    Rows(Vec<Expected>),
    /// The same for all.
    Whole {
        /// One of the words of `result`.
        word: &'static str,
        /// The class of the failure.
        class: Option<String>,
        /// A part of the message.
        message: Option<String>,
        /// For how long to wait.
        wait: Option<Duration>,
    },
    /// What the object tells of its reach.
    Reach(Reach),
    /// The credentials are asked about: whether there is anything to ask by. They are taken then.
    Check {
        /// Whether the destination can be asked.
        asks: bool,
    },
}

/// The outcome that a row must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// `delivered`, `rejected`, `retryable` or `unknown`.
    pub outcome: String,
    /// The class of a failure.
    pub class: Option<String>,
    /// A part of the message.
    pub message: Option<String>,
}

/// An answer in the place of a recorded one.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its name.
    pub name: String,
    /// When it happens.
    pub about: Option<String>,
    /// The exchange.
    pub exchange: String,
    /// Which of its calls, from 0.
    pub call: usize,
    /// The answer.
    pub answer: RecordedAnswer,
    /// What must come of it.
    pub result: Result,
    /// Where it stands.
    pub span: Span,
}

pub(crate) fn read_exchange(
    name: &str,
    files: &SourceMap,
    file: FileId,
    problems: &mut Vec<Diagnostic>,
) -> Option<Exchange> {
    let source = files.get(file)?.text.clone();
    let value = yaml::read(&source, file, problems)?;
    let reading = &mut Reading { files, problems };
    let fields = Fields::of(&value, &blocks::EXCHANGE, reading)?;
    let now = fields.text("now", reading);
    let now = now.map_or_else(usual_now, |text| {
        text.parse().unwrap_or_else(|_| {
            reading.error(
                codes::INVALID_VALUE,
                "`now` must be a time of RFC 3339",
                fields.span_of("now"),
            );
            usual_now()
        })
    });
    let mode = fields.word("mode", reading);
    let mode = SyncMode::ALL
        .into_iter()
        .find(|known| Some(known.as_str()) == mode);
    let mut rows = Vec::new();
    for value in fields.blocks("rows", reading) {
        rows.extend(row(value, reading));
    }
    let mut calls = Vec::new();
    for value in fields.blocks("calls", reading) {
        calls.extend(recorded(value, reading));
    }
    let result = match (fields.get("outcomes"), fields.written("reach")) {
        (Some(value), _) => Some(Result::Rows(outcomes(value, reading))),
        (None, Some(value)) => super::reach::read(value, reading).map(Result::Reach),
        (None, None) => match fields.word("check", reading) {
            Some(word) => Some(Result::Check {
                asks: word == "works",
            }),
            None => whole(&fields, reading),
        },
    };
    Some(Exchange {
        name: name.to_owned(),
        about: fields.text("about", reading)?,
        object: fields.text("object", reading)?,
        mode: mode.unwrap_or(SyncMode::Upsert),
        connection: texts(&fields, "connection", reading)
            .into_iter()
            .map(|(name, value)| (name, example_key::value_of(value)))
            .collect(),
        now,
        stored: texts(&fields, "stored", reading),
        rows,
        calls,
        finish: fields.flag("finish", reading) == Some(true),
        result: result?,
        stored_after: texts(&fields, "stored_after", reading),
        span: fields.span,
    })
}

/// The time of an exchange that names none.
pub(crate) fn usual_now() -> DateTime<Utc> {
    // 2026-01-02T03:04:05Z
    DateTime::from_timestamp(1_767_323_045, 0).unwrap_or_default()
}

fn texts(fields: &Fields<'_>, key: &str, reading: &mut Reading<'_>) -> Vec<(String, String)> {
    let entries = fields.map(key, reading).iter();
    entries
        .filter_map(|(name, value)| Some((name.value.clone(), text(value, key, reading)?)))
        .collect()
}

fn row(value: &Value, reading: &mut Reading<'_>) -> Option<RecordedRow> {
    let fields = Fields::of(value, &blocks::ROW, reading)?;
    let operation = match fields.word("operation", reading) {
        Some("update") => Operation::Update,
        Some("remove") => Operation::Remove,
        Some("clear") => Operation::Clear,
        _ => Operation::Add,
    };
    let mut object = |key: &str| match fields.get(key).map(Value::to_json) {
        Some(serde_json::Value::Object(map)) => map,
        None => Map::new(),
        Some(_) => {
            let message = format!("`{key}` of a row is a mapping");
            reading.error(codes::WRONG_TYPE, message, fields.span_of(key));
            Map::new()
        }
    };
    Some(RecordedRow {
        operation,
        key: object("key"),
        fields: object("fields"),
    })
}

fn recorded(value: &Value, reading: &mut Reading<'_>) -> Option<Recorded> {
    let fields = Fields::of(value, &blocks::RECORDED, reading)?;
    let below = Fields::of(fields.get("request")?, &blocks::REQUEST, reading)?;
    let request = RecordedRequest {
        method: below.text("method", reading)?,
        url: below.text("url", reading)?,
        headers: texts(&below, "headers", reading)
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect(),
        body: body(&below, reading),
    };
    let answer = answer(fields.get("answer")?, reading)?;
    Some(Recorded { request, answer })
}

fn answer(value: &Value, reading: &mut Reading<'_>) -> Option<RecordedAnswer> {
    let fields = Fields::of(value, &blocks::ANSWER, reading)?;
    let mut headers = texts(&fields, "headers", reading);
    let typed = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if fields.written("json").is_some() && !typed {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let status = fields.count("status", reading)?;
    Some(RecordedAnswer {
        status: u16::try_from(status).ok()?,
        headers,
        body: body(&fields, reading),
    })
}

fn body(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Vec<u8> {
    match fields.written("json") {
        Some(value) => value.to_json().to_string().into_bytes(),
        None => fields
            .text("text", reading)
            .unwrap_or_default()
            .into_bytes(),
    }
}

fn whole(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Result> {
    Some(Result::Whole {
        word: fields.word("result", reading)?,
        class: fields.text("class", reading),
        message: fields.text("message", reading),
        wait: fields.duration("wait", reading),
    })
}

fn outcomes(value: &Value, reading: &mut Reading<'_>) -> Vec<Expected> {
    let ValueKind::List(items) = &value.kind else {
        wrong_type(reading, "`outcomes`", "a list", value);
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| outcome(item, reading))
        .collect()
}

fn outcome(value: &Value, reading: &mut Reading<'_>) -> Option<Expected> {
    const FAILURES: [&str; 3] = ["rejected", "retryable", "unknown"];
    if value.as_str() == Some("delivered") {
        return Some(Expected {
            outcome: "delivered".to_owned(),
            class: None,
            message: None,
        });
    }
    let found = FAILURES
        .iter()
        .find_map(|word| Some((*word, value.get(word)?)));
    let known = |key: &str| key == "message" || FAILURES.contains(&key);
    let strange = match &value.kind {
        ValueKind::Map(entries) => entries.iter().any(|(key, _)| !known(&key.value)),
        _ => true,
    };
    let Some((word, class)) = found.filter(|_| !strange) else {
        let message = format!(
            "an outcome is `delivered`, or one of {} with its class",
            suggest::one_of(FAILURES)
        );
        reading.error(codes::INVALID_VALUE, message, value.span);
        return None;
    };
    Some(Expected {
        outcome: word.to_owned(),
        class: class.as_str().map(str::to_owned),
        message: value
            .get("message")
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

pub(crate) fn read_faults(
    files: &SourceMap,
    file: FileId,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Fault> {
    let Some(source) = files.get(file).map(|file| file.text.clone()) else {
        return Vec::new();
    };
    let Some(value) = yaml::read(&source, file, problems) else {
        return Vec::new();
    };
    let reading = &mut Reading { files, problems };
    let Some(fields) = Fields::of(&value, &blocks::FAULTS, reading) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in fields.map("faults", reading) {
        found.extend(one_fault(&name.value, value, reading));
    }
    found
}

fn one_fault(name: &str, value: &Value, reading: &mut Reading<'_>) -> Option<Fault> {
    let fields = Fields::of(value, &blocks::FAULT, reading)?;
    let call = fields.count("call", reading).unwrap_or(1);
    Some(Fault {
        name: name.to_owned(),
        about: fields.text("about", reading),
        exchange: fields.text("exchange", reading)?,
        call: usize::try_from(call.saturating_sub(1)).ok()?,
        answer: answer(fields.get("answer")?, reading)?,
        result: whole(&fields, reading)?,
        span: fields.span,
    })
}
