//! Arrow values as canonical JSON text.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, GenericBinaryArray, GenericStringArray, PrimitiveArray,
    StringViewArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes as t;
use datafusion::arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, DecimalType, TimeUnit, ToByteSlice,
};
use datafusion::arrow::error::ArrowError;

use super::layout::BETWEEN;
use sha2::{Digest as _, Sha256};

use super::text::{
    write_date, write_decimal, write_float, write_instant, write_integer, write_text,
    write_time_of_day,
};

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

/// What is sent for a field that is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum NullForm {
    /// `null`.
    #[default]
    Null,
    /// The field is left out.
    Omit,
    /// Another JSON value: the one by which the destination empties the field.
    Value(Arc<str>),
}

/// Writes rows of columns as JSON objects, fields ordered by name.
pub struct ObjectEncoder {
    fields: Vec<Column>,
    /// SHA-256 that has seen what tells apart rows of columns with other names, types or forms of nulls. For a
    /// few hundred bytes it is twice as fast as BLAKE3, where the processor has instructions for it.
    salted: Sha256,
}

struct Column {
    /// The name as JSON, between the comma before it and its colon.
    label: String,
    values: Box<dyn Encode>,
    nulls: NullForm,
}

/// The form of the bytes from which [`ObjectEncoder::digests`] are made.
const DIGEST_CONTEXT: &str = "kinfold 2026-11 digest of a row, 3";

impl ObjectEncoder {
    /// An encoder of these columns; `names` and `columns` have the same length and order.
    ///
    /// # Errors
    /// A column has a type without JSON form.
    pub fn new(names: &[String], columns: &[ArrayRef]) -> Result<Self, ArrowError> {
        Self::with_nulls(names, columns, &[])
    }

    /// The same with a form of nulls for each column; [`NullForm::Null`] where `nulls` is too short.
    ///
    /// # Errors
    /// A column has a type without JSON form.
    pub fn with_nulls(
        names: &[String],
        columns: &[ArrayRef],
        nulls: &[NullForm],
    ) -> Result<Self, ArrowError> {
        let mut fields = Vec::with_capacity(columns.len());
        for (at, (name, column)) in names.iter().zip(columns).enumerate() {
            let mut label = String::new();
            write_text(name, &mut label);
            label.push(':');
            let nulls = nulls.get(at).cloned().unwrap_or_default();
            let what = format!("{label} {:?} {nulls:?}", column.data_type());
            let values = encoder(column, &nulls)?;
            label.insert(0, ',');
            let field = Column {
                label,
                values,
                nulls,
            };
            fields.push((name, what, field));
        }
        fields.sort_by(|a, b| a.0.cmp(b.0));
        let mut salt = blake3::Hasher::new_derive_key(DIGEST_CONTEXT);
        for (_, what, _) in &fields {
            salt.update(&(what.len() as u64).to_le_bytes());
            salt.update(what.as_bytes());
        }
        Ok(Self {
            fields: fields.into_iter().map(|(_, _, field)| field).collect(),
            salted: Sha256::new_with_prefix([*salt.finalize().as_bytes(); 2].concat()),
        })
    }

    /// Appends one row to `out`, and hands what became of each value to `seen`.
    pub fn write(&self, row: usize, out: &mut String, seen: impl FnMut(Cell)) {
        self.write_with(row, out, seen, |_| {});
    }

    /// The same, and replaces `values` by what a [`Layout`](super::Layout) makes the same object of.
    pub(in super::super) fn write_and_pack(
        &self,
        row: usize,
        out: &mut String,
        values: &mut String,
        seen: impl FnMut(Cell),
    ) {
        values.clear();
        let mut first = true;
        self.write_with(row, out, seen, |value| {
            if !first {
                values.push(BETWEEN);
            }
            first = false;
            values.push_str(value);
        });
    }

    /// Hands the text of each value to `value`, empty if the field is left out.
    fn write_with(
        &self,
        row: usize,
        out: &mut String,
        mut seen: impl FnMut(Cell),
        mut value: impl FnMut(&str),
    ) {
        out.push('{');
        let mut first = true;
        for field in &self.fields {
            let before = out.len();
            out.push_str(field.label.get(usize::from(first)..).unwrap_or_default());
            let label = out.len();
            let cell = field.values.write(row, out);
            match (cell, &field.nulls) {
                (Cell::Null, NullForm::Omit) => out.truncate(before),
                (Cell::Null, NullForm::Value(value)) => {
                    out.truncate(label);
                    out.push_str(value);
                    first = false;
                }
                _ => first = false,
            }
            value(out.get(label..).unwrap_or_default());
            seen(cell);
        }
        out.push('}');
    }

    /// A 128-bit hash of each of these rows, much cheaper than its JSON: rows with equal digests have equal
    /// JSON. The reverse does not hold, a number and its text form for instance have different ones.
    /// `scratch` is overwritten.
    pub fn digests(
        &self,
        rows: &[usize],
        scratch: &mut DigestScratch,
        mut digest: impl FnMut([u8; 16]),
    ) {
        let DigestScratch(scratch) = scratch;
        for block in rows.chunks(DIGEST_BLOCK) {
            if scratch.len() < block.len() {
                scratch.resize_with(block.len(), Vec::new);
            }
            scratch.iter_mut().for_each(Vec::clear);
            // One column at a time: its values are next to each other in memory.
            for field in &self.fields {
                field.values.raw_block(block, scratch);
            }
            for bytes in scratch.iter().take(block.len()) {
                let mut hasher = self.salted.clone();
                hasher.update(bytes);
                let mut half = [0; 16];
                half.copy_from_slice(hasher.finalize().as_slice().split_at(16).0);
                digest(half);
            }
        }
    }
}

/// Rows whose bytes are gathered at the same time: so many that they stay in a core's own cache.
const DIGEST_BLOCK: usize = 128;

/// Memory of [`ObjectEncoder::digests`], to be used again.
#[derive(Default)]
pub struct DigestScratch(Vec<Vec<u8>>);

trait Encode: Send + Sync {
    /// Appends the JSON of a value.
    fn write(&self, row: usize, out: &mut String) -> Cell;

    /// Appends bytes that say where they end and that are equal exactly for equal values of the column:
    /// [`NOTHING`], or [`SOMETHING`] and the value.
    fn raw(&self, row: usize, out: &mut Vec<u8>) {
        let mut text = String::new();
        match self.write(row, &mut text) {
            Cell::Null => out.push(NOTHING),
            Cell::Value | Cell::Blank | Cell::NoForm => raw_bytes(text.as_bytes(), out),
        }
    }

    /// The same of several rows, each to its own bytes.
    fn raw_block(&self, rows: &[usize], out: &mut [Vec<u8>]) {
        for (row, out) in rows.iter().zip(out) {
            self.raw(*row, out);
        }
    }
}

const NOTHING: u8 = 0;
const SOMETHING: u8 = 1;
/// The value, or its length, is a short form of the one that follows [`SOMETHING`].
const SHORT: u8 = 2;

fn raw_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(bytes.len()) {
        Ok(length) => out.extend_from_slice(&[SHORT, length]),
        Err(_) => {
            out.push(SOMETHING);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
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

    fn raw(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.push(NOTHING);
        }
        out.push(SOMETHING);
        out.push(u8::from(self.value(row)));
    }
}

impl Encode for GenericStringArray<i32> {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.is_null(row) {
            return null(out);
        }
        write_words(self.value(row), out)
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.push(NOTHING);
        }
        raw_bytes(self.value(row).as_bytes(), out);
    }
}

impl Encode for StringViewArray {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.is_null(row) {
            return null(out);
        }
        write_words(self.value(row), out)
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.push(NOTHING);
        }
        raw_bytes(self.value(row).as_bytes(), out);
    }
}

fn write_words(text: &str, out: &mut String) -> Cell {
    write_text(text, out);
    if text.chars().all(char::is_whitespace) {
        Cell::Blank
    } else {
        Cell::Value
    }
}

impl Encode for GenericBinaryArray<i32> {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.is_null(row) {
            return null(out);
        }
        out.push('"');
        for byte in self.value(row) {
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        out.push('"');
        Cell::Value
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.push(NOTHING);
        }
        raw_bytes(self.value(row), out);
    }
}

/// A column of numbers or times with the function that writes one of them.
struct Primitive<T: ArrowPrimitiveType, F> {
    values: PrimitiveArray<T>,
    form: F,
}

impl<T: ArrowPrimitiveType, F: Fn(T::Native, &mut String) -> Cell + Send + Sync> Encode
    for Primitive<T, F>
{
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.values.is_null(row) {
            return null(out);
        }
        (self.form)(self.values.value(row), out)
    }

    fn raw(&self, row: usize, out: &mut Vec<u8>) {
        if self.values.is_null(row) {
            return out.push(NOTHING);
        }
        out.push(SOMETHING);
        out.extend_from_slice(self.values.value(row).to_byte_slice());
    }
}

fn primitive<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    form: impl Fn(T::Native, &mut String) -> Cell + Send + Sync + 'static,
) -> Box<dyn Encode> {
    Box::new(Primitive {
        values: column.as_primitive::<T>().clone(),
        form,
    })
}

fn integer<T: ArrowPrimitiveType<Native: itoa::Integer>>(column: &ArrayRef) -> Box<dyn Encode> {
    primitive::<T>(column, write_integer)
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

    fn raw(&self, row: usize, out: &mut Vec<u8>) {
        if self.0.is_null(row) {
            return out.push(NOTHING);
        }
        let value = self.0.value(row);
        // Most are small, and few bytes are faster to hash.
        match value.to_byte_slice().split_at_checked(8) {
            Some((low, [0, 0, 0, 0, 0, 0, 0, 0])) => {
                out.push(SHORT);
                out.extend_from_slice(low);
            }
            _ => {
                out.push(SOMETHING);
                out.extend_from_slice(value.to_byte_slice());
            }
        }
    }
}

fn decimals<T: DecimalType>(column: &ArrayRef) -> Box<dyn Encode> {
    Box::new(Decimals(column.as_primitive::<T>().clone()))
}

struct Structs {
    rows: ArrayRef,
    fields: ObjectEncoder,
    /// Whether an object of which all members were left out is no object.
    vanishes: bool,
}

impl Encode for Structs {
    fn write(&self, row: usize, out: &mut String) -> Cell {
        if self.rows.is_null(row) {
            return null(out);
        }
        let mut whole = Cell::Value;
        let start = out.len();
        self.fields.write(row, out, |cell| {
            if cell == Cell::NoForm {
                whole = cell;
            }
        });
        if self.vanishes && out.len() == start + "{}".len() {
            out.truncate(start);
            return null(out);
        }
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

/// `nulls` is the form of nulls within objects.
fn encoder(column: &ArrayRef, nulls: &NullForm) -> Result<Box<dyn Encode>, ArrowError> {
    use DataType as T;
    let as_type =
        |wanted: &DataType| cast(column, wanted).and_then(|column| encoder(&column, nulls));
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
            primitive::<t::Float32Type>(column, |v, out| write_float(v, f64::from(v).abs(), out))
        }
        T::Float64 => primitive::<t::Float64Type>(column, |v, out| write_float(v, v.abs(), out)),
        T::Decimal32(..) => decimals::<t::Decimal32Type>(column),
        T::Decimal64(..) => decimals::<t::Decimal64Type>(column),
        T::Decimal128(..) => decimals::<t::Decimal128Type>(column),
        T::Decimal256(..) => decimals::<t::Decimal256Type>(column),
        T::Utf8 => Box::new(column.as_string::<i32>().clone()),
        T::Utf8View => Box::new(column.as_string_view().clone()),
        T::LargeUtf8 => return as_type(&T::Utf8),
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
            let forms = vec![nulls.clone(); names.len()];
            let columns = column.as_struct().columns();
            Box::new(Structs {
                rows: column.clone(),
                fields: ObjectEncoder::with_nulls(&names, columns, &forms)?,
                vanishes: *nulls == NullForm::Omit,
            })
        }
        T::List(_) => {
            let list = column.as_list::<i32>();
            let items = encoder(list.values(), nulls)?;
            Box::new(Lists {
                rows: column.clone(),
                bounds: bounds(list.value_offsets()),
                items,
            })
        }
        T::LargeList(_) => {
            let list = column.as_list::<i64>();
            let items = encoder(list.values(), nulls)?;
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
                values: encoder(map.values(), nulls)?,
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
