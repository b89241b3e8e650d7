//! Audiences: Meta takes hashes, ten thousand people a request, and answers with counts. Whom it finds not valid it
//! does not say; the others are taken. The audience is looked for by its name, and created. 5,000 calls an hour.

use std::collections::BTreeMap;
use std::time::Duration;

use kinfold_testkit::{FakeClock, Kind, RateCheck, Vendor, VendorAnswer, VendorApi, VendorRequest};
use serde_json::{Map, Value, json};

use super::state::{Names, People};
use super::{Setting, bisections, divided, exact, faults, frugal, rows_wanted, run, seeds};

const NAMES: Names = Names {
    key: "email",
    name: "last_name",
    level: "external_id",
    score: "mobile_advertiser_id",
};
const MOST: usize = 10_000;
const HOUR: Duration = Duration::from_secs(3_600);

fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

struct Meta {
    /// The hash of the address of each row.
    rows: BTreeMap<String, u64>,
    /// Rows by hash of their address: what the other columns hold.
    members: BTreeMap<String, Vec<String>>,
    audiences: Vec<String>,
    rate: RateCheck,
}

fn error(status: u16, code: u32, message: &str) -> VendorAnswer {
    let error =
        json!({"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "x"});
    VendorAnswer::json(status, &json!({"error": error}))
}

/// Names of columns, and the people in them.
fn payload(request: &VendorRequest) -> (Vec<String>, Vec<Vec<String>>) {
    let body = request.json();
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    };
    let data = body["payload"]["data"].as_array().into_iter().flatten();
    (texts(&body["payload"]["schema"]), data.map(texts).collect())
}

impl Meta {
    fn audience(&mut self, request: &VendorRequest) -> VendorAnswer {
        if request.method == "POST" {
            let name = request.json()["name"].as_str().unwrap().to_owned();
            self.audiences.push(name);
            return VendorAnswer::json(200, &json!({"id": "99"}));
        }
        let Some(after) = request.query.get("after") else {
            let others = json!([{"id": "1", "name": "Others", "subtype": "CUSTOM"}]);
            let paging =
                json!({"cursors": {"after": "b"}, "next": "https://graph.facebook.com/next"});
            return VendorAnswer::json(200, &json!({"data": others, "paging": paging}));
        };
        assert_eq!(after, "b");
        let made = self.audiences.iter();
        let made: Vec<Value> = made
            .map(|name| json!({"id": "99", "name": name, "subtype": "CUSTOM"}))
            .collect();
        VendorAnswer::json(
            200,
            &json!({"data": made, "paging": {"cursors": {"after": "c"}}}),
        )
    }

    fn users(&mut self, request: &VendorRequest) -> VendorAnswer {
        let (schema, data) = payload(request);
        let column = |name: &str| schema.iter().position(|known| known == name).unwrap();
        let (address, own) = (column("EMAIL"), column("EXTERN_ID"));
        let mut invalid = 0;
        let received = data.len();
        for person in data {
            if person[own] == "lead" {
                invalid += 1;
            } else if request.method == "DELETE" {
                self.members.remove(&person[address]);
            } else {
                let kept = ["LN", "EXTERN_ID", "MADID"].map(|name| person[column(name)].clone());
                self.members.insert(person[address].clone(), kept.to_vec());
            }
        }
        let body = json!({"audience_id": "99", "session_id": "5", "num_received": received,
            "num_invalid_entries": invalid, "invalid_entry_samples": {}});
        VendorAnswer {
            refused: invalid > 0,
            ..VendorAnswer::json(200, &body)
        }
    }

    /// The members as rows.
    fn held(&self) -> BTreeMap<u64, Map<String, Value>> {
        let members = self.members.iter().map(|(address, columns)| {
            let mut map = Map::new();
            for (name, value) in [NAMES.name, NAMES.level, NAMES.score].iter().zip(columns) {
                map.insert((*name).to_owned(), json!(value));
            }
            (self.rows[address], map)
        });
        members.collect()
    }
}

impl VendorApi for Meta {
    fn kind(&self, request: &VendorRequest) -> Kind {
        let users = request.path.ends_with("/users");
        let word = match request.method.as_str() {
            "GET" => "look",
            "DELETE" => "remove",
            _ if users => "add",
            _ => "create",
        };
        let (_, data) = payload(request);
        Kind {
            word,
            rows: data.iter().map(|person| self.rows[&person[0]]).collect(),
        }
    }

    fn arrived(&mut self, request: &VendorRequest, _: usize) -> Vec<String> {
        let mut broken = Vec::new();
        if self.rate.came(request.at) > 0 {
            broken.push(format!("more than 5,000 in an hour, at {:?}", request.at));
        }
        if payload(request).1.len() > MOST {
            broken.push("more than 10,000 people".to_owned());
        }
        if request.headers.get("authorization").map(String::as_str) != Some("Bearer meta-token") {
            broken.push("a request without its token".to_owned());
        }
        broken
    }

    fn answer(&mut self, request: &VendorRequest) -> VendorAnswer {
        match self.kind(request).word {
            "look" | "create" => self.audience(request),
            _ => self.users(request),
        }
    }

    fn throttle(&mut self, request: &VendorRequest) -> (VendorAnswer, Duration) {
        let mut refusal = error(
            400,
            80_003,
            "There have been too many calls to this ad-account.",
        );
        let usage = r#"{"7":[{"type":"custom_audience","call_count":100,"estimated_time_to_regain_access":5}]}"#;
        refusal
            .headers
            .push(("x-business-use-case-usage", usage.to_owned()));
        (refusal, request.at + Duration::from_secs(300))
    }

    fn broken(&mut self, status: u16) -> VendorAnswer {
        error(status, 1, "An unknown error occurred")
    }

    /// The calls that make an audience are few; what their faults mean has a test of its own.
    fn may_fail(&self, request: &VendorRequest) -> bool {
        request.path.ends_with("/users")
    }
}

/// A fault costs the request again.
#[tokio::test]
async fn audiences() {
    for seed in seeds() {
        let people = People {
            rows: rows_wanted(4_000),
            seed,
            names: NAMES,
            key: ("p", "@example.com"),
            nothing: json!(""),
            refused: 0.0,
            refused_whole: 0.000_6,
        };
        let rows = people
            .numbers()
            .map(|row| (hash(&people.key_of(row)), row))
            .collect();
        let columns = |map: &Map<String, Value>| -> Map<String, Value> {
            let text = |name: &str| match &map[name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let lower = text(NAMES.name).to_lowercase();
            let plain: String = lower
                .chars()
                .filter(|letter| letter.is_alphabetic() || *letter == ' ')
                .collect();
            let words: Vec<&str> = plain.split_whitespace().collect();
            let mut sent = Map::new();
            sent.insert(NAMES.name.to_owned(), json!(hash(&words.join(" "))));
            sent.insert(NAMES.level.to_owned(), json!(text(NAMES.level)));
            sent.insert(NAMES.score.to_owned(), json!(text(NAMES.score)));
            sent
        };
        let mut meta = Meta {
            rows,
            members: BTreeMap::new(),
            audiences: Vec::new(),
            rate: RateCheck::rolling(5_000, HOUR),
        };
        for row in 0..people.existing() {
            let old = columns(&people.old(row));
            let kept = [NAMES.name, NAMES.level, NAMES.score]
                .map(|name| old[name].as_str().unwrap().to_owned());
            meta.members
                .insert(hash(&people.key_of(row)), kept.to_vec());
        }
        let clock = FakeClock::new();
        let vendor = Vendor::start(meta, faults(seed, 0.02), seed, &clock)
            .await
            .unwrap();
        let setting = Setting {
            destination: "meta_audiences",
            parameters: vec![("account", "7"), ("access_token", "meta-token")],
            object: "audience/Win back",
            timeout: Duration::from_secs(15),
            max_rows: usize::MAX,
        };
        let ended = run(&setting, &people, &vendor, &clock).await;
        let log = vendor.log();
        let held = vendor.with(Meta::held);
        let expected = people
            .expected()
            .iter()
            .map(|(row, map)| (*row, columns(map)))
            .collect();
        exact(&people, &ended, &held, &expected, "an entry is not valid");
        assert_eq!(vendor.with(|api| api.audiences.clone()), ["Win back"]);
        assert_eq!(vendor.violations(), Vec::<String>::new());
        let most = MOST as u64;
        // Two pages of audiences, and the making of one.
        let minimum = 3
            + divided(people.leaving(), most)
            + divided(people.staying(), most)
            + log.iter().filter(|entry| !entry.is_good()).count()
            + bisections(&people, &log);
        frugal(
            "audience, counts only (Meta)",
            seed,
            &ended,
            &log,
            0,
            minimum,
        );
    }
}
