#![expect(clippy::unwrap_used, reason = "tests")]
//! What templates mean.

use kinfold_project::ValueKind;

use super::fixture::{Fixture, text, yaml};
use crate::render::codes;

fn rendered(sql: &str) -> String {
    Fixture::new().model("m", sql).sql("m").text
}

#[test]
fn python_values() {
    assert_eq!(
        rendered("{{ true }} {{ none }} {{ [1, 'a', none] }}"),
        "True None [1, 'a', None]"
    );
    assert_eq!(
        rendered("{{ 'a,b'.split(',') | join(' ') }} {{ 'Ab'.lower() }}"),
        "a b ab"
    );
    assert_eq!(
        rendered("{% for k, v in {'x': 1}.items() %}{{ k }}={{ v }}{% endfor %}"),
        "x=1"
    );
    assert_eq!(
        rendered("{{ range(3) | list | length }} {{ 7 // 2 }} {{ 2 ** 3 }}"),
        "3 3 8"
    );
}

#[test]
fn lists_and_dictionaries_change_in_place() {
    assert_eq!(
        rendered(
            "{% set l = [] %}{% do l.append('a') %}{% do l.extend(['b']) %}{{ l }} {{ l | join('+') }}"
        ),
        "['a', 'b'] a+b"
    );
    assert_eq!(
        rendered(
            "{% set d = {} %}{% do d.update({'k': [1]}) %}{% do d['k'].append(2) %}{{ d }} {{ d.pop('k') }}"
        ),
        "{'k': [1, 2]} [1, 2]"
    );
    assert_eq!(
        rendered("{% set l = [3, 1] %}{% do l.sort() %}{{ l[0] }}{{ l[1:] }}"),
        "1[3]"
    );
}

#[test]
fn statements() {
    assert_eq!(
        rendered(
            "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}"
        ),
        "02"
    );
    assert_eq!(
        rendered(
            "{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}"
        ),
        "3"
    );
    assert_eq!(
        rendered("{{\n  ref(\n   'm2'\n  ) if false\n  else 'x' }}"),
        "x"
    );
}

#[test]
fn macros_have_defaults_keywords_and_return() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro add(a, b=2) %}{{ return(a + b) }}never{% endmacro %}\
             {% macro many(n) %}{% for i in range(n) %}{% if i == 2 %}{% do return([i]) %}{% endif %}{% endfor %}{% endmacro %}\
             {% macro twice(n) %}{% if n > 0 %}{{ n }}{{ twice(n - 1) }}{% endif %}{% endmacro %}",
        )
        .model("m", "{{ add(1) + 1 }} {{ add(1, b=5) }} {{ add(b=1, a=1) }} {{ many(5)[0] }} {{ twice(3) }}")
        .model("n", "{% macro own(n) %}{% if n %}{{ return(n) }}{% endif %}x{% endmacro %}{{ own(4) + 1 }}");
    assert_eq!(fixture.sql("m").text, "4 6 2 2 321");
    assert_eq!(fixture.sql("n").text, "5");
}

#[test]
fn macros_are_found_by_package() {
    let fixture = Fixture::new()
        .package("lib")
        .macros("macros/a.sql", "{% macro name() %}root{% endmacro %}")
        .macros_of(
            "lib",
            "<lib>/macros/a.sql",
            "{% macro name() %}lib{% endmacro %}{% macro both() %}{{ name() }}-{{ only() }}{% endmacro %}\
             {% macro only() %}only{% endmacro %}\
             {% macro star() %}{{ return(adapter.dispatch('star', 'lib')()) }}{% endmacro %}\
             {% macro default__star() %}*{% endmacro %}{% macro postgres__star() %}pg*{% endmacro %}",
        )
        .model("m", "{{ name() }} {{ lib.name() }} {{ lib.both() }} {{ lib.star() }}");
    assert_eq!(fixture.sql("m").text, "root lib lib-only pg*");
    let fixture = fixture.macros(
        "macros/b.sql",
        "{% macro default__star() %}mine{% endmacro %}",
    );
    // Package by package, the project first, as in dbt: its default stands before all of the package's.
    assert_eq!(fixture.sql("m").text, "root lib lib-only mine");
}

#[test]
fn implementations_are_tried_from_the_nearest_dialect_on() {
    let all = ["kinfold", "datafusion", "duckdb", "postgres", "default"];
    for first in 0..all.len() {
        let macros: String = all[first..]
            .iter()
            .rev()
            .map(|adapter| format!("{{% macro {adapter}__x() %}}{adapter}{{% endmacro %}}"))
            .collect();
        let fixture = Fixture::new()
            .macros("macros/a.sql", &macros)
            .model("m", "{{ adapter.dispatch('x')() }}");
        assert_eq!(fixture.sql("m").text, all[first]);
    }
}

#[test]
fn a_macro_of_dbt_can_be_replaced() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro default__length(expression) %}len({{ expression }}){% endmacro %}",
        )
        .model(
            "m",
            "{{ dbt.length('a') }} {{ length('b') }} {{ adapter.dispatch('length', 'dbt')('c') }} {{ adapter.dispatch('right', 'dbt')('d', 1) }}",
        );
    assert_eq!(fixture.sql("m").text, "len(a) len(b) len(c) right(d, 1)");
}

#[test]
fn a_root_macro_can_replace_a_function() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro ref(name) %}<{{ builtins.ref(name) }}>{% endmacro %}",
        )
        .model("a", "select 1")
        .model("m", "{{ ref('a') }}");
    assert_eq!(fixture.sql("m").text, "<\"kinfold\".\"main\".\"a\">");
    assert_eq!(fixture.node("model.shop.m").depends_on.len(), 1);
}

#[test]
fn variables() {
    let mut fixture = Fixture::new()
        .var("n", yaml(ValueKind::Int(7)))
        .var("list", yaml(ValueKind::List(vec![text("a"), text("b")])))
        .var("rel", text("{{ ref('a') }}"))
        .model("a", "select 1")
        .model(
            "m",
            "{{ var('n') + 1 }} {{ var('list') | join('/') }} {{ var('none', 3) }} {{ var('rel') }} {{ var('cli', 0) }}",
        );
    fixture.vars.insert("cli".to_owned(), serde_json::json!(5));
    fixture.vars.insert("n".to_owned(), serde_json::json!(1));
    assert_eq!(
        fixture.sql("m").text,
        "2 a/b 3 \"kinfold\".\"main\".\"a\" 5"
    );
    assert_eq!(
        fixture.node("model.shop.m").depends_on[0].id.as_str(),
        "model.shop.a"
    );
}

#[test]
fn context() {
    let mut fixture = Fixture::new().model(
        "m",
        "{{ this }} {{ this.schema }}.{{ this.identifier }} {{ target.name }} {{ target.type }} \
         {{ project_name }} {{ invocation_id }} {{ run_started_at.strftime('%Y-%m-%d') }} \
         {{ model.unique_id }} {{ execute }} {{ env_var('A') }} {{ env_var('B', 'b') }} \
         {{ adapter.quote('x') }} {{ tojson({'a': [1, none]}) }} {{ fromjson('[1]')[0] }} \
         {{ this.include(database=false) }} {{ is_incremental() }}",
    );
    fixture.env.insert("A".to_owned(), "a".to_owned());
    assert_eq!(
        fixture.sql("m").text,
        "\"kinfold\".\"main\".\"m\" main.m dev datafusion shop run-1 2023-11-14 model.shop.m True a b \
         \"x\" {\"a\": [1, null]} 1 \"main\".\"m\" False"
    );
}

#[test]
fn is_incremental_needs_the_table_and_no_full_refresh() {
    let mut fixture = Fixture::new().model(
        "m",
        "{{ config(materialized='incremental') }}{{ is_incremental() }}",
    );
    let text = |fixture: &Fixture| {
        let (project, found) = fixture.render();
        assert!(found.iter().all(|d| d.code == codes::CONFIG_WITHOUT_EFFECT));
        let node = project.nodes.into_values().next().unwrap();
        node.sql.unwrap().text
    };
    assert_eq!(text(&fixture), "True");
    fixture.full_refresh = true;
    assert_eq!(text(&fixture), "False");
}

#[test]
fn cross_database_macros() {
    let sql = rendered(
        "{{ dbt.type_string() }} {{ dbt.dateadd('day', 1, 'd') }} {{ dbt.concat(['a', 'b']) }} \
         {{ dbt.datediff('a', 'b', 'month') }} {{ dbt.split_part(string_text='s', delimiter_text=\"','\", part_number=1) }}",
    );
    assert_eq!(
        sql,
        "varchar (cast(d as timestamp) + interval '1 day') a || b \
         cast((date_part('year', cast(b as timestamp)) - date_part('year', cast(a as timestamp))) * 12 \
         + date_part('month', cast(b as timestamp)) - date_part('month', cast(a as timestamp)) as bigint) \
         split_part(s, ',', 1)"
    );
}

#[test]
fn regular_expressions_and_times() {
    assert_eq!(
        rendered(
            "{{ modules.re.sub('[^a-z]+', '_', 'a-b c') }} {{ 'y' if modules.re.match('b', 'ab') else 'n' }} {{ modules.datetime.datetime.now().year }}"
        ),
        "a_b_c n 2023"
    );
}

#[test]
fn undeclared_arguments_are_in_varargs_and_kwargs() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro any(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}\
             {% macro pass() %}{{ any(**kwargs) }}{% endmacro %}",
        )
        .model(
            "m",
            "{{ any(1, 2, 3, k='v') }} {{ any(a=1) }} {{ pass(a=4, b=5) }}",
        );
    assert_eq!(fixture.sql("m").text, "1[2, 3]{'k': 'v'} 1[]{} 4[]{'b': 5}");
}

#[test]
fn what_a_branch_sets_prints_as_nothing_without_it() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro f(a) %}{% if a %}{% set x = a %}{% endif %}[{{ x }}]{% endmacro %}",
        )
        .model(
            "m",
            "{% if false %}{% set y %}1{% endset %}{% endif %}<{{ y }}>{{ f(1) }}{{ f(0) }}",
        );
    assert_eq!(fixture.sql("m").text, "<>[1][]");
}

#[test]
fn formats() {
    assert_eq!(
        rendered(
            "{{ 'a\\n\\nb' | indent(2) }}|{{ 'a' | indent(width=1, first=true) }}|{{ '%05.1f' | format(2.25) }}|{{ '{:>3}'.format('x') }}|{{ '%s-%s' | format('a', 1) }}"
        ),
        "a\n\n  b| a|002.2|  x|a-1"
    );
}
