//! Jobs: one case each.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use kinfold_project::SyncMode;
use kinfold_sync::{
    AckError, AckLog, Acknowledgement, Batch, Budget, CancelToken, Capabilities, Change,
    ChangeSource, Clock, DeliveryPolicy, DeliveryReport, Destination, DestinationError,
    FailureClass, JobEnd, JobHandle, JobState, Operation, Outcome, OutstandingJob, RetryAfter,
    SendResult, SourceError, StoppedEarly, deliver,
};
use kinfold_testkit::{FakeClock, MemoryLog, MemorySource, change};
use serde_json::json;

use crate::setting::{Answers, adds, policy, run_of};

/// Makes a job of every batch whose first row is in `jobs`, and tells what `ends` say of it.
struct Office {
    plain: Answers,
    jobs: Vec<u64>,
    tell: fn(usize) -> JobState,
    questions: Mutex<usize>,
    cancel: Option<CancelToken>,
}

impl Office {
    fn new(jobs: &[u64], tell: fn(usize) -> JobState) -> Self {
        Self {
            plain: Answers::new([]),
            jobs: jobs.to_vec(),
            tell,
            questions: Mutex::new(0),
            cancel: None,
        }
    }

    /// First rows of the batches that were sent.
    fn sent(&self) -> Vec<u64> {
        let batches = self.plain.batches.lock().unwrap();
        batches.iter().map(|batch| batch.changes[0].seq).collect()
    }
}

#[async_trait]
impl Destination for Office {
    fn capabilities(&self) -> Capabilities {
        self.plain.capabilities()
    }

    fn max_jobs(&self) -> usize {
        8
    }

    async fn check(&self) -> Result<(), DestinationError> {
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let answer = self.plain.send(batch).await;
        if !self.jobs.contains(&batch.changes[0].seq) {
            return answer;
        }
        let job = JobHandle::new(format!("job {}", batch.id)).unwrap();
        SendResult::Accepted { job, after: None }
    }

    async fn poll(&self, _job: &JobHandle, batch: &Batch) -> JobState {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
        let mut questions = self.questions.lock().unwrap();
        *questions += 1;
        match (self.tell)(*questions) {
            JobState::Ended(JobEnd::Rows(_)) => {
                JobState::Ended(JobEnd::Rows(vec![Outcome::Delivered; batch.changes.len()]))
            }
            other => other,
        }
    }
}

fn pending(_: usize) -> JobState {
    JobState::Pending { after: None }
}

fn done() -> JobState {
    JobState::Ended(JobEnd::Rows(Vec::new()))
}

async fn run(
    office: &Office,
    plan: &[Change],
    log: &MemoryLog,
    policy: &DeliveryPolicy,
    clock: &FakeClock,
) -> DeliveryReport {
    let cancel = office.cancel.clone().unwrap_or_default();
    let report = deliver(
        &run_of(SyncMode::Mirror),
        &mut MemorySource::resumed(plan, log),
        office,
        &mut log.clone(),
        policy,
        clock,
        &Budget::unlimited(),
        &cancel,
    )
    .await;
    assert!(report.counters.add_up(), "{report:?}");
    report
}

#[tokio::test]
async fn a_job_that_hangs_keeps_no_slot_and_holds_up_only_its_own_keys() {
    let office = Office::new(&[0], pending);
    let mut plan = adds(9);
    // Of a key that is in the job.
    plan.push(change(9, Operation::Update, "p1", json!({"n": 1})));
    let log = MemoryLog::new();
    let report = run(&office, &plan, &log, &policy(3, 1), &FakeClock::new()).await;
    assert_eq!(office.sent(), [0, 3, 6]);
    let counters = report.counters;
    assert_eq!(
        (counters.delivered, counters.outstanding, counters.not_sent),
        (6, 3, 1)
    );
    let reason = report.stopped_early.map(|reason| reason.to_string());
    assert_eq!(
        reason.as_deref(),
        Some("the destination has not finished 1 jobs with 3 rows; the next run asks again")
    );
}

#[tokio::test]
async fn nothing_is_added_while_a_job_that_removes_has_no_end() {
    let office = Office::new(&[0], pending);
    let plan = [
        change(0, Operation::Remove, "a", json!({})),
        change(1, Operation::Add, "b", json!({"n": 1})),
    ];
    let log = MemoryLog::new();
    let report = run(&office, &plan, &log, &policy(3, 2), &FakeClock::new()).await;
    assert_eq!(office.sent(), [0]);
    assert_eq!(
        (report.counters.outstanding, report.counters.not_sent),
        (1, 1)
    );
    // The same holds for the run that takes the job over.
    let mut impatient = policy(3, 2);
    impatient.jobs.patience = Duration::ZERO;
    let later = Office::new(&[], pending);
    let report = run(&later, &plan, &log, &impatient, &FakeClock::new()).await;
    assert_eq!((later.sent().len(), report.polls), (0, 1));
    let last = Office::new(&[], |_| done());
    let report = run(&last, &plan, &log, &policy(3, 2), &FakeClock::new()).await;
    assert_eq!((last.sent(), report.counters.delivered), (vec![1], 2));
}

#[tokio::test]
async fn a_cancelled_delivery_takes_the_answer_that_is_on_its_way_and_leaves_the_rest() {
    for (tell, delivered) in [(pending as fn(usize) -> JobState, 0), (|_| done(), 4)] {
        let office = Office {
            cancel: Some(CancelToken::new()),
            ..Office::new(&[0], tell)
        };
        let log = MemoryLog::new();
        let report = run(&office, &adds(4), &log, &policy(4, 1), &FakeClock::new()).await;
        assert_eq!(report.counters.delivered, delivered);
        assert_eq!(report.counters.outstanding, 4 - delivered);
        let cancelled = matches!(report.stopped_early, Some(StoppedEarly::Cancelled));
        assert_eq!((cancelled, report.polls), (delivered == 0, 1));
        assert_eq!(log.jobs().len(), usize::from(delivered == 0));
    }
}

#[tokio::test]
async fn the_destination_says_when_to_ask_again_but_not_more_often_than_the_policy() {
    let office = Office::new(&[0], |question| match question {
        1 => JobState::Pending {
            after: Some(RetryAfter::Delay(Duration::from_secs(200))),
        },
        2 => JobState::Pending {
            after: Some(RetryAfter::Delay(Duration::ZERO)),
        },
        _ => done(),
    });
    let clock = FakeClock::new();
    let report = run(&office, &adds(1), &MemoryLog::new(), &policy(1, 1), &clock).await;
    assert_eq!(report.counters.delivered, 1);
    let seconds: Vec<u64> = clock.slept().iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [1, 200, 1]);
}

#[tokio::test]
async fn a_destination_that_never_answers_questions_counts_as_down() {
    let office = Office::new(&[0], |_| JobState::NoAnswer {
        class: FailureClass::TimedOut,
        message: "no answer in time".to_owned(),
    });
    let mut policy = policy(5, 1);
    policy.max_consecutive_failures = 4;
    let log = MemoryLog::new();
    let report = run(&office, &adds(5), &log, &policy, &FakeClock::new()).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Down {
            class: FailureClass::TimedOut,
            ..
        })
    ));
    assert_eq!((report.polls, report.counters.outstanding), (4, 5));
}

#[tokio::test]
async fn rows_that_a_job_leaves_over_use_up_attempts() {
    let office = Office::new(&[0], |_| {
        JobState::Ended(JobEnd::NotApplied {
            class: FailureClass::Unavailable,
            message: "aborted".to_owned(),
        })
    });
    let log = MemoryLog::new();
    let report = run(&office, &adds(2), &log, &policy(2, 1), &FakeClock::new()).await;
    assert_eq!((report.requests, report.jobs), (4, 4));
    assert_eq!(report.counters.retryable, 2);
    assert!(log.jobs().is_empty());
}

#[tokio::test]
async fn the_time_that_jobs_take_is_not_time_of_failing() {
    let office = Office::new(&[0], |questions| match questions {
        // Each of the first jobs takes longer than a batch may fail.
        20 | 40 => JobState::Ended(JobEnd::NotApplied {
            class: FailureClass::Unavailable,
            message: "aborted".to_owned(),
        }),
        60 => done(),
        _ => pending(questions),
    });
    let clock = FakeClock::new();
    let policy = policy(2, 1);
    let report = run(&office, &adds(2), &MemoryLog::new(), &policy, &clock).await;
    assert!(clock.elapsed() > policy.retry.max_elapsed * 2);
    assert_eq!((report.jobs, report.counters.delivered), (3, 2));
}

/// A log without jobs: what every log is that does not say otherwise.
struct PlainLog(MemoryLog);

#[async_trait]
impl AckLog for PlainLog {
    async fn record(&mut self, acknowledgements: &[Acknowledgement]) -> Result<(), AckError> {
        self.0.record(acknowledgements).await
    }
}

async fn with(
    source: &mut dyn ChangeSource,
    log: &mut dyn AckLog,
    office: &dyn Destination,
) -> DeliveryReport {
    deliver(
        &run_of(SyncMode::Mirror),
        source,
        office,
        log,
        &policy(5, 1),
        &FakeClock::new(),
        &Budget::unlimited(),
        &CancelToken::new(),
    )
    .await
}

#[tokio::test]
async fn a_destination_with_jobs_needs_a_log_that_keeps_them() {
    let office = Office::new(&[], pending);
    let mut log = PlainLog(MemoryLog::new());
    let report = with(&mut MemorySource::new(adds(3)), &mut log, &office).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Unsupported { what: "jobs" })
    ));
    assert_eq!((report.requests, report.counters.not_sent), (0, 3));
}

#[tokio::test]
async fn a_job_of_a_destination_without_jobs_is_a_malformed_answer() {
    let job = JobHandle::new("job").unwrap();
    let mut destination = Answers::always(SendResult::Accepted { job, after: None });
    destination.idempotent = false;
    let log = MemoryLog::new();
    let report = with(
        &mut MemorySource::new(adds(3)),
        &mut log.clone(),
        &destination,
    )
    .await;
    assert_eq!((report.counters.unknown, report.jobs), (3, 0));
    assert!(log.jobs().is_empty());
}

/// Gives back a job, or fails to.
struct Broken(Option<OutstandingJob>);

#[async_trait]
impl ChangeSource for Broken {
    async fn outstanding(&mut self) -> Result<Vec<OutstandingJob>, SourceError> {
        match self.0.take() {
            Some(job) => Ok(vec![job]),
            None => Err(SourceError::new("the log was told to fail")),
        }
    }

    async fn next(&mut self, _max: usize) -> Result<Vec<Change>, SourceError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn jobs_that_cannot_be_taken_over_stop_the_delivery_before_it_sends() {
    let office = Office::new(&[0], pending);
    let plan = adds(4);
    let mut log = MemoryLog::new();
    run(&office, &plan, &log, &policy(4, 1), &FakeClock::new()).await;
    let mut jobs = log.jobs_of(&plan);
    let mut job = jobs.remove(0);
    job.changes.truncate(3);
    let report = with(&mut Broken(Some(job)), &mut log, &office).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::JobRows { .. })
    ));
    assert_eq!((report.counters.outstanding, report.polls), (3, 0));
    assert!(report.counters.add_up());
    let report = with(&mut Broken(None), &mut log, &office).await;
    assert!(matches!(
        report.stopped_early,
        Some(StoppedEarly::Source(_))
    ));
}
