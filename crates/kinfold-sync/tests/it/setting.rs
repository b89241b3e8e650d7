//! What most tests need.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Budget, CancelToken, Capabilities, Change, DeliveryPolicy,
    DeliveryReport, Destination, DestinationError, FailureClass, ObjectText, Operation, Outcome,
    RetryPolicy, Run, SendResult, deliver,
};
use kinfold_testkit::{FakeClock, MemoryLog, MemorySource, change};
use serde_json::{Value, json};

pub fn run_of(mode: SyncMode) -> Arc<Run> {
    Arc::new(Run {
        sync: "winback_crm".to_owned(),
        run_id: "run-1".to_owned(),
        mode,
    })
}

pub fn policy(max_rows: usize, concurrency: usize) -> DeliveryPolicy {
    DeliveryPolicy {
        max_rows,
        max_bytes: 1 << 20,
        concurrency,
        concurrency_start: concurrency,
        retry: RetryPolicy {
            max_attempts: 4,
            max_elapsed: Duration::from_secs(60),
            base: Duration::from_millis(500),
            max_wait: Duration::from_secs(8),
        },
        max_throttle: Duration::from_secs(600),
        max_consecutive_failures: 1_000,
        max_error_rate: None,
        jobs: kinfold_sync::JobPolicy::default(),
    }
}

/// Adds of `count` rows with the keys `p0`, `p1`, ….
pub fn adds(count: u64) -> Vec<Change> {
    (0..count)
        .map(|seq| {
            change(
                seq,
                Operation::Add,
                &format!("p{seq}"),
                json!({"name": format!("Person number {seq}"), "n": seq}),
            )
        })
        .collect()
}

/// Gives a row another value.
pub fn set(change: &mut Change, field: &str, value: Value) {
    let mut fields = change.fields.parse().unwrap();
    fields.insert(field.to_owned(), value);
    change.fields = ObjectText::from(&fields);
}

pub async fn deliver_plan(
    mode: SyncMode,
    plan: &[Change],
    destination: &dyn Destination,
    log: &MemoryLog,
    policy: &DeliveryPolicy,
) -> DeliveryReport {
    deliver(
        &run_of(mode),
        &mut MemorySource::new(plan.to_vec()),
        destination,
        &mut log.clone(),
        policy,
        &FakeClock::new(),
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A destination that gives prepared answers, then delivers everything.
pub struct Answers {
    pub idempotent: bool,
    answers: Mutex<VecDeque<SendResult>>,
    always: Option<SendResult>,
    pub batches: Mutex<Vec<Batch>>,
}

impl Answers {
    pub fn new(answers: impl IntoIterator<Item = SendResult>) -> Self {
        Self {
            idempotent: true,
            answers: Mutex::new(answers.into_iter().collect()),
            always: None,
            batches: Mutex::default(),
        }
    }

    pub fn always(answer: SendResult) -> Self {
        Self {
            always: Some(answer),
            ..Self::new([])
        }
    }

    pub fn requests(&self) -> usize {
        self.batches.lock().unwrap().len()
    }
}

#[async_trait]
impl Destination for Answers {
    fn capabilities(&self) -> Capabilities {
        let operations = vec![
            BatchOperation::Insert,
            BatchOperation::Update,
            BatchOperation::Upsert,
            BatchOperation::Delete,
        ];
        Capabilities {
            modes: vec![SyncMode::Insert, SyncMode::Upsert, SyncMode::Mirror],
            idempotent: if self.idempotent {
                operations.clone()
            } else {
                Vec::new()
            },
            operations,
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
        self.batches.lock().unwrap().push(batch.clone());
        tokio::task::yield_now().await;
        let answer = self.answers.lock().unwrap().pop_front();
        answer
            .or_else(|| self.always.clone())
            .unwrap_or_else(|| SendResult::Rows(vec![Outcome::Delivered; batch.changes.len()]))
    }
}

pub fn transient() -> SendResult {
    SendResult::Transient {
        class: FailureClass::Unavailable,
        message: "not now".to_owned(),
    }
}

pub fn lost() -> SendResult {
    SendResult::Unknown {
        class: FailureClass::ConnectionLost,
        message: "no answer".to_owned(),
    }
}

pub fn unreachable() -> SendResult {
    SendResult::Transient {
        class: FailureClass::Unreachable,
        message: "nobody there".to_owned(),
    }
}
