//! The requests of an exchange as they were sent.

use std::sync::Arc;

use super::exchange::{Exchange, RecordedRequest};
use super::mismatch::Mismatch;
use super::replay::run;
use crate::manifest::Manifest;

/// The requests that come of an exchange's rows, with every header that was sent. What is recorded names only the
/// headers that it is about.
///
/// # Errors
///
/// The exchange cannot be replayed, or other requests come of it than the recorded ones.
pub async fn requests(
    manifest: &Arc<Manifest>,
    exchange: &Exchange,
) -> Result<Vec<RecordedRequest>, Mismatch> {
    let answers = exchange.calls.iter().map(|call| call.answer.clone());
    let (came, _) = run(
        manifest,
        exchange,
        answers.collect(),
        usize::MAX,
        &mut Vec::new(),
    )
    .await?;
    if let Some(more) = came.get(exchange.calls.len()) {
        return Err(Mismatch::Unexpected {
            call: exchange.calls.len() + 1,
            found: format!("{} {}", more.method, more.target),
        });
    }
    if came.len() < exchange.calls.len() {
        return Err(Mismatch::Missing {
            came: came.len(),
            recorded: exchange.calls.len(),
        });
    }
    let whole = came.into_iter().zip(&exchange.calls).map(|(came, call)| {
        let scheme = call.request.url.split("://").next().unwrap_or("https");
        came.recorded(scheme)
    });
    Ok(whole.collect())
}
