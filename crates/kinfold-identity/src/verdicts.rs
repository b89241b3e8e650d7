//! What rows mean, a batch at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::canonical::CanonicalId;
use crate::nodes::NONE;
use crate::prepare::{Look, Prepared, Preparer};
use crate::replay::record;
use crate::resolution::{Resolution, Verdict};
use crate::rules::RejectionRule;

/// Rows whose slots are looked at before the first verdict: see [`crate::prepare`].
const AHEAD: usize = 1024;

/// Which records were met in a reading, on any thread, and the ids that records had first.
pub struct RecordsMet {
    /// A bit for each slot of the table of records.
    met: Vec<AtomicU64>,
    /// By slot, where the id that the record has now may be another one.
    firsts: HashMap<usize, CanonicalId>,
}

/// The id that a record had first: see [`Resolution::first_of`].
#[derive(Clone, Copy, Debug)]
pub struct FirstId {
    slot: usize,
    id: CanonicalId,
}

impl RecordsMet {
    /// Remembers the id that a record had first.
    pub fn recall(&mut self, first: FirstId) {
        self.firsts.insert(first.slot, first.id);
    }
}

/// The first row of a record in a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstRow {
    /// Its place in the batch.
    pub row: usize,
    /// The id that the record had first; none if it is the one that it has.
    pub first_id: Option<CanonicalId>,
}

impl Resolution {
    /// What makes rows ready for [`Resolution::verdicts`].
    #[must_use]
    pub fn preparer(&self) -> Preparer {
        Preparer::new(&self.blocked, &self.rules).without_texts()
    }

    /// What each row of a batch means, as [`Resolution::verdict_of`] says it.
    #[must_use]
    pub fn verdicts(&self, batch: &Prepared) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(batch.rows.len());
        let mut nodes = Vec::with_capacity(AHEAD);
        for rows in batch.rows.chunks(AHEAD) {
            let seen = rows
                .iter()
                .filter(|row| row.look == Look::Counts)
                .fold(0, |seen, row| seen ^ self.nodes.glance(&row.key));
            std::hint::black_box(seen);
            nodes.clear();
            nodes.extend(rows.iter().map(|row| match row.look {
                Look::Counts => self.nodes.find(&row.key).unwrap_or(NONE),
                _ => NONE,
            }));
            let seen = nodes.iter().fold(0, |seen, node| {
                seen ^ self.component.get(*node as usize).copied().unwrap_or(NONE)
            });
            std::hint::black_box(seen);
            verdicts.extend(rows.iter().zip(&nodes).map(|(row, node)| match row.look {
                Look::Nothing => Verdict::Ignored,
                Look::Refused(rule) => Verdict::Rejected(rule),
                Look::Excludes => Verdict::Rejected(RejectionRule::Excluded),
                Look::Counts if self.known_hubs.contains(&row.key) => {
                    Verdict::Rejected(RejectionRule::Hub)
                }
                Look::Counts if *node == NONE => Verdict::Ignored,
                Look::Counts => self.verdict_on(*node, || Some(row.record)),
            }));
        }
        verdicts
    }

    /// Before the first row of a reading that writes records.
    #[must_use]
    pub fn records_met(&self) -> RecordsMet {
        let words = self.records.slots().div_ceil(64);
        RecordsMet {
            met: (0..words).map(|_| AtomicU64::new(0)).collect(),
            firsts: HashMap::new(),
        }
    }

    /// What to remember of a record that is published with the id that it had first. None if no row has the
    /// record any more, or if that is the id that it has.
    #[must_use]
    pub fn first_of(&self, source: &str, record_id: &str, first: CanonicalId) -> Option<FirstId> {
        let record = record(&self.sources, source, record_id)?;
        let (slot, node) = (self.records.slot_of(&record)?, self.records.get(&record)?);
        // Where rows are refused, the representative of a record may be somebody else's.
        let known = !self.hinges_on_rows() && self.id_of(node) == Some(first);
        (!known).then_some(FirstId { slot, id: first })
    }

    /// Counts a record as met, whatever the reading says.
    pub fn has_met(&self, met: &RecordsMet, source: &str, record_id: &str) {
        let slot = record(&self.sources, source, record_id)
            .and_then(|record| self.records.slot_of(&record));
        if let Some((slot, word)) = slot.and_then(|slot| Some((slot, met.met.get(slot / 64)?))) {
            word.fetch_or(1 << (slot % 64), Ordering::Relaxed);
        }
    }

    /// The rows that are the first of their record in this reading, among the accepted ones that are
    /// neither a link nor a decision. Which row of a record that is may differ from reading to reading;
    /// each record has exactly one. A graph that is [`grouped by record`] knows no records.
    ///
    /// [`grouped by record`]: crate::GraphBuilder::grouped_by_record
    #[must_use]
    pub fn first_of_records(
        &self,
        batch: &Prepared,
        verdicts: &[Verdict],
        met: &RecordsMet,
    ) -> Vec<FirstRow> {
        let mut firsts = Vec::new();
        let rows = batch.rows.iter().zip(verdicts).enumerate();
        let rows: Vec<(usize, &_)> = rows
            .filter(|(_, (row, verdict))| !row.linked && matches!(verdict, Verdict::Accepted(_)))
            .map(|(at, (row, _))| (at, &row.record))
            .collect();
        for rows in rows.chunks(AHEAD) {
            let seen = rows
                .iter()
                .fold(0, |seen, (_, record)| seen ^ self.records.glance(record));
            std::hint::black_box(seen);
            firsts.extend(rows.iter().filter_map(|(at, record)| {
                let slot = self.records.slot_of(record)?;
                let bit = 1 << (slot % 64);
                let word = met.met.get(slot / 64)?;
                let before = word.fetch_or(bit, Ordering::Relaxed);
                (before & bit == 0).then(|| FirstRow {
                    row: *at,
                    first_id: met.firsts.get(&slot).copied(),
                })
            }));
        }
        firsts
    }
}
