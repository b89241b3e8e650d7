//! Delta tables on a folder or an S3 bucket: pinned reads, commits that cannot lose or duplicate
//! rows, environments, leases, maintenance.
//!
//! This is the only crate that names the Delta library. Nothing commits around [`FencedLogStore`]:
//! see `docs/decisions/0002-fenced-commits.md`.

mod advance;
mod commit;
mod data_file;
mod delete;
mod deletion_vector;
mod encoding;
mod environment;
mod error;
mod external;
mod fence;
mod files;
mod holder;
mod index;
mod lake;
mod lease;
mod location;
mod maintain;
mod objects;
mod patch;
mod provider;
mod schema;
mod snapshot;
mod stats;
mod write;

pub use advance::Staged;
pub use commit::{CommitNote, Written};
pub use environment::Generation;
pub use error::{DeltaFailure, LakeError};
pub use external::{ExternalTable, open_external_delta};
pub use fence::{Fenced, FencedLogStore};
pub use holder::Holder;
pub use index::{Found, IndexColumn, IndexColumns, IndexKey, IndexedFile, Needles, Width};
pub use lake::Lake;
pub use lease::Lease;
pub use location::{LakeUrl, TablePath, object_store_for};
pub use maintain::{Compaction, Vacuum, Vacuumed};
pub use objects::{ObjectEntry, ObjectTag};
pub use patch::FileRows;
pub use schema::{AppendColumns, storable_schema};
pub use snapshot::{Difference, Snapshot};
