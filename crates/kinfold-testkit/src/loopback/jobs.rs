//! The jobs of a receiver of HTTP deliveries.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, OriginalUri, State};
use axum::http::{HeaderMap, Response, header};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::answer::{answer, respond, with_header};
use super::{Shared, apply, authorized, texts};
use crate::socket::Breaker;
use crate::{Fault, Script};

/// How a [`Loopback`](crate::Loopback) treats jobs. Shares are from 0 to 1.
pub struct JobOptions {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// A job runs for up to so many questions.
    pub most_questions: u32,
    /// Share of the jobs that are forgotten without being applied.
    pub lost: f64,
    /// Share of the jobs that fail as a whole.
    pub failed: f64,
    /// The faults of questions. A fault that comes "after" is one after the job was worked on.
    pub faults: Script,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            most_questions: 3,
            lost: 0.0,
            failed: 0.0,
            faults: Script::none(),
        }
    }
}

struct Job {
    object: String,
    headers: HeaderMap,
    body: Bytes,
    questions_left: u32,
    lost: bool,
    failed: bool,
    answer: Option<Value>,
}

/// What there is to say of a job.
pub(crate) enum Told {
    Unknown,
    Running,
    Failed,
    /// It is time to apply this request.
    Due(String, HeaderMap, Bytes),
    Over(Value),
}

pub(crate) struct Jobs {
    options: JobOptions,
    rng: ChaCha8Rng,
    next: u64,
    known: BTreeMap<String, Job>,
    /// Bodies that failed as a whole: another request with the same rows is applied.
    failed: BTreeSet<Vec<u8>>,
}

impl Jobs {
    pub(crate) fn new(options: JobOptions) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(options.seed),
            options,
            next: 0,
            known: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }

    /// Takes a request, and gives the address of its job.
    pub(crate) fn accept(&mut self, object: &str, headers: &HeaderMap, body: &Bytes) -> String {
        let path = format!("/{object}/jobs/{}", self.next);
        self.next += 1;
        let mut headers = headers.clone();
        // A job is applied once, and a request that comes again is another job.
        headers.remove("idempotency-key");
        headers.remove(header::CONTENT_LENGTH);
        let job = Job {
            object: object.to_owned(),
            headers,
            body: body.clone(),
            questions_left: self.rng.random_range(0..=self.options.most_questions),
            lost: self.rng.random_bool(self.options.lost),
            failed: self.rng.random_bool(self.options.failed) && self.failed.insert(body.to_vec()),
            answer: None,
        };
        self.known.insert(path.clone(), job);
        path
    }

    pub(crate) fn next_fault(&mut self) -> Option<Fault> {
        self.options.faults.next_fault()
    }

    pub(crate) fn ask(&mut self, path: &str) -> Told {
        let Some(job) = self.known.get_mut(path) else {
            return Told::Unknown;
        };
        if let Some(answer) = &job.answer {
            return Told::Over(answer.clone());
        }
        if let Some(left) = job.questions_left.checked_sub(1) {
            job.questions_left = left;
            return Told::Running;
        }
        if job.lost {
            self.known.remove(path);
            return Told::Unknown;
        }
        if job.failed {
            return Told::Failed;
        }
        Told::Due(job.object.clone(), job.headers.clone(), job.body.clone())
    }

    pub(crate) fn end(&mut self, path: &str, answer: Value) {
        if let Some(job) = self.known.get_mut(path) {
            job.answer = Some(answer);
        }
    }

    pub(crate) fn hurry(&mut self) {
        self.options.most_questions = 0;
        for job in self.known.values_mut() {
            job.questions_left = 0;
        }
    }

    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

/// A question about a job.
pub(super) async fn poll(
    State(shared): State<Shared>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response<Body> {
    let path = uri.path().to_owned();
    let fault = {
        let mut received = shared.lock();
        let asked = uri
            .path_and_query()
            .map_or(uri.path(), |text| text.as_str());
        let question = (asked.to_owned(), texts(&headers));
        received.questions.push(question);
        if !authorized(&received, &headers) {
            return respond(401, &json!({"error": "who are you?"}));
        }
        received.jobs.as_mut().and_then(Jobs::next_fault)
    };
    let told = || {
        let told = shared.lock().jobs.as_mut().map(|jobs| jobs.ask(&path));
        match told {
            None | Some(Told::Unknown) => (404, json!({"error": "no such job"})),
            Some(Told::Running) => (200, json!({"status": "running"})),
            Some(Told::Failed) => (200, json!({"status": "failed", "error": "a record is bad"})),
            Some(Told::Over(answer)) => (200, answer),
            Some(Told::Due(object, headers, body)) => {
                let (status, answer) = apply(&shared, &object, &headers, &body);
                // Refused as a whole: that is how the job ended.
                let answer = if status < 400 {
                    answer
                } else {
                    json!({"status": "failed", "error": answer["error"]})
                };
                if let Some(jobs) = &mut shared.lock().jobs {
                    jobs.end(&path, answer.clone());
                }
                (200, answer)
            }
        }
    };
    answer(fault, &breaker, told).await
}

/// Takes a request as a job, if this receiver does so.
pub(super) fn accept(
    shared: &Shared,
    object: &str,
    headers: &HeaderMap,
    body: &Bytes,
    fault: Option<&Fault>,
) -> Option<Response<Body>> {
    let mut received = shared.lock();
    if fault.is_some() || !authorized(&received, headers) {
        return None;
    }
    let location = received.jobs.as_mut()?.accept(object, headers, body);
    let response = with_header(respond(202, &json!({})), header::RETRY_AFTER, "0");
    Some(with_header(response, header::LOCATION, &location))
}
