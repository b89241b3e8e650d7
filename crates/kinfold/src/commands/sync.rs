//! `kinfold sync`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::future::BoxFuture;
use kinfold_engine::activate::{
    ActivateError, Scope, SharedAccount, SyncRequest, budget, check_destination, run_sync,
    verify_sync,
};
use kinfold_engine::{Engine, EngineOptions};
use kinfold_project::{Connection, Diagnostic, Sync};
use kinfold_sync::{Budget, CancelToken, CredentialsCheck};
use serde_json::json;

use super::ended::{self, Ended, Failure};
use super::{CommandError, Done};
use crate::cli::Global;
use crate::report::Output;
use crate::workspace::{Bound, Workspace};

/// Options of the command.
#[derive(Default)]
pub struct Options {
    /// Names of syncs; all if empty.
    pub select: Vec<String>,
    /// Only count and show.
    pub dry_run: bool,
    /// The run's clock.
    pub as_of: Option<DateTime<Utc>>,
    /// Which rows.
    pub scope: Scope,
    /// What a person has let through.
    pub approve: Option<String>,
    /// Only ask the destination what it has; true to send what is different there with a run after it.
    pub verify: Option<bool>,
    /// Only ask whether destinations are there and take the credentials.
    pub check: bool,
    /// Only ask destinations how many people they have found.
    pub reach: bool,
    /// The accounts, where several runs share them.
    pub accounts: Accounts,
    /// Ends the run; Ctrl-C if there is none.
    pub cancel: Option<CancelToken>,
}

/// What syncs of one connection share, by the name of the connection and its options.
#[derive(Clone, Default)]
pub struct Accounts(Arc<Mutex<BTreeMap<String, (Budget, SharedAccount)>>>);

impl Accounts {
    fn of(
        &self,
        connection: &Connection,
        make: impl FnOnce() -> Result<Budget, ActivateError>,
    ) -> Result<(Budget, SharedAccount), ActivateError> {
        // A connection that is written anew is another account.
        let options: Vec<String> = connection
            .options
            .iter()
            .map(|(option, value)| format!("{}={}", option.value, value.to_json()))
            .collect();
        let (name, kind) = (&connection.name.value, connection.kind_name());
        let name = format!("{name} {kind} {}", options.join(" "));
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&name) {
            return Ok(account.clone());
        }
        let account = (make()?, SharedAccount::default());
        accounts.insert(name, account.clone());
        Ok(account)
    }
}

pub async fn run(
    global: &Global,
    options: &Options,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, options.as_of)?;
    workspace.require_sound()?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    let bound = workspace.bind(Some(&engine), false).await?;
    workspace.require_sound()?;
    let reports = run_bound(&workspace, &engine, &bound, options, &|_| None, output).await?;
    let success = reports.iter().all(|r| r.success());
    if output.is_json() {
        let files = workspace.files();
        let syncs: Vec<serde_json::Value> = reports.iter().map(|r| r.json(files)).collect();
        output.json(&json!({ "success": success, "run_id": engine.clock.run_id, "syncs": syncs }));
    }
    Ok(Done { success })
}

/// Runs the chosen syncs: those of one connection one after the other, in the order of their files, and those of
/// different connections side by side, so that a slow or broken destination keeps nobody waiting. One that fails
/// keeps none of the others.
///
/// `overrides` may give values for environment variables, before the process's own.
pub async fn run_bound(
    workspace: &Workspace,
    engine: &Engine,
    bound: &Bound,
    options: &Options,
    overrides: &(dyn Fn(&str) -> Option<String> + std::marker::Sync),
    output: &Output,
) -> Result<Vec<Ended>, CommandError> {
    let chosen = if options.check {
        connected(workspace, &options.select)?
    } else {
        chosen(workspace, &options.select)?
    };
    let cancel = options.cancel.clone();
    let one = One {
        workspace,
        engine,
        bound,
        options,
        overrides,
        output,
        cancel: cancel.unwrap_or_else(super::cancelled_by_user),
    };
    let mut accounts: BTreeMap<&str, Vec<(usize, &Sync)>> = BTreeMap::new();
    for (at, sync) in chosen.into_iter().enumerate() {
        let account = accounts.entry(sync.connection.value.as_str());
        account.or_default().push((at, sync));
    }
    let mut runs: Vec<BoxFuture<'_, Vec<(usize, Ended)>>> = vec![];
    for syncs in accounts.into_values() {
        runs.push(Box::pin(one.account(syncs)));
    }
    let mut ended: Vec<(usize, Ended)> = futures::stream::iter(runs)
        .buffer_unordered(MOST_ACCOUNTS)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .flatten()
        .collect();
    ended.sort_by_key(|(at, _)| *at);
    Ok(ended.into_iter().map(|(_, ended)| ended).collect())
}

/// So many connections are worked on at once.
const MOST_ACCOUNTS: usize = 8;

/// What one run of a sync works with.
struct One<'a> {
    workspace: &'a Workspace,
    engine: &'a Engine,
    bound: &'a Bound,
    options: &'a Options,
    overrides: &'a (dyn Fn(&str) -> Option<String> + std::marker::Sync),
    output: &'a Output,
    cancel: CancelToken,
}

impl One<'_> {
    /// The syncs of one connection.
    async fn account(&self, syncs: Vec<(usize, &Sync)>) -> Vec<(usize, Ended)> {
        let mut all = vec![];
        for (at, sync) in syncs {
            let ended = Box::pin(self.sync(sync)).await;
            let ended = ended.unwrap_or_else(|failure| Ended::Failed {
                name: sync.name.value.clone(),
                failure,
            });
            if !self.output.is_json() {
                let files = self.workspace.files();
                ended::say(&ended, files, self.options.dry_run, self.output);
            }
            all.push((at, ended));
            if self.cancel.is_cancelled() {
                break;
            }
        }
        all
    }

    async fn sync(&self, sync: &Sync) -> Result<Ended, Failure> {
        let (workspace, options) = (self.workspace, self.options);
        let compiled = self.bound.compiled.syncs.iter().find(|c| c.id == sync.id);
        let compiled = compiled.ok_or_else(|| Failure::text("it was not bound"))?;
        let mut connections = workspace.project.connections.iter();
        let connection = connections
            .find(|c| c.name.value == sync.connection.value)
            .ok_or_else(|| Failure::text("its connection is not there"))?;
        let variable = |name: &str| (self.overrides)(name).or_else(|| std::env::var(name).ok());
        let mut packages = workspace.project.packages.iter();
        let vars = packages
            .find(|p| p.name == sync.package)
            .map(|p| p.vars.as_slice())
            .unwrap_or_default();
        let (budget, account) = options
            .accounts
            .of(connection, || budget(connection, vars, &variable))
            .map_err(|error| Failure::of(&error.into()))?;
        let warn = |warning: &Diagnostic| {
            if !self.output.is_json() {
                let files = workspace.files();
                self.output
                    .diagnostics(files, std::slice::from_ref(warning));
            }
        };
        let request = SyncRequest {
            sync,
            compiled,
            connection,
            vars,
            dry_run: options.dry_run,
            scope: options.scope.clone(),
            approve: options.approve.clone(),
            budget,
            account,
            environment_variable: &variable,
            warn: &warn,
            cancel: self.cancel.clone(),
        };
        if options.check {
            let checked = check_destination(self.engine, &request).await;
            let checked = checked.map_err(|error| Failure::of(&error))?;
            return Ok(Ended::Checked {
                name: sync.name.value.clone(),
                connection: connection.name.value.clone(),
                kind: connection.kind_name().to_owned(),
                object: sync.object.value.clone(),
                unasked: match checked {
                    CredentialsCheck::Asked => None,
                    CredentialsCheck::CannotAsk { why } => Some(why),
                },
            });
        }
        if options.reach {
            let reach = kinfold_engine::activate::reach(self.engine, &request).await;
            return Ok(Ended::Reached {
                name: sync.name.value.clone(),
                reach: reach.map_err(|error| Failure::of(&error))?,
            });
        }
        if let Some(heal) = options.verify {
            let verified = verify_sync(self.engine, request.clone(), heal).await;
            let report = verified.map_err(|error| Failure::of(&error))?;
            if !report.healing {
                return Ok(Ended::Verified(report));
            }
            ended::say_verified(&report, self.output);
        }
        let ran = run_sync(self.engine, request).await;
        let report = ran.map_err(|error| Failure::of(&error))?;
        Ok(Ended::Ran(Box::new(report)))
    }
}

/// The syncs of these connections; of all if none is named.
fn connected<'w>(
    workspace: &'w Workspace,
    names: &[String],
) -> Result<Vec<&'w Sync>, CommandError> {
    let known = || {
        workspace
            .project
            .connections
            .iter()
            .map(|c| c.name.value.as_str())
    };
    for name in names {
        if !known().any(|known| known == name) {
            return Err(CommandError::Unknown {
                kind: "connection",
                name: name.clone(),
                close: kinfold_project::suggest::closest(name, known()).map(str::to_owned),
            });
        }
    }
    let syncs = workspace.project.syncs.iter();
    let wanted = |sync: &&Sync| names.is_empty() || names.contains(&sync.connection.value);
    Ok(syncs.filter(wanted).collect())
}

pub fn chosen<'w>(
    workspace: &'w Workspace,
    names: &[String],
) -> Result<Vec<&'w Sync>, CommandError> {
    let enabled = || workspace.project.syncs.iter().filter(|s| s.enabled);
    if names.is_empty() {
        return Ok(enabled().collect());
    }
    let mut found = vec![];
    for name in names.iter().flat_map(|n| n.split_whitespace()) {
        let bare = name.strip_prefix("sync:").unwrap_or(name);
        let tag = name.strip_prefix("tag:");
        let matches: Vec<&Sync> = enabled()
            .filter(|s| {
                s.name.value == bare || tag.is_some_and(|t| s.tags.iter().any(|own| own.value == t))
            })
            .collect();
        if matches.is_empty() {
            let known: Vec<&str> = enabled().map(|s| s.name.value.as_str()).collect();
            let close = kinfold_compile::bind::closest(bare, &known).map(str::to_owned);
            return Err(CommandError::Unknown {
                kind: "sync",
                name: name.to_owned(),
                close,
            });
        }
        found.extend(matches);
    }
    Ok(found)
}
