//! Calls before the first batch and after the last, and what they keep.

use kinfold_sync::Secret;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::call::Asked;
use super::destination::ManifestDestination;
use super::judge::{Judged, Purpose};
use crate::expression::{Root, Scope};
use crate::manifest::{Call, Verdict};
use crate::template::scalar_text;

impl ManifestDestination {
    /// What `prepare` has kept, now or in an earlier run.
    pub(super) async fn prepared(&self) -> Result<&Map<String, Value>, Judged> {
        self.preparation()
            .get_or_try_init(|| async {
                let object = self.object();
                if object.prepare.is_empty() {
                    return Ok(Map::new());
                }
                if let Some(remembered) = self.remembered().await? {
                    return Ok(remembered);
                }
                let kept = self.sequence(&object.prepare, Map::new()).await?;
                self.remember(&kept).await?;
                Ok(kept)
            })
            .await
    }

    /// Calls without rows, one after the other.
    pub(super) async fn sequence(
        &self,
        calls: &[Call],
        mut kept: Map<String, Value>,
    ) -> Result<Map<String, Value>, Judged> {
        for call in calls {
            let now = self.account().now();
            let so_far = Value::Object(kept);
            let scope = self.scope(&now).with(Root::Kept, &so_far);
            let skipped = call.when.as_ref().is_some_and(|when| !when.holds(&scope));
            let mut added = Map::new();
            if !skipped {
                let purpose = if call.reads {
                    Purpose::Read
                } else {
                    Purpose::Write { repeatable: true }
                };
                let asked = Asked {
                    call,
                    scope,
                    rows: 0,
                    purpose,
                    max_body: None,
                };
                let ran = self.account().run(&asked).await;
                if !ran.judged.worked() {
                    return Err(without_rows(ran.judged));
                }
                added = keep(call, &ran.answers, &scope);
            }
            kept = match so_far {
                Value::Object(kept) => kept,
                _ => Map::new(),
            };
            kept.extend(added);
        }
        Ok(kept)
    }

    /// The calls of `prepare` that look something up, as far as nothing has to be made.
    pub(super) async fn look_up(&self, calls: &[Call]) -> Result<Map<String, Value>, Judged> {
        let mut kept = Map::new();
        for call in calls {
            if call.reads {
                kept = self.sequence(std::slice::from_ref(call), kept).await?;
                continue;
            }
            let now = self.account().now();
            let so_far = Value::Object(kept.clone());
            let scope = self.scope(&now).with(Root::Kept, &so_far);
            if call.when.as_ref().is_none_or(|when| when.holds(&scope)) {
                let message = "no run has made it yet";
                return Err(Judged::new(Verdict::MissingObject, message));
            }
        }
        Ok(kept)
    }

    fn remembered_name(&self, name: &str) -> String {
        format!("object/{}/{name}", self.object_path())
    }

    pub(super) async fn remembered(&self) -> Result<Option<Map<String, Value>>, Judged> {
        let names = &self.object().remember;
        if names.is_empty() {
            return Ok(None);
        }
        let mut found = Map::new();
        for name in names {
            let stored = self
                .account()
                .store()
                .load(&self.remembered_name(name))
                .await;
            match stored.map_err(|_| not_stored())? {
                Some(secret) => {
                    let value = serde_json::from_str(secret.expose());
                    found.insert(name.clone(), value.unwrap_or(Value::Null));
                }
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    async fn remember(&self, kept: &Map<String, Value>) -> Result<(), Judged> {
        for name in &self.object().remember {
            let value = kept.get(name).filter(|value| !value.is_null());
            let Some(value) = value else {
                let message = format!("the preparation of the object has found no `{name}`");
                return Err(Judged::new(Verdict::Misconfigured, message));
            };
            let secret = Secret::new(value.to_string());
            let saved = self
                .account()
                .store()
                .save(&self.remembered_name(name), &secret)
                .await;
            saved.map_err(|_| not_stored())?;
        }
        Ok(())
    }

    /// The object is gone: the next run prepares a new one.
    pub(super) async fn forget(&self) {
        for name in &self.object().remember {
            let forgotten = self
                .account()
                .store()
                .forget(&self.remembered_name(name))
                .await;
            if forgotten.is_err() {
                tracing::warn!(
                    destination = self.account().manifest().name,
                    "what was remembered cannot be forgotten"
                );
            }
        }
    }
}

/// A refusal of something that is about no rows: no row is at fault, and no other would fare better.
fn without_rows(judged: Judged) -> Judged {
    match judged.verdict {
        Verdict::Rejected | Verdict::Conflict | Verdict::MissingRow | Verdict::TooLarge => Judged {
            wait: None,
            ..Judged::new(Verdict::Misconfigured, judged.message)
        },
        _ => judged,
    }
}

fn not_stored() -> Judged {
    Judged::new(
        Verdict::Temporary,
        "what is remembered of the object cannot be read or stored",
    )
}

/// What a call keeps that speaks of no rows: of the picked item, or of the first answer. What is null is kept
/// too: that nothing was found is what a later call asks for.
pub(super) fn keep(call: &Call, answers: &[Answer], scope: &Scope<'_>) -> Map<String, Value> {
    let values = |scope: &Scope<'_>| -> Map<String, Value> {
        let found = call.keep.iter().map(|(name, expression)| {
            let value = expression.evaluate(scope).into_owned();
            (name.clone(), value)
        });
        found.collect()
    };
    let Some((list, pick)) = &call.pick else {
        return match answers.first() {
            Some(answer) => values(&answer.scope(*scope)),
            None => Map::new(),
        };
    };
    let mut before = 0;
    for answer in answers {
        let of_answer = answer.scope(*scope);
        let items = list.evaluate(&of_answer);
        let items = items.as_array().map_or(&[][..], Vec::as_slice);
        for (position, item) in items.iter().enumerate() {
            let position = Value::from(before + position);
            let scope = of_answer
                .with(Root::Answer, item)
                .with(Root::Position, &position);
            if pick.holds(&scope) {
                return values(&scope);
            }
        }
        before += items.len();
    }
    Map::new()
}

/// A message of several words that names a thing of the sync.
pub(super) fn shown(value: &Value) -> String {
    scalar_text(value).unwrap_or_default()
}
