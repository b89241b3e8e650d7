//! Requests of any form, for destinations that are not built in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};

use super::receive::{Received, deepest};
use crate::{DestinationError, FailureClass, Secret, tls};

/// Options of an [`HttpClient`].
#[derive(Clone, Debug)]
pub struct HttpClientOptions {
    /// Longest time for one request, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Longest time to open a connection.
    pub connect_timeout: Duration,
    /// Certificate authorities to trust instead of the machine's, as a PEM file.
    pub ca_file: Option<PathBuf>,
    /// Most bytes of an answer that are read.
    pub max_answer_bytes: usize,
    /// Whether the proxy variables of the environment are ignored.
    pub direct: bool,
}

impl Default for HttpClientOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            ca_file: None,
            max_answer_bytes: 64 << 20,
            direct: false,
        }
    }
}

/// A request. Values of headers are taken for credentials, and address and body may hold some: `Debug` shows the host
/// and the number of bytes.
#[derive(Clone)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Where to.
    pub url: Url,
    /// Headers.
    pub headers: Vec<(String, Secret)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// An answer. It may quote what was sent, or be a token: `Debug` shows the status and the number of bytes.
#[derive(Clone)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case; one that came twice is here twice.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether the body was read to its end.
    pub complete: bool,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("bytes", &self.body.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAnswer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer. No message holds the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// `Unreachable` and `Misconfigured` if nothing was sent; else it is not known.
    pub class: FailureClass,
    /// In a few words.
    pub reason: String,
}

/// Sends requests over TLS with the machine's or given authorities, follows no redirect, keeps no cookies.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client,
    max_answer_bytes: usize,
}

impl HttpClient {
    /// A client. Opens no connection.
    ///
    /// # Errors
    /// The authorities cannot be read.
    pub fn new(options: &HttpClientOptions) -> Result<Self, DestinationError> {
        let mut tls = tls::client_config(options.ca_file.as_deref())?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut client = Client::builder()
            .use_preconfigured_tls(tls)
            .user_agent(concat!("kinfold/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout);
        if options.direct {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| DestinationError::Option {
            option: "tls".to_owned(),
            reason: deepest(&error),
        })?;
        Ok(Self {
            client,
            max_answer_bytes: options.max_answer_bytes,
        })
    }

    /// Sends one request, once.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, NoAnswer> {
        let misconfigured = |reason: &str| NoAnswer {
            class: FailureClass::Misconfigured,
            reason: reason.to_owned(),
        };
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| misconfigured("not a method"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| misconfigured("not the name of a header"))?;
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| misconfigured("a header has characters that headers cannot have"))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let mut sent = self.client.request(method, request.url).headers(headers);
        if let Some(body) = request.body {
            sent = sent.body(body);
        }
        let response = sent.send().await.map_err(|error| no_answer(&error))?;
        let received = Received::read_up_to(response, self.max_answer_bytes).await;
        let answer = received.answer();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(HttpAnswer {
            status: answer.status.as_u16(),
            headers: answer
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            complete: answer.complete,
            body: received.into_body(),
        })
    }
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let class = if error.is_connect() {
        FailureClass::Unreachable
    } else if error.is_builder() {
        FailureClass::Misconfigured
    } else if error.is_timeout() {
        FailureClass::TimedOut
    } else {
        FailureClass::ConnectionLost
    };
    let reason = match class {
        FailureClass::TimedOut => "no answer in time".to_owned(),
        _ => deepest(error),
    };
    NoAnswer { class, reason }
}
