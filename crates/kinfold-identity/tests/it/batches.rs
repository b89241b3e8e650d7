//! Shapes of graphs that stitching tools are tested with, fed in every order of their batches. Each
//! batch is a run of its own that sees all rows so far and the assignment before it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use crate::support::{Assignment, Key, Row, assignment, partition, parts, rows, run};
use kinfold_identity::{Rules, TypeRules};

/// All orders of some batches.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..count {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=next).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, next);
                    order
                })
            })
            .collect();
    }
    all
}

/// Feeds the batches in every order and checks the people at the end, and that a record that comes
/// again changes nothing.
fn each_order(batches: &[&[&str]], rules: &Rules, expected: &[&str]) {
    let expected: BTreeSet<BTreeSet<Key>> = parts(expected);
    let batches: Vec<Vec<Row>> = batches.iter().map(|batch| rows(batch)).collect();
    for order in orders(batches.len()) {
        let mut seen: Vec<Row> = Vec::new();
        let mut state = Assignment::new();
        for (place, batch) in order.iter().enumerate() {
            seen.extend(batches[*batch].iter().cloned());
            state = assignment(&run(&seen, rules, &state, place as i64));
        }
        assert_eq!(partition(&state), expected, "{order:?}");
        seen.extend(batches.iter().flatten().cloned());
        let again = run(&seen, rules, &state, 99);
        assert_eq!(again.changes(), [], "{order:?}");
        assert_eq!(assignment(&again), state, "{order:?}");
    }
}

fn free(batches: &[&[&str]], expected: &[&str]) {
    each_order(batches, &Rules::default(), expected);
}

fn one_user() -> Rules {
    Rules {
        types: vec![TypeRules::new("u").at_most(1), TypeRules::new("d")],
        ..Rules::default()
    }
}

#[test]
fn simple() {
    free(&[&["1 d=1"], &["2 d=1 u=a"]], &["d=1 u=a"]);
}

#[test]
fn chain() {
    free(
        &[&["1 d=1 d=2"], &["2 d=2 d=3"], &["3 d=3 d=4"]],
        &["d=1 d=2 d=3 d=4"],
    );
}

#[test]
fn fan_in() {
    free(
        &[&["1 d=1 u=a"], &["2 d=2 u=a"], &["3 d=3 u=a"]],
        &["d=1 d=2 d=3 u=a"],
    );
}

#[test]
fn fan_out() {
    free(
        &[&["1 d=1 u=a"], &["2 d=1 u=b"], &["3 d=1 u=c"]],
        &["d=1 u=a u=b u=c"],
    );
}

#[test]
fn diamond() {
    free(
        &[&["1 d=1 u=a", "1 d=1 u=b"], &["2 u=a d=2"], &["3 u=b d=2"]],
        &["d=1 d=2 u=a u=b"],
    );
}

#[test]
fn disjoint() {
    free(
        &[&["1 d=1 u=a"], &["2 d=2 u=b"], &["3 d=3"]],
        &["d=1 u=a", "d=2 u=b", "d=3"],
    );
}

#[test]
fn long_chain() {
    let batch = |from: u32| -> Vec<String> {
        (from..from + 25)
            .map(|n| format!("{n} d={n} d={}", n + 1))
            .collect()
    };
    let batches: Vec<Vec<String>> = [0, 25, 50, 75].map(batch).into();
    let batches: Vec<Vec<&str>> = batches
        .iter()
        .map(|batch| batch.iter().map(String::as_str).collect())
        .collect();
    let batches: Vec<&[&str]> = batches.iter().map(Vec::as_slice).collect();
    let whole: Vec<String> = (0..=100).map(|n| format!("d={n}")).collect();
    // `d=0` is a blocked value.
    free(&batches, &[&whole[1..].join(" ")]);
}

#[test]
fn alternating_chain() {
    free(
        &[
            &["1 d=1 u=a", "5 d=3 u=c"],
            &["2 u=a d=2", "6 u=c d=4"],
            &["3 d=2 u=b", "4 u=b d=3"],
        ],
        &["d=1 d=2 d=3 d=4 u=a u=b u=c"],
    );
}

#[test]
fn merge_only() {
    free(&[&["1 d=1"], &["1 d=2"], &["2 d=1 d=2"]], &["d=1 d=2"]);
}

#[test]
fn remap() {
    // A device that is another's later: both are one without limits, and it moves with one.
    let batches: &[&[&str]] = &[&["1 d=1 u=a"], &["2 d=1 u=b"], &["3 d=2 u=a"]];
    free(batches, &["d=1 d=2 u=a u=b"]);
    each_order(batches, &one_user(), &["d=2 u=a", "d=1 u=b"]);
}

#[test]
fn many_identifiers_of_one_record() {
    free(
        &[
            &["1 d=1 e=x p=5 u=a"],
            &["2 e=y p=5"],
            &["3 e=z c=7"],
            &["4 c=7 d=1"],
        ],
        &["d=1 e=x e=y e=z p=5 c=7 u=a"],
    );
}

#[test]
fn uid_conflict() {
    let batches: &[&[&str]] = &[&["1 d=1 u=a"], &["2 d=2 u=b"], &["3 d=1 d=2"]];
    free(batches, &["d=1 d=2 u=a u=b"]);
    // The record between them is the newest, and its devices go where the newest of them signed in.
    each_order(batches, &one_user(), &["u=a", "d=1 d=2 u=b"]);
}

#[test]
fn late() {
    // What happened first is heard of last.
    free(
        &[&["9 d=1 u=a"], &["5 d=2 u=a"], &["1 d=2 d=3"]],
        &["d=1 d=2 d=3 u=a"],
    );
}

#[test]
fn stable_and_observed_again() {
    free(
        &[&["1 d=1 u=a"], &["1 d=1 u=a"], &["2 d=1 u=a"], &["2 d=1"]],
        &["d=1 u=a"],
    );
}

#[test]
fn a_bridge_to_itself() {
    free(
        &[&["1 d=1 u=a"], &["2 u=a d=1 u=a"], &["3 u=a u=a"]],
        &["d=1 u=a"],
    );
}

#[test]
fn merged_twice_in_a_row() {
    free(
        &[
            &["1 d=1"],
            &["1 d=2", "1 d=3"],
            &["2 d=1 d=2"],
            &["3 d=2 d=3"],
        ],
        &["d=1 d=2 d=3"],
    );
}

#[test]
fn high_fan_in() {
    let batch = |from: u32| -> Vec<String> {
        (from..from + 60)
            .map(|n| format!("{n} d={n} u=a"))
            .collect()
    };
    let batches: Vec<Vec<String>> = [1, 61, 121].map(batch).into();
    let batches: Vec<Vec<&str>> = batches
        .iter()
        .map(|batch| batch.iter().map(String::as_str).collect())
        .collect();
    let batches: Vec<&[&str]> = batches.iter().map(Vec::as_slice).collect();
    let devices: Vec<String> = (1..181).map(|n| format!("d={n}")).collect();
    free(&batches, &[&format!("u=a {}", devices.join(" "))]);
}

#[test]
fn a_bridge_that_comes_with_a_new_identifier() {
    free(
        &[&["1 d=1"], &["2 d=2"], &["3 d=1 d=2 u=new"]],
        &["d=1 d=2 u=new"],
    );
}

#[test]
fn a_three_way_bridge() {
    free(
        &[
            &["1 d=1 u=a"],
            &["2 d=2 u=b"],
            &["3 d=3 u=c"],
            &["4 u=a u=b u=c"],
        ],
        &["d=1 d=2 d=3 u=a u=b u=c"],
    );
}

#[test]
fn a_triple_across_batches() {
    free(
        &[&["1 d=1 e=x"], &["2 e=x u=a"], &["3 u=a d=2"]],
        &["d=1 d=2 e=x u=a"],
    );
}

#[test]
fn shared_identifier_collision() {
    let batches: &[&[&str]] = &[
        &["1 u=a d=1", "2 u=a d=s"],
        &["3 u=b d=2", "4 u=b d=s"],
        &["5 u=c d=s"],
    ];
    free(batches, &["u=a u=b u=c d=1 d=2 d=s"]);
    each_order(batches, &one_user(), &["u=a d=1", "u=b d=2", "u=c d=s"]);
}

#[test]
fn late_merge() {
    free(
        &[
            &["1 d=1 u=a", "2 d=2 u=b"],
            &["3 d=1", "4 d=2"],
            &["5 u=a e=x", "6 u=b e=y"],
            &["7 e=x e=y"],
        ],
        &["d=1 d=2 u=a u=b e=x e=y"],
    );
}

#[test]
fn a_cascade_of_survivors_can_be_followed() {
    use kinfold_identity::Aliases;
    let batches = [
        "9 d=1",
        "8 d=2",
        "7 d=3",
        "6 d=4",
        "10 d=1 d=2",
        "11 d=2 d=3",
        "12 d=3 d=4",
    ];
    for order in orders(4) {
        let mut seen = Vec::new();
        let mut state = Assignment::new();
        let mut log = Aliases::new();
        let mut ever = BTreeSet::new();
        let order = order.into_iter().chain(4..7);
        for (place, batch) in order.enumerate() {
            seen.extend(rows(&batches[batch..=batch]));
            let resolution = run(&seen, &Rules::default(), &state, place as i64);
            resolution
                .changes()
                .iter()
                .for_each(|change| log.add(change));
            state = assignment(&resolution);
            ever.extend(state.values().map(|(id, _)| *id));
        }
        let last = state.values().next().unwrap().0;
        assert_eq!(ever.len(), 4);
        assert!(ever.into_iter().all(|id| log.resolve(id) == last));
    }
}
