//! A server that gives recorded answers up to a request, and from then on throws credentials back.

use std::sync::{Arc, Mutex};

use kinfold_destination::kit::RecordedAnswer;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is thrown back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// The words in every place where a reason may stand, with this status.
    Places(u16),
    /// The same where `error` is a text.
    Flat(u16),
    /// The whole request as it came, as plain text.
    Request(u16),
    /// The given answer, its texts replaced: all of them, or those that look like words for people.
    Answer { all: bool },
    /// A success that is cut off.
    Broken,
    /// A success that is not what it should be.
    NoJson,
    /// The connection ends in the middle of the answer.
    Gone,
}

/// So often something is thrown back.
const MOST_THROWN: usize = 12;

pub struct Mirror {
    pub url: String,
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mirror {
    /// `good` is given first; then `answer` in the form of `back`, with `words`.
    pub async fn start(
        good: Vec<RecordedAnswer>,
        answer: RecordedAnswer,
        back: Back,
        words: String,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let most = good.len() + MOST_THROWN;
            let mut good = good.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = receive(&mut stream).await else {
                    continue;
                };
                let bytes = match good.next() {
                    Some(answer) => encode(answer.status, &answer.headers, &answer.body, false),
                    None if kept.lock().unwrap().len() < most => {
                        thrown(&answer, back, &words, &request)
                    }
                    // What is thrown back may name a next page for ever.
                    None => encode(500, &[], b"", false),
                };
                kept.lock().unwrap().push(request);
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { url, seen, task }
    }

    /// The requests as they came.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn receive(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8_192];
    loop {
        let read = stream.read(&mut buffer).await.ok()?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let line = line.to_lowercase();
                line.strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            let start = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
            if bytes.len() >= start + length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        if read == 0 {
            return None;
        }
    }
}

fn thrown(answer: &RecordedAnswer, back: Back, words: &str, request: &str) -> Vec<u8> {
    // A header has no control characters, and no place for what is not ASCII.
    let line: String = words.chars().filter(char::is_ascii_graphic).collect();
    let names = [
        "x-echo",
        "www-authenticate",
        "location",
        "retry-after",
        "x-request-id",
    ];
    let headers: Vec<(String, String)> = names
        .iter()
        .map(|name| ((*name).to_owned(), line.clone()))
        .collect();
    let (status, body, cut) = match back {
        Back::Places(status) => {
            let one = json!({"message": words, "detail": words, "title": words, "code": words, "index": 0, "reason": words});
            let body = json!({
                "error": one, "errors": [one, one], "message": words, "detail": words, "reason": words,
                "msg": words, "id": words, "title": words, "status": words, "requestId": words,
            });
            (status, body.to_string(), false)
        }
        Back::Flat(status) => {
            let body = json!({"error": words, "errors": [words], "error_description": words});
            (status, body.to_string(), false)
        }
        Back::Request(status) => (status, request.to_owned(), false),
        Back::Answer { all } => {
            let text = String::from_utf8_lossy(&answer.body);
            let body = match serde_json::from_str::<Value>(&text) {
                Ok(value) => echoed(value, words, all).to_string(),
                // A table: its header stays.
                Err(_) => {
                    let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
                    let line = words.replace(['\n', '\r', '"', ','], " ");
                    let cells: Vec<String> = rest
                        .lines()
                        .map(|row| {
                            row.split(',')
                                .map(|_| line.as_str())
                                .collect::<Vec<_>>()
                                .join(",")
                        })
                        .collect();
                    format!("{head}\n{}\n", cells.join("\n"))
                }
            };
            (answer.status, body, false)
        }
        Back::Broken => (200, format!("{{\"id\": {}", Value::from(words)), false),
        Back::NoJson => (200, words.to_owned(), false),
        Back::Gone => (200, Value::from(words).to_string(), true),
    };
    encode(status, &headers, body.as_bytes(), cut)
}

/// Texts of JSON replaced by these words.
fn echoed(value: Value, words: &str, all: bool) -> Value {
    const FOR_PEOPLE: [&str; 8] = [
        "message",
        "detail",
        "reason",
        "title",
        "description",
        "error",
        "msg",
        "exception",
    ];
    match value {
        Value::String(_) if all => Value::from(words),
        Value::Array(items) => items.into_iter().map(|v| echoed(v, words, all)).collect(),
        Value::Object(map) => {
            let echoed = map.into_iter().map(|(name, value)| {
                let lower = name.to_lowercase();
                let people = FOR_PEOPLE.iter().any(|word| lower.contains(word));
                let new = match &value {
                    Value::String(_) if people => Value::from(words),
                    _ => echoed(value, words, all),
                };
                (name, new)
            });
            Value::Object(echoed.collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn encode(status: u16, headers: &[(String, String)], body: &[u8], cut: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Thrown\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let more = if cut { 1_000 } else { 0 };
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len() + more));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
