//! Killed builds of the example shop: into an empty lake, and of one more day into a built one.

use std::fs;
use std::path::Path;

use super::{crashes, dice, kill, timed};
use crate::program::{copy, folder, kinfold};
use crate::tables::{assert_equal, published};

/// A project before a build, and what a build of it gives.
struct Start<'a> {
    project: &'a Path,
    as_of: &'static str,
}

pub fn a_killed_build_is_finished_by_the_next() {
    let area = folder();
    let at = |name: &str| area.path().join(name);
    let new = at("new");
    fs::create_dir(&new).unwrap();
    kinfold(
        &new,
        ["demo", "--data-only", "--persons", "120", "--dir", "."],
    )
    .run()
    .ok();
    let (first, first_time) = reference(&new, &at("first"), "2026-07-01T12:00:00Z");
    let day = at("day");
    copy(&at("first"), &day);
    kinfold(
        &day,
        ["demo", "--data-only", "--add-days", "1", "--dir", "."],
    )
    .run()
    .ok();
    let (second, second_time) = reference(&day, &at("second"), "2026-07-02T12:00:00Z");
    assert!(first != second, "a day without events tests nothing");

    let starts = [
        (
            Start {
                project: &new,
                as_of: "2026-07-01T12:00:00Z",
            },
            &first,
            first_time,
        ),
        (
            Start {
                project: &day,
                as_of: "2026-07-02T12:00:00Z",
            },
            &second,
            second_time,
        ),
    ];
    let (n, mut dice) = (crashes(), dice(1));
    let mut inside = 0;
    for i in 0..n {
        let (start, wanted, time) = &starts[usize::try_from(i % 2).unwrap()];
        let project = at(&format!("killed{i}"));
        copy(start.project, &project);
        let child = kinfold(&project, ["build", "--as-of", start.as_of]).start();
        inside += u64::from(kill(child, *time, (i, n), &mut dice));

        // Nothing is half-published: what there is, is the state before or the one after.
        if project.join(".kinfold/lake/_kinfold/env/dev.json").exists() {
            let there = published(&project);
            if there != first {
                assert_equal(&there, wanted, &format!("after kill {i}"));
            }
        }
        kinfold(&project, ["build", "--as-of", start.as_of])
            .run()
            .ok();
        assert_equal(
            &published(&project),
            wanted,
            &format!("after the run behind kill {i}"),
        );
        let again = kinfold(
            &project,
            ["build", "--as-of", start.as_of, "--output", "json"],
        )
        .run()
        .ok();
        for node in again.json()["nodes"].as_array().unwrap() {
            assert_eq!(node["status"], "skipped", "after kill {i}: {node}");
        }
        fs::remove_dir_all(&project).unwrap();
    }
    assert!(
        inside * 2 >= n,
        "only {inside} of {n} kills met a running build"
    );
}

/// Builds a copy of a project without interruption.
fn reference(
    project: &Path,
    copied: &Path,
    as_of: &str,
) -> (
    std::collections::BTreeMap<String, (u64, String)>,
    std::time::Duration,
) {
    copy(project, copied);
    let (_, time) = timed(kinfold(copied, ["build", "--as-of", as_of]));
    (published(copied), time)
}
