//! The graph with its canonical ids.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ops::Range;
use std::thread;

use crate::blocked::BlockedValues;
use crate::canonical::{CanonicalId, CanonicalIds};
use crate::change::{Change, Diff, Move};
use crate::graph::{GraphBuilder, OldId, is_known_hub, looks, not_blank};
use crate::index::{Entry, Index};
use crate::judgement::{Alarm, AlarmReason, Judgement, Rejection};
use crate::matching::keep_ids;
use crate::nodes::{Fingerprint, NONE, Nodes, Words};
use crate::observation::{LinkKind, Observation};
use crate::order::in_order;
use crate::replay::record;
use crate::rules::{RejectionRule, Rules};
use crate::table::Table;
use crate::transition::{changes, overlaps};

/// What a resolution needs to know beside the rows.
#[derive(Clone, Copy, Debug)]
pub struct ResolveOptions<'a> {
    /// The entity, e.g. `person`. Two entities never share an id.
    pub entity: &'a str,
    /// Mixed into new ids. Without a secret one, whoever knows an e-mail address can compute the id
    /// that was minted for it. Ids that exist already stay when it changes.
    pub salt: &'a str,
    /// The clock of the run, microseconds since 1970 UTC: when new ids are minted.
    pub as_of: i64,
}

/// A row of the identity relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identifier<'a> {
    /// Its type.
    pub id_type: &'a str,
    /// Its value.
    pub id_value: &'a str,
    /// Whom it belongs to.
    pub canonical_id: CanonicalId,
    /// Since when the canonical id is in use: when it was minted, or came back; microseconds since 1970
    /// UTC. To be stored and given back to [`GraphBuilder::previous`].
    pub minted_at: i64,
    /// Earliest observation, microseconds since 1970 UTC; none if no row has a time.
    pub first_seen: Option<i64>,
    /// Latest observation.
    pub last_seen: Option<i64>,
}

/// What a row means, now that everything is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The record belongs to this id, and so does the identifier.
    Accepted(CanonicalId),
    /// The edge was refused.
    Rejected(RejectionRule),
    /// The row names nothing, or an identifier that was not observed.
    Ignored,
}

/// Counters of a resolution. `rows = accepted + rejected + ignored`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows given.
    pub rows: u64,
    /// Rows whose edge is part of the graph.
    pub accepted: u64,
    /// Rows whose identifier was refused.
    pub rejected: u64,
    /// Rows without source, record, type or value.
    pub ignored: u64,
    /// Distinct identifiers.
    pub identifiers: u64,
    /// Canonical ids in use.
    pub canonical_ids: u64,
    /// Identifiers of the largest component.
    pub largest: u64,
}

/// The result: every identifier with its canonical id, and what changed since the previous one.
pub struct Resolution {
    pub(crate) nodes: Nodes,
    pub(crate) blocked: BlockedValues,
    pub(crate) rules: Rules,
    pub(crate) sources: Words,
    pub(crate) judgement: Judgement,
    pub(crate) known_hubs: HashSet<Fingerprint>,
    /// The records of all rows that count.
    pub(crate) records: Table,
    old: Vec<OldId>,
    /// Observed nodes by (type, value).
    pub(crate) order: Vec<u32>,
    /// Component of each node; `NONE` if it was not observed.
    pub(crate) component: Vec<u32>,
    /// Canonical id and time of minting of each component.
    pub(crate) ids: Vec<(CanonicalId, i64)>,
    changes: Vec<Change>,
    summary: Summary,
    hinges_on_rows: bool,
}

impl Resolution {
    pub(crate) fn new(builder: GraphBuilder, options: &ResolveOptions<'_>) -> Self {
        let mut builder = builder;
        let records = builder.take_records();
        let hinges_on_rows = builder.hinges_on_rows();
        let GraphBuilder {
            blocked,
            rules,
            mut nodes,
            sources,
            judgement,
            known_hubs,
            old,
            retired,
            formers,
            accepted,
            rejected,
            ignored,
            ..
        } = builder;
        let order = in_order(&nodes);
        let (component, anchors, sizes) = components(&mut nodes, &order);
        let named = rules.types.len();
        let joined = formers.joined(|node| {
            let previous = nodes.all.get(node as usize)?.previous;
            old.get(previous as usize).map(|old| old.id)
        });
        let mut overlaps = overlaps(&nodes, &order, &component, named, &joined);
        // Older ids first; of one age, that whose identifiers here were seen first; then by id.
        let holders = keep_ids(&mut overlaps, anchors.len(), |overlap| {
            let old = old[overlap.old as usize];
            (old.minted_at, overlap.earliest, old.id)
        });
        let free: Vec<bool> = holders.iter().map(|holder| *holder == NONE).collect();
        let in_use: HashSet<CanonicalId> = old.iter().map(|old| old.id).collect();
        let revived = formers.revive((&nodes, &order, named), &component, &free, &in_use);

        let mut used = retired;
        used.extend(in_use);
        used.extend(formers.ids());
        let kept: Vec<Option<(CanonicalId, i64)>> = holders
            .iter()
            .zip(revived)
            .map(|(holder, revived)| match old.get(*holder as usize) {
                Some(kept) => Some((kept.id, kept.minted_at)),
                None => revived.map(|id| (id, options.as_of)),
            })
            .collect();
        let ids = give_ids(&mut used, options, &nodes, &kept, &anchors);

        let changes = changes(&nodes, &old, &overlaps, &holders, &ids, &sizes);
        let summary = Summary {
            rows: accepted + rejected + ignored,
            accepted,
            rejected,
            ignored,
            identifiers: order.len() as u64,
            canonical_ids: ids.len() as u64,
            largest: sizes.iter().copied().max().unwrap_or(0),
        };
        Self {
            nodes,
            blocked,
            rules,
            sources,
            judgement,
            known_hubs,
            records,
            old,
            order,
            component,
            ids,
            changes,
            summary,
            hinges_on_rows,
        }
    }

    /// Whether later rows can only be resolved together with those of this resolution. If not, the
    /// identifiers and records of whom they touch are enough: see [`GraphBuilder::member`].
    #[must_use]
    pub fn hinges_on_rows(&self) -> bool {
        self.hinges_on_rows
    }

    /// Every observed identifier, by type and value.
    pub fn identifiers(&self) -> impl ExactSizeIterator<Item = Identifier<'_>> {
        self.identifiers_in(0..self.order.len())
    }

    /// Those at some places of [`Resolution::identifiers`]; none if there are fewer.
    pub fn identifiers_in(
        &self,
        places: Range<usize>,
    ) -> impl ExactSizeIterator<Item = Identifier<'_>> {
        self.order
            .get(places)
            .unwrap_or_default()
            .iter()
            .map(|node| {
                let (canonical_id, minted_at) = self.ids[self.component[*node as usize] as usize];
                Identifier {
                    id_type: self.nodes.id_type(*node),
                    id_value: self.nodes.value(*node),
                    canonical_id,
                    minted_at,
                    first_seen: self.nodes.first_seen(*node),
                    last_seen: self.nodes.last_seen(*node),
                }
            })
    }

    /// What a row with this identifier means: the second pass, which writes records (accepted rows,
    /// once per record) and edges (all rows that are not ignored). A row without source or record id
    /// is ignored too; that is for the caller to see.
    #[must_use]
    pub fn verdict(&self, id_type: Option<&str>, id_value: Option<&str>) -> Verdict {
        let (Some(id_type), Some(id_value)) = (not_blank(id_type), not_blank(id_value)) else {
            return Verdict::Ignored;
        };
        if let Some(rule) = self.looks(id_type, id_value) {
            return Verdict::Rejected(rule);
        }
        match self
            .nodes
            .find_text(id_type, id_value)
            .and_then(|node| self.id_of(node))
        {
            Some(id) => Verdict::Accepted(id),
            None if self.is_hub(id_type, id_value) => Verdict::Rejected(RejectionRule::Hub),
            None => Verdict::Ignored,
        }
    }

    fn is_hub(&self, id_type: &str, id_value: &str) -> bool {
        let node = self.nodes.find_text(id_type, id_value);
        node.is_some_and(|node| self.judgement.hubs.contains(&node))
            || is_known_hub(&self.known_hubs, &self.nodes, id_type, id_value)
    }

    /// What this row means, under rules: like [`Resolution::verdict`], but it also knows edges that a
    /// rule rejected, which takes the record into account. The id of an accepted row is that of its
    /// record.
    #[must_use]
    pub fn verdict_of(&self, row: &Observation<'_>) -> Verdict {
        let (Some(source), Some(record_id), Some(id_type), Some(id_value)) = (
            row.source,
            row.record_id,
            not_blank(row.id_type),
            not_blank(row.id_value),
        ) else {
            return Verdict::Ignored;
        };
        if let Some(rule) = self.looks(id_type, id_value) {
            return Verdict::Rejected(rule);
        }
        if row.link == LinkKind::Exclude {
            return Verdict::Rejected(RejectionRule::Excluded);
        }
        if is_known_hub(&self.known_hubs, &self.nodes, id_type, id_value) {
            return Verdict::Rejected(RejectionRule::Hub);
        }
        let Some(node) = self.nodes.find_text(id_type, id_value) else {
            return Verdict::Ignored;
        };
        self.verdict_on(node, || record(&self.sources, source, record_id))
    }

    /// What the edge of a node to a record means, whose fingerprint is asked for only if it matters.
    pub(crate) fn verdict_on(
        &self,
        node: u32,
        record: impl Fn() -> Option<Fingerprint>,
    ) -> Verdict {
        match (self.judgement.rejects(node, record), self.id_of(node)) {
            (Some(rule), _) => Verdict::Rejected(rule),
            (None, Some(id)) => Verdict::Accepted(id),
            (None, None) => Verdict::Ignored,
        }
    }

    fn looks(&self, id_type: &str, id_value: &str) -> Option<RejectionRule> {
        looks(&self.blocked, &self.rules, &self.nodes, id_type, id_value)
    }

    /// What an operator should look at, by reason, then the largest first.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm<'_>> {
        let mut alarms: Vec<Alarm<'_>> = self
            .judgement
            .alarms
            .iter()
            .map(|alarm| Alarm {
                reason: alarm.reason,
                size: alarm.size,
                id_type: self.nodes.id_type(alarm.node),
                id_value: self.nodes.value(alarm.node),
                canonical_id: self.id_of(alarm.node),
            })
            .collect();
        alarms.extend(self.kept_apart());
        alarms.sort_unstable_by_key(|alarm| {
            (
                alarm.reason,
                Reverse(alarm.size),
                alarm.id_type,
                alarm.id_value,
            )
        });
        alarms
    }

    /// The values that rows of several people carry, each with the number of these.
    fn kept_apart(&self) -> Vec<Alarm<'_>> {
        let limited = |rule| matches!(rule, RejectionRule::Limit | RejectionRule::One);
        let edges = self.judgement.edges.iter();
        let mut pairs: Vec<(u32, CanonicalId)> = edges
            .filter(|edge| limited(edge.rule))
            .filter_map(|edge| Some((edge.node, self.id_of(edge.with)?)))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        let of_nodes = pairs.chunk_by(|a, b| a.0 == b.0);
        of_nodes
            .filter_map(|others| {
                let (node, _) = *others.first()?;
                let owner = self.id_of(node)?;
                let people = others.iter().filter(|(_, id)| *id != owner).count() as u64 + 1;
                (people > 1).then(|| Alarm {
                    reason: AlarmReason::Limit,
                    size: people,
                    id_type: self.nodes.id_type(node),
                    id_value: self.nodes.value(node),
                    canonical_id: Some(owner),
                })
            })
            .collect()
    }

    /// The edges that a rule on people rejected, in order; those of hubs are not listed, since the
    /// alarm says it all.
    #[must_use]
    pub fn rejections(&self) -> Vec<Rejection<'_>> {
        let mut rejections: Vec<Rejection<'_>> = self
            .judgement
            .edges
            .iter()
            .filter_map(|edge| {
                Some(Rejection {
                    id_type: self.nodes.id_type(edge.node),
                    id_value: self.nodes.value(edge.node),
                    canonical_id: self.id_of(edge.node)?,
                    record_of: self.id_of(edge.with)?,
                    rule: edge.rule,
                    limited: edge.kind.map(|kind| self.nodes.type_name(kind)),
                    count: edge.count,
                    most: edge.most,
                })
            })
            .collect();
        rejections.sort_unstable();
        rejections
    }

    /// What happened to canonical ids, by kind, then ids.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Every identifier whose canonical id is not what it was, new and lost ones included. Applied to
    /// the previous assignment they give this one.
    pub fn moves(&self) -> impl Iterator<Item = Move<'_>> {
        (0..self.nodes.len()).filter_map(|node| {
            let from = self
                .old
                .get(self.nodes.all[node as usize].previous as usize)
                .map(|old| old.id);
            let into = self.id_of(node);
            (from != into).then(|| Move {
                id_type: self.nodes.id_type(node),
                id_value: self.nodes.value(node),
                from,
                into,
            })
        })
    }

    /// The groups of these identifiers, for the run after this one.
    #[must_use]
    pub fn index(&self) -> Index {
        let mut group: Vec<u32> = (0..self.nodes.len())
            .map(|node| self.nodes.root_above(node))
            .collect();
        for (node, first) in &self.judgement.groups {
            group[*node as usize] = *first;
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(self.order.len());
        for node in 0..self.nodes.len() {
            let hub = self.judgement.hubs.contains(&node);
            if hub || self.nodes.observed(node) {
                let observed = self.nodes.observed(node);
                entries.push(Entry {
                    key: self.nodes.fingerprint_of(node),
                    group: if observed { group[node as usize] } else { NONE },
                    hub,
                });
            }
        }
        Index::new(entries)
    }

    /// The changes in numbers.
    #[must_use]
    pub fn diff(&self) -> Diff {
        Diff::new(&self.changes, self.moves())
    }

    /// The counters.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    pub(crate) fn id_of(&self, node: u32) -> Option<CanonicalId> {
        let component = *self.component.get(node as usize)?;
        self.ids.get(component as usize).map(|(id, _)| *id)
    }
}

/// Component of each node, and anchor and size of each component. Components are numbered by their
/// first identifier, an anchor is the identifier that was observed first (ties: by type and value).
fn components(nodes: &mut Nodes, order: &[u32]) -> (Vec<u32>, Vec<u32>, Vec<u64>) {
    let mut component = vec![NONE; nodes.len() as usize];
    let mut of_root = vec![NONE; nodes.len() as usize];
    let mut anchors: Vec<u32> = Vec::new();
    let mut sizes: Vec<u64> = Vec::new();
    for node in order {
        let slot = nodes.root(*node) as usize;
        if of_root[slot] == NONE {
            of_root[slot] = u32::try_from(anchors.len()).unwrap_or(NONE);
            anchors.push(*node);
            sizes.push(0);
        }
        let number = of_root[slot] as usize;
        component[*node as usize] = of_root[slot];
        sizes[number] += 1;
        if nodes.earliest(*node) < nodes.earliest(anchors[number]) {
            anchors[number] = *node;
        }
    }
    (component, anchors, sizes)
}

/// Most threads that mint at once.
const THREADS: usize = 4;
/// Fewest components that are worth a thread.
const SHARE: usize = 10_000;

/// Canonical id and time of minting of each component: what it keeps or takes back, or a new id.
fn give_ids(
    used: &mut CanonicalIds,
    options: &ResolveOptions<'_>,
    nodes: &Nodes,
    kept: &[Option<(CanonicalId, i64)>],
    anchors: &[u32],
) -> Vec<(CanonicalId, i64)> {
    let mut ids = vec![(CanonicalId::from_u128(0), options.as_of); anchors.len()];
    type Kept = [Option<(CanonicalId, i64)>];
    let first_choice = |ids: &mut [(CanonicalId, i64)], kept: &Kept, anchors: &[u32]| {
        for ((id, kept), anchor) in ids.iter_mut().zip(kept).zip(anchors) {
            match kept {
                Some(kept) => *id = *kept,
                None => id.0 = mint(options, nodes, *anchor, 0),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
    let share = anchors.len().div_ceil(threads).max(SHARE);
    thread::scope(|scope| {
        let parts = ids
            .chunks_mut(share)
            .zip(kept.chunks(share))
            .zip(anchors.chunks(share));
        for ((ids, kept), anchors) in parts {
            scope.spawn(|| first_choice(ids, kept, anchors));
        }
    });
    used.reserve(kept.iter().filter(|kept| kept.is_none()).count());
    // Whether an id is taken already depends on those before it, so this is for one thread.
    for ((id, kept), anchor) in ids.iter_mut().zip(kept).zip(anchors) {
        let mut attempt = 0;
        while kept.is_none() && !used.insert(id.0) {
            attempt += 1;
            id.0 = mint(options, nodes, *anchor, attempt);
        }
    }
    ids
}

pub(crate) fn mint(
    options: &ResolveOptions<'_>,
    nodes: &Nodes,
    anchor: u32,
    attempt: u32,
) -> CanonicalId {
    let (id_type, value) = (nodes.id_type(anchor), nodes.value(anchor));
    CanonicalId::mint(options.salt, options.entity, id_type, value, attempt)
}
