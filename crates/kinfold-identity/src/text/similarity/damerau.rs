//! Damerau's distance, without the restriction that a part is edited once: `ca` and `abc` are 2 apart.

use std::mem;

use super::levenshtein::levenshtein_within;
use super::scratch::{Scratch, index};

/// How many insertions, deletions, replacements and exchanges of neighbours turn `left` into `right`
/// (Damerau, CACM 7, 1964; Lowrance and Wagner, JACM 22, 1975).
pub fn damerau(scratch: &mut Scratch, left: &str, right: &str) -> usize {
    // No distance is larger than the longer text.
    let longest = left.len().max(right.len());
    damerau_within(scratch, left, right, longest).unwrap_or(longest)
}

/// The same, or `None` if it is more than `limit`. A small limit makes it much faster.
///
/// An exchange is two of Levenshtein's steps, so this distance is at least half of Levenshtein's and no
/// more than it. Only where this leaves the answer open is a table filled.
pub fn damerau_within(
    scratch: &mut Scratch,
    left: &str,
    right: &str,
    limit: usize,
) -> Option<usize> {
    let levenshtein = levenshtein_within(scratch, left, right, limit.saturating_mul(2))?;
    if levenshtein <= 1 {
        return (levenshtein <= limit).then_some(levenshtein);
    }
    scratch.decode_middle(left, right);
    fill_table(scratch, limit)
}

/// Row by row, with three rows in memory (Zhao and Sahni, BMC Bioinformatics 20, 2019). The rows are the
/// characters of the scratch's right text, the columns those of the left one; places count from 1.
fn fill_table(scratch: &mut Scratch, limit: usize) -> Option<usize> {
    let symbols = scratch.number_symbols();
    let columns = scratch.left.len();
    let never = columns.max(scratch.right.len()) + 1;
    // One more than the last row with that character, 0 if there is none.
    let last_row = &mut scratch.last_row;
    last_row.clear();
    last_row.resize(symbols, 0);
    // Cells have an index one higher than their column, so that the column before the first exists.
    let [row, above, crossing] = &mut scratch.rows;
    let (mut row, mut above) = (row, above);
    for cells in [&mut *above, &mut *crossing] {
        cells.clear();
        cells.resize(columns + 2, never);
    }
    row.clear();
    row.push(never);
    row.extend(0..=columns);
    for (at, symbol) in scratch.right.iter().enumerate() {
        let at = at + 1;
        mem::swap(&mut row, &mut above);
        // The row's first cell is the number of the row; before, it held that of two rows above.
        let mut two_above = mem::replace(&mut row[1], at);
        let mut least = at;
        // One more than the last column with this row's character.
        let mut last_column = 0;
        let mut before_match = never;
        for (column, other) in scratch.left.iter().enumerate() {
            let column = column + 1;
            let equal = symbol == other;
            let replaced = above[column] + usize::from(!equal);
            let mut best = replaced.min(row[column] + 1).min(above[column + 1] + 1);
            if equal {
                last_column = column + 1;
                crossing[column + 1] = above[column - 1];
                before_match = two_above;
            } else {
                let rows_back = at + 1 - last_row[index(*other)];
                let columns_back = column + 1 - last_column;
                if columns_back == 1 {
                    best = best.min(crossing[column + 1] + rows_back);
                } else if rows_back == 1 {
                    best = best.min(before_match + columns_back);
                }
            }
            two_above = mem::replace(&mut row[column + 1], best);
            least = least.min(best);
        }
        // No row has only larger distances than a later one, exchanges across it included.
        if least > limit {
            return None;
        }
        last_row[index(*symbol)] = at + 1;
    }
    let distance = row[columns + 1];
    (distance <= limit).then_some(distance)
}
