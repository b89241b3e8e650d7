#![expect(clippy::unwrap_used, reason = "tests")]
//! What templates mean.

use kinfold_project::ValueKind;

use super::fixture::{Fixture, text, yaml};

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
fn an_incremental_model_has_two_forms() {
    let grows = "{{ config(materialized='incremental') }}{{ is_incremental() }} \
                 {{ load_relation(this) is none }}";
    let mut fixture = Fixture::new()
        .model("grows", grows)
        .model("stays", "{{ is_incremental() }}");
    for full_refresh in [false, true] {
        fixture.full_refresh = full_refresh;
        let (project, found) = fixture.render();
        assert_eq!(found, []);
        let text = |name: &str, incremental: bool| {
            let node = project
                .nodes
                .values()
                .find(|node| node.name == name)
                .unwrap();
            let sql = if incremental {
                node.increment.as_deref()
            } else {
                node.sql.as_ref()
            };
            sql.map(|sql| sql.text.clone())
        };
        assert_eq!(text("grows", false).unwrap(), "False True");
        assert_eq!(text("grows", true).unwrap(), "True False");
        assert_eq!(text("stays", false).unwrap(), "False");
        assert_eq!(text("stays", true), None);
    }
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
fn times_and_zones() {
    assert_eq!(
        rendered(
            "{% set m = modules %}{% set zone = m.pytz.timezone('America/New_York') %}\
             {% set at = m.datetime.datetime(2024, 7, 4, 12, tzinfo=m.pytz.utc) %}\
             {{ at }}|{{ at.astimezone(zone) }}|{{ at.astimezone(zone).strftime('%H:%M') }}|{{ at.date() }}|\
             {{ zone.localize(m.datetime.datetime(2024, 1, 1)).isoformat() }}|{{ m.datetime.date(2024, 2, 29).isoweekday() }}|\
             {{ m.datetime.datetime.strptime('2024-03-01', '%Y-%m-%d') }}|\
             {{ m.datetime.datetime.fromisoformat('2024-03-01T10:00:00+02:00').timestamp() }}|\
             {{ at.replace(year=2025, hour=1).isoformat() }}|{{ m.datetime.datetime(2024, 1, 1).tzinfo }}|\
             {{ 'y' if m.datetime.date(2024, 1, 1).hour is defined else 'n' }}"
        ),
        "2024-07-04 12:00:00+00:00|2024-07-04 08:00:00-04:00|08:00|2024-07-04|\
         2024-01-01T00:00:00-05:00|4|2024-03-01 00:00:00|1709280000|2025-07-04T01:00:00+00:00|None|n"
    );
    assert_eq!(
        rendered(
            "{{ run_started_at }} {{ run_started_at.astimezone(modules.pytz.timezone('Asia/Tokyo')).hour }}"
        ),
        "2023-11-14 22:13:20+00:00 7"
    );
}

#[test]
fn macros_and_packages_are_values() {
    let fixture = Fixture::new()
        .package("lib")
        .macros("macros/a.sql", "{% macro own(x) %}own {{ x }}{% endmacro %}")
        .macros_of(
            "lib",
            "<lib>/macros/a.sql",
            "{% macro theirs() %}theirs{% endmacro %}",
        )
        .model("a", "select 1")
        .model(
            "m",
            "{% set typed = lib.type_float or dbt.type_float %}{{ typed() }} {{ 'n' if not lib.nothing else 'y' }} \
             {{ context['own'](1) }} {{ context['lib']['theirs']() }} {{ context.get('nothing') }} \
             {{ context['project_name'] }} {{ context['model'].name }} {{ dbt.is_incremental() }} \
             {{ render('{{ ref(\"a\").name }}-{{ 1 + 1 }}') }} {{ local_md5('hello') }}",
        );
    assert_eq!(
        fixture.sql("m").text,
        "double n own 1 theirs None shop m False a-2 5d41402abc4b2a76b9719d911017c592"
    );
    assert_eq!(fixture.node("model.shop.m").depends_on.len(), 1);
}

#[test]
fn the_graph_has_what_takes_part() {
    let fixture = Fixture::new()
        .model("a", "{{ config(tags=['hourly'], materialized='table') }} select 1")
        .model("off", "{{ config(enabled=false) }} select 1")
        .source("raw", "events")
        .model(
            "m",
            "{% for n in graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') %}\
             {{ n.name }} {{ n.config.materialized }} {{ n.tags | join }};{% endfor %}\
             {{ graph['sources'].values() | map(attribute='source_name') | join }} {{ 'model.shop.a' in graph.nodes }}",
        );
    assert_eq!(fixture.sql("m").text, "a table hourly;m view ;raw True");
}

#[test]
fn combinations() {
    let shown = |call: &str| {
        rendered(&format!(
            "{{% for row in modules.itertools.{call} %}}{{{{ row | join }}}} {{% endfor %}}"
        ))
    };
    assert_eq!(shown("product(['a', 'b'], [1, 2])"), "a1 a2 b1 b2 ");
    assert_eq!(shown("product([0, 1], repeat=2)"), "00 01 10 11 ");
    assert_eq!(shown("combinations(['a', 'b', 'c'], 2)"), "ab ac bc ");
    assert_eq!(
        shown("permutations(['a', 'b', 'c'], r=2)"),
        "ab ac ba bc ca cb "
    );
    assert_eq!(
        rendered("{{ modules.itertools.chain([1], [2, 3]) | list }}"),
        "[1, 2, 3]"
    );
    let fixture = Fixture::new().model(
        "m",
        "{{ modules.itertools.product(range(1000), range(1000)) | length }}",
    );
    assert_eq!(fixture.problems().len(), 1);
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
