//! Over-merges that identity systems are known for, each with the outcome that we promise.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use crate::support::{
    Assignment, Row, assignment, key, options, partition, parts, record, rows, rows_of, rule, run,
};
use kinfold_identity::{
    Alarm, AlarmReason, BlockedValues, ChangeKind, Checked, GraphBuilder, Limit, LinkKind, Pattern,
    Rules, TypeRules,
};

/// At most one user, five addresses, any number of devices and phones.
fn usual() -> Rules {
    rules(vec![
        TypeRules::new("user").at_most(1),
        TypeRules::new("email").at_most(5),
        TypeRules::new("phone"),
        TypeRules::new("device"),
    ])
}

fn rules(types: Vec<TypeRules>) -> Rules {
    Rules {
        types,
        ..Rules::default()
    }
}

fn people(rows: &[Row], rules: &Rules) -> BTreeSet<BTreeSet<(String, String)>> {
    partition(&assignment(&run(rows, rules, &Assignment::new(), 1)))
}

fn refused(rows: &[Row], rules: &Rules) -> Vec<(String, &'static str)> {
    let resolution = run(rows, rules, &Assignment::new(), 1);
    rows.iter()
        .filter_map(|row| {
            Some((
                format!("{} {}", row.record, row.id_type),
                rule(&resolution, row)?,
            ))
        })
        .collect()
}

#[test]
fn a_shared_device_goes_to_the_last_who_signed_in() {
    let seen = [
        "1 device=tablet",
        "2 user=ann device=tablet",
        "3 device=tablet",
        "4 user=bob device=tablet",
        "5 user=ann email=ann@home",
    ];
    assert_eq!(
        people(&rows(&seen), &usual()),
        parts(&["user=ann email=ann@home", "user=bob device=tablet"])
    );
    assert_eq!(
        refused(&rows(&seen), &usual()),
        [("2 user=ann device=tablet device".to_owned(), "limit")]
    );
    // Ann signs in again, and the device is hers.
    let mut again = seen.to_vec();
    again.push("6 user=ann device=tablet");
    assert_eq!(
        people(&rows(&again), &usual()),
        parts(&["user=ann email=ann@home device=tablet", "user=bob"])
    );
}

#[test]
fn an_address_typed_in_by_everybody_joins_nobody_if_blocked() {
    let seen = rows(&[
        "1 user=ann email=test@test.com",
        "2 user=bob email=Test@Test.com",
        "3 email=test@test.com device=d",
    ]);
    let mut blocking = usual();
    blocking.types[1].blocked_values = vec!["test@test.com".to_owned()];
    assert_eq!(
        people(&seen, &blocking),
        parts(&["user=ann", "user=bob", "device=d"])
    );
    let mut rule: Vec<_> = refused(&seen, &blocking)
        .into_iter()
        .map(|(_, rule)| rule)
        .collect();
    rule.dedup();
    assert_eq!(rule, ["blocked_value"]);
    let mut by_looks = usual();
    by_looks.types[1].blocked_patterns = vec![Pattern::new(|value| {
        value.to_lowercase().starts_with("test@")
    })];
    assert_eq!(
        people(&seen, &by_looks),
        parts(&["user=ann", "user=bob", "device=d"])
    );
    assert_eq!(refused(&seen, &by_looks)[0].1, "blocked_pattern");
}

#[test]
fn an_address_typed_in_by_everybody_joins_one_at_most_if_not_blocked() {
    let seen = rows(&[
        "1 user=ann email=test@test.com",
        "2 user=bob email=test@test.com",
        "3 user=eve email=test@test.com",
    ]);
    assert_eq!(
        people(&seen, &usual()),
        parts(&["user=ann", "user=bob", "user=eve email=test@test.com"])
    );
}

#[test]
fn values_are_held_to_a_length() {
    let mut short = usual();
    short.types[2].min_length = Some(5);
    short.types[2].max_length = Some(6);
    let seen = rows(&[
        "1 user=a phone=1234",
        "2 user=b phone=12345",
        "3 user=c phone=äöüäöü",
        "4 user=d phone=1234567",
    ]);
    assert_eq!(
        refused(&seen, &short),
        [
            ("1 user=a phone=1234 phone".to_owned(), "too_short"),
            ("4 user=d phone=1234567 phone".to_owned(), "too_long"),
        ]
    );
}

#[test]
fn the_sixth_address_of_a_user_is_left_out() {
    let seen: Vec<String> = (1..=6).map(|n| format!("{n} user=u email=e{n}")).collect();
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    // The newest five stay.
    assert_eq!(
        people(&rows(&seen), &usual()),
        parts(&[
            "user=u email=e2 email=e3 email=e4 email=e5 email=e6",
            "email=e1"
        ])
    );
    let resolution = run(&rows(&seen), &usual(), &Assignment::new(), 1);
    let rejections = resolution.rejections();
    let told: Vec<_> = rejections
        .iter()
        .map(|r| (r.id_value, r.rule.as_str(), r.limited, r.count, r.most))
        .collect();
    assert_eq!(told, [("e1", "limit", Some("email"), 6, 5)]);
}

#[test]
fn two_users_of_one_record_stay_two() {
    // A conflict in one event: the newer evidence of a user stays with the record.
    let seen = rows(&[
        "1 user=a email=x",
        "2 user=b email=y",
        "3 user=a user=b device=d",
    ]);
    let found = people(&seen, &usual());
    assert_eq!(found.len(), 2);
    let refused = refused(&seen, &usual());
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(
        refused[0],
        ("3 user=a user=b device=d user".to_owned(), "limit")
    );
}

#[test]
fn an_identifier_in_collision_belongs_to_the_newest() {
    let seen = rows(&[
        "1 user=a device=shared",
        "2 user=b device=shared",
        "3 user=a device=own",
        "4 device=own email=a@x",
    ]);
    assert_eq!(
        people(&seen, &usual()),
        parts(&["user=a device=own email=a@x", "user=b device=shared"])
    );
}

#[test]
fn a_recycled_phone_goes_to_its_new_owner() {
    let seen = rows(&[
        "1 user=old phone=555",
        "1 user=old email=old@x",
        "900 user=new phone=555",
        "901 user=new email=new@x",
    ]);
    assert_eq!(
        people(&seen, &usual()),
        parts(&["user=old email=old@x", "user=new phone=555 email=new@x"])
    );
}

#[test]
fn a_family_address_does_not_make_a_family_one() {
    let seen = rows(&[
        "1 user=mum email=family@x phone=1",
        "2 user=dad email=family@x phone=2",
        "3 user=kid email=family@x device=3",
    ]);
    let found = people(&seen, &usual());
    assert_eq!(
        found,
        parts(&[
            "user=mum phone=1",
            "user=dad phone=2",
            "user=kid email=family@x device=3"
        ])
    );
}

#[test]
fn one_address_belongs_to_one_user_but_two_users_may_share_a_phone() {
    let one = rules(vec![
        TypeRules::new("user"),
        TypeRules {
            one: Some("user".to_owned()),
            ..TypeRules::new("email")
        },
        TypeRules::new("phone"),
    ]);
    assert_eq!(
        people(&rows(&["1 user=a phone=1", "2 user=b phone=1"]), &one).len(),
        1
    );
    let seen = rows(&["1 user=a email=e", "2 user=b email=e"]);
    assert_eq!(people(&seen, &one), parts(&["user=a", "user=b email=e"]));
    assert_eq!(refused(&seen, &one)[0].1, "one");
}

#[test]
fn a_limit_by_days_forgets() {
    const DAY: i64 = 86_400_000_000;
    let weekly = |days| {
        rules(vec![
            TypeRules::new("user"),
            TypeRules {
                limit: Some(Limit { values: 2, days }),
                ..TypeRules::new("email")
            },
        ])
    };
    let daily = |gap: i64| -> Vec<Row> {
        (0..4)
            .flat_map(|n| {
                record(
                    &format!("r{n}"),
                    n * gap * DAY,
                    &format!("user=u email=e{n}"),
                )
            })
            .collect()
    };
    assert_eq!(people(&daily(4), &weekly(Some(7))).len(), 1);
    // e0 is far enough from the newest two, e1 is not.
    assert_eq!(people(&daily(3), &weekly(Some(7))).len(), 2);
    // Eight days from 4 end when 12 begins.
    assert_eq!(people(&daily(4), &weekly(Some(8))).len(), 1);
    assert_eq!(people(&daily(4), &weekly(Some(9))).len(), 2);
    assert_eq!(people(&daily(4), &weekly(None)).len(), 3);
}

#[test]
fn a_hub_joins_nobody_and_says_so() {
    let mut hubs = usual();
    hubs.types[1].max_records = Some(3);
    let mut seen = rows(&[
        "1 user=a email=hub",
        "2 user=b email=hub",
        "3 user=c email=hub",
    ]);
    // Many rows of one record are one record.
    for _ in 0..9 {
        seen.extend(record("1 user=a email=hub", 1, "email=hub"));
    }
    let few = run(&seen, &hubs, &Assignment::new(), 1);
    // It is no hub yet: one of the three has it, and the others do not become that one.
    assert_eq!(few.alarms().len(), 1);
    let alarm = few.alarms()[0];
    assert_eq!((alarm.reason, alarm.size), (AlarmReason::Limit, 3));
    assert_eq!(few.summary().canonical_ids, 3);
    seen.extend(rows(&["4 device=d email=hub"]));
    let many = run(&seen, &hubs, &assignment(&few), 2);
    assert_eq!(
        partition(&assignment(&many)),
        parts(&["user=a", "user=b", "user=c", "device=d"])
    );
    assert_eq!(
        many.alarms(),
        [Alarm {
            reason: AlarmReason::Hub,
            size: 4,
            id_type: "email",
            id_value: "hub",
            canonical_id: None,
        }]
    );
    assert_eq!(many.summary().rejected, 13);
}

#[test]
fn people_who_are_too_large_are_cut_and_reported() {
    let mut small = usual();
    small.max_identifiers = Some(4);
    let seen = rows(&[
        "9 user=a device=1 device=2",
        "8 device=2 device=3",
        "7 device=3 device=4",
        "6 device=4 device=5",
    ]);
    let resolution = run(&seen, &small, &Assignment::new(), 1);
    assert!(resolution.summary().largest <= 4);
    let alarm = resolution.alarms()[0];
    assert_eq!((alarm.reason, alarm.size), (AlarmReason::TooLarge, 6));
    assert_eq!((alarm.id_type, alarm.id_value), ("device", "1"));
    assert!(
        seen.iter()
            .any(|row| rule(&resolution, row) == Some("too_large"))
    );
}

#[test]
fn a_decision_to_join_beats_limits_and_is_reported() {
    let mut seen = rows(&[
        "1 user=a email=a@x",
        "2 user=b email=b@x",
        "3 user=b phone=1",
        "4 user=c phone=2",
    ]);
    seen.extend(rows_of("ticket 7", 5, "user=a user=b", LinkKind::Include));
    let resolution = run(&seen, &usual(), &Assignment::new(), 1);
    assert_eq!(
        partition(&assignment(&resolution)),
        parts(&[
            "user=a user=b email=a@x email=b@x phone=1",
            "user=c phone=2"
        ])
    );
    assert!(seen.iter().all(|row| rule(&resolution, row).is_none()));
    let alarm = resolution.alarms()[0];
    assert_eq!(
        (alarm.reason, alarm.size),
        (AlarmReason::LimitOverridden, 1)
    );
    assert_eq!(
        alarm.canonical_id,
        Some(assignment(&resolution)[&key("user=a")].0)
    );
    // Nobody else gets in because of it.
    seen.extend(rows(&["6 user=b user=c"]));
    assert_eq!(people(&seen, &usual()), partition(&assignment(&resolution)));
}

#[test]
fn a_decision_to_keep_apart_beats_everything() {
    let mut seen = rows(&[
        "1 email=a phone=1",
        "2 phone=1 device=2",
        "3 device=2 email=b",
    ]);
    assert_eq!(people(&seen, &usual()).len(), 1);
    seen.extend(rows_of("ticket 8", 4, "email=a email=b", LinkKind::Exclude));
    let resolution = run(&seen, &usual(), &Assignment::new(), 1);
    // The newest evidence of the strongest type comes first, so the weakest edge, to the device that
    // was seen first, is left out.
    assert_eq!(
        partition(&assignment(&resolution)),
        parts(&["email=a phone=1", "device=2 email=b"])
    );
    seen.extend(rows_of("ticket 9", 5, "email=a email=b", LinkKind::Include));
    let found = people(&seen, &usual());
    assert!(
        found
            .iter()
            .all(|part| !(part.contains(&key("email=a")) && part.contains(&key("email=b"))))
    );
    // Naming what no row has makes no person of it.
    let mut other = rows(&["1 email=a"]);
    other.extend(rows_of(
        "ticket",
        2,
        "email=a email=ghost",
        LinkKind::Exclude,
    ));
    assert_eq!(people(&other, &usual()), parts(&["email=a"]));
}

#[test]
fn statistics_come_after_rows_and_the_heaviest_first() {
    let mut seen = rows(&[
        "1 record=crm1 user=a",
        "2 record=shop1 user=b",
        "3 record=shop2 email=z",
    ]);
    seen.extend(rows_of(
        "pair 1",
        9,
        "record=shop2 record=crm1",
        LinkKind::Link(3.0),
    ));
    seen.extend(rows_of(
        "pair 2",
        8,
        "record=shop2 record=shop1",
        LinkKind::Link(11.5),
    ));
    let resolution = run(&seen, &usual(), &Assignment::new(), 1);
    assert_eq!(
        partition(&assignment(&resolution)),
        parts(&[
            "record=crm1 user=a",
            "record=shop1 user=b record=shop2 email=z"
        ])
    );
    let refused: BTreeSet<_> = seen
        .iter()
        .filter(|row| rule(&resolution, row).is_some())
        .map(|row| row.record.clone())
        .collect();
    assert_eq!(refused, BTreeSet::from(["pair 1".to_owned()]));
}

#[test]
fn a_limit_that_is_set_later_holds_for_old_rows_and_its_end_restores_the_ids() {
    let seen = rows(&[
        "1 user=a device=d email=x",
        "2 user=b device=d",
        "3 user=b email=y email=w",
    ]);
    let free = run(&seen, &Rules::default(), &Assignment::new(), 1);
    let before = assignment(&free);
    let limited = run(&seen, &usual(), &before, 2);
    assert_eq!(limited.changes().len(), 1);
    assert_eq!(limited.changes()[0].kind, ChangeKind::Split);
    // Both parts have a user; the larger one keeps the id.
    assert_eq!(assignment(&limited)[&key("user=b")], before[&key("user=b")]);
    let back = run(&seen, &Rules::default(), &assignment(&limited), 3);
    assert_eq!(assignment(&back), before);
}

#[test]
fn after_a_split_the_strongest_type_keeps_the_id() {
    let whole = rows(&["1 user=a device=1", "2 device=1 device=2 device=3"]);
    let before = assignment(&run(&whole, &usual(), &Assignment::new(), 1));
    let cut = rows(&["1 user=a", "2 device=1 device=2 device=3"]);
    let after = assignment(&run(&cut, &usual(), &before, 2));
    assert_eq!(after[&key("user=a")], before[&key("user=a")]);
    assert_ne!(after[&key("device=1")], before[&key("device=1")]);
}

#[test]
fn an_erased_hub_leaves_no_trace() {
    let mut hubs = usual();
    hubs.types[1].max_records = Some(1);
    let seen = rows(&["1 user=a email=hub", "2 user=b email=hub"]);
    let resolution = run(&seen, &hubs, &Assignment::new(), 1);
    assert!(
        resolution
            .identifiers()
            .all(|found| found.id_value != "hub")
    );
    let rest = rows(&["1 user=a", "2 user=b"]);
    let after = run(&rest, &hubs, &assignment(&resolution), 2);
    assert_eq!(after.alarms(), []);
    assert_eq!(after.changes(), []);
}

#[test]
fn a_supernode_of_a_million_records_keeps_people_apart() {
    let mut hubs = usual();
    hubs.types[1].max_records = Some(100);
    let count = 1_000_000_u32;
    let seen = || {
        (0..count).flat_map(|n| {
            record(
                &format!("{n}"),
                i64::from(n),
                &format!("user=u{n} email=null@shop"),
            )
        })
    };
    let mut graph = GraphBuilder::new(BlockedValues::default())
        .with_rules(hubs)
        .unwrap();
    for row in seen() {
        graph.observe(&row.observation()).unwrap();
    }
    let Checked::Failing(mut replay) = graph.check() else {
        unreachable!("a hub needs a replay");
    };
    assert_eq!(replay.identifiers(), u64::from(count) + 1);
    for row in seen() {
        replay.observe(&row.observation()).unwrap();
    }
    let resolution = replay.finish().resolve(&options(1));
    assert_eq!(resolution.summary().canonical_ids, u64::from(count));
    assert_eq!(resolution.summary().largest, 1);
    assert_eq!(resolution.alarms()[0].size, u64::from(count));
}
