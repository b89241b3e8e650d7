//! Killed syncs of one model to three destinations: HTTP, PostgreSQL and files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kinfold_testkit::{Fault, Loopback, PostgresServer, Script};
use serde_json::{Map, Value, json};

use super::{crashes, dice, kill, number, timed};
use crate::program::{Kinfold, folder, kinfold, write};

const PROJECT: &[(&str, &str)] = &[
    ("kinfold.yml", "name: people\n"),
    ("models/people.sql", "SELECT person_id, name, city FROM {{ ref('raw_people') }}\n"),
    ("models/models.yml", "models:\n  - name: people\n    config: {materialized: table}\n"),
    (
        "connections/connections.yml",
        "connections:
  - {name: crm, kind: http, url: \"{{ env_var('CRM') }}\", max_concurrency: 2}
  - {name: base, kind: postgres, dsn: \"{{ env_var('DSN') }}\"}
  - {name: folder, kind: files, location: out}
",
    ),
    (
        "syncs/syncs.yml",
        "syncs:
  - {name: to_crm, from: ref('people'), connection: crm, object: people, mode: mirror, on_leave: delete, batch_size: 10,
     key: {person_id: person_id}, mapping: {name: name, city: city}}
  - {name: to_base, from: ref('people'), connection: base, object: people, mode: mirror, on_leave: delete, batch_size: 10,
     key: {person_id: person_id}, mapping: {name: name, city: city}}
  - {name: to_folder, from: ref('people'), connection: folder, object: people, mode: mirror, on_leave: delete, batch_size: 10,
     key: {person_id: person_id}, mapping: {name: name, city: city}}
",
    ),
];

/// Rows by key, as every destination shall have them.
type Rows = BTreeMap<i64, (String, Option<String>)>;

fn size() -> i64 {
    number("KINFOLD_CRASH_ROWS").map_or(120, |rows| i64::try_from(rows).unwrap())
}

/// The people of a generation: some leave, some come, some move.
fn people(generation: i64) -> Rows {
    let first = generation * 7;
    (first..first + size())
        .map(|id| {
            let city = ["Cork", "Lyon", "Graz"]
                [usize::try_from((id + generation * (id % 3)) % 3).unwrap()];
            let city = (id % 11 != 0).then(|| city.to_owned());
            (id, (format!("Person {id}"), city))
        })
        .collect()
}

pub fn a_killed_sync_is_finished_by_the_next() {
    let area = folder();
    let project = area.path();
    write(project, PROJECT);
    let batch = format!("batch_size: {}", (size() / 120).max(10));
    let syncs = fs::read_to_string(project.join("syncs/syncs.yml")).unwrap();
    let syncs = syncs.replace("batch_size: 10", &batch);
    write(project, &[("syncs/syncs.yml", &syncs)]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let crm = runtime.block_on(Loopback::start()).unwrap();
    let base = PostgresServer::start().unwrap();
    runtime.block_on(create_table(&base.dsn()));
    // Time between what a destination has done and what kinfold knows of it.
    crm.script(Script::always(Fault::Slow(Duration::from_millis(15))));
    let run = |arguments: &[&str]| -> Kinfold {
        kinfold(project, arguments)
            .env("CRM", &crm.url())
            .env("DSN", &base.dsn())
    };
    let load = |generation: i64| {
        let mut text = "person_id,name,city\n".to_owned();
        for (id, (name, city)) in people(generation) {
            let _ = writeln!(text, "{id},{name},{}", city.unwrap_or_default());
        }
        write(project, &[("seeds/raw_people.csv", &text)]);
        run(&["build"]).run().ok();
    };
    let mut reader = Reader::default();
    let mut check = |wanted: &Rows, what: &str| {
        assert_eq!(&crm_rows(&crm), wanted, "{what}: HTTP");
        assert_eq!(
            &runtime.block_on(base_rows(&base.dsn())),
            wanted,
            "{what}: PostgreSQL"
        );
        assert_eq!(
            reader.rows(&project.join("out/people")),
            wanted,
            "{what}: files"
        );
    };

    load(0);
    let (_, time) = timed(run(&["sync"]));
    check(&people(0), "uninterrupted");
    let kills = number("KINFOLD_CRASHES_A_SYNC").unwrap_or(1).max(1);
    let (n, mut dice) = (crashes().div_ceil(kills), dice(2));
    let mut inside = 0;
    for i in 0..n {
        let generation = i64::try_from(i).unwrap() + 1;
        load(generation);
        let changes = changed(&people(generation - 1), &people(generation));
        let applied = crm.applied();
        for again in 0..kills {
            let child = run(&["sync"]).start();
            // What is left takes less time than all of it.
            let share = (i * kills + again, n * kills * (again + 1));
            inside += u64::from(kill(child, time, share, &mut dice));
        }
        run(&["sync"]).run().ok();
        let what = format!("after kill {i}");
        check(&people(generation), &what);
        // A receiver that knows idempotency keys has applied every change once: what was acknowledged was not
        // sent again, and what was not came with the key that it had.
        assert_eq!(crm.applied() - applied, changes, "{what}");

        // Many rows many times are more than memory holds.
        crm.forget_requests();
        let files = files(&project.join("out/people")).len();
        let idle = run(&["sync", "--output", "json"]).run().ok().json();
        for sync in idle["syncs"].as_array().unwrap() {
            assert_eq!(sync["planned"], json!(0), "{what}: {sync}");
        }
        assert!(crm.requests().is_empty(), "{what}");
        assert_eq!(
            self::files(&project.join("out/people")).len(),
            files,
            "{what}"
        );
    }
    assert!(
        inside * 2 >= n * kills,
        "only {inside} of {} kills met a running sync",
        n * kills
    );
    // How many there were is part of what was measured.
    let _ = writeln!(
        std::io::stderr(),
        "{inside} of {} kills met a running sync of {} rows",
        n * kills,
        size()
    );
}

/// How many keys have to be sent.
fn changed(before: &Rows, after: &Rows) -> u64 {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(key) != after.get(key))
        .count() as u64
}

fn row(fields: &Map<String, Value>) -> (String, Option<String>) {
    let text = |key: &str| fields[key].as_str().map(ToOwned::to_owned);
    (text("name").unwrap(), text("city"))
}

fn crm_rows(crm: &Loopback) -> Rows {
    crm.records("people")
        .into_iter()
        .map(|(key, fields)| {
            let key: Value = serde_json::from_str(&key).unwrap();
            (key["person_id"].as_i64().unwrap(), row(&fields))
        })
        .collect()
}

/// Complete files of an object, in order of their names, which is the one in which they were written.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for delivery in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(delivery.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            // A file that is not complete has another ending.
            if path.extension().is_some_and(|end| end == "ndjson") {
                found.insert(path);
            }
        }
    }
    found
}

/// Who reads the files as the destination's documentation says to, each of them once.
#[derive(Default)]
struct Reader {
    read: BTreeSet<PathBuf>,
    rows: Rows,
}

impl Reader {
    /// The current rows.
    fn rows(&mut self, folder: &Path) -> &Rows {
        for path in files(folder) {
            if self.read.contains(&path) {
                continue;
            }
            assert!(
                self.read.last().is_none_or(|last| *last < path),
                "a file that comes before others was written after them"
            );
            for line in fs::read_to_string(&path).unwrap().lines() {
                let fields: Map<String, Value> = serde_json::from_str(line).unwrap();
                let key = fields["person_id"].as_i64().unwrap();
                if fields["_operation"] == "delete" {
                    self.rows.remove(&key);
                } else {
                    self.rows.insert(key, row(&fields));
                }
            }
            self.read.insert(path);
        }
        &self.rows
    }
}

async fn connect(dsn: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(dsn, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

async fn create_table(dsn: &str) {
    let table = "CREATE TABLE people (person_id bigint PRIMARY KEY, name text, city text)";
    connect(dsn).await.batch_execute(table).await.unwrap();
}

async fn base_rows(dsn: &str) -> Rows {
    let rows = connect(dsn)
        .await
        .query("SELECT person_id, name, city FROM people", &[])
        .await;
    rows.unwrap()
        .into_iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect()
}
