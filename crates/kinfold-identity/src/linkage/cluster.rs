//! Clusters of pairs.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::records::Records;
use super::scoring::ScoredPair;

/// Union-find with path halving; the root of a set is its least member.
#[derive(Debug)]
pub(crate) struct Sets {
    parents: Vec<u32>,
}

impl Sets {
    pub(crate) fn new(count: u32) -> Self {
        Self {
            parents: (0..count).collect(),
        }
    }

    pub(crate) fn find(&mut self, mut member: u32) -> u32 {
        while self.parents[member as usize] != member {
            let parent = self.parents[member as usize];
            let above = self.parents[parent as usize];
            self.parents[member as usize] = above;
            member = above;
        }
        member
    }

    pub(crate) fn union(&mut self, one: u32, two: u32) {
        let (one, two) = (self.find(one), self.find(two));
        self.parents[one.max(two) as usize] = one.min(two);
    }

    /// The root of each member.
    pub(crate) fn roots(mut self) -> Vec<u32> {
        let mut roots = Vec::with_capacity(self.parents.len());
        for member in 0..u32::try_from(self.parents.len()).unwrap_or(u32::MAX) {
            roots.push(self.find(member));
        }
        roots
    }
}

/// Connected components of the pairs with at least a weight. A cluster is named by its least record.
///
/// # Panics
/// A pair is not of these records.
#[must_use]
pub fn connected_components(records: &Records, pairs: &[ScoredPair], least: f64) -> Vec<u32> {
    let mut sets = Sets::new(records.count());
    for pair in pairs.iter().filter(|pair| pair.weight >= least) {
        sets.union(pair.left, pair.right);
    }
    sets.roots()
}

/// For sources without duplicates: clusters with at most one record of each, from the best pair
/// down; a pair that would bring two records of one source together is left out. Pairs of equal
/// weight go in the order of their records.
///
/// # Panics
/// A pair is not of these records.
#[must_use]
pub fn best_links(records: &Records, pairs: &[ScoredPair], least: f64) -> Vec<u32> {
    let mut sorted: Vec<&ScoredPair> = pairs.iter().filter(|pair| pair.weight >= least).collect();
    sorted.sort_unstable_by(|one, two| by_weight(one, two));
    let mut sets = Sets::new(records.count());
    let mut sources: HashMap<u32, Vec<u16>> = HashMap::new();
    for pair in sorted {
        let (one, two) = (sets.find(pair.left), sets.find(pair.right));
        if one == two {
            continue;
        }
        let of = |root: u32| {
            let own = || vec![records.source(root)];
            sources.get(&root).cloned().unwrap_or_else(own)
        };
        let (mut joined, other) = (of(one), of(two));
        if other.iter().any(|source| joined.contains(source)) {
            continue;
        }
        joined.extend(other);
        sets.union(one, two);
        sources.insert(one.min(two), joined);
    }
    sets.roots()
}

/// The heavier first; then by records, so that the order is total.
pub(crate) fn by_weight(one: &ScoredPair, two: &ScoredPair) -> Ordering {
    two.weight
        .total_cmp(&one.weight)
        .then_with(|| (one.left, one.right).cmp(&(two.left, two.right)))
}
