//! The projects of `examples/linkage`: trained anew, built, and judged by their labels.
//!
//! Most of the labelled data is not part of this repository: `examples/linkage/fetch.py` gets it, and `.ci/setup` has
//! it write among the tools of the tests. `KINFOLD_LINKAGE_DATA` may name another folder. Without the data of an
//! example, that must be all that is wrong with it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use libtest_mimic::Trial;

use crate::program::{Kinfold, copy, folder, kinfold, repository};
use crate::tables::tools;

/// An example, the file of its data below the folder of data, and the F1 that a relation of it must have.
struct Example {
    name: &'static str,
    /// None if it has its data itself.
    file: Option<&'static str>,
    judged: &'static str,
    f1: f64,
}

const EXAMPLES: [Example; 7] = [
    Example {
        name: "fake_1000",
        file: None,
        judged: "quality",
        f1: 0.93,
    },
    Example {
        name: "contacts",
        file: None,
        judged: "quality",
        f1: 0.957,
    },
    Example {
        name: "febrl2",
        file: Some("febrl/dataset2.csv"),
        judged: "quality",
        f1: 0.998,
    },
    Example {
        name: "febrl3",
        file: Some("febrl/dataset3.csv"),
        judged: "quality",
        f1: 0.998,
    },
    Example {
        name: "febrl4",
        file: Some("febrl/dataset4a.csv"),
        judged: "quality",
        f1: 0.9996,
    },
    Example {
        name: "historical_50k",
        file: Some("historical_50k/historical_figures_with_errors_50k.parquet"),
        judged: "quality",
        f1: 0.86,
    },
    Example {
        name: "rldata10000",
        file: Some("rldata/RLdata10000.csv"),
        judged: "pair_quality",
        f1: 0.97,
    },
];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![Trial::test("examples::all_are_known", || {
        let folders = fs::read_dir(examples())
            .unwrap()
            .map(|entry| entry.unwrap());
        let names = folders.filter(|entry| entry.path().join("kinfold.yml").is_file());
        let found: BTreeSet<String> = names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        let known = EXAMPLES.iter().map(|example| example.name.to_owned());
        assert_eq!(found, known.collect());
        for example in &EXAMPLES {
            assert!(examples().join(example.name).join("README.md").is_file());
        }
        Ok(())
    })];
    trials.extend(EXAMPLES.iter().map(|example| {
        Trial::test(format!("examples::{}", example.name), || {
            judge(example);
            Ok(())
        })
    }));
    trials
}

fn examples() -> PathBuf {
    repository().join("examples/linkage")
}

/// A folder of data that has the file: the one that is named, that of the tools, or one beside the repository.
fn data(file: &str) -> Option<PathBuf> {
    let named = std::env::var_os("KINFOLD_LINKAGE_DATA").filter(|named| !named.is_empty());
    let folders = named
        .map(|named| vec![PathBuf::from(named)])
        .unwrap_or_else(|| {
            vec![
                tools().join("labelled"),
                repository().join("../shared/data"),
            ]
        });
    folders
        .into_iter()
        .find(|folder| folder.join(file).is_file())
}

fn judge(example: &Example) {
    let area = folder();
    let project = area.path().join(example.name);
    copy(&examples().join(example.name), &project);
    let found = match example.file.map(data) {
        Some(None) => {
            say(example, "its data is not here, so it is only checked");
            let ran = kinfold(&project, ["check"]).run().code(1);
            let missing = ran
                .stderr
                .matches("error[KF0501]: there is no file")
                .count();
            assert_eq!(missing, ran.stderr.matches("error[").count(), "{ran:?}");
            return;
        }
        Some(found) => found,
        None => None,
    };
    let run = |arguments: &[&str]| -> Kinfold {
        let program = kinfold(&project, arguments);
        match &found {
            Some(folder) => program.env("KINFOLD_LINKAGE_DATA", &folder.to_string_lossy()),
            None => program,
        }
    };
    let parameters = project.join("models/matches.linkage.yml");
    let committed = fs::read_to_string(&parameters).unwrap();
    fs::remove_file(&parameters).unwrap();
    run(&["build", "--exclude", "matches+"]).run().ok();
    run(&["identity", "train", "matches"]).run().ok();
    // The same on every machine.
    assert_eq!(fs::read_to_string(&parameters).unwrap(), committed);
    run(&["build"]).run().ok();
    let f1 = f1(&run, example.judged);
    say(example, &format!("F1 {f1:.4}"));
    assert!(f1 >= example.f1, "{}: F1 {f1}", example.name);
}

fn f1(run: &dyn Fn(&[&str]) -> Kinfold, relation: &str) -> f64 {
    let sql = format!("SELECT f1 FROM main.{relation}");
    let ran = run(&["query", &sql, "--format", "csv"]).run().ok();
    let last = ran.stdout.lines().last().unwrap();
    last.parse().unwrap()
}

/// What was judged, and how, is part of what the tests say.
fn say(example: &Example, what: &str) {
    let _ = writeln!(std::io::stderr(), "examples::{}: {what}", example.name);
}
