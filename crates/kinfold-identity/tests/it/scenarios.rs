//! Situations that identity systems are known to meet, each with the outcome that we promise.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kinfold_identity::{
    BlockedValues, CanonicalId, ChangeKind, GraphBuilder, GraphError, LinkKind, Observation,
    RejectionRule, Resolution, ResolveOptions, RowOutcome, Verdict,
};

/// `"a b@3"`: one record that carries identifiers `a` and `b`, seen at 3.
fn graph(records: &[&str]) -> GraphBuilder {
    let mut graph = GraphBuilder::new(BlockedValues::default());
    for (number, record) in records.iter().enumerate() {
        let (values, at) = record.split_once('@').unwrap_or((record, "0"));
        let record_id = format!("{number}:{values}");
        for value in values.split(' ') {
            let row = Observation {
                source: Some("test"),
                record_id: Some(&record_id),
                id_type: Some("id"),
                id_value: Some(value),
                observed_at: at.parse().ok(),
                link: LinkKind::None,
            };
            graph.observe(&row).unwrap();
        }
    }
    graph
}

fn options(as_of: i64) -> ResolveOptions<'static> {
    ResolveOptions {
        entity: "person",
        salt: "",
        as_of,
    }
}

fn after(before: &Resolution, records: &[&str], as_of: i64) -> Resolution {
    let mut graph = graph(records);
    for row in before.identifiers() {
        graph
            .previous(row.id_type, row.id_value, row.canonical_id, row.minted_at)
            .unwrap();
    }
    graph.resolve(&options(as_of))
}

fn id(resolution: &Resolution, value: &str) -> CanonicalId {
    match resolution.verdict(Some("id"), Some(value)) {
        Verdict::Accepted(id) => id,
        other => panic!("{value}: {other:?}"),
    }
}

fn kinds(resolution: &Resolution) -> Vec<ChangeKind> {
    resolution
        .changes()
        .iter()
        .map(|change| change.kind)
        .collect()
}

#[test]
fn a_late_bridge_merges_three_and_the_oldest_stays() {
    let first = graph(&["b@5"]).resolve(&options(1));
    let second = after(&first, &["b@5", "a@1", "c@3"], 2);
    let third = after(&second, &["b@5", "a@1", "c@3", "a b c@9"], 3);
    assert_eq!(id(&third, "a"), id(&first, "b"));
    assert_eq!(kinds(&third), [ChangeKind::Merged, ChangeKind::Merged]);
    assert_eq!(third.summary().canonical_ids, 1);
}

#[test]
fn of_one_age_the_first_seen_stays() {
    let first = graph(&["late@5", "early@1"]).resolve(&options(1));
    let second = after(&first, &["late early@7"], 2);
    // All of "early" was seen again at 7 only, so the ids decide between equals.
    let expected = id(&first, "late").min(id(&first, "early"));
    assert_eq!(id(&second, "late"), expected);
    let third = after(&first, &["late@5", "early@1", "late early@7"], 2);
    assert_eq!(id(&third, "late"), id(&first, "early"));
}

#[test]
fn a_record_that_goes_splits_and_the_larger_part_keeps_the_id() {
    let first = graph(&["a b@1", "c d e@2", "b c@3"]).resolve(&options(1));
    let second = after(&first, &["a b@1", "c d e@2"], 2);
    assert_eq!(id(&second, "d"), id(&first, "d"));
    assert_ne!(id(&second, "a"), id(&first, "a"));
    assert_eq!(kinds(&second), [ChangeKind::Split]);
    // The bridge comes back: the older id takes all, the younger one is retired.
    let third = after(&second, &["a b@1", "c d e@2", "b c@3"], 3);
    assert_eq!(id(&third, "a"), id(&first, "a"));
    assert_eq!(kinds(&third), [ChangeKind::Merged]);
}

#[test]
fn an_id_that_loses_its_strongest_part_takes_the_next() {
    let first = graph(&["x1 x2 x3 x4@1"]).resolve(&options(1));
    let second = after(&first, &["x1 x2 x3 x4@1", "y1 y2 y3@2"], 2);
    // x and most of y become one; y3 is left alone.
    let third = after(&second, &["x1 x2 x3 x4@1", "y1 y2 x1@3", "y3@2"], 3);
    assert_eq!(id(&third, "y1"), id(&first, "x1"));
    assert_eq!(id(&third, "y3"), id(&second, "y3"));
    assert_eq!(kinds(&third), [ChangeKind::Reassigned]);
}

#[test]
fn a_pushed_out_id_pushes_a_younger_one_out() {
    let first = graph(&["a1 a2@1"]).resolve(&options(1));
    let second = after(&first, &["a1 a2@1", "b1 b2 b3@2"], 2);
    let third = after(&second, &["a1 a2@1", "b1 b2 b3@2", "c1 c2 c3@3"], 3);
    // b's strongest part falls to a; b takes the part that c would have had; c falls with its rest.
    let fourth = after(&third, &["a1 a2 b1 b2@1", "b3 c1 c2@3", "c3@3"], 4);
    assert_eq!(id(&fourth, "b1"), id(&first, "a1"));
    assert_eq!(id(&fourth, "c1"), id(&second, "b3"));
    assert_eq!(id(&fourth, "c3"), id(&third, "c3"));
    assert_eq!(
        kinds(&fourth),
        [ChangeKind::Reassigned, ChangeKind::Reassigned]
    );
}

#[test]
fn an_id_without_rows_is_deleted_and_not_minted_again() {
    let first = graph(&["a@1"]).resolve(&options(1));
    let second = after(&first, &[], 2);
    assert_eq!(kinds(&second), [ChangeKind::Deleted]);
    assert_eq!(second.summary().canonical_ids, 0);
    let mut again = graph(&["a@1"]);
    again.retire(id(&first, "a"));
    let third = again.resolve(&options(3));
    assert_ne!(id(&third, "a"), id(&first, "a"));
}

#[test]
fn a_long_chain_and_a_large_star_are_one_each() {
    let chain: Vec<String> = (0..20_000).map(|at| format!("n{at} n{}", at + 1)).collect();
    let star: Vec<String> = (0..20_000).map(|at| format!("hub s{at}")).collect();
    let records: Vec<&str> = chain.iter().chain(&star).map(String::as_str).collect();
    let summary = graph(&records).resolve(&options(1)).summary();
    assert_eq!((summary.canonical_ids, summary.largest), (2, 20_001));
}

#[test]
fn placeholders_join_nobody() {
    let resolution = graph(&[
        "a null",
        "b null",
        "c 00000000-0000-0000-0000-000000000000",
        "d -1",
        "e -1",
    ])
    .resolve(&options(1));
    assert_eq!(resolution.summary().canonical_ids, 5);
    assert_eq!(resolution.summary().rejected, 5);
    assert_eq!(
        resolution.verdict(Some("id"), Some("NULL")),
        Verdict::Rejected(RejectionRule::BlockedValue)
    );
    assert_eq!(
        resolution.verdict(Some("id"), Some("nobody")),
        Verdict::Ignored
    );
    assert_eq!(
        resolution.verdict(Some("other"), Some("a")),
        Verdict::Ignored
    );
    assert_eq!(resolution.verdict(None, Some("a")), Verdict::Ignored);
}

#[test]
fn rows_without_a_name_are_ignored() {
    let whole = Observation {
        source: Some("s"),
        record_id: Some("r"),
        id_type: Some("t"),
        id_value: Some("v"),
        observed_at: None,
        link: LinkKind::None,
    };
    let mut graph = GraphBuilder::new(BlockedValues::default());
    for row in [
        Observation {
            source: None,
            ..whole
        },
        Observation {
            record_id: None,
            ..whole
        },
        Observation {
            id_type: None,
            ..whole
        },
        Observation {
            id_type: Some(" "),
            ..whole
        },
        Observation {
            id_value: None,
            ..whole
        },
        Observation {
            id_value: Some(""),
            ..whole
        },
    ] {
        assert_eq!(graph.observe(&row), Ok(RowOutcome::Ignored));
    }
    assert_eq!(graph.observe(&whole), Ok(RowOutcome::Accepted));
    let resolution = graph.resolve(&options(1));
    let found = resolution.identifiers().next().unwrap();
    assert_eq!((found.first_seen, found.last_seen), (None, None));
    assert_eq!(resolution.summary().ignored, 6);
}

#[test]
fn records_of_two_sources_are_not_one() {
    let mut graph = GraphBuilder::new(BlockedValues::none());
    for (source, value) in [("web", "a"), ("crm", "b")] {
        let row = Observation {
            source: Some(source),
            record_id: Some("1"),
            id_type: Some("id"),
            id_value: Some(value),
            observed_at: Some(1),
            link: LinkKind::None,
        };
        graph.observe(&row).unwrap();
    }
    assert_eq!(graph.resolve(&options(1)).summary().canonical_ids, 2);
}

#[test]
fn equal_values_of_two_types_are_two_identifiers() {
    let mut graph = GraphBuilder::new(BlockedValues::none());
    for (record_id, id_type) in [("1", "email"), ("2", "login")] {
        let row = Observation {
            source: Some("s"),
            record_id: Some(record_id),
            id_type: Some(id_type),
            id_value: Some("ann"),
            observed_at: Some(1),
            link: LinkKind::None,
        };
        graph.observe(&row).unwrap();
    }
    assert_eq!(graph.resolve(&options(1)).summary().canonical_ids, 2);
}

#[test]
fn entities_and_salts_have_ids_of_their_own() {
    let ids: std::collections::HashSet<CanonicalId> =
        [("person", ""), ("account", ""), ("person", "pepper")]
            .into_iter()
            .map(|(entity, salt)| {
                let resolution = graph(&["a@1"]).resolve(&ResolveOptions {
                    entity,
                    salt,
                    as_of: 1,
                });
                id(&resolution, "a")
            })
            .collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_previous_assignment_that_contradicts_itself_is_refused() {
    let mut graph = graph(&[]);
    let (one, two) = (CanonicalId::from_u128(1), CanonicalId::from_u128(2));
    graph.previous("id", "a", two, 0).unwrap();
    assert_eq!(graph.previous("id", "a", two, 0), Ok(()));
    assert_eq!(
        graph.previous("id", "a", one, 0),
        Err(GraphError::PreviousConflict(one, two))
    );
}

#[test]
fn too_many_types_are_an_error() {
    let mut graph = GraphBuilder::new(BlockedValues::none());
    let mut last = Ok(RowOutcome::Accepted);
    for number in 0..70_000 {
        let id_type = number.to_string();
        let row = Observation {
            source: Some("s"),
            record_id: Some("r"),
            id_type: Some(&id_type),
            id_value: Some("v"),
            observed_at: None,
            link: LinkKind::None,
        };
        last = graph.observe(&row);
        if last.is_err() {
            break;
        }
    }
    assert_eq!(last, Err(GraphError::TooManyIdTypes));
}
