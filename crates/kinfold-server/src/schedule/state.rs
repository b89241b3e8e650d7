//! What of the schedule survives the end of a server.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::incident::{Incident, Message};
use super::record::{Cause, Fate, Ran, Record, Rows, Totals};

/// The format that this version writes.
const FORMAT: u32 = 1;

/// The schedule's state as it is stored: a JSON document with its format number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub(super) format: u32,
    /// The server that wrote it ([`ServeOptions::server_id`](crate::ServeOptions)).
    pub writer: String,
    pub(super) next_run: u64,
    pub(super) jobs: BTreeMap<String, JobState>,
    pub(super) outbox: VecDeque<Message>,
}

/// A stored state that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// A later version of kinfold wrote it.
    #[error(
        "the state of the schedule has the format {found}, and this version of kinfold reads {FORMAT}"
    )]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It is no such document.
    #[error("the state of the schedule cannot be read")]
    Malformed(#[source] serde_json::Error),
}

impl Default for Document {
    fn default() -> Self {
        Self {
            format: FORMAT,
            writer: String::new(),
            next_run: 1,
            jobs: BTreeMap::new(),
            outbox: VecDeque::new(),
        }
    }
}

impl Document {
    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// A later format, or no such document.
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(DocumentError::Malformed)?;
        if head.format > FORMAT {
            return Err(DocumentError::Newer { found: head.format });
        }
        serde_json::from_slice(bytes).map_err(DocumentError::Malformed)
    }

    /// As it is stored.
    ///
    /// # Errors
    /// Never for a document of a scheduler; the JSON library allows for it.
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        serde_json::to_vec(self).map_err(DocumentError::Malformed)
    }
}

/// One due time that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) at: DateTime<Utc>,
    pub(super) cause: Cause,
    /// It passed while no server ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) missed: bool,
}

/// A run that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) run: u64,
    /// Since when.
    pub(super) since: DateTime<Utc>,
    /// The due times that it is for. The first one gets the record of the run. Never empty.
    pub(super) dues: Vec<Due>,
}

/// A run under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) run: u64,
    pub(super) started: DateTime<Utc>,
    pub(super) due: Due,
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobState {
    /// Its trigger in words. Another trigger has missed nothing.
    pub(super) trigger: String,
    /// When it was first seen.
    pub(super) since: DateTime<Utc>,
    /// Every due time up to here is settled or in flight.
    pub(super) accounted_until: DateTime<Utc>,
    pub(super) paused: Option<DateTime<Utc>>,
    /// The version of the inputs that was last noticed.
    pub(super) seen: Option<String>,
    /// When a change that was noticed will be due.
    pub(super) change_due: Option<DateTime<Utc>>,
    /// When `inputs` or `at_least_every` made it due last.
    pub(super) last_due: Option<DateTime<Utc>>,
    pub(super) running: Option<Running>,
    pub(super) waiting: Option<Waiting>,
    /// The last run was interrupted, and nothing has made up for it.
    pub(super) interrupted: bool,
    /// Failures in a row.
    pub(super) failures: u32,
    pub(super) failing_since: Option<DateTime<Utc>>,
    pub(super) incident: Option<Incident>,
    pub(super) last_run: Option<Ran>,
    pub(super) last_success: Option<DateTime<Utc>>,
    pub(super) totals: Totals,
    /// Sum over all runs.
    pub(super) rows: Rows,
    /// The newest ones, the oldest of them first.
    pub(super) records: VecDeque<Record>,
}

impl JobState {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            trigger: String::new(),
            since: now,
            accounted_until: now,
            paused: None,
            seen: None,
            change_due: None,
            last_due: None,
            running: None,
            waiting: None,
            interrupted: false,
            failures: 0,
            failing_since: None,
            incident: None,
            last_run: None,
            last_success: None,
            totals: Totals::default(),
            rows: Rows::default(),
            records: VecDeque::new(),
        }
    }

    /// Settles a due time, and forgets the oldest of more than `keep` records.
    pub(super) fn settle(&mut self, due: &Due, fate: Fate, keep: usize) {
        self.totals.count(&fate);
        self.records.push_back(Record {
            due: due.at,
            cause: due.cause,
            fate,
        });
        while self.records.len() > keep {
            self.records.pop_front();
        }
    }

    /// Due times that are not settled.
    pub(super) fn in_flight(&self) -> u64 {
        let waiting = self.waiting.as_ref().map_or(0, |w| w.dues.len());
        u64::from(self.running.is_some()) + u64::try_from(waiting).unwrap_or(u64::MAX)
    }
}
