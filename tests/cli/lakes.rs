//! Lakes that cannot be written or understood.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::program::{Kinfold, folder, kinfold, program, write};
use crate::tables::{assert_equal, published};

pub fn a_lake_of_something_newer() {
    let area = folder();
    let project = area.path();
    kinfold(project, ["init", "."]).run().ok();
    kinfold(project, ["build"]).run().ok();
    for stored in ["_kinfold/lake.json", "_kinfold/env/dev.json"] {
        let file = project.join(".kinfold/lake").join(stored);
        let own = fs::read_to_string(&file).unwrap();
        let newer = own.replacen("\"format\": 1", "\"format\": 2", 1);
        assert_ne!(own, newer, "{own}");
        fs::write(&file, &newer).unwrap();
        for command in [&["build"][..], &["query", "SELECT * FROM person"]] {
            let ran = kinfold(project, command).run().code(2);
            ran.says(&format!(
                "`{stored}` has format 2; this kinfold reads formats up to 1"
            ));
        }
        let sync = kinfold(project, ["sync"]).run();
        assert!(matches!(sync.code, Some(1 | 2)), "{sync:#?}");
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            newer,
            "it is left as it was"
        );
        fs::write(&file, own).unwrap();
    }
    assert!(!project.join("out").exists());
    kinfold(project, ["build"]).run().ok();
    kinfold(project, ["sync"]).run().ok();
}

pub fn storage_that_is_down_or_closed() {
    let area = folder();
    let project = area.path();
    kinfold(project, ["init", "."]).run().ok();
    let lake = |storage: &str| {
        let text = format!(
            "name: away\nenvironments:\n  dev: {{lake: \"s3://nowhere/lake\", storage: {{region: none, {storage}}}}}\n\
             purposes: [analytics]\n"
        );
        write(project, &[("kinfold.yml", &text)]);
    };
    let run = |command: &[&str]| {
        let mut program = kinfold(project, command);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            program.0.env_remove(name);
        }
        let ran = program.run().code(2);
        assert_eq!(ran.stdout, "");
        ran
    };
    // Nobody listens on port 9.
    lake(
        "endpoint: \"http://127.0.0.1:9\", allow_http: true, access_key_id: a, secret_access_key: tuna",
    );
    let ran = run(&["build"]).says("cannot read `lake/_kinfold/lake.json`");
    assert!(!ran.stderr.contains("tuna"), "a secret is shown: {ran:#?}");
    // No credentials anywhere, and this is no machine of a cloud.
    lake(
        "endpoint: \"http://127.0.0.1:9\", allow_http: true, metadata_endpoint: \"http://127.0.0.1:9\"",
    );
    run(&["build"]).says("no credentials were found: set `AWS_ACCESS_KEY_ID`");
}

/// A limit on the size of files stands for a disk that has no room: writing gives an error in the middle.
pub fn a_full_disk() {
    let area = folder();
    let project = area.path();
    kinfold(project, ["init", "."]).run().ok();
    kinfold(project, ["build"]).run().ok();
    let before = published(project);
    // Random text, so that no compression makes it small.
    let mut seed = "contact_id,email,city,signed_up_at\n".to_owned();
    let mut number = 1_u64;
    for id in 0..20_000 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed.push_str(&format!(
            "{id},{number:016x}@example.com,London,2026-01-05\n"
        ));
    }
    write(project, &[("seeds/contacts.csv", &seed)]);
    let mut shell = Command::new("bash");
    // 128 blocks of 1024 bytes; without the signal that usually goes with it.
    let limited = "trap '' XFSZ; ulimit -f 128; exec \"$@\"";
    shell.args(["-c", limited, "bash"]).arg(program());
    let ran = Kinfold::through(shell, project, ["build"]).run();
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:#?}");
    assert!(
        ran.stderr.contains("too large") || ran.stderr.contains("os error"),
        "{ran:#?}"
    );
    assert_equal(&published(project), &before, "after a full disk");
    // With room again, all of it.
    kinfold(project, ["build"]).run().ok();
    let ran = kinfold(
        project,
        [
            "query",
            "SELECT count(*) FROM person_profile",
            "--format",
            "csv",
        ],
    )
    .run()
    .ok();
    assert_eq!(ran.stdout, "count(*)\n20000\n");
}

pub fn a_failed_test_publishes_nothing() {
    let area = folder();
    let project = area.path();
    kinfold(project, ["init", "."]).run().ok();
    kinfold(project, ["build"]).run().ok();
    kinfold(project, ["sync"]).run().ok();
    let before = published(project);
    // The same contact twice: its key is not unique any more.
    let good = fs::read_to_string(project.join("seeds/contacts.csv")).unwrap();
    let bad =
        format!("{good}3,eve@example.com,Rome,2026-03-05\n4,eve@example.com,Rome,2026-03-06\n");
    write(project, &[("seeds/contacts.csv", &bad)]);
    let ran = kinfold(project, ["build", "--output", "json"])
        .run()
        .code(1);
    let report = ran.json();
    assert_eq!(
        (&report["success"], &report["published"]),
        (&json!(false), &json!(false))
    );
    let failed = |status: &str| {
        let nodes = report["nodes"].as_array().unwrap();
        nodes.iter().filter(|node| node["status"] == status).count()
    };
    assert_eq!(failed("failed"), 1);
    assert!(failed("blocked") > 0);
    assert_equal(&published(project), &before, "after a failed test");
    // What was not audited is not delivered.
    let sync = kinfold(project, ["sync", "--output", "json"])
        .run()
        .ok()
        .json();
    assert_eq!(sync["syncs"][0]["planned"], json!(0));
    write(
        project,
        &[("seeds/contacts.csv", &bad.replace("\n3,eve", "\n5,eve"))],
    );
    kinfold(project, ["build"]).run().ok();
    let sync = kinfold(project, ["sync", "--output", "json"])
        .run()
        .ok()
        .json();
    assert_eq!(sync["syncs"][0]["planned"], json!(1));
}
