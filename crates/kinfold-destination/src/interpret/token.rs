//! Tokens: fetched by one call, kept until they expire, renewed in one place.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use kinfold_sync::{FailureClass, Secret};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::judge::{Judged, Purpose, wait_of};
use crate::expression::{Root, Scope};
use crate::manifest::{Call, Verdict};
use crate::template::scalar_text;

/// The names of the token that is shared with other processes, and of the lock of those who renew it.
const CURRENT: &str = "token/current";
const LOCK: &str = "token";

/// The token of an account.
#[derive(Default)]
pub(super) struct TokenState {
    current: Option<Token>,
    /// A refresh token that the destination has given and that could not be stored yet. The one before it is
    /// worth nothing any more.
    unsaved: Option<Secret>,
    generation: u64,
}

/// What the call for a token has kept.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) values: Arc<Value>,
    /// Until when, on the account's clock.
    until: Option<Duration>,
    pub(super) generation: u64,
}

impl Account {
    /// A token that is good now; `None` if the destination needs none. `stale` is the generation of one that
    /// was refused.
    pub(super) async fn token(&self, stale: Option<u64>) -> Result<Option<Token>, Judged> {
        let auth = &self.manifest().auth;
        let Some(call) = &auth.token else {
            return Ok(None);
        };
        // Whoever comes while a token is fetched waits and takes the same one.
        let mut state = self.token_state().lock().await;
        let now = self.clock().elapsed();
        if let Some(token) = &state.current
            && stale != Some(token.generation)
            && token.until.is_none_or(|until| now < until)
        {
            return Ok(Some(token.clone()));
        }
        if auth.rotates.is_none() {
            return self.renew(call, &mut state).await.map(Some);
        }
        // Of other processes too, only one may use a token that is good for one use.
        let lock = self.store().lock(LOCK).await.map_err(|_| not_stored())?;
        let renewed = match self.shared(&mut state).await {
            Ok(Some(token)) => Ok(token),
            Ok(None) => self.renew(call, &mut state).await,
            Err(judged) => Err(judged),
        };
        lock.release().await;
        renewed.map(Some)
    }

    /// Asks for a token.
    async fn renew(&self, call: &Call, state: &mut TokenState) -> Result<Token, Judged> {
        let auth = &self.manifest().auth;
        self.save_rotated(state).await?;
        let connection = self.connection_with_rotated().await?;
        let wall = self.now();
        let scope = Scope::default()
            .with(Root::Connection, &connection)
            .with(Root::Now, &wall);
        let (judged, answers) = self.exchange(call, &scope, None, Purpose::Token).await;
        // An answer that is refused may hold a token nevertheless, and one may hold more than is kept.
        for answer in &answers {
            let scope = answer.scope(scope);
            let kept = call
                .keep
                .iter()
                .map(|(_, keep)| keep.evaluate(&scope).into_owned());
            let members = answer.body.as_object().into_iter().flatten();
            let tokens = members.filter(|(name, _)| name.to_lowercase().contains("token"));
            let all = kept.chain(tokens.map(|(_, value)| value.clone()));
            self.remember_secrets(all.filter_map(|value| scalar_text(&value)));
        }
        if !judged.worked() {
            let verdict = match judged.verdict {
                Verdict::Expired | Verdict::Rejected => Verdict::Unauthorized,
                other => other,
            };
            return Err(Judged {
                message: format!("no token: {}", judged.message),
                wait: judged.wait,
                ..Judged::new(verdict, "")
            });
        }
        let Some(answer) = answers.first() else {
            return Err(Judged::new(Verdict::Temporary, "no token: no answer"));
        };
        let scope = answer.scope(scope);
        let mut values = Map::new();
        for (name, expression) in &call.keep {
            values.insert(name.clone(), expression.evaluate(&scope).into_owned());
        }
        let lifetime = auth
            .expires_in
            .as_ref()
            .and_then(|expression| wait_of(expression, &scope));
        let lifetime = lifetime.map(|wait| match wait {
            kinfold_sync::RetryAfter::Delay(delay) => delay,
            kinfold_sync::RetryAfter::At(time) => {
                (time - self.clock().wall()).to_std().unwrap_or_default()
            }
        });
        let good_for =
            lifetime.map(|lifetime| lifetime.saturating_sub(auth.renew_before.min(lifetime / 2)));
        if let Some(rotates) = &auth.rotates
            && let Some(text) = values.get(rotates).and_then(scalar_text)
        {
            state.unsaved = Some(Secret::new(text));
        }
        let token = self.take(state, values, good_for);
        // Durable before anything is done with what came with it.
        let mut saved = self.save_rotated(state).await;
        if saved.is_ok() && auth.rotates.is_some() {
            saved = self.share(&token, good_for).await;
        }
        match saved {
            Ok(()) => Ok(token),
            Err(judged) => {
                state.current = None;
                Err(judged)
            }
        }
    }

    /// Makes a token the current one.
    fn take(
        &self,
        state: &mut TokenState,
        values: Map<String, Value>,
        good_for: Option<Duration>,
    ) -> Token {
        self.remember_secrets(values.values().filter_map(scalar_text));
        state.generation += 1;
        let now = self.clock().elapsed();
        let token = Token {
            values: Arc::new(Value::Object(values)),
            until: good_for.map(|good_for| now.saturating_add(good_for)),
            generation: state.generation,
        };
        state.current = Some(token.clone());
        token
    }

    /// Stores a token for other processes: asking for one of their own, they would make this one worthless.
    async fn share(&self, token: &Token, good_for: Option<Duration>) -> Result<(), Judged> {
        let wall = self.clock().wall();
        let until = good_for
            .and_then(|good_for| TimeDelta::from_std(good_for).ok())
            .and_then(|good_for| wall.checked_add_signed(good_for));
        let shared = json!({
            "values": &*token.values,
            "until_ms": until.map(|until| until.timestamp_millis()),
        });
        let shared = Secret::new(shared.to_string());
        let saved = self.store().save(CURRENT, &shared).await;
        saved.map_err(|_| not_stored())
    }

    /// The token that another process, or an earlier one, has stored, if it is good and not the one that was
    /// refused.
    async fn shared(&self, state: &mut TokenState) -> Result<Option<Token>, Judged> {
        let stored = self.store().load(CURRENT).await;
        let Some(stored) = stored.map_err(|_| not_stored())? else {
            return Ok(None);
        };
        // One that cannot be read is of no use, and is replaced.
        let Ok(Value::Object(mut stored)) = serde_json::from_str(stored.expose()) else {
            return Ok(None);
        };
        let Some(Value::Object(values)) = stored.remove("values") else {
            return Ok(None);
        };
        let known = state.current.as_ref().map(|token| token.values.as_object());
        if known == Some(Some(&values)) || state.unsaved.is_some() {
            return Ok(None);
        }
        let mut good_for = None;
        if let Some(until) = stored.get("until_ms").and_then(Value::as_i64) {
            let left = until.saturating_sub(self.clock().wall().timestamp_millis());
            match u64::try_from(left) {
                Ok(left) if left > 0 => good_for = Some(Duration::from_millis(left)),
                _ => return Ok(None),
            }
        }
        Ok(Some(self.take(state, values, good_for)))
    }

    async fn save_rotated(&self, state: &mut TokenState) -> Result<(), Judged> {
        let Some(rotates) = &self.manifest().auth.rotates else {
            return Ok(());
        };
        let Some(secret) = &state.unsaved else {
            return Ok(());
        };
        let saved = self.store().save(&rotated_name(rotates), secret).await;
        saved.map_err(|_| not_stored())?;
        state.unsaved = None;
        Ok(())
    }

    /// The parameters, a rotated one in its newest form. Another process may have rotated it, so the store is
    /// asked every time.
    async fn connection_with_rotated(&self) -> Result<Value, Judged> {
        let mut connection = self.connection().clone();
        if let Some(rotates) = &self.manifest().auth.rotates {
            let stored = self.store().load(&rotated_name(rotates)).await;
            if let Some(secret) = stored.map_err(|_| not_stored())?
                && let Value::Object(parameters) = &mut connection
            {
                self.remember_secrets([secret.expose().to_owned()]);
                parameters.insert(rotates.clone(), Value::from(secret.expose()));
            }
        }
        Ok(connection)
    }
}

fn rotated_name(parameter: &str) -> String {
    format!("token/{parameter}")
}

fn not_stored() -> Judged {
    Judged {
        class: FailureClass::Unavailable,
        ..Judged::new(
            Verdict::Temporary,
            "the refresh token cannot be read or stored",
        )
    }
}
