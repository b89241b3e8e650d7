#![expect(clippy::unwrap_used, reason = "tests")]
//! What templates ask, and what they make of the answers.

use serde_json::json;

use super::fixture::Fixture;
use crate::render::{AskedColumn, AskedRows, Question, Relation};

fn relation(name: &str) -> Relation {
    Relation {
        schema: "main".to_owned(),
        name: name.to_owned(),
    }
}

fn columns(columns: &[(&str, &str)]) -> Option<Vec<AskedColumn>> {
    let columns = columns.iter().map(|(name, data_type)| AskedColumn {
        name: (*name).to_owned(),
        data_type: (*data_type).to_owned(),
    });
    Some(columns.collect())
}

fn with_columns(sql: &str) -> Fixture {
    let mut fixture = Fixture::new()
        .model("a", "select 1")
        .model("b", "select 1")
        .model("m", sql);
    let answers = &mut fixture.answers.columns;
    answers.insert(
        relation("a"),
        columns(&[
            ("id", "bigint"),
            ("name", "varchar"),
            ("price", "decimal(16, 2)"),
        ]),
    );
    answers.insert(relation("elsewhere"), columns(&[("x", "double")]));
    answers.insert(relation("nowhere"), None);
    fixture
}

fn with_rows(sql: &str, asked: &str) -> Fixture {
    let mut fixture = Fixture::new().model("a", "select 1").model("m", sql);
    fixture.answers.rows.insert(
        asked.to_owned(),
        AskedRows {
            columns: vec!["kind".to_owned(), "n".to_owned()],
            rows: vec![
                vec![json!("x"), json!(2)],
                vec![json!("y"), json!(1)],
                vec![json!(null), json!(1.5)],
            ],
        },
    );
    fixture
}

#[test]
fn a_node_waits_for_an_answer_and_nothing_is_told() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro names(of) %}{{ adapter.get_columns_in_relation(of) | map(attribute='name') | join }}{% endmacro %}",
        )
        .model("a", "select 1")
        .model("m", "select {{ names(ref('a')) }} {{ no_such_name }}")
        .model("rows", "{% set r = run_query(' select 1 ') %}");
    let (project, found) = fixture.render();
    assert_eq!(fixture.shown(&found), Vec::<String>::new());
    assert_eq!(project.nodes.len(), 1);
    let questions: Vec<_> = project.waiting.values().map(|w| &w.question).collect();
    assert_eq!(
        questions,
        [
            &Question::Columns(relation("a")),
            &Question::Rows("select 1".to_owned())
        ]
    );
    let first = project.waiting.values().next().unwrap();
    assert_eq!(first.depends_on.len(), 1);
    assert_eq!(first.relations, [relation("m")]);
    // The place is where the question is asked; the call that led there is told beside it.
    let problem = first.problem("not known");
    assert_eq!(
        fixture.shown(&[problem]),
        ["KF0327 macros/a.sql:1:25 not known | models/m.sql:1:11 in macro `names`, called here"]
    );
}

#[test]
fn columns_have_what_those_of_dbt_have() {
    let sql = "{% for c in adapter.get_columns_in_relation(ref('a')) -%}
{{ c.name }} {{ c.column }} {{ c.quoted }} {{ c.data_type }} {{ c.dtype }} {{ c.is_string() }} {{ c.is_number() }} {{ c.numeric_scale }}
{%- if c.is_string() %} {{ c.string_size() }}{% endif %};
{%- endfor %}";
    let fixture = with_columns(sql);
    assert_eq!(
        fixture.sql("m").text,
        "id id \"id\" bigint bigint False True None;\
         name name \"name\" varchar varchar True False None 256;\
         price price \"price\" decimal(16, 2) decimal False True 2;"
    );
    let made = with_columns(
        "{{ api.Column('x', 'text').is_string() }} {{ api.Column.translate_type('STRING') }}",
    );
    assert_eq!(made.sql("m").text, "True varchar");
}

#[test]
fn a_relation_is_there_if_the_project_makes_it_or_the_lake_has_it() {
    let sql = "{% macro at(name) %}{{ adapter.get_relation(database, 'main', name) }}{% endmacro %}\
               {{ at('a') }} {{ at('elsewhere') }} {{ at('nowhere') }} {{ at('m') }} {{ load_relation(ref('b')).name }}";
    let fixture = with_columns(sql);
    assert_eq!(
        fixture.sql("m").text,
        "\"kinfold\".\"main\".\"a\" \"kinfold\".\"main\".\"elsewhere\" None None b"
    );
    // Whoever names a node of the project reads it.
    let node = fixture.node("model.shop.m");
    let read: Vec<_> = node.depends_on.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(read, ["model.shop.a", "model.shop.b"]);
}

#[test]
fn relations_are_keys_of_dictionaries() {
    let sql = "{% set found = {} %}{% for r in [ref('a'), api.Relation.create(schema='main', identifier='elsewhere')] %}\
               {% do found.update({r: []}) %}{% for c in adapter.get_columns_in_relation(r) %}{% do found[r].append(c.name) %}{% endfor %}{% endfor %}\
               {% for r, names in found.items() %}{{ r.identifier }}={{ names | join(',') }} {% endfor %}{{ ref('a') in found }} {{ ref('b') in found }}";
    assert_eq!(
        with_columns(sql).sql("m").text,
        "a=id,name,price elsewhere=x True False"
    );
}

#[test]
fn the_rows_of_a_statement() {
    let sql = "{% call statement('kinds', fetch_result=true) %} select kind from {{ ref('a') }} {% endcall %}\
               {% set found = load_result('kinds') %}\
               {{ found['data'] | map(attribute=0) | list }} {{ found['table'].columns[1].values() | list }} {{ load_result('other') }}";
    let fixture = with_rows(sql, "select kind from \"kinfold\".\"main\".\"a\"");
    assert_eq!(
        fixture.sql("m").text.trim(),
        "['x', 'y', None] [2, 1, 1.5] None"
    );
}

#[test]
fn the_table_of_a_query() {
    let sql = "{% set t = run_query('select 1') %}\
               {% for row in t %}{{ row.kind }}{{ row['n'] }}{{ row[0] }}{{ row.values() | length }};{% endfor %}\
               {{ t.rows | length }} {{ t.column_names | join(',') }} {{ t.columns['kind'].values() | first }} \
               {% for name, column in t.columns.items() %}{{ name }}:{{ column.values()[0] }} {% endfor %}{{ t.rows[-1][1] }}";
    assert_eq!(
        with_rows(sql, "select 1").sql("m").text,
        "x2x2;y1y2;None1.5None2;3 kind,n x kind:x n:2 1.5"
    );
}

#[test]
fn nothing_is_changed_while_a_project_is_compiled() {
    let fixture = Fixture::new().model("m", "{% call statement('x') %}drop table y{% endcall %}");
    let problems = fixture.problems();
    assert_eq!(problems.len(), 1);
    assert!(
        problems.first().is_some_and(|p| p
            .starts_with("KF0321 models/m.sql:1:9 `statement` runs a statement for its effect")),
        "{problems:?}"
    );
}
