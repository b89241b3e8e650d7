//! The schedule against a second, slow one; a day of a whole server; HTTP and alerts over sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod oracle;
mod random_schedules;
mod rules;
mod support;
