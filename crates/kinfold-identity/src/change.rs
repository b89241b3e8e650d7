//! What a resolution changed.

use std::collections::HashMap;
use std::fmt;

use crate::canonical::CanonicalId;

/// What happened to canonical ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// An id for identifiers that had none: `into` only, which is new, or is in use again.
    Created,
    /// `from` is retired, and `into` stands for it from now on.
    Merged,
    /// `into` is new, or is in use again, and has identifiers that `from` had; `from` stays in use.
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

/// The log of changes, read as a map from every id that is in use no more to the one that stands for it.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    /// None for whom no row is left of.
    into: HashMap<CanonicalId, Option<CanonicalId>>,
}

impl Aliases {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row of the log; rows come in the order of their runs. Within a run any order will do.
    pub fn add(&mut self, change: &Change) {
        match (change.kind, change.from, change.into) {
            (ChangeKind::Merged, Some(from), Some(into)) => {
                self.into.insert(from, Some(into));
            }
            (ChangeKind::Deleted, Some(from), _) => {
                self.into.insert(from, None);
            }
            // It may be an id that was retired once and is in use again.
            (ChangeKind::Created | ChangeKind::Split, _, Some(into)) => {
                self.into.remove(&into);
            }
            _ => {}
        }
    }

    /// The id that stands for this one now: itself unless it was merged, and over any number of
    /// merges. It may have been deleted since.
    #[must_use]
    pub fn resolve(&self, id: CanonicalId) -> CanonicalId {
        let mut current = id;
        // An id in use stands for itself, so a path has no cycle; a damaged log must not hang.
        for _ in 0..=self.into.len() {
            match self.into.get(&current) {
                Some(Some(next)) => current = *next,
                _ => break,
            }
        }
        current
    }

    /// The id in use that stands for this one; none if there is nobody any more.
    #[must_use]
    pub fn current(&self, id: CanonicalId) -> Option<CanonicalId> {
        let end = self.resolve(id);
        (!self.into.contains_key(&end)).then_some(end)
    }

    /// The ids that are in use no more, in order.
    #[must_use]
    pub fn retired(&self) -> Vec<CanonicalId> {
        let mut retired: Vec<CanonicalId> = self.into.keys().copied().collect();
        retired.sort_unstable();
        retired
    }
}
