//! What holds for any records.

use std::collections::BTreeSet;
use std::sync::Arc;

use kinfold_identity::linkage::*;
use proptest::prelude::*;

/// A record: source, two texts and a date; few values, so that they meet.
type Row = (u16, Option<u8>, Option<u8>, Option<i32>);

const NAMES: [&str; 8] = [
    "anna", "hanna", "annan", "bert", "berta", "karl", "carl", "dora",
];

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = || proptest::option::of(0..8_u8);
    proptest::collection::vec(
        (0..2_u16, text(), text(), proptest::option::of(0..40)),
        2..60,
    )
}

fn name(code: Option<u8>) -> Option<&'static str> {
    code.map(|code| NAMES[usize::from(code)])
}

struct Case {
    records: Records,
    rules: Vec<Vec<u64>>,
    comparisons: Vec<Comparison>,
}

/// Rows in the order of `order`; the key of a row is that of its position in `rows`.
fn case(rows: &[Row], order: &[usize]) -> Case {
    let ordered: Vec<Row> = order.iter().map(|at| rows[*at]).collect();
    let keys: Vec<u64> = order
        .iter()
        .map(|at| hash_key(&[Some(&at.to_string())]))
        .collect();
    let sources: Vec<u16> = ordered.iter().map(|row| row.0).collect();
    let mut records = Records::new(&keys, &sources).unwrap();
    let first = records
        .add_text(ordered.iter().map(|row| name(row.1)))
        .unwrap();
    let last = records
        .add_text(ordered.iter().map(|row| name(row.2)))
        .unwrap();
    let date = records.add_date(ordered.iter().map(|row| row.3)).unwrap();
    let rule = |of: &dyn Fn(&Row) -> u64| {
        let keys: Vec<u64> = ordered.iter().map(of).collect();
        records.arrange(&keys).unwrap()
    };
    let rules = vec![
        rule(&|row| hash_key(&[name(row.1), name(row.2)])),
        rule(&|row| hash_key(&[name(row.2)])),
        rule(&|row| row.3.map_or(0, |date| hash_key(&[Some(&date.to_string())]))),
    ];
    let exact =
        |column| Level::new("equal", Condition::Exact(column)).with_term_frequency(column, 1.0);
    let comparisons = vec![
        Comparison::new(
            "first",
            vec![
                exact(first),
                Level::new("similar", Condition::JaroWinkler(first, 0.85)),
            ],
        ),
        Comparison::new(
            "last",
            vec![
                exact(last),
                Level::new("edit", Condition::Levenshtein(last, 1)),
            ],
        ),
        Comparison::new(
            "date",
            vec![
                Level::new("equal", Condition::Exact(date)),
                Level::new("near", Condition::DateWithin(date, 5)),
            ],
        ),
    ];
    Case {
        records,
        rules,
        comparisons,
    }
}

fn scope(link: bool) -> Scope {
    if link { Scope::Link } else { Scope::Dedupe }
}

/// What a run gives, with rows of `rows` in place of records: the model, the pairs with the bits of
/// their weights, the clusters.
type Run = (
    Parameters,
    Vec<(usize, usize, u64)>,
    BTreeSet<BTreeSet<usize>>,
);

fn run(rows: &[Row], order: &[usize], threads: usize, link: bool) -> Run {
    let Case {
        records,
        rules,
        comparisons,
    } = case(rows, order);
    let linkage = Linkage::new(&records, &comparisons, scope(link), threads).unwrap();
    let learn: Vec<TrainingRule> = rules[1..]
        .iter()
        .zip([1, 2])
        .map(|(keys, fixed)| TrainingRule {
            keys: keys.clone(),
            fixed: vec![fixed],
        })
        .collect();
    let training = Training {
        strict: &rules[..1],
        recall: 1.0,
        rules: &learn,
        sample: USample::default(),
        em: EmOptions::default(),
    };
    // All the records may have one source.
    let parameters = match linkage.train(training) {
        Ok(trained) => trained.parameters,
        Err(error) => {
            assert_eq!(error, LinkageError::NoPairs);
            Parameters::untrained(&comparisons)
        }
    };
    let blocking = Blocking::new(&records, scope(link), &rules, 50, threads).unwrap();
    let scorer = linkage.scorer(&parameters, None).unwrap();
    let found = scorer.score(&blocking, -20.0);
    let clusters = scorer.cluster(
        &found,
        ClusterOptions {
            max_component: 20,
            ..ClusterOptions::default()
        },
    );
    let row = |record: u32| order[records.row(record) as usize];
    let pairs = found
        .iter()
        .map(|pair| (row(pair.left), row(pair.right), pair.weight.to_bits()))
        .collect();
    let mut groups = vec![BTreeSet::new(); rows.len()];
    for (record, cluster) in (0..).zip(&clusters) {
        groups[*cluster as usize].insert(row(record));
    }
    (parameters, pairs, groups.into_iter().collect())
}

/// One session on pairs one by one, with probabilities instead of weights.
fn by_pairs(
    pairs: &[Vec<u8>],
    start: &Parameters,
    fixed: usize,
    share: f64,
    iterations: u32,
) -> Vec<Vec<f64>> {
    let mut share = share;
    let mut m: Vec<Vec<f64>> = start
        .comparisons
        .iter()
        .map(|c| c.levels.iter().map(|l| l.m).collect())
        .collect();
    for _ in 0..iterations {
        let mut sums: Vec<Vec<f64>> = m.iter().map(|levels| vec![0.0; levels.len()]).collect();
        let mut total = 0.0;
        for pair in pairs {
            let (mut same, mut other) = (share, 1.0 - share);
            for (at, level) in pair
                .iter()
                .enumerate()
                .filter(|(at, level)| *at != fixed && **level > 0)
            {
                same *= m[at][usize::from(*level) - 1];
                other *= start.comparisons[at].levels[usize::from(*level) - 1].u;
            }
            let probability = same / (same + other);
            total += probability;
            for (at, level) in pair
                .iter()
                .enumerate()
                .filter(|(at, level)| *at != fixed && **level > 0)
            {
                sums[at][usize::from(*level) - 1] += probability;
            }
        }
        for (m, sums) in m.iter_mut().zip(sums) {
            let all: f64 = sums.iter().sum();
            if all > 0.0 {
                let all = all + 0.5 * sums.len() as f64;
                *m = sums.iter().map(|sum| (sum + 0.5) / all).collect();
            }
        }
        share = total / pairs.len() as f64;
    }
    m
}

proptest! {
    #[test]
    fn what_was_kept_scored_again_is_everything_scored_anew(rows in rows(), slack in 0.0..14.0_f64) {
        let order: Vec<usize> = (0..rows.len()).collect();
        let Case { records, rules, comparisons } = case(&rows, &order);
        let linkage = Linkage::new(&records, &comparisons, Scope::Dedupe, 2).unwrap();
        let parameters = Parameters::untrained(&comparisons);
        let blocking = Blocking::new(&records, Scope::Dedupe, &rules, 50, 2).unwrap();
        let before = Arc::new(linkage.weights(&parameters, None).unwrap());
        let first = linkage.scorer_of(Arc::clone(&before));
        let kept = first.score(&blocking, -slack);
        let people = connected_components(&records, &kept, 0.0);
        let after = Arc::new(linkage.weights(&parameters, Some(&people)).unwrap());
        let gain = after.gain(&before);
        let second = linkage.scorer_of(after);
        for (old, new) in first.score(&blocking, -1e9).iter().zip(second.score(&blocking, -1e9)) {
            prop_assert!(new.weight <= old.weight + gain + 1e-9);
            let mut parts = vec![];
            second.parts(&mut second.state(), new.left, new.right, &mut parts);
            let sum = parts.iter().fold(second.prior(), |sum, part| sum + part);
            prop_assert!((sum - new.weight).abs() < 1e-9);
        }
        if gain + 1e-6 < slack {
            prop_assert_eq!(second.rescore(&kept, 0.0), second.score(&blocking, 0.0));
        }
    }
}

proptest! {
    #[test]
    fn blocking_is_brute_force(rows in rows(), link: bool, max_block in 2..30_u64) {
        let order: Vec<usize> = (0..rows.len()).collect();
        let Case { records, rules, .. } = case(&rows, &order);
        let blocking = Blocking::new(&records, scope(link), &rules, max_block, 2).unwrap();
        let found = blocking.pairs();
        let set: BTreeSet<(u32, u32)> = found.iter().copied().collect();
        prop_assert_eq!(set.len(), found.len(), "a pair came twice");
        let mut expected = BTreeSet::new();
        let mut counts = vec![0; rules.len()];
        for left in 0..records.len() {
            for right in left + 1..records.len() {
                let (one, two) = (left as u32, right as u32);
                if link && records.source(one) == records.source(two) {
                    continue;
                }
                for (rule, count) in rules.iter().zip(&mut counts) {
                    let block = rule.iter().filter(|key| **key == rule[left]).count() as u64;
                    if rule[left] != 0 && rule[left] == rule[right] && block <= max_block {
                        expected.insert((one, two));
                        *count += 1;
                    }
                }
            }
        }
        prop_assert_eq!(set, expected);
        prop_assert_eq!(blocking.counts().iter().map(|count| count.pairs).collect::<Vec<_>>(), counts);
    }

    #[test]
    fn a_sample_with_room_for_all_pairs_is_all_pairs(rows in rows(), link: bool) {
        let order: Vec<usize> = (0..rows.len()).collect();
        let Case { records, comparisons, .. } = case(&rows, &order);
        let linkage = Linkage::new(&records, &comparisons, scope(link), 2).unwrap();
        let sample = USample { min_count: u64::MAX, ..USample::default() };
        let random = linkage.random_levels(sample).unwrap();
        let all = [vec![1; rows.len()]];
        let blocking = Blocking::new(&records, scope(link), &all, 1000, 1).unwrap();
        let mut expected: Vec<Vec<u64>> = comparisons.iter().map(|c| vec![0; c.levels.len() + 1]).collect();
        for pattern in linkage.patterns(&blocking).unwrap() {
            for (level, counts) in pattern.levels.iter().zip(&mut expected) {
                if *level > 0 {
                    counts[usize::from(*level) - 1] += pattern.count;
                }
            }
        }
        prop_assert_eq!(random.counts(), expected);
    }

    #[test]
    fn em_on_patterns_is_em_on_pairs(rows in rows()) {
        let order: Vec<usize> = (0..rows.len()).collect();
        let Case { records, rules, comparisons } = case(&rows, &order);
        let linkage = Linkage::new(&records, &comparisons, Scope::Dedupe, 1).unwrap();
        let mut parameters = Parameters::untrained(&comparisons);
        parameters.prior = 0.01;
        let random = linkage.random_levels(USample::default()).unwrap();
        linkage.estimate_u(&mut parameters, &random).unwrap();
        let blocking = Blocking::new(&records, Scope::Dedupe, &rules[1..2], 1000, 1).unwrap();
        let patterns = linkage.patterns(&blocking).unwrap();
        prop_assume!(!patterns.is_empty());
        let pairs: Vec<Vec<u8>> = patterns
            .iter()
            .flat_map(|pattern| (0..pattern.count).map(|_| pattern.levels.clone()))
            .collect();
        prop_assert_eq!(pairs.len(), blocking.pairs().len());
        let options = EmOptions { max_iterations: 7, tolerance: 0.0, ..EmOptions::default() };
        let session = expectation_maximisation(&patterns, &parameters, &[1], options);
        let odds = parameters.prior / (1.0 - parameters.prior) * parameters.comparisons[1].levels[0].m / parameters.comparisons[1].levels[0].u;
        let share = (odds / (1.0 + odds)).clamp(1e-4, 0.95);
        let expected = by_pairs(&pairs, &parameters, 1, share, session.iterations);
        for (at, expected) in expected.iter().enumerate() {
            let Some(found) = &session.m[at] else {
                prop_assert_eq!(at, 1, "only the fixed one is not learned");
                continue;
            };
            for (found, expected) in found.iter().zip(expected) {
                if let Some(found) = found {
                    prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn parts_sum_to_the_weight(rows in rows()) {
        let order: Vec<usize> = (0..rows.len()).collect();
        let Case { records, rules, comparisons } = case(&rows, &order);
        let linkage = Linkage::new(&records, &comparisons, Scope::Dedupe, 1).unwrap();
        let mut parameters = Parameters::untrained(&comparisons);
        let random = linkage.random_levels(USample::default()).unwrap();
        linkage.estimate_u(&mut parameters, &random).unwrap();
        let blocking = Blocking::new(&records, Scope::Dedupe, &rules, 1000, 1).unwrap();
        let scorer = linkage.scorer(&parameters, None).unwrap();
        for pair in scorer.score(&blocking, f64::NEG_INFINITY) {
            let explanation = scorer.explain(pair.left, pair.right);
            prop_assert_eq!(explanation.parts.len(), comparisons.len());
            prop_assert!((explanation.weight() - pair.weight).abs() < 1e-9);
            let odds = explanation.weight().exp2();
            prop_assert!((pair.probability() - odds / (1.0 + odds)).abs() < 1e-9);
        }
    }

    #[test]
    fn neither_threads_nor_the_order_of_rows_matter(
        (rows, order) in rows().prop_flat_map(|rows| {
            let order: Vec<usize> = (0..rows.len()).collect();
            (Just(rows), Just(order).prop_shuffle())
        }),
        link: bool,
    ) {
        let sorted: Vec<usize> = (0..rows.len()).collect();
        let expected = run(&rows, &sorted, 1, link);
        prop_assert_eq!(&run(&rows, &sorted, 2, link), &expected);
        prop_assert_eq!(&run(&rows, &order, 8, link), &expected);
    }
}

#[test]
fn a_level_that_does_not_fit_its_column_is_refused() {
    let mut records = Records::new(&[1, 2], &[0, 0]).unwrap();
    let date = records.add_date([Some(1), None]).unwrap();
    let of = |condition| {
        vec![Comparison::new(
            "date",
            vec![Level::new("level", condition)],
        )]
    };
    let refused = |condition| Linkage::new(&records, &of(condition), Scope::Dedupe, 1).unwrap_err();
    assert_eq!(
        refused(Condition::JaroWinkler(date, 0.9)),
        LinkageError::ColumnKind {
            comparison: "date".into(),
            column: date,
            found: "date"
        }
    );
    assert_eq!(
        refused(Condition::Not(Box::new(Condition::Exact(7)))),
        LinkageError::NoColumn {
            comparison: "date".into(),
            column: 7
        }
    );
    assert_eq!(
        records.add_text([Some("one")]).unwrap_err(),
        LinkageError::Length {
            found: 1,
            expected: 2
        }
    );
}

#[test]
fn best_links_keep_one_record_of_each_source() {
    let records = Records::new(&[1, 2, 3, 4], &[0, 0, 1, 1]).unwrap();
    let pair = |left, right, weight| ScoredPair {
        left,
        right,
        weight,
    };
    let pairs = [
        pair(0, 2, 3.0),
        pair(1, 2, 5.0),
        pair(0, 3, 1.0),
        pair(1, 3, 4.0),
    ];
    assert_eq!(best_links(&records, &pairs, 0.0), [0, 1, 1, 0]);
    assert_eq!(best_links(&records, &pairs, 2.0), [0, 1, 1, 3]);
}

#[test]
fn labels_give_m_and_show_what_is_wrong() {
    let mut records = Records::new(&[1, 2, 3, 4], &[0; 4]).unwrap();
    let names = [Some("anna"), Some("anna"), Some("anne"), None];
    let column = records.add_text(names).unwrap();
    let comparisons = [Comparison::new(
        "name",
        vec![
            Level::new("equal", Condition::Exact(column)),
            Level::new("edit", Condition::Levenshtein(column, 1)),
        ],
    )];
    let linkage = Linkage::new(&records, &comparisons, Scope::Dedupe, 1).unwrap();
    let mut parameters = Parameters::untrained(&comparisons);
    let labels = [(0, 1), (0, 2), (1, 2), (2, 3)];
    let problems = linkage.m_from_labels(&mut parameters, &labels).unwrap();
    assert_eq!(
        problems,
        [TrainingProblem::LevelWithoutM {
            comparison: "name".into(),
            level: ELSE.into()
        }]
    );
    let m: Vec<f64> = parameters.comparisons[0]
        .levels
        .iter()
        .map(|level| level.m)
        .collect();
    assert_eq!(m, [1.0 / 3.0, 2.0 / 3.0, 0.5 / 3.0]);
    let scorer = linkage.scorer(&parameters, None).unwrap();
    // The null level has no weight, so a record without a name can have no more than the prior.
    let own = scorer.self_weights();
    assert!((own[3] - (1e-4_f64 / (1.0 - 1e-4)).log2()).abs() < 1e-9);
    assert!(own[0] > own[3]);
    let rules = [vec![7; 4]];
    let blocking = Blocking::new(&records, Scope::Dedupe, &rules, 10, 1).unwrap();
    let found = scorer.score(&blocking, f64::NEG_INFINITY);
    assert_eq!(found.len(), 6);
    let worst = scorer.worst_pairs(&found, &labels, &[0, 1, 0, 0], 1);
    assert_eq!(
        (worst.false_matches[0].left, worst.false_matches[0].right),
        (1, 2)
    );
    assert_eq!((worst.missed[0].left, worst.missed[0].right), (2, 3));
}
