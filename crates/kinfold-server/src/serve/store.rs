//! Storing the state, one document after the other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::ports::{PortError, Saved, StateStore, Stored};
use crate::schedule::{Document, DocumentError};

/// What came of storing a document.
pub(super) enum Written {
    /// It is stored under this tag.
    Done { revision: u64, tag: String },
    /// Another server has written.
    Lost,
    /// The store does not answer.
    Failed(PortError),
}

pub(super) type Writing = Pin<Box<dyn Future<Output = Written> + Send>>;

/// Stores `document`, which is the state at `revision`, in place of what has the tag `replaces`.
pub(super) fn write(
    store: Arc<dyn StateStore>,
    document: &Document,
    revision: u64,
    replaces: Option<String>,
) -> Result<Writing, DocumentError> {
    let bytes = document.encode()?;
    let writer = document.writer.clone();
    Ok(Box::pin(async move {
        let mut replaces = replaces;
        // What did not answer may have been stored all the same; then our own document is in the way.
        for _ in 0..2 {
            match store.save(&bytes, replaces.as_deref()).await {
                Ok(Saved::Stored { tag }) => return Written::Done { revision, tag },
                Ok(Saved::Conflict) => {}
                Err(error) => return Written::Failed(error),
            }
            match store.load().await {
                Ok(Some(Stored { bytes, tag })) if is_of(&bytes, &writer) => replaces = Some(tag),
                Ok(_) => return Written::Lost,
                Err(error) => return Written::Failed(error),
            }
        }
        Written::Lost
    }))
}

fn is_of(bytes: &[u8], writer: &str) -> bool {
    Document::decode(bytes).is_ok_and(|document| document.writer == writer)
}
