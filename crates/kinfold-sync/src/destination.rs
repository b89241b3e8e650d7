//! The port of a destination.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kinfold_project::SyncMode;
use serde_json::{Map, Value};

use crate::{Batch, BatchOperation, FailureClass, JobHandle, JobState, ObjectText, Outcome, Reach};

/// What a sync writes to, and how. Known before anything is sent, so that [`Destination::check`] can
/// refuse it as a whole.
#[derive(Clone, Debug)]
pub struct Target {
    /// The object: a path of the URL, `schema.table`, a prefix of files.
    pub object: String,
    /// The mode of the sync.
    pub mode: SyncMode,
    /// Whether rows that leave are deleted (`on_leave: delete`), whatever the mode.
    pub deletes: bool,
    /// Destination fields of the key, in order; at least one.
    pub key_fields: Vec<String>,
    /// The other mapped destination fields.
    pub fields: Vec<String>,
}

/// What a destination can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Modes that it supports; another is refused before anything is sent.
    pub modes: Vec<SyncMode>,
    /// Operations that it supports.
    pub operations: Vec<BatchOperation>,
    /// Operations for which the same batch may be sent twice and the result is that of sending it once.
    pub idempotent: Vec<BatchOperation>,
    /// Most rows of a batch, of whatever operation; [`Destination::max_rows`] may allow fewer.
    pub max_rows: usize,
    /// Most bytes of a batch's rows, encoded as JSON.
    pub max_bytes: usize,
    /// Most batches in flight.
    pub max_in_flight: usize,
    /// Whether [`Destination::read`] gives back what it has.
    pub reads: bool,
}

impl Capabilities {
    /// Whether a batch of this operation may be sent again when its result is unknown.
    #[must_use]
    pub fn is_idempotent(&self, operation: BatchOperation) -> bool {
        self.idempotent.contains(&operation)
    }
}

/// Whether [`Destination::check`] asks if the credentials are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsCheck {
    /// It asks: if it succeeds, they were taken.
    Asked,
    /// There is nothing to ask by, so wrong ones are found out by the first batch, or never.
    CannotAsk {
        /// Why, for a person.
        why: String,
    },
}

/// When a destination wants the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so long.
    Delay(Duration),
    /// At this time of day.
    At(DateTime<Utc>),
}

/// The answer to one request. Messages may quote the destination's words: the delivery removes payload
/// values from them. They must not hold credentials.
#[derive(Clone, Debug, PartialEq)]
pub enum SendResult {
    /// One outcome per change, in the batch's order. `Retryable` rows are sent again, without the others.
    Rows(Vec<Outcome>),
    /// Accepted as a job, whose end [`Destination::poll`] will tell. Only from a destination with
    /// [`Destination::max_jobs`].
    Accepted {
        /// The name of the job.
        job: JobHandle,
        /// When to ask for the first time, if it said so.
        after: Option<RetryAfter>,
    },
    /// Refused as a whole, nothing applied, and not said which row is at fault. The batch is halved until
    /// single rows remain.
    Rejected {
        /// Why.
        class: FailureClass,
        /// The destination's words.
        message: String,
    },
    /// Asked to wait; nothing applied. Waiting does not use up attempts.
    RateLimited {
        /// For how long, if it said so.
        retry_after: Option<RetryAfter>,
    },
    /// Failed for a reason that passes, nothing applied.
    Transient {
        /// Why; [`FailureClass::Unreachable`] if no connection could be opened.
        class: FailureClass,
        /// For a person.
        message: String,
    },
    /// Sent, and it is not known whether it was applied.
    Unknown {
        /// Why.
        class: FailureClass,
        /// For a person.
        message: String,
    },
    /// No request of this delivery can succeed: credentials, a redirect, an object that is gone.
    Fatal {
        /// Why.
        class: FailureClass,
        /// For a person.
        message: String,
    },
}

/// Why a destination cannot be used. No message holds credentials or row values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// No connection.
    #[error("cannot connect to `{address}`: {reason}")]
    Unreachable {
        /// Host and port, or URL without credentials and query.
        address: String,
        /// In a few words.
        reason: String,
    },
    /// The destination does not accept the credentials.
    #[error("`{address}` refuses the credentials")]
    Unauthorized {
        /// Host and port, or URL without credentials and query.
        address: String,
    },
    /// It answered that it cannot work now.
    #[error("`{address}` is not available: {reason}")]
    Unavailable {
        /// Host and port, or URL without credentials and query.
        address: String,
        /// In a few words.
        reason: String,
    },
    /// The object of the sync is not there.
    #[error("object `{object}` does not exist at `{address}`")]
    ObjectMissing {
        /// Host and port, or URL without credentials and query.
        address: String,
        /// The object.
        object: String,
    },
    /// The name of the object cannot be understood.
    #[error("`{object}` is not the name of an object: {reason}")]
    ObjectName {
        /// The object.
        object: String,
        /// In a few words.
        reason: &'static str,
    },
    /// A mapped field has no counterpart in the object.
    #[error("object `{object}` has no field `{field}`")]
    FieldMissing {
        /// The object.
        object: String,
        /// The field.
        field: String,
    },
    /// The object cannot do without a field that is not mapped.
    #[error("object `{object}` needs the field {field}")]
    FieldRequired {
        /// The object.
        object: String,
        /// The field, in backticks, or several with `or` between them.
        field: &'static str,
    },
    /// A mapped field cannot be written.
    #[error("field `{field}` of `{object}` is computed by the destination and cannot be written")]
    FieldReadOnly {
        /// The object.
        object: String,
        /// The field.
        field: String,
    },
    /// Rows cannot be found by the key.
    #[error("object `{object}` has no unique index on exactly the key ({key})")]
    KeyNotUnique {
        /// The object.
        object: String,
        /// The key fields, separated by commas.
        key: String,
    },
    /// The account may not do what the mode needs.
    #[error("the account may not {privilege} on `{object}`")]
    PrivilegeMissing {
        /// The object.
        object: String,
        /// `insert`, `update`, `delete` or `select`.
        privilege: &'static str,
    },
    /// The destination cannot do what the sync asks.
    #[error("mode `{mode}` is not supported by this destination")]
    ModeUnsupported {
        /// The mode, as the user writes it.
        mode: &'static str,
    },
    /// The object does not take a sync like this one.
    #[error("`{object}` does not take this sync: {reason}")]
    SyncRefused {
        /// The object.
        object: String,
        /// In a few words.
        reason: String,
    },
    /// An option of the connection is wrong.
    #[error("connection option `{option}` is not valid: {reason}")]
    Option {
        /// Which option.
        option: String,
        /// In a few words, without the value.
        reason: String,
    },
    /// It redirects, which is never followed, so that records are not sent to somebody else.
    #[error("`{address}` answers with a redirect; use the final address")]
    Redirect {
        /// URL without credentials and query.
        address: String,
    },
    /// It answered something that the contract does not allow.
    #[error("`{address}` answered unexpectedly: {reason}")]
    Unexpected {
        /// Host and port, or URL without credentials and query.
        address: String,
        /// In a few words.
        reason: String,
    },
    /// It does not tell what it has.
    #[error("rows cannot be read back from this destination")]
    Unreadable,
    /// What was sent could not be completed.
    #[error("the delivery to `{address}` could not be completed: {reason}")]
    Incomplete {
        /// Where.
        address: String,
        /// In a few words.
        reason: String,
    },
}

impl SendResult {
    /// What an error means that is met before anything of a batch was sent.
    pub(crate) fn before_sending(error: DestinationError) -> Self {
        let message = error.to_string();
        let (transient, class) = match error {
            DestinationError::Unreachable { .. } => (true, FailureClass::Unreachable),
            DestinationError::Unavailable { .. } => (true, FailureClass::Unavailable),
            DestinationError::Unauthorized { .. } | DestinationError::PrivilegeMissing { .. } => {
                (false, FailureClass::Unauthorized)
            }
            _ => (false, FailureClass::Misconfigured),
        };
        if transient {
            Self::Transient { class, message }
        } else {
            Self::Fatal { class, message }
        }
    }
}

/// Somewhere to deliver to.
#[async_trait]
pub trait Destination: Send + Sync {
    /// What it can do. Constant for the life of the destination.
    fn capabilities(&self) -> Capabilities;

    /// Most rows of a batch of an operation. Where operations differ, batches as large as the largest would
    /// be sent in parts, the last of which are small. Constant for the life of the destination.
    fn max_rows(&self, operation: BatchOperation) -> usize {
        let _ = operation;
        self.capabilities().max_rows
    }

    /// Whether [`Destination::check`] asks if the credentials are right. Constant for the life of the destination.
    fn credentials_check(&self) -> CredentialsCheck {
        CredentialsCheck::Asked
    }

    /// Whether a delivery can start: reachable, credentials accepted, object and fields there. Writes nothing.
    ///
    /// # Errors
    /// The first reason that would make every batch fail.
    async fn check(&self) -> Result<(), DestinationError>;

    /// Sends one batch, once. Retrying is the caller's business. Must return within a time limit of its own.
    async fn send(&self, batch: &Batch) -> SendResult;

    /// Most jobs at a time that have no end yet, batches that are being sent included; 0 if it answers
    /// every batch at once. Constant for the life of the destination.
    fn max_jobs(&self) -> usize {
        0
    }

    /// Asks once what became of a job, and changes nothing. `batch` is the one that was accepted, perhaps by
    /// an earlier process. Must return within a time limit of its own.
    async fn poll(&self, job: &JobHandle, batch: &Batch) -> JobState {
        let _ = (job, batch);
        JobState::Lost
    }

    /// The mapped fields of the rows with these keys as the destination has them now, in the order of the
    /// keys; `None` where it has no such row. Values have the JSON form in which they were sent: numbers
    /// are numbers, times are text in UTC with a `Z`, null is null. A destination may have turned a value
    /// into its own type meanwhile, so equal values need not have equal spellings.
    ///
    /// # Errors
    /// [`DestinationError::Unreadable`] unless [`Capabilities::reads`]; else why the rows cannot be read.
    async fn read(
        &self,
        keys: &[ObjectText],
    ) -> Result<Vec<Option<Map<String, Value>>>, DestinationError> {
        let _ = keys;
        Err(DestinationError::Unreadable)
    }

    /// How many people of the sync's object the destination has found, if it tells. Changes nothing there, so an
    /// audience that no run has made yet is not made.
    ///
    /// # Errors
    /// [`DestinationError::ObjectMissing`] if there is no such audience yet; else why it cannot be asked.
    async fn reach(&self) -> Result<Option<Reach>, DestinationError> {
        Ok(None)
    }

    /// Called once after the last batch, however the delivery ended.
    ///
    /// # Errors
    /// What was sent could not be completed.
    async fn finish(&self) -> Result<(), DestinationError> {
        Ok(())
    }
}
