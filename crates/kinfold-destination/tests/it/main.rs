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
mod goes_on;
mod jobs;
mod kinds;
mod laws;
mod people;
mod refusals;
mod removal;
mod scaffold;
mod secrets;
mod specs;
mod tokens;
mod traps;
