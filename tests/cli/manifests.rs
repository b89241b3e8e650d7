//! Destinations that a manifest describes, in the project's own folder.

use std::path::Path;

use kinfold_testkit::loopback::Rejection;
use kinfold_testkit::{Fault, Loopback, Script};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::serve::{ARGUMENTS, Served};
use crate::program::{Kinfold, folder, kinfold, write};

/// Speaks the protocol of the receiver of these tests, as if nobody had written it in Rust.
const MANIFEST: &str = r#"
version: 1
name: shop_crm
title: The shop's CRM
about: People, in batches of five.
sources: [the receiver of these tests]
parameters:
  url: {about: Where it is.}
  token: {about: A token that may write., secret: true}
base_url: "{{ connection.url }}"
auth: {headers: {authorization: "Bearer {{ connection.token }}"}}
objects:
  people:
    about: People.
    keys: [person_id]
    fields: {known: {person_id: {}, name: {}}}
    upsert:
      rows: 5
      calls:
        - post: /people
          headers: {idempotency-key: "{{ batch.id }}"}
          json:
            sync: "{{ sync.name }}"
            run_id: "{{ run.id }}"
            batch_id: "{{ batch.id }}"
            operation: upsert
            records: {$each: rows, $item: {key: "{{ row.key }}", fields: "{{ row.fields }}"}}
          rows:
            items: $.results
            index: $.index
            rules:
              - {if: "$.status == 'rejected'", is: rejected, message: $.error}
              - {if: "$.status == 'retryable'", is: temporary}
          unnamed: ok
    delete:
      rows: 5
      calls:
        - post: /people
          headers: {idempotency-key: "{{ batch.id }}"}
          json:
            sync: "{{ sync.name }}"
            run_id: "{{ run.id }}"
            batch_id: "{{ batch.id }}"
            operation: delete
            records: {$each: rows, $item: {key: "{{ row.key }}", fields: {}}}
"#;

const TOKEN: &str = "planted-token-61803398";

struct Shop {
    area: TempDir,
    crm: Loopback,
    /// Runs the receiver.
    _runtime: Runtime,
}

impl Shop {
    fn new() -> Self {
        let area = folder();
        write(
            area.path(),
            &[
                ("kinfold.yml", "name: people\n"),
                ("destinations/shop_crm/manifest.yml", MANIFEST),
                (
                    "connections/crm.yml",
                    "connections:\n  - {name: crm, kind: shop_crm, url: \"{{ env_var('CRM') }}\", token: \"{{ env_var('TOKEN') }}\"}\n",
                ),
                (
                    "syncs/to_crm.yml",
                    "syncs:\n  - {name: to_crm, from: ref('people'), connection: crm, object: people, mode: mirror, \
                     on_leave: delete, key: {person_id: person_id}, mapping: {name: name}}\n",
                ),
            ],
        );
        let runtime = Runtime::new().unwrap();
        let crm = runtime.block_on(Loopback::start()).unwrap();
        let shop = Self {
            area,
            crm,
            _runtime: runtime,
        };
        shop.people(&(1..=12).collect::<Vec<_>>());
        shop
    }

    fn run(&self, arguments: &[&str]) -> Kinfold {
        kinfold(self.area.path(), arguments)
            .env("CRM", &self.crm.url())
            .env("TOKEN", TOKEN)
    }

    /// Makes the connection take its token from somewhere else.
    fn token_from(&self, source: &str) {
        let connection = format!(
            "connections:\n  - name: crm\n    kind: shop_crm\n    url: \"{{{{ env_var('CRM') }}}}\"\n    token: {source}\n"
        );
        write(
            self.area.path(),
            &[("connections/crm.yml", connection.as_str())],
        );
    }

    fn people(&self, ids: &[u64]) {
        let lines = ids.iter().map(|id| format!("{id},Person {id}\n"));
        let seed = format!("person_id,name\n{}", lines.collect::<String>());
        write(self.area.path(), &[("seeds/people.csv", &seed)]);
        self.run(&["build"]).run().ok();
    }

    fn sync(&self) -> Value {
        let ran = self
            .run(&["sync", "--output", "json"])
            .env("KINFOLD_LOG", "kinfold=trace,reqwest=trace,hyper=trace")
            .run();
        for said in [&ran.stdout, &ran.stderr] {
            assert!(!said.contains(TOKEN), "the token was printed: {said}");
        }
        ran.json()["syncs"][0].clone()
    }

    fn delivered(&self) -> Vec<u64> {
        let keys = self.crm.records("people").into_keys();
        let mut ids: Vec<u64> = keys
            .map(|key| {
                serde_json::from_str::<Value>(&key).unwrap()["person_id"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        ids.sort_unstable();
        ids
    }
}

/// Files below a folder that hold a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            if bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

pub fn a_folder_of_the_project_is_a_destination() {
    let shop = Shop::new();
    let asked = shop.run(&["connection", "check"]).run().ok();
    asked
        .says("connection crm (shop_crm): could not ask whether the credentials are right")
        .says("its manifest has no `check`");
    let first = shop.sync();
    assert_eq!(
        (&first["delivered"], &first["requests"]),
        (&json!(12), &json!(3)),
        "{first}"
    );
    assert_eq!(shop.delivered(), (1..=12).collect::<Vec<_>>());
    let sent = format!("Bearer {TOKEN}");
    let request = &shop.crm.requests()[0];
    assert_eq!(request.headers.get("authorization"), Some(&sent));

    shop.people(&[1, 2, 3, 13]);
    let second = shop.sync();
    assert_eq!(second["delivered"], json!(10), "{second}");
    assert_eq!(shop.delivered(), [1, 2, 3, 13]);
    assert_eq!(shop.sync()["planned"], json!(0));
    assert_eq!(files_with(shop.area.path(), TOKEN), Vec::<String>::new());
}

pub fn what_it_refuses_is_known_row_by_row() {
    let shop = Shop::new();
    let fourth = json!({"person_id": 4});
    shop.crm.refuse([fourth], Rejection::PerRow);
    let report = shop.sync();
    assert_eq!(
        (&report["delivered"], &report["rejected"]),
        (&json!(11), &json!(1)),
        "{report}"
    );
    shop.crm.refuse([], Rejection::PerRow);
    let faults = [
        Fault::Status(503),
        Fault::HalfBody,
        Fault::RetryAfter(429, "0".to_owned()),
    ];
    shop.crm.script(Script::sequence(faults.map(Some)));
    shop.run(&["sync", "rejected", "to_crm", "--retry"])
        .run()
        .ok();
    let report = shop.sync();
    assert_eq!(report["delivered"], json!(1), "{report}");
    assert_eq!(shop.delivered(), (1..=12).collect::<Vec<_>>());
}

/// Said before anything is sent, and without credentials.
pub fn what_it_does_not_have_is_said_by_check() {
    let shop = Shop::new();
    let says = |files: &[(&str, &str)], code: &str, text: &str| {
        write(shop.area.path(), files);
        let ran = kinfold(shop.area.path(), ["check"]).run().code(1);
        assert!(
            ran.stderr.contains(code) && ran.stderr.contains(text),
            "{code} {text}: {ran:#?}"
        );
    };
    let connection = |options: &str| format!("connections:\n  - {{name: crm, {options}}}\n");
    let good = connection("kind: shop_crm, url: u, token: t");
    for (options, code, text) in [
        ("kind: shop_crn, url: u, token: t", "KF0111", "shop_crm"),
        (
            "kind: shop_crm, url: u, token: t, tokn: t",
            "KF0108",
            "token",
        ),
        ("kind: shop_crm, url: u", "KF0109", "needs `token`"),
    ] {
        says(&[("connections/crm.yml", &connection(options))], code, text);
    }
    let sync = std::fs::read_to_string(shop.area.path().join("syncs/to_crm.yml")).unwrap();
    for (from, to, text) in [
        ("object: people", "object: peple", "people"),
        ("mode: mirror, on_leave: delete", "mode: append", "append"),
        ("{name: name}", "{nam: name}", "nam"),
    ] {
        let changed = sync.replace(from, to);
        assert_ne!(changed, sync);
        says(
            &[
                ("connections/crm.yml", &good),
                ("syncs/to_crm.yml", &changed),
            ],
            "KF0208",
            text,
        );
    }
    let broken = MANIFEST.replace("unnamed: ok", "unnamd: ok");
    says(
        &[
            ("syncs/to_crm.yml", &sync),
            ("destinations/shop_crm/manifest.yml", &broken),
        ],
        "KF0111",
        "kinfold destination check",
    );
    let ran = kinfold(
        shop.area.path(),
        ["destination", "check", "destinations/shop_crm"],
    )
    .run();
    assert!(
        ran.stderr.contains("manifest.yml:") && ran.stderr.contains("unnamed"),
        "{ran:#?}"
    );
}

pub fn a_secret_that_cannot_be_read_is_shown_where_it_stands() {
    let shop = Shop::new();
    for (source, place, says) in [
        (
            "{file: secrets/crm}",
            "connections/crm.yml:5:19",
            "secrets/crm",
        ),
        (
            "{command: [sh, -c, \"exit 3\"]}",
            "connections/crm.yml:5:23",
            "3",
        ),
    ] {
        shop.token_from(source);
        let ran = shop.run(&["sync"]).run().code(1);
        ran.says("sync `to_crm` could not start")
            .says(place)
            .says(says);
        let asked = shop.run(&["connection", "check"]).run().code(1);
        asked.says(place);
        let report = shop.run(&["sync", "--output", "json"]).run().code(1).json();
        let problem = &report["syncs"][0]["diagnostics"][0];
        assert_eq!(problem["file"], "connections/crm.yml", "{report}");
    }
    assert!(shop.crm.requests().is_empty());
}

/// Without being started again.
pub fn a_server_takes_a_credential_that_was_changed() {
    let shop = Shop::new();
    shop.token_from("{file: token}");
    write(shop.area.path(), &[("token", "planted-token-1")]);
    let server = Served::of(shop.run(&ARGUMENTS));
    let ended = server.run("to_crm");
    assert_eq!(ended["outcome"], "succeeded", "{ended}");
    write(shop.area.path(), &[("token", "planted-token-2")]);
    shop.people(&[1, 2, 3]);
    let ended = server.run("to_crm");
    assert_eq!(ended["outcome"], "succeeded", "{ended}");
    assert_eq!(server.stop(), Some(0));
    let requests = shop.crm.requests();
    let sent: Vec<&str> = requests
        .iter()
        .filter_map(|request| request.headers.get("authorization").map(String::as_str))
        .collect();
    assert_eq!(
        (sent.first(), sent.last()),
        (
            Some(&"Bearer planted-token-1"),
            Some(&"Bearer planted-token-2")
        )
    );
}

pub fn shipped_destinations_prove_themselves() {
    let area = folder();
    let listed = kinfold(area.path(), ["destination", "list", "--output", "json"])
        .run()
        .ok()
        .json();
    let names: Vec<&str> = listed["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"slack"), "{names:?}");
    kinfold(
        area.path(),
        [&["destination", "test"], names.as_slice()].concat(),
    )
    .run()
    .ok();
}
