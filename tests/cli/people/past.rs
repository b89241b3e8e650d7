//! Ids of before, over merges, merges of merges, and merges that are undone.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::{PEOPLE, id_of, replace, rows, run};
use crate::program::{folder, write};

pub fn old_ids_resolve_for_ever() {
    let project = folder();
    let observations = |bridges: &[&str]| {
        let mut text = "source,record_id,id_type,id_value,observed_at\n".to_owned();
        for (at, user) in ["a", "b", "c"].iter().enumerate() {
            text.push_str(&format!(
                "crm,{user},user_id,{user},2026-01-0{}T10:00:00\n",
                at + 1
            ));
        }
        for bridge in bridges {
            for user in bridge.split('+') {
                text.push_str(&format!(
                    "desk,{bridge},user_id,{user},2026-02-01T10:00:00\n"
                ));
            }
        }
        text
    };
    write(project.path(), PEOPLE);
    let project = project.path();
    fs::remove_dir_all(project.join("syncs")).unwrap();
    replace(
        &project.join("models/person.yml"),
        "limit: 1 ever",
        "limit: 9 ever",
    );
    let build = |bridges: &[&str], arguments: &[&str]| {
        fs::write(
            project.join("seeds/observations.csv"),
            observations(bridges),
        )
        .unwrap();
        run(project, &[&["build"], arguments].concat()).ok();
    };
    // An event has the id that it had at first, and the current one.
    let records = || {
        rows(
            project,
            "SELECT record_id, canonical_id, first_canonical_id FROM person__records \
             WHERE source = 'crm' ORDER BY 1",
        )
    };
    let aliases = || {
        rows(
            project,
            "SELECT old_canonical_id, canonical_id FROM person__aliases ORDER BY 1",
        )
    };
    build(&[], &[]);
    let [a, b, c] = ["a", "b", "c"].map(|user| id_of(project, user));
    let expect = |now: [&str; 3]| -> Vec<Value> {
        let rows = ["a", "b", "c"].iter().zip(now).zip([&a, &b, &c]);
        rows.map(|((record, now), first)| {
            json!({"record_id": record, "canonical_id": now, "first_canonical_id": first})
        })
        .collect()
    };
    assert_eq!(records(), expect([&a, &b, &c]));
    assert_eq!(aliases(), Vec::<Value>::new());

    build(&["b+c"], &[]);
    let bc = id_of(project, "b");
    assert!([&b, &c].contains(&&bc));
    assert_eq!(records(), expect([&a, &bc, &bc]));

    // A merge of merges, by a full refresh as by any other build.
    build(&["b+c", "a+b"], &["--full-refresh"]);
    let all = id_of(project, "a");
    assert_eq!(records(), expect([&all, &all, &all]));
    let old: BTreeSet<&String> = [&a, &b, &c].into_iter().filter(|id| **id != all).collect();
    let told: Vec<Value> = old
        .iter()
        .map(|id| json!({"old_canonical_id": id, "canonical_id": all}))
        .collect();
    assert_eq!(aliases(), told);
    for id in [&a, &b, &c] {
        let shown = run(project, &["profile", "show", id, "--output", "json"]).ok();
        assert_eq!(shown.json()["canonical_id"], all.as_str());
        assert_eq!(shown.json()["merged_from"].as_array().unwrap().len(), 2);
    }

    // Undone, everybody is who they were; and merged again.
    build(&[], &[]);
    assert_eq!(records(), expect([&a, &b, &c]));
    assert_eq!(aliases(), Vec::<Value>::new());
    build(&["a+c"], &[]);
    let ac = id_of(project, "a");
    assert_eq!(records(), expect([&ac, &b, &ac]));
    assert_eq!(aliases().len(), 1);
    // Who is gone stands for nobody.
    fs::write(
        project.join("seeds/observations.csv"),
        "source,record_id,id_type,id_value,observed_at\ncrm,b,user_id,b,2026-01-02T10:00:00\n",
    )
    .unwrap();
    run(project, &["build"]).ok();
    let gone = rows(
        project,
        "SELECT DISTINCT canonical_id AS now FROM person__aliases",
    );
    assert_eq!(gone, [json!({"now": null})]);
    run(project, &["profile", "show", &ac])
        .code(2)
        .says("there is no person");
    // What they had before is known by time.
    let history = rows(
        project,
        "SELECT id_value, count(*) AS times FROM person__history GROUP BY 1 ORDER BY 1",
    );
    assert!(history.len() > 1, "{history:?}");
}
