//! The interpreter: one for all destinations.

mod account;
mod answer;
mod aws;
mod body;
mod call;
mod check;
mod destination;
mod discovery;
mod group;
mod held;
mod job;
mod judge;
mod mask;
mod pacing;
mod prepare;
mod reach;
mod refuse;
mod request;
mod rows;
mod send;
mod store;
mod token;
mod unfinished;
mod window;

use kinfold_sync::{DestinationError, Target};

use crate::manifest::Manifest;

pub use account::{Account, AccountOptions};
pub use destination::ManifestDestination;
pub use store::{MemoryTokenStore, StoreError, StoreLock, TokenStore};

/// Whether a destination has what a sync asks of it: object, mode, key and fields. Opens no connection.
///
/// # Errors
/// What it does not have.
pub fn check_target(manifest: &Manifest, target: &Target) -> Result<(), DestinationError> {
    let (object, _) = discovery::object_of(manifest, &target.object)?;
    discovery::check_target(manifest, object, target)
}
