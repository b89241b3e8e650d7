//! When each condition holds.

use kinfold_identity::linkage::*;

/// Whether a condition holds for two records, both ways.
fn holds(condition: Condition) -> bool {
    let mut records = Records::new(&[1, 2], &[0, 0]).unwrap();
    let columns = [
        records.add_text([Some("martha"), Some("marhta")]).unwrap(),
        records.add_text([Some("smith"), Some("jones")]).unwrap(),
        records.add_text([Some("jones"), Some("smith")]).unwrap(),
        records.add_date([Some(0), Some(31)]).unwrap(),
        records.add_number([Some(100.0), Some(90.0)]).unwrap(),
        records
            .add_text_array([
                Some(vec!["a", "b", "anna"]),
                Some(vec!["b", "a", "hanna", "c"]),
            ])
            .unwrap(),
        records
            .add_text_array([Some(vec!["a", "b"]), Some(vec!["b", "a", "c"])])
            .unwrap(),
        records.add_text([Some("x"), Some("")]).unwrap(),
    ];
    assert_eq!(
        columns,
        [MARTHA, SMITH, JONES, DATE, NUMBER, ARRAY, SUBSET, MISSING]
    );
    // The first comparison is never null, so that a condition on nothing is not taken for the null level.
    let level = Level::new(
        "level",
        Condition::Or(vec![
            condition,
            Condition::And(vec![Condition::Exact(MARTHA)]),
        ]),
    );
    let comparisons = [Comparison::new("one", vec![level])];
    let linkage = Linkage::new(&records, &comparisons, Scope::Dedupe, 1).unwrap();
    let scorer = linkage
        .scorer(&Parameters::untrained(&comparisons), None)
        .unwrap();
    let label = |left, right| scorer.explain(left, right).parts[0].level.clone().unwrap();
    assert_eq!(label(0, 1), label(1, 0));
    label(0, 1) == "level"
}

const MARTHA: usize = 0;
const SMITH: usize = 1;
const JONES: usize = 2;
const DATE: usize = 3;
const NUMBER: usize = 4;
const ARRAY: usize = 5;
const SUBSET: usize = 6;
const MISSING: usize = 7;

#[test]
fn each_condition_holds_up_to_its_bar() {
    use Condition::*;
    for (near, beyond) in [
        (Jaro(MARTHA, 0.944), Jaro(MARTHA, 0.945)),
        (JaroWinkler(MARTHA, 0.961), JaroWinkler(MARTHA, 0.962)),
        (Levenshtein(MARTHA, 2), Levenshtein(MARTHA, 1)),
        (DamerauLevenshtein(MARTHA, 1), DamerauLevenshtein(MARTHA, 0)),
        (Jaccard(MARTHA, 1.0), Jaccard(SMITH, 0.5)),
        // 1970-01-01 and 1970-02-01.
        (DamerauLevenshtein(DATE, 1), DamerauLevenshtein(DATE, 0)),
        (DateWithin(DATE, 31), DateWithin(DATE, 30)),
        (NumberWithin(NUMBER, 10.0), NumberWithin(NUMBER, 9.9)),
        (NumberRelative(NUMBER, 0.1), NumberRelative(NUMBER, 0.09)),
        (ArrayIntersect(ARRAY, 2), ArrayIntersect(ARRAY, 3)),
        (ArraySubset(SUBSET), ArraySubset(ARRAY)),
        (ArrayJaroWinkler(ARRAY, 1.0), Exact(ARRAY)),
        (Swapped(SMITH, JONES), Swapped(SMITH, SMITH)),
        (
            Not(Box::new(Exact(SMITH))),
            Not(Box::new(Swapped(SMITH, JONES))),
        ),
        (
            And(vec![DateWithin(DATE, 31), Jaro(MARTHA, 0.9)]),
            And(vec![DateWithin(DATE, 31), Jaro(SMITH, 0.9)]),
        ),
        (
            Or(vec![Exact(SMITH), Jaro(MARTHA, 0.9)]),
            Or(vec![Exact(SMITH), Exact(DATE)]),
        ),
    ] {
        assert!(holds(near.clone()), "{near:?}");
        assert!(!holds(beyond.clone()), "{beyond:?}");
    }
}

#[test]
fn no_condition_holds_on_a_missing_value() {
    use Condition::*;
    for condition in [
        Exact(MISSING),
        JaroWinkler(MISSING, 0.0),
        Levenshtein(MISSING, 9),
        Jaccard(MISSING, 0.0),
        Swapped(MISSING, SMITH),
    ] {
        assert!(!holds(condition.clone()), "{condition:?}");
    }
}

#[test]
fn a_comparison_without_values_is_null() {
    let mut records = Records::new(&[1, 2], &[0, 0]).unwrap();
    let name = records.add_text([Some("anna"), None]).unwrap();
    let born = records.add_date([Some(1), Some(1)]).unwrap();
    let comparisons = [
        Comparison::new("name", vec![Level::new("equal", Condition::Exact(name))]),
        Comparison::new(
            "either",
            vec![
                Level::new("name", Condition::Exact(name)),
                Level::new("born", Condition::Exact(born)),
            ],
        ),
    ];
    let linkage = Linkage::new(&records, &comparisons, Scope::Dedupe, 1).unwrap();
    let scorer = linkage
        .scorer(&Parameters::untrained(&comparisons), None)
        .unwrap();
    let parts = scorer.explain(0, 1).parts;
    assert_eq!((parts[0].level.as_deref(), parts[0].weight), (None, 0.0));
    assert_eq!(parts[1].level.as_deref(), Some("born"));
}
