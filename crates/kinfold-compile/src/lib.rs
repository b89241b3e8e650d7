//! A loaded project → SQL with places → the plans that will run.
//!
//! Renders Jinja, binds every model to a DataFusion plan against its parents' columns, and says
//! everything that is wrong, at its place in the user's files. Opens no table and no socket.

pub mod bind;
pub mod codes;
pub mod compile;
mod dialect;
pub mod gate;
pub mod growth;
pub mod inspect;
pub mod lineage;
pub mod meaning;
pub mod proof;
pub mod relation;
pub mod render;
pub mod select;
pub mod session;
