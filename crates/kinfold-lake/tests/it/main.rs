//! Tests of the lake, on a folder and on a real S3 server.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod coordination;
mod faults;
mod fence;
mod index;
mod maintenance;
mod patch;
mod processes;
mod scan;
mod support;
mod tables;
