//! `selectors.yml`.

use kinfold_project::{LoadOptions, load};

use super::shop;
use crate::select::{check_selectors, select};

const FILE: &str = "\
selectors:
  - name: nightly
    definition: tag:nightly
  - name: nightly_small
    description: what is quick
    definition:
      union:
        - {method: selector, value: nightly}
        - tag: email
        - exclude:
            - config.materialized:table
  - name: around
    definition:
      method: fqn
      value: person
      parents: true
      parents_depth: 1
      children: true
      exclude: [resource_type:sync]
  - name: both
    definition:
      intersection:
        - selector:nightly
        - union: [path:models/staging, winback]
        - exclude: [stg_orders]
  - name: family
    definition: {method: tag, value: email, childrens_parents: true}
";

/// A project with that file, and what is found wrong with it.
fn read(text: &str) -> (kinfold_project::Project, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("kinfold.yml", "name: shop\n");
    write("models/a.sql", "select 1 as a");
    write("selectors.yml", text);
    let options = LoadOptions {
        environment_variable: &|_| None,
        embedded_packages: &[],
        destinations: &[],
        vars: None,
    };
    let loaded = load(folder.path(), &options);
    let project = loaded.project.unwrap();
    let found = [loaded.diagnostics, check_selectors(&project)].concat();
    let line = |d: &kinfold_project::Diagnostic| {
        let place = d.primary.as_ref().unwrap().span;
        let (line, _) = project.files.line_column(place);
        format!("{line} {} {}", d.code.id, d.message)
    };
    let found = found.iter().map(line).collect();
    (project, found)
}

/// The names that a selector has in the shop.
fn names(text: &str, name: &str) -> Result<String, String> {
    let (project, _) = read(text);
    let mut graph = shop();
    graph.selectors = project.selectors;
    let found = select(&graph, &[format!("selector:{name}")], &[], None)
        .map_err(|errors| errors[0].to_string())?;
    let names: Vec<&str> = found
        .iter()
        .map(|id| id.as_str().rsplit('.').next().unwrap())
        .collect();
    Ok(names.join(" "))
}

#[test]
fn rules_are_sets() {
    let (project, found) = read(FILE);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(project.selectors.len(), 5);
    let of = |name: &str| names(FILE, name).unwrap();
    assert_eq!(
        of("nightly"),
        "stg_events stg_orders not_null_stg_events orders_have_people"
    );
    // A data test comes with what it tests, and leaves with it.
    assert_eq!(
        of("nightly_small"),
        "stg_events winback crm not_null_stg_events"
    );
    assert_eq!(
        of("around"),
        "person_profile stg_events winback person not_null_stg_events orders_have_people"
    );
    assert_eq!(of("both"), "stg_events not_null_stg_events");
    assert_eq!(of("family").split(' ').count(), 10);
}

#[test]
fn a_selector_is_a_criterion_like_others() {
    let (project, _) = read(FILE);
    let mut graph = shop();
    graph.selectors = project.selectors;
    let words = ["1+selector:around,resource_type:source".to_owned()];
    let found = select(&graph, &words, &[], None).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        names(FILE, "nightli"),
        Err("there is no selector `nightli`, did you mean `nightly`?".to_owned())
    );
}

#[test]
fn mistakes_have_places() {
    let text = "\
selectors:
  - name: a
    definition: selector:b
  - name: b
    definition: {union: [selector:a, tag:x]}
  - name: a
    definition: tag:x
  - name: c
    definition: tagg:x
  - name: d
    definition: {method: tag, value: x, parents_depth: 2, indirect_selection: cautious}
  - name: e
    definition: {tag: x, path: y}
  - name: f
    definition: tag:x,tag:y
  - name: g
    definition: {union: [{exclude: [tag:x]}]}
  - name: h
    definition: selector:zz
  - name: i
    default: true
    definition: {method: fqn, value: a, children: true, childrens_parents: true}
  - name: j
    default: true
    definition: a
  - name: k
    default: true
    definition: a
  - {name: l}
";
    let (_, found) = read(text);
    let expected = [
        "6 KF0201 there are two selectors `a`",
        "11 KF0212 `parents_depth` means nothing without `parents: true`",
        "11 KF0113 `indirect_selection: cautious` is not supported",
        "13 KF0212 this says not what is selected",
        "17 KF0212 `union` has nothing in it but what it leaves out",
        "22 KF0212 `childrens_parents` has parents and children in it already",
        "26 KF0212 only one selector can be the default",
        "29 KF0109 a selector needs `definition`",
        "2 KF0212 the selector `a` is made of itself",
        "4 KF0212 the selector `b` is made of itself",
        "9 KF0212 `tagg:x`: there is no selection method `tagg`, did you mean `tag`?",
        "15 KF0212 a definition is one criterion, without commas and spaces",
        "19 KF0212 there is no selector `zz`",
    ];
    assert_eq!(found, expected);
    // And whoever uses one nevertheless is told, not caught in a circle.
    assert_eq!(
        names(text, "a"),
        Err("the selector `a` is made of itself".to_owned())
    );
}
