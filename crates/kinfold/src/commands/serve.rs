//! `kinfold serve`.

use std::sync::Arc;

use kinfold_engine::EngineOptions;
use kinfold_server::alerts::{WebhookOptions, Webhooks};
use kinfold_server::http::{self, HttpOptions, Token};
use kinfold_server::ports::SystemClock;
use kinfold_server::serve::Ports;
use kinfold_server::{Job, ServeOptions, Server};
use tokio::net::TcpListener;

use super::{CommandError, Done};
use crate::cli::{Global, ServeArguments};
use crate::report::Output;
use crate::serve::{EngineInputs, LakeLease, LakeStore, ProjectRunner};
use crate::workspace::Workspace;

fn failed<E>(what: &str) -> impl FnOnce(E) -> CommandError
where
    E: std::error::Error + Send + Sync + 'static,
{
    let what = what.to_owned();
    move |source| CommandError::Serve {
        what,
        source: Box::new(source),
    }
}

pub async fn run(
    global: &Global,
    arguments: ServeArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let workspace = Workspace::load(global, None)?;
    workspace.require_sound()?;
    let project = &workspace.project;
    let jobs = Job::all_of(project).map_err(failed("its jobs have no names of their own"))?;
    let engine = workspace.engine(EngineOptions::default()).await?;

    let vars = project.packages.first().map(|package| package.vars.clone());
    let clock = Arc::new(SystemClock);
    let alerts = Webhooks::new(
        &project.alerts,
        &vars.unwrap_or_default(),
        Arc::new(|name: &str| std::env::var(name).ok()),
        clock.clone(),
        WebhookOptions::default(),
    )
    .map_err(failed("webhooks cannot be prepared"))?;
    let mut options = ServeOptions::new(uuid::Uuid::new_v4().to_string());
    options.limits.max_running = usize::from(arguments.max_jobs);
    options.limits.receivers = alerts.receivers();
    options.poll_inputs = arguments.poll;
    options.drain = arguments.drain;
    let token = match std::env::var(&arguments.token_env) {
        Ok(text) => Some(Token::new(&text).map_err(failed("the token is empty"))?),
        Err(_) => None,
    };
    let http_options = HttpOptions {
        token,
        allowed_hosts: arguments.allow_host,
    };

    let ports = Ports {
        runner: Arc::new(ProjectRunner::new(global)),
        inputs: Arc::new(EngineInputs::new(global, engine.clone())),
        store: Arc::new(LakeStore::new(&engine)),
        lease: Arc::new(LakeLease::new(&engine)),
        alerts: Arc::new(alerts),
        clock,
    };
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(failed("the address cannot be listened on"))?;
    let address = listener
        .local_addr()
        .map_err(failed("the address cannot be listened on"))?;
    let scheduled = jobs.iter().filter(|job| job.trigger.is_some()).count();
    output.say(&format!(
        "serving {} jobs, {scheduled} of them on a schedule, at http://{address}",
        jobs.len()
    ));
    let server = Server::new(jobs, ports, options);
    let handle = server.handle();
    let stop = super::cancelled_by_user();
    let answering = tokio::spawn(http::serve(
        listener,
        handle,
        http_options,
        stop.child_token(),
    ));
    let ended = server.run(stop.clone()).await;
    stop.cancel();
    let answered = answering.await;
    ended.map_err(failed("the schedule cannot go on"))?;
    if let Ok(answered) = answered {
        answered.map_err(failed("requests cannot be answered"))?;
    }
    output.say("stopped");
    Ok(Done { success: true })
}
