//! Identity resolution over plain text: who is who, and which id says so for ever.
//!
//! Rows say that a record of a source carried an identifier: `(source, record_id, id_type,
//! id_value, observed_at)`. Records and identifiers form a bipartite graph; its connected components
//! are the people. Each component gets a [`CanonicalId`], which is minted once and carried over from
//! run to run.
//!
//! ```text
//! GraphBuilder::with_rules  limits, hubs, values that join nobody   ┐
//! GraphBuilder::observe     every row, any order; or batches that a │
//! GraphBuilder::take        Preparer made ready on other threads    │
//! GraphBuilder::check ─▶ Sound, or Failing: Replay::observe         ├─ GraphBuilder::resolve
//!                        with every row again, Replay::finish       │       │
//! GraphBuilder::previous    the assignment published                │       │
//! GraphBuilder::retire      ids that are in use no more             │       ▼
//! GraphBuilder::former      who had which of them, and until when   ┘   Resolution
//! Resolution::verdict_of    every row again: whose it is, or which rule refused it;
//! Resolution::verdicts      the same for batches
//! ```
//!
//! The result depends on the set of rows, the rules and the previous assignment, never on the order of
//! rows, on batches or on threads. Nothing here does I/O.
//!
//! # Rules
//!
//! Without rules, the people are the connected components. Under [`Rules`], components that break none
//! stay as they are. The rows of the others are believed one by one, the best evidence first, unless a
//! row would join what a rule keeps apart; see [`Replay`].
//!
//! # Memory
//!
//! At the peak about 130 bytes for each distinct identifier of 20 bytes, and 21 to 43 for each distinct
//! record, whose text is not kept. A caller that feeds the rows grouped by record uses
//! [`GraphBuilder::grouped_by_record`] and pays for identifiers only. Rows are not kept, but for those of
//! people who break a rule: see [`Replay`]. Records and edges are written in a last pass over the same
//! rows with [`Resolution::verdict_of`], because the canonical id of an accepted row's identifier is that
//! of its record.

/// Probabilistic record linkage: which records of people are the same person, with no shared identifier.
pub mod linkage;

mod blocked;
mod canonical;
mod change;
mod check;
mod explain;
mod forest;
mod former;
mod graph;
mod index;
mod judgement;
mod matching;
mod nodes;
mod observation;
mod order;
mod part;
mod prepare;
mod replay;
mod resolution;
mod rules;
mod table;
pub mod text;
mod transition;
mod verdicts;

pub use blocked::{BlockedValues, DEFAULT_BLOCKED};
pub use canonical::{CanonicalId, CanonicalIdText, CanonicalIds};
pub use change::{Aliases, Change, ChangeKind, Diff, Move};
pub use check::Checked;
pub use explain::{Because, EdgeRow, Explanation, Step, explain};
pub use graph::{GraphBuilder, GraphError};
pub use index::{Index, IndexError, Touched};
pub use judgement::{Alarm, AlarmReason, Rejection};
pub use nodes::AlreadyHashed;
pub use observation::{LinkKind, Observation, RowOutcome};
pub use prepare::{Prepared, PreparedPrevious, Preparer};
pub use replay::Replay;
pub use resolution::{Identifier, Resolution, ResolveOptions, Summary, Verdict};
pub use rules::{Limit, Pattern, RejectionRule, Rules, RulesError, TypeRules};
pub use verdicts::{FirstId, FirstRow, RecordsMet};
