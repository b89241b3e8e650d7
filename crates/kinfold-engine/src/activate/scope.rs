//! A part of a changeset: some keys, or the first few rows.

use std::collections::HashSet;

use kinfold_lake::Lake;
use serde_json::Value;

use super::changeset::Changeset;
use super::class::Class;
use super::compare::key_hash;
use super::keys::Hash;
use super::state::Setup;
use super::{ActivateError, SyncRequest};
use crate::EngineError;

/// The keys that were asked for; none if all are meant.
pub(super) fn keys(
    request: &SyncRequest<'_>,
    setup: &Setup,
) -> Result<Option<HashSet<Hash>>, ActivateError> {
    key_of(&request.compiled.name, &request.scope.keys, setup)
}

/// Keys as a person writes them, as hashes; none if there are none.
pub(super) fn key_of(
    sync: &str,
    keys: &[Vec<(String, String)>],
    setup: &Setup,
) -> Result<Option<HashSet<Hash>>, ActivateError> {
    if keys.is_empty() {
        return Ok(None);
    }
    let keys = keys.iter().map(|given| {
        let text = key_text(given, setup).ok_or_else(|| ActivateError::KeyAskedFor {
            sync: sync.to_owned(),
            given: listed(given.iter().map(|(field, _)| format!("`{field}`"))),
            wanted: listed(
                setup
                    .key
                    .iter()
                    .map(|(field, kind)| format!("`{field}` ({kind})")),
            ),
        })?;
        Ok(key_hash(&text))
    });
    keys.collect::<Result<_, _>>().map(Some)
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// The canonical text of a key, from values as a person writes them.
fn key_text(given: &[(String, String)], setup: &Setup) -> Option<String> {
    let mut fields = vec![];
    for (field, kind) in &setup.key {
        let (_, text) = given.iter().find(|(name, _)| name == field)?;
        let value = match kind.as_str() {
            "boolean" => Value::Bool(text.parse().ok()?),
            "integer" => match text.parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => text.parse::<u64>().ok()?.into(),
            },
            "decimal" => return None,
            _ => text.as_str().into(),
        };
        fields.push(format!("{}:{value}", Value::from(field.as_str())));
    }
    // The fields of a setup are in the order of their names, as in canonical text.
    (given.len() == fields.len()).then(|| format!("{{{}}}", fields.join(",")))
}

/// Keeps the first rows that the model has, and lets nothing leave.
pub(super) async fn limit(
    lake: &Lake,
    found: &mut Changeset,
    rows: u64,
) -> Result<(), EngineError> {
    let mut left = rows;
    let (mut adds, mut updates) = (0, 0);
    let mut kept = vec![];
    for chunk in std::mem::take(&mut found.sending) {
        if left == 0 {
            break;
        }
        let chunk = chunk.first(left);
        left -= chunk.rows;
        let rows = chunk.rows(lake).await?;
        let added = rows
            .operation
            .iter()
            .filter(|word| *word == Some(Class::Add.word()));
        let added = added.count() as u64;
        adds += added;
        updates += chunk.rows - added;
        kept.push(chunk);
    }
    found.sending = kept;
    found.leaving.clear();
    found.notes.clear();
    found.tally.limit(adds, updates);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_kind_of_the_sync() {
        let setup = Setup {
            connection: String::new(),
            object: String::new(),
            key: vec![
                ("id".to_owned(), "integer".to_owned()),
                ("name".to_owned(), "text".to_owned()),
            ],
        };
        let given = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(field, value): &(&str, &str)| ((*field).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect()
        };
        let text = key_text(&given(&[("name", "a\"b"), ("id", "7")]), &setup);
        assert_eq!(text.as_deref(), Some(r#"{"id":7,"name":"a\"b"}"#));
        for wrong in [
            vec![("id", "7")],
            vec![("id", "x"), ("name", "a")],
            vec![("id", "7"), ("name", "a"), ("other", "b")],
        ] {
            assert_eq!(key_text(&given(&wrong), &setup), None, "{wrong:?}");
        }
    }
}
