//! CSV after RFC 4180.
//!
//! Lines end with LF or CRLF, a byte order mark is removed, lines without any character are no
//! records. A quote opens a quoted field only as the field's first character; elsewhere it is text.
//! An empty field, quoted or not, is null, as in dbt's seeds and by DuckDB's default; there is no
//! other word for null. Values of columns that are not text may have spaces around them.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use memchr::{memchr, memchr_iter, memchr2};

use super::InputError;
use super::block::{Block, Framing, Scan, Splitter};
use super::cast::cast_columns;
use super::landing::Decoded;
use super::open::Content;
use super::quarantine::Bad;
use super::raw::Text;

const TEXT_AFTER_QUOTE: &str = "broken quotes: text follows a closing quote";
const NOT_CLOSED: &str = "broken quotes: a quote is opened and never closed";

/// Where a field is in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    start: usize,
    end: usize,
    /// Whether it holds doubled quotes.
    doubled: bool,
}

impl Field {
    /// The field's value, put at the end of `into`.
    pub fn value(self, record: &[u8], into: &mut Vec<u8>) {
        let mut rest = record.get(self.start..self.end).unwrap_or_default();
        while self.doubled
            && let Some(quote) = memchr(b'"', rest)
        {
            into.extend_from_slice(rest.get(..=quote).unwrap_or_default());
            rest = rest.get(quote + 2..).unwrap_or_default();
        }
        into.extend_from_slice(rest);
    }
}

/// Cuts CSV into records.
#[derive(Clone, Copy, Debug)]
pub(super) struct CsvFraming {
    pub delimiter: u8,
}

impl Framing for CsvFraming {
    fn scan(&self, window: &[u8], at_end: bool) -> Scan {
        match window {
            [b'\n', ..] => return Scan::Blank { bytes: 1 },
            [b'\r', b'\n', ..] => return Scan::Blank { bytes: 2 },
            [b'\r'] if at_end => return Scan::Blank { bytes: 1 },
            _ => {}
        }
        self.fields(window, at_end, |_| {})
    }
}

impl CsvFraming {
    /// Finds the fields of the first record.
    pub fn fields(self, window: &[u8], at_end: bool, mut field: impl FnMut(Field)) -> Scan {
        let mut start = 0;
        let mut lines = 1;
        loop {
            let next = if window.get(start) == Some(&b'"') {
                let (closing, doubled) = match closing_quote(window, start + 1, at_end) {
                    Quoted::Closed { at, doubled } => (at, doubled),
                    Quoted::More => return Scan::More,
                    Quoted::NotClosed => return Scan::Broken(NOT_CLOSED),
                };
                let inside = window.get(start..closing).unwrap_or_default();
                lines += memchr_iter(b'\n', inside).count() as u64;
                field(Field {
                    start: start + 1,
                    end: closing,
                    doubled,
                });
                let after = closing + 1;
                match window.get(after..).unwrap_or_default() {
                    [] => {
                        return Scan::Record {
                            content: after,
                            bytes: after,
                            lines,
                        };
                    }
                    [b'\n', ..] => {
                        return Scan::Record {
                            content: after,
                            bytes: after + 1,
                            lines,
                        };
                    }
                    [b'\r', b'\n', ..] => {
                        return Scan::Record {
                            content: after,
                            bytes: after + 2,
                            lines,
                        };
                    }
                    [b'\r'] if at_end => {
                        return Scan::Record {
                            content: after,
                            bytes: after + 1,
                            lines,
                        };
                    }
                    [b'\r'] => return Scan::More,
                    [byte, ..] if *byte == self.delimiter => after,
                    _ => return Scan::Broken(TEXT_AFTER_QUOTE),
                }
            } else {
                let rest = window.get(start..).unwrap_or_default();
                let end = memchr2(self.delimiter, b'\n', rest).map(|at| start + at);
                match end {
                    None if !at_end => return Scan::More,
                    None => {
                        field(Field {
                            start,
                            end: window.len(),
                            doubled: false,
                        });
                        return Scan::Record {
                            content: window.len(),
                            bytes: window.len(),
                            lines,
                        };
                    }
                    Some(end) if window.get(end) == Some(&b'\n') => {
                        let before = end.checked_sub(1).filter(|at| *at >= start);
                        let content = before
                            .filter(|at| window.get(*at) == Some(&b'\r'))
                            .unwrap_or(end);
                        field(Field {
                            start,
                            end: content,
                            doubled: false,
                        });
                        return Scan::Record {
                            content,
                            bytes: end + 1,
                            lines,
                        };
                    }
                    Some(end) => {
                        field(Field {
                            start,
                            end,
                            doubled: false,
                        });
                        end
                    }
                }
            };
            start = next + 1;
            if start >= window.len() && !at_end {
                return Scan::More;
            }
        }
    }
}

enum Quoted {
    Closed { at: usize, doubled: bool },
    More,
    NotClosed,
}

fn closing_quote(window: &[u8], from: usize, at_end: bool) -> Quoted {
    let open_end = if at_end {
        Quoted::NotClosed
    } else {
        Quoted::More
    };
    let mut from = from;
    let mut doubled = false;
    loop {
        let Some(at) = memchr(b'"', window.get(from..).unwrap_or_default()).map(|at| from + at)
        else {
            return open_end;
        };
        match window.get(at + 1) {
            Some(b'"') => {
                doubled = true;
                from = at + 2;
            }
            // The next byte decides whether this quote is a doubled one.
            None if !at_end => return Quoted::More,
            _ => return Quoted::Closed { at, doubled },
        }
    }
}

/// The first record of a file: the names of its columns, spaces around them removed. `None` if the
/// file has no record.
pub(super) fn header(
    splitter: &mut Splitter<CsvFraming>,
    delimiter: u8,
) -> Result<Option<Vec<String>>, InputError> {
    let Some(block) = splitter.block(1)? else {
        return Ok(None);
    };
    let path = || splitter.path().to_string();
    let Some(record) = block.records.first() else {
        return Err(InputError::Header {
            path: path(),
            reason: "has broken quotes",
        });
    };
    let text = block.record(*record);
    let mut names = Vec::new();
    let mut value = Vec::new();
    let mut not_utf8 = false;
    let framing = CsvFraming { delimiter };
    framing.fields(text, true, |field| {
        value.clear();
        field.value(text, &mut value);
        match std::str::from_utf8(&value) {
            Ok(name) => names.push(name.trim().to_owned()),
            Err(_) => not_utf8 = true,
        }
    });
    if not_utf8 {
        return Err(InputError::Header {
            path: path(),
            reason: "is not UTF-8",
        });
    }
    if names.iter().any(String::is_empty) {
        return Err(InputError::Header {
            path: path(),
            reason: "has a column without a name",
        });
    }
    let mut seen = HashMap::new();
    for name in &names {
        if seen.insert(name.to_lowercase(), ()).is_some() {
            return Err(InputError::DuplicateColumn {
                path: path(),
                column: name.clone(),
            });
        }
    }
    Ok(Some(names))
}

/// How the fields of one file become the columns of the source.
#[derive(Debug)]
pub(super) struct CsvPlan {
    framing: CsvFraming,
    schema: SchemaRef,
    /// For each field its column.
    columns: Vec<usize>,
}

/// Starts reading a file: takes its header, if it has one, and compares it with the columns.
///
/// Names are compared without regard to case, as SQL does.
pub(super) fn begin(
    content: Content,
    delimiter: u8,
    has_header: bool,
    schema: &SchemaRef,
) -> Result<(Splitter<CsvFraming>, CsvPlan), InputError> {
    let framing = CsvFraming { delimiter };
    let mut splitter = Splitter::new(content, framing);
    let mut columns: Vec<usize> = (0..schema.fields().len()).collect();
    if has_header && let Some(names) = header(&mut splitter, delimiter)? {
        columns = matched(splitter.path(), &names, schema)?;
    }
    Ok((
        splitter,
        CsvPlan {
            framing,
            schema: schema.clone(),
            columns,
        },
    ))
}

fn matched(path: &str, names: &[String], schema: &Schema) -> Result<Vec<usize>, InputError> {
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    positions(path, names, &columns)
}

/// For each name of a header its position among `columns`, which it must name each once.
pub(super) fn positions(
    path: &str,
    names: &[String],
    columns: &[String],
) -> Result<Vec<usize>, InputError> {
    let known: HashMap<String, usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| (column.to_lowercase(), at))
        .collect();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        match known.get(&name.to_lowercase()) {
            Some(at) => found.push(*at),
            None => {
                return Err(InputError::UnknownColumn {
                    path: path.to_owned(),
                    column: name.clone(),
                });
            }
        }
    }
    match columns
        .iter()
        .enumerate()
        .find(|(at, _)| !found.contains(at))
    {
        None => Ok(found),
        Some((_, missing)) => Err(InputError::MissingColumn {
            path: path.to_owned(),
            column: missing.clone(),
        }),
    }
}

impl CsvPlan {
    /// Makes rows of the records.
    pub fn decode(&self, path: &str, mut block: Block) -> Result<Decoded, InputError> {
        let mut bad = std::mem::take(&mut block.broken);
        let mut texts: Vec<Text> = self
            .schema
            .fields()
            .iter()
            .map(|_| Text::with_capacity(block.records.len()))
            .collect();
        let trimmed: Vec<bool> = self
            .schema
            .fields()
            .iter()
            .map(|field| *field.data_type() != DataType::Utf8)
            .collect();
        let mut kept = Vec::with_capacity(block.records.len());
        let mut fields = Vec::with_capacity(self.columns.len());
        for record in block.records.iter().copied() {
            let text = block.record(record);
            if std::str::from_utf8(text).is_err() {
                bad.push(Bad::new(record.line, "not UTF-8", text));
                continue;
            }
            fields.clear();
            self.framing.fields(text, true, |field| fields.push(field));
            if fields.len() != self.columns.len() {
                let reason = format!("{} fields, not {}", fields.len(), self.columns.len());
                bad.push(Bad::new(record.line, reason, text));
                continue;
            }
            for (field, column) in fields.iter().zip(&self.columns) {
                let trim = trimmed.get(*column).copied().unwrap_or_default();
                if let Some(into) = texts.get_mut(*column) {
                    into.append(|bytes| field.value(text, bytes), trim);
                }
            }
            kept.push(record);
        }
        let raw = texts
            .into_iter()
            .map(Text::finish)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| InputError::Batch {
                path: path.to_owned(),
                source,
            })?;
        let cast = cast_columns(&self.schema, raw).map_err(|source| InputError::Batch {
            path: path.to_owned(),
            source,
        })?;
        cast.split(path, &block, &kept, bad)
    }
}
