//! Rows in, a graph of identifiers out.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use crate::blocked::BlockedValues;
use crate::canonical::{CanonicalId, CanonicalIds};
use crate::check::Checked;
use crate::former::Formers;
use crate::index::Index;
use crate::judgement::Judgement;
use crate::nodes::{AlreadyHashed, Fingerprint, NONE, Nodes, Words};
use crate::observation::{LinkKind, Observation, RowOutcome};
use crate::resolution::{Resolution, ResolveOptions};
use crate::rules::{RejectionRule, Rules, RulesError};
use crate::table::Table;

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

/// How records are told apart.
pub(crate) enum Records {
    /// Rows of a record may lie anywhere: record → its first accepted identifier.
    Anywhere(Table),
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
    pub(crate) rules: Rules,
    pub(crate) nodes: Nodes,
    pub(crate) sources: Words,
    pub(crate) records: Records,
    pub(crate) old: Vec<OldId>,
    old_index: HashMap<CanonicalId, u32, BuildHasherDefault<AlreadyHashed>>,
    pub(crate) retired: CanonicalIds,
    pub(crate) formers: Formers,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) ignored: u64,
    /// Rows of each node, if a type has hubs: at least as many as records.
    rows: Vec<u32>,
    /// Which record forbids which node to be with its others.
    pub(crate) excludes: Vec<(Fingerprint, u32)>,
    pub(crate) judgement: Judgement,
    /// Hubs of an index: nobody's, whatever the rows at hand say.
    pub(crate) known_hubs: HashSet<Fingerprint>,
    /// Of each published person given by [`GraphBuilder::member`] the first identifier.
    pub(crate) members: HashMap<CanonicalId, u32, BuildHasherDefault<AlreadyHashed>>,
    /// Whether a row counts that is no plain row of a record.
    pub(crate) linked: bool,
    /// Nodes that are published.
    pub(crate) published: Vec<bool>,
    /// The record of the row before, by source and id: rows of a record are often neighbours.
    recent: Option<(u16, String, Fingerprint)>,
}

impl GraphBuilder {
    /// A graph without rows, for rows in any order.
    #[must_use]
    pub fn new(blocked: BlockedValues) -> Self {
        Self::with_records(blocked, Records::Anywhere(Table::default()))
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
            rules: Rules::default(),
            nodes: Nodes::default(),
            sources: Words::default(),
            records,
            old: Vec::new(),
            old_index: HashMap::default(),
            retired: CanonicalIds::default(),
            formers: Formers::default(),
            accepted: 0,
            rejected: 0,
            ignored: 0,
            rows: Vec::new(),
            excludes: Vec::new(),
            judgement: Judgement::default(),
            known_hubs: HashSet::new(),
            members: HashMap::default(),
            linked: false,
            published: Vec::new(),
            recent: None,
        }
    }

    /// The graph under rules. Blocked values, patterns and lengths hold from the first row on; limits
    /// and the like are enforced by [`GraphBuilder::check`], once all rows are in.
    ///
    /// # Errors
    /// If the rules make no sense, or rows came before them.
    pub fn with_rules(mut self, rules: Rules) -> Result<Self, RulesError> {
        rules.validate()?;
        if self.nodes.len() > 0 || self.nodes.types.len() > 0 {
            return Err(RulesError::AfterRows);
        }
        for of_type in &rules.types {
            // So the index of a type named here is its place in the order of strength.
            self.nodes
                .types
                .intern(&of_type.id_type, GraphError::TooManyIdTypes)
                .map_err(|_| RulesError::TooManyTypes)?;
            for value in &of_type.blocked_values {
                self.blocked.block(Some(&of_type.id_type), value);
            }
        }
        self.rules = rules;
        Ok(self)
    }

    /// The graph of some groups of an index. It gets the rows that [`Touched::contains`] asks for and
    /// no others, and takes the hubs among all rows from the index. So it also needs to be told, by
    /// [`GraphBuilder::retire`], which canonical ids are in use among the rest.
    ///
    /// [`Touched::contains`]: crate::Touched::contains
    #[must_use]
    pub fn part_of(mut self, index: &Index) -> Self {
        self.known_hubs = index.hubs().collect();
        self
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
        if let Some(rule) = self.looks(id_type, id_value) {
            self.rejected += 1;
            return Ok(RowOutcome::Rejected(rule));
        }
        if row.link != LinkKind::Exclude
            && is_known_hub(&self.known_hubs, &self.nodes, id_type, id_value)
        {
            self.rejected += 1;
            return Ok(RowOutcome::Rejected(RejectionRule::Hub));
        }
        let node = self.nodes.intern(id_type, id_value)?;
        if row.link == LinkKind::Exclude {
            let record = self.record(source, record_id)?;
            self.excludes.push((record, node));
            self.rejected += 1;
            return Ok(RowOutcome::Rejected(RejectionRule::Excluded));
        }
        self.linked |= row.link != LinkKind::None;
        self.observed(node, row.observed_at);
        let record = self.record(source, record_id)?;
        let representative = self.representative(record, node);
        self.nodes.union(representative, node);
        self.accepted += 1;
        Ok(RowOutcome::Accepted)
    }

    /// Notes that a row has the node.
    pub(crate) fn observed(&mut self, node: u32, at: Option<i64>) {
        self.count_row(node);
        let seen = &mut self.nodes.all[node as usize];
        seen.observed = true;
        if let Some(time) = at {
            seen.first = seen.first.min(time);
            seen.last = seen.last.max(time);
        }
    }

    /// The first node of a record, which is `node` if it has none yet.
    pub(crate) fn representative(&mut self, record: Fingerprint, node: u32) -> u32 {
        match &mut self.records {
            Records::Anywhere(records) => records.get_or_insert(&record, node),
            Records::Adjacent(Some((current, representative))) if *current == record => {
                *representative
            }
            Records::Adjacent(current) => {
                *current = Some((record, node));
                node
            }
        }
    }

    /// Brings the slot of a record near; what it returns means nothing.
    pub(crate) fn glance(&self, record: &Fingerprint) -> u32 {
        match &self.records {
            Records::Anywhere(records) => records.glance(record),
            Records::Adjacent(_) => 0,
        }
    }

    fn looks(&self, id_type: &str, id_value: &str) -> Option<RejectionRule> {
        looks(&self.blocked, &self.rules, &self.nodes, id_type, id_value)
    }

    fn record(&mut self, source: &str, record_id: &str) -> Result<Fingerprint, GraphError> {
        let source = self.sources.intern(source, GraphError::TooManySources)?;
        if let Some((same, id, record)) = &self.recent
            && *same == source
            && id == record_id
        {
            return Ok(*record);
        }
        let record = Fingerprint::new(self.sources.space(source), record_id);
        let (recent, id, fingerprint) = self
            .recent
            .get_or_insert_with(|| (source, String::new(), record));
        *recent = source;
        id.clear();
        id.push_str(record_id);
        *fingerprint = record;
        Ok(record)
    }

    fn count_row(&mut self, node: u32) {
        let of_type = self.rules.types.get(usize::from(self.nodes.kind(node)));
        if of_type.is_some_and(|rules| rules.max_records.is_some()) {
            let at = node as usize;
            if self.rows.len() <= at {
                self.rows.resize(at + 1, 0);
            }
            self.rows[at] = self.rows[at].saturating_add(1);
        }
    }

    /// The records, which only further rows and the writing of records need; none if the rows of a
    /// record follow each other.
    pub(crate) fn take_records(&mut self) -> Table {
        match std::mem::replace(&mut self.records, Records::Adjacent(None)) {
            Records::Anywhere(records) => records,
            Records::Adjacent(_) => Table::default(),
        }
    }

    /// Rows of a node whose type has hubs.
    pub(crate) fn rows(&self, node: u32) -> u32 {
        self.rows.get(node as usize).copied().unwrap_or(0)
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
        let node = self.nodes.intern(id_type, id_value)?;
        self.previous_of(node, canonical_id, minted_at)
    }

    /// The same for a node.
    pub(crate) fn previous_of(
        &mut self,
        node: u32,
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
        let slot = &mut self.nodes.all[node as usize].previous;
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

    /// Takes an id that an identifier had until `until` and then had no more, so that an undone merge gives
    /// it back. `until` is any number that grows from run to run. All of an identifier's former ids are to be given, in any
    /// order. In a [`GraphBuilder::part_of`] an index, an id that is in use among the rest must not be
    /// given.
    ///
    /// # Errors
    /// If there are too many identifiers.
    pub fn former(
        &mut self,
        id_type: &str,
        id_value: &str,
        canonical_id: CanonicalId,
        until: i64,
    ) -> Result<(), GraphError> {
        let node = self.nodes.intern(id_type, id_value)?;
        if self.formers.add(node, canonical_id, until) {
            Ok(())
        } else {
            Err(GraphError::TooManyIdentifiers)
        }
    }

    /// Finds the people who break a rule. With none, the graph is ready; else all rows are needed once
    /// more, for these people's sake.
    ///
    /// The answer depends on rows only, so the previous assignment may be given before or after.
    #[must_use]
    pub fn check(self) -> Checked {
        crate::check::check(self)
    }

    /// Joins, matches the components with the previous ids, and mints the missing ids. Limits, hubs,
    /// exclusions and the like hold only if [`GraphBuilder::check`] was asked before.
    #[must_use]
    pub fn resolve(self, options: &ResolveOptions<'_>) -> Resolution {
        Resolution::new(self, options)
    }
}

/// Whether an index says that a value is a hub.
pub(crate) fn is_known_hub(
    hubs: &HashSet<Fingerprint>,
    nodes: &Nodes,
    id_type: &str,
    id_value: &str,
) -> bool {
    !hubs.is_empty() && hubs.contains(&nodes.any_fingerprint(id_type, id_value))
}

/// The rule that refuses a value by its looks.
pub(crate) fn looks(
    blocked: &BlockedValues,
    rules: &Rules,
    nodes: &Nodes,
    id_type: &str,
    id_value: &str,
) -> Option<RejectionRule> {
    blocked.rejects(id_type, id_value).or_else(|| {
        if rules.types.is_empty() {
            return None;
        }
        let kind = nodes.types.get(id_type)?;
        rules.types.get(usize::from(kind))?.rejects(id_value)
    })
}

/// The text, unless it is only white space.
pub(crate) fn not_blank(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}
