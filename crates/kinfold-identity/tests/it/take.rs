//! Batches that were made ready elsewhere are taken like rows one by one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use crate::support::{Assignment, Row, assignment, options, record, run};
use kinfold_identity::{
    BlockedValues, CanonicalId, Checked, FirstRow, GraphBuilder, LinkKind, Observation, Preparer,
    Resolution, Rules, TypeRules, Verdict,
};
use proptest::prelude::*;

/// The same as [`run`], batch by batch; each batch is made ready on its own, the last one first.
fn in_batches(rows: &[Row], rules: &Rules, before: &Assignment, size: usize) -> Resolution {
    let mut graph = GraphBuilder::new(BlockedValues::default())
        .with_rules(rules.clone())
        .unwrap();
    let preparer = graph.preparer();
    let batches: Vec<_> = rows
        .chunks(size)
        .map(|rows| preparer.prepare(rows.iter().map(Row::observation)).unwrap())
        .collect();
    for batch in batches.iter().rev() {
        graph.take(batch).unwrap();
    }
    let mut graph = match graph.check() {
        Checked::Sound(graph) => graph,
        Checked::Failing(mut replay) => {
            for row in rows {
                replay.observe(&row.observation()).unwrap();
            }
            replay.finish()
        }
    };
    let before: Vec<_> = before
        .iter()
        .map(|((id_type, value), (id, minted_at))| (&**id_type, &**value, *id, *minted_at))
        .collect();
    for part in before.chunks(size) {
        let batch = preparer.previous(part.iter().copied()).unwrap();
        graph.take_previous(&batch).unwrap();
    }
    graph.resolve(&options(2))
}

fn any_row() -> impl Strategy<Value = Row> {
    let value = prop_oneof![
        10 => (1_u8..9).prop_map(|value| format!("v{value}")),
        1 => Just("null".to_owned()),
        1 => Just(" ".to_owned()),
        1 => Just("long-long-long".to_owned()),
    ];
    let kind = prop::sample::select(vec!["user", "email", "device", "other"]);
    (0_u8..16, kind, value, 0_u8..30, prop::option::of(0_i64..9)).prop_map(
        |(record, id_type, value, link, at)| Row {
            record: format!("r{record}"),
            id_type: id_type.to_owned(),
            value,
            at,
            link: match link {
                0 => LinkKind::Include,
                1 => LinkKind::Exclude,
                2 | 3 => LinkKind::Link(2.5),
                _ => LinkKind::None,
            },
        },
    )
}

fn rules() -> Rules {
    Rules {
        types: vec![
            TypeRules::new("user").at_most(2),
            TypeRules {
                max_records: Some(3),
                max_length: Some(9),
                ..TypeRules::new("email")
            },
        ],
        max_identifiers: Some(7),
    }
}

/// Rows of records that a reading by batches names.
fn records(resolution: &Resolution, rows: &[Row], size: usize) -> BTreeMap<String, usize> {
    let (preparer, met) = (resolution.preparer(), resolution.records_met());
    let mut found = BTreeMap::new();
    for rows in rows.chunks(size) {
        let batch = preparer.prepare(rows.iter().map(Row::observation)).unwrap();
        let verdicts = resolution.verdicts(&batch);
        for FirstRow { row, first_id } in resolution.first_of_records(&batch, &verdicts, &met) {
            assert!(matches!(verdicts[row], Verdict::Accepted(_)));
            assert_eq!(first_id, None);
            *found.entry(rows[row].record.clone()).or_default() += 1;
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn batches_are_taken_like_rows(
        rows in prop::collection::vec(any_row(), 0..60),
        size in 1_usize..20,
        ruled in any::<bool>(),
    ) {
        let rules = if ruled { rules() } else { Rules::default() };
        let before = assignment(&run(&rows[..rows.len() / 2], &rules, &Assignment::new(), 1));
        let one_by_one = run(&rows, &rules, &before, 2);
        let batched = in_batches(&rows, &rules, &before, size);
        prop_assert_eq!(assignment(&batched), assignment(&one_by_one));
        prop_assert_eq!(batched.changes(), one_by_one.changes());
        prop_assert_eq!(batched.alarms(), one_by_one.alarms());
        prop_assert_eq!(batched.summary(), one_by_one.summary());
        let seen: Vec<_> = batched.identifiers().collect();
        prop_assert_eq!(seen, one_by_one.identifiers().collect::<Vec<_>>());
        let batch = batched.preparer().prepare(rows.iter().map(Row::observation)).unwrap();
        let verdicts: Vec<Verdict> = rows.iter().map(|row| one_by_one.verdict_of(&row.observation())).collect();
        prop_assert_eq!(batched.verdicts(&batch), verdicts.clone());
        let mut expected: BTreeMap<String, usize> = BTreeMap::new();
        for (row, verdict) in rows.iter().zip(verdicts) {
            if row.link == LinkKind::None && matches!(verdict, Verdict::Accepted(_)) {
                expected.insert(row.record.clone(), 1);
            }
        }
        prop_assert_eq!(records(&batched, &rows, size), expected);
    }
}

/// Canonical ids of the records that a reading by batches names, and which they had first.
fn ids_of_records(
    resolution: &Resolution,
    rows: &[Row],
    firsts: &BTreeMap<String, CanonicalId>,
) -> BTreeMap<String, (CanonicalId, CanonicalId)> {
    let (preparer, mut met) = (resolution.preparer(), resolution.records_met());
    for (record, id) in firsts {
        let first = resolution.first_of("test", record, *id);
        first.into_iter().for_each(|first| met.recall(first));
    }
    let batch = preparer.prepare(rows.iter().map(Row::observation)).unwrap();
    let verdicts = resolution.verdicts(&batch);
    let rows_of = resolution.first_of_records(&batch, &verdicts, &met);
    let ids = rows_of.into_iter().map(|FirstRow { row, first_id }| {
        let id = match verdicts[row] {
            Verdict::Accepted(id) => Some(id),
            _ => None,
        };
        let id = id.unwrap();
        (rows[row].record.clone(), (id, first_id.unwrap_or(id)))
    });
    ids.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_record_keeps_the_id_that_it_had_first(
        histories in prop::collection::vec(prop::collection::vec(any_row(), 0..40), 1..4),
        ruled in any::<bool>(),
    ) {
        let rules = if ruled { rules() } else { Rules::default() };
        let (mut before, mut firsts) = (Assignment::new(), BTreeMap::new());
        for rows in &histories {
            let resolution = run(rows, &rules, &before, 1);
            let ids = ids_of_records(&resolution, rows, &firsts);
            for (record, (id, first)) in &ids {
                prop_assert_eq!(*first, firsts.get(record).copied().unwrap_or(*id));
            }
            firsts = ids.into_iter().map(|(record, (_, first))| (record, first)).collect();
            before = assignment(&resolution);
        }
    }
}

#[test]
fn values_keep_their_text_and_places() {
    let rows: Vec<Row> = (0..3000)
        .flat_map(|n| record(&format!("r{n}"), n, &format!("user=u{n} device=d{}", n / 3)))
        .collect();
    let whole = run(&rows, &Rules::default(), &Assignment::new(), 1);
    let batched = in_batches(&rows, &Rules::default(), &Assignment::new(), 2048);
    assert_eq!(
        assignment(&batched),
        assignment(&whole)
            .into_iter()
            .map(|(key, (id, _))| (key, (id, 2)))
            .collect()
    );
    let all: Vec<_> = batched.identifiers().collect();
    let parts: Vec<_> = batched
        .identifiers_in(0..100)
        .chain(batched.identifiers_in(100..4000))
        .collect();
    assert_eq!(parts, all);
    assert_eq!(batched.identifiers_in(3999..4001).len(), 0);
}

#[test]
fn neighbours_of_two_sources_are_two_records() {
    let preparer: Preparer = GraphBuilder::new(BlockedValues::default()).preparer();
    let row = |source, value| Observation {
        source: Some(source),
        record_id: Some("1"),
        id_type: Some("user"),
        id_value: Some(value),
        observed_at: None,
        link: LinkKind::None,
    };
    let batch = preparer
        .prepare([row("a", "x"), row("b", "y"), row("a", "z")].into_iter())
        .unwrap();
    assert_eq!(batch.len(), 3);
    let mut graph = GraphBuilder::new(BlockedValues::default());
    graph.take(&batch).unwrap();
    let resolution = graph.resolve(&options(1));
    let ids = assignment(&resolution);
    let id = |value: &str| ids[&("user".to_owned(), value.to_owned())].0;
    assert_eq!(id("x"), id("z"));
    assert_ne!(id("x"), id("y"));
}
