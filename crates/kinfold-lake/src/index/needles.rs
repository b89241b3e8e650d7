//! What is looked for in an index.

use std::collections::HashMap;
use std::thread::available_parallelism;

use foldhash::fast::RandomState;
use siphasher::sip128::SipHasher13;

use super::{IndexKey, Width, hash};

/// Bits of the filter for each value, so that about one other value in thirty passes.
const BITS_EACH: usize = 32;
/// Texts for which it pays to start a thread.
const WORTH_A_THREAD: usize = 1 << 14;

/// A row that may hold a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its place in the data file; the first row has the place 0.
    pub place: u64,
    /// Place of the value in the order in which the needles were given; the last one, if several are alike.
    pub needle: usize,
}

/// Values that are looked for, as an index keeps them.
pub struct Needles {
    width: Width,
    /// A Bloom filter with one hash, which is the value.
    bits: Vec<u64>,
    exact: HashMap<u128, usize, RandomState>,
}

impl Needles {
    /// Hashes of texts under the key of an index. Of many the work is shared among threads.
    pub fn hashes<'t, P>(key: &IndexKey, width: Width, texts: &[P]) -> Self
    where
        P: Copy + Sync + IntoIterator<Item = &'t str>,
    {
        let hasher = SipHasher13::new_with_key(key);
        let of_some = |texts: &[P]| -> Vec<[u8; 16]> {
            let mut buffer = Vec::new();
            let texts = texts.iter().map(|parts| parts.into_iter().map(Some));
            texts
                .map(|parts| hash(&hasher, parts, &mut buffer))
                .collect()
        };
        let threads = available_parallelism().map_or(1, usize::from);
        let share = texts.len().div_ceil(threads).max(WORTH_A_THREAD);
        let values = std::thread::scope(|scope| {
            let others: Vec<_> = texts
                .chunks(share)
                .skip(1)
                .map(|some| (some, scope.spawn(|| of_some(some))))
                .collect();
            let mut values = of_some(texts.get(..share).unwrap_or(texts));
            for (some, other) in others {
                // A thread that panicked leaves its work undone.
                values.extend(other.join().unwrap_or_else(|_| of_some(some)));
            }
            values
        });
        Self::new(width, values.into_iter())
    }

    /// UUIDs by their 128 bits.
    pub fn uuids(width: Width, ids: impl ExactSizeIterator<Item = u128>) -> Self {
        Self::new(width, ids.map(u128::to_be_bytes))
    }

    fn new(width: Width, values: impl ExactSizeIterator<Item = [u8; 16]>) -> Self {
        let words = (values.len().saturating_mul(BITS_EACH) / 64)
            .max(1)
            .next_power_of_two();
        let mut needles = Self {
            width,
            bits: vec![0; words],
            exact: HashMap::with_capacity_and_hasher(values.len(), RandomState::default()),
        };
        for (at, mut value) in values.enumerate() {
            if let Some(beyond) = value.get_mut(width.bytes()..) {
                beyond.fill(0);
            }
            let (word, bit) = needles.bit(first(&value, width.bytes()));
            let value = u128::from_le_bytes(value);
            if let Some(word) = needles.bits.get_mut(word) {
                *word |= bit;
            }
            needles.exact.insert(value, at);
        }
        needles
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    pub(super) fn width(&self) -> Width {
        self.width
    }

    /// Adds the places of a block's rows that hold one of these. Its first row has the place `begin`.
    pub(super) fn search(&self, block: &[u8], begin: u64, found: &mut Vec<Found>) {
        match self.width {
            Width::Four => self.search_of::<4>(block, begin, found),
            Width::Eight => self.search_of::<8>(block, begin, found),
            Width::Twelve => self.search_of::<12>(block, begin, found),
            Width::Sixteen => self.search_of::<16>(block, begin, found),
        }
    }

    fn search_of<const WIDTH: usize>(&self, block: &[u8], begin: u64, found: &mut Vec<Found>) {
        let (rows, _) = block.as_chunks::<WIDTH>();
        for (row, place) in rows.iter().zip(begin..) {
            let (word, bit) = self.bit(first(row, WIDTH));
            if self.bits.get(word).is_none_or(|word| word & bit == 0) {
                continue;
            }
            let mut value = [0; 16];
            for (to, from) in value.iter_mut().zip(row) {
                *to = *from;
            }
            if let Some(needle) = self.exact.get(&u128::from_le_bytes(value)).copied() {
                found.push(Found { place, needle });
            }
        }
    }

    /// Where a value is in the filter: by its first bytes, which are as good as random.
    fn bit(&self, first: u64) -> (usize, u64) {
        // The number of words is a power of two.
        let word = (first >> 6) as usize & (self.bits.len() - 1);
        (word, 1 << (first & 63))
    }
}

/// The first eight bytes of a value, or four if it has no more.
#[inline]
fn first(value: &[u8], width: usize) -> u64 {
    let four = || {
        value
            .first_chunk()
            .map(|four| u32::from_le_bytes(*four).into())
    };
    let eight = || value.first_chunk().map(|eight| u64::from_le_bytes(*eight));
    let first = if width < 8 { four() } else { eight() };
    first.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::{Needles, Width};

    #[test]
    fn hashes_of_many_texts_are_in_order() {
        let texts: Vec<String> = (0..40_000).map(|n| format!("value {n}")).collect();
        let texts: Vec<[&str; 2]> = texts.iter().map(|text| ["email", text]).collect();
        let many = Needles::hashes(&[7; 16], Width::Twelve, &texts);
        assert_eq!(many.exact.len(), texts.len());
        for (at, text) in texts.iter().enumerate().step_by(1111) {
            let one = Needles::hashes(&[7; 16], Width::Twelve, &[*text]);
            let value = one.exact.keys().next().unwrap();
            assert_eq!(many.exact.get(value), Some(&at));
        }
    }

    #[test]
    fn all_widths_find_what_is_there_and_where() {
        let ids: Vec<u128> = (1..=5000_u128)
            .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
            .collect();
        for width in [Width::Four, Width::Eight, Width::Twelve, Width::Sixteen] {
            let mut block = Vec::new();
            for id in &ids {
                block.extend(id.to_be_bytes().iter().take(width.bytes()));
            }
            let wanted: Vec<u128> = ids.iter().copied().step_by(7).collect();
            let needles = Needles::uuids(width, wanted.into_iter());
            let mut found = Vec::new();
            needles.search(&block, 100, &mut found);
            let places: Vec<u64> = found.iter().map(|found| found.place).collect();
            let there: Vec<u64> = (100..5100).step_by(7).collect();
            assert_eq!(places, there, "{width:?}");
            assert!(
                found
                    .iter()
                    .enumerate()
                    .all(|(at, found)| found.needle == at)
            );
        }
        let mut found = Vec::new();
        Needles::uuids(Width::Eight, std::iter::empty()).search(&[0; 800], 0, &mut found);
        assert!(found.is_empty());
    }
}
