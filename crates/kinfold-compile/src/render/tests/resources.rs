#![expect(clippy::unwrap_used, reason = "tests")]
//! Configurations, relations and data tests.

use kinfold_project::{NodeId, Reference, TestTarget, ValueKind};

use super::fixture::{Fixture, text, yaml};
use crate::render::{Materialization, TestSeverity};

fn target(name: &str) -> TestTarget {
    TestTarget::Ref(name.to_owned())
}

#[test]
fn the_file_is_stronger_than_the_tree() {
    let list = yaml(ValueKind::List(vec![text("y")]));
    let fixture = Fixture::new().model_of(
        "shop",
        "m",
        "{{ config(materialized='table', tags=['x'], meta={'a': 1}, owner='me') }}{{ config.get('schema') }}",
        &[
            ("materialized", text("view")),
            ("tags", list),
            ("schema", text("{{ 'mart' ~ 's' }}")),
            ("meta", yaml(ValueKind::Map(vec![]))),
        ],
    );
    let node = fixture.node("model.shop.m");
    assert_eq!(node.config.materialized.value, Materialization::Table);
    assert_eq!(
        fixture.project.files.text(node.config.materialized.span),
        "materialized='table'"
    );
    assert_eq!(node.config.tags, ["x", "y"]);
    assert_eq!(node.config.meta["a"], 1);
    assert_eq!(node.config.extra["owner"].value, "me");
    assert_eq!(
        node.relation.unwrap().to_string(),
        "\"kinfold\".\"marts\".\"m\""
    );
    assert_eq!(node.sql.unwrap().text, "marts");
}

#[test]
fn yaml_values_are_native() {
    let fixture = Fixture::new()
        .var("on", yaml(ValueKind::Bool(false)))
        .model_of(
            "shop",
            "m",
            "select 1",
            &[("enabled", text("{{ var('on') }}"))],
        )
        .model("n", "{{ config(enabled=not var('on')) }}");
    let (project, problems) = fixture.render();
    assert_eq!(problems, []);
    assert_eq!(project.disabled, [NodeId::from_text("model.shop.m")]);
    assert!(
        project
            .nodes
            .contains_key(&NodeId::from_text("model.shop.n"))
    );
}

#[test]
fn companions_belong_to_their_node() {
    let fixture = Fixture::new()
        .model(
            "person",
            "{{ config(materialized='identity', entity='person', schema='id') }}select 1",
        )
        .model("m", "{{ ref('person__edges') }} {{ ref('person') }}");
    let node = fixture.node("model.shop.m");
    assert_eq!(
        node.sql.unwrap().text,
        "\"kinfold\".\"id\".\"person__edges\" \"kinfold\".\"id\".\"person\""
    );
    assert_eq!(node.depends_on.len(), 1);
    assert_eq!(node.depends_on[0].id.as_str(), "model.shop.person");
    let person = fixture.node("model.shop.person");
    let names: Vec<_> = person
        .companions
        .iter()
        .map(|c| c.ref_name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "person__records",
            "person__edges",
            "person__changes",
            "person__alarms",
            "person__history",
            "person__aliases"
        ]
    );
}

#[test]
fn sources_seeds_and_names_made_by_macros() {
    let fixture = Fixture::new()
        .source("raw", "orders")
        .seed("codes", &[("delimiter", text(";"))])
        .macros(
            "macros/names.sql",
            "{% macro generate_schema_name(custom, node) %}{{ custom or target.schema }}_{{ node.resource_type }}{% endmacro %}\
             {% macro generate_alias_name(custom_alias_name, node) %}t_{{ node.name }}{% endmacro %}",
        )
        .model("m", "{{ source('raw', 'orders') }} {{ ref('codes') }}");
    assert_eq!(
        fixture.sql("m").text,
        "\"kinfold\".\"raw_schema\".\"orders_table\" \"kinfold\".\"main_seed\".\"t_codes\""
    );
    let seed = fixture.node("seed.shop.codes");
    assert_eq!(seed.config.delimiter.unwrap().value, b';');
    assert_eq!(seed.config.materialized.value, Materialization::Seed);
}

#[test]
fn packages_see_their_own_first() {
    let fixture = Fixture::new()
        .package("lib")
        .model("a", "select 1")
        .model_of("lib", "a", "{{ config(schema='lib') }}", &[])
        .model_of("lib", "m", "{{ ref('a') }}{{ ref('shop', 'a') }}", &[])
        .model("n", "{{ ref('a') }}");
    let lib = fixture.node("model.lib.m").sql.unwrap().text;
    assert_eq!(lib, "\"kinfold\".\"lib\".\"a\"\"kinfold\".\"main\".\"a\"");
    assert_eq!(fixture.sql("n").text, "\"kinfold\".\"main\".\"a\"");
}

#[test]
fn our_data_tests() {
    let values = yaml(ValueKind::List(vec![text("a'b"), text("c")]));
    let fixture = Fixture::new()
        .model("m", "select 1 as id")
        .model("p", "select 1 as id")
        .test(
            "unique",
            target("m"),
            Some("id"),
            &[],
            &[("severity", text("warn"))],
        )
        .test(
            "not_null",
            target("m"),
            Some("id"),
            &[],
            &[("where", text("id > 1"))],
        )
        .test(
            "accepted_values",
            target("m"),
            Some("id"),
            &[("values", values)],
            &[],
        )
        .test(
            "relationships",
            target("m"),
            Some("id"),
            &[("to", text("ref('p')")), ("field", text("id"))],
            &[],
        );
    let unique = fixture.node("test.shop.0_unique");
    assert_eq!(unique.config.severity, TestSeverity::Warn);
    assert_eq!(unique.tested.unwrap().node.as_str(), "model.shop.m");
    assert!(
        unique
            .sql
            .unwrap()
            .text
            .contains("from \"kinfold\".\"main\".\"m\"")
    );
    let not_null = fixture.node("test.shop.1_not_null").sql.unwrap();
    assert_eq!(
        not_null.text.trim(),
        "select id as null_value\nfrom (select * from \"kinfold\".\"main\".\"m\" where id > 1) as tested\nwhere id is null"
    );
    // Every piece points to the declaration or its column.
    let origin = not_null.map.origin(7..9);
    assert_eq!(fixture.place(origin.primary), "kinfold.yml:3:1");
    let origin = not_null.map.origin(0..3);
    assert_eq!(fixture.place(origin.primary), "kinfold.yml:2:1");
    let accepted = fixture
        .node("test.shop.2_accepted_values")
        .sql
        .unwrap()
        .text;
    assert!(
        accepted.contains("where id not in ('a''b', 'c')"),
        "{accepted}"
    );
    let relationships = fixture.node("test.shop.3_relationships");
    let inputs: Vec<_> = relationships
        .depends_on
        .iter()
        .map(|d| d.id.as_str())
        .collect();
    assert_eq!(inputs, ["model.shop.m", "model.shop.p"]);
}

#[test]
fn data_tests_of_the_project() {
    let fixture = Fixture::new()
        .source("raw", "orders")
        .macros(
            "macros/t.sql",
            "{% test above(model, column_name, least=0) %}\n{{ config(severity='warn') }}select BOOM from {{ model }} where {{ column_name }} < {{ least }}\n{% endtest %}",
        )
        .singular("s", "{{ config(severity='warn') }}select * from {{ source('raw', 'orders') }}")
        .test(
            "above",
            TestTarget::Source("raw".to_owned(), "orders".to_owned()),
            Some("id"),
            &[("least", yaml(ValueKind::Int(5)))],
            &[],
        );
    let node = fixture.node("test.shop.0_above");
    assert_eq!(node.config.severity, TestSeverity::Warn);
    let sql = node.sql.unwrap();
    assert_eq!(
        sql.text.trim(),
        "select BOOM from \"kinfold\".\"raw_schema\".\"orders_table\" where id < 5"
    );
    let at = sql.text.find("BOOM").unwrap();
    let origin = sql.map.origin(at..at + 4);
    assert_eq!(fixture.place(origin.primary), "macros/t.sql:2:37");
    let related: Vec<_> = origin
        .related
        .iter()
        .map(|(span, text)| format!("{} {text}", fixture.place(*span)))
        .collect();
    assert_eq!(
        related,
        ["kinfold.yml:2:1 in data test `above`, declared here"]
    );
    let singular = fixture.node("test.shop.s");
    assert_eq!(singular.config.severity, TestSeverity::Warn);
    assert_eq!(singular.depends_on[0].id.as_str(), "source.shop.raw.orders");
}

#[test]
fn a_test_of_a_disabled_model_is_disabled() {
    let fixture = Fixture::new()
        .model("m", "{{ config(enabled=false) }}")
        .test("unique", target("m"), Some("id"), &[], &[]);
    let (project, problems) = fixture.render();
    assert_eq!(problems, []);
    assert_eq!(project.disabled.len(), 2);
}

#[test]
fn schemas_of_dbt_projects_are_joined() {
    let config = "{{ config(schema='marts') }}";
    let dbt = Fixture::with("dbt_project.yml").model("m", config);
    let relation = dbt.node("model.shop.m").relation.unwrap();
    assert_eq!(relation.schema, "main_marts");
    let relation = Fixture::new()
        .model("m", config)
        .node("model.shop.m")
        .relation;
    assert_eq!(relation.unwrap().schema, "marts");
}

#[test]
fn references_of_syncs_are_resolved() {
    let (project, _) = Fixture::new()
        .source("raw", "orders")
        .model("seg", "{{ config(materialized='segment') }}select 1")
        .render();
    let resolve = |text: &str| {
        let (id, relation) = project.resolve("shop", &Reference::parse(text)?)?;
        Some(format!("{id} {}", relation.name))
    };
    assert_eq!(resolve("ref('seg')").as_deref(), Some("model.shop.seg seg"));
    assert_eq!(
        resolve("ref('seg__history')").as_deref(),
        Some("model.shop.seg seg__history")
    );
    assert_eq!(
        resolve("source('raw', 'orders')").as_deref(),
        Some("source.shop.raw.orders orders_table")
    );
    assert_eq!(resolve("ref('other', 'seg')"), None);
    assert_eq!(resolve("ref('seg__edges')"), None);
}
