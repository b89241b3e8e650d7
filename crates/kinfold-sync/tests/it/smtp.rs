//! The mail destination on a real server, and on a socket that does what no server would.

use std::time::Duration;

use kinfold_project::SyncMode;
use kinfold_sync::{
    Change, DeliveryReport, Destination, DestinationError, FailureClass, Operation, Outcome,
    SmtpDestination, SmtpOptions, StoppedEarly, Target,
};
use kinfold_testkit::{MemoryLog, SmtpMode, SmtpServer, change};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::setting::{deliver_plan, policy};

const FROM: &str = "The Shop <shop@example.com>";

fn target(fields: &[&str]) -> Target {
    Target {
        object: "mails".to_owned(),
        mode: SyncMode::Append,
        deletes: false,
        key_fields: vec!["id".to_owned()],
        fields: fields.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn options(port: u16) -> SmtpOptions {
    SmtpOptions::new(format!("smtp://127.0.0.1:{port}"), FROM)
}

fn destination(options: SmtpOptions) -> SmtpDestination {
    SmtpDestination::new(options, target(&["to", "subject", "text"])).unwrap()
}

fn mail(seq: u64, to: &str, subject: &str) -> Change {
    let fields = json!({"to": to, "subject": subject, "text": "Hello"});
    change(seq, Operation::Add, &format!("m{seq}"), fields)
}

async fn deliver(destination: &SmtpDestination, plan: &[Change]) -> (DeliveryReport, MemoryLog) {
    let log = MemoryLog::new();
    let report = deliver_plan(SyncMode::Append, plan, destination, &log, &policy(50, 1)).await;
    assert!(report.counters.add_up(), "{report:?}");
    (report, log)
}

fn words(log: &MemoryLog) -> Vec<&'static str> {
    log.outcomes().values().map(Outcome::as_str).collect()
}

fn text<'a>(mail: &'a Value, name: &str) -> &'a str {
    mail.get(name).and_then(Value::as_str).unwrap()
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_mapped() {
    let server = SmtpServer::start(SmtpMode::Plain).expect("a mail server");
    let fields = [
        "to",
        "subject",
        "text",
        "html",
        "reply_to",
        "cc",
        "bcc",
        "header_x_campaign",
    ];
    let destination = SmtpDestination::new(options(server.port()), target(&fields)).unwrap();
    destination.check().await.unwrap();
    let plan = [change(
        0,
        Operation::Add,
        "order 1",
        json!({"to": "Zoë <zoe@example.org>", "subject": "Grüße", "text": "one\n.\ntwo", "html": "<p>one</p>",
               "reply_to": "help@example.com", "cc": "a@example.org, b@example.org",
               "bcc": "hidden@example.org", "header_x_campaign": "winback"}),
    )];
    let mut ids = vec![];
    for _ in 0..2 {
        let (report, log) = deliver(&destination, &plan).await;
        assert_eq!(report.counters.delivered, 1, "{:?}", log.outcomes());
        let mails = server.mails().unwrap();
        let sent = mails.last().unwrap();
        assert_eq!(text(sent, "from"), "shop@example.com");
        assert_eq!(
            sent.get("to"),
            Some(&json!([
                "zoe@example.org",
                "a@example.org",
                "b@example.org",
                "hidden@example.org"
            ]))
        );
        let content = text(sent, "content");
        for part in [
            "From: \"The Shop\" <shop@example.com>\r\n",
            "Reply-To: help@example.com\r\n",
            "X-Campaign: winback\r\n",
            "one\r\n.\r\ntwo",
            "<p>one</p>",
            "Date: ",
        ] {
            assert!(content.contains(part), "{part} in {content}");
        }
        let (head, _) = content.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("hidden@"), "{head}");
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: "));
        ids.push(id.unwrap().to_owned());
    }
    // Whoever gets it twice can tell.
    assert_eq!(ids.first(), ids.last());
    assert!(
        ids.iter().all(|id| id.ends_with("@example.com>")),
        "{ids:?}"
    );
}

#[tokio::test]
async fn each_answer_has_its_outcome_and_the_other_mails_arrive() {
    let server = SmtpServer::start(SmtpMode::Plain).expect("a mail server");
    let plan = [
        mail(0, "a@example.org", "Hello"),
        mail(1, "550nobody@example.org", "Hello"),
        mail(2, "b@example.org", "Hello\r\nBcc: c@example.org"),
        mail(3, "450later@example.org", "Hello"),
        mail(4, "c@example.org", "554 spam"),
        mail(5, "d@example.org", "552 long"),
        mail(6, "e@example.org", "451 busy"),
        mail(7, "ü@example.org", "Hello"),
        mail(8, "not an address", "Hello"),
        mail(9, "f@example.org", "Hello"),
    ];
    let (report, log) = deliver(&destination(options(server.port())), &plan).await;
    assert_eq!(
        words(&log),
        [
            "delivered",
            "rejected",
            "rejected",
            "retryable",
            "rejected",
            "rejected",
            "retryable",
            "delivered",
            "rejected",
            "delivered"
        ]
    );
    assert!(report.stopped_early.is_none(), "{report:?}");
    let outcomes = log.outcomes();
    let class = |seq| outcomes.get(&seq).and_then(Outcome::failure).unwrap().0;
    assert_eq!(class(1), FailureClass::InvalidRow);
    assert_eq!(class(5), FailureClass::TooLarge);
    assert_eq!(class(6), FailureClass::Unavailable);
    let all = format!("{outcomes:?}");
    assert!(
        all.contains("answer 550") && !all.contains("example.org"),
        "{all}"
    );
    let recipients: Vec<Value> = server
        .mails()
        .unwrap()
        .iter()
        .filter_map(|mail| mail.get("to").cloned())
        .collect();
    assert_eq!(
        recipients,
        [
            json!(["a@example.org"]),
            json!(["ü@example.org"]),
            json!(["f@example.org"])
        ]
    );

    // The server hangs up: what follows goes over another connection.
    let plan = [
        mail(0, "421@example.org", "Bye"),
        mail(1, "g@example.org", "Hello"),
    ];
    let (_, log) = deliver(&destination(options(server.port())), &plan).await;
    assert_eq!(words(&log), ["retryable", "delivered"]);
}

#[tokio::test]
async fn encryption_and_credentials() {
    for (mode, scheme, parameter) in [
        (SmtpMode::StartTls, "smtp", "?tls=required"),
        (SmtpMode::StartTls, "smtp", "?tls=opportunistic"),
        (SmtpMode::Wrapped, "smtps", ""),
    ] {
        let server = SmtpServer::start(mode).expect("a mail server");
        let with = |host: &str, password: &str, trusted: bool| {
            let dsn = format!(
                "{scheme}://kinfold:{password}@{host}:{}{parameter}",
                server.port()
            );
            let mut options = SmtpOptions::new(dsn, FROM);
            options.ca_file = trusted.then(|| server.certificate());
            destination(options)
        };
        let plan = [mail(0, "a@example.org", "Hello")];
        let good = with("127.0.0.1", "swordfish", true);
        assert_eq!(good.check().await, Ok(()), "{mode:?} {parameter}");
        let (report, _) = deliver(&good, &plan).await;
        assert_eq!(report.counters.delivered, 1);
        good.finish().await.unwrap();
        let mails = server.mails().unwrap();
        let sent = mails.last().unwrap();
        assert_eq!(sent.get("encrypted"), Some(&json!(true)));
        assert_eq!(sent.get("login"), Some(&json!("kinfold")));

        for (host, trusted) in [("localhost", true), ("127.0.0.1", false)] {
            let error = with(host, "swordfish", trusted).check().await.unwrap_err();
            assert!(
                matches!(error, DestinationError::Unreachable { .. }),
                "{mode:?} {error}"
            );
        }

        let wrong = with("127.0.0.1", "hunter2", true);
        let error = wrong.check().await.unwrap_err();
        assert!(
            matches!(error, DestinationError::Unauthorized { .. }),
            "{error}"
        );
        let (report, log) = deliver(&wrong, &plan).await;
        assert!(matches!(
            report.stopped_early,
            Some(StoppedEarly::Refused {
                class: FailureClass::Unauthorized,
                ..
            })
        ));
        let all = format!("{wrong:?} {error:?} {report:?} {:?}", log.outcomes());
        assert!(
            !all.contains("hunter2") && !all.contains("kinfold:"),
            "{all}"
        );
        assert_eq!(server.mails().unwrap().len(), 1);
    }
    // A server without STARTTLS is not spoken to when it is required.
    let plain = SmtpServer::start(SmtpMode::Plain).expect("a mail server");
    let dsn = format!("smtp://127.0.0.1:{}?tls=required", plain.port());
    let error = destination(SmtpOptions::new(dsn, FROM))
        .check()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("STARTTLS"), "{error}");
}

#[tokio::test]
async fn what_is_no_mail_is_refused_before_anything_is_sent() {
    let check = async |target: Target| {
        // Nobody listens there, and nobody is asked.
        SmtpDestination::new(options(1), target)
            .unwrap()
            .check()
            .await
    };
    for (fields, words) in [
        (
            &["to", "subject", "text", "body"][..],
            "has no field `body`",
        ),
        (
            &["to", "subject", "text", "header_from"],
            "has no field `header_from`",
        ),
        (&["subject", "text"], "needs the field `to`"),
        (&["to", "text"], "needs the field `subject`"),
        (&["to", "subject"], "needs the field `text` or `html`"),
    ] {
        let error = check(target(fields)).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let mut upsert = target(&["to", "subject", "text"]);
    upsert.mode = SyncMode::Upsert;
    assert_eq!(
        check(upsert).await,
        Err(DestinationError::ModeUnsupported { mode: "upsert" })
    );
    let mut options = options(1);
    options.from = "nobody".to_owned();
    let error = SmtpDestination::new(options, target(&["to"])).unwrap_err();
    assert!(matches!(error, DestinationError::Option { .. }), "{error}");
    let error = destination(self::options(1)).check().await.unwrap_err();
    assert!(
        matches!(error, DestinationError::Unreachable { .. }),
        "{error}"
    );
}

/// What a server does when a mail's content has come in.
#[derive(Clone, Copy, Debug)]
enum After {
    HangUp,
    Silence,
    Nonsense,
}

/// Takes connections; the first mail on each is answered as `after` says. Says how many mails came in.
async fn strange_server(
    listener: TcpListener,
    after: After,
    mails: std::sync::Arc<std::sync::atomic::AtomicUsize>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 strange\r\n").await.unwrap();
        let mut content = false;
        while let Ok(Some(line)) = lines.next_line().await {
            let answer: &[u8] = match (content, line.as_str()) {
                (true, ".") => {
                    content = false;
                    mails.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    match after {
                        After::HangUp => break,
                        After::Silence => continue,
                        After::Nonsense => b"what?\r\n",
                    }
                }
                (true, _) => continue,
                (false, "DATA") => {
                    content = true;
                    b"354 go on\r\n"
                }
                (false, _) => b"250 fine\r\n",
            };
            if write.write_all(answer).await.is_err() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_mail_whose_answer_never_came_is_unknown_and_not_sent_again() {
    for after in [After::HangUp, After::Silence, After::Nonsense] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = options(listener.local_addr().unwrap().port());
        options.timeout = Duration::from_millis(500);
        let mails = std::sync::Arc::default();
        let server = tokio::spawn(strange_server(
            listener,
            after,
            std::sync::Arc::clone(&mails),
        ));
        let plan = [
            mail(0, "a@example.org", "Hello"),
            mail(1, "b@example.org", "Hello"),
            mail(2, "c@example.org", "Hello"),
        ];
        let (report, log) = deliver(&destination(options), &plan).await;
        server.abort();
        assert_eq!(words(&log), ["unknown"; 3], "{after:?} {report:?}");
        // Each came in once: the others went over a connection of their own.
        assert_eq!(
            mails.load(std::sync::atomic::Ordering::SeqCst),
            3,
            "{after:?}"
        );
    }
}
