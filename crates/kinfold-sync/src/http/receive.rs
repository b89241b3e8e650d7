//! Reading an answer, or the reason why there is none.

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Response, StatusCode};

use super::answer::Answer;
use crate::{FailureClass, JobState, SendResult};

/// An answer larger than this is malformed.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// So much of a refusal is read; only 200 characters of it are kept.
const MAX_REFUSAL_BYTES: usize = 16 << 10;

/// An answer, read as far as is needed.
pub(super) struct Received {
    status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Vec<u8>,
    complete: bool,
}

impl Received {
    pub(super) async fn read(response: Response) -> Self {
        let limit = if response.status().is_success() {
            MAX_ANSWER_BYTES
        } else {
            MAX_REFUSAL_BYTES
        };
        Self::read_up_to(response, limit).await
    }

    /// Reads so many bytes of the body at most.
    pub(super) async fn read_up_to(mut response: Response, limit: usize) -> Self {
        let status = response.status();
        let mut body = Vec::new();
        let complete = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= limit => {
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => break true,
                Ok(Some(_)) | Err(_) => break false,
            }
        };
        Self {
            status,
            headers: std::mem::take(response.headers_mut()),
            body,
            complete,
        }
    }

    pub(super) fn is_job(&self) -> bool {
        self.status == StatusCode::ACCEPTED && self.headers.contains_key(LOCATION)
    }

    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }

    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
            complete: self.complete,
        }
    }
}

/// What a request without an answer means.
pub(super) fn failed_request(error: &reqwest::Error) -> SendResult {
    let message = deepest(error);
    if error.is_connect() {
        SendResult::Transient {
            class: FailureClass::Unreachable,
            message,
        }
    } else if error.is_builder() {
        SendResult::Fatal {
            class: FailureClass::Misconfigured,
            message,
        }
    } else if error.is_timeout() {
        SendResult::Unknown {
            class: FailureClass::TimedOut,
            message: "no answer in time".to_owned(),
        }
    } else {
        SendResult::Unknown {
            class: FailureClass::ConnectionLost,
            message,
        }
    }
}

/// What a question about a job without an answer means.
pub(super) fn no_answer(error: &reqwest::Error) -> JobState {
    match failed_request(error) {
        SendResult::Fatal { class, message } => JobState::Refused { class, message },
        SendResult::Transient { class, message } | SendResult::Unknown { class, message } => {
            JobState::NoAnswer { class, message }
        }
        _ => JobState::NoAnswer {
            class: FailureClass::ConnectionLost,
            message: deepest(error),
        },
    }
}

/// The innermost reason of an error: the outer ones repeat the URL, which may hold a token.
pub(super) fn deepest(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    if reason.is::<reqwest::Error>() {
        return if error.is_timeout() {
            "timed out".to_owned()
        } else {
            "the request failed".to_owned()
        };
    }
    reason.to_string()
}
