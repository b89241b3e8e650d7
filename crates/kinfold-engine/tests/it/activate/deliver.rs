//! Runs from the connection to the state.

use std::time::Duration;

use kinfold_engine::EngineError;
use kinfold_engine::activate::{ActivateError, Scope};
use kinfold_project::{ConnectionKind, Guard, SyncMode};
use kinfold_testkit::loopback::Rejection;
use kinfold_testkit::{FakeClock, Fault, Loopback, Script};
use serde_json::json;

use super::receiver::{Fate, Receiver};
use super::setting::{
    Setting, at, connection, field, guard, mapped, mirror, plain, rows, small_engine, sync, text,
};

fn key(id: &str) -> String {
    json!({"id": id}).to_string()
}

fn activate(error: EngineError) -> ActivateError {
    match error {
        EngineError::Activate(error) => error,
        other => panic!("{other}"),
    }
}

/// A mirror through a connection to a receiver on a real socket.
async fn over_http(receiver: &Loopback) -> Setting {
    let mut setting = Setting::new(mirror()).await;
    let url = format!("{}/api", receiver.url());
    setting.connection = connection(ConnectionKind::Http, &[("url", text(&url))]);
    setting
}

#[tokio::test]
async fn changes_go_to_a_receiver_and_nothing_else_does() {
    let receiver = Loopback::start().await.unwrap();
    let mut setting = over_http(&receiver).await;
    setting
        .publish(plain(&[("a", 1.0), ("b", 2.0), ("c", 3.5)]))
        .await;
    let first = setting.run().await.unwrap();
    assert_eq!(
        (first.planned, first.delivered, first.adds, first.success),
        (3, 3, 3, true)
    );
    assert_eq!(receiver.records("api/contacts").len(), 3);
    assert_eq!(
        receiver.records("api/contacts")[r#"{"id":"c"}"#]["value"],
        json!(3.5)
    );

    let requests = receiver.requests().len();
    let again = setting.run().await.unwrap();
    assert_eq!(
        (again.planned, again.unchanged, again.success),
        (0, 3, true)
    );
    assert_eq!(receiver.requests().len(), requests);

    setting
        .publish(plain(&[("b", 2.0), ("c", 4.0), ("d", 5.0)]))
        .await;
    setting.later(1);
    let next = setting.run().await.unwrap();
    assert_eq!(
        (
            next.planned,
            next.adds,
            next.updates,
            next.removals,
            next.unchanged
        ),
        (3, 1, 1, 1, 1)
    );
    let keys: Vec<_> = receiver.records("api/contacts").into_keys().collect();
    assert_eq!(keys, [key("b"), key("c"), key("d")]);
    assert_eq!(receiver.requests().first().unwrap().body["sync"], "crm");
    // Removals come before everything else.
    let operations: Vec<_> = receiver.requests()[requests..]
        .iter()
        .map(|r| r.body["operation"].clone())
        .collect();
    assert_eq!(operations, [json!("delete"), json!("upsert")]);

    let ledger = setting.ledger().await;
    assert_eq!(ledger.len(), 6);
    assert!(
        ledger
            .iter()
            .all(|row| row["outcome"] == "delivered" && row["purposes"] == "[\"service\"]")
    );
    assert!(ledger.iter().all(|row| {
        row["source_versions"]
            .as_str()
            .unwrap()
            .contains("main/people@")
    }));
    assert_eq!(
        field(&setting.state().await, "key_text"),
        [key("b"), key("c"), key("d")]
    );
    assert!(setting.leftovers().await.is_empty());
}

#[tokio::test]
async fn faults_of_the_receiver_lose_nothing() {
    let receiver = Loopback::start().await.unwrap();
    let mut setting = over_http(&receiver).await;
    setting
        .publish(plain(&[("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)]))
        .await;
    receiver.script(Script::sequence([
        Some(Fault::ResetAfter),
        Some(Fault::RetryAfter(429, "0".to_owned())),
        Some(Fault::Status(503)),
    ]));
    receiver.refuse([json!({"id": "b"})], Rejection::PerRow);
    let report = setting.run().await.unwrap();
    assert_eq!(
        (
            report.planned,
            report.delivered,
            report.rejected,
            report.success
        ),
        (4, 3, 1, false)
    );
    let state = setting.state().await;
    assert_eq!(
        field(&state, "status"),
        ["delivered", "rejected", "delivered", "delivered"]
    );
    assert_eq!(state[1]["error_class"], "invalid_row");
    assert!(
        !state[1]["error_message"]
            .as_str()
            .unwrap()
            .contains("\"b\""),
        "{state:?}"
    );

    // The refused row is tried again, and it alone.
    receiver.refuse([], Rejection::PerRow);
    setting.later(1);
    let report = setting.run().await.unwrap();
    assert_eq!(
        (
            report.planned,
            report.delivered,
            report.unchanged,
            report.success
        ),
        (1, 1, 3, true)
    );
    assert_eq!(receiver.records("api/contacts").len(), 4);
}

#[tokio::test]
async fn a_receiver_that_is_down_changes_nothing() {
    let mut receiver = Loopback::start().await.unwrap();
    let mut setting = over_http(&receiver).await;
    setting.publish(plain(&[("a", 1.0)])).await;
    receiver.down().await;
    let error = activate(setting.run().await.unwrap_err());
    assert!(
        matches!(error, ActivateError::Destination { .. }),
        "{error}"
    );
    assert_eq!(setting.state_version().await, None);
    assert!(setting.leftovers().await.is_empty());
    receiver.up().await.unwrap();
    assert_eq!(setting.run().await.unwrap().delivered, 1);
}

#[tokio::test]
async fn missing_credentials_are_named() {
    let mut setting = Setting::new(mirror()).await;
    setting.publish(plain(&[("a", 1.0)])).await;
    let url = "{{ env_var('CRM_URL') }}";
    setting.connection = connection(ConnectionKind::Http, &[("url", text(url))]);
    let error = setting.run().await.unwrap_err().to_string();
    assert!(error.contains("`CRM_URL` is not set"), "{error}");
    // To look at what would be sent needs none.
    assert_eq!(setting.dry_run().await.unwrap().planned, 1);
    let receiver = Loopback::start().await.unwrap();
    receiver.require("Bearer s3cret");
    let error = setting
        .run_with(&|name| (name == "CRM_URL").then(|| receiver.url()), false)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("refuses the credentials"),
        "{error}"
    );
}

#[tokio::test]
async fn a_dry_run_shows_masked_rows_and_writes_nothing() {
    let mut setting = Setting::new(sync(
        SyncMode::Upsert,
        &[("email", "id")],
        &[("value", "value")],
    ))
    .await;
    setting
        .publish(plain(&[
            ("ann.miller@example.com", 12345.0),
            ("b@example.org", 1.0),
        ]))
        .await;
    let before = setting.engine.lake.list("").await.unwrap();
    let report = setting.dry_run().await.unwrap();
    assert_eq!(
        (
            report.planned,
            report.adds,
            report.delivered,
            report.success
        ),
        (2, 2, 0, true)
    );
    let shown = serde_json::to_string(&report).unwrap();
    assert!(
        shown.contains("a…(10)@example.com")
            && !shown.contains("miller")
            && !shown.contains("12345"),
        "{shown}"
    );
    assert_eq!(setting.engine.lake.list("").await.unwrap(), before);
}

#[tokio::test]
async fn keys_that_cannot_be_sent_are_recorded_and_never_removed() {
    let mut setting = Setting::new(mirror()).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting.publish(plain(&[("a", 1.0), ("b", 2.0)])).await;
    setting.run_through(&receiver, &clock).await.unwrap();
    setting
        .publish(rows(&[
            (Some("a"), Some(1.0)),
            (Some("a"), Some(9.0)),
            (Some("b"), Some(f64::NAN)),
            (Some(" "), Some(1.0)),
            (None, Some(1.0)),
            (Some("c"), None),
        ]))
        .await;
    receiver.take();
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((report.planned, report.invalid, report.removals), (1, 5, 0));
    assert_eq!(receiver.take().len(), 1);
    let invalid = setting.invalid().await;
    assert_eq!(
        field(&invalid, "reason"),
        ["invalid_duplicate_key", "invalid_value", "invalid_null_key"]
    );
    assert_eq!(invalid[0]["rows"], 2);
    assert_eq!(receiver.rows().len(), 3);
    // Once they are sound again, the record is empty.
    setting
        .publish(plain(&[("a", 1.0), ("b", 2.0), ("c", 0.0)]))
        .await;
    setting.run_through(&receiver, &clock).await.unwrap();
    assert!(setting.invalid().await.is_empty());
}

#[tokio::test]
async fn guards_hold_removals_and_let_the_rest_go() {
    let mut setting = Setting::new(mirror()).await;
    guard(&mut setting.sync, "max_removals", Guard::Share(0.25));
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting
        .publish(plain(&[("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)]))
        .await;
    setting.run_through(&receiver, &clock).await.unwrap();
    setting
        .publish(plain(&[("c", 1.0), ("d", 2.0), ("e", 1.0)]))
        .await;
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!(
        (
            report.planned,
            report.delivered,
            report.held,
            report.removals
        ),
        (4, 2, 2, 2)
    );
    assert!(!report.success && report.held_because.unwrap().contains("max_removals"));
    assert_eq!(receiver.rows().len(), 5);

    let before = setting.state_version().await;
    setting.publish(rows(&[])).await;
    receiver.take();
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((report.planned, report.held), (5, 5));
    assert!(receiver.take().is_empty());
    assert_eq!(setting.state_version().await, before);

    guard(&mut setting.sync, "max_changes", Guard::Rows(1));
    setting
        .publish(plain(&[
            ("b", 9.0),
            ("c", 9.0),
            ("a", 1.0),
            ("d", 2.0),
            ("e", 1.0),
        ]))
        .await;
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((report.planned, report.held, report.delivered), (2, 2, 0));
    assert_eq!(setting.state_version().await, before);
}

#[tokio::test]
async fn an_unmapped_column_and_another_order_change_nothing() {
    let mut setting = Setting::new(sync(
        SyncMode::Mirror,
        &[("id", "id")],
        &[("v", "value"), ("w", "value + 1")],
    ))
    .await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting.publish(plain(&[("a", 1.0), ("b", 2.0)])).await;
    setting.run_through(&receiver, &clock).await.unwrap();
    let mut columns = plain(&[("b", 2.0), ("a", 1.0)]);
    columns.push(("extra", columns[0].1.clone()));
    setting.publish(columns).await;
    setting.sync.mapping.fields.reverse();
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((report.planned, report.unchanged), (0, 2));
    // A new field is a new payload.
    setting
        .sync
        .mapping
        .fields
        .extend(mapped(&[("x", "upper(id)")]).fields);
    assert_eq!(
        setting
            .run_through(&receiver, &clock)
            .await
            .unwrap()
            .updates,
        2
    );
}

#[tokio::test]
async fn another_place_or_key_is_refused() {
    let mut setting = Setting::new(mirror()).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting.publish(plain(&[("a", 1.0)])).await;
    setting.run_through(&receiver, &clock).await.unwrap();
    setting.sync.object = at("leads".to_owned());
    let error = activate(setting.run_through(&receiver, &clock).await.unwrap_err());
    assert!(
        matches!(error, ActivateError::TargetChanged { what: "object", .. }),
        "{error}"
    );
    setting.sync.object = at("contacts".to_owned());
    setting.sync.key = vec![(at("id".to_owned()), at("CAST(value AS BIGINT)".to_owned()))];
    let error = activate(setting.run_through(&receiver, &clock).await.unwrap_err());
    assert!(
        matches!(error, ActivateError::TargetChanged { what: "key", .. }),
        "{error}"
    );
    setting.sync.key = vec![(at("id".to_owned()), at("value".to_owned()))];
    let error = activate(setting.run_through(&receiver, &clock).await.unwrap_err());
    assert!(matches!(error, ActivateError::KeyType { .. }), "{error}");
}

#[tokio::test]
async fn a_second_runner_is_told_who_runs() {
    let mut setting = Setting::new(mirror()).await;
    setting.publish(plain(&[("a", 1.0)])).await;
    let lease = setting
        .engine
        .lake
        .lease(
            "sync/crm",
            "process 1 on elsewhere",
            Duration::from_secs(60),
        )
        .await
        .unwrap();
    let receiver = Receiver::default();
    let few = Scope {
        limit: Some(1),
        ..Scope::default()
    };
    let error = setting.run_part(&receiver, few, None).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("sync `crm` is being run by process 1 on elsewhere"),
        "{error}"
    );
    assert!(receiver.take().is_empty());
    lease.release().await.unwrap();
    assert_eq!(
        setting
            .run_through(&receiver, &FakeClock::new())
            .await
            .unwrap()
            .delivered,
        1
    );
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_not_taken_for_done_nor_for_undone() {
    let mut setting = Setting::new(mirror()).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting.publish(plain(&[("a", 1.0), ("b", 1.0)])).await;
    setting.run_through(&receiver, &clock).await.unwrap();
    // The update of `a` is applied without an answer; then the model takes it back.
    setting.publish(plain(&[("a", 2.0), ("b", 1.0)])).await;
    receiver.fates([(key("a"), Fate::Lose)]);
    assert_eq!(
        setting
            .run_through(&receiver, &clock)
            .await
            .unwrap()
            .unknown,
        1
    );
    setting.publish(plain(&[("a", 3.0), ("b", 1.0)])).await;
    receiver.fates([(key("a"), Fate::Reject)]);
    assert_eq!(
        setting
            .run_through(&receiver, &clock)
            .await
            .unwrap()
            .rejected,
        1
    );
    setting.publish(plain(&[("a", 1.0), ("b", 1.0)])).await;
    receiver.fates([]);
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!(
        (report.updates, report.delivered, report.unchanged),
        (1, 1, 1)
    );
    assert_eq!(receiver.rows()[&key("a")]["value"], json!(1));
}

#[tokio::test]
async fn a_check_that_fails_plans_nothing() {
    let mut setting = Setting::new(mirror()).await;
    setting.publish(plain(&[("a", 1.0)])).await;
    let receiver = Receiver::default();
    receiver.refuse_checks(true);
    assert!(
        setting
            .run_through(&receiver, &FakeClock::new())
            .await
            .is_err()
    );
    assert!(setting.leftovers().await.is_empty());
    receiver.refuse_checks(false);
    setting
        .run_through(&receiver, &FakeClock::new())
        .await
        .unwrap();
    // With nothing to send the destination is left alone.
    let checks = receiver.checks();
    setting
        .run_through(&receiver, &FakeClock::new())
        .await
        .unwrap();
    assert_eq!(receiver.checks(), checks);
}

/// More keys than one table takes: they are compared in parts, and the state is rewritten after so many rows.
#[tokio::test]
async fn many_keys_are_compared_in_parts() {
    const ROWS: u32 = 60_000;
    let mut setting = Setting::new(mirror()).await;
    let folder = tempfile::tempdir().unwrap();
    setting.engine = small_engine(folder.path(), 2 << 20).await;
    setting.policy.max_rows = 5_000;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    let names: Vec<String> = (0..=ROWS).map(|n| format!("k{n}")).collect();
    let model = |gone: u32, changed: u32| -> Vec<(&str, f64)> {
        let present = names
            .iter()
            .zip(0..ROWS)
            .filter(|(_, n)| gone == 0 || n % gone != 0);
        let value = |n| f64::from(u8::from(changed > 0 && n % changed == 0));
        present.map(|(name, n)| (name.as_str(), value(n))).collect()
    };
    setting.publish(plain(&model(0, 0))).await;
    let first = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((first.adds, first.delivered), (60_000, 60_000));
    assert_eq!(setting.state().await.len(), 60_000);
    assert_eq!(setting.state_version().await, Some(0));

    let mut rows = model(100, 7);
    rows.push(("k1", 0.0));
    rows.push(("k14", 5.0));
    rows.push(("k14", 5.0));
    setting.publish(plain(&rows)).await;
    receiver.take();
    let next = setting.run_through(&receiver, &clock).await.unwrap();
    let gone = (0..ROWS).filter(|n| n % 100 == 0).count() as u64;
    let changed = (0..ROWS)
        .filter(|n| n % 7 == 0 && n % 100 != 0 && *n != 14)
        .count() as u64;
    assert_eq!((next.adds, next.updates, next.removals), (0, changed, gone));
    assert_eq!(next.invalid, 5);
    assert_eq!(next.unchanged, u64::from(ROWS) - gone - changed - 2);
    assert_eq!(receiver.take().len() as u64, gone + changed);
    assert_eq!(
        field(&setting.invalid().await, "key_text"),
        [key("k14"), key("k1")]
    );
    let again = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!(
        (again.planned, again.unchanged),
        (0, u64::from(ROWS) - gone - 2)
    );

    // Two values of every row are appended, which makes rewriting due.
    for changed in [1, 0] {
        setting.publish(plain(&model(0, changed))).await;
        setting.run_through(&receiver, &clock).await.unwrap();
    }
    assert_eq!(setting.state_version().await, Some(4));
    assert_eq!(setting.state().await.len(), 60_000);
    let last = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((last.planned, last.unchanged), (0, 60_000));
}

#[tokio::test]
async fn many_triggers_at_once_are_two_runs() {
    let mut setting = Setting::new(mirror()).await;
    setting.lease = Duration::from_millis(800);
    setting.publish(plain(&[("a", 1.0), ("b", 2.0)])).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    let triggers = (0..20).map(|_| setting.run_through(&receiver, &clock));
    let reports = futures::future::join_all(triggers).await;
    let ran: Vec<_> = reports
        .into_iter()
        .map(Result::unwrap)
        .filter(|r| !r.queued)
        .collect();
    assert!((1..=2).contains(&ran.len()), "{} triggers ran", ran.len());
    assert!(ran.iter().all(|report| report.success));
    assert_eq!(ran.iter().map(|report| report.delivered).sum::<u64>(), 2);
    assert_eq!(receiver.take().len(), 2);
    assert!(setting.leftovers().await.is_empty());
    // Nothing is queued any more.
    let objects = setting.engine.lake.list("sync/crm").await.unwrap();
    assert!(
        !objects.iter().any(|o| o.name.ends_with("queued.json")),
        "{objects:?}"
    );

    // A holder that died elsewhere is waited for.
    let lease = setting
        .engine
        .lake
        .lease("sync/crm", "gone", setting.lease)
        .await
        .unwrap();
    setting.publish(plain(&[("a", 5.0), ("b", 2.0)])).await;
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!(
        (report.planned, report.delivered, report.queued),
        (1, 1, false)
    );
    assert!(lease.renew().await.is_err());
}

#[tokio::test]
async fn a_part_of_a_run_does_not_swallow_what_others_asked_for() {
    let mut setting = Setting::new(mirror()).await;
    setting
        .publish(plain(&[("a", 1.0), ("b", 2.0), ("c", 3.0)]))
        .await;
    let receiver = Receiver::default();
    // Somebody came while the lease was held.
    let word = bytes::Bytes::from_static(b"{\"format\":1}");
    let lake = setting.engine.lake.clone();
    lake.put("sync/crm/queued.json", word).await.unwrap();
    let few = Scope {
        limit: Some(1),
        ..Scope::default()
    };
    let report = setting.run_part(&receiver, few, None).await.unwrap();
    assert_eq!((report.planned, report.delivered), (3, 3));
    assert_eq!(lake.get("sync/crm/queued.json").await.unwrap(), None);
}
