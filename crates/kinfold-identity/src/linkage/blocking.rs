//! Which pairs are compared at all.

use super::records::Records;
use super::{LinkageError, parallel};

/// Which records may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any two.
    Dedupe,
    /// Two of different sources.
    Link,
}

impl Scope {
    /// Whether two records may be the same.
    pub(crate) fn admits(self, records: &Records, left: u32, right: u32) -> bool {
        self == Self::Dedupe || records.source(left) != records.source(right)
    }

    /// How many pairs there are of these sources.
    pub(crate) fn pairs(self, records: &Records, members: impl Iterator<Item = u32>) -> u64 {
        let mut sources: Vec<u16> = members.map(|record| records.source(record)).collect();
        let all = pairs_of(sources.len() as u64);
        if self == Self::Dedupe {
            return all;
        }
        sources.sort_unstable();
        let within: u64 = sources
            .chunk_by(PartialEq::eq)
            .map(|same| pairs_of(same.len() as u64))
            .sum();
        all - within
    }
}

/// Pairs of so many records.
const fn pairs_of(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}

/// What a rule would bring, known before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// Pairs with an equal key, also those that an earlier rule brings.
    pub pairs: u64,
    /// Records in the largest block.
    pub largest_block: u64,
    /// Blocks left out because they are larger than allowed.
    pub blocks_left_out: u64,
    /// Pairs in them.
    pub pairs_left_out: u64,
}

/// Pairs of records that have the key of a rule in common. A pair comes from the first such rule.
#[derive(Debug)]
pub struct Blocking<'a> {
    records: &'a Records,
    scope: Scope,
    rules: &'a [Vec<u64>],
    /// For each rule its blocks: records with the same key, ascending.
    blocks: Vec<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    members: Vec<u32>,
    starts: Vec<usize>,
    /// Keys of the blocks that are too large, ascending.
    left_out: Vec<u64>,
    count: RuleCount,
}

/// A part of the pairs: of the records `from..to` among `members` each with all that follow.
#[derive(Clone, Copy, Debug)]
struct Part {
    rule: usize,
    first_block: usize,
    end_block: usize,
    from: usize,
    to: usize,
}

/// Pairs in a part of the work, about: enough to make threads cheap, few enough to balance them.
const PART: u64 = 1 << 15;

impl<'a> Blocking<'a> {
    /// Sorts the records into blocks.
    ///
    /// Each rule is a key for every record in the order of the records (see [`Records::arrange`] and
    /// [`super::hash_key`]); 0 is no key. Blocks of more than `max_block` records are left out.
    ///
    /// # Errors
    /// A rule has not as many keys as there are records.
    pub fn new(
        records: &'a Records,
        scope: Scope,
        rules: &'a [Vec<u64>],
        max_block: u64,
        threads: usize,
    ) -> Result<Self, LinkageError> {
        if let Some(rule) = rules.iter().find(|rule| rule.len() != records.len()) {
            return Err(LinkageError::Length {
                found: rule.len(),
                expected: records.len(),
            });
        }
        let blocks = parallel::map(
            threads,
            rules,
            || (),
            |(), keys| Blocks::new(records, scope, keys, max_block),
        );
        Ok(Self {
            records,
            scope,
            rules,
            blocks,
        })
    }

    /// What each rule brings by itself.
    #[must_use]
    pub fn counts(&self) -> Vec<RuleCount> {
        self.blocks
            .iter()
            .map(|blocks| blocks.count.clone())
            .collect()
    }

    /// The position of the first rule that brings this pair, if one does.
    #[must_use]
    pub fn rule_of(&self, left: u32, right: u32) -> Option<usize> {
        if left == right || !self.scope.admits(self.records, left, right) {
            return None;
        }
        let brings = |(keys, blocks): (&Vec<u64>, &Blocks)| {
            let key = keys.get(left as usize).copied().unwrap_or_default();
            key != 0 && keys.get(right as usize) == Some(&key) && !blocks.left_out(key)
        };
        self.rules.iter().zip(&self.blocks).position(brings)
    }

    /// Each pair once, the lesser record first. To look at the pairs of a small table; training and
    /// scoring visit them without keeping them.
    #[must_use]
    pub fn pairs(&self) -> Vec<(u32, u32)> {
        let parts = self.visit(
            1,
            || (),
            Vec::new,
            |(), pairs, left, right| pairs.push((left, right)),
        );
        parts.into_iter().flatten().collect()
    }

    /// Visits each pair once, the lesser record first, on several threads. Results of the parts are
    /// in an order that depends on the records alone.
    pub(crate) fn visit<S, R: Send>(
        &self,
        threads: usize,
        state: impl Fn() -> S + Sync,
        start: impl Fn() -> R + Sync,
        pair: impl Fn(&mut S, &mut R, u32, u32) + Sync,
    ) -> Vec<R> {
        parallel::map(threads, &self.parts(), state, |state, part| {
            let mut result = start();
            self.visit_part(part, |left, right| pair(state, &mut result, left, right));
            result
        })
    }

    fn visit_part(&self, part: &Part, mut pair: impl FnMut(u32, u32)) {
        let blocks = &self.blocks[part.rule];
        for block in part.first_block..part.end_block {
            let members = &blocks.members[blocks.starts[block]..blocks.starts[block + 1]];
            let to = part.to.min(members.len());
            for (at, &left) in members.iter().enumerate().take(to).skip(part.from) {
                for &right in &members[at + 1..] {
                    if self.scope.admits(self.records, left, right)
                        && !self.is_earlier(part.rule, left, right)
                    {
                        pair(left, right);
                    }
                }
            }
        }
    }

    /// Whether a rule before has the pair.
    fn is_earlier(&self, rule: usize, left: u32, right: u32) -> bool {
        self.rules
            .iter()
            .zip(&self.blocks)
            .take(rule)
            .any(|(keys, blocks)| {
                let key = keys[left as usize];
                key != 0 && key == keys[right as usize] && !blocks.left_out(key)
            })
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for (rule, blocks) in self.blocks.iter().enumerate() {
            let (mut first_block, mut pairs) = (0, 0);
            for block in 0..blocks.starts.len().saturating_sub(1) {
                let size = blocks.starts[block + 1] - blocks.starts[block];
                let own = pairs_of(size as u64);
                let whole = |first_block, end_block| Part {
                    rule,
                    first_block,
                    end_block,
                    from: 0,
                    to: usize::MAX,
                };
                if own > PART {
                    parts.push(whole(first_block, block));
                    let rows = usize::try_from(PART).unwrap_or(usize::MAX).div_ceil(size);
                    for from in (0..size).step_by(rows) {
                        parts.push(Part {
                            rule,
                            first_block: block,
                            end_block: block + 1,
                            from,
                            to: from + rows,
                        });
                    }
                    (first_block, pairs) = (block + 1, 0);
                } else if pairs + own > PART {
                    parts.push(whole(first_block, block));
                    (first_block, pairs) = (block, own);
                } else {
                    pairs += own;
                }
            }
            parts.push(Part {
                rule,
                first_block,
                end_block: blocks.starts.len().saturating_sub(1),
                from: 0,
                to: usize::MAX,
            });
        }
        parts
    }
}

impl Blocks {
    fn new(records: &Records, scope: Scope, keys: &[u64], max_block: u64) -> Self {
        let mut sorted: Vec<(u64, u32)> = keys
            .iter()
            .zip(0..records.count())
            .filter(|(key, _)| **key != 0)
            .map(|(key, record)| (*key, record))
            .collect();
        sorted.sort_unstable();
        let mut blocks = Self {
            starts: vec![0],
            ..Self::default()
        };
        for block in sorted.chunk_by(|one, two| one.0 == two.0) {
            let size = block.len() as u64;
            if size < 2 {
                continue;
            }
            let pairs = scope.pairs(records, block.iter().map(|(_, record)| *record));
            blocks.count.largest_block = blocks.count.largest_block.max(size);
            if size > max_block {
                blocks.count.blocks_left_out += 1;
                blocks.count.pairs_left_out += pairs;
                blocks.left_out.push(block[0].0);
                continue;
            }
            blocks.count.pairs += pairs;
            blocks
                .members
                .extend(block.iter().map(|(_, record)| *record));
            blocks.starts.push(blocks.members.len());
        }
        blocks
    }

    /// Whether the block of a key is too large, so that the rule does not bring its pairs.
    fn left_out(&self, key: u64) -> bool {
        self.left_out.binary_search(&key).is_ok()
    }
}
