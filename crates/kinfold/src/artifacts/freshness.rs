//! `sources.json`: how old the rows of sources are.

use chrono::{DateTime, SecondsFormat, Utc};
use kinfold_engine::freshness::{FreshnessStatus, SourceFreshness};
use kinfold_project::{Freshness, MaxAge, Project};
use serde_json::{Value as Json, json};

use super::RunFacts;

/// The document.
pub(super) fn document(project: &Project, found: &[SourceFreshness], run: &RunFacts) -> Json {
    let results: Vec<Json> = found
        .iter()
        .map(|found| entry(project, found, run))
        .collect();
    let elapsed: u64 = found.iter().map(|found| found.elapsed_ms).sum();
    json!({
        "metadata": run.metadata("sources/v3"),
        "results": results,
        "elapsed_time": seconds(elapsed),
    })
}

/// dbt's word for a status.
pub fn word(status: FreshnessStatus) -> &'static str {
    match status {
        FreshnessStatus::Pass => "pass",
        FreshnessStatus::Warn => "warn",
        FreshnessStatus::Error => "error",
        FreshnessStatus::Unknown => "runtime error",
    }
}

fn entry(project: &Project, found: &SourceFreshness, run: &RunFacts) -> Json {
    if let Some(error) = &found.error {
        return json!({
            "unique_id": found.source,
            "error": error.to_string(),
            "status": word(found.status),
        });
    }
    // No rows came infinitely long ago, which dbt writes as the first of all years.
    let loaded_at = found.loaded_at.or_else(first_year).unwrap_or(run.as_of);
    let age = (run.as_of - loaded_at).num_milliseconds();
    let source = project.sources.iter().find(|s| s.id == found.source);
    let criteria = source.map(|source| criteria(&source.freshness));
    json!({
        "unique_id": found.source,
        "max_loaded_at": time(loaded_at),
        "snapshotted_at": time(run.as_of),
        "max_loaded_at_time_ago_in_s": age as f64 / 1000.0,
        "status": word(found.status),
        "criteria": criteria.unwrap_or_default(),
        "adapter_response": {},
        "timing": [],
        "thread_id": "main",
        "execution_time": seconds(found.elapsed_ms),
    })
}

/// The limits of a source, as the artefacts write them.
pub(super) fn criteria(freshness: &Freshness) -> Json {
    let age = |age: Option<MaxAge>| {
        json!({
            "count": age.map(|age| age.count),
            "period": age.map(|age| age.period.as_str()),
        })
    };
    json!({
        "warn_after": age(freshness.warn_after),
        "error_after": age(freshness.error_after),
        "filter": freshness.filter.as_ref().map(|filter| &filter.value),
    })
}

fn first_year() -> Option<DateTime<Utc>> {
    let day = chrono::NaiveDate::from_ymd_opt(1, 1, 1)?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc())
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}
