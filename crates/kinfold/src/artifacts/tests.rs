#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kinfold_compile::render::{Answers, RenderContext, RenderedProject, render};
use kinfold_project::{LoadOptions, Project, load};
use serde_json::{Value as Json, json};

use super::{RunFacts, write_compiled, write_manifest};

const FILES: [(&str, &str); 9] = [
    (
        "kinfold.yml",
        "name: shop\nenvironments:\n  dev: {lake: .kinfold/lake}\npurposes: [service]\n",
    ),
    ("seeds/countries.csv", "code,name\r\nde,Germany\r\n"),
    (
        "models/staging/stg_orders.sql",
        "{{ config(tags=['nightly'], meta={'owner': 'growth'}) }}\nselect {{ cents('id') }} as id, person_id from {{ source('raw', 'orders') }}\n",
    ),
    (
        "models/people.sql",
        "{{ config(materialized='segment', entity='person') }}\nselect person_id as canonical_id from {{ ref('stg_orders') }}",
    ),
    (
        "models/schema.yml",
        "sources:
  - name: raw
    tables:
      - {name: orders, external: {location: 'data/orders.parquet'}}
models:
  - name: stg_orders
    description: \"Orders: {{ doc('orders') }}\"
    columns:
      - name: id
        data_type: bigint
        description: the order
        data_tests: [not_null, unique: {severity: warn}]
      - name: country
        data_tests:
          - relationships: {to: ref('countries'), field: code, name: '../../outside'}
",
    ),
    (
        "models/docs.md",
        "{% docs orders %}one row per order{% enddocs %}",
    ),
    (
        "macros/money.sql",
        "{% macro cents(c) %}{{ money(c) }} / 100{% endmacro %}{% macro money(c) %}({{ c }}){% endmacro %}",
    ),
    (
        "tests/no_ghosts.sql",
        "select * from {{ ref('people__history') }} where canonical_id is null",
    ),
    (
        "syncs/crm.yml",
        "syncs:
  - name: crm
    from: ref('people')
    connection: box
    object: people
    mode: mirror
    key: {id: canonical_id}
    mapping: {who: canonical_id}
    purposes: [service]
",
    ),
];

struct Shop {
    folder: tempfile::TempDir,
    project: Project,
    rendered: RenderedProject,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = (
            "connections/box.yml",
            "connections:\n  - {name: box, type: files, location: out}\n",
        );
        for (path, text) in FILES.into_iter().chain([connection]) {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let options = LoadOptions {
            environment_variable: &|_| None,
            embedded_packages: &[],
            destinations: &[],
            vars: None,
        };
        let loaded = load(folder.path(), &options);
        let project = loaded.project.unwrap();
        let (rendered, problems) = render(&RenderContext {
            project: &project,
            environment_name: "dev",
            schema: "main",
            vars: serde_json::Map::new(),
            env: Arc::new(|_| None),
            as_of: as_of(),
            invocation_id: "run-1",
            full_refresh: false,
            answers: &Answers::default(),
        });
        assert!(problems.is_empty(), "{problems:?}");
        Self {
            folder,
            project,
            rendered,
        }
    }

    fn target(&self) -> std::path::PathBuf {
        self.folder.path().join("target")
    }

    fn manifest(&self) -> Json {
        let facts = RunFacts {
            invocation_id: "run-1".to_owned(),
            as_of: as_of(),
            environment: "dev".to_owned(),
        };
        write_manifest(&self.target(), &self.project, &self.rendered, None, &facts).unwrap();
        let text = std::fs::read_to_string(self.target().join("manifest.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn as_of() -> DateTime<Utc> {
    DateTime::from_timestamp(1_750_000_000, 0).unwrap()
}

/// The node of the manifest whose name begins so.
fn node<'m>(manifest: &'m Json, start: &str) -> &'m Json {
    let nodes = manifest["nodes"].as_object().unwrap();
    nodes
        .iter()
        .find(|(id, _)| id.starts_with(start))
        .unwrap()
        .1
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(
                    path.strip_prefix(folder)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

#[test]
fn compiled_sql_is_where_dbt_puts_it_and_nowhere_else() {
    let shop = Shop::new();
    write_compiled(&shop.target(), &shop.project, &shop.rendered).unwrap();
    assert_eq!(
        files_below(&shop.target()),
        [
            "compiled/shop/models/people.sql",
            "compiled/shop/models/schema.yml/.._.._outside.sql",
            "compiled/shop/models/schema.yml/not_null_stg_orders_id.sql",
            "compiled/shop/models/schema.yml/unique_stg_orders_id.sql",
            "compiled/shop/models/staging/stg_orders.sql",
            "compiled/shop/tests/no_ghosts.sql",
        ]
    );
    let sql =
        std::fs::read_to_string(shop.target().join("compiled/shop/models/people.sql")).unwrap();
    assert!(sql.contains("\"kinfold\".\"main\".\"stg_orders\""), "{sql}");
}

#[test]
fn a_model_says_what_dbt_says() {
    let shop = Shop::new();
    let manifest = shop.manifest();
    let model = &manifest["nodes"]["model.shop.stg_orders"];
    assert_eq!(model["path"], json!("staging/stg_orders.sql"));
    assert_eq!(
        model["original_file_path"],
        json!("models/staging/stg_orders.sql")
    );
    assert_eq!(model["fqn"], json!(["shop", "staging", "stg_orders"]));
    assert_eq!(
        model["relation_name"],
        json!("\"kinfold\".\"main\".\"stg_orders\"")
    );
    assert_eq!(model["patch_path"], json!("shop://models/schema.yml"));
    assert_eq!(model["sources"], json!([["raw", "orders"]]));
    assert_eq!(
        model["depends_on"]["nodes"],
        json!(["source.shop.raw.orders"])
    );
    assert_eq!(model["description"], json!("Orders: one row per order"));
    assert_eq!(model["columns"]["id"]["data_type"], json!("bigint"));
    assert_eq!(model["tags"], json!(["nightly"]));
    assert_eq!(model["meta"], json!({"owner": "growth"}));
    assert_eq!(
        model["compiled_path"],
        json!("target/compiled/shop/models/staging/stg_orders.sql")
    );
    // sha256 of the file without the line break at its end.
    assert_eq!(
        model["checksum"]["checksum"],
        json!("e04c77ab505ebdea02835f3cf5fa00383c546334c71bda89e2f89c8de813008f")
    );
    assert_eq!(model["primary_key"], json!(["id"]));
    assert_eq!(
        model["depends_on"]["macros"],
        json!(["macro.shop.cents"]),
        "only what it calls itself"
    );
    let segment = &manifest["nodes"]["model.shop.people"];
    assert_eq!(segment["config"]["materialized"], json!("segment"));
    assert_eq!(
        segment["meta"]["kinfold"],
        json!({
            "companions": {
                "people__history": {"relation_name": "\"kinfold\".\"main\".\"people__history\""},
            },
            "entity": "person",
        })
    );
    assert_eq!(
        segment["refs"],
        json!([{"name": "stg_orders", "package": null, "version": null}])
    );
}

#[test]
fn tests_seeds_and_sources_say_what_dbt_says() {
    let manifest = Shop::new().manifest();
    let unique = node(&manifest, "test.shop.unique_stg_orders_id.");
    assert_eq!(unique["path"], json!("unique_stg_orders_id.sql"));
    assert_eq!(unique["original_file_path"], json!("models/schema.yml"));
    assert_eq!(unique["config"]["severity"], json!("WARN"));
    assert_eq!(unique["column_name"], json!("id"));
    assert_eq!(unique["attached_node"], json!("model.shop.stg_orders"));
    assert_eq!(unique["file_key_name"], json!("models.stg_orders"));
    assert_eq!(
        unique["test_metadata"],
        json!({
            "name": "unique",
            "kwargs": {
                "column_name": "id",
                "model": "{{ get_where_subquery(ref('stg_orders')) }}",
            },
            "namespace": null,
        })
    );
    let singular = &manifest["nodes"]["test.shop.no_ghosts"];
    assert_eq!(
        singular["depends_on"]["nodes"],
        json!(["model.shop.people"])
    );
    let seed = &manifest["nodes"]["seed.shop.countries"];
    assert_eq!(seed["original_file_path"], json!("seeds/countries.csv"));
    assert_eq!(seed["path"], json!("countries.csv"));
    // sha256 of the file's bytes without the line break at its end.
    assert_eq!(
        seed["checksum"]["checksum"],
        json!("bcf4be10c7aab5631b51186a5c62c63da4d5e953318c4d8b0a1da21a6ae040bc")
    );
    let source = &manifest["sources"]["source.shop.raw.orders"];
    assert_eq!(source["external"], json!({"file_format": "parquet"}));
    assert_eq!(source["fqn"], json!(["shop", "raw", "orders"]));
    assert_eq!(
        manifest["macros"]["macro.shop.cents"]["macro_sql"],
        json!("{% macro cents(c) %}{{ money(c) }} / 100{% endmacro %}")
    );
    assert_eq!(
        manifest["macros"]["macro.shop.cents"]["depends_on"]["macros"],
        json!(["macro.shop.money"])
    );
    assert_eq!(
        manifest["macros"]["macro.shop.money"]["depends_on"]["macros"],
        json!([])
    );
    assert_eq!(
        manifest["docs"]["doc.shop.orders"]["path"],
        json!("docs.md")
    );
}

#[test]
fn the_graph_runs_from_sources_to_syncs() {
    let manifest = Shop::new().manifest();
    let sync = &manifest["exposures"]["exposure.shop.crm"];
    assert_eq!(sync["depends_on"]["nodes"], json!(["model.shop.people"]));
    assert_eq!(sync["meta"]["kinfold"]["unique_id"], json!("sync.shop.crm"));
    assert_eq!(
        manifest["child_map"]["model.shop.people"],
        json!(["exposure.shop.crm", "test.shop.no_ghosts"])
    );
    assert_eq!(
        manifest["parent_map"]["model.shop.stg_orders"],
        json!(["source.shop.raw.orders"])
    );
    assert_eq!(manifest["parent_map"]["source.shop.raw.orders"], json!([]));
    let parents = manifest["parent_map"].as_object().unwrap();
    let children = manifest["child_map"].as_object().unwrap();
    assert_eq!(
        parents.keys().collect::<Vec<_>>(),
        children.keys().collect::<Vec<_>>()
    );
}

#[test]
fn the_same_run_gives_the_same_bytes_and_leaves_no_other_file() {
    let shop = Shop::new();
    shop.manifest();
    let path = shop.target().join("manifest.json");
    let first = std::fs::read(&path).unwrap();
    shop.manifest();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    assert_eq!(files_below(&shop.target()), ["manifest.json"]);
}

#[test]
fn a_file_in_the_way_is_an_error_that_names_it() {
    let shop = Shop::new();
    std::fs::write(shop.target(), "not a folder").unwrap();
    let error = write_compiled(&shop.target(), &shop.project, &shop.rendered).unwrap_err();
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
    assert!(error.to_string().contains("target/compiled"), "{error}");
}
