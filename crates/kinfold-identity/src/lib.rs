//! Identity resolution over plain text: who is who, and which id says so for ever.
//!
//! Rows say that a record of a source carried an identifier: `(source, record_id, id_type,
//! id_value, observed_at)`. Records and identifiers form a bipartite graph; its connected components
//! are the people. Each component gets a [`CanonicalId`], which is minted once and carried over from
//! run to run.
//!
//! ```text
//! GraphBuilder::observe   every row, any order        ┐
//! GraphBuilder::previous  the assignment published    ├─ GraphBuilder::resolve ─▶ Resolution
//! GraphBuilder::retire    ids that are in use no more ┘
//! ```
//!
//! The result depends on the set of rows and on the previous assignment, never on their order, on
//! batches or on threads. Nothing here does I/O.
//!
//! # Memory
//!
//! At the peak about 160 bytes for each distinct identifier of 25 bytes, and 40 for each distinct
//! record, whose text is not kept. A caller that feeds the rows grouped by record uses
//! [`GraphBuilder::grouped_by_record`] and pays for identifiers only. Rows are not kept: records and
//! edges are written in a second pass over the same rows with [`Resolution::verdict`], because the
//! canonical id of a row's identifier is that of its record.

mod blocked;
mod canonical;
mod change;
mod graph;
mod matching;
mod resolution;
pub mod text;

pub use blocked::{BlockedValues, DEFAULT_BLOCKED, RejectionRule};
pub use canonical::CanonicalId;
pub use change::{Aliases, Change, ChangeKind, Move};
pub use graph::{GraphBuilder, GraphError, Observation, RowOutcome};
pub use resolution::{Identifier, Resolution, ResolveOptions, Summary, Verdict};
