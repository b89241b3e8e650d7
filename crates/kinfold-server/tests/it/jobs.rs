//! The jobs of a project.

use kinfold_project::{EmbeddedPackage, LoadOptions, Project, Trigger, load};
use kinfold_server::{Job, JobKind};
use tempfile::TempDir;

const PACKAGE: EmbeddedPackage = EmbeddedPackage {
    name: "extra",
    files: &[
        ("kinfold.yml", "name: extra\n"),
        ("models/m.sql", "select 1"),
        (
            "connections/c.yml",
            "connections: [{name: other, kind: http, url: x}]\n",
        ),
        (
            "syncs/s.yml",
            "syncs: [{name: crm, from: ref('m'), connection: other, object: o, mode: upsert, key: {id: id}}]\n",
        ),
    ],
};

fn project(kinfold: &str) -> Project {
    let root = TempDir::new().unwrap();
    let sync = |name: &str, more: &str| {
        format!(
            "  - {{name: {name}, from: ref('people'), connection: c, object: o, mode: upsert, key: {{id: id}}{more}}}\n"
        )
    };
    let syncs = [
        "syncs:\n".to_owned(),
        sync(
            "crm",
            ", schedule: {every: 15m, overlap: skip, catch_up: none}",
        ),
        sync("ads", ""),
        sync("old", ", enabled: false, schedule: {every: 1h}"),
    ]
    .concat();
    let connections = "connections: [{name: c, kind: http, url: x}]\n";
    for (path, text) in [
        ("kinfold.yml", kinfold),
        ("models/people.sql", "select 1"),
        ("connections/c.yml", connections),
        ("syncs/s.yml", syncs.as_str()),
    ] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let loaded = load(
        root.path(),
        &LoadOptions {
            environment_variable: &|_| None,
            embedded_packages: &[PACKAGE],
            destinations: &[],
            vars: None,
        },
    );
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded.project.unwrap()
}

#[test]
fn are_its_schedules_and_its_syncs() {
    let project = project(
        "name: shop\nschedules:\n  - {name: nightly, build: 'tag:n', cron: '@daily', then_sync: all}\n  - {name: often, build: '*', every: 1h, then_sync: [ads]}\n",
    );
    let jobs = Job::all_of(&project).unwrap();
    let shown: Vec<_> = jobs
        .iter()
        .map(|job| {
            let trigger = job.trigger.as_ref().map(Trigger::to_string);
            (
                job.name.as_str(),
                job.kind.clone(),
                trigger.unwrap_or_default(),
                job.overlap.as_str(),
                job.catch_up.as_str(),
                job.then.join(" "),
            )
        })
        .collect();
    let build = |select: &str| JobKind::Build {
        select: select.to_owned(),
    };
    assert_eq!(
        shown,
        [
            (
                "nightly",
                build("tag:n"),
                "cron: @daily (UTC)".to_owned(),
                "queue",
                "one",
                "crm ads".to_owned()
            ),
            (
                "often",
                build("*"),
                "every: 1h".to_owned(),
                "queue",
                "one",
                "ads".to_owned()
            ),
            (
                "crm",
                JobKind::Sync,
                "every: 15m".to_owned(),
                "skip",
                "none",
                String::new()
            ),
            (
                "ads",
                JobKind::Sync,
                String::new(),
                "queue",
                "one",
                String::new()
            ),
        ]
    );
    let [nightly, often, crm, _] = jobs.as_slice() else {
        panic!("four jobs");
    };
    assert!(
        !nightly.resources.is_disjoint(&often.resources),
        "one build at a time"
    );
    assert!(crm.resources.is_empty());
}

#[test]
fn two_packages_with_a_sync_of_one_name_are_refused() {
    let error = Job::all_of(&project("name: shop\npackages: [extra]\n")).unwrap_err();
    assert_eq!(error.name, "crm");
}
