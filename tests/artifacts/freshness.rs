//! How old the rows of sources are: `kinfold source freshness`.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{artifact, assert_valid};
use crate::program::{folder, kinfold, write};

const SOURCES: &str = "sources:
  - name: raw
    description: what the shop writes
    config:
      freshness: {warn_after: {count: 12, period: hour}, error_after: {count: 1, period: day}}
    tables:
      - name: events
        external: {location: data/events.csv}
        loaded_at_field: at
        columns: [{name: id, data_type: integer}, {name: at, data_type: timestamp}]
      - name: early
        external: {location: data/events.csv}
        loaded_at_field: at
        freshness: {filter: id < 2}
        columns: [{name: id, data_type: integer}, {name: at, data_type: timestamp}]
      - name: asked
        external: {location: data/events.csv}
        loaded_at_query: select max(at) + interval '1 hour' from {{ this }}
        columns: [{name: id, data_type: integer}, {name: at, data_type: timestamp}]
      - name: written
        external: {location: data/written.ndjson}
        columns: [{name: id, data_type: integer}]
      - name: table
        external: {location: .kinfold/lake/main/seeded/, format: delta}
      - name: unwatched
        external: {location: data/events.csv}
        freshness: null
        columns: [{name: id, data_type: integer}, {name: at, data_type: timestamp}]
";

const EVENTS: &str = "id,at\n1,2026-01-01T00:00:00Z\n2,2026-01-02T00:00:00Z\n";

fn project() -> TempDir {
    let area = folder();
    write(
        area.path(),
        &[
            ("kinfold.yml", "name: shop\n"),
            ("seeds/seeded.csv", "a\n1\n"),
        ],
    );
    kinfold(area.path(), ["build"]).run().ok();
    write(
        area.path(),
        &[
            ("data/events.csv", EVENTS),
            ("data/written.ndjson", "{\"id\":1}\n"),
            ("models/sources.yml", SOURCES),
        ],
    );
    area
}

/// The status of a source, and its result, at a time.
fn at(project: &Path, time: &str, code: i32) -> Vec<(String, Value)> {
    let arguments = ["source", "freshness", "--as-of", time, "--select"];
    let chosen = ["source:raw.events", "source:raw.early", "source:raw.asked"];
    kinfold(project, arguments.iter().chain(&chosen))
        .run()
        .code(code);
    let sources = assert_valid(project, "sources.json", "sources-v3");
    let results = sources["results"].as_array().unwrap().iter();
    results
        .map(|result| {
            let id = result["unique_id"].as_str().unwrap();
            let name = id.rsplit('.').next().unwrap();
            let status = result["status"].as_str().unwrap();
            (format!("{name} {status}"), result.clone())
        })
        .collect()
}

fn words(results: &[(String, Value)]) -> Vec<&str> {
    results.iter().map(|(word, _)| word.as_str()).collect()
}

pub fn rows_grow_old() {
    let area = project();
    let project = area.path();
    let six_hours = at(project, "2026-01-02T06:00:00Z", 1);
    assert_eq!(
        words(&six_hours),
        ["events pass", "early error", "asked pass"],
        "the condition leaves the row of the first day, which is 30 hours old"
    );
    let (_, events) = &six_hours[0];
    assert_eq!(
        (
            &events["max_loaded_at"],
            &events["snapshotted_at"],
            &events["max_loaded_at_time_ago_in_s"],
        ),
        (
            &json!("2026-01-02T00:00:00.000000Z"),
            &json!("2026-01-02T06:00:00.000000Z"),
            &json!(21_600.0),
        )
    );
    let (_, early) = &six_hours[1];
    assert_eq!(
        early["criteria"],
        json!({
            "warn_after": {"count": 12, "period": "hour"},
            "error_after": {"count": 1, "period": "day"},
            "filter": "id < 2",
        })
    );
    // At the limit is not above it; the query adds an hour.
    let twelve = at(project, "2026-01-02T12:00:00Z", 1);
    assert_eq!(words(&twelve)[0], "events pass");
    let over_twelve = at(project, "2026-01-02T12:30:00Z", 1);
    assert_eq!(
        words(&over_twelve),
        ["events warn", "early error", "asked pass"]
    );
    let over_day = at(project, "2026-01-03T00:30:00Z", 1);
    assert_eq!(
        words(&over_day),
        ["events error", "early error", "asked warn"]
    );

    // No rows came infinitely long ago.
    fs::write(project.join("data/events.csv"), "id,at\n").unwrap();
    let empty = at(project, "2026-01-02T06:00:00Z", 1);
    assert_eq!(
        words(&empty),
        ["events error", "early error", "asked error"]
    );
    assert_eq!(
        empty[0].1["max_loaded_at"],
        json!("0001-01-01T00:00:00.000000Z")
    );
}

pub fn warnings_do_not_fail() {
    let area = project();
    let project = area.path();
    let arguments = |time| {
        [
            "source",
            "freshness",
            "--select",
            "raw.events",
            "--as-of",
            time,
        ]
    };
    let select = |time: &'static str| {
        let mut words = arguments(time);
        words[3] = "source:raw.events";
        kinfold(project, words)
    };
    select("2026-01-02T06:00:00Z")
        .run()
        .ok()
        .says("1 sources: 1 fresh, 0 warned, 0 stale, 0 not known");
    select("2026-01-02T18:30:00Z")
        .run()
        .ok()
        .says("warn source.shop.raw.events: 18 h 30 min old");
    select("2026-01-04T01:00:00Z")
        .run()
        .code(1)
        .says("error source.shop.raw.events: 2 d 1 h old");
}

pub fn what_has_no_field_is_as_old_as_its_files() {
    let area = project();
    let project = area.path();
    let chosen = ["--select", "source:raw.written", "source:raw.table"];
    let run = || {
        let ran = kinfold(project, ["source", "freshness"].iter().chain(&chosen)).run();
        let status = |name: &str| {
            let sources = artifact(project, "sources.json");
            let results = sources["results"].as_array().unwrap().iter();
            let id = format!("source.shop.raw.{name}");
            let mut results = results.filter(|result| result["unique_id"] == id.as_str());
            results.next().unwrap()["status"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        (ran.code, status("written"), status("table"))
    };
    assert_eq!(run(), (Some(0), "pass".to_owned(), "pass".to_owned()));
    let mut options = File::options();
    let file = options
        .append(true)
        .open(project.join("data/written.ndjson"));
    let file = file.unwrap();
    let hours = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
    file.set_modified(hours(13)).unwrap();
    assert_eq!(run(), (Some(0), "warn".to_owned(), "pass".to_owned()));
    file.set_modified(hours(25)).unwrap();
    assert_eq!(run(), (Some(1), "error".to_owned(), "pass".to_owned()));

    let manifest = artifact(project, "manifest.json");
    let source = |name: &str| &manifest["sources"][format!("source.shop.raw.{name}")];
    assert_eq!(source("events")["loaded_at_field"], json!("at"));
    assert_eq!(
        source("events")["source_description"],
        json!("what the shop writes")
    );
    assert_eq!(
        source("written")["freshness"]["error_after"],
        json!({"count": 1, "period": "day"})
    );
    assert_eq!(source("unwatched")["freshness"], Value::Null);
    // Those without a limit are not looked at.
    kinfold(project, ["source", "freshness"]).run();
    let sources = artifact(project, "sources.json");
    assert_eq!(sources["results"].as_array().unwrap().len(), 5);
}

pub fn questions_that_cannot_be_asked_are_told_by_check() {
    let area = project();
    let project = area.path();
    let told = |from: &str, to: &str| {
        let text = SOURCES.replacen(from, to, 1);
        assert_ne!(text, SOURCES);
        fs::write(project.join("models/sources.yml"), text).unwrap();
        kinfold(project, ["check"]).run().code(1)
    };
    told("loaded_at_field: at", "loaded_at_field: att")
        .says("KF0402")
        .says("models/sources.yml:9:26");
    told("loaded_at_field: at", "loaded_at_field: id")
        .says("KF0407")
        .says("CAST(… AS TIMESTAMP)");
    told("filter: id < 2", "filter: \"id < 2 and\"").says("KF0401");
    told("select max(at)", "select max(t)").says("KF0402");
    told("period: hour", "period: hours").says("did you mean `hour`?");
}
