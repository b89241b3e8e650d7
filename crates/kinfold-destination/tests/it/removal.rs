//! What becomes of rows that leave is said before anything is sent.

use kinfold_destination::manifest::Reaches;
use kinfold_destination::{Manifest, read, shipped};
use kinfold_project::SyncMode;
use kinfold_sync::{DestinationError, Target};

const CRM: &str = r#"version: 1
name: crm
title: CRM
about: A CRM.
base_url: https://a.example
objects:
  contacts:
    about: Contacts.
    upsert: {rows: 1, calls: [{post: /contacts, json: "{{ row.key }}"}]}
    removal: {reaches: final, about: The contact is gone.}
    delete: {rows: 1, calls: [{delete: /contacts, json: "{{ row.key }}"}]}
"#;

/// Code and message of everything that is wrong with a manifest.
fn problems(text: &str) -> Vec<(String, String)> {
    let folder = read([("manifest.yml", text)]);
    let found = folder.diagnostics.iter();
    found
        .map(|one| (one.code.id.to_owned(), one.message.clone()))
        .filter(|(_, message)| !message.starts_with("no exchange shows"))
        .collect()
}

fn target(object: &str, mode: SyncMode, deletes: bool) -> Target {
    Target {
        object: object.to_owned(),
        mode,
        deletes,
        key_fields: vec!["email".to_owned()],
        fields: Vec::new(),
    }
}

fn manifest(name: &str) -> Manifest {
    shipped(name).unwrap().manifest.unwrap()
}

#[test]
fn a_delete_says_what_it_does_and_nothing_else_does() {
    assert_eq!(problems(CRM), []);
    let removal = "    removal: {reaches: final, about: The contact is gone.}\n";
    let delete = "    delete: {rows: 1, calls: [{delete: /contacts, json: \"{{ row.key }}\"}]}\n";
    let of = |what: &str, by: &str| {
        assert!(CRM.contains(what));
        problems(&CRM.replace(what, by))
    };
    let [(code, message)] = &of(removal, "")[..] else {
        panic!("one problem")
    };
    assert_eq!(code, "KF0613");
    assert!(message.contains("does not say what `delete` does"));
    let [(code, message)] = &of(delete, "")[..] else {
        panic!("one problem")
    };
    assert_eq!(code, "KF0610");
    assert!(message.contains("which the object does not have"));
    assert_eq!(of("reaches: final", "reaches: far").len(), 1);
}

#[test]
fn a_reason_beside_a_check_for_everybody_is_a_mistake() {
    let with = |lines: &str| problems(&CRM.replace("objects:\n", &format!("{lines}objects:\n")));
    assert_eq!(with("no_check: there is no such call\n"), []);
    assert_eq!(with("check: {get: /me}\n"), []);
    let both = with("check: {get: /me}\nno_check: there is no such call\n");
    let [(code, _)] = &both[..] else {
        panic!("{both:?}")
    };
    assert_eq!(code, "KF0610");
    let of_some = "check: {get: /me, when: connection.key != null}\nno_check: without a key\n";
    let parameter = "parameters: {key: {about: A key., secret: true, optional: true}}\n";
    assert_eq!(with(&format!("{parameter}{of_some}")), []);
}

#[test]
fn what_is_gone_for_good_is_known_before_a_run() {
    let folder = read([("manifest.yml", CRM)]);
    let crm = folder.manifest.unwrap();
    let removal = crm.final_removal(&target("contacts", SyncMode::Mirror, true));
    assert_eq!(removal.map(|removal| removal.reaches), Some(Reaches::Final));
    for (object, deletes) in [("contacts", false), ("nowhere", true)] {
        assert_eq!(
            crm.final_removal(&target(object, SyncMode::Mirror, deletes)),
            None
        );
    }
    let mailchimp = manifest("mailchimp");
    let archived = target("members/a1", SyncMode::Mirror, true);
    assert_eq!(mailchimp.final_removal(&archived), None);
}

/// An erasure by law, or what ends more than the record, is an object to which rows are sent once.
#[test]
fn an_erasure_is_no_part_of_a_mirror() {
    let erasures = [
        ("attentive", "users", "erasure", "email"),
        ("posthog", "persons", "erasure", "distinct_id"),
        ("sfmc", "contact", "contact_erasure", "contact_key"),
        ("stripe", "customers", "deletion", "email"),
    ];
    for (name, people, erasure, key) in erasures {
        let manifest = manifest(name);
        let with_key = |object: &str, mode, deletes| Target {
            key_fields: vec![key.to_owned()],
            ..target(object, mode, deletes)
        };
        let mirror = manifest.check_sync(&with_key(people, SyncMode::Mirror, true));
        let Err(DestinationError::Option { option, .. }) = mirror else {
            panic!("{name}: {mirror:?}")
        };
        assert_eq!(option, "on_leave", "{name}");
        let kept = manifest.check_sync(&with_key(people, SyncMode::Mirror, false));
        assert_eq!(kept, Ok(()), "{name}");
        let erased = manifest.object(erasure).unwrap();
        assert_eq!(erased.modes(), [SyncMode::Append], "{name}");
        let once = manifest.check_sync(&with_key(erasure, SyncMode::Append, false));
        assert_eq!(once, Ok(()), "{name}");
    }
}
