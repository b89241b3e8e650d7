//! The protocol itself: its beginning, its end, and what is not of it.

use serde_json::{Value, json};

use super::client::Client;
use crate::program::{Ran, copy, folder, kinfold, repository, write};

const PROJECT: [(&str, &str); 2] = [
    ("kinfold.yml", "name: shop\n"),
    ("models/a.sql", "SELECT 1 AS id"),
];

fn code(answer: &Value) -> i64 {
    answer["error"]["code"]
        .as_i64()
        .unwrap_or_else(|| panic!("no error: {answer}"))
}

pub fn it_ends_as_the_protocol_says() {
    let project = folder();
    write(project.path(), &PROJECT);
    let client = Client::start(project.path(), "utf-16");
    assert_eq!(client.stop(), Some(0));

    // Without `shutdown` an end is no good one.
    let mut client = Client::start(project.path(), "utf-16");
    client.tell("exit", Value::Null);
    assert_eq!(client.code(), Some(1));
    let mut client = Client::start(project.path(), "utf-16");
    client.hang_up();
    assert_eq!(client.code(), Some(1));
    let mut client = Client::silent(project.path());
    client.tell("exit", Value::Null);
    assert_eq!(client.code(), Some(1));

    // Nothing but the end comes after `shutdown`, nothing but `initialize` at first.
    let mut client = Client::silent(project.path());
    let answer = client.ask("textDocument/hover", json!({}));
    assert_eq!(code(&answer), -32_002);
    client.ask("initialize", json!({"capabilities": {}}));
    assert_eq!(code(&client.ask("initialize", json!({}))), -32_600);
    client.ask("shutdown", Value::Null);
    assert_eq!(code(&client.ask("kinfold/status", json!({}))), -32_600);
    client.tell("exit", Value::Null);
    assert_eq!(client.code(), Some(0));
}

pub fn garbage_is_answered_and_the_server_goes_on() {
    let project = folder();
    write(project.path(), &PROJECT);
    let mut client = Client::start(project.path(), "utf-16");
    client.raw(b"Content-Length: 9\r\n\r\n{\"id\": 1,");
    assert_eq!(code(&client.answer(&Value::Null)), -32_700);
    client.raw(b"this is no header\r\n\r\n");
    assert_eq!(code(&client.answer(&Value::Null)), -32_600);
    client.raw(b"Content-Length: 2\r\n\r\n17");
    assert_eq!(code(&client.answer(&Value::Null)), -32_600);
    client.raw(b"Content-Length: 3\r\n\r\n\xff\xfe\x00");
    assert_eq!(code(&client.answer(&Value::Null)), -32_700);
    assert_eq!(code(&client.ask("no/such", json!({}))), -32_601);
    assert_eq!(code(&client.ask("$/no/such", Value::Null)), -32_601);
    // Notifications that nobody knows, or that say nothing, are read over.
    for (method, params) in [
        ("no/such", json!([1])),
        ("textDocument/didOpen", Value::Null),
        ("textDocument/didChange", json!({"textDocument": 5})),
        (
            "textDocument/didClose",
            json!({"textDocument": {"uri": "nonsense"}}),
        ),
        ("$/cancelRequest", json!({"id": "nobody"})),
        ("$/setTrace", json!({"value": "off"})),
    ] {
        client.tell(method, params);
    }
    let uri = client.uri("models/a.sql");
    let change = json!({
        "textDocument": {"uri": uri, "version": 3},
        "contentChanges": [{"text": "SELECT"}],
    });
    client.tell("textDocument/didChange", change);
    client.settle();
    assert!(client.published.is_empty(), "{:?}", client.published);
    // A range that is nowhere in the text is taken to its edges.
    client.open("models/a.sql", "SELECT 1 AS id");
    let range = json!({
        "start": {"line": 900, "character": 4_000_000_000_u32},
        "end": {"line": 0, "character": 7},
    });
    let change = json!({
        "textDocument": {"uri": uri, "version": 4},
        "contentChanges": [{"range": range, "text": "nonsense"}],
    });
    client.tell("textDocument/didChange", change);
    client.settle();
    let found = &client.published[&uri][0];
    assert_eq!(found["code"], "KF0402", "{found}");
    assert_eq!(client.stop(), Some(0));
}

pub fn what_is_cancelled_is_not_answered() {
    let project = folder();
    copy(&repository().join("examples/shop"), project.path());
    let mut client = Client::start(project.path(), "utf-16");
    let id = client.request("kinfold/status", json!({}));
    client.tell("$/cancelRequest", json!({"id": id}));
    assert_eq!(code(&client.answer(&json!(id))), -32_800);
    client.settle();
    assert_eq!(client.stop(), Some(0));
}

pub fn files_outside_of_the_project_do_no_harm() {
    let project = folder();
    write(project.path(), &PROJECT);
    write(project.path(), &[("elsewhere/b.sql", "SELECT FROM WHERE")]);
    let mut client = Client::start(&project.path().join("."), "utf-16");
    client.open("elsewhere/b.sql", "SELECT FROM WHERE");
    client.open("../nowhere.sql", "SELECT FROM");
    for uri in [
        "untitled:Untitled-1",
        "git:/a.sql?x",
        "file:///%zz",
        "http://a/b.sql",
    ] {
        let document =
            json!({"uri": uri, "languageId": "sql", "version": 1, "text": "SELECT FROM"});
        client.tell("textDocument/didOpen", json!({"textDocument": document}));
    }
    client.settle();
    assert!(client.published.is_empty(), "{:?}", client.published);
    assert_eq!(client.stop(), Some(0));

    // Without a project there is nothing to say, until a file of one is opened.
    let bare = folder();
    write(&bare.path().join("shop"), &PROJECT);
    let mut client = Client::start(bare.path(), "utf-16");
    let answer = client.ask("kinfold/status", json!({}));
    assert_eq!(answer["result"], Value::Null);
    client.open("shop/models/a.sql", "SELECT nonsense");
    client.settle();
    let uri = client.uri("shop/models/a.sql");
    assert_eq!(client.published[&uri][0]["code"], "KF0402");
    assert_eq!(client.stop(), Some(0));
}

pub fn a_build_may_run_beside_it() {
    let project = folder();
    write(project.path(), &PROJECT);
    let mut client = Client::start(project.path(), "utf-16");
    client.open("models/a.sql", "SELECT 1 AS id");
    let build = kinfold(project.path(), ["build"]).start();
    let uri = client.uri("models/a.sql");
    for step in 0..20 {
        let text = client.text("models/a.sql");
        client.edit(
            "models/a.sql",
            text.len()..text.len(),
            &format!(", x AS a{step}"),
        );
        client.settle();
        assert_eq!(client.published[&uri][0]["code"], "KF0402");
    }
    // What is typed and not saved is not what is built.
    Ran::wait(build).ok();
    assert_eq!(client.stop(), Some(0));
}
