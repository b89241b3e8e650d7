//! Comparing only what has changed finds what comparing everything finds.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, StringArray};
use kinfold_engine::activate::SyncReport;
use kinfold_project::{OnLeave, SyncMode};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use kinfold_testkit::FakeClock;

use super::receiver::{Fate, Receiver};
use super::setting::{Setting, at, mirror, plain};

/// Something that happens to the model between two runs.
#[derive(Clone, Debug)]
enum Step {
    /// Rows come in a file of their own.
    More(Vec<(u8, i8)>),
    /// Rows leave: the files that had them are written anew.
    Without(Vec<u8>),
    /// Both at once.
    Replace(Vec<(u8, i8)>),
    /// All rows, in one new file.
    Whole(Vec<(u8, i8)>),
    /// A row without a key.
    NoKey,
    /// The destination refuses these keys from now on.
    Refuse(Vec<u8>),
    /// Days pass.
    Days(u8),
    Nothing,
}

fn rows() -> impl Strategy<Value = Vec<(u8, i8)>> {
    prop::collection::btree_map(0_u8..60, -3_i8..3, 1..6)
        .prop_map(|rows| rows.into_iter().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::vec(0_u8..60, 1..5);
    prop_oneof![
        3 => rows().prop_map(Step::More),
        3 => ids().prop_map(Step::Without),
        4 => rows().prop_map(Step::Replace),
        1 => prop::collection::btree_map(0_u8..60, -3_i8..3, 20..40).prop_map(|r| Step::Whole(r.into_iter().collect())),
        1 => Just(Step::NoKey),
        2 => ids().prop_map(Step::Refuse),
        2 => (0_u8..3).prop_map(Step::Days),
        1 => Just(Step::Nothing),
    ]
}

fn id(number: u8) -> String {
    format!("p{number}")
}

fn columns(rows: &[(u8, i8)]) -> Vec<(&'static str, ArrayRef)> {
    let ids: StringArray = rows.iter().map(|(number, _)| Some(id(*number))).collect();
    let values: Float64Array = rows
        .iter()
        .map(|(_, value)| Some(f64::from(*value)))
        .collect();
    vec![("id", Arc::new(ids)), ("value", Arc::new(values))]
}

async fn happen(setting: &mut Setting, receiver: &Receiver, step: &Step) {
    match step {
        Step::More(rows) => setting.publish_more(columns(rows)).await,
        Step::Without(ids) => {
            let ids: Vec<String> = ids.iter().map(|number| id(*number)).collect();
            setting.publish_without(&ids).await;
        }
        Step::Replace(rows) => {
            let ids: Vec<String> = rows.iter().map(|(number, _)| id(*number)).collect();
            setting.publish_without(&ids).await;
            setting.publish_more(columns(rows)).await;
        }
        Step::Whole(rows) => setting.publish(columns(rows)).await,
        Step::NoKey => {
            let id: StringArray = [None::<&str>].into_iter().collect();
            let value: Float64Array = [Some(1.0)].into_iter().collect();
            setting
                .publish_more(vec![("id", Arc::new(id)), ("value", Arc::new(value))])
                .await;
        }
        Step::Refuse(ids) => {
            let key = |number: &u8| (format!("{{\"id\":\"{}\"}}", id(*number)), Fate::Reject);
            receiver.fates(ids.iter().map(key));
        }
        Step::Days(days) => setting.later(i64::from(*days)),
        Step::Nothing => {}
    }
}

/// What of a report must not depend on how it was found.
fn seen(report: &SyncReport) -> String {
    let report = SyncReport {
        exact: false,
        run_id: String::new(),
        elapsed_ms: 0,
        examples: vec![],
        ..report.clone()
    };
    format!("{report:?}")
}

async fn forget(setting: &Setting) {
    setting
        .engine
        .lake
        .delete("sync/crm/compared.json")
        .await
        .unwrap();
}

/// Runs a history; how many comparisons were of changes alone.
async fn play(mode: SyncMode, on_leave: OnLeave, steps: &[Step]) -> u32 {
    let mut setting = Setting::new(mirror()).await;
    setting.sync.mode = at(mode);
    setting.sync.on_leave = at(on_leave);
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    let start: Vec<(u8, i8)> = (0..40).map(|number| (number, 0)).collect();
    for half in start.chunks(20) {
        if half.first().is_some_and(|(number, _)| *number == 0) {
            setting.publish(columns(half)).await;
        } else {
            setting.publish_more(columns(half)).await;
        }
    }
    setting.run_through(&receiver, &clock).await.unwrap();
    let mut exact = 0;
    for step in steps {
        happen(&mut setting, &receiver, step).await;
        let compared = setting
            .engine
            .lake
            .get("sync/crm/compared.json")
            .await
            .unwrap();
        let fast = setting.dry_run().await.unwrap();
        forget(&setting).await;
        let full = setting.dry_run().await.unwrap();
        assert!(!full.exact);
        assert_eq!(seen(&fast), seen(&full), "after {step:?} of {steps:?}");
        exact += u32::from(fast.exact);
        if let Some(compared) = compared {
            setting
                .engine
                .lake
                .put("sync/crm/compared.json", compared)
                .await
                .unwrap();
        }
        let ran = setting.run_through(&receiver, &clock).await.unwrap();
        assert_eq!(ran.exact, fast.exact);
    }
    exact
}

/// Cases of the property; `KINFOLD_CASES` makes them more.
fn cases(usual: u32) -> u32 {
    let given = std::env::var("KINFOLD_CASES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn comparing_changes_is_comparing_everything() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(Config {
        cases: cases(10),
        failure_persistence: None,
        ..Config::default()
    });
    let modes = prop_oneof![
        3 => Just((SyncMode::Mirror, OnLeave::Delete)),
        1 => Just((SyncMode::Mirror, OnLeave::Clear)),
        1 => Just((SyncMode::Mirror, OnLeave::Keep)),
        1 => Just((SyncMode::Upsert, OnLeave::Keep)),
        1 => Just((SyncMode::Insert, OnLeave::Keep)),
    ];
    let exact = std::sync::atomic::AtomicU32::new(0);
    let history = (modes, prop::collection::vec(step(), 1..10));
    runner
        .run(&history, |((mode, on_leave), steps)| {
            let found = runtime.block_on(play(mode, on_leave, &steps));
            exact.fetch_add(found, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
    // Otherwise nothing was shown.
    assert!(exact.into_inner() > cases(10) / 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_model_is_not_read() {
    let mut setting = Setting::new(mirror()).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting.publish(plain(&[("a", 1.0), ("b", 2.0)])).await;
    assert!(!setting.run_through(&receiver, &clock).await.unwrap().exact);
    let again = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((again.exact, again.planned, again.unchanged), (true, 0, 2));
    // A state that somebody else has advanced is looked at again.
    setting
        .engine
        .lake
        .put("sync/crm/compared.json", bytes::Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let doubtful = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((doubtful.exact, doubtful.unchanged), (false, 2));
    // Another meaning of the mapping, another comparison.
    setting.sync.mode = at(SyncMode::Upsert);
    setting.sync.on_leave = at(OnLeave::Keep);
    assert!(!setting.run_through(&receiver, &clock).await.unwrap().exact);
}
