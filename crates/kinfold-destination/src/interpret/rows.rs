//! Rows of a batch, and what an answer says of them.

use std::collections::HashMap;

use kinfold_sync::{Batch, Outcome};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::judge::{Judged, judge_item};
use crate::expression::{Expression, Root, Row, Scope};
use crate::manifest::{Call, Match, Object, Reading, Verdict};
use crate::template::scalar_text;

/// The rows of a batch as expressions see them. `None` for one of whose identifiers nothing is left.
pub(super) fn rows_of(
    batch: &Batch,
    object: &Object,
    scope: &Scope<'_>,
    key: &str,
) -> Vec<Option<Row>> {
    let rows = batch.changes.iter().enumerate().map(|(index, change)| {
        let key_map = change.key.parse().unwrap_or_default();
        let fields = change.fields.parse().unwrap_or_default();
        let key_value = key_map.get(key).cloned().unwrap_or(Value::Null);
        let mut value = json!({
            "key": key_map,
            "fields": fields,
            "key_value": key_value,
            "id": batch.change_id(change),
            "index": index,
        });
        if object.identifiers.is_empty() {
            return Some(Row::new(value));
        }
        let identifiers = identifiers(object, &value, scope);
        if identifiers.values().all(Value::is_null) {
            return None;
        }
        if let Value::Object(members) = &mut value {
            members.insert("identifiers".to_owned(), Value::Object(identifiers));
        }
        Some(Row::new(value))
    });
    rows.collect()
}

fn identifiers(object: &Object, row: &Value, scope: &Scope<'_>) -> Map<String, Value> {
    let scope = scope.with(Root::Row, row);
    let values = object.identifiers.iter().map(|identifier| {
        let found = ["key", "fields"]
            .iter()
            .find_map(|part| row.get(*part)?.get(&identifier.field));
        let value = found.map_or(Value::Null, |value| identifier.values(value, &scope));
        (identifier.name.clone(), value)
    });
    values.collect()
}

/// Gives a row its position in a request.
pub(super) fn at_position(mut row: Row, index: usize) -> Row {
    if let Value::Object(members) = &mut row.value {
        members.insert("index".to_owned(), Value::from(index));
    }
    row
}

/// What an answer says of the rows of its request.
pub(super) struct Said {
    /// The verdict on each row; `None` for one that is not named.
    pub(super) verdicts: Vec<Option<Judged>>,
    /// What is kept for each row.
    pub(super) kept: Vec<Map<String, Value>>,
    /// An item that speaks of a failure and of no row of the request.
    pub(super) stray: Option<Judged>,
}

/// Reads every list of every page of an answer.
pub(super) fn read(call: &Call, answers: &[Answer], rows: &[Row], scope: &Scope<'_>) -> Said {
    let mut said = Said {
        verdicts: vec![None; rows.len()],
        kept: vec![Map::new(); rows.len()],
        stray: None,
    };
    for reading in &call.readings {
        let by_value = match &reading.by {
            Match::Index(_) => HashMap::new(),
            Match::Equal { row, .. } => positions(rows, row, scope),
        };
        // Positions go on from page to page.
        let mut before = 0;
        for answer in answers {
            let of_answer = answer.scope(*scope);
            let items = reading.items.evaluate(&of_answer);
            let items: &[Value] = match items.as_ref() {
                Value::Array(items) => items,
                Value::Null => &[],
                _ => {
                    said.stray
                        .get_or_insert(malformed("what should be a list of items is none"));
                    continue;
                }
            };
            for (position, item) in items.iter().enumerate() {
                let position = Value::from(before + position);
                let scope = of_answer
                    .with(Root::Answer, item)
                    .with(Root::Position, &position);
                said.take(call, reading, item, &scope, &by_value);
            }
            before += items.len();
        }
        if is_positional(&reading.by) && before != rows.len() {
            // Which one is missing, or too many, nobody can say.
            let message = "the answer has another number of items than the request has rows";
            said.distrust(malformed(message));
        }
    }
    said
}

fn malformed(message: &str) -> Judged {
    Judged::new(Verdict::Unknown, message)
}

/// Whether items stand in the order of the rows.
fn is_positional(by: &Match) -> bool {
    match by {
        Match::Index(Expression::Path(path)) => path.root == Root::Position,
        _ => false,
    }
}

/// The positions of rows by a value of theirs.
fn positions(rows: &[Row], value: &Expression, scope: &Scope<'_>) -> HashMap<String, Vec<usize>> {
    let mut found: HashMap<String, Vec<usize>> = HashMap::new();
    for (position, row) in rows.iter().enumerate() {
        if let Some(text) = scalar_text(&value.evaluate(&scope.with_row(row))) {
            found.entry(text).or_default().push(position);
        }
    }
    found
}

impl Said {
    /// Nothing that was said can be relied on.
    fn distrust(&mut self, why: Judged) {
        self.verdicts.fill(None);
        self.kept.fill(Map::new());
        self.stray = Some(why);
    }

    fn take(
        &mut self,
        call: &Call,
        reading: &Reading,
        item: &Value,
        scope: &Scope<'_>,
        by_value: &HashMap<String, Vec<usize>>,
    ) {
        let judged = judge_item(&reading.rules, item, scope);
        let positions = match &reading.by {
            Match::Index(index) => index_of(&index.evaluate(scope)).into_iter().collect(),
            Match::Equal { item, .. } => {
                let value = item.evaluate(scope);
                let values = match value.as_ref() {
                    Value::Array(values) => values.iter().collect(),
                    other => vec![other],
                };
                let texts = values.into_iter().filter_map(scalar_text);
                texts
                    .filter_map(|text| by_value.get(&text))
                    .flatten()
                    .copied()
                    .collect::<Vec<usize>>()
            }
        };
        let mut found = false;
        for position in positions {
            let Some(slot) = self.verdicts.get_mut(position) else {
                continue;
            };
            found = true;
            let judged = judged.clone();
            *slot = Some(match slot.take() {
                Some(known) => known.and(judged),
                None => judged,
            });
            if let Some(kept) = self.kept.get_mut(position) {
                for (name, expression) in &call.keep {
                    kept.insert(name.clone(), expression.evaluate(scope).into_owned());
                }
            }
        }
        if !found && !judged.worked() {
            self.stray.get_or_insert(judged);
        }
    }
}

fn index_of(value: &Value) -> Option<usize> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    usize::try_from(number).ok()
}

/// The outcome of a verdict on one row; `None` if the row goes on.
pub(super) fn outcome(judged: &Judged) -> Option<Outcome> {
    let (class, message) = (judged.class, judged.message.clone());
    match judged.verdict {
        Verdict::Ok => None,
        Verdict::Done => Some(Outcome::Delivered),
        Verdict::Throttled | Verdict::Temporary | Verdict::Failed | Verdict::Pending => {
            Some(Outcome::Retryable { class, message })
        }
        Verdict::Unknown | Verdict::Lost => Some(Outcome::Unknown { class, message }),
        Verdict::Rejected
        | Verdict::Conflict
        | Verdict::MissingRow
        | Verdict::TooLarge
        | Verdict::Unauthorized
        | Verdict::Misconfigured
        | Verdict::MissingObject
        | Verdict::Expired => Some(Outcome::Rejected { class, message }),
    }
}
