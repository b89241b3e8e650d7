//! The laws of resolution under rules, against a naive replay over the same rows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Assignment, Key, Row, assignment, partition, rule, run};
use kinfold_identity::{Limit, LinkKind, Rules, TypeRules, Verdict};
use proptest::prelude::*;

const DAY: i64 = 86_400_000_000;
const TYPES: [&str; 4] = ["user", "email", "device", "other"];

fn kinds() -> impl Strategy<Value = LinkKind> {
    prop_oneof![
        20 => Just(LinkKind::None),
        3 => (-3_i8..9).prop_map(|weight| LinkKind::Link(f64::from(weight))),
        1 => Just(LinkKind::Include),
        1 => Just(LinkKind::Exclude),
    ]
}

/// Times are distinct, so the order of edges is settled by what the documentation names.
fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0_u8..14,
        0..TYPES.len(),
        0_u8..6,
        any::<u16>(),
        0_u8..10,
        kinds(),
    );
    prop::collection::vec(row, 0..most).prop_map(|rows| {
        let rows = rows.into_iter().enumerate();
        rows.map(
            |(place, (record, id_type, value, hours, timed, link))| Row {
                record: format!("r{record}"),
                id_type: TYPES[id_type].to_owned(),
                value: format!("v{value}"),
                at: (timed > 0).then(|| i64::from(hours % 400) * DAY / 24 + place as i64),
                link,
            },
        )
        .collect()
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let limit = prop::option::of((1_u32..4, prop::option::of(1_u32..8)))
        .prop_map(|limit| limit.map(|(values, days)| Limit { values, days }));
    let of_type = (
        limit,
        prop::option::weighted(0.2, Just(())),
        prop::option::weighted(0.2, 1_u64..5),
    );
    let types = prop::collection::vec(of_type, 0..4);
    let order = Just(TYPES.to_vec()).prop_shuffle();
    (types, order, prop::option::weighted(0.3, 1_u64..8)).prop_map(
        |(types, order, max_identifiers)| Rules {
            types: types
                .into_iter()
                .enumerate()
                .map(|(place, (limit, one, max_records))| TypeRules {
                    limit,
                    one: one.map(|()| order[(place + 1) % 4].to_owned()),
                    max_records,
                    ..TypeRules::new(order[place])
                })
                .collect(),
            max_identifiers,
        },
    )
}

struct Oracle {
    parts: BTreeSet<BTreeSet<Key>>,
    rejected: BTreeMap<(String, Key), &'static str>,
}

/// Sets of keys, times of keys, and every rule spelled out over whole sets.
struct Naive<'a> {
    rules: &'a Rules,
    times: BTreeMap<Key, BTreeSet<i64>>,
    excludes: Vec<BTreeSet<Key>>,
}

impl Naive<'_> {
    fn count(part: &BTreeSet<Key>, id_type: &str) -> usize {
        part.iter().filter(|key| key.0 == id_type).count()
    }

    fn within(&self, part: &BTreeSet<Key>, id_type: &str, days: Option<u32>) -> usize {
        let Some(days) = days else {
            return Self::count(part, id_type);
        };
        let of_type = || part.iter().filter(|key| key.0 == id_type);
        let untimed = of_type().filter(|key| self.times[*key].is_empty()).count();
        let starts: Vec<i64> = of_type()
            .flat_map(|key| self.times[key].iter().copied())
            .collect();
        let seen = starts.iter().map(|start| {
            let stretch = *start..start + i64::from(days) * DAY;
            of_type()
                .filter(|key| self.times[*key].range(stretch.clone()).next().is_some())
                .count()
        });
        untimed + seen.max().unwrap_or(0)
    }

    fn broken(&self, a: &BTreeSet<Key>, b: &BTreeSet<Key>) -> Option<&'static str> {
        let both: BTreeSet<Key> = a.union(b).cloned().collect();
        let across = |group: &BTreeSet<Key>| !group.is_disjoint(a) && !group.is_disjoint(b);
        if self.excludes.iter().any(across) {
            return Some("excluded");
        }
        for rules in &self.rules.types {
            let name = &rules.id_type;
            if let Some(limit) = rules.limit
                && Self::count(a, name) > 0
                && Self::count(b, name) > 0
                && self.within(&both, name, limit.days) > limit.values as usize
            {
                return Some("limit");
            }
            if let Some(other) = &rules.one {
                let any = |part| Self::count(part, name) + Self::count(part, other) > 0;
                if any(a) && any(b) && Self::count(&both, name) > 0 && Self::count(&both, other) > 1
                {
                    return Some("one");
                }
            }
        }
        let most = self.rules.max_identifiers;
        most.is_some_and(|most| !a.is_empty() && !b.is_empty() && both.len() as u64 > most)
            .then_some("too_large")
    }
}

/// Class (the lowest is best), negative weight.
fn strength(link: LinkKind) -> (u8, i64) {
    match link {
        LinkKind::Include => (0, 0),
        LinkKind::None => (1, 0),
        LinkKind::Link(weight) => (2, -(weight as i64)),
        LinkKind::Exclude => (9, 0),
    }
}

fn oracle(rows: &[Row], rules: &Rules) -> Oracle {
    let mut naive = Naive {
        rules,
        times: BTreeMap::new(),
        excludes: Vec::new(),
    };
    let mut excludes: BTreeMap<&str, BTreeSet<Key>> = BTreeMap::new();
    // (record, key) → best strength, last and first time.
    type Seen = ((u8, i64), i64, i64);
    let mut edges: BTreeMap<(String, Key), Seen> = BTreeMap::new();
    for row in rows {
        if row.link == LinkKind::Exclude {
            excludes.entry(&row.record).or_default().insert(row.key());
            continue;
        }
        naive.times.entry(row.key()).or_default().extend(row.at);
        let edge =
            edges
                .entry((row.record.clone(), row.key()))
                .or_insert(((9, 0), i64::MIN, i64::MAX));
        edge.0 = edge.0.min(strength(row.link));
        edge.1 = edge.1.max(row.at.unwrap_or(i64::MIN));
        edge.2 = edge.2.min(row.at.unwrap_or(i64::MAX));
    }
    naive.excludes = excludes.into_values().collect();
    let mut rejected = BTreeMap::new();
    let mut degrees: BTreeMap<&Key, u64> = BTreeMap::new();
    for ((_, key), (strength, ..)) in &edges {
        *degrees.entry(key).or_default() += u64::from(strength.0 <= 1);
    }
    let most = |key: &Key| {
        rules
            .types
            .iter()
            .find(|r| r.id_type == key.0)
            .and_then(|r| r.max_records)
    };
    let hubs: BTreeSet<Key> = degrees
        .into_iter()
        .filter(|(key, records)| most(key).is_some_and(|most| *records > most))
        .map(|(key, _)| key.clone())
        .collect();
    let mut sorted: Vec<_> = edges
        .into_iter()
        .filter(|(edge, (strength, ..))| {
            let stays = !hubs.contains(&edge.1) || strength.0 == 0;
            if !stays {
                rejected.insert(edge.clone(), "hub");
            }
            stays
        })
        .collect();
    let place = |id_type: &str| {
        let named = rules.types.iter().position(|r| r.id_type == id_type);
        (
            named.unwrap_or(usize::MAX),
            if named.is_some() {
                String::new()
            } else {
                id_type.to_owned()
            },
        )
    };
    sorted.sort_by_key(|((_, key), (strength, last, first))| {
        (*strength, place(&key.0), Reverse(*last), *first)
    });
    // Parts of records and keys; a record is a key with a type that no row has.
    type Part = (BTreeSet<String>, BTreeSet<Key>);
    let mut parts: Vec<Part> = Vec::new();
    for ((record, key), (strength, ..)) in sorted {
        let mut find = |is: &dyn Fn(&Part) -> bool, new: Part| {
            parts.iter().position(is).unwrap_or_else(|| {
                parts.push(new);
                parts.len() - 1
            })
        };
        let a = find(
            &|part| part.0.contains(&record),
            (BTreeSet::from([record.clone()]), BTreeSet::new()),
        );
        let b = find(
            &|part| part.1.contains(&key),
            (BTreeSet::new(), BTreeSet::from([key.clone()])),
        );
        if a == b {
            continue;
        }
        match naive.broken(&parts[a].1, &parts[b].1) {
            Some(rule) if strength.0 > 0 || rule == "excluded" => {
                rejected.insert((record, key), rule);
            }
            _ => {
                let (records, keys) = parts[b].clone();
                parts[a].0.extend(records);
                parts[a].1.extend(keys);
                parts.remove(b);
            }
        }
    }
    Oracle {
        parts: parts
            .into_iter()
            .map(|(_, keys)| keys)
            .filter(|keys| !keys.is_empty())
            .collect(),
        rejected,
    }
}

/// Order among edges that nothing but a fingerprint tells apart is not the oracle's to know.
fn settled(rows: &[Row]) -> bool {
    let mut seen: BTreeMap<(String, Key), ((u8, i64), i64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.link != LinkKind::Exclude) {
        let edge = seen
            .entry((row.record.clone(), row.key()))
            .or_insert(((9, 0), i64::MIN));
        edge.0 = edge.0.min(strength(row.link));
        edge.1 = edge.1.max(row.at.unwrap_or(i64::MIN));
    }
    let mut untimed = BTreeSet::new();
    seen.iter()
        .filter(|(_, (_, last))| *last == i64::MIN)
        .all(|((_, key), (strength, _))| untimed.insert((*strength, key.0.clone())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn people_and_rejected_rows_are_those_of_a_naive_replay(rows in rows(50), rules in rules()) {
        prop_assume!(settled(&rows));
        let resolution = run(&rows, &rules, &Assignment::new(), 1);
        let expected = oracle(&rows, &rules);
        prop_assert_eq!(partition(&assignment(&resolution)), expected.parts);
        let mut refused = 0;
        for row in &rows {
            let told = if row.link == LinkKind::Exclude {
                Some("excluded")
            } else {
                expected.rejected.get(&(row.record.clone(), row.key())).copied()
            };
            prop_assert_eq!(rule(&resolution, row), told, "{:?}", row);
            refused += u64::from(told.is_some());
        }
        let summary = resolution.summary();
        prop_assert_eq!(summary.rejected, refused);
        prop_assert_eq!(summary.accepted, rows.len() as u64 - refused);
    }

    #[test]
    fn order_does_not_matter_under_rules(
        (rows, shuffled) in rows(50).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        rules in rules(),
        before in rows(30),
    ) {
        // Times are cut down to a few, so that fingerprints have to settle most of it.
        let coarse = |rows: Vec<Row>| -> Vec<Row> {
            rows.into_iter().map(|row| Row { at: row.at.map(|at| at / (4 * DAY)), ..row }).collect()
        };
        let (rows, shuffled) = (coarse(rows), coarse(shuffled));
        let before = assignment(&run(&before, &Rules::default(), &Assignment::new(), 1));
        let (a, b) = (run(&rows, &rules, &before, 2), run(&shuffled, &rules, &before, 2));
        prop_assert!(a.identifiers().eq(b.identifiers()));
        prop_assert_eq!(a.changes(), b.changes());
        prop_assert_eq!(a.alarms(), b.alarms());
        prop_assert_eq!(a.rejections(), b.rejections());
        for row in &rows {
            prop_assert_eq!(a.verdict_of(&row.observation()), b.verdict_of(&row.observation()));
        }
    }

    #[test]
    fn a_record_has_one_id(rows in rows(50), rules in rules()) {
        let resolution = run(&rows, &rules, &Assignment::new(), 1);
        let mut ids = BTreeMap::new();
        for row in &rows {
            if let Verdict::Accepted(id) = resolution.verdict_of(&row.observation()) {
                prop_assert_eq!(*ids.entry(&row.record).or_insert(id), id);
                prop_assert_eq!(assignment(&resolution)[&row.key()].0, id);
            }
        }
    }

    #[test]
    fn a_limit_that_comes_and_goes_leaves_the_ids(rows in rows(50), rules in rules()) {
        // Exclusions hold without limits too, and which edges they cost depends on the order of types.
        let rows: Vec<Row> = rows.into_iter().filter(|row| row.link != LinkKind::Exclude).collect();
        let first = assignment(&run(&rows, &Rules::default(), &Assignment::new(), 1));
        let limited = assignment(&run(&rows, &rules, &first, 2));
        let back = assignment(&run(&rows, &Rules::default(), &limited, 3));
        prop_assert_eq!(partition(&back), partition(&first));
        // A hub has no id for a while, and people who are nothing but hubs lose theirs.
        if rules.types.iter().all(|of_type| of_type.max_records.is_none()) {
            prop_assert_eq!(back, first);
        }
    }
}

#[test]
fn rules_without_sense_are_refused() {
    use kinfold_identity::{BlockedValues, GraphBuilder, RulesError};
    let refused = |rules: Rules| {
        GraphBuilder::new(BlockedValues::none())
            .with_rules(rules)
            .err()
    };
    let types = |types: Vec<TypeRules>| Rules {
        types,
        ..Rules::default()
    };
    let twice = types(vec![
        TypeRules::new("a"),
        TypeRules::new("b"),
        TypeRules::new("a"),
    ]);
    assert_eq!(refused(twice), Some(RulesError::TypeTwice("a".to_owned())));
    let zero = types(vec![TypeRules::new("a").at_most(0)]);
    assert_eq!(refused(zero), Some(RulesError::Zero("a".to_owned())));
    let itself = TypeRules {
        one: Some("a".to_owned()),
        ..TypeRules::new("a")
    };
    assert_eq!(
        refused(types(vec![itself])),
        Some(RulesError::OneOfItself("a".to_owned()))
    );
    let none = Rules {
        max_identifiers: Some(0),
        ..Rules::default()
    };
    assert_eq!(refused(none), Some(RulesError::ZeroIdentifiers));
    let mut late = GraphBuilder::new(BlockedValues::none());
    let row = crate::support::rows(&["1 user=a"]);
    late.observe(&row[0].observation()).unwrap();
    assert_eq!(
        late.with_rules(Rules::default()).err(),
        Some(RulesError::AfterRows)
    );
}
