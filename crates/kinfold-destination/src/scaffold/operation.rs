//! What was chosen → an operation: its calls, the rows that show it, and the answers.

use serde_json::Value;

use super::api::Api;
use super::call::{Argument, Call, Purpose, call, todo};
use super::expression::{field, path};
use super::look_up::LookUp;
use super::objects::{Chosen, Parts, Planned};
use super::shown::{answers, example_rows};
use super::yaml::Yaml;
use crate::manifest::OperationName;

/// An operation, and what the object needs for it.
pub(super) struct Made {
    pub(super) arguments: Vec<Argument>,
    pub(super) planned: Planned,
}

/// The operation of a choice; none if its call cannot be written.
pub(super) fn made(api: &Api, chosen: &Chosen<'_>, taken: &[String]) -> Option<Made> {
    let row_id = field("row.key", &chosen.key);
    let purpose = |row_id: String, when| Purpose {
        name: chosen.name,
        row_id: Some(row_id),
        when,
        taken,
    };
    let mut calls: Vec<Yaml> = Vec::new();
    let mut parts: Vec<(Call, bool)> = Vec::new();
    match &chosen.parts {
        Parts::One(candidate) => parts.push((call(api, candidate, &purpose(row_id, None))?, true)),
        Parts::Search(found, add, change) => {
            calls.push(search(found, &chosen.key, "ok"));
            parts.push((
                call(api, add, &purpose(row_id, Some("kept.id == null")))?,
                true,
            ));
            parts.push((
                call(
                    api,
                    change,
                    &purpose("kept.id".to_owned(), Some("kept.id != null")),
                )?,
                false,
            ));
        }
        Parts::Remove(found, remove) => {
            calls.push(search(found, &chosen.key, "done"));
            parts.push((
                call(
                    api,
                    remove,
                    &purpose("kept.id".to_owned(), Some("kept.id != null")),
                )?,
                true,
            ));
        }
    }
    let (first, _) = parts.first()?;
    let mut operation = Yaml::map::<&str>([]);
    let note: Vec<String> = first.rows_note.iter().cloned().collect();
    let rows = match calls.is_empty() {
        true => first.rows,
        false => 1,
    };
    operation.add_with("rows", Yaml::Scalar(rows.into()), todo(&note));
    let once = matches!(chosen.name, OperationName::Insert | OperationName::Append);
    if once && first.idempotent {
        operation.add("repeatable", Yaml::Scalar(true.into()));
    }
    let looks_up = !calls.is_empty();
    calls.extend(parts.iter().map(|(call, _)| call.yaml.clone()));
    operation.add("calls", Yaml::List(calls));
    let mut arguments: Vec<Argument> = Vec::new();
    for argument in parts.iter().flat_map(|(call, _)| &call.arguments) {
        if !arguments.iter().any(|known| known.name == argument.name) {
            arguments.push(argument.clone());
        }
    }
    let rows_shown = example_rows(chosen);
    let keys: Vec<Value> = rows_shown
        .iter()
        .map(|row| row.get(&chosen.key).cloned().unwrap_or_default())
        .collect();
    let answers = answers(&chosen.parts, &parts, &keys, rows);
    Some(Made {
        arguments,
        planned: Planned {
            name: chosen.name,
            yaml: operation,
            rows: rows_shown,
            answers,
            writes: usize::from(looks_up),
        },
    })
}

/// The call that looks for a row.
fn search(found: &LookUp, key: &str, unnamed: &str) -> Yaml {
    let value = super::expression::template(&field("row.key", key));
    Yaml::map([
        ("get", Yaml::text(&found.path)),
        (
            "query",
            Yaml::map([(found.parameter.clone(), Yaml::text(&value))]),
        ),
        (
            "rows",
            Yaml::map([
                ("items", Yaml::text(&path("$", &found.list))),
                (
                    "item",
                    Yaml::text(&format!("{} | text | lower", field("$", key))),
                ),
                (
                    "row",
                    Yaml::text(&format!("{} | text | lower", field("row.key", key))),
                ),
            ]),
        ),
        ("unnamed", Yaml::text(unnamed)),
        (
            "keep",
            Yaml::map([("id", Yaml::text(&field("$", &found.id)))]),
        ),
    ])
}
