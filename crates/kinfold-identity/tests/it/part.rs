//! Rows that come on top of what is published give what all rows together give.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Assignment, Key, Row, assignment, options, rows, run};
use kinfold_identity::{
    BlockedValues, CanonicalId, Checked, GraphBuilder, Identifier, LinkKind, Resolution, Rules,
    TypeRules, Verdict,
};
use proptest::prelude::*;

/// The relation: canonical id, time of minting, first and last seen.
type Published = BTreeMap<Key, (CanonicalId, i64, Option<i64>, Option<i64>)>;

fn published(resolution: &Resolution) -> Published {
    let rows = resolution.identifiers().map(|row| {
        (
            (row.id_type.to_owned(), row.id_value.to_owned()),
            (
                row.canonical_id,
                row.minted_at,
                row.first_seen,
                row.last_seen,
            ),
        )
    });
    rows.collect()
}

fn records(rows: &[Row], resolution: &Resolution) -> BTreeMap<String, CanonicalId> {
    let of = |row: &Row| match resolution.verdict_of(&row.observation()) {
        Verdict::Accepted(id) if row.link == LinkKind::None => Some((row.record.clone(), id)),
        _ => None,
    };
    rows.iter().filter_map(of).collect()
}

fn all_of(relation: &Published, whose: impl Fn(CanonicalId) -> bool) -> Published {
    let rows = relation.iter().filter(|(_, (id, ..))| whose(*id));
    rows.map(|(key, row)| (key.clone(), *row)).collect()
}

fn member<'m>(
    id_type: &'m str,
    id_value: &'m str,
    (canonical_id, minted_at, first_seen, last_seen): &(CanonicalId, i64, Option<i64>, Option<i64>),
) -> Identifier<'m> {
    Identifier {
        id_type,
        id_value,
        canonical_id: *canonical_id,
        minted_at: *minted_at,
        first_seen: *first_seen,
        last_seen: *last_seen,
    }
}

fn give(graph: &mut GraphBuilder, rows: &Published) {
    for ((id_type, value), row) in rows {
        graph.member(&member(id_type, value, row)).unwrap();
    }
}

/// What a caller does who has the relation and the records only; none if that does not do.
fn amend(
    new: &[Row],
    rules: &Rules,
    relation: &Published,
    records: &BTreeMap<String, CanonicalId>,
) -> Option<Resolution> {
    let mut graph = GraphBuilder::new(BlockedValues::default())
        .with_rules(rules.clone())
        .unwrap();
    let batch = graph.preparer().prepare(new.iter().map(Row::observation));
    graph.take(&batch.unwrap()).unwrap();
    let named: Vec<Key> = graph
        .named()
        .map(|(id_type, value)| (id_type.to_owned(), value.to_owned()))
        .collect();
    let mut met = BTreeMap::new();
    for (place, key) in named.iter().enumerate() {
        if let Some(row) = relation.get(key)
            && graph.meets(place)
        {
            met.insert(key.clone(), (place, *row));
        }
    }
    assert!(!graph.meets(named.len()), "nothing has this place");
    let known: Vec<_> = records
        .iter()
        .filter(|(record, _)| graph.meets_record("test", record))
        .collect();
    let choices = graph.first_choices(&options(2));
    if relation.values().any(|(id, ..)| choices.contains(id)) {
        return None;
    }
    let of_met: BTreeSet<CanonicalId> = met.values().map(|(_, (id, ..))| *id).collect();
    let by_record: BTreeSet<CanonicalId> = known.iter().map(|(_, id)| **id).collect();
    let whole: BTreeSet<CanonicalId> = match graph.weighs_identifiers() {
        true => of_met.union(&by_record).copied().collect(),
        false => by_record,
    };
    for ((id_type, value), (place, row)) in &met {
        let member = member(id_type, value, row);
        graph.member_at(*place, &member).unwrap();
    }
    give(&mut graph, &all_of(relation, |id| whole.contains(&id)));
    for (record, id) in known {
        graph.record_of("test", record, *id).unwrap();
    }
    let joined = graph.joined();
    give(&mut graph, &all_of(relation, |id| joined.contains(&id)));
    match graph.check() {
        Checked::Sound(graph) => {
            let resolution = graph.resolve(&options(2));
            (!resolution.hinges_on_rows()).then_some(resolution)
        }
        Checked::Failing(_) => None,
    }
}

/// Whether the new rows could be added; that the result is that of all rows if so.
fn equal(old: &[Row], new: &[Row], rules: &Rules) -> Result<bool, TestCaseError> {
    let first = run(old, rules, &Assignment::new(), 1);
    if first.hinges_on_rows() {
        return Ok(false);
    }
    let before = published(&first);
    let records_before = records(old, &first);
    let Some(part) = amend(new, rules, &before, &records_before) else {
        return Ok(false);
    };
    let all: Vec<Row> = old.iter().chain(new).cloned().collect();
    let whole = run(&all, rules, &assignment(&first), 2);
    prop_assert!(!whole.hinges_on_rows());
    let mut merged = before.clone();
    merged.extend(published(&part));
    prop_assert_eq!(merged, published(&whole));
    prop_assert_eq!(part.changes(), whole.changes());
    prop_assert!(part.alarms().is_empty() && whole.alarms().is_empty());
    for row in new {
        let row = row.observation();
        prop_assert_eq!(part.verdict_of(&row), whole.verdict_of(&row));
    }
    // People who are merged move as a whole.
    let now = published(&part);
    let mut moved: BTreeMap<CanonicalId, CanonicalId> = BTreeMap::new();
    for (key, (id, ..)) in &before {
        if let Some((into, ..)) = now.get(key) {
            prop_assert_eq!(*moved.entry(*id).or_insert(*into), *into);
        }
    }
    let mut records_now = records_before.clone();
    for id in records_now.values_mut() {
        *id = *moved.get(id).unwrap_or(id);
    }
    records_now.extend(records(new, &part));
    prop_assert_eq!(records_now, records(&all, &whole));
    Ok(true)
}

fn any_rows(most: usize, from: i64) -> impl Strategy<Value = Vec<Row>> {
    let kind = prop::sample::select(vec!["user", "email", "device"]);
    let row = (
        0_u8..40,
        kind,
        0_u8..30,
        prop::option::weighted(0.9, 0_i64..50),
    );
    prop::collection::vec(row, 0..most).prop_map(move |rows| {
        let rows = rows.into_iter().map(|(record, id_type, value, at)| Row {
            record: format!("r{record}"),
            id_type: id_type.to_owned(),
            value: if value == 0 {
                "null".to_owned()
            } else {
                format!("v{value}")
            },
            at: at.map(|at| at + from),
            link: LinkKind::None,
        });
        rows.collect()
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    (
        prop::option::of(2_u32..5),
        any::<bool>(),
        prop::option::of(8_u64..20),
    )
        .prop_map(|(users, one, max_identifiers)| Rules {
            types: vec![
                match users {
                    None => TypeRules::new("user"),
                    Some(most) => TypeRules::new("user").at_most(most),
                },
                TypeRules {
                    one: one.then(|| "user".to_owned()),
                    ..TypeRules::new("email")
                },
            ],
            max_identifiers,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn added_rows_are_resolved_like_all(
        old in any_rows(50, 0),
        new in any_rows(12, 20),
        rules in any_rules(),
    ) {
        equal(&old, &new, &rules)?;
    }

    #[test]
    fn without_rules_rows_can_always_be_added(
        old in any_rows(60, 0),
        new in any_rows(25, 20),
    ) {
        prop_assert!(equal(&old, &new, &Rules::default())?);
    }
}

#[test]
fn what_hinges_on_rows_is_not_amended() {
    let one = |rules: TypeRules| Rules {
        types: vec![rules],
        ..Rules::default()
    };
    let hubs = one(TypeRules {
        max_records: Some(9),
        ..TypeRules::new("user")
    });
    let old = rows(&["1 user=a device=d", "2 user=b"]);
    let new = rows(&["3 user=b device=d"]);
    assert!(equal(&old, &new, &Rules::default()).unwrap());
    assert!(
        !equal(&old, &new, &hubs).unwrap(),
        "rows of each value count"
    );
    let strict = one(TypeRules::new("user").at_most(1));
    assert!(
        !equal(&old, &new, &strict).unwrap(),
        "the new row breaks a rule"
    );
    assert!(
        !equal(
            &[old.clone(), new.clone()].concat(),
            &rows(&["4 user=c"]),
            &strict
        )
        .unwrap()
    );
    for link in [LinkKind::Include, LinkKind::Exclude, LinkKind::Link(3.0)] {
        let mut decided = old.clone();
        decided[2].link = link;
        assert!(
            !equal(&decided, &new, &Rules::default()).unwrap(),
            "{link:?}"
        );
        assert!(
            !equal(&new, &decided, &Rules::default()).unwrap(),
            "{link:?}"
        );
    }
}
