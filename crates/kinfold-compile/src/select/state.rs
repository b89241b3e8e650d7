//! `state:` and `result:`: an earlier state of the project.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_project::NodeId;

/// What is known of an earlier state of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The nodes that are not what they were.
    pub changes: BTreeMap<NodeId, Change>,
    /// What became of the nodes in its run, in the words of `run_results.json`.
    pub results: BTreeMap<NodeId, String>,
}

/// How a node differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    New,
    /// These parts of it differ, at least one.
    Modified(BTreeSet<Aspect>),
}

/// A part of a node that can differ, as `state:modified.…` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Its file.
    Body,
    /// Its configuration, but for what only names and describes.
    Configs,
    /// Where it is stored.
    Relation,
    /// What its templates give although its file is the same: macros and variables.
    Macros,
    /// Its enforced columns. No node has any yet.
    Contract,
    /// Descriptions that are stored with the relation. No node stores any.
    PersistedDescriptions,
    /// What it means: the plan that runs.
    Meaning,
}

impl Aspect {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Body,
        Self::Configs,
        Self::Relation,
        Self::Macros,
        Self::Contract,
        Self::PersistedDescriptions,
        Self::Meaning,
    ];

    /// Its word after `state:modified.`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Configs => "configs",
            Self::Relation => "relation",
            Self::Macros => "macros",
            Self::Contract => "contract",
            Self::PersistedDescriptions => "persisted_descriptions",
            Self::Meaning => "meaning",
        }
    }
}

/// A value of `state:`.
#[derive(Clone, Copy, Debug)]
pub(super) enum StateTest {
    /// It was not there.
    New,
    /// It was there.
    Old,
    /// It was not there, or this differs; anything, if it is not said.
    Modified(Option<Aspect>),
    /// It was there and nothing of its own differs.
    Unmodified,
}

impl StateTest {
    pub(super) const ALLOWED: &'static str = "`new`, `old`, `unmodified`, `modified`, or `modified.` with `body`, `configs`, `relation`, \
         `macros`, `contract`, `persisted_descriptions` or `meaning`";

    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "new" => Self::New,
            "old" => Self::Old,
            "modified" => Self::Modified(None),
            "unmodified" => Self::Unmodified,
            _ => {
                let part = word.strip_prefix("modified.")?;
                let aspect = Aspect::ALL.into_iter().find(|a| a.as_str() == part)?;
                Self::Modified(Some(aspect))
            }
        })
    }

    /// Whether a node with this change is meant.
    pub(super) fn matches(self, change: Option<&Change>) -> bool {
        match (self, change) {
            (Self::New, change) => matches!(change, Some(Change::New)),
            (Self::Old, change) => !matches!(change, Some(Change::New)),
            (Self::Unmodified, change) => !Self::Modified(None).matches(change),
            (Self::Modified(_), None) => false,
            (Self::Modified(_), Some(Change::New)) => true,
            (Self::Modified(None), Some(Change::Modified(aspects))) => {
                // What a file means may differ because of what it reads: that is no change of the node.
                aspects.iter().any(|aspect| *aspect != Aspect::Meaning)
            }
            (Self::Modified(Some(aspect)), Some(Change::Modified(aspects))) => {
                aspects.contains(&aspect)
            }
        }
    }
}
