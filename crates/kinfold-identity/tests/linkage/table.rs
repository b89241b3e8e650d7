//! Labelled data sets as tables of text, and the expressions that models are made of. Each expression
//! is one that a user can write in SQL.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub type Values = Vec<Option<String>>;

pub struct Table {
    columns: HashMap<String, Values>,
    pub len: usize,
}

/// The folder of the data sets; none if the environment does not name one.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("KINFOLD_LINKAGE_DATA").map(PathBuf::from)
}

impl Table {
    /// Reads a CSV file with a header; quotes may hold separators, a doubled quote is one.
    pub fn read(path: &Path, separator: char) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let mut lines = records(&text, separator).into_iter();
        let header = lines.next()?;
        let mut columns: Vec<Values> = vec![Vec::new(); header.len()];
        for line in lines {
            assert_eq!(line.len(), header.len(), "a line of {}", path.display());
            for (column, value) in columns.iter_mut().zip(line) {
                let value = value.trim();
                column.push((!value.is_empty()).then(|| value.to_owned()));
            }
        }
        let len = columns[0].len();
        let names = header.iter().map(|name| name.trim().to_owned());
        Some(Self {
            columns: names.zip(columns).collect(),
            len,
        })
    }

    pub fn column(&self, name: &str) -> Values {
        self.columns[name].clone()
    }

    /// `lower(trim(column))`
    pub fn lower(&self, name: &str) -> Values {
        map(&self.columns[name], |text| text.to_lowercase())
    }

    pub fn append(&mut self, other: &Self) {
        self.len += other.len;
        for (name, values) in &mut self.columns {
            values.extend_from_slice(&other.columns[name]);
        }
    }
}

fn records(text: &str, separator: char) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let mut record = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let last = record.len() - 1;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                record[last].push('"');
            }
            '"' => quoted = !quoted,
            '\r' if !quoted => {}
            '\n' if !quoted => records.push(std::mem::replace(&mut record, vec![String::new()])),
            other if other == separator && !quoted => record.push(String::new()),
            other => record[last].push(other),
        }
    }
    if record.len() > 1 || !record[0].is_empty() {
        records.push(record);
    }
    records
}

/// An expression of one column; an empty text is null.
pub fn map(values: &Values, of: impl Fn(&str) -> String) -> Values {
    values
        .iter()
        .map(|value| value.as_deref().map(&of).filter(|text| !text.is_empty()))
        .collect()
}

/// `substr(column, from, count)`, from 1.
pub fn substr(values: &Values, from: usize, count: usize) -> Values {
    map(values, |text| {
        text.chars().skip(from - 1).take(count).collect()
    })
}

/// `regexp_replace(column, '[^a-z0-9 ]', '', 'g')`
pub fn plain(values: &Values) -> Values {
    map(values, |text| {
        text.chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == ' ')
            .collect()
    })
}

/// `split_part(column, separator, 1)`
pub fn first_part(values: &Values, separator: char) -> Values {
    map(values, |text| {
        text.split(separator).next().unwrap_or("").to_owned()
    })
}

/// `split_part(column, separator, -1)`
pub fn last_part(values: &Values, separator: char) -> Values {
    map(values, |text| {
        text.rsplit(separator).next().unwrap_or("").to_owned()
    })
}

/// `string_to_array(column, ' ')` without words of fewer letters than `least`.
pub fn words(values: &Values, least: usize) -> Vec<Option<Vec<String>>> {
    values
        .iter()
        .map(|value| {
            let words = value.as_deref()?.split(' ');
            Some(
                words
                    .filter(|word| word.len() >= least)
                    .map(str::to_owned)
                    .collect(),
            )
        })
        .collect()
}

/// `array_to_string(array_sort(string_to_array(column, '')), '')`
pub fn sorted(values: &Values) -> Values {
    map(values, |text| {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.into_iter().collect()
    })
}

/// `soundex(column)`, the American one.
pub fn soundex(values: &Values) -> Values {
    map(values, soundex_of)
}

pub fn soundex_of(text: &str) -> String {
    let code = |letter: char| match letter {
        'b' | 'f' | 'p' | 'v' => '1',
        'c' | 'g' | 'j' | 'k' | 'q' | 's' | 'x' | 'z' => '2',
        'd' | 't' => '3',
        'l' => '4',
        'm' | 'n' => '5',
        'r' => '6',
        'h' | 'w' => '-',
        _ => '0',
    };
    let mut letters = text
        .chars()
        .filter(char::is_ascii_alphabetic)
        .map(|c| c.to_ascii_lowercase());
    let Some(first) = letters.next() else {
        return String::new();
    };
    let mut result = String::from(first);
    let mut last = code(first);
    for letter in letters {
        let own = code(letter);
        if own != '-' {
            if own != '0' && own != last {
                result.push(own);
            }
            last = own;
        }
    }
    result.truncate(4);
    format!("{result:0<4}")
}

/// `try_cast(column AS date)` of `YYYY-MM-DD` or `YYYYMMDD`, as days since 1970-01-01.
pub fn dates(values: &Values) -> Vec<Option<i32>> {
    let date = |text: &str| -> Option<i32> {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if digits.len() != 8 {
            return None;
        }
        let (year, month, day): (i32, i32, i32) = (
            digits[..4].parse().ok()?,
            digits[4..6].parse().ok()?,
            digits[6..].parse().ok()?,
        );
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let year = if month <= 2 { year - 1 } else { year };
        let month = (month + 9) % 12;
        let era = year.div_euclid(400);
        let in_era = year.rem_euclid(400);
        let day_of_era = in_era * 365 + in_era / 4 - in_era / 100 + (153 * month + 2) / 5 + day - 1;
        Some(era * 146_097 + day_of_era - 719_468)
    };
    values
        .iter()
        .map(|value| value.as_deref().and_then(date))
        .collect()
}
