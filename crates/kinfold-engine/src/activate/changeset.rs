//! From classified rows to chunks, counts and examples.

use std::sync::Arc;

use kinfold_lake::Lake;
use kinfold_project::Sync;
use serde::{Deserialize, Serialize};

use super::chunk::{Chunk, ChunkWriter};
use super::compare::{Class, Row};
use super::guard::{self, Extent, Held};
use super::keys::Hash;
use super::lines::{Lines, LinesWriter};
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
    /// Rows of the model that cannot be sent; all copies of a key count.
    pub(super) invalid: u64,
    /// Planned rows that are void, because their key came again.
    pub(super) retracted: u64,
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
            Class::Keep | Class::Forget => return None,
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
            (&mut self.invalid, other.invalid),
            (&mut self.retracted, other.retracted),
        ] {
            // A part alone may be below nothing, when it takes back what another one counted.
            *sum = sum.wrapping_add(part);
        }
    }

    fn extent(&self) -> Extent {
        let sending = self.adds + self.updates;
        Extent {
            acknowledged: self.acknowledged,
            present: sending + self.unchanged + self.settled + self.adopted + self.waiting,
            sending,
            leaving: self.leaving,
        }
    }

    /// What the guards of the sync keep back of it.
    pub(super) fn held(&self, sync: &Sync) -> Held {
        guard::held(&sync.guards, self.extent())
    }

    pub(super) fn counts(&self, held: &Held) -> Counts {
        let all = self.adds + self.updates + self.leaving;
        let (kept, because) = match held {
            Held::Nothing => (0, None),
            Held::Leaving(why) => (self.leaving, Some(why.clone())),
            Held::Everything(why) => (all, Some(why.clone())),
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
            held_because: because,
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
    /// What only the state has to learn.
    pub(super) notes: Vec<Chunk>,
    pub(super) invalid: Vec<Lines>,
    examples: Vec<(Hash, Example)>,
}

impl Changeset {
    pub(super) fn extend(&mut self, other: Self) {
        self.tally.add(&other.tally);
        self.leaving.extend(other.leaving);
        self.sending.extend(other.sending);
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
        for chunks in [&mut self.sending, &mut self.notes] {
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
    },
}

impl SinkMaker<'_> {
    /// Sinks whose chunks have names of their own.
    pub(super) fn attempt(&self, number: u32) -> Self {
        match self {
            Self::Write { lake, prefix } => Self::Write {
                lake,
                prefix: format!("{prefix}{number}-"),
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
            Self::Write { lake, prefix } => {
                let writer = |kind: &str| ChunkWriter::new(lake, format!("{prefix}{name}-{kind}-"));
                Kind::Write {
                    leaving: writer("leave"),
                    sending: writer("send"),
                    notes: writer("note"),
                    invalid: LinesWriter::new(lake, format!("{prefix}{name}-invalid-")),
                }
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
    Write {
        leaving: ChunkWriter,
        sending: ChunkWriter,
        notes: ChunkWriter,
        invalid: LinesWriter,
    },
}

impl Sink {
    pub(super) async fn push(&mut self, row: &Row<'_>) -> Result<(), EngineError> {
        if let Some(count) = self.tally.of(row.class) {
            *count = count.wrapping_add(1);
        }
        match &mut self.kind {
            Kind::Look { fields, examples } => {
                let sent = matches!(
                    row.class,
                    Class::Add | Class::Update | Class::Remove | Class::Clear
                );
                let same = |(_, e): &&(Hash, Example)| e.operation == row.class.word();
                // More than are shown, because some may be taken back.
                if sent && examples.iter().filter(same).count() < EXAMPLES * 4 {
                    let example = mask::example(row, fields);
                    examples.extend(example.map(|example| (row.key_hash, example)));
                }
                Ok(())
            }
            Kind::Write {
                leaving,
                sending,
                notes,
                invalid,
            } => match row.class {
                Class::Unchanged | Class::Keep | Class::Waiting | Class::WaitingToLeave => Ok(()),
                Class::Add | Class::Update => sending.push(row).await,
                Class::Remove | Class::Clear => leaving.push(row).await,
                Class::Settle | Class::Forget | Class::Adopt => notes.push(row).await,
                Class::NullKey | Class::DuplicateKey | Class::NoForm => {
                    invalid.push(&invalid_line(row.class, row.key)).await
                }
            },
        }
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
        if let Kind::Write { invalid, .. } = &mut self.kind {
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
            Kind::Write {
                leaving,
                sending,
                notes,
                invalid,
            } => Changeset {
                tally,
                leaving: leaving.finish().await?,
                sending: sending.finish().await?,
                notes: notes.finish().await?,
                invalid: invalid.finish().await?,
                examples: vec![],
            },
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
