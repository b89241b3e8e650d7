//! Decisions of a delivery, one at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use kinfold_project::SyncMode;
use kinfold_sync::{
    AckError, AckLog, Acknowledgement, Batch, BatchOperation, Budget, CancelToken, Capabilities,
    Change, ChangeSource, DeliveryReport, Destination, DestinationError, ErrorRate, FailureClass,
    Operation, Outcome, RetryAfter, Run, SendResult, SourceError, StoppedEarly, deliver,
};
use kinfold_testkit::{
    FakeClock, MemoryBehaviour, MemoryDestination, MemoryLog, MemorySource, change,
};
use serde_json::json;
use tokio::sync::Notify;

use crate::setting::{
    Answers, adds, deliver_plan, lost, policy, run_of, set, transient, unreachable,
};

async fn deliver_adds(
    count: u64,
    max_rows: usize,
    destination: &dyn Destination,
) -> (DeliveryReport, MemoryLog, FakeClock) {
    let log = MemoryLog::new();
    let clock = FakeClock::new();
    let report = deliver(
        &run_of(SyncMode::Upsert),
        &mut MemorySource::new(adds(count)),
        destination,
        &mut log.clone(),
        &policy(max_rows, 1),
        &clock,
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    assert!(report.counters.add_up(), "{report:?}");
    (report, log, clock)
}

#[tokio::test]
async fn a_failing_batch_is_tried_as_often_as_the_policy_says_with_growing_waits() {
    let destination = Answers::always(transient());
    let (report, log, clock) = deliver_adds(3, 10, &destination).await;
    assert_eq!(destination.requests(), 4);
    assert_eq!(report.counters.retryable, 3);
    assert_eq!(report.counters.not_sent, 0);
    assert_eq!(log.outcomes().len(), 3);
    let waits = clock.slept();
    assert_eq!(waits.len(), 3);
    for (wait, bound) in waits.iter().zip([500, 1_000, 2_000]) {
        assert!(*wait <= Duration::from_millis(bound), "{waits:?}");
    }
}

#[tokio::test]
async fn repetitions_have_the_same_name_and_end_with_success() {
    let destination = Answers::new([transient(), lost(), transient()]);
    let (report, ..) = deliver_adds(3, 10, &destination).await;
    assert_eq!(report.counters.delivered, 3);
    assert_eq!(report.requests, 4);
    let ids: BTreeSet<_> = destination
        .batches
        .lock()
        .unwrap()
        .iter()
        .map(|batch| batch.id)
        .collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_value_that_comes_back_in_a_later_run_is_not_a_repetition() {
    let ids = |run_id: &str| {
        let run = Arc::new(Run {
            run_id: run_id.to_owned(),
            ..(*run_of(SyncMode::Upsert)).clone()
        });
        Batch::new(run, BatchOperation::Upsert, adds(2)).id
    };
    assert_eq!(ids("a"), ids("a"));
    assert_ne!(ids("a"), ids("b"));
}

#[tokio::test]
async fn an_unknown_result_is_not_tried_again_if_that_may_do_harm() {
    let mut destination = Answers::new([lost()]);
    destination.idempotent = false;
    let (report, ..) = deliver_adds(4, 2, &destination).await;
    assert_eq!(destination.requests(), 2);
    assert_eq!(report.counters.unknown, 2);
    assert_eq!(report.counters.delivered, 2);
}

#[tokio::test]
async fn a_row_that_may_be_applied_stays_unknown_when_the_attempts_are_used_up() {
    let destination = Answers::new([lost(), transient(), transient(), transient()]);
    let (report, ..) = deliver_adds(2, 2, &destination).await;
    assert_eq!(report.counters.unknown, 2);
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_by_delay_and_by_date() {
    let at = |seconds| RetryAfter::At(DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds));
    let destination = Answers::new([
        SendResult::RateLimited {
            retry_after: Some(RetryAfter::Delay(Duration::from_secs(120))),
        },
        SendResult::RateLimited {
            retry_after: Some(at(150)),
        },
    ]);
    let (report, _, clock) = deliver_adds(2, 2, &destination).await;
    assert_eq!(report.counters.delivered, 2);
    assert_eq!(
        clock.slept(),
        [Duration::from_secs(120), Duration::from_secs(30)]
    );
}

#[tokio::test]
async fn a_rate_limit_that_another_batch_met_uses_up_no_time_either() {
    // Two batches at once: one fails, the other is told to wait for longer than failures may last.
    let destination = Answers::new([
        transient(),
        SendResult::RateLimited {
            retry_after: Some(RetryAfter::Delay(Duration::from_secs(300))),
        },
        transient(),
        transient(),
    ]);
    let log = MemoryLog::new();
    let report = deliver_plan(
        SyncMode::Upsert,
        &adds(20),
        &destination,
        &log,
        &policy(10, 2),
    )
    .await;
    assert_eq!(report.counters.delivered, 20, "{report:?}");
    assert_eq!(report.rate_limited, 1);
}

#[tokio::test]
async fn a_rate_limit_beyond_the_policy_stops_at_once_and_loses_nothing() {
    let destination = Answers::always(SendResult::RateLimited {
        retry_after: Some(RetryAfter::Delay(Duration::from_secs(86_400))),
    });
    let (report, log, clock) = deliver_adds(50, 10, &destination).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Throttled { .. })
    ));
    assert_eq!(destination.requests(), 1);
    assert!(clock.slept().is_empty());
    assert_eq!(report.counters.retryable, 50);
    assert_eq!(report.counters.not_sent, 40);
    assert_eq!(log.rest_of(&adds(50)).len(), 50);
}

#[tokio::test]
async fn an_endless_rate_limit_ends() {
    let destination = Answers::always(SendResult::RateLimited {
        retry_after: Some(RetryAfter::Delay(Duration::ZERO)),
    });
    let (report, _, clock) = deliver_adds(1, 1, &destination).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Throttled { .. })
    ));
    let waited: Duration = clock.slept().iter().sum();
    assert!(waited <= Duration::from_secs(600));
}

#[tokio::test]
async fn refused_credentials_stop_the_delivery() {
    let destination = Answers::new([
        SendResult::Rows(vec![Outcome::Delivered; 10]),
        SendResult::Fatal {
            class: FailureClass::Unauthorized,
            message: "status 401".to_owned(),
        },
    ]);
    let (report, ..) = deliver_adds(1_000, 10, &destination).await;
    assert_eq!(destination.requests(), 2);
    assert_eq!(report.counters.delivered, 10);
    assert_eq!(report.counters.retryable, 990);
    assert_eq!(
        report.stopped_early.map(|reason| reason.to_string()),
        Some("the destination refuses every request (unauthorized): status 401".to_owned())
    );
}

#[tokio::test]
async fn a_destination_without_connection_is_down_after_one_batch() {
    let destination = Answers::always(unreachable());
    let (report, ..) = deliver_adds(1_000, 10, &destination).await;
    assert_eq!(destination.requests(), 4);
    assert_eq!(report.counters.retryable, 1_000);
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Down { .. })
    ));
}

#[tokio::test]
async fn failures_in_a_row_stop_the_delivery_and_an_answer_starts_the_count_anew() {
    let delivered = || SendResult::Rows(vec![Outcome::Delivered; 10]);
    let destination = Answers::new([
        transient(),
        transient(),
        delivered(),
        transient(),
        transient(),
        transient(),
    ]);
    let mut policy = policy(10, 1);
    policy.max_consecutive_failures = 3;
    policy.retry.max_attempts = 10;
    let log = MemoryLog::new();
    let report = deliver_plan(SyncMode::Upsert, &adds(100), &destination, &log, &policy).await;
    assert_eq!(destination.requests(), 6);
    assert_eq!(report.counters.delivered, 10);
    assert_eq!(report.counters.retryable, 90);
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Down { .. })
    ));
}

#[tokio::test]
async fn a_wrong_number_of_outcomes_is_no_answer() {
    let destination = Answers::new([SendResult::Rows(vec![Outcome::Delivered; 3])]);
    let (report, ..) = deliver_adds(2, 2, &destination).await;
    assert_eq!(report.counters.unknown, 2);
}

#[tokio::test]
async fn rows_to_retry_are_sent_again_without_the_others() {
    let later = Outcome::Retryable {
        class: FailureClass::Unavailable,
        message: "locked".to_owned(),
    };
    let destination = Answers::new([SendResult::Rows(vec![
        Outcome::Delivered,
        later.clone(),
        Outcome::Delivered,
        later,
    ])]);
    let (report, ..) = deliver_adds(4, 4, &destination).await;
    assert_eq!(report.counters.delivered, 4);
    let batches = destination.batches.lock().unwrap();
    let seqs: Vec<Vec<u64>> = batches
        .iter()
        .map(|batch| batch.changes.iter().map(|change| change.seq).collect())
        .collect();
    assert_eq!(seqs, [vec![0, 1, 2, 3], vec![1, 3]]);
}

#[tokio::test]
async fn messages_hold_no_payload_values() {
    let destination = Answers::always(SendResult::Rejected {
        class: FailureClass::InvalidRow,
        message: "person number 0 <x@y.example> is not allowed, nor is PERSON NUMBER 1".to_owned(),
    });
    let (_, log, _) = deliver_adds(2, 2, &destination).await;
    for outcome in log.outcomes().values() {
        let (_, message) = outcome.failure().unwrap();
        assert!(!message.contains("x@y.example"), "{message}");
    }
    let first = log.outcomes().get(&0).cloned().unwrap();
    let (_, message) = first.failure().unwrap();
    assert!(!message.to_lowercase().contains("person number 0"));
    assert!(message.contains("is not allowed"));
}

#[tokio::test]
async fn batches_keep_to_rows_and_bytes_and_a_large_row_goes_alone() {
    let mut plan = adds(10);
    if let Some(row) = plan.get_mut(4) {
        set(row, "bio", json!("x".repeat(5_000)));
    }
    let destination = Answers::new([]);
    let mut policy = policy(100, 1);
    policy.max_bytes = 300;
    deliver_plan(
        SyncMode::Upsert,
        &plan,
        &destination,
        &MemoryLog::new(),
        &policy,
    )
    .await;
    let batches = destination.batches.lock().unwrap();
    let sizes: Vec<usize> = batches.iter().map(|batch| batch.changes.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 10);
    let large: Vec<_> = batches
        .iter()
        .filter(|batch| batch.changes.iter().any(|change| change.seq == 4))
        .collect();
    assert!(matches!(large.as_slice(), [batch] if batch.changes.len() == 1));
    for batch in batches.iter().filter(|batch| batch.changes.len() > 1) {
        let bytes: usize = batch
            .changes
            .iter()
            .map(|change| {
                let (key, fields) = (change.key.parse(), change.fields.parse());
                json!({"key": key, "fields": fields}).to_string().len() + 1
            })
            .sum();
        assert!(bytes <= 300, "{bytes}");
    }
    assert!(sizes.len() < 10, "{sizes:?}");
}

#[tokio::test]
async fn what_the_destination_cannot_do_is_refused_before_anything_is_sent() {
    let destination = MemoryDestination::new(MemoryBehaviour {
        modes: vec![SyncMode::Upsert],
        ..MemoryBehaviour::default()
    });
    let log = MemoryLog::new();
    let report = deliver_plan(
        SyncMode::Mirror,
        &adds(30),
        &destination,
        &log,
        &policy(10, 2),
    )
    .await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Unsupported { what: "mirror" })
    ));
    assert_eq!(report.counters.not_sent, 30);
    assert!(report.counters.add_up());
    assert!(destination.state().sent.is_empty());
}

#[tokio::test]
async fn a_removal_that_the_destination_cannot_do_is_not_called_delivered() {
    let destination = MemoryDestination::new(MemoryBehaviour {
        operations: vec![BatchOperation::Upsert],
        ..MemoryBehaviour::default()
    });
    let plan = [change(0, Operation::Remove, "a", json!({}))];
    let log = MemoryLog::new();
    let report = deliver_plan(SyncMode::Mirror, &plan, &destination, &log, &policy(10, 2)).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Unsupported { what: "delete" })
    ));
    assert_eq!(report.counters.not_sent, 1);
    assert!(report.counters.add_up());
}

#[tokio::test]
async fn a_plan_out_of_order_is_refused() {
    let add = |seq, id: &str| change(seq, Operation::Add, id, json!({"n": 1}));
    let late_removal = [add(0, "a"), change(1, Operation::Remove, "b", json!({}))];
    let repeated = [add(0, "a"), add(0, "b")];
    for plan in [&late_removal, &repeated] {
        let destination = Answers::new([]);
        let log = MemoryLog::new();
        let report = deliver_plan(SyncMode::Mirror, plan, &destination, &log, &policy(10, 2)).await;
        assert!(matches!(
            report.stopped_early,
            Some(StoppedEarly::OutOfOrder { .. })
        ));
        assert!(report.counters.add_up());
        assert_eq!(report.counters.planned, 2);
        assert_eq!(destination.requests(), 0);
    }
}

#[tokio::test]
async fn operations_follow_from_mode_and_change() {
    let plan = [
        change(0, Operation::Remove, "a", json!({})),
        change(1, Operation::Clear, "b", json!({"n": null})),
        change(2, Operation::Add, "c", json!({"n": 1})),
        change(3, Operation::Update, "d", json!({"n": 2})),
    ];
    let destination = Answers::new([]);
    let log = MemoryLog::new();
    deliver_plan(SyncMode::Mirror, &plan, &destination, &log, &policy(10, 4)).await;
    let operations: Vec<(&str, usize)> = destination
        .batches
        .lock()
        .unwrap()
        .iter()
        .map(|batch| (batch.operation.as_str(), batch.changes.len()))
        .collect();
    assert_eq!(operations, [("delete", 1), ("update", 1), ("upsert", 2)]);
}

/// Delivers, but only after the gate is opened.
struct Gated {
    started: Notify,
    gate: Notify,
    inner: Answers,
}

#[async_trait]
impl Destination for Gated {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<(), DestinationError> {
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        self.started.notify_one();
        self.gate.notified().await;
        self.inner.send(batch).await
    }
}

#[tokio::test]
async fn a_cancelled_delivery_waits_for_what_is_in_flight_and_records_it() {
    let destination = Gated {
        started: Notify::new(),
        gate: Notify::new(),
        inner: Answers::new([]),
    };
    let cancel = CancelToken::new();
    let log = MemoryLog::new();
    let mut acknowledgements = log.clone();
    let mut source = MemorySource::new(adds(100));
    let run = run_of(SyncMode::Upsert);
    let policy = policy(10, 1);
    let clock = FakeClock::new();
    let budget = Budget::unlimited();
    let delivery = deliver(
        &run,
        &mut source,
        &destination,
        &mut acknowledgements,
        &policy,
        &clock,
        &budget,
        &cancel,
    );
    let operator = async {
        destination.started.notified().await;
        cancel.cancel();
        tokio::task::yield_now().await;
        destination.gate.notify_one();
    };
    let (report, ()) = tokio::join!(delivery, operator);
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Cancelled)
    ));
    assert_eq!(report.counters.delivered, 10);
    assert_eq!(report.counters.not_sent, 90);
    assert!(report.counters.add_up());
    assert_eq!(log.outcomes().len(), 10);
}

#[tokio::test]
async fn a_cancel_cuts_a_wait_short() {
    let destination = Answers::always(transient());
    let cancel = CancelToken::new();
    cancel.cancel();
    let report = deliver(
        &run_of(SyncMode::Upsert),
        &mut MemorySource::new(adds(5)),
        &destination,
        &mut MemoryLog::new(),
        &policy(10, 1),
        &FakeClock::new(),
        &Budget::unlimited(),
        &cancel,
    )
    .await;
    assert_eq!(destination.requests(), 0);
    assert_eq!(report.counters.not_sent, 5);
    assert!(report.counters.add_up());
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_count_as_delivered() {
    let mut destination = Answers::new([]);
    destination.idempotent = false;
    let log = MemoryLog::new();
    log.fail_at(Some(1));
    let report = deliver_plan(
        SyncMode::Upsert,
        &adds(50),
        &destination,
        &log,
        &policy(10, 1),
    )
    .await;
    assert!(matches!(report.stopped_early, Some(StoppedEarly::Log(_))));
    assert_eq!(report.counters.delivered, 10);
    assert_eq!(report.counters.unknown, 10);
    assert_eq!(report.counters.not_sent, 30);
    assert_eq!(destination.requests(), 2);
    assert_eq!(log.outcomes().len(), 10);
}

/// Records nothing before the gate is opened.
struct SlowLog<'a> {
    gate: &'a Notify,
    open: &'a AtomicBool,
}

#[async_trait]
impl AckLog for SlowLog<'_> {
    async fn record(&mut self, _: &[Acknowledgement]) -> Result<(), AckError> {
        if !self.open.load(Ordering::SeqCst) {
            self.gate.notified().await;
        }
        Ok(())
    }
}

/// Requests that are sent while nothing can be recorded, at most three at a time.
async fn requests_without_a_record(idempotent: bool) -> usize {
    let mut destination = Answers::new([]);
    destination.idempotent = idempotent;
    let gate = Notify::new();
    let open = AtomicBool::new(false);
    let mut log = SlowLog {
        gate: &gate,
        open: &open,
    };
    let run = run_of(SyncMode::Upsert);
    let mut source = MemorySource::new(adds(400));
    let policy = policy(10, 3);
    let clock = FakeClock::new();
    let cancel = CancelToken::new();
    let budget = Budget::unlimited();
    let delivery = deliver(
        &run,
        &mut source,
        &destination,
        &mut log,
        &policy,
        &clock,
        &budget,
        &cancel,
    );
    let operator = async {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let requests = destination.requests();
        open.store(true, Ordering::SeqCst);
        gate.notify_one();
        requests
    };
    let (report, requests) = tokio::join!(delivery, operator);
    assert_eq!(report.counters.delivered, 400);
    requests
}

#[tokio::test]
async fn what_may_not_be_repeated_waits_for_the_log() {
    assert_eq!(requests_without_a_record(false).await, 3);
}

#[tokio::test]
async fn what_may_be_repeated_is_not_far_ahead_of_the_log() {
    let requests = requests_without_a_record(true).await;
    assert!((4..=16 + 2).contains(&requests), "{requests} requests");
}

/// Counts records, and lets outcomes wait for each other.
struct PatientLog<'a> {
    patience: Duration,
    records: &'a mut Vec<usize>,
}

#[async_trait]
impl AckLog for PatientLog<'_> {
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError> {
        self.records.push(acknowledgements.len());
        Ok(())
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}

/// How many batches were recorded together, each time, and how long that was waited for.
async fn recorded_together(
    patience: Duration,
    idempotent: bool,
    limit: usize,
) -> (Vec<usize>, Vec<Duration>) {
    let mut destination = Answers::new([]);
    destination.idempotent = idempotent;
    let mut records = vec![];
    let clock = FakeClock::new();
    let report = deliver(
        &run_of(SyncMode::Upsert),
        &mut MemorySource::new(adds(200)),
        &destination,
        &mut PatientLog {
            patience,
            records: &mut records,
        },
        &policy(10, limit),
        &clock,
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    assert_eq!(report.counters.delivered, 200);
    assert_eq!(records.iter().sum::<usize>(), 20);
    (records, clock.slept())
}

#[tokio::test]
async fn outcomes_are_recorded_together_where_that_does_no_harm() {
    for limit in [1, 3] {
        let (records, _) = recorded_together(Duration::from_millis(40), true, limit).await;
        assert!(records.len() <= 3, "{records:?}");
        // What must not be repeated is recorded before the next request.
        let (records, slept) = recorded_together(Duration::from_millis(40), false, limit).await;
        assert!(
            records.iter().all(|batches| *batches <= limit),
            "{records:?}"
        );
        assert!(slept.is_empty(), "{slept:?}");
        let (records, slept) = recorded_together(Duration::ZERO, true, limit).await;
        assert!(records.len() > 3, "{records:?}");
        assert!(slept.is_empty(), "{slept:?}");
    }
}

/// A plan that exists nowhere as a whole, and knows how much of it is in the delivery's hands.
struct Endless<'a> {
    next: u64,
    end: u64,
    recorded: &'a AtomicU64,
    most_held: &'a AtomicU64,
}

#[async_trait]
impl ChangeSource for Endless<'_> {
    async fn next(&mut self, max: usize) -> Result<Vec<Change>, SourceError> {
        let until = self.end.min(self.next + max as u64);
        let page: Vec<Change> = (self.next..until)
            .map(|seq| change(seq, Operation::Add, &seq.to_string(), json!({"n": seq})))
            .collect();
        self.next = until;
        let held = self.next - self.recorded.load(Ordering::SeqCst);
        self.most_held.fetch_max(held, Ordering::SeqCst);
        Ok(page)
    }
}

struct CountingLog<'a>(&'a AtomicU64);

#[async_trait]
impl AckLog for CountingLog<'_> {
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError> {
        tokio::task::yield_now().await;
        let rows: usize = acknowledgements.iter().map(|a| a.outcomes.len()).sum();
        self.0.fetch_add(rows as u64, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn memory_does_not_grow_with_the_plan() {
    let recorded = AtomicU64::new(0);
    let most_held = AtomicU64::new(0);
    let destination = MemoryDestination::new(MemoryBehaviour::default());
    let report = deliver(
        &run_of(SyncMode::Upsert),
        &mut Endless {
            next: 0,
            end: 20_000,
            recorded: &recorded,
            most_held: &most_held,
        },
        &destination,
        &mut CountingLog(&recorded),
        &policy(50, 4),
        &FakeClock::new(),
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    assert_eq!(report.counters.delivered, 20_000);
    // The slots, and one batch that is being put together.
    let most = most_held.load(Ordering::SeqCst);
    assert!(most <= 50 * 6, "{most}");
}

#[tokio::test]
async fn too_many_rejected_rows_stop_the_delivery() {
    let bad = |seq: u64| seq >= 100 && seq.is_multiple_of(2);
    let destination = MemoryDestination::new(MemoryBehaviour {
        bad_keys: adds(1_000)
            .iter()
            .filter(|change| bad(change.seq))
            .map(|change| change.key.as_str().to_owned())
            .collect(),
        ..MemoryBehaviour::default()
    });
    let log = MemoryLog::new();
    let mut policy = policy(10, 1);
    policy.max_error_rate = Some(ErrorRate {
        share: 0.3,
        min_rows: 20,
    });
    let plan = adds(1_000);
    let report = deliver_plan(SyncMode::Upsert, &plan, &destination, &log, &policy).await;
    // 60 of 200 rows would be no more than the share.
    assert!(
        matches!(
            report.stopped_early,
            Some(StoppedEarly::ErrorRate {
                share_percent: 30,
                rows: 200
            })
        ),
        "{report:?}"
    );
    assert!(report.counters.add_up(), "{report:?}");
    assert_eq!(report.counters.rejected, 61);
    assert_eq!(
        log.outcomes().len() as u64,
        1_000 - report.counters.not_sent
    );
    assert!(report.counters.not_sent > 700, "{report:?}");

    // Few rows are no reason to stop, however bad they are.
    let destination = Answers::always(SendResult::Rejected {
        class: FailureClass::InvalidRow,
        message: "no".to_owned(),
    });
    let log = MemoryLog::new();
    let report = deliver_plan(SyncMode::Upsert, &adds(19), &destination, &log, &policy).await;
    assert!(report.stopped_early.is_none());
    assert_eq!(report.counters.rejected, 19);
}

#[tokio::test]
async fn what_is_in_flight_when_too_many_rows_are_rejected_is_recorded() {
    let destination = MemoryDestination::new(MemoryBehaviour {
        bad_keys: adds(400)
            .iter()
            .map(|change| change.key.as_str().to_owned())
            .collect(),
        attributes: true,
        ..MemoryBehaviour::default()
    });
    let log = MemoryLog::new();
    let mut policy = policy(10, 4);
    policy.max_error_rate = Some(ErrorRate {
        share: 0.5,
        min_rows: 25,
    });
    let report = deliver_plan(SyncMode::Upsert, &adds(400), &destination, &log, &policy).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::ErrorRate {
            share_percent: 100,
            ..
        })
    ));
    assert!(report.counters.add_up());
    let sent = destination.state().sent.len() as u64;
    assert_eq!(report.counters.rejected, sent);
    assert!((25..=80).contains(&sent), "{sent}");
}

#[tokio::test]
async fn what_is_in_memory_can_be_read_back_and_altered() {
    let destination = MemoryDestination::new(MemoryBehaviour::default());
    let log = MemoryLog::new();
    let plan = adds(3);
    deliver_plan(SyncMode::Upsert, &plan, &destination, &log, &policy(10, 1)).await;
    let keys: Vec<_> = plan.iter().rev().map(|change| change.key.clone()).collect();
    let sent: Vec<_> = plan
        .iter()
        .rev()
        .map(|change| change.fields.parse())
        .collect();
    assert_eq!(destination.read(&keys).await.unwrap(), sent);
    if let Some(key) = keys.first() {
        destination.alter(key, None);
    }
    let found = destination.read(&keys).await.unwrap();
    assert_eq!(found.first(), Some(&None));
    assert_eq!(found.get(1), sent.get(1));

    // Most destinations cannot.
    let refused = Answers::new([]).read(&keys).await;
    assert_eq!(refused, Err(DestinationError::Unreadable));
}
