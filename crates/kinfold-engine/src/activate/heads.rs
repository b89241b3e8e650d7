//! The heads of chunks that were read last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kinfold_lake::Lake;

use super::chunk::{Chunk, ChunkRows};
use crate::EngineError;

/// The heads of chunks that were read last. Delivery, state and ledger want the same ones soon after each other.
#[derive(Default)]
pub(super) struct Heads(Mutex<VecDeque<(String, Arc<ChunkRows>)>>);

/// So many heads are kept, of some megabytes each.
const HEADS: usize = 6;

impl Heads {
    /// The rows of a chunk of the plan, without their payloads.
    pub(super) async fn rows(
        &self,
        lake: &Lake,
        chunk: &Chunk,
    ) -> Result<Arc<ChunkRows>, EngineError> {
        if let Some(rows) = self.known(chunk) {
            return Ok(rows);
        }
        let rows = Arc::new(chunk.rows(lake).await?);
        let mut kept = self.kept();
        if kept.len() >= HEADS {
            kept.pop_front();
        }
        kept.push_back((chunk.name.clone(), Arc::clone(&rows)));
        Ok(rows)
    }

    fn known(&self, chunk: &Chunk) -> Option<Arc<ChunkRows>> {
        let kept = self.kept();
        let (_, rows) = kept.iter().find(|(name, rows)| {
            // The same object may stand for fewer of its rows.
            *name == chunk.name && rows.len() as u64 == chunk.rows
        })?;
        Some(Arc::clone(rows))
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<(String, Arc<ChunkRows>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
