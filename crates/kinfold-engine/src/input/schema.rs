//! The columns of a source.
//!
//! Where every declared column has a `data_type`, the declaration is the whole schema, in its order:
//! nothing is inferred, so the source can be checked without a look at its files. Otherwise the names
//! come from the files and declared types override inferred ones: CSV has the columns of the first
//! file's header, Parquet those of the first file, NDJSON the keys of the sample in the order of their
//! first appearance and then the declared columns that the sample does not have.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Cast;
use kinfold_project::model::StorageOptions;
use kinfold_project::{Source, SourceFormat};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::block::{BLOCK_RECORDS, Splitter};
use super::csv::{CsvFraming, header};
use super::infer::{Guess, Object};
use super::listing::{FileSource, find_local, local_path};
use super::ndjson::{LineFraming, checked};
use super::open::Opener;
use super::{InputError, InputFile, InputFiles, csv, parquet as parquet_files};

/// Records of a sample.
const SAMPLE_RECORDS: usize = 10_000;
/// Bytes of a sample's text, beyond which no further block is read.
const SAMPLE_BYTES: usize = 64 << 20;

/// The columns that a table of the source's files has: stored types, all nullable.
///
/// # Errors
/// [`InputError::UnknownType`], [`InputError::NotInFormat`], [`InputError::NotStorable`],
/// [`InputError::NoColumns`], [`InputError::NoHeader`], [`InputError::MissingColumn`] for a declared
/// column that the first file does not have, and what is wrong with the files that are sampled.
pub async fn columns(
    root: &Path,
    source: &Source,
    files: &InputFiles,
    default_storage: &StorageOptions,
    session: &SessionState,
) -> Result<SchemaRef, InputError> {
    let file_source = FileSource::of(root, source, default_storage)?;
    let declared = Declared::of(source, session)?;
    if let Some(whole) = declared.whole() {
        return storable(&file_source, whole);
    }
    if *file_source.format == SourceFormat::Parquet {
        let first = files
            .files
            .first()
            .ok_or_else(|| no_columns(&file_source))?;
        let found = parquet_files::columns(&file_source, first).await?;
        return storable(&file_source, declared.over_parquet(&first.path, &found)?);
    }
    let sample = Sample {
        opener: Opener::new(&file_source)?,
        format: file_source.format.clone(),
        location: file_source.location.to_owned(),
        files: files.files.clone(),
        declared,
    };
    let fields = tokio::task::spawn_blocking(move || sample.fields()).await??;
    storable(&file_source, fields)
}

/// [`columns`] without opening a socket: `None` for a source on S3 whose columns are not all declared
/// with their types.
///
/// # Errors
/// As [`columns`], and those of [`super::list`] for local files.
pub async fn offline_columns(
    root: &Path,
    source: &Source,
    session: &SessionState,
) -> Result<Option<SchemaRef>, InputError> {
    let no_storage = StorageOptions::default();
    let file_source = FileSource::of(root, source, &no_storage)?;
    let declared = Declared::of(source, session)?;
    if let Some(whole) = declared.whole() {
        return storable(&file_source, whole).map(Some);
    }
    if file_source.is_remote() {
        return Ok(None);
    }
    let found = {
        let (root, location) = (root.to_owned(), file_source.location.to_owned());
        tokio::task::spawn_blocking(move || find_local(&root, &location)).await??
    };
    if *file_source.format == SourceFormat::Parquet {
        let first = found.first().ok_or_else(|| no_columns(&file_source))?;
        let failed = |source| InputError::Parquet {
            path: first.path.clone(),
            source,
        };
        let opened = std::fs::File::open(local_path(root, &first.path)).map_err(|source| {
            InputError::File {
                action: "read",
                path: first.path.clone(),
                source,
            }
        })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(failed)?;
        let fields = declared.over_parquet(&first.path, builder.schema())?;
        return storable(&file_source, fields).map(Some);
    }
    // The start of a file is looked at, which needs no identity.
    let unidentified = |path: String| InputFile {
        path,
        bytes: 0,
        identity: String::new(),
    };
    let sample = Sample {
        opener: Opener::new(&file_source)?,
        format: file_source.format.clone(),
        location: file_source.location.to_owned(),
        files: found
            .into_iter()
            .map(|file| unidentified(file.path))
            .collect(),
        declared,
    };
    let fields = tokio::task::spawn_blocking(move || sample.fields()).await??;
    storable(&file_source, fields).map(Some)
}

fn no_columns(source: &FileSource<'_>) -> InputError {
    InputError::NoColumns {
        location: source.location.to_owned(),
    }
}

fn storable(source: &FileSource<'_>, fields: Vec<Field>) -> Result<SchemaRef, InputError> {
    let stored = stored_columns(source.location, fields)?;
    check_format(source.format, &stored)?;
    Ok(stored)
}

/// The columns as a table stores them.
pub(super) fn stored_columns(location: &str, fields: Vec<Field>) -> Result<SchemaRef, InputError> {
    let location = location.to_owned();
    if fields.is_empty() {
        return Err(InputError::NoColumns { location });
    }
    let stored = kinfold_lake::storable_schema(&Schema::new(fields))
        .map_err(|source| InputError::NotStorable { location, source })?;
    Ok(Arc::new(stored))
}

/// Refuses types that a format cannot hold.
pub(super) fn check_format(format: &SourceFormat, schema: &Schema) -> Result<(), InputError> {
    let refused = |field: &Field, format| InputError::NotInFormat {
        column: field.name().clone(),
        data_type: super::cast::sql_name(field.data_type()),
        format,
    };
    for field in schema.fields() {
        match format {
            SourceFormat::Csv { .. } if field.data_type().is_nested() => {
                return Err(refused(field, "CSV"));
            }
            SourceFormat::Ndjson if has_odd_key(field.data_type()) => {
                return Err(refused(field, "NDJSON"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a type has a map with keys that are not text.
fn has_odd_key(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                let odd = |(at, field): (usize, &Arc<Field>)| {
                    has_odd_key(field.data_type())
                        || at == 0 && *field.data_type() != DataType::Utf8
                };
                pair.iter().enumerate().any(odd)
            }
            _ => true,
        },
        DataType::List(item) => has_odd_key(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_odd_key(field.data_type())),
        _ => false,
    }
}

/// The Arrow type of a type of SQL, by the session's rules.
///
/// # Errors
/// [`InputError::UnknownType`], with the column that the type is declared for.
pub fn sql_type(
    column: &str,
    written: &str,
    session: &SessionState,
) -> Result<DataType, InputError> {
    let unknown = || InputError::UnknownType {
        column: column.to_owned(),
        data_type: written.to_owned(),
    };
    let text = format!("CAST(NULL AS {written})");
    match session.create_logical_expr(&text, &DFSchema::empty()) {
        Ok(Expr::Cast(Cast { expr, field }))
            if matches!(*expr, Expr::Literal(ScalarValue::Null, _)) =>
        {
            Ok(field.data_type().clone())
        }
        _ => Err(unknown()),
    }
}

/// The declared columns of a source.
pub(super) struct Declared {
    columns: Vec<(String, Option<DataType>)>,
}

impl Declared {
    /// Whether the declaration is the whole schema.
    pub fn is_whole_schema(source: &Source) -> bool {
        !source.columns.is_empty()
            && source
                .columns
                .iter()
                .all(|column| column.data_type.is_some())
    }

    fn of(source: &Source, session: &SessionState) -> Result<Self, InputError> {
        let mut columns = Vec::with_capacity(source.columns.len());
        for column in &source.columns {
            let name = column.name.value.clone();
            let data_type = match &column.data_type {
                Some(written) => Some(sql_type(&name, &written.value, session)?),
                None => None,
            };
            columns.push((name, data_type));
        }
        Ok(Self { columns })
    }

    fn whole(&self) -> Option<Vec<Field>> {
        let typed = |(name, data_type): &(String, Option<DataType>)| {
            data_type
                .as_ref()
                .map(|data_type| Field::new(name, data_type.clone(), true))
        };
        let fields: Option<Vec<Field>> = self.columns.iter().map(typed).collect();
        fields.filter(|fields| !fields.is_empty())
    }

    /// Declared types over those of the first Parquet file.
    fn over_parquet(&self, path: &str, found: &Schema) -> Result<Vec<Field>, InputError> {
        let names: Vec<&str> = found
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        if let Some((missing, _)) = self
            .columns
            .iter()
            .find(|(name, _)| !names.contains(&name.as_str()))
        {
            return Err(InputError::MissingColumn {
                path: path.to_owned(),
                column: missing.clone(),
            });
        }
        let field = |field: &Arc<Field>| {
            let declared = self.columns.iter().find(|(name, _)| name == field.name());
            let data_type = declared.and_then(|(_, data_type)| data_type.clone());
            Field::new(
                field.name(),
                data_type.unwrap_or_else(|| field.data_type().clone()),
                true,
            )
        };
        Ok(found.fields().iter().map(field).collect())
    }
}

/// A look at the start of text files.
struct Sample {
    opener: Opener,
    format: SourceFormat,
    location: String,
    files: Vec<InputFile>,
    declared: Declared,
}

impl Sample {
    fn fields(self) -> Result<Vec<Field>, InputError> {
        match self.format {
            SourceFormat::Csv { delimiter, header } => self.csv(delimiter, header),
            _ => self.ndjson(),
        }
    }

    /// Names as in the header or, for the same name in another case, as declared.
    fn csv(&self, delimiter: u8, has_header: bool) -> Result<Vec<Field>, InputError> {
        if !has_header && self.declared.columns.is_empty() {
            return Err(InputError::NoHeader {
                location: self.location.clone(),
            });
        }
        let framing = CsvFraming { delimiter };
        let declared_names = || {
            self.declared
                .columns
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        let mut names: Option<Vec<String>> = (!has_header).then(declared_names);
        let mut guesses: Vec<Guess> = Vec::new();
        let mut room = Room::default();
        for file in &self.files {
            if room.is_full() {
                break;
            }
            let mut splitter = Splitter::new(self.opener.open(file, false)?, framing);
            let mut columns: Vec<usize> = (0..names.as_ref().map_or(0, Vec::len)).collect();
            if has_header {
                let Some(found) = header(&mut splitter, delimiter)? else {
                    continue;
                };
                match &names {
                    None => {
                        self.check_declared(&file.path, &found)?;
                        columns = (0..found.len()).collect();
                        names = Some(found);
                    }
                    Some(names) => columns = csv::positions(&file.path, &found, names)?,
                }
            }
            guesses.resize(names.as_ref().map_or(0, Vec::len), Guess::default());
            sample_csv(&mut splitter, framing, &columns, &mut guesses, &mut room)?;
        }
        let names = names.ok_or_else(|| InputError::NoColumns {
            location: self.location.clone(),
        })?;
        guesses.resize(names.len(), Guess::default());
        let by_name: HashMap<String, &(String, Option<DataType>)> = self
            .declared
            .columns
            .iter()
            .map(|column| (column.0.to_lowercase(), column))
            .collect();
        let field = |(name, guess): (String, Guess)| match by_name.get(&name.to_lowercase()) {
            Some((declared, data_type)) => Field::new(
                declared,
                data_type.clone().unwrap_or_else(|| guess.data_type()),
                true,
            ),
            None => Field::new(name, guess.data_type(), true),
        };
        Ok(names.into_iter().zip(guesses).map(field).collect())
    }

    fn check_declared(&self, path: &str, found: &[String]) -> Result<(), InputError> {
        let found: Vec<String> = found.iter().map(|name| name.to_lowercase()).collect();
        match self
            .declared
            .columns
            .iter()
            .find(|(name, _)| !found.contains(&name.to_lowercase()))
        {
            None => Ok(()),
            Some((name, _)) => Err(InputError::MissingColumn {
                path: path.to_owned(),
                column: name.clone(),
            }),
        }
    }

    fn ndjson(&self) -> Result<Vec<Field>, InputError> {
        let mut records = Object::default();
        let mut room = Room::default();
        for file in &self.files {
            let mut splitter = Splitter::new(self.opener.open(file, false)?, LineFraming);
            while !room.is_full()
                && let Some(block) = splitter.block(room.records())?
            {
                room.take(block.count(), block.text.len());
                for record in &block.records {
                    let json = checked(block.record(*record)).ok();
                    let value = json.and_then(|json| serde_json::from_str(json).ok());
                    if let Some(Value::Object(members)) = value {
                        records.see(members);
                    }
                }
            }
        }
        let mut fields = Vec::new();
        for (name, inferred) in records.columns() {
            let declared = self
                .declared
                .columns
                .iter()
                .find(|(declared, _)| *declared == name);
            let data_type = declared.and_then(|(_, data_type)| data_type.clone());
            fields.push(Field::new(name, data_type.unwrap_or(inferred), true));
        }
        for (name, data_type) in &self.declared.columns {
            if !fields.iter().any(|field| field.name() == name) {
                fields.push(Field::new(
                    name,
                    data_type.clone().unwrap_or(DataType::Utf8),
                    true,
                ));
            }
        }
        Ok(fields)
    }
}

/// What a sample may still take.
struct Room {
    records: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            records: SAMPLE_RECORDS,
            bytes: SAMPLE_BYTES,
        }
    }
}

impl Room {
    fn is_full(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    fn records(&self) -> usize {
        self.records.min(BLOCK_RECORDS)
    }

    fn take(&mut self, records: usize, bytes: usize) {
        self.records = self.records.saturating_sub(records);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

fn sample_csv(
    splitter: &mut Splitter<CsvFraming>,
    framing: CsvFraming,
    columns: &[usize],
    guesses: &mut [Guess],
    room: &mut Room,
) -> Result<(), InputError> {
    let mut fields = Vec::new();
    let mut value = Vec::new();
    while !room.is_full()
        && let Some(block) = splitter.block(room.records())?
    {
        room.take(block.count(), block.text.len());
        for record in &block.records {
            let text = block.record(*record);
            fields.clear();
            framing.fields(text, true, |field| fields.push(field));
            if fields.len() != columns.len() {
                continue;
            }
            for (field, column) in fields.iter().zip(columns) {
                value.clear();
                field.value(text, &mut value);
                // A record that is not UTF-8 will be quarantined; it says nothing about types.
                if let (Some(guess), Ok(value)) =
                    (guesses.get_mut(*column), std::str::from_utf8(&value))
                {
                    guess.see(value);
                }
            }
        }
    }
    Ok(())
}
