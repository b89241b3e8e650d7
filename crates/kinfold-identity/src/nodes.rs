//! Identifiers as columns under dense indices, with the union-find over them.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use crate::graph::GraphError;
use crate::table::Table;

/// Stands for "none" among dense indices.
pub(crate) const NONE: u32 = u32::MAX;

/// Tells keys of different types or sources apart: a hash of the name, so that a fingerprint is the
/// same in every run and whatever came first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space([u8; 16]);

impl Space {
    pub(crate) fn new(name: &str) -> Self {
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(blake3::hash(name.as_bytes()).as_bytes()) {
            *to = *from;
        }
        Self(key)
    }
}

/// 128 bits of BLAKE3 over a key. Two of a billion keys are equal with a probability below 10⁻²⁰, so
/// the text behind it need not be compared, nor kept for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint(pub(crate) [u32; 4]);

impl Fingerprint {
    pub(crate) fn new(space: Space, text: &str) -> Self {
        let Space(space) = space;
        let mut key = [0; 128];
        let hash = match key.get_mut(..space.len() + text.len()) {
            Some(key) => {
                let (head, tail) = key.split_at_mut(space.len());
                head.copy_from_slice(&space);
                tail.copy_from_slice(text.as_bytes());
                blake3::hash(key)
            }
            None => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&space).update(text.as_bytes());
                hasher.finalize()
            }
        };
        let mut words = [0_u32; 4];
        for (word, bytes) in words.iter_mut().zip(hash.as_bytes().chunks_exact(4)) {
            *word = bytes
                .iter()
                .rev()
                .fold(0, |word, byte| (word << 8) | u32::from(*byte));
        }
        Self(words)
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, high, ..] = self.0;
        state.write_u64((u64::from(high) << 32) | u64::from(low));
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
pub struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Few distinct words, as small numbers.
#[derive(Clone, Default)]
pub(crate) struct Words {
    index: HashMap<String, u16>,
    names: Vec<String>,
    spaces: Vec<Space>,
}

impl Words {
    pub(crate) fn intern(&mut self, word: &str, error: GraphError) -> Result<u16, GraphError> {
        if let Some(index) = self.get(word) {
            return Ok(index);
        }
        let index = u16::try_from(self.names.len()).map_err(|_| error)?;
        if index == u16::MAX {
            return Err(error);
        }
        self.names.push(word.to_owned());
        self.spaces.push(Space::new(word));
        self.index.insert(word.to_owned(), index);
        Ok(index)
    }

    pub(crate) fn get(&self, word: &str) -> Option<u16> {
        // To compare a few words is faster than to hash one.
        let first = self.names.iter().take(8).position(|name| name == word);
        match first.map(u16::try_from) {
            Some(Ok(index)) => Some(index),
            _ => self.index.get(word).copied(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The words in the order of their indices.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The space of a word by its index.
    pub(crate) fn space(&self, index: u16) -> Space {
        self.spaces
            .get(usize::from(index))
            .copied()
            .unwrap_or(Space([0; 16]))
    }

    pub(crate) fn name(&self, index: u16) -> &str {
        self.names
            .get(usize::from(index))
            .map_or("", String::as_str)
    }

    /// For each index the place of its word in alphabetical order.
    pub(crate) fn ranks(&self) -> Vec<u16> {
        let mut sorted: Vec<u16> = (0_u16..).take(self.names.len()).collect();
        sorted.sort_unstable_by(|a, b| self.name(*a).cmp(self.name(*b)));
        let mut ranks = vec![0; sorted.len()];
        for (rank, index) in (0_u16..).zip(sorted) {
            ranks[usize::from(index)] = rank;
        }
        ranks
    }
}

/// An identifier without its text. All of it is within one line of the cache, since a row looks at most
/// of it.
pub(crate) struct Node {
    /// Earliest and latest observation; `first > last` if none has a time.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Union-find.
    pub(crate) parent: u32,
    /// Index of its previous canonical id.
    pub(crate) previous: u32,
    /// Index of its type.
    kind: u16,
    /// Whether any row of this run has it.
    pub(crate) observed: bool,
}

/// All identifiers ever named, by dense index.
#[derive(Default)]
pub(crate) struct Nodes {
    index: Table,
    pub(crate) types: Words,
    /// The values, one behind the other.
    text: String,
    /// Where each value ends in `text`.
    ends: Vec<u64>,
    pub(crate) all: Vec<Node>,
}

impl Nodes {
    pub(crate) fn intern(&mut self, id_type: &str, value: &str) -> Result<u32, GraphError> {
        let kind = self.types.intern(id_type, GraphError::TooManyIdTypes)?;
        let key = Fingerprint::new(self.types.space(kind), value);
        self.intern_key(kind, &key, || value)
    }

    /// The node of an identifier with this fingerprint; its value is asked for only if it is new.
    pub(crate) fn intern_key<'v>(
        &mut self,
        kind: u16,
        key: &Fingerprint,
        value: impl FnOnce() -> &'v str,
    ) -> Result<u32, GraphError> {
        let next = match u32::try_from(self.ends.len()) {
            Ok(next) if next != NONE => next,
            _ => return self.find(key).ok_or(GraphError::TooManyIdentifiers),
        };
        let node = self.index.get_or_insert(key, next);
        if node == next {
            self.text.push_str(value());
            self.ends.push(self.text.len() as u64);
            self.all.push(Node {
                first: i64::MAX,
                last: i64::MIN,
                parent: node,
                previous: NONE,
                kind,
                observed: false,
            });
        }
        Ok(node)
    }

    pub(crate) fn find_text(&self, id_type: &str, value: &str) -> Option<u32> {
        self.find(&self.fingerprint(id_type, value)?)
    }

    /// Fingerprint of an identifier, if its type is known.
    pub(crate) fn fingerprint(&self, id_type: &str, value: &str) -> Option<Fingerprint> {
        let kind = self.types.get(id_type)?;
        Some(Fingerprint::new(self.types.space(kind), value))
    }

    pub(crate) fn fingerprint_of(&self, node: u32) -> Fingerprint {
        Fingerprint::new(self.types.space(self.kind(node)), self.value(node))
    }

    /// Fingerprint of an identifier of whatever type.
    pub(crate) fn any_fingerprint(&self, id_type: &str, value: &str) -> Fingerprint {
        self.fingerprint(id_type, value)
            .unwrap_or_else(|| Fingerprint::new(Space::new(id_type), value))
    }

    /// Brings the slot of an identifier near; what it returns means nothing.
    pub(crate) fn glance(&self, identifier: &Fingerprint) -> u32 {
        self.index.glance(identifier)
    }

    pub(crate) fn find(&self, identifier: &Fingerprint) -> Option<u32> {
        self.index.get(identifier)
    }

    pub(crate) fn len(&self) -> u32 {
        // `intern` keeps the number below 2³².
        u32::try_from(self.ends.len()).unwrap_or(NONE)
    }

    pub(crate) fn observed(&self, node: u32) -> bool {
        self.all[node as usize].observed
    }

    pub(crate) fn id_type(&self, node: u32) -> &str {
        self.types.name(self.all[node as usize].kind)
    }

    pub(crate) fn type_name(&self, kind: u16) -> &str {
        self.types.name(kind)
    }

    pub(crate) fn kind(&self, node: u32) -> u16 {
        self.all[node as usize].kind
    }

    pub(crate) fn type_ranks(&self) -> Vec<u16> {
        self.types.ranks()
    }

    pub(crate) fn value(&self, node: u32) -> &str {
        let at = node as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let range = usize::try_from(start).unwrap_or(usize::MAX)
            ..usize::try_from(self.ends[at]).unwrap_or(usize::MAX);
        self.text.get(range).unwrap_or_default()
    }

    pub(crate) fn first_seen(&self, node: u32) -> Option<i64> {
        let at = node as usize;
        (self.all[at].first <= self.all[at].last).then(|| self.all[at].first)
    }

    pub(crate) fn last_seen(&self, node: u32) -> Option<i64> {
        let at = node as usize;
        (self.all[at].first <= self.all[at].last).then(|| self.all[at].last)
    }

    /// Earliest observation, `i64::MAX` if there is none with a time.
    pub(crate) fn earliest(&self, node: u32) -> i64 {
        self.all[node as usize].first
    }

    /// Root of the node's tree.
    pub(crate) fn root_above(&self, mut node: u32) -> u32 {
        while self.all[node as usize].parent != node {
            node = self.all[node as usize].parent;
        }
        node
    }

    /// Root of the node's tree; halves the path.
    pub(crate) fn root(&mut self, mut node: u32) -> u32 {
        loop {
            let parent = self.all[node as usize].parent;
            if parent == node {
                return node;
            }
            let above = self.all[parent as usize].parent;
            self.all[node as usize].parent = above;
            node = above;
        }
    }

    /// Lets every node point to its root.
    pub(crate) fn flatten(&mut self) {
        for node in 0..self.len() {
            // Parents have smaller indices, so the parent is flat already.
            let parent = self.all[node as usize].parent;
            self.all[node as usize].parent = self.all[parent as usize].parent;
        }
    }

    /// Root of a node, after [`Nodes::flatten`].
    pub(crate) fn root_of(&self, node: u32) -> u32 {
        self.all[node as usize].parent
    }

    /// For each type its place in the order of strength: those named by rules, which have the lowest
    /// indices, then the others by name.
    pub(crate) fn strengths(&self, named: usize) -> Vec<u16> {
        let mut kinds: Vec<u16> = (0_u16..).take(self.types.len()).collect();
        let key = |kind: u16| {
            let at = usize::from(kind);
            (
                at.min(named),
                if at < named {
                    ""
                } else {
                    self.types.name(kind)
                },
            )
        };
        kinds.sort_by(|a, b| key(*a).cmp(&key(*b)));
        let mut strengths = vec![0; kinds.len()];
        for (place, kind) in (0_u16..).zip(kinds) {
            strengths[usize::from(kind)] = place;
        }
        strengths
    }

    /// Links the larger root under the smaller one.
    pub(crate) fn union(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        self.all[high as usize].parent = low;
    }
}
