//! What a comparison knows of every key, in some fifty bytes each.
//!
//! A table of hashes instead of a join: the rows of the model stream past it, and only those that
//! have to be sent are ever written down. Keys are found by the first 128 bits of the BLAKE3 hash of
//! their text. Open addressing with linear probing (Knuth, TAOCP vol. 3, 6.4), cut into shards so
//! that partitions of the model look up at the same time and a shard grows without a copy of the rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

/// Shards of a table; a power of two.
const SHARDS: usize = 256;
/// A shard grows when so many of 100 places are taken.
const FULL_PERCENT: usize = 80;
/// Bytes of one place.
pub(super) const PLACE_BYTES: usize = size_of::<Place>();

/// A hash of a key or of a payload; 0 means that there is none.
pub(super) type Hash = u128;

/// What is known of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Hash of the payload that the destination has confirmed, 0 if it never has.
    pub(super) confirmed: Hash,
    /// Digest of the row whose payload that was, 0 if it is not known.
    pub(super) digest: Hash,
    /// Number of the mapping that made it, in [`KeyTable::mappings`].
    pub(super) mapping: u16,
    flags: u8,
}

/// The state has this key.
const STATE: u8 = 1;
/// The destination confirmed it to this sync, so this sync may remove it.
const OURS: u8 = 2;
/// An attempt without an answer may have changed what was confirmed.
const UNCERTAIN: u8 = 4;
/// The last attempt failed; more is in the table of troubles.
const TROUBLED: u8 = 8;
/// The model has it.
const SEEN: u8 = 16;
/// The model has it more than once.
const DUPLICATE: u8 = 32;

impl Known {
    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
    pub(super) fn in_state(self) -> bool {
        self.has(STATE)
    }
    pub(super) fn ours(self) -> bool {
        self.has(OURS)
    }
    pub(super) fn uncertain(self) -> bool {
        self.has(UNCERTAIN)
    }
    pub(super) fn troubled(self) -> bool {
        self.has(TROUBLED)
    }
    pub(super) fn seen(self) -> bool {
        self.has(SEEN)
    }
    pub(super) fn is_confirmed(self) -> bool {
        self.confirmed != 0
    }
}

/// What a state says of a key whose last attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Payload of the attempt, 0 for a removal.
    pub(super) pending: Hash,
    /// Whether the destination refused the row itself.
    pub(super) rejected: bool,
    /// Runs that failed since the last confirmation.
    pub(super) attempts: u32,
    /// When it shall be tried again, in microseconds since 1970.
    pub(super) due: i64,
    /// The run of the first failure.
    pub(super) first_error: Option<Arc<str>>,
}

/// A row of the state, as the table takes it.
#[derive(Clone, Debug)]
pub(super) struct StateRow {
    pub(super) key: Hash,
    /// Number of the fold that wrote it: of several rows with one key the newest counts.
    pub(super) ordinal: u32,
    /// The row says that there is nothing any more.
    pub(super) gone: bool,
    pub(super) confirmed: Hash,
    pub(super) digest: Hash,
    pub(super) mapping: u16,
    pub(super) ours: bool,
    pub(super) uncertain: bool,
    pub(super) trouble: Option<Trouble>,
}

/// How often the model has had a key, this time included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copies {
    First,
    /// The second: what was said of the first, a number of the caller's choice, is void.
    Second(u8),
    More,
}

/// One key and what is known of it; a lookup touches one cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Place {
    /// 0 if the place is free.
    key: Hash,
    confirmed: Hash,
    digest: Hash,
    ordinal: u32,
    /// What was said of the first row takes its place once the key was seen.
    mapping: u16,
    flags: u8,
}

const _: () = assert!(size_of::<Place>() == 64);

impl Place {
    fn known(&self) -> Known {
        Known {
            confirmed: self.confirmed,
            digest: self.digest,
            mapping: self.mapping,
            flags: self.flags,
        }
    }
}

#[derive(Default)]
struct Shard {
    places: Vec<Place>,
    taken: usize,
    troubles: HashMap<Hash, Trouble>,
}

impl Shard {
    fn with_places(places: usize) -> Self {
        Self {
            places: vec![Place::default(); places],
            taken: 0,
            troubles: HashMap::new(),
        }
    }

    /// The place of a key, or the free one where it belongs. There is always a free one.
    fn find(&self, key: Hash) -> usize {
        let places = self.places.len();
        let mut at = start(key, places);
        loop {
            match self.places.get(at) {
                Some(place) if place.key != key && place.key != 0 => {
                    at += 1;
                    if at == places {
                        at = 0;
                    }
                }
                _ => return at,
            }
        }
    }

    fn is_full(&self) -> bool {
        (self.taken + 1) * 100 > self.places.len() * FULL_PERCENT
    }

    fn known(&self, key: Hash) -> Known {
        let place = self.places.get(self.find(key));
        place.map(Place::known).unwrap_or_default()
    }

    /// The place of a key, which is taken for it if it is free; and whether it was.
    fn take(&mut self, key: Hash) -> Option<(&mut Place, bool)> {
        let at = self.find(key);
        let place = self.places.get_mut(at)?;
        let free = place.key == 0;
        if free {
            place.key = key;
            self.taken += 1;
        }
        Some((place, free))
    }

    fn grown(&self, places: usize) -> Self {
        let mut grown = Self::with_places(places);
        for place in self.places.iter().filter(|place| place.key != 0) {
            if let Some((to, _)) = grown.take(place.key) {
                *to = *place;
            }
        }
        grown
    }

    /// Takes a row of the state, unless a newer one of its key is there; whether it did.
    fn load(&mut self, row: &StateRow) -> bool {
        let Some((place, free)) = self.take(row.key) else {
            return false;
        };
        if !free && place.ordinal >= row.ordinal {
            return false;
        }
        let live = !row.gone;
        let mut flags = 0;
        for (is, flag) in [
            (live, STATE),
            (live && row.ours, OURS),
            (live && row.uncertain, UNCERTAIN),
            (live && row.trouble.is_some(), TROUBLED),
        ] {
            flags |= if is { flag } else { 0 };
        }
        *place = Place {
            key: row.key,
            confirmed: if live { row.confirmed } else { 0 },
            digest: if live { row.digest } else { 0 },
            ordinal: row.ordinal,
            mapping: row.mapping,
            flags,
        };
        match &row.trouble {
            Some(trouble) if live => {
                self.troubles.insert(row.key, trouble.clone());
            }
            _ if !self.troubles.is_empty() => {
                self.troubles.remove(&row.key);
            }
            _ => {}
        }
        true
    }
}

/// Where the search for a key begins: its upper bits below the shard's, scaled to the places.
fn start(key: Hash, places: usize) -> usize {
    let bits = (key >> 56) & u128::from(u64::MAX);
    usize::try_from((bits * places as u128) >> 64).unwrap_or(0)
}

/// Every key of the state and of the model, or of a part of both.
pub(super) struct KeyTable {
    shards: Vec<Mutex<Shard>>,
    memory: Mutex<MemoryReservation>,
}

impl KeyTable {
    /// A table with room for `keys`.
    pub(super) fn new(pool: &Arc<dyn MemoryPool>, keys: u64) -> Result<Self, DataFusionError> {
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        // Keys do not spread evenly over the shards: a little more than their share.
        let share = keys / SHARDS + keys / (SHARDS * 16) + 16;
        let places = share.saturating_mul(100) / FULL_PERCENT;
        let memory = MemoryConsumer::new("keys of a sync").register(pool);
        memory.try_grow(places.saturating_mul(SHARDS * PLACE_BYTES))?;
        Ok(Self {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::with_places(places)))
                .collect(),
            memory: Mutex::new(memory),
        })
    }

    fn shard(&self, key: Hash) -> Option<MutexGuard<'_, Shard>> {
        let index = usize::try_from(key >> 120).unwrap_or(0);
        let shard = self.shards.get(index)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reserve(&self, bytes: usize) -> Result<(), DataFusionError> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.try_grow(bytes)
    }

    fn room(&self, shard: &mut Shard) -> Result<(), DataFusionError> {
        if shard.is_full() {
            let before = shard.places.len();
            let places = before + before / 3 + 16;
            self.reserve((places - before) * PLACE_BYTES)?;
            let mut grown = shard.grown(places);
            grown.troubles = std::mem::take(&mut shard.troubles);
            *shard = grown;
        }
        Ok(())
    }

    /// Takes a row of the state, unless a newer one of its key is there.
    pub(super) fn load(&self, row: &StateRow) -> Result<(), DataFusionError> {
        let Some(mut shard) = self.shard(row.key) else {
            return Ok(());
        };
        self.room(&mut shard)?;
        if shard.load(row) && row.trouble.is_some() {
            self.reserve(size_of::<(Hash, Trouble)>())?;
        }
        Ok(())
    }

    /// Notes that the model has a key. `say` gets what is known of it and returns a number that is
    /// handed back if the key comes again.
    pub(super) fn see<T>(
        &self,
        key: Hash,
        say: impl FnOnce(Known, Option<&Trouble>) -> (u8, T),
    ) -> Result<(Copies, Option<T>), DataFusionError> {
        let Some(mut shard) = self.shard(key) else {
            return Ok((Copies::More, None));
        };
        self.room(&mut shard)?;
        let shard = &mut *shard;
        let at = shard.find(key);
        let Some(place) = shard.places.get_mut(at) else {
            return Ok((Copies::More, None));
        };
        if place.key == 0 {
            place.key = key;
            shard.taken += 1;
        }
        let known = place.known();
        if !known.has(SEEN) {
            let trouble = if known.troubled() {
                shard.troubles.get(&key)
            } else {
                None
            };
            let (first, said) = say(known, trouble);
            place.flags |= SEEN;
            place.mapping = u16::from(first);
            return Ok((Copies::First, Some(said)));
        }
        place.flags |= DUPLICATE;
        if known.has(DUPLICATE) {
            return Ok((Copies::More, None));
        }
        let first = u8::try_from(known.mapping).unwrap_or_default();
        Ok((Copies::Second(first), None))
    }

    /// Whether the model was seen to have a key.
    pub(super) fn was_seen(&self, key: Hash) -> bool {
        self.shard(key).is_some_and(|shard| shard.known(key).seen())
    }

    /// Whether the state has a key.
    pub(super) fn has(&self, key: Hash) -> bool {
        self.shard(key)
            .is_some_and(|shard| shard.known(key).in_state())
    }

    /// Keys of the state whose last attempt failed.
    pub(super) fn troubled(&self) -> u64 {
        self.all().map(|shard| shard.troubles.len() as u64).sum()
    }

    /// Whether the model has a key more than once.
    pub(super) fn is_duplicate(&self, key: Hash) -> bool {
        self.shard(key)
            .is_some_and(|shard| shard.known(key).has(DUPLICATE))
    }

    /// What is known of a key, if `ordinal` is the one of its newest row.
    pub(super) fn newest(&self, key: Hash, ordinal: u32) -> Option<(Known, Option<Trouble>)> {
        let shard = self.shard(key)?;
        let place = shard.places.get(shard.find(key))?;
        (place.key == key && place.ordinal == ordinal).then(|| {
            let known = place.known();
            let trouble = known.troubled().then(|| shard.troubles.get(&key).cloned());
            (known, trouble.flatten())
        })
    }

    fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        let shards = self.shards.iter();
        shards.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many keys of the state the destination has confirmed.
    pub(super) fn confirmed(&self) -> u64 {
        let count = |shard: MutexGuard<'_, Shard>| {
            let confirmed = |place: &&Place| place.flags & STATE != 0 && place.confirmed != 0;
            shard.places.iter().filter(confirmed).count() as u64
        };
        self.all().map(count).sum()
    }

    /// How many keys of the state the model was not seen to have, and a filter for them.
    pub(super) fn unseen(&self) -> Unseen {
        let unseen = |place: &&Place| place.flags & STATE != 0 && place.flags & SEEN == 0;
        let counts = self
            .all()
            .map(|shard| shard.places.iter().filter(unseen).count() as u64);
        let count = counts.sum();
        let mut filter = Unseen::with_room_for(count);
        for shard in self.all() {
            for place in shard.places.iter().filter(unseen) {
                filter.add(place.key);
            }
        }
        filter
    }
}

/// Keys of the state that the model was not seen to have. It fits into a cache if they are few, which the table of
/// all keys does not.
pub(super) struct Unseen {
    /// How many there are.
    pub(super) count: u64,
    bits: Vec<u64>,
}

impl Unseen {
    fn with_room_for(keys: u64) -> Self {
        // Sixteen bits a key let one other key of sixteen through; 8 MiB are enough of them.
        let words = usize::try_from(keys / 4).unwrap_or(usize::MAX);
        Self {
            count: 0,
            bits: vec![0; words.clamp(1, 1 << 20)],
        }
    }

    fn bit(&self, key: Hash) -> (usize, u64) {
        let part = usize::try_from((key >> 8) & u128::from(u32::MAX)).unwrap_or(0);
        (part % self.bits.len().max(1), 1 << (key & 63))
    }

    fn add(&mut self, key: Hash) {
        let (word, bit) = self.bit(key);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
        self.count += 1;
    }

    /// False for most keys that are not among them, true for all that are.
    pub(super) fn may_have(&self, key: Hash) -> bool {
        let (word, bit) = self.bit(key);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use datafusion::execution::memory_pool::{GreedyMemoryPool, UnboundedMemoryPool};
    use proptest::prelude::*;

    use super::*;

    fn pool() -> Arc<dyn MemoryPool> {
        Arc::new(UnboundedMemoryPool::default())
    }

    fn row(key: Hash, ordinal: u32, confirmed: Hash) -> StateRow {
        StateRow {
            key,
            ordinal,
            gone: confirmed == 0,
            confirmed,
            digest: confirmed,
            mapping: 3,
            ours: true,
            uncertain: false,
            trouble: None,
        }
    }

    /// Keys that meet in one place more often than hashes do.
    fn keys() -> impl Strategy<Value = Hash> {
        (0_u128..4, 0_u128..40).prop_map(|(shard, n)| (shard << 120) | (n << 60) | 1)
    }

    proptest! {
        #[test]
        fn it_is_a_map_in_which_the_newest_row_counts(
            rows in prop::collection::vec((keys(), 0_u32..6, 0_u128..3), 0..400),
            seen in prop::collection::vec(keys(), 0..300),
        ) {
            let table = KeyTable::new(&pool(), 0).unwrap();
            let mut expected: HashMap<Hash, (u32, Hash)> = HashMap::new();
            for (key, ordinal, confirmed) in &rows {
                table.load(&row(*key, *ordinal, *confirmed)).unwrap();
                let entry = expected.entry(*key).or_insert((*ordinal, *confirmed));
                if entry.0 < *ordinal {
                    *entry = (*ordinal, *confirmed);
                }
            }
            let live = |key| expected.get(key).map_or(0, |(_, confirmed)| *confirmed);
            let confirmed = expected.values().filter(|(_, hash)| *hash != 0).count() as u64;
            prop_assert_eq!(table.confirmed(), confirmed);
            prop_assert_eq!(table.unseen().count, confirmed);
            let mut counts: HashMap<Hash, u32> = HashMap::new();
            for key in &seen {
                let (copies, said) = table.see(*key, |known, _| (7, known)).unwrap();
                let count = counts.entry(*key).or_default();
                *count += 1;
                match *count {
                    1 => {
                        prop_assert_eq!(copies, Copies::First);
                        let known = said.unwrap();
                        prop_assert_eq!(known.confirmed, live(key));
                        prop_assert_eq!(known.in_state(), live(key) != 0);
                    }
                    2 => prop_assert_eq!(copies, Copies::Second(7)),
                    _ => prop_assert_eq!(copies, Copies::More),
                }
                prop_assert_eq!(table.is_duplicate(*key), *count > 1);
            }
            for (key, (ordinal, hash)) in &expected {
                let (known, _) = table.newest(*key, *ordinal).unwrap();
                prop_assert_eq!(known.confirmed, *hash);
                prop_assert_eq!(known.seen(), counts.contains_key(key));
                prop_assert!(table.newest(*key, ordinal + 1).is_none());
            }
            let unseen = table.unseen();
            let left = |(key, (_, hash)): &(&Hash, &(u32, Hash))| *hash != 0 && !counts.contains_key(key);
            prop_assert_eq!(unseen.count, expected.iter().filter(left).count() as u64);
            for (key, _) in expected.iter().filter(left) {
                prop_assert!(unseen.may_have(*key));
            }
        }
    }

    #[test]
    fn it_asks_before_it_takes_memory() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
        assert!(KeyTable::new(&pool, 10_000_000).is_err());
        let table = KeyTable::new(&pool, 100).unwrap();
        let full = (0_u128..1_000_000).try_for_each(|n| {
            let key = n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) | 1;
            table.see(key, |_, _| (0, ())).map(|_| ())
        });
        assert!(full.is_err());
        drop(table);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn troubles_come_and_go_with_their_row() {
        let table = KeyTable::new(&pool(), 4).unwrap();
        let trouble = Trouble {
            pending: 9,
            rejected: true,
            attempts: 2,
            due: 5,
            first_error: Some("run".into()),
        };
        let failed = StateRow {
            trouble: Some(trouble.clone()),
            ..row(1 << 70, 1, 0)
        };
        let failed = StateRow {
            gone: false,
            ..failed
        };
        table.load(&failed).unwrap();
        let (known, found) = table.newest(1 << 70, 1).unwrap();
        assert!(known.troubled() && known.in_state() && !known.is_confirmed());
        assert_eq!(found, Some(trouble));
        table.load(&row(1 << 70, 2, 8)).unwrap();
        let (known, found) = table.newest(1 << 70, 2).unwrap();
        assert!(!known.troubled() && known.ours());
        assert_eq!((known.confirmed, found), (8, None));
    }
}
