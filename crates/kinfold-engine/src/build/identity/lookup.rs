//! Rows of published tables by what they hold: from row indices, so that little of a table is decoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use futures::StreamExt;
use kinfold_identity::CanonicalId;
use kinfold_lake::{Found, IndexColumn, IndexColumns, IndexKey, IndexedFile, Needles, Width};
use tokio::task::JoinSet;

use super::addition::Published;
use crate::EngineError;
use crate::build::Run;

/// Of the relation. The hash stands for the text, and the id is whole. Its beginning is there once more,
/// since it is searched for and what is found compared.
pub(super) const IDENTIFIERS: IndexColumns = &[
    IndexColumn::Hash {
        of: &["id_type", "id_value"],
        width: Width::Twelve,
    },
    IndexColumn::Uuid {
        of: "canonical_id",
        width: Width::Sixteen,
    },
    IndexColumn::Uuid {
        of: "canonical_id",
        width: Width::Four,
    },
];
/// Place of the whole id in [`IDENTIFIERS`].
pub(super) const WHOLE_ID: usize = 1;
pub(super) const RECORDS: IndexColumns = &[
    IndexColumn::Hash {
        of: &["source", "record_id"],
        width: Width::Eight,
    },
    IndexColumn::Uuid {
        of: "canonical_id",
        width: Width::Four,
    },
];
pub(super) const EDGES: IndexColumns = &[IndexColumn::Uuid {
    of: "canonical_id",
    width: Width::Four,
}];
pub(super) const CHANGES: IndexColumns = &[IndexColumn::Uuid {
    of: "from_canonical_id",
    width: Width::Four,
}];
pub(super) const HISTORY: IndexColumns = &[IndexColumn::Hash {
    of: &["id_type", "id_value"],
    width: Width::Eight,
}];

/// A published table with its row indices.
pub(super) struct Lookup {
    pub(super) files: Vec<Arc<IndexedFile>>,
    columns: IndexColumns,
}

/// Rows of one file.
pub(super) struct Rows {
    /// Place of the file in [`Lookup::files`].
    pub(super) file: usize,
    /// The rows in the order of `places`.
    pub(super) batches: Vec<RecordBatch>,
    pub(super) places: Vec<u64>,
}

impl Rows {
    /// Each batch with the places of its rows.
    pub(super) fn placed(&self) -> impl Iterator<Item = (&RecordBatch, &[u64])> {
        let mut places = self.places.as_slice();
        self.batches.iter().map(move |batch| {
            let (of_batch, rest) = places
                .split_at_checked(batch.num_rows())
                .unwrap_or((places, &[]));
            places = rest;
            (batch, of_batch)
        })
    }
}

impl Run<'_> {
    pub(super) async fn lookup(&self, published: &Published) -> Result<Lookup, EngineError> {
        let Published {
            path,
            snapshot,
            index,
            ..
        } = published;
        let lake = &self.engine.lake;
        Ok(Lookup {
            files: lake.indexed_files(path, snapshot, index).await?,
            columns: index,
        })
    }
}

impl Lookup {
    /// The rows of each file that may hold one of these pairs of texts, by the first column of the index.
    pub(super) async fn by_texts<'t>(
        &self,
        texts: impl Iterator<Item = (&'t str, &'t str)>,
    ) -> Result<Vec<Vec<Found>>, EngineError> {
        let texts: Vec<[&str; 2]> = texts.map(|(one, other)| [one, other]).collect();
        let width = self.width(0);
        let mut of_keys: BTreeMap<IndexKey, Arc<Needles>> = BTreeMap::new();
        for file in &self.files {
            of_keys
                .entry(*file.key())
                .or_insert_with(|| Arc::new(Needles::hashes(file.key(), width, &texts)));
        }
        self.find(0, |file| of_keys.get(file.key()).cloned()).await
    }

    /// The rows of each file that may have one of these ids in the last column of the index.
    pub(super) async fn by_ids(
        &self,
        ids: impl ExactSizeIterator<Item = CanonicalId>,
    ) -> Result<Vec<Vec<Found>>, EngineError> {
        let column = self.columns.len().saturating_sub(1);
        let ids = ids.map(CanonicalId::as_u128);
        let needles = Arc::new(Needles::uuids(self.width(column), ids));
        self.find(column, |_| Some(Arc::clone(&needles))).await
    }

    fn width(&self, column: usize) -> Width {
        match self.columns.get(column) {
            Some(IndexColumn::Hash { width, .. } | IndexColumn::Uuid { width, .. }) => *width,
            None => Width::Sixteen,
        }
    }

    async fn find(
        &self,
        column: usize,
        needles: impl Fn(&IndexedFile) -> Option<Arc<Needles>>,
    ) -> Result<Vec<Vec<Found>>, EngineError> {
        let mut searches = JoinSet::new();
        for (number, file) in self.files.iter().enumerate() {
            if let Some(needles) = needles(file) {
                let file = Arc::clone(file);
                searches.spawn(async move { (number, file.find(column, &needles).await) });
            }
        }
        let mut found = vec![Vec::new(); self.files.len()];
        while let Some(search) = searches.join_next().await {
            let (number, of_file) = search?;
            if let Some(slot) = found.get_mut(number) {
                *slot = of_file?;
            }
        }
        Ok(found)
    }

    /// Some columns of the rows that were found, by file. Files without any are left out.
    pub(super) async fn rows(
        &self,
        found: &[Vec<Found>],
        columns: &[&str],
    ) -> Result<Vec<Rows>, EngineError> {
        let columns: Arc<[String]> = columns.iter().map(|name| (*name).to_owned()).collect();
        let mut readers = JoinSet::new();
        for (number, (file, found)) in self.files.iter().zip(found).enumerate() {
            let places: Vec<u64> = found.iter().map(|found| found.place).collect();
            if !places.is_empty() {
                readers.spawn(rows_of(
                    number,
                    Arc::clone(file),
                    places,
                    Arc::clone(&columns),
                ));
            }
        }
        let mut rows = Vec::new();
        while let Some(read) = readers.join_next().await {
            rows.push(read??);
        }
        rows.sort_unstable_by_key(|rows: &Rows| rows.file);
        Ok(rows)
    }
}

async fn rows_of(
    number: usize,
    file: Arc<IndexedFile>,
    places: Vec<u64>,
    columns: Arc<[String]>,
) -> Result<Rows, EngineError> {
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut stream = file.rows_at(places.clone(), &columns).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    Ok(Rows {
        file: number,
        batches,
        places,
    })
}
