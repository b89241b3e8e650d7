//! Batches that answer with a list of errors only, or not at all: HubSpot names a refused row by the trace id that
//! it was sent with, and refuses a hundred for a property that does not exist. A hundred calls in any ten
//! seconds; whoever exceeds them is told no time.

use std::time::Duration;

use kinfold_testkit::{FakeClock, Kind, RateCheck, Vendor, VendorAnswer, VendorApi, VendorRequest};
use serde_json::{Value, json};

use super::state::{Names, People, Records, draw};
use super::{Setting, bisections, divided, exact, faults, frugal, rows_wanted, run, seeds};

const NAMES: Names = Names {
    key: "email",
    name: "firstname",
    level: "level",
    score: "score",
};
const MOST: usize = 100;
const WINDOW: Duration = Duration::from_secs(10);

struct HubSpot {
    records: Records,
    rate: RateCheck,
    /// Rows that an internal error has met once.
    stumbled: std::collections::BTreeSet<u64>,
}

fn refusal(message: &str) -> VendorAnswer {
    let body = json!({"status": "error", "category": "VALIDATION_ERROR", "message": message});
    VendorAnswer::json(400, &body)
}

impl HubSpot {
    fn upsert(&mut self, inputs: &[Value]) -> VendorAnswer {
        let mut results = Vec::new();
        let mut errors = Vec::new();
        let people = self.records.people.clone();
        if inputs
            .iter()
            .any(|input| input["properties"]["level"] == "lead")
        {
            let mut answer = refusal("Property values were not valid: level is not for leads");
            answer.refused = true;
            return answer;
        }
        let mut again = false;
        for input in inputs {
            let row = people.row_of(input["id"].as_str().unwrap()).unwrap();
            let mut fail = |category: &str, message: &str| {
                let context = json!({"objectWriteTraceId": [input["objectWriteTraceId"]]});
                let error = json!({"status": "error", "category": category, "message": message, "context": context});
                errors.push(error);
            };
            let properties = input["properties"].as_object().unwrap();
            if properties["level"] == "zinc" {
                fail(
                    "VALIDATION_ERROR",
                    "level was not one of the allowed options",
                );
            } else if properties.values().any(Value::is_null) {
                fail("VALIDATION_ERROR", "null is no value");
            } else if draw(people.seed, 3, row) < 0.000_5 && self.stumbled.insert(row) {
                again = true;
                fail("INTERNAL_ERROR", "There was a problem with the request");
            } else {
                let (id, _) = self.records.write(row, properties.clone());
                results.push(json!({"id": id.to_string(), "properties": {}}));
            }
        }
        let status = if errors.is_empty() { 200 } else { 207 };
        let body = json!({"status": "COMPLETE", "results": results, "numErrors": errors.len(), "errors": errors});
        VendorAnswer {
            again,
            ..VendorAnswer::json(status, &body)
        }
    }

    fn read(&self, inputs: &[Value]) -> VendorAnswer {
        let found = inputs.iter().filter_map(|input| {
            let key = input["id"].as_str()?;
            let id = self.records.id_of(self.records.people.row_of(key)?)?;
            // Addresses are kept in lower case.
            Some(json!({"id": id.to_string(), "properties": {"email": key.to_lowercase()}}))
        });
        let found: Vec<Value> = found.collect();
        let status = if found.len() == inputs.len() {
            200
        } else {
            207
        };
        let body = json!({"status": "COMPLETE", "results": found, "errors": []});
        VendorAnswer::json(status, &body)
    }

    fn archive(&mut self, inputs: &[Value]) -> VendorAnswer {
        for input in inputs {
            let id = input["id"].as_str().and_then(|id| id.parse().ok());
            if let Some(row) = id.and_then(|id| self.records.row_of_id(id)) {
                self.records.delete(row);
            }
        }
        VendorAnswer::text(204, "")
    }
}

fn inputs(request: &VendorRequest) -> Vec<Value> {
    request.json()["inputs"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

impl VendorApi for HubSpot {
    fn kind(&self, request: &VendorRequest) -> Kind {
        let word = match request.path.rsplit('/').next() {
            Some("upsert") => "upsert",
            Some("read") => "read",
            _ => "archive",
        };
        let inputs = inputs(request);
        let keys = inputs.iter().filter_map(|input| input["id"].as_str());
        Kind {
            word,
            rows: keys
                .filter_map(|key| self.records.people.row_of(key))
                .collect(),
        }
    }

    fn arrived(&mut self, request: &VendorRequest, _: usize) -> Vec<String> {
        let mut broken = Vec::new();
        if self.rate.came(request.at) > 0 {
            broken.push(format!("more than 100 in ten seconds, at {:?}", request.at));
        }
        let inputs = inputs(request);
        if inputs.is_empty() || inputs.len() > MOST {
            broken.push(format!("{} inputs", inputs.len()));
        }
        let ids: std::collections::BTreeSet<String> =
            inputs.iter().map(|input| input["id"].to_string()).collect();
        if ids.len() != inputs.len() {
            broken.push("one id twice in a batch".to_owned());
        }
        if request.headers.get("authorization").map(String::as_str) != Some("Bearer hubspot-token")
        {
            broken.push("a request without its token".to_owned());
        }
        broken
    }

    fn answer(&mut self, request: &VendorRequest) -> VendorAnswer {
        let inputs = inputs(request);
        let mut answer = match self.kind(request).word {
            "upsert" => self.upsert(&inputs),
            "read" => self.read(&inputs),
            _ => self.archive(&inputs),
        };
        let left = self.rate.left().to_string();
        answer.headers.push(("x-hubspot-ratelimit-remaining", left));
        answer
    }

    fn throttle(&mut self, request: &VendorRequest) -> (VendorAnswer, Duration) {
        let body = json!({"status": "error", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING",
            "message": "You have reached your ten_secondly_rolling limit."});
        (VendorAnswer::json(429, &body), request.at + WINDOW)
    }

    fn broken(&mut self, status: u16) -> VendorAnswer {
        // 423: others write the same records; 5xx come from what stands before the API.
        match status {
            503 => VendorAnswer::json(423, &json!({"status": "error", "message": "Locked"})),
            status => VendorAnswer::text(status, "<html>"),
        }
    }
}

/// A fault costs the request again: an archived record may be archived twice.
#[tokio::test]
async fn batches_with_errors_only() {
    for seed in seeds() {
        let people = People {
            rows: rows_wanted(4_000),
            seed,
            names: NAMES,
            key: ("P", "@Example.com"),
            // A null is refused.
            nothing: json!(""),
            refused: 0.02,
            refused_whole: 0.000_6,
        };
        let clock = FakeClock::new();
        let hubspot = HubSpot {
            records: Records::of(&people),
            rate: RateCheck::rolling(MOST, WINDOW),
            stumbled: std::collections::BTreeSet::new(),
        };
        let vendor = Vendor::start(hubspot, faults(seed, 0.006), seed, &clock);
        let vendor = vendor.await.unwrap();
        let setting = Setting {
            destination: "hubspot",
            parameters: vec![("access_token", "hubspot-token")],
            object: "contacts",
            timeout: Duration::from_secs(3),
            max_rows: usize::MAX,
        };
        let ended = run(&setting, &people, &vendor, &clock).await;
        let log = vendor.log();
        let held = vendor.with(|api| api.records.all());
        exact(&people, &ended, &held, &people.expected(), "level");
        assert_eq!(vendor.violations(), Vec::<String>::new());
        let most = MOST as u64;
        let minimum = 2 * divided(people.leaving(), most)
            + divided(people.staying(), most)
            + log.iter().filter(|entry| !entry.is_good()).count()
            + log
                .iter()
                .filter(|entry| entry.again && entry.is_good())
                .count()
            + bisections(&people, &log);
        frugal(
            "errors only, or whole batches (HubSpot)",
            seed,
            &ended,
            &log,
            0,
            minimum,
        );
    }
}
