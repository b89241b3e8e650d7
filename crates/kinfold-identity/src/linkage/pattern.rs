//! The level of each comparison, for a pair of records.

use std::cmp::Ordering;

use super::records::{Column, ColumnIndex, NO_DATE, Records, mix};
use super::similarity::{nearest, ratio};
use crate::text::similarity::{
    Scratch as Buffers, damerau_within, jaccard, jaro, jaro_winkler, levenshtein_within,
};

/// How similar two values are, computed once for all levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Jaro,
    JaroWinkler,
    Levenshtein,
    DamerauLevenshtein,
    Jaccard,
    ArrayJaroWinkler,
}

/// A condition whose columns exist and have the right type.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Exact(ColumnIndex),
    AtLeast(usize, f64),
    AtMost(usize, f64),
    DateWithin(ColumnIndex, u32),
    NumberWithin(ColumnIndex, f64),
    NumberRelative(ColumnIndex, f64),
    Intersect(ColumnIndex, usize),
    Subset(ColumnIndex),
    Swapped(ColumnIndex, ColumnIndex),
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
}

/// A measure of a column and its loosest bar: what is beyond it need not be exact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) kind: Measure,
    pub(crate) column: ColumnIndex,
    pub(crate) bar: f64,
}

#[derive(Debug)]
pub(crate) struct Aspect {
    pub(crate) columns: Vec<ColumnIndex>,
    pub(crate) tests: Vec<Test>,
}

/// Comparisons that fit their records.
#[derive(Debug)]
pub(crate) struct Comparator<'a> {
    pub(crate) records: &'a Records,
    pub(crate) aspects: Vec<Aspect>,
    pub(crate) measures: Vec<Measured>,
}

/// The null level.
pub(crate) const NULL: u8 = 0;

impl<'a> Comparator<'a> {
    /// The state of one thread.
    pub(crate) fn scratch(&self) -> Scratch {
        Scratch {
            values: vec![f64::NAN; self.measures.len()],
            memo: vec![None; self.measures.len() * MEMO],
            buffers: Buffers::new(),
        }
    }

    /// The state for a few pairs, which remembers nothing of them: what it would remember is megabytes.
    pub(crate) fn small_scratch(&self) -> Scratch {
        Scratch {
            values: vec![f64::NAN; self.measures.len()],
            memo: vec![],
            buffers: Buffers::new(),
        }
    }

    /// Writes the level of every comparison: 0 the null level, then the levels in their order, then
    /// the last one.
    pub(crate) fn pattern(&self, scratch: &mut Scratch, left: u32, right: u32, pattern: &mut [u8]) {
        scratch.values.fill(f64::NAN);
        for (aspect, slot) in self.aspects.iter().zip(pattern) {
            *slot = self.level_of(aspect, scratch, left, right);
        }
    }

    /// The level of one comparison.
    pub(crate) fn level(
        &self,
        comparison: usize,
        scratch: &mut Scratch,
        left: u32,
        right: u32,
    ) -> u8 {
        scratch.values.fill(f64::NAN);
        self.level_of(&self.aspects[comparison], scratch, left, right)
    }

    fn level_of(&self, aspect: &Aspect, scratch: &mut Scratch, left: u32, right: u32) -> u8 {
        let missing = aspect.columns.iter().all(|column| {
            self.column(*column)
                .is_none_or(|column| column.is_missing(left) || column.is_missing(right))
        });
        if missing {
            return NULL;
        }
        let level = aspect
            .tests
            .iter()
            .position(|test| self.holds(test, scratch, left, right))
            .unwrap_or(aspect.tests.len());
        // At most `MAX_LEVELS`.
        u8::try_from(level + 1).unwrap_or(u8::MAX)
    }

    fn holds(&self, test: &Test, scratch: &mut Scratch, left: u32, right: u32) -> bool {
        match test {
            Test::Exact(column) => self.equal(*column, left, *column, right),
            Test::AtLeast(measure, bar) => self.measure(*measure, scratch, left, right) >= *bar,
            Test::AtMost(measure, bar) => self.measure(*measure, scratch, left, right) <= *bar,
            Test::DateWithin(column, days) => match self.column(*column) {
                Some(Column::Date(values)) => {
                    let (left, right) = (values[left as usize], values[right as usize]);
                    left != NO_DATE && right != NO_DATE && left.abs_diff(right) <= *days
                }
                _ => false,
            },
            Test::NumberWithin(column, bar) => {
                let (left, right) = self.numbers(*column, left, right);
                (left - right).abs() <= *bar
            }
            Test::NumberRelative(column, bar) => {
                let (left, right) = self.numbers(*column, left, right);
                (left - right).abs() <= *bar * left.abs().max(right.abs())
            }
            Test::Intersect(column, bar) => self
                .column(*column)
                .is_some_and(|column| common(column.array(left), column.array(right)) >= *bar),
            Test::Subset(column) => self.column(*column).is_some_and(|column| {
                let (left, right) = (column.array(left), column.array(right));
                let smaller = left.len().min(right.len());
                smaller > 0 && common(left, right) == smaller
            }),
            Test::Swapped(first, second) => {
                self.equal(*first, left, *second, right) && self.equal(*second, left, *first, right)
            }
            Test::And(tests) => tests
                .iter()
                .all(|test| self.holds(test, scratch, left, right)),
            Test::Or(tests) => tests
                .iter()
                .any(|test| self.holds(test, scratch, left, right)),
            Test::Not(test) => !self.holds(test, scratch, left, right),
        }
    }

    /// Whether two values are there and equal, also across columns.
    fn equal(&self, column: ColumnIndex, left: u32, other: ColumnIndex, right: u32) -> bool {
        let (Some(one), Some(two)) = (self.column(column), self.column(other)) else {
            return false;
        };
        if one.is_missing(left) || two.is_missing(right) {
            return false;
        }
        let (left_at, right_at) = (left as usize, right as usize);
        match (one, two) {
            (
                Column::Text { codes, texts },
                Column::Text {
                    codes: others,
                    texts: their,
                },
            ) => {
                let (code, theirs) = (codes[left_at], others[right_at]);
                if column == other {
                    code == theirs
                } else {
                    texts.get(code) == their.get(theirs)
                }
            }
            (Column::Date(ours), Column::Date(theirs)) => ours[left_at] == theirs[right_at],
            (Column::Number(ours), Column::Number(theirs)) => {
                ours[left_at].partial_cmp(&theirs[right_at]) == Some(Ordering::Equal)
            }
            (Column::TextArray { .. }, Column::TextArray { .. }) => {
                column == other && one.array(left) == two.array(right)
            }
            _ => false,
        }
    }

    /// Two numbers; not a number where there is none, which no bar admits.
    fn numbers(&self, column: ColumnIndex, left: u32, right: u32) -> (f64, f64) {
        match self.column(column) {
            Some(Column::Number(values)) => (values[left as usize], values[right as usize]),
            _ => (f64::NAN, f64::NAN),
        }
    }

    /// A similarity or a distance; not a number where a value is missing.
    fn measure(&self, measure: usize, scratch: &mut Scratch, left: u32, right: u32) -> f64 {
        if !scratch.values[measure].is_nan() {
            return scratch.values[measure];
        }
        let Measured { kind, column, bar } = self.measures[measure];
        let places = measure * MEMO..(measure + 1) * MEMO;
        let memo = scratch.memo.get_mut(places).unwrap_or_default();
        let buffers = &mut scratch.buffers;
        let value = match self.column(column) {
            Some(column) if column.is_missing(left) || column.is_missing(right) => f64::NAN,
            Some(Column::Text { codes, texts }) => memoised(
                memo,
                codes[left as usize],
                codes[right as usize],
                |left, right| measured(buffers, (kind, bar), texts.get(left), texts.get(right)),
            ),
            Some(Column::Date(days)) => memoised(
                memo,
                days[left as usize].cast_unsigned(),
                days[right as usize].cast_unsigned(),
                |left, right| {
                    let left = date_text(left.cast_signed());
                    let right = date_text(right.cast_signed());
                    measured(buffers, (kind, bar), &left, &right)
                },
            ),
            Some(column @ Column::TextArray { texts, .. }) => {
                let mut best = 0.0_f64;
                for left in column.array(left) {
                    for right in column.array(right) {
                        best = best.max(memoised(memo, *left, *right, |left, right| {
                            measured(buffers, (kind, bar), texts.get(left), texts.get(right))
                        }));
                    }
                }
                best
            }
            _ => f64::NAN,
        };
        scratch.values[measure] = value;
        value
    }

    pub(crate) fn column(&self, column: ColumnIndex) -> Option<&'a Column> {
        self.records.column(column)
    }
}

/// What one thread keeps between pairs.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Measures of the pair at hand; not a number until computed.
    values: Vec<f64>,
    /// Measures of pairs of values met before, `MEMO` places for each measure; may be none at all.
    memo: Vec<Option<Memo>>,
    /// What measuring writes into.
    buffers: Buffers,
}

#[derive(Clone, Copy, Debug)]
struct Memo {
    left: u32,
    right: u32,
    value: f64,
}

/// Places for each measure: names repeat a lot, and a miss costs only the computation.
const MEMO: usize = 1 << 15;

/// The value of a pair of codes, the same for either order.
fn memoised(
    memo: &mut [Option<Memo>],
    left: u32,
    right: u32,
    compute: impl FnOnce(u32, u32) -> f64,
) -> f64 {
    let (left, right) = (left.min(right), left.max(right));
    let hash = mix((u64::from(left) << 32) | u64::from(right)) % (MEMO as u64);
    let Some(place) = usize::try_from(hash).ok().and_then(|at| memo.get_mut(at)) else {
        return compute(left, right);
    };
    match place {
        Some(known) if known.left == left && known.right == right => known.value,
        _ => {
            let value = compute(left, right);
            *place = Some(Memo { left, right, value });
            value
        }
    }
}

impl Measure {
    /// Whether less is nearer.
    pub(crate) const fn is_distance(self) -> bool {
        matches!(self, Self::Levenshtein | Self::DamerauLevenshtein)
    }
}

/// A measure of two texts; beyond the bar any value beyond it.
fn measured(buffers: &mut Buffers, (kind, bar): (Measure, f64), left: &str, right: &str) -> f64 {
    // Jaro depends on the order of its texts in rare cases, so the lesser goes first.
    let (left, right) = if left <= right {
        (left, right)
    } else {
        (right, left)
    };
    let bound = || nearest(left, right);
    match kind {
        Measure::Levenshtein | Measure::DamerauLevenshtein
            if bound().is_some_and(|bound| bound.edits > bar) =>
        {
            f64::INFINITY
        }
        Measure::Jaro if bound().is_some_and(|bound| bound.jaro < bar) => 0.0,
        Measure::JaroWinkler | Measure::ArrayJaroWinkler
            if bound().is_some_and(|bound| bound.jaro_winkler < bar) =>
        {
            0.0
        }
        Measure::Jaro => jaro(buffers, left, right),
        Measure::JaroWinkler | Measure::ArrayJaroWinkler => jaro_winkler(buffers, left, right),
        Measure::Levenshtein => edits(levenshtein_within(buffers, left, right, limit(bar))),
        Measure::DamerauLevenshtein => edits(damerau_within(buffers, left, right, limit(bar))),
        Measure::Jaccard => jaccard(buffers, left, right),
    }
}

/// A bar of edits, which is a whole number far below 2³².
fn limit(bar: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "made of a u32"
    )]
    let limit = bar as u32;
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Edits, or more than the bar.
fn edits(count: Option<usize>) -> f64 {
    count.map_or(f64::INFINITY, |count| ratio(count, 1))
}

/// Texts in both arrays, whose codes ascend.
fn common(left: &[u32], right: &[u32]) -> usize {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while let (Some(one), Some(two)) = (left.get(i), right.get(j)) {
        match one.cmp(two) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                count += 1;
                i += 1;
                j += 1;
            }
        }
    }
    count
}

/// `YYYY-MM-DD` in the Gregorian calendar, from days since 1970-01-01 (Hinnant's algorithm:
/// years start in March, 400 of them have 146,097 days).
fn date_text(days: i32) -> String {
    let days = i64::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_their_text() {
        assert_eq!(date_text(0), "1970-01-01");
        assert_eq!(date_text(-1), "1969-12-31");
        assert_eq!(date_text(19_782), "2024-02-29");
        assert_eq!(date_text(-124_187), "1629-12-27");
    }

    #[test]
    fn common_codes_of_two_arrays() {
        assert_eq!(common(&[1, 3, 5], &[2, 3, 5, 7]), 2);
        assert_eq!(common(&[], &[1]), 0);
    }
}
