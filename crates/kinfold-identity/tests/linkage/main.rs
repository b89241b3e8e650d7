//! Laws and conditions of linkages. How well they do on labelled records is tested end to end, with the projects of
//! `examples/linkage`.
#![expect(clippy::unwrap_used, reason = "a test")]

mod conditions;
mod laws;
