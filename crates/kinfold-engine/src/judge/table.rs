//! Files of comma-separated values with the place of every cell, and writing them.

use std::ops::Range;

/// A cell with its place in the file, quotes included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// The value, without quotes and white space around it.
    pub value: String,
    /// Bytes of the file; empty for a row that comes from no file.
    pub place: Range<usize>,
}

/// A header and rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<Cell>,
    /// The rows; they may have other lengths than the header. Lines without anything are left out.
    pub rows: Vec<Vec<Cell>>,
}

/// Where a quote stands that is never closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenQuote(pub usize);

impl Table {
    /// Reads a file in the form of RFC 4180. A header without a comma may have semicolons or tabs instead, as
    /// spreadsheets write them in some countries.
    ///
    /// # Errors
    /// A quote that is never closed.
    pub fn read(text: &str) -> Result<Self, OpenQuote> {
        let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let first = text.get(start..).and_then(|rest| rest.lines().next());
        let first = first.unwrap_or_default();
        let has = |c: char| first.contains(c);
        let comma = match (has(','), has(';'), has('\t')) {
            (true, ..) | (_, false, false) => b',',
            (_, true, _) => b';',
            _ => b'\t',
        };
        let mut rows = Vec::new();
        let mut at = start;
        while at < text.len() {
            let (row, next) = line(text, at, comma)?;
            at = next;
            if row.iter().any(|cell| !cell.value.is_empty()) {
                rows.push(row);
            }
        }
        let mut rows = rows.into_iter();
        Ok(Self {
            header: rows.next().unwrap_or_default(),
            rows: rows.collect(),
        })
    }
}

/// The cells of the line at `at`, and where the next one starts.
fn line(text: &str, mut at: usize, comma: u8) -> Result<(Vec<Cell>, usize), OpenQuote> {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied();
    let mut row = Vec::new();
    loop {
        let start = at;
        let mut value = String::new();
        if byte(at) == Some(b'"') {
            at += 1;
            loop {
                let rest = text.get(at..).unwrap_or_default();
                let Some(end) = rest.find('"') else {
                    return Err(OpenQuote(start));
                };
                value.push_str(rest.get(..end).unwrap_or_default());
                at += end + 1;
                if byte(at) != Some(b'"') {
                    break;
                }
                value.push('"');
                at += 1;
            }
        }
        let rest = at;
        while byte(at).is_some_and(|b| b != comma && b != b'\n' && b != b'\r') {
            at += 1;
        }
        value.push_str(text.get(rest..at).unwrap_or_default());
        row.push(Cell {
            value: value.trim().to_owned(),
            place: start..at,
        });
        match byte(at) {
            Some(b) if b == comma => at += 1,
            Some(b'\r') if byte(at + 1) == Some(b'\n') => return Ok((row, at + 2)),
            Some(_) => return Ok((row, at + 1)),
            None => return Ok((row, at)),
        }
    }
}

/// A line of comma-separated values with its end.
pub fn csv_line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(csv_cell).collect();
    format!("{}\n", cells.join(","))
}

fn csv_cell(text: &str) -> String {
    let plain = !text.contains([',', ';', '\t', '"', '\n', '\r']) && text.trim() == text;
    if plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn values(text: &str) -> Vec<Vec<String>> {
        let table = Table::read(text).unwrap();
        let rows = std::iter::once(table.header).chain(table.rows);
        rows.map(|row| row.into_iter().map(|cell| cell.value).collect())
            .collect()
    }

    #[test]
    fn cells_are_read_as_they_were_written() {
        let written = ["a", "b,c", "say \"x\"", "two\nlines", "", " x "];
        let text = csv_line(["1", "2", "3", "4", "5", "6"]) + &csv_line(written);
        let read = values(&text);
        assert_eq!(read[1], ["a", "b,c", "say \"x\"", "two\nlines", "", "x"]);
        assert_eq!(
            values("\u{feff}a;b\r\n1;\"2;3\"\r\n\r\n"),
            [["a", "b"], ["1", "2;3"]]
        );
        assert_eq!(values("a\tb\n1\t2"), [["a", "b"], ["1", "2"]]);
        assert_eq!(values("a,b\n1\n"), [vec!["a", "b"], vec!["1"]]);
        assert!(values("").iter().all(Vec::is_empty));
        assert_eq!(Table::read("a,b\n1,\"2\n"), Err(OpenQuote(6)));
    }

    #[test]
    fn places_are_those_of_the_cells() {
        let text = "a,\"b\"\n1,\"zwölf\"\n";
        let table = Table::read(text).unwrap();
        let place = table.rows[0][1].place.clone();
        assert_eq!(text.get(place), Some("\"zwölf\""));
        assert_eq!(text.get(table.header[1].place.clone()), Some("\"b\""));
    }
}
