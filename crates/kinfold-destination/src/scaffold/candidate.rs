//! Operations that look as if they wrote rows, and why.

use super::api::{Api, Operation};
use super::points::{Points, judge};
use super::schema::Property;
use super::shape::{Format, Request, Shape, request};
use super::words::{ACTIONS, EVENTS, IDENTITIES, LISTS, has, identity, snake, words};
use crate::manifest::OperationName;

/// The name of an object that has none.
const NO_NAME: &str = "rows";
/// Parts of a path below which something is about one person.
const PEOPLE: &[&str] = &[
    "contacts",
    "users",
    "profiles",
    "customers",
    "persons",
    "people",
    "leads",
    "members",
    "subscribers",
];

/// An operation that looks as if it wrote rows.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The id of the operation.
    pub id: String,
    /// `POST`, `PUT`, …
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// What it does, in the words of the document.
    pub summary: String,
    /// What it would be in a manifest.
    pub operation: OperationName,
    /// The name of the object that it writes to.
    pub object: String,
    /// Whether a request has several rows.
    pub batch: bool,
    /// How likely it is what is looked for: the more, the likelier.
    pub score: i32,
    /// Why, the weightiest reason first.
    pub reasons: Vec<String>,
    /// Its position in [`Api::operations`].
    pub(super) position: usize,
    pub(super) request: Request,
    /// The parameter of the path that names the row.
    pub(super) row_parameter: Option<String>,
    /// The field by which rows are found.
    pub(super) key: String,
}

/// Every operation that looks as if it wrote rows, the likeliest first.
#[must_use]
pub fn candidates(api: &Api) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = api
        .operations
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.method != "GET")
        .filter_map(|(position, operation)| candidate(api, position, operation))
        .collect();
    // Of two that are alike, the one with the shorter path is the plainer.
    found.sort_by_key(|candidate| {
        (
            std::cmp::Reverse(candidate.score),
            candidate.path.len(),
            candidate.position,
        )
    });
    found
}

fn candidate(api: &Api, position: usize, operation: &Operation) -> Option<Candidate> {
    let request = request(api, operation);
    let row_parameter = row_parameter(operation, &request);
    if request.format == Format::Nothing && row_parameter.is_none() {
        return None;
    }
    if let Shape::One { row, .. } = &request.shape
        && row.properties.is_empty()
        && !row.open
        && row_parameter.is_none()
    {
        return None;
    }
    let name = kind(operation, &request, row_parameter.as_deref());
    let mut points = Points::default();
    judge(
        operation,
        &request,
        name,
        row_parameter.as_deref(),
        &mut points,
    );
    let score = points.0.iter().map(|(points, _)| points).sum();
    points
        .0
        .sort_by_key(|(points, _)| std::cmp::Reverse(*points));
    if score <= 0 {
        return None;
    }
    Some(Candidate {
        id: operation.id.clone(),
        method: operation.method,
        path: operation.path.clone(),
        summary: super::prose::line(&operation.summary, 100),
        operation: name,
        object: object_of(operation, &request),
        batch: request.is_batch(),
        score,
        reasons: points.0.into_iter().map(|(_, reason)| reason).collect(),
        position,
        key: key(&request, row_parameter.as_deref()),
        request,
        row_parameter,
    })
}

/// The parameter of the path that names the row: the last one, if the request has one row.
fn row_parameter(operation: &Operation, request: &Request) -> Option<String> {
    if request.is_batch() {
        return None;
    }
    let parts = operation.segments();
    let at = parts.iter().rposition(|part| part.contains('{'))?;
    let part = parts.get(at)?;
    let name = part.split_once('{')?.1.split_once('}')?.0;
    let before = at
        .checked_sub(1)
        .and_then(|at| parts.get(at))
        .map(|part| words(part));
    let last = at + 1 == parts.len();
    let of_rows = before.is_some_and(|before| has(&before, PEOPLE) && !has(&before, LISTS));
    // What is posted below a row of people is about that row; what is posted below a list is a new member of it.
    let named = if last {
        operation.method != "POST" || of_rows
    } else {
        of_rows
    };
    named.then(|| name.to_owned())
}

/// What an operation would be in a manifest.
fn kind(operation: &Operation, request: &Request, row_parameter: Option<&str>) -> OperationName {
    let path = operation.segments();
    let last = path
        .iter()
        .rev()
        .find(|part| !part.contains('{'))
        .map(|part| words(part))
        .unwrap_or_default();
    let said = words(&format!("{} {}", operation.id, operation.summary));
    let id = words(match operation.id.contains(' ') {
        true => "",
        false => &operation.id,
    });
    let removes = [
        "delete",
        "remove",
        "unsubscribe",
        "archive",
        "removes",
        "deletes",
        "destroy",
    ];
    if operation.method == "DELETE" || has(&last, &removes) || has(&id, &removes) {
        return OperationName::Delete;
    }
    let upserts = [
        "upsert", "identify", "import", "sync", "merge", "ingest", "imports",
    ];
    let creates = ["create", "creates", "add", "adds", "new", "insert"];
    let updates = ["update", "updates", "edit", "modify", "change", "patch"];
    let both = has(&said, &creates) && has(&said, &updates);
    let all = [last.clone(), said.clone()].concat();
    if has(&all, &["upsert", "identify"]) || both {
        return OperationName::Upsert;
    }
    if has(&last, EVENTS) || has(&id, &["track", "events"]) {
        return OperationName::Append;
    }
    if has(&all, &upserts) || has(&last, &["subscribe"]) {
        return OperationName::Upsert;
    }
    let statuses = statuses(operation);
    let says = |code: &str| statuses.iter().any(|status| status == code);
    match operation.method {
        "PATCH" => OperationName::Update,
        "PUT" if has(&said, &updates) && !says("201") => OperationName::Update,
        "PUT" if row_parameter.is_some() && says("404") && !says("201") => OperationName::Update,
        "PUT" => OperationName::Upsert,
        _ if matches!(request.shape, Shape::Values { .. }) => OperationName::Upsert,
        _ if has(&said, &updates) || row_parameter.is_some() => OperationName::Update,
        _ => OperationName::Insert,
    }
}

/// The field by which rows are found: the parameter of the path, or the best of the row.
fn key(request: &Request, row_parameter: Option<&str>) -> String {
    if let Some(name) = row_parameter {
        return name.to_owned();
    }
    if let Shape::Values { key, .. } = &request.shape {
        return key.clone();
    }
    let Some(row) = request.row() else {
        return "id".to_owned();
    };
    let mut writable = row
        .properties
        .iter()
        .filter(|property| !property.schema.read_only && property.schema.constant().is_none())
        .filter(|property| property.schema.is_scalar());
    let ranked = writable
        .clone()
        .filter_map(|property| Some((identity(&property.name)?, property)))
        .min_by_key(|(rank, property)| (*rank, !property.required));
    let known = ranked.filter(|(rank, _)| *rank < IDENTITIES.len());
    let named = |property: &&Property| ["name", "title"].contains(&property.name.as_str());
    known
        .map(|(_, property)| property)
        .or_else(|| writable.clone().find(|property| property.required))
        .or_else(|| writable.clone().find(named))
        .or(ranked.map(|(_, property)| property))
        .or_else(|| writable.next())
        .map_or_else(|| "id".to_owned(), |property| property.name.clone())
}

/// The name of what an operation writes to: the last part of its path that says no action.
pub(super) fn object(operation: &Operation) -> String {
    let parts = operation.segments();
    let named = parts
        .iter()
        .rev()
        .filter(|part| !part.contains('{'))
        .find_map(|part| {
            let mut words = words(part);
            let version = |word: &String| {
                word.strip_prefix('v')
                    .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
            };
            words.retain(|word| !ACTIONS.contains(&word.as_str()) && !version(word));
            (!words.is_empty()).then(|| words.join("_"))
        });
    snake(&named.unwrap_or_default(), NO_NAME)
}

/// The same; where the path tells nothing, the name of the list of rows.
fn object_of(operation: &Operation, request: &Request) -> String {
    let name = object(operation);
    match &request.shape {
        Shape::Rows { list, .. } if name == NO_NAME => {
            let named = list
                .iter()
                .rev()
                .find(|name| !ACTIONS.contains(&name.as_str()));
            named.map_or(name, |list| snake(list, NO_NAME))
        }
        _ => name,
    }
}

/// The statuses of which a document speaks.
pub(super) fn statuses(operation: &Operation) -> Vec<String> {
    let responses = operation
        .value
        .get("responses")
        .and_then(serde_json::Value::as_object);
    responses
        .into_iter()
        .flatten()
        .map(|(status, _)| status.clone())
        .collect()
}
