//! Stage *activate*: changeset → plan → deliver → acknowledge → fold.
//!
//! A sync has a **state**, one row for each key that it ever tried to deliver: what the destination has
//! confirmed, and what became of the last attempt. A run compares the model with the state (the
//! **changeset**), writes what is to be sent as immutable objects (the **plan**), delivers it and records
//! every outcome (the **acknowledgements**), and folds these into the state and into the **ledger**.
//! Files of state and ledger are written while the plan is delivered, and committed once it is.
//!
//! Invariants:
//! - the state changes only by folding recorded outcomes, so it never knows more than the destination said;
//! - a run that ended anywhere is finished by the next one: same plan, same batches, same fold;
//! - only what this sync got acknowledged is ever removed from a destination;
//! - `planned = delivered + rejected + retryable + unknown + held + suppressed`, rows without a usable key
//!   or value (`invalid`) counted apart;
//! - memory is bounded by the engine's memory limit and by chunks, not by rows; a set of row positions
//!   takes one bit a row.
//!
//! Stored below `_kinfold/sync/<sync>/` (another environment in the same lake has its own place):
//!
//! | object | what |
//! |---|---|
//! | `state/` | Delta table: what the destination has confirmed, key by key |
//! | `compared.json` | what the last comparison saw, if it left nothing open |
//! | `invalid/` | Delta table: keys that could not be sent in the last run |
//! | `held.json`, `held/<id>/…` | what a guard keeps back, until it is approved or the guard lets go |
//! | `queued.json` | somebody has asked for one more run |
//! | `run/plan.json` | the manifest of a plan that is not folded yet; written last, deleted first |
//! | `run/<delivery>/…` | its chunks, acknowledgements, and `closed.json` once delivery has ended |

mod account;
mod acknowledge;
pub mod canonical;
mod changeset;
mod chunk;
mod class;
mod compact;
mod compare;
mod destination;
mod error;
mod exact;
mod examples;
mod failed;
mod files;
mod fold;
mod guard;
mod heads;
mod held;
mod keys;
mod ledger;
mod lines;
mod mask;
mod matching;
mod person;
mod plan;
mod progress;
mod queue;
pub(crate) mod records;
mod remembered;
mod report;
mod run;
mod scope;
mod source;
mod state;
mod streamed;

use std::time::Duration;

use kinfold_compile::compile::CompiledSync;
use kinfold_project::{Connection, Diagnostic, Located, Sync, Value};
use kinfold_sync::{Budget, CancelToken, Clock, DeliveryPolicy, Destination};

pub use account::{COMMON_OPTIONS, SharedAccount, destination_folder};
pub use destination::budget;
pub use error::ActivateError;
pub(crate) use exact::forget_comparisons;
pub use examples::mapping_tests;
pub use failed::{Decision, FailedRow, decide, failed_rows};
pub use files::{FileFormat, FilesDestination, FilesOptions};
pub use person::{PersonSync, syncs_of_person};
pub use records::columns as records_columns;
pub use report::{Example, SyncReport, VerifyReport};

use crate::{Engine, EngineError};

/// One sync that shall run.
#[derive(Clone)]
pub struct SyncRequest<'a> {
    /// What the user wrote.
    pub sync: &'a Sync,
    /// Its bound mapping.
    pub compiled: &'a CompiledSync,
    /// Where it delivers to.
    pub connection: &'a Connection,
    /// Variables that options of the connection may use (`var('…')`): those of the sync's package.
    pub vars: &'a [(Located<String>, Value)],
    /// Only counts and shows what would be sent. Writes nothing, needs neither lease nor credentials.
    pub dry_run: bool,
    /// Which changes.
    pub scope: Scope,
    /// Sends what a guard held back under this id, though the guard still says no.
    pub approve: Option<String>,
    /// What the account of the connection allows, see [`budget`].
    pub budget: Budget,
    /// The account of the connection, shared by its syncs.
    pub account: SharedAccount,
    /// Reads an environment variable, for `env_var('…')` in options of the connection.
    pub environment_variable: &'a (dyn Fn(&str) -> Option<String> + std::marker::Sync),
    /// Hears of what is not as it should be although the sync goes on: a file of a secret that everybody can read.
    pub warn: &'a (dyn Fn(&Diagnostic) + std::marker::Sync),
    /// Ends the delivery: batches in flight are awaited, what was acknowledged counts.
    pub cancel: CancelToken,
}

/// A part of a changeset, to try a sync out.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// At most so many rows that the model has; nothing that left the model.
    pub limit: Option<u64>,
    /// Only rows with these keys: destination field → value, as text. All rows if empty.
    pub keys: Vec<Vec<(String, String)>>,
}

/// What a delivery works with. [`run_sync`] makes it from the connection.
pub struct Ports<'a> {
    /// Where rows go.
    pub destination: &'a dyn Destination,
    /// Sizes, concurrency, retries.
    pub policy: DeliveryPolicy,
    /// Where waiting comes from.
    pub clock: &'a dyn Clock,
    /// What the account allows, shared by all syncs that use it.
    pub budget: &'a Budget,
    /// How long a run that has died keeps others out.
    pub lease: Duration,
}

/// Runs one sync: finishes an interrupted run, then delivers what has changed since.
///
/// # Errors
/// [`ActivateError`] if the run cannot start or its outcomes cannot be recorded; rows that were not
/// delivered are no error, see [`SyncReport::success`]. After an error nothing acknowledged is lost: the
/// next run goes on where this one ended.
pub async fn run_sync(
    engine: &Engine,
    request: SyncRequest<'_>,
) -> Result<SyncReport, EngineError> {
    if request.dry_run {
        return run::dry_run(engine, &request).await;
    }
    let made = destination::of(engine, &request).await?;
    let ports = Ports {
        destination: made.destination.as_ref(),
        policy: made.policy,
        clock: &kinfold_sync::SystemClock::new(),
        budget: &request.budget,
        lease: crate::lease::lease_time(engine),
    };
    run::run(engine, &request, &ports).await
}

/// Asks the destination of a sync whether it is there, takes the credentials, and has the object. Sends no row.
/// Whether there was a way to ask about the credentials is part of the answer.
///
/// # Errors
/// [`ActivateError`] with what is missing or refused.
pub async fn check_destination(
    engine: &Engine,
    request: &SyncRequest<'_>,
) -> Result<kinfold_sync::CredentialsCheck, EngineError> {
    let made = destination::of(engine, request).await?;
    let checked = made.destination.check().await;
    checked.map_err(|source| ActivateError::Destination {
        sync: request.sync.name.value.clone(),
        source,
    })?;
    Ok(made.destination.credentials_check())
}

/// Asks the destination of a sync how many people it has found of those that were sent there; none if it does not
/// tell. Changes nothing.
///
/// # Errors
/// [`ActivateError`]: it cannot be asked, or there is no such audience yet.
pub async fn reach(
    engine: &Engine,
    request: &SyncRequest<'_>,
) -> Result<Option<kinfold_sync::Reach>, EngineError> {
    let made = destination::of(engine, request).await?;
    let reach = made.destination.reach().await;
    reach.map_err(|source| {
        ActivateError::Destination {
            sync: request.sync.name.value.clone(),
            source,
        }
        .into()
    })
}

/// Asks the destination of a sync for the rows that it has confirmed and that the model still has with the
/// same values. With `heal` the next run sends what is different or missing there.
///
/// # Errors
/// [`ActivateError::NotVerifiable`] if rows cannot be read back or are sent only once,
/// [`ActivateError::Unfinished`] after an interrupted run, else as [`run_sync`].
pub async fn verify_sync(
    engine: &Engine,
    request: SyncRequest<'_>,
    heal: bool,
) -> Result<VerifyReport, EngineError> {
    let made = destination::of(engine, &request).await?;
    let ports = Ports {
        destination: made.destination.as_ref(),
        policy: made.policy,
        clock: &kinfold_sync::SystemClock::new(),
        budget: &request.budget,
        lease: crate::lease::lease_time(engine),
    };
    run::verify(engine, &request, &ports, heal).await
}

/// [`run_sync`] through a destination, a policy and a clock of the caller's choice.
///
/// # Errors
/// As [`run_sync`].
pub async fn run_sync_through(
    engine: &Engine,
    request: SyncRequest<'_>,
    ports: Ports<'_>,
) -> Result<SyncReport, EngineError> {
    if request.dry_run {
        return run::dry_run(engine, &request).await;
    }
    run::run(engine, &request, &ports).await
}
