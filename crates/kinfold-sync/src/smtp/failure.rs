//! What an answer of the server, or its silence, means.

use lettre::transport::smtp::Error;

use crate::{DestinationError, FailureClass, Outcome};

/// How far a mail had come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before its recipients; the sender is the same for all mails.
    Sender,
    /// Recipients, and the question whether the content may follow.
    Recipient,
    /// The content was on its way.
    Content,
}

/// What becomes of a mail that was not taken.
pub(super) enum Verdict {
    /// It has this outcome, and the next mail can follow.
    Row(Outcome),
    /// It has this outcome, and the connection is of no more use.
    Broken(Outcome),
    /// No mail can be sent.
    Nobody {
        class: FailureClass,
        message: String,
    },
}

fn code(error: &Error) -> Option<u16> {
    error.status().map(u16::from)
}

/// The number of the answer and the server's words.
fn words(error: &Error) -> String {
    let mut text = match code(error) {
        Some(code) => format!("answer {code}"),
        None => "no answer".to_owned(),
    };
    if let Some(source) = std::error::Error::source(error) {
        text.push_str(&format!(": {source}"));
    }
    text
}

/// Whether the server wants other credentials.
fn is_about_credentials(code: u16) -> bool {
    matches!(code, 530 | 534 | 535 | 538)
}

pub(super) fn of_mail(error: &Error, stage: Stage) -> Verdict {
    let message = words(error);
    match code(error) {
        Some(code) if is_about_credentials(code) => Verdict::Nobody {
            class: FailureClass::Unauthorized,
            message: format!("the server refuses the account (answer {code})"),
        },
        Some(421) => Verdict::Broken(Outcome::Retryable {
            class: FailureClass::Unavailable,
            message,
        }),
        Some(400..=499) => Verdict::Row(Outcome::Retryable {
            class: FailureClass::Unavailable,
            message,
        }),
        Some(code) if stage == Stage::Sender => Verdict::Nobody {
            class: FailureClass::Misconfigured,
            message: format!("the server refuses the sender (answer {code})"),
        },
        Some(code) => Verdict::Row(Outcome::Rejected {
            class: match code {
                552 => FailureClass::TooLarge,
                _ => FailureClass::InvalidRow,
            },
            message,
        }),
        None => Verdict::Broken(lost(stage, FailureClass::ConnectionLost)),
    }
}

/// The outcome of a mail whose answer never came.
pub(super) fn lost(stage: Stage, class: FailureClass) -> Outcome {
    if stage == Stage::Content {
        Outcome::Unknown {
            class,
            message: "no answer after the mail was sent".to_owned(),
        }
    } else {
        Outcome::Retryable {
            class,
            message: "the connection ended before the mail was sent".to_owned(),
        }
    }
}

/// What a failure to connect and log in means. The server's words are left out: they may quote the account.
pub(super) fn of_connect(error: &Error, address: &str) -> DestinationError {
    let address = address.to_owned();
    match code(error) {
        Some(code) if is_about_credentials(code) => DestinationError::Unauthorized { address },
        Some(code @ 400..=499) => DestinationError::Unavailable {
            address,
            reason: format!("answer {code}"),
        },
        Some(code) => DestinationError::Unexpected {
            address,
            reason: format!("answer {code}"),
        },
        None if error.is_client() => DestinationError::Unexpected {
            address,
            reason: "it offers no STARTTLS, or no way to log in that is known".to_owned(),
        },
        None => {
            let mut reason: &dyn std::error::Error = error;
            while let Some(source) = reason.source() {
                reason = source;
            }
            DestinationError::Unreachable {
                address,
                reason: reason.to_string(),
            }
        }
    }
}
