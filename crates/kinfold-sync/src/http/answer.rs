//! What an HTTP answer says about a batch.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use crate::{FailureClass, Outcome, RetryAfter, SendResult};

/// An answer as far as it was read.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// Whether the body was read to its end.
    pub(super) complete: bool,
}

#[derive(Deserialize)]
struct RowAnswer {
    index: usize,
    status: RowStatus,
    #[serde(default)]
    error: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RowStatus {
    Ok,
    Rejected,
    Retryable,
}

/// The result of a request with `rows` records.
pub(super) fn classify(answer: &Answer<'_>, rows: usize) -> SendResult {
    let code = answer.status.as_u16();
    let said = || format!("status {code}");
    match code {
        200..=299 => success(answer, rows),
        300..=399 => SendResult::Fatal {
            class: FailureClass::Misconfigured,
            message: format!("status {code}: redirects are not followed"),
        },
        401 | 403 => SendResult::Fatal {
            class: FailureClass::Unauthorized,
            message: said(),
        },
        400 | 404 | 422 => rejected(answer, FailureClass::InvalidRow),
        409 => rejected(answer, FailureClass::Conflict),
        413 => rejected(answer, FailureClass::TooLarge),
        429 => SendResult::RateLimited {
            retry_after: retry_after(answer.headers),
        },
        503 => match retry_after(answer.headers) {
            Some(retry_after) => SendResult::RateLimited {
                retry_after: Some(retry_after),
            },
            None => SendResult::Transient {
                class: FailureClass::Unavailable,
                message: said(),
            },
        },
        408 | 425 => SendResult::Transient {
            class: FailureClass::Unavailable,
            message: said(),
        },
        // A server that breaks, or a gateway that loses the answer, may have applied the batch. Even where that
        // may be repeated it must be known: a row that leaves the model before it is sent again may be there.
        500..=599 => SendResult::Unknown {
            class: FailureClass::Unavailable,
            message: said(),
        },
        _ => SendResult::Fatal {
            class: FailureClass::Misconfigured,
            message: said(),
        },
    }
}

fn rejected(answer: &Answer<'_>, class: FailureClass) -> SendResult {
    let body = String::from_utf8_lossy(answer.body);
    let words = match serde_json::from_slice::<Value>(answer.body) {
        Ok(Value::Object(map)) => ["error", "message", "detail"]
            .iter()
            .find_map(|name| map.get(*name))
            .map_or_else(|| body.into_owned(), error_text),
        _ => body.into_owned(),
    };
    SendResult::Rejected {
        class,
        message: format!("status {}: {words}", answer.status.as_u16()),
    }
}

pub(super) fn error_text(error: &Value) -> String {
    match error {
        Value::Null => "no reason given".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn success(answer: &Answer<'_>, rows: usize) -> SendResult {
    let malformed = |message: &str| SendResult::Unknown {
        class: FailureClass::MalformedAnswer,
        message: message.to_owned(),
    };
    if !answer.complete {
        return malformed("the answer ends too early or is too long");
    }
    let delivered = SendResult::Rows(vec![Outcome::Delivered; rows]);
    let multi_status = answer.status == StatusCode::MULTI_STATUS;
    if !is_json(answer.headers) || answer.body.is_empty() {
        return if multi_status {
            malformed("status 207 without results")
        } else {
            delivered
        };
    }
    let Ok(body) = serde_json::from_slice::<Value>(answer.body) else {
        return malformed("the answer is not JSON");
    };
    let results = match body {
        Value::Object(mut map) => map.remove("results"),
        _ => None,
    };
    let Some(results) = results else {
        return if multi_status {
            malformed("status 207 without results")
        } else {
            delivered
        };
    };
    let Ok(results) = serde_json::from_value::<Vec<RowAnswer>>(results) else {
        return malformed("the results of the answer cannot be understood");
    };
    let mut outcomes = vec![None; rows];
    for result in results {
        let Some(slot @ None) = outcomes.get_mut(result.index) else {
            return malformed("the results name a row twice, or one that was not sent");
        };
        let message = error_text(&result.error);
        *slot = Some(match result.status {
            RowStatus::Ok => Outcome::Delivered,
            RowStatus::Rejected => Outcome::Rejected {
                class: FailureClass::InvalidRow,
                message,
            },
            RowStatus::Retryable => Outcome::Retryable {
                class: FailureClass::Unavailable,
                message,
            },
        });
    }
    SendResult::Rows(
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or(Outcome::Delivered))
            .collect(),
    )
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/json")
                || kind.to_ascii_lowercase().ends_with("+json")
        })
}

/// `Retry-After` in seconds or as an HTTP date in any of its three forms (RFC 9110 §10.2.3, §5.6.7).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// The value of a `Retry-After` header: seconds, or an HTTP date in any of its three forms.
#[must_use]
pub fn parse_retry_after(text: &str) -> Option<RetryAfter> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(RetryAfter::Delay(Duration::from_secs(seconds)));
    }
    let dated = |format: &str| {
        NaiveDateTime::parse_from_str(text, format)
            .ok()
            .map(|time| time.and_utc())
    };
    DateTime::parse_from_rfc2822(text)
        .map(|time| time.with_timezone(&Utc))
        .ok()
        .or_else(|| dated("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|| dated("%a %b %e %H:%M:%S %Y"))
        .map(RetryAfter::At)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> SendResult {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        classify(
            &Answer {
                status: StatusCode::from_u16(status).unwrap_or_default(),
                headers: &map,
                body: body.as_bytes(),
                complete: true,
            },
            3,
        )
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    fn is_unknown(result: &SendResult) -> bool {
        matches!(result, SendResult::Unknown { .. })
    }

    #[test]
    fn a_success_without_results_delivers_all() {
        let all = SendResult::Rows(vec![Outcome::Delivered; 3]);
        assert_eq!(answer(200, &[], "thanks"), all);
        assert_eq!(answer(204, &[], ""), all);
        assert_eq!(answer(201, &[JSON], r#"{"id":7}"#), all);
        assert_eq!(answer(200, &[JSON], "[1]"), all);
        assert_eq!(answer(200, &[JSON], r#"{"results":[]}"#), all);
    }

    #[test]
    fn results_attribute_outcomes_and_unnamed_rows_are_delivered() {
        let result = answer(
            207,
            &[JSON],
            r#"{"results":[{"index":2,"status":"rejected","error":"no"},{"index":0,"status":"retryable","error":{"code":5}}]}"#,
        );
        assert_eq!(
            result,
            SendResult::Rows(vec![
                Outcome::Retryable {
                    class: FailureClass::Unavailable,
                    message: r#"{"code":5}"#.to_owned()
                },
                Outcome::Delivered,
                Outcome::Rejected {
                    class: FailureClass::InvalidRow,
                    message: "no".to_owned()
                },
            ])
        );
    }

    #[test]
    fn an_answer_that_breaks_the_contract_is_unknown() {
        for (status, headers, body) in [
            (200, &[JSON][..], r#"{"results":["#),
            (200, &[JSON], r#"{"results":7}"#),
            (200, &[JSON], r#"{"results":[{"index":3,"status":"ok"}]}"#),
            (
                200,
                &[JSON],
                r#"{"results":[{"index":0,"status":"ok"},{"index":0,"status":"ok"}]}"#,
            ),
            (200, &[JSON], r#"{"results":[{"index":0,"status":"fine"}]}"#),
            (200, &[JSON], r#"{"results":[{"index":-1,"status":"ok"}]}"#),
            (207, &[], "done"),
            (207, &[JSON], "{}"),
        ] {
            assert!(is_unknown(&answer(status, headers, body)), "{body}");
        }
    }

    #[test]
    fn statuses_have_their_meaning() {
        for status in [400, 404, 409, 413, 422] {
            assert!(matches!(
                answer(status, &[], ""),
                SendResult::Rejected { .. }
            ));
        }
        for status in [301, 302, 307, 308, 401, 403, 402, 405, 410, 415, 451] {
            assert!(
                matches!(answer(status, &[], ""), SendResult::Fatal { .. }),
                "{status}"
            );
        }
        for status in [408, 425, 503] {
            assert!(matches!(
                answer(status, &[], ""),
                SendResult::Transient { .. }
            ));
        }
        assert_eq!(
            answer(429, &[], ""),
            SendResult::RateLimited { retry_after: None }
        );
    }

    #[test]
    fn a_broken_server_may_have_applied_the_batch() {
        for status in [500, 502, 504, 507] {
            assert!(is_unknown(&answer(status, &[], "")), "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let expected = DateTime::from_timestamp(784_111_777, 0).unwrap_or_default();
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(
                answer(429, &[("retry-after", text)], ""),
                SendResult::RateLimited {
                    retry_after: Some(RetryAfter::At(expected))
                },
                "{text}"
            );
        }
        assert_eq!(
            answer(503, &[("retry-after", "17")], ""),
            SendResult::RateLimited {
                retry_after: Some(RetryAfter::Delay(Duration::from_secs(17)))
            }
        );
        assert_eq!(
            answer(429, &[("retry-after", "soon")], ""),
            SendResult::RateLimited { retry_after: None }
        );
    }
}
