//! State and ledger are written while a plan is delivered, and are the same as if they were written afterwards.

use async_trait::async_trait;
use kinfold_sync::{Batch, Capabilities, Destination, DestinationError, SendResult};
use kinfold_testkit::FakeClock;
use serde_json::json;

use super::receiver::{Fate, Receiver};
use super::setting::{Setting, field, plain, sync};
use kinfold_project::SyncMode;

/// More rows than two chunks of a plan have.
const ROWS: u64 = 45_000;

async fn many() -> Setting {
    let mut setting = Setting::new(sync(
        SyncMode::Upsert,
        &[("id", "id")],
        &[("value", "value")],
    ))
    .await;
    setting.policy.max_rows = 1_000;
    setting.policy.concurrency = 1;
    let ids: Vec<String> = (0..ROWS).map(|row| format!("row {row:05}")).collect();
    let rows: Vec<(&str, f64)> = ids.iter().map(|id| (id.as_str(), 1.0)).collect();
    setting.publish(plain(&rows)).await;
    setting
}

fn key(row: u64) -> String {
    json!({"id": format!("row {row:05}")}).to_string()
}

/// A receiver that looks at the state each time something is sent.
struct Watching<'a> {
    setting: &'a Setting,
    receiver: Receiver,
}

#[async_trait]
impl Destination for Watching<'_> {
    fn capabilities(&self) -> Capabilities {
        self.receiver.capabilities()
    }

    async fn check(&self) -> Result<(), DestinationError> {
        self.receiver.check().await
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        // Time for those who write ahead.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.setting.state_version().await, None);
        assert_eq!(self.setting.ledger().await.len(), 0);
        self.receiver.send(batch).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_committed_before_the_last_outcome() {
    let setting = many().await;
    let watching = Watching {
        setting: &setting,
        receiver: Receiver::default(),
    };
    let report = setting.run_through(&watching, &FakeClock::new()).await;
    assert_eq!(report.unwrap().delivered, ROWS);
    assert_eq!(setting.state_version().await, Some(0));
    assert_eq!(setting.state().await.len() as u64, ROWS);
    let ledger = setting.ledger().await;
    let mut seqs: Vec<u64> = ledger
        .iter()
        .map(|row| row["seq"].as_u64().unwrap())
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..ROWS).collect::<Vec<_>>());
    assert!(field(&ledger, "outcome").iter().all(|o| o == "delivered"));
    assert!(setting.leftovers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_stops_leaves_what_was_confirmed() {
    let mut setting = many().await;
    let receiver = Receiver::default();
    receiver.break_after(Some(25));
    let report = setting.run_through(&receiver, &FakeClock::new()).await;
    let report = report.unwrap();
    assert_eq!(
        (report.delivered, report.retryable),
        (25_000, ROWS - 25_000)
    );
    let delivered = |rows: &[serde_json::Value], name| {
        let words = field(rows, name);
        words.iter().filter(|word| *word == "delivered").count()
    };
    assert_eq!(delivered(&setting.state().await, "status"), 25_000);
    assert_eq!(delivered(&setting.ledger().await, "outcome"), 25_000);

    receiver.break_after(None);
    receiver.take();
    setting.later(1);
    let report = setting.run_through(&receiver, &FakeClock::new()).await;
    let report = report.unwrap();
    assert_eq!(
        (report.delivered, report.unchanged),
        (ROWS - 25_000, 25_000)
    );
    assert_eq!(receiver.take().len() as u64, ROWS - 25_000);
    assert_eq!(delivered(&setting.state().await, "status") as u64, ROWS);
    assert_eq!(delivered(&setting.ledger().await, "outcome") as u64, ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_rows_are_known_as_such() {
    let setting = many().await;
    let receiver = Receiver::default();
    let refused: Vec<String> = [3, 20_001, 44_999].map(key).to_vec();
    receiver.fates(refused.iter().map(|key| (key.clone(), Fate::Reject)));
    let report = setting.run_through(&receiver, &FakeClock::new()).await;
    let report = report.unwrap();
    assert_eq!((report.delivered, report.rejected), (ROWS - 3, 3));
    for (rows, name) in [
        (setting.state().await, "status"),
        (setting.ledger().await, "outcome"),
    ] {
        assert_eq!(rows.len() as u64, ROWS);
        let mut found: Vec<&str> = rows
            .iter()
            .filter(|row| row[name] == "rejected")
            .map(|row| row["key_text"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, refused);
        assert!(
            rows.iter()
                .all(|row| row[name] == "rejected" || row[name] == "delivered")
        );
    }
}
