//! How batches are cut and halved.

use std::sync::Mutex;

use async_trait::async_trait;
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Capabilities, Change, Destination, DestinationError, FailureClass,
    Operation, Outcome, SendResult,
};
use kinfold_testkit::{MemoryLog, change};
use serde_json::json;

use crate::setting::{Answers, adds, deliver_plan, lost, policy};

/// Refuses batches as a whole, and keeps which rows came with each request.
struct Refusing {
    bad: &'static [u64],
    /// Larger batches are too large.
    most: usize,
    deletes: usize,
    /// Speaks by rows of a single row.
    by_rows: bool,
    /// Requests without an answer, counted from 0.
    lost: &'static [usize],
    came: Mutex<Vec<Vec<u64>>>,
}

impl Refusing {
    fn new(bad: &'static [u64]) -> Self {
        Self {
            bad,
            most: usize::MAX,
            deletes: 1_000,
            lost: &[],
            by_rows: false,
            came: Mutex::default(),
        }
    }

    fn sizes(&self) -> Vec<usize> {
        self.came.lock().unwrap().iter().map(Vec::len).collect()
    }
}

#[async_trait]
impl Destination for Refusing {
    fn capabilities(&self) -> Capabilities {
        Answers::new([]).capabilities()
    }

    fn max_rows(&self, operation: BatchOperation) -> usize {
        match operation {
            BatchOperation::Delete => self.deletes,
            _ => 1_000,
        }
    }

    async fn check(&self) -> Result<(), DestinationError> {
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let rows: Vec<u64> = batch.changes.iter().map(|change| change.seq).collect();
        let number = self.sizes().len();
        self.came.lock().unwrap().push(rows.clone());
        if self.lost.contains(&number) {
            return lost();
        }
        let refused = |class| SendResult::Rejected {
            class,
            message: "no".to_owned(),
        };
        if rows.len() > self.most {
            refused(FailureClass::TooLarge)
        } else if rows.iter().any(|row| self.bad.contains(row)) {
            if self.by_rows && rows.len() == 1 {
                let (class, message) = (FailureClass::InvalidRow, "no".to_owned());
                return SendResult::Rows(vec![Outcome::Rejected { class, message }]);
            }
            refused(FailureClass::InvalidRow)
        } else {
            SendResult::Rows(vec![Outcome::Delivered; rows.len()])
        }
    }
}

async fn deliver(destination: &Refusing, plan: &[Change], max_rows: usize) -> MemoryLog {
    let log = MemoryLog::new();
    let policy = policy(max_rows, 1);
    let report = deliver_plan(SyncMode::Mirror, plan, destination, &log, &policy).await;
    assert!(report.counters.add_up(), "{report:?}");
    let refused: Vec<u64> = log
        .outcomes()
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Rejected { .. }))
        .map(|(row, _)| *row)
        .collect();
    assert_eq!(refused, destination.bad);
    log
}

#[tokio::test]
async fn a_half_that_must_hold_the_fault_is_halved_without_being_sent() {
    let destination = Refusing::new(&[6]);
    deliver(&destination, &adds(8), 10).await;
    let came = destination.came.lock().unwrap().clone();
    let rows = |range: std::ops::Range<u64>| range.collect::<Vec<u64>>();
    assert_eq!(
        came,
        [rows(0..8), rows(0..4), rows(4..6), rows(6..7), rows(7..8)]
    );
}

#[tokio::test]
async fn a_row_is_rejected_only_when_it_was_sent_alone() {
    for (bad, sizes) in [
        (&[0, 7][..], vec![8, 4, 2, 1, 1, 2, 4, 2, 1, 1]),
        (&[7], vec![8, 4, 2, 1, 1]),
        (&[0], vec![8, 4, 2, 1, 1, 2, 4]),
    ] {
        let destination = Refusing::new(bad);
        deliver(&destination, &adds(8), 10).await;
        assert_eq!(destination.sizes(), sizes, "{bad:?}");
        let came = destination.came.lock().unwrap();
        assert!(bad.iter().all(|row| came.contains(&vec![*row])));
    }
}

#[tokio::test]
async fn a_row_that_is_refused_by_name_is_not_taken() {
    for by_rows in [false, true] {
        let destination = Refusing {
            by_rows,
            ..Refusing::new(&[0])
        };
        deliver(&destination, &adds(3), 10).await;
        assert_eq!(destination.sizes(), [3, 1, 2], "{by_rows}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_costs_one_request() {
    for lost in [&[1][..], &[2], &[3], &[1, 2]] {
        let destination = Refusing {
            lost,
            ..Refusing::new(&[6])
        };
        deliver(&destination, &adds(8), 10).await;
        assert_eq!(destination.sizes().len(), 5 + lost.len(), "{lost:?}");
    }
}

#[tokio::test]
async fn of_a_batch_that_is_too_large_no_half_is_at_fault() {
    let destination = Refusing {
        most: 4,
        ..Refusing::new(&[])
    };
    deliver(&destination, &adds(8), 10).await;
    assert_eq!(destination.sizes(), [8, 4, 4]);
}

#[tokio::test]
async fn each_operation_has_its_own_most_rows() {
    let destination = Refusing {
        deletes: 2,
        ..Refusing::new(&[])
    };
    let mut plan: Vec<Change> = (0..5)
        .map(|seq| change(seq, Operation::Remove, &format!("r{seq}"), json!({})))
        .collect();
    plan.extend(
        (5..15).map(|seq| change(seq, Operation::Add, &format!("a{seq}"), json!({"n": seq}))),
    );
    deliver(&destination, &plan, 6).await;
    // The adds end at multiples of six, the removals at multiples of two.
    assert_eq!(destination.sizes(), [2, 2, 1, 1, 6, 3]);
}
