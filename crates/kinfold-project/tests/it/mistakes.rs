//! Every mistake is reported, all in one run, each at its place.

use crate::support::{advice, load_files, report};

#[test]
fn in_project_files() {
    let loaded = load_files(&[
        (
            "kinfold.yml",
            "nmae: shop\nname: 1shop\nenvironments:\n  dev: {lakes: x}\n  a b: {lake: x, storage: {k: [1]}}\npurposes: [a, a]\nmodel-paths: [../other, models]\nvars: 3\nmodels:\n  gone: {x: 1}\n  +materialised: view\n  1shop: {meta: {a: 1}}\ntarget_path: t\n",
        ),
        (
            "dbt_project.yml",
            "name: other\nmodle-paths: [x]\non-run-start: [select 1]\n",
        ),
        ("models/a.sql", "select 1"),
    ]);
    assert_eq!(
        report(&loaded),
        [
            "W unknown-key dbt_project.yml:2:1 modle-paths",
            "W unsupported dbt_project.yml:3:1 on-run-start",
            "E unknown-key kinfold.yml:1:1 nmae",
            "E invalid-name kinfold.yml:2:7 1shop",
            "E unknown-key kinfold.yml:4:9 lakes",
            "E missing-key kinfold.yml:4:9 lakes",
            "E invalid-name kinfold.yml:5:3 a b",
            "E wrong-type kinfold.yml:5:31 [1]",
            "E duplicate-name kinfold.yml:6:15 a",
            "E invalid-value kinfold.yml:7:15 ../other",
            "E wrong-type kinfold.yml:8:7 3",
            "W unused-config-path kinfold.yml:10:3 gone",
            "W unknown-config-key kinfold.yml:11:3 +materialised",
            "W unused-config-path kinfold.yml:12:11 meta",
            "E unknown-key kinfold.yml:13:1 target_path",
        ]
    );
    let advice = advice(&loaded);
    for help in [
        "did you mean `name`?",
        "did you mean `lake`?",
        "did you mean `model-paths`?",
        "did you mean `target-path`?",
        "did you mean `materialized`?",
        "write `+meta`",
    ] {
        assert!(advice.iter().any(|line| line.contains(help)), "{help}");
    }
}

#[test]
fn in_properties() {
    let loaded = load_files(&[
        ("kinfold.yml", "name: x\n"),
        ("models/orders.sql", "select 1"),
        ("models/a/orders.sql", "select 1"),
        ("models/py.py", "x"),
        ("models/bad name.sql", "select 1"),
        ("seeds/orders.csv", "a\n"),
        ("seeds/countries.csv", "a\n"),
        ("snapshots/s.sql", "x"),
        (
            "models/p.yml",
            r#"models:
  - name: ordesr
  - name: countries
  - name: orders
    descripton: x
    columns:
      - name: id
        tests:
          - unqiue
          - unique: {severity: fatal}
          - unique
          - not_null: 3
          - relationships: {to: ref('custmers'), field: id}
          - accepted_values:
            values: [a]
          - utils.recency
          - not_null: {config: {wehre: x}}
        nmae: y
      - description: no name
  - name: orders
sources:
  - name: raw
    tables:
      - name: t
        external: {location: x.dat, delimeter: ','}
      - name: u
        external: {location: "{{ env_var('NOPE') }}.csv", delimiter: ab}
      - name: v
        external: {location: v.parquet, header: true, format: parquett}
      - name: t
unit_tests: []
exposure: []
"#,
        ),
        ("models/broken.yml", "models:\n  - name: a\n   - name: b\n"),
        ("models/twice.yml", "version: 2\nversion: 2\n"),
        (
            "macros/m.sql",
            "{% macro %}{% endmacro %}{% macro a() %}\n{% materialization q, default %}{% endmaterialization %}",
        ),
        ("models/d.md", "{% docs x %}no end"),
    ]);
    assert_eq!(
        report(&loaded),
        [
            "E duplicate-name models/a/orders.sql:1:1 ",
            "E invalid-name models/bad name.sql:1:1 ",
            "E duplicate-name models/orders.sql:1:1 ",
            "E unsupported models/py.py:1:1 ",
            "E jinja-block macros/m.sql:1:1 {% macro ",
            "E jinja-block macros/m.sql:1:26 {% macro a() %}",
            "W unsupported macros/m.sql:2:1 {% materialization q, default",
            "E jinja-block models/d.md:1:1 {% docs x %}",
            "W unsupported snapshots/s.sql:1:1 ",
            "E yaml-syntax models/broken.yml:3:4 -",
            "W unused-properties models/p.yml:2:11 ordesr",
            "W unused-properties models/p.yml:3:11 countries",
            "W unknown-key models/p.yml:5:5 descripton",
            "E unknown-test models/p.yml:9:13 unqiue",
            "E invalid-value models/p.yml:10:32 fatal",
            "E duplicate-name models/p.yml:11:13 unique",
            "E wrong-type models/p.yml:12:23 3",
            "E unknown-reference models/p.yml:13:33 ref('custmers')",
            "E invalid-value models/p.yml:15:13 values",
            "E unknown-test models/p.yml:16:13 utils.recency",
            "W unknown-config-key models/p.yml:17:33 wehre",
            "W unknown-key models/p.yml:18:9 nmae",
            "E missing-key models/p.yml:19:9 description",
            "E duplicate-name models/p.yml:20:11 orders",
            "E invalid-value models/p.yml:25:30 x.dat",
            "E unknown-key models/p.yml:25:37 delimeter",
            "E undefined-env-var models/p.yml:27:31 {{ env_var('NOPE') }}",
            "E invalid-value models/p.yml:27:70 ab",
            "E invalid-value models/p.yml:29:63 parquett",
            "E duplicate-name models/p.yml:30:15 t",
            "W unknown-key models/p.yml:32:1 exposure",
            "E yaml-duplicate-key models/twice.yml:2:1 version",
        ]
    );
    let advice = advice(&loaded);
    for help in [
        "did you mean `orders`?",
        "`countries` is a seed: move this below `seeds:`",
        "did you mean `unique`?",
        "did you mean `delimiter`?",
        "did you mean `parquet`?",
        "did you mean `where`?",
        "indent the keys of `accepted_values`",
        "did you mean `description`?",
    ] {
        assert!(advice.iter().any(|line| line.contains(help)), "{help}");
    }
}

#[test]
fn in_mappings() {
    let loaded = load_files(&[
        ("kinfold.yml", "name: x\n"),
        ("models/people.sql", "select 1"),
        (
            "connections/c.yml",
            "connections: [{name: crm, kind: http, url: x}]\n",
        ),
        (
            "syncs/s.yml",
            r#"syncs:
  - name: one
    from: ref('people')
    connection: crm
    object: o
    mode: upsert
    key: {id: id}
    nulls: leave
    mapping:
      '*': {excpet: [a], nulls: 3}
      a: {sql: a, fields: {b: b}}
      b: {}
      c: {fields: {}}
      d: {items: []}
      e: {fields: {f: {sql: f, nulls: omit}}}
      g: {sql: '', nul: omit}
      h: {items: [x, {fields: {y: [1]}}]}
    unit_tests:
      - {given: {a: 1}, expect: sent}
      - {name: t, given: {a: 1}, expect: {}}
      - {name: u, given: 3, expect: {key: 4, field: {}}}
      - {name: u, given: {}, expect: invalid_value}
  - {name: two, log_payload: some, from: ref('people'), connection: crm, object: o, mode: upsert, key: {id: id}, mapping: all}
  - {name: three, from: ref('people'), connection: crm, object: o, mode: upsert, key: {id: id}, mapping: {x: x}, log_payload: [x, z]}
"#,
        ),
    ]);
    assert_eq!(
        report(&loaded),
        [
            "E invalid-value syncs/s.yml:8:12 leave",
            "E unknown-key syncs/s.yml:10:13 excpet",
            "E wrong-type syncs/s.yml:10:33 3",
            "E invalid-sync syncs/s.yml:11:7 a",
            "E invalid-sync syncs/s.yml:12:7 b",
            "E invalid-value syncs/s.yml:13:19 {}",
            "E invalid-value syncs/s.yml:14:18 []",
            "E invalid-sync syncs/s.yml:15:23 {sql: f, nulls: omit}",
            "E invalid-value syncs/s.yml:16:16 ''",
            "E unknown-key syncs/s.yml:16:20 nul",
            "E invalid-value syncs/s.yml:17:31 {y: [1]}",
            "E wrong-type syncs/s.yml:17:35 [1]",
            "E missing-key syncs/s.yml:19:10 given",
            "E invalid-value syncs/s.yml:19:33 sent",
            "E missing-key syncs/s.yml:20:42 {}",
            "E wrong-type syncs/s.yml:21:26 3",
            "E wrong-type syncs/s.yml:21:43 4",
            "E unknown-key syncs/s.yml:21:46 field",
            "E duplicate-name syncs/s.yml:22:16 u",
            "E invalid-value syncs/s.yml:23:30 some",
            "E wrong-type syncs/s.yml:23:123 all",
            "E invalid-value syncs/s.yml:24:131 z",
        ]
    );
    let advice = advice(&loaded);
    for help in ["did you mean `except`?", "`sql` is an expression"] {
        assert!(advice.iter().any(|line| line.contains(help)), "{help}");
    }
}

#[test]
fn in_syncs() {
    let loaded = load_files(&[
        ("kinfold.yml", "name: x\npurposes: [email]\n"),
        ("models/people.sql", "select 1"),
        (
            "connections/c.yml",
            r#"connections:
  - {name: crm, kind: http, url: x, timeout_seconds: 0, header: {}}
  - {name: db, kind: postgrse, dsn: x}
  - {name: crm, kind: postgres}
  - {name: out, kind: files, location: x, format: xml}
  - {name: typed, type: http, url: x}
"#,
        ),
        (
            "syncs/s.yml",
            r#"syncs:
  - name: one
    from: ref('poeple')
    connection: crn
    object: o
    mode: mirorr
    key: {}
    purposes: [emial]
  - name: two
    from: people
    connection: out
    object: o
    mode: update
    key: {id: id}
    mapping: {id: id, x: [1]}
    on_leave: gone
    guards: {max_removal: 1, max_changes: 10 rows}
    batch_size: 0
  - name: three
    from: source('raw', 'x')
    connection: out
    object: o
    mode: update
    key: {id: id}
    on_leave: delete
    enabled: yes
  - name: three
    from: ref('people')
    connection: out
    object: o
    mode: mirror
    key: {id: id}
    purposes: [email]
    on_leave: clear
  - {name: four, from: ref('people'), connection: out, object: o, mode: mirror, key: {id: id}, purposes: [email], on_leave: clear}
  - {}
"#,
        ),
    ]);
    assert_eq!(
        report(&loaded),
        [
            "E invalid-value connections/c.yml:2:54 0",
            "E unknown-key connections/c.yml:2:57 header",
            "E invalid-value connections/c.yml:3:22 postgrse",
            "E missing-key connections/c.yml:4:6 name",
            "E duplicate-name connections/c.yml:4:12 crm",
            "E invalid-value connections/c.yml:5:51 xml",
            "E missing-key connections/c.yml:6:19 type",
            "E unknown-reference syncs/s.yml:3:11 ref('poeple')",
            "E unknown-connection syncs/s.yml:4:17 crn",
            "E invalid-value syncs/s.yml:6:11 mirorr",
            "E invalid-sync syncs/s.yml:7:5 key",
            "E unknown-purpose syncs/s.yml:8:16 emial",
            "E missing-purpose syncs/s.yml:9:11 two",
            "E invalid-value syncs/s.yml:10:11 people",
            "E invalid-sync syncs/s.yml:13:11 update",
            "E duplicate-field syncs/s.yml:15:15 id",
            "E wrong-type syncs/s.yml:15:26 [1]",
            "E invalid-value syncs/s.yml:16:15 gone",
            "E unknown-key syncs/s.yml:17:14 max_removal",
            "E invalid-value syncs/s.yml:17:43 10 rows",
            "E invalid-value syncs/s.yml:18:17 0",
            "E missing-purpose syncs/s.yml:19:11 three",
            "E unknown-reference syncs/s.yml:20:11 source('raw', 'x')",
            "E invalid-sync syncs/s.yml:23:11 update",
            "E invalid-sync syncs/s.yml:25:15 delete",
            "E wrong-type syncs/s.yml:26:14 yes",
            "E duplicate-name syncs/s.yml:27:11 three",
            "E invalid-sync syncs/s.yml:34:15 clear",
            "E invalid-sync syncs/s.yml:35:125 clear",
            "E missing-key syncs/s.yml:36:5 {}",
            "E missing-key syncs/s.yml:36:5 {}",
            "E missing-key syncs/s.yml:36:5 {}",
            "E missing-key syncs/s.yml:36:5 {}",
            "E missing-key syncs/s.yml:36:5 {}",
            "E missing-key syncs/s.yml:36:5 {}",
        ]
    );
    let advice = advice(&loaded);
    for help in [
        "did you mean `postgres`?",
        "did you mean `headers`?",
        "did you mean `people`?",
        "did you mean `crm`?",
        "did you mean `mirror`?",
        "did you mean `email`?",
        "write `ref('people')`",
        "did you mean `max_removals`?",
        "write `true`",
    ] {
        assert!(advice.iter().any(|line| line.contains(help)), "{help}");
    }
}

#[test]
fn modes_that_a_destination_cannot_carry_out() {
    let refused = |kind: &str, mode: &str| {
        let connection = format!(
            "connections: [{{name: c, kind: {kind}, {}: x}}]\n",
            match kind {
                "http" | "nats" => "url",
                "postgres" | "mysql" => "dsn",
                "smtp" => "from: x, dsn",
                _ => "location",
            }
        );
        let sync = format!(
            "syncs: [{{name: s, from: ref('m'), connection: c, object: o, mode: {mode}, key: {{k: k}}}}]\n"
        );
        let loaded = load_files(&[
            ("kinfold.yml", "name: x\n"),
            ("models/m.sql", "select 1"),
            ("connections/c.yml", &connection),
            ("syncs/s.yml", &sync),
        ]);
        loaded.has_errors()
    };
    let mut pairs = vec![];
    for kind in ["http", "postgres", "mysql", "smtp", "nats", "files"] {
        for mode in ["insert", "update", "upsert", "mirror", "append"] {
            if refused(kind, mode) {
                pairs.push((kind, mode));
            }
        }
    }
    assert_eq!(
        pairs,
        [
            ("postgres", "append"),
            ("smtp", "insert"),
            ("smtp", "update"),
            ("smtp", "upsert"),
            ("smtp", "mirror"),
            ("nats", "insert"),
            ("nats", "update"),
            ("files", "update"),
        ]
    );
}
