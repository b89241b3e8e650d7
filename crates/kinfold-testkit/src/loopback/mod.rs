//! A receiver of HTTP deliveries on a real socket of this machine.

mod answer;
mod jobs;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::socket::{BreakableListener, Breaker, Connections};
use crate::{Fault, Script};

use answer::answer;
pub(crate) use answer::half_body;
pub use jobs::JobOptions;
use jobs::{Jobs, accept, poll};

/// How the receiver refuses records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejection {
    /// Status 207 with a result for every record that is refused; the others are applied.
    #[default]
    PerRow,
    /// This status for the whole request, nothing applied, and the record is not named.
    Whole(u16),
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The object: the path below the base URL.
    pub object: String,
    /// Its headers; a header that came twice is joined by commas.
    pub headers: BTreeMap<String, String>,
    /// The body, or null if it was not JSON.
    pub body: Value,
    /// The fault that it met.
    pub fault: Option<Fault>,
}

#[derive(Default)]
struct Received {
    records: BTreeMap<String, BTreeMap<String, Map<String, Value>>>,
    requests: Vec<ReceivedRequest>,
    questions: Vec<(String, BTreeMap<String, String>)>,
    answers: HashMap<String, (u16, Value)>,
    applied: u64,
    refused_keys: BTreeSet<String>,
    rejection: Rejection,
    script: Option<Script>,
    max_records: Option<usize>,
    token: Option<String>,
    forgets_keys: bool,
    check_status: Option<u16>,
    jobs: Option<Jobs>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Received>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receiver of HTTP deliveries. It stores records by object and key, applies a request with a known
/// `Idempotency-Key` only once, and fails as its [`Script`] says. It stops when dropped.
pub struct Loopback {
    address: SocketAddr,
    shared: Shared,
    connections: Connections,
    server: Option<JoinHandle<()>>,
}

impl Loopback {
    /// A receiver on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port can be opened.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut loopback = Self {
            address: listener.local_addr()?,
            shared: Shared(Arc::default()),
            connections: Connections::default(),
            server: None,
        };
        loopback.serve(listener);
        Ok(loopback)
    }

    fn serve(&mut self, listener: TcpListener) {
        let router = Router::new()
            .route("/{*object}", post(receive).head(probe).get(poll))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.shared.clone())
            .into_make_service_with_connect_info::<Breaker>();
        let listener = BreakableListener {
            listener,
            connections: self.connections.clone(),
        };
        self.server = Some(tokio::spawn(async move {
            // Serving ends only with its task.
            let _ = axum::serve(listener, router).await;
        }));
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening and resets all connections: further ones are refused.
    pub async fn down(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // The listener is closed only once the task is gone.
            let _ = server.await;
        }
        self.connections.reset();
    }

    /// Listens again, on the same port, with the same records.
    ///
    /// # Errors
    /// The port was taken meanwhile.
    pub async fn up(&mut self) -> io::Result<()> {
        if self.server.is_none() {
            let listener = TcpListener::bind(self.address).await?;
            self.serve(listener);
        }
        Ok(())
    }

    /// The faults of the next requests.
    pub fn script(&self, script: Script) {
        self.shared.lock().script = Some(script);
    }

    /// Refuses records with these keys (JSON objects), in this manner.
    pub fn refuse(&self, keys: impl IntoIterator<Item = Value>, rejection: Rejection) {
        let mut received = self.shared.lock();
        received.refused_keys = keys.into_iter().map(|key| key_text(&key)).collect();
        received.rejection = rejection;
    }

    /// Answers 413 to requests with more records.
    pub fn limit_records(&self, max: usize) {
        self.shared.lock().max_records = Some(max);
    }

    /// Answers 401 to requests without this `Authorization` header.
    pub fn require(&self, authorization: &str) {
        self.shared.lock().token = Some(authorization.to_owned());
    }

    /// Applies every request, also one whose `Idempotency-Key` is known.
    pub fn forget_idempotency_keys(&self) {
        self.shared.lock().forgets_keys = true;
    }

    /// Answers HEAD requests with this status.
    pub fn answer_checks(&self, status: u16) {
        self.shared.lock().check_status = Some(status);
    }

    /// Accepts every request as a job, which is applied when it ends. A job is at `/<object>/jobs/<number>`.
    pub fn accept_jobs(&self, options: JobOptions) {
        self.shared.lock().jobs = Some(Jobs::new(options));
    }

    /// Lets all jobs, present and future ones, be over at the next question.
    pub fn hurry_jobs(&self) {
        if let Some(jobs) = &mut self.shared.lock().jobs {
            jobs.hurry();
        }
    }

    /// Forgets all jobs, without applying them.
    pub fn forget_jobs(&self) {
        if let Some(jobs) = &mut self.shared.lock().jobs {
            jobs.forget();
        }
    }

    /// Paths and headers of every question about a job, in order of arrival.
    #[must_use]
    pub fn questions(&self) -> Vec<(String, BTreeMap<String, String>)> {
        self.shared.lock().questions.clone()
    }

    /// The records of an object: canonical JSON of the key → fields.
    #[must_use]
    pub fn records(&self, object: &str) -> BTreeMap<String, Map<String, Value>> {
        self.shared
            .lock()
            .records
            .get(object)
            .cloned()
            .unwrap_or_default()
    }

    /// Every POST, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.lock().requests.clone()
    }

    /// Forgets the requests that came until now, but not what they have done.
    pub fn forget_requests(&self) {
        self.shared.lock().requests = vec![];
    }

    /// How many records were applied, repetitions included.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.shared.lock().applied
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
        self.connections.reset();
    }
}

#[derive(Deserialize)]
struct Request {
    operation: String,
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    key: Value,
    #[serde(default)]
    fields: Map<String, Value>,
}

/// The key with its fields in order of their names.
fn key_text(key: &Value) -> String {
    match key {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            json!(sorted).to_string()
        }
        other => other.to_string(),
    }
}

fn authorized(received: &Received, headers: &HeaderMap) -> bool {
    received.token.as_ref().is_none_or(|token| {
        headers
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes() == token.as_bytes())
    })
}

async fn probe(State(shared): State<Shared>, headers: HeaderMap) -> StatusCode {
    let received = shared.lock();
    if !authorized(&received, &headers) {
        return StatusCode::UNAUTHORIZED;
    }
    received
        .check_status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::NO_CONTENT)
}

async fn receive(
    State(shared): State<Shared>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    Path(object): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let fault = note(&shared, &object, &headers, &body);
    if let Some(response) = accept(&shared, &object, &headers, &body, fault.as_ref()) {
        return response;
    }
    answer(fault, &breaker, || apply(&shared, &object, &headers, &body)).await
}

/// Writes the request down and draws its fault.
fn note(shared: &Shared, object: &str, headers: &HeaderMap, body: &[u8]) -> Option<Fault> {
    let mut received = shared.lock();
    let fault = received.script.as_mut().and_then(Script::next_fault);
    received.requests.push(ReceivedRequest {
        object: object.to_owned(),
        headers: texts(headers),
        body: serde_json::from_slice(body).unwrap_or(Value::Null),
        fault: fault.clone(),
    });
    fault
}

/// Headers as text; one that came twice is joined by commas.
fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        map.entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push(',');
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    map
}

/// Applies a request, once per idempotency key.
fn apply(shared: &Shared, object: &str, headers: &HeaderMap, body: &[u8]) -> (u16, Value) {
    let mut received = shared.lock();
    if !authorized(&received, headers) {
        return (401, json!({"error": "who are you?"}));
    }
    let id = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .map(ToOwned::to_owned);
    if let Some(answer) = id
        .as_ref()
        .filter(|_| !received.forgets_keys)
        .and_then(|id| received.answers.get(id))
    {
        return answer.clone();
    }
    let Ok(request) = serde_json::from_slice::<Request>(body) else {
        return (
            400,
            json!({"error": "the body is not what the contract says"}),
        );
    };
    if received
        .max_records
        .is_some_and(|max| request.records.len() > max)
    {
        return (413, json!({"error": "too many records"}));
    }
    let refused = |received: &Received, record: &Record| {
        let key = key_text(&record.key);
        let exists = received
            .records
            .get(object)
            .is_some_and(|records| records.contains_key(&key));
        if received.refused_keys.contains(&key) {
            Some(format!("record {key} is refused"))
        } else if request.operation == "insert" && exists {
            Some("the record exists".to_owned())
        } else if request.operation == "update" && !exists {
            Some("the record does not exist".to_owned())
        } else {
            None
        }
    };
    let rejection = received.rejection;
    let mut results = Vec::new();
    if let Rejection::Whole(status) = rejection
        && let Some(error) = request
            .records
            .iter()
            .find_map(|record| refused(&received, record))
    {
        return (status, json!({"error": error}));
    }
    for (index, record) in request.records.iter().enumerate() {
        if let Some(error) = refused(&received, record) {
            results.push(json!({"index": index, "status": "rejected", "error": error}));
            continue;
        }
        received.applied += 1;
        let records = received.records.entry(object.to_owned()).or_default();
        let key = key_text(&record.key);
        if request.operation == "delete" {
            records.remove(&key);
        } else {
            records
                .entry(key)
                .or_default()
                .extend(record.fields.clone());
        }
    }
    let status = if results.is_empty() { 200 } else { 207 };
    let answer = (status, json!({"results": results}));
    if let Some(id) = id {
        received.answers.insert(id, answer.clone());
    }
    answer
}
