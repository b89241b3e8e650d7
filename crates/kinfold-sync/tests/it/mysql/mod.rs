//! The MySQL destination on a real MariaDB server.

mod faults;

use std::time::{Duration, Instant};

use kinfold_project::SyncMode;
use kinfold_sync::{
    Change, DeliveryReport, Destination, DestinationError, FailureClass, MySqlDestination,
    MySqlOptions, ObjectText, Operation, Outcome, Target,
};
use kinfold_testkit::{MariaDbServer, MemoryLog, change};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use serde_json::{Map, Value, json};

use crate::setting::{deliver_plan, policy, set};

async fn connect(server: &MariaDbServer) -> Conn {
    let opts = Opts::from_url(&server.dsn()).unwrap();
    Conn::new(opts).await.unwrap()
}

async fn run(conn: &mut Conn, sql: &str) {
    conn.query_drop(sql).await.unwrap();
}

/// A server with a table, and a session on it.
async fn server_with(sql: &str) -> (MariaDbServer, Conn) {
    let server = MariaDbServer::start().expect("a MariaDB server");
    let mut conn = connect(&server).await;
    run(&mut conn, sql).await;
    (server, conn)
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

fn destination(server: &MariaDbServer, target: Target) -> MySqlDestination {
    MySqlDestination::new(MySqlOptions::new(server.dsn()), target).unwrap()
}

/// A change with any key.
fn keyed(seq: u64, operation: Operation, key: Value, fields: Value) -> Change {
    let mut change = change(seq, operation, "", fields);
    change.key = ObjectText::new(key.to_string()).unwrap();
    change
}

async fn deliver(
    destination: &MySqlDestination,
    mode: SyncMode,
    plan: &[Change],
    max_rows: usize,
) -> (DeliveryReport, MemoryLog) {
    let log = MemoryLog::new();
    let report = deliver_plan(mode, plan, destination, &log, &policy(max_rows, 3)).await;
    assert!(report.counters.add_up(), "{report:?}");
    (report, log)
}

fn failure(log: &MemoryLog, seq: u64) -> (FailureClass, String) {
    let outcomes = log.outcomes();
    let (class, message) = outcomes.get(&seq).and_then(Outcome::failure).unwrap();
    (class, message.to_owned())
}

/// Two columns of all rows of a table, as text, in order.
async fn pairs(conn: &mut Conn, sql: &str) -> Vec<(String, Option<String>)> {
    conn.query(sql).await.unwrap()
}

fn owned(pairs: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    let own = |(id, value): &(&str, Option<&str>)| ((*id).to_owned(), value.map(str::to_owned));
    pairs.iter().map(own).collect()
}

const CONTACTS: &str = "CREATE TABLE contacts (id varchar(40) COLLATE utf8mb4_bin PRIMARY KEY,
      name varchar(40) NOT NULL, n int CHECK (n >= 0), mail varchar(80) UNIQUE);
    INSERT INTO contacts VALUES ('old', 'Old', 1, 'old@x'), ('other', 'Other', 2, NULL)";

#[tokio::test]
async fn values_of_every_type_arrive_are_read_back_and_null_is_not_missing() {
    let (server, mut conn) = server_with(
        "SET GLOBAL time_zone = '+05:45'; SET GLOBAL sql_mode = '';
         CREATE DATABASE `CRM x` CHARACTER SET utf8mb4;
         CREATE TABLE `CRM x`.`Con``tacts` (
           `e mail` varchar(60) COLLATE utf8mb4_bin, `order` int, PRIMARY KEY (`order`, `e mail`),
           amount decimal(30, 6), vip boolean, seen timestamp(3) NULL, local datetime(6), born date, at time(3),
           `doc{key}` json, device uuid, big bigint unsigned, ratio double, flags bit(12),
           mood enum('sad', 'ok'), short varchar(5), latin varchar(5) CHARACTER SET latin1, raw varbinary(9),
           text longtext, kept text DEFAULT 'default')",
    )
    .await;
    let fields = [
        "amount", "vip", "seen", "local", "born", "at", "doc{key}", "device", "big", "ratio",
        "flags", "mood", "short", "latin", "raw", "text", "kept",
    ];
    let destination = destination(
        &server,
        target(
            "`CRM x`.`Con``tacts`",
            SyncMode::Upsert,
            &["e mail", "order"],
            &fields,
        ),
    );
    destination.check().await.unwrap();
    let key = |order: i32| json!({"e mail": "Zoë'); DROP TABLE x; -- \\", "order": order});
    let row = |amount: Value, ratio: f64| {
        json!({
            "amount": amount, "vip": true, "seen": "2026-02-03T04:05:06.789Z",
            "local": "2026-02-03T04:05:06.000001Z", "born": "1980-02-29", "at": "09:30:00",
            "doc{key}": {"a": [1, null, "x \\\" y'"], "b c": 0.3},
            "device": "0d3b1a52-7a3c-4f0e-9d0f-4a4b5c6d7e8f", "big": u64::MAX, "ratio": ratio,
            "flags": 2047, "mood": "ok", "short": "åäöüß", "latin": "é\\'", "raw": "00ff",
            "text": "nul \u{0} tab \t line \n smile \u{1F600}", "kept": "given",
        })
    };
    let nulls: Map<String, Value> = fields
        .iter()
        .map(|field| ((*field).to_owned(), Value::Null))
        .collect();
    let sent = [
        row(json!(1.5), 0.1),
        row(json!("123456789012345678901234.123456"), 1e21),
        row(json!(-3), 5e-324),
        Value::Object(nulls),
    ];
    let mut plan: Vec<Change> = (0..)
        .zip(&sent)
        .map(|(seq, fields)| {
            let order = i32::try_from(seq).unwrap();
            keyed(seq, Operation::Add, key(order), fields.clone())
        })
        .collect();
    plan.push(keyed(
        4,
        Operation::Add,
        key(4),
        json!({"vip": false, "short": ""}),
    ));
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 100).await;
    assert_eq!(report.counters.delivered, 5, "{:?}", log.outcomes());

    let text = |key: Value| ObjectText::new(key.to_string()).unwrap();
    // In any order, with repetitions, with keys that are not there or no keys at all.
    let keys = [
        text(key(3)),
        text(key(77)),
        text(key(0)),
        ObjectText::new("{broken}").unwrap(),
        text(key(2)),
        text(key(1)),
        text(key(0)),
        text(json!({"e mail": "x", "order": "no number"})),
    ];
    let found = destination.read(&keys).await.unwrap();
    let expected = [
        Some(3),
        None,
        Some(0),
        None,
        Some(2),
        Some(1),
        Some(0),
        None,
    ];
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.into_iter().zip(expected) {
        let expected: Option<&Value> = expected.and_then(|index: usize| sent.get(index));
        assert_eq!(found.map(Value::Object).as_ref(), expected);
    }
    assert_eq!(destination.read(&[]).await, Ok(Vec::new()));

    // Missing is not null: the default holds. Empty is not null either.
    let kept = pairs(
        &mut conn,
        "SELECT kept, short FROM `CRM x`.`Con``tacts` WHERE `order` = 4",
    )
    .await;
    assert_eq!(kept, owned(&[("default", Some(""))]));
    // What the server has, in its own words, and not only what this crate reads.
    let stored = pairs(
        &mut conn,
        "SET time_zone = '+00:00'; SELECT amount, CONCAT_WS('|', seen, local, HEX(raw), HEX(latin), ratio, bin(flags))
         FROM `CRM x`.`Con``tacts` WHERE `order` = 1",
    )
    .await;
    assert!(stored.is_empty());
    let stored = pairs(
        &mut conn,
        "SELECT amount, CONCAT_WS('|', seen, local, HEX(raw), HEX(latin), ratio, bin(flags))
         FROM `CRM x`.`Con``tacts` WHERE `order` = 1",
    )
    .await;
    assert_eq!(
        stored,
        owned(&[(
            "123456789012345678901234.123456",
            Some("2026-02-03 04:05:06.789|2026-02-03 04:05:06.000001|00FF|E95C27|1e21|11111111111")
        )])
    );
}

#[tokio::test]
async fn bad_rows_are_found_and_the_others_delivered() {
    let (server, mut conn) = server_with(CONTACTS).await;
    let destination = destination(
        &server,
        target(
            "crm.contacts",
            SyncMode::Upsert,
            &["id"],
            &["name", "n", "mail"],
        ),
    );
    let mut plan: Vec<Change> = (0..500)
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
        (13, "name", json!("x".repeat(41))),
        (30, "mail", json!("old@x")),
        (31, "n", json!(3_000_000_000_i64)),
        (32, "n", json!(1.5)),
    ] {
        if let Some(change) = plan.get_mut(seq) {
            set(change, field, value);
        }
    }
    // Good JSON, and a number that nobody can hold.
    plan[40].fields = ObjectText::new(r#"{"name":"x","n":1e999}"#).unwrap();
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 500).await;
    assert_eq!(report.counters.delivered, 492);
    assert_eq!(report.counters.rejected, 8);
    for (seq, class, words) in [
        (
            3,
            FailureClass::InvalidRow,
            "`n`: the column takes whole numbers",
        ),
        (11, FailureClass::InvalidRow, "error 4025"),
        (12, FailureClass::InvalidRow, "`name` (error 1048"),
        (
            13,
            FailureClass::InvalidRow,
            "Data too long for column `name`",
        ),
        (30, FailureClass::Conflict, "other than that of the key"),
        (
            31,
            FailureClass::InvalidRow,
            "Out of range value for column `n`",
        ),
        (32, FailureClass::InvalidRow, "whole numbers"),
        (40, FailureClass::InvalidRow, "cannot be read"),
    ] {
        let (found, message) = failure(&log, seq);
        assert_eq!(found, class, "{message}");
        assert!(message.contains(words), "{message}");
        for value in ["many", "3000000000", "old@x"] {
            assert!(!message.contains(value), "{message}");
        }
    }
    let count: Option<u64> = conn
        .query_first("SELECT count(*) FROM contacts")
        .await
        .unwrap();
    assert_eq!(count, Some(494));
}

#[tokio::test]
async fn one_bad_row_among_five_hundred_is_rejected_alone_in_every_mode() {
    let (server, mut conn) = server_with(CONTACTS).await;
    for (mode, prepare) in [
        (SyncMode::Insert, "DELETE FROM contacts"),
        (SyncMode::Append, "DELETE FROM contacts"),
        (SyncMode::Update, "UPDATE contacts SET n = 0"),
        (SyncMode::Mirror, "DELETE FROM contacts"),
    ] {
        run(&mut conn, prepare).await;
        let destination = destination(&server, target("contacts", mode, &["id"], &["name", "n"]));
        let plan: Vec<Change> = (0..500)
            .map(|seq| {
                let n = if seq == 321 { -1 } else { 7 };
                let fields = json!({"name": "N", "n": n});
                change(seq, Operation::Add, &format!("k{seq}"), fields)
            })
            .collect();
        let (report, log) = deliver(&destination, mode, &plan, 500).await;
        assert_eq!(report.counters.delivered, 499, "{mode:?}");
        assert_eq!(failure(&log, 321).0, FailureClass::InvalidRow, "{mode:?}");
        let good: Option<u64> = conn
            .query_first("SELECT count(*) FROM contacts WHERE n = 7")
            .await
            .unwrap();
        assert_eq!(good, Some(499), "{mode:?}");
        if mode == SyncMode::Append {
            // What an update is to find.
            run(
                &mut conn,
                "REPLACE INTO contacts (id, name, n) VALUES ('k321', 'N', 0)",
            )
            .await;
        }
    }
}

#[tokio::test]
async fn each_mode_does_what_it_says() {
    let (server, mut conn) = server_with(CONTACTS).await;
    let with_mode = |mode| destination(&server, target("contacts", mode, &["id"], &["name", "n"]));
    let all = "SELECT id, name FROM contacts ORDER BY id";

    let insert = with_mode(SyncMode::Insert);
    insert.check().await.unwrap();
    let plan = [
        change(0, Operation::Add, "a", json!({"name": "A", "n": 1})),
        change(1, Operation::Add, "old", json!({"name": "New", "n": 1})),
    ];
    let (_, log) = deliver(&insert, SyncMode::Insert, &plan, 10).await;
    assert!(log.outcomes().get(&0).unwrap().is_delivered());
    let (class, message) = failure(&log, 1);
    assert_eq!(class, FailureClass::Conflict);
    assert!(message.contains("`PRIMARY`"), "{message}");
    assert_eq!(
        pairs(&mut conn, all).await,
        owned(&[
            ("a", Some("A")),
            ("old", Some("Old")),
            ("other", Some("Other"))
        ])
    );

    let update = with_mode(SyncMode::Update);
    update.check().await.unwrap();
    let plan = [
        change(0, Operation::Update, "a", json!({"name": "B"})),
        change(1, Operation::Update, "nobody", json!({"name": "C"})),
        change(2, Operation::Add, "old", json!({"n": 7})),
        change(3, Operation::Update, "other", json!({})),
        // Found, and nothing changes.
        change(4, Operation::Update, "a", json!({"name": "B"})),
        change(5, Operation::Update, "no", json!({})),
    ];
    let (_, log) = deliver(&update, SyncMode::Update, &plan, 10).await;
    let words: Vec<&str> = log.outcomes().values().map(Outcome::as_str).collect();
    assert_eq!(
        words,
        [
            "delivered",
            "rejected",
            "delivered",
            "delivered",
            "delivered",
            "rejected"
        ]
    );
    assert_eq!(failure(&log, 1).0, FailureClass::MissingRow);
    assert_eq!(failure(&log, 5).0, FailureClass::MissingRow);
    assert_eq!(
        pairs(&mut conn, all).await,
        owned(&[
            ("a", Some("B")),
            ("old", Some("Old")),
            ("other", Some("Other"))
        ])
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
    for _ in 0..2 {
        // Delivered once more, nothing changes.
        let (report, _) = deliver(&mirror, SyncMode::Mirror, &plan, 10).await;
        assert_eq!(report.counters.delivered, 6);
        // What this sync never delivered stays.
        assert_eq!(
            pairs(&mut conn, all).await,
            owned(&[
                ("d", Some("D")),
                ("old", Some("Older")),
                ("other", Some("Other"))
            ])
        );
        let cleared = "SELECT id, n FROM contacts WHERE id = 'old'";
        assert_eq!(pairs(&mut conn, cleared).await, owned(&[("old", None)]));
    }

    run(&mut conn, "CREATE TABLE events (id int, what text)").await;
    let append = destination(
        &server,
        target("events", SyncMode::Append, &["id"], &["what"]),
    );
    append.check().await.unwrap();
    let event = [keyed(
        0,
        Operation::Add,
        json!({"id": 0}),
        json!({"what": "seen"}),
    )];
    for times in ["1", "2"] {
        let (report, _) = deliver(&append, SyncMode::Append, &event, 10).await;
        assert_eq!(report.counters.delivered, 1);
        let count = pairs(&mut conn, "SELECT id, count(*) FROM events GROUP BY id").await;
        assert_eq!(count, owned(&[("0", Some(times))]));
    }
}

#[tokio::test]
async fn an_upsert_never_changes_the_row_of_another_key() {
    // The key is the second unique index, so that the server meets the others first.
    let (server, mut conn) = server_with(
        "CREATE TABLE t (nr int UNIQUE, id varchar(9) COLLATE utf8mb4_bin NULL UNIQUE, a int, b int,
                         UNIQUE (a, b));
         INSERT INTO t VALUES (1, 'one', 1, 1), (2, 'two', 2, 2)",
    )
    .await;
    let upsert = destination(
        &server,
        target("t", SyncMode::Upsert, &["id"], &["nr", "a", "b"]),
    );
    upsert.check().await.unwrap();
    let plan = [
        // New, with values of `one`.
        change(0, Operation::Add, "new", json!({"nr": 1, "a": 9, "b": 9})),
        change(1, Operation::Add, "new2", json!({"nr": 8, "a": 1, "b": 1})),
        // Known, would take a value of `one`.
        change(2, Operation::Add, "two", json!({"nr": 1, "a": 2, "b": 2})),
        // Only one of the two parts is taken.
        change(3, Operation::Add, "three", json!({"nr": 3, "a": 1, "b": 2})),
        // Without a field to change, an index is met all the same.
        change(4, Operation::Add, "two", json!({})),
        change(5, Operation::Add, "one", json!({"nr": 10, "a": 1, "b": 1})),
    ];
    let (report, log) = deliver(&upsert, SyncMode::Upsert, &plan, 100).await;
    assert_eq!(report.counters.delivered, 3, "{:?}", log.outcomes());
    for seq in [0, 1, 2] {
        let (class, message) = failure(&log, seq);
        assert_eq!(class, FailureClass::Conflict, "{message}");
    }
    let all = "SELECT id, CONCAT_WS('/', nr, a, b) FROM t ORDER BY nr";
    assert_eq!(
        pairs(&mut conn, all).await,
        owned(&[
            ("two", Some("2/2/2")),
            ("three", Some("3/1/2")),
            ("one", Some("10/1/1"))
        ])
    );
}

#[tokio::test]
async fn keys_that_the_column_makes_equal_are_applied_one_after_the_other() {
    let (server, mut conn) = server_with(
        "CREATE TABLE t (id varchar(9) COLLATE utf8mb4_general_ci PRIMARY KEY, v text);
         CREATE TABLE n (id int PRIMARY KEY, v text)",
    )
    .await;
    let plan = [
        keyed(0, Operation::Add, json!({"id": "A"}), json!({"v": "first"})),
        keyed(
            1,
            Operation::Add,
            json!({"id": "a"}),
            json!({"v": "second"}),
        ),
        keyed(2, Operation::Add, json!({"id": "b"}), json!({"v": "other"})),
    ];
    let upsert = destination(&server, target("t", SyncMode::Upsert, &["id"], &["v"]));
    let (report, _) = deliver(&upsert, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(report.counters.delivered, 3);
    // The key stays as it was written first.
    let all = "SELECT id, v FROM t ORDER BY id";
    let expected = owned(&[("A", Some("second")), ("b", Some("other"))]);
    assert_eq!(pairs(&mut conn, all).await, expected);

    run(&mut conn, "DELETE FROM t").await;
    let insert = destination(&server, target("t", SyncMode::Insert, &["id"], &["v"]));
    let (report, log) = deliver(&insert, SyncMode::Insert, &plan, 10).await;
    assert_eq!(report.counters.delivered, 2);
    assert_eq!(failure(&log, 1).0, FailureClass::Conflict);

    let plan = [
        keyed(0, Operation::Add, json!({"id": "1"}), json!({"v": "first"})),
        keyed(
            1,
            Operation::Add,
            json!({"id": "01.0"}),
            json!({"v": "no number of JSON"}),
        ),
        keyed(
            2,
            Operation::Add,
            json!({"id": "1.00"}),
            json!({"v": "second"}),
        ),
    ];
    let upsert = destination(&server, target("n", SyncMode::Upsert, &["id"], &["v"]));
    let (_, log) = deliver(&upsert, SyncMode::Upsert, &plan, 10).await;
    assert_eq!(failure(&log, 1).0, FailureClass::InvalidRow);
    let all = "SELECT id, v FROM n";
    assert_eq!(pairs(&mut conn, all).await, owned(&[("1", Some("second"))]));
    // Text is no number, and never deletes the row 0.
    run(&mut conn, "INSERT INTO n VALUES (0, 'zero')").await;
    let mirror = destination(&server, target("n", SyncMode::Mirror, &["id"], &["v"]));
    let removal = [keyed(
        0,
        Operation::Remove,
        json!({"id": "many"}),
        json!({}),
    )];
    let (report, _) = deliver(&mirror, SyncMode::Mirror, &removal, 10).await;
    assert_eq!(report.counters.rejected, 1);
    assert_eq!(pairs(&mut conn, all).await.len(), 2);
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_refused_before_anything_is_sent() {
    let (server, mut conn) = server_with(
        "CREATE TABLE t (id int PRIMARY KEY, a varchar(9), b varchar(9), c varchar(9),
                         low varchar(9) AS (lower(a)) STORED, virt varchar(9) AS (lower(a)),
                         UNIQUE (a, b), UNIQUE (c(3)));
         CREATE TABLE old (id int PRIMARY KEY) ENGINE = MyISAM;
         CREATE VIEW v AS SELECT * FROM t;
         CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'pw';
         GRANT SELECT, INSERT ON crm.t TO reader@'127.0.0.1'",
    )
    .await;
    let check = async |target: Target| destination(&server, target).check().await;
    let upsert = |key: &[&str], fields: &[&str]| target("t", SyncMode::Upsert, key, fields);
    assert_eq!(check(upsert(&["id"], &["a", "b"])).await, Ok(()));
    assert_eq!(check(upsert(&["b", "a"], &["id"])).await, Ok(()));
    let missing = check(upsert(&["id"], &["A"])).await.unwrap_err();
    assert_eq!(missing.to_string(), "object `crm.t` has no field `A`");
    for key in [&["b"][..], &["a"], &["id", "a"], &["c"]] {
        let error = check(upsert(key, &[])).await.unwrap_err();
        assert!(
            matches!(error, DestinationError::KeyNotUnique { .. }),
            "{error}"
        );
    }
    for field in ["low", "virt"] {
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
    for object in ["nowhere.t", "T", "gone"] {
        let error = check(target(object, SyncMode::Upsert, &["id"], &[]))
            .await
            .unwrap_err();
        assert!(
            matches!(error, DestinationError::ObjectMissing { .. }),
            "{error}"
        );
    }
    for (object, words) in [("old", "without transactions"), ("v", "is a view")] {
        let error = check(target(object, SyncMode::Insert, &["id"], &[]))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }

    let as_reader = |mode| {
        let options = MySqlOptions::new(server.dsn_as("reader", "pw"));
        MySqlDestination::new(options, target("t", mode, &["id"], &["a"])).unwrap()
    };
    let refused = async |mode| match as_reader(mode).check().await {
        Err(DestinationError::PrivilegeMissing { privilege, .. }) => Some(privilege),
        _ => None,
    };
    assert_eq!(as_reader(SyncMode::Insert).check().await, Ok(()));
    assert_eq!(refused(SyncMode::Upsert).await, Some("update"));
    run(&mut conn, "GRANT UPDATE (a) ON crm.t TO reader@'127.0.0.1'").await;
    assert_eq!(as_reader(SyncMode::Upsert).check().await, Ok(()));
    assert_eq!(refused(SyncMode::Mirror).await, Some("delete"));
    // Through a pattern of databases and a role, which the catalogue does not resolve.
    run(
        &mut conn,
        "CREATE ROLE removers; GRANT DELETE ON `cr_`.* TO removers; GRANT removers TO reader@'127.0.0.1';
         SET DEFAULT ROLE removers FOR reader@'127.0.0.1'",
    )
    .await;
    assert_eq!(as_reader(SyncMode::Mirror).check().await, Ok(()));
}

#[tokio::test]
async fn ten_thousand_rows_are_delivered_changed_and_removed() {
    let (server, mut conn) = server_with(CONTACTS).await;
    let fields = ["name", "n", "mail"];
    let mirror = destination(
        &server,
        target("contacts", SyncMode::Mirror, &["id"], &fields),
    );
    let plan = |n: u64| -> Vec<Change> {
        (0..10_000)
            .map(|seq| {
                let fields =
                    json!({"name": format!("Person {seq}"), "n": seq + n, "mail": format!("{seq}@x")});
                change(seq, Operation::Add, &format!("k{seq}"), fields)
            })
            .collect()
    };
    let update = destination(
        &server,
        target("contacts", SyncMode::Update, &["id"], &fields),
    );
    for (mode, destination, n, sum) in [
        (SyncMode::Mirror, &mirror, 0, 49_995_000),
        (SyncMode::Mirror, &mirror, 1, 50_005_000),
        (SyncMode::Update, &update, 2, 50_015_000),
    ] {
        let begun = Instant::now();
        let (report, _) = deliver(destination, mode, &plan(n), 1_000).await;
        assert_eq!(report.counters.delivered, 10_000);
        assert_eq!(report.requests, 10);
        // Generous: a row at a time would take minutes on a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(30));
        let found: Option<i64> = conn
            .query_first("SELECT CAST(sum(n) AS SIGNED) FROM contacts WHERE id LIKE 'k%'")
            .await
            .unwrap();
        assert_eq!(found, Some(sum));
    }
    let keys: Vec<ObjectText> = (0..10_000)
        .map(|n| ObjectText::new(format!("{{\"id\":\"k{n}\"}}")).unwrap())
        .collect();
    let found = mirror.read(&keys).await.unwrap();
    for (n, found) in (2..).zip(&found) {
        assert_eq!(found.as_ref().and_then(|row| row.get("n")), Some(&json!(n)));
    }
    let removals: Vec<Change> = (0..10_000)
        .map(|seq| change(seq, Operation::Remove, &format!("k{seq}"), json!({})))
        .collect();
    let (report, _) = deliver(&mirror, SyncMode::Mirror, &removals, 1_000).await;
    assert_eq!(report.counters.delivered, 10_000);
    let count: Option<u64> = conn
        .query_first("SELECT count(*) FROM contacts")
        .await
        .unwrap();
    assert_eq!(count, Some(2));
}
