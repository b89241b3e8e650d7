//! Similarity of two texts. The one place that knows the library behind it.

/// Jaro similarity, from 0 to 1.
pub(crate) fn jaro(left: &str, right: &str) -> f64 {
    strsim::jaro(left, right)
}

/// Jaro-Winkler similarity, from 0 to 1: prefix of at most 4, scale 0.1, no boost up to Jaro 0.7
/// (Winkler 1990).
pub(crate) fn jaro_winkler(left: &str, right: &str) -> f64 {
    strsim::jaro_winkler(left, right)
}

/// Insertions, deletions and substitutions from one to the other.
pub(crate) fn levenshtein(left: &str, right: &str) -> usize {
    strsim::levenshtein(left, right)
}

/// As [`levenshtein`], with swaps of neighbours; characters may be edited again after a swap.
pub(crate) fn damerau_levenshtein(left: &str, right: &str) -> usize {
    strsim::damerau_levenshtein(left, right)
}

/// Common characters of all characters, as sets, from 0 to 1.
pub(crate) fn jaccard(left: &str, right: &str) -> f64 {
    let set = |text: &str| {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        characters
    };
    let (left, right) = (set(left), set(right));
    let common = left
        .iter()
        .filter(|character| right.binary_search(character).is_ok())
        .count();
    let all = left.len() + right.len() - common;
    if all == 0 { 0.0 } else { ratio(common, all) }
}

/// How near two texts can be at best.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nearest {
    /// Least number of edits and swaps.
    pub(crate) edits: f64,
    /// Greatest Jaro similarity.
    pub(crate) jaro: f64,
    /// Greatest Jaro-Winkler similarity.
    pub(crate) jaro_winkler: f64,
}

/// Bounds from the letters alone, wherever they stand: an edit changes one of them, a swap none, and
/// Jaro counts no more than they have in common. None for texts that are not ASCII or are empty.
pub(crate) fn nearest(left: &str, right: &str) -> Option<Nearest> {
    if !(left.is_ascii() && right.is_ascii()) || left.is_empty() || right.is_empty() {
        return None;
    }
    let mut letters = [0_u8; 128];
    for byte in left.bytes() {
        let letter = letters.get_mut(usize::from(byte))?;
        *letter = letter.checked_add(1)?;
    }
    let mut common = 0;
    for byte in right.bytes() {
        let letter = letters.get_mut(usize::from(byte))?;
        if *letter > 0 {
            *letter -= 1;
            common += 1;
        }
    }
    let jaro = (ratio(common, left.len()) + ratio(common, right.len()) + 1.0) / 3.0;
    let prefix = left
        .bytes()
        .zip(right.bytes())
        .take(4)
        .take_while(|(left, right)| left == right)
        .count();
    Some(Nearest {
        edits: ratio(left.len().max(right.len()) - common, 1),
        // Rounding must not put a bound below what it bounds.
        jaro: jaro + 1e-9,
        jaro_winkler: jaro + ratio(prefix, 10) * (1.0 - jaro).max(0.0) + 1e-9,
    })
}

/// `part / whole`, for counts far below 2⁵³.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of characters or records"
    )]
    let ratio = part as f64 / whole as f64;
    ratio
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 5e-5
    }

    #[test]
    fn a_prefix_counts_only_above_jaro_0_7() {
        assert!(close(jaro("abcdefgh", "abzzzzzz"), 0.5));
        assert!(close(jaro_winkler("abcdefgh", "abzzzzzz"), 0.5));
        assert!(close(jaro("martha", "marhta"), 0.9444));
        assert!(close(jaro_winkler("martha", "marhta"), 0.9611));
    }

    #[test]
    fn a_swap_may_be_edited_again() {
        assert_eq!(damerau_levenshtein("ca", "abc"), 2);
        assert_eq!(levenshtein("ca", "abc"), 3);
    }

    #[test]
    fn jaccard_is_of_sets_of_characters() {
        assert!(close(jaccard("aab", "ab"), 1.0));
        assert!(close(jaccard("abc", "abd"), 0.5));
        assert!(close(jaccard("", ""), 0.0));
    }

    proptest::proptest! {
        #[test]
        fn bounds_hold(left in "[a-d]{1,8}", right in "[a-d]{1,8}") {
            let bound = nearest(&left, &right).unwrap();
            assert!(ratio(levenshtein(&left, &right), 1) >= bound.edits);
            assert!(ratio(damerau_levenshtein(&left, &right), 1) >= bound.edits);
            assert!(jaro(&left, &right) <= bound.jaro);
            assert!(jaro_winkler(&left, &right) <= bound.jaro_winkler);
        }
    }
}
