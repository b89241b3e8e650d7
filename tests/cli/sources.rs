//! Files of sources that are not what they should be.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{folder, kinfold, write};

const EVENTS: &str =
    "{\"id\":1,\"at\":\"2026-01-01T00:00:00Z\"}\n{\"id\":2,\"at\":\"2026-01-02T00:00:00Z\"}\n";
const CONTACTS: &str = "id,email\n1,a@example.com\n2,b@example.com\n";

/// A project with two feeds, built once.
fn feeds() -> TempDir {
    let area = folder();
    write(
        area.path(),
        &[
            ("kinfold.yml", "name: feeds\n"),
            (
                "models/sources.yml",
                "sources:
  - name: web
    tables:
      - name: events
        external: {location: data/events.ndjson.gz}
        columns: [{name: id, data_type: integer}, {name: at, data_type: timestamp}]
  - name: crm
    tables:
      - name: contacts
        external: {location: data/contacts.csv}
        columns: [{name: id, data_type: integer}, {name: email, data_type: varchar}]
",
            ),
            (
                "models/ids.sql",
                "{{ config(materialized='table') }}
SELECT 'web' AS source, id FROM {{ source('web', 'events') }}
UNION ALL
SELECT 'crm', id FROM {{ source('crm', 'contacts') }}
",
            ),
            ("data/contacts.csv", CONTACTS),
        ],
    );
    fs::write(area.path().join("data/events.ndjson.gz"), gzip(EVENTS)).unwrap();
    kinfold(area.path(), ["build"]).run().ok();
    assert_eq!(ids(area.path()), GOOD);
    area
}

/// What is published of the good files.
const GOOD: &str = "crm,1\ncrm,2\nweb,1\nweb,2\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn rows(project: &Path, sql: &str) -> String {
    let ran = kinfold(project, ["query", sql, "--format", "csv"])
        .run()
        .ok();
    let (_, rows) = ran.stdout.split_once('\n').unwrap();
    rows.to_owned()
}

fn ids(project: &Path) -> String {
    rows(project, "SELECT source, id FROM ids ORDER BY source, id")
}

/// The good files again: everything is as if nothing had happened.
fn heals(project: &Path) {
    fs::write(project.join("data/contacts.csv"), CONTACTS).unwrap();
    fs::write(project.join("data/events.ndjson.gz"), gzip(EVENTS)).unwrap();
    kinfold(project, ["build"]).run().ok();
    assert_eq!(ids(project), GOOD);
}

fn node<'a>(report: &'a Value, id: &str) -> &'a Value {
    let nodes = report["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["id"] == id).unwrap()
}

pub fn malformed_records_are_counted_and_kept() {
    let area = feeds();
    let project = area.path();
    let events = "{\"id\":1,\"at\":\"2026-01-01T00:00:00Z\"}\n{\"id\":\n\n{\"id\":\"x\",\"at\":null}\n{\"id\":4}\n[1]\n";
    fs::write(project.join("data/events.ndjson.gz"), gzip(events)).unwrap();
    let contacts = "id,email\n1,a@example.com\nx,b@example.com\n3,\"c\nc@example.com\"\n4,d@example.com,more\n5,\"e@example.com\n";
    fs::write(project.join("data/contacts.csv"), contacts).unwrap();
    let report = kinfold(project, ["build", "--output", "json"])
        .run()
        .ok()
        .json();
    for (id, landed, quarantined) in [
        ("source.feeds.web.events", 2, 3),
        ("source.feeds.crm.contacts", 2, 3),
    ] {
        let node = node(&report, id);
        assert_eq!(
            (&node["rows"], &node["quarantined"]),
            (&json!(landed), &json!(quarantined)),
            "{node}"
        );
    }
    assert_eq!(ids(project), "crm,1\ncrm,3\nweb,1\nweb,4\n");
    let places = "SELECT file, line, record FROM web.events__quarantine ORDER BY line";
    assert_eq!(
        rows(project, places),
        "data/events.ndjson.gz,2,\"{\"\"id\"\":\"\ndata/events.ndjson.gz,4,\"{\"\"id\"\":\"\"x\"\",\"\"at\"\":null}\"\ndata/events.ndjson.gz,6,[1]\n"
    );
    let places = "SELECT file, line FROM crm.contacts__quarantine WHERE reason <> '' ORDER BY line";
    assert_eq!(
        rows(project, places),
        "data/contacts.csv,3\ndata/contacts.csv,6\ndata/contacts.csv,7\n"
    );
    let text = kinfold(project, ["build", "--full-refresh"]).run().ok();
    text.says("3 quarantined");
    heals(project);
    assert_eq!(
        rows(project, "SELECT count(*) FROM crm.contacts__quarantine"),
        "0\n"
    );
}

pub fn a_file_that_is_missing() {
    let area = feeds();
    let project = area.path();
    fs::remove_file(project.join("data/contacts.csv")).unwrap();
    let ran = kinfold(project, ["build"]).run().code(2);
    ran.says("there is no file `data/contacts.csv`")
        .says("models/sources.yml:10:30");
    assert_eq!(ids(project), GOOD);
    heals(project);
}

pub fn a_file_that_is_cut_off() {
    let area = feeds();
    let project = area.path();
    let mut many = String::new();
    for id in 0..20_000 {
        many.push_str(&format!(
            "{{\"id\":{id},\"at\":\"2026-01-01T00:00:00Z\"}}\n"
        ));
    }
    let whole = gzip(&many);
    // In the middle, and in the check sum at the very end.
    for kept in [whole.len() / 2, whole.len() - 3] {
        fs::write(project.join("data/events.ndjson.gz"), &whole[..kept]).unwrap();
        let ran = kinfold(project, ["build"]).run().code(1);
        ran.says("`data/events.ndjson.gz` is truncated or damaged")
            .says("nothing published");
        assert_eq!(ids(project), GOOD);
    }
    heals(project);
}

pub fn a_file_of_another_schema() {
    let area = feeds();
    let project = area.path();
    fs::write(
        project.join("data/contacts.csv"),
        "nummer,adresse\n1,a@example.com\n",
    )
    .unwrap();
    let ran = kinfold(project, ["build", "--output", "json"])
        .run()
        .code(1);
    let report = ran.json();
    assert_eq!(report["success"], json!(false));
    let node = node(&report, "source.feeds.crm.contacts");
    assert_eq!(node["status"], "failed");
    let reason = node["reason"].as_str().unwrap();
    assert!(
        reason.contains("`data/contacts.csv`") && reason.contains("`nummer`"),
        "{reason}"
    );
    assert_eq!(ids(project), GOOD);
    heals(project);
}
