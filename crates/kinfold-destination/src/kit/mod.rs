//! The conformance kit: recorded exchanges are replayed byte for byte against a server on this machine.
//!
//! An exchange is data in a destination's folder: the rows of a batch, the requests that must come of them, the
//! answers, and the outcomes that must come of those. So a manifest is proved without an account. Then the same rows
//! go through the delivery engine, with every fault where it belongs.

pub(crate) mod blocks;
mod clock;
mod delivery;
mod end;
pub(crate) mod example_key;
mod exchange;
mod fit;
mod mismatch;
mod reach;
mod replay;
mod requests;
mod server;

pub use delivery::delivery;
pub use exchange::{
    Exchange, Expected, Fault, Recorded, RecordedAnswer, RecordedRequest, RecordedRow,
    Result as ExpectedResult,
};
pub(crate) use exchange::{read_exchange, read_faults, usual_now};
pub(crate) use fit::check;
pub use mismatch::Mismatch;
pub(crate) use replay::record;
pub use replay::{fault, replay};
pub use requests::requests;
