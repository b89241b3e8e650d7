//! Objects and fields: those that the manifest knows, and those of the account.

use kinfold_project::suggest;
use kinfold_sync::{DestinationError, Target};
use serde_json::Value;

use super::account::Account;
use super::call::Asked;
use super::judge::{Judged, Purpose};
use super::refuse;
use crate::expression::{Root, Scope, sha256_hex};
use crate::manifest::{Discover, Field, Manifest, Object, OperationName, Reaches, Removal};
use crate::template::scalar_text;

fn invalid(option: &str, reason: String) -> DestinationError {
    DestinationError::Option {
        option: option.to_owned(),
        reason,
    }
}

impl Manifest {
    /// Whether a sync can be carried out, as far as can be said without asking the destination: the object, its
    /// arguments, the mode, the key and the fields.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_sync(&self, target: &Target) -> Result<(), DestinationError> {
        let (object, arguments) = object_of(self, &target.object)?;
        check_target(self, object, target)?;
        refuse::check_sync(object, &arguments, target, None)
    }

    /// What becomes of rows that leave, if the sync deletes them and they are gone for good then. A mirror deletes
    /// unless it says otherwise, so whoever checks a sync asks for the word `on_leave: delete` in this case.
    #[must_use]
    pub fn final_removal(&self, target: &Target) -> Option<&Removal> {
        let (object, _) = object_of(self, &target.object).ok()?;
        let removal = object.removal.as_ref();
        removal.filter(|removal| target.deletes && removal.reaches == Reaches::Final)
    }
}

/// The object that a sync names, and its arguments: `list/42`.
pub(super) fn object_of<'a>(
    manifest: &'a Manifest,
    path: &str,
) -> Result<(&'a Object, Vec<String>), DestinationError> {
    let name = path.split('/').next().unwrap_or_default();
    let Some(object) = manifest.object(name) else {
        let names = manifest.objects.iter().map(|object| object.name.as_str());
        let help = suggest::did_you_mean(name, names.clone())
            .unwrap_or_else(|| format!("there is {}", suggest::one_of(names)));
        return Err(invalid(
            "object",
            format!("`{}` has no object `{name}`; {help}", manifest.name),
        ));
    };
    let rest = path.split_once('/').map(|(_, rest)| rest);
    let wanted: Vec<&str> = object
        .arguments
        .iter()
        .map(|argument| argument.name.as_str())
        .collect();
    let given: Vec<String> = match (rest, wanted.len()) {
        (None, _) | (Some(_), 0) => Vec::new(),
        // The last argument may have slashes in it.
        (Some(rest), count) => rest.splitn(count, '/').map(str::to_owned).collect(),
    };
    let fits = given.len() == wanted.len() && given.iter().all(|text| !text.is_empty());
    if !fits || (rest.is_some() && wanted.is_empty()) {
        let form: String = wanted.iter().map(|name| format!("/<{name}>")).collect();
        return Err(invalid(
            "object",
            format!("`{path}` must have the form `{name}{form}`"),
        ));
    }
    Ok((object, given))
}

/// Whether a sync can be carried out, as far as the manifest knows.
pub(super) fn check_target(
    manifest: &Manifest,
    object: &Object,
    target: &Target,
) -> Result<(), DestinationError> {
    let modes = object.modes();
    if !modes.contains(&target.mode) {
        return Err(DestinationError::ModeUnsupported {
            mode: target.mode.as_str(),
        });
    }
    if target.deletes && object.operation(OperationName::Delete).is_none() {
        let reason = format!(
            "rows of `{}` cannot be deleted at `{}`",
            object.name, manifest.name
        );
        return Err(invalid("on_leave", reason));
    }
    if !object.keys.is_empty() {
        let mut given = target.key_fields.clone();
        given.sort();
        let fits = object.keys.iter().any(|key| {
            let mut key = key.clone();
            key.sort();
            key == given
        });
        if !fits {
            let keys: Vec<String> = object.keys.iter().map(|key| key.join(", ")).collect();
            let known = suggest::one_of(keys.iter().map(String::as_str));
            return Err(invalid(
                "key",
                format!("rows of `{}` are found by {known}", object.name),
            ));
        }
    }
    let Some(list) = &object.fields else {
        return Ok(());
    };
    let all: Vec<String> = target
        .key_fields
        .iter()
        .chain(&target.fields)
        .cloned()
        .collect();
    if list.discover.is_none() {
        check_fields(object, &target.object, &all, &[])?;
    }
    match list
        .known
        .iter()
        .find(|field| field.required && !all.contains(&field.name))
    {
        Some(field) => Err(invalid(
            "mapping",
            format!("`{}` needs the field `{}`", object.name, field.name),
        )),
        None => Ok(()),
    }
}

/// Whether every mapped field is there and can be written.
pub(super) fn check_fields(
    object: &Object,
    path: &str,
    mapped: &[String],
    found: &[Field],
) -> Result<(), DestinationError> {
    let Some(list) = &object.fields else {
        return Ok(());
    };
    for name in mapped {
        let field = list
            .known
            .iter()
            .chain(found)
            .find(|field| field.name == *name);
        match field {
            Some(field) if field.read_only => {
                return Err(DestinationError::FieldReadOnly {
                    object: path.to_owned(),
                    field: name.clone(),
                });
            }
            None if !list.open => {
                return Err(DestinationError::FieldMissing {
                    object: path.to_owned(),
                    field: name.clone(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The fields of the account.
pub(super) async fn fields(
    account: &Account,
    discover: &Discover,
    scope: Scope<'_>,
) -> Result<Vec<Field>, Judged> {
    let asked = Asked {
        call: &discover.call,
        scope,
        rows: 0,
        purpose: Purpose::Read,
        max_body: None,
    };
    let ran = account.run(&asked).await;
    if !ran.judged.worked() {
        return Err(ran.judged);
    }
    let mut found = Vec::new();
    let mut before = 0;
    for answer in &ran.answers {
        let of_answer = answer.scope(scope);
        let items = discover.items.evaluate(&of_answer);
        let items = items.as_array().map_or(&[][..], Vec::as_slice);
        for (position, item) in items.iter().enumerate() {
            let position = Value::from(before + position);
            let scope = of_answer
                .with(Root::Answer, item)
                .with(Root::Position, &position);
            if let Some(name) = scalar_text(&discover.name.evaluate(&scope)) {
                found.push(Field {
                    name,
                    about: None,
                    required: false,
                    read_only: discover
                        .read_only
                        .as_ref()
                        .is_some_and(|condition| condition.holds(&scope)),
                });
            }
        }
        before += items.len();
    }
    Ok(found)
}

/// A number of a run that any reader of JSON can hold, made of its id.
pub(super) fn number_of(run_id: &str) -> u64 {
    let digits: String = sha256_hex(run_id.as_bytes()).chars().take(13).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(1)
}
