//! A server on this machine that plays recorded answers and keeps every request as it came.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::exchange::{RecordedAnswer, RecordedRequest};

/// A request is no larger than this.
const MAX_REQUEST: usize = 64 << 20;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Came {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Came {
    /// As a request that can be recorded. The server on this machine knows neither the scheme nor a port that goes
    /// without saying.
    pub(super) fn recorded(self, scheme: &str) -> RecordedRequest {
        RecordedRequest {
            method: self.method,
            url: format!("{scheme}://{}", self.target.trim_start_matches('/')),
            headers: self.headers,
            body: self.body,
        }
    }
}

/// The server; it ends when dropped.
pub(super) struct Server {
    pub(super) url: String,
    came: Arc<Mutex<Vec<Came>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts a server that gives these answers one after the other; to any further request it answers 599.
    pub(super) async fn start(answers: Vec<RecordedAnswer>) -> io::Result<Self> {
        let mut answers = answers.into_iter();
        Self::answering(move |_| answers.next()).await
    }

    /// Starts a server that asks for each answer; where there is none it answers 599.
    pub(super) async fn answering(
        mut answer: impl FnMut(&Came) -> Option<RecordedAnswer> + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let came = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&came);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One after the other: the order of requests is a part of what was recorded.
                let _ = serve(stream, &mut answer, &seen).await;
            }
        });
        Ok(Self { url, came, task })
    }

    /// The requests so far.
    pub(super) fn came(&self) -> Vec<Came> {
        self.came
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &mut (impl FnMut(&Came) -> Option<RecordedAnswer> + Send),
    seen: &Mutex<Vec<Came>>,
) -> io::Result<()> {
    let Some(request) = receive(&mut stream).await? else {
        return Ok(());
    };
    let bytes = match answer(&request) {
        Some(answer) => encode(&answer),
        None => {
            b"HTTP/1.1 599 Unexpected\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
        }
    };
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

fn encode(answer: &RecordedAnswer) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Recorded\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        answer.body.len()
    ));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&answer.body);
    bytes
}

async fn receive(stream: &mut TcpStream) -> io::Result<Option<Came>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8_192];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let read = stream.read(&mut buffer).await?;
        if read == 0 || bytes.len() > MAX_REQUEST {
            return Ok(None);
        }
        bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
    };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let mut body: Vec<u8> = bytes.split_off(end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut came = Came {
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        ..Came::default()
    };
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            came.headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let length = came
        .headers
        .iter()
        .find(|(name, _)| name == "content-length");
    let length: usize = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    while body.len() < length.min(MAX_REQUEST) {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        body.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    came.body = body;
    Ok(Some(came))
}
