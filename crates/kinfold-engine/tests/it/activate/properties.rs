//! What must hold of a sync whatever happens to it: random lives of a sync that delivers over a real socket
//! to a receiver that answers 429 and 5xx, resets connections before and after it has applied a request, cuts
//! answers off, sends wrong JSON, refuses rows alone or the whole request without saying which, and works on
//! batches as jobs whose end it tells later; in processes that die at any operation of their storage, are asked
//! for twice, look without sending, or send a part.
//!
//! One seed is one life. `KINFOLD_CASES` says how many, `KINFOLD_SEED` which is the first; a failure names its
//! seed. Laws of a life, by the letters of the list that they come from:
//!
//! - (a) any crash and another run lead to what the model says, and no acknowledged row is sent again;
//! - (b) a refused row is sent again when it is due; (c) nothing is deleted that was not acknowledged;
//! - (d) looking changes nothing; (e) order of rows, size of batches and concurrency do not matter;
//! - (f) a column that is not mapped does not matter; (g) duplicate keys never reach the wire;
//! - (h) several triggers at once lose nothing; (j) counters close;
//! - (k) 429 never uses attempts up; (l) k bad rows are k refusals;
//! - (m) null, nothing and the empty text differ; (n) rows leave also when their key became null.
//!
//! That an unsupported operation fails validation (i) is no matter of chance: see `kinfold-sync`.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use kinfold_engine::EngineError;
use kinfold_engine::activate::{Scope, SyncReport};
use kinfold_project::{Nulls, OnLeave, SyncMode};
use kinfold_sync::{HttpDestination, HttpOptions, Target};
use kinfold_testkit::loopback::Rejection;
use kinfold_testkit::{FakeClock, Fault, JobOptions, Loopback, Script};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use serde_json::{Map, Value, json};

use super::crash::{MortalStore, acknowledged};
use super::setting::{Setting, at, sync};

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// A row of the model.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    id: Option<String>,
    text: Option<String>,
    number: f64,
}

impl Row {
    fn usable(&self) -> bool {
        self.id.is_some() && self.number.is_finite()
    }
}

struct Life {
    seed: u64,
    chance: Chance,
    setting: Setting,
    store: Arc<InMemory>,
    receiver: Loopback,
    rows: Vec<Row>,
    nulls: Nulls,
    /// Whether the receiver works on batches later.
    jobs: bool,
    /// Requests that were looked at.
    seen: usize,
}

const OBJECT: &str = "contacts";

impl Life {
    async fn begin(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let (mode, on_leave) = *chance.of(&[
            (SyncMode::Mirror, OnLeave::Delete),
            (SyncMode::Mirror, OnLeave::Delete),
            (SyncMode::Mirror, OnLeave::Clear),
            (SyncMode::Mirror, OnLeave::Keep),
            (SyncMode::Upsert, OnLeave::Keep),
            (SyncMode::Insert, OnLeave::Keep),
        ]);
        let nulls = *chance.of(&[Nulls::Null, Nulls::Null, Nulls::Omit]);
        let mut sync = sync(
            mode,
            &[("id", "id")],
            &[("text", "text"), ("number", "number")],
        );
        sync.on_leave = at(on_leave);
        for field in &mut sync.mapping.fields {
            field.nulls = nulls;
        }
        let store = Arc::new(InMemory::new());
        let setting = Setting::on(Arc::clone(&store) as Arc<dyn ObjectStore>, sync).await;
        let mut life = Self {
            seed,
            chance,
            setting,
            store,
            receiver: Loopback::start().await.unwrap(),
            rows: vec![],
            nulls,
            jobs: seed.is_multiple_of(4),
            seen: 0,
        };
        if life.jobs {
            life.receiver.accept_jobs(JobOptions {
                seed,
                ..JobOptions::default()
            });
        }
        life.settle_policy();
        life
    }

    fn settle_policy(&mut self) {
        self.setting.policy.max_rows = usize::try_from(1 + self.chance.below(6)).unwrap();
        self.setting.policy.concurrency = usize::try_from(1 + self.chance.below(4)).unwrap();
        self.setting.policy.retry.max_attempts = 2;
    }

    fn destination(&self) -> HttpDestination {
        let mut options = HttpOptions::new(self.receiver.url());
        options.timeout = Duration::from_millis(400);
        options.receiver_deduplicates = true;
        options.max_jobs = if self.jobs { 3 } else { 0 };
        let target = Target {
            object: OBJECT.to_owned(),
            mode: self.setting.sync.mode.value,
            deletes: self.setting.sync.on_leave.value == OnLeave::Delete,
            key_fields: vec!["id".to_owned()],
            fields: vec!["text".to_owned(), "number".to_owned()],
        };
        HttpDestination::new(options, &target).unwrap()
    }

    /// Another model: some rows come, change, leave, lose their key, come twice.
    fn change_model(&mut self) {
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for row in std::mem::take(&mut self.rows) {
            if let Some(id) = row.id.clone() {
                rows.insert(id, row);
            }
        }
        for _ in 0..=self.chance.below(6) {
            let id = format!("k{}", self.chance.below(9));
            if self.chance.one_in(3) {
                rows.remove(&id);
                continue;
            }
            let text = match self.chance.below(4) {
                0 => None,
                1 => Some(String::new()),
                n => Some(format!("t{n} \"é\\")),
            };
            let number = if self.chance.one_in(12) {
                f64::NAN
            } else {
                self.chance.below(3) as f64
            };
            rows.insert(
                id.clone(),
                Row {
                    id: Some(id),
                    text,
                    number,
                },
            );
        }
        let always = Row {
            id: Some("always".to_owned()),
            text: None,
            number: 1.0,
        };
        rows.insert("always".to_owned(), always);
        self.rows = rows.into_values().collect();
        if self.chance.one_in(4) {
            self.rows.push(Row {
                id: None,
                text: None,
                number: 1.0,
            });
        }
        if self.chance.one_in(4) {
            let twice = self.chance.of(&self.rows).clone();
            if twice.id.as_deref() != Some("always") {
                self.rows.push(Row {
                    number: 7.0,
                    ..twice
                });
            }
        }
        let seed = self.chance.next();
        self.rows.sort_by_key(|row| {
            let text = format!("{seed}{row:?}");
            text.bytes().fold(seed, |hash, byte| {
                hash.rotate_left(7) ^ u64::from(byte).wrapping_mul(31)
            })
        });
    }

    fn columns(rows: &[Row]) -> Vec<(&'static str, ArrayRef)> {
        let ids: StringArray = rows.iter().map(|row| row.id.as_deref()).collect();
        let texts: StringArray = rows.iter().map(|row| row.text.as_deref()).collect();
        let numbers: Float64Array = rows.iter().map(|row| Some(row.number)).collect();
        vec![
            ("id", Arc::new(ids)),
            ("text", Arc::new(texts)),
            ("number", Arc::new(numbers)),
        ]
    }

    async fn publish(&mut self) {
        // In several files now and then, so that only some of them change.
        let half = if self.chance.one_in(2) {
            self.rows.len() / 2
        } else {
            0
        };
        let (first, rest) = self.rows.split_at(half);
        let (first, rest) = (Self::columns(first), Self::columns(rest));
        self.setting.publish(rest).await;
        if half > 0 {
            self.setting.publish_more(first).await;
        }
    }

    /// Keys of rows that can be sent, with their rows.
    fn sendable(&self) -> BTreeMap<String, Row> {
        let mut found = BTreeMap::new();
        let mut copies: BTreeMap<&str, u32> = BTreeMap::new();
        for row in &self.rows {
            if let Some(id) = &row.id {
                *copies.entry(id).or_default() += 1;
            }
        }
        for row in self.rows.iter().filter(|row| row.usable()) {
            if let Some(id) = row.id.as_ref().filter(|id| copies[id.as_str()] == 1) {
                found.insert(id.clone(), row.clone());
            }
        }
        found
    }

    fn faults(&mut self) -> Script {
        let seed = self.chance.next();
        Script::seeded(
            seed,
            [
                (Fault::Status(500), 0.05),
                (Fault::Status(503), 0.03),
                (Fault::Status(408), 0.02),
                (Fault::RetryAfter(429, "1".to_owned()), 0.10),
                (Fault::StatusAfter(502), 0.04),
                (Fault::ResetBefore, 0.04),
                (Fault::ResetAfter, 0.04),
                (Fault::HalfBody, 0.03),
                (Fault::Malformed, 0.03),
                (Fault::Slow(Duration::from_millis(600)), 0.002),
            ],
        )
    }

    /// Refuses some keys, alone or with their whole request.
    fn refuse_some(&mut self) -> BTreeSet<String> {
        let keys: BTreeSet<String> = (0..self.chance.below(3))
            .map(|_| format!("k{}", self.chance.below(9)))
            .collect();
        let manner = if self.chance.one_in(2) {
            Rejection::PerRow
        } else {
            Rejection::Whole(422)
        };
        self.receiver
            .refuse(keys.iter().map(|key| json!({"id": key})), manner);
        keys
    }

    /// Rows of the requests since the last look: (operation, key).
    fn arrived(&mut self) -> Vec<(String, String)> {
        let requests = self.receiver.requests();
        let mut rows = vec![];
        for request in requests[self.seen..].iter().filter(|r| r.body.is_object()) {
            let operation = request.body["operation"].as_str().unwrap().to_owned();
            let records = request.body["records"].as_array().unwrap();
            let keys: Vec<String> = records
                .iter()
                .map(|r| r["key"]["id"].as_str().unwrap().to_owned())
                .collect();
            let distinct: BTreeSet<&String> = keys.iter().collect();
            assert_eq!(distinct.len(), keys.len(), "(g) a key twice in one request");
            for record in records.iter().filter(|_| operation != "delete") {
                let fields = record["fields"].as_object().unwrap();
                assert!(
                    self.nulls == Nulls::Omit || fields.len() == 2,
                    "(m) a field is missing: {record}"
                );
            }
            rows.extend(keys.into_iter().map(|key| (operation.clone(), key)));
        }
        self.seen = requests.len();
        rows
    }

    /// Keys that the state says were confirmed to this sync.
    async fn confirmed(&self) -> BTreeSet<String> {
        let state = self.setting.state().await;
        let ours = state
            .iter()
            .filter(|row| row["ours"] == true && !row["payload_hash"].is_null());
        ours.map(|row| key_of(row["key_text"].as_str().unwrap()))
            .collect()
    }

    async fn run(&mut self) -> Result<SyncReport, EngineError> {
        let before = self.confirmed().await;
        let sendable = self.sendable();
        let report = self
            .setting
            .run_through(&self.destination(), &FakeClock::new())
            .await;
        self.lawful(&before, &sendable);
        report
    }

    /// What must hold of everything that has arrived.
    fn lawful(
        &mut self,
        before: &BTreeSet<String>,
        sendable: &BTreeMap<String, Row>,
    ) -> Vec<(String, String)> {
        let arrived = self.arrived();
        let clears = self.setting.sync.on_leave.value == OnLeave::Clear;
        for (operation, key) in &arrived {
            if operation == "delete" {
                assert!(
                    before.contains(key),
                    "(c) {key} was deleted and never acknowledged"
                );
            } else if !(clears && operation == "update") {
                assert!(
                    sendable.contains_key(key),
                    "(g) {key} cannot be sent and was"
                );
            }
        }
        arrived
    }

    /// A run of a process that dies at some operation, and the run after it.
    async fn die_and_go_on(&mut self) {
        let last = (self.chance.below(90), self.chance.one_in(2));
        let before = self.confirmed().await;
        let sendable = self.sendable();
        let dying = MortalStore::new(&self.store, Some(last));
        self.setting
            .attach(Arc::clone(&dying) as Arc<dyn ObjectStore>)
            .await;
        dying.arm();
        let destination = self.destination();
        let clock = FakeClock::new();
        let died = tokio::select! {
            biased;
            _ = self.setting.run_through(&destination, &clock) => false,
            () = dying.died.notified() => true,
        };
        dying.buried.cancel();
        self.setting
            .attach(Arc::clone(&self.store) as Arc<dyn ObjectStore>)
            .await;
        let _ = self.setting.engine.lake.delete("lease/sync/crm.json").await;
        self.lawful(&before, &sendable);
        if !died {
            return;
        }
        let durable: BTreeSet<String> = acknowledged(&self.store)
            .await
            .into_iter()
            .map(|(key, _)| key_of(&key))
            .collect();
        let before = self.confirmed().await;
        let before: BTreeSet<String> = before.union(&durable).cloned().collect();
        let ran = self
            .setting
            .run_through(&destination, &FakeClock::new())
            .await;
        ran.unwrap();
        for (_, key) in self.lawful(&before, &sendable) {
            assert!(
                !durable.contains(&key),
                "(a) {key} was acknowledged and sent again"
            );
        }
    }

    async fn look(&mut self) {
        let before = (
            self.setting.state().await,
            self.setting.state_version().await,
        );
        let dry = self.setting.dry_run().await.unwrap();
        assert!(
            self.arrived().is_empty(),
            "(d) a dry run has sent something"
        );
        assert_eq!(
            before,
            (
                self.setting.state().await,
                self.setting.state_version().await
            ),
            "(d)"
        );
        assert_eq!(dry.planned, dry.adds + dry.updates + dry.removals, "(j)");
    }

    async fn part(&mut self) {
        let before = self.confirmed().await;
        let sendable = self.sendable();
        let rows = self.chance.below(3);
        let scope = Scope {
            limit: Some(rows),
            keys: vec![],
        };
        let report = self
            .setting
            .run_part(&self.destination(), scope, None)
            .await;
        let arrived: BTreeSet<String> = self
            .lawful(&before, &sendable)
            .into_iter()
            .map(|(_, key)| key)
            .collect();
        if let Ok(report) = report
            && !report.resumed
        {
            assert!(
                arrived.len() as u64 <= rows,
                "(d) a sample of {rows} rows has sent {arrived:?}"
            );
        }
        let after = self.confirmed().await;
        assert!(before.is_subset(&after) || !arrived.is_empty(), "(d)");
    }

    async fn at_once(&mut self) {
        let before = self.confirmed().await;
        let sendable = self.sendable();
        let (destination, clock) = (self.destination(), FakeClock::new());
        let runs = (0..4).map(|_| self.setting.run_through(&destination, &clock));
        let ended = futures::future::join_all(runs).await;
        let ran = ended
            .iter()
            .filter(|report| report.as_ref().is_ok_and(|r| !r.queued))
            .count();
        assert!(
            (1..=2).contains(&ran),
            "(h) {ran} of 4 triggers have run: {ended:?}"
        );
        self.lawful(&before, &sendable);
    }

    async fn step(&mut self) {
        self.change_model();
        self.publish().await;
        self.settle_policy();
        let refused = self.refuse_some();
        let event = self.chance.below(10);
        let script = match event {
            // A storm of 429 and nothing else.
            0 => Script::seeded(
                self.chance.next(),
                [(Fault::RetryAfter(429, "2".to_owned()), 0.6)],
            ),
            1 => Script::none(),
            _ => self.faults(),
        };
        self.receiver.script(script);
        match event {
            0 | 1 => {
                let dry = self.setting.dry_run().await.unwrap();
                let unfinished = dry.resumed;
                let before = self.setting.state().await;
                let report = self.run().await.unwrap();
                assert_eq!(report.retryable + report.unknown, 0, "(k) {report:?}");
                if !unfinished && report.stopped.is_none() {
                    let planned = self.sendable();
                    let bad = planned.keys().filter(|key| refused.contains(*key));
                    let at_most = bad.count() as u64 + left(&before, &planned, &refused);
                    // What was applied without an answer is there already, and an insert of it refused.
                    let once = self.setting.sync.mode.value == SyncMode::Insert;
                    assert!(
                        once || report.rejected <= at_most,
                        "(l) {report:?}, {refused:?}"
                    );
                    assert_eq!(
                        report.delivered + report.rejected + report.held,
                        report.planned,
                        "(j) (l)"
                    );
                }
            }
            2..=4 => self.die_and_go_on().await,
            5 => self.look().await,
            6 => self.part().await,
            7 => self.at_once().await,
            _ => {
                let _ = self.run().await.unwrap();
            }
        }
        if self.chance.one_in(3) {
            self.setting
                .later(i64::try_from(self.chance.below(3)).unwrap());
        }
    }

    /// Without faults everything ends as the model says.
    async fn end(&mut self) {
        self.receiver.script(Script::none());
        let waiting: BTreeSet<String> = self
            .setting
            .state()
            .await
            .iter()
            .filter(|row| row["status"] == "rejected")
            .map(|row| key_of(row["key_text"].as_str().unwrap()))
            .collect();
        self.receiver.refuse([], Rejection::PerRow);
        self.setting.later(2);
        let once = self.setting.sync.mode.value == SyncMode::Insert;
        let sendable = self.sendable();
        let before = self.confirmed().await;
        let report = self
            .setting
            .run_through(&self.destination(), &FakeClock::new())
            .await
            .unwrap();
        let arrived: BTreeSet<String> = self
            .lawful(&before, &sendable)
            .into_iter()
            .map(|(_, key)| key)
            .collect();
        for key in waiting
            .iter()
            .filter(|key| sendable.contains_key(*key) && !once)
        {
            // It may have been brought back to what was confirmed meanwhile.
            assert!(
                arrived.contains(key) || report.unchanged > 0,
                "(b) {key} was not sent again"
            );
        }
        let last = self.run().await.unwrap();
        if !once {
            assert_eq!(
                (last.planned, last.waiting),
                (0, 0),
                "(a) {last:?} after {report:?}"
            );
        }
        // Sent once without an answer: whether they are there is for a person to say, and nothing that was
        // never confirmed is removed.
        let state = self.setting.state().await;
        let unsure = state.iter().filter(|row| row["uncertain"] == true);
        let unsure = unsure
            .map(|row| key_of(row["key_text"].as_str().unwrap()))
            .collect();
        self.has_what_the_model_says(&sendable, once, &unsure);
        assert!(self.setting.leftovers().await.is_empty());
        // (f) A column that nobody maps.
        let rows = self.rows.clone();
        let mut columns = Self::columns(&rows);
        let extra: Int64Array = (0..rows.len()).map(|n| i64::try_from(n).ok()).collect();
        columns.push(("extra", Arc::new(extra)));
        self.setting.publish(columns).await;
        let dry = self.setting.dry_run().await.unwrap();
        assert!(once || dry.planned == 0, "(f) {dry:?}");
    }

    fn has_what_the_model_says(
        &self,
        sendable: &BTreeMap<String, Row>,
        once: bool,
        unsure: &BTreeSet<String>,
    ) {
        let there: BTreeMap<String, Map<String, Value>> = self
            .receiver
            .records(OBJECT)
            .into_iter()
            .map(|(key, fields)| (key_of(&key), fields))
            .collect();
        for (key, row) in sendable {
            if once && unsure.contains(key) {
                continue;
            }
            let fields = there
                .get(key)
                .unwrap_or_else(|| panic!("(a) {key} is not there"));
            if once {
                continue;
            }
            let expected = [
                ("text", row.text.as_ref().map(|text| json!(text))),
                ("number", Some(json!(row.number))),
            ];
            for (field, expected) in expected {
                match expected {
                    Some(value) => {
                        let same = fields[field] == value
                            || fields[field].as_f64() == value.as_f64() && value.is_number();
                        assert!(
                            same,
                            "(a) (m) {field} of {key} is {} and not {value}",
                            fields[field]
                        );
                    }
                    None if self.nulls == Nulls::Null => {
                        assert_eq!(
                            fields.get(field),
                            Some(&Value::Null),
                            "(m) {field} of {key}"
                        );
                    }
                    None => {}
                }
            }
        }
        if self.setting.sync.mode.value == SyncMode::Mirror
            && self.setting.sync.on_leave.value == OnLeave::Delete
        {
            // What cannot be sent now stays as it was; nothing else is left. (n)
            let unsendable: BTreeSet<&str> = self
                .rows
                .iter()
                .filter_map(|row| row.id.as_deref())
                .collect();
            for key in there.keys() {
                assert!(
                    unsendable.contains(key.as_str()) || unsure.contains(key),
                    "(a) (n) {key} left the model and is there"
                );
            }
        }
    }

    /// (e) What is known in the end does not depend on the order of rows or on batches.
    async fn compare_with_a_calm_life(&mut self) {
        let calm = self.setting.sync.mode.value == SyncMode::Mirror
            && self.setting.sync.on_leave.value == OnLeave::Delete
            && self.rows.iter().all(Row::usable)
            && self.sendable().len() == self.rows.len();
        if !calm {
            return;
        }
        let mut other = Self::begin(self.seed).await;
        other.rows = self.rows.iter().rev().cloned().collect();
        other.setting.policy.max_rows = 100;
        other.publish().await;
        other.run().await.unwrap();
        assert_eq!(
            known(&self.setting).await,
            known(&other.setting).await,
            "(e)"
        );
    }
}

fn key_of(text: &str) -> String {
    let key: Value = serde_json::from_str(text).unwrap();
    key["id"].as_str().unwrap().to_owned()
}

/// Rows that leave and are refused when they do.
fn left(state: &[Value], sendable: &BTreeMap<String, Row>, refused: &BTreeSet<String>) -> u64 {
    let keys = state
        .iter()
        .map(|row| key_of(row["key_text"].as_str().unwrap()));
    keys.filter(|key| !sendable.contains_key(key) && refused.contains(key))
        .count() as u64
}

/// Key, status and payload of every row of the state.
async fn known(setting: &Setting) -> BTreeSet<String> {
    let state = setting.state().await;
    state
        .iter()
        // Never confirmed, perhaps there, and not in the model any more: nothing is removed that was not
        // acknowledged (c), so a person is told of it. A life without faults has none.
        .filter(|row| row["uncertain"] != true || !row["payload_hash"].is_null())
        .map(|row| {
            format!(
                "{} {} {}",
                row["key_text"], row["status"], row["payload_hash"]
            )
        })
        .collect()
}

async fn live(seed: u64) {
    let mut life = Life::begin(seed).await;
    for _ in 0..=life.chance.below(3) {
        life.step().await;
    }
    life.end().await;
    if life.chance.one_in(3) {
        life.compare_with_a_calm_life().await;
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn whatever_happens_the_destination_ends_equal_to_the_model() {
    let (first, cases) = (number("KINFOLD_SEED", 1), number("KINFOLD_CASES", 40));
    let threads = 2.min(cases);
    let lives = (0..threads).map(|thread| {
        std::thread::spawn(move || {
            let mut bad = vec![];
            for case in (thread..cases).step_by(usize::try_from(threads).unwrap()) {
                let seed = first + case;
                let ended = catch_unwind(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = { runtime }.enable_all().build().unwrap();
                    runtime.block_on(live(seed));
                });
                bad.extend(ended.is_err().then_some(seed));
            }
            bad
        })
    });
    let lives: Vec<_> = lives.collect();
    let ended = lives.into_iter().map(|life| life.join().unwrap());
    let bad: Vec<u64> = ended.flatten().collect();
    assert!(
        bad.is_empty(),
        "these seeds (KINFOLD_SEED) end badly: {bad:?}"
    );
}
