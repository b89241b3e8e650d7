//! Rules that are planned, applied, and taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{REJECTED, counts, files, one, replace, rows, run};
use crate::program::{copy, folder, repository};

const ALARMS: &str = "SELECT reason AS word, count(*) AS n FROM person__alarms GROUP BY reason";
const LAST_CHANGES: &str = "SELECT kind AS word, count(*) AS n FROM person__changes \
     WHERE run_id = (SELECT max(run_id) FROM person__changes) GROUP BY kind";

/// The identity in a plan.
fn person(plan: &Value) -> &Value {
    let nodes = plan["nodes"].as_array().unwrap();
    nodes
        .iter()
        .find(|node| node["kind"] == "identity")
        .unwrap()
}

fn ids(project: &Path) -> Vec<Value> {
    rows(
        project,
        "SELECT id_type, id_value, canonical_id FROM person ORDER BY 1, 2",
    )
}

pub fn rules_are_planned_applied_and_taken_back() {
    let project = folder();
    copy(
        &repository().join("tests/projects/identity_rules"),
        project.path(),
    );
    let project = project.path();
    let rules = project.join("models/person.yml");
    let plan = |arguments: &[&str]| run(project, &[&["plan"], arguments].concat());

    // Nothing is known before the first build, then everything is up to date.
    let first = plan(&["--output", "json"]).ok().json();
    assert_eq!(person(&first)["action"], "build");
    assert_eq!(person(&first)["identity"], Value::Null);
    run(project, &["build"]).ok();
    let now = plan(&["--output", "json"]).ok().json();
    assert_eq!(person(&now)["action"], "skip", "{now}");
    let before = (
        ids(project),
        counts(project, REJECTED),
        counts(project, ALARMS),
    );

    // Two people on one tablet may be one, a till is no hub, and an address is a placeholder.
    replace(&rules, "limit: 1 ever", "limit: 3 ever");
    replace(&rules, "max_records: 3", "max_records: 9");
    replace(&rules, "[test@test.com]", "[test@test.com, jo@example.org]");
    let stored = files(&project.join(".kinfold"));
    let planned = plan(&["--select", "person", "--output", "json"])
        .ok()
        .json();
    assert_eq!(files(&project.join(".kinfold")), stored, "a plan writes");
    assert_eq!(person(&planned)["action"], "backfill");
    let effect = &person(&planned)["identity"];
    let shown = plan(&[]).ok();
    assert!(
        shown
            .stdout
            .contains("backfill person: its meaning changed"),
        "{shown:?}"
    );
    for value in ["ann", "till@shop.example", "jo@example.org"] {
        assert!(!shown.stdout.contains(value) && !planned.to_string().contains(value));
    }

    run(project, &["run"]).ok();
    let done = counts(project, LAST_CHANGES);
    for kind in ["created", "merged", "split", "reassigned", "deleted"] {
        let built = done.get(kind).copied().unwrap_or(0);
        assert_eq!(effect[kind], built, "{kind}: {effect}");
    }
    assert!(done.get("merged") > Some(&1), "{done:?}");
    for (flows, sql, old) in [
        (&effect["rejected"], REJECTED, &before.1),
        (&effect["alarms"], ALARMS, &before.2),
    ] {
        let new = counts(project, sql);
        let words: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        assert_eq!(flows.as_object().unwrap().len(), words.len(), "{flows}");
        for word in words {
            let flow = |part: &str| flows[word][part].as_u64().unwrap();
            let counted = |of: &BTreeMap<String, u64>| of.get(word).copied().unwrap_or(0);
            assert_eq!(
                flow("goes") + flow("stays"),
                counted(old),
                "{word}: {flows}"
            );
            assert_eq!(
                flow("comes") + flow("stays"),
                counted(&new),
                "{word}: {flows}"
            );
        }
    }
    let people = one(project, "SELECT count(DISTINCT canonical_id) FROM person");
    assert_eq!(effect["people_after"].to_string(), people);
    let identifiers = one(project, "SELECT count(*) FROM person");
    assert_eq!(effect["identifiers_after"].to_string(), identifiers);
    let merged = effect["examples"]
        .as_array()
        .unwrap()
        .iter()
        .find(|example| example["kind"] == "merged")
        .unwrap();
    let old = merged["from_canonical_id"].as_str().unwrap();
    let told = run(project, &["profile", "show", old, "--output", "json"]).ok();
    assert_eq!(told.json()["canonical_id"], merged["into_canonical_id"]);
    assert_ne!(ids(project), before.0);

    // And back: the same ids for the same identifiers, and the project's own tests agree.
    copy(
        &repository().join("tests/projects/identity_rules/models"),
        &project.join("models"),
    );
    let back = plan(&["--output", "json"]).ok().json();
    let split = person(&back)["identity"]["split"].as_u64().unwrap();
    run(project, &["build"]).ok();
    assert_eq!(counts(project, LAST_CHANGES).get("split"), Some(&split));
    assert_eq!(ids(project), before.0);
    let told = run(project, &["profile", "show", old, "--output", "json"]).ok();
    assert_eq!(told.json()["canonical_id"], old);

    // Rows that are not loaded yet are not part of a plan, and it says so.
    let seed = project.join("seeds/observations.csv");
    replace(&seed, "crm,8,user_id,ivy-old", "crm,8,user_id,ivy-older");
    let late = plan(&["--output", "json"]).ok().json();
    let late = person(&late);
    assert_eq!(late["action"], "build");
    assert_eq!(late["reason"], "`observations` is built before it");
    assert_eq!(late["stale_inputs"][0], "seed.identity_rules.observations");
    let alone = plan(&["--select", "person", "--output", "json"]).ok();
    assert_eq!(person(&alone.json())["action"], "skip");
    let told = plan(&[]).ok().stdout;
    assert!(told.contains("build person: `observations`"), "{told}");

    plan(&["--select", "persn"]).code(2).says("persn");
}
