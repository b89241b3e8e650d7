//! The rows of one request through the calls of an operation.

use std::sync::Arc;

use kinfold_sync::{
    Batch, BatchId, BatchOperation, FailureClass, JobHandle, Outcome, SendResult, redact,
};
use serde_json::{Map, Value, json};

use super::call::{Asked, NotSent};
use super::destination::ManifestDestination;
use super::held::Held;
use super::judge::{Judged, Purpose};
use super::prepare::keep;
use super::rows::{at_position, outcome, read};
use super::unfinished::Unfinished;
use crate::expression::{Root, Row};
use crate::manifest::check::speaks_of_rows;
use crate::manifest::{Call, Operation, Verdict};

/// What became of a group of rows.
pub(super) enum GroupEnd {
    /// An outcome for each.
    Rows(Vec<Outcome>),
    /// The same for all.
    Whole(SendResult),
    /// A job was made of them.
    Job(JobHandle),
    /// The request would be too large.
    TooLarge,
}

/// Groups that wait for the end of a limit.
pub(super) type Stopped = Unfinished<BatchId, (usize, Progress)>;

/// How far the calls of a group have come.
pub(super) struct Progress {
    rows: Vec<Row>,
    settled: Vec<Option<Outcome>>,
    kept: Map<String, Value>,
    /// Whether a call that changes something has worked.
    wrote: bool,
    /// Positions of the rows in the request that made the job.
    members: Option<Vec<usize>>,
}

/// A group under way.
struct Group<'a> {
    destination: &'a ManifestDestination,
    form: &'a Operation,
    batch: &'a Batch,
    at: Progress,
}

impl ManifestDestination {
    /// Sends a group: a batch whose rows fit one request, with the rows as expressions see them.
    pub(super) async fn send_group(
        &self,
        form: &Operation,
        batch: &Batch,
        rows: Vec<Row>,
    ) -> GroupEnd {
        let prepared = match self.prepared().await {
            Ok(prepared) => prepared.clone(),
            Err(judged) => return GroupEnd::Whole(self.whole(&judged).await),
        };
        let clock = self.account().clock();
        let (first, at) = match self.stopped().take(&batch.id, clock.elapsed()) {
            Some(stopped) => stopped,
            None => {
                let begin = Progress {
                    settled: vec![None; rows.len()],
                    rows,
                    kept: prepared,
                    wrote: false,
                    members: None,
                };
                (0, begin)
            }
        };
        let mut group = Group {
            destination: self,
            form,
            batch,
            at,
        };
        let maker = maker(form);
        for (at, call) in form.calls.iter().enumerate().skip(first) {
            let Some(end) = group.call(call, maker == Some(at)).await else {
                continue;
            };
            if at > 0 && group.goes_on_here(&end) {
                let now = clock.elapsed();
                self.stopped().put(batch.id, now, (at, group.at));
            }
            return end;
        }
        group.end()
    }

    /// A verdict on everything that was sent.
    pub(super) async fn whole(&self, judged: &Judged) -> SendResult {
        let (class, message) = (judged.class, judged.message.clone());
        match judged.verdict {
            Verdict::Rejected | Verdict::Conflict | Verdict::MissingRow | Verdict::TooLarge => {
                SendResult::Rejected { class, message }
            }
            Verdict::Throttled => SendResult::RateLimited {
                retry_after: judged.wait,
            },
            Verdict::Temporary | Verdict::Failed => SendResult::Transient { class, message },
            Verdict::Unknown | Verdict::Lost => SendResult::Unknown { class, message },
            Verdict::MissingObject => {
                self.forget().await;
                SendResult::Fatal { class, message }
            }
            Verdict::Ok
            | Verdict::Done
            | Verdict::Pending
            | Verdict::Unauthorized
            | Verdict::Misconfigured
            | Verdict::Expired => SendResult::Fatal { class, message },
        }
    }
}

impl Group<'_> {
    /// Carries out one call for the rows that are open. An end is one for all of them.
    async fn call(&mut self, call: &Call, makes_job: bool) -> Option<GroupEnd> {
        let account = self.destination.account();
        let now = account.now();
        let kept = Value::Object(self.at.kept.clone());
        let base = self.destination.scope(&now).with(Root::Kept, &kept);
        let open = self
            .at
            .settled
            .iter()
            .enumerate()
            .filter(|(_, outcome)| outcome.is_none());
        let active: Vec<usize> = open
            .map(|(at, _)| at)
            .filter(|at| {
                let row = self.at.rows.get(*at);
                call.when
                    .as_ref()
                    .is_none_or(|when| row.is_some_and(|row| when.holds(&base.with_row(row))))
            })
            .collect();
        if active.is_empty() {
            return None;
        }
        let repeats = self.form.repeatable || !self.at.wrote;
        if makes_job && repeats && !Held::of(&active, &self.at.settled).fits(&self.at.kept) {
            // They come again without the others, and their job needs to name no rows.
            let class = FailureClass::NotSent;
            let message = "the rows wait for a job of their own".to_owned();
            self.settle(&active, &Outcome::Retryable { class, message });
            return None;
        }
        let picked = active
            .iter()
            .filter_map(|at| self.at.rows.get(*at).cloned());
        let rows: Vec<Row> = picked
            .enumerate()
            .map(|(at, row)| at_position(row, at))
            .collect();
        let batch = json!({
            "id": self.batch.id.to_string(),
            "count": rows.len(),
            "operation": self.batch.operation.as_str(),
        });
        let mut scope = base.with(Root::Batch, &batch).with_rows(&rows);
        if self.form.rows == 1
            && let Some(row) = rows.first()
        {
            scope = scope.with_row(row);
        }
        let purpose = if call.reads {
            Purpose::Read
        } else {
            Purpose::Write {
                repeatable: self.form.repeatable,
            }
        };
        let count = if call.reads { 0 } else { rows.len() };
        let asked = Asked {
            call,
            scope,
            rows: u32::try_from(count).unwrap_or(u32::MAX),
            purpose,
            max_body: self.form.bytes,
        };
        let ran = account.run(&asked).await;
        match ran.not_sent {
            Some(NotSent::TooLarge) if active.len() > 1 => return Some(GroupEnd::TooLarge),
            Some(_) if active.len() == 1 => {
                let class = match ran.judged.verdict {
                    Verdict::TooLarge => FailureClass::TooLarge,
                    _ => FailureClass::InvalidRow,
                };
                let message = ran.judged.message;
                self.settle(&active, &Outcome::Rejected { class, message });
                return None;
            }
            _ => {}
        }
        if !ran.judged.worked() {
            return self.failed(&active, &ran.judged).await;
        }
        self.at.wrote |= !call.reads;
        if makes_job {
            self.at.members = Some(active.clone());
        }
        if ran.judged.verdict == Verdict::Done {
            self.settle(&active, &Outcome::Delivered);
            return None;
        }
        if call.readings.is_empty() {
            let added = keep(call, &ran.answers, &scope);
            self.at.kept.extend(added);
            return None;
        }
        let said = read(call, &ran.answers, &rows, &scope);
        if let Some(stray) = &said.stray {
            // The row at fault is found by halving, if sending again does no harm.
            let verdict = if self.form.repeatable {
                stray.verdict
            } else {
                Verdict::Unknown
            };
            let judged = Judged {
                verdict,
                message: account.redact(&stray.message, &ran.sensitive),
                ..stray.clone()
            };
            return self.failed(&active, &judged).await;
        }
        let unnamed = ran.judged.unnamed.unwrap_or(call.unnamed);
        let unnamed = Judged::new(unnamed, "the answer does not speak of this row");
        for ((at, verdict), kept) in active.iter().zip(&said.verdicts).zip(said.kept) {
            if let (Some(slot), Some(found)) = (
                self.at.settled.get_mut(*at),
                outcome(verdict.as_ref().unwrap_or(&unnamed)),
            ) {
                *slot = Some(redacted(found, account, &ran.sensitive));
            }
            if let Some(Row {
                kept: Value::Object(known),
                ..
            }) = self.at.rows.get_mut(*at)
            {
                known.extend(kept);
            }
        }
        None
    }

    fn settle(&mut self, active: &[usize], outcome: &Outcome) {
        for at in active {
            if let Some(slot) = self.at.settled.get_mut(*at) {
                *slot = Some(outcome.clone());
            }
        }
    }

    /// A call that did not work, for these rows.
    async fn failed(&mut self, active: &[usize], judged: &Judged) -> Option<GroupEnd> {
        let (class, message) = (judged.class, judged.message.clone());
        let of_rows = matches!(
            judged.verdict,
            Verdict::Rejected | Verdict::Conflict | Verdict::MissingRow | Verdict::TooLarge
        );
        if of_rows && active.len() == 1 {
            self.settle(active, &Outcome::Rejected { class, message });
            return None;
        }
        // Something was done for these rows that must not be done twice.
        if self.at.wrote && !self.form.repeatable {
            let lasting = Outcome::Unknown { class, message };
            self.settle(active, &lasting);
            return None;
        }
        if of_rows && active.len() < self.at.rows.len() {
            // The others have their outcome; these come again by themselves, and are halved then.
            self.settle(active, &Outcome::Retryable { class, message });
            return None;
        }
        Some(GroupEnd::Whole(self.destination.whole(judged).await))
    }

    /// Whether the same rows need not begin again after this end: nothing was done, or all that was done before
    /// is that every row was found. What was not found, the call without a good answer may have made, and
    /// what was found, it may have removed.
    fn goes_on_here(&self, end: &GroupEnd) -> bool {
        let in_doubt = match end {
            GroupEnd::Whole(SendResult::RateLimited { .. }) => false,
            GroupEnd::Whole(SendResult::Transient { .. } | SendResult::Unknown { .. }) => true,
            _ => return false,
        };
        let none_null = |kept: &Map<String, Value>| !kept.values().any(Value::is_null);
        let found = || {
            let looked_up = |row: &Row| match &row.kept {
                Value::Object(kept) => none_null(kept) && (kept.len() + self.at.kept.len() > 0),
                _ => false,
            };
            none_null(&self.at.kept) && self.at.rows.iter().all(looked_up)
        };
        let repeats = self.form.repeatable && self.batch.operation != BatchOperation::Delete;
        !in_doubt || (repeats && !self.at.wrote && found())
    }

    /// The outcomes as they may be stored: without the values of their rows.
    fn told(&self) -> Vec<Option<Outcome>> {
        let rows = self.at.settled.iter().zip(&self.at.rows);
        let told = rows.map(|(outcome, row)| {
            let parts = ["key", "fields"].map(|part| row.value.get(part)?.as_object());
            let maps: Vec<&Map<String, Value>> = parts.into_iter().flatten().collect();
            let clean = |message: String| redact(&message, maps.iter().copied());
            Some(with_message(outcome.clone()?, clean))
        });
        told.collect()
    }

    /// After the last call.
    fn end(self) -> GroupEnd {
        if self.form.job.is_some()
            && let Some(members) = &self.at.members
        {
            let held = Held::of(members, &self.told());
            if held.waits() {
                let account = self.destination.account();
                return match held.handle(&self.at.kept) {
                    // It would be stored and shown. Nobody needs a job whose name is a credential.
                    Some(handle) if account.is_told_by(handle.as_str()) => {
                        GroupEnd::Whole(SendResult::Unknown {
                            class: FailureClass::MalformedAnswer,
                            message: "the name of the job holds a credential".to_owned(),
                        })
                    }
                    Some(handle) => GroupEnd::Job(handle),
                    None => GroupEnd::Whole(SendResult::Unknown {
                        class: FailureClass::MalformedAnswer,
                        message: "the name of the job is too long to be kept".to_owned(),
                    }),
                };
            }
        }
        let outcomes = self
            .at
            .settled
            .into_iter()
            .map(|outcome| outcome.unwrap_or(Outcome::Delivered));
        GroupEnd::Rows(outcomes.collect())
    }
}

/// The call that takes rows into a job: the last that writes and says anything of them.
fn maker(form: &Operation) -> Option<usize> {
    form.job.as_ref()?;
    let writes = |call: &Call| !call.reads && speaks_of_rows(call);
    let last = form.calls.len().checked_sub(1);
    form.calls.iter().rposition(writes).or(last)
}

/// An outcome whose message holds no credentials.
pub(super) fn redacted(
    outcome: Outcome,
    account: &Arc<super::account::Account>,
    sensitive: &[String],
) -> Outcome {
    with_message(outcome, |message| account.redact(&message, sensitive))
}

fn with_message(outcome: Outcome, clean: impl Fn(String) -> String) -> Outcome {
    match outcome {
        Outcome::Delivered => Outcome::Delivered,
        Outcome::Rejected { class, message } => Outcome::Rejected {
            class,
            message: clean(message),
        },
        Outcome::Retryable { class, message } => Outcome::Retryable {
            class,
            message: clean(message),
        },
        Outcome::Unknown { class, message } => Outcome::Unknown {
            class,
            message: clean(message),
        },
    }
}
