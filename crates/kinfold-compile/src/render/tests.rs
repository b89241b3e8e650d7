//! Small projects, rendered.

mod answers;
mod fixture;
mod graph;
mod jinja;
mod map;
mod problems;
mod properties;
mod resources;
