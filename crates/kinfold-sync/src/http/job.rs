//! Jobs over HTTP: `202 Accepted` with a `Location`, and questions by GET.

use reqwest::Url;
use reqwest::header::{HeaderMap, LOCATION};
use serde_json::Value;

use super::answer::{Answer, classify, error_text, is_json, retry_after};
use crate::{FailureClass, JobEnd, JobHandle, JobState, SendResult};

/// The handle of a job whose address is `Location`: path and query without what the connection's own URL has
/// in its query, since that may be a credential. `None` if the address is of another origin, or too long.
pub(super) fn handle(url: &Url, headers: &HeaderMap) -> Option<JobHandle> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let mut address = url.join(location).ok()?;
    let has_user = !address.username().is_empty() || address.password().is_some();
    if address.origin() != url.origin() || has_user {
        return None;
    }
    let query: Vec<&str> = parameters(&address)
        .filter(|parameter| !parameters(url).any(|own| own == *parameter))
        .collect();
    let query = query.join("&");
    address.set_query((!query.is_empty()).then_some(&query));
    address.set_fragment(None);
    JobHandle::new(&address[url::Position::BeforePath..])
}

/// The address of a job: its handle at the connection's origin, with the connection's query.
pub(super) fn address(url: &Url, handle: &JobHandle) -> Option<Url> {
    let path = handle.as_str();
    // What starts with two slashes names another host.
    if !path.starts_with('/') || path.starts_with("//") {
        return None;
    }
    let mut address = url.join(path).ok()?;
    let query: Vec<&str> = parameters(&address).chain(parameters(url)).collect();
    let query = query.join("&");
    address.set_query((!query.is_empty()).then_some(&query));
    (address.origin() == url.origin()).then_some(address)
}

fn parameters(url: &Url) -> impl Iterator<Item = &str> {
    let query = url.query().unwrap_or_default().split('&');
    query.filter(|parameter| !parameter.is_empty())
}

/// What an answer says of a job with `rows` records.
pub(super) fn state(answer: &Answer<'_>, rows: usize) -> JobState {
    let code = answer.status.as_u16();
    let said = || format!("status {code}");
    match code {
        200..=299 => success(answer, rows),
        300..=399 => JobState::Refused {
            class: FailureClass::Misconfigured,
            message: format!("status {code} of a job: redirects are not followed"),
        },
        404 | 410 => JobState::Lost,
        401 | 403 => JobState::Refused {
            class: FailureClass::Unauthorized,
            message: said(),
        },
        429 => JobState::RateLimited {
            retry_after: retry_after(answer.headers),
        },
        503 if retry_after(answer.headers).is_some() => JobState::RateLimited {
            retry_after: retry_after(answer.headers),
        },
        408 | 425 | 500..=599 => JobState::NoAnswer {
            class: FailureClass::Unavailable,
            message: said(),
        },
        _ => JobState::Refused {
            class: FailureClass::Misconfigured,
            message: format!("status {code} of a job"),
        },
    }
}

/// A success says that the job goes on, that it failed, or what became of its records; anything else might
/// be taken for an end that it is not.
fn success(answer: &Answer<'_>, rows: usize) -> JobState {
    let no_answer = |message: &str| JobState::NoAnswer {
        class: FailureClass::MalformedAnswer,
        message: message.to_owned(),
    };
    let pending = || JobState::Pending {
        after: retry_after(answer.headers),
    };
    let body = (answer.complete && is_json(answer.headers))
        .then(|| serde_json::from_slice::<Value>(answer.body).ok())
        .flatten();
    let word = |name: &str| body.as_ref().and_then(|body| body.get(name)?.as_str());
    match word("status") {
        Some("running") => return pending(),
        Some("failed") => {
            let error = body.as_ref().and_then(|body| body.get("error"));
            return JobState::Ended(JobEnd::Rejected {
                class: FailureClass::InvalidRow,
                message: error_text(error.unwrap_or(&Value::Null)),
            });
        }
        _ => {}
    }
    if answer.status.as_u16() == 202 {
        return pending();
    }
    let results = body.as_ref().and_then(|body| body.get("results"));
    if results.is_none() {
        return no_answer("the answer says neither that the job goes on nor what came of it");
    }
    match classify(answer, rows) {
        SendResult::Rows(rows) => JobState::Ended(JobEnd::Rows(rows)),
        _ => no_answer("the results of the job cannot be understood"),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::Outcome;

    fn told(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> JobState {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers: &map,
            body: body.as_bytes(),
            complete: true,
        };
        state(&answer, 2)
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn a_job_goes_on_until_its_results_are_there() {
        let pending = JobState::Pending { after: None };
        assert_eq!(told(202, &[], ""), pending);
        assert_eq!(told(202, &[JSON], r#"{"results":[]}"#), pending);
        assert_eq!(told(200, &[JSON], r#"{"status":"running"}"#), pending);
        assert!(matches!(
            told(202, &[("retry-after", "7")], ""),
            JobState::Pending { after: Some(_) }
        ));
        let all = JobState::Ended(JobEnd::Rows(vec![Outcome::Delivered; 2]));
        assert_eq!(told(200, &[JSON], r#"{"results":[]}"#), all);
        assert_eq!(told(200, &[JSON], r#"{"status":"done","results":[]}"#), all);
        assert!(matches!(
            told(200, &[JSON], r#"{"status":"failed","error":"row 2"}"#),
            JobState::Ended(JobEnd::Rejected { message, .. }) if message == "row 2"
        ));
    }

    #[test]
    fn what_might_be_an_end_and_is_not_is_no_answer() {
        for (status, headers, body) in [
            (200, &[JSON][..], "{}"),
            (200, &[JSON], r#"{"status":"queued"}"#),
            (200, &[JSON], r#"{"results":"#),
            (200, &[JSON], r#"{"results":[{"index":2,"status":"ok"}]}"#),
            (200, &[], r#"{"results":[]}"#),
            (204, &[], ""),
            (500, &[], ""),
            (408, &[], ""),
        ] {
            let state = told(status, headers, body);
            assert!(
                matches!(state, JobState::NoAnswer { .. }),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn statuses_have_their_meaning() {
        for status in [404, 410] {
            assert_eq!(told(status, &[], ""), JobState::Lost);
        }
        for status in [301, 303, 400, 401, 403, 405, 422] {
            let state = told(status, &[], "");
            assert!(matches!(state, JobState::Refused { .. }), "{status}");
        }
        for (status, headers) in [(429, &[][..]), (503, &[("retry-after", "3")])] {
            let state = told(status, headers, "");
            assert!(matches!(state, JobState::RateLimited { .. }), "{status}");
        }
    }

    #[test]
    fn a_handle_stays_at_its_origin_and_holds_no_credentials() {
        let round = |location: &'static str| {
            let url = Url::parse("https://a.example/v1/contacts?token=t").ok()?;
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            let handle = handle(&url, &headers)?;
            let address = address(&url, &handle)?;
            Some((handle.as_str().to_owned(), address.to_string()))
        };
        let expected = |handle: &str, address: &str| Some((handle.to_owned(), address.to_owned()));
        for location in [
            "/v1/jobs/7?part=2",
            "jobs/7?part=2&token=t",
            "https://a.example/v1/jobs/7?token=t&part=2#here",
            "https://a.example:443/v1/jobs/7?part=2",
        ] {
            assert_eq!(
                round(location),
                expected(
                    "/v1/jobs/7?part=2",
                    "https://a.example/v1/jobs/7?part=2&token=t"
                ),
                "{location}"
            );
        }
        for location in [
            "https://b.example/jobs/7",
            "http://a.example/jobs/7",
            "https://a.example:444/jobs/7",
            "//b.example/jobs/7",
            "https://user:pw@a.example/jobs/7",
            "file:///jobs/7",
        ] {
            assert_eq!(round(location), None, "{location}");
        }
        // Also a handle that was changed where it is stored leads nowhere else.
        let url = Url::parse("https://a.example/v1");
        for text in [
            "//b.example/7",
            "https://b.example/7",
            "jobs/7",
            "/\\b.example/7",
        ] {
            let found = JobHandle::new(text)
                .zip(url.clone().ok())
                .and_then(|(handle, url)| address(&url, &handle));
            assert_eq!(found, None, "{text}");
        }
    }
}
