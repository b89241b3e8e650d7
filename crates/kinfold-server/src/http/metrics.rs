//! Metrics in the text format of Prometheus. Every label's values are jobs or words of a fixed list.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::job::JobKind;
use crate::schedule::{JobStatus, Outcome};
use crate::serve::Phase;

use super::Context;
use super::problem::Problem;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(context): State<Arc<Context>>) -> Response {
    let phase = context.handle.phase();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot {
        leads: matches!(phase, Phase::Leading | Phase::Stuck),
        jobs: context.handle.jobs().unwrap_or_default(),
        undelivered: context.handle.undelivered(),
    }));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(fmt::Error) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics",
            "the metrics cannot be written",
        )
        .into_response(),
    }
}

#[derive(Debug)]
struct Snapshot {
    leads: bool,
    jobs: Vec<JobStatus>,
    undelivered: usize,
}

fn seconds(time: DateTime<Utc>) -> f64 {
    // Exact to the microsecond until the year 2255.
    #[expect(clippy::cast_precision_loss, reason = "as said")]
    let micros = time.timestamp_micros() as f64;
    micros / 1e6
}

/// A family: its name, what it means, and a sample for each of some labels.
fn family<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    kind: MetricType,
    samples: impl IntoIterator<Item = (Vec<(&'static str, String)>, M)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
    for (labels, metric) in samples {
        metric.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        ConstGauge::new(i64::from(self.leads)).encode(encoder.encode_descriptor(
            "kinfold_server_leading",
            "Whether this server runs the schedule",
            None,
            MetricType::Gauge,
        )?)?;
        ConstGauge::new(i64::try_from(self.undelivered).unwrap_or(i64::MAX)).encode(
            encoder.encode_descriptor(
                "kinfold_alerts_undelivered",
                "Alerts that have not arrived",
                None,
                MetricType::Gauge,
            )?,
        )?;
        self.runs(encoder)?;
        self.state(encoder)?;
        self.times(encoder)
    }
}

impl Snapshot {
    fn runs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let job = |status: &JobStatus| ("job", status.name.clone());
        family(
            encoder,
            ("kinfold_job_runs", "Runs that ended, by result", None),
            MetricType::Counter,
            self.jobs.iter().flat_map(|status| {
                Outcome::ALL.map(|outcome| {
                    let labels = vec![job(status), ("result", outcome.as_str().to_owned())];
                    (labels, ConstCounter::new(status.totals.runs(outcome)))
                })
            }),
        )?;
        family(
            encoder,
            (
                "kinfold_job_due_times",
                "Due times, by what became of them",
                None,
            ),
            MetricType::Counter,
            self.jobs.iter().flat_map(|status| {
                status.totals.by_fate().map(|(fate, count)| {
                    let labels = vec![job(status), ("fate", fate.to_owned())];
                    (labels, ConstCounter::new(count))
                })
            }),
        )?;
        let syncs = self.jobs.iter().filter(|s| s.kind == JobKind::Sync);
        family(
            encoder,
            ("kinfold_sync_rows", "Rows of all runs, by outcome", None),
            MetricType::Counter,
            syncs.flat_map(|status| {
                status.rows.by_outcome().map(|(outcome, count)| {
                    let labels = vec![
                        ("sync", status.name.clone()),
                        ("outcome", outcome.to_owned()),
                    ];
                    (labels, ConstCounter::new(count))
                })
            }),
        )
    }

    fn state(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Flag = fn(&JobStatus) -> bool;
        let flags: [(&str, &str, Flag); 4] = [
            ("kinfold_job_running", "Whether a run is under way", |s| {
                s.running.is_some()
            }),
            (
                "kinfold_job_waiting",
                "Whether a run waits for its turn",
                |s| s.waiting.is_some(),
            ),
            ("kinfold_job_paused", "Whether the job is paused", |s| {
                s.paused_since.is_some()
            }),
            (
                "kinfold_job_incident_open",
                "Whether the job has failed so often that somebody is told",
                |s| s.incident.is_some(),
            ),
        ];
        for (name, help, flag) in flags {
            family(
                encoder,
                (name, help, None),
                MetricType::Gauge,
                self.jobs.iter().map(|status| {
                    let labels = vec![("job", status.name.clone())];
                    (labels, ConstGauge::new(i64::from(flag(status))))
                }),
            )?;
        }
        Ok(())
    }

    fn times(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Time = fn(&JobStatus) -> Option<f64>;
        let times: [(&str, &str, Time); 3] = [
            (
                "kinfold_job_last_success_timestamp",
                "When a run last succeeded",
                |s| s.last_success.map(seconds),
            ),
            (
                "kinfold_job_last_run_duration",
                "How long the last run took",
                |s| {
                    let run = s.last_run.as_ref()?;
                    Some(seconds(run.ended) - seconds(run.started))
                },
            ),
            (
                "kinfold_job_next_due_timestamp",
                "When the job is due next",
                |s| s.next_due.map(seconds),
            ),
        ];
        for (name, help, time) in times {
            family(
                encoder,
                (name, help, Some(&Unit::Seconds)),
                MetricType::Gauge,
                self.jobs.iter().filter_map(|status| {
                    let labels = vec![("job", status.name.clone())];
                    Some((labels, ConstGauge::new(time(status)?)))
                }),
            )?;
        }
        Ok(())
    }
}
