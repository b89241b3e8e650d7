//! Jaro and Jaro-Winkler.
//!
//! Two characters match if they are equal and stand no further apart than half the longer text less
//! one; each matches once, with the first that is free. The sets of matching characters are kept as
//! bits, so that the search for the first free one is a few operations on a word (the form that
//! M. Bachmann described for RapidFuzz). The relation is symmetric: for one character the search is
//! the merge of two ascending lists of places.

use super::places::{Places, Symbol, WORD};
use super::scratch::{Scratch, index, real};

/// Jaro's similarity (JASA 84, 1989), 0 to 1, by characters. Half of the transposed characters count,
/// rounded down. Two empty texts are equal: 1.
pub fn jaro(scratch: &mut Scratch, left: &str, right: &str) -> f64 {
    if left == right {
        return 1.0;
    }
    if left.is_ascii() && right.is_ascii() && left.len() <= WORD && right.len() <= WORD {
        return of_short(&mut scratch.places, left.as_bytes(), right.as_bytes());
    }
    scratch.decode(left, right);
    if scratch.left.len() <= WORD && scratch.right.len() <= WORD {
        return of_short(&mut scratch.places, &scratch.left, &scratch.right);
    }
    of_long(scratch)
}

/// Winkler's variant (1990) of [`jaro`]: what is lacking to 1 shrinks by a tenth for each of the first
/// four characters that agree, if Jaro's similarity is above 0.7.
pub fn jaro_winkler(scratch: &mut Scratch, left: &str, right: &str) -> f64 {
    const PREFIX: usize = 4;
    const SCALE: f64 = 0.1;
    const BOOST_ABOVE: f64 = 0.7;
    let jaro = jaro(scratch, left, right);
    if jaro <= BOOST_ABOVE {
        return jaro;
    }
    let prefix = left
        .chars()
        .zip(right.chars())
        .take(PREFIX)
        .take_while(|(left, right)| left == right)
        .count();
    jaro + SCALE * real(prefix) * (1.0 - jaro)
}

/// How far apart matching characters may stand.
fn window(left: usize, right: usize) -> usize {
    (left.max(right) / 2).saturating_sub(1)
}

fn score(left: usize, right: usize, matches: usize, out_of_order: usize) -> f64 {
    if matches == 0 {
        return 0.0;
    }
    let in_order = real(matches - out_of_order / 2) / real(matches);
    (real(matches) / real(left) + real(matches) / real(right) + in_order) / 3.0
}

fn of_short<T: Symbol>(places: &mut Places, left: &[T], right: &[T]) -> f64 {
    places.mark(right);
    let window = window(left.len(), right.len());
    // The window has at most 31 characters on each side.
    let mut reach: u64 = (1 << (window + 1)) - 1;
    let (mut left_matched, mut right_matched) = (0_u64, 0_u64);
    for (place, symbol) in left.iter().enumerate() {
        let free = symbol.places(places) & reach & !right_matched;
        right_matched |= free & free.wrapping_neg();
        left_matched |= u64::from(free != 0) << place;
        reach = reach << 1 | u64::from(place < window);
    }
    let matches = left_matched.count_ones();
    let mut out_of_order = 0;
    let mut rest = right_matched;
    let mut todo = left_matched;
    while todo != 0 {
        let first = rest & rest.wrapping_neg();
        let symbol = left.get(index(todo.trailing_zeros()));
        let there = symbol.map_or(0, |symbol| symbol.places(places));
        out_of_order += usize::from(there & first == 0);
        todo &= todo - 1;
        rest ^= first;
    }
    places.clear(right);
    score(left.len(), right.len(), index(matches), out_of_order)
}

/// Of the decoded texts; the places are those of the left one, of any length.
fn of_long(scratch: &mut Scratch) -> f64 {
    let symbols = scratch.number_symbols();
    let words = scratch.mark_places(symbols);
    let window = window(scratch.left.len(), scratch.right.len());
    let (left_matched, right_matched) = (&mut scratch.first, &mut scratch.second);
    left_matched.clear();
    left_matched.resize(words, 0);
    right_matched.clear();
    right_matched.resize(scratch.right.len().div_ceil(WORD), 0);
    let mut matches = 0;
    for (place, symbol) in scratch.right.iter().enumerate() {
        let Some(places) = scratch
            .masks
            .get(index(*symbol) * words..(index(*symbol) + 1) * words)
        else {
            continue;
        };
        let from = place.saturating_sub(window);
        let to = place + window;
        for (word, (mask, matched)) in places
            .iter()
            .zip(left_matched.iter_mut())
            .enumerate()
            .take(to / WORD + 1)
            .skip(from / WORD)
        {
            let free = mask & !*matched & reach(word, from, to);
            if free != 0 {
                *matched |= free & free.wrapping_neg();
                if let Some(matched) = right_matched.get_mut(place / WORD) {
                    *matched |= 1 << (place % WORD);
                }
                matches += 1;
                break;
            }
        }
    }
    let lefts = places_of(left_matched).filter_map(|place| scratch.left.get(place));
    let rights = places_of(right_matched).filter_map(|place| scratch.right.get(place));
    let out_of_order = lefts
        .zip(rights)
        .filter(|(left, right)| left != right)
        .count();
    score(
        scratch.left.len(),
        scratch.right.len(),
        matches,
        out_of_order,
    )
}

/// The bits of a word that stand for the places `from` to `to`, both included.
fn reach(word: usize, from: usize, to: usize) -> u64 {
    let start = word * WORD;
    let above = u64::MAX << from.saturating_sub(start).min(WORD - 1);
    let below = u64::MAX >> (WORD - 1 - (to - start).min(WORD - 1));
    above & below
}

fn places_of(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut rest = *word;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| at * WORD + index(rest.trailing_zeros()))?;
            rest &= rest - 1;
            Some(bit)
        })
    })
}
