//! The server over HTTP: JSON that shows and steers jobs, probes, and metrics.

mod api;
mod guard;
mod metrics;
mod problem;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::serve::Handle;

pub use guard::{EmptyToken, Token};

/// Who may ask what.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// Whoever knows it may do everything; who does not, nothing but ask whether the server lives.
    pub token: Option<Token>,
    /// Names by which the server is called besides `localhost` and its addresses, without ports.
    pub allowed_hosts: Vec<String>,
}

/// What the handlers share.
pub(crate) struct Context {
    handle: Handle,
    options: HttpOptions,
    /// Whether only this machine can reach the server.
    loopback: bool,
}

/// Answers on `listener` until `stop`; then lets the requests under way come to their end.
///
/// # Errors
/// The listener has no address, or fails.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    options: HttpOptions,
    stop: CancellationToken,
) -> io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    if !loopback && options.token.is_none() {
        tracing::warn!(
            "others can reach this server and it has no token: jobs can be looked at and not changed"
        );
    }
    let context = Arc::new(Context {
        handle,
        options,
        loopback,
    });
    axum::serve(listener, router(context))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

fn router(context: Arc<Context>) -> Router {
    let guarded = Router::new()
        .route("/api/v1/jobs", get(api::jobs))
        .route("/api/v1/jobs/{name}", get(api::job))
        .route("/api/v1/jobs/{name}/records", get(api::records))
        .route("/api/v1/jobs/{name}/run", post(api::run))
        .route("/api/v1/jobs/{name}/pause", post(api::pause))
        .route("/api/v1/jobs/{name}/resume", post(api::resume))
        .route("/metrics", get(metrics::metrics))
        .fallback(api::nothing_here)
        .method_not_allowed_fallback(api::wrong_method)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&context),
            guard::check,
        ));
    Router::new()
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .merge(guarded)
        .with_state(context)
}
