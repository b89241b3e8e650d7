//! Whatever a destination answers, every row has one outcome, and nothing panics.

use std::sync::{Arc, Mutex};

use kinfold_destination::{Account, AccountOptions, ManifestDestination, MemoryTokenStore, read};
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Destination, JobEnd, JobState, Operation, Outcome, Run, Secret,
    SendResult, SystemClock, Target,
};
use kinfold_testkit::change;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::secrets::Recorder;

const ALL: &str = r#"
version: 1
name: all
title: Everything
about: Every way in which an answer speaks of rows.
parameters: {url: {about: The address.}}
base_url: "{{ connection.url }}"
rules:
  - {status: 200, if: "$.code in ['606']", is: throttled, wait: $.wait}
  - {status: 200, if: $.ok == false, is: rejected, message: $.errors}
objects:
  index:
    about: By index.
    upsert:
      rows: 10
      calls: [{post: /a, json: {$each: rows, $item: "{{ row.key }}"}, rows: {items: $.errors, index: $.index, rules: [{is: rejected}]}, unnamed: ok}]
  position:
    about: By position.
    insert:
      rows: 10
      calls: [{post: /a, json: {$each: rows, $item: "{{ row.key }}"}, rows: {items: $.results, index: position, rules: [{if: $.ok == true, is: ok}, {is: conflict}]}, unnamed: unknown}]
  value:
    about: By value, then a second call.
    upsert:
      rows: 10
      calls:
        - {post: /a, reads: true, json: {$each: rows, $item: "{{ row.key }}"}, rows: {items: $.results, item: $.id, row: row.key_value}, unnamed: missing_row, keep: {x: $.x}}
        - {post: /b, when: kept.x != null, json: {$each: rows, $item: "{{ kept.x }}"}, keep: {y: $.y}}
        - {post: "/c/{{ kept.y }}", json: {$each: rows, $item: "{{ kept.x | json }}"}}
  job:
    about: A job.
    upsert:
      rows: 10
      calls: [{post: /a, json: {$each: rows, $item: "{{ row.key }}"}, keep: {job: $.id}}]
      job:
        poll: {get: "/jobs/{{ kept.job }}", rules: [{if: $.state == 'running', is: pending}]}
        results: [{get: /results, rows: {items: $.errors, index: $.index, rules: [{is: rejected}]}}]
        unnamed: ok
"#;

/// JSON that looks like an answer often enough to matter.
fn answers() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..12).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-e0-9]{0,3}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("errors"),
        Just("results"),
        Just("index"),
        Just("ok"),
        Just("id"),
        Just("code"),
        Just("wait"),
        Just("x"),
        Just("y"),
        Just("state"),
        Just("message"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|pairs| {
                let map: serde_json::Map<String, Value> = pairs
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect();
                Value::Object(map)
            }),
        ]
    })
}

fn statuses() -> impl Strategy<Value = u16> {
    prop_oneof![
        6 => Just(200_u16),
        1 => prop::sample::select(vec![201, 202, 204, 207, 301, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503]),
    ]
}

async fn run(
    object: &str,
    mode: SyncMode,
    rows: usize,
    script: Vec<(u16, String)>,
) -> Result<(), String> {
    let script = Arc::new(Mutex::new(script));
    let server = Recorder::start(move |_, _, _, _| {
        let mut script = script.lock().unwrap();
        match script.len() {
            0 => (200, "{}".to_owned()),
            _ => script.remove(0),
        }
    })
    .await;
    let manifest = read([("manifest.yml", ALL)]).manifest.unwrap();
    let options = AccountOptions {
        parameters: vec![("url".to_owned(), Secret::new(server.url.as_str()))],
        ..AccountOptions::default()
    };
    let account = Account::new(
        Arc::new(manifest),
        options,
        Arc::new(MemoryTokenStore::new()),
        Arc::new(SystemClock::new()),
    )
    .unwrap();
    let target = Target {
        object: object.to_owned(),
        mode,
        deletes: false,
        key_fields: vec!["id".to_owned()],
        fields: vec!["n".to_owned()],
    };
    let destination = ManifestDestination::new(account, &target).unwrap();
    let changes = (0..rows).map(|at| {
        change(
            at as u64,
            Operation::Add,
            &format!("p{at}"),
            json!({"n": at}),
        )
    });
    let run = Arc::new(Run {
        sync: "s".to_owned(),
        run_id: "r".to_owned(),
        mode,
    });
    let operation = BatchOperation::of(mode, Operation::Add);
    let batch = Batch::new(run, operation, changes.collect());
    let outcomes: Vec<Outcome> = match destination.send(&batch).await {
        SendResult::Rows(outcomes) => outcomes,
        SendResult::Accepted { job, .. } => match destination.poll(&job, &batch).await {
            JobState::Ended(JobEnd::Rows(outcomes)) => outcomes,
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    match outcomes.len() == rows {
        true => Ok(()),
        false => Err(format!("{} outcomes for {rows} rows", outcomes.len())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_row_has_one_outcome(
        object in prop::sample::select(vec!["index", "position", "value", "job"]),
        rows in 1_usize..12,
        script in prop::collection::vec((statuses(), answers(), any::<bool>()), 0..6),
    ) {
        let mode = if object == "position" { SyncMode::Insert } else { SyncMode::Upsert };
        let script = script
            .into_iter()
            .map(|(status, answer, cut)| {
                let mut text = answer.to_string();
                if cut && text.len() > 8 {
                    let end = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                    text.truncate(end);
                }
                (status, text)
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(run(object, mode, rows, script));
        prop_assert_eq!(result, Ok(()));
    }
}

/// An answer that should name every row and does not is no delivery of those that it names either.
#[tokio::test]
async fn a_list_of_another_length_says_nothing() {
    for (results, words) in [(2, "Unknown"), (3, "Delivered"), (4, "Unknown")] {
        let text = json!({"results": vec![json!({"ok": true}); results]}).to_string();
        let server = Recorder::start(move |_, _, _, _| (200, text.clone())).await;
        let manifest = read([("manifest.yml", ALL)]).manifest.unwrap();
        let options = AccountOptions {
            parameters: vec![("url".to_owned(), Secret::new(server.url.as_str()))],
            ..AccountOptions::default()
        };
        let account = Account::new(
            Arc::new(manifest),
            options,
            Arc::new(MemoryTokenStore::new()),
            Arc::new(SystemClock::new()),
        )
        .unwrap();
        let target = Target {
            object: "position".to_owned(),
            mode: SyncMode::Insert,
            deletes: false,
            key_fields: vec!["id".to_owned()],
            fields: Vec::new(),
        };
        let destination = ManifestDestination::new(account, &target).unwrap();
        let run = Arc::new(Run {
            sync: "s".to_owned(),
            run_id: "r".to_owned(),
            mode: SyncMode::Insert,
        });
        let rows = (0..3).map(|at| change(at, Operation::Add, &format!("p{at}"), json!({})));
        let batch = Batch::new(run, BatchOperation::Insert, rows.collect());
        let said = format!("{:?}", destination.send(&batch).await);
        assert!(said.contains(words), "{results}: {said}");
    }
}
