//! What is refused before anything is sent.

use kinfold_project::SyncMode;
use kinfold_sync::{DestinationError, Target};
use serde_json::{Map, Value, json};

use crate::expression::{Root, Row, Scope};
use crate::manifest::{Object, Operation, OperationName, Refusal};

const NO_WORDS: &str = "the destination does not take it";

/// The value behind `sync`, as far as it is known before a run.
pub(super) fn sync_value(target: &Target) -> Value {
    json!({
        "mode": target.mode.as_str(),
        "key": target.key_fields.first().map_or("", String::as_str),
        "keys": target.key_fields,
        "fields": target.fields,
    })
}

/// The value behind `object`.
pub(super) fn object_value(object: &Object, arguments: &[String]) -> Value {
    let mut value = Map::new();
    value.insert("name".to_owned(), Value::from(object.name.as_str()));
    for (argument, text) in object.arguments.iter().zip(arguments) {
        value.insert(argument.name.clone(), Value::from(text.as_str()));
    }
    Value::Object(value)
}

/// Whether the object takes a sync. Without a connection only what needs none is looked at.
///
/// # Errors
/// Why not.
pub(super) fn check_sync(
    object: &Object,
    arguments: &[String],
    target: &Target,
    connection: Option<&Value>,
) -> Result<(), DestinationError> {
    let sync = sync_value(target);
    let own = object_value(object, arguments);
    let mut scope = Scope::default()
        .with(Root::Sync, &sync)
        .with(Root::Object, &own);
    if let Some(connection) = connection {
        scope = scope.with(Root::Connection, connection);
    }
    let refused = of_sync(object, target.mode, target.deletes)
        .filter(|refusal| refusal.is_of_sync())
        .filter(|refusal| connection.is_some() || !refusal.uses(Root::Connection))
        .find(|refusal| refusal.condition.holds(&scope));
    match refused {
        Some(refusal) => Err(DestinationError::SyncRefused {
            object: target.object.clone(),
            reason: words(refusal, &scope),
        }),
        None => Ok(()),
    }
}

/// The refusals of the object, and of the operations that a sync needs.
fn of_sync(object: &Object, mode: SyncMode, deletes: bool) -> impl Iterator<Item = &Refusal> {
    let used = move |name: OperationName| {
        name == OperationName::of_mode(mode) || (deletes && name == OperationName::Delete)
    };
    let operations = object.operations.iter();
    let used = operations.filter(move |(name, _)| used(*name));
    let forms = used.flat_map(|(_, forms)| forms);
    object
        .refuse
        .iter()
        .chain(forms.flat_map(|form| &form.refuse))
}

/// Why a row is not sent.
pub(super) fn of_row(
    object: &Object,
    form: Option<&Operation>,
    row: &Row,
    scope: &Scope<'_>,
) -> Option<String> {
    let scope = scope.with_row(row);
    let of_form = form.into_iter().flat_map(|form| &form.refuse);
    let mut refusals = object.refuse.iter().chain(of_form);
    let refusal = refusals.find(|refusal| !refusal.is_of_sync() && refusal.condition.holds(&scope));
    refusal.map(|refusal| words(refusal, &scope))
}

fn words(refusal: &Refusal, scope: &Scope<'_>) -> String {
    let words = refusal.message.render(scope);
    words.unwrap_or_else(|| NO_WORDS.to_owned())
}
