//! What came of an exchange, and whether it is what was expected.

use chrono::{DateTime, Utc};
use kinfold_sync::{
    DestinationError, FailureClass, JobEnd, JobState, Outcome, Reach, RetryAfter, SendResult,
};

use super::exchange::{Expected, Result as ExpectedResult};
use super::mismatch::Mismatch;
use super::reach;

/// What came of an exchange.
pub(super) enum End {
    /// The batch was answered.
    Sent(SendResult),
    /// The batch became a job.
    Asked(JobState),
    /// The object was asked for its reach.
    Told(Option<Reach>),
    /// The credentials were taken, or could not be asked about.
    Checked {
        /// Whether they could.
        asks: bool,
    },
    /// Something without rows failed.
    Failed {
        /// The word of `result`.
        word: &'static str,
        /// What kind of failure.
        class: FailureClass,
        /// For a person.
        message: String,
    },
}

impl End {
    /// Something without rows failed.
    pub(super) fn failed(error: &DestinationError) -> Self {
        let (word, class) = reach::word_of(error);
        Self::Failed {
            word,
            class,
            message: error.to_string(),
        }
    }
}

pub(super) fn compare_end(
    expected: &ExpectedResult,
    end: &End,
    now: DateTime<Utc>,
    found: &mut Vec<Mismatch>,
) {
    let rows = match end {
        End::Sent(SendResult::Rows(rows)) | End::Asked(JobState::Ended(JobEnd::Rows(rows))) => {
            Some(rows)
        }
        _ => None,
    };
    match (expected, rows) {
        (ExpectedResult::Reach(expected), _) => {
            let same = matches!(end, End::Told(Some(told)) if told == expected);
            if !same {
                found.push(Mismatch::Result {
                    found: described(end, now),
                    expected: reach::shown(expected),
                });
            }
        }
        (ExpectedResult::Check { asks: expected }, _) => {
            let same = matches!(end, End::Checked { asks } if asks == expected);
            if !same {
                found.push(Mismatch::Result {
                    found: described(end, now),
                    expected: check_word(*expected).to_owned(),
                });
            }
        }
        (ExpectedResult::Rows(expected), Some(rows)) => {
            for (row, (outcome, expected)) in rows.iter().zip(expected).enumerate() {
                if !fits(outcome, expected) {
                    found.push(Mismatch::Outcome {
                        row,
                        found: shown(outcome),
                        expected: shown_expected(expected),
                    });
                }
            }
        }
        (ExpectedResult::Rows(expected), None) => found.push(Mismatch::Result {
            found: described(end, now),
            expected: format!("{} outcomes", expected.len()),
        }),
        (
            ExpectedResult::Whole {
                word,
                class,
                message,
                wait,
            },
            _,
        ) => {
            let (is, of_class, said, waits) = summary(end, now);
            let waits_right = wait.is_none() || wait == &waits;
            let class_right = class.is_none() || class.as_deref() == of_class;
            let message_right = message.as_ref().is_none_or(|part| said.contains(part));
            // One row that is refused is settled by itself.
            let refused = Expected {
                outcome: "rejected".to_owned(),
                class: class.clone(),
                message: message.clone(),
            };
            let single = *word == "rejected"
                && matches!(rows.map(Vec::as_slice), Some([only]) if fits(only, &refused));
            let as_whole = is == *word && class_right && message_right && waits_right;
            if !single && !as_whole {
                found.push(Mismatch::Result {
                    found: described(end, now),
                    expected: format!(
                        "{word} {} {wait:?} {}",
                        class.as_deref().unwrap_or("*"),
                        message.as_deref().unwrap_or("*")
                    ),
                });
            }
        }
    }
}

/// The word of an exchange for what came of asking about credentials.
fn check_word(asks: bool) -> &'static str {
    match asks {
        true => "works",
        false => "cannot_ask",
    }
}

pub(super) fn fits(outcome: &Outcome, expected: &Expected) -> bool {
    let (class, message) = outcome.failure().unzip();
    outcome.as_str() == expected.outcome
        && (expected.class.is_none()
            || expected.class.as_deref() == class.map(kinfold_sync::FailureClass::as_str))
        && expected
            .message
            .as_ref()
            .is_none_or(|part| message.is_some_and(|message| message.contains(part)))
}

pub(super) fn shown(outcome: &Outcome) -> String {
    match outcome.failure() {
        None => outcome.as_str().to_owned(),
        Some((class, message)) => format!("{} {class} ({message})", outcome.as_str()),
    }
}

pub(super) fn shown_expected(expected: &Expected) -> String {
    let class = expected.class.as_deref().unwrap_or_default();
    match &expected.message {
        None => format!("{} {class}", expected.outcome),
        Some(message) => format!("{} {class} (… {message} …)", expected.outcome),
    }
}

/// The word, the class, the message and the wait of what is not by rows.
pub(super) fn summary(
    end: &End,
    now: DateTime<Utc>,
) -> (
    &'static str,
    Option<&'static str>,
    &str,
    Option<std::time::Duration>,
) {
    let delay = |wait: &Option<RetryAfter>| match wait {
        Some(RetryAfter::Delay(delay)) => Some(*delay),
        Some(RetryAfter::At(time)) => (*time - now).to_std().ok(),
        None => None,
    };
    match end {
        End::Told(_) => ("reach", None, "", None),
        End::Checked { asks } => (check_word(*asks), None, "", None),
        End::Failed {
            word,
            class,
            message,
        } => (word, Some(class.as_str()), message, None),
        End::Sent(result) => match result {
            SendResult::Rows(_) => ("rows", None, "", None),
            SendResult::Accepted { .. } => ("accepted", None, "", None),
            SendResult::Rejected { class, message } => {
                ("rejected", Some(class.as_str()), message, None)
            }
            SendResult::RateLimited { retry_after } => ("throttled", None, "", delay(retry_after)),
            SendResult::Transient { class, message } => {
                ("temporary", Some(class.as_str()), message, None)
            }
            SendResult::Unknown { class, message } => {
                ("unknown", Some(class.as_str()), message, None)
            }
            SendResult::Fatal { class, message } => ("fatal", Some(class.as_str()), message, None),
        },
        End::Asked(state) => match state {
            JobState::Pending { after } => ("pending", None, "", delay(after)),
            JobState::Ended(JobEnd::Rows(_)) => ("rows", None, "", None),
            JobState::Ended(JobEnd::Rejected { class, message }) => {
                ("rejected", Some(class.as_str()), message, None)
            }
            JobState::Ended(JobEnd::NotApplied { class, message }) => {
                ("temporary", Some(class.as_str()), message, None)
            }
            JobState::Ended(JobEnd::Unknown { class, message }) => {
                ("unknown", Some(class.as_str()), message, None)
            }
            JobState::Lost => ("lost", None, "", None),
            JobState::RateLimited { retry_after } => ("throttled", None, "", delay(retry_after)),
            JobState::NoAnswer { class, message } => {
                ("no_answer", Some(class.as_str()), message, None)
            }
            JobState::Refused { class, message } => ("fatal", Some(class.as_str()), message, None),
        },
    }
}

fn described(end: &End, now: DateTime<Utc>) -> String {
    let (word, class, message, wait) = summary(end, now);
    let rows = match end {
        End::Sent(SendResult::Rows(rows)) | End::Asked(JobState::Ended(JobEnd::Rows(rows))) => {
            rows.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        End::Told(Some(told)) => reach::shown(told),
        _ => String::new(),
    };
    format!("{word} {} {wait:?} {message}{rows}", class.unwrap_or("-"))
}

pub(super) fn messages(end: &End, now: DateTime<Utc>) -> Vec<String> {
    match end {
        End::Told(told) => told.iter().map(reach::shown).collect(),
        End::Sent(SendResult::Rows(rows)) | End::Asked(JobState::Ended(JobEnd::Rows(rows))) => rows
            .iter()
            .filter_map(|outcome| outcome.failure().map(|(_, message)| message.to_owned()))
            .collect(),
        other => vec![summary(other, now).2.to_owned()],
    }
}
