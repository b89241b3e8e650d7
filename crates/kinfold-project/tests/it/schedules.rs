//! Schedules of syncs and builds, and alerts.

use std::time::Duration;

use kinfold_project::{CatchUp, Overlap, ThenSync, Trigger};

use crate::support::{With, advice, good, load_files, report};

const CONNECTIONS: (&str, &str) = (
    "connections/c.yml",
    "connections: [{name: crm, kind: http, url: x}]\n",
);
const MODEL: (&str, &str) = ("models/people.sql", "select 1");

fn sync(name: &str, schedule: &str) -> String {
    format!(
        "  - {{name: {name}, from: ref('people'), connection: crm, object: o, mode: upsert, key: {{id: id}}, schedule: {schedule}}}\n"
    )
}

#[test]
fn are_read_with_what_they_mean_when_nothing_is_said() {
    let syncs = [
        "syncs:\n".to_owned(),
        sync(
            "a",
            "{cron: '*/15 6-22 * * mon-fri', timezone: Europe/Berlin}",
        ),
        sync("b", "{every: 15m, overlap: skip, catch_up: none}"),
        sync("c", "{on: inputs, at_most_every: 5m, at_least_every: 24h}"),
        sync("d", "{on: inputs}"),
    ]
    .concat();
    let kinfold = r#"name: x
schedules:
  - {name: nightly, build: "*", cron: "@daily", then_sync: all}
  - {name: often, build: people+, every: 90s, then_sync: [a, b]}
  - {name: fresh, build: people, on: inputs}
alerts:
  - {webhook: "{{ env_var('ALERT_URL') }}"}
  - {webhook: "https://example.com/{{ var('team', 'cdp') }}", after_failures: 3}
"#;
    let project = good(
        &[
            ("kinfold.yml", kinfold),
            MODEL,
            CONNECTIONS,
            ("syncs/s.yml", &syncs),
        ],
        &With::default(),
    );
    let schedules: Vec<_> = project
        .syncs
        .iter()
        .filter_map(|sync| project.sync_schedules.get(&sync.id))
        .map(|s| (s.trigger.to_string(), s.overlap, s.catch_up))
        .collect();
    assert_eq!(
        schedules,
        [
            (
                "cron: */15 6-22 * * mon-fri (Europe/Berlin)".to_owned(),
                Overlap::Queue,
                CatchUp::One
            ),
            ("every: 15m".to_owned(), Overlap::Skip, CatchUp::None),
            (
                "on: inputs, at_most_every: 5m, at_least_every: 1d".to_owned(),
                Overlap::Queue,
                CatchUp::One
            ),
            ("on: inputs".to_owned(), Overlap::Queue, CatchUp::One),
        ]
    );
    let [nightly, often, fresh] = project.schedules.as_slice() else {
        panic!("three schedules");
    };
    assert_eq!(nightly.then_sync, ThenSync::All);
    assert_eq!(
        nightly.schedule.trigger.to_string(),
        "cron: @daily (UTC)",
        "without a zone it is UTC"
    );
    assert_eq!(often.build.value, "people+");
    assert_eq!(
        often.schedule.trigger,
        Trigger::Every(Duration::from_secs(90))
    );
    assert!(matches!(&often.then_sync, ThenSync::Named(names) if names.len() == 2));
    assert_eq!(fresh.then_sync, ThenSync::None);
    let after: Vec<u32> = project.alerts.iter().map(|a| a.after_failures).collect();
    assert_eq!(after, [1, 3]);
}

#[test]
fn mistakes_in_schedules_of_syncs() {
    let schedules = [
        "'*/15 * * * *'",
        "15m",
        "{}",
        "{cron: '0 25 * * *', timezone: Europe/Berln}",
        "{cron: '0 0 30 2 *'}",
        "{cron: '0 0 0 * * *'}",
        "{every: 15}",
        "{every: 5s}",
        "{every: 400d}",
        "{every: 15m, cron: '0 * * * *'}",
        "{every: 15m, on: inputs}",
        "{every: 15m, timezone: UTC, at_most_every: 5m}",
        "{on: changes}",
        "{on: inputs, overlap: skip}",
        "{on: inputs, at_most_every: 2h, at_least_every: 1h}",
        "{every: 15m, overlap: wait, catch_up: all}",
        "{evry: 15m}",
        "[15m]",
    ];
    let text: String = schedules
        .iter()
        .enumerate()
        .map(|(at, schedule)| sync(&format!("s{at:02}"), schedule))
        .collect();
    let text = format!("syncs:\n{text}");
    let loaded = load_files(&[
        ("kinfold.yml", "name: x\n"),
        MODEL,
        CONNECTIONS,
        ("syncs/s.yml", &text),
    ]);
    // Line 2 is the first sync; the column of the schedule is the same in all lines.
    let found: Vec<String> = report(&loaded)
        .iter()
        .map(|line| {
            let (code, place) = line.split_once(" syncs/s.yml:").unwrap_or((line, ""));
            let (line, rest) = place.split_once(':').unwrap_or_default();
            let (_, text) = rest.split_once(' ').unwrap_or_default();
            format!("{code} {line} {text}")
        })
        .collect();
    assert_eq!(
        found,
        [
            "E wrong-type 2 '*/15 * * * *'",
            "E wrong-type 3 15m",
            "E missing-key 4 {}",
            "E invalid-cron 5 '0 25 * * *'",
            "E invalid-value 5 Europe/Berln",
            "E invalid-cron 6 '0 0 30 2 *'",
            "E invalid-cron 7 '0 0 0 * * *'",
            "E invalid-value 8 15",
            "E invalid-value 9 5s",
            "E invalid-value 10 400d",
            "E invalid-schedule 11 every",
            "E invalid-schedule 12 on",
            "E invalid-schedule 13 timezone",
            "E invalid-schedule 13 at_most_every",
            "E invalid-value 14 changes",
            "E invalid-schedule 15 overlap",
            "E invalid-schedule 16 at_least_every",
            "E invalid-value 17 wait",
            "E invalid-value 17 all",
            "E unknown-key 18 evry",
            "E missing-key 18 evry",
            "E wrong-type 19 [15m]",
        ]
    );
    let advice = advice(&loaded);
    for help in [
        "write `schedule: {cron: \"*/15 * * * *\"}`",
        "write `schedule: {every: \"15m\"}`",
        "did you mean `Europe/Berlin`?",
        "hour (0-23)",
        "no month has that day",
        "seconds and years are not possible",
        "like `90s` or `15m`",
        "`at_least_every` instead of `every`",
        "it can be `queue` or `skip`",
        "it can be `one` or `none`",
        "did you mean `every`?",
    ] {
        assert!(advice.iter().any(|line| line.contains(help)), "{help}");
    }
}

#[test]
fn mistakes_in_builds_and_alerts() {
    let kinfold = r#"name: x
schedules:
  - {name: people, build: a, every: 1h, then_sync: [crm, peple]}
  - {name: twice, build: " ", every: 1h}
  - {name: twice, build: b, every: 1h}
  - {name: bad name, every: 1h, then_syncs: all}
  - {build: b}
alerts:
  - {webhook: "{{ env_var('ALERT_URL' }}"}
  - {webhook: hooks.example.com/secret}
  - {webhook: "https:///x", after_failures: 0}
  - {url: x}
  - nobody
  - {webhook: "{{ env_var('A') }}"}
  - {webhook: "{{ env_var('A') }}", after_failures: 2}
"#;
    let syncs = format!("syncs:\n{}", sync("people", "{every: 1h}"));
    let loaded = load_files(&[
        ("kinfold.yml", kinfold),
        MODEL,
        CONNECTIONS,
        ("syncs/s.yml", &syncs),
    ]);
    assert_eq!(
        report(&loaded),
        [
            "E duplicate-name kinfold.yml:3:12 people",
            "E unknown-sync kinfold.yml:3:53 crm",
            "E unknown-sync kinfold.yml:3:58 peple",
            "E invalid-value kinfold.yml:4:26 \" \"",
            "E duplicate-name kinfold.yml:5:12 twice",
            "E missing-key kinfold.yml:6:6 name",
            "E invalid-name kinfold.yml:6:12 bad name",
            "E unknown-key kinfold.yml:6:33 then_syncs",
            "E missing-key kinfold.yml:7:6 build",
            "E missing-key kinfold.yml:7:6 build",
            "E template kinfold.yml:9:16 {{ env_var('ALERT_URL' }}",
            "E invalid-value kinfold.yml:10:15 hooks.example.com/secret",
            "E invalid-value kinfold.yml:11:15 \"https:///x\"",
            "E invalid-value kinfold.yml:11:45 0",
            "E unknown-key kinfold.yml:12:6 url",
            "E missing-key kinfold.yml:12:6 url",
            "E wrong-type kinfold.yml:13:5 nobody",
            "E duplicate-name kinfold.yml:15:15 \"{{ env_var('A') }}\"",
        ]
    );
    for problem in &loaded.diagnostics {
        let said = format!("{} {:?}", problem.message, problem.help);
        assert!(!said.contains("secret"), "an address is shown: {said}");
    }
    let advice = advice(&loaded);
    for help in [
        "did you mean `people`?",
        "did you mean `then_sync`?",
        "rename one",
    ] {
        assert!(advice.iter().any(|line| line.contains(help)), "{help}");
    }
    let alerts = loaded
        .project
        .map(|project| format!("{:?}", project.alerts));
    assert!(alerts.is_some_and(|shown| !shown.contains("secret")));
}
