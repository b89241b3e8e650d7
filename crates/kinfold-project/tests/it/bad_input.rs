//! Files that are broken in ways of the disk, and files that are broken at random.

use std::path::Path;

use proptest::prelude::*;

use crate::support::{With, folder, load_files, load_folder, report, write};

#[test]
fn no_project_file() {
    let loaded = load_files(&[("models/a.sql", "select 1")]);
    assert!(loaded.project.is_none());
    let [only] = loaded.diagnostics.as_slice() else {
        panic!("one problem");
    };
    assert_eq!(only.code.name, "no-project-file");
    assert!(only.help.iter().any(|help| help.contains("kinfold init")));

    let gone = load_folder(Path::new("/nowhere/at/all"), &With::default());
    assert!(gone.project.is_none() && gone.has_errors());
}

#[test]
fn an_empty_project_is_only_a_warning() {
    let loaded = load_files(&[("kinfold.yml", "name: x\n")]);
    assert!(!loaded.has_errors());
    assert_eq!(report(&loaded), ["W empty-project kinfold.yml:1:1 "]);
}

#[test]
fn a_file_that_is_not_utf8() {
    let root = folder(&[("kinfold.yml", "name: x\n"), ("models/ok.sql", "select 1")]);
    write(root.path(), "models/bad.sql", b"select 'caf\xe9'");
    let loaded = load_folder(root.path(), &With::default());
    assert_eq!(
        report(&loaded),
        ["E file-not-utf8 models/bad.sql:1:12 \u{fffd}"]
    );
    assert_eq!(loaded.project.map(|p| p.models.len()), Some(1));
}

#[cfg(unix)]
#[test]
fn links_that_loop_or_lead_nowhere() {
    let root = folder(&[
        ("kinfold.yml", "name: x\n"),
        ("models/a/ok.sql", "select 1"),
    ]);
    let link = |to: &str, at: &str| {
        std::os::unix::fs::symlink(to, root.path().join(at)).expect("a link");
    };
    link("..", "models/a/up");
    link("gone.sql", "models/broken.sql");
    link("../models/a/ok.sql", "models/fine.sql");
    let loaded = load_folder(root.path(), &With::default());
    let codes: Vec<_> = loaded.diagnostics.iter().map(|d| d.code.name).collect();
    assert_eq!(codes, ["symlink-loop", "file-not-readable"]);
    assert_eq!(loaded.project.map(|p| p.models.len()), Some(2));
}

#[test]
fn a_folder_where_a_file_should_be() {
    let loaded = load_files(&[
        ("kinfold.yml", "name: x\n"),
        ("models/a.sql/b.sql", "select 1"),
    ]);
    assert_eq!(report(&loaded), Vec::<String>::new());
    assert_eq!(loaded.project.map(|p| p.models.len()), Some(1));
}

const FILES: &[(&str, &str)] = &[
    (
        "kinfold.yml",
        "name: x\nenvironments:\n  dev: {lake: \"{{ env_var('A', 'b') }}\", storage: {k: v}}\npurposes: [p]\nmodels:\n  x:\n    +tags: [t]\nvars: {v: 1}\n",
    ),
    (
        "models/p.yml",
        "models:\n  - name: m\n    config: {materialized: table}\n    columns:\n      - name: c\n        tests:\n          - unique\n          - accepted_values: {arguments: {values: [a, 1.5]}, config: {severity: warn}}\nsources:\n  - name: s\n    tables:\n      - {name: t, external: {location: \"d/*.csv\", delimiter: ','}}\n",
    ),
    ("models/m.sql", "select 1"),
    ("models/d.md", "{% docs a %}text{% enddocs %}"),
    (
        "macros/m.sql",
        "{% macro a(b) -%} {{ b ~ '%}' }} {% raw %}{%{% endraw %} {%- endmacro %}\n{% test t(model) %}x{% endtest %}",
    ),
    (
        "connections/c.yml",
        "connections:\n  - {name: c, kind: http, url: u, headers: {a: b}}\n",
    ),
    (
        "syncs/s.yml",
        "syncs:\n  - name: y\n    from: ref('m')\n    connection: c\n    object: o\n    mode: mirror\n    key: {k: c}\n    mapping: {f: c}\n    purposes: [p]\n    guards: {max_removals: 5%}\n",
    ),
];

fn check_places(loaded: &kinfold_project::Loaded) {
    for problem in &loaded.diagnostics {
        for label in problem.primary.iter().chain(&problem.related) {
            let file = loaded.files.get(label.span.file).expect("a file");
            assert!(file.text.get(label.span.range()).is_some(), "{problem:?}");
        }
    }
}

#[test]
fn the_files_that_are_broken_below_are_good() {
    assert_eq!(report(&load_files(FILES)), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any damage to any file gives diagnostics with places in the files, or none, never a panic.
    #[test]
    fn damaged_files(
        which in 0..FILES.len(),
        at in 0..400usize,
        removed in 0..12usize,
        added in prop::sample::select(vec![
            "", "\n", "  ", ": ", "- ", "{", "}", "[", "]", "'", "\"", "{{ ", "{% ", "%}", "&a ", "*a",
            "é", "null", "~", "1", "\t", "#", "|", "x: ", "🦀",
        ]),
    ) {
        let mut files: Vec<(&str, String)> =
            FILES.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
        if let Some((_, text)) = files.get_mut(which) {
            let at = at % (text.len() + 1);
            let end = (at + removed).min(text.len());
            text.replace_range(at..end, added);
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
        check_places(&load_files(&files));
    }
}
