//! Bounds of the similarity of two texts that cost less than the similarity.

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
    use crate::text::similarity::{Scratch, damerau, jaro, jaro_winkler, levenshtein};

    proptest::proptest! {
        #[test]
        fn bounds_hold(left in "[a-d]{1,8}", right in "[a-d]{1,8}") {
            let bound = nearest(&left, &right).unwrap();
            let scratch = &mut Scratch::new();
            assert!(ratio(levenshtein(scratch, &left, &right), 1) >= bound.edits);
            assert!(ratio(damerau(scratch, &left, &right), 1) >= bound.edits);
            assert!(jaro(scratch, &left, &right) <= bound.jaro);
            assert!(jaro_winkler(scratch, &left, &right) <= bound.jaro_winkler);
        }
    }
}
