//! A wrong project for every code of a diagnostic, what is said of it, and how it is mended.
//!
//! A case is a folder named after the code:
//! - the files of the project;
//! - `expected.txt`: what people are told on standard error. `KINFOLD_UPDATE=1` writes it; read it then;
//! - `mended/`: files that are laid over the project, which then has no problem. `mended/gone.txt` names files that
//!   are no longer there, `mended/setup.sh` is run then;
//! - `command.txt`, where `kinfold check` is not the command that finds it: arguments, one command a line, of which
//!   the last one finds it;
//! - `setup.sh`, run in the copied project: makes what Git cannot keep.
//!
//! The page of the code in `docs/diagnostics` shows the same files: the part between two marks is made of the folder.

mod page;
mod sarif;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kinfold_project::Code;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::program::{Ran, copy, folder, kinfold, repository};
use crate::trials;

/// Files of a case that are not the project's.
const NOT_OF_THE_PROJECT: [&str; 4] = ["command.txt", "expected.txt", "mended", "setup.sh"];

pub fn trials() -> Vec<Trial> {
    let mut trials = trials!("diagnostics":
        every_code_has_a_case_and_a_page,
        the_table_of_pages_is_current,
        codes_are_explained,
        sarif::a_log_says_what_the_text_says,
        sarif::only_commands_that_check_give_it,
        sarif::fingerprints_do_not_move_with_lines,
    );
    for case in names(&cases(), "") {
        trials.push(Trial::test(format!("diagnostics::{case}"), move || {
            run_case(&case);
            Ok(())
        }));
    }
    trials
}

fn cases() -> PathBuf {
    repository().join("tests/diagnostics")
}

fn pages() -> PathBuf {
    repository().join("docs/diagnostics")
}

fn updates() -> bool {
    std::env::var_os("KINFOLD_UPDATE").is_some()
}

/// Names in a folder that begin with `KF`, without an ending.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("KF"))
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect();
    names.sort();
    names
}

fn run_case(code: &str) {
    let case = cases().join(code);
    let commands = commands(&case);
    let project = folder();
    lay(&case, project.path());
    let ran = run(project.path(), &commands);
    let found = shown(&ran, project.path());

    let expected = case.join("expected.txt");
    if updates() {
        fs::write(&expected, &found).unwrap();
    }
    let wanted = fs::read_to_string(&expected)
        .expect("a case has `expected.txt`; KINFOLD_UPDATE=1 writes it");
    assert!(
        found == wanted,
        "what was found is not what {} says\n--- expected\n{wanted}\n--- found\n{found}",
        expected.display()
    );
    assert_eq!(codes_in(&found), [code].into(), "{found}");
    let fails = found.contains("error[");
    assert_eq!(ran.code != Some(0), fails, "{ran:#?}");

    mend(&case.join("mended"), project.path());
    let ran = run(project.path(), &commands).ok();
    assert_eq!(codes_in(&ran.stderr), BTreeSet::new(), "{ran:#?}");

    page::is_current(code, &case, &pages().join(format!("{code}.md")));
}

/// The commands of a case: the arguments of each.
fn commands(case: &Path) -> Vec<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    match fs::read_to_string(case.join("command.txt")) {
        Ok(text) => text.lines().map(words).collect(),
        Err(_) => vec![words("check")],
    }
}

/// Runs the commands of a case; all but the last have to succeed.
fn run(project: &Path, commands: &[Vec<String>]) -> Ran {
    let (last, before) = commands.split_last().expect("a case has a command");
    for arguments in before {
        kinfold(project, arguments).run().ok();
    }
    kinfold(project, last).run()
}

/// What was said, without what differs from machine to machine.
fn shown(ran: &Ran, project: &Path) -> String {
    let real = project.canonicalize().unwrap();
    ran.stderr
        .replace(&*real.to_string_lossy(), "…")
        .replace(&*project.to_string_lossy(), "…")
}

/// Codes in square brackets, as diagnostics have them.
fn codes_in(text: &str) -> BTreeSet<&str> {
    let after = text.split("[KF").skip(1);
    let at = |rest: &str| rest.as_ptr().addr() - text.as_ptr().addr();
    after
        .filter_map(|rest| text.get(at(rest) - 2..at(rest) + 4))
        .collect()
}

/// Copies the project of a case and makes the rest of it.
fn lay(case: &Path, project: &Path) {
    for entry in fs::read_dir(case).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if NOT_OF_THE_PROJECT.contains(&name.as_str()) {
            continue;
        }
        let target = project.join(name);
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
    set_up(case, project);
}

fn mend(mended: &Path, project: &Path) {
    copy(mended, project);
    for name in page::gone(mended) {
        fs::remove_file(project.join(name)).unwrap();
    }
    set_up(mended, project);
}

fn set_up(folder: &Path, project: &Path) {
    let script = folder.join("setup.sh");
    if script.is_file() {
        let status = Command::new("sh")
            .arg(script)
            .current_dir(project)
            .status()
            .unwrap();
        assert!(status.success(), "{}", folder.display());
    }
}

/// The list that the program itself gives: code and name.
fn explained() -> Vec<Value> {
    let ran = kinfold(&repository(), ["explain", "--output", "json"]);
    let answer = ran.run().ok().json();
    answer["codes"].as_array().unwrap().clone()
}

fn every_code_has_a_case_and_a_page() {
    let listed = explained();
    let ids: Vec<&str> = listed
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    let tables: [&[Code]; 4] = [
        kinfold_project::codes::ALL,
        kinfold_compile::render::codes::ALL,
        kinfold_compile::codes::ALL,
        kinfold_destination::codes::ALL,
    ];
    for code in tables.into_iter().flatten() {
        assert!(
            ids.contains(&code.id),
            "`kinfold explain` leaves out {code:?}"
        );
    }
    // Also codes of tables that this test does not know: wherever the sources name one.
    for id in codes_of_the_sources() {
        assert!(
            ids.contains(&id.as_str()),
            "`kinfold explain` leaves out {id}"
        );
    }
    assert_eq!(names(&cases(), ""), ids, "a folder for each code");
    assert_eq!(names(&pages(), ".md"), ids, "a page for each code");
}

/// Codes that are declared anywhere, by the form of a declaration: the id as a string, then the name.
fn codes_of_the_sources() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().map(str::trim);
                let declared = lines.filter_map(|line| match line.strip_prefix("id: \"KF") {
                    Some(rest) => rest.strip_suffix("\","),
                    None => line
                        .split_once(" = \"KF")?
                        .1
                        .split_once("\" \"")
                        .map(|at| at.0),
                });
                found.extend(declared.map(|digits| format!("KF{digits}")));
            }
        }
    }
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(repository().join("crates")).unwrap() {
        walk(&entry.unwrap().path().join("src"), &mut found);
    }
    assert!(found.len() > 90, "{found:?}");
    found
}

fn the_table_of_pages_is_current() {
    let file = pages().join("README.md");
    let table = page::table(&explained());
    if updates() {
        fs::write(&file, &table).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), table);
}

fn codes_are_explained() {
    let explain = |word: &str| kinfold(&repository(), ["explain", word]).run();
    let page = fs::read_to_string(pages().join("KF0402.md")).unwrap();
    let told = explain("KF0402").ok();
    assert_eq!(told.stderr, "");
    assert!(told.stdout.starts_with("# KF0402 unknown-column\n"));
    assert!(!told.stdout.contains("<!--") && !told.stdout.contains("]("));
    // What is said is what the page says, its marks and links apart.
    let last = page.lines().rfind(|line| !line.is_empty()).unwrap();
    assert!(told.stdout.contains(last.split('[').next().unwrap()));
    for word in ["kf0402", "402", "unknown-column", "Unknown_Column"] {
        assert_eq!(explain(word).ok().stdout, told.stdout, "{word}");
    }
    let json = kinfold(
        &repository(),
        ["explain", "unknown-column", "--output", "json"],
    );
    let answer = json.run().ok().json();
    assert_eq!(answer["code"], "KF0402");
    assert_eq!(answer["markdown"].as_str().unwrap(), page);

    explain("unknown-colum")
        .code(2)
        .says("there is no code of a diagnostic `unknown-colum`")
        .says("did you mean `unknown-column`?");
    explain("KF9")
        .code(2)
        .says("`kinfold explain` lists all codes");

    let listed = kinfold(&repository(), ["explain"]).run().ok().stdout;
    for one in explained() {
        let id = one["code"].as_str().unwrap();
        assert!(listed.contains(&format!("  {id}  ")), "{id}");
    }
    let script = kinfold(&repository(), ["completions", "bash"]).run().ok();
    assert!(script.stdout.contains("unknown-column"));
}
