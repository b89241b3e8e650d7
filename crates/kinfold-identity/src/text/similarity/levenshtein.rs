//! Levenshtein's distance: insertions, deletions and replacements of one character.
//!
//! A column of the table of distances is kept as the bits of its differences and goes forward by
//! one character of the text in some fifteen operations on a word (Myers, JACM 46, 1999), or on
//! several for a pattern of more than 64 characters (Hyyrö, Nordic Journal of Computing 10, 2003).

use super::places::{Places, Symbol, WORD};
use super::scratch::{Scratch, index, middle_of_ascii};

/// How many insertions, deletions and replacements of a character turn `left` into `right`.
pub fn levenshtein(scratch: &mut Scratch, left: &str, right: &str) -> usize {
    // No distance is larger than the longer text.
    let longest = left.len().max(right.len());
    levenshtein_within(scratch, left, right, longest).unwrap_or(longest)
}

/// The same, or `None` if it is more than `limit`. A small limit makes it faster.
pub fn levenshtein_within(
    scratch: &mut Scratch,
    left: &str,
    right: &str,
    limit: usize,
) -> Option<usize> {
    if left == right {
        return Some(0);
    }
    if left.is_ascii() && right.is_ascii() {
        if left.len().abs_diff(right.len()) > limit {
            return None;
        }
        let (short, long) = middle_of_ascii(left.as_bytes(), right.as_bytes());
        if let Some(decided) = without_table(short.len(), long.len(), limit) {
            return decided;
        }
        if short.len() <= WORD {
            return of_short(&mut scratch.places, short, long, limit);
        }
    }
    scratch.decode_middle(left, right);
    if let Some(decided) = without_table(scratch.left.len(), scratch.right.len(), limit) {
        return decided;
    }
    if scratch.left.len() <= WORD {
        return of_short(&mut scratch.places, &scratch.left, &scratch.right, limit);
    }
    let symbols = scratch.number_symbols();
    let words = scratch.mark_places(symbols);
    of_long(scratch, words, limit)
}

/// What the lengths alone decide. Where something is left over of both, the distance is at least one.
fn without_table(short: usize, long: usize, limit: usize) -> Option<Option<usize>> {
    if long - short > limit {
        return Some(None);
    }
    (short == 0).then_some(Some(long))
}

/// Whether the distance is above the limit whatever comes: each character to come lowers it by one at
/// most.
fn hopeless(distance: usize, to_come: usize, limit: usize) -> bool {
    distance > limit.saturating_add(to_come)
}

fn of_short<T: Symbol>(
    places: &mut Places,
    pattern: &[T],
    text: &[T],
    limit: usize,
) -> Option<usize> {
    places.mark(pattern);
    let last = pattern.len() - 1;
    let mut column = Column::START;
    let mut distance = pattern.len();
    let mut to_come = text.len();
    for symbol in text {
        let (step, _) = column.advance(symbol.places(places), Step::UP, last);
        distance = step.apply(distance);
        to_come -= 1;
        if hopeless(distance, to_come, limit) {
            break;
        }
    }
    places.clear(pattern);
    // After a break the distance of the whole is above the limit, and so is this one.
    (distance <= limit).then_some(distance)
}

fn of_long(scratch: &mut Scratch, words: usize, limit: usize) -> Option<usize> {
    let (rises, falls) = (&mut scratch.first, &mut scratch.second);
    rises.clear();
    rises.resize(words, u64::MAX);
    falls.clear();
    falls.resize(words, 0);
    let last = (scratch.left.len() - 1) % WORD;
    let mut distance = scratch.left.len();
    let mut to_come = scratch.right.len();
    for symbol in &scratch.right {
        let places = scratch
            .masks
            .get(index(*symbol) * words..(index(*symbol) + 1) * words)
            .unwrap_or_default();
        let mut carried = Step::UP;
        let mut at_last = Step::UP;
        for ((mask, rises), falls) in places.iter().zip(rises.iter_mut()).zip(falls.iter_mut()) {
            let mut column = Column {
                rises: *rises,
                falls: *falls,
            };
            (at_last, carried) = column.advance(*mask, carried, last);
            (*rises, *falls) = (column.rises, column.falls);
        }
        distance = at_last.apply(distance);
        to_come -= 1;
        if hopeless(distance, to_come, limit) {
            return None;
        }
    }
    (distance <= limit).then_some(distance)
}

/// Where a column's distances rise and fall by one from row to row.
struct Column {
    rises: u64,
    falls: u64,
}

/// How the distance of one row changes from a column to the next: at most one of the two is 1.
#[derive(Clone, Copy)]
struct Step {
    up: u64,
    down: u64,
}

impl Step {
    /// Above the first row the distance is the number of columns.
    const UP: Self = Self { up: 1, down: 0 };

    fn apply(self, distance: usize) -> usize {
        distance + usize::from(self.up == 1) - usize::from(self.down == 1)
    }
}

impl Column {
    /// Before the first character the distance is the number of rows.
    const START: Self = Self {
        rises: u64::MAX,
        falls: 0,
    };

    /// To the next column. `equal` marks the rows with the text's character, `above` is the step of the
    /// row above the word. Gives the step of row `last` and that of the word's last row.
    #[inline]
    fn advance(&mut self, equal: u64, above: Step, last: usize) -> (Step, Step) {
        let vertical = equal | self.falls;
        let equal = equal | above.down;
        let diagonal = ((equal & self.rises).wrapping_add(self.rises) ^ self.rises) | equal;
        let up = self.falls | !(diagonal | self.rises);
        let down = self.rises & diagonal;
        let step = |row: usize| Step {
            up: up >> row & 1,
            down: down >> row & 1,
        };
        let steps = (step(last), step(WORD - 1));
        let up = up << 1 | above.up;
        let down = down << 1 | above.down;
        self.rises = down | !(vertical | up);
        self.falls = up & vertical;
        steps
    }
}
