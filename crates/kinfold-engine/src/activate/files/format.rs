//! Rows as bytes of a file.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::json::ReaderBuilder;
use kinfold_sync::{Batch, BatchOperation, Change, DestinationError, Operation, Target};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use super::FileFormat;

/// What was to happen to a row.
const OPERATION: &str = "_operation";

/// Writes batches in one format.
#[derive(Debug)]
pub(super) struct Writer {
    format: FileFormat,
    /// Columns after the operation.
    columns: Vec<String>,
    /// With the operation.
    schema: SchemaRef,
}

/// Why a batch cannot be written. Says nothing about values, because it may hold them.
pub(super) struct NotWritten;

impl Writer {
    pub(super) fn new(
        format: FileFormat,
        target: &Target,
        schema: &Schema,
    ) -> Result<Self, DestinationError> {
        let columns: Vec<String> = target
            .key_fields
            .iter()
            .chain(&target.fields)
            .cloned()
            .collect();
        if columns.iter().any(|column| column == OPERATION) {
            return Err(DestinationError::FieldReadOnly {
                object: target.object.clone(),
                field: OPERATION.to_owned(),
            });
        }
        let mut fields = vec![Field::new(OPERATION, DataType::Utf8, false)];
        for (column, typed) in columns.iter().zip(schema.fields()) {
            fields.push(Field::new(column, stored(typed.data_type()), true));
        }
        Ok(Self {
            format,
            columns,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    pub(super) fn format(&self) -> FileFormat {
        self.format
    }

    pub(super) fn encode(&self, batch: &Batch) -> Result<Bytes, NotWritten> {
        match self.format {
            FileFormat::Ndjson => Ok(Self::ndjson(batch)),
            FileFormat::Csv => self.csv(batch),
            FileFormat::Parquet => self.parquet(batch),
        }
    }

    /// The row as one object: the operation, the key, the fields that the change has.
    fn row(batch: &Batch, change: &Change) -> Result<Map<String, Value>, NotWritten> {
        let mut row = Map::new();
        row.insert(OPERATION.to_owned(), Value::from(word(batch, change)));
        row.extend(change.key.parse().ok_or(NotWritten)?);
        row.extend(change.fields.parse().ok_or(NotWritten)?);
        Ok(row)
    }

    /// The texts of key and fields are joined as they are.
    fn ndjson(batch: &Batch) -> Bytes {
        let mut lines = String::new();
        for change in &batch.changes {
            let _ = write!(lines, "{{\"{OPERATION}\":\"{}\"", word(batch, change));
            for text in [&change.key, &change.fields] {
                let text = text.as_str();
                let inner = text
                    .get(1..text.len().saturating_sub(1))
                    .unwrap_or_default();
                if !inner.is_empty() {
                    lines.push(',');
                    lines.push_str(inner);
                }
            }
            lines.push_str("}\n");
        }
        lines.into()
    }

    fn csv(&self, batch: &Batch) -> Result<Bytes, NotWritten> {
        let mut text = String::new();
        push_csv(&mut text, Some(OPERATION));
        for column in &self.columns {
            text.push(',');
            push_csv(&mut text, Some(column));
        }
        text.push_str("\r\n");
        for change in &batch.changes {
            let row = Self::row(batch, change)?;
            push_csv(&mut text, Some(word(batch, change)));
            for column in &self.columns {
                text.push(',');
                match row.get(column) {
                    None | Some(Value::Null) => push_csv(&mut text, None),
                    Some(Value::String(value)) => push_csv(&mut text, Some(value)),
                    Some(other) => push_csv(&mut text, Some(&other.to_string())),
                }
            }
            text.push_str("\r\n");
        }
        Ok(text.into())
    }

    fn parquet(&self, batch: &Batch) -> Result<Bytes, NotWritten> {
        let rows = batch.changes.iter();
        let rows = rows.map(|change| Self::row(batch, change));
        let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        let builder =
            ReaderBuilder::new(Arc::clone(&self.schema)).with_batch_size(rows.len().max(1));
        let mut decoder = builder.build_decoder().map_err(|_| NotWritten)?;
        decoder.serialize(&rows).map_err(|_| NotWritten)?;
        let record_batch = decoder.flush().map_err(|_| NotWritten)?.ok_or(NotWritten)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        let mut bytes = vec![];
        let mut writer =
            ArrowWriter::try_new(&mut bytes, Arc::clone(&self.schema), Some(properties))
                .map_err(|_| NotWritten)?;
        writer.write(&record_batch).map_err(|_| NotWritten)?;
        writer.close().map_err(|_| NotWritten)?;
        Ok(bytes.into())
    }
}

fn word(batch: &Batch, change: &Change) -> &'static str {
    match change.operation {
        Operation::Clear => "clear",
        _ => match batch.operation {
            BatchOperation::Insert => "insert",
            BatchOperation::Update => "update",
            BatchOperation::Upsert => "upsert",
            BatchOperation::Delete => "delete",
        },
    }
}

/// RFC 4180. Null is nothing, empty text is `""`; both are an empty field to readers that do not care.
fn push_csv(text: &mut String, value: Option<&str>) {
    let Some(value) = value else { return };
    let outer_space =
        value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace);
    if value.is_empty() || outer_space || value.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&value.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(value);
    }
}

/// The type of a column of a Parquet file: without views, dictionaries and needless widths.
fn stored(data_type: &DataType) -> DataType {
    use DataType as T;
    let field = |field: &Field| Arc::new(Field::new(field.name(), stored(field.data_type()), true));
    match data_type {
        T::Null | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Dictionary(_, values) => stored(values),
        T::Float16 => T::Float32,
        T::Date64 => T::Date32,
        T::Timestamp(..) => T::Timestamp(
            datafusion::arrow::datatypes::TimeUnit::Microsecond,
            Some("UTC".into()),
        ),
        T::Time32(_) | T::Time64(_) => {
            T::Time64(datafusion::arrow::datatypes::TimeUnit::Microsecond)
        }
        T::List(item)
        | T::LargeList(item)
        | T::FixedSizeList(item, _)
        | T::ListView(item)
        | T::LargeListView(item) => T::List(field(item)),
        T::Struct(fields) => T::Struct(fields.iter().map(|f| field(f)).collect()),
        other => other.clone(),
    }
}
