//! A map from fingerprints to dense indices, in one array.
//!
//! Linear probing over slots of 16 bytes: a look-up is one miss of the cache, and there is nothing
//! beside the slots. A slot holds 96 bits of the fingerprint. Among a billion keys two of them are
//! equal with a probability below 10⁻¹⁰.

use crate::nodes::{Fingerprint, NONE};

/// Three words of a fingerprint, and an index or `NONE` if the slot is empty.
type Slot = [u32; 4];

const EMPTY: Slot = [0, 0, 0, NONE];

#[derive(Default)]
pub(crate) struct Table {
    /// Their number is a power of two, or zero.
    slots: Vec<Slot>,
    len: usize,
}

impl Table {
    pub(crate) fn get(&self, key: &Fingerprint) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let found = self.slots[self.place(key.0)][3];
        (found != NONE).then_some(found)
    }

    /// The index of a key, which is `new` if it has none; that must not be `NONE`.
    pub(crate) fn get_or_insert(&mut self, key: &Fingerprint, new: u32) -> u32 {
        // At three quarters a probe looks at two or three slots, which share a line of the cache.
        if self.len >= self.slots.len() / 4 * 3 {
            self.grow();
        }
        let place = self.place(key.0);
        let slot = &mut self.slots[place];
        if slot[3] == NONE {
            let [a, b, c, _] = key.0;
            *slot = [a, b, c, new];
            self.len += 1;
        }
        slot[3]
    }

    /// Which slot a key has.
    pub(crate) fn slot_of(&self, key: &Fingerprint) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let place = self.place(key.0);
        (self.slots[place][3] != NONE).then_some(place)
    }

    /// Number of slots, most of them taken.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Brings the slots where a key would be near, without waiting for them. What it returns means
    /// nothing.
    pub(crate) fn glance(&self, key: &Fingerprint) -> u32 {
        let [a, b, ..] = key.0;
        let home = (u64::from(a) << 32) | u64::from(b);
        let mask = (self.slots.len() as u64).wrapping_sub(1);
        let place = usize::try_from(home & mask).unwrap_or(0);
        self.slots.get(place).map_or(0, |slot| slot[3])
    }

    /// Where a key is, or the empty slot where it would be. There is always one.
    fn place(&self, [a, b, c, _]: [u32; 4]) -> usize {
        let mask = self.slots.len() - 1;
        let home = (u64::from(a) << 32) | u64::from(b);
        // Only the low bits count, so a narrow `usize` loses nothing.
        let mut place = usize::try_from(home & mask as u64).unwrap_or(0);
        loop {
            let [x, y, z, index] = self.slots[place];
            if index == NONE || (x, y, z) == (a, b, c) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let wider = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; wider]);
        for slot in old.into_iter().filter(|slot| slot[3] != NONE) {
            let place = self.place(slot);
            self.slots[place] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::nodes::{Fingerprint, Space};

    #[test]
    fn keys_keep_their_first_index() {
        let mut table = Table::default();
        let space = Space::new("test");
        let key = |number: u32| Fingerprint::new(space, &number.to_string());
        assert_eq!(table.get(&key(0)), None);
        for number in 0..10_000 {
            assert_eq!(table.get_or_insert(&key(number), number), number);
            assert_eq!(table.get_or_insert(&key(number / 2), 99_999), number / 2);
        }
        assert!((0..10_000).all(|number| table.get(&key(number)) == Some(number)));
        assert!((10_000..20_000).all(|number| table.get(&key(number)).is_none()));
        // Keys that want the same slot.
        let mut table = Table::default();
        for number in 0..100 {
            table.get_or_insert(&Fingerprint([0, 7, number, 0]), number);
        }
        assert!((0..100).all(|number| table.get(&Fingerprint([0, 7, number, 0])) == Some(number)));
        assert_eq!(table.get(&Fingerprint([0, 7, 100, 0])), None);
    }
}
