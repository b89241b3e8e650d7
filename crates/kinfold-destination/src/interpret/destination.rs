//! A destination as its manifest says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Capabilities, CredentialsCheck, Destination, DestinationError,
    FailureClass, JobHandle, JobState, Outcome, Reach, Run, SendResult, Target,
};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::account::Account;
use super::discovery;
use super::group::Stopped;
use super::job::HalfTold;
use super::judge::Judged;
use super::prepare::shown;
use super::refuse;
use super::rows::rows_of;
use crate::expression::{Root, Row, Scope};
use crate::manifest::{Counted, Object, Operation, OperationName, Verdict};

/// Most requests at a time where the manifest does not say.
const AT_ONCE: usize = 8;
/// Most bytes of a batch's rows where the manifest does not say.
const MAX_BYTES: usize = 4 << 20;

/// Delivers one sync to one object of a destination that a manifest describes.
pub struct ManifestDestination {
    account: Arc<Account>,
    /// Position of the object in the manifest.
    object: usize,
    object_path: String,
    mode: SyncMode,
    object_value: Value,
    sync_value: Value,
    key: String,
    run_value: std::sync::OnceLock<(Value, Value)>,
    prepared: OnceCell<Map<String, Value>>,
    has_sent: AtomicBool,
    fields: Vec<String>,
    stopped: Stopped,
    half_told: HalfTold,
}

impl ManifestDestination {
    /// A destination for one object. Opens no connection.
    ///
    /// # Errors
    /// The object, its arguments, the mode, the key or a field is not one that the manifest knows.
    pub fn new(account: Arc<Account>, target: &Target) -> Result<Self, DestinationError> {
        account.manifest().check_sync(target)?;
        let (object, arguments) = discovery::object_of(account.manifest(), &target.object)?;
        let connection = account.connection();
        refuse::check_sync(object, &arguments, target, Some(connection))?;
        let object_value = refuse::object_value(object, &arguments);
        let name = object.name.clone();
        let position = account
            .manifest()
            .objects
            .iter()
            .position(|object| object.name == name);
        let key = target.key_fields.first().cloned().unwrap_or_default();
        let mut fields = target.key_fields.clone();
        fields.extend(target.fields.iter().cloned());
        Ok(Self {
            object: position.unwrap_or_default(),
            object_path: target.object.clone(),
            mode: target.mode,
            object_value,
            sync_value: refuse::sync_value(target),
            key,
            run_value: std::sync::OnceLock::new(),
            prepared: OnceCell::new(),
            has_sent: AtomicBool::new(false),
            fields,
            stopped: Stopped::new(),
            half_told: HalfTold::new(),
            account,
        })
    }

    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    pub(super) fn object(&self) -> &Object {
        // The position was found in this manifest.
        static NOTHING: std::sync::LazyLock<Object> = std::sync::LazyLock::new(Object::nothing);
        self.account
            .manifest()
            .objects
            .get(self.object)
            .unwrap_or(&NOTHING)
    }

    pub(super) fn stopped(&self) -> &Stopped {
        &self.stopped
    }

    pub(super) fn half_told(&self) -> &HalfTold {
        &self.half_told
    }

    pub(super) fn object_path(&self) -> &str {
        &self.object_path
    }

    /// The mapped fields, those of the key first.
    pub(super) fn fields(&self) -> &[String] {
        &self.fields
    }

    pub(super) fn preparation(&self) -> &OnceCell<Map<String, Value>> {
        &self.prepared
    }

    /// What every call may look up.
    pub(super) fn scope<'a>(&'a self, now: &'a Value) -> Scope<'a> {
        let scope = Scope::default()
            .with(Root::Connection, self.account.connection())
            .with(Root::Object, &self.object_value)
            .with(Root::Now, now);
        match self.run_value.get() {
            Some((sync, run)) => scope.with(Root::Sync, sync).with(Root::Run, run),
            None => scope.with(Root::Sync, &self.sync_value),
        }
    }

    /// The run is known with its first batch.
    fn note_run(&self, run: &Run) {
        self.run_value.get_or_init(|| {
            let mut sync = self.sync_value.clone();
            if let Value::Object(members) = &mut sync {
                members.insert("name".to_owned(), Value::from(run.sync.as_str()));
            }
            (
                sync,
                json!({"id": run.run_id, "number": discovery::number_of(&run.run_id)}),
            )
        });
    }

    fn forms(&self, operation: BatchOperation) -> &[Operation] {
        let name = OperationName::of(operation, self.mode);
        self.object().operation(name).unwrap_or_default()
    }

    pub(super) fn form(&self, batch: &Batch) -> Option<&Operation> {
        let forms = self.forms(batch.operation);
        forms
            .iter()
            .find(|form| batch.changes.len() >= form.min_rows)
            .or(forms.last())
    }

    pub(super) fn form_with_job(&self, batch: &Batch) -> Option<&Operation> {
        self.form(batch)
            .filter(|form| form.job.is_some())
            .or_else(|| {
                self.forms(batch.operation)
                    .iter()
                    .find(|form| form.job.is_some())
            })
    }

    /// The rows of a batch that can be sent, and for each row of the batch why it cannot.
    pub(super) fn rows_and_refused(&self, batch: &Batch) -> (Vec<Row>, Vec<Option<Outcome>>) {
        let now = self.account.now();
        let scope = self.scope(&now);
        let form = self.form(batch);
        let rows = rows_of(batch, self.object(), &scope, &self.key);
        let most = form.and_then(|form| form.row_bytes);
        let refused = |class, message: &str| {
            Some(Outcome::Rejected {
                class,
                message: message.to_owned(),
            })
        };
        let mut sendable = Vec::with_capacity(rows.len());
        let mut outcomes = Vec::with_capacity(rows.len());
        for (row, change) in rows.into_iter().zip(&batch.changes) {
            let size = change.key.as_str().len() + change.fields.as_str().len();
            outcomes.push(if most.is_some_and(|most| size > most) {
                refused(
                    FailureClass::TooLarge,
                    "the row is larger than the destination accepts",
                )
            } else if let Some(row) = row {
                let reason = refuse::of_row(self.object(), form, &row, &scope);
                match reason {
                    Some(reason) => refused(FailureClass::InvalidRow, &reason),
                    None => {
                        sendable.push(row);
                        None
                    }
                }
            } else {
                refused(
                    FailureClass::InvalidRow,
                    "nothing is left of the row's identifiers after cleaning",
                )
            });
        }
        (sendable, outcomes)
    }

    pub(super) fn error_of(&self, judged: &Judged) -> DestinationError {
        let address = self.account.manifest().title.clone();
        let reason = judged.message.clone();
        match judged.verdict {
            Verdict::Unauthorized | Verdict::Expired => DestinationError::Unauthorized { address },
            Verdict::MissingObject => DestinationError::ObjectMissing {
                address,
                object: self.object_path.clone(),
            },
            Verdict::Temporary if judged.class == FailureClass::Unreachable => {
                DestinationError::Unreachable { address, reason }
            }
            Verdict::Temporary | Verdict::Throttled | Verdict::Unknown => {
                DestinationError::Unavailable { address, reason }
            }
            _ => DestinationError::Unexpected { address, reason },
        }
    }
}

impl std::fmt::Debug for ManifestDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManifestDestination")
            .field("account", &self.account)
            .field("object", &shown(&self.object_value["name"]))
            .finish_non_exhaustive()
    }
}

/// Most rows of a batch that these forms send. One that becomes a job is not taken apart.
fn most_rows(forms: &[Operation]) -> usize {
    let jobs = forms.iter().filter(|form| form.job.is_some());
    let of_jobs = jobs.map(|form| form.rows).min();
    of_jobs
        .or(forms.iter().map(|form| form.rows).max())
        .unwrap_or(1)
}

#[async_trait]
impl Destination for ManifestDestination {
    fn capabilities(&self) -> Capabilities {
        let object = self.object();
        let all = object.operations.iter();
        // Of `append` and `insert`, which are one operation of batches, the mode decides.
        let used: Vec<&(OperationName, Vec<Operation>)> = all
            .filter(|(name, _)| OperationName::of(name.batch_operation(), self.mode) == *name)
            .collect();
        let forms = || used.iter().flat_map(|(_, forms)| forms);
        let limit = self
            .account
            .manifest()
            .limits
            .iter()
            .filter_map(|limit| match limit.most {
                Counted::AtOnce(most) => usize::try_from(most).ok(),
                _ => None,
            });
        Capabilities {
            modes: object.modes(),
            operations: used
                .iter()
                .map(|(name, _)| name.batch_operation())
                .collect(),
            idempotent: used
                .iter()
                .filter(|(_, forms)| forms.iter().all(|form| form.repeatable))
                .map(|(name, _)| name.batch_operation())
                .collect(),
            max_rows: used
                .iter()
                .map(|(_, forms)| most_rows(forms))
                .max()
                .unwrap_or(1),
            max_bytes: forms()
                .filter_map(|form| form.bytes)
                .max()
                .unwrap_or(MAX_BYTES),
            max_in_flight: limit.min().unwrap_or(AT_ONCE),
            reads: false,
        }
    }

    fn max_rows(&self, operation: BatchOperation) -> usize {
        most_rows(self.forms(operation))
    }

    fn credentials_check(&self) -> CredentialsCheck {
        self.asks_about_credentials()
    }

    async fn check(&self) -> Result<(), DestinationError> {
        self.check_credentials().await?;
        self.check_fields().await
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        self.note_run(&batch.run);
        self.has_sent.store(true, Ordering::Relaxed);
        match self.form(batch) {
            Some(form) => self.send_all(form, batch).await,
            None => SendResult::Fatal {
                class: FailureClass::Misconfigured,
                message: format!(
                    "`{}` cannot {} rows",
                    self.object().name,
                    batch.operation.as_str()
                ),
            },
        }
    }

    fn max_jobs(&self) -> usize {
        let forms = self.object().operations.iter().flat_map(|(_, forms)| forms);
        let jobs = forms.filter_map(|form| form.job.as_ref());
        jobs.map(|job| job.at_once).max().unwrap_or(0)
    }

    async fn poll(&self, job: &JobHandle, batch: &Batch) -> JobState {
        self.note_run(&batch.run);
        self.ask(job, batch).await
    }

    async fn reach(&self) -> Result<Option<Reach>, DestinationError> {
        let asked = self.ask_reach().await;
        asked.map_err(|judged| self.error_of(&judged))
    }

    async fn finish(&self) -> Result<(), DestinationError> {
        let object = self.object();
        // What was not prepared is not over: nothing was sent.
        let prepared = self.prepared.get().filter(|_| !object.finish.is_empty());
        let Some(kept) = prepared.filter(|_| self.has_sent.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let incomplete = |judged: Judged| DestinationError::Incomplete {
            address: self.account.manifest().title.clone(),
            reason: judged.message,
        };
        self.sequence(&object.finish, kept.clone())
            .await
            .map_err(incomplete)?;
        Ok(())
    }
}
