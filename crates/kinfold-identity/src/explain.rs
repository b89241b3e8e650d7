//! Why two identifiers are one person's, or why they are not.
//!
//! The answer is read off the stored edges of the people concerned, so it is about what was decided.
//! Among the paths between two identifiers the one shown is that whose weakest step is the strongest:
//! in the order in which edges are believed, it is the only path in the maximum spanning forest (Hu
//! 1961).

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::observation::{LinkKind, Observation};
use crate::rules::RejectionRule;

/// A row of the edges relation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeRow<'a> {
    /// The row.
    pub row: Observation<'a>,
    /// The rule that rejected it, if it was.
    pub rejected: Option<RejectionRule>,
}

/// An edge between a record and an identifier, with all of its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    /// Source of the record.
    pub source: &'a str,
    /// The record.
    pub record_id: &'a str,
    /// Type of the identifier.
    pub id_type: &'a str,
    /// Its value.
    pub id_value: &'a str,
    /// The best evidence among the rows.
    pub link: LinkKind,
    /// Earliest observation, microseconds since 1970 UTC.
    pub first_seen: Option<i64>,
    /// Latest observation.
    pub last_seen: Option<i64>,
    /// How many rows.
    pub rows: u64,
    /// The rule that rejected it, if it was.
    pub rejected: Option<RejectionRule>,
}

/// Why two people are not one although something speaks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Because<'a> {
    /// A record of the one carries an identifier of the other, and the edge was rejected.
    Rejected(Step<'a>),
    /// Records of both carry a value that joins neither, such as a hub or a placeholder.
    Shared(Step<'a>, Step<'a>),
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Explanation<'a> {
    /// They are one person's. The steps lead from the first to the second: identifier, record,
    /// identifier and so on, so two steps in a row share a record or an identifier.
    Joined {
        /// The steps; none if both are the same.
        steps: Vec<Step<'a>>,
        /// Which step is the weakest.
        weakest: Option<usize>,
    },
    /// They are two people's: what speaks for one person all the same, the strongest first.
    Apart(Vec<Because<'a>>),
    /// No row names one of them.
    Unknown,
}

type Identifier<'a> = (&'a str, &'a str);

/// Explains why `from` and `to`, each type and value, are one person's or not.
///
/// `rows` are the rows of the edges relation of the one or two people whose they are, accepted and
/// rejected; rows of others do no harm. `strongest_first` names the types as the rules do. Rows of
/// the kind `Exclude` and rows without a name are passed over.
#[must_use]
pub fn explain<'a>(
    rows: impl IntoIterator<Item = EdgeRow<'a>>,
    strongest_first: &[&str],
    from: Identifier<'_>,
    to: Identifier<'_>,
) -> Explanation<'a> {
    let mut graph = Graph::new(rows, strongest_first);
    let (Some(a), Some(b)) = (graph.find(from), graph.find(to)) else {
        return Explanation::Unknown;
    };
    if let Some(path) = graph.path(a, b) {
        // Steps are in the order of strength, so the last of them is the weakest.
        let weakest = (0..path.len()).max_by_key(|at| path.get(*at).copied());
        return Explanation::Joined {
            steps: path.into_iter().map(|step| graph.steps[step]).collect(),
            weakest,
        };
    }
    Explanation::Apart(graph.between(a, b))
}

struct Graph<'a> {
    /// All edges, the strongest first.
    steps: Vec<Step<'a>>,
    identifiers: HashMap<Identifier<'a>, usize>,
    /// Of each step: its record and its identifier.
    ends: Vec<(usize, usize)>,
    /// Steps of the spanning forest at each element.
    forest: Vec<Vec<usize>>,
    parent: Vec<usize>,
}

impl<'a> Graph<'a> {
    fn new(rows: impl IntoIterator<Item = EdgeRow<'a>>, strongest_first: &[&str]) -> Self {
        let steps = fold(rows, strongest_first);
        let mut elements = 0;
        let mut next = || {
            elements += 1;
            elements - 1
        };
        let mut identifiers = HashMap::new();
        let mut records = HashMap::new();
        let ends: Vec<(usize, usize)> = steps
            .iter()
            .map(|step| {
                (
                    *records
                        .entry((step.source, step.record_id))
                        .or_insert_with(&mut next),
                    *identifiers
                        .entry((step.id_type, step.id_value))
                        .or_insert_with(&mut next),
                )
            })
            .collect();
        let mut graph = Self {
            steps,
            identifiers,
            ends,
            forest: vec![Vec::new(); elements],
            parent: (0..elements).collect(),
        };
        for step in 0..graph.steps.len() {
            let (record, identifier) = graph.ends[step];
            let (a, b) = (graph.root(record), graph.root(identifier));
            if a != b && graph.steps[step].rejected.is_none() {
                graph.parent[a] = b;
                graph.forest[record].push(step);
                graph.forest[identifier].push(step);
            }
        }
        graph
    }

    fn find(&self, (id_type, id_value): Identifier<'_>) -> Option<usize> {
        self.identifiers.get(&(id_type, id_value)).copied()
    }

    fn root(&mut self, mut element: usize) -> usize {
        while self.parent[element] != element {
            self.parent[element] = self.parent[self.parent[element]];
            element = self.parent[element];
        }
        element
    }

    /// The path through the spanning forest, as steps.
    fn path(&mut self, from: usize, to: usize) -> Option<Vec<usize>> {
        if self.root(from) != self.root(to) {
            return None;
        }
        // From the end to the start, so that following it gives the path forwards.
        let mut towards: HashMap<usize, (usize, usize)> = HashMap::new();
        let mut queue = VecDeque::from([to]);
        while let Some(element) = queue.pop_front() {
            for step in &self.forest[element] {
                let (record, identifier) = self.ends[*step];
                let other = if record == element {
                    identifier
                } else {
                    record
                };
                if other != to && !towards.contains_key(&other) {
                    towards.insert(other, (*step, element));
                    queue.push_back(other);
                }
            }
        }
        let mut path = Vec::new();
        let mut at = from;
        while at != to {
            let (step, next) = towards.get(&at)?;
            path.push(*step);
            at = *next;
        }
        Some(path)
    }

    /// What speaks for joining the people of two identifiers.
    fn between(&mut self, a: usize, b: usize) -> Vec<Because<'a>> {
        let (a, b) = (self.root(a), self.root(b));
        let mut found: Vec<(usize, Because<'a>)> = Vec::new();
        // The strongest step of each side to a value that belongs to neither.
        let mut shared: BTreeMap<usize, (Option<usize>, Option<usize>)> = BTreeMap::new();
        for step in 0..self.steps.len() {
            if self.steps[step].rejected.is_none() {
                continue;
            }
            let (record, identifier) = self.ends[step];
            let (of, value_of) = (self.root(record), self.root(identifier));
            if (of, value_of) == (a, b) || (of, value_of) == (b, a) {
                found.push((step, Because::Rejected(self.steps[step])));
            } else if value_of != a && value_of != b {
                let sides = shared.entry(identifier).or_default();
                if of == a {
                    sides.0.get_or_insert(step);
                } else if of == b {
                    sides.1.get_or_insert(step);
                }
            }
        }
        for sides in shared.into_values() {
            if let (Some(x), Some(y)) = sides {
                found.push((x.max(y), Because::Shared(self.steps[x], self.steps[y])));
            }
        }
        found.sort_by_key(|(step, _)| *step);
        found.into_iter().map(|(_, because)| because).collect()
    }
}

/// One step for each record and identifier, in the order in which the resolution believes them; names
/// settle what is left.
fn fold<'a>(
    rows: impl IntoIterator<Item = EdgeRow<'a>>,
    strongest_first: &[&str],
) -> Vec<Step<'a>> {
    let mut steps: BTreeMap<(&str, &str, &str, &str), Step<'a>> = BTreeMap::new();
    for EdgeRow { row, rejected } in rows {
        let (Some(source), Some(record_id), Some(id_type), Some(id_value)) =
            (row.source, row.record_id, row.id_type, row.id_value)
        else {
            continue;
        };
        if row.link == LinkKind::Exclude {
            continue;
        }
        let step = steps
            .entry((source, record_id, id_type, id_value))
            .or_insert(Step {
                source,
                record_id,
                id_type,
                id_value,
                link: row.link,
                first_seen: None,
                last_seen: None,
                rows: 0,
                rejected,
            });
        step.rows += 1;
        if row.link.rank() < step.link.rank() {
            step.link = row.link;
        }
        step.first_seen = match (step.first_seen, row.observed_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        step.last_seen = step.last_seen.max(row.observed_at);
    }
    let mut steps: Vec<Step<'a>> = steps.into_values().collect();
    // The sort keeps the order of names among equals.
    steps.sort_by_cached_key(|step| {
        let strength = strongest_first
            .iter()
            .position(|name| *name == step.id_type);
        (
            step.link.rank(),
            strength.unwrap_or(strongest_first.len()),
            // Types that no rule names follow by name.
            if strength.is_none() { step.id_type } else { "" },
            Reverse(step.last_seen),
            step.first_seen.unwrap_or(i64::MAX),
        )
    });
    steps
}
