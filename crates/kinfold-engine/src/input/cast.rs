//! Text to the types of the columns, one column at a time; what does not fit is named, not lost.
//!
//! | type | accepted |
//! |---|---|
//! | integers | an optional sign and digits, in range; `5.0` is 5 |
//! | `REAL`, `DOUBLE` | decimal and exponent notation, `nan`, `inf`; nothing that overflows |
//! | `DECIMAL(p, s)` | decimal and exponent notation, in range; further digits are rounded |
//! | `BOOLEAN` | `true`, `t`, `yes`, `y`, `1` and `false`, `f`, `no`, `n`, `0`, in any case |
//! | `DATE` | `2024-01-31` |
//! | `TIMESTAMP` | ISO 8601 with `T` or a space; with a zone it becomes UTC |
//! | text | everything |

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, Date32Array, ListArray, MapArray, PrimitiveArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Field, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, SchemaRef, TimeUnit,
};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chrono::Utc;

use super::InputError;
use super::block::{Block, Record};
use super::landing::Decoded;
use super::quarantine::Bad;

/// Columns of their types, and the rows of which a value does not fit.
pub(super) struct CastColumns {
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
    refused: Vec<(usize, Arc<str>)>,
}

/// Casts columns of text, nested or not, to the types of `schema`.
pub(super) fn cast_columns(
    schema: &SchemaRef,
    raw: Vec<ArrayRef>,
) -> Result<CastColumns, ArrowError> {
    let mut refused = Vec::new();
    let columns = schema
        .fields()
        .iter()
        .zip(&raw)
        .map(|(field, raw)| cast(raw, field.data_type(), field.name(), &mut refused))
        .collect::<Result<Vec<_>, _>>()?;
    // The first refusal of a row is its reason; a stable sort keeps the order of columns.
    refused.sort_by_key(|(row, _)| *row);
    refused.dedup_by_key(|(row, _)| *row);
    Ok(CastColumns {
        schema: schema.clone(),
        columns,
        refused,
    })
}

impl CastColumns {
    /// Separates rows from records that are none. `kept` are the records of the rows.
    pub fn split(
        self,
        path: &str,
        block: &Block,
        kept: &[Record],
        mut bad: Vec<Bad>,
    ) -> Result<Decoded, InputError> {
        let failed = |source| InputError::Batch {
            path: path.to_owned(),
            source,
        };
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        let mut rows = RecordBatch::try_new_with_options(self.schema, self.columns, &options)
            .map_err(failed)?;
        if !self.refused.is_empty() {
            let mut good = vec![true; kept.len()];
            for (row, reason) in self.refused {
                if let (Some(good), Some(record)) = (good.get_mut(row), kept.get(row)) {
                    *good = false;
                    bad.push(Bad::new(record.line, reason, block.record(*record)));
                }
            }
            rows = filter_record_batch(&rows, &BooleanArray::from(good)).map_err(failed)?;
        }
        bad.sort_by_key(|bad| bad.line);
        Ok(Decoded {
            rows,
            bad,
            path: path.into(),
        })
    }
}

fn cast(
    raw: &ArrayRef,
    target: &DataType,
    path: &str,
    refused: &mut Vec<(usize, Arc<str>)>,
) -> Result<ArrayRef, ArrowError> {
    match (raw.data_type(), target) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let raw = raw.as_struct();
            let columns = fields
                .iter()
                .zip(raw.columns())
                .map(|(field, raw)| {
                    cast(
                        raw,
                        field.data_type(),
                        &format!("{path}.{}", field.name()),
                        refused,
                    )
                })
                .collect::<Result<Vec<_>, _>>()?;
            let cast = StructArray::try_new_with_length(
                fields.clone(),
                columns,
                raw.nulls().cloned(),
                raw.len(),
            )?;
            Ok(Arc::new(cast))
        }
        (DataType::List(_), DataType::List(item)) => {
            let raw = raw.as_list::<i32>();
            let mut inside = Vec::new();
            let items = cast(raw.values(), item.data_type(), path, &mut inside)?;
            lift(inside, raw.offsets(), refused);
            Ok(Arc::new(ListArray::try_new(
                item.clone(),
                raw.offsets().clone(),
                items,
                raw.nulls().cloned(),
            )?))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let raw = raw.as_map();
            let mut inside = Vec::new();
            let pairs: ArrayRef = Arc::new(raw.entries().clone());
            let pairs = cast(&pairs, entries.data_type(), path, &mut inside)?;
            lift(inside, raw.offsets(), refused);
            let pairs = pairs.as_struct().clone();
            let (offsets, nulls) = (raw.offsets().clone(), raw.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(
                entries.clone(),
                offsets,
                pairs,
                nulls,
                *sorted,
            )?))
        }
        _ => {
            let cast = cast_leaf(raw, target)?;
            let mut reason: Option<Arc<str>> = None;
            if cast.null_count() > raw.null_count() {
                for row in 0..raw.len() {
                    if raw.is_valid(row) && cast.is_null(row) {
                        let reason = reason.get_or_insert_with(|| not_of_type(path, target).into());
                        refused.push((row, reason.clone()));
                    }
                }
            }
            Ok(cast)
        }
    }
}

/// From positions of items to rows of lists.
fn lift(inside: Vec<(usize, Arc<str>)>, offsets: &[i32], refused: &mut Vec<(usize, Arc<str>)>) {
    for (item, reason) in inside {
        let row = offsets.partition_point(|end| usize::try_from(*end).unwrap_or_default() <= item);
        refused.push((row.saturating_sub(1), reason));
    }
}

fn not_of_type(column: &str, target: &DataType) -> String {
    format!("column `{column}` is not of type {}", sql_name(target))
}

/// Casts text; what does not fit is null.
pub(super) fn cast_leaf(raw: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let lenient = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let text = raw.as_string::<i32>();
    Ok(match target {
        DataType::Utf8 => raw.clone(),
        DataType::Boolean => Arc::new(
            text.iter()
                .map(|value| value.and_then(boolean))
                .collect::<BooleanArray>(),
        ),
        DataType::Date32 => {
            // A longer value has a time, which a date would lose.
            let day = |value: &str| {
                (value.len() <= 10)
                    .then(|| Date32Type::parse(value))
                    .flatten()
            };
            Arc::new(
                text.iter()
                    .map(|value| value.and_then(day))
                    .collect::<Date32Array>(),
            )
        }
        DataType::Int8 => Arc::new(integers::<Int8Type>(text)),
        DataType::Int16 => Arc::new(integers::<Int16Type>(text)),
        DataType::Int32 => Arc::new(integers::<Int32Type>(text)),
        DataType::Int64 => Arc::new(integers::<Int64Type>(text)),
        DataType::Float32 => Arc::new(floats::<Float32Type>(text, f32::is_infinite)),
        DataType::Float64 => Arc::new(floats::<Float64Type>(text, f64::is_infinite)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros: TimestampMicrosecondArray = text
                .iter()
                .map(|value| value.and_then(timestamp_micros))
                .collect();
            Arc::new(micros.with_timezone_opt(zone.clone()))
        }
        _ => cast_with_options(raw, target, &lenient)?,
    })
}

/// Microseconds since 1970 of an ISO 8601 time, taken as UTC where it has no zone; seconds may be
/// missing, digits below a microsecond are cut.
pub(super) fn timestamp_micros(value: &str) -> Option<i64> {
    let time = string_to_datetime(&Utc, value).or_else(|error| {
        let (minutes, zone) = value.split_at_checked(16).ok_or(error)?;
        string_to_datetime(&Utc, &format!("{minutes}:00{zone}"))
    });
    Some(time.ok()?.timestamp_micros())
}

fn boolean(value: &str) -> Option<bool> {
    let is = |word: &&str| value.eq_ignore_ascii_case(word);
    if ["true", "t", "yes", "y", "1"].iter().any(is) {
        return Some(true);
    }
    ["false", "f", "no", "n", "0"]
        .iter()
        .any(is)
        .then_some(false)
}

fn integers<T: ArrowPrimitiveType + Parser>(text: &arrow::array::StringArray) -> PrimitiveArray<T> {
    let parse = |value: &str| {
        T::parse(value).or_else(|| {
            // Programs that know no integers with nulls write 5 as 5.0.
            let (whole, fraction) = value.split_once('.')?;
            let zeros = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
            zeros.then(|| T::parse(whole)).flatten()
        })
    };
    text.iter().map(|value| value.and_then(parse)).collect()
}

fn floats<T: ArrowPrimitiveType + Parser>(
    text: &arrow::array::StringArray,
    infinite: fn(T::Native) -> bool,
) -> PrimitiveArray<T> {
    let parse = |value: &str| {
        let number = T::parse(value)?;
        // Digits that overflow are not infinity.
        (!infinite(number) || !value.contains(|c: char| c.is_ascii_digit())).then_some(number)
    };
    text.iter().map(|value| value.and_then(parse)).collect()
}

/// The name that SQL has for a stored type.
pub(crate) fn sql_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 => "VARCHAR",
        DataType::Binary => "BYTEA",
        DataType::Date32 => "DATE",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Decimal128(precision, scale) => return format!("DECIMAL({precision}, {scale})"),
        DataType::List(item) => return format!("{}[]", sql_name(item.data_type())),
        DataType::Struct(fields) => {
            let field =
                |field: &Arc<Field>| format!("{} {}", field.name(), sql_name(field.data_type()));
            return format!(
                "STRUCT({})",
                fields.iter().map(field).collect::<Vec<_>>().join(", ")
            );
        }
        other => return other.to_string(),
    };
    name.to_owned()
}
