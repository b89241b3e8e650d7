//! What a sync knows about its destination, and where it is stored.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use kinfold_compile::compile::CompiledSync;
use kinfold_lake::{CommitNote, Snapshot, TablePath};
use kinfold_project::{Connection, Sync};
use serde::{Deserialize, Serialize};

use super::{ActivateError, canonical};
use crate::{Engine, EngineError};

/// The form of the state table that this program reads and writes.
pub(super) const FORMAT: u64 = 3;
const FORMAT_KEY: &str = "sync_state_format";
const SETUP_KEY: &str = "sync_setup";
const BASE_KEY: &str = "sync_state_base_rows";
/// The `next_try` of rows that are not tried again by themselves: the year 9999, in microseconds, which every
/// reader of the table can show.
pub(super) const NEVER: i64 = 253_370_764_800_000_000;
/// A state is rewritten when more rows than this and half of it were appended, or
const MOST_APPENDED: u64 = 50_000;
/// when it has more files than this.
const MOST_FILES: u64 = 64;

/// Columns of the state table. It is a log: every fold appends rows, and of several rows with one key
/// the one with the greatest `ordinal` counts.
///
/// | column | meaning |
/// |---|---|
/// | `key_hash` | first 128 bits of BLAKE3 over `key_text` |
/// | `key_text` | canonical JSON of the key: what a removal needs when the model has the row no more |
/// | `ordinal` | number of the fold that wrote the row |
/// | `status` | outcome of the last attempt: `delivered`, `rejected`, `retryable`, `unknown`; `gone`: there is nothing of it any more |
/// | `payload_hash` | of the payload that the destination has confirmed; null if it never has |
/// | `ours` | whether it was confirmed to this sync; if not, this sync never removes it |
/// | `uncertain` | whether an attempt without an answer may have changed what was confirmed |
/// | `mapping_version` | fingerprint of the mapping that made the confirmed payload |
/// | `last_ack_run` | the run of the last confirmation, if the last attempt was it |
/// | `pending_hash`, `pending_operation` | what was attempted and not confirmed |
/// | `attempts` | runs that failed since the last confirmation |
/// | `next_try` | when a refused row is tried again though nothing about it has changed |
/// | `error_class`, `error_message`, `first_error_run` | of the last and the first of these |
/// | `row_digest` | of the row of the model whose payload was confirmed: equal digests mean equal payloads |
pub(super) fn schema() -> SchemaRef {
    let column = |name, data_type| Field::new(name, data_type, true);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        column("key_hash", DataType::Binary),
        column("key_text", DataType::Utf8),
        column("ordinal", DataType::Int64),
        column("status", DataType::Utf8),
        column("payload_hash", DataType::Binary),
        column("ours", DataType::Boolean),
        column("uncertain", DataType::Boolean),
        column("mapping_version", DataType::Utf8),
        column("last_ack_run", DataType::Utf8),
        column("pending_hash", DataType::Binary),
        column("pending_operation", DataType::Utf8),
        column("attempts", DataType::Int32),
        column("next_try", instant),
        column("error_class", DataType::Utf8),
        column("error_message", DataType::Utf8),
        column("first_error_run", DataType::Utf8),
        column("row_digest", DataType::Binary),
    ]))
}

/// Where a sync of an environment keeps its things.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Folder below `_kinfold/`.
    pub(super) folder: String,
    pub(super) state: TablePath,
    pub(super) invalid: TablePath,
    pub(super) ledger: TablePath,
    /// Name of the lease.
    pub(super) lease: String,
    /// Writer of the state; the ledger and the invalid keys have names after it.
    pub(super) app_id: String,
}

impl Place {
    pub(super) fn of(engine: &Engine, sync: &Sync) -> Result<Self, EngineError> {
        // A package's sync is told apart from one of the same name in the project.
        let name = match sync.package.as_str() {
            own if own == &*engine.project => sync.name.value.clone(),
            package => format!("{package}.{}", sync.name.value),
        };
        let environment = &engine.environment.name;
        let root = Self::root(engine);
        let folder = format!("{root}sync/{name}");
        Ok(Self {
            state: TablePath::new(&format!("_kinfold/{folder}/state"))?,
            invalid: TablePath::new(&format!("_kinfold/{folder}/invalid"))?,
            ledger: Self::ledger_table(engine)?,
            lease: folder.clone(),
            app_id: format!("kinfold:sync:{environment}:{name}"),
            folder,
        })
    }

    /// An environment that builds on another one's lake must not advance that one's state.
    fn root(engine: &Engine) -> String {
        if engine.environment.owns_lake {
            String::new()
        } else {
            format!("env-sync/{}/", engine.environment.name)
        }
    }

    /// Every row that was sent, by any sync of the environment.
    pub(super) fn ledger_table(engine: &Engine) -> Result<TablePath, EngineError> {
        let root = Self::root(engine);
        Ok(TablePath::new(&format!("_kinfold/{root}ledger"))?)
    }

    /// Every run of any sync of the environment.
    pub(super) fn runs_table(engine: &Engine) -> Result<TablePath, EngineError> {
        let root = Self::root(engine);
        Ok(TablePath::new(&format!("_kinfold/{root}sync_runs"))?)
    }

    /// The manifest of the plan that is not folded yet.
    pub(super) fn manifest(&self) -> String {
        format!("{}/run/plan.json", self.folder)
    }

    /// Says that one more run was asked for.
    pub(super) fn queued(&self) -> String {
        format!("{}/queued.json", self.folder)
    }

    /// What the last comparison saw.
    pub(super) fn compared(&self) -> String {
        format!("{}/compared.json", self.folder)
    }

    /// What says what a guard keeps back.
    pub(super) fn held_manifest(&self) -> String {
        format!("{}/held.json", self.folder)
    }

    /// Everything that a guard keeps back.
    pub(super) fn all_held(&self) -> String {
        format!("{}/held", self.folder)
    }

    /// What a guard keeps back under an id.
    pub(super) fn held(&self, id: &str) -> String {
        format!("{}/held/{id}", self.folder)
    }

    /// Everything of runs.
    pub(super) fn runs(&self) -> String {
        format!("{}/run", self.folder)
    }

    /// Everything of one run.
    pub(super) fn run(&self, delivery: &str) -> String {
        format!("{}/run/{delivery}", self.folder)
    }
}

/// What a state belongs to. With another connection, object or key the same rows are other rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) connection: String,
    pub(super) object: String,
    /// Key field and the kind of its values, by name.
    pub(super) key: Vec<(String, String)>,
}

impl Setup {
    /// Also checks that the types of keys and fields can be sent.
    pub(super) fn of(
        sync: &Sync,
        compiled: &CompiledSync,
        connection: &Connection,
    ) -> Result<Self, ActivateError> {
        let columns = compiled.plan.schema().fields();
        let fields = compiled.key_fields.len() + compiled.fields.len();
        if columns.len() != fields {
            return Err(ActivateError::Mapping {
                sync: compiled.name.clone(),
                columns: columns.len(),
                fields,
            });
        }
        let mut key = vec![];
        for (field, column) in compiled.key_fields.iter().zip(columns) {
            let kind =
                canonical::key_kind(column.data_type()).ok_or_else(|| ActivateError::KeyType {
                    sync: compiled.name.clone(),
                    field: field.clone(),
                    found: column.data_type().to_string(),
                })?;
            key.push((field.clone(), kind.to_owned()));
        }
        key.sort();
        for (field, column) in compiled.fields.iter().zip(columns.iter().skip(key.len())) {
            if !canonical::is_sendable(column.data_type()) {
                return Err(ActivateError::FieldType {
                    sync: compiled.name.clone(),
                    field: field.clone(),
                    found: column.data_type().to_string(),
                });
            }
        }
        let connection = format!("{} ({})", connection.name.value, connection.kind_name());
        Ok(Self {
            connection,
            object: sync.object.value.clone(),
            key,
        })
    }

    /// Refuses to go on with a state of something else.
    pub(super) fn require(&self, sync: &str, before: &Self) -> Result<(), ActivateError> {
        let changed = |what, before: String, now: String| {
            Err(ActivateError::TargetChanged {
                sync: sync.to_owned(),
                what,
                before,
                now,
            })
        };
        let listed = |key: &[(String, String)]| {
            key.iter()
                .map(|(field, kind)| format!("`{field}` ({kind})"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        if self.connection != before.connection {
            return changed(
                "connection",
                format!("`{}`", before.connection),
                format!("`{}`", self.connection),
            );
        }
        if self.object != before.object {
            return changed(
                "object",
                format!("`{}`", before.object),
                format!("`{}`", self.object),
            );
        }
        if self.key != before.key {
            return changed("key", listed(&before.key), listed(&self.key));
        }
        Ok(())
    }
}

/// The note of a commit to the state. `base_rows` are the rows that went into
/// its last rewriting: at least as many as came out of it.
pub(super) fn note(setup: &Setup, app_id: &str, ordinal: i64, base_rows: u64) -> CommitNote {
    CommitNote::new(app_id, ordinal)
        .with(FORMAT_KEY, FORMAT)
        .with(SETUP_KEY, serde_json::to_value(setup).unwrap_or_default())
        .with(BASE_KEY, base_rows)
}

/// The state of a sync as it is stored.
pub(super) struct State {
    snapshot: Option<Snapshot>,
    /// What it belongs to; `None` if nothing was ever folded.
    pub(super) setup: Option<Setup>,
    /// Ordinal of the last plan that was folded, 0 if none was.
    pub(super) ordinal: i64,
    base_rows: u64,
}

impl State {
    pub(super) async fn open(engine: &Engine, place: &Place) -> Result<Self, EngineError> {
        let Some(snapshot) = engine.lake.snapshot(&place.state, None).await? else {
            return Ok(Self {
                snapshot: None,
                setup: None,
                ordinal: 0,
                base_rows: 0,
            });
        };
        let ordinal = snapshot.transaction(&place.app_id).await?.unwrap_or(0);
        // Maintenance commits carry notes of their own, so the last fold may be a few versions back.
        let (mut setup, mut base_rows) = (None, 0);
        for version in (0..=snapshot.version()).rev() {
            let Some(note) = snapshot.note(version).await? else {
                continue;
            };
            let Some(format) = note
                .metadata
                .get(FORMAT_KEY)
                .and_then(serde_json::Value::as_u64)
            else {
                continue;
            };
            if format > FORMAT {
                return Err(ActivateError::NewerFormat {
                    object: place.state.to_string(),
                    found: format,
                    supported: FORMAT,
                }
                .into());
            }
            let base = note.metadata.get(BASE_KEY);
            base_rows = base.and_then(serde_json::Value::as_u64).unwrap_or(0);
            setup = note
                .metadata
                .get(SETUP_KEY)
                .cloned()
                .and_then(|v| serde_json::from_value(v).ok());
            break;
        }
        if setup.is_none() || snapshot.schema().fields() != schema().fields() {
            return Err(ActivateError::Stored {
                object: place.state.to_string(),
                reason: "it is not the state of a sync",
            }
            .into());
        }
        Ok(Self {
            snapshot: Some(snapshot),
            setup,
            ordinal,
            base_rows,
        })
    }

    /// Its rows, older ones of the same key included.
    pub(super) fn rows(&self) -> u64 {
        let snapshot = self.snapshot.as_ref();
        snapshot.map_or(0, |snapshot| snapshot.num_rows().unwrap_or(1))
    }

    /// The rows that went into its last rewriting.
    pub(super) fn base_rows(&self) -> u64 {
        self.base_rows
    }

    /// The table, if there is one.
    pub(super) fn provider(&self) -> Result<Option<Arc<dyn TableProvider>>, EngineError> {
        let snapshot = self.snapshot.as_ref();
        Ok(snapshot.map(Snapshot::provider).transpose()?)
    }

    /// Whether so much was appended that reading it costs more than rewriting it.
    pub(super) fn is_compaction_due(&self) -> bool {
        let appended = self.rows().saturating_sub(self.base_rows);
        let files = self.snapshot.as_ref().map_or(0, Snapshot::num_files);
        appended > self.base_rows / 2 + MOST_APPENDED || files > MOST_FILES
    }
}
