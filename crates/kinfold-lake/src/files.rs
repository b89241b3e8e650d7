//! The live files of a table at one version, with what the log knows about their content.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StructArray, UInt64Array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{
    DataType, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, ScalarValue, Statistics};
use deltalake_core::table::state::DeltaTableState;
use object_store::path::Path;
use percent_encoding::percent_decode_str;

use crate::LakeError;
use crate::deletion_vector::DeletedRows;
use crate::location::join;

/// One live file.
#[derive(Debug, Clone)]
pub(crate) struct LiveFile {
    /// Path in the object store.
    pub(crate) path: Path,
    /// Decoded path as in the log, relative to the table.
    pub(crate) relative: String,
    pub(crate) bytes: u64,
    pub(crate) modified_ms: i64,
    /// Values of the partition columns, in their order in the table's metadata.
    pub(crate) partition: Vec<ScalarValue>,
    /// Rows of it that are not of the table.
    pub(crate) deleted: Option<DeletedRows>,
}

impl LiveFile {
    /// As [`crate::snapshot::live_key`].
    pub(crate) fn key(&self) -> String {
        match &self.deleted {
            Some(deleted) => format!("{} {}", self.relative, deleted.id),
            None => self.relative.clone(),
        }
    }
}

/// All live files, and column by column what the log says of each.
#[derive(Debug)]
pub(crate) struct LiveFiles {
    pub(crate) files: Vec<LiveFile>,
    /// Columns of the data files, then partition columns: the order of a scan's own schema.
    schema: SchemaRef,
    rows: Option<ArrayRef>,
    columns: Vec<FileColumn>,
    /// Whether some file has a deletion vector of a kind that kinfold does not make.
    pub(crate) unknown_vectors: bool,
}

/// Bounds and null counts of a column, one entry a file.
#[derive(Debug, Clone, Default)]
struct FileColumn {
    least: Option<ArrayRef>,
    most: Option<ArrayRef>,
    nulls: Option<ArrayRef>,
}

impl LiveFiles {
    /// `scan_schema` is the table's schema with the partition columns moved to the end.
    pub(crate) fn new(
        table: &str,
        root: &Path,
        state: &DeltaTableState,
        scan_schema: SchemaRef,
        partition_columns: &[String],
    ) -> Result<Self, LakeError> {
        let corrupt = |reason| LakeError::Corrupt {
            path: format!("{table}/_delta_log"),
            reason,
        };
        let batches = state
            .add_actions_batches(false)
            .map_err(|error| LakeError::delta(table, &error))?;
        let Some(first) = batches.first() else {
            return Ok(Self {
                files: Vec::new(),
                columns: vec![FileColumn::default(); scan_schema.fields().len()],
                schema: scan_schema,
                rows: None,
                unknown_vectors: false,
            });
        };
        let all = concat_batches(&first.schema(), &batches)
            .map_err(|_| corrupt("its file entries have different columns"))?;
        let text = |name: &str| {
            let column = all.column_by_name(name)?;
            cast(column, &DataType::Utf8).ok()
        };
        let paths = text("path").ok_or_else(|| corrupt("file entries have no path"))?;
        let paths = paths.as_string::<i32>();
        let sizes = whole(all.column_by_name("size_bytes"));
        let sizes = sizes.ok_or_else(|| corrupt("file entries have no size"))?;
        let times = whole(all.column_by_name("modification_time"));
        let partitions = all.column_by_name("partition");
        let partitions = partitions.and_then(|p| p.as_struct_opt());
        let mut partition_values: Vec<ArrayRef> = Vec::new();
        for column in partition_columns {
            let values = partitions.and_then(|p| p.column_by_name(column));
            let wanted = scan_schema.field_with_name(column);
            let values = match (values, wanted) {
                (Some(values), Ok(field)) => cast(values, field.data_type()).ok(),
                _ => None,
            };
            partition_values.push(values.ok_or_else(|| corrupt("partition values are missing"))?);
        }
        let mut unknown_vectors = false;
        let mut vectors: HashMap<String, DeletedRows> = HashMap::new();
        for file in state.log_data() {
            if let Some(vector) = file.deletion_vector_descriptor() {
                match DeletedRows::of(root, &vector) {
                    Some(deleted) => {
                        vectors.insert(file.path().into_owned(), deleted);
                    }
                    None => unknown_vectors = true,
                }
            }
        }
        let mut files = Vec::with_capacity(all.num_rows());
        for row in 0..all.num_rows() {
            let raw = paths.value(row);
            let relative = percent_decode_str(raw)
                .decode_utf8()
                .map_err(|_| corrupt("a path is not UTF-8"))?;
            let mut partition = Vec::with_capacity(partition_values.len());
            for values in &partition_values {
                let value = ScalarValue::try_from_array(values, row);
                partition.push(value.map_err(|_| corrupt("a partition value is not readable"))?);
            }
            files.push(LiveFile {
                path: file_path(root, &relative)
                    .ok_or_else(|| corrupt("a file is outside the table's folder"))?,
                deleted: vectors.remove(relative.as_ref()),
                relative: relative.into_owned(),
                bytes: u64::try_from(sizes.value(row)).unwrap_or_default(),
                modified_ms: times.as_ref().map_or(0, |times| times.value(row)),
                partition,
            });
        }
        let stats = |name: &str| all.column_by_name(name).and_then(|c| c.as_struct_opt());
        let rows = all
            .column_by_name("num_records")
            .and_then(|rows| cast(rows, &DataType::UInt64).ok());
        let (least, most, nulls) = (stats("min"), stats("max"), stats("null_count"));
        let columns = scan_schema
            .fields()
            .iter()
            .map(|field| {
                let position = partition_columns.iter().position(|p| p == field.name());
                if let Some(values) = position.and_then(|at| partition_values.get(at)) {
                    return FileColumn {
                        least: Some(values.clone()),
                        most: Some(values.clone()),
                        nulls: partition_nulls(values, rows.as_ref()),
                    };
                }
                let (least, most) = bounds(field.data_type(), field.name(), least, most);
                FileColumn {
                    least,
                    most,
                    nulls: nulls
                        .and_then(|nulls| nulls.column_by_name(field.name()))
                        .and_then(|nulls| cast(nulls, &DataType::UInt64).ok())
                        .filter(|nulls| matches!(nulls.data_type(), DataType::UInt64)),
                }
            })
            .collect();
        // A vector without its file would bring rows back.
        unknown_vectors |= !vectors.is_empty();
        Ok(Self {
            files,
            schema: scan_schema,
            rows,
            columns,
            unknown_vectors,
        })
    }

    /// Files that no version names: name, path in the object store, size in bytes and rows of each. Nothing else is
    /// known of their content.
    pub(crate) fn uncommitted(
        schema: SchemaRef,
        entries: impl Iterator<Item = (String, Path, u64, u64)>,
    ) -> Self {
        let (files, rows): (Vec<LiveFile>, Vec<u64>) = entries
            .map(|(relative, path, bytes, rows)| {
                let file = LiveFile {
                    path,
                    relative,
                    bytes,
                    modified_ms: 0,
                    partition: Vec::new(),
                    deleted: None,
                };
                (file, rows)
            })
            .unzip();
        Self {
            files,
            columns: vec![FileColumn::default(); schema.fields().len()],
            schema,
            rows: Some(Arc::new(UInt64Array::from(rows))),
            unknown_vectors: false,
        }
    }

    /// Rows of all files, if the log knows them.
    pub(crate) fn num_rows(&self) -> Option<u64> {
        if self.unknown_vectors {
            return None;
        }
        (0..self.files.len()).map(|file| self.rows_of(file)).sum()
    }

    /// Rows of a file that are rows of the table.
    pub(crate) fn rows_of(&self, file: usize) -> Option<u64> {
        self.physical_rows_of(file)?
            .checked_sub(self.deleted_of(file))
    }

    /// Rows of a file, deleted ones too.
    pub(crate) fn physical_rows_of(&self, file: usize) -> Option<u64> {
        count(self.rows.as_ref(), file)
    }

    fn deleted_of(&self, file: usize) -> u64 {
        let deleted = self.files.get(file).and_then(|file| file.deleted.as_ref());
        deleted.map_or(0, |deleted| deleted.count)
    }

    /// Whether rows of some file are deleted.
    pub(crate) fn deletion_vectors(&self) -> bool {
        self.unknown_vectors || self.files.iter().any(|file| file.deleted.is_some())
    }

    /// Statistics of one file for DataFusion. Counts are exact, bounds are not: they may be wider
    /// than the values.
    pub(crate) fn statistics_of(&self, file: usize) -> Statistics {
        Statistics {
            num_rows: exact(self.rows_of(file)),
            total_byte_size: Precision::Absent,
            column_statistics: self
                .columns
                .iter()
                .map(|column| ColumnStatistics {
                    // How many of the nulls are deleted is not known.
                    null_count: match self.deleted_of(file) {
                        0 => exact(count(column.nulls.as_ref(), file)),
                        _ => Precision::Absent,
                    },
                    min_value: bound(column.least.as_ref(), file),
                    max_value: bound(column.most.as_ref(), file),
                    ..ColumnStatistics::new_unknown()
                })
                .collect(),
        }
    }

    /// Statistics of some files together.
    pub(crate) fn statistics(&self, files: &[usize]) -> Statistics {
        let mut parts = files.iter().map(|file| self.statistics_of(*file));
        let mut total = match parts.next() {
            Some(first) => first,
            None => return self.nothing(),
        };
        for part in parts {
            total.num_rows = total.num_rows.add(&part.num_rows);
            for (sum, column) in total
                .column_statistics
                .iter_mut()
                .zip(part.column_statistics)
            {
                sum.null_count = sum.null_count.add(&column.null_count);
                sum.min_value = sum.min_value.min(&column.min_value);
                sum.max_value = sum.max_value.max(&column.max_value);
            }
        }
        let bytes: u64 = files
            .iter()
            .filter_map(|file| self.files.get(*file))
            .map(|file| file.bytes)
            .sum();
        // Compressed: a lower bound of what a scan produces.
        total.total_byte_size = Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX));
        total
    }

    fn nothing(&self) -> Statistics {
        Statistics {
            num_rows: Precision::Exact(0),
            total_byte_size: Precision::Exact(0),
            column_statistics: vec![ColumnStatistics::new_unknown(); self.columns.len()],
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn column(&self, column: &Column) -> Option<&FileColumn> {
        let index = self.schema.index_of(&column.name).ok()?;
        self.columns.get(index)
    }
}

impl PruningStatistics for LiveFiles {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column)?.least.clone()
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column)?.most.clone()
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column)?.nulls.clone()
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        self.rows.clone()
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// The table's schema as a scan sees it: partition columns last.
pub(crate) fn scan_schema(schema: &Schema, partition_columns: &[String]) -> SchemaRef {
    let is_partition = |name: &String| partition_columns.contains(name);
    let data = schema.fields().iter().filter(|f| !is_partition(f.name()));
    let partition = partition_columns
        .iter()
        .filter_map(|name| schema.fields().iter().find(|f| f.name() == name));
    Arc::new(Schema::new(
        data.chain(partition).cloned().collect::<Vec<_>>(),
    ))
}

fn file_path(root: &Path, relative: &str) -> Option<Path> {
    // An address of its own: a shallow clone, which this crate neither makes nor reads.
    if relative.contains("://") || relative.starts_with('/') {
        return None;
    }
    let below = Path::parse(relative).unwrap_or_else(|_| Path::from(relative));
    Some(join(root, &below))
}

fn whole(column: Option<&ArrayRef>) -> Option<Int64Array> {
    let column = cast(column?, &DataType::Int64).ok()?;
    Some(column.as_primitive::<Int64Type>().clone())
}

fn partition_nulls(values: &ArrayRef, rows: Option<&ArrayRef>) -> Option<ArrayRef> {
    let rows = rows?.as_primitive_opt::<arrow::datatypes::UInt64Type>()?;
    let nulls: UInt64Array = (0..values.len())
        .map(|file| {
            if values.is_null(file) {
                rows.is_valid(file).then(|| rows.value(file))
            } else {
                Some(0)
            }
        })
        .collect();
    Some(Arc::new(nulls))
}

/// Bounds that may be compared with values of the column.
fn bounds(
    data_type: &DataType,
    name: &str,
    least: Option<&StructArray>,
    most: Option<&StructArray>,
) -> (Option<ArrayRef>, Option<ArrayRef>) {
    // Writers leave `NaN` out of the bounds of floating-point columns; bytes have no agreed order.
    let ordered = match data_type {
        DataType::Float32 | DataType::Float64 | DataType::Binary => false,
        nested => !nested.is_nested(),
    };
    if !ordered {
        return (None, None);
    }
    let typed = |values: Option<&StructArray>| {
        let values = values?.column_by_name(name)?;
        cast(values, data_type).ok()
    };
    let most = typed(most).map(|most| match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, _) => end_of_millisecond(&most),
        _ => most,
    });
    (typed(least), most)
}

/// Delta allows to cut bounds to milliseconds, which moves an upper bound inward.
fn end_of_millisecond(most: &ArrayRef) -> ArrayRef {
    match most.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) => Arc::new(
            times
                .unary::<_, TimestampMicrosecondType>(|time| time.saturating_add(999))
                .with_data_type(most.data_type().clone()),
        ),
        None => most.clone(),
    }
}

fn count(counts: Option<&ArrayRef>, file: usize) -> Option<u64> {
    let counts = counts?.as_primitive_opt::<arrow::datatypes::UInt64Type>()?;
    (file < counts.len() && counts.is_valid(file)).then(|| counts.value(file))
}

fn exact(count: Option<u64>) -> Precision<usize> {
    count
        .and_then(|count| usize::try_from(count).ok())
        .map_or(Precision::Absent, Precision::Exact)
}

fn bound(values: Option<&ArrayRef>, file: usize) -> Precision<ScalarValue> {
    values
        .and_then(|values| ScalarValue::try_from_array(values, file).ok())
        .filter(|value| !value.is_null())
        .map_or(Precision::Absent, Precision::Inexact)
}
