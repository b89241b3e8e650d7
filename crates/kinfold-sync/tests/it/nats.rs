//! The NATS destination on a real server.

use std::time::Duration;

use async_nats::jetstream::{self, Context, consumer, stream};
use futures::StreamExt;
use kinfold_project::SyncMode;
use kinfold_sync::{
    Change, DeliveryReport, Destination, DestinationError, FailureClass, NatsDestination,
    NatsOptions, Operation, Outcome, Secret, StoppedEarly, Target,
};
use kinfold_testkit::{MemoryLog, NatsServer, change};
use serde_json::{Value, json};

use crate::setting::{deliver_plan, policy};

fn target(object: &str, mode: SyncMode) -> Target {
    Target {
        object: object.to_owned(),
        mode,
        deletes: mode == SyncMode::Mirror,
        key_fields: vec!["id".to_owned()],
        fields: vec!["name".to_owned()],
    }
}

fn options(server: &NatsServer) -> NatsOptions {
    let mut options = NatsOptions::new(server.url());
    options.timeout = Duration::from_secs(5);
    options
}

fn destination(server: &NatsServer, object: &str, mode: SyncMode) -> NatsDestination {
    NatsDestination::new(options(server), target(object, mode)).unwrap()
}

/// A server with a stream.
async fn server_with(config: stream::Config) -> (NatsServer, Context) {
    let server = NatsServer::start(&[]).expect("a NATS server");
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    context.create_stream(config).await.unwrap();
    (server, context)
}

fn people() -> stream::Config {
    stream::Config {
        name: "CDP".to_owned(),
        subjects: vec!["cdp.>".to_owned()],
        ..Default::default()
    }
}

async fn deliver(
    destination: &NatsDestination,
    mode: SyncMode,
    plan: &[Change],
) -> (DeliveryReport, MemoryLog) {
    let log = MemoryLog::new();
    let report = deliver_plan(mode, plan, destination, &log, &policy(500, 3)).await;
    assert!(report.counters.add_up(), "{report:?}");
    (report, log)
}

/// What the stream has: subject, operation, key and body of each message.
async fn messages(context: &Context) -> Vec<(String, String, String, String)> {
    let mut stream = context.get_stream("CDP").await.unwrap();
    let count = stream.info().await.unwrap().state.messages;
    let consumer = stream
        .create_consumer(consumer::pull::Config {
            ack_policy: consumer::AckPolicy::None,
            ..Default::default()
        })
        .await
        .unwrap();
    let count = usize::try_from(count).unwrap();
    let mut found = consumer.messages().await.unwrap().take(count);
    let mut all = vec![];
    while let Some(message) = found.next().await {
        let message = message.unwrap();
        let header = |name: &str| {
            let headers = message.headers.as_ref().unwrap();
            headers.get(name).unwrap().as_str().to_owned()
        };
        all.push((
            message.subject.to_string(),
            header("Kinfold-Operation"),
            header("Kinfold-Key"),
            String::from_utf8(message.payload.to_vec()).unwrap(),
        ));
    }
    all
}

fn message(
    subject: &str,
    operation: &str,
    id: &str,
    fields: &Value,
) -> (String, String, String, String) {
    let key = json!({"id": id});
    let body = match operation {
        "delete" => String::new(),
        _ => json!({"key": key, "fields": fields}).to_string(),
    };
    (
        subject.to_owned(),
        operation.to_owned(),
        key.to_string(),
        body,
    )
}

#[tokio::test]
async fn every_change_is_a_message() {
    let (server, context) = server_with(people()).await;
    let mirror = destination(&server, "cdp.people.{id}", SyncMode::Mirror);
    mirror.check().await.unwrap();
    let plan = [
        change(0, Operation::Remove, "gone", json!({})),
        change(1, Operation::Add, "a", json!({"name": "Zoë"})),
        change(2, Operation::Update, "b", json!({"name": null})),
        change(3, Operation::Add, "no token", json!({"name": "C"})),
    ];
    let (report, log) = deliver(&mirror, SyncMode::Mirror, &plan).await;
    assert_eq!(
        (report.counters.delivered, report.counters.rejected),
        (3, 1),
        "{:?}",
        log.outcomes()
    );
    let expected = [
        message("cdp.people.gone", "delete", "gone", &Value::Null),
        message("cdp.people.a", "upsert", "a", &json!({"name": "Zoë"})),
        message("cdp.people.b", "upsert", "b", &json!({"name": null})),
    ];
    assert_eq!(messages(&context).await, expected);
    // What is sent again in one plan is there once.
    let (report, _) = deliver(&mirror, SyncMode::Mirror, &plan).await;
    assert_eq!(report.counters.delivered, 3);
    assert_eq!(messages(&context).await, expected);
    // A value that comes back later in a plan is news.
    let again = [change(9, Operation::Update, "a", json!({"name": "Zoë"}))];
    deliver(&mirror, SyncMode::Mirror, &again).await;
    assert_eq!(messages(&context).await.len(), 4);
}

#[tokio::test]
async fn an_event_is_there_once_and_ten_thousand_are_quick() {
    let (server, context) = server_with(people()).await;
    let append = destination(&server, "cdp.events", SyncMode::Append);
    append.check().await.unwrap();
    let plan: Vec<Change> = (0..10_000)
        .map(|seq| {
            change(
                seq,
                Operation::Add,
                &format!("e{seq}"),
                json!({"name": "N"}),
            )
        })
        .collect();
    for _ in 0..2 {
        let begun = std::time::Instant::now();
        let (report, _) = deliver(&append, SyncMode::Append, &plan).await;
        assert_eq!(report.counters.delivered, 10_000);
        // Generous: one after the other would take minutes on a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(30));
        let mut stream = context.get_stream("CDP").await.unwrap();
        assert_eq!(stream.info().await.unwrap().state.messages, 10_000);
    }
}

#[tokio::test]
async fn what_a_stream_does_not_take_is_told_apart() {
    let (server, context) = server_with(stream::Config {
        max_message_size: 500,
        max_messages: 3,
        discard: stream::DiscardPolicy::New,
        subjects: vec![
            "cdp.people.a".to_owned(),
            "cdp.people.b".to_owned(),
            "cdp.people.c".to_owned(),
        ],
        ..people()
    })
    .await;
    let upsert = destination(&server, "cdp.people.{id}", SyncMode::Upsert);
    let plan = [
        change(0, Operation::Add, "a", json!({"name": "A"})),
        change(1, Operation::Add, "b", json!({"name": "x".repeat(600)})),
        change(2, Operation::Add, "other", json!({"name": "B"})),
        change(
            3,
            Operation::Add,
            "c",
            json!({"name": "y".repeat(2_000_000)}),
        ),
    ];
    let (_, log) = deliver(&upsert, SyncMode::Upsert, &plan).await;
    let classes: Vec<_> = log
        .outcomes()
        .values()
        .map(|outcome| (outcome.as_str(), outcome.failure().map(|(class, _)| class)))
        .collect();
    assert_eq!(
        classes,
        [
            ("delivered", None),
            ("rejected", Some(FailureClass::TooLarge)),
            ("rejected", Some(FailureClass::Misconfigured)),
            ("rejected", Some(FailureClass::TooLarge)),
        ]
    );
    // The stream is full.
    let plan: Vec<Change> = (10..14)
        .map(|seq| {
            change(
                seq,
                Operation::Update,
                "a",
                json!({"name": format!("A{seq}")}),
            )
        })
        .collect();
    let (report, log) = deliver(&upsert, SyncMode::Upsert, &plan).await;
    assert_eq!(
        (report.counters.delivered, report.counters.retryable),
        (2, 2),
        "{:?}",
        log.outcomes()
    );

    context.delete_stream("CDP").await.unwrap();
    let (report, log) = deliver(&upsert, SyncMode::Upsert, &plan).await;
    assert!(
        matches!(
            report.stopped_early,
            Some(StoppedEarly::Refused {
                class: FailureClass::Misconfigured,
                ..
            })
        ),
        "{report:?} {:?}",
        log.outcomes()
    );
    let error = upsert.check().await.unwrap_err();
    assert!(
        matches!(error, DestinationError::ObjectMissing { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_goes_away_loses_nothing() {
    let (mut server, context) = server_with(people()).await;
    let append = destination(&server, "cdp.events", SyncMode::Append);
    let plan: Vec<Change> = (0..20)
        .map(|seq| {
            change(
                seq,
                Operation::Add,
                &format!("e{seq}"),
                json!({"name": "N"}),
            )
        })
        .collect();
    let log = MemoryLog::new();
    let (first, second) = plan.split_at(10);
    let policy = policy(5, 2);
    deliver_plan(SyncMode::Append, first, &append, &log, &policy).await;
    assert_eq!(messages(&context).await.len(), 10);
    server.stop();
    drop(context);
    let report = deliver_plan(SyncMode::Append, second, &append, &log, &policy).await;
    assert_eq!(report.counters.delivered, 0);
    // A request into a connection whose end was not seen yet is unknown; the others are certainly not sent.
    assert_eq!(
        report.counters.retryable + report.counters.unknown,
        10,
        "{report:?}"
    );
    server.restart(&[]).unwrap();
    let report = deliver_plan(
        SyncMode::Append,
        &log.rest_of(&plan),
        &append,
        &log,
        &policy,
    )
    .await;
    assert_eq!(report.counters.delivered, 10, "{:?}", log.outcomes());
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    assert_eq!(messages(&context).await.len(), 20);
}

/// Speaks as a server does, and never acknowledges what is published.
async fn silent_server(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let (read, mut write) = stream.into_split();
            let info = r#"INFO {"server_id":"x","version":"2.9.10","proto":1,"headers":true,"max_payload":1048576}"#;
            write
                .write_all(format!("{info}\r\n").as_bytes())
                .await
                .unwrap();
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "PING" && write.write_all(b"PONG\r\n").await.is_err() {
                    break;
                }
            }
        });
    }
}

#[tokio::test]
async fn without_an_acknowledgement_an_event_is_unknown_and_a_value_is_sent_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(silent_server(listener));
    for (mode, requests) in [(SyncMode::Append, 1), (SyncMode::Upsert, 4)] {
        let mut options = NatsOptions::new(format!("nats://127.0.0.1:{port}"));
        options.timeout = Duration::from_millis(300);
        let destination = NatsDestination::new(options, target("cdp.x", mode)).unwrap();
        let plan = [change(0, Operation::Add, "a", json!({"name": "A"}))];
        let (report, log) = deliver(&destination, mode, &plan).await;
        assert_eq!(report.requests, requests, "{mode:?}");
        let outcomes = log.outcomes();
        assert_eq!(
            outcomes.get(&0).map(Outcome::as_str),
            Some("unknown"),
            "{mode:?}"
        );
    }
    server.abort();
}

#[tokio::test]
async fn credentials_are_sent_and_hidden() {
    for (arguments, user, token) in [
        (
            &["--user", "kinfold", "--pass", "swordfish"][..],
            true,
            false,
        ),
        (&["--auth", "swordfish"], false, true),
    ] {
        let server = NatsServer::start(arguments).expect("a NATS server");
        let with = |secret: &str| {
            let mut options = options(&server);
            options.user = user.then(|| "kinfold".to_owned());
            options.password = user.then(|| Secret::new(secret));
            options.token = token.then(|| Secret::new(secret));
            NatsDestination::new(options, target("cdp.x", SyncMode::Append)).unwrap()
        };
        let missing = with("swordfish").check().await.unwrap_err();
        assert!(
            matches!(missing, DestinationError::ObjectMissing { .. }),
            "{missing}"
        );
        let wrong = with("hunter2");
        let error = wrong.check().await.unwrap_err();
        assert!(
            matches!(error, DestinationError::Unauthorized { .. }),
            "{error}"
        );
        let plan = [change(0, Operation::Add, "a", json!({"name": "A"}))];
        let (report, log) = deliver(&wrong, SyncMode::Append, &plan).await;
        assert!(matches!(
            report.stopped_early,
            Some(StoppedEarly::Refused {
                class: FailureClass::Unauthorized,
                ..
            })
        ));
        let all = format!("{wrong:?} {error:?} {report:?} {:?}", log.outcomes());
        assert!(!all.contains("hunter2"), "{all}");
    }
    let nowhere = NatsDestination::new(
        NatsOptions::new("nats://127.0.0.1:1"),
        target("x", SyncMode::Append),
    );
    let error = nowhere.unwrap().check().await.unwrap_err();
    assert!(
        matches!(error, DestinationError::Unreachable { .. }),
        "{error}"
    );
    let refused = destination_of_mode(SyncMode::Insert).check().await;
    assert_eq!(
        refused,
        Err(DestinationError::ModeUnsupported { mode: "insert" })
    );
}

fn destination_of_mode(mode: SyncMode) -> NatsDestination {
    NatsDestination::new(NatsOptions::new("nats://127.0.0.1:1"), target("x", mode)).unwrap()
}

#[tokio::test]
async fn tls_verifies_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=kinfold test",
        ])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
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
    let paths = [certificate.display().to_string(), key.display().to_string()];
    let server = NatsServer::start(&["--tls", "--tlscert", &paths[0], "--tlskey", &paths[1]])
        .expect("a NATS server");
    let plain = NatsServer::start(&[]).expect("a NATS server");
    let check = async |host: &str, port: u16, trusted: bool| {
        let mut options = NatsOptions::new(format!("tls://{host}:{port}"));
        options.timeout = Duration::from_secs(5);
        options.ca_file = trusted.then(|| certificate.clone());
        NatsDestination::new(options, target("x", SyncMode::Append))
            .unwrap()
            .check()
            .await
    };
    // It is spoken to, and has no stream.
    let good = check("127.0.0.1", server.port(), true).await;
    assert!(
        matches!(good, Err(DestinationError::ObjectMissing { .. })),
        "{good:?}"
    );
    for (host, port, trusted) in [
        ("127.0.0.1", server.port(), false),
        ("localhost", server.port(), true),
        ("127.0.0.1", plain.port(), true),
    ] {
        let bad = check(host, port, trusted).await;
        assert!(
            matches!(bad, Err(DestinationError::Unreachable { .. })),
            "{host} {trusted} {bad:?}"
        );
    }
}
