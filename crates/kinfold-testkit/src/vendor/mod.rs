//! A vendor's API on a real socket of this machine, in the time of a [`FakeClock`].
//!
//! What the vendor does is written by the test, as a [`VendorApi`]. This module is everything around it: the
//! socket, the time that requests need on their way, faults, and a log of all that came.

mod rate;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, OriginalUri, Query, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::routing::any;
use chrono::{DateTime, Utc};
use kinfold_sync::Clock;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::loopback::half_body;
use crate::socket::{BreakableListener, Breaker, Connections};
use crate::{FakeClock, Fault, Script};

pub use rate::RateCheck;

/// How long a request or an answer is on its way, in milliseconds of the fake clock.
const ON_ITS_WAY: std::ops::RangeInclusive<u64> = 2..=20;
/// Who has been told to wait may have requests on their way for so long.
const GRACE: Duration = Duration::from_millis(500);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct VendorRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, as it came.
    pub path: String,
    /// The parameters of the query, decoded.
    pub query: BTreeMap<String, String>,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
    /// When it arrived, by the clock.
    pub at: Duration,
    /// The same as time of day.
    pub wall: DateTime<Utc>,
}

impl VendorRequest {
    /// The body as JSON, null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct VendorAnswer {
    /// Its status.
    pub status: u16,
    /// Headers beside the type of the body.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// Refused for rows that it does not name.
    pub refused: bool,
    /// Some rows, which it names, are to be sent again.
    pub again: bool,
}

impl VendorAnswer {
    /// An answer of JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            body: body.to_string(),
            ..Self::default()
        }
    }

    /// An answer of text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }
}

/// What a request is, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Requests of one sort have one word.
    pub word: &'static str,
    /// The rows that it is about, by numbers of the test's choice.
    pub rows: Vec<u64>,
}

/// What a vendor does. It is asked about one request after the other.
pub trait VendorApi: Send + 'static {
    /// What a request is. Changes nothing.
    fn kind(&self, request: &VendorRequest) -> Kind;

    /// Looks whether a request keeps the limits, with so many others that are not answered yet, and says
    /// what it breaks.
    fn arrived(&mut self, request: &VendorRequest, at_once: usize) -> Vec<String>;

    /// Does what is asked.
    fn answer(&mut self, request: &VendorRequest) -> VendorAnswer;

    /// Refuses because of a limit that others have used up, and says when requests are taken again, by
    /// the clock.
    fn throttle(&mut self, request: &VendorRequest) -> (VendorAnswer, Duration);

    /// Cannot work now, nothing done.
    fn broken(&mut self, status: u16) -> VendorAnswer {
        VendorAnswer::text(status, "<html>told to fail</html>")
    }

    /// Whether a request may meet a fault.
    fn may_fail(&self, request: &VendorRequest) -> bool {
        let _ = request;
        true
    }
}

/// A request in the log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// What it was.
    pub kind: Kind,
    /// When it arrived, by the clock.
    pub at: Duration,
    /// What went wrong with it. [`Fault::Slow`] also where the client gave up by itself; status 429 for
    /// a refusal because of a limit.
    pub fault: Option<Fault>,
    /// [`VendorAnswer::refused`].
    pub refused: bool,
    /// [`VendorAnswer::again`].
    pub again: bool,
}

impl Logged {
    /// Whether its answer came as it was meant.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.fault.is_none()
    }

    /// Whether it was refused because of a limit.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.fault == Some(Fault::Status(429))
    }

    /// Whether what was asked may have been done although something went wrong.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !matches!(
            self.fault,
            Some(Fault::Status(_) | Fault::RetryAfter(..) | Fault::ResetBefore)
        )
    }
}

/// A limit that others have used up.
struct Closed {
    until: Duration,
    /// When the first answer that says so has left.
    told: Option<Duration>,
}

struct Inner<A> {
    api: A,
    script: Script,
    draws: ChaCha8Rng,
    log: Vec<Logged>,
    at_once: usize,
    closed: Option<Closed>,
    violations: Vec<String>,
}

struct Shared<A> {
    clock: FakeClock,
    inner: Arc<Mutex<Inner<A>>>,
}

impl<A> Clone for Shared<A> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<A> Shared<A> {
    fn lock(&self) -> MutexGuard<'_, Inner<A>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A vendor's API on a free port of 127.0.0.1. It stops when dropped.
pub struct Vendor<A> {
    address: SocketAddr,
    shared: Shared<A>,
    connections: Connections,
    server: JoinHandle<()>,
}

impl<A: VendorApi> Vendor<A> {
    /// Starts an API with these faults. Of the faults, status 429 is a limit that others have used up.
    ///
    /// # Errors
    /// No port can be opened.
    pub async fn start(api: A, script: Script, seed: u64, clock: &FakeClock) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Shared {
            clock: clock.clone(),
            inner: Arc::new(Mutex::new(Inner {
                api,
                script,
                draws: ChaCha8Rng::seed_from_u64(seed),
                log: Vec::new(),
                at_once: 0,
                closed: None,
                violations: Vec::new(),
            })),
        };
        let router = Router::new()
            .fallback(any(receive::<A>))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared.clone())
            .into_make_service_with_connect_info::<Breaker>();
        let connections = Connections::default();
        let listener = BreakableListener {
            listener,
            connections: connections.clone(),
        };
        let server = tokio::spawn(async move {
            // Serving ends only with its task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            shared,
            connections,
            server,
        })
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request, in order of arrival.
    #[must_use]
    pub fn log(&self) -> Vec<Logged> {
        self.shared.lock().log.clone()
    }

    /// Every limit that was not kept, in words.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().violations.clone()
    }

    /// Looks at the vendor's own state.
    pub fn with<T>(&self, look: impl FnOnce(&A) -> T) -> T {
        look(&self.shared.lock().api)
    }
}

impl<A> Drop for Vendor<A> {
    fn drop(&mut self) {
        self.server.abort();
        self.connections.reset();
    }
}

/// A request that is not answered yet. Whoever drops it before its answer was the client that gave up.
struct Open<A> {
    shared: Shared<A>,
    entry: usize,
    answered: bool,
}

impl<A> Drop for Open<A> {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.at_once = inner.at_once.saturating_sub(1);
        if !self.answered
            && let Some(entry) = inner.log.get_mut(self.entry)
        {
            entry.fault.get_or_insert(Fault::Slow(Duration::ZERO));
        }
    }
}

async fn receive<A: VendorApi>(
    State(shared): State<Shared<A>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    on_its_way(&shared).await;
    let query = Query::<BTreeMap<String, String>>::try_from_uri(&uri);
    let texts = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let request = VendorRequest {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query: query.map(|Query(query)| query).unwrap_or_default(),
        headers: texts.collect(),
        body,
        at: shared.clock.elapsed(),
        wall: shared.clock.wall(),
    };
    let (mut open, answer, fault) = take(&shared, &request);
    match fault {
        Some(Fault::Slow(_)) => std::future::pending().await,
        Some(Fault::ResetBefore | Fault::ResetAfter) => breaker.reset(),
        _ => {}
    }
    on_its_way(&shared).await;
    open.answered = true;
    if fault == Some(Fault::Status(429))
        && let Some(closed) = &mut shared.lock().closed
    {
        closed.told.get_or_insert(shared.clock.elapsed());
    }
    drop(open);
    match fault {
        Some(Fault::HalfBody) => half_body(),
        Some(Fault::Malformed) => respond(&VendorAnswer::text(200, "{\"results\":[{\"id\"")),
        Some(Fault::StatusAfter(status)) => respond(&VendorAnswer::text(status, "<html>")),
        _ => respond(&answer),
    }
}

/// Writes the request down, draws its fault, and lets the vendor do what it does.
fn take<A: VendorApi>(
    shared: &Shared<A>,
    request: &VendorRequest,
) -> (Open<A>, VendorAnswer, Option<Fault>) {
    let mut guard = shared.lock();
    let inner = &mut *guard;
    inner.at_once += 1;
    let broken = inner.api.arrived(request, inner.at_once);
    inner.violations.extend(broken);
    let entry = inner.log.len();
    let kind = inner.api.kind(request);
    let (mut fault, mut answer) = (None, VendorAnswer::default());
    if let Some(closed) = &inner.closed {
        if request.at >= closed.until {
            inner.closed = None;
        } else {
            if closed.told.is_some_and(|told| request.at > told + GRACE) {
                let text = format!("asked again {:?} before it may", closed.until - request.at);
                inner.violations.push(text);
            }
            fault = Some(Fault::Status(429));
            answer = inner.api.throttle(request).0;
        }
    }
    if fault.is_none() {
        fault = inner
            .script
            .next_fault()
            .filter(|_| inner.api.may_fail(request));
        answer = match &fault {
            Some(Fault::Status(429)) => {
                let (answer, until) = inner.api.throttle(request);
                inner.closed = Some(Closed { until, told: None });
                answer
            }
            Some(Fault::Status(status)) => inner.api.broken(*status),
            Some(Fault::ResetBefore) => VendorAnswer::default(),
            _ => inner.api.answer(request),
        };
    }
    inner.log.push(Logged {
        kind,
        at: request.at,
        refused: answer.refused,
        again: answer.again,
        fault: fault.clone(),
    });
    let open = Open {
        shared: shared.clone(),
        entry,
        answered: false,
    };
    (open, answer, fault)
}

async fn on_its_way<A>(shared: &Shared<A>) {
    let time = shared.lock().draws.random_range(ON_ITS_WAY);
    shared.clock.sleep(Duration::from_millis(time)).await;
}

fn respond(answer: &VendorAnswer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (
            header::HeaderName::from_bytes(name.as_bytes()),
            header::HeaderValue::from_str(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
