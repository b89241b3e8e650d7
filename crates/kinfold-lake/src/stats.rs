//! Statistics of a data file in Delta's form, from the metadata of the Parquet file.
//!
//! Row counts and null counts are exact. Bounds are given for whole numbers, dates, timestamps and
//! decimals only:
//!
//! - **Strings have none.** A commit stays in the log long after the rows are deleted, and the
//!   smallest e-mail address of a file is a person's.
//! - **Floating-point columns have none**, here and in the Parquet file: bounds ignore `NaN`, but
//!   DataFusion orders `NaN` above all numbers, so `x > 5` would skip files that have matches.
//! - Decimals are written digit by digit; a detour over a binary fraction can move a bound inward.

use std::fmt::Write as _;

use arrow::datatypes::{DataType, Schema};
use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

/// Nulls and bounds of one column over all row groups.
struct ColumnBounds {
    nulls: Option<u64>,
    range: Option<(i128, i128)>,
}

/// The `stats` text of an `add` action.
pub(crate) fn delta_stats(schema: &Schema, file: &ParquetMetaData) -> String {
    let mut nulls = String::new();
    let mut least = String::new();
    let mut most = String::new();
    for field in schema.fields() {
        let Some(bounds) = column_bounds(field.name(), field.data_type(), file) else {
            continue;
        };
        if let Some(count) = bounds.nulls {
            entry(&mut nulls, field.name(), &count.to_string());
        }
        let texts = bounds.range.and_then(|(low, high)| {
            Some((
                value_text(field.data_type(), low)?,
                value_text(field.data_type(), high)?,
            ))
        });
        if let Some((low, high)) = texts {
            entry(&mut least, field.name(), &low);
            entry(&mut most, field.name(), &high);
        }
    }
    format!(
        "{{\"numRecords\":{},\"minValues\":{{{least}}},\"maxValues\":{{{most}}},\"nullCount\":{{{nulls}}}}}",
        file.file_metadata().num_rows()
    )
}

fn entry(object: &mut String, name: &str, value: &str) {
    let comma = if object.is_empty() { "" } else { "," };
    // Writing to a string cannot fail.
    let _ = write!(object, "{comma}{}:{value}", serde_json::Value::from(name));
}

/// `None` for nested columns, which get no statistics.
fn column_bounds(name: &str, data_type: &DataType, file: &ParquetMetaData) -> Option<ColumnBounds> {
    let index = file
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .position(|leaf| matches!(leaf.path().parts(), [only] if only == name))?;
    let mut total = ColumnBounds {
        nulls: Some(0),
        range: None,
    };
    let mut bounded = true;
    for group in file.row_groups() {
        let rows = u64::try_from(group.num_rows()).ok()?;
        let statistics = group.columns().get(index)?.statistics();
        let nulls = statistics.and_then(Statistics::null_count_opt);
        total.nulls = total.nulls.zip(nulls).map(|(sum, nulls)| sum + nulls);
        match statistics.and_then(|statistics| whole_range(data_type, statistics)) {
            Some((low, high)) => {
                let (least, most) = total.range.unwrap_or((low, high));
                total.range = Some((least.min(low), most.max(high)));
            }
            // A group of nulls only has no bounds and needs none.
            None => bounded &= nulls == Some(rows),
        }
    }
    if !bounded {
        total.range = None;
    }
    Some(total)
}

/// Bounds as whole numbers in the type's own unit.
fn whole_range(data_type: &DataType, statistics: &Statistics) -> Option<(i128, i128)> {
    match data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Date32
        | DataType::Timestamp(..)
        | DataType::Decimal128(..) => {}
        _ => return None,
    }
    match statistics {
        Statistics::Int32(s) => Some((i128::from(*s.min_opt()?), i128::from(*s.max_opt()?))),
        Statistics::Int64(s) => Some((i128::from(*s.min_opt()?), i128::from(*s.max_opt()?))),
        Statistics::FixedLenByteArray(s) => Some((
            big_endian(s.min_bytes_opt()?)?,
            big_endian(s.max_bytes_opt()?)?,
        )),
        _ => None,
    }
}

fn big_endian(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let mut wide = [if first & 0x80 == 0 { 0 } else { 0xFF }; 16];
    let start = wide.len().checked_sub(bytes.len())?;
    wide.get_mut(start..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

/// A bound as JSON; `None` if it has no portable form, such as a year above 9999.
fn value_text(data_type: &DataType, value: i128) -> Option<String> {
    match data_type {
        DataType::Date32 => {
            let days = TimeDelta::try_days(i64::try_from(value).ok()?)?;
            let date = NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(days)?;
            portable(date.year())?;
            Some(format!("\"{}\"", date.format("%Y-%m-%d")))
        }
        DataType::Timestamp(_, zone) => {
            let time = DateTime::from_timestamp_micros(i64::try_from(value).ok()?)?;
            portable(time.year())?;
            let zone = if zone.is_some() { "Z" } else { "" };
            Some(format!(
                "\"{}{zone}\"",
                time.format("%Y-%m-%dT%H:%M:%S%.6f")
            ))
        }
        DataType::Decimal128(_, scale) => Some(decimal_text(value, usize::try_from(*scale).ok()?)),
        _ => Some(value.to_string()),
    }
}

fn portable(year: i32) -> Option<()> {
    (1..=9999).contains(&year).then_some(())
}

fn decimal_text(value: i128, scale: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit() {
        let cases = [
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (12345, 2, "123.45"),
            (7, 0, "7"),
            (
                99_999_999_999_999_999_999_999_999_999_999_999_999,
                10,
                "9999999999999999999999999999.9999999999",
            ),
        ];
        for (value, scale, expected) in cases {
            assert_eq!(decimal_text(value, scale), expected);
        }
    }

    #[test]
    fn signed_bytes() {
        assert_eq!(big_endian(&[0xFF, 0xFE]), Some(-2));
        assert_eq!(big_endian(&[0x01, 0x00]), Some(256));
        assert_eq!(big_endian(&[]), None);
        assert_eq!(big_endian(&[0; 17]), None);
    }
}
