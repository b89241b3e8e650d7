//! Runs a compiled project with DataFusion on Delta tables: materialise, stitch, segment, audit,
//! publish, diff, deliver, record.
//!
//! The stages after *bind* live here: `plan` and `execute` in [`build`], `audit` and `publish` beside
//! it, `activate` in [`activate`]. Everything is read through the [`Published`] environment, so
//! nothing unaudited is ever delivered.

pub mod activate;
pub mod answers;
pub mod build;
pub mod catalog;
pub mod columns;
pub mod context;
pub mod environments;
pub mod error;
pub mod freshness;
mod functions;
pub mod input;
pub mod judge;
mod lease;
mod published;
pub mod query;
mod run_log;
mod stream;
mod watch;

pub use columns::storable;
pub use context::{Engine, EngineOptions, RunClock, offline_session};
pub use error::{EngineError, QueryFailure};
pub use published::{Published, PublishedNode, PublishedState, StoredTable};
