//! A job from its acceptance to its end: asking, waiting, giving up for this delivery.

use std::sync::Arc;
use std::time::Duration;

use crate::attempt::{Sender, acknowledge, not_sent};
use crate::backoff;
use crate::concurrency::Load;
use crate::work::{Ended, Failure, FirstPoll, Job, Outcomes, Piece, Work};
use crate::{Batch, FailureClass, JobEnd, JobState, RetryAfter, StoppedEarly};

/// What asking about a job came to.
pub(crate) enum Watched {
    /// It is over.
    Ended(Ended),
    /// This delivery asks no more.
    Outstanding(Job),
}

impl Sender<'_> {
    /// Asks about a job until it is over, the policy's patience is, or the delivery is. Its handle must be
    /// durable. It waits without a slot.
    pub(crate) async fn watch(&self, job: Job) -> Watched {
        let policy = &self.policy.jobs;
        let begun = self.clock.elapsed();
        let (mut at_once, mut asked) = match job.first {
            FirstPoll::Now => (true, None),
            FirstPoll::After(after) => (false, after),
        };
        let mut questions = 0_u32;
        let mut failures = 0_u32;
        loop {
            if !std::mem::take(&mut at_once) {
                let now = self.clock.wall();
                let wait = backoff::poll(policy, questions, asked.take(), now, rand::random());
                let spent = self.clock.elapsed().saturating_sub(begun);
                if spent.saturating_add(wait) > policy.patience || !self.health.wait(wait).await {
                    return Watched::Outstanding(job);
                }
                questions = questions.saturating_add(1);
            }
            let Some(mut request) = self.health.may_poll().await else {
                return Watched::Outstanding(job);
            };
            let state = self.destination.poll(&job.handle, &job.batch).await;
            request.load = load_of(&state);
            drop(request);
            let took = self.clock.elapsed().saturating_sub(begun);
            match state {
                JobState::Pending { after } => {
                    (failures, asked) = (0, after);
                    self.health.answered();
                }
                JobState::Ended(end) => {
                    self.health.answered();
                    return Watched::Ended(self.end_job(job, took, end));
                }
                JobState::Lost => {
                    // What it did before it was forgotten is not known.
                    let end = JobEnd::Unknown {
                        class: FailureClass::JobLost,
                        message: "the destination does not know the job any more".to_owned(),
                    };
                    self.health.answered();
                    return Watched::Ended(self.end_job(job, took, end));
                }
                JobState::RateLimited { retry_after } => {
                    let retry = &self.policy.retry;
                    let now = self.clock.wall();
                    let wait =
                        backoff::throttle(retry, questions.saturating_add(1), retry_after, now);
                    self.health.throttle(wait);
                    asked = Some(RetryAfter::Delay(wait));
                }
                JobState::NoAnswer { class, message } => {
                    failures = failures.saturating_add(1);
                    if failures >= self.policy.max_consecutive_failures {
                        self.health.stop(StoppedEarly::Down { class, message });
                        return Watched::Outstanding(job);
                    }
                }
                JobState::Refused { class, message } => {
                    self.health.stop(StoppedEarly::Refused { class, message });
                    return Watched::Outstanding(job);
                }
            }
        }
    }

    /// Takes the outcomes of a job that took so long. Each row has one afterwards, to be recorded as the end of the job, also
    /// those rows that are sent again.
    fn end_job(&self, mut job: Job, took: Duration, end: JobEnd) -> Ended {
        // A job that takes its time is not failing.
        let first_failure = &mut job.effort.first_failure;
        *first_failure = first_failure.map(|at| at.saturating_add(took));
        let piece = Piece::new(job.batch, job.effort);
        let batch = Arc::clone(&piece.batch);
        let (mut pieces, mut outcomes) = (Vec::new(), Outcomes::default());
        match end {
            JobEnd::Rows(rows) => self.settle_rows(piece, rows, &mut pieces, &mut outcomes),
            JobEnd::Rejected { class, message } => {
                self.settle_rejected(piece, class, message, &mut pieces, &mut outcomes);
            }
            JobEnd::NotApplied { class, message } => {
                self.retry(
                    piece,
                    Failure::new(class, message),
                    &mut pieces,
                    &mut outcomes,
                );
            }
            JobEnd::Unknown { class, message } => {
                self.settle_unknown(piece, class, message, &mut pieces, &mut outcomes);
            }
        }
        let mut open = Vec::new();
        for piece in pieces.iter().rev() {
            for change in &piece.batch.changes {
                let outcome = not_sent(change, piece.last.as_ref(), piece.effort.maybe_applied);
                outcomes.insert(change.seq, outcome);
                open.push(change.clone());
            }
        }
        let again = (!open.is_empty()).then(|| Work {
            batch: Arc::new(Batch::new(Arc::clone(&batch.run), batch.operation, open)),
            outcomes: Outcomes::default(),
            pieces,
        });
        let acknowledgement = acknowledge(Arc::unwrap_or_clone(batch), outcomes);
        Ended {
            acknowledgement,
            again,
        }
    }
}

/// What an answer says about the load of the destination. How long it took says nothing: asking is no work.
fn load_of(state: &JobState) -> Load {
    match state {
        JobState::RateLimited { .. }
        | JobState::NoAnswer {
            class: FailureClass::Unavailable | FailureClass::TimedOut | FailureClass::RateLimited,
            ..
        } => Load::Pressure,
        _ => Load::Nothing,
    }
}
