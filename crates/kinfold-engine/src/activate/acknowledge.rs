//! The acknowledgement log: one immutable object for each call of `record`.
//!
//! Objects are named by fencing token and number, so a process that has lost its lease cannot overwrite
//! what its successor records, and the newest record of a row is the one that counts.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use kinfold_lake::Lake;
use kinfold_sync::{AckError, AckLog, Acknowledgement, Outcome};
use serde::{Deserialize, Serialize};

use super::ActivateError;
use super::lines::{self, hex};
use super::plan::{Plan, operation_word};
use super::state::Place;
use crate::EngineError;

/// The outcome of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AckLine {
    pub(super) seq: u64,
    pub(super) key: String,
    pub(super) operation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hash: Option<String>,
    /// `delivered`, `rejected`, `retryable` or `unknown`.
    pub(super) outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

/// Writes the log of one delivery.
pub(super) struct LakeAckLog {
    lake: Lake,
    /// Names of objects are this and a number.
    prefix: String,
    next: u64,
}

impl LakeAckLog {
    /// A log that goes on after the objects that were recorded before; `token` is that of the lease.
    pub(super) fn new(
        lake: &Lake,
        place: &Place,
        plan: &Plan,
        token: u64,
        recorded: &Recorded,
    ) -> Self {
        let prefix = format!("{}/ack-{token:020}-", place.run(&plan.delivery));
        Self {
            lake: lake.clone(),
            prefix,
            next: recorded.objects,
        }
    }
}

#[async_trait]
impl AckLog for LakeAckLog {
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError> {
        let name = format!("{}{:012}.ndjson", self.prefix, self.next);
        let mut bytes = vec![];
        for acknowledgement in acknowledgements {
            for (change, (seq, outcome)) in acknowledgement
                .batch
                .changes
                .iter()
                .zip(&acknowledgement.outcomes)
            {
                let failure = outcome.failure();
                let line = AckLine {
                    seq: *seq,
                    key: change.key_text.clone(),
                    operation: operation_word(change.operation).to_owned(),
                    hash: (!change.operation.is_leaving()).then(|| hex(&change.payload_hash)),
                    outcome: Outcome::as_str(outcome).to_owned(),
                    class: failure.map(|(class, _)| class.as_str().to_owned()),
                    message: failure.map(|(_, message)| message.to_owned()),
                };
                lines::append(&mut bytes, &line, &name).map_err(AckError::new)?;
            }
        }
        self.lake
            .put_new(&name, Bytes::from(bytes))
            .await
            .map_err(AckError::new)?;
        self.next += 1;
        Ok(())
    }
}

/// A set of positions of a plan: one bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions(Vec<u64>);

impl Positions {
    /// Adds a position; whether it was new.
    pub(super) fn insert(&mut self, seq: u64) -> bool {
        let word = usize::try_from(seq / 64).unwrap_or(usize::MAX);
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        let bit = 1 << (seq % 64);
        match self.0.get_mut(word) {
            Some(bits) => {
                let new = *bits & bit == 0;
                *bits |= bit;
                new
            }
            None => false,
        }
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        usize::try_from(seq / 64)
            .ok()
            .and_then(|word| self.0.get(word))
            .is_some_and(|bits| bits & (1 << (seq % 64)) != 0)
    }
}

/// Reads the log of a delivery object by object, the newest record of each row only.
pub(super) struct AckReader {
    lake: Lake,
    objects: VecDeque<String>,
    rows: u64,
    seen: Positions,
}

impl AckReader {
    pub(super) async fn open(lake: &Lake, place: &Place, plan: &Plan) -> Result<Self, EngineError> {
        let folder = place.run(&plan.delivery);
        let prefix = format!("{folder}/ack-");
        let mut objects: VecDeque<String> = VecDeque::new();
        for object in lake.list(&folder).await? {
            if object.name.starts_with(&prefix) {
                objects.push_front(object.name);
            }
        }
        let rows = plan.changes.iter().map(|chunk| chunk.rows).sum();
        Ok(Self {
            lake: lake.clone(),
            objects,
            rows,
            seen: Positions::default(),
        })
    }

    /// The lines of the next object; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<AckLine>>, EngineError> {
        let Some(name) = self.objects.pop_front() else {
            return Ok(None);
        };
        let mut lines: Vec<AckLine> = lines::read(&self.lake, &name).await?;
        if lines.iter().any(|line| line.seq >= self.rows) {
            return Err(ActivateError::Stored {
                object: name,
                reason: "it is not of this plan",
            }
            .into());
        }
        lines.retain(|line| self.seen.insert(line.seq));
        Ok(Some(lines))
    }

    /// Reads to the end: which rows have an outcome, and how many of each kind.
    pub(super) async fn recorded(mut self) -> Result<Recorded, EngineError> {
        let mut recorded = Recorded {
            objects: self.objects.len() as u64,
            ..Recorded::default()
        };
        while let Some(lines) = self.next().await? {
            for line in &lines {
                recorded.rows += 1;
                match line.outcome.as_str() {
                    "delivered" => recorded.delivered += 1,
                    "rejected" => recorded.rejected += 1,
                    "unknown" => recorded.unknown += 1,
                    _ => recorded.retryable += 1,
                }
            }
        }
        recorded.positions = self.seen;
        Ok(recorded)
    }
}

/// What a log holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    /// Objects of the log.
    pub(super) objects: u64,
    pub(super) positions: Positions,
    pub(super) rows: u64,
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    pub(super) retryable: u64,
    pub(super) unknown: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_a_set() {
        let mut set = Positions::default();
        for seq in [0, 63, 64, 1_000] {
            assert!(!set.contains(seq));
            assert!(set.insert(seq));
            assert!(!set.insert(seq));
            assert!(set.contains(seq));
        }
        assert!(!set.contains(65));
    }
}
