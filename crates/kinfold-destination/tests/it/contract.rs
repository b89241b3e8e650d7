//! A manifest that speaks the contract of the HTTP destination, through every fault, with the delivery of
//! `kinfold-sync`: it must end where the built-in destination ends.

use std::sync::Arc;
use std::time::Duration;

use kinfold_destination::{
    Account, AccountOptions, Manifest, ManifestDestination, MemoryTokenStore, read,
};
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Budget, CancelToken, Change, DeliveryPolicy, DeliveryReport,
    Destination, DestinationError, HttpClientOptions, Operation, Outcome, RetryPolicy, Run, Secret,
    SystemClock, Target, deliver,
};
use kinfold_testkit::{
    FakeClock, Fault, JobOptions, Loopback, MemoryLog, MemorySource, Rejection, Script, change,
};
use serde_json::json;

const CONTRACT: &str = r#"
version: 1
name: contract
title: The contract of the HTTP destination
about: Everything that it has.
parameters:
  url: {about: The address.}
  token: {about: A token., secret: true}
base_url: "{{ connection.url }}"
headers: {authorization: "Bearer {{ connection.token }}"}
check: {get: /contacts, rules: [{status: [200, 405], is: ok}], answer: text}
objects:
  contacts:
    about: Contacts.
    insert: &all
      rows: 5
      calls:
        - post: /contacts
          headers: {idempotency-key: "{{ batch.id }}"}
          json:
            sync: "{{ sync.name }}"
            run_id: "{{ run.id }}"
            batch_id: "{{ batch.id }}"
            operation: "{{ batch.operation }}"
            records: {$each: rows, $item: {key: "{{ row.key }}", fields: "{{ row.fields }}"}}
          rows:
            items: $.results
            index: $.index
            rules:
              - {if: $.status == 'ok', is: ok}
              - {if: $.status == 'retryable', is: temporary, message: $.error}
              - {is: rejected, message: $.error}
          unnamed: ok
    upsert: *all
    update: *all
    delete: *all
"#;

/// What makes a batch a job, in the place of the end of the calls.
const JOB: &str = r#"
          rules: [{status: 200, is: misconfigured}]
          keep: {job: "header['location']"}
      job:
        at_once: 3
        poll:
          get: "{{ kept.job }}"
          rules:
            - {status: 202, is: pending}
            - {status: 200, if: $.status == 'running', is: pending}
            - {status: 200, if: $.status == 'failed', is: rejected, message: $.error}
            - {status: 2xx, if: $.results == null, is: temporary}
          rows: {items: $.results, index: $.index, rules: [{if: $.status == 'retryable', is: temporary}, {if: $.status != 'ok', is: rejected, message: $.error}]}
        unnamed: ok
    upsert: *all
"#;

fn manifest() -> Arc<Manifest> {
    made(CONTRACT)
}

fn with_jobs() -> Arc<Manifest> {
    let (calls, _) = CONTRACT.split_once("          rows:\n").unwrap();
    made(&format!("{calls}{}", JOB.trim_start_matches('\n')))
}

/// Jobs of five rows beside deletes of fifty.
pub(super) fn with_wide_deletes() -> Arc<Manifest> {
    let (calls, _) = CONTRACT.split_once("          rows:\n").unwrap();
    let deletes = "    delete: {rows: 50, calls: [{delete: /contacts, json: {keys: {$each: rows, $item: \"{{ row.key }}\"}}}]}\n";
    made(&format!("{calls}{}{deletes}", JOB.trim_start_matches('\n')))
}

fn made(text: &str) -> Arc<Manifest> {
    let folder = read([("manifest.yml", text)]);
    assert!(!folder.has_errors(), "{:?}", folder.diagnostics);
    Arc::new(folder.manifest.unwrap())
}

fn target(mode: SyncMode) -> Target {
    Target {
        object: "contacts".to_owned(),
        mode,
        deletes: mode == SyncMode::Mirror,
        key_fields: vec!["id".to_owned()],
        fields: vec!["name".to_owned(), "n".to_owned()],
    }
}

fn destination_for(url: String, mode: SyncMode, clock: &FakeClock) -> ManifestDestination {
    destination_of(manifest(), url, mode, clock)
}

pub(super) fn destination_of(
    manifest: Arc<Manifest>,
    url: String,
    mode: SyncMode,
    clock: &FakeClock,
) -> ManifestDestination {
    let options = AccountOptions {
        parameters: vec![
            ("url".to_owned(), Secret::new(url)),
            ("token".to_owned(), Secret::new("swordfish")),
        ],
        http: HttpClientOptions {
            timeout: Duration::from_millis(1_500),
            direct: true,
            ..HttpClientOptions::default()
        },
        ..AccountOptions::default()
    };
    let store = Arc::new(MemoryTokenStore::new());
    let account = Account::new(manifest, options, store, Arc::new(clock.clone())).unwrap();
    ManifestDestination::new(account, &target(mode)).unwrap()
}

fn policy() -> DeliveryPolicy {
    DeliveryPolicy {
        max_rows: 5,
        concurrency: 1,
        concurrency_start: 1,
        retry: RetryPolicy {
            max_attempts: 4,
            max_elapsed: Duration::from_secs(60),
            base: Duration::from_millis(500),
            max_wait: Duration::from_secs(8),
        },
        max_throttle: Duration::from_secs(600),
        max_consecutive_failures: 1_000,
        ..DeliveryPolicy::default()
    }
}

pub(super) fn adds(count: u64) -> Vec<Change> {
    (0..count)
        .map(|seq| {
            let fields = json!({"name": format!("Person number {seq}"), "n": seq});
            change(seq, Operation::Add, &format!("p{seq}"), fields)
        })
        .collect()
}

async fn deliver_to(
    server: &Loopback,
    mode: SyncMode,
    plan: &[Change],
) -> (DeliveryReport, MemoryLog) {
    let log = MemoryLog::new();
    let clock = FakeClock::new();
    let run = Arc::new(Run {
        sync: "winback_crm".to_owned(),
        run_id: "run-1".to_owned(),
        mode,
    });
    let report = deliver(
        &run,
        &mut MemorySource::new(plan.to_vec()),
        &destination_for(server.url(), mode, &clock),
        &mut log.clone(),
        &policy(),
        &clock,
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    assert!(report.counters.add_up(), "{report:?}");
    (report, log)
}

fn run() -> Arc<Run> {
    Arc::new(Run {
        sync: "winback_crm".to_owned(),
        run_id: "run-1".to_owned(),
        mode: SyncMode::Upsert,
    })
}

pub(super) fn batch_of(plan: &[Change]) -> Batch {
    Batch::new(run(), BatchOperation::Upsert, plan.to_vec())
}

/// Delivers in batches as large as the destination takes.
pub(super) async fn deliver_with(
    destination: &ManifestDestination,
    plan: &[Change],
    clock: &FakeClock,
) -> (DeliveryReport, MemoryLog) {
    let log = MemoryLog::new();
    let policy = DeliveryPolicy {
        max_rows: 50,
        ..policy()
    };
    let report = deliver(
        &run(),
        &mut MemorySource::new(plan.to_vec()),
        destination,
        &mut log.clone(),
        &policy,
        clock,
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    (report, log)
}

#[tokio::test]
async fn faults_that_pass_end_with_every_record_stored_once() {
    for fault in [
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(408),
        Fault::StatusAfter(500),
        Fault::RetryAfter(429, "120".to_owned()),
        Fault::RetryAfter(429, "Thu, 01 Jan 1970 00:05:00 GMT".to_owned()),
        Fault::RetryAfter(503, "7".to_owned()),
        Fault::Status(429),
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::HalfBody,
        Fault::Malformed,
        Fault::Slow(Duration::from_secs(60)),
    ] {
        let server = Loopback::start().await.unwrap();
        server.require("Bearer swordfish");
        server.script(Script::sequence([None, Some(fault.clone())]));
        let (report, log) = deliver_to(&server, SyncMode::Upsert, &adds(20)).await;
        assert_eq!(report.counters.delivered, 20, "{fault:?} {report:?}");
        assert_eq!(report.requests, 5, "{fault:?}");
        assert!(log.outcomes().values().all(Outcome::is_delivered));
        assert_eq!(server.applied(), 20, "{fault:?}");
        let records = server.records("contacts");
        for plan in adds(20) {
            assert_eq!(records.get(plan.key.as_str()).cloned(), plan.fields.parse());
        }
    }
}

#[tokio::test]
async fn an_insert_without_an_answer_is_not_repeated() {
    for fault in [
        Fault::ResetAfter,
        Fault::HalfBody,
        Fault::Malformed,
        Fault::StatusAfter(500),
    ] {
        let server = Loopback::start().await.unwrap();
        server.script(Script::sequence([Some(fault.clone())]));
        let (report, _) = deliver_to(&server, SyncMode::Insert, &adds(5)).await;
        assert_eq!(
            (report.counters.unknown, report.requests),
            (5, 1),
            "{fault:?}"
        );
        assert_eq!(server.applied(), 5, "{fault:?}");
    }
}

#[tokio::test]
async fn bad_rows_are_found_however_they_are_refused() {
    for rejection in [Rejection::PerRow, Rejection::Whole(400)] {
        let server = Loopback::start().await.unwrap();
        server.refuse(
            [
                json!({"id": "p3"}),
                json!({"id": "p11"}),
                json!({"id": "p12"}),
            ],
            rejection,
        );
        let (report, log) = deliver_to(&server, SyncMode::Upsert, &adds(20)).await;
        assert_eq!(
            (report.counters.delivered, report.counters.rejected),
            (17, 3),
            "{rejection:?}"
        );
        for (seq, outcome) in log.outcomes() {
            assert_eq!(outcome.is_delivered(), ![3, 11, 12].contains(&seq), "{seq}");
        }
    }
}

#[tokio::test]
async fn seeded_faults_of_all_kinds_leave_the_exact_state() {
    for seed in 0..4 {
        let server = Loopback::start().await.unwrap();
        server.script(Script::seeded(
            seed,
            [
                (Fault::Status(500), 0.03),
                (Fault::RetryAfter(429, "3".to_owned()), 0.03),
                (Fault::ResetAfter, 0.02),
                (Fault::HalfBody, 0.01),
                (Fault::Malformed, 0.01),
            ],
        ));
        let (report, _) = deliver_to(&server, SyncMode::Upsert, &adds(500)).await;
        assert_eq!(report.counters.delivered, 500, "{seed} {report:?}");
        let records = server.records("contacts");
        assert_eq!(records.len(), 500);
        assert_eq!(server.applied(), 500, "{seed}");
    }
}

#[tokio::test]
async fn credentials_that_are_refused_stop_the_delivery() {
    let server = Loopback::start().await.unwrap();
    server.require("Bearer other");
    let (report, _) = deliver_to(&server, SyncMode::Upsert, &adds(20)).await;
    assert_eq!(
        (report.counters.delivered, report.requests),
        (0, 1),
        "{report:?}"
    );
    let refused = destination_for(server.url(), SyncMode::Upsert, &FakeClock::new())
        .check()
        .await;
    assert!(
        matches!(refused, Err(DestinationError::Unauthorized { .. })),
        "{refused:?}"
    );
}

#[test]
fn what_the_manifest_does_not_have_is_refused_before_anything_is_sent() {
    let account = |url: &str| {
        let options = AccountOptions {
            parameters: vec![
                ("url".to_owned(), Secret::new(url)),
                ("token".to_owned(), Secret::new("swordfish")),
            ],
            ..AccountOptions::default()
        };
        Account::new(
            manifest(),
            options,
            Arc::new(MemoryTokenStore::new()),
            Arc::new(SystemClock::new()),
        )
    };
    let refusal = |target: Target| {
        let made = ManifestDestination::new(account("https://a.example").unwrap(), &target);
        made.map(|_| ())
            .map_err(|error| error.to_string())
            .unwrap_err()
    };
    let unknown = refusal(Target {
        object: "contacs".to_owned(),
        ..target(SyncMode::Upsert)
    });
    assert!(unknown.contains("did you mean `contacts`?"), "{unknown}");
    let argument = refusal(Target {
        object: "contacts/7".to_owned(),
        ..target(SyncMode::Upsert)
    });
    assert!(
        argument.contains("must have the form `contacts`"),
        "{argument}"
    );
    let mode = refusal(target(SyncMode::Append));
    assert!(mode.contains("mode `append`"), "{mode}");
    let missing = Account::new(
        manifest(),
        AccountOptions::default(),
        Arc::new(MemoryTokenStore::new()),
        Arc::new(SystemClock::new()),
    );
    let missing = missing.unwrap_err().to_string();
    assert!(
        missing.contains("`url`") && missing.contains("it is missing: The address."),
        "{missing}"
    );
}

#[tokio::test]
async fn jobs_end_as_the_destination_says_whatever_happens_to_the_questions() {
    for seed in 0..4 {
        let server = Loopback::start().await.unwrap();
        server.require("Bearer swordfish");
        server.refuse(
            [json!({"id": "p3"}), json!({"id": "p17"})],
            Rejection::PerRow,
        );
        server.accept_jobs(JobOptions {
            seed,
            lost: 0.1,
            failed: 0.1,
            faults: Script::seeded(
                seed,
                [
                    (Fault::Status(500), 0.05),
                    (Fault::RetryAfter(429, "3".to_owned()), 0.05),
                    (Fault::HalfBody, 0.05),
                    (Fault::ResetAfter, 0.05),
                ],
            ),
            ..JobOptions::default()
        });
        let clock = FakeClock::new();
        let log = MemoryLog::new();
        let run = Arc::new(Run {
            sync: "winback_crm".to_owned(),
            run_id: "run-1".to_owned(),
            mode: SyncMode::Upsert,
        });
        let plan = adds(60);
        let mut policy = policy();
        // So that no row is unlucky so often.
        policy.retry.max_attempts = 12;
        let report = deliver(
            &run,
            &mut MemorySource::new(plan.clone()),
            &destination_of(with_jobs(), server.url(), SyncMode::Upsert, &clock),
            &mut log.clone(),
            &policy,
            &clock,
            &Budget::unlimited(),
            &CancelToken::new(),
        )
        .await;
        assert!(report.counters.add_up(), "{report:?}");
        assert!(report.polls > 0);
        let records = server.records("contacts");
        for change in &plan {
            let stored = records.get(change.key.as_str()).cloned();
            match log.outcomes().get(&change.seq) {
                Some(Outcome::Delivered) => {
                    assert_eq!(stored, change.fields.parse(), "{}", change.seq)
                }
                Some(Outcome::Rejected { .. }) => assert_eq!(stored, None, "{}", change.seq),
                other => panic!("{seed}: row {} is {other:?}", change.seq),
            }
        }
        assert!(report.counters.delivered > 40, "{report:?}");
    }
}
