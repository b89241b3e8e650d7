//! Documents that nobody would write, and those that somebody has written wrongly.

use kinfold_destination::scaffold::ScaffoldError;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn what_is_no_description_is_said_with_its_place() {
    for (text, message, place) in [
        ("", "no OpenAPI document", 0),
        ("[1, 2]", "no OpenAPI document", 0),
        ("{\"openapi\": \"3.0.0\", }", "not valid JSON", 21),
        ("openapi: [", "not valid YAML", 9),
        ("openapi: 2.0.0\npaths: {}", "no OpenAPI document", 0),
        ("swagger: '2.0'\ninfo: {}", "has no `paths`", 0),
    ] {
        let (api, problems) = api_of("a", text);
        assert!(api.is_none(), "{text}");
        let first = &problems[0];
        assert!(
            first.is_error() && first.message.contains(message),
            "{text}: {first:?}"
        );
        let at = first.primary.as_ref().map(|label| label.span.start);
        assert_eq!(at, Some(place), "{text}: {first:?}");
    }
}

#[tokio::test]
async fn references_that_lead_nowhere_or_round_are_survived() {
    let text = json!({
        "openapi": "3.1.0",
        "info": {"title": "Round"},
        "paths": {
            "/users": {"post": {"requestBody": {"$ref": "#/components/requestBodies/Gone"}, "responses": {}}},
            "/contacts": {"post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}},
                "responses": {"200": {"$ref": "#/paths/~1contacts/post/responses/200"}}
            }},
            "/elsewhere": {"$ref": "other.yaml#/paths/x"}
        },
        "components": {"schemas": {
            "A": {"allOf": [{"$ref": "#/components/schemas/B"}], "properties": {"email": {"type": "string"}, "a": {"$ref": "#/components/schemas/A"}}},
            "B": {"oneOf": [{"$ref": "#/components/schemas/A"}, {"type": "array", "items": {"$ref": "#/components/schemas/B"}}]},
            "C": {"$ref": "#/components/schemas/C"}
        }}
    });
    let (api, problems) = api_of("round.json", &text.to_string());
    let api = api.unwrap();
    let said: Vec<&str> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(problems.iter().all(|problem| !problem.is_error()));
    assert!(
        said[0].contains("#/components/requestBodies/Gone"),
        "{said:?}"
    );
    assert!(problems[1].help[0].contains("bundle"), "{problems:?}");
    let found = candidates(&api);
    assert!(found.iter().any(|one| one.path == "/contacts"));
    for candidate in &found {
        let made = scaffold(&api, "made", &[&candidate.id]).await.unwrap();
        assert_eq!(wrong(&made).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_cannot_be_made_is_said() {
    let api = api("messy.yml");
    let error = scaffold(&api, "Big Name", &[]).await.unwrap_err();
    assert!(matches!(error, ScaffoldError::Name { .. }), "{error}");
    let error = scaffold(&api, "made", &["upsertContactBulk"])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("did you mean `upsertContactsBulk`?"),
        "{error}"
    );
    let (empty, _) = api_of("empty.yml", "openapi: 3.0.0\npaths: {/a: {get: {}}}");
    let error = scaffold(&empty.unwrap(), "made", &[])
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no operation of `empty.yml` looks as if it wrote rows"
    );
    let by_path = scaffold(&api, "made", &["POST /contacts/_bulk"])
        .await
        .unwrap();
    assert_eq!(wrong(&by_path).await, Vec::<String>::new());
}

/// A document whose schemas refer to themselves in so many ways that writing them out would never end.
#[test]
fn a_document_of_several_megabytes_is_read_soon() {
    let mut schemas = serde_json::Map::new();
    let mut paths = serde_json::Map::new();
    for number in 0..300 {
        let properties: serde_json::Map<String, Value> = (0..60)
            .map(|at| (format!("field_{at}"), json!({"$ref": format!("#/components/schemas/S{}", (number + at) % 300), "description": "d".repeat(60)})))
            .collect();
        schemas.insert(
            format!("S{number}"),
            json!({"type": "object", "properties": properties}),
        );
        let body = json!({"content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/S{number}")}}}});
        paths.insert(format!("/users{number}"), json!({"post": {"requestBody": body, "responses": {"200": {"description": "x", "content": body["content"]}}}}));
    }
    let text =
        json!({"openapi": "3.0.0", "paths": paths, "components": {"schemas": schemas}}).to_string();
    assert!(text.len() > 2_000_000, "{}", text.len());
    let start = Instant::now();
    let api = api_of("large.json", &text).0.unwrap();
    let found = candidates(&api);
    // A second or two in a build that is not optimized; a machine that does other things is given more.
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(found.len(), 300);
}

/// Values that documents have in the wrong places.
fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!([])),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(1e300)),
        Just(json!("")),
        Just(json!("{{ row.key }}")),
        Just(json!("{a}{b")),
        Just(json!("}} # 'x\"\n- ü\u{85}")),
        Just(json!("array")),
        Just(json!("object")),
        Just(json!(["string", "null"])),
        Just(json!({"$ref": "#/components/schemas/Contact"})),
        Just(json!({"$ref": "#/nowhere"})),
        Just(json!({"type": "array", "items": {"type": "array", "items": {}}})),
        Just(json!({"type": "string", "enum": ["{{", "$each"]})),
        Just(json!([{"name": "$spread", "in": "path", "required": true}])),
        Just(json!({"a?": {"type": "object"}, "$each": {"type": "string"}, "{{ x": {}})),
    ]
}

/// Puts a value in the place of one somewhere in a document, or in the place of its name.
fn mutilate(document: &mut Value, mut at: usize, value: &Value, rename: bool) {
    let mut place = document;
    loop {
        let count = match &*place {
            Value::Object(members) => members.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if count == 0 || (at.is_multiple_of(7) && count < 4) {
            *place = value.clone();
            return;
        }
        let next = at % count;
        at /= count.max(2);
        place = match place {
            Value::Object(members) => {
                let name = members.keys().nth(next).cloned().unwrap();
                if at == 0
                    && rename
                    && let (Some(text), Some(old)) = (value.as_str(), members.get(&name).cloned())
                {
                    members.insert(format!("/{text}"), old);
                    return;
                }
                members.get_mut(&name).unwrap()
            }
            Value::Array(items) => &mut items[next],
            _ => return,
        };
    }
}

fn is_survived(text: &str) {
    let (api, problems) = api_of("x", text);
    assert!(api.is_some() || problems.iter().any(Diagnostic::is_error));
    for problem in &problems {
        if let Some(label) = &problem.primary {
            assert!(text.get(label.span.range()).is_some(), "{problem:?}");
        }
    }
    let Some(api) = api else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match scaffold(&api, "made", &[]).await {
            Ok(made) => assert_eq!(wrong(&made).await, Vec::<String>::new(), "{text}"),
            Err(ScaffoldError::Nothing { .. }) => {}
            Err(other) => panic!("{other}\n{text}"),
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read_without_panic(text in any::<String>()) {
        let (api, problems) = api_of("x", &text);
        prop_assert!(api.is_some() || !problems.is_empty());
    }
}

proptest! {
    // Each makes a dozen connections.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn mutilated_documents_make_sound_folders_or_none(
        which in 0..6_usize,
        cuts in prop::collection::vec((any::<usize>(), junk(), any::<bool>()), 1..6),
    ) {
        let names = ["put_by_id.json", "results.yml", "errors.yml", "client.yml", "audience.json", "messy.yml"];
        let text = document(names[which]);
        let mut files = SourceMap::default();
        let file = files.add("x", text.as_str());
        let mut document = kinfold_project::yaml::read(&text, file, &mut Vec::new()).unwrap().to_json();
        for (at, value, rename) in &cuts {
            mutilate(&mut document, *at, value, *rename);
        }
        is_survived(&document.to_string());
    }
}

#[test]
fn what_proves_who_asks_is_no_field_of_a_row() {
    let text = document("audience.json");
    let mut files = SourceMap::default();
    let file = files.add("x", text.as_str());
    let read = kinfold_project::yaml::read(&text, file, &mut Vec::new()).unwrap();
    let mut document = read.to_json();
    // Without a body the parameters of the query are what is left to hold a row.
    let body = "/paths/~1lists~1{name}~1members/post/requestBody/content";
    *document.pointer_mut(body).unwrap() = Value::Null;
    is_survived(&document.to_string());
}
