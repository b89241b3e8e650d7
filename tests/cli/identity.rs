//! Who is who, from the command line: a linkage is trained, built, and a person is shown.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{copy, folder, kinfold, repository, write};
use crate::tables;

/// A project of 1,000 invented records; its parameters are taken away.
fn people() -> tempfile::TempDir {
    let project = folder();
    copy(
        &repository().join("examples/linkage/fake_1000"),
        project.path(),
    );
    fs::remove_file(project.path().join("models/matches.linkage.yml")).unwrap();
    project
}

pub fn a_linkage_is_trained_from_its_records() {
    let project = people();
    let run = |arguments: &[&str]| kinfold(project.path(), arguments).run();
    run(&["identity", "train", "matches"])
        .code(2)
        .says("`seed.fake_1000.fake_1000` has not been built")
        .says("kinfold build --exclude matches+");
    run(&["identity", "train", "matchs"])
        .code(2)
        .says("there is no linkage `matchs`")
        .says("did you mean `matches`?");
    run(&["build"])
        .code(1)
        .says("`kinfold identity train` finds them");
    run(&["build", "--exclude", "matches+"]).ok();

    let file = project.path().join("models/matches.linkage.yml");
    let shown = run(&["identity", "train", "matches", "--dry-run"]).ok();
    assert!(!file.exists());
    run(&["identity", "train", "matches"]).ok();
    let trained = fs::read_to_string(&file).unwrap();
    assert_eq!(shown.stdout.trim_end(), trained.trim_end());
    let committed = repository().join("examples/linkage/fake_1000/models/matches.linkage.yml");
    assert_eq!(trained, fs::read_to_string(committed).unwrap());
    run(&["build"]).ok();

    // Another level: what was trained says nothing of it.
    let models = project.path().join("models/models.yml");
    let text = fs::read_to_string(&models).unwrap();
    fs::write(
        &models,
        text.replace("jaro_winkler: 0.85", "jaro_winkler: 0.8"),
    )
    .unwrap();
    run(&["check"])
        .ok()
        .says("level 2 of `city` is `jaro_winkler(city) >= 0.8` now")
        .says("kinfold identity train matches");
    run(&["build"]).code(1);
    run(&["identity", "train", "matches"]).ok();
    run(&["build"]).ok();
}

pub fn a_person_is_shown() {
    let project = folder();
    copy(
        &repository().join("tests/projects/identity_rules"),
        project.path(),
    );
    let run = |arguments: &[&str]| kinfold(project.path(), arguments).run();
    run(&["build"]).ok();
    let by_type = run(&["profile", "show", "user_id:ann", "--output", "json"]).ok();
    let person = by_type.json();
    let values: Vec<_> = person["identifiers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id_value"].clone())
        .collect();
    assert_eq!(values, [json!("ann@example.com"), json!("ann")]);
    let id = person["canonical_id"].as_str().unwrap();
    for asked in ["ann@example.com", id] {
        let other = run(&["profile", "show", asked, "--output", "json"]).ok();
        assert_eq!(other.json()["canonical_id"], person["canonical_id"]);
    }
    let text = run(&["profile", "show", "ann"]).ok();
    assert!(text.stdout.contains("user_id: ann"), "{text:?}");
    for nobody in ["user_id:zoe", "", "'; drop table x; --", "email:"] {
        run(&["profile", "show", nobody])
            .code(2)
            .says("there is no person");
    }
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % most
    }
}

/// Rows of records `from..until` of an invented source; a few are of earlier records.
fn observations(numbers: &mut Numbers, from: u64, until: u64) -> String {
    let mut text = String::from("source,record_id,id_type,id_value,observed_at\n");
    for record in from..until {
        let record = match numbers.below(6) {
            0 => numbers.below(record + 1),
            _ => record,
        };
        let source = ["web", "shop"][usize::try_from(record % 2).unwrap()];
        for _ in 0..2 {
            let (kind, values) = [
                ("user", 240),
                ("email", 300),
                ("device", 360),
                ("device", 360),
            ][usize::try_from(numbers.below(4)).unwrap()];
            let value = match numbers.below(40) {
                0 => "null".to_owned(),
                1 => String::new(),
                _ => format!(
                    "{}{}",
                    [" ", ""][usize::from(record % 3 > 0)],
                    numbers.below(values)
                ),
            };
            let day = 1 + numbers.below(28);
            let time = match numbers.below(9) {
                0 => String::new(),
                _ => format!("2026-01-{day:02}T10:00:00"),
            };
            writeln!(text, "{source},r{record},{kind},{value},{time}").unwrap();
        }
    }
    text
}

fn growing(project: &Path, rules: &str) {
    let columns = "{name: source, data_type: varchar}, {name: record_id, data_type: varchar}, {name: id_type, data_type: varchar}, {name: id_value, data_type: varchar}, {name: observed_at, data_type: timestamp}";
    let sources = format!(
        "sources:\n  - name: log\n    tables:\n      - name: rows\n        external: {{location: 'data/*.csv'}}\n        columns: [{columns}]\n"
    );
    let person = "{{ config(materialized='identity', entity='person') }}\nSELECT source, record_id, id_type, id_value, observed_at FROM {{ ref('rows') }} WHERE id_type <> 'device'\nUNION ALL\nSELECT source, record_id, id_type, id_value, observed_at FROM {{ ref('rows') }} WHERE id_type = 'device'\n";
    write(
        project,
        &[
            ("kinfold.yml", "name: growing\nversion: '1.0.0'\n"),
            ("models/sources.yml", &sources),
            (
                "models/rows.sql",
                "SELECT * FROM {{ source('log', 'rows') }}\n",
            ),
            ("models/person.sql", person),
            ("models/person.yml", rules),
        ],
    );
}

/// All that an identity has published, as text.
fn people_of(project: &Path) -> Vec<String> {
    let queries = [
        "SELECT id_type, id_value, canonical_id, minted_at, first_seen_at, last_seen_at FROM person",
        "SELECT * FROM person__records",
        "SELECT * FROM person__edges",
        "SELECT changed_at, kind, from_canonical_id, into_canonical_id, identifiers FROM person__changes",
        "SELECT * FROM person__alarms",
        "SELECT id_type, id_value, canonical_id, valid_to FROM person__history",
        "SELECT * FROM person__aliases",
        "SELECT count(*), count(canonical_id), count(DISTINCT canonical_id) FROM person",
    ];
    let ask = |query: &str| {
        let ran = kinfold(project, ["query", query, "--format", "csv"])
            .run()
            .ok();
        let mut lines: Vec<&str> = ran.stdout.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    queries.into_iter().map(ask).collect()
}

fn built(project: &Path, day: u64, more: &[&str]) -> (String, Value) {
    let time = format!("2026-02-{day:02}T00:00:00Z");
    let arguments = ["build", "--as-of", &time, "--output", "json"];
    let ran = kinfold(project, arguments.iter().chain(more)).run().ok();
    let answer = ran.json();
    let nodes = answer["nodes"].as_array().unwrap();
    let person = nodes
        .iter()
        .find(|node| node["id"] == "model.growing.person");
    let person = person.unwrap().clone();
    (person["reason"].as_str().unwrap().to_owned(), person)
}

/// Row indices of the identity that were lost, cut off, changed, exchanged or replaced. Returns how many.
fn damage_indices(project: &Path, day: usize) -> usize {
    let mut indices = Vec::new();
    for table in [
        "person",
        "person__records",
        "person__edges",
        "person__history",
    ] {
        let folder = fs::read_dir(project.join(".kinfold/lake/main").join(table));
        let paths = folder.unwrap().map(|entry| entry.unwrap().path());
        indices.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "index")));
    }
    indices.sort();
    for (at, index) in indices.iter().enumerate() {
        let mut bytes = fs::read(index).unwrap();
        match (at + day) % 6 {
            0 => {
                fs::remove_file(index).unwrap();
                continue;
            }
            1 => bytes.truncate(bytes.len() / 2),
            2 => bytes.iter_mut().take(400).for_each(|byte| *byte ^= 1),
            3 => {
                bytes = fs::read(&indices[at.checked_sub(2).unwrap_or(indices.len() - 1)])
                    .unwrap_or_default()
            }
            4 => bytes = b"something else".to_vec(),
            _ => {}
        }
        fs::write(index, bytes).unwrap();
    }
    indices.len()
}

/// New files are added to what is published, changed ones and broken rules lead to all rows; either way
/// the outcome is that of a project which reads everything every time.
pub fn what_is_added_gives_what_all_rows_give() {
    let none = "";
    let limits = "models:\n  - name: person\n    config:\n      identifiers:\n        user: {limit: 6 ever}\n        email: {normalise: lower}\n";
    let mut added = 0;
    for (seed, rules) in [(1, none), (2, none), (3, limits)] {
        let (growing_one, whole_one) = (folder(), folder());
        let mut numbers = Numbers(seed);
        for project in [&growing_one, &whole_one] {
            growing(project.path(), rules);
        }
        let (mut reached, mut lost, mut damaged) = (0, String::new(), 0);
        for day in 1..=6 {
            let count = if day == 1 { 260 } else { 6 + numbers.below(7) };
            let mut rows = observations(&mut numbers, reached, reached + count);
            reached += count;
            let mut file = format!("data/{day}.csv");
            if day == 5 {
                // An older file loses rows.
                file = "data/2.csv".to_owned();
                let old = fs::read_to_string(growing_one.path().join(&file)).unwrap();
                let every_other = |from: usize| {
                    let lines = old.lines().skip(from).step_by(2);
                    lines.fold(String::new(), |text, line| text + line + "\n")
                };
                (rows, lost) = (every_other(0), every_other(1));
            }
            if day == 6 {
                // Who was gone comes back.
                rows += &lost;
            }
            for project in [&growing_one, &whole_one] {
                write(project.path(), &[(&file, &rows)]);
            }
            // Row indices are a cache: it does not matter what becomes of them.
            if seed != 1 && day > 1 {
                damaged += damage_indices(growing_one.path(), usize::try_from(day).unwrap());
            }
            let (reason, _) = built(growing_one.path(), day, &[]);
            built(whole_one.path(), day, &["--full-refresh"]);
            if reason.contains("touched") {
                added += 1;
            } else if day > 1 {
                assert!(reason.contains("all rows were read: "), "{reason}");
            }
            if day == 5 && rules.is_empty() {
                assert!(reason.contains("rewritten or removed"), "{reason}");
            }
            let (found, wanted) = (people_of(growing_one.path()), people_of(whole_one.path()));
            for (found, wanted) in found.iter().zip(&wanted) {
                assert_eq!(found, wanted, "seed {seed}, day {day}: {reason}");
            }
            assert_eq!(built(growing_one.path(), day, &[]).1["status"], "skipped");
        }
        assert!(seed == 1 || damaged >= 15, "{damaged}");
        // Other programs see the same rows.
        let lake = growing_one.path().join(".kinfold/lake");
        let read = tables::read(lake.to_str().unwrap(), &["--env", "dev", "--duckdb"]);
        for (path, table) in read {
            let rows = format!(
                "SELECT count(*) AS n FROM {}",
                path.trim_start_matches("main/")
            );
            if !path.starts_with("main/person") {
                continue;
            }
            let ran = kinfold(growing_one.path(), ["query", &rows, "--format", "csv"])
                .run()
                .ok();
            assert_eq!(ran.stdout, format!("n\n{}\n", table.rows), "{path}");
            assert_eq!(table.duckdb.as_ref(), Some(&table.deltalake), "{path}");
        }
    }
    assert!(added >= 3, "{added}");
}

/// Random graphs of all densities, side by side, resolved by the program and by networkx.
pub fn components_are_those_of_networkx() {
    let project = folder();
    growing(project.path(), "");
    let mut numbers = Numbers(7);
    let mut rows = "source,record_id,id_type,id_value,observed_at\n".to_owned();
    for graph in 0..40_u64 {
        let nodes = 2 + numbers.below(120);
        // From hardly any edge to many more than it takes to connect all.
        let edges = nodes * (1 + graph % 20) / 8;
        for edge in 0..edges {
            let (from, to) = (numbers.below(nodes), numbers.below(nodes));
            for node in [from, to] {
                writeln!(rows, "g{graph},e{edge},node,g{graph}n{node},").unwrap();
            }
        }
        for node in 0..nodes {
            writeln!(rows, "g{graph},only{node},node,g{graph}n{node},").unwrap();
        }
    }
    write(project.path(), &[("data/1.csv", &rows)]);
    built(project.path(), 1, &[]);
    let query = "SELECT id_value, canonical_id FROM person ORDER BY id_value";
    let people = kinfold(project.path(), ["query", query, "--format", "csv"]);
    let people = people.run().ok().stdout;
    write(project.path(), &[("people.csv", &people)]);
    let python = tables::tools().join("venv/bin/python");
    let answer = std::process::Command::new(python)
        .arg(repository().join("tests/peers/components.py"))
        .args(["data/1.csv", "people.csv"])
        .current_dir(project.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&answer.stdout);
    assert!(
        answer.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&answer.stderr)
    );
    let components: u64 = said.trim().parse().unwrap();
    assert!((200..2000).contains(&components), "{components}");
}

/// A linkage, an identity with rules and what comes later are the same on any number of cores.
pub fn threads_change_nothing() {
    let limits = "models:\n  - name: person\n    config:\n      identifiers:\n        user: {limit: 2 ever}\n        email: {normalise: lower}\n";
    let outcome = |threads: &str| -> Vec<String> {
        let mut found = Vec::new();
        let project = folder();
        growing(project.path(), limits);
        let mut numbers = Numbers(11);
        for day in 1..=2 {
            let rows = observations(&mut numbers, day * 400, day * 400 + 400);
            write(project.path(), &[(&format!("data/{day}.csv"), &rows)]);
            built(project.path(), day, &["--threads", threads]);
            found.extend(people_of(project.path()));
        }
        let linked = folder();
        copy(
            &repository().join("examples/linkage/fake_1000"),
            linked.path(),
        );
        kinfold(linked.path(), ["build", "--threads", threads])
            .run()
            .ok();
        for table in ["matches", "matches__links"] {
            let query = format!("SELECT * FROM {table}");
            let ran = kinfold(linked.path(), ["query", &query, "--format", "csv"]);
            let rows = ran.run().ok().stdout;
            let mut rows: Vec<&str> = rows.lines().collect();
            rows.sort_unstable();
            assert!(rows.len() > 500, "{table}");
            found.push(rows.join("\n"));
        }
        found
    };
    let one = outcome("1");
    for threads in ["2", "8"] {
        let found = outcome(threads);
        for (found, one) in found.iter().zip(&one) {
            assert!(found == one, "{threads} threads are not one");
        }
    }
}
