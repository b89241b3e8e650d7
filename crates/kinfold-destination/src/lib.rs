//! Destinations as data: the manifest language, its interpreter, and the kit that proves a folder.
//!
//! A destination is a folder with a `manifest.yml`, recorded exchanges and a script of faults. [`load()`] reads
//! and checks it, [`ManifestDestination`] delivers to it, [`kit`] replays what was recorded. Why the language is
//! as it is stands in docs/decisions/0007-destination-manifests.md.
//!
//! Invariants:
//! - an expression has a value whatever the answer looks like; what can be wrong with it is found when it is read;
//! - a row has one outcome, and is delivered only if an answer that could be read said so, or did not say otherwise
//!   where the manifest says that silence is consent;
//! - credentials go only to the origin of `base_url` and to where the call for a token goes, and are in no message;
//! - a rotated token is durable before what came with it is used.
//!
//! This crate knows no vendor: their names are in data.

pub mod codes;
pub mod expression;
pub mod identifiers;
mod interpret;
pub mod kit;
mod load;
pub mod manifest;
pub mod reference;
pub mod scaffold;
mod shipped;
pub mod template;

pub use interpret::{
    Account, AccountOptions, ManifestDestination, MemoryTokenStore, StoreError, StoreLock,
    TokenStore, check_target,
};
pub use load::{EXCHANGES, FAULTS, Folder, MANIFEST, find, load, read};
pub use manifest::Manifest;
pub use shipped::{SHIPPED, Shipped, shipped};
