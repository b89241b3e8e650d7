//! Streams, exit codes, JSON, colours, and what a second run does.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{folder, kinfold, program};

pub fn a_new_folder_is_built_and_delivered() {
    let area = folder();
    let project = area.path().join("new-shop");
    let ran = kinfold(area.path(), ["init", "new-shop"]).run().ok();
    assert_eq!(ran.stdout, "");
    ran.says("next: kinfold build");
    let again = kinfold(area.path(), ["init", "new-shop"]).run().code(2);
    again.says("already holds a project");

    let built = kinfold(&project, ["build"]).run().ok();
    assert_eq!(built.stdout, "", "messages are not data");
    let built = built.says("published");
    assert!(!built.stderr.contains('\u{1b}'), "{built:#?}");
    for file in ["manifest.json", "run_results.json"] {
        let text = fs::read_to_string(project.join("target").join(file)).unwrap();
        let _: Value = serde_json::from_str(&text).unwrap();
    }
    assert!(project.join("target/compiled").is_dir());

    let sync = kinfold(&project, ["sync"]).run().ok();
    assert_eq!(sync.stdout, "");
    sync.says(
        "planned 1 = delivered 1 + rejected 0 + retryable 0 + unknown 0 + held 0 + suppressed 0",
    );
    let rows = kinfold(
        &project,
        [
            "query",
            "SELECT email, contacts FROM person_profile ORDER BY email",
            "--format",
            "csv",
        ],
    )
    .run()
    .ok();
    assert_eq!(
        rows.stdout,
        "email,contacts\nada@example.com,2\ngrace@example.com,1\n"
    );
    assert_eq!(rows.stderr, "");

    // Again: nothing to do, and each node says why.
    let again = kinfold(&project, ["build", "--output", "json"])
        .run()
        .ok()
        .json();
    assert_eq!(again["published"], json!(false));
    for node in again["nodes"].as_array().unwrap() {
        assert_eq!(node["status"], "skipped", "{node}");
        assert!(
            node["reason"].as_str().unwrap().starts_with("same "),
            "{node}"
        );
    }
    let sync = kinfold(&project, ["sync", "--output", "json"])
        .run()
        .ok()
        .json();
    assert_eq!(sync["syncs"][0]["planned"], json!(0));
}

pub fn json_is_one_object() {
    let area = folder();
    let project = area.path();
    kinfold(project, ["init", "."]).run().ok();
    let run = |arguments: &[&str]| {
        let ran = kinfold(project, arguments.iter().chain(&["--output", "json"]))
            .run()
            .ok();
        assert_eq!(ran.stderr, "", "{arguments:?}");
        let answer = ran.json();
        assert_eq!(answer["success"], json!(true), "{arguments:?}");
        answer
    };
    let built = run(&["build"]);
    let nodes = built["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 9);
    for node in nodes {
        for key in [
            "id",
            "kind",
            "status",
            "reason",
            "rows",
            "table",
            "version",
            "elapsed_ms",
        ] {
            assert!(node.get(key).is_some(), "no `{key}` in {node}");
        }
    }
    for command in [
        &["run"][..],
        &["seed"],
        &["test"],
        &["check"],
        &["compile"],
        &["ls"],
    ] {
        run(command);
    }
    let state = project.join(".kinfold/lake/_kinfold/sync");
    let dry = run(&["sync", "--dry-run"]);
    assert_eq!(dry["syncs"][0]["planned"], json!(1));
    assert!(!project.join("out").exists(), "a dry run sends nothing");
    assert!(
        !state.join("returning_files/state").exists(),
        "a dry run keeps nothing"
    );
    let synced = run(&["sync"]);
    let sync = &synced["syncs"][0];
    assert_eq!(sync["name"], "returning_files");
    let count = |key: &str| {
        sync[key]
            .as_u64()
            .unwrap_or_else(|| panic!("no `{key}` in {sync}"))
    };
    let parts = [
        "delivered",
        "rejected",
        "retryable",
        "unknown",
        "held",
        "suppressed",
    ];
    assert_eq!(count("planned"), parts.into_iter().map(count).sum::<u64>());
    count("invalid");
    assert_eq!(
        run(&["show", "person"])["rows"].as_array().unwrap().len(),
        2
    );
    assert_eq!(
        run(&["query", "SELECT 1 AS one"])["rows"],
        json!([{"one": 1}])
    );

    // Failure is one object too.
    for (arguments, code) in [
        (&["build", "--env", "nowhere"][..], 2),
        (&["query", "SELECT nothing FROM person"], 2),
        (&["build", "--select", "nothing"], 2),
        (&["sync", "--select", "nothing"], 2),
    ] {
        let ran = kinfold(project, arguments.iter().chain(&["--output", "json"]))
            .run()
            .code(code);
        assert_eq!(ran.json()["success"], json!(false), "{arguments:?}");
    }
    fs::write(
        project.join("models/wrong.sql"),
        "SELECT nothing FROM {{ ref('contacts') }}",
    )
    .unwrap();
    for (command, code) in [("check", 1), ("build", 2), ("sync", 2), ("compile", 1)] {
        let ran = kinfold(project, [command, "--output", "json"])
            .run()
            .code(code);
        let found = &ran.json()["diagnostics"][0];
        assert_eq!(found["file"], "models/wrong.sql", "{command}");
        assert_eq!(
            (&found["line"], &found["column"]),
            (&json!(1), &json!(8)),
            "{command}"
        );
    }
}

pub fn commands_that_cannot_run() {
    let area = folder();
    let project = area.path();
    let run = |arguments: &[&str]| {
        let ran = kinfold(project, arguments).run().code(2);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        ran
    };
    run(&["check"]).says("there is no `kinfold.yml`");
    run(&["build", "--project-dir", "elsewhere"]).says("elsewhere");
    run(&["biuld"]).says("similar subcommand");
    kinfold(project, ["init", "."]).run().ok();
    run(&["build", "--env", "production"]).says("the project declares: dev");
    run(&["build", "--select", "stg_contact"]).says("did you mean `stg_contacts`?");
    run(&["ls", "--select", "colour:red"]).says("there is no selection method `colour`");
    run(&["sync", "--select", "returning_file"]).says("did you mean `returning_files`?");
    run(&["build", "--vars", "[1]"]).says("--vars");
    run(&["build", "--as-of", "yesterday"]).says("--as-of");
    run(&["build", "--memory-limit", "much"]).says("512MB");
    run(&["query", "SELECT 1 FROM person"]).says("person");
    kinfold(project, ["sync"])
        .run()
        .code(1)
        .says("run `kinfold build` first");
    kinfold(project, ["build"]).run().ok();
    run(&["query", "SELEC 1"]).says("SELEC");
    // A query reads; it does not write or reach for files.
    for statement in [
        "DROP TABLE person",
        "CREATE TABLE x AS SELECT 1",
        "COPY person TO 'stolen.csv'",
        "SELECT * FROM 'kinfold.yml'",
    ] {
        run(&["query", statement]);
    }
    assert!(!project.join("stolen.csv").exists());
}

pub fn colour_is_for_terminals() {
    let area = folder();
    let project = area.path();
    kinfold(project, ["init", "."]).run().ok();
    fs::write(
        project.join("models/wrong.sql"),
        "SELECT nothing FROM {{ ref('contacts') }}",
    )
    .unwrap();
    let coloured = |arguments: &[&str]| {
        kinfold(project, arguments)
            .run()
            .code(1)
            .stderr
            .contains('\u{1b}')
    };
    assert!(!coloured(&["check"]), "a pipe is not a terminal");
    assert!(coloured(&["check", "--color", "always"]));
    assert!(!coloured(&["check", "--color", "never"]));
    // On a terminal the variable decides; `script` is one.
    let on_terminal = |variable: &str| {
        let check = format!("{} check", program().display());
        let mut command = std::process::Command::new("script");
        command
            .args(["-qec", &check, "/dev/null"])
            .env_remove("NO_COLOR");
        command.env("NO_COLOR", variable).current_dir(project);
        command.stdin(std::process::Stdio::null());
        String::from_utf8(command.output().unwrap().stdout)
            .unwrap()
            .contains("\u{1b}[")
    };
    assert!(on_terminal(""));
    assert!(!on_terminal("1"));
}

pub fn new_days_send_only_who_changed() {
    let area = folder();
    let demo = |more: &[&str]| {
        let arguments = [
            "demo",
            "--dir",
            "shop",
            "--persons",
            "400",
            "--output",
            "json",
        ];
        let ran = kinfold(area.path(), arguments.iter().chain(more))
            .run()
            .ok();
        let answer = ran.json();
        assert_eq!(answer["success"], json!(true));
        answer
    };
    let sum = |answer: &Value, key: &str| -> u64 {
        let syncs = answer["syncs"].as_array().unwrap();
        assert_eq!(syncs.len(), 2);
        syncs.iter().map(|sync| sync[key].as_u64().unwrap()).sum()
    };
    let first = demo(&[]);
    let everybody = sum(&first, "delivered");
    assert!(everybody > 5, "{everybody}");
    assert_eq!(sum(&first, "planned"), everybody);

    let again = demo(&[]);
    for node in again["build"]["nodes"].as_array().unwrap() {
        assert_eq!(node["status"], "skipped", "{node}");
        assert_ne!(node["reason"], "", "{node}");
    }
    assert_eq!(sum(&again, "planned"), 0);
    assert_eq!(sum(&again, "unchanged"), everybody);

    let received = received(area.path());
    // Of so few people, one day changes nobody in a segment.
    let next = demo(&["--add-days", "3"]);
    let sent = sum(&next, "delivered");
    assert!(sent > 0 && sent < everybody, "{sent} of {everybody}");
    assert_eq!(sum(&next, "planned"), sent);
    assert!(self::received(area.path()) - received <= usize::try_from(sent).unwrap());
}

/// Records in the log of the demo's receiver.
fn received(area: &Path) -> usize {
    let log = fs::read_to_string(area.join("shop/out/crm_received.ndjson")).unwrap();
    log.lines().count()
}
