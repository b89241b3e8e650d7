//! Which people a change of rows concerns, so that a run resolves only these.
//!
//! People who hang together by their rows, whether or not a rule keeps them apart, are one group: a
//! decision about one of them may hinge on any row of the group and on no other. An index knows the
//! group of every identifier. A run with a change of rows looks up whom it touches, resolves all rows
//! of these groups as if there were no others, and gets what a run over everything would get.

use std::collections::{BTreeSet, HashMap};

use crate::nodes::{Fingerprint, NONE, Space};
use crate::observation::{LinkKind, Observation};

/// First bytes of an index; the last of them is the version of the format.
const MAGIC: [u8; 8] = *b"kfgroup\x01";
/// Bytes of an entry: 16 of the fingerprint, 4 of the group, 4 of flags, all big-endian, so that
/// entries are in order as bytes.
const ENTRY: usize = 24;
const HUB: u32 = 1;

/// What bytes are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not an index of identity groups")]
pub struct IndexError;

/// An identifier in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) key: Fingerprint,
    /// Its group; none of a hub that is nobody's.
    pub(crate) group: u32,
    pub(crate) hub: bool,
}

/// The group of every identifier of a resolution, as bytes that can be stored and used as they are:
/// 24 for each identifier, without its text. Equal groups give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    bytes: Vec<u8>,
}

impl Default for Index {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Index {
    /// Entries in any order, groups under any numbers.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        let mut bytes = Vec::with_capacity(MAGIC.len() + entries.len() * ENTRY);
        bytes.extend(MAGIC);
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for entry in &entries {
            // Groups are numbered as they come, so the number does not tell where they come from.
            let next = u32::try_from(numbers.len()).unwrap_or(NONE);
            let group = match entry.group {
                NONE => NONE,
                group => *numbers.entry(group).or_insert(next),
            };
            for word in entry.key.0 {
                bytes.extend(word.to_be_bytes());
            }
            bytes.extend(group.to_be_bytes());
            bytes.extend(if entry.hub { HUB } else { 0 }.to_be_bytes());
        }
        Self { bytes }
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// An index from its bytes.
    ///
    /// # Errors
    /// If the bytes are none of an index, or of another version.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, IndexError> {
        let entries = bytes.strip_prefix(&MAGIC).ok_or(IndexError)?;
        let (entries, rest) = entries.as_chunks::<ENTRY>();
        let keys = entries.iter().map(|entry| &entry[..16]);
        if rest.is_empty() && keys.is_sorted_by(|a, b| a < b) {
            Ok(Self { bytes })
        } else {
            Err(IndexError)
        }
    }

    /// Number of identifiers, hubs included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw().len()
    }

    /// Whether it is the index of nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw().is_empty()
    }

    fn raw(&self) -> &[[u8; ENTRY]] {
        let entries = self.bytes.get(MAGIC.len()..).unwrap_or_default();
        entries.as_chunks().0
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.raw().iter().map(entry)
    }

    fn get(&self, key: Fingerprint) -> Option<Entry> {
        let raw = self.raw();
        let at = raw.binary_search_by_key(&key, |bytes| entry(bytes).key);
        at.ok().and_then(|at| raw.get(at)).map(entry)
    }

    /// Hubs that are nobody's.
    pub(crate) fn hubs(&self) -> impl Iterator<Item = Fingerprint> {
        self.entries()
            .filter(|entry| entry.group == NONE)
            .map(|entry| entry.key)
    }

    /// Begins to ask whom a change of rows touches.
    #[must_use]
    pub fn touch(&self) -> Touched<'_> {
        Touched {
            index: self,
            spaces: HashMap::new(),
            groups: BTreeSet::new(),
            everybody: false,
        }
    }

    /// The index of everything, after the touched groups were resolved anew: `part` is theirs.
    #[must_use]
    pub fn replace(&self, touched: &Touched<'_>, part: &Self) -> Self {
        let mut entries: Vec<Entry> = self
            .entries()
            .filter(|entry| !touched.groups.contains(&entry.group))
            .collect();
        // Old and new groups number from zero each; there are fewer of either than identifiers.
        let above = entries
            .iter()
            .filter(|entry| entry.group != NONE)
            .map(|entry| entry.group)
            .max()
            .map_or(0, |most| most.saturating_add(1));
        entries.extend(part.entries().map(|entry| match entry.group {
            NONE => entry,
            group => Entry {
                group: group.saturating_add(above),
                ..entry
            },
        }));
        Self::new(entries)
    }
}

fn entry(bytes: &[u8; ENTRY]) -> Entry {
    let mut words = [0_u32; ENTRY / 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let [a, b, c, d, group, flags] = words;
    Entry {
        key: Fingerprint([a, b, c, d]),
        group,
        hub: flags & HUB != 0,
    }
}

/// Whom a change of rows touches.
///
/// Of each record that gained or lost a row, all rows are to be named: [`Touched::added`],
/// [`Touched::removed`], and [`Touched::kept`] for the others.
pub struct Touched<'a> {
    index: &'a Index,
    spaces: HashMap<String, Space>,
    groups: BTreeSet<u32>,
    everybody: bool,
}

impl Touched<'_> {
    /// Takes a row that is new.
    pub fn added(&mut self, row: &Observation<'_>) {
        if let Some(known) = self.known(row) {
            self.touch(known);
            // A hub that somebody gives to a person counts with all of its rows from now on.
            self.everybody |= known.group == NONE && row.link == LinkKind::Include;
        }
    }

    /// Takes a row that is gone.
    pub fn removed(&mut self, row: &Observation<'_>) {
        if let Some(known) = self.known(row) {
            self.touch(known);
            // It may be a hub no longer, which joins groups that the index holds apart.
            self.everybody |= known.hub;
        }
    }

    /// Takes a row that stays, of a record with others that came or went.
    pub fn kept(&mut self, row: &Observation<'_>) {
        if let Some(known) = self.known(row) {
            self.touch(known);
        }
    }

    fn touch(&mut self, known: Entry) {
        if known.group != NONE {
            self.groups.insert(known.group);
        }
    }

    fn known(&mut self, row: &Observation<'_>) -> Option<Entry> {
        let (id_type, id_value) = (row.id_type?, row.id_value?);
        let space = match self.spaces.get(id_type) {
            Some(space) => *space,
            None => {
                let space = Space::new(id_type);
                self.spaces.insert(id_type.to_owned(), space);
                space
            }
        };
        self.index.get(Fingerprint::new(space, id_value))
    }

    /// Whether everything has to be resolved, since a hub lost a row and may be a hub no longer.
    #[must_use]
    pub fn everybody(&self) -> bool {
        self.everybody
    }

    /// How many groups are touched; new ones are not counted.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Whether all rows with this identifier are needed to resolve the touched groups. So are those of
    /// identifiers that the index does not know, which are new or join nobody.
    #[must_use]
    pub fn contains(&self, id_type: &str, id_value: &str) -> bool {
        let space = self
            .spaces
            .get(id_type)
            .copied()
            .unwrap_or_else(|| Space::new(id_type));
        self.index
            .get(Fingerprint::new(space, id_value))
            .is_none_or(|known| self.groups.contains(&known.group))
    }
}
