//! Rules that change and are taken back: who had which id has it again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use kinfold_identity::{
    Aliases, BlockedValues, CanonicalId, ChangeKind, Checked, GraphBuilder, LinkKind, Resolution,
    Rules, TypeRules,
};
use proptest::prelude::*;

use crate::support::{Assignment, Key, Row, assignment, key, options, rows};

/// All that is stored between runs.
#[derive(Clone, Default)]
struct State {
    now: Assignment,
    formers: Vec<(Key, CanonicalId, i64)>,
    log: Aliases,
    retired: HashSet<CanonicalId>,
    ever: BTreeSet<CanonicalId>,
}

impl State {
    fn ids(&self) -> BTreeMap<Key, CanonicalId> {
        let ids = self.now.iter().map(|(key, (id, _))| (key.clone(), *id));
        ids.collect()
    }

    fn id(&self, identifier: &str) -> CanonicalId {
        self.now.get(&key(identifier)).unwrap().0
    }

    /// A run as the engine does it.
    fn run(&mut self, rows: &[Row], rules: &Rules, as_of: i64) -> Resolution {
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
        for ((id_type, value), (id, minted_at)) in &self.now {
            graph.previous(id_type, value, *id, *minted_at).unwrap();
        }
        for ((id_type, value), id, until) in &self.formers {
            graph.former(id_type, value, *id, *until).unwrap();
        }
        for id in &self.retired {
            graph.retire(*id);
        }
        let resolution = graph.resolve(&options(as_of));
        for step in resolution.moves() {
            if let Some(from) = step.from {
                let key = (step.id_type.to_owned(), step.id_value.to_owned());
                self.formers.push((key, from, as_of));
            }
        }
        for change in resolution.changes() {
            self.log.add(change);
            if matches!(change.kind, ChangeKind::Merged | ChangeKind::Deleted) {
                self.retired.extend(change.from);
            }
        }
        self.now = assignment(&resolution);
        self.ever.extend(self.now.values().map(|(id, _)| *id));
        resolution
    }
}

fn limits(most: &[(&str, u32)]) -> Rules {
    let types = most.iter().map(|(name, most)| match most {
        0 => TypeRules::new(name),
        most => TypeRules::new(name).at_most(*most),
    });
    Rules {
        types: types.collect(),
        max_identifiers: None,
    }
}

#[test]
fn a_merge_that_is_undone_gives_both_their_ids_back() {
    let strict = limits(&[("user", 1), ("email", 0), ("device", 0)]);
    let loose = limits(&[("user", 2), ("email", 0), ("device", 0)]);
    let rows = rows(&[
        "1 device=old",
        "2 user=ann device=tablet",
        "3 user=bob email=b@x device=tablet",
        "4 user=bob",
    ]);
    let mut state = State::default();
    state.run(&rows, &strict, 1);
    let (first, ann, bob) = (state.ids(), state.id("user=ann"), state.id("user=bob"));
    assert_ne!(ann, bob);
    let merged = state.run(&rows, &loose, 2);
    assert_eq!(state.id("user=ann"), state.id("user=bob"));
    assert_eq!(merged.diff().merged, 1);
    let parted = state.run(&rows, &strict, 3);
    assert_eq!(state.ids(), first);
    assert_eq!(parted.diff().split, 1);
    for id in [ann, bob] {
        assert_eq!(state.log.resolve(id), id);
    }
}

#[test]
fn the_part_that_was_there_first_keeps_the_id_also_if_it_is_weaker() {
    // The device alone is the oldest; it meets a user, an address and a telephone that were one already.
    let apart = rows(&["1 device=d"]);
    let two = rows(&["1 device=d", "2 user=u email=e phone=p"]);
    let bridge = rows(&[
        "1 device=d",
        "2 user=u email=e phone=p",
        "3 device=d user=u",
    ]);
    let mut state = State::default();
    let rules = limits(&[("user", 0)]);
    state.run(&apart, &rules, 1);
    let device = state.id("device=d");
    state.run(&two, &rules, 2);
    let user = state.id("user=u");
    state.run(&bridge, &rules, 3);
    assert_eq!(state.id("user=u"), device);
    assert_eq!(state.log.resolve(user), device);
    state.run(&two, &rules, 4);
    assert_eq!((state.id("device=d"), state.id("phone=p")), (device, user));
}

#[test]
fn whoever_was_deleted_comes_back_under_the_same_id() {
    let rows = rows(&["1 email=a@x", "2 email=b@x user=b"]);
    let mut blocked = limits(&[("email", 0)]);
    if let Some(email) = blocked.types.first_mut() {
        email.blocked_values = vec!["a@x".to_owned()];
    }
    let mut state = State::default();
    state.run(&rows, &limits(&[("email", 0)]), 1);
    let first = state.ids();
    let gone = state.run(&rows, &blocked, 2);
    assert_eq!(gone.diff().deleted, 1);
    state.run(&rows, &limits(&[("email", 0)]), 3);
    assert_eq!(state.ids(), first);
}

#[test]
fn merges_of_merges_are_undone_one_by_one() {
    let all = [
        "1 user=a",
        "2 user=b",
        "3 user=c",
        "4 user=a user=b",
        "5 user=b user=c",
    ];
    let rules = limits(&[("user", 0)]);
    let mut state = State::default();
    let mut steps = vec![];
    for (at, count) in [(1, 3), (2, 4), (3, 5), (4, 4), (5, 3), (6, 5)] {
        let records: Vec<&str> = all.iter().take(count).copied().collect();
        state.run(&rows(&records), &rules, at);
        steps.push(state.ids());
    }
    assert_eq!(steps.first(), steps.get(4));
    assert_eq!(steps.get(1), steps.get(3));
    assert_eq!(steps.get(2), steps.get(5));
    let last = state.id("user=c");
    assert!(state.ever.iter().all(|id| state.log.resolve(*id) == last));
}

const TYPES: [&str; 3] = ["user", "email", "device"];

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0_u8..14, 0..TYPES.len(), 0_u8..7, 0_u8..20);
    prop::collection::vec(row, 0..45).prop_map(|rows| {
        let rows = rows.into_iter().zip(0_i64..);
        rows.map(|((record, id_type, value, link), at)| Row {
            record: format!("r{record}"),
            id_type: TYPES[id_type].to_owned(),
            value: format!("v{value}"),
            at: Some(at % 11),
            link: match link {
                0 => LinkKind::Include,
                1 => LinkKind::Exclude,
                2 => LinkKind::Link(f64::from(record)),
                _ => LinkKind::None,
            },
        })
        .collect()
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let of_type = (0_u32..4, 0_u8..6, prop::option::weighted(0.2, 1_u64..5));
    let types = prop::collection::vec(of_type, 3);
    (types, prop::option::weighted(0.3, 1_u64..9)).prop_map(|(types, max_identifiers)| Rules {
        types: TYPES
            .iter()
            .zip(types)
            .map(|(name, (most, blocked, max_records))| {
                let mut rules = match most {
                    0 => TypeRules::new(name),
                    most => TypeRules::new(name).at_most(most),
                };
                if blocked < 2 {
                    rules.blocked_values = vec![format!("v{blocked}")];
                }
                rules.max_records = max_records;
                rules
            })
            .collect(),
        max_identifiers,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Whatever happened before, and through any number of changes on the way.
    #[test]
    fn rules_that_are_taken_back_leave_the_ids_that_there_were(
        past in prop::collection::vec((any_rows(), any_rules()), 0..4),
        rows in any_rows(),
        kept in any_rules(),
        tried in any_rules(),
    ) {
        let mut state = State::default();
        let mut clock = 0;
        let mut next = || { clock += 1; clock };
        for (rows, rules) in &past {
            state.run(rows, rules, next());
        }
        state.run(&rows, &kept, next());
        let first = state.ids();
        let there = state.run(&rows, &tried, next());
        let second = state.ids();
        state.run(&rows, &kept, next());
        prop_assert_eq!(&state.ids(), &first, "taken back");
        let again = state.run(&rows, &tried, next());
        prop_assert_eq!(&state.ids(), &second, "and done again");
        prop_assert_eq!(again.diff().merged, there.diff().merged);
        prop_assert_eq!(again.diff().deleted, there.diff().deleted);
    }

    /// Every id that ever was stands for somebody, or for nobody any more, and one in use for itself.
    #[test]
    fn old_ids_resolve_for_ever_though_some_come_back(
        runs in prop::collection::vec((any_rows(), any_rules()), 1..8),
    ) {
        let mut state = State::default();
        for ((rows, rules), at) in runs.iter().zip(1_i64..) {
            let before = state.ids();
            let resolution = state.run(rows, rules, at);
            let now: BTreeSet<CanonicalId> = state.ids().into_values().collect();
            let old: BTreeSet<CanonicalId> = before.values().copied().collect();
            for id in &state.ever {
                let end = state.log.resolve(*id);
                prop_assert!(!now.contains(id) || end == *id, "an id in use is itself");
                prop_assert!(now.contains(&end) || state.retired.contains(&end));
            }
            for id in now.difference(&old) {
                let told = resolution.changes().iter().filter(|change| change.into == Some(*id));
                let kinds: BTreeSet<ChangeKind> = told.map(|change| change.kind).collect();
                let new = [ChangeKind::Created, ChangeKind::Split];
                prop_assert!(new.iter().any(|kind| kinds == BTreeSet::from([*kind])));
            }
        }
    }
}
