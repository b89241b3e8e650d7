//! What becomes of a row: from what the model has and what the state says of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kinfold_project::{FirstRun, OnLeave, Resend, Sync, SyncMode};

use super::keys::{Hash, Known, Trouble};
use super::state::State;
use crate::Engine;

/// What the changeset says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    Add,
    Update,
    Remove,
    Clear,
    /// The destination has it already.
    Unchanged,
    /// It left the model and stays at the destination.
    Keep,
    /// An attempt failed without effect, and the model has what was confirmed before.
    Settle,
    /// It left the model and was never confirmed.
    Forget,
    /// It shall count as confirmed without being sent.
    Adopt,
    /// It is as it was confirmed, and the destination shall be asked whether it still has it.
    Verify,
    /// The destination has it no more as it confirmed it.
    Doubt,
    /// It failed, nothing about it has changed, and it is not due yet.
    Waiting,
    /// The same of a row that the model has no more.
    WaitingToLeave,
    NullKey,
    DuplicateKey,
    NoForm,
}

impl Class {
    const ALL: [Self; 16] = [
        Self::Add,
        Self::Update,
        Self::Remove,
        Self::Clear,
        Self::Unchanged,
        Self::Keep,
        Self::Settle,
        Self::Forget,
        Self::Adopt,
        Self::Verify,
        Self::Doubt,
        Self::Waiting,
        Self::WaitingToLeave,
        Self::NullKey,
        Self::DuplicateKey,
        Self::NoForm,
    ];

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == number)
    }

    /// The word in plans, of classes that a plan has.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Clear => "clear",
            Self::Settle => "settle",
            Self::Forget => "forget",
            Self::Adopt => "adopt",
            Self::Verify => "verify",
            Self::Doubt => "doubt",
            Self::Unchanged | Self::Keep | Self::Waiting | Self::WaitingToLeave => "",
            Self::NullKey => "invalid_null_key",
            Self::DuplicateKey => "invalid_duplicate_key",
            Self::NoForm => "invalid_value",
        }
    }

    /// Whether it is sent.
    pub(super) fn is_sent(self) -> bool {
        matches!(self, Self::Add | Self::Update) || self.is_leaving()
    }

    /// Whether it is sent because the row left the model.
    pub(super) fn is_leaving(self) -> bool {
        matches!(self, Self::Remove | Self::Clear)
    }

    /// Whether it is in a plan, to be sent or to be noted.
    pub(super) fn is_planned(self) -> bool {
        use Class as C;
        matches!(
            self,
            C::Add
                | C::Update
                | C::Remove
                | C::Clear
                | C::Settle
                | C::Forget
                | C::Adopt
                | C::Verify
        )
    }
}

/// What the state says of a row that is in a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Before {
    pub(super) confirmed: Option<[u8; 16]>,
    /// Digest of the row that was confirmed, 0 if it is not known.
    pub(super) digest: Hash,
    pub(super) ours: bool,
    pub(super) uncertain: bool,
    pub(super) attempts: u32,
    pub(super) first_error: Option<Arc<str>>,
    pub(super) mapping: Option<Arc<str>>,
}

/// The mapped values of a row.
#[derive(Clone, Copy)]
pub(super) struct Payload<'a> {
    /// As JSON.
    pub(super) text: &'a str,
    /// The same without names.
    pub(super) values: &'a str,
    pub(super) hash: [u8; 16],
}

/// One classified row.
pub(super) struct Row<'a> {
    pub(super) class: Class,
    pub(super) key_hash: Hash,
    /// None if it has no usable key.
    pub(super) key: Option<&'a str>,
    /// The mapped values, of rows that the model has.
    pub(super) payload: Option<Payload<'a>>,
    /// Digest of the row of the model, 0 if the model has it no more.
    pub(super) digest: Hash,
    pub(super) before: Before,
}

/// How rows are classified.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Rows are sent once and never again.
    once: bool,
    /// What becomes of rows that left the model.
    leaving: Class,
    /// Rows that were never confirmed count as confirmed.
    baseline: bool,
    /// Which rows are sent again because the mapping changed.
    resend: Resend,
    /// The run's clock, in microseconds since 1970.
    now: i64,
    /// Rows that are as they were confirmed are to be looked up at the destination, and nothing else is done.
    pub(super) verify: bool,
    /// Fields of the key: a row that left is removed only if the model still has rows with the same values in
    /// these. Every row if there are none.
    pub(super) scope: Arc<[String]>,
    /// Only these keys are looked at.
    pub(super) only: Option<Arc<HashSet<Hash>>>,
}

impl Rules {
    pub(super) fn of(
        engine: &Engine,
        sync: &Sync,
        state: &State,
        only: Option<HashSet<Hash>>,
    ) -> Self {
        Self {
            once: matches!(sync.mode.value, SyncMode::Insert | SyncMode::Append),
            leaving: match sync.on_leave.value {
                OnLeave::Keep => Class::Keep,
                OnLeave::Clear => Class::Clear,
                OnLeave::Delete | OnLeave::LeaveAudience => Class::Remove,
            },
            baseline: sync.first_run == FirstRun::Baseline && state.setup.is_none(),
            resend: sync.resend,
            now: engine.clock.as_of.timestamp_micros(),
            verify: false,
            scope: sync
                .mirror_scope
                .iter()
                .map(|field| field.value.clone())
                .collect(),
            only: only.map(Arc::new),
        }
    }

    /// What shall become of a row that the model has.
    pub(super) fn present(
        &self,
        known: Known,
        trouble: Option<&Trouble>,
        payload: Hash,
        current: bool,
    ) -> Class {
        let waits = |trouble: &Trouble| {
            let review = self.once && known.uncertain();
            review || trouble.rejected && trouble.pending == payload && trouble.due > self.now
        };
        if !known.is_confirmed() {
            return match trouble {
                Some(trouble) if waits(trouble) => Class::Waiting,
                None if self.baseline && !known.in_state() => Class::Adopt,
                _ => Class::Add,
            };
        }
        if self.once {
            return Class::Unchanged;
        }
        // Rows without a difference too: what differs later is a change of the data.
        if !current && self.resend == Resend::None && !known.troubled() {
            return Class::Adopt;
        }
        let differs = known.confirmed != payload;
        if differs || known.uncertain() {
            return match trouble {
                Some(trouble) if waits(trouble) => Class::Waiting,
                _ => Class::Update,
            };
        }
        if !current && self.resend == Resend::All {
            return Class::Update;
        }
        if known.troubled() {
            return Class::Settle;
        }
        Class::Unchanged
    }

    /// What shall become of a row that the model has no more.
    pub(super) fn absent(&self, known: Known, trouble: Option<&Trouble>) -> Class {
        if known.is_confirmed() {
            let waits = |t: &Trouble| t.rejected && t.pending == 0 && t.due > self.now;
            return match self.leaving {
                // Somebody else brought it there.
                Class::Remove | Class::Clear if !known.ours() => Class::Keep,
                Class::Remove | Class::Clear if trouble.is_some_and(waits) => Class::WaitingToLeave,
                leaving => leaving,
            };
        }
        if known.uncertain() {
            return Class::Keep;
        }
        Class::Forget
    }
}

/// The mappings that made the payloads of a state, by number; 0 is none of them.
#[derive(Default)]
pub(super) struct Mappings {
    numbers: HashMap<String, u16>,
    names: Vec<Arc<str>>,
}

/// The number of the mapping of this run.
pub(super) const CURRENT: u16 = 1;

impl Mappings {
    pub(super) fn new(current: &str) -> Self {
        Self {
            numbers: HashMap::from([(current.to_owned(), CURRENT)]),
            names: vec!["".into(), current.into()],
        }
    }

    pub(super) fn number(&mut self, name: &str) -> u16 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let Ok(number) = u16::try_from(self.names.len()) else {
            return 0;
        };
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.into());
        number
    }

    pub(super) fn name(&self, number: u16) -> Option<Arc<str>> {
        let name = self.names.get(usize::from(number))?;
        (number != 0).then(|| Arc::clone(name))
    }
}
