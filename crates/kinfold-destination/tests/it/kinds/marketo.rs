//! Batches with a result for each row at its place: Marketo, which answers everything with status 200 and
//! tells in a code what happened. A hundred calls in twenty seconds, ten at a time, tokens that expire.

use std::time::Duration;

use kinfold_testkit::{FakeClock, Kind, RateCheck, Vendor, VendorAnswer, VendorApi, VendorRequest};
use serde_json::{Map, Value, json};

use super::state::{Names, People, Records};
use super::{Setting, divided, exact, faults, frugal, rows_wanted, run, seeds};

const NAMES: Names = Names {
    key: "email",
    name: "firstName",
    level: "level",
    score: "leadScore",
};
const MOST: usize = 300;
const MOST_VALUES: usize = 100;
const WINDOW: Duration = Duration::from_secs(20);

struct Marketo {
    records: Records,
    rate: RateCheck,
    token: u32,
    /// After so many calls the token is not good any more, once.
    revoked_after: Option<usize>,
    calls: usize,
}

fn said(success: bool, part: &str, value: Value) -> VendorAnswer {
    let mut body = json!({"requestId": "e42b#1", "success": success});
    body[part] = value;
    VendorAnswer::json(200, &body)
}

fn code(code: &str, message: &str) -> VendorAnswer {
    said(false, "errors", json!([{"code": code, "message": message}]))
}

fn skipped(code: &str, message: &str) -> Value {
    json!({"status": "skipped", "reasons": [{"code": code, "message": message}]})
}

impl Marketo {
    fn upsert(&mut self, input: &[Value]) -> VendorAnswer {
        let mut results = Vec::new();
        for item in input {
            let mut fields: Map<String, Value> = item.as_object().cloned().unwrap();
            let key = fields.remove("email").unwrap();
            let row = self.records.people.row_of(key.as_str().unwrap()).unwrap();
            if fields["level"] == "zinc" {
                results.push(skipped(
                    "1003",
                    "Value for field 'level' is not one of its options",
                ));
                continue;
            }
            let (id, new) = self.records.write(row, fields);
            let status = if new { "created" } else { "updated" };
            results.push(json!({"id": id, "status": status}));
        }
        said(true, "result", Value::Array(results))
    }

    fn find(&self, values: &str) -> VendorAnswer {
        let found = values.split(',').filter_map(|key| {
            let id = self.records.id_of(self.records.people.row_of(key)?)?;
            Some(json!({"id": id, "email": key.to_uppercase()}))
        });
        said(true, "result", found.collect())
    }

    fn delete(&mut self, input: &[Value]) -> VendorAnswer {
        let mut results = Vec::new();
        for item in input {
            let row = item["id"]
                .as_u64()
                .and_then(|id| self.records.row_of_id(id));
            results.push(match row.map(|row| self.records.delete(row)) {
                Some(true) => json!({"id": item["id"], "status": "deleted"}),
                _ => skipped("1004", "Lead not found"),
            });
        }
        said(true, "result", Value::Array(results))
    }
}

fn input(request: &VendorRequest) -> Vec<Value> {
    request.json()["input"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn is_token(request: &VendorRequest) -> bool {
    request.path.ends_with("/identity/oauth/token")
}

impl VendorApi for Marketo {
    fn kind(&self, request: &VendorRequest) -> Kind {
        let word = match (request.method.as_str(), request.path.rsplit('/').next()) {
            (_, Some("token")) => "token",
            ("GET", _) => "find",
            (_, Some("delete.json")) => "delete",
            _ => "upsert",
        };
        Kind {
            word,
            rows: Vec::new(),
        }
    }

    fn arrived(&mut self, request: &VendorRequest, at_once: usize) -> Vec<String> {
        let mut broken = Vec::new();
        if self.rate.came(request.at) > 0 {
            broken.push(format!(
                "more than 100 in twenty seconds, at {:?}",
                request.at
            ));
        }
        if at_once > 10 {
            broken.push(format!("{at_once} at once"));
        }
        if input(request).len() > MOST {
            broken.push("more than 300 leads".to_owned());
        }
        let values = request.query.get("filterValues");
        if values.is_some_and(|values| values.split(',').count() > MOST_VALUES) {
            broken.push("more values than the address has room for".to_owned());
        }
        broken
    }

    fn answer(&mut self, request: &VendorRequest) -> VendorAnswer {
        if is_token(request) {
            let token = format!("token-{}", self.token);
            let body = json!({"access_token": token, "token_type": "bearer", "expires_in": 3_599});
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
        let wanted = format!("Bearer token-{}", self.token);
        if request.headers.get("authorization") != Some(&wanted) {
            return VendorAnswer {
                again: true,
                ..code("601", "Access token invalid")
            };
        }
        match self.kind(request).word {
            "find" => self.find(&request.query["filterValues"]),
            "delete" => self.delete(&input(request)),
            _ => self.upsert(&input(request)),
        }
    }

    fn throttle(&mut self, request: &VendorRequest) -> (VendorAnswer, Duration) {
        let refusal = code("606", "Max rate limit '100' exceeded with in '20' secs");
        (refusal, request.at + WINDOW)
    }

    fn broken(&mut self, status: u16) -> VendorAnswer {
        match status {
            503 => code("608", "API Temporarily Unavailable"),
            _ => code("713", "Transient error"),
        }
    }

    fn may_fail(&self, request: &VendorRequest) -> bool {
        !is_token(request)
    }
}

/// A fault costs the request again, and a token that has expired every request that was on its way with it. (What
/// a look-up found is looked up again after a removal without an answer; that is not counted.)
#[tokio::test]
async fn batches_with_a_result_for_each_row() {
    for seed in seeds() {
        let people = People {
            rows: rows_wanted(10_000),
            seed,
            names: NAMES,
            key: ("p", "@example.com"),
            nothing: Value::Null,
            refused: 0.03,
            refused_whole: 0.0,
        };
        let clock = FakeClock::new();
        let marketo = Marketo {
            records: Records::of(&people),
            rate: RateCheck::rolling(100, WINDOW),
            token: 1,
            revoked_after: Some(5),
            calls: 0,
        };
        let vendor = Vendor::start(marketo, faults(seed, 0.006), seed, &clock);
        let vendor = vendor.await.unwrap();
        let setting = Setting {
            destination: "marketo",
            parameters: vec![
                ("endpoint", "https://123-abc-456.mktorest.com"),
                ("client_id", "marketo-id"),
                ("client_secret", "marketo-secret"),
            ],
            object: "leads",
            timeout: Duration::from_secs(5),
            max_rows: usize::MAX,
        };
        let ended = run(&setting, &people, &vendor, &clock).await;
        let log = vendor.log();
        let held = vendor.with(|api| api.records.all());
        exact(
            &people,
            &ended,
            &held,
            &people.expected(),
            "Value for field 'level' is not one of its options",
        );
        assert_eq!(vendor.violations(), Vec::<String>::new());
        let is = |word| log.iter().filter(move |entry| entry.kind.word == word);
        // The first, and the one in the place of that which expired.
        assert_eq!(is("token").filter(|entry| entry.is_good()).count(), 2);
        let expired = log.iter().filter(|entry| entry.again && entry.is_good());
        let minimum = 2 * divided(people.leaving(), MOST_VALUES as u64)
            + divided(people.staying(), MOST as u64)
            + log.iter().filter(|entry| !entry.is_good()).count()
            + expired.count()
            + 2;
        frugal(
            "a result for each row (Marketo)",
            seed,
            &ended,
            &log,
            0,
            minimum,
        );
    }
}
