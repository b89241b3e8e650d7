//! Jobs: what a destination has accepted and works on later.

use kinfold_sync::{Batch, Destination, FailureClass, JobEnd, JobHandle, JobState, Outcome};
use serde_json::{Map, Value, json};

use super::call::{Asked, Ran};
use super::destination::ManifestDestination;
use super::group::redacted;
use super::held::Held;
use super::judge::{Judged, Purpose};
use super::prepare::keep;
use super::rows::{at_position, outcome, read};
use super::unfinished::Unfinished;
use crate::expression::{Root, Row};
use crate::manifest::{Call, Job, Verdict};

/// Jobs that are over, and of which not all results could be had.
pub(super) type HalfTold = Unfinished<JobHandle, Told>;

/// What was told of a job so far.
pub(super) struct Told {
    kept: Map<String, Value>,
    verdicts: Vec<Option<Judged>>,
    unnamed: Verdict,
    /// How many calls for results were answered; `None` while the job is not over.
    results: Option<usize>,
}

/// A question about a job, with everything that was kept for its batch.
struct Question<'a> {
    destination: &'a ManifestDestination,
    job: &'a Job,
    batch: Value,
    rows: Vec<Row>,
    told: Told,
}

impl ManifestDestination {
    /// Asks once what became of a job.
    pub(super) async fn ask(&self, handle: &JobHandle, batch: &Batch) -> JobState {
        let Ok(Value::Object(mut named)) = serde_json::from_str(handle.as_str()) else {
            return JobState::Lost;
        };
        let Some(job) = self.form_with_job(batch).and_then(|form| form.job.as_ref()) else {
            return JobState::Lost;
        };
        let mut kept = match self.prepared().await {
            Ok(prepared) => prepared.clone(),
            Err(judged) => return no_answer(&judged),
        };
        let (rows, refused) = self.rows_and_refused(batch);
        let Some(held) = Held::take(&mut named, rows.len()) else {
            // What became of which row cannot be told any more.
            return JobState::Ended(JobEnd::Unknown {
                class: FailureClass::MalformedAnswer,
                message: "the job was made of other rows".to_owned(),
            });
        };
        kept.extend(named);
        let rows = held.members.iter().filter_map(|at| rows.get(*at).cloned());
        let rows: Vec<Row> = rows
            .enumerate()
            .map(|(at, row)| at_position(row, at))
            .collect();
        let now = self.account().clock().elapsed();
        let mut question = Question {
            destination: self,
            job,
            batch: json!({
                "id": batch.id.to_string(),
                "count": rows.len(),
                "operation": batch.operation.as_str(),
            }),
            told: self.half_told().take(handle, now).unwrap_or_else(|| Told {
                kept,
                verdicts: vec![None; rows.len()],
                unnamed: job.unnamed,
                results: None,
            }),
            rows,
        };
        let answer = question.answer().await;
        let of_job = match answer {
            Ok(()) => question.outcomes(),
            Err(JobState::Ended(end)) if !held.is_all() => {
                let again = self.capabilities().is_idempotent(batch.operation);
                match one_for_all(end, held.members.len(), again) {
                    Ok(outcome) => vec![outcome; held.members.len()],
                    Err(end) => return JobState::Ended(end),
                }
            }
            Err(state) => {
                let asks_again = matches!(
                    state,
                    JobState::NoAnswer { .. } | JobState::RateLimited { .. }
                );
                if question.told.results.is_some() && asks_again {
                    let now = self.account().clock().elapsed();
                    self.half_told().put(handle.clone(), now, question.told);
                }
                return state;
            }
        };
        let mut settled = held.settled;
        for (at, outcome) in held.members.iter().zip(of_job) {
            if let Some(slot) = settled.get_mut(*at) {
                slot.get_or_insert(outcome);
            }
        }
        let mut settled = settled.into_iter();
        let outcomes = refused.into_iter().map(|refused| {
            refused
                .or_else(|| settled.next().flatten())
                .unwrap_or_else(unsaid)
        });
        JobState::Ended(JobEnd::Rows(outcomes.collect()))
    }
}

impl Question<'_> {
    /// Asks for the end, and then for the results. An error is a state that is not an end by rows.
    async fn answer(&mut self) -> Result<(), JobState> {
        if self.told.results.is_none() && self.poll().await? {
            return Ok(());
        }
        let job = self.job;
        let answered = self.told.results.unwrap_or_default();
        for (at, call) in job.results.iter().enumerate().skip(answered) {
            let ran = self.run(call, Purpose::Read).await;
            match ran.judged.verdict {
                Verdict::Ok | Verdict::Done => {}
                Verdict::Unknown | Verdict::Rejected | Verdict::Conflict => {
                    // The job is over; only its results cannot be had.
                    return Err(JobState::NoAnswer {
                        class: FailureClass::MalformedAnswer,
                        message: format!("the results of the job: {}", ran.judged.message),
                    });
                }
                _ => return Err(no_answer(&ran.judged)),
            }
            self.take(call, ran).map_err(|stray| end_of_stray(&stray))?;
            self.told.results = Some(at + 1);
        }
        Ok(())
    }

    /// Asks whether the job is over. True if there is nothing more to be told.
    async fn poll(&mut self) -> Result<bool, JobState> {
        let job = self.job;
        let ran = self.run(&job.poll, Purpose::Poll).await;
        let judged = &ran.judged;
        let (class, message) = (judged.class, judged.message.clone());
        match judged.verdict {
            Verdict::Ok => {}
            Verdict::Done => return Ok(true),
            Verdict::Pending => return Err(JobState::Pending { after: judged.wait }),
            Verdict::Rejected | Verdict::Conflict | Verdict::MissingRow | Verdict::TooLarge => {
                return Err(JobState::Ended(JobEnd::Rejected { class, message }));
            }
            Verdict::Failed => return Err(JobState::Ended(JobEnd::NotApplied { class, message })),
            Verdict::Unknown => return Err(JobState::Ended(JobEnd::Unknown { class, message })),
            _ => return Err(no_answer(judged)),
        }
        self.take(&job.poll, ran)
            .map_err(|stray| end_of_stray(&stray))?;
        self.told.results = Some(0);
        Ok(false)
    }

    async fn run(&self, call: &Call, purpose: Purpose) -> Ran {
        let account = self.destination.account();
        let now = account.now();
        let kept = Value::Object(self.told.kept.clone());
        let mut scope = self
            .destination
            .scope(&now)
            .with(Root::Kept, &kept)
            .with(Root::Batch, &self.batch)
            .with_rows(&self.rows);
        if let [row] = self.rows.as_slice() {
            scope = scope.with_row(row);
        }
        let asked = Asked {
            call,
            scope,
            rows: 0,
            purpose,
            max_body: None,
        };
        account.run(&asked).await
    }

    /// Takes what an answer says of rows; an error is a failure of which it does not say which row is meant.
    fn take(&mut self, call: &Call, ran: Ran) -> Result<(), Judged> {
        let now = self.destination.account().now();
        let kept = Value::Object(self.told.kept.clone());
        let scope = self
            .destination
            .scope(&now)
            .with(Root::Kept, &kept)
            .with(Root::Batch, &self.batch);
        if call.readings.is_empty() {
            let added = keep(call, &ran.answers, &scope);
            self.told.kept.extend(added);
            return Ok(());
        }
        let said = read(call, &ran.answers, &self.rows, &scope);
        let account = self.destination.account();
        let clean = |judged: Judged| Judged {
            message: account.redact(&judged.message, &ran.sensitive),
            ..judged
        };
        self.told.unnamed = ran.judged.unnamed.unwrap_or(self.told.unnamed);
        for (slot, found) in self.told.verdicts.iter_mut().zip(said.verdicts) {
            if let Some(found) = found.map(clean) {
                *slot = Some(match slot.take() {
                    Some(known) => known.and(found),
                    None => found,
                });
            }
        }
        match said.stray {
            Some(stray) => Err(clean(stray)),
            None => Ok(()),
        }
    }

    /// For each row of the job.
    fn outcomes(self) -> Vec<Outcome> {
        let unnamed = Judged::new(
            self.told.unnamed,
            "the results of the job do not speak of this row",
        );
        let account = self.destination.account();
        let verdicts = self.told.verdicts.into_iter();
        let outcomes = verdicts.map(|judged| {
            let judged = judged.unwrap_or_else(|| unnamed.clone());
            redacted(outcome(&judged).unwrap_or(Outcome::Delivered), account, &[])
        });
        outcomes.collect()
    }
}

/// The end of a job that has not all rows of its batch: the others keep their outcome.
fn one_for_all(end: JobEnd, rows: usize, again: bool) -> Result<Outcome, JobEnd> {
    match end {
        JobEnd::Rejected { class, message } if rows == 1 => {
            Ok(Outcome::Rejected { class, message })
        }
        // They come again by themselves, and are halved then.
        JobEnd::Rejected { class, message } | JobEnd::NotApplied { class, message } => {
            Ok(Outcome::Retryable { class, message })
        }
        // All rows again, which does no harm.
        JobEnd::Unknown { .. } if again => Err(end),
        JobEnd::Unknown { class, message } => Ok(Outcome::Unknown { class, message }),
        JobEnd::Rows(_) => Err(end),
    }
}

fn unsaid() -> Outcome {
    Outcome::Unknown {
        class: FailureClass::MalformedAnswer,
        message: "nothing is known of this row".to_owned(),
    }
}

/// A job that says that something failed, and not what: some rows of it are applied, and some are not.
fn end_of_stray(stray: &Judged) -> JobState {
    JobState::Ended(JobEnd::Unknown {
        class: stray.class,
        message: stray.message.clone(),
    })
}

/// A question that told nothing about the job.
fn no_answer(judged: &Judged) -> JobState {
    let (class, message) = (judged.class, judged.message.clone());
    match judged.verdict {
        Verdict::Throttled => JobState::RateLimited {
            retry_after: judged.wait,
        },
        Verdict::Unauthorized
        | Verdict::Misconfigured
        | Verdict::MissingObject
        | Verdict::Expired => JobState::Refused { class, message },
        Verdict::Lost => JobState::Lost,
        _ => JobState::NoAnswer { class, message },
    }
}
