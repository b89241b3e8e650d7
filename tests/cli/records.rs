//! What syncs have done, read by models.

use serde_json::Value;

use crate::program::{folder, kinfold, write};

const SOURCES: &str = "\
sources:
  - name: kinfold
    tables:
      - {name: runs, records: sync_runs}
      - {name: log, records: sync_log}
      - {name: rows, records: sync_snapshot}
";

pub fn a_model_reads_what_syncs_have_done() {
    let project = folder();
    write(
        project.path(),
        &[
            ("kinfold.yml", "name: people\n"),
            (
                "seeds/people.csv",
                "id,name,phone\n1,Ann,11\n2,Bob,22\n3,Cid,\n",
            ),
            ("models/sources.yml", SOURCES),
            (
                "models/delivery.sql",
                "SELECT r.sync, r.run_id, r.planned, r.delivered, r.success,\n    \
                 (SELECT count(*) FROM {{ source('kinfold', 'rows') }} WHERE status = 'delivered') AS there\n\
                 FROM {{ source('kinfold', 'runs') }} AS r\n",
            ),
            (
                "models/sent.sql",
                "SELECT key_text, operation, outcome, payload FROM {{ source('kinfold', 'log') }}\n",
            ),
            (
                "connections/out.yml",
                "connections:\n  - {name: out, kind: files, location: out}\n",
            ),
            (
                "syncs/out.yml",
                "syncs:\n  - {name: out, from: ref('people'), connection: out, object: people, mode: mirror, \
                 key: {id: id}, mapping: {name: name, phone: phone}, log_payload: [name]}\n",
            ),
        ],
    );
    let rows = |model: &str| -> Vec<Value> {
        let sql = format!("SELECT * FROM {model} ORDER BY 1, 2");
        let ran = kinfold(project.path(), ["query", &sql, "--format", "ndjson"])
            .run()
            .ok();
        let lines = ran.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    // Nothing was sent yet: the tables are there, and empty.
    kinfold(project.path(), ["check"]).run().ok();
    kinfold(project.path(), ["build"]).run().ok();
    assert_eq!((rows("delivery").len(), rows("sent").len()), (0, 0));
    kinfold(project.path(), ["sync"]).run().ok();
    kinfold(project.path(), ["build"]).run().ok();
    let delivery = rows("delivery");
    assert_eq!(delivery.len(), 1, "{delivery:?}");
    assert_eq!(delivery[0]["sync"], "out");
    assert_eq!(
        (&delivery[0]["planned"], &delivery[0]["there"]),
        (&3.into(), &3.into())
    );
    assert_eq!(delivery[0]["success"], true);
    // The log has the values that the sync lets it have.
    let payloads: Vec<Value> = rows("sent")
        .into_iter()
        .map(|row| row["payload"].clone())
        .collect();
    assert_eq!(
        payloads,
        [
            r#"{"name":"Ann"}"#,
            r#"{"name":"Bob"}"#,
            r#"{"name":"Cid"}"#
        ]
    );
    // Another run is another row, although it had nothing to do.
    kinfold(project.path(), ["sync"]).run().ok();
    kinfold(project.path(), ["build"]).run().ok();
    assert_eq!(rows("delivery").len(), 2);
    // Nothing has run since, so nothing is built.
    let again = kinfold(project.path(), ["build", "--output", "json"])
        .run()
        .ok()
        .json();
    for node in again["nodes"].as_array().unwrap() {
        assert_eq!(node["status"], "skipped", "{node}");
    }
}
