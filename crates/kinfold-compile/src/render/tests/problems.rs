//! What is wrong, and where.

use kinfold_project::{TestTarget, ValueKind};

use super::fixture::{Fixture, text, yaml};

fn one(sql: &str) -> Vec<String> {
    Fixture::new()
        .model("orders", "select 1")
        .source("raw", "events")
        .model("m", sql)
        .problems()
}

#[test]
fn references() {
    assert_eq!(
        one("select\n {{ ref('ordrs') }} {{ ref('none_at_all') }} {{ source('raw', 'event') }}"),
        [
            "KF0311 models/m.sql:2:24 there is no model or seed `none_at_all`",
            "KF0311 models/m.sql:2:5 there is no model or seed `ordrs` ? did you mean `orders`?",
            "KF0312 models/m.sql:2:49 there is no source table `raw.event` ? did you mean `raw.events`?",
        ]
    );
    assert_eq!(
        one("{{ ref('orders', version=2) }}"),
        [
            "KF0321 models/m.sql:1:4 versions of models are not supported ? give each version a name of its own"
        ]
    );
    assert_eq!(
        one("{{ ref('orders__edges') }}"),
        ["KF0311 models/m.sql:1:4 there is no model or seed `orders__edges`"]
    );
    let fixture = Fixture::new()
        .model("off", "{{ config(enabled=false) }}")
        .model("m", "x {{ ref('off') }}");
    assert_eq!(
        fixture.problems(),
        [
            "KF0313 models/m.sql:1:6 `off` is switched off by `enabled: false` ? enable it, or do not read it"
        ]
    );
}

#[test]
fn a_reference_in_a_macro_is_told_with_the_call() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro inner() %}\n {{ ref('nope') }}{% endmacro %}",
        )
        .macros(
            "macros/b.sql",
            "{% macro outer() %}{{ inner() }}{% endmacro %}",
        )
        .model("m", "\n{{ outer() }}");
    assert_eq!(
        fixture.problems(),
        ["KF0311 macros/a.sql:2:5 there is no model or seed `nope` \
          | macros/b.sql:1:23 in macro `inner`, called here | models/m.sql:2:4 in macro `outer`, called here"]
    );
}

#[test]
fn undefined_names() {
    assert_eq!(
        one("a {{ foo }}"),
        ["KF0302 models/m.sql:1:6 `foo` is undefined"]
    );
    assert_eq!(
        one("a {{ targt.name }}"),
        ["KF0302 models/m.sql:1:6 `targt` is undefined ? did you mean `target`?"]
    );
    assert_eq!(
        one("{{ target.nme }}"),
        ["KF0302 models/m.sql:1:4 `target.nme` is undefined"]
    );
    assert_eq!(
        one("{{ reff('x') }}"),
        ["KF0303 models/m.sql:1:4 there is no function or macro `reff` ? did you mean `ref`?"]
    );
    assert_eq!(
        one("{{ 'a' | uper }}\n{{ 'x' }}"),
        ["KF0304 models/m.sql:1:10 there is no filter `uper` ? did you mean `upper`?"]
    );
    assert_eq!(
        one("{{ 'a' | lowr }}"),
        ["KF0304 models/m.sql:1:10 there is no filter `lowr` ? did you mean `lower`?"]
    );
}

#[test]
fn undefined_names_in_conditions() {
    let fixture = Fixture::new()
        .var("is_prod", yaml(ValueKind::Bool(true)))
        .macros(
            "macros/a.sql",
            "{% macro f(a, b) %}{% if b %}{{ b }}{% endif %}{{ a }}{% endmacro %}",
        )
        .model(
            "m",
            "{% if is_prod %}1{% endif %}\n{{ 'x' if targett.name == 'dev' else f(1) }}",
        );
    assert_eq!(
        fixture.problems(),
        [
            "KF0302 models/m.sql:1:7 `is_prod` is undefined ? variables are read with `var('is_prod')`",
            "KF0302 models/m.sql:2:11 `targett` is undefined ? did you mean `target`?",
        ]
    );
}

#[test]
fn an_unknown_method_inside_a_macro_of_a_package() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro f(x) %} {{ x.nope() }}{% endmacro %}",
        )
        .model("m", "{{ shop.f('a') }} {{ lib.g() }}")
        .model("n", "{{ shop.g() }}");
    assert_eq!(
        fixture.problems(),
        [
            "KF0303 models/n.sql:1:4 there is no macro `g` in package `shop` ? did you mean `f`?",
            "KF0305 macros/a.sql:1:21 text has no method `nope` | models/m.sql:1:4 in macro `f`, called here",
        ]
    );
}

#[test]
fn an_error_inside_a_macro_inside_an_included_file() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro bad(x) %}\n  {{ x.missing.deep }}\n{% endmacro %}",
        )
        .file("parts/p.sql", "\n\n {{ bad({}) }}")
        .model("m", "select\n{% include 'parts/p.sql' %}");
    assert_eq!(
        fixture.problems(),
        ["KF0302 macros/a.sql:2:6 `x.missing` is undefined \
          | parts/p.sql:3:5 in macro `bad`, called here | models/m.sql:2:4 included here"]
    );
}

#[test]
fn syntax() {
    assert_eq!(
        one("select {{ ref('orders') \n from"),
        ["KF0301 models/m.sql:1:8 this expression is never closed ? close it with `}}`"]
    );
    assert_eq!(
        one("\n{% if true %} x"),
        ["KF0301 models/m.sql:2:1 this `if` is never closed ? close it with `{% endif %}`"]
    );
    assert_eq!(
        one("{% nope %}"),
        ["KF0301 models/m.sql:1:4 the template cannot be read: unknown statement nope"]
    );
    assert_eq!(
        one("a \u{FDD0}"),
        [
            "KF0322 models/m.sql:1:3 a template cannot contain the characters U+FDD0 to U+FDEF \
          ? they are not meant for text; remove this one"
        ]
    );
    assert_eq!(
        one("{{ '\\ufdd0' }}"),
        [
            "KF0322 models/m.sql:1:4 the expression gives text with the characters U+FDD0 to U+FDEF \
          ? they are not meant for text; remove them from the value"
        ]
    );
}

#[test]
fn a_name_that_the_file_sets_is_meant() {
    assert_eq!(
        one("{% set statuses = [1] %}{% for status in states %}{{ status }}{% endfor %}"),
        ["KF0302 models/m.sql:1:42 `states` is undefined ? did you mean `statuses`?"]
    );
    assert_eq!(
        one("{% for day in [1] %}{{ day }}{% endfor %}{{ day }}"),
        ["KF0302 models/m.sql:1:45 `day` is undefined"]
    );
}

#[test]
fn arguments() {
    let fixture = Fixture::new()
        .macros("macros/a.sql", "{% macro two(a, b) %}{{ a }}{% endmacro %}")
        .model("m", "{{ two(1, 2, 3) }}")
        .model("n", "{{ two(c=1) }}")
        .model("o", "{{ ref() }}")
        .model("p", "{{ ref(1) }}");
    assert_eq!(
        fixture.problems(),
        [
            "KF0306 models/m.sql:1:4 `two` is given too many arguments",
            "KF0306 models/n.sql:1:4 unknown keyword argument `c`",
            "KF0306 models/o.sql:1:4 `ref` needs the argument `name`",
            "KF0309 models/p.sql:1:4 the argument `name` of `ref` must be text, not a number",
        ]
    );
}

#[test]
fn variables_and_secrets() {
    assert_eq!(
        one("{{ var('a') }} {{ env_var('B') }} {{ env_var('DBT_ENV_SECRET_X') }}"),
        [
            "KF0315 models/m.sql:1:4 the variable `a` is not set \
             ? set it below `vars:` or with `--vars`, or give a default: `var('a', …)`",
            "KF0316 models/m.sql:1:19 the environment variable `B` is not set \
             ? set it, or give a default: `env_var('B', …)`",
            "KF0317 models/m.sql:1:38 the secret `DBT_ENV_SECRET_X` would become part of the model \
             ? secrets can be used in environments and connections only",
        ]
    );
}

#[test]
fn what_templates_raise() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro check(x) %}{% if not x %}\n{{ exceptions.raise_compiler_error('x is ' ~ x) }}{% endif %}{% do exceptions.warn('old') %}{% endmacro %}",
        )
        .model("m", "{{ check(false) }}")
        .model("n", "{{ check(true) }}");
    assert_eq!(
        fixture.problems(),
        [
            "KF0310 macros/a.sql:2:4 x is False | models/m.sql:1:4 in macro `check`, called here",
            "KF0310 macros/a.sql:2:68 old | models/n.sql:1:4 in macro `check`, called here",
        ]
    );
}

#[test]
fn templates_without_end() {
    let fixture = Fixture::new()
        .macros(
            "macros/a.sql",
            "{% macro again() %}{{ again() }}{% endmacro %}",
        )
        .file("parts/self.sql", "{% include 'parts/self.sql' %}")
        .model("a", "{{ again() }}")
        .model(
            "b",
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        )
        .model("c", "{% include 'parts/self.sql' %}")
        .model("d", "{% set l = [] %}{% do l.append(l) %}{{ l }}")
        .model("e", "{% include 'parts/slf.sql' %}");
    let problems = fixture.problems();
    let starts: Vec<_> = problems
        .iter()
        .map(|p| p.split(" | ").next().unwrap_or(""))
        .collect();
    assert_eq!(
        starts,
        [
            "KF0307 macros/a.sql:1:23 more than 40 macros call each other ? a macro probably calls itself without end",
            "KF0307 models/b.sql:1:40 the template takes too many steps ? a loop in it is probably longer than meant",
            "KF0307 parts/self.sql:1:4 the template nests too deep",
            "KF0308 models/e.sql:1:4 the included file is not a file of the project \
             ? did you mean `parts/self.sql`? ? paths are relative to the project or to the file itself",
            "KF0309 models/d.sql:1:23 a list or dictionary cannot be put into itself",
        ]
    );
}

#[test]
fn padding_has_a_bound() {
    for sql in [
        "{{ 'x' | indent(99999999999999) }}",
        "{{ '%99999999999d' | format(1) }}",
        "{{ '{:>99999999999}'.format(1) }}",
        "{{ '%*d' | format(99999999999, 1) }}",
        "{{ 'x' * 99999999999 }}",
    ] {
        let problems = one(sql);
        assert!(
            problems.len() == 1 && problems[0].starts_with("KF0309"),
            "{problems:?}"
        );
    }
}

#[test]
fn configurations() {
    assert_eq!(
        one("{{ config(\n materialized='tabel', enabled='perhaps', tags=1) }}"),
        [
            "KF0318 models/m.sql:2:2 there is no materialization `tabel` ? did you mean `table`?",
            "KF0319 models/m.sql:2:24 `enabled` must be `true` or `false`",
            "KF0319 models/m.sql:2:43 `tags` must be a list of text",
        ]
    );
    assert_eq!(
        one(
            "{{ config(post_hook=['vacuum'], pre_hook=[],\n contract={'enforced': true}, grants={}) }} select 1"
        ),
        ["KF0326 models/m.sql:1:11 `post_hook` has no effect: hooks do not run",]
    );
    let fixture = Fixture::new()
        .model("a", "{{ config(alias='x') }}")
        .model("b", "{{ config(alias='x') }}");
    assert_eq!(
        fixture.problems(),
        [
            "KF0324 models/b.sql:1:11 `a` and `b` both write the relation `main.x` \
          | models/a.sql:1:1 the other one ? give one of them another `alias` or `schema`"
        ]
    );
}

#[test]
fn data_tests() {
    let target = || TestTarget::Ref("m".to_owned());
    let fixture = Fixture::new()
        .model("m", "select 1")
        .test("unique", target(), None, &[], &[])
        .test(
            "accepted_values",
            target(),
            Some("id"),
            &[("vals", text("x"))],
            &[],
        )
        .test(
            "relationships",
            target(),
            Some("id"),
            &[("to", text("ref('nope')")), ("field", text("id"))],
            &[],
        )
        .test(
            "not_null",
            target(),
            Some("id"),
            &[],
            &[("limit", yaml(ValueKind::Bool(true)))],
        );
    assert_eq!(
        fixture.problems(),
        [
            "KF0306 kinfold.yml:1:1 the data test `accepted_values` has no argument `vals`",
            "KF0306 kinfold.yml:2:1 the data test `accepted_values` needs the argument `values` ? add `values:` below `arguments:`",
            "KF0306 kinfold.yml:2:1 the data test `unique` needs the argument `column_name` ? put the test below a column, or give `column_name`",
            "KF0311 kinfold.yml:1:1 there is no model or seed `nope`",
            "KF0319 kinfold.yml:1:1 `limit` must be a whole number",
        ]
    );
}

#[test]
fn one_bad_node_does_not_hide_another() {
    let fixture = Fixture::new()
        .model("a", "{{ foo }}")
        .model("b", "{{ ref('nope') }}")
        .model("c", "{{ ref('a') }}");
    assert_eq!(
        fixture.problems(),
        [
            "KF0302 models/a.sql:1:4 `foo` is undefined",
            "KF0311 models/b.sql:1:4 there is no model or seed `nope`",
        ]
    );
}

#[test]
fn macros_that_nobody_calls_are_read_too() {
    let fixture = Fixture::new()
        .package("lib")
        .macros("macros/a.sql", "{% macro own() %}{{ 1 + }}{% endmacro %}")
        .macros_of(
            "lib",
            "<lib>/macros/b.sql",
            "{% macro theirs() %}{% for %}{% endfor %}{% endmacro %}{% macro sound() %}{% endmacro %}",
        )
        .model("m", "select 1");
    let (project, found) = fixture.render();
    assert_eq!(project.nodes.len(), 1);
    let told: Vec<_> = found
        .iter()
        .map(|d| {
            let place = d.primary.as_ref().map(|label| fixture.place(label.span));
            (d.is_error(), d.code.id, place.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        told,
        [
            (true, "KF0301", "macros/a.sql:1:25".to_owned()),
            (false, "KF0301", "<lib>/macros/b.sql:1:28".to_owned()),
        ]
    );
}
