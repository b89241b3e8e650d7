//! The schedule against a second, slow one; a day of a whole server; HTTP and alerts over sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod day;
mod formats;
mod http;
mod jobs;
mod oracle;
mod random_schedules;
mod rules;
mod service;
mod support;
mod webhooks;
mod world;
