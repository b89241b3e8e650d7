//! What an answer says of the rows of a request, as far as its schema tells.

use serde_json::{Value, json};

use super::api::{Api, Operation};
use super::expression::{field, path};
use super::schema::{Kind, Schema};
use super::shape::{Request, Shape};
use super::words::{has, words};
use super::yaml::Yaml;

const INDEXES: &[&str] = &[
    "index",
    "position",
    "batch_index",
    "item_index",
    "row_index",
    "record_index",
    "row",
    "line",
    "idx",
    "row_number",
    "offset",
];
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
const FLAGS: &[&str] = &[
    "success",
    "ok",
    "succeeded",
    "successful",
    "is_success",
    "valid",
    "accepted",
];
const STATUSES: &[&str] = &[
    "status",
    "state",
    "result",
    "outcome",
    "code",
    "status_code",
];
const GOOD: &[&str] = &[
    "ok",
    "success",
    "succeeded",
    "successful",
    "created",
    "updated",
    "accepted",
    "done",
    "completed",
    "upserted",
    "unchanged",
    "queued",
    "added",
    "processed",
    "complete",
    "inserted",
];

/// The successful answer of an operation.
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) schema: Option<Schema>,
    /// Whether it is JSON, or nothing.
    pub(super) json: bool,
}

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

/// How the answer that refuses the second row is made.
pub(super) enum Mixed {
    /// An item by itself, in a list below this way: with the position, or the value of the key.
    Error { way: Vec<String>, by: By },
    /// One item for each row.
    Results {
        way: Vec<String>,
        by: By,
        good: Value,
        bad: Value,
    },
}

/// How an item names its row.
#[derive(Clone)]
pub(super) enum By {
    Position,
    Index(Vec<String>),
    Field(String),
    /// The item is the value of the key.
    Itself,
}

/// The successful answers of an operation, the first that says most.
pub(super) fn success(api: &Api, operation: &Operation) -> Option<Success> {
    let responses = operation.value.get("responses")?.as_object()?;
    let mut found: Vec<Success> = Vec::new();
    for (status, response) in responses {
        let status = match status.as_str() {
            "default" | "2XX" | "2xx" => 200,
            status => match status.parse::<u16>() {
                Ok(status) if (200..300).contains(&status) => status,
                _ => continue,
            },
        };
        let response = api.resolve(response);
        let (schema, json) = if api.swagger {
            let produces = operation.value.get("produces").or(api.root.get("produces"));
            let text = produces.and_then(Value::as_array).is_some_and(|types| {
                !types.is_empty()
                    && !types
                        .iter()
                        .filter_map(Value::as_str)
                        .any(|name| name.contains("json"))
            });
            let schema = response.get("schema").map(|schema| api.schema(schema));
            let plain = schema
                .as_ref()
                .is_some_and(|schema| schema.kind == Kind::Text);
            (schema, !text && !plain)
        } else {
            let content = response.get("content").and_then(Value::as_object);
            let json = content.and_then(|content| {
                content
                    .iter()
                    .find(|(name, _)| name.contains("json") || *name == "*/*")
            });
            let schema = json
                .and_then(|(_, media)| media.get("schema"))
                .map(|schema| api.schema(schema));
            (
                schema,
                json.is_some() || content.is_none_or(serde_json::Map::is_empty),
            )
        };
        found.push(Success {
            status,
            schema,
            json,
        });
    }
    // 207 has more to say than 200, and any schema more than none.
    found.into_iter().max_by_key(|success| {
        let schema = success
            .schema
            .as_ref()
            .map_or(0, |schema| usize::from(schema.kind != Kind::Any) + 1);
        (
            success.status == 207,
            schema,
            std::cmp::Reverse(success.status),
        )
    })
}

/// The first list of objects in an answer, and the shape of its items.
pub(super) fn first_list(schema: &Schema) -> Option<(Vec<String>, &Schema)> {
    let mut lists = Vec::new();
    lists_of(schema, &[], 0, &mut lists);
    lists.into_iter().find(|(_, items)| !items.is_scalar())
}

fn lists_of<'a>(
    schema: &'a Schema,
    way: &[String],
    depth: usize,
    found: &mut Vec<(Vec<String>, &'a Schema)>,
) {
    if schema.kind == Kind::List
        && let Some(items) = schema.items.as_deref()
    {
        found.push((way.to_vec(), items));
    }
    if depth < 3 && schema.kind == Kind::Object {
        for property in &schema.properties {
            let mut way = way.to_vec();
            way.push(property.name.clone());
            lists_of(&property.schema, &way, depth + 1, found);
        }
    }
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
    let condition = format!("{} == false", path("$", std::slice::from_ref(&flag.name)));
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

/// How an item of a list names its row.
fn by(items: &Schema, row: Option<&Schema>, key: &str, way: &[String]) -> Option<By> {
    if items.is_scalar() {
        let name = way
            .last()
            .map(|name| words(name).join("_"))
            .unwrap_or_default();
        let of_key = words(key).join("_");
        return (items.kind == Kind::Text && name.contains(&of_key)).then_some(By::Itself);
    }
    let whole = |schema: &Schema| matches!(schema.kind, Kind::Whole | Kind::Number);
    let index = items.properties.iter().find(|property| {
        whole(&property.schema) && INDEXES.contains(&words(&property.name).join("_").as_str())
    });
    if let Some(index) = index {
        return Some(By::Index(vec![index.name.clone()]));
    }
    let same = |schema: &Schema| {
        schema
            .properties
            .iter()
            .any(|property| property.name == key && property.schema.is_scalar())
    };
    let is_field = row.is_none_or(same);
    (is_field && same(items)).then(|| By::Field(key.to_owned()))
}

/// The conditions under which an item is good, and items for examples.
struct Judgement {
    good_if: String,
    good: Value,
    bad: Value,
}

fn verdict(items: &Schema) -> Option<Judgement> {
    let named = |known: &[&str]| {
        let known = known.to_vec();
        items
            .properties
            .iter()
            .find(move |property| known.contains(&words(&property.name).join("_").as_str()))
    };
    if let Some(flag) = named(FLAGS).filter(|property| property.schema.kind == Kind::Bool) {
        let name = &flag.name;
        return Some(Judgement {
            good_if: format!("{} == true", field("$", name)),
            good: json!({name: true}),
            bad: json!({name: false}),
        });
    }
    if let Some(status) = named(STATUSES) {
        let name = &status.name;
        let texts: Vec<&str> = status
            .schema
            .choices
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let good: Vec<&str> = texts
            .iter()
            .copied()
            .filter(|text| has(&words(text), GOOD) && !has(&words(text), &["not", "partially"]))
            .collect();
        let bad = texts.iter().find(|text| !good.contains(text));
        if let (Some(first), Some(bad)) = (good.first(), bad) {
            let listed: Vec<String> = good
                .iter()
                .map(|text| super::expression::quoted(text))
                .collect();
            return Some(Judgement {
                good_if: format!("{} in [{}]", field("$", name), listed.join(", ")),
                good: json!({name: first}),
                bad: json!({name: bad}),
            });
        }
        if matches!(status.schema.kind, Kind::Whole) {
            let path = field("$", name);
            return Some(Judgement {
                good_if: format!("{path} >= 200 and {path} < 300"),
                good: json!({name: 200}),
                bad: json!({name: 400}),
            });
        }
    }
    let error = items.properties.iter().find(|property| {
        [
            "error",
            "errors",
            "error_message",
            "error_code",
            "failure_reason",
        ]
        .contains(&words(&property.name).join("_").as_str())
    })?;
    let path = field("$", &error.name);
    let name = &error.name;
    Some(match error.schema.kind {
        Kind::List => Judgement {
            good_if: format!("({path} | count) == 0"),
            good: json!({name: []}),
            bad: json!({name: [{"message": "refused"}]}),
        },
        Kind::Object => Judgement {
            good_if: format!("{path} == null"),
            good: json!({}),
            bad: json!({name: {"message": "refused"}}),
        },
        _ => Judgement {
            good_if: format!("{path} == null"),
            good: json!({}),
            bad: json!({name: "refused"}),
        },
    })
}

/// The entries of `rows` by which an item finds its row.
fn found_by(by: &By, key: &str) -> Vec<(&'static str, Yaml)> {
    let of_key = "row.key_value | text".to_owned();
    match by {
        By::Position => vec![("index", Yaml::text("position"))],
        By::Index(way) => vec![("index", Yaml::text(&path("$", way)))],
        By::Itself => vec![("item", Yaml::text("$")), ("row", Yaml::text(&of_key))],
        By::Field(name) => {
            let row = match name == key {
                true => field("row.key", key),
                false => field("row.fields", name),
            };
            vec![
                ("item", Yaml::text(&field("$", name))),
                ("row", Yaml::text(&row)),
            ]
        }
    }
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

/// Where the words of an error are, if not in a usual place.
fn message(items: &Schema) -> Option<String> {
    const USUAL: &[&str] = &[
        "message",
        "detail",
        "reason",
        "error",
        "msg",
        "title",
        "error_description",
    ];
    const OTHERS: &[&str] = &[
        "error_message",
        "description",
        "failure_reason",
        "reason_text",
        "text",
        "errors",
        "cause",
        "explanation",
    ];
    let names: Vec<(&str, String)> = items
        .properties
        .iter()
        .filter(|property| property.schema.is_scalar())
        .map(|property| (property.name.as_str(), words(&property.name).join("_")))
        .collect();
    if names.iter().any(|(name, _)| USUAL.contains(name)) {
        return None;
    }
    let found = OTHERS
        .iter()
        .find_map(|known| names.iter().find(|(_, name)| name == known));
    found.map(|(name, _)| field("$", name))
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

impl Mixed {
    /// The answer for rows with these values of the key; all are taken but the last of several.
    pub(super) fn body(&self, keys: &[Value], all_good: bool) -> Value {
        let name = |mut item: Value, by: &By, at: usize, key: &Value| {
            match by {
                By::Position => {}
                By::Index(way) => put(&mut item, way, json!(at)),
                By::Field(field) => put(&mut item, std::slice::from_ref(field), key.clone()),
                By::Itself => return key.clone(),
            }
            item
        };
        let last = keys.len().saturating_sub(1);
        let refused = |at: usize| at == last && !all_good;
        let mut body = Value::Null;
        match self {
            Self::Error { way, by } => {
                let items: Vec<Value> = keys
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| refused(*at))
                    .map(|(at, key)| name(json!({"message": "refused"}), by, at, key))
                    .collect();
                put(&mut body, way, Value::Array(items));
            }
            Self::Results { way, by, good, bad } => {
                let items: Vec<Value> = keys
                    .iter()
                    .enumerate()
                    .map(|(at, key)| {
                        let item = if refused(at) { bad } else { good };
                        name(item.clone(), by, at, key)
                    })
                    .collect();
                put(&mut body, way, Value::Array(items));
            }
        }
        body
    }
}

/// Puts a value at a place, with objects on the way to it.
pub(super) fn put(body: &mut Value, way: &[String], value: Value) {
    let Some((first, rest)) = way.split_first() else {
        *body = value;
        return;
    };
    if !body.is_object() {
        *body = json!({});
    }
    if let Value::Object(members) = body {
        put(
            members.entry(first.clone()).or_insert(Value::Null),
            rest,
            value,
        );
    }
}
