//! `kinfold serve`: runs builds and syncs when they are due, says so over HTTP, and tells somebody when they fail.
//!
//! [`schedule`] is a state machine without a clock, a task or a socket: time and events go in, runs to start and
//! messages to send come out, and what became of every due time is on record. [`serve`] drives it with the ports
//! of [`ports`], which the binary implements on the engine. [`http`] shows and steers it. [`alerts`] posts its
//! messages.
//!
//! Nothing here knows what a run does. A run begins only after the state that says so was stored, so a server that
//! dies leaves no run that nobody knows of, and one that has lost its lease cannot begin another.

pub mod alerts;
pub mod http;
pub mod job;
pub mod ports;
pub mod schedule;
pub mod serve;

pub use job::{DuplicateJob, Job, JobKind};
pub use schedule::{
    Cause, Fate, JobStatus, Message, Nodes, Outcome, Ran, Receiver, Record, Rows, RunEnded, Totals,
};
pub use serve::{ServeError, ServeOptions, Server};
