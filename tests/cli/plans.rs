//! `kinfold plan`, earlier states, named selections and deferral.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Ran, folder, kinfold, write};

/// orders (seed) → stg_orders (view) → totals (table) → best (table); regions → named (table).
const FILES: [(&str, &str); 11] = [
    (
        "kinfold.yml",
        "name: shop\nenvironments:\n  prod: {lake: lake}\n  dev: {lake: lake}\n  far: {lake: far}\n",
    ),
    (
        "seeds/orders.csv",
        "id,customer,amount\n1,ann,5\n2,bo,7\n3,ann,9\n",
    ),
    (
        "seeds/regions.csv",
        "customer,region\nann,north\nbo,south\n",
    ),
    (
        "macros/money.sql",
        "{% macro cents(column) %}{{ column }} * 100{% endmacro %}",
    ),
    (
        "models/stg_orders.sql",
        "SELECT id, customer, {{ cents('amount') }} AS cents FROM {{ ref('orders') }}",
    ),
    (
        "models/totals.sql",
        "{{ config(materialized='table', tags=['nightly']) }} SELECT customer, sum(cents) AS total FROM {{ ref('stg_orders') }} GROUP BY customer",
    ),
    (
        "models/best.sql",
        "{{ config(materialized='table') }} SELECT customer FROM {{ ref('totals') }} ORDER BY total DESC LIMIT {{ var('how_many', 1) }}",
    ),
    (
        "models/named.sql",
        "{{ config(materialized='table') }} SELECT * FROM {{ ref('regions') }}",
    ),
    (
        "models/models.yml",
        "models:\n  - name: totals\n    columns:\n      - name: customer\n        data_tests: [unique]\n",
    ),
    (
        "connections/files.yml",
        "connections:\n  - {name: out, kind: files, location: out, format: ndjson}\n",
    ),
    (
        "syncs/best.yml",
        "syncs:\n  - {name: best_out, from: ref('best'), connection: out, object: best, mode: upsert, key: {id: customer}, mapping: {name: upper(customer)}}\n",
    ),
];

fn run(project: &Path, arguments: &[&str]) -> Ran {
    kinfold(project, arguments).run()
}

/// Name → action and reason.
fn plan(project: &Path, arguments: &[&str]) -> BTreeMap<String, (String, String)> {
    let arguments = [&["plan", "--output", "json"], arguments].concat();
    let report = run(project, &arguments).ok().json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let nodes = report["nodes"].as_array().unwrap().iter();
    nodes
        .map(|node| {
            let id = text(&node["id"]);
            let name = id.rsplit('.').next().unwrap().to_owned();
            (name, (text(&node["action"]), text(&node["reason"])))
        })
        .collect()
}

/// The nodes that are not skipped, as `action name`.
fn work(project: &Path, arguments: &[&str]) -> Vec<String> {
    let all = plan(project, arguments).into_iter();
    let work = all.filter(|(_, (action, _))| action != "skip");
    work.map(|(name, (action, _))| format!("{action} {name}"))
        .collect()
}

fn listed(project: &Path, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["ls"], arguments].concat();
    let told = run(project, &arguments).ok().stdout;
    told.lines()
        .map(|id| id.split('.').nth(2).unwrap().to_owned())
        .collect()
}

fn replace(project: &Path, file: &str, old: &str, new: &str) {
    let path = project.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{text}");
    fs::write(path, text.replace(old, new)).unwrap();
}

fn rows(project: &Path, environment: &str, sql: &str) -> String {
    let arguments = ["--env", environment, "query", sql, "--format", "csv"];
    run(project, &arguments).ok().stdout
}

pub fn a_plan_says_what_a_build_does() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    let first = plan(project, &[]);
    assert_eq!(first["orders"].1, "first build");
    assert_eq!(first["totals"].0, "build");
    assert!(!project.join("lake").join("main").exists(), "a plan writes");
    run(project, &["build"]).ok();
    assert_eq!(work(project, &[]), Vec::<String>::new());
    let told = run(project, &["plan"]).ok();
    assert_eq!(told.stdout, "");
    told.says("6 up to date; nothing was written");

    // What is said first is what differs; what hangs on it names that.
    replace(project, "models/totals.sql", "sum(cents)", "max(cents)");
    let planned = plan(project, &[]);
    assert_eq!(
        planned["totals"],
        (
            "build".to_owned(),
            "its meaning changed: column `total` differs".to_owned()
        )
    );
    // A limit may leave ties, so it goes by the version of what it reads.
    let best = ("build".to_owned(), "`totals` is built before it".to_owned());
    assert_eq!(planned["best"], best);
    assert_eq!(planned["orders"].0, "skip");
    // What is not selected is not built, so what reads it is as it was.
    assert_eq!(work(project, &["--select", "best"]), Vec::<String>::new());
    // The plan is what the build does.
    let report = run(project, &["build", "--output", "json"]).ok().json();
    let built: Vec<&str> = report["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["status"] == "built")
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    assert_eq!(built, ["model.shop.totals", "model.shop.best"]);

    // A row that fails a test is not published, so the table waits to be taken up again.
    let extra = "select 'ann' as customer, 1 as total union all select 'ann', 2";
    fs::write(
        project.join("models/totals.sql"),
        format!("{{{{ config(materialized='table') }}}} {extra}"),
    )
    .unwrap();
    run(project, &["build", "--select", "totals"]).code(1);
    assert_eq!(work(project, &["--select", "totals"]), ["reuse totals"]);

    // What is gone is said too.
    fs::remove_file(project.join("models/named.sql")).unwrap();
    let told = run(project, &["plan"]).ok().stdout;
    assert!(told.contains("remove: model.shop.named"), "{told}");
}

pub fn what_differs_from_an_earlier_state_is_selected() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    run(project, &["compile"]).ok();
    fs::create_dir(project.join("state")).unwrap();
    let keep = || {
        for file in ["manifest.json", "run_results.json"] {
            let _ = fs::copy(
                project.join("target").join(file),
                project.join("state").join(file),
            );
        }
    };
    keep();
    let modified = |more: &str| {
        let selected = format!("state:modified{more}");
        listed(project, &["--select", &selected, "--state", "state"])
    };
    assert_eq!(modified(""), Vec::<String>::new());
    run(project, &["ls", "--select", "state:modified"])
        .code(2)
        .says("needs `--state`");
    run(
        project,
        &["ls", "--select", "state:modified", "--state", "seeds"],
    )
    .code(2)
    .says("manifest.json");

    // A macro, a variable and a mapping are parts of those that use them.
    replace(project, "macros/money.sql", "* 100", "* 1000");
    assert_eq!(modified(""), ["stg_orders"]);
    assert_eq!(modified(".macros"), ["stg_orders"]);
    assert_eq!(modified("+,resource_type:sync"), ["best_out"]);
    let by_variable = [
        "--vars",
        "{how_many: 2}",
        "--select",
        "state:modified",
        "--state",
        "state",
    ];
    assert_eq!(listed(project, &by_variable), ["best", "stg_orders"]);
    replace(
        project,
        "syncs/best.yml",
        "upper(customer)",
        "lower(customer)",
    );
    replace(
        project,
        "models/best.sql",
        "materialized='table'",
        "materialized='view'",
    );
    replace(
        project,
        "models/models.yml",
        "[unique]",
        "[unique, not_null]",
    );
    assert_eq!(
        modified(".body"),
        ["best", "best_out", "not_null_totals_customer"]
    );
    assert_eq!(modified(".configs"), ["best", "not_null_totals_customer"]);
    write(project, &[("models/brand_new.sql", "SELECT 1 AS one")]);
    let new = [
        "--select",
        "state:new,resource_type:model",
        "--state",
        "state",
    ];
    // A data test comes with what it tests, and this one is new too.
    assert_eq!(
        listed(project, &new),
        ["brand_new", "not_null_totals_customer"]
    );
    let old = [
        "--select",
        "state:unmodified,resource_type:model",
        "--state",
        "state",
    ];
    assert_eq!(
        listed(project, &old),
        [
            "named",
            "totals",
            "not_null_totals_customer",
            "unique_totals_customer"
        ]
    );

    // Another schema is no change; a comment is one of the file, and none of the meaning.
    write(project, &FILES);
    fs::remove_file(project.join("models/brand_new.sql")).unwrap();
    let elsewhere = [
        "--env",
        "dev",
        "--select",
        "state:modified",
        "--state",
        "state",
    ];
    assert_eq!(listed(project, &elsewhere), Vec::<String>::new());
    replace(project, "models/named.sql", "SELECT *", "-- all\nSELECT *");
    assert_eq!(modified(""), ["named"]);
    assert_eq!(modified(".meaning"), Vec::<String>::new());

    // And by what became of nodes.
    write(project, &FILES);
    run(project, &["build"]).ok();
    keep();
    let passed = ["--select", "result:pass", "--state", "state"];
    assert_eq!(listed(project, &passed), ["unique_totals_customer"]);
    assert_eq!(
        listed(project, &["--select", "result:error", "--state", "state"]),
        Vec::<String>::new()
    );
}

pub fn selections_have_names() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    let selectors = "\
selectors:
  - name: nightly
    default: true
    definition:
      union:
        - method: tag
          value: nightly
          parents: true
        - exclude: [resource_type:seed]
  - name: rest
    definition: {method: fqn, value: named}
";
    write(project, &[("selectors.yml", selectors)]);
    let nightly = ["stg_orders", "totals", "unique_totals_customer"];
    assert_eq!(listed(project, &["--selector", "nightly"]), nightly);
    assert_eq!(listed(project, &[]), nightly);
    assert_eq!(listed(project, &["--selector", "rest"]), ["named"]);
    assert_eq!(
        listed(project, &["--select", "selector:rest", "best"]),
        ["best", "named"]
    );
    run(project, &["ls", "--selector", "nightley"])
        .code(2)
        .says("did you mean `nightly`?");
    run(project, &["ls", "--selector", "rest", "--select", "best"]).code(2);
    replace(project, "selectors.yml", "method: tag\n", "method: tagg\n");
    run(project, &["check"])
        .code(1)
        .says("KF0212")
        .says("did you mean `tag`?");
}

pub fn what_is_not_built_is_read_elsewhere() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    let dev = |arguments: &[&str]| run(project, &[&["--env", "dev"], arguments].concat());
    dev(&["build", "--select", "best", "--defer"])
        .code(2)
        .says("nothing is published in the environment `prod`");
    run(project, &["--env", "prod", "build"]).ok();
    dev(&["build", "--select", "best"]).code(1).says("--defer");

    // Only what is selected is built, on what is published there, and it can be read.
    replace(project, "models/best.sql", "DESC", "ASC");
    let report = dev(&["build", "--select", "best", "--defer", "--output", "json"]);
    let report = report.ok().json();
    assert_eq!(report["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(rows(project, "dev", "SELECT * FROM best"), "customer\nbo\n");
    assert_eq!(
        rows(project, "prod", "SELECT * FROM best"),
        "customer\nann\n"
    );
    assert_eq!(
        rows(
            project,
            "dev",
            "SELECT customer, cents FROM stg_orders WHERE id = 1"
        ),
        "customer,cents\nann,500\n"
    );
    assert!(!project.join("lake/_kinfold/env/dev/main/totals").exists());

    // What would come out the same is not built again, and never written where it is read.
    let report = dev(&[
        "build", "--select", "+totals", "--defer", "--output", "json",
    ]);
    let nodes = report.ok().json()["nodes"].as_array().unwrap().clone();
    let status = |name: &str| {
        let mut nodes = nodes.iter();
        let node = nodes.find(|n| n["id"].as_str().unwrap().ends_with(name));
        node.unwrap()["status"].clone()
    };
    assert_eq!(status(".totals"), "skipped");
    assert!(!project.join("lake/_kinfold/env/dev/main/totals").exists());
    let before = rows(project, "prod", "SELECT * FROM totals ORDER BY 1");
    replace(project, "models/totals.sql", "sum(cents)", "min(cents)");
    dev(&["build", "--select", "totals", "--defer"]).ok();
    assert!(project.join("lake/_kinfold/env/dev/main/totals").exists());
    assert_eq!(
        rows(project, "prod", "SELECT * FROM totals ORDER BY 1"),
        before
    );
    assert_ne!(
        rows(project, "dev", "SELECT * FROM totals ORDER BY 1"),
        before
    );

    // What is built here wins, unless the other is preferred.
    let state = ["build", "--select", "best", "--defer", "--favor-state"];
    dev(&state).ok();
    assert_eq!(
        rows(project, "dev", "SELECT * FROM totals ORDER BY 1"),
        before
    );

    // The environment may be that of a state.
    fs::create_dir(project.join("state")).unwrap();
    run(project, &["--env", "prod", "compile"]).ok();
    fs::copy(
        project.join("target/manifest.json"),
        project.join("state/manifest.json"),
    )
    .unwrap();
    replace(project, "models/best.sql", "LIMIT", "LIMIT 1 +");
    let planned = [
        "--env",
        "dev",
        "--select",
        "state:modified+",
        "--state",
        "state",
        "--defer",
    ];
    assert_eq!(work(project, &planned), ["build best"]);
    dev(&["build", "--defer-to", "stage"]).code(2).says("stage");
}

pub fn a_lake_of_another_environment_is_read() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    run(project, &["--env", "prod", "build"]).ok();
    let far = |arguments: &[&str]| run(project, &[&["--env", "far"], arguments].concat());
    far(&["build", "--select", "best", "--defer-to", "prod"]).ok();
    assert_eq!(
        rows(project, "far", "SELECT * FROM best"),
        "customer\nann\n"
    );
    assert!(project.join("far/main/best").exists());
    assert!(!project.join("far/main/totals").exists());
    // All that `prod` has is the same on that lake.
    let all = ["--env", "dev", "--defer-to", "prod"];
    assert!(
        work(project, &all)
            .iter()
            .all(|work| work.starts_with("reuse "))
    );
    // An older kinfold must not take the tables of others for its own.
    let document = fs::read_to_string(project.join("far/_kinfold/env/far.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["environment"]["format"], 2);
    let own = fs::read_to_string(project.join("lake/_kinfold/env/prod.json")).unwrap();
    let own: Value = serde_json::from_str(&own).unwrap();
    assert_eq!(own["environment"]["format"], 1);
    // What leads to other rows there is read at the next run that defers, not before.
    replace(project, "seeds/orders.csv", "2,bo,7", "2,bo,70");
    run(project, &["--env", "prod", "build"]).ok();
    assert_eq!(
        work(project, &["--env", "far", "--select", "best"]),
        Vec::<String>::new()
    );
    let again = ["--env", "far", "--select", "best", "--defer-to", "prod"];
    assert_eq!(work(project, &again), ["build best"]);
}
