//! Rows as owned text, and runs over them, for the tests of rules.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use kinfold_identity::{
    BlockedValues, CanonicalId, Checked, GraphBuilder, LinkKind, Observation, Resolution,
    ResolveOptions, Rules, Verdict,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub record: String,
    pub id_type: String,
    pub value: String,
    pub at: Option<i64>,
    pub link: LinkKind,
}

impl Row {
    pub fn observation(&self) -> Observation<'_> {
        Observation {
            source: Some("test"),
            record_id: Some(&self.record),
            id_type: Some(&self.id_type),
            id_value: Some(&self.value),
            observed_at: self.at,
            link: self.link,
        }
    }

    pub fn key(&self) -> Key {
        (self.id_type.clone(), self.value.clone())
    }
}

pub type Key = (String, String);
pub type Assignment = BTreeMap<Key, (CanonicalId, i64)>;

pub fn options(as_of: i64) -> ResolveOptions<'static> {
    ResolveOptions {
        entity: "person",
        salt: "",
        as_of,
    }
}

/// All passes as a caller does them; the second pass sees the rows backwards.
pub fn run(rows: &[Row], rules: &Rules, before: &Assignment, as_of: i64) -> Resolution {
    let mut graph = GraphBuilder::new(BlockedValues::default())
        .with_rules(rules.clone())
        .unwrap();
    for row in rows {
        graph.observe(&row.observation()).unwrap();
    }
    let mut graph = match graph.check() {
        Checked::Sound(graph) => graph,
        Checked::Failing(mut replay) => {
            for row in rows.iter().rev() {
                replay.observe(&row.observation()).unwrap();
            }
            replay.finish()
        }
    };
    for ((id_type, value), (id, minted_at)) in before {
        graph.previous(id_type, value, *id, *minted_at).unwrap();
    }
    graph.resolve(&options(as_of))
}

pub fn assignment(resolution: &Resolution) -> Assignment {
    resolution
        .identifiers()
        .map(|row| {
            (
                (row.id_type.to_owned(), row.id_value.to_owned()),
                (row.canonical_id, row.minted_at),
            )
        })
        .collect()
}

pub fn partition(assignment: &Assignment) -> BTreeSet<BTreeSet<Key>> {
    let mut parts: BTreeMap<CanonicalId, BTreeSet<Key>> = BTreeMap::new();
    for (key, (id, _)) in assignment {
        parts.entry(*id).or_default().insert(key.clone());
    }
    parts.into_values().collect()
}

/// Parses `"type=value type=value"` as the rows of a record.
pub fn record(name: &str, at: i64, identifiers: &str) -> Vec<Row> {
    rows_of(name, at, identifiers, LinkKind::None)
}

pub fn rows_of(name: &str, at: i64, identifiers: &str, link: LinkKind) -> Vec<Row> {
    identifiers
        .split(' ')
        .map(|identifier| {
            let (id_type, value) = identifier.split_once('=').unwrap();
            Row {
                record: name.to_owned(),
                id_type: id_type.to_owned(),
                value: value.to_owned(),
                at: Some(at),
                link,
            }
        })
        .collect()
}

/// `["1 user=a device=d", …]`: one record each, with its time before.
pub fn rows(records: &[&str]) -> Vec<Row> {
    records
        .iter()
        .flat_map(|text| {
            let (at, identifiers) = text.split_once(' ').unwrap();
            record(text, at.parse().unwrap(), identifiers)
        })
        .collect()
}

pub fn key(identifier: &str) -> Key {
    let (id_type, value) = identifier.split_once('=').unwrap();
    (id_type.to_owned(), value.to_owned())
}

/// `["user=a device=d", …]`: the parts that a partition should have.
pub fn parts(parts: &[&str]) -> BTreeSet<BTreeSet<Key>> {
    parts
        .iter()
        .map(|part| part.split(' ').map(key).collect())
        .collect()
}

/// What the second reading says of a row: the rule, or that it holds.
pub fn rule(resolution: &Resolution, row: &Row) -> Option<&'static str> {
    match resolution.verdict_of(&row.observation()) {
        Verdict::Rejected(rule) => Some(rule.as_str()),
        Verdict::Accepted(_) => None,
        Verdict::Ignored => Some("ignored"),
    }
}
