//! Which rows of two sets differ, and how.

use std::collections::HashMap;
use std::fmt::Write as _;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, ScalarValue};

type Row = Vec<ScalarValue>;

/// Rows that a table shows at most.
const SHOWN: usize = 20;

/// Rows that are looked through for one that is like another.
const COMPARED: usize = 200;

/// Characters of a cell.
const WIDEST: usize = 48;

/// How two sets of rows differ.
#[derive(Debug)]
pub(super) struct Difference {
    missing: usize,
    unexpected: usize,
    /// The rows that differ, in lines: `-` what was expected only, `+` what was found only, `*` before cells that
    /// are others than in the row above.
    pub(super) table: String,
}

impl Difference {
    pub(super) fn words(&self) -> String {
        let rows = |n: usize, what: &str| match n {
            0 => None,
            1 => Some(format!("1 row is {what}")),
            n => Some(format!("{n} rows are {what}")),
        };
        let parts = [
            rows(self.missing, "missing"),
            rows(self.unexpected, "unexpected"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    pub(super) fn rows(&self) -> u64 {
        self.missing.max(self.unexpected) as u64
    }
}

/// Compares rows in the columns of those that are expected, whatever their order; none if they are the same. Numbers
/// with a floating point are the same if their first 15 digits are.
pub(super) fn difference(
    expected: &[RecordBatch],
    found: &[RecordBatch],
) -> Result<Option<Difference>, DataFusionError> {
    let Some(first) = expected.first() else {
        return Ok(None);
    };
    let schema = first.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let mut given: Vec<Row> = vec![];
    for batch in found {
        given.extend(rows(&columns(batch, &names)?, batch.num_rows())?);
    }
    let types: Option<Vec<_>> = match found.first() {
        Some(batch) => Some(
            columns(batch, &names)?
                .iter()
                .map(|c| c.data_type().clone())
                .collect(),
        ),
        None => None,
    };
    let mut wanted: Vec<Row> = vec![];
    for batch in expected {
        let mut arrays = batch.columns().to_vec();
        if let Some(types) = &types {
            for (array, data_type) in arrays.iter_mut().zip(types) {
                *array = cast(array, data_type)?;
            }
        }
        wanted.extend(rows(&arrays, batch.num_rows())?);
    }
    let mut counts: HashMap<&Row, usize> = HashMap::new();
    for row in &given {
        *counts.entry(row).or_default() += 1;
    }
    let mut missing: Vec<&Row> = vec![];
    for row in &wanted {
        match counts.get_mut(row).filter(|count| **count > 0) {
            Some(count) => *count -= 1,
            None => missing.push(row),
        }
    }
    let mut unexpected: Vec<&Row> = vec![];
    for row in &given {
        if let Some(count) = counts.get_mut(row).filter(|count| **count > 0) {
            *count -= 1;
            unexpected.push(row);
        }
    }
    if missing.is_empty() && unexpected.is_empty() {
        return Ok(None);
    }
    Ok(Some(Difference {
        missing: missing.len(),
        unexpected: unexpected.len(),
        table: table(&names, &missing, unexpected),
    }))
}

/// The columns of these names, in this order.
fn columns(batch: &RecordBatch, names: &[&str]) -> Result<Vec<ArrayRef>, ArrowError> {
    let schema = batch.schema();
    let position = |name: &str| {
        let fields = schema.fields();
        let exact = fields.iter().position(|field| field.name() == name);
        exact.or_else(|| {
            let mut fields = fields.iter();
            fields.position(|field| field.name().eq_ignore_ascii_case(name))
        })
    };
    names
        .iter()
        .map(|name| {
            let at = position(name);
            at.and_then(|at| batch.columns().get(at).cloned())
                .ok_or_else(|| ArrowError::SchemaError(format!("there is no column `{name}`")))
        })
        .collect()
}

fn rows(columns: &[ArrayRef], count: usize) -> Result<Vec<Row>, DataFusionError> {
    (0..count)
        .map(|at| {
            let cells = columns.iter();
            cells
                .map(|column| Ok(rounded(ScalarValue::try_from_array(column, at)?)))
                .collect()
        })
        .collect()
}

/// A number with a floating point that has 15 digits: what is computed in another order differs in the last ones.
fn rounded(value: ScalarValue) -> ScalarValue {
    let digits = |number: f64| {
        let text = format!("{number:.14e}");
        let round: f64 = text.parse().unwrap_or(number);
        // There is one zero.
        if round == 0.0 { 0.0 } else { round }
    };
    match value {
        ScalarValue::Float64(Some(number)) => ScalarValue::Float64(Some(digits(number))),
        ScalarValue::Float32(Some(number)) => {
            ScalarValue::Float32(Some(if number == 0.0 { 0.0 } else { number }))
        }
        other => other,
    }
}

fn table(names: &[&str], missing: &[&Row], mut unexpected: Vec<&Row>) -> String {
    let mut lines: Vec<(char, Vec<String>)> = vec![];
    let (mut shown, mut hidden) = (0, 0);
    for row in missing {
        let like = unexpected
            .iter()
            .take(COMPARED)
            .enumerate()
            .max_by_key(|(at, other)| {
                // The first of those that are most alike.
                (alike(row, other), std::cmp::Reverse(*at))
            });
        let like = like
            .filter(|(_, other)| alike(row, other) > 0)
            .map(|(at, _)| at);
        let like = like.map(|at| unexpected.remove(at));
        shown += 1;
        if shown > SHOWN {
            hidden += 1 + usize::from(like.is_some());
            continue;
        }
        lines.push(('-', row.iter().map(text).collect()));
        if let Some(other) = like {
            let cells = other.iter().zip(row.iter()).map(|(cell, expected)| {
                let mark = if cell == expected { "" } else { "*" };
                format!("{mark}{}", text(cell))
            });
            lines.push(('+', cells.collect()));
        }
    }
    for row in unexpected {
        shown += 1;
        if shown > SHOWN {
            hidden += 1;
            continue;
        }
        lines.push(('+', row.iter().map(text).collect()));
    }
    drawn(names, &lines, hidden)
}

/// How many cells of two rows are the same.
fn alike(left: &Row, right: &Row) -> usize {
    left.iter()
        .zip(right)
        .filter(|(left, right)| left == right)
        .count()
}

fn text(value: &ScalarValue) -> String {
    if value.is_null() {
        return "null".to_owned();
    }
    let text = match value {
        // What looks like something else is told apart from it.
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
            if text.trim() != text || text.is_empty() || text == "null" =>
        {
            format!("{text:?}")
        }
        value => value.to_string(),
    };
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().count() <= WIDEST {
        return text;
    }
    let start: String = text.chars().take(WIDEST - 1).collect();
    format!("{start}…")
}

fn drawn(names: &[&str], lines: &[(char, Vec<String>)], hidden: usize) -> String {
    let width = |at: usize| {
        let cells = lines.iter().filter_map(|(_, cells)| cells.get(at));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(names.get(at).map_or(0, |name| name.chars().count()))
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let mut table = String::new();
    let mut line = |sign: char, cells: &mut dyn Iterator<Item = &str>| {
        let mut text = sign.to_string();
        for (at, (cell, width)) in cells.zip(&widths).enumerate() {
            let bar = if at == 0 { " " } else { " | " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{bar}{cell:width$}");
        }
        table.push_str(text.trim_end());
        table.push('\n');
    };
    line(' ', &mut names.iter().copied());
    for (sign, cells) in lines {
        line(*sign, &mut cells.iter().map(String::as_str));
    }
    if hidden > 0 {
        let _ = writeln!(table, "  … and {hidden} more");
    }
    table.truncate(table.trim_end().len());
    table
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use datafusion::arrow::array::{Float64Array, Int64Array, StringArray};

    use super::*;

    fn batch(rows: &[(i64, Option<&str>, f64)]) -> RecordBatch {
        let ids: ArrayRef = Arc::new(rows.iter().map(|r| Some(r.0)).collect::<Int64Array>());
        let names: ArrayRef = Arc::new(rows.iter().map(|r| r.1).collect::<StringArray>());
        let values: ArrayRef = Arc::new(rows.iter().map(|r| Some(r.2)).collect::<Float64Array>());
        RecordBatch::try_from_iter_with_nullable([
            ("id", ids, true),
            ("name", names, true),
            ("value", values, true),
        ])
        .unwrap()
    }

    #[test]
    fn order_and_the_last_digits_do_not_count_and_repetition_does() {
        let one = batch(&[(1, Some("a"), 0.3), (2, None, 0.0), (2, None, 0.0)]);
        let other = batch(&[(2, None, -0.0), (1, Some("a"), 0.1 + 0.2), (2, None, 0.0)]);
        assert!(
            difference(std::slice::from_ref(&one), &[other])
                .unwrap()
                .is_none()
        );
        let fewer = batch(&[(2, None, 0.0), (1, Some("a"), 0.3)]);
        let found = difference(&[one], &[fewer]).unwrap().unwrap();
        assert_eq!(found.words(), "1 row is missing");
        assert_eq!(found.table, "  id | name | value\n- 2  | null | 0");
    }

    #[test]
    fn rows_that_are_alike_stand_together_and_their_differences_are_marked() {
        let expected = batch(&[(1, Some("a"), 1.0), (2, Some("b"), 2.0)]);
        let found = batch(&[(3, Some("c"), 3.0), (2, Some("b"), 2.5)]);
        let found = difference(&[expected], &[found]).unwrap().unwrap();
        assert_eq!(found.words(), "2 rows are missing, 2 rows are unexpected");
        assert_eq!(
            found.table,
            "  id | name | value\n- 1  | a    | 1\n- 2  | b    | 2\n+ 2  | b    | *2.5\n+ 3  | c    | 3"
        );
    }

    #[test]
    fn only_what_is_expected_is_compared_and_a_table_ends() {
        let expected = batch(&[(1, Some("a"), 1.0)]).project(&[0]).unwrap();
        let same = batch(&[(1, Some("b"), 2.0)]);
        assert!(
            difference(std::slice::from_ref(&expected), &[same])
                .unwrap()
                .is_none()
        );
        let many: Vec<_> = (0..50).map(|id| (id, Some("x"), 0.0)).collect();
        let found = difference(&[expected], &[batch(&many)]).unwrap().unwrap();
        assert_eq!(found.words(), "49 rows are unexpected");
        assert!(found.table.ends_with("  … and 29 more"), "{}", found.table);
    }
}
