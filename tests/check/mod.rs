//! `kinfold check` on projects with mistakes.
//!
//! A case is a folder: a project, and `expected.txt` with a line for every problem: its place, severity, code,
//! the text that is marked, the message, and indented below it the related places. A new case is a folder
//! without `expected.txt`, run once with `KINFOLD_UPDATE=1`, and read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::program::{Kinfold, Ran, copy, folder, kinfold, program, repository};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut cases: Vec<PathBuf> = fs::read_dir(repository().join("tests/check"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    let cases = cases.into_iter().map(|case| {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        Trial::test(format!("check::{name}"), move || {
            run_case(&case);
            Ok(())
        })
    });
    let mut trials = trials!("check":
        fifteen_mistakes_are_fifteen_errors,
        the_filter_sees_sockets,
    );
    trials.extend(cases);
    trials
}

/// Where storage and destinations of the cases are said to be: nobody may connect there.
struct Tripwire(TcpListener);

impl Tripwire {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    fn touched(&self) -> bool {
        self.0.accept().is_ok()
    }
}

/// Runs the program so that it dies when it opens a socket.
fn without_sockets(project: &Path, tripwire: &Tripwire, arguments: &[&str]) -> Ran {
    let mut command = Command::new("python3");
    command
        .arg(repository().join("tests/check/no_socket.py"))
        .arg(program());
    Kinfold::through(command, project, arguments)
        .env("LISTENER", &tripwire.url())
        .run()
}

fn run_case(case: &Path) {
    let project = folder();
    copy(case, project.path());
    let tripwire = Tripwire::new();
    let ran = without_sockets(project.path(), &tripwire, &["check", "--output", "json"]);
    let answer = ran.json();
    let found = describe(&answer["diagnostics"], case);
    let errors = found.lines().any(|line| line.contains(" error "));
    assert_eq!(answer["success"], Value::Bool(!errors), "{ran:#?}");
    assert_eq!(ran.code, Some(i32::from(errors)), "{ran:#?}");
    assert!(!tripwire.touched(), "somebody was connected to");

    let expected = case.join("expected.txt");
    if std::env::var_os("KINFOLD_UPDATE").is_some() {
        fs::write(&expected, &found).unwrap();
    }
    let wanted = fs::read_to_string(&expected)
        .expect("a case has `expected.txt`; KINFOLD_UPDATE=1 writes it");
    assert!(
        found == wanted,
        "what was found is not what {} says\n--- expected\n{wanted}\n--- found\n{found}",
        expected.display()
    );

    // Text for people names the same places.
    let text = without_sockets(project.path(), &tripwire, &["check", "--quiet"]);
    assert_eq!(text.code, ran.code);
    assert_eq!(text.stdout, "");
    for line in found.lines().filter(|line| !line.starts_with(' ')) {
        let place = line.split(' ').next().unwrap();
        assert!(
            text.stderr.contains(&format!(" {place}\n")),
            "{place}: {text:#?}"
        );
    }
}

/// Every problem as lines.
fn describe(diagnostics: &Value, case: &Path) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all = String::new();
    for one in diagnostics.as_array().expect("a list of diagnostics") {
        let _ = writeln!(
            all,
            "{} {} {} {}: {} — {}",
            place(one),
            text(&one["severity"]),
            text(&one["code"]),
            text(&one["name"]),
            marked(one, case),
            text(&one["message"]),
        );
        for related in one["related"].as_array().into_iter().flatten() {
            let _ = writeln!(all, "    {} {}", place(related), text(&related["text"]));
        }
    }
    all
}

fn place(one: &Value) -> String {
    format!(
        "{}:{}:{}",
        one["file"].as_str().unwrap_or("nowhere"),
        one["line"],
        one["column"]
    )
}

/// The marked text in the file; of several lines the first one.
fn marked(one: &Value, case: &Path) -> String {
    let number = |key: &str| usize::try_from(one[key].as_u64().unwrap()).unwrap();
    let Some(file) = one["file"].as_str() else {
        return String::new();
    };
    let text = fs::read_to_string(case.join(file)).unwrap_or_default();
    let line = text.lines().nth(number("line") - 1).unwrap_or_default();
    let from = number("column") - 1;
    let (to, more) = if number("end_line") == number("line") {
        (number("end_column") - 1, "")
    } else {
        (line.chars().count(), "…")
    };
    let marked: String = line.chars().take(to).skip(from).collect();
    format!("`{marked}`{more}")
}

/// The number that the case is named after; that each is where it was planted is the case itself.
fn fifteen_mistakes_are_fifteen_errors() {
    let case = repository().join("tests/check/fifteen_mistakes");
    let project = folder();
    copy(&case, project.path());
    let ran = kinfold(project.path(), ["check", "--output", "json"])
        .env("LISTENER", "http://127.0.0.1:9")
        .run()
        .code(1);
    let answer = ran.json();
    let diagnostics = answer["diagnostics"].as_array().unwrap();
    let of = |severity: &str| {
        let chosen = diagnostics.iter().filter(|one| one["severity"] == severity);
        chosen
            .map(|one| one["code"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    let errors = of("error");
    assert_eq!(errors.len(), 15, "{errors:?}");
    // An unknown column occurs twice: in a model and in a sync.
    let kinds: BTreeSet<_> = errors.iter().collect();
    assert_eq!(kinds.len(), 14, "{errors:?}");
    // In files that dbt also reads, a key that nobody knows is a warning.
    assert_eq!(of("warning"), ["KF0108"]);
}

/// A program that does open a socket is stopped, so that silence means something.
fn the_filter_sees_sockets() {
    let project = folder();
    copy(
        &repository().join("tests/check/macro_in_included_file"),
        project.path(),
    );
    let lake = "environments:\n  dev: {lake: \"s3://nowhere/lake\", storage: {endpoint: \"{{ env_var('LISTENER') }}\", region: none, access_key_id: a, secret_access_key: b, allow_http: true}}\n";
    fs::write(
        project.path().join("kinfold.yml"),
        format!("name: included\n{lake}"),
    )
    .unwrap();
    let tripwire = Tripwire::new();
    let ran = without_sockets(project.path(), &tripwire, &["query", "SELECT 1"]);
    assert_eq!(ran.code, None, "{ran:#?}");
}
