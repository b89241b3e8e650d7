//! How much two texts have in common, whatever the order.

use super::scratch::{Scratch, real};

/// Jaccard's index of the two sets of characters, 0 to 1: `aab` and `ab` have 1. Two empty texts have 1.
pub fn jaccard(scratch: &mut Scratch, left: &str, right: &str) -> f64 {
    if left == right {
        return 1.0;
    }
    let (shared, all) = if left.is_ascii() && right.is_ascii() {
        let (left, right) = (ascii_set(left), ascii_set(right));
        (
            f64::from((left & right).count_ones()),
            f64::from((left | right).count_ones()),
        )
    } else {
        scratch.decode(left, right);
        for characters in [&mut scratch.left, &mut scratch.right] {
            characters.sort_unstable();
            characters.dedup();
        }
        let (left, right) = (&scratch.left, &scratch.right);
        let shared = left
            .iter()
            .filter(|character| right.binary_search(character).is_ok())
            .count();
        (real(shared), real(left.len() + right.len() - shared))
    };
    // The texts differ, so one of them has a character.
    shared / all
}

fn ascii_set(text: &str) -> u128 {
    text.bytes().fold(0, |set, byte| set | 1 << (byte & 127))
}

/// The cosine of the angle between the two texts' counts of pairs of neighbouring characters, 0 to 1.
/// Texts of fewer than two characters have 1 if they are equal, else 0.
pub fn bigram_cosine(scratch: &mut Scratch, left: &str, right: &str) -> f64 {
    if left == right {
        return 1.0;
    }
    list_pairs(&mut scratch.left_pairs, left);
    list_pairs(&mut scratch.right_pairs, right);
    let (left, right) = (&scratch.left_pairs, &scratch.right_pairs);
    if left.is_empty() || right.is_empty() {
        return 0.0;
    }
    let squares = |pairs: &[u64]| -> usize {
        let runs = pairs.chunk_by(|a, b| a == b);
        runs.map(|run| run.len() * run.len()).sum()
    };
    let mut others = right.chunk_by(|a, b| a == b).peekable();
    let mut product = 0;
    for run in left.chunk_by(|a, b| a == b) {
        while others
            .next_if(|other| other.first() < run.first())
            .is_some()
        {}
        if let Some(other) = others.next_if(|other| other.first() == run.first()) {
            product += run.len() * other.len();
        }
    }
    // One root of the product rather than two, so that equal counts give exactly 1.
    real(product) / (real(squares(left)) * real(squares(right))).sqrt()
}

fn list_pairs(pairs: &mut Vec<u64>, text: &str) {
    pairs.clear();
    let next = text.chars().skip(1);
    pairs.extend(
        text.chars().zip(next).map(|(first, second)| {
            u64::from(u32::from(first)) << 32 | u64::from(u32::from(second))
        }),
    );
    pairs.sort_unstable();
}
