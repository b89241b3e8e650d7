//! The laws of identity resolution, against a naive search over the same rows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use kinfold_identity::{
    Aliases, BlockedValues, CanonicalId, Change, ChangeKind, GraphBuilder, LinkKind, Observation,
    Resolution, ResolveOptions,
};
use proptest::prelude::*;

/// A row as text, owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    source: &'static str,
    record: u8,
    id_type: &'static str,
    value: String,
    at: Option<i64>,
}

type Key = (String, String);
type Assignment = BTreeMap<Key, (CanonicalId, i64)>;

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let row = (
        prop::sample::select(vec!["web", "crm"]),
        0_u8..14,
        prop::sample::select(vec!["email", "user_id", "phone"]),
        prop_oneof![
            12 => (0_u8..9).prop_map(|value| format!("v{value}")),
            1 => Just("null".to_owned()),
            1 => Just("  ".to_owned()),
        ],
        prop::option::weighted(0.9, 0_i64..6),
    );
    prop::collection::vec(
        row.prop_map(|(source, record, id_type, value, at)| Row {
            source,
            record,
            id_type,
            value,
            at,
        }),
        0..most,
    )
}

fn feed(
    mut graph: GraphBuilder,
    rows: &[Row],
    before: &Assignment,
    retired: &HashSet<CanonicalId>,
    as_of: i64,
) -> Resolution {
    for ((id_type, value), (id, minted_at)) in before {
        graph.previous(id_type, value, *id, *minted_at).unwrap();
    }
    for id in retired {
        graph.retire(*id);
    }
    for row in rows {
        let record = row.record.to_string();
        graph
            .observe(&Observation {
                source: Some(row.source),
                record_id: Some(&record),
                id_type: Some(row.id_type),
                id_value: Some(&row.value),
                observed_at: row.at,
                link: LinkKind::None,
            })
            .unwrap();
    }
    graph.resolve(&ResolveOptions {
        entity: "person",
        salt: "",
        as_of,
    })
}

fn resolve(rows: &[Row], before: &Assignment, as_of: i64) -> Resolution {
    feed(
        GraphBuilder::new(BlockedValues::default()),
        rows,
        before,
        &HashSet::new(),
        as_of,
    )
}

fn assignment(resolution: &Resolution) -> Assignment {
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

fn partition(assignment: &Assignment) -> BTreeSet<BTreeSet<Key>> {
    let mut parts: BTreeMap<CanonicalId, BTreeSet<Key>> = BTreeMap::new();
    for (key, (id, _)) in assignment {
        parts.entry(*id).or_default().insert(key.clone());
    }
    parts.into_values().collect()
}

/// Breadth-first search over records and identifiers.
fn oracle(rows: &[Row]) -> BTreeSet<BTreeSet<Key>> {
    let usable: Vec<_> = rows
        .iter()
        .filter(|row| row.value.starts_with('v'))
        .collect();
    let mut of_record: HashMap<_, Vec<Key>> = HashMap::new();
    let mut of_key: HashMap<Key, Vec<_>> = HashMap::new();
    for row in &usable {
        let key = (row.id_type.to_owned(), row.value.clone());
        of_record
            .entry((row.source, row.record))
            .or_default()
            .push(key.clone());
        of_key
            .entry(key)
            .or_default()
            .push((row.source, row.record));
    }
    let mut seen = HashSet::new();
    let mut parts = BTreeSet::new();
    for start in of_key.keys() {
        if !seen.insert(start.clone()) {
            continue;
        }
        let mut part = BTreeSet::from([start.clone()]);
        let mut queue = vec![start.clone()];
        while let Some(key) = queue.pop() {
            for record in &of_key[&key] {
                for next in &of_record[record] {
                    if seen.insert(next.clone()) {
                        part.insert(next.clone());
                        queue.push(next.clone());
                    }
                }
            }
        }
        parts.insert(part);
    }
    parts
}

fn earliest(rows: &[Row], keys: impl Iterator<Item = Key>) -> i64 {
    let keys: HashSet<Key> = keys.collect();
    rows.iter()
        .filter(|row| keys.contains(&(row.id_type.to_owned(), row.value.clone())))
        .filter_map(|row| row.at)
        .min()
        .unwrap_or(i64::MAX)
}

fn members(assignment: &Assignment) -> BTreeMap<CanonicalId, BTreeSet<Key>> {
    let mut members: BTreeMap<CanonicalId, BTreeSet<Key>> = BTreeMap::new();
    for (key, (id, _)) in assignment {
        members.entry(*id).or_default().insert(key.clone());
    }
    members
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn components_are_those_of_a_naive_search(rows in rows(60)) {
        let resolution = resolve(&rows, &Assignment::new(), 1);
        prop_assert_eq!(partition(&assignment(&resolution)), oracle(&rows));
        let summary = resolution.summary();
        let usable = rows.iter().filter(|row| row.value.starts_with('v')).count() as u64;
        let blocked = rows.iter().filter(|row| row.value == "null").count() as u64;
        prop_assert_eq!(summary.rows, rows.len() as u64);
        prop_assert_eq!(summary.accepted, usable);
        prop_assert_eq!(summary.rejected, blocked);
        prop_assert_eq!(summary.ignored, summary.rows - usable - blocked);
        prop_assert_eq!(summary.canonical_ids as usize, oracle(&rows).len());
        prop_assert_eq!(summary.largest as usize, oracle(&rows).iter().map(BTreeSet::len).max().unwrap_or(0));
    }

    #[test]
    fn seen_times_are_those_of_the_rows(rows in rows(60)) {
        let resolution = resolve(&rows, &Assignment::new(), 1);
        for found in resolution.identifiers() {
            let times: Vec<i64> = rows
                .iter()
                .filter(|row| row.id_type == found.id_type && row.value == found.id_value)
                .filter_map(|row| row.at)
                .collect();
            prop_assert_eq!(found.first_seen, times.iter().min().copied());
            prop_assert_eq!(found.last_seen, times.iter().max().copied());
        }
    }

    #[test]
    fn neither_order_nor_grouping_nor_repetition_changes_anything(
        (rows, shuffled) in rows(60).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        before in rows(40),
        repeat in 0_usize..60,
    ) {
        let before = assignment(&resolve(&before, &Assignment::new(), 1));
        let expected = resolve(&rows, &before, 2);
        let mut twice = shuffled.clone();
        twice.extend(shuffled.iter().take(repeat).cloned());
        let mut sorted = shuffled.clone();
        sorted.sort();
        let grouped = GraphBuilder::grouped_by_record(BlockedValues::default());
        for other in [
            resolve(&shuffled, &before, 2),
            resolve(&twice, &before, 2),
            feed(grouped, &sorted, &before, &HashSet::new(), 2),
        ] {
            prop_assert!(expected.identifiers().eq(other.identifiers()));
            prop_assert_eq!(expected.changes(), other.changes());
        }
    }

    #[test]
    fn a_second_run_changes_nothing(rows in rows(60), before in rows(40)) {
        let before = assignment(&resolve(&before, &Assignment::new(), 1));
        let first = assignment(&resolve(&rows, &before, 2));
        let second = resolve(&rows, &first, 3);
        prop_assert_eq!(second.changes(), &[]);
        prop_assert_eq!(second.moves().count(), 0);
        prop_assert_eq!(assignment(&second), first);
    }

    #[test]
    fn batches_give_the_partition_of_one_run(rows in rows(60), cuts in prop::collection::vec(0_usize..60, 0..4)) {
        let mut state = Assignment::new();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
        cuts.sort_unstable();
        cuts.push(rows.len());
        for (run, cut) in cuts.iter().enumerate() {
            state = assignment(&resolve(&rows[..*cut], &state, run as i64));
        }
        prop_assert_eq!(partition(&state), oracle(&rows));
    }

    #[test]
    fn moves_replayed_give_the_new_assignment(before in rows(60), after in rows(60)) {
        let before = assignment(&resolve(&before, &Assignment::new(), 1));
        let resolution = resolve(&after, &before, 2);
        let mut replayed: BTreeMap<Key, CanonicalId> = before.iter().map(|(key, (id, _))| (key.clone(), *id)).collect();
        for step in resolution.moves() {
            let key = (step.id_type.to_owned(), step.id_value.to_owned());
            let was = match step.into {
                Some(id) => replayed.insert(key, id),
                None => replayed.remove(&key),
            };
            prop_assert_eq!(was, step.from);
        }
        let after: BTreeMap<Key, CanonicalId> = assignment(&resolution).into_iter().map(|(key, (id, _))| (key, id)).collect();
        prop_assert_eq!(replayed, after);
    }

    #[test]
    fn changes_say_what_moves_say(before in rows(60), after in rows(60)) {
        let before = assignment(&resolve(&before, &Assignment::new(), 1));
        let resolution = resolve(&after, &before, 2);
        let after = assignment(&resolution);
        let (old, new) = (members(&before), members(&after));
        // Count identifiers by (from, into), as the changes do.
        let mut counts: BTreeMap<(CanonicalId, CanonicalId), u64> = BTreeMap::new();
        for step in resolution.moves() {
            if let (Some(from), Some(into)) = (step.from, step.into) {
                *counts.entry((from, into)).or_default() += 1;
            }
        }
        let mut told: BTreeMap<(CanonicalId, CanonicalId), u64> = BTreeMap::new();
        for change in resolution.changes() {
            match (change.kind, change.from, change.into) {
                (ChangeKind::Created, None, Some(into)) => {
                    prop_assert!(!old.contains_key(&into));
                    prop_assert_eq!(change.identifiers as usize, new[&into].len());
                }
                (ChangeKind::Deleted, Some(from), None) => {
                    prop_assert!(!new.contains_key(&from));
                    prop_assert_eq!(change.identifiers as usize, old[&from].len());
                    prop_assert!(old[&from].iter().all(|key| !after.contains_key(key)));
                }
                (kind, Some(from), Some(into)) => {
                    prop_assert_eq!(told.insert((from, into), change.identifiers), None);
                    prop_assert_eq!(kind == ChangeKind::Split, !old.contains_key(&into));
                    prop_assert!(kind != ChangeKind::Merged || !new.contains_key(&from));
                    prop_assert!(kind != ChangeKind::Split || new.contains_key(&from));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(told, counts);
        // Every id that came or went is accounted for exactly once.
        for id in new.keys().filter(|id| !old.contains_key(id)) {
            let told = resolution.changes().iter().filter(|change| change.into == Some(*id));
            let kinds: BTreeSet<_> = told.map(|change| change.kind).collect();
            prop_assert!(kinds == BTreeSet::from([ChangeKind::Created]) || kinds == BTreeSet::from([ChangeKind::Split]));
        }
        for id in old.keys().filter(|id| !new.contains_key(id)) {
            let told = resolution.changes().iter().filter(|change| change.from == Some(*id));
            let ends = told.filter(|change| matches!(change.kind, ChangeKind::Merged | ChangeKind::Deleted)).count();
            prop_assert_eq!(ends, 1);
        }
    }

    #[test]
    fn a_merge_keeps_the_oldest(rows in rows(60), cut in 0_usize..60, second in 0_usize..60) {
        // Two runs give ids of two ages; then more rows can only merge.
        let cut = cut.min(rows.len());
        let second = second.clamp(cut, rows.len().max(cut));
        let one = assignment(&resolve(&rows[..cut], &Assignment::new(), 10));
        let two = assignment(&resolve(&rows[..second], &one, 20));
        let three = assignment(&resolve(&rows, &two, 30));
        let old = members(&two);
        for (id, keys) in members(&three) {
            let inside = old.iter().filter(|(_, members)| !members.is_disjoint(&keys));
            let oldest = inside
                .map(|(id, members)| {
                    let minted_at = two.values().find(|(other, _)| other == id).map(|(_, at)| *at).unwrap();
                    (minted_at, earliest(&rows, members.iter().cloned()), *id)
                })
                .min();
            if let Some((_, _, oldest)) = oldest {
                prop_assert_eq!(id, oldest);
            } else {
                prop_assert!(keys.iter().all(|key| !two.contains_key(key)));
            }
        }
    }

    #[test]
    fn a_split_lets_the_strongest_part_keep_the_id(
        (rows, kept) in rows(60).prop_flat_map(|rows| {
            let most = rows.len();
            (Just(rows), prop::collection::hash_set(0..most.max(1), 0..=most))
        }),
    ) {
        let before = assignment(&resolve(&rows, &Assignment::new(), 1));
        // Records vanish: parts can only fall apart.
        let rest: Vec<Row> = rows.iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, row)| row.clone()).collect();
        let resolution = resolve(&rest, &before, 2);
        let after = assignment(&resolution);
        let new = members(&after);
        let old = members(&before);
        for (id, keys) in &old {
            let strongest = new
                .iter()
                .filter(|(_, part)| part.is_subset(keys))
                .min_by_key(|(_, part)| {
                    (std::cmp::Reverse(part.len()), earliest(&rest, part.iter().cloned()), part.first().cloned())
                });
            match strongest {
                Some((keeper, _)) => prop_assert_eq!(keeper, id),
                None => prop_assert!(!new.contains_key(id)),
            }
        }
        for id in new.keys().filter(|id| !old.contains_key(id)) {
            let split = |change: &&Change| change.kind == ChangeKind::Split && change.into == Some(*id);
            prop_assert_eq!(resolution.changes().iter().filter(split).count(), 1);
        }
    }

    #[test]
    fn deleting_and_adding_again_restores_the_partition(
        (rows, kept) in rows(60).prop_flat_map(|rows| {
            let most = rows.len();
            (Just(rows), prop::collection::hash_set(0..most.max(1), 0..=most))
        }),
    ) {
        let before = assignment(&resolve(&rows, &Assignment::new(), 1));
        let rest: Vec<Row> = rows.iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, row)| row.clone()).collect();
        let between = assignment(&resolve(&rest, &before, 2));
        let after = assignment(&resolve(&rows, &between, 3));
        prop_assert_eq!(partition(&after), partition(&before));
    }

    #[test]
    fn over_many_runs_no_id_is_used_twice_and_every_old_id_can_be_followed(
        runs in prop::collection::vec(rows(40), 1..7),
    ) {
        let mut state = Assignment::new();
        let mut retired = HashSet::new();
        let mut ever: HashSet<CanonicalId> = HashSet::new();
        let mut deleted = HashSet::new();
        let mut log = Aliases::new();
        for (run, rows) in runs.iter().enumerate() {
            let graph = GraphBuilder::new(BlockedValues::default());
            let resolution = feed(graph, rows, &state, &retired, run as i64);
            let live: HashSet<CanonicalId> = state.values().map(|(id, _)| *id).collect();
            for change in resolution.changes() {
                log.add(change);
                match (change.kind, change.from, change.into) {
                    (ChangeKind::Created | ChangeKind::Split, _, Some(into)) => {
                        prop_assert!(!ever.contains(&into), "an id was minted twice");
                    }
                    (ChangeKind::Deleted, Some(from), _) => { deleted.insert(from); }
                    _ => {}
                }
            }
            state = assignment(&resolution);
            let now: HashSet<CanonicalId> = state.values().map(|(id, _)| *id).collect();
            prop_assert!(now.is_disjoint(&retired), "a retired id came back");
            retired.extend(live.difference(&now));
            ever.extend(&now);
            for id in &ever {
                let end = log.resolve(*id);
                prop_assert!(now.contains(&end) || deleted.contains(&end));
                prop_assert!(!now.contains(id) || end == *id);
            }
            prop_assert_eq!(partition(&state), oracle(rows));
        }
    }
}
