//! Vectors from the literature, and laws against the definitions written out without any trick.

use proptest::prelude::*;

use super::*;

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 5e-5
}

#[test]
fn vectors_of_jaro_and_winkler() {
    let s = &mut Scratch::new();
    for (left, right, plain, winkler) in [
        ("martha", "marhta", 0.9444, 0.9611),
        ("dwayne", "duane", 0.8222, 0.84),
        ("dixon", "dicksonx", 0.7667, 0.8133),
        // No boost at 0.7 or below.
        ("abcdefgh", "abzzzzzz", 0.5, 0.5),
        ("jellyfish", "smellyfish", 0.8963, 0.8963),
        ("crate", "trace", 0.7333, 0.7333),
        ("", "", 1.0, 1.0),
        ("", "a", 0.0, 0.0),
        ("a", "a", 1.0, 1.0),
        ("a", "b", 0.0, 0.0),
        ("müller", "muller", 0.8889, 0.9),
        ("日本語", "日本", 0.8889, 0.9111),
    ] {
        assert!(close(jaro(s, left, right), plain), "{left} {right}");
        assert!(
            close(jaro_winkler(s, left, right), winkler),
            "{left} {right}"
        );
    }
}

#[test]
fn vectors_of_distances() {
    let s = &mut Scratch::new();
    for (left, right, plain, exchanges) in [
        ("kitten", "sitting", 3, 3),
        ("saturday", "sunday", 3, 3),
        ("flaw", "lawn", 2, 2),
        ("ca", "abc", 3, 2),
        ("ab", "ba", 2, 1),
        ("", "abc", 3, 3),
        ("same", "same", 0, 0),
        ("müller", "muller", 1, 1),
        ("a cat", "an abct", 4, 3),
        ("日本", "本日", 2, 1),
    ] {
        assert_eq!(levenshtein(s, left, right), plain, "{left} {right}");
        assert_eq!(damerau(s, left, right), exchanges, "{left} {right}");
    }
    assert_eq!(levenshtein_within(s, "kitten", "sitting", 2), None);
    assert_eq!(levenshtein_within(s, "kitten", "sitting", 3), Some(3));
    assert_eq!(damerau_within(s, "ca", "abc", 1), None);
    assert_eq!(damerau_within(s, "ca", "abc", 2), Some(2));
}

#[test]
fn vectors_of_overlap() {
    let s = &mut Scratch::new();
    assert_eq!(jaccard(s, "aab", "ab"), 1.0);
    assert!(close(jaccard(s, "night", "nacht"), 3.0 / 7.0));
    assert_eq!(jaccard(s, "", ""), 1.0);
    assert_eq!(jaccard(s, "", "a"), 0.0);
    assert_eq!(jaccard(s, "äö", "öß"), 1.0 / 3.0);
    assert!(close(bigram_cosine(s, "night", "nacht"), 0.25));
    // aa twice and once; ab once and twice.
    assert!(close(
        bigram_cosine(s, "aaab", "aab"),
        3.0 / 10.0_f64.sqrt()
    ));
    assert_eq!(bigram_cosine(s, "a", "a"), 1.0);
    assert_eq!(bigram_cosine(s, "a", "ab"), 0.0);
}

/// The table of Lowrance and Wagner, every cell.
fn table_damerau(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut cells = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in 0..=left.len() {
        for j in 0..=right.len() {
            if i == 0 || j == 0 {
                cells[i][j] = i + j;
                continue;
            }
            let replaced = cells[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(cells[i - 1][j] + 1).min(cells[i][j - 1] + 1);
            for k in 1..i {
                for l in 1..j {
                    if left[k - 1] == right[j - 1] && left[i - 1] == right[l - 1] {
                        best = best.min(cells[k - 1][l - 1] + (i - k - 1) + 1 + (j - l - 1));
                    }
                }
            }
            cells[i][j] = best;
        }
    }
    cells[left.len()][right.len()]
}

fn table_levenshtein(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let best = (diagonal + usize::from(a != b))
                .min(row[j] + 1)
                .min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[right.len()]
}

fn set_jaccard(left: &str, right: &str) -> f64 {
    use std::collections::BTreeSet;
    let (left, right): (BTreeSet<char>, BTreeSet<char>) =
        (left.chars().collect(), right.chars().collect());
    let all = left.union(&right).count();
    if all == 0 {
        return 1.0;
    }
    left.intersection(&right).count() as f64 / all as f64
}

/// Few letters, so that texts have much in common; short and of several words; with and without
/// characters beyond ASCII.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[abc]{0,8}",
        "[a-e ]{0,40}",
        "[abäö日😀]{0,12}",
        "[ab]{50,80}",
        "[a-cß]{60,200}",
        ".{0,20}",
    ]
}

/// Two texts, often one made from the other by a few edits.
fn pair() -> impl Strategy<Value = (String, String)> {
    let edited = (
        text(),
        prop::collection::vec((any::<prop::sample::Index>(), 0..4), 0..6),
    )
        .prop_map(|(left, edits)| {
            let mut right: Vec<char> = left.chars().collect();
            for (at, kind) in edits {
                let at = at.index(right.len() + 1);
                match kind {
                    0 => right.insert(at, 'a'),
                    1 if at < right.len() => drop(right.remove(at)),
                    2 if at < right.len() => right[at] = 'b',
                    3 if at + 1 < right.len() => right.swap(at, at + 1),
                    _ => {}
                }
            }
            (left, right.into_iter().collect())
        });
    prop_oneof![(text(), text()), edited]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn jaro_is_what_strsim_has((left, right) in pair()) {
        let s = &mut Scratch::new();
        prop_assert!((jaro(s, &left, &right) - strsim::jaro(&left, &right)).abs() < 1e-12);
        prop_assert!((jaro_winkler(s, &left, &right) - strsim::jaro_winkler(&left, &right)).abs() < 1e-12);
        prop_assert_eq!(jaro(s, &left, &right), jaro(s, &right, &left));
    }

    #[test]
    fn levenshtein_is_the_table((left, right) in pair(), limit in 0_usize..12) {
        let s = &mut Scratch::new();
        let expected = table_levenshtein(&left, &right);
        prop_assert_eq!(levenshtein(s, &left, &right), expected);
        prop_assert_eq!(levenshtein(s, &right, &left), expected);
        let within = (expected <= limit).then_some(expected);
        prop_assert_eq!(levenshtein_within(s, &left, &right, limit), within);
    }

    #[test]
    fn damerau_is_what_strsim_has((left, right) in pair(), limit in 0_usize..12) {
        let s = &mut Scratch::new();
        let expected = strsim::damerau_levenshtein(&left, &right);
        prop_assert_eq!(damerau(s, &left, &right), expected);
        prop_assert_eq!(damerau(s, &right, &left), expected);
        let within = (expected <= limit).then_some(expected);
        prop_assert_eq!(damerau_within(s, &left, &right, limit), within);
    }

    #[test]
    fn damerau_is_the_table(left in "[abcd]{0,10}", right in "[abcd]{0,10}") {
        prop_assert_eq!(damerau(&mut Scratch::new(), &left, &right), table_damerau(&left, &right));
    }

    #[test]
    fn overlap_is_symmetric_and_by_its_definition((left, right) in pair()) {
        let s = &mut Scratch::new();
        prop_assert!((jaccard(s, &left, &right) - set_jaccard(&left, &right)).abs() < 1e-12);
        let cosine = bigram_cosine(s, &left, &right);
        prop_assert_eq!(cosine, bigram_cosine(s, &right, &left));
        prop_assert!((0.0..=1.0 + 1e-12).contains(&cosine));
    }

    #[test]
    fn a_used_scratch_is_as_good_as_a_new_one(pairs in prop::collection::vec(pair(), 1..12)) {
        let used = &mut Scratch::new();
        for (left, right) in pairs {
            let fresh = || Scratch::new();
            prop_assert_eq!(jaro(used, &left, &right), jaro(&mut fresh(), &left, &right));
            prop_assert_eq!(levenshtein_within(used, &left, &right, 1), levenshtein_within(&mut fresh(), &left, &right, 1));
            prop_assert_eq!(levenshtein(used, &left, &right), levenshtein(&mut fresh(), &left, &right));
            prop_assert_eq!(damerau(used, &left, &right), damerau(&mut fresh(), &left, &right));
            prop_assert_eq!(jaccard(used, &left, &right), jaccard(&mut fresh(), &left, &right));
            prop_assert_eq!(bigram_cosine(used, &left, &right), bigram_cosine(&mut fresh(), &left, &right));
        }
    }
}
