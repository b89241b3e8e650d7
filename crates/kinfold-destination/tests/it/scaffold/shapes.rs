//! What becomes of descriptions of distinct shapes.

use kinfold_destination::Manifest;
use kinfold_destination::manifest::{Match, OperationName, Verdict};

use super::*;

/// The folder of the likeliest operation; there must be nothing wrong with it.
async fn made(name: &str) -> (Scaffold, Manifest) {
    let scaffold = scaffold(&api(name), "made", &[]).await.unwrap();
    assert_eq!(
        wrong(&scaffold).await,
        Vec::<String>::new(),
        "{name}\n{}",
        file(&scaffold, "manifest.yml")
    );
    let manifest = folder_of(&scaffold).manifest.unwrap();
    (scaffold, manifest)
}

fn says(made: &Scaffold, path: &str, parts: &[&str]) {
    let text = file(made, path);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

#[tokio::test]
async fn a_row_that_is_put_at_its_id() {
    let (made, manifest) = made("put_by_id.json").await;
    says(&made, "manifest.yml", &[
        "base_url: \"https://{{ connection.region }}.people.example/{{ connection.basepath }}\"".replace("basepath", "base_path").as_str(),
        "choices: {eu: eu, us: us}",
        "headers: {x-api-version: \"2026-02-01\"}",
        "authorization: \"Bearer {{ connection.access_token }}\"",
        "limits: [{calls: 300, per: \"1m\"}]",
        "wait: \"header['x-ratelimit-reset'] | number | time\"",
        "check: {get: /me}",
        "- put: \"/people/{{ row.key.externalId }}\"",
        "json: \"{{ row.fields }}\"",
        "if: \"$.ok == false\"",
        "message: $.fault.text",
        "calls: [{delete: \"/people/{{ row.key.externalId }}\", rules: [{status: 404, is: done}]}",
        "status: {about: Whether the person is here., required: true}",
        "created: {read_only: true}",
    ]);
    let object = manifest.object("people").unwrap();
    assert_eq!(object.keys, [["externalId"]]);
    assert_eq!(object.operation(OperationName::Upsert).unwrap()[0].rows, 1);
    // The reset of 429 is a time, three seconds after the one of the exchange.
    says(
        &made,
        "faults.yml",
        &["x-ratelimit-reset: \"1767323048\"", "wait: \"3s\""],
    );
    says(
        &made,
        "exchanges/upsert.yml",
        &["outcomes: [delivered, delivered]", "status: active"],
    );
    assert!(!file(&made, "exchanges/upsert.yml").contains("created"));
}

#[tokio::test]
async fn a_batch_with_one_result_for_each_row() {
    let (made, manifest) = made("results.yml").await;
    let object = manifest.object("leads").unwrap();
    let upsert = &object.operation(OperationName::Upsert).unwrap()[0];
    assert_eq!((upsert.rows, upsert.repeatable), (50, true));
    assert!(matches!(upsert.calls[0].readings[0].by, Match::Index(_)));
    assert_eq!(upsert.calls[0].unnamed, Verdict::Unknown);
    says(
        &made,
        "manifest.yml",
        &[
            "europe: \"https://api.eu.results.example\"",
            "json: {$each: rows, $item: \"{{ row.key | merge(row.fields) }}\"}",
            "if: \"$.status in ['created', 'updated']\"",
            "open: true",
            "source: {required: true}",
            "check: {get: /leads, query: {limit: 1}}",
        ],
    );
    says(
        &made,
        "exchanges/upsert.yml",
        &[
            "outcomes: [delivered, {rejected: invalid_row",
            "score: 10",
            "status: failed",
        ],
    );
    assert!(
        made.left
            .iter()
            .any(|left| left.contains("positions from 0")),
        "{:?}",
        made.left
    );
}

#[tokio::test]
async fn a_batch_with_a_list_of_errors_in_swagger() {
    let (made, manifest) = made("errors.yml").await;
    let object = manifest.object("subscribers").unwrap();
    let names: Vec<&str> = object
        .arguments
        .iter()
        .map(|argument| argument.name.as_str())
        .collect();
    assert_eq!(names, ["audience"]);
    assert_eq!(
        object.operation(OperationName::Upsert).unwrap()[0].rows,
        250
    );
    says(
        &made,
        "manifest.yml",
        &[
            "base_url: \"https://errors.example/rest\"",
            "authorization: \"Basic {{ connection.username | concat(connection.password) | join(':') | base64 }}\"",
            "check: {get: /ping, answer: text}",
            "audience: \"{{ object.audience | number }}\"",
            "overwrite: true",
            "# TODO: Shall `overwrite` be true?",
            "custom_fields: {$spread: \"{{ row.fields | without('email', 'phone') }}\"}",
            "item: $.email",
            "row: row.key.email",
            "message: $.explanation",
            "unnamed: ok",
        ],
    );
    says(
        &made,
        "exchanges/upsert.yml",
        &["object: subscribers/42", "audience: 42", "status: 207"],
    );
    let sent = scaffold(&api("errors.yml"), "made", &["sendMessage"])
        .await
        .unwrap();
    assert_eq!(wrong(&sent).await, Vec::<String>::new());
    says(
        &sent,
        "exchanges/append.yml",
        &["application/x-www-form-urlencoded", "mode: append"],
    );
}

#[tokio::test]
async fn a_row_that_has_to_be_looked_for_first() {
    let (made, manifest) = made("client.yml").await;
    let object = manifest.object("contacts").unwrap();
    assert_eq!(
        object.operation(OperationName::Upsert).unwrap()[0]
            .calls
            .len(),
        3
    );
    assert_eq!(
        object.operation(OperationName::Delete).unwrap()[0]
            .calls
            .len(),
        2
    );
    says(
        &made,
        "manifest.yml",
        &[
            "post: \"https://id.client.example/token\"",
            "grant_type: client_credentials",
            "scope: contacts.write contacts.read",
            "expires_in: $.expires_in",
            "when: \"kept.id == null\"",
            "patch: \"/contacts/{{ kept.id }}\"",
            "content_type: \"application/merge-patch+json\"",
            "unnamed: done",
        ],
    );
    // The first row is added and the second, which was found, is changed.
    let text = file(&made, "exchanges/upsert.yml");
    let order = [
        "id.client.example",
        "method: GET",
        "method: POST",
        "method: GET",
        "method: PATCH",
    ];
    let mut at = 0;
    for part in order {
        let found = text.get(at..).and_then(|rest| rest.find(part));
        at += found.unwrap_or_else(|| panic!("{part} after {at} in\n{text}")) + part.len();
    }
}

#[tokio::test]
async fn an_audience_of_addresses() {
    let (made, manifest) = made("audience.json").await;
    let object = manifest.object("members").unwrap();
    assert_eq!(object.arguments[0].name, "members_name");
    assert!(object.operation(OperationName::Delete).is_some());
    says(
        &made,
        "manifest.yml",
        &[
            "base_url: \"{{ connection.url }}/v1\"",
            "query: {api_key: \"{{ connection.api_key }}\"}",
            "idempotency-key: \"{{ batch.id }}\"",
            "json: {emails: {$each: rows, $item: \"{{ row.key.email }}\"}}",
            "items: $.invalid_emails",
        ],
    );
    says(
        &made,
        "exchanges/upsert.yml",
        &[
            "invalid_emails: [b@example.com]"
                .replace("b@example.com", "\"b@example.com\"")
                .as_str(),
            "{rejected: invalid_row",
        ],
    );
}

#[tokio::test]
async fn candidates_say_why() {
    let api = api("messy.yml");
    let found = candidates(&api);
    let first = &found[0];
    assert_eq!(
        (first.id.as_str(), first.operation, first.object.as_str()),
        ("upsertContactsBulk", OperationName::Upsert, "contacts")
    );
    let reasons = first.reasons.join("; ");
    for part in [
        "`payload.contacts` is a list of objects, at most 20",
        "`bulk` says",
        "the path speaks of `contacts`",
    ] {
        assert!(reasons.contains(part), "{part}: {reasons}");
    }
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
    assert!(
        ids.contains(&"createContact") && ids.contains(&"deleteContact"),
        "{ids:?}"
    );
    assert!(
        !ids.contains(&"createWebhook") && !ids.contains(&"searchContacts"),
        "{ids:?}"
    );
}

#[tokio::test]
async fn every_candidate_of_these_documents_is_sound_too() {
    for name in [
        "put_by_id.json",
        "results.yml",
        "errors.yml",
        "client.yml",
        "audience.json",
        "messy.yml",
    ] {
        let api = api(name);
        for candidate in candidates(&api) {
            let made = scaffold(&api, "made", &[&candidate.id]).await.unwrap();
            assert_eq!(
                wrong(&made).await,
                Vec::<String>::new(),
                "{name} {}",
                candidate.id
            );
        }
        let ids: Vec<String> = candidates(&api).into_iter().map(|one| one.id).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let all = scaffold(&api, "made", &ids).await.unwrap();
        assert_eq!(wrong(&all).await, Vec::<String>::new(), "{name}");
        let operations: usize = folder_of(&all)
            .manifest
            .unwrap()
            .objects
            .iter()
            .map(|object| object.operations.len())
            .sum();
        assert_eq!(operations, ids.len(), "{name}");
    }
}
