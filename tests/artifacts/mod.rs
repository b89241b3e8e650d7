//! The files of `target/` that other tools read, against what dbt says of them
//! (`shapes/`).

mod freshness;
mod schema;

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::program::{copy, folder, kinfold, repository, write};
use crate::trials;
use schema::violations;

pub fn trials() -> Vec<Trial> {
    trials!("artifacts":
        a_schema_refuses_what_it_does_not_describe,
        every_file_of_a_build_is_what_dbt_describes,
        manifests_of_all_projects_are_what_dbt_describes,
        the_catalogue_says_what_is_published,
        freshness::rows_grow_old,
        freshness::warnings_do_not_fail,
        freshness::what_has_no_field_is_as_old_as_its_files,
        freshness::questions_that_cannot_be_asked_are_told_by_check,
    )
}

/// The schema of an artefact.
fn schema_of(name: &str) -> Value {
    let path = repository().join(format!("tests/artifacts/shapes/{name}.json"));
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    whole(&file["root"], &file["shapes"])
}

/// A shape with what it refers to in its place.
fn whole(shape: &Value, shapes: &Value) -> Value {
    match shape {
        Value::Object(keys) => match keys.get("$ref").and_then(Value::as_str) {
            Some(name) => whole(&shapes[name], shapes),
            None => {
                let keys = keys.iter();
                let keys = keys.map(|(key, shape)| (key.clone(), whole(shape, shapes)));
                Value::Object(keys.collect())
            }
        },
        Value::Array(items) => items.iter().map(|item| whole(item, shapes)).collect(),
        other => other.clone(),
    }
}

fn artifact(project: &Path, file: &str) -> Value {
    let path = project.join("target").join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Fails if a file of `target/` is not what the schema describes.
fn assert_valid(project: &Path, file: &str, schema: &str) -> Value {
    let document = artifact(project, file);
    let found = violations(&schema_of(schema), &document, file);
    assert!(found.is_empty(), "{found:#?}");
    document
}

/// A project with a node of every kind.
const SHOP: [(&str, &str); 10] = [
    (
        "kinfold.yml",
        "name: shop\nenvironments:\n  dev: {lake: .kinfold/lake}\npurposes: [service]\n",
    ),
    ("seeds/countries.csv", "code,name\nde,Germany\nfr,France\n"),
    (
        "data/orders.csv",
        "id,email,country,amount\n1,a@example.com,de,10.5\n2,b@example.com,fr,20\n",
    ),
    (
        "models/schema.yml",
        "sources:
  - name: raw
    description: what the shop writes
    tables:
      - name: orders
        external: {location: data/orders.csv}
        columns: [{name: id, data_type: bigint}, {name: email, data_type: varchar}, {name: country, data_type: varchar}, {name: amount, data_type: double}]
exposures:
  - name: revenue
    type: dashboard
    label: Revenue by week
    owner: {name: Finance, email: finance@example.com}
    maturity: high
    url: https://example.com/revenue
    depends_on:
      - ref('orders')
      - source('raw', 'orders')
      - metric('revenue')
    config: {tags: [weekly], meta: {tier: 1}}
groups:
  - name: finance
    owner: {email: [finance@example.com, cfo@example.com]}
models:
  - name: orders
    config: {group: finance, contract: {enforced: true}}
    description: \"{{ doc('orders') }}\"
    docs: {node_color: '#00ff00'}
    columns:
      - {name: id, data_type: bigint, constraints: [{type: not_null}], data_tests: [unique, not_null]}
      - {name: email, data_type: varchar}
      - {name: cents, data_type: bigint}
      - {name: country, data_type: varchar, data_tests: [{relationships: {to: ref('countries'), field: code, config: {severity: warn}}}]}
",
    ),
    ("models/docs.md", "{% docs orders %}one row per order{% enddocs %}\n"),
    (
        "macros/money.sql",
        "{% macro cents(c) %}cast({{ c }} * 100 as bigint){% endmacro %}\n",
    ),
    (
        "models/orders.sql",
        "{{ config(materialized='table') }}\nselect id, email, country, {{ cents('amount') }} as cents from {{ source('raw', 'orders') }}\n",
    ),
    (
        "models/abroad.sql",
        "{{ config(post_hook='select 1') }}\nselect o.* from {{ ref('orders') }} o join {{ ref('countries') }} c on c.code = o.country where c.code <> 'de'\n",
    ),
    (
        "tests/no_debts.sql",
        "select * from {{ ref('orders') }} where cents < 0\n",
    ),
    (
        "syncs/crm.yml",
        "syncs:
  - name: crm
    from: ref('abroad')
    connection: box
    object: people
    mode: upsert
    key: {email: email}
    mapping: {cents: cents}
    purposes: [service]
",
    ),
];

fn every_file_of_a_build_is_what_dbt_describes() {
    let area = folder();
    let project = area.path();
    write(project, &SHOP);
    let connection = "connections:\n  - {name: box, kind: files, location: out}\n";
    write(project, &[("connections/box.yml", connection)]);
    kinfold(project, ["build"]).run().ok();
    assert_valid(project, "run_results.json", "run-results-v6");
    kinfold(project, ["docs", "generate"]).run().ok();
    assert_valid(project, "catalog.json", "catalog-v1");
    let manifest = assert_valid(project, "manifest.json", "manifest-v12");
    // What nodes name is there.
    let known = |section: &str, id: &str| manifest[section].get(id).is_some();
    for (id, node) in manifest["nodes"].as_object().unwrap() {
        for macros in node["depends_on"]["macros"].as_array().unwrap() {
            assert!(known("macros", macros.as_str().unwrap()), "{id}: {macros}");
        }
        for input in node["depends_on"]["nodes"].as_array().into_iter().flatten() {
            let input = input.as_str().unwrap();
            assert!(
                known("nodes", input) || known("sources", input),
                "{id}: {input}"
            );
        }
    }
    let orders = &manifest["nodes"]["model.shop.orders"];
    assert_eq!(orders["primary_key"], json!(["id"]));
    assert_eq!(orders["depends_on"]["macros"], json!(["macro.shop.cents"]));
    assert_eq!(
        orders["docs"],
        json!({"show": true, "node_color": "#00ff00"})
    );

    let revenue = &manifest["exposures"]["exposure.shop.revenue"];
    assert_eq!(
        revenue["depends_on"]["nodes"],
        json!(["model.shop.orders", "source.shop.raw.orders"])
    );
    assert_eq!(
        (&revenue["owner"], &revenue["tags"], &revenue["meta"]),
        (
            &json!({"name": "Finance", "email": "finance@example.com"}),
            &json!(["weekly"]),
            &json!({"tier": 1})
        )
    );
    let children = manifest["child_map"]["model.shop.orders"].as_array();
    assert!(children.unwrap().contains(&json!("exposure.shop.revenue")));
    assert_eq!(
        manifest["groups"]["group.shop.finance"]["owner"]["email"],
        json!(["finance@example.com", "cfo@example.com"])
    );
    assert_eq!(
        (&orders["group"], &manifest["group_map"]),
        (
            &json!("finance"),
            &json!({"finance": ["model.shop.orders"]})
        )
    );
    assert_eq!(orders["contract"]["enforced"], json!(true));
    assert_eq!(
        orders["columns"]["id"]["constraints"][0]["type"],
        json!("not_null")
    );
    let hook = json!({"sql": "select 1", "transaction": true, "index": null});
    assert_eq!(
        manifest["nodes"]["model.shop.abroad"]["config"]["post-hook"],
        json!([hook])
    );

    // A run that fails is described as well.
    let bad = "id,email,country,amount\n1,a@example.com,de,-1\n1,b@example.com,fr,20\n";
    write(project, &[("data/orders.csv", bad)]);
    kinfold(project, ["build"]).run().code(1);
    let results = assert_valid(project, "run_results.json", "run-results-v6");
    let failed = results["results"].as_array().unwrap().iter();
    let failed: Vec<&Value> = failed.filter(|r| r["status"] == "fail").collect();
    assert_eq!(failed.len(), 2, "{results}");
}

/// Every project of these tests, the packages of their folders and the models that come with kinfold.
fn manifests_of_all_projects_are_what_dbt_describes() {
    let below = |folder: &str| {
        let entries = fs::read_dir(repository().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path())
    };
    let mut seen = 0;
    let schema = schema_of("manifest-v12");
    for case in below("tests/projects").chain(below("examples")) {
        let is_project = ["kinfold.yml", "dbt_project.yml"].map(|file| case.join(file).is_file());
        if !is_project.contains(&true) {
            continue;
        }
        let area = folder();
        copy(&case, area.path());
        // Some have no data, so not all of it can be checked; the manifest is written anyway.
        kinfold(area.path(), ["compile"]).run();
        let manifest = artifact(area.path(), "manifest.json");
        let found = violations(&schema, &manifest, &case.display().to_string());
        assert!(found.is_empty(), "{found:#?}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen} projects are too few to be all of them");
}

fn the_catalogue_says_what_is_published() {
    let area = folder();
    let project = area.path();
    write(project, &SHOP);
    let connection = "connections:\n  - {name: box, kind: files, location: out}\n";
    write(project, &[("connections/box.yml", connection)]);
    kinfold(project, ["docs", "generate"]).run().ok();
    let empty = artifact(project, "catalog.json");
    assert_eq!(
        (&empty["nodes"], &empty["sources"]),
        (&json!({}), &json!({}))
    );

    kinfold(project, ["build"]).run().ok();
    // A change that is not built is not in the catalogue yet.
    write(project, &[("models/orders.sql", "select 1 as one\n")]);
    write(project, &[("models/abroad.sql", "select 2 as two\n")]);
    fs::remove_dir_all(project.join("syncs")).unwrap();
    fs::remove_file(project.join("tests/no_debts.sql")).unwrap();
    let schema = "sources:
  - name: raw
    tables:
      - name: orders
        external: {location: data/orders.csv}
        columns: [{name: id, data_type: bigint}, {name: email, data_type: varchar}, {name: country, data_type: varchar}, {name: amount, data_type: double}]
";
    write(project, &[("models/schema.yml", schema)]);
    let ran = kinfold(project, ["docs", "generate", "--output", "json"]);
    let said = ran.run().ok().json();
    assert_eq!(
        (&said["relations"], &said["unreadable"]),
        (&json!(4), &json!(0))
    );
    let catalog = assert_valid(project, "catalog.json", "catalog-v1");
    let types = |node: &Value| {
        let columns = node["columns"].as_object().unwrap().values();
        let mut columns: Vec<(u64, String)> = columns
            .map(|c| {
                let (name, sql_type) = (c["name"].as_str().unwrap(), c["type"].as_str().unwrap());
                (c["index"].as_u64().unwrap(), format!("{name} {sql_type}"))
            })
            .collect();
        columns.sort();
        columns
            .into_iter()
            .map(|(_, text)| text)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let orders = &catalog["nodes"]["model.shop.orders"];
    assert_eq!(
        types(orders),
        "id BIGINT, email VARCHAR, country VARCHAR, cents BIGINT"
    );
    assert_eq!(orders["stats"]["num_rows"]["value"], json!(2));
    assert_eq!(orders["metadata"]["type"], json!("BASE TABLE"));
    let abroad = &catalog["nodes"]["model.shop.abroad"];
    assert_eq!(abroad["metadata"]["type"], json!("VIEW"));
    assert_eq!(types(abroad), types(orders));
    assert_eq!(
        types(&catalog["nodes"]["seed.shop.countries"]),
        "code VARCHAR, name VARCHAR"
    );
    assert_eq!(
        types(&catalog["sources"]["source.shop.raw.orders"]),
        "id BIGINT, email VARCHAR, country VARCHAR, amount DOUBLE"
    );

    // A table that is gone is told.
    fs::remove_dir_all(project.join(".kinfold/lake/main/orders")).unwrap();
    let ran = kinfold(project, ["docs", "generate"]).run().code(1);
    ran.says("model.shop.orders");
    let catalog = assert_valid(project, "catalog.json", "catalog-v1");
    let errors = catalog["errors"].as_array().unwrap();
    let told = |error: &Value| error.as_str().unwrap().starts_with("model.shop.orders: ");
    assert!(errors.iter().any(told), "{errors:?}");
}

/// The judge of the others is judged.
fn a_schema_refuses_what_it_does_not_describe() {
    let schema = schema_of("catalog-v1");
    let metadata = json!({"dbt_version": "1.10.15"});
    let sound = json!({"metadata": metadata, "nodes": {}, "sources": {}, "errors": null});
    assert_eq!(violations(&schema, &sound, ""), [""; 0]);
    for (place, wrong, words) in [
        ("/errors", json!([1]), "/errors/0: 1 is not \"string\""),
        (
            "/nodes",
            json!({"a": {}}),
            "/nodes/a: there is no `metadata`",
        ),
        (
            "/metadata/unknown",
            json!(1),
            "/metadata/unknown: nothing is allowed here",
        ),
        (
            "/metadata/dbt_version",
            json!(2),
            "/metadata/dbt_version: 2 is not \"string\"",
        ),
    ] {
        let mut document = sound.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = wrong;
        let found = violations(&schema, &document, "");
        assert!(found.iter().any(|f| f == words), "{found:?}");
    }
}
