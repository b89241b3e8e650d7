//! Selection in a project of files.

use std::sync::Arc;

use kinfold_project::{LoadOptions, load};

use crate::render::{Answers, RenderContext, render};
use crate::select::{SelectGraph, select};

const FILES: [(&str, &str); 9] = [
    (
        "kinfold.yml",
        "name: shop\npackages:\n  - {local: packages/std}\nenvironments:\n  dev: {lake: lake}\npurposes: [service]\n",
    ),
    ("packages/std/kinfold.yml", "name: std\n"),
    ("packages/std/models/base.sql", "select 1 as canonical_id"),
    (
        "models/people.sql",
        "{{ config(materialized='segment', entity='person') }}\nselect canonical_id from {{ ref('base') }}",
    ),
    ("models/broken.sql", "select {{ nothing( }}"),
    ("models/off.sql", "{{ config(enabled=false) }} select 1 as a"),
    (
        "models/schema.yml",
        "models:\n  - name: people\n    description: those who came\n    columns:\n      - name: canonical_id\n        data_tests: [not_null]\n",
    ),
    ("connections/box.yml", "connections:\n  - {name: box, type: files, location: out}\n"),
    (
        "syncs/crm.yml",
        "syncs:
  - {name: crm, from: ref('people__history'), connection: box, object: p, mode: mirror, key: {id: canonical_id}, mapping: {who: canonical_id}, purposes: [service]}
  - {name: old, enabled: false, from: ref('people'), connection: box, object: p, mode: mirror, key: {id: canonical_id}, mapping: {who: canonical_id}, purposes: [service]}
",
    ),
];

fn graph() -> SelectGraph {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
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
    let project = load(folder.path(), &options).project.unwrap();
    let (rendered, _) = render(&RenderContext {
        project: &project,
        environment_name: "dev",
        schema: "main",
        vars: serde_json::Map::new(),
        env: Arc::new(|_| None),
        as_of: chrono::DateTime::UNIX_EPOCH,
        invocation_id: "run",
        full_refresh: false,
        answers: &Answers::default(),
    });
    SelectGraph::of(&project, &rendered)
}

#[test]
fn the_graph_of_a_project_has_all_that_can_be_selected() {
    let graph = graph();
    let of = |criterion: &str| -> Vec<String> {
        match select(&graph, &[criterion.to_owned()], &[], None) {
            Ok(found) => found.iter().map(|id| id.to_string()).collect(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    };
    let test = of("test_name:not_null").remove(0);
    let with_test = ["model.shop.people", test.as_str()];
    // A sync stands below the model whose companion it delivers.
    assert_eq!(of("1+crm"), ["model.shop.people", "sync.shop.crm", &test]);
    assert_eq!(of("std.base+,resource_type:sync"), ["sync.shop.crm"]);
    assert_eq!(of("packages/std/models"), ["model.std.base"]);
    assert_eq!(of("path:models/schema.yml"), with_test);
    assert_eq!(of("config.mode:mirror"), ["sync.shop.crm"]);
    assert_eq!(of("config.entity:person"), with_test);
    // What cannot be rendered is there, what is switched off is not.
    assert_eq!(of("broken"), ["model.shop.broken"]);
    assert_eq!(of("off"), ["`off` is switched off by `enabled: false`"]);
    assert_eq!(of("old"), ["`old` is switched off by `enabled: false`"]);
}
