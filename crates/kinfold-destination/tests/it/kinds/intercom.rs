//! One row per request: Intercom looks a contact up, then makes or changes it. 10,000 calls a minute, in windows
//! of ten seconds whose end stands in a header.

use std::time::Duration;

use kinfold_testkit::{FakeClock, Kind, RateCheck, Vendor, VendorAnswer, VendorApi, VendorRequest};
use serde_json::{Map, Value, json};

use super::state::{Names, People, Records};
use super::{Setting, exact, faults, frugal, rows_wanted, run, seeds};

const NAMES: Names = Names {
    key: "external_id",
    name: "name",
    level: "level",
    score: "score",
};

struct Intercom {
    records: Records,
    rate: RateCheck,
    made_twice: usize,
}

fn error(status: u16, code: &str, message: &str) -> VendorAnswer {
    let body = json!({"type": "error.list", "errors": [{"code": code, "message": message}]});
    VendorAnswer::json(status, &body)
}

impl Intercom {
    fn do_it(&mut self, request: &VendorRequest) -> VendorAnswer {
        let path = request.path.strip_prefix("/api.intercom.io").unwrap();
        let contact = |id: u64, key: &str| {
            let body = json!({"type": "contact", "id": format!("5a{id}"), "external_id": key});
            VendorAnswer::json(200, &body)
        };
        let missing = || error(404, "not_found", "User Not Found");
        if let Some(key) = path.strip_prefix("/contacts/find_by_external_id/") {
            let row = self.records.people.row_of(key);
            return match row.and_then(|row| self.records.id_of(row)) {
                Some(id) => contact(id, key),
                None => missing(),
            };
        }
        let body = request.json();
        let archives = path.ends_with("/archive");
        let id = path
            .trim_end_matches("/archive")
            .strip_prefix("/contacts/5a")
            .and_then(|id| id.parse().ok());
        let known = id.and_then(|id| self.records.row_of_id(id));
        match (request.method.as_str(), known) {
            ("POST", Some(row)) if archives => {
                self.records.delete(row);
                VendorAnswer::json(200, &json!({"archived": true}))
            }
            ("PUT", Some(row)) => self.write(row, &body),
            ("POST", None) if path == "/contacts" => {
                let key = body["external_id"].as_str().unwrap_or_default();
                let row = self.records.people.row_of(key).unwrap();
                if self.records.id_of(row).is_some() {
                    self.made_twice += 1;
                    let message = "A contact matching those details already exists with id=5a1";
                    return error(409, "conflict", message);
                }
                self.write(row, &body)
            }
            _ => missing(),
        }
    }

    fn write(&mut self, row: u64, body: &Value) -> VendorAnswer {
        let attributes = body["custom_attributes"].as_object().unwrap();
        if attributes["level"] == "zinc" {
            let message = "Custom attribute 'level' has no such option";
            return error(400, "parameter_invalid", message);
        }
        let mut fields: Map<String, Value> = attributes.clone();
        fields.insert("name".to_owned(), body["name"].clone());
        let (id, _) = self.records.write(row, fields);
        let key = self.records.people.key_of(row);
        VendorAnswer::json(
            200,
            &json!({"type": "contact", "id": format!("5a{id}"), "external_id": key}),
        )
    }

    fn with_limits(
        &self,
        mut answer: VendorAnswer,
        request: &VendorRequest,
        left: usize,
    ) -> VendorAnswer {
        // Seconds since 1970, where the clock begins.
        let end = self.rate.end(request.at).as_secs() + 1;
        answer.headers = vec![
            ("x-ratelimit-limit", "1666".to_owned()),
            ("x-ratelimit-remaining", left.to_string()),
            ("x-ratelimit-reset", end.to_string()),
        ];
        answer
    }
}

impl VendorApi for Intercom {
    fn kind(&self, request: &VendorRequest) -> Kind {
        let word = match request.method.as_str() {
            "GET" => "find",
            "POST" if request.path.ends_with("/archive") => "archive",
            "POST" => "create",
            "PUT" => "change",
            _ => "other",
        };
        Kind {
            word,
            rows: Vec::new(),
        }
    }

    fn arrived(&mut self, request: &VendorRequest, _: usize) -> Vec<String> {
        let mut broken = Vec::new();
        if self.rate.came(request.at) > 0 {
            broken.push(format!("more than 1,666 in a window, at {:?}", request.at));
        }
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        if (header("authorization"), header("intercom-version"))
            != (Some("Bearer intercom-token"), Some("2.16"))
        {
            broken.push("a request without its headers".to_owned());
        }
        broken
    }

    fn answer(&mut self, request: &VendorRequest) -> VendorAnswer {
        let answer = self.do_it(request);
        let left = self.rate.left();
        self.with_limits(answer, request, left)
    }

    fn throttle(&mut self, request: &VendorRequest) -> (VendorAnswer, Duration) {
        let refusal = error(
            429,
            "rate_limit_exceeded",
            "The rate limit has been exceeded",
        );
        let refusal = self.with_limits(refusal, request, 0);
        (refusal, self.rate.end(request.at))
    }
}

/// A fault costs the request again: a contact that was found need not be looked up again. After a contact was to be made and no good answer came, it has to be looked
/// up too: only that tells whether there is one.
#[tokio::test]
async fn one_row_per_request() {
    for seed in seeds() {
        let people = People {
            rows: rows_wanted(1_000),
            seed,
            names: NAMES,
            key: ("u", ""),
            nothing: Value::Null,
            refused: 0.03,
            refused_whole: 0.0,
        };
        let clock = FakeClock::new();
        let intercom = Intercom {
            records: Records::of(&people),
            rate: RateCheck::fixed(1_666, Duration::from_secs(10), Duration::from_millis(3_700)),
            made_twice: 0,
        };
        let vendor = Vendor::start(intercom, faults(seed, 0.004), seed, &clock);
        let vendor = vendor.await.unwrap();
        let setting = Setting {
            destination: "intercom",
            parameters: vec![("access_token", "intercom-token")],
            object: "contacts",
            timeout: Duration::from_secs(1),
            max_rows: usize::MAX,
        };
        let ended = run(&setting, &people, &vendor, &clock).await;
        let log = vendor.log();
        exact(
            &people,
            &ended,
            &vendor.with(|api| api.records.all()),
            &people.expected(),
            "Custom attribute 'level' has no such option",
        );
        assert_eq!(vendor.with(|api| api.made_twice), 0);
        assert_eq!(vendor.violations(), Vec::<String>::new());
        let repeated: usize = log
            .iter()
            .filter(|entry| entry.fault.is_some())
            .map(|entry| match entry.kind.word {
                "create" if !entry.is_throttled() => 2,
                _ => 1,
            })
            .sum();
        let minimum = 2 * usize::try_from(people.rows).unwrap() + repeated;
        frugal(
            "one row per request (Intercom)",
            seed,
            &ended,
            &log,
            0,
            minimum,
        );
    }
}
