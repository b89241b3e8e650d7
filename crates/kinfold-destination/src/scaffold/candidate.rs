//! Operations that look as if they wrote rows, and why.

use super::api::{Api, Operation};
use super::schema::{Property, Schema};
use super::shape::{Format, Request, Shape, request};
use super::words::{
    ACTIONS, BATCHES, EVENTS, IDENTITIES, LISTS, ROWS, first_of, has, identity, snake, words,
};
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

/// Points and what they are given for.
#[derive(Default)]
struct Points(Vec<(i32, String)>);

impl Points {
    fn add(&mut self, points: i32, reason: impl Into<String>) {
        self.0.push((points, reason.into()));
    }
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

fn judge(
    operation: &Operation,
    request: &Request,
    name: OperationName,
    row_parameter: Option<&str>,
    points: &mut Points,
) {
    let path = words(&operation.path);
    let said = words(&format!("{} {}", operation.id, operation.summary));
    points.add(
        match operation.method {
            "POST" | "PUT" => 2,
            _ => 1,
        },
        format!("{} changes something", operation.method),
    );
    if let Some(word) = first_of(&path, ROWS) {
        points.add(4, format!("the path speaks of `{word}`"));
    } else if let Some(word) = first_of(&said, ROWS) {
        points.add(2, format!("its name speaks of `{word}`"));
    }
    if let Some(word) = first_of(&path, EVENTS) {
        points.add(2, format!("the path speaks of `{word}`"));
    }
    let all = [path.clone(), said].concat();
    if let Some(word) = first_of(&all, BATCHES) {
        points.add(3, format!("`{word}` says that it takes several rows"));
    }
    points.add(
        match name {
            OperationName::Upsert => 4,
            OperationName::Append => 2,
            OperationName::Update | OperationName::Insert => 1,
            OperationName::Delete => 0,
        },
        format!("it would be `{}`", name.as_str()),
    );
    match &request.shape {
        Shape::Rows { list, row, .. } => {
            let place = place(list);
            let most = request
                .most
                .map(|most| format!(", at most {most}"))
                .unwrap_or_default();
            points.add(5, format!("{place} is a list of objects{most}"));
            identified(row, points);
        }
        Shape::Values { list, key, .. } => {
            points.add(3, format!("{} is a list of `{key}`", place(list)));
        }
        Shape::One { row, .. } => {
            points.add(1, "a request has one row");
            identified(row, points);
        }
        Shape::Address => points.add(0, "the row is in the path"),
        Shape::Lines => points.add(1, "it takes a file of lines"),
    }
    if let Some(name) = row_parameter {
        points.add(1, format!("`{name}` in the path names the row"));
    }
    if statuses(operation).iter().any(|status| status == "207") {
        points.add(2, "it answers 207: rows can fail by themselves");
    }
    let aside = [
        "webhook",
        "webhooks",
        "template",
        "templates",
        "campaign",
        "campaigns",
        "field",
        "fields",
        "export",
        "search",
        "query",
        "settings",
        "attachment",
        "attachments",
        "file",
        "files",
        "note",
        "notes",
        "oauth",
        "token",
        "login",
        "automation",
        "automations",
        "schema",
        "schemas",
        "permission",
        "permissions",
        "folder",
        "folders",
        "merge",
        "stats",
        "report",
        "reports",
        "domains",
        "senders",
        "preview",
        "validate",
        "count",
    ];
    let last = operation
        .segments()
        .iter()
        .rev()
        .find(|part| !part.contains('{'))
        .map(|part| words(part))
        .unwrap_or_default();
    if let Some(word) = first_of(&last, &aside) {
        points.add(-6, format!("but the path ends with `{word}`"));
    }
    let reads = [
        "search", "export", "exports", "query", "lookup", "find", "get", "list", "fetch",
        "retrieve",
    ];
    let id = words(&operation.id);
    let first = id
        .first()
        .is_some_and(|word| reads.contains(&word.as_str()));
    let begins = words(&operation.summary)
        .first()
        .is_some_and(|word| reads.contains(&word.as_str()));
    if let Some(word) = first_of(&path, reads.get(..6).unwrap_or_default()) {
        points.add(-6, format!("but the path speaks of `{word}`"));
    } else if operation.method == "POST" && (first || begins) {
        points.add(-6, "but by its name it reads");
    }
    if let (Some(parameter), Some(end)) = (row_parameter, operation.segments().last())
        && !end.contains(&format!("{{{parameter}}}"))
    {
        points.add(-3, "but it is about something below a row");
    }
    if operation.deprecated {
        points.add(-4, "but it is deprecated");
    }
    if request.format == Format::Multipart || request.format == Format::Query {
        points.add(-2, "but the body is no JSON");
    }
}

fn place(list: &[String]) -> String {
    match list {
        [] => "the body".to_owned(),
        way => format!("`{}`", way.join(".")),
    }
}

fn identified(row: &Schema, points: &mut Points) {
    let best = row
        .properties
        .iter()
        .filter(|property| !property.schema.read_only)
        .filter_map(|property| Some((identity(&property.name)?, &property.name)))
        .min();
    if let Some((_, name)) = best {
        points.add(2, format!("a row has `{name}`, by which it is found"));
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
fn object(operation: &Operation) -> String {
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

/// A GET by which a row is found by its key: the path, the parameter of the query, and the way to the list in its
/// answer.
#[derive(Clone, Debug)]
pub(super) struct LookUp {
    pub(super) path: String,
    pub(super) parameter: String,
    /// The way to the list of what was found.
    pub(super) list: Vec<String>,
    /// The field of the id.
    pub(super) id: String,
}

/// The look-up by a field among the operations of the same collection. What it finds has an id under one of these
/// names, or a usual one.
pub(super) fn look_up(api: &Api, object: &str, field: &str, ids: &[&str]) -> Option<LookUp> {
    let wanted = words(field).join("_");
    api.operations
        .iter()
        .filter(|operation| operation.method == "GET")
        .find_map(|operation| {
            if operation.path.contains('{') || self::object(operation) != object {
                return None;
            }
            let parameter = operation
                .parameters_in("query")
                .find(|parameter| words(&parameter.name).join("_") == wanted)?;
            let others = operation
                .parameters_in("query")
                .any(|other| other.required && other.name != parameter.name);
            if others {
                return None;
            }
            let schema = super::outcome::success(api, operation)?.schema?;
            let (list, items) = super::outcome::first_list(&schema)?;
            // The answer must say which row it found, or it could be another.
            items.property(field)?;
            let id = ids
                .iter()
                .copied()
                .chain(["id", "uuid", "uid"])
                .find(|id| items.property(id).is_some())?;
            Some(LookUp {
                path: operation.path.clone(),
                parameter: parameter.name.clone(),
                list,
                id: id.to_owned(),
            })
        })
}

/// A GET that needs nothing: by its answer the credentials are known to be right.
/// Beside it, whether it takes a `limit`.
pub(super) fn check<'a>(api: &'a Api, object: &str) -> Option<(&'a Operation, bool)> {
    const OWN: &[&str] = &[
        "me", "ping", "whoami", "self", "account", "accounts", "current", "profile", "status",
        "limits", "verify", "health", "test", "info",
    ];
    let best = api
        .operations
        .iter()
        .filter(|operation| operation.method == "GET" && !operation.path.contains('{'))
        .filter(|operation| {
            !operation
                .parameters
                .iter()
                .any(|parameter| parameter.required && parameter.place == "query")
        })
        .filter(|operation| {
            operation
                .value
                .get("security")
                .and_then(serde_json::Value::as_array)
                .is_none_or(|list| !list.is_empty())
        })
        .min_by_key(|operation| {
            let last = operation
                .segments()
                .last()
                .map(|part| words(part))
                .unwrap_or_default();
            let own = has(&last, OWN);
            let same = self::object(operation) == object;
            (!own, !same, operation.deprecated, operation.path.len())
        })?;
    let limit = best
        .parameters_in("query")
        .any(|parameter| parameter.name == "limit");
    Some((best, limit))
}
