//! A batch that becomes a job is one request, whatever its size.

use kinfold_sync::{BatchOperation, Destination, Outcome};
use kinfold_testkit::{FakeClock, JobOptions, Loopback, Rejection};
use serde_json::json;

use super::contract::{adds, batch_of, deliver_with, destination_of, with_wide_deletes};
use kinfold_project::SyncMode;
use kinfold_sync::SendResult;

#[tokio::test]
async fn a_job_never_leaves_rows_of_its_batch_behind() {
    let server = Loopback::start().await.unwrap();
    server.refuse([json!({"id": "p3"})], Rejection::Whole(400));
    server.accept_jobs(JobOptions::default());
    let clock = FakeClock::new();
    let destination = destination_of(with_wide_deletes(), server.url(), SyncMode::Upsert, &clock);
    assert_eq!(destination.capabilities().max_rows, 50);
    assert_eq!(destination.max_rows(BatchOperation::Upsert), 5);
    assert_eq!(destination.max_rows(BatchOperation::Delete), 50);
    let (report, log) = deliver_with(&destination, &adds(60), &clock).await;
    assert!(report.counters.add_up(), "{report:?}");
    let records = server.records("contacts");
    for change in adds(60) {
        let delivered = log
            .outcomes()
            .get(&change.seq)
            .is_some_and(Outcome::is_delivered);
        assert_eq!(
            delivered,
            records.contains_key(change.key.as_str()),
            "{}",
            change.seq
        );
        assert_eq!(delivered, change.seq != 3);
    }
}

#[tokio::test]
async fn a_batch_that_is_larger_than_a_job_is_halved_before_anything_is_sent() {
    let server = Loopback::start().await.unwrap();
    server.accept_jobs(JobOptions::default());
    let clock = FakeClock::new();
    let destination = destination_of(with_wide_deletes(), server.url(), SyncMode::Upsert, &clock);
    let result = destination.send(&batch_of(&adds(6))).await;
    assert!(matches!(result, SendResult::Rejected { .. }), "{result:?}");
    assert_eq!(server.applied(), 0);
    let result = destination.send(&batch_of(&adds(5))).await;
    assert!(matches!(result, SendResult::Accepted { .. }), "{result:?}");
}
