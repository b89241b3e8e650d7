//! Buffers that the comparison of two texts fills, so that comparing millions of them allocates nothing.

use super::places::{Places, WORD};

/// What the functions of [`similarity`](super) write into. One for each thread, used again and again:
/// buffers grow to the longest text seen and stay.
///
/// The results never depend on what a scratch was used for before.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Of a short pattern.
    pub(super) places: Places,
    /// The two texts as code points, or as numbers that are equal where the characters are equal.
    pub(super) left: Vec<u32>,
    pub(super) right: Vec<u32>,
    /// The distinct characters of the left text in ascending order.
    pub(super) alphabet: Vec<u32>,
    /// For each symbol of the left text the places that it has there, some words each.
    pub(super) masks: Vec<u64>,
    /// State of the words of a long pattern.
    pub(super) first: Vec<u64>,
    pub(super) second: Vec<u64>,
    /// Rows of a table of distances.
    pub(super) rows: [Vec<usize>; 3],
    /// For each symbol the last row that had it.
    pub(super) last_row: Vec<usize>,
    /// Bigrams of the two texts.
    pub(super) left_pairs: Vec<u64>,
    pub(super) right_pairs: Vec<u64>,
}

impl Scratch {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the characters of the two texts into `left` and `right`.
    pub(super) fn decode(&mut self, left: &str, right: &str) {
        self.left.clear();
        self.left.extend(left.chars().map(u32::from));
        self.right.clear();
        self.right.extend(right.chars().map(u32::from));
    }

    /// Writes what the two texts do not share at the beginning and at the end, the shorter one left.
    pub(super) fn decode_middle(&mut self, left: &str, right: &str) {
        let (left, right) = middle(left, right);
        self.decode(left, right);
        if self.left.len() > self.right.len() {
            std::mem::swap(&mut self.left, &mut self.right);
        }
    }

    /// Numbers the characters of the decoded texts from zero, so that they can index a table. What
    /// `left` has not becomes the last number. Returns the count of numbers. ASCII keeps its own.
    pub(super) fn number_symbols(&mut self) -> usize {
        const ASCII: u32 = 128;
        if self
            .left
            .iter()
            .chain(&self.right)
            .all(|symbol| *symbol < ASCII)
        {
            return index(ASCII);
        }
        self.alphabet.clear();
        self.alphabet.extend_from_slice(&self.left);
        self.alphabet.sort_unstable();
        self.alphabet.dedup();
        let alphabet = &self.alphabet;
        let other = alphabet.len();
        for symbol in self.left.iter_mut().chain(&mut self.right) {
            let number = alphabet.binary_search(symbol).unwrap_or(other);
            // At most one number for each code point, of which there are 1,114,112.
            *symbol = u32::try_from(number).unwrap_or(u32::MAX);
        }
        other + 1
    }

    /// Fills `masks` for the numbered left text. Returns the words that a symbol has.
    pub(super) fn mark_places(&mut self, symbols: usize) -> usize {
        let words = self.left.len().div_ceil(WORD);
        self.masks.clear();
        self.masks.resize(symbols * words, 0);
        for (place, symbol) in self.left.iter().enumerate() {
            if let Some(mask) = self.masks.get_mut(index(*symbol) * words + place / WORD) {
                *mask |= 1 << (place % WORD);
            }
        }
        words
    }
}

/// A symbol as an index.
pub(super) fn index(symbol: u32) -> usize {
    usize::try_from(symbol).unwrap_or(usize::MAX)
}

/// A count as a real number, exact up to 2^53.
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

/// Both without the bytes that they share at the beginning and at the end, the shorter one first.
pub(super) fn middle_of_ascii<'a>(left: &'a [u8], right: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let start = common(left.iter().zip(right));
    let (left, right) = (
        left.get(start..).unwrap_or_default(),
        right.get(start..).unwrap_or_default(),
    );
    let end = common(left.iter().rev().zip(right.iter().rev()));
    let (left, right) = (
        left.get(..left.len() - end).unwrap_or_default(),
        right.get(..right.len() - end).unwrap_or_default(),
    );
    if left.len() <= right.len() {
        (left, right)
    } else {
        (right, left)
    }
}

/// Both without the characters that they share at the beginning and at the end.
fn middle<'a>(left: &'a str, right: &'a str) -> (&'a str, &'a str) {
    let (mut left, mut right) = (left.chars(), right.chars());
    let (mut rest_left, mut rest_right) = (left.clone(), right.clone());
    while let (Some(a), Some(b)) = (left.next(), right.next())
        && a == b
    {
        (rest_left, rest_right) = (left.clone(), right.clone());
    }
    let (mut left, mut right) = (rest_left.clone(), rest_right.clone());
    while let (Some(a), Some(b)) = (left.next_back(), right.next_back())
        && a == b
    {
        (rest_left, rest_right) = (left.clone(), right.clone());
    }
    (rest_left.as_str(), rest_right.as_str())
}

fn common<T: PartialEq>(pairs: impl Iterator<Item = (T, T)>) -> usize {
    pairs.take_while(|(left, right)| left == right).count()
}
