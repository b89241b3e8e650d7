//! A server that does what `messy.yml` describes, and what it does not: it counts lines from 1, tells the truth of
//! an overload in the body of a 200, keeps addresses in lower case, and refuses fields that it does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(super) const KEY: &str = "swordfish-1";
const HOST: &str = "/acme.messy.example/crm";
const MOST_ROWS: usize = 20;

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// 429 with the vendor's own header.
    TooFast,
    /// A 200 that says that nothing was done.
    Busy,
    /// 500, nothing done.
    Broken,
    /// Done, and then 502.
    BrokenAfter,
    /// The connection ends before anything is done.
    Reset,
    /// Done, and the connection ends before the answer.
    ResetAfter,
    /// Done, and the answer ends in the middle.
    Half,
}

impl Wrong {
    pub(super) const ALL: [Self; 7] = [
        Self::TooFast,
        Self::Busy,
        Self::Broken,
        Self::BrokenAfter,
        Self::Reset,
        Self::ResetAfter,
        Self::Half,
    ];

    fn is_done(self) -> bool {
        matches!(self, Self::BrokenAfter | Self::ResetAfter | Self::Half)
    }
}

#[derive(Default)]
struct State {
    /// By the address: the number, and what is known.
    contacts: BTreeMap<String, (u64, Value)>,
    last: u64,
    requests: u64,
    met: BTreeSet<Wrong>,
}

pub(super) struct Messy {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Messy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Messy {
    /// Starts a server; with another seed other requests go wrong.
    pub(super) async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _ = serve(stream, &state, seed).await;
                });
            }
        });
        Self { url, state, task }
    }

    /// The contacts by their addresses.
    pub(super) fn contacts(&self) -> Vec<(String, Value)> {
        let state = self.state.lock().unwrap();
        let all = state.contacts.iter();
        all.map(|(address, (_, contact))| (address.clone(), contact.clone()))
            .collect()
    }

    pub(super) fn forget<const N: usize>(&self, addresses: [&str; N]) {
        let mut state = self.state.lock().unwrap();
        for address in addresses {
            assert!(state.contacts.remove(address).is_some(), "{address}");
        }
    }

    pub(super) fn met(&self, wrong: Wrong) -> bool {
        self.state.lock().unwrap().met.contains(&wrong)
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: String,
    body: Value,
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>, seed: u64) -> std::io::Result<()> {
    let Some(request) = receive(&mut stream).await? else {
        return Ok(());
    };
    let (wrong, answer) = {
        let mut state = state.lock().unwrap();
        state.requests += 1;
        let number = state.requests + seed;
        // Every third request of the bulk and of deletes goes wrong, each time in another way.
        let wrong = (number.is_multiple_of(3) && request.method != "GET").then(|| {
            let at = usize::try_from(number / 3).unwrap() % Wrong::ALL.len();
            Wrong::ALL[at]
        });
        state.met.extend(wrong);
        let answer = match wrong {
            Some(wrong) if !wrong.is_done() => (200, Value::Null),
            _ => answer(&request, &mut state),
        };
        (wrong, answer)
    };
    let (status, body) = answer;
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let reply = match wrong {
        None => reply(status, "", &text),
        Some(Wrong::TooFast) => reply(429, "x-rate-reset: 2\r\n", ""),
        Some(Wrong::Busy) => reply(200, "", &json!({"code": "BUSY"}).to_string()),
        Some(Wrong::Broken) => reply(500, "", "oops"),
        Some(Wrong::BrokenAfter) => reply(502, "", "<html>"),
        Some(Wrong::Reset | Wrong::ResetAfter) => return Ok(()),
        Some(Wrong::Half) => {
            let whole = reply(200, "", &json!({"code": "OK", "accepted": 1}).to_string());
            whole.get(..whole.len() - 9).unwrap().to_owned()
        }
    };
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await
}

fn reply(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Messy\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn answer(request: &Request, state: &mut State) -> (u16, Value) {
    let path = request.path.strip_prefix(HOST).unwrap_or_default();
    if path == "/status" {
        return (200, Value::Null);
    }
    let has = |header: &str| request.headers.contains(header);
    if !has(&format!("x-messy-key: {KEY}\r\n")) {
        return (401, Value::Null);
    }
    match (request.method.as_str(), path) {
        ("GET", "/account") => (200, json!({"tenant": "acme"})),
        ("GET", "/contacts") => {
            let wanted = request
                .query
                .strip_prefix("email_addr=")
                .unwrap_or_default();
            let wanted = wanted.replace("%40", "@").to_lowercase();
            let hits = state
                .contacts
                .get(&wanted)
                .map(|(number, _)| json!({"contact_no": number, "email_addr": wanted}));
            (200, json!({"hits": hits.into_iter().collect::<Vec<_>>()}))
        }
        ("POST", "/contacts/_bulk") if !has("x-messy-version: 2024-10\r\n") => {
            fault("which version?")
        }
        ("POST", "/contacts/_bulk") => bulk(&request.body, state),
        ("DELETE", path) => {
            let number: Option<u64> = path
                .strip_prefix("/contacts/")
                .and_then(|number| number.parse().ok());
            let before = state.contacts.len();
            state
                .contacts
                .retain(|_, (known, _)| Some(*known) != number);
            let gone = state.contacts.len() < before;
            (if gone { 204 } else { 404 }, Value::Null)
        }
        _ => (404, Value::Null),
    }
}

fn fault(explanation: &str) -> (u16, Value) {
    (400, json!({"fault": {"explanation": explanation}}))
}

fn bulk(body: &Value, state: &mut State) -> (u16, Value) {
    let Some(contacts) = body["payload"]["contacts"].as_array() else {
        return fault("no contacts");
    };
    if contacts.is_empty() || contacts.len() > MOST_ROWS {
        return fault("the wrong number of contacts");
    }
    let known = ["email_addr", "given", "family", "tags", "parent", "props"];
    let strange = contacts
        .iter()
        .filter_map(Value::as_object)
        .flat_map(Map::keys)
        .find(|name| !known.contains(&name.as_str()));
    if let Some(name) = strange {
        return fault(&format!("{name}?"));
    }
    let mut rejects = Vec::new();
    for (line, contact) in (1..).zip(contacts) {
        let address = contact["email_addr"]
            .as_str()
            .unwrap_or_default()
            .to_lowercase();
        if !address.contains('@') {
            rejects.push(json!({"line": line, "why": "that is no address"}));
            continue;
        }
        let mut fields = contact.as_object().cloned().unwrap();
        fields.remove("email_addr");
        state.last += 1;
        let number = state
            .contacts
            .get(&address)
            .map_or(state.last, |(number, _)| *number);
        state
            .contacts
            .insert(address, (number, Value::Object(fields)));
    }
    let accepted = contacts.len() - rejects.len();
    (
        200,
        json!({"code": "OK", "accepted": accepted, "rejects": rejects}),
    )
}

async fn receive(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end + 2]).into_owned();
            let (first, headers) = head.split_once("\r\n").unwrap();
            let headers: String = headers
                .split_inclusive("\r\n")
                .map(|line| match line.split_once(':') {
                    Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
                    None => String::new(),
                })
                .collect();
            let length = headers
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse().ok());
            let body = &bytes[end + 4..];
            if body.len() >= length.unwrap_or(0) {
                let mut words = first.split(' ');
                let method = words.next().unwrap_or_default().to_owned();
                let target = words.next().unwrap_or_default();
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                return Ok(Some(Request {
                    method,
                    path: path.to_owned(),
                    query: query.to_owned(),
                    headers,
                    body: serde_json::from_slice(body).unwrap_or_default(),
                }));
            }
        }
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}
