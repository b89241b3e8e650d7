//! Tests of kinfold-sync from outside: laws over destinations in memory, faults over real sockets, real
//! servers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on shall fail"
)]

mod budgets;
mod cases;
mod halves;
mod http;
mod jobs;
mod jobs_cases;
mod jobs_http;
mod laws;
mod mysql;
mod nats;
mod postgres;
mod setting;
mod sftp;
mod smtp;
