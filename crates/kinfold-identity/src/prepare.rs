//! Rows made ready on any thread: what is known of a row without the others.
//!
//! To hash two keys and look at a value costs more than to join what the row joins, and needs nothing
//! of the graph. So that is done where the rows are decoded, and the one thread that has the graph
//! takes whole batches of ready rows. It also looks at all slots of a part of a batch before it
//! changes any: the processor then waits for many lines of memory at a time.

use crate::blocked::BlockedValues;
use crate::canonical::CanonicalId;
use crate::graph::{GraphBuilder, GraphError, not_blank};
use crate::nodes::{Fingerprint, Words};
use crate::observation::{LinkKind, Observation};
use crate::rules::{RejectionRule, Rules};

/// What is known of a row without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It counts, unless another row is against it.
    Counts,
    /// Somebody decided that it does not.
    Excludes,
    /// It is refused by its looks.
    Refused(RejectionRule),
    /// It names nothing.
    Nothing,
}

/// A row without its texts.
#[derive(Clone, Copy)]
pub(crate) struct Ready {
    /// Fingerprints of the identifier and of the record, if the row counts or excludes.
    pub(crate) key: Fingerprint,
    pub(crate) record: Fingerprint,
    pub(crate) observed_at: Option<i64>,
    /// Where its value ends in the text.
    pub(crate) end: usize,
    /// Index of its type among those of the batch.
    pub(crate) kind: u16,
    pub(crate) look: Look,
    /// Whether it is evidence of a linkage or a decision, which makes no record.
    pub(crate) linked: bool,
}

/// Makes rows ready under some rules. Cheap to clone and to share.
#[derive(Clone)]
pub struct Preparer {
    blocked: BlockedValues,
    rules: Rules,
    /// Types that rules name, each at the place of its rules.
    named: Words,
    texts: bool,
}

impl Preparer {
    pub(crate) fn new(blocked: &BlockedValues, rules: &Rules) -> Self {
        let mut named = Words::default();
        for of_type in &rules.types {
            // The rules were validated: there are no more types than indices, none twice.
            let _ = named.intern(&of_type.id_type, GraphError::TooManyIdTypes);
        }
        Self {
            blocked: blocked.clone(),
            rules: rules.clone(),
            named,
            texts: true,
        }
    }

    /// The same for rows that the graph has seen: their texts are not copied.
    #[must_use]
    pub fn without_texts(mut self) -> Self {
        self.texts = false;
        self
    }

    /// Makes rows ready, in their order.
    ///
    /// # Errors
    /// If there are more types or sources among them than indices.
    pub fn prepare<'r>(
        &self,
        rows: impl Iterator<Item = Observation<'r>>,
    ) -> Result<Prepared, GraphError> {
        let mut batch = Prepared {
            rows: Vec::with_capacity(rows.size_hint().0),
            text: String::new(),
            types: Words::default(),
            sources: Words::default(),
            ignored: 0,
            refused: 0,
        };
        let mut before: Option<(&str, &str, Fingerprint)> = None;
        for row in rows {
            let mut ready = Ready {
                key: Fingerprint([0; 4]),
                record: Fingerprint([0; 4]),
                observed_at: row.observed_at,
                end: batch.text.len(),
                kind: 0,
                look: Look::Nothing,
                linked: row.link != LinkKind::None,
            };
            match named(&row) {
                None => batch.ignored += 1,
                Some((source, record_id, id_type, id_value)) => {
                    if let Some(rule) = self.looks(id_type, id_value) {
                        ready.look = Look::Refused(rule);
                        batch.refused += 1;
                    } else {
                        ready.look = match row.link {
                            LinkKind::Exclude => Look::Excludes,
                            _ => Look::Counts,
                        };
                        ready.kind = batch.types.intern(id_type, GraphError::TooManyIdTypes)?;
                        ready.key = Fingerprint::new(batch.types.space(ready.kind), id_value);
                        // Rows of a record are often neighbours.
                        ready.record = match before {
                            Some((s, id, record)) if s == source && id == record_id => record,
                            _ => {
                                let at =
                                    batch.sources.intern(source, GraphError::TooManySources)?;
                                Fingerprint::new(batch.sources.space(at), record_id)
                            }
                        };
                        before = Some((source, record_id, ready.record));
                        if self.texts {
                            batch.text.push_str(id_value);
                            ready.end = batch.text.len();
                        }
                    }
                }
            }
            batch.rows.push(ready);
        }
        Ok(batch)
    }

    fn looks(&self, id_type: &str, id_value: &str) -> Option<RejectionRule> {
        self.blocked.rejects(id_type, id_value).or_else(|| {
            if self.rules.types.is_empty() {
                return None;
            }
            let kind = self.named.get(id_type)?;
            self.rules.types.get(usize::from(kind))?.rejects(id_value)
        })
    }
}

fn named<'r>(row: &Observation<'r>) -> Option<(&'r str, &'r str, &'r str, &'r str)> {
    Some((
        row.source?,
        row.record_id?,
        not_blank(row.id_type)?,
        not_blank(row.id_value)?,
    ))
}

/// Rows that are ready, in their order.
pub struct Prepared {
    pub(crate) rows: Vec<Ready>,
    pub(crate) text: String,
    pub(crate) types: Words,
    pub(crate) sources: Words,
    pub(crate) ignored: u64,
    pub(crate) refused: u64,
}

impl Prepared {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn value(&self, at: usize) -> &str {
        let start = at
            .checked_sub(1)
            .and_then(|before| self.rows.get(before))
            .map_or(0, |before| before.end);
        let end = self.rows.get(at).map_or(start, |row| row.end);
        self.text.get(start..end).unwrap_or_default()
    }
}

/// An identifier of the assignment before, without its text.
struct ReadyPrevious {
    key: Fingerprint,
    canonical_id: CanonicalId,
    minted_at: i64,
    end: usize,
    kind: u16,
}

/// Identifiers of the assignment before that are ready.
pub struct PreparedPrevious {
    rows: Vec<ReadyPrevious>,
    text: String,
    types: Words,
}

impl Preparer {
    /// Makes identifiers of the assignment before ready: type, value, canonical id, and when that was
    /// minted, as for [`GraphBuilder::previous`].
    ///
    /// # Errors
    /// If there are more types among them than indices.
    pub fn previous<'r>(
        &self,
        identifiers: impl Iterator<Item = (&'r str, &'r str, CanonicalId, i64)>,
    ) -> Result<PreparedPrevious, GraphError> {
        let mut batch = PreparedPrevious {
            rows: Vec::with_capacity(identifiers.size_hint().0),
            text: String::new(),
            types: Words::default(),
        };
        for (id_type, id_value, canonical_id, minted_at) in identifiers {
            let kind = batch.types.intern(id_type, GraphError::TooManyIdTypes)?;
            batch.text.push_str(id_value);
            batch.rows.push(ReadyPrevious {
                key: Fingerprint::new(batch.types.space(kind), id_value),
                canonical_id,
                minted_at,
                end: batch.text.len(),
                kind,
            });
        }
        Ok(batch)
    }
}

/// Rows whose slots are looked at before any is changed: their lines fit into the second cache.
const AHEAD: usize = 1024;

impl GraphBuilder {
    /// What makes rows ready for this graph. Its rules must have been given before.
    #[must_use]
    pub fn preparer(&self) -> Preparer {
        Preparer::new(&self.blocked, &self.rules)
    }

    /// Takes rows that [`Preparer::prepare`] made ready, as if each came through
    /// [`GraphBuilder::observe`].
    ///
    /// # Errors
    /// If there are more distinct identifiers, types or sources than indices.
    pub fn take(&mut self, batch: &Prepared) -> Result<(), GraphError> {
        let kinds = self.kinds_of(&batch.types)?;
        for name in batch.sources.names() {
            self.sources.intern(name, GraphError::TooManySources)?;
        }
        self.ignored += batch.ignored;
        self.rejected += batch.refused;
        let mut joins: Vec<(u32, u32)> = Vec::with_capacity(AHEAD);
        for (part, rows) in batch.rows.chunks(AHEAD).enumerate() {
            let counting = || rows.iter().filter(|row| row.look == Look::Counts);
            let seen = counting().fold(0, |seen, row| {
                seen ^ self.nodes.glance(&row.key) ^ self.glance(&row.record)
            });
            std::hint::black_box(seen);
            joins.clear();
            for (at, row) in (part * AHEAD..).zip(rows) {
                if !matches!(row.look, Look::Counts | Look::Excludes) {
                    continue;
                }
                if row.look == Look::Counts && self.known_hubs.contains(&row.key) {
                    self.rejected += 1;
                    continue;
                }
                let kind = kinds.get(usize::from(row.kind)).copied().unwrap_or(0);
                let node = self.nodes.intern_key(kind, &row.key, || batch.value(at))?;
                if row.look == Look::Excludes {
                    self.excludes.push((row.record, node));
                    self.rejected += 1;
                    continue;
                }
                self.linked |= row.linked;
                self.observed(node, row.observed_at);
                joins.push((self.representative(row.record, node), node));
                self.accepted += 1;
            }
            let seen = joins.iter().fold(0, |seen, (record, _)| {
                seen ^ self.nodes.all[*record as usize].parent
            });
            std::hint::black_box(seen);
            for (record, node) in &joins {
                self.nodes.union(*record, *node);
            }
        }
        Ok(())
    }

    /// Takes what [`Preparer::previous`] made ready, as if each came through
    /// [`GraphBuilder::previous`].
    ///
    /// # Errors
    /// As [`GraphBuilder::previous`].
    pub fn take_previous(&mut self, batch: &PreparedPrevious) -> Result<(), GraphError> {
        let kinds = self.kinds_of(&batch.types)?;
        let mut start = 0;
        for rows in batch.rows.chunks(AHEAD) {
            let seen = rows
                .iter()
                .fold(0, |seen, row| seen ^ self.nodes.glance(&row.key));
            std::hint::black_box(seen);
            for row in rows {
                let kind = kinds.get(usize::from(row.kind)).copied().unwrap_or(0);
                let value = || batch.text.get(start..row.end).unwrap_or_default();
                let node = self.nodes.intern_key(kind, &row.key, value)?;
                self.previous_of(node, row.canonical_id, row.minted_at)?;
                start = row.end;
            }
        }
        Ok(())
    }

    /// The graph's indices of the types of a batch.
    fn kinds_of(&mut self, types: &Words) -> Result<Vec<u16>, GraphError> {
        let kinds = types
            .names()
            .map(|name| self.nodes.types.intern(name, GraphError::TooManyIdTypes));
        kinds.collect()
    }
}
