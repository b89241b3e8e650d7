//! A description that the project has not seen becomes a destination that works: what the scaffold makes of
//! `messy.yml`, the lines of `messy.patch` that a person has added, and a server that does what that API does.

mod server;

use std::sync::Arc;

use kinfold_destination::{
    Account, AccountOptions, Manifest, ManifestDestination, MemoryTokenStore,
};
use kinfold_project::SyncMode;
use kinfold_sync::{
    Budget, CancelToken, Change, DeliveryPolicy, DeliveryReport, HttpClientOptions, Operation,
    RetryPolicy, Run, Secret, Target, deliver,
};
use kinfold_testkit::{FakeClock, MemoryLog, MemorySource};
use serde_json::{Value, json};
use url::Url;

use super::*;
use server::{Messy, Wrong};

/// So many lines a person may have to write.
const MOST_LINES: usize = 60;

/// Applies a patch: `-` lines and those without a mark must be in the text, next to each other, exactly once.
fn patched(text: &str, patch: &str) -> String {
    let mut text = text.to_owned();
    for hunk in patch.split("@@\n").skip(1) {
        let side = |other: char| -> String {
            let lines = hunk.lines().filter(|line| !line.starts_with(other));
            lines
                .map(|line| format!("{}\n", line.get(1..).unwrap_or_default()))
                .collect()
        };
        let (old, new) = (side('+'), side('-'));
        assert_eq!(
            text.matches(&old).count(),
            1,
            "{old}\nis not once in\n{text}"
        );
        text = text.replace(&old, &new);
    }
    text
}

async fn manifest() -> Arc<Manifest> {
    let made = scaffold(&api("messy.yml"), "messy", &[]).await.unwrap();
    let patch = document("messy.patch");
    let lines = patch
        .lines()
        .filter(|line| line.starts_with(['+', '-']))
        .count();
    assert!(lines < MOST_LINES, "{lines}");
    let text = patched(file(&made, "manifest.yml"), &patch);
    let folder = read([("manifest.yml", text.as_str())]);
    assert!(!folder.has_errors(), "{:?}\n{text}", folder.diagnostics);
    Arc::new(folder.manifest.unwrap())
}

fn destination(manifest: &Arc<Manifest>, server: &Messy, clock: &FakeClock) -> ManifestDestination {
    let options = AccountOptions {
        parameters: vec![
            ("tenant".to_owned(), Secret::new("acme")),
            ("messy_key".to_owned(), Secret::new(server::KEY)),
        ],
        http: HttpClientOptions {
            timeout: Duration::from_secs(10),
            direct: true,
            ..HttpClientOptions::default()
        },
        reroute: Some(Url::parse(&server.url).unwrap()),
        now: None,
    };
    let store = Arc::new(MemoryTokenStore::new());
    // The clock of the delivery: both wait for the same limits.
    let clock = Arc::new(clock.clone());
    let account = Account::new(Arc::clone(manifest), options, store, clock).unwrap();
    let target = Target {
        object: "contacts".to_owned(),
        mode: SyncMode::Mirror,
        deletes: true,
        key_fields: vec!["email_addr".to_owned()],
        fields: vec!["given".to_owned(), "points".to_owned()],
    };
    ManifestDestination::new(account, &target).unwrap()
}

/// A row; every eleventh has no address.
fn row(seq: u64, operation: Operation) -> Change {
    let address = match seq % 11 {
        10 => format!("nobody-{seq}"),
        _ => format!("P{seq}@example.com"),
    };
    let fields = json!({"given": format!("Person {seq}"), "points": seq});
    let mut change = kinfold_testkit::change(seq, operation, "", fields);
    change.key = kinfold_sync::ObjectText::new(json!({"email_addr": address}).to_string()).unwrap();
    change
}

async fn delivered(
    destination: &ManifestDestination,
    clock: &FakeClock,
    run: &str,
    plan: &[Change],
) -> (DeliveryReport, MemoryLog) {
    let log = MemoryLog::new();
    let run = Arc::new(Run {
        sync: "contacts".to_owned(),
        run_id: run.to_owned(),
        mode: SyncMode::Mirror,
    });
    let policy = DeliveryPolicy {
        max_rows: 50,
        concurrency: 2,
        concurrency_start: 1,
        retry: RetryPolicy {
            max_attempts: 12,
            max_elapsed: Duration::from_secs(600),
            base: Duration::from_millis(500),
            max_wait: Duration::from_secs(8),
        },
        max_throttle: Duration::from_secs(6_000),
        max_consecutive_failures: 1_000,
        ..DeliveryPolicy::default()
    };
    let report = deliver(
        &run,
        &mut MemorySource::new(plan.to_vec()),
        destination,
        &mut log.clone(),
        &policy,
        clock,
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    assert!(report.counters.add_up(), "{report:?}");
    (report, log)
}

#[tokio::test]
async fn an_unknown_api_is_written_to_with_a_few_lines() {
    let manifest = manifest().await;
    let mut unmet = Wrong::ALL.to_vec();
    for seed in 0..4 {
        let server = Messy::start(seed).await;
        let clock = FakeClock::new();
        let destination = destination(&manifest, &server, &clock);
        kinfold_sync::Destination::check(&destination)
            .await
            .unwrap();
        let plan: Vec<Change> = (0..120).map(|seq| row(seq, Operation::Add)).collect();
        let bad = (0..120).filter(|seq| seq % 11 == 10).count() as u64;
        let (report, log) = delivered(&destination, &clock, "run-1", &plan).await;
        assert_eq!(
            (report.counters.delivered, report.counters.rejected),
            (120 - bad, bad),
            "{seed} {report:?}"
        );
        for (seq, outcome) in log.outcomes() {
            assert_eq!(
                outcome.is_delivered(),
                seq % 11 != 10,
                "{seed} {seq} {outcome:?}"
            );
            let named = outcome
                .failure()
                .is_none_or(|(_, message)| message.contains("no address"));
            assert!(named, "{outcome:?}");
        }
        let expected =
            |seq: u64| json!({"given": format!("Person {seq}"), "props": {"points": seq}});
        let good = |from: u64| -> Vec<(String, Value)> {
            let good = (from..120).filter(|seq| seq % 11 != 10);
            let mut rows: Vec<_> = good
                .map(|seq| (format!("p{seq}@example.com"), expected(seq)))
                .collect();
            rows.sort_by(|left, right| left.0.cmp(&right.0));
            rows
        };
        assert_eq!(server.contacts(), good(0), "{seed}");

        // The first half leaves; two of them are gone already.
        server.forget(["p3@example.com", "p7@example.com"]);
        let plan: Vec<Change> = (0..60)
            .filter(|seq| seq % 11 != 10)
            .map(|seq| row(seq, Operation::Remove))
            .collect();
        let (report, _) = delivered(&destination, &clock, "run-2", &plan).await;
        assert_eq!(
            report.counters.delivered,
            plan.len() as u64,
            "{seed} {report:?}"
        );
        assert_eq!(server.contacts(), good(60), "{seed}");
        unmet.retain(|kind| !server.met(*kind));
    }
    assert!(unmet.is_empty(), "not met: {unmet:?}");
}

#[tokio::test]
async fn what_the_scaffold_makes_of_it_is_sound_before_anybody_has_touched_it() {
    let made = scaffold(&api("messy.yml"), "messy", &[]).await.unwrap();
    assert_eq!(wrong(&made).await, Vec::<String>::new());
    assert!(
        file(&made, "exchanges/upsert.yml")
            .contains("outcomes: [delivered, {rejected: invalid_row")
    );
    assert!(
        made.files
            .iter()
            .any(|(name, _)| name == "exchanges/delete.yml")
    );
}
