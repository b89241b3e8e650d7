//! Projects in dbt's format, compared with what dbt-core 1.12.0 itself parses: each folder below
//! `tests/projects` has in `dbt_ids.txt` the nodes of dbt's `manifest.json`, for tests with their
//! alias and `fqn`.

use std::path::{Path, PathBuf};

use kinfold_project::{MacroKind, Project};

use crate::support::{With, load_files, load_folder, report};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/projects")
        .join(name)
}

fn load_project(name: &str) -> Project {
    let loaded = load_folder(&folder(name), &With::default());
    assert_eq!(report(&loaded), Vec::<String>::new());
    loaded.project.expect("a project")
}

fn ids(project: &Project) -> Vec<String> {
    let models = project.models.iter().map(|n| n.id.to_string());
    let seeds = project.seeds.iter().map(|n| n.id.to_string());
    let sources = project.sources.iter().map(|n| n.id.to_string());
    let generic = project
        .generic_tests
        .iter()
        .map(|t| format!("{} {} {}", t.id, t.alias, t.fqn.join("/")));
    let singular = project
        .singular_tests
        .iter()
        .map(|t| format!("{} {} {}", t.id, t.name, t.fqn.join("/")));
    let mut ids: Vec<String> = models
        .chain(seeds)
        .chain(sources)
        .chain(generic)
        .chain(singular)
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn nodes_and_test_ids_are_those_of_dbt() {
    for name in ["cafe", "odd_tests"] {
        let path = folder(name).join("dbt_ids.txt");
        let expected = std::fs::read_to_string(path).expect("dbt's ids");
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(ids(&load_project(name)), expected, "{name}");
    }
}

#[test]
fn a_small_project_with_bare_keys_beside_folders() {
    let project = load_project("cafe");
    assert_eq!(project.name, "cafe");
    assert_eq!(project.models.len(), 5);
    assert_eq!(project.seeds.len(), 3);
    assert_eq!(project.generic_tests.len(), 21);
    let config = |name: &str| -> Vec<Vec<String>> {
        let model = project.models.iter().find(|m| m.name == name);
        let layers = &model.expect("a model").config;
        layers
            .iter()
            .map(|layer| {
                let entries = layer.entries.iter();
                entries
                    .map(|(key, value)| format!("{}={}", key.value, value.to_json()))
                    .collect()
            })
            .collect()
    };
    assert_eq!(config("guests"), [["materialized=\"table\""]]);
    assert_eq!(
        config("stg_guests"),
        [
            vec!["materialized=\"table\""],
            vec!["materialized=\"view\"", "docs={\"node_color\":\"silver\"}"]
        ]
    );
    let docs = project
        .docs
        .get(&("cafe".to_owned(), "ticket_state".to_owned()));
    assert!(docs.is_some_and(|text| text.value.starts_with("A ticket is one of")));
    let guests = project
        .models
        .iter()
        .find(|m| m.name == "guests")
        .expect("guests");
    assert_eq!(
        guests.description.as_ref().map(|d| d.value.as_str()),
        Some("One row per guest")
    );
    assert!(guests.properties.is_some());
    assert_eq!(guests.columns.len(), 2);
}

#[test]
fn tests_keep_their_arguments_and_configuration() {
    let project = load_project("odd_tests");
    let macros: Vec<_> = project
        .macros
        .iter()
        .map(|m| (m.name.value.as_str(), m.kind))
        .collect();
    assert_eq!(
        macros,
        [
            ("test_older", MacroKind::Macro),
            ("within", MacroKind::Test),
            ("nothing", MacroKind::Test)
        ]
    );
    let block = project.macros.get(1).map(|m| project.files.text(m.block));
    assert!(
        block.is_some_and(
            |text| text.starts_with("{% test within(") && text.ends_with("{% endtest %}")
        )
    );
    let find = |name: &str| {
        let test = project.generic_tests.iter().find(|t| t.name == name);
        test.expect("a test")
    };
    let other = find("other_name");
    let keys: Vec<_> = other
        .config
        .iter()
        .flat_map(|layer| layer.entries.iter().map(|(key, _)| key.value.as_str()))
        .collect();
    assert_eq!(keys, ["tags", "where", "severity"]);
    assert_eq!(
        other.description.as_ref().map(|d| d.value.as_str()),
        Some("foo")
    );
    assert!(other.arguments.is_empty());
    let relation = find("source_relationships_raw_t1_ref_id__id__source_raw_t1_");
    let arguments: Vec<_> = relation
        .arguments
        .iter()
        .map(|(k, _)| k.value.as_str())
        .collect();
    assert_eq!(arguments, ["to", "field"]);
    // `tests:` of the project file: by folder.
    let leveled = find("unique_m3_id");
    assert_eq!(leveled.config.len(), 1);
}

#[test]
fn kinfold_yml_overrides_dbt_project_yml() {
    let loaded = load_files(&[
        (
            "dbt_project.yml",
            "name: a\nversion: 1.0.0\nmodel-paths: [src]\nvars: {x: 1, y: 1}\nmodels: {+materialized: view}\nprofile: none\n",
        ),
        (
            "kinfold.yml",
            "model-paths: [models]\nvars: {x: 2}\nmodels: {+materialized: table}\n",
        ),
        ("src/no.sql", "select 1"),
        ("models/yes.sql", "select 1"),
    ]);
    assert_eq!(report(&loaded), Vec::<String>::new());
    let project = loaded.project.expect("a project");
    assert_eq!(project.name, "a");
    let [model] = project.models.as_slice() else {
        panic!("one model");
    };
    assert_eq!(model.name, "yes");
    let values: Vec<_> = model
        .config
        .iter()
        .flat_map(|layer| layer.entries.iter().map(|(_, value)| value.to_json()))
        .collect();
    assert_eq!(values, ["view", "table"]);
    let package = project.packages.first().expect("the root");
    let x = package.vars.iter().find(|(key, _)| key.value == "x");
    assert_eq!(x.map(|(_, value)| value.to_json()), Some(2.into()));
    assert_eq!(package.vars.len(), 2);
}
