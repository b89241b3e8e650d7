//! What is known of one person.

use serde_json::json;

use super::{PEOPLE, run};
use crate::program::{folder, write};

pub fn a_person_is_shown_with_what_is_known() {
    let project = folder();
    write(project.path(), PEOPLE);
    write(
        project.path(),
        &[
            (
                "models/person_origins.sql",
                "select canonical_id, 'email' as attribute, 1 as position, 'crm' as source, \
                 max(last_seen_at) as observed_at from {{ ref('person') }} group by canonical_id\n",
            ),
            (
                "models/beside.sql",
                "{{ config(materialized='profile') }}\n\
                 select canonical_id, count(*) as devices, 'web' as devices_source, \
                 max(last_seen_at) as devices_observed_at from {{ ref('person') }} group by canonical_id\n",
            ),
        ],
    );
    let project = project.path();
    run(project, &["build"]).ok();
    let show = |id: &str| {
        run(project, &["profile", "show", id, "--output", "json"])
            .ok()
            .json()
    };
    let told = show("user_id:bob");
    assert_eq!(told["syncs"][0]["status"], "not_sent", "{told}");
    run(project, &["sync"]).ok();
    let told = show("user_id:bob");
    let profile = |name: &str| {
        let profiles = told["profiles"].as_array().unwrap();
        profiles
            .iter()
            .find(|p| p["model"] == name)
            .unwrap()
            .clone()
    };
    let main = profile("person_profile");
    assert_eq!(main["traits"]["email"], "bob@example.org");
    assert_eq!(main["provenance"]["email"]["source"], "crm");
    assert!(main["provenance"]["email"]["observed_at"].is_string());
    assert_eq!(main["provenance"].get("identifiers"), None);
    let beside = profile("beside");
    assert_eq!(beside["provenance"]["devices"]["source"], "web");
    assert_eq!(beside["traits"].get("devices_source"), None);
    assert_eq!(told["segments"][0]["model"], "known");
    assert_eq!(
        told["segments"][0]["because"],
        json!({"email": "bob@example.org"})
    );
    let sync = &told["syncs"][0];
    assert_eq!(sync["key"], json!({"email": "bob@example.org"}));
    assert_eq!(
        (
            &sync["sync"],
            &sync["connection"],
            &sync["object"],
            &sync["status"]
        ),
        (
            &json!("out"),
            &json!("out"),
            &json!("people"),
            &json!("delivered")
        )
    );
    assert!(sync["acknowledged_at"].is_string(), "{sync}");
    for other in ["ann", "zyzzyva", "cid@example.org"] {
        assert!(!told.to_string().contains(other), "{other}: {told}");
    }
    let text = run(project, &["profile", "show", "bob@example.org"])
        .ok()
        .stdout;
    for part in [
        "email: bob@example.org   (crm, 2026-",
        "known since ",
        "(email: bob@example.org)",
        "out → out people email=bob@example.org: delivered, 20",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
