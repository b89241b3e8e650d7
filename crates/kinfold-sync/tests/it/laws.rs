//! The invariants of a delivery, under random plans, limits, faults and crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use kinfold_project::SyncMode;
use kinfold_sync::{
    Budget, CancelToken, Change, DeliveryReport, ErrorRate, Operation, Outcome, StoppedEarly,
    deliver,
};
use kinfold_testkit::{
    FakeClock, MemoryBehaviour, MemoryDestination, MemoryFault, MemoryLog, MemorySource, change,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::setting::{block_on, deliver_plan, policy, run_of};

pub type Rows = BTreeMap<String, Map<String, Value>>;

/// Removals, then adds and updates; every key once.
pub fn plans() -> impl Strategy<Value = Vec<Change>> {
    (
        proptest::collection::btree_set(0_u32..60, 0..15),
        proptest::collection::btree_map(100_u32..160, 0_u32..5, 0..50),
        any::<u64>(),
    )
        .prop_map(|(leaving, staying, order)| {
            let mut staying: Vec<(u32, u32)> = staying.into_iter().collect();
            // Any order of the rows that stay: rotated and, for odd numbers, turned round.
            if !staying.is_empty() {
                let turn = usize::try_from(order % staying.len() as u64).unwrap();
                staying.rotate_left(turn);
            }
            if order % 2 == 1 {
                staying.reverse();
            }
            let leaving = leaving
                .into_iter()
                .map(|id| (Operation::Remove, id, json!({})));
            let staying = staying.into_iter().map(|(id, value)| {
                let operation = if value % 2 == 0 {
                    Operation::Add
                } else {
                    Operation::Update
                };
                (operation, id, json!({"value": value}))
            });
            number(leaving.chain(staying))
        })
}

/// Adds and updates in which keys come again and again.
pub fn repetitive_plans() -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec((0_u32..12, 0_u32..100, any::<bool>()), 0..60).prop_map(|rows| {
        number(rows.into_iter().map(|(id, value, other)| {
            let field = if other { "other" } else { "value" };
            (Operation::Update, id, json!({field: value}))
        }))
    })
}

fn number(rows: impl Iterator<Item = (Operation, u32, Value)>) -> Vec<Change> {
    (0..)
        .zip(rows)
        .map(|(seq, (operation, id, fields))| change(seq, operation, &id.to_string(), fields))
        .collect()
}

/// What the destination holds after the plan, without faults and one row at a time.
pub fn expected(plan: &[Change], bad_keys: &BTreeSet<String>) -> Rows {
    let mut rows = Rows::new();
    for change in plan.iter().filter(|c| !bad_keys.contains(c.key.as_str())) {
        if change.operation == Operation::Remove {
            rows.remove(change.key.as_str());
        } else {
            rows.entry(change.key.as_str().to_owned())
                .or_default()
                .extend(change.fields.parse().unwrap());
        }
    }
    rows
}

/// Plans of both kinds.
pub fn any_plans() -> impl Strategy<Value = Vec<Change>> {
    prop_oneof![plans(), repetitive_plans()]
}

/// Faults after which trying again helps.
pub fn passing_faults() -> impl Strategy<Value = Vec<(MemoryFault, f64)>> {
    (0.0..0.3, 0.0..0.2, 0.0..0.2, 0.0..0.2, 0.0..0.2).prop_map(
        |(limited, transient, after, before, half)| {
            vec![
                (MemoryFault::RateLimited, limited),
                (MemoryFault::Transient, transient),
                (MemoryFault::LostAfter, after),
                (MemoryFault::LostBefore, before),
                (MemoryFault::HalfRetryable, half),
            ]
        },
    )
}

fn any_faults() -> impl Strategy<Value = Vec<(MemoryFault, f64)>> {
    (passing_faults(), 0.0..0.1, 0.0..0.05).prop_map(|(mut faults, unreachable, fatal)| {
        faults.push((MemoryFault::Unreachable, unreachable));
        faults.push((MemoryFault::Fatal, fatal));
        faults
    })
}

pub fn some_keys(plan: &[Change], every: usize) -> BTreeSet<String> {
    plan.iter()
        .step_by(every.max(1))
        .map(|change| change.key.as_str().to_owned())
        .collect()
}

fn count(outcomes: &BTreeMap<u64, Outcome>, word: &str) -> u64 {
    outcomes.values().filter(|o| o.as_str() == word).count() as u64
}

/// Polls a delivery so many times and then drops it where it is: a crash.
pub async fn crash_after(
    polls: usize,
    delivery: impl Future<Output = DeliveryReport>,
) -> Option<DeliveryReport> {
    let mut delivery = pin!(delivery);
    for _ in 0..polls {
        if let Poll::Ready(report) = futures::poll!(&mut delivery) {
            return Some(report);
        }
        tokio::task::yield_now().await;
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counters_add_up_however_a_delivery_ends(
        plan in plans(),
        faults in any_faults(),
        seed: u64,
        max_rows in 1_usize..20,
        concurrency in 1_usize..6,
        attempts in 1_u32..4,
        idempotent: bool,
        attributes: bool,
        cancel_at in proptest::option::of(0_usize..200),
        log_fails_at in proptest::option::weighted(0.2, 0_usize..6),
        max_errors in proptest::option::of((0.0..0.5, 0_u64..6)),
        source_fails_after in proptest::option::weighted(0.2, 0_usize..50),
    ) {
        let behaviour = MemoryBehaviour {
            seed,
            faults,
            bad_keys: some_keys(&plan, 5),
            attributes,
            idempotent: if idempotent { MemoryBehaviour::default().idempotent } else { Vec::new() },
            ..MemoryBehaviour::default()
        };
        let destination = MemoryDestination::new(behaviour);
        let log = MemoryLog::new();
        log.fail_at(log_fails_at);
        let mut policy = policy(max_rows, concurrency);
        policy.retry.max_attempts = attempts;
        policy.max_consecutive_failures = 6;
        policy.max_error_rate = max_errors.map(|(share, min_rows)| ErrorRate { share, min_rows });
        policy.concurrency_start = 1 + usize::try_from(seed % 4).unwrap();
        let cancel = CancelToken::new();
        let clock = FakeClock::new();
        let mut source = MemorySource::new(plan.clone());
        if let Some(limit) = source_fails_after {
            source = source.failing_after(limit);
        }
        let report = block_on(async {
            let run = run_of(SyncMode::Mirror);
            let mut acknowledgements = log.clone();
            let budget = Budget::unlimited();
            let mut delivery = pin!(deliver(
                &run, &mut source, &destination, &mut acknowledgements, &policy, &clock, &budget, &cancel,
            ));
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
        let unreadable = matches!(report.stopped_early, Some(StoppedEarly::Source(_)));
        if source_fails_after.is_none() {
            prop_assert_eq!(counters.planned, plan.len() as u64);
            prop_assert!(!unreadable);
        }
        // What is counted is what is recorded.
        let outcomes = log.outcomes();
        prop_assert_eq!(counters.delivered, count(&outcomes, "delivered"));
        prop_assert_eq!(counters.rejected, count(&outcomes, "rejected"));
        if log_fails_at.is_none() {
            prop_assert_eq!(counters.unknown, count(&outcomes, "unknown"));
            prop_assert_eq!(
                counters.retryable - counters.not_sent,
                count(&outcomes, "retryable")
            );
        }
        // Nothing counts as delivered that was not applied.
        let state = destination.state();
        for (seq, outcome) in &outcomes {
            if outcome.is_delivered() {
                prop_assert!(state.applied.contains_key(seq));
            }
        }
        if report.stopped_early.is_none() {
            prop_assert_eq!(counters.not_sent, 0);
        }
        prop_assert_eq!(state.violations, Vec::<String>::new());
        prop_assert!(state.most_in_flight <= concurrency);
        prop_assert_eq!(state.most_in_flight, report.max_in_flight);
        prop_assert!((1..=concurrency).contains(&report.limit));
    }

    #[test]
    fn limits_and_faults_that_pass_do_not_change_the_result(
        plan in plans(),
        faults in passing_faults(),
        seed: u64,
        max_rows in 1_usize..30,
        concurrency in 1_usize..8,
    ) {
        let bad_keys = some_keys(&plan, 7);
        let destination = MemoryDestination::new(MemoryBehaviour {
            seed,
            faults,
            bad_keys: bad_keys.clone(),
            ..MemoryBehaviour::default()
        });
        let log = MemoryLog::new();
        let mut policy = policy(max_rows, concurrency);
        policy.retry.max_attempts = 100;
        policy.retry.max_elapsed = Duration::from_secs(1_000_000);
        policy.max_throttle = Duration::from_secs(1_000_000);
        let report = block_on(deliver_plan(SyncMode::Mirror, &plan, &destination, &log, &policy));
        let state = destination.state();
        prop_assert!(report.stopped_early.is_none());
        prop_assert_eq!(state.rows, expected(&plan, &bad_keys));
        prop_assert_eq!(report.counters.rejected, bad_keys.len() as u64);
        prop_assert_eq!(report.counters.delivered, (plan.len() - bad_keys.len()) as u64);
        prop_assert_eq!(state.violations, Vec::<String>::new());
        prop_assert!(state.finished);
    }

    #[test]
    fn after_a_crash_the_rest_is_delivered_and_nothing_acknowledged_is_sent_again(
        plan in plans(),
        faults in passing_faults(),
        seed: u64,
        max_rows in 1_usize..12,
        concurrency in 1_usize..5,
        crashes in proptest::collection::vec(0_usize..160, 1..4),
        log_fails_at in proptest::option::weighted(0.3, 0_usize..6),
    ) {
        let bad_keys = some_keys(&plan, 6);
        let behaviour = MemoryBehaviour {
            seed,
            faults,
            bad_keys: bad_keys.clone(),
            ..MemoryBehaviour::default()
        };
        let mut destination = MemoryDestination::new(behaviour.clone());
        let log = MemoryLog::new();
        log.fail_at(log_fails_at);
        let mut policy = policy(max_rows, concurrency);
        policy.retry.max_attempts = 100;
        policy.retry.max_elapsed = Duration::from_secs(1_000_000);
        policy.max_throttle = Duration::from_secs(1_000_000);
        for polls in crashes {
            let rest = log.rest_of(&plan);
            let before = destination.state().sent.len();
            block_on(crash_after(
                polls,
                deliver_plan(SyncMode::Mirror, &rest, &destination, &log, &policy),
            ));
            let pending: BTreeSet<u64> = rest.iter().map(|change| change.seq).collect();
            let sent = destination.state().sent.split_off(before);
            prop_assert!(sent.iter().all(|seq| pending.contains(seq)));
            destination = destination.restarted(behaviour.clone());
        }
        log.fail_at(None);
        let rest = log.rest_of(&plan);
        let report = block_on(deliver_plan(SyncMode::Mirror, &rest, &destination, &log, &policy));
        prop_assert!(report.stopped_early.is_none());
        prop_assert_eq!(log.rest_of(&plan), Vec::new());
        prop_assert_eq!(log.settled_again(), Vec::<u64>::new());
        let state = destination.state();
        prop_assert_eq!(state.rows, expected(&plan, &bad_keys));
        prop_assert_eq!(state.violations, Vec::<String>::new());
    }

    #[test]
    fn a_batch_that_was_sent_before_a_crash_comes_again_under_its_name(
        plan in plans(),
        seed: u64,
        max_rows in 1_usize..12,
        concurrency in 1_usize..5,
        polls in 0_usize..160,
    ) {
        let behaviour = MemoryBehaviour { seed, ..MemoryBehaviour::default() };
        let destination = MemoryDestination::new(behaviour.clone());
        let log = MemoryLog::new();
        let policy = policy(max_rows, concurrency);
        block_on(crash_after(
            polls,
            deliver_plan(SyncMode::Mirror, &plan, &destination, &log, &policy),
        ));
        let first = destination.state();
        let destination = destination.restarted(behaviour);
        block_on(deliver_plan(
            SyncMode::Mirror, &log.rest_of(&plan), &destination, &log, &policy,
        ));
        let second = destination.state();
        let names: BTreeSet<_> = first.batches.iter().map(|(id, _)| id).collect();
        for (id, rows) in second.batches.iter().skip(first.batches.len()) {
            let seen = rows.iter().any(|seq| first.sent.contains(seq));
            prop_assert_eq!(names.contains(id), seen);
        }
        prop_assert_eq!(second.rows, expected(&plan, &BTreeSet::new()));
    }

    #[test]
    fn rows_that_are_gone_from_the_plan_change_only_the_names_of_their_batches(
        plan in plans(),
        gone in proptest::collection::vec(any::<bool>(), 65),
        max_rows in 1_usize..12,
    ) {
        let batches = |plan: &[Change]| {
            let destination = MemoryDestination::new(MemoryBehaviour::default());
            let log = MemoryLog::new();
            let policy = policy(max_rows, 1);
            block_on(deliver_plan(SyncMode::Mirror, plan, &destination, &log, &policy));
            destination.state().batches
        };
        // Few rows, so that most batches stay whole.
        let is_gone = |seq: u64| seq.is_multiple_of(5) && gone.get(usize::try_from(seq).unwrap()) == Some(&true);
        let rest: Vec<Change> = plan.iter().filter(|c| !is_gone(c.seq)).cloned().collect();
        let after = batches(&rest);
        for (id, rows) in batches(&plan) {
            let whole = !rows.iter().any(|seq| is_gone(*seq));
            prop_assert_eq!(after.contains(&(id, rows)), whole);
        }
    }

    #[test]
    fn rate_limits_never_use_up_attempts(
        plan in plans(),
        seed: u64,
        storm in 0.0..0.9,
        max_rows in 1_usize..20,
        concurrency in 1_usize..5,
    ) {
        let destination = MemoryDestination::new(MemoryBehaviour {
            seed,
            faults: vec![(MemoryFault::RateLimited, storm)],
            ..MemoryBehaviour::default()
        });
        let log = MemoryLog::new();
        let mut policy = policy(max_rows, concurrency);
        policy.retry.max_attempts = 1;
        policy.retry.max_elapsed = Duration::ZERO;
        policy.max_throttle = Duration::from_secs(1_000_000);
        policy.max_consecutive_failures = 1;
        let report = block_on(deliver_plan(SyncMode::Mirror, &plan, &destination, &log, &policy));
        prop_assert_eq!(report.counters.delivered, plan.len() as u64);
        prop_assert!(report.stopped_early.is_none());
        prop_assert_eq!(report.requests, report.batches + report.rate_limited);
    }

    #[test]
    fn exactly_the_bad_rows_are_rejected(
        plan in plans(),
        bad in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        attributes: bool,
        max_rows in 1_usize..70,
    ) {
        let bad_keys: BTreeSet<String> = bad
            .iter()
            .filter(|_| !plan.is_empty())
            .map(|index| index.get(&plan).key.as_str().to_owned())
            .collect();
        let destination = MemoryDestination::new(MemoryBehaviour {
            bad_keys: bad_keys.clone(),
            attributes,
            ..MemoryBehaviour::default()
        });
        let log = MemoryLog::new();
        let report = block_on(deliver_plan(
            SyncMode::Mirror, &plan, &destination, &log, &policy(max_rows, 3),
        ));
        let outcomes = log.outcomes();
        for change in &plan {
            let rejected = outcomes.get(&change.seq).map(Outcome::as_str) == Some("rejected");
            prop_assert_eq!(rejected, bad_keys.contains(change.key.as_str()));
        }
        prop_assert_eq!(report.counters.rejected, bad_keys.len() as u64);
        // Halving costs at most two requests for every bad row and level.
        let levels = u64::from(max_rows.next_power_of_two().ilog2());
        let most = if attributes { 0 } else { 2 * levels * bad_keys.len() as u64 };
        prop_assert!(report.requests <= report.batches + most);
        // Each row was applied once.
        prop_assert!(destination.state().applied.values().all(|times| *times == 1));
    }

    #[test]
    fn changes_of_one_key_arrive_in_order(
        plan in repetitive_plans(),
        faults in passing_faults(),
        seed: u64,
        max_rows in 1_usize..20,
        concurrency in 1_usize..8,
    ) {
        let destination = MemoryDestination::new(MemoryBehaviour {
            seed,
            faults,
            ..MemoryBehaviour::default()
        });
        let log = MemoryLog::new();
        let mut policy = policy(max_rows, concurrency);
        policy.retry.max_attempts = 100;
        policy.retry.max_elapsed = Duration::from_secs(1_000_000);
        policy.max_throttle = Duration::from_secs(1_000_000);
        let report = block_on(deliver_plan(SyncMode::Upsert, &plan, &destination, &log, &policy));
        let state = destination.state();
        prop_assert_eq!(report.counters.delivered, plan.len() as u64);
        prop_assert_eq!(state.violations, Vec::<String>::new());
        prop_assert_eq!(state.rows, expected(&plan, &BTreeSet::new()));
    }
}
