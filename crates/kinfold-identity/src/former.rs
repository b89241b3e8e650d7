//! Ids that identifiers had before, which come back when a merge is undone.
//!
//! A change of rules that is taken back must leave the ids that there were. So a part of somebody that
//! came from another id does not get a new one when it is a person again: it takes back the id that it
//! had, if nobody has it now, the one that it had last first. And of the parts of somebody who falls
//! apart, the one that has had the id the longest keeps it; only where identifiers have no past does the
//! strongest part.
//!
//! Then undoing gives the first state: let an assignment F become G by other rules, and take them back.
//! An id of both has in G a part that it had in F, and every identifier that it got since came later, so
//! it asks first for the component that it had in F. Nobody older asks for that: whoever was in F asks
//! for its own, and an id that came into use with G is younger. An id of F that is in use no more was
//! the last one that all of its identifiers had before, and nobody holds their component, so it comes
//! back.

use std::collections::{HashMap, HashSet};

use crate::canonical::CanonicalId;
use crate::matching::keep_ids;
use crate::nodes::{NONE, Nodes};
use crate::transition::{Part, grouped};

/// An identifier had an id until some time.
#[derive(Clone, Copy)]
struct Former {
    node: u32,
    /// Index of the id.
    id: u32,
    until: i64,
}

/// Who had which id before.
#[derive(Default)]
pub(crate) struct Formers {
    ids: Vec<CanonicalId>,
    index: HashMap<CanonicalId, u32>,
    all: Vec<Former>,
}

impl Formers {
    /// Takes an id that a node had; false if there are more ids than indices.
    pub(crate) fn add(&mut self, node: u32, id: CanonicalId, until: i64) -> bool {
        let Ok(next) = u32::try_from(self.ids.len()) else {
            return false;
        };
        let at = *self.index.entry(id).or_insert(next);
        if at == next {
            self.ids.push(id);
        }
        self.all.push(Former {
            node,
            id: at,
            until,
        });
        at != NONE
    }

    /// All of the ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = CanonicalId> {
        self.ids.iter().copied()
    }

    /// Since when nodes have the id that they have, of those that had another one before.
    pub(crate) fn joined(&self, current: impl Fn(u32) -> Option<CanonicalId>) -> HashMap<u32, i64> {
        let mut joined = HashMap::new();
        for former in &self.all {
            let id = self.ids.get(former.id as usize).copied();
            let now = current(former.node);
            if now.is_some() && id != now {
                let since = joined.entry(former.node).or_insert(former.until);
                *since = former.until.max(*since);
            }
        }
        joined
    }

    /// For each component the id that it takes back. `free` tells which components have none, and
    /// `in_use` which ids come into question no more.
    pub(crate) fn revive(
        &self,
        (nodes, order, named): (&Nodes, &[u32], usize),
        component: &[u32],
        free: &[bool],
        in_use: &HashSet<CanonicalId>,
    ) -> Vec<Option<CanonicalId>> {
        let gone = |at: u32| {
            let id = self.ids.get(at as usize);
            id.is_some_and(|id| !in_use.contains(id))
        };
        let mut place_of: HashMap<u32, u32> =
            self.all.iter().map(|former| (former.node, NONE)).collect();
        if !place_of.is_empty() {
            for (place, node) in (0_u32..).zip(order) {
                if let Some(slot) = place_of.get_mut(node) {
                    *slot = place;
                }
            }
        }
        let parts = self.all.iter().filter_map(|former| {
            let component = *component.get(former.node as usize)?;
            let place = *place_of.get(&former.node)?;
            let wanted = component != NONE && place != NONE && gone(former.id);
            (wanted && *free.get(component as usize)?).then_some(Part {
                old: former.id,
                component,
                place,
                // The latest time is the smallest rank.
                rank: !former.until,
            })
        });
        let mut overlaps = grouped(nodes, order, named, parts.collect());
        let holders = keep_ids(&mut overlaps, free.len(), |overlap| {
            let id = self.ids.get(overlap.old as usize).copied();
            let id = id.unwrap_or(CanonicalId::from_u128(0));
            (overlap.rank, overlap.earliest, id)
        });
        holders
            .into_iter()
            .map(|holder| self.ids.get(holder as usize).copied())
            .collect()
    }
}
