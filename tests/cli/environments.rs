//! `kinfold env`, `kinfold publish` and environments of a pattern.

use std::fs;
use std::path::Path;

use crate::program::{Ran, folder, kinfold, write};

const FILES: [(&str, &str); 6] = [
    (
        "kinfold.yml",
        "name: shop\nenvironments:\n  prod: {lake: lake}\n  \"pr_*\": {lake: lake}\n  pr_big_*: {lake: lake, schema: big}\n",
    ),
    ("seeds/orders.csv", "id,customer\n1,ann\n2,bo\n"),
    (
        "models/customers.sql",
        "{{ config(materialized='table') }} SELECT customer FROM {{ ref('orders') }}",
    ),
    (
        "models/loud.sql",
        "{{ config(materialized='view') }} SELECT upper(customer) AS customer FROM {{ ref('customers') }}",
    ),
    (
        "connections/files.yml",
        "connections:\n  - {name: out, kind: files, location: out, format: ndjson}\n",
    ),
    (
        "syncs/customers.yml",
        "syncs:\n  - {name: customers_out, from: ref('customers'), connection: out, object: customers, mode: mirror, key: {id: customer}, mapping: {name: customer}, guards: {max_removals: 100%, max_changes: 100%}}\n",
    ),
];

fn run(project: &Path, arguments: &[&str]) -> Ran {
    kinfold(project, arguments).run()
}

/// It prints this, besides what it says.
#[track_caller]
fn prints(ran: &Ran, text: &str) {
    assert!(ran.stdout.contains(text), "no `{text}` in: {ran:?}");
}

fn rows(project: &Path, environment: &str, sql: &str) -> String {
    let arguments = ["--env", environment, "query", "--format", "csv", sql];
    run(project, &arguments).ok().stdout.clone()
}

/// The customers in production.
fn customers(project: &Path) -> String {
    rows(project, "prod", "SELECT * FROM loud ORDER BY 1")
}

fn project() -> tempfile::TempDir {
    let project = folder();
    write(project.path(), &FILES);
    project
}

pub fn what_was_published_before_is_published_once_more() {
    let project = project();
    let project = project.path();
    run(project, &["publish"])
        .code(2)
        .says("nothing is published in the environment `prod`");
    run(project, &["build"]).ok();
    run(project, &["publish", "--rollback"])
        .code(2)
        .says("had nothing published before that differs");
    run(project, &["sync"]).ok();
    let before = customers(project);
    write(
        project,
        &[("seeds/orders.csv", "id,customer\n1,ann\n3,cy\n4,di\n")],
    );
    run(project, &["build"]).ok();
    let after = customers(project);
    assert_ne!(before, after);

    // A build that fails publishes nothing, so there is nothing to go back from.
    write(
        project,
        &[("tests/none.sql", "SELECT * FROM {{ ref('customers') }}")],
    );
    write(project, &[("seeds/orders.csv", "id,customer\n9,zed\n")]);
    run(project, &["build"]).code(1);
    assert_eq!(customers(project), after);
    fs::remove_file(project.join("tests/none.sql")).unwrap();

    let listed = run(project, &["publish", "--output", "json"]).ok().json();
    let generations = listed["publications"].as_array().unwrap();
    assert_eq!(generations.len(), 2);
    assert_eq!(generations[0]["generation"], 2);
    assert_eq!(generations[0]["differ"], 0);
    // The seed and the table; a view is what it was.
    assert_eq!(generations[1]["differ"], 2);

    prints(
        &run(project, &["publish", "--rollback"]).ok(),
        "2 nodes are as they were",
    );
    assert_eq!(customers(project), before);
    // It can be delivered, and gone back from.
    run(project, &["sync", "--select", "customers_out", "--dry-run"])
        .ok()
        .says("would send 0");
    run(project, &["publish", "--rollback", "--to", "2"]).ok();
    assert_eq!(customers(project), after);
    run(project, &["publish", "--rollback", "--to", "77"])
        .code(2)
        .says("keeps no generation 77");
    run(project, &["publish", "--rollback", "--to", "1"]).ok();
    // The next build does what the project says.
    run(project, &["build"]).ok();
    assert_eq!(customers(project), "customer\nZED\n");

    // A version whose files are gone is not published again.
    let table = project.join("lake/main/customers");
    let mut files: Vec<_> = fs::read_dir(&table)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
        .collect();
    files.sort();
    fs::remove_file(&files[0]).unwrap();
    run(project, &["publish", "--rollback", "--to", "1"])
        .code(2)
        .says("files of `customers` at version");
    assert_eq!(customers(project), "customer\nZED\n");
}

pub fn a_pull_request_has_an_environment_of_its_own() {
    let project = project();
    let project = project.path();
    run(project, &["build"]).ok();
    run(project, &["--env", "stage_1", "build"])
        .code(2)
        .says("there is no environment `stage_1`")
        .says("pr_*");
    run(project, &["--env", "pr_", "build"]).code(2);
    run(project, &["--env", "pr_a/b", "build"]).code(2);

    write(
        project,
        &[(
            "models/customers.sql",
            "{{ config(materialized='table') }} SELECT customer FROM {{ ref('orders') }} WHERE id > 1",
        )],
    );
    let request = |arguments: &[&str]| run(project, &[&["--env", "pr_7"], arguments].concat());
    request(&[
        "build",
        "--select",
        "customers+",
        "--exclude",
        "resource_type:sync",
        "--defer",
    ])
    .ok();
    assert_eq!(
        rows(project, "pr_7", "SELECT * FROM loud"),
        "customer\nBO\n"
    );
    assert_eq!(customers(project), "customer\nANN\nBO\n");
    assert!(
        project
            .join("lake/_kinfold/env/pr_7/main/customers")
            .exists()
    );

    let listed = run(project, &["env", "list", "--output", "json"])
        .ok()
        .json();
    let listed = listed["environments"].as_array().unwrap();
    let names: Vec<&str> = listed.iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pr_7", "prod"]);
    assert_eq!(listed[0]["tables"], 1);
    // The seed, and the view, which is the same over other rows.
    assert_eq!(listed[0]["deferred"], 2);
    run(project, &["env", "list"]).ok();

    let found = request(&["env", "diff", "prod", "--output", "json"])
        .ok()
        .json();
    let found = found["nodes"].as_array().unwrap();
    let one = |name: &str| {
        let mut nodes = found.iter();
        nodes.find(|n| n["id"].as_str().unwrap().ends_with(name))
    };
    let customers_differ = one(".customers").unwrap();
    assert_eq!(customers_differ["difference"], "meaning");
    assert_eq!(customers_differ["first_rows"], 1);
    assert_eq!(customers_differ["second_rows"], 2);
    assert!(one(".orders").is_none(), "it is read there");
    request(&["env", "diff", "prod"]).ok().says("nodes differ");
    request(&["env", "diff", "nowhere"])
        .code(2)
        .says("there is no environment `nowhere`");

    // The more exact pattern has its own settings.
    let big = ["--env", "pr_big_1", "build", "--select", "+customers"];
    run(project, &big).ok();
    assert!(
        project
            .join("lake/_kinfold/env/pr_big_1/big/customers")
            .exists()
    );

    // What others read is not removed, nor what everybody reads.
    run(project, &["env", "drop", "prod"])
        .code(2)
        .says("`prod` owns the lake");
    run(
        project,
        &[
            "--env",
            "pr_8",
            "build",
            "--select",
            "loud",
            "--defer-to",
            "pr_7",
        ],
    )
    .ok();
    run(project, &["env", "drop", "pr_7"])
        .code(2)
        .says("`pr_8` reads tables of `pr_7`");
    prints(
        &run(project, &["env", "drop", "pr_8", "--dry-run"]).ok(),
        "would be removed",
    );
    assert!(project.join("lake/_kinfold/env/pr_8.json").exists());
    run(project, &["env", "drop", "pr_8"]).ok();
    prints(
        &run(project, &["env", "drop", "pr_7"]).ok(),
        "removed `pr_7`",
    );
    assert!(!project.join("lake/_kinfold/env/pr_7.json").exists());
    let left: Vec<_> = fs::read_dir(project.join("lake/_kinfold/env"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("pr_7"))
        .flat_map(|path| walk(&path))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(customers(project), "customer\nANN\nBO\n");
    // Once more does no harm.
    run(project, &["env", "drop", "pr_7"]).ok();
    request(&["publish"]).code(2);
}

/// Files below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return vec![folder.to_path_buf()];
    };
    entries
        .flat_map(|entry| walk(&entry.unwrap().path()))
        .collect()
}
