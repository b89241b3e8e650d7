//! Accounts at destinations that a manifest describes.

use std::sync::{Arc, Mutex, PoisonError};

use kinfold_destination::{Account, AccountOptions, Folder, Manifest, load, shipped};
pub use kinfold_project::COMMON_OPTIONS;
use kinfold_project::{Connection, Diagnostic, ManifestSource};
use kinfold_sync::{HttpClientOptions, Secret, SystemClock};

use super::ActivateError;
use super::destination::Options;
use super::remembered::Remembered;
use crate::Engine;

/// The account of a connection, made when it is first needed: a dry run needs no credentials. Give the same one to
/// every sync that uses the connection, so that its tokens are renewed in one place and its limits hold for all.
/// Where a credential has been changed, the next sync has a new account.
#[derive(Clone, Debug, Default)]
pub struct SharedAccount(Arc<Mutex<Option<Opened>>>);

#[derive(Debug)]
struct Opened {
    account: Arc<Account>,
    /// What it was made with.
    parameters: Parameters,
}

type Parameters = Vec<(String, Secret)>;

impl SharedAccount {
    pub(super) fn open(
        &self,
        engine: &Engine,
        options: &Options<'_>,
    ) -> Result<Arc<Account>, ActivateError> {
        let parameters = parameters(options)?;
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*shared
            && opened.parameters == parameters
        {
            return Ok(Arc::clone(&opened.account));
        }
        let account = account(engine, options, parameters.clone())?;
        *shared = Some(Opened {
            account: Arc::clone(&account),
            parameters,
        });
        Ok(account)
    }
}

/// The options of the connection that are parameters of its destination.
fn parameters(options: &Options<'_>) -> Result<Parameters, ActivateError> {
    let mut parameters = vec![];
    for (name, value) in &options.connection.options {
        if !COMMON_OPTIONS.contains(&name.value.as_str()) {
            let text = options.fill(&name.value, value)?;
            parameters.push((name.value.clone(), Secret::new(text)));
        }
    }
    Ok(parameters)
}

fn account(
    engine: &Engine,
    options: &Options<'_>,
    parameters: Parameters,
) -> Result<Arc<Account>, ActivateError> {
    let connection = options.connection;
    let manifest = Arc::new(manifest_of(connection)?);
    let mut http = HttpClientOptions::default();
    if let Some(timeout) = super::destination::timeout(options)? {
        http.timeout = timeout;
    }
    let store = Remembered::new(engine, connection, &manifest, &parameters);
    let options = AccountOptions {
        parameters,
        http,
        ..AccountOptions::default()
    };
    let clock = Arc::new(SystemClock::new());
    Account::new(manifest, options, Arc::new(store), clock).map_err(|source| {
        ActivateError::Account {
            connection: connection.name.value.clone(),
            source,
        }
    })
}

/// The folder of a connection's destination, and what is wrong with it; none if a manifest is not what it is.
#[must_use]
pub fn destination_folder(connection: &Connection) -> Option<Folder> {
    match connection.manifest.as_ref()? {
        ManifestSource::Shipped(name) => shipped(name),
        ManifestSource::Folder { path, .. } => Some(load(path)),
    }
}

fn manifest_of(connection: &Connection) -> Result<Manifest, ActivateError> {
    let folder = destination_folder(connection);
    let wrong = |problem: String| ActivateError::Manifest {
        connection: connection.name.value.clone(),
        destination: connection.kind_name().to_owned(),
        problem,
    };
    let Some(folder) = folder else {
        return Err(wrong("it is not there".to_owned()));
    };
    if let Some(error) = folder.diagnostics.iter().find(|found| found.is_error()) {
        return Err(wrong(first_line(error)));
    }
    folder
        .manifest
        .ok_or_else(|| wrong("it cannot be read".to_owned()))
}

fn first_line(diagnostic: &Diagnostic) -> String {
    format!("{} {}", diagnostic.code.id, diagnostic.message)
}
