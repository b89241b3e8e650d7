//! How the columns of a data file are encoded.
//!
//! The writer begins every column with a dictionary and gives up once that is full, in each row
//! group anew. For a column of ids, hashes or times that is work for nothing, and a quarter of the values
//! lie in a dictionary that nobody uses twice. So a look at the first rows of a file decides which columns
//! are not worth a dictionary. Those of ids are not worth the effort of compressing them harder, either.

use std::collections::HashSet;
use std::hash::Hash;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::data_file::{ROW_GROUP_BYTES, ROW_GROUP_ROWS};

/// Rows that are looked at.
const LOOKED_AT: usize = 4096;
/// With fewer rows nothing is known of the others.
const ENOUGH: usize = 1024;
/// Bytes of distinct values above which a dictionary does not pay; the writer gives up at 1 MiB.
const DICTIONARY_BYTES: usize = 4 << 20;

/// Rows of a page where single rows are read by their places.
const INDEXED_PAGE_ROWS: usize = 512;

/// Properties of a file of the table that begins with these rows, and has a row index or not.
pub(crate) fn properties(
    table: &str,
    schema: &SchemaRef,
    first: &RecordBatch,
    indexed: bool,
) -> Result<WriterProperties, ParquetError> {
    // Tables of kinfold's own are mostly hashes, which no effort makes smaller.
    let own = table.starts_with("_kinfold/");
    // Of small pages of few distinct values there is little to compress, and to make ready for it costs
    // more than to do it.
    let light = own || indexed;
    let mut builder = WriterProperties::builder()
        .set_compression(if light { Compression::SNAPPY } else { zstd(3) })
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_created_by(format!("kinfold {}", env!("CARGO_PKG_VERSION")));
    if indexed {
        builder = builder
            .set_data_page_row_count_limit(INDEXED_PAGE_ROWS)
            .set_write_batch_size(INDEXED_PAGE_ROWS);
    }
    let leaves = ArrowSchemaConverter::new().convert(schema)?;
    for leaf in leaves.columns() {
        // See the module `stats`: bounds of floating-point columns hide `NaN`.
        if matches!(leaf.physical_type(), Type::FLOAT | Type::DOUBLE) {
            builder =
                builder.set_column_statistics_enabled(leaf.path().clone(), EnabledStatistics::None);
        }
    }
    for (field, column) in schema.fields().iter().zip(first.columns()) {
        if is_mostly_distinct(column.as_ref()) {
            let path = ColumnPath::from(field.name().as_str());
            builder = builder.set_column_dictionary_enabled(path.clone(), false);
            let compression = match column.data_type() {
                kind if kind.is_primitive() => continue,
                // Hashes.
                DataType::Binary if own => Compression::UNCOMPRESSED,
                _ if own => Compression::SNAPPY,
                _ => zstd(1),
            };
            builder = builder.set_column_compression(path, compression);
        }
    }
    Ok(builder.build())
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default())
}

/// Whether a column has so many distinct values that a dictionary of them does not pay.
///
/// Of `n` values drawn from `d`, about `n²/2d` meet one that was drawn before. Rows that lie together
/// are more alike than rows at random, so `d` comes out too small rather than too large.
fn is_mostly_distinct(column: &dyn Array) -> bool {
    match column.data_type() {
        DataType::Utf8 => {
            let values = column.as_string::<i32>().iter().flatten();
            distinct_bytes(values.map(str::as_bytes)).is_some_and(|bytes| bytes > DICTIONARY_BYTES)
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>().iter().flatten();
            distinct_bytes(values).is_some_and(|bytes| bytes > DICTIONARY_BYTES)
        }
        DataType::Int64 | DataType::Timestamp(..) => {
            let data = column.to_data();
            let values = data.buffer::<i64>(0);
            let values = values.iter().take(column.len()).enumerate();
            let values = values.filter(|(row, _)| column.is_valid(*row));
            let bytes = distinct_bytes(values.map(|(_, value)| value.to_le_bytes()));
            // A row group's dictionary of numbers never fills up, so it has to be of use by itself.
            bytes.is_some_and(|bytes| bytes > ROW_GROUP_ROWS * size_of::<i64>())
        }
        _ => false,
    }
}

/// About how many bytes the distinct values of a column have; none if there are too few to tell.
fn distinct_bytes<T: AsRef<[u8]> + Eq + Hash>(values: impl Iterator<Item = T>) -> Option<usize> {
    let mut seen = HashSet::new();
    let (mut rows, mut bytes) = (0_usize, 0_usize);
    for value in values.take(LOOKED_AT) {
        rows += 1;
        bytes += value.as_ref().len();
        seen.insert(value);
    }
    if rows < ENOUGH {
        return None;
    }
    let met_again = rows - seen.len();
    // rows² / (2 · met_again) values of bytes / rows each.
    let distinct = rows.saturating_mul(bytes).checked_div(2 * met_again);
    Some(distinct.unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, BinaryArray, StringArray, TimestampMicrosecondArray};

    use super::is_mostly_distinct;

    fn spread(n: i64) -> [u8; 16] {
        let mixed = i128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_9E37);
        mixed.to_le_bytes()
    }

    fn column(values: impl Iterator<Item = String>) -> ArrayRef {
        Arc::new(values.map(Some).collect::<StringArray>())
    }

    #[test]
    fn ids_are_distinct_and_words_are_not() {
        let id = |n: u32| format!("{:032x}", u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        assert!(is_mostly_distinct(&column((0..8192).map(id))));
        // Rows of each id far from each other.
        assert!(is_mostly_distinct(&column((0..8192).map(|n| id(n % 5000)))));
        assert!(!is_mostly_distinct(&column((0..8192).map(|n| id(n % 300)))));
        assert!(!is_mostly_distinct(&column(
            (0..8192).map(|n| format!("city {}", n * 7919 % 2500))
        )));
        assert!(!is_mostly_distinct(&column(
            (0..8192).map(|_| "web".to_owned())
        )));
        let time = |n: i64| Some(1_700_000_000_000_000 + n * 7_919_000_001 % 31_536_000_000_000);
        let times = |rows: &dyn Fn(i64) -> Option<i64>| -> ArrayRef {
            let values = (0..8192).map(rows).collect::<TimestampMicrosecondArray>();
            Arc::new(values.with_timezone("UTC"))
        };
        assert!(is_mostly_distinct(&times(&time)));
        assert!(is_mostly_distinct(&times(&|n| {
            (n % 3 > 0).then(|| time(n)).flatten()
        })));
        assert!(is_mostly_distinct(times(&time).slice(100, 5000).as_ref()));
        assert!(!is_mostly_distinct(&times(&|_| time(1))));
        assert!(!is_mostly_distinct(&times(&|n| time(n % 2000))));
        assert!(!is_mostly_distinct(&times(&|_| None)));
        let hash = |n: i64| Some(spread(n));
        let hashes: BinaryArray = (0..8192).map(hash).collect();
        assert!(is_mostly_distinct(&hashes));
        // Too few to tell.
        assert!(!is_mostly_distinct(&column((0..500).map(id))));
    }
}
