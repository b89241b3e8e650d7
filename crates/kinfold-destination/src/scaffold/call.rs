//! An operation of a document as a call of a manifest.

use serde_json::{Value, json};

use super::api::{Api, Operation, scalar};
use super::candidate::{Candidate, statuses};
use super::connection::is_idempotency;
use super::expression::{field, literal, member, members, template};
use super::outcome::{Mixed, outcome, success};
use super::prose::line;
use super::sample;
use super::schema::{Kind, Property, Schema};
use super::shape::{Format, Shape};
use super::words::{snake, words};
use super::yaml::Yaml;
use crate::manifest::OperationName;

/// Objects that take fields of any name, by the names that they usually have.
const MAPS: &[&str] = &[
    "attributes",
    "properties",
    "custom_fields",
    "fields",
    "traits",
    "data_fields",
    "merge_fields",
    "metadata",
    "custom_attributes",
    "user_attributes",
    "custom",
    "custom_properties",
    "params",
    "user_properties",
    "data",
];
/// An object of more fields is not taken apart.
const MOST_NAMES: usize = 24;
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

struct Writer<'a> {
    candidate: &'a Candidate,
    arguments: Vec<Argument>,
    notes: Vec<String>,
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
        writer.arguments.is_empty(),
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
    whole: bool,
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
        _ if !whole && !single && says("404") => rules.push(rule(404, "missing_object")),
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

impl Writer<'_> {
    /// The path with expressions in the place of its parameters.
    fn address(&mut self, path: &str, purpose: &Purpose<'_>) -> String {
        let path = path.split('#').next().unwrap_or_default();
        let mut address = String::new();
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('{') {
            address.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                rest = "";
                break;
            };
            let name = name.trim_start_matches('{');
            let rest_of = after.trim_start_matches('}');
            let expression = match &purpose.row_id {
                Some(expression) if self.candidate.row_parameter.as_deref() == Some(name) => {
                    expression.clone()
                }
                _ => {
                    let about = format!("`{}` in the path `{}`.", line(name, 40), line(path, 120));
                    self.argument(name, &about, None)
                }
            };
            address.push_str(&template(&expression));
            rest = rest_of;
        }
        address.push_str(rest);
        address
    }

    /// An argument of the object, as an expression.
    fn argument(&mut self, name: &str, about: &str, kind: Option<Kind>) -> String {
        let mut short = snake(name, "argument");
        // `object.name` is the name of the object.
        if short == "name" {
            short = format!("{}_name", self.candidate.object);
        }
        let whole = matches!(kind, Some(Kind::Whole | Kind::Number));
        if !self.arguments.iter().any(|known| known.name == short) {
            self.arguments.push(Argument {
                name: short.clone(),
                about: about.to_owned(),
                example: if whole { "42" } else { "a1b2" }.to_owned(),
            });
        }
        match whole {
            true => format!("object.{short} | number"),
            false => format!("object.{short}"),
        }
    }

    fn query(&mut self, api: &Api, operation: &Operation, taken: &[String]) -> Yaml {
        let mut query = Yaml::map::<&str>([]);
        let fields = self.candidate.request.format == Format::Query;
        for parameter in operation.parameters_in("query") {
            if taken.contains(&parameter.name) || (!parameter.required && !fields) {
                continue;
            }
            let schema = api.schema(&parameter.schema);
            let property = Property {
                name: parameter.name.clone(),
                required: parameter.required,
                schema: Schema {
                    about: parameter.about.clone(),
                    ..schema
                },
            };
            let value = if fields && property.schema.constant().is_none() {
                let root = if property.name == self.candidate.key {
                    "row.key"
                } else {
                    "row.fields"
                };
                Yaml::text(&template(&field(root, &property.name)))
            } else if let Some(example) = parameter
                .example
                .as_ref()
                .filter(|value| !value.is_object() && !value.is_array())
            {
                self.notes.push(format!(
                    "Is this the right value of `{}`?",
                    line(&parameter.name, 40)
                ));
                constant(example)
            } else {
                self.beside(&property)
            };
            query.add(parameter.name.clone(), value);
        }
        query
    }

    /// The body, by its key in the manifest.
    fn body(&mut self, purpose: &Purpose<'_>) -> Option<(&'static str, Yaml)> {
        let request = &self.candidate.request;
        let name = match request.format {
            Format::Json => "json",
            Format::Form => "form",
            Format::Multipart => "multipart",
            Format::Csv => {
                let row = Yaml::text(&template("row.key | merge(row.fields)"));
                return Some(("csv", Yaml::map([("row", row)])));
            }
            Format::Query | Format::Nothing => return None,
        };
        let removes = purpose.name == OperationName::Delete;
        let needed = request
            .body
            .properties
            .iter()
            .any(|property| property.required);
        if removes && !needed && self.candidate.row_parameter.is_some() {
            return None;
        }
        let body = match &request.shape {
            Shape::One { inside, row } if request.format == Format::Multipart => {
                let _ = inside;
                self.parts(row)
            }
            Shape::One { inside, row } => {
                let row = self.row(row, removes);
                self.filled(&request.body, inside, row)
            }
            Shape::Rows { list, inside, row } => {
                let items = list.iter().try_fold(&request.body, |at, name| {
                    at.property(name).map(|property| &property.schema)
                });
                let items = items
                    .and_then(|list| list.items.as_deref())
                    .cloned()
                    .unwrap_or_default();
                let row = self.row(row, removes);
                let item = self.filled(&items, inside, row);
                let each = Yaml::map([("$each", Yaml::text("rows")), ("$item", item)]);
                self.filled(&request.body, list, each)
            }
            Shape::Values { list, key, .. } => {
                let item = Yaml::text(&template(&field("row.key", key)));
                let each = Yaml::map([("$each", Yaml::text("rows")), ("$item", item)]);
                self.filled(&request.body, list, each)
            }
            Shape::Address | Shape::Lines => return None,
        };
        Some((name, body))
    }

    /// The parts of a multipart body, each a field of the row.
    fn parts(&mut self, row: &Schema) -> Yaml {
        let mut parts = Yaml::map::<&str>([]);
        for property in row
            .properties
            .iter()
            .filter(|property| !property.schema.read_only)
        {
            let root = if property.name == self.candidate.key {
                "row.key"
            } else {
                "row.fields"
            };
            let value = match property.schema.constant() {
                Some(value) => constant(value),
                None => Yaml::text(&template(&field(root, &property.name))),
            };
            parts.add(property.name.clone(), value);
        }
        if row.properties.is_empty() {
            let key = self.candidate.key.clone();
            parts.add(key.clone(), Yaml::text(&template(&field("row.key", &key))));
        }
        parts
    }

    /// An object with what it needs beside the way to the target.
    fn filled(&mut self, schema: &Schema, way: &[String], target: Yaml) -> Yaml {
        let Some((next, rest)) = way.split_first() else {
            return target;
        };
        let mut object = Yaml::map::<&str>([]);
        let mut target = Some(target);
        for property in &schema.properties {
            if property.name == *next {
                if let Some(target) = target.take() {
                    let below = self.filled(&property.schema, rest, target);
                    object.add(member(next), below);
                }
            } else if !property.schema.read_only && (property.required || fixed(property)) {
                let value = self.beside(property);
                object.add(member(&property.name), value);
            }
        }
        object
    }

    /// The value of a member that is not of a row.
    fn beside(&mut self, property: &Property) -> Yaml {
        let schema = &property.schema;
        let name = line(&property.name, 40);
        if let Some(value) = schema.constant() {
            return constant(value);
        }
        if let Some(first) = schema.choices.first() {
            let all: Vec<String> = schema
                .choices
                .iter()
                .map(scalar)
                .map(|choice| format!("`{}`", line(&choice, 30)))
                .collect();
            self.notes.push(format!(
                "`{name}` may be {}.",
                all.iter().take(12).cloned().collect::<Vec<_>>().join(", ")
            ));
            return constant(first);
        }
        match schema.kind {
            Kind::Bool => {
                self.notes.push(format!("Shall `{name}` be true?"));
                Yaml::Scalar(json!(true))
            }
            Kind::Object | Kind::List => {
                self.notes.push(format!(
                    "`{name}` is needed, and what stands here is made up."
                ));
                constant(&sample::value(&property.name, schema, 0))
            }
            kind => {
                let about = match line(&schema.about, 160) {
                    about if about.is_empty() => format!("`{name}` of a request."),
                    about => about,
                };
                let expression = self.argument(&property.name, &about, Some(kind));
                Yaml::text(&template(&expression))
            }
        }
    }

    /// What a row becomes.
    fn row(&mut self, row: &Schema, removes: bool) -> Yaml {
        let key = &self.candidate.key;
        let in_path = self.candidate.row_parameter.is_some();
        let has_key = row
            .property(key)
            .is_some_and(|property| !property.schema.read_only);
        let all = match (in_path && !has_key, removes && has_key) {
            (true, _) => "row.fields",
            (_, true) => "row.key",
            _ => "row.key | merge(row.fields)",
        };
        let constants: Vec<&Property> = row
            .properties
            .iter()
            .filter(|property| fixed(property))
            .collect();
        let map = open_map(row);
        let mut object = Yaml::map::<&str>([]);
        for property in &constants {
            if let Some(value) = property.schema.constant() {
                object.add(member(&property.name), constant(value));
            }
        }
        match map {
            Some(map) => {
                let names = named(row);
                if !names.is_empty() {
                    object.add(
                        "$spread",
                        Yaml::text(&template(&members(all, "only", &names))),
                    );
                }
                let others = template(&members("row.fields", "without", &names));
                object.add(
                    member(&map.name),
                    Yaml::map([("$spread", Yaml::text(&others))]),
                );
            }
            None if constants.is_empty() => return Yaml::text(&template(all)),
            None => object.add("$spread", Yaml::text(&template(all))),
        }
        object
    }
}

/// A member that is the same for every row.
pub(super) fn fixed(property: &Property) -> bool {
    let schema = &property.schema;
    schema.constant().is_some()
        && !schema.read_only
        && (property.required || property.name == "type")
}

/// The object of a row that takes fields of any name.
pub(super) fn open_map(row: &Schema) -> Option<&Property> {
    let mut maps = row.properties.iter().filter(|property| {
        let schema = &property.schema;
        let name = words(&property.name).join("_");
        schema.kind == Kind::Object
            && schema.open
            && !schema.read_only
            && MAPS.contains(&name.as_str())
    });
    let first = maps.next()?;
    let few = row.properties.len() <= MOST_NAMES;
    (few && maps.next().is_none()).then_some(first)
}

/// The fields of a row that stand beside its open map.
fn named(row: &Schema) -> Vec<String> {
    let map = open_map(row).map(|map| map.name.clone());
    row.properties
        .iter()
        .filter(|property| {
            !fixed(property) && !property.schema.read_only && Some(&property.name) != map.as_ref()
        })
        .map(|property| property.name.clone())
        .collect()
}

/// A JSON value in a template that stands for itself.
pub(super) fn constant(value: &Value) -> Yaml {
    match value {
        Value::String(text) => Yaml::text(&literal(text)),
        Value::Array(items) => Yaml::list(items.iter().map(constant)),
        Value::Object(members) => Yaml::map(
            members
                .iter()
                .map(|(name, value)| (member(name), constant(value))),
        ),
        other => Yaml::Scalar(other.clone()),
    }
}
