//! Asking a destination what it has: before the first run, so that equal rows are not sent, and later, to
//! find what somebody else has changed.

use datafusion::arrow::array::BooleanArray;
use kinfold_lake::Lake;
use kinfold_sync::{Destination, ObjectText};
use serde_json::{Map, Value};

use super::ActivateError;
use super::canonical::Layout;
use super::chunk::{Chunk, ChunkRows, Payloads};
use super::class::Class;
use crate::EngineError;

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
    layout: &Layout,
    chunks: Vec<Chunk>,
) -> Result<Matched, EngineError> {
    let mut matched = Matched::default();
    for chunk in chunks {
        let rows = chunk.rows(lake).await?;
        let payloads = chunk.payloads(lake, layout).await?;
        let found = look_up(sync, destination, &rows, &payloads).await?;
        let is = |wanted: bool| -> BooleanArray {
            let equal = found.iter().map(|found| *found == Found::Equal);
            equal.map(|equal| Some(equal == wanted)).collect()
        };
        let equal = (&is(true), Some(Class::Adopt));
        let others = (&is(false), None);
        matched
            .adopted
            .extend(chunk.part(lake, &rows, equal, "adopted").await?);
        matched
            .sending
            .extend(chunk.part(lake, &rows, others, "others").await?);
        lake.delete(&chunk.name).await?;
    }
    Ok(matched)
}

/// What a look at the destination found.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) equal: u64,
    pub(super) different: u64,
    pub(super) missing: u64,
    /// Rows that are not as they were confirmed, as notes that say so.
    pub(super) doubted: Vec<Chunk>,
}

/// Asks the destination for rows that it has confirmed.
pub(super) async fn compare(
    lake: &Lake,
    sync: &str,
    destination: &dyn Destination,
    layout: &Layout,
    chunks: Vec<Chunk>,
) -> Result<Compared, EngineError> {
    let mut compared = Compared::default();
    for chunk in chunks {
        let rows = chunk.rows(lake).await?;
        let payloads = chunk.payloads(lake, layout).await?;
        let found = look_up(sync, destination, &rows, &payloads).await?;
        for found in &found {
            *match found {
                Found::Equal => &mut compared.equal,
                Found::Different => &mut compared.different,
                Found::Missing => &mut compared.missing,
            } += 1;
        }
        let doubted = found.iter().map(|found| Some(*found != Found::Equal));
        let doubted = (&doubted.collect(), Some(Class::Doubt));
        compared
            .doubted
            .extend(chunk.part(lake, &rows, doubted, "doubted").await?);
    }
    Ok(compared)
}

/// What the destination has under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The same values in every mapped field.
    Equal,
    Different,
    Missing,
}

async fn look_up(
    sync: &str,
    destination: &dyn Destination,
    rows: &ChunkRows,
    payloads: &Payloads,
) -> Result<Vec<Found>, ActivateError> {
    let mut all = Vec::with_capacity(rows.len());
    for first in (0..rows.len()).step_by(PAGE) {
        let page = first..rows.len().min(first + PAGE);
        let key = |row| ObjectText::new(rows.key.value(row)).unwrap_or_else(ObjectText::empty);
        let keys: Vec<ObjectText> = page.clone().map(key).collect();
        let found = destination.read(&keys).await;
        let found = found.map_err(|source| ActivateError::Destination {
            sync: sync.to_owned(),
            source,
        })?;
        for (at, row) in page.enumerate() {
            let wanted = payloads.object(row).and_then(|text| text.parse());
            all.push(match (wanted, found.get(at).and_then(Option::as_ref)) {
                (_, None) => Found::Missing,
                (Some(wanted), Some(there)) if has_all(there, &wanted) => Found::Equal,
                _ => Found::Different,
            });
        }
    }
    Ok(all)
}

fn has_all(there: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted
        .iter()
        .all(|(field, value)| there.get(field) == Some(value))
}
