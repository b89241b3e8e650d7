//! The tools are tested too: a test kit that fails quietly proves nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall fail")]

use std::time::Duration;

use kinfold_sync::{AckLog, ChangeSource, Clock, Operation};
use kinfold_testkit::{
    FakeClock, Fault, Loopback, MemoryLog, MemorySource, PostgresServer, Rejection, Script, change,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a POST and returns all that comes back, and whether the connection was reset.
async fn post(server: &Loopback, id: &str, body: &Value) -> (String, bool) {
    let address = server.url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "POST /contacts HTTP/1.1\r\nhost: {address}\r\nidempotency-key: {id}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reset = stream.read_to_end(&mut answer).await.is_err();
    (String::from_utf8(answer).unwrap(), reset)
}

fn upsert(ids: &[&str]) -> Value {
    let records: Vec<Value> = ids
        .iter()
        .map(|id| json!({"key": {"id": id}, "fields": {"n": 1}}))
        .collect();
    json!({"operation": "upsert", "records": records})
}

#[tokio::test]
async fn the_earliest_sleeper_wakes_first_and_time_does_not_add_up() {
    let clock = FakeClock::new();
    let nap = async |seconds| {
        clock.sleep(Duration::from_secs(seconds)).await;
        clock.elapsed().as_secs()
    };
    let (long, short, middle) = tokio::join!(nap(3_600), nap(5), nap(60));
    assert_eq!((long, short, middle), (3_600, 5, 60));
    assert_eq!(clock.elapsed(), Duration::from_secs(3_600));
    assert_eq!(clock.wall().timestamp(), 3_600);
}

#[tokio::test]
async fn a_dropped_sleeper_holds_nobody_up() {
    let clock = FakeClock::new();
    tokio::select! {
        () = clock.sleep(Duration::from_secs(1)) => {}
        () = clock.sleep(Duration::from_secs(2)) => {}
    }
    clock.sleep(Duration::from_secs(10)).await;
    assert_eq!(clock.elapsed(), Duration::from_secs(11));
}

#[tokio::test]
async fn records_are_stored_once_per_idempotency_key() {
    let server = Loopback::start().await.unwrap();
    for _ in 0..2 {
        let (answer, _) = post(&server, "one", &upsert(&["a", "b"])).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(server.applied(), 2);
    assert_eq!(server.requests().len(), 2);
    server.forget_idempotency_keys();
    post(&server, "one", &upsert(&["a"])).await;
    assert_eq!(server.applied(), 3);
    let keys: Vec<String> = server.records("contacts").into_keys().collect();
    assert_eq!(keys, [r#"{"id":"a"}"#, r#"{"id":"b"}"#]);
    let delete = json!({"operation": "delete", "records": [{"key": {"id": "a"}}]});
    post(&server, "two", &delete).await;
    assert_eq!(server.records("contacts").len(), 1);
}

#[tokio::test]
async fn refused_records_are_named_or_fail_the_request() {
    let server = Loopback::start().await.unwrap();
    server.refuse([json!({"id": "b"})], Rejection::PerRow);
    let (answer, _) = post(&server, "one", &upsert(&["a", "b"])).await;
    assert!(answer.starts_with("HTTP/1.1 207"), "{answer}");
    assert!(answer.contains(r#""index":1"#), "{answer}");
    assert_eq!(server.records("contacts").len(), 1);
    server.refuse([json!({"id": "d"})], Rejection::Whole(422));
    let (answer, _) = post(&server, "two", &upsert(&["c", "d"])).await;
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    assert_eq!(server.records("contacts").len(), 1);
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    // Fault, start of what comes back, whether the connection is reset, whether the record is stored.
    let cases = [
        (Fault::Status(500), "HTTP/1.1 500", false, false),
        (Fault::StatusAfter(500), "HTTP/1.1 500", false, true),
        (
            Fault::RetryAfter(429, "9".to_owned()),
            "HTTP/1.1 429",
            false,
            false,
        ),
        (
            Fault::Redirect("http://x/".to_owned()),
            "HTTP/1.1 307",
            false,
            false,
        ),
        (
            Fault::Slow(Duration::from_millis(10)),
            "HTTP/1.1 200",
            false,
            true,
        ),
        (Fault::ResetBefore, "", true, false),
        (Fault::ResetAfter, "", true, true),
        (Fault::Malformed, "HTTP/1.1 200", false, true),
    ];
    for (fault, start, reset, stored) in cases {
        let server = Loopback::start().await.unwrap();
        server.script(Script::sequence([Some(fault.clone())]));
        let (answer, was_reset) = post(&server, "one", &upsert(&["a"])).await;
        assert!(answer.starts_with(start), "{fault:?} {answer}");
        assert_eq!((answer.is_empty(), was_reset), (reset, reset), "{fault:?}");
        assert_eq!(
            server.records("contacts").len(),
            usize::from(stored),
            "{fault:?}"
        );
        // The script is over.
        post(&server, "two", &upsert(&["b"])).await;
        assert!(server.records("contacts").contains_key(r#"{"id":"b"}"#));
    }
}

#[tokio::test]
async fn half_a_body_is_shorter_than_promised() {
    let server = Loopback::start().await.unwrap();
    server.script(Script::always(Fault::HalfBody));
    let (answer, _) = post(&server, "one", &upsert(&["a"])).await;
    assert!(answer.contains("content-length: 64"), "{answer}");
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    assert!(body.len() < 64, "{body}");
    assert_eq!(server.applied(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_refuses_connections_and_keeps_its_records() {
    let mut server = Loopback::start().await.unwrap();
    let address = server.url().replace("http://", "");
    post(&server, "one", &upsert(&["a"])).await;
    let mut open = TcpStream::connect(&address).await.unwrap();
    server.down().await;
    let refused = TcpStream::connect(&address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // A connection that was open is gone as well.
    let mut byte = [0];
    assert!(matches!(open.read(&mut byte).await, Ok(0) | Err(_)));
    server.up().await.unwrap();
    post(&server, "two", &upsert(&["b"])).await;
    assert_eq!(server.records("contacts").len(), 2);
}

#[test]
fn a_seeded_script_is_the_same_every_time() {
    let draw = |seed| {
        let mut script = Script::seeded(seed, [(Fault::Status(500), 0.5)]);
        (0..64)
            .map(|_| script.next_fault().is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[tokio::test]
async fn sources_and_logs_fail_when_told_to() {
    let rows = || (0..10).map(|seq| change(seq, Operation::Add, &seq.to_string(), json!({})));
    let mut source = MemorySource::new(rows()).failing_after(7);
    assert_eq!(source.next(5).await.unwrap().len(), 5);
    assert_eq!(source.next(5).await.unwrap().len(), 2);
    assert!(source.next(5).await.is_err());
    assert_eq!(MemorySource::new(rows()).remaining().await.unwrap(), 10);
    let mut log = MemoryLog::new();
    log.fail_at(Some(1));
    assert!(log.record(&[]).await.is_ok());
    assert!(log.record(&[]).await.is_err());
    assert!(log.record(&[]).await.is_ok());
}

#[test]
fn a_postgres_server_starts_stops_and_cleans_up() {
    let mut server = PostgresServer::start().unwrap();
    let folder = server.folder().to_owned();
    let port = server.port();
    let connects = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(connects());
    server.stop();
    assert!(!connects());
    server.restart().unwrap();
    assert!(connects());
    drop(server);
    assert!(!connects());
    assert!(!folder.exists());
}
