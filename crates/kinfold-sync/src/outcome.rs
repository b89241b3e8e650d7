//! What became of one row.

use std::fmt;

/// The longest message of an [`Outcome`], in characters.
pub const MAX_MESSAGE_CHARS: usize = 200;

/// What became of one row, as far as the destination has told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has confirmed the change.
    Delivered,
    /// The destination refuses this row; the same payload will be refused again.
    Rejected {
        /// Why, as a stable word.
        class: FailureClass,
        /// For a person: at most [`MAX_MESSAGE_CHARS`], payload values replaced.
        message: String,
    },
    /// The change was not applied for a reason that passes; a later run sends it again.
    Retryable {
        /// Why, as a stable word.
        class: FailureClass,
        /// For a person: at most [`MAX_MESSAGE_CHARS`], payload values replaced.
        message: String,
    },
    /// The change was sent and no usable answer came: it may or may not be applied.
    Unknown {
        /// Why, as a stable word.
        class: FailureClass,
        /// For a person: at most [`MAX_MESSAGE_CHARS`], payload values replaced.
        message: String,
    },
}

impl Outcome {
    /// Whether the destination has confirmed the change.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered)
    }

    /// The stable word of this outcome: `delivered`, `rejected`, `retryable` or `unknown`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Rejected { .. } => "rejected",
            Self::Retryable { .. } => "retryable",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Class and message, unless delivered.
    #[must_use]
    pub fn failure(&self) -> Option<(FailureClass, &str)> {
        match self {
            Self::Delivered => None,
            Self::Rejected { class, message }
            | Self::Retryable { class, message }
            | Self::Unknown { class, message } => Some((*class, message)),
        }
    }
}

/// Why a row or a request failed. The words are stored in the sync log and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The destination finds the row's values invalid.
    InvalidRow,
    /// A row with this key, or another unique value of it, exists already.
    Conflict,
    /// The row to update does not exist.
    MissingRow,
    /// The row alone is larger than the destination accepts.
    TooLarge,
    /// Credentials are missing, wrong or not sufficient.
    Unauthorized,
    /// The request as a whole cannot work: wrong address, a redirect, an object that does not exist.
    Misconfigured,
    /// The destination asked to slow down.
    RateLimited,
    /// The destination answered that it cannot work now.
    Unavailable,
    /// No connection could be opened.
    Unreachable,
    /// No answer came in time.
    TimedOut,
    /// The connection broke after the request was sent.
    ConnectionLost,
    /// An answer came and is not what the contract says.
    MalformedAnswer,
    /// The destination accepted a job and does not know it any more.
    JobLost,
    /// The delivery ended before this row was sent.
    NotSent,
}

impl FailureClass {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRow => "invalid_row",
            Self::Conflict => "conflict",
            Self::MissingRow => "missing_row",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Misconfigured => "misconfigured",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::ConnectionLost => "connection_lost",
            Self::MalformedAnswer => "malformed_answer",
            Self::JobLost => "job_lost",
            Self::NotSent => "not_sent",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
