//! Jobs with files of results: Salesforce's Bulk API 2.0 for many records, collections of 200 for few. A job says
//! in files which records were written, refused, and not reached; some records are in no file. The token
//! is refused once. Five requests at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use kinfold_testkit::{FakeClock, Kind, Logged, Vendor, VendorAnswer, VendorApi, VendorRequest};
use serde_json::{Map, Value, json};

use super::state::{Names, People, Records, draw};
use super::{Setting, divided, exact, faults, frugal, rows_wanted, run, seeds};

const NAMES: Names = Names {
    key: "No__c",
    name: "LastName",
    level: "Level__c",
    score: "Score__c",
};
/// Fewer than the vendor allows, so that there are several jobs.
const ROWS_OF_JOB: usize = 2_500;
const ROWS_OF_REMOVAL: usize = 100;
const API: &str = "/eu1.my.salesforce.com/services/data/v64.0";

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Complete,
    Failed,
}

struct Upload {
    csv: Vec<u8>,
    closed: bool,
    /// When it is over, and how.
    end: Option<(Duration, State)>,
    done: bool,
    files: [Vec<String>; 3],
    asked: Vec<Duration>,
}

struct Salesforce {
    records: Records,
    token: u32,
    revoked_after: Option<usize>,
    calls: usize,
    jobs: BTreeMap<u64, Upload>,
    locked: std::collections::BTreeSet<u64>,
}

fn error(status: u16, code: &str, message: &str) -> VendorAnswer {
    VendorAnswer::json(status, &json!([{"errorCode": code, "message": message}]))
}

const LOCKED: &str = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--";
const REFUSED: &str =
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:bad value for restricted picklist field: Level__c--";

impl Salesforce {
    /// Writes a record, or says why it is not written.
    fn write(&mut self, row: u64, fields: Map<String, Value>) -> Result<u64, &'static str> {
        let seed = self.records.people.seed;
        if fields.get("Level__c").is_some_and(|level| level == "zinc") {
            return Err(REFUSED);
        }
        if draw(seed, 4, row) < 0.000_5 && self.locked.insert(row) {
            return Err(LOCKED);
        }
        Ok(self.records.write(row, fields).0)
    }

    /// Does what a job has to do, and writes its files.
    fn finish(&mut self, number: u64) {
        let Some(csv) = self.jobs.get(&number).map(|job| job.csv.clone()) else {
            return;
        };
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let names: Vec<String> = reader
            .headers()
            .unwrap()
            .iter()
            .map(str::to_owned)
            .collect();
        let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        // Of some jobs the last records are not reached, and the very last are forgotten.
        let cut = draw(self.records.people.seed, 5, number) < 0.2;
        let reached = lines.len() - if cut { 7 } else { 0 };
        let mut files = [
            vec!["sf__Id,sf__Created,No__c".to_owned()],
            vec!["sf__Id,sf__Error,No__c".to_owned()],
            vec!["No__c".to_owned()],
        ];
        for (at, line) in lines.iter().enumerate() {
            let mut fields = Map::new();
            for (name, text) in names.iter().zip(line) {
                let value = match (name.as_str(), text) {
                    (_, "#N/A") => Value::Null,
                    // An empty value leaves the field alone.
                    (_, "") => continue,
                    ("Score__c", number) => number.parse::<u64>().map_or(Value::Null, Value::from),
                    (_, text) => Value::from(text),
                };
                fields.insert(name.clone(), value);
            }
            let key = fields.remove("No__c").unwrap();
            let key = key.as_str().unwrap();
            if at >= reached {
                if at < reached + 4 {
                    files[2].push(key.to_owned());
                }
                continue;
            }
            let row = self.records.people.row_of(key).unwrap();
            match self.write(row, fields) {
                Ok(id) => files[0].push(format!("003{id},true,{key}")),
                Err(reason) => files[1].push(format!(",{reason},{key}")),
            }
        }
        if let Some(job) = self.jobs.get_mut(&number) {
            (job.files, job.done) = (files, true);
        }
    }

    fn bulk(&mut self, request: &VendorRequest, rest: &str) -> VendorAnswer {
        if rest.is_empty() {
            let number = 1 + self.jobs.len() as u64;
            let job = Upload {
                csv: Vec::new(),
                closed: false,
                end: None,
                done: false,
                files: Default::default(),
                asked: Vec::new(),
            };
            self.jobs.insert(number, job);
            return VendorAnswer::json(200, &json!({"id": number.to_string(), "state": "Open"}));
        }
        let (number, part) = rest
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((rest.trim_start_matches('/'), ""));
        let number: u64 = number.parse().unwrap();
        let seed = self.records.people.seed;
        let Some(job) = self.jobs.get_mut(&number) else {
            return error(404, "NOT_FOUND", "The requested resource does not exist");
        };
        let file = |at: usize| VendorAnswer::text(200, job.files[at].join("\n") + "\n");
        match (request.method.as_str(), part) {
            ("PUT", _) if job.csv.is_empty() && !job.closed => {
                job.csv = request.body.to_vec();
                VendorAnswer::text(201, "")
            }
            ("PATCH", _) if !job.closed && !job.csv.is_empty() => {
                job.closed = true;
                let takes = Duration::from_secs_f64(20.0 + 100.0 * draw(seed, 6, number));
                let failed = draw(seed, 7, number) < 0.1;
                job.end = Some((
                    request.at + takes,
                    if failed {
                        State::Failed
                    } else {
                        State::Complete
                    },
                ));
                VendorAnswer::json(
                    200,
                    &json!({"id": number.to_string(), "state": "UploadComplete"}),
                )
            }
            ("GET", "") => {
                job.asked.push(request.at);
                let state = match job.end {
                    Some((end, state)) if request.at >= end => state,
                    _ => State::Open,
                };
                let done = job.done;
                if state == State::Complete && !done {
                    self.finish(number);
                }
                let (word, failed) = match state {
                    State::Open => ("InProgress", None),
                    State::Complete => ("JobComplete", None),
                    State::Failed => (
                        "Failed",
                        Some("ClientInputError : the job could not be read"),
                    ),
                };
                let body = json!({"id": number.to_string(), "state": word, "errorMessage": failed});
                VendorAnswer {
                    again: failed.is_some(),
                    ..VendorAnswer::json(200, &body)
                }
            }
            ("GET", "successfulResults") => file(0),
            ("GET", "failedResults") => VendorAnswer {
                again: job.files[1].iter().any(|line| line.contains(LOCKED))
                    || job.files[2].len() > 1,
                ..file(1)
            },
            ("GET", "unprocessedrecords") => file(2),
            _ => error(400, "INVALIDJOBSTATE", "the job is in another state"),
        }
    }

    fn find(&self, question: &str) -> VendorAnswer {
        let (_, keys) = question.split_once(" IN (").unwrap();
        let keys = keys
            .trim_end_matches(')')
            .split(',')
            .map(|key| key.trim_matches('\''));
        let found = keys.filter_map(|key| {
            let id = self.records.id_of(self.records.people.row_of(key)?)?;
            Some(json!({"Id": format!("003{id}"), "No__c": key}))
        });
        let found: Vec<Value> = found.collect();
        VendorAnswer::json(
            200,
            &json!({"totalSize": found.len(), "done": true, "records": found}),
        )
    }

    fn delete(&mut self, ids: &str) -> VendorAnswer {
        let results = ids.split(',').map(|text| {
            let id = text.strip_prefix("003").and_then(|id| id.parse().ok());
            match id.and_then(|id| self.records.row_of_id(id)) {
                Some(row) => {
                    self.records.delete(row);
                    json!({"id": text, "success": true, "errors": []})
                }
                None => json!({"id": text, "success": false,
                    "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted", "fields": []}]}),
            }
        });
        let results: Vec<Value> = results.collect();
        VendorAnswer::json(200, &Value::Array(results))
    }

    fn collection(&mut self, request: &VendorRequest) -> VendorAnswer {
        let mut results = Vec::new();
        let mut again = false;
        for record in request.json()["records"].as_array().unwrap() {
            let mut fields = record.as_object().cloned().unwrap();
            fields.remove("attributes");
            let key = fields.remove("No__c").unwrap();
            let row = self.records.people.row_of(key.as_str().unwrap()).unwrap();
            results.push(match self.write(row, fields) {
                Ok(id) => json!({"id": format!("003{id}"), "success": true, "errors": []}),
                Err(reason) => {
                    again |= reason == LOCKED;
                    let (code, message) = reason.split_once(':').unwrap();
                    json!({"success": false, "errors": [{"statusCode": code, "message": message, "fields": []}]})
                }
            });
        }
        VendorAnswer {
            again,
            ..VendorAnswer::json(200, &Value::Array(results))
        }
    }
}

impl VendorApi for Salesforce {
    fn kind(&self, request: &VendorRequest) -> Kind {
        let path = request.path.strip_prefix(API).unwrap_or("token");
        let last = path.rsplit('/').next().unwrap_or_default();
        let word = match (request.method.as_str(), last) {
            (_, "token") => "token",
            (_, "query") => "find",
            ("DELETE", _) => "delete",
            ("POST", "ingest") => "make",
            ("PUT", _) => "upload",
            ("PATCH", "No__c") => "collection",
            ("PATCH", _) => "close",
            (_, "successfulResults" | "failedResults" | "unprocessedrecords") => "result",
            _ => "ask",
        };
        Kind {
            word,
            rows: Vec::new(),
        }
    }

    fn arrived(&mut self, request: &VendorRequest, at_once: usize) -> Vec<String> {
        let mut broken = Vec::new();
        if at_once > 5 {
            broken.push(format!("{at_once} at once"));
        }
        let records = request.json()["records"].as_array().map_or(0, Vec::len);
        let ids = request
            .query
            .get("ids")
            .map_or(0, |ids| ids.split(',').count());
        if records > 200 || ids > 200 || request.body.len() > 100 << 20 {
            broken.push(format!(
                "{records} records, {ids} ids, {} bytes",
                request.body.len()
            ));
        }
        broken
    }

    fn answer(&mut self, request: &VendorRequest) -> VendorAnswer {
        if self.kind(request).word == "token" {
            let body = json!({"access_token": format!("token-{}", self.token), "instance_url": "https://eu1.my.salesforce.com"});
            return VendorAnswer::json(200, &body);
        }
        self.calls += 1;
        if self
            .revoked_after
            .take_if(|after| self.calls > *after)
            .is_some()
        {
            self.token += 1;
        }
        if request.headers.get("authorization") != Some(&format!("Bearer token-{}", self.token)) {
            return VendorAnswer {
                again: true,
                ..error(401, "INVALID_SESSION_ID", "Session expired or invalid")
            };
        }
        let path = request.path.strip_prefix(API).unwrap();
        match self.kind(request).word {
            "find" => self.find(&request.query["q"]),
            "delete" => self.delete(&request.query["ids"]),
            "collection" => self.collection(request),
            _ => self.bulk(request, path.strip_prefix("/jobs/ingest").unwrap()),
        }
    }

    fn throttle(&mut self, request: &VendorRequest) -> (VendorAnswer, Duration) {
        let refusal = error(
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "TotalRequests Limit exceeded.",
        );
        (refusal, request.at + Duration::from_secs(900))
    }

    fn broken(&mut self, status: u16) -> VendorAnswer {
        error(
            status,
            "SERVER_UNAVAILABLE",
            "The server is temporarily unavailable",
        )
    }

    fn may_fail(&self, request: &VendorRequest) -> bool {
        self.kind(request).word != "token"
    }
}

/// A fault costs the request again. When it is not known whether a job has its file, nobody can go on with
/// the job: it is made again, with its file, and closed again. A job that failed, or left records over,
/// costs another; few records are a collection.
fn minimum(people: &People, log: &[Logged]) -> usize {
    let faults = log
        .iter()
        .filter(|entry| !entry.is_good() && entry.kind.word != "ask");
    let repeated = faults.map(|entry| match entry.kind.word {
        "upload" if !entry.is_throttled() => 2,
        "close" if !entry.is_throttled() => 3,
        _ => 1,
    });
    let again = log.iter().filter(|entry| entry.again && entry.is_good());
    let again = again.map(|entry| match entry.kind.word {
        // It failed as a whole.
        "ask" => 3,
        _ => 1,
    });
    let jobs = divided(people.staying(), ROWS_OF_JOB as u64);
    2 * divided(people.leaving(), ROWS_OF_REMOVAL as u64)
        + 6 * jobs
        + repeated.sum::<usize>()
        + again.sum::<usize>()
        + 2
}

#[tokio::test]
async fn jobs_with_files_of_results() {
    for seed in seeds() {
        let people = People {
            // A job is not worth it for fewer.
            rows: rows_wanted(25_000).max(25_000),
            seed,
            names: NAMES,
            key: ("c", ""),
            nothing: Value::Null,
            refused: 0.03,
            refused_whole: 0.0,
        };
        let clock = FakeClock::new();
        let salesforce = Salesforce {
            records: Records::of(&people),
            token: 1,
            revoked_after: Some(30),
            calls: 0,
            jobs: BTreeMap::new(),
            locked: std::collections::BTreeSet::new(),
        };
        let vendor = Vendor::start(salesforce, faults(seed, 0.01), seed, &clock);
        let vendor = vendor.await.unwrap();
        let setting = Setting {
            destination: "salesforce",
            parameters: vec![
                ("login_url", "https://example.my.salesforce.com"),
                ("client_id", "salesforce-id"),
                ("client_secret", "salesforce-secret"),
            ],
            object: "record/Contact",
            timeout: Duration::from_secs(4),
            max_rows: ROWS_OF_JOB,
        };
        let ended = run(&setting, &people, &vendor, &clock).await;
        let log = vendor.log();
        let held = vendor.with(|api| api.records.all());
        exact(
            &people,
            &ended,
            &held,
            &people.expected(),
            "bad value for restricted picklist",
        );
        assert_eq!(vendor.violations(), Vec::<String>::new());
        // No job is asked about more often than every second.
        let asked = vendor.with(|api| {
            let jobs = api.jobs.values();
            jobs.map(|job| job.asked.clone())
                .collect::<Vec<Vec<Duration>>>()
        });
        for times in asked {
            let waits = times.windows(2).map(|pair| pair[1] - pair[0]);
            // On its way one question may catch up with the other.
            assert!(
                waits
                    .min()
                    .is_none_or(|wait| wait >= Duration::from_millis(900)),
                "{times:?}"
            );
        }
        let questions = log.iter().filter(|entry| entry.kind.word == "ask").count();
        frugal(
            "jobs with files (Salesforce)",
            seed,
            &ended,
            &log,
            questions,
            minimum(&people, &log),
        );
    }
}
