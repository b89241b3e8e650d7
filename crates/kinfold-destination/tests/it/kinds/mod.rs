//! Many rows to each kind of API, with faults of all kinds: the end is exact, no limit is exceeded, and there
//! are hardly more requests than there must be.
//!
//! Five vendors are simulated on real sockets, each with its own state, its own limits and its own way to
//! refuse; the manifests are those that are shipped. Time is that of a [`FakeClock`], for both sides.
//! `KINFOLD_KINDS_ROWS` sets the rows of each kind and `KINFOLD_KINDS_SEEDS` the number of seeds; with either,
//! the numbers are written to standard error.
//!
//! **The minimum** is computed from what the vendor saw, and not from what the delivery counted:
//! - for each operation, the requests that the limit of rows makes necessary, rounded up: removals and other
//!   changes never share a request;
//! - for each request that met a fault, one: the request again. What a fault costs beside is said by each kind,
//!   and is only that of which nobody who sees the same answers could know that it was in vain;
//! - for an answer that names rows to be sent again, the requests of one batch;
//! - for a batch that was refused without a row at fault, [`bisection`];
//! - the calls for tokens and for the preparation of the object.
//!
//! Questions about jobs are counted apart, and must not come faster than the least wait.

mod hubspot;
mod intercom;
mod marketo;
mod meta;
mod salesforce;

mod state;

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kinfold_destination::{
    Account, AccountOptions, ManifestDestination, MemoryTokenStore, SHIPPED, read,
};
use kinfold_project::SyncMode;
use kinfold_sync::{
    Budget, CancelToken, Clock, DeliveryPolicy, DeliveryReport, HttpClientOptions, Outcome,
    RetryPolicy, Run, Secret, Target, deliver,
};
use kinfold_testkit::{
    FakeClock, Fault, Logged, MemoryLog, MemorySource, Script, Vendor, VendorApi,
};

use state::{Held, People};

/// One kind.
struct Setting {
    destination: &'static str,
    parameters: Vec<(&'static str, &'static str)>,
    object: &'static str,
    /// Longest time of a request, by the clock on the wall: who never gets an answer waits so long.
    timeout: Duration,
    /// Most rows of a batch, if fewer than the vendor allows.
    max_rows: usize,
}

/// What happened.
struct Ended {
    report: DeliveryReport,
    log: MemoryLog,
    fake: Duration,
    wall: Duration,
}

/// The rows of a kind; so many unless set, as take a few seconds.
fn rows_wanted(few: u64) -> u64 {
    let set = std::env::var("KINFOLD_KINDS_ROWS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(few)
}

fn seeds() -> std::ops::Range<u64> {
    let set = std::env::var("KINFOLD_KINDS_SEEDS").ok();
    0..set.and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// Faults of all kinds. A limit that others have used up refuses all that is on its way, so it is drawn more
/// rarely than the refusals that come of it.
fn faults(seed: u64, used_up: f64) -> Script {
    Script::seeded(
        seed,
        [
            (Fault::Status(429), used_up),
            (Fault::Status(500), 0.012),
            (Fault::Status(503), 0.012),
            (Fault::StatusAfter(500), 0.008),
            (Fault::ResetBefore, 0.01),
            (Fault::ResetAfter, 0.01),
            (Fault::HalfBody, 0.01),
            (Fault::Malformed, 0.01),
            (Fault::Slow(Duration::ZERO), 0.001),
        ],
    )
}

async fn run<A: VendorApi>(
    setting: &Setting,
    people: &People,
    vendor: &Vendor<A>,
    clock: &FakeClock,
) -> Ended {
    let shipped = SHIPPED.iter().find(|one| one.name == setting.destination);
    let folder = read(shipped.unwrap().files.iter().copied());
    assert!(!folder.has_errors(), "{:?}", folder.diagnostics);
    let parameters = setting.parameters.iter();
    let options = AccountOptions {
        parameters: parameters
            .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
            .collect(),
        http: HttpClientOptions {
            timeout: setting.timeout,
            direct: true,
            ..HttpClientOptions::default()
        },
        reroute: vendor.url().parse().ok(),
        now: None,
    };
    let account = Account::new(
        Arc::new(folder.manifest.unwrap()),
        options,
        Arc::new(MemoryTokenStore::new()),
        Arc::new(clock.clone()),
    );
    let plan = people.plan();
    let target = Target {
        object: setting.object.to_owned(),
        mode: SyncMode::Mirror,
        deletes: true,
        key_fields: vec![people.names.key.to_owned()],
        fields: people.names.fields(),
    };
    let destination = ManifestDestination::new(account.unwrap(), &target).unwrap();
    let run = Arc::new(Run {
        sync: "kinds".to_owned(),
        run_id: "run-1".to_owned(),
        mode: SyncMode::Mirror,
    });
    let policy = DeliveryPolicy {
        max_rows: setting.max_rows,
        max_bytes: usize::MAX,
        retry: RetryPolicy {
            // So that no row is unlucky so often.
            max_attempts: 12,
            max_elapsed: Duration::from_secs(3_600),
            ..RetryPolicy::default()
        },
        max_throttle: Duration::from_secs(4 * 3_600),
        max_consecutive_failures: 100,
        ..DeliveryPolicy::default()
    };
    let log = MemoryLog::new();
    let begun = Instant::now();
    let report = deliver(
        &run,
        &mut MemorySource::new(plan),
        &destination,
        &mut log.clone(),
        &policy,
        clock,
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await;
    Ended {
        report,
        log,
        fake: clock.elapsed(),
        wall: begun.elapsed(),
    }
}

/// Every row has the outcome that it must have, with the vendor's reason, and the vendor holds exactly what
/// was delivered.
fn exact(people: &People, ended: &Ended, held: &Held, expected: &Held, reason: &str) {
    let counters = &ended.report.counters;
    assert!(ended.report.stopped_early.is_none(), "{:?}", ended.report);
    assert!(counters.add_up(), "{counters:?}");
    let refused = people
        .numbers()
        .filter(|row| people.is_refused(*row))
        .count() as u64;
    assert_eq!(counters.planned, people.rows);
    assert_eq!(
        (counters.delivered, counters.rejected),
        (people.rows - refused, refused),
        "{counters:?}"
    );
    assert_eq!(ended.log.settled_again(), Vec::<u64>::new());
    assert_eq!(ended.log.violations(), Vec::<String>::new());
    let outcomes = ended.log.outcomes();
    for row in people.numbers() {
        match outcomes.get(&row) {
            Some(Outcome::Delivered) => assert!(!people.is_refused(row), "row {row}"),
            Some(Outcome::Rejected { message, .. }) => {
                assert!(people.is_refused(row), "row {row}: {message}");
                assert!(message.contains(reason), "row {row}: {message}");
            }
            other => panic!("row {row} is {other:?}"),
        }
    }
    assert_eq!(held.len(), expected.len());
    for (row, fields) in expected {
        assert_eq!(held.get(row), Some(fields), "row {row}");
    }
}

/// Holds the requests against the minimum.
fn frugal(kind: &str, seed: u64, ended: &Ended, log: &[Logged], asked: usize, minimum: usize) {
    let sent = log.len() - asked;
    let met = log.iter().filter(|entry| entry.fault.is_some()).count();
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let (ratio, share) = (
        sent as f64 / minimum as f64,
        100.0 * met as f64 / log.len() as f64,
    );
    let text = format!(
        "| {kind} | {seed} | {sent} | {minimum} | {ratio:.4} | {asked} | {share:.1} % | {} s | {:.1} s |",
        ended.fake.as_secs(),
        ended.wall.as_secs_f64(),
    );
    if std::env::var_os("KINFOLD_KINDS_ROWS").is_some() {
        let line = format!("{text}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    // Where two in a hundred is less than a few requests, rounding alone may cost those.
    let most = (minimum + minimum / 50).max(minimum + 3);
    assert!(sent <= most, "{text}");
    assert!(sent >= minimum, "the minimum is none: {text}");
}

fn divided(rows: u64, most: u64) -> usize {
    usize::try_from(rows.div_ceil(most)).unwrap()
}

/// The requests after a batch was refused for rows that the answer does not name, until each row at fault is
/// alone. `refused` says of each row of the batch whether it is one.
///
/// A part that holds a row at fault is halved (the first half is the smaller one). The first half is sent. If
/// it is refused, the second half is not known and is sent too; if it is taken, the second half holds the
/// fault, and need not be sent as a whole: it is halved at once, or, when it is one row, sent for the reason
/// of its refusal. With R of a part that was refused, and K of one that must hold a fault and was not sent:
///
/// ```text
/// R(one row) = 0        R(a b) = 1 + (a taken: K(b); a refused: R(a) + 1 + (b refused: R(b)))
/// K(one row) = 1        K(p)   = R(p)
/// ```
fn bisection(refused: &[bool]) -> usize {
    let [_, _, ..] = refused else { return 0 };
    let (first, second) = refused.split_at(refused.len() / 2);
    let after_second = || match second.contains(&true) {
        true => bisection(second),
        false => 0,
    };
    if first.contains(&true) {
        1 + bisection(first) + 1 + after_second()
    } else if second.len() == 1 {
        2
    } else {
        1 + bisection(second)
    }
}

/// [`bisection`] for every batch that was refused as a whole and is no part of an earlier one.
fn bisections(people: &People, log: &[Logged]) -> usize {
    let mut known: HashSet<u64> = HashSet::new();
    let mut sum = 0;
    for entry in log
        .iter()
        .filter(|entry| entry.refused && entry.fault.is_none())
    {
        if entry.kind.rows.iter().all(|row| known.contains(row)) {
            continue;
        }
        known.extend(entry.kind.rows.iter().copied());
        let refused: Vec<bool> = entry
            .kind
            .rows
            .iter()
            .map(|row| people.is_refused_whole(*row))
            .collect();
        sum += bisection(&refused);
    }
    sum
}

#[test]
fn the_bisection_of_a_few_rows() {
    let of = |text: &str| bisection(&text.chars().map(|letter| letter == 'x').collect::<Vec<_>>());
    assert_eq!(of("x"), 0);
    // Both are sent.
    assert_eq!((of("x."), of(".x"), of("xx")), (2, 2, 2));
    // The first half, taken; its sibling is halved at once.
    assert_eq!((of("..x."), of("x...")), (3, 4));
    assert_eq!(of("xxxx"), 6);
}
