//! Union-find that knows what each part holds, and refuses a union that breaks a rule.

use std::collections::{BTreeSet, HashMap};

use crate::check::Constraint;
use crate::rules::RejectionRule;

/// Why two parts may not be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: RejectionRule,
    /// Index of the type whose values are too many.
    pub(crate) kind: Option<u16>,
    /// How many there would be.
    pub(crate) count: u64,
    /// How many there may be.
    pub(crate) most: u64,
}

/// Values of one type over time, of one part.
#[derive(Default)]
struct Window {
    /// When which value was observed.
    times: BTreeSet<(i64, u32)>,
    /// Values without any time: they count for every stretch.
    untimed: u32,
    /// Most values with a time within one stretch.
    peak: u32,
}

/// Elements are the identifiers, `0..identifiers`, and the records behind them.
pub(crate) struct Forest {
    constraints: Vec<Constraint>,
    parent: Vec<u32>,
    /// Which types are counted, in columns of `counts`; a last column counts identifiers.
    columns: Vec<u16>,
    /// `columns.len() + 1` numbers for each identifier that is a root.
    counts: Vec<u32>,
    /// Of each constraint with days, by root.
    windows: Vec<HashMap<u32, Window>>,
    /// Exclusions that name an identifier of the part, by root.
    excluded: HashMap<u32, BTreeSet<u32>>,
    identifiers: u32,
}

impl Forest {
    /// Every element on its own; `kind` says of which type each identifier is.
    pub(crate) fn new(constraints: Vec<Constraint>, kind: &[u16], elements: u32) -> Self {
        let mut columns: Vec<u16> = constraints
            .iter()
            .flat_map(|constraint| match *constraint {
                Constraint::Limit { kind, .. } => vec![kind],
                Constraint::One { of, other } => vec![of, other],
                Constraint::Total(_) => Vec::new(),
            })
            .collect();
        columns.sort_unstable();
        columns.dedup();
        let mut counts = Vec::with_capacity(kind.len() * (columns.len() + 1));
        for of in kind {
            counts.extend(columns.iter().map(|column| u32::from(column == of)));
            counts.push(1);
        }
        Self {
            windows: constraints.iter().map(|_| HashMap::new()).collect(),
            constraints,
            parent: (0..elements).collect(),
            columns,
            counts,
            excluded: HashMap::new(),
            // There are no more identifiers than elements.
            identifiers: u32::try_from(kind.len()).unwrap_or(elements),
        }
    }

    /// Gives an identifier of type `kind` the times at which it was observed. Every identifier of a
    /// type that is limited by days needs this once, before the first union.
    pub(crate) fn observed(&mut self, identifier: u32, kind: u16, times: &[i64]) {
        for (constraint, windows) in self.constraints.iter().zip(&mut self.windows) {
            if matches!(constraint, Constraint::Limit { kind: of, window: Some(_), .. } if *of == kind)
            {
                windows.insert(
                    identifier,
                    Window {
                        times: times.iter().map(|time| (*time, identifier)).collect(),
                        untimed: u32::from(times.is_empty()),
                        peak: u32::from(!times.is_empty()),
                    },
                );
            }
        }
    }

    /// Says that exclusion number `group` names an identifier.
    pub(crate) fn exclude(&mut self, identifier: u32, group: u32) {
        self.excluded.entry(identifier).or_default().insert(group);
    }

    /// How many elements are identifiers: the index of the first record.
    pub(crate) fn identifiers(&self) -> u32 {
        self.identifiers
    }

    /// Root of an element: the smallest of its part.
    pub(crate) fn root(&mut self, mut element: u32) -> u32 {
        loop {
            let parent = self.parent[element as usize];
            if parent == element {
                return element;
            }
            let above = self.parent[parent as usize];
            self.parent[element as usize] = above;
            element = above;
        }
    }

    /// The first rule that the union of two roots would break, or break worse than either of them.
    pub(crate) fn violation(&self, a: u32, b: u32) -> Option<Violation> {
        if a >= self.identifiers || b >= self.identifiers {
            // A record that carries nothing yet breaks no rule.
            return None;
        }
        if let (Some(x), Some(y)) = (self.excluded.get(&a), self.excluded.get(&b))
            && !x.is_disjoint(y)
        {
            return Some(Violation {
                rule: RejectionRule::Excluded,
                kind: None,
                count: 2,
                most: 1,
            });
        }
        self.broken(a, b)
    }

    fn broken(&self, a: u32, b: u32) -> Option<Violation> {
        for (constraint, windows) in self.constraints.iter().zip(&self.windows) {
            let (rule, kind, count, most) = match *constraint {
                Constraint::Limit {
                    kind,
                    values,
                    window,
                } => {
                    let (x, y) = (self.count(a, Some(kind)), self.count(b, Some(kind)));
                    // A part without values of the type makes nothing worse.
                    if x == 0 || y == 0 || x + y <= u64::from(values) {
                        continue;
                    }
                    let count = match (window, windows.get(&a), windows.get(&b)) {
                        (Some(days), Some(x), Some(y)) => {
                            u64::from(peak(x, y, days))
                                + u64::from(x.untimed)
                                + u64::from(y.untimed)
                        }
                        _ => x + y,
                    };
                    (RejectionRule::Limit, Some(kind), count, u64::from(values))
                }
                Constraint::One { of, other } => {
                    let count = |kind| (self.count(a, Some(kind)), self.count(b, Some(kind)));
                    let ((ofs, more_ofs), (others, more_others)) = (count(of), count(other));
                    if ofs + more_ofs == 0 || ofs + others == 0 || more_ofs + more_others == 0 {
                        continue;
                    }
                    (RejectionRule::One, Some(other), others + more_others, 1)
                }
                Constraint::Total(most) => {
                    let count = self.count(a, None) + self.count(b, None);
                    (RejectionRule::TooLarge, None, count, most)
                }
            };
            if count > most {
                return Some(Violation {
                    rule,
                    kind,
                    count,
                    most,
                });
            }
        }
        None
    }

    /// Identifiers of a type, or of all types, in the part of a root.
    pub(crate) fn count(&self, root: u32, kind: Option<u16>) -> u64 {
        if root >= self.identifiers {
            return 0;
        }
        let column = match kind {
            None => self.columns.len(),
            Some(kind) => match self.columns.binary_search(&kind) {
                Ok(column) => column,
                Err(_) => return 0,
            },
        };
        u64::from(self.counts[root as usize * (self.columns.len() + 1) + column])
    }

    /// Joins two different roots, whatever the rules say.
    pub(crate) fn union(&mut self, a: u32, b: u32) {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        self.parent[high as usize] = low;
        if high >= self.identifiers {
            return;
        }
        let width = self.columns.len() + 1;
        for column in 0..width {
            self.counts[low as usize * width + column] +=
                self.counts[high as usize * width + column];
        }
        for (constraint, windows) in self.constraints.iter().zip(&mut self.windows) {
            let Constraint::Limit {
                window: Some(days), ..
            } = *constraint
            else {
                continue;
            };
            let Some(more) = windows.remove(&high) else {
                continue;
            };
            let joined = match windows.remove(&low) {
                None => more,
                Some(had) => join(had, more, days),
            };
            windows.insert(low, joined);
        }
        if let Some(groups) = self.excluded.remove(&high) {
            let had = self.excluded.entry(low).or_default();
            let (mut large, small) = if had.len() < groups.len() {
                (groups, std::mem::take(had))
            } else {
                (std::mem::take(had), groups)
            };
            large.extend(small);
            *had = large;
        }
    }
}

fn join(a: Window, b: Window, days: i64) -> Window {
    let peak = peak(&a, &b, days);
    let untimed = a.untimed + b.untimed;
    let (mut large, small) = if a.times.len() < b.times.len() {
        (b.times, a.times)
    } else {
        (a.times, b.times)
    };
    large.extend(small);
    Window {
        times: large,
        untimed,
        peak,
    }
}

/// Most values with a time within one stretch of both together. Only stretches around a time of the
/// smaller one can hold more than before.
fn peak(a: &Window, b: &Window, days: i64) -> u32 {
    let (large, small) = if a.times.len() < b.times.len() {
        (b, a)
    } else {
        (a, b)
    };
    let mut peak = large.peak.max(small.peak);
    let mut done = i64::MIN;
    for (time, _) in &small.times {
        if *time < done {
            continue;
        }
        // One look covers the times of the smaller one up to the end of the stretch.
        done = time.saturating_add(days);
        let from = time.saturating_sub(days);
        let until = done.saturating_add(days);
        let range = (from, 0)..(until, 0);
        let mut near: Vec<(i64, u32)> = large.times.range(range.clone()).copied().collect();
        near.extend(small.times.range(range));
        near.sort_unstable();
        peak = peak.max(most_within(&near, days));
    }
    peak
}

/// Most distinct values in one stretch `[time, time + days)` of sorted observations.
fn most_within(times: &[(i64, u32)], days: i64) -> u32 {
    let mut inside: HashMap<u32, u32> = HashMap::new();
    let mut start = 0;
    let mut most = 0;
    for (time, value) in times {
        *inside.entry(*value).or_default() += 1;
        while let Some((first, gone)) = times.get(start)
            && first.saturating_add(days) <= *time
        {
            start += 1;
            if let Some(left) = inside.get_mut(gone) {
                *left -= 1;
                if *left == 0 {
                    inside.remove(gone);
                }
            }
        }
        most = most.max(inside.len());
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}
