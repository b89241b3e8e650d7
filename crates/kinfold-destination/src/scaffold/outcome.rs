//! What an answer says of the rows of a request, as far as its schema tells.

use serde_json::{Value, json};

use super::answers::{Mixed, Success, lists_of};
use super::expression::{field, path};
use super::judgement::{By, FLAGS, Judgement, by, found_by, message, verdict};
use super::schema::{Kind, Schema};
use super::shape::{Request, Shape};
use super::words::{has, words};
use super::yaml::Yaml;

const ERRORS: &[&str] = &[
    "error",
    "errors",
    "failures",
    "failure",
    "failed",
    "rejected",
    "invalid",
    "exceptions",
    "rejects",
    "problems",
    "skipped",
];
const RESULTS: &[&str] = &[
    "results",
    "result",
    "responses",
    "response",
    "items",
    "data",
    "records",
    "statuses",
    "outcomes",
    "entries",
];

/// How an answer is read, and answers for exchanges.
#[derive(Default)]
pub(super) struct Outcome {
    /// Rules of the call.
    pub(super) rules: Vec<Yaml>,
    /// `rows` and `unnamed`.
    pub(super) reading: Option<Reading>,
    /// What a person has to decide.
    pub(super) notes: Vec<String>,
    /// The body of an answer by which every row is delivered.
    pub(super) good: Value,
    /// The body of an answer by which the second of two rows is refused: for the key values of the rows.
    pub(super) mixed: Option<Mixed>,
}

pub(super) struct Reading {
    pub(super) rows: Yaml,
    pub(super) unnamed: &'static str,
}

/// What the schema of a successful answer says of rows.
pub(super) fn outcome(
    request: &Request,
    success: Option<&Success>,
    key: &str,
    repeatable: bool,
) -> Outcome {
    let mut outcome = Outcome {
        good: json!({}),
        ..Outcome::default()
    };
    let Some(success) = success else {
        return outcome;
    };
    if success.status == 202 {
        outcome.notes.push(
            "202 means accepted, not done. If another call tells what became of the rows, ask it with `job`."
                .to_owned(),
        );
    }
    let Some(schema) = success.schema.as_ref().filter(|_| success.json) else {
        outcome.good = Value::Null;
        return outcome;
    };
    if schema.kind == Kind::List {
        outcome.good = json!([]);
    }
    if request.is_batch() {
        of_rows(request, schema, key, repeatable, &mut outcome);
    }
    if outcome.reading.is_none() {
        flag(schema, &mut outcome);
    }
    outcome
}

/// A flag of the whole answer: `{"success": false}` in a 200.
fn flag(schema: &Schema, outcome: &mut Outcome) {
    let flag = schema.properties.iter().find(|property| {
        let name = words(&property.name).join("_");
        property.schema.kind == Kind::Bool && FLAGS.contains(&name.as_str()) && name != "valid"
    });
    let Some(flag) = flag else {
        return;
    };
    let condition = format!("{} == false", field("$", &flag.name));
    outcome.rules.push(Yaml::map([
        ("status", Yaml::text("2xx")),
        ("if", Yaml::text(&condition)),
        ("is", Yaml::text("rejected")),
    ]));
    if outcome.good.is_object() {
        outcome.good[flag.name.as_str()] = json!(true);
    }
}

fn of_rows(request: &Request, schema: &Schema, key: &str, repeatable: bool, outcome: &mut Outcome) {
    let mut lists = Vec::new();
    lists_of(schema, &[], 0, &mut lists);
    let row = match &request.shape {
        Shape::Rows { row, .. } => Some(row),
        _ => None,
    };
    let is_errors = |way: &[String]| way.last().is_some_and(|name| has(&words(name), ERRORS));
    let mut unnamed_errors = None;
    for (way, items) in lists.iter().filter(|(way, _)| is_errors(way)) {
        match by(items, row, key, way) {
            Some(by) => return errors(way, items, by, outcome),
            None => unnamed_errors = unnamed_errors.or(Some(way.clone())),
        }
    }
    for (way, items) in &lists {
        let named = way.is_empty()
            || way
                .last()
                .is_some_and(|name| has(&words(name), RESULTS) || same_list(request, name));
        if named
            && !items.is_scalar()
            && let Some(verdict) = verdict(items)
        {
            let by = by(items, row, key, way).unwrap_or(By::Position);
            return results(way, by, verdict, outcome);
        }
    }
    if !repeatable {
        if unnamed_errors.is_some() {
            outcome
                .notes
                .push("The answer lists errors and does not say of which rows.".to_owned());
        }
        return;
    }
    // Nothing says which row it was: halves are sent until it is alone.
    if let Some(way) = unnamed_errors {
        let condition = format!("({} | count) > 0", path("$", &way));
        refuse_all(&condition, outcome);
        outcome.notes.push(
            "The answer lists errors and does not seem to say of which rows. If an error holds a position or a value \
             of the row, read it with `rows`; until then a batch with an error is halved until the row is alone."
                .to_owned(),
        );
    } else if let Some(way) = failures(schema, &[], 0) {
        refuse_all(&format!("{} > 0", path("$", &way)), outcome);
        outcome.notes.push(
            "The answer counts failures and does not name them: a batch with one is halved until the row is alone."
                .to_owned(),
        );
    }
}

fn same_list(request: &Request, name: &str) -> bool {
    match &request.shape {
        Shape::Rows { list, .. } | Shape::Values { list, .. } => {
            list.last().is_some_and(|list| list == name)
        }
        _ => false,
    }
}

fn refuse_all(condition: &str, outcome: &mut Outcome) {
    outcome.rules.push(Yaml::map([
        ("status", Yaml::text("2xx")),
        ("if", Yaml::text(condition)),
        ("is", Yaml::text("rejected")),
    ]));
}

/// The way to a number of failures.
fn failures(schema: &Schema, way: &[String], depth: usize) -> Option<Vec<String>> {
    schema.properties.iter().find_map(|property| {
        let mut way = way.to_vec();
        way.push(property.name.clone());
        let words = words(&property.name);
        match property.schema.kind {
            Kind::Whole | Kind::Number if has(&words, ERRORS) && !has(&words, &["code"]) => {
                Some(way)
            }
            Kind::Object if depth < 2 => failures(&property.schema, &way, depth + 1),
            _ => None,
        }
    })
}

fn errors(way: &[String], items: &Schema, by: By, outcome: &mut Outcome) {
    let mut rule = vec![("is", Yaml::text("rejected"))];
    if let Some(place) = message(items) {
        rule.push(("message", Yaml::text(&place)));
    }
    let key = match &by {
        By::Field(name) => name.clone(),
        _ => String::new(),
    };
    let mut entries = vec![("items", Yaml::text(&path("$", way)))];
    entries.extend(found_by(&by, &key));
    entries.push(("rules", Yaml::list([Yaml::map(rule)])));
    outcome.reading = Some(Reading {
        rows: Yaml::map(entries),
        unnamed: "ok",
    });
    if matches!(by, By::Index(_)) {
        outcome.notes.push(
            "Does the vendor count positions from 0? From 1, write `| number | plus(-1)`."
                .to_owned(),
        );
    }
    if !matches!(by, By::Index(_)) {
        outcome.notes.push(
            "Does the vendor give the value back as it was sent, in the same letter case?"
                .to_owned(),
        );
    }
    outcome.mixed = Some(Mixed::Error {
        way: way.to_vec(),
        by,
    });
}

fn results(way: &[String], by: By, verdict: Judgement, outcome: &mut Outcome) {
    let key = match &by {
        By::Field(name) => name.clone(),
        _ => String::new(),
    };
    let mut entries = vec![("items", Yaml::text(&path("$", way)))];
    entries.extend(found_by(&by, &key));
    let good = Yaml::map([
        ("if", Yaml::text(&verdict.good_if)),
        ("is", Yaml::text("ok")),
    ]);
    entries.push((
        "rules",
        Yaml::list([good, Yaml::map([("is", Yaml::text("rejected"))])]),
    ));
    outcome.reading = Some(Reading {
        rows: Yaml::map(entries),
        unnamed: "unknown",
    });
    match by {
        By::Position => outcome.notes.push(
            "Does the answer have one item for each row, in the order of the request? If not, find what an item says \
             of its row."
                .to_owned(),
        ),
        By::Index(_) => outcome
            .notes
            .push("Does the vendor count positions from 0? From 1, write `| number | plus(-1)`.".to_owned()),
        By::Field(_) | By::Itself => outcome
            .notes
            .push("Does the vendor give the value back as it was sent, in the same letter case?".to_owned()),
    }
    outcome.mixed = Some(Mixed::Results {
        way: way.to_vec(),
        by,
        good: verdict.good,
        bad: verdict.bad,
    });
}
