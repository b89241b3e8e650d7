//! A run over the touched groups alone gives what a run over everything gives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use crate::support::{Assignment, Row, assignment, options, partition, parts, record, rows, run};
use kinfold_identity::{
    BlockedValues, Checked, GraphBuilder, Index, LinkKind, Resolution, Rules, TypeRules,
};
use proptest::prelude::*;

const TYPES: [&str; 3] = ["user", "email", "device"];

/// Resolves what a change touches, as a caller does; none if everything has to be.
fn part(
    old: &[Row],
    new: &[Row],
    rules: &Rules,
    before: &Assignment,
    index: &Index,
) -> Option<(Resolution, Assignment, Index, usize)> {
    let mut touched = index.touch();
    let changed: BTreeSet<&str> = old
        .iter()
        .filter(|row| !new.contains(row))
        .chain(new.iter().filter(|row| !old.contains(row)))
        .map(|row| row.record.as_str())
        .collect();
    let concerned = |row: &&Row| changed.contains(row.record.as_str());
    for row in old.iter().filter(concerned) {
        if new.contains(row) {
            touched.kept(&row.observation());
        } else {
            touched.removed(&row.observation());
        }
    }
    for row in new
        .iter()
        .filter(concerned)
        .filter(|row| !old.contains(row))
    {
        touched.added(&row.observation());
    }
    if touched.everybody() {
        return None;
    }
    let mut graph = GraphBuilder::new(BlockedValues::default())
        .with_rules(rules.clone())
        .unwrap()
        .part_of(index);
    let needed: Vec<&Row> = new
        .iter()
        .filter(|row| touched.contains(&row.id_type, &row.value) || concerned(row))
        .collect();
    for row in &needed {
        graph.observe(&row.observation()).unwrap();
    }
    let mut graph = match graph.check() {
        Checked::Sound(graph) => graph,
        Checked::Failing(mut replay) => {
            for row in &needed {
                replay.observe(&row.observation()).unwrap();
            }
            replay.finish()
        }
    };
    let mut merged = Assignment::new();
    for (key, (id, minted_at)) in before {
        if touched.contains(&key.0, &key.1) {
            graph.previous(&key.0, &key.1, *id, *minted_at).unwrap();
        } else {
            graph.retire(*id);
            merged.insert(key.clone(), (*id, *minted_at));
        }
    }
    let resolution = graph.resolve(&options(2));
    merged.extend(assignment(&resolution));
    let index = index.replace(&touched, &resolution.index());
    Some((resolution, merged, index, needed.len()))
}

fn equal(old: &[Row], new: &[Row], rules: &Rules) -> Result<Option<usize>, TestCaseError> {
    let first = run(old, rules, &Assignment::new(), 1);
    let before = assignment(&first);
    let index = Index::from_bytes(first.index().as_bytes().to_vec()).unwrap();
    let whole = run(new, rules, &before, 2);
    let Some((resolution, merged, index, rows)) = part(old, new, rules, &before, &index) else {
        return Ok(None);
    };
    prop_assert_eq!(&merged, &assignment(&whole));
    prop_assert_eq!(resolution.changes(), whole.changes());
    prop_assert_eq!(resolution.diff(), whole.diff());
    prop_assert_eq!(index, whole.index());
    for row in new {
        let told = whole.verdict_of(&row.observation());
        let same = [&first, &resolution].map(|one| one.verdict_of(&row.observation()) == told);
        prop_assert!(same.contains(&true), "{row:?}: {told:?}");
    }
    Ok(Some(rows))
}

fn any_rows(most: usize, offset: i64) -> impl Strategy<Value = Vec<Row>> {
    let row = (0_u8..20, 0..TYPES.len(), 1_u8..9, 0_u8..30);
    prop::collection::vec(row, 0..most).prop_map(move |rows| {
        let rows = rows.into_iter().zip(offset..);
        rows.map(|((record, id_type, value, link), at)| Row {
            record: format!("r{record}"),
            id_type: TYPES[id_type].to_owned(),
            value: format!("v{value}"),
            at: Some(at),
            link: match link {
                0 => LinkKind::Include,
                1 => LinkKind::Exclude,
                2 | 3 => LinkKind::Link(f64::from(value)),
                _ => LinkKind::None,
            },
        })
        .collect()
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    (
        prop::option::of(1_u32..3),
        any::<bool>(),
        prop::option::of(1_u64..4),
        prop::option::weighted(0.2, 3_u64..9),
    )
        .prop_map(|(users, one, records, max_identifiers)| {
            let user = TypeRules::new("user");
            Rules {
                types: vec![
                    users.map_or(user.clone(), |most| user.at_most(most)),
                    TypeRules {
                        one: one.then(|| "user".to_owned()),
                        ..TypeRules::new("email")
                    },
                    TypeRules {
                        max_records: records,
                        ..TypeRules::new("device")
                    },
                ],
                max_identifiers,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_part_is_resolved_like_the_whole(
        old in any_rows(40, 0),
        more in any_rows(5, 100),
        gone in prop::collection::btree_set(0_usize..40, 0..4),
        rules in any_rules(),
    ) {
        let mut new: Vec<Row> = old.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, row)| row.clone()).collect();
        new.extend(more);
        equal(&old, &new, &rules)?;
    }
}

#[test]
fn little_is_read_for_a_small_change() {
    let old: Vec<Row> = (1..=100)
        .flat_map(|n| record(&format!("r{n}"), n, &format!("user=u{n} device=d{}", n / 2)))
        .collect();
    let mut new = old.clone();
    new.extend(rows(&["200 user=u7 email=e", "201 user=fresh"]));
    // u6, u7 and their device, and the new rows.
    assert_eq!(equal(&old, &new, &Rules::default()).unwrap(), Some(4 + 3));
    new.retain(|row| row.record != "r50");
    assert_eq!(
        equal(&old, &new, &Rules::default()).unwrap(),
        Some(4 + 3 + 2)
    );
}

#[test]
fn hubs_are_known_without_their_rows_and_only_their_losses_need_everything() {
    let rules = Rules {
        types: vec![
            TypeRules::new("user"),
            TypeRules {
                max_records: Some(2),
                ..TypeRules::new("email")
            },
        ],
        ..Rules::default()
    };
    let old = rows(&[
        "1 user=a email=hub",
        "2 user=b email=hub",
        "3 user=c email=hub",
        "4 user=d",
    ]);
    let mut new = old.clone();
    new.extend(rows(&["5 user=d email=hub", "6 user=e email=hub"]));
    assert_eq!(equal(&old, &new, &rules).unwrap(), Some(5));
    let fewer: Vec<Row> = old
        .iter()
        .filter(|row| row.record != "3 user=c email=hub")
        .cloned()
        .collect();
    assert_eq!(equal(&old, &fewer, &rules).unwrap(), None);
}

#[test]
fn an_index_is_bytes_and_other_bytes_are_none() {
    let resolution = run(
        &rows(&["1 user=a device=d", "2 user=b"]),
        &Rules::default(),
        &Assignment::new(),
        1,
    );
    let index = resolution.index();
    assert_eq!(index.len(), 3);
    assert_eq!(
        partition(&assignment(&resolution)),
        parts(&["user=a device=d", "user=b"])
    );
    let bytes = index.as_bytes().to_vec();
    assert_eq!(Index::from_bytes(bytes.clone()), Ok(index));
    assert!(Index::from_bytes(bytes[1..].to_vec()).is_err());
    assert!(Index::from_bytes(bytes[..bytes.len() - 1].to_vec()).is_err());
    let mut twice = bytes.clone();
    twice.extend_from_slice(&bytes[8..]);
    assert!(Index::from_bytes(twice).is_err());
    assert!(
        Index::from_bytes(Index::default().as_bytes().to_vec())
            .unwrap()
            .is_empty()
    );
}
