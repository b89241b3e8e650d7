//! Rows that come on top of what is published, without the rows behind it.
//!
//! Of people whose rows were all believed, what is published says everything that a resolution needs of
//! these rows: who hangs together, and when each identifier was seen first and last. So rows that come
//! later can be resolved with the published identifiers of the people that they touch. Whether anybody
//! breaks a rule then, [`GraphBuilder::check`] says; the answer to that needs all rows.

use crate::canonical::{CanonicalId, CanonicalIds};
use crate::graph::{GraphBuilder, GraphError, Records};
use crate::nodes::Fingerprint;
use crate::resolution::{Identifier, ResolveOptions, mint};

impl GraphBuilder {
    /// Whether more hinges on the rows than what is published of them says: rows are or may be refused
    /// for something else than the looks of a value, or come from a linkage or a decision.
    pub(crate) fn hinges_on_rows(&self) -> bool {
        let mut types = self.rules.types.iter();
        self.linked
            || !self.excludes.is_empty()
            || !self.known_hubs.is_empty()
            || !self.judgement.groups.is_empty()
            || types.any(|rules| rules.max_records.is_some())
    }

    /// Every identifier that was named so far, by type and value. Those that are named later come behind.
    pub fn named(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let nodes = 0..self.nodes.all.len();
        nodes.map(|node| match u32::try_from(node) {
            Ok(node) => (self.nodes.id_type(node), self.nodes.value(node)),
            Err(_) => ("", ""),
        })
    }

    /// Notes that an identifier is published, by its place in [`GraphBuilder::named`]. Whether a row that
    /// was taken has it.
    pub fn meets(&mut self, place: usize) -> bool {
        match u32::try_from(place) {
            Ok(node) if node < self.nodes.len() => {
                let at = node as usize;
                if self.published.len() <= at {
                    self.published.resize(self.nodes.all.len(), false);
                }
                if let Some(published) = self.published.get_mut(at) {
                    *published = true;
                }
                self.nodes.observed(node)
            }
            _ => false,
        }
    }

    fn is_published(&self, node: u32) -> bool {
        self.published.get(node as usize).copied().unwrap_or(false)
    }

    /// Whether a rule weighs the identifiers of a person against each other. If not, only those have to be
    /// known whom rows join: see [`GraphBuilder::joined`].
    #[must_use]
    pub fn weighs_identifiers(&self) -> bool {
        let mut types = self.rules.types.iter();
        self.rules.max_identifiers.is_some()
            || types.any(|rules| rules.limit.is_some() || rules.one.is_some())
    }

    /// The published people who are one person with another one now. A member of each who is touched must be
    /// given before, and whose the records are.
    #[must_use]
    pub fn joined(&self) -> CanonicalIds {
        let members = self.members.iter();
        let mut roots: Vec<(u32, CanonicalId)> = members
            .map(|(id, node)| (self.nodes.root_above(*node), *id))
            .collect();
        roots.sort_unstable();
        roots
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|people| people.len() > 1)
            .flat_map(|people| people.iter().map(|(_, id)| *id))
            .collect()
    }

    /// Whether a row that was taken has this identifier, and [`GraphBuilder::meets`] was not told of it:
    /// it is not published.
    #[must_use]
    pub fn is_new(&self, id_type: &str, id_value: &str) -> bool {
        let node = self.nodes.find_text(id_type, id_value);
        node.is_some_and(|node| !self.is_published(node) && self.nodes.observed(node))
    }

    /// Whether a row that was taken is of this record.
    #[must_use]
    pub fn meets_record(&self, source: &str, record_id: &str) -> bool {
        let (Some(record), Records::Anywhere(records)) =
            (self.known_record(source, record_id), &self.records)
        else {
            return false;
        };
        records.get(&record).is_some()
    }

    fn known_record(&self, source: &str, record_id: &str) -> Option<Fingerprint> {
        let space = self.sources.space(self.sources.get(source)?);
        Some(Fingerprint::new(space, record_id))
    }

    /// The ids that a component of new identifiers would get. Must be asked after
    /// [`GraphBuilder::meets`] was for all published identifiers. If one of these is in use, or was,
    /// the next choice would have to be known to be free as well.
    #[must_use]
    pub fn first_choices(&self, options: &ResolveOptions<'_>) -> CanonicalIds {
        (0..self.nodes.len())
            .filter(|node| !self.is_published(*node))
            .map(|node| mint(options, &self.nodes, node, 0))
            .collect()
    }

    /// Takes a published identifier of somebody whom the rows touch: it belongs with all others that
    /// have its canonical id. All must be given of those who are [`GraphBuilder::joined`], and of everybody
    /// if a rule [weighs identifiers](GraphBuilder::weighs_identifiers); of others those that the rows
    /// have, or any one. It does no harm to give one twice.
    ///
    /// # Errors
    /// As [`GraphBuilder::previous`].
    pub fn member(&mut self, member: &Identifier<'_>) -> Result<(), GraphError> {
        let node = self.nodes.intern(member.id_type, member.id_value)?;
        self.member_of(node, member)
    }

    /// As [`GraphBuilder::member`], of an identifier whose place in [`GraphBuilder::named`] is known.
    ///
    /// # Errors
    /// As [`GraphBuilder::member`].
    pub fn member_at(&mut self, place: usize, member: &Identifier<'_>) -> Result<(), GraphError> {
        match u32::try_from(place) {
            Ok(node) if node < self.nodes.len() => self.member_of(node, member),
            _ => self.member(member),
        }
    }

    fn member_of(&mut self, node: u32, member: &Identifier<'_>) -> Result<(), GraphError> {
        let Identifier {
            canonical_id,
            minted_at,
            first_seen,
            last_seen,
            ..
        } = *member;
        self.previous_of(node, canonical_id, minted_at)?;
        self.observed(node, first_seen);
        self.observed(node, last_seen);
        let first = *self.members.entry(canonical_id).or_insert(node);
        self.nodes.union(first, node);
        Ok(())
    }

    /// Says whose a record is that is published and has new rows. The members must be given before;
    /// a record of nobody among them is left alone.
    ///
    /// # Errors
    /// If there are more sources than indices.
    pub fn record_of(
        &mut self,
        source: &str,
        record_id: &str,
        canonical_id: CanonicalId,
    ) -> Result<(), GraphError> {
        let Some(member) = self.members.get(&canonical_id).copied() else {
            return Ok(());
        };
        let source = self.sources.intern(source, GraphError::TooManySources)?;
        let record = Fingerprint::new(self.sources.space(source), record_id);
        let representative = self.representative(record, member);
        self.nodes.union(representative, member);
        Ok(())
    }
}
