//! Explanations, against every path there is.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeSet, HashMap};

use crate::support::{Assignment, Row, assignment, record, rows, run};
use kinfold_identity::{
    Because, EdgeRow, Explanation, RejectionRule, Resolution, Rules, Step, TypeRules, Verdict,
    explain,
};
use proptest::prelude::*;

const ORDER: [&str; 3] = ["u", "e", "d"];

fn limits() -> Rules {
    Rules {
        types: vec![
            TypeRules::new("u").at_most(1),
            TypeRules::new("e"),
            TypeRules::new("d"),
        ],
        ..Rules::default()
    }
}

/// The edges relation, as the second reading writes it.
fn edges<'a>(resolution: &Resolution, rows: &'a [Row]) -> Vec<EdgeRow<'a>> {
    rows.iter()
        .map(|row| EdgeRow {
            row: row.observation(),
            rejected: match resolution.verdict_of(&row.observation()) {
                Verdict::Rejected(rule) => Some(rule),
                _ => None,
            },
        })
        .collect()
}

fn why<'a>(
    rows: &'a [Row],
    rules: &Rules,
    from: (&str, &str),
    to: (&str, &str),
) -> Explanation<'a> {
    let resolution = run(rows, rules, &Assignment::new(), 1);
    explain(edges(&resolution, rows), &ORDER, from, to)
}

#[test]
fn the_path_avoids_weak_evidence() {
    let seen = rows(&["1 e=a d=1", "2 d=1 e=b", "3 e=a u=x", "4 u=x e=b"]);
    let Explanation::Joined { steps, weakest } = why(&seen, &limits(), ("e", "a"), ("e", "b"))
    else {
        panic!("they are one");
    };
    let told: Vec<_> = steps
        .iter()
        .map(|step| (step.record_id, step.id_value))
        .collect();
    assert_eq!(
        told,
        [
            ("3 e=a u=x", "a"),
            ("3 e=a u=x", "x"),
            ("4 u=x e=b", "x"),
            ("4 u=x e=b", "b")
        ]
    );
    // Addresses are weaker than users, and the older is the weaker.
    assert_eq!(weakest, Some(0));
    assert_eq!(
        why(&seen, &limits(), ("e", "a"), ("e", "a")),
        Explanation::Joined {
            steps: vec![],
            weakest: None
        }
    );
    assert_eq!(
        why(&seen, &limits(), ("e", "a"), ("e", "ghost")),
        Explanation::Unknown
    );
}

#[test]
fn what_keeps_two_people_apart_is_named() {
    let seen = rows(&["1 u=x d=1", "2 u=y d=1", "3 u=x e=null", "4 u=y e=null"]);
    let Explanation::Apart(reasons) = why(&seen, &limits(), ("u", "x"), ("u", "y")) else {
        panic!("they are two");
    };
    let [Because::Shared(x, y), Because::Rejected(step)] = reasons.as_slice() else {
        panic!("{reasons:?}");
    };
    assert_eq!(
        (step.record_id, step.id_value, step.rejected),
        ("1 u=x d=1", "1", Some(RejectionRule::Limit))
    );
    assert_eq!((x.record_id, y.record_id), ("3 u=x e=null", "4 u=y e=null"));
    assert_eq!(x.rejected, Some(RejectionRule::BlockedValue));
    let strangers = rows(&["1 u=x", "2 u=y"]);
    assert_eq!(
        why(&strangers, &limits(), ("u", "x"), ("u", "y")),
        Explanation::Apart(vec![])
    );
}

#[test]
fn a_diff_counts_what_a_rule_would_do() {
    let seen = rows(&["1 u=x d=1 e=1", "2 u=y d=1", "3 u=z"]);
    let before = assignment(&run(&seen, &Rules::default(), &Assignment::new(), 1));
    let diff = run(&seen, &limits(), &before, 2).diff();
    assert_eq!((diff.split, diff.merged, diff.people_affected), (1, 0, 2));
    assert_eq!((diff.identifiers_moved, diff.identifiers_added), (2, 0));
    let after = assignment(&run(&seen, &limits(), &before, 2));
    let back = run(&seen, &Rules::default(), &after, 3).diff();
    assert_eq!(
        (
            back.split,
            back.merged,
            back.identifiers_moved,
            back.people_affected
        ),
        (0, 1, 2, 2)
    );
    let none = run(&seen, &limits(), &after, 3).diff();
    assert_eq!(none, kinfold_identity::Diff::default());
}

/// Strength of an edge as documented: type, then newest. Higher is stronger.
fn strength(step: &Step<'_>) -> (std::cmp::Reverse<usize>, Option<i64>) {
    (
        std::cmp::Reverse(ORDER.iter().position(|name| *name == step.id_type).unwrap()),
        step.last_seen,
    )
}

/// The strongest weakest step over all simple paths, by search.
fn widest(
    all: &[(String, String, Step<'_>)],
    at: &str,
    to: &str,
    seen: &mut BTreeSet<String>,
) -> Option<(std::cmp::Reverse<usize>, Option<i64>)> {
    let mut best = None;
    for (a, b, step) in all {
        let next = if a == at {
            b
        } else if b == at {
            a
        } else {
            continue;
        };
        let own = strength(step);
        if next == to {
            best = best.max(Some(own));
        } else if seen.insert(next.clone()) {
            best = best.max(widest(all, next, to, seen).map(|rest| rest.min(own)));
            seen.remove(next);
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_weakest_step_is_the_strongest_possible(
        rows in prop::collection::vec((0_u8..5, 0_usize..3, 1_u8..4), 1..12),
        limited in any::<bool>(),
    ) {
        let rows: Vec<Row> = rows
            .into_iter()
            .enumerate()
            .flat_map(|(at, (r, t, v))| record(&format!("r{r}"), at as i64, &format!("{}={v}", ORDER[t])))
            .collect();
        let rules = if limited { limits() } else { Rules::default() };
        let resolution = run(&rows, &rules, &Assignment::new(), 1);
        let edges = edges(&resolution, &rows);
        let ids = assignment(&resolution);
        let keys: Vec<_> = ids.keys().cloned().collect();
        // Every accepted edge as the explanation knows it.
        let mut all: HashMap<(String, String), Step<'_>> = HashMap::new();
        for edge in edges.iter().filter(|edge| edge.rejected.is_none()) {
            let (r, t, v) = (edge.row.record_id.unwrap(), edge.row.id_type.unwrap(), edge.row.id_value.unwrap());
            let step = all.entry((r.to_owned(), format!("{t}={v}"))).or_insert(Step {
                source: "test", record_id: r, id_type: t, id_value: v, link: edge.row.link,
                first_seen: edge.row.observed_at, last_seen: None, rows: 0, rejected: None,
            });
            step.rows += 1;
            step.last_seen = step.last_seen.max(edge.row.observed_at);
        }
        let list: Vec<_> = all.iter().map(|((a, b), step)| (a.clone(), b.clone(), *step)).collect();
        for from in &keys {
            for to in &keys {
                let told = explain(edges.iter().copied(), &ORDER, (&from.0, &from.1), (&to.0, &to.1));
                match told {
                    Explanation::Joined { steps, weakest } => {
                        prop_assert_eq!(ids[from].0, ids[to].0);
                        // The steps are stored edges, and each continues where the last ended.
                        let mut at = format!("{}={}", from.0, from.1);
                        for step in &steps {
                            let ends = (step.record_id.to_owned(), format!("{}={}", step.id_type, step.id_value));
                            prop_assert_eq!(all.get(&ends).map(|known| (known.rows, known.last_seen)), Some((step.rows, step.last_seen)));
                            prop_assert!(at == ends.0 || at == ends.1);
                            at = if at == ends.0 { ends.1 } else { ends.0 };
                        }
                        prop_assert_eq!(&at, &format!("{}={}", to.0, to.1));
                        if let Some(weakest) = weakest {
                            let start = format!("{}={}", from.0, from.1);
                            let best = widest(&list, &start, &at, &mut BTreeSet::from([start.clone()]));
                            prop_assert_eq!(Some(strength(&steps[weakest])), best);
                            prop_assert_eq!(steps.iter().map(strength).min(), best);
                        }
                    }
                    Explanation::Apart(reasons) => {
                        prop_assert_ne!(ids[from].0, ids[to].0);
                        for reason in reasons {
                            let Because::Rejected(step) = reason else { continue };
                            prop_assert!(step.rejected.is_some());
                        }
                    }
                    Explanation::Unknown => prop_assert!(false, "{from:?} {to:?}"),
                }
            }
        }
    }
}
