//! From classified rows to chunks, counts and examples.

use std::sync::Arc;

use kinfold_lake::Lake;
use serde::{Deserialize, Serialize};

use super::SyncRequest;
use super::canonical::text_hash;
use super::chunk::{Chunk, ChunkWriter, Room};
use super::class::{Class, Row};
use super::compare::hash_of;
use super::guard::{self, Extent, Held};
use super::held::Approved;
use super::keys::Hash;
use super::lines::{Lines, LinesWriter, hex};
use super::mask;
use super::plan::Counts;
use super::report::Example;
use crate::EngineError;

/// Examples of each operation that a dry run shows.
const EXAMPLES: usize = 5;

/// Rows by class.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Keys that the destination has confirmed.
    pub(super) acknowledged: u64,
    unchanged: u64,
    settled: u64,
    adopted: u64,
    adds: u64,
    updates: u64,
    leaving: u64,
    waiting: u64,
    waiting_to_leave: u64,
    /// The parts of `adds` and `updates`, and of `leaving`, that a person has let through.
    approved_sending: u64,
    approved_leaving: u64,
    /// Numbers for the rows to send that the model has and for those that left it, but for approved
    /// ones; whatever their order.
    digests: [u128; 2],
    /// Rows of the model that cannot be sent; all copies of a key count.
    pub(super) invalid: u64,
    /// Planned rows that are void, because their key came again.
    pub(super) retracted: u64,
    /// When the first of the rows that wait is due, in microseconds since 1970; `i64::MAX` if none ever is.
    next_due: Due,
}

#[derive(Clone, Copy, Debug)]
struct Due(i64);

impl Default for Due {
    fn default() -> Self {
        Self(i64::MAX)
    }
}

/// What a comparison says of all rows of a model, as far as it matters for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extents {
    /// Keys that the destination has confirmed.
    pub(super) acknowledged: u64,
    /// Rows of the model.
    pub(super) present: u64,
    /// Those of them that were refused and are not due.
    pub(super) waiting: u64,
    /// Rows that left the model and whose removal was refused and is not due.
    pub(super) waiting_to_leave: u64,
    /// When the first of both kinds is due, in microseconds since 1970.
    pub(super) next_due: i64,
}

impl Tally {
    fn of(&mut self, class: Class) -> Option<&mut u64> {
        Some(match class {
            Class::Add => &mut self.adds,
            Class::Update => &mut self.updates,
            Class::Remove | Class::Clear => &mut self.leaving,
            Class::Unchanged => &mut self.unchanged,
            Class::Settle => &mut self.settled,
            Class::Adopt => &mut self.adopted,
            Class::Waiting => &mut self.waiting,
            Class::WaitingToLeave => &mut self.waiting_to_leave,
            Class::Keep | Class::Forget | Class::Verify | Class::Doubt => return None,
            Class::NullKey | Class::DuplicateKey | Class::NoForm => &mut self.invalid,
        })
    }

    fn add(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.unchanged, other.unchanged),
            (&mut self.settled, other.settled),
            (&mut self.adopted, other.adopted),
            (&mut self.adds, other.adds),
            (&mut self.updates, other.updates),
            (&mut self.leaving, other.leaving),
            (&mut self.waiting, other.waiting),
            (&mut self.waiting_to_leave, other.waiting_to_leave),
            (&mut self.approved_sending, other.approved_sending),
            (&mut self.approved_leaving, other.approved_leaving),
            (&mut self.invalid, other.invalid),
            (&mut self.retracted, other.retracted),
        ] {
            // A part alone may be below nothing, when it takes back what another one counted.
            *sum = sum.wrapping_add(part);
        }
        self.next_due = Due(self.next_due.0.min(other.next_due.0));
        for (sum, part) in self.digests.iter_mut().zip(other.digests) {
            *sum = sum.wrapping_add(part);
        }
    }

    /// Names what is held: equal for equal rows.
    fn id(&self, held: &Held) -> Option<String> {
        let [sending, leaving] = self.digests;
        let text = match held {
            Held::Nothing => return None,
            Held::Leaving(_) => leaving.to_string(),
            Held::Everything(_) => format!("{sending} {leaving}"),
        };
        let mut id = hex(&text_hash(&text));
        id.truncate(12);
        Some(id)
    }

    /// Rows to add turned out to be there already.
    pub(super) fn adopt(&mut self, rows: u64) {
        self.adds -= rows;
        self.adopted += rows;
    }

    /// Only so many rows of these kinds are sent, and nothing leaves.
    pub(super) fn limit(&mut self, adds: u64, updates: u64) {
        (self.adds, self.updates, self.leaving) = (adds, updates, 0);
    }

    /// Rows of which nothing has changed since a comparison that found `before`, but for `touched` rows of its
    /// model, of which `waiting` waited.
    pub(super) fn untouched(before: &Extents, touched: u64, waiting: u64) -> Self {
        let waits = before.waiting.saturating_sub(waiting);
        let present = before.present.saturating_sub(touched);
        Self {
            acknowledged: before.acknowledged,
            unchanged: present.saturating_sub(waits),
            waiting: waits,
            waiting_to_leave: before.waiting_to_leave,
            next_due: Due(before.next_due),
            ..Self::default()
        }
    }

    /// Replaces the number of confirmed keys by that of `untouched`, and adds its rows.
    pub(super) fn beside(&mut self, untouched: &Self) {
        self.acknowledged = 0;
        self.add(untouched);
    }

    /// How things stand once all of it is delivered; none if that is not known from the counts.
    pub(super) fn extents(&self) -> Option<Extents> {
        (self.invalid == 0 && self.adopted == 0).then(|| Extents {
            acknowledged: (self.acknowledged + self.adds).saturating_sub(self.leaving),
            present: self.extent().present,
            waiting: self.waiting,
            waiting_to_leave: self.waiting_to_leave,
            next_due: self.next_due.0,
        })
    }

    fn extent(&self) -> Extent {
        let sending = self.adds + self.updates;
        Extent {
            acknowledged: self.acknowledged,
            present: sending + self.unchanged + self.settled + self.adopted + self.waiting,
            sending: sending - self.approved_sending,
            leaving: self.leaving - self.approved_leaving,
        }
    }

    /// What the guards of the sync keep back of it. Keys that somebody asks for by name are not guarded.
    pub(super) fn held(&self, request: &SyncRequest<'_>) -> Held {
        if request.scope.keys.is_empty() {
            guard::held(&request.sync.guards, self.extent())
        } else {
            Held::Nothing
        }
    }

    pub(super) fn counts(&self, held: &Held) -> Counts {
        let all = self.adds + self.updates + self.leaving;
        let (kept, because) = match held {
            Held::Nothing => (0, None),
            Held::Leaving(why) => (self.leaving - self.approved_leaving, Some(why.clone())),
            Held::Everything(why) => {
                let approved = self.approved_sending + self.approved_leaving;
                (all - approved, Some(why.clone()))
            }
        };
        Counts {
            sending: all - kept,
            held: kept,
            invalid: self.invalid,
            unchanged: self.unchanged + self.settled,
            adopted: self.adopted,
            waiting: self.waiting + self.waiting_to_leave,
            adds: self.adds,
            updates: self.updates,
            removals: self.leaving,
            held_id: self.id(held),
            held_because: because,
            exact: false,
        }
    }
}

/// Rows that cannot be sent: a key and how many rows of the model have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct InvalidLine {
    pub(super) key: Option<String>,
    pub(super) reason: String,
    pub(super) rows: u64,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub(super) struct Changeset {
    pub(super) tally: Tally,
    /// Rows to send that left the model.
    pub(super) leaving: Vec<Chunk>,
    /// Rows to send that the model has.
    pub(super) sending: Vec<Chunk>,
    /// Rows of both kinds that a person has let through; in neither of the others.
    pub(super) approved: [Vec<Chunk>; 2],
    /// What only the state has to learn.
    pub(super) notes: Vec<Chunk>,
    pub(super) invalid: Vec<Lines>,
    /// Whether only what has changed since the last run was compared.
    pub(super) exact: bool,
    examples: Vec<(Hash, Example)>,
}

impl Changeset {
    /// Nothing has changed.
    pub(super) fn nothing(tally: Tally) -> Self {
        Self {
            tally,
            exact: true,
            ..Self::default()
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.tally.add(&other.tally);
        self.leaving.extend(other.leaving);
        self.sending.extend(other.sending);
        for (all, part) in self.approved.iter_mut().zip(other.approved) {
            all.extend(part);
        }
        self.notes.extend(other.notes);
        self.invalid.extend(other.invalid);
        self.examples.extend(other.examples);
    }

    /// Takes out what was planned for keys that are not to be kept.
    pub(super) async fn retain(
        &mut self,
        lake: &Lake,
        keep: impl Fn(Hash) -> bool + Send + std::marker::Sync,
    ) -> Result<(), EngineError> {
        let [_, approved] = &mut self.approved;
        for chunks in [&mut self.sending, &mut self.notes, approved] {
            let mut kept = vec![];
            for chunk in std::mem::take(chunks) {
                kept.extend(chunk.retain(lake, &keep).await?);
            }
            *chunks = kept;
        }
        self.examples.retain(|(key, _)| keep(*key));
        Ok(())
    }

    /// Up to [`EXAMPLES`] rows of each operation, masked.
    pub(super) fn examples(self) -> Vec<Example> {
        let mut chosen: Vec<Example> = vec![];
        for (_, example) in self.examples {
            let same = |other: &&Example| other.operation == example.operation;
            if chosen.iter().filter(same).count() < EXAMPLES {
                chosen.push(example);
            }
        }
        chosen.sort_by_key(|example| example.operation);
        chosen
    }
}

/// Makes the sinks of one comparison.
#[derive(Clone)]
pub(super) enum SinkMaker<'a> {
    /// Counts and takes examples; writes nothing.
    Look {
        /// Mapped fields without the key.
        fields: &'a [String],
    },
    /// Writes chunks.
    Write {
        lake: &'a Lake,
        /// Names of chunks start with it.
        prefix: String,
        /// What may be stored without compression.
        room: Room,
        /// What a person has let through.
        approved: Option<Arc<Approved>>,
    },
}

impl SinkMaker<'_> {
    /// Sinks whose chunks have names of their own.
    pub(super) fn attempt(&self, number: u32) -> Self {
        match self {
            Self::Write {
                lake,
                prefix,
                room,
                approved,
            } => Self::Write {
                lake,
                prefix: format!("{prefix}{number}-"),
                room: room.clone(),
                approved: approved.clone(),
            },
            look @ Self::Look { .. } => look.clone(),
        }
    }

    pub(super) fn make(&self, name: &str) -> Sink {
        let kind = match self {
            Self::Look { fields } => Kind::Look {
                fields: fields.iter().cloned().collect(),
                examples: vec![],
            },
            Self::Write {
                lake,
                prefix,
                room,
                approved,
            } => {
                let writer =
                    |kind: &str| ChunkWriter::new(lake, room, format!("{prefix}{name}-{kind}-"));
                Kind::Write(Box::new(Writers {
                    leaving: writer("leave"),
                    sending: writer("send"),
                    approved: approved.clone().map(|approved| {
                        (
                            approved,
                            [writer("approved-leave"), writer("approved-send")],
                        )
                    }),
                    notes: writer("note"),
                    invalid: LinesWriter::new(lake, format!("{prefix}{name}-invalid-")),
                }))
            }
        };
        Sink {
            tally: Tally::default(),
            kind,
        }
    }
}

/// Where classified rows go.
pub(super) struct Sink {
    tally: Tally,
    kind: Kind,
}

enum Kind {
    Look {
        fields: Arc<[String]>,
        examples: Vec<(Hash, Example)>,
    },
    Write(Box<Writers>),
}

struct Writers {
    leaving: ChunkWriter,
    sending: ChunkWriter,
    approved: Option<(Arc<Approved>, [ChunkWriter; 2])>,
    notes: ChunkWriter,
    invalid: LinesWriter,
}

impl Writers {
    async fn push(&mut self, row: &Row<'_>, approved: bool) -> Result<(), EngineError> {
        if let Some((_, [leaving, sending])) = self.approved.as_mut().filter(|_| approved) {
            let writer = if row.class.is_leaving() {
                leaving
            } else {
                sending
            };
            return writer.push(row).await;
        }
        match row.class {
            Class::Unchanged | Class::Keep | Class::Waiting | Class::WaitingToLeave => Ok(()),
            Class::Add | Class::Update | Class::Verify => self.sending.push(row).await,
            Class::Remove | Class::Clear => self.leaving.push(row).await,
            Class::Settle | Class::Forget | Class::Adopt | Class::Doubt => {
                self.notes.push(row).await
            }
            Class::NullKey | Class::DuplicateKey | Class::NoForm => {
                self.invalid.push(&invalid_line(row.class, row.key)).await
            }
        }
    }

    async fn finish(self, tally: Tally) -> Result<Changeset, EngineError> {
        let mut approved = [vec![], vec![]];
        if let Some((_, writers)) = self.approved {
            for (chunks, writer) in approved.iter_mut().zip(writers) {
                *chunks = writer.finish().await?;
            }
        }
        Ok(Changeset {
            tally,
            leaving: self.leaving.finish().await?,
            sending: self.sending.finish().await?,
            approved,
            notes: self.notes.finish().await?,
            invalid: self.invalid.finish().await?,
            exact: false,
            examples: vec![],
        })
    }
}

impl Sink {
    pub(super) async fn push(&mut self, row: &Row<'_>) -> Result<(), EngineError> {
        let approved = match &self.kind {
            Kind::Write(writers) => {
                let approved = writers.approved.as_ref();
                approved.is_some_and(|(approved, _)| approved.has(row))
            }
            Kind::Look { .. } => false,
        };
        if row.class.is_sent() && !approved {
            let payload = row.payload.map_or(0, |payload| hash_of(&payload.hash));
            let leaving = row.class.is_leaving();
            if let Some(digest) = self.tally.digests.get_mut(usize::from(leaving)) {
                *digest = digest.wrapping_add(row.key_hash ^ payload.rotate_left(64));
            }
        }
        if let Some(count) = self.tally.of(row.class) {
            *count = count.wrapping_add(1);
        }
        match &mut self.kind {
            Kind::Look { fields, examples } => {
                let same = |(_, e): &&(Hash, Example)| e.operation == row.class.word();
                // More than are shown, because some may be taken back.
                if row.class.is_sent() && examples.iter().filter(same).count() < EXAMPLES * 4 {
                    let example = mask::example(row, fields);
                    examples.extend(example.map(|example| (row.key_hash, example)));
                }
                Ok(())
            }
            Kind::Write(writers) => {
                if approved {
                    let leaving = row.class.is_leaving();
                    self.tally.approved_leaving += u64::from(leaving);
                    let sending = u64::from(!leaving);
                    self.tally.approved_sending = self.tally.approved_sending.wrapping_add(sending);
                }
                writers.push(row, approved).await
            }
        }
    }

    /// A row that waits is due then.
    pub(super) fn wait_until(&mut self, due: i64) {
        self.tally.next_due = Due(self.tally.next_due.0.min(due));
    }

    /// The row that was pushed first for a key is void: the key has come again. It is one of the
    /// duplicates now, unless it could not be sent anyway.
    pub(super) async fn retract(&mut self, first: Class, key: &str) -> Result<(), EngineError> {
        if first == Class::NoForm {
            return Ok(());
        }
        // The first row may have gone to another sink; sums are what counts.
        if let Some(count) = self.tally.of(first) {
            *count = count.wrapping_sub(1);
        }
        self.tally.invalid = self.tally.invalid.wrapping_add(1);
        self.tally.retracted += u64::from(first.is_planned());
        if let Kind::Write(writers) = &mut self.kind {
            let invalid = &mut writers.invalid;
            invalid
                .push(&invalid_line(Class::DuplicateKey, Some(key)))
                .await?;
        }
        Ok(())
    }

    pub(super) async fn finish(self) -> Result<Changeset, EngineError> {
        let tally = self.tally;
        Ok(match self.kind {
            Kind::Look { examples, .. } => Changeset {
                tally,
                examples,
                ..Changeset::default()
            },
            Kind::Write(writers) => writers.finish(tally).await?,
        })
    }
}

fn invalid_line(class: Class, key: Option<&str>) -> InvalidLine {
    InvalidLine {
        key: key.map(ToOwned::to_owned),
        reason: class.word().to_owned(),
        rows: 1,
    }
}
