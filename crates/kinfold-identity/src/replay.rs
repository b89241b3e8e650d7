//! The rows of people who break a rule, once more and one by one, the best evidence first.
//!
//! This is Kruskal's algorithm (1956) under constraints: edges in a total order, and one that would
//! break a rule is left out. Nothing in the order depends on how the rows came in, and whether a part
//! keeps the rules depends on what it holds only, so neither does the result.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::check::Constraint;
use crate::forest::Forest;
use crate::graph::{GraphBuilder, GraphError, looks, not_blank};
use crate::judgement::{AlarmReason, EdgeKey, RaisedAlarm, RejectedEdge};
use crate::nodes::{Fingerprint, NONE, Words};
use crate::observation::{LinkKind, Observation};
use crate::rules::RejectionRule;
use crate::table::Table;

/// A record and an identifier, with all rows that say so.
#[derive(Clone, Copy)]
struct Edge {
    record: u32,
    node: u32,
    evidence: u64,
    first: i64,
    last: i64,
    rows: u32,
}

/// Takes all rows a second time and keeps those of people who break a rule: about 40 bytes a row, and
/// 60 for each of their records.
pub struct Replay {
    builder: GraphBuilder,
    constraints: Vec<Constraint>,
    /// Place of each node among those of failing people, or `NONE`.
    local: Vec<u32>,
    /// The nodes of failing people.
    global: Vec<u32>,
    /// Their fingerprints.
    keys: Vec<Fingerprint>,
    records: Table,
    record_keys: Vec<Fingerprint>,
    edges: Vec<Edge>,
    /// When identifiers of types limited by days were observed.
    times: Vec<(u32, i64)>,
}

impl Replay {
    /// `failing` tells failing components by root.
    pub(crate) fn new(
        builder: GraphBuilder,
        constraints: Vec<Constraint>,
        failing: &[bool],
    ) -> Self {
        let nodes = &builder.nodes;
        let mut local = vec![NONE; nodes.len() as usize];
        let mut global = Vec::new();
        for node in 0..nodes.len() {
            if nodes.observed(node) && failing[nodes.root_of(node) as usize] {
                local[node as usize] = u32::try_from(global.len()).unwrap_or(NONE);
                global.push(node);
            }
        }
        Self {
            keys: vec![Fingerprint([0; 4]); global.len()],
            builder,
            constraints,
            local,
            global,
            records: Table::default(),
            record_keys: Vec::new(),
            edges: Vec::new(),
            times: Vec::new(),
        }
    }

    /// How many identifiers the people have who break a rule.
    #[must_use]
    pub fn identifiers(&self) -> u64 {
        self.global.len() as u64
    }

    /// Whether a row is about somebody who breaks a rule; a caller that can ask its source for such
    /// rows only need not give the others to [`Replay::observe`].
    #[must_use]
    pub fn concerns(&self, id_type: &str, id_value: &str) -> bool {
        let nodes = &self.builder.nodes;
        nodes
            .find_text(id_type, id_value)
            .is_some_and(|node| self.local.get(node as usize).is_some_and(|at| *at != NONE))
    }

    /// Takes one row again. Rows may come in another order than the first time, but must be the same.
    ///
    /// # Errors
    /// If there are more records than indices.
    pub fn observe(&mut self, row: &Observation<'_>) -> Result<(), GraphError> {
        let (Some(source), Some(record_id), Some(id_type), Some(id_value)) = (
            row.source,
            row.record_id,
            not_blank(row.id_type),
            not_blank(row.id_value),
        ) else {
            return Ok(());
        };
        let nodes = &self.builder.nodes;
        if row.link == LinkKind::Exclude {
            return Ok(());
        }
        let Some(key) = nodes.fingerprint(id_type, id_value) else {
            return Ok(());
        };
        let Some(node) = nodes
            .find(&key)
            .and_then(|node| self.local.get(node as usize))
            .copied()
            .filter(|node| *node != NONE)
        else {
            return Ok(());
        };
        if looks(
            &self.builder.blocked,
            &self.builder.rules,
            nodes,
            id_type,
            id_value,
        )
        .is_some()
        {
            return Ok(());
        }
        self.keys[node as usize] = key;
        let Some(record) = record(&self.builder.sources, source, record_id) else {
            return Ok(());
        };
        let next = u32::try_from(self.record_keys.len())
            .ok()
            .filter(|next| {
                u32::try_from(self.keys.len()).is_ok_and(|keys| next.checked_add(keys).is_some())
            })
            .ok_or(GraphError::TooManyIdentifiers)?;
        let at = self.records.get_or_insert(&record, next);
        if at == next {
            self.record_keys.push(record);
        }
        let kind = nodes.kind(self.global[node as usize]);
        if let Some(time) = row.observed_at
            && self.constraints.iter().any(|constraint| {
                matches!(constraint, Constraint::Limit { kind: of, window: Some(_), .. } if *of == kind)
            })
        {
            self.times.push((node, time));
        }
        self.edges.push(Edge {
            record: at,
            node,
            evidence: row.link.rank(),
            first: row.observed_at.unwrap_or(i64::MAX),
            last: row.observed_at.unwrap_or(i64::MIN),
            rows: 1,
        });
        Ok(())
    }

    /// Decides on every row and gives the graph back, ready to be resolved.
    #[must_use]
    pub fn finish(mut self) -> GraphBuilder {
        self.fold();
        self.drop_hubs();
        self.group();
        self.sort();
        let mut forest = self.forest();
        self.grow(&mut forest);
        for (at, node) in (0_u32..).zip(&self.global) {
            let root = forest.root(at);
            self.builder.nodes.all[*node as usize].parent = self.global[root as usize];
        }
        let judgement = &mut self.builder.judgement;
        self.builder.accepted = self.builder.accepted.saturating_sub(judgement.rows);
        self.builder.rejected += judgement.rows;
        self.builder
    }

    /// One edge for each record and identifier.
    fn fold(&mut self) {
        self.edges
            .sort_unstable_by_key(|edge| (edge.record, edge.node));
        self.edges.dedup_by(|next, kept| {
            let same = (next.record, next.node) == (kept.record, kept.node);
            if same {
                kept.evidence = kept.evidence.min(next.evidence);
                kept.first = kept.first.min(next.first);
                kept.last = kept.last.max(next.last);
                kept.rows = kept.rows.saturating_add(next.rows);
            }
            same
        });
    }

    fn drop_hubs(&mut self) {
        let Self {
            builder,
            edges,
            global,
            record_keys,
            ..
        } = self;
        let exact = LinkKind::None.rank();
        let mut degrees = vec![0_u64; global.len()];
        for edge in edges.iter().filter(|edge| edge.evidence <= exact) {
            degrees[edge.node as usize] += 1;
        }
        let mut is_hub = vec![false; global.len()];
        for (at, (node, records)) in global.iter().zip(degrees).enumerate() {
            let kind = usize::from(builder.nodes.kind(*node));
            let rules = builder.rules.types.get(kind);
            if rules
                .and_then(|rules| rules.max_records)
                .is_some_and(|most| records > most)
            {
                is_hub[at] = true;
                builder.judgement.hubs.insert(*node);
                // It is nobody's, unless somebody decided otherwise.
                builder.nodes.all[*node as usize].observed = false;
                builder.judgement.alarms.push(RaisedAlarm {
                    reason: AlarmReason::Hub,
                    node: *node,
                    size: records,
                });
            }
        }
        let decided = LinkKind::Include.rank();
        edges.retain(|edge| {
            if !is_hub[edge.node as usize] {
                return true;
            }
            let node = global[edge.node as usize];
            if edge.evidence == decided {
                builder.nodes.all[node as usize].observed = true;
                builder.judgement.decided.insert(EdgeKey {
                    record: record_keys[edge.record as usize],
                    node,
                });
                return true;
            }
            builder.judgement.rows += u64::from(edge.rows);
            false
        });
    }

    /// Groups those who hang together without hubs, and finds groups that are too large for one.
    fn group(&mut self) {
        let mut whole = self.empty_forest(Vec::new());
        let behind = whole.identifiers();
        for edge in &self.edges {
            let (a, b) = (whole.root(edge.node), whole.root(behind + edge.record));
            if a != b {
                whole.union(a, b);
            }
        }
        let mut roots: Vec<(u32, u32)> = (0..behind).map(|at| (whole.root(at), at)).collect();
        let global = &self.global;
        self.builder.judgement.groups = roots
            .iter()
            .map(|(root, at)| (global[*at as usize], global[*root as usize]))
            .collect();
        let Some(most) = self.builder.rules.max_identifiers else {
            return;
        };
        roots.retain(|(root, _)| whole.count(*root, None) > most);
        for (root, node) in self.firsts(roots) {
            self.builder.judgement.alarms.push(RaisedAlarm {
                reason: AlarmReason::TooLarge,
                node,
                size: whole.count(root, None),
            });
        }
    }

    /// The first identifier, by type and value, of each group of `(group, local node)`.
    fn firsts(&self, mut groups: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
        let nodes = &self.builder.nodes;
        let ranks = nodes.type_ranks();
        let key = |node: u32| (ranks[usize::from(nodes.kind(node))], nodes.value(node));
        groups.sort_unstable();
        groups
            .chunk_by(|a, b| a.0 == b.0)
            .filter_map(|group| {
                let members = group.iter().map(|(_, at)| self.global[*at as usize]);
                let first = members.min_by(|a, b| key(*a).cmp(&key(*b)))?;
                Some((group.first()?.0, first))
            })
            .collect()
    }

    /// The best evidence first: decisions, then rows by strength of the type, newest first, then what
    /// statistics hold by weight. Fingerprints settle what is left.
    fn sort(&mut self) {
        let nodes = &self.builder.nodes;
        let strengths = nodes.strengths(self.builder.rules.types.len());
        let (global, keys, records) = (&self.global, &self.keys, &self.record_keys);
        let key = |edge: &Edge| {
            let kind = nodes.kind(global[edge.node as usize]);
            (
                edge.evidence,
                strengths[usize::from(kind)],
                Reverse(edge.last),
                edge.first,
            )
        };
        self.edges.sort_unstable_by(|a, b| {
            key(a).cmp(&key(b)).then_with(|| {
                let settle =
                    |edge: &Edge| (records[edge.record as usize], keys[edge.node as usize]);
                settle(a).cmp(&settle(b))
            })
        });
    }

    fn empty_forest(&self, constraints: Vec<Constraint>) -> Forest {
        let nodes = &self.builder.nodes;
        let kinds: Vec<u16> = self.global.iter().map(|node| nodes.kind(*node)).collect();
        // `observe` keeps the sum below 2³².
        let elements = u32::try_from(kinds.len() + self.record_keys.len()).unwrap_or(NONE);
        Forest::new(constraints, &kinds, elements)
    }

    fn forest(&mut self) -> Forest {
        let mut forest = self.empty_forest(self.constraints.clone());
        self.times.sort_unstable();
        self.times.dedup();
        let mut times = self.times.chunk_by(|a, b| a.0 == b.0).peekable();
        let mut of_node: Vec<i64> = Vec::new();
        for (at, node) in (0_u32..).zip(&self.global) {
            of_node.clear();
            if let Some(group) = times.next_if(|group| group.first().is_some_and(|t| t.0 == at)) {
                of_node.extend(group.iter().map(|(_, time)| *time));
            }
            forest.observed(at, self.builder.nodes.kind(*node), &of_node);
        }
        let groups = self.builder.excludes.chunk_by(|a, b| a.0 == b.0);
        for (number, group) in (0_u32..).zip(groups) {
            for (_, node) in group {
                let at = self.local.get(*node as usize).copied().unwrap_or(NONE);
                if at != NONE {
                    forest.exclude(at, number);
                }
            }
        }
        forest
    }

    fn grow(&mut self, forest: &mut Forest) {
        let behind = forest.identifiers();
        let decided = LinkKind::Include.rank();
        let judgement = &mut self.builder.judgement;
        let mut rejected: Vec<(Edge, RejectedEdge)> = Vec::new();
        let mut overridden: Vec<u32> = Vec::new();
        for edge in &self.edges {
            let (a, b) = (forest.root(edge.node), forest.root(behind + edge.record));
            if a == b {
                continue;
            }
            match forest.violation(a, b) {
                Some(found)
                    if edge.evidence == decided && found.rule != RejectionRule::Excluded =>
                {
                    overridden.push(edge.node);
                    forest.union(a, b);
                }
                Some(found) => {
                    let refused = RejectedEdge {
                        node: self.global[edge.node as usize],
                        with: NONE,
                        rule: found.rule,
                        kind: found.kind,
                        count: found.count,
                        most: found.most,
                    };
                    rejected.push((*edge, refused));
                }
                None => forest.union(a, b),
            }
        }
        for (edge, mut refused) in rejected {
            // Parts only grow, so what kept these two apart keeps them apart to the end.
            let with = forest.root(behind + edge.record);
            refused.with = self.global.get(with as usize).copied().unwrap_or(NONE);
            judgement.rows += u64::from(edge.rows);
            judgement.edges.push(refused);
            judgement.contested.insert(refused.node);
            let key = EdgeKey {
                record: self.record_keys[edge.record as usize],
                node: refused.node,
            };
            judgement.decided.remove(&key);
            judgement.rejected.insert(key, refused.rule);
        }
        let overridden: Vec<(u32, u32)> = overridden
            .into_iter()
            .map(|at| (forest.root(at), at))
            .collect();
        let mut forced: HashMap<u32, u64> = HashMap::new();
        for (root, _) in &overridden {
            *forced.entry(*root).or_default() += 1;
        }
        for (root, node) in self.firsts(overridden) {
            self.builder.judgement.alarms.push(RaisedAlarm {
                reason: AlarmReason::LimitOverridden,
                node,
                size: forced.get(&root).copied().unwrap_or(0),
            });
        }
    }
}

/// Fingerprint of a record, if its source is known.
pub(crate) fn record(sources: &Words, source: &str, record_id: &str) -> Option<Fingerprint> {
    let space = sources.space(sources.get(source)?);
    Some(Fingerprint::new(space, record_id))
}
