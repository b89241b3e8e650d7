//! Jobs over HTTP, on real sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use kinfold_project::SyncMode;
use kinfold_sync::{
    Budget, CancelToken, Change, DeliveryPolicy, DeliveryReport, FailureClass, HttpDestination,
    HttpOptions, Outcome, Secret, StoppedEarly, Target, deliver,
};
use kinfold_testkit::{FakeClock, Fault, JobOptions, Loopback, MemoryLog, MemorySource, Script};

use crate::setting::{adds, policy, run_of};

fn destination(server: &Loopback, mode: SyncMode, max_jobs: usize) -> HttpDestination {
    let target = Target {
        object: "contacts".to_owned(),
        mode,
        deletes: false,
        key_fields: vec!["id".to_owned()],
        fields: vec!["name".to_owned(), "n".to_owned()],
    };
    let mut options = HttpOptions::new(format!("{}?tenant=7", server.url()));
    options.timeout = Duration::from_secs(5);
    options.max_jobs = max_jobs;
    let token = Secret::new("Bearer swordfish");
    options.headers.push(("authorization".to_owned(), token));
    HttpDestination::new(options, &target).unwrap()
}

async fn run(
    server: &Loopback,
    mode: SyncMode,
    plan: &[Change],
    log: &MemoryLog,
    policy: &DeliveryPolicy,
) -> DeliveryReport {
    let report = deliver(
        &run_of(mode),
        &mut MemorySource::resumed(plan, log),
        &destination(server, mode, 3),
        &mut log.clone(),
        policy,
        &FakeClock::new(),
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    assert!(report.counters.add_up(), "{report:?}");
    assert_eq!(log.violations(), Vec::<String>::new());
    report
}

/// Every outcome in the log is what the receiver has.
fn assert_told_the_truth(server: &Loopback, plan: &[Change], log: &MemoryLog, what: &str) {
    let (records, outcomes) = (server.records("contacts"), log.outcomes());
    for change in plan {
        let stored = records.get(change.key.as_str());
        let outcome = outcomes.get(&change.seq).map(Outcome::as_str);
        let expected = match outcome {
            Some("delivered") => change.fields.parse(),
            _ => None,
        };
        assert_eq!(stored.cloned(), expected, "row {}: {what}", change.seq);
        assert!(
            matches!(outcome, Some("delivered" | "rejected")),
            "row {} has {outcome:?}: {what}",
            change.seq
        );
    }
}

/// Names of the batches that arrived, one for each request.
fn names(server: &Loopback) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests
        .filter_map(|request| request.headers.get("idempotency-key").cloned())
        .collect()
}

fn lasting() -> DeliveryPolicy {
    let mut policy = policy(5, 3);
    policy.retry.max_attempts = 100;
    policy.retry.max_elapsed = Duration::from_secs(1_000_000);
    policy.max_throttle = Duration::from_secs(1_000_000);
    policy.jobs.patience = Duration::from_secs(1_000_000);
    policy
}

#[tokio::test]
async fn an_accepted_batch_is_asked_about_where_the_receiver_says() {
    let server = Loopback::start().await.unwrap();
    server.require("Bearer swordfish");
    server.accept_jobs(JobOptions::default());
    let (plan, log) = (adds(20), MemoryLog::new());
    let report = run(&server, SyncMode::Upsert, &plan, &log, &lasting()).await;
    assert!(report.stopped_early.is_none(), "{report:?}");
    assert_eq!((report.jobs, report.requests, report.batches), (4, 4, 4));
    assert_eq!(report.counters.delivered, 20);
    assert_told_the_truth(&server, &plan, &log, "");
    let questions = server.questions();
    assert_eq!(report.polls, questions.len() as u64);
    for (address, headers) in &questions {
        assert!(address.starts_with("/contacts/jobs/") && address.ends_with("?tenant=7"));
        assert_eq!(
            headers.get("authorization").map(String::as_str),
            Some("Bearer swordfish")
        );
    }
}

#[tokio::test]
async fn without_the_option_an_accepted_batch_is_delivered() {
    let server = Loopback::start().await.unwrap();
    server.accept_jobs(JobOptions::default());
    let log = MemoryLog::new();
    let report = deliver(
        &run_of(SyncMode::Upsert),
        &mut MemorySource::new(adds(5)),
        &destination(&server, SyncMode::Upsert, 0),
        &mut log.clone(),
        &lasting(),
        &FakeClock::new(),
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    assert_eq!((report.counters.delivered, report.jobs), (5, 0));
    assert!(server.questions().is_empty());
}

#[tokio::test]
async fn whatever_becomes_of_jobs_and_questions_each_row_ends_as_the_receiver_applied_it() {
    for seed in 0..24 {
        let server = Loopback::start().await.unwrap();
        let faults = [
            (Fault::Status(500), 0.05),
            (Fault::RetryAfter(429, "2".to_owned()), 0.05),
            (Fault::RetryAfter(503, "1".to_owned()), 0.05),
            (Fault::StatusAfter(502), 0.05),
            (Fault::ResetBefore, 0.05),
            (Fault::ResetAfter, 0.05),
            (Fault::HalfBody, 0.05),
            (Fault::Malformed, 0.05),
        ];
        server.accept_jobs(JobOptions {
            seed,
            most_questions: 4,
            lost: 0.1,
            failed: 0.1,
            faults: Script::seeded(seed, faults),
        });
        let (plan, log) = (adds(40), MemoryLog::new());
        let report = run(&server, SyncMode::Upsert, &plan, &log, &lasting()).await;
        assert!(report.stopped_early.is_none(), "seed {seed}: {report:?}");
        assert_eq!(report.counters.outstanding, 0, "seed {seed}");
        assert_told_the_truth(&server, &plan, &log, &format!("seed {seed}"));
    }
}

#[tokio::test]
async fn wherever_storage_fails_a_recorded_job_is_not_sent_again() {
    let mut resumed = 0;
    for fails_at in 0.. {
        let server = Loopback::start().await.unwrap();
        server.accept_jobs(JobOptions {
            seed: fails_at,
            ..JobOptions::default()
        });
        let (plan, log) = (adds(25), MemoryLog::new());
        log.fail_at(usize::try_from(fails_at).ok());
        let first = run(&server, SyncMode::Upsert, &plan, &log, &lasting()).await;
        let recorded: BTreeSet<String> =
            log.jobs().iter().map(|job| job.batch.to_string()).collect();
        let rows: u64 = log.jobs().iter().map(|job| job.seqs.len() as u64).sum();
        assert_eq!(first.counters.outstanding, rows, "call {fails_at}");
        if first.stopped_early.is_none() {
            assert!(fails_at > 3 && resumed > 3);
            break;
        }
        assert!(matches!(first.stopped_early, Some(StoppedEarly::Log(_))));
        resumed += recorded.len();
        let before = names(&server).len();
        let second = run(&server, SyncMode::Upsert, &plan, &log, &lasting()).await;
        assert!(second.stopped_early.is_none(), "{second:?}");
        let again = names(&server).split_off(before);
        assert!(
            !again.iter().any(|name| recorded.contains(name)),
            "call {fails_at}"
        );
        assert_told_the_truth(&server, &plan, &log, &format!("call {fails_at}"));
    }
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_left_to_the_next_run() {
    let server = Loopback::start().await.unwrap();
    server.accept_jobs(JobOptions {
        most_questions: u32::MAX,
        ..JobOptions::default()
    });
    let (plan, log) = (adds(20), MemoryLog::new());
    let mut policy = lasting();
    policy.jobs.patience = Duration::from_secs(90);
    let report = run(&server, SyncMode::Upsert, &plan, &log, &policy).await;
    // Three jobs are the most at a time, so the fourth batch was never sent.
    let counters = report.counters;
    assert_eq!(
        (counters.outstanding, counters.not_sent),
        (15, 5),
        "{report:?}"
    );
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::JobsOutstanding { jobs: 3, rows: 15 })
    ));
    // Waits double: 1 + 2 + 4 + … up to 90 s, each shortened by at most a half.
    assert!((18..=39).contains(&report.polls), "{}", report.polls);
    server.hurry_jobs();
    let report = run(&server, SyncMode::Upsert, &plan, &log, &lasting()).await;
    assert_eq!(
        (report.counters.delivered, report.requests),
        (20, 1),
        "{report:?}"
    );
    assert_told_the_truth(&server, &plan, &log, "");
}

#[tokio::test]
async fn a_job_that_nobody_knows_is_sent_again_only_if_that_is_harmless() {
    for (mode, outcome) in [
        (SyncMode::Upsert, "delivered"),
        (SyncMode::Insert, "unknown"),
    ] {
        let server = Loopback::start().await.unwrap();
        server.accept_jobs(JobOptions {
            most_questions: u32::MAX,
            ..JobOptions::default()
        });
        let (plan, log) = (adds(5), MemoryLog::new());
        let mut policy = lasting();
        policy.jobs.patience = Duration::ZERO;
        let report = run(&server, mode, &plan, &log, &policy).await;
        assert_eq!(report.counters.outstanding, 5);
        server.accept_jobs(JobOptions {
            most_questions: 0,
            ..JobOptions::default()
        });
        server.forget_jobs();
        let report = run(&server, mode, &plan, &log, &lasting()).await;
        assert_eq!(report.requests, u64::from(mode == SyncMode::Upsert));
        for (seq, found) in log.outcomes() {
            assert_eq!(found.as_str(), outcome, "row {seq}");
            let class = found.failure().map(|(class, _)| class);
            let expected = (mode == SyncMode::Insert).then_some(FailureClass::JobLost);
            assert_eq!(class, expected);
        }
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_the_credentials_of_a_question_keeps_its_jobs() {
    let server = Loopback::start().await.unwrap();
    server.accept_jobs(JobOptions {
        faults: Script::sequence([None, Some(Fault::Status(401))]),
        most_questions: u32::MAX,
        ..JobOptions::default()
    });
    let (plan, log) = (adds(5), MemoryLog::new());
    let report = run(&server, SyncMode::Upsert, &plan, &log, &lasting()).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Refused {
            class: FailureClass::Unauthorized,
            ..
        })
    ));
    assert_eq!((report.counters.outstanding, report.polls), (5, 2));
    assert_eq!(log.jobs().len(), 1);
}
