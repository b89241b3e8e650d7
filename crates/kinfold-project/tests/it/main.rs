//! Whole projects, written to a folder and read.

#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod bad_input;
mod dbt_project;
mod kinfold_project;
mod mistakes;
mod packages;
mod schedules;
mod secrets;
mod support;
