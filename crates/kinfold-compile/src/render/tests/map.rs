//! Where rendered SQL came from.

use super::fixture::Fixture;

fn one(sql: &str) -> Vec<String> {
    Fixture::new().model("m", sql).trace("m", "BOOM")
}

#[test]
fn literal_text() {
    assert_eq!(one("select\n  BOOM from t"), ["models/m.sql:2:3"]);
    assert_eq!(one("select 1,\r\n\r\n BOOM\r\n"), ["models/m.sql:3:2"]);
    assert_eq!(one("select 'äöü€😀', BOOM"), ["models/m.sql:1:17"]);
}

#[test]
fn text_around_expressions_and_statements() {
    assert_eq!(one("{{ 'a' }} {{ 'b' }} BOOM"), ["models/m.sql:1:21"]);
    assert_eq!(
        one("{% if true %}\nx BOOM\n{% endif %}"),
        ["models/m.sql:2:3"]
    );
    assert_eq!(
        one("{% for i in [1] -%}\n   x,{{ i }},   BOOM\n{%- endfor %}"),
        ["models/m.sql:2:17"]
    );
    assert_eq!(
        one("{# c #}{%- set a = 1 -%}   BOOM"),
        ["models/m.sql:1:28"]
    );
    assert_eq!(
        one("{% raw %}{{ x }} BOOM{% endraw %}"),
        ["models/m.sql:1:18"]
    );
    assert_eq!(
        one("x { {%- if true %} BOOM {% endif %}"),
        ["models/m.sql:1:20"]
    );
}

#[test]
fn every_turn_of_a_loop_points_to_the_body() {
    let fixture = Fixture::new().model("m", "{% for i in range(3) %}a{{ i }} BOOM\n{% endfor %}");
    let sql = fixture.sql("m");
    assert_eq!(sql.text, "a0 BOOM\na1 BOOM\na2 BOOM\n");
    for (at, word) in sql.text.match_indices("BOOM") {
        let origin = sql.map.origin(at..at + word.len());
        assert_eq!(fixture.place(origin.primary), "models/m.sql:1:33");
    }
}

#[test]
fn output_of_an_expression_is_the_expression() {
    let fixture = Fixture::new().model("m", "select {{ 'BO' ~ 'OM' }}, {{ 'x' }} from t");
    let origin = fixture.origin("m", "BOOM");
    assert!(origin.from_expression);
    assert_eq!(
        fixture.project.files.text(origin.primary),
        "{{ 'BO' ~ 'OM' }}"
    );
    assert_eq!(origin.rendered.as_deref(), Some("BOOM"));
    // From an expression into the text after it.
    let origin = fixture.origin("m", "x from");
    assert_eq!(fixture.project.files.text(origin.primary), "{{ 'x' }} from");
}

#[test]
fn macros() {
    let fixture = Fixture::new()
        .macros(
            "macros/money.sql",
            "\n{% macro cents(c) %}\n  {{ c }} / BOOM\n{% endmacro %}",
        )
        .model("m", "select\n {{ cents('x') }} from t");
    assert_eq!(
        fixture.trace("m", "BOOM"),
        [
            "macros/money.sql:3:13",
            "models/m.sql:2:2 in macro `cents`, called here"
        ]
    );
    // The argument is output of the expression inside the macro.
    assert_eq!(
        fixture.trace("m", "x"),
        [
            "macros/money.sql:3:3",
            "models/m.sql:2:2 in macro `cents`, called here"
        ]
    );
}

#[test]
fn macros_that_call_macros_in_a_loop() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro outer() %}\n[{{ inner(1) }}]{% endmacro %}",
        )
        .macros(
            "macros/b.sql",
            "{%- macro inner(n) -%}\n  ä {{ n }} BOOM\n{%- endmacro -%}",
        )
        .model("m", "{% for i in [1] %}\n{{ outer() }}{% endfor %}");
    assert_eq!(fixture.sql("m").text, "\n\n[ä 1 BOOM]");
    assert_eq!(
        fixture.trace("m", "BOOM"),
        [
            "macros/b.sql:2:13",
            "macros/a.sql:2:2 in macro `inner`, called here",
            "models/m.sql:2:1 in macro `outer`, called here"
        ]
    );
}

#[test]
fn macros_of_the_model_itself_and_captured_blocks() {
    assert_eq!(
        one("{% macro b() %}BOOM{% endmacro %}\nselect {{ b() }}"),
        [
            "models/m.sql:1:16",
            "models/m.sql:2:8 in macro `b`, called here"
        ]
    );
    assert_eq!(
        one("{% set x %}a, BOOM{% endset %}\nselect {{ x }}"),
        ["models/m.sql:1:15", "models/m.sql:2:8 used here"]
    );
    assert_eq!(
        one("{% set x %}  a, BOOM  {% endset %}\nselect {{ x | trim }}"),
        ["models/m.sql:1:17", "models/m.sql:2:8 used here"]
    );
    assert_eq!(
        one("{% filter trim %}  BOOM  {% endfilter %}"),
        ["models/m.sql:1:20", "models/m.sql:1:1 used here"]
    );
}

#[test]
fn call_blocks() {
    let fixture = Fixture::new()
        .macros(
            "macros/w.sql",
            "{% macro wrap(x) %}w({{ caller() }}){% endmacro %}",
        )
        .model("m", "a\n{% call wrap(1) %}BOOM{% endcall %}");
    assert_eq!(fixture.sql("m").text, "a\nw(BOOM)");
    assert_eq!(
        fixture.trace("m", "BOOM"),
        [
            "models/m.sql:2:19",
            "macros/w.sql:1:22 used here",
            "models/m.sql:2:1 in macro `wrap`, called here"
        ]
    );
}

#[test]
fn included_files() {
    let fixture = Fixture::new()
        .file("snippets/part.sql", "x\n BOOM {{ cents(1) }}\n")
        .macros(
            "macros/money.sql",
            "{% macro cents(c) %} cents_{{ c }}_DEEP {% endmacro %}",
        )
        .model("m", "select\n{% include 'snippets/part.sql' %}");
    assert_eq!(
        fixture.trace("m", "BOOM"),
        [
            "snippets/part.sql:2:2",
            "models/m.sql:2:1 `snippets/part.sql` is included here"
        ]
    );
    assert_eq!(
        fixture.trace("m", "DEEP"),
        [
            "macros/money.sql:1:36",
            "snippets/part.sql:2:7 in macro `cents`, called here",
            "models/m.sql:2:1 `snippets/part.sql` is included here"
        ]
    );
}

#[test]
fn imported_macros_and_paths_relative_to_the_file() {
    let fixture = Fixture::new()
        .file(
            "models/lib.sql",
            "{% macro b(x) %}{{ x }} BOOM{% endmacro %}",
        )
        .model("m", "{% from './lib.sql' import b %}{{ b(1) }}")
        .model("n", "{% import 'models/lib.sql' as lib %}\n{{ lib.b(2) }}");
    assert_eq!(
        fixture.trace("m", "BOOM"),
        [
            "models/lib.sql:1:25",
            "models/m.sql:1:32 in macro `b`, called here"
        ]
    );
    assert_eq!(
        fixture.trace("n", "BOOM"),
        [
            "models/lib.sql:1:25",
            "models/n.sql:2:1 in macro `b`, called here"
        ]
    );
}

#[test]
fn a_template_that_compares_captured_text_keeps_its_text_and_its_outer_places() {
    let fixture = Fixture::new().macros("macros/a.sql", "{% macro flag() %}yes{% endmacro %}").model(
        "m",
        "{% set f %}yes{% endset %}\n{% if f == 'yes' and flag() == 'yes' %}BOOM{% else %}no{% endif %} {{ flag() }}",
    );
    assert_eq!(fixture.sql("m").text, "\nBOOM yes");
    assert_eq!(fixture.trace("m", "BOOM"), ["models/m.sql:2:40"]);
    assert_eq!(fixture.trace("m", "yes"), ["models/m.sql:2:68"]);
}

#[test]
fn an_expression_that_changes_text_has_its_whole_place() {
    let fixture = Fixture::new()
        .macros("macros/a.sql", "{% macro cols() %}a,b{% endmacro %}")
        .model("m", "x {{ cols() | replace(',', ' BOOM ') }}");
    let origin = fixture.origin("m", "BOOM");
    assert_eq!(fixture.place(origin.primary), "macros/a.sql:1:19");
    let fixture = Fixture::new()
        .macros("macros/a.sql", "{% macro cols() %}a,boom{% endmacro %}")
        .model("m", "x {{ cols() | upper }}");
    let origin = fixture.origin("m", "BOOM");
    assert_eq!(fixture.place(origin.primary), "macros/a.sql:1:21");
}

#[test]
fn ranges_over_several_pieces() {
    let fixture = Fixture::new()
        .macros("macros/a.sql", "{% macro b() %}B{{ 1 }}C{% endmacro %}")
        .model("m", "select a, {{ b() }} from t");
    let sql = fixture.sql("m");
    let text =
        |origin: crate::render::Origin| fixture.project.files.text(origin.primary).to_owned();
    assert_eq!(
        text(sql.map.origin(0..sql.text.len())),
        "select a, {{ b() }} from t"
    );
    assert_eq!(text(fixture.origin("m", "B1C")), "B{{ 1 }}C");
    assert_eq!(text(fixture.origin("m", "B1C from")), "{{ b() }} from");
    assert_eq!(text(sql.map.origin(900..901)), "");
}
