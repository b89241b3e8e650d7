//! Whole runs of the binary, measured from outside: time and peak memory.
//!
//! `cargo bench -p kinfold` runs all; `cargo bench -p kinfold -- check` only those whose name has
//! the word. `KINFOLD_BENCH_PERSONS` and `KINFOLD_BENCH_ROWS` make them smaller or larger.

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
