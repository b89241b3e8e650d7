//! Who breaks a rule, if every row is believed.

use crate::graph::GraphBuilder;
use crate::replay::Replay;

/// What a check says.
pub enum Checked {
    /// Nobody breaks a rule: the graph is ready to be resolved.
    Sound(GraphBuilder),
    /// Somebody does: all rows are needed once more.
    Failing(Replay),
}

/// A rule that a component can break, in terms of type indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constraint {
    /// At most so many values of a type, ever or within so many microseconds.
    Limit {
        kind: u16,
        values: u32,
        window: Option<i64>,
    },
    /// Beside a value of `of`, at most one of `other`.
    One { of: u16, other: u16 },
    /// At most so many identifiers.
    Total(u64),
}

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// The rules as constraints, in the order in which an edge is held against them.
pub(crate) fn constraints(builder: &GraphBuilder) -> Vec<Constraint> {
    let types = &builder.nodes.types;
    let mut all = Vec::new();
    for (kind, rules) in (0_u16..).zip(&builder.rules.types) {
        if let Some(limit) = rules.limit {
            all.push(Constraint::Limit {
                kind,
                values: limit.values,
                window: limit
                    .days
                    .map(|days| i64::from(days).saturating_mul(MICROSECONDS_A_DAY)),
            });
        }
        if let Some(other) = rules.one.as_deref().and_then(|other| types.get(other)) {
            all.push(Constraint::One { of: kind, other });
        }
    }
    all.extend(builder.rules.max_identifiers.map(Constraint::Total));
    all
}

pub(crate) fn check(mut builder: GraphBuilder) -> Checked {
    let constraints = constraints(&builder);
    let has_hubs = builder
        .rules
        .types
        .iter()
        .any(|rules| rules.max_records.is_some());
    if constraints.is_empty() && !has_hubs && builder.excludes.is_empty() {
        return Checked::Sound(builder);
    }
    builder.nodes.flatten();
    // Whether a component may break a rule, by root.
    let mut failing = vec![false; builder.nodes.len() as usize];
    for constraint in &constraints {
        match *constraint {
            Constraint::Limit { kind, values, .. } => {
                // A stretch of days has no more values than all days, so this finds all that fail,
                // and some that the replay acquits.
                let counts = count(&builder, |of| of == kind);
                for (root, count) in failing.iter_mut().zip(counts) {
                    *root |= count > values;
                }
            }
            Constraint::One { of, other } => {
                let (having, others) = (
                    count(&builder, |kind| kind == of),
                    count(&builder, |kind| kind == other),
                );
                for ((root, having), others) in failing.iter_mut().zip(having).zip(others) {
                    *root |= having > 0 && others > 1;
                }
            }
            Constraint::Total(most) => {
                let counts = count(&builder, |_| true);
                for (root, count) in failing.iter_mut().zip(counts) {
                    *root |= u64::from(count) > most;
                }
            }
        }
    }
    for node in 0..builder.nodes.len() {
        let of_type = builder
            .rules
            .types
            .get(usize::from(builder.nodes.kind(node)));
        if let Some(most) = of_type.and_then(|rules| rules.max_records)
            && u64::from(builder.rows(node)) > most
        {
            failing[builder.nodes.root_of(node) as usize] = true;
        }
    }
    exclude(&mut builder, &mut failing);
    if failing.contains(&true) {
        Checked::Failing(Replay::new(builder, constraints, &failing))
    } else {
        Checked::Sound(builder)
    }
}

/// Observed identifiers of some types in each component, by root.
fn count(builder: &GraphBuilder, counts: impl Fn(u16) -> bool) -> Vec<u32> {
    let nodes = &builder.nodes;
    let mut counted = vec![0_u32; nodes.len() as usize];
    for node in 0..nodes.len() {
        if nodes.observed(node) && counts(nodes.kind(node)) {
            counted[nodes.root_of(node) as usize] += 1;
        }
    }
    counted
}

/// Finds exclusions that do not hold. Leaves the exclusions sorted and distinct.
fn exclude(builder: &mut GraphBuilder, failing: &mut [bool]) {
    builder.excludes.sort_unstable();
    builder.excludes.dedup();
    for group in builder.excludes.chunk_by(|a, b| a.0 == b.0) {
        let mut roots: Vec<u32> = group
            .iter()
            .filter(|(_, node)| builder.nodes.observed(*node))
            .map(|(_, node)| builder.nodes.root_of(*node))
            .collect();
        roots.sort_unstable();
        for [a, b] in roots.array_windows() {
            if a == b {
                failing[*a as usize] = true;
            }
        }
    }
}
