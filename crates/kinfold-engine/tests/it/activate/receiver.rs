//! A destination that does with every row what the test says, and remembers all of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Capabilities, Destination, DestinationError, FailureClass, ObjectText,
    Operation, Outcome, SendResult,
};
use serde_json::{Map, Value};

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fate {
    #[default]
    Deliver,
    Reject,
    /// Not applied, for a reason that passes.
    Retry,
    /// Applied, and no answer.
    Lose,
    /// Not applied, and no answer.
    LoseBefore,
}

/// A row that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub key: String,
    pub operation: Operation,
    pub on_wire: BatchOperation,
    pub fields: Map<String, Value>,
    pub batch: String,
    pub fate: Fate,
}

#[derive(Default)]
struct Inner {
    fates: BTreeMap<String, Fate>,
    rows: BTreeMap<String, Map<String, Value>>,
    sent: Vec<Sent>,
    checks: u32,
    refuses: bool,
    /// Batches until every further one is refused for good.
    batches_left: Option<u32>,
}

#[derive(Default)]
pub struct Receiver(Mutex<Inner>);

impl Receiver {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// What becomes of rows from now on; those without an entry are delivered.
    pub fn fates(&self, fates: impl IntoIterator<Item = (String, Fate)>) {
        self.lock().fates = fates.into_iter().collect();
    }

    /// Whether checks fail.
    pub fn refuse_checks(&self, refuses: bool) {
        self.lock().refuses = refuses;
    }

    /// After so many batches every request is refused, or none is.
    pub fn break_after(&self, batches: Option<u32>) {
        self.lock().batches_left = batches;
    }

    pub fn checks(&self) -> u32 {
        self.lock().checks
    }

    /// Puts rows there that were delivered before.
    pub fn restore(&self, rows: impl IntoIterator<Item = (String, Value)>) {
        self.lock().rows = rows
            .into_iter()
            .filter_map(|(key, fields)| match fields {
                Value::Object(fields) => Some((key, fields)),
                _ => None,
            })
            .collect();
    }

    /// Its rows: key → fields.
    pub fn rows(&self) -> BTreeMap<String, Map<String, Value>> {
        self.lock().rows.clone()
    }

    /// What arrived since the last call.
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.lock().sent)
    }
}

#[async_trait]
impl Destination for Receiver {
    fn capabilities(&self) -> Capabilities {
        let operations = vec![
            BatchOperation::Insert,
            BatchOperation::Update,
            BatchOperation::Upsert,
            BatchOperation::Delete,
        ];
        Capabilities {
            modes: SyncMode::ALL.to_vec(),
            idempotent: vec![
                BatchOperation::Update,
                BatchOperation::Upsert,
                BatchOperation::Delete,
            ],
            operations,
            reads: true,
            max_rows: 1_000,
            max_bytes: 1 << 20,
            max_in_flight: 2,
        }
    }

    async fn check(&self) -> Result<(), DestinationError> {
        let mut inner = self.lock();
        inner.checks += 1;
        match inner.refuses {
            true => Err(DestinationError::Unauthorized {
                address: "receiver".to_owned(),
            }),
            false => Ok(()),
        }
    }

    async fn read(
        &self,
        keys: &[ObjectText],
    ) -> Result<Vec<Option<Map<String, Value>>>, DestinationError> {
        let inner = self.lock();
        let rows = keys.iter().map(|key| inner.rows.get(key.as_str()));
        Ok(rows.map(|row| row.cloned()).collect())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        tokio::task::yield_now().await;
        let mut inner = self.lock();
        if inner.batches_left == Some(0) {
            return SendResult::Fatal {
                class: FailureClass::Misconfigured,
                message: "as told".to_owned(),
            };
        }
        inner.batches_left = inner.batches_left.map(|left| left - 1);
        let mut outcomes = vec![];
        for change in &batch.changes {
            let key = change.key.as_str();
            let fields = change.fields.parse().unwrap();
            let fate = inner.fates.get(key).copied().unwrap_or_default();
            inner.sent.push(Sent {
                key: key.to_owned(),
                operation: change.operation,
                on_wire: batch.operation,
                fields: fields.clone(),
                batch: batch.id.to_string(),
                fate,
            });
            if matches!(fate, Fate::Deliver | Fate::Lose) {
                if change.operation == Operation::Remove {
                    inner.rows.remove(key);
                } else {
                    inner.rows.entry(key.to_owned()).or_default().extend(fields);
                }
            }
            let message = "as told".to_owned();
            outcomes.push(match fate {
                Fate::Deliver => Outcome::Delivered,
                Fate::Reject => Outcome::Rejected {
                    class: FailureClass::InvalidRow,
                    message,
                },
                Fate::Retry => Outcome::Retryable {
                    class: FailureClass::Unavailable,
                    message,
                },
                Fate::Lose | Fate::LoseBefore => Outcome::Unknown {
                    class: FailureClass::TimedOut,
                    message,
                },
            });
        }
        SendResult::Rows(outcomes)
    }
}
