//! Which component keeps which canonical id.
//!
//! Old ids and new components are matched one to one by deferred acceptance (Gale and Shapley 1962):
//! an old id asks for its parts, the strongest first (that with the strongest type of identifier, then
//! that with the most identifiers), and a component keeps the oldest of those that
//! ask. So on a merge the oldest id survives, after a split the strongest part keeps the id, and where
//! both happen at once an id that lost its strongest part takes the next one rather than vanish. All
//! preferences are strict, hence there is exactly one outcome, whatever the order of the questions.
//!
//! Where identifiers came from other ids, an id asks first for the part that has had it the longest; the
//! others take back what they had, see [`crate::former`].

use std::cmp::Reverse;

use crate::canonical::CanonicalId;
use crate::nodes::NONE;

/// What an old id has in a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Index of the old id.
    pub(crate) old: u32,
    /// Index of the component.
    pub(crate) component: u32,
    /// The smaller, the rather the old id asks for this component, whatever else it has there.
    pub(crate) rank: i64,
    /// Place of their strongest type in the order of strength, 0 being the strongest. Types that no
    /// rule names share the last place.
    pub(crate) strength: u16,
    /// Shared identifiers, at least one.
    pub(crate) identifiers: u64,
    /// Their earliest observation.
    pub(crate) earliest: i64,
    /// Place of the first of them in the order of (type, value).
    pub(crate) smallest: u32,
}

/// For each component the index of the old id that it keeps, or `NONE`.
///
/// `overlaps` must be grouped by old id; a pair of old id and component occurs at most once. Each
/// group is left in the order of the id's preference. Of those that ask, a component keeps the one of the
/// least `seniority`, which no two may share.
pub(crate) fn keep_ids(
    overlaps: &mut [Overlap],
    components: usize,
    seniority: impl Fn(&Overlap) -> (i64, i64, CanonicalId),
) -> Vec<u32> {
    let mut starts: Vec<usize> = Vec::new();
    let mut start = 0;
    for group in overlaps.chunk_by_mut(|a, b| a.old == b.old) {
        group.sort_unstable_by_key(|part| {
            (
                part.rank,
                part.strength,
                Reverse(part.identifiers),
                part.earliest,
                part.smallest,
            )
        });
        starts.push(start);
        start += group.len();
    }
    let overlaps = &*overlaps;
    // The overlap by which each component is held.
    let mut held_by: Vec<Option<usize>> = vec![None; components];
    for start in starts {
        // One id asks at a time; when it pushes another out, that one goes on asking.
        let mut next = start;
        let mut old = overlaps.get(start).map(|overlap| overlap.old);
        while let Some(asking) = overlaps
            .get(next)
            .filter(|overlap| Some(overlap.old) == old)
        {
            let holder = &mut held_by[asking.component as usize];
            match holder.and_then(|at| overlaps.get(at).map(|held| (at, held))) {
                None => {
                    *holder = Some(next);
                    break;
                }
                Some((at, held)) if seniority(asking) < seniority(held) => {
                    *holder = Some(next);
                    old = Some(held.old);
                    next = at + 1;
                }
                Some(_) => next += 1,
            }
        }
    }
    held_by
        .into_iter()
        .map(|at| {
            at.and_then(|at| overlaps.get(at))
                .map_or(NONE, |held| held.old)
        })
        .collect()
}
