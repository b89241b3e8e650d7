//! Whole runs of the binary, measured from outside: time and peak memory.
//!
//! `cargo bench -p kinfold` runs all; `cargo bench -p kinfold -- check` only those whose name has
//! the word. `KINFOLD_BENCH_PERSONS`, `KINFOLD_BENCH_ROWS` and `KINFOLD_BENCH_EDGES` make them smaller
//! or larger.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on shall fail, and prints its result"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn main() {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(f.as_str()));
    println!("| benchmark | runs | min s | median s | max s | peak MiB |");
    println!("|---|---|---|---|---|---|");
    if wanted("check_500_models") {
        check_500_models();
    }
    if wanted("build_shop") {
        build_shop();
    }
    if wanted("changeset") {
        changeset();
    }
    if wanted("identity") {
        identity();
    }
}

/// `kinfold check` of 500 chained models with a macro call, a CTE and a window function each.
fn check_500_models() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "kinfold.yml", "name: wide\n");
    write(
        dir.path(),
        "macros/cents.sql",
        "{% macro cents(c) %}({{ c }} / 100.0){% endmacro %}\n",
    );
    write(
        dir.path(),
        "seeds/base.csv",
        "id,customer,amount,placed_at\n1,a,100,2026-01-01\n2,b,250,2026-01-02\n",
    );
    for model in 0..500 {
        let parent = if model == 0 {
            "base".to_owned()
        } else {
            format!("m{:03}", (model - 1) / 2)
        };
        let sql = format!(
            "WITH ranked AS (\n    SELECT id, customer, amount, placed_at,\n        row_number() OVER (PARTITION BY customer ORDER BY placed_at) AS n{model}\n    FROM {{{{ ref('{parent}') }}}}\n    WHERE amount > {model}\n)\nSELECT id, customer, amount, placed_at, {{{{ cents('amount') }}}} AS euros, n{model}\nFROM ranked\n"
        );
        write(dir.path(), &format!("models/m{model:03}.sql"), &sql);
    }
    let runs: Vec<Measured> = (0..5).map(|_| kinfold(dir.path(), &["check"])).collect();
    report("check_500_models", &runs);
}

/// `kinfold build` of the example shop with all its tests, from files to published tables.
fn build_shop() {
    let persons = size("KINFOLD_BENCH_PERSONS", 100_000);
    let dir = tempfile::tempdir().unwrap();
    let persons_text = persons.to_string();
    let at = dir.path().to_str().unwrap();
    kinfold(
        dir.path(),
        &[
            "demo",
            "--data-only",
            "--persons",
            &persons_text,
            "--dir",
            at,
        ],
    );
    let mut first = vec![];
    let mut second = vec![];
    for _ in 0..3 {
        let _ = fs::remove_dir_all(dir.path().join(".kinfold"));
        first.push(kinfold(dir.path(), &["build"]));
        second.push(kinfold(dir.path(), &["build"]));
    }
    report(&format!("build_shop_{persons}"), &first);
    report(&format!("build_shop_{persons}_unchanged"), &second);
}

/// `kinfold sync --dry-run` after 1 % of the rows of a delivered model have changed.
fn changeset() {
    let rows = size("KINFOLD_BENCH_ROWS", 1_000_000);
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "kinfold.yml",
        "name: wide\npurposes: [analytics]\n",
    );
    write(
        dir.path(),
        "models/sources.yml",
        "sources:\n  - name: crm\n    tables:\n      - name: people\n        external: {location: data/people.csv}\n        columns:\n          - {name: id, data_type: bigint}\n          - {name: email, data_type: varchar}\n          - {name: score, data_type: bigint}\n",
    );
    write(
        dir.path(),
        "models/people.sql",
        "{{ config(materialized='table') }}\nSELECT id, email, score FROM {{ source('crm', 'people') }}\n",
    );
    write(
        dir.path(),
        "connections/files.yml",
        "connections:\n  - name: files\n    kind: files\n    location: out\n    format: ndjson\n",
    );
    write(
        dir.path(),
        "syncs/people.yml",
        "syncs:\n  - name: people\n    from: ref('people')\n    connection: files\n    object: people\n    mode: upsert\n    key: {id: id}\n    mapping: {email: email, score: score}\n    purposes: [analytics]\n",
    );
    people(dir.path(), rows, 0);
    kinfold(dir.path(), &["build"]);
    let all = kinfold(dir.path(), &["sync"]);
    people(dir.path(), rows, 100);
    kinfold(dir.path(), &["build"]);
    let runs: Vec<Measured> = (0..3)
        .map(|_| kinfold(dir.path(), &["sync", "--dry-run"]))
        .collect();
    report(&format!("deliver_{rows}_rows_to_files"), &[all]);
    report(&format!("changeset_{rows}_rows_1_percent_changed"), &runs);
}

/// `kinfold build` of an identity: all rows, one in a hundred more, all rows once more. The time is
/// that of the identity alone, from stored table to stored tables; the memory is the program's.
fn identity() {
    let edges = size("KINFOLD_BENCH_EDGES", 1_600_000);
    let records = edges / 2;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "kinfold.yml", "name: wide\nversion: '1.0.0'\n");
    write(
        dir.path(),
        "models/sources.yml",
        "sources:\n  - name: log\n    tables:\n      - name: rows\n        external: {location: 'data/*.csv'}\n        columns:\n          - {name: source, data_type: varchar}\n          - {name: record_id, data_type: varchar}\n          - {name: id_type, data_type: varchar}\n          - {name: id_value, data_type: varchar}\n          - {name: observed_at, data_type: timestamp}\n",
    );
    write(
        dir.path(),
        "models/person.sql",
        "{{ config(materialized='identity', entity='person') }}\nSELECT source, record_id, id_type, id_value, observed_at FROM {{ source('log', 'rows') }}\n",
    );
    let built = |arguments: &[&str]| {
        let whole = kinfold(dir.path(), arguments);
        Measured {
            elapsed: seconds_of(dir.path(), "model.wide.person"),
            ..whole
        }
    };
    observations(dir.path(), 0, records, records * 5 / 16);
    let first = built(&["build"]);
    observations(dir.path(), records, records / 100, records * 5 / 16);
    let more = built(&["build"]);
    let again = built(&["build", "--full-refresh", "--select", "person"]);
    report(&format!("identity_{edges}_edges"), &[first]);
    report(&format!("identity_{edges}_edges_1_percent_more"), &[more]);
    report(&format!("identity_{edges}_edges_once_more"), &[again]);
}

/// Writes `count` records from number `from` on, with two identifiers each. Those from 0 on give each
/// person a chain of four identifiers. Of later ones half are of known people, a quarter bring known
/// people a new identifier, a quarter are new people, and one in 200 joins two.
fn observations(dir: &Path, from: u64, count: u64, persons: u64) {
    let mut text = String::from("source,record_id,id_type,id_value,observed_at\n");
    let value = |person: u64, number: u64| match number % 4 {
        0 => format!("user_id,user-{person}"),
        1 => format!("email,mail.of.person.{person}@example.com"),
        2 => format!("phone,+4930{person}"),
        _ => format!("anonymous_id,anonymous-0000-{person}"),
    };
    for record in from..from + count {
        let mixed = record.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let (person, other) = (mixed % persons, mixed / persons % persons);
        let pair = match (from, record % 8) {
            (0, _) => [0, 1].map(|more| value(record % persons, record / persons + more)),
            (_, 0) if record % 200 == 0 => [value(person, 0), value(other, 1)],
            (_, 0..4) => [value(person, 0), value(person, 1)],
            (_, 4 | 5) => [value(person, 0), format!("device,device-{record}")],
            _ => [
                format!("user_id,fresh-{record}"),
                format!("device,device-{record}"),
            ],
        };
        let (minute, second) = (record / 60 % 60, record % 60);
        for identifier in pair {
            let _ = writeln!(
                text,
                "web,record-{record},{identifier},2026-01-01T00:{minute:02}:{second:02}"
            );
        }
    }
    write(dir, &format!("data/{from}.csv"), &text);
}

/// How long a node of the last run took.
fn seconds_of(dir: &Path, id: &str) -> Duration {
    let text = fs::read_to_string(dir.join("target/run_results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&text).unwrap();
    let nodes = results["results"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["unique_id"] == id).unwrap();
    Duration::from_secs_f64(node["execution_time"].as_f64().unwrap())
}

/// Writes the people; every `changed`th has another score than before, if `changed` is not 0.
fn people(dir: &Path, rows: u64, changed: u64) {
    let mut text = String::from("id,email,score\n");
    for id in 0..rows {
        let bump = u64::from(changed > 0 && id % changed == 0);
        let _ = writeln!(text, "{id},person{id}@example.com,{}", id % 1000 + bump);
    }
    write(dir, "data/people.csv", &text);
}

fn size(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn write(dir: &Path, path: &str, text: &str) {
    let file = dir.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

#[derive(Clone, Copy)]
struct Measured {
    elapsed: Duration,
    peak_kib: u64,
}

/// Runs the binary to its end; it must succeed.
fn kinfold(dir: &Path, args: &[&str]) -> Measured {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kinfold"))
        .args(["--quiet", "--project-dir"])
        .arg(dir)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        // The kernel keeps the high-water mark itself, so looking now and then is enough.
        if let Ok(text) = fs::read_to_string(&status) {
            let mark = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
            let kib = mark.and_then(|m| m.trim().trim_end_matches(" kB").parse().ok());
            peak_kib = peak_kib.max(kib.unwrap_or(0));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(ended.success(), "kinfold {args:?} failed");
    Measured {
        elapsed: started.elapsed(),
        peak_kib,
    }
}

fn report(name: &str, runs: &[Measured]) {
    let mut seconds: Vec<f64> = runs.iter().map(|m| m.elapsed.as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (seconds.first(), seconds.last()) else {
        panic!("no runs of {name}")
    };
    let median = seconds.get(seconds.len() / 2).unwrap_or(max);
    let peak = runs.iter().map(|m| m.peak_kib).max().unwrap_or(0) / 1024;
    println!(
        "| {name} | {} | {min:.2} | {median:.2} | {max:.2} | {peak} |",
        runs.len()
    );
}
