//! Rows in, a graph of identifiers out.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::blocked::{BlockedValues, RejectionRule};
use crate::canonical::CanonicalId;
use crate::resolution::{Resolution, ResolveOptions};

/// Stands for "none" among dense indices.
pub(crate) const NONE: u32 = u32::MAX;

/// One row: a record of a source carried an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// Name of the source; record ids are unique within one.
    pub source: Option<&'a str>,
    /// The record.
    pub record_id: Option<&'a str>,
    /// Type of the identifier.
    pub id_type: Option<&'a str>,
    /// Value of the identifier, compared byte by byte.
    pub id_value: Option<&'a str>,
    /// When it was seen: microseconds since 1970 UTC.
    pub observed_at: Option<i64>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// The record now carries the identifier.
    Accepted,
    /// The identifier was refused.
    Rejected(RejectionRule),
    /// The row names no source, record, type or value (null or blank).
    Ignored,
}

/// Why rows could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Dense indices have 32 bits.
    #[error("an identity has more than 4,294,967,294 distinct identifiers")]
    TooManyIdentifiers,
    /// Types are few by nature; many are a column in the wrong place.
    #[error("an identity has more than 65,535 distinct values of `id_type`")]
    TooManyIdTypes,
    /// Sources are few by nature; many are a column in the wrong place.
    #[error("an identity has more than 65,535 distinct values of `source`")]
    TooManySources,
    /// The previous assignment is not a function.
    #[error("an identifier has two canonical ids in the previous assignment: `{0}` and `{1}`")]
    PreviousConflict(CanonicalId, CanonicalId),
}

/// 128 bits of BLAKE3 over a key. Two of a billion keys are equal with a probability below 10⁻²⁰, so
/// the text behind it need not be compared, nor kept for records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u32; 4]);

impl Fingerprint {
    fn new(scratch: &mut Vec<u8>, space: u16, text: &str) -> Self {
        scratch.clear();
        scratch.extend_from_slice(&space.to_le_bytes());
        scratch.extend_from_slice(text.as_bytes());
        let hash = blake3::hash(scratch);
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
pub(crate) struct AlreadyHashed(u64);

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

type FingerprintMap = HashMap<Fingerprint, u32, BuildHasherDefault<AlreadyHashed>>;

/// Few distinct words, as small numbers.
#[derive(Default)]
pub(crate) struct Words {
    index: HashMap<String, u16>,
    names: Vec<String>,
}

impl Words {
    fn intern(&mut self, word: &str, error: GraphError) -> Result<u16, GraphError> {
        if let Some(index) = self.index.get(word) {
            return Ok(*index);
        }
        let index = u16::try_from(self.names.len()).map_err(|_| error)?;
        if index == u16::MAX {
            return Err(error);
        }
        self.names.push(word.to_owned());
        self.index.insert(word.to_owned(), index);
        Ok(index)
    }

    fn get(&self, word: &str) -> Option<u16> {
        self.index.get(word).copied()
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

/// All identifiers ever named, by dense index: one column per attribute.
#[derive(Default)]
pub(crate) struct Nodes {
    index: FingerprintMap,
    types: Words,
    /// The values, one behind the other.
    text: String,
    /// Where each value ends in `text`.
    ends: Vec<u64>,
    kind: Vec<u16>,
    /// Earliest and latest observation; `first > last` if none has a time.
    first: Vec<i64>,
    last: Vec<i64>,
    /// Whether any row of this run has it.
    observed: Vec<bool>,
    /// Index of its previous canonical id.
    pub(crate) previous: Vec<u32>,
    /// Union-find.
    parent: Vec<u32>,
}

impl Nodes {
    fn intern(
        &mut self,
        scratch: &mut Vec<u8>,
        id_type: &str,
        value: &str,
    ) -> Result<u32, GraphError> {
        let kind = self.types.intern(id_type, GraphError::TooManyIdTypes)?;
        match self.index.entry(Fingerprint::new(scratch, kind, value)) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(entry) => {
                let node =
                    u32::try_from(self.ends.len()).map_err(|_| GraphError::TooManyIdentifiers)?;
                if node == NONE {
                    return Err(GraphError::TooManyIdentifiers);
                }
                entry.insert(node);
                self.text.push_str(value);
                self.ends.push(self.text.len() as u64);
                self.kind.push(kind);
                self.first.push(i64::MAX);
                self.last.push(i64::MIN);
                self.observed.push(false);
                self.previous.push(NONE);
                self.parent.push(node);
                Ok(node)
            }
        }
    }

    pub(crate) fn find_text(&self, id_type: &str, value: &str) -> Option<u32> {
        let kind = self.types.get(id_type)?;
        self.index
            .get(&Fingerprint::new(&mut Vec::new(), kind, value))
            .copied()
    }

    pub(crate) fn len(&self) -> u32 {
        // `intern` keeps the number below 2³².
        u32::try_from(self.ends.len()).unwrap_or(NONE)
    }

    pub(crate) fn observed(&self, node: u32) -> bool {
        self.observed[node as usize]
    }

    pub(crate) fn id_type(&self, node: u32) -> &str {
        self.types.name(self.kind[node as usize])
    }

    pub(crate) fn kind(&self, node: u32) -> u16 {
        self.kind[node as usize]
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
        (self.first[at] <= self.last[at]).then(|| self.first[at])
    }

    pub(crate) fn last_seen(&self, node: u32) -> Option<i64> {
        let at = node as usize;
        (self.first[at] <= self.last[at]).then(|| self.last[at])
    }

    /// Earliest observation, `i64::MAX` if there is none with a time.
    pub(crate) fn earliest(&self, node: u32) -> i64 {
        self.first[node as usize]
    }

    /// Root of the node's tree; halves the path.
    pub(crate) fn root(&mut self, mut node: u32) -> u32 {
        loop {
            let parent = self.parent[node as usize];
            if parent == node {
                return node;
            }
            let above = self.parent[parent as usize];
            self.parent[node as usize] = above;
            node = above;
        }
    }

    /// Links the larger root under the smaller one.
    fn union(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        self.parent[high as usize] = low;
    }
}

/// How records are told apart.
enum Records {
    /// Rows of a record may lie anywhere: record → its first accepted identifier.
    Anywhere(FingerprintMap),
    /// Rows of a record follow each other.
    Adjacent(Option<(Fingerprint, u32)>),
}

/// An id of the previous assignment.
#[derive(Clone, Copy)]
pub(crate) struct OldId {
    pub(crate) id: CanonicalId,
    pub(crate) minted_at: i64,
}

/// Takes rows in any order and joins the identifiers that share a record.
///
/// A record is represented by the first of its identifiers, so a row costs two hash look-ups and at
/// most one union, and nothing is stored per row.
pub struct GraphBuilder {
    pub(crate) blocked: BlockedValues,
    pub(crate) nodes: Nodes,
    sources: Words,
    records: Records,
    pub(crate) old: Vec<OldId>,
    old_index: HashMap<CanonicalId, u32>,
    pub(crate) retired: HashSet<CanonicalId>,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) ignored: u64,
    scratch: Vec<u8>,
}

impl GraphBuilder {
    /// A graph without rows, for rows in any order.
    #[must_use]
    pub fn new(blocked: BlockedValues) -> Self {
        Self::with_records(blocked, Records::Anywhere(FingerprintMap::default()))
    }

    /// A graph whose caller promises that the rows of one `(source, record_id)` follow each other, as
    /// they do in a stream sorted by them: memory then grows with identifiers only. A record whose
    /// rows are apart all the same counts as several.
    #[must_use]
    pub fn grouped_by_record(blocked: BlockedValues) -> Self {
        Self::with_records(blocked, Records::Adjacent(None))
    }

    fn with_records(blocked: BlockedValues, records: Records) -> Self {
        Self {
            blocked,
            nodes: Nodes::default(),
            sources: Words::default(),
            records,
            old: Vec::new(),
            old_index: HashMap::new(),
            retired: HashSet::new(),
            accepted: 0,
            rejected: 0,
            ignored: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes one row.
    ///
    /// # Errors
    /// If there are more distinct identifiers, types or sources than indices.
    pub fn observe(&mut self, row: &Observation<'_>) -> Result<RowOutcome, GraphError> {
        let (Some(source), Some(record_id), Some(id_type), Some(id_value)) = (
            row.source,
            row.record_id,
            not_blank(row.id_type),
            not_blank(row.id_value),
        ) else {
            self.ignored += 1;
            return Ok(RowOutcome::Ignored);
        };
        if let Some(rule) = self.blocked.rejects(id_type, id_value) {
            self.rejected += 1;
            return Ok(RowOutcome::Rejected(rule));
        }
        let node = self.nodes.intern(&mut self.scratch, id_type, id_value)?;
        let at = node as usize;
        self.nodes.observed[at] = true;
        if let Some(time) = row.observed_at {
            self.nodes.first[at] = self.nodes.first[at].min(time);
            self.nodes.last[at] = self.nodes.last[at].max(time);
        }
        let source = self.sources.intern(source, GraphError::TooManySources)?;
        let record = Fingerprint::new(&mut self.scratch, source, record_id);
        let representative = match &mut self.records {
            Records::Anywhere(records) => *records.entry(record).or_insert(node),
            Records::Adjacent(Some((current, representative))) if *current == record => {
                *representative
            }
            Records::Adjacent(current) => {
                *current = Some((record, node));
                node
            }
        };
        self.nodes.union(representative, node);
        self.accepted += 1;
        Ok(RowOutcome::Accepted)
    }

    /// Takes one identifier of the assignment that was published before, with its canonical id and
    /// the time that id was minted (microseconds since 1970 UTC).
    ///
    /// # Errors
    /// If the identifier was given before with another id, or there are too many.
    pub fn previous(
        &mut self,
        id_type: &str,
        id_value: &str,
        canonical_id: CanonicalId,
        minted_at: i64,
    ) -> Result<(), GraphError> {
        let next = u32::try_from(self.old.len()).map_err(|_| GraphError::TooManyIdentifiers)?;
        let old = *self.old_index.entry(canonical_id).or_insert(next);
        if old == next {
            self.old.push(OldId {
                id: canonical_id,
                minted_at,
            });
        } else if let Some(known) = self.old.get_mut(old as usize) {
            known.minted_at = known.minted_at.min(minted_at);
        }
        let node = self.nodes.intern(&mut self.scratch, id_type, id_value)?;
        let slot = &mut self.nodes.previous[node as usize];
        if *slot != NONE && *slot != old {
            let other = self
                .old
                .get(*slot as usize)
                .map_or(canonical_id, |old| old.id);
            return Err(GraphError::PreviousConflict(
                other.min(canonical_id),
                other.max(canonical_id),
            ));
        }
        *slot = old;
        Ok(())
    }

    /// Takes an id that was in use once and is no more, so that it is never minted again.
    pub fn retire(&mut self, canonical_id: CanonicalId) {
        self.retired.insert(canonical_id);
    }

    /// Joins, matches the components with the previous ids, and mints the missing ids.
    #[must_use]
    pub fn resolve(self, options: &ResolveOptions<'_>) -> Resolution {
        Resolution::new(self, options)
    }
}

/// The text, unless it is only white space.
pub(crate) fn not_blank(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}
