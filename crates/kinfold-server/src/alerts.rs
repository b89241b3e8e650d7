//! Messages by webhook: a JSON document, posted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kinfold_project::template::{self, Scope};
use kinfold_project::{Alert, Located, Value};
use reqwest::{Client, StatusCode, Url, redirect};
use serde_json::json;

use crate::ports::{Alerts, Clock, PortError};
use crate::schedule::{IncidentEvent, Message, Receiver};
use crate::serve::after;

/// How webhooks are tried.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// An attempt may take so long.
    pub timeout: Duration,
    /// Attempts for a message, at least one.
    pub attempts: u32,
    /// The pause after the first attempt; each further one is twice as long.
    pub backoff: Duration,
    /// The longest pause.
    pub longest_backoff: Duration,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            attempts: 8,
            backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(60),
        }
    }
}

/// Reads an environment variable of the process.
pub type EnvironmentVariable = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

struct Webhook {
    /// As the project has it. The address is put together for each attempt and kept nowhere.
    template: Located<String>,
    after_failures: u32,
}

/// The `alerts:` of a project.
pub struct Webhooks {
    webhooks: BTreeMap<String, Webhook>,
    vars: Vec<(Located<String>, Value)>,
    environment_variable: EnvironmentVariable,
    client: Client,
    /// For this machine, which no proxy leads to.
    local: Client,
    clock: Arc<dyn Clock>,
    options: WebhookOptions,
}

/// No HTTP client can be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("webhooks cannot be called from this machine")]
pub struct ClientError(#[source] reqwest::Error);

/// Why one attempt failed. Tells nothing of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Attempt {
    #[error("no connection could be made")]
    Connect,
    #[error("no answer came in time")]
    Timeout,
    #[error("the connection broke off")]
    Broken,
    #[error("the answer was {0}")]
    Status(u16),
}

impl Attempt {
    /// Whether another attempt may do better.
    fn passes(self) -> bool {
        match self {
            Self::Connect | Self::Timeout | Self::Broken => true,
            Self::Status(status) => status >= 500 || matches!(status, 408 | 425 | 429),
        }
    }
}

impl Webhooks {
    /// The webhooks of `alerts`, whose addresses may use `vars` and the environment.
    ///
    /// # Errors
    /// The machine's certificates or name servers cannot be read.
    pub fn new(
        alerts: &[Alert],
        vars: &[(Located<String>, Value)],
        environment_variable: EnvironmentVariable,
        clock: Arc<dyn Clock>,
        options: WebhookOptions,
    ) -> Result<Self, ClientError> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("kinfold/", env!("CARGO_PKG_VERSION")))
                // A redirect could lead the message to a machine that nobody named.
                .redirect(redirect::Policy::none())
                .timeout(options.timeout)
        };
        let client = builder().build().map_err(ClientError)?;
        let local = builder().no_proxy().build().map_err(ClientError)?;
        let webhooks = alerts
            .iter()
            .map(|alert| {
                let webhook = Webhook {
                    template: alert.webhook.clone(),
                    after_failures: alert.after_failures,
                };
                (key(&alert.webhook.value), webhook)
            })
            .collect();
        Ok(Self {
            webhooks,
            vars: vars.to_vec(),
            environment_variable,
            client,
            local,
            clock,
            options,
        })
    }

    /// For [`Limits::receivers`](crate::schedule::Limits::receivers).
    #[must_use]
    pub fn receivers(&self) -> Vec<Receiver> {
        self.webhooks
            .iter()
            .map(|(key, webhook)| Receiver {
                key: key.clone(),
                after_failures: webhook.after_failures,
            })
            .collect()
    }

    fn address(&self, template: &Located<String>) -> Result<Url, PortError> {
        let variable = &*self.environment_variable;
        let scope = Scope {
            environment_variable: &variable,
            vars: &self.vars,
        };
        // The diagnostic names the variable and shows no value.
        let text = template::render(template, &scope)
            .map_err(|diagnostic| PortError::new(diagnostic.message))?;
        match Url::parse(text.trim()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
            _ => Err(PortError::new(
                "the webhook's address is none that begins with `https://` or `http://`",
            )),
        }
    }

    async fn attempt(&self, url: Url, body: &serde_json::Value) -> Result<(), Attempt> {
        let client = if is_local(&url) {
            &self.local
        } else {
            &self.client
        };
        let answer = client.post(url).json(body).send().await;
        let status = match answer {
            Ok(answer) => answer.status(),
            Err(error) if error.is_timeout() => return Err(Attempt::Timeout),
            Err(error) if error.is_connect() => return Err(Attempt::Connect),
            Err(_) => return Err(Attempt::Broken),
        };
        if status.is_success() {
            Ok(())
        } else {
            Err(Attempt::Status(StatusCode::as_u16(&status)))
        }
    }
}

fn is_local(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Tells a receiver from the others without giving its address away.
fn key(template: &str) -> String {
    blake3::hash(template.as_bytes())
        .to_hex()
        .chars()
        .take(16)
        .collect()
}

#[async_trait]
impl Alerts for Webhooks {
    async fn send(&self, message: &Message) -> Result<(), PortError> {
        let Some(webhook) = self.webhooks.get(&message.receiver) else {
            // It is no longer among the project's alerts, so nobody waits for it.
            return Ok(());
        };
        let body = body(message);
        let mut pause = self.options.backoff;
        let mut attempt = 1;
        loop {
            let failed = match self.attempt(self.address(&webhook.template)?, &body).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            if attempt >= self.options.attempts || !failed.passes() {
                let tries = if attempt == 1 { "attempt" } else { "attempts" };
                let what = format!("the webhook was not reached in {attempt} {tries}");
                return Err(PortError::caused(what, failed));
            }
            self.clock.sleep_until(after(self.clock.now(), pause)).await;
            pause = pause.saturating_mul(2).min(self.options.longest_backoff);
            attempt += 1;
        }
    }
}

/// What is posted. `text` is what chat programs show.
fn body(message: &Message) -> serde_json::Value {
    let event = match message.event {
        IncidentEvent::Opened => "incident_opened",
        IncidentEvent::Recovered => "incident_recovered",
    };
    let mut body = json!({
        "id": message.id,
        "event": event,
        "text": message.sentence(),
        "job": message.job,
        "kind": message.kind,
        "outcome": message.outcome,
        "failures": message.failures,
        "since": message.since,
        "at": message.at,
        "run": message.run,
    });
    if let Some(fields) = body.as_object_mut() {
        if let Some(run_id) = &message.run_id {
            fields.insert("run_id".to_owned(), json!(run_id));
        }
        if let Some(what) = &message.message {
            fields.insert("message".to_owned(), json!(what));
        }
        if let Some(rows) = &message.rows {
            fields.insert("rows".to_owned(), json!(rows));
        }
        if let Some(nodes) = &message.nodes {
            fields.insert("nodes".to_owned(), json!(nodes));
        }
    }
    body
}
