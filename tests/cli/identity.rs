//! Who is who, from the command line: a linkage is trained, built, and a person is shown.

use std::fs;

use serde_json::json;

use crate::program::{copy, folder, kinfold, repository};

/// A project of 1,000 invented records; its parameters are taken away.
fn people() -> tempfile::TempDir {
    let project = folder();
    copy(
        &repository().join("examples/linkage/fake_1000"),
        project.path(),
    );
    fs::remove_file(project.path().join("models/matches.linkage.yml")).unwrap();
    project
}

pub fn a_linkage_is_trained_from_its_records() {
    let project = people();
    let run = |arguments: &[&str]| kinfold(project.path(), arguments).run();
    run(&["identity", "train", "matches"])
        .code(2)
        .says("`seed.fake_1000.fake_1000` has not been built")
        .says("kinfold build --exclude matches+");
    run(&["identity", "train", "matchs"])
        .code(2)
        .says("there is no linkage `matchs`")
        .says("did you mean `matches`?");
    run(&["build"])
        .code(1)
        .says("`kinfold identity train` finds them");
    run(&["build", "--exclude", "matches+"]).ok();

    let file = project.path().join("models/matches.linkage.yml");
    let shown = run(&["identity", "train", "matches", "--dry-run"]).ok();
    assert!(!file.exists());
    run(&["identity", "train", "matches"]).ok();
    let trained = fs::read_to_string(&file).unwrap();
    assert_eq!(shown.stdout.trim_end(), trained.trim_end());
    let committed = repository().join("examples/linkage/fake_1000/models/matches.linkage.yml");
    assert_eq!(trained, fs::read_to_string(committed).unwrap());
    run(&["build"]).ok();

    // Another level: what was trained says nothing of it.
    let models = project.path().join("models/models.yml");
    let text = fs::read_to_string(&models).unwrap();
    fs::write(
        &models,
        text.replace("jaro_winkler: 0.85", "jaro_winkler: 0.8"),
    )
    .unwrap();
    run(&["check"])
        .ok()
        .says("level 2 of `city` is `jaro_winkler(city) >= 0.8` now")
        .says("kinfold identity train matches");
    run(&["build"]).code(1);
    run(&["identity", "train", "matches"]).ok();
    run(&["build"]).ok();
}

pub fn a_person_is_shown() {
    let project = folder();
    copy(
        &repository().join("tests/projects/identity_rules"),
        project.path(),
    );
    let run = |arguments: &[&str]| kinfold(project.path(), arguments).run();
    run(&["build"]).ok();
    let by_type = run(&["profile", "show", "user_id:ann", "--output", "json"]).ok();
    let person = by_type.json();
    let values: Vec<_> = person["identifiers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id_value"].clone())
        .collect();
    assert_eq!(values, [json!("ann@example.com"), json!("ann")]);
    let id = person["canonical_id"].as_str().unwrap();
    for asked in ["ann@example.com", id] {
        let other = run(&["profile", "show", asked, "--output", "json"]).ok();
        assert_eq!(other.json()["canonical_id"], person["canonical_id"]);
    }
    let text = run(&["profile", "show", "ann"]).ok();
    assert!(text.stdout.contains("user_id: ann"), "{text:?}");
    for nobody in ["user_id:zoe", "", "'; drop table x; --", "email:"] {
        run(&["profile", "show", nobody])
            .code(2)
            .says("there is no person");
    }
}
