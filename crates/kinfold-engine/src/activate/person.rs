//! What destinations have of one person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::DataFusionError;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast};
use datafusion::prelude::{Column, col, lit};
use futures::TryStreamExt;
use kinfold_compile::compile::CompiledSync;
use kinfold_project::Sync;
use kinfold_sync::ObjectText;
use serde::Serialize;
use serde_json::{Map, Value};

use super::canonical::{Cell, ObjectEncoder};
use super::compact;
use super::compare::{hash_of, key_hash};
use super::state::{Place, State};
use crate::published::Published;
use crate::stream::Providers;
use crate::{Engine, EngineError};

/// What a destination has of a person, as one sync knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonSync {
    /// The sync.
    pub sync: String,
    /// The connection that it delivers to.
    pub connection: String,
    /// The object there.
    pub object: String,
    /// The key under which the person is there.
    pub key: Map<String, Value>,
    /// `delivered`, `rejected`, `retryable`, `unknown`, `gone`, or `not_sent` if it was never tried.
    pub status: String,
    /// When the destination has confirmed the row, if that was the last that happened to it.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed, as a stable word.
    pub error_class: Option<String>,
}

/// The rows that syncs have, or would have, of a person: of each sync that reads a relation with the
/// person's `canonical_id`.
///
/// # Errors
/// If what is published or a state cannot be read.
pub async fn syncs_of_person(
    engine: &Engine,
    published: &Published,
    syncs: &[(&Sync, &CompiledSync)],
    canonical_id: &str,
) -> Result<Vec<PersonSync>, EngineError> {
    let mut found = vec![];
    for (sync, compiled) in syncs {
        let providers = match engine.providers(published, &compiled.reads).await {
            Ok(providers) => providers,
            // Nobody can be known to a sync of something that was never built.
            Err(EngineError::NotBuilt(_)) => continue,
            Err(error) => return Err(error),
        };
        let Some(providers) = only_of(providers, canonical_id)? else {
            continue;
        };
        let keys = keys(engine, compiled, &providers).await?;
        if !keys.is_empty() {
            found.extend(known(engine, sync, &keys).await?);
        }
    }
    Ok(found)
}

/// The relations with the rows of one person only; none if no relation has canonical ids.
fn only_of(providers: Providers, canonical_id: &str) -> Result<Option<Providers>, EngineError> {
    let mut any = false;
    let mut narrowed = Providers::new();
    for (key, provider) in providers {
        if provider.schema().field_with_name("canonical_id").is_err() {
            narrowed.insert(key, provider);
            continue;
        }
        any = true;
        let text = cast(col("canonical_id"), DataType::Utf8);
        let plan = LogicalPlanBuilder::scan("rows", provider_as_source(provider), None)?
            .filter(text.eq(lit(canonical_id)))?
            .build()?;
        narrowed.insert(key, Arc::new(ViewTable::new(plan, None)));
    }
    Ok(any.then_some(narrowed))
}

/// The keys that the mapping gives, as their canonical text.
async fn keys(
    engine: &Engine,
    compiled: &CompiledSync,
    providers: &Providers,
) -> Result<BTreeSet<String>, EngineError> {
    let columns = compiled.plan.schema().columns();
    let columns: Vec<Column> = columns
        .into_iter()
        .take(compiled.key_fields.len())
        .collect();
    let plan = LogicalPlanBuilder::from(compiled.plan.clone())
        .project(columns.into_iter().map(Expr::Column))?
        .build()?;
    let mut found = BTreeSet::new();
    for batch in engine.rows(&plan, providers).await? {
        let keys = ObjectEncoder::new(&compiled.key_fields, batch.columns());
        let keys = keys.map_err(DataFusionError::from)?;
        for row in 0..batch.num_rows() {
            let (mut key, mut usable) = (String::new(), true);
            keys.write(row, &mut key, |cell| usable &= cell == Cell::Value);
            if usable {
                found.insert(key);
            }
        }
    }
    Ok(found)
}

/// What the state of a sync says of keys.
async fn known(
    engine: &Engine,
    sync: &Sync,
    keys: &BTreeSet<String>,
) -> Result<Vec<PersonSync>, EngineError> {
    let place = Place::of(engine, sync)?;
    let state = Arc::new(State::open(engine, &place).await?);
    let ended = ended_runs(engine).await?;
    let name = &sync.name.value;
    let mut rows: BTreeMap<&str, PersonSync> = BTreeMap::new();
    for key in keys {
        let parsed = ObjectText::new(key.clone()).and_then(|text| text.parse());
        let row = PersonSync {
            sync: name.clone(),
            connection: sync.connection.value.clone(),
            object: sync.object.value.clone(),
            key: parsed.unwrap_or_default(),
            status: "not_sent".to_owned(),
            acknowledged_at: None,
            error_class: None,
        };
        rows.insert(key, row);
    }
    let hashes: BTreeMap<u128, &str> = keys
        .iter()
        .map(|key| (key_hash(key), key.as_str()))
        .collect();
    let mut batches = compact::newest(engine, &state).await?;
    while let Some(batch) = batches.try_next().await? {
        let stored = batch.column(0).as_binary::<i32>();
        for at in 0..batch.num_rows() {
            let key = hashes.get(&hash_of(stored.value(at)));
            if let Some(row) = key.and_then(|key| rows.get_mut(key)) {
                row.status = text(&batch, 3, at).unwrap_or_default();
                let run = text(&batch, 8, at);
                row.acknowledged_at = run.and_then(|run| ended.get(&(name.clone(), run)).copied());
                row.error_class = text(&batch, 13, at);
            }
        }
    }
    Ok(rows.into_values().collect())
}

fn text(batch: &RecordBatch, column: usize, row: usize) -> Option<String> {
    let column = batch.column(column).as_string_opt::<i32>()?;
    column.is_valid(row).then(|| column.value(row).to_owned())
}

/// When runs ended, by sync and run.
async fn ended_runs(
    engine: &Engine,
) -> Result<BTreeMap<(String, String), DateTime<Utc>>, EngineError> {
    let table = Place::runs_table(engine)?;
    let Some(snapshot) = engine.lake.snapshot(&table, None).await? else {
        return Ok(BTreeMap::new());
    };
    let plan = LogicalPlanBuilder::scan("runs", provider_as_source(snapshot.provider()?), None)?
        .project(["sync", "run_id", "ended_at"].map(col))?
        .build()?;
    let mut ended = BTreeMap::new();
    for batch in engine.rows(&plan, &Providers::new()).await? {
        let times = batch
            .column(2)
            .as_primitive_opt::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let time = times.filter(|times| times.is_valid(row));
            let time = time.and_then(|times| DateTime::from_timestamp_micros(times.value(row)));
            if let (Some(sync), Some(run), Some(time)) =
                (text(&batch, 0, row), text(&batch, 1, row), time)
            {
                ended.insert((sync, run), time);
            }
        }
    }
    Ok(ended)
}
