//! Calls that were answered are not made again because a later one was not.

use std::sync::Arc;
use std::time::Duration;

use kinfold_destination::{Account, AccountOptions, ManifestDestination, MemoryTokenStore, read};
use kinfold_project::SyncMode;
use kinfold_sync::{
    Budget, CancelToken, Change, DeliveryPolicy, HttpClientOptions, Operation, Run, Target, deliver,
};
use kinfold_testkit::{
    FakeClock, Fault, Kind, MemoryLog, MemorySource, Script, Vendor, VendorAnswer, VendorApi,
    VendorRequest, change,
};
use serde_json::json;

const MANIFEST: &str = r#"
version: 1
name: desk
title: Desk
about: Finds a record and changes it.
base_url: https://desk.example
rules: [{status: 429, is: throttled, wait: 60}]
objects:
  records:
    about: Records.
    upsert: &find_and_write
      rows: 1
      calls:
        - {get: "/find/{{ row.key.id }}", keep: {id: $.id}}
        - {post: "/write/{{ kept.id | default('new') }}", json: "{{ row.fields }}"}
    delete: *find_and_write
  jobs:
    about: Records, by jobs.
    upsert:
      rows: 100
      calls:
        - {post: /make, json: {}, keep: {job: $.id}}
        - {put: "/upload/{{ kept.job }}", json: {$each: rows, $item: "{{ row.key }}"}}
      job:
        poll: {get: "/ask/{{ kept.job }}", rules: [{status: 200, if: $.over != true, is: pending}]}
        results:
          - {get: /taken, rows: {items: $.ids, item: $, row: row.key.id}}
          - {get: /refused, rows: {items: $.ids, item: $, row: row.key.id, rules: [{is: rejected, message: "'no'"}]}}
        unnamed: unknown
"#;

/// Knows records or not, and takes everything.
struct Desk {
    found: bool,
}

impl VendorApi for Desk {
    fn kind(&self, request: &VendorRequest) -> Kind {
        let words = ["find", "write", "make", "upload", "ask", "taken", "refused"];
        let is_it = |word: &&&str| request.path.contains(&format!("/desk.example/{word}"));
        Kind {
            word: words.iter().find(is_it).unwrap(),
            rows: Vec::new(),
        }
    }

    fn arrived(&mut self, _: &VendorRequest, _: usize) -> Vec<String> {
        Vec::new()
    }

    fn answer(&mut self, request: &VendorRequest) -> VendorAnswer {
        let id = self.found.then_some("7");
        let body = match self.kind(request).word {
            "ask" => json!({"over": true}),
            "taken" => json!({"ids": ["p0", "p2"]}),
            "refused" => json!({"ids": ["p1"]}),
            "make" => json!({"id": "j1"}),
            _ => json!({"id": id}),
        };
        VendorAnswer::json(200, &body)
    }

    fn throttle(&mut self, request: &VendorRequest) -> (VendorAnswer, Duration) {
        let until = request.at + Duration::from_secs(60);
        (VendorAnswer::json(429, &json!({})), until)
    }
}

/// The requests of a delivery in which the second, or a later one, meets a fault.
async fn requests(
    object: &str,
    found: bool,
    plan: Vec<Change>,
    script: Vec<Option<Fault>>,
) -> Vec<&'static str> {
    let clock = FakeClock::new();
    let vendor = Vendor::start(Desk { found }, Script::sequence(script), 1, &clock);
    let vendor = vendor.await.unwrap();
    let folder = read([("manifest.yml", MANIFEST)]);
    assert!(!folder.has_errors(), "{:?}", folder.diagnostics);
    let options = AccountOptions {
        http: HttpClientOptions {
            timeout: Duration::from_secs(10),
            ..HttpClientOptions::default()
        },
        reroute: vendor.url().parse().ok(),
        ..AccountOptions::default()
    };
    let manifest = Arc::new(folder.manifest.unwrap());
    let store = Arc::new(MemoryTokenStore::new());
    let account = Account::new(manifest, options, store, Arc::new(clock.clone())).unwrap();
    let target = Target {
        object: object.to_owned(),
        mode: SyncMode::Upsert,
        deletes: object == "records",
        key_fields: vec!["id".to_owned()],
        fields: vec!["n".to_owned()],
    };
    let destination = ManifestDestination::new(account, &target).unwrap();
    let run = Arc::new(Run {
        sync: "s".to_owned(),
        run_id: "run-1".to_owned(),
        mode: SyncMode::Upsert,
    });
    let rows = plan.len() as u64;
    let report = deliver(
        &run,
        &mut MemorySource::new(plan),
        &destination,
        &mut MemoryLog::new(),
        &DeliveryPolicy::default(),
        &clock,
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    let counters = report.counters;
    assert_eq!(counters.delivered + counters.rejected, rows, "{report:?}");
    assert_eq!(vendor.violations(), Vec::<String>::new());
    let log = vendor.log();
    log.iter().map(|entry| entry.kind.word).collect()
}

fn row(operation: Operation) -> Vec<Change> {
    vec![change(0, operation, "p0", json!({"n": 1}))]
}

#[tokio::test]
async fn what_was_looked_up_is_looked_up_again_only_if_it_may_have_changed() {
    let goes_on = ["find", "write", "write"];
    let begins_again = ["find", "write", "find", "write"];
    for (fault, found, operation, expected) in [
        // Nothing was done.
        (Fault::Status(429), false, Operation::Add, &goes_on[..]),
        (Fault::Status(429), true, Operation::Remove, &goes_on),
        // It was found, and changing it does not lose it.
        (Fault::Status(500), true, Operation::Update, &goes_on),
        (Fault::ResetAfter, true, Operation::Update, &goes_on),
        // It may be there now, or gone.
        (Fault::Status(500), false, Operation::Add, &begins_again),
        (Fault::ResetAfter, true, Operation::Remove, &begins_again),
    ] {
        let came = requests(
            "records",
            found,
            row(operation),
            vec![None, Some(fault.clone())],
        );
        assert_eq!(came.await, expected, "{fault:?} {found} {operation:?}");
    }
}

#[tokio::test]
async fn a_job_is_made_again_only_if_its_rows_may_have_been_sent() {
    let plan = || -> Vec<Change> {
        let rows = 0..3;
        rows.map(|seq| change(seq, Operation::Add, &format!("p{seq}"), json!({"n": 1})))
            .collect()
    };
    let end = ["ask", "taken", "refused"];
    for (fault, begin) in [
        (Fault::Status(429), &["make", "upload", "upload"][..]),
        (Fault::Status(503), &["make", "upload", "make", "upload"]),
    ] {
        let came = requests("jobs", true, plan(), vec![None, Some(fault.clone())]).await;
        assert_eq!(came, [begin, &end].concat(), "{fault:?}");
    }
    // Results that came are not fetched again, nor is it asked again whether the job is over.
    for fault in [Fault::Status(429), Fault::Status(500), Fault::HalfBody] {
        let script = vec![None, None, None, None, Some(fault.clone())];
        let came = requests("jobs", true, plan(), script).await;
        let expected = ["make", "upload", "ask", "taken", "refused", "refused"];
        assert_eq!(came, expected, "{fault:?}");
    }
}
