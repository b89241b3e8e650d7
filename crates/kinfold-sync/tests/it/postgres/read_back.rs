//! Bytes, digits and other values on their way back.

use std::time::{Duration, Instant};

use kinfold_project::SyncMode;
use kinfold_sync::{
    Change, Destination, DestinationError, FailureClass, ObjectText, Operation, Outcome,
    PostgresDestination, PostgresOptions,
};
use serde_json::{Map, Value, json};

use super::{BOTH_WAYS, CONTACTS, copying, deliver, destination, keyed, server_with, target};

#[tokio::test]
async fn rows_are_read_back_as_they_were_sent() {
    for copied_rows in BOTH_WAYS {
        rows_are_read_back_as_they_were_sent_if_copied_from(copied_rows).await;
    }
}

async fn rows_are_read_back_as_they_were_sent_if_copied_from(copied_rows: usize) {
    let (server, client) = server_with(
        r#"ALTER ROLE kinfold SET TimeZone = 'Asia/Kathmandu';
           ALTER ROLE kinfold SET bytea_output = 'escape';
           CREATE TABLE t (
             "e mail" text, "order" int, PRIMARY KEY ("order", "e mail"),
             amount numeric(30, 6), vip bool, seen timestamptz, local timestamp, born date, "doc{key}" jsonb,
             old json, big bigint, ratio double precision, tags text[], times timestamptz[], raw bytea,
             raws bytea[], amounts numeric[], r text, t text, x text, other text DEFAULT 'not mapped')"#,
    )
    .await;
    let fields = [
        "amount", "vip", "seen", "local", "born", "doc{key}", "old", "big", "ratio", "tags",
        "times", "raw", "raws", "amounts", "r", "t", "x",
    ];
    let destination = copying(
        &server,
        target("t", SyncMode::Upsert, &["e mail", "order"], &fields),
        copied_rows,
    );
    assert!(destination.capabilities().reads);
    let key = |order: i32| json!({"e mail": "Zoë'); DROP TABLE x; --", "order": order});
    let row = |amount: Value, ratio: f64| {
        json!({
            "amount": amount, "vip": true, "seen": "2026-02-03T04:05:06.789Z",
            "local": "2026-02-03T04:05:06Z", "born": "1980-02-29",
            "doc{key}": {"a": [1, null, "x \\\" y"], "b c": 0.3}, "old": {"z": 1, "a": [true]},
            "big": 9_007_199_254_740_993_i64, "ratio": ratio, "tags": ["a", "b\"c"],
            "times": ["2026-02-03T04:05:06.000001Z", null], "raw": "00ff", "raws": ["c3a9", null],
            "amounts": [0.5, "123456789012345678901234.5", 100], "r": "", "t": "1.50",
            "x": " spaces \n and \u{1F600} ",
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
    let plan: Vec<Change> = (0..)
        .zip(&sent)
        .map(|(seq, fields)| {
            let order = i32::try_from(seq).unwrap();
            keyed(seq, Operation::Add, key(order), fields.clone())
        })
        .collect();
    let (report, log) = deliver(&destination, SyncMode::Upsert, &plan, 100).await;
    assert_eq!(report.counters.delivered, 4, "{:?}", log.outcomes());

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
    ];
    let found = destination.read(&keys).await.unwrap();
    let expected = [Some(3), None, Some(0), None, Some(2), Some(1), Some(0)];
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.into_iter().zip(expected) {
        let expected: Option<&Value> = expected.and_then(|index: usize| sent.get(index));
        assert_eq!(found.map(Value::Object).as_ref(), expected);
    }
    assert_eq!(destination.read(&[]).await, Ok(Vec::new()));

    // The bytes themselves, and not the letters that stand for them.
    let stored: Vec<u8> = client
        .query_one(r#"SELECT raw FROM t WHERE "order" = 0"#, &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(stored, [0x00, 0xff]);

    // Somebody else changes it.
    client
        .batch_execute(
            r#"UPDATE t SET vip = false WHERE "order" = 0; DELETE FROM t WHERE "order" = 1"#,
        )
        .await
        .unwrap();
    let found = destination.read(&keys).await.unwrap();
    let vip = found
        .get(2)
        .and_then(Option::as_ref)
        .and_then(|row| row.get("vip"));
    assert_eq!(vip, Some(&json!(false)));
    assert_eq!(found.get(5), Some(&None));
}

#[tokio::test]
async fn letters_are_not_taken_for_bytes_and_an_account_without_temporary_tables_delivers() {
    let (server, _) = server_with(
        "CREATE TABLE t (id int PRIMARY KEY, raw bytea);
         CREATE ROLE plain LOGIN PASSWORD 'pw'; GRANT SELECT, INSERT, UPDATE ON t TO plain;
         REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC",
    )
    .await;
    let mut options = PostgresOptions::new(server.dsn_as("plain", "pw"));
    options.copied_rows = 1;
    let upsert = target("t", SyncMode::Upsert, &["id"], &["raw"]);
    let destination = PostgresDestination::new(options, upsert).unwrap();
    let plan: Vec<Change> = (0..)
        .zip(["00FF", "plain", "00f", "\\x00ff", ""])
        .map(|(seq, raw)| keyed(seq, Operation::Add, json!({"id": seq}), json!({"raw": raw})))
        .collect();
    let (_, log) = deliver(&destination, SyncMode::Upsert, &plan, 10).await;
    let words: Vec<&str> = log.outcomes().values().map(Outcome::as_str).collect();
    assert_eq!(
        words,
        [
            "delivered",
            "rejected",
            "rejected",
            "delivered",
            "delivered"
        ]
    );
    let (class, message) = log
        .outcomes()
        .get(&1)
        .and_then(|o| o.failure().map(|(c, m)| (c, m.to_owned())))
        .unwrap();
    assert_eq!(class, FailureClass::InvalidRow);
    assert_eq!(message, "a binary column takes hexadecimal digits");
}

#[tokio::test]
async fn reading_back_many_rows_is_one_statement_and_needs_the_right_to() {
    let (server, client) = server_with(CONTACTS).await;
    client
        .batch_execute(
            "INSERT INTO contacts SELECT 'k' || i, 'N', i, NULL FROM generate_series(0, 9999) AS i;
             CREATE ROLE writer LOGIN PASSWORD 'pw'; GRANT INSERT ON contacts TO writer",
        )
        .await
        .unwrap();
    let with = |mode, fields: &[&str]| target("contacts", mode, &["id"], fields);
    let keys: Vec<ObjectText> = (0..10_000)
        .map(|n| ObjectText::new(format!("{{\"id\":\"k{n}\"}}")).unwrap())
        .collect();
    let begun = Instant::now();
    let found = destination(&server, with(SyncMode::Upsert, &["n"]))
        .read(&keys)
        .await
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
    for (n, found) in found.iter().enumerate() {
        assert_eq!(found.as_ref().and_then(|row| row.get("n")), Some(&json!(n)));
    }
    // Without mapped fields it is still known which rows are there.
    let bare = destination(&server, with(SyncMode::Upsert, &[]));
    let some = [
        keys.first().cloned().unwrap(),
        ObjectText::new(r#"{"id":"nobody"}"#).unwrap(),
    ];
    assert_eq!(bare.read(&some).await, Ok(vec![Some(Map::new()), None]));

    let options = PostgresOptions::new(server.dsn_as("writer", "pw"));
    let writer = PostgresDestination::new(options, with(SyncMode::Insert, &["name"])).unwrap();
    let refused = writer.read(&some).await.unwrap_err();
    assert!(
        matches!(
            refused,
            DestinationError::PrivilegeMissing {
                privilege: "select",
                ..
            }
        ),
        "{refused}"
    );
}
