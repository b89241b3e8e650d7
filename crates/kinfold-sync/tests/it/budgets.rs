//! Deliveries that share an account, and a destination that can take only so much.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Budget, BudgetOptions, CancelToken, Capabilities, Clock, DeliveryPolicy,
    DeliveryReport, Destination, DestinationError, FailureClass, Outcome, RetryAfter, SendResult,
    StoppedEarly, deliver,
};
use kinfold_testkit::{FakeClock, MemoryLog, MemorySource};
use proptest::prelude::*;
use tokio::sync::Semaphore;

use crate::setting::{adds, block_on, policy, run_of};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Seen {
    /// When each request came, whose it was, and its rows.
    requests: Vec<(Duration, usize, u32)>,
    in_flight: usize,
    most_in_flight: usize,
}

/// One account: works on so many requests at a time, and remembers them all.
struct Account {
    clock: FakeClock,
    seen: Mutex<Seen>,
    workers: Semaphore,
}

impl Account {
    fn new(workers: usize) -> Self {
        Self {
            clock: FakeClock::new(),
            seen: Mutex::default(),
            workers: Semaphore::new(workers),
        }
    }

    fn requests(&self) -> Vec<(Duration, usize, u32)> {
        self.seen.lock().unwrap().requests.clone()
    }

    fn times_of(&self, who: usize) -> Vec<Duration> {
        let requests = self.requests();
        let own = requests.iter().filter(|(_, owner, _)| *owner == who);
        own.map(|(at, ..)| *at).collect()
    }
}

/// What one delivery sees of the account.
struct Door<'a> {
    account: &'a Account,
    who: usize,
    service: Duration,
    /// Answers instead of the usual, one a request.
    answers: Mutex<Vec<SendResult>>,
}

impl<'a> Door<'a> {
    fn new(account: &'a Account, who: usize, service: Duration) -> Self {
        Self {
            account,
            who,
            service,
            answers: Mutex::default(),
        }
    }
}

#[async_trait]
impl Destination for Door<'_> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            modes: vec![SyncMode::Upsert],
            operations: vec![BatchOperation::Upsert],
            idempotent: vec![BatchOperation::Upsert],
            max_rows: 1_000,
            max_bytes: 1 << 20,
            max_in_flight: 64,
            reads: false,
        }
    }

    async fn check(&self) -> Result<(), DestinationError> {
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let rows = u32::try_from(batch.changes.len()).unwrap();
        {
            let mut seen = self.account.seen.lock().unwrap();
            let now = self.account.clock.elapsed();
            seen.requests.push((now, self.who, rows));
            seen.in_flight += 1;
            seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
        }
        {
            let _worker = self.account.workers.acquire().await.unwrap();
            self.account.clock.sleep(self.service).await;
        }
        self.account.seen.lock().unwrap().in_flight -= 1;
        let answer = self.answers.lock().unwrap().pop();
        answer.unwrap_or_else(|| SendResult::Rows(vec![Outcome::Delivered; batch.changes.len()]))
    }
}

async fn deliver_through(
    door: &Door<'_>,
    rows: u64,
    budget: &Budget,
    policy: &DeliveryPolicy,
) -> DeliveryReport {
    let report = deliver(
        &run_of(SyncMode::Upsert),
        &mut MemorySource::new(adds(rows)),
        door,
        &mut MemoryLog::new(),
        policy,
        &door.account.clock,
        budget,
        &CancelToken::new(),
    )
    .await;
    assert!(report.counters.add_up(), "{report:?}");
    report
}

fn requests_per(limit: u32, period: Duration) -> Budget {
    Budget::new(BudgetOptions {
        requests: Some((limit, period)),
        ..BudgetOptions::default()
    })
}

fn limited(seconds: u64) -> SendResult {
    SendResult::RateLimited {
        retry_after: Some(RetryAfter::Delay(Duration::from_secs(seconds))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_period_sees_more_than_the_budget(
        deliveries in proptest::collection::vec((1_u64..120, 1_usize..12, 1_usize..6, 0_u64..3_000), 1..4),
        requests in proptest::option::of((1_u32..12, 1_u64..60)),
        rows in proptest::option::of((1_u32..60, 1_u64..60)),
        max_in_flight in proptest::option::of(1_usize..6),
    ) {
        let per = |(limit, seconds)| (limit, Duration::from_secs(seconds));
        let options = BudgetOptions {
            requests: requests.map(per),
            rows: rows.map(per),
            max_in_flight,
        };
        let budget = Budget::new(options.clone());
        let account = Account::new(64);
        // A budget is waited for without using up attempts or time.
        let reports = block_on(join_all(deliveries.iter().enumerate().map(
            |(who, (rows, max_rows, slots, service))| {
                let door = Door::new(&account, who, Duration::from_millis(*service));
                let mut policy = policy(*max_rows, *slots);
                policy.retry.max_attempts = 1;
                policy.retry.max_elapsed = Duration::ZERO;
                policy.max_throttle = Duration::ZERO;
                let budget = budget.clone();
                async move { deliver_through(&door, *rows, &budget, &policy).await }
            },
        )));
        for (report, (rows, ..)) in reports.iter().zip(&deliveries) {
            prop_assert!(report.stopped_early.is_none(), "{:?}", report);
            prop_assert_eq!(report.counters.delivered, *rows);
        }
        let sent = account.requests();
        for (from, ..) in &sent {
            let within = |period: Duration| {
                sent.iter().filter(move |(at, ..)| *at >= *from && *at < *from + period)
            };
            if let Some((limit, period)) = options.requests {
                prop_assert!(within(period).count() <= limit as usize);
            }
            if let Some((limit, period)) = options.rows {
                prop_assert!(within(period).map(|(.., rows)| rows).sum::<u32>() <= limit);
            }
        }
        if let Some(limit) = max_in_flight {
            prop_assert!(account.seen.lock().unwrap().most_in_flight <= limit);
        }
    }

    #[test]
    fn nobody_starves(
        others in 1_usize..4,
        slots in 1_usize..10,
        limit in 1_u32..6,
        seconds in 1_u64..60,
    ) {
        let period = Duration::from_secs(seconds);
        let budget = requests_per(limit, period);
        let account = Account::new(64);
        block_on(join_all((0..=others).map(|who| {
            let door = Door::new(&account, who, Duration::ZERO);
            // The first has one slot only, and little to send.
            let (rows, slots) = if who == 0 { (10, 1) } else { (60, slots) };
            let policy = policy(1, slots);
            let budget = budget.clone();
            async move { deliver_through(&door, rows, &budget, &policy).await }
        })));
        // Each of the others passes it once at most.
        let turns = u32::try_from(others + 1).unwrap().div_ceil(limit);
        let times = account.times_of(0);
        prop_assert_eq!(times.len(), 10);
        for pair in times.windows(2) {
            prop_assert!(pair[1] - pair[0] <= period * turns, "{:?}", times);
        }
    }
}

#[tokio::test]
async fn a_delivery_whose_requests_hang_keeps_nobody_out() {
    let account = Account::new(64);
    let budget = Budget::new(BudgetOptions {
        max_in_flight: Some(4),
        ..BudgetOptions::default()
    });
    let hanging = Door::new(&account, 0, 600 * SECOND);
    let quick = Door::new(&account, 1, SECOND / 100);
    let (many, few) = (policy(1, 8), policy(1, 2));
    tokio::join!(
        deliver_through(&hanging, 20, &budget, &many),
        deliver_through(&quick, 100, &budget, &few)
    );
    assert!(account.times_of(1).last().unwrap() < &(2 * SECOND));
    // Alone, it may use all.
    let most = account.seen.lock().unwrap().most_in_flight;
    assert_eq!(most, 4);
}

#[tokio::test]
async fn a_rate_limit_holds_every_delivery_to_the_account() {
    let policy = policy(1, 1);
    let both = async |seconds| {
        let account = Account::new(64);
        let budget = Budget::unlimited();
        let one = Door::new(&account, 0, SECOND);
        let other = Door::new(&account, 1, SECOND);
        one.answers.lock().unwrap().push(limited(seconds));
        let reports = tokio::join!(
            deliver_through(&one, 5, &budget, &policy),
            deliver_through(&other, 5, &budget, &policy)
        );
        (reports, account.requests(), account.clock.elapsed())
    };
    let ((first, second), requests, _) = both(100).await;
    assert_eq!(first.counters.delivered + second.counters.delivered, 10);
    assert_eq!((first.rate_limited, second.rate_limited), (1, 0));
    // The first of each came before the limit, and perhaps the second of the other.
    let early = requests.iter().filter(|(at, ..)| *at < 101 * SECOND);
    assert!(early.count() <= 3, "{requests:?}");

    // A limit that lasts longer than the policy allows stops all of them.
    let ((first, second), _, elapsed) = both(86_400).await;
    for report in [first, second] {
        assert!(matches!(
            report.stopped_early,
            Some(StoppedEarly::Throttled { .. })
        ));
    }
    assert!(elapsed < 3 * SECOND);
}

#[tokio::test]
async fn a_delivery_that_waits_in_line_does_not_sit_out_a_limit_that_is_too_long() {
    let account = Account::new(64);
    let budget = requests_per(1, 10 * SECOND);
    let one = Door::new(&account, 0, SECOND);
    let other = Door::new(&account, 1, SECOND);
    one.answers.lock().unwrap().push(limited(86_400));
    let policy = policy(1, 1);
    let reports = tokio::join!(
        deliver_through(&one, 5, &budget, &policy),
        deliver_through(&other, 5, &budget, &policy)
    );
    for report in [reports.0, reports.1] {
        assert!(matches!(
            report.stopped_early,
            Some(StoppedEarly::Throttled { .. })
        ));
    }
    assert!(account.clock.elapsed() < 20 * SECOND);
}

/// Polls so many times and drops the future.
async fn poll_and_drop<T>(polls: usize, future: impl Future<Output = T>) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if futures::poll!(&mut future).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_delivery_that_is_dropped_gives_everything_back() {
    for polls in 0..20 {
        let account = Account::new(64);
        let budget = Budget::new(BudgetOptions {
            max_in_flight: Some(1),
            ..BudgetOptions::default()
        });
        let dropped = Door::new(&account, 0, SECOND);
        let waiting = Door::new(&account, 1, SECOND);
        let policy = policy(1, 3);
        let (report, ()) = tokio::join!(
            deliver_through(&waiting, 4, &budget, &policy),
            poll_and_drop(polls, deliver_through(&dropped, 40, &budget, &policy))
        );
        assert_eq!(report.counters.delivered, 4);
    }
}

#[tokio::test]
async fn the_number_of_requests_in_flight_follows_the_destination() {
    let account = Account::new(8);
    let door = Door::new(&account, 0, SECOND / 10);
    let mut policy = policy(1, 32);
    policy.concurrency_start = 4;
    let report = deliver_through(&door, 2_000, &Budget::unlimited(), &policy).await;
    assert!((4..=18).contains(&report.limit), "{report:?}");
    assert!(report.max_in_flight <= 24, "{report:?}");
    // Eight at a time would need 25 seconds.
    let elapsed = account.clock.elapsed();
    assert!(elapsed < 50 * SECOND, "{elapsed:?}");
}

#[tokio::test]
async fn back_pressure_leaves_one_request_in_flight_until_it_is_over() {
    for pressure in [
        limited(1),
        SendResult::Transient {
            class: FailureClass::Unavailable,
            message: "status 503".to_owned(),
        },
    ] {
        let account = Account::new(64);
        let door = Door::new(&account, 0, SECOND / 10);
        *door.answers.lock().unwrap() = vec![pressure; 40];
        let mut policy = policy(1, 16);
        policy.retry.max_attempts = 100;
        policy.retry.max_elapsed = 10_000 * SECOND;
        let report = deliver_through(&door, 16, &Budget::unlimited(), &policy).await;
        assert_eq!(report.counters.delivered, 16);
        assert!(report.limit <= 6, "{report:?}");
        let report = deliver_through(&door, 600, &Budget::unlimited(), &policy).await;
        assert_eq!(report.counters.delivered, 600);
        assert!(report.limit >= 12, "{report:?}");
    }
}
