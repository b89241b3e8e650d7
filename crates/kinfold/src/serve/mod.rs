//! What the server needs, on the engine and the lake.

mod runner;
mod store;

pub use runner::{EngineInputs, ProjectRunner};
pub use store::{LakeLease, LakeStore};
