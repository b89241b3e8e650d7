//! A credential is sent where it belongs and stands nowhere else.

mod capture;
mod mirror;
mod planted;

use std::sync::{Arc, Mutex};

use kinfold_destination::{Account, AccountOptions, ManifestDestination, MemoryTokenStore, read};
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Destination, Operation, Run, Secret, SystemClock, Target,
};
use kinfold_testkit::change;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Answer = dyn Fn(&str, &str, &str, &str) -> (u16, String) + Send + Sync;

/// A server that answers by a function and keeps what it has seen.
pub struct Recorder {
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// The function gets method, path, headers and body.
    pub async fn start(
        answer: impl Fn(&str, &str, &str, &str) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let mut buffer = [0; 4_096];
                    let (head, body) = loop {
                        let read = stream.read(&mut buffer).await.unwrap_or(0);
                        bytes.extend_from_slice(&buffer[..read]);
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        if let Some((head, body)) = text.split_once("\r\n\r\n") {
                            let length = head
                                .lines()
                                .find_map(|line| {
                                    line.to_lowercase()
                                        .strip_prefix("content-length: ")?
                                        .parse()
                                        .ok()
                                })
                                .unwrap_or(0);
                            if body.len() >= length || read == 0 {
                                break (head.to_owned(), body.to_owned());
                            }
                        }
                        if read == 0 {
                            return;
                        }
                    };
                    let mut first = head.lines().next().unwrap_or_default().split(' ');
                    let (method, path) = (
                        first.next().unwrap_or_default(),
                        first.next().unwrap_or_default(),
                    );
                    let (status, text) = answer(method, path, &head, &body);
                    kept.lock().unwrap().push(format!("{head}\r\n\r\n{body}"));
                    let answer = format!(
                        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                        text.len()
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { url, seen, task }
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

const TALKATIVE: &str = r#"
version: 1
name: talkative
title: A server that repeats what it was told
about: Errors quote the credentials.
parameters:
  url: {about: The address.}
  other: {about: Another server.}
  api_key: {about: A key., secret: true}
  password: {about: A password., secret: true}
base_url: "{{ connection.url }}"
auth:
  token:
    post: "{{ connection.url }}/token"
    form: {password: "{{ connection.password }}"}
    keep: {token: $.access_token}
  headers:
    authorization: "Bearer {{ auth.token }}"
    x-signature: "{{ request.body | hmac_sha256(connection.password) }}"
  query: {api_key: "{{ connection.api_key }}"}
objects:
  people:
    about: People.
    prepare:
      # An address that an answer could have named.
      - {get: "{{ connection.other }}/elsewhere", keep: {x: $.x}}
    upsert:
      rows: 10
      calls:
        - post: /people
          json: {$each: rows, $item: "{{ row.fields }}"}
          rows: {items: $.errors, index: $.index, rules: [{is: rejected, message: $.message}]}
          unnamed: ok
"#;

#[tokio::test]
async fn credentials_are_in_no_message_and_at_no_other_server() {
    let elsewhere = Recorder::start(|_, _, _, _| (200, "{}".to_owned())).await;
    for (status, by_row) in [
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (500, false),
        (429, false),
        (200, true),
    ] {
        let server = Recorder::start(move |_, path, head, body| {
            if path == "/token" {
                return (200, r#"{"access_token":"swordfish-token"}"#.to_owned());
            }
            // Every credential in every form in which it came.
            let words = json!(format!("{path} {head} {body} swordfish/key swordfish%2Fkey swordfish-password swordfish-token"));
            match by_row {
                false => (status, json!({"message": words}).to_string()),
                true => (200, json!({"errors": [{"index": 0, "message": words}, {"index": 1, "message": words}]}).to_string()),
            }
        })
        .await;
        let options = AccountOptions {
            parameters: [
                ("url", server.url.as_str()),
                ("other", elsewhere.url.as_str()),
                ("api_key", "swordfish/key"),
                ("password", "swordfish-password"),
            ]
            .map(|(name, value)| (name.to_owned(), Secret::new(value)))
            .to_vec(),
            ..AccountOptions::default()
        };
        let manifest = read([("manifest.yml", TALKATIVE)]).manifest.unwrap();
        let store = Arc::new(MemoryTokenStore::new());
        let account = Account::new(
            Arc::new(manifest),
            options,
            store,
            Arc::new(SystemClock::new()),
        )
        .unwrap();
        let target = Target {
            object: "people".to_owned(),
            mode: SyncMode::Upsert,
            deletes: false,
            key_fields: vec!["id".to_owned()],
            fields: vec!["n".to_owned()],
        };
        let destination = ManifestDestination::new(Arc::clone(&account), &target).unwrap();
        let run = Arc::new(Run {
            sync: "s".to_owned(),
            run_id: "r".to_owned(),
            mode: SyncMode::Upsert,
        });
        let rows = vec![
            change(0, Operation::Add, "a", json!({"n": 1})),
            change(1, Operation::Add, "b", json!({"n": 2})),
        ];
        let batch = Batch::new(run, BatchOperation::Upsert, rows);
        let said = format!(
            "{:?} {account:?} {destination:?}",
            destination.send(&batch).await
        );
        assert!(!said.contains("swordfish"), "{status} {said}");
        let signature = server
            .seen()
            .iter()
            .find_map(|request| Some(request.split("x-signature: ").nth(1)?.get(..64)?.to_owned()));
        assert!(!said.contains(&signature.unwrap()), "{said}");
        assert!(
            server
                .seen()
                .iter()
                .any(|request| request.contains("api_key=swordfish%2Fkey"))
        );
    }
    let seen = elsewhere.seen();
    assert!(!seen.is_empty());
    assert!(
        seen.iter()
            .all(|request| !request.contains("swordfish") && !request.contains("x-signature")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn only_the_secret_parameters_may_be_shown_nowhere() {
    // A manifest that would store a secret is refused when it is read.
    let text = TALKATIVE.replace("keep: {x: $.x}", "keep: {x: connection.password}");
    let folder = read([("manifest.yml", text.as_str())]);
    assert!(
        folder
            .diagnostics
            .iter()
            .any(|diagnostic| diagnostic.code.id == "KF0604")
    );
}
