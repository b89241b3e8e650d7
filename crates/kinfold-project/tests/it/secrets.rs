//! Credentials of connections: where they come from, and that excerpts do not show them.

use kinfold_project::template::Scope;
use kinfold_project::{Loaded, SecretSource};

use crate::support::{With, folder, load_files, load_folder, report};

const PROJECT: (&str, &str) = ("kinfold.yml", "name: shop\n");
const MODEL: (&str, &str) = ("models/people.sql", "select 1 as id\n");

fn load_connections(text: &str) -> Loaded {
    load_files(&[PROJECT, MODEL, ("connections/c.yml", text)])
}

#[test]
fn a_secret_comes_from_a_file_or_a_command_and_checking_opens_neither() {
    let text = r#"connections:
  - name: crm
    kind: nats
    url: nats://localhost
    user: {command: [no-such-program, "{{ env_var('WHO') }}", 7]}
    token: {file: "{{ env_var('KEYS') }}/no/such/file"}
  - name: web
    kind: http
    url: https://example.com
    headers:
      authorization: {file: keys/header}
      x-more: plain
"#;
    let files = [PROJECT, MODEL, ("connections/c.yml", text)];
    let root = folder(&files);
    let environment = [("WHO", "ada"), ("KEYS", "/run/keys")];
    let with = With {
        environment: &environment,
        ..With::default()
    };
    let loaded = load_folder(root.path(), &with);
    assert_eq!(report(&loaded), Vec::<String>::new());
    let project = loaded.project.expect("a project");
    let scope = Scope {
        environment_variable: &|name| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        },
        vars: &[],
    };
    let sources: Vec<Vec<(String, Vec<String>)>> = project
        .connections
        .iter()
        .map(|connection| {
            let sources = connection.secret_sources(&scope).expect("sources");
            let described = sources.into_iter().map(|(span, source)| {
                let words = match source {
                    SecretSource::File(path) => vec![path.value],
                    SecretSource::Command { program, arguments } => std::iter::once(program)
                        .chain(arguments)
                        .map(|word| word.value)
                        .collect(),
                };
                (project.files.text(span).to_owned(), words)
            });
            described.collect()
        })
        .collect();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    assert_eq!(
        sources,
        [
            vec![
                (
                    r#"{command: [no-such-program, "{{ env_var('WHO') }}", 7]}"#.to_owned(),
                    words(&["no-such-program", "ada", "7"])
                ),
                (
                    r#"{file: "{{ env_var('KEYS') }}/no/such/file"}"#.to_owned(),
                    words(&["/run/keys/no/such/file"])
                ),
            ],
            vec![("{file: keys/header}".to_owned(), words(&["keys/header"]))],
        ]
    );
    let nothing = Scope {
        environment_variable: &|_| None,
        vars: &[],
    };
    let problem = project.connections[0].secret_sources(&nothing);
    assert_eq!(
        problem.expect_err("not set").message,
        "the environment variable `WHO` is not set"
    );
}

#[test]
fn mistakes_in_a_source_have_their_places() {
    let text = r#"connections:
  - {name: a, kind: nats, url: x, token: {}}
  - {name: b, kind: nats, url: x, token: {file: a, command: [b]}}
  - {name: c, kind: nats, url: x, token: {fill: a}}
  - {name: d, kind: nats, url: x, token: {file: ""}}
  - {name: e, kind: nats, url: x, token: {command: cat token}}
  - {name: f, kind: nats, url: x, token: {command: []}}
  - {name: g, kind: nats, url: x, token: {command: [cat, {a: b}]}}
  - {name: h, kind: nats, url: x, token: {command: [""]}}
  - {name: i, kind: nats, url: x, token: {file: [a]}}
  - {name: j, kind: nats, url: x, ca_file: {file: a}}
  - {name: k, kind: http, url: x, batch_size: {file: a}}
  - {name: l, kind: http, url: x, headers: {x-key: {path: a}}}
"#;
    assert_eq!(
        report(&load_connections(text)),
        [
            "E invalid-value connections/c.yml:2:42 {}",
            "E invalid-value connections/c.yml:3:42 {file: a, command: [b]}",
            "E unknown-key connections/c.yml:4:43 fill",
            "E invalid-value connections/c.yml:5:49 \"\"",
            "E wrong-type connections/c.yml:6:52 cat token",
            "E invalid-value connections/c.yml:7:52 []",
            "E wrong-type connections/c.yml:8:58 {a: b}",
            "E invalid-value connections/c.yml:9:53 \"\"",
            "E wrong-type connections/c.yml:10:49 [a]",
            "E wrong-type connections/c.yml:11:44 {file: a}",
            "E invalid-value connections/c.yml:12:47 {file: a}",
            "E unknown-key connections/c.yml:13:53 path",
        ]
    );
}

/// The file as an excerpt of all of it shows it.
fn shown(loaded: &Loaded, path: &str) -> String {
    let mut files = loaded.files.files().iter();
    let file = files.find(|file| file.path.ends_with(path)).expect("read");
    file.shown(0..file.text.len()).into_owned()
}

#[test]
fn excerpts_show_keys_and_where_secrets_come_from() {
    let text = r#"# old: s3cret
connections:
  - name: crm   # s3cret
    kind: nats
    url: "nats://u:s3cret@host"
    pasword: s3cret
    user: é-s3cret
    token: "Bearer {{ env_var('TOKEN') }}"
    batch_size: 0
    headers: {a: [s3cret, {b: s3cret}], "c": 's3cret'}
    key: {file: path}
    other: {command: [vault, "{{ env_var('A', 'path') }}"]}
    pem: |
      s3cret
      s3cret
    twice: s3cret
    twice: s3cret
  - {name: b, kind: nosuchkind, dsn: s3cret}
"#;
    let loaded = load_connections(text);
    let wanted = r#"*************
connections:
  - name: crm   ********
    kind: nats
    url: **********************
    pasword: ******
    user: *********
    token: ********{{ env_var('TOKEN') }}*
    batch_size: 0
    headers: {a: [******, {b: ******}], "c": ********}
    key: {file: path}
    other: {command: [vault, "{{ env_var('A', 'path') }}"]}
    pem: |
      ******
************
    twice: ******
    twice: ******
  - {name: b, kind: nosuchkind, dsn: ******}
"#;
    let got = shown(&loaded, "connections/c.yml");
    assert_eq!(got.len(), text.len());
    assert_eq!(got, wanted);
    for problem in &loaded.diagnostics {
        assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
    }
}

#[test]
fn excerpts_of_a_file_that_is_not_yaml_show_keys_at_most() {
    for broken in [
        "connections:\n  - name: a\n    token: \"s3cret\n    dsn: s3cret\n",
        "connections:\n  - name: a\n    token: s3cret: s3cret\n    dsn: s3cret\n",
        "connections:\n  - name: a\n    token: @s3cret\n    dsn: s3cret\n",
        "connections:\n  - name: a\n\ttoken: s3cret\n    dsn: [s3cret\n",
        "connections:\n  - name: a\n    token: !!int s3cret\n",
        "connections:\n  - name: a\n    token: !s3 s3cret\n",
        "connections: [{name: a, token: s3cret, dsn: {{ x }}\n",
        "s3cret",
        "- s3cret\n",
        "connections: {token: s3cret}\n",
        "connections: []\n---\ntoken: s3cret\n",
        "connections: &a [s3cret, *a]\ntoken: s3cret\n",
    ] {
        let loaded = load_connections(broken);
        assert!(loaded.has_errors() || broken == "s3cret", "{broken}");
        let got = shown(&loaded, "connections/c.yml");
        assert!(!got.contains("s3cret"), "{broken}{got}");
        for problem in &loaded.diagnostics {
            assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
        }
    }
}

#[test]
fn storage_of_environments_is_not_shown_and_models_are() {
    let loaded = load_files(&[
        (
            "kinfold.yml",
            "name: shop\nenvironments:\n  prod: {lake: \"s3://b/p\", storage: {secret_access_key: s3cret, region: \"{{ env_var('R') }}\"}}\n",
        ),
        MODEL,
    ]);
    assert_eq!(
        shown(&loaded, "kinfold.yml"),
        "name: shop\nenvironments:\n  prod: {lake: \"s3://b/p\", storage: {secret_access_key: ******, region: *{{ env_var('R') }}*}}\n"
    );
    assert_eq!(shown(&loaded, "models/people.sql"), MODEL.1);
}

#[test]
fn a_connection_is_not_printed_with_its_options() {
    let text = "connections:\n  - {name: a, kind: nats, url: s3cret, token: s3cret}\n";
    let project = load_connections(text).project.expect("a project");
    let printed = format!("{:?}", project.connections);
    assert!(
        printed.contains("token") && !printed.contains("s3cret"),
        "{printed}"
    );
}
