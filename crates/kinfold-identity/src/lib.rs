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
mod check;
mod explain;
mod forest;
mod graph;
mod index;
mod judgement;
mod matching;
mod nodes;
mod observation;
mod order;
mod replay;
mod resolution;
mod rules;
mod table;

pub use blocked::{BlockedValues, DEFAULT_BLOCKED};
pub use canonical::CanonicalId;
pub use change::{Aliases, Change, ChangeKind, Diff, Move};
pub use check::Checked;
pub use explain::{Because, EdgeRow, Explanation, Step, explain};
pub use graph::{GraphBuilder, GraphError};
pub use index::{Index, IndexError, Touched};
pub use judgement::{Alarm, AlarmReason, Rejection};
pub use observation::{LinkKind, Observation, RowOutcome};
pub use replay::Replay;
pub use resolution::{Identifier, Resolution, ResolveOptions, Summary, Verdict};
pub use rules::{Limit, Pattern, RejectionRule, Rules, RulesError, TypeRules};
