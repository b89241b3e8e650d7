//! Unit tests of models.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::program::{Ran, folder, kinfold, write};

const FILES: [(&str, &str); 9] = [
    (
        "dbt_project.yml",
        "name: shop\nversion: '1.0'\nprofile: shop\nvars: {least: 1}\n",
    ),
    ("kinfold.yml", "environments:\n  dev: {lake: lake}\n"),
    (
        "models/sources.yml",
        "sources:\n  - name: crm\n    tables:\n      - name: people\n        external: {location: 'data/people.ndjson'}\n        columns:\n          - {name: id, data_type: bigint}\n          - {name: name, data_type: varchar}\n          - {name: tags, data_type: 'varchar[]'}\n          - {name: born, data_type: date}\n",
    ),
    (
        "models/payments.sql",
        "SELECT 1 AS customer, CAST(2.5 AS decimal(10, 2)) AS amount, TIMESTAMP '2026-01-01' AS paid_at",
    ),
    (
        "models/customers.sql",
        "{{ config(materialized='table') }}\nWITH spent AS (\n    SELECT customer, sum(amount) AS spent, max(paid_at) AS last_paid\n    FROM {{ ref('payments') }}\n    WHERE amount >= {{ var('least') }}\n    GROUP BY customer\n)\nSELECT people.id, {{ shout('people.name') }} AS name, people.tags[1] AS tag, spent.spent, spent.last_paid, people.born\nFROM {{ source('crm', 'people') }} AS people\nLEFT JOIN spent ON spent.customer = people.id\n",
    ),
    (
        "macros/shout.sql",
        "{% macro shout(column) %}upper({{ column }}){% endmacro %}",
    ),
    (
        "models/daily.sql",
        "{{ config(materialized='incremental') }}\nSELECT customer, paid_at, {{ env_var('REGION', 'eu') | tojson | replace('\"', \"'\") }} AS region\nFROM {{ ref('payments') }}\n{% if is_incremental() %}WHERE paid_at > (SELECT max(paid_at) FROM {{ this }}){% endif %}\n",
    ),
    (
        "tests/fixtures/people.csv",
        "id,name,tags,born\n1,Ann,\"[\"\"new\"\",\"\"vip\"\"]\",2000-02-29\n2,,,\n",
    ),
    (
        "models/tests.yml",
        r"unit_tests:
  - name: customers have what they spent
    description: All formats of rows.
    model: customers
    given:
      - input: source('crm', 'people')
        format: csv
        fixture: people
      - input: ref('payments')
        rows:
          - {customer: 1, amount: 2.5, paid_at: '2026-01-01 10:00:00'}
          - {customer: 1, amount: 1, paid_at: 2026-01-02}
          - {customer: 1, amount: 0.5}
    expect:
      rows:
        - {id: 2, name: null, tag: null, spent: null, born: null}
        - {ID: 1, name: ANN, tag: new, spent: 3.50, born: 2000-02-29}
  - name: the macro and the variable are others
    model: customers
    given:
      - input: source('crm', 'people')
        rows: [{id: 1, name: Ann}]
      - input: ref('payments')
        format: sql
        rows: |
          SELECT 1 AS customer, 2 AS amount, TIMESTAMP '2026-01-01' AS paid_at
          UNION ALL SELECT 1, 20, TIMESTAMP '2026-01-05'
    expect:
      format: sql
      rows: SELECT 20.0 AS spent, 'x' AS name
    overrides:
      vars: {least: 10}
      macros: {shout: QUOTE}
  - name: what is summed
    model: customers
    given:
      - input: source('crm', 'people')
        rows: []
      - input: ref('payments')
        format: csv
        rows: |
          customer,amount
          7,3
          7,4
    expect:
      cte: spent
      rows: [{customer: 7, spent: 7}]
  - name: only what is newer
    model: daily
    given:
      - input: ref('payments')
        rows: [{customer: 1, paid_at: 2026-01-01}, {customer: 2, paid_at: 2026-01-03}]
      - input: this
        rows: [{customer: 9, paid_at: 2026-01-02}]
    expect:
      rows: [{customer: 2, region: us}]
    overrides:
      macros: {is_incremental: true}
      env_vars: {REGION: us}
  - name: everything at first
    model: daily
    given:
      - input: ref('payments')
        rows: [{customer: 1}, {customer: 2}]
    expect:
      rows: [{customer: 2}, {customer: 1}]
",
    ),
];

fn run(project: &Path, arguments: &[&str]) -> Ran {
    kinfold(project, arguments).run()
}

fn project() -> tempfile::TempDir {
    let project = folder();
    let files: Vec<(&str, String)> = FILES
        .iter()
        .map(|(path, text)| (*path, text.replace("QUOTE", "\"'x'\"")))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
    write(project.path(), &files);
    project
}

/// Puts something else into a file.
fn change(project: &Path, file: &str, from: &str, to: &str) {
    let path = project.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "no `{from}` in {file}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn json(project: &Path, file: &str) -> Json {
    let text = fs::read_to_string(project.join("target").join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// No source has a file and nothing was built.
pub fn they_run_without_any_table() {
    let project = project();
    let project = project.path();
    run(project, &["check"]).ok();
    run(project, &["test", "--select", "test_type:unit"])
        .ok()
        .says("5 nodes: 5 tests passed");
    run(project, &["test", "--select", "test_type:unit"])
        .ok()
        .says("5 nodes: 5 up to date");
    let listed = run(project, &["ls", "--select", "unit_test:only*"])
        .ok()
        .stdout
        .clone();
    assert_eq!(listed.trim(), "unit_test.shop.daily.only what is newer");
    let of_model = run(project, &["ls", "--select", "daily"])
        .ok()
        .stdout
        .clone();
    assert_eq!(of_model.lines().count(), 3, "{of_model}");
    // Another constant is another model.
    change(
        project,
        "models/daily.sql",
        "SELECT customer,",
        "SELECT customer + 1 AS customer,",
    );
    let failed = run(project, &["test", "--select", "daily,test_type:unit"]);
    failed
        .code(1)
        .says("1 row is missing, 1 row is unexpected; models/tests.yml:");
    let results = json(project, "run_results.json");
    let messages: Vec<&str> = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|result| result["message"].as_str())
        .collect();
    assert!(
        messages
            .iter()
            .any(|m| m.contains("- 2        | us\n+ *3       | us")),
        "{messages:?}"
    );
    let statuses = results["results"].as_array().unwrap().iter();
    assert!(statuses.clone().all(|result| result["status"] == "fail"));
    let manifest = json(project, "manifest.json");
    let test = &manifest["unit_tests"]["unit_test.shop.daily.only what is newer"];
    assert_eq!(test["model"], "daily");
    assert_eq!(test["depends_on"]["nodes"][0], "model.shop.daily");
    assert_eq!(test["given"][1]["input"], "this");
    assert!(
        manifest["nodes"]
            .as_object()
            .unwrap()
            .keys()
            .all(|id| !id.starts_with("unit_test"))
    );
}

/// What each strategy makes of the rows that are there.
pub fn the_table_after_a_build_is_expected() {
    let project = folder();
    let project = project.path();
    let model = |config: &str| {
        format!(
            "{{{{ config(materialized='incremental', {config}) }}}} SELECT id, v, first FROM {{{{ ref('log') }}}}"
        )
    };
    let test = |rows: &str| {
        format!(
            "unit_tests:\n  - name: grows\n    model: grown\n    given:\n      - input: ref('log')\n        rows: \
             [{{id: 1, v: new, first: 7}}, {{v: new}}]\n      - input: this\n        rows: [{{id: 1, v: old, first: 2}}, \
             {{v: old}}, {{id: 3, v: old}}]\n    expect:\n      of: table\n      rows: [{rows}]\n    overrides:\n      \
             macros: {{is_incremental: true}}\n"
        )
    };
    write(
        project,
        &[
            (
                "kinfold.yml",
                "name: shop\nenvironments:\n  dev: {lake: lake}\n",
            ),
            ("models/log.sql", "SELECT 1 AS id, 'a' AS v, 1 AS first"),
            ("models/other.sql", "SELECT * FROM {{ ref('log') }}"),
        ],
    );
    let kept = "{id: 3, v: old}";
    let replaced = "{id: 1, v: new, first: 7}, {v: new}";
    for (config, rows) in [
        (
            "tags=[]",
            format!("{replaced}, {kept}, {{id: 1, v: old, first: 2}}, {{v: old}}"),
        ),
        ("unique_key='id'", format!("{replaced}, {kept}")),
        (
            "unique_key='id', incremental_strategy='merge', merge_exclude_columns=['first']",
            format!("{kept}, {{id: 1, v: new, first: 2}}, {{v: new}}"),
        ),
        (
            "unique_key='id', incremental_strategy='merge', merge_update_columns=['first']",
            format!("{kept}, {{id: 1, v: old, first: 7}}, {{v: old}}"),
        ),
        (
            "partition_by='v', incremental_strategy='insert_overwrite'",
            format!("{replaced}, {kept}, {{id: 1, v: old, first: 2}}, {{v: old}}"),
        ),
    ] {
        write(
            project,
            &[
                ("models/grown.sql", &model(config)),
                ("models/tests.yml", &test(&rows)),
            ],
        );
        let ran = run(project, &["test"]);
        assert_eq!(ran.code, Some(0), "{config}: {ran:?}");
    }
    // One that expects something else fails.
    write(project, &[("models/tests.yml", &test(kept))]);
    run(project, &["test"]).code(1);
    for (from, to, said) in [
        ("of: table", "of: tables", "`of` is `query` or `table`"),
        (
            "of: table",
            "of: table\n      cte: x",
            "a common table expression has no table",
        ),
        (
            "      - input: this\n        rows: [{id: 1, v: old, first: 2}, {v: old}, {id: 3, v: old}]\n",
            "",
            "what the table held before is not given",
        ),
        ("model: grown", "model: other", "come to no others"),
    ] {
        write(
            project,
            &[("models/tests.yml", &test(kept).replace(from, to))],
        );
        let checked = run(project, &["check"]).code(1);
        assert!(checked.stderr.contains(said), "{said}: {checked:?}");
    }
}

pub fn a_model_that_fails_one_is_not_built() {
    let project = project();
    let project = project.path();
    write(
        project,
        &[
            (
                "data/people.ndjson",
                "{\"id\": 1, \"name\": \"Ann\", \"born\": \"2000-01-01\"}\n",
            ),
            (
                "models/below.sql",
                "SELECT count(*) AS n FROM {{ ref('customers') }}",
            ),
        ],
    );
    change(project, "models/tests.yml", "spent: 3.50", "spent: 3.75");
    let failed = run(project, &["build"]);
    failed
        .code(1)
        .says("it fails a unit test")
        .says("- 1  | ANN  | new | 3.75  | 2000-02-29")
        .says("| *3.50 |")
        .says("nothing published");
    let failed: Json =
        serde_json::from_str(&run(project, &["--output", "json", "build"]).stdout).unwrap();
    let status = |id: &str| {
        let nodes = failed["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["id"] == id);
        node.unwrap_or_else(|| panic!("no {id} in {failed}"))["status"].clone()
    };
    assert_eq!(status("model.shop.customers"), "blocked");
    assert_eq!(status("model.shop.below"), "blocked");
    assert_eq!(status("model.shop.daily"), "reused");
    change(project, "models/tests.yml", "spent: 3.75", "spent: 3.5");
    run(project, &["build"]).ok().says("published");
    run(project, &["build"]).ok().says("nothing new to publish");
    let plan = run(project, &["plan"]).ok().stdout.clone();
    assert!(!plan.contains("unit_test"), "{plan}");
}

pub fn what_is_wrong_is_said_where_it_is() {
    let wrong = [
        (
            "ref('payments')\n        rows:\n          - {customer: 1, amount: 2.5",
            "ref('payment')\n        rows:\n          - {customer: 1, amount: 2.5",
            "did you mean `payments`?",
        ),
        (
            "customer: 1, amount: 2.5",
            "customer: 1, amount: much",
            "the value of `amount` is no Decimal",
        ),
        ("tag: new", "tga: new", "it has id, name, tag, spent"),
        ("cte: spent", "cte: spend", "did you mean `spent`?"),
        (
            "fixture: people",
            "fixture: peple",
            "did you mean `people`?",
        ),
        (
            "- input: this\n        rows: [{customer: 9, paid_at: 2026-01-02}]",
            "- input: this\n        rows: [{customer: 9, paid_at: 2026-13-02}]",
            "the value of `paid_at` is no Timestamp",
        ),
        (
            "model: daily\n    given:\n      - input: ref('payments')\n        rows: [{customer: 1}, {customer: 2}]",
            "model: daily\n    given: []",
            "`ref('payments')`, of which the unit test `everything at first` gives no rows",
        ),
        (
            "      macros: {is_incremental: true}\n",
            "",
            "does not read this input",
        ),
        (
            "model: daily",
            "model: dayly",
            "there is no model or seed `shop.dayly`",
        ),
        (
            "          7,4\n",
            "          7,4,5\n",
            "a line has 3 values, the header names 2 columns",
        ),
        (
            "input: source('crm', 'people')\n        rows: []",
            "input: people\n        rows: []",
            "an input is `ref('…')`",
        ),
        (
            "SELECT 20.0 AS spent, 'x' AS name",
            "SELECT 20.0 AS spent, 'x' AS nam",
            "did you mean `name`?",
        ),
    ];
    for (from, to, said) in wrong {
        let project = project();
        change(project.path(), "models/tests.yml", from, to);
        let ran = run(project.path(), &["check"]);
        assert!(
            ran.stderr.contains(said),
            "`{to}` does not say `{said}`: {ran:?}"
        );
        assert!(
            ran.stderr.contains("models/tests.yml:") || ran.stderr.contains("fixtures/"),
            "{ran:?}"
        );
    }
    let project = project();
    let project = project.path();
    fs::write(
        project.join("tests/fixtures/people.csv"),
        "id,born\n1,2000-01-01\n2,1999-02-29\n",
    )
    .unwrap();
    run(project, &["check"])
        .code(1)
        .says("tests/fixtures/people.csv:3:1");
}
