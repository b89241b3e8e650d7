//! The HTTP destination: batches of JSON, sent by POST. The wire contract is docs/reference/http-destination.md.

mod address;
mod answer;
mod client;
mod job;
mod receive;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use kinfold_project::SyncMode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

use crate::{
    Batch, BatchOperation, Capabilities, Destination, DestinationError, FailureClass, JobHandle,
    JobState, Secret, SendResult, Target, tls,
};
use address::{is_loopback, object_url, without_query};
use answer::classify;
use receive::{Received, deepest, failed_request, no_answer};

pub use answer::parse_retry_after;
pub use client::{HttpAnswer, HttpClient, HttpClientOptions, HttpRequest, NoAnswer};

/// Options of an HTTP connection.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Base URL, `https://` or `http://`, without user and password; the object is appended to its path.
    pub url: String,
    /// Headers of every request: the place for credentials.
    pub headers: Vec<(String, Secret)>,
    /// Longest time for one request, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Longest time to open a connection.
    pub connect_timeout: Duration,
    /// Most rows of a request.
    pub max_rows: usize,
    /// Most bytes of a request's records.
    pub max_bytes: usize,
    /// Most requests at a time.
    pub max_in_flight: usize,
    /// Whether the receiver applies requests with one `Idempotency-Key` once. If not, an `insert` without
    /// a usable answer stays `unknown` and is not repeated.
    pub receiver_deduplicates: bool,
    /// Most jobs at a time, if the receiver may answer `202` with a `Location` and say there later what
    /// became of the records; 0 if such an answer means that all of them are delivered.
    pub max_jobs: usize,
    /// Certificate authorities to trust instead of the machine's, as a PEM file.
    pub ca_file: Option<PathBuf>,
}

impl HttpOptions {
    /// The defaults for a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_rows: 1_000,
            max_bytes: 4 << 20,
            max_in_flight: 8,
            receiver_deduplicates: false,
            max_jobs: 0,
            ca_file: None,
        }
    }
}

/// Delivers batches of JSON by POST.
#[derive(Debug)]
pub struct HttpDestination {
    client: Client,
    url: Url,
    /// The URL without its query, for messages.
    address: String,
    object: String,
    max_jobs: usize,
    capabilities: Capabilities,
}

impl HttpDestination {
    /// A destination for one object. Opens no connection.
    ///
    /// # Errors
    /// An option is not valid.
    pub fn new(options: HttpOptions, target: &Target) -> Result<Self, DestinationError> {
        let invalid = |option: &str, reason: &str| DestinationError::Option {
            option: option.to_owned(),
            reason: reason.to_owned(),
        };
        let url = object_url(&options.url, &target.object)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &options.headers {
            let option = format!("headers.{name}");
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| invalid(&option, "not a header name"))?;
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| invalid(&option, "not a header value"))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let mut tls = tls::client_config(options.ca_file.as_deref())?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut client = Client::builder()
            .use_preconfigured_tls(tls)
            .user_agent(concat!("kinfold/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout);
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| invalid("url", &deepest(&error)))?;
        let mut idempotent = vec![
            BatchOperation::Update,
            BatchOperation::Upsert,
            BatchOperation::Delete,
        ];
        if options.receiver_deduplicates {
            idempotent.push(BatchOperation::Insert);
        }
        Ok(Self {
            client,
            address: without_query(&url),
            url,
            object: target.object.clone(),
            max_jobs: options.max_jobs,
            capabilities: Capabilities {
                modes: vec![
                    SyncMode::Insert,
                    SyncMode::Update,
                    SyncMode::Upsert,
                    SyncMode::Mirror,
                    SyncMode::Append,
                ],
                operations: vec![
                    BatchOperation::Insert,
                    BatchOperation::Update,
                    BatchOperation::Upsert,
                    BatchOperation::Delete,
                ],
                idempotent,
                max_rows: options.max_rows,
                max_bytes: options.max_bytes,
                max_in_flight: options.max_in_flight,
                reads: false,
            },
        })
    }
}

#[async_trait]
impl Destination for HttpDestination {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    /// A HEAD request to the object's address: the receiver need not support it, only not refuse the
    /// credentials and not say that the address does not exist.
    async fn check(&self) -> Result<(), DestinationError> {
        let address = || self.address.clone();
        let status = self
            .client
            .request(Method::HEAD, self.url.clone())
            .send()
            .await
            .map_err(|error| DestinationError::Unreachable {
                address: address(),
                reason: deepest(&error),
            })?
            .status();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(DestinationError::Unauthorized { address: address() })
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(DestinationError::ObjectMissing {
                address: address(),
                object: self.object.clone(),
            }),
            StatusCode::NOT_IMPLEMENTED => Ok(()),
            _ if status.is_redirection() => Err(DestinationError::Redirect { address: address() }),
            _ if status.is_server_error() => Err(DestinationError::Unavailable {
                address: address(),
                reason: format!("status {}", status.as_u16()),
            }),
            _ => Ok(()),
        }
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let id = batch.id.to_string();
        let body = body(batch, &id);
        let sent = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", &id)
            .body(body)
            .send()
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => return failed_request(&error),
        };
        let received = Received::read(response).await;
        if self.max_jobs > 0 && received.is_job() {
            let after = answer::retry_after(&received.headers);
            return match job::handle(&self.url, &received.headers) {
                Some(job) => SendResult::Accepted { job, after },
                // Accepted, and nobody can ask what became of it.
                None => SendResult::Unknown {
                    class: FailureClass::MalformedAnswer,
                    message: "status 202 with a `Location` that is not of this origin".to_owned(),
                },
            };
        }
        classify(&received.answer(), batch.changes.len())
    }

    fn max_jobs(&self) -> usize {
        self.max_jobs
    }

    async fn poll(&self, job: &JobHandle, batch: &Batch) -> JobState {
        let Some(address) = job::address(&self.url, job) else {
            return JobState::Lost;
        };
        match self.client.get(address).send().await {
            Ok(response) => {
                let received = Received::read(response).await;
                job::state(&received.answer(), batch.changes.len())
            }
            Err(error) => no_answer(&error),
        }
    }
}

/// The request: the rows' texts as they are, between what every request has.
fn body(batch: &Batch, id: &str) -> String {
    const ROW: usize = r#"{"key":,"fields":},"#.len();
    let rows: usize = batch
        .changes
        .iter()
        .map(|change| ROW + change.key.len() + change.fields.len())
        .sum();
    let mut body = String::with_capacity(256 + rows);
    let mut start = '{';
    for (name, value) in [
        ("sync", batch.run.sync.as_str()),
        ("run_id", &batch.run.run_id),
        ("batch_id", id),
        ("operation", batch.operation.as_str()),
    ] {
        body.push(start);
        start = ',';
        for part in ["\"", name, "\":", &Value::from(value).to_string()] {
            body.push_str(part);
        }
    }
    body.push_str(",\"records\":");
    start = '[';
    for change in &batch.changes {
        body.push(start);
        start = ',';
        for part in [
            "{\"key\":",
            change.key.as_str(),
            ",\"fields\":",
            change.fields.as_str(),
            "}",
        ] {
            body.push_str(part);
        }
    }
    body.push_str("]}");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_the_rows_texts_as_they_are() {
        let row = |seq, key: &str, fields: &str| crate::Change {
            seq,
            operation: crate::Operation::Add,
            key: crate::ObjectText::new(key).unwrap_or_else(crate::ObjectText::empty),
            fields: crate::ObjectText::new(fields).unwrap_or_else(crate::ObjectText::empty),
            payload_hash: [0; 16],
            previous: crate::Previous::default(),
        };
        let run = std::sync::Arc::new(crate::Run {
            sync: "a \"b\"\n".to_owned(),
            run_id: "r".to_owned(),
            mode: SyncMode::Upsert,
        });
        let rows = vec![
            row(0, r#"{"id":"é"}"#, r#"{"n":1e21}"#),
            row(1, r#"{"id":2}"#, "{}"),
        ];
        assert_eq!(
            body(&Batch::new(run, BatchOperation::Upsert, rows), "x"),
            r#"{"sync":"a \"b\"\n","run_id":"r","batch_id":"x","operation":"upsert","records":[{"key":{"id":"é"},"fields":{"n":1e21}},{"key":{"id":2},"fields":{}}]}"#
        );
    }

    #[test]
    fn credentials_are_not_printed() {
        let mut options = HttpOptions::new("https://a.example?token=swordfish");
        options
            .headers
            .push(("authorization".to_owned(), Secret::new("Bearer swordfish")));
        assert!(!format!("{:?}", options.headers).contains("swordfish"));
        let target = Target {
            object: "contacts".to_owned(),
            mode: SyncMode::Upsert,
            deletes: false,
            key_fields: vec!["id".to_owned()],
            fields: Vec::new(),
        };
        let address = HttpDestination::new(options, &target).map(|http| http.address);
        assert_eq!(address.as_deref(), Ok("https://a.example/contacts"));
    }
}
