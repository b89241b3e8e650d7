//! Batches that a destination accepts as jobs: laws under random ends, faults, limits and crashes.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use kinfold_project::SyncMode;
use kinfold_sync::{
    Budget, CancelToken, Change, DeliveryPolicy, DeliveryReport, Destination, Outcome, deliver,
};
use kinfold_testkit::{
    FakeClock, JobBehaviour, MemoryBehaviour, MemoryJobDestination, MemoryLog, MemorySource,
};
use proptest::prelude::*;

use crate::laws::{any_plans, crash_after, expected, passing_faults, some_keys};
use crate::setting::{block_on, policy, run_of};

/// Delivers what the log leaves of a plan.
async fn resume(
    plan: &[Change],
    destination: &dyn Destination,
    log: &MemoryLog,
    policy: &DeliveryPolicy,
    cancel: &CancelToken,
) -> DeliveryReport {
    deliver(
        &run_of(SyncMode::Mirror),
        &mut MemorySource::resumed(plan, log),
        destination,
        &mut log.clone(),
        policy,
        &FakeClock::new(),
        &Budget::unlimited(),
        cancel,
    )
    .await
}

async fn run(
    plan: &[Change],
    destination: &dyn Destination,
    log: &MemoryLog,
    policy: &DeliveryPolicy,
) -> DeliveryReport {
    resume(plan, destination, log, policy, &CancelToken::new()).await
}

/// A policy that gives up nothing.
fn patient(max_rows: usize, concurrency: usize) -> DeliveryPolicy {
    let mut policy = policy(max_rows, concurrency);
    policy.retry.max_attempts = 100;
    policy.retry.max_elapsed = Duration::from_secs(10_000_000);
    policy.max_throttle = Duration::from_secs(10_000_000);
    policy.jobs.patience = Duration::from_secs(10_000_000);
    policy
}

fn behaviours() -> impl Strategy<Value = JobBehaviour> {
    (
        any::<u64>(),
        prop_oneof![Just(1.0), 0.2..1.0],
        1_usize..6,
        0_u32..6,
        (0.0..0.2, 0.0..0.3, 0.0..0.3),
        (0.0..0.3, 0.0..0.2),
    )
        .prop_map(
            |(seed, share, max_jobs, most_questions, ends, answers)| JobBehaviour {
                seed,
                share,
                max_jobs,
                most_questions,
                lost: ends.0,
                half: ends.1,
                refused: ends.2,
                no_answer: answers.0,
                rate_limited: answers.1,
            },
        )
}

fn count(outcomes: &BTreeMap<u64, Outcome>, word: &str) -> u64 {
    outcomes.values().filter(|o| o.as_str() == word).count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_ends_as_the_destination_applied_it(
        plan in any_plans(),
        jobs in behaviours(),
        faults in passing_faults(),
        seed: u64,
        max_rows in 1_usize..20,
        concurrency in 1_usize..6,
    ) {
        let bad_keys = some_keys(&plan, 7);
        let rows = MemoryBehaviour { seed, faults, bad_keys: bad_keys.clone(), ..MemoryBehaviour::default() };
        let log = MemoryLog::new();
        let max_jobs = jobs.max_jobs;
        let destination = MemoryJobDestination::new(rows, jobs, &log);
        let report = block_on(run(&plan, &destination, &log, &patient(max_rows, concurrency)));
        let state = destination.state();
        prop_assert!(report.stopped_early.is_none(), "{report:?}");
        prop_assert!(report.counters.add_up());
        prop_assert_eq!(report.counters.outstanding, 0);
        prop_assert_eq!(report.counters.planned, plan.len() as u64);
        prop_assert_eq!(&state.rows, &expected(&plan, &bad_keys));
        prop_assert_eq!(state.violations, Vec::<String>::new());
        prop_assert_eq!(log.violations(), Vec::<String>::new());
        prop_assert_eq!(log.settled_again(), Vec::<u64>::new());
        prop_assert!(log.jobs().is_empty());
        for change in &plan {
            let bad = bad_keys.contains(change.key.as_str());
            let word = log.outcomes().get(&change.seq).map(Outcome::as_str);
            prop_assert_eq!(word, Some(if bad { "rejected" } else { "delivered" }));
        }
        prop_assert!(destination.most_jobs() <= max_jobs);
        prop_assert!(state.most_in_flight <= concurrency);
    }

    #[test]
    fn after_crashes_anywhere_no_recorded_job_is_sent_again_and_nothing_is_lost(
        plan in any_plans(),
        jobs in behaviours(),
        faults in passing_faults(),
        seed: u64,
        max_rows in 1_usize..12,
        concurrency in 1_usize..5,
        crashes in proptest::collection::vec((0_usize..400, any::<bool>()), 1..5),
        log_fails_at in proptest::option::weighted(0.3, 0_usize..12),
    ) {
        let bad_keys = some_keys(&plan, 6);
        let rows = MemoryBehaviour { seed, faults, bad_keys: bad_keys.clone(), ..MemoryBehaviour::default() };
        let log = MemoryLog::new();
        log.fail_at(log_fails_at);
        let mut destination = MemoryJobDestination::new(rows.clone(), jobs, &log);
        let policy = patient(max_rows, concurrency);
        for (polls, impatient) in crashes {
            let mut policy = policy.clone();
            if impatient {
                policy.jobs.patience = Duration::from_secs(4);
            }
            let delivery = run(&plan, &destination, &log, &policy);
            if let Some(report) = block_on(crash_after(polls, delivery)) {
                prop_assert!(report.counters.add_up(), "{report:?}");
            }
            destination = destination.restarted(rows.clone());
        }
        log.fail_at(None);
        // A log that failed stops the run, and so does nothing else here.
        let report = block_on(run(&plan, &destination, &log, &policy));
        let state = destination.state();
        prop_assert!(report.stopped_early.is_none(), "{report:?}");
        prop_assert_eq!(state.violations, Vec::<String>::new());
        prop_assert_eq!(log.violations(), Vec::<String>::new());
        prop_assert_eq!(log.settled_again(), Vec::<u64>::new());
        prop_assert!(log.jobs().is_empty());
        prop_assert_eq!(log.rest_of(&plan), Vec::new());
        prop_assert_eq!(state.rows, expected(&plan, &bad_keys));
    }

    #[test]
    fn counters_add_up_however_a_delivery_with_jobs_ends(
        plan in any_plans(),
        jobs in behaviours(),
        seed: u64,
        max_rows in 1_usize..20,
        concurrency in 1_usize..6,
        attempts in 1_u32..4,
        patience in 1_u64..60,
        idempotent: bool,
        failures in 2_u32..30,
        cancel_at in proptest::option::of(0_usize..400),
        log_fails_at in proptest::option::weighted(0.3, 0_usize..8),
    ) {
        let rows = MemoryBehaviour {
            seed,
            bad_keys: some_keys(&plan, 5),
            idempotent: if idempotent { MemoryBehaviour::default().idempotent } else { Vec::new() },
            ..MemoryBehaviour::default()
        };
        let log = MemoryLog::new();
        log.fail_at(log_fails_at);
        let destination = MemoryJobDestination::new(rows, jobs, &log);
        let mut policy = policy(max_rows, concurrency);
        policy.retry.max_attempts = attempts;
        policy.max_consecutive_failures = failures;
        policy.jobs.patience = Duration::from_secs(patience);
        let cancel = CancelToken::new();
        let report = block_on(async {
            let mut delivery = pin!(resume(&plan, &destination, &log, &policy, &cancel));
            let mut polls = 0;
            loop {
                if cancel_at == Some(polls) {
                    cancel.cancel();
                }
                if let Poll::Ready(report) = futures::poll!(&mut delivery) {
                    return report;
                }
                polls += 1;
                tokio::task::yield_now().await;
            }
        });
        let counters = report.counters;
        prop_assert!(counters.add_up(), "{report:?}");
        prop_assert_eq!(counters.planned, plan.len() as u64);
        let in_jobs: usize = log.jobs().iter().map(|job| job.seqs.len()).sum();
        prop_assert_eq!(counters.outstanding, in_jobs as u64, "{:?}", report);
        let outcomes = log.outcomes();
        prop_assert_eq!(counters.delivered, count(&outcomes, "delivered"));
        prop_assert_eq!(counters.rejected, count(&outcomes, "rejected"));
        if log_fails_at.is_none() {
            prop_assert_eq!(counters.unknown, count(&outcomes, "unknown"));
            prop_assert_eq!(counters.retryable - counters.not_sent, count(&outcomes, "retryable"));
        }
        if counters.outstanding > 0 {
            prop_assert!(report.stopped_early.is_some());
        }
        let state = destination.state();
        prop_assert_eq!(state.violations, Vec::<String>::new());
        prop_assert_eq!(log.violations(), Vec::<String>::new());
        if !idempotent {
            // What may not be repeated was not.
            prop_assert!(state.applied.values().all(|times| *times == 1));
        }
    }
}
