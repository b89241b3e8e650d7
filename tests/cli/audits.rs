//! Data tests: what each finds, alone and together with others, and what plans prove.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{copy, folder, kinfold, repository, write};

const AS_OF: [&str; 2] = ["--as-of", "2026-01-05T12:00:00Z"];

/// Name of a test → its status and number of failures.
fn run(project: &Path, arguments: &[&str]) -> BTreeMap<String, (String, u64)> {
    let arguments = [arguments, &["--output", "json"], &AS_OF[..]].concat();
    let report = kinfold(project, arguments).run().json();
    let nodes = report["nodes"].as_array().unwrap().iter();
    nodes
        .filter(|node| node["kind"] == "test")
        .map(|node| {
            let name = node["id"].as_str().unwrap().split('.').nth(2).unwrap();
            let status = node["status"].as_str().unwrap().to_owned();
            (
                name.to_owned(),
                (status, node["rows"].as_u64().unwrap_or(u64::MAX)),
            )
        })
        .collect()
}

/// The numbers in `tests/cli/audits/data_tests` were counted by hand: the name of a test begins with the number of
/// its failures.
pub fn data_tests_find_what_is_wrong() {
    let project = folder();
    let project = project.path();
    copy(&repository().join("tests/cli/audits/data_tests"), project);
    let found = run(project, &["build"]);
    let counted = |name: &str| -> u64 {
        let digits = name.trim_start_matches('n').split('_').next().unwrap();
        digits.parse().unwrap()
    };
    assert!(found.len() >= 70, "{}", found.len());
    for (name, (status, failures)) in &found {
        assert_eq!(*failures, counted(name), "{name}: {status}");
        let expected: &[&str] = match (failures, name.as_str()) {
            // There is a column of that name, or the statement would not bind.
            (0, "n0_exists") => &["proven"],
            (0, _) => &["passed"],
            _ => &["warned"],
        };
        assert_eq!([status.as_str()], expected, "{name}");
    }
    // Alone each finds the same as together with others.
    for name in found.keys() {
        let alone = run(project, &["test", "--full-refresh", "--select", name]);
        assert_eq!(alone[name], found[name], "{name}");
    }
}

const PROVABLE: [(&str, &str); 6] = [
    ("kinfold.yml", "name: shop\n"),
    ("seeds/orders.csv", "id,customer,amount\n1,ann,5\n2,bo,7\n3,ann,9\n"),
    (
        "models/totals.sql",
        "{{ config(materialized='table') }} SELECT customer, sum(amount) AS total, count(*) AS orders, CASE WHEN count(*) > 1 THEN 'often' ELSE 'once' END AS how FROM {{ ref('orders') }} GROUP BY customer",
    ),
    (
        "models/named.sql",
        "{{ config(materialized='table') }} SELECT t.customer, coalesce(t.total, 0) AS total, o.id FROM {{ ref('totals') }} t JOIN {{ ref('orders') }} o ON o.customer = t.customer QUALIFY row_number() OVER (PARTITION BY t.customer ORDER BY o.id) = 1",
    ),
    ("models/seen.sql", "SELECT customer, how FROM {{ ref('totals') }}"),
    (
        "models/models.yml",
        "models:
  - name: totals
    columns:
      - {name: customer, data_tests: [{unique: {name: t_unique}}, {not_null: {name: t_null}}]}
      - {name: orders, data_tests: [{not_null: {name: t_orders}}]}
      - {name: how, data_tests: [{accepted_values: {name: t_how, arguments: {values: [once, often]}}}]}
  - name: named
    columns:
      - {name: customer, data_tests: [{unique: {name: n_unique}}, {not_null: {name: n_null}}]}
      - {name: total, data_tests: [{not_null: {name: n_total}}]}
      - {name: id, data_tests: [{unique: {name: n_id}}]}
  - name: seen
    data_tests: [{dbt_utils.unique_combination_of_columns: {name: s_pairs, arguments: {combination_of_columns: [customer, how]}}}]
",
    ),
];

pub fn what_plans_prove_is_not_run() {
    let project = folder();
    let project = project.path();
    write(project, &PROVABLE);
    let of = |arguments: &[&str], status: &str| -> Vec<String> {
        let all = run(project, arguments).into_iter();
        let chosen = all.filter(|(_, (s, _))| s == status);
        chosen.map(|(name, _)| name).collect()
    };
    let proven = [
        "n_null", "n_total", "n_unique", "s_pairs", "t_how", "t_orders", "t_unique",
    ];
    assert_eq!(of(&["build"], "proven"), proven);
    assert_eq!(
        of(&["test", "--full-refresh"], "passed"),
        ["n_id", "t_null"]
    );
    let results = fs::read_to_string(project.join("target/run_results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    let results = results["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["status"] == "pass"));

    // The plan that would prove it is not the one that has made the table, so the test is run: and fails.
    let totals = project.join("models/totals.sql");
    let good = fs::read_to_string(&totals).unwrap();
    fs::write(
        &totals,
        good.replace("GROUP BY customer", "GROUP BY customer, amount"),
    )
    .unwrap();
    assert_eq!(
        of(
            &["build", "--select", "totals", "--exclude", "test_type:data"],
            "failed"
        ),
        [""; 0]
    );
    fs::write(&totals, &good).unwrap();
    let now = run(project, &["test", "--select", "totals"]);
    assert_eq!(now["t_unique"], ("failed".to_owned(), 1));
    assert_eq!(now["t_how"].0, "passed");
    // What was made of it before is not what would be made of it now.
    assert_eq!(
        of(&["test", "--full-refresh", "--select", "named"], "proven"),
        [""; 0]
    );
    assert_eq!(of(&["build", "--full-refresh"], "proven"), proven);
}
