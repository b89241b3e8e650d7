//! The PostgreSQL destination on a real server.

mod read_back;

use std::process::Command;
use std::time::{Duration, Instant};

use kinfold_project::SyncMode;
use kinfold_sync::{
    Change, DeliveryReport, Destination, DestinationError, FailureClass, ObjectText, Operation,
    Outcome, PostgresDestination, PostgresOptions, StoppedEarly, Target,
};
use kinfold_testkit::{MemoryLog, PostgresServer, change};
use serde_json::{Map, Value, json};
use tokio_postgres::{Client, NoTls};

use crate::setting::{deliver_plan, policy, set};

async fn connect(server: &PostgresServer) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.dsn(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A server with a table, and a session on it.
async fn server_with(sql: &str) -> (PostgresServer, Client) {
    let server = PostgresServer::start().expect("a PostgreSQL server");
    let client = connect(&server).await;
    client.batch_execute(sql).await.unwrap();
    (server, client)
}

fn target(object: &str, mode: SyncMode, key_fields: &[&str], fields: &[&str]) -> Target {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Target {
        object: object.to_owned(),
        mode,
        deletes: mode == SyncMode::Mirror,
        key_fields: owned(key_fields),
        fields: owned(fields),
    }
}

fn destination(server: &PostgresServer, target: Target) -> PostgresDestination {
    PostgresDestination::new(PostgresOptions::new(server.dsn()), target).unwrap()
}

/// One that copies batches of so many rows and more.
fn copying(server: &PostgresServer, target: Target, copied_rows: usize) -> PostgresDestination {
    let mut options = PostgresOptions::new(server.dsn());
    options.copied_rows = copied_rows;
    PostgresDestination::new(options, target).unwrap()
}

/// Every batch is sent as JSON; every batch is copied.
const BOTH_WAYS: [usize; 2] = [usize::MAX, 1];

/// A change with any key.
fn keyed(seq: u64, operation: Operation, key: Value, fields: Value) -> Change {
    let mut change = change(seq, operation, "", fields);
    change.key = ObjectText::new(key.to_string()).unwrap();
    change
}

async fn deliver(
    destination: &PostgresDestination,
    mode: SyncMode,
    plan: &[Change],
    max_rows: usize,
) -> (DeliveryReport, MemoryLog) {
    let log = MemoryLog::new();
    let report = deliver_plan(mode, plan, destination, &log, &policy(max_rows, 3)).await;
    assert!(report.counters.add_up(), "{report:?}");
    (report, log)
}

/// The rows of a table as JSON, in order of their first column.
async fn rows(client: &Client, table: &str) -> Vec<Value> {
    client
        .query(
            &format!("SELECT to_jsonb(t) FROM {table} AS t ORDER BY t"),
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[tokio::test]
async fn values_of_every_type_arrive_and_null_is_not_missing() {
    for copied_rows in BOTH_WAYS {
        values_of_every_type_arrive_and_null_is_not_missing_if_copied_from(copied_rows).await;
    }
}

async fn values_of_every_type_arrive_and_null_is_not_missing_if_copied_from(copied_rows: usize) {
    let (server, client) = server_with(
        r#"CREATE SCHEMA "CRM x";
           CREATE TYPE "CRM x"."Mood" AS ENUM ('sad', 'ok');
           CREATE TABLE "CRM x"."Con""tacts" (
             "e mail" text, "order" int, PRIMARY KEY ("order", "e mail"),
             amount numeric(20, 6), vip bool, seen timestamptz, born date, "doc{key}" jsonb, device uuid,
             big bigint, ratio double precision, tags text[], "Mood" "CRM x"."Mood", short varchar(5),
             raw bytea, kept text DEFAULT 'default')"#,
    )
    .await;
    let fields = [
        "amount", "vip", "seen", "born", "doc{key}", "device", "big", "ratio", "tags", "Mood",
        "short", "raw", "kept",
    ];
    let destination = copying(
        &server,
        target(
            r#""CRM x"."Con""tacts""#,
            SyncMode::Upsert,
            &["e mail", "order"],
            &fields,
        ),
        copied_rows,
    );
    destination.check().await.unwrap();
    let key = |order: i32| json!({"e mail": "Zoë'); DROP TABLE x; --", "order": order});
    let full = json!({
        "amount": "12345678901234.123456", "vip": true, "seen": "2026-02-03T04:05:06.789+02:00",
        "born": "1980-02-29", "doc{key}": {"a": [1, null, "x"]},
        "device": "0d3b1a52-7a3c-4f0e-9d0f-4a4b5c6d7e8f", "big": 9_007_199_254_740_993_i64,
        "ratio": 0.1, "tags": ["a", "b\"c"], "Mood": "ok", "short": "åäöüß", "raw": "\\x00ff",
        "kept": "given",
    });
    let nulls: Map<String, Value> = fields
        .iter()
        .map(|field| ((*field).to_owned(), Value::Null))
        .collect();
    let plan = [
        keyed(0, Operation::Add, key(1), full.clone()),
        keyed(1, Operation::Add, key(2), full),
        keyed(
            2,
            Operation::Add,
            key(3),
            json!({"vip": false, "short": ""}),
        ),
        keyed(3, Operation::Update, key(1), Value::Object(nulls)),
        keyed(4, Operation::Update, key(2), json!({"vip": false})),
    ];
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 100).await;
    assert_eq!(report.counters.delivered, 5, "{:?}", log.outcomes());
    let found = rows(
        &client,
        r#"(SELECT "order", t.* FROM "CRM x"."Con""tacts" AS t)"#,
    )
    .await;
    let value = |row: usize, column: &str| found.get(row).and_then(|r| r.get(column)).cloned();
    for field in fields {
        assert_eq!(value(0, field), Some(Value::Null), "{field}");
    }
    assert_eq!(value(1, "vip"), Some(json!(false)));
    assert_eq!(
        value(1, "amount").map(|v| v.to_string()),
        Some("12345678901234.123".to_owned())
    );
    assert_eq!(
        value(1, "seen"),
        Some(json!("2026-02-03T02:05:06.789+00:00"))
    );
    assert_eq!(value(1, "born"), Some(json!("1980-02-29")));
    assert_eq!(value(1, "doc{key}"), Some(json!({"a": [1, null, "x"]})));
    assert_eq!(
        value(1, "device"),
        Some(json!("0d3b1a52-7a3c-4f0e-9d0f-4a4b5c6d7e8f"))
    );
    assert_eq!(value(1, "big"), Some(json!(9_007_199_254_740_993_i64)));
    assert_eq!(value(1, "ratio"), Some(json!(0.1)));
    assert_eq!(value(1, "tags"), Some(json!(["a", "b\"c"])));
    assert_eq!(value(1, "Mood"), Some(json!("ok")));
    assert_eq!(value(1, "short"), Some(json!("åäöüß")));
    assert_eq!(value(1, "raw"), Some(json!("\\x00ff")));
    assert_eq!(value(1, "kept"), Some(json!("given")));
    // Missing is not null: the default holds. Empty is not null either.
    assert_eq!(value(2, "kept"), Some(json!("default")));
    assert_eq!(value(2, "short"), Some(json!("")));
    assert_eq!(value(2, "amount"), Some(Value::Null));
    let exact: String = client
        .query_one(
            r#"SELECT amount::text FROM "CRM x"."Con""tacts" WHERE "order" = 2"#,
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(exact, "12345678901234.123456");
}

const CONTACTS: &str = "CREATE TABLE contacts (id text PRIMARY KEY, name text NOT NULL, n int CHECK (n >= 0),
                        mail text UNIQUE);
                        INSERT INTO contacts VALUES ('old', 'Old', 1, 'old@x'), ('other', 'Other', 2, NULL)";

#[tokio::test]
async fn bad_rows_are_found_and_the_others_delivered() {
    for copied_rows in BOTH_WAYS {
        bad_rows_are_found_and_the_others_delivered_if_copied_from(copied_rows).await;
    }
}

async fn bad_rows_are_found_and_the_others_delivered_if_copied_from(copied_rows: usize) {
    let (server, client) = server_with(CONTACTS).await;
    let destination = copying(
        &server,
        target(
            "public.contacts",
            SyncMode::Upsert,
            &["id"],
            &["name", "n", "mail"],
        ),
        copied_rows,
    );
    let mut plan: Vec<Change> = (0..60)
        .map(|seq| {
            change(
                seq,
                Operation::Add,
                &format!("p{seq}"),
                json!({"name": format!("Person {seq}"), "n": seq, "mail": format!("m{seq}@x")}),
            )
        })
        .collect();
    for (seq, field, value) in [
        (3, "n", json!("many")),
        (11, "n", json!(-1)),
        (12, "name", json!(null)),
        (30, "mail", json!("old@x")),
        (31, "n", json!(3_000_000_000_i64)),
        (59, "name", json!("nul\u{0}byte")),
    ] {
        if let Some(change) = plan.get_mut(seq) {
            set(change, field, value);
        }
    }
    // Good JSON, and a number that nobody can hold.
    plan[40].fields = ObjectText::new(r#"{"name":"x","n":1e999}"#).unwrap();
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 25).await;
    assert_eq!(report.counters.delivered, 53);
    assert_eq!(report.counters.rejected, 7);
    let outcomes = log.outcomes();
    for (seq, class, words) in [
        (
            3,
            FailureClass::InvalidRow,
            "invalid input syntax for type integer",
        ),
        (11, FailureClass::InvalidRow, "contacts_n_check"),
        (12, FailureClass::InvalidRow, "null value in column `name`"),
        (30, FailureClass::Conflict, "contacts_mail_key"),
        (31, FailureClass::InvalidRow, "out of range"),
        (40, FailureClass::InvalidRow, "the row cannot be read"),
        (59, FailureClass::InvalidRow, "SQLSTATE 22"),
    ] {
        let (found, message) = outcomes.get(&seq).and_then(Outcome::failure).unwrap();
        assert_eq!(found, class, "{message}");
        assert!(message.contains(words), "{message}");
        for value in ["many", "3000000000", "old@x"] {
            assert!(!message.contains(value), "{message}");
        }
    }
    assert_eq!(rows(&client, "contacts").await.len(), 55);
}

#[tokio::test]
async fn each_mode_does_what_it_says() {
    for copied_rows in BOTH_WAYS {
        each_mode_does_what_it_says_if_copied_from(copied_rows).await;
    }
}

async fn each_mode_does_what_it_says_if_copied_from(copied_rows: usize) {
    let (server, client) = server_with(CONTACTS).await;
    let with_mode = |mode| {
        copying(
            &server,
            target("contacts", mode, &["id"], &["name", "n"]),
            copied_rows,
        )
    };
    let names = async || -> Vec<(String, String)> {
        rows(&client, "contacts")
            .await
            .iter()
            .map(|row| {
                let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap().to_owned();
                (text("id"), text("name"))
            })
            .collect()
    };
    let pairs = |expected: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |(id, name): &(&str, &str)| ((*id).to_owned(), (*name).to_owned());
        expected.iter().map(owned).collect()
    };

    let insert = with_mode(SyncMode::Insert);
    insert.check().await.unwrap();
    let plan = [
        change(0, Operation::Add, "a", json!({"name": "A", "n": 1})),
        change(1, Operation::Add, "old", json!({"name": "New", "n": 1})),
    ];
    let (_, log) = deliver(&insert, SyncMode::Insert, &plan, 10).await;
    assert!(log.outcomes().get(&0).unwrap().is_delivered());
    let conflict = log.outcomes().get(&1).and_then(Outcome::failure).unwrap().0;
    assert_eq!(conflict, FailureClass::Conflict);
    assert_eq!(
        names().await,
        pairs(&[("a", "A"), ("old", "Old"), ("other", "Other")])
    );

    let update = with_mode(SyncMode::Update);
    update.check().await.unwrap();
    let plan = [
        change(0, Operation::Update, "a", json!({"name": "B"})),
        change(1, Operation::Update, "nobody", json!({"name": "C"})),
        change(2, Operation::Add, "old", json!({"n": 7})),
        change(3, Operation::Update, "other", json!({})),
    ];
    let (_, log) = deliver(&update, SyncMode::Update, &plan, 10).await;
    let words: Vec<&str> = log.outcomes().values().map(Outcome::as_str).collect();
    assert_eq!(words, ["delivered", "rejected", "delivered", "delivered"]);
    let missing = log.outcomes().get(&1).and_then(Outcome::failure).unwrap().0;
    assert_eq!(missing, FailureClass::MissingRow);
    assert_eq!(
        names().await,
        pairs(&[("a", "B"), ("old", "Old"), ("other", "Other")])
    );

    let mirror = with_mode(SyncMode::Mirror);
    mirror.check().await.unwrap();
    let plan = [
        change(0, Operation::Remove, "a", json!({})),
        change(1, Operation::Remove, "gone", json!({})),
        change(2, Operation::Clear, "old", json!({"n": null})),
        change(3, Operation::Clear, "gone", json!({"n": null})),
        change(4, Operation::Add, "d", json!({"name": "D", "n": 4})),
        change(5, Operation::Update, "old", json!({"name": "Older"})),
    ];
    let (report, _) = deliver(&mirror, SyncMode::Mirror, &plan, 10).await;
    assert_eq!(report.counters.delivered, 6);
    // What this sync never delivered stays.
    assert_eq!(
        names().await,
        pairs(&[("d", "D"), ("old", "Older"), ("other", "Other")])
    );
    let cleared = rows(&client, "contacts").await;
    assert_eq!(
        cleared.get(1).and_then(|row| row.get("n")),
        Some(&Value::Null)
    );

    // Delivered once more, nothing changes.
    let before = rows(&client, "contacts").await;
    deliver(&mirror, SyncMode::Mirror, &plan, 10).await;
    assert_eq!(rows(&client, "contacts").await, before);

    let append = with_mode(SyncMode::Append);
    let (report, _) = deliver(&append, SyncMode::Append, &plan, 10).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Unsupported { what: "append" })
    ));
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_refused_before_anything_is_sent() {
    let (server, client) = server_with(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text, low text GENERATED ALWAYS AS (lower(a)) STORED,
                         nr int GENERATED ALWAYS AS IDENTITY);
         CREATE UNIQUE INDEX ON t (a, b);
         CREATE UNIQUE INDEX ON t (lower(b));
         CREATE UNIQUE INDEX ON t (b) WHERE id > 7;
         CREATE ROLE reader LOGIN PASSWORD 'pw'; GRANT SELECT, INSERT ON t TO reader",
    )
    .await;
    let check = async |target: Target| destination(&server, target).check().await;
    let upsert = |key: &[&str], fields: &[&str]| target("t", SyncMode::Upsert, key, fields);
    assert_eq!(check(upsert(&["id"], &["a", "b"])).await, Ok(()));
    assert_eq!(check(upsert(&["b", "a"], &["id"])).await, Ok(()));
    let missing = check(upsert(&["id"], &["A"])).await.unwrap_err();
    assert_eq!(missing.to_string(), "object `public.t` has no field `A`");
    for key in [&["b"][..], &["a"], &["id", "a"]] {
        let error = check(upsert(key, &[])).await.unwrap_err();
        assert!(
            matches!(error, DestinationError::KeyNotUnique { .. }),
            "{error}"
        );
    }
    for field in ["low", "nr"] {
        let error = check(upsert(&["id"], &[field])).await.unwrap_err();
        assert!(
            matches!(error, DestinationError::FieldReadOnly { .. }),
            "{error}"
        );
    }
    // Adding rows needs no key.
    assert_eq!(
        check(target("t", SyncMode::Insert, &["b"], &["id"])).await,
        Ok(())
    );
    let error = check(target("crm.t", SyncMode::Upsert, &["id"], &[]))
        .await
        .unwrap_err();
    assert!(
        matches!(error, DestinationError::ObjectMissing { .. }),
        "{error}"
    );

    let as_reader = |mode| {
        let options = PostgresOptions::new(server.dsn_as("reader", "pw"));
        PostgresDestination::new(options, target("t", mode, &["id"], &["a"])).unwrap()
    };
    assert_eq!(as_reader(SyncMode::Insert).check().await, Ok(()));
    assert!(matches!(
        as_reader(SyncMode::Upsert).check().await,
        Err(DestinationError::PrivilegeMissing {
            privilege: "update",
            ..
        })
    ));
    client
        .batch_execute("GRANT UPDATE (a) ON t TO reader")
        .await
        .unwrap();
    assert_eq!(as_reader(SyncMode::Upsert).check().await, Ok(()));
    assert!(matches!(
        as_reader(SyncMode::Mirror).check().await,
        Err(DestinationError::PrivilegeMissing {
            privilege: "delete",
            ..
        })
    ));

    // Without a check, the same reason stops the delivery.
    let plan = [change(0, Operation::Add, "1", json!({"zz": 1}))];
    let unchecked = destination(&server, upsert(&["id"], &["zz"]));
    let (report, _) = deliver(&unchecked, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.retryable, 1);
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Refused {
            class: FailureClass::Misconfigured,
            ..
        })
    ));
}

#[tokio::test]
async fn wrong_credentials_stop_and_are_not_printed() {
    let (server, _client) = server_with(CONTACTS).await;
    let target = || target("contacts", SyncMode::Upsert, &["id"], &["name"]);
    let wrong_database = server.dsn().replace("/postgres", "/elsewhere");
    let without_password = server.dsn().replace(":swordfish", "");
    for (dsn, unauthorized) in [
        (server.dsn_as("kinfold", "hunter2"), true),
        (server.dsn_as("nobody", "hunter2"), true),
        (without_password, true),
        (wrong_database, false),
    ] {
        let destination = PostgresDestination::new(PostgresOptions::new(dsn), target()).unwrap();
        let error = destination.check().await.unwrap_err();
        assert_eq!(
            matches!(error, DestinationError::Unauthorized { .. }),
            unauthorized,
            "{error}"
        );
        let plan = [change(0, Operation::Add, "a", json!({"name": "A"}))];
        let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
        assert!(
            matches!(report.stopped_early, Some(StoppedEarly::Refused { .. })),
            "{report:?}"
        );
        assert_eq!(report.requests, 1);
        let text = format!("{error:?} {report:?} {destination:?} {:?}", log.outcomes());
        assert!(
            !text.contains("hunter2") && !text.contains("swordfish"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_server_that_goes_away_loses_nothing() {
    let (mut server, client) = server_with(CONTACTS).await;
    // An acknowledged row outlives a crash of the server also where commits do not wait by default.
    client
        .batch_execute("ALTER ROLE kinfold SET synchronous_commit = off")
        .await
        .unwrap();
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
    server.restart().unwrap();
    let rest = log.rest_of(&plan);
    assert_eq!(rest.len(), 20);
    let report = deliver_plan(SyncMode::Upsert, &rest, &destination, &log, &policy).await;
    assert_eq!(report.counters.delivered, 20);
    assert_eq!(rows(&connect(&server).await, "contacts").await.len(), 42);
}

#[tokio::test]
async fn a_session_that_is_ended_or_kept_waiting_is_tried_again() {
    let (server, client) = server_with(CONTACTS).await;
    let mut options = PostgresOptions::new(server.dsn());
    options.timeout = Duration::from_millis(700);
    let target = target("contacts", SyncMode::Upsert, &["id"], &["name"]);
    let destination = PostgresDestination::new(options, target).unwrap();
    destination.check().await.unwrap();
    client
        .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kinfold'")
        .await
        .unwrap();
    let plan = [change(0, Operation::Update, "old", json!({"name": "New"}))];
    let (report, _) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.delivered, 1);

    // Somebody else holds the row for longer than the time limit.
    client
        .batch_execute("BEGIN; UPDATE contacts SET n = 5 WHERE id = 'old'")
        .await
        .unwrap();
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.retryable, 1);
    let (class, _) = log
        .outcomes()
        .get(&0)
        .and_then(|o| o.failure().map(|f| (f.0, ())))
        .unwrap();
    assert_eq!(class, FailureClass::TimedOut);
    client.batch_execute("COMMIT").await.unwrap();
    let (report, _) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.delivered, 1);
}

#[tokio::test]
async fn a_constraint_that_is_checked_at_commit_rejects_its_row_only() {
    let (server, client) = server_with(
        "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1);
         CREATE TABLE child (id int PRIMARY KEY,
                             parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let destination = destination(
        &server,
        target("child", SyncMode::Upsert, &["id"], &["parent"]),
    );
    let plan: Vec<Change> = (0..10)
        .map(|seq| {
            let parent = if seq == 6 { 99 } else { 1 };
            keyed(
                seq,
                Operation::Add,
                json!({"id": seq}),
                json!({"parent": parent}),
            )
        })
        .collect();
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.delivered, 9);
    let (class, message) = log
        .outcomes()
        .get(&6)
        .and_then(|o| o.failure().map(|(c, m)| (c, m.to_owned())))
        .unwrap();
    assert_eq!(class, FailureClass::InvalidRow);
    assert!(
        message.contains("child_parent_fkey") && !message.contains("99"),
        "{message}"
    );
    assert_eq!(rows(&client, "child").await.len(), 9);
}

#[tokio::test]
async fn keys_that_the_column_makes_equal_are_applied_one_after_the_other() {
    let (server, client) = server_with("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let destination = destination(&server, target("t", SyncMode::Upsert, &["id"], &["v"]));
    let plan = [
        keyed(0, Operation::Add, json!({"id": "1"}), json!({"v": "first"})),
        keyed(
            1,
            Operation::Add,
            json!({"id": "01"}),
            json!({"v": "second"}),
        ),
        keyed(2, Operation::Add, json!({"id": 2}), json!({"v": "other"})),
    ];
    let (report, _) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.delivered, 3);
    assert_eq!(
        rows(&client, "t").await,
        [
            json!({"id": 1, "v": "second"}),
            json!({"id": 2, "v": "other"})
        ]
    );
}

#[tokio::test]
async fn ten_thousand_rows_are_delivered_and_removed() {
    let (server, client) = server_with(CONTACTS).await;
    let mirror = target(
        "contacts",
        SyncMode::Mirror,
        &["id"],
        &["name", "n", "mail"],
    );
    let destination = destination(&server, mirror);
    let plan: Vec<Change> = (0..10_000)
        .map(|seq| {
            let fields =
                json!({"name": format!("Person {seq}"), "n": seq, "mail": format!("{seq}@x")});
            change(seq, Operation::Add, &format!("k{seq}"), fields)
        })
        .collect();
    let begun = Instant::now();
    let (report, _) = deliver(&destination, SyncMode::Mirror, &plan, 1_000).await;
    assert_eq!(report.counters.delivered, 10_000);
    assert_eq!(report.requests, 10);
    // Generous: a row at a time would take minutes on a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(30));
    let (sum, count): (i64, i64) = client
        .query_one(
            "SELECT sum(n), count(*) FROM contacts WHERE id LIKE 'k%'",
            &[],
        )
        .await
        .map(|row| (row.get(0), row.get(1)))
        .unwrap();
    assert_eq!((sum, count), (49_995_000, 10_000));
    let removals: Vec<Change> = (0..10_000)
        .map(|seq| change(seq, Operation::Remove, &format!("k{seq}"), json!({})))
        .collect();
    let (report, _) = deliver(&destination, SyncMode::Mirror, &removals, 1_000).await;
    assert_eq!(report.counters.delivered, 10_000);
    assert_eq!(rows(&client, "contacts").await.len(), 2);
}

#[tokio::test]
async fn tls_verifies_the_server() {
    let (mut server, client) = server_with(CONTACTS).await;
    let certificate = server.folder().join("server.crt");
    let key = server.folder().join("server.key");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=kinfold test",
            "-addext",
        ])
        .args([
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
    server.own(&key).unwrap();
    for (name, value) in [("ssl_cert_file", &certificate), ("ssl_key_file", &key)] {
        let statement = format!("ALTER SYSTEM SET {name} = '{}'", value.display());
        client.batch_execute(&statement).await.unwrap();
    }
    let trusted = certificate.with_file_name("trusted.crt");
    std::fs::copy(&certificate, &trusted).unwrap();
    server.own(&certificate).unwrap();
    client
        .batch_execute("ALTER SYSTEM SET ssl = on")
        .await
        .unwrap();

    let check = async |parameters: &str, dsn: &str| {
        let options = PostgresOptions::new(format!("{dsn}?{parameters}"));
        let target = target("contacts", SyncMode::Upsert, &["id"], &["name"]);
        PostgresDestination::new(options, target)
            .unwrap()
            .check()
            .await
    };
    let trusting = format!("sslmode=verify-full&sslrootcert={}", trusted.display());
    let plain = check(&trusting, &server.dsn()).await;
    assert!(plain.is_err(), "a server without TLS must not be accepted");
    server.restart().unwrap();
    assert_eq!(check(&trusting, &server.dsn()).await, Ok(()));
    assert!(matches!(
        check("sslmode=require", &server.dsn()).await,
        Err(DestinationError::Unreachable { .. })
    ));
    let other_name = server.dsn().replace("127.0.0.1", "localhost");
    assert!(matches!(
        check(&trusting, &other_name).await,
        Err(DestinationError::Unreachable { .. })
    ));
}
