//! From the ids of before to those of now.

use crate::canonical::CanonicalId;
use crate::change::{Change, ChangeKind};
use crate::graph::OldId;
use crate::matching::Overlap;
use crate::nodes::{NONE, Nodes};

/// What each old id has in each component, grouped by old id.
pub(crate) fn overlaps(
    nodes: &Nodes,
    order: &[u32],
    component: &[u32],
    named: usize,
) -> Vec<Overlap> {
    let last = u16::try_from(named).unwrap_or(u16::MAX);
    let mut pairs: Vec<(u32, u32, u32)> = (0_u32..)
        .zip(order)
        .filter(|(_, node)| nodes.all[**node as usize].previous != NONE)
        .map(|(place, node)| {
            (
                nodes.all[*node as usize].previous,
                component[*node as usize],
                place,
            )
        })
        .collect();
    pairs.sort_unstable();
    pairs
        .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
        .filter_map(|group| {
            let (old, component, smallest) = *group.first()?;
            let members = || {
                group
                    .iter()
                    .filter_map(|(_, _, place)| order.get(*place as usize))
            };
            Some(Overlap {
                old,
                component,
                strength: members()
                    .map(|node| nodes.kind(*node).min(last))
                    .min()
                    .unwrap_or(last),
                identifiers: group.len() as u64,
                earliest: members()
                    .map(|node| nodes.earliest(*node))
                    .min()
                    .unwrap_or(i64::MAX),
                smallest,
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
