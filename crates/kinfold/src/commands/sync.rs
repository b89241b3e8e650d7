//! `kinfold sync`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::future::BoxFuture;
use kinfold_engine::activate::{
    ActivateError, Scope, SharedAccount, SyncReport, SyncRequest, VerifyReport, budget,
    check_destination, run_sync, verify_sync,
};
use kinfold_engine::{Engine, EngineOptions};
use kinfold_project::{Connection, Sync};
use kinfold_sync::{Budget, CancelToken, CredentialsCheck, Reach};
use serde_json::json;

use super::{CommandError, Done, reach};
use crate::cli::Global;
use crate::report::{Output, grouped};
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
        let syncs: Vec<serde_json::Value> = reports.iter().map(Ended::json).collect();
        output.json(&json!({ "success": success, "run_id": engine.clock.run_id, "syncs": syncs }));
    }
    Ok(Done { success })
}

/// A sync that ran, or could not.
pub enum Ended {
    /// It ran.
    Ran(Box<SyncReport>),
    /// Its destination was asked what it has.
    Verified(VerifyReport),
    /// Its destination answers as it should.
    Checked {
        /// The sync.
        name: String,
        /// The connection.
        connection: String,
        /// What kind of destination.
        kind: String,
        /// The object there.
        object: String,
        /// Why it could not be asked whether the credentials are right; none if they were taken.
        unasked: Option<String>,
    },
    /// Its destination was asked how many people it has found.
    Reached {
        /// The sync.
        name: String,
        /// What it said; none if it does not tell.
        reach: Option<Reach>,
    },
    /// It could not start, or its outcomes could not be recorded.
    Failed {
        /// The sync.
        name: String,
        /// Why.
        error: String,
    },
}

impl Ended {
    /// Whether all of it was delivered.
    pub fn success(&self) -> bool {
        match self {
            Self::Ran(report) => report.success,
            Self::Verified(report) => report.checked == report.equal,
            Self::Checked { .. } | Self::Reached { .. } => true,
            Self::Failed { .. } => false,
        }
    }

    /// As `--output json` prints it.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Ran(report) => serde_json::to_value(report).unwrap_or_default(),
            Self::Verified(report) => serde_json::to_value(report).unwrap_or_default(),
            Self::Checked {
                name,
                connection,
                kind,
                object,
                unasked,
            } => json!({
                "name": name, "success": true, "connection": connection, "kind": kind, "object": object,
                "credentials": if unasked.is_some() { "cannot_ask" } else { "taken" }, "why": unasked,
            }),
            Self::Reached { name, reach } => reach::json(name, reach.as_ref()),
            Self::Failed { name, error } => json!({
                "name": name, "success": false, "error": error, "planned": 0, "delivered": 0, "rejected": 0,
                "retryable": 0, "unknown": 0, "held": 0, "suppressed": 0, "invalid": 0,
            }),
        }
    }
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
            let ended = ended.unwrap_or_else(|error| Ended::Failed {
                name: sync.name.value.clone(),
                error,
            });
            if !self.output.is_json() {
                say(&ended, self.options.dry_run, self.output);
            }
            all.push((at, ended));
            if self.cancel.is_cancelled() {
                break;
            }
        }
        all
    }

    async fn sync(&self, sync: &Sync) -> Result<Ended, String> {
        let (workspace, options) = (self.workspace, self.options);
        let compiled = self.bound.compiled.syncs.iter().find(|c| c.id == sync.id);
        let compiled = compiled.ok_or("it was not bound")?;
        let mut connections = workspace.project.connections.iter();
        let connection = connections
            .find(|c| c.name.value == sync.connection.value)
            .ok_or("its connection is not there")?;
        let variable = |name: &str| (self.overrides)(name).or_else(|| std::env::var(name).ok());
        let mut packages = workspace.project.packages.iter();
        let vars = packages
            .find(|p| p.name == sync.package)
            .map(|p| p.vars.as_slice())
            .unwrap_or_default();
        let (budget, account) = options
            .accounts
            .of(connection, || budget(connection, vars, &variable))
            .map_err(|error| causes(&error))?;
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
            cancel: self.cancel.clone(),
        };
        if options.check {
            let checked = check_destination(self.engine, &request).await;
            let checked = checked.map_err(|error| causes(&error))?;
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
                reach: reach.map_err(|error| causes(&error))?,
            });
        }
        if let Some(heal) = options.verify {
            let verified = verify_sync(self.engine, request.clone(), heal).await;
            let report = verified.map_err(|error| causes(&error))?;
            if !report.healing {
                return Ok(Ended::Verified(report));
            }
            say_verified(&report, self.output);
        }
        let ran = run_sync(self.engine, request).await;
        let report = ran.map_err(|error| causes(&error))?;
        Ok(Ended::Ran(Box::new(report)))
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
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

fn say_verified(report: &VerifyReport, output: &Output) {
    output.say(&format!(
        "sync {}: {} rows checked, {} equal, {} different, {} missing at the destination",
        report.name,
        grouped(report.checked),
        grouped(report.equal),
        grouped(report.different),
        grouped(report.missing)
    ));
}

fn say(ended: &Ended, dry_run: bool, output: &Output) {
    let report = match ended {
        Ended::Failed { name, error } => {
            let sync = format!("sync `{name}`");
            if error.contains(&sync) {
                output.error(error);
            } else {
                output.error(&format!("{sync}: {error}"));
            }
            return;
        }
        Ended::Verified(report) => return say_verified(report, output),
        Ended::Reached { name, reach } => return output.say(&reach::text(name, reach.as_ref())),
        Ended::Checked {
            name,
            connection,
            kind,
            object,
            unasked: Some(why),
        } => {
            return output.say(&format!(
                "connection {connection} ({kind}): could not ask whether the credentials are right, for `{object}` of \
                 sync {name}: {why}"
            ));
        }
        Ended::Checked {
            name,
            connection,
            kind,
            object,
            unasked: None,
        } => {
            return output.say(&format!(
                "connection {connection} ({kind}): works, and has `{object}` for sync {name}"
            ));
        }
        Ended::Ran(report) => report,
    };
    if report.queued {
        return output.say(&format!(
            "sync {}: a run is under way and goes round once more when it is done",
            report.name
        ));
    }
    let counts = [
        ("delivered", report.delivered),
        ("rejected", report.rejected),
        ("retryable", report.retryable),
        ("unknown", report.unknown),
        ("held", report.held),
        ("suppressed", report.suppressed),
    ];
    let detail = format!(
        "{} to add, {} to update, {} to remove",
        grouped(report.adds),
        grouped(report.updates),
        grouped(report.removals)
    );
    let invalid = if report.invalid > 0 {
        format!(", {} invalid", grouped(report.invalid))
    } else {
        String::new()
    };
    if dry_run {
        output.say(&format!(
            "sync {} would send {}: {detail}{invalid}",
            report.name,
            grouped(report.planned)
        ));
        for example in &report.examples {
            output.say(&format!(
                "  {} {} {}",
                example.operation,
                serde_json::Value::Object(example.key.clone()),
                serde_json::Value::Object(example.fields.clone())
            ));
        }
    } else if report.planned == 0 {
        output.say(&format!(
            "sync {}: nothing to send, {} unchanged{invalid}",
            report.name,
            grouped(report.unchanged)
        ));
    } else {
        let sum: Vec<String> = counts
            .iter()
            .map(|(word, n)| format!("{word} {}", grouped(*n)))
            .collect();
        output.say(&format!(
            "sync {}: planned {} = {} ({detail}{invalid})",
            report.name,
            grouped(report.planned),
            sum.join(" + ")
        ));
    }
    if report.waiting > 0 {
        output.say(&format!(
            "  {} refused before and not due yet: `kinfold sync rejected {}`",
            grouped(report.waiting),
            report.name
        ));
    }
    if report.adopted > 0 {
        output.say(&format!(
            "  {} taken for delivered without being sent",
            grouped(report.adopted)
        ));
    }
    if report.resumed {
        output.say("  an interrupted run was finished first");
    }
    if let Some(why) = &report.held_because {
        output.error(&format!("sync `{}`: {why}", report.name));
        if let (Some(id), false) = (&report.held_id, dry_run) {
            let name = &report.name;
            output.say(&format!(
                "  to send exactly these: kinfold sync approve {name} {id}"
            ));
        }
    }
    if let Some(why) = &report.stopped {
        output.error(&format!("sync `{}`: {why}", report.name));
    }
}
