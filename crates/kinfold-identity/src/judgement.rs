//! What the rules refused, and whom that concerns.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use crate::canonical::CanonicalId;
use crate::nodes::{AlreadyHashed, Fingerprint};
use crate::rules::RejectionRule;

/// Something that an operator should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlarmReason {
    /// A value on too many records. It joins none of them.
    Hub,
    /// People who hang together by their rows and are too many identifiers for one. The rows with the
    /// weakest evidence were refused.
    TooLarge,
    /// A decision of somebody joined what the limits keep apart.
    LimitOverridden,
    /// A value that rows of several people carry, such as a device, and that a limit leaves to one of
    /// them.
    Limit,
}

impl AlarmReason {
    /// The word for it: `hub`, `too_large`, `limit_overridden`, `limit`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::TooLarge => "too_large",
            Self::LimitOverridden => "limit_overridden",
            Self::Limit => "limit",
        }
    }
}

/// An alarm about a node: the hub, or the first of a component's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RaisedAlarm {
    pub(crate) reason: AlarmReason,
    pub(crate) node: u32,
    pub(crate) size: u64,
}

/// An edge that would break a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RejectedEdge {
    /// The identifier.
    pub(crate) node: u32,
    /// An identifier that the record belongs with.
    pub(crate) with: u32,
    pub(crate) rule: RejectionRule,
    /// Index of the type whose limit it is.
    pub(crate) kind: Option<u16>,
    /// How many there would be.
    pub(crate) count: u64,
    /// How many there may be.
    pub(crate) most: u64,
}

/// The outcome of the rules.
#[derive(Default)]
pub(crate) struct Judgement {
    /// Values that join nobody, but for the edges in `decided`.
    pub(crate) hubs: HashSet<u32>,
    /// Edges of hubs that hold all the same, as somebody decided.
    pub(crate) decided: HashSet<EdgeKey, BuildHasherDefault<AlreadyHashed>>,
    /// The rejected edges by record and node; those of hubs are not listed.
    pub(crate) rejected: HashMap<EdgeKey, RejectionRule, BuildHasherDefault<AlreadyHashed>>,
    pub(crate) edges: Vec<RejectedEdge>,
    /// Their identifiers.
    pub(crate) contested: HashSet<u32>,
    pub(crate) alarms: Vec<RaisedAlarm>,
    /// Of each node that was replayed: the first of those that it hangs together with, rules aside and
    /// hubs apart.
    pub(crate) groups: Vec<(u32, u32)>,
    /// Rows of rejected edges.
    pub(crate) rows: u64,
}

impl Judgement {
    /// The rule that rejected the edge of a node to a record, whose fingerprint is asked for only if it
    /// matters; none if the record is unknown.
    pub(crate) fn rejects(
        &self,
        node: u32,
        record: impl Fn() -> Option<Fingerprint>,
    ) -> Option<RejectionRule> {
        let hub = self.hubs.contains(&node);
        if !hub && !self.contested.contains(&node) {
            return None;
        }
        let key = EdgeKey {
            record: record()?,
            node,
        };
        match self.rejected.get(&key) {
            None if hub && !self.decided.contains(&key) => Some(RejectionRule::Hub),
            rule => rule.copied(),
        }
    }
}

/// A record and an identifier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EdgeKey {
    pub(crate) record: Fingerprint,
    pub(crate) node: u32,
}

impl std::hash::Hash for EdgeKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [a, b, ..] = self.record.0;
        // An odd factor spreads the small numbers of nodes over all bits.
        let node = u64::from(self.node).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        state.write_u64(((u64::from(b) << 32) | u64::from(a)) ^ node);
    }
}

/// Something that an operator should look at, with the identifier that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm<'a> {
    /// What is wrong.
    pub reason: AlarmReason,
    /// How much of it: records of a hub, identifiers of those too large, overriding decisions, people whom
    /// a limit keeps apart.
    pub size: u64,
    /// Type of the hub, of the value that several carry, or of the first identifier of the people concerned.
    pub id_type: &'a str,
    /// Its value.
    pub id_value: &'a str,
    /// Whose it is; none for a hub.
    pub canonical_id: Option<CanonicalId>,
}

/// A row's edge that would break a rule, and what it would join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection<'a> {
    /// Type of the identifier.
    pub id_type: &'a str,
    /// Its value.
    pub id_value: &'a str,
    /// Whose the identifier is.
    pub canonical_id: CanonicalId,
    /// Whose the record is.
    pub record_of: CanonicalId,
    /// The rule that keeps the two apart.
    pub rule: RejectionRule,
    /// The type whose values would be too many; none if the rule is about no type.
    pub limited: Option<&'a str>,
    /// How many values, identifiers or excluded ones there would be.
    pub count: u64,
    /// How many there may be.
    pub most: u64,
}
