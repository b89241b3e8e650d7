//! Tests of kinfold-engine from outside: whole runs over real lakes and destinations.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on shall fail"
)]

mod activate;
mod input;
