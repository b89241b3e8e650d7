//! Ctrl-C.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use kinfold_testkit::{Fault, Script};

use super::destinations::{PEOPLE, Shop};
use crate::program::{Ran, folder, kinfold, write};

/// How long an interrupted run may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends the signal of Ctrl-C and waits for the end.
fn interrupt(mut child: Child) -> Ran {
    // The shell's own `kill`: the program of that name is not on every machine.
    let sent = Command::new("sh")
        .args(["-c", "kill -INT \"$0\"", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it did not stop: {:#?}", Ran::wait(child));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = Ran::wait(child);
    assert!(
        matches!(ran.code, Some(1 | 2)),
        "a clean end has an exit code: {ran:#?}"
    );
    ran
}

pub fn ctrl_c_during_a_build() {
    let area = folder();
    let project = area.path();
    kinfold(project, ["init", "."]).run().ok();
    kinfold(project, ["build"]).run().ok();
    let document = project.join(".kinfold/lake/_kinfold/env/dev.json");
    let before = fs::read_to_string(&document).unwrap();
    // Something that ends only when it is told to.
    let endless = "{{ config(materialized='table') }}
SELECT count(*) AS n FROM {{ ref('contacts') }}, generate_series(1, 1000000) AS a (x), generate_series(1, 1000000) AS b (y)
WHERE x % 1000 <> y % 1001
";
    write(
        project,
        &[
            ("models/endless.sql", endless),
            (
                "models/another.sql",
                "{{ config(materialized='table') }} SELECT 1 AS one",
            ),
        ],
    );
    let child = kinfold(project, ["build"]).start();
    // The other model is there once the run is under way.
    let another = project.join(".kinfold/lake/main/another/_delta_log");
    let begun = Instant::now();
    while !another.exists() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(another.exists(), "the run did not get under way");
    // Meanwhile nobody else builds this environment, and everybody reads it.
    let second = kinfold(project, ["build"]).run().code(2);
    second.says("`env/dev` is in use by `process ");
    kinfold(project, ["show", "person"]).run().ok();
    interrupt(child);
    assert_eq!(
        fs::read_to_string(&document).unwrap(),
        before,
        "nothing is half-published"
    );
    fs::remove_file(project.join("models/endless.sql")).unwrap();
    kinfold(project, ["build"]).run().ok().says("published");
}

pub fn ctrl_c_during_a_sync() {
    let shop = Shop::new(1);
    shop.crm
        .script(Script::always(Fault::Slow(Duration::from_millis(400))));
    let child = shop.sync().start();
    let begun = Instant::now();
    while shop.crm.requests().len() < 3 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    interrupt(child);
    let applied = shop.crm.applied();
    assert!((2..PEOPLE).contains(&applied), "{applied}");
    shop.heals();
    // What was acknowledged before was not sent again.
    assert_eq!(shop.crm.applied(), PEOPLE);
}
