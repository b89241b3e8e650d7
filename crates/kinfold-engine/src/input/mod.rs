//! Reading the files of sources and seeds.
//!
//! A Delta source is read in place at a pinned version. Every other source is *landed*: its files are
//! read once, into a table of the lake and a companion with the records that cannot be rows. So every
//! model reads pinned versions, a run can be repeated, and
//! `records read = rows landed + records quarantined`.
//!
//! [`list`] finds the files and what identifies them, [`columns`] says what a table of them has,
//! [`read`] gives the rows and the quarantine as two streams. [`seed_columns`] and [`read_seed`] do
//! the same for seeds, which are small and have no quarantine: a seed is part of the project, so a
//! bad record in it is an error at its line.
//!
//! | format | record | quarantined |
//! |---|---|---|
//! | CSV | RFC 4180 record | wrong number of fields, broken quotes, not UTF-8, a value that is not of its type |
//! | NDJSON | line | not JSON, not an object, a value that is not of its type |
//! | Parquet | row | nothing: a Parquet file is whole or it is refused |

mod block;
mod cast;
mod csv;
mod error;
mod infer;
mod json;
mod landing;
mod listing;
mod ndjson;
mod open;
mod outlet;
mod parquet;
mod quarantine;
mod raw;
mod schema;
mod seed;

pub(crate) use cast::sql_name;
pub use error::InputError;
pub use landing::{Landing, LandingCounts, read};
pub use listing::{InputFile, InputFiles, glance, last_written, list};
pub use quarantine::quarantine_schema;
pub use schema::{columns, offline_columns, sql_type};
pub use seed::{SeedConfig, read_seed, seed_columns};
