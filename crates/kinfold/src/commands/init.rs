//! `kinfold init`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{CommandError, Done};
use crate::report::Output;

/// Files of a new project: path and text. `{name}` stands for the project's name.
const FILES: &[(&str, &str)] = &[
    (
        "kinfold.yml",
        "name: {name}\n\nenvironments:\n  dev: {lake: .kinfold/lake}\n\npurposes: [service, analytics, email_marketing]\n",
    ),
    (".gitignore", "/.kinfold\n/target\n/out\n"),
    (
        "seeds/contacts.csv",
        "contact_id,email,city,signed_up_at\n1,ada@example.com,London,2026-01-05\n2,grace@example.com,New York,2026-02-11\n3,ada@example.com,London,2026-03-02\n",
    ),
    (
        "models/staging/stg_contacts.sql",
        "SELECT\n    contact_id,\n    lower(trim(email)) AS email,\n    city,\n    signed_up_at\nFROM {{ ref('contacts') }}\n",
    ),
    (
        "models/identity/person.sql",
        "{{ config(materialized='identity', entity='person') }}\n\nSELECT 'contacts' AS source, contact_id AS record_id, 'email' AS id_type, email AS id_value, signed_up_at AS observed_at\nFROM {{ ref('stg_contacts') }}\n",
    ),
    (
        "models/profiles/person_profile.sql",
        "{{ config(materialized='profile', entity='person') }}\n\nSELECT\n    r.canonical_id,\n    max(c.email) AS email,\n    count(*) AS contacts,\n    min(c.signed_up_at) AS first_signed_up_at\nFROM {{ ref('person__records') }} AS r\nJOIN {{ ref('stg_contacts') }} AS c ON CAST(c.contact_id AS VARCHAR) = r.record_id\nGROUP BY r.canonical_id\n",
    ),
    (
        "models/segments/returning.sql",
        "{{ config(materialized='segment', entity='person') }}\n\nSELECT canonical_id FROM {{ ref('person_profile') }} WHERE contacts > 1\n",
    ),
    (
        "models/models.yml",
        "models:\n  - name: stg_contacts\n    columns:\n      - name: contact_id\n        data_tests: [unique, not_null]\n  - name: person_profile\n    columns:\n      - name: canonical_id\n        data_tests: [unique, not_null]\n",
    ),
    (
        "connections/files.yml",
        "connections:\n  - name: files\n    kind: files\n    location: out\n    format: ndjson\n",
    ),
    (
        "syncs/returning_files.yml",
        "syncs:\n  - name: returning_files\n    from: ref('returning')\n    connection: files\n    object: returning\n    mode: upsert\n    key: {email: email}\n    mapping: {contacts: contacts, member_since: entered_at}\n    purposes: [analytics]\n",
    ),
];

pub fn run(
    dir: Option<PathBuf>,
    name: Option<String>,
    output: &Output,
) -> Result<Done, CommandError> {
    let dir = dir.unwrap_or_else(|| PathBuf::from("."));
    let absolute = std::path::absolute(&dir).map_err(|source| CommandError::File {
        action: "find",
        path: dir.clone(),
        source,
    })?;
    if ["kinfold.yml", "dbt_project.yml"]
        .iter()
        .any(|f| absolute.join(f).exists())
    {
        return Err(CommandError::NotEmpty(dir));
    }
    let name = name.unwrap_or_else(|| {
        let folder = absolute
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        project_name(&folder)
    });
    for (path, text) in FILES {
        // What the user has already is kept.
        let file = absolute.join(path);
        if !file.exists() {
            write_file(&file, &text.replace("{name}", &name))?;
        }
    }
    output.say(&format!("project `{name}` is in {}", dir.display()));
    output.say("next: kinfold build, then kinfold sync");
    Ok(Done { success: true })
}

/// Writes a file and the folders above it.
pub fn write_file(file: &Path, text: &str) -> Result<(), CommandError> {
    let failed = |source| CommandError::File {
        action: "write",
        path: file.to_path_buf(),
        source,
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(file, text).map_err(failed)
}

fn project_name(folder: &str) -> String {
    let name: String = folder
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    if name.chars().next().is_some_and(|c| c.is_ascii_alphabetic()) {
        name
    } else {
        format!("project_{name}")
    }
}
