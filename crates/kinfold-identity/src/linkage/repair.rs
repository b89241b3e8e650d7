//! Clusters by average linkage inside connected components.
//!
//! Two people become one component through a single wrong pair, and a person falls in two through a
//! missing one. Inside a component all pairs are scored, also those that no blocking rule brings,
//! and the groups with the highest mean weight between their members are merged as long as the
//! evidence is for it (Murtagh 1983, nearest-neighbour chains).

use super::cluster::Sets;
use super::parallel;
use super::scoring::{ScoreState, ScoredPair, Scorer};

/// How [`Scorer::cluster`] repairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusterOptions {
    /// Pairs of at least this weight make components, in bits.
    pub connect: f64,
    /// Groups are merged if the mean weight between them is at least this, in bits. Somewhat below
    /// zero by default: two records of a component are likelier to be the same person than the prior,
    /// which is of any two records, says.
    pub merge: f64,
    /// A weight counts at most this much in a mean, on either side, in bits.
    pub limit: f64,
    /// Records in a component, at most: n² / 2 pairs of it are scored and kept, four bytes each.
    /// A larger one is taken apart with `connect` raised bit by bit.
    pub max_component: usize,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            connect: 0.0,
            merge: -2.0,
            limit: 20.0,
            max_component: 3_000,
        }
    }
}

impl Scorer<'_> {
    /// Clusters of the pairs. A cluster is named by its least record; records of no pair are alone.
    /// Under [`super::Scope::Link`] two records of one source count as different people.
    ///
    /// # Panics
    /// A pair is not of these records.
    #[must_use]
    pub fn cluster(&self, pairs: &[ScoredPair], options: ClusterOptions) -> Vec<u32> {
        let count = self.linkage().records.count();
        let components = self.components(pairs, options);
        // The largest first, so that no thread starts it last.
        let mut by_size: Vec<&Vec<u32>> = components.iter().collect();
        by_size.sort_by_key(|component| std::cmp::Reverse(component.len()));
        let merges = parallel::map(
            self.linkage().threads,
            &by_size,
            || self.state(),
            |state, component| self.average_linkage(state, component, options),
        );
        let mut sets = Sets::new(count);
        for (one, two) in merges.into_iter().flatten() {
            sets.union(one, two);
        }
        sets.roots()
    }

    /// Components of two records or more, each ascending and not above the size allowed.
    fn components(&self, pairs: &[ScoredPair], options: ClusterOptions) -> Vec<Vec<u32>> {
        let mut done = Vec::new();
        let mut bar = options.connect;
        let mut open: Vec<ScoredPair> = pairs
            .iter()
            .filter(|pair| pair.weight >= bar)
            .copied()
            .collect();
        while !open.is_empty() {
            let mut members: Vec<u32> = open
                .iter()
                .flat_map(|pair| [pair.left, pair.right])
                .collect();
            members.sort_unstable();
            members.dedup();
            let at = |record: u32| members.partition_point(|member| *member < record);
            let mut sets = Sets::new(u32::try_from(members.len()).unwrap_or(u32::MAX));
            for pair in &open {
                // Positions are below the number of records.
                let dense = |record| u32::try_from(at(record)).unwrap_or(u32::MAX);
                sets.union(dense(pair.left), dense(pair.right));
            }
            let roots = sets.roots();
            let mut groups: Vec<Vec<u32>> = vec![Vec::new(); members.len()];
            for (member, root) in members.iter().zip(&roots) {
                groups[*root as usize].push(*member);
            }
            let too_large: Vec<bool> = groups
                .iter()
                .map(|group| group.len() > options.max_component.max(2))
                .collect();
            bar += 1.0;
            open.retain(|pair| pair.weight >= bar && too_large[roots[at(pair.left)] as usize]);
            done.extend(
                groups
                    .into_iter()
                    .zip(too_large)
                    .filter(|(group, too_large)| group.len() > 1 && !too_large)
                    .map(|(group, _)| group),
            );
        }
        done
    }

    /// Pairs of members whose groups are merged.
    fn average_linkage(
        &self,
        state: &mut ScoreState,
        members: &[u32],
        options: ClusterOptions,
    ) -> Vec<(u32, u32)> {
        let linkage = self.linkage();
        let size = members.len();
        let mut means = vec![f32::NEG_INFINITY; size * size];
        for (i, &left) in members.iter().enumerate() {
            for (j, &right) in members.iter().enumerate().skip(i + 1) {
                let weight = if linkage.scope.admits(linkage.records, left, right) {
                    self.weight(state, left, right)
                        .clamp(-options.limit, options.limit)
                } else {
                    -options.limit
                };
                #[expect(clippy::cast_possible_truncation, reason = "a mean of few digits")]
                let weight = weight as f32;
                means[i * size + j] = weight;
                means[j * size + i] = weight;
            }
        }
        merges(&mut means, size)
            .into_iter()
            .filter(|merge| f64::from(merge.mean) >= options.merge)
            .map(|merge| (members[merge.one], members[merge.two]))
            .collect()
    }
}

struct Merge {
    one: usize,
    two: usize,
    mean: f32,
}

/// All merges of average linkage, by nearest-neighbour chains in n² steps. Linkage by the mean is
/// monotone: a group is not nearer to a merged group than to both of its parts, so the merges above
/// a bar are the same in any order.
fn merges(means: &mut [f32], size: usize) -> Vec<Merge> {
    let mut alive = vec![true; size];
    let mut counts = vec![1.0_f32; size];
    let mut chain: Vec<usize> = Vec::new();
    let mut merges = Vec::new();
    for _ in 1..size {
        if chain.is_empty() {
            chain.extend(alive.iter().position(|alive| *alive));
        }
        while let Some(&top) = chain.last() {
            let before = chain.len().checked_sub(2).map(|at| chain[at]);
            // The one before wins a tie, which ends the chain.
            let mut best = before;
            for other in (0..size).filter(|other| alive[*other] && *other != top) {
                if best.is_none_or(|best| means[top * size + other] > means[top * size + best]) {
                    best = Some(other);
                }
            }
            let Some(best) = best else { break };
            if Some(best) != before {
                chain.push(best);
                continue;
            }
            chain.truncate(chain.len() - 2);
            merges.push(Merge {
                one: top,
                two: best,
                mean: means[top * size + best],
            });
            let (keep, drop) = (top.min(best), top.max(best));
            let both = counts[keep] + counts[drop];
            for other in (0..size).filter(|other| alive[*other] && *other != keep && *other != drop)
            {
                let mean = (means[keep * size + other] * counts[keep]
                    + means[drop * size + other] * counts[drop])
                    / both;
                means[keep * size + other] = mean;
                means[other * size + keep] = mean;
            }
            counts[keep] = both;
            alive[drop] = false;
            break;
        }
    }
    merges
}

#[cfg(test)]
mod tests {
    use super::merges;

    #[test]
    fn a_single_wrong_pair_does_not_join_two_groups() {
        // 0, 1 and 2, 3 belong together; 1 and 2 seem to.
        let weights = [
            [0.0, 9.0, -9.0, -9.0],
            [9.0, 0.0, 5.0, -9.0],
            [-9.0, 5.0, 0.0, 8.0],
            [-9.0, -9.0, 8.0, 0.0],
        ];
        let mut means: Vec<f32> = weights.into_iter().flatten().collect();
        let merges = merges(&mut means, 4);
        let joined: Vec<_> = merges
            .iter()
            .filter(|merge| merge.mean >= 0.0)
            .map(|merge| (merge.one.min(merge.two), merge.one.max(merge.two)))
            .collect();
        assert_eq!(joined, [(0, 1), (2, 3)]);
        assert!((merges[2].mean + 5.5).abs() < 1e-6);
    }
}
