//! Unit tests of mappings: a row that is given, and what is sent for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::ReaderBuilder;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::collect;
use kinfold_compile::bind::closest;
use kinfold_compile::compile::{CompiledProject, CompiledSync, MappingExample};
use kinfold_compile::relation::pin;
use kinfold_project::{
    Connection, Diagnostic, Expected, Located, MappingTest, Project, Span, Value, ValueKind, codes,
};
use serde_json::{Map, Value as Json};

use super::canonical::{Cell, NullForm, ObjectEncoder};
use super::destination::null_forms_of;

/// What a row became.
struct Sent {
    key: Map<String, Json>,
    fields: Map<String, Json>,
    /// Why it cannot be sent, if it cannot.
    invalid: Option<&'static str>,
}

/// Runs the unit tests of the mappings of a project, on the rows that they give. Reads no table.
pub async fn mapping_tests(
    project: &Project,
    compiled: &CompiledProject,
    session: &SessionState,
) -> Vec<Diagnostic> {
    let mut found = vec![];
    for sync in &project.syncs {
        let Some(compiled) = compiled.syncs.iter().find(|c| c.id == sync.id) else {
            continue;
        };
        let Some(example) = &compiled.example else {
            continue;
        };
        let connection = project
            .connections
            .iter()
            .find(|c| c.name.value == sync.connection.value);
        for test in &sync.unit_tests {
            let ran = run(test, compiled, example, connection, session).await;
            let problem = ran.map_or_else(|problem| Some(*problem), |sent| judge(test, &sent));
            found.extend(problem.map(|problem| named(problem, &sync.name.value)));
        }
    }
    found
}

fn named(problem: Diagnostic, sync: &str) -> Diagnostic {
    let message = format!("sync `{sync}`: {}", problem.message);
    Diagnostic { message, ..problem }
}

fn failed(test: &MappingTest, message: impl std::fmt::Display, span: Span) -> Box<Diagnostic> {
    let message = format!("unit test `{}`: {message}", test.name.value);
    Box::new(Diagnostic::error(codes::FAILED_MAPPING_TEST, message, span))
}

async fn run(
    test: &MappingTest,
    compiled: &CompiledSync,
    example: &MappingExample,
    connection: Option<&Connection>,
    session: &SessionState,
) -> Result<Sent, Box<Diagnostic>> {
    let given = given(test, example)?;
    let stopped = |error: DataFusionError| {
        failed(
            test,
            format!("the mapping fails: {}", error.strip_backtrace()),
            test.span,
        )
    };
    let table =
        MemTable::try_new(Arc::clone(&example.columns), vec![vec![given]]).map_err(stopped)?;
    let provider: Arc<dyn TableProvider> = Arc::new(table);
    let providers = BTreeMap::from([(example.input.clone(), provider)]);
    let plan = pin(example.plan.clone(), &providers).map_err(stopped)?;
    let physical = session.create_physical_plan(&plan).await.map_err(stopped)?;
    let batches = collect(physical, Arc::new(TaskContext::from(session)))
        .await
        .map_err(stopped)?;
    let row = batches.iter().find(|batch| batch.num_rows() > 0);
    let row = row.ok_or_else(|| failed(test, "the mapping gives no row", test.span))?;
    let nulls = null_forms_of(connection, &compiled.nulls);
    sent(row, compiled, &nulls).map_err(|error| stopped(DataFusionError::from(error)))
}

/// The row that a test gives.
fn given(test: &MappingTest, example: &MappingExample) -> Result<RecordBatch, Box<Diagnostic>> {
    let names: Vec<&str> = example
        .columns
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    for (column, _) in &test.given {
        if !names.contains(&column.value.as_str()) {
            let message = format!("the model has no column `{}`", column.value);
            let problem = failed(test, message, column.span);
            return Err(match closest(&column.value, &names) {
                Some(close) => Box::new(problem.with_help(format!("did you mean `{close}`?"))),
                None => problem,
            });
        }
    }
    // One column after the other, so that it is known which one does not fit.
    let mut arrays = vec![];
    for field in example.columns.fields() {
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(vec![Arc::clone(
            field,
        )]));
        let value = test
            .given
            .iter()
            .find(|(column, _)| column.value == *field.name());
        let json = value.map_or(Json::Null, |(_, value)| value.to_json());
        let row = Json::Object(Map::from_iter([(field.name().clone(), json)]));
        let read = || -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
            let mut decoder = ReaderBuilder::new(schema).build_decoder()?;
            decoder.serialize(&[row])?;
            let batch = decoder.flush()?;
            batch.ok_or_else(|| {
                datafusion::arrow::error::ArrowError::JsonError("there is no row".to_owned())
            })
        };
        let batch = read().map_err(|_| {
            let message = format!(
                "the value of `{}` is no {}",
                field.name(),
                field.data_type()
            );
            failed(
                test,
                message,
                value.map_or(test.span, |(_, value)| value.span),
            )
        })?;
        arrays.extend(batch.columns().iter().cloned());
    }
    RecordBatch::try_new(Arc::clone(&example.columns), arrays)
        .map_err(|error| failed(test, error, test.span))
}

fn sent(
    row: &RecordBatch,
    compiled: &CompiledSync,
    nulls: &[NullForm],
) -> Result<Sent, datafusion::arrow::error::ArrowError> {
    let (keys, fields) = row.columns().split_at(compiled.key_fields.len());
    let keys = ObjectEncoder::new(&compiled.key_fields, keys)?;
    let fields = ObjectEncoder::with_nulls(&compiled.fields, fields, nulls)?;
    let (mut key, mut payload) = (String::new(), String::new());
    let mut invalid = None;
    fields.write(0, &mut payload, |cell| {
        if cell == Cell::NoForm {
            invalid = Some("invalid_value");
        }
    });
    keys.write(0, &mut key, |cell| {
        if cell != Cell::Value {
            invalid = Some("invalid_null_key");
        }
    });
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_default();
    Ok(Sent {
        key: parsed(&key),
        fields: parsed(&payload),
        invalid,
    })
}

/// What is wrong with a row, if something is.
fn judge(test: &MappingTest, sent: &Sent) -> Option<Diagnostic> {
    let problem = match (&test.expect, sent.invalid) {
        (Expected::Invalid(expected), Some(found)) if expected == found => return None,
        (Expected::Invalid(expected), Some(found)) => failed(
            test,
            format!("the row is `{found}`, not `{expected}`"),
            test.span,
        ),
        (Expected::Invalid(_), None) => {
            let object = Json::Object(sent.fields.clone());
            failed(test, "the row can be sent", test.span)
                .with_note(format!(
                    "key {}, fields {object}",
                    Json::Object(sent.key.clone())
                ))
                .into()
        }
        (Expected::Sent { .. }, Some(found)) => failed(
            test,
            format!("the row cannot be sent: `{found}`"),
            test.span,
        ),
        (Expected::Sent { key, fields }, None) => {
            let key = key.as_ref().map(|key| ("key", key, &sent.key));
            let fields = fields
                .as_ref()
                .map(|fields| ("fields", fields, &sent.fields));
            let differing = [key, fields].into_iter().flatten();
            let mut notes = vec![];
            let mut place = None;
            for (what, expected, found) in differing {
                let (span, differences) = differences(expected, found);
                if !differences.is_empty() {
                    place = place.or(Some(span));
                    notes.extend(
                        differences
                            .into_iter()
                            .map(|line| format!("{what}: {line}")),
                    );
                }
            }
            let span = place?;
            let mut problem = *failed(test, "something else is sent", span);
            for note in notes {
                problem = problem.with_note(note);
            }
            return Some(problem);
        }
    };
    Some(*problem)
}

/// Where and how an object differs from the one that is expected.
fn differences(expected: &Value, found: &Map<String, Json>) -> (Span, Vec<String>) {
    let none = vec![];
    let entries: &Vec<(Located<String>, Value)> = match &expected.kind {
        ValueKind::Map(entries) => entries,
        _ => &none,
    };
    let mut span = None;
    let mut lines = vec![];
    for (name, value) in entries {
        let wanted = plain(value.to_json());
        let there = found.get(&name.value).cloned().map(plain);
        if there.as_ref() != Some(&wanted) {
            span = span.or(Some(value.span));
            let there = there.map_or_else(|| "nothing".to_owned(), |json| json.to_string());
            lines.push(format!("`{}` is {there}, expected {wanted}", name.value));
        }
    }
    for (name, json) in found {
        if !entries.iter().any(|(expected, _)| expected.value == *name) {
            lines.push(format!("`{name}` is {json}, expected nothing"));
        }
    }
    (span.unwrap_or(expected.span), lines)
}

/// Numbers with one spelling: `3.0` is `3`.
fn plain(json: Json) -> Json {
    match json {
        Json::Number(number) => {
            let float = number
                .as_f64()
                .filter(|f| f.fract() == 0.0 && f.abs() < 9e15);
            match float {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
                Some(whole) if number.is_f64() => Json::from(whole as i64),
                _ => Json::Number(number),
            }
        }
        Json::Array(items) => Json::Array(items.into_iter().map(plain).collect()),
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .map(|(name, json)| (name, plain(json)))
                .collect(),
        ),
        other => other,
    }
}
