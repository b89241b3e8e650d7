//! What the name of a job holds of the rows that are not in it.
//!
//! After a crash only the name is there again, so whatever calls before the job have settled must be in it.

use kinfold_sync::{FailureClass, JobHandle, Outcome};
use serde_json::{Map, Value, json};

/// No `keep` can have this name.
const MEMBER: &str = "#";
/// What a call may still keep beside the rows, in bytes.
const SPARE: usize = 1 << 10;
const CLASSES: &[FailureClass] = &[
    FailureClass::InvalidRow,
    FailureClass::Conflict,
    FailureClass::MissingRow,
    FailureClass::TooLarge,
    FailureClass::Unauthorized,
    FailureClass::Misconfigured,
    FailureClass::RateLimited,
    FailureClass::Unavailable,
    FailureClass::Unreachable,
    FailureClass::TimedOut,
    FailureClass::ConnectionLost,
    FailureClass::MalformedAnswer,
    FailureClass::JobLost,
    FailureClass::NotSent,
];

/// The rows of a batch that became a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Positions of the rows in the request that made the job, in its order.
    pub(super) members: Vec<usize>,
    /// The outcome of each row that has one without the job.
    pub(super) settled: Vec<Option<Outcome>>,
}

impl Held {
    /// A job of all of so many rows.
    pub(super) fn all(rows: usize) -> Self {
        Self {
            members: (0..rows).collect(),
            settled: vec![None; rows],
        }
    }

    /// A job of some rows. The others have their outcome, or nothing more was to be done for them.
    pub(super) fn of(members: &[usize], settled: &[Option<Outcome>]) -> Self {
        let mut settled = settled.to_vec();
        let mut inside = vec![false; settled.len()];
        for at in members {
            if let Some(slot) = inside.get_mut(*at) {
                *slot = true;
            }
        }
        for (slot, inside) in settled.iter_mut().zip(inside) {
            if !inside {
                slot.get_or_insert(Outcome::Delivered);
            }
        }
        Self {
            members: members.to_vec(),
            settled,
        }
    }

    /// Whether a row waits for the end of the job.
    pub(super) fn waits(&self) -> bool {
        self.settled.iter().any(Option::is_none)
    }

    /// Whether the job has all rows.
    pub(super) fn is_all(&self) -> bool {
        self.settled.iter().all(Option::is_none)
    }

    /// The name of a job with what was kept; `None` if it would be too long.
    pub(super) fn handle(&self, kept: &Map<String, Value>) -> Option<JobHandle> {
        if self.is_all() {
            return JobHandle::new(Value::Object(kept.clone()).to_string());
        }
        // Rather without words than not at all.
        [true, false]
            .iter()
            .find_map(|words| JobHandle::new(self.text(kept, *words)))
    }

    /// Whether the name will not be too long, before there is a job.
    pub(super) fn fits(&self, kept: &Map<String, Value>) -> bool {
        self.is_all() || self.text(kept, false).len() <= JobHandle::MAX_BYTES - SPARE
    }

    fn text(&self, kept: &Map<String, Value>, words: bool) -> String {
        let mut groups: Vec<(Value, Vec<usize>)> = Vec::new();
        for (at, outcome) in self.settled.iter().enumerate() {
            let Some(outcome) = outcome else { continue };
            let said = match outcome.failure() {
                None => json!([outcome.as_str()]),
                Some((class, message)) => {
                    let plain = message.chars().filter(|letter| !letter.is_control());
                    let message: String = if words {
                        plain.collect()
                    } else {
                        String::new()
                    };
                    json!([outcome.as_str(), class.as_str(), message])
                }
            };
            match groups.iter_mut().find(|(known, _)| *known == said) {
                Some((_, rows)) => rows.push(at),
                None => groups.push((said, vec![at])),
            }
        }
        let settled: Vec<Value> = groups
            .into_iter()
            .map(|(said, rows)| json!([said, ranges(&rows)]))
            .collect();
        let mut all = kept.clone();
        let held = json!([self.settled.len(), ranges(&self.members), settled]);
        all.insert(MEMBER.to_owned(), held);
        Value::Object(all).to_string()
    }

    /// Takes the rows out of what a name holds. `None` if they are not those of this batch.
    pub(super) fn take(named: &mut Map<String, Value>, rows: usize) -> Option<Self> {
        let Some(held) = named.remove(MEMBER) else {
            return Some(Self::all(rows));
        };
        if held.get(0)?.as_u64() != u64::try_from(rows).ok() {
            return None;
        }
        let mut settled = vec![None; rows];
        for group in held.get(2)?.as_array()? {
            let outcome = outcome(group.get(0)?)?;
            for at in positions(group.get(1)?, rows)? {
                *settled.get_mut(at)? = Some(outcome.clone());
            }
        }
        Some(Self {
            members: positions(held.get(1)?, rows)?,
            settled,
        })
    }
}

fn outcome(said: &Value) -> Option<Outcome> {
    let word = said.get(0)?.as_str()?;
    if word == Outcome::Delivered.as_str() {
        return Some(Outcome::Delivered);
    }
    let name = said.get(1)?.as_str()?;
    let class = *CLASSES.iter().find(|class| class.as_str() == name)?;
    let message = match said.get(2)?.as_str()? {
        "" => "settled before the job was made".to_owned(),
        message => message.to_owned(),
    };
    match word {
        "rejected" => Some(Outcome::Rejected { class, message }),
        "retryable" => Some(Outcome::Retryable { class, message }),
        "unknown" => Some(Outcome::Unknown { class, message }),
        _ => None,
    }
}

/// Ascending positions as a start and a length each, in one list.
fn ranges(positions: &[usize]) -> Vec<usize> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for at in positions {
        match found.last_mut() {
            Some((start, length)) if *start + *length == *at => *length += 1,
            _ => found.push((*at, 1)),
        }
    }
    found
        .into_iter()
        .flat_map(|(start, length)| [start, length])
        .collect()
}

/// The positions of ranges, none of which is beyond the rows.
fn positions(ranges: &Value, rows: usize) -> Option<Vec<usize>> {
    let numbers = ranges.as_array()?.iter();
    let numbers: Option<Vec<usize>> = numbers
        .map(|number| usize::try_from(number.as_u64()?).ok())
        .collect();
    let mut found = Vec::new();
    for range in numbers?.chunks(2) {
        let [start, length] = range else { return None };
        let end = start.checked_add(*length).filter(|end| *end <= rows)?;
        found.extend(*start..end);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Map<String, Value> {
        Map::from_iter([("job".to_owned(), Value::from("7"))])
    }

    #[test]
    fn what_a_name_holds_comes_back() {
        let rejected = Outcome::Rejected {
            class: FailureClass::Conflict,
            message: "in \"use\"".to_owned(),
        };
        let before = [None, Some(rejected), None, Some(Outcome::Delivered), None];
        let held = Held::of(&[0, 2], &before);
        assert_eq!(held.settled[4], Some(Outcome::Delivered));
        let handle = held
            .handle(&kept())
            .map(|handle| handle.as_str().to_owned());
        let mut named = handle
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        assert_eq!(Held::take(&mut named, 5), Some(held.clone()));
        assert_eq!(named, kept());
        let mut named = handle
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        assert_eq!(Held::take(&mut named, 4), None);
    }

    #[test]
    fn a_name_that_would_be_too_long_is_known_before() {
        let odd: Vec<usize> = (0..5_000).filter(|at| at % 2 == 1).collect();
        assert!(!Held::of(&odd, &vec![None; 5_000]).fits(&kept()));
        assert!(Held::all(1_000_000).fits(&kept()));
        assert_eq!(
            Held::all(9)
                .handle(&kept())
                .map(|handle| handle.as_str().len()),
            Some(11)
        );
    }
}
