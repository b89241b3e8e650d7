//! Arrow values as canonical JSON text.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, GenericBinaryArray, GenericStringArray, PrimitiveArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes as t;
use datafusion::arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, DecimalType, TimeUnit,
};
use datafusion::arrow::error::ArrowError;

/// What became of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It was written.
    Value,
    /// It is null, written as `null`.
    Null,
    /// It is text without a visible character, written.
    Blank,
    /// It has no JSON form: NaN, an infinity, a year outside 0 to 9999. What was written means nothing.
    NoForm,
}

/// Digits that every decimal fraction keeps on its way through an IEEE 754 double (`DBL_DIG`).
const EXACT_DIGITS: usize = 15;

/// Writes rows of columns as JSON objects, fields ordered by name.
pub struct ObjectEncoder {
    fields: Vec<(String, Box<dyn Encode>)>,
}

impl ObjectEncoder {
    /// An encoder of these columns; `names` and `columns` have the same length and order.
    ///
    /// # Errors
    /// A column has a type without JSON form.
    pub fn new(names: &[String], columns: &[ArrayRef]) -> Result<Self, ArrowError> {
        let mut fields = Vec::with_capacity(columns.len());
        for (name, column) in names.iter().zip(columns) {
            let mut label = String::new();
            write_text(name, &mut label);
            label.push(':');
            fields.push((name, (label, encoder(column)?)));
        }
        fields.sort_by(|a, b| a.0.cmp(b.0));
        Ok(Self {
            fields: fields.into_iter().map(|(_, field)| field).collect(),
        })
    }

    /// Appends one row to `out`, and hands what became of each value to `seen`.
    pub fn write(&self, row: usize, out: &mut String, mut seen: impl FnMut(Cell)) {
        out.push('{');
        for (i, (label, values)) in self.fields.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            out.push_str(label);
            seen(values.write(row, out));
        }
        out.push('}');
    }
}

trait Encode: Send {
    fn write(&self, row: usize, out: &mut String) -> Cell;
}

struct Always;

impl Encode for Always {
    fn write(&self, _: usize, out: &mut String) -> Cell {
        null(out)
    }
}

fn null(out: &mut String) -> Cell {
    out.push_str("null");
    Cell::Null
}

impl Encode for BooleanArray {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.is_null(row) {
            return null(out);
        }
        out.push_str(if self.value(row) { "true" } else { "false" });
        Cell::Value
    }
}

impl Encode for GenericStringArray<i32> {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.is_null(row) {
            return null(out);
        }
        let text = self.value(row);
        write_text(text, out);
        if text.chars().all(char::is_whitespace) {
            Cell::Blank
        } else {
            Cell::Value
        }
    }
}

impl Encode for GenericBinaryArray<i32> {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.is_null(row) {
            return null(out);
        }
        out.push('"');
        for byte in self.value(row) {
            let _ = write!(out, "{byte:02x}");
        }
        out.push('"');
        Cell::Value
    }
}

/// A column of numbers or times with the function that writes one of them.
struct Primitive<T: ArrowPrimitiveType, F> {
    values: PrimitiveArray<T>,
    form: F,
}

impl<T: ArrowPrimitiveType, F: Fn(T::Native, &mut String) -> Cell + Send> Encode
    for Primitive<T, F>
{
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.values.is_null(row) {
            return null(out);
        }
        (self.form)(self.values.value(row), out)
    }
}

fn primitive<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    form: impl Fn(T::Native, &mut String) -> Cell + Send + 'static,
) -> Box<dyn Encode> {
    Box::new(Primitive {
        values: column.as_primitive::<T>().clone(),
        form,
    })
}

fn integer<T: ArrowPrimitiveType<Native: std::fmt::Display>>(column: &ArrayRef) -> Box<dyn Encode> {
    primitive::<T>(column, |value, out| {
        let _ = write!(out, "{value}");
        Cell::Value
    })
}

struct Decimals<T: DecimalType>(PrimitiveArray<T>);

impl<T: DecimalType> Encode for Decimals<T> {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.0.is_null(row) {
            return null(out);
        }
        write_decimal(&self.0.value_as_string(row), out);
        Cell::Value
    }
}

fn decimals<T: DecimalType>(column: &ArrayRef) -> Box<dyn Encode> {
    Box::new(Decimals(column.as_primitive::<T>().clone()))
}

/// A decimal without needless zeros: a number if a double holds it, else text.
fn write_decimal(text: &str, out: &mut String) {
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    };
    let digits = text
        .trim_start_matches(['-', '0', '.'])
        .bytes()
        .filter(u8::is_ascii_digit)
        .count();
    match digits {
        0 => out.push('0'),
        few if few <= EXACT_DIGITS => out.push_str(text),
        _ => {
            let _ = write!(out, "\"{text}\"");
        }
    }
}

/// The shortest digits that give the same number again; `shown` prints them without an exponent,
/// `scientific` with one.
fn write_float(
    value: f64,
    shown: impl std::fmt::Display,
    scientific: impl std::fmt::LowerExp,
    out: &mut String,
) -> Cell {
    if !value.is_finite() {
        out.push_str("null");
        return Cell::NoForm;
    }
    let size = value.abs();
    let _ = if size == 0.0 {
        out.push('0');
        Ok(())
    } else if (1e-6..1e21).contains(&size) {
        write!(out, "{shown}")
    } else {
        write!(out, "{scientific:e}")
    };
    Cell::Value
}

/// A JSON string: only what must be escaped is.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

fn write_date(date: Option<NaiveDate>, out: &mut String) -> Cell {
    match date {
        Some(date) if (0..=9999).contains(&date.year()) => {
            let _ = write!(
                out,
                "\"{:04}-{:02}-{:02}\"",
                date.year(),
                date.month(),
                date.day()
            );
            Cell::Value
        }
        _ => {
            out.push_str("null");
            Cell::NoForm
        }
    }
}

fn write_instant(micros: i64, out: &mut String) -> Cell {
    match DateTime::from_timestamp_micros(micros) {
        Some(at) if (0..=9999).contains(&at.year()) => {
            let _ = write!(
                out,
                "\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                at.year(),
                at.month(),
                at.day(),
                at.hour(),
                at.minute(),
                at.second()
            );
            write_fraction(micros.rem_euclid(1_000_000), out);
            out.push_str("Z\"");
            Cell::Value
        }
        _ => {
            out.push_str("null");
            Cell::NoForm
        }
    }
}

fn write_time_of_day(micros: i64, out: &mut String) -> Cell {
    let seconds = micros.div_euclid(1_000_000);
    let _ = write!(
        out,
        "\"{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    write_fraction(micros.rem_euclid(1_000_000), out);
    out.push('"');
    Cell::Value
}

fn write_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

struct Structs {
    rows: ArrayRef,
    fields: ObjectEncoder,
}

impl Encode for Structs {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.rows.is_null(row) {
            return null(out);
        }
        let mut whole = Cell::Value;
        self.fields.write(row, out, |cell| {
            if cell == Cell::NoForm {
                whole = cell;
            }
        });
        whole
    }
}

struct Lists {
    rows: ArrayRef,
    /// First and one past the last item of each row.
    bounds: Vec<(usize, usize)>,
    items: Box<dyn Encode>,
}

impl Encode for Lists {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.rows.is_null(row) {
            return null(out);
        }
        let (first, end) = self.bounds.get(row).copied().unwrap_or_default();
        let mut whole = Cell::Value;
        out.push('[');
        for item in first..end {
            if item > first {
                out.push(',');
            }
            if self.items.write(item, out) == Cell::NoForm {
                whole = Cell::NoForm;
            }
        }
        out.push(']');
        whole
    }
}

struct Maps {
    rows: ArrayRef,
    bounds: Vec<(usize, usize)>,
    keys: GenericStringArray<i32>,
    values: Box<dyn Encode>,
}

impl Encode for Maps {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.rows.is_null(row) {
            return null(out);
        }
        let (first, end) = self.bounds.get(row).copied().unwrap_or_default();
        let mut entries: Vec<(&str, usize)> = (first..end)
            .map(|entry| (self.keys.value(entry), entry))
            .collect();
        entries.sort_unstable();
        let mut whole = Cell::Value;
        out.push('{');
        for (i, (key, entry)) in entries.into_iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_text(key, out);
            out.push(':');
            if self.values.write(entry, out) == Cell::NoForm {
                whole = Cell::NoForm;
            }
        }
        out.push('}');
        whole
    }
}

fn bounds<O: ArrowNativeType>(offsets: &[O]) -> Vec<(usize, usize)> {
    offsets
        .windows(2)
        .map(|pair| match pair {
            [first, end] => (first.as_usize(), end.as_usize()),
            _ => (0, 0),
        })
        .collect()
}

fn encoder(column: &ArrayRef) -> Result<Box<dyn Encode>, ArrowError> {
    use DataType as T;
    let as_type = |wanted: &DataType| cast(column, wanted).and_then(|column| encoder(&column));
    Ok(match column.data_type() {
        T::Null => Box::new(Always),
        T::Boolean => Box::new(column.as_boolean().clone()),
        T::Int8 => integer::<t::Int8Type>(column),
        T::Int16 => integer::<t::Int16Type>(column),
        T::Int32 => integer::<t::Int32Type>(column),
        T::Int64 => integer::<t::Int64Type>(column),
        T::UInt8 => integer::<t::UInt8Type>(column),
        T::UInt16 => integer::<t::UInt16Type>(column),
        T::UInt32 => integer::<t::UInt32Type>(column),
        T::UInt64 => integer::<t::UInt64Type>(column),
        T::Float16 => return as_type(&T::Float32),
        T::Float32 => {
            primitive::<t::Float32Type>(column, |v, out| write_float(f64::from(v), v, v, out))
        }
        T::Float64 => primitive::<t::Float64Type>(column, |v, out| write_float(v, v, v, out)),
        T::Decimal32(..) => decimals::<t::Decimal32Type>(column),
        T::Decimal64(..) => decimals::<t::Decimal64Type>(column),
        T::Decimal128(..) => decimals::<t::Decimal128Type>(column),
        T::Decimal256(..) => decimals::<t::Decimal256Type>(column),
        T::Utf8 => Box::new(column.as_string::<i32>().clone()),
        T::LargeUtf8 | T::Utf8View => return as_type(&T::Utf8),
        T::Binary => Box::new(column.as_binary::<i32>().clone()),
        T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => return as_type(&T::Binary),
        T::Dictionary(_, values) => return as_type(&values.clone()),
        T::Date32 => primitive::<t::Date32Type>(column, |v, out| {
            write_date(t::Date32Type::to_naive_date_opt(v), out)
        }),
        T::Date64 => return as_type(&T::Date32),
        T::Timestamp(unit, _) => instants(column, *unit),
        T::Time32(_) => return as_type(&T::Time64(TimeUnit::Microsecond)),
        T::Time64(TimeUnit::Nanosecond) => return as_type(&T::Time64(TimeUnit::Microsecond)),
        T::Time64(_) => primitive::<t::Time64MicrosecondType>(column, write_time_of_day),
        T::Struct(fields) => {
            let names: Vec<String> = fields.iter().map(|f| f.name().clone()).collect();
            let fields = ObjectEncoder::new(&names, column.as_struct().columns())?;
            Box::new(Structs {
                rows: column.clone(),
                fields,
            })
        }
        T::List(_) => {
            let list = column.as_list::<i32>();
            let items = encoder(list.values())?;
            Box::new(Lists {
                rows: column.clone(),
                bounds: bounds(list.value_offsets()),
                items,
            })
        }
        T::LargeList(_) => {
            let list = column.as_list::<i64>();
            let items = encoder(list.values())?;
            Box::new(Lists {
                rows: column.clone(),
                bounds: bounds(list.value_offsets()),
                items,
            })
        }
        T::FixedSizeList(item, _) | T::ListView(item) | T::LargeListView(item) => {
            return as_type(&T::LargeList(item.clone()));
        }
        T::Map(..) => {
            let map = column.as_map();
            let keys = cast(map.keys(), &T::Utf8)?;
            Box::new(Maps {
                rows: column.clone(),
                bounds: bounds(map.value_offsets()),
                keys: keys.as_string::<i32>().clone(),
                values: encoder(map.values())?,
            })
        }
        other => {
            return Err(ArrowError::NotYetImplemented(format!(
                "{other} has no JSON form"
            )));
        }
    })
}

/// Digits below a microsecond are cut, as a table does; a timestamp without zone counts as UTC.
fn instants(column: &ArrayRef, unit: TimeUnit) -> Box<dyn Encode> {
    let scaled = |factor: i64| {
        move |value: i64, out: &mut String| match value.checked_mul(factor) {
            Some(micros) => write_instant(micros, out),
            None => {
                out.push_str("null");
                Cell::NoForm
            }
        }
    };
    match unit {
        TimeUnit::Second => primitive::<t::TimestampSecondType>(column, scaled(1_000_000)),
        TimeUnit::Millisecond => primitive::<t::TimestampMillisecondType>(column, scaled(1_000)),
        TimeUnit::Microsecond => primitive::<t::TimestampMicrosecondType>(column, write_instant),
        TimeUnit::Nanosecond => primitive::<t::TimestampNanosecondType>(column, |value, out| {
            write_instant(value.div_euclid(1_000), out)
        }),
    }
}

#[cfg(test)]
mod tests;
