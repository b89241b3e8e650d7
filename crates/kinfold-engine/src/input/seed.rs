//! Seeds: CSV files of the project, with types as dbt infers them.
//!
//! dbt tries, for each column, a number, a date, a timestamp, a boolean, and takes the first that all
//! values are ([agate's type tester](https://agate.readthedocs.io), with dbt's own list of types). A
//! value that is empty or `null` in any case, spaces aside, is null. So is the order here, with three
//! differences, each where dbt would lose something or fail to load: whole numbers are `BIGINT`, and
//! those that do not fit are text; `nan`, `inf` and digits grouped with `_` are text; only calendar
//! dates are ISO dates, not weeks or days of a year.
//!
//! A seed is part of the project, so a bad record in it is an error at its line, and nothing is
//! quarantined.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{DataType, Date32Type, Field, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use datafusion::execution::SessionState;
use kinfold_compile::render::NodeConfig;
use kinfold_project::{Located, Seed};

use super::InputError;
use super::block::{BLOCK_RECORDS, Splitter};
use super::cast::{cast_leaf, sql_name};
use super::csv::{CsvFraming, header};
use super::open::{Content, in_memory};
use super::raw::Text;
use super::schema::{sql_type, stored_columns};

/// Bytes of a seed, at most.
const SEED_BYTES: u64 = 256 << 20;

/// How a seed is read.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedConfig {
    /// Types of SQL by name of column; they replace the inferred ones. Names that the file does not
    /// have are ignored, because a folder of seeds may share one list.
    pub column_types: BTreeMap<String, Located<String>>,
    /// The separator.
    pub delimiter: u8,
    /// Whether names keep their case. Without, they fold to lower case, as unquoted names in SQL do.
    pub quote_columns: bool,
}

impl SeedConfig {
    /// What a node's configuration says.
    #[must_use]
    pub fn of(config: &NodeConfig) -> Self {
        Self {
            column_types: config.column_types.clone(),
            delimiter: config
                .delimiter
                .as_ref()
                .map_or(b',', |delimiter| delimiter.value),
            quote_columns: config.quote_columns,
        }
    }

    fn declared(&self, column: &str) -> Option<&Located<String>> {
        let same = |name: &&String| name.eq_ignore_ascii_case(column);
        self.column_types.get(column).or_else(|| {
            let name = self.column_types.keys().find(same)?;
            self.column_types.get(name)
        })
    }
}

/// The columns of a seed: stored types, all nullable. Reads the file.
///
/// # Errors
/// [`InputError::Missing`], [`InputError::SeedTooLarge`], [`InputError::SeedRecord`] for the first bad
/// record, [`InputError::UnknownType`], and what is wrong with the header.
pub fn seed_columns(
    seed: &Seed,
    config: &SeedConfig,
    session: &SessionState,
) -> Result<SchemaRef, InputError> {
    let table = SeedText::read(seed, config)?;
    let mut fields = Vec::with_capacity(table.names.len());
    for (name, values) in table.names.iter().zip(&table.columns) {
        let data_type = match config.declared(name) {
            Some(written) => sql_type(name, &written.value, session)?,
            None => infer(values),
        };
        if data_type.is_nested() {
            let data_type = sql_name(&data_type);
            return Err(InputError::NotInFormat {
                column: name.clone(),
                data_type,
                format: "CSV",
            });
        }
        fields.push(Field::new(name, data_type, true));
    }
    stored_columns(&table.path, fields)
}

/// The rows of a seed with the columns that [`seed_columns`] gave.
///
/// # Errors
/// As [`seed_columns`]; [`InputError::SeedRecord`] for the first value that is not of its column's type.
pub fn read_seed(
    seed: &Seed,
    config: &SeedConfig,
    schema: &SchemaRef,
) -> Result<Vec<RecordBatch>, InputError> {
    let table = SeedText::read(seed, config)?;
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let missing = || InputError::MissingColumn {
            path: table.path.clone(),
            column: field.name().clone(),
        };
        let at = table
            .names
            .iter()
            .position(|name| name == field.name())
            .ok_or_else(missing)?;
        let values = table.columns.get(at).ok_or_else(missing)?;
        let column = if config.declared(field.name()).is_some() {
            declared(values, field.data_type()).map_err(|source| InputError::Batch {
                path: table.path.clone(),
                source,
            })?
        } else {
            inferred(values, field.data_type())
        };
        let refused =
            (0..values.len()).find(|row| !is_null(values.value(*row)) && column.is_null(*row));
        if let Some(row) = refused {
            let reason = format!(
                "column `{}` is not of type {}",
                field.name(),
                sql_name(field.data_type())
            );
            let line = table.lines.get(row).copied().unwrap_or_default();
            return Err(InputError::SeedRecord {
                path: table.path,
                line,
                reason,
            });
        }
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(table.lines.len()));
    let rows =
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|source| {
            InputError::Batch {
                path: table.path.clone(),
                source,
            }
        })?;
    let starts = (0..rows.num_rows()).step_by(BLOCK_RECORDS);
    Ok(starts
        .map(|start| rows.slice(start, BLOCK_RECORDS.min(rows.num_rows() - start)))
        .collect())
}

/// A seed as text.
struct SeedText {
    path: String,
    names: Vec<String>,
    columns: Vec<StringArray>,
    /// The line of each record, from 1.
    lines: Vec<u64>,
}

impl SeedText {
    fn read(seed: &Seed, config: &SeedConfig) -> Result<Self, InputError> {
        let content = content(seed)?;
        let path = content.path().to_string();
        let framing = CsvFraming {
            delimiter: config.delimiter,
        };
        let mut splitter = Splitter::new(content, framing);
        let names = header(&mut splitter, config.delimiter)?;
        let mut names = names.ok_or_else(|| InputError::NoColumns {
            location: path.clone(),
        })?;
        if !config.quote_columns {
            names
                .iter_mut()
                .for_each(|name| *name = name.to_lowercase());
        }
        let mut texts: Vec<Text> = names.iter().map(|_| Text::with_capacity(0)).collect();
        let mut lines = Vec::new();
        let mut fields = Vec::new();
        let mut value = Vec::new();
        while let Some(block) = splitter.block(BLOCK_RECORDS)? {
            let at = |line, reason: String| InputError::SeedRecord {
                path: path.clone(),
                line,
                reason,
            };
            for record in &block.records {
                let text = block.record(*record);
                if std::str::from_utf8(text).is_err() {
                    return Err(at(record.line, "not UTF-8".to_owned()));
                }
                fields.clear();
                framing.fields(text, true, |field| fields.push(field));
                if fields.len() != names.len() {
                    return Err(at(
                        record.line,
                        format!("{} fields, not {}", fields.len(), names.len()),
                    ));
                }
                for (field, into) in fields.iter().zip(&mut texts) {
                    value.clear();
                    field.value(text, &mut value);
                    into.append_value(&value);
                }
                lines.push(record.line);
            }
            if let Some(broken) = block.broken.first() {
                return Err(at(broken.line, broken.reason.to_string()));
            }
        }
        let finished = |text: Text| {
            text.finish_text().map_err(|source| InputError::Batch {
                path: path.clone(),
                source,
            })
        };
        let columns = texts.into_iter().map(finished).collect::<Result<_, _>>()?;
        Ok(Self {
            path,
            names,
            columns,
            lines,
        })
    }
}

fn content(seed: &Seed) -> Result<Content, InputError> {
    let path = seed.path.display().to_string();
    if let Some(text) = &seed.embedded {
        let bytes = text.len() as u64;
        if bytes > SEED_BYTES {
            return Err(InputError::SeedTooLarge {
                path,
                bytes,
                limit: SEED_BYTES,
            });
        }
        // A text that stands for a file is called like the file.
        let own = format!("{}.csv", seed.name);
        let name = if seed.path.is_absolute() { path } else { own };
        return Ok(in_memory(&name, text.as_bytes().to_vec()));
    }
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => InputError::Missing {
            location: path.clone(),
        },
        _ => InputError::File {
            action: "read",
            path: path.clone(),
            source,
        },
    };
    let bytes = std::fs::metadata(&seed.path).map_err(failed)?.len();
    if bytes > SEED_BYTES {
        return Err(InputError::SeedTooLarge {
            path,
            bytes,
            limit: SEED_BYTES,
        });
    }
    Ok(in_memory(&path, std::fs::read(&seed.path).map_err(failed)?))
}

fn is_null(value: &str) -> bool {
    let value = value.trim();
    value.is_empty() || value.eq_ignore_ascii_case("null")
}

fn values(column: &StringArray) -> impl Iterator<Item = Option<&str>> {
    column
        .iter()
        .map(|value| value.filter(|value| !is_null(value)))
}

fn infer(column: &StringArray) -> DataType {
    let all = |is: &dyn Fn(&str) -> bool| values(column).flatten().all(is);
    if all(&|value| Number::parse(value).is_some()) {
        let mut decimals = false;
        for number in values(column).flatten().filter_map(Number::parse) {
            match number {
                Number::Whole(_) => {}
                Number::Decimal(_) => decimals = true,
                Number::TooLong => return DataType::Utf8,
            }
        }
        return if decimals {
            DataType::Float64
        } else {
            DataType::Int64
        };
    }
    if all(&|value| date(value).is_some()) {
        return DataType::Date32;
    }
    if all(&|value| timestamp(value).is_some()) || all(&|value| iso_timestamp(value).is_some()) {
        return DataType::Timestamp(TimeUnit::Microsecond, None);
    }
    if all(&|value| boolean(value).is_some()) {
        return DataType::Boolean;
    }
    DataType::Utf8
}

/// A column of an inferred type. Values that are not of it, which can only be if the file changed
/// since, are null.
fn inferred(column: &StringArray, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::Int64 => {
            let number = |value| match Number::parse(value)? {
                Number::Whole(number) => Some(number),
                Number::Decimal(_) | Number::TooLong => None,
            };
            Arc::new(
                values(column)
                    .map(|value| value.and_then(number))
                    .collect::<Int64Array>(),
            )
        }
        DataType::Float64 => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "one decimal makes dbt read the column as floats"
            )]
            let number = |value| match Number::parse(value)? {
                Number::Whole(number) => Some(number as f64),
                Number::Decimal(number) => Some(number),
                Number::TooLong => None,
            };
            Arc::new(
                values(column)
                    .map(|value| value.and_then(number))
                    .collect::<Float64Array>(),
            )
        }
        DataType::Date32 => Arc::new(
            values(column)
                .map(|value| value.and_then(date))
                .collect::<Date32Array>(),
        ),
        DataType::Timestamp(..) => {
            let micros = |value| {
                Some(
                    timestamp(value)
                        .or_else(|| iso_timestamp(value))?
                        .and_utc()
                        .timestamp_micros(),
                )
            };
            Arc::new(
                values(column)
                    .map(|value| value.and_then(micros))
                    .collect::<TimestampMicrosecondArray>(),
            )
        }
        DataType::Boolean => Arc::new(
            values(column)
                .map(|value| value.and_then(boolean))
                .collect::<BooleanArray>(),
        ),
        _ => Arc::new(values(column).collect::<StringArray>()),
    }
}

/// A column of a declared type.
fn declared(
    column: &StringArray,
    data_type: &DataType,
) -> Result<ArrayRef, arrow::error::ArrowError> {
    let text: StringArray = match data_type {
        DataType::Utf8 => values(column).collect(),
        _ => values(column).map(|value| value.map(str::trim)).collect(),
    };
    let text: ArrayRef = Arc::new(text);
    cast_leaf(&text, data_type)
}

/// A number as agate reads it: percent signs, currency symbols around it and commas are left out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    /// No digit after the decimal point but zeros.
    Whole(i64),
    Decimal(f64),
    /// A whole number that fits no integer.
    TooLong,
}

/// agate's list.
const CURRENCY: [char; 19] = [
    '؋', '$', 'ƒ', '៛', '¥', '₡', '₱', '£', '€', '¢', '﷼', '₪', '₩', '₭', '₮', '₦', '฿', '₤', '₫',
];

impl Number {
    fn parse(value: &str) -> Option<Self> {
        let text = value.trim().trim_matches('%');
        let (negative, text) = text
            .strip_prefix('-')
            .map_or((false, text), |rest| (true, rest));
        let text = CURRENCY
            .iter()
            .fold(text, |text, symbol| text.trim_matches(*symbol));
        let text = text.replace(',', "");
        let text = text.trim();
        let text = text.strip_prefix('+').unwrap_or(text);
        let (mantissa, exponent) = text
            .split_once(['e', 'E'])
            .map_or((text, "0"), |(m, e)| (m, e));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            return None;
        }
        let power: i64 = exponent.parse::<i32>().ok()?.into();
        let sign = if negative { "-" } else { "" };
        let fraction = fraction.trim_end_matches('0');
        let zero = whole
            .bytes()
            .chain(fraction.bytes())
            .all(|byte| byte == b'0');
        let places = i64::try_from(fraction.len()).ok()? - power;
        if zero {
            return Some(Self::Whole(0));
        }
        // `1200e-2` is the whole number 12.
        let all = format!("{whole}{fraction}");
        let significant = all.trim_end_matches('0');
        let zeros = i64::try_from(all.len() - significant.len()).ok()? - places;
        if zeros < 0 {
            let number = format!("{sign}{mantissa}e{power}").parse::<f64>().ok()?;
            return Some(Self::Decimal(number));
        }
        let Some(zeros) = usize::try_from(zeros).ok().filter(|zeros| *zeros < 20) else {
            return Some(Self::TooLong);
        };
        let number = format!("{sign}{significant}{}", "0".repeat(zeros)).parse::<i64>();
        Some(number.map_or(Self::TooLong, Self::Whole))
    }
}

/// `%Y-%m-%d`: a month or day may have one digit.
fn date(value: &str) -> Option<i32> {
    let value = value.trim();
    let year = value.get(..5)?.strip_suffix('-')?;
    if value.len() > 10 || !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Date32Type::parse(value)
}

fn day(value: &str) -> Option<NaiveDate> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    epoch.checked_add_signed(TimeDelta::days(date(value)?.into()))
}

/// `%Y-%m-%d %H:%M:%S`.
fn timestamp(value: &str) -> Option<NaiveDateTime> {
    let (date, clock) = value.trim().split_once(char::is_whitespace)?;
    let mut parts = clock.trim_start().split(':');
    let mut part = || {
        let digits = parts.next()?;
        let two =
            (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if two {
            digits.parse::<u32>().ok()
        } else {
            None
        }
    };
    let clock = NaiveTime::from_hms_opt(part()?, part()?, part()?)?;
    parts.next().is_none().then_some(day(date)?.and_time(clock))
}

/// ISO 8601 with `T`, in its extended or basic form; with a zone it becomes UTC.
fn iso_timestamp(value: &str) -> Option<NaiveDateTime> {
    let (date, clock) = value.trim().split_once('T')?;
    let date = match date.len() {
        8 => NaiveDate::parse_from_str(date, "%Y%m%d").ok()?,
        10 => day(date)?,
        _ => return None,
    };
    let (clock, offset) = match clock.find(['Z', '+', '-']) {
        Some(at) => (clock.get(..at)?, offset_minutes(clock.get(at..)?)?),
        None => (clock, 0),
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let digits: String = match clock.len() {
        2 | 4 | 6 => clock.to_owned(),
        5 | 8 => {
            let colons = clock
                .bytes()
                .enumerate()
                .all(|(at, byte)| (at % 3 == 2) == (byte == b':'));
            if !colons {
                return None;
            }
            clock.replace(':', "")
        }
        _ => return None,
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A fraction of a minute or an hour is ISO too, and nobody's.
    if !is_digits(&digits) || !is_digits(fraction) || (fraction != "0" && digits.len() != 6) {
        return None;
    }
    let part = |from: usize| {
        digits
            .get(from..from + 2)
            .map_or(Some(0), |part| part.parse::<u32>().ok())
    };
    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let clock = NaiveTime::from_hms_micro_opt(part(0)?, part(2)?, part(4)?, micros.parse().ok()?)?;
    date.and_time(clock)
        .checked_sub_signed(TimeDelta::minutes(offset))
}

fn offset_minutes(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone.get(1..)?.replace(':', "");
    let is_digits =
        matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits {
        return None;
    }
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes: i64 = digits
        .get(2..)
        .filter(|text| !text.is_empty())
        .map_or(Some(0), |text| text.parse().ok())?;
    Some(sign * (hours * 60 + minutes))
}

fn boolean(value: &str) -> Option<bool> {
    // agate leaves commas out here too.
    let value = value.replace(',', "");
    let value = value.trim();
    if value.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    value.eq_ignore_ascii_case("false").then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        use Number::{Decimal, TooLong, Whole};
        let cases = [
            ("12", Some(Whole(12))),
            (" -1,200 ", Some(Whole(-1200))),
            ("-$1,200.50", Some(Decimal(-1200.5))),
            ("50%", Some(Whole(50))),
            ("€ 5", Some(Whole(5))),
            ("5.00", Some(Whole(5))),
            (".5", Some(Decimal(0.5))),
            ("5.", Some(Whole(5))),
            ("1e3", Some(Whole(1000))),
            ("1200e-2", Some(Whole(12))),
            ("1.25e1", Some(Decimal(12.5))),
            ("0.000", Some(Whole(0))),
            ("007", Some(Whole(7))),
            ("9223372036854775807", Some(Whole(i64::MAX))),
            ("9223372036854775808", Some(TooLong)),
            ("1e400", Some(TooLong)),
            ("nan", None),
            ("1_000", None),
            ("$", None),
            (".", None),
            ("", None),
            ("1e", None),
            ("12a", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Number::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn times() {
        let text = |time: Option<NaiveDateTime>| time.map(|time| time.to_string());
        assert_eq!(
            text(timestamp("2024-1-5 1:02:3")).as_deref(),
            Some("2024-01-05 01:02:03")
        );
        assert_eq!(timestamp("2024-01-05T01:02:03"), None);
        assert_eq!(timestamp("2024-01-05 01:02"), None);
        assert_eq!(timestamp("2024-01-05 01:02:03.5"), None);
        let cases = [
            ("2024-01-05T01:02:03", Some("2024-01-05 01:02:03")),
            ("20240105T010203Z", Some("2024-01-05 01:02:03")),
            (
                "2024-01-05T01:02:03.25+01:30",
                Some("2024-01-04 23:32:03.250"),
            ),
            ("2024-01-05T01:02-0500", Some("2024-01-05 06:02:00")),
            ("2024-01-05 01:02:03", None),
            ("2024-01-05T25:00:00", None),
            ("2024-01-05T01:0203", None),
            ("2024-01-05Tx", None),
            ("T", None),
        ];
        for (value, expected) in cases {
            assert_eq!(text(iso_timestamp(value)).as_deref(), expected, "{value}");
        }
    }
}
