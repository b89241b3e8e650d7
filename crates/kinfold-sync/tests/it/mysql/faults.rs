//! Faults of the server, the connection and the credentials.

use std::process::Command;
use std::time::{Duration, Instant};

use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Change, Destination, DestinationError, FailureClass, MySqlDestination,
    MySqlOptions, Operation, Outcome, SendResult, StoppedEarly,
};
use kinfold_testkit::{MemoryLog, change};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::json;

use super::{
    CONTACTS, connect, deliver, destination, failure, keyed, owned, pairs, run, server_with, target,
};
use crate::setting::{deliver_plan, policy, run_of};

#[tokio::test]
async fn wrong_credentials_and_addresses_are_told_apart_and_hidden() {
    let (server, mut conn) = server_with(CONTACTS).await;
    let to = |dsn: String| {
        MySqlDestination::new(
            MySqlOptions::new(dsn),
            target("contacts", SyncMode::Upsert, &["id"], &["name"]),
        )
        .unwrap()
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("mysql://u:hunter2@{}/crm", closed.local_addr().unwrap());
    drop(closed);
    let wrong_database = server.dsn().replace("/crm", "/nowhere");
    let plan = [change(0, Operation::Add, "a", json!({"name": "A"}))];
    for (dsn, class, down) in [
        (
            server.dsn_as("kinfold", "hunter2"),
            FailureClass::Unauthorized,
            false,
        ),
        (
            server.dsn_as("nobody", "hunter2"),
            FailureClass::Unauthorized,
            false,
        ),
        (wrong_database, FailureClass::Misconfigured, false),
        (nowhere, FailureClass::Unreachable, true),
    ] {
        let destination = to(dsn);
        let error = destination.check().await.unwrap_err();
        let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
        assert_eq!(failure(&log, 0).0, class, "{error}");
        assert_eq!(report.counters.retryable, 1);
        let reason = report.stopped_early.as_ref();
        assert_eq!(
            matches!(reason, Some(StoppedEarly::Down { .. })),
            down,
            "{error}"
        );
        assert_eq!(
            matches!(reason, Some(StoppedEarly::Refused { .. })),
            !down,
            "{error}"
        );
        let text = format!("{error:?} {report:?} {destination:?} {:?}", log.outcomes());
        assert!(
            !text.contains("hunter2") && !text.contains("swordfish"),
            "{text}"
        );
    }
    // The right is taken away while the destination is in use.
    run(
        &mut conn,
        "CREATE USER w@'127.0.0.1' IDENTIFIED BY 'pw';
         GRANT SELECT, INSERT, UPDATE ON crm.contacts TO w@'127.0.0.1'",
    )
    .await;
    let destination = to(server.dsn_as("w", "pw"));
    destination.check().await.unwrap();
    run(
        &mut conn,
        "REVOKE UPDATE ON crm.contacts FROM w@'127.0.0.1'",
    )
    .await;
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(failure(&log, 0).0, FailureClass::Unauthorized);
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Refused { .. })
    ));
}

#[tokio::test]
async fn a_server_that_goes_away_loses_nothing() {
    let (mut server, _) = server_with(CONTACTS).await;
    let destination = destination(
        &server,
        target("contacts", SyncMode::Upsert, &["id"], &["name"]),
    );
    let plan: Vec<Change> = (0..40)
        .map(|seq| change(seq, Operation::Add, &seq.to_string(), json!({"name": "N"})))
        .collect();
    let log = MemoryLog::new();
    let (first, second) = plan.split_at(20);
    let policy = policy(5, 2);
    deliver_plan(SyncMode::Upsert, first, &destination, &log, &policy).await;
    server.stop();
    let report = deliver_plan(SyncMode::Upsert, second, &destination, &log, &policy).await;
    assert_eq!(report.counters.retryable, 20);
    assert!(
        matches!(report.stopped_early, Some(StoppedEarly::Down { .. })),
        "{report:?}"
    );
    server.restart(&[]).unwrap();
    let rest = log.rest_of(&plan);
    assert_eq!(rest.len(), 20);
    let report = deliver_plan(SyncMode::Upsert, &rest, &destination, &log, &policy).await;
    assert_eq!(report.counters.delivered, 20);
    let count: Option<u64> = connect(&server)
        .await
        .query_first("SELECT count(*) FROM contacts")
        .await
        .unwrap();
    assert_eq!(count, Some(42));
}

#[tokio::test]
async fn a_session_that_is_ended_or_kept_waiting_is_tried_again() {
    let (server, mut conn) = server_with(CONTACTS).await;
    let mut options = MySqlOptions::new(server.dsn());
    options.timeout = Duration::from_millis(700);
    let target = target("contacts", SyncMode::Upsert, &["id"], &["name"]);
    let destination = MySqlDestination::new(options, target).unwrap();
    destination.check().await.unwrap();
    let others = "SELECT id FROM information_schema.processlist
                  WHERE user = 'kinfold' AND id <> connection_id() AND command = 'Sleep'";
    // The server notes a little later that the session has nothing more to do.
    let mut sessions: Vec<u64> = conn.query(others).await.unwrap();
    for _ in 0..100 {
        if !sessions.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        sessions = conn.query(others).await.unwrap();
    }
    assert_eq!(sessions.len(), 1);
    for session in sessions {
        run(&mut conn, &format!("KILL {session}")).await;
    }
    let plan = [change(0, Operation::Update, "old", json!({"name": "New"}))];
    let (report, _) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!((report.counters.delivered, report.requests), (1, 1));

    // Somebody else holds the row for longer than the time limit.
    run(
        &mut conn,
        "BEGIN; UPDATE contacts SET n = 5 WHERE id = 'old'",
    )
    .await;
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.retryable, 1);
    assert_eq!(failure(&log, 0).0, FailureClass::TimedOut);
    run(&mut conn, "COMMIT").await;
    let (report, _) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.delivered, 1);
}

/// Waits until a query has a row.
async fn until(conn: &mut Conn, sql: &str) {
    let begun = Instant::now();
    loop {
        let found: Option<u64> = conn.query_first(sql).await.unwrap();
        if found.is_some() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{sql}");
        tokio::task::yield_now().await;
    }
}

// The table of transactions shows what was when it was last left alone for a while.
const WAITING: &str = "SELECT 1 FROM information_schema.global_status
                       WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS' AND variable_value > 0";

fn batch(operation: BatchOperation, changes: &[Change]) -> Batch {
    Batch::new(run_of(SyncMode::Upsert), operation, changes.to_vec())
}

#[tokio::test]
async fn a_deadlock_and_a_connection_that_is_cut_are_transient_and_change_nothing() {
    let (server, mut conn) = server_with(CONTACTS).await;
    let destination = destination(
        &server,
        target("contacts", SyncMode::Upsert, &["id"], &["name"]),
    );
    destination.check().await.unwrap();
    let upsert = batch(
        BatchOperation::Upsert,
        &[
            change(0, Operation::Update, "old", json!({"name": "New"})),
            change(1, Operation::Update, "other", json!({"name": "New"})),
        ],
    );
    let mut observer = connect(&server).await;

    // Both hold one row and want that of the other; the one that has changed less has to go.
    run(
        &mut conn,
        "BEGIN; UPDATE contacts SET n = 9 WHERE id = 'other';
         INSERT INTO contacts (id, name) VALUES ('x1', 'X'), ('x2', 'X'), ('x3', 'X')",
    )
    .await;
    let meet = async {
        until(&mut observer, WAITING).await;
        run(&mut conn, "UPDATE contacts SET n = 9 WHERE id = 'old'").await;
        run(&mut conn, "COMMIT").await;
    };
    let (result, ()) = tokio::join!(destination.send(&upsert), meet);
    assert!(
        matches!(
            &result,
            SendResult::Transient { class: FailureClass::Unavailable, message } if message.contains("1213")
        ),
        "{result:?}"
    );

    // The session is killed in the middle of its transaction.
    run(
        &mut conn,
        "BEGIN; UPDATE contacts SET n = 10 WHERE id = 'other'",
    )
    .await;
    let cut = async {
        until(&mut observer, WAITING).await;
        let sending = "SELECT id FROM information_schema.processlist
                       WHERE command = 'Query' AND info LIKE 'INSERT%'";
        let waiting: Vec<u64> = observer.query(sending).await.unwrap();
        assert_eq!(waiting.len(), 1);
        for session in waiting {
            run(&mut observer, &format!("KILL {session}")).await;
        }
    };
    let (result, ()) = tokio::join!(destination.send(&upsert), cut);
    assert!(matches!(result, SendResult::Transient { .. }), "{result:?}");
    run(&mut conn, "COMMIT").await;
    let names = "SELECT id, name FROM contacts WHERE id IN ('old', 'other') ORDER BY id";
    assert_eq!(
        pairs(&mut conn, names).await,
        owned(&[("old", Some("Old")), ("other", Some("Other"))])
    );
    // Afterwards all is well.
    let result = destination.send(&upsert).await;
    assert_eq!(result, SendResult::Rows(vec![Outcome::Delivered; 2]));
}

/// Passes bytes on until the client has sent text that ends in `COMMIT`; this arrives, and the answer never comes.
async fn cut_after_commit(listener: tokio::net::TcpListener, port: u16) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (client, _) = listener.accept().await.unwrap();
    let server = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
            to_client.write_all(&bytes[..length]).await.unwrap();
        }
    });
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
        let last = &bytes[..length];
        if last.ends_with(b"COMMIT") {
            // Nothing is passed back from here on.
            answers.abort();
            let _ = answers.await;
            to_server.write_all(last).await.unwrap();
            return;
        }
        to_server.write_all(last).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_without_an_answer_is_unknown_and_an_insert_is_not_repeated() {
    let (server, mut conn) = server_with(CONTACTS).await;
    for (mode, requests, words) in [
        (SyncMode::Insert, 1, "unknown"),
        // Sent once more, it meets its own row and is delivered: but the listener takes one connection.
        (SyncMode::Upsert, 2, "unknown"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dsn = server
            .dsn()
            .replace(&format!(":{}/", server.port()), &format!(":{port}/"));
        let target = target("contacts", mode, &["id"], &["name"]);
        let destination = MySqlDestination::new(MySqlOptions::new(dsn), target).unwrap();
        let id = format!("{mode:?}");
        let plan = [change(0, Operation::Add, &id, json!({"name": "N"}))];
        let log = MemoryLog::new();
        let mut policy = policy(10, 1);
        policy.retry.max_attempts = 2;
        let proxy = cut_after_commit(listener, server.port());
        let delivery = deliver_plan(mode, &plan, &destination, &log, &policy);
        let (report, ()) = tokio::join!(delivery, proxy);
        assert_eq!(report.requests, requests, "{mode:?}");
        let outcomes = log.outcomes();
        assert_eq!(
            outcomes.get(&0).map(Outcome::as_str),
            Some(words),
            "{mode:?}"
        );
        // It was applied all the same.
        until(
            &mut conn,
            &format!("SELECT 1 FROM contacts WHERE id = '{id}'"),
        )
        .await;
    }
}

#[tokio::test]
async fn a_row_longer_than_the_server_takes_is_rejected_alone() {
    let (mut server, _) = server_with("CREATE TABLE t (id int PRIMARY KEY, v longtext)").await;
    server
        .restart(&["--max-allowed-packet=1M".to_owned()])
        .unwrap();
    let destination = destination(&server, target("t", SyncMode::Upsert, &["id"], &["v"]));
    let plan: Vec<Change> = (0..9)
        .map(|seq| {
            let length = if seq == 4 { 1_100_000 } else { 200_000 };
            let fields = json!({"v": "x".repeat(length)});
            keyed(seq, Operation::Add, json!({"id": seq}), fields)
        })
        .collect();
    let log = MemoryLog::new();
    let mut policy = policy(100, 1);
    policy.max_bytes = 8 << 20;
    let report = deliver_plan(SyncMode::Upsert, &plan, &destination, &log, &policy).await;
    assert_eq!(report.counters.delivered, 8, "{:?}", log.outcomes());
    assert_eq!(failure(&log, 4).0, FailureClass::TooLarge);
    let length: Option<u64> = connect(&server)
        .await
        .query_first("SELECT sum(length(v)) FROM t")
        .await
        .unwrap();
    assert_eq!(length, Some(1_600_000));
}

#[tokio::test]
async fn tls_verifies_the_server() {
    let (mut server, _) = server_with(CONTACTS).await;
    let certificate = server.folder().join("server.crt");
    let key = server.folder().join("server.key");
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=kinfold test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl, which the package `postgresql` brings");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let trusted = certificate.with_file_name("trusted.crt");
    std::fs::copy(&certificate, &trusted).unwrap();
    server.own(&certificate).unwrap();
    server.own(&key).unwrap();

    let check = async |parameters: &str, dsn: &str| {
        let options = MySqlOptions::new(format!("{dsn}?{parameters}"));
        let target = target("contacts", SyncMode::Upsert, &["id"], &["name"]);
        MySqlDestination::new(options, target)
            .unwrap()
            .check()
            .await
    };
    let trusting = format!("ssl-mode=verify-full&ssl-ca={}", trusted.display());
    let plain = check(&trusting, &server.dsn()).await;
    assert!(plain.is_err(), "a server without TLS must not be accepted");
    server
        .restart(&[
            format!("--ssl-cert={}", certificate.display()),
            format!("--ssl-key={}", key.display()),
            "--require-secure-transport=ON".to_owned(),
        ])
        .unwrap();
    assert_eq!(check(&trusting, &server.dsn()).await, Ok(()));
    assert!(check("ssl-mode=disable", &server.dsn()).await.is_err());
    let other_name = server.dsn().replace("127.0.0.1", "localhost");
    for (parameters, dsn) in [
        ("ssl-mode=require", &server.dsn()),
        (trusting.as_str(), &other_name),
    ] {
        let error = check(parameters, dsn).await.unwrap_err();
        assert!(
            matches!(error, DestinationError::Unreachable { .. }),
            "{error}"
        );
    }
}
