//! What is answered to what.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::schedule::JobStatus;
use crate::serve::{Phase, Records};

use super::Context;
use super::problem::Problem;

/// Records of an answer, unless the request says how many.
const RECORDS: usize = 100;
/// And at most.
const MOST_RECORDS: usize = 1000;

type Shared = State<Arc<Context>>;

/// The process answers.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The server runs the schedule, or stands by to do so.
pub(super) async fn readyz(State(context): Shared) -> (StatusCode, Json<Value>) {
    let phase = context.handle.phase();
    let status = match phase {
        Phase::Leading | Phase::Standby => StatusCode::OK,
        Phase::Starting | Phase::Stuck | Phase::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(json!({ "status": phase })))
}

pub(super) async fn jobs(State(context): Shared) -> Result<Json<Value>, Problem> {
    let jobs = context.handle.jobs()?;
    Ok(Json(json!({ "jobs": jobs })))
}

pub(super) async fn job(
    State(context): Shared,
    Path(name): Path<String>,
) -> Result<Json<JobStatus>, Problem> {
    Ok(Json(context.handle.job(&name)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    since: Option<DateTime<Utc>>,
    limit: Option<usize>,
}

pub(super) async fn records(
    State(context): Shared,
    Path(name): Path<String>,
    window: Result<Query<Window>, QueryRejection>,
) -> Result<Json<Records>, Problem> {
    let Query(window) = window.map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "wrong-query",
            "`since` is a time like 2026-01-31T12:00:00Z, and `limit` a number",
        )
    })?;
    let limit = window.limit.unwrap_or(RECORDS);
    if !(1..=MOST_RECORDS).contains(&limit) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "wrong-query",
            format!("`limit` is a number from 1 to {MOST_RECORDS}"),
        ));
    }
    let records = context.handle.records(&name, window.since, limit)?;
    Ok(Json(records))
}

/// The request is taken; the run may have to wait for its turn.
pub(super) async fn run(
    State(context): Shared,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<JobStatus>), Problem> {
    let status = context.handle.run_now(&name).await?;
    Ok((StatusCode::ACCEPTED, Json(status)))
}

pub(super) async fn pause(
    State(context): Shared,
    Path(name): Path<String>,
) -> Result<Json<JobStatus>, Problem> {
    Ok(Json(context.handle.pause(&name).await?))
}

pub(super) async fn resume(
    State(context): Shared,
    Path(name): Path<String>,
) -> Result<Json<JobStatus>, Problem> {
    Ok(Json(context.handle.resume(&name).await?))
}

pub(super) async fn nothing_here(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-such-path",
        format!("there is nothing at `{}`", uri.path()),
    )
}

pub(super) async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        "this path takes another method",
    )
}
