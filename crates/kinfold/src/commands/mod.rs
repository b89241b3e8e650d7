//! The commands, one file each.

pub mod build;
mod check;
mod demo;
mod destination;
mod docs;
pub mod ended;
pub mod environment;
mod explain;
pub mod identity;
mod init;
pub mod lineage;
mod list;
mod person;
mod person_traits;
pub mod plan;
mod query;
mod reach;
mod rejected;
mod selection;
mod serve;
pub mod source;
pub mod source_snapshot;
pub mod sync;

use std::path::PathBuf;

use clap::CommandFactory;
use kinfold_engine::EngineError;
use kinfold_engine::activate::{Decision, Scope};
use kinfold_engine::build::LinkageFailure;
use kinfold_project::{Diagnostic, SourceMap};

use crate::cli::{
    Cli, Command, ConnectionAction, DestinationAction, DocsAction, ProfileAction, SourceAction,
    SyncAction,
};
use crate::report::Output;

/// How a command that ran has ended.
pub struct Done {
    /// Whether everything was as it should be.
    pub success: bool,
}

/// Why a command could not run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The project has problems.
    #[error("the project has problems")]
    Diagnostics {
        /// The files that the problems point into.
        files: SourceMap,
        /// The problems.
        found: Vec<Diagnostic>,
    },
    /// The environment is not declared.
    #[error("there is no environment `{name}`")]
    NoEnvironment {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// `--defer` without anything that says where to.
    #[error("`--defer` does not say which environment is meant")]
    DeferToWhat(Vec<String>),
    /// Another command than those that give diagnostics.
    #[error("this command gives no diagnostics, so it has nothing to say in SARIF")]
    NoSarif,
    /// `--vars` is not a mapping.
    #[error("`--vars` is not a YAML mapping")]
    Vars,
    /// A selector is wrong.
    #[error("{0}")]
    Select(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder that must be empty is not.
    #[error("`{}` already holds a project", .0.display())]
    NotEmpty(PathBuf),
    /// A sync or a relation that does not exist.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// A name like it.
        close: Option<String>,
    },
    /// A name or an id that may mean more than one thing.
    #[error("`{name}` may be any of {}: {}", .found.len(), .found.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What it may mean.
        found: Vec<String>,
    },
    /// What a linkage would be trained on is not there.
    #[error(
        "`{input}` has not been built in this environment, so there is nothing to train `{model}` on"
    )]
    BuildFirst {
        /// What is missing.
        input: String,
        /// The linkage.
        model: String,
    },
    /// The data of the demo could not be written.
    #[error(transparent)]
    Generate(#[from] crate::demo::generate::GenerateError),
    /// The server could not start, or could not go on.
    #[error("cannot serve: {what}")]
    Serve {
        /// What could not be done.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A description of an API does not become a destination.
    #[error(transparent)]
    Scaffold(#[from] kinfold_destination::scaffold::ScaffoldError),
    /// A folder that would be overwritten.
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
    /// A file that would be overwritten.
    #[error("`{}` is there already", .0.display())]
    FileExists(PathBuf),
    /// What judging an identity cannot do.
    #[error(transparent)]
    Judge(#[from] identity::JudgeError),
    /// Files of `target/` could not be written.
    #[error(transparent)]
    Artifacts(#[from] crate::artifacts::ArtifactError),
}

impl CommandError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoEnvironment { names, .. } => {
                Some(format!("the project declares: {}", names.join(", ")))
            }
            Self::DeferToWhat(names) => Some(format!(
                "name it with `--defer-to`; the project declares: {}",
                names.join(", ")
            )),
            Self::BuildFirst { model, .. } => Some(format!(
                "`kinfold build --exclude {model}+` builds all that does not hang on it"
            )),
            Self::NoSarif => Some(
                "`kinfold check` and `kinfold destination check` take `--output sarif`".to_owned(),
            ),
            Self::Unknown {
                kind: explain::CODE,
                close: None,
                ..
            } => Some("`kinfold explain` lists all codes".to_owned()),
            Self::NotEmpty(_) => Some("choose another folder".to_owned()),
            Self::Exists(_) => Some("choose another name, or move that folder away".to_owned()),
            Self::FileExists(_) => Some("choose another name, or move that file away".to_owned()),
            Self::Judge(error) => error.help(),
            Self::Scaffold(_) => {
                Some("`kinfold destination new --list --from FILE` shows what could write rows".to_owned())
            }
            Self::Unknown {
                close: Some(close), ..
            } => Some(format!("did you mean `{close}`?")),
            Self::Engine(EngineError::Linkage {
                source: LinkageFailure::Untrained,
                node,
            }) => Some(format!(
                "run `kinfold identity train {}`, look at the file that it writes, and commit it",
                node.as_str().rsplit('.').next().unwrap_or_default()
            )),
            Self::Engine(EngineError::NothingBefore { .. }) => {
                Some("`kinfold publish` lists what is kept".to_owned())
            }
            Self::Engine(EngineError::ReadElsewhere { reader, .. }) => Some(format!(
                "drop `{reader}` first, or build there what it reads"
            )),
            Self::Engine(EngineError::NotBuilt(_)) => Some("run `kinfold build` first".to_owned()),
            Self::Engine(error) if asked_the_machine(error) => Some(
                "no credentials were found: set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `access_key_id` \
                 and `secret_access_key` in the environment's `storage`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Whether credentials were looked for in the metadata service of cloud machines, which is the last
/// place that is tried.
fn asked_the_machine(error: &dyn std::error::Error) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let text = error.to_string();
        text.contains("/latest/api/token") || text.contains("/latest/meta-data/")
    })
}

/// Runs the command of the command line.
///
/// # Errors
/// When it could not run at all; what it found is in [`Done`] and was printed.
pub async fn run(cli: Cli, output: &Output) -> Result<Done, CommandError> {
    let global = &cli.global;
    if output.is_sarif() && !gives_sarif(&cli.command) {
        return Err(CommandError::NoSarif);
    }
    match cli.command {
        Command::Init { dir, name } => init::run(dir, name, output),
        Command::Demo {
            dir,
            persons,
            seed,
            add_days,
            data_only,
            serve,
        } => {
            let options = demo::Options {
                dir,
                persons,
                seed,
                add_days,
                data_only,
                serve,
            };
            demo::run(global, options, output).await
        }
        Command::Connection {
            action: ConnectionAction::Check { names },
        } => {
            let options = sync::Options {
                select: names,
                check: true,
                ..sync::Options::default()
            };
            sync::run(global, &options, output).await
        }
        Command::Destination { action } => match action {
            DestinationAction::List => Ok(destination::list(output)),
            DestinationAction::New(arguments) => destination::new(global, arguments, output).await,
            DestinationAction::Check { folders } => {
                destination::check(&folders, false, output).await
            }
            DestinationAction::Test { folders } => destination::check(&folders, true, output).await,
        },
        Command::Check => check::run(global, output).await,
        Command::Explain { code } => explain::run(code.as_deref(), output),
        Command::Compile { selection } => check::compile(global, &selection, output).await,
        Command::Build(options) => build::run(global, &options, build::Verb::Build, output).await,
        Command::Run(options) => build::run(global, &options, build::Verb::Run, output).await,
        Command::Seed(options) => build::run(global, &options, build::Verb::Seed, output).await,
        Command::Test(options) => build::run(global, &options, build::Verb::Test, output).await,
        Command::Ls {
            selection,
            resource_type,
        } => list::run(global, &selection, &resource_type, output).await,
        Command::Lineage(arguments) => lineage::run(global, &arguments, output).await,
        Command::Source {
            action: SourceAction::Freshness(arguments),
        } => source::freshness(global, &arguments, output).await,
        Command::Source {
            action: SourceAction::Snapshot(arguments),
        } => source_snapshot::snapshot(global, &arguments, output).await,
        Command::Docs {
            action: DocsAction::Generate,
        } => docs::generate(global, output).await,
        Command::Show { name, limit } => query::show(global, &name, limit, output).await,
        Command::Plan(arguments) => plan::run(global, &arguments, output).await,
        Command::Identity { action } => identity::run(global, action, output).await,
        Command::Profile {
            action: ProfileAction::Show { id, identity },
        } => person::show(global, &id, identity.as_deref(), output).await,
        Command::Env { action } => environment::run(global, action, output).await,
        Command::Publish(arguments) => environment::publish(global, &arguments, output).await,
        Command::Query { sql, format } => query::run(global, sql, format, output).await,
        Command::Sync(arguments) => {
            let options = match arguments.action {
                Some(SyncAction::Rejected {
                    name,
                    retry,
                    forget,
                    only_keys,
                    limit,
                    show_keys,
                }) => {
                    let options = rejected::Options {
                        name,
                        decision: match (retry, forget) {
                            (true, _) => Some(Decision::Retry),
                            (_, true) => Some(Decision::Forget),
                            _ => None,
                        },
                        keys: only_keys,
                        limit,
                        show_keys,
                    };
                    return rejected::run(global, &options, output).await;
                }
                Some(SyncAction::Verify { name, heal }) => sync::Options {
                    select: vec![name],
                    verify: Some(heal),
                    ..sync::Options::default()
                },
                Some(SyncAction::Reach { name }) => sync::Options {
                    select: vec![name],
                    reach: true,
                    ..sync::Options::default()
                },
                Some(SyncAction::Approve { name, id, as_of }) => sync::Options {
                    select: vec![name],
                    as_of,
                    approve: Some(id),
                    ..sync::Options::default()
                },
                None => sync::Options {
                    select: arguments.select,
                    dry_run: arguments.dry_run,
                    as_of: arguments.as_of,
                    scope: Scope {
                        limit: arguments.limit,
                        keys: arguments.only_keys,
                    },
                    ..sync::Options::default()
                },
            };
            sync::run(global, &options, output).await
        }
        Command::Serve(options) => serve::run(global, options, output).await,
        Command::Lsp => Ok(crate::lsp::run(global).await),
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "kinfold", &mut script);
            output.data(&script);
            Ok(Done { success: true })
        }
    }
}

/// Whether finding problems of files is what the command is for.
fn gives_sarif(command: &Command) -> bool {
    matches!(
        command,
        Command::Check
            | Command::Destination {
                action: DestinationAction::Check { .. }
            }
    )
}

/// Ctrl-C, or the signal by which services are stopped; false if neither can be heard.
async fn asked_to_end() -> bool {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut end) = signal(SignalKind::terminate()) {
            return tokio::select! {
                heard = tokio::signal::ctrl_c() => heard.is_ok(),
                heard = end.recv() => heard.is_some(),
            };
        }
    }
    tokio::signal::ctrl_c().await.is_ok()
}

/// A token that is cancelled by the first Ctrl-C. The second one ends the process at once.
pub fn cancelled_by_user() -> kinfold_sync::CancelToken {
    let token = kinfold_sync::CancelToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        if asked_to_end().await {
            cancel.cancel();
            // From here on the signal has its usual meaning again only for a process without a
            // handler, so the second one is waited for and obeyed here.
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::abort();
            }
        }
    });
    token
}
