//! The HTTP destination over real sockets, through every fault in the list.

use std::time::Duration;

use kinfold_project::SyncMode;
use kinfold_sync::{
    Budget, CancelToken, Change, DeliveryReport, Destination, DestinationError, FailureClass,
    HttpDestination, HttpOptions, ObjectText, Operation, Outcome, Secret, StoppedEarly,
    SystemClock, Target, deliver,
};
use kinfold_testkit::{Fault, Loopback, MemoryLog, MemorySource, Rejection, Script, change};
use serde_json::{Value, json};

use crate::setting::{adds, deliver_plan, policy, run_of};

fn target(mode: SyncMode) -> Target {
    Target {
        object: "contacts".to_owned(),
        mode,
        deletes: mode == SyncMode::Mirror,
        key_fields: vec!["id".to_owned()],
        fields: vec!["name".to_owned(), "n".to_owned()],
    }
}

fn options(url: String) -> HttpOptions {
    HttpOptions {
        timeout: Duration::from_millis(2_000),
        ..HttpOptions::new(url)
    }
}

fn destination(server: &Loopback) -> HttpDestination {
    HttpDestination::new(options(server.url()), &target(SyncMode::Upsert)).unwrap()
}

/// Twenty rows in batches of five, one after the other.
async fn deliver_to(server: &Loopback) -> (DeliveryReport, MemoryLog) {
    let log = MemoryLog::new();
    let report = deliver_plan(
        SyncMode::Upsert,
        &adds(20),
        &destination(server),
        &log,
        &policy(5, 1),
    )
    .await;
    assert!(report.counters.add_up(), "{report:?}");
    (report, log)
}

fn assert_all_stored(server: &Loopback) {
    let records = server.records("contacts");
    assert_eq!(records.len(), 20);
    for plan in adds(20) {
        assert_eq!(records.get(plan.key.as_str()).cloned(), plan.fields.parse());
    }
}

#[tokio::test]
async fn a_batch_is_one_post_of_the_documented_form() {
    let server = Loopback::start().await.unwrap();
    server.require("Bearer swordfish");
    let mut options = options(format!("{}/v1?tenant=7", server.url()));
    options
        .headers
        .push(("authorization".to_owned(), Secret::new("Bearer swordfish")));
    let destination = HttpDestination::new(options, &target(SyncMode::Mirror)).unwrap();
    destination.check().await.unwrap();
    let plan = [
        change(0, Operation::Remove, "a", json!({})),
        change(1, Operation::Clear, "b", json!({"name": null})),
        change(
            2,
            Operation::Add,
            "c",
            json!({"name": "Zoë", "tags": ["x"], "n": 1.5}),
        ),
    ];
    let log = MemoryLog::new();
    deliver_plan(SyncMode::Mirror, &plan, &destination, &log, &policy(5, 1)).await;
    let requests = server.requests();
    let bodies: Vec<&Value> = requests.iter().map(|request| &request.body).collect();
    let first = requests.first().unwrap();
    assert_eq!(first.object, "v1/contacts");
    assert_eq!(
        first.headers.get("content-type").unwrap(),
        "application/json"
    );
    assert_eq!(
        first.headers.get("idempotency-key").map(String::as_str),
        first.body.get("batch_id").and_then(Value::as_str)
    );
    assert!(
        first
            .headers
            .get("user-agent")
            .unwrap()
            .starts_with("kinfold/")
    );
    let without_id = |body: &Value| {
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove("batch_id");
        body
    };
    let expected = |operation: &str, records: Value| json!({"sync": "winback_crm", "run_id": "run-1", "operation": operation, "records": records});
    assert_eq!(
        bodies
            .iter()
            .map(|body| without_id(body))
            .collect::<Vec<_>>(),
        [
            expected("delete", json!([{"key": {"id": "a"}, "fields": {}}])),
            expected(
                "update",
                json!([{"key": {"id": "b"}, "fields": {"name": null}}])
            ),
            expected(
                "upsert",
                json!([{"key": {"id": "c"}, "fields": {"name": "Zoë", "tags": ["x"], "n": 1.5}}])
            ),
        ]
    );
}

#[tokio::test]
async fn faults_that_pass_end_with_every_record_stored_once() {
    let faults = [
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(504),
        Fault::Status(408),
        Fault::Status(425),
        Fault::StatusAfter(500),
        Fault::RetryAfter(429, "120".to_owned()),
        Fault::RetryAfter(429, "Thu, 01 Jan 1970 00:05:00 GMT".to_owned()),
        Fault::RetryAfter(503, "7".to_owned()),
        Fault::Status(429),
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::HalfBody,
        Fault::Malformed,
    ];
    for fault in faults {
        let server = Loopback::start().await.unwrap();
        server.script(Script::sequence([None, Some(fault.clone())]));
        let (report, log) = deliver_to(&server).await;
        assert_eq!(report.counters.delivered, 20, "{fault:?} {report:?}");
        assert_eq!(server.requests().len(), 5, "{fault:?}");
        assert!(log.outcomes().values().all(Outcome::is_delivered));
        assert_all_stored(&server);
        // The second request is repeated under its name, so what was applied is not applied again.
        assert_eq!(server.applied(), 20, "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_asked_for_again() {
    let server = Loopback::start().await.unwrap();
    server.script(Script::sequence([Some(Fault::Slow(Duration::from_secs(
        60,
    )))]));
    let mut options = options(server.url());
    options.timeout = Duration::from_millis(300);
    let destination = HttpDestination::new(options, &target(SyncMode::Upsert)).unwrap();
    let log = MemoryLog::new();
    let report = deliver_plan(
        SyncMode::Upsert,
        &adds(3),
        &destination,
        &log,
        &policy(5, 1),
    )
    .await;
    assert_eq!(report.counters.delivered, 3);
    assert_eq!(report.requests, 2);
    assert_eq!(server.applied(), 3);
}

#[tokio::test]
async fn a_lasting_fault_leaves_rows_retryable_or_unknown_and_never_delivered() {
    for (fault, word) in [
        (Fault::Status(500), "unknown"),
        (Fault::Status(503), "retryable"),
        (Fault::ResetBefore, "unknown"),
        (Fault::ResetAfter, "unknown"),
        (Fault::HalfBody, "unknown"),
        (Fault::Malformed, "unknown"),
    ] {
        let server = Loopback::start().await.unwrap();
        server.script(Script::always(fault.clone()));
        let (report, log) = deliver_to(&server).await;
        assert_eq!(report.counters.delivered, 0);
        assert_eq!(log.outcomes().len(), 20);
        for outcome in log.outcomes().values() {
            assert_eq!(outcome.as_str(), word, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn an_insert_without_answer_is_repeated_only_to_a_receiver_that_deduplicates() {
    for (deduplicates, fault, delivered, requests) in [
        (false, Fault::ResetAfter, 0, 1),
        (true, Fault::ResetAfter, 3, 2),
        (false, Fault::StatusAfter(502), 0, 1),
        (true, Fault::StatusAfter(502), 3, 2),
        (false, Fault::Status(503), 3, 2),
    ] {
        let server = Loopback::start().await.unwrap();
        server.script(Script::sequence([Some(fault)]));
        let mut options = options(server.url());
        options.receiver_deduplicates = deduplicates;
        let destination = HttpDestination::new(options, &target(SyncMode::Insert)).unwrap();
        let log = MemoryLog::new();
        let report = deliver_plan(
            SyncMode::Insert,
            &adds(3),
            &destination,
            &log,
            &policy(5, 1),
        )
        .await;
        assert_eq!(report.counters.delivered, delivered);
        assert_eq!(report.counters.unknown, 3 - delivered);
        assert_eq!(server.requests().len(), requests);
        assert_eq!(server.applied(), 3);
    }
}

#[tokio::test]
async fn exactly_the_refused_records_are_rejected_named_or_not() {
    let rejections = [
        Rejection::PerRow,
        Rejection::Whole(400),
        Rejection::Whole(404),
        Rejection::Whole(409),
        Rejection::Whole(422),
    ];
    for rejection in rejections {
        let server = Loopback::start().await.unwrap();
        server.refuse([json!({"id": "p3"}), json!({"id": "p17"})], rejection);
        let (report, log) = deliver_to(&server).await;
        assert_eq!(report.counters.rejected, 2, "{rejection:?}");
        assert_eq!(report.counters.delivered, 18);
        for (seq, outcome) in log.outcomes() {
            assert_eq!(
                matches!(outcome, Outcome::Rejected { .. }),
                [3, 17].contains(&seq)
            );
            if let Some((class, message)) = outcome.failure() {
                let expected = match rejection {
                    Rejection::Whole(409) => FailureClass::Conflict,
                    _ => FailureClass::InvalidRow,
                };
                assert_eq!(class, expected);
                assert!(message.contains("is refused"), "{message}");
                assert!(!message.contains("p17"), "{message}");
            }
        }
        assert_eq!(server.records("contacts").len(), 18);
    }
}

#[tokio::test]
async fn a_row_that_is_no_json_is_rejected_and_breaks_no_other() {
    let server = Loopback::start().await.unwrap();
    let mut plan = adds(20);
    for (seq, fields) in [
        (3, r#"{"n":1},"fields":{"n":2}"#),
        (4, "{n}"),
        (15, "{}}"),
        (16, "{}}"),
        (17, "{}}"),
        (18, "{}}"),
        (19, "{}}"),
    ] {
        plan[seq].fields = ObjectText::new(fields).unwrap();
    }
    let log = MemoryLog::new();
    let report = deliver_plan(
        SyncMode::Upsert,
        &plan,
        &destination(&server),
        &log,
        &policy(5, 1),
    )
    .await;
    assert_eq!(report.counters.delivered, 13, "{report:?}");
    assert_eq!(report.counters.rejected, 7);
    // Of the last batch nothing is left to send.
    assert_eq!(report.requests, 3);
    assert_eq!(server.records("contacts").len(), 13);
    let (class, _) = log
        .outcomes()
        .get(&3)
        .and_then(|outcome| {
            outcome
                .failure()
                .map(|(class, message)| (class, message.to_owned()))
        })
        .unwrap();
    assert_eq!(class, FailureClass::InvalidRow);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved() {
    let server = Loopback::start().await.unwrap();
    server.limit_records(2);
    let (report, _) = deliver_to(&server).await;
    assert_eq!(report.counters.delivered, 20);
    assert_all_stored(&server);
    server.limit_records(0);
    let log = MemoryLog::new();
    let plan = adds(1);
    deliver_plan(
        SyncMode::Upsert,
        &plan,
        &destination(&server),
        &log,
        &policy(5, 1),
    )
    .await;
    assert!(matches!(
        log.outcomes().get(&0),
        Some(Outcome::Rejected {
            class: FailureClass::TooLarge,
            ..
        })
    ));
}

#[tokio::test]
async fn refused_credentials_stop_the_delivery_and_are_not_repeated_in_messages() {
    let server = Loopback::start().await.unwrap();
    server.require("Bearer right");
    let mut options = options(format!("{}?token=swordfish", server.url()));
    options
        .headers
        .push(("authorization".to_owned(), Secret::new("Bearer swordfish")));
    let destination = HttpDestination::new(options, &target(SyncMode::Upsert)).unwrap();
    let refused = destination.check().await.unwrap_err();
    assert!(matches!(refused, DestinationError::Unauthorized { .. }));
    let log = MemoryLog::new();
    let report = deliver_plan(
        SyncMode::Upsert,
        &adds(20),
        &destination,
        &log,
        &policy(5, 1),
    )
    .await;
    assert_eq!(report.requests, 1);
    assert_eq!(report.counters.retryable, 20);
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Refused {
            class: FailureClass::Unauthorized,
            ..
        })
    ));
    for text in [
        format!("{refused} {refused:?}"),
        format!("{report:?}"),
        format!("{:?}", log.outcomes()),
        format!("{destination:?}"),
    ] {
        assert!(!text.contains("Bearer swordfish"), "{text}");
    }
}

#[tokio::test]
async fn a_status_that_no_row_causes_stops_the_delivery() {
    for status in [401, 403, 405, 410, 415] {
        let server = Loopback::start().await.unwrap();
        server.script(Script::always(Fault::Status(status)));
        let (report, _) = deliver_to(&server).await;
        assert_eq!(report.requests, 1, "{status}");
        assert_eq!(report.counters.retryable, 20);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Loopback::start().await.unwrap();
    let server = Loopback::start().await.unwrap();
    server.script(Script::always(Fault::Redirect(format!(
        "{}/contacts",
        elsewhere.url()
    ))));
    let (report, _) = deliver_to(&server).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Refused {
            class: FailureClass::Misconfigured,
            ..
        })
    ));
    assert_eq!(report.counters.retryable, 20);
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_down_loses_nothing_and_gets_all_when_it_is_up() {
    let mut server = Loopback::start().await.unwrap();
    server.down().await;
    let (report, log) = deliver_to(&server).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Down {
            class: FailureClass::Unreachable,
            ..
        })
    ));
    assert_eq!(report.counters.retryable, 20);
    assert_eq!(report.counters.not_sent, 15);
    assert_eq!(log.rest_of(&adds(20)).len(), 20);
    assert!(matches!(
        destination(&server).check().await,
        Err(DestinationError::Unreachable { .. })
    ));
    server.up().await.unwrap();
    let (report, _) = deliver_to(&server).await;
    assert_eq!(report.counters.delivered, 20);
    assert_all_stored(&server);
}

#[tokio::test]
async fn a_receiver_that_goes_down_in_the_middle_is_caught_up_later() {
    let mut server = Loopback::start().await.unwrap();
    let destination = destination(&server);
    let log = MemoryLog::new();
    let plan = adds(20);
    let (first, second) = plan.split_at(10);
    let mut policy = policy(5, 2);
    policy.retry.max_attempts = 2;
    deliver_plan(SyncMode::Upsert, first, &destination, &log, &policy).await;
    server.down().await;
    let report = deliver_plan(SyncMode::Upsert, second, &destination, &log, &policy).await;
    assert_eq!(report.counters.delivered, 0);
    server.up().await.unwrap();
    let rest = log.rest_of(&plan);
    assert_eq!(rest.len(), 10);
    let report = deliver_plan(SyncMode::Upsert, &rest, &destination, &log, &policy).await;
    assert_eq!(report.counters.delivered, 10);
    assert_all_stored(&server);
    assert_eq!(server.applied(), 20);
}

#[tokio::test]
async fn a_check_tells_what_is_wrong() {
    let server = Loopback::start().await.unwrap();
    let destination = destination(&server);
    for status in [200, 204, 405, 501] {
        server.answer_checks(status);
        assert_eq!(destination.check().await, Ok(()), "{status}");
    }
    let address = format!("{}/contacts", server.url());
    for (status, expected) in [
        (
            302,
            format!("`{address}` answers with a redirect; use the final address"),
        ),
        (401, format!("`{address}` refuses the credentials")),
        (403, format!("`{address}` refuses the credentials")),
        (
            404,
            format!("object `contacts` does not exist at `{address}`"),
        ),
        (500, format!("`{address}` is not available: status 500")),
    ] {
        server.answer_checks(status);
        let error = destination.check().await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn tls_needs_no_default_provider_and_does_not_fall_back() {
    let server = Loopback::start().await.unwrap();
    let url = server.url().replace("http://", "https://");
    let destination = HttpDestination::new(options(url), &target(SyncMode::Upsert)).unwrap();
    assert!(matches!(
        destination.check().await,
        Err(DestinationError::Unreachable { .. })
    ));
}

/// Random faults over real sockets, with several slots, until everything is delivered.
#[tokio::test]
async fn a_storm_of_faults_ends_with_the_destination_equal_to_the_plan() {
    for seed in 0..4 {
        let server = Loopback::start().await.unwrap();
        server.refuse(
            [json!({"id": "p7"}), json!({"id": "p250"})],
            Rejection::Whole(422),
        );
        server.script(Script::seeded(
            seed,
            [
                (Fault::Status(500), 0.1),
                (Fault::StatusAfter(503), 0.1),
                (Fault::RetryAfter(429, "30".to_owned()), 0.15),
                (Fault::ResetBefore, 0.05),
                (Fault::ResetAfter, 0.1),
                (Fault::HalfBody, 0.1),
                (Fault::Malformed, 0.05),
            ],
        ));
        let plan = adds(500);
        let mut policy = policy(20, 4);
        policy.retry.max_attempts = 40;
        policy.retry.max_elapsed = Duration::from_secs(100_000);
        policy.max_throttle = Duration::from_secs(100_000);
        let log = MemoryLog::new();
        let report = deliver_plan(
            SyncMode::Upsert,
            &plan,
            &destination(&server),
            &log,
            &policy,
        )
        .await;
        assert_eq!(report.counters.delivered, 498, "{report:?}");
        assert_eq!(report.counters.rejected, 2);
        let records = server.records("contacts");
        let stored =
            |change: &Change| records.get(change.key.as_str()).cloned() == change.fields.parse();
        assert_eq!(plan.iter().filter(|change| stored(change)).count(), 498);
        assert_eq!(server.applied(), 498);
    }
}

/// The same with the machine's clock: waits are real, and short.
#[tokio::test]
async fn the_machines_clock_works_too() {
    let server = Loopback::start().await.unwrap();
    server.script(Script::sequence([Some(Fault::Status(503)), None]));
    let mut policy = policy(5, 2);
    policy.retry.base = Duration::from_millis(5);
    let log = MemoryLog::new();
    let report = deliver(
        &run_of(SyncMode::Upsert),
        &mut MemorySource::new(adds(20)),
        &destination(&server),
        &mut log.clone(),
        &policy,
        &SystemClock::new(),
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    assert_eq!(report.counters.delivered, 20);
    assert_all_stored(&server);
}
