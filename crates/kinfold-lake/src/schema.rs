//! Which Arrow types a table stores, and the conversion of batches to them.
//!
//! A Delta table has fewer types than Arrow, and its library narrows silently (`UInt64` to a signed
//! number of the same width, for example). Therefore the stored schema is computed here, by rules
//! that lose nothing except digits below a microsecond, and everything else is refused by name.
//!
//! Every stored column is nullable: what may be null is a contract of a model, tested by its data
//! tests, and a table whose schema said otherwise would refuse the next version of the model.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel as _;

use crate::LakeError;

/// The schema that a table has after rows of `schema` are written to it.
///
/// What is bound against this schema is what a scan returns. Metadata of fields is dropped.
///
/// | Arrow | stored |
/// |---|---|
/// | `UInt8`, `UInt16`, `UInt32`, `UInt64` | `Int16`, `Int32`, `Int64`, `Decimal128(20, 0)` |
/// | `Float16` | `Float32` |
/// | `Decimal32`, `Decimal64` | `Decimal128` |
/// | `LargeUtf8`, `Utf8View`, dictionaries of strings | `Utf8` |
/// | `LargeBinary`, `BinaryView`, `FixedSizeBinary` | `Binary` |
/// | `Date64` | `Date32` |
/// | timestamps | microseconds; with a zone: UTC, without: without |
/// | any list | `List` |
///
/// # Errors
/// [`LakeError::ColumnType`] for a type without a lossless rule (`Null`, times, durations,
/// intervals, `Decimal256`, unions), [`LakeError::ColumnName`], [`LakeError::ColumnCase`],
/// [`LakeError::NoColumns`].
pub fn storable_schema(schema: &Schema) -> Result<Schema, LakeError> {
    if schema.fields().is_empty() {
        return Err(LakeError::NoColumns);
    }
    Ok(Schema::new(stored_fields("", schema.fields())?))
}

fn stored_fields(prefix: &str, fields: &Fields) -> Result<Fields, LakeError> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut stored = Vec::with_capacity(fields.len());
    for field in fields {
        let column = format!("{prefix}{}", field.name());
        let odd = |c: char| " ,;{}()\n\r\t=".contains(c);
        if field.name().is_empty() || field.name().contains(odd) {
            return Err(LakeError::ColumnName { column });
        }
        if let Some(first) = seen.insert(field.name().to_lowercase(), field.name()) {
            return Err(LakeError::ColumnCase {
                first: format!("{prefix}{first}"),
                second: column,
            });
        }
        stored.push(Field::new(
            field.name(),
            stored_type(&column, field.data_type())?,
            true,
        ));
    }
    Ok(stored.into())
}

fn stored_type(column: &str, found: &DataType) -> Result<DataType, LakeError> {
    let refuse = |help: &'static str| {
        Err(LakeError::ColumnType {
            column: column.to_owned(),
            found: found.to_string(),
            help,
        })
    };
    Ok(match found {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32 => found.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => {
            if *scale < 0 || *scale as i16 > i16::from(*precision) {
                return refuse("cast it to a decimal with a scale from 0 to its precision");
            }
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, value) => stored_type(column, value)?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            let element = stored_type(&format!("{column}.element"), item.data_type())?;
            DataType::List(Arc::new(Field::new("element", element, true)))
        }
        DataType::Struct(fields) => {
            if fields.is_empty() {
                return refuse("give the struct at least one field");
            }
            DataType::Struct(stored_fields(&format!("{column}."), fields)?)
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return refuse("cast it to a list of structs");
            };
            let [key, value] = pair.as_ref() else {
                return refuse("cast it to a list of structs");
            };
            let key = stored_type(&format!("{column}.key"), key.data_type())?;
            let value = stored_type(&format!("{column}.value"), value.data_type())?;
            let pair = Fields::from(vec![
                Field::new("key", key, false),
                Field::new("value", value, true),
            ]);
            let entries = Field::new("key_value", DataType::Struct(pair), false);
            DataType::Map(Arc::new(entries), false)
        }
        DataType::Null => return refuse("give it a type, as in `cast(null as varchar)`"),
        DataType::Time32(_) | DataType::Time64(_) => {
            return refuse("cast it to a string or to a timestamp");
        }
        DataType::Duration(_) | DataType::Interval(_) => {
            return refuse("store its length as a number, for example in seconds");
        }
        DataType::Decimal256(..) => return refuse("cast it to `decimal(38, s)` or less"),
        DataType::Union(..) | DataType::RunEndEncoded(..) => {
            return refuse("cast it to one type");
        }
    })
}

/// Whether some column, at any depth, is a timestamp without a zone.
pub(crate) fn has_local_timestamp(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::List(item) | DataType::Map(item, _) => has_local_timestamp(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_local_timestamp(f.data_type())),
        _ => false,
    }
}

/// The stored schema in Delta's own types.
pub(crate) fn delta_schema(table: &str, stored: &Schema) -> Result<StructType, LakeError> {
    stored
        .try_into_kernel()
        .map_err(|error| LakeError::delta(table, &error.into()))
}

/// Converts batches to a stored schema; made once for a stream.
#[derive(Debug)]
pub(crate) struct Storing {
    stored: SchemaRef,
}

impl Storing {
    /// `found` is what the stream says of itself, `stored` comes from [`storable_schema`] of what
    /// the caller announced. Both must agree column by column.
    pub(crate) fn new(table: &str, found: &Schema, stored: SchemaRef) -> Result<Self, LakeError> {
        compare(table, &storable_schema(found)?, &stored)?;
        Ok(Self { stored })
    }

    pub(crate) fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        let columns = self
            .stored
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| convert_column(field, column))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.stored.clone(), columns, &options).map_err(|_| {
            LakeError::Corrupt {
                path: "a record batch".to_owned(),
                reason: "its columns do not fit its schema",
            }
        })
    }
}

fn convert_column(field: &Field, column: &ArrayRef) -> Result<ArrayRef, LakeError> {
    if column.data_type() == field.data_type() {
        return Ok(column.clone());
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    // The text of a failed cast contains the value.
    cast_with_options(column, field.data_type(), &strict).map_err(|_| LakeError::Value {
        column: field.name().clone(),
        expected: field.data_type().to_string(),
    })
}

/// Checks that two stored schemas have the same columns in the same order.
fn compare(table: &str, found: &Schema, expected: &Schema) -> Result<(), LakeError> {
    let mismatch = |column: &str, found: String, expected: String| {
        Err(LakeError::SchemaMismatch {
            table: table.to_owned(),
            column: column.to_owned(),
            found,
            expected,
        })
    };
    for pair in found.fields().iter().zip(expected.fields()) {
        let (found, expected) = pair;
        if found.name() != expected.name() {
            return mismatch(
                found.name(),
                found.data_type().to_string(),
                format!("`{}` in its place", expected.name()),
            );
        }
        if found.data_type() != expected.data_type() {
            return mismatch(
                found.name(),
                found.data_type().to_string(),
                expected.data_type().to_string(),
            );
        }
    }
    let shared = found.fields().len().min(expected.fields().len());
    if let Some(field) = found.fields().get(shared) {
        return mismatch(
            field.name(),
            field.data_type().to_string(),
            "no such column".to_owned(),
        );
    }
    if let Some(field) = expected.fields().get(shared) {
        return mismatch(
            field.name(),
            "missing".to_owned(),
            field.data_type().to_string(),
        );
    }
    Ok(())
}

/// How the columns of an append may differ from the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppendColumns {
    /// They are the same, in any order.
    #[default]
    Same,
    /// Columns that the table lacks are added to it, in the same commit. Columns that the rows
    /// lack are null.
    Extend,
}

/// The schema of a table after an append; `None` if it stays as it is.
pub(crate) fn appended(
    table: &str,
    current: &Schema,
    rows: &Schema,
    columns: AppendColumns,
) -> Result<Option<Schema>, LakeError> {
    let mut added = Vec::new();
    for field in rows.fields() {
        let same = current.fields().iter().find(|c| c.name() == field.name());
        match same {
            Some(current) if without_nullability(current.data_type()) == *field.data_type() => {}
            Some(current) => {
                return Err(LakeError::SchemaMismatch {
                    table: table.to_owned(),
                    column: field.name().clone(),
                    found: field.data_type().to_string(),
                    expected: current.data_type().to_string(),
                });
            }
            None if columns == AppendColumns::Extend => added.push(field.clone()),
            None => {
                return Err(LakeError::SchemaMismatch {
                    table: table.to_owned(),
                    column: field.name().clone(),
                    found: field.data_type().to_string(),
                    expected: "no such column".to_owned(),
                });
            }
        }
    }
    for field in current.fields() {
        let missing = rows.fields().iter().all(|row| row.name() != field.name());
        if missing && (columns == AppendColumns::Same || !field.is_nullable()) {
            return Err(LakeError::SchemaMismatch {
                table: table.to_owned(),
                column: field.name().clone(),
                found: "missing".to_owned(),
                expected: field.data_type().to_string(),
            });
        }
    }
    if added.is_empty() {
        return Ok(None);
    }
    let fields: Vec<_> = current.fields().iter().cloned().chain(added).collect();
    storable_schema(&Schema::new(fields)).map(Some)
}

/// A type as this crate would store it, to compare with types of foreign tables.
fn without_nullability(found: &DataType) -> DataType {
    stored_type("", found).unwrap_or_else(|_| found.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use arrow::array::{Array, Decimal128Array, UInt64Array};
    use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow as _;

    fn schema(fields: Vec<(&str, DataType)>) -> Schema {
        Schema::new(
            fields
                .into_iter()
                .map(|(name, data_type)| Field::new(name, data_type, false))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn what_is_stored_is_what_delta_reads_back() {
        let zone = Some("Europe/Berlin".into());
        let text = Field::new("item", DataType::Utf8View, false);
        let found = schema(vec![
            ("a", DataType::UInt8),
            ("b", DataType::UInt64),
            ("c", DataType::Timestamp(TimeUnit::Nanosecond, zone)),
            ("d", DataType::Timestamp(TimeUnit::Second, None)),
            ("e", DataType::List(Arc::new(text.clone()))),
            ("f", DataType::Struct(vec![text.clone()].into())),
            ("g", DataType::Decimal128(10, 2)),
            (
                "h",
                DataType::Map(
                    Arc::new(Field::new(
                        "entries",
                        DataType::Struct(
                            vec![text.clone().with_name("keys"), text.with_name("values")].into(),
                        ),
                        false,
                    )),
                    false,
                ),
            ),
            ("i", DataType::LargeBinary),
        ]);
        let stored = storable_schema(&found).unwrap();
        let read: Schema = (&delta_schema("t", &stored).unwrap())
            .try_into_arrow()
            .unwrap();
        assert_eq!(read, stored);
        assert_eq!(storable_schema(&stored).unwrap(), stored, "idempotent");
    }

    #[test]
    fn the_largest_unsigned_number_is_stored() {
        let found = schema(vec![("n", DataType::UInt64)]);
        let stored = Arc::new(storable_schema(&found).unwrap());
        let storing = Storing::new("t", &found, stored).unwrap();
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let batch = RecordBatch::try_new(Arc::new(found), vec![column]).unwrap();
        let batch = storing.convert(&batch).unwrap();
        let column = batch.column(0).as_any().downcast_ref::<Decimal128Array>();
        assert_eq!(column.unwrap().value(0), i128::from(u64::MAX));
    }

    #[test]
    fn refusals_name_the_column() {
        let cases = [
            (
                vec![("a b", DataType::Utf8)],
                "column `a b` cannot be stored",
            ),
            (vec![("", DataType::Utf8)], "column `` cannot be stored"),
            (
                vec![("id", DataType::Utf8), ("Id", DataType::Utf8)],
                "columns `id` and `Id` differ in case only",
            ),
            (vec![("n", DataType::Null)], "column `n` has type Null"),
            (
                vec![("t", DataType::Time32(TimeUnit::Second))],
                "column `t` has type Time32",
            ),
            (
                vec![(
                    "s",
                    DataType::Struct(
                        vec![Field::new("d", DataType::Decimal256(50, 2), true)].into(),
                    ),
                )],
                "column `s.d` has type Decimal256",
            ),
            (vec![], "a table needs at least one column"),
        ];
        for (fields, expected) in cases {
            let error = storable_schema(&schema(fields)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn appends_are_strict_or_extend() {
        let table = schema(vec![("a", DataType::Int32), ("b", DataType::Utf8)]);
        let table = storable_schema(&table).unwrap();
        let rows = storable_schema(&schema(vec![("a", DataType::Int32), ("c", DataType::Utf8)]));
        let rows = rows.unwrap();
        let strict = appended("t", &table, &rows, AppendColumns::Same);
        assert!(strict.unwrap_err().to_string().contains("column `c`"));
        let extended = appended("t", &table, &rows, AppendColumns::Extend)
            .unwrap()
            .unwrap();
        let names: Vec<_> = extended
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
        let wide = storable_schema(&schema(vec![("a", DataType::Int64), ("b", DataType::Utf8)]));
        let narrow = appended("t", &table, &wide.unwrap(), AppendColumns::Extend);
        assert!(
            narrow
                .unwrap_err()
                .to_string()
                .contains("column `a` is Int64")
        );
    }
}
