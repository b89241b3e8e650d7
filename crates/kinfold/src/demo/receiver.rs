//! A small HTTP destination on loopback, so that the demo delivers over a real socket.
//!
//! It speaks the wire contract of the `http` destination and writes every record that it accepts to
//! a log, one JSON object a line.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// What one object of the receiver has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Requests accepted.
    pub requests: u64,
    /// Records added or changed.
    pub upserts: u64,
    /// Records deleted.
    pub deletes: u64,
}

struct Store {
    log: File,
    received: HashMap<String, Received>,
    /// Batches that were accepted: a repeated one is answered and not applied again.
    seen: HashMap<String, ()>,
}

/// A receiver that runs until it is stopped.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    store: Arc<Mutex<Store>>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Deserialize)]
struct Delivery {
    operation: String,
    records: Vec<Value>,
}

impl Receiver {
    /// Starts to listen on `port` of loopback (0: any free one) and appends to `log`.
    ///
    /// # Errors
    /// When the port or the file cannot be had.
    pub async fn start(port: u16, log: &Path) -> std::io::Result<Self> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let store = Arc::new(Mutex::new(Store {
            log: file,
            received: HashMap::new(),
            seen: HashMap::new(),
        }));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let app = Router::new()
            .route("/{*object}", post(accept))
            .with_state(Arc::clone(&store));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let end = async {
                let _ = stopped.await;
            };
            // A connection that breaks concerns its client, who will come again.
            let _ = axum::serve(listener, app).with_graceful_shutdown(end).await;
        });
        Ok(Self {
            address,
            store,
            stop: Some(stop),
            task,
        })
    }

    /// What each object has got so far.
    pub fn received(&self) -> Vec<(String, Received)> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = store
            .received
            .iter()
            .map(|(object, r)| (object.clone(), *r))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Stops listening and waits for requests in flight.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = self.task.await;
    }
}

async fn accept(
    State(store): State<Arc<Mutex<Store>>>,
    UrlPath(object): UrlPath<String>,
    headers: HeaderMap,
    Json(delivery): Json<Delivery>,
) -> (StatusCode, Json<Value>) {
    let id = headers
        .get("idempotency-key")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    if !id.is_empty() && store.seen.contains_key(&id) {
        return (StatusCode::OK, Json(json!({ "repeated": true })));
    }
    let mut lines = String::new();
    for record in &delivery.records {
        let line = json!({ "object": object, "operation": delivery.operation, "record": record });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    if store.log.write_all(lines.as_bytes()).is_err() {
        return (
            StatusCode::INSUFFICIENT_STORAGE,
            Json(json!({ "error": "the log cannot be written" })),
        );
    }
    let count = delivery.records.len() as u64;
    let received = store.received.entry(object).or_default();
    received.requests += 1;
    if delivery.operation == "delete" {
        received.deletes += count;
    } else {
        received.upserts += count;
    }
    if !id.is_empty() {
        store.seen.insert(id, ());
    }
    (StatusCode::OK, Json(json!({ "accepted": count })))
}
