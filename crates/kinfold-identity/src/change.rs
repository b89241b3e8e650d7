//! What a resolution changed.

use std::collections::HashMap;
use std::fmt;

use crate::canonical::CanonicalId;

/// What happened to canonical ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// A new id for identifiers that had none: `into` only.
    Created,
    /// `from` is retired, and `into` stands for it from now on.
    Merged,
    /// `into` is new, and has identifiers that `from` had; `from` stays in use.
    Split,
    /// Identifiers went from `from` to `into`; `into` was in use before.
    Reassigned,
    /// `from` is retired: no row has any of its identifiers.
    Deleted,
}

impl ChangeKind {
    /// The word in the changes relation: `created`, `merged`, `split`, `reassigned`, `deleted`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Merged => "merged",
            Self::Split => "split",
            Self::Reassigned => "reassigned",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change between two canonical ids. A pair of ids occurs at most once in a resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The id of before; none if created.
    pub from: Option<CanonicalId>,
    /// The id of after; none if deleted.
    pub into: Option<CanonicalId>,
    /// How many identifiers went from one to the other; at creation, how many there are; at
    /// deletion, how many there were.
    pub identifiers: u64,
}

/// One identifier whose canonical id is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move<'a> {
    /// Type of the identifier.
    pub id_type: &'a str,
    /// Its value.
    pub id_value: &'a str,
    /// Its id of before; none if it is new.
    pub from: Option<CanonicalId>,
    /// Its id of now; none if no row has it any more.
    pub into: Option<CanonicalId>,
}

/// How an assignment differs from the one before, in numbers: what a change of rules would do, if the
/// resolution is not published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Canonical ids that are new for identifiers that are new.
    pub created: u64,
    /// Canonical ids that became part of another.
    pub merged: u64,
    /// Canonical ids that are new for a part of another.
    pub split: u64,
    /// Pairs of canonical ids that were and are in use, of which one gave identifiers to the other.
    pub reassigned: u64,
    /// Canonical ids without identifiers.
    pub deleted: u64,
    /// Identifiers that had one canonical id and have another.
    pub identifiers_moved: u64,
    /// Identifiers that had none before.
    pub identifiers_added: u64,
    /// Identifiers that have none any more.
    pub identifiers_removed: u64,
    /// Distinct canonical ids, of before or after, that gave or took identifiers.
    pub people_affected: u64,
}

impl Diff {
    /// Counts changes and moves.
    pub(crate) fn new<'a>(changes: &[Change], moves: impl Iterator<Item = Move<'a>>) -> Self {
        let mut diff = Self::default();
        let mut affected: Vec<CanonicalId> = Vec::new();
        for change in changes {
            let count = match change.kind {
                ChangeKind::Created => &mut diff.created,
                ChangeKind::Merged => &mut diff.merged,
                ChangeKind::Split => &mut diff.split,
                ChangeKind::Reassigned => &mut diff.reassigned,
                ChangeKind::Deleted => &mut diff.deleted,
            };
            *count += 1;
            if let (Some(from), Some(into)) = (change.from, change.into) {
                affected.extend([from, into]);
            }
        }
        affected.sort_unstable();
        affected.dedup();
        diff.people_affected = affected.len() as u64;
        for step in moves {
            match (step.from, step.into) {
                (Some(_), Some(_)) => diff.identifiers_moved += 1,
                (None, Some(_)) => diff.identifiers_added += 1,
                (Some(_), None) => diff.identifiers_removed += 1,
                (None, None) => {}
            }
        }
        diff
    }
}

/// The log of merges, read as a map from every id ever retired by one to the id that stands for it.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    into: HashMap<CanonicalId, CanonicalId>,
}

impl Aliases {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row of the log; others than merges say nothing here and are passed over.
    pub fn add(&mut self, change: &Change) {
        if let (ChangeKind::Merged, Some(from), Some(into)) =
            (change.kind, change.from, change.into)
        {
            self.into.insert(from, into);
        }
    }

    /// The id that stands for this one now: itself unless it was merged, and over any number of
    /// merges. It may have been deleted since.
    #[must_use]
    pub fn resolve(&self, id: CanonicalId) -> CanonicalId {
        let mut current = id;
        // An id is never minted twice, so a path has no cycle; a damaged log must not hang.
        for _ in 0..=self.into.len() {
            match self.into.get(&current) {
                Some(next) => current = *next,
                None => break,
            }
        }
        current
    }
}
