//! The first run against a destination that has rows already: those that are equal there are not sent.

use datafusion::arrow::array::BooleanArray;
use kinfold_lake::Lake;
use kinfold_sync::{Destination, DestinationError, ObjectText};

use super::chunk::{Chunk, ChunkRows};
use crate::EngineError;

use super::ActivateError;

/// Keys that are asked for at once.
const PAGE: usize = 500;

/// Chunks of rows to send, and of rows that the destination has already.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) sending: Vec<Chunk>,
    pub(super) adopted: Vec<Chunk>,
}

/// Asks the destination for the rows that shall be sent, and sets those aside that are equal there.
pub(super) async fn adopt_equal(
    lake: &Lake,
    sync: &str,
    destination: &dyn Destination,
    chunks: Vec<Chunk>,
) -> Result<Matched, EngineError> {
    let mut matched = Matched::default();
    for chunk in chunks {
        let rows = chunk.read(lake).await?;
        let equal = equal_rows(destination, &rows).await;
        let equal = equal.map_err(|source| ActivateError::Destination {
            sync: sync.to_owned(),
            source,
        })?;
        if equal.true_count() == 0 {
            matched.sending.push(chunk);
            continue;
        }
        let (others, equal) = chunk.split_adopted(lake, &rows, &equal).await?;
        matched.sending.extend(others);
        matched.adopted.push(equal);
    }
    Ok(matched)
}

/// Which rows the destination has with the same values in every mapped field.
async fn equal_rows(
    destination: &dyn Destination,
    rows: &ChunkRows,
) -> Result<BooleanArray, DestinationError> {
    let mut equal = vec![];
    for first in (0..rows.len()).step_by(PAGE) {
        let page = first..rows.len().min(first + PAGE);
        let keys: Vec<ObjectText> = page
            .clone()
            .map(|row| ObjectText::new(rows.key.value(row)).unwrap_or_else(ObjectText::empty))
            .collect();
        let found = destination.read(&keys).await?;
        for (at, row) in page.enumerate() {
            let wanted = ObjectText::new(rows.payload.value(row)).and_then(|text| text.parse());
            let there = found.get(at).and_then(Option::as_ref);
            let same = wanted.zip(there).is_some_and(|(wanted, there)| {
                wanted
                    .iter()
                    .all(|(field, value)| there.get(field) == Some(value))
            });
            equal.push(same);
        }
    }
    Ok(equal.into())
}
