//! A job that keeps failing, and who is told.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::job::Job;

use super::record::{Nodes, Outcome, Ran, Rows};
use super::state::JobState;

/// Somebody who is told about incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Tells it from the others, also after a restart. No secret.
    pub key: String,
    /// So many failures in a row before it is told; at least 1.
    pub after_failures: u32,
}

/// A job that fails, from the failure that opened it to the next success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// When the first of the failures in a row ended.
    pub since: DateTime<Utc>,
    /// The run that opened it.
    pub opened_by: u64,
    /// Receivers that have been told, or whose message is on its way.
    pub(super) told: BTreeSet<String>,
}

/// What is told to a receiver. Each is sent until it was delivered once; a receiver that was told twice knows by
/// `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The same whenever this message is sent again.
    pub id: String,
    /// [`Receiver::key`].
    pub receiver: String,
    /// What happened.
    pub event: IncidentEvent,
    /// The job.
    pub job: String,
    /// `build` or `sync`.
    pub kind: String,
    /// When the first of the failures in a row ended.
    pub since: DateTime<Utc>,
    /// When the run of this message ended.
    pub at: DateTime<Utc>,
    /// Failures in a row, up to this message.
    pub failures: u32,
    /// The server's number of the run.
    pub run: u64,
    /// The engine's id of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// How the run ended.
    pub outcome: Outcome,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What a sync did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// What a build did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentEvent {
    /// The job fails.
    Opened,
    /// It succeeds again.
    Recovered,
}

impl Message {
    /// The message in one sentence, for those that people read.
    #[must_use]
    pub fn sentence(&self) -> String {
        let job = format!("{} `{}`", self.kind, self.job);
        match (self.event, self.outcome) {
            (IncidentEvent::Recovered, _) => format!(
                "{job} succeeds again; it had failed since {}",
                self.since.format("%Y-%m-%d %H:%M UTC")
            ),
            (IncidentEvent::Opened, Outcome::Held) => {
                format!("{job} is held by a guard and waits for a person")
            }
            (IncidentEvent::Opened, _) if self.failures > 1 => {
                format!("{job} has failed {} times in a row", self.failures)
            }
            (IncidentEvent::Opened, _) => format!("{job} has failed"),
        }
    }
}

/// Opens, goes on with or closes the incident of a job after a run; returns what is to be told.
pub(super) fn after_run(
    job: &Job,
    state: &mut JobState,
    ran: &Ran,
    receivers: &[Receiver],
) -> Vec<Message> {
    let outcome = ran.result.outcome;
    let message = |event, receiver: &str, since, failures| Message {
        id: match event {
            IncidentEvent::Opened => format!("{}-{}-opened", job.name, ran.run),
            IncidentEvent::Recovered => format!("{}-{}-recovered", job.name, ran.run),
        },
        receiver: receiver.to_owned(),
        event,
        job: job.name.clone(),
        kind: job.kind.as_str().to_owned(),
        since,
        at: ran.ended,
        failures,
        run: ran.run,
        run_id: ran.result.run_id.clone(),
        outcome,
        message: ran.result.message.clone(),
        rows: ran.result.rows,
        nodes: ran.result.nodes,
    };
    match outcome {
        Outcome::Interrupted => vec![],
        Outcome::Succeeded => {
            state.last_success = Some(ran.ended);
            let failures = std::mem::take(&mut state.failures);
            state.failing_since = None;
            let Some(incident) = state.incident.take() else {
                return vec![];
            };
            let told = receivers.iter().filter(|r| incident.told.contains(&r.key));
            told.map(|r| message(IncidentEvent::Recovered, &r.key, incident.since, failures))
                .collect()
        }
        Outcome::Failed | Outcome::Held => {
            state.failures = state.failures.saturating_add(1);
            let failures = state.failures;
            let since = *state.failing_since.get_or_insert(ran.ended);
            let enough = |after: u32| outcome == Outcome::Held || failures >= after;
            let soonest = receivers
                .iter()
                .map(|r| r.after_failures)
                .min()
                .unwrap_or(1);
            if state.incident.is_none() && !enough(soonest) {
                return vec![];
            }
            let incident = state.incident.get_or_insert_with(|| Incident {
                since,
                opened_by: ran.run,
                told: BTreeSet::new(),
            });
            let mut messages = vec![];
            for receiver in receivers.iter().filter(|r| enough(r.after_failures)) {
                if incident.told.insert(receiver.key.clone()) {
                    messages.push(message(
                        IncidentEvent::Opened,
                        &receiver.key,
                        since,
                        failures,
                    ));
                }
            }
            messages
        }
    }
}
