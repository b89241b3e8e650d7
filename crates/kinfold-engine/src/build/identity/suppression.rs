//! Identifiers and records of people who were erased: rows with them are as if they were not there.
//!
//! The list says who may not come back while the rows are still in the sources, so it is a trace that is
//! left on purpose. It holds keyed hashes only, under a key of its own that is drawn at random and kept
//! beside it. Whoever can read the lake can find out whether a guess is on the list, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use kinfold_lake::ObjectTag;
use kinfold_project::NodeId;
use serde::{Deserialize, Serialize};

use super::rows::text;
use super::rules::Forms;
use crate::{Engine, EngineError};

/// Newest format that this program reads and the one that it writes.
const FORMAT: u64 = 1;
/// The type under which canonical ids are on the list.
const CANONICAL_ID: &str = "canonical_id";

/// A hash of an identifier or a record: the first 16 bytes, in hexadecimal.
type Digest = String;

/// Who was erased from an identity.
#[derive(Clone, Debug, Default)]
pub(in crate::build) struct Suppression {
    stored: Option<Stored>,
    tag: Option<ObjectTag>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    format: u64,
    /// Key of the hashes, 32 bytes in hexadecimal.
    key: String,
    /// Tells two lists apart.
    run_id: String,
    identifiers: BTreeSet<Digest>,
    records: BTreeSet<Digest>,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

impl Suppression {
    /// The list of an identity in this environment.
    pub(in crate::build) async fn load(
        engine: &Engine,
        identity: &NodeId,
    ) -> Result<Self, EngineError> {
        let name = object_name(engine, identity);
        let Some((bytes, tag)) = engine.lake.read_for_swap(&name).await? else {
            return Ok(Self::default());
        };
        let unreadable = |source| EngineError::Document {
            name: name.clone(),
            source,
        };
        let FormatOnly { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if format > FORMAT {
            return Err(EngineError::NewerFormat {
                name,
                found: format,
                supported: FORMAT,
            });
        }
        Ok(Self {
            stored: Some(serde_json::from_slice(&bytes).map_err(unreadable)?),
            tag: Some(tag),
        })
    }

    /// What a node's key has to say of the list: nothing if nobody was erased.
    pub(in crate::build) fn version(&self) -> &str {
        self.stored.as_ref().map_or("", |stored| &stored.run_id)
    }

    /// Whether an identifier, in the form in which it is compared, is on the list.
    pub(in crate::build) fn has_identifier(&self, id_type: &str, id_value: &str) -> bool {
        let Some(stored) = &self.stored else {
            return false;
        };
        let digest = key_of(stored).map(|key| digest(&key, "identifier", id_type, id_value));
        digest.is_some_and(|digest| stored.identifiers.contains(&digest))
    }

    /// Whether a canonical id is that of somebody who was erased.
    pub(in crate::build) fn has_person(&self, canonical_id: &str) -> bool {
        self.has_identifier(CANONICAL_ID, canonical_id)
    }

    /// Adds people to the list: their identifiers in the form in which they are compared, their canonical
    /// ids, their records by source and id.
    pub(in crate::build) async fn add(
        &mut self,
        engine: &Engine,
        identity: &NodeId,
        identifiers: &BTreeSet<(String, String)>,
        canonical_ids: &BTreeSet<String>,
        records: &BTreeSet<(String, String)>,
    ) -> Result<(), EngineError> {
        let mut stored = self.stored.clone().unwrap_or_else(new_list);
        let key = key_of(&stored).unwrap_or_default();
        let of_people = canonical_ids.iter().map(|id| (CANONICAL_ID, id.as_str()));
        let all = identifiers.iter().map(|(t, v)| (t.as_str(), v.as_str()));
        for (id_type, value) in all.chain(of_people) {
            let entry = digest(&key, "identifier", id_type, value);
            stored.identifiers.insert(entry);
        }
        for (source, record_id) in records {
            let entry = digest(&key, "record", source, record_id);
            stored.records.insert(entry);
        }
        stored.run_id.clone_from(&engine.clock.run_id);
        let name = object_name(engine, identity);
        let bytes = serde_json::to_vec(&stored).map_err(|source| EngineError::Document {
            name: name.clone(),
            source,
        })?;
        let swapped = engine
            .lake
            .swap(&name, self.tag.as_ref(), Bytes::from(bytes));
        self.tag = Some(swapped.await?);
        self.stored = Some(stored);
        Ok(())
    }

    /// The rows of the identity's statement without those of people on the list.
    pub(super) fn keep(
        self: &Arc<Self>,
        streams: Vec<SendableRecordBatchStream>,
        forms: &Arc<Forms>,
    ) -> Vec<SendableRecordBatchStream> {
        if self.stored.is_none() {
            return streams;
        }
        let kept = streams.into_iter().map(|stream| {
            let (list, forms) = (Arc::clone(self), Arc::clone(forms));
            let schema = stream.schema();
            let kept = stream.and_then(move |batch| {
                let kept = list.rows_to_keep(&batch, &forms);
                async move { kept }
            });
            Box::pin(RecordBatchStreamAdapter::new(schema, kept)) as SendableRecordBatchStream
        });
        kept.collect()
    }

    fn rows_to_keep(
        &self,
        batch: &RecordBatch,
        forms: &Forms,
    ) -> Result<RecordBatch, DataFusionError> {
        let Some((stored, key)) = self
            .stored
            .as_ref()
            .and_then(|stored| Some((stored, key_of(stored)?)))
        else {
            return Ok(batch.clone());
        };
        let [sources, records, types, values] = [
            text(batch, 0)?,
            text(batch, 1)?,
            text(batch, 2)?,
            text(batch, 3)?,
        ];
        let cell =
            |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
        let keep = |row| {
            if let (Some(source), Some(record)) = (cell(sources, row), cell(records, row))
                && stored
                    .records
                    .contains(&digest(&key, "record", &source, &record))
            {
                return false;
            }
            if let (Some(id_type), Some(value)) = (cell(types, row), cell(values, row)) {
                // What is none of its type is nobody's, and known by its record only.
                let form = forms.form(&id_type, &value).unwrap_or(None);
                let value = form.unwrap_or(value);
                let entry = digest(&key, "identifier", &id_type, &value);
                return !stored.identifiers.contains(&entry);
            }
            true
        };
        let kept: BooleanArray = (0..batch.num_rows()).map(|row| Some(keep(row))).collect();
        Ok(filter_record_batch(batch, &kept)?)
    }
}

fn object_name(engine: &Engine, identity: &NodeId) -> String {
    format!("suppressed/{}/{identity}.json", engine.environment.name)
}

fn new_list() -> Stored {
    // Random numbers of version 4, which are those of the operating system.
    let key = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    Stored {
        format: FORMAT,
        key: key.map(|half| half.simple().to_string()).concat(),
        run_id: String::new(),
        identifiers: BTreeSet::new(),
        records: BTreeSet::new(),
    }
}

/// The key of the hashes; a text of any other length is stretched to one.
fn key_of(stored: &Stored) -> Option<[u8; 32]> {
    (!stored.key.is_empty())
        .then(|| blake3::derive_key("kinfold suppression list, version 1", stored.key.as_bytes()))
}

fn digest(key: &[u8; 32], kind: &str, name: &str, value: &str) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in [kind, name, value] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hex = hasher.finalize().to_hex();
    hex.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::{Suppression, digest, key_of, new_list};

    #[test]
    fn a_list_knows_whom_it_has_and_shows_nobody() {
        let mut stored = new_list();
        let key = key_of(&stored).unwrap_or_default();
        let entry = digest(&key, "identifier", "email", "ann@example.com");
        stored.identifiers.insert(entry);
        let text = serde_json::to_string(&stored).unwrap_or_default();
        assert!(!text.is_empty() && !text.contains("ann") && !text.contains("email"));
        let list = Suppression {
            stored: Some(stored),
            tag: None,
        };
        assert!(list.has_identifier("email", "ann@example.com"));
        assert!(!list.has_identifier("user_id", "ann@example.com"));
        assert!(!list.has_person("ann@example.com"));
        assert!(!Suppression::default().has_identifier("email", "ann@example.com"));
    }

    #[test]
    fn two_lists_of_one_person_have_nothing_in_common() {
        let [one, other] = [new_list(), new_list()].map(|list| {
            digest(
                &key_of(&list).unwrap_or_default(),
                "identifier",
                "email",
                "a@x",
            )
        });
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }
}
