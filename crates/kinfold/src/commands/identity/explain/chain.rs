//! Pairs of a linkage as it was published, and the strongest chain of them between two records.

use std::collections::{BTreeMap, VecDeque};

use kinfold_compile::compile::CompiledNode;
use kinfold_engine::judge::{PairPart, PairReport, RecordName};
use serde_json::{Map, Value};

/// A row of a linkage as a pair with its weight in parts. Which level a part is of is not stored.
pub(super) fn stored_pair(row: &Map<String, Value>, linkage: &CompiledNode) -> Option<PairReport> {
    let text = |key: &str| row.get(key)?.as_str();
    let number = |key: &str| row.get(key)?.as_f64();
    let record = |side: &str| {
        let (source, record_id) = (format!("source_{side}"), format!("record_id_{side}"));
        Some(RecordName::from((text(&source)?, text(&record_id)?)))
    };
    let rules = linkage.config.linkage.iter();
    let comparisons = rules.flat_map(|rules| &rules.comparisons);
    let parts = comparisons.map(|comparison| {
        let name = &comparison.name.value;
        PairPart {
            comparison: name.clone(),
            level: None,
            weight: number(&format!("{name}_weight")).unwrap_or(0.0),
            term_frequency: 0.0,
        }
    });
    Some(PairReport {
        left: record("l")?,
        right: record("r")?,
        match_weight: number("match_weight")?,
        match_probability: number("match_probability")?,
        rule: text("rule").map(str::to_owned),
        together: row.get("linked").and_then(Value::as_bool).unwrap_or(false),
        prior_weight: number("prior_weight").unwrap_or(0.0),
        parts: parts.collect(),
        values: vec![],
    })
}

/// The chain between two records whose weakest pair is the strongest: the path in a maximum spanning forest.
/// Records are known by `source/record_id`. None if no chain leads from one to the other.
pub(super) fn strongest(pairs: &[PairReport], from: &str, to: &str) -> Option<Vec<PairReport>> {
    let mut order: Vec<&PairReport> = pairs.iter().collect();
    order.sort_by(|one, two| {
        let weight = two.match_weight.total_cmp(&one.match_weight);
        weight.then_with(|| (&one.left, &one.right).cmp(&(&two.left, &two.right)))
    });
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    let mut parent: Vec<usize> = vec![];
    let mut node = |name: String, parent: &mut Vec<usize>| {
        let next = parent.len();
        *index.entry(name).or_insert_with(|| {
            parent.push(next);
            next
        })
    };
    let mut forest: BTreeMap<usize, Vec<(usize, &PairReport)>> = BTreeMap::new();
    for pair in order {
        let (left, right) = (
            node(pair.left.to_string(), &mut parent),
            node(pair.right.to_string(), &mut parent),
        );
        let (one, two) = (root(&parent, left), root(&parent, right));
        if one != two {
            if let Some(above) = parent.get_mut(one) {
                *above = two;
            }
            forest.entry(left).or_default().push((right, pair));
            forest.entry(right).or_default().push((left, pair));
        }
    }
    let (from, to) = (*index.get(from)?, *index.get(to)?);
    let mut towards: BTreeMap<usize, (usize, &PairReport)> = BTreeMap::new();
    let mut queue = VecDeque::from([to]);
    while let Some(at) = queue.pop_front() {
        for (next, pair) in forest.get(&at).into_iter().flatten() {
            if *next != to && !towards.contains_key(next) {
                towards.insert(*next, (at, pair));
                queue.push_back(*next);
            }
        }
    }
    let mut chain = vec![];
    let mut at = from;
    while at != to {
        let (next, pair) = towards.get(&at)?;
        chain.push((*pair).clone());
        at = *next;
    }
    Some(chain)
}

fn root(parent: &[usize], mut at: usize) -> usize {
    while let Some(above) = parent.get(at).filter(|above| **above != at) {
        at = *above;
    }
    at
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn pair(left: &str, right: &str, weight: f64) -> PairReport {
        PairReport {
            left: ("s", left).into(),
            right: ("s", right).into(),
            match_weight: weight,
            match_probability: 0.5,
            rule: None,
            together: true,
            prior_weight: 0.0,
            parts: vec![],
            values: vec![],
        }
    }

    #[test]
    fn a_chain_is_as_strong_as_its_weakest_pair() {
        let pairs = [
            pair("a", "d", 2.0),
            pair("a", "b", 9.0),
            pair("b", "c", 5.0),
            pair("c", "d", 7.0),
            pair("x", "y", 9.0),
        ];
        let names = |from: &str, to: &str| -> Option<Vec<String>> {
            let chain = strongest(&pairs, from, to)?;
            let name =
                |pair: &PairReport| format!("{}{}", pair.left.record_id, pair.right.record_id);
            Some(chain.iter().map(name).collect())
        };
        assert_eq!(names("s/a", "s/d").unwrap(), ["ab", "bc", "cd"]);
        assert_eq!(names("s/d", "s/b").unwrap(), ["cd", "bc"]);
        assert_eq!(names("s/a", "s/a").unwrap(), Vec::<String>::new());
        assert_eq!(names("s/a", "s/x"), None);
        assert_eq!(names("s/a", "s/nobody"), None);
    }
}
