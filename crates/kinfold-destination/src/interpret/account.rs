//! One account at a destination, shared by all syncs that use its connection.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use kinfold_project::suggest;
use kinfold_sync::{Clock, DestinationError, HttpClient, HttpClientOptions, Secret};
use serde_json::{Map, Value};
use url::Url;

use super::mask::{self, Forms};
use super::pacing::Pacing;
use super::store::TokenStore;
use super::token::TokenState;
use crate::expression::{Expression, Root, Step, time_text};
use crate::manifest::{Manifest, Parameter};

/// So many tokens are looked for in messages, the newest.
const MOST_TOKENS: usize = 32;

/// Options of an [`Account`].
#[derive(Clone, Debug, Default)]
pub struct AccountOptions {
    /// The parameters of the connection, by their names in the manifest.
    pub parameters: Vec<(String, Secret)>,
    /// How requests are sent.
    pub http: HttpClientOptions,
    /// Where all requests go instead: `https://a.example/b` becomes `<reroute>/a.example/b`. For tests.
    pub reroute: Option<Url>,
    /// The time that requests speak of, if it is not the clock's: one that is repeated then says the same time. For
    /// tests.
    pub now: Option<DateTime<Utc>>,
}

/// One account at a destination: its parameters, its token, its limits. Every sync that uses a connection must
/// have the same one, so that tokens are renewed in one place and limits hold for all of them together.
pub struct Account {
    manifest: Arc<Manifest>,
    connection: Value,
    /// What must never be in a message: credentials first, then tokens.
    secrets: Mutex<VecDeque<(String, Forms)>>,
    credentials: Vec<Forms>,
    client: HttpClient,
    clock: Arc<dyn Clock>,
    store: Arc<dyn TokenStore>,
    pacing: Pacing,
    token: tokio::sync::Mutex<TokenState>,
    reroute: Option<Url>,
    now: Option<DateTime<Utc>>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("destination", &self.manifest.name)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// An account. Opens no connection.
    ///
    /// # Errors
    /// A parameter is missing, unknown, or not one of its choices.
    pub fn new(
        manifest: Arc<Manifest>,
        options: AccountOptions,
        store: Arc<dyn TokenStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, DestinationError> {
        let mut http = options.http;
        http.direct |= options.reroute.is_some();
        let connection = parameters(&manifest, &options.parameters)?;
        let credentials = manifest
            .parameters
            .iter()
            .filter(|parameter| parameter.secret)
            .filter_map(|parameter| connection.get(&parameter.name)?.as_str())
            .map(Forms::of)
            .collect();
        Ok(Arc::new(Self {
            client: HttpClient::new(&http)?,
            pacing: Pacing::new(&manifest.limits, Arc::clone(&clock)),
            manifest,
            connection: Value::Object(connection),
            secrets: Mutex::new(VecDeque::new()),
            credentials,
            clock,
            store,
            token: tokio::sync::Mutex::new(TokenState::default()),
            reroute: options.reroute,
            now: options.now,
        }))
    }

    /// The manifest of the destination.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn connection(&self) -> &Value {
        &self.connection
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(super) fn store(&self) -> &dyn TokenStore {
        self.store.as_ref()
    }

    pub(super) fn client(&self) -> &HttpClient {
        &self.client
    }

    pub(super) fn pacing(&self) -> &Pacing {
        &self.pacing
    }

    pub(super) fn token_state(&self) -> &tokio::sync::Mutex<TokenState> {
        &self.token
    }

    pub(super) fn reroute(&self) -> Option<&Url> {
        self.reroute.as_ref()
    }

    /// The time at which a request is made.
    pub(super) fn time(&self) -> DateTime<Utc> {
        self.now.unwrap_or_else(|| self.clock.wall())
    }

    /// The same, as expressions see it.
    pub(super) fn now(&self) -> Value {
        Value::String(time_text(self.time()))
    }

    fn secrets(&self) -> MutexGuard<'_, VecDeque<(String, Forms)>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Texts that must not be in messages from now on.
    pub(super) fn remember_secrets(&self, texts: impl IntoIterator<Item = String>) {
        let mut secrets = self.secrets();
        for text in texts {
            if text.len() >= mask::SHORTEST && !secrets.iter().any(|(known, _)| *known == text) {
                let forms = Forms::of(&text);
                secrets.push_back((text, forms));
            }
        }
        while secrets.len() > MOST_TOKENS {
            secrets.pop_front();
        }
    }

    /// The message without credentials, tokens and `more`, in any of the forms in which they are sent.
    pub(super) fn redact(&self, message: &str, more: &[String]) -> String {
        if message.is_empty() {
            return String::new();
        }
        let more: Vec<Forms> = more.iter().map(|text| Forms::of(text)).collect();
        let secrets = self.secrets();
        let tokens = secrets.iter().map(|(_, forms)| forms);
        mask::mask(message, tokens.chain(&self.credentials).chain(&more))
    }

    /// Whether a credential or token stands in a text that cannot do without it.
    pub(super) fn is_told_by(&self, text: &str) -> bool {
        let secrets = self.secrets();
        let mut all = secrets
            .iter()
            .map(|(_, forms)| forms)
            .chain(&self.credentials);
        all.any(|forms| forms.are_in(text))
    }

    /// Whether an expression makes something of a credential or a token.
    pub(super) fn is_secret(&self, expression: &Expression) -> bool {
        let parameters = &self.manifest.parameters;
        expression.any(&|part| match part {
            Expression::Path(path) if path.root == Root::Connection => {
                matches!(path.steps.first(), Some(Step::Field(name))
                    if parameters.iter().any(|p| p.secret && p.name == *name))
            }
            Expression::Path(path) => path.root == Root::Auth,
            _ => false,
        })
    }
}

/// The values behind `connection`.
fn parameters(
    manifest: &Manifest,
    given: &[(String, Secret)],
) -> Result<Map<String, Value>, DestinationError> {
    let invalid = |option: &str, reason: String| DestinationError::Option {
        option: option.to_owned(),
        reason,
    };
    let names = || {
        manifest
            .parameters
            .iter()
            .map(|parameter| parameter.name.as_str())
    };
    for (name, _) in given {
        if !names().any(|known| known == name) {
            let help = suggest::did_you_mean(name, names())
                .unwrap_or_else(|| format!("there is {}", suggest::one_of(names())));
            return Err(invalid(
                name,
                format!("`{}` has no such parameter; {help}", manifest.name),
            ));
        }
    }
    let mut values = Map::new();
    for parameter in &manifest.parameters {
        let given = given.iter().find(|(name, _)| *name == parameter.name);
        // An environment variable that is set to nothing is not a credential.
        let given = given
            .map(|(_, secret)| secret.expose())
            .filter(|text| !text.is_empty());
        let value =
            value_of(parameter, given).map_err(|reason| invalid(&parameter.name, reason))?;
        values.insert(parameter.name.clone(), value);
    }
    Ok(values)
}

fn value_of(parameter: &Parameter, given: Option<&str>) -> Result<Value, String> {
    let Some(text) = given.or(parameter.default.as_deref()) else {
        return if parameter.optional {
            Ok(Value::Null)
        } else {
            Err(format!("it is missing: {}", parameter.about))
        };
    };
    if parameter.choices.is_empty() {
        return Ok(Value::from(text));
    }
    match parameter.choices.iter().find(|(word, _)| word == text) {
        Some((_, value)) => Ok(Value::from(value.as_str())),
        None => {
            let words = parameter.choices.iter().map(|(word, _)| word.as_str());
            Err(format!("it is {}", suggest::one_of(words)))
        }
    }
}
