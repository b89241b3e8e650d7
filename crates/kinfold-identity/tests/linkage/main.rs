//! Linkage on labelled data sets. They are not part of the project: the folder that has them is
//! named by `KINFOLD_LINKAGE_DATA`; without it nothing is checked and the test says so.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::panic,
    reason = "a test"
)]

mod addresses;
mod conditions;
mod contacts;
mod laws;
mod model;
mod people;
mod table;
