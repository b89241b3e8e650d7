//! An operation of a document as a call of a manifest.

use serde_json::{Value, json};

use super::answers::{Mixed, success};
use super::api::{Api, Operation};
use super::candidate::{Candidate, statuses};
use super::connection::is_idempotency;
use super::outcome::outcome;
use super::yaml::Yaml;
use crate::manifest::OperationName;

/// Rows of a request where the document does not say.
const USUAL_ROWS: u64 = 100;
/// More rows of a request than this are not believed to be useful.
const MOST_ROWS: u64 = 100_000;

/// What a sync writes after the name of an object.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) example: String,
}

/// An answer for exchanges.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// A call, and what goes with it.
pub(super) struct Call {
    pub(super) yaml: Yaml,
    pub(super) arguments: Vec<Argument>,
    /// Most rows of a request, and what is to be said of the number.
    pub(super) rows: u64,
    pub(super) rows_note: Option<String>,
    /// Whether the vendor knows a request that it got before.
    pub(super) idempotent: bool,
    pub(super) good: Answer,
    pub(super) mixed: Option<Mixed>,
}

/// What a call is made for.
pub(super) struct Purpose<'a> {
    pub(super) name: OperationName,
    /// The expression that takes the place of the parameter that names the row.
    pub(super) row_id: Option<String>,
    /// For which rows.
    pub(super) when: Option<&'a str>,
    /// Names of the query that credentials have.
    pub(super) taken: &'a [String],
}

pub(super) struct Writer<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) arguments: Vec<Argument>,
    pub(super) notes: Vec<String>,
}

/// The call of a candidate.
pub(super) fn call(api: &Api, candidate: &Candidate, purpose: &Purpose<'_>) -> Option<Call> {
    let operation = api.operations.get(candidate.position)?;
    let request = &candidate.request;
    let mut writer = Writer {
        candidate,
        arguments: Vec::new(),
        notes: Vec::new(),
    };
    let address = writer.address(&operation.path, purpose);
    let mut yaml = Yaml::map::<&str>([]);
    let idempotent = operation
        .parameters_in("header")
        .find(|parameter| is_idempotency(&parameter.name));
    let (rows, rows_note) = rows_of(candidate);
    let query = writer.query(api, operation, purpose.taken);
    let body = writer.body(purpose);
    let success = success(api, operation);
    let repeats = idempotent.is_some()
        || !matches!(purpose.name, OperationName::Insert | OperationName::Append);
    let mut outcome = outcome(request, success.as_ref(), &candidate.key, repeats);
    yaml.add_with(
        candidate.method.to_lowercase(),
        Yaml::text(&address),
        todo(&writer.notes),
    );
    if let Some(when) = purpose.when {
        yaml.add("when", Yaml::text(when));
    }
    if !query.is_empty() {
        yaml.add("query", query);
    }
    if let Some(header) = idempotent {
        yaml.add(
            "headers",
            Yaml::map([(header.name.to_lowercase(), Yaml::text("{{ batch.id }}"))]),
        );
    }
    if let Some((name, body)) = body {
        yaml.add(name, body);
        if let Some(content_type) = &request.content_type {
            yaml.add("content_type", Yaml::text(content_type));
        }
    }
    if success.as_ref().is_some_and(|success| !success.json) {
        yaml.add("answer", Yaml::text("text"));
    }
    let mut rules = own_rules(
        api,
        operation,
        candidate,
        purpose,
        !writer.arguments.is_empty(),
    );
    let notes = std::mem::take(&mut outcome.notes);
    let reads_rows = outcome.reading.is_some();
    let (of_rules, of_rows) = if reads_rows {
        (Vec::new(), todo(&notes))
    } else {
        (todo(&notes), Vec::new())
    };
    rules.splice(0..0, std::mem::take(&mut outcome.rules));
    if !rules.is_empty() {
        yaml.add_with("rules", Yaml::List(rules), of_rules);
    } else if let (Yaml::Map(entries), false) = (&mut yaml, of_rules.is_empty())
        && let Some(first) = entries.first_mut()
    {
        first.comments.extend(of_rules);
    }
    if let Some(reading) = outcome.reading {
        yaml.add_with("rows", reading.rows, of_rows);
        yaml.add("unnamed", Yaml::text(reading.unnamed));
    }
    Some(Call {
        yaml,
        arguments: writer.arguments,
        rows,
        rows_note,
        idempotent: idempotent.is_some(),
        good: Answer {
            status: success.as_ref().map_or(200, |success| success.status),
            body: match success {
                Some(success) if success.schema.is_some() && success.json => outcome.good,
                _ => Value::Null,
            },
        },
        mixed: outcome.mixed,
    })
}

/// Comments that say what a person has to decide.
pub(super) fn todo(notes: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for note in notes {
        let comment = format!("TODO: {note}");
        if !found.contains(&comment) {
            found.push(comment);
        }
    }
    found
}

fn rows_of(candidate: &Candidate) -> (u64, Option<String>) {
    if !candidate.batch {
        return (1, None);
    }
    match candidate.request.most {
        Some(most) => (most.clamp(1, MOST_ROWS), None),
        None => (
            USUAL_ROWS,
            Some("How many rows may a request have? The document does not say.".to_owned()),
        ),
    }
}

fn own_rules(
    api: &Api,
    operation: &Operation,
    candidate: &Candidate,
    purpose: &Purpose<'_>,
    has_arguments: bool,
) -> Vec<Yaml> {
    let rule = |status: u16, is: &str| {
        Yaml::map([
            ("status", Yaml::Scalar(json!(status))),
            ("is", Yaml::text(is)),
        ])
    };
    let says = |code: &str| statuses(operation).iter().any(|status| status == code);
    let single = candidate.row_parameter.is_some();
    let mut rules = Vec::new();
    match purpose.name {
        OperationName::Delete if single => rules.push(rule(404, "done")),
        OperationName::Update if single => rules.push(rule(404, "missing_row")),
        _ if has_arguments && !single && says("404") => rules.push(rule(404, "missing_object")),
        _ => {}
    }
    if let Some(message) = super::limits::error_message(api, operation) {
        rules.push(Yaml::map([
            (
                "status",
                Yaml::list([Yaml::Scalar(json!(400)), Yaml::Scalar(json!(422))]),
            ),
            ("is", Yaml::text("rejected")),
            ("message", Yaml::text(&message)),
        ]));
    }
    rules
}
