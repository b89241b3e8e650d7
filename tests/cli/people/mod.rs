//! People from the command line: rules that are tried and taken back, somebody who is erased, ids that are old, a
//! hub, households, and what is known of one person.

mod entities;
mod erase;
mod past;
mod rules;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Ran, kinfold};

pub use entities::{a_hub_keeps_people_apart, households_follow_people};
pub(crate) use erase::{lonely_indices, with_text};
pub use erase::{somebody_is_erased_and_stays_away, what_is_trained_names_nobody};
pub use past::old_ids_resolve_for_ever;
pub use rules::rules_are_planned_applied_and_taken_back;
pub use shown::a_person_is_shown_with_what_is_known;

fn run(project: &Path, arguments: &[&str]) -> Ran {
    kinfold(project, arguments).run()
}

/// The rows of a query.
pub(crate) fn rows(project: &Path, sql: &str) -> Vec<Value> {
    let ran = run(project, &["query", sql, "--format", "ndjson"]).ok();
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The first column of the first row, as text.
fn one(project: &Path, sql: &str) -> String {
    let rows = rows(project, sql);
    let row = rows.first().and_then(Value::as_object);
    let cell = row.and_then(|row| row.values().next());
    match cell {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => panic!("no row: {sql}"),
    }
}

fn id_of(project: &Path, value: &str) -> String {
    let sql = format!("SELECT canonical_id FROM person WHERE id_value = '{value}'");
    one(project, &sql)
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

fn counts(project: &Path, sql: &str) -> BTreeMap<String, u64> {
    let rows = rows(project, sql);
    let pairs = rows.iter().map(|row| {
        let word = row["word"].as_str().unwrap_or_default().to_owned();
        (word, row["n"].as_u64().unwrap())
    });
    pairs.collect()
}

/// Refused rows by rule.
const REJECTED: &str =
    "SELECT rule AS word, count(*) AS n FROM person__edges WHERE NOT accepted GROUP BY rule";

/// Three people, a profile of each, a segment, and a sync of it.
pub(crate) const PEOPLE: &[(&str, &str)] = &[
    ("kinfold.yml", "name: people\n"),
    (
        "seeds/observations.csv",
        "source,record_id,id_type,id_value,observed_at\n\
         crm,1,user_id,ann,2026-01-01T10:00:00\n\
         crm,1,email,zyzzyva.ann@example.org,2026-01-01T10:00:00\n\
         crm,1,email,second.zyzzyva@example.org,2026-01-01T10:00:00\n\
         crm,1,phone,zyzzyva-no-number,2026-01-01T10:00:00\n\
         web,w-zyzzyva,anonymous_id,zyzzyva-laptop,2026-01-02T10:00:00\n\
         web,w-zyzzyva,user_id,ann,2026-01-02T10:00:00\n\
         web,w1,anonymous_id,tablet,2026-01-02T10:00:00\n\
         web,w1,user_id,ann,2026-01-02T10:00:00\n\
         web,w2,anonymous_id,tablet,2026-01-03T10:00:00\n\
         web,w2,user_id,bob,2026-01-03T10:00:00\n\
         crm,2,user_id,bob,2025-01-01T10:00:00\n\
         crm,2,email,bob@example.org,2025-01-01T10:00:00\n\
         crm,3,user_id,cid,2026-01-01T10:00:00\n\
         crm,3,email,cid@example.org,2026-01-01T10:00:00\n",
    ),
    (
        "models/person.sql",
        "select source, record_id, id_type, id_value, observed_at from {{ ref('observations') }}\n",
    ),
    (
        "models/person.yml",
        "models:\n  - name: person\n    config:\n      materialized: identity\n      identifiers:\n        \
         user_id: {limit: 1 ever}\n        email: {normalise: email}\n        \
         phone: {normalise: phone, country: DE}\n",
    ),
    (
        "models/person_profile.sql",
        "{{ config(materialized='profile') }}\n\
         select canonical_id, max(id_value) filter (where id_type = 'email') as email, count(*) as identifiers\n\
         from {{ ref('person') }} group by canonical_id\n",
    ),
    (
        "models/known.sql",
        "{{ config(materialized='segment') }}\n\
         select canonical_id, email from {{ ref('person_profile') }} where email is not null\n",
    ),
    (
        "connections/out.yml",
        "connections:\n  - {name: out, kind: files, location: out}\n",
    ),
    (
        "syncs/out.yml",
        "syncs:\n  - {name: out, from: ref('known'), connection: out, object: people, mode: mirror, \
         key: {email: email}, mapping: {since: entered_at}, guards: {max_removals: 100}}\n",
    ),
];
