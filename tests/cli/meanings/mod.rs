//! What a change of a project reaches: columns that are read, rows, and nothing else.

mod random;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{folder, kinfold, write};

pub use random::what_is_skipped_is_what_a_new_lake_would_have;

/// raw orders (seed) → stg_orders (table) → clean (view) → totals, last_orders (tables) → best (table).
const FILES: [(&str, &str); 8] = [
    ("kinfold.yml", "name: shop\n"),
    (
        "seeds/orders.csv",
        "id,customer,amount,state,note\n1,ann,5,paid,first\n2,bo,7,paid,\n3,ann,9,open,\n4,cy,2,paid,x\n",
    ),
    (
        "macros/money.sql",
        "{% macro cents(column) %}{{ column }} * 100{% endmacro %}{% macro unused() %}1{% endmacro %}",
    ),
    (
        "models/stg_orders.sql",
        "{{ config(materialized='table') }}
SELECT id, customer, {{ cents('amount') }} AS cents, note FROM {{ ref('orders') }} WHERE state = 'paid' AND id > 0",
    ),
    (
        "models/clean.sql",
        "{{ config(materialized='view') }} SELECT id, customer, cents, upper(note) AS remark FROM {{ ref('stg_orders') }}",
    ),
    (
        "models/totals.sql",
        "{{ config(materialized='table') }} SELECT customer, sum(cents) AS total FROM {{ ref('clean') }} GROUP BY customer",
    ),
    (
        "models/best.sql",
        "{{ config(materialized='table') }} SELECT customer FROM {{ ref('totals') }} WHERE total > 100",
    ),
    (
        "models/models.yml",
        "models:\n  - name: totals\n    columns:\n      - name: customer\n        data_tests: [unique, not_null]\n",
    ),
];

/// Name → what is done, and why.
type Work = BTreeMap<String, (String, String)>;

fn named(nodes: &Value, what: &str) -> Work {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let nodes = nodes.as_array().unwrap().iter();
    nodes
        .map(|node| {
            let id = text(&node["id"]);
            let name = id.split('.').nth(2).unwrap().to_owned();
            (name, (text(&node[what]), text(&node["reason"])))
        })
        .collect()
}

/// What a plan says would be done.
pub(super) fn planned(project: &Path, arguments: &[&str]) -> Work {
    let arguments = [&["plan", "--output", "json"], arguments].concat();
    let report = kinfold(project, &arguments).run().ok().json();
    let mut all = named(&report["nodes"], "action");
    all.retain(|_, (action, _)| action != "skip");
    all
}

/// What a build did, but for tests that found nothing.
pub(super) fn built(project: &Path, arguments: &[&str]) -> Work {
    let arguments = [&["build", "--output", "json"], arguments].concat();
    let report = kinfold(project, &arguments).run().ok().json();
    let mut all = named(&report["nodes"], "status");
    all.retain(|_, (status, _)| !matches!(status.as_str(), "skipped" | "passed" | "proven"));
    all
}

fn replace(project: &Path, file: &str, old: &str, new: &str) {
    let path = project.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{text}");
    fs::write(path, text.replace(old, new)).unwrap();
}

/// Node → version of its table.
fn versions(project: &Path) -> BTreeMap<String, u64> {
    let document = fs::read_to_string(project.join(".kinfold/lake/_kinfold/env/dev.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let nodes = document["environment"]["nodes"].as_object().unwrap();
    let version = |node: &Value| node["table"]["version"].as_u64();
    nodes
        .iter()
        .filter_map(|(id, node)| Some((id.clone(), version(node)?)))
        .collect()
}

/// Changes a file, and says what must be done then, in a plan and in a build; puts it back.
#[track_caller]
fn reaches(project: &Path, file: &str, (old, new): (&str, &str), expected: &[(&str, &str)]) {
    let before = fs::read_to_string(project.join(file)).unwrap();
    replace(project, file, old, new);
    let all = planned(project, &[]);
    let is: Vec<(&str, &str)> = all
        .iter()
        .map(|(name, (_, reason))| (name.as_str(), reason.as_str()))
        .collect();
    assert_eq!(is, expected, "{new}");
    let table_before = versions(project);
    let done = built(project, &[]);
    let names = |work: &Work| work.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&done), names(&all), "{new}");
    // What is skipped stays at its version, for every reader.
    for (id, version) in versions(project) {
        let name = id.split('.').nth(2).unwrap();
        assert_eq!(
            version == table_before[&id],
            !done.contains_key(name),
            "{id}: {new}"
        );
    }
    fs::write(project.join(file), before).unwrap();
    kinfold(project, ["build"]).run().ok();
    assert_eq!(planned(project, &[]), Work::new());
}

pub fn a_change_reaches_who_reads_it() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    let first = planned(project, &[]);
    assert!(
        first
            .values()
            .all(|(action, reason)| action == "build" && reason == "first build"),
        "{first:?}"
    );
    kinfold(project, ["build"]).run().ok();
    assert_eq!(planned(project, &[]), Work::new());
    let stg = "models/stg_orders.sql";

    // Comments, layout, a macro that nobody uses, names inside, the order of conditions.
    reaches(
        project,
        stg,
        ("SELECT id,", "-- all that is paid\nSELECT\n  id,"),
        &[],
    );
    reaches(
        project,
        stg,
        (
            "FROM {{ ref('orders') }} WHERE",
            "FROM {{ ref('orders') }} AS o WHERE",
        ),
        &[],
    );
    reaches(
        project,
        stg,
        ("state = 'paid' AND id > 0", "id > 0 AND state = 'paid'"),
        &[],
    );
    reaches(
        project,
        "macros/money.sql",
        ("unused() %}1", "unused() %}2"),
        &[],
    );
    reaches(
        project,
        "models/totals.sql",
        (
            "FROM {{ ref('clean') }}",
            "FROM (SELECT customer, cents, remark FROM {{ ref('clean') }}) AS c",
        ),
        &[],
    );

    // Columns that nobody reads: the model itself, and nothing below it, however far.
    reaches(
        project,
        stg,
        ("note FROM", "lower(note) AS note FROM"),
        &[("stg_orders", "its meaning changed: column `note` differs")],
    );
    reaches(
        project,
        stg,
        ("note FROM", "note, id + 1 AS next FROM"),
        &[("stg_orders", "its meaning changed: column `next` is new")],
    );
    reaches(
        project,
        stg,
        ("id, customer,", "customer, id,"),
        &[("stg_orders", "its meaning changed")],
    );
    reaches(
        project,
        "models/clean.sql",
        ("upper", "lower"),
        &[("clean", "its meaning changed")],
    );

    // A column that is read, and rows: all that is below and reads them, transitively.
    reaches(
        project,
        "macros/money.sql",
        ("* 100", "* 1000"),
        &[
            ("best", "column `total` of `totals` changed"),
            ("stg_orders", "its meaning changed: column `cents` differs"),
            ("totals", "column `cents` of `stg_orders` changed"),
        ],
    );
    reaches(
        project,
        stg,
        ("state = 'paid'", "state = 'open'"),
        &[
            ("best", "rows of `totals` changed"),
            ("stg_orders", "its meaning changed: its rows differ"),
            ("totals", "rows of `stg_orders` changed"),
        ],
    );
    reaches(
        project,
        "models/totals.sql",
        ("sum(cents)", "max(cents)"),
        &[
            ("best", "column `total` of `totals` changed"),
            ("totals", "its meaning changed: column `total` differs"),
        ],
    );
    // What is read no more, or anew, is said.
    reaches(
        project,
        "models/totals.sql",
        ("sum(cents)", "sum(id)"),
        &[
            ("best", "column `total` of `totals` changed"),
            (
                "totals",
                "its meaning changed: column `id` of `stg_orders` is read for the first time, column `cents` of `stg_orders` is read no more",
            ),
        ],
    );
    // New rows of a seed are a new version of all of it.
    reaches(
        project,
        "seeds/orders.csv",
        ("4,cy,2,paid,x", "4,cy,2,paid,y"),
        &[
            ("best", "`totals` is built before it"),
            ("orders", "`seed.shop.orders` has a new version"),
            ("stg_orders", "`orders` is built before it"),
            ("totals", "`stg_orders` is built before it"),
        ],
    );
}

/// What may come out otherwise the next time is known by its version alone, and so is what reads it.
pub fn what_may_come_out_otherwise_is_read_again() {
    let project = folder();
    let project = project.path();
    let table = |sql: &str| format!("{{{{ config(materialized='table') }}}} {sql}");
    let files = [
        ("kinfold.yml", "name: shop\n".to_owned()),
        (
            "seeds/orders.csv",
            "id,customer,amount\n1,ann,5.5\n2,bo,7.25\n3,ann,9.1\n".to_owned(),
        ),
        (
            "models/drawn.sql",
            table("SELECT id, customer, uuid() AS token FROM {{ ref('orders') }}"),
        ),
        (
            "models/of_token.sql",
            table("SELECT token FROM {{ ref('drawn') }}"),
        ),
        (
            "models/of_id.sql",
            table("SELECT id FROM {{ ref('drawn') }}"),
        ),
        (
            "models/timed.sql",
            table("SELECT id, now() AS at, customer FROM {{ ref('orders') }}"),
        ),
        (
            "models/of_time.sql",
            table("SELECT at FROM {{ ref('timed') }}"),
        ),
        (
            "models/of_timed_id.sql",
            table("SELECT id FROM {{ ref('timed') }}"),
        ),
        (
            "models/some.sql",
            table("SELECT id, customer FROM {{ ref('orders') }} LIMIT 2"),
        ),
        (
            "models/of_some.sql",
            table("SELECT id FROM {{ ref('some') }}"),
        ),
        (
            "models/sums.sql",
            table(
                "SELECT customer, sum(amount) AS total, count(*) AS n FROM {{ ref('orders') }} GROUP BY customer",
            ),
        ),
        (
            "models/of_sum.sql",
            table("SELECT total FROM {{ ref('sums') }}"),
        ),
        (
            "models/of_count.sql",
            table("SELECT n FROM {{ ref('sums') }}"),
        ),
        (
            "models/numbered.sql",
            table("SELECT id, row_number() OVER (ORDER BY customer) AS n FROM {{ ref('orders') }}"),
        ),
        (
            "models/of_number.sql",
            table("SELECT n FROM {{ ref('numbered') }}"),
        ),
        (
            "models/first_of.sql",
            table("SELECT n FROM {{ ref('sums') }} LIMIT 1"),
        ),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    write(project, &files);
    let at = |time: &'static str| {
        built(project, &["--as-of", time])
            .into_keys()
            .collect::<Vec<_>>()
    };
    let (noon, one) = ("2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z");
    at(noon);
    // Dice are thrown in every run, and a clock counts if it has moved; who reads other columns does not care.
    assert_eq!(at(noon), ["drawn", "of_token"]);
    assert_eq!(at(one), ["drawn", "of_time", "of_token", "timed"]);
    let column = |file: &str, old: &str, new: &str| replace(project, file, old, new);
    column("models/some.sql", "customer", "upper(customer) AS customer");
    column(
        "models/sums.sql",
        "count(*) AS n",
        "count(*) AS n, max(id) AS last",
    );
    column("models/numbered.sql", "SELECT id", "SELECT id + 1 AS id");
    assert_eq!(
        at(one),
        [
            "drawn",
            "first_of",
            "numbered",
            "of_number",
            "of_some",
            "of_sum",
            "of_token",
            "some",
            "sums"
        ]
    );
}

/// A lake that an older kinfold has built is built once more, and then is as any other.
pub fn a_lake_without_identities_is_built_once_more() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    kinfold(project, ["build"]).run().ok();
    // Keys were made of versions, in documents and in commits.
    let lake = project.join(".kinfold/lake");
    let path = lake.join("_kinfold/env/dev.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let nodes = document["environment"]["nodes"].as_object_mut().unwrap();
    for node in nodes.values_mut() {
        let node = node.as_object_mut().unwrap();
        if node.remove("basis").is_none() {
            continue;
        }
        let key = node["key"].as_str().unwrap().to_owned();
        let older: String = key.chars().rev().collect();
        if let Some(table) = node["table"]["path"].as_str() {
            let log = fs::read_dir(lake.join(table).join("_delta_log")).unwrap();
            for commit in log.map(|entry| entry.unwrap().path()) {
                if commit.extension().is_some_and(|end| end == "json") {
                    let text = fs::read_to_string(&commit).unwrap();
                    fs::write(&commit, text.replace(&key, &older)).unwrap();
                }
            }
        }
        node.insert("key".to_owned(), older.into());
    }
    fs::write(&path, serde_json::to_vec(&document).unwrap()).unwrap();
    let again = planned(project, &[]);
    assert_eq!(again["stg_orders"].1, "an older kinfold has built it");
    assert!(!again.contains_key("orders"), "{again:?}");
    // Until it is built again, nothing is known of its data.
    assert_eq!(again["totals"].0, "build");
    kinfold(project, ["build"]).run().ok();
    assert_eq!(planned(project, &[]), Work::new());
}
