//! Answers of the receiver, good and bad ones.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode, header};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::Fault;
use crate::socket::Breaker;

/// Answers with what `apply` says, or as the fault wants it.
pub(super) async fn answer(
    fault: Option<Fault>,
    breaker: &Breaker,
    apply: impl Fn() -> (u16, Value) + Send,
) -> Response<Body> {
    match fault {
        None => {
            let (status, answer) = apply();
            respond(status, &answer)
        }
        Some(Fault::Status(status)) => respond(status, &json!({"error": "told to fail"})),
        Some(Fault::RetryAfter(status, after)) => {
            with_header(respond(status, &json!({})), header::RETRY_AFTER, &after)
        }
        Some(Fault::Redirect(target)) => {
            with_header(respond(307, &json!({})), header::LOCATION, &target)
        }
        Some(Fault::StatusAfter(status)) => {
            apply();
            respond(status, &json!({"error": "told to fail"}))
        }
        Some(Fault::Slow(duration)) => {
            let (status, answer) = apply();
            tokio::time::sleep(duration).await;
            respond(status, &answer)
        }
        Some(Fault::ResetBefore) => {
            breaker.reset();
            respond(200, &json!({}))
        }
        Some(Fault::ResetAfter) => {
            apply();
            breaker.reset();
            respond(200, &json!({}))
        }
        Some(Fault::HalfBody) => {
            apply();
            half_body()
        }
        Some(Fault::Malformed) => {
            apply();
            with_header(
                Response::new(Body::from("{\"results\":[{\"index\"")),
                header::CONTENT_TYPE,
                "application/json",
            )
        }
    }
}

pub(super) fn respond(status: u16, answer: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with_header(response, header::CONTENT_TYPE, "application/json")
}

pub(super) fn with_header(
    mut response: Response<Body>,
    name: header::HeaderName,
    value: &str,
) -> Response<Body> {
    if let Ok(value) = header::HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// An answer that promises more bytes than come.
pub(crate) fn half_body() -> Response<Body> {
    let first = futures::stream::once(async { Ok(Bytes::from_static(b"{\"results\":[")) });
    let then = futures::stream::once(async {
        // The first part is written out only when the next one lets itself be waited for.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    let response = Response::new(Body::from_stream(first.chain(then)));
    let response = with_header(response, header::CONTENT_TYPE, "application/json");
    with_header(response, header::CONTENT_LENGTH, "64")
}
