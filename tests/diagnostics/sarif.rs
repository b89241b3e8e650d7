//! `--output sarif`: what the standard demands, and that it says what the other forms say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Ran, copy, folder, kinfold, repository};

fn run(project: &Path, arguments: &[&str], form: &str) -> Ran {
    kinfold(project, arguments.iter().chain(&["--output", form]))
        .env("LISTENER", "http://127.0.0.1:9")
        .run()
}

fn log(project: &Path, arguments: &[&str]) -> (i32, Value) {
    let ran = run(project, arguments, "sarif");
    (ran.code.unwrap(), ran.json())
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// What SARIF 2.1.0 demands of the parts that are used: required properties, no others, values that are allowed.
fn is_sound(log: &Value) {
    assert_eq!(keys(log), ["$schema", "runs", "version"].into());
    assert_eq!(log["version"], "2.1.0");
    let [run] = log["runs"].as_array().unwrap().as_slice() else {
        panic!("one run: {log:#}");
    };
    assert_eq!(
        keys(run),
        ["columnKind", "originalUriBaseIds", "results", "tool"].into()
    );
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let driver = &run["tool"]["driver"];
    assert_eq!(keys(driver), ["name", "rules", "semanticVersion"].into());
    let rules = driver["rules"].as_array().unwrap();
    let mut used = BTreeSet::new();
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(rule[text]["text"].as_str().unwrap().len() > 10, "{rule:#}");
        }
        let title = format!(
            "# {} {}",
            rule["id"].as_str().unwrap(),
            rule["name"].as_str().unwrap()
        );
        assert!(
            rule["help"]["markdown"]
                .as_str()
                .unwrap()
                .starts_with(&title)
        );
        assert!(
            ["error", "warning"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap())
        );
    }
    let mut prints = BTreeSet::new();
    for result in run["results"].as_array().unwrap() {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        used.insert(rule);
        assert_eq!(rules[rule]["id"], result["ruleId"]);
        assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert!(
            prints.insert(
                result["partialFingerprints"]["kinfold/v1"]
                    .as_str()
                    .unwrap()
            )
        );
        let of = |key: &str| result[key].as_array().unwrap().clone();
        for location in of("locations").iter().chain(&of("relatedLocations")) {
            let place = &location["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(
                !uri.starts_with('/') && !uri.contains([' ', '<', '\\']),
                "{uri}"
            );
            let base = place["artifactLocation"]["uriBaseId"].as_str().unwrap();
            assert!(run["originalUriBaseIds"].get(base).is_some(), "{base}");
            let number = |key: &str| place["region"][key].as_u64().unwrap();
            let start = (number("startLine"), number("startColumn"));
            let end = (number("endLine"), number("endColumn"));
            assert!(start.0 >= 1 && start.1 >= 1 && start <= end, "{place:#}");
        }
    }
    assert_eq!(used.len(), rules.len(), "only rules that occurred");
}

pub fn a_log_says_what_the_text_says() {
    let project = folder();
    copy(
        &repository().join("tests/check/fifteen_mistakes"),
        project.path(),
    );
    fs::create_dir(project.path().join(".git")).unwrap();
    let (code, log) = log(project.path(), &["check"]);
    assert_eq!(code, 1);
    is_sound(&log);
    let answer = run(project.path(), &["check"], "json").json();
    let diagnostics = answer["diagnostics"].as_array().unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), diagnostics.len());
    for (result, one) in results.iter().zip(diagnostics) {
        assert_eq!(result["ruleId"], one["code"]);
        assert_eq!(result["level"], one["severity"]);
        let text = result["message"]["text"].as_str().unwrap();
        assert!(text.starts_with(one["message"].as_str().unwrap()));
        for help in one["help"].as_array().unwrap() {
            assert!(text.contains(help.as_str().unwrap()));
        }
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], one["file"]);
        assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
        assert_eq!(place["region"]["startLine"], one["line"]);
        assert_eq!(place["region"]["startColumn"], one["column"]);
        let related = result["relatedLocations"].as_array().unwrap();
        assert_eq!(related.len(), one["related"].as_array().unwrap().len());
    }

    // Paths are from the root of the repository, wherever the project is in it.
    let repository_of_the_user = folder();
    fs::create_dir(repository_of_the_user.path().join(".git")).unwrap();
    let project = repository_of_the_user.path().join("data team");
    copy(
        &repository().join("tests/check/macro_in_included_file"),
        &project,
    );
    let (_, log) = self::log(&project, &["check"]);
    is_sound(&log);
    let first = &log["runs"][0]["results"][0];
    let place = &first["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"]["uri"],
        "data%20team/macros/parts/spelling.sql"
    );
    assert_eq!(first["relatedLocations"].as_array().unwrap().len(), 3);

    let (code, log) = self::log(&project, &["destination", "check", "stripe", "slack"]);
    is_sound(&log);
    assert_eq!(code, 0);
    // A project that does not load has a log too.
    let empty = folder();
    let (code, log) = self::log(empty.path(), &["check"]);
    is_sound(&log);
    assert_eq!(code, 2);
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "KF0101");
}

pub fn only_commands_that_check_give_it() {
    for arguments in [&["build"][..], &["explain"], &["query", "SELECT 1"]] {
        let ran = kinfold(
            &repository(),
            arguments.iter().chain(&["--output", "sarif"]),
        )
        .run()
        .code(2)
        .says("`kinfold check` and `kinfold destination check` take `--output sarif`");
        assert_eq!(ran.stdout, "");
    }
}

pub fn fingerprints_do_not_move_with_lines() {
    let prints = |log: &Value| {
        let results = log["runs"][0]["results"].as_array().unwrap();
        let of = |result: &Value| {
            result["partialFingerprints"]["kinfold/v1"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        results.iter().map(of).collect::<Vec<_>>()
    };
    let project = folder();
    let model = project.path().join("models/orders.sql");
    fs::create_dir(project.path().join("models")).unwrap();
    fs::write(project.path().join("kinfold.yml"), "name: shop\n").unwrap();
    let text =
        "SELECT nmae FROM (SELECT 1 AS name)\nUNION ALL\nSELECT nmae FROM (SELECT 1 AS name)\n";
    fs::write(&model, text).unwrap();
    let (_, one) = log(project.path(), &["check"]);
    fs::write(&model, format!("-- a line more\n\n{text}")).unwrap();
    let (_, moved) = log(project.path(), &["check"]);
    let region = |log: &Value| {
        log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"].clone()
    };
    assert_ne!(region(&one), region(&moved));
    assert_eq!(prints(&one), prints(&moved));
    fs::write(&model, text.replace("nmae", "naem")).unwrap();
    let (_, other) = log(project.path(), &["check"]);
    assert_ne!(prints(&one), prints(&other));
}
