//! Manifests, their interpreter and the kit, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on shall fail"
)]

mod checks;
mod contract;
mod folders;
mod generated;
mod jobs;
mod laws;
mod people;
mod secrets;
mod tokens;
mod traps;
