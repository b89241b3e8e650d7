//! Small projects, rendered.

mod fixture;
mod graph;
mod jinja;
mod map;
mod problems;
mod properties;
mod resources;
