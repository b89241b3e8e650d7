//! Who may ask what.
//!
//! A browser on the same machine can be made to send requests by any page it shows. Three things keep such a page
//! out: without a token the `Host` must be an address, `localhost` or a name that the operator allows, so that a
//! stranger's name that leads here is no use; a changing request must say that it is JSON, which a page of another
//! origin cannot do without asking first, and it is never told yes; and an `Origin` that is not the `Host` is refused.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Context;
use super::problem::Problem;

/// A bearer token. Only a hash of it is kept, and `Debug` shows nothing.
#[derive(Clone)]
pub struct Token(blake3::Hash);

/// A token of no characters, which everybody would know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token of the server is empty")]
pub struct EmptyToken;

impl Token {
    /// The token that requests have to bring.
    ///
    /// # Errors
    /// There is nothing but blanks.
    pub fn new(text: &str) -> Result<Self, EmptyToken> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmptyToken);
        }
        Ok(Self(blake3::hash(text.as_bytes())))
    }

    /// Takes the same time whatever the text is.
    fn is(&self, text: &str) -> bool {
        self.0 == blake3::hash(text.as_bytes())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Lets a request through or answers why not.
pub(super) async fn check(
    State(context): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Response {
    let changing = !matches!(*request.method(), Method::GET | Method::HEAD);
    let allowed = authorized(&context, request.headers(), changing)
        .and_then(|()| right_host(&context, request.headers(), request.uri()))
        .and_then(|()| {
            if changing {
                same_site(request.headers(), request.uri())
            } else {
                Ok(())
            }
        });
    match allowed {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn authorized(context: &Context, headers: &HeaderMap, changing: bool) -> Result<(), Problem> {
    let Some(token) = &context.options.token else {
        if changing && !context.loopback {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "no-token",
                "this server can be reached from other machines and has no token, so it refuses changes",
            ));
        }
        return Ok(());
    };
    let given = text(headers, header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match given {
        Some((_, given)) if token.is(given.trim()) => Ok(()),
        _ => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send the server's token: `Authorization: Bearer …`",
        )),
    }
}

/// The host that a request is for, without its port.
fn host<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Option<&'r str> {
    let authority = text(headers, header::HOST).or_else(|| uri.authority().map(|a| a.as_str()))?;
    Some(without_port(authority))
}

fn without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

fn right_host(context: &Context, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    // Nobody's browser knows the token.
    if context.options.token.is_some() {
        return Ok(());
    }
    let right = host(headers, uri).is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok()
            || context
                .options
                .allowed_hosts
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(host))
    });
    if right {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "wrong-host",
        "this server is not called so; an operator can allow the name",
    ))
}

fn same_site(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let json = text(headers, header::CONTENT_TYPE).is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("application/json")
    });
    if !json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "send `Content-Type: application/json`, also without a body",
        ));
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let authority = text(headers, header::HOST).or_else(|| uri.authority().map(|a| a.as_str()));
    let own = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .zip(authority)
        .is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host));
    if own {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "cross-site",
        "a page of another site asks for this",
    ))
}
