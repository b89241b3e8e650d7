//! Records by column, as the comparisons read them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::LinkageError;

/// Stands for "no value" among the codes of texts.
pub(crate) const NO_TEXT: u32 = u32::MAX;
/// Stands for "no value" among dates.
pub(crate) const NO_DATE: i32 = i32::MIN;

/// A column of [`Records`], by its position of adding.
pub type ColumnIndex = usize;

/// Distinct texts, each with a code.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: String,
    ends: Vec<usize>,
}

impl Texts {
    /// The text of a code; empty for one that is not there.
    pub(crate) fn get(&self, code: u32) -> &str {
        let code = code as usize;
        let start = match code {
            0 => 0,
            _ => self.ends.get(code - 1).copied().unwrap_or_default(),
        };
        self.ends
            .get(code)
            .and_then(|end| self.bytes.get(start..*end))
            .unwrap_or_default()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Gives equal texts the same code, in order of first appearance.
#[derive(Default)]
struct Interner {
    texts: Texts,
    codes: HashMap<u64, u32, WordHash>,
}

impl Interner {
    fn code(&mut self, text: &str) -> Result<u32, LinkageError> {
        let mut hash = hash_text(SEED, text);
        loop {
            match self.codes.get(&hash) {
                Some(&code) if self.texts.get(code) == text => return Ok(code),
                // Another text with the same hash: try the next one.
                Some(_) => hash = hash.wrapping_add(1),
                None => break,
            }
        }
        let code = u32::try_from(self.texts.len())
            .ok()
            .filter(|code| *code != NO_TEXT)
            .ok_or(LinkageError::TooManyValues)?;
        self.texts.bytes.push_str(text);
        self.texts.ends.push(self.texts.bytes.len());
        self.codes.insert(hash, code);
        Ok(code)
    }
}

/// The values of a column, in the order of the records.
#[derive(Debug)]
pub(crate) enum Column {
    /// Code of each text.
    Text { codes: Vec<u32>, texts: Texts },
    /// Days since 1970-01-01.
    Date(Vec<i32>),
    /// Not a number where there is none.
    Number(Vec<f64>),
    /// Ascending distinct codes of each record from `starts[i]` to `starts[i + 1]`.
    TextArray {
        starts: Vec<usize>,
        codes: Vec<u32>,
        texts: Texts,
    },
}

impl Column {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Date(_) => "date",
            Self::Number(_) => "number",
            Self::TextArray { .. } => "array of text",
        }
    }

    /// Whether the record has no value.
    pub(crate) fn is_missing(&self, record: u32) -> bool {
        let record = record as usize;
        match self {
            Self::Text { codes, .. } => codes[record] == NO_TEXT,
            Self::Date(days) => days[record] == NO_DATE,
            Self::Number(numbers) => numbers[record].is_nan(),
            Self::TextArray { starts, .. } => starts[record] == starts[record + 1],
        }
    }

    /// The codes of an array column; none for any other.
    pub(crate) fn array(&self, record: u32) -> &[u32] {
        let record = record as usize;
        match self {
            Self::TextArray { starts, codes, .. } => &codes[starts[record]..starts[record + 1]],
            _ => &[],
        }
    }
}

/// A column that is not yet part of its [`Records`], so that several can be made at once.
#[derive(Debug)]
pub struct NewColumn(Column);

/// Records to link, by column.
///
/// They are kept in the order of their keys, whatever the order of the rows, so that nothing that is
/// computed from them can depend on it. Columns are given in the order of the rows.
#[derive(Debug)]
pub struct Records {
    /// Row of each record.
    rows: Vec<u32>,
    /// Record of each row.
    records: Vec<u32>,
    keys: Vec<u64>,
    sources: Vec<u16>,
    columns: Vec<Column>,
}

impl Records {
    /// Starts with the key and the source of each row. A key is a hash of the record's id, for
    /// example of [`hash_key`]; it seeds every sample. Two rows with the same key and source keep the
    /// order they come in, so ids should be distinct.
    ///
    /// # Errors
    /// More than 2³² − 1 rows, or not as many sources as keys.
    pub fn new(keys: &[u64], sources: &[u16]) -> Result<Self, LinkageError> {
        let count = u32::try_from(keys.len()).map_err(|_| LinkageError::TooManyRecords)?;
        if sources.len() != keys.len() {
            return Err(LinkageError::Length {
                found: sources.len(),
                expected: keys.len(),
            });
        }
        let mut order: Vec<(u64, u16, u32)> = keys
            .iter()
            .zip(sources)
            .zip(0..count)
            .map(|((key, source), row)| (*key, *source, row))
            .collect();
        order.sort_unstable();
        let rows: Vec<u32> = order.iter().map(|(_, _, row)| *row).collect();
        drop(order);
        let mut records = vec![0; keys.len()];
        for (record, row) in (0..count).zip(&rows) {
            records[*row as usize] = record;
        }
        Ok(Self {
            keys: rows.iter().map(|row| keys[*row as usize]).collect(),
            sources: rows.iter().map(|row| sources[*row as usize]).collect(),
            columns: Vec::new(),
            rows,
            records,
        })
    }

    /// Adds a column of text. An empty text is no value.
    ///
    /// # Errors
    /// Not as many values as rows, or more than 2³² − 2 distinct ones.
    pub fn add_text<T: AsRef<str>>(
        &mut self,
        values: impl IntoIterator<Item = Option<T>>,
    ) -> Result<ColumnIndex, LinkageError> {
        self.text(values).map(|column| self.push(column))
    }

    /// The column that [`Self::add_text`] adds.
    ///
    /// # Errors
    /// Those of [`Self::add_text`].
    pub fn text<T: AsRef<str>>(
        &self,
        values: impl IntoIterator<Item = Option<T>>,
    ) -> Result<NewColumn, LinkageError> {
        let mut interner = Interner::default();
        let codes = values
            .into_iter()
            .map(|value| match value.as_ref().map(AsRef::as_ref) {
                None | Some("") => Ok(NO_TEXT),
                Some(text) => interner.code(text),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(NewColumn(Column::Text {
            codes: self.arrange(&codes)?,
            texts: interner.texts,
        }))
    }

    /// Adds a column of dates: days since 1970-01-01.
    ///
    /// # Errors
    /// Not as many values as rows.
    pub fn add_date(
        &mut self,
        values: impl IntoIterator<Item = Option<i32>>,
    ) -> Result<ColumnIndex, LinkageError> {
        self.date(values).map(|column| self.push(column))
    }

    /// The column that [`Self::add_date`] adds.
    ///
    /// # Errors
    /// Those of [`Self::add_date`].
    pub fn date(
        &self,
        values: impl IntoIterator<Item = Option<i32>>,
    ) -> Result<NewColumn, LinkageError> {
        let days: Vec<i32> = values
            .into_iter()
            .map(|days| days.unwrap_or(NO_DATE))
            .collect();
        Ok(NewColumn(Column::Date(self.arrange(&days)?)))
    }

    /// Adds a column of numbers. Not-a-number is no value.
    ///
    /// # Errors
    /// Not as many values as rows.
    pub fn add_number(
        &mut self,
        values: impl IntoIterator<Item = Option<f64>>,
    ) -> Result<ColumnIndex, LinkageError> {
        self.number(values).map(|column| self.push(column))
    }

    /// The column that [`Self::add_number`] adds.
    ///
    /// # Errors
    /// Those of [`Self::add_number`].
    pub fn number(
        &self,
        values: impl IntoIterator<Item = Option<f64>>,
    ) -> Result<NewColumn, LinkageError> {
        let numbers: Vec<f64> = values
            .into_iter()
            .map(|number| number.unwrap_or(f64::NAN))
            .collect();
        Ok(NewColumn(Column::Number(self.arrange(&numbers)?)))
    }

    /// Adds a column of sets of texts. Empty texts are left out, and an empty set is no value.
    ///
    /// # Errors
    /// Not as many values as rows, or more than 2³² − 2 distinct texts.
    pub fn add_text_array<T: AsRef<str>, A: IntoIterator<Item = T>>(
        &mut self,
        values: impl IntoIterator<Item = Option<A>>,
    ) -> Result<ColumnIndex, LinkageError> {
        self.text_array(values).map(|column| self.push(column))
    }

    /// The column that [`Self::add_text_array`] adds.
    ///
    /// # Errors
    /// Those of [`Self::add_text_array`].
    pub fn text_array<T: AsRef<str>, A: IntoIterator<Item = T>>(
        &self,
        values: impl IntoIterator<Item = Option<A>>,
    ) -> Result<NewColumn, LinkageError> {
        let mut interner = Interner::default();
        let mut by_row = Vec::with_capacity(self.len());
        for array in values {
            let mut codes = Vec::new();
            for text in array.into_iter().flatten() {
                if !text.as_ref().is_empty() {
                    codes.push(interner.code(text.as_ref())?);
                }
            }
            codes.sort_unstable();
            codes.dedup();
            by_row.push(codes);
        }
        self.check(by_row.len())?;
        let mut starts = vec![0];
        let mut codes = Vec::new();
        for row in &self.rows {
            codes.extend_from_slice(&by_row[*row as usize]);
            starts.push(codes.len());
        }
        Ok(NewColumn(Column::TextArray {
            starts,
            codes,
            texts: interner.texts,
        }))
    }

    /// Brings values from the order of the rows into the order of the records.
    ///
    /// # Errors
    /// Not as many values as rows.
    pub fn arrange<T: Copy>(&self, values: &[T]) -> Result<Vec<T>, LinkageError> {
        self.check(values.len())?;
        Ok(self.rows.iter().map(|row| values[*row as usize]).collect())
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row that a record came from.
    ///
    /// # Panics
    /// There is no such record.
    #[must_use]
    pub fn row(&self, record: u32) -> u32 {
        self.rows[record as usize]
    }

    /// The record of a row.
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn record(&self, row: u32) -> u32 {
        self.records[row as usize]
    }

    /// The key of a record.
    ///
    /// # Panics
    /// There is no such record.
    #[must_use]
    pub fn key(&self, record: u32) -> u64 {
        self.keys[record as usize]
    }

    /// The source of a record.
    ///
    /// # Panics
    /// There is no such record.
    #[must_use]
    pub fn source(&self, record: u32) -> u16 {
        self.sources[record as usize]
    }

    pub(crate) fn column(&self, column: ColumnIndex) -> Option<&Column> {
        self.columns.get(column)
    }

    /// How many records, as dense indices count.
    pub(crate) fn count(&self) -> u32 {
        // `new` refuses more.
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// Adds a column that was made for these records.
    pub fn push(&mut self, column: NewColumn) -> ColumnIndex {
        self.columns.push(column.0);
        self.columns.len() - 1
    }

    const fn check(&self, found: usize) -> Result<(), LinkageError> {
        let expected = self.rows.len();
        if found == expected {
            Ok(())
        } else {
            Err(LinkageError::Length { found, expected })
        }
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A key for [`Records::new`] or for a blocking rule: a hash of all the parts, or 0 if one of them is
/// missing or empty. The same on every machine and in every version.
#[must_use]
pub fn hash_key(parts: &[Option<&str>]) -> u64 {
    let mut hash = SEED;
    for part in parts {
        match part {
            None | Some("") => return 0,
            Some(text) => hash = hash_text(hash, text),
        }
    }
    hash.max(1)
}

/// Multiply and fold, eight bytes at a time. Not for an adversary: a collision costs a comparison
/// that need not be, never a wrong result.
pub(crate) fn hash_text(seed: u64, text: &str) -> u64 {
    let mut hash = seed ^ (text.len() as u64);
    for chunk in text.as_bytes().chunks(8) {
        let word = <[u8; 8]>::try_from(chunk).map_or_else(
            |_| {
                let bytes = chunk.iter().rev();
                bytes.fold(0_u64, |word, byte| (word << 8) | u64::from(*byte))
            },
            u64::from_le_bytes,
        );
        hash = mix(hash ^ word);
    }
    mix(hash)
}

/// Spreads the bits of a word over a word (the finaliser of SplitMix64, Steele, Lea, Flood 2014).
pub(crate) const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(SEED);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// For maps whose keys are words.
pub(crate) type WordHash = BuildHasherDefault<WordHasher>;

/// Hashes a word with [`mix`]. No defence against chosen keys is needed: the words are hashes of
/// texts or counted patterns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word);
    }
}
