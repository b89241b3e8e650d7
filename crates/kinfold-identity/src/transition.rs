//! From the ids of before to those of now.

use std::collections::HashMap;

use crate::canonical::CanonicalId;
use crate::change::{Change, ChangeKind};
use crate::graph::OldId;
use crate::matching::Overlap;
use crate::nodes::{NONE, Nodes};

/// What each old id has in each component, grouped by old id. `joined` tells since when an identifier has
/// the id that it has, of those that came from another.
pub(crate) fn overlaps(
    nodes: &Nodes,
    order: &[u32],
    component: &[u32],
    named: usize,
    joined: &HashMap<u32, i64>,
) -> Vec<Overlap> {
    let parts = (0_u32..)
        .zip(order)
        .filter(|(_, node)| nodes.all[**node as usize].previous != NONE)
        .map(|(place, node)| Part {
            old: nodes.all[*node as usize].previous,
            component: component[*node as usize],
            place,
            rank: joined.get(node).copied().unwrap_or(i64::MIN),
        })
        .collect();
    grouped(nodes, order, named, parts)
}

/// An identifier of an old id in a component. The order is that of the fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) old: u32,
    pub(crate) component: u32,
    /// Place of the identifier in the order of (type, value).
    pub(crate) place: u32,
    /// See [`Overlap::rank`]; of several identifiers the least counts.
    pub(crate) rank: i64,
}

/// The overlaps that these identifiers make, grouped by old id.
pub(crate) fn grouped(
    nodes: &Nodes,
    order: &[u32],
    named: usize,
    mut parts: Vec<Part>,
) -> Vec<Overlap> {
    let last = u16::try_from(named).unwrap_or(u16::MAX);
    parts.sort_unstable();
    parts.dedup_by_key(|part| (part.old, part.component, part.place));
    parts
        .chunk_by(|a, b| (a.old, a.component) == (b.old, b.component))
        .filter_map(|group| {
            let first = group.first()?;
            let members = || {
                group
                    .iter()
                    .filter_map(|part| order.get(part.place as usize))
            };
            Some(Overlap {
                old: first.old,
                component: first.component,
                rank: group.iter().map(|part| part.rank).min().unwrap_or(i64::MIN),
                strength: members()
                    .map(|node| nodes.kind(*node).min(last))
                    .min()
                    .unwrap_or(last),
                identifiers: group.len() as u64,
                earliest: members()
                    .map(|node| nodes.earliest(*node))
                    .min()
                    .unwrap_or(i64::MAX),
                smallest: first.place,
            })
        })
        .collect()
}

/// What became of old ids, in order.
pub(crate) fn changes(
    nodes: &Nodes,
    old: &[OldId],
    overlaps: &[Overlap],
    holders: &[u32],
    ids: &[(CanonicalId, i64)],
    sizes: &[u64],
) -> Vec<Change> {
    let mut in_use = vec![false; old.len()];
    for holder in holders.iter().filter(|holder| **holder != NONE) {
        in_use[*holder as usize] = true;
    }
    let mut changes = Vec::new();
    let mut known = vec![false; ids.len()];
    let mut alive = vec![false; old.len()];
    for group in overlaps.chunk_by(|a, b| a.old == b.old) {
        for (place, overlap) in group.iter().enumerate() {
            let (from, to) = (overlap.old as usize, overlap.component as usize);
            known[to] = true;
            alive[from] = true;
            if holders[to] == overlap.old {
                continue;
            }
            let kind = match (holders[to], in_use[from], place) {
                (NONE, ..) => ChangeKind::Split,
                // The strongest part comes first: that is where a retired id lives on.
                (_, false, 0) => ChangeKind::Merged,
                _ => ChangeKind::Reassigned,
            };
            changes.push(Change {
                kind,
                from: Some(old[from].id),
                into: Some(ids[to].0),
                identifiers: overlap.identifiers,
            });
        }
    }
    for (at, (id, _)) in ids.iter().enumerate() {
        if !known[at] {
            changes.push(Change {
                kind: ChangeKind::Created,
                from: None,
                into: Some(*id),
                identifiers: sizes[at],
            });
        }
    }
    let mut lost = vec![0_u64; old.len()];
    for node in 0..nodes.len() {
        if let Some(count) = lost.get_mut(nodes.all[node as usize].previous as usize) {
            *count += 1;
        }
    }
    for (at, old) in old.iter().enumerate() {
        if !alive[at] {
            changes.push(Change {
                kind: ChangeKind::Deleted,
                from: Some(old.id),
                into: None,
                identifiers: lost[at],
            });
        }
    }
    changes.sort_unstable();
    changes
}
