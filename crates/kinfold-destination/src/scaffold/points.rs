//! How likely an operation is what is looked for, and why.

use super::api::Operation;
use super::candidate::statuses;
use super::schema::Schema;
use super::shape::{Format, Request, Shape};
use super::words::{BATCHES, EVENTS, ROWS, first_of, identity, words};
use crate::manifest::OperationName;

/// Points and what they are given for.
#[derive(Default)]
pub(super) struct Points(pub(super) Vec<(i32, String)>);

impl Points {
    pub(super) fn add(&mut self, points: i32, reason: impl Into<String>) {
        self.0.push((points, reason.into()));
    }
}

pub(super) fn judge(
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
