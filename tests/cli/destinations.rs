//! HTTP destinations that fail. Each time: an exit code that says so, nothing lost, counters that close, and a
//! next run that delivers the rest.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use kinfold_testkit::loopback::Rejection;
use kinfold_testkit::{Fault, Loopback, Script};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::program::{Kinfold, Ran, folder, kinfold, write};

/// A built project with twelve people, and the destination of its only sync.
pub struct Shop {
    area: TempDir,
    /// The destination.
    pub crm: Loopback,
    runtime: Runtime,
}

/// How many people there are.
pub const PEOPLE: u64 = 12;

impl Shop {
    /// Batches hold `batch_size` people, one request at a time.
    pub fn new(batch_size: u64) -> Self {
        let area = folder();
        let mut seed = "person_id,name\n".to_owned();
        for id in 1..=PEOPLE {
            let _ = writeln!(seed, "{id},Person {id}");
        }
        let sync = format!(
            "syncs:\n  - {{name: to_crm, from: ref('people'), connection: crm, object: people, mode: mirror, \
             batch_size: {batch_size}, key: {{person_id: person_id}}, mapping: {{name: name}}}}\n"
        );
        write(
            area.path(),
            &[
                ("kinfold.yml", "name: people\n"),
                ("seeds/people.csv", &seed),
                ("syncs/to_crm.yml", &sync),
                (
                    "connections/crm.yml",
                    "connections:\n  - {name: crm, kind: http, url: \"{{ env_var('CRM') }}\", timeout_seconds: 1, \
                     max_concurrency: 1, headers: {Authorization: \"Bearer {{ env_var('TOKEN', 'none') }}\"}}\n",
                ),
            ],
        );
        kinfold(area.path(), ["build"]).run().ok();
        let runtime = Runtime::new().unwrap();
        let crm = runtime.block_on(Loopback::start()).unwrap();
        Self { area, crm, runtime }
    }

    /// The project.
    pub fn project(&self) -> &Path {
        self.area.path()
    }

    /// `kinfold sync --output json`, not yet started.
    pub fn sync(&self) -> Kinfold {
        kinfold(self.project(), ["sync", "--output", "json"]).env("CRM", &self.crm.url())
    }

    /// Runs a sync that fails, and returns what it says of it.
    fn fails(&self) -> Value {
        let ran = self.sync().run().code(1);
        let report = counted(&ran);
        assert_eq!(report["success"], json!(false), "{report}");
        report
    }

    /// Without faults the next run delivers what is left, and the one after it nothing.
    pub fn heals(&self) {
        self.crm.script(Script::none());
        let ran = self.sync().run().ok();
        counted(&ran);
        let wanted: BTreeSet<String> = (1..=PEOPLE)
            .map(|id| json!({"person_id": id}).to_string())
            .collect();
        let records = self.crm.records("people");
        assert_eq!(records.keys().cloned().collect::<BTreeSet<_>>(), wanted);
        for (key, fields) in records {
            let key: Value = serde_json::from_str(&key).unwrap();
            assert_eq!(
                fields["name"],
                json!(format!("Person {}", key["person_id"]))
            );
        }
        let idle = counted(&self.sync().run().ok());
        assert_eq!(idle["planned"], json!(0));
    }
}

/// The only sync's report, its counters checked.
fn counted(ran: &Ran) -> Value {
    let report = ran.json()["syncs"][0].clone();
    let count = |key: &str| {
        report[key]
            .as_u64()
            .unwrap_or_else(|| panic!("no `{key}` in {report}"))
    };
    let parts = [
        "delivered",
        "rejected",
        "retryable",
        "unknown",
        "held",
        "suppressed",
    ];
    assert_eq!(
        count("planned"),
        parts.into_iter().map(count).sum::<u64>(),
        "{report}"
    );
    report
}

pub fn a_destination_that_is_down() {
    let mut shop = Shop::new(5);
    shop.runtime.block_on(shop.crm.down());
    let report = shop.fails();
    assert_eq!(report["delivered"], json!(0), "{report}");
    shop.runtime.block_on(shop.crm.up()).unwrap();
    shop.heals();
}

pub fn a_destination_that_fails_for_good() {
    let shop = Shop::new(PEOPLE);
    // Whether a server that breaks has applied what it got, nobody knows; one that is not available has not.
    shop.crm.script(Script::always(Fault::Status(500)));
    let report = shop.fails();
    assert_eq!(report["unknown"], json!(PEOPLE), "{report}");
    shop.crm.script(Script::always(Fault::Status(503)));
    let report = shop.fails();
    assert_eq!(report["retryable"], json!(PEOPLE), "{report}");
    shop.heals();
}

/// Every answer breaks off, so nobody knows what was applied.
pub fn a_destination_that_never_answers_in_full() {
    let shop = Shop::new(PEOPLE);
    shop.crm.script(Script::always(Fault::HalfBody));
    let report = shop.fails();
    assert_eq!(report["unknown"], json!(PEOPLE), "{report}");
    shop.heals();
}

/// What was refused can be looked at, and is sent again when somebody says so.
fn retry_the_refused(shop: &Shop) {
    let listed = kinfold(shop.project(), ["sync", "rejected", "to_crm"])
        .run()
        .ok();
    assert!(
        listed
            .stdout
            .starts_with("rejected {\"person_id\":\"…(1)\"} update (1 attempts, next after "),
        "{listed:#?}"
    );
    assert!(!listed.stdout.contains("four"), "{listed:#?}");
    let waits = counted(&shop.sync().run().ok());
    assert_eq!(
        (&waits["planned"], &waits["waiting"]),
        (&json!(0), &json!(1))
    );
    let retry = [
        "sync",
        "rejected",
        "to_crm",
        "--retry",
        "--only-keys",
        "person_id=4",
    ];
    let retried = kinfold(shop.project(), retry).run().ok();
    assert!(
        retried.stderr.contains("1 rows are part of the next run"),
        "{retried:#?}"
    );
}

/// A guard holds what left; the command that it prints sends exactly that.
pub fn held_removals_are_approved() {
    let shop = Shop::new(PEOPLE);
    shop.sync().run().ok();
    let seed = "person_id,name\n1,Person 1\n";
    let sync = std::fs::read_to_string(shop.project().join("syncs/to_crm.yml")).unwrap();
    let guarded = sync.replace("batch_size", "guards: {max_removals: 10%}, batch_size");
    write(
        shop.project(),
        &[("seeds/people.csv", seed), ("syncs/to_crm.yml", &guarded)],
    );
    kinfold(shop.project(), ["build"]).run().ok();
    let held = kinfold(shop.project(), ["sync"])
        .env("CRM", &shop.crm.url())
        .run()
        .code(1);
    assert_eq!(shop.crm.records("people").len() as u64, PEOPLE);
    let (_, command) = held
        .stderr
        .split_once("kinfold sync approve ")
        .expect("it says how");
    let arguments = command.lines().next().unwrap().split(' ');
    let approve = ["sync", "approve"].into_iter().chain(arguments);
    let wrong = kinfold(shop.project(), ["sync", "approve", "to_crm", "0"]);
    let wrong = wrong.env("CRM", &shop.crm.url()).run().code(1);
    assert!(
        wrong.stderr.contains("holds nothing back under `0`"),
        "{wrong:#?}"
    );
    kinfold(shop.project(), approve)
        .env("CRM", &shop.crm.url())
        .run()
        .ok();
    let left: Vec<String> = shop.crm.records("people").into_keys().collect();
    assert_eq!(left, [r#"{"person_id":1}"#]);
    assert_eq!(counted(&shop.sync().run().ok())["planned"], json!(0));
}

pub fn a_destination_that_refuses_some_rows() {
    let shop = Shop::new(PEOPLE);
    shop.crm
        .refuse([json!({"person_id": 3})], Rejection::Whole(422));
    let report = shop.fails();
    assert_eq!(
        (&report["delivered"], &report["rejected"]),
        (&json!(PEOPLE - 1), &json!(1)),
        "{report}"
    );
    shop.crm
        .refuse([json!({"person_id": 4})], Rejection::PerRow);
    write(
        shop.project(),
        &[(
            "seeds/people.csv",
            &std::fs::read_to_string(shop.project().join("seeds/people.csv"))
                .unwrap()
                .replace("3,Person 3\n", "3,Person three\n")
                .replace("4,Person 4\n", "4,Person four\n"),
        )],
    );
    kinfold(shop.project(), ["build"]).run().ok();
    let report = shop.fails();
    assert_eq!(
        (&report["delivered"], &report["rejected"]),
        (&json!(1), &json!(1)),
        "{report}"
    );
    assert_eq!(
        shop.crm.records("people")[r#"{"person_id":3}"#]["name"],
        "Person three"
    );
    assert_eq!(
        shop.crm.records("people")[r#"{"person_id":4}"#]["name"],
        "Person 4"
    );
    retry_the_refused(&shop);
    shop.crm.refuse([], Rejection::PerRow);
    assert_eq!(counted(&shop.sync().run().ok())["delivered"], json!(1));
    assert_eq!(
        shop.crm.records("people")[r#"{"person_id":4}"#]["name"],
        "Person four"
    );
}

/// What passes by itself within a run: the run succeeds, and everything is applied once.
pub fn a_destination_that_stumbles() {
    let shop = Shop::new(2);
    shop.crm.script(Script::sequence([
        Some(Fault::RetryAfter(429, "0".to_owned())),
        None,
        Some(Fault::ResetBefore),
        None,
        Some(Fault::ResetAfter),
        Some(Fault::HalfBody),
        None,
        Some(Fault::Status(503)),
        None,
        Some(Fault::Malformed),
        // Longer than the connection waits.
        Some(Fault::Slow(Duration::from_millis(1500))),
        None,
        Some(Fault::StatusAfter(502)),
    ]));
    let report = counted(&shop.sync().run().ok());
    assert_eq!(report["delivered"], json!(PEOPLE), "{report}");
    assert_eq!(shop.crm.applied(), PEOPLE);
    shop.heals();
    assert_eq!(shop.crm.applied(), PEOPLE);
}

pub fn a_destination_that_refuses_the_credentials() {
    let shop = Shop::new(PEOPLE);
    shop.crm.require("Bearer swordfish");
    let ran = shop.sync().env("TOKEN", "flounder").run().code(1);
    let report = counted(&ran);
    assert_eq!(report["delivered"], json!(0), "{report}");
    assert!(
        !ran.stdout.contains("flounder"),
        "a secret is shown: {ran:#?}"
    );
    let text = kinfold(shop.project(), ["sync"])
        .env("CRM", &shop.crm.url())
        .env("TOKEN", "flounder")
        .run()
        .code(1);
    assert!(
        !text.stderr.contains("flounder"),
        "a secret is shown: {text:#?}"
    );
    let text = text.says("credentials");
    assert_eq!(text.stdout, "");
    let ran = shop.sync().env("TOKEN", "swordfish").run().ok();
    assert_eq!(counted(&ran)["delivered"], json!(PEOPLE));
}

pub fn credentials_that_are_not_set() {
    let shop = Shop::new(PEOPLE);
    let ran = kinfold(shop.project(), ["sync"]).run();
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:#?}");
    ran.says("`CRM`");
    shop.heals();
}

/// A destination that never answers, and one whose credentials are missing, concern their own syncs only.
pub fn a_destination_that_hangs_keeps_nobody_waiting() {
    let area = folder();
    // Connections are accepted, and that is all.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connections = format!(
        "connections:\n  - {{name: deaf, kind: http, url: \"http://{}\", timeout_seconds: 60}}\n  \
         - {{name: locked, kind: http, url: \"{{{{ env_var('NOT_SET_ANYWHERE') }}}}\"}}\n  \
         - {{name: out, kind: files, location: out}}\n",
        deaf.local_addr().unwrap()
    );
    let sync = |name: &str| {
        format!(
            "  - {{name: {name}, from: ref('people'), connection: {name}, object: people, mode: mirror, key: {{id: id}}, mapping: {{name: name}}}}\n"
        )
    };
    let syncs = format!("syncs:\n{}{}{}", sync("deaf"), sync("locked"), sync("out"));
    write(
        area.path(),
        &[
            ("kinfold.yml", "name: people\n"),
            ("seeds/people.csv", "id,name\n1,Ann\n"),
            ("connections/all.yml", &connections),
            ("syncs/all.yml", &syncs),
        ],
    );
    kinfold(area.path(), ["build"]).run().ok();
    let mut child = kinfold(area.path(), ["sync"]).start();
    let begun = std::time::Instant::now();
    // Written when a run has ended with everything delivered.
    let ended = area
        .path()
        .join(".kinfold/lake/_kinfold/sync/out/compared.json");
    while !ended.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "a destination that hangs has held up another one"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    // The one that hangs still does.
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    let ran = Ran::wait(child);
    assert!(ran.stderr.contains("sync `locked`"), "{ran:#?}");
}
