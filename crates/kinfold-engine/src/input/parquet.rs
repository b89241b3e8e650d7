//! Parquet files: whole, of the source's schema, or refused.
//!
//! A file must have every column of the source, in any order. A column may be narrower than the
//! source's where nothing is lost: a smaller integer, `REAL` for `DOUBLE`, a decimal with fewer
//! digits, a date for a timestamp, a timestamp with a zone for one without (it becomes UTC) and the
//! other way (it is taken as UTC). Where every declared column has a type, the declaration is the
//! whole schema and other columns of the file are not read; elsewhere a column that the source does
//! not have makes the file one of another schema.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    GetOptions, GetRange, OBJECT_STORE_COALESCE_DEFAULT, ObjectStore, coalesce_ranges,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::block::BLOCK_RECORDS;
use super::cast::sql_name;
use super::landing::{Decoded, LandingCounts};
use super::listing::{FileSource, bucket_and_key, hash, local_path, object, store_of};
use super::open::{object_error, pinned};
use super::{InputError, InputFile};

/// Bytes at the end of a file that are read first: the footer of most files.
const FOOTER_BYTES: usize = 64 << 10;

/// Gives the rows of Parquet files.
pub(super) fn read(
    source: &FileSource<'_>,
    files: Vec<InputFile>,
    schema: SchemaRef,
    declared_whole: bool,
    counts: Arc<LandingCounts>,
) -> Result<BoxStream<'static, Result<Decoded, InputError>>, InputError> {
    let place = Place::of(source)?;
    let batches = futures::stream::iter(files).then(move |file| {
        let (place, schema, counts) = (place.clone(), schema.clone(), counts.clone());
        async move { place.rows(file, schema, declared_whole, counts).await }
    });
    Ok(batches.try_flatten().boxed())
}

/// The columns that a Parquet file has.
pub(super) async fn columns(
    source: &FileSource<'_>,
    file: &InputFile,
) -> Result<SchemaRef, InputError> {
    let builder = Place::of(source)?.open(file).await?;
    Ok(builder.schema().clone())
}

#[derive(Clone)]
struct Place {
    store: Arc<dyn ObjectStore>,
    /// The project's root, if the files are local.
    local: Option<Arc<std::path::Path>>,
}

type Opened = ParquetRecordBatchStreamBuilder<FileReader>;

impl Place {
    fn of(source: &FileSource<'_>) -> Result<Self, InputError> {
        Ok(match bucket_and_key(source.location) {
            Some((bucket, _)) => Self {
                store: store_of(bucket, source.storage)?,
                local: None,
            },
            None => Self {
                store: Arc::new(LocalFileSystem::new()),
                local: Some(source.root.into()),
            },
        })
    }

    async fn open(&self, file: &InputFile) -> Result<Opened, InputError> {
        let (path, options) = match &self.local {
            Some(root) => {
                let absolute = local_path(root, &file.path);
                let path = StorePath::from_absolute_path(&absolute);
                (
                    path.map_err(|_| InputError::Location {
                        location: file.path.clone(),
                    })?,
                    GetOptions::default(),
                )
            }
            None => {
                let key = bucket_and_key(&file.path).map_or("", |(_, key)| key);
                (object(&file.path, key)?, pinned(file))
            }
        };
        let reader = FileReader {
            store: self.store.clone(),
            path,
            options,
            bytes: file.bytes,
        };
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await;
        builder.map_err(|e| failure(&file.path, e))
    }

    async fn rows(
        self,
        file: InputFile,
        schema: SchemaRef,
        declared_whole: bool,
        counts: Arc<LandingCounts>,
    ) -> Result<BoxStream<'static, Result<Decoded, InputError>>, InputError> {
        let builder = self.open(&file).await?;
        let path: Arc<str> = file.path.as_str().into();
        let columns = matched(&path, builder.schema(), &schema, declared_whole)?;
        let found = builder.metadata().file_metadata().num_rows();
        counts.found(usize::try_from(found).unwrap_or_default());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let stream = builder
            .with_projection(mask)
            .with_batch_size(BLOCK_RECORDS)
            .build();
        let stream = stream.map_err(|e| failure(&path, e))?;
        let name = path.clone();
        let rows = stream.map(move |batch| {
            let rows = fitted(&name, &batch.map_err(|e| failure(&name, e))?, &schema)?;
            Ok(Decoded {
                path: name.clone(),
                rows,
                bad: Vec::new(),
            })
        });
        let end = async move {
            self.verify(&file).await?;
            counts.end_file();
            Ok(None)
        };
        // Nothing of a file that changed is published, because the error ends the landing.
        let end = futures::stream::once(end)
            .try_filter_map(|nothing: Option<Decoded>| async move { Ok(nothing) });
        Ok(rows.chain(end).boxed())
    }

    /// Compares a local file, after it was read in parts, with what was listed. Objects are compared
    /// by the store at every request.
    async fn verify(&self, file: &InputFile) -> Result<(), InputError> {
        let Some(root) = &self.local else {
            return Ok(());
        };
        let absolute = local_path(root, &file.path);
        let (identity, _) = tokio::task::spawn_blocking(move || hash(&absolute))
            .await?
            .map_err(|source| InputError::File {
                action: "read",
                path: file.path.clone(),
                source,
            })?;
        if identity == file.identity {
            Ok(())
        } else {
            Err(InputError::Changed {
                path: file.path.clone(),
            })
        }
    }
}

fn failure(path: &str, error: ParquetError) -> InputError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<object_store::Error>() {
            Ok(source) => object_error(path.to_owned(), *source),
            Err(inner) => InputError::Parquet {
                path: path.to_owned(),
                source: ParquetError::External(inner),
            },
        },
        source => InputError::Parquet {
            path: path.to_owned(),
            source,
        },
    }
}

/// Positions of the source's columns in the file.
fn matched(
    path: &str,
    found: &Schema,
    schema: &Schema,
    declared_whole: bool,
) -> Result<Vec<usize>, InputError> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let missing = || InputError::MissingColumn {
            path: path.to_owned(),
            column: field.name().clone(),
        };
        let (at, there) = found.fields().find(field.name()).ok_or_else(missing)?;
        let stored = stored(there.data_type());
        if !fits(
            stored.as_ref().unwrap_or(there.data_type()),
            field.data_type(),
        ) {
            return Err(InputError::ColumnType {
                path: path.to_owned(),
                column: field.name().clone(),
                found: sql_name(stored.as_ref().unwrap_or(there.data_type())),
                expected: sql_name(field.data_type()),
            });
        }
        columns.push(at);
    }
    if !declared_whole
        && let Some(extra) = found
            .fields()
            .iter()
            .find(|field| schema.field_with_name(field.name()).is_err())
    {
        return Err(InputError::UnknownColumn {
            path: path.to_owned(),
            column: extra.name().clone(),
        });
    }
    Ok(columns)
}

/// The type that a table has for a column of the file.
fn stored(found: &DataType) -> Option<DataType> {
    let one = Schema::new(vec![arrow::datatypes::Field::new(
        "column",
        found.clone(),
        true,
    )]);
    let stored = kinfold_lake::storable_schema(&one).ok()?;
    stored
        .fields()
        .first()
        .map(|field| field.data_type().clone())
}

/// Whether every value of `found` is one of `target`.
fn fits(found: &DataType, target: &DataType) -> bool {
    use DataType::{
        Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, List, Map, Struct,
        Timestamp,
    };
    match (found, target) {
        (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
        | (Int16, Int32 | Int64 | Float32 | Float64)
        | (Int32, Int64 | Float64)
        | (Float32, Float64)
        | (Date32, Timestamp(TimeUnit::Microsecond, None))
        | (Timestamp(..), Timestamp(..)) => true,
        (Int8, Decimal128(precision, scale)) => digits(*precision, *scale) >= 3,
        (Int16, Decimal128(precision, scale)) => digits(*precision, *scale) >= 5,
        (Int32, Decimal128(precision, scale)) => digits(*precision, *scale) >= 10,
        (Int64, Decimal128(precision, scale)) => digits(*precision, *scale) >= 19,
        (Decimal128(precision, scale), Decimal128(to_precision, to_scale)) => {
            to_scale >= scale && digits(*to_precision, *to_scale) >= digits(*precision, *scale)
        }
        (List(found), List(target)) => fits(found.data_type(), target.data_type()),
        (Struct(found), Struct(target)) => {
            found.len() == target.len()
                && found.iter().zip(target).all(|(found, target)| {
                    found.name() == target.name() && fits(found.data_type(), target.data_type())
                })
        }
        (Map(found, _), Map(target, _)) => fits(found.data_type(), target.data_type()),
        (found, target) => found == target,
    }
}

fn digits(precision: u8, scale: i8) -> i16 {
    i16::from(precision) - i16::from(scale)
}

/// A batch of the file with the source's columns.
fn fitted(path: &str, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, InputError> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let failed = |source| InputError::Batch {
        path: path.to_owned(),
        source,
    };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column =
            batch
                .column_by_name(field.name())
                .ok_or_else(|| InputError::MissingColumn {
                    path: path.to_owned(),
                    column: field.name().clone(),
                })?;
        // The text of a failed cast has the value in it.
        let cast = cast_with_options(column, field.data_type(), &strict);
        columns.push(cast.map_err(|_| InputError::ColumnType {
            path: path.to_owned(),
            column: field.name().clone(),
            found: sql_name(column.data_type()),
            expected: sql_name(field.data_type()),
        })?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(failed)
}

/// A file that is read in parts, each with the condition that it is the listed one.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: StorePath,
    options: GetOptions,
    bytes: u64,
}

impl FileReader {
    async fn part(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        let mut options = self.options.clone();
        options.range = Some(GetRange::Bounded(range));
        self.store
            .get_opts(&self.path, options)
            .await?
            .bytes()
            .await
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move { self.part(range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            coalesce_ranges(
                &ranges,
                |range| self.part(range),
                OBJECT_STORE_COALESCE_DEFAULT,
            )
            .await
            .map_err(external)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let mut reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_BYTES));
            if let Some(options) = options {
                reader = reader.with_metadata_options(Some(options.metadata_options().clone()));
            }
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}
