//! Tables of the example shop, in a folder and on a real S3 server, as kinfold and others read them.

use std::fs;
use std::path::Path;

use kinfold_testkit::s3::S3Server;
use libtest_mimic::Trial;
use serde_json::{Map, Value};

use crate::program::{folder, kinfold};
use crate::tables::{assert_equal, contents, read};
use crate::trials;

const AS_OF: &str = "2026-07-01T12:00:00Z";

pub fn trials() -> Vec<Trial> {
    trials!("lake": every_reader_and_every_storage_has_the_same_rows)
}

fn every_reader_and_every_storage_has_the_same_rows() {
    let shop = folder();
    let project = shop.path();
    kinfold(
        project,
        ["demo", "--data-only", "--persons", "200", "--dir", "."],
    )
    .run()
    .ok();
    kinfold(project, ["build", "--as-of", AS_OF]).run().ok();
    kinfold(project, ["sync", "--select", "vip_files", "--as-of", AS_OF])
        .run()
        .ok();
    let lake = project.join(".kinfold/lake");
    let lake = lake.to_str().unwrap();

    // Everything in the lake, kinfold's own tables too.
    let all = read(lake, &["--duckdb"]);
    for owned in [
        "_kinfold/run/nodes",
        "_kinfold/ledger",
        "_kinfold/sync/vip_files/state",
    ] {
        assert!(
            all.get(owned).is_some_and(|table| table.rows > 0),
            "{owned}: {all:#?}"
        );
    }
    for (path, table) in &all {
        assert_eq!(
            table.duckdb.as_ref(),
            Some(&table.deltalake),
            "{path}: DuckDB, deltalake"
        );
    }

    // What is published, as `kinfold query` reads it.
    let rows = project.join("rows");
    fs::create_dir(&rows).unwrap();
    let relations = published_relations(project);
    for (path, schema, name) in &relations {
        let select = format!("SELECT * FROM \"{schema}\".\"{name}\"");
        let ran = kinfold(project, ["query", &select, "--format", "ndjson"])
            .run()
            .ok();
        fs::write(
            rows.join(format!("{}.ndjson", path.replace('/', "."))),
            ran.stdout,
        )
        .unwrap();
    }
    let published = read(lake, &["--env", "dev", "--rows", rows.to_str().unwrap()]);
    assert_eq!(published.len(), relations.len());
    assert!(published.len() > 30, "{}", published.len());
    for (path, table) in &published {
        assert_eq!(
            table.given.as_ref(),
            Some(&table.deltalake),
            "{path}: kinfold, deltalake"
        );
    }

    // The same project with its lake on S3.
    let server = S3Server::start().unwrap();
    let storage: Map<String, Value> = server
        .storage_options()
        .into_iter()
        .map(|(key, value)| (key, Value::String(value)))
        .collect();
    let storage = Value::Object(storage).to_string();
    let url = server.url("shop");
    let file = project.join("kinfold.yml");
    let text = fs::read_to_string(&file).unwrap();
    let declared = format!("environments:\n  bucket: {{lake: \"{url}\", storage: {storage}}}\n");
    fs::write(&file, text.replace("environments:\n", &declared)).unwrap();
    kinfold(project, ["build", "--env", "bucket", "--as-of", AS_OF])
        .run()
        .ok();
    let there = read(&url, &["--env", "bucket", "--storage", &storage]);
    assert_equal(&contents(there), &contents(published), "S3 and a folder");
    let again = kinfold(project, ["build", "--env", "bucket", "--output", "json"])
        .run()
        .ok();
    for node in again.json()["nodes"].as_array().unwrap() {
        assert_eq!(node["status"], "skipped", "{node}");
    }
}

/// Path, schema and name of every stored relation that the environment names.
fn published_relations(project: &Path) -> Vec<(String, String, String)> {
    let document = fs::read_to_string(project.join(".kinfold/lake/_kinfold/env/dev.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let mut found = vec![];
    for node in document["environment"]["nodes"]
        .as_object()
        .unwrap()
        .values()
    {
        let companions = node["companions"]
            .as_object()
            .into_iter()
            .flat_map(Map::values);
        for table in companions
            .chain([&node["table"]])
            .filter(|table| table.is_object())
        {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            found.push((
                text(&table["path"]),
                text(&table["relation"][0]),
                text(&table["relation"][1]),
            ));
        }
    }
    found
}
